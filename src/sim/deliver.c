/* Those who bring mail, by LMTP and by SMTP. */
#include "sim/talker.h"

enum { CHUNK = 700 };

typedef struct {
    Talker t;
    bool lmtp;
    uint32_t token;
    Arrival *arrivals[ACCOUNTS]; /* one for each account that it goes to */
    unsigned count;
    unsigned replies;            /* LMTP: one for each RCPT */
    unsigned reply_of[ACCOUNTS]; /* which one is about this arrival */
} Post;

/* A reply, whole; its code. 0: the connection is gone. */
PARKS static unsigned reply(Post *p)
{
    Slice line;
    for (;;) {
        uint64_t code;
        if (!talker_line(&p->t, &line)) return 0;
        if (line.len < 4 || !slice_to_u64(slice_first(line, 3), &code))
            talker_failed(&p->t, "that is no reply: %.*s", SP(line));
        if (line.at[3] == ' ') return (unsigned)code;
    }
}

/* A NO by a healthy server is a failure. */
PARKS static bool expect(Post *p, unsigned wanted)
{
    unsigned code = reply(p);
    if (code == wanted) return true;
    if (code && !p->t.client->w->lenient) talker_failed(&p->t, "%u, not %u", code, wanted);
    return false;
}

PARKS static bool say(Post *p, unsigned wanted, const char *fmt, ...) PRINTF(3, 4);
PARKS static bool say(Post *p, unsigned wanted, const char *fmt, ...)
{
    Buf line buf_scoped = {0};
    va_list args;
    va_start(args, fmt);
    buf_vprintf(&line, fmt, args);
    va_end(args);
    buf_add(&line, S("\r\n"));
    return talker_send(&p->t, buf_slice(&line)) && expect(p, wanted);
}

PARKS static bool greet(Post *p)
{
    if (p->t.stream) return true;
    arena_reset(&p->t.arena);
    talker_connect(&p->t, p->lmtp ? PORT_LMTP : PORT_SMTP);
    if (expect(p, 220) && say(p, 250, "%s sim.example.net", p->lmtp ? "LHLO" : "EHLO")) return true;
    talker_hang_up(&p->t);
    return false;
}

/* ---- to whom ---- */

static void add(Post *p, unsigned account, unsigned folder)
{
    Arrival *a = arrival_add(p->t.client->w, account, p->token, folder);
    p->reply_of[p->count] = p->replies;
    p->arrivals[p->count++] = a;
}

/* "team" is an alias of the first two accounts. */
PARKS static bool recipients(Post *p)
{
    Client *c = p->t.client;
    bool team = client_one_in(c, 4);
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        unsigned folder = client_one_in(c, 4);
        if (team && i == 1) continue;
        if (team && i == 0) {
            if (!say(p, 250, "RCPT TO:<team@localhost>")) return false;
            add(p, 0, 0);
            add(p, 1, 0);
        } else {
            if (client_one_in(c, 2)) continue;
            if (!say(p, 250, "RCPT TO:<u%05u%s@localhost>", i + 1, folder ? "+Lists" : ""))
                return false;
            add(p, i, folder);
        }
        p->replies++;
    }
    return true;
}

/* ---- the message ---- */

static void stuffed(Buf *out, Slice text)
{
    for (Slice line; slice_cut(&text, '\n', &line);) {
        if (slice_starts(line, S("."))) buf_char(out, '.');
        buf_add(out, line);
        buf_char(out, '\n');
    }
    buf_add(out, S(".\r\n"));
}

PARKS static bool send_chunks(Post *p, Slice text)
{
    while (text.len > CHUNK) {
        Buf chunk buf_scoped = {0};
        size_t len = 1 + client_below(p->t.client, CHUNK);
        buf_printf(&chunk, "BDAT %zu\r\n", len);
        buf_add(&chunk, slice_first(text, len));
        text = slice_from(text, len);
        if (!talker_send(&p->t, buf_slice(&chunk)) || !expect(p, 250)) {
            p->t.cut = true; /* not the last one */
            return false;
        }
    }
    Buf last buf_scoped = {0};
    buf_printf(&last, "BDAT %zu LAST\r\n", text.len);
    buf_add(&last, text);
    return talker_send(&p->t, buf_slice(&last));
}

PARKS static bool send_message(Post *p)
{
    Buf text buf_scoped = {0}, dotted buf_scoped = {0};
    text_put(&text, p->t.client->w, p->token);
    if (client_one_in(p->t.client, 2)) return send_chunks(p, buf_slice(&text));
    if (!say(p, 354, "DATA")) {
        p->t.cut = true; /* nothing of it was sent */
        return false;
    }
    stuffed(&dotted, buf_slice(&text));
    return talker_send(&p->t, buf_slice(&dotted));
}

static void fate_of(Post *p, unsigned from, unsigned to, unsigned code)
{
    for (unsigned i = 0; i < p->count; i++) {
        if (p->reply_of[i] < from || p->reply_of[i] > to) continue;
        bool known = p->arrivals[i]->fate != FATE_UNKNOWN; /* seen meanwhile, perhaps deleted */
        if (code == 250 && !known) p->arrivals[i]->fate = FATE_THERE;
        if (code && code != 250 && !p->t.client->w->lenient)
            talker_failed(&p->t, "token %u was answered %u", p->token, code);
    }
}

PARKS static void deliver(Post *p)
{
    World *w = p->t.client->w;
    for (unsigned i = 0; i < ACCOUNTS; i++)
        if (w->arrivals[i].count + 2 > ARRIVALS) return;
    p->token = ++w->tokens;
    p->count = p->replies = 0;
    arena_reset(&p->t.arena);
    if (!say(p, 250, "MAIL FROM:<sender@example.net>") || !recipients(p) || !p->count) {
        for (unsigned i = 0; i < p->count; i++)
            p->arrivals[i]->fate = FATE_NEVER;
        if (p->t.stream && !say(p, 250, "RSET")) talker_hang_up(&p->t);
        return;
    }
    bool sent = send_message(p);
    for (unsigned i = 0; !sent && p->t.cut && i < p->count; i++)
        p->arrivals[i]->fate = FATE_NEVER;
    if (!sent) {
        talker_hang_up(&p->t);
        return;
    }
    for (unsigned i = 0; i < (p->lmtp ? p->replies : 1); i++)
        fate_of(p, i, p->lmtp ? i : ACCOUNTS, reply(p));
    w->done[p->t.client->kind]++;
}

PARKS static void work(Client *c, bool lmtp)
{
    Post p = {.lmtp = lmtp};
    p.t = (Talker){.client = c, .who = lmtp ? "lmtp" : "smtp"};
    for (unsigned i = 0; i < c->w->plan.steps; i++) {
        if (greet(&p)) deliver(&p);
        if (client_one_in(c, 4)) (void)fiber_sleep(client_below(c, 10));
    }
    if (p.t.stream) (void)say(&p, 221, "QUIT");
    talker_done(&p.t);
}

PARKS void lmtp_client(Client *c)
{
    work(c, true);
}

PARKS void smtp_client(Client *c)
{
    work(c, false);
}
