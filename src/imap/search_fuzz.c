/* "a SEARCH ..." or "a UID ...": what is understood does not depend on how the octets come, and a
 * program written from what was understood is understood as the same. */
#include "base/text.h"
#include "imap/annotate.h"
#include "imap/parse_fuzz.h"
#include "imap/search.h"
#include "imap/thread.h"

static const char *const words[] = {
    [KEY_ALL] = "ALL",
    [KEY_RECENT] = "RECENT",
    [KEY_KEYWORD] = "KEYWORD ",
    [KEY_BEFORE] = "BEFORE ",
    [KEY_ON] = "ON ",
    [KEY_SINCE] = "SINCE ",
    [KEY_SENT_BEFORE] = "SENTBEFORE ",
    [KEY_SENT_ON] = "SENTON ",
    [KEY_SENT_SINCE] = "SENTSINCE ",
    [KEY_LARGER] = "LARGER ",
    [KEY_SMALLER] = "SMALLER ",
    [KEY_OLDER] = "OLDER ",
    [KEY_YOUNGER] = "YOUNGER ",
    [KEY_MODSEQ] = "MODSEQ ",
    [KEY_ANNOTATION] = "ANNOTATION ",
    [KEY_EMAILID] = "EMAILID ",
    [KEY_THREADID] = "THREADID ",
    [KEY_SAVED_BEFORE] = "SAVEDBEFORE ",
    [KEY_SAVED_ON] = "SAVEDON ",
    [KEY_SAVED_SINCE] = "SAVEDSINCE ",
    [KEY_FROM] = "FROM ",
    [KEY_TO] = "TO ",
    [KEY_CC] = "CC ",
    [KEY_BCC] = "BCC ",
    [KEY_SUBJECT] = "SUBJECT ",
    [KEY_THREADROOT] = "THREADROOT",
    [KEY_THREADLEAF] = "THREADLEAF",
    [KEY_MESSAGEID] = "MESSAGEID ",
    [KEY_HEADER] = "HEADER ",
    [KEY_BODY] = "BODY ",
    [KEY_ATTACHMENT_NAME] = "XATTACHMENTNAME ",
    [KEY_ATTACHMENT_TEXT] = "XATTACHMENTBODY ",
    [KEY_TEXT] = "TEXT ",
};

static void put_literal(Buf *out, Slice s)
{
    buf_printf(out, "{%zu+}\r\n", s.len);
    buf_add(out, s);
}

/* So that taking the quoting away gives the same again. */
static void put_message_id(Buf *out, Slice id)
{
    Buf quoted buf_scoped = {0};
    for (size_t i = 0; i < id.len; i++) {
        if (memchr("\"\\ \t\r\n", id.at[i], 6)) buf_char(&quoted, '\\');
        buf_char(&quoted, id.at[i]);
    }
    put_literal(out, buf_slice(&quoted));
}

static void put_date(Buf *out, int64_t days)
{
    int year;
    unsigned month, day;
    civil_from_days(days, &year, &month, &day);
    buf_printf(out, "%u-%s-%04d", day, month_names[month - 1], year);
}

static void put_set(Buf *out, const SearchKey *key)
{
    if (!key->set.saved && !key->set.count) { /* UIDAFTER the last one that can be */
        must(key->of_uids);
        buf_add(out, S("UIDBEFORE 1"));
        return;
    }
    if (key->of_uids) buf_add(out, S("UID "));
    if (key->set.saved) buf_char(out, '$');
    for (size_t i = 0; i < key->set.count; i++) {
        UidRange r = key->set.ranges[i];
        if (i) buf_char(out, ',');
        r.first ? buf_number(out, r.first) : buf_char(out, '*');
        buf_char(out, ':');
        r.last ? buf_number(out, r.last) : buf_char(out, '*');
    }
}

static void put_flag(Buf *out, uint8_t flag)
{
    buf_add(out, flag == FLAG_SEEN       ? S("SEEN")
                 : flag == FLAG_ANSWERED ? S("ANSWERED")
                 : flag == FLAG_FLAGGED  ? S("FLAGGED")
                 : flag == FLAG_DELETED  ? S("DELETED")
                                         : S("DRAFT"));
}

static void put_simple(Buf *out, const SearchKey *key)
{
    must(!key->child);
    if (key->type == KEY_FLAG) {
        put_flag(out, key->flags);
        return;
    }
    if (key->type == KEY_SET) {
        put_set(out, key);
        return;
    }
    buf_add(out, slice_of(words[key->type]));
    switch ((int)key->type) {
    case KEY_BEFORE:
    case KEY_ON:
    case KEY_SINCE:
    case KEY_SENT_BEFORE:
    case KEY_SENT_ON:
    case KEY_SENT_SINCE:
    case KEY_SAVED_BEFORE:
    case KEY_SAVED_ON:
    case KEY_SAVED_SINCE:
        put_date(out, (int64_t)key->number);
        break;
    case KEY_LARGER:
    case KEY_SMALLER:
    case KEY_OLDER:
    case KEY_YOUNGER:
    case KEY_MODSEQ:
        buf_number(out, key->number);
        break;
    case KEY_KEYWORD:
    case KEY_EMAILID:
    case KEY_THREADID:
        buf_add(out, key->text);
        break;
    case KEY_ANNOTATION:
        put_literal(out, key->field);
        buf_add(out, key->number == ANNOTATE_BOTH      ? S(" value ")
                     : key->number == ANNOTATE_PRIVATE ? S(" value.priv ")
                                                       : S(" value.shared "));
        put_literal(out, key->text);
        break;
    case KEY_HEADER:
        put_literal(out, key->field);
        buf_char(out, ' ');
        put_literal(out, key->text);
        break;
    case KEY_RECENT:
    case KEY_THREADROOT:
    case KEY_THREADLEAF:
        break;
    case KEY_MESSAGEID:
        put_message_id(out, key->text);
        break;
    default:
        put_literal(out, key->text);
    }
}

static void put_key(Buf *out, const SearchKey *key, size_t depth)
{
    must(depth < 60);
    if (key->type == KEY_INTHREAD) {
        buf_add(out, key->number == THREAD_REFS         ? S("INTHREAD REFS ")
                     : key->number == THREAD_REFERENCES ? S("INTHREAD REFERENCES ")
                                                        : S("INTHREAD ORDEREDSUBJECT "));
        put_key(out, key->child, depth + 1);
        return;
    }
    if (search_asked_of(key->type) != ASK_PROGRAM) {
        put_simple(out, key);
        return;
    }
    if (key->type == KEY_ALL) {
        buf_add(out, S("ALL"));
        return;
    }
    must(key->child);
    if (key->child->type == KEY_HAS_ATTACHMENT || key->child->type == KEY_HAS_FILE_NAME) {
        put_simple(out, key->child->next); /* which is one word for both */
        return;
    }
    must((key->type != KEY_NOT && key->type != KEY_FUZZY) || !key->child->next);
    must(key->type != KEY_OR || key->child->next);
    if (key->type == KEY_NOT) buf_add(out, S("NOT "));
    if (key->type == KEY_FUZZY) buf_add(out, S("FUZZY "));
    if (key->type == KEY_AND && depth) buf_char(out, '(');
    for (const SearchKey *c = key->child; c; c = c->next) {
        must(!c->next || c->cost <= c->next->cost);
        if (key->type == KEY_OR && c->next) buf_add(out, S("OR "));
        put_key(out, c, depth + 1);
        if (c->next) buf_char(out, ' ');
    }
    if (key->type == KEY_AND && depth) buf_char(out, ')');
}

PARKS_UNCHECKED static void parse(ParseCase *c, Imap *s)
{
    Search search = {0};
    c->err = search_parse(s, &search);
    must(!c->err || c->err == ERR_SYNTAX || c->err == ERR_LIMIT || c->err == ERR_TOO_BIG ||
         c->err == ERR_CHARSET || c->err == ERR_END || c->err == ERR_NOT_FOUND ||
         c->err == ERR_FORBIDDEN);
    if (c->err) return;
    must(search.extended || !search.wants);
    must(!(search.wants & RETURN_PARTIAL) || search.partial.first <= search.partial.last);
    buf_add(&c->seen, s->by_uid ? S("a UID ") : S("a SEARCH "));
    put_key(&c->seen, search.key, 0);
    buf_add(&c->seen, S("\r\n"));
}

/* NEW is told in other words, which may nest deeper than allowed. Text is told folded, and folding
 * what was beyond ASCII once more may change it (RFC 5051: first title case, then decomposition).
 */
static void check_again(Slice program)
{
    ParseCase again = {.text = program, .piece = 64 * 1024, .parse = parse};
    parse_run(&again);
    must(!again.err || again.err == ERR_SYNTAX || again.err == ERR_LIMIT);
    if (!again.err) must(slice_eq(buf_slice(&again.seen), program));
    buf_done(&again.seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 8 * 1024) return 0;
    Slice text = slice(data + 1, size - 1);
    ParseCase whole = {.text = text, .piece = 64 * 1024, .parse = parse};
    ParseCase cut = {.text = text, .piece = 1 + data[0] % 16, .parse = parse};
    parse_run(&whole);
    parse_run(&cut);
    must(whole.err == cut.err);
    must(slice_eq(buf_slice(&whole.seen), buf_slice(&cut.seen)));
    if (!whole.err && text_is_ascii(text)) check_again(buf_slice(&whole.seen));
    buf_done(&whole.seen);
    buf_done(&cut.seen);
    return 0;
}
