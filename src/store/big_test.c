#include "base/text.h"
#include "store/digest.h"
#include "store/local.h"
#include "store/test_world.h"

#include <stdlib.h>

/* A body that is a file of its own, damaged at each place; and files that are nobody's beside it.
 */

enum { BLOCKS = 20 };

PARKS static uint32_t add_big(World *w, Mailbox *box)
{
    Buf body buf_scoped = {0};
    buf_printf(&body, "Subject: big\r\n\r\n");
    while (body.len < BLOCKS * 65536)
        buf_printf(&body, "%0100zu\r\n", body.len);
    body.len = BLOCKS * 65536; /* whole blocks */
    uint32_t uid = world_append_octets(w, box, buf_slice(&body), &(DraftPlace){0});
    return mailbox_message(box, uid)->eid;
}

PARKS static Slice file_of(World *w, uint32_t eid, BlobRef *ref)
{
    Email *e;
    check_ok(email_entry(w->account, eid, &e));
    *ref = e->ref;
    return big_path(store_engine(w->store), &w->arena, e->ref.at);
}

static void ignore(void *arg, Slice line)
{
    (void)line;
    ++*(unsigned *)arg;
}

PARKS static uint64_t scrub(World *w)
{
    uint64_t checked, bad;
    unsigned lines = 0;
    check_ok(engine_scrub(store_engine(w->store), ignore, &lines, &checked, &bad));
    check(!bad == !lines);
    return bad;
}

static void turn_bit(Slice path, uint64_t at)
{
    File *f scoped(file) = NULL;
    char octet;
    check_ok(file_open(path, FILE_WRITE, &f));
    check_ok(file_read_at(f, at, &octet, 1));
    octet = (char)(octet ^ 16);
    Slice part = slice(&octet, 1);
    check_ok(file_write_at(f, at, &part, 1));
}

TEST(a_big_body_that_is_damaged_says_so)
{
    World w;
    PathInfo info;
    BlobRef ref;
    char out[100];
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    uint32_t eid = add_big(&w, box);
    check_ok(engine_checkpoint(store_engine(w.store)));
    Slice path = file_of(&w, eid, &ref);
    check_ok(path_info(path, &info));
    const uint64_t places[] = {info.size / 2, info.size - 3, info.size - 30, info.size - 45};
    check_u64(scrub(&w), 0);
    for (size_t i = 0; i < COUNT(places); i++) {
        turn_bit(path, places[i]);
        check_u64(scrub(&w), 1);
        Err err = email_read(w.account, eid, BLOCKS / 2 * 65536 - 50, out, sizeof out);
        check(i ? !err : err == ERR_CORRUPT);
        turn_bit(path, places[i]);
    }
    Slice aside = arena_printf(&w.arena, "%.*s.away", SP(path));
    check_ok(path_rename(path, aside));
    check_u64(scrub(&w), 1);
    check_err(email_read(w.account, eid, 0, out, 1), ERR_CORRUPT);
    check_ok(path_replace(path, S("short")));
    check_u64(scrub(&w), 1);
    check_ok(path_unlink(path));
    check_ok(path_rename(aside, path));
    check_u64(scrub(&w), 0);
    check_err(blob_read(store_engine(w.store), ref, ref.len, out, 1), ERR_LIMIT);
    check_err(blob_read(store_engine(w.store), ref, ref.len + UINT64_C(1), out, 0), ERR_LIMIT);
    check_ok(blob_read(store_engine(w.store), ref, 5, out, 0));
    mailbox_close(box);
    world_close(&w);
}

/* Whose checksum is right, but not what it says. */
PARKS static void write_trailer(Slice path, uint64_t size, char *trailer)
{
    File *f scoped(file) = NULL;
    Buf sum buf_scoped = {0};
    buf_u32(&sum, crc32c(0, slice(trailer, 44)));
    memcpy(trailer + 44, sum.at, 4);
    Slice part = slice(trailer, 48);
    check_ok(file_open(path, FILE_WRITE, &f));
    check_ok(file_write_at(f, size - 48, &part, 1));
}

TEST(a_big_body_with_another_end_says_so)
{
    World w;
    PathInfo info;
    BlobRef ref;
    File *f = NULL;
    char trailer[48], out[1];
    static const size_t places[] = {0, 40, 37}; /* of the SHA-256, the CRC, the octets */
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    uint32_t eid = add_big(&w, box);
    check_ok(engine_checkpoint(store_engine(w.store)));
    Slice path = file_of(&w, eid, &ref);
    check_ok(path_info(path, &info));
    check_ok(file_open(path, FILE_READ, &f));
    check_ok(file_read_at(f, info.size - 48, trailer, sizeof trailer));
    file_close(f);
    for (size_t i = 0; i < COUNT(places); i++) {
        trailer[places[i]] = (char)(trailer[places[i]] ^ 1);
        write_trailer(path, info.size, trailer);
        check_u64(scrub(&w), 1);
        trailer[places[i]] = (char)(trailer[places[i]] ^ 1);
    }
    write_trailer(path, info.size, trailer);
    check_u64(scrub(&w), 0);
    check_ok(path_unlink(path));
    Slice loop = arena_printf(&w.arena, "ln -s %.*s %.*s", SP(path), SP(path));
    check(!system(arena_cstr(&w.arena, loop)));
    check_err(email_read(w.account, eid, 0, out, 1), ERR_IO);
    mailbox_close(box);
    world_close(&w);
}

/* A file where a folder has to be. */
TEST(a_store_says_what_is_in_its_way)
{
    World w;
    Store *store = NULL;
    world_open(&w, NULL);
    account_close(w.account);
    store_close(w.store);
    Slice big = arena_printf(&w.arena, "%s/big", w.dir);
    Slice stray = arena_printf(&w.arena, "%s/big/zz", w.dir);
    Slice away = arena_printf(&w.arena, "%s/away", w.dir);
    check_ok(path_replace(stray, S("what")));
    check(store_open(slice_of(w.dir), &w.options, &store) != OK);
    check_ok(path_unlink(stray));
    check_ok(path_rename(big, away));
    check_ok(path_replace(big, S("what")));
    check(store_open(slice_of(w.dir), &w.options, &store) != OK);
    check_ok(path_unlink(big));
    check_ok(path_rename(away, big));
    Slice format = arena_printf(&w.arena, "%s/format", w.dir);
    check_ok(path_rename(format, away));
    check_ok(path_replace(format, S("posthouse store 1")));
    check_err(store_open(slice_of(w.dir), &w.options, &store), ERR_CORRUPT);
    check_ok(path_rename(away, format));
    w.account = NULL, w.store = NULL;
    world_reopen(&w);
    world_close(&w);
}

/* Bodies that no record refers to go when the store is opened; other files stay. */
TEST(big_bodies_of_nobody_are_swept)
{
    World w;
    PathInfo info;
    BlobRef ref;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    uint32_t eid = add_big(&w, box);
    Slice path = file_of(&w, eid, &ref), dir = path_parent(path);
    Slice nobodys =
        arena_printf(&w.arena, "%.*s/00000000000000%.2s", SP(dir), dir.at + dir.len - 2);
    Slice strange[] = {arena_printf(&w.arena, "%.*s/xyz", SP(dir)),
                       arena_printf(&w.arena, "%.*s/zzzzzzzzzzzzzzzz", SP(dir))};
    mailbox_close(box);
    check_ok(path_replace(nobodys, S("what")));
    for (size_t i = 0; i < COUNT(strange); i++)
        check_ok(path_replace(strange[i], S("what")));
    world_reopen(&w);
    check_err(path_info(nobodys, &info), ERR_NOT_FOUND);
    for (size_t i = 0; i < COUNT(strange); i++)
        check_ok(path_info(strange[i], &info));
    check_ok(path_info(path, &info));
    blob_abort(NULL);
    digest_free(NULL);
    world_close(&w);
}

/* Its file has gone already when it is given up. */
TEST(a_big_body_given_up_twice)
{
    World w;
    BlobWriter *b = NULL;
    char octets[4096] = "x";
    world_open(&w, NULL);
    check_ok(blob_begin(store_engine(w.store), &b));
    for (int i = 0; i < 600; i++)
        check_ok(blob_write(b, slice(octets, sizeof octets)));
    Slice rm = arena_printf(&w.arena, "rm -r %s/big/*", w.dir);
    check(!system(arena_cstr(&w.arena, rm)));
    blob_abort(b);
    world_close(&w);
}

/* ---- copies of the index ---- */

TEST(strange_names_are_no_copies)
{
    World w;
    Slice *names;
    uint64_t *lsns;
    size_t count;
    world_open(&w, NULL);
    Engine *e = store_engine(w.store);
    Slice make = arena_printf(&w.arena,
                              "cd %s/idx && touch copy-x.mdb copy-0123456789abcdef.tab "
                              "copy-zzzzzzzzzzzzzzzz.mdb copy-0123456789abcdef0.mdb",
                              w.dir);
    check(!system(arena_cstr(&w.arena, make)));
    check_ok(copies_list(e, &w.arena, &names, &lsns, &count));
    check_u64(count, 0);
    e->copy_ms = 0;
    check(!copies_are_due(e)); /* one segment */
    check(!copies_are_due(e)); /* looked a moment ago */
    for (int i = 0; i < 4; i++) {
        Mailbox *box = world_box(&w, "INBOX");
        world_append(&w, box, "x", 0);
        mailbox_close(box);
        check_ok(engine_copy_index(e));
    }
    check_ok(copies_list(e, &w.arena, &names, &lsns, &count));
    check_u64(count, 2);
    e->copy_ms = 0;
    check(!copies_are_due(e));
    make = arena_printf(&w.arena, "cd %s/idx && ln -s nowhere copy-ffffffffffffffff.mdb", w.dir);
    check(!system(arena_cstr(&w.arena, make)));
    e->copy_ms = 0;
    check(!copies_are_due(e));
    make = arena_printf(&w.arena, "rm %s/idx/copy-ffff*; mv %s/idx %s/away", w.dir, w.dir, w.dir);
    check(!system(arena_cstr(&w.arena, make)));
    e->copy_ms = 0;
    check(!copies_are_due(e));
    make = arena_printf(&w.arena, "mv %s/away %s/idx", w.dir, w.dir);
    check(!system(arena_cstr(&w.arena, make)));
    world_close(&w);
}
