#include "store/test_world.h"

/* Each thing that check compares, made wrong in memory: it is told; what is derived is put right.
 */

typedef struct {
    World w;
    Account *a;
    Mailbox *handle;
    Box *b;
    Message *m; /* uid 2 */
    EmailPage *p;
    Email *e; /* of it */
} Wrong;

static void modseq(Wrong *t)
{
    t->m->modseq = t->a->h.seq + 5;
}

static void modseq_of_box(Wrong *t)
{
    t->m->modseq = t->b->s.highest_modseq + 1;
    t->a->h.seq++;
}

static void keywords(Wrong *t)
{
    t->m->kwset = 500;
}

static void size(Wrong *t)
{
    t->m->size++;
    t->b->s.size_octets++;
    t->a->h.used[QUOTA_STORAGE]++;
}

static void no_email(Wrong *t)
{
    t->m->eid = 500;
}

static void exists(Wrong *t)
{
    t->b->s.exists--;
    t->a->h.used[QUOTA_MESSAGE]--;
}

static void unseen(Wrong *t)
{
    t->b->s.unseen++;
}

static void deleted(Wrong *t)
{
    t->b->s.deleted = 2;
}

static void deleted_octets(Wrong *t)
{
    t->b->s.deleted_octets = 2;
}

static void octets(Wrong *t)
{
    t->b->s.size_octets -= 2;
    t->a->h.used[QUOTA_STORAGE] -= 2;
}

static void uid_next(Wrong *t)
{
    t->b->s.uid_next = 2;
}

static void was_wrong(Wrong *t)
{
    t->b->was_wrong = true;
}

static void next_mailbox(Wrong *t)
{
    t->a->h.next_mailbox = 1;
}

static void next_validity(Wrong *t)
{
    t->a->h.next_uid_validity = 1;
}

static void quota_octets(Wrong *t)
{
    t->a->h.used[QUOTA_STORAGE]++;
}

static void quota_messages(Wrong *t)
{
    t->a->h.used[QUOTA_MESSAGE] += 2;
}

static void quota_notes(Wrong *t)
{
    t->a->h.used[QUOTA_ANNOTATION] += 9;
}

static void no_link(Wrong *t)
{
    t->e->link_count = 0;
}

static void another_link(Wrong *t)
{
    t->e->link.uid = 77;
}

static void another_email(Wrong *t)
{
    t->e->link.uid = 1;
}

static void another_mailbox(Wrong *t)
{
    t->e->link.mailbox = 999;
}

static void nobody_drops_it(Wrong *t)
{
    Message out[3];
    box_take(t->b, (UidRange){2, 2}, out);
    t->a->h.used[QUOTA_MESSAGE]--;
    t->a->h.used[QUOTA_STORAGE] -= out[0].size;
    t->e->link_count = 0;
}

static void header(Wrong *t)
{
    t->e->header_len++;
}

static void body(Wrong *t)
{
    t->e->ref.at += UINT64_C(50) << 32;
}

static void shared(Wrong *t) /* nothing is wrong: it is told again */
{
    t->e->shared = true;
    t->e->share_news = SHARE_TOLD;
}

static const struct {
    void (*make)(Wrong *t);
    bool stays; /* it cannot be put right */
} cases[] = {
    {modseq,          true },
    {modseq_of_box,   true },
    {keywords,        true },
    {size,            true },
    {no_email,        true },
    {exists,          false},
    {unseen,          false},
    {deleted,         false},
    {deleted_octets,  false},
    {octets,          false},
    {uid_next,        false},
    {was_wrong,       false},
    {next_mailbox,    true },
    {next_validity,   true },
    {quota_octets,    false},
    {quota_messages,  false},
    {quota_notes,     false},
    {no_link,         false},
    {another_link,    false},
    {another_email,   false},
    {another_mailbox, false},
    {nobody_drops_it, false},
    {header,          true },
    {body,            true },
    {shared,          false},
};

PARKS static void begin(Wrong *t)
{
    Annotation one = {S("/comment"), S("x"), true};
    *t = (Wrong){0};
    world_open(&t->w, NULL);
    t->a = t->w.account;
    t->handle = world_box(&t->w, "INBOX");
    for (int i = 0; i < 3; i++)
        world_append(&t->w, t->handle, "x", 0);
    check_ok(mailbox_annotate(t->handle, &(Annotations){&one, 1}, NULL));
    t->b = t->handle->box;
    t->m = box_message(t->b, 2);
    check_ok(email_page(t->a, t->m->eid / EMAILS, &t->p));
    t->e = &t->p->emails[t->m->eid % EMAILS];
}

PARKS static uint64_t findings(Wrong *t, bool repair)
{
    CheckResult result;
    check_ok(store_check(t->w.store, repair, NULL, NULL, &result));
    return result.findings;
}

TEST(each_thing_that_check_compares)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        Wrong t;
        begin(&t);
        check_u64(findings(&t, false), 0);
        cases[i].make(&t);
        bool told = findings(&t, false); /* only told */
        check(!!findings(&t, true) == (told && cases[i].make != was_wrong));
        uint64_t left = findings(&t, true);
        bool stays = cases[i].stays;
        if (told != (cases[i].make != shared) || !!left != stays)
            test_failed(__FILE__, __LINE__, "case %zu: told %d, %llu are left", i, told,
                        (unsigned long long)left);
        mailbox_close(t.handle);
        world_close(&t.w);
    }
}

/* A message of nothing, one with the last uid; a store without accounts. */
TEST(a_check_of_what_is_hardly_there)
{
    World w;
    CheckResult result;
    Arena arena arena_scoped = {0};
    Store *store = NULL;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append_octets(&w, box, S(""), &(DraftPlace){0});
    world_append(&w, box, "x", 0);
    Message *m = box_message(box->box, 2);
    check_ok(store_check(w.store, false, NULL, NULL, &result));
    check_u64(result.findings, 0);
    check(result.messages >= 2);
    m->uid = UINT32_MAX; /* nobody comes after it; its email does not know */
    check_ok(store_check(w.store, false, NULL, NULL, &result));
    check(result.findings > 0);
    m->uid = 2;
    check_ok(store_check(w.store, false, NULL, NULL, &result));
    check_u64(result.findings, 0);
    mailbox_close(box);
    Slice empty = arena_printf(&arena, "%s/empty", w.dir);
    check_ok(store_open(empty, &w.options, &store));
    check_ok(store_check(store, true, NULL, NULL, &result));
    check_u64(result.accounts + result.findings, 0);
    store_close(store);
    world_close(&w);
}
