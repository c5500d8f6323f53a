/* The fiber of one connection of a front: it says what the client says, and does what takes time.
 */
#include "net/gate.h"
#include "net/refusal.h"

#include <stdlib.h>

enum { HANDSHAKE_MS = 10000, TRIES_MOST = 3 };

typedef enum { GOES_ON, ENDS, COMES_BACK } Course;

/* ---- to the client ---- */

/* All that came and is not queued is written behind a flush. */
PARKS static void flush(Relay *r)
{
    r->flushes = true;
    (void)stream_flush(r->client); /* a failure makes it mute */
    r->flushes = false;
    r->written = r->unpaid - r->queued;
    relay_pay(r);
}

PARKS static void start_tls(Relay *r, Slice alpn)
{
    TlsContext *ctx scoped(tls) = tls_current();
    Stream *c = r->client;
    Buf facts buf_scoped = {0};
    Err err = ctx ? OK : fail(ERR_UNSUPPORTED, "no certificate");
    if (alpn.len && alpn.len < 256) stream_set_alpn(c, alpn);
    stream_set_deadline(c, now_ms() + HANDSHAKE_MS);
    if (!err) err = stream_start_tls(c, ctx);
    stream_set_deadline(c, NEVER);
    facts_put(c, &facts);
    if (r->said_end) return;
    gate_say(r, &(Memo){
                    .kind = MEMO_CONN_TLS_DONE,
                    .number = {r->connection,         err              },
                    .text = { stream_tls_version(c), stream_tls_cipher(c), buf_slice(&facts)}
    });
}

/* Whoever says LOGOUT or QUIT waits for the answer. Of one who pours there may be more on its way.
 */
PARKS static void finish(Relay *r)
{
    enum { A_LINE = 512 };
    bool waits = r->sent == r->answered_at && r->last_said <= A_LINE;
    if (waits && !inbox_waiting(&r->client->in).len)
        stream_finish_at_once(r->client);
    else
        stream_finish(r->client);
}

/* The house hands it back: from here on it tells what it had not read. */
static void come_back(Relay *r, Slice record, Buf *back)
{
    buf_clear(back);
    buf_add(back, record);
    r->returns = r->said_end = true;
    gate_say(r, FRAME(MEMO_CONN_END, r->connection, OK));
}

static Course last_of_all(const Relay *r, uint8_t kind)
{
    if (r->returns && kind == MEMO_CONN_FINISH) return COMES_BACK;
    return ENDS;
}

static bool cannot_be(const Relay *r, uint8_t kind)
{
    const Stream *c = r->client;
    if (r->returns) return kind != MEMO_CONN_FINISH && kind != MEMO_CONN_DROP;
    return (kind == MEMO_CONN_START_TLS && c->ssl) ||
           (kind == MEMO_CONN_START_DEFLATE && c->press) ||
           (kind == MEMO_CONN_END_DEFLATE && !c->press);
}

PARKS static Course do_frame(Relay *r, uint8_t kind, Slice fields, Buf *back)
{
    if (kind == MEMO_CONN_DATA) {
        r->flushes = true;
        stream_put(r->client, fields);
        r->flushes = false;
        r->queued -= (uint32_t)fields.len;
        return GOES_ON;
    }
    flush(r);
    if (cannot_be(r, kind)) {
        if (!r->lost) gates_break(r->gates, fail(ERR_SYNTAX, "%s now", memo_name((MemoKind)kind)));
        return ENDS;
    }
    r->holds = false;
    switch ((int)kind) {
    case MEMO_CONN_START_TLS:
        start_tls(r, fields);
        return GOES_ON;
    case MEMO_CONN_START_DEFLATE:
        return stream_start_deflate(r->client) ? ENDS : GOES_ON;
    case MEMO_CONN_END_DEFLATE:
        return stream_end_deflate(r->client) ? ENDS : GOES_ON;
    case MEMO_CONN_BACK:
        come_back(r, fields, back);
        return GOES_ON;
    case MEMO_CONN_FINISH:
        if (!r->returns) finish(r);
        return last_of_all(r, kind);
    default:
        return last_of_all(r, kind);
    }
}

/* What comes meanwhile is queued behind. */
PARKS static Course do_queue(Relay *r, Buf *back)
{
    Course course = GOES_ON;
    r->busy = true;
    while (r->queue.len && course == GOES_ON) {
        Buf queue buf_scoped = r->queue;
        r->queue = (Buf){0};
        Reader frames = reader(buf_slice(&queue));
        while (frames.rest.len && course == GOES_ON) {
            uint32_t len = read_u32(&frames);
            uint8_t kind = read_u8(&frames);
            course = do_frame(r, kind, read_raw(&frames, len), back);
        }
    }
    r->busy = false;
    return course;
}

/* ---- to the house ---- */

static bool is_held(const Relay *r)
{
    return r->gates->held && relay_is_at_rest(r);
}

static bool may_say(const Relay *r)
{
    return r->gate && r->opened && !r->said_end && !r->holds && !is_held(r);
}

static void say_end(Relay *r, Err why)
{
    if (!r->said_end) gate_say(r, FRAME(MEMO_CONN_END, r->connection, why));
    r->said_end = true;
}

static void say_input(Relay *r)
{
    Inbox *in = &r->client->in;
    while (may_say(r) && r->credit) {
        Slice octets = slice_first(inbox_waiting(in), MIN(r->credit, (uint32_t)FRAME_DATA_MOST));
        if (!octets.len || !gate_octets(r, octets)) break;
        (void)inbox_take(in, octets.len);
    }
    if (may_say(r) && r->client->deaf && !inbox_waiting(in).len)
        say_end(r, stream_error(r->client));
}

static void try_open(Relay *r)
{
    Stream *c = r->client;
    Buf facts buf_scoped = {0};
    Address peer = stream_peer(c), local = stream_local(c);
    if (r->wants_facts) facts_put(c, &facts);
    Memo open = {
        .kind = MEMO_CONN_OPEN,
        .number = {0,                      stream_is_deflated(c), peer.port, local.port},
        .text = { slice_of(peer.host), slice_of(local.host), r->service,                  stream_tls_version(c),
                   stream_tls_cipher(c), buf_slice(&facts), buf_slice(&r->record)}
    };
    r->opened = gate_open(r, &open);
    if (!r->opened) return;
    if (r->tries) metric_add(METRIC_RESUMED, 1);
    r->credit = TUNNEL_CREDIT;
    r->sent = r->kept_at = r->answered_at = r->last_said = 0;
    r->keeps = r->quiet = true;
}

/* ---- the house goes ---- */

/* True: it can be taken up by another house. */
static bool survives(Relay *r)
{
    bool rests = relay_is_at_rest(r) && ++r->tries <= TRIES_MOST;
    r->holds = r->lost = r->opened = r->left = r->granted = false;
    r->unpaid = r->written = r->queued = r->credit = r->hops = 0;
    return rests;
}

/* Something of an answer may be half said; then words of ours would be taken for a part of it. */
PARKS static void say_farewell(Relay *r)
{
    refusal_cut(r->client, (const char *)r->service.at, METRIC_CUT_RESTART, (Slice){0});
    if (r->quiet) stream_put(r->client, r->last_words);
    stream_finish(r->client);
}

/* ---- the life of a relay ---- */

/* Of a client that deflates no more is inflated than the house asks for: behind what it has not
 * taken yet there may be octets that are plain. */
static bool may_read(const Relay *r)
{
    const Stream *c = r->client;
    if (!may_say(r) || stream_buffered(c)) return false; /* who is deaf has said its end */
    bool in_turn = c->press && press_at_boundary(c->press);
    return in_turn ? r->credit == TUNNEL_CREDIT : r->credit > 0;
}

PARKS static Wake rest(Relay *r, int64_t deadline_ms)
{
    Stream *c = r->client;
    if (may_read(r)) return stream_wait(c, deadline_ms);
    stream_rest(c);
    return fiber_park(deadline_ms);
}

PARKS static Course live(Relay *r, Buf *back)
{
    int64_t until = now_ms() + r->gates->config.patience_ms;
    for (;;) {
        Course course = do_queue(r, back);
        if (course != GOES_ON) return course;
        if (stream_out(r->client)->len) flush(r);
        if (r->client->mute) return ENDS;
        if (r->queue.len) continue;
        if (r->lost) {
            until = now_ms() + r->gates->config.patience_ms;
            if (!survives(r)) break;
        }
        if (!r->opened && r->gates->count) try_open(r);
        if (!r->opened && now_ms() >= until) break;
        say_input(r);
        if (rest(r, r->opened ? NEVER : until) == WOKEN_CANCELLED) return ENDS;
    }
    say_farewell(r);
    return ENDS;
}

static Relay *relay_new(Stream *client, Gates *g, const RelayOpen *how)
{
    Relay *r = NEW(Relay);
    *r = (Relay){.gates = g, .client = client, .fiber = fiber_current(), .connection = NOBODY};
    r->texts = mem_zero(how->service.len + how->last_words.len + 2);
    if (how->service.len) memcpy(r->texts, how->service.at, how->service.len);
    char *words = r->texts + how->service.len + 1;
    if (how->last_words.len) memcpy(words, how->last_words.at, how->last_words.len);
    r->service = slice(r->texts, how->service.len);
    r->last_words = slice(words, how->last_words.len);
    r->wants_facts = how->authenticates;
    r->home = how->home;
    r->keeps = r->quiet = true;
    buf_add(&r->record, how->record);
    list_add(&g->all, &r->of_gates);
    g->served++;
    return r;
}

/* The house may have more to say of it: until it has said the last, its number is taken. */
static void relay_end(Relay *r)
{
    if (r->final)
        gate_say_over(r);
    else if (r->opened)
        gate_say(r, FRAME(MEMO_CONN_END, r->connection, ERR_IO));
    r->gates->served--;
    r->client = NULL;
    r->fiber = NULL;
    list_remove(&r->thirst);
    if (r->final || !r->opened || r->lost) relay_free(r);
}

PARKS RelayEnd relay_serve(Stream *client, Gates *house, const RelayOpen *how, Buf *back)
{
    Relay *r = relay_new(client, house, how);
    stream_set_deadline(client, NEVER);
    stream_set_budget(client, UINT64_MAX);
    fiber_rests(true);
    Course course = live(r, back);
    fiber_rests(false);
    if (course == COMES_BACK) inbox_prepend(&client->in, buf_slice(&r->returned));
    relay_end(r);
    return course == COMES_BACK ? RELAY_BACK : RELAY_OVER;
}
