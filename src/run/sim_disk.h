#pragma once
/* Internal to run/: what the simulated disk remembers. One mapping shared with children, so
 * everything in it is an index, never a pointer:
 *
 *     SimDisk | plan, inodes, names, changes of names that no directory sync has covered
 *     pages   | 4 KiB each: file data, or 256 Chunks of a file's map
 *
 * A Chunk is 4 KiB of a file. `now` is what a reader sees. When a sector of it was written since
 * the last sync, `safe` is what the whole chunk was then and `dirty` says which sectors differ. */
#include "run/sim.h"

enum {
    SIM_PAGE = 4096,
    SIM_SECTOR = 512,
    SIM_CHUNKS = 256, /* in one page of a file's map */
    SIM_TABLES = 2048,
    SIM_INODES = 4096,
    SIM_NAMES = 8192,
    SIM_CHANGES = 16384,
    SIM_PATH = 240,
};

typedef struct {
    uint32_t now, safe; /* pages; 0: zeros */
    uint8_t dirty;      /* a bit for each sector; 0: `safe` is not used, `now` is safe */
    uint8_t lost;       /* a failed sync has dropped it: no later sync makes it safe */
    uint8_t taken;      /* takes room on the disk */
    uint8_t spare[5];
} SimChunk;

typedef struct {
    bool used, is_dir, counted;
    uint32_t links, opens; /* names now; open files */
    uint64_t locked;       /* by this lock; 0: not */
    uint64_t size, safe_size, taken_chunks;
    int64_t mtime;
    uint32_t dirty_from, dirty_to; /* chunks in between may be dirty */
    uint32_t tables[SIM_TABLES];   /* pages of SimChunk; 0: holes */
} SimInode;

typedef struct {
    char path[SIM_PATH];
    uint32_t now, safe; /* inodes; 0: no such name */
    uint32_t pending;   /* changes that name it */
    bool wanted;
} SimName;

/* One step of a journal: all of it happens or none. */
typedef struct {
    uint32_t count;
    struct {
        uint32_t name, inode;
    } set[2];
} SimChange;

struct SimDisk {
    SimDiskPlan plan;
    size_t bytes; /* of the mapping */
    uint64_t taken_chunks;
    uint32_t first_page, next_page, free_page, last_page;
    uint32_t inode_count, name_count, change_count; /* inode 0 and name 0 are nobody */
    SimInode inodes[SIM_INODES];
    SimName names[SIM_NAMES];
    SimChange changes[SIM_CHANGES];
};

/* ---- data: sim_disk.c ---- */
uint32_t inode_new(SimDisk *d, bool is_dir);
void inode_settle(SimDisk *d, uint32_t inode); /* after links or opens changed: counts, frees */
void inode_read(SimDisk *d, uint32_t inode, uint64_t offset, char *out, size_t len);
/* How many of the bytes there is room for. */
size_t inode_room(SimDisk *d, uint32_t inode, uint64_t offset, size_t len);
void inode_write(SimDisk *d, uint32_t inode, uint64_t offset, const char *bytes, size_t len);
void inode_punch(SimDisk *d, uint32_t inode, uint64_t offset, uint64_t len);
void inode_resize(SimDisk *d, uint32_t inode, uint64_t size);
void inode_allocate(SimDisk *d, uint32_t inode, uint64_t offset, uint64_t len);
/* Makes safe what is dirty; a chunk stays behind where `leave` says so (NULL: none does). */
void inode_sync(SimDisk *d, uint32_t inode, bool (*leave)(void));
void inode_sync_failed(SimDisk *d, uint32_t inode);

/* ---- names: sim_name.c ---- */
/* Without "./" in front, doubled and trailing slashes; "." and "/" are directories always there. */
bool sim_name_normal(const char *path, char out[SIM_PATH]);
uint32_t name_find(const SimDisk *d, const char *path); /* 0: never heard of */
uint32_t name_make(SimDisk *d, const char *path);
bool name_is_dir(const SimDisk *d, const char *path);
Slice name_parent(const char *path);
uint32_t name_inode(const SimDisk *d, const char *path); /* 0: not there */
void name_change(SimDisk *d, SimChange change);
void name_sync_dir(SimDisk *d, const char *path);
void name_power_cut(SimDisk *d, uint64_t *random);
bool inode_is_named(const SimDisk *d, uint32_t inode); /* now, or after a power cut perhaps */
