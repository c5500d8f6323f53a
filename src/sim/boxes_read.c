/* Reading the mailboxes of an Own back, and comparing. */
#include "sim/boxes.h"

#include <stdlib.h>

const char *const guest_rights[RIGHTS_KINDS] = {"", "lr", "lrswite"};

static const struct {
    const char *name;
    uint8_t flag;
} flag_names[] = {
    {"\\Seen",     FLAG_SEEN    },
    {"\\Answered", FLAG_ANSWERED},
    {"\\Flagged",  FLAG_FLAGGED },
    {"\\Deleted",  FLAG_DELETED },
    {"\\Draft",    FLAG_DRAFT   },
    {"k1",         FLAG_K1      },
    {"k2",         FLAG_K2      },
    {"k3",         FLAG_K3      },
};

unsigned own_account(unsigned own)
{
    return own % ACCOUNTS;
}

unsigned own_guest(unsigned own)
{
    return (own + 1) % ACCOUNTS;
}

void box_name(Buf *out, unsigned own, unsigned box, unsigned generation)
{
    buf_printf(out, "c%u-%u-%u", own, box, generation);
}

void flags_put(Buf *out, uint8_t flags)
{
    buf_char(out, '(');
    for (size_t i = 0; i < COUNT(flag_names); i++)
        if (flags & flag_names[i].flag)
            buf_printf(out, "%s%s", out->at[out->len - 1] == '(' ? "" : " ", flag_names[i].name);
    buf_char(out, ')');
}

uint8_t flags_read(Slice list)
{
    uint8_t flags = 0;
    for (Slice word; slice_cut(&list, ' ', &word);)
        for (size_t i = 0; i < COUNT(flag_names); i++)
            if (slice_eq(word, slice_of(flag_names[i].name))) flags |= flag_names[i].flag;
    return flags;
}

/* ---- reading ---- */

typedef struct {
    Boxes boxes;
    Told told[BOXES];
    unsigned names; /* mailboxes that are there */
} Found;

static Slice between(Slice line, Slice before, char end)
{
    size_t at = slice_find_slice(line, before);
    if (at == line.len) return (Slice){0};
    line = slice_from(line, at + before.len);
    return slice_first(line, slice_find(line, end));
}

static uint32_t uid_of(Slice line)
{
    uint64_t uid;
    Slice text = between(line, S("UID "), ' ');
    return slice_to_u64(slice_first(text, slice_find(text, ')')), &uid) ? (uint32_t)uid : 0;
}

static void add_mail(Talker *t, Box *box, const Heard *h)
{
    Slice before;
    Mail *m = &box->mails[box->count];
    if (slice_find_slice(h->line, S(" FETCH (")) == h->line.len) return;
    if (box->count == MAILS) talker_failed(t, "more than %d messages", MAILS);
    *m = (Mail){.uid = uid_of(h->line), .flags = flags_read(between(h->line, S("FLAGS ("), ')'))};
    if (!text_check(t->client->w, h->literal, &m->token, &before) || before.len)
        talker_failed(t, "uid %u has other octets than were sent", m->uid);
    box->count++;
}

/* 0: RIGHTS_NONE */
static uint8_t rights_read(const Talker *t, unsigned guest)
{
    Buf wanted buf_scoped = {0};
    buf_printf(&wanted, "u%05u", guest + 1);
    for (size_t i = 0; i < t->heard_count; i++) {
        Slice rest = t->heard[i].line, word, rights;
        while (slice_cut(&rest, ' ', &word)) {
            if (!slice_eq(word, buf_slice(&wanted)) || !slice_cut(&rest, ' ', &rights)) continue;
            return slice_find(rights, 'i') < rights.len ? RIGHTS_WORK : RIGHTS_LOOK;
        }
    }
    return RIGHTS_NONE;
}

static uint8_t note_read(const Talker *t)
{
    for (size_t i = 0; i < t->heard_count; i++) {
        uint64_t n;
        if (slice_starts(t->heard[i].line, S("* METADATA")) &&
            slice_to_u64(between(t->heard[i].line, S("\"n"), '"'), &n))
            return (uint8_t)n;
    }
    return 0;
}

PARKS static bool read_box(Talker *t, unsigned own, Slice name, Box *box, Told *told)
{
    if (talker_ask(t, "EXAMINE %.*s", SP(name)) != SAID_OK) return false;
    box->validity = (uint32_t)talker_code_number(t, S("UIDVALIDITY"));
    *told = (Told){.validity = box->validity,
                   .uid_next = (uint32_t)talker_code_number(t, S("UIDNEXT")),
                   .modseq = talker_code_number(t, S("HIGHESTMODSEQ"))};
    if (!told->validity || !told->uid_next || !told->modseq) talker_failed(t, "a code is missing");
    if (talker_ask(t, "UID FETCH 1:* (UID FLAGS BODY.PEEK[])") != SAID_OK) return false;
    for (size_t i = 0; i < t->heard_count; i++)
        add_mail(t, box, &t->heard[i]);
    if (talker_ask(t, "GETMETADATA %.*s /private/comment", SP(name)) != SAID_OK) return false;
    box->note = note_read(t);
    if (talker_ask(t, "GETACL %.*s", SP(name)) != SAID_OK) return false;
    box->rights = rights_read(t, own_guest(own));
    return true;
}

/* "c0-1-3" at the end of a LIST: its box and generation. */
static bool name_read(Slice line, unsigned own, unsigned *box, unsigned *generation)
{
    Buf prefix buf_scoped = {0};
    uint64_t b, g;
    buf_printf(&prefix, "c%u-", own);
    size_t at = slice_find_slice(line, buf_slice(&prefix));
    if (at == line.len || !slice_starts(line, S("* LIST"))) return false;
    Slice rest = slice_from(line, at + prefix.len), part;
    if (!slice_cut(&rest, '-', &part) || !slice_to_u64(part, &b) || b >= BOXES) return false;
    if (!slice_to_u64(slice_first(rest, slice_find(rest, '"')), &g)) return false;
    *box = (unsigned)b, *generation = (unsigned)g;
    return true;
}

PARKS static bool read_all(Talker *t, unsigned own, Found *f)
{
    struct {
        unsigned box, generation;
    } names[16] = {0};
    if (talker_ask(t, "LIST \"\" c%u-*", own) != SAID_OK) return false;
    for (size_t i = 0; i < t->heard_count; i++) {
        if (!name_read(t->heard[i].line, own, &names[f->names].box, &names[f->names].generation))
            continue;
        if (++f->names == COUNT(names)) talker_failed(t, "too many mailboxes");
    }
    for (unsigned i = 0; i < f->names; i++) {
        Buf name buf_scoped = {0};
        Box *box = &f->boxes.boxes[names[i].box];
        if (box->exists) talker_failed(t, "box %u is there under two names", names[i].box);
        box->exists = true;
        box->generation = (uint8_t)names[i].generation;
        box_name(&name, own, names[i].box, names[i].generation);
        if (!read_box(t, own, buf_slice(&name), box, &f->told[names[i].box])) return false;
    }
    return true;
}

/* ---- comparing ---- */

static bool mails_differ(const Box *wanted, const Box *found, uint32_t uid_floor, Buf *why)
{
    if (wanted->count != found->count) {
        buf_printf(why, "%u messages, not %u", found->count, wanted->count);
        return true;
    }
    for (uint32_t i = 0; i < wanted->count; i++) {
        const Mail *a = &wanted->mails[i], *b = &found->mails[i];
        bool uid_fits = a->uid ? a->uid == b->uid : b->uid >= uid_floor;
        if (uid_fits && a->token == b->token && a->flags == b->flags) continue;
        buf_printf(why, "uid %u is token %u with flags %02x, not uid %u, token %u, flags %02x",
                   b->uid, b->token, b->flags, a->uid, a->token, a->flags);
        return true;
    }
    return false;
}

static bool box_differs(const Box *wanted, const Box *found, const Told *told, Buf *why)
{
    if (wanted->exists != found->exists) {
        buf_printf(why, "it is %s", found->exists ? "there" : "gone");
        return true;
    }
    if (!wanted->exists) return false;
    bool validity =
        wanted->validity ? wanted->validity == found->validity : found->validity > told->validity;
    uint32_t uid_floor = found->validity == told->validity ? told->uid_next : 1;
    if (wanted->generation == found->generation && validity && wanted->note == found->note &&
        wanted->rights == found->rights)
        return mails_differ(wanted, found, uid_floor, why);
    buf_printf(why, "name %u, validity %u, note %u, rights %u, not %u, %u, %u, %u",
               found->generation, found->validity, found->note, found->rights, wanted->generation,
               wanted->validity, wanted->note, wanted->rights);
    return true;
}

static bool differs(const Boxes *wanted, const Found *f, const Own *own, Buf *why)
{
    for (unsigned i = 0; i < BOXES; i++) {
        buf_printf(why, "box %u: ", i);
        if (box_differs(&wanted->boxes[i], &f->boxes.boxes[i], &own->told[i], why)) return true;
        why->len = 0;
    }
    return false;
}

static void never_back(Talker *t, Own *own, const Found *f)
{
    for (unsigned i = 0; i < BOXES; i++) {
        Told *told = &own->told[i];
        const Told *now = &f->told[i];
        if (!f->boxes.boxes[i].exists) continue;
        if (now->validity < told->validity)
            talker_failed(t, "box %u: UIDVALIDITY went back from %u to %u", i, told->validity,
                          now->validity);
        if (now->validity == told->validity && now->uid_next < told->uid_next)
            talker_failed(t, "box %u: UIDNEXT went back from %u to %u", i, told->uid_next,
                          now->uid_next);
        if (now->validity == told->validity && now->modseq < told->modseq)
            talker_failed(t, "box %u: HIGHESTMODSEQ went back", i);
        *told = *now;
    }
}

PARKS bool own_settle(Talker *t, unsigned number, bool may_be_pending)
{
    Own *own = &t->client->w->owns[number];
    Buf why buf_scoped = {0}, why_pending buf_scoped = {0};
    Found *f = NEW(Found);
    bool read = read_all(t, number, f);
    if (!read) {
        free(f);
        return false;
    }
    if (differs(&own->acked, f, own, &why)) {
        if (!may_be_pending)
            talker_failed(t, "own %u, after \"%s\": %.*s", number, own->what, SP(buf_slice(&why)));
        if (differs(&own->pending, f, own, &why_pending))
            talker_failed(t, "own %u, \"%s\" is half done: before it: %.*s; after it: %.*s", number,
                          own->what, SP(buf_slice(&why)), SP(buf_slice(&why_pending)));
    }
    never_back(t, own, f);
    const Boxes *true_one = why.len ? &own->pending : &own->acked;
    memcpy(f->boxes.gone, true_one->gone, sizeof f->boxes.gone);
    f->boxes.gone_next = true_one->gone_next;
    own->acked = f->boxes;
    own->in_flight = false;
    t->box = -1;
    free(f);
    return true;
}
