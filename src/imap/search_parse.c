#include "imap/search.h"

#include "mail/casemap.h"
#include "mail/charset.h"

enum { DEPTH_MOST = 50, KEYS_MOST = 2000 };

/* What waits for keys: the whole program and "(" take any number, NOT takes one, OR two or more. */
typedef struct {
    SearchKey *key;
    int wants; /* 0: any number */
} Frame;

typedef struct {
    Imap *s;
    Search *search;
    const Charset *charset; /* NULL: UTF-8 (or US-ASCII) */
    Frame frames[DEPTH_MOST];
    size_t depth, keys;
} Parser;

/* ---- strings ---- */

/* RFC 9051 6.4.4: strings are in the charset named; we compare after i;unicode-casemap (RFC 5051).
 */
PARKS static Slice text(Parser *p)
{
    Buf utf8 buf_scoped = {0}, folded buf_scoped = {0};
    Slice given = imap_astring(p->s->in);
    if (p->charset) {
        charset_to_utf8(p->charset, given, &utf8);
        given = buf_slice(&utf8);
    }
    casemap(&folded, given);
    return arena_copy(&p->s->arena, buf_slice(&folded));
}

/* ---- cheap questions first ---- */

static int cost_of(const SearchKey *key)
{
    int most = 0;
    switch (key->type) {
    case KEY_BODY:
    case KEY_TEXT:
        return 4;
    case KEY_HEADER:
        return 3;
    case KEY_FROM:
    case KEY_TO:
    case KEY_CC:
    case KEY_BCC:
    case KEY_SUBJECT:
    case KEY_SENT_BEFORE:
    case KEY_SENT_ON:
    case KEY_SENT_SINCE:
        return 2;
    case KEY_AND:
    case KEY_OR:
    case KEY_NOT:
        for (const SearchKey *c = key->child; c; c = c->next)
            most = MAX(most, c->cost);
        return most;
    case KEY_ALL:
    case KEY_FLAG:
    case KEY_KEYWORD:
    case KEY_RECENT:
    case KEY_SET:
    case KEY_BEFORE:
    case KEY_ON:
    case KEY_SINCE:
    case KEY_LARGER:
    case KEY_SMALLER:
    case KEY_MODSEQ:
        return 1;
    }
    return 1;
}

/* The child goes behind those that cost as much or less. */
static void add_child(SearchKey *parent, SearchKey *child)
{
    SearchKey **at = &parent->child;
    child->cost = cost_of(child);
    while (*at && (*at)->cost <= child->cost)
        at = &(*at)->next;
    child->next = *at;
    *at = child;
}

/* ---- the table of keys ---- */

typedef enum { TAKES_NOTHING, TAKES_STRING, TAKES_DATE, TAKES_NUMBER, TAKES_KEYWORD } Takes;
typedef struct {
    const char *word;
    KeyType type;
    Takes takes;
    uint8_t flags;
    bool negated;
} KeyRow;

/* Longer words stand before those they begin with. */
static const KeyRow rows[] = {
    {"ALL",        KEY_ALL,         TAKES_NOTHING, 0,             false},
    {"ANSWERED",   KEY_FLAG,        TAKES_NOTHING, FLAG_ANSWERED, false},
    {"BCC",        KEY_BCC,         TAKES_STRING,  0,             false},
    {"BEFORE",     KEY_BEFORE,      TAKES_DATE,    0,             false},
    {"BODY",       KEY_BODY,        TAKES_STRING,  0,             false},
    {"CC",         KEY_CC,          TAKES_STRING,  0,             false},
    {"DELETED",    KEY_FLAG,        TAKES_NOTHING, FLAG_DELETED,  false},
    {"DRAFT",      KEY_FLAG,        TAKES_NOTHING, FLAG_DRAFT,    false},
    {"FLAGGED",    KEY_FLAG,        TAKES_NOTHING, FLAG_FLAGGED,  false},
    {"FROM",       KEY_FROM,        TAKES_STRING,  0,             false},
    {"KEYWORD",    KEY_KEYWORD,     TAKES_KEYWORD, 0,             false},
    {"LARGER",     KEY_LARGER,      TAKES_NUMBER,  0,             false},
    {"OLD",        KEY_RECENT,      TAKES_NOTHING, 0,             true },
    {"ON",         KEY_ON,          TAKES_DATE,    0,             false},
    {"RECENT",     KEY_RECENT,      TAKES_NOTHING, 0,             false},
    {"SEEN",       KEY_FLAG,        TAKES_NOTHING, FLAG_SEEN,     false},
    {"SENTBEFORE", KEY_SENT_BEFORE, TAKES_DATE,    0,             false},
    {"SENTON",     KEY_SENT_ON,     TAKES_DATE,    0,             false},
    {"SENTSINCE",  KEY_SENT_SINCE,  TAKES_DATE,    0,             false},
    {"SINCE",      KEY_SINCE,       TAKES_DATE,    0,             false},
    {"SMALLER",    KEY_SMALLER,     TAKES_NUMBER,  0,             false},
    {"SUBJECT",    KEY_SUBJECT,     TAKES_STRING,  0,             false},
    {"TEXT",       KEY_TEXT,        TAKES_STRING,  0,             false},
    {"TO",         KEY_TO,          TAKES_STRING,  0,             false},
    {"UNANSWERED", KEY_FLAG,        TAKES_NOTHING, FLAG_ANSWERED, true },
    {"UNDELETED",  KEY_FLAG,        TAKES_NOTHING, FLAG_DELETED,  true },
    {"UNDRAFT",    KEY_FLAG,        TAKES_NOTHING, FLAG_DRAFT,    true },
    {"UNFLAGGED",  KEY_FLAG,        TAKES_NOTHING, FLAG_FLAGGED,  true },
    {"UNKEYWORD",  KEY_KEYWORD,     TAKES_KEYWORD, 0,             true },
    {"UNSEEN",     KEY_FLAG,        TAKES_NOTHING, FLAG_SEEN,     true },
};

static SearchKey *new_key(Parser *p, KeyType type)
{
    SearchKey *key = arena_new(&p->s->arena, SearchKey);
    key->type = type;
    if (++p->keys > KEYS_MOST) imap_mistake(p->s->in, "Too many search keys");
    return key;
}

static SearchKey *negate(Parser *p, SearchKey *key)
{
    SearchKey *not = new_key(p, KEY_NOT);
    add_child(not, key);
    return not ;
}

/* FROM "" and its like: no string is in a field that is not there, so it asks whether the field is
 * there, as HEADER From "" does. */
static void ask_presence(SearchKey *key)
{
    static const char *const fields[] = {[KEY_FROM] = "From",
                                         [KEY_TO] = "To",
                                         [KEY_CC] = "Cc",
                                         [KEY_BCC] = "Bcc",
                                         [KEY_SUBJECT] = "Subject"};
    if (key->text.len || key->type >= COUNT(fields) || !fields[key->type]) return;
    key->field = slice_of(fields[key->type]);
    key->type = KEY_HEADER;
}

PARKS static SearchKey *from_row(Parser *p, const KeyRow *row)
{
    In *in = p->s->in;
    SearchKey *key = new_key(p, row->type);
    key->flags = row->flags;
    if (row->takes != TAKES_NOTHING) imap_space(in);
    switch (row->takes) {
    case TAKES_NOTHING:
        break;
    case TAKES_STRING:
        key->text = text(p);
        ask_presence(key);
        break;
    case TAKES_DATE:
        key->number = (uint64_t)imap_date(in);
        break;
    case TAKES_NUMBER:
        key->number = imap_number64(in);
        break;
    case TAKES_KEYWORD:
        key->text = imap_atom(in);
        break;
    }
    return row->negated ? negate(p, key) : key;
}

/* ---- keys with a form of their own ---- */

static SearchKey *set_key(Parser *p, bool uids_given)
{
    SearchKey *key = new_key(p, KEY_SET);
    key->set = imap_sequence_set(p->s->in);
    key->of_uids = uids_given;
    if (!uids_given && !key->set.saved) {
        p->s->uses_numbers = true;
        if (imap_has(p->s, ENABLED_UIDONLY)) /* RFC 9586 3 */
            imap_mistake(p->s->in, "[UIDREQUIRED] UIDONLY is enabled: say UID before the set");
    }
    return key;
}

/* RFC 7162 3.1.5: "MODSEQ" [SP entry-name SP entry-type-req] SP mod-sequence-valzer. All metadata
 * of a message have one mod-sequence here, so the entry only has to be well formed. */
PARKS static SearchKey *modseq_key(Parser *p)
{
    In *in = p->s->in;
    SearchKey *key = new_key(p, KEY_MODSEQ);
    if (imap_peek(in) == '"') {
        imap_string(in);
        imap_space(in);
        if (!imap_see(in, "all") && !imap_see(in, "priv")) imap_need(in, "shared");
        imap_space(in);
    }
    key->number = imap_number64(in);
    p->search->uses_modseq = true;
    return key;
}

/* Fields that the summary has a column of. */
static KeyType column_of(Slice field)
{
    static const struct {
        const char *field;
        KeyType type;
    } columns[] = {
        {"From",    KEY_FROM   },
        {"To",      KEY_TO     },
        {"Cc",      KEY_CC     },
        {"Bcc",     KEY_BCC    },
        {"Subject", KEY_SUBJECT}
    };
    for (size_t i = 0; i < COUNT(columns); i++)
        if (slice_eq_nocase(field, slice_of(columns[i].field))) return columns[i].type;
    return KEY_HEADER;
}

/* "HEADER" SP header-fld-name SP astring. An empty string asks whether the field is there, which a
 * column cannot say. */
PARKS static SearchKey *header_key(Parser *p)
{
    SearchKey *key = new_key(p, KEY_HEADER);
    key->field = imap_astring(p->s->in);
    imap_space(p->s->in);
    key->text = text(p);
    if (key->text.len) key->type = column_of(key->field);
    return key;
}

static SearchKey *new_messages(Parser *p)
{
    SearchKey *both = new_key(p, KEY_AND), *seen = new_key(p, KEY_FLAG);
    seen->flags = FLAG_SEEN;
    add_child(both, new_key(p, KEY_RECENT));
    add_child(both, negate(p, seen));
    return both;
}

static bool begins_set(int c)
{
    return c == '*' || c == '$' || (c >= '0' && c <= '9');
}

PARKS static SearchKey *simple_key(Parser *p)
{
    In *in = p->s->in;
    if (begins_set(imap_peek(in))) return set_key(p, false);
    if (imap_see(in, "UID ")) return set_key(p, true);
    if (imap_see(in, "MODSEQ ")) return modseq_key(p);
    if (imap_see(in, "HEADER ")) return header_key(p);
    if (imap_see(in, "NEW")) return new_messages(p);
    for (size_t i = 0; i < COUNT(rows); i++)
        if (imap_see(in, rows[i].word)) return from_row(p, &rows[i]);
    imap_mistake(in, "Unknown search key");
    return new_key(p, KEY_ALL);
}

/* ---- the program ---- */

static void push(Parser *p, KeyType type, int wants)
{
    if (p->depth == DEPTH_MOST) {
        imap_mistake(p->s->in, "Search keys nest too deep");
        return;
    }
    Frame *f = &p->frames[p->depth++];
    f->key = new_key(p, type);
    f->wants = wants;
}

/* "OR" begins. Clients that look for many things chain it: OR a OR b OR c d. Such a chain is one OR
 * of many: the inner one brings two keys where the outer one wanted one. */
static void push_or(Parser *p)
{
    Frame *f = &p->frames[p->depth - 1];
    if (f->key->type == KEY_OR)
        f->wants++;
    else
        push(p, KEY_OR, 2);
}

/* A finished key goes to the frame above; NOT and OR that have all they want are finished
 * themselves. */
static void give(Parser *p, SearchKey *key)
{
    for (;;) {
        Frame *f = &p->frames[p->depth - 1];
        add_child(f->key, key);
        if (!f->wants || --f->wants) return;
        key = f->key;
        p->depth--;
    }
}

PARKS static void keys(Parser *p)
{
    In *in = p->s->in;
    push(p, KEY_AND, 0);
    while (!imap_syntax(in)) {
        if (imap_see(in, "(")) {
            push(p, KEY_AND, 0);
            continue;
        }
        if (imap_see(in, "NOT ")) {
            push(p, KEY_NOT, 1);
            continue;
        }
        if (imap_see(in, "OR ")) {
            push_or(p);
            continue;
        }
        give(p, simple_key(p));
        while (p->depth > 1 && !p->frames[p->depth - 1].wants && imap_see(in, ")"))
            give(p, p->frames[--p->depth].key);
        if (imap_at_end(in)) break;
        imap_space(in);
    }
    if (p->depth != 1) imap_mistake(in, "The search program is not finished");
    p->search->key = p->frames[0].key;
}

/* ---- RETURN and CHARSET ---- */

static void return_options(In *in, Search *search)
{
    static const struct {
        const char *word;
        unsigned bit;
    } words[] = {
        {"MIN",   RETURN_MIN  },
        {"MAX",   RETURN_MAX  },
        {"ALL",   RETURN_ALL  },
        {"COUNT", RETURN_COUNT},
        {"SAVE",  RETURN_SAVE }
    };
    search->extended = true;
    while (!imap_see(in, ")") && !imap_syntax(in)) {
        size_t i = 0;
        while (i < COUNT(words) && !imap_see(in, words[i].word))
            i++;
        if (i == COUNT(words))
            imap_mistake(in, "Unknown return option");
        else
            search->wants |= words[i].bit;
        if (imap_peek(in) != ')') {
            imap_space(in);
            if (imap_peek(in) == ')') imap_mistake(in, "A return option is missing");
        }
    }
    if (!search->wants) search->wants = RETURN_ALL;
}

static void set_charset(Parser *p, Slice name)
{
    bool utf8 = slice_eq_nocase(name, S("UTF-8")) || slice_eq_nocase(name, S("US-ASCII"));
    if (utf8) return;
    p->charset = charset_find(name);
    if (!p->charset && !imap_syntax(p->s->in)) p->search->bad_charset = name;
}

static Parser *parser(Imap *s, Search *search)
{
    Parser *p = arena_new(&s->arena, Parser);
    *p = (Parser){.s = s, .search = search};
    return p;
}

PARKS static Err finish(Parser *p)
{
    keys(p);
    TRY(imap_end(p->s->in));
    return p->search->bad_charset.at ? fail(ERR_CHARSET, "unknown charset") : OK;
}

void search_parse_return(Imap *s, Search *search)
{
    if (!imap_see(s->in, "RETURN (")) return;
    return_options(s->in, search);
    imap_space(s->in);
}

/* RFC 5256 5: search-criteria = charset 1*(SP search-key) */
PARKS Err search_parse_criteria(Imap *s, Search *search)
{
    Parser *p = parser(s, search);
    set_charset(p, imap_astring(s->in));
    imap_space(s->in);
    return finish(p);
}

PARKS Err search_parse(Imap *s, Search *search)
{
    Parser *p = parser(s, search);
    imap_space(s->in);
    search_parse_return(s, search);
    if (imap_see(s->in, "CHARSET ")) {
        set_charset(p, imap_astring(s->in));
        imap_space(s->in);
    }
    return finish(p);
}
