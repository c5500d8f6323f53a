/* Several clients of different age act at random on the mailboxes of one account, in the simulated
 * world: one with message numbers only, one with CONDSTORE, one that comes back with QRESYNC, one
 * with UIDONLY, one of IMAP4rev2, two with NOTIFY, and some of another user to whom they are
 * shared, who has a \Seen of his own and is at home on another loop; beside them mail is delivered
 * and a maildrop emptied. A trivial model knows what every command means. After every step those
 * who are told without asking, and some of the others, have to see exactly what the model says.
 *
 * In every other world the sessions are taken up from their records between any two commands.
 *
 * POSTHOUSE_SEED=n runs that one world only, POSTHOUSE_STEPS=n so many steps instead of 100,000. */
#include "imap/sync_client.h"
#include "run/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    STEPS = 2000,
    CLIENTS = 13,
    OWNERS = 9,
    CROWD = 24,
    DISK_BYTES = 1024 * 1024 * 1024,
    BUSY = 4
};

/* ---- the model ---- */

typedef struct {
    uint32_t uid;
    uint8_t flags;
    bool seen_by_other;
} ModelMessage;
typedef struct {
    ModelMessage list[ENTRIES_MOST];
    uint32_t count, uid_next;
} ModelBox;
typedef struct {
    ModelBox boxes[BOXES];
    bool names[NAMES], subscribed[NAMES];
} Model;

typedef struct {
    uint64_t seed;
    Store *store;
    ImapConfig config;
    uint32_t acct;
    AuthUser users[2];
    int open; /* sessions */
    unsigned step;
    Model model;
    SyncClient clients[CLIENTS];
} World;

static const char *const box_names[BOXES] = {"INBOX", "a", "b"};
static const char *const shared_names[BOXES] = {"Shared/owner/INBOX", "Shared/owner/a",
                                                "Shared/owner/b"};

static uint32_t below(uint32_t n)
{
    return (uint32_t)(sim_random() % n);
}

static ModelMessage *model_find(ModelBox *b, uint32_t uid)
{
    for (uint32_t i = 0; i < b->count; i++)
        if (b->list[i].uid == uid) return &b->list[i];
    return NULL;
}

static void model_add(ModelBox *b, uint8_t flags)
{
    b->list[b->count++] = (ModelMessage){b->uid_next++, flags, false};
}

static void model_remove(ModelBox *b, uint32_t uid)
{
    ModelMessage *m = model_find(b, uid);
    if (!m) return;
    memmove(m, m + 1, (size_t)(b->list + b->count - m - 1) * sizeof *m);
    b->count--;
}

/* With the eyes of one of the two. */
static uint8_t model_flags(const ModelMessage *m, unsigned who)
{
    return who ? (m->flags & (uint8_t)~FLAG_SEEN) | (m->seen_by_other ? FLAG_SEEN : 0) : m->flags;
}

static void model_set_flags(ModelMessage *m, unsigned who, uint8_t flags)
{
    if (!who) {
        m->flags = flags;
        return;
    }
    m->flags = (m->flags & FLAG_SEEN) | (flags & (uint8_t)~FLAG_SEEN);
    m->seen_by_other = flags & FLAG_SEEN;
}

static uint32_t model_unseen(const ModelBox *b, unsigned who)
{
    uint32_t unseen = 0;
    for (uint32_t i = 0; i < b->count; i++)
        unseen += !(model_flags(&b->list[i], who) & FLAG_SEEN);
    return unseen;
}

/* ---- connections ---- */

typedef struct {
    World *w;
    Stream *stream;
    const AuthUser *user;
} Serving;

static void has_ended(void *arg)
{
    __atomic_sub_fetch(&((World *)arg)->open, 1, __ATOMIC_SEQ_CST);
}

PARKS_UNCHECKED static void serve(void *arg)
{
    Serving v = *(Serving *)arg;
    free(arg);
    imap_serve_known(v.stream, &v.w->config, v.user, has_ended, v.w);
}

PARKS static void must_ask(SyncClient *c, const char *fmt, ...) PRINTF(2, 3);
PARKS static void must_ask(SyncClient *c, const char *fmt, ...)
{
    Buf line buf_scoped = {0};
    va_list args;
    va_start(args, fmt);
    buf_vprintf(&line, fmt, args);
    va_end(args);
    if (!sync_ask(c, "%.*s", SP(buf_slice(&line)))) sync_failed(c, "the answer was %s", c->done);
}

PARKS static void connect_client(World *w, SyncClient *c)
{
    static const char *const enable[] = {
        [CONDSTORE] = "CONDSTORE",
        [QRESYNC] = "QRESYNC",
        [UIDONLY] = "UIDONLY",
        [REV2] = "IMAP4rev2",
        [NOTIFYING_UIDONLY] = "UIDONLY CONDSTORE",
    };
    Serving *v = NEW(Serving);
    v->w = w;
    v->user = &w->users[c->who];
    Err err = stream_pair(&c->stream, &v->stream);
    must(!err);
    __atomic_add_fetch(&w->open, 1, __ATOMIC_SEQ_CST);
    fiber_start("imap", serve, v);
    c->idling = false;
    c->box = -1;
    sync_greeting(c);
    if (c->kind < COUNT(enable) && enable[c->kind]) must_ask(c, "ENABLE %s", enable[c->kind]);
}

PARKS static void disconnect(SyncClient *c)
{
    if (below(2)) (void)sync_ask(c, "LOGOUT");
    stream_free(c->stream);
    c->stream = NULL;
}

/* ---- what a client does to see everything ---- */

/* Messages it only counted are asked for. */
PARKS static void fill(SyncClient *c)
{
    Entry *first;
    while ((first = sync_entry(c, 0))) {
        uint32_t at = (uint32_t)(first - c->view);
        if (sync_is_uid_only(c))
            must_ask(c, "UID FETCH %u:* (UID FLAGS)", c->complete + 1);
        else if (sync_by_uid(c))
            must_ask(c, "UID FETCH %u:* (UID FLAGS)", at ? c->view[at - 1].uid + 1 : 1);
        else
            must_ask(c, "FETCH %u:%u (UID FLAGS)", at + 1, c->count);
    }
    if (c->count) c->complete = MAX(c->complete, c->view[c->count - 1].uid);
}

/* In IDLE a client without numbers cannot know which of the new ones it has heard of. */
static void compare_known(World *w, SyncClient *c)
{
    ModelBox *b = &w->model.boxes[c->box];
    if (c->count != b->count)
        sync_failed(c, "step %u: %u messages, not %u", w->step, b->count, c->count);
    for (uint32_t i = 0; i < c->count; i++) {
        const Entry *e = &c->view[i];
        const ModelMessage *m = e->uid ? model_find(b, e->uid) : NULL;
        if (e->uid && !m) sync_failed(c, "step %u: there is no uid %u", w->step, e->uid);
        if (m && e->flags_known && model_flags(m, c->who) != e->flags)
            sync_failed(c, "step %u: uid %u has flags %02x, not %02x", w->step, m->uid, m->flags,
                        e->flags);
    }
}

static void compare_view(World *w, SyncClient *c)
{
    const ModelBox *b = &w->model.boxes[c->box];
    if (sync_is_uid_only(c) && sync_entry(c, 0)) {
        compare_known(w, c);
        return;
    }
    for (uint32_t i = 0; i < b->count; i++)
        if (i < c->count && c->view[i].uid && c->view[i].uid != b->list[i].uid)
            sync_failed(c, "step %u: message %u is uid %u, not %u", w->step, i + 1, b->list[i].uid,
                        c->view[i].uid);
    if (c->count != b->count)
        sync_failed(c, "step %u: %u messages, not %u", w->step, b->count, c->count);
    for (uint32_t i = 0; i < b->count; i++)
        if (c->view[i].flags_known && c->view[i].flags != model_flags(&b->list[i], c->who))
            sync_failed(c, "step %u: uid %u has flags %02x, not %02x", w->step, b->list[i].uid,
                        b->list[i].flags, c->view[i].flags);
}

static void compare_told(World *w, SyncClient *c)
{
    for (int i = 0; i < BOXES; i++) {
        const ModelBox *b = &w->model.boxes[i];
        const Told *t = &c->told[i];
        if (i == c->box || !t->known) continue;
        if (t->messages != b->count || t->uid_next != b->uid_next ||
            t->unseen != model_unseen(b, c->who))
            sync_failed(c, "step %u: %s has %u messages, uidnext %u, %u unseen, not %u, %u, %u",
                        w->step, box_names[i], b->count, b->uid_next, model_unseen(b, c->who),
                        t->messages, t->uid_next, t->unseen);
    }
    for (int i = 0; !c->who && i < NAMES; i++)
        if (c->names[i] != w->model.names[i] || c->subscribed[i] != w->model.subscribed[i])
            sync_failed(c, "step %u: x%d: there %d, subscribed %d, not %d, %d", w->step, i,
                        w->model.names[i], w->model.subscribed[i], c->names[i], c->subscribed[i]);
}

/* By asking. */
PARKS static void look(World *w, SyncClient *c)
{
    if (c->box >= 0 && !c->idling) {
        must_ask(c, "NOOP");
        fill(c);
        c->synced = c->modseq;
    }
    if (c->box >= 0) compare_view(w, c);
    if (sync_notifies(c)) compare_told(w, c);
}

/* Those that are told without asking. */
PARKS static void listen(World *w, SyncClient *c)
{
    sync_listen(c);
    if (c->box >= 0) compare_view(w, c);
    if (sync_notifies(c)) compare_told(w, c);
}

/* What the client did itself it is not told: it asks. */
PARKS static void refresh(SyncClient *c)
{
    if (!sync_notifies(c)) return;
    fill(c);
    for (int i = 0; i < BOXES; i++)
        if (i != c->box) must_ask(c, "STATUS %s (MESSAGES UIDNEXT UNSEEN)", c->boxes[i]);
    if (c->who) return;
    memset(c->names, 0, sizeof c->names);
    memset(c->subscribed, 0, sizeof c->subscribed);
    must_ask(c, "LIST \"\" x%%");
    must_ask(c, "LIST (SUBSCRIBED) \"\" x%%");
}

static void remember(SyncClient *c)
{
    c->old_count = 0;
    for (uint32_t i = 0; i < c->count && c->view[i].uid && c->view[i].flags_known; i++)
        c->old[c->old_count++] = c->view[i];
}

/* What QRESYNC did not mention is as it was. */
static void recall(SyncClient *c)
{
    for (uint32_t i = 0; i < c->old_count; i++) {
        if (i >= c->count) sync_failed(c, "uid %u is gone without a word", c->old[i].uid);
        Entry *e = &c->view[i];
        if (e->uid && e->uid != c->old[i].uid)
            sync_failed(c, "message %u was uid %u, not %u", i + 1, c->old[i].uid, e->uid);
        if (!e->flags_known) *e = c->old[i];
    }
    c->old_count = 0;
}

PARKS static void select_box(World *w, SyncClient *c, int box, bool resync)
{
    bool again = resync && c->kind == QRESYNC && c->box == box && c->synced;
    if (c->kind == QRESYNC && again) remember(c);
    c->count = c->complete = 0;
    c->box = box;
    memset(c->told, 0, sizeof c->told);
    if (again) {
        must_ask(c, "SELECT %s (QRESYNC (%u %llu))", c->boxes[box], c->validity,
                 (unsigned long long)c->synced);
        recall(c);
    } else {
        must_ask(c, "SELECT %s", c->boxes[box]);
        c->modseq = 0;
    }
    refresh(c);
    look(w, c);
}

PARKS static void begin(World *w, SyncClient *c)
{
    connect_client(w, c);
    if (sync_notifies(c)) {
        must_ask(c,
                 "NOTIFY SET STATUS (selected (MessageNew (UID FLAGS) MessageExpunge FlagChange))"
                 " (%s (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange))",
                 c->who ? "subtree Shared" : "personal");
        refresh(c);
        compare_told(w, c);
    }
    select_box(w, c, (int)below(BOXES), false);
}

/* ---- actions ---- */

typedef struct {
    uint32_t uids[8];
    size_t count;
    char text[128]; /* as this client names them */
} Some;

/* Some messages of its view. */
static Some some_of(SyncClient *c, size_t most)
{
    Some s = {0};
    Buf text buf_scoped = {0};
    for (uint32_t i = 0; i < c->count && s.count < most; i++) {
        if (!c->view[i].uid || below(c->count) >= most) continue;
        s.uids[s.count++] = c->view[i].uid;
        if (text.len) buf_char(&text, ',');
        buf_number(&text, sync_by_uid(c) ? c->view[i].uid : i + 1);
    }
    snprintf(s.text, sizeof s.text, "%.*s", SP(buf_slice(&text)));
    return s;
}

static const char *uid(const SyncClient *c)
{
    return sync_by_uid(c) ? "UID " : "";
}

static const char *flag_text(uint8_t flags)
{
    static const char *const names[] = {"\\Seen",  "\\Answered", "\\Flagged", "\\Deleted",
                                        "\\Draft", "k1",         "k2",        "k3"};
    static char text[128];
    size_t len = 0;
    text[0] = 0;
    for (unsigned i = 0; i < COUNT(names); i++)
        if (flags >> i & 1)
            len +=
                (size_t)snprintf(text + len, sizeof text - len, "%s%s", len ? " " : "", names[i]);
    return text;
}

static uint8_t changed(uint8_t flags, unsigned how, uint8_t some)
{
    return how == 0 ? flags | some : how == 1 ? flags & (uint8_t)~some : some;
}

static void model_store(World *w, const SyncClient *c, const Some *s, unsigned how, uint8_t flags)
{
    for (size_t i = 0; i < s->count; i++) {
        ModelMessage *m = model_find(&w->model.boxes[c->box], s->uids[i]);
        if (m) model_set_flags(m, c->who, changed(model_flags(m, c->who), how, flags));
    }
}

PARKS static void store(World *w, SyncClient *c)
{
    static const char *const words[] = {"+FLAGS", "-FLAGS", "FLAGS"};
    Some s = some_of(c, 3);
    unsigned how = below(3);
    bool silent = below(3) == 0;
    uint8_t flags = (uint8_t)(1 + below(255));
    if (!s.count) return;
    must_ask(c, "%sSTORE %s %s%s (%s)", uid(c), s.text, words[how], silent ? ".SILENT" : "",
             flag_text(flags));
    model_store(w, c, &s, how, flags);
    for (size_t i = 0; silent && i < s.count; i++) {
        Entry *e = sync_entry(c, s.uids[i]);
        const ModelMessage *m = model_find(&w->model.boxes[c->box], s.uids[i]);
        /* Others' changes may have been told with the answer; then ours is among them. */
        if (e && e->flags_known && !(m && e->flags == model_flags(m, c->who)))
            e->flags = changed(e->flags, how, flags);
    }
}

PARKS static void expunge(World *w, SyncClient *c)
{
    ModelBox *b = &w->model.boxes[c->box];
    Some s = some_of(c, 4);
    bool by_uid = below(2) && s.count;
    if (by_uid) {
        Buf set buf_scoped = {0};
        for (size_t i = 0; i < s.count; i++)
            buf_printf(&set, "%s%u", i ? "," : "", s.uids[i]);
        must_ask(c, "UID EXPUNGE %.*s", SP(buf_slice(&set)));
    } else {
        must_ask(c, "EXPUNGE");
    }
    for (uint32_t i = b->count; i-- > 0;) {
        bool named = !by_uid;
        for (size_t k = 0; k < s.count; k++)
            named = named || s.uids[k] == b->list[i].uid;
        if (named && (b->list[i].flags & FLAG_DELETED)) model_remove(b, b->list[i].uid);
    }
}

PARKS static void copy_or_move(World *w, SyncClient *c)
{
    int to = (int)below(BOXES);
    bool move = below(2) && to != c->box;
    ModelBox *from = &w->model.boxes[c->box], *dest = &w->model.boxes[to];
    Some s = some_of(c, 3);
    if (!s.count || (!move && dest->count > CROWD)) return;
    must_ask(c, "%s%s %s %s", uid(c), move ? "MOVE" : "COPY", s.text, box_names[to]);
    for (size_t i = 0; i < s.count; i++) {
        ModelMessage *m = model_find(from, s.uids[i]);
        if (!m) continue;
        model_add(dest, m->flags);
        if (move) model_remove(from, s.uids[i]);
    }
    refresh(c);
}

PARKS static void append(World *w, SyncClient *c)
{
    static const char body[] = "Subject: x\r\n\r\nyes\r\n";
    int to = (int)below(BOXES);
    uint8_t flags = (uint8_t)below(256);
    if (w->model.boxes[to].count > CROWD) return;
    must_ask(c, "APPEND %s (%s) {%zu+}\r\n%s", box_names[to], flag_text(flags), sizeof body - 1,
             body);
    model_add(&w->model.boxes[to], flags);
    refresh(c);
}

PARKS static void read_body(World *w, SyncClient *c)
{
    Some s = some_of(c, 1);
    if (!s.count) return;
    bool ok = sync_ask(c, "%sFETCH %s BODY[TEXT]", uid(c), s.text);
    ModelMessage *m = model_find(&w->model.boxes[c->box], s.uids[0]);
    if (!ok && m) sync_failed(c, "the answer was %s", c->done);
    if (m) model_set_flags(m, c->who, model_flags(m, c->who) | FLAG_SEEN);
}

PARKS static void search(World *w, SyncClient *c)
{
    ModelBox *b = &w->model.boxes[c->box];
    look(w, c);
    must_ask(c, "UID SEARCH FLAGGED NOT KEYWORD k1");
    uint32_t at = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        if ((b->list[i].flags & (FLAG_FLAGGED | FLAG_K1)) != FLAG_FLAGGED) continue;
        if (at >= c->found_count || c->found[at++] != b->list[i].uid)
            sync_failed(c, "SEARCH did not find uid %u", b->list[i].uid);
    }
    if (at != c->found_count) sync_failed(c, "SEARCH found %u too many", c->found_count - at);
}

PARKS static void names(World *w, SyncClient *c)
{
    Model *m = &w->model;
    unsigned i = below(NAMES), k = below(NAMES);
    switch (below(4)) {
    case 0:
        if (m->names[i]) return;
        must_ask(c, "CREATE x%u", i);
        m->names[i] = true;
        break;
    case 1:
        if (!m->names[i]) return;
        must_ask(c, "DELETE x%u", i);
        m->names[i] = false;
        break;
    case 2:
        if (!m->names[i] || m->names[k]) return;
        must_ask(c, "RENAME x%u x%u", i, k);
        m->names[i] = false, m->names[k] = true;
        m->subscribed[k] = m->subscribed[k] || m->subscribed[i];
        break;
    default:
        m->subscribed[i] = !m->subscribed[i];
        must_ask(c, "%s x%u", m->subscribed[i] ? "SUBSCRIBE" : "UNSUBSCRIBE", i);
        break;
    }
    refresh(c);
}

/* Two at once, in an order nobody knows: what they do commutes. */
PARKS static void two_at_once(World *w, SyncClient *c, SyncClient *other)
{
    if (other == c || other->idling || other->box < 0) return;
    Some s = some_of(c, 3), o = some_of(other, 3);
    uint8_t flags = 1 + (uint8_t)below(15), others = (uint8_t)(32 << below(3));
    unsigned how = below(2), other_how = below(2);
    if (!s.count || !o.count) return;
    sync_send(c, "%sSTORE %s %cFLAGS (%s)", uid(c), s.text, "+-"[how], flag_text(flags));
    sync_send(other, "%sSTORE %s %cFLAGS (%s)", uid(other), o.text, "+-"[other_how],
              flag_text(others));
    if (!sync_finish(c)) sync_failed(c, "the answer was %s", c->done);
    if (!sync_finish(other)) sync_failed(other, "the answer was %s", other->done);
    model_store(w, c, &s, how, flags);
    model_store(w, other, &o, other_how, others);
}

/* ---- those without a session of IMAP ---- */

PARKS static void deliver(World *w)
{
    Draft *draft scoped(draft) = NULL;
    Delivery d = {.acct = w->acct, .mailbox = S("INBOX")};
    if (w->model.boxes[0].count > CROWD) return;
    must(!draft_begin(w->store, 0, &draft));
    must(!draft_write(draft, S("Subject: delivered\r\n\r\nmail\r\n")));
    draft_deliver(draft, &d, 1);
    must(!d.err);
    model_add(&w->model.boxes[0], 0);
}

/* What POP3 does with QUIT, at the account's home. */
typedef struct {
    World *w;
    uint32_t uid;
} Emptying;

PARKS_UNCHECKED static void empty(void *arg)
{
    Emptying *e = arg;
    Arena arena arena_scoped = {0};
    Account *account scoped(account) = NULL;
    Mailbox *box scoped(mailbox) = NULL;
    UidSet uids = {0};
    must(!account_open(e->w->store, e->w->acct, &account));
    must(!mailbox_open(account, e->w->acct, S("INBOX"), &box));
    uidset_add(&arena, &uids, e->uid, e->uid);
    must(!mailbox_expunge(box, &uids, true, &arena, NULL));
}

PARKS static void dele(World *w)
{
    ModelBox *b = &w->model.boxes[0];
    if (!b->count) return;
    Emptying e = {.w = w, .uid = b->list[below(b->count)].uid};
    loop_call(store_home(w->store, w->acct), empty, &e);
    model_remove(b, e.uid);
}

/* ---- a step ---- */

PARKS static void stop_idling(SyncClient *c)
{
    if (!c->idling) return;
    stream_put(c->stream, S("DONE\r\n"));
    (void)stream_flush(c->stream);
    c->idling = false;
    if (!sync_finish(c)) sync_failed(c, "the answer to DONE was %s", c->done);
    if (c->box >= 0) fill(c);
}

PARKS static void act(World *w, SyncClient *c)
{
    unsigned what = below(100);
    stop_idling(c);
    if (c->who && ((what >= 36 && what < 58) || (what >= 83 && what < 88))) what = below(26);
    if (what < 26)
        store(w, c);
    else if (what < 36)
        expunge(w, c);
    else if (what < 46)
        copy_or_move(w, c);
    else if (what < 58)
        append(w, c);
    else if (what < 64)
        deliver(w);
    else if (what < 67)
        dele(w);
    else if (what < 71)
        read_body(w, c);
    else if (what < 75)
        search(w, c);
    else if (what < 80)
        select_box(w, c, below(3) ? (int)below(BOXES) : c->box, below(2));
    else if (what < 83) {
        int box = c->box;
        disconnect(c);
        if (c->kind == QRESYNC && below(3)) {
            connect_client(w, c);
            c->box = box;
            select_box(w, c, box, true);
        } else {
            begin(w, c);
        }
    } else if (what < 88)
        names(w, c);
    else if (what < 94)
        two_at_once(w, c, &w->clients[below(CLIENTS)]);
    else {
        sync_send(c, "IDLE");
        c->idling = true;
    }
}

PARKS static void step(World *w)
{
    act(w, &w->clients[below(CLIENTS)]);
    (void)fiber_sleep(2); /* all that is to be told arrives */
    for (unsigned i = 0; i < CLIENTS; i++) {
        SyncClient *c = &w->clients[i];
        if (c->idling || sync_notifies(c))
            listen(w, c);
        else if (below(3) == 0)
            look(w, c);
    }
}

/* ---- a world ---- */

PARKS static void world_begin(World *w)
{
    static const Kind kinds[CLIENTS] = {
        PLAIN, CONDSTORE, QRESYNC, UIDONLY,           REV2,    QRESYNC, NOTIFYING_UIDONLY,
        PLAIN, NOTIFYING, PLAIN,   NOTIFYING_UIDONLY, UIDONLY, QRESYNC};
    static const char *const logins[] = {"owner", "other"};
    StoreOptions options = {
        .engine = {.index_in_memory = true, .segment_bytes = 1 << 20}
    };
    must(!store_open(S("store"), &options, &w->store));
    for (unsigned i = 0; i < 2; i++) {
        AuthUser *user = &w->users[i];
        must(!store_create_account(w->store, slice_of(logins[i]), &user->acct));
        snprintf(user->login, sizeof user->login, "%s", logins[i]);
    }
    w->acct = w->users[0].acct;
    w->config = (ImapConfig){.store = w->store,
                             .hostname = S("sim.example.org"),
                             .shared_namespace = true,
                             .resume_always = w->seed % 2};
    for (unsigned i = 0; i < BOXES; i++)
        w->model.boxes[i].uid_next = 1;
    for (unsigned i = 0; i < CLIENTS; i++) {
        SyncClient *c = &w->clients[i];
        c->kind = kinds[i];
        c->number = i;
        c->seed = w->seed;
        c->who = i >= OWNERS;
        c->boxes = c->who ? shared_names : box_names;
    }
    SyncClient *first = &w->clients[0];
    connect_client(w, first);
    for (unsigned i = 1; i < BOXES; i++)
        must_ask(first, "CREATE %s", box_names[i]);
    for (unsigned i = 0; i < BOXES; i++)
        must_ask(first, "SETACL %s other lrswite", box_names[i]);
    disconnect(first);
    for (unsigned i = 0; i < CLIENTS; i++)
        begin(w, &w->clients[i]);
}

PARKS static void world_end(World *w)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        stream_free(w->clients[i].stream);
    while (__atomic_load_n(&w->open, __ATOMIC_SEQ_CST))
        (void)fiber_sleep(1);
    store_close(w->store);
}

PARKS_UNCHECKED static void live(void *arg)
{
    World *w = arg;
    world_begin(w);
    for (w->step = 0; w->step < STEPS; w->step++)
        step(w);
    world_end(w);
}

static bool one_world(uint64_t seed)
{
    World *w = NEW(World);
    SimDisk *disk = sim_disk_new(DISK_BYTES);
    SimConfig config = {.seed = seed, .disk = disk, .disk_latency_us = 100, .net_latency_us = 20};
    config.loops = 2;
    w->seed = seed;
    int code = 0;
    Err err = sim_run_child(&config, live, w, &code);
    if (err || code) printf("seed %llu: exit %d\n", (unsigned long long)seed, code);
    sim_disk_free(disk);
    free(w);
    return !err && !code;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    uint64_t value;
    const char *text = getenv(name);
    return text && slice_to_u64(slice_of(text), &value) ? value : otherwise;
}

int main(void)
{
    uint64_t only = number_of("POSTHOUSE_SEED", 0), wanted = number_of("POSTHOUSE_STEPS", 100000);
    unsigned passed = 0, failed = 0;
    for (uint64_t seed = only ? only : 1; (seed - 1) * STEPS < wanted || only; seed++) {
        if (one_world(seed))
            passed++;
        else
            failed++;
        if (only || failed == BUSY) break;
    }
    printf("%llu steps\n%u passed, %u failed\n", (unsigned long long)(passed + failed) * STEPS,
           passed, failed);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
