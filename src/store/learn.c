/* A search that met messages without signatures was answered from the messages themselves, as fast
 * as can be (hunt.c). The signatures are made when it is over: one helper thread reads those
 * messages once more, so that the next search need not. */
#include "mail/mail.h"
#include "store/model.h"
#include "store/signature.h"

#include <stdlib.h>

enum { STEP = 32, PIECE = 64 * 1024, QUIET_MS = 100, LOOK_MS = 20 };

typedef struct {
    Account *account;
    struct {
        uint32_t eid;
        EmailOctets octets;
    } emails[STEP];
    size_t count;
    Buf chunks;
} Step;

/* ---- on a helper thread ---- */

static PARKS Err read_header(const EmailOctets *o, Buf *text)
{
    Buf header buf_scoped = {0};
    uint32_t len = MIN(o->header_len, (uint32_t)MAIL_TEXT_MOST);
    TRY(email_octets_read(o, 0, buf_reserve(&header, len + 1), len));
    header.len = len;
    signature_header_text(text, buf_slice(&header), NULL);
    return OK;
}

static PARKS Err read_body(const EmailOctets *o, Buf *text)
{
    Buf piece buf_scoped = {0};
    MailScan *scan scoped(mail_scan) = mail_scan_new(text);
    Arena arena arena_scoped = {0};
    MailSummary summary;
    buf_reserve(&piece, PIECE);
    for (uint64_t at = 0; at < o->size; at += PIECE) {
        size_t len = (size_t)MIN(o->size - at, (uint64_t)PIECE);
        TRY(email_octets_read(o, at, piece.at, len));
        mail_scan_feed(scan, slice(piece.at, len));
    }
    mail_scan_end(scan, &arena, &summary);
    return OK;
}

/* What cannot be read stays without, and a candidate. */
static PARKS void learn_one(Step *s, size_t i)
{
    const EmailOctets *o = &s->emails[i].octets;
    Buf text buf_scoped = {0};
    if (read_header(o, &text)) return;
    size_t body_from = text.len;
    if (read_body(o, &text)) return;
    bool whole = signature_is_whole(slice_from(buf_slice(&text), body_from));
    signature_make(&s->chunks, s->account->number, s->emails[i].eid, buf_slice(&text), whole);
}

PARKS_UNCHECKED static void learn_all(void *arg) /* on a helper thread nothing parks */
{
    Step *s = arg;
    for (size_t i = 0; i < s->count; i++)
        learn_one(s, i);
}

/* ---- at home ---- */

static bool is_over(const Account *a)
{
    return run_is_cancelled() || atomic_load(&a->store->closing);
}

/* While it grows, somebody is still waiting for an answer. */
static PARKS void wait_for_quiet(Account *a)
{
    size_t before;
    do {
        int64_t until = now_ms() + QUIET_MS;
        before = signature_missed(a);
        while (now_ms() < until && !is_over(a))
            fiber_sleep(LOOK_MS);
    } while (signature_missed(a) != before && !is_over(a));
}

static PARKS void learn_step(Step *s)
{
    uint32_t eid;
    for (s->count = 0; s->count < STEP && signature_next_missed(s->account, &eid);) {
        s->emails[s->count].eid = eid;
        if (!email_pin(s->account, eid, &s->emails[s->count].octets)) s->count++;
    }
    aside(learn_all, s);
    for (size_t i = 0; i < s->count; i++)
        email_unpin(&s->emails[i].octets);
    signature_keep(s->account, buf_slice(&s->chunks));
    buf_clear(&s->chunks);
}

static PARKS void learn(void *arg)
{
    Account *a = arg;
    Store *store = a->store;
    Step *s = NEW(Step);
    s->account = a;
    wait_for_quiet(a);
    signature_begin_learning(a);
    while (!is_over(a) && signature_missed(a))
        learn_step(s);
    signature_end_learning(a);
    buf_done(&s->chunks);
    free(s);
    account_close(a);
    atomic_fetch_sub(&store->learners, 1);
}

void signature_learn(Account *a)
{
    account_ref(a);
    atomic_fetch_add(&a->store->learners, 1);
    fiber_start("learn", learn, a);
}

PARKS void signature_stop_learning(Store *store)
{
    Cond never = {0};
    atomic_store(&store->closing, true);
    while (atomic_load(&store->learners))
        cond_wait(&never, now_ms() + 1);
}
