#include "store/sigfile.h"
#include "store/sigchunk.h"

#include "base/text.h"

#include <stdlib.h>

enum {
    WINDOW = 64 * 1024,
    PATH_MOST = 512,
    TIDY_LEAST = 1024 * 1024, /* octets out of date that are not worth a rewrite */
};
/* A signature that came alone. */
typedef struct {
    uint64_t at;
    uint32_t crc;
    uint8_t log;
    bool bad;
} One;
typedef struct {
    uint64_t at; /* of the chunk */
    uint32_t octets;
    uint16_t count;
    uint8_t log;
    bool bad;
    uint64_t asked; /* the question that `candidates` answers */
    uint64_t candidates[BLOOM_BLOCK / 64];
} Block;

/* Where the signature of an eid is. */
#define IN_BLOCK UINT32_C(0x80000000) /* | block * 512 + column; else the index of a One */
typedef struct {
    uint32_t eid, place;
} Known;

struct SigFile {
    File *file;
    uint32_t acct;
    uint64_t end; /* behind the last good chunk, or of the file */
    One *ones;
    Block *blocks;
    Known *known; /* [0, sorted) ascending and without doubles, then in order of coming */
    size_t one_count, one_room, block_count, block_room, known_count, known_room, sorted;
    uint64_t question;
    Buf scratch, eids;
    char path[PATH_MOST];
    size_t path_len;
};

/* ---- what the file holds ---- */

static void grow(void *array, size_t *room, size_t count, size_t each)
{
    if (count < *room) return;
    *room = *room ? *room * 2 : 64;
    void **at = array;
    *at = mem_grow(*at, array_bytes(*room, each));
}

static void add_known(SigFile *f, uint32_t eid, uint32_t place)
{
    grow(&f->known, &f->known_room, f->known_count, sizeof *f->known);
    f->known[f->known_count++] = (Known){eid, place};
}

static void add_one(SigFile *f, const Chunk *c, uint64_t at)
{
    grow(&f->ones, &f->one_room, f->one_count, sizeof *f->ones);
    f->ones[f->one_count] = (One){.at = at + CHUNK_HEADER, .crc = c->crc, .log = c->log};
    add_known(f, c->eid, (uint32_t)f->one_count++);
}

static void add_block(SigFile *f, const Chunk *c, uint64_t at, Slice eids)
{
    grow(&f->blocks, &f->block_room, f->block_count, sizeof *f->blocks);
    f->blocks[f->block_count] =
        (Block){.at = at, .octets = c->octets, .count = c->count, .log = c->log};
    Reader r = reader(eids);
    for (uint32_t i = 0; i < c->count; i++)
        add_known(f, read_u32(&r), IN_BLOCK | (uint32_t)(f->block_count * BLOOM_BLOCK + i));
    f->block_count++;
}

/* The chunk's contents as far as the catalogue needs them; false: damaged. */
static bool take_chunk(SigFile *f, const Chunk *c, uint64_t at)
{
    if (c->type == CHUNK_ONE) {
        add_one(f, c, at);
        return true;
    }
    size_t len = c->count * 4u;
    buf_clear(&f->eids);
    char *eids = buf_reserve(&f->eids, len);
    if (file_read_at(f->file, at + CHUNK_HEADER, eids, len)) return false;
    if (crc32c(0, slice(eids, len)) != c->crc) return false;
    add_block(f, c, at, slice(eids, len));
    return true;
}

/* The next window of the file, if `at` is not in this one. */
static Err look(SigFile *f, uint64_t at, uint64_t size, uint64_t *begins, size_t *got)
{
    if (at + CHUNK_HEADER <= *begins + *got) return OK; /* it never goes back */
    *begins = at;
    size_t len = (size_t)MIN(size - at, (uint64_t)WINDOW);
    return file_read_at(f->file, at, buf_reserve(&f->scratch, WINDOW), *got = len);
}

/* Behind damage the next chunk is looked for at every place where one may begin. A last one that is
 * not all there goes, even of its header: what is appended next must not become its payload. */
static Err walk(SigFile *f, uint64_t from, uint64_t size)
{
    uint64_t begins = 0, at = from;
    size_t got = 0;
    buf_clear(&f->scratch);
    while (at + CHUNK_HEADER <= size) {
        Chunk c;
        TRY(look(f, at, size, &begins, &got));
        bool good = chunk_read(slice(f->scratch.at + (at - begins), CHUNK_HEADER), f->acct, &c);
        if (good && at + CHUNK_HEADER + c.octets > size) {
            f->end = at;
            return file_truncate(f->file, at);
        }
        at += good && take_chunk(f, &c, at) ? CHUNK_HEADER + chunk_padded(c.octets) : CHUNK_ALIGN;
    }
    f->end = at < size ? at : chunk_padded(size);
    return at < size ? file_truncate(f->file, at) : OK;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Sorts what came since; of doubles the last one stays. */
static void sort_tail(SigFile *f)
{
    size_t n = f->known_count - f->sorted, kept = 0;
    Known *tail = f->known + f->sorted;
    uint64_t *order = mem_new(array_bytes(n, sizeof *order));
    Known *copy = mem_new(array_bytes(n, sizeof *copy));
    memcpy(copy, tail, n * sizeof *copy);
    for (size_t i = 0; i < n; i++)
        order[i] = (uint64_t)tail[i].eid << 32 | i;
    qsort(order, n, sizeof *order, by_number);
    for (size_t i = 0; i < n; i++)
        if (i + 1 == n || order[i] >> 32 != order[i + 1] >> 32)
            tail[kept++] = copy[(uint32_t)order[i]];
    f->known_count = f->sorted + kept;
    free(order);
    free(copy);
}

static void sort_known(SigFile *f)
{
    if (f->sorted == f->known_count) return;
    sort_tail(f);
    Known *a = f->known, *a_end = a + f->sorted, *b = a_end, *b_end = f->known + f->known_count;
    Known *out = mem_new(array_bytes(f->known_count, sizeof *out));
    size_t n = 0;
    while (a < a_end || b < b_end) {
        if (a < a_end && b < b_end && a->eid == b->eid) a++; /* the newer one counts */
        bool old = b == b_end || (a < a_end && a->eid < b->eid);
        out[n++] = old ? *a++ : *b++;
    }
    free(f->known);
    f->known = out, f->known_room = f->known_count, f->known_count = f->sorted = n;
}

/* The first one that is not smaller. */
static size_t known_place(const SigFile *f, uint32_t eid)
{
    size_t low = 0, high = f->known_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (f->known[middle].eid < eid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const Known *find_known(const SigFile *f, uint32_t eid)
{
    size_t i = known_place(f, eid);
    return i < f->known_count && f->known[i].eid == eid ? &f->known[i] : NULL;
}

bool sigfile_knows(SigFile *f, uint32_t eid)
{
    sort_known(f);
    const Known *k = find_known(f, eid);
    if (!k) return false;
    if (k->place & IN_BLOCK) return !f->blocks[(k->place & ~IN_BLOCK) / BLOOM_BLOCK].bad;
    return !f->ones[k->place].bad;
}

/* ---- asking ---- */

/* A damaged row takes the whole block out: its messages are unknown from now on. */
static void ask_block(SigFile *f, Block *b, const BloomNeedle *needle)
{
    uint64_t rows = b->at + CHUNK_HEADER + b->count * 4u, any = 1;
    memset(b->candidates, 0xff, sizeof b->candidates);
    b->asked = f->question;
    for (size_t i = 0; i < needle->count && any && !b->bad; i++) {
        char row[BLOOM_ROW];
        uint32_t number = needle->hashes[i] & ((1u << b->log) - 1);
        b->bad = file_read_at(f->file, rows + (uint64_t)number * BLOOM_ROW, row, sizeof row) ||
                 !bloom_and_row(b->candidates, slice(row, sizeof row));
        any = 0;
        for (size_t k = 0; k < BLOOM_BLOCK / 64; k++)
            any |= b->candidates[k];
    }
    if (b->bad) memset(b->candidates, 0xff, sizeof b->candidates);
}

static bool read_one(SigFile *f, const One *one, Slice *signature)
{
    size_t len = bloom_octets(one->log);
    buf_clear(&f->scratch);
    char *at = buf_reserve(&f->scratch, len);
    if (file_read_at(f->file, one->at, at, len)) return false;
    *signature = slice(at, len);
    return crc32c(0, *signature) == one->crc;
}

static bool may_have(SigFile *f, uint32_t place, const BloomNeedle *needle)
{
    if (place & IN_BLOCK) {
        place &= ~IN_BLOCK;
        Block *b = &f->blocks[place / BLOOM_BLOCK];
        if (b->asked != f->question) ask_block(f, b, needle);
        place %= BLOOM_BLOCK;
        return b->candidates[place / 64] >> place % 64 & 1;
    }
    One *one = &f->ones[place];
    Slice signature;
    if (!one->log || one->bad) return true;
    one->bad = !read_one(f, one, &signature);
    return one->bad || bloom_may_have(signature, one->log, needle);
}

size_t sigfile_filter(SigFile *f, const BloomNeedle *needle, uint32_t *eids, size_t n)
{
    sort_known(f);
    f->question++;
    if (!n) return 0;
    const Known *k = f->known + known_place(f, eids[0]), *end = f->known + f->known_count;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        while (k < end && k->eid < eids[i])
            k++;
        bool known = k < end && k->eid == eids[i];
        if (!known || may_have(f, k->place, needle)) eids[kept++] = eids[i];
    }
    return kept;
}

/* ---- writing ---- */

Err sigfile_append(SigFile *f, Slice chunks)
{
    if (!chunks.len) return OK;
    uint64_t from = f->end;
    TRY(file_write_at(f->file, from, &chunks, 1));
    return walk(f, from, from + chunks.len);
}

/* Signatures of one log that stand alone, as indexes into f->known. */
typedef struct {
    size_t at[BLOOM_BLOCK];
    size_t count;
    Slice signatures[BLOOM_BLOCK];
} Waiting;

static Err write_block(SigFile *f, Waiting *w, unsigned log)
{
    Buf chunk buf_scoped = {0}, bits buf_scoped = {0};
    buf_reserve(&chunk, CHUNK_HEADER);
    chunk.len += CHUNK_HEADER;
    buf_reserve(&bits, w->count * bloom_octets(log));
    size_t count = 0;
    for (size_t i = 0; i < w->count; i++) {
        const Known *k = &f->known[w->at[i]];
        Slice signature;
        if (!read_one(f, &f->ones[k->place], &signature)) continue;
        w->signatures[count++] = slice(bits.at + bits.len, signature.len);
        buf_add(&bits, signature);
        buf_u32(&chunk, k->eid);
    }
    w->count = 0;
    if (!count) return OK;
    Chunk c = {.type = CHUNK_BLOCK, .log = (uint8_t)log, .count = (uint16_t)count, .acct = f->acct};
    c.crc = crc32c(0, slice_from(buf_slice(&chunk), CHUNK_HEADER));
    bloom_slice(&chunk, w->signatures, count, log);
    chunk_finish(&chunk, 0, &c);
    return sigfile_append(f, buf_slice(&chunk));
}

/* What is appended meanwhile stands behind the sorted ones, whose places stay. */
static Err make_blocks(SigFile *f, Waiting *w, unsigned log)
{
    size_t count = f->sorted;
    w->count = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t place = f->known[i].place;
        if (place & IN_BLOCK || f->ones[place].log != log || f->ones[place].bad) continue;
        w->at[w->count++] = i;
        if (w->count == BLOOM_BLOCK) TRY(write_block(f, w, log));
    }
    return OK;
}

static Err make_all_blocks(SigFile *f)
{
    Waiting *w = NEW(Waiting);
    Err err = OK;
    for (unsigned log = BLOOM_LOG_LEAST; log <= BLOOM_SLICED_MOST && !err; log++)
        err = make_blocks(f, w, log);
    free(w);
    return err;
}

static uint64_t live_octets(const SigFile *f)
{
    uint64_t live = 0;
    for (size_t i = 0; i < f->known_count; i++) {
        uint32_t place = f->known[i].place;
        if (place & IN_BLOCK) {
            const Block *b = &f->blocks[(place & ~IN_BLOCK) / BLOOM_BLOCK];
            live += b->octets / b->count;
        } else {
            const One *one = &f->ones[place];
            live += CHUNK_HEADER + (one->log ? bloom_octets(one->log) : 0);
        }
    }
    return live;
}

static Err copy_chunk(SigFile *from, SigFile *to, uint64_t at)
{
    Chunk c;
    char head[CHUNK_HEADER];
    TRY(file_read_at(from->file, at, head, sizeof head));
    if (!chunk_read(slice(head, sizeof head), from->acct, &c)) return OK;
    buf_clear(&from->scratch);
    size_t len = CHUNK_HEADER + chunk_padded(c.octets);
    char *bytes = buf_reserve(&from->scratch, len);
    TRY(file_read_at(from->file, at, bytes, len));
    return sigfile_append(to, slice(bytes, len));
}

/* Blocks first: a signature that came later alone has to stay behind them. */
static Err copy_live(SigFile *f, SigFile *to)
{
    bool *wanted = mem_zero(f->block_count + 1);
    Err err = OK;
    for (size_t i = 0; i < f->known_count; i++)
        if (f->known[i].place & IN_BLOCK)
            wanted[(f->known[i].place & ~IN_BLOCK) / BLOOM_BLOCK] = true;
    for (size_t i = 0; i < f->block_count && !err; i++)
        if (wanted[i] && !f->blocks[i].bad) err = copy_chunk(f, to, f->blocks[i].at);
    for (size_t i = 0; i < f->known_count && !err; i++) {
        uint32_t place = f->known[i].place;
        if (!(place & IN_BLOCK) && !f->ones[place].bad)
            err = copy_chunk(f, to, f->ones[place].at - CHUNK_HEADER);
    }
    free(wanted);
    return err;
}

static SigFile *sigfile_new(Slice path, uint32_t acct)
{
    SigFile *f = NEW(SigFile);
    f->acct = acct, f->path_len = path.len;
    memcpy(f->path, path.at, path.len);
    return f;
}

static Err file_new(SigFile *f, Slice path, int flags)
{
    TRY(file_open(path, FILE_WRITE | FILE_CREATE | flags, &f->file));
    return file_lock(f->file);
}

static Err rewrite(SigFile *f)
{
    char name[sizeof f->path + 4];
    memcpy(name, f->path, f->path_len);
    memcpy(name + f->path_len, ".new", 4);
    Slice path = slice(name, f->path_len + 4);
    SigFile *to scoped(sigfile) = sigfile_new(slice(f->path, f->path_len), f->acct);
    TRY(file_new(to, path, FILE_EMPTY));
    TRY(copy_live(f, to));
    TRY(path_rename(path, slice(f->path, f->path_len)));
    SigFile old = *f;
    *f = *to, *to = old;
    sort_known(f);
    return OK;
}

Err sigfile_tidy(SigFile *f)
{
    sort_known(f);
    TRY(make_all_blocks(f));
    sort_known(f);
    return f->end > 2 * live_octets(f) + TIDY_LEAST ? rewrite(f) : OK;
}

void sigfile_close(SigFile *f)
{
    if (!f) return;
    file_close(f->file);
    free(f->ones);
    free(f->blocks);
    free(f->known);
    buf_done(&f->scratch);
    buf_done(&f->eids);
    free(f);
}

Err sigfile_open(Slice path, uint32_t acct, SigFile **out)
{
    if (path.len > PATH_MOST) return fail(ERR_LIMIT, "%.*s: too long a name", SP(path));
    SigFile *f scoped(sigfile) = sigfile_new(path, acct);
    uint64_t size;
    TRY(file_new(f, path, 0));
    TRY(file_size(f->file, &size));
    TRY(walk(f, 0, size));
    *out = f;
    f = NULL;
    return OK;
}
