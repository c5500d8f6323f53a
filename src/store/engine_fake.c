#include "store/engine_fake.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

/* The record: op u8, eid u32, then
 *   'A' add: origin u32, origin eid u32, shared u8; with 'L' and big bodies the BlobRef
 *   'D' drop           'N' note: octets */

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t x = a * UINT64_C(0x9E3779B97F4A7C15) ^ (b + UINT64_C(0x7F4A7C15F39CC060));
    x = (x ^ x >> 31) * UINT64_C(0xBF58476D1CE4E5B9);
    return x ^ x >> 29;
}

void fake_body(Buf *out, uint32_t origin, uint32_t eid, size_t len)
{
    uint64_t x = mix(origin, eid);
    char *at = buf_reserve(out, len + 8);
    for (size_t i = 0; i < len; i += 8) {
        x = mix(x, i);
        memcpy(at + i, &x, 8);
    }
    out->len += len;
}

/* ---- the account in memory ---- */
static FakeEmail *email_new(FakeAccount *a)
{
    if (a->count == a->room) {
        a->room = MAX(16, a->room * 2);
        a->emails = (FakeEmail *)mem_grow(a->emails, array_bytes(a->room, sizeof(FakeEmail)));
    }
    a->emails[a->count] = (FakeEmail){0};
    return &a->emails[a->count++];
}

FakeEmail *fake_email(FakeAccount *a, uint32_t eid)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->emails[i].eid == eid && a->emails[i].live) return &a->emails[i];
    return NULL;
}

static void drop_add(FakeAccount *a, uint32_t eid, BlobRef ref, bool shared)
{
    if (a->drop_count == a->drop_room) {
        a->drop_room = MAX(16, a->drop_room * 2);
        a->drops = (FakeDrop *)mem_grow(a->drops, array_bytes(a->drop_room, sizeof(FakeDrop)));
    }
    a->drops[a->drop_count++] = (FakeDrop){eid, ref, shared};
}

static BlobRef read_ref(Reader *r)
{
    uint64_t at = read_u64(r);
    uint32_t len = read_u32(r), crc = read_u32(r);
    return (BlobRef){at, len, crc};
}

static void write_ref(Buf *b, BlobRef ref)
{
    buf_u64(b, ref.at);
    buf_u32(b, ref.len);
    buf_u32(b, ref.crc);
}

static void apply(FakeAccount *a, uint64_t seq, Slice record, BlobRef body)
{
    if (seq <= a->seq) return;
    Reader r = reader(record);
    uint8_t op = read_u8(&r);
    uint32_t eid = read_u32(&r);
    if (op == 'A' || op == 'L') {
        FakeEmail *m = email_new(a);
        m->eid = eid;
        m->origin = read_u32(&r);
        m->origin_eid = read_u32(&r);
        m->shared = read_u8(&r);
        m->ref = op == 'L' ? read_ref(&r) : body;
        m->live = m->dirty = true;
    }
    FakeEmail *gone = op == 'D' ? fake_email(a, eid) : NULL;
    if (gone) {
        gone->live = false;
        gone->dirty = true;
        drop_add(a, gone->eid, gone->ref, gone->shared);
    }
    a->hash = mix(a->hash, mix(seq, op << 8 | eid));
    a->seq = seq;
    a->dirty = true;
}

/* ---- pages ---- */
static bool load_email(void *arg, Slice key, Slice value)
{
    FakeEmail *m = email_new((FakeAccount *)arg);
    Reader r = reader(value);
    (void)key;
    m->eid = read_u32(&r);
    m->origin = read_u32(&r);
    m->origin_eid = read_u32(&r);
    m->shared = read_u8(&r);
    m->ref = read_ref(&r);
    m->live = true;
    check(!r.bad);
    return true;
}

static Err replay(void *arg, const TailEntry *t)
{
    FakeAccount *a = (FakeAccount *)arg;
    if (t->type == TAIL_CHANGE) {
        check(a->holes || t->seq <= a->seq + 1);
        apply(a, t->seq, t->record, t->body);
        return OK;
    }
    FakeEmail *m = fake_email(a, t->eid);
    if (!m || m->ref.at != t->old_at) return OK;
    m->ref = t->body;
    m->dirty = a->dirty = true;
    return OK;
}

static Err load(FakeHost *h, uint32_t acct)
{
    FakeAccount *a = &h->accounts[acct];
    if (!a->loaded) {
        Arena arena_scoped arena = {0};
        Slice head;
        Err err = engine_get(h->engine, acct, S("h"), &arena, &head);
        if (err && err != ERR_NOT_FOUND) return err;
        Reader r = reader(err ? (Slice){0} : head);
        a->number = acct;
        a->holes = h->holes;
        a->seq = read_u64(&r);
        a->hash = read_u64(&r);
        TRY(engine_scan(h->engine, acct, S("e"), (Slice){0}, load_email, a));
        a->loaded = true;
    }
    TRY(engine_tail(h->engine, acct, replay, a));
    a->next_seq = MAX(a->next_seq, a->seq + 1); /* others may be in flight */
    return OK;
}

static void put_email(PageBatch *b, FakeAccount *a, const FakeEmail *m)
{
    Buf buf_scoped key = {0}, value = {0};
    buf_char(&key, 'e');
    buf_u32(&key, m->eid);
    if (!m->live) {
        batch_delete(b, a->number, buf_slice(&key));
        return;
    }
    buf_u32(&value, m->eid);
    buf_u32(&value, m->origin);
    buf_u32(&value, m->origin_eid);
    buf_u8(&value, m->shared);
    write_ref(&value, m->ref);
    batch_put(b, a->number, buf_slice(&key), buf_slice(&value));
    if (m->shared) batch_blob_share(b, a->number, m->eid, m->ref.at);
}

static Loop *home(void *ctx, uint32_t acct)
{
    (void)ctx;
    return loop_at(acct % loop_count());
}

static void gather_account(PageBatch *b, FakeAccount *a)
{
    Buf buf_scoped head = {0};
    buf_u64(&head, a->seq);
    buf_u64(&head, a->hash);
    batch_put(b, a->number, S("h"), buf_slice(&head));
    for (size_t i = 0; i < a->count; i++) {
        if (a->emails[i].dirty) put_email(b, a, &a->emails[i]);
        a->emails[i].dirty = false;
    }
    for (size_t i = 0; i < a->drop_count; i++)
        batch_blob_drop(b, a->number, a->drops[i].eid, a->drops[i].ref, a->drops[i].shared);
    a->drops_told = a->drop_count;
    a->dirty = false;
}

static void gather(void *ctx, PageBatch *b)
{
    FakeHost *h = (FakeHost *)ctx;
    for (uint32_t i = 1; i <= FAKE_ACCOUNTS; i++)
        if (home(h, i) == loop_current() && h->accounts[i].dirty)
            gather_account(b, &h->accounts[i]);
}

static void folded(void *ctx, bool ok)
{
    FakeHost *h = (FakeHost *)ctx;
    for (uint32_t i = 1; i <= FAKE_ACCOUNTS; i++) {
        FakeAccount *a = &h->accounts[i];
        if (home(h, i) != loop_current() || !a->loaded) continue;
        if (ok) {
            a->drop_count -= a->drops_told;
            if (a->drops_told)
                memmove(a->drops, a->drops + a->drops_told, a->drop_count * sizeof *a->drops);
        } else {
            a->dirty = true;
            for (size_t k = 0; k < a->count; k++)
                a->emails[k].dirty = true;
        }
        a->drops_told = 0;
    }
}

PARKS static Err touch(void *ctx, uint32_t acct)
{
    FakeHost *h = (FakeHost *)ctx;
    must(acct >= 1 && acct <= FAKE_ACCOUNTS);
    if (h->refuse_touch) return fail(h->refuse_touch, "the test does not want it");
    if (h->ignores_touch) return OK;
    return load(h, acct);
}

static Err relocated(void *ctx, uint32_t acct, uint32_t eid, uint64_t old_at, BlobRef now)
{
    FakeHost *h = (FakeHost *)ctx;
    FakeAccount *a = &h->accounts[acct];
    FakeEmail *m = fake_email(a, eid);
    h->relocations++;
    if (!m || m->ref.at != old_at) return OK;
    m->ref = now;
    m->dirty = a->dirty = true;
    return OK;
}

static void trouble(void *ctx, Err err, Slice story)
{
    FakeHost *h = (FakeHost *)ctx;
    (void)story;
    if (getenv("ENGINE_TEST_TELL"))
        fprintf(stderr, "trouble: %s: %.*s\n", err_name(err), SP(story));
    h->troubles++;
    h->last_trouble = err;
}

Err fake_open(FakeHost *h, Slice dir, const EngineOptions *options)
{
    *h = (FakeHost){
        .refuse_touch = h->refuse_touch, .ignores_touch = h->ignores_touch, .holes = h->holes};
    EngineHost host = {h, gather, folded, touch, home, relocated, trouble};
    return engine_open(dir, options, &host, &h->engine);
}

void fake_close(FakeHost *h)
{
    engine_close(h->engine);
    for (uint32_t i = 1; i <= FAKE_ACCOUNTS; i++) {
        free(h->accounts[i].emails);
        free(h->accounts[i].drops);
    }
    h->engine = NULL;
    memset(h->accounts, 0, sizeof h->accounts);
}

typedef struct {
    FakeHost *host;
    uint32_t acct;
    Err err;
} Loading;

static PARKS void load_at_home(void *arg)
{
    Loading *l = (Loading *)arg;
    if (!l->host->accounts[l->acct].loaded) l->err = load(l->host, l->acct);
}

/* At its home, where a checkpoint may be looking at it. */
PARKS FakeAccount *fake_account(FakeHost *h, uint32_t acct)
{
    Loading l = {.host = h, .acct = acct};
    loop_call(home(h, acct), load_at_home, &l);
    check_ok(l.err);
    return &h->accounts[acct];
}

/* ---- commits ---- */
static void committed(Commit *commit)
{
    FakeCommit *c = CONTAINER(commit, FakeCommit, commit);
    FakeAccount *a = &c->host->accounts[commit->acct];
    if (!commit->err) {
        check(commit->seq == a->seq + 1);
        apply(a, commit->seq, commit->record, commit->ref);
    } else if (a->next_seq > commit->seq) {
        a->next_seq = commit->seq;
    }
    c->is_over = true;
    cond_signal(&c->ended);
    if (c->then) c->then(c->arg);
}

void fake_hand_over(FakeHost *h, uint32_t acct, FakeCommit *c)
{
    FakeAccount *a = &h->accounts[acct];
    c->host = h;
    c->commit.acct = acct;
    c->commit.seq = a->next_seq++;
    c->commit.record = buf_slice(&c->record);
    c->commit.body = buf_slice(&c->body);
    if (!c->has_no_digest) digest_of(c->commit.body, c->commit.body_sha256);
    c->commit.loop = loop_current();
    c->commit.done = committed;
    engine_commit(h->engine, &c->commit);
}

static void say(FakeCommit *c, uint8_t op, uint32_t eid)
{
    buf_u8(&c->record, op);
    buf_u32(&c->record, eid);
}

static void say_add(FakeCommit *c, uint8_t op, uint32_t eid, uint32_t origin, uint32_t origin_eid,
                    bool shared)
{
    say(c, op, eid);
    buf_u32(&c->record, origin);
    buf_u32(&c->record, origin_eid);
    buf_u8(&c->record, shared);
    c->commit.shared = shared;
    c->commit.eid = eid;
}

/* What this account does at this seq: 45 times of 100 a new email, whose eid is the seq. More than
 * half of them are given up again 5 operations later, so segments become worth compacting. */
static bool adds(uint32_t acct, uint64_t seq)
{
    return seq > 0 && mix(acct, seq) % 100 < 45;
}

static bool drops(uint32_t acct, uint64_t seq)
{
    return seq > 5 && !adds(acct, seq) && adds(acct, seq - 5);
}

static size_t body_len(uint32_t acct, uint64_t seq)
{
    uint64_t x = mix(seq, acct);
    return x % 7 ? x % 3000 + 1 : x % 40000 + 1;
}

static void say_operation(FakeCommit *c, uint32_t acct, uint64_t seq)
{
    if (adds(acct, seq)) {
        say_add(c, 'A', (uint32_t)seq, acct, (uint32_t)seq, false);
        fake_body(&c->body, acct, (uint32_t)seq, body_len(acct, seq));
    } else if (drops(acct, seq)) {
        say(c, 'D', (uint32_t)(seq - 5));
    } else {
        say(c, 'N', 0);
        fake_body(&c->record, acct, (uint32_t)seq, mix(seq, acct) % 200);
    }
}

void fake_begin(FakeHost *h, uint32_t acct, FakeCommit *c)
{
    say_operation(c, acct, h->accounts[acct].next_seq);
    fake_hand_over(h, acct, c);
}

Err fake_wait(FakeCommit *c)
{
    while (!c->is_over)
        cond_wait(&c->ended, NEVER);
    return c->commit.err;
}

void fake_commit_done(FakeCommit *c)
{
    buf_done(&c->record);
    buf_done(&c->body);
}

PARKS static Err finish(FakeHost *h, uint32_t acct, FakeCommit *c)
{
    fake_hand_over(h, acct, c);
    Err err = fake_wait(c);
    fake_commit_done(c);
    return err;
}

Err fake_step(FakeHost *h, uint32_t acct)
{
    FakeCommit c = {0};
    say_operation(&c, acct, h->accounts[acct].next_seq);
    return finish(h, acct, &c);
}

Err fake_add(FakeHost *h, uint32_t acct, size_t len, bool shared, uint32_t *eid)
{
    FakeCommit c = {0};
    *eid = (uint32_t)h->accounts[acct].next_seq;
    say_add(&c, 'A', *eid, acct, *eid, shared);
    fake_body(&c.body, acct, *eid, len);
    return finish(h, acct, &c);
}

Err fake_link(FakeHost *h, uint32_t acct, const FakeEmail *email, uint32_t *eid)
{
    FakeCommit c = {0};
    *eid = (uint32_t)h->accounts[acct].next_seq;
    say_add(&c, 'L', *eid, email->origin, email->origin_eid, email->shared);
    write_ref(&c.record, email->ref);
    c.commit.ref = email->ref;
    return finish(h, acct, &c);
}

Err fake_drop(FakeHost *h, uint32_t acct, uint32_t eid)
{
    FakeCommit c = {0};
    say(&c, 'D', eid);
    return finish(h, acct, &c);
}

Err fake_note(FakeHost *h, uint32_t acct, size_t len)
{
    FakeCommit c = {0};
    say(&c, 'N', 0);
    fake_body(&c.record, acct, 0, len);
    return finish(h, acct, &c);
}

/* ---- directories ---- */
FakeDir fake_dir_new(void)
{
    FakeDir d = {"/tmp/posthouse-engine-XXXXXX"};
    check(mkdtemp(d.path) != NULL);
    return d;
}

void fake_shell(const FakeDir *d, const char *command)
{
    Buf buf_scoped line = {0};
    buf_printf(&line, "export DIR=%s; %s", d->path, command);
    /* NOLINTNEXTLINE(cert-env33-c): a world for tests */
    check(!system(buf_cstr(&line)));
}

void fake_dir_remove(FakeDir *d)
{
    fake_shell(d, "rm -rf $DIR");
}

/* ---- checking ---- */
Err fake_read(FakeHost *h, const FakeEmail *email)
{
    Buf buf_scoped wanted = {0}, got = {0};
    fake_body(&wanted, email->origin, email->origin_eid, email->ref.len);
    TRY(blob_read(h->engine, email->ref, 0, buf_reserve(&got, email->ref.len), email->ref.len));
    got.len = email->ref.len;
    return slice_eq(buf_slice(&got), buf_slice(&wanted)) ? OK : fail(ERR_CONFLICT, "wrong octets");
}

static uint64_t hash_at(uint32_t acct, uint64_t seq)
{
    uint64_t hash = 0;
    for (uint64_t s = 1; s <= seq; s++) {
        uint32_t eid = adds(acct, s) ? (uint32_t)s : drops(acct, s) ? (uint32_t)(s - 5) : 0;
        int op = adds(acct, s) ? 'A' : drops(acct, s) ? 'D' : 'N';
        hash = mix(hash, mix(s, (uint64_t)(op << 8) | eid));
    }
    return hash;
}

PARKS static void check_account(FakeHost *h, uint32_t acct)
{
    FakeAccount *a = fake_account(h, acct);
    check_u64(a->hash, hash_at(acct, a->seq));
    size_t live = 0, wanted = 0;
    for (uint64_t s = 1; s <= a->seq; s++) {
        bool there = adds(acct, s) && !(s + 5 <= a->seq && drops(acct, s + 5));
        FakeEmail *m = fake_email(a, (uint32_t)s);
        wanted += there;
        check(there == (m != NULL));
        if (!m) continue;
        check_u64(m->ref.len, body_len(acct, s));
        check_ok(fake_read(h, m));
    }
    for (size_t i = 0; i < a->count; i++)
        live += a->emails[i].live;
    check_u64(live, wanted);
}

void fake_check_all(FakeHost *h)
{
    for (uint32_t i = 1; i <= FAKE_ACCOUNTS; i++)
        check_account(h, i);
}
