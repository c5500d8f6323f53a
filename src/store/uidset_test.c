#include "store/uidset.h"

#include "base/test.h"

typedef struct {
    uint32_t first, last;
} Pair;
typedef struct {
    Pair add[8]; /* {0, 0} ends them */
    const char *wanted;
    uint64_t size;
} Row;

#define TOP UINT32_MAX
static const Row rows[] = {
    {{{0}},                                            "",                        0         },
    {{{7, 7}},                                         "7",                       1         },
    {{{1, 1}, {3, 5}},                                 "1,3:5",                   4         },
    {{{3, 5}, {1, 1}},                                 "1,3:5",                   4         },
    {{{1, 1}, {2, 2}, {3, 3}},                         "1:3",                     3         },
    {{{3, 3}, {2, 2}, {1, 1}},                         "1:3",                     3         },
    {{{5, 9}, {1, 2}, {3, 4}},                         "1:9",                     9         },
    {{{1, 9}, {3, 4}},                                 "1:9",                     9         },
    {{{3, 4}, {1, 9}},                                 "1:9",                     9         },
    {{{1, 1}, {3, 3}, {5, 5}, {7, 7}, {9, 9}, {3, 7}}, "1,3:7,9",                 7         },
    {{{1, 1}, {3, 3}, {5, 5}, {7, 7}, {9, 9}, {2, 8}}, "1:9",                     9         },
    {{{10, 20}, {30, 40}, {50, 60}, {15, 55}},         "10:60",                   51        },
    {{{10, 20}, {30, 40}, {22, 28}},                   "10:20,22:28,30:40",       29        },
    {{{10, 20}, {30, 40}, {21, 28}},                   "10:28,30:40",             30        },
    {{{10, 20}, {30, 40}, {22, 29}},                   "10:20,22:40",             30        },
    {{{4, 2}},                                         "2:4",                     3         },
    {{{TOP, TOP}, {1, 1}, {TOP - 1, TOP - 1}},         "1,4294967294:4294967295", 3         },
    {{{1, TOP}, {5, 6}, {TOP, TOP}},                   "1:4294967295",            UINT32_MAX},
    {{{2, 3}, {0, 0 + 1}, {6, 6}},                     "0:3,6",                   5         },
};

TEST(ranges_are_joined)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        Arena a arena_scoped = {0};
        Buf text buf_scoped = {0};
        UidSet s = {0};
        for (const Pair *p = rows[i].add; p->first || p->last; p++)
            uidset_add(&a, &s, p->first, p->last);
        uidset_print(&text, &s);
        check_slice(buf_slice(&text), slice_of(rows[i].wanted));
        check_u64(uidset_size(&s), rows[i].size);
    }
}

TEST(members_are_found)
{
    Arena a arena_scoped = {0};
    UidSet s = {0};
    uint32_t uid = 1;
    check(!uidset_has(&s, 1));
    check(!uidset_next(&s, &uid));
    uidset_add(&a, &s, 3, 5);
    uidset_add(&a, &s, 9, 9);
    static const bool wanted[] = {false, false, false, true, true, true,
                                  false, false, false, true, false};
    for (uint32_t i = 0; i < COUNT(wanted); i++)
        check(uidset_has(&s, i) == wanted[i]);
    static const uint32_t next[] = {3, 3, 3, 3, 4, 5, 9, 9, 9, 9};
    for (uint32_t i = 0; i < COUNT(next); i++) {
        uid = i;
        check(uidset_next(&s, &uid));
        check_u64(uid, next[i]);
    }
    uid = 10;
    check(!uidset_next(&s, &uid));
    check_u64(uid, 10);
}

TEST(the_largest_number_is_a_member_like_others)
{
    Arena a arena_scoped = {0};
    UidSet s = {0};
    uidset_add(&a, &s, TOP, TOP);
    uint32_t uid = 0;
    check(uidset_has(&s, TOP));
    check(!uidset_has(&s, 0));
    check(uidset_next(&s, &uid));
    check_u64(uid, TOP);
    uidset_add(&a, &s, 0, TOP);
    check_u64(uidset_size(&s), UINT64_C(1) << 32);
}

/* A hundred thousand members from the top down: no step may cost more than the others. */
TEST(many_ranges_stay_sorted)
{
    Arena a arena_scoped = {0};
    UidSet s = {0};
    for (uint32_t uid = 1; uid <= 200000; uid += 2)
        uidset_add(&a, &s, uid, uid);
    check_u64(s.count, 100000);
    check_u64(uidset_size(&s), 100000);
    for (uint32_t uid = 2; uid < 200000; uid += 2000)
        uidset_add(&a, &s, uid, uid);
    check_u64(uidset_size(&s), 100100);
    check_u64(s.count, 99900);
    for (size_t i = 1; i < s.count; i++)
        check(s.ranges[i - 1].last + 1 < s.ranges[i].first);
}

TEST(what_is_removed_is_not_there)
{
    static const struct {
        uint32_t first, last;
        const char *left;
    } removals[] = {
        {1,  1,          "3:10,20,30:40"    },
        {3,  10,         "20,30:40"         },
        {3,  4,          "5:10,20,30:40"    },
        {9,  25,         "3:8,30:40"        },
        {5,  6,          "3:4,7:10,20,30:40"},
        {35, UINT32_MAX, "3:10,20,30:34"    },
        {1,  UINT32_MAX, ""                 },
        {11, 19,         "3:10,20,30:40"    },
        {20, 20,         "3:10,30:40"       },
    };
    for (size_t i = 0; i < COUNT(removals); i++) {
        Arena a arena_scoped = {0};
        Buf out buf_scoped = {0};
        UidSet s = {0};
        uidset_add(&a, &s, 3, 10);
        uidset_add(&a, &s, 20, 20);
        uidset_add(&a, &s, 30, 40);
        uidset_remove(&a, &s, removals[i].first, removals[i].last);
        uidset_print(&out, &s);
        check(slice_eq(buf_slice(&out), slice_of(removals[i].left)));
    }
}
