#include "store/test_world.h"

#include "run/file.h"

#include <stdlib.h>
#include <unistd.h>

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

PARKS void world_reopen(World *w)
{
    if (w->account) account_close(w->account);
    if (w->store) store_close(w->store);
    check_ok(store_open(slice_of(w->dir), &w->options, &w->store));
    check_ok(account_open(w->store, w->acct, &w->account));
}

PARKS void world_open(World *w, const StoreOptions *options)
{
    *w = (World){.dir = "/tmp/posthouse-store-XXXXXX"};
    if (options) w->options = *options;
    w->options.engine.map_bytes = UINT64_C(1) << 30; /* what the thread sanitizer has room for */
    check(mkdtemp(w->dir));
    check_ok(store_open(slice_of(w->dir), &w->options, &w->store));
    for (int i = 0; i < 64 && !w->account; i++) {
        Slice login = arena_printf(&w->arena, "u%d", i);
        check_ok(store_create_account(w->store, login, &w->acct));
        if (store_home(w->store, w->acct) == loop_current())
            check_ok(account_open(w->store, w->acct, &w->account));
    }
    check(w->account);
}

PARKS void world_close(World *w)
{
    account_close(w->account);
    store_close(w->store);
    arena_done(&w->arena);
    remove_tree(slice_of(w->dir));
}

PARKS Mailbox *world_box(World *w, const char *name)
{
    Mailbox *box = NULL;
    Err err = mailbox_open(w->account, w->acct, slice_of(name), &box);
    if (err == ERR_NOT_FOUND) {
        check_ok(mailbox_create(w->account, slice_of(name), ROLE_NONE));
        err = mailbox_open(w->account, w->acct, slice_of(name), &box);
    }
    check_ok(err);
    return box;
}

PARKS uint32_t world_append_octets(World *w, Mailbox *box, Slice octets, const DraftPlace *place)
{
    Draft *d scoped(draft) = NULL;
    uint32_t uid = 0;
    check_ok(draft_begin(w->store, octets.len, &d));
    check_ok(draft_write(d, octets));
    check_ok(draft_commit(d, box, place, &uid));
    return uid;
}

PARKS uint32_t world_append(World *w, Mailbox *box, const char *subject, uint8_t flags)
{
    Slice message =
        arena_printf(&w->arena, "From: a@example.com\r\nSubject: %s\r\n\r\nHi.\r\n", subject);
    return world_append_octets(w, box, message, &(DraftPlace){.flags = flags, .date = 1});
}

enum { AT_ONCE = 100 };

static PARKS void append_some(World *w, Mailbox *box, size_t first, size_t count)
{
    Arena a arena_scoped = {0};
    Draft **drafts = arena_array(&a, Draft *, count);
    DraftPlace *places = arena_array(&a, DraftPlace, count);
    uint32_t *uids = arena_array(&a, uint32_t, count);
    for (size_t i = 0; i < count; i++) {
        Slice message = arena_printf(&a, "Subject: number %zu\r\n\r\nx\r\n", first + i);
        check_ok(draft_begin(w->store, 0, &drafts[i]));
        check_ok(draft_write(drafts[i], message));
    }
    check_ok(draft_commit_many(drafts, count, box, places, uids));
    for (size_t i = 0; i < count; i++)
        draft_free(drafts[i]);
}

PARKS void world_append_many(World *w, Mailbox *box, size_t count)
{
    for (size_t done = 0; done < count; done += AT_ONCE)
        append_some(w, box, done, MIN(count - done, (size_t)AT_ONCE));
}

UidSet world_uids(Arena *a, uint32_t first, uint32_t last)
{
    UidSet s = {0};
    uidset_add(a, &s, first, last);
    return s;
}

PARKS void world_flag(Mailbox *box, uint32_t first, uint32_t last, ChangeHow how, uint8_t flags)
{
    Arena a arena_scoped = {0};
    UidSet uids = world_uids(&a, first, last);
    uint64_t modseq;
    check_ok(
        mailbox_change(box, &uids, &(FlagChange){.how = how, .flags = flags}, &a, NULL, &modseq));
}

PARKS void world_keyword(Mailbox *box, uint32_t uid, ChangeHow how, const char *keyword)
{
    Arena a arena_scoped = {0};
    UidSet uids = world_uids(&a, uid, uid);
    Slice name = slice_of(keyword);
    FlagChange change = {
        .how = how, .keywords = {&name, name.len ? 1 : 0}
    };
    uint64_t modseq;
    check_ok(mailbox_change(box, &uids, &change, &a, NULL, &modseq));
}

PARKS void world_expunge(Mailbox *box, uint32_t first, uint32_t last)
{
    Arena a arena_scoped = {0};
    UidSet uids = world_uids(&a, first, last);
    check_ok(mailbox_expunge(box, &uids, true, &a, NULL));
}

Slice world_print(World *w, const UidSet *uids)
{
    Buf text buf_scoped = {0};
    uidset_print(&text, uids);
    return arena_copy(&w->arena, buf_slice(&text));
}

Slice world_show(World *w, Mailbox *box)
{
    static const char letters[] = "SAFDT";
    Buf text buf_scoped = {0};
    for (const Message *m = mailbox_next(box, 1); m; m = mailbox_next(box, m->uid + 1)) {
        buf_printf(&text, "%s%u", text.len ? " " : "", m->uid);
        for (int i = 0; i < 5; i++)
            if (m->flags >> i & 1) buf_char(&text, letters[i]);
        buf_add(&text, account_keywords(mailbox_account(box), m->kwset));
    }
    return arena_copy(&w->arena, buf_slice(&text));
}
