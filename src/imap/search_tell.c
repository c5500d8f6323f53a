/* What was found, in the words of ESEARCH (RFC 4731, RFC 9051 7.3.4), and what "$" keeps of it: for
 * SEARCH and ESEARCH in mailbox order, for SORT in the order asked for. */
#include "imap/sort.h"

#include <stdlib.h>

void search_result(const Search *search, const SearchFound *found, const uint32_t *sorted,
                   SearchResult *r)
{
    *r = (SearchResult){.found = *found, .sorted = sorted};
    const UidSet *uids = &r->found.uids;
    r->count = uidset_size(uids);
    if (!r->count) return;
    r->min = sorted ? sorted[0] : uids->ranges[0].first;
    r->max = sorted ? sorted[r->count - 1] : uids->ranges[uids->count - 1].last;
    r->has_part = (search->wants & RETURN_PARTIAL) &&
                  search_partial_of(&search->partial, r->count, &r->part_first, &r->part_last);
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Adding in order costs nothing, out of order it moves what is behind. */
static UidSet set_of(Arena *a, const uint32_t *uids, size_t count)
{
    UidSet set = {0};
    uint32_t *ordered = arena_array(a, uint32_t, count + 1);
    memcpy(ordered, uids, count * sizeof *uids);
    qsort(ordered, count, sizeof *ordered, by_number);
    for (size_t i = 0; i < count; i++)
        uidset_add(a, &set, ordered[i], ordered[i]);
    return set;
}

/* The messages of PARTIAL as a set. */
static UidSet part_of(Arena *a, const SearchResult *r)
{
    if (!r->has_part) return (UidSet){0};
    if (!r->sorted) return search_places(a, &r->found.uids, r->part_first, r->part_last);
    return set_of(a, r->sorted + r->part_first - 1, r->part_last - r->part_first + 1);
}

unsigned search_score(const SearchFound *found, uint32_t uid)
{
    size_t low = 0, high = found->scored_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (found->scored[middle] < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < found->scored_count && found->scored[low] == uid ? found->scores[low] : 0;
}

/* ---- telling ---- */

/* What the client counts in: UIDs, or message numbers. */
static uint32_t as_told(Imap *s, View *view, uint32_t uid)
{
    return s->by_uid ? uid : view_number(view, uid);
}

/* Where all UIDs of a range exist, so do all numbers. */
static void add_numbers(Imap *s, View *view, UidRange r, UidSet *numbers)
{
    uint32_t first = view_number(view, r.first), last = view_number(view, r.last);
    if (first && last && last - first == r.last - r.first) {
        uidset_add(&s->arena, numbers, first, last);
        return;
    }
    for (uint32_t uid = r.first; uid && uid <= r.last; uid++) {
        uint32_t n = view_number(view, uid);
        uidset_add(&s->arena, numbers, n, n);
    }
}

void search_put_set(Imap *s, View *view, const UidSet *uids, Buf *out)
{
    UidSet numbers = {0};
    for (size_t i = 0; !s->by_uid && i < uids->count; i++)
        add_numbers(s, view, uids->ranges[i], &numbers);
    uidset_print(out, s->by_uid ? uids : &numbers);
}

PARKS static void put_all(Imap *s, View *view, const SearchResult *r, Buf *out)
{
    buf_add(out, S(" ALL "));
    if (r->sorted)
        sort_put_set(s, r->sorted, (size_t)r->count);
    else
        search_put_set(s, view, &r->found.uids, out);
}

/* RFC 9394 4: ret-data-partial = "PARTIAL" SP "(" partial-range SP (sequence-set / "NIL") ")" */
PARKS static void put_partial(Imap *s, View *view, const Search *search, const SearchResult *r,
                              Buf *out)
{
    buf_printf(out, " PARTIAL (%.*s ", SP(search->partial.range));
    if (!r->has_part) {
        buf_add(out, S("NIL"));
    } else if (r->sorted) {
        sort_put_set(s, r->sorted + r->part_first - 1, r->part_last - r->part_first + 1);
    } else {
        UidSet part = part_of(&s->arena, r);
        search_put_set(s, view, &part, out);
    }
    buf_char(out, ')');
}

/* RFC 6203 7: "RELEVANCY" SP "(" [score *(SP score)] ")", in the order of ALL or PARTIAL. */
PARKS static void put_relevancy(Imap *s, const Search *search, const SearchResult *r, Buf *out)
{
    bool part = search->wants & RETURN_PARTIAL, first = true;
    uint64_t from = part ? r->part_first : 1, to = part ? r->part_last : r->count;
    buf_add(out, S(" RELEVANCY ("));
    for (uint64_t i = from; i && i <= to && !stream_drain(s->stream); i++) {
        uint32_t uid = r->sorted ? r->sorted[i - 1] : r->found.scored[i - 1];
        if (!first) buf_char(out, ' ');
        buf_number(out, search_score(&r->found, uid));
        first = false;
    }
    buf_char(out, ')');
}

static uint64_t modseq_of(View *view, uint32_t uid)
{
    Message m;
    bool gone;
    return view_next(view, uid, &m, NULL, &gone) && m.uid == uid ? m.modseq : 0;
}

static uint64_t highest_modseq(View *view, const UidSet *uids)
{
    uint64_t most = 0;
    for (uint32_t uid = 1; uid && uidset_next(uids, &uid); uid++)
        most = MAX(most, modseq_of(view, uid));
    return most;
}

/* RFC 4731 3.2: the highest mod-sequence of all found, or of the ones told when only MIN, MAX and
 * PARTIAL are. */
static uint64_t told_modseq(Imap *s, View *view, const Search *search, const SearchResult *r)
{
    uint64_t most = 0;
    if (search->wants & (RETURN_ALL | RETURN_COUNT)) return r->found.modseq;
    UidSet part = part_of(&s->arena, r);
    if (search->wants & RETURN_MIN) most = modseq_of(view, r->min);
    if (search->wants & RETURN_MAX) most = MAX(most, modseq_of(view, r->max));
    return MAX(most, highest_modseq(view, &part));
}

void search_put_correlator(Imap *s, Slice tag, const Mailbox *box)
{
    Buf *out = stream_out(s->stream);
    buf_add(out, S("* ESEARCH (TAG "));
    imap_put_string(out, tag);
    if (box) {
        buf_add(out, S(" MAILBOX "));
        imap_put_mailbox(s, out, imap_shown_name(s, mailbox_account(box), mailbox_name(box)));
        buf_printf(out, " UIDVALIDITY %u", mailbox_status(box).uid_validity);
    }
    buf_add(out, s->by_uid ? S(") UID") : S(")"));
}

PARKS void search_tell(Imap *s, View *view, bool correlated, const Search *search,
                       const SearchResult *r)
{
    Buf *out = stream_out(s->stream);
    if (!(search->wants & RETURN_TOLD)) return;
    search_put_correlator(s, s->in->tag, correlated ? view_mailbox(view) : NULL);
    if (r->count && search->wants & RETURN_MIN)
        buf_printf(out, " MIN %u", as_told(s, view, r->min));
    if (r->count && search->wants & RETURN_MAX)
        buf_printf(out, " MAX %u", as_told(s, view, r->max));
    if (r->count && search->wants & RETURN_ALL) put_all(s, view, r, out);
    if (search->wants & RETURN_PARTIAL) put_partial(s, view, search, r, out);
    if (search->wants & RETURN_RELEVANCY) put_relevancy(s, search, r, out);
    if (search->wants & RETURN_COUNT) buf_printf(out, " COUNT %llu", (unsigned long long)r->count);
    if (search->uses_modseq && r->count)
        buf_printf(out, " MODSEQ %llu", (unsigned long long)told_modseq(s, view, search, r));
    buf_add(out, S("\r\n"));
}

/* ---- keeping ---- */

/* RFC 9051 6.4.4.4 (RFC 5182 2.4), RFC 9394 3.2: with MIN, MAX, PARTIAL, and neither ALL nor COUNT,
 * only those are saved. "$" is a set: its order is that of the mailbox. */
void search_save(Imap *s, const Search *search, const SearchResult *r)
{
    unsigned few = RETURN_MIN | RETURN_MAX | RETURN_PARTIAL;
    if (search->wants & (RETURN_ALL | RETURN_COUNT) || !(search->wants & few)) {
        imap_save(s, &r->found.uids);
        return;
    }
    UidSet some = part_of(&s->arena, r);
    if (r->count && search->wants & RETURN_MIN) uidset_add(&s->arena, &some, r->min, r->min);
    if (r->count && search->wants & RETURN_MAX) uidset_add(&s->arena, &some, r->max, r->max);
    imap_save(s, &some);
}
