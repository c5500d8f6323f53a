#include "store/test_world.h"

#include <stdlib.h>

/* Objects, and what every verb says when it may not: limits, an account that is damaged, a mailbox
 * that is gone. */

TEST(objects_of_any_length_are_kept)
{
    World w;
    world_open(&w, NULL);
    static const size_t sizes[] = {0, 1, 1799, 1800, 1801, 5000, 100000, 3};
    uint64_t seq = 0;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        char *value = mem_zero(sizes[i] + 1);
        memset(value, 'a' + (int)i, sizes[i]);
        check_ok(object_put(w.account, S("pref"), S("x"), slice(value, sizes[i]), NULL));
        for (int life = 0; life < 2; life++) {
            Slice got;
            check_ok(object_get(w.account, S("pref"), S("x"), &w.arena, &got, &seq));
            check_slice(got, slice(value, sizes[i]));
            check_ok(engine_checkpoint(w.store->engine));
        }
        free(value);
    }
    check_err(object_put(w.account, S("pref"), S("x"), S("y"), &(uint64_t){seq - 1}), ERR_CONFLICT);
    check_ok(object_put(w.account, S("pref"), S("x"), S("y"), &seq));
    check_err(object_put(w.account, S("pref"), S("new"), S("y"), &seq), ERR_CONFLICT);
    check_ok(object_put(w.account, S("pref"), S("new"), S("y"), &(uint64_t){0}));
    check_ok(object_delete(w.account, S("pref"), S("x")));
    check_err(object_delete(w.account, S("pref"), S("x")), ERR_NOT_FOUND);
    world_reopen(&w);
    Slice got;
    check_err(object_get(w.account, S("pref"), S("x"), &w.arena, &got, &seq), ERR_NOT_FOUND);
    world_close(&w);
}

TEST(objects_are_listed_from_pages_and_memory)
{
    World w;
    world_open(&w, NULL);
    static const char *const ids[] = {"d", "b", "a", "c", "bb"};
    Slice *list;
    size_t count;
    for (size_t i = 0; i < COUNT(ids); i++) {
        check_ok(object_put(w.account, S("k"), slice_of(ids[i]), S("v"), NULL));
        if (i == 2) check_ok(engine_checkpoint(w.store->engine));
    }
    check_ok(object_put(w.account, S("kk"), S("other"), S("v"), NULL));
    check_ok(object_delete(w.account, S("k"), S("a")));
    check_ok(object_list(w.account, S("k"), S("b"), 2, &w.arena, &list, &count));
    check_u64(count, 2);
    check_slice(list[0], S("bb"));
    check_slice(list[1], S("c"));
    check_ok(object_list(w.account, S("k"), (Slice){0}, 99, &w.arena, &list, &count));
    check_u64(count, 4);
    check_slice(list[0], S("b"));
    check_slice(list[3], S("d"));
    world_close(&w);
}

#define TEXT_256                                                                                   \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"                             \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"                             \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"                             \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

TEST(names_of_objects_have_limits)
{
    static const struct {
        Slice collection, id;
    } bad[] = {
        {{"", 0},         {"x", 1}       },
        {{TEXT_256, 101}, {"x", 1}       },
        {{"a\0b", 3},     {"x", 1}       },
        {{"pref", 4},     {"", 0}        },
        {{"pref", 4},     {TEXT_256, 256}},
    };
    World w;
    Slice value, *ids;
    size_t count;
    world_open(&w, NULL);
    for (size_t i = 0; i < COUNT(bad); i++) {
        check_err(object_put(w.account, bad[i].collection, bad[i].id, S("v"), NULL), ERR_LIMIT);
        check_err(object_delete(w.account, bad[i].collection, bad[i].id), ERR_LIMIT);
        check_err(object_get(w.account, bad[i].collection, bad[i].id, &w.arena, &value, NULL),
                  ERR_NOT_FOUND);
    }
    check_err(object_list(w.account, S(""), S(""), 9, &w.arena, &ids, &count), ERR_LIMIT);
    check_err(object_list(w.account, S("pref"), S(TEXT_256), 9, &w.arena, &ids, &count), ERR_LIMIT);
    check_ok(object_put(w.account, slice(TEXT_256, 100), slice(TEXT_256, 255), S("v"), NULL));
    check_ok(object_list(w.account, slice(TEXT_256, 100), S(""), 0, &w.arena, &ids, &count));
    check_u64(count, 0);
    char *long_value = mem_zero(1024 * 1024 + 1);
    check_err(object_put(w.account, S("pref"), S("x"), slice(long_value, 1024 * 1024 + 1), NULL),
              ERR_TOO_BIG);
    check_ok(object_put(w.account, S("pref"), S("x"), slice(long_value, 1024 * 1024), NULL));
    free(long_value);
    world_close(&w);
}

/* ---- a damaged account ---- */

typedef struct {
    World *w;
    Mailbox *box;
    UidSet one;
    uint32_t uid;
    uint64_t modseq;
    CopyResult copied;
    Slice *list;
    size_t count;
} Try;

static PARKS Err try_create(Try *t)
{
    return mailbox_create(t->w->account, S("x"), ROLE_NONE);
}

static PARKS Err try_create_for(Try *t)
{
    return mailbox_create_for(t->w->account, S("x"), ROLE_NONE);
}

static PARKS Err try_delete(Try *t)
{
    return mailbox_delete(t->w->account, S("Junk"));
}

static PARKS Err try_rename(Try *t)
{
    return mailbox_rename(t->w->account, S("Junk"), S("Spam"));
}

static PARKS Err try_subscribe(Try *t)
{
    return mailbox_subscribe(t->w->account, S("x"), true);
}

static PARKS Err try_role(Try *t)
{
    return mailbox_set_role(t->w->account, S("Junk"), ROLE_NONE);
}

static PARKS Err try_uses(Try *t)
{
    return mailbox_set_uses(t->w->account, S("Junk"), ROLE_NONE);
}

static PARKS Err try_validity(Try *t)
{
    return mailbox_set_uid_validity(t->box, mailbox_status(t->box).uid_validity, 99);
}

static PARKS Err try_put(Try *t)
{
    return object_put(t->w->account, S("pref"), S("x"), S("v"), NULL);
}

static PARKS Err try_put_expected(Try *t)
{
    return object_put(t->w->account, S("pref"), S("y"), S("v"), &(uint64_t){0});
}

static PARKS Err try_remove(Try *t)
{
    return object_delete(t->w->account, S("pref"), S("old"));
}

static PARKS Err try_quota(Try *t)
{
    const uint64_t limit[QUOTA_RESOURCES] = {QUOTA_NONE, QUOTA_NONE, QUOTA_NONE, QUOTA_NONE};
    return account_set_quota(t->w->account, limit);
}

static PARKS Err try_note(Try *t)
{
    Annotation note = {S("/comment"), S("v"), true};
    return mailbox_annotate_messages(t->box, &t->one, &(Annotations){&note, 1}, NULL, &t->w->arena,
                                     NULL, &t->modseq);
}

static PARKS Err try_annotate(Try *t)
{
    Annotation note = {S("/comment"), S("v"), true};
    return mailbox_annotate(t->box, &(Annotations){&note, 1}, NULL);
}

static PARKS Err try_undelete(Try *t)
{
    return account_undelete(t->w->account, &t->one, &t->w->arena, &t->count);
}

static PARKS Err try_flag(Try *t)
{
    FlagChange change = {.how = CHANGE_ADD, .flags = FLAG_FLAGGED};
    return mailbox_change(t->box, &t->one, &change, &t->w->arena, NULL, &t->modseq);
}

static PARKS Err try_copy(Try *t)
{
    return mailbox_copy(t->box, &t->one, t->box, &t->w->arena, &t->copied);
}

static PARKS Err try_expunge(Try *t)
{
    return mailbox_expunge(t->box, &t->one, true, &t->w->arena, NULL);
}

static PARKS Err try_append(Try *t)
{
    Draft *d scoped(draft) = NULL;
    check_ok(draft_begin(t->w->store, 0, &d));
    check_ok(draft_write(d, S("Subject: x\r\n\r\n")));
    return draft_commit(d, t->box, &(DraftPlace){0}, &t->uid);
}

static PARKS Err try_open(Try *t)
{
    Mailbox *box scoped(mailbox) = NULL;
    return mailbox_open(t->w->account, t->w->acct, S("Sent"), &box);
}

static PARKS Err try_share(Try *t)
{
    return mailbox_set_acl(t->box, S("anyone"), ACL_REPLACE, RIGHT_LOOKUP);
}

static Err (*const verbs[])(Try *) = {
    try_create, try_create_for, try_rename,   try_delete,       try_subscribe, try_role,
    try_uses,   try_validity,   try_put,      try_put_expected, try_remove,    try_quota,
    try_note,   try_annotate,   try_undelete, try_flag,         try_copy,      try_append,
    try_open,   try_share,      try_expunge,
};

/* It was met while a record was applied: nothing is taken until it has been loaded again. */
TEST(a_damaged_account_takes_nothing)
{
    World w;
    world_open(&w, NULL);
    Try t = {.w = &w, .box = world_box(&w, "INBOX"), .one = world_uids(&w.arena, 1, 1)};
    world_append(&w, t.box, "one", 0);
    check_ok(object_put(w.account, S("pref"), S("old"), S("v"), NULL));
    uint64_t seq = account_seq(w.account);
    w.account->broken = ERR_CORRUPT;
    for (size_t i = 0; i < COUNT(verbs); i++)
        if (verbs[i](&t) != ERR_CORRUPT) check_u64(i, COUNT(verbs)); /* says which */
    check_u64(account_seq(w.account), seq);
    w.account->broken = OK;
    check_ok(mailbox_create(w.account, S("Spam"), ROLE_NONE));
    check_ok(mailbox_delete(w.account, S("Spam")));
    for (size_t i = 0; i < COUNT(verbs); i++) {
        Err err = verbs[i](&t);
        check(!err || err == ERR_EXISTS || err == ERR_NOT_FOUND);
    }
    mailbox_close(t.box);
    world_close(&w);
}

/* ---- a mailbox that is gone ---- */

TEST(a_deleted_mailbox_is_not_found_by_who_has_it_open)
{
    World w;
    View *view = NULL, *again = NULL;
    UidSet vanished = {0};
    Buf kept buf_scoped = {0};
    bool complete;
    world_open(&w, NULL);
    Try t = {.w = &w, .box = world_box(&w, "x"), .one = world_uids(&w.arena, 1, 1)};
    world_append(&w, t.box, "one", 0);
    check_ok(view_open(t.box, true, &view));
    check(view_keep(view, &kept));
    check_ok(mailbox_delete(w.account, S("x")));
    check_err(try_validity(&t), ERR_NOT_FOUND);
    check_err(try_note(&t), ERR_NOT_FOUND);
    check_err(try_annotate(&t), ERR_NOT_FOUND);
    check_err(try_flag(&t), ERR_NOT_FOUND);
    check_err(try_copy(&t), ERR_NOT_FOUND);
    check_err(try_expunge(&t), ERR_NOT_FOUND);
    check_err(try_append(&t), ERR_NOT_FOUND);
    check_err(try_share(&t), ERR_NOT_FOUND);
    check_err(view_open(t.box, true, &again), ERR_NOT_FOUND);
    check_err(view_resume(t.box, buf_slice(&kept), &again), ERR_NOT_FOUND);
    check_err(mailbox_vanished(t.box, 1, &w.arena, &vanished, &complete), ERR_NOT_FOUND);
    check(!view_keep(view, &kept));
    check_u64(box_seen(t.box->box, 4242), 0);
    view_close(view);
    mailbox_close(t.box);
    world_close(&w);
}

/* ---- quota ---- */

TEST(a_limit_below_what_is_used_refuses_all)
{
    World w;
    const uint64_t limit[QUOTA_RESOURCES] = {10, QUOTA_NONE, QUOTA_NONE, QUOTA_NONE};
    world_open(&w, NULL);
    Try t = {.w = &w, .box = world_box(&w, "INBOX")};
    check_ok(try_append(&t));
    check_ok(account_set_quota(w.account, limit));
    check_err(account_has_room(w.account, 0), ERR_OVER_QUOTA);
    check_err(try_append(&t), ERR_OVER_QUOTA);
    mailbox_close(t.box);
    world_close(&w);
}
