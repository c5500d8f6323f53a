#include "base/memo.h"
#include "base/test.h"

typedef struct {
    MemoKind kind;
    const char *layout;
    uint32_t most;
} Row;

static const Row rows[] = {
#define MEMO(name, from, to, layout, most, meaning) {MEMO_##name, layout, most},
#include "base/memos.def"
#undef MEMO
};

TEST(layouts_are_of_the_kinds_there_are)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        Slice layout = slice_of(rows[i].layout);
        check(layout.len <= MEMO_FIELDS_MOST);
        for (size_t k = 0; k < layout.len; k++) {
            check(slice_find(S("1248sb"), layout.at[k]) < 6);
            check(layout.at[k] != 'b' || k + 1 == layout.len); /* the rest is the last */
        }
    }
}

static CastRole sayer(MemoKind kind, Slice octets, CastRole *to)
{
    Memo memo;
    for (CastRole from = 0; from < CAST_COUNT; from++)
        for (*to = 0; *to < CAST_COUNT; (*to)++)
            if (!memo_read(from, *to, (uint8_t)kind, octets, &memo)) return from;
    return CAST_COUNT;
}

TEST(what_is_put_is_read)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        Memo said = {.kind = rows[i].kind}, heard = {0};
        Buf octets buf_scoped = {0};
        for (size_t k = 0; k < MEMO_FIELDS_MOST; k++)
            said.number[k] = k, said.text[k] = S("");
        memo_put(&octets, &said);
        CastRole to, from = sayer(rows[i].kind, buf_slice(&octets), &to);
        check(from < CAST_COUNT && from != to);
        check(!memo_read(from, to, (uint8_t)rows[i].kind, buf_slice(&octets), &heard));
        check(heard.kind == rows[i].kind);
        for (size_t cut = 0; cut < octets.len; cut++)
            check(memo_read(from, to, (uint8_t)rows[i].kind, slice_first(buf_slice(&octets), cut),
                            &heard) == ERR_SYNTAX ||
                  slice_ends(slice_of(rows[i].layout), S("b")));
        Buf longer buf_scoped = {0};
        memset(buf_reserve(&longer, rows[i].most + 1), 0, rows[i].most + 1);
        longer.len = rows[i].most + 1;
        check(memo_read(from, to, (uint8_t)rows[i].kind, buf_slice(&longer), &heard) == ERR_SYNTAX);
    }
}
