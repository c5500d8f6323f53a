#include "run/sim_disk.h"
#include "run/sim_world.h"

#include <sys/mman.h>

/* ---- pages ---- */

static char *page_at(SimDisk *d, uint32_t page)
{
    return (char *)d + (size_t)page * SIM_PAGE;
}

static uint32_t page_new(SimDisk *d)
{
    uint32_t page = d->free_page;
    if (page)
        memcpy(&d->free_page, page_at(d, page), sizeof d->free_page);
    else
        page = d->next_page++;
    must(page < d->last_page); /* sim_disk_new wants more bytes */
    memset(page_at(d, page), 0, SIM_PAGE);
    return page;
}

static void page_free(SimDisk *d, uint32_t page)
{
    if (!page) return;
    memcpy(page_at(d, page), &d->free_page, sizeof d->free_page);
    d->free_page = page;
}

/* ---- chunks ---- */

static SimChunk *chunk_in(SimDisk *d, uint32_t table, uint64_t index)
{
    _Static_assert(sizeof(SimChunk) * SIM_CHUNKS == SIM_PAGE, "a table of chunks fills a page");
    return (SimChunk *)(void *)page_at(d, table) + index % SIM_CHUNKS;
}

static SimChunk *chunk_find(SimDisk *d, uint32_t inode, uint64_t index)
{
    uint64_t table = index / SIM_CHUNKS;
    uint32_t page = table < SIM_TABLES ? d->inodes[inode].tables[table] : 0;
    return page ? chunk_in(d, page, index) : NULL;
}

static SimChunk *chunk_make(SimDisk *d, uint32_t inode, uint64_t index)
{
    must(index / SIM_CHUNKS < SIM_TABLES); /* no simulated file is larger than 2 GiB */
    uint32_t *table = &d->inodes[inode].tables[index / SIM_CHUNKS];
    if (!*table) *table = page_new(d);
    return chunk_in(d, *table, index);
}

static void chunk_take(SimDisk *d, SimInode *ino, SimChunk *c, bool taken)
{
    if (c->taken == taken) return;
    uint64_t change = taken ? 1 : (uint64_t)-1;
    c->taken = taken;
    ino->taken_chunks += change;
    if (ino->counted) d->taken_chunks += change;
}

static void note_dirty(SimInode *ino, uint64_t index)
{
    if (ino->dirty_from >= ino->dirty_to) ino->dirty_from = ino->dirty_to = (uint32_t)index;
    ino->dirty_from = MIN(ino->dirty_from, (uint32_t)index);
    ino->dirty_to = MAX(ino->dirty_to, (uint32_t)index + 1);
}

/* Sectors of the chunk are about to change: keeps what is safe beside what is now. */
static char *chunk_open(SimDisk *d, SimInode *ino, uint64_t index, SimChunk *c, uint8_t sectors)
{
    uint32_t was = c->now;
    if (!c->dirty || !was) c->now = page_new(d);
    if (!c->dirty) {
        if (was) memcpy(page_at(d, c->now), page_at(d, was), SIM_PAGE);
        c->safe = was;
    }
    c->dirty |= sectors;
    c->lost &= (uint8_t)~sectors;
    note_dirty(ino, index);
    return page_at(d, c->now);
}

static void chunk_empty(SimDisk *d, SimInode *ino, uint64_t index, SimChunk *c)
{
    chunk_take(d, ino, c, false);
    if (!c->now && !c->dirty) return;
    if (c->dirty)
        page_free(d, c->now);
    else
        c->safe = c->now;
    c->now = 0;
    c->dirty = 0xff;
    c->lost = 0;
    note_dirty(ino, index);
}

/* The sectors in `which` become safe. */
static void chunk_sync(SimDisk *d, SimChunk *c, uint8_t which)
{
    uint8_t left = c->dirty & (uint8_t)~which;
    if (!left) {
        page_free(d, c->safe);
        c->safe = 0;
    } else {
        if (!c->safe) c->safe = page_new(d);
        for (size_t i = 0; i < 8; i++) {
            if (!(c->dirty & which & 1u << i)) continue;
            char *to = page_at(d, c->safe) + i * SIM_SECTOR;
            if (c->now)
                memcpy(to, page_at(d, c->now) + i * SIM_SECTOR, SIM_SECTOR);
            else
                memset(to, 0, SIM_SECTOR);
        }
    }
    c->dirty = left;
    c->lost &= left;
}

/* The sectors in `which` go back to what is safe; the rest of it becomes safe. */
static void chunk_power_cut(SimDisk *d, SimInode *ino, SimChunk *c, uint8_t which)
{
    if (!c->now && c->dirty) c->now = page_new(d);
    for (size_t i = 0; i < 8; i++) {
        if (!(c->dirty & which & 1u << i)) continue;
        char *to = page_at(d, c->now) + i * SIM_SECTOR;
        if (c->safe)
            memcpy(to, page_at(d, c->safe) + i * SIM_SECTOR, SIM_SECTOR);
        else
            memset(to, 0, SIM_SECTOR);
    }
    chunk_sync(d, c, 0xff);
    if (c->now) chunk_take(d, ino, c, true);
}

/* ---- inodes ---- */

uint32_t inode_new(SimDisk *d, bool is_dir)
{
    uint32_t i = 1;
    while (i < d->inode_count && d->inodes[i].used)
        i++;
    must(i < SIM_INODES);
    d->inode_count = MAX(d->inode_count, i + 1);
    d->inodes[i] = (SimInode){.used = true, .is_dir = is_dir, .mtime = wall_seconds()};
    return i;
}

static void inode_free(SimDisk *d, uint32_t inode)
{
    SimInode *ino = &d->inodes[inode];
    for (size_t t = 0; t < SIM_TABLES; t++) {
        if (!ino->tables[t]) continue;
        const SimChunk *chunks = (const SimChunk *)(void *)page_at(d, ino->tables[t]);
        for (size_t i = 0; i < SIM_CHUNKS; i++) {
            page_free(d, chunks[i].now);
            if (chunks[i].dirty) page_free(d, chunks[i].safe);
        }
        page_free(d, ino->tables[t]);
        ino->tables[t] = 0;
    }
    ino->used = false;
}

void inode_settle(SimDisk *d, uint32_t inode)
{
    SimInode *ino = &d->inodes[inode];
    if (!inode || !ino->used) return;
    bool counts = ino->links || ino->opens;
    if (counts != ino->counted)
        d->taken_chunks += counts ? ino->taken_chunks : (uint64_t)-ino->taken_chunks;
    ino->counted = counts;
    if (!counts && !inode_is_named(d, inode)) inode_free(d, inode);
}

void inode_read(SimDisk *d, uint32_t inode, uint64_t offset, char *out, size_t len)
{
    while (len) {
        size_t at = offset % SIM_PAGE, n = MIN(len, SIM_PAGE - at);
        const SimChunk *c = chunk_find(d, inode, offset / SIM_PAGE);
        if (c && c->now)
            memcpy(out, page_at(d, c->now) + at, n);
        else
            memset(out, 0, n);
        out += n;
        offset += n;
        len -= n;
    }
}

size_t inode_room(SimDisk *d, uint32_t inode, uint64_t offset, size_t len)
{
    if (!d->plan.capacity_bytes) return len;
    uint64_t capacity = d->plan.capacity_bytes / SIM_PAGE;
    uint64_t left = capacity - MIN(capacity, d->taken_chunks);
    for (uint64_t at = offset; at < offset + len; at += SIM_PAGE - at % SIM_PAGE) {
        const SimChunk *c = chunk_find(d, inode, at / SIM_PAGE);
        if (c && c->taken) continue;
        if (!left--) return (size_t)(at - offset);
    }
    return len;
}

static uint8_t sectors_of(size_t at, size_t len)
{
    size_t first = at / SIM_SECTOR, last = (at + len - 1) / SIM_SECTOR;
    return (uint8_t)((2u << last) - (1u << first));
}

/* bytes NULL: zeros. */
static void overwrite(SimDisk *d, uint32_t inode, uint64_t offset, const char *bytes, size_t len)
{
    SimInode *ino = &d->inodes[inode];
    while (len) {
        size_t at = offset % SIM_PAGE, n = MIN(len, SIM_PAGE - at);
        uint64_t index = offset / SIM_PAGE;
        SimChunk *c = chunk_make(d, inode, index);
        chunk_take(d, ino, c, true);
        char *page = chunk_open(d, ino, index, c, sectors_of(at, n));
        if (bytes) {
            memcpy(page + at, bytes, n);
            bytes += n;
        } else {
            memset(page + at, 0, n);
        }
        offset += n;
        len -= n;
    }
    ino->mtime = wall_seconds();
}

void inode_write(SimDisk *d, uint32_t inode, uint64_t offset, const char *bytes, size_t len)
{
    overwrite(d, inode, offset, bytes, len);
    d->inodes[inode].size = MAX(d->inodes[inode].size, offset + len);
}

void inode_punch(SimDisk *d, uint32_t inode, uint64_t offset, uint64_t len)
{
    SimInode *ino = &d->inodes[inode];
    uint64_t end = offset + len, n;
    for (; offset < end; offset += n) {
        size_t at = offset % SIM_PAGE;
        n = MIN(end - offset, (uint64_t)SIM_PAGE - at);
        SimChunk *c = chunk_find(d, inode, offset / SIM_PAGE);
        if (!c) continue;
        if (n == SIM_PAGE)
            chunk_empty(d, ino, offset / SIM_PAGE, c);
        else if (c->now)
            overwrite(d, inode, offset, NULL, (size_t)n);
    }
}

void inode_resize(SimDisk *d, uint32_t inode, uint64_t size)
{
    SimInode *ino = &d->inodes[inode];
    uint64_t whole = (MAX(ino->size, ino->safe_size) + SIM_PAGE - 1) / SIM_PAGE * SIM_PAGE;
    if (size < whole) inode_punch(d, inode, size, whole - size);
    ino->size = size;
    ino->mtime = wall_seconds();
}

void inode_allocate(SimDisk *d, uint32_t inode, uint64_t offset, uint64_t len)
{
    SimInode *ino = &d->inodes[inode];
    for (uint64_t i = offset / SIM_PAGE; i * SIM_PAGE < offset + len; i++)
        chunk_take(d, ino, chunk_make(d, inode, i), true);
    ino->size = MAX(ino->size, offset + len);
}

void inode_sync(SimDisk *d, uint32_t inode, bool (*leave)(void))
{
    SimInode *ino = &d->inodes[inode];
    uint32_t from = ino->dirty_from, to = ino->dirty_to;
    ino->dirty_from = ino->dirty_to = 0;
    for (uint32_t i = from; i < to; i++) {
        SimChunk *c = chunk_find(d, inode, i);
        if (!c || !c->dirty) continue;
        if (!leave || !leave()) chunk_sync(d, c, (uint8_t)~c->lost);
        if (c->dirty) note_dirty(ino, i);
    }
    if (!leave || !leave()) ino->safe_size = ino->size;
}

/* Linux marks the pages clean and forgets that they never arrived. */
void inode_sync_failed(SimDisk *d, uint32_t inode)
{
    for (uint32_t i = d->inodes[inode].dirty_from; i < d->inodes[inode].dirty_to; i++) {
        SimChunk *c = chunk_find(d, inode, i);
        if (c) c->lost = c->dirty;
    }
}

/* ---- what sim.h promises ---- */

SimDisk *sim_disk_new(size_t bytes)
{
    size_t pages = (sizeof(SimDisk) + SIM_PAGE - 1) / SIM_PAGE, all = pages * SIM_PAGE + bytes;
    SimDisk *d =
        mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (d == MAP_FAILED) out_of_memory(all);
    must(all / SIM_PAGE < UINT32_MAX);
    d->bytes = all;
    d->first_page = d->next_page = (uint32_t)pages;
    d->last_page = (uint32_t)(all / SIM_PAGE);
    d->inode_count = d->name_count = 1;
    return d;
}

void sim_disk_free(SimDisk *d)
{
    if (d) munmap(d, d->bytes);
}

void sim_disk_copy(SimDisk *to, const SimDisk *from)
{
    must(to->bytes == from->bytes);
    size_t first = (size_t)from->first_page * SIM_PAGE;
    memcpy(to, from, offsetof(SimDisk, inodes));
    memcpy(to->inodes, from->inodes, from->inode_count * sizeof *from->inodes);
    memcpy(to->names, from->names, from->name_count * sizeof *from->names);
    memcpy(to->changes, from->changes, from->change_count * sizeof *from->changes);
    memcpy((char *)to + first, (const char *)from + first,
           (size_t)(from->next_page - from->first_page) * SIM_PAGE);
}

SimDiskPlan *sim_disk_plan(SimDisk *d)
{
    return &d->plan;
}

void sim_disk_kill(SimDisk *d)
{
    for (uint32_t i = 1; i < d->inode_count; i++) {
        d->inodes[i].opens = 0;
        d->inodes[i].locked = 0;
        inode_settle(d, i);
    }
}

/* The size is the old one, the new one, or as far as the file had grown on the disk. */
static uint64_t size_after_cut(const SimInode *ino, uint64_t *random)
{
    if (ino->size == ino->safe_size) return ino->size;
    uint64_t choice = sim_next(random) % 3;
    if (choice == 0) return ino->safe_size;
    if (choice == 1 || ino->size < ino->safe_size) return ino->size;
    return ino->safe_size + sim_next(random) % (ino->size - ino->safe_size);
}

static void cut_inode(SimDisk *d, uint32_t inode, uint64_t *random)
{
    SimInode *ino = &d->inodes[inode];
    uint32_t from = ino->dirty_from, to = ino->dirty_to;
    for (uint32_t i = from; i < to; i++) {
        SimChunk *c = chunk_find(d, inode, i);
        if (c && c->dirty) chunk_power_cut(d, ino, c, (uint8_t)sim_next(random));
    }
    int64_t mtime = ino->mtime;
    inode_resize(d, inode, size_after_cut(ino, random));
    ino->mtime = mtime; /* a cut happens outside of simulated time */
    inode_sync(d, inode, NULL);
}

void sim_disk_power_cut(SimDisk *d, uint64_t seed)
{
    uint64_t random = seed;
    sim_disk_kill(d);
    for (uint32_t i = 1; i < d->inode_count; i++)
        if (d->inodes[i].used && !d->inodes[i].is_dir) cut_inode(d, i, &random);
    name_power_cut(d, &random);
    for (uint32_t i = 1; i < d->inode_count; i++)
        inode_settle(d, i);
}

void sim_disk_flip_bit(SimDisk *d, Slice path, uint64_t bit)
{
    char text[SIM_PATH] = "", normal[SIM_PATH];
    must(path.len < SIM_PATH);
    memcpy(text, path.at, path.len);
    must(sim_name_normal(text, normal));
    uint32_t inode = name_inode(d, normal);
    must(inode && bit / 8 < d->inodes[inode].size);
    SimChunk *c = chunk_make(d, inode, bit / 8 / SIM_PAGE);
    if (!c->now) c->now = page_new(d);
    page_at(d, c->now)[bit / 8 % SIM_PAGE] ^= (char)(1 << bit % 8);
}
