/* The client of an account with limits, which nobody else uses: what fits is taken and what does
 * not is refused, by whichever way it comes; what the server says is used is what is there. */
#include "sim/talker.h"

#include <stdio.h>
#include <stdlib.h>

enum { ACCOUNT = ACCOUNTS, TRACE_MOST = 1000 /* octets in front of what is delivered */ };

typedef struct {
    Client *c;
    Talker t;
    Limited *ledger;
    Hoard *next; /* the ledger's pending */
    Buf command;
    unsigned done;
} Work;

typedef enum { FITS, FITS_NOT, MAY_FIT } Fitting;

static uint64_t octets_of(const Hoard *h)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < h->count; i++)
        sum += h->held[i].octets;
    return sum;
}

static bool has_room(const Hoard *h, uint64_t octets, uint64_t messages)
{
    uint64_t used = octets_of(h);
    return (!h->octets || used + octets <= h->octets) &&
           (!h->messages || h->count + messages <= h->messages);
}

/* ---- reading it back ---- */

static Slice behind(Slice line, Slice what)
{
    size_t at = slice_find_slice(line, what);
    return slice_from(line, MIN(at + what.len, line.len));
}

static uint64_t number_behind(Slice line, Slice what)
{
    uint64_t n;
    Slice rest = behind(line, what);
    size_t len = 0;
    while (len < rest.len && rest.at[len] >= '0' && rest.at[len] <= '9')
        len++;
    return slice_to_u64(slice_first(rest, len), &n) ? n : 0;
}

/* Flags alone are news: of a STORE whose connection was cut before it was done. */
static void hold(Talker *t, Hoard *h, const Heard *line)
{
    Slice before;
    Held *one = &h->held[h->count];
    if (slice_find_slice(line->line, S("RFC822.SIZE ")) == line->line.len) return;
    if (h->count++ == HOARD) talker_failed(t, "more than %d messages", HOARD);
    *one = (Held){.uid = (uint32_t)number_behind(line->line, S("UID ")),
                  .octets = number_behind(line->line, S("RFC822.SIZE "))};
    if (!text_check(t->client->w, line->literal, &one->token, &before))
        talker_failed(t, "uid %u has other octets than were sent", one->uid);
    if (one->octets != line->literal.len)
        talker_failed(t, "uid %u has %zu octets, not %llu", one->uid, line->literal.len,
                      (unsigned long long)one->octets);
}

/* "octets 4711 of 8000, messages 3 of any number, ..." */
PARKS static bool read_quota(Talker *t, Hoard *h)
{
    Buf said buf_scoped = {0};
    bool cut;
    int code = client_verb(t->client, &cut, &said, "user quota u%05u", ACCOUNT + 1);
    Slice octets = behind(buf_slice(&said), S("octets ")),
          messages = behind(octets, S("messages "));
    if (code) return false;
    uint64_t used = number_behind(octets, S("")), count = number_behind(messages, S(""));
    if (used != octets_of(h) || count != h->count)
        talker_failed(t, "the quota counts %llu octets in %llu messages, there are %llu in %u",
                      (unsigned long long)used, (unsigned long long)count,
                      (unsigned long long)octets_of(h), h->count);
    h->octets = number_behind(slice_first(octets, slice_find(octets, ',')), S(" of "));
    h->messages = number_behind(slice_first(messages, slice_find(messages, ',')), S(" of "));
    return true;
}

PARKS static bool read_all(Talker *t, Hoard *found)
{
    *found = (Hoard){0};
    if (talker_ask(t, "SELECT INBOX") != SAID_OK) return false;
    if (talker_ask(t, "UID FETCH 1:* (UID RFC822.SIZE BODY.PEEK[])") != SAID_OK) return false;
    for (size_t i = 0; i < t->heard_count; i++)
        hold(t, found, &t->heard[i]);
    return read_quota(t, found);
}

static bool is(const Hoard *wanted, const Hoard *found)
{
    if (wanted->octets != found->octets || wanted->messages != found->messages ||
        wanted->count != found->count)
        return false;
    for (uint32_t i = 0; i < found->count; i++) {
        const Held *a = &wanted->held[i], *b = &found->held[i];
        if (a->token != b->token || (a->uid && a->uid != b->uid) ||
            (a->octets && a->octets != b->octets))
            return false;
    }
    return true;
}

static void print(Buf *out, const char *what, const Hoard *h)
{
    buf_printf(out, "; %s: limits %llu, %llu:", what, (unsigned long long)h->octets,
               (unsigned long long)h->messages);
    for (uint32_t i = 0; i < h->count; i++)
        buf_printf(out, " %u/%u/%llu", h->held[i].uid, h->held[i].token,
                   (unsigned long long)h->held[i].octets);
}

/* What is there is `acked`, or what may have been done; it becomes `acked`. */
PARKS static bool settle(Talker *t, Limited *l)
{
    Buf why buf_scoped = {0};
    Hoard found;
    if (!t->stream && !talker_login(t, ACCOUNT)) return false;
    if (!read_all(t, &found)) return false;
    if (!is(&l->acked, &found) && !(l->in_flight && is(&l->pending, &found))) {
        print(&why, "acknowledged", &l->acked);
        if (l->in_flight) print(&why, "in flight", &l->pending);
        print(&why, "found", &found);
        talker_failed(t, "after \"%s\"%.*s", l->what, SP(buf_slice(&why)));
    }
    l->acked = found;
    l->in_flight = false;
    return true;
}

PARKS void verify_limits(World *w)
{
    Client c = {.w = w, .kind = CLIENT_limits, .random = w->plan.seed + w->life};
    Talker t = {.client = &c, .who = "verifying"};
    if (!settle(&t, &w->limited) && !w->lenient)
        talker_failed(&t, "not heard to the end: %.*s", SP(t.done));
    talker_done(&t);
}

/* ---- the operations: SAID_BAD when there was nothing to do ---- */

static void begin(Work *o, Slice what)
{
    snprintf(o->ledger->what, sizeof o->ledger->what, "%.*s", SP(what));
    o->ledger->in_flight = true;
}

/* A command that is done when it fits, and refused when it does not. */
PARKS static Said ask(Work *o, Fitting fitting)
{
    Slice command = buf_slice(&o->command);
    begin(o, slice_first(command, slice_find(command, '\r')));
    Said said = talker_ask_octets(&o->t, command);
    if (said == SAID_NOTHING && o->t.cut) o->ledger->in_flight = false;
    if (said == SAID_OK && fitting == FITS_NOT)
        talker_failed(&o->t, "over the quota, and taken: %s", o->ledger->what);
    bool refused = fitting != FITS && slice_starts(o->t.done, S("NO [OVERQUOTA]"));
    if (said == SAID_NO && refused) {
        o->ledger->in_flight = false;
        return SAID_BAD;
    }
    return said;
}

static Fitting fitting(const Work *o, uint64_t octets, uint64_t messages)
{
    return has_room(&o->ledger->acked, octets, messages) ? FITS : FITS_NOT;
}

PARKS static Said set_limits(Work *o)
{
    static const uint64_t octets[] = {0, 3, 10, 40}, messages[] = {0, 2, 6, 12};
    uint64_t kib = octets[client_below(o->c, 4)], most = messages[client_below(o->c, 4)];
    o->next->octets = kib * 1024;
    o->next->messages = most;
    if (client_one_in(o->c, 2)) {
        begin(o, S("user quota"));
        int code = client_verb(o->c, &o->t.cut, NULL, "user quota u%05u %lluk %llu", ACCOUNT + 1,
                               (unsigned long long)kib, (unsigned long long)most);
        if (o->t.cut) o->ledger->in_flight = false;
        return code < 0 ? SAID_NOTHING : code ? SAID_NO : SAID_OK;
    }
    buf_add(&o->command, S("SETQUOTA \"\" ("));
    if (kib) buf_printf(&o->command, "STORAGE %llu", (unsigned long long)kib);
    if (most) buf_printf(&o->command, "%sMESSAGE %llu", kib ? " " : "", (unsigned long long)most);
    buf_char(&o->command, ')');
    return ask(o, FITS);
}

PARKS static Said append(Work *o)
{
    Buf text buf_scoped = {0};
    uint64_t octets = 0;
    unsigned n = 1 + client_one_in(o->c, 3) * (1 + client_below(o->c, 2));
    if (o->next->count + n > HOARD) return SAID_BAD;
    buf_add(&o->command, S("APPEND INBOX"));
    for (unsigned i = 0; i < n; i++) {
        uint32_t token = ++o->c->w->tokens;
        text.len = 0;
        text_put(&text, o->c->w, token);
        octets += text.len;
        buf_add(&o->command, S(" () "));
        talker_put_literal(&o->command, buf_slice(&text));
        o->next->held[o->next->count++] = (Held){0, token, text.len};
    }
    return ask(o, fitting(o, octets, n));
}

/* UIDs of some, into the command; they are copied to the end, or go. */
PARKS static Said some(Work *o, bool copy)
{
    Hoard *h = o->next, was = *h;
    uint64_t octets = 0, chosen = 0;
    h->count = copy ? was.count : 0;
    for (uint32_t i = 0; i < was.count; i++) {
        bool it = client_one_in(o->c, 3);
        if (it) buf_printf(&o->command, "%s%u", chosen ? "," : "", was.held[i].uid);
        if (it) octets += was.held[i].octets, chosen++;
        if (copy && h->count == HOARD) return SAID_BAD;
        if (it == copy) h->held[h->count++] = was.held[i];
        if (it && copy) h->held[h->count - 1].uid = 0;
    }
    if (!chosen) return SAID_BAD;
    if (copy) buf_add(&o->command, S(" INBOX"));
    return ask(o, copy ? fitting(o, octets, chosen) : FITS);
}

PARKS static Said copy(Work *o)
{
    buf_add(&o->command, S("UID COPY "));
    return some(o, true);
}

PARKS static Said expunge(Work *o)
{
    if (talker_ask(&o->t, "UID STORE 1:* +FLAGS.SILENT (\\Deleted)") != SAID_OK) return SAID_BAD;
    buf_add(&o->command, S("UID EXPUNGE "));
    return some(o, false);
}

/* ---- mail for it, by LMTP ---- */

/* A reply, whole; its code. 0: the connection is gone. */
PARKS static unsigned reply(Talker *t)
{
    Slice line;
    uint64_t code;
    do {
        if (!talker_line(t, &line)) return 0;
        if (line.len < 4 || !slice_to_u64(slice_first(line, 3), &code))
            talker_failed(t, "that is no reply: %.*s", SP(line));
    } while (line.at[3] != ' ');
    return (unsigned)code;
}

PARKS static unsigned say(Talker *t, Slice line)
{
    return talker_send(t, line) ? reply(t) : 0;
}

static void say_message(Buf *out, Slice text)
{
    for (Slice line; slice_cut(&text, '\n', &line);) {
        if (slice_starts(line, S("."))) buf_char(out, '.');
        buf_add(out, line);
        buf_char(out, '\n');
    }
    buf_add(out, S(".\r\n"));
}

/* What the last thing said was answered with. */
PARKS static unsigned post(Talker *t, Slice text)
{
    Buf message buf_scoped = {0}, to buf_scoped = {0};
    buf_printf(&to, "RCPT TO:<u%05u@localhost>\r\n", ACCOUNT + 1);
    Slice before[] = {S("LHLO sim.example.net\r\n"), S("MAIL FROM:<sender@example.net>\r\n"),
                      buf_slice(&to), S("DATA\r\n")};
    talker_connect(t, PORT_LMTP);
    unsigned code = reply(t);
    for (size_t i = 0; i < COUNT(before) && code && code < 400; i++)
        code = say(t, before[i]);
    if (code != 354) {
        t->cut |= !code; /* nothing of it was sent */
        return code;
    }
    say_message(&message, text);
    return say(t, buf_slice(&message));
}

PARKS static Said deliver(Work *o)
{
    Buf text buf_scoped = {0};
    uint32_t token = ++o->c->w->tokens;
    Talker t = {.client = o->c, .who = "for the limited"};
    if (o->next->count == HOARD) return SAID_BAD;
    text_put(&text, o->c->w, token);
    o->next->held[o->next->count++] = (Held){.token = token};
    begin(o, S("a delivery"));
    unsigned code = post(&t, buf_slice(&text));
    if (!code && t.cut) o->ledger->in_flight = false;
    talker_done(&t);
    bool fits = fitting(o, text.len + TRACE_MOST, 1) == FITS;
    if (code == 250 && fitting(o, text.len, 1) == FITS_NOT)
        talker_failed(&o->t, "a delivery over the quota was taken");
    if (code == 250) return SAID_OK;
    if (code && fits && !o->c->w->lenient)
        talker_failed(&o->t, "a delivery that fits was answered %u", code);
    if (code && !o->c->w->unsure) o->ledger->in_flight = false;
    return code ? SAID_BAD : SAID_NOTHING;
}

/* ---- one after the other ---- */

static void acknowledge(Work *o)
{
    o->ledger->acked = *o->next;
    o->ledger->in_flight = false;
    o->c->w->done[o->c->kind]++;
    o->done++;
}

PARKS static bool find_out(Work *o)
{
    (void)fiber_sleep(2000); /* until what is in flight has come to its end */
    for (unsigned tries = 0; tries < 8; tries++) {
        if (settle(&o->t, o->ledger)) return true;
        if (o->c->w->unsure) return false;
    }
    return false;
}

PARKS static bool step(Work *o)
{
    static Said (*const operations[])(Work *) = {set_limits, append,  append,  append,
                                                 copy,       deliver, deliver, expunge};
    o->command.len = 0;
    o->next = &o->ledger->pending;
    if (!settle(&o->t, o->ledger) && !find_out(o)) return false;
    *o->next = o->ledger->acked;
    Said said = operations[client_below(o->c, COUNT(operations))](o);
    if (said == SAID_OK) acknowledge(o);
    if (said == SAID_OK || !o->ledger->in_flight) return true;
    if (o->c->w->unsure) return false; /* the next life shows it */
    if (said == SAID_NO && !o->c->w->lenient)
        talker_failed(&o->t, "\"%s\" was answered %.*s", o->ledger->what, SP(o->t.done));
    if (said != SAID_NOTHING) o->ledger->in_flight = false; /* refused: nothing has changed */
    return find_out(o);
}

PARKS void limits_client(Client *c)
{
    Work *o = NEW(Work);
    *o = (Work){
        .c = c, .ledger = &c->w->limited, .t = {.client = c, .who = "limited"}
    };
    unsigned most = (c->w->plan.steps + 1) / 2;
    for (unsigned tries = 0; o->done < most && tries < 3 * most && step(o); tries++) {
    }
    talker_done(&o->t);
    buf_done(&o->command);
    free(o);
}
