/* Adds and removes what the input says and compares with one bit per member; a set comes back from
 * what is written of it. */
#include "store/uidset.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMBERS = 512, REMOVE = 0x8000, BACKWARDS = 0x4000 };
static const uint32_t bases[] = {1, 1000, UINT32_MAX - MEMBERS + 1};

static void compare(const UidSet *s, const bool *members, uint32_t base)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        size += members[i];
        must(uidset_has(s, base + i) == members[i]);
    }
    must(uidset_size(s) == size);
    for (size_t i = 0; i < s->count; i++) {
        must(s->ranges[i].first <= s->ranges[i].last);
        must(!i || (uint64_t)s->ranges[i - 1].last + 1 < s->ranges[i].first);
    }
    uint64_t walked = 0;
    for (uint32_t uid = 0; uidset_next(s, &uid); uid++) {
        must(members[uid - base]);
        if (++walked && uid == UINT32_MAX) break;
    }
    must(walked == size);
}

static void write_and_read(const UidSet *s)
{
    Arena a arena_scoped = {0};
    Buf written buf_scoped = {0}, printed buf_scoped = {0}, again buf_scoped = {0};
    UidSet copy = {0};
    uidset_write(&written, s);
    Reader in = reader(buf_slice(&written));
    uidset_read(&in, &a, &copy);
    must(!in.bad && !in.rest.len && copy.count == s->count);
    uidset_print(&printed, s);
    uidset_print(&again, &copy);
    must(slice_eq(buf_slice(&printed), buf_slice(&again)));
}

/* The input as one that was stored: it is refused, or comes back. */
static void read_stored(Slice bytes)
{
    Arena a arena_scoped = {0};
    UidSet s = {0};
    Reader in = reader(bytes);
    uidset_read(&in, &a, &s);
    must(!in.bad || !s.count);
    if (!in.bad) write_and_read(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena a arena_scoped = {0};
    read_stored(slice(data, size));
    Reader r = reader(slice(data, MIN(size, 2048)));
    uint32_t base = bases[read_u8(&r) % COUNT(bases)];
    bool members[MEMBERS] = {0};
    UidSet s = {0};
    while (r.rest.len && !r.bad) {
        uint32_t how = read_u16(&r), first = how % MEMBERS;
        uint32_t last = first + read_u8(&r) % 32;
        last = MIN(last, MEMBERS - 1);
        bool away = how & REMOVE, back = how & BACKWARDS && !away;
        (away ? uidset_remove : uidset_add)(&a, &s, base + (back ? last : first),
                                            base + (back ? first : last));
        memset(members + first, !away, last - first + 1);
    }
    compare(&s, members, base);
    write_and_read(&s);
    return 0;
}
