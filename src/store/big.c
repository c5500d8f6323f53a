#include "store/local.h"

#include "base/text.h"
#include "store/digest.h"

#include <stdlib.h>

/* A body over 1 MiB is a file of its own, written while it is received:
 *
 *   0   "posthouB"   8 uuid   24 u64 id   32 u32 CRC32C of 0..31   36 zeros
 *   64  block: 65,536 octets (the last one fewer), u32 CRC32C seeded with the block's place
 *       ...
 *   end SHA-256   u64 octets   u32 CRC32C of them all   u32 CRC32C of the trailer before it
 *
 * A range is read by the blocks it touches, each checked, without reading the rest. The CRC of a
 * block is seeded with the id and the number of the block, so a block in the wrong place shows. */

enum {
    BIG_HEADER = 64,
    BLOCK = 64 * 1024,
    STRIDE = BLOCK + 4,
    TRAILER = 48,
    TOGETHER = 4, /* blocks written or read with one call */
};

static uint64_t id_of(uint64_t at)
{
    return at & ~BLOB_BIG;
}

Slice big_path(const Engine *e, Arena *a, uint64_t at)
{
    unsigned long long id = id_of(at);
    return engine_path(e, a, "big/%02llx/%016llx", id & 0xFF, id);
}

static uint32_t block_seed(uint64_t at, uint64_t index)
{
    Buf buf_scoped b = {0};
    buf_u64(&b, id_of(at));
    buf_u64(&b, index);
    return crc32c(0, buf_slice(&b));
}

static bool block_holds(uint64_t at, uint64_t index, const char *block, size_t len)
{
    Reader stored = reader(slice(block + len, 4));
    return read_u32(&stored) == crc32c(block_seed(at, index), slice(block, len));
}

/* ---- reading ---- */
static size_t block_len(BlobRef ref, uint64_t index)
{
    return (size_t)MIN((uint64_t)BLOCK, ref.len - index * BLOCK);
}

/* Blocks first .. first+count-1, each followed by its CRC. */
PARKS static Err blocks_read(File *file, BlobRef ref, uint64_t first, uint64_t count, char *blocks)
{
    size_t len = (size_t)(count - 1) * STRIDE + block_len(ref, first + count - 1) + 4;
    TRY(file_read(file, BIG_HEADER + first * STRIDE, blocks, len));
    for (uint64_t i = 0; i < count; i++)
        if (!block_holds(ref.at, first + i, blocks + i * STRIDE, block_len(ref, first + i)))
            return fail(ERR_CORRUPT, "block %llu of the big body %llx is damaged",
                        (unsigned long long)(first + i), (unsigned long long)id_of(ref.at));
    return OK;
}

PARKS static Err range_read(File *file, BlobRef ref, uint64_t offset, char *out, size_t len)
{
    uint64_t last = (offset + len - 1) / BLOCK, all = last - offset / BLOCK + 1;
    char *blocks = (char *)mem_new((size_t)MIN(all, (uint64_t)TOGETHER) * STRIDE);
    Err err = OK;
    while (len && !err) {
        uint64_t first = offset / BLOCK, count = MIN(last - first + 1, (uint64_t)TOGETHER);
        err = blocks_read(file, ref, first, count, blocks);
        for (uint64_t i = 0; i < count && !err; i++) {
            size_t skip = (size_t)(offset % BLOCK);
            size_t n = MIN(len, block_len(ref, first + i) - skip);
            memcpy(out, blocks + i * STRIDE + skip, n);
            out += n, offset += n, len -= n;
        }
    }
    free(blocks);
    return err;
}

Err big_read(Engine *e, BlobRef ref, uint64_t offset, void *out, size_t len)
{
    Arena arena_scoped a = {0};
    File *file = NULL;
    Err err = file_open(big_path(e, &a, ref.at), FILE_READ, &file);
    if (err == ERR_NOT_FOUND)
        return fail(ERR_CORRUPT, "the big body %llx is gone", (unsigned long long)id_of(ref.at));
    TRY(err);
    err = range_read(file, ref, offset, (char *)out, len);
    file_close(file);
    return err;
}

/* ---- writing ---- */
struct BlobWriter {
    Engine *e;
    File *file;
    uint64_t at;
    uint64_t octets, blocks; /* written */
    Buf pending;             /* less than a group of blocks */
    Buf staged;
    uint32_t crc;
    Digest *digest;
    bool ended;
    Err err;
    char story[STORY_ROOM];
};

static Err create(BlobWriter *w)
{
    Arena arena_scoped a = {0};
    Engine *e = w->e;
    w->at = BLOB_BIG | random_u64();
    unsigned low = (unsigned)(w->at & 0xFF);
    TRY(path_mkdir(engine_path(e, &a, "big/%02x", low)));
    TRY(file_open(big_path(e, &a, w->at), FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE, &w->file));
    Buf buf_scoped header = {0};
    buf_add(&header, S("posthouB"));
    buf_add(&header, slice(e->uuid, sizeof e->uuid));
    buf_u64(&header, id_of(w->at));
    buf_u32(&header, crc32c(0, buf_slice(&header)));
    while (header.len < BIG_HEADER)
        buf_u8(&header, 0);
    Slice part = buf_slice(&header);
    return file_write_at(w->file, 0, &part, 1);
}

static void begin_aside(void *arg)
{
    BlobWriter *w = (BlobWriter *)arg;
    w->err = create(w);
    if (w->err) story_keep(w->story, err_story());
}

static Err writer_state(const BlobWriter *w)
{
    return w->err ? fail(w->err, "%s", w->story) : OK;
}

Err blob_begin(Engine *e, BlobWriter **writer)
{
    TRY(engine_health(e));
    BlobWriter *w = NEW(BlobWriter);
    w->e = e;
    w->digest = digest_new();
    aside(begin_aside, w);
    Err err = writer_state(w);
    if (err)
        blob_abort(w);
    else
        *writer = w;
    return err;
}

static void stage_block(BlobWriter *w, Slice block)
{
    w->crc = crc32c(w->crc, block);
    digest_add(w->digest, block);
    buf_add(&w->staged, block);
    buf_u32(&w->staged, crc32c(block_seed(w->at, w->blocks), block));
    w->blocks++;
    w->octets += block.len;
}

/* All whole blocks that are pending; at the end the rest too. */
static Err write_pending(BlobWriter *w, bool all)
{
    uint64_t at = BIG_HEADER + w->blocks * STRIDE;
    Slice rest = buf_slice(&w->pending);
    buf_clear(&w->staged);
    while (rest.len >= BLOCK || (all && rest.len)) {
        Slice block = slice_first(rest, BLOCK);
        stage_block(w, block);
        rest = slice_from(rest, block.len);
    }
    buf_drop_front(&w->pending, w->pending.len - rest.len);
    Slice part = buf_slice(&w->staged);
    return part.len ? file_write_at(w->file, at, &part, 1) : OK;
}

static void write_aside(void *arg)
{
    BlobWriter *w = (BlobWriter *)arg;
    w->err = write_pending(w, false);
    if (w->err) story_keep(w->story, err_story());
}

Err blob_write(BlobWriter *w, Slice octets)
{
    must(!w->ended);
    while (octets.len && !w->err) {
        Slice now = slice_first(octets, (size_t)TOGETHER * BLOCK - w->pending.len);
        if (w->octets + w->pending.len + now.len > UINT32_MAX)
            return fail(ERR_TOO_BIG, "a body of more than 4 GiB");
        buf_add(&w->pending, now);
        octets = slice_from(octets, now.len);
        if (w->pending.len == (size_t)TOGETHER * BLOCK) aside(write_aside, w);
    }
    return writer_state(w);
}

static Err write_trailer(BlobWriter *w)
{
    uint8_t sha256[32];
    digest_end(w->digest, sha256);
    Buf buf_scoped trailer = {0};
    buf_add(&trailer, slice(sha256, sizeof sha256));
    buf_u64(&trailer, w->octets);
    buf_u32(&trailer, w->crc);
    buf_u32(&trailer, crc32c(0, buf_slice(&trailer)));
    uint64_t whole = w->octets / BLOCK, part_block = w->octets % BLOCK;
    uint64_t at = BIG_HEADER + whole * STRIDE + (part_block ? part_block + 4 : 0);
    Slice part = buf_slice(&trailer);
    return file_write_at(w->file, at, &part, 1);
}

/* Names in big/ are durable once somebody has synced it. That the directory is there says nothing:
 * who has made it may not have come to that. */
static Err sync_big(Engine *e, Arena *a, unsigned low)
{
    mutex_lock(&e->lock);
    bool durable = e->big_dirs[low];
    mutex_unlock(&e->lock);
    if (durable) return OK;
    TRY(path_sync_dir(engine_path(e, a, "big")));
    mutex_lock(&e->lock);
    e->big_dirs[low] = true;
    mutex_unlock(&e->lock);
    return OK;
}

static Err finish(BlobWriter *w)
{
    Arena arena_scoped a = {0};
    unsigned low = (unsigned)(w->at & 0xFF);
    TRY(write_pending(w, true));
    TRY(write_trailer(w));
    TRY(file_sync(w->file));
    TRY(path_sync_dir(engine_path(w->e, &a, "big/%02x", low)));
    return sync_big(w->e, &a, low);
}

static void end_aside(void *arg)
{
    BlobWriter *w = (BlobWriter *)arg;
    w->err = finish(w);
    if (w->err) story_keep(w->story, err_story());
}

Err blob_end(BlobWriter *w, BlobRef *ref)
{
    TRY(writer_state(w));
    must(!w->ended);
    aside(end_aside, w);
    TRY(writer_state(w));
    w->ended = true;
    *ref = (BlobRef){.at = w->at, .len = (uint32_t)w->octets, .crc = w->crc};
    return OK;
}

void blob_abort(BlobWriter *w)
{
    if (!w) return;
    if (w->file && !w->ended) {
        Arena arena_scoped a = {0};
        /* If it does not go now, the sweep at the next open takes it. */
        if (path_unlink(big_path(w->e, &a, w->at))) engine_trouble(w->e, ERR_IO, "%s", err_story());
    }
    file_close(w->file);
    buf_done(&w->pending);
    buf_done(&w->staged);
    digest_free(w->digest);
    free(w);
}

/* ---- sweeping ---- */
static Err sweep_file(Engine *e, Arena *a, Slice dir, Slice name)
{
    char *end;
    const char *text = arena_cstr(a, name);
    uint64_t at = BLOB_BIG | strtoull(text, &end, 16);
    if (name.len != 16 || *end) return OK; /* not ours */
    if (number_table_get(&e->big_refs, at)) return OK;
    Slice value;
    Err err = index_get(e->index, key_u64(a, 'b', at), a, &value);
    if (err != ERR_NOT_FOUND) return err;
    return path_unlink(engine_path(e, a, "big/%.*s/%.*s", SP(dir), SP(name)));
}

Err big_sweep(Engine *e)
{
    Arena arena_scoped a = {0};
    Slice *dirs, *names;
    size_t dir_count, count;
    TRY(path_list(engine_path(e, &a, "big"), &a, &dirs, &dir_count));
    for (size_t i = 0; i < dir_count; i++) {
        TRY(path_list(engine_path(e, &a, "big/%.*s", SP(dirs[i])), &a, &names, &count));
        for (size_t k = 0; k < count; k++)
            TRY(sweep_file(e, &a, dirs[i], names[k]));
    }
    return OK;
}

/* ---- checking a whole file (scrub) ---- */
static Err blocks_check(File *file, BlobRef ref, Digest *digest, uint32_t *crc)
{
    char *block = (char *)mem_new(STRIDE);
    Err err = OK;
    for (uint64_t i = 0; i * BLOCK < ref.len; i++) {
        size_t len = block_len(ref, i);
        err = file_read_at(file, BIG_HEADER + i * STRIDE, block, len + 4);
        if (!err && !block_holds(ref.at, i, block, len))
            err = fail(ERR_CORRUPT, "block %llu", (unsigned long long)i);
        if (err) break;
        *crc = crc32c(*crc, slice(block, len));
        digest_add(digest, slice(block, len));
    }
    free(block);
    return err;
}

static Err trailer_read(File *file, uint64_t *octets, uint32_t *crc, uint8_t sha256[32])
{
    uint64_t size;
    uint8_t trailer[TRAILER];
    TRY(file_size(file, &size));
    if (size < BIG_HEADER + TRAILER) return fail(ERR_CORRUPT, "too short");
    TRY(file_read_at(file, size - TRAILER, trailer, TRAILER));
    Reader r = reader(slice(trailer, TRAILER));
    memcpy(sha256, read_raw(&r, 32).at, 32);
    *octets = read_u64(&r);
    *crc = read_u32(&r);
    if (read_u32(&r) != crc32c(0, slice(trailer, TRAILER - 4)) || *octets > UINT32_MAX)
        return fail(ERR_CORRUPT, "its trailer is damaged");
    return OK;
}

Err big_check(Engine *e, uint64_t at)
{
    Arena arena_scoped a = {0};
    File *file scoped(file) = NULL;
    uint64_t octets = 0;
    uint32_t wanted_crc = 0, crc = 0;
    uint8_t wanted[32] = {0}, got[32] = {0};
    TRY(file_open(big_path(e, &a, at), FILE_READ, &file));
    TRY(trailer_read(file, &octets, &wanted_crc, wanted));
    Digest *digest = digest_new();
    BlobRef ref = {.at = at, .len = (uint32_t)octets};
    Err err = blocks_check(file, ref, digest, &crc);
    if (!err) digest_end(digest, got);
    digest_free(digest);
    TRY(err);
    if (crc != wanted_crc || memcmp(got, wanted, sizeof got) != 0)
        return fail(ERR_CORRUPT, "its checksum does not fit");
    return OK;
}
