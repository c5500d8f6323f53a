#include "store/fault_walk.h"

#include "run/file.h"
#include "store/model.h"
#include "store/signature.h"

#include <stdio.h>
#include <stdlib.h>

/* What the store is asked for beside the clients' work of workload.h, each as one operation of the
 * walk: sharing, annotations, objects, views, search, the way between accounts, accounts that come
 * and go, backups. Of two accounts that nobody else uses, made in the life from which all others
 * begin. A chore can be done again from whatever state its failing has left. */

/* Behind the accounts of workload.h, so that the sweep can begin with them. */
#define ONE S("x-one")
#define TWO S("x-two")
enum { LETTERS = 24, BIG_OCTETS = BLOB_INLINE_MOST + 70000 };

static PARKS void run_at_home(void *arg)
{
    Chore *c = arg;
    c->err = account_open(c->store, c->one, &c->a);
    if (!c->err) c->err = c->run(c);
    if (c->err) snprintf(c->story, sizeof c->story, "%s", err_story());
    account_close(c->a);
}

PARKS Err chore_at_home(const Chore *c, uint32_t acct, uint32_t other, Err (*run)(Chore *c))
{
    Chore there = {.store = c->store, .one = acct, .two = other, .run = run};
    loop_call(store_home(c->store, acct), run_at_home, &there);
    arena_done(&there.arena);
    return there.err ? fail(there.err, "%s", there.story) : OK;
}

static Err or_this(Err err, Err expected)
{
    return err == expected ? OK : err;
}

static PARKS Err open_box(Chore *c, const char *name, Mailbox **box)
{
    return mailbox_open(c->a, c->one, slice_of(name), box);
}

static PARKS Err add_letter(Chore *c, Mailbox *box, unsigned number, size_t octets)
{
    Draft *d scoped(draft) = NULL;
    Buf body buf_scoped = {0};
    static const Slice words[] = {
        {"Work", 4},
        {"todo", 4}
    };
    DraftPlace place = {
        .flags = (uint8_t)(number % 32),
        .keywords = {words, number % 3},
        .date = 1700000000 + number,
        .prefix = number % 2 ? S("Delivered-To: one@example.org\r\n") : S("")
    };
    uint32_t uid;
    buf_printf(&body, "From: u%u@example.org\r\nSubject: letter %u\r\n", number % 5, number);
    buf_printf(&body, "Message-ID: <l%u@example.org>\r\n\r\nneedle %u\r\n", number, number);
    while (body.len < octets)
        buf_printf(&body, "line %zu of many\r\n", body.len);
    TRY(draft_begin(c->store, body.len, &d));
    TRY(draft_write(d, buf_slice(&body)));
    return draft_commit(d, box, &place, &uid);
}

static UidSet uids_of(Chore *c, uint32_t first, uint32_t last)
{
    UidSet set = {0};
    uidset_add(&c->arena, &set, first, last);
    return set;
}

/* ---- sharing ---- */

static PARKS Err take_grant(Chore *c)
{
    Shared *list;
    size_t count;
    uint32_t acct;
    Err err = account_granted_by(c->a, ONE, &acct);
    TRY(or_this(err, ERR_NOT_FOUND));
    TRY(account_shared(c->a, true, &c->arena, &list, &count));
    return !err && acct != c->two ? ERR_CONFLICT : OK;
}

static PARKS Err grant(Chore *c)
{
    Mailbox *box scoped(mailbox) = NULL;
    AclEntry *entries;
    size_t count;
    TRY(open_box(c, "Work", &box));
    TRY(mailbox_set_acl(box, TWO, ACL_ADD, RIGHT_LOOKUP | RIGHT_READ | RIGHT_INSERT));
    TRY(mailbox_set_acl(box, S("anyone"), ACL_REPLACE, RIGHT_LOOKUP));
    TRY(mailbox_set_acl(box, S("-x-two"), ACL_REPLACE, RIGHT_INSERT));
    TRY(chore_at_home(c, c->two, c->one, take_grant));
    TRY(mailbox_acl(box, &c->arena, &entries, &count));
    TRY(mailbox_set_acl(box, S("anyone"), ACL_DELETE, 0));
    return mailbox_set_acl(box, S("-x-two"), ACL_DELETE, 0);
}

static PARKS Err take_back(Chore *c)
{
    Mailbox *box scoped(mailbox) = NULL;
    TRY(open_box(c, "Work", &box));
    TRY(mailbox_set_acl(box, TWO, ACL_DELETE, 0));
    return chore_at_home(c, c->two, c->one, take_grant);
}

/* What a guest with all rights does there. */
static PARKS Err be_guest(Chore *c)
{
    Mailbox *box scoped(mailbox) = NULL;
    UidSet some = uids_of(c, 1, 5), gone;
    FlagChange seen = {.how = CHANGE_ADD, .flags = FLAG_SEEN | FLAG_DELETED};
    uint64_t modseq;
    Annotation note = {S("/comment"), S("a guest's"), false};
    Annotations set = {&note, 1};
    TRY(mailbox_open(c->a, c->two, S("Shared"), &box));
    TRY(mailbox_change(box, &some, &seen, &c->arena, NULL, &modseq));
    seen.how = CHANGE_REMOVE;
    TRY(mailbox_change(box, &some, &seen, &c->arena, NULL, &modseq));
    TRY(mailbox_annotate(box, &set, NULL));
    TRY(mailbox_annotations(box, &c->arena, &set));
    TRY(add_letter(c, box, 7, 0));
    TRY(mailbox_expunge(box, NULL, false, &c->arena, &gone));
    TRY(or_this(mailbox_create_as(c->a, c->two, S("Shared/kid"), ROLE_NONE), ERR_EXISTS));
    TRY(or_this(mailbox_delete_as(c->a, c->two, S("Shared/kid2")), ERR_NOT_FOUND));
    TRY(mailbox_rename_as(c->a, c->two, S("Shared/kid"), S("Shared/kid2")));
    return mailbox_delete_as(c->a, c->two, S("Shared/kid2"));
}

/* ---- annotations, objects, names ---- */

static PARKS Err annotate(Chore *c)
{
    Mailbox *box scoped(mailbox) = NULL;
    Annotation notes[] = {
        {S("/comment"),  S("private"), false},
        {S("/comment"),  S("shared"),  true },
        {S("/vendor/x"), (Slice){0},   true }
    };
    Annotations set = {notes, COUNT(notes)}, got;
    UidSet some = uids_of(c, 3, 9);
    uint64_t modseq;
    TRY(open_box(c, "Work", &box));
    TRY(mailbox_annotate(box, &set, NULL));
    TRY(mailbox_annotations(box, &c->arena, &got));
    TRY(mailbox_annotate_messages(box, &some, &set, NULL, &c->arena, NULL, &modseq));
    const Message *m = mailbox_next(box, 1);
    Message one = m ? *m : (Message){0};
    if (m) TRY(message_annotations(box, &one, &c->arena, &got));
    TRY(account_annotate(c->a, &set));
    TRY(store_annotate(c->store, &(Annotations){notes + 1, 1}));
    TRY(store_annotations(c->store, &c->arena, &got));
    notes[0].value = notes[1].value = (Slice){0};
    TRY(store_annotate(c->store, &(Annotations){notes + 1, 1}));
    TRY(mailbox_annotate_messages(box, &some, &set, NULL, &c->arena, NULL, &modseq));
    return mailbox_annotate(box, &set, NULL);
}

static PARKS Err use_objects(Chore *c)
{
    Slice value, *ids;
    size_t count;
    uint64_t seq;
    TRY(object_put(c->a, S("pref"), S("x"), S("first"), NULL));
    TRY(object_get(c->a, S("pref"), S("x"), &c->arena, &value, &seq));
    TRY(object_put(c->a, S("pref"), S("x"), S("second"), &seq));
    if (object_put(c->a, S("pref"), S("x"), S("third"), &seq) == OK) return ERR_CONFLICT;
    TRY(object_put(c->a, S("pref"), S("y"), S(""), NULL));
    TRY(object_list(c->a, S("pref"), S(""), 10, &c->arena, &ids, &count));
    TRY(object_delete(c->a, S("pref"), S("x")));
    return object_delete(c->a, S("pref"), S("y"));
}

static PARKS Err name_boxes(Chore *c)
{
    Mailbox *box scoped(mailbox) = NULL;
    MailboxEntry *entries;
    size_t count;
    Slice inbox_was = arena_printf(&c->arena, "In/%llu", (unsigned long long)account_seq(c->a));
    TRY(or_this(mailbox_create_for(c->a, S("Flags/deep/down"), ROLE_ARCHIVE), ERR_EXISTS));
    TRY(mailbox_set_uses(c->a, S("Work"), ROLE_ARCHIVE));
    TRY(mailbox_set_role(c->a, S("Work"), ROLE_NONE));
    TRY(mailbox_subscribe(c->a, S("Flags"), true));
    account_mailboxes(c->a, &c->arena, &entries, &count);
    TRY(mailbox_rename(c->a, S("INBOX"), inbox_was));
    TRY(open_box(c, "Flags/deep/down", &box));
    MailboxStatus now = mailbox_status(box);
    if (now.uid_next == 1) TRY(mailbox_set_uid_validity(box, now.uid_validity + 1, 0));
    TRY(mailbox_subscribe(c->a, S("Flags"), false));
    return mailbox_delete(c->a, S("Flags/deep/down"));
}

static PARKS Err be_born_and_die(Chore *c)
{
    Slice *logins;
    uint32_t *accts, acct;
    size_t count;
    Mailbox *box scoped(mailbox) = NULL;
    TRY(or_this(store_remove_account(c->store, S("x-three")), ERR_NOT_FOUND));
    TRY(open_box(c, "Work", &box)); /* what it is granted before it is there, and after */
    TRY(mailbox_set_acl(box, S("x-three"), ACL_REPLACE, RIGHT_LOOKUP));
    TRY(store_create_account(c->store, S("x-three"), &acct));
    TRY(store_list_accounts(c->store, S("v"), 10, &c->arena, &logins, &accts, &count));
    TRY(chore_at_home(c, acct, c->one, use_objects));
    TRY(mailbox_set_acl(box, S("x-three"), ACL_DELETE, 0));
    TRY(mailbox_set_acl(box, S("x-four"), ACL_REPLACE, RIGHT_LOOKUP));
    TRY(mailbox_set_acl(box, S("x-four"), ACL_DELETE, 0));
    return store_remove_account(c->store, S("x-three"));
}

/* ---- messages ---- */

static PARKS Err change_seen(View *v, Mailbox *box, Arena *arena)
{
    UidSet uids = {0}, gone;
    uint64_t modseq;
    ViewNews news;
    FlagChange change = {.how = CHANGE_ADD, .flags = FLAG_DELETED};
    uint32_t last = view_exists(v) ? view_uid(v, view_exists(v)) : 1;
    uidset_add(arena, &uids, last, last);
    TRY(mailbox_change(box, &uids, &change, arena, NULL, &modseq));
    TRY(mailbox_expunge(box, &uids, false, arena, &gone));
    view_sync(v, true, arena, &news);
    return OK;
}

PARKS Err chore_look_at_view(Chore *c)
{
    Mailbox *box scoped(mailbox) = NULL;
    View *v scoped(view) = NULL, *again scoped(view) = NULL;
    Buf kept buf_scoped = {0};
    UidSet vanished = {0};
    bool complete;
    TRY(open_box(c, "Work", &box));
    TRY(add_letter(c, box, 1, 0));
    TRY(view_open(box, true, &v));
    if (view_keep(v, &kept)) TRY(view_resume(box, buf_slice(&kept), &again));
    TRY(change_seen(v, box, &c->arena));
    (void)view_first_unseen(v);
    return mailbox_vanished(box, 1, &c->arena, &vanished, &complete);
}

static PARKS Err read_email(Chore *c, uint32_t eid)
{
    Slice got;
    EmailDetails details;
    Buf text buf_scoped = {0};
    char some[40];
    bool found;
    TRY(email_summary(c->a, eid, &got));
    TRY(email_header(c->a, eid, &c->arena, &got));
    TRY(email_read(c->a, eid, 3, some, sizeof some));
    TRY(email_details(c->a, eid, &c->arena, &details));
    TRY(email_text(c->a, eid, MAIL_TEXT_ALL, &text));
    return email_contains(c->a, eid, S("needle"), true, &found);
}

static PARKS Err read_all(Chore *c)
{
    Mailbox *box scoped(mailbox) = NULL;
    uint32_t eids[LETTERS], uid = 1;
    size_t n = 0;
    TRY(open_box(c, "Work", &box));
    for (const Message *m; n < LETTERS && (m = mailbox_next(box, uid)); uid = m->uid + 1)
        eids[n++] = m->eid;
    for (size_t i = 0; i < n; i += 5)
        TRY(read_email(c, eids[i]));
    (void)text_candidates(c->a, S("needle"), eids, n);
    return OK;
}

typedef struct {
    Store *store;
    uint32_t acct, who;
    Mailbox *box;
    Err err;
} There;

static PARKS void open_inbox(void *arg)
{
    There *t = arg;
    Account *a scoped(account) = NULL;
    t->err = account_open(t->store, t->acct, &a);
    if (!t->err) t->err = mailbox_open(a, t->who, S("INBOX"), &t->box);
}

/* Into the other account, and back out of it. */
static PARKS Err carry(Chore *c)
{
    Mailbox *from scoped(mailbox) = NULL, *to scoped(mailbox) = NULL;
    There there = {.store = c->store, .acct = c->two, .who = c->one};
    CopyResult got;
    UidSet all, gone;
    TRY(open_box(c, "Work", &from));
    TRY(add_letter(c, from, 2, 0));
    uint32_t last = mailbox_status(from).uid_next - 1;
    UidSet uids = uids_of(c, last - 3, last), one = uids_of(c, last, last);
    loop_call(store_home(c->store, c->two), open_inbox, &there);
    to = there.box;
    TRY(there.err);
    TRY(mailbox_copy(from, &uids, to, &c->arena, &got));
    TRY(mailbox_move(from, &one, to, &c->arena, &got));
    all = uids_of(c, 1, UINT32_MAX);
    return mailbox_expunge(from, &all, false, &c->arena, &gone);
}

/* One of more than BLOB_INLINE_MOST: to both, read, expunged by both, and its file goes. */
static PARKS Err deliver_big(Chore *c)
{
    Draft *d scoped(draft) = NULL;
    Mailbox *box scoped(mailbox) = NULL;
    Buf body buf_scoped = {0};
    UidSet gone;
    uint32_t who[] = {c->one, c->two};
    Delivery to[2] = {0};
    TRY(draft_begin(c->store, 0, &d));
    buf_printf(&body, "Subject: big\r\n\r\n");
    while (body.len < BIG_OCTETS)
        buf_printf(&body, "line %zu of many, in front of a needle\r\n", body.len);
    TRY(draft_write(d, buf_slice(&body)));
    for (size_t i = 0; i < COUNT(to); i++)
        to[i] = (Delivery){.acct = who[i], .mailbox = S("Big/ones"), .create = true};
    draft_deliver(d, to, COUNT(to));
    for (size_t i = 0; i < COUNT(to); i++)
        TRY(to[i].err);
    TRY(open_box(c, "Big/ones", &box));
    const Message *m = mailbox_next(box, 1);
    if (m) TRY(read_email(c, m->eid));
    return mailbox_expunge(box, NULL, true, &c->arena, &gone);
}

static PARKS Err drop_big(Chore *c)
{
    Mailbox *box scoped(mailbox) = NULL;
    UidSet gone;
    TRY(chore_at_home(c, c->one, c->two, deliver_big));
    TRY(open_box(c, "Big/ones", &box));
    TRY(mailbox_expunge(box, NULL, true, &c->arena, &gone));
    TRY(engine_checkpoint(store_engine(c->store)));
    return engine_checkpoint(store_engine(c->store));
}

/* ---- what is kept ---- */

static PARKS Err bring_back(Chore *c)
{
    Mailbox *box scoped(mailbox) = NULL;
    KeptMessage *kept;
    Deletion d = {.keep_days = 30};
    UidSet gone, some = {0};
    size_t count, back;
    TRY(account_set_deletion(c->a, &d));
    TRY(or_this(mailbox_create(c->a, S("Old/times"), ROLE_NONE), ERR_EXISTS));
    TRY(open_box(c, "Old/times", &box));
    TRY(add_letter(c, box, 3, 0));
    TRY(add_letter(c, box, 4, 0));
    TRY(mailbox_expunge(box, NULL, true, &c->arena, &gone));
    TRY(mailbox_delete(c->a, S("Old/times")));
    TRY(account_kept(c->a, 0, 100, &c->arena, &kept, &count));
    for (size_t i = 0; i < count && i < 2; i++)
        uidset_add(&c->arena, &some, kept[i].uid, kept[i].uid);
    return account_undelete(c->a, &some, &c->arena, &back);
}

/* Its time has passed. */
static PARKS Err let_go(Chore *c)
{
    Home *home = home_here(c->store);
    sim_wall_jump(INT64_C(40) * 86400 * 1000);
    free((char *)home->swept.at);
    home->swept = slice(mem_zero(1), 1); /* behind "user2" */
    *(char *)(uintptr_t)home->swept.at = 'w';
    home->sweep_at_ms = 0;
    kept_sweep(home);
    return engine_health(store_engine(c->store));
}

/* Nobody has used it for a while: what is written is given back, and read again. */
static PARKS Err rest(Chore *c)
{
    Mailbox *box = NULL;
    TRY(open_box(c, "Work", &box));
    (void)mailbox_next(box, 1);
    mailbox_close(box);
    TRY(engine_checkpoint(store_engine(c->store)));
    TRY(open_box(c, "INBOX", &box));
    Err err = add_letter(c, box, 5, 0);
    mailbox_close(box);
    TRY(err);
    account_close(c->a);
    c->a = NULL;
    fiber_sleep(70 * 1000);
    home_slim(home_here(c->store));
    TRY(chore_at_home(c, c->one, c->two, read_all));
    return chore_at_home(c, c->one, c->two, chore_look_at_view);
}

/* ---- a store that was not there ---- */

static PARKS Err begin_store(Chore *c)
{
    PathInfo info;
    Slice dir;
    unsigned i = 0;
    StoreOptions options = *store_options(c->store);
    Store *store = NULL;
    uint32_t acct;
    options.engine.zero_ahead = true;
    do
        dir = arena_printf(&c->arena, "new-%u", i++);
    while (!path_info(dir, &info));
    TRY(store_open(dir, &options, &store));
    Err err = store_create_account(store, ONE, &acct);
    if (!err) err = engine_copy_index(store_engine(store));
    store_close(store);
    return err;
}

/* ---- the table ---- */

static const struct {
    const char *name;
    Err (*run)(Chore *c);
} chores[] = {
    {"grant",      grant             },
    {"grant back", take_back         },
    {"guest",      be_guest          },
    {"annotate",   annotate          },
    {"objects",    use_objects       },
    {"names",      name_boxes        },
    {"account",    be_born_and_die   },
    {"view",       chore_look_at_view},
    {"read",       read_all          },
    {"carry",      carry             },
    {"big to two", deliver_big       },
    {"big goes",   drop_big          },
    {"bring back", bring_back        },
    {"let go",     let_go            },
    {"new store",  begin_store       },
    {"rest",       rest              },
    {"backup",     chore_back_up     },
    {"restore",    chore_restore     },
};

_Static_assert(COUNT(chores) == CHORES, "fault_walk.h says how many there are");

const char *chore_name(unsigned i)
{
    return chores[i].name;
}

PARKS Err chore_run(Store *store, unsigned i)
{
    Chore c = {.store = store};
    uint32_t one, two;
    TRY(store_find_account(store, ONE, &one));
    TRY(store_find_account(store, TWO, &two));
    return chore_at_home(&c, one, two, chores[i].run);
}

static PARKS Err share_inbox(Chore *c)
{
    Mailbox *box scoped(mailbox) = NULL;
    TRY(open_box(c, "INBOX", &box));
    return mailbox_set_acl(box, ONE, ACL_REPLACE, RIGHTS_ALL);
}

static PARKS Err furnish(Chore *c)
{
    Mailbox *box scoped(mailbox) = NULL, *shared scoped(mailbox) = NULL;
    UidSet gone, some = uids_of(c, 4, 8);
    TRY(mailbox_create(c->a, S("Work/kid"), ROLE_NONE));
    TRY(mailbox_create(c->a, S("Shared"), ROLE_NONE));
    TRY(open_box(c, "Shared", &shared));
    TRY(mailbox_set_acl(shared, TWO, ACL_REPLACE, RIGHTS_ALL));
    TRY(open_box(c, "Work", &box));
    for (unsigned i = 0; i < LETTERS; i++) {
        TRY(add_letter(c, box, i, i % 8 == 7 ? 20000 : 0));
        if (i % 4 == 0) TRY(add_letter(c, shared, i, 0));
    }
    TRY(mailbox_expunge(box, &some, true, &c->arena, &gone));
    TRY(add_letter(c, shared, 40, BIG_OCTETS));
    TRY(chore_at_home(c, c->two, c->one, share_inbox));
    TRY(bring_back(c));
    return chore_back_up(c);
}

PARKS Err chores_prepare(Store *store)
{
    Chore c = {.store = store};
    uint32_t one, two;
    TRY(store_create_account(store, ONE, &one));
    TRY(store_create_account(store, TWO, &two));
    TRY(chore_at_home(&c, one, two, furnish));
    return engine_copy_index(store_engine(store));
}
