/* Which of many messages hold a text? The truth about each, read from the message itself
 * (contains.c is the same of one), and fast, because it is asked of all of a mailbox when there are
 * no signatures, or of all that have a common word.
 *
 * The stored summary says where the parts are: only what is text is read, attachments are not. Home
 * looks that up, a batch at a time, pins the octets and gives them to helper threads, one for each
 * loop, while it prepares the next batch. What a summary cannot tell (there is none, a text is so
 * long that only a scan knows where it is cut) is read as ever. */
#include "mail/casemap.h"
#include "mail/look.h"
#include "store/model.h"
#include "store/signature.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    BATCH = 256,
    BATCH_OCTETS = 4 * 1024 * 1024, /* so that it is over soon: between batches others are heard */
    FEW = 16,                       /* not worth waking anybody */
    WORKERS_MOST = 16,
    GAP = 4096, /* octets between two texts that are read along with them */
    WINDOW_MOST = 256 * 1024,
};

typedef struct {
    uint32_t eid;
    size_t place; /* among those asked for */
    EmailOctets octets;
    MailPart *parts; /* those to be looked at */
    size_t count;
    bool by_scan; /* not to be known from its summary */
    bool found;
    Err err;
} Item;

typedef struct Batch Batch;
typedef struct {
    Job job;
    Batch *batch;
    MailLook look;
    Buf window; /* octets of a message ... */
    uint64_t window_at;
} Worker;

typedef struct Hunt Hunt;
struct Batch {
    Hunt *hunt;
    Item items[BATCH];
    size_t count, octets;
    atomic_size_t next;
    unsigned running;
    Arena memory;
    Worker workers[WORKERS_MOST];
};

struct Hunt {
    Account *account;
    const TextQuestion *question;
    const uint32_t *eids;
    size_t n, at; /* those up to `at` are in batches */
    bool by_scan; /* all */
    bool *found;
    unsigned workers;
    Cond over;
    Batch batches[2];
};

/* ---- on a helper thread, or on the fiber for a few ---- */

static uint64_t end_of(const MailPart *p)
{
    return (uint64_t)p->body_at + (p->kind == PART_TEXT ? p->body_len : 0);
}

/* From here to `end`, and the parts behind that are not far. */
static uint64_t reach(const Item *m, size_t part, uint64_t at, uint64_t end)
{
    for (size_t i = part; i < m->count && m->parts[i].header_at <= end + GAP; i++)
        if (end_of(&m->parts[i]) - at <= WINDOW_MOST) end = MAX(end, end_of(&m->parts[i]));
    return end;
}

/* Octets of the message, borrowed until the next. */
static PARKS Err see(Worker *w, const Item *m, size_t part, uint64_t at, uint64_t end, Slice *out)
{
    if (at < w->window_at || end > w->window_at + w->window.len) {
        size_t len = (size_t)(reach(m, part, at, end) - at);
        buf_clear(&w->window);
        TRY(email_octets_read(&m->octets, at, buf_reserve(&w->window, len + 1), len));
        w->window.len = len;
        w->window_at = at;
    }
    *out = slice(w->window.at + (at - w->window_at), (size_t)(end - at));
    return OK;
}

static PARKS Err look_at_header(Worker *w, Item *m)
{
    Slice header;
    TRY(see(w, m, 0, 0, m->octets.header_len, &header));
    buf_clear(&w->look.folded);
    signature_header_text(&w->look.folded, header, w->look.fold);
    m->found = casemap_contains(buf_slice(&w->look.folded), w->look.needle);
    return OK;
}

static PARKS Err look_at_part(Worker *w, Item *m, size_t i, bool body_only)
{
    const MailPart *p = &m->parts[i];
    Slice all;
    TRY(see(w, m, i, p->header_at, end_of(p), &all));
    Slice header = slice_first(all, p->header_len), body = slice_from(all, p->header_len);
    if (!body_only && p->header_at) m->found = mail_look_at_header(&w->look, header);
    if (!m->found && p->kind == PART_TEXT) m->found = mail_look_at_body(&w->look, p, header, body);
    return OK;
}

static PARKS Err look(Worker *w, Item *m)
{
    const TextQuestion *q = w->batch->hunt->question;
    w->look.needle = q->needle, w->look.fold = q->fold;
    w->window.len = 0;
    if (!q->body_only) TRY(look_at_header(w, m));
    for (size_t i = 0; i < m->count && !m->found; i++)
        TRY(look_at_part(w, m, i, q->body_only));
    return OK;
}

static PARKS void look_at_batch(Worker *w)
{
    Batch *b = w->batch;
    for (size_t i; (i = atomic_fetch_add(&b->next, 1)) < b->count;)
        if (!b->items[i].by_scan) b->items[i].err = look(w, &b->items[i]);
}

PARKS_UNCHECKED static void work(Job *job) /* on a helper thread nothing parks */
{
    look_at_batch(CONTAINER(job, Worker, job));
}

static void worked(Job *job)
{
    Batch *b = CONTAINER(job, Worker, job)->batch;
    if (!--b->running) cond_broadcast(&b->hunt->over);
}

/* ---- at home ---- */

static bool is_asked(const Hunt *h, const MailPart *p)
{
    return p->kind == PART_TEXT || (!h->question->body_only && p->header_at);
}

static bool is_within(const Item *m, const MailPart *p)
{
    if (p->header_len > MAIL_HEADER_MOST || end_of(p) > m->octets.size) return false;
    return p->kind != PART_TEXT || p->body_len <= MAIL_TEXT_MOST;
}

/* Of all parts those that are asked for; false: a scan has to look. */
static bool take_parts(Batch *b, Item *m, const MailSummary *s)
{
    m->parts = s->parts;
    for (uint16_t i = 0; i < s->part_count; i++) {
        if (!is_asked(b->hunt, &s->parts[i])) continue;
        MailPart *p = &m->parts[m->count++];
        *p = s->parts[i];
        if (!is_within(m, p)) return false;
        p->charset = arena_copy(&b->memory, p->charset); /* the summary is borrowed */
        b->octets += (size_t)(end_of(p) - p->header_at);
    }
    return true;
}

static PARKS bool know_parts(Batch *b, Item *m)
{
    MailSummary s;
    Slice stored;
    if (email_summary(b->hunt->account, m->eid, &stored)) return false;
    if (mail_summary_decode(stored, &b->memory, &s)) return false;
    return m->octets.header_len <= MAIL_HEADER_MOST && take_parts(b, m, &s);
}

static PARKS void prepare(Batch *b, Item *m)
{
    Hunt *h = b->hunt;
    *m = (Item){.eid = h->eids[h->at], .place = h->at, .by_scan = true};
    if (h->by_scan || email_pin(h->account, m->eid, &m->octets)) return;
    m->by_scan = !know_parts(b, m);
    if (m->by_scan) email_unpin(&m->octets);
}

static PARKS void fill(Hunt *h, Batch *b)
{
    b->hunt = h;
    b->count = b->octets = 0;
    atomic_store(&b->next, 0);
    arena_reset(&b->memory);
    for (; h->at < h->n && b->count < BATCH && b->octets < BATCH_OCTETS; h->at++)
        prepare(b, &b->items[b->count++]);
}

static PARKS void begin(Hunt *h, Batch *b)
{
    fill(h, b);
    for (unsigned i = 0; i < h->workers; i++)
        b->workers[i].batch = b;
    if (h->n <= FEW) {
        look_at_batch(&b->workers[0]);
        return;
    }
    for (unsigned i = 0; i < h->workers && b->count; i++) {
        b->running++;
        b->workers[i].job = (Job){.work = work, .done = worked, .loop = loop_current()};
        aside_post(&b->workers[i].job);
    }
}

/* A message that cannot be read is not found. */
static PARKS void end_item(Hunt *h, Item *m, bool goes_on)
{
    const TextQuestion *q = h->question;
    if (m->by_scan) {
        bool has = false;
        Err err = goes_on ? email_has(h->account, m->eid, q, &has) : OK;
        m->found = !err && has;
    } else {
        email_unpin(&m->octets);
        signature_miss(h->account, m->eid);
    }
    h->found[m->place] = !m->err && m->found;
}

static PARKS bool end(Hunt *h, Batch *b, bool goes_on, bool (*go_on)(void *, size_t), void *arg)
{
    while (b->running)
        cond_wait(&h->over, NEVER);
    for (size_t i = 0; i < b->count; i++) {
        if (goes_on && b->items[i].by_scan) goes_on = go_on(arg, b->items[i].place);
        end_item(h, &b->items[i], goes_on);
    }
    return goes_on && b->count ? go_on(arg, b->items[b->count - 1].place) : goes_on;
}

static void hunt_free(Hunt *h)
{
    for (size_t i = 0; i < COUNT(h->batches); i++) {
        arena_done(&h->batches[i].memory);
        for (size_t k = 0; k < WORKERS_MOST; k++) {
            mail_look_done(&h->batches[i].workers[k].look);
            buf_done(&h->batches[i].workers[k].window);
        }
    }
    free(h);
}

PARKS void emails_contain(Account *a, const TextQuestion *question, const uint32_t *eids, size_t n,
                          bool *found, bool (*go_on)(void *arg, size_t asked), void *arg)
{
    Hunt *h = NEW(Hunt);
    h->account = a, h->question = question, h->eids = eids, h->n = n, h->found = found;
    h->workers = MIN(loop_count(), (unsigned)WORKERS_MOST);
    h->by_scan = slice_find(question->needle, '\n') < question->needle.len;
    bool goes_on = true;
    memset(found, 0, n);
    Batch *now = &h->batches[0], *next = &h->batches[1];
    begin(h, now);
    while (now->count) {
        if (goes_on)
            begin(h, next);
        else
            next->count = 0;
        goes_on = end(h, now, goes_on, go_on, arg);
        Batch *other = now;
        now = next, next = other;
    }
    hunt_free(h);
}
