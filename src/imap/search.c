/* SEARCH, RFC 9051 6.4.4. */
#include "imap/context.h"

/* RFC 3501 7.2.5: "* SEARCH 2 3 6", with "(MODSEQ n)" behind (RFC 7162 3.1.5). */
PARKS static void tell_plain(Imap *s, const Search *search, const SearchFound *found)
{
    Buf *out = stream_out(s->stream);
    buf_add(out, S("* SEARCH"));
    for (uint32_t uid = 1; uid && uidset_next(&found->uids, &uid); uid++) {
        buf_char(out, ' ');
        buf_number(out, s->by_uid ? uid : view_number(s->view, uid));
        stream_drain(s->stream);
    }
    if (search->uses_modseq && found->uids.count)
        buf_printf(out, " (MODSEQ %llu)", (unsigned long long)found->modseq);
    buf_add(out, S("\r\n"));
}

PARKS Err search_bad_charset(Imap *s)
{
    return imap_no(s,
                   "[BADCHARSET (UTF-8 US-ASCII ISO-8859-1 ISO-8859-2 ISO-8859-15 WINDOWS-1251 "
                   "WINDOWS-1252 KOI8-R "
                   "ISO-2022-JP SHIFT_JIS EUC-JP EUC-KR GB18030 BIG5)] I do not know that charset");
}

/* RFC 9051 6.4.4.1: NO leaves "$" empty, BAD leaves it alone. */
PARKS Err search_failed(Imap *s, const Search *search, Err err)
{
    bool bad = imap_syntax(s->in) || err == ERR_SYNTAX;
    /* RFC 5466 3.1: tagged BAD here, though BADCHARSET goes with NO elsewhere. */
    if (search->bad_filter_charset && !imap_syntax(s->in))
        return imap_bad(s, "[BADCHARSET (UTF-8 US-ASCII)] FILTER goes with UTF-8");
    if (!bad && search->wants & RETURN_SAVE) imap_save(s, &(UidSet){0});
    if (err == ERR_NOT_FOUND && search->undefined_filter.at)
        return imap_no(s, "[UNDEFINED-FILTER %.*s] There is no such filter",
                       SP(search->undefined_filter));
    return err == ERR_CHARSET ? search_bad_charset(s) : err;
}

PARKS static Err search(Imap *s, Search *search)
{
    SearchFound found;
    SearchResult result;
    TRY(search_parse(s, search));
    TRY(context_check(s, search));
    if (search->uses_modseq) imap_use_condstore(s);
    const UidSet *scope = imap_search_scope(s, search->key);
    if (scope)
        TRY(search_run(s, s->view, scope, search->key, &found));
    else
        TRY(search_enough(s, s->view, search, &found));
    search_result(search, &found, NULL, &result);
    if (search->wants & RETURN_SAVE) search_save(s, search, &result);
    if (imap_has(s, ENABLED_REV2) && !search->extended)
        search->wants = RETURN_ALL, search->extended = true;
    if (search->extended)
        search_tell(s, s->view, false, search, &result);
    else
        tell_plain(s, search, &found);
    if (search->wants & RETURN_UPDATE) context_begin(s, search, NULL, &result, false);
    return OK;
}

Err imap_cmd_search(Imap *s)
{
    Search program = {0};
    Err err = search(s, &program);
    if (err) return search_failed(s, &program, err);
    return imap_ok(s, "SEARCH completed");
}
