#pragma once
/* SHA-256 by OpenSSL, for bodies. The algorithm is fetched once per process. */
#include "base/base.h"

typedef struct Digest Digest;
Digest *digest_new(void);
void digest_add(Digest *d, Slice octets);
void digest_peek(const Digest *d, uint8_t sha256[32]); /* of what was added so far; it goes on */
void digest_end(Digest *d, uint8_t sha256[32]);
void digest_free(Digest *d);
void digest_of(Slice octets, uint8_t sha256[32]);
