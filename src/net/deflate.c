#include "net/deflate.h"

#include <stdlib.h>
#include <zlib.h>

/* zlib.h, deflateInit2: (1 << (window + 2)) + (1 << (memory level + 9)) octets. Measured on FETCH
 * answers (`posthouse` and tests/compress): a window of 8 KiB costs 3 % of the ratio that 32 KiB
 * and 256 KiB of memory give. */
enum {
    WINDOW_OUT = 13,
    WINDOW_IN = 15, /* the other end may use all of it */
    MEMORY_LEVEL = 6,
    LEVEL = 3,
    BOMB_GRACE = 256 << 20, /* a message of zeros is no bomb yet */
    BOMB_RATIO = 64,
    SILENT_MOST = 256 * 1024, /* octets in that bring none out */
};

/* ---- what zlib works in ----
 *
 * One piece for each z_stream, large enough that malloc takes it from the kernel and gives it back
 * there: in pieces of a few KiB the heap would keep, for ever, what a thousand sessions once used
 * (measured: 62 KiB each, at rest). Pages that are never touched cost nothing. */

typedef struct {
    char *at;
    size_t used;
} Slab;
enum { SLAB = 512 * 1024 };

static void *slab_alloc(void *opaque, unsigned items, unsigned size)
{
    Slab *slab = opaque;
    size_t bytes = ((size_t)items * size + 63) & ~(size_t)63;
    if (!slab->at) slab->at = mem_new(SLAB);
    must(bytes <= SLAB - slab->used); /* zlib.h says how much it needs */
    slab->used += bytes;
    return slab->at + slab->used - bytes;
}

static void slab_free(void *opaque, void *at)
{
    (void)opaque, (void)at; /* all at once */
}

static z_stream z_in(Slab *slab)
{
    return (z_stream){.zalloc = slab_alloc, .zfree = slab_free, .opaque = slab};
}

static void slab_done(Slab *slab)
{
    free(slab->at);
    *slab = (Slab){0};
}

/* ---- out ---- */

struct Deflater {
    z_stream z;
    Slab slab;
    bool works; /* z is set up */
    bool holds; /* octets went in since the last flush */
    int level, strategy;
};

Deflater *deflater_new(void)
{
    return NEW(Deflater);
}

void deflater_free(Deflater *d)
{
    if (!d) return;
    slab_done(&d->slab);
    free(d);
}

static void set_up(Deflater *d)
{
    d->z = z_in(&d->slab);
    d->level = LEVEL, d->strategy = Z_DEFAULT_STRATEGY;
    int rc = deflateInit2(&d->z, LEVEL, Z_DEFLATED, -WINDOW_OUT, MEMORY_LEVEL, d->strategy);
    if (rc != Z_OK) out_of_memory((size_t)1 << 16);
    d->works = true;
}

static bool is_base64(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/' || c == '\r' || c == '\n' || c == '=';
}

/* What these octets look like, by a sample from their middle. RFC 4978 4: images and archives are
 * better left alone; base64 of them has no repetitions to search for, only six bits in eight. */
static void choose(Slice octets, int *level, int *strategy)
{
    enum { SAMPLE = 1024 };
    bool seen[256] = {false}, base64 = true;
    unsigned distinct = 0;
    *level = LEVEL, *strategy = Z_DEFAULT_STRATEGY;
    if (octets.len < 2 * SAMPLE) return;
    const unsigned char *at = (const unsigned char *)octets.at + (octets.len - SAMPLE) / 2;
    for (size_t i = 0; i < SAMPLE; i++) {
        distinct += !seen[at[i]];
        seen[at[i]] = true;
        base64 = base64 && is_base64(at[i]);
    }
    if (distinct >= 230) /* noise has 251, text at most half of that */
        *level = 0;
    else if (base64 && distinct >= 60)
        *strategy = Z_HUFFMAN_ONLY;
}

/* One call of zlib with room for its output, until it has no more. */
static void run(Deflater *d, Buf *out, int flush)
{
    enum { ROOM = 4096 };
    do {
        d->z.next_out = (unsigned char *)buf_reserve(out, ROOM);
        d->z.avail_out = ROOM;
        int rc = deflate(&d->z, flush);
        must(rc == Z_OK || rc == Z_BUF_ERROR || rc == Z_STREAM_END);
        out->len += ROOM - d->z.avail_out;
    } while (!d->z.avail_out);
}

/* What waits has to be out before zlib changes its ways, or deflateParams would need room. */
static void change(Deflater *d, int level, int strategy, Buf *out)
{
    if (level == d->level && strategy == d->strategy) return;
    if (d->holds) run(d, out, Z_BLOCK);
    unsigned char room[64];
    d->z.next_out = room, d->z.avail_out = sizeof room;
    int rc = deflateParams(&d->z, level, strategy);
    must(rc == Z_OK || rc == Z_BUF_ERROR);
    buf_add(out, slice(room, sizeof room - d->z.avail_out));
    d->level = level, d->strategy = strategy;
}

void deflater_rest(Deflater *d)
{
    must(!d->holds);
    slab_done(&d->slab);
    d->works = false;
}

void deflater_put(Deflater *d, Slice octets, DeflateWay way, Buf *out)
{
    static const int flushes[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
    must(octets.len <= DEFLATE_PIECE);
    if (!octets.len && way == DEFLATE_FLUSH && !d->holds) return;
    if (!d->works) set_up(d);
    int level, strategy;
    choose(octets, &level, &strategy);
    change(d, level, strategy, out);
    d->z.next_in = (unsigned char *)(uintptr_t)octets.at;
    d->z.avail_in = (unsigned)octets.len;
    run(d, out, flushes[way]);
    must(!d->z.avail_in);
    d->holds = way == DEFLATE_MORE && (d->holds || octets.len);
    if (way == DEFLATE_END) deflater_rest(d);
}

bool deflater_holds(const Deflater *d)
{
    return d->holds;
}

/* ---- in ---- */

struct Inflater {
    z_stream z;
    Slab slab;
    bool works;
    bool at_boundary; /* between blocks, no bits left over */
    bool is_full;     /* the last call left no room: there may be more without input */
    Buf window;       /* at rest: the last octets that came out, compressed */
    size_t window_len;
    uint64_t in, out;
    size_t silent; /* octets in since the last one out */
};

Inflater *inflater_new(void)
{
    Inflater *i = NEW(Inflater);
    i->at_boundary = true;
    return i;
}

void inflater_free(Inflater *i)
{
    if (!i) return;
    slab_done(&i->slab);
    buf_done(&i->window);
    free(i);
}

/* RFC 1951 2: a block may refer to the 32 KiB before it, so they outlive the rest. */
static void wake_up(Inflater *i)
{
    enum { WINDOW = 1 << WINDOW_IN };
    i->z = z_in(&i->slab);
    if (inflateInit2(&i->z, -WINDOW_IN) != Z_OK) out_of_memory((size_t)1 << 15);
    i->works = true;
    if (!i->window_len) return;
    Slab slab = {0};
    z_stream z = z_in(&slab);
    if (inflateInit2(&z, -WINDOW_IN) != Z_OK) out_of_memory((size_t)1 << 15);
    unsigned char *window = slab_alloc(&slab, WINDOW, 1);
    must(window != NULL);
    z.next_in = (unsigned char *)i->window.at, z.avail_in = (unsigned)i->window.len;
    z.next_out = window, z.avail_out = WINDOW;
    must(inflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out == i->window_len);
    must(inflateSetDictionary(&i->z, window, (unsigned)i->window_len) == Z_OK);
    slab_done(&slab);
    buf_done(&i->window);
    i->window_len = 0;
}

/* One block at most. */
static Err inflate_block(Inflater *i, Slice *in, char *out, size_t room, size_t *made)
{
    enum { LAST_BITS = 7, IN_LAST_BLOCK = 64, AT_BLOCK_END = 128 };
    i->z.next_in = (unsigned char *)(uintptr_t)in->at;
    i->z.avail_in = (unsigned)MIN(in->len, (size_t)1 << 20);
    size_t given = i->z.avail_in;
    i->z.next_out = (unsigned char *)out;
    i->z.avail_out = (unsigned)room;
    int rc = inflate(&i->z, Z_BLOCK);
    *made = room - i->z.avail_out;
    size_t taken = given - i->z.avail_in;
    *in = slice_from(*in, taken);
    i->in += taken, i->out += *made;
    i->silent = *made ? 0 : i->silent + taken;
    i->is_full = !i->z.avail_out;
    if (rc == Z_STREAM_END) { /* whatever comes then begins anew, without a window */
        slab_done(&i->slab);
        i->works = false;
        i->at_boundary = true;
        i->is_full = false;
        return OK;
    }
    if (rc == Z_MEM_ERROR) out_of_memory((size_t)1 << WINDOW_IN);
    if (rc != Z_OK && rc != Z_BUF_ERROR) return fail(ERR_SYNTAX, "what came in is not DEFLATE");
    i->at_boundary =
        (i->z.data_type & AT_BLOCK_END) && !(i->z.data_type & (LAST_BITS | IN_LAST_BLOCK));
    return OK;
}

Err inflater_take(Inflater *i, Slice *in, char *out, size_t room, size_t *made)
{
    *made = 0;
    while (*made < room && (in->len || i->is_full)) {
        size_t more;
        if (!i->works) wake_up(i);
        TRY(inflate_block(i, in, out + *made, room - *made, &more));
        *made += more;
        if (*made && i->at_boundary && (!more || !i->works)) break; /* a flush, or the end */
    }
    if (i->out > BOMB_GRACE && (i->out - BOMB_GRACE) / BOMB_RATIO > i->in)
        return fail(ERR_LIMIT, "what came in inflates too much");
    if (i->silent > SILENT_MOST) return fail(ERR_LIMIT, "what came in inflates to nothing");
    return OK;
}

bool inflater_at_boundary(const Inflater *i)
{
    return !i->works || (i->at_boundary && !i->is_full);
}

void inflater_rest(Inflater *i)
{
    enum { WINDOW = 1 << WINDOW_IN };
    if (!i->works || !i->at_boundary || i->is_full) return;
    Slab slab = {0};
    z_stream z = z_in(&slab);
    if (deflateInit2(&z, LEVEL, Z_DEFLATED, -WINDOW_IN, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        out_of_memory(SLAB);
    unsigned char *window = slab_alloc(&slab, WINDOW, 1);
    unsigned most = (unsigned)deflateBound(&z, WINDOW), len = 0;
    unsigned char *packed = slab_alloc(&slab, most, 1);
    must(window && packed);
    must(inflateGetDictionary(&i->z, window, &len) == Z_OK && len <= WINDOW);
    slab_done(&i->slab);
    i->works = false;
    i->window_len = len;
    z.next_in = window, z.avail_in = len;
    z.next_out = packed, z.avail_out = most;
    must(deflate(&z, Z_FINISH) == Z_STREAM_END);
    if (len) buf_add(&i->window, slice(packed, z.total_out));
    slab_done(&slab);
}

size_t inflater_kept(const Inflater *i)
{
    return sizeof *i + i->window.room + (i->works ? (size_t)40 << 10 : 0);
}
