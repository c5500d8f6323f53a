#include "smtp/session_world.h"

#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>

PARKS_UNCHECKED static void serve(void *arg)
{
    World *w = arg;
    w->fiber = fiber_current();
    if (w->record.at)
        smtp_resume(w->server, &w->config, w->lmtp, w->record);
    else
        smtp_serve(w->server, &w->config, w->lmtp);
    stream_finish(w->server);
    stream_free(w->server);
    w->ended = true;
}

PARKS void world_connect(World *w, bool lmtp)
{
    w->lmtp = lmtp;
    w->ended = false;
    check_ok(stream_pair(&w->client, &w->server));
    fiber_start("smtp", serve, w);
}

PARKS void world_disconnect(World *w)
{
    stream_free(w->client);
    while (!w->ended)
        fiber_sleep(1);
}

PARKS void world_open(World *w)
{
    static const Slice domains[] = {S("example.org"), S("xn--mll-hoa.example")};
    Arena a arena_scoped = {0};
    *w = (World){.dir = "/tmp/smtp_test.XXXXXX"};
    check(mkdtemp(w->dir));
    StoreOptions options = {.message_most = 200000};
    check_ok(store_open(slice_of(w->dir), &options, &w->store));
    AuthConfig config = {.dir = arena_printf(&a, "%s/keeper", w->dir),
                         .plain_without_tls = true,
                         .domains = domains,
                         .domain_count = COUNT(domains),
                         .subaddress_separator = '+',
                         .demo_accounts = 9,
                         .demo_password = S("secret"),
                         .argon2_memory_kib = 64,
                         .argon2_passes = 1,
                         .scram_iterations = 16};
    check_ok(auth_open(&config, w->store, &w->auth));
    w->config = (SmtpConfig){.auth = w->auth,
                             .store = w->store,
                             .hostname = S("mx.example.org"),
                             .message_most = 100000,
                             .recipients_most = 5,
                             .subaddress_creates = true};
}

PARKS void world_close(World *w)
{
    char command[80];
    auth_close(w->auth);
    store_close(w->store);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    check(system(command) == 0); /* NOLINT(cert-env33-c): a path of our own making */
}

/* ---- who may have how much ---- */

typedef struct {
    World *w;
    uint32_t acct;
    uint64_t octets;
} Limiting;

PARKS_UNCHECKED static void set_quota(void *arg)
{
    Limiting *l = arg;
    Account *account scoped(account) = NULL;
    check_ok(account_open(l->w->store, l->acct, &account));
    const uint64_t limit[QUOTA_RESOURCES] = {l->octets, QUOTA_NONE, QUOTA_NONE, QUOTA_NONE};
    check_ok(account_set_quota(account, limit));
}

PARKS void world_set_quota(World *w, Slice login, uint64_t octets)
{
    Limiting l = {.w = w, .octets = octets};
    check_ok(auth_account(w->auth, login, &l.acct));
    loop_call(store_home(w->store, l.acct), set_quota, &l);
}

/* ---- what was delivered ---- */

typedef struct {
    World *w;
    Slice login, mailbox;
    Buf *out; /* all messages, one after the other */
    uint32_t count;
} Reading;

PARKS_UNCHECKED static void read_mailbox(void *arg)
{
    Reading *r = arg;
    uint32_t acct;
    Account *account scoped(account) = NULL;
    Mailbox *box scoped(mailbox) = NULL;
    if (store_find_account(r->w->store, r->login, &acct)) return;
    check_ok(account_open(r->w->store, acct, &account));
    if (mailbox_open(account, acct, r->mailbox, &box)) return;
    const Message *m;
    for (uint32_t uid = 1; (m = mailbox_next(box, uid)); r->count++) {
        uint32_t size = m->size, eid = m->eid;
        uid = m->uid + 1;
        check_ok(email_read(account, eid, 0, buf_reserve(r->out, size), size));
        r->out->len += size;
    }
}

PARKS uint32_t mail_of(World *w, Slice login, Slice mailbox, Buf *out)
{
    uint32_t acct;
    Reading r = {w, login, mailbox, out, 0};
    buf_clear(out);
    if (store_find_account(w->store, login, &acct)) return 0;
    loop_call(store_home(w->store, acct), read_mailbox, &r);
    return r.count;
}

bool has(const Buf *b, const char *text)
{
    return slice_find_slice(buf_slice(b), slice_of(text)) < b->len;
}
