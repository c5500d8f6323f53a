#include "store/index_walk.h"

#include "base/text.h"
#include "run/file.h"

#include <stdlib.h>

/* LMDB 0.9 on a little-endian machine, as lmdb.h and mdb.c have it:
 *
 *   page      0 u64 number   10 u16 flags   12 u16 end of the node table   14 u16 start of the
 * nodes 16 u16 node offsets ...   free   ... nodes overflow  12 u32 how many pages; its octets
 * begin at 16 meta      (pages 0 and 1) 16 u32 magic   20 u32 version   40, 88 the trees: free
 * pages, ours 136 u64 last page   144 u64 transaction tree      0 u32 page size (the first one)   6
 * u16 depth   32 u64 entries   40 u64 root page node      0 u16, 2 u16, 4 u16, 6 u16 key length,
 * key; of a branch: the first three are the number of a page; of a leaf: length of the value,
 * flags; behind the key the value, or the u64 number of its overflow page
 */
enum {
    HEAD = 16,
    NODE = 8,
    BRANCH = 1,
    LEAF = 2,
    OVERFLOW_PAGE = 4,
    BIG_VALUE = 1,
    CRC_BYTES = 4,
    PAGE_MOST = 65536,
    KEY_MOST = 511,
    VALUE_MOST = 64 << 20,
};
static const uint32_t magic = 0xBEEFC0DE;

typedef struct Todo {
    struct Todo *next;
    uint64_t page;
    Slice floor; /* its keys are not less */
    bool has_floor;
} Todo;

typedef struct {
    IndexWalk *walk;
    File *file;
    uint32_t page_size;
    uint64_t pages;
    uint8_t *seen; /* a bit for each page */
    Arena memory;
    Todo *todo;
    Buf last; /* key */
    bool any, stopped;
} Tree;

static uint64_t number_at(const char *at, size_t octets)
{
    uint64_t n = 0;
    for (size_t i = octets; i > 0; i--)
        n = n << 8 | (uint8_t)at[i - 1];
    return n;
}

/* ---- pages ---- */

static bool first_visit(Tree *t, uint64_t page)
{
    uint8_t bit = (uint8_t)(1u << page % 8);
    if (page < 2 || page >= t->pages || t->seen[page / 8] & bit) return false;
    t->seen[page / 8] |= bit;
    return true;
}

static bool page_read(Tree *t, uint64_t page, char *out)
{
    if (!first_visit(t, page)) return false;
    if (file_read_at(t->file, page * t->page_size, out, t->page_size)) return false;
    return number_at(out, 8) == page;
}

static bool node_table(const Tree *t, const char *page, size_t *count)
{
    size_t lower = number_at(page + 12, 2), upper = number_at(page + 14, 2);
    if (lower < HEAD || lower % 2 || lower > upper || upper > t->page_size) return false;
    *count = (lower - HEAD) / 2;
    return true;
}

/* A node with its key; what follows is *rest. */
static bool node_at(const Tree *t, const char *page, size_t i, const char **node, Slice *key,
                    Slice *rest)
{
    size_t at = number_at(page + HEAD + 2 * i, 2);
    if (at < number_at(page + 14, 2) || at + NODE > t->page_size) return false;
    size_t len = number_at(page + at + 6, 2);
    if (len > KEY_MOST || at + NODE + len > t->page_size) return false;
    *node = page + at;
    *key = slice(*node + NODE, len);
    *rest = slice(*node + NODE + len, t->page_size - at - NODE - len);
    return true;
}

static bool overflow_read(Tree *t, uint64_t page, size_t len, Buf *out)
{
    char head[HEAD];
    uint64_t count = (HEAD + len + t->page_size - 1) / t->page_size;
    if (len > VALUE_MOST || page >= t->pages || count > t->pages - page) return false;
    for (uint64_t i = 0; i < count; i++)
        if (!first_visit(t, page + i)) return false;
    if (file_read_at(t->file, page * t->page_size, head, sizeof head)) return false;
    if (number_at(head, 8) != page || !(number_at(head + 10, 2) & OVERFLOW_PAGE)) return false;
    buf_clear(out);
    char *to = buf_reserve(out, len);
    if (file_read_at(t->file, page * t->page_size + HEAD, to, len)) return false;
    out->len = len;
    return true;
}

/* ---- entries ---- */

static bool in_order(Tree *t, Slice key)
{
    if (t->any && slice_order(buf_slice(&t->last), key) >= 0) return false;
    buf_clear(&t->last);
    buf_add(&t->last, key);
    t->any = true;
    return true;
}

static bool take_entry(Tree *t, const char *node, Slice key, Slice rest)
{
    Buf big buf_scoped = {0};
    size_t len = number_at(node, 4);
    Slice stored = slice_first(rest, len);
    if (number_at(node + 4, 2) & BIG_VALUE) {
        if (rest.len < 8 || !overflow_read(t, number_at(rest.at, 8), len, &big)) return false;
        stored = buf_slice(&big);
    }
    if (stored.len != len || len < CRC_BYTES) return false;
    Slice value = slice_first(stored, len - CRC_BYTES);
    if (number_at(value.at + value.len, CRC_BYTES) != crc32c(crc32c(0, key), value)) return false;
    if (!in_order(t, key)) return false;
    t->walk->entries++;
    if (t->walk->entry && !t->walk->entry(t->walk->arg, key, value)) t->stopped = true;
    return true;
}

static void take_leaf(Tree *t, const char *page, size_t count, const Todo *job)
{
    for (size_t i = 0; i < count && !t->stopped; i++) {
        const char *node;
        Slice key, rest;
        bool good = node_at(t, page, i, &node, &key, &rest);
        if (good && i == 0 && job->has_floor && slice_order(key, job->floor) < 0) good = false;
        if (!good || !take_entry(t, node, key, rest)) t->walk->damaged++;
    }
}

/* The children, to be visited in their order. The first one has the floor of its parent. */
static void take_branch(Tree *t, const char *page, size_t count, const Todo *job)
{
    for (size_t i = count; i > 0; i--) {
        const char *node;
        Slice key, rest;
        if (!node_at(t, page, i - 1, &node, &key, &rest)) {
            t->walk->damaged++;
            continue;
        }
        Todo *child = arena_new(&t->memory, Todo);
        *child = (Todo){.next = t->todo, .page = number_at(node, 6)};
        child->has_floor = i > 1 || job->has_floor;
        child->floor = i > 1 ? arena_copy(&t->memory, key) : job->floor;
        t->todo = child;
    }
}

static void visit(Tree *t, const Todo *job, char *page)
{
    size_t count;
    if (!page_read(t, job->page, page) || !node_table(t, page, &count)) {
        t->walk->damaged++;
        return;
    }
    /* The separator lies between what comes before it and what comes behind. */
    if (t->any && job->has_floor && job->floor.len &&
        slice_order(buf_slice(&t->last), job->floor) >= 0)
        t->walk->damaged++;
    unsigned flags = (unsigned)number_at(page + 10, 2);
    if (flags == LEAF)
        take_leaf(t, page, count, job);
    else if (flags == BRANCH && count)
        take_branch(t, page, count, job);
    else
        t->walk->damaged++;
}

/* ---- the root ---- */

static bool meta_read(File *file, uint64_t at, char out[160])
{
    return !file_read_at(file, at, out, 160) && number_at(out + 16, 4) == magic &&
           number_at(out + 20, 4) == 1;
}

/* The newer of the two; LMDB would take it, too. */
static Err find_root(Tree *t, char meta[160])
{
    char first[160], second[160];
    uint64_t size;
    TRY(file_size(t->file, &size));
    if (!meta_read(t->file, 0, first))
        return fail(ERR_CORRUPT, "%.*s has no beginning", SP(file_path(t->file)));
    t->page_size = (uint32_t)number_at(first + 40, 4);
    if (t->page_size < 512 || t->page_size > PAGE_MOST || t->page_size & (t->page_size - 1))
        return fail(ERR_CORRUPT, "%.*s has pages of %u octets", SP(file_path(t->file)),
                    t->page_size);
    t->pages = size / t->page_size;
    bool two = meta_read(t->file, t->page_size, second);
    bool newer = two && number_at(second + 144, 8) > number_at(first + 144, 8);
    if (!two) t->walk->damaged++;
    memcpy(meta, newer ? second : first, 160);
    return OK;
}

static Err walk_tree(Tree *t)
{
    char meta[160];
    TRY(find_root(t, meta));
    uint64_t root = number_at(meta + 88 + 40, 8), wanted = number_at(meta + 88 + 32, 8);
    Todo first = {.page = root};
    char *page = arena_alloc(&t->memory, t->page_size);
    t->seen = arena_alloc(&t->memory, t->pages / 8 + 1);
    if (root != UINT64_MAX) t->todo = &first;
    while (t->todo && !t->stopped) {
        const Todo *job = t->todo;
        t->todo = job->next;
        visit(t, job, page);
    }
    if (!t->stopped && t->walk->entries != wanted) t->walk->damaged++;
    return OK;
}

Err index_walk(Slice path, IndexWalk *walk)
{
    Tree t = {.walk = walk};
    walk->entries = walk->damaged = 0;
    Err err = file_open(path, FILE_READ, &t.file);
    if (!err) err = walk_tree(&t);
    file_close(t.file);
    buf_done(&t.last);
    arena_done(&t.memory);
    return err;
}
