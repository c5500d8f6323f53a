/* One search key each: RFC 9051 6.4.4 and the extensions that add to it. */
#include "imap/annotate.h"
#include "imap/gmail.h"
#include "imap/search_parse.h"

#include "mail/header.h"

enum { KEYS_MOST = 2000 };

/* ---- cheap questions first ---- */

static const uint8_t asked_of[] = {
#define KEY(name, asked) [KEY_##name] = ASK_##asked,
#include "imap/search_key.def"
#undef KEY
};

AskedOf search_asked_of(KeyType type)
{
    return (AskedOf)asked_of[type];
}

static AskedOf cost_of(const SearchKey *key)
{
    AskedOf most = search_asked_of(key->type);
    for (const SearchKey *c = key->child; c; c = c->next)
        most = MAX(most, c->cost);
    return most;
}

void search_add_child(SearchKey *parent, SearchKey *child)
{
    SearchKey **at = &parent->child;
    child->cost = cost_of(child);
    while (*at && (*at)->cost <= child->cost)
        at = &(*at)->next;
    child->next = *at;
    *at = child;
}

SearchKey *search_new_key(KeyParser *p, KeyType type)
{
    SearchKey *key = arena_new(&p->s->arena, SearchKey);
    key->type = type;
    if (++p->keys > KEYS_MOST) imap_mistake(p->in, "Too many search keys");
    return key;
}

SearchKey *search_negate(KeyParser *p, SearchKey *key)
{
    SearchKey *not = search_new_key(p, KEY_NOT);
    search_add_child(not, key);
    return not ;
}

/* ---- strings ---- */

/* RFC 9051 6.4.4: strings are in the charset named. */
static Slice fold_with(KeyParser *p, Collation collation, Slice given)
{
    Buf utf8 buf_scoped = {0}, folded buf_scoped = {0};
    if (p->charset) {
        charset_to_utf8(p->charset, given, &utf8);
        given = buf_slice(&utf8);
    }
    comparator_folder(collation)(&folded, given);
    return arena_copy(&p->s->arena, buf_slice(&folded));
}

/* We compare after i;unicode-casemap (RFC 5051). */
Slice search_fold(KeyParser *p, Slice given)
{
    return fold_with(p, COMPARE_UNICODE_CASEMAP, given);
}

static Slice field_of(const SearchKey *key)
{
    switch ((int)key->type) {
    case KEY_FROM:
        return S("From");
    case KEY_TO:
        return S("To");
    case KEY_CC:
        return S("Cc");
    case KEY_BCC:
        return S("Bcc");
    case KEY_SUBJECT:
        return S("Subject");
    default:
        return key->field;
    }
}

/* RFC 5255 4.2: the active comparator applies. What is the same octet by octet, or but for the case
 * of ASCII, is the same after i;unicode-casemap, too: so columns and index say who may fit, and
 * those are asked again. */
static SearchKey *compared(KeyParser *p, SearchKey *key, Slice given)
{
    Collation collation = p->s->comparator.collation;
    if (collation == COMPARE_UNICODE_CASEMAP || !key->text.len) return key;
    bool of_text = key->type == KEY_BODY || key->type == KEY_TEXT;
    SearchKey *both = search_new_key(p, KEY_AND);
    SearchKey *exact = search_new_key(p, of_text ? KEY_EXACT_TEXT : KEY_EXACT_HEADER);
    exact->field = field_of(key);
    exact->text = fold_with(p, collation, given);
    exact->number = collation;
    exact->flags = key->type == KEY_BODY;
    search_add_child(both, key);
    search_add_child(both, exact);
    return both;
}

/* ---- the table of keys ---- */

typedef enum {
    TAKES_NOTHING,
    TAKES_STRING,
    TAKES_DATE,
    TAKES_NUMBER,
    TAKES_SECONDS, /* nz-number */
    TAKES_KEYWORD,
    TAKES_OBJECT_ID,
    TAKES_MESSAGE_ID,
    TAKES_ALGORITHM, /* that RETURN named */
} Takes;
typedef struct {
    const char *word;
    KeyType type;
    Takes takes;
    uint8_t flags;
    bool negated;
} KeyRow;

/* Longer words stand before those they begin with. SAVEDATESUPPORTED (RFC 8514 4.3) is all of them:
 * every mailbox here knows the date. */
static const KeyRow rows[] = {
    {"ALL",               KEY_ALL,          TAKES_NOTHING,    0,             false},
    {"ANSWERED",          KEY_FLAG,         TAKES_NOTHING,    FLAG_ANSWERED, false},
    {"BCC",               KEY_BCC,          TAKES_STRING,     0,             false},
    {"BEFORE",            KEY_BEFORE,       TAKES_DATE,       0,             false},
    {"BODY",              KEY_BODY,         TAKES_STRING,     0,             false},
    {"CC",                KEY_CC,           TAKES_STRING,     0,             false},
    {"DELETED",           KEY_FLAG,         TAKES_NOTHING,    FLAG_DELETED,  false},
    {"DRAFT",             KEY_FLAG,         TAKES_NOTHING,    FLAG_DRAFT,    false},
    {"EMAILID",           KEY_EMAILID,      TAKES_OBJECT_ID,  0,             false},
    {"FLAGGED",           KEY_FLAG,         TAKES_NOTHING,    FLAG_FLAGGED,  false},
    {"FROM",              KEY_FROM,         TAKES_STRING,     0,             false},
    {"KEYWORD",           KEY_KEYWORD,      TAKES_KEYWORD,    0,             false},
    {"LARGER",            KEY_LARGER,       TAKES_NUMBER,     0,             false},
    {"MESSAGEID",         KEY_MESSAGEID,    TAKES_MESSAGE_ID, 0,             false},
    {"OLDER",             KEY_OLDER,        TAKES_SECONDS,    0,             false},
    {"OLD",               KEY_RECENT,       TAKES_NOTHING,    0,             true },
    {"ON",                KEY_ON,           TAKES_DATE,       0,             false},
    {"RECENT",            KEY_RECENT,       TAKES_NOTHING,    0,             false},
    {"SAVEDATESUPPORTED", KEY_ALL,          TAKES_NOTHING,    0,             false},
    {"SAVEDBEFORE",       KEY_SAVED_BEFORE, TAKES_DATE,       0,             false},
    {"SAVEDON",           KEY_SAVED_ON,     TAKES_DATE,       0,             false},
    {"SAVEDSINCE",        KEY_SAVED_SINCE,  TAKES_DATE,       0,             false},
    {"SEEN",              KEY_FLAG,         TAKES_NOTHING,    FLAG_SEEN,     false},
    {"SENTBEFORE",        KEY_SENT_BEFORE,  TAKES_DATE,       0,             false},
    {"SENTON",            KEY_SENT_ON,      TAKES_DATE,       0,             false},
    {"SENTSINCE",         KEY_SENT_SINCE,   TAKES_DATE,       0,             false},
    {"SINCE",             KEY_SINCE,        TAKES_DATE,       0,             false},
    {"SMALLER",           KEY_SMALLER,      TAKES_NUMBER,     0,             false},
    {"SUBJECT",           KEY_SUBJECT,      TAKES_STRING,     0,             false},
    {"TEXT",              KEY_TEXT,         TAKES_STRING,     0,             false},
    {"THREADID",          KEY_THREADID,     TAKES_OBJECT_ID,  0,             false},
    {"THREADLEAF",        KEY_THREADLEAF,   TAKES_ALGORITHM,  0,             false},
    {"THREADROOT",        KEY_THREADROOT,   TAKES_ALGORITHM,  0,             false},
    {"TO",                KEY_TO,           TAKES_STRING,     0,             false},
    {"UNANSWERED",        KEY_FLAG,         TAKES_NOTHING,    FLAG_ANSWERED, true },
    {"UNDELETED",         KEY_FLAG,         TAKES_NOTHING,    FLAG_DELETED,  true },
    {"UNDRAFT",           KEY_FLAG,         TAKES_NOTHING,    FLAG_DRAFT,    true },
    {"UNFLAGGED",         KEY_FLAG,         TAKES_NOTHING,    FLAG_FLAGGED,  true },
    {"UNKEYWORD",         KEY_KEYWORD,      TAKES_KEYWORD,    0,             true },
    {"UNSEEN",            KEY_FLAG,         TAKES_NOTHING,    FLAG_SEEN,     true },
    {"YOUNGER",           KEY_YOUNGER,      TAKES_SECONDS,    0,             false},
};

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

/* draft-ietf-morg-inthread 3.4: "<" id-left "@" id-right ">"; we take it as a string, too. */
PARKS static Slice message_id(KeyParser *p)
{
    Slice given, *ids;
    if (imap_peek(p->in) == '<') {
        given = scan_until(&p->in->scan, '>');
        imap_need(p->in, ">");
        if (!imap_syntax(p->in)) given.len++;
    } else {
        given = imap_astring(p->in);
    }
    if (header_message_ids(&p->s->arena, given, &ids)) return ids[0];
    imap_mistake(p->in, "That is no Message-ID");
    return S("");
}

PARKS static SearchKey *from_row(KeyParser *p, const KeyRow *row)
{
    In *in = p->in;
    Slice given = {0};
    SearchKey *key = search_new_key(p, row->type);
    key->flags = row->flags;
    if (row->takes != TAKES_NOTHING && row->takes != TAKES_ALGORITHM) imap_space(in);
    switch (row->takes) {
    case TAKES_NOTHING:
        break;
    case TAKES_STRING:
        given = imap_astring(in);
        key->text = search_fold(p, given);
        ask_presence(key);
        key = compared(p, key, given);
        break;
    case TAKES_DATE:
        key->number = (uint64_t)imap_date(in);
        break;
    case TAKES_NUMBER:
        key->number = imap_number64(in);
        break;
    case TAKES_SECONDS:
        key->number = imap_nz_number(in);
        break;
    case TAKES_KEYWORD:
        key->text = imap_atom(in);
        break;
    case TAKES_OBJECT_ID:
        key->text = imap_object_id(in);
        break;
    case TAKES_MESSAGE_ID:
        key->text = message_id(p);
        break;
    case TAKES_ALGORITHM:
        key->number = p->search->algorithm;
        break;
    }
    return row->negated ? search_negate(p, key) : key;
}

/* ---- keys with a form of their own ---- */

static SearchKey *set_key(KeyParser *p, bool uids_given)
{
    SearchKey *key = search_new_key(p, KEY_SET);
    key->set = imap_sequence_set(p->in);
    key->of_uids = uids_given;
    if (!uids_given && !key->set.saved) {
        p->s->uses_numbers = true;
        if (imap_has(p->s, ENABLED_UIDONLY)) /* RFC 9586 3 */
            imap_mistake(p->in, "[UIDREQUIRED] UIDONLY is enabled: say UID before the set");
    }
    return key;
}

/* X-GM-EXT-1: "X-GM-MSGID" SP number, "X-GM-THRID" SP number, "X-GM-LABELS" SP label */
PARKS static SearchKey *gmail_key(KeyParser *p)
{
    bool message = imap_see(p->in, "MSGID "), thread = !message && imap_see(p->in, "THRID ");
    SearchKey *key = search_new_key(p, message ? KEY_EMAILID : thread ? KEY_THREADID : KEY_LABEL);
    if (message || thread) {
        Buf id buf_scoped = {0};
        uint64_t n = imap_number64(p->in);
        imap_put_object_id(&id, message ? OBJECT_EMAIL : OBJECT_THREAD, (uint32_t)(n >> 32),
                           n & UINT32_MAX);
        key->text = arena_copy(&p->s->arena, buf_slice(&id));
        return key;
    }
    imap_need(p->in, "LABELS ");
    Slice label = gmail_label(p->in);
    if (slice_eq_nocase(label, S("\\Starred"))) {
        key->type = KEY_FLAG;
        key->flags = FLAG_FLAGGED;
    }
    if (slice_starts(label, S("\\"))) label = slice_from(label, 1);
    key->text = search_label(&p->s->arena, label);
    return key;
}

/* RFC 9738 3.2: "UIDAFTER" SP uniqueid, "UIDBEFORE" SP uniqueid */
static SearchKey *uid_range(KeyParser *p, bool after)
{
    SearchKey *key = search_new_key(p, KEY_SET);
    UidRange *range = arena_new(&p->s->arena, UidRange);
    uint32_t uid = imap_nz_number(p->in);
    *range = after ? (UidRange){uid + 1, UINT32_MAX} : (UidRange){1, uid - 1};
    key->of_uids = true;
    key->set = (ImapSet){.ranges = range, .count = (after ? uid < UINT32_MAX : uid > 1) ? 1 : 0};
    return key;
}

/* RFC 7162 3.1.5: "MODSEQ" [SP entry-name SP entry-type-req] SP mod-sequence-valzer. All metadata
 * of a message have one mod-sequence here, so the entry only has to be well formed. */
PARKS static SearchKey *modseq_key(KeyParser *p)
{
    In *in = p->in;
    SearchKey *key = search_new_key(p, KEY_MODSEQ);
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
PARKS static SearchKey *header_key(KeyParser *p)
{
    SearchKey *key = search_new_key(p, KEY_HEADER);
    key->field = imap_astring(p->in);
    imap_space(p->in);
    Slice given = imap_astring(p->in);
    key->text = search_fold(p, given);
    if (key->text.len) key->type = column_of(key->field);
    return compared(p, key, given);
}

/* Cyrus's words (SEARCH=X): "XATTACHMENTNAME" SP astring, "XATTACHMENTBODY" SP astring. Of names,
 * those of all parts; of bodies, those of attachments that are text/... (HTML without its tags) or
 * messages. What else may be attached is not read. */
SearchKey *search_attachment(KeyParser *p, KeyType type, Slice folded)
{
    SearchKey *both = search_new_key(p, KEY_AND), *text = search_new_key(p, type);
    KeyType first = type == KEY_ATTACHMENT_NAME ? KEY_HAS_FILE_NAME : KEY_HAS_ATTACHMENT;
    text->text = folded;
    search_add_child(both, search_new_key(p, first)); /* costs less */
    search_add_child(both, text);
    return both;
}

static SearchKey *new_messages(KeyParser *p)
{
    SearchKey *both = search_new_key(p, KEY_AND), *seen = search_new_key(p, KEY_FLAG);
    seen->flags = FLAG_SEEN;
    search_add_child(both, search_new_key(p, KEY_RECENT));
    search_add_child(both, search_negate(p, seen));
    return both;
}

static bool begins_set(int c)
{
    return c == '*' || c == '$' || (c >= '0' && c <= '9');
}

/* RFC 5257 5: "ANNOTATION" SP entry-match SP att-search SP value */
PARKS static SearchKey *annotation_key(KeyParser *p)
{
    SearchKey *key = search_new_key(p, KEY_ANNOTATION);
    key->field = annotate_entry(p->in, true);
    imap_space(p->in);
    key->number = annotate_value_attribute(p->in, true);
    imap_space(p->in);
    Slice value = imap_is_at_string(p->in) ? imap_value(p->in) : imap_astring(p->in);
    key->text = search_fold(p, value);
    return key;
}

PARKS SearchKey *search_simple_key(KeyParser *p)
{
    In *in = p->in;
    if (begins_set(imap_peek(in))) return set_key(p, false);
    if (imap_see(in, "UID ")) return set_key(p, true);
    if (p->s->config && p->s->config->message_limit && imap_see(in, "UIDAFTER "))
        return uid_range(p, true);
    if (p->s->config && p->s->config->message_limit && imap_see(in, "UIDBEFORE "))
        return uid_range(p, false);
    if (imap_see(in, "MODSEQ ")) return modseq_key(p);
    if (imap_see(in, "HEADER ")) return header_key(p);
    if (imap_see(in, "ANNOTATION ")) return annotation_key(p);
    if (imap_see(in, "NEW")) return new_messages(p);
    if (imap_see(in, "FILTER ")) return search_filter_key(p);
    if (p->s->config && p->s->config->gmail && imap_see(in, "X-GM-RAW "))
        return search_gmail_query(p, imap_astring(in));
    if (p->s->config && p->s->config->gmail && imap_see(in, "X-GM-")) return gmail_key(p);
    if (imap_see(in, "XATTACHMENTNAME "))
        return search_attachment(p, KEY_ATTACHMENT_NAME, search_fold(p, imap_astring(in)));
    if (imap_see(in, "XATTACHMENTBODY "))
        return search_attachment(p, KEY_ATTACHMENT_TEXT, search_fold(p, imap_astring(in)));
    for (size_t i = 0; i < COUNT(rows); i++)
        if (imap_see(in, rows[i].word)) return from_row(p, &rows[i]);
    imap_mistake(in, "Unknown search key");
    return search_new_key(p, KEY_ALL);
}
