#include "base/test.h"
#include "net/inside.h"

#include <stdlib.h>

/* A far end that does what a row says: the pieces one after the other, with a turn of the loop in
 * between, then it closes. */
typedef struct {
    Stream *stream;
    Slice text;
    size_t piece;
    bool stays;
    bool ended;
} Peer;

PARKS_UNCHECKED static void peer_sends(void *arg)
{
    Peer *p = arg;
    for (Slice rest = p->text; rest.len; rest = slice_from(rest, p->piece)) {
        stream_put(p->stream, slice_first(rest, p->piece));
        (void)stream_flush(p->stream);
        if (p->piece < 100) fiber_sleep(0);
    }
    if (!p->stays) {
        stream_free(p->stream);
        p->stream = NULL;
    }
    p->ended = true;
}

/* Ours; the peer sends the text in pieces and closes. */
static Stream *with_peer(Peer *p, Slice text, size_t piece)
{
    Stream *ours;
    *p = (Peer){.text = text, .piece = piece};
    check_ok(stream_pair(&ours, &p->stream));
    fiber_start("peer", peer_sends, p);
    return ours;
}

PARKS static void wait_for_peer(Peer *p)
{
    while (!p->ended)
        fiber_sleep(1);
    stream_free(p->stream);
}

PARKS static void join_lines(Stream *s, size_t most, Buf *out)
{
    static const char *const names[] = {"CRLF", "LF", "LONG", "NONE"};
    for (;;) {
        Slice line;
        LineEnd end = stream_line(s, most, &line);
        buf_printf(out, "%s(%.*s)", names[end], SP(line));
        if (end == LINE_NONE) return;
    }
}

TEST(lines_are_the_same_however_they_arrive)
{
    static const struct {
        Slice text;
        size_t most;
        const char *lines;
    } rows[] = {
        {S("a NOOP\r\nb\n\r\n\n"),        10, "CRLF(a NOOP)LF(b)CRLF()LF()NONE()"    },
        {S("12345\r\n123456\r\n12345\n"), 5,  "CRLF(12345)LONG(12345)LF(12345)NONE()"},
        {S("12345\r\r\nx\r\n"),           5,  "LONG(12345)CRLF(x)NONE()"             },
        {S("1234567890123\r\nnext\r\n"),  3,  "LONG(123)LONG(nex)NONE()"             },
        {S("a\rb\r\n"),                   10, "CRLF(a\rb)NONE()"                     },
        {S("no end"),                     10, "NONE()"                               },
        {S("no end but too long"),        5,  "NONE()"                               },
        {S("ok\r\nhalf\r"),               10, "CRLF(ok)NONE()"                       },
        {S("\r\nx\r\n"),                  0,  "CRLF()LONG()NONE()"                   },
        {S(""),                           10, "NONE()"                               },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t piece = 1; piece < 20; piece += 1 + piece / 4) {
            Peer peer;
            Stream *s scoped(stream) = with_peer(&peer, rows[i].text, piece);
            Buf got buf_scoped = {0};
            join_lines(s, rows[i].most, &got);
            check_slice(buf_slice(&got), slice_of(rows[i].lines));
            check_err(stream_error(s), ERR_END);
            check_u64(stream_octets_in(s), rows[i].text.len);
            wait_for_peer(&peer);
        }
    }
}

TEST(lines_and_octets_mix)
{
    for (size_t piece = 1; piece < 40; piece += 6) {
        Peer peer;
        Stream *s scoped(stream) =
            with_peer(&peer, S("APPEND {5}\r\nhello SKIPPED\r\nlast\r\nrest"), piece);
        Slice line;
        char literal[5];
        check(stream_line(s, 100, &line) == LINE_CRLF);
        check_slice(line, S("APPEND {5}"));
        check(stream_read(s, literal, 5));
        check_slice(slice(literal, 5), S("hello"));
        check(stream_skip(s, 8));
        check(stream_line(s, 100, &line) == LINE_CRLF && !line.len);
        check(stream_line(s, 100, &line) == LINE_CRLF);
        check_slice(line, S("last"));
        Buf rest buf_scoped = {0};
        for (Slice some; (some = stream_some(s, 3)).len;) {
            check(some.len <= 3);
            buf_add(&rest, some);
        }
        check_slice(buf_slice(&rest), S("rest"));
        check(!stream_read(s, literal, 1) && !stream_skip(s, 1));
        check(stream_read(s, literal, 0) && stream_skip(s, 0));
        check_err(stream_error(s), ERR_END);
        wait_for_peer(&peer);
    }
}

static char *large_text(size_t len)
{
    char *text = malloc(len);
    must(text);
    uint32_t random = 1;
    for (size_t i = 0; i < len; i++)
        text[i] = (char)((random = random * 1664525 + 1013904223) >> 24);
    return text;
}

/* More than any buffer holds: writer and reader take turns. */
TEST(large_texts_go_through_unchanged)
{
    enum { LEN = 3000000 };
    char *text = large_text(LEN);
    static const size_t pieces[] = {LEN, 65537, 1000};
    for (size_t i = 0; i < COUNT(pieces); i++) {
        Peer peer;
        Stream *s scoped(stream) = with_peer(&peer, slice(text, LEN), pieces[i]);
        size_t at = 0;
        for (Slice some; (some = stream_some(s, 1000000)).len; at += some.len)
            if (memcmp(text + at, some.at, some.len)) break;
        check_u64(at, LEN);
        wait_for_peer(&peer);
    }
    free(text);
}

TEST(output_is_gathered_until_it_is_flushed)
{
    Stream *a scoped(stream) = NULL, *b scoped(stream) = NULL;
    check_ok(stream_pair(&a, &b));
    buf_add(stream_out(a), S("* OK "));
    stream_printf(a, "[UIDNEXT %d]", 7);
    stream_put(a, S(" ready\r\n"));
    check_ok(stream_drain(a));
    check(stream_wait(b, now_ms() + 20) == WOKEN_TIMEOUT);
    check_ok(stream_flush(a));
    check_u64(stream_octets_out(a), 24);
    Slice line;
    check(stream_line(b, 100, &line) == LINE_CRLF);
    check_slice(line, S("* OK [UIDNEXT 7] ready"));
    check(!stream_out(a)->len);
}

TEST(a_silent_or_slow_peer_meets_the_deadline)
{
    Stream *a scoped(stream) = NULL, *b scoped(stream) = NULL;
    check_ok(stream_pair(&a, &b));
    stream_put(b, S("half a li"));
    check_ok(stream_flush(b));
    int64_t before = now_ms();
    stream_set_deadline(a, before + 50);
    Slice line;
    check(stream_line(a, 100, &line) == LINE_NONE);
    check_err(stream_error(a), ERR_TIMEOUT);
    check(now_ms() - before >= 50 && now_ms() - before < 5000);
    stream_set_deadline(a, NEVER);
    stream_put(b, S("ne\r\n"));
    check_ok(stream_flush(b));
    check(stream_line(a, 100, &line) == LINE_NONE); /* too late: it sticks */
    stream_put(a, S("* BYE Autologout\r\n"));       /* but this goes out */
    check_ok(stream_flush(a));
    check(stream_line(b, 100, &line) == LINE_CRLF);
    check_slice(line, S("* BYE Autologout"));
}

/* An octet every few milliseconds keeps no one waiting for more than the deadline. */
TEST(a_trickle_meets_the_deadline)
{
    char *text = large_text(100000);
    for (size_t i = 0; i < 100000; i++)
        text[i] = 'x';
    Peer peer;
    Stream *s = with_peer(&peer, slice(text, 100000), 1);
    int64_t before = now_ms();
    stream_set_deadline(s, before + 60);
    Slice line;
    check(stream_line(s, 1000, &line) == LINE_NONE);
    check_err(stream_error(s), ERR_TIMEOUT);
    check(now_ms() - before < 5000);
    stream_free(s); /* the peer's writes fail now, and it ends */
    wait_for_peer(&peer);
    free(text);
}

typedef struct {
    Stream *stream;
    bool ended;
} Flood;

PARKS_UNCHECKED static void flood(void *arg)
{
    Flood *f = arg;
    char text[1000];
    memset(text, 'x', sizeof text);
    while (!stream_error(f->stream)) {
        stream_put(f->stream, slice(text, sizeof text));
        (void)stream_flush(f->stream);
    }
    f->ended = true;
}

/* Nor does one who never lets us wait. */
TEST(a_flood_meets_the_deadline)
{
    Stream *a = NULL, *b scoped(stream) = NULL;
    check_ok(stream_pair(&a, &b));
    Flood f = {.stream = b};
    fiber_start("flood", flood, &f);
    int64_t before = now_ms();
    stream_set_deadline(a, before + 60);
    stream_set_budget(a, (uint64_t)20 << 30);
    Slice line;
    check(stream_line(a, 1000, &line) == LINE_NONE);
    check_err(stream_error(a), ERR_TIMEOUT);
    check(now_ms() - before < 5000);
    stream_free(a);
    while (!f.ended)
        fiber_sleep(1);
}

TEST(a_budget_ends_the_input)
{
    static const struct {
        uint64_t budget;
        const char *lines;
        Err err;
    } rows[] = {
        {12, "CRLF(1234)CRLF(5678)NONE()", ERR_END  },
        {11, "CRLF(1234)NONE()",           ERR_LIMIT},
        {6,  "CRLF(1234)NONE()",           ERR_LIMIT},
        {0,  "NONE()",                     ERR_LIMIT},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t piece = 1; piece < 15; piece += 3) {
            Peer peer;
            Stream *s scoped(stream) = with_peer(&peer, S("1234\r\n5678\r\n"), piece);
            /* One more than the text, so that the end can be seen. */
            stream_set_budget(s, rows[i].budget + (rows[i].err == ERR_END));
            Buf got buf_scoped = {0};
            join_lines(s, 100, &got);
            check_slice(buf_slice(&got), slice_of(rows[i].lines));
            check_err(stream_error(s), rows[i].err);
            check(stream_octets_in(s) <= rows[i].budget);
            wait_for_peer(&peer);
        }
    }
}

/* A line without end takes no more room than the line that is allowed. */
TEST(an_endless_line_is_thrown_away_as_it_comes)
{
    enum { LEN = 2000000 };
    char *text = large_text(LEN);
    for (size_t i = 0; i < LEN; i++)
        text[i] = i < LEN - 1 ? 'x' : '\n';
    Peer peer;
    Stream *s scoped(stream) = with_peer(&peer, slice(text, LEN), 100000);
    Slice line;
    check(stream_line(s, 8192, &line) == LINE_TOO_LONG);
    check_u64(line.len, 8192);
    check(s->in.bytes.room <= 4 * MOST_CHUNK);
    wait_for_peer(&peer);
    free(text);
}

TEST(what_a_closing_peer_sent_is_read_and_answered)
{
    Stream *a scoped(stream) = NULL, *b scoped(stream) = NULL;
    check_ok(stream_pair(&a, &b));
    stream_put(b, S("a1 NOOP\r\na2 LOGOUT\r\n"));
    check_ok(stream_flush(b));
    sock_shutdown(b->sock); /* closes its half, still listens */
    Slice line;
    check(stream_line(a, 100, &line) == LINE_CRLF);
    check(stream_line(a, 100, &line) == LINE_CRLF);
    check_slice(line, S("a2 LOGOUT"));
    check(stream_line(a, 100, &line) == LINE_NONE);
    check_err(stream_error(a), ERR_END);
    stream_put(a, S("* BYE\r\n"));
    check_ok(stream_flush(a));
    check(stream_line(b, 100, &line) == LINE_CRLF);
    check_slice(line, S("* BYE"));
}

TEST(a_peer_that_does_not_read_is_given_up)
{
    enum { LEN = 8000000 };
    char *text = large_text(LEN);
    Stream *a scoped(stream) = NULL, *b scoped(stream) = NULL;
    check_ok(stream_pair(&a, &b));
    stream_set_write_timeout(a, 50);
    stream_put(a, slice(text, LEN));
    check_err(stream_flush(a), ERR_TIMEOUT);
    check_err(stream_error(a), ERR_TIMEOUT);
    check(stream_octets_out(a) < LEN);
    stream_printf(a, "more"); /* swallowed */
    check(!stream_out(a)->len);
    buf_add(stream_out(a), S("more"));
    check_err(stream_drain(a), ERR_TIMEOUT);
    check(!stream_out(a)->len);
    free(text);
}

PARKS_UNCHECKED static void flush_only(void *arg)
{
    Peer *p = arg;
    check_ok(stream_flush(p->stream));
    p->ended = true;
}

/* Fills what lies between a and b, so that the next octet has to wait. */
static size_t fill_up(Stream *s)
{
    static const char zeros[1000];
    Slice part = slice(zeros, sizeof zeros);
    size_t sent, total = 0;
    do {
        check_ok(sock_try_write(s->sock, &part, 1, &sent));
        total += sent;
    } while (sent);
    return total;
}

/* A neighbour's news, added while we wait for a slow peer, go out behind what is under way. */
TEST(news_may_be_added_while_a_flush_waits)
{
    static const size_t lens[] = {1000000, 1000}; /* the larger buffer is not kept */
    for (size_t i = 0; i < COUNT(lens); i++) {
        char *text = large_text(lens[i]);
        Stream *a scoped(stream) = NULL, *b scoped(stream) = NULL;
        check_ok(stream_pair(&a, &b));
        size_t filled = fill_up(b);
        buf_add(stream_out(b), slice(text, lens[i]));
        Peer flusher = {.stream = b};
        fiber_start("flush", flush_only, &flusher);
        fiber_sleep(5);
        check(!flusher.ended);
        buf_add(stream_out(b), S("* 1 EXISTS\r\n"));
        check(stream_skip(a, filled));
        char *got = mem_new(lens[i]);
        check(stream_read(a, got, lens[i]) && !memcmp(got, text, lens[i]));
        Slice line;
        stream_set_deadline(a, now_ms() + 5000);
        check(stream_line(a, 100, &line) == LINE_CRLF);
        check_slice(line, S("* 1 EXISTS"));
        while (!flusher.ended)
            fiber_sleep(1);
        check(!stream_out(b)->len);
        free(got);
        free(text);
    }
}

TEST(a_failed_stream_reads_nothing_and_swallows_everything)
{
    Stream *a scoped(stream) = NULL, *b scoped(stream) = NULL;
    check_ok(stream_pair(&a, &b));
    stream_put(b, S("one\r\ntwo\r\n"));
    check_ok(stream_flush(b));
    Slice line;
    check(stream_line(a, 100, &line) == LINE_CRLF);
    check(stream_buffered(a) == 5);
    stream_fail(a, ERR_CORRUPT);
    stream_fail(a, ERR_IO); /* the first counts */
    check_err(stream_error(a), ERR_CORRUPT);
    check(stream_line(a, 100, &line) == LINE_NONE && stream_buffered(a) == 0);
    check(!stream_some(a, 1).len && !stream_peek(a).len);
    check(stream_wait(a, NEVER) == WOKEN_READY);
    stream_put(a, S("lost"));
    check_err(stream_flush(a), ERR_CORRUPT);
    check(stream_wait(b, now_ms() + 20) == WOKEN_TIMEOUT);
}

static void nudge_later(void *arg)
{
    fiber_nudge(arg);
}

TEST(waiting_ends_by_input_nudge_or_deadline)
{
    Stream *a scoped(stream) = NULL, *b scoped(stream) = NULL;
    check_ok(stream_pair(&a, &b));
    check(stream_wait(a, now_ms() + 20) == WOKEN_TIMEOUT);
    fiber_start("nudger", nudge_later, fiber_current());
    check(stream_wait(a, NEVER) == WOKEN_NUDGED);
    stream_put(b, S("x"));
    check_ok(stream_flush(b));
    check(stream_wait(a, NEVER) == WOKEN_READY);
    check_slice(stream_peek(a), S("x"));
    check(stream_wait(a, NEVER) == WOKEN_READY); /* nothing was taken */
    stream_discard_input(a);
    check(stream_wait(a, now_ms() + 20) == WOKEN_TIMEOUT);
    check_ok(stream_error(a));
    stream_free(b);
    b = NULL;
    check(stream_wait(a, NEVER) == WOKEN_READY);
    check_err(stream_error(a), ERR_END);
}

TEST(a_stream_at_rest_holds_no_buffers)
{
    Stream *a scoped(stream) = NULL, *b scoped(stream) = NULL;
    check_ok(stream_pair(&a, &b));
    stream_put(b, S("NOOP\r\n"));
    check_ok(stream_flush(b));
    Slice line;
    check(stream_line(a, 100, &line) == LINE_CRLF);
    stream_put(a, S("* OK\r\n"));
    check_ok(stream_flush(a));
    check(a->in.bytes.at && a->out.at);
    check(stream_wait(a, now_ms() + 10) == WOKEN_TIMEOUT);
    check(!a->in.bytes.at && !a->out.at);
}

/* ---- an orderly end ---- */

typedef struct {
    Sock *listener;
    bool ended;
} Host;

PARKS_UNCHECKED static void host_cuts_off(void *arg)
{
    Host *h = arg;
    Sock *conn;
    check_ok(sock_accept(h->listener, &conn));
    Stream *s scoped(stream) = stream_new(conn);
    stream_set_budget(s, 10);
    Slice line;
    check(stream_line(s, 100, &line) == LINE_NONE);
    stream_put(s, S("* BYE too much\r\n"));
    stream_finish(s);
    h->ended = true;
}

/* A port that nobody has; port 0 means something else to an Address. */
static void listen_somewhere(Sock **listener, Address *at)
{
    for (int i = 0; i < 100; i++) {
        Buf text buf_scoped = {0};
        buf_printf(&text, "127.0.0.1:%u", 20000 + (unsigned)(random_u64() % 10000));
        check_ok(address_parse(buf_slice(&text), at));
        if (!sock_listen(at, listener)) return;
    }
    test_failed(__FILE__, __LINE__, "no port is to be had: %s", err_story());
    exit(EXIT_FAILURE);
}

/* Over TCP, where unread octets at close make a reset that overtakes the last words. */
TEST(last_words_survive_unread_input)
{
    Address at;
    Host host = {0};
    listen_somewhere(&host.listener, &at);
    fiber_start("host", host_cuts_off, &host);
    Sock *conn;
    check_ok(sock_connect(&at, now_ms() + 5000, &conn));
    {
        Stream *s scoped(stream) = stream_new(conn);
        char *text = large_text(100000);
        stream_put(s, slice(text, 100000));
        (void)stream_flush(s);
        free(text);
        fiber_sleep(50);
        stream_put(s, S("and more, before it looks\r\n"));
        check_ok(stream_flush(s));
        Slice line;
        check(stream_line(s, 100, &line) == LINE_CRLF);
        check_slice(line, S("* BYE too much"));
    }
    while (!host.ended)
        fiber_sleep(1);
    sock_close(host.listener);
}

/* ---- moving house ---- */

typedef struct {
    Stream *stream;
    Slice said;
    char text[32];
} Move;

PARKS_UNCHECKED static void talk_elsewhere(void *arg)
{
    Move *m = arg;
    Slice line;
    check_ok(stream_attach(m->stream));
    check(stream_line(m->stream, 100, &line) == LINE_CRLF);
    m->said = slice_first(line, sizeof m->text);
    memcpy(m->text, m->said.at, m->said.len);
    m->said.at = m->text;
    stream_put(m->stream, S("* OK from elsewhere\r\n"));
    check_ok(stream_flush(m->stream));
    stream_detach(m->stream);
}

TEST(a_stream_moves_to_another_loop_with_what_it_holds)
{
    if (loop_count() < 2) return;
    Stream *a scoped(stream) = NULL, *b scoped(stream) = NULL;
    check_ok(stream_pair(&a, &b));
    stream_put(b, S("one\r\ntwo\r\n"));
    check_ok(stream_flush(b));
    Slice line;
    check(stream_line(a, 100, &line) == LINE_CRLF);
    stream_put(a, S("* OK from here\r\n")); /* not flushed */
    stream_detach(a);
    Move move = {.stream = a};
    loop_call(loop_at(1), talk_elsewhere, &move);
    check_ok(stream_attach(a));
    check_slice(move.said, S("two"));
    check(stream_line(b, 100, &line) == LINE_CRLF);
    check_slice(line, S("* OK from here"));
    check(stream_line(b, 100, &line) == LINE_CRLF);
    check_slice(line, S("* OK from elsewhere"));
}
