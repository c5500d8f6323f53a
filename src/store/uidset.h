#pragma once
/* A set of UIDs (or message numbers) as sorted, disjoint, non-adjacent ranges in an arena. {0} is
 * empty. */
#include "base/base.h"

typedef struct {
    uint32_t first, last; /* both included */
} UidRange;
typedef struct {
    UidRange *ranges;
    size_t count, room;
} UidSet;
void uidset_add(Arena *a, UidSet *s, uint32_t first,
                uint32_t last); /* any order; O(1) at the end */
void uidset_remove(Arena *a, UidSet *s, uint32_t first, uint32_t last); /* O(ranges behind) */
bool uidset_has(const UidSet *s, uint32_t uid);                         /* O(log n) */
uint64_t uidset_size(const UidSet *s);
bool uidset_next(const UidSet *s, uint32_t *uid); /* the smallest member >= *uid; false: none */
void uidset_print(Buf *out, const UidSet *s);     /* "1,3:5"; nothing for the empty set */
/* As octets: varint count, then for each range varint gap to the end of the one before (>= 1) and
 * length - 1. What is read is checked; in->bad: it does not fit. */
void uidset_write(Buf *out, const UidSet *s);
void uidset_read(Reader *in, Arena *a, UidSet *s);
