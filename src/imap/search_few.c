/* RFC 9394 3.1: PARTIAL "helps server implementations to optimize their SEARCHes". When only
 * results near one end of the mailbox are told or saved, messages are asked from that end until
 * there are enough. */
#include "imap/search.h"

enum { STEP_FIRST = 512 };

/* How many results it takes, and from which end; 0: all of them matter. */
static uint64_t enough(const Search *search, bool *from_end)
{
    unsigned wants = search->wants & ~(unsigned)(RETURN_SAVE | RETURN_CONTEXT);
    unsigned few = RETURN_MIN | RETURN_MAX | RETURN_PARTIAL;
    bool partial = wants & RETURN_PARTIAL;
    *from_end = partial ? search->partial.from_end : wants == RETURN_MAX;
    unsigned other_end = *from_end ? RETURN_MIN : RETURN_MAX;
    if (!wants || wants & ~few || wants & other_end) return 0;
    return partial ? search->partial.last : 1;
}

static void take_over(Arena *a, SearchFound *found, const SearchFound *some)
{
    for (size_t i = 0; i < some->uids.count; i++)
        uidset_add(a, &found->uids, some->uids.ranges[i].first, some->uids.ranges[i].last);
    found->modseq = MAX(found->modseq, some->modseq);
}

PARKS Err search_enough(Imap *s, View *view, const Search *search, SearchFound *found)
{
    bool from_end;
    uint64_t most = enough(search, &from_end);
    if (!most || search_asks_threads(search->key))
        return search_run(s, view, NULL, search->key, found);
    *found = (SearchFound){0};
    uint32_t exists = view_exists(view);
    for (uint32_t done = 0, n = STEP_FIRST; done < exists; done += n, n = n < exists ? n * 2 : n) {
        SearchFound some;
        UidSet among = {0};
        n = MIN(n, exists - done);
        uint32_t first = from_end ? exists - done - n + 1 : done + 1;
        uidset_add(&s->arena, &among, view_uid(view, first), view_uid(view, first + n - 1));
        TRY(search_run(s, view, &among, search->key, &some));
        take_over(&s->arena, found, &some);
        if (uidset_size(&found->uids) >= most) break;
    }
    return OK;
}
