/* What guessing costs, under virtual time: a keeper, and clients who wait as long as it says. */
#include "auth/keeper.h"
#include "auth/throttle.h"
#include "base/test.h"
#include "run/sim.h"

#include <stdio.h>

enum { MOST = 64 };

PARKS static Keeper *open_keeper(void)
{
    Keeper *k = NULL;
    AuthConfig config = {.demo_accounts = 1000,
                         .demo_password = S("secret"),
                         .throttle = true,
                         .argon2_memory_kib = 8,
                         .argon2_passes = 1,
                         .scram_iterations = 1};
    check_ok(keeper_open(&config, &k));
    return k;
}

/* As auth_attempt does it. */
PARKS static Err attempt(Keeper *k, const char *address, const char *login, const char *password)
{
    Buf memory buf_scoped = {0};
    Memo verdict, question = {
                      .kind = MEMO_VERIFY,
                      .text = {slice_of(login), slice_of(address), S("imap"), slice_of(password)}
    };
    check_ok(keeper_answer(k, &question, &verdict, &memory));
    check(!verdict.number[0] == (verdict.text[1].len == GRANT_OCTETS));
    check_slice(verdict.text[0], slice_of(login));
    fiber_sleep((int64_t)verdict.number[1]);
    return (Err)verdict.number[0];
}

/* ---- several at once ---- */

typedef struct {
    Keeper *keeper;
    char address[48], login[24];
    unsigned tries; /* one after the other */
    bool goes_on;
    unsigned *left;
    int64_t told_ms[MOST]; /* when which wrong one was told */
    unsigned told, throttled;
} Guesser;

PARKS static void guess(void *arg)
{
    Guesser *g = arg;
    char password[16];
    for (unsigned i = 0; (i < g->tries || g->goes_on) && g->told < MOST; i++) {
        snprintf(password, sizeof password, "guess%u", i);
        Err err = attempt(g->keeper, g->address, g->login, password);
        check(err == ERR_AUTH || err == ERR_THROTTLED);
        if (err == ERR_AUTH)
            g->told_ms[g->told++] = now_ms();
        else
            g->throttled++;
    }
    --*g->left;
}

static void start(Guesser *g, Keeper *k, unsigned *left)
{
    g->keeper = k, g->left = left;
    ++*left;
    fiber_start("guesser", guess, g);
}

PARKS static void wait_for(const unsigned *left)
{
    while (*left)
        fiber_sleep(100);
}

/* Milliseconds until `n` of them were told, whoever they were told to. */
static int64_t time_of(const Guesser *all, size_t count, unsigned n, int64_t began)
{
    static int64_t times[MOST * MOST];
    size_t known = 0;
    for (size_t i = 0; i < count; i++)
        for (unsigned j = 0; j < all[i].told; j++) {
            size_t at = known++;
            for (; at && times[at - 1] > all[i].told_ms[j]; at--)
                times[at] = times[at - 1];
            times[at] = all[i].told_ms[j];
        }
    return known < n ? INT64_MAX : times[n - 1] - began;
}

enum { MINUTE = 60 * 1000 };

/* ---- ten wrong ones ---- */

PARKS static void ten_from_one_address(void *arg)
{
    Keeper *k = open_keeper();
    (void)arg;
    int64_t began = now_ms();
    char login[24];
    for (int i = 0; i < 10; i++) {
        snprintf(login, sizeof login, "u%05d", i % 3 + 1);
        check_err(attempt(k, "192.0.2.1", login, "guess"), ERR_AUTH);
        if (!i) check(now_ms() - began < 100);              /* a typo is free */
        check_ok(attempt(k, "192.0.2.1", login, "secret")); /* next door: makes it no faster */
    }
    check(now_ms() - began > MINUTE);
    check(now_ms() - began < 2 * MINUTE);
    began = now_ms(); /* somebody else notices nothing */
    check_err(attempt(k, "192.0.2.2", "u00050", "guess"), ERR_AUTH);
    check_ok(attempt(k, "192.0.2.2", "u00050", "secret"));
    check(now_ms() - began < 100);
    fiber_sleep(20 * MINUTE); /* forgotten */
    began = now_ms();
    check_err(attempt(k, "192.0.2.1", "u00001", "guess"), ERR_AUTH);
    check(now_ms() - began < 100);
    keeper_close(k);
}

PARKS static void ten_for_one_account(void *arg)
{
    Keeper *k = open_keeper();
    bool known = arg != NULL;
    const char *login = known ? "u00001" : "nobody";
    char address[48];
    int64_t began = now_ms();
    for (int i = 0; i < 10; i++) {
        snprintf(address, sizeof address, "198.51.100.%d", i);
        check_err(attempt(k, address, login, "guess"), ERR_AUTH);
    }
    check(now_ms() - began > MINUTE);
    began = now_ms(); /* its owner elsewhere is not kept out */
    if (known) check_ok(attempt(k, "203.0.113.7", login, "secret"));
    check(now_ms() - began < 100);
    keeper_close(k);
}

PARKS static void ten_from_one_network(void *arg)
{
    static const char *const same[] = {"2001:db8:1:2::1", "2001:db8:1:2:3::4",
                                       "2001:db8:1:2:5:6:7:8", "2001:DB8:0001:2:ffff::"};
    Keeper *k = open_keeper();
    char login[24];
    int64_t began = now_ms();
    (void)arg;
    for (unsigned i = 0; i < 10; i++) {
        snprintf(login, sizeof login, "u%05u", i + 1);
        check_err(attempt(k, same[i % COUNT(same)], login, "guess"), ERR_AUTH);
    }
    check(now_ms() - began > MINUTE);
    began = now_ms();
    check_err(attempt(k, "2001:db8:1:3::1", "u00099", "guess"), ERR_AUTH); /* another network */
    check(now_ms() - began < 100);
    check_err(attempt(k, "192.0.2.77", "u00080", "guess"), ERR_AUTH);
    check_err(attempt(k, "::ffff:192.0.2.77", "u00081", "guess"), ERR_AUTH); /* is IPv4's */
    check(now_ms() - began > 1000);
    keeper_close(k);
}

/* ---- at once ---- */

PARKS static int64_t tenth_of(Keeper *k, Guesser *all, size_t count, bool one_login)
{
    unsigned left = 0;
    int64_t began = now_ms();
    for (size_t i = 0; i < count; i++) {
        all[i] = (Guesser){.tries = count == 1 ? 10 : 1};
        strcpy(all[i].address, "192.0.2.1");
        snprintf(all[i].login, sizeof all[i].login, "u%05zu", one_login ? 1 : i + 1);
        start(&all[i], k, &left);
    }
    wait_for(&left);
    return time_of(all, count, 10, began);
}

/* Fifty at once hear of their failures no sooner than one after the other would. */
PARKS static void fifty_at_once(void *arg)
{
    static Guesser all[50];
    for (int one_login = 0; one_login < 2; one_login++) {
        Keeper *k = open_keeper();
        int64_t serial = tenth_of(k, all, 1, one_login);
        keeper_close(k);
        k = open_keeper();
        int64_t parallel = tenth_of(k, all, 50, one_login);
        unsigned told = 0;
        for (size_t i = 0; i < COUNT(all); i++)
            told += all[i].told;
        check(serial > MINUTE && parallel >= serial - 100);
        check(told <= 10); /* the others gave up after a minute, and do not know */
        keeper_close(k);
    }
    (void)arg;
}

/* ---- meanwhile ---- */

PARKS static void check_fast(Keeper *k, const char *address, const char *login)
{
    int64_t began = now_ms();
    check_ok(attempt(k, address, login, "secret"));
    if (now_ms() - began >= 1000)
        test_failed(__FILE__, __LINE__, "%s from %s: %lld ms", login, address,
                    (long long)(now_ms() - began));
}

PARKS static void good_ones_meanwhile(void *arg)
{
    static Guesser all[50];
    const unsigned *how_many = arg;
    Keeper *k = open_keeper();
    unsigned left = 0;
    for (unsigned i = 0; i < *how_many; i++) {
        all[i] = (Guesser){.goes_on = true};
        strcpy(all[i].address, "192.0.2.1");
        strcpy(all[i].login, "u00001");
        start(&all[i], k, &left);
    }
    for (int i = 0; i < 20; i++) {
        fiber_sleep(15000);
        check_fast(k, "192.0.2.1", i % 2 ? "u00002" : "u00004"); /* a neighbour */
        if (*how_many < 6) check_fast(k, "192.0.2.1", "u00001"); /* he whom they guess at */
        check_fast(k, "203.0.113.9", "u00001");                  /* elsewhere */
        check_fast(k, "203.0.113.9", "u00003");
    }
    for (unsigned i = 0; i < *how_many; i++)
        all[i].goes_on = false;
    wait_for(&left);
    keeper_close(k);
}

/* An address that does not wait for answers is judged no more often in the long run; those who have
 * logged in from there before still do. */
PARKS static void impatient(void *arg)
{
    Keeper *k = open_keeper();
    Buf memory buf_scoped = {0};
    unsigned judged = 0;
    (void)arg;
    check_fast(k, "192.0.2.1", "u00009");
    for (int i = 0; i < 3600; i++) { /* ten in a second, for six minutes */
        Memo verdict,
            wrong = {
                .kind = MEMO_VERIFY, .text = {S("u00001"), S("192.0.2.1"), S("imap"), S("guess")}
        };
        check_ok(keeper_ask(k, &wrong, &verdict, &memory));
        judged += verdict.number[1] != THROTTLE_HOLD_MOST_MS / 4;
        fiber_sleep(100);
    }
    check(judged >= 60 && judged <= 105);
    check_err(attempt(k, "192.0.2.1", "u00001", "secret"), ERR_THROTTLED);
    check_fast(k, "192.0.2.1", "u00009");
    check_fast(k, "203.0.113.9", "u00001");
    keeper_close(k);
}

/* ---- who waits for a hash ---- */

typedef struct {
    Keeper *keeper;
    char address[48], login[24];
    unsigned *left, *order, place;
} Waiter;

PARKS static void wait_to_be_judged(void *arg)
{
    Waiter *w = arg;
    Buf memory buf_scoped = {0};
    Memo verdict, question = {
                      .kind = MEMO_VERIFY,
                      .text = {slice_of(w->login), slice_of(w->address), S("imap"),
                               slice_of(w->login[0] == 'u' ? "secret" : "guess")}
    };
    check_ok(keeper_ask(w->keeper, &question, &verdict, &memory));
    w->place = ++*w->order;
    --*w->left;
}

static void queue_up(Waiter *w, const char *address, const char *login)
{
    snprintf(w->address, sizeof w->address, "%s", address);
    snprintf(w->login, sizeof w->login, "%s", login);
    ++*w->left;
    fiber_start("waiter", wait_to_be_judged, w);
}

/* A hundred from one address at one login, fifty that try many from another, fifty from as many
 * addresses; then a newcomer next door to the first, one from elsewhere, and an old friend. */
PARKS static void queue(void *arg)
{
    static Waiter all[203];
    unsigned left = 0, order = 0;
    char address[48], login[24];
    Keeper *k = open_keeper();
    (void)arg;
    check_ok(attempt(k, "203.0.113.1", "u00001", "secret"));
    for (unsigned i = 0; i < COUNT(all); i++)
        all[i] = (Waiter){.keeper = k, .left = &left, .order = &order};
    for (unsigned i = 0; i < 200; i++) {
        snprintf(address, sizeof address,
                 i < 100   ? "192.0.2.1"
                 : i < 150 ? "192.0.2.2"
                           : "198.51.100.%u",
                 i);
        snprintf(login, sizeof login, i < 100 ? "victim" : "nobody%u", i);
        queue_up(&all[i], address, login);
    }
    queue_up(&all[200], "192.0.2.1", "u00002");
    queue_up(&all[201], "203.0.113.2", "u00003");
    queue_up(&all[202], "203.0.113.1", "u00001");
    wait_for(&left);
    check(all[202].place <= 4);  /* cached, or at the head */
    check(all[201].place <= 60); /* behind one of each address */
    check(all[200].place <= 110);
    keeper_close(k);
}

/* ---- questions that a front which has been taken over may ask ---- */

PARKS static void any_question(void *arg)
{
    static const MemoKind kinds[] = {MEMO_VERIFY, MEMO_SCRAM_BEGIN, MEMO_SCRAM_END, MEMO_APOP,
                                     MEMO_TOKEN,  MEMO_VOUCH,       MEMO_WRONG,     MEMO_CANONICAL};
    static const size_t lens[] = {0, 1, 16, 20, 32, 255, 256, 300, 1400};
    char text[1400];
    Keeper *k = open_keeper();
    (void)arg;
    for (int i = 0; i < 5000; i++) {
        Memo again, answer = {0}, q = {.kind = kinds[sim_random() % COUNT(kinds)]};
        Buf octets buf_scoped = {0}, put buf_scoped = {0}, memory buf_scoped = {0};
        memset(text, sim_random() % 3 ? 'u' : (int)(sim_random() % 256), sizeof text);
        for (size_t j = 0; j < MEMO_FIELDS_MOST; j++) {
            q.number[j] = sim_random() % 5;
            q.text[j] = slice(text, lens[sim_random() % COUNT(lens)]);
        }
        for (size_t j = 0; j < 6; j++) /* as octets, which may be too many for the row */
            buf_u16(&octets, (uint16_t)q.text[j].len), buf_add(&octets, q.text[j]);
        Slice whole = buf_slice(&octets);
        for (size_t len = whole.len; len; len -= MIN(len, (size_t)7))
            if (!memo_read(CAST_FRONT, CAST_KEEPER, (uint8_t)q.kind, slice_first(whole, len),
                           &again) &&
                !keeper_answer(k, &again, &answer, &memory))
                memo_put(&put, &answer); /* which holds what it must */
    }
    keeper_close(k);
}

/* ---- under virtual time ---- */

static void in_world(const char *name, void (*fn)(void *), void *arg)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        SimConfig config = {.seed = seed, .loops = 1};
        int code = 1;
        check_ok(sim_run_child(&config, fn, arg, &code));
        if (code) test_failed(__FILE__, __LINE__, "%s, seed %d", name, (int)seed);
    }
}

TEST(ten_wrong_passwords_take_over_a_minute)
{
    static char known;
    in_world("address", ten_from_one_address, NULL);
    in_world("account", ten_for_one_account, &known);
    in_world("account of nobody", ten_for_one_account, NULL);
    in_world("network", ten_from_one_network, NULL);
}

TEST(guessing_at_once_is_no_faster)
{
    in_world("at once", fifty_at_once, NULL);
    in_world("impatient", impatient, NULL);
}

TEST(right_passwords_do_not_wait_for_wrong_ones)
{
    static unsigned one = 1, five = 5, fifty = 50;
    in_world("one guesser", good_ones_meanwhile, &one);
    in_world("five guessers", good_ones_meanwhile, &five);
    in_world("fifty guessers", good_ones_meanwhile, &fifty);
    in_world("queue", queue, NULL);
}

TEST(the_keeper_answers_any_question)
{
    in_world("any question", any_question, NULL);
}
