/* Those who fetch mail by POP3: read some, delete some of those, and quit, or do not. */
#include "sim/talker.h"

#include <stdlib.h>

enum { MARKED_MOST = 20 };

typedef struct {
    Talker t;
    unsigned account;
    uint32_t messages;
    uint64_t marked_numbers; /* by number modulo 64 */
    Arrival *marked[MARKED_MOST];
    unsigned marked_count;
} Fetch;

/* +OK; what stands behind it. */
PARKS static bool ok(Fetch *f, Slice *rest)
{
    Slice line;
    if (!talker_line(&f->t, &line)) return false;
    if (rest) *rest = slice_from(line, 4);
    if (slice_starts(line, S("+OK"))) return true;
    if (!slice_starts(line, S("-ERR"))) talker_failed(&f->t, "that is no answer");
    if (!f->t.client->w->lenient && slice_find_slice(line, S("IN-USE")) == line.len)
        talker_failed(&f->t, "%.*s", SP(line));
    return false;
}

PARKS static bool say(Fetch *f, Slice *rest, const char *fmt, ...) PRINTF(3, 4);
PARKS static bool say(Fetch *f, Slice *rest, const char *fmt, ...)
{
    Buf line buf_scoped = {0};
    va_list args;
    va_start(args, fmt);
    buf_vprintf(&line, fmt, args);
    va_end(args);
    buf_add(&line, S("\r\n"));
    return talker_send(&f->t, buf_slice(&line)) && ok(f, rest);
}

PARKS static bool enter(Fetch *f)
{
    Slice stat = {0}, count;
    uint64_t n;
    arena_reset(&f->t.arena);
    f->marked_count = 0;
    talker_connect(&f->t, PORT_POP3);
    if (!ok(f, NULL) || !say(f, NULL, "USER u%05u", f->account + 1) ||
        !say(f, NULL, "PASS secret") || !say(f, &stat, "STAT"))
        return false;
    if (!slice_cut(&stat, ' ', &count) || !slice_to_u64(count, &n))
        talker_failed(&f->t, "that is no STAT");
    f->messages = (uint32_t)n;
    return true;
}

/* Reads one; which it was. */
PARKS static Arrival *retrieve(Fetch *f, uint32_t number)
{
    Slice text, before;
    uint32_t token;
    World *w = f->t.client->w;
    if (!say(f, NULL, "RETR %u", number) || !talker_lines(&f->t, &text)) return NULL;
    if (!text_check(w, text, &token, &before))
        talker_failed(&f->t, "message %u has other octets than were sent", number);
    arrival_seen(w, f->account, token, 0);
    return arrival_find(w, f->account, token);
}

static bool is_marked(const Fetch *f, const Arrival *a)
{
    for (unsigned i = 0; i < f->marked_count; i++)
        if (f->marked[i] == a) return true;
    return false;
}

PARKS static bool work(Fetch *f)
{
    Client *c = f->t.client;
    for (unsigned i = 0; i < 4 && f->messages; i++) {
        uint32_t number = 1 + client_below(c, f->messages);
        if (f->marked_count == MARKED_MOST) break;
        arena_reset(&f->t.arena);
        if (f->marked_numbers >> (number % 64) & 1) continue;
        Arrival *a = retrieve(f, number);
        if (!a) return false;
        if (a->fate != FATE_THERE || is_marked(f, a) || client_one_in(c, 3)) continue;
        if (!say(f, NULL, "DELE %u", number)) return false;
        f->marked_numbers |= UINT64_C(1) << (number % 64);
        f->marked[f->marked_count++] = a;
    }
    return true;
}

static void fates(Fetch *f, Fate fate)
{
    World *w = f->t.client->w;
    if (fate == FATE_GOING) w->groups++;
    for (unsigned i = 0; i < f->marked_count; i++) {
        f->marked[i]->fate = (uint8_t)fate;
        f->marked[i]->group = w->groups;
    }
}

PARKS static void leave(Fetch *f)
{
    Client *c = f->t.client;
    if (client_one_in(c, 5)) { /* no QUIT, no deletion: RFC 1939 6 */
        talker_hang_up(&f->t);
        return;
    }
    if (client_one_in(c, 6)) {
        if (!say(f, NULL, "RSET")) return;
        f->marked_count = 0;
    }
    fates(f, FATE_GOING);
    f->t.may_end = true;
    bool gone = say(f, NULL, "QUIT");
    if (gone)
        fates(f, FATE_GONE);
    else if (f->t.cut)
        fates(f, FATE_THERE);
    f->t.may_end = false;
    c->w->done[c->kind]++;
}

PARKS void pop3_client(Client *c)
{
    Fetch *f = NEW(Fetch); /* a stack is small */
    f->t = (Talker){.client = c, .who = "pop3"};
    f->account = c->number;
    for (unsigned i = 0; i * 4 < c->w->plan.steps; i++) {
        f->marked_numbers = 0;
        if (enter(f) && work(f)) leave(f);
        talker_hang_up(&f->t);
        (void)fiber_sleep(client_below(c, 30));
    }
    talker_done(&f->t);
    free(f);
}
