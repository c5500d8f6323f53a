#pragma once
/* Chunks of a file of signatures; drawn in sigfile.h. What is read is untrusted. */
#include "store/bloom.h"

enum { CHUNK_ALIGN = 32, CHUNK_HEADER = 32 };
typedef enum { CHUNK_ONE = 1, CHUNK_BLOCK = 2 } ChunkType;

typedef struct {
    uint8_t type, log;
    uint16_t count;
    uint32_t octets, acct, eid, crc;
} Chunk;

static inline size_t chunk_padded(size_t octets)
{
    return (octets + CHUNK_ALIGN - 1) / CHUNK_ALIGN * CHUNK_ALIGN;
}
/* A header that is whole, of this account, and whose numbers fit each other. */
bool chunk_read(Slice bytes, uint32_t acct, Chunk *c) MUST_USE;
/* The header in front of the payload that begins CHUNK_HEADER behind start, and zeros behind it. */
void chunk_finish(Buf *out, size_t start, Chunk *c);
