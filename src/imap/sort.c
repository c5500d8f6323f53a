/* SORT, RFC 5256 3 and 4; with RETURN, RFC 5267 3. */
#include "imap/annotate.h"
#include "imap/context.h"

#include <stdlib.h>

/* ---- the sort program ---- */

/* RFC 5256 5, RFC 5957 5: sort-key. Longer words stand before those they begin with. */
static const struct {
    const char *word;
    SortKey key;
} keys[] = {
    {"ANNOTATION",  SORT_ANNOTATION },
    {"ARRIVAL",     SORT_ARRIVAL    },
    {"CC",          SORT_CC         },
    {"DATE",        SORT_DATE       },
    {"DISPLAYFROM", SORT_DISPLAYFROM},
    {"DISPLAYTO",   SORT_DISPLAYTO  },
    {"FROM",        SORT_FROM       },
    {"RELEVANCY",   SORT_RELEVANCY  },
    {"SIZE",        SORT_SIZE       },
    {"SUBJECT",     SORT_SUBJECT    },
    {"TO",          SORT_TO         },
};

/* sort-key =/ "ANNOTATION" SP entry SP att-sort (RFC 5257 4.9) */
PARKS static void annotation(In *in, SortCriterion *c)
{
    imap_space(in);
    c->entry = annotate_entry(in, false);
    imap_space(in);
    c->shared = annotate_value_attribute(in, false) == ANNOTATE_SHARED;
}

/* sort-criterion = ["REVERSE" SP] sort-key */
PARKS static SortCriterion criterion(In *in)
{
    SortCriterion c = {.reverse = imap_see(in, "REVERSE ")};
    Slice word = imap_label(in);
    for (size_t i = 0; i < COUNT(keys); i++) {
        if (!slice_eq_nocase(word, slice_of(keys[i].word))) continue;
        c.key = keys[i].key;
        if (c.key == SORT_ANNOTATION) annotation(in, &c);
        return c;
    }
    imap_mistake(in, "Unknown sort criterion");
    return c;
}

/* sort-criteria = "(" sort-criterion *(SP sort-criterion) ")" */
PARKS void sort_parse(Imap *s, SortProgram *p)
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

static uint32_t as_told(Imap *s, uint32_t uid)
{
    return s->by_uid ? uid : view_number(s->view, uid);
}

size_t sort_put_run(Imap *s, const uint32_t *sorted, size_t count, size_t at)
{
    Buf *out = stream_out(s->stream);
    uint32_t first = as_told(s, sorted[at]), last = first;
    if (at) buf_char(out, ',');
    while (++at < count && as_told(s, sorted[at]) == last + 1)
        last++;
    buf_number(out, first);
    if (last > first) buf_char(out, ':'), buf_number(out, last);
    return at;
}

PARKS void sort_put_set(Imap *s, const uint32_t *sorted, size_t count)
{
    for (size_t i = 0; i < count;) {
        i = sort_put_run(s, sorted, count, i);
        if (stream_drain(s->stream)) return;
        breathe();
    }
}

/* RFC 5256 4: sort-data = "SORT" *(SP nz-number), with "(MODSEQ n)" behind (RFC 7162 3.1.9). */
PARKS static void tell_plain(Imap *s, const Search *search, const SearchResult *r)
{
    Buf *out = stream_out(s->stream);
    buf_add(out, S("* SORT"));
    for (uint64_t i = 0; i < r->count && !stream_drain(s->stream); i++) {
        buf_char(out, ' ');
        buf_number(out, as_told(s, r->sorted[i]));
        if (i % 1024 == 0) breathe();
    }
    if (search->uses_modseq && r->count)
        buf_printf(out, " (MODSEQ %llu)", (unsigned long long)r->found.modseq);
    buf_add(out, S("\r\n"));
}

/* ---- RELEVANCY, RFC 6203 6 ---- */

static bool sorts_by(const SortProgram *p, SortKey key)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->criteria[i].key == key) return true;
    return false;
}

static Err check_relevancy(Imap *s, const SortProgram *p, const Search *search)
{
    if (sorts_by(p, SORT_RELEVANCY) && !search->is_fuzzy)
        imap_mistake(s->in, "RELEVANCY is of FUZZY");
    return imap_syntax(s->in);
}

/* ---- the command ---- */

/* RFC 5256 5: sort = ["UID" SP] "SORT" SP sort-criteria SP search-criteria; RFC 5267 5:
 * extended-sort = ["UID" SP] "SORT" search-return-opts SP sort-criteria SP search-criteria */
PARKS static Err sort(Imap *s, Search *search, uint32_t **sorted)
{
    SortProgram program;
    SearchFound found;
    SearchResult result;
    size_t count;
    imap_space(s->in);
    search_parse_return(s, search);
    sort_parse(s, &program);
    imap_space(s->in);
    TRY(search_parse_criteria(s, search));
    TRY(check_relevancy(s, &program, search));
    TRY(context_check(s, search));

    if (search->uses_modseq) imap_use_condstore(s);
    TRY(imap_within_limit(s, search->key));
    TRY(search_run(s, s->view, NULL, search->key, &found));
    program.found = &found;
    TRY(sort_run(s, &program, &found.uids, sorted, &count));
    search_result(search, &found, *sorted, &result);
    if (search->wants & RETURN_SAVE) search_save(s, search, &result);
    if (search->extended)
        search_tell(s, s->view, false, search, &result);
    else
        tell_plain(s, search, &result);
    if (search->wants & RETURN_UPDATE && sorts_by(&program, SORT_RELEVANCY))
        context_refuse(s, "Relevancy changes with every message");
    else if (search->wants & RETURN_UPDATE && sorts_by(&program, SORT_ANNOTATION))
        context_refuse(s, "What annotations sort by may change");
    else if (search->wants & RETURN_UPDATE)
        context_begin(s, search, &program, &result, false);
    return OK;
}

Err imap_cmd_sort(Imap *s)
{
    Search search = {0};
    uint32_t *sorted = NULL;
    Err err = sort(s, &search, &sorted);
    free(sorted);
    if (err) return search_failed(s, &search, err);
    return imap_ok(s, "SORT completed");
}
