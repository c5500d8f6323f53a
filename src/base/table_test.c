#include "base/table.h"
#include "base/test.h"

#include <stdio.h>

static Slice key_of(char text[16], unsigned i)
{
    return slice(text, (size_t)snprintf(text, 16, "key %u", i));
}

static unsigned marks[20000];

TEST(a_table_keeps_what_it_was_given)
{
    Table t = {0};
    char text[16];
    check(!table_get(&t, S("nothing")) && !table_take(&t, S("nothing")));
    for (unsigned i = 0; i < COUNT(marks); i++)
        check(!table_put(&t, key_of(text, i), &marks[i]));
    check_u64(t.count, COUNT(marks));
    for (unsigned i = 0; i < COUNT(marks); i++)
        check(table_get(&t, key_of(text, i)) == &marks[i]);
    check(!table_get(&t, S("key 20000")) && !table_get(&t, S("")));
    check(table_put(&t, S("key 7"), &marks[8]) == &marks[7]);
    check(table_get(&t, S("key 7")) == &marks[8]);
    check_u64(t.count, COUNT(marks));
    table_done(&t);
    table_done(&t);
    table_done(NULL);
}

TEST(a_table_forgets_without_losing_neighbours)
{
    Table t = {0};
    char text[16];
    for (unsigned i = 0; i < COUNT(marks); i++)
        table_put(&t, key_of(text, i), &marks[i]);
    for (unsigned i = 0; i < COUNT(marks); i += 3)
        check(table_take(&t, key_of(text, i)) == &marks[i]);
    for (unsigned i = 0; i < COUNT(marks); i++)
        check(table_get(&t, key_of(text, i)) == (i % 3 ? &marks[i] : NULL));
    for (unsigned i = 0; i < COUNT(marks); i++)
        table_take(&t, key_of(text, i));
    check(t.count == 0 && t.room == 0); /* an emptied table gives its memory back */
    table_done(&t);
}

TEST(a_table_is_walked_once_round)
{
    Table t = {0};
    char text[16];
    unsigned seen[100] = {0};
    for (unsigned i = 0; i < COUNT(seen); i++)
        table_put(&t, key_of(text, i), &seen[i]);
    size_t cursor = 0;
    Slice key;
    void *value;
    while (table_next(&t, &cursor, &key, &value)) {
        unsigned i = (unsigned)((unsigned *)value - seen);
        check_slice(key, key_of(text, i));
        seen[i]++;
    }
    for (unsigned i = 0; i < COUNT(seen); i++)
        check_u64(seen[i], 1);
    table_done(&t);
}

TEST(keys_with_nul_and_nothing_are_keys)
{
    Table t = {0};
    int a, b, c;
    table_put(&t, S("x\0y"), &a);
    table_put(&t, S("x"), &b);
    table_put(&t, (Slice){0}, &c);
    check(table_get(&t, S("x\0y")) == &a && table_get(&t, S("x")) == &b);
    check(table_get(&t, S("")) == &c && table_take(&t, S("")) == &c && !table_get(&t, S("")));
    table_done(&t);
}

/* The same random puts and takes on a plain array, which cannot be wrong. */
TEST(a_number_table_agrees_with_an_array)
{
    NumberTable t = {0};
    static void *model[300];
    uint32_t random = 1;
    for (unsigned round = 0; round < 200000; round++) {
        random = random * 1664525 + 1013904223;
        unsigned k = (random >> 8) % COUNT(model);
        uint64_t key = k * 0x100000000ull;
        void *value = &marks[random >> 20];
        if (random >> 31) {
            must(number_table_put(&t, key, value) == model[k]);
            model[k] = value;
        } else {
            must(number_table_take(&t, key) == model[k]);
            model[k] = NULL;
        }
        must(number_table_get(&t, key) == model[k]);
    }
    size_t cursor = 0, count = 0;
    uint64_t key;
    void *value;
    while (number_table_next(&t, &cursor, &key, &value)) {
        check(model[key >> 32] == value);
        count++;
    }
    check_u64(count, t.count);
    number_table_done(&t);
    number_table_done(&t);
    number_table_done(NULL);
}

/* Python 3.11 hashes bytes with SipHash-1-3, and PYTHONHASHSEED=0 makes its key all zeros:
 * hash(bytes(range(n))). */
TEST(the_hash_is_siphash_1_3)
{
    static const struct {
        size_t len;
        uint64_t hash;
    } rows[] = {
        {1,  0x68a914128e01e473},
        {7,  0x2f098ab0c751325a},
        {8,  0xead411e67ebe2eea},
        {9,  0x75927f9d95124362},
        {15, 0xf30eb725bb91c9ea},
        {16, 0x8972188433a5c5b7},
        {63, 0x385d3e39e5f37359},
    };
    char text[64];
    for (int i = 0; i < 64; i++)
        text[i] = (char)i;
    uint64_t before = keyed_hash(slice(text, 63));
    table_seed((const uint8_t[16]){0});
    for (size_t i = 0; i < COUNT(rows); i++)
        check_u64(keyed_hash(slice(text, rows[i].len)), rows[i].hash);
    check(before != keyed_hash(slice(text, 63)));
}
