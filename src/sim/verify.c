/* What has to hold after each recovery: over IMAP, as a client sees it, against the ledger. */
#include "sim/boxes.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const folders[] = {"INBOX", "Lists"};

static void doing(World *w, const char *what)
{
    snprintf(w->doing, sizeof w->doing, "%s", what);
}

/* ---- mailboxes of one client ---- */

PARKS void verify_boxes(World *w)
{
    for (unsigned i = 0; i < OWNS; i++) {
        Client c = {.w = w, .kind = CLIENT_boxes, .number = i, .random = w->plan.seed + w->life};
        Talker t = {.client = &c, .who = "verifying"};
        if (!talker_login(&t, own_account(i)) || !own_settle(&t, i, w->owns[i].in_flight))
            if (!w->lenient) talker_failed(&t, "not heard to the end: %.*s", SP(t.done));
        talker_done(&t);
    }
}

/* ---- what was sent ---- */

typedef struct {
    Talker t;
    unsigned account;
    uint8_t times[ARRIVALS];
} Reading;

static void count_mail(Reading *r, unsigned folder, const Heard *h)
{
    World *w = r->t.client->w;
    Slice before, line = h->line;
    uint32_t token;
    uint64_t uid;
    size_t at = slice_find_slice(line, S(" FETCH (UID "));
    if (at == line.len) return;
    line = slice_from(line, at + 12);
    if (!slice_to_u64(slice_first(line, slice_find(line, ' ')), &uid)) return;
    if (!text_check(w, h->literal, &token, &before))
        talker_failed(&r->t, "uid %u has other octets than were sent", (unsigned)uid);
    if (slice_find_slice(before, S("Return-Path: <sender@example.net>\r\n")) == before.len ||
        slice_find_slice(before, S("\r\nReceived: ")) == before.len)
        talker_failed(&r->t, "token %u has no trace in front: %.*s", token, SP(before));
    arrival_seen(w, r->account, token, (uint32_t)uid);
    Arrival *a = arrival_find(w, r->account, token);
    if (a->folder != folder) talker_failed(&r->t, "token %u is in another folder", token);
    if (r->times[a - w->arrivals[r->account].list]++)
        talker_failed(&r->t, "token %u is there twice", token);
}

PARKS static bool read_folder(Reading *r, unsigned folder)
{
    Told now = {0}, *told = &r->t.client->w->arrivals[r->account].told[folder];
    Said said = talker_ask(&r->t, "EXAMINE %s", folders[folder]);
    if (said == SAID_NO && folder && !told->validity) return true; /* nothing came there yet */
    if (said != SAID_OK) return false;
    now.validity = (uint32_t)talker_code_number(&r->t, S("UIDVALIDITY"));
    now.uid_next = (uint32_t)talker_code_number(&r->t, S("UIDNEXT"));
    now.modseq = talker_code_number(&r->t, S("HIGHESTMODSEQ"));
    if (told->validity && now.validity != told->validity)
        talker_failed(&r->t, "another UIDVALIDITY");
    if (now.uid_next < told->uid_next || now.modseq < told->modseq)
        talker_failed(&r->t, "UIDNEXT or HIGHESTMODSEQ went back");
    *told = now;
    if (talker_ask(&r->t, "UID FETCH 1:* (UID BODY.PEEK[])") != SAID_OK) return false;
    for (size_t i = 0; i < r->t.heard_count; i++)
        count_mail(r, folder, &r->t.heard[i]);
    return true;
}

/* All of a group is gone, or none. */
static void settle_group(Reading *r, uint32_t group)
{
    Arrivals *all = &r->t.client->w->arrivals[r->account];
    unsigned there = 0, gone = 0;
    for (unsigned i = 0; i < all->count; i++) {
        Arrival *a = &all->list[i];
        if (a->fate != FATE_GOING || a->group != group) continue;
        if (r->times[i])
            there++;
        else
            gone++;
    }
    if (there && gone)
        talker_failed(&r->t, "QUIT is half done: %u are gone, %u are there", gone, there);
    for (unsigned i = 0; i < all->count; i++)
        if (all->list[i].fate == FATE_GOING && all->list[i].group == group)
            all->list[i].fate = there ? FATE_THERE : FATE_GONE;
}

static void settle(Reading *r)
{
    Arrivals *all = &r->t.client->w->arrivals[r->account];
    for (unsigned i = 0; i < all->count; i++) {
        Arrival *a = &all->list[i];
        if (a->fate == FATE_GOING) settle_group(r, a->group);
        if (a->fate == FATE_UNKNOWN) a->fate = FATE_NEVER;
        if (a->fate == FATE_THERE && !r->times[i])
            talker_failed(&r->t, "token %u was acknowledged and is not there", a->token);
    }
}

PARKS void verify_arrivals(World *w)
{
    Reading *r = NEW(Reading);
    for (unsigned account = 0; account < ACCOUNTS; account++) {
        Client c = {.w = w, .kind = CLIENT_lmtp, .random = w->plan.seed + w->life};
        *r = (Reading){
            .t = {.client = &c, .who = "counting"},
              .account = account
        };
        if (talker_login(&r->t, account) && read_folder(r, 0) && read_folder(r, 1))
            settle(r);
        else if (!w->lenient)
            talker_failed(&r->t, "not heard to the end: %.*s", SP(r->t.done));
        talker_done(&r->t);
    }
    free(r);
}

/* ---- on a damaged disk ---- */

PARKS static void read_one(Talker *t, uint32_t uid)
{
    Slice before;
    uint32_t token;
    Said said = talker_ask(t, "UID FETCH %u BODY.PEEK[]", uid);
    if (said == SAID_NOTHING || said == SAID_BAD) talker_failed(t, "a damaged message ends it");
    for (size_t i = 0; i < t->heard_count; i++) {
        const Heard *h = &t->heard[i];
        if (slice_find_slice(h->line, S(" FETCH (")) == h->line.len || !h->literal.at) continue;
        if (!text_check(t->client->w, h->literal, &token, &before))
            talker_failed(t, "uid %u has other octets than were sent", uid);
    }
}

PARKS static void read_mailbox(Talker *t, Slice name)
{
    Arena a arena_scoped = {0};
    uint32_t *uids = arena_array(&a, uint32_t, ARRIVALS), count = 0;
    if (talker_ask(t, "EXAMINE %.*s", SP(name)) != SAID_OK) return;
    if (talker_ask(t, "UID FETCH 1:* (UID)") != SAID_OK) return;
    for (size_t i = 0; i < t->heard_count && count < ARRIVALS; i++) {
        uint64_t uid;
        Slice line = t->heard[i].line;
        size_t at = slice_find_slice(line, S(" FETCH (UID "));
        if (at == line.len) continue;
        line = slice_from(line, at + 12);
        if (slice_to_u64(slice_first(line, slice_find(line, ')')), &uid))
            uids[count++] = (uint32_t)uid;
    }
    for (uint32_t i = 0; i < count; i++)
        read_one(t, uids[i]);
}

PARKS static void read_account(World *w, unsigned account)
{
    Client c = {.w = w, .kind = CLIENT_boxes, .random = w->plan.seed};
    Talker t = {.client = &c, .who = "reading"};
    Arena a arena_scoped = {0};
    Slice names[64];
    size_t count = 0;
    if (!talker_login(&t, account)) { /* what the account begins with was damaged */
        if (!slice_starts(t.done, S("NO "))) talker_failed(&t, "LOGIN");
        talker_done(&t);
        return;
    }
    if (talker_ask(&t, "LIST \"\" *") != SAID_OK) talker_failed(&t, "LIST");
    for (size_t i = 0; i < t.heard_count && count < COUNT(names); i++) {
        Slice line = t.heard[i].line;
        if (!slice_starts(line, S("* LIST"))) continue;
        names[count++] = arena_copy(&a, slice_from(line, slice_find_last(line, ' ') + 1));
    }
    for (size_t i = 0; i < count; i++)
        read_mailbox(&t, names[i]);
    talker_done(&t);
}

PARKS void verify_damaged(World *w)
{
    w->verifying = true;
    w->lenient = true; /* whatever is found */
    doing(w, "verify the damaged");
    for (unsigned i = 0; i < ACCOUNTS; i++)
        read_account(w, i);
    verify_recount(w);
    w->verified++;
}

/* ---- all ---- */

PARKS void verify(World *w)
{
    bool lenient = w->lenient;
    w->lenient = false; /* reading works */
    w->verifying = true;
    doing(w, "verify arrivals");
    verify_arrivals(w);
    doing(w, "verify boxes");
    verify_boxes(w);
    doing(w, "verify watches");
    verify_watches(w);
    doing(w, "verify limits");
    verify_limits(w);
    doing(w, "verify persons");
    verify_persons(w);
    doing(w, "recount");
    verify_recount(w);
    w->verifying = false;
    w->lenient = lenient;
    w->verified++;
}
