/* Conversations over a pair of streams, with a real store behind them. */
#include "net/script_test.h"
#include "smtp/session_world.h"

/* ---- tests ---- */

TEST(a_message_is_received)
{
    World w;
    Buf got buf_scoped = {0};
    world_open(&w);
    world_connect(&w, false);
    script(w.client, "S: 220 mx.example.org ESMTP*\n"
                     "C: EHLO client.example\n"
                     "S: 250-mx.example.org\n"
                     "S: ...\n"
                     "S: 250 HELP\n"
                     "C: MAIL FROM:<Smith@bar.com> SIZE=100 BODY=8BITMIME\n"
                     "S: 250 2.1.0 *\n"
                     "C: RCPT TO:<u00001@Example.ORG>\n"
                     "S: 250 2.1.5 *\n"
                     "C: DATA\n"
                     "S: 354 *\n"
                     "C: Subject: hello\n"
                     "C: \n"
                     "C: ..dots\n"
                     "C: .\n"
                     "S: 250 2.0.0 Saved*\n"
                     "C: QUIT\n"
                     "S: 221 *\n"
                     "S: -\n");
    world_disconnect(&w);
    check_u64(mail_of(&w, S("u00001"), S("INBOX"), &got), 1);
    check(slice_starts(buf_slice(&got), S("Return-Path: <Smith@bar.com>\r\n"
                                          "Delivered-To: u00001@example.org\r\n"
                                          "Received: from client.example (")));
    check(has(&got, "\tby mx.example.org with ESMTP\r\n"));
    check(has(&got, " for <u00001@Example.ORG>;\r\n\t"));
    check(slice_ends(buf_slice(&got), S("Subject: hello\r\n\r\n.dots\r\n")));
    world_close(&w);
}

TEST(lmtp_answers_for_each_recipient)
{
    World w;
    Buf got buf_scoped = {0};
    world_open(&w);
    world_connect(&w, true);
    script(w.client, "S: 220 mx.example.org LMTP*\n"
                     "C: EHLO x\nS: 500 *\n"
                     "C: DATA\nS: 503 *\n"
                     "C: LHLO x\nS: ...\nS: 250 HELP\n"
                     "C: MAIL FROM:<>\nC: RCPT TO:<u00001@example.org>\n"
                     "C: RCPT TO:<nobody@example.org>\nC: RCPT TO:<u00002+Work@example.org>\n"
                     "C: RCPT TO:<u00003@elsewhere.example>\nC: RCPT TO:<u00001@example.org>\n"
                     "C: DATA\n"
                     "S: 250 2.1.0 *\nS: 250 2.1.5 *\nS: 550 5.1.1 *\nS: 250 2.1.5 *\n"
                     "S: 550 5.7.1 *\nS: 250 2.1.5 *\nS: 354 *\n"
                     "C: Subject: x\nC: \nC: text\nC: .\n"
                     "S: 250 2.0.0 Saved (u00001@example.org)\n"
                     "S: 250 2.0.0 Saved (u00002+Work@example.org)\n"
                     "S: 250 2.0.0 Saved (u00001@example.org)\n"
                     "C: MAIL FROM:<a@b>\nC: RCPT TO:<nobody@example.org>\nC: DATA\n"
                     "S: 250 *\nS: 550 *\nS: 503 *\nC: RSET\nS: 250 *\n"
                     "C: MAIL FROM:<a@b>\nC: RCPT TO:<u00002+wORK@example.org>\nC: DATA\n"
                     "S: 250 *\nS: 250 *\nS: 354 *\nC: .\nS: 250 *\n"
                     "C: QUIT\nS: 221 *\nS: -\n");
    world_disconnect(&w);
    check_u64(mail_of(&w, S("u00001"), S("INBOX"), &got), 1);
    check(!has(&got, " for <"));
    check_u64(mail_of(&w, S("u00002"), S("INBOX"), &got), 0);
    check_u64(mail_of(&w, S("u00002"), S("Work"), &got), 2);
    world_close(&w);
}

TEST(chunks_are_received)
{
    World w;
    Buf got buf_scoped = {0};
    world_open(&w);
    world_connect(&w, true);
    script(w.client, "S: 220 *\nC: BDAT 4\nC: ab\nS: 503 5.5.1 LHLO*\n"
                     "C: LHLO x\nS: ...\nS: 250 HELP\nC: MAIL FROM:<a@b>\nS: 250 *\n"
                     "C: BDAT 4 LAST\nC: ab\nS: 503 5.5.1 RCPT*\n"
                     "C: RCPT TO:<u00001@example.org>\nS: 250 *\n"
                     "C: BDAT 13\nC: Subject: ab\nS: 250 *\nC: BDAT x\nS: 501 *\nS: -\n");
    world_disconnect(&w);
    world_connect(&w, true);
    script(w.client, "S: 220 *\nC: LHLO x\nS: ...\nS: 250 HELP\nC: MAIL FROM:<a@b>\n"
                     "C: RCPT TO:<u00001@example.org>\nC: BDAT 14\nC: Subject: abc\nC: BDAT 0\n"
                     "C: BDAT 11 LAST\nC: \nC: .\nC: text\nC: NOOP\n"
                     "S: 250 *\nS: 250 *\nS: 250 2.0.0 14 *\nS: 250 2.0.0 0 *\n"
                     "S: 250 2.0.0 Saved (*\nS: 250 2.0.0 OK\n"
                     "C: MAIL FROM:<a@b>\nC: RCPT TO:<u00001@example.org>\nC: BDAT 0\nC: DATA\n"
                     "C: RSET\nC: BDAT x\n"
                     "S: 250 *\nS: 250 *\nS: 250 *\nS: 503 *\nS: 250 *\nS: 501 *\nS: -\n");
    world_disconnect(&w);
    check_u64(mail_of(&w, S("u00001"), S("INBOX"), &got), 1);
    check(slice_ends(buf_slice(&got), S("Subject: abc\r\n\r\n.\r\ntext\r\n")));
    world_close(&w);
}

TEST(wrong_things_are_refused)
{
    World w;
    world_open(&w);
    w.config.errors_most = 100;
    world_connect(&w, false);
    script(w.client,
           "S: 220 *\n"
           "C: MAIL FROM:<a@b>\nS: 503 *\nC: EHLO\nS: 501 *\nC: EHLO a b\nS: 501 *\n"
           "C: LHLO x\nS: 500 *\nC: FOO\nS: 500 *\nC: \nS: 500 *\nC: \001\002\nS: 500 *\n"
           "C: HELO x\nS: 250 mx.example.org\n"
           "C: RCPT TO:<u00001@example.org>\nS: 503 *\nC: DATA\nS: 503 *\n"
           "C: MAIL\nS: 501 *\nC: MAIL TO:<a@b>\nS: 501 *\nC: MAIL FROM:a@b\nS: 501 *\n"
           "C: MAIL FROM:<a@b> FOO=1\nS: 555 *\nC: MAIL FROM:<a@b> SIZE=x\nS: 501 *\n"
           "C: MAIL FROM:<a@b> BODY=BINARYMIME\nS: 501 *\n"
           "C: MAIL FROM:<a@b> SIZE=1 SIZE=2\nS: 501 *\n"
           "C: MAIL FROM:<a@b> SIZE=100001\nS: 552 5.3.4 *\n"
           "C: MAIL FROM:<a@b> SIZE=99999999999999999999999\nS: 501 *\n"
           "C: MAIL FROM:<a@b> SIZE=99999999999999999999\nS: 552 *\n"
           "C: MAIL FROM:<j\303\274@b>\nS: 550 5.6.7 *\n"
           "C: MAIL FROM:<a@b>\nS: 250 *\nC: MAIL FROM:<a@b>\nS: 503 *\nC: DATA\nS: 554 *\n"
           "C: RCPT TO:<u00001>\nS: 501 5.1.3 *\nC: RCPT TO:<j\303\274@example.org>\nS: 553 *\n"
           "C: RCPT TO:<u00001@example.org> NOTIFY=NEVER\nS: 555 *\nC: RCPT TO:<>\nS: 501 *\n"
           "C: RCPT FROM:<u00001@example.org>\nS: 501 *\n"
           "C: RCPT TO:<u00001@example.org>\nS: 250 *\nC: DATA x\nS: 501 *\nC: RSET x\nS: 501 *\n"
           "C: RSET\nS: 250 *\nC: DATA\nS: 503 *\nC: VRFY\nS: 501 *\nC: VRFY x\nS: 252 *\n"
           "C: EXPN x\nS: 502 *\nC: STARTTLS\nS: 503 *\nC: AUTH PLAIN\nS: 502 *\n"
           "C: HELP\nS: 214-*\nS: 214 *\nC: NOOP x y\nS: 250 *\nC: quit\nS: 221 *\nS: -\n");
    world_disconnect(&w);
    world_close(&w);
}

TEST(limits_hold)
{
    World w;
    Buf big buf_scoped = {0}, got buf_scoped = {0};
    world_open(&w);
    world_connect(&w, false);
    for (int i = 0; i < 3000; i++)
        buf_add(&big, S("0123456789012345678901234567890123456789\r\n"));
    script(w.client, "S: 220 *\nC: EHLO x\nS: ...\nS: 250 HELP\nC: MAIL FROM:<a@b>\n"
                     "C: RCPT TO:<u00001@example.org>\nC: RCPT TO:<u00002@example.org>\n"
                     "C: RCPT TO:<u00003@example.org>\nC: RCPT TO:<u00004@example.org>\n"
                     "C: RCPT TO:<u00005@example.org>\nC: RCPT TO:<u00006@example.org>\n"
                     "S: ...\nS: 452 4.5.3 *\nC: DATA\nS: 354 *\n");
    stream_put(w.client, buf_slice(&big));
    script(w.client, "C: .\nS: 552 5.3.4 *\nC: MAIL FROM:<a@b>\n"
                     "C: RCPT TO:<u00001@example.org>\nC: DATA\nS: 250 *\nS: 250 *\nS: 354 *\n");
    for (int i = 0; i < 101; i++)
        stream_put(w.client, S("Received: x\r\n"));
    script(w.client, "C: \nC: .\nS: 554 5.4.6 *\n");
    stream_put(w.client, slice_first(buf_slice(&big), 40));
    for (int i = 0; i < 100; i++)
        stream_put(w.client, S("too long a line "));
    script(w.client, "C: x\nS: 500 *\n");
    for (int i = 0; i < 25; i++)
        stream_put(w.client, S("foo\r\n"));
    script(w.client, "S: ...\nS: 421 4.7.0 *\nS: -\n");
    world_disconnect(&w);
    check_u64(mail_of(&w, S("u00001"), S("INBOX"), &got), 0);
    world_close(&w);
}

/* Whatever other servers take for the end of DATA is text here, and commands behind it are too. */
TEST(a_message_cannot_be_smuggled)
{
    static const char *const ends[] = {"\n.\n",       "\r.\r",      "\n.\r\n",      "\r\n.\n",
                                       "\r\n.\r",     "\r.\r\n",    "\n.\r",        "\r.\n",
                                       "\r\n\0.\r\n", "\r\n. \r\n", "\r\r\n.\r\r\n"};
    World w;
    Buf got buf_scoped = {0};
    world_open(&w);
    world_connect(&w, false);
    script(w.client, "S: 220 *\nC: EHLO x\nS: ...\nS: 250 HELP\n");
    for (size_t i = 0; i < COUNT(ends); i++) {
        Slice end = i == 8 ? S("\r\n\0.\r\n") : slice_of(ends[i]);
        script(w.client, "C: MAIL FROM:<a@b>\nC: RCPT TO:<u00001@example.org>\nC: DATA\n"
                         "S: 250 *\nS: 250 *\nS: 354 *\n");
        stream_put(w.client, S("Subject: x\r\n\r\ntext"));
        stream_put(w.client, end);
        script(w.client, "C: MAIL FROM:<evil@b>\nC: RCPT TO:<u00001@example.org>\nC: DATA\n"
                         "C: smuggled\nC: .\nS: 250 2.0.0 Saved*\n");
    }
    script(w.client, "C: QUIT\nS: 221 *\nS: -\n");
    world_disconnect(&w);
    check_u64(mail_of(&w, S("u00001"), S("INBOX"), &got), COUNT(ends));
    check(!has(&got, "Return-Path: <evil"));
    world_close(&w);
}

TEST(a_line_without_cr_is_no_command)
{
    World w;
    world_open(&w);
    world_connect(&w, false);
    stream_put(w.client, S("EHLO x\nNOOP\r\n"));
    script(w.client, "S: 220 *\nS: 500 *\nS: 250 *\nC: GET / HTTP/1.1\nS: 421 *\nS: -\n");
    world_disconnect(&w);
    world_close(&w);
}

TEST(who_is_slow_is_told_so)
{
    World w;
    world_open(&w);
    w.config.idle_ms = 30;
    world_connect(&w, false);
    script(w.client, "S: 220 *\nS: 421 4.4.2 *\nS: -\n");
    world_disconnect(&w);
    world_connect(&w, false);
    script(w.client, "S: 220 *\nC: EHLO x\nS: ...\nS: 250 HELP\nC: MAIL FROM:<a@b>\n"
                     "C: RCPT TO:<u00001@example.org>\nC: DATA\nS: ...\nS: 354 *\nC: x\n"
                     "S: 421 4.4.2 *\nS: -\n");
    world_disconnect(&w);
    world_close(&w);
}

TEST(addresses_in_utf8_are_received)
{
    World w;
    Buf got buf_scoped = {0};
    world_open(&w);
    world_connect(&w, false);
    script(w.client, "S: 220 *\nC: EHLO x\nS: ...\nS: 250 HELP\n"
                     "C: MAIL FROM:<j\303\274@m\303\274ll.example> SMTPUTF8\nS: 250 *\n"
                     "C: RCPT TO:<u00001@m\303\274ll.example>\nS: 250 *\nC: DATA\nS: 354 *\n"
                     "C: Subject: \303\274\nC: .\nS: 250 *\nC: QUIT\nS: 221 *\nS: -\n");
    world_disconnect(&w);
    check_u64(mail_of(&w, S("u00001"), S("INBOX"), &got), 1);
    check(has(&got, "Return-Path: <j\303\274@m\303\274ll.example>\r\n"));
    check(has(&got, "with UTF8SMTP\r\n"));
    world_close(&w);
}

TEST(a_full_mailbox_says_so)
{
    World w;
    world_open(&w);
    world_connect(&w, true);
    world_set_quota(&w, S("u00001"), 1000);
    script(w.client,
           "S: 220 *\nC: LHLO x\nS: ...\nS: 250 HELP\nC: MAIL FROM:<a@b> SIZE=1001\n"
           "C: RCPT TO:<u00001@example.org>\nC: RSET\nC: MAIL FROM:<a@b>\n"
           "C: RCPT TO:<u00001@example.org>\nC: RCPT TO:<u00002@example.org>\nC: DATA\n"
           "S: 250 *\nS: 552 5.2.2 *\nS: 250 *\nS: 250 *\nS: 250 *\nS: 250 *\nS: 354 *\n");
    for (int i = 0; i < 40; i++)
        stream_put(w.client, S("0123456789012345678901234567890123456789\r\n"));
    script(w.client, "C: .\nS: 552 5.2.2 *\nS: 250 *\nC: QUIT\nS: 221 *\nS: -\n");
    world_disconnect(&w);
    world_close(&w);
}

TEST(what_cannot_be_kept_is_not_acknowledged)
{
    World w;
    Buf got buf_scoped = {0};
    world_open(&w);
    world_connect(&w, true);
    script(w.client, "S: 220 *\nC: LHLO x\nS: ...\nS: 250 HELP\nC: MAIL FROM:<a@b>\n"
                     "C: RCPT TO:<u00001@example.org>\nC: RCPT TO:<u00002@example.org>\nC: DATA\n"
                     "S: 250 *\nS: 250 *\nS: 250 *\nS: 354 *\n");
    fault_set("log.write", 1);
    script(w.client, "C: Subject: lost\nC: .\nS: 451 4.3.0 *\nS: 451 4.3.0 *\n"
                     "C: MAIL FROM:<a@b>\nC: RCPT TO:<u00001@example.org>\nC: DATA\n"
                     "S: 250 *\nS: 250 *\nS: 354 *\nC: .\nS: 451 4.3.0 *\n"
                     "C: QUIT\nS: 221 *\nS: -\n");
    world_disconnect(&w);
    check_u64(mail_of(&w, S("u00001"), S("INBOX"), &got), 0);
    world_close(&w);
}
