/* Adds what the input says and compares with one bit per member. */
#include "store/uidset.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMBERS = 512 };
static const uint32_t bases[] = {0, 1000, UINT32_MAX - MEMBERS + 1};

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena a arena_scoped = {0};
    Reader r = reader(slice(data, MIN(size, 2048)));
    uint32_t base = bases[read_u8(&r) % COUNT(bases)];
    bool members[MEMBERS] = {0};
    UidSet s = {0};
    while (r.rest.len && !r.bad) {
        uint32_t first = read_u16(&r) % MEMBERS;
        uint32_t last = first + read_u8(&r) % 32;
        last = MIN(last, MEMBERS - 1);
        uidset_add(&a, &s, base + first, base + last);
        memset(members + first, true, last - first + 1);
    }
    compare(&s, members, base);
    return 0;
}
