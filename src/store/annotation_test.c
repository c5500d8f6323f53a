/* Annotations of mailboxes, of the server and of messages; what they count for. */
#include "store/test_world.h"

static Annotations some(Arena *a, const Annotation *list, size_t count)
{
    Annotations out = {.list = arena_array(a, Annotation, count), .count = count};
    memcpy(out.list, list, count * sizeof *list);
    return out;
}
#define SOME(arena, ...)                                                                           \
    some(arena, (const Annotation[]){__VA_ARGS__}, COUNT(((const Annotation[]){__VA_ARGS__})))

/* "/comment=x /comment*=y": the star is for shared ones. */
static Slice print(Arena *a, const Annotations *list)
{
    Buf out buf_scoped = {0};
    for (size_t i = 0; i < list->count; i++)
        buf_printf(&out, "%s%.*s%s=%.*s", i ? " " : "", SP(list->list[i].entry),
                   list->list[i].shared ? "*" : "", SP(list->list[i].value));
    return arena_copy(a, buf_slice(&out));
}

PARKS_UNCHECKED static Slice show(World *w, const char *name)
{
    Annotations got;
    Mailbox *box = world_box(w, name);
    check_ok(mailbox_annotations(box, &w->arena, &got));
    mailbox_close(box);
    return print(&w->arena, &got);
}

PARKS_UNCHECKED static Slice show_message(World *w, const char *name, uint32_t uid)
{
    Annotations got;
    Mailbox *box = world_box(w, name);
    const Message *m = mailbox_message(box, uid);
    check(m != NULL);
    check_ok(message_annotations(box, m, &w->arena, &got));
    mailbox_close(box);
    return print(&w->arena, &got);
}

PARKS_UNCHECKED static void set(World *w, const char *name, Annotations list)
{
    Mailbox *box = world_box(w, name);
    check_ok(mailbox_annotate(box, &list, NULL));
    mailbox_close(box);
}

static uint64_t used(World *w)
{
    return account_quota(w->account).used[QUOTA_ANNOTATION];
}

static void no_finding(void *arg, Slice line)
{
    (void)arg;
    test_failed(__FILE__, __LINE__, "%.*s", SP(line));
}

PARKS_UNCHECKED static void recount(World *w)
{
    CheckResult result;
    check_ok(store_check(w->store, false, no_finding, NULL, &result));
    check_u64(result.findings, 0);
}

TEST(annotations_follow_the_mailbox)
{
    World w;
    world_open(&w, NULL);
    check_ok(mailbox_create(w.account, S("a/b"), ROLE_NONE));
    set(&w, "a/b",
        SOME(&w.arena, {S("/comment"), S("mine"), false}, {S("/comment"), S("all"), true},
             {S("/vendor/x/y"), S(""), true}));
    set(&w, "INBOX", SOME(&w.arena, {S("/comment"), S("in"), false}));
    check_slice(show(&w, "a/b"), S("/comment=mine /comment*=all /vendor/x/y*="));
    check_u64(used(&w), 3 * 8 + 4 + 3 + 11 + 2);
    check_ok(mailbox_rename(w.account, S("a/b"), S("c")));
    check_slice(show(&w, "c"), S("/comment=mine /comment*=all /vendor/x/y*="));
    set(&w, "c", SOME(&w.arena, {S("/comment"), {0}, false}, {S("/nothing"), {0}, false}));
    check_slice(show(&w, "c"), S("/comment*=all /vendor/x/y*="));
    for (int again = 0; again < 2; again++) { /* from memory, and from the index */
        check_slice(show(&w, "INBOX"), S("/comment=in"));
        check_slice(show(&w, "c"), S("/comment*=all /vendor/x/y*="));
        check_u64(used(&w), 2 * 8 + 2 + 3 + 11);
        recount(&w);
        world_reopen(&w);
    }
    check_ok(mailbox_delete(w.account, S("c")));
    check_u64(used(&w), 8 + 2);
    check_ok(mailbox_create(w.account, S("c"), ROLE_NONE));
    check_slice(show(&w, "c"), S(""));
    recount(&w);
    world_close(&w);
}

/* RFC 5464 4.1: renaming INBOX copies them. */
TEST(renaming_inbox_copies_its_annotations)
{
    World w;
    Arena a arena_scoped = {0};
    uint64_t modseq;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append(&w, box, "one", 0);
    UidSet one = world_uids(&a, 1, 1);
    Annotations list = SOME(&w.arena, {S("/comment"), S("x"), false});
    check_ok(mailbox_annotate_messages(box, &one, &list, NULL, &a, NULL, &modseq));
    set(&w, "INBOX", list);
    mailbox_close(box);
    check_ok(mailbox_rename(w.account, S("INBOX"), S("old")));
    check_slice(show(&w, "INBOX"), S("/comment=x"));
    check_slice(show(&w, "old"), S("/comment=x"));
    check_slice(show_message(&w, "old", 1), S("/comment=x"));
    recount(&w);
    world_close(&w);
}

TEST(annotations_have_limits)
{
    World w;
    world_open(&w, &(StoreOptions){.annotation_most = 1024, .annotations_most = 10});
    Mailbox *box = world_box(&w, "INBOX");
    char value[1025] = {0};
    Annotations fits = SOME(&w.arena, {S("/comment"), slice(value, 1024), false});
    check_ok(mailbox_annotate(box, &fits, NULL));
    Annotations big =
        SOME(&w.arena, {S("/other"), S("1"), false}, {S("/comment"), slice(value, 1025), false});
    check_err(mailbox_annotate(box, &big, NULL), ERR_TOO_BIG);
    for (int i = 0; i < 9; i++) {
        Annotations more = SOME(&w.arena, {arena_printf(&w.arena, "/n/%d", i), S("v"), false});
        check_ok(mailbox_annotate(box, &more, NULL));
    }
    Annotations many = SOME(&w.arena, {S("/n/0"), S("w"), false}, {S("/n/9"), S("v"), false});
    check_err(mailbox_annotate(box, &many, NULL), ERR_LIMIT);
    Annotations got, shared = SOME(&w.arena, {S("/n/9"), S("v"), true}); /* counted apart */
    check_ok(mailbox_annotate(box, &shared, NULL));
    check_ok(mailbox_annotations(box, &w.arena, &got));
    check_u64(got.count, 11);
    check_slice(got.list[1].value, S("v")); /* none of a refused set */
    const uint64_t limit[QUOTA_RESOURCES] = {QUOTA_NONE, QUOTA_NONE, QUOTA_NONE, used(&w) + 3};
    check_ok(account_set_quota(w.account, limit));
    Annotations grows = SOME(&w.arena, {S("/n/0"), S("12345"), false});
    check_err(mailbox_annotate(box, &grows, NULL), ERR_OVER_QUOTA);
    Annotations moves = SOME(&w.arena, {S("/n/0"), S("12345"), false}, {S("/n/1"), {0}, false});
    check_ok(mailbox_annotate(box, &moves, NULL));
    mailbox_close(box);
    recount(&w);
    world_close(&w);
}

TEST(a_special_use_is_set_with_the_others_or_not_at_all)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX"), *sent = world_box(&w, "Sent");
    check_ok(mailbox_create(w.account, S("x"), ROLE_NONE));
    Mailbox *x = world_box(&w, "x");
    Annotations list = SOME(&w.arena, {S("/comment"), S("v"), false}), got;
    Role role = ROLE_SENT;
    check_err(mailbox_annotate(box, &list, &role), ERR_CANNOT);
    check_ok(mailbox_annotations(box, &w.arena, &got));
    check_u64(got.count, 0);
    check_ok(mailbox_annotate(x, &list, &role)); /* RFC 6154 5.4: the other one loses it */
    check(mailbox_status(x).role == ROLE_SENT);
    check(mailbox_status(sent).role == ROLE_NONE);
    mailbox_close(x);
    mailbox_close(box);
    mailbox_close(sent);
    world_close(&w);
}

/* RFC 6154 5.4 is the owner's; and what is as it should be needs nobody's leave. */
TEST(a_special_use_is_set_by_the_owner)
{
    World w;
    uint32_t guest;
    Mailbox *box = NULL;
    Role archive = ROLE_ARCHIVE;
    world_open(&w, NULL);
    Mailbox *own = world_box(&w, "Archive");
    Role now = mailbox_status(own).role;
    Annotations list = SOME(&w.arena, {S("/comment"), S("v"), true});
    check_ok(store_create_account(w.store, S("guest"), &guest));
    check_ok(mailbox_set_acl(own, S("guest"), ACL_REPLACE, RIGHTS_ALL));
    check_ok(mailbox_open(w.account, guest, S("Archive"), &box));
    check_ok(mailbox_annotate(box, &list, &now));
    check_ok(mailbox_annotate(own, &list, &now));
    archive = now == ROLE_ARCHIVE ? ROLE_NONE : ROLE_ARCHIVE;
    check_err(mailbox_annotate(box, &list, &archive), ERR_CANNOT);
    check(mailbox_status(own).role == now);
    mailbox_close(box);
    mailbox_close(own);
    world_close(&w);
}

/* Objects in the place of annotations that nobody writes, and a quota that a copy does not fit. */
TEST(what_is_no_annotation_is_not_copied)
{
    World w;
    char id[255] = {0};
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    set(&w, "INBOX", SOME(&w.arena, {S("/comment"), S("v"), true}));
    memset(id + 8, 'n', sizeof id - 8);
    id[3] = (char)mailbox_status(box).id;
    mailbox_close(box);
    const uint64_t limit[QUOTA_RESOURCES] = {QUOTA_NONE, QUOTA_NONE, QUOTA_NONE, used(&w) + 3},
                   none[QUOTA_RESOURCES] = {QUOTA_NONE, QUOTA_NONE, QUOTA_NONE, QUOTA_NONE};
    check_ok(account_set_quota(w.account, limit));
    check_err(mailbox_rename(w.account, S("INBOX"), S("old")), ERR_OVER_QUOTA);
    check_ok(account_set_quota(w.account, none));
    check_ok(object_put(w.account, S("annotation"), slice(id, 8), S("v"), NULL));
    check_ok(object_put(w.account, S("annotation"), slice(id, sizeof id), S("v"), NULL));
    check_ok(mailbox_rename(w.account, S("INBOX"), S("old")));
    check_slice(show(&w, "old"), S("/comment*=v"));
    char name[ANNOTATION_NAME_MOST + 1];
    memset(name, 'n', sizeof name);
    Annotations list = SOME(&w.arena, {slice(name, sizeof name), S("v"), true});
    check_err(store_annotate(w.store, &list), ERR_SYNTAX);
    world_close(&w);
}

TEST(the_server_has_annotations_of_its_own)
{
    World w;
    world_open(&w, NULL);
    Annotations shared = SOME(&w.arena, {S("/comment"), S("to all"), true}), got;
    Annotations mine = SOME(&w.arena, {S("/vendor/a/b"), S("to me"), false});
    check_ok(store_annotate(w.store, &shared));
    check_ok(account_annotate(w.account, &mine));
    for (int again = 0; again < 2; again++) {
        check_ok(store_annotations(w.store, &w.arena, &got));
        check_slice(print(&w.arena, &got), S("/comment*=to all"));
        check_ok(account_annotations(w.account, 0, w.acct, &w.arena, &got));
        check_slice(print(&w.arena, &got), S("/vendor/a/b=to me"));
        world_reopen(&w);
    }
    world_close(&w);
}

TEST(notes_go_with_their_message)
{
    World w;
    Arena a arena_scoped = {0};
    CopyResult r;
    uint64_t modseq, before;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX"), *other = world_box(&w, "Archive");
    for (int i = 0; i < 3; i++)
        world_append(&w, box, "subject", 0);
    UidSet all = world_uids(&a, 1, 3), one = world_uids(&a, 1, 1), two = world_uids(&a, 2, 2);
    Annotations list =
        SOME(&w.arena, {S("/comment"), S("p"), false}, {S("/comment"), S("s"), true});
    before = mailbox_status(box).highest_modseq;
    check_ok(mailbox_annotate_messages(box, &all, &list, NULL, &a, NULL, &modseq));
    check(modseq > before);
    check_u64(mailbox_message(box, 3)->modseq, modseq);
    check_u64(mailbox_message(box, 3)->marks, MARK_ANNOTATED);
    check_slice(show_message(&w, "INBOX", 2), S("/comment=p /comment*=s"));
    uint64_t each = used(&w) / 3;
    /* the same again changes nothing */
    check_ok(mailbox_annotate_messages(box, &one, &list, NULL, &a, NULL, &modseq));
    check_u64(modseq, 0);
    check_ok(mailbox_copy(box, &one, other, &a, &r));
    check_ok(mailbox_move(box, &two, other, &a, &r));
    check_u64(used(&w), each * 4);
    check_slice(show_message(&w, "Archive", 1), S("/comment=p /comment*=s"));
    check_slice(show_message(&w, "Archive", 2), S("/comment=p /comment*=s"));
    Annotations none = SOME(&w.arena, {S("/comment"), {0}, false}, {S("/comment"), {0}, true});
    check_ok(mailbox_annotate_messages(other, &one, &none, NULL, &a, NULL, &modseq));
    check_u64(mailbox_message(other, 1)->marks, 0);
    check_slice(show_message(&w, "INBOX", 1), S("/comment=p /comment*=s"));
    for (int again = 0; again < 2; again++) {
        recount(&w);
        check_u64(used(&w), each * 3);
        check_slice(show_message(&w, "Archive", 1), S(""));
        check_slice(show_message(&w, "Archive", 2), S("/comment=p /comment*=s"));
        mailbox_close(box);
        mailbox_close(other);
        world_reopen(&w);
        box = world_box(&w, "INBOX"), other = world_box(&w, "Archive");
    }
    world_expunge(box, 1, 3);
    check_u64(used(&w), each);
    mailbox_close(other);
    check_ok(mailbox_delete(w.account, S("Archive")));
    check_u64(used(&w), 0);
    recount(&w);
    mailbox_close(box);
    world_close(&w);
}

TEST(notes_are_conditional)
{
    World w;
    Arena a arena_scoped = {0};
    UidSet modified = {0};
    uint64_t modseq, first;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append(&w, box, "one", 0);
    world_append(&w, box, "two", 0);
    first = mailbox_message(box, 1)->modseq;
    UidSet all = world_uids(&a, 1, 2);
    Annotations list = SOME(&w.arena, {S("/comment"), S("v"), true});
    check_ok(mailbox_annotate_messages(box, &all, &list, &first, &a, &modified, &modseq));
    check_slice(world_print(&w, &modified), S("2"));
    check_slice(show_message(&w, "INBOX", 1), S("/comment*=v"));
    check_slice(show_message(&w, "INBOX", 2), S(""));
    mailbox_close(box);
    world_close(&w);
}

/* Another user's private ones are his own, and stay behind when somebody else copies. */
TEST(notes_of_others_are_not_seen)
{
    World w;
    Arena a arena_scoped = {0};
    uint32_t bob;
    uint64_t modseq;
    CopyResult r;
    Annotations got;
    world_open(&w, NULL);
    check_ok(store_create_account(w.store, S("bob"), &bob));
    Mailbox *box = world_box(&w, "INBOX"), *his, *other = world_box(&w, "Archive");
    world_append(&w, box, "one", 0);
    check_ok(
        mailbox_set_acl(box, S("bob"), ACL_REPLACE, RIGHT_LOOKUP | RIGHT_READ | RIGHT_ANNOTATE));
    check_ok(mailbox_open(w.account, bob, S("INBOX"), &his));
    UidSet one = world_uids(&a, 1, 1);
    Annotations mine = SOME(&w.arena, {S("/comment"), S("mine"), false});
    Annotations bobs = SOME(&w.arena, {S("/comment"), S("bob's"), false}),
                all = SOME(&w.arena, {S("/comment"), S("all"), true});
    check_ok(mailbox_annotate_messages(box, &one, &mine, NULL, &a, NULL, &modseq));
    check_ok(mailbox_annotate_messages(his, &one, &bobs, NULL, &a, NULL, &modseq));
    check_ok(mailbox_annotate_messages(his, &one, &all, NULL, &a, NULL, &modseq));
    check_ok(mailbox_set_acl(box, S("bob"), ACL_REPLACE, RIGHT_LOOKUP | RIGHT_READ));
    check_err(mailbox_annotate_messages(his, &one, &all, NULL, &a, NULL, &modseq), ERR_FORBIDDEN);
    check_slice(show_message(&w, "INBOX", 1), S("/comment=mine /comment*=all"));
    check_ok(message_annotations(his, mailbox_message(his, 1), &w.arena, &got));
    check_slice(print(&w.arena, &got), S("/comment=bob's /comment*=all"));
    check_ok(mailbox_copy(box, &one, other, &a, &r));
    check_slice(show_message(&w, "Archive", 1), S("/comment=mine /comment*=all"));
    Mailbox *also;
    check_ok(mailbox_set_acl(other, S("bob"), ACL_REPLACE, RIGHT_LOOKUP | RIGHT_READ));
    check_ok(mailbox_open(w.account, bob, S("Archive"), &also));
    check_ok(message_annotations(also, mailbox_message(also, 1), &w.arena, &got));
    check_slice(print(&w.arena, &got), S("/comment*=all"));
    check_ok(mailbox_annotate(his, &bobs, NULL)); /* of the mailbox: "r" is enough */
    check_ok(mailbox_annotations(his, &w.arena, &got));
    check_slice(print(&w.arena, &got), S("/comment=bob's"));
    check_slice(show(&w, "INBOX"), S(""));
    mailbox_close(also);
    mailbox_close(his);
    mailbox_close(box);
    mailbox_close(other);
    recount(&w);
    world_close(&w);
}

TEST(a_draft_brings_its_notes)
{
    World w;
    world_open(&w, &(StoreOptions){.annotations_most = 10});
    Mailbox *box = world_box(&w, "INBOX");
    Annotations list = SOME(&w.arena, {S("/comment"), S("p"), false}, {S("/comment"), S("s"), true},
                            {S("/comment"), S("last"), true});
    world_append_octets(&w, box, S("Subject: x\r\n\r\ny\r\n"), &(DraftPlace){.annotations = list});
    check_slice(show_message(&w, "INBOX", 1), S("/comment=p /comment*=last"));
    Annotation many[11];
    for (int i = 0; i < 11; i++)
        many[i] = (Annotation){arena_printf(&w.arena, "/n%d", i), S("v"), false};
    Draft *draft;
    uint32_t uid;
    check_ok(draft_begin(w.store, 0, &draft));
    check_ok(draft_write(draft, S("Subject: x\r\n\r\ny\r\n")));
    check_err(draft_commit(draft, box,
                           &(DraftPlace){
                               .annotations = {many, 11}
    },
                           &uid),
              ERR_LIMIT);
    check_u64(mailbox_status(box).exists, 1);
    draft_free(draft);
    mailbox_close(box);
    world_reopen(&w);
    check_slice(show_message(&w, "INBOX", 1), S("/comment=p /comment*=last"));
    recount(&w);
    world_close(&w);
}

/* A list of notes that cannot be read counts as none; one that is gone too. */
TEST(notes_that_cannot_be_read_are_none)
{
    World w;
    Arena a arena_scoped = {0};
    uint64_t modseq;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append(&w, box, "one", 0);
    UidSet one = world_uids(&a, 1, 1);
    Annotations two = SOME(&w.arena, {S("/a"), S(""), false}, {S("/b"), S("v"), false});
    check_ok(mailbox_annotate_messages(box, &one, &two, NULL, &a, NULL, &modseq));
    check_slice(show_message(&w, "INBOX", 1), S("/a= /b=v"));
    AnnotationId id = annotation_id(mailbox_status(box).id, 1, (Slice){0});
    Annotations other = SOME(&w.arena, {S("/b"), S("w"), false});
    check_ok(mailbox_annotate_messages(box, &one, &other, NULL, &a, NULL, &modseq));
    check_slice(show_message(&w, "INBOX", 1), S("/a= /b=w"));
    check_ok(object_put(w.account, S("note"), id_slice(&id), S("\x80"), NULL));
    check_slice(show_message(&w, "INBOX", 1), S(""));
    check_ok(object_delete(w.account, S("note"), id_slice(&id)));
    check_slice(show_message(&w, "INBOX", 1), S(""));
    check_ok(mailbox_annotate_messages(box, &one, &other, NULL, &a, NULL, &modseq));
    check_slice(show_message(&w, "INBOX", 1), S("/b=w"));
    mailbox_close(box);
    recount(&w);
    world_close(&w);
}

TEST(notes_have_limits)
{
    World w;
    Arena a arena_scoped = {0};
    uint64_t modseq, since = 1;
    const uint64_t limit[QUOTA_RESOURCES] = {QUOTA_NONE, QUOTA_NONE, QUOTA_NONE, 30000};
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append(&w, box, "one", 0);
    UidSet one = world_uids(&a, 1, 1);
    char *text = arena_alloc(&w.arena, 65536);
    memset(text, 'x', 65536);
    Annotation many[20];
    for (int i = 0; i < 20; i++)
        many[i] = (Annotation){arena_printf(&w.arena, "/n%d", i), slice(text, 65536), true};
    Annotations all = {many, 20}, first = {many, 10}, rest = {many + 10, 10};
    check_err(mailbox_annotate_messages(box, &one, &all, NULL, &a, NULL, &modseq), ERR_LIMIT);
    check_ok(mailbox_annotate_messages(box, &one, &first, NULL, &a, NULL, &modseq));
    check_err(mailbox_annotate_messages(box, &one, &rest, NULL, &a, NULL, &modseq), ERR_LIMIT);
    check_ok(mailbox_annotate_messages(box, &one, &first, &since, &a, NULL, &modseq));
    check_u64(modseq, 0); /* it was changed since; who does not ask is not told which */
    check_ok(account_set_quota(w.account, limit));
    Annotations small = SOME(&w.arena, {S("/m"), S("v"), true});
    check_err(mailbox_annotate_messages(box, &one, &small, NULL, &a, NULL, &modseq),
              ERR_OVER_QUOTA);
    mailbox_close(box);
    world_close(&w);
}

/* RFC 5257 3.4: without "r" nothing is read, and nothing private written. */
TEST(notes_need_rights)
{
    World w;
    uint32_t bob, uid;
    Annotations got;
    Mailbox *his = NULL;
    Draft *d = NULL;
    world_open(&w, NULL);
    check_ok(store_create_account(w.store, S("bob"), &bob));
    Mailbox *box = world_box(&w, "INBOX");
    world_append(&w, box, "one", 0);
    check_ok(mailbox_set_acl(box, S("bob"), ACL_REPLACE, RIGHT_LOOKUP | RIGHT_INSERT));
    check_ok(mailbox_open(w.account, bob, S("INBOX"), &his));
    check_err(message_annotations(his, mailbox_message(his, 1), &w.arena, &got), ERR_FORBIDDEN);
    check_err(mailbox_set_uid_validity(his, 99, 99), ERR_FORBIDDEN);
    DraftPlace place = {.annotations = SOME(&w.arena, {S("/a"), S("v"), false})};
    check_ok(draft_begin(w.store, 0, &d));
    check_ok(draft_write(d, S("Subject: x\r\n\r\n")));
    check_err(draft_commit(d, his, &place, &uid), ERR_FORBIDDEN);
    place.annotations.count = 0;
    check_ok(draft_commit(d, his, &place, &uid));
    draft_free(d);
    mailbox_close(his);
    mailbox_close(box);
    world_close(&w);
}
