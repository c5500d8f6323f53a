/* Any octets as the file of index_memory.c, in the simulated world: batches end where their
 * checksum says, changes make progress, keys are within their limits; and an index that opens takes
 * what the same octets say as changes and is there again, the same, when it is opened once more.
 * The first octet: bits below; its upper part, if not 0, is the operation of the disk that fails.
 */
#include "base/fuzz.h"
#include "base/text.h"
#include "run/file.h"
#include "run/log.h"
#include "run/sim.h"
#include "store/index.h"

enum { DISK_BYTES = 8 << 20, HEADER = 12, AT_ONCE = 3, MUCH = 90 * 1000 };
enum { SEALED = 1, GROWS = 2, FULL = 4 /* the disk is, when it fails */, CUT = 8, FAILS = 16 };

typedef struct {
    uint8_t how;
    Slice bytes;
    SimDisk *disk;
} Input;

/* ---- taken apart ---- */

static void take_changes(Slice changes)
{
    Reader r = reader(changes);
    IndexChange c;
    size_t left = r.rest.len;
    while (index_change_decode(&r, &c)) {
        must(r.rest.len < left && c.key.len > 0 && c.key.len <= INDEX_KEY_MOST);
        must(!c.remove || !c.value.len);
        left = r.rest.len;
    }
    must(r.bad || !r.rest.len);
}

static void take_batches(Slice bytes)
{
    size_t size = bytes.len;
    Slice changes;
    take_changes(bytes); /* as changes whose checksum happens to hold */
    while (index_batch_decode(&bytes, &changes)) {
        must(changes.len + bytes.len <= size);
        take_changes(changes);
    }
}

/* Batches where lengths say that they are get a magic and a CRC that hold. */
static void seal(char *bytes, size_t size)
{
    for (size_t at = 0; at + HEADER <= size;) {
        uint32_t len;
        memcpy(&len, bytes + at + 4, sizeof len);
        if (len > size - at - HEADER) len = (uint32_t)(size - at - HEADER);
        uint32_t crc = crc32c(0, slice(bytes + at + HEADER, len));
        memcpy(bytes + at, "PHib", 4);
        memcpy(bytes + at + 4, &len, sizeof len);
        memcpy(bytes + at + 8, &crc, sizeof crc);
        at += HEADER + len;
    }
}

/* ---- opened ---- */

static bool print_one(void *arg, Slice key, Slice value)
{
    buf_bytes(arg, key);
    buf_bytes(arg, value);
    return true;
}

typedef struct {
    Slice last;
    unsigned left;
} Some;

static bool some(void *arg, Slice key, Slice value)
{
    Some *s = arg;
    (void)value;
    must(slice_order(s->last, key) < 0);
    s->last = key; /* nobody writes meanwhile */
    return --s->left > 0;
}

static void print_all(Index *x, Buf *out)
{
    for (int c = 0; c < 256; c++) {
        char first = (char)c;
        Some few = {.left = 2};
        must(!index_scan(x, slice(&first, 1), (Slice){0}, print_one, out));
        must(!index_scan(x, slice(&first, 1), slice(&first, 1), some, &few));
    }
}

/* A later change of the same key wins. */
static void check_written(Index *x, const IndexChange *changes, size_t count)
{
    Arena a arena_scoped = {0};
    for (size_t i = 0; i < count; i++) {
        bool last = true;
        Slice value;
        for (size_t k = i + 1; k < count; k++)
            last = last && !slice_eq(changes[k].key, changes[i].key);
        if (!last) continue;
        Err err = index_get(x, changes[i].key, &a, &value);
        must(err == (changes[i].remove ? ERR_NOT_FOUND : OK));
        must(err || slice_eq(value, changes[i].value));
    }
}

static Err write_all(Index *x, const Input *in)
{
    IndexChange changes[AT_ONCE];
    static char octets[MUCH];
    size_t count = 0;
    Reader r = reader(in->bytes);
    while (index_change_decode(&r, &changes[count])) {
        if (++count < AT_ONCE) continue;
        TRY(index_write(x, changes, count));
        check_written(x, changes, count);
        count = 0;
    }
    changes[0] = (IndexChange){.key = S("much"), .value = slice(octets, MUCH)};
    for (int i = 0; in->how & GROWS && i < 8; i++) {
        octets[i]++;
        TRY(index_write(x, changes, 1));
        check_written(x, changes, 1);
    }
    return OK;
}

static void check_same(Index *x, Slice path)
{
    Index *again = NULL;
    Buf first buf_scoped = {0}, second buf_scoped = {0};
    print_all(x, &first);
    must(!index_open(&index_memory, path, 0, &again));
    print_all(again, &second);
    index_close(again);
    must(slice_eq(buf_slice(&first), buf_slice(&second)));
}

static void put_file(const Input *in)
{
    Buf bytes buf_scoped = {0};
    File *file scoped(file) = NULL;
    buf_add(&bytes, in->bytes);
    if (in->how & SEALED) seal(bytes.at, bytes.len);
    if (in->how & CUT) buf_add(&bytes, S("PHib"));
    Slice all = buf_slice(&bytes);
    must(!file_open(S("index"), FILE_WRITE | FILE_CREATE, &file));
    must(!all.len || !file_write_at(file, 0, &all, 1));
}

static void life(void *arg)
{
    const Input *in = arg;
    Index *x = NULL;
    SimDiskPlan *plan = sim_disk_plan(in->disk);
    take_batches(in->bytes);
    if (in->bytes.len) put_file(in);
    plan->failure = in->how & FULL ? ERR_DISK_FULL : ERR_IO;
    if (in->how / FAILS) plan->fail_at = plan->operations + in->how / FAILS;
    if (in->how / FAILS == 15) plan->fail_read_at = plan->reads + 1;
    Err err = index_open(&index_memory, S("index"), 0, &x);
    must(!err || err == ERR_CORRUPT || in->how / FAILS);
    if (err) return;
    err = write_all(x, in);
    must(!err || in->how / FAILS);
    plan->fail_at = plan->fail_read_at = 0;
    must(err || !index_copy_to(x, S("copy")));
    if (!err) check_same(x, S("copy"));
    if (!err) check_same(x, S("index"));
    index_close(x);
    x = NULL;
    must(!index_open(&index_memory, S("index"), 0, &x) || in->how / FAILS);
    index_close(x);
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
    Input in = {data[0], slice(data + 1, size - 1), disk};
    SimConfig config = {.seed = 1, .disk = disk, .loops = 1};
    must(!sim_run(&config, life, &in));
    return 0;
}
