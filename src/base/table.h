#pragma once
/* Hash tables with a key drawn at start-up (SipHash-1-3), safe to feed from outside. {0} is empty
 * and valid. Table maps bytes to a pointer, NumberTable a 64-bit number to a pointer. Values are
 * never NULL. */
#include "base/base.h"

typedef struct {
    struct TableEntry *entries;
    size_t count, room;
} Table;
void *table_get(const Table *t, Slice key);
void *table_put(Table *t, Slice key,
                void *value);          /* copies the key; returns the value replaced, or NULL */
void *table_take(Table *t, Slice key); /* removes; returns the value, or NULL */
bool table_next(const Table *t, size_t *cursor, Slice *key,
                void **value); /* cursor starts at 0; no changes meanwhile */
void table_done(Table *t);     /* the values are yours */

typedef struct {
    struct NumberEntry *entries;
    size_t count, room;
} NumberTable;
void *number_table_get(const NumberTable *t, uint64_t key);
void *number_table_put(NumberTable *t, uint64_t key, void *value);
void *number_table_take(NumberTable *t, uint64_t key);
/* Room for so many: growing by itself, a table of a million moves all of them at once. */
void number_table_reserve(NumberTable *t, size_t count);
bool number_table_next(const NumberTable *t, size_t *cursor, uint64_t *key, void **value);
void number_table_done(NumberTable *t);

void table_seed(const uint8_t key[16]); /* once, before the first use; tests use the default */
uint64_t keyed_hash(Slice s);
uint64_t keyed_hash_with(const uint64_t key[2], Slice s); /* a key that others know, too */
