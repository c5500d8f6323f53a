#include "base/test.h"
#include "net/tunnel_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- one connection ---- */

/* What the house knows of TLS that it does not do. */
PARKS static void tell_tls(Stream *s)
{
    Buf binding buf_scoped = {0};
    Arena a arena_scoped = {0};
    Slice *names = NULL;
    check(stream_is_tls(s) && stream_tls_cipher(s).len > 0);
    check_ok(stream_channel_binding(s, BINDING_TLS_EXPORTER, &binding));
    check_u64(stream_client_names(s, CLIENT_ADDRESS, &a, &names), 0);
    stream_printf(s, "%.*s ", SP(stream_tls_version(s)));
    for (size_t i = 0; i < binding.len; i++)
        stream_printf(s, "%02x", (unsigned char)binding.at[i]);
    stream_printf(s, "\r\n");
}

/* A service that answers lines, for every way in which a connection can go on. */
PARKS static void answer_lines(void *arg, Stream *stream, Slice service, Slice record)
{
    (void)arg;
    Stream *s scoped(stream) = stream;
    stream_printf(s, "* %.*s %.*s\r\n", SP(service), SP(record));
    for (;;) {
        Slice line;
        if (stream_flush(s) || stream_line(s, 100, &line) != LINE_CRLF) return;
        if (slice_starts(line, S("MOVE"))) {
            stream_detach(s);
            fiber_move(loop_at((loop_index(loop_current()) + 1) % loop_count()));
            check_ok(stream_attach(s));
            stream_printf(s, "moved\r\n");
        } else if (slice_starts(line, S("KEEP "))) {
            stream_printf(s, "kept\r\n");
            stream_keep(s, slice_from(line, 5));
        } else if (slice_starts(line, S("BACK "))) {
            stream_printf(s, "back\r\n");
            stream_hand_back(s, slice_from(line, 5));
            return;
        } else if (slice_starts(line, S("QUIT"))) {
            stream_printf(s, "bye\r\n");
            stream_finish(s);
            return;
        } else if (slice_starts(line, S("POUR"))) {
            static const char much[50000];
            for (int i = 0; i < 200 && !stream_error(s); i++)
                stream_put(s, slice(much, sizeof much));
        } else if (slice_starts(line, S("STARTTLS"))) {
            check(!stream_is_tls(s) && !stream_tls_version(s).len);
            stream_printf(s, "go ahead\r\n");
            stream_set_alpn(s, S("imap"));
            stream_set_deadline(s, now_ms() + 10000);
            if (stream_start_tls(s, NULL)) return;
            stream_set_deadline(s, NEVER);
            tell_tls(s);
        } else if (slice_starts(line, S("DEFLATE"))) {
            check(!stream_is_deflated(s));
            stream_printf(s, "deflated\r\n");
            check_ok(stream_start_deflate(s));
            check(stream_is_deflated(s));
        } else if (slice_starts(line, S("INFLATE"))) {
            stream_printf(s, "inflated\r\n");
            check_ok(stream_end_deflate(s));
        } else {
            stream_printf(s, "echo %.*s\r\n", SP(line));
        }
    }
}

PARKS static void say(Stream *s, Slice text)
{
    stream_put(s, text);
    check_ok(stream_flush(s));
}

PARKS static void hears_at(Stream *s, Slice wanted, int at)
{
    Slice line;
    stream_set_deadline(s, now_ms() + 10000);
    LineEnd end = stream_line(s, 1000, &line);
    if (end != LINE_CRLF || !slice_eq(line, wanted))
        test_failed(__FILE__, at, "%.*s, wanted %.*s", SP(line), SP(wanted));
}
#define hears(stream, wanted) hears_at((stream), S(wanted), __LINE__)

static const TunnelWorldConfig lines = {.serve = answer_lines};

TEST(tunnel_carries_lines)
{
    TunnelWorld *w = tunnel_world_open(&lines);
    Stream *c = tunnel_world_call(w, S("imap"), S("rec"), S(""));
    hears(c, "* imap rec");
    say(c, S("one\r\ntwo\r\n"));
    hears(c, "echo one");
    hears(c, "echo two");
    for (int i = 0; i < 5; i++) {
        say(c, S("MOVE\r\nthree\r\nfo"));
        say(c, S("ur\r\n"));
        hears(c, "moved");
        hears(c, "echo three");
        hears(c, "echo four");
    }
    say(c, S("QUIT\r\n"));
    hears(c, "bye");
    Slice none;
    check(stream_line(c, 10, &none) == LINE_NONE);
    stream_free(c);
    tunnel_world_close(w);
}

TEST(tunnel_hands_back_what_was_not_read)
{
    TunnelWorld *w = tunnel_world_open(&lines);
    Stream *c = tunnel_world_call(w, S("imap"), S("first"), S(""));
    hears(c, "* imap first");
    say(c, S("BACK second\r\nBACK third\r\nlast"));
    say(c, S(" one\r\n"));
    hears(c, "back");
    hears(c, "* imap second");
    hears(c, "back");
    hears(c, "* imap third");
    hears(c, "echo last one");
    stream_free(c);
    tunnel_world_close(w);
}

TEST(tunnel_deflates_in_the_front)
{
    TunnelWorld *w = tunnel_world_open(&lines);
    Stream *c = tunnel_world_call(w, S("imap"), S(""), S(""));
    hears(c, "* imap ");
    say(c, S("DEFLATE\r\n"));
    hears(c, "deflated");
    check_ok(stream_start_deflate(c));
    say(c, S("pressed\r\n"));
    hears(c, "echo pressed");
    say(c, S("KEEP it\r\n"));
    hears(c, "kept");
    tunnel_world_kill_house(w);
    say(c, S("after\r\n"));
    fiber_sleep(10);
    tunnel_world_new_house(w);
    hears(c, "* imap it");
    hears(c, "echo after");
    say(c, S("INFLATE\r\n"));
    hears(c, "inflated");
    check_ok(stream_end_deflate(c));
    say(c, S("plain\r\n"));
    hears(c, "echo plain");
    stream_free(c);
    tunnel_world_close(w);
}

/* The files are not looked at again. */
static void be_a_server(void)
{
    char dir[] = "/tmp/tunnel-XXXXXX", certificate[64], key[64];
    TlsContext *ctx scoped(tls) = NULL;
    must(mkdtemp(dir));
    snprintf(certificate, sizeof certificate, "%s/c.pem", dir);
    snprintf(key, sizeof key, "%s/k.pem", dir);
    check_ok(
        tls_make_self_signed(slice_of(certificate), slice_of(key), (Slice[]){S("localhost")}, 1));
    check_ok(tls_server_new(slice_of(certificate), slice_of(key), &ctx));
    tls_set_current(ctx);
    unlink(certificate);
    unlink(key);
    rmdir(dir);
}

PARKS static void hears_binding(Stream *c)
{
    Buf binding buf_scoped = {0}, wanted buf_scoped = {0};
    check_ok(stream_channel_binding(c, BINDING_TLS_EXPORTER, &binding));
    buf_printf(&wanted, "TLSv1.3 ");
    for (size_t i = 0; i < binding.len; i++)
        buf_printf(&wanted, "%02x", (unsigned char)binding.at[i]);
    Slice line;
    check(stream_line(c, 1000, &line) == LINE_CRLF);
    check_slice(line, buf_slice(&wanted));
}

TEST(tunnel_has_its_tls_made_by_the_front)
{
    TlsContext *ctx scoped(tls) = NULL;
    be_a_server();
    ctx = tls_client_new(false);
    TunnelWorld *w = tunnel_world_open(&lines);
    Stream *c = tunnel_world_call(w, S("smtp"), S(""), S(""));
    hears(c, "* smtp ");
    say(c, S("STARTTLS\r\ninjected\r\n"));
    hears(c, "go ahead");
    stream_set_alpn(c, S("imap"));
    check_ok(stream_start_tls_client(c, ctx, S("localhost")));
    hears_binding(c);
    say(c, S("one\r\nMOVE\r\nKEEP it\r\n"));
    hears(c, "echo one");
    hears(c, "moved");
    hears(c, "kept");
    fiber_sleep(20);
    tunnel_world_kill_house(w);
    tunnel_world_new_house(w);
    hears(c, "* smtp it");
    stream_free(c);

    c = tunnel_world_call(w, S("smtp"), S(""), S("")); /* one that says something else instead */
    hears(c, "* smtp ");
    say(c, S("STARTTLS\r\n"));
    hears(c, "go ahead");
    say(c, S("this is no hello\r\n"));
    stream_some(c, 1000); /* an alert, perhaps */
    while (stream_some(c, 1000).len)
        ;
    stream_free(c);
    tunnel_world_close(w);
    tls_set_current(NULL);
}

TEST(tunnel_house_goes_and_another_comes)
{
    TunnelWorld *w = tunnel_world_open(&lines);
    Stream *rests = tunnel_world_call(w, S("imap"), S(""), S("* BYE\r\n"));
    Stream *works = tunnel_world_call(w, S("imap"), S(""), S("* BYE\r\n"));
    Stream *half = tunnel_world_call(w, S("imap"), S(""), S("* BYE\r\n"));
    hears(rests, "* imap ");
    hears(works, "* imap ");
    hears(half, "* imap ");
    say(rests, S("KEEP at rest\r\n"));
    say(works, S("KEEP before\r\n"));
    hears(rests, "kept");
    hears(works, "kept");
    say(half, S("x\r\n"));
    hears(half, "echo x");
    say(works, S("in the midd"));
    fiber_sleep(50);
    check_u64(gates_busy(tunnel_world_gates(w)), 2);
    tunnel_world_kill_house(w);
    Slice none;
    hears(works, "* BYE");
    check(stream_line(works, 10, &none) == LINE_NONE);
    check(stream_line(half, 10, &none) == LINE_NONE);
    tunnel_world_new_house(w);
    hears(rests, "* imap at rest");
    say(rests, S("y\r\n"));
    hears(rests, "echo y");
    stream_free(rests);
    stream_free(works);
    stream_free(half);
    tunnel_world_close(w);
}

TEST(tunnel_slow_reader_is_in_nobodys_way)
{
    TunnelWorld *w = tunnel_world_open(&lines);
    Stream *slow[8], *c = tunnel_world_call(w, S("imap"), S(""), S(""));
    for (size_t i = 0; i < COUNT(slow); i++) {
        slow[i] = tunnel_world_call(w, S("imap"), S(""), S(""));
        say(slow[i], S("POUR\r\n"));
    }
    hears(c, "* imap ");
    fiber_sleep(50);
    for (int i = 0; i < 100; i++) {
        say(c, S("quick\r\n"));
        hears(c, "echo quick");
    }
    for (size_t i = 0; i < COUNT(slow); i++) {
        hears(slow[i], "* imap ");
        check(stream_skip(slow[i], 10000000));
        say(slow[i], S("still here\r\n"));
        hears(slow[i], "echo still here");
        stream_free(slow[i]);
    }
    stream_free(c);
    tunnel_world_close(w);
}

TEST(tunnel_pairs)
{
    TunnelWorld *w = tunnel_world_open(&(TunnelWorldConfig){0});
    Stream *client, *house;
    tunnel_world_pair(w, &client, &house);
    check(stream_is_remote(house) && !stream_is_remote(client));
    say(client, S("question\r\n"));
    hears(house, "question");
    say(house, S("answer\r\n"));
    hears(client, "answer");
    stream_free(client);
    stream_free(house);
    tunnel_world_close(w);
}
