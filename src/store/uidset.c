#include "store/uidset.h"

#include "base/base.h"

/* Does a range that ends at `last` overlap or touch one that begins at `first`? */
static bool reaches(uint32_t last, uint32_t first)
{
    return (uint64_t)last + 1 >= first;
}

/* An arena cannot grow in place; doubling keeps the copies at one per member. */
static void make_room(Arena *a, UidSet *s)
{
    if (s->count < s->room) return;
    size_t room = s->room ? s->room * 2 : 4;
    UidRange *ranges = arena_array(a, UidRange, room);
    if (s->count) memcpy(ranges, s->ranges, s->count * sizeof *ranges);
    s->ranges = ranges;
    s->room = room;
}

/* The index of the first range that ends at uid or later; count: none. */
static size_t find(const UidSet *s, uint32_t uid)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->ranges[middle].last < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void insert(Arena *a, UidSet *s, size_t at, UidRange range)
{
    make_room(a, s);
    memmove(&s->ranges[at + 1], &s->ranges[at], (s->count - at) * sizeof range);
    s->ranges[at] = range;
    s->count++;
}

/* The ranges from `at` up to (not including) `end` become one that covers them and first..last. */
static void merge(UidSet *s, size_t at, size_t end, uint32_t first, uint32_t last)
{
    UidRange *ranges = s->ranges;
    ranges[at].first = MIN(ranges[at].first, first);
    ranges[at].last = MAX(ranges[end - 1].last, last);
    memmove(&ranges[at + 1], &ranges[end], (s->count - end) * sizeof *ranges);
    s->count -= end - at - 1;
}

void uidset_add(Arena *a, UidSet *s, uint32_t first, uint32_t last)
{
    if (first > last) { /* RFC 9051 9, seq-range: 4:2 is 2:4 */
        uint32_t swap = first;
        first = last, last = swap;
    }
    size_t at = s->count, end;
    if (!s->count || s->ranges[s->count - 1].first <= first) { /* at the end: the usual case */
        if (s->count && reaches(s->ranges[s->count - 1].last, first)) at--;
    } else {
        at = find(s, first ? first - 1 : 0);
    }
    for (end = at; end < s->count && reaches(last, s->ranges[end].first);)
        end++;
    if (at == end)
        insert(a, s, at, (UidRange){first, last});
    else
        merge(s, at, end, first, last);
}

/* What lies inside goes; a range that reaches beyond is cut, or in two. */
void uidset_remove(Arena *a, UidSet *s, uint32_t first, uint32_t last)
{
    size_t at = find(s, first), end = at;
    while (end < s->count && s->ranges[end].first <= last)
        end++;
    if (at == end) return;
    UidRange low = s->ranges[at], high = s->ranges[end - 1];
    memmove(&s->ranges[at], &s->ranges[end], (s->count - end) * sizeof low);
    s->count -= end - at;
    if (high.last > last) insert(a, s, at, (UidRange){last + 1, high.last});
    if (low.first < first) insert(a, s, at, (UidRange){low.first, first - 1});
}

bool uidset_has(const UidSet *s, uint32_t uid)
{
    size_t at = find(s, uid);
    return at < s->count && s->ranges[at].first <= uid;
}

uint64_t uidset_size(const UidSet *s)
{
    uint64_t size = 0;
    for (size_t i = 0; i < s->count; i++)
        size += (uint64_t)s->ranges[i].last - s->ranges[i].first + 1;
    return size;
}

bool uidset_next(const UidSet *s, uint32_t *uid)
{
    size_t at = find(s, *uid);
    if (at == s->count) return false;
    *uid = MAX(*uid, s->ranges[at].first);
    return true;
}

/* RFC 9051 9: sequence-set, without "*". */
void uidset_print(Buf *out, const UidSet *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (i) buf_char(out, ',');
        buf_number(out, s->ranges[i].first);
        if (s->ranges[i].last == s->ranges[i].first) continue;
        buf_char(out, ':');
        buf_number(out, s->ranges[i].last);
    }
}

void uidset_write(Buf *out, const UidSet *s)
{
    uint32_t last = 0;
    buf_varint(out, s->count);
    for (size_t i = 0; i < s->count; i++) {
        buf_varint(out, s->ranges[i].first - last);
        buf_varint(out, s->ranges[i].last - s->ranges[i].first);
        last = s->ranges[i].last;
    }
}

/* Every range takes at least two octets, so a count beyond the octets left is a lie. */
void uidset_read(Reader *in, Arena *a, UidSet *s)
{
    uint64_t count = read_varint(in), last = 0;
    *s = (UidSet){0};
    if (count > in->rest.len / 2) in->bad = true;
    for (uint64_t i = 0; i < count && !in->bad; i++) {
        uint64_t gap = read_varint(in), more = read_varint(in);
        bool fits = gap && gap <= UINT32_MAX - last && more <= UINT32_MAX - last - gap;
        if (!fits) in->bad = true;
        if (in->bad) break;
        uidset_add(a, s, (uint32_t)(last + gap), (uint32_t)(last + gap + more));
        last += gap + more;
    }
    if (in->bad) *s = (UidSet){0};
}
