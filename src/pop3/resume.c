/* A session changes hands: after the login, when the house restarts, and back when the maildrop
 * does not open. Who lets go writes a record (record.h); who takes up makes of it the same session.
 */
#include "base/metric.h"
#include "base/text.h"
#include "net/refusal.h"
#include "pop3/record.h"
#include "run/log.h"

/* ---- letting go ---- */

static Pop3Record describe(const Pop3 *s)
{
    return (Pop3Record){.timestamp = buf_slice(&s->timestamp),
                        .folder = buf_slice(&s->folder),
                        .device = buf_slice(&s->device),
                        .utf8 = s->utf8,
                        .language = s->language,
                        .mistakes = s->mistakes};
}

void pop3_is_known(Pop3 *s, const AuthUser *who, const LoginSuffix *suffix)
{
    Buf body buf_scoped = {0};
    Pop3Record r = describe(s);
    r.folder = suffix->folder;
    r.device = suffix->device;
    pop3_record_write(&body, HANDOVER_LOGGED_IN, &r);
    handover_write(&s->handed, HANDOVER_LOGGED_IN, s->ways->service, who, buf_slice(&body));
    if (!s->handed.len) s->over = true; /* a name of kilobytes: there is none */
}

PARKS void pop3_hand_back(Pop3 *s)
{
    Buf body buf_scoped = {0}, record buf_scoped = {0};
    if (s->over || !stream_is_remote(s->stream)) return;
    Pop3Record r = describe(s);
    pop3_record_write(&body, HANDOVER_STRANGER, &r);
    handover_write(&record, HANDOVER_STRANGER, s->ways->service, NULL, buf_slice(&body));
    stream_hand_back(s->stream, buf_slice(&record));
    s->over = true;
}

/* Marks in disorder can be too many for a record: then it is empty. */
static void describe_maildrop(const Pop3 *s, Buf *body)
{
    Buf view buf_scoped = {0};
    Pop3Record r = describe(s);
    size_t ranges = s->marked[0].count + s->marked[1].count + s->fetched.count;
    if (ranges > HANDOVER_MOST / 2 || !view_keep(s->view, &view)) return;
    r.mailbox_id = mailbox_status(s->inbox).id;
    r.count = s->count, r.octets = s->octets;
    r.deleted = s->deleted, r.deleted_octets = s->deleted_octets;
    r.last = s->last, r.last_at_login = s->last_at_login;
    r.turn = s->turn, r.current = s->current;
    r.fetched = s->fetched;
    r.marked[0] = s->marked[0], r.marked[1] = s->marked[1];
    r.view = buf_slice(&view);
    pop3_record_write(body, HANDOVER_AT_REST, &r);
}

static bool is_at_rest(const Pop3 *s)
{
    Slice waiting = stream_peek(s->stream);
    return s->state == TRANSACTION && s->view && slice_find(waiting, '\n') == waiting.len;
}

PARKS void pop3_keep(Pop3 *s)
{
    Buf body buf_scoped = {0}, record buf_scoped = {0};
    bool remote = stream_is_remote(s->stream);
    if (s->is_kept || (!remote && !s->config->resume_always) || !is_at_rest(s)) return;
    describe_maildrop(s, &body);
    handover_seal(&s->who, s->ways->service, buf_slice(&body), s->config->grant_key);
    if (body.len)
        handover_write(&record, HANDOVER_AT_REST, s->ways->service, &s->who, buf_slice(&body));
    if (remote) stream_keep(s->stream, buf_slice(&record));
    if (!s->config->resume_always || !record.len) return;
    s->handed = record;
    record = (Buf){0};
}

/* ---- taking up ---- */

static void begin(Pop3 *s, const Handover *h, const Pop3Record *r)
{
    buf_add(&s->timestamp, r->timestamp);
    buf_add(&s->folder, r->folder);
    buf_add(&s->device, r->device);
    s->utf8 = r->utf8;
    s->language = r->language;
    s->mistakes = r->mistakes;
    s->who.guest = h->guest;
    memcpy(s->who.login, h->login.at, h->login.len);
}

PARKS static Err go_home(Pop3 *s)
{
    Loop *home = store_home(s->config->store, s->who.acct);
    if (home == loop_current()) return OK;
    stream_detach(s->stream);
    fiber_move(home);
    return stream_attach(s->stream);
}

static void log_refused(const Pop3 *s, Err err)
{
    Buf remote buf_scoped = {0};
    Address peer = stream_peer(s->stream);
    address_print(&remote, &peer);
    if (err == ERR_LIMIT) {
        refusal_limit(s->stream, "pop3", METRIC_REFUSED_ACCOUNT, slice_of(s->who.login));
    } else {
        log_err(LOG_LEVEL_INFO, "maildrop_refused", err, KV("user", slice_of(s->who.login)),
                KV("remote", buf_slice(&remote)));
    }
}

PARKS static void arrive(Pop3 *s)
{
    Err err =
        auth_find_account(s->config->auth, (const char *)s->ways->service.at, s->stream, &s->who);
    if (!err) {
        if (go_home(s)) {
            s->over = true;
            return;
        }
        err = maildrop_open(s);
        if (err) log_refused(s, err);
    }
    s->ways->arrived(s, err);
    if (err) pop3_hand_back(s);
}

PARKS static Err go_on(Pop3 *s, const Pop3Record *r)
{
    TRY(store_find_account(s->config->store, slice_of(s->who.login), &s->who.acct));
    TRY(go_home(s));
    s->count = r->count;
    for (size_t i = 0; i < r->fetched.count; i++)
        uidset_add(&s->device_arena, &s->fetched, r->fetched.ranges[i].first,
                   r->fetched.ranges[i].last);
    TRY(maildrop_resume(s, r->mailbox_id, r->view));
    s->octets = r->octets;
    s->deleted = r->deleted, s->deleted_octets = r->deleted_octets;
    s->last = r->last, s->last_at_login = r->last_at_login;
    s->turn = r->turn, s->current = r->current;
    for (size_t k = 0; k < COUNT(s->marked); k++)
        for (size_t i = 0; i < r->marked[k].count; i++)
            uidset_add(&s->marks_arena, &s->marked[k], r->marked[k].ranges[i].first,
                       r->marked[k].ranges[i].last);
    s->state = TRANSACTION;
    stream_set_budget(s->stream, UINT64_MAX);
    return OK;
}

PARKS static Err take_up(Pop3 *s, Slice record)
{
    Handover h;
    Pop3Record r;
    TRY(handover_read(record, s->ways->service, s->config->grant_key, &h));
    TRY(pop3_record_read(h.body, h.kind, &s->arena, &r));
    begin(s, &h, &r);
    switch (h.kind) {
    case HANDOVER_STRANGER:
        return OK;
    case HANDOVER_LOGGED_IN:
        arrive(s);
        return OK;
    case HANDOVER_AT_REST:
        break;
    }
    return go_on(s, &r);
}

PARKS Pop3 *pop3_take_up(Stream *stream, const Pop3Config *config, Slice record,
                         const Pop3Ways *ways, void (*ended)(void *arg), void *arg)
{
    Pop3 *s = pop3_new(stream, config, ways, ended, arg);
    Buf remote buf_scoped = {0};
    s->is_kept = config->resume_always;
    Err err = take_up(s, record);
    arena_reset(&s->arena);
    if (!err) return s;
    Address peer = stream_peer(stream);
    address_print(&remote, &peer);
    log_err(LOG_LEVEL_WARN, "pop3_resume", err, KV_TEXT("user", s->who.login),
            KV("remote", buf_slice(&remote)));
    s->over = true;
    return s;
}
