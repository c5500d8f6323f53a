/* Putting messages in order: what they sort by is gathered into a column for each criterion, then
 * numbers of rows are merged. Merging keeps the order of rows alike, which is mailbox order (RFC
 * 5256 3: "an implicit sort criterion of sequence number"), and waits wherever it likes, which
 * qsort does not. */
#include "imap/merge.h"
#include "imap/sort.h"

#include <stdlib.h>

enum { BREATH = 64, MANY = 4096, BLOCK = 64 * 1024 };
static const uint64_t TEXT_MOST = 1024 * 1024 * 1024;

/* Texts of more than eight octets: behind the pointer a length of four octets, then the text. */
typedef struct {
    uint64_t *first;
    const char **text; /* NULL for numbers */
} Column;

typedef struct {
    Imap *s;
    const SortProgram *p;
    Column columns[SORT_CRITERIA_MOST];
    uint32_t *uids;
    size_t count;
    Arena texts;
    char *block; /* of texts: where the next one goes */
    size_t block_left;
    Arena scratch;
} Sorting;

/* ---- columns ---- */

static void columns_new(Sorting *r, size_t room)
{
    r->uids = mem_new(array_bytes(room + 1, sizeof *r->uids));
    for (size_t i = 0; i < r->p->count; i++) {
        Column *c = &r->columns[i];
        c->first = mem_new(array_bytes(room + 1, sizeof *c->first));
        if (sort_has_text(r->p->criteria[i].key))
            c->text = mem_new(array_bytes(room + 1, sizeof *c->text));
    }
}

static void columns_free(Sorting *r)
{
    for (size_t i = 0; i < r->p->count; i++) {
        free(r->columns[i].first);
        free(r->columns[i].text);
    }
    arena_done(&r->texts);
    arena_done(&r->scratch);
}

/* Eight octets say all of most addresses. */
static const char *keep_text(Sorting *r, Slice text)
{
    uint32_t len = (uint32_t)text.len;
    size_t needed = sizeof len + len;
    if (text.len <= 8) return NULL;
    if (needed > r->block_left) {
        r->block_left = MAX(needed, (size_t)BLOCK);
        r->block = arena_alloc(&r->texts, r->block_left);
    }
    char *at = r->block;
    memcpy(at, &len, sizeof len);
    memcpy(at + sizeof len, text.at, len);
    r->block += needed;
    r->block_left -= needed;
    return at;
}

static Slice kept_text(const char *at)
{
    uint32_t len;
    if (!at) return S("");
    memcpy(&len, at, sizeof len);
    return slice(at + sizeof len, len);
}

static SortValue value_at(const Sorting *r, size_t i, uint32_t row)
{
    const Column *c = &r->columns[i];
    return (SortValue){c->first[row], c->text ? kept_text(c->text[row]) : S("")};
}

static bool comes_before(const void *arg, uint32_t a, uint32_t b)
{
    const Sorting *r = arg;
    for (size_t i = 0; i < r->p->count; i++) {
        const uint64_t *first = r->columns[i].first;
        if (first[a] != first[b] && !r->p->comparator.descending) /* nearly always */
            return (first[a] < first[b]) != r->p->criteria[i].reverse;
        SortValue x = value_at(r, i, a), y = value_at(r, i, b);
        int order = sort_order(r->p, i, &x, &y);
        if (order) return order < 0;
    }
    return false; /* merging keeps their order */
}

/* ---- gathering ---- */

static Err trouble(const Sorting *r)
{
    if (stream_error(r->s->stream) || run_is_cancelled()) return fail(ERR_CANCELLED, "gone");
    if (r->texts.used > TEXT_MOST) return fail(ERR_LIMIT, "That is too much text to be sorted");
    return OK;
}

PARKS static Err add_row(Sorting *r, const Message *m)
{
    SortValue values[SORT_CRITERIA_MOST];
    TRY(sort_values(r->s, r->p, m, &r->scratch, values));
    for (size_t i = 0; i < r->p->count; i++) {
        Column *c = &r->columns[i];
        c->first[r->count] = values[i].first;
        if (c->text) c->text[r->count] = keep_text(r, values[i].text);
    }
    r->uids[r->count++] = m->uid;
    if (r->scratch.used) arena_reset(&r->scratch);
    return OK;
}

/* Every UID gets a row, whatever happens: others count on it. */
static Message message_of(Imap *s, uint32_t uid)
{
    Message m;
    bool gone;
    if (view_next(s->view, uid, &m, NULL, &gone) && m.uid == uid) return m;
    return (Message){.uid = uid};
}

PARKS static Err gather(Sorting *r, const UidSet *uids)
{
    uint64_t goal = uidset_size(uids);
    columns_new(r, (size_t)goal);
    for (uint32_t uid = 1; uid && uidset_next(uids, &uid); uid++) {
        Message m = message_of(r->s, uid);
        TRY(add_row(r, &m));
        if (r->count % BREATH) continue;
        breathe();
        imap_in_progress(r->s, r->count, goal);
        TRY(trouble(r));
    }
    return OK;
}

/* The rows in order; the caller's. */
PARKS static uint32_t *merged(Sorting *r)
{
    uint32_t *rows = mem_new(array_bytes(r->count + 1, sizeof *rows));
    for (uint32_t i = 0; i < r->count; i++)
        rows[i] = i;
    merge_sort(rows, r->count, comes_before, r);
    return rows;
}

PARKS Err sort_run(Imap *s, const SortProgram *p, const UidSet *uids, uint32_t **sorted,
                   size_t *count)
{
    Sorting *r = NEW(Sorting);
    *r = (Sorting){.s = s, .p = p};
    Err err = gather(r, uids);
    uint32_t *rows = err ? NULL : merged(r);
    if (!err) err = trouble(r);
    for (size_t i = 0; !err && i < r->count; i++) {
        rows[i] = r->uids[rows[i]];
        if (i % MANY == 0) breathe();
    }
    *sorted = err ? NULL : rows;
    *count = err ? 0 : r->count;
    if (err) free(rows);
    columns_free(r);
    free(r->uids);
    free(r);
    return err;
}

/* ---- one among many ---- */

size_t sort_find(const uint32_t *sorted, size_t count, uint32_t uid)
{
    for (size_t i = 0; i < count; i++)
        if (sorted[i] == uid) return i;
    return count;
}

typedef struct {
    uint32_t uid;
    SortValue values[SORT_CRITERIA_MOST];
} Placed;

/* The texts have to outlive other waits. */
PARKS static Err look_up(Imap *s, const SortProgram *p, uint32_t uid, Arena *a, Placed *out)
{
    Message m = message_of(s, uid);
    *out = (Placed){.uid = uid};
    TRY(sort_values(s, p, &m, a, out->values));
    for (size_t i = 0; i < p->count; i++)
        out->values[i].text = arena_copy(a, out->values[i].text);
    return OK;
}

static bool is_before(const SortProgram *p, const Placed *a, const Placed *b)
{
    for (size_t i = 0; i < p->count; i++) {
        int order = sort_order(p, i, &a->values[i], &b->values[i]);
        if (order) return order < 0;
    }
    return a->uid < b->uid;
}

PARKS Err sort_place(Imap *s, const SortProgram *p, const uint32_t *sorted, size_t count,
                     uint32_t uid, size_t *place)
{
    Arena arena arena_scoped = {0}, scratch arena_scoped = {0};
    Placed *mine = arena_new(&arena, Placed), *other = arena_new(&arena, Placed);
    size_t low = 0, high = count;
    TRY(look_up(s, p, uid, &arena, mine));
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        TRY(look_up(s, p, sorted[middle], &scratch, other));
        if (is_before(p, other, mine))
            low = middle + 1;
        else
            high = middle;
        arena_reset(&scratch);
    }
    *place = low;
    return OK;
}
