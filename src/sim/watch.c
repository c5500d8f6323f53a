/* Offline clients: they keep what they know of an INBOX, over crashes too, and come back with
 * QRESYNC. What they know afterwards has to be what is there. */
#include "sim/boxes.h"

#include <stdlib.h>

/* ---- what is known ---- */

static void forget(Watch *w, uint32_t uid)
{
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->list[i].uid != uid) continue;
        memmove(&w->list[i], &w->list[i + 1], (w->count - i - 1) * sizeof *w->list);
        w->count--;
        return;
    }
}

static void know(Talker *t, Watch *w, const Known *k)
{
    uint32_t at = 0;
    while (at < w->count && w->list[at].uid < k->uid)
        at++;
    if (at == w->count || w->list[at].uid != k->uid) {
        if (w->count == WATCHED) talker_failed(t, "more than %d messages", WATCHED);
        memmove(&w->list[at + 1], &w->list[at], (w->count - at) * sizeof *w->list);
        w->count++;
    } else if (k->modseq < w->list[at].modseq) {
        talker_failed(t, "uid %u: MODSEQ went back from %llu to %llu", k->uid,
                      (unsigned long long)w->list[at].modseq, (unsigned long long)k->modseq);
    }
    w->list[at] = *k;
}

static Slice behind(Slice line, Slice what, char end)
{
    size_t at = slice_find_slice(line, what);
    if (at == line.len) return (Slice){0};
    line = slice_from(line, at + what.len);
    return slice_first(line, slice_find(line, end));
}

static void fetched(Talker *t, Watch *w, Slice line)
{
    uint64_t uid, modseq;
    Slice text = behind(line, S("UID "), ' ');
    text = slice_first(text, slice_find(text, ')'));
    if (!slice_to_u64(text, &uid)) talker_failed(t, "FETCH without UID: %.*s", SP(line));
    if (!slice_to_u64(behind(line, S("MODSEQ ("), ')'), &modseq))
        talker_failed(t, "FETCH without MODSEQ: %.*s", SP(line));
    bool flags = slice_find_slice(line, S("FLAGS (")) < line.len;
    Known k = {(uint32_t)uid, flags_read(behind(line, S("FLAGS ("), ')')), modseq};
    for (uint32_t i = 0; !flags && i < w->count; i++) /* the answer to .SILENT */
        if (w->list[i].uid == k.uid) k.flags = w->list[i].flags;
    know(t, w, &k);
}

static void vanished(Talker *t, Watch *w, Slice line)
{
    size_t space = slice_find_last(line, ' ');
    Slice set = slice_from(line, space + 1);
    for (Slice part; slice_cut(&set, ',', &part);) {
        uint64_t first, last;
        Slice begin;
        if (!slice_cut(&part, ':', &begin) || !slice_to_u64(begin, &first))
            talker_failed(t, "%.*s", SP(line));
        if (!part.len || !slice_to_u64(part, &last)) last = first;
        for (uint32_t i = w->count; i--;)
            if (w->list[i].uid >= first && w->list[i].uid <= last) forget(w, w->list[i].uid);
    }
}

static void learn(Talker *t, Watch *w)
{
    for (size_t i = 0; i < t->heard_count; i++) {
        Slice line = t->heard[i].line;
        if (slice_starts(line, S("* VANISHED")))
            vanished(t, w, line);
        else if (slice_find_slice(line, S(" FETCH (")) < line.len)
            fetched(t, w, line);
    }
}

/* ---- coming back ---- */

/* The modseq up to which nothing is missing counts only when all was heard. */
PARKS static bool come_back(Talker *t, Watch *w)
{
    Watch *next = NEW(Watch);
    *next = *w;
    Said said = talker_ask(t, "ENABLE QRESYNC");
    if (said == SAID_OK && w->modseq)
        said = talker_ask(t, "SELECT INBOX (QRESYNC (%u %llu))", w->validity,
                          (unsigned long long)w->modseq);
    else if (said == SAID_OK)
        said = talker_ask(t, "SELECT INBOX");
    bool known = said == SAID_OK;
    if (known) {
        uint64_t modseq = talker_code_number(t, S("HIGHESTMODSEQ"));
        if (w->modseq && talker_code_number(t, S("UIDVALIDITY")) != w->validity)
            talker_failed(t, "another UIDVALIDITY");
        if (modseq < w->modseq)
            talker_failed(t, "HIGHESTMODSEQ went back from %llu to %llu",
                          (unsigned long long)w->modseq, (unsigned long long)modseq);
        learn(t, next);
        next->validity = (uint32_t)talker_code_number(t, S("UIDVALIDITY"));
        if (!w->modseq) {
            known = talker_ask(t, "UID FETCH 1:* (FLAGS MODSEQ)") == SAID_OK;
            if (known) learn(t, next);
        }
        next->modseq = modseq;
    }
    if (known) *w = *next;
    free(next);
    return known;
}

PARKS static bool enter(Talker *t, unsigned account)
{
    if (!talker_login(t, account)) return false;
    if (!client_one_in(t->client, 3)) return true;
    if (talker_ask(t, "COMPRESS DEFLATE") != SAID_OK) return false;
    return stream_start_deflate(t->stream) == OK;
}

/* ---- the work: it changes flags, and looks ---- */

PARKS static bool change(Talker *t, Watch *w)
{
    Buf flags buf_scoped = {0};
    Client *c = t->client;
    if (!w->count) return talker_ask(t, "NOOP") != SAID_NOTHING;
    flags_put(&flags, (uint8_t)(1 + client_below(c, 255)) & (uint8_t)~FLAG_DELETED);
    uint32_t uid = w->list[client_below(c, w->count)].uid;
    Said said = talker_ask(t, "UID STORE %u %sFLAGS%s %.*s", uid, client_one_in(c, 2) ? "+" : "-",
                           client_one_in(c, 2) ? ".SILENT" : "", SP(buf_slice(&flags)));
    return said == SAID_OK;
}

PARKS void watch_client(Client *c)
{
    Watch *watch = &c->w->watches[c->number], *now = NEW(Watch);
    Talker t = {.client = c, .who = "watch"};
    for (unsigned i = 0; i * 3 < c->w->plan.steps; i++) {
        if (!enter(&t, c->number % ACCOUNTS) || !come_back(&t, watch)) continue;
        *now = *watch; /* what is learned from here on may be forgotten with the connection */
        for (unsigned k = client_below(c, 4); k && change(&t, now); k--)
            learn(&t, now);
        if (t.stream && client_one_in(c, 2)) {
            t.may_end = true;
            (void)talker_ask(&t, "LOGOUT");
            t.may_end = false;
        }
        talker_hang_up(&t);
        c->w->done[c->kind]++;
        (void)fiber_sleep(client_below(c, 30));
    }
    free(now);
    talker_done(&t);
}

/* ---- comparing ---- */

/* Read anew, without what was known. */
PARKS static bool read_truth(Talker *t, Watch *truth)
{
    *truth = (Watch){0};
    if (!talker_login(t, t->client->number % ACCOUNTS)) return false;
    return come_back(t, truth);
}

static void compare(Talker *t, const Watch *known, const Watch *truth)
{
    for (uint32_t i = 0; i < MAX(known->count, truth->count); i++) {
        const Known *a = &known->list[i], *b = &truth->list[i];
        if (i >= known->count) talker_failed(t, "uid %u was not told of", b->uid);
        if (i >= truth->count) talker_failed(t, "uid %u is gone without a word", a->uid);
        if (a->uid != b->uid) talker_failed(t, "uid %u is known, uid %u is there", a->uid, b->uid);
        if (a->flags != b->flags || a->modseq != b->modseq)
            talker_failed(t, "uid %u: flags %02x, modseq %llu are known; there are %02x, %llu",
                          a->uid, a->flags, (unsigned long long)a->modseq, b->flags,
                          (unsigned long long)b->modseq);
    }
}

PARKS void verify_watches(World *w)
{
    Watch *truth = NEW(Watch);
    for (unsigned i = 0; i < WATCHES; i++) {
        Client c = {.w = w, .kind = CLIENT_watch, .number = i, .random = w->plan.seed * 8 + i};
        Talker t = {.client = &c, .who = "watch, verifying"};
        bool heard = talker_login(&t, i % ACCOUNTS) && come_back(&t, &w->watches[i]) &&
                     read_truth(&t, truth);
        if (heard)
            compare(&t, &w->watches[i], truth);
        else if (!w->lenient)
            talker_failed(&t, "not heard to the end: %.*s", SP(t.done));
        talker_done(&t);
    }
    free(truth);
}
