/* Any octets as the file of an LMDB index, read by salvage: what is given out ascends, holds its
 * checksum and is counted; the walk ends. The fuzzer does not find CRCs by luck: with an odd first
 * octet the entries of every leaf get theirs. */
#include "base/fuzz.h"
#include "base/text.h"
#include "store/index_walk.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 512, HEAD = 16, NODE = 8, LEAF = 2 };

typedef struct {
    uint64_t entries;
    Buf last;
} Seen;

static bool take(void *arg, Slice key, Slice value)
{
    Seen *s = arg;
    must(!s->entries || slice_order(buf_slice(&s->last), key) < 0);
    must(key.len <= 511 && value.len <= 64 << 20);
    buf_clear(&s->last);
    buf_add(&s->last, key);
    s->entries++;
    return s->entries < 1000;
}

static size_t number_at(const char *at)
{
    return (size_t)(uint8_t)at[0] | (size_t)(uint8_t)at[1] << 8;
}

/* The last four octets of the value in the node at `at` become the CRC of key and value. */
static void seal_node(char *page, size_t at)
{
    if (at < HEAD || at + NODE > PAGE) return;
    size_t key = number_at(page + at + 6), value = number_at(page + at);
    if (value < 4 || at + NODE + key + value > PAGE) return;
    char *begin = page + at + NODE;
    uint32_t crc = crc32c(crc32c(0, slice(begin, key)), slice(begin + key, value - 4));
    for (int i = 0; i < 4; i++)
        begin[key + value - 4 + (size_t)i] = (char)(crc >> (8 * i));
}

static void seal(char *bytes, size_t size)
{
    for (size_t at = 0; at + PAGE <= size; at += PAGE) {
        char *page = bytes + at;
        size_t end = MIN(number_at(page + 12), (size_t)PAGE);
        if (number_at(page + 10) != LEAF) continue;
        for (size_t i = HEAD; i + 2 <= end; i += 2)
            seal_node(page, number_at(page + i));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    char path[64];
    Buf file buf_scoped = {0};
    Seen seen = {0};
    IndexWalk walk = {.entry = take, .arg = &seen};
    if (!size) return 0;
    buf_add(&file, slice(data + 1, size - 1));
    if (data[0] & 1) seal(file.at, file.len);
    if (fd < 0) fd = memfd_create("index", MFD_CLOEXEC);
    must(fd >= 0 && !ftruncate(fd, 0));
    must(!file.len || pwrite(fd, file.at, file.len, 0) == (ssize_t)file.len);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    Err err = index_walk(slice_of(path), &walk);
    must(!err || err == ERR_CORRUPT || err == ERR_IO);
    must(walk.entries == seen.entries);
    buf_done(&seen.last);
    return 0;
}
