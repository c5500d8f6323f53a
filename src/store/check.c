#include "mail/mail.h"
#include "store/model.h"

#include <stdlib.h>

/* Everything here is derived from the log; what is found wrong is put right from what it was
 * derived from, as far as memory has it: slots are right about counters, emails and links about
 * each other. What cannot be (a body, a slot without an email) is only told.
 *
 * Looking at one mailbox or one page of emails does not wait; between them others may change the
 * account, so nothing is remembered across. */

typedef struct {
    Store *store;
    bool repair;
    void (*report)(void *arg, Slice line);
    void *arg;
    CheckResult *result;
    uint32_t acct;
    Account *account;
    Err err;
} Check;

static void finding(Check *c, const char *fmt, ...) PRINTF(2, 3);
static void finding(Check *c, const char *fmt, ...)
{
    Buf line buf_scoped = {0};
    va_list args;
    va_start(args, fmt);
    buf_printf(&line, "account %u: ", c->acct);
    buf_vprintf(&line, fmt, args);
    va_end(args);
    c->result->findings++;
    if (c->report) c->report(c->arg, buf_slice(&line));
}

/* True: repair it. */
static bool wrong(Check *c, const char *what, uint32_t box, uint64_t is, uint64_t should)
{
    if (is == should) return false;
    finding(c, "mailbox %u: %s is %llu, not %llu", box, what, (unsigned long long)is,
            (unsigned long long)should);
    return c->repair;
}

/* ---- mailboxes ---- */

static EmailLink *find_link(Email *e, uint32_t mailbox, uint32_t uid)
{
    for (uint32_t i = 0; i < e->link_count; i++) {
        EmailLink *l = email_links(e, i);
        if (l->mailbox == mailbox && l->uid == uid) return l;
    }
    return NULL;
}

static void add_link(Email *e, EmailLink link)
{
    if (e->link_count++) {
        e->more = mem_grow(e->more, array_bytes(e->link_count - 1, sizeof *e->more));
        e->more[e->link_count - 2] = link;
    } else {
        e->link = link;
    }
}

/* The slot is what the log made; so it is the email that has to learn of it. */
static void missing_link(Check *c, const Box *b, const Message *m, Email *e)
{
    EmailPage *p;
    finding(c, "email %u does not know that it is uid %u of mailbox %u", m->eid, m->uid, b->s.id);
    if (!c->repair || email_page(c->account, m->eid / EMAILS, &p)) return;
    if (!e->link_count) dead_clear(c->account, m->eid);
    add_link(e, (EmailLink){b->s.id, m->uid, m->date, m->modseq, 0});
    email_dirty(c->account, p);
}

static void check_message(Check *c, Box *b, const Message *m)
{
    Account *a = c->account;
    Email *e;
    if (m->modseq > a->h.seq || m->modseq > b->s.highest_modseq)
        finding(c, "mailbox %u: uid %u has modseq %llu, from the future", b->s.id, m->uid,
                (unsigned long long)m->modseq);
    if (m->kwset > a->kwset_count)
        finding(c, "mailbox %u: uid %u has unknown keywords", b->s.id, m->uid);
    if (email_entry(a, m->eid, &e)) {
        finding(c, "mailbox %u: uid %u is email %u, which does not exist", b->s.id, m->uid, m->eid);
        return;
    }
    if (m->size != email_size(e))
        finding(c, "mailbox %u: uid %u has %u octets, its email %u has %llu", b->s.id, m->uid,
                m->size, m->eid, (unsigned long long)email_size(e));
    if (!find_link(e, b->s.id, m->uid)) missing_link(c, b, m, e);
}

static void count_slots(Check *c, Box *b, BoxState *sum)
{
    for (const Message *m = box_next(b, 0); m; m = box_next(b, m->uid + 1)) {
        check_message(c, b, m);
        sum->exists++;
        sum->unseen += !(m->flags & FLAG_SEEN);
        sum->deleted += !!(m->flags & FLAG_DELETED);
        sum->deleted_octets += m->flags & FLAG_DELETED ? m->size : 0;
        sum->size_octets += m->size;
        sum->uid_next = m->uid + 1;
        if (m->uid == UINT32_MAX) return;
    }
}

static void compare_counters(Check *c, Box *b, const BoxState *sum)
{
    uint64_t findings = c->result->findings;
    if (wrong(c, "exists", b->s.id, b->s.exists, sum->exists)) b->s.exists = sum->exists;
    if (wrong(c, "unseen", b->s.id, b->s.unseen, sum->unseen)) b->s.unseen = sum->unseen;
    if (wrong(c, "deleted", b->s.id, b->s.deleted, sum->deleted)) b->s.deleted = sum->deleted;
    if (wrong(c, "size of \\Deleted", b->s.id, b->s.deleted_octets, sum->deleted_octets))
        b->s.deleted_octets = sum->deleted_octets;
    if (wrong(c, "size", b->s.id, b->s.size_octets, sum->size_octets))
        b->s.size_octets = sum->size_octets;
    if (sum->uid_next > b->s.uid_next &&
        wrong(c, "uid_next", b->s.id, b->s.uid_next, sum->uid_next)) {
        b->s.uid_next = sum->uid_next;
        b->next_uid = MAX(b->next_uid, b->s.uid_next);
    }
    if (findings == c->result->findings || !c->repair) return;
    b->state |= PAGE_DIRTY;
    account_touch(c->account);
}

static void check_box(Check *c, Box *b)
{
    BoxState sum = {0};
    const Head *h = &c->account->h;
    Err err = box_load(b);
    if (err) {
        finding(c, "mailbox %u: its slots cannot be read: %s", b->s.id, err_story());
        return;
    }
    if (b->was_wrong) finding(c, "mailbox %u: its counters were wrong when it was read", b->s.id);
    b->was_wrong = false; /* box_load has put them right */
    count_slots(c, b, &sum);
    compare_counters(c, b, &sum);
    if (b->s.id >= h->next_mailbox || b->s.uid_validity >= h->next_uid_validity)
        finding(c, "mailbox %u, uidvalidity %u: such numbers will be given out again", b->s.id,
                b->s.uid_validity);
    c->result->mailboxes++;
    c->result->messages += sum.exists;
    c->result->octets += sum.size_octets;
}

static PARKS void check_boxes(Check *c)
{
    Account *a = c->account;
    uint32_t id = 0;
    for (;;) {
        Box *next = NULL;
        for (uint32_t i = 0; i < a->box_count; i++)
            if (a->boxes[i]->s.id > id && (!next || a->boxes[i]->s.id < next->s.id))
                next = a->boxes[i];
        if (!next) return;
        id = next->s.id;
        check_box(c, next);
        breathe();
    }
}

/* Every message counts for the quota once per mailbox; what is kept after an expunge does not. */
static void check_quota(Check *c)
{
    Account *a = c->account;
    uint64_t octets = 0, messages = 0;
    for (uint32_t i = 0; i < a->box_count; i++) {
        if (box_is_kept(a->boxes[i])) continue;
        octets += a->boxes[i]->s.size_octets;
        messages += a->boxes[i]->s.exists;
    }
    uint64_t *used = a->h.used;
    if (used[QUOTA_STORAGE] == octets && used[QUOTA_MESSAGE] == messages) return;
    finding(c, "quota says %llu octets in %llu messages, not %llu in %llu",
            (unsigned long long)used[QUOTA_STORAGE], (unsigned long long)used[QUOTA_MESSAGE],
            (unsigned long long)octets, (unsigned long long)messages);
    if (!c->repair) return;
    used[QUOTA_STORAGE] = octets, used[QUOTA_MESSAGE] = messages;
    account_touch(a);
}

static PARKS void check_annotations(Check *c)
{
    Account *a = c->account;
    uint64_t octets, *used = &a->h.used[QUOTA_ANNOTATION];
    if (annotations_count(a, &octets)) {
        finding(c, "annotations cannot be read: %s", err_story());
        return;
    }
    if (*used == octets) return;
    finding(c, "quota says %llu octets of annotations, not %llu", (unsigned long long)*used,
            (unsigned long long)octets);
    if (!c->repair) return;
    *used = octets;
    account_touch(a);
}

/* ---- emails ---- */

static void drop_link(Account *a, EmailPage *p, Email *e, EmailLink *l)
{
    *l = *email_links(e, e->link_count - 1);
    e->link_count--;
    email_dirty(a, p);
}

static bool is_dead(Account *a, uint32_t eid)
{
    const DeadPage *p = number_table_get(&a->dead_pages, eid / DEADS);
    return p && p->d.bits[eid % DEADS / 64] >> eid % 64 & 1;
}

static void check_links(Check *c, EmailPage *p, Email *e, uint32_t eid)
{
    Account *a = c->account;
    for (uint32_t i = 0; i < e->link_count;) {
        EmailLink *l = email_links(e, i);
        Box *b = box_by_id(a, l->mailbox);
        const Message *m = b && !box_load(b) ? box_message(b, l->uid) : NULL;
        i++;
        if (m && m->eid == eid) continue;
        finding(c, "email %u is not uid %u of mailbox %u", eid, l->uid, l->mailbox);
        if (c->repair) drop_link(a, p, e, l), i--;
    }
    if (e->link_count || e->staged || is_dead(a, eid)) return;
    finding(c, "email %u is in no mailbox and nobody waits to drop it", eid);
    if (c->repair) dead_mark(a, eid, a->time);
}

/* The last octet: the whole body is what scrub reads. */
static PARKS void check_body(Check *c, uint32_t eid)
{
    Email *e;
    char last;
    if (email_entry(c->account, eid, &e) || !email_size(e)) return;
    Err err = email_read(c->account, eid, email_size(e) - 1, &last, 1);
    if (err && err != ERR_EXPUNGED)
        finding(c, "the body of email %u cannot be read: %s", eid, err_story());
}

static PARKS void check_summary(Check *c, uint32_t eid)
{
    Arena arena arena_scoped = {0};
    Email *e;
    Slice stored;
    MailSummary m;
    if (email_entry(c->account, eid, &e)) return;
    uint64_t size = email_size(e);
    uint32_t header_len = e->header_len;
    Err err = email_summary(c->account, eid, &stored);
    if (!err) err = mail_summary_decode(stored, &arena, &m);
    if (err)
        finding(c, "the summary of email %u cannot be read: %s", eid, err_story());
    else if (m.size != size || m.header_len != header_len)
        finding(c, "email %u has %llu octets, its summary says %u", eid, (unsigned long long)size,
                m.size);
}

static PARKS void check_emails(Check *c)
{
    Account *a = c->account;
    for (uint32_t number = 0; number <= a->h.next_eid / EMAILS; number++) {
        EmailPage *p;
        uint32_t present = 0;
        if (email_page(a, number, &p)) {
            finding(c, "the emails from %u on cannot be read: %s", number * EMAILS, err_story());
            continue;
        }
        for (uint32_t i = 0; i < EMAILS; i++) {
            if (!p->emails[i].thread) continue;
            present |= UINT32_C(1) << i;
            check_links(c, p, &p->emails[i], number * EMAILS + i);
            /* The engine counts accounts, not emails: telling it again does no harm. */
            if (c->repair && p->emails[i].shared && p->emails[i].share_news == SHARE_TOLD)
                p->emails[i].share_news = SHARE_NEW, email_dirty(a, p);
        }
        for (uint32_t i = 0; i < EMAILS; i++) {
            if (!(present >> i & 1)) continue;
            check_body(c, number * EMAILS + i);
            check_summary(c, number * EMAILS + i);
        }
        breathe();
    }
}

/* ---- all accounts ---- */

static PARKS void check_account(void *arg)
{
    Check *c = arg;
    Account *a scoped(account) = NULL;
    c->err = account_open(c->store, c->acct, &a);
    if (c->err) return;
    c->account = a;
    check_boxes(c);
    check_quota(c);
    check_annotations(c);
    check_emails(c);
    c->account = NULL;
    c->result->accounts++;
}

/* An account that cannot be opened is a finding; the others are looked at all the same. */
static PARKS void check_some(Check *c, const uint32_t *accts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        c->acct = accts[i];
        loop_call(store_home(c->store, c->acct), check_account, c);
        if (c->err && c->err != ERR_NOT_FOUND) finding(c, "cannot be opened: %s", err_name(c->err));
    }
}

PARKS Err store_check(Store *store, bool repair, void (*report)(void *arg, Slice line), void *arg,
                      CheckResult *result)
{
    enum { AT_ONCE = 500 };
    Check c = {.store = store, .repair = repair, .report = report, .arg = arg, .result = result};
    Buf after buf_scoped = {0};
    size_t count = AT_ONCE;
    *result = (CheckResult){0};
    while (count == AT_ONCE) {
        Arena arena arena_scoped = {0};
        Slice *logins;
        uint32_t *accts;
        TRY(store_list_accounts(store, buf_slice(&after), AT_ONCE, &arena, &logins, &accts,
                                &count));
        check_some(&c, accts, count);
        if (!count) break;
        buf_clear(&after);
        buf_add(&after, logins[count - 1]);
    }
    return OK;
}
