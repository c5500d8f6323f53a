/* A file of signatures in the simulated world. The first octet says how many octets of what follows
 * are operations; the rest is what stands in the file before: anything, chunks with checksums that
 * hold (SEALED). Then it is asked, tidied, damaged, added to and opened again, with a disk that
 * fails now and then. What is added at the end is found, whatever stood there before. */
#include "base/fuzz.h"
#include "base/text.h"
#include "run/file.h"
#include "run/log.h"
#include "run/sim.h"
#include "store/sigchunk.h"
#include "store/sigfile.h"

#include <stdlib.h>

enum {
    DISK_BYTES = 16 << 20,
    ACCT = 7,
    FRESH = 1000000,
    OPERATIONS_MOST = 12,
    BIG_LOG = 17,
    SEALED = 128
};
typedef enum { ONE, BLOCK_OF_ONES, DEAD_ONES, ASK, TIDY, DAMAGE, OPEN, FAIL, READ_FAILS, OPS } Op;

typedef struct {
    uint8_t how;
    Slice ops, bytes;
    SimDisk *disk;
    SigFile *file;
    bool failing;
} Case;

/* ---- the file ---- */

static uint32_t number_at(const char *at)
{
    uint32_t n;
    memcpy(&n, at, sizeof n);
    return n;
}

/* Payloads as they are get the CRC that holds, headers their magic, account and CRC. */
static void seal_chunk(char *at, size_t size)
{
    uint32_t magic = number_at(at), acct = ACCT, zero = 0;
    size_t octets = number_at(at + 12),
           held = (uint8_t)at[8] == CHUNK_BLOCK ? number_at(at + 8) >> 16 << 2 : octets;
    Buf one buf_scoped = {0};
    if (held > size - CHUNK_HEADER) return;
    (void)magic;
    sig_chunk(&one, ACCT, 1, S(""), false);
    memcpy(at, one.at, 4);
    memcpy(at + 16, &acct, 4);
    uint32_t crc = crc32c(0, slice(at + CHUNK_HEADER, held));
    memcpy(at + 24, &crc, 4);
    memcpy(at + 28, &zero, 4);
    crc = crc32c(0, slice(at + 8, 24));
    memcpy(at + 4, &crc, 4);
}

static void seal(char *bytes, size_t size)
{
    for (size_t at = 0; at + CHUNK_HEADER <= size;) {
        seal_chunk(bytes + at, size - at);
        size_t octets = number_at(bytes + at + 12);
        at += octets < size - at ? CHUNK_HEADER + chunk_padded(octets) : CHUNK_ALIGN;
    }
}

static void put_file(const Case *c)
{
    Buf bytes buf_scoped = {0};
    File *file scoped(file) = NULL;
    buf_add(&bytes, c->bytes);
    if (c->how & SEALED) seal(bytes.at, bytes.len);
    Slice all = buf_slice(&bytes);
    must(!file_open(S("sig"), FILE_WRITE | FILE_CREATE, &file));
    must(!all.len || !file_write_at(file, 0, &all, 1));
}

static void damage(Case *c, Slice where)
{
    File *file scoped(file) = NULL;
    uint64_t size = 0, at = 0;
    for (size_t i = 0; i < where.len; i++)
        at = at << 8 | (uint8_t)where.at[i];
    if (file_open(S("sig"), FILE_WRITE, &file) || file_size(file, &size) || !size) return;
    (void)!file_write_at(file, at % size, &S("\x5a"), 1);
    c->failing = true; /* FRESH may be what was hit */
}

/* ---- operations; after an error the file is closed ---- */

static void ask(Case *c)
{
    uint32_t eids[] = {1, 2, 3, 77, 300, 513, 70000, FRESH};
    BloomNeedle needle;
    must(bloom_needle(S("zebra"), &needle));
    size_t left = sigfile_filter(c->file, &needle, eids, COUNT(eids));
    must(left <= COUNT(eids));
    for (size_t i = 1; i < left; i++)
        must(eids[i - 1] < eids[i]);
    for (uint32_t eid = 0; eid < 8; eid++)
        (void)sigfile_knows(c->file, eid);
}

/* A chunk of that size, its payload of no text. */
static void put_big(Buf *out, uint32_t eid, uint8_t fill)
{
    size_t start = out->len, octets = bloom_octets(BIG_LOG);
    memset(buf_reserve(out, CHUNK_HEADER + octets), fill, CHUNK_HEADER + octets);
    out->len += CHUNK_HEADER + octets;
    Chunk chunk = {.type = CHUNK_ONE, .log = BIG_LOG, .acct = ACCT, .eid = eid};
    chunk.crc = crc32c(0, slice(out->at + start + CHUNK_HEADER, octets));
    chunk_finish(out, start, &chunk);
}

static Err add(Case *c, Op op, uint8_t n)
{
    Buf chunks buf_scoped = {0};
    if (op == ONE) sig_chunk(&chunks, ACCT, n, S("zebra and horse"), n % 4);
    for (uint32_t i = 0; op == BLOCK_OF_ONES && i < BLOOM_BLOCK; i++)
        sig_chunk(&chunks, ACCT, 1 + n % 3 * 300u + i, slice("zebra one horse", i % 15), true);
    for (uint32_t i = 0; op == DEAD_ONES && i < 70; i++)
        put_big(&chunks, n, (uint8_t)i);
    return sigfile_append(c->file, buf_slice(&chunks));
}

static Err reopen(Case *c)
{
    sigfile_close(c->file);
    c->file = NULL;
    Err err = sigfile_open(S("sig"), ACCT, &c->file);
    SigFile *other = NULL;
    must(err || sigfile_open(S("sig"), ACCT, &other));
    return err;
}

static uint8_t take(Case *c)
{
    uint8_t octet = c->ops.len ? (uint8_t)c->ops.at[0] : 0;
    c->ops = slice_from(c->ops, 1);
    return octet;
}

static Err operate(Case *c)
{
    SimDiskPlan *plan = sim_disk_plan(c->disk);
    Op op = (Op)(take(c) % OPS);
    switch (op) {
    case ONE:
    case BLOCK_OF_ONES:
    case DEAD_ONES:
        return add(c, op, take(c));
    case ASK:
        ask(c);
        return OK;
    case TIDY:
        return sigfile_tidy(c->file);
    case DAMAGE:
        damage(c, slice_first(c->ops, 3));
        c->ops = slice_from(c->ops, 3);
        return OK;
    case OPEN:
        return reopen(c);
    case FAIL:
        plan->fail_at = plan->operations + 1 + take(c);
        return OK;
    case READ_FAILS:
        plan->fail_read_at = plan->reads + 1 + take(c);
        return OK;
    case OPS:
        break;
    }
    return OK;
}

static void well_again(Case *c)
{
    SimDiskPlan *plan = sim_disk_plan(c->disk);
    plan->fail_at = plan->fail_read_at = 0;
    must(!reopen(c));
}

static void add_and_find(Case *c)
{
    Buf chunk buf_scoped = {0};
    BloomNeedle has, hasnt;
    uint32_t eid = FRESH;
    sig_chunk(&chunk, ACCT, FRESH, S("one zebra"), true);
    must(!sigfile_append(c->file, buf_slice(&chunk)));
    must(sigfile_knows(c->file, FRESH));
    must(bloom_needle(S("zebra"), &has) && bloom_needle(S("a horse and a cow"), &hasnt));
    must(sigfile_filter(c->file, &has, &eid, 1) == 1);
    must(sigfile_filter(c->file, &hasnt, &eid, 1) == 0);
}

static void life(void *arg)
{
    Case *c = arg;
    SigFile *none = NULL;
    char name[600];
    memset(name, 'n', sizeof name);
    must(sigfile_open(slice(name, sizeof name), ACCT, &none) == ERR_LIMIT);
    put_file(c);
    must(!sigfile_open(S("sig"), ACCT, &c->file));
    for (int i = 0; i < OPERATIONS_MOST && c->ops.len; i++)
        if (operate(c)) well_again(c);
    well_again(c);
    ask(c);
    add_and_find(c);
    must(!sigfile_tidy(c->file));
    ask(c);
    must(!reopen(c) && sigfile_knows(c->file, FRESH));
    sigfile_close(c->file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static SimDisk *empty, *disk;
    if (!size) return 0;
    if (!empty) {
        empty = sim_disk_new(DISK_BYTES);
        disk = sim_disk_new(DISK_BYTES);
        log_set_level_by_name(S("none"));
    }
    sim_disk_copy(disk, empty);
    Slice rest = slice(data + 1, size - 1);
    Case c = {.how = data[0], .ops = slice_first(rest, data[0] % SEALED), .disk = disk};
    c.bytes = slice_from(rest, c.ops.len);
    SimConfig config = {.seed = 1, .disk = disk, .loops = 1};
    must(!sim_run(&config, life, &c));
    return 0;
}
