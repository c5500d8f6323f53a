/* SORT, RFC 5256 3 and 4; with RETURN, RFC 5267 3. */
#include "imap/sort.h"

#include <stdlib.h>

/* ---- the sort program ---- */

/* RFC 5256 5, RFC 5957 5: sort-key. Longer words stand before those they begin with. */
static const struct {
    const char *word;
    SortKey key;
} keys[] = {
    {"ARRIVAL",     SORT_ARRIVAL    },
    {"CC",          SORT_CC         },
    {"DATE",        SORT_DATE       },
    {"DISPLAYFROM", SORT_DISPLAYFROM},
    {"DISPLAYTO",   SORT_DISPLAYTO  },
    {"FROM",        SORT_FROM       },
    {"SIZE",        SORT_SIZE       },
    {"SUBJECT",     SORT_SUBJECT    },
    {"TO",          SORT_TO         },
};

/* sort-criterion = ["REVERSE" SP] sort-key */
static SortCriterion criterion(In *in)
{
    SortCriterion c = {.reverse = imap_see(in, "REVERSE ")};
    Slice word = imap_label(in);
    for (size_t i = 0; i < COUNT(keys); i++) {
        if (!slice_eq_nocase(word, slice_of(keys[i].word))) continue;
        c.key = keys[i].key;
        return c;
    }
    imap_mistake(in, "Unknown sort criterion");
    return c;
}

/* sort-criteria = "(" sort-criterion *(SP sort-criterion) ")" */
void sort_parse(Imap *s, SortProgram *p)
{
    SortCriterion *list = arena_array(&s->arena, SortCriterion, SORT_CRITERIA_MOST);
    *p = (SortProgram){.criteria = list, .comparator = s->comparator};
    imap_need(s->in, "(");
    do {
        if (p->count == SORT_CRITERIA_MOST)
            imap_mistake(s->in, "Too many sort criteria");
        else
            list[p->count++] = criterion(s->in);
    } while (imap_see(s->in, " "));
    imap_need(s->in, ")");
}

/* ---- the answer ---- */

typedef struct {
    UidSet uids;
    uint64_t modseq;
    uint32_t *sorted;
    size_t count;
} Found;

static uint32_t as_told(Imap *s, uint32_t uid)
{
    return s->by_uid ? uid : view_number(s->view, uid);
}

PARKS void sort_put_set(Imap *s, const uint32_t *sorted, size_t count)
{
    Buf *out = stream_out(s->stream);
    for (size_t i = 0; i < count;) {
        uint32_t first = as_told(s, sorted[i]), last = first;
        if (i) buf_char(out, ',');
        while (++i < count && as_told(s, sorted[i]) == last + 1)
            last++;
        buf_number(out, first);
        if (last > first) buf_char(out, ':'), buf_number(out, last);
        if (stream_drain(s->stream)) return;
        breathe();
    }
}

/* RFC 5256 4: sort-data = "SORT" *(SP nz-number), with "(MODSEQ n)" behind (RFC 7162 3.1.9). */
PARKS static void tell_plain(Imap *s, const Search *search, const Found *found)
{
    Buf *out = stream_out(s->stream);
    buf_add(out, S("* SORT"));
    for (size_t i = 0; i < found->count && !stream_drain(s->stream); i++) {
        buf_char(out, ' ');
        buf_number(out, as_told(s, found->sorted[i]));
    }
    if (search->uses_modseq && found->count)
        buf_printf(out, " (MODSEQ %llu)", (unsigned long long)found->modseq);
    buf_add(out, S("\r\n"));
}

static uint64_t modseq_of(Imap *s, uint32_t uid)
{
    Message m;
    bool gone;
    return view_next(s->view, uid, &m, NULL, &gone) && m.uid == uid ? m.modseq : 0;
}

/* RFC 4731 3.2 */
static uint64_t told_modseq(Imap *s, const Search *search, const Found *found)
{
    uint64_t most = 0;
    if (search->wants & (RETURN_ALL | RETURN_COUNT)) return found->modseq;
    if (search->wants & RETURN_MIN) most = modseq_of(s, found->sorted[0]);
    if (search->wants & RETURN_MAX) most = MAX(most, modseq_of(s, found->sorted[found->count - 1]));
    return most;
}

/* RFC 5267 3.1: MIN and MAX are the first and the last in the order asked for. */
PARKS static void tell_extended(Imap *s, const Search *search, const Found *found)
{
    Buf *out = stream_out(s->stream);
    bool any = found->count > 0;
    if (!(search->wants & (RETURN_MIN | RETURN_MAX | RETURN_ALL | RETURN_COUNT))) return;
    buf_add(out, S("* ESEARCH (TAG "));
    imap_put_string(out, s->in->tag);
    buf_char(out, ')');
    if (s->by_uid) buf_add(out, S(" UID"));
    if (any && search->wants & RETURN_MIN) buf_printf(out, " MIN %u", as_told(s, found->sorted[0]));
    if (any && search->wants & RETURN_MAX)
        buf_printf(out, " MAX %u", as_told(s, found->sorted[found->count - 1]));
    if (any && search->wants & RETURN_ALL) {
        buf_add(out, S(" ALL "));
        sort_put_set(s, found->sorted, found->count);
    }
    if (search->wants & RETURN_COUNT) buf_printf(out, " COUNT %zu", found->count);
    if (search->uses_modseq && any)
        buf_printf(out, " MODSEQ %llu", (unsigned long long)told_modseq(s, search, found));
    buf_add(out, S("\r\n"));
}

/* RFC 5182 2.4 as for SEARCH, with what MIN and MAX mean here. "$" is a set: its order is that of
 * the mailbox. */
static void save(Imap *s, const Search *search, const Found *found)
{
    UidSet some = {0};
    bool all =
        search->wants & (RETURN_ALL | RETURN_COUNT) || !(search->wants & (RETURN_MIN | RETURN_MAX));
    if (!all && found->count && search->wants & RETURN_MIN)
        uidset_add(&s->arena, &some, found->sorted[0], found->sorted[0]);
    if (!all && found->count && search->wants & RETURN_MAX)
        uidset_add(&s->arena, &some, found->sorted[found->count - 1],
                   found->sorted[found->count - 1]);
    imap_save(s, all ? &found->uids : &some);
}

/* ---- the command ---- */

/* RFC 5256 5: sort = ["UID" SP] "SORT" SP sort-criteria SP search-criteria; RFC 5267 5:
 * extended-sort = ["UID" SP] "SORT" search-return-opts SP sort-criteria SP search-criteria */
PARKS static Err sort(Imap *s, Search *search, Found *found)
{
    SortProgram program;
    imap_space(s->in);
    search_parse_return(s, search);
    sort_parse(s, &program);
    imap_space(s->in);
    TRY(search_parse_criteria(s, search));

    if (search->uses_modseq) imap_use_condstore(s);
    SearchFound all;
    TRY(search_run(s, s->view, search->key, &all));
    found->uids = all.uids, found->modseq = all.modseq;
    TRY(sort_run(s, &program, &found->uids, &found->sorted, &found->count));
    if (search->wants & RETURN_SAVE) save(s, search, found);
    if (search->extended)
        tell_extended(s, search, found);
    else
        tell_plain(s, search, found);
    return OK;
}

Err imap_cmd_sort(Imap *s)
{
    Search search = {0};
    Found found = {0};
    Err err = sort(s, &search, &found);
    free(found.sorted);
    bool bad = imap_syntax(s->in) || err == ERR_SYNTAX; /* RFC 9051 6.4.4.1, as in search.c */
    if (err && !bad && search.wants & RETURN_SAVE) imap_save(s, &(UidSet){0});
    if (err == ERR_CHARSET) return search_bad_charset(s);
    if (err) return err;
    return imap_ok(s, "SORT completed");
}
