#pragma once
/* The file of an account's signatures. These calls block: helper threads only, one at a time.
 *
 *     file:    chunk chunk ...         each begins at a multiple of 32 octets
 *     chunk:   u32 magic  u32 crc32c of the next 24 octets
 *              u8 type  u8 log  u16 count  u32 octets of the payload  u32 acct
 *              u32 eid  u32 crc32c of the payload  u32 0
 *              payload, zeros up to a multiple of 32
 *       one    payload: the signature of eid; log 0: none, always a candidate
 *       block  payload: u32 eid, count times; then rows (bloom.h), each with its own CRC, so that
 *              a query checks what it reads. The crc32c in the header is that of the eids.
 *
 * Chunks are only ever appended; a later one of the same eid counts. Signatures come one by one;
 * 512 of one size become a block, and when half of the file is out of date it is written anew. What
 * is damaged is stepped over: its messages are unknown. */
#include "run/file.h"
#include "store/bloom.h"

typedef struct SigFile SigFile;

/* Appends the chunk of one message. whole false: always a candidate. */
void sig_chunk(Buf *out, uint32_t acct, uint32_t eid, Slice text, bool whole);
/* Creates it if need be. ERR_IN_USE: another one is open still. */
Err sigfile_open(Slice path, uint32_t acct, SigFile **f) MUST_USE;
void sigfile_close(SigFile *f);
SCOPED(SigFile, sigfile, sigfile_close)
/* Chunks as sig_chunk makes them. After an error close the file. */
Err sigfile_append(SigFile *f, Slice chunks) MUST_USE;
bool sigfile_knows(SigFile *f, uint32_t eid);
/* Drops from eids (ascending) those that cannot have it; returns how many are left. */
size_t sigfile_filter(SigFile *f, const BloomNeedle *needle, uint32_t *eids, size_t n);
/* Makes blocks of what came one by one, and the file anew when it is worth it. */
Err sigfile_tidy(SigFile *f) MUST_USE;
