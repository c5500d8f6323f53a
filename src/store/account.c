#include "store/model.h"

#include "run/log.h"

#include <stdlib.h>

enum {
    IDLE_MS = 30 * 1000,      /* an account nobody uses stays loaded so long */
    BIG_BOX_MS = 30 * 1000,   /* and the slots of a large mailbox nobody has open, so long */
    BIG_BOX = 64,             /* from so many pages on */
    TRIM_AT_ONCE = 64,        /* accounts, before somebody else has his turn */
    IDLE_ACCOUNTS = 4096,     /* and so many of them at a loop */
    IDLE_PAGES_MS = 5 * 1000, /* pages it has not asked for are given back */
};

Home *home_here(Store *store)
{
    return &store->homes[loop_index(loop_current())];
}

Err engine_page(Account *a, const PageKey *key, Arena *arena, Reader *in)
{
    Slice value;
    TRY(engine_get(a->store->engine, a->number, page_key_slice(key), arena, &value));
    return page_open(value, in);
}

/* ---- loading ---- */

static Slice keep(Slice s)
{
    char *copy = mem_new(s.len + 1);
    if (s.len) memcpy(copy, s.at, s.len);
    return slice(copy, s.len);
}

static Err load_head(Account *a)
{
    Arena arena arena_scoped = {0};
    PageKey key = page_key('h');
    Reader in;
    a->h = (Head){.next_eid = 1, .next_mailbox = 1, .next_uid_validity = 1, .thread_buckets = 1};
    Err err = engine_page(a, &key, &arena, &in);
    if (!err) err = head_decode(&in, &a->h);
    a->h.login = keep(err ? (Slice){0} : a->h.login);
    return err == ERR_NOT_FOUND ? OK : err;
}

typedef struct {
    Account *account;
    Err err;
} Loading;

static bool load_box(void *arg, Slice key, Slice value)
{
    (void)key;
    Loading *l = arg;
    BoxState s;
    Reader in;
    l->err = page_open(value, &in);
    if (!l->err) l->err = box_decode(&in, &s);
    if (l->err) return false;
    Box *b = NEW(Box);
    b->account = l->account;
    b->s = s;
    b->s.name = name_keep(s.name);
    b->s.acl = s.acl.len ? keep(s.acl) : (Slice){0};
    b->next_uid = s.uid_next;
    list_init(&b->views);
    list_init(&b->opened);
    box_file(l->account, b);
    return true;
}

static Err load_boxes(Account *a)
{
    Loading l = {.account = a};
    TRY(engine_scan(a->store->engine, a->number, S("b"), (Slice){0}, load_box, &l));
    return l.err;
}

static Err load_subscribed(Account *a)
{
    TextTable names = {0};
    Err err = texts_load(a, 'n', &names);
    for (uint32_t i = 0; i < names.count; i++)
        subscribed_set(a, names.texts[i], true);
    text_table_done(&names);
    a->subscribed_state = 0;
    return err;
}

/* A damaged page takes no new place, and keeps nobody from the rest of the account. */
static Err replay_relocation(Account *a, const TailEntry *entry)
{
    Err err = apply_relocation(a, entry->eid, entry->old_at, entry->body);
    if (err != ERR_CORRUPT) return err;
    log_err(LOG_LEVEL_ERROR, "store-relocation", err, KV_NUM("account", a->number));
    return OK;
}

static Err replay(void *arg, const TailEntry *entry)
{
    Account *a = arg;
    if (entry->type == TAIL_RELOCATION) return replay_relocation(a, entry);
    if (entry->seq > a->h.seq) return apply_record(a, entry->seq, entry->record, entry->body);
    return OK;
}

Err account_replay(Account *a)
{
    TRY(engine_tail(a->store->engine, a->number, replay, a));
    a->next_seq = MAX(a->next_seq, a->h.seq + 1); /* compaction asks while records are in flight */
    return OK;
}

static Err load_all(Account *a)
{
    TRY(load_head(a));
    TRY(load_boxes(a));
    TRY(texts_load(a, 'k', &a->keywords));
    TRY(kwsets_load(a));
    TRY(texts_load(a, 'p', &a->prefixes));
    TRY(load_subscribed(a));
    TRY(dead_pages_load(a));
    a->next_eid = a->h.next_eid;
    a->next_mailbox = a->h.next_mailbox;
    a->next_uid_validity = a->h.next_uid_validity;
    return account_replay(a);
}

/* ---- freeing ---- */

static void free_numbered(NumberTable *t)
{
    size_t cursor = 0;
    uint64_t key;
    void *value;
    while (number_table_next(t, &cursor, &key, &value))
        free(value);
    number_table_done(t);
}

static void free_objects(Account *a)
{
    size_t cursor = 0;
    Slice key;
    void *value;
    while (table_next(&a->objects, &cursor, &key, &value)) {
        free((char *)((NewObject *)value)->value.at);
        free(value);
    }
    table_done(&a->objects);
}

static void account_free(Account *a)
{
    list_remove(&a->link);
    list_remove(&a->dirty);
    list_remove(&a->folding);
    if (a->search_free) a->search_free(a->search);
    for (uint32_t i = 0; i < a->box_count; i++)
        box_free(a->boxes[i]);
    free(a->boxes);
    list_each (l, &a->email_pages)
        CONTAINER(l, EmailPage, link)->state = 0;
    email_pages_trim(a, 0);
    number_table_done(&a->email_table);
    free_numbered(&a->dead_pages);
    free_numbered(&a->summaries);
    thread_pages_free(a);
    seen_pages_trim(a, true);
    free_objects(a);
    kwsets_done(a);
    text_table_done(&a->keywords);
    text_table_done(&a->prefixes);
    for (uint32_t i = 0; i < a->subscribed_count; i++)
        name_free(a->subscribed[i]);
    free(a->subscribed);
    free(a->drops);
    free(a->dead_boxes);
    free((char *)a->h.login.at);
    free(a);
}

void account_unload(Account *a)
{
    must(!a->refs && !a->in_flight);
    Home *home = a->home;
    number_table_take(&home->table, a->number);
    home->account_count--;
    account_free(a);
}

bool account_is_clean(const Account *a)
{
    return !a->dirty.next && !a->folding.next;
}

void account_touch(Account *a)
{
    if (!a->dirty.next) list_add(&a->home->dirty, &a->dirty);
}

static Account *account_new(Home *home, uint32_t number)
{
    Account *a = NEW(Account);
    a->store = home->store;
    a->home = home;
    a->number = number;
    list_init(&a->email_pages);
    list_init(&a->listeners);
    list_init(&a->views);
    return a;
}

Err account_load(Store *store, uint32_t number, Account **account)
{
    Home *home = home_here(store);
    Account *a = number_table_get(&home->table, number);
    if (a && a->broken && !a->refs && !a->in_flight && !home->gathering) {
        account_unload(a);
        a = NULL;
    }
    if (!a) {
        a = account_new(home, number);
        Err err = load_all(a);
        if (err) {
            account_free(a);
            return err;
        }
        a->idle_since = now_ms();
        number_table_put(&home->table, number, a);
        list_add(&home->accounts, &a->link);
        home->account_count++;
    }
    if (a->broken) return a->broken; /* and nobody gives back what he did not get */
    *account = a;
    return OK;
}

/* ---- references ---- */

void account_ref(Account *a)
{
    if (!a->refs++) list_remove(&a->link);
}

typedef struct {
    Task task;
    Account *account;
} Closing;

static void close_at_home(Task *t)
{
    Closing *c = CONTAINER(t, Closing, task);
    account_close(c->account);
    free(c);
}

void account_close(Account *a)
{
    if (a && loop_current() != a->home->loop) { /* a session that has gone on elsewhere */
        Closing *c = NEW(Closing);
        *c = (Closing){{.run = close_at_home}, a};
        loop_post(a->home->loop, &c->task);
        return;
    }
    if (!a || --a->refs) return;
    a->idle_since = now_ms();
    list_add(&a->home->accounts, &a->link);
}

PARKS Err account_open(Store *store, uint32_t number, Account **account)
{
    Account *a;
    must(store_home(store, number) == loop_current());
    TRY(account_load(store, number, &a));
    if (!a->h.seq) {
        if (!a->refs && account_is_clean(a)) account_unload(a);
        return fail(ERR_NOT_FOUND, "no account %u", number);
    }
    account_ref(a);
    *account = a;
    return OK;
}

Err account_enter(Account *a, uint32_t most)
{
    if (most && a->sessions >= most) return fail(ERR_LIMIT, "%u sessions are open", a->sessions);
    a->sessions++;
    return OK;
}

void account_leave(Account *a)
{
    if (!a) return;
    must(a->sessions);
    a->sessions--;
}

/* ---- keeping the house in bounds ---- */

static void slim_boxes(Account *a)
{
    bool idle = !a->refs && a->idle_since + IDLE_MS < now_ms();
    for (uint32_t i = 0; i < a->box_count; i++) {
        Box *b = a->boxes[i];
        vanished_trim(b, false);
        bool clean = !(b->state | b->slots_state | b->vanished_state);
        bool big = b->page_count > BIG_BOX && b->idle_since + BIG_BOX_MS < now_ms();
        if (!(idle || big) || b->handles || !b->page_count || !clean) continue;
        a->home->freed_much |= big;
        box_unload(b);
    }
}

/* Slots stay while the account is loaded; what else can be read again goes. */
static void account_slim(Account *a)
{
    if (a->in_flight || a->emails_used + IDLE_PAGES_MS > now_ms()) return;
    email_pages_trim(a, 0);
    thread_pages_trim(a, 0);
    slim_boxes(a);
}

bool home_trim(Home *home)
{
    int64_t old = now_ms() - IDLE_MS;
    uint32_t unloaded = 0;
    list_each (l, &home->accounts) {
        Account *a = CONTAINER(l, Account, link);
        if (home->account_count <= IDLE_ACCOUNTS && a->idle_since > old) return true;
        if (!account_is_clean(a) || a->in_flight) continue;
        if (++unloaded > TRIM_AT_ONCE) return false;
        account_unload(a);
    }
    return true;
}

PARKS void home_slim(Home *home)
{
    size_t cursor = 0;
    uint64_t number;
    void *value;
    while (!home_trim(home)) {
        home->freed_much = true;
        breathe();
    }
    while (number_table_next(&home->table, &cursor, &number, &value)) {
        Account *a = value;
        account_slim(a);
        if (dead_is_due(a)) account_touch(a);
    }
    summary_cache_rest(home);
}

/* The engine is closed: what could not be folded is in the log. */
void home_done(Home *home)
{
    size_t cursor = 0;
    uint64_t number;
    void *value;
    while (number_table_next(&home->table, &cursor, &number, &value))
        account_free(value);
    number_table_done(&home->table);
}

/* ---- small questions ---- */

uint32_t account_number(const Account *a)
{
    return a->number;
}

Slice account_login(const Account *a)
{
    return a->h.login;
}

Store *account_store(const Account *a)
{
    return a->store;
}

uint64_t account_seq(const Account *a)
{
    return a->h.seq;
}

PARKS void account_settle(Account *a)
{
    while (a->in_pieces)
        cond_wait(&a->quiet, NEVER);
}

uint64_t account_names_seq(const Account *a)
{
    return a->h.last_mailbox_seq;
}

Err maildrop_lock(Account *a)
{
    if (a->maildrop_locked) return fail(ERR_IN_USE, "the maildrop is locked by another session");
    a->maildrop_locked = true;
    return OK;
}

void maildrop_unlock(Account *a)
{
    a->maildrop_locked = false;
}

void account_listen(Account *a, Listener *l)
{
    list_add(&a->listeners, &l->link);
}

void account_unlisten(Listener *l)
{
    list_remove(&l->link);
}
