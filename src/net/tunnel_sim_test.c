/* Rings, relays and tunnels under every interleaving that a seed can make: many connections, octets
 * both ways, slow readers, moves between loops, ends at any moment, connections handed back and
 * houses that die. Each direction of a connection is a sequence that both ends can compute, so an
 * octet lost, doubled or overtaken is found where it happens. */
#include "base/test.h"
#include "net/inside.h"
#include "net/tunnel_world.h"
#include "run/sim.h"

#include <stdio.h>
#include <stdlib.h>

enum { TALKS = 12, LENGTH_MOST = 700 * 1024, PIECE_MOST = 90 * 1024, LOOPS = 3 };

typedef enum { TO_THE_END, CLIENT_GOES, HOUSE_GOES, MANNERS } Manner;

typedef struct {
    struct Play *play;
    unsigned id;
    Manner manner;
    bool slow, cut_off; /* cut_off: a house was lost with it, or somebody went */
    Sock *client;
    Stream *stream;
    uint64_t to_house, to_client; /* lengths */
    uint64_t came, went;
    uint64_t house_read, house_wrote;
    unsigned fibers;
    bool gone, finished;
} Talk;

typedef struct Play {
    TunnelWorld *world;
    Talk talks[TALKS];
    unsigned serving; /* in houses that live or are dead */
    bool kills;
} Play;

static char octet_at(const Talk *t, bool to_client, uint64_t at)
{
    uint64_t n = (at + 1) * 0x9e3779b97f4a7c15 + t->id * 2 + to_client;
    return (char)(n >> 56 ^ n >> 24);
}

static void make(const Talk *t, bool to_client, uint64_t at, char *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = octet_at(t, to_client, at + i);
}

static void expect(const Talk *t, bool to_client, uint64_t at, Slice got)
{
    for (size_t i = 0; i < got.len; i++)
        if (got.at[i] != octet_at(t, to_client, at + i)) {
            uint64_t where = at + i;
            test_failed(__FILE__, __LINE__, "talk %u, octet %llu to the %s", t->id,
                        (unsigned long long)where, to_client ? "client" : "house");
            abort();
        }
}

static size_t piece(uint64_t most)
{
    uint64_t len = 1 + sim_random() % (sim_random() % 4 ? 200 : PIECE_MOST);
    return (size_t)MIN(len, most);
}

static bool chance(unsigned one_in)
{
    return sim_random() % one_in == 0;
}

PARKS static void dawdle(const Talk *t)
{
    if (chance(t->slow ? 2 : 20)) fiber_sleep((int64_t)(sim_random() % (t->slow ? 30 : 5)));
}

/* ---- the house ---- */

typedef struct {
    uint32_t id;
    uint64_t read, wrote;
} Record;

PARKS static void keep(Stream *s, const Record *r)
{
    stream_keep(s, slice(r, sizeof *r));
}

PARKS static void read_some(Talk *t, Stream *s, Record *r)
{
    Slice got = stream_some(s, piece(PIECE_MOST));
    expect(t, false, r->read, got);
    r->read += got.len;
}

PARKS static void write_some(Talk *t, Stream *s, Record *r)
{
    static char octets[PIECE_MOST];
    size_t len = piece(t->to_client - r->wrote);
    make(t, true, r->wrote, octets, len);
    r->wrote += len;
    if (chance(2)) {
        buf_add(stream_out(s), slice(octets, len));
        (void)stream_flush(s);
    } else {
        for (size_t at = 0; at < len; at += 1000) /* the piece may be another's after a wait */
            buf_add(stream_out(s), slice(octets + at, MIN((size_t)1000, len - at)));
        (void)stream_drain(s);
    }
}

PARKS static void move(Stream *s)
{
    stream_detach(s);
    for (unsigned hops = chance(3) ? 2 : 1; hops; hops--)
        fiber_move(loop_at((unsigned)(sim_random() % LOOPS)));
    check_ok(stream_attach(s));
    if (chance(3)) { /* and on at once */
        stream_detach(s);
        fiber_move(loop_at((unsigned)(sim_random() % LOOPS)));
        check_ok(stream_attach(s));
    }
}

PARKS static bool act(Talk *t, Stream *s, Record *r)
{
    unsigned what = (unsigned)(sim_random() % 16);
    if (what < 5 && r->wrote < t->to_client)
        write_some(t, s, r);
    else if (what < 11 && r->read < t->to_house)
        read_some(t, s, r);
    else if (what == 11)
        move(s);
    else if (what < 14)
        keep(s, r);
    else
        dawdle(t);
    return !stream_error(s) || stream_error(s) == ERR_TIMEOUT;
}

PARKS static void finish(Talk *t, Stream *s, Record *r)
{
    (void)stream_flush(s);
    if (stream_error(s)) return;
    if (r->read != t->to_house)
        test_failed(__FILE__, __LINE__,
                    "talk %u manner %d: read %llu of %llu, client wrote %llu, kills %d", t->id,
                    (int)t->manner, (unsigned long long)r->read, (unsigned long long)t->to_house,
                    (unsigned long long)t->went, t->play->kills);
    t->finished = true;
    stream_finish(s);
}

PARKS static void serve(void *arg, Stream *stream, Slice service, Slice record)
{
    Play *play = arg;
    Stream *s scoped(stream) = stream;
    Record r = {0};
    check_slice(service, S("sim"));
    must(record.len == sizeof r);
    memcpy(&r, record.at, sizeof r);
    must(r.id < TALKS);
    Talk *t = &play->talks[r.id];
    stream_set_write_timeout(s, 60000);
    while (r.wrote < t->to_client || r.read < t->to_house) {
        if (!act(t, s, &r)) return;
        if (t->manner == HOUSE_GOES && chance(30)) {
            t->cut_off = true;
            if (chance(2)) stream_finish(s);
            if (chance(4)) stream_detach(s);
            return;
        }
        if (t->manner == MANNERS && chance(15)) {
            stream_hand_back(s, slice(&r, sizeof r));
            return;
        }
    }
    finish(t, s, &r);
}

/* ---- the client: two fibers, so that it never waits for itself ---- */

static void leave(Talk *t)
{
    if (--t->fibers) return;
    sock_close(t->client);
    t->client = NULL;
    t->gone = true;
}

PARKS static bool client_waits(Talk *t, SockEvents what)
{
    if (t->cut_off && t->manner == CLIENT_GOES) return false;
    return sock_wait(t->client, what, now_ms() + 5000, false) != WOKEN_CANCELLED;
}

PARKS_UNCHECKED static void client_writes(void *arg)
{
    Talk *t = arg;
    static char octets[PIECE_MOST];
    while (t->went < t->to_house) {
        size_t sent, len = piece(t->to_house - t->went);
        if (t->manner == CLIENT_GOES && chance(40)) t->cut_off = true;
        if (t->cut_off) break;
        make(t, false, t->went, octets, len);
        Slice part = slice(octets, len);
        if (sock_try_write(t->client, &part, 1, &sent)) break;
        t->went += sent;
        if (!sent && !client_waits(t, SOCK_WRITABLE)) break;
        dawdle(t);
    }
    if (t->went == t->to_house && t->manner == TO_THE_END) sock_shutdown(t->client);
    leave(t);
}

PARKS_UNCHECKED static void client_reads(void *arg)
{
    Talk *t = arg;
    static char octets[PIECE_MOST];
    for (;;) {
        size_t got;
        if (t->cut_off && t->manner == CLIENT_GOES) break;
        if (sock_try_read(t->client, octets, piece(PIECE_MOST), &got)) break;
        expect(t, true, t->came, slice(octets, got));
        t->came += got;
        if (!got && !client_waits(t, SOCK_READABLE)) break;
        dawdle(t);
    }
    leave(t);
}

static void start_talk(Play *play, Talk *t, unsigned id)
{
    *t = (Talk){.play = play, .id = id, .manner = (Manner)(sim_random() % 4), .slow = chance(4)};
    t->to_house = sim_random() % (chance(3) ? LENGTH_MOST : 5000);
    t->to_client = sim_random() % (chance(3) ? LENGTH_MOST : 5000);
    t->fibers = 2;
}

PARKS static void call(Talk *t)
{
    Record r = {.id = t->id};
    t->stream = tunnel_world_call(t->play->world, S("sim"), slice(&r, sizeof r), S(""));
    t->client = t->stream->sock;
    fiber_start("client writes", client_writes, t);
    fiber_start("client reads", client_reads, t);
}

/* ---- all of it ---- */

static bool all_gone(const Play *p)
{
    for (unsigned i = 0; i < TALKS; i++)
        if (!p->talks[i].gone) return false;
    return true;
}

PARKS static void change_house(Play *p)
{
    tunnel_world_kill_house(p->world);
    fiber_sleep((int64_t)(sim_random() % 200));
    tunnel_world_new_house(p->world);
}

static void check_talk(const Play *p, const Talk *t)
{
    if (p->kills || t->cut_off) return;
    if (t->finished && t->came == t->to_client && t->went == t->to_house) return;
    test_failed(__FILE__, __LINE__, "talk %u (manner %d): %llu of %llu came, %llu of %llu went",
                t->id, (int)t->manner, (unsigned long long)t->came,
                (unsigned long long)t->to_client, (unsigned long long)t->went,
                (unsigned long long)t->to_house);
}

PARKS_UNCHECKED static void play_all(void *arg)
{
    (void)arg;
    Play *p = NEW(Play);
    p->kills = chance(3);
    p->world = tunnel_world_open(&(TunnelWorldConfig){.serve = serve, .arg = p});
    for (unsigned i = 0; i < TALKS; i++) {
        start_talk(p, &p->talks[i], i);
        call(&p->talks[i]);
        dawdle(&p->talks[i]);
    }
    for (unsigned turns = 0; !all_gone(p); turns++) {
        must(turns < 100000);
        fiber_sleep(10);
        if (p->kills && chance(20)) change_house(p);
    }
    tunnel_world_close(p->world);
    for (unsigned i = 0; i < TALKS; i++) {
        check_talk(p, &p->talks[i]);
        p->talks[i].stream->sock = NULL;
        free(p->talks[i].stream);
    }
    free(p);
}

/* SEEDS=n in the environment: a campaign; SEED=n: that one. */
static uint64_t number_from(const char *name, uint64_t otherwise)
{
    uint64_t n;
    return slice_to_u64(slice_of(getenv(name)), &n) ? n : otherwise;
}

TEST(tunnel_under_every_interleaving)
{
    uint64_t first = number_from("SEED", 1), count = number_from("SEEDS", 40);
    if (getenv("SEED")) count = 1;
    for (uint64_t seed = first; seed < first + count; seed++) {
        SimConfig config = {.seed = seed, .loops = LOOPS, .net_latency_us = 200};
        int code = 1;
        check_ok(sim_run_child(&config, play_all, NULL, &code));
        if (code) test_failed(__FILE__, __LINE__, "SEED=%llu", (unsigned long long)seed);
    }
}
