/* A program is asked of a chunk of messages at once: sets in, sets out. What is cheap is asked
 * first, what is dear only of those that are still in question. */
#include "imap/fetch.h"
#include "imap/search.h"

#include "base/text.h"
#include "mail/casemap.h"
#include "mail/header.h"
#include "mail/mail.h"

#include <stdlib.h>

enum { CHUNK = 4096, WORDS = CHUNK / 64, BREATH = 64 };

typedef struct {
    uint64_t words[WORDS];
} Bits;

typedef struct {
    Imap *s;
    View *view;
    const UidSet *among; /* NULL: all */
    Account *account;
    int64_t now;       /* wall clock: OLDER, YOUNGER */
    Message *messages; /* CHUNK of them */
    size_t count;
    Arena keep;     /* sets in use while a program is asked */
    Arena scratch;  /* of one message */
    uint32_t *eids; /* CHUNK */
    Err err;
} Run;

static bool has(const Bits *b, size_t i)
{
    return b->words[i / 64] >> (i % 64) & 1;
}

static void drop(Bits *b, size_t i)
{
    b->words[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

static bool is_empty(const Bits *b)
{
    for (size_t w = 0; w < WORDS; w++)
        if (b->words[w]) return false;
    return true;
}

static bool next_bit(const Bits *b, size_t *i)
{
    while (*i < CHUNK) {
        uint64_t word = b->words[*i / 64] >> (*i % 64);
        if (word) {
            *i += (size_t)__builtin_ctzll(word);
            return true;
        }
        *i = (*i / 64 + 1) * 64;
    }
    return false;
}

/* ---- questions to the slot ---- */

static bool has_keyword(Run *r, const SearchKey *key, uint16_t kwset)
{
    Slice words = account_keywords(r->account, kwset), word;
    while (slice_cut(&words, ' ', &word))
        if (slice_eq_nocase(word, key->text)) return true;
    return false;
}

/* RFC 5032 2: both ends belong to it. */
static bool fits_age(const Run *r, const SearchKey *key, const Message *m)
{
    int64_t then = r->now - (int64_t)key->number;
    return key->type == KEY_OLDER ? m->date <= then : m->date >= then;
}

static bool fits_slot(Run *r, const SearchKey *key, const Message *m)
{
    int64_t day = m->date / 86400, wanted = (int64_t)key->number;
    switch ((int)key->type) {
    case KEY_FLAG:
        return (m->flags & key->flags) == key->flags;
    case KEY_KEYWORD:
        return m->kwset && has_keyword(r, key, m->kwset);
    case KEY_RECENT:
        return view_is_recent(r->view, m->uid);
    case KEY_SET:
    case KEY_INTHREAD:
    case KEY_THREADROOT:
    case KEY_THREADLEAF:
        return uidset_has(&key->uids, m->uid);
    case KEY_BEFORE:
        return day < wanted;
    case KEY_ON:
        return day == wanted;
    case KEY_SINCE:
        return day >= wanted;
    case KEY_LARGER:
        return m->size > key->number;
    case KEY_SMALLER:
        return m->size < key->number;
    case KEY_OLDER:
    case KEY_YOUNGER:
        return fits_age(r, key, m);
    case KEY_MODSEQ:
        return m->modseq >= key->number;
    case KEY_EMAILID:
        return m->eid == key->number;
    default:
        return false;
    }
}

static void ask_slots(Run *r, const SearchKey *key, Bits *b)
{
    for (size_t i = 0; next_bit(b, &i); i++)
        if (!fits_slot(r, key, &r->messages[i])) drop(b, i);
}

/* ---- questions to the email ---- */

/* RFC 8514 3: when it came into this mailbox. */
static int64_t day_saved(Run *r, const EmailDetails *d, uint32_t uid)
{
    uint32_t id = mailbox_status(view_mailbox(r->view)).id;
    for (size_t i = 0; i < d->link_count; i++)
        if (d->links[i].mailbox_id == id && d->links[i].uid == uid)
            return d->links[i].saved / 86400;
    return -1;
}

static bool fits_email(Run *r, const SearchKey *key, const EmailDetails *d, const Message *m)
{
    if (key->type == KEY_THREADID) return d->thread_id == key->number;
    int64_t day = day_saved(r, d, m->uid), wanted = (int64_t)key->number;
    if (day < 0) return false;
    if (key->type == KEY_SAVED_BEFORE) return day < wanted;
    return key->type == KEY_SAVED_ON ? day == wanted : day >= wanted;
}

PARKS static void ask_emails(Run *r, const SearchKey *key, Bits *b)
{
    size_t asked = 0;
    for (size_t i = 0; next_bit(b, &i); i++) {
        EmailDetails details;
        Err err = email_details(r->account, r->messages[i].eid, &r->scratch, &details);
        if (err || !fits_email(r, key, &details, &r->messages[i])) drop(b, i);
        arena_reset(&r->scratch);
        if (++asked % BREATH == 0) breathe();
    }
}

/* ---- what the text index knows ---- */

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static bool is_sorted(const uint32_t *eids, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (eids[i - 1] > eids[i]) return false;
    return true;
}

static size_t gather(Run *r, const Bits *b)
{
    size_t n = 0;
    for (size_t i = 0; next_bit(b, &i); i++)
        r->eids[n++] = r->messages[i].eid;
    if (!is_sorted(r->eids, n)) qsort(r->eids, n, sizeof *r->eids, by_number);
    return n;
}

/* Drops the messages whose header and text certainly do not hold the needle. */
PARKS static void ask_index(Run *r, Slice needle, Bits *b)
{
    size_t asked = gather(r, b), n = text_candidates(r->account, needle, r->eids, asked);
    if (n == asked) return;
    for (size_t i = 0; next_bit(b, &i); i++)
        if (!n || !bsearch(&r->messages[i].eid, r->eids, n, sizeof *r->eids, by_number)) drop(b, i);
}

/* ---- questions to the summary ---- */

static bool fits_summary(const SearchKey *key, const MailSummary *m)
{
    bool dated = m->sent_zone != INT16_MIN;
    int64_t local = m->sent + (int64_t)m->sent_zone * 60;
    int64_t day = local >= 0 ? local / 86400 : -((86399 - local) / 86400),
            wanted = (int64_t)key->number;
    switch ((int)key->type) {
    case KEY_SENT_BEFORE:
        return dated && day < wanted;
    case KEY_SENT_ON:
        return dated && day == wanted;
    case KEY_SENT_SINCE:
        return dated && day >= wanted;
    case KEY_MESSAGEID:
        return slice_eq(m->message_id, key->text);
    case KEY_FROM:
        return casemap_contains(m->from, key->text);
    case KEY_TO:
        return casemap_contains(m->to, key->text);
    case KEY_CC:
        return casemap_contains(m->cc, key->text);
    case KEY_BCC:
        return casemap_contains(m->bcc, key->text);
    case KEY_SUBJECT:
        return casemap_contains(m->subject, key->text);
    default:
        return false;
    }
}

PARKS static void ask_summaries(Run *r, const SearchKey *key, Bits *b)
{
    size_t asked = 0;
    if (key->text.len && key->type != KEY_MESSAGEID) ask_index(r, key->text, b);
    for (size_t i = 0; next_bit(b, &i); i++) {
        MailSummary summary;
        Err err = section_summary(r->account, &r->messages[i], false, &r->scratch, &summary);
        if (err || !fits_summary(key, &summary)) drop(b, i);
        if (r->scratch.used) arena_reset(&r->scratch);
        if (++asked % BREATH == 0) breathe();
    }
}

/* ---- questions to the header and the text ---- */

/* RFC 9051 6.4.4: an empty string asks whether the field is there. */
static bool header_fits(const SearchKey *key, Slice header)
{
    HeaderField f = {0};
    bool exact = key->type == KEY_EXACT_HEADER;
    MailFold *fold = comparator_folder(exact ? key->number : COMPARE_UNICODE_CASEMAP);
    while (key->field.len && header_find(header, key->field, &f)) {
        Buf decoded buf_scoped = {0}, folded buf_scoped = {0};
        if (!key->text.len) return true;
        header_search_text(&decoded, f.name, f.value);
        fold(&folded, buf_slice(&decoded));
        if (casemap_contains(buf_slice(&folded), key->text)) return true;
    }
    return false;
}

PARKS static void ask_headers(Run *r, const SearchKey *key, Bits *b)
{
    if (key->text.len && key->type == KEY_HEADER) ask_index(r, key->text, b);
    for (size_t i = 0; next_bit(b, &i) && !r->err; i++) {
        Slice header;
        Err err = email_header(r->account, r->messages[i].eid, &r->scratch, &header);
        if (err || !header_fits(key, header)) drop(b, i);
        arena_reset(&r->scratch);
        if (run_is_cancelled()) r->err = fail(ERR_CANCELLED, "stopping");
        breathe();
    }
}

PARKS static Err text_contains(Run *r, const SearchKey *key, uint32_t eid, bool *found)
{
    if (key->type != KEY_EXACT_TEXT)
        return email_contains(r->account, eid, key->text, key->type == KEY_BODY, found);
    MailFold *fold = comparator_folder(key->number);
    return email_contains_folded(r->account, eid, key->text, fold, key->flags, found);
}

/* First the signatures say who certainly does not contain it, then the text itself decides. */
PARKS static void ask_texts(Run *r, const SearchKey *key, Bits *b)
{
    if (!key->text.len) return; /* the empty string is in every text */
    if (key->type != KEY_EXACT_TEXT) ask_index(r, key->text, b);
    for (size_t i = 0; next_bit(b, &i) && !r->err; i++) {
        bool found = false;
        Err err = text_contains(r, key, r->messages[i].eid, &found);
        if (err || !found) drop(b, i); /* a message that cannot be read is not found */
        if (run_is_cancelled()) r->err = fail(ERR_CANCELLED, "stopping");
        breathe();
    }
}

/* ---- programs: depth is bounded by search_parse ---- */

PARKS static void ask(Run *r, const SearchKey *key, Bits *b);

PARKS static void ask_either(Run *r, const SearchKey *key, Bits *b)
{
    Bits *open = arena_new(&r->keep, Bits), *found = arena_new(&r->keep, Bits),
         *some = arena_new(&r->keep, Bits);
    *open = *b;
    for (const SearchKey *c = key->child; c && !is_empty(open); c = c->next) {
        *some = *open;
        ask(r, c, some);
        for (size_t w = 0; w < WORDS; w++)
            found->words[w] |= some->words[w], open->words[w] &= ~some->words[w];
    }
    *b = *found;
}

PARKS static void ask_not(Run *r, const SearchKey *key, Bits *b)
{
    Bits *some = arena_new(&r->keep, Bits);
    *some = *b;
    ask(r, key->child, some);
    for (size_t w = 0; w < WORDS; w++)
        b->words[w] &= ~some->words[w];
}

PARKS static void ask_program(Run *r, const SearchKey *key, Bits *b)
{
    if (key->type == KEY_OR) ask_either(r, key, b);
    if (key->type == KEY_NOT) ask_not(r, key, b);
    if (key->type != KEY_AND) return;
    for (const SearchKey *c = key->child; c && !is_empty(b); c = c->next)
        ask(r, c, b);
}

PARKS static void ask(Run *r, const SearchKey *key, Bits *b)
{
    breathe();
    switch (search_asked_of(key->type)) {
    case ASK_PROGRAM:
        ask_program(r, key, b);
        return;
    case ASK_SLOT:
        ask_slots(r, key, b);
        return;
    case ASK_EMAIL:
        ask_emails(r, key, b);
        return;
    case ASK_SUMMARY:
        ask_summaries(r, key, b);
        return;
    case ASK_HEADER:
        ask_headers(r, key, b);
        return;
    case ASK_TEXT:
        ask_texts(r, key, b);
        return;
    }
}

/* ---- all messages, chunk by chunk ---- */

/* The next message that is asked about, from *uid on; *uid behind it. Messages expunged meanwhile
 * are still in the view, but nobody wants to find them. */
static bool next_message(Run *r, uint32_t *uid, Message *m)
{
    bool gone;
    while (*uid && (!r->among || uidset_next(r->among, uid)) &&
           view_next(r->view, *uid, m, NULL, &gone)) {
        *uid = m->uid + 1;
        if (!gone && (!r->among || uidset_has(r->among, m->uid))) return true;
    }
    *uid = 0;
    return false;
}

static uint32_t fill(Run *r, uint32_t uid)
{
    r->count = 0;
    while (r->count < CHUNK && next_message(r, &uid, &r->messages[r->count]))
        r->count++;
    return uid;
}

PARKS static void run_chunk(Run *r, const SearchKey *key, SearchFound *found)
{
    Bits *b = arena_new(&r->keep, Bits);
    for (size_t i = 0; i < r->count; i++)
        b->words[i / 64] |= UINT64_C(1) << (i % 64);
    ask(r, key, b);
    for (size_t i = 0; i < r->count; i++) {
        if (!has(b, i)) continue;
        uidset_add(&r->s->arena, &found->uids, r->messages[i].uid, r->messages[i].uid);
        found->modseq = MAX(found->modseq, r->messages[i].modseq);
    }
    arena_reset(&r->keep);
}

/* What the program says in this mailbox's words. Depth is bounded here too. */
static void look_up(Run *r, SearchKey *key)
{
    uint32_t acct = account_number(r->account);
    if (key->type == KEY_SET) imap_resolve_key(r->s, r->view, &key->set, key->of_uids, &key->uids);
    if (key->type == KEY_EMAILID) key->number = imap_object_id_of(key->text, OBJECT_EMAIL, acct);
    if (key->type == KEY_THREADID) key->number = imap_object_id_of(key->text, OBJECT_THREAD, acct);
    for (SearchKey *c = key->child; c; c = c->next)
        look_up(r, c);
}

PARKS Err search_run(Imap *s, View *view, const UidSet *among, SearchKey *key, SearchFound *found)
{
    Run r = {.s = s, .view = view, .among = among, .now = wall_seconds()};
    r.account = mailbox_account(view_mailbox(view));
    look_up(&r, key);
    TRY(search_look_up_threads(s, view, key));
    size_t room = MIN((size_t)CHUNK, (size_t)view_exists(view) + 1);
    if (among) room = MIN(room, (size_t)MIN(uidset_size(among), (uint64_t)CHUNK) + 1);
    r.messages = mem_new(array_bytes(room, sizeof *r.messages));
    r.eids = mem_new(array_bytes(room, sizeof *r.eids));
    *found = (SearchFound){0};
    for (uint32_t uid = 1; uid && !r.err && !stream_error(s->stream);) {
        uid = fill(&r, uid);
        run_chunk(&r, key, found);
        breathe();
    }
    free(r.messages);
    free(r.eids);
    arena_done(&r.keep);
    arena_done(&r.scratch);
    return r.err;
}
