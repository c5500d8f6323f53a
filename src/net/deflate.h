#pragma once
/* Internal to net/: raw DEFLATE (RFC 1951) in both directions, as COMPRESS uses it (RFC 4978).
 * Pure, so that it can be fuzzed without a socket.
 *
 * Both ends can go to rest: what zlib needs while it works (the deflater 64 KiB, the inflater 40)
 * is given back, and the conversation goes on later as if nothing had been. */
#include "base/base.h"

/* ---- out ---- */
typedef struct Deflater Deflater;
typedef enum {
    DEFLATE_MORE,  /* more will come; zlib may keep octets back */
    DEFLATE_FLUSH, /* all octets go out now, behind them an octet boundary */
    DEFLATE_END,   /* and nothing comes after them: the last block */
} DeflateWay;
Deflater *deflater_new(void);
void deflater_free(Deflater *d);
SCOPED(Deflater, deflater, deflater_free)
/* Appends to out. Call it with pieces of at most DEFLATE_PIECE: what cannot be compressed (images,
 * archives) or not much (base64) is found out piece by piece and costs little. */
enum { DEFLATE_PIECE = 16 * 1024 };
void deflater_put(Deflater *d, Slice octets, DeflateWay way, Buf *out);
bool deflater_holds(const Deflater *d); /* octets that only a flush brings out */
/* Nothing may be held back. The next octets begin without a dictionary. */
void deflater_rest(Deflater *d);

/* ---- in ---- */
typedef struct Inflater Inflater;
Inflater *inflater_new(void);
void inflater_free(Inflater *i);
SCOPED(Inflater, inflater, inflater_free)
/* Takes octets off *in and puts at most `room` into out. Stops behind the first flush of the other
 * end that brought anything: what follows *in may be no DEFLATE any more (RFC 8437 4.1). *made 0
 * and OK: more has to come in. ERR_SYNTAX: this is not DEFLATE; ERR_LIMIT: a bomb, far more came
 * out than any mail would give, or nothing comes out at all. */
Err inflater_take(Inflater *i, Slice *in, char *out, size_t room, size_t *made) MUST_USE;
/* Gives back what it can: all, when the other end has flushed to an octet boundary. The window is
 * kept compressed. */
/* Between two flushes of the peer: nothing of what comes next has been looked at. */
bool inflater_at_boundary(const Inflater *i);
void inflater_rest(Inflater *i);
size_t inflater_kept(const Inflater *i); /* octets kept while at rest; for tests */
