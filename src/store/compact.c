#include "store/local.h"

#include "store/digest.h"

#include <stdlib.h>

/* Compaction: what still lives in a segment where little does is written again at the tail, as
 * relocation records. The owners learn the new place (host->relocated), the next checkpoint writes
 * it down, and gives up the old place like any other body that died. Recovery meets relocation
 * records in the log like changes, so a crash at any point leaves both places or the new one. */

enum {
    LIVE_PERCENT = 40,
    GROUP_BODIES = 64,
    GROUP_OCTETS = 4 * 1024 * 1024,
    PAUSE_MS = 40, /* between groups, when nobody waits: at most 100 MB/s */
};

typedef struct {
    Commit commit;
    Buf record, body;
    uint64_t old_at;
    uint32_t (*owners)[2];
    uint32_t owner_count;
    bool skip;
} Move;

typedef struct {
    Engine *e;
    uint32_t number;
    Walk walk;
    bool walking, over;
    Arena arena; /* of the group */
    Move moves[GROUP_BODIES];
    size_t count;
    size_t waiting; /* commits not done */
    Cond done;
    Err err;
    char story[STORY_ROOM];
} Compaction;

/* ---- which segment ---- */
static bool is_worth_it(const Engine *e, const Segment *s)
{
    bool sealed = s != e->segments[e->segment_count - 1];
    bool folded = lsn_make(s->number, s->end) <= e->checkpoint_lsn;
    uint64_t octets = s->end - MIN(s->end, (uint32_t)SEGMENT_HEADER);
    return sealed && folded && s->live && !s->drained && s->live * 100 < octets * LIVE_PERCENT;
}

static uint32_t choose_segment(Engine *e)
{
    uint32_t number = 0;
    uint64_t least = UINT64_MAX;
    mutex_lock(&e->lock);
    for (size_t i = 0; i < e->segment_count; i++) {
        const Segment *s = e->segments[i];
        if (!is_worth_it(e, s) || s->live >= least) continue;
        number = s->number;
        least = s->live;
    }
    mutex_unlock(&e->lock);
    return number;
}

/* ---- who owns a body ---- */
typedef struct {
    Arena *arena;
    uint32_t (*pairs)[2];
    uint32_t count, room;
} Owners;

static void owners_add(Owners *o, uint32_t acct, uint32_t eid)
{
    if (o->count == o->room) {
        o->room = MAX(4, o->room * 2);
        uint32_t(*more)[2] = arena_alloc(o->arena, array_bytes(o->room, sizeof *more));
        if (o->count) memcpy(more, o->pairs, o->count * sizeof *more);
        o->pairs = more;
    }
    o->pairs[o->count][0] = acct;
    o->pairs[o->count++][1] = eid;
}

static bool share_entry(void *arg, Slice key, Slice value)
{
    uint32_t acct, eid;
    (void)value;
    if (key_share_owner(key, &acct, &eid)) owners_add((Owners *)arg, acct, eid);
    return true;
}

static Err find_owners(Compaction *c, const LogRecord *rec, Move *m)
{
    Owners o = {.arena = &c->arena};
    if (rec->head.flags & FLAG_SHARED)
        TRY(index_scan(c->e->index, key_u64(&c->arena, 's', rec->body.at), (Slice){0}, share_entry,
                       &o));
    if (!o.count) owners_add(&o, rec->head.acct, rec->head.eid);
    m->owners = o.pairs;
    m->owner_count = o.count;
    return OK;
}

/* ---- one group of bodies ---- */
static bool is_wanted(Compaction *c, const LogRecord *rec)
{
    if (!rec->content.len) return false;
    mutex_lock(&c->e->lock);
    bool dead = number_table_get(&c->e->dead, rec->body.at) != NULL;
    bool pinned = number_table_get(&c->e->pins, rec->body.at) != NULL;
    mutex_unlock(&c->e->lock);
    return !dead && !pinned;
}

static Err body_is_whole(const LogRecord *rec, Verdict verdict)
{
    static const uint8_t unknown[32];
    uint8_t sha256[32];
    bool good = verdict == VERDICT_GOOD;
    if (good && memcmp(rec->head.sha256, unknown, sizeof unknown) != 0) {
        digest_of(rec->content, sha256);
        good = !memcmp(sha256, rec->head.sha256, sizeof sha256);
    }
    return good ? OK
                : fail(ERR_CORRUPT, "the body at %llx of account %u is damaged, it stays",
                       (unsigned long long)rec->body.at, rec->head.acct);
}

static Err take_body(Compaction *c, const LogRecord *rec)
{
    Move *m = &c->moves[c->count];
    *m = (Move){.old_at = rec->body.at};
    TRY(find_owners(c, rec, m));
    relocation_encode(&m->record, m->old_at, (const uint32_t(*)[2])m->owners, m->owner_count);
    buf_add(&m->body, rec->content);
    m->commit = (Commit){.acct = m->owners[0][0],
                         .eid = m->owners[0][1],
                         .record = buf_slice(&m->record),
                         .body = buf_slice(&m->body),
                         .shared = rec->head.flags & FLAG_SHARED,
                         .kind = RECORD_RELOCATION};
    memcpy(m->commit.body_sha256, rec->head.sha256, sizeof m->commit.body_sha256);
    c->count++;
    return OK;
}

static Err gather_group(Compaction *c)
{
    size_t octets = 0;
    if (!c->walking) TRY(walk_begin(c->e, c->number, &c->walk));
    c->walking = true;
    while (c->count < GROUP_BODIES && octets < GROUP_OCTETS) {
        LogRecord rec;
        Verdict verdict;
        bool more;
        TRY(walk_next(&c->walk, &rec, &verdict, &more));
        c->over = !more;
        if (!more) return OK;
        if (!is_wanted(c, &rec)) continue;
        if (body_is_whole(&rec, verdict)) {
            engine_trouble(c->e, ERR_CORRUPT, "%s", err_story());
            continue;
        }
        TRY(take_body(c, &rec));
        octets += rec.content.len;
    }
    return OK;
}

static void gather_aside(void *arg)
{
    Compaction *c = (Compaction *)arg;
    c->err = gather_group(c);
    if (c->err) story_keep(c->story, err_story());
}

/* ---- telling the owners ---- */
typedef struct {
    Compaction *c;
    bool tell; /* the new place; else only see that all can be loaded */
} Visit;

PARKS static void visit_owner(Visit *v, Move *m, uint32_t acct, uint32_t eid)
{
    const EngineHost *host = &v->c->e->host;
    if (host->home(host->ctx, acct) != loop_current()) return;
    Err err = host->touch(host->ctx, acct);
    if (!err && v->tell) err = host->relocated(host->ctx, acct, eid, m->old_at, m->commit.ref);
    if (err) {
        engine_trouble(v->c->e, err, "account %u: its body at %llx stays: %s", acct,
                       (unsigned long long)m->old_at, err_story());
        m->skip = true;
    }
}

PARKS static void visit_here(void *arg)
{
    Visit *v = (Visit *)arg;
    for (size_t i = 0; i < v->c->count; i++) {
        Move *m = &v->c->moves[i];
        for (uint32_t k = 0; k < m->owner_count && !m->skip; k++)
            visit_owner(v, m, m->owners[k][0], m->owners[k][1]);
    }
}

PARKS static void visit_owners(Compaction *c, bool tell)
{
    Visit v = {c, tell};
    for (unsigned i = 0; i < loop_count(); i++)
        loop_call(loop_at(i), visit_here, &v);
}

static void move_is_durable(Commit *commit)
{
    Move *m = CONTAINER(commit, Move, commit);
    Compaction *c = (Compaction *)m->commit.host;
    if (!--c->waiting) cond_signal(&c->done);
}

PARKS static Err write_group(Compaction *c)
{
    for (size_t i = 0; i < c->count; i++) {
        Move *m = &c->moves[i];
        if (m->skip) continue;
        m->commit.loop = loop_current();
        m->commit.done = move_is_durable;
        m->commit.host = c;
        c->waiting++;
        engine_commit(c->e, &m->commit);
    }
    while (c->waiting)
        cond_wait(&c->done, NEVER);
    for (size_t i = 0; i < c->count; i++)
        if (!c->moves[i].skip && c->moves[i].commit.err)
            return fail(c->moves[i].commit.err, "compaction of segment %u", c->number);
    return OK;
}

/* The old place is known as moved before any owner drops it by that name. An owner that could be
 * loaded a moment ago and cannot now keeps the old place alive. */
PARKS static void announce_group(Compaction *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (!c->moves[i].skip && !c->moves[i].commit.err)
            moved_put(c->e, c->moves[i].old_at, c->moves[i].commit.ref);
        else
            c->moves[i].skip = true;
    visit_owners(c, true);
    for (size_t i = 0; i < c->count; i++)
        if (c->moves[i].skip) moved_forget(c->e, c->moves[i].old_at);
    for (size_t i = 0; i < c->count; i++)
        if (c->moves[i].commit.batch) log_applied(c->e, (LogBatch *)c->moves[i].commit.batch);
}

static void group_done(Compaction *c)
{
    for (size_t i = 0; i < c->count; i++) {
        buf_done(&c->moves[i].record);
        buf_done(&c->moves[i].body);
    }
    c->count = 0;
    arena_reset(&c->arena);
}

PARKS static Err move_group(Compaction *c)
{
    aside(gather_aside, c);
    if (c->err) return fail(c->err, "%s", c->story);
    if (!c->count) return OK;
    visit_owners(c, false);
    Err err = write_group(c);
    announce_group(c);
    TRY(err);
    return checkpoint_run(c->e);
}

PARKS static void pause_between(Engine *e, bool in_a_hurry)
{
    Cond nobody = {0};
    if (!in_a_hurry && !e->closing) cond_wait(&nobody, now_ms() + PAUSE_MS);
}

Err compact_round(Engine *e, bool in_a_hurry)
{
    uint32_t number = choose_segment(e);
    if (!number) return OK;
    Compaction *c = NEW(Compaction);
    c->e = e;
    c->number = number;
    Err err = OK;
    while (!c->over && !err && !e->closing) {
        err = move_group(c);
        group_done(c);
        pause_between(e, in_a_hurry);
    }
    if (c->walking) walk_end(&c->walk);
    arena_done(&c->arena);
    mutex_lock(&e->lock);
    Segment *s = segment_find(e, number);
    if (s && c->over && !err) s->drained = true;
    mutex_unlock(&e->lock);
    free(c);
    return err;
}
