#include "store/draft.h"
#include "store/test_world.h"

/* Every call that takes a mailbox, with a handle that is good for nothing any more: the mailbox was
 * deleted, the account is damaged, the rights do not allow it. Nothing changes then. */

typedef struct {
    World *w;
    Mailbox *box, *other; /* other: one that is well, of the same account */
    UidSet uids;
    uint64_t modseq;
} Handle;

static PARKS Draft *draft_of(Handle *h)
{
    Draft *d = NULL;
    check_ok(draft_begin(h->w->store, 0, &d));
    check_ok(draft_write(d, S("Subject: x\r\n\r\nx\r\n")));
    return d;
}

static Annotation note = {
    {"/comment", 8},
    {"x",        1},
    true
};
static const Annotations notes = {&note, 1};
static const DraftPlace noted = {
    .annotations = {&note, 1},
      .flags = FLAG_SEEN
};

static PARKS Err get_acl(Handle *h)
{
    AclEntry *entries;
    size_t count;
    return mailbox_acl(h->box, &h->w->arena, &entries, &count);
}

static PARKS Err set_acl(Handle *h)
{
    return mailbox_set_acl(h->box, S("somebody"), ACL_REPLACE, RIGHT_READ);
}

static PARKS Err get_notes(Handle *h)
{
    Annotations got;
    return mailbox_annotations(h->box, &h->w->arena, &got);
}

static PARKS Err set_notes(Handle *h)
{
    return mailbox_annotate(h->box, &notes, NULL);
}

static PARKS Err note_messages(Handle *h)
{
    return mailbox_annotate_messages(h->box, &h->uids, &notes, NULL, &h->w->arena, NULL,
                                     &h->modseq);
}

static PARKS Err flag(Handle *h)
{
    FlagChange change = {.how = CHANGE_ADD, .flags = FLAG_FLAGGED};
    return mailbox_change(h->box, &h->uids, &change, &h->w->arena, NULL, &h->modseq);
}

static PARKS Err expunge(Handle *h)
{
    return mailbox_expunge(h->box, NULL, true, &h->w->arena, NULL);
}

static PARKS Err copy_from(Handle *h)
{
    CopyResult r;
    return mailbox_copy(h->box, &h->uids, h->other, &h->w->arena, &r);
}

static PARKS Err copy_to(Handle *h)
{
    CopyResult r;
    return mailbox_copy(h->other, &h->uids, h->box, &h->w->arena, &r);
}

static PARKS Err move_from(Handle *h)
{
    CopyResult r;
    return mailbox_move(h->box, &h->uids, h->other, &h->w->arena, &r);
}

static PARKS Err move_to(Handle *h)
{
    CopyResult r;
    return mailbox_move(h->other, &h->uids, h->box, &h->w->arena, &r);
}

static PARKS Err append(Handle *h)
{
    Draft *d scoped(draft) = draft_of(h);
    uint32_t uid;
    return draft_commit(d, h->box, &noted, &uid);
}

static PARKS Err append_many(Handle *h)
{
    Draft *d[2] = {draft_of(h), draft_of(h)};
    DraftPlace places[2] = {noted, noted};
    uint32_t uids[2];
    Err err = draft_commit_many(d, 2, h->box, places, uids);
    draft_free(d[0]);
    draft_free(d[1]);
    return err;
}

static PARKS Err append_series(Handle *h)
{
    Drafts *all scoped(drafts) = NULL;
    uint32_t uids[1];
    TRY(drafts_begin(h->box, &all));
    TRY(drafts_add(all, draft_of(h), &noted));
    return drafts_commit(all, uids);
}

static PARKS Err replace_in(Handle *h)
{
    Draft *d scoped(draft) = draft_of(h);
    uint32_t uid;
    return draft_replace(d, h->other, &noted, h->box, 1, &uid);
}

static PARKS Err replace_into(Handle *h)
{
    Draft *d scoped(draft) = draft_of(h);
    uint32_t uid;
    return draft_replace(d, h->box, &noted, h->other, 1, &uid);
}

static PARKS Err import(Handle *h)
{
    return mailbox_set_uid_validity(h->box, 77777, 100);
}

static const struct {
    const char *name;
    Err (*call)(Handle *h);
    bool reads; /* only: a damaged account still answers */
} calls[] = {
    {"get_acl",       get_acl,       true },
    {"set_acl",       set_acl,       false},
    {"get_notes",     get_notes,     true },
    {"set_notes",     set_notes,     false},
    {"note_messages", note_messages, false},
    {"flag",          flag,          false},
    {"expunge",       expunge,       false},
    {"copy_from",     copy_from,     false},
    {"copy_to",       copy_to,       false},
    {"move_from",     move_from,     false},
    {"move_to",       move_to,       false},
    {"append",        append,        false},
    {"append_many",   append_many,   false},
    {"append_series", append_series, false},
    {"replace_in",    replace_in,    false},
    {"replace_into",  replace_into,  false},
    {"import",        import,        false},
};

PARKS static void begin(World *w, Handle *h)
{
    world_open(w, NULL);
    *h = (Handle){.w = w, .box = world_box(w, "Archive"), .other = world_box(w, "INBOX")};
    world_append_many(w, h->box, 3);
    world_append_many(w, h->other, 3);
    h->uids = world_uids(&w->arena, 1, 2);
}

PARKS static void done(World *w, Handle *h)
{
    mailbox_close(h->box);
    mailbox_close(h->other);
    world_close(w);
}

PARKS static void all_fail(Handle *h, Err expected, Err instead)
{
    uint64_t seq = account_seq(h->w->account);
    for (size_t i = 0; i < COUNT(calls); i++) {
        Err err = calls[i].call(h);
        bool answers = h->w->account->broken && calls[i].reads;
        if (err != expected && err != instead && !(answers && !err))
            test_failed(__FILE__, __LINE__, "%s: %s", calls[i].name, err_name(err));
    }
    check_u64(account_seq(h->w->account), seq);
}

TEST(a_deleted_mailbox_takes_no_calls)
{
    World w;
    Handle h;
    begin(&w, &h);
    check_ok(mailbox_delete(w.account, S("Archive")));
    check(mailbox_is_deleted(h.box));
    all_fail(&h, ERR_NOT_FOUND, ERR_NOT_FOUND);
    done(&w, &h);
}

TEST(a_damaged_account_takes_no_changes)
{
    World w;
    Handle h;
    Deletion d = {0};
    size_t back;
    const uint64_t limits[QUOTA_RESOURCES] = {0};
    begin(&w, &h);
    Account *a = w.account;
    a->broken = ERR_CORRUPT;
    all_fail(&h, ERR_CORRUPT, ERR_CORRUPT);
    check_err(mailbox_create(a, S("new"), ROLE_NONE), ERR_CORRUPT);
    check_err(mailbox_create_for(a, S("new"), ROLE_JUNK), ERR_CORRUPT);
    check_err(mailbox_delete(a, S("Archive")), ERR_CORRUPT);
    check_err(mailbox_rename(a, S("Archive"), S("new")), ERR_CORRUPT);
    check_err(mailbox_subscribe(a, S("new"), true), ERR_CORRUPT);
    check_err(mailbox_set_role(a, S("Archive"), ROLE_NONE), ERR_CORRUPT);
    check_err(mailbox_set_uses(a, S("Archive"), ROLE_NONE), ERR_CORRUPT);
    check_err(account_annotate(a, &notes), ERR_CORRUPT);
    check_err(account_set_deletion(a, &d), ERR_CORRUPT);
    check_err(account_set_quota(a, limits), ERR_CORRUPT);
    check_err(account_undelete(a, &h.uids, &w.arena, &back), ERR_CORRUPT);
    check_err(object_put(a, S("pref"), S("x"), S("y"), NULL), ERR_CORRUPT);
    check_err(object_put(a, S("pref"), S("x"), S("y"), &h.modseq), ERR_CORRUPT);
    check_err(object_delete(a, S("pref"), S("x")), ERR_CORRUPT);
    check_err(store_create_account(w.store, account_login(a), &w.acct), ERR_EXISTS);
    a->broken = OK;
    done(&w, &h);
}

/* With each right alone; whatever it allows is allowed with more of them, too. */
TEST(rights_that_are_not_there_change_nothing)
{
    World w;
    Handle h;
    uint32_t guest;
    begin(&w, &h);
    check_ok(store_create_account(w.store, S("guest"), &guest));
    check_ok(mailbox_set_acl(h.box, S("guest"), ACL_REPLACE, RIGHT_LOOKUP));
    mailbox_close(h.box);
    check_ok(mailbox_open(w.account, guest, S("Archive"), &h.box));
    all_fail(&h, ERR_FORBIDDEN, ERR_CANNOT);
    Mailbox *own = world_box(&w, "Archive");
    for (unsigned right = RIGHT_READ; right < RIGHTS_ALL; right *= 2) {
        check_ok(mailbox_set_acl(own, S("guest"), ACL_REPLACE, right));
        for (size_t i = 0; i < COUNT(calls); i++) {
            Err err = calls[i].call(&h);
            check(!err || err == ERR_FORBIDDEN || err == ERR_NOT_FOUND || err == ERR_CANNOT ||
                  err == ERR_EXPUNGED || err == ERR_CONFLICT);
        }
    }
    check_ok(mailbox_set_acl(own, S("guest"), ACL_DELETE, 0));
    for (size_t i = 0; i < COUNT(calls); i++)
        check(calls[i].call(&h) != OK);
    mailbox_close(own);
    done(&w, &h);
}

/* What is said about accounts and not about mailboxes. */
TEST(sessions_and_rights_are_counted_and_spelt)
{
    World w;
    Handle h;
    Buf out buf_scoped = {0};
    begin(&w, &h);
    check_ok(account_enter(w.account, 2));
    check_ok(account_enter(w.account, 2));
    check_err(account_enter(w.account, 2), ERR_LIMIT);
    check_ok(account_enter(w.account, 0));
    for (int i = 0; i < 3; i++)
        account_leave(w.account);
    account_leave(NULL);
    account_close(NULL);
    rights_put(&out, RIGHT_READ | RIGHT_CREATE | RIGHT_ANNOTATE);
    check_slice(buf_slice(&out), S("rknc"));
    check(rights_of_letter('d') == (RIGHT_DELETE_MESSAGE | RIGHT_EXPUNGE));
    check(!rights_of_letter('z'));
    check_ok(mailbox_set_acl(h.box, account_login(w.account), ACL_REPLACE, RIGHT_READ));
    check_ok(mailbox_set_acl(h.box, account_login(w.account), ACL_ADD, RIGHTS_ALL));
    check(!acl_names(h.box->box, account_login(w.account))); /* all are those without an entry */
    done(&w, &h);
}

TEST(a_list_of_rights_is_bounded)
{
    World w;
    Handle h;
    char name[NAME_MOST];
    Err err = OK;
    unsigned i = 0;
    begin(&w, &h);
    memset(name, 'n', sizeof name);
    for (; !err && i < 100; i++) {
        name[0] = (char)i;
        err = mailbox_set_acl(h.box, slice(name, sizeof name), ACL_REPLACE, RIGHT_READ);
    }
    check(err == ERR_LIMIT && i > 60);
    name[0] = 1;
    check_ok(mailbox_set_acl(h.box, slice(name, sizeof name), ACL_DELETE, 0));
    check_err(mailbox_set_acl(h.box, S(""), ACL_REPLACE, RIGHT_READ), ERR_SYNTAX);
    done(&w, &h);
}

/* ---- drafts ---- */

/* Each sees what the other does only between its steps. */
TEST(a_series_of_drafts_meets_what_happened_meanwhile)
{
    World w;
    Handle h;
    Drafts *all = NULL;
    uint32_t uids[2];
    begin(&w, &h);
    check_ok(drafts_begin(h.box, &all));
    check_ok(drafts_commit(all, uids)); /* none */
    drafts_free(all);
    check_ok(draft_commit_many(NULL, 0, h.box, NULL, NULL));
    check_ok(drafts_begin(h.box, &all));
    check_ok(drafts_add(all, draft_of(&h), &noted));
    check_ok(drafts_spool(all));
    check_ok(mailbox_delete(w.account, S("Archive")));
    check_err(drafts_commit(all, uids), ERR_NOT_FOUND);
    drafts_free(all);
    check_ok(drafts_begin(h.other, &all));
    check_ok(drafts_add(all, draft_of(&h), &noted));
    w.account->broken = ERR_CORRUPT;
    check_err(drafts_spool(all), ERR_CORRUPT);
    w.account->broken = OK;
    drafts_free(all);
    check_ok(drafts_begin(h.other, &all));
    check_ok(drafts_add(all, draft_of(&h), &noted));
    check_ok(drafts_spool(all));
    w.account->broken = ERR_CORRUPT;
    check_err(drafts_commit(all, uids), ERR_CORRUPT);
    w.account->broken = OK;
    drafts_free(all);
    done(&w, &h);
}

TEST(a_series_of_drafts_is_bounded)
{
    World w;
    Handle h;
    Drafts *all = NULL;
    Err err = OK;
    unsigned i = 0;
    begin(&w, &h);
    Slice empty = S("");
    const DraftPlace bad = {
        .keywords = {&empty, 1}
    };
    uint32_t uids[2];
    check_ok(drafts_begin(h.box, &all));
    check_ok(drafts_add(all, draft_of(&h), &bad));
    check(drafts_commit(all, uids) != OK);
    drafts_free(all);
    check_ok(drafts_begin(h.box, &all));
    for (; !err && i < 10002; i++)
        err = drafts_add(all, draft_of(&h), &(DraftPlace){0});
    check(err == ERR_LIMIT && i == 10001);
    drafts_free(all);
    const uint64_t little[QUOTA_RESOURCES] = {QUOTA_NONE, 7, QUOTA_NONE, 0};
    check_ok(account_set_quota(w.account, little));
    Draft *two[] = {draft_of(&h), draft_of(&h)};
    DraftPlace places[] = {noted, noted};
    check_err(draft_commit_many(two, 2, h.box, places, uids), ERR_OVER_QUOTA);
    draft_free(two[0]);
    draft_free(two[1]);
    check_ok(drafts_begin(h.box, &all));
    check_ok(drafts_add(all, draft_of(&h), &noted));
    check_err(drafts_add(all, draft_of(&h), &noted), ERR_OVER_QUOTA);
    check_err(drafts_commit(all, uids), ERR_OVER_QUOTA); /* its annotation */
    drafts_free(all);
    char prefix[PREFIX_TEXT_MOST + 1];
    memset(prefix, 'x', sizeof prefix);
    DraftPlace place = {.prefix = slice(prefix, sizeof prefix)};
    Draft *d scoped(draft) = draft_of(&h);
    check_err(draft_commit(d, h.box, &place, uids), ERR_LIMIT);
    done(&w, &h);
}

/* ---- looking for text ---- */

static void fold_nothing(Buf *out, Slice utf8)
{
    buf_add(out, utf8);
}

TEST(text_is_looked_for_in_what_cannot_be_read)
{
    World w;
    Handle h;
    EmailPage *p;
    bool found;
    Buf text buf_scoped = {0};
    begin(&w, &h);
    uint32_t eid = mailbox_message(h.box, 1)->eid;
    check_ok(email_contains_folded(w.account, eid, S("subject"), fold_nothing, false, &found));
    check_ok(email_contains_folded(w.account, eid, S("x"), fold_nothing, true, &found));
    check_ok(email_text(w.account, eid, MAIL_TEXT_BODIES, &text));
    check_ok(email_page(w.account, eid / EMAILS, &p));
    Email *e = &p->emails[eid % EMAILS];
    e->ref.at += UINT64_C(90) << 32;
    check(email_contains(w.account, eid, S("zzz"), false, &found) != OK);
    check(email_contains(w.account, eid, S("zzz"), true, &found) != OK);
    check(email_contains_folded(w.account, eid, S("z"), fold_nothing, true, &found) != OK);
    check(email_text(w.account, eid, MAIL_TEXT_ALL, &text) != OK);
    check(email_text(w.account, eid, MAIL_TEXT_BODIES, &text) != OK);
    uint32_t header = e->header_len;
    e->header_len = 0; /* then only the body cannot be read */
    check(email_contains(w.account, eid, S("zzz"), false, &found) != OK);
    e->header_len = header;
    e->ref.at -= UINT64_C(90) << 32;
    check_err(email_contains(w.account, 9999, S("z"), false, &found), ERR_EXPUNGED);
    check_err(email_contains_folded(w.account, 9999, S("z"), fold_nothing, false, &found),
              ERR_EXPUNGED);
    check_err(email_text(w.account, 9999, MAIL_TEXT_ALL, &text), ERR_EXPUNGED);
    done(&w, &h);
}

/* More text than is kept of one. */
TEST(text_beyond_what_is_indexed_is_found)
{
    World w;
    Handle h;
    Buf body buf_scoped = {0}, text buf_scoped = {0};
    bool found;
    begin(&w, &h);
    buf_printf(&body, "Subject: long\r\n\r\nthe needle\r\n");
    while (body.len < 3 * MAIL_TEXT_MOST)
        buf_printf(&body, "line %zu of a long story\r\n", body.len);
    uint32_t uid = world_append_octets(&w, h.box, buf_slice(&body), &(DraftPlace){0});
    uint32_t eid = mailbox_message(h.box, uid)->eid;
    check_ok(email_contains(w.account, eid, S("THE NEEDLE"), true, &found));
    check(found);
    check_ok(email_contains(w.account, eid, S("NO SUCH THING"), false, &found));
    check(!found);
    check_ok(email_text(w.account, eid, MAIL_TEXT_ALL, &text));
    check(text.len >= MAIL_TEXT_MOST);
    done(&w, &h);
}

/* It is in the first part; what comes behind so much text is not read any more. */
TEST(parts_behind_what_is_found_are_not_read)
{
    World w;
    Handle h;
    Buf body buf_scoped = {0}, text buf_scoped = {0};
    bool found;
    begin(&w, &h);
    buf_printf(&body, "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
    for (int part = 0; part < 4; part++) {
        size_t from = body.len;
        buf_printf(&body, "--b\r\n\r\n%s\r\n", part ? "hay" : "the needle");
        while (body.len - from < MAIL_TEXT_MOST / 2)
            buf_printf(&body, "line %zu of part %d\r\n", body.len, part);
    }
    buf_printf(&body, "--b--\r\n");
    uint32_t uid = world_append_octets(&w, h.box, buf_slice(&body), &(DraftPlace){0});
    uint32_t eid = mailbox_message(h.box, uid)->eid;
    check_ok(email_contains(w.account, eid, S("THE NEEDLE"), true, &found));
    check(found);
    check_ok(email_contains(w.account, eid, S("OF PART 3"), false, &found));
    check(found);
    check_ok(email_text(w.account, eid, MAIL_TEXT_BODIES, &text));
    check(text.len + 10 >= MAIL_TEXT_MOST);
    check(slice_find_slice(buf_slice(&text), S("OF PART 3")) == text.len);
    done(&w, &h);
}

/* ---- deliveries ---- */

/* To mailboxes that two of them make at the same time, that cannot be made, of nobody. */
TEST(deliveries_meet_each_other)
{
    World w;
    Handle h;
    char deep[300] = "";
    begin(&w, &h);
    for (size_t i = 0; i + 1 < sizeof deep; i++)
        deep[i] = i % 2 ? '/' : 'd';
    Delivery to[] = {
        {.acct = w.acct,             .mailbox = S("INBOX")},
        {.acct = w.acct,             .mailbox = S("New"),   .create = true},
        {.acct = w.acct,                          .mailbox = S("New"),                                  .create = true},
        {.acct = w.acct,            .mailbox = S("Nowhere")},
        {.acct = w.acct,.mailbox = slice_of(deep),              .create = true},
        {.acct = 12345,          .mailbox = S("INBOX")   },
    };
    Draft *d scoped(draft) = draft_of(&h);
    draft_deliver(d, to, COUNT(to));
    for (size_t i = 0; i + 1 < COUNT(to); i++)
        check_ok(to[i].err);
    check_err(to[5].err, ERR_NOT_FOUND);
    Mailbox *box = world_box(&w, "New");
    check_u64(mailbox_status(box).exists, 2);
    mailbox_close(box);
    Delivery nobody = {.acct = 12345, .mailbox = S("INBOX")};
    Draft *other scoped(draft) = draft_of(&h);
    draft_deliver(other, &nobody, 1);
    check_err(nobody.err, ERR_NOT_FOUND);
    done(&w, &h);
}

/* One that became too big, wherever it is put; and an annotation that is. */
TEST(drafts_that_failed_stay_failed)
{
    World w;
    StoreOptions o = {.message_most = 100};
    Handle h = {.w = &w};
    uint32_t uids[2], uid;
    Drafts *all = NULL;
    char big[200];
    memset(big, 'x', sizeof big);
    world_open(&w, &o);
    h.box = world_box(&w, "Archive");
    h.other = world_box(&w, "INBOX");
    world_append_octets(&w, h.other, S("x: y\r\n\r\n"), &(DraftPlace){0});
    for (int i = 0; i < 4; i++) {
        Draft *d[2] = {draft_of(&h), draft_of(&h)};
        DraftPlace places[2] = {noted, noted};
        check_err(draft_write(d[1], slice(big, sizeof big)), ERR_TOO_BIG);
        if (i == 0) check_err(draft_commit_many(d, 2, h.box, places, uids), ERR_TOO_BIG);
        if (i == 1) check_err(draft_replace(d[1], h.box, &noted, h.other, 1, &uid), ERR_TOO_BIG);
        if (i == 2) check_err(draft_commit(d[1], h.box, &noted, &uid), ERR_TOO_BIG);
        if (i == 3) {
            check_ok(drafts_begin(h.box, &all));
            check_ok(drafts_add(all, d[1], &noted));
            check_err(drafts_spool(all), ERR_TOO_BIG);
            check_err(drafts_commit(all, uids), ERR_TOO_BIG);
            drafts_free(all);
            d[1] = NULL;
        }
        draft_free(d[0]);
        draft_free(d[1]);
    }
    Annotation nameless = {S(""), S("x"), true};
    const DraftPlace bad = {
        .annotations = {&nameless, 1}
    };
    check_ok(drafts_begin(h.box, &all));
    check_ok(drafts_add(all, draft_of(&h), &bad));
    check_ok(drafts_spool(all));
    check_err(drafts_commit(all, uids), ERR_SYNTAX);
    drafts_free(all);
    h.box->box->next_uid = UINT32_MAX - 1;
    check_ok(drafts_begin(h.box, &all));
    check_ok(drafts_add(all, draft_of(&h), &noted));
    check_ok(drafts_spool(all));
    check_err(drafts_commit(all, uids), ERR_LIMIT);
    drafts_free(all);
    Draft *d scoped(draft) = draft_of(&h);
    check_err(draft_replace(d, h.box, &noted, h.other, 1, &uid), ERR_LIMIT);
    h.box->box->next_uid = 1;
    done(&w, &h);
}
