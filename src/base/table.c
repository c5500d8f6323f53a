/* Open addressing with linear probing. The room is a power of two, at most three quarters full; a
 * place is empty when its value is NULL. Removing closes the gap by moving later entries of the
 * same run back, so there are no tombstones and a table that lived long is as fast as a new one.
 *
 * The hash is SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", with one
 * round a word and three at the end, as Rust and Python use it for their tables). */
#include "base/table.h"

#include <stdlib.h>

typedef struct TableEntry {
    uint64_t hash;
    char *key;
    size_t key_len;
    void *value;
} TableEntry;

typedef struct NumberEntry {
    uint64_t key;
    void *value;
} NumberEntry;

#define FIRST_ROOM 16

static uint64_t seed[2] = {0x706f7374686f7573, 0x6562617365746162};

static uint64_t word_at(const uint8_t *at, size_t len)
{
    uint64_t w = 0;
    for (size_t i = 0; i < len; i++)
        w |= (uint64_t)at[i] << (8 * i);
    return w;
}

void table_seed(const uint8_t key[16])
{
    seed[0] = word_at(key, 8);
    seed[1] = word_at(key + 8, 8);
}

typedef struct {
    uint64_t a, b, c, d;
} Sip;

static uint64_t turn(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(Sip *s)
{
    s->a += s->b, s->b = turn(s->b, 13) ^ s->a, s->a = turn(s->a, 32);
    s->c += s->d, s->d = turn(s->d, 16) ^ s->c;
    s->a += s->d, s->d = turn(s->d, 21) ^ s->a;
    s->c += s->b, s->b = turn(s->b, 17) ^ s->c, s->c = turn(s->c, 32);
}

static Sip sip_begin(const uint64_t key[2])
{
    return (Sip){key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                 key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
}

static void sip_word(Sip *s, uint64_t word)
{
    s->d ^= word;
    sip_round(s);
    s->a ^= word;
}

static uint64_t sip_end(Sip *s)
{
    s->c ^= 0xff;
    sip_round(s), sip_round(s), sip_round(s);
    return s->a ^ s->b ^ s->c ^ s->d;
}

uint64_t keyed_hash_with(const uint64_t key[2], Slice s)
{
    const uint8_t *at = (const uint8_t *)s.at;
    Sip sip = sip_begin(key);
    size_t whole = s.len / 8 * 8;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word;
        memcpy(&word, at + i, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        sip_word(&sip, word);
    }
    uint64_t tail = s.len > whole ? word_at(at + whole, s.len - whole) : 0;
    sip_word(&sip, tail | (uint64_t)s.len << 56);
    return sip_end(&sip);
}

uint64_t keyed_hash(Slice s)
{
    return keyed_hash_with(seed, s);
}

static uint64_t number_hash(uint64_t key)
{
    Sip sip = sip_begin(seed);
    sip_word(&sip, key);
    sip_word(&sip, (uint64_t)8 << 56);
    return sip_end(&sip);
}

static bool is_full(size_t count, size_t room)
{
    return count + 1 > room / 4 * 3;
}

/* Would the entry whose first choice is `home`, now at `at`, be found if it stood at the gap? */
static bool may_move(size_t home, size_t at, size_t gap, size_t mask)
{
    return ((at - home) & mask) >= ((at - gap) & mask);
}

/* ---- Table ---- */

static TableEntry *place_of(const Table *t, uint64_t hash, Slice key)
{
    size_t mask = t->room - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        TableEntry *e = &t->entries[i];
        if (!e->value || (e->hash == hash && slice_eq(slice(e->key, e->key_len), key))) return e;
    }
}

static void table_resize(Table *t, size_t room)
{
    Table bigger = {.entries = mem_zero(array_bytes(room, sizeof(TableEntry))), .room = room};
    for (size_t i = 0; i < t->room; i++) {
        TableEntry *e = &t->entries[i];
        if (!e->value) continue;
        size_t at = e->hash & (room - 1);
        while (bigger.entries[at].value)
            at = (at + 1) & (room - 1);
        bigger.entries[at] = *e;
    }
    bigger.count = t->count;
    free(t->entries);
    *t = bigger;
}

void *table_get(const Table *t, Slice key)
{
    return t->count ? place_of(t, keyed_hash(key), key)->value : NULL;
}

void *table_put(Table *t, Slice key, void *value)
{
    must(value);
    if (is_full(t->count, t->room)) table_resize(t, t->room ? t->room * 2 : FIRST_ROOM);
    uint64_t hash = keyed_hash(key);
    TableEntry *e = place_of(t, hash, key);
    void *replaced = e->value;
    if (!replaced) {
        *e = (TableEntry){.hash = hash, .key = mem_new(key.len), .key_len = key.len};
        if (key.len) memcpy(e->key, key.at, key.len);
        t->count++;
    }
    e->value = value;
    return replaced;
}

static void table_close_gap(Table *t, size_t gap)
{
    size_t mask = t->room - 1;
    for (size_t i = (gap + 1) & mask; t->entries[i].value; i = (i + 1) & mask) {
        if (!may_move(t->entries[i].hash & mask, i, gap, mask)) continue;
        t->entries[gap] = t->entries[i];
        gap = i;
    }
    t->entries[gap] = (TableEntry){0};
}

void *table_take(Table *t, Slice key)
{
    if (!t->count) return NULL;
    TableEntry *e = place_of(t, keyed_hash(key), key);
    void *value = e->value;
    if (!value) return NULL;
    free(e->key);
    table_close_gap(t, (size_t)(e - t->entries));
    if (!--t->count) table_done(t); /* a table that was large once does not stay so */
    return value;
}

bool table_next(const Table *t, size_t *cursor, Slice *key, void **value)
{
    while (*cursor < t->room) {
        const TableEntry *e = &t->entries[(*cursor)++];
        if (!e->value) continue;
        *key = slice(e->key, e->key_len);
        *value = e->value;
        return true;
    }
    return false;
}

void table_done(Table *t)
{
    if (!t) return;
    for (size_t i = 0; i < t->room; i++)
        free(t->entries[i].key);
    free(t->entries);
    *t = (Table){0};
}

/* ---- NumberTable ---- */

static NumberEntry *number_place(const NumberTable *t, uint64_t key)
{
    size_t mask = t->room - 1;
    for (size_t i = number_hash(key) & mask;; i = (i + 1) & mask) {
        NumberEntry *e = &t->entries[i];
        if (!e->value || e->key == key) return e;
    }
}

static void number_table_resize(NumberTable *t, size_t room)
{
    NumberTable bigger = {.entries = mem_zero(array_bytes(room, sizeof(NumberEntry))),
                          .room = room,
                          .count = t->count};
    for (size_t i = 0; i < t->room; i++)
        if (t->entries[i].value) *number_place(&bigger, t->entries[i].key) = t->entries[i];
    free(t->entries);
    *t = bigger;
}

void *number_table_get(const NumberTable *t, uint64_t key)
{
    return t->count ? number_place(t, key)->value : NULL;
}

void *number_table_put(NumberTable *t, uint64_t key, void *value)
{
    must(value);
    if (is_full(t->count, t->room)) number_table_resize(t, t->room ? t->room * 2 : FIRST_ROOM);
    NumberEntry *e = number_place(t, key);
    void *replaced = e->value;
    if (!replaced) t->count++;
    *e = (NumberEntry){key, value};
    return replaced;
}

static void number_close_gap(NumberTable *t, size_t gap)
{
    size_t mask = t->room - 1;
    for (size_t i = (gap + 1) & mask; t->entries[i].value; i = (i + 1) & mask) {
        if (!may_move(number_hash(t->entries[i].key) & mask, i, gap, mask)) continue;
        t->entries[gap] = t->entries[i];
        gap = i;
    }
    t->entries[gap] = (NumberEntry){0};
}

void *number_table_take(NumberTable *t, uint64_t key)
{
    if (!t->count) return NULL;
    NumberEntry *e = number_place(t, key);
    void *value = e->value;
    if (!value) return NULL;
    number_close_gap(t, (size_t)(e - t->entries));
    if (!--t->count) number_table_done(t);
    return value;
}

void number_table_reserve(NumberTable *t, size_t count)
{
    size_t room = MAX(t->room, (size_t)FIRST_ROOM);
    while (is_full(count, room))
        room *= 2;
    if (room > t->room) number_table_resize(t, room);
}

bool number_table_next(const NumberTable *t, size_t *cursor, uint64_t *key, void **value)
{
    while (*cursor < t->room) {
        const NumberEntry *e = &t->entries[(*cursor)++];
        if (!e->value) continue;
        *key = e->key;
        *value = e->value;
        return true;
    }
    return false;
}

void number_table_done(NumberTable *t)
{
    if (!t) return;
    free(t->entries);
    *t = (NumberTable){0};
}
