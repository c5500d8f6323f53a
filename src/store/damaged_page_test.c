#include "store/local.h"
#include "store/test_world.h"

/* Pages whose checksum is right and whose content is nonsense, as a bug of ours or a clever enemy
 * with the disk in his hands would leave them: each is an error of who needs it, nothing else is
 * lost, and the right page makes everything good again. */

enum { MAILS = 3 };

static PageKey no_number(World *w, char kind)
{
    (void)w;
    return page_key(kind);
}

static PageKey of_account(World *w, char kind)
{
    (void)w;
    return page_key_1(kind, 0);
}

static PageKey of_summaries(World *w, char kind)
{
    (void)w;
    return page_key_2(kind, 0, 1); /* from eid 1 on */
}

static PageKey of_inbox(World *w, char kind)
{
    uint32_t id = box_by_name(w->account, S("INBOX"))->s.id;
    return kind == 'b' ? page_key_1(kind, id) : page_key_2(kind, id, 0);
}

/* ---- what needs the pages ---- */

static PARKS Err opens(World *w)
{
    (void)w;
    return OK; /* before it came here */
}

static PARKS Err opens_inbox(World *w)
{
    Mailbox *box scoped(mailbox) = NULL;
    return mailbox_open(w->account, w->acct, S("INBOX"), &box);
}

static PARKS Err reads_email(World *w)
{
    EmailDetails d;
    return email_details(w->account, 1, &w->arena, &d);
}

static PARKS Err reads_summary(World *w)
{
    Slice stored;
    summary_cache_forget(w->account->home, w->acct, 0);
    return email_summary(w->account, 1, &stored);
}

static PARKS Err asks_what_vanished(World *w)
{
    Mailbox *box scoped(mailbox) = world_box(w, "INBOX");
    UidSet vanished = {0};
    bool complete;
    return mailbox_vanished(box, 1, &w->arena, &vanished, &complete);
}

static PARKS Err appends(World *w)
{
    Mailbox *box scoped(mailbox) = world_box(w, "INBOX");
    Draft *d scoped(draft) = NULL;
    uint32_t uid;
    check_ok(draft_begin(w->store, 0, &d));
    check_ok(draft_write(d, S("Subject: more\r\nMessage-ID: <more@x>\r\n\r\n")));
    Err err = draft_commit(d, box, &(DraftPlace){0}, &uid);
    if (err) check_err(opens_inbox(w), ERR_CORRUPT); /* until it is loaded again */
    return err;
}

static const struct {
    const char *what;
    PageKey (*key)(World *w, char kind);
    char kind;
    Slice payload;
    Err (*needs)(World *w);
} rows[] = {
    {"head, empty",             no_number,    'h', {"", 0},                               opens             },
    {"mailbox, cut",            of_inbox,     'b', {"\1\1", 2},                           opens             },
    {"keywords, cut",           no_number,    'k', {"\5ab", 3},                           opens             },
    {"combination of none",     no_number,    'K', {"\0", 1},                             opens             },
    {"combination, cut",        no_number,    'K', {"\3\1", 2},                           opens             },
    {"combination twice one",   no_number,    'K', {"\2\1\1", 3},                         opens             },
    {"combination of unknown",  no_number,    'K', {"\1\x7f", 2},                         opens             },
    {"combination, half",       no_number,    'K', {"\2\1\x80", 3},                       opens             },
    {"prefixes, cut",           no_number,    'p', {"\5ab", 3},                           opens             },
    {"subscriptions, cut",      no_number,    'n', {"\1a\5b", 4},                         opens             },
    {"the dead, cut",           of_account,   'd', {"\1\2\3", 3},                         opens             },
    {"slots, one octet more",   of_inbox,     's', {"12345678901234567890123456789", 29}, opens_inbox       },
    {"emails, cut",             of_account,   'e', {"\1\0\0\0", 4},                       reads_email       },
    {"summaries, unknown form", of_summaries, 'y', {"\7\1x", 3},                          reads_summary     },
    {"tombstones, cut",         of_inbox,     'v', {"\1\1", 2},                           asks_what_vanished},
    {"tombstone of uid 0",      of_inbox,     'v', {"\1\1\0\1\1", 5},                     asks_what_vanished},
    {"threads, cut",            of_account,   't', {"\1\2\3", 3},                         appends           },
    {"thread 0",                of_account,   't', {"\1\2\3\4\0\0\0\0", 8},               appends           },
};

/* ---- putting pages there ---- */

static Slice key_in_index(World *w, Slice key)
{
    return key_page(&w->arena, w->acct, key);
}

/* Empty: takes it away. */
static void put_value(World *w, Slice key, Slice value)
{
    IndexChange c = {.key = key_in_index(w, key), .value = value, .remove = !value.len};
    check_ok(index_write(store_engine(w->store)->index, &c, 1));
}

static void put_page(World *w, Slice key, Slice payload)
{
    Buf page buf_scoped = {0};
    page_begin(&page);
    buf_add(&page, payload);
    page_end(&page, 0);
    put_value(w, key, buf_slice(&page));
}

static Slice value_now(World *w, Slice key)
{
    Slice value = {0};
    Index *index = store_engine(w->store)->index;
    Err err = index_get(index, key_in_index(w, key), &w->arena, &value);
    check(!err || err == ERR_NOT_FOUND);
    return err ? (Slice){0} : value;
}

/* Nothing of the account is in memory any more. */
static PARKS Err load_again(World *w)
{
    check_ok(engine_checkpoint(store_engine(w->store)));
    account_close(w->account);
    Account *now = number_table_get(&home_here(w->store)->table, w->acct);
    if (now) account_unload(now);
    w->account = NULL;
    return account_open(w->store, w->acct, &w->account);
}

/* Keywords, a prefix, a tombstone, threads. */
static PARKS void fill(World *w)
{
    Mailbox *box scoped(mailbox) = world_box(w, "INBOX");
    for (unsigned i = 1; i <= MAILS; i++) {
        Slice octets = arena_printf(&w->arena, "Subject: s\r\nMessage-ID: <%u@x>\r\n\r\n", i);
        world_append_octets(w, box, octets, &(DraftPlace){.prefix = S("X-A: b\r\n")});
        world_keyword(box, i, CHANGE_ADD, i == 1 ? "one" : "two");
    }
    world_expunge(box, MAILS, MAILS);
    check_ok(engine_checkpoint(store_engine(w->store)));
}

static PARKS void one_row(World *w, size_t i)
{
    check_ok(load_again(w));
    PageKey key = rows[i].key(w, rows[i].kind);
    Slice at = page_key_slice(&key), was = value_now(w, at);
    check(was.len || rows[i].kind == 'd'); /* nothing is dead */
    put_page(w, at, rows[i].payload);
    Err err = load_again(w);
    if (!err) err = rows[i].needs(w);
    if (err != ERR_CORRUPT) test_failed(__FILE__, __LINE__, "%s: %s", rows[i].what, err_name(err));
    account_close(w->account);
    put_value(w, at, was);
    check_ok(account_open(w->store, w->acct, &w->account));
    check_ok(load_again(w));
    check_ok(rows[i].needs(w));
}

TEST(a_page_of_nonsense_is_an_error_of_who_needs_it)
{
    World w;
    CheckResult r;
    world_open(&w, NULL);
    fill(&w);
    for (size_t i = 0; i < COUNT(rows); i++)
        one_row(&w, i);
    check_ok(store_check(w.store, false, NULL, NULL, &r));
    check_u64(r.findings, 0);
    world_close(&w);
}

/* As many combinations as a message can name, and one more. */
TEST(more_combinations_of_keywords_than_there_can_be)
{
    World w;
    Buf many buf_scoped = {0};
    world_open(&w, NULL);
    fill(&w);
    check_ok(load_again(&w));
    Slice was = value_now(&w, S("K"));
    for (int i = 0; i < UINT16_MAX; i++)
        buf_add(&many, S("\1\1"));
    put_page(&w, S("K"), buf_slice(&many));
    check_ok(load_again(&w));
    check_u64(w.account->kwset_count, UINT16_MAX);
    /* a message keeps the combination it has */
    Mailbox *box = world_box(&w, "INBOX");
    world_keyword(box, 1, CHANGE_ADD, "two");
    check_slice(world_show(&w, box), S("1one 2one"));
    mailbox_close(box);
    buf_add(&many, S("\1\1"));
    put_page(&w, S("K"), buf_slice(&many));
    check_err(load_again(&w), ERR_CORRUPT);
    put_value(&w, S("K"), was);
    check_ok(account_open(w.store, w.acct, &w.account));
    world_close(&w);
}

/* ---- objects ---- */

static PARKS Err get_x(World *w)
{
    Slice value;
    return object_get(w->account, S("pref"), S("x"), &w->arena, &value, NULL);
}

TEST(a_damaged_object_is_an_error_until_it_is_written_again)
{
    static const Slice bad[] = {S(""), S("\1\x81\x80\xc0\0"), S("\1\5abc"), S("\1\3abcd")};
    World w;
    Buf value buf_scoped = {0};
    uint64_t seq = 1;
    world_open(&w, NULL);
    while (value.len < 4000)
        buf_add(&value, S("some text "));
    for (size_t i = 0; i < COUNT(bad); i++) {
        check_ok(object_put(w.account, S("pref"), S("x"), buf_slice(&value), NULL));
        check_ok(load_again(&w));
        check_ok(get_x(&w));
        put_page(&w, S("opref\0x"), bad[i]);
        check_err(get_x(&w), ERR_CORRUPT);
        check_err(object_put(w.account, S("pref"), S("x"), S("v"), &seq), ERR_CORRUPT);
        check_err(object_delete(w.account, S("pref"), S("x")), ERR_CORRUPT);
    }
    check_ok(object_put(w.account, S("pref"), S("x"), buf_slice(&value), NULL));
    check_ok(load_again(&w));
    put_page(&w, S("Opref\0x\0\2"), S("short"));
    check_err(get_x(&w), ERR_CORRUPT);
    check_ok(object_put(w.account, S("pref"), S("x"), S("v"), NULL));
    check_ok(load_again(&w));
    check_ok(get_x(&w));
    world_close(&w);
}

/* An annotation that cannot be read counts as none when it is replaced. */
TEST(a_damaged_annotation_is_replaced)
{
    World w;
    world_open(&w, NULL);
    AnnotationId id = annotation_id(0, w.acct, S("/comment"));
    ObjectKey key;
    object_key(&key, S("annotation"), id_slice(&id));
    Annotation one = {S("/comment"), S("first"), false};
    check_ok(account_annotate(w.account, &(Annotations){&one, 1}));
    uint64_t used = account_quota(w.account).used[QUOTA_ANNOTATION];
    check_ok(load_again(&w));
    check(value_now(&w, object_key_slice(&key)).len > 0);
    put_page(&w, object_key_slice(&key), S(""));
    check_ok(object_put(w.account, S("annotation"), id_slice(&id), S("again"), NULL));
    check(account_quota(w.account).used[QUOTA_ANNOTATION] > used);
    check_ok(load_again(&w));
    world_close(&w);
}

/* What a guest has seen is derived by nobody else: what cannot be read is unseen. */
TEST(a_damaged_page_of_what_a_guest_has_seen)
{
    World w;
    uint32_t bob;
    Mailbox *his = NULL;
    world_open(&w, NULL);
    fill(&w);
    check_ok(store_create_account(w.store, S("bob"), &bob));
    Mailbox *box = world_box(&w, "INBOX");
    check_ok(mailbox_set_acl(box, S("bob"), ACL_REPLACE, RIGHTS_ALL));
    mailbox_close(box);
    check_ok(mailbox_open(w.account, bob, S("INBOX"), &his));
    world_flag(his, 1, 1, CHANGE_ADD, FLAG_SEEN);
    uint32_t id = mailbox_status(his).id;
    mailbox_close(his);
    check_ok(load_again(&w));
    PageKey key = page_key_2('q', id, bob);
    Slice was = value_now(&w, page_key_slice(&key));
    for (int good = 0; good < 2; good++) {
        if (good)
            put_value(&w, page_key_slice(&key), was);
        else
            put_page(&w, page_key_slice(&key), S("\0\1"));
        check_ok(load_again(&w));
        check_ok(mailbox_open(w.account, bob, S("INBOX"), &his));
        check_u64(mailbox_status(his).unseen, good ? 1 : 2);
        check_slice(world_show(&w, his), good ? S("1Sone 2two") : S("1one 2two"));
        if (!good) {
            UidSet one = world_uids(&w.arena, 1, 1);
            FlagChange seen = {.how = CHANGE_ADD, .flags = FLAG_SEEN};
            uint64_t modseq;
            check_err(mailbox_change(his, &one, &seen, &w.arena, NULL, &modseq), ERR_CORRUPT);
        }
        mailbox_close(his);
    }
    world_close(&w);
}

/* ---- what is kept ---- */

TEST(damaged_pages_of_what_is_kept)
{
    World w;
    KeptMessage *list;
    Deletion d;
    MailboxEntry entry;
    size_t count;
    world_open(&w, &(StoreOptions){.undelete_days = 7, .deleted_view = S("Deleted")});
    Mailbox *box = world_box(&w, "INBOX");
    world_append(&w, box, "one", 0);
    world_expunge(box, 1, 1);
    mailbox_close(box);
    check_ok(load_again(&w));
    UidSet all = world_uids(&w.arena, 1, 9);
    PageKey emails = page_key_1('e', 0);
    PageKey slots = page_key_2('s', box_by_name(w.account, KEPT_NAME)->s.id, 0);
    const PageKey *const keys[] = {&emails, &slots};
    for (size_t i = 0; i < COUNT(keys); i++) {
        Slice was = value_now(&w, page_key_slice(keys[i]));
        put_page(&w, page_key_slice(keys[i]), S("nonsense"));
        check_ok(load_again(&w));
        check_err(account_kept(w.account, 0, 9, &w.arena, &list, &count), ERR_CORRUPT);
        check_err(account_undelete(w.account, &all, &w.arena, &count), ERR_CORRUPT);
        w.account->home->sweep_at_ms = 0;
        kept_sweep(w.account->home); /* nothing goes that cannot be read */
        put_value(&w, page_key_slice(keys[i]), was);
        check_ok(load_again(&w));
        check_ok(account_kept(w.account, 0, 9, &w.arena, &list, &count));
        check_u64(count, 1);
    }
    check(account_mailbox(w.account, S("Deleted"), &entry));
    check_ok(account_deletion(w.account, &d));
    check_ok(account_set_deletion(w.account, &d));
    check_ok(load_again(&w));
    put_page(&w, S("opref\0deletion"), S(""));
    check(!account_mailbox(w.account, S("Deleted"), &entry));
    world_close(&w);
}

/* Tombstones that are lost are none; those in memory stay while they are not in a page. */
TEST(lost_tombstones_are_none)
{
    World w;
    UidSet vanished = {0};
    bool complete;
    world_open(&w, NULL);
    fill(&w);
    check_ok(load_again(&w));
    PageKey key = of_inbox(&w, 'v');
    put_value(&w, page_key_slice(&key), (Slice){0});
    check_ok(load_again(&w));
    Mailbox *box = world_box(&w, "INBOX");
    check_ok(mailbox_vanished(box, 1, &w.arena, &vanished, &complete));
    check(complete && !vanished.count);
    world_expunge(box, 1, 1);
    vanished_trim(box->box, false);
    check_u64(box->box->vanished_count, 1);
    check_ok(mailbox_vanished(box, 1, &w.arena, &vanished, &complete));
    check_slice(world_print(&w, &vanished), S("1"));
    box->box->s.vanished_floor = UINT64_MAX; /* from the gaps */
    world_append(&w, box, "last", 0);
    vanished = (UidSet){0};
    check_ok(mailbox_vanished(box, 1, &w.arena, &vanished, &complete));
    check(!complete);
    check_slice(world_print(&w, &vanished), S("1,3"));
    box->box->s.vanished_floor = 0;
    mailbox_close(box);
    world_close(&w);
}
