/* A front that lies, does not read or dies, frame by frame, and what connections in the house have
 * of it. The front is this test, at the other ends of the rings. */
#include "net/remote.h"

#include "base/test.h"
#include "net/inside.h"
#include "run/ring_world.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { RINGS = 2, PIECE = 60000, MOST = 8 };

typedef struct {
    Tunnel *tunnel;
    Frames front[RINGS];
    atomic_int over; /* Err */
    atomic_uint served;
    atomic_int ended; /* how the last one went that tells */
    bool closed;
} Rear;

static void is_over(void *arg, Err why)
{
    Rear *h = arg;
    atomic_store(&h->over, (int)why);
}

/* ---- services ---- */

static const char much[PIECE];

PARKS static Err echo(Stream *s)
{
    Slice line;
    while (stream_line(s, 1000, &line) != LINE_NONE) {
        stream_printf(s, "%.*s\r\n", SP(line));
        TRY(stream_flush(s));
    }
    return stream_error(s);
}

PARKS static Err pour(Stream *s)
{
    for (int i = 0; i < 20 && !stream_error(s); i++)
        stream_put(s, slice(much, sizeof much));
    return stream_flush(s);
}

PARKS static Err move(Stream *s)
{
    stream_detach(s);
    fiber_move(loop_at((loop_index(loop_current()) + 1) % loop_count()));
    return stream_attach(s);
}

PARKS static Err wander(Stream *s)
{
    Slice line;
    if (stream_line(s, 100, &line) == LINE_NONE) return stream_error(s);
    for (int i = 0; i < 5; i++)
        TRY(move(s));
    return echo(s);
}

/* Comes where it was to go, and ends there. */
PARKS static Err wander_and_go(Stream *s)
{
    Slice line;
    if (stream_line(s, 100, &line) == LINE_NONE) return stream_error(s);
    TRY(move(s));
    TRY(move(s));
    return move(s);
}

/* On its way for longer than others. */
PARKS static Err dawdle(Stream *s)
{
    stream_detach(s);
    fiber_sleep(200);
    fiber_move(loop_at((loop_index(loop_current()) + 1) % loop_count()));
    TRY(stream_attach(s));
    return echo(s);
}

/* What is left when the last is said. */
PARKS static Err outlive(Stream *s)
{
    char octet;
    size_t count;
    Slice part = S("x");
    sock_shutdown(s->sock);
    check_err(sock_try_write(s->sock, &part, 1, &count), ERR_END);
    for (int i = 0; i < 3; i++)
        check_ok(move(s));
    check_err(sock_try_read(s->sock, &octet, 1, &count), ERR_END);
    sock_shutdown(s->sock);
    return OK;
}

/* The client has ended, then we have, and then the front says its last. */
PARKS static Err end_last(Stream *s)
{
    while (stream_some(s, 100).len)
        ;
    sock_shutdown(s->sock);
    fiber_sleep(100);
    return OK;
}

PARKS static Err shake(Stream *s)
{
    stream_set_deadline(s, now_ms() + 100);
    return stream_start_tls(s, NULL);
}

/* The client's end is here, and nobody has read it. */
PARKS static Err shake_unread(Stream *s)
{
    fiber_sleep(50);
    return shake(s);
}

/* More than may go is before it. */
PARKS static Err behind_much(Stream *s)
{
    for (int i = 0; i < 6; i++)
        buf_add(stream_out(s), slice(much, sizeof much));
    stream_set_write_timeout(s, 20);
    return OK;
}

PARKS static Err shake_behind_much(Stream *s)
{
    TRY(behind_much(s));
    return shake(s);
}

PARKS static Err press_behind_much(Stream *s)
{
    TRY(behind_much(s));
    return stream_start_deflate(s);
}

/* It has read the client's end before. */
PARKS static Err shake_late(Stream *s)
{
    while (stream_some(s, 100).len)
        ;
    return shake(s);
}

PARKS static Err shake_full(Stream *s)
{
    stream_set_write_timeout(s, 20);
    stream_put(s, S("x"));
    return shake(s);
}

PARKS static Err press(Stream *s)
{
    stream_set_write_timeout(s, 20);
    return stream_start_deflate(s);
}

PARKS static Err keep(Stream *s)
{
    stream_keep(s, slice(much, sizeof much)); /* too long: it cannot be taken up */
    return echo(s);
}

PARKS static Err keep_full(Stream *s)
{
    stream_set_write_timeout(s, 20);
    stream_keep(s, S("record"));
    stream_keep(s, S("record")); /* it is mute */
    return stream_error(s);
}

PARKS static Err hand_back(Stream *s)
{
    stream_set_write_timeout(s, 100);
    stream_hand_back(s, S("record"));
    return stream_error(s);
}

PARKS static Err names(Stream *s)
{
    Arena a arena_scoped = {0};
    Slice *list;
    Buf binding buf_scoped = {0};
    size_t count = stream_client_names(s, CLIENT_COMMON_NAME, &a, &list);
    check_err(stream_channel_binding(s, BINDING_TLS_UNIQUE, &binding), ERR_UNSUPPORTED);
    check_ok(stream_channel_binding(s, BINDING_TLS_EXPORTER, &binding));
    check_slice(buf_slice(&binding), S("export"));
    stream_printf(s, "%zu %.*s\r\n", count, SP(list[count - 1]));
    return stream_flush(s);
}

/* Takes nothing until it is asked to. */
PARKS static Err sit(Stream *s)
{
    Wake why = WOKEN_READY;
    fiber_sleep(300);
    (void)why;
    return echo(s);
}

static const struct {
    const char *name;
    Err (*run)(Stream *s);
} services[] = {
    {"echo",              echo             },
    {"pour",              pour             },
    {"wander",            wander           },
    {"wander and go",     wander_and_go    },
    {"dawdle",            dawdle           },
    {"end last",          end_last         },
    {"outlive",           outlive          },
    {"shake",             shake            },
    {"shake unread",      shake_unread     },
    {"shake behind much", shake_behind_much},
    {"press behind much", press_behind_much},
    {"shake late",        shake_late       },
    {"shake full",        shake_full       },
    {"press",             press            },
    {"keep",              keep             },
    {"keep full",         keep_full        },
    {"hand back",         hand_back        },
    {"names",             names            },
    {"sit",               sit              },
};

PARKS_UNCHECKED static void serve(void *arg, Stream *stream, Slice service, Slice record)
{
    Rear *h = arg;
    (void)record;
    atomic_fetch_add(&h->served, 1);
    for (size_t i = 0; i < COUNT(services); i++)
        if (slice_eq(service, slice_of(services[i].name)))
            atomic_store(&h->ended, (int)services[i].run(stream));
    stream_free(stream);
    atomic_fetch_sub(&h->served, 1);
}

/* ---- the front's side ---- */

PARKS static void rear_open(Rear *h)
{
    Ring *theirs[RINGS];
    *h = (Rear){0};
    for (int i = 0; i < RINGS; i++) {
        check_ok(ring_pair(&h->front[i].ring, &theirs[i]));
        check_ok(ring_attach(h->front[i].ring));
    }
    TunnelConfig config = {.serve = serve, .over = is_over, .arg = h, .most = MOST};
    check_ok(tunnel_open(&config, theirs, RINGS, &h->tunnel));
}

PARKS static void front_goes(Rear *h)
{
    if (!h->closed) tunnel_end(h->tunnel);
    h->closed = true;
}

PARKS static void nobody_is_served(Rear *h)
{
    for (int i = 0; i < 3000 && atomic_load(&h->served); i++)
        fiber_sleep(1);
    check_u64(atomic_load(&h->served), 0);
}

PARKS static void rear_close(Rear *h)
{
    front_goes(h);
    nobody_is_served(h);
    fiber_sleep(5);
    for (int i = 0; i < RINGS; i++)
        frame_done(&h->front[i]);
}

static void says(Rear *h, int ring, const Memo *memo)
{
    check(frame_put(&h->front[ring], memo));
}

static void says_octets(Rear *h, int ring, uint32_t connection, size_t octets)
{
    Slice part = slice(much, octets);
    check(frame_data(&h->front[ring], connection, &part, 1, octets));
}

static void opens_with(Rear *h, int ring, uint32_t connection, const char *service, Slice facts)
{
    says(h, ring,
         &(Memo){
             .kind = MEMO_CONN_OPEN,
             .number = {connection,         0,     1234,  143  },
             .text = { S("192.0.2.1"), S("192.0.2.2"), slice_of(service), S(""), S(""), facts}
    });
}

PARKS static void opens(Rear *h, int ring, uint32_t connection, const char *service)
{
    opens_with(h, ring, connection, service, (Slice){0});
    fiber_sleep(5);
}

/* The next frame of that kind of that connection; others are passed over, their octets counted. */
PARKS static bool hears(Rear *h, int ring, MemoKind kind, uint32_t connection, size_t *octets)
{
    for (int64_t until = now_ms() + 5000; now_ms() < until; fiber_sleep(1)) {
        Slice message;
        while (ring_next(h->front[ring].ring, &message)) {
            Frame f;
            check_ok(frame_read(message, &f));
            if (octets && f.kind == MEMO_CONN_DATA && f.connection == connection)
                *octets += f.rest.len;
            ring_took(h->front[ring].ring);
            if (f.kind == kind && f.connection == connection) return true;
        }
    }
    return false;
}

/* ---- what cannot be ---- */

typedef enum {
    NUMBER_TOO_HIGH,
    OPENED_TWICE,
    SHORT,
    NOBODYS,
    EMPTY,
    BEYOND_CREDIT,
    BEYOND_CREDIT_ON_ITS_WAY,
    CREDIT_OF_NOTHING,
    TLS_UNASKED,
    LAST_OF_WHO_IS_HERE,
    OVER_TOO_SOON,
    NO_FRAME,
    LIES
} Lie;

PARKS static void lie(Rear *h, Lie lie)
{
    switch (lie) {
    case NUMBER_TOO_HIGH:
        opens(h, 0, TUNNEL_CONNECTIONS_MOST, "echo");
        break;
    case OPENED_TWICE:
        opens(h, 0, 5000, "echo");
        opens(h, 0, 5000, "echo");
        break;
    case SHORT:
        check(ring_put(h->front[0].ring, (Slice[]){S("abc")}, 1));
        break;
    case NOBODYS:
        says(h, 0, FRAME(MEMO_CONN_END, 7, 0));
        break;
    case EMPTY:
        opens(h, 0, 1, "echo");
        check(ring_put(h->front[0].ring, (Slice[]){slice((char[]){MEMO_CONN_DATA, 1, 0, 0, 0}, 5)},
                       1));
        break;
    case BEYOND_CREDIT:
        opens(h, 0, 1, "sit");
        for (int i = 0; i < 5; i++) {
            says_octets(h, 0, 1, PIECE);
            fiber_sleep(2);
        }
        break;
    case BEYOND_CREDIT_ON_ITS_WAY:
        opens(h, 0, 1, "dawdle");
        for (int i = 0; i < 20 && !atomic_load(&h->over); i++) {
            says_octets(h, 0, 1, PIECE);
            fiber_sleep(2);
        }
        break;
    case CREDIT_OF_NOTHING:
        opens(h, 0, 1, "echo");
        says(h, 0, FRAME(MEMO_CONN_CREDIT, 1, 0));
        break;
    case TLS_UNASKED:
        opens(h, 0, 1, "echo");
        says(h, 0, FRAME(MEMO_CONN_TLS_DONE, 1, 0));
        break;
    case LAST_OF_WHO_IS_HERE:
        opens(h, 0, 1, "echo");
        says(h, 0, FRAME(MEMO_CONN_LAST, 1));
        break;
    case OVER_TOO_SOON:
        opens(h, 0, 1, "echo");
        says(h, 0, FRAME(MEMO_CONN_OVER, 1));
        break;
    case NO_FRAME: /* what anybody may say to anybody, but not there */
        opens(h, 0, 1, "outlive");
        check(hears(h, 0, MEMO_CONN_FINISH, 1, NULL));
        opens(h, 0, 2, "echo");
        says(h, 0, &(Memo){.kind = MEMO_REFUSED, .number = {2}, .text = {S("")}});
        break;
    case LIES:
        break;
    }
}

TEST(a_front_that_lies_is_left)
{
    for (Lie i = 0; i < LIES; i++) {
        Rear h;
        rear_open(&h);
        lie(&h, i);
        for (int turns = 0; turns < 1000 && !atomic_load(&h.over); turns++)
            fiber_sleep(1);
        if (atomic_load(&h.over) != ERR_SYNTAX)
            test_failed(__FILE__, __LINE__, "lie %d: %s", (int)i,
                        err_name((Err)atomic_load(&h.over)));
        rear_close(&h);
    }
}

/* ---- a front that does not read ---- */

/* Two that pour fill it but for a little. */
PARKS static void fill_rings(Rear *h)
{
    for (int ring = 0; ring < RINGS; ring++)
        for (uint32_t i = 0; i < 2; i++)
            opens(h, ring, 10 + 2 * (uint32_t)ring + i, "pour");
    fiber_sleep(20);
}

enum { REFUSED = 6000, FIRST_REFUSED = 100 };

/* And many that are one too many, each with a word, fill the rest: nobody can say anything. */
PARKS static void fill_to_the_brim(Rear *h)
{
    for (uint32_t i = 0; i < REFUSED; i++) {
        const Memo *open = &(Memo){
            .kind = MEMO_CONN_OPEN, .number = {FIRST_REFUSED + i}, .text = {[2] = S("echo")}};
        while (!frame_put(&h->front[i % 2], open))
            fiber_sleep(1);
        if (i % 100 == 0) fiber_sleep(1);
    }
    fiber_sleep(20);
}

/* As a front does: who leaves a ring is told its last there, credit is given for what came. */
PARKS static void reads_all(Rear *h, size_t octets[], size_t count)
{
    for (int ring = 0; ring < RINGS; ring++) {
        Slice message;
        while (ring_next(h->front[ring].ring, &message)) {
            Frame f;
            check_ok(frame_read(message, &f));
            size_t len = f.rest.len;
            ring_took(h->front[ring].ring);
            check(f.connection < count);
            if (f.kind == MEMO_CONN_DATA) octets[f.connection] += len;
            if (f.kind == MEMO_CONN_DATA && f.connection >= 10)
                frame_say(&h->front[ring], FRAME(MEMO_CONN_CREDIT, f.connection, len));
            if (f.kind == MEMO_CONN_LEAVES)
                frame_say(&h->front[ring], FRAME(MEMO_CONN_LAST, f.connection));
            if (f.kind == MEMO_CONN_FINISH || f.kind == MEMO_CONN_DROP)
                frame_say(&h->front[ring], FRAME(MEMO_CONN_OVER, f.connection));
        }
        frame_settle(&h->front[ring]);
    }
}

TEST(who_moves_behind_full_rings_arrives)
{
    static size_t octets[FIRST_REFUSED + REFUSED];
    Rear h;
    memset(octets, 0, sizeof octets);
    rear_open(&h);
    fill_rings(&h);
    opens(&h, 0, 1, "wander");
    opens(&h, 1, 2, "wander");
    opens(&h, 0, 3, "wander and go");
    opens(&h, 1, 4, "wander");
    fill_to_the_brim(&h);
    for (uint32_t i = 1; i < 5; i++)
        frame_data(&h.front[!(i % 2)], i, (Slice[]){S("go\r\none\r\n")}, 1, 9);
    fiber_sleep(20);
    bool all = false;
    for (int turns = 0; turns < 5000 && !all; turns++) {
        reads_all(&h, octets, COUNT(octets));
        all = octets[1] == 5 && octets[2] == 5 && octets[4] == 5;
        for (int i = 10; i < 14; i++)
            all = all && octets[i] == 20 * (size_t)PIECE;
        fiber_sleep(1);
    }
    check(all);
    check_ok((Err)atomic_load(&h.over));
    rear_close(&h);
}

/* The front dies while they cannot even say that they leave. */
TEST(who_moves_when_the_front_dies_ends)
{
    for (int round = 0; round < 4; round++) {
        Rear h;
        rear_open(&h);
        fill_rings(&h);
        opens(&h, 0, 1, "wander");
        opens(&h, 1, 2, "wander and go");
        opens(&h, 0, 3, "dawdle");
        opens(&h, 1, 4, "wander and go");
        if (round % 2) fill_to_the_brim(&h);
        for (uint32_t i = 1; i < 5; i++)
            frame_data(&h.front[!(i % 2)], i, (Slice[]){S("go\r\none\r\n")}, 1, 9);
        fiber_sleep(round * 7);
        front_goes(&h);
        rear_close(&h);
    }
}

/* ---- errors of who asks the front for something ---- */

TEST(a_front_that_does_not_do_it)
{
    static const struct {
        const char *service;
        bool full, ends, goes;
        Err err, end;
    } rows[] = {
        {"shake unread",      false, true,  false, ERR_END,     OK    },
        {"shake late",        false, true,  false, ERR_END,     OK    },
        {"shake behind much", false, false, false, ERR_TIMEOUT, OK    },
        {"press behind much", false, false, false, ERR_TIMEOUT, OK    },
        {"shake",             false, false, false, ERR_TIMEOUT, ERR_IO},
        {"shake",             false, true,  false, ERR_IO,      ERR_IO},
        {"shake",             false, false, true,  ERR_END,     ERR_IO},
        {"shake late",        false, true,  false, ERR_IO,      ERR_IO},
        {"shake full",        true,  false, false, ERR_TIMEOUT, ERR_IO},
        {"press",             true,  false, false, ERR_TIMEOUT, ERR_IO},
        {"keep full",         true,  false, false, ERR_TIMEOUT, ERR_IO},
        {"hand back",         false, false, false, ERR_END,     ERR_IO},
        {"hand back",         false, false, true,  ERR_END,     ERR_IO},
        {"hand back",         true,  false, false, ERR_TIMEOUT, ERR_IO},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Rear h;
        rear_open(&h);
        if (rows[i].full) fill_rings(&h);
        atomic_store(&h.ended, 999);
        opens(&h, 0, 1, rows[i].service);
        if (rows[i].ends) says(&h, 0, FRAME(MEMO_CONN_END, 1, rows[i].end));
        if (rows[i].goes) front_goes(&h);
        for (int turns = 0; turns < 1000 && atomic_load(&h.ended) == 999; turns++)
            fiber_sleep(1);
        if (atomic_load(&h.ended) != (int)rows[i].err)
            test_failed(__FILE__, __LINE__, "row %zu: %s", i, err_name((Err)atomic_load(&h.ended)));
        rear_close(&h);
    }
}

TEST(records_that_are_too_long_are_none)
{
    Rear h;
    Slice message = {0};
    Frame f;
    rear_open(&h);
    opens(&h, 0, 1, "keep");
    check(ring_next(h.front[0].ring, &message));
    check_ok(frame_read(message, &f));
    check_u64(f.kind, MEMO_CONN_KEEP);
    check_u64(f.rest.len, 8); /* what was read, and nothing behind it */
    Stream *a scoped(stream) = NULL, *b scoped(stream) = NULL;
    check_ok(stream_pair(&a, &b));
    stream_keep(a, S("record")); /* nobody keeps it */
    check_ok(stream_error(a));
    rear_close(&h);
}

/* ---- what the front knows ---- */

static void put_fact(Buf *facts, unsigned kind, Slice fact)
{
    buf_u8(facts, (uint8_t)kind);
    buf_u16(facts, (uint16_t)fact.len);
    buf_add(facts, fact);
}

TEST(facts_of_the_front_are_the_streams)
{
    Rear h;
    Buf facts buf_scoped = {0};
    size_t octets = 0;
    rear_open(&h);
    put_fact(&facts, BINDING_TLS_EXPORTER, S("export"));
    put_fact(&facts, FACT_NAME + CLIENT_COMMON_NAME, S("anna"));
    put_fact(&facts, FACT_NAME + CLIENT_ADDRESS, S("anna@example.org"));
    put_fact(&facts, FACT_NAME + CLIENT_COMMON_NAME, S("berta"));
    buf_add(&facts, S("\x07\xff\xff cut")); /* passed over */
    opens_with(&h, 0, 1, "names", buf_slice(&facts));
    check(hears(&h, 0, MEMO_CONN_DROP, 1, &octets));
    check_u64(octets, strlen("2 berta\r\n"));
    rear_close(&h);
}

/* ---- many frames, and none ---- */

TEST(the_front_has_the_last_word)
{
    Rear h;
    rear_open(&h);
    opens(&h, 0, 1, "end last");
    says(&h, 0, FRAME(MEMO_CONN_END, 1, 0));
    check(hears(&h, 0, MEMO_CONN_FINISH, 1, NULL));
    says(&h, 0, FRAME(MEMO_CONN_OVER, 1));
    fiber_sleep(5);
    opens(&h, 0, 1, "outlive"); /* the number is free */
    nobody_is_served(&h);
    check_ok((Err)atomic_load(&h.over));
    rear_close(&h);
}

TEST(a_front_may_say_a_lot)
{
    Rear h;
    size_t octets = 0;
    rear_open(&h);
    opens(&h, 0, 1, "echo");
    for (int i = 0; i < 200; i++)
        check(frame_data(&h.front[0], 1, (Slice[]){S("x\r\n")}, 1, 3));
    says(&h, 0, FRAME(MEMO_CONN_END, 1, 0));
    check(hears(&h, 0, MEMO_CONN_DROP, 1, &octets));
    check_u64(octets, 600);
    says(&h, 0, FRAME(MEMO_CONN_OVER, 1));
    rear_close(&h);
}

TEST(rings_that_cannot_be_attached_are_no_front)
{
    Ring *ours[RINGS], *theirs[RINGS];
    Tunnel *t = NULL;
    TunnelConfig config = {.serve = serve};
    for (int i = 0; i < RINGS; i++)
        check_ok(ring_pair(&ours[i], &theirs[i]));
    close(ours[0]->wake_us);
    ours[0]->wake_us = open("/dev/null", O_RDONLY); /* nothing that can be waited for */
    check_err(tunnel_open(&config, ours, RINGS, &t), ERR_LIMIT);
    check(!t);
    for (int i = 0; i < RINGS; i++)
        ring_close(theirs[i]);
}
