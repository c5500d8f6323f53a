#include "base/test.h"
#include "run/ring_world.h"
#include "run/sim.h"

/* Messages of any size through both directions at once, each end on a loop of its own. */
typedef struct {
    Ring *ring;
    uint64_t seed, seen_seed; /* of what is put; of what has to come */
    unsigned to_put, to_take;
    bool slow, over;
    Err why;
} End;

static uint64_t draw(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005 + 1442695040888963407;
    return *seed >> 20;
}

static size_t make_message(uint64_t *seed, char *out)
{
    size_t len = 1 + (size_t)draw(seed) % (draw(seed) % 8 ? 300 : RING_MESSAGE_MOST);
    memset(out, (char)draw(seed), len);
    out[len / 2] = (char)draw(seed);
    return len;
}

static void put_some(End *e, char *space)
{
    while (e->to_put) {
        uint64_t seed = e->seed;
        size_t len = make_message(&seed, space), cut = len / 3;
        Slice parts[] = {slice(space, cut), slice(space + cut, len - cut)};
        if (!ring_put(e->ring, parts, 2)) return;
        e->seed = seed;
        e->to_put--;
    }
}

PARKS static void take_some(End *e, char *space)
{
    for (Slice message; ring_next(e->ring, &message); ring_took(e->ring)) {
        size_t len = make_message(&e->seen_seed, space);
        must(slice_eq(message, slice(space, len)));
        must(e->to_take);
        e->to_take--;
        if (e->slow && e->to_take % 50 == 0) fiber_sleep(1);
    }
}

PARKS_UNCHECKED static void play(void *arg)
{
    End *e = arg;
    static _Thread_local char space[RING_MESSAGE_MOST];
    check_ok(ring_attach(e->ring));
    while (e->to_put || e->to_take) {
        put_some(e, space);
        take_some(e, space);
        if (!e->to_put && !e->to_take) break;
        Wake wake = ring_wait(e->ring, e->to_take > 0, e->to_put > 0, now_ms() + 20000, false);
        if (wake != WOKEN_READY || ring_error(e->ring)) break;
    }
    e->why = ring_error(e->ring);
    ring_close(e->ring); /* the other still reads what is in it */
    __atomic_store_n(&e->over, true, __ATOMIC_SEQ_CST);
}

PARKS static void both_ways(unsigned messages, bool slow)
{
    End a = {.seed = 1, .seen_seed = 2, .to_put = messages, .to_take = messages};
    End b = {.seed = 2, .seen_seed = 1, .to_put = messages, .to_take = messages, .slow = slow};
    check_ok(ring_pair(&a.ring, &b.ring));
    fiber_start_on(loop_at(0), "a", play, &a);
    fiber_start_on(loop_at(loop_count() - 1), "b", play, &b);
    while (!__atomic_load_n(&a.over, __ATOMIC_SEQ_CST) ||
           !__atomic_load_n(&b.over, __ATOMIC_SEQ_CST))
        fiber_sleep(1);
    check_u64(a.to_put + a.to_take + b.to_put + b.to_take, 0);
    check_err(a.why, OK);
    check_err(b.why, OK);
}

TEST(ring_carries_both_ways)
{
    both_ways(20000, false);
    both_ways(2000, true);
}

PARKS_UNCHECKED static void simulated(void *arg)
{
    (void)arg;
    both_ways(300, false);
    both_ways(200, true);
}

TEST(ring_carries_both_ways_simulated)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        SimConfig config = {.seed = seed, .loops = 2, .net_latency_us = 300};
        int code = 1;
        check_ok(sim_run_child(&config, simulated, NULL, &code));
        if (code) test_failed(__FILE__, __LINE__, "seed %llu", (unsigned long long)seed);
    }
}

/* ---- an end that lies ---- */

typedef struct {
    const char *what;
    void (*lie)(Ring *liar);
} Lie;

static void put_too_far(Ring *r)
{
    r->ours->put = RING_BYTES + 8;
}

static void put_back(Ring *r)
{
    r->ours->put = (uint64_t)-8;
}

static void put_crooked(Ring *r)
{
    r->ours->put = 13;
}

static void length_zero(Ring *r)
{
    memset(r->out, 0, 8);
    r->ours->put = 8;
}

static void length_beyond(Ring *r)
{
    memcpy(r->out, "\x20\0\0\0", 4);
    r->ours->put = 8;
}

static void length_most(Ring *r)
{
    memset(r->out, 0xff, 8);
    r->ours->put = RING_BYTES;
}

static void took_what_was_not(Ring *r)
{
    r->ours->took = (uint64_t)1 << 40;
}

TEST(ring_finds_out_lies)
{
    static const Lie rows[] = {
        {"put too far",       put_too_far      },
        {"put back",          put_back         },
        {"put crooked",       put_crooked      },
        {"length zero",       length_zero      },
        {"length beyond",     length_beyond    },
        {"length most",       length_most      },
        {"took what was not", took_what_was_not},
    };
    static char space[RING_MESSAGE_MOST];
    for (size_t i = 0; i < COUNT(rows); i++) {
        Ring *honest scoped(ring) = NULL, *liar scoped(ring) = NULL;
        check_ok(ring_pair(&honest, &liar));
        check_ok(ring_attach(honest));
        check_ok(ring_attach(liar));
        rows[i].lie(liar);
        Slice message, parts = slice(space, sizeof space);
        bool got = ring_next(honest, &message);
        for (int n = 0; n < 8 && ring_put(honest, &parts, 1); n++)
            ;
        if (got || ring_error(honest) != ERR_SYNTAX)
            test_failed(__FILE__, __LINE__, "%s", rows[i].what);
        check(!ring_put(honest, &parts, 1) && !ring_next(honest, &message));
        check(ring_wait(honest, true, false, now_ms() + 100, false) == WOKEN_READY);
    }
}

TEST(ring_fails_for_who_waits)
{
    Ring *one scoped(ring) = NULL, *other scoped(ring) = NULL;
    check_ok(ring_pair(&one, &other));
    check_ok(ring_attach(one));
    check(ring_wait(one, true, false, now_ms() + 5, false) == WOKEN_TIMEOUT);
    ring_fail(one, ERR_END);
    check(ring_wait(one, true, false, now_ms() + 100, false) == WOKEN_READY);
    check_err(ring_error(one), ERR_END);
}

TEST(ring_is_opened_from_descriptors)
{
    RingFds fds, no_ring = {-1, -1, -1};
    Ring *r scoped(ring) = NULL;
    check_err(ring_open(&no_ring, true, &r), ERR_SYNTAX);
    check_ok(ring_make(&fds));
    check_ok(ring_open(&fds, false, &r));
    check_ok(ring_attach(r));
    check(ring_has_room(r, RING_MESSAGE_MOST));
}
