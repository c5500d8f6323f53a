#include "store/sigfile.h"

#include "base/test.h"
#include "base/text.h"
#include "run/sim.h"
#include "store/sigchunk.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ACCT = 7 };

typedef struct {
    char dir[64], path[80];
} Place;
static Place place_new(void)
{
    Place p = {"/tmp/posthouse-sig-XXXXXX", ""};
    must(mkdtemp(p.dir));
    snprintf(p.path, sizeof p.path, "%s/7.sig", p.dir);
    return p;
}
static void place_done(Place *p)
{
    (void)!unlink(p->path);
    check(rmdir(p->dir) == 0); /* nothing else may have been left there */
}
#define place_scoped __attribute__((cleanup(place_done)))

/* The text of an eid: a word of its own, one that every tenth has, noise of a size of its own. */
static void text_of(Buf *out, uint32_t eid)
{
    buf_printf(out, "own%uword %s ", eid, eid % 10 ? "" : "tenth");
    for (uint32_t i = 0; i < eid % 7 * 40; i++)
        buf_printf(out, "%x ", (eid + i) * 2654435761u);
}

static Err try_add(SigFile *f, uint32_t first, uint32_t count)
{
    Buf chunks buf_scoped = {0};
    for (uint32_t eid = first; eid < first + count; eid++) {
        Buf text buf_scoped = {0};
        text_of(&text, eid);
        sig_chunk(&chunks, ACCT, eid, buf_slice(&text), true);
    }
    return sigfile_append(f, buf_slice(&chunks));
}

static void add(SigFile *f, uint32_t first, uint32_t count)
{
    check_ok(try_add(f, first, count));
}

/* How many of eids 1..count may have it; all that do have to be among them. */
static size_t ask(SigFile *f, const char *needle, uint32_t count, uint32_t has_first,
                  uint32_t has_step)
{
    uint32_t *eids = mem_new(count * sizeof *eids);
    BloomNeedle n;
    for (uint32_t i = 0; i < count; i++)
        eids[i] = i + 1;
    check(bloom_needle(slice_of(needle), &n));
    size_t left = sigfile_filter(f, &n, eids, count), at = 0;
    for (uint32_t eid = has_first; eid <= count; eid += has_step) {
        while (at < left && eids[at] < eid)
            at++;
        check(at < left && eids[at] == eid);
    }
    free(eids);
    return left;
}

static void ask_all(SigFile *f, uint32_t count)
{
    check(ask(f, "tenth", count, 10, 10) < count / 10 + count / 50 + 2);
    check(ask(f, "own77word", count, 77, 1000000) < 1 + count / 50 + 2);
    check(ask(f, "nowhere to be found", count, count + 1, 1) < count / 100 + 2);
}

static SigFile *open_again(Place *p, SigFile *f)
{
    sigfile_close(f);
    f = NULL;
    check_ok(sigfile_open(slice_of(p->path), ACCT, &f));
    return f;
}

TEST(signatures_come_back)
{
    Place p place_scoped = place_new();
    SigFile *f scoped(sigfile) = open_again(&p, NULL);
    check(!sigfile_knows(f, 1));
    add(f, 1, 300);
    check(sigfile_knows(f, 300) && !sigfile_knows(f, 301));
    ask_all(f, 300);
    f = open_again(&p, f);
    check(sigfile_knows(f, 300) && !sigfile_knows(f, 301));
    ask_all(f, 300);
}

TEST(what_is_unknown_or_was_cut_stays)
{
    Place p place_scoped = place_new();
    SigFile *f scoped(sigfile) = open_again(&p, NULL);
    Buf chunk buf_scoped = {0};
    add(f, 2, 2);
    sig_chunk(&chunk, ACCT, 4, S("cut"), false);
    check_ok(sigfile_append(f, buf_slice(&chunk)));
    check(sigfile_knows(f, 4));
    for (int i = 0; i < 2; i++, f = open_again(&p, f)) {
        uint32_t eids[] = {1, 2, 3, 4, 5};
        BloomNeedle n;
        check(bloom_needle(S("zebra"), &n));
        check_u64(sigfile_filter(f, &n, eids, 5), 3);
        check(eids[0] == 1 && eids[1] == 4 && eids[2] == 5);
    }
}

TEST(a_later_signature_counts)
{
    Place p place_scoped = place_new();
    SigFile *f scoped(sigfile) = open_again(&p, NULL);
    Buf chunks buf_scoped = {0};
    sig_chunk(&chunks, ACCT, 5, S("zebra"), true);
    sig_chunk(&chunks, ACCT, 4, S("zebra"), true);
    sig_chunk(&chunks, ACCT, 5, S("horse"), true);
    check_ok(sigfile_append(f, buf_slice(&chunks)));
    for (int i = 0; i < 2; i++, f = open_again(&p, f)) {
        uint32_t eids[] = {4, 5};
        BloomNeedle n;
        check(bloom_needle(S("zebra"), &n));
        check_u64(sigfile_filter(f, &n, eids, 2), 1);
        check_u64(eids[0], 4);
    }
}

TEST(blocks_answer_like_single_ones)
{
    enum { COUNT_ALL = 6000 };
    Place p place_scoped = place_new();
    SigFile *f scoped(sigfile) = open_again(&p, NULL);
    PathInfo info;
    for (uint32_t eid = 1; eid < COUNT_ALL; eid += 500) {
        add(f, eid, 500);
        check_ok(sigfile_tidy(f));
        ask_all(f, eid + 499);
        if (eid % 3 == 0) f = open_again(&p, f);
        ask_all(f, eid + 499);
    }
    check_ok(path_info(slice_of(p.path), &info));
    check(info.size < 8 * 1024 * 1024); /* written anew once in a while: 6000 * (512 .. 2048) */
    f = open_again(&p, f);
    check(sigfile_knows(f, 1) && sigfile_knows(f, COUNT_ALL) && !sigfile_knows(f, COUNT_ALL + 1));
    add(f, 100, 1);
    check_ok(sigfile_tidy(f));
    ask_all(f, COUNT_ALL);
}

TEST(two_do_not_share_a_file)
{
    Place p place_scoped = place_new();
    SigFile *f scoped(sigfile) = open_again(&p, NULL), *g = NULL;
    check(!sigfile_knows(f, 1));
    check_err(sigfile_open(slice_of(p.path), ACCT, &g), ERR_IN_USE);
}

static void flip(Place *p, uint64_t at, uint8_t bits)
{
    File *f scoped(file) = NULL;
    uint8_t octet;
    check_ok(file_open(slice_of(p->path), FILE_WRITE, &f));
    check_ok(file_read_at(f, at, &octet, 1));
    octet ^= bits;
    check_ok(file_write_at(f, at, &(Slice){(char *)&octet, 1}, 1));
}

/* Damage anywhere may make messages unknown, never hide one; written again they are known again. */
TEST(damage_hides_nothing)
{
    enum { COUNT_ALL = 700 };
    Place p place_scoped = place_new();
    SigFile *f scoped(sigfile) = open_again(&p, NULL);
    PathInfo info;
    add(f, 1, COUNT_ALL);
    check_ok(sigfile_tidy(f));
    check_ok(path_info(slice_of(p.path), &info));
    for (uint64_t i = 0; i < 60; i++) {
        uint64_t at = i * 2654435761u % info.size;
        flip(&p, at, (uint8_t)(1u << i % 8));
        f = open_again(&p, f);
        ask(f, "tenth", COUNT_ALL, 10, 10);
        ask(f, "own77word", COUNT_ALL, 77, 1000000);
        if (i % 20 == 19)
            for (uint32_t eid = 1; eid <= COUNT_ALL; eid++)
                if (!sigfile_knows(f, eid)) add(f, eid, 1);
        if (i % 20 == 19) check_ok(sigfile_tidy(f));
        if (i % 20 == 19) ask(f, "tenth", COUNT_ALL, 10, 10);
    }
}

TEST(a_torn_end_is_stepped_over)
{
    Place p place_scoped = place_new();
    SigFile *f scoped(sigfile) = open_again(&p, NULL);
    add(f, 1, 20);
    PathInfo info;
    check_ok(path_info(slice_of(p.path), &info));
    for (uint64_t cut = 1; cut < 1200; cut += 37) {
        sigfile_close(f);
        f = NULL;
        must(truncate(p.path, (off_t)(info.size - cut)) == 0);
        f = open_again(&p, f);
        ask(f, "tenth", 20, 10, 10);
        add(f, 21, 1);
        f = open_again(&p, f);
        check(sigfile_knows(f, 21) && sigfile_knows(f, 1));
    }
}

TEST(a_file_of_another_account_says_nothing)
{
    Place p place_scoped = place_new();
    SigFile *f scoped(sigfile) = open_again(&p, NULL);
    add(f, 1, 20);
    sigfile_close(f);
    f = NULL;
    check_ok(sigfile_open(slice_of(p.path), ACCT + 1, &f));
    check(!sigfile_knows(f, 1));
}

/* ---- headers that nobody writes ---- */

static void forge(Buf *out, const Chunk *c, size_t more)
{
    Buf b buf_scoped = {0};
    buf_u8(&b, c->type), buf_u8(&b, c->log), buf_u16(&b, c->count);
    buf_u32(&b, c->octets), buf_u32(&b, c->acct), buf_u32(&b, c->eid), buf_u32(&b, c->crc);
    for (size_t i = 0; i < 4 + more; i++)
        buf_u8(&b, 0);
    buf_u32(out, 0x47495350);
    buf_u32(out, crc32c(0, buf_slice(&b)));
    buf_add(out, buf_slice(&b));
}

TEST(chunks_whose_numbers_do_not_fit_are_none)
{
    enum { ROWS = BLOOM_ROW << BLOOM_LOG_LEAST };
    static const struct {
        Chunk c;
        bool sound;
    } rows[] = {
        {{CHUNK_ONE, 9, 0, 64, ACCT, 1, 0},                       true },
        {{CHUNK_ONE, 0, 0, 0, ACCT, 1, 0},                        true },
        {{CHUNK_ONE, 9, 0, 64, ACCT, 0, 0},                       false},
        {{CHUNK_ONE, 9, 0, 65, ACCT, 1, 0},                       false},
        {{CHUNK_ONE, 0, 0, 64, ACCT, 1, 0},                       false},
        {{CHUNK_ONE, 8, 0, 32, ACCT, 1, 0},                       false},
        {{CHUNK_ONE, 21, 0, 1 << 18, ACCT, 1, 0},                 false},
        {{CHUNK_BLOCK, 9, 2, 8 + ROWS, ACCT, 0, 0},               true },
        {{CHUNK_BLOCK, 9, 0, ROWS, ACCT, 0, 0},                   false},
        {{CHUNK_BLOCK, 9, 513, 513 * 4 + ROWS, ACCT, 0, 0},       false},
        {{CHUNK_BLOCK, 9, 2, 9 + ROWS, ACCT, 0, 0},               false},
        {{CHUNK_BLOCK, 8, 2, 8 + ROWS / 2, ACCT, 0, 0},           false},
        {{CHUNK_BLOCK, 18, 2, 8 + (BLOOM_ROW << 18), ACCT, 0, 0}, false},
        {{3, 9, 2, 8 + ROWS, ACCT, 0, 0},                         false},
    };
    Chunk got;
    for (size_t i = 0; i < COUNT(rows); i++) {
        Buf head buf_scoped = {0}, more buf_scoped = {0};
        forge(&head, &rows[i].c, 0);
        if (chunk_read(buf_slice(&head), ACCT, &got) != rows[i].sound) check_u64(i, COUNT(rows));
        check(!chunk_read(buf_slice(&head), ACCT + 1, &got));
        check(!chunk_read(slice_first(buf_slice(&head), CHUNK_HEADER - 1), ACCT, &got));
        forge(&more, &rows[i].c, 1);
        check(!chunk_read(buf_slice(&more), ACCT, &got));
    }
}

/* ---- a disk that forgets and fails ---- */

static void overwrite(Place *p, uint64_t at, size_t len)
{
    File *file scoped(file) = NULL;
    char *zeros = mem_zero(len);
    check_ok(file_open(slice_of(p->path), FILE_WRITE, &file));
    check_ok(file_write_at(file, at, &(Slice){zeros, len}, 1));
    free(zeros);
}

/* Of one size, so that they would make a block. */
static Err try_add_alike(SigFile *f, uint32_t first, uint32_t count)
{
    Buf chunks buf_scoped = {0};
    for (uint32_t eid = first; eid < first + count; eid++)
        sig_chunk(&chunks, ACCT, eid, S("just these words"), true);
    return sigfile_append(f, buf_slice(&chunks));
}

static void add_alike(SigFile *f, uint32_t first, uint32_t count)
{
    check_ok(try_add_alike(f, first, count));
}

TEST(signatures_that_went_while_the_file_was_open_make_no_block)
{
    Place p place_scoped = place_new();
    SigFile *f scoped(sigfile) = open_again(&p, NULL);
    PathInfo info;
    add_alike(f, 1, BLOOM_BLOCK);
    check_ok(path_info(slice_of(p.path), &info));
    overwrite(&p, 0, (size_t)info.size);
    check_ok(sigfile_tidy(f));
    check_u64(ask(f, "nowhere", BLOOM_BLOCK, BLOOM_BLOCK + 1, 1), BLOOM_BLOCK);
    check(!sigfile_knows(f, 1)); /* found out by asking */
    check_ok(sigfile_tidy(f));
    add_alike(f, 1, BLOOM_BLOCK);
    check_ok(sigfile_tidy(f));
    check_u64(ask(f, "nowhere", BLOOM_BLOCK, BLOOM_BLOCK + 1, 1), 0);
    f = open_again(&p, f);
    check_u64(ask(f, "nowhere", BLOOM_BLOCK, BLOOM_BLOCK + 1, 1), 0);
}

TEST(a_path_can_be_too_long)
{
    SigFile *f = NULL;
    char path[600];
    memset(path, 'x', sizeof path);
    check_err(sigfile_open(slice(path, sizeof path), ACCT, &f), ERR_LIMIT);
}

/* ---- a failing disk ---- */

enum { SIGS = BLOOM_BLOCK + 8, LONG = 80, STEPS = 8 };

static struct {
    SimDiskPlan *plan;
    uint64_t operations[STEPS], reads[STEPS]; /* how many there had been after each step */
    size_t count;
} steps;

static void step_over(void)
{
    if (steps.count == STEPS) return;
    steps.operations[steps.count] = steps.plan->operations;
    steps.reads[steps.count++] = steps.plan->reads;
}

static Err add_long(SigFile *f)
{
    Buf chunks buf_scoped = {0}, text buf_scoped = {0};
    for (uint32_t i = 0; i < 8000; i++)
        buf_printf(&text, "%x ", i * 2654435761u);
    for (uint32_t eid = 1; eid <= LONG; eid++)
        sig_chunk(&chunks, ACCT, eid, buf_slice(&text), true);
    return sigfile_append(f, buf_slice(&chunks));
}

static void ask_alike(SigFile *f)
{
    ask(f, "these words", SIGS, LONG + 1, 1);
    step_over();
}

/* Long ones that are out of date soon, so that the file is written anew in the end. */
static Err use_file(SigFile *f)
{
    TRY(add_long(f));
    TRY(try_add_alike(f, LONG + 1, SIGS - LONG));
    TRY(try_add_alike(f, 1, LONG));
    step_over();
    ask_alike(f);
    TRY(sigfile_tidy(f));
    step_over();
    ask_alike(f);
    TRY(try_add_alike(f, 1, 1));
    TRY(sigfile_tidy(f));
    step_over();
    ask_alike(f);
    return OK;
}

static PARKS void use_and_look(void *arg)
{
    SigFile *f scoped(sigfile) = NULL;
    (void)arg;
    for (int life = 0; life < 2; life++) {
        Err err = sigfile_open(S("7.sig"), ACCT, &f);
        step_over();
        if (!err && !life) err = use_file(f);
        check(!err || err == ERR_IO);
        sigfile_close(f), f = NULL;
    }
    steps.plan->fail_at = steps.plan->fail_read_at = 0;
    check_ok(sigfile_open(S("7.sig"), ACCT, &f));
    ask_alike(f);
    check_ok(use_file(f));
    check(sigfile_knows(f, SIGS));
}

static void with_fault(SimDisk *disk, const SimDisk *fresh, SimDiskPlan plan)
{
    plan.failure = ERR_IO;
    sim_disk_copy(disk, fresh);
    *steps.plan = plan;
    check_ok(sim_run(&(SimConfig){.seed = 1, .disk = disk, .loops = 1}, use_and_look, NULL));
}

/* Around the end of each step, and here and there, a call fails: no message is ever hidden. */
TEST(a_failing_disk_hides_no_message)
{
    SimDisk *disk = sim_disk_new(64 << 20), *fresh = sim_disk_new(64 << 20);
    steps.plan = sim_disk_plan(disk);
    steps.count = 0;
    with_fault(disk, fresh, (SimDiskPlan){0});
    check_u64(steps.count, STEPS);
    for (size_t i = 0; i < STEPS; i++) {
        with_fault(disk, fresh, (SimDiskPlan){.fail_at = steps.operations[i]});
        with_fault(disk, fresh, (SimDiskPlan){.fail_at = steps.operations[i] + 1});
        with_fault(disk, fresh, (SimDiskPlan){.fail_read_at = steps.reads[i]});
        with_fault(disk, fresh, (SimDiskPlan){.fail_read_at = steps.reads[i] + 1});
    }
    for (uint64_t i = 1; i < 8; i++) {
        with_fault(disk, fresh, (SimDiskPlan){.fail_at = steps.operations[STEPS - 1] * i / 8});
        with_fault(disk, fresh, (SimDiskPlan){.fail_read_at = steps.reads[STEPS - 1] * i / 8});
    }
    sim_disk_free(disk);
    sim_disk_free(fresh);
}
