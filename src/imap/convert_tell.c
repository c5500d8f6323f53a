/* CONVERT and UID CONVERT, RFC 5259 6 and 8: the answers. */
#include "imap/convert.h"

typedef struct {
    Imap *s;
    const Convert *convert;
    Arena arena;           /* of one message */
    const ConvertItem *of; /* whose part `part` is, octets and all; NULL: none yet */
    Converted part;
    size_t done, lost;
} Converting;

/* ---- what went wrong: converterror-phrase ---- */

static void put_type(Buf *out, Slice type)
{
    buf_char(out, ' ');
    imap_put_nstring(out, type);
}

static void put_params(const Convert *c, Buf *out)
{
    if (!c->param_count) return;
    buf_add(out, S(" ("));
    for (size_t i = 0; i < c->param_count; i++) {
        if (i) buf_char(out, ' ');
        imap_put_string(out, c->params[i].name);
        buf_char(out, ' ');
        imap_put_string(out, c->params[i].value);
    }
    buf_char(out, ')');
}

static void put_error(const Convert *c, const Converted *part, Buf *out)
{
    buf_add(out, S("(ERROR "));
    imap_put_string(out, slice_of(part->why));
    if (part->state == CONVERT_TEMPFAIL) {
        buf_add(out, S(" TEMPFAIL)"));
        return;
    }
    bool missing = part->state == CONVERT_MISSING;
    buf_add(out, missing ? S(" MISSINGPARAMETERS") : S(" BADPARAMETERS"));
    put_type(out, part->from);
    put_type(out, part->to);
    if (missing)
        buf_add(out, S(" (\"charset\")"));
    else
        put_params(c, out);
    buf_char(out, ')');
}

/* ---- what was made ---- */

static void put_octets(const ConvertItem *item, Slice octets, Buf *out)
{
    uint64_t at = 0, len = octets.len;
    fetch_clip(&item->range, &at, &len);
    Slice some = slice_first(slice_from(octets, (size_t)at), (size_t)len);
    fetch_literal_head(out, len, some.len && memchr(some.at, 0, some.len));
    buf_add(out, some);
}

/* body-type-text with its extension data, as BODYSTRUCTURE has it. */
static void put_structure(const Converted *p, Buf *out)
{
    Slice subtype = slice_from(p->to, slice_find(p->to, '/') + 1);
    buf_printf(out, "(\"text\" \"%.*s\" (\"charset\" \"%.*s\") NIL NIL \"8bit\" %zu %u",
               SP(subtype), SP(p->charset), p->octets.len, p->lines);
    buf_add(out, S(" NIL NIL NIL NIL)"));
}

/* RFC 5259 8.4: two levels of parentheses, as an error has one. */
static void put_available(const Convert *c, const Converted *p, Buf *out)
{
    bool some = false;
    buf_add(out, S("(("));
    for (size_t i = 0; i < conversion_count; i++) {
        if (!slice_eq(conversions[i].from, p->from)) continue;
        if (c->to.at && !slice_eq(conversions[i].to, c->to)) continue;
        if (some) buf_char(out, ' ');
        some = true;
        imap_put_string(out, conversions[i].to);
    }
    buf_add(out, S("))"));
}

static void put_made(const Converting *v, const ConvertItem *item, Buf *out)
{
    switch (item->type) {
    case CONVERT_UID:
        return;
    case CONVERT_BINARY:
    case CONVERT_HEADER:
        put_octets(item, v->part.octets, out);
        return;
    case CONVERT_SIZE:
        buf_number(out, v->part.octets.len);
        return;
    case CONVERT_STRUCTURE:
        put_structure(&v->part, out);
        return;
    case CONVERT_AVAILABLE:
        put_available(v->convert, &v->part, out);
        return;
    }
}

/* ---- one message ---- */

static bool is_same(const ConvertItem *a, const ConvertItem *b)
{
    const Section *x = &a->section, *y = &b->section;
    bool both = a->type != CONVERT_HEADER && b->type != CONVERT_HEADER;
    return both && x->depth == y->depth &&
           (!x->depth || !memcmp(x->path, y->path, x->depth * sizeof *x->path));
}

/* Several items of one part want one conversion. */
PARKS static void make(Converting *v, const Message *m, const ConvertItem *item)
{
    Account *account = mailbox_account(v->s->box);
    bool only_type = item->type == CONVERT_AVAILABLE;
    if (v->of && is_same(v->of, item)) return;
    if (item->type == CONVERT_HEADER)
        convert_header_of(account, m, v->convert, &item->section, &v->arena, &v->part);
    else
        convert_part(account, m, v->convert, &item->section, only_type, &v->arena, &v->part);
    v->of = only_type ? NULL : item;
}

PARKS static void tell_item(Converting *v, const Message *m, const ConvertItem *item)
{
    make(v, m, item);
    Buf *out = stream_out(v->s->stream);
    FetchItem named = {
        .name = item->name, .partial = item->range.partial, .offset = item->range.offset};
    fetch_name(out, &named);
    if (v->part.state) {
        put_error(v->convert, &v->part, out);
        v->lost++;
    } else {
        put_made(v, item, out);
    }
    v->done++;
}

static bool wants_uid(const Converting *v)
{
    for (size_t i = 0; i < v->convert->count; i++)
        if (v->convert->items[i].type == CONVERT_UID) return true;
    return v->s->by_uid;
}

/* RFC 5259 8.1: "* n CONVERTED (TAG "a1") (UID 7 BINARY[1] ...)" */
PARKS static void tell_message(Converting *v, const Message *m, uint32_t number)
{
    Imap *s = v->s;
    Buf *out = stream_out(s->stream);
    bool first = true;
    v->of = NULL;
    buf_printf(out, "* %u CONVERTED (TAG ", imap_has(s, ENABLED_UIDONLY) ? m->uid : number);
    imap_put_string(out, s->in->tag);
    buf_add(out, S(") ("));
    if (wants_uid(v)) buf_printf(out, "UID %u", m->uid), first = false;
    for (size_t i = 0; i < v->convert->count; i++) {
        if (v->convert->items[i].type == CONVERT_UID) continue;
        if (!first) buf_char(stream_out(s->stream), ' ');
        first = false;
        tell_item(v, m, &v->convert->items[i]);
    }
    buf_add(stream_out(s->stream), S(")\r\n"));
    arena_reset(&v->arena);
}

/* ---- all of them ---- */

PARKS static void tell_messages(Converting *v, const UidSet *uids)
{
    uint32_t number;
    bool gone;
    Message m;
    for (uint32_t uid = 1; uidset_next(uids, &uid); uid++) {
        if (!view_next(v->s->view, uid, &m, &number, &gone)) return;
        uid = m.uid;
        if (uidset_has(uids, uid)) tell_message(v, &m, number);
        if (stream_drain(v->s->stream) || uid == UINT32_MAX) return;
        breathe();
    }
}

static uint64_t count_messages(Imap *s, const UidSet *uids)
{
    uint64_t count = 0;
    Message m;
    for (uint32_t uid = 1; uidset_next(uids, &uid) && count <= CONVERT_MESSAGES_MOST; uid++) {
        if (!view_next(s->view, uid, &m, NULL, &(bool){false})) break;
        uid = m.uid;
        count += uidset_has(uids, uid);
        if (uid == UINT32_MAX) break;
    }
    return count;
}

Err imap_cmd_convert(Imap *s)
{
    Convert *c = arena_new(&s->arena, Convert);
    UidSet uids;
    TRY(convert_parse(s, c));
    TRY(imap_resolve(s, &c->set, &uids));
    if (c->count > CONVERT_ITEMS_MOST)
        return imap_no(s, "[MAXCONVERTPARTS %d] Too many body parts at once", CONVERT_ITEMS_MOST);
    if (count_messages(s, &uids) > CONVERT_MESSAGES_MOST)
        return imap_no(s, "[MAXCONVERTMESSAGES %d] Too many messages at once",
                       CONVERT_MESSAGES_MOST);
    Converting v = {.s = s, .convert = c};
    tell_messages(&v, &uids);
    arena_done(&v.arena);
    if (v.lost && v.lost == v.done) return imap_no(s, "All conversions failed");
    return imap_ok(s, v.lost ? "Some conversions failed" : "CONVERT completed");
}
