#include "sim/talker.h"

#include <stdio.h>
#include <stdlib.h>

enum { PATIENCE_MS = 15 * 60 * 1000, LINE_MOST = 1 << 20 };

/* ---- the trace ---- */

void talker_trace(Talker *t, const char *side, Slice line)
{
    if (t->client->w->traced)
        fprintf(stderr, "%8lld us %s %u, %s: %s %.*s\n", (long long)now_us(),
                client_names[t->client->kind], t->client->number, t->who, side,
                SP(slice_first(slice_trim(line), TRACE_OCTETS)));
    if (!t->trace) t->trace = mem_zero((size_t)TRACE_LINES * TRACE_OCTETS);
    snprintf(t->trace[t->traced++ % TRACE_LINES], TRACE_OCTETS, "%s %.*s", side,
             SP(slice_first(slice_trim(line), TRACE_OCTETS - 8)));
}

void talker_failed(Talker *t, const char *fmt, ...)
{
    Buf text buf_scoped = {0};
    va_list args;
    for (unsigned i = t->traced > TRACE_LINES ? t->traced - TRACE_LINES : 0; i < t->traced; i++)
        fprintf(stderr, "  %s\n", t->trace[i % TRACE_LINES]);
    va_start(args, fmt);
    buf_vprintf(&text, fmt, args);
    va_end(args);
    world_failed(t->client->w, "%s: %.*s", t->who, SP(buf_slice(&text)));
}

/* ---- connecting ---- */

PARKS void talker_connect_to(Talker *t, const Address *to)
{
    Sock *sock;
    talker_hang_up(t);
    Err err = sock_connect(to, now_ms() + PATIENCE_MS, &sock);
    if (err) talker_failed(t, "connect: %s (%s)", err_name(err), err_story());
    t->stream = stream_new(sock);
    t->box = -1;
    t->cut = t->uid_only = false;
}

PARKS void talker_connect(Talker *t, uint16_t port)
{
    talker_connect_to(t, &(Address){.host = "127.0.0.1", .port = port});
}

void talker_hang_up(Talker *t)
{
    stream_free(t->stream);
    t->stream = NULL;
}

void talker_done(Talker *t)
{
    talker_hang_up(t);
    arena_done(&t->arena);
    free(t->heard);
    free(t->trace);
    t->heard = NULL;
    t->trace = NULL;
    t->heard_room = 0;
}

/* ---- octets ---- */

static bool has_trouble(const Talker *t, Trouble which)
{
    return plan_has(&t->client->w->plan, which);
}

/* A prefix only, or all of it and then nobody who hears the answer. */
PARKS static bool cut_off(Talker *t, Slice octets)
{
    size_t len = client_below(t->client, (uint32_t)octets.len + 1);
    t->cut = len < octets.len;
    stream_put(t->stream, slice_first(octets, len));
    (void)stream_flush(t->stream);
    talker_trace(t, "--", t->cut ? S("cut within") : S("cut behind"));
    if (client_one_in(t->client, 2)) (void)fiber_sleep(client_below(t->client, 20));
    talker_hang_up(t);
    return false;
}

PARKS static void show_fibers(void)
{
    Arena a arena_scoped = {0};
    FiberInfo *list;
    size_t count = fiber_list(&a, &list);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "  loop %u: %s waits for %s since %lld ms\n", list[i].loop, list[i].name,
                list[i].waits_for, (long long)list[i].parked_ms);
}

PARKS static bool lost(Talker *t)
{
    Err err = stream_error(t->stream);
    if (err == ERR_TIMEOUT) show_fibers();
    if (err == ERR_TIMEOUT) talker_failed(t, "no answer for %d minutes", PATIENCE_MS / 60000);
    if (!t->client->w->lenient && !t->may_end)
        talker_failed(t, "the server hung up: %s", err_name(err));
    talker_trace(t, "--", slice_of(err_name(err)));
    talker_hang_up(t);
    return false;
}

PARKS bool talker_send(Talker *t, Slice octets)
{
    if (!t->stream) return false;
    talker_trace(t, "C:", slice_first(octets, slice_find(octets, '\r')));
    t->cut = false;
    if (has_trouble(t, TROUBLE_cut) && !t->client->w->verifying && client_one_in(t->client, 50))
        return cut_off(t, octets);
    stream_put(t->stream, octets);
    return !stream_flush(t->stream) || lost(t);
}

PARKS static bool raw_line(Talker *t, Slice *line)
{
    stream_set_deadline(t->stream, now_ms() + PATIENCE_MS);
    LineEnd end = stream_line(t->stream, LINE_MOST, line);
    if (end == LINE_NONE) return lost(t);
    if (end != LINE_CRLF) talker_failed(t, "a line that ends otherwise than by CRLF");
    return true;
}

PARKS bool talker_line(Talker *t, Slice *line)
{
    Slice raw;
    if (!t->stream) return false;
    if (has_trouble(t, TROUBLE_slow) && client_one_in(t->client, 8))
        (void)fiber_sleep(client_below(t->client, 400));
    if (!raw_line(t, &raw)) return false;
    talker_trace(t, "S:", raw);
    *line = arena_copy(&t->arena, raw);
    return true;
}

PARKS bool talker_lines(Talker *t, Slice *text)
{
    Buf all buf_scoped = {0};
    for (Slice line;;) {
        if (!t->stream || !raw_line(t, &line)) return false;
        if (slice_eq(line, S("."))) break;
        buf_add(&all, slice_starts(line, S(".")) ? slice_from(line, 1) : line);
        buf_add(&all, S("\r\n"));
    }
    *text = arena_copy(&t->arena, buf_slice(&all));
    return true;
}

/* ---- IMAP ---- */

/* How long the literal is that the line ends with: "{n}". */
static bool literal_follows(Slice line, uint64_t *len)
{
    size_t at = slice_find_last(line, '{');
    if (!slice_ends(line, S("}")) || at == line.len) return false;
    Slice number = slice_from(line, at + 1);
    return slice_to_u64(slice_first(number, number.len - 1), len);
}

PARKS static bool read_literal(Talker *t, uint64_t len, Slice *literal)
{
    char *octets = arena_alloc(&t->arena, len + 1);
    if (!stream_read(t->stream, octets, len)) return lost(t);
    *literal = slice(octets, len);
    return true;
}

PARKS static bool hear(Talker *t, Heard *h)
{
    Buf all buf_scoped = {0};
    uint64_t len;
    *h = (Heard){0};
    for (Slice line;;) {
        Slice literal;
        if (!talker_line(t, &line)) return false;
        buf_add(&all, line);
        if (!literal_follows(line, &len)) break;
        if (!read_literal(t, len, &literal)) return false;
        if (!h->literal.at) h->literal = literal;
    }
    h->line = arena_copy(&t->arena, buf_slice(&all));
    return true;
}

/* What stands behind "* 7 " when that is `what`; *n: the number. */
static bool numbered(Slice line, Slice what, uint64_t *n, Slice *rest)
{
    Slice star, number;
    if (!slice_cut(&line, ' ', &star) || !slice_cut(&line, ' ', &number)) return false;
    if (!slice_eq(star, S("*")) || !slice_to_u64(number, n) || !slice_starts(line, what))
        return false;
    *rest = slice_from(line, what.len);
    return true;
}

static void without_numbers(Talker *t, Heard *h)
{
    uint64_t n;
    Slice rest;
    if (numbered(h->line, S("FETCH ("), &n, &rest) || numbered(h->line, S("EXPUNGE"), &n, &rest))
        talker_failed(t, "a message number in spite of UIDONLY: %.*s", SP(h->line));
    if (numbered(h->line, S("UIDFETCH ("), &n, &rest))
        h->line =
            arena_printf(&t->arena, "* 0 FETCH (UID %llu %.*s", (unsigned long long)n, SP(rest));
}

static void keep(Talker *t, Heard *h)
{
    if (t->uid_only) without_numbers(t, h);
    if (t->heard_count == t->heard_room) {
        t->heard_room = t->heard_room * 2 + 16;
        t->heard = mem_grow(t->heard, array_bytes(t->heard_room, sizeof *t->heard));
    }
    t->heard[t->heard_count++] = *h;
}

PARKS Said talker_finish(Talker *t)
{
    Buf tag buf_scoped = {0};
    buf_printf(&tag, "t%u ", t->tag);
    for (Heard h;;) {
        if (!t->stream || !hear(t, &h)) return SAID_NOTHING;
        if (slice_starts(h.line, S("* BYE"))) t->box = -1;
        if (slice_starts(h.line, buf_slice(&tag))) {
            t->done = slice_from(h.line, tag.len);
            break;
        }
        keep(t, &h);
    }
    if (slice_starts(t->done, S("OK"))) return SAID_OK;
    return slice_starts(t->done, S("NO")) ? SAID_NO : SAID_BAD;
}

PARKS Said talker_ask_octets(Talker *t, Slice command)
{
    Buf all buf_scoped = {0};
    arena_reset(&t->arena);
    t->heard_count = 0;
    t->done = (Slice){0};
    buf_printf(&all, "t%u ", ++t->tag);
    buf_add(&all, command);
    buf_add(&all, S("\r\n"));
    return talker_send(t, buf_slice(&all)) ? talker_finish(t) : SAID_NOTHING;
}

PARKS Said talker_ask(Talker *t, const char *fmt, ...)
{
    Buf command buf_scoped = {0};
    va_list args;
    va_start(args, fmt);
    buf_vprintf(&command, fmt, args);
    va_end(args);
    return talker_ask_octets(t, buf_slice(&command));
}

PARKS Said talker_login_as(Talker *t, const char *login, const char *password)
{
    Heard greeting;
    talker_connect(t, PORT_IMAP);
    if (!hear(t, &greeting)) return SAID_NOTHING;
    if (!slice_starts(greeting.line, S("* OK"))) talker_failed(t, "that is no greeting");
    Said said = talker_ask(t, "LOGIN %s %s", login, password);
    if (said == SAID_OK && client_one_in(t->client, 4)) {
        said = talker_ask(t, "ENABLE UIDONLY");
        t->uid_only = said == SAID_OK;
    }
    return said;
}

PARKS bool talker_login(Talker *t, unsigned account)
{
    char login[16];
    snprintf(login, sizeof login, "u%05u", account + 1);
    Said said = talker_login_as(t, login, "secret");
    if (said == SAID_NO || said == SAID_BAD) {
        if (!t->client->w->lenient) talker_failed(t, "LOGIN: %.*s", SP(t->done));
        talker_hang_up(t);
    }
    return said == SAID_OK;
}

void talker_put_literal(Buf *command, Slice octets)
{
    buf_printf(command, "{%zu+}\r\n", octets.len);
    buf_add(command, octets);
}

/* ---- reading answers ---- */

static bool code_in(Slice line, Slice code, Slice *value)
{
    Buf wanted buf_scoped = {0};
    buf_printf(&wanted, "[%.*s ", SP(code));
    size_t at = slice_find_slice(line, buf_slice(&wanted));
    if (at == line.len) return false;
    *value = slice_from(line, at + wanted.len);
    *value = slice_first(*value, slice_find(*value, ']'));
    return true;
}

bool talker_code(const Talker *t, Slice code, Slice *value)
{
    for (size_t i = 0; i < t->heard_count; i++)
        if (code_in(t->heard[i].line, code, value)) return true;
    return code_in(t->done, code, value);
}

uint64_t talker_code_number(const Talker *t, Slice code)
{
    Slice value;
    uint64_t n;
    return talker_code(t, code, &value) && slice_to_u64(value, &n) ? n : 0;
}

uint32_t set_number(Slice set, unsigned n)
{
    for (Slice part; slice_cut(&set, ',', &part);) {
        uint64_t first, last;
        Slice begin;
        if (!slice_cut(&part, ':', &begin) || !slice_to_u64(begin, &first)) return 0;
        if (!part.len || !slice_to_u64(part, &last)) last = first;
        if (n <= last - first) return (uint32_t)(first + n);
        n -= (unsigned)(last - first) + 1;
    }
    return 0;
}
