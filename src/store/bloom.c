#include "store/bloom.h"

#include "base/text.h"

#include <endian.h>
#include <stdlib.h>

/* One multiplication mixes 24 bits well enough; its two ends make the two bits. */
static uint64_t mix(uint32_t trigram)
{
    uint64_t h = (trigram + 1) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ (h >> 29);
}
static uint32_t first_bit(uint64_t h)
{
    return (uint32_t)(h >> 44); /* BLOOM_LOG_MOST bits */
}
static uint32_t second_bit(uint64_t h)
{
    return (uint32_t)(h >> 8) & ((1u << BLOOM_LOG_MOST) - 1);
}

static void set_bits(uint64_t *words, unsigned log, Slice text)
{
    const uint8_t *at = (const uint8_t *)text.at;
    uint32_t mask = (1u << log) - 1, trigram = (uint32_t)at[0] << 8 | at[1];
    for (size_t i = 2; i < text.len; i++) {
        trigram = (trigram << 8 | at[i]) & 0xffffff;
        uint64_t h = mix(trigram);
        uint32_t a = first_bit(h) & mask, b = second_bit(h) & mask;
        words[a / 64] |= UINT64_C(1) << a % 64;
        words[b / 64] |= UINT64_C(1) << b % 64;
    }
}

/* The signature of half the size: what `& mask` does with one bit less. */
static void fold(uint64_t *words, unsigned log)
{
    size_t half = (size_t)1 << (log - 7);
    for (size_t i = 0; i < half; i++)
        words[i] |= words[i + half];
}

static size_t ones_when_folded(const uint64_t *words, unsigned log)
{
    size_t half = (size_t)1 << (log - 7), n = 0;
    for (size_t i = 0; i < half; i++)
        n += (size_t)__builtin_popcountll(words[i] | words[i + half]);
    return n;
}

static void add_words(Buf *out, const uint64_t *words, size_t count)
{
    char *to = buf_reserve(out, count * sizeof *words);
    for (size_t i = 0; i < count; i++) {
        uint64_t little = htole64(words[i]);
        memcpy(to + i * sizeof little, &little, sizeof little);
    }
    out->len += count * sizeof *words;
}

/* How many distinct trigrams there are shows only afterwards: begin with room for all of them to be
 * distinct, and fold while the halves still leave three bits in five clear. */
unsigned bloom_make(Buf *out, Slice text)
{
    unsigned log = BLOOM_LOG_LEAST;
    while (log < BLOOM_LOG_MOST && (size_t)1 << log < text.len * 4)
        log++;
    size_t words = (size_t)1 << (log - 6);
    uint64_t *scratch = mem_zero(words * sizeof *scratch);
    if (text.len >= 3) set_bits(scratch, log, text);
    for (; log > BLOOM_LOG_LEAST && ones_when_folded(scratch, log) * 5 <= (size_t)1 << log; log--)
        fold(scratch, log);
    add_words(out, scratch, (size_t)1 << (log - 6));
    free(scratch);
    return log;
}

/* Twelve trigrams, evenly over the needle, leave one text in a hundred thousand by mistake. */
bool bloom_needle(Slice needle, BloomNeedle *out)
{
    *out = (BloomNeedle){0};
    if (needle.len < 3) return false;
    size_t trigrams = needle.len - 2, most = BLOOM_HASHES_MOST / 2, take = MIN(trigrams, most);
    for (size_t i = 0; i < take; i++) {
        const uint8_t *at = (const uint8_t *)needle.at + i * trigrams / take;
        uint64_t h = mix((uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2]);
        out->hashes[out->count++] = first_bit(h);
        out->hashes[out->count++] = second_bit(h);
    }
    return true;
}

bool bloom_may_have(Slice signature, unsigned log, const BloomNeedle *needle)
{
    must(signature.len == bloom_octets(log));
    for (size_t i = 0; i < needle->count; i++) {
        uint32_t bit = needle->hashes[i] & ((1u << log) - 1);
        if (!((uint8_t)signature.at[bit / 8] >> bit % 8 & 1)) return false;
    }
    return true;
}

static void slice_one(uint8_t *rows, Slice signature, size_t column)
{
    for (size_t word = 0; word < signature.len / 8; word++) {
        Reader r = reader(slice_from(signature, word * 8));
        for (uint64_t left = read_u64(&r); left; left &= left - 1) {
            size_t row = word * 64 + (size_t)__builtin_ctzll(left);
            rows[row * BLOOM_ROW + 4 + column / 8] |= (uint8_t)(1u << column % 8);
        }
    }
}

static void sign_row(uint8_t *row)
{
    uint32_t crc = crc32c(0, slice(row + 4, BLOOM_ROW - 4));
    for (unsigned i = 0; i < 4; i++)
        row[i] = (uint8_t)(crc >> 8 * i);
}

void bloom_slice(Buf *out, const Slice *signatures, size_t count, unsigned log)
{
    must(count <= BLOOM_BLOCK && log <= BLOOM_SLICED_MOST);
    size_t size = ((size_t)1 << log) * BLOOM_ROW;
    uint8_t *rows = (uint8_t *)buf_reserve(out, size);
    memset(rows, 0, size);
    for (size_t i = 0; i < count; i++) {
        must(signatures[i].len == bloom_octets(log));
        slice_one(rows, signatures[i], i);
    }
    for (size_t at = 0; at < size; at += BLOOM_ROW)
        sign_row(rows + at);
    out->len += size;
}

bool bloom_and_row(uint64_t candidates[BLOOM_BLOCK / 64], Slice row)
{
    Reader r = reader(row);
    if (row.len != BLOOM_ROW || read_u32(&r) != crc32c(0, r.rest)) return false;
    for (size_t i = 0; i < BLOOM_BLOCK / 64; i++)
        candidates[i] &= read_u64(&r);
    return true;
}
