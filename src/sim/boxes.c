/* The client of an Own: one operation after the other, by the owner or by a guest, each written
 * down in the ledger before it is sent and after it was answered. */
#include "sim/boxes.h"

#include <stdio.h>

enum { GENERATIONS = 200, FEW = 16 };

typedef struct {
    Client *c;
    unsigned own;
    Own *ledger;
    Talker owner, guest;
    Talker *by, *latest; /* who does this one, who did the last one */
    Buf command;
    unsigned done;
    Boxes *next; /* the ledger's pending */
} Work;

/* ---- beginning and ending an operation ---- */

/* From here on the server may do it. */
PARKS static Said ask(Work *o)
{
    snprintf(o->ledger->what, sizeof o->ledger->what, "%.*s",
             SP(slice_first(buf_slice(&o->command), slice_find(buf_slice(&o->command), '\r'))));
    o->ledger->in_flight = true;
    o->latest = o->by;
    Said said = talker_ask_octets(o->by, buf_slice(&o->command));
    if (said == SAID_NOTHING && o->by->cut) o->ledger->in_flight = false;
    return said;
}

static void acknowledge(Work *o)
{
    o->ledger->acked = *o->next;
    o->ledger->in_flight = false;
    o->c->w->done[o->c->kind]++;
    o->done++;
}

/* UIDs as "APPENDUID validity set" told them. */
static void told_uids(Work *o, Slice code, Box *box, uint32_t first)
{
    Slice value, validity;
    uint64_t n;
    if (!talker_code(o->by, code, &value) || !slice_cut(&value, ' ', &validity) ||
        !slice_to_u64(validity, &n))
        talker_failed(o->by, "no %.*s", SP(code));
    if (box->validity && n != box->validity) talker_failed(o->by, "another UIDVALIDITY");
    size_t source = slice_find(value, ' ');
    if (source < value.len) value = slice_from(value, source + 1);
    for (uint32_t i = first; i < box->count; i++) {
        box->mails[i].uid = set_number(value, i - first);
        if (!box->mails[i].uid) talker_failed(o->by, "too few UIDs");
    }
}

static void say(Work *o, const char *fmt, ...) PRINTF(2, 3);
static void say(Work *o, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    buf_vprintf(&o->command, fmt, args);
    va_end(args);
}

static void say_name(Work *o, unsigned box)
{
    if (o->by == &o->guest) say(o, "Shared/u%05u/", own_account(o->own) + 1);
    box_name(&o->command, o->own, box, o->next->boxes[box].generation);
}

/* ---- choosing ---- */

static uint32_t below(Work *o, uint32_t n)
{
    return client_below(o->c, n);
}

static unsigned any_box(Work *o, bool exists)
{
    unsigned first = below(o, BOXES);
    for (unsigned i = 0; i < BOXES; i++)
        if (o->next->boxes[(first + i) % BOXES].exists == exists) return (first + i) % BOXES;
    return BOXES;
}

static uint8_t any_flags(Work *o)
{
    uint32_t few = below(o, 256);
    uint8_t flags = (uint8_t)(few & below(o, 256));
    return o->by == &o->guest ? flags & (uint8_t)~FLAG_SEEN : flags; /* \Seen is each user's own */
}

static void choose_who(Work *o, unsigned box)
{
    bool guest = o->next->boxes[box].rights == RIGHTS_WORK && o->guest.stream && below(o, 3) == 0;
    o->by = guest ? &o->guest : &o->owner;
}

/* Some messages, as bits by index; their UIDs are put into the command. */
static uint32_t some(Work *o, const Box *box)
{
    uint32_t chosen = 0;
    for (uint32_t i = 0; i < box->count; i++)
        if (below(o, 3) == 0) chosen |= 1u << i;
    if (!chosen && box->count) chosen = 1u << below(o, box->count);
    const char *comma = "";
    for (uint32_t i = 0; i < box->count; i++) {
        if (!(chosen >> i & 1)) continue;
        say(o, "%s%u", comma, box->mails[i].uid);
        comma = ",";
    }
    return chosen;
}

static void drop(Box *box, uint32_t chosen)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < box->count; i++)
        if (!(chosen >> i & 1)) box->mails[kept++] = box->mails[i];
    box->count = kept;
}

/* ---- the operations; each returns false when there is nothing to do ---- */

/* What the other connection did a session sees when it may be told of it. */
PARKS static bool select_box(Work *o, unsigned box)
{
    if (o->by->box == (int)box && o->by->stream)
        return o->by == o->latest || talker_ask(o->by, "NOOP") == SAID_OK;
    o->command.len = 0;
    say(o, "SELECT ");
    say_name(o, box);
    Said said = talker_ask_octets(o->by, buf_slice(&o->command));
    o->command.len = 0;
    if (said == SAID_OK) {
        o->by->box = (int)box;
        return true;
    }
    if (said != SAID_NOTHING && !o->c->w->lenient)
        talker_failed(o->by, "SELECT: %.*s", SP(o->by->done));
    return false;
}

PARKS static bool leave_box(Talker *t, unsigned box)
{
    if (!t->stream || t->box != (int)box) return true;
    t->box = -1;
    return talker_ask(t, "UNSELECT") != SAID_NOTHING;
}

static void say_message(Work *o, Box *box, uint8_t flags)
{
    Buf text buf_scoped = {0};
    uint32_t token = ++o->c->w->tokens;
    text_put(&text, o->c->w, token);
    say(o, " ");
    flags_put(&o->command, flags);
    say(o, " ");
    talker_put_literal(&o->command, buf_slice(&text));
    box->mails[box->count++] = (Mail){.token = token, .flags = flags};
}

PARKS static Said append(Work *o)
{
    unsigned at = any_box(o, true);
    if (at == BOXES) return SAID_BAD;
    Box *box = &o->next->boxes[at];
    uint32_t n = below(o, 4) ? 1 : 1 + below(o, 4), first = box->count;
    if (box->count + n > FEW) return SAID_BAD;
    choose_who(o, at);
    say(o, "APPEND ");
    say_name(o, at);
    while (n--)
        say_message(o, box, any_flags(o));
    Said said = ask(o);
    if (said == SAID_OK) told_uids(o, S("APPENDUID"), box, first);
    return said;
}

PARKS static Said store(Work *o)
{
    unsigned at = any_box(o, true), how = below(o, 3);
    if (at == BOXES || !o->next->boxes[at].count) return SAID_BAD;
    Box *box = &o->next->boxes[at];
    choose_who(o, at);
    if (!select_box(o, at)) return SAID_BAD;
    say(o, "UID STORE ");
    uint32_t chosen = some(o, box);
    uint8_t flags = any_flags(o);
    if (o->by == &o->guest) how = how == 2 ? 0 : how;
    say(o, " %sFLAGS%s ", (const char *[]){"+", "-", ""}[how], below(o, 2) ? ".SILENT" : "");
    flags_put(&o->command, flags);
    for (uint32_t i = 0; i < box->count; i++) {
        Mail *m = &box->mails[i];
        if (!(chosen >> i & 1)) continue;
        m->flags = (uint8_t)(how == 0 ? m->flags | flags : how == 1 ? m->flags & ~flags : flags);
    }
    return ask(o);
}

PARKS static Said copy_or_move(Work *o)
{
    unsigned from = any_box(o, true), to = from;
    for (unsigned tries = 0; to == from && tries < 8; tries++)
        to = any_box(o, true);
    if (from == BOXES || from == to || !o->next->boxes[from].count) return SAID_BAD;
    Box *a = &o->next->boxes[from], *b = &o->next->boxes[to];
    bool move = below(o, 3);
    o->by = &o->owner;
    if (!select_box(o, from)) return SAID_BAD;
    say(o, "UID %s ", move ? "MOVE" : "COPY");
    uint32_t chosen = some(o, a), first = b->count;
    say(o, " ");
    say_name(o, to);
    for (uint32_t i = 0; i < a->count; i++) {
        if (!(chosen >> i & 1)) continue;
        if (b->count == FEW) return SAID_BAD;
        b->mails[b->count] = a->mails[i];
        b->mails[b->count++].uid = 0;
    }
    if (move) drop(a, chosen);
    Said said = ask(o);
    if (said == SAID_OK) told_uids(o, S("COPYUID"), b, first);
    return said;
}

/* Those of which there is no other copy can be brought back. */
static void note_gone(Work *o, unsigned at, uint32_t chosen)
{
    for (uint32_t i = 0; i < o->next->boxes[at].count; i++) {
        const Mail *m = &o->next->boxes[at].mails[i];
        unsigned copies = 0;
        for (unsigned b = 0; b < BOXES; b++)
            for (uint32_t k = 0; k < o->next->boxes[b].count; k++)
                copies += o->next->boxes[b].mails[k].token == m->token;
        if (copies == 1 && chosen >> i & 1)
            o->next->gone[o->next->gone_next++ % GONES] = (Gone){m->token, m->flags, (uint8_t)at};
    }
}

static void forget_gone(Boxes *boxes, unsigned at, uint32_t token)
{
    for (unsigned i = 0; i < GONES; i++)
        if (boxes->gone[i].box == at && (!token || boxes->gone[i].token == token))
            boxes->gone[i].token = 0;
}

/* It goes back to where it was, under another uid, and without \Deleted. */
PARKS static Said bring_back(Work *o)
{
    Gone gone = o->next->gone[below(o, GONES)];
    Box *box = &o->next->boxes[gone.box];
    if (!world_keeps(o->c->w) || !gone.token || !box->exists || box->count >= FEW) return SAID_BAD;
    box->mails[box->count++] = (Mail){0, gone.token, gone.flags & (uint8_t)~FLAG_DELETED};
    forget_gone(o->next, gone.box, gone.token);
    snprintf(o->ledger->what, sizeof o->ledger->what, "undelete %u", gone.token);
    o->by = &o->owner;
    o->latest = NULL;
    o->ledger->in_flight = true;
    int code =
        client_verb(o->c, &o->owner.cut, NULL, "undelete u%05u --message-id <%u.%llu@sim>",
                    own_account(o->own) + 1, gone.token, (unsigned long long)o->c->w->plan.seed);
    if (o->owner.cut) o->ledger->in_flight = false;
    if (code) return code < 0 ? SAID_NOTHING : SAID_NO;
    return SAID_OK;
}

PARKS static Said expunge(Work *o)
{
    unsigned at = any_box(o, true);
    if (at == BOXES) return SAID_BAD;
    Box *box = &o->next->boxes[at];
    uint32_t deleted = 0;
    for (uint32_t i = 0; i < box->count; i++)
        if (box->mails[i].flags & FLAG_DELETED) deleted |= 1u << i;
    if (!deleted) return SAID_BAD;
    choose_who(o, at);
    if (!select_box(o, at)) return SAID_BAD;
    if (below(o, 2)) {
        say(o, "UID EXPUNGE ");
        deleted &= some(o, box);
    } else {
        say(o, "EXPUNGE");
    }
    note_gone(o, at, deleted);
    drop(box, deleted);
    return ask(o);
}

PARKS static Said replace(Work *o)
{
    unsigned from = any_box(o, true), to = any_box(o, true);
    if (from == BOXES || !o->next->boxes[from].count) return SAID_BAD;
    Box *a = &o->next->boxes[from], *b = &o->next->boxes[to];
    uint32_t old = below(o, a->count);
    o->by = &o->owner;
    if (b->count == FEW || !select_box(o, from)) return SAID_BAD;
    say(o, "UID REPLACE %u ", a->mails[old].uid);
    say_name(o, to);
    drop(a, 1u << old);
    uint32_t first = b->count;
    say_message(o, b, any_flags(o));
    Said said = ask(o);
    if (said == SAID_OK) told_uids(o, S("APPENDUID"), b, first);
    return said;
}

PARKS static Said create(Work *o)
{
    unsigned at = any_box(o, false);
    if (at == BOXES) return SAID_BAD;
    Box *box = &o->next->boxes[at];
    *box = (Box){.exists = true, .generation = box->generation};
    o->by = &o->owner;
    say(o, "CREATE ");
    say_name(o, at);
    return ask(o);
}

PARKS static Said remove_box(Work *o)
{
    unsigned at = any_box(o, true);
    if (at == BOXES || below(o, 3)) return SAID_BAD;
    o->by = &o->owner;
    if (!leave_box(&o->owner, at) || !leave_box(&o->guest, at)) return SAID_BAD;
    say(o, "DELETE ");
    say_name(o, at);
    o->next->boxes[at] = (Box){.generation = o->next->boxes[at].generation};
    forget_gone(o->next, at, 0);
    return ask(o);
}

PARKS static Said rename_box(Work *o)
{
    unsigned at = any_box(o, true);
    if (at == BOXES || o->next->boxes[at].generation == GENERATIONS) return SAID_BAD;
    o->by = &o->owner;
    say(o, "RENAME ");
    say_name(o, at);
    o->next->boxes[at].generation++;
    say(o, " ");
    say_name(o, at);
    return ask(o);
}

PARKS static Said set_rights(Work *o)
{
    unsigned at = any_box(o, true);
    if (at == BOXES || !leave_box(&o->guest, at)) return SAID_BAD;
    Box *box = &o->next->boxes[at];
    o->by = &o->owner;
    box->rights = (uint8_t)below(o, RIGHTS_KINDS);
    say(o, "%s ", box->rights ? "SETACL" : "DELETEACL");
    say_name(o, at);
    say(o, " u%05u %s", own_guest(o->own) + 1, guest_rights[box->rights]);
    if (!box->rights) o->command.len--;
    return ask(o);
}

PARKS static Said annotate(Work *o)
{
    unsigned at = any_box(o, true);
    if (at == BOXES) return SAID_BAD;
    o->by = &o->owner;
    o->next->boxes[at].note = (uint8_t)below(o, 100);
    say(o, "SETMETADATA ");
    say_name(o, at);
    if (o->next->boxes[at].note)
        say(o, " (/private/comment \"n%u\")", o->next->boxes[at].note);
    else
        say(o, " (/private/comment NIL)");
    return ask(o);
}

/* ---- one after the other ---- */

PARKS static bool connect(Talker *t, unsigned account)
{
    for (unsigned tries = 0; !t->stream && tries < 5; tries++)
        if (talker_login(t, account)) return true;
    return t->stream != NULL;
}

PARKS static Said operate(Work *o)
{
    static Said (*const operations[])(Work *) = {
        append,     append,     append,       append,       store,        store,
        store,      store,      copy_or_move, copy_or_move, copy_or_move, expunge,
        expunge,    replace,    create,       create,       create,       remove_box,
        rename_box, set_rights, annotate,     bring_back,   bring_back,
    };
    o->command.len = 0;
    o->next = &o->ledger->pending;
    *o->next = o->ledger->acked;
    return operations[below(o, COUNT(operations))](o);
}

/* A connection that was lost, or a NO: what holds now is asked for, when all is quiet. */
PARKS static bool find_out(Work *o)
{
    bool was_in_flight = o->ledger->in_flight;
    if (o->guest.stream) o->guest.box = -1;
    (void)fiber_sleep(2000);
    for (unsigned tries = 0; tries < 8; tries++) {
        if (!connect(&o->owner, own_account(o->own))) continue;
        if (own_settle(&o->owner, o->own, was_in_flight)) {
            o->owner.box = -1;
            return true;
        }
        if (o->c->w->unsure) return false;
    }
    return false;
}

PARKS static bool step(Work *o)
{
    if (!connect(&o->owner, own_account(o->own))) return false;
    if (below(o, 4) == 0 && !connect(&o->guest, own_guest(o->own))) return false;
    Said said = operate(o);
    if (said == SAID_OK) {
        acknowledge(o);
        return o->latest || own_settle(&o->owner, o->own, false) || find_out(o); /* its uid */
    }
    if (!o->ledger->in_flight && o->owner.stream && (o->guest.stream || o->by == &o->owner))
        return true;                                           /* there was nothing to do */
    if (o->ledger->in_flight && o->c->w->unsure) return false; /* the next life shows it */
    if (o->ledger->in_flight && said != SAID_NOTHING) {
        if (!o->c->w->lenient)
            talker_failed(o->by, "\"%s\" was answered %.*s", o->ledger->what, SP(o->by->done));
        o->ledger->in_flight = false; /* a full disk refuses, and nothing has changed */
    }
    return find_out(o);
}

PARKS void boxes_client(Client *c)
{
    Work o = {.c = c, .own = c->number, .ledger = &c->w->owns[c->number]};
    o.owner = (Talker){.client = c, .who = "owner", .box = -1};
    o.guest = (Talker){.client = c, .who = "guest", .box = -1};
    unsigned most = c->w->plan.steps; /* a step may find that there is nothing to do */
    for (unsigned tries = 0; o.done < most && tries < 8 * most && step(&o); tries++) {
    }
    talker_done(&o.owner);
    talker_done(&o.guest);
    buf_done(&o.command);
}
