/* CRC-32C (Castagnoli), RFC 3720 appendix B.4. Bits are reflected: the lowest bit of the register
 * is the coefficient of x^31, so dividing by x is a shift to the left in the usual notation and a
 * shift to the right here. */
#include "base/crc32c.h"
#include "base/text.h"

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#define POLYNOMIAL 0x82f63b78u
/* Three strands of this many octets run side by side through the instruction, which takes three
 * cycles but may begin one every cycle. */
#define STRAND 1024

/* remainders[k][b]: the register after octet b and k octets of zeros. */
static uint32_t remainders[8][256];
/* past_strand[k][b]: what octet k of a register, when it is b, becomes after STRAND zeros. */
static uint32_t past_strand[4][256];

static uint32_t step(uint32_t crc, uint32_t octet)
{
    return crc >> 8 ^ remainders[0][(crc ^ octet) & 0xff];
}

static uint32_t past_zeros(uint32_t crc, size_t zeros)
{
    while (zeros--)
        crc = step(crc, 0);
    return crc;
}

/* The register is linear in its bits: 32 walks over the zeros give every table entry. */
static void make_past_strand(void)
{
    for (unsigned bit = 0; bit < 32; bit++) {
        uint32_t after = past_zeros(1u << bit, STRAND);
        for (unsigned b = 0; b < 256; b++)
            if (b >> bit % 8 & 1) past_strand[bit / 8][b] ^= after;
    }
}

__attribute__((constructor(101))) static void make_tables(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        remainders[0][b] = crc;
    }
    for (unsigned k = 1; k < 8; k++)
        for (unsigned b = 0; b < 256; b++)
            remainders[k][b] = step(remainders[k - 1][b], 0);
    make_past_strand();
}

static uint64_t word_at(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

uint32_t crc32c_by_table(uint32_t seed, Slice bytes)
{
    uint32_t crc = ~seed;
    for (; bytes.len >= 8; bytes.at += 8, bytes.len -= 8) {
        uint64_t word = word_at(bytes.at) ^ crc;
        crc = 0;
        for (unsigned k = 0; k < 8; k++)
            crc ^= remainders[7 - k][word >> (8 * k) & 0xff];
    }
    for (; bytes.len; bytes.at++, bytes.len--)
        crc = step(crc, (unsigned char)*bytes.at);
    return ~crc;
}

#if defined(__x86_64__)
#define WITH_CRC __attribute__((target("sse4.2")))
#define HARDWARE 1
WITH_CRC static uint32_t word_step(uint32_t crc, uint64_t word)
{
    return (uint32_t)__builtin_ia32_crc32di(crc, word);
}
bool crc32c_has_hardware(void)
{
    return __builtin_cpu_supports("sse4.2") != 0;
}
#elif defined(__aarch64__)
#define WITH_CRC
#define HARDWARE 1
/* Written as assembler because the compilers disagree on how to ask for the intrinsic in one
 * function only. */
static uint32_t word_step(uint32_t crc, uint64_t word)
{
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
    return crc;
}
bool crc32c_has_hardware(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}
#else
bool crc32c_has_hardware(void)
{
    return false;
}
uint32_t crc32c_by_hardware(uint32_t seed, Slice bytes)
{
    return crc32c_by_table(seed, bytes);
}
#endif

#ifdef HARDWARE
static uint32_t skip_strand(uint32_t crc)
{
    return past_strand[0][crc & 0xff] ^ past_strand[1][crc >> 8 & 0xff] ^
           past_strand[2][crc >> 16 & 0xff] ^ past_strand[3][crc >> 24];
}

WITH_CRC static uint32_t three_strands(uint32_t crc, const char *at)
{
    uint32_t second = 0, third = 0;
    for (const char *end = at + STRAND; at < end; at += 8) {
        crc = word_step(crc, word_at(at));
        second = word_step(second, word_at(at + STRAND));
        third = word_step(third, word_at(at + 2 * STRAND));
    }
    return skip_strand(skip_strand(crc) ^ second) ^ third;
}

WITH_CRC uint32_t crc32c_by_hardware(uint32_t seed, Slice bytes)
{
    uint32_t crc = ~seed;
    for (; bytes.len >= 3 * STRAND; bytes.at += 3 * STRAND, bytes.len -= 3 * STRAND)
        crc = three_strands(crc, bytes.at);
    for (; bytes.len >= 8; bytes.at += 8, bytes.len -= 8)
        crc = word_step(crc, word_at(bytes.at));
    for (; bytes.len; bytes.at++, bytes.len--)
        crc = step(crc, (unsigned char)*bytes.at);
    return ~crc;
}
#endif

uint32_t crc32c(uint32_t seed, Slice bytes)
{
    return crc32c_has_hardware() ? crc32c_by_hardware(seed, bytes) : crc32c_by_table(seed, bytes);
}
