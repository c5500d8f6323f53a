#include "auth/handover.h"
#include "base/test.h"
#include "run/sim.h"

static const GrantKey key = {.octets = "a key that is ours, of 32 octets"};
static const GrantKey other = {.octets = "a key that is somebody else's"};

static void write(Buf *out, HandoverKind kind, AuthUser *user)
{
    Buf text buf_scoped = {0};
    grant_login_text(&text, S("imap"), slice_of(user->login), user->guest);
    user->has_grant = true;
    grant_make(&key, GRANT_LOGIN, buf_slice(&text), user->grant);
    if (kind == HANDOVER_AT_REST) handover_seal(user, S("imap"), S("what was"), &key);
    buf_clear(out);
    handover_write(out, kind, S("imap"), kind == HANDOVER_STRANGER ? NULL : user, S("what was"));
}

PARKS_UNCHECKED static void come_and_go(void *arg)
{
    (void)arg;
    AuthUser anna = {.login = "anna", .guest = true};
    Buf record buf_scoped = {0};
    Handover h;
    for (int kind = HANDOVER_STRANGER; kind <= HANDOVER_AT_REST; kind++) {
        write(&record, (HandoverKind)kind, &anna);
        check(record.len < 100);
        check_ok(handover_read(buf_slice(&record), S("imap"), &key, &h));
        check_u64(h.kind, (uint64_t)kind);
        check(h.guest == (kind != HANDOVER_STRANGER));
        check_slice(h.login, kind == HANDOVER_STRANGER ? S("") : S("anna"));
        check_slice(h.body, S("what was"));
        check_err(handover_read(buf_slice(&record), S("pop3"), &key, &h), ERR_SYNTAX);
        if (kind != HANDOVER_STRANGER)
            check_err(handover_read(buf_slice(&record), S("imap"), &other, &h), ERR_AUTH);
    }
}

TEST(a_record_is_read_as_it_was_written)
{
    check_ok(sim_run(&(SimConfig){.seed = 1, .loops = 1}, come_and_go, NULL));
}

/* Whatever is changed in it, nobody is taken for somebody else. A login's body is the front's own
 * word, for which nothing vouches. */
PARKS_UNCHECKED static void forge(void *arg)
{
    (void)arg;
    AuthUser anna = {.login = "anna"};
    Buf record buf_scoped = {0};
    Handover h;
    for (int kind = HANDOVER_LOGGED_IN; kind <= HANDOVER_AT_REST; kind++) {
        write(&record, (HandoverKind)kind, &anna);
        bool sealed = kind == HANDOVER_AT_REST;
        size_t end = record.len - (sealed ? 0 : S("what was").len);
        for (size_t i = 0; i < end * 8; i++) {
            record.at[i / 8] = (char)(record.at[i / 8] ^ 1 << i % 8);
            check(handover_read(buf_slice(&record), S("imap"), &key, &h) != OK);
            record.at[i / 8] = (char)(record.at[i / 8] ^ 1 << i % 8);
        }
        for (size_t i = 0; i < end; i++)
            check(handover_read(slice_first(buf_slice(&record), i), S("imap"), &key, &h) != OK);
        check_ok(handover_read(buf_slice(&record), S("imap"), &key, &h));
    }
    anna.has_grant = false; /* the front says so, and nobody else */
    buf_clear(&record);
    handover_write(&record, HANDOVER_LOGGED_IN, S("imap"), &anna, S(""));
    check_err(handover_read(buf_slice(&record), S("imap"), &key, &h), ERR_AUTH);
    check_ok(handover_read(buf_slice(&record), S("imap"), NULL, &h));
}

TEST(nobody_forges_a_record)
{
    check_ok(sim_run(&(SimConfig){.seed = 1, .loops = 1}, forge, NULL));
}

PARKS_UNCHECKED static void wait_long(void *arg)
{
    (void)arg;
    AuthUser anna = {.login = "anna"};
    Buf login buf_scoped = {0}, rest buf_scoped = {0};
    Handover h;
    write(&login, HANDOVER_LOGGED_IN, &anna);
    write(&rest, HANDOVER_AT_REST, &anna);
    fiber_sleep(GRANT_LOGIN_MS - 1000);
    check_ok(handover_read(buf_slice(&login), S("imap"), &key, &h));
    fiber_sleep(2000);
    check_err(handover_read(buf_slice(&login), S("imap"), &key, &h), ERR_AUTH);
    check_ok(handover_read(buf_slice(&rest), S("imap"), &key, &h));
}

TEST(a_login_is_good_for_a_minute)
{
    check_ok(sim_run(&(SimConfig){.seed = 1, .loops = 1}, wait_long, NULL));
}

/* A grant of another start of the machine, later than this one; and one that is good for something
 * else. */
static uint8_t later[GRANT_OCTETS];

PARKS_UNCHECKED static void grant_later(void *arg)
{
    (void)arg;
    fiber_sleep(10 * GRANT_LOGIN_MS);
    grant_make(&key, GRANT_LOGIN, S("anna"), later);
    check_ok(grant_check(&key, GRANT_LOGIN, S("anna"), slice(later, sizeof later)));
}

PARKS_UNCHECKED static void check_later(void *arg)
{
    (void)arg;
    uint8_t grant[GRANT_OCTETS];
    check_err(grant_check(&key, GRANT_LOGIN, S("anna"), slice(later, sizeof later)), ERR_AUTH);
    grant_make(&key, GRANT_SESSION, S("anna"), grant);
    check_err(grant_check(&key, GRANT_LOGIN, S("anna"), slice(grant, sizeof grant)), ERR_AUTH);
    check_err(grant_check(&key, GRANT_LOGIN, S("anna"), slice(grant, 5)), ERR_AUTH);
    check_ok(grant_check(&key, GRANT_SESSION, S("anna"), slice(grant, sizeof grant)));
}

TEST(a_grant_from_the_future_is_none)
{
    check_ok(sim_run(&(SimConfig){.seed = 1, .loops = 1}, grant_later, NULL));
    check_ok(sim_run(&(SimConfig){.seed = 1, .loops = 1}, check_later, NULL));
}

/* In a single process nobody has to vouch. */
TEST(without_a_key_nothing_is_sealed)
{
    AuthUser anna = {.login = "anna", .has_grant = true};
    Buf record buf_scoped = {0};
    char body[HANDOVER_MOST] = {0};
    Handover h;
    handover_seal(&anna, S("imap"), S("body"), NULL);
    check(!anna.has_grant);
    anna.has_grant = true;
    handover_write(&record, HANDOVER_STRANGER, S("imap"), &anna, S("body"));
    check_err(handover_read(buf_slice(&record), S("imap"), &key, &h), ERR_SYNTAX);
    buf_clear(&record);
    handover_write(&record, HANDOVER_AT_REST, S("imap"), &(AuthUser){.login = "anna"}, S(""));
    buf_add(&record, slice(body, sizeof body));
    check_err(handover_read(buf_slice(&record), S("imap"), NULL, &h), ERR_SYNTAX);
}

TEST(a_record_that_is_too_long_is_none)
{
    char body[HANDOVER_MOST] = {0};
    AuthUser anna = {.login = "anna"};
    Buf record buf_scoped = {0};
    handover_write(&record, HANDOVER_AT_REST, S("imap"), &anna, slice(body, sizeof body));
    check_u64(record.len, 0);
}
