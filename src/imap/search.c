#include "imap/search.h"

typedef struct {
    UidSet uids;
    uint64_t modseq;
    uint32_t min, max; /* UIDs; 0: nothing found */
    UidSet part;       /* PARTIAL's */
} Found;

/* What the client counts in: UIDs, or message numbers. */
static uint32_t as_told(Imap *s, uint32_t uid)
{
    return s->by_uid ? uid : view_number(s->view, uid);
}

static uint64_t modseq_of(Imap *s, uint32_t uid)
{
    Message m;
    bool gone;
    return uid && view_next(s->view, uid, &m, NULL, &gone) && m.uid == uid ? m.modseq : 0;
}

/* RFC 3501 7.2.5: "* SEARCH 2 3 6", with "(MODSEQ n)" behind (RFC 7162 3.1.5). */
PARKS static void tell_plain(Imap *s, const Search *search, const Found *found)
{
    Buf *out = stream_out(s->stream);
    buf_add(out, S("* SEARCH"));
    for (uint32_t uid = 1; uid && uidset_next(&found->uids, &uid); uid++) {
        buf_char(out, ' ');
        buf_number(out, as_told(s, uid));
        stream_drain(s->stream);
    }
    if (search->uses_modseq && found->uids.count)
        buf_printf(out, " (MODSEQ %llu)", (unsigned long long)found->modseq);
    buf_add(out, S("\r\n"));
}

static void put_set(Imap *s, const UidSet *uids, Buf *out)
{
    UidSet numbers = {0};
    for (uint32_t uid = 1; !s->by_uid && uid && uidset_next(uids, &uid); uid++) {
        uint32_t n = view_number(s->view, uid);
        uidset_add(&s->arena, &numbers, n, n);
    }
    uidset_print(out, s->by_uid ? uids : &numbers);
}

/* RFC 9394 4: ret-data-partial = "PARTIAL" SP "(" partial-range SP (sequence-set / "NIL") ")" */
static void put_partial(Imap *s, const Search *search, const Found *found, Buf *out)
{
    buf_printf(out, " PARTIAL (%.*s ", SP(search->partial.as_sent));
    if (found->part.count)
        put_set(s, &found->part, out);
    else
        buf_add(out, S("NIL"));
    buf_char(out, ')');
}

static void find_part(Imap *s, const Search *search, Found *found)
{
    uint64_t first, last;
    if (!(search->wants & RETURN_PARTIAL)) return;
    if (!search_partial_of(&search->partial, uidset_size(&found->uids), &first, &last)) return;
    found->part = search_places(&s->arena, &found->uids, first, last);
}

static uint64_t highest_modseq(Imap *s, const UidSet *uids)
{
    uint64_t most = 0;
    for (uint32_t uid = 1; uid && uidset_next(uids, &uid); uid++)
        most = MAX(most, modseq_of(s, uid));
    return most;
}

/* RFC 4731 3.2: the highest mod-sequence of all found, or of the ones told when only MIN, MAX and
 * PARTIAL are. */
static uint64_t told_modseq(Imap *s, const Search *search, const Found *found)
{
    uint64_t most = 0;
    if (search->wants & (RETURN_ALL | RETURN_COUNT)) return found->modseq;
    if (search->wants & RETURN_MIN) most = modseq_of(s, found->min);
    if (search->wants & RETURN_MAX) most = MAX(most, modseq_of(s, found->max));
    if (search->wants & RETURN_PARTIAL) most = MAX(most, highest_modseq(s, &found->part));
    return most;
}

/* RFC 9051 7.3.4: "* ESEARCH (TAG "a1") UID COUNT 5 ALL 4:19" */
static void tell_extended(Imap *s, const Search *search, const Found *found)
{
    Buf *out = stream_out(s->stream);
    if (!(search->wants & RETURN_TOLD)) return;
    buf_add(out, S("* ESEARCH (TAG "));
    imap_put_string(out, s->in->tag);
    buf_char(out, ')');
    if (s->by_uid) buf_add(out, S(" UID"));
    if (found->min && search->wants & RETURN_MIN)
        buf_printf(out, " MIN %u", as_told(s, found->min));
    if (found->max && search->wants & RETURN_MAX)
        buf_printf(out, " MAX %u", as_told(s, found->max));
    if (found->min && search->wants & RETURN_ALL) {
        buf_add(out, S(" ALL "));
        put_set(s, &found->uids, out);
    }
    if (search->wants & RETURN_PARTIAL) put_partial(s, search, found, out);
    if (search->wants & RETURN_COUNT)
        buf_printf(out, " COUNT %llu", (unsigned long long)uidset_size(&found->uids));
    if (search->uses_modseq && found->min)
        buf_printf(out, " MODSEQ %llu", (unsigned long long)told_modseq(s, search, found));
    buf_add(out, S("\r\n"));
}

/* RFC 9051 6.4.4.4 (RFC 5182 2.4), RFC 9394 3.2: with MIN, MAX, PARTIAL, and neither ALL nor COUNT,
 * only those are saved. */
static void save(Imap *s, const Search *search, const Found *found)
{
    UidSet some = {0};
    unsigned few = RETURN_MIN | RETURN_MAX | RETURN_PARTIAL;
    bool all = search->wants & (RETURN_ALL | RETURN_COUNT) || !(search->wants & few);
    for (size_t i = 0; i < found->part.count; i++)
        uidset_add(&s->arena, &some, found->part.ranges[i].first, found->part.ranges[i].last);
    if (!all && found->min && search->wants & RETURN_MIN)
        uidset_add(&s->arena, &some, found->min, found->min);
    if (!all && found->max && search->wants & RETURN_MAX)
        uidset_add(&s->arena, &some, found->max, found->max);
    imap_save(s, all ? &found->uids : &some);
}

PARKS Err search_bad_charset(Imap *s)
{
    return imap_no(s,
                   "[BADCHARSET (UTF-8 US-ASCII ISO-8859-1 ISO-8859-2 ISO-8859-15 WINDOWS-1251 "
                   "WINDOWS-1252 KOI8-R "
                   "ISO-2022-JP SHIFT_JIS EUC-JP EUC-KR GB18030 BIG5)] I do not know that charset");
}

PARKS static Err find(Imap *s, Search *search, Found *found)
{
    SearchFound all;
    TRY(search_run(s, s->view, search->key, &all));
    *found = (Found){.uids = all.uids, .modseq = all.modseq};
    if (all.uids.count) {
        found->min = all.uids.ranges[0].first;
        found->max = all.uids.ranges[all.uids.count - 1].last;
    }
    find_part(s, search, found);
    return OK;
}

PARKS static Err search(Imap *s, Search *search)
{
    Found found;
    TRY(search_parse(s, search));
    if (search->uses_modseq) imap_use_condstore(s);
    TRY(find(s, search, &found));
    if (search->wants & RETURN_SAVE) save(s, search, &found);
    if (imap_has(s, ENABLED_REV2) && !search->extended)
        search->wants = RETURN_ALL, search->extended = true;
    if (search->extended)
        tell_extended(s, search, &found);
    else
        tell_plain(s, search, &found);
    return OK;
}

Err imap_cmd_search(Imap *s)
{
    Search program = {0};
    Err err = search(s, &program);
    /* RFC 9051 6.4.4.1: NO leaves "$" empty, BAD leaves it alone. */
    bool bad = imap_syntax(s->in) || err == ERR_SYNTAX;
    if (err && !bad && program.wants & RETURN_SAVE) imap_save(s, &(UidSet){0});
    if (err == ERR_CHARSET) return search_bad_charset(s);
    if (err) return err;
    return imap_ok(s, "SEARCH completed");
}
