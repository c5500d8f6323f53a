#pragma once
/* What the processes say to each other. A memo is one message; the table memos.def gives each its
 * name, who says it to whom, its fields, and the most octets they may have. Whoever receives one
 * believes nothing of it: memo_read checks the kind, the direction and every length, once. */
#include "base/base.h"

typedef enum { CAST_WARDEN, CAST_FRONT, CAST_KEEPER, CAST_HOUSE, CAST_RUNNER, CAST_COUNT } CastRole;
extern const char *const cast_names[CAST_COUNT]; /* "warden", "front", ... */

typedef enum {
#define MEMO(name, from, to, layout, most, meaning) MEMO_##name,
#include "base/memos.def"
#undef MEMO
    MEMO_COUNT
} MemoKind;

/* In the order of the layout: '1', '2', '4', '8' are numbers of so many octets, little-endian; 's'
 * is text with its length (u16) in front, 'b' all that is left. */
enum { MEMO_FIELDS_MOST = 12 };
typedef struct {
    MemoKind kind;
    uint64_t number[MEMO_FIELDS_MOST]; /* the numbers, counted by themselves */
    Slice text[MEMO_FIELDS_MOST];      /* the texts; borrowed */
} Memo;

/* ERR_SYNTAX: no such kind, not from one to the other, too long, too short, or octets are left. */
Err memo_read(CastRole from, CastRole to, uint8_t kind, Slice octets, Memo *memo) MUST_USE;
/* The fields without the kind. Numbers and texts have to fit their fields. */
void memo_put(Buf *out, const Memo *memo);
const char *memo_name(MemoKind kind);
