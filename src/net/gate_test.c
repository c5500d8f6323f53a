/* A house that lies, is slow or dies, frame by frame, and what the front and its clients have of
 * it. The house is this test, at the other ends of the rings. */
#include "net/gate.h"

#include "base/test.h"
#include "run/ring_world.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { RINGS = 2, PIECE = 60000 };

typedef struct {
    Gates *gates;
    Ring *ours[RINGS];
    Frames house[RINGS];
    Err broken;
    RelayOpen how;
    unsigned relays;
} Fronts;

static void is_broken(void *arg, Err why)
{
    Fronts *w = arg;
    w->broken = why;
}

static void house_opens(Fronts *w)
{
    for (int i = 0; i < RINGS; i++) {
        ring_close(w->house[i].ring);
        check_ok(ring_pair(&w->ours[i], &w->house[i].ring));
        check_ok(ring_attach(w->house[i].ring));
    }
    check_ok(gates_replace(w->gates, w->ours, RINGS));
}

static void fronts_open(Fronts *w)
{
    *w = (Fronts){
        .how = {.service = S("imap"), .last_words = S("* BYE\r\n")}
    };
    w->gates = gates_new(&(GatesConfig){.broken = is_broken, .arg = w, .patience_ms = 50});
    house_opens(w);
}

typedef struct {
    Fronts *fronts;
    Stream *front;
} Call;

PARKS_UNCHECKED static void relays(void *arg)
{
    Call *c = arg;
    Buf back buf_scoped = {0};
    stream_set_write_timeout(c->front, 5000);
    (void)relay_serve(c->front, c->fronts->gates, &c->fronts->how, &back);
    stream_free(c->front);
    c->fronts->relays--;
    free(c);
}

/* The client's end; the first of a house is connection 0 on ring 0, and so on by turns. */
PARKS static Stream *call(Fronts *w)
{
    Stream *client;
    Call *c = NEW(Call);
    c->fronts = w;
    check_ok(stream_pair(&client, &c->front));
    w->relays++;
    fiber_start("relay", relays, c);
    stream_set_deadline(client, now_ms() + 5000);
    fiber_sleep(2);
    return client;
}

PARKS static void fronts_close(Fronts *w)
{
    gates_lost(w->gates); /* who waits for its last frame waits for the next house, not for long */
    for (int i = 0; i < 3000 && w->relays; i++)
        fiber_sleep(1);
    check_u64(w->relays, 0);
    fiber_sleep(5);
    gates_free(w->gates);
    for (int i = 0; i < RINGS; i++)
        frame_done(&w->house[i]);
}

/* ---- the house's side ---- */

/* The next frame of that kind; others are passed over. Counts the octets of the client's. */
PARKS static bool hears(Fronts *w, int ring, MemoKind kind, uint32_t connection, size_t *octets)
{
    for (int64_t until = now_ms() + 5000; now_ms() < until; fiber_sleep(1)) {
        Slice message;
        while (ring_next(w->house[ring].ring, &message)) {
            Frame f;
            check_ok(frame_read(message, &f));
            if (octets && f.kind == MEMO_CONN_DATA && f.connection == connection)
                *octets += f.rest.len;
            ring_took(w->house[ring].ring);
            if (f.kind == kind && f.connection == connection) return true;
        }
    }
    return false;
}

static void says(Fronts *w, int ring, const Memo *memo)
{
    check(frame_put(&w->house[ring], memo));
}

static void says_octets(Fronts *w, int ring, uint32_t connection, size_t octets)
{
    static const char zeros[PIECE];
    Slice part = slice(zeros, octets);
    check(frame_data(&w->house[ring], connection, &part, 1, octets));
}

static const Memo *with_text(MemoKind kind, uint32_t connection, size_t octets)
{
    static char text[PIECE];
    static Memo memo;
    memset(text, 'x', octets);
    memo = (Memo){.kind = kind, .number = {connection}, .text = {slice(text, octets)}};
    return &memo;
}

PARKS static Slice next_line(Stream *client)
{
    Slice line;
    return stream_line(client, 1000, &line) == LINE_CRLF ? line : S("(nothing)");
}

/* ---- what cannot be ---- */

typedef enum {
    NOBODYS,
    FAR_FROM_ANYBODYS,
    SHORT,
    EMPTY,
    WRONG_RING,
    BEHIND_THE_LAST,
    DEFLATE_TWICE,
    INFLATE_PLAIN,
    HERE_BEFORE,
    RETURNS_TOO_MUCH,
    STILL_TALKS,
    LIES
} Lie;

PARKS static void lie(Fronts *w, Lie lie)
{
    switch (lie) {
    case NOBODYS:
        says(w, 0, FRAME(MEMO_CONN_DROP, 7));
        break;
    case FAR_FROM_ANYBODYS:
        says(w, 0, FRAME(MEMO_CONN_DROP, 1000000));
        break;
    case SHORT:
        check(ring_put(w->house[0].ring, (Slice[]){S("abc")}, 1));
        break;
    case EMPTY:
        check(ring_put(w->house[0].ring, (Slice[]){slice("\0\0\0\0\0", 5)}, 1));
        break;
    case WRONG_RING:
        says_octets(w, 1, 0, 10);
        break;
    case BEHIND_THE_LAST:
        says(w, 0, FRAME(MEMO_CONN_FINISH, 0));
        says_octets(w, 0, 0, 10);
        break;
    case DEFLATE_TWICE:
        for (int i = 0; i < 3; i++)
            says(w, 0, FRAME(MEMO_CONN_START_DEFLATE, 0));
        break;
    case INFLATE_PLAIN:
        says(w, 0, FRAME(MEMO_CONN_END_DEFLATE, 0));
        break;
    case HERE_BEFORE:
        says(w, 0, FRAME(MEMO_CONN_HERE, 0, 0));
        break;
    case RETURNS_TOO_MUCH:
        says(w, 0, with_text(MEMO_CONN_BACK, 0, 10));
        for (int i = 0; i < 20 && !w->broken; i++) {
            says_octets(w, 0, 0, PIECE);
            fiber_sleep(2);
        }
        break;
    case STILL_TALKS:
        says(w, 0, with_text(MEMO_CONN_BACK, 0, 10));
        says(w, 0, FRAME(MEMO_CONN_START_DEFLATE, 0));
        break;
    case LIES:
        break;
    }
}

TEST(a_house_that_lies_loses_its_rings)
{
    for (Lie i = 0; i < LIES; i++) {
        Fronts w;
        fronts_open(&w);
        Stream *client scoped(stream) = call(&w);
        check(hears(&w, 0, MEMO_CONN_OPEN, 0, NULL));
        lie(&w, i);
        for (int turns = 0; turns < 1000 && !w.broken; turns++)
            fiber_sleep(1);
        if (w.broken != ERR_SYNTAX)
            test_failed(__FILE__, __LINE__, "lie %d: %s", (int)i, err_name(w.broken));
        while (!slice_eq(next_line(client), S("(nothing)")))
            ; /* the service's last words, mostly */
        stream_free(client);
        client = NULL;
        fronts_close(&w);
    }
}

/* A client that does not read: what the house says for it stays within its credit. */
TEST(a_house_beyond_its_credit_loses_its_rings)
{
    Fronts w;
    fronts_open(&w);
    Stream *client = call(&w);
    check(hears(&w, 0, MEMO_CONN_OPEN, 0, NULL));
    for (int i = 0; i < 20 && !w.broken; i++) {
        says_octets(&w, 0, 0, PIECE);
        fiber_sleep(2);
    }
    check_err(w.broken, ERR_SYNTAX);
    stream_free(client);
    fronts_close(&w);
}

/* The relay is busy with a client that does not read; all that is for it to do waits, up to a
 * limit. */
TEST(a_house_may_not_ask_for_everything_at_once)
{
    Fronts w;
    fronts_open(&w);
    Stream *client = call(&w);
    check(hears(&w, 0, MEMO_CONN_OPEN, 0, NULL));
    for (int i = 0; i < 4; i++) {
        says_octets(&w, 0, 0, PIECE);
        fiber_sleep(2);
    }
    says(&w, 0, FRAME(MEMO_CONN_START_DEFLATE, 0));
    fiber_sleep(2);
    says_octets(&w, 0, 0, 10); /* it is busy with the frame before */
    for (int i = 0; i < 30 && !w.broken; i++) {
        says(&w, 0, with_text(MEMO_CONN_BACK, 0, 48000));
        fiber_sleep(2);
    }
    check_err(w.broken, ERR_SYNTAX);
    stream_free(client);
    fronts_close(&w);
}

/* ---- moves ---- */

/* What is said on the ring it comes to may be seen first. */
TEST(a_connection_is_not_there_before_it_has_left)
{
    Fronts w;
    fronts_open(&w);
    Stream *client = call(&w);
    check(hears(&w, 0, MEMO_CONN_OPEN, 0, NULL));
    says(&w, 1, FRAME(MEMO_CONN_HERE, 0, 1));
    frame_data(&w.house[1], 0, (Slice[]){S("second\r\n")}, 1, 8);
    fiber_sleep(5);
    frame_data(&w.house[0], 0, (Slice[]){S("first\r\n")}, 1, 7);
    says(&w, 0, FRAME(MEMO_CONN_LEAVES, 0));
    check_slice(next_line(client), S("first"));
    check_slice(next_line(client), S("second"));
    check(hears(&w, 0, MEMO_CONN_LAST, 0, NULL));
    stream_put(client, S("hello"));
    check_ok(stream_flush(client));
    size_t octets = 0;
    check(hears(&w, 1, MEMO_CONN_DATA, 0, &octets));
    check_u64(octets, 5);
    says(&w, 1, FRAME(MEMO_CONN_DROP, 0));
    check(hears(&w, 1, MEMO_CONN_OVER, 0, NULL));
    check_ok(w.broken);
    stream_free(client);
    fronts_close(&w);
}

TEST(who_has_gone_is_told_no_more)
{
    Fronts w;
    fronts_open(&w);
    Stream *client = call(&w);
    check(hears(&w, 0, MEMO_CONN_OPEN, 0, NULL));
    stream_put(client, S("five\n"));
    check_ok(stream_flush(client));
    check(hears(&w, 0, MEMO_CONN_DATA, 0, NULL));
    says(&w, 0, FRAME(MEMO_CONN_HOLD, 0));
    says_octets(&w, 0, 0, PIECE);
    fiber_sleep(5);
    stream_cut(client);
    says_octets(&w, 0, 0, PIECE);
    says_octets(&w, 0, 0, PIECE);
    check(hears(&w, 0, MEMO_CONN_END, 0, NULL));
    says(&w, 0, FRAME(MEMO_CONN_START_DEFLATE, 0));
    says_octets(&w, 0, 0, PIECE); /* on their way, all of them */
    says_octets(&w, 0, 0, PIECE);
    says(&w, 0, FRAME(MEMO_CONN_CREDIT, 0, 1));
    check(gates_busy(w.gates) == 0);
    says(&w, 0, FRAME(MEMO_CONN_FINISH, 0));
    check(hears(&w, 0, MEMO_CONN_OVER, 0, NULL));
    check_ok(w.broken);
    stream_free(client);
    fronts_close(&w);
}

/* ---- a house that does not read ---- */

enum { MUCH = 3 * TUNNEL_CREDIT };

typedef struct {
    Stream *client;
    bool ended;
} Pouring;

PARKS_UNCHECKED static void pours(void *arg)
{
    static const char zeros[MUCH];
    Pouring *p = arg;
    stream_put(p->client, slice(zeros, MUCH));
    (void)stream_flush(p->client);
    p->ended = true;
}

/* Takes everything and allows as much again. */
PARKS static void reads_all(Fronts *w, uint64_t got[], size_t count)
{
    for (int ring = 0; ring < RINGS; ring++) {
        Slice message;
        while (ring_next(w->house[ring].ring, &message)) {
            Frame f;
            check_ok(frame_read(message, &f));
            uint32_t octets = (uint32_t)f.rest.len;
            bool data = f.kind == MEMO_CONN_DATA && f.connection < count;
            if (data) got[f.connection] += octets;
            ring_took(w->house[ring].ring);
            if (data) frame_say(&w->house[ring], FRAME(MEMO_CONN_CREDIT, f.connection, octets));
        }
        frame_settle(&w->house[ring]);
    }
}

/* The ring is full: what is small is owed, what is large waits its turn, and nothing is lost. */
TEST(a_full_ring_loses_nothing)
{
    enum { CLIENTS = 6 };
    Fronts w;
    fronts_open(&w);
    Pouring pouring[CLIENTS];
    uint64_t got[CLIENTS + 1] = {0};
    for (size_t i = 0; i < CLIENTS; i++) {
        pouring[i] = (Pouring){call(&w), false};
        fiber_start("pours", pours, &pouring[i]);
        fiber_sleep(2);
    }
    Stream *late = call(&w), *gone = call(&w); /* they cannot even be opened */
    check_u64(gates_relays(w.gates), CLIENTS + 2);
    stream_free(gone);
    for (int i = 0; i < 4; i++) { /* credit for these is owed */
        says_octets(&w, 0, 0, PIECE);
        check(stream_skip(pouring[0].client, PIECE));
    }
    fiber_sleep(5);
    bool all = false;
    for (int turns = 0; turns < 20000 && !all; turns++) {
        reads_all(&w, got, CLIENTS + 1);
        all = true;
        for (size_t i = 0; i < CLIENTS; i++)
            all = all && got[i] == MUCH && pouring[i].ended;
        fiber_sleep(1);
    }
    for (size_t i = 0; i < CLIENTS; i++)
        check_u64(got[i], MUCH);
    check_ok(w.broken);
    for (size_t i = 0; i < CLIENTS; i++) {
        check(pouring[i].ended);
        stream_free(pouring[i].client);
    }
    stream_free(late);
    fronts_close(&w);
}

/* It dies with a full ring: who waits for a turn waits for the next house. */
TEST(a_full_ring_dies_with_its_house)
{
    enum { CLIENTS = 6 };
    Fronts w;
    fronts_open(&w);
    Pouring pouring[CLIENTS];
    for (size_t i = 0; i < CLIENTS; i++) {
        pouring[i] = (Pouring){call(&w), false};
        fiber_start("pours", pours, &pouring[i]);
        fiber_sleep(2);
    }
    check(gates_busy(w.gates) >= 2); /* the others are not opened yet */
    stream_cut(pouring[0].client);   /* what it said is still there */
    fiber_sleep(5);
    gates_lost(w.gates);
    check_u64(gates_busy(w.gates), 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        if (i) stream_cut(pouring[i].client);
        while (!pouring[i].ended)
            fiber_sleep(1);
        stream_free(pouring[i].client);
    }
    fronts_close(&w);
}

/* ---- houses that come and go ---- */

/* A record of which three houses have died is given up. */
TEST(what_kills_every_house_is_given_up)
{
    Fronts w;
    fronts_open(&w);
    Stream *client = call(&w);
    for (int i = 0; i < 4; i++) {
        check(hears(&w, i % RINGS, MEMO_CONN_OPEN, 0, NULL));
        gates_lost(w.gates);
        if (i < 3) house_opens(&w);
    }
    check_slice(next_line(client), S("* BYE"));
    check_slice(next_line(client), S("(nothing)"));
    stream_free(client);
    fronts_close(&w);
}

TEST(while_it_is_held_nobody_begins)
{
    Fronts w;
    size_t octets = 0;
    Slice message;
    fronts_open(&w);
    w.how = (RelayOpen){.authenticates = true};
    Stream *client = call(&w);
    check(hears(&w, 0, MEMO_CONN_OPEN, 0, NULL));
    gates_hold(w.gates, true);
    stream_put(client, S("a NOOP\r\n"));
    check_ok(stream_flush(client));
    fiber_sleep(20);
    check(!ring_next(w.house[0].ring, &message));
    check_u64(gates_busy(w.gates), 0);
    gates_hold(w.gates, false);
    check(hears(&w, 0, MEMO_CONN_DATA, 0, &octets));
    check_u64(octets, 8);
    check_u64(gates_busy(w.gates), 1);
    gates_hold(w.gates, true); /* who has begun goes on */
    stream_put(client, S("b NOOP\r\n"));
    check_ok(stream_flush(client));
    check(hears(&w, 0, MEMO_CONN_DATA, 0, &octets));
    check_u64(octets, 16);
    stream_free(client);
    fronts_close(&w);
}

/* The client has closed its half before it is told to shake hands. */
TEST(no_hands_are_shaken_with_who_has_ended)
{
    Fronts w;
    fronts_open(&w);
    Stream *client = call(&w);
    check(hears(&w, 0, MEMO_CONN_OPEN, 0, NULL));
    says(&w, 0, with_text(MEMO_CONN_START_TLS, 0, 300));
    check(hears(&w, 0, MEMO_CONN_TLS_DONE, 0, NULL)); /* there is no certificate */
    sock_shutdown(client->sock);
    check(hears(&w, 0, MEMO_CONN_END, 0, NULL));
    says(&w, 0, FRAME(MEMO_CONN_START_TLS, 0));
    says(&w, 0, FRAME(MEMO_CONN_FINISH, 0));
    check(hears(&w, 0, MEMO_CONN_OVER, 0, NULL));
    check_ok(w.broken);
    stream_free(client);
    fronts_close(&w);
}

TEST(rings_that_cannot_be_attached_are_no_house)
{
    Fronts w;
    fronts_open(&w);
    for (int bad = 0; bad < RINGS; bad++) {
        Ring *ours[RINGS], *theirs[RINGS];
        for (int i = 0; i < RINGS; i++)
            check_ok(ring_pair(&ours[i], &theirs[i]));
        close(ours[bad]->wake_us);
        ours[bad]->wake_us = open("/dev/null", O_RDONLY); /* nothing that can be waited for */
        check_err(gates_replace(w.gates, ours, RINGS), ERR_LIMIT);
        for (int i = 0; i < RINGS; i++)
            ring_close(theirs[i]);
    }
    fronts_close(&w);
}

/* What we said lies where a house that has been taken over can write. */
TEST(what_a_dying_house_wrote_over_is_not_said_again)
{
    for (int what = 0; what < 3; what++) {
        Fronts w;
        Slice message = {0};
        fronts_open(&w);
        Stream *client = call(&w);
        check(hears(&w, 0, MEMO_CONN_OPEN, 0, NULL));
        stream_put(client, S("five\n"));
        check_ok(stream_flush(client));
        for (int turns = 0; turns < 1000 && !ring_next(w.house[0].ring, &message); turns++)
            fiber_sleep(1);
        check_u64(message.len, FRAME_HEAD + 5);
        char *at = (char *)(uintptr_t)message.at;
        if (what == 0) at[0] = MEMO_CONN_END;
        if (what == 1) at[3] = 0x7f; /* another connection */
        if (what == 2) at[-4] = 3;   /* a shorter frame */
        gates_lost(w.gates);
        house_opens(&w);
        fiber_sleep(20);
        check_ok(w.broken);
        stream_free(client);
        fronts_close(&w);
    }
    gates_free(NULL);
}

TEST(nobody_has_to_be_told)
{
    Ring *ours, *theirs;
    Gates *g = gates_new(&(GatesConfig){0});
    check_ok(ring_pair(&ours, &theirs));
    check_ok(ring_attach(theirs));
    check_ok(gates_replace(g, &ours, 1));
    check(ring_put(theirs, (Slice[]){S("abc")}, 1));
    fiber_sleep(20);
    check_u64(gates_relays(g), 0);
    gates_free(g);
    ring_close(theirs);
}

/* ---- frames ---- */

TEST(who_does_not_read_what_it_asks_for_is_left)
{
    Ring *ours, *theirs;
    check_ok(ring_pair(&ours, &theirs));
    check_ok(ring_attach(ours));
    check_ok(ring_attach(theirs));
    Frames f = {.ring = ours};
    size_t said = 0;
    while (!ring_error(ours) && said < 1000) {
        frame_say(&f, with_text(MEMO_CONN_BACK, 0, 48000));
        said++;
    }
    check_err(ring_error(ours), ERR_SYNTAX);
    check(f.owed.len > FRAME_OWED_MOST && said < 200);
    frame_say(&f, with_text(MEMO_CONN_BACK, 0, 48000));
    frame_done(&f);
    ring_close(theirs);
}

TEST(parts_of_octets)
{
    Ring *ours, *theirs;
    Slice message = {0};
    check_ok(ring_pair(&ours, &theirs));
    check_ok(ring_attach(ours));
    check_ok(ring_attach(theirs));
    Frames f = {.ring = ours};
    Slice parts[] = {S(""), S("abc"), S("def"), S("ghi")};
    check(frame_data(&f, 7, parts, COUNT(parts), 5));
    check(ring_next(theirs, &message));
    check_slice(slice_from(message, FRAME_HEAD), S("abcde"));
    frame_done(&f);
    ring_close(theirs);
}

/* ---- what is small is owed ---- */

/* The house asks for thousands of things and reads nothing: each answer comes, once, in the end. */
TEST(what_is_owed_is_said)
{
    enum { ASKED = 6000, AT_ONCE = 100 };
    Fronts w;
    unsigned told = 0;
    uint64_t got[5] = {0};
    fronts_open(&w);
    Pouring pouring[4];
    for (size_t i = 0; i < 4; i++) {
        pouring[i] = (Pouring){call(&w), false};
        fiber_start("pours", pours, &pouring[i]);
        fiber_sleep(2);
    }
    for (int i = 0; i < ASKED; i++) {
        while (!frame_put(&w.house[0], FRAME(MEMO_CONN_START_TLS, 0)))
            fiber_sleep(1);
        if (i % AT_ONCE == 0) fiber_sleep(1);
    }
    stream_cut(pouring[1].client); /* on the other ring */
    fiber_sleep(20);
    for (int turns = 0; turns < 3000 && told < ASKED; turns++) {
        Slice message;
        while (ring_next(w.house[0].ring, &message)) {
            Frame f;
            check_ok(frame_read(message, &f));
            if (f.kind == MEMO_CONN_TLS_DONE) told++;
            if (f.kind == MEMO_CONN_DATA) got[f.connection] += f.rest.len;
            ring_took(w.house[0].ring);
        }
        fiber_sleep(1);
    }
    check_u64(told, ASKED);
    check(got[0] > 0 && got[0] <= TUNNEL_CREDIT);
    check_ok(w.broken);
    gates_lost(w.gates);
    for (size_t i = 0; i < 4; i++) {
        stream_cut(pouring[i].client);
        while (!pouring[i].ended)
            fiber_sleep(1);
        stream_free(pouring[i].client);
    }
    fronts_close(&w);
}

/* The next house has fewer loops: home is anywhere then. */
TEST(who_has_a_home_goes_there)
{
    Fronts w;
    Ring *ours, *theirs;
    Slice message;
    fronts_open(&w);
    w.how.home = 7;
    Stream *first = call(&w);
    check(hears(&w, 0, MEMO_CONN_OPEN, 0, NULL));
    says(&w, 0, FRAME(MEMO_CONN_LEAVES, 0));
    says(&w, 1, FRAME(MEMO_CONN_HERE, 0, 1));
    check(hears(&w, 0, MEMO_CONN_LAST, 0, NULL));
    Stream *second = call(&w), *third = call(&w); /* not by turns */
    check(hears(&w, 1, MEMO_CONN_OPEN, 1, NULL));
    check(hears(&w, 1, MEMO_CONN_OPEN, 2, NULL));
    check_ok(ring_pair(&ours, &theirs));
    check_ok(ring_attach(theirs));
    check_ok(gates_replace(w.gates, &ours, 1));
    for (int turns = 0; turns < 1000 && !ring_next(theirs, &message); turns++)
        fiber_sleep(1);
    check(ring_next(theirs, &message));
    stream_free(first), stream_free(second), stream_free(third);
    fronts_close(&w);
    ring_close(theirs);
}

/* What may be late is owed like all else when there is no room. */
TEST(what_may_be_late_is_said_too)
{
    Ring *ours, *theirs;
    Slice message = {0};
    unsigned heard = 0, said = 2;
    check_ok(ring_pair(&ours, &theirs));
    check_ok(ring_attach(ours));
    check_ok(ring_attach(theirs));
    Frames f = {.ring = ours};
    while (frame_put(&f, with_text(MEMO_CONN_KEEP, 0, 40000)))
        said++;
    while (frame_put(&f, FRAME(MEMO_CONN_LEAVES, 0)))
        said++;
    frame_say_late(&f, FRAME(MEMO_CONN_CREDIT, 0, 1));
    check(frame_owes(&f));
    frame_say_late(&f, FRAME(MEMO_CONN_CREDIT, 0, 2));
    for (int turns = 0; turns < 100 && heard < said; turns++) {
        while (ring_next(theirs, &message)) {
            heard++;
            ring_took(theirs);
        }
        fiber_sleep(1);
        frame_settle(&f);
    }
    check_u64(heard, said);
    frame_done(&f);
    ring_close(theirs);
}
