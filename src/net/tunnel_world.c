#include "net/tunnel_world.h"

#include <stdlib.h>

struct TunnelWorld {
    TunnelWorldConfig config;
    Loop *loop;
    Gates *gates;
    Tunnel *tunnel; /* NULL: no house */
    unsigned busy;  /* atomic: relays, and connections that are served */
    Stream *given;  /* the house's end, for tunnel_world_pair */
};

typedef struct {
    TunnelWorld *world;
    Stream *front;
    Buf service, record, last_words;
} Call;

PARKS_UNCHECKED static void relays(void *arg)
{
    Call *c = arg;
    Buf back buf_scoped = {0};
    RelayOpen how = {.service = buf_slice(&c->service),
                     .record = buf_slice(&c->record),
                     .last_words = buf_slice(&c->last_words),
                     .home = random_u64() % 4}; /* right or wrong */
    while (relay_serve(c->front, c->world->gates, &how, &back) == RELAY_BACK)
        how.record = buf_slice(&back); /* as if the talk before login were over again at once */
    stream_free(c->front);
    __atomic_sub_fetch(&c->world->busy, 1, __ATOMIC_SEQ_CST);
    buf_done(&c->service);
    buf_done(&c->record);
    buf_done(&c->last_words);
    free(c);
}

PARKS Stream *tunnel_world_call(TunnelWorld *w, Slice service, Slice record, Slice last_words)
{
    Stream *client;
    Call *c = NEW(Call);
    c->world = w;
    check_ok(stream_pair(&client, &c->front));
    buf_add(&c->service, service);
    buf_add(&c->record, record);
    buf_add(&c->last_words, last_words);
    __atomic_add_fetch(&w->busy, 1, __ATOMIC_SEQ_CST);
    fiber_start("relay", relays, c);
    return client;
}

PARKS static void serve(void *arg, Stream *stream, Slice service, Slice record)
{
    TunnelWorld *w = arg;
    if (!w->config.serve) {
        while (loop_current() != w->loop) {
            stream_detach(stream);
            fiber_move(w->loop);
            check_ok(stream_attach(stream));
        }
        w->given = stream;
        return;
    }
    __atomic_add_fetch(&w->busy, 1, __ATOMIC_SEQ_CST);
    w->config.serve(w->config.arg, stream, service, record);
    __atomic_sub_fetch(&w->busy, 1, __ATOMIC_SEQ_CST);
}

PARKS void tunnel_world_pair(TunnelWorld *w, Stream **client, Stream **house)
{
    must(loop_current() == w->loop);
    w->given = NULL;
    *client = tunnel_world_call(w, S("pair"), S(""), S(""));
    while (!w->given)
        fiber_sleep(1);
    *house = w->given;
}

/* Neither says what it may not. */
static void house_is_bad(void *arg, Err why)
{
    (void)arg;
    test_failed(__FILE__, __LINE__, "the house: %s: %s", err_name(why), err_story());
}

static void front_is_bad(void *arg, Err why)
{
    (void)arg;
    if (why != ERR_END)
        test_failed(__FILE__, __LINE__, "the front: %s: %s", err_name(why), err_story());
}

PARKS void tunnel_world_new_house(TunnelWorld *w)
{
    enum { LOOPS_MOST = 64 };
    Ring *ours[LOOPS_MOST], *theirs[LOOPS_MOST];
    size_t count = loop_count();
    must(count <= LOOPS_MOST && !w->tunnel);
    for (size_t i = 0; i < count; i++)
        check_ok(ring_pair(&ours[i], &theirs[i]));
    TunnelConfig config = {.serve = serve, .over = front_is_bad, .arg = w};
    check_ok(tunnel_open(&config, theirs, count, &w->tunnel));
    check_ok(gates_replace(w->gates, ours, count));
}

PARKS TunnelWorld *tunnel_world_open(const TunnelWorldConfig *config)
{
    TunnelWorld *w = NEW(TunnelWorld);
    w->config = *config;
    w->loop = loop_current();
    w->gates = gates_new(&(GatesConfig){.broken = house_is_bad});
    tunnel_world_new_house(w);
    return w;
}

PARKS void tunnel_world_kill_house(TunnelWorld *w)
{
    Tunnel *t = w->tunnel;
    w->tunnel = NULL;
    gates_lost(w->gates);
    if (t) tunnel_end(t);
}

Gates *tunnel_world_gates(TunnelWorld *w)
{
    return w->gates;
}

PARKS static void tell_who_waits(void)
{
    Arena a arena_scoped = {0};
    FiberInfo *list;
    size_t count = fiber_list(&a, &list);
    for (size_t i = 0; i < count; i++)
        test_failed(__FILE__, __LINE__, "loop %u: %s waits for %s since %lld ms", list[i].loop,
                    list[i].name, list[i].waits_for, (long long)list[i].parked_ms);
    must(count == 0); /* connections end when their clients have gone */
}

PARKS void tunnel_world_close(TunnelWorld *w)
{
    int64_t until = now_ms() + 60000;
    while (__atomic_load_n(&w->busy, __ATOMIC_SEQ_CST) && now_ms() < until)
        fiber_sleep(1);
    if (__atomic_load_n(&w->busy, __ATOMIC_SEQ_CST)) tell_who_waits();
    tunnel_world_kill_house(w);
    fiber_sleep(20); /* the fibers of the rings end */
    gates_free(w->gates);
    free(w);
}
