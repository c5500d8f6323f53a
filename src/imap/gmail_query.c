/* X-GM-RAW: a search as Gmail's users type it, understood in part.
 *
 *   query = *(["-"] term); terms side by side all have to fit; "OR" or "|" between two: one of them
 *   term = "(" query ")" / "{" query "}" (one of them fits) / [operator ":"] (word / quoted /
 * group)
 *
 * Operators: from: to: (To or Cc) cc: bcc: subject: list: filename: rfc822msgid: label: in: is:
 * (unread read starred unstarred important) has:attachment before: older: after: newer:
 * (2026/12/31, 2026-12-31, or Unix seconds) older_than: newer_than: (3d, 2m, 1y) larger: size:
 * smaller: (512, 10K, 5M). Any other word is looked for in the text as it stands. Nothing is a
 * mistake, as with Gmail: what does not fit is a word, and what is not closed is closed by the end.
 */
#include "imap/search_parse.h"

#include "base/text.h"
#include "mail/casemap.h"

enum { GROUPS_MOST = 20, DAY = 86400 };

typedef struct {
    SearchKey *all;  /* AND, or OR for "{" */
    SearchKey *last; /* the term before, which an OR may still want */
    bool or_follows; /* "OR" was read */
    bool negated;    /* the whole group */
    Slice op;        /* of the words in it: subject:(a b) */
    char end;
} Group;

typedef struct {
    KeyParser *p;
    Slice rest;
    Group groups[GROUPS_MOST];
    size_t depth;
} Query;

/* ---- keys ---- */

static SearchKey *leaf(Query *q, KeyType type, Slice text)
{
    SearchKey *key = search_new_key(q->p, type);
    key->text = search_fold(q->p, text);
    return key;
}

static SearchKey *number(Query *q, KeyType type, uint64_t n)
{
    SearchKey *key = search_new_key(q->p, type);
    key->number = n;
    return key;
}

static SearchKey *flag(Query *q, uint8_t flags, bool negated)
{
    SearchKey *key = search_new_key(q->p, KEY_FLAG);
    key->flags = flags;
    return negated ? search_negate(q->p, key) : key;
}

static SearchKey *header(Query *q, const char *field, Slice text)
{
    SearchKey *key = leaf(q, KEY_HEADER, text);
    key->field = slice_of(field);
    return key;
}

static SearchKey *either(Query *q, SearchKey *a, SearchKey *b)
{
    SearchKey *key = search_new_key(q->p, KEY_OR);
    search_add_child(key, a);
    search_add_child(key, b);
    return key;
}

/* ---- values ---- */

static bool is(Slice text, const char *word)
{
    return slice_eq_nocase(text, slice_of(word));
}

/* 2026/12/31 or 2026-12-31: days since 1970. */
static bool read_day(Slice text, int64_t *days)
{
    Scan s = scan(text);
    uint32_t year = scan_number(&s);
    char between = scan_see(&s, '/') ? '/' : '-';
    if (between == '-') scan_need(&s, '-');
    uint32_t month = scan_number(&s);
    scan_need(&s, between);
    uint32_t day = scan_number(&s);
    if (scan_end(&s) || year < 1 || year > 9999 || !month || month > 12 || !day || day > 31)
        return false;
    *days = days_from_civil((int)year, month, day);
    return true;
}

/* "10", "10K", "5MB": false when it is no size. */
static bool read_size(Slice text, uint64_t *octets)
{
    Scan s = scan(text);
    uint64_t n = scan_number64(&s);
    unsigned shift = scan_see_word(&s, S("K"))   ? 10
                     : scan_see_word(&s, S("M")) ? 20
                     : scan_see_word(&s, S("G")) ? 30
                                                 : 0;
    (void)scan_see_word(&s, S("B"));
    if (scan_end(&s) || n > UINT64_MAX >> 32) return false;
    *octets = n << shift;
    return true;
}

/* "3d", "2m", "1y": seconds; months of 30 days, years of 365. */
static bool read_age(Slice text, uint64_t *seconds)
{
    Scan s = scan(text);
    uint64_t n = scan_number(&s);
    unsigned days = scan_see_word(&s, S("d"))   ? 1
                    : scan_see_word(&s, S("m")) ? 30
                    : scan_see_word(&s, S("y")) ? 365
                                                : 0;
    if (scan_end(&s) || !days) return false;
    *seconds = n * days * DAY;
    return true;
}

/* ---- operators that take one of a few words ---- */

static SearchKey *is_key(Query *q, Slice value)
{
    if (is(value, "unread")) return flag(q, FLAG_SEEN, true);
    if (is(value, "read")) return flag(q, FLAG_SEEN, false);
    if (is(value, "starred")) return flag(q, FLAG_FLAGGED, false);
    if (is(value, "unstarred")) return flag(q, FLAG_FLAGGED, true);
    if (!is(value, "important")) return NULL;
    SearchKey *key = search_new_key(q->p, KEY_KEYWORD);
    key->text = S("$Important");
    return key;
}

static SearchKey *label_key(Query *q, Slice value)
{
    if (is(value, "anywhere") || is(value, "all")) return search_new_key(q->p, KEY_ALL);
    if (is(value, "unread") || is(value, "read") || is(value, "starred")) return is_key(q, value);
    SearchKey *key = search_new_key(q->p, KEY_LABEL);
    key->text = search_label(&q->p->s->arena, value);
    return key;
}

static SearchKey *time_key(Query *q, bool before, Slice value)
{
    int64_t days;
    uint64_t seconds;
    if (read_day(value, &days)) return number(q, before ? KEY_BEFORE : KEY_SINCE, (uint64_t)days);
    if (!slice_to_u64(value, &seconds) || seconds > INT64_MAX) return NULL;
    return number(q, before ? KEY_BEFORE_TIME : KEY_SINCE_TIME, seconds);
}

static SearchKey *size_key(Query *q, bool larger, Slice value)
{
    uint64_t octets;
    if (!read_size(value, &octets)) return NULL;
    return number(q, larger ? KEY_LARGER : KEY_SMALLER, octets);
}

static SearchKey *age_key(Query *q, bool older, Slice value)
{
    uint64_t seconds;
    if (!read_age(value, &seconds)) return NULL;
    return number(q, older ? KEY_OLDER : KEY_YOUNGER, seconds);
}

/* ---- one term ---- */

typedef enum {
    OP_FROM,
    OP_TO,
    OP_CC,
    OP_BCC,
    OP_SUBJECT,
    OP_LIST,
    OP_FILENAME,
    OP_MSGID,
    OP_LABEL,
    OP_IS,
    OP_HAS,
    OP_BEFORE,
    OP_AFTER,
    OP_OLDER,
    OP_NEWER,
    OP_LARGER,
    OP_SMALLER,
} Operator;
static const struct {
    const char *word;
    Operator op;
} operators[] = {
    {"from",        OP_FROM    },
    {"to",          OP_TO      },
    {"cc",          OP_CC      },
    {"bcc",         OP_BCC     },
    {"subject",     OP_SUBJECT },
    {"list",        OP_LIST    },
    {"filename",    OP_FILENAME},
    {"rfc822msgid", OP_MSGID   },
    {"label",       OP_LABEL   },
    {"in",          OP_LABEL   },
    {"is",          OP_IS      },
    {"has",         OP_HAS     },
    {"before",      OP_BEFORE  },
    {"older",       OP_BEFORE  },
    {"after",       OP_AFTER   },
    {"newer",       OP_AFTER   },
    {"older_than",  OP_OLDER   },
    {"newer_than",  OP_NEWER   },
    {"larger",      OP_LARGER  },
    {"size",        OP_LARGER  },
    {"smaller",     OP_SMALLER },
};

static SearchKey *operator_key(Query *q, Operator op, Slice value)
{
    switch (op) {
    case OP_FROM:
        return leaf(q, KEY_FROM, value);
    case OP_TO:
        return either(q, leaf(q, KEY_TO, value), leaf(q, KEY_CC, value));
    case OP_CC:
        return leaf(q, KEY_CC, value);
    case OP_BCC:
        return leaf(q, KEY_BCC, value);
    case OP_SUBJECT:
        return leaf(q, KEY_SUBJECT, value);
    case OP_LIST:
        return header(q, "List-Id", value);
    case OP_FILENAME:
        return search_attachment(q->p, KEY_ATTACHMENT_NAME, search_fold(q->p, value));
    case OP_MSGID:
        return header(q, "Message-ID", value);
    case OP_LABEL:
        return label_key(q, value);
    case OP_IS:
        return is_key(q, value);
    case OP_HAS:
        return is(value, "attachment") ? search_new_key(q->p, KEY_HAS_ATTACHMENT) : NULL;
    case OP_BEFORE:
    case OP_AFTER:
        return time_key(q, op == OP_BEFORE, value);
    case OP_OLDER:
    case OP_NEWER:
        return age_key(q, op == OP_OLDER, value);
    case OP_LARGER:
    case OP_SMALLER:
        return size_key(q, op == OP_LARGER, value);
    }
    return NULL;
}

/* NULL: there is no such operator, or it does not take that. */
static SearchKey *known(Query *q, Slice op, Slice value)
{
    for (size_t i = 0; i < COUNT(operators); i++)
        if (is(op, operators[i].word)) return operator_key(q, operators[i].op, value);
    return NULL;
}

static bool is_operator(Slice op)
{
    for (size_t i = 0; i < COUNT(operators); i++)
        if (is(op, operators[i].word)) return true;
    return false;
}

/* ---- groups ---- */

static Group *top(Query *q)
{
    return &q->groups[q->depth - 1];
}

static void settle(Group *g)
{
    if (g->last) search_add_child(g->all, g->last);
    g->last = NULL;
}

/* OR is about its two neighbours and binds before the rest; of several, all are one. */
static void add_term(Query *q, SearchKey *key)
{
    Group *g = top(q);
    if (g->or_follows && g->last && g->last->type == KEY_OR && g->last->flags)
        search_add_child(g->last, key);
    else if (g->or_follows && g->last)
        g->last = either(q, g->last, key), g->last->flags = 1; /* made here: it may grow */
    else
        settle(g), g->last = key;
    g->or_follows = false;
}

static void open_group(Query *q, char begins, Slice op, bool negated)
{
    if (q->depth == GROUPS_MOST) return; /* as if there were no parenthesis */
    bool any = begins == '{';
    Slice above = q->depth ? top(q)->op : (Slice){0};
    q->groups[q->depth++] = (Group){.all = search_new_key(q->p, any ? KEY_OR : KEY_AND),
                                    .negated = negated,
                                    .op = op.len ? op : above,
                                    .end = any ? '}' : ')'};
}

/* An empty group is none; one of a single member is that member. */
static SearchKey *close_group(Query *q)
{
    Group *g = top(q);
    settle(g);
    q->depth--;
    SearchKey *key = g->all;
    if (!key->child) return NULL;
    if (!key->child->next) key = key->child;
    return g->negated ? search_negate(q->p, key) : key;
}

static void close_one(Query *q)
{
    SearchKey *key = close_group(q);
    if (key) add_term(q, key);
}

/* ---- words ---- */

static bool ends_word(char c)
{
    return c == ' ' || c == '\t' || c == '(' || c == ')' || c == '{' || c == '}' || c == '"';
}

static Slice quoted(Query *q)
{
    q->rest = slice_from(q->rest, 1);
    Slice text = slice_first(q->rest, slice_find(q->rest, '"'));
    q->rest = slice_from(q->rest, text.len + 1);
    return text;
}

static Slice word(Query *q)
{
    size_t n = 0;
    while (n < q->rest.len && !ends_word(q->rest.at[n]))
        n++;
    Slice text = slice_first(q->rest, n);
    q->rest = slice_from(q->rest, n);
    return text;
}

static bool at(const Query *q, char c)
{
    return q->rest.len && q->rest.at[0] == c;
}

static void add_words(Query *q, Slice op, Slice value, Slice as_written, bool negated)
{
    SearchKey *key = op.len ? known(q, op, value) : NULL;
    if (!key && !as_written.len) return;
    if (!key) key = leaf(q, KEY_TEXT, as_written);
    add_term(q, negated ? search_negate(q->p, key) : key);
}

/* A word; with an operator what it is about may follow the colon as a quoted text or a group. */
static void term(Query *q, bool negated)
{
    Slice op = top(q)->op;
    if (at(q, '"')) {
        Slice text = quoted(q);
        add_words(q, op, text, text, negated);
        return;
    }
    Slice text = word(q);
    size_t colon = slice_find(text, ':');
    Slice name = slice_first(text, colon), value = slice_from(text, colon + 1);
    if (colon == text.len || !is_operator(name)) {
        add_words(q, op, text, text, negated);
    } else if (!value.len && (at(q, '(') || at(q, '{'))) {
        char begins = q->rest.at[0];
        q->rest = slice_from(q->rest, 1);
        open_group(q, begins, name, negated);
    } else {
        if (!value.len && at(q, '"')) value = quoted(q);
        add_words(q, name, value, text, negated);
    }
}

static bool is_or(Query *q)
{
    Slice rest = q->rest;
    bool named = slice_starts(rest, S("OR")) && (rest.len == 2 || ends_word(rest.at[2]));
    if (!named && !at(q, '|')) return false;
    q->rest = slice_from(rest, named ? 2 : 1);
    return true;
}

static void step(Query *q)
{
    char c = q->rest.at[0];
    if (c == ' ' || c == '\t') {
        q->rest = slice_from(q->rest, 1);
        return;
    }
    if (c == ')' || c == '}') { /* one that nothing has opened is passed over */
        q->rest = slice_from(q->rest, 1);
        if (q->depth > 1 && top(q)->end == c) close_one(q);
        return;
    }
    if (is_or(q)) {
        top(q)->or_follows = true;
        return;
    }
    bool negated = c == '-' && q->rest.len > 1 && q->rest.at[1] != ' ';
    if (negated) q->rest = slice_from(q->rest, 1);
    if (at(q, '(') || at(q, '{')) {
        c = q->rest.at[0];
        q->rest = slice_from(q->rest, 1);
        open_group(q, c, (Slice){0}, negated);
        return;
    }
    term(q, negated);
}

SearchKey *search_gmail_query(KeyParser *p, Slice query)
{
    Query *q = arena_new(&p->s->arena, Query);
    *q = (Query){.p = p, .rest = query};
    open_group(q, '(', (Slice){0}, false);
    while (q->rest.len && !imap_syntax(p->in))
        step(q);
    while (q->depth > 1)
        close_one(q);
    SearchKey *key = close_group(q);
    return key ? key : search_new_key(p, KEY_ALL);
}
