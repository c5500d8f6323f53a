/* Accounts that are made, get other passwords and are removed by the verbs of the command line, and
 * who logs in to them. The last password acknowledged is right, those before it are wrong; who has
 * been removed cannot come in, and his mail is gone for the next of that name too. */
#include "sim/talker.h"

#include <stdio.h>
#include <stdlib.h>

enum { NO_USER = 67 /* EX_NOUSER */ };

typedef struct {
    Client *c;
    Talker t;
    unsigned number;
    Persona *ledger;
    Person *next; /* the ledger's pending */
} Work;

/* ---- logging in ---- */

typedef enum { IN, OUT, GONE /* the connection, or nobody can tell now */ } Entry;

PARKS static Entry enter(Talker *t, unsigned number, uint32_t password)
{
    char login[16], secret[16];
    snprintf(login, sizeof login, "n%u", number);
    snprintf(secret, sizeof secret, "p%u", password);
    Said said = talker_login_as(t, login, secret);
    if (said == SAID_OK) return IN;
    bool wrong = slice_starts(t->done, S("NO [AUTHENTICATIONFAILED]"));
    if (said != SAID_NOTHING && !wrong && !t->client->w->lenient)
        talker_failed(t, "LOGIN %s %s: %.*s", login, secret, SP(t->done));
    talker_hang_up(t);
    return said == SAID_NO && wrong ? OUT : GONE;
}

PARKS static bool read_inbox(Talker *t, Person *found, uint32_t *validity)
{
    Slice before;
    found->count = 0;
    if (talker_ask(t, "SELECT INBOX") != SAID_OK) return false;
    *validity = (uint32_t)talker_code_number(t, S("UIDVALIDITY"));
    if (talker_ask(t, "UID FETCH 1:* (UID BODY.PEEK[])") != SAID_OK) return false;
    for (size_t i = 0; i < t->heard_count; i++) {
        const Heard *h = &t->heard[i];
        if (slice_find_slice(h->line, S(" FETCH (")) == h->line.len) continue;
        if (found->count == PERSON_MAILS) talker_failed(t, "more messages than were put there");
        if (!text_check(t->client->w, h->literal, &found->tokens[found->count++], &before))
            talker_failed(t, "other octets than were sent");
    }
    return true;
}

static bool has_mail_of(const Person *found, const Person *wanted)
{
    return found->count == wanted->count &&
           !memcmp(found->tokens, wanted->tokens, found->count * sizeof *found->tokens);
}

/* ---- what holds ---- */

/* He is in, by a password of `as`: then all else of it holds, too. */
PARKS static bool settle_in(Talker *t, Persona *p, const Person *as)
{
    Person found = *as;
    uint32_t validity;
    if (!read_inbox(t, &found, &validity)) return false;
    bool pending = p->in_flight && p->pending.exists && has_mail_of(&found, &p->pending) &&
                   p->pending.password == as->password;
    if (!pending && !(p->acked.exists && has_mail_of(&found, &p->acked)))
        talker_failed(t, "after \"%s\": %u messages, not %u", p->what, found.count, p->acked.count);
    if (p->validity && validity != p->validity) talker_failed(t, "another UIDVALIDITY");
    if (validity <= p->newer_than)
        talker_failed(t, "UIDVALIDITY %u, and %u of the one of that name before him", validity,
                      p->newer_than);
    p->validity = validity;
    p->acked = found;
    p->in_flight = false;
    return true;
}

static void is_removed(Persona *p)
{
    p->acked = (Person){.password = MAX(p->acked.password, p->pending.password)};
    p->in_flight = false;
    p->newer_than = MAX(p->newer_than, p->validity);
    p->validity = 0;
}

/* Nobody gets in: half made or half removed. The administrator removes the rest. */
PARKS static bool remove_rest(Talker *t, unsigned number, Persona *p)
{
    bool cut;
    int code = client_verb(t->client, &cut, NULL, "user remove n%u", number);
    if (code != 0 && code != NO_USER) {
        if (!t->client->w->lenient && !cut) talker_failed(t, "user remove n%u: %d", number, code);
        return false;
    }
    is_removed(p);
    return true;
}

/* False: it cannot be told now. */
PARKS static bool settle(Talker *t, unsigned number, Persona *p)
{
    const Person states[] = {p->acked, p->pending};
    for (unsigned i = 0; i < (p->in_flight ? 2 : 1); i++) {
        if (!states[i].exists ||
            (i && states[0].exists && states[0].password == states[1].password))
            continue;
        Entry entry = enter(t, number, states[i].password);
        if (entry == IN) return settle_in(t, p, &states[i]);
        if (entry == GONE) return false;
        if (!p->in_flight)
            talker_failed(t, "after \"%s\": n%u cannot log in with p%u", p->what, number,
                          states[i].password);
    }
    if (p->in_flight && p->acked.exists && p->pending.exists)
        talker_failed(t, "\"%s\" is half done: no password is right", p->what);
    return p->in_flight ? remove_rest(t, number, p) : true;
}

/* Who has an old password, or is removed, stays outside. */
PARKS static void try_old(Talker *t, unsigned number, const Persona *p)
{
    uint32_t old = p->acked.password - p->acked.exists;
    if (!p->acked.password || p->in_flight || !old) return;
    if (enter(t, number, old) == IN)
        talker_failed(t, "after \"%s\": n%u logged in with p%u", p->what, number, old);
}

PARKS void verify_persons(World *w)
{
    for (unsigned i = 0; i < PERSONS; i++) {
        Client c = {.w = w, .kind = CLIENT_persons, .number = i, .random = w->plan.seed + w->life};
        Talker t = {.client = &c, .who = "verifying"};
        if (!settle(&t, i, &w->persons[i]) && !w->lenient)
            talker_failed(&t, "not heard to the end: %.*s", SP(t.done));
        try_old(&t, i, &w->persons[i]);
        talker_done(&t);
    }
}

/* ---- the operations: SAID_BAD when there is nothing to do ---- */

PARKS static Said verb(Work *o, const char *what, uint32_t password)
{
    char given[16] = "";
    if (password) snprintf(given, sizeof given, " p%u", password);
    snprintf(o->ledger->what, sizeof o->ledger->what, "user %s n%u%s", what, o->number, given);
    o->ledger->in_flight = true;
    int code = client_verb(o->c, &o->t.cut, NULL, "%s", o->ledger->what);
    if (o->t.cut) o->ledger->in_flight = false;
    return code < 0 ? SAID_NOTHING : code ? SAID_NO : SAID_OK;
}

PARKS static Said add(Work *o)
{
    if (o->next->exists) return SAID_BAD;
    *o->next = (Person){.exists = true, .password = o->next->password + 1};
    return verb(o, "add", o->next->password);
}

PARKS static Said set_password(Work *o)
{
    if (!o->next->exists) return SAID_BAD;
    return verb(o, "password", ++o->next->password);
}

PARKS static Said append(Work *o)
{
    Buf text buf_scoped = {0}, command buf_scoped = {0};
    if (!o->next->exists || o->next->count == PERSON_MAILS) return SAID_BAD;
    uint32_t token = ++o->c->w->tokens;
    text_put(&text, o->c->w, token);
    buf_add(&command, S("APPEND INBOX () "));
    talker_put_literal(&command, buf_slice(&text));
    o->next->tokens[o->next->count++] = token;
    if (enter(&o->t, o->number, o->next->password) != IN) return SAID_BAD;
    snprintf(o->ledger->what, sizeof o->ledger->what, "APPEND of %u", token);
    o->ledger->in_flight = true;
    Said said = talker_ask_octets(&o->t, buf_slice(&command));
    if (said == SAID_NOTHING && o->t.cut) o->ledger->in_flight = false;
    return said;
}

/* Who is still there when he is removed can do nothing more. */
PARKS static void linger(Talker *t)
{
    t->may_end = true;
    Said said = talker_ask(t, "UID FETCH 1:* (UID BODY.PEEK[])");
    for (size_t i = 0; said == SAID_OK && i < t->heard_count; i++)
        if (t->heard[i].literal.len) talker_failed(t, "reads mail of an account that was removed");
    if (t->stream && talker_ask(t, "APPEND INBOX () {9+}\r\nA: b\r\n\r\nc") == SAID_OK)
        talker_failed(t, "puts mail where nobody is");
}

PARKS static Said remove_person(Work *o)
{
    Talker old = {.client = o->c, .who = "lingering"};
    if (!o->next->exists) return SAID_BAD;
    bool lingers = client_one_in(o->c, 2) && enter(&old, o->number, o->next->password) == IN &&
                   talker_ask(&old, "SELECT INBOX") == SAID_OK;
    *o->next = (Person){.password = o->next->password};
    Said said = verb(o, "remove", 0);
    if (said == SAID_OK && lingers && old.stream) linger(&old);
    talker_done(&old);
    return said;
}

/* ---- one after the other ---- */

PARKS static bool find_out(Work *o)
{
    (void)fiber_sleep(2000); /* until what is in flight has come to its end */
    for (unsigned tries = 0; tries < 8; tries++) {
        if (settle(&o->t, o->number, o->ledger)) return true;
        if (o->c->w->unsure) return false;
    }
    return false;
}

static void acknowledge(Work *o)
{
    Persona *p = o->ledger;
    bool removed = p->acked.exists && !p->pending.exists;
    p->acked = p->pending;
    p->in_flight = false;
    if (removed) is_removed(p);
    o->c->w->done[o->c->kind]++;
}

PARKS static bool step(Work *o)
{
    static Said (*const operations[])(Work *) = {add,          add,    set_password,
                                                 set_password, append, remove_person};
    o->number = client_below(o->c, PERSONS);
    o->ledger = &o->c->w->persons[o->number];
    o->next = &o->ledger->pending;
    if (o->ledger->in_flight && !find_out(o)) return false;
    *o->next = o->ledger->acked;
    Said said = operations[client_below(o->c, COUNT(operations))](o);
    if (said == SAID_OK) acknowledge(o);
    if (!o->ledger->in_flight) {
        if (client_one_in(o->c, 3)) try_old(&o->t, o->number, o->ledger);
        return true;
    }
    if (o->c->w->unsure) return false; /* the next life shows it */
    if (said == SAID_NO && !o->c->w->lenient)
        talker_failed(&o->t, "\"%s\" was answered NO", o->ledger->what);
    return find_out(o);
}

PARKS void persons_client(Client *c)
{
    Work *o = NEW(Work);
    *o = (Work){
        .c = c, .t = {.client = c, .who = "person"}
    };
    for (unsigned i = 0; i < c->w->plan.steps && step(o); i++) {
    }
    talker_done(&o->t);
    free(o);
}
