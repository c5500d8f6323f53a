#include "store/signature.h"

#include "mail/casemap.h"
#include "mail/header.h"
#include "mail/mail.h"
#include "run/log.h"
#include "store/model.h"
#include "store/sigfile.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    PENDING_MOST = 256 * 1024,      /* octets of one account that wait in memory ... */
    ALL_MOST = 32 * 1024 * 1024,    /* ... and of all, before they are written ... */
    PENDING_STOP = 8 * 1024 * 1024, /* ... and when the disk does not keep up */
    MISSED_MOST = 1024 * 1024,      /* messages to be learnt; the next search misses the others */
    CUT_AT = MAIL_TEXT_MOST - 8,    /* the cut goes back to a whole character */
};

/* Account.search. The home loop owns it while nobody is busy; while busy, a helper thread does,
 * except for pending, idle, orphan and broken. */
typedef struct {
    Store *store;
    uint32_t acct;
    bool busy, orphan;
    bool asked;         /* a search used it: the file stays open */
    atomic_bool broken; /* the file cannot be used, or is gone: everything is a candidate */
    SigFile *file;
    Buf pending, writing; /* chunks */
    Buf path;
    Cond idle;
    Job job;
    uint32_t *missed; /* taken from the end */
    size_t missed_count, missed_room;
    enum { NOT_LEARNING, GATHERING, LEARNING } learning;
} Search;

static void search_end(Search *s)
{
    sigfile_close(s->file);
    buf_done(&s->pending);
    buf_done(&s->writing);
    buf_done(&s->path);
    free(s->missed);
    free(s);
}

/* ---- texts ---- */

bool signature_is_whole(Slice body_text)
{
    return body_text.len < CUT_AT;
}

/* Fields are folded one by one, so that a long header needs no second copy of itself. */
void signature_header_text(Buf *out, Slice header, MailFold *fold)
{
    if (!fold) fold = casemap;
    HeaderField f = {0};
    Buf field buf_scoped = {0};
    header = slice_first(header, MAIL_TEXT_MOST);
    while (header_next(header, &f)) {
        buf_clear(&field);
        buf_add(&field, f.name);
        buf_add(&field, S(": "));
        header_search_text(&field, f.name, f.value);
        fold(out, buf_slice(&field));
        buf_char(out, '\n');
    }
}

/* ---- on a helper thread ---- */

static Err write_pending(Search *s)
{
    if (s->broken) return OK;
    if (s->file && !s->writing.len) return OK; /* nothing has come since it was tidy */
    if (!s->file) {
        TRY(sigfile_open(buf_slice(&s->path), s->acct, &s->file));
    }
    TRY(sigfile_append(s->file, buf_slice(&s->writing)));
    return sigfile_tidy(s->file);
}

/* What cannot be written is forgotten: those messages are candidates until they are read. */
static void bring_up(Search *s)
{
    Err err = write_pending(s);
    buf_done(&s->writing);
    if (!err) return;
    sigfile_close(s->file);
    s->file = NULL;
    if (err == ERR_IN_USE) return; /* by the account's previous life: soon gone */
    s->broken = true;
    log_err(LOG_LEVEL_WARN, "search_index", err, KV_NUM("account", s->acct));
}

static void write_job(Job *job)
{
    Search *s = CONTAINER(job, Search, job);
    bring_up(s);
    if (s->asked) return;
    sigfile_close(s->file);
    s->file = NULL;
}

static void last_job(Job *job)
{
    Search *s = CONTAINER(job, Search, job);
    bring_up(s);
    atomic_uint *orphans = &s->store->signature_orphans;
    search_end(s);
    atomic_fetch_sub(orphans, 1);
}

/* ---- on the home loop ---- */

static void take_pending(Search *s)
{
    atomic_fetch_sub(&s->store->signature_pending, s->pending.len);
    s->writing = s->pending;
    s->pending = (Buf){0};
}

static void write_last(Search *s)
{
    take_pending(s);
    s->job = (Job){.work = last_job};
    aside_post(&s->job);
}

static void written(Job *job)
{
    Search *s = CONTAINER(job, Search, job);
    s->busy = false;
    if (s->orphan)
        write_last(s);
    else
        cond_broadcast(&s->idle);
}

static void search_free(void *search)
{
    Search *s = search;
    if (!s->busy && !s->pending.len) {
        search_end(s);
        return;
    }
    atomic_fetch_add(&s->store->signature_orphans, 1);
    s->orphan = true;
    if (!s->busy) write_last(s);
}

void signature_make_dir(Slice store_dir)
{
    Arena a arena_scoped = {0};
    Err err = path_mkdir(arena_printf(&a, "%.*s/search", SP(store_dir)));
    if (err) log_err(LOG_LEVEL_WARN, "search_index", err, KV_NUM("account", 0));
}

static Search *search_of(Account *a)
{
    if (a->search) return a->search;
    Search *s = NEW(Search);
    s->store = a->store;
    s->acct = a->number;
    buf_printf(&s->path, "%.*s/search/%u.sig", SP(a->store->dir), a->number);
    a->search = s;
    a->search_free = search_free;
    return s;
}

static void write_behind(Search *s)
{
    take_pending(s);
    s->busy = true;
    s->job = (Job){.work = write_job, .done = written, .loop = loop_current()};
    aside_post(&s->job);
}

static bool takes_no_more(const Search *s)
{
    return s->broken || s->pending.len > PENDING_STOP;
}

static void count_pending(Search *s, size_t before)
{
    size_t waiting = atomic_fetch_add(&s->store->signature_pending, s->pending.len - before);
    if (!s->busy && (s->pending.len >= PENDING_MOST || waiting >= ALL_MOST)) write_behind(s);
}

void signature_add(Account *a, uint32_t eid, Slice prefix, Slice text, bool whole)
{
    Search *s = search_of(a);
    if (takes_no_more(s)) return;
    size_t before = s->pending.len;
    Buf all buf_scoped = {0};
    if (prefix.len && whole) {
        signature_header_text(&all, prefix, NULL);
        buf_add(&all, text);
        text = buf_slice(&all);
    }
    sig_chunk(&s->pending, s->acct, eid, text, whole);
    count_pending(s, before);
}

void signature_make(Buf *chunks, uint32_t acct, uint32_t eid, Slice text, bool whole)
{
    sig_chunk(chunks, acct, eid, text, whole);
}

void signature_keep(Account *a, Slice chunks)
{
    Search *s = search_of(a);
    size_t before = s->pending.len;
    if (takes_no_more(s)) return;
    buf_add(&s->pending, chunks);
    count_pending(s, before);
}

bool signature_is_missing(Account *a, uint32_t eid)
{
    Search *s = a->search;
    return s && !s->busy && s->file && !sigfile_knows(s->file, eid);
}

/* ---- what searches missed ---- */

void signature_miss(Account *a, uint32_t eid)
{
    Search *s = a->search;
    if (!signature_is_missing(a, eid) || s->broken || s->learning == LEARNING) return;
    if (s->missed_count >= MISSED_MOST) return;
    if (s->missed_count == s->missed_room) {
        s->missed_room = s->missed_room ? s->missed_room * 2 : 256;
        s->missed = mem_grow(s->missed, array_bytes(s->missed_room, sizeof *s->missed));
    }
    s->missed[s->missed_count++] = eid;
    if (s->learning != NOT_LEARNING) return;
    s->learning = GATHERING;
    signature_learn(a);
}

size_t signature_missed(const Account *a)
{
    const Search *s = a->search;
    return s->broken ? 0 : s->missed_count;
}

/* Those that were learnt meanwhile, or twice missed, are known. */
PARKS bool signature_next_missed(Account *a, uint32_t *eid)
{
    Search *s = a->search;
    while (s->busy)
        cond_wait(&s->idle, NEVER);
    while (signature_missed(a)) {
        *eid = s->missed[--s->missed_count];
        if (s->file && !sigfile_knows(s->file, *eid)) return true;
    }
    return false;
}

void signature_begin_learning(Account *a)
{
    Search *s = a->search;
    s->learning = LEARNING;
}

void signature_end_learning(Account *a)
{
    Search *s = a->search;
    free(s->missed);
    s->missed = NULL;
    s->missed_count = s->missed_room = 0;
    s->learning = NOT_LEARNING;
}

typedef struct {
    Search *search;
    BloomNeedle needle;
    uint32_t *eids;
    size_t n;
} Question;

static void answer(void *arg)
{
    Question *q = arg;
    bring_up(q->search);
    if (q->search->file) q->n = sigfile_filter(q->search->file, &q->needle, q->eids, q->n);
}

PARKS size_t text_candidates(Account *a, Slice needle, uint32_t *eids, size_t n)
{
    Question q = {.eids = eids, .n = n};
    if (!n || !bloom_needle(needle, &q.needle)) return n;
    Search *s = q.search = search_of(a);
    while (s->busy)
        cond_wait(&s->idle, NEVER);
    if (s->broken) return n;
    take_pending(s);
    s->busy = s->asked = true;
    aside(answer, &q);
    s->busy = false;
    cond_broadcast(&s->idle);
    return q.n;
}

PARKS void signature_settle(const Store *store)
{
    Cond never = {0};
    while (atomic_load(&store->signature_orphans))
        cond_wait(&never, now_ms() + 1);
}

static void remove_file(void *arg)
{
    Search *s = arg;
    sigfile_close(s->file);
    s->file = NULL;
    s->broken = true;
    (void)!path_unlink(buf_slice(&s->path));
}

PARKS void signature_remove(Account *a)
{
    Search *s = search_of(a);
    while (s->busy)
        cond_wait(&s->idle, NEVER);
    take_pending(s);
    buf_done(&s->writing);
    s->busy = true;
    aside(remove_file, s);
    s->busy = false;
    cond_broadcast(&s->idle);
}
