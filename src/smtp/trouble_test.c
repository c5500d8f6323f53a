/* What goes wrong while mail comes in: full, gone, slow, too much. */
#include "net/script_test.h"
#include "smtp/record.h"
#include "smtp/session_world.h"

#define GREETING "S: 220 *\nC: EHLO x\nS: ...\nS: 250 HELP\n"
#define LMTP     "S: 220 *\nC: LHLO x\nS: ...\nS: 250 HELP\n"

PARKS static void put_octets(World *w, size_t count)
{
    for (size_t i = 0; i < count; i += 64)
        stream_put(w->client,
                   S("A line of sixty-four octets, with its end, as many of them as.\r\n"));
    (void)stream_flush(w->client);
}

/* "Later" and "never" are two answers: a full mailbox is emptied, a small one stays small. */
TEST(a_mailbox_that_is_full_now_is_told_from_one_that_is_too_small)
{
    World w;
    world_open(&w);
    world_set_quota(&w, S("u00001"), 4000);
    world_set_quota(&w, S("u00002"), 1000);
    world_connect(&w, true);
    script(w.client, LMTP "C: MAIL FROM:<a@b>\nC: RCPT TO:<u00001@example.org>\nC: DATA\n"
                          "S: 250 *\nS: 250 *\nS: 354 *\n");
    put_octets(&w, 2560);
    script(w.client,
           "C: .\nS: 250 *\nC: MAIL FROM:<a@b> SIZE=2560\n"
           "C: RCPT TO:<u00001@example.org>\nC: RSET\nC: MAIL FROM:<a@b>\n"
           "C: RCPT TO:<u00002@example.org>\nC: RCPT TO:<u00001@example.org>\nC: DATA\n"
           "S: 250 *\nS: 452 4.2.2 *\nS: 250 *\nS: 250 *\nS: 250 *\nS: 250 *\nS: 354 *\n");
    put_octets(&w, 2560);
    script(w.client, "C: .\nS: 552 5.2.2 *\nS: 452 4.2.2 *\nC: QUIT\nS: 221 *\nS: -\n");
    world_disconnect(&w);
    /* SMTP has one answer for both: that one may try again */
    world_connect(&w, false);
    script(w.client, GREETING
           "C: MAIL FROM:<a@b>\nC: RCPT TO:<u00002@example.org>\n"
           "C: RCPT TO:<u00001@example.org>\nC: DATA\nS: 250 *\nS: 250 *\nS: 250 *\nS: 354 *\n");
    put_octets(&w, 2560);
    script(w.client, "C: .\nS: 452 4.2.2 *\nC: QUIT\nS: 221 *\nS: -\n");
    world_disconnect(&w);
    world_close(&w);
}

TEST(who_is_removed_before_the_mail_has_come_does_not_get_it)
{
    World w;
    world_open(&w);
    check_ok(user_add(w.auth, S("anna"), S("secret")));
    world_connect(&w, true);
    script(w.client, LMTP "C: MAIL FROM:<a@b>\nC: RCPT TO:<anna@example.org>\nC: DATA\n"
                          "S: 250 *\nS: 250 *\nS: 354 *\n");
    check_ok(user_remove(w.auth, S("anna")));
    script(w.client, "C: Subject: x\nC: .\nS: 550 5.1.1 *\nC: QUIT\nS: 221 *\nS: -\n");
    world_disconnect(&w);
    world_close(&w);
}

/* The store has a limit, too: it counts where the service has none. */
TEST(the_stores_own_limit_is_told)
{
    World w;
    world_open(&w);
    w.config.message_most = 0;
    world_connect(&w, false);
    script(w.client,
           GREETING "C: MAIL FROM:<a@b> SIZE=200001\nC: RCPT TO:<u00001@example.org>\n"
                    "C: DATA\nS: 250 *\nS: 250 *\nS: 552 5.3.4 *\n"
                    "C: MAIL FROM:<a@b> SIZE=200001\nC: RCPT TO:<u00001@example.org>\n"
                    "C: BDAT 4\nC: ab\nC: BDAT 4 LAST\nC: ab\nC: RCPT TO:<u00001@example.org>\n"
                    "C: DATA\nC: RSET\nS: 250 *\nS: 250 *\nS: 552 5.3.4 *\n"
                    "S: 503 5.5.1 A chunk was refused*\nS: 503 5.5.1 Not between chunks\n"
                    "S: 503 5.5.1 Not between chunks\nS: 250 *\n"
                    "C: MAIL FROM:<a@b>\nC: RCPT TO:<u00001@example.org>\nC: DATA\n"
                    "S: 250 *\nS: 250 *\nS: 354 *\n");
    put_octets(&w, 200064);
    script(w.client, "C: .\nS: 552 5.3.4 *\nC: BDAT 4\nC: ab\nS: 503 5.5.1 MAIL first\n"
                     "C: QUIT\nS: 221 *\nS: -\n");
    world_disconnect(&w);
    world_close(&w);
}

/* What is too big is read to its end, in however many pieces, but not for ever. */
TEST(too_much_is_read_to_its_end_but_not_for_ever)
{
    World w;
    Buf got buf_scoped = {0};
    world_open(&w);
    w.config.message_most = 1000;
    world_connect(&w, false);
    script(w.client, GREETING "C: MAIL FROM:<a@b>\nC: RCPT TO:<u00001@example.org>\nC: DATA\n"
                              "S: 250 *\nS: 250 *\nS: 354 *\n");
    for (int i = 0; i < 3; i++) {
        put_octets(&w, 640);
        fiber_sleep(5);
    }
    script(w.client, "C: .\nS: 552 5.3.4 *\nC: MAIL FROM:<a@b>\n"
                     "C: RCPT TO:<u00001@example.org>\nC: DATA\nS: 250 *\nS: 250 *\nS: 354 *\n");
    put_octets(&w, 1100000);
    script(w.client, "S: 421 4.7.0 Too much*\nS: -\n");
    world_disconnect(&w);
    check_u64(mail_of(&w, S("u00001"), S("INBOX"), &got), 0);
    world_close(&w);
}

/* An octet now and then is no progress: the message has its time. */
TEST(a_message_has_its_time)
{
    World w;
    world_open(&w);
    w.config.data_ms = 60;
    world_connect(&w, false);
    script(w.client, GREETING "C: MAIL FROM:<a@b>\nC: RCPT TO:<u00001@example.org>\nC: DATA\n"
                              "S: 250 *\nS: 250 *\nS: 354 *\n");
    for (int i = 0; i < 12; i++) {
        put_octets(&w, 64);
        fiber_sleep(10);
    }
    script(w.client, "S: 421 4.4.2 *\nS: -\n");
    world_disconnect(&w);
    w.config.idle_ms = 30;
    world_connect(&w, false);
    script(w.client,
           GREETING "C: MAIL FROM:<a@b>\nC: RCPT TO:<u00001@example.org>\n"
                    "C: BDAT 100\nC: not all\nS: 250 *\nS: 250 *\nS: 421 4.4.2 *\nS: -\n");
    world_disconnect(&w);
    world_close(&w);
}

TEST(a_connection_that_is_lost_leaves_nothing)
{
    static const char *const lost[] = {"C: DATA\nS: 354 *\nC: Subject: half\n",
                                       "C: BDAT 100\nC: Subject: half\n", "C: NOOP\n"};
    World w;
    Buf got buf_scoped = {0};
    world_open(&w);
    for (size_t i = 0; i < COUNT(lost); i++) {
        world_connect(&w, false);
        script(w.client, GREETING "C: MAIL FROM:<a@b>\nC: RCPT TO:<u00001@example.org>\n"
                                  "S: 250 *\nS: 250 *\n");
        script_run(w.client, __FILE__, __LINE__, slice_of(lost[i]));
        world_disconnect(&w);
    }
    world_connect(&w, false); /* before the first word */
    world_disconnect(&w);
    check_u64(mail_of(&w, S("u00001"), S("INBOX"), &got), 0);
    world_close(&w);
}

/* A fiber may be rung for nothing. */
TEST(a_nudge_is_no_octet)
{
    World w;
    Buf got buf_scoped = {0};
    world_open(&w);
    world_connect(&w, false);
    script(w.client, GREETING "C: MAIL FROM:<a@b>\nC: RCPT TO:<u00001@example.org>\nC: DATA\n"
                              "S: 250 *\nS: 250 *\nS: 354 *\n");
    fiber_nudge(w.fiber);
    fiber_sleep(2);
    script(w.client, "C: Subject: rung\nC: .\nS: 250 *\nC: QUIT\nS: 221 *\nS: -\n");
    world_disconnect(&w);
    check_u64(mail_of(&w, S("u00001"), S("INBOX"), &got), 1);
    world_close(&w);
}

/* ---- addresses ---- */

TEST(folders_are_found_as_they_are_written)
{
    World w;
    Buf got buf_scoped = {0};
    world_open(&w);
    check_ok(user_add(w.auth, S("berta@example.org"), S("secret")));
    world_connect(&w, true);
    /* Eltern is at first only what Kind is in */
    static const char *const to[] = {"u00001+Work",
                                     "u00001+work",
                                     "u00001+WORK",
                                     "u00001+Work",
                                     "u00001+Eltern/Kind",
                                     "u00001+Eltern",
                                     "\"u00001+wi\\th \\\"\"",
                                     "\"u00001+Work\"",
                                     "berta+x"};
    script(w.client, LMTP);
    for (size_t i = 0; i < COUNT(to); i++) {
        Arena a arena_scoped = {0};
        Slice text = arena_printf(&a,
                                  "C: MAIL FROM:<a@b>\nC: RCPT TO:<%s@example.org>\nC: DATA\n"
                                  "C: Subject: x\nC: .\nS: 250 *\nS: 250 *\nS: 354 *\nS: 250 *\n",
                                  to[i]);
        script_run(w.client, __FILE__, __LINE__, text);
    }
    script(w.client, "C: MAIL FROM:<a@b>\nC: RCPT TO:<u00002>\nC: RCPT TO:<postmaster>\nC: DATA\n"
                     "S: 250 *\nS: 250 *\nS: 550 5.1.1 *\nS: 354 *\nC: .\nS: 250 *\n"
                     "C: QUIT\nS: 221 *\nS: -\n");
    world_disconnect(&w);
    check_u64(mail_of(&w, S("u00001"), S("Work"), &got), 5);
    check_u64(mail_of(&w, S("u00001"), S("Eltern"), &got), 1);
    check_u64(mail_of(&w, S("u00001"), S("with \""), &got), 1);
    check_u64(mail_of(&w, S("berta@example.org"), S("x"), &got), 1);
    check(has(&got, "Delivered-To: berta@example.org\r\n"));
    check_u64(mail_of(&w, S("u00002"), S("INBOX"), &got), 1);
    check(has(&got, "Delivered-To: u00002\r\n"));
    world_close(&w);
}

TEST(addresses_that_are_none)
{
    World w;
    world_open(&w);
    w.config.recipients_most = 0; /* 1000 */
    world_connect(&w, false);
    script(w.client, GREETING "C: MAIL FROM:<a@b> SMTPUTF8\nS: 250 *\n"
                              "C: RCPT TO:<u00001@\357\277\275.de>\nS: 501 5.1.3 *\n"
                              "C: RCPT TO:<u00001@example.org>x\nS: 501 5.5.4 *\n"
                              "C: RCPT TO:<u00001@example.org> =\nS: 501 5.5.4 *\n"
                              "C: RCPT TO:<postmaster>\nS: 550 5.1.1 *\n"
                              "C: RCPT TO:<u00001+x@example.org>\nS: 250 *\n"
                              "C: HELO a b\nS: 501 *\nC: QUIT\nS: 221 *\nS: -\n");
    world_disconnect(&w);
    world_close(&w);
}

/* ---- TLS, records ---- */

static TlsContext *no_tls(void)
{
    return NULL;
}

TEST(tls_that_is_not_there_now)
{
    World w;
    world_open(&w);
    w.config.tls = no_tls;
    world_connect(&w, false);
    script(w.client, "S: 220 *\nC: EHLO x\nS: ...\nS: 250-STARTTLS\nS: ...\nS: 250 HELP\n"
                     "C: STARTTLS\nS: 454 4.7.0 *\nC: QUIT\nS: 221 *\nS: -\n");
    world_disconnect(&w);
    world_connect(&w, true);
    script(w.client, "S: 220 *\nC: HELP\nS: 214-2.0.0 LMTP, RFC 2033\nS: 214 2.0.0 LHLO *\n"
                     "C: QUIT\nS: 221 *\nS: -\n");
    world_disconnect(&w);
    world_close(&w);
}

TEST(a_conversation_is_taken_up_from_its_record)
{
    World w;
    Buf record buf_scoped = {0}, got buf_scoped = {0};
    Smtp at_rest = {.stage = GREETED, .hello = "client.example"};
    world_open(&w);
    check(smtp_record_write(&at_rest, &record));
    w.record = buf_slice(&record);
    w.config.resume_always = true;
    world_connect(&w, false);
    script(w.client, "C: MAIL FROM:<a@b>\nC: RCPT TO:<u00001@example.org>\nC: DATA\n"
                     "S: 250 *\nS: 250 *\nS: 354 *\nC: Subject: x\nC: .\nS: 250 *\n"
                     "C: QUIT\nS: 221 *\nS: -\n");
    world_disconnect(&w);
    check_u64(mail_of(&w, S("u00001"), S("INBOX"), &got), 1);
    check(has(&got, "\r\nReceived: from client.example (")); /* who had said HELO */
    check(has(&got, "\tby mx.example.org with SMTP\r\n"));
    world_connect(&w, true); /* of the other protocol */
    script(w.client, "S: 421 4.3.0 *\nS: -\n");
    world_disconnect(&w);
    world_close(&w);
}

TEST(where_mail_comes_from_is_written_as_rfc_5321_has_it)
{
    static const struct {
        const char *address, *written;
    } rows[] = {
        {"192.0.2.1:25",       "\r\nReceived: from x ([192.0.2.1])\r\n"       },
        {"[2001:db8::1]:2525", "\r\nReceived: from x ([IPv6:2001:db8::1])\r\n"},
    };
    Stream *a, *b;
    check_ok(stream_pair(&a, &b));
    for (size_t i = 0; i < COUNT(rows); i++) {
        Buf out buf_scoped = {0};
        SmtpConfig config = {.hostname = S("mx.example.org")};
        Smtp s = {.stream = a, .config = &config, .hello = "x", .utf8 = true, .extended = true};
        check_ok(address_parse(slice_of(rows[i].address), &s.peer));
        smtp_trace(&out, &s);
        check(has(&out, rows[i].written));
        check(has(&out, "with UTF8SMTP\r\n"));
    }
    stream_free(a);
    stream_free(b);
}

/* How a large message ends: the first digit of the last answer; `no`: for want of memory. */
PARKS static char put_message(World *w, bool *no)
{
    Slice line;
    stream_put(w->client, S("DATA\r\n"));
    (void)stream_flush(w->client);
    if (!script_line(w->client, &line)) return '-';
    bool goes_on = slice_starts(line, S("354 "));
    if (goes_on) {
        put_octets(w, 90048);
        stream_put(w->client, S(".\r\n"));
        (void)stream_flush(w->client);
        if (!script_line(w->client, &line)) return '-';
    }
    *no = slice_starts(line, S("452 4.3.1 Too little memory"));
    char first = line.len ? *line.at : '-';
    if (!goes_on) script(w->client, "C: RSET\nS: 250 *\n");
    return first;
}

/* Each question for memory answered with no, one after the other. */
TEST(too_little_memory_is_told_as_that)
{
    World w;
    unsigned refused = 0, at = 1;
    world_open(&w);
    world_connect(&w, true);
    script(w.client, LMTP);
    for (bool more = true; more; at++) {
        bool no = false;
        script(w.client,
               "C: MAIL FROM:<a@b>\nC: RCPT TO:<u00001@example.org>\nS: 250 *\nS: 250 *\n");
        mem_deny(at);
        char first = put_message(&w, &no);
        more = mem_asked() >= at && first != '-';
        mem_deny(0);
        refused += no;
        check(no || first == '2');
    }
    check(refused >= 3);
    script(w.client, "C: QUIT\nS: 221 *\nS: -\n");
    world_disconnect(&w);
    world_close(&w);
}
