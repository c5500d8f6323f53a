#include "store/salvage.h"

#include "run/file.h"
#include "store/local.h"
#include "store/test_world.h"

#include <stdio.h>
#include <stdlib.h>

/* store_salvage: which index is taken, which is set aside, what is said. flip_test.c flips bits;
 * here are the cases by name. */

enum { MAILS = 60 };

static void shell(const World *w, const char *command)
{
    Buf line buf_scoped = {0};
    buf_printf(&line, "export DIR=%s; cd $DIR/idx 2>/dev/null; %s", w->dir, command);
    /* NOLINTNEXTLINE(cert-env33-c): a world for tests */
    check(!system(buf_cstr(&line)));
}

static const StoreOptions options = {
    .engine = {.segment_bytes = 64 * 1024, .map_bytes = 1 << 30}
};

static PARKS void leave(World *w)
{
    account_close(w->account);
    store_close(w->store);
    w->account = NULL, w->store = NULL;
}

/* Two copies of the index, a log of several segments; closed. */
static PARKS void make(World *w)
{
    Buf long_one buf_scoped = {0};
    world_open(w, &options);
    Mailbox *box = world_box(w, "INBOX");
    buf_add(&long_one, S("Subject: x\r\n\r\n"));
    while (long_one.len < 8000)
        buf_add(&long_one, S("some line of it\r\n"));
    for (int i = 0; i < MAILS; i++) {
        world_append_octets(w, box, buf_slice(&long_one), &(DraftPlace){0});
        if (i % 25 == 20) check_ok(engine_copy_index(store_engine(w->store)));
    }
    mailbox_close(box);
    leave(w);
    shell(w, "touch copy-of-mine other.mdb; cp -r $DIR $DIR.keep");
}

static void again(const World *w)
{
    shell(w, "rm -rf $DIR/*; cp -r $DIR.keep/* $DIR/");
}

static void hear(void *arg, Slice line)
{
    Buf *all = arg;
    buf_add(all, line);
    buf_char(all, '\n');
}

static bool said(const Buf *all, const char *words)
{
    Slice rest = buf_slice(all);
    for (Slice w = slice_of(words); rest.len >= w.len; rest = slice_from(rest, 1))
        if (slice_starts(rest, w)) return true;
    return false;
}

static PARKS Err salvage(World *w, Buf *all)
{
    buf_clear(all);
    return store_salvage(slice_of(w->dir), &w->options, hear, all);
}

static PARKS uint32_t exists(World *w)
{
    world_reopen(w);
    Mailbox *box = world_box(w, "INBOX");
    uint32_t n = mailbox_status(box).exists;
    mailbox_close(box);
    leave(w);
    return n;
}

/* Octets in the middle of a leaf, and all of it. */
#define DAMAGE(file)                                                                               \
    "n=$(($(stat -c %s " file ") / 4096)); for i in $(seq 3 $((n - 1))); do printf XXXXXXXX | "    \
    "dd of=" file " bs=1 seek=$((i * 4096 + 2000)) conv=notrunc status=none; done; "
#define RUBBISH(file) "echo rubbish > " file "; "

static const struct {
    const char *damage, *says;
    uint32_t kept;
} rows[] = {
    {"true",                                                              "60 messages are kept", MAILS},
    {DAMAGE("data.mdb"),                                                  "a copy and the log",   MAILS},
    {RUBBISH("data.mdb"),                                                 "are not: ",            MAILS},
    {"rm data.mdb*",                                                      "a copy and the log",   MAILS},
    {"rm -f data.mdb-lock; " RUBBISH("data.mdb"),                         "a copy and the log",   MAILS},
    {RUBBISH("data.mdb") "for f in copy-*.mdb; do " RUBBISH("$f") "done", "again from the log",
     MAILS                                                                                             },
    {RUBBISH("data.mdb") "f=$(ls copy-*.mdb | head -1); " RUBBISH("$f"),  "a copy and the log",
     MAILS                                                                                             },
};

TEST(a_salvage_takes_the_best_index_there_is)
{
    World w;
    Buf all buf_scoped = {0};
    make(&w);
    for (size_t i = 0; i < COUNT(rows); i++) {
        again(&w);
        shell(&w, rows[i].damage);
        check_ok(salvage(&w, &all));
        if (!said(&all, rows[i].says))
            test_failed(__FILE__, __LINE__, "%s: %.*s", rows[i].damage, SP(buf_slice(&all)));
        check_u64(exists(&w), rows[i].kept);
    }
    shell(&w, "rm -r $DIR.keep");
    world_reopen(&w);
    world_close(&w);
}

/* Without copies and the beginning of the log what is good of the old index is all there is. */
TEST(a_salvage_makes_an_index_of_good_entries)
{
    World w;
    Buf all buf_scoped = {0};
    make(&w);
    again(&w);
    shell(&w, "rm copy-* $DIR/log/00000001.seg; " DAMAGE("data.mdb"));
    check_ok(salvage(&w, &all));
    check(said(&all, "good entries of the old one"));
    check(exists(&w) <= MAILS);
    /* more entries than are written at once, and no room for them */
    again(&w);
    Index *x = NULL;
    Arena a arena_scoped = {0};
    check_ok(index_open(&index_lmdb, arena_printf(&a, "%s/idx/data.mdb", w.dir), 1 << 30, &x));
    IndexChange *many = arena_array(&a, IndexChange, 2500);
    for (uint32_t i = 0; i < 2500; i++)
        many[i] = (IndexChange){.key = key_u32(&a, 'z', i), .value = S("a value of nobody")};
    check_ok(index_write(x, many, 2500));
    index_close(x);
    shell(&w, "rm copy-* $DIR/log/00000001.seg; " DAMAGE("data.mdb"));
    w.options.engine.map_bytes = 64 * 1024;
    check(salvage(&w, &all) != OK);
    w.options.engine.map_bytes = 1 << 30;
    again(&w);
    shell(&w, "rm copy-* $DIR/log/00000001.seg; " RUBBISH("data.mdb"));
    check_err(salvage(&w, &all), ERR_CORRUPT); /* nothing good is left */
    again(&w);
    shell(&w, "rm copy-* $DIR/log/00000001.seg data.mdb");
    check_err(salvage(&w, &all), ERR_CORRUPT);
    again(&w);
    shell(&w, "rm -r $DIR.keep");
    world_reopen(&w);
    world_close(&w);
}

/* What stands in the way is said, and nothing is taken away. */
TEST(a_salvage_that_cannot_be)
{
    static const char *const ways[] = {
        "rm $DIR/LOCK",
        "rm -r $DIR/idx",
        RUBBISH("data.mdb") "mkdir -p data.mdb.damaged/x",
        "f=$(ls copy-*.mdb | head -1); " RUBBISH("$f") "mkdir -p $f.damaged/x",
        "echo posthouse store 9 > $DIR/format",
    };
    World w;
    Buf all buf_scoped = {0};
    make(&w);
    for (size_t i = 0; i < COUNT(ways); i++) {
        again(&w);
        shell(&w, ways[i]);
        if (!salvage(&w, &all)) test_failed(__FILE__, __LINE__, "%s", ways[i]);
    }
    again(&w);
    world_reopen(&w);
    check_err(salvage(&w, &all), ERR_IN_USE);
    leave(&w);
    /* a page that cannot be read, wherever it is needed */
    for (unsigned n = 1; n < 60; n += 4) {
        fault_set("index.read", n);
        Err err = salvage(&w, &all);
        check(!err || err == ERR_CORRUPT);
        fault_set("index.read", 0);
    }
    check_ok(salvage(&w, &all));
    shell(&w, "rm -r $DIR.keep");
    check_u64(exists(&w), MAILS);
    world_reopen(&w);
    world_close(&w);
}
