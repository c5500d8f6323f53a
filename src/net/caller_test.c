#include "base/test.h"
#include "net/wire.h"
#include "run/sim.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- one who answers: a login with "kept " in front, after a while of its own ---- */

typedef struct {
    Answerer config;
    Sock *sock;
    Fiber *fiber;
    unsigned answered, at_once, most_at_once;
    bool slow, ended;
    Err err;
} Far;

PARKS static Err answer(void *arg, const Memo *q, Memo *reply, Buf *memory)
{
    Far *f = arg;
    f->at_once++;
    f->most_at_once = MAX(f->most_at_once, f->at_once);
    fiber_sleep(f->slow ? 400 : (int64_t)(random_u64() % 20));
    f->at_once--;
    f->answered++;
    if (slice_eq(q->text[0], S("nobody"))) return fail(ERR_NOT_FOUND, "no %s here", "nobody");
    buf_printf(memory, "kept %.*s", SP(q->text[0]));
    *reply = (Memo){.kind = MEMO_LOGIN, .text = {buf_slice(memory)}};
    return OK;
}

PARKS static void far_serves(void *arg)
{
    Far *f = arg;
    f->err = answerer_serve(&f->config, f->sock);
    f->ended = true;
}

static void far_start(Far *f, Sock *sock)
{
    *f = (Far){
        .config = {CAST_KEEPER, CAST_FRONT, 8, answer, f},
          .sock = sock, .slow = f->slow
    };
    fiber_start("far", far_serves, f);
}

PARKS static void far_wait(Far *f)
{
    for (int i = 0; i < 1000 && !f->ended; i++)
        fiber_sleep(20);
    check(f->ended);
}

/* ---- those who ask ---- */

typedef struct {
    Caller *caller;
    unsigned n;
    atomic_uint *left; /* on all loops */
    int64_t deadline_ms;
    Err err, wanted;
} Near;

PARKS static void asks(void *arg)
{
    Near *a = arg;
    Buf memory buf_scoped = {0};
    char login[24], kept[32];
    snprintf(login, sizeof login, "u%u", a->n);
    snprintf(kept, sizeof kept, "kept u%u", a->n);
    Memo q = {.kind = MEMO_CANONICAL, .text = {slice_of(login)}}, reply = {0};
    a->err = caller_ask(a->caller, &q, a->deadline_ms, &reply, &memory);
    check(a->err == a->wanted);
    if (!a->err) {
        check(reply.kind == MEMO_LOGIN);
        check_slice(reply.text[0], slice_of(kept));
    }
    --*a->left;
}

PARKS static void ask_all(Caller *c, Near *near, unsigned count, atomic_uint *left, Err wanted)
{
    *left = count;
    for (unsigned i = 0; i < count; i++) {
        near[i] = (Near){c, i, left, now_ms() + 30000, OK, wanted};
        fiber_start_on(loop_at(i % loop_count()), "near", asks, &near[i]);
    }
}

PARKS static void wait_all(const atomic_uint *left)
{
    for (int i = 0; i < 4000 && *left; i++)
        fiber_sleep(20);
    check_u64(*left, 0);
}

enum { MANY = 100 };

PARKS static void ask_many(void *arg)
{
    Sock *a, *b;
    Far far = {0};
    Near near[MANY];
    atomic_uint left;
    (void)arg;
    check_ok(sock_pair(&a, &b));
    Caller *c = caller_new(CAST_FRONT, CAST_KEEPER, MANY);
    caller_replace(c, a);
    far_start(&far, b);
    ask_all(c, near, MANY, &left, OK);
    wait_all(&left);
    check_u64(far.answered, MANY);
    check_u64(far.most_at_once, 8);
    caller_free(c);
    far_wait(&far);
    check_ok(far.err);
}

TEST(many_questions_get_their_own_answers)
{
    ask_many(NULL);
}

TEST(a_refusal_comes_with_its_story)
{
    Sock *a, *b;
    Far far = {0};
    Buf memory buf_scoped = {0};
    Memo q = {.kind = MEMO_CANONICAL, .text = {S("nobody")}}, reply = {0};
    check_ok(sock_pair(&a, &b));
    Caller *c = caller_new(CAST_FRONT, CAST_KEEPER, 4);
    caller_replace(c, a);
    far_start(&far, b);
    check_err(caller_ask(c, &q, now_ms() + 5000, &reply, &memory), ERR_NOT_FOUND);
    check_slice(slice_of(err_story()), S("no nobody here"));
    q = (Memo){.kind = MEMO_HAS, .text = {S("anna")}}; /* not for a front to ask */
    check_err(caller_ask(c, &q, now_ms() + 5000, &reply, &memory), ERR_SYNTAX);
    caller_free(c);
    far_wait(&far);
}

/* The one who answers dies with all questions in its hands; another one comes, later. */
PARKS static void change_ends(void *arg)
{
    Sock *a, *b;
    Far first = {.slow = true}, second = {0};
    Near near[MANY];
    atomic_uint left;
    (void)arg;
    Caller *c = caller_new(CAST_FRONT, CAST_KEEPER, MANY);
    ask_all(c, near, MANY, &left, OK);
    fiber_sleep(50);
    check_ok(sock_pair(&a, &b));
    caller_replace(c, a);
    far_start(&first, b);
    fiber_sleep(100);
    check(left == MANY && caller_is_joined(c));
    caller_replace(c, NULL);
    check(!caller_is_joined(c));
    fiber_sleep(50);
    check_ok(sock_pair(&a, &b));
    far_start(&second, b);
    caller_replace(c, a);
    wait_all(&left);
    check_u64(second.answered, MANY);
    caller_free(c);
    far_wait(&second);
    far_wait(&first);
}

TEST(questions_outlive_who_should_have_answered)
{
    change_ends(NULL);
}

TEST(callers_in_the_simulated_world)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        SimConfig config = {.seed = seed, .net_latency_us = 300};
        int code = 1;
        check_ok(sim_run_child(&config, seed % 2 ? ask_many : change_ends, NULL, &code));
        if (code) test_failed(__FILE__, __LINE__, "seed %llu", (unsigned long long)seed);
    }
}

TEST(no_answer_by_the_deadline)
{
    Near near[6];
    atomic_uint left = 6;
    Caller *c = caller_new(CAST_FRONT, CAST_KEEPER, 4);
    for (unsigned i = 0; i < COUNT(near); i++) { /* nobody there; and two are too many */
        near[i] = (Near){c, i, &left, now_ms() + 60, OK, ERR_TEMPORARY};
        fiber_start("near", asks, &near[i]);
    }
    wait_all(&left);
    left = 1;
    near[0] = (Near){c, 0, &left, NEVER, OK, ERR_CANCELLED};
    fiber_start("near", asks, &near[0]);
    fiber_sleep(10);
    caller_free(c);
    wait_all(&left);
}

/* ---- ends that break the rules ---- */

static const struct {
    const char *octets;
    size_t len;
} nonsense[] = {
    {"\0\0\0\0\0\0\0\0\0",         9}, /* too short */
    {"\xff\xff\xff\x7f\1\0\0\0\0", 9}, /* too long */
    {"\1\0\0\0\1\0\0\0\0",         9},
};

PARKS static void put_raw(Sock *s, Slice octets)
{
    size_t sent;
    check_ok(sock_try_write(s, &octets, 1, &sent));
    check_u64(sent, octets.len);
}

TEST(an_asker_that_breaks_the_rules_is_left)
{
    for (size_t i = 0; i < COUNT(nonsense); i++) {
        Sock *a, *b;
        Far far = {0};
        check_ok(sock_pair(&a, &b));
        far_start(&far, b);
        put_raw(a, slice(nonsense[i].octets, nonsense[i].len));
        far_wait(&far);
        check_err(far.err, ERR_SYNTAX);
        sock_close(a);
    }
}

TEST(an_answerer_that_breaks_the_rules_is_left)
{
    for (size_t i = 0; i < COUNT(nonsense); i++) {
        Sock *a, *b;
        check_ok(sock_pair(&a, &b));
        Caller *c = caller_new(CAST_FRONT, CAST_KEEPER, 4);
        caller_replace(c, a);
        put_raw(b, slice(nonsense[i].octets, nonsense[i].len));
        for (int j = 0; j < 200 && caller_is_joined(c); j++)
            fiber_sleep(5);
        check(!caller_is_joined(c));
        caller_free(c);
        sock_close(b);
    }
}

/* A refusal of no reason that is known, fields that are cut: the question has failed, not more. */
TEST(answers_that_say_nothing)
{
    static const struct {
        const char *octets;
        size_t len;
    } rows[] = {
        {"\x08\0\0\0R\1\0\0\0\0\0\0",   12}, /* OK is no reason */
        {"\x08\0\0\0R\1\0\0\0\xff\0\0", 12},
        {"\x06\0\0\0R\1\0\0\0\1",       10},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Sock *a, *b;
        Near near;
        atomic_uint left = 1;
        char octets[16];
        memcpy(octets, rows[i].octets, rows[i].len);
        octets[4] = (char)MEMO_REFUSED;
        check_ok(sock_pair(&a, &b));
        Caller *c = caller_new(CAST_FRONT, CAST_KEEPER, 4);
        caller_replace(c, a);
        near = (Near){c, 0, &left, now_ms() + 5000, OK, ERR_SYNTAX};
        fiber_start("near", asks, &near);
        fiber_sleep(5);
        put_raw(b, slice(octets, rows[i].len));
        wait_all(&left);
        caller_free(c);
        sock_close(b);
    }
}

/* A long message to somebody slow, and what it leaves. */
TEST(long_questions_to_who_does_not_read)
{
    static char text[7000];
    Sock *a, *b;
    size_t got, total = 0;
    static char waste[100000];
    Memo q = {.kind = MEMO_TOKEN, .text = {[3] = slice(text, sizeof text)}};
    check_ok(sock_pair(&a, &b));
    Wire *w = wire_new(a);
    for (int i = 0; i < 100; i++)
        wire_put(w, (uint32_t)i, &q);
    fiber_sleep(20); /* the sender waits for room */
    for (int turns = 0; turns < 1000 && total < 700000; turns++) {
        check_ok(sock_try_read(b, waste, sizeof waste, &got));
        total += got;
        fiber_sleep(1);
    }
    check(total >= 700000);
    for (int i = 0; i < 100; i++)
        wire_put(w, (uint32_t)i, &q);
    fiber_sleep(20);
    wire_stop(w); /* in the middle of one */
    fiber_sleep(5);
    wire_put(w, 1, &q);
    wire_free(w);
    wire_free(NULL);
    caller_free(NULL);
    sock_close(b);
}

/* The program ends while questions wait, with somebody there and with nobody. */
PARKS_UNCHECKED static void ask_at_the_end(void *arg)
{
    Sock *a, *b;
    Near near[3];
    atomic_uint left = 2;
    (void)arg;
    check_ok(sock_pair(&a, &b));
    Caller *there = caller_new(CAST_FRONT, CAST_KEEPER, 4);
    Caller *nobody = caller_new(CAST_FRONT, CAST_KEEPER, 4);
    caller_replace(there, a);
    near[0] = (Near){there, 0, &left, NEVER, OK, ERR_CANCELLED};
    near[1] = (Near){nobody, 1, &left, NEVER, OK, ERR_CANCELLED};
    fiber_start("near", asks, &near[0]);
    fiber_start("near", asks, &near[1]);
    fiber_sleep(10);
    run_cancel();
    Cond later = {0};
    while (left)
        cond_wait(&later, now_ms() + 10);
    left = 1;
    near[2] = (Near){there, 2, &left, NEVER, OK, ERR_CANCELLED};
    asks(&near[2]);
    caller_free(there);
    caller_free(nobody);
    sock_close(b);
}

TEST(questions_end_with_the_program)
{
    SimConfig config = {.seed = 1, .loops = 1};
    int code = 1;
    check_ok(sim_run_child(&config, ask_at_the_end, NULL, &code));
    check(code == 0);
}

/* An answer may come in any pieces, to a question that waits or to none. */
TEST(answers_in_pieces)
{
    static const char raw[] = "\x07\0\0\0\xff\x09\0\0\0zz" /* number 9: nobody asked */
                              "\x0e\0\0\0K\1\0\0\0\x07\0kept u0";
    Sock *a, *b;
    Near near;
    atomic_uint left = 1;
    char octets[sizeof raw];
    memcpy(octets, raw, sizeof raw);
    octets[11 + 4] = (char)MEMO_LOGIN;
    check_ok(sock_pair(&a, &b));
    Caller *c = caller_new(CAST_FRONT, CAST_KEEPER, 4);
    caller_replace(c, a);
    near = (Near){c, 0, &left, now_ms() + 5000, OK, OK};
    fiber_start("near", asks, &near);
    fiber_sleep(5);
    for (size_t i = 0; i < sizeof raw - 1; i++) {
        put_raw(b, slice(octets + i, 1));
        if (i % 5 == 0) fiber_sleep(1);
    }
    wait_all(&left);
    caller_free(c);
    sock_close(b);
}
