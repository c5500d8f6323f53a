#pragma once
/* Signatures of texts: which ones certainly do not contain a needle? (specs: storage, section 9)
 *
 * A signature is a Bloom filter over the byte trigrams of a casemapped text, two bits each. It has
 * 1 << log bits, log as small as keeps at most two bits in five set: 4 to 8 bits per distinct
 * trigram. Signatures of one log lie together in blocks of 512 turned on their side: row r holds
 * bit r of all 512, so a needle asks for a few rows of 64 octets instead of 512 signatures. Pure:
 * no files here; sigfile.h keeps them. */
#include "base/base.h"

enum {
    BLOOM_LOG_LEAST = 9,
    BLOOM_LOG_MOST = 20,
    BLOOM_SLICED_MOST = 17, /* signatures above stay as they are: a block would take 16 MiB */
    BLOOM_BLOCK = 512,
    BLOOM_ROW = 4 + BLOOM_BLOCK / 8, /* u32 crc32c, then 512 bits */
    BLOOM_HASHES_MOST = 24,
};
static inline size_t bloom_octets(unsigned log)
{
    return (size_t)1 << (log - 3);
}

/* Appends the signature of a folded text; returns its log. */
unsigned bloom_make(Buf *out, Slice folded_text);

typedef struct {
    uint32_t hashes[BLOOM_HASHES_MOST]; /* & ((1 << log) - 1): the bit, or the row */
    size_t count;
} BloomNeedle;
/* false: shorter than a trigram, nothing can be ruled out. */
bool bloom_needle(Slice folded_needle, BloomNeedle *needle);
bool bloom_may_have(Slice signature, unsigned log, const BloomNeedle *needle);

/* Turns `count` signatures into (1 << log) rows of BLOOM_ROW octets, appended. */
void bloom_slice(Buf *out, const Slice *signatures, size_t count, unsigned log);
/* candidates &= the row; false: the row is damaged. Start with all ones. */
bool bloom_and_row(uint64_t candidates[BLOOM_BLOCK / 64], Slice row);
