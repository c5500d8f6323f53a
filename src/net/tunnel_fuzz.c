/* A front that says anything to the house (the first octet is even), or a house that says anything
 * to a front: whatever comes, nobody crashes, waits for ever or keeps memory; who lies loses its
 * rings. Bit 2 of it: no limit of connections; bit 3: what follows is much (fuzz_spread). Then each
 * operation is an octet: which ring, how; kinds are those of CONN_ frames, nearly always. All in
 * the simulated world, so a case is the same every time. */
#include "base/fuzz.h"
#include "base/memo.h"
#include "net/relay.h"
#include "net/tunnel.h"
#include "run/ring_world.h"
#include "run/sim.h"

#include <stdlib.h>

enum { LOOPS = 2, CLIENTS = 3, SECONDS = 30, INPUT_MOST = 512 << 10 };

typedef struct {
    Slice input;
    Ring *ours[LOOPS], *theirs[LOOPS];
    unsigned living; /* fibers that have to end */
    Gates *gates;
    bool front, broken, unlimited;
} Case;

static char much[70000];

/* ---- who talks ---- */

static uint8_t take(Slice *input)
{
    uint8_t octet = input->len ? (uint8_t)input->at[0] : 0;
    *input = slice_from(*input, 1);
    return octet;
}

static void read_away(Ring *r)
{
    for (Slice message; ring_next(r, &message);)
        ring_took(r);
}

static void say(Case *c, Ring *r, uint8_t how)
{
    uint8_t kind = (uint8_t)(how & 0x40 ? take(&c->input) : MEMO_CONN_DATA + (how >> 1) % 17);
    uint8_t len = take(&c->input);
    uint8_t connection = take(&c->input);
    char head[5] = {(char)kind, (char)(connection % 8)};
    if (connection == 255) head[4] = 1; /* more than there can be */
    Slice fields = slice_first(c->input, len % 64);
    c->input = slice_from(c->input, fields.len);
    Slice more = slice(much, len == 255 ? 65536 - fields.len : len == 254 ? 20000 : 0);
    ring_put(r, (Slice[]){slice(head, sizeof head), fields, more}, 3);
}

/* The program is told to end; everybody hears of it. */
PARKS static void stop(void)
{
    run_cancel();
    for (int i = 0; i < 50; i++)
        breathe();
}

/* Not even a head. */
static void say_short(Case *c, Ring *r)
{
    Slice some = slice_first(c->input, 1 + c->input.len % 4);
    c->input = slice_from(c->input, some.len);
    if (some.len) ring_put(r, &some, 1);
}

PARKS static void talk(Case *c, Ring **rings)
{
    int64_t until = now_ms() + SECONDS * 1000;
    while (c->input.len && now_ms() < until) {
        uint8_t how = take(&c->input);
        Ring *r = rings[how & 1];
        if (how >= 0xf0)
            read_away(r);
        else if (how >= 0xe0)
            fiber_sleep(how & 15);
        else if (how == 0xde)
            say_short(c, r);
        else if (how == 0xdd && c->front)
            stop();
        else if (how == 0xdf)
            r->put += (uint64_t)take(&c->input) << 10; /* it never said that */
        else
            say(c, r, how);
    }
    fiber_sleep(20);
}

/* ---- a front that lies ---- */

PARKS_UNCHECKED static void serve(void *arg, Stream *stream, Slice service, Slice record)
{
    Case *c = arg;
    Stream *s scoped(stream) = stream;
    __atomic_add_fetch(&c->living, 1, __ATOMIC_SEQ_CST);
    stream_set_write_timeout(s, 3000);
    stream_printf(s, "* %.*s\r\n", SP(service));
    stream_keep(s, record);
    Slice line;
    while (stream_set_deadline(s, now_ms() + 3000), stream_line(s, 100, &line) != LINE_NONE) {
        char what = line.len ? line.at[0] : 'e', text[100];
        memcpy(text, line.at, line.len);
        line.at = text; /* it was the stream's */
        if (what == 'm') {
            stream_detach(s);
            fiber_move(loop_at(1 - loop_index(loop_current())));
            if (stream_attach(s)) break;
        }
        if (what == 't' && stream_start_tls(s, NULL)) break;
        if (what == 'd' && !stream_is_deflated(s) && stream_start_deflate(s)) break;
        if (what == 'b') stream_hand_back(s, line);
        if (what == 'q') stream_finish(s);
        for (int i = 0; what == 'f' && i < 10; i++) /* more than a ring holds */
            stream_put(s, slice(much, sizeof much));
        stream_put(s, line);
        if (stream_flush(s)) break;
    }
    __atomic_sub_fetch(&c->living, 1, __ATOMIC_SEQ_CST);
}

static void is_over(void *arg, Err why)
{
    Case *c = arg;
    must(why && !c->broken);
    c->broken = true;
}

PARKS static void play_front(Case *c)
{
    Tunnel *t = NULL;
    TunnelConfig config = {.serve = serve,
                           .over = c->unlimited ? NULL : is_over,
                           .arg = c,
                           .most = c->unlimited ? 0 : 6};
    must(!tunnel_open(&config, c->theirs, LOOPS, &t));
    for (int i = 0; i < LOOPS; i++)
        must(!ring_attach(c->ours[i]));
    talk(c, c->ours);
    tunnel_end(t);
    while (__atomic_load_n(&c->living, __ATOMIC_SEQ_CST))
        fiber_sleep(10);
    fiber_sleep(10);
    for (int i = 0; i < LOOPS; i++)
        ring_close(c->ours[i]);
}

/* ---- a house that lies ---- */

typedef struct {
    Case *c;
    Stream *front;
} Call;

PARKS_UNCHECKED static void relays(void *arg)
{
    Call *call = arg;
    Buf back buf_scoped = {0};
    RelayOpen how = {.service = S("x"), .last_words = S("* BYE\r\n")};
    stream_set_write_timeout(call->front, 3000);
    relay_serve(call->front, call->c->gates, &how, &back);
    stream_free(call->front);
    call->c->living--;
    free(call);
}

PARKS_UNCHECKED static void client(void *arg)
{
    Call *call = arg;
    Stream *s scoped(stream) = call->front;
    stream_put(s, S("a line\r\nand some more of it"));
    (void)!stream_flush(s);
    stream_set_deadline(s, now_ms() + 2000);
    while (stream_some(s, 1000).len)
        ;
    call->c->living--;
    free(call);
}

static void call(Case *c)
{
    Call *near = NEW(Call), *far = NEW(Call);
    near->c = far->c = c;
    must(!stream_pair(&near->front, &far->front));
    c->living += 2;
    fiber_start("client", client, near);
    fiber_start("relay", relays, far);
}

static void is_broken(void *arg, Err why)
{
    Case *c = arg;
    must(why == ERR_SYNTAX);
    c->broken = true;
}

PARKS static void play_house(Case *c)
{
    c->gates = gates_new(&(GatesConfig){.broken = is_broken, .arg = c, .patience_ms = 100});
    for (int i = 0; i < LOOPS; i++)
        must(!ring_attach(c->theirs[i]));
    must(!gates_replace(c->gates, c->ours, LOOPS));
    for (int i = 0; i < CLIENTS; i++)
        call(c);
    fiber_sleep(5);
    talk(c, c->theirs);
    gates_lost(c->gates);
    while (c->living)
        fiber_sleep(10);
    fiber_sleep(10);
    gates_free(c->gates);
    for (int i = 0; i < LOOPS; i++)
        ring_close(c->theirs[i]);
}

PARKS_UNCHECKED static void play(void *arg)
{
    Case *c = arg;
    uint8_t how = take(&c->input);
    c->front = how % 2 == 0;
    c->unlimited = how & 4;
    for (int i = 0; i < LOOPS; i++)
        must(!ring_pair(&c->ours[i], &c->theirs[i]));
    if (c->front)
        play_front(c);
    else
        play_house(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static SimDisk *disk;
    if (!disk) disk = sim_disk_new(1 << 20);
    Buf much_input buf_scoped = {0};
    Case c = {.input = slice(data, size)};
    if (size && data[0] & 8) {
        fuzz_spread(c.input, INPUT_MOST, &much_input);
        c.input = buf_slice(&much_input);
    }
    SimConfig config = {.seed = size, .loops = LOOPS, .disk = disk, .net_latency_us = 100};
    return sim_run(&config, play, &c) ? 1 : 0;
}
