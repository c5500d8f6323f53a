#include "store/bloom.h"

#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>

static char noise(uint64_t i)
{
    i = (i + 1) * UINT64_C(0xbf58476d1ce4e5b9);
    return (char)((i ^ i >> 27) * UINT64_C(0x94d049bb133111eb) >> 56);
}

static Slice make(Buf *out, Slice text, unsigned *log)
{
    size_t start = out->len;
    *log = bloom_make(out, text);
    return slice(out->at + start, out->len - start);
}

TEST(what_is_in_the_text_is_never_ruled_out)
{
    Buf text buf_scoped = {0};
    for (unsigned i = 0; i < 2000; i++)
        buf_printf(&text, "word%u \xd0\xbf\xd1\x80 %x\n", i * 7919, i * 2654435761u);
    for (size_t len = 0; len < text.len; len = len * 3 / 2 + 1) {
        Buf bits buf_scoped = {0};
        unsigned log;
        Slice signature = make(&bits, slice(text.at, len), &log);
        check_u64(signature.len, bloom_octets(log));
        for (size_t from = 0; from + 3 <= len; from += 1 + len / 50) {
            BloomNeedle needle;
            size_t most = len - from;
            check(bloom_needle(slice(text.at + from, MIN(3 + from % 40, most)), &needle));
            check(bloom_may_have(signature, log, &needle));
        }
    }
}

TEST(most_of_what_is_not_there_is_ruled_out)
{
    Buf text buf_scoped = {0}, bits buf_scoped = {0};
    for (unsigned i = 0; i < 3000; i++)
        buf_printf(&text, "%x ", i * 2654435761u);
    unsigned log, wrong = 0;
    Slice signature = make(&bits, buf_slice(&text), &log);
    for (unsigned i = 0; i < 10000; i++) {
        char needle[16];
        BloomNeedle n;
        snprintf(needle, sizeof needle, "q%uz", i + 10000);
        check(bloom_needle(slice_of(needle), &n));
        wrong += bloom_may_have(signature, log, &n);
    }
    check(wrong < 50); /* five trigrams at most, each with 16 % of mistakes */
}

/* The size follows the number of distinct trigrams, not the length. */
TEST(signatures_are_as_large_as_they_need_to_be)
{
    Buf same buf_scoped = {0}, other buf_scoped = {0}, bits buf_scoped = {0};
    for (unsigned i = 0; i < 20000; i++) {
        buf_char(&same, "hello "[i % 6]);
        buf_char(&other, noise(i));
    }
    check_u64(bloom_make(&bits, buf_slice(&same)), BLOOM_LOG_LEAST);
    unsigned log = bloom_make(&bits, buf_slice(&other));
    check(log >= 16 && log <= 17);
    check_u64(bloom_make(&bits, S("")), BLOOM_LOG_LEAST);
    check_u64(bloom_make(&bits, S("ab")), BLOOM_LOG_LEAST);
}

TEST(short_needles_rule_nothing_out)
{
    BloomNeedle n;
    check(!bloom_needle(S(""), &n));
    check(!bloom_needle(S("ab"), &n));
    check(bloom_needle(S("abc"), &n));
    check_u64(n.count, 2);
    check(bloom_needle(S("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"), &n));
    check_u64(n.count, BLOOM_HASHES_MOST);
}

/* A block answers like its signatures one by one. */
TEST(sliced_signatures_answer_the_same)
{
    Buf bits buf_scoped = {0}, rows buf_scoped = {0};
    static Slice signatures[BLOOM_BLOCK];
    enum { LOG = 10, COLUMNS = 300 };
    for (unsigned i = 0; i < COLUMNS; i++)
        for (unsigned j = 0; j < bloom_octets(LOG); j++)
            buf_char(&bits, noise(i * 1000 + j));
    for (unsigned i = 0; i < COLUMNS; i++)
        signatures[i] = slice(bits.at + i * bloom_octets(LOG), bloom_octets(LOG));
    bloom_slice(&rows, signatures, COLUMNS, LOG);
    check_u64(rows.len, (size_t)BLOOM_ROW << LOG);
    for (unsigned i = 0; i < 200; i++) {
        char text[8];
        BloomNeedle n;
        snprintf(text, sizeof text, "%03x", i * 77);
        check(bloom_needle(slice_of(text), &n));
        uint64_t candidates[BLOOM_BLOCK / 64];
        memset(candidates, 0xff, sizeof candidates);
        for (size_t k = 0; k < n.count; k++)
            check(bloom_and_row(candidates,
                                slice(rows.at + (n.hashes[k] & 1023) * BLOOM_ROW, BLOOM_ROW)));
        for (unsigned c = 0; c < BLOOM_BLOCK; c++)
            check((candidates[c / 64] >> c % 64 & 1) ==
                  (c < COLUMNS && bloom_may_have(signatures[c], LOG, &n)));
    }
}

TEST(a_damaged_row_is_noticed)
{
    Buf bits buf_scoped = {0}, rows buf_scoped = {0};
    unsigned log;
    Slice signature = make(&bits, S("some text"), &log);
    bloom_slice(&rows, &signature, 1, log);
    uint64_t candidates[BLOOM_BLOCK / 64] = {0};
    for (unsigned bit = 0; bit < BLOOM_ROW * 8; bit++) {
        rows.at[bit / 8] ^= (char)(1 << bit % 8);
        check(!bloom_and_row(candidates, slice(rows.at, BLOOM_ROW)));
        rows.at[bit / 8] ^= (char)(1 << bit % 8);
    }
    check(bloom_and_row(candidates, slice(rows.at, BLOOM_ROW)));
    check(!bloom_and_row(candidates, slice(rows.at, BLOOM_ROW - 1)));
}
