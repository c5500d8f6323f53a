#include "base/test.h"
#include "run/file.h"
#include "store/model.h"

#include <stdlib.h>
#include <unistd.h>

/* A store in a directory of its own, with one account. */
typedef struct {
    char dir[64];
    Store *store;
    Account *account;
    uint32_t acct;
    Arena arena;
} World;

static PARKS void remove_tree(Slice dir)
{
    Arena a arena_scoped = {0};
    Slice *names;
    size_t count;
    if (path_list(dir, &a, &names, &count)) return;
    for (size_t i = 0; i < count; i++) {
        Slice path = arena_printf(&a, "%.*s/%.*s", SP(dir), SP(names[i]));
        if (!unlink(arena_cstr(&a, path))) continue;
        remove_tree(path);
        rmdir(arena_cstr(&a, path));
    }
    rmdir(arena_cstr(&a, dir));
}

static PARKS void world_reopen(World *w, const StoreOptions *options)
{
    if (w->account) account_close(w->account);
    if (w->store) store_close(w->store);
    check_ok(store_open(slice_of(w->dir), options, &w->store));
    check_ok(account_open(w->store, w->acct, &w->account));
}

static PARKS void world_open(World *w, const StoreOptions *options)
{
    *w = (World){.dir = "/tmp/posthouse-store-XXXXXX"};
    check(mkdtemp(w->dir));
    check_ok(store_open(slice_of(w->dir), options, &w->store));
    /* the test's fiber is on loop 0: take an account that is at home there */
    for (int i = 0; i < 64 && !w->account; i++) {
        Slice login = arena_printf(&w->arena, "u%d", i);
        check_ok(store_create_account(w->store, login, &w->acct));
        if (store_home(w->store, w->acct) == loop_current())
            check_ok(account_open(w->store, w->acct, &w->account));
    }
    check(w->account);
}

static PARKS void world_close(World *w)
{
    account_close(w->account);
    store_close(w->store);
    arena_done(&w->arena);
    remove_tree(slice_of(w->dir));
}

static PARKS Mailbox *open_box(World *w, Slice name)
{
    Mailbox *box = NULL;
    check_ok(mailbox_open(w->account, w->acct, name, &box));
    return box;
}

static PARKS uint32_t append(World *w, Mailbox *box, Slice message, const DraftPlace *place)
{
    Draft *d scoped(draft) = NULL;
    uint32_t uid = 0;
    check_ok(draft_begin(w->store, message.len, &d));
    check_ok(draft_write(d, message));
    check_ok(draft_commit(d, box, place ? place : &(DraftPlace){.date = 1}, &uid));
    return uid;
}

#define hello S("From: a@example.com\r\nSubject: hello\r\nMessage-ID: <1@x>\r\n\r\nHi.\r\n")

static PARKS void check_body(World *w, uint32_t eid, Slice wanted)
{
    char got[512];
    check_ok(email_read(w->account, eid, 0, got, wanted.len));
    check_slice(slice(got, wanted.len), wanted);
    check_err(email_read(w->account, eid, 0, got, wanted.len + 1), ERR_LIMIT);
}

TEST(a_message_comes_in_and_is_read)
{
    World w;
    world_open(&w, NULL);
    for (int life = 0; life < 2; life++) {
        Mailbox *box scoped(mailbox) = open_box(&w, S("inbox"));
        if (!life)
            check_u64(append(&w, box, hello, &(DraftPlace){.flags = FLAG_SEEN, .date = 7}), 1);
        const Message *m = mailbox_next(box, 1);
        check(m);
        check_u64(m->uid, 1);
        check_u64(m->size, hello.len);
        check_u64(m->flags, FLAG_SEEN);
        check_u64(m->date, 7);
        check(!mailbox_next(box, 2));
        check_body(&w, m->eid, hello);
        Slice stored, header;
        MailboxStatus s = mailbox_status(box);
        check_ok(email_summary(w.account, m->eid, &stored));
        check(stored.len > 0);
        check_ok(email_header(w.account, m->eid, &w.arena, &header));
        check_u64(header.len, hello.len - 5);
        check_u64(s.exists, 1);
        check_u64(s.unseen, 0);
        check_u64(s.uid_next, 2);
        check_u64(s.size_octets, hello.len);
        mailbox_close(box), box = NULL;
        if (!life) world_reopen(&w, NULL);
    }
    world_close(&w);
}
