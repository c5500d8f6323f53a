#include "base/text.h"
#include "run/file.h"
#include "run/run.h"
#include "store/index.h"

#include <stdlib.h>

/* A sorted table in memory. Each write is appended to a file as one batch and synced:
 *
 *   u32 magic   u32 octets   u32 CRC32C of them   then the changes:
 *   u8 remove   varint length, key   varint length, value (not with remove)
 *
 * Opening reads batches up to the first that does not hold, and cuts there. When the file has grown
 * to several times what lives, it is written anew beside and renamed. */

enum { BATCH_HEADER = 12, FILE_MOST = 1024 * 1024 * 1024, REWRITE_LEAST = 256 * 1024 };
static const uint32_t batch_magic = 0x62694850;

typedef struct {
    Slice key, value; /* one allocation, at key.at */
} Entry;
typedef struct {
    Index index;
    Mutex lock;
    Entry *entries;
    size_t count, room;
    uint64_t live_octets;
    Slice path;
    Arena memory;
    File *file;
    uint64_t end;
} MemoryIndex;

static MemoryIndex *memory_of(Index *x)
{
    return CONTAINER(x, MemoryIndex, index);
}

/* ---- the table ---- */
static size_t place_of(const MemoryIndex *m, Slice key)
{
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_order(m->entries[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const MemoryIndex *m, size_t at, Slice key)
{
    return at < m->count && slice_eq(m->entries[at].key, key);
}

static Entry entry_new(Slice key, Slice value)
{
    char *at = (char *)mem_new(key.len + value.len);
    if (key.len) memcpy(at, key.at, key.len);
    if (value.len) memcpy(at + key.len, value.at, value.len);
    return (Entry){slice(at, key.len), slice(at + key.len, value.len)};
}

static void entry_drop(MemoryIndex *m, size_t at)
{
    m->live_octets -= m->entries[at].key.len + m->entries[at].value.len;
    free((void *)(uintptr_t)m->entries[at].key.at);
}

static void entry_insert(MemoryIndex *m, size_t at)
{
    if (m->count == m->room) {
        m->room = MAX(64, m->room * 2);
        m->entries = (Entry *)mem_grow(m->entries, array_bytes(m->room, sizeof(Entry)));
    }
    memmove(&m->entries[at + 1], &m->entries[at], (m->count - at) * sizeof(Entry));
    m->count++;
}

static void table_change(MemoryIndex *m, const IndexChange *c)
{
    size_t at = place_of(m, c->key);
    bool there = is_at(m, at, c->key);
    if (there) entry_drop(m, at);
    if (c->remove) {
        if (!there) return;
        m->count--;
        memmove(&m->entries[at], &m->entries[at + 1], (m->count - at) * sizeof(Entry));
        return;
    }
    if (!there) entry_insert(m, at);
    m->entries[at] = entry_new(c->key, c->value);
    m->live_octets += c->key.len + c->value.len;
}

/* ---- the file ---- */
static void change_encode(Buf *b, const IndexChange *c)
{
    buf_u8(b, c->remove);
    buf_bytes(b, c->key);
    if (!c->remove) buf_bytes(b, c->value);
}

static void batch_seal(Buf *b)
{
    Slice changes = slice_from(buf_slice(b), BATCH_HEADER);
    Buf buf_scoped head = {0};
    buf_u32(&head, batch_magic);
    buf_u32(&head, (uint32_t)changes.len);
    buf_u32(&head, crc32c(0, changes));
    memcpy(b->at, head.at, BATCH_HEADER);
}

static void batch_open(Buf *b)
{
    memset(buf_reserve(b, BATCH_HEADER), 0, BATCH_HEADER);
    b->len += BATCH_HEADER;
}

bool index_batch_decode(Slice *bytes, Slice *changes)
{
    Reader r = reader(*bytes);
    uint32_t magic = read_u32(&r), len = read_u32(&r), crc = read_u32(&r);
    Slice content = read_raw(&r, len);
    if (r.bad || magic != batch_magic || crc32c(0, content) != crc) return false;
    *changes = content;
    *bytes = r.rest;
    return true;
}

bool index_change_decode(Reader *r, IndexChange *c)
{
    if (r->bad || !r->rest.len) return false;
    uint8_t remove = read_u8(r);
    c->remove = remove != 0;
    c->key = read_bytes(r);
    c->value = c->remove ? (Slice){0} : read_bytes(r);
    if (remove > 1 || !c->key.len || c->key.len > INDEX_KEY_MOST) r->bad = true;
    return !r->bad;
}

static Err replay(MemoryIndex *m, Slice bytes)
{
    Slice changes, rest = bytes;
    while (index_batch_decode(&rest, &changes)) {
        Reader r = reader(changes);
        IndexChange c;
        while (index_change_decode(&r, &c))
            table_change(m, &c);
        if (r.bad) return fail(ERR_CORRUPT, "%.*s: a batch has no sense", SP(m->path));
    }
    m->end = bytes.len - rest.len;
    return OK;
}

static void encode_all(const MemoryIndex *m, Buf *b)
{
    batch_open(b);
    for (size_t i = 0; i < m->count; i++)
        change_encode(b, &(IndexChange){m->entries[i].key, m->entries[i].value, false});
    batch_seal(b);
}

static Err rewrite(MemoryIndex *m)
{
    Buf buf_scoped b = {0};
    encode_all(m, &b);
    TRY(path_replace(m->path, buf_slice(&b)));
    file_close(m->file);
    m->file = NULL;
    m->end = b.len;
    return file_open(m->path, FILE_WRITE, &m->file);
}

/* ---- the calls ---- */
static Err memory_get(Index *x, Slice key, Arena *a, Slice *value)
{
    MemoryIndex *m = memory_of(x);
    mutex_lock(&m->lock);
    size_t at = place_of(m, key);
    bool there = is_at(m, at, key);
    if (there) *value = arena_copy(a, m->entries[at].value);
    mutex_unlock(&m->lock);
    return there ? OK : fail(ERR_NOT_FOUND, "index: no such key");
}

static Err memory_scan(Index *x, Slice prefix, Slice from, IndexEach *each, void *arg)
{
    MemoryIndex *m = memory_of(x);
    must(prefix.len > 0);
    mutex_lock(&m->lock);
    for (size_t at = place_of(m, from.len ? from : prefix); at < m->count; at++) {
        const Entry *entry = &m->entries[at];
        if (!slice_starts(entry->key, prefix) || !each(arg, entry->key, entry->value)) break;
    }
    mutex_unlock(&m->lock);
    return OK;
}

static Err append(MemoryIndex *m, const IndexChange *changes, size_t count)
{
    Buf buf_scoped b = {0};
    batch_open(&b);
    for (size_t i = 0; i < count; i++)
        change_encode(&b, &changes[i]);
    batch_seal(&b);
    Slice part = buf_slice(&b);
    Err err = file_write_at(m->file, m->end, &part, 1);
    if (err == ERR_DISK_FULL && file_truncate(m->file, m->end)) return ERR_IO;
    TRY(err);
    TRY(file_sync(m->file));
    m->end += b.len;
    return OK;
}

static Err memory_write(Index *x, const IndexChange *changes, size_t count)
{
    MemoryIndex *m = memory_of(x);
    TRY(append(m, changes, count));
    mutex_lock(&m->lock);
    for (size_t i = 0; i < count; i++)
        table_change(m, &changes[i]);
    mutex_unlock(&m->lock);
    if (m->end < REWRITE_LEAST || m->end < 4 * m->live_octets) return OK;
    Err err = rewrite(m);
    return err == ERR_DISK_FULL ? OK : err; /* it goes on in the old file */
}

static Err memory_copy_to(Index *x, Slice path)
{
    Buf buf_scoped b = {0};
    encode_all(memory_of(x), &b);
    return path_replace(path, buf_slice(&b));
}

static void memory_close(Index *x)
{
    MemoryIndex *m = memory_of(x);
    for (size_t i = 0; i < m->count; i++)
        entry_drop(m, i);
    free(m->entries);
    file_close(m->file);
    arena_done(&m->memory);
    free(m);
}

static Err load(MemoryIndex *m)
{
    Arena arena_scoped a = {0};
    Slice bytes = {0};
    Err err = path_read(m->path, FILE_MOST, &a, &bytes);
    if (err && err != ERR_NOT_FOUND) return err;
    TRY(file_open(m->path, FILE_WRITE | FILE_CREATE, &m->file));
    TRY(replay(m, bytes));
    if (m->end == bytes.len) return OK;
    TRY(file_truncate(m->file, m->end));
    return file_sync(m->file);
}

static Err memory_open(Slice path, uint64_t map_bytes, Index **index)
{
    (void)map_bytes;
    MemoryIndex *m = NEW(MemoryIndex);
    m->index.kind = &index_memory;
    m->path = arena_copy(&m->memory, path);
    Err err = load(m);
    if (err) {
        memory_close(&m->index);
        return err;
    }
    *index = &m->index;
    return OK;
}

const IndexKind index_memory = {
    .file = "data.tab",
    .copy = "tab",
    .open = memory_open,
    .close = memory_close,
    .get = memory_get,
    .scan = memory_scan,
    .write = memory_write,
    .copy_to = memory_copy_to,
};
