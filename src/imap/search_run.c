/* A program is asked of a chunk of messages at once: sets in, sets out. What is cheap is asked
 * first, what is dear only of those that are still in question. */
#include "imap/annotate.h"
#include "imap/search_fits.h"

#include "mail/casemap.h"
#include "mail/fuzzy.h"

#include <stdlib.h>

enum { CHUNK = 4096, WORDS = CHUNK / 64, BREATH = 64, FLUSH_MS = 1000 };

typedef struct {
    uint64_t words[WORDS];
} Bits;

typedef struct {
    Imap *s;
    SearchAsked q[1];
    const UidSet *among; /* NULL: all */
    Message *messages;   /* CHUNK of them */
    size_t count;
    Arena keep;     /* sets in use while a program is asked */
    Arena scratch;  /* of one message */
    uint32_t *eids; /* CHUNK */
    struct {
        uint16_t sum, count;
    } * scores;     /* CHUNK: of what was below FUZZY; NULL: there is none */
    uint64_t asked; /* messages in chunks before */
    int64_t flush_ms;
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

/* What this message got for this key. */
static void note(Run *r, Bits *b, size_t i, unsigned score)
{
    if (!score) {
        drop(b, i);
    } else if (r->q->fuzzy && r->scores && r->scores[i].count < UINT16_MAX / 100) {
        r->scores[i].sum = (uint16_t)(r->scores[i].sum + score);
        r->scores[i].count++;
    }
}

/* In long loops: whether to go on. A client that is gone is found by writing to it: so what is due
 * to it is not kept back while we read its mail. */
PARKS static bool goes_on(Run *r, size_t i)
{
    breathe();
    if (r->err) return false;
    if (now_ms() >= r->flush_ms) {
        r->flush_ms = now_ms() + FLUSH_MS;
        (void)stream_flush(r->s->stream);
    }
    if (r->s->in->tag.len) /* else in IDLE */
        imap_in_progress(r->s, r->asked + i, view_exists(r->q->view));
    if (run_is_cancelled()) r->err = fail(ERR_CANCELLED, "stopping");
    if (stream_error(r->s->stream)) r->err = fail(ERR_CANCELLED, "the client is gone");
    return !r->err;
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
PARKS static void ask_for(Run *r, Slice needle, Bits *b)
{
    size_t asked = gather(r, b), n = text_candidates(r->q->account, needle, r->eids, asked);
    if (n == asked) return;
    for (size_t i = 0; next_bit(b, &i); i++)
        if (!n || !bsearch(&r->messages[i].eid, r->eids, n, sizeof *r->eids, by_number)) drop(b, i);
}

/* What is fuzzy holds one piece of the words at least. */
PARKS static void ask_for_pieces(Run *r, Slice needle, Bits *b)
{
    enum { MOST = 24 };
    Slice pieces[MOST];
    size_t count = fuzzy_pieces(needle, pieces, MOST);
    Bits *some = arena_new(&r->keep, Bits), *any = arena_new(&r->keep, Bits);
    for (size_t i = 0; i < count; i++) {
        *some = *b;
        ask_for(r, pieces[i], some);
        for (size_t w = 0; w < WORDS; w++)
            any->words[w] |= some->words[w];
    }
    if (count) *b = *any;
}

PARKS static void ask_index(Run *r, const SearchKey *key, Bits *b)
{
    if (!key->text.len) return;
    if (r->q->fuzzy)
        ask_for_pieces(r, key->text, b);
    else
        ask_for(r, key->text, b);
}

/* ---- questions ---- */

static void ask_slots(Run *r, const SearchKey *key, Bits *b)
{
    for (size_t i = 0; next_bit(b, &i); i++)
        note(r, b, i, fits_slot(r->q, key, &r->messages[i]));
}

/* Messages without annotations cost nothing. */
PARKS static void ask_notes(Run *r, const SearchKey *key, Bits *b)
{
    size_t asked = 0;
    Mailbox *box = view_mailbox(r->q->view);
    for (size_t i = 0; next_bit(b, &i) && (++asked % BREATH || goes_on(r, i)); i++) {
        bool fits = annotate_matches(box, &r->messages[i], key->field, (AnnotateScope)key->number,
                                     key->text, &r->scratch);
        note(r, b, i, fits ? 100 : 0);
        if (r->scratch.used) arena_reset(&r->scratch);
    }
}

PARKS static void ask_emails(Run *r, const SearchKey *key, Bits *b)
{
    size_t asked = 0;
    for (size_t i = 0; next_bit(b, &i) && (++asked % BREATH || goes_on(r, i)); i++) {
        EmailDetails details;
        const Message *m = &r->messages[i];
        Err err = email_details(r->q->account, m->eid, &r->scratch, &details);
        note(r, b, i, err ? 0 : fits_email(r->q, key, &details, m));
        arena_reset(&r->scratch);
    }
}

PARKS static void ask_summaries(Run *r, const SearchKey *key, Bits *b)
{
    size_t asked = 0;
    if (key->type != KEY_MESSAGEID) ask_index(r, key, b);
    for (size_t i = 0; next_bit(b, &i) && (++asked % BREATH || goes_on(r, i)); i++) {
        MailSummary summary;
        Err err = section_summary(r->q->account, &r->messages[i], false, &r->scratch, &summary);
        note(r, b, i, err ? 0 : fits_summary(r->q, key, &summary));
        if (r->scratch.used) arena_reset(&r->scratch);
    }
}

PARKS static void ask_headers(Run *r, const SearchKey *key, Bits *b)
{
    if (key->type == KEY_HEADER) ask_index(r, key, b);
    for (size_t i = 0; next_bit(b, &i) && goes_on(r, i); i++) {
        Slice header;
        Err err = email_header(r->q->account, r->messages[i].eid, &r->scratch, &header);
        note(r, b, i, err ? 0 : fits_header(r->q, key, header));
        arena_reset(&r->scratch);
    }
}

PARKS static bool texts_go_on(void *run, size_t asked)
{
    Run *r = run;
    return goes_on(r, asked);
}

/* Those that are left, all at once. */
PARKS static void ask_all_texts(Run *r, const TextQuestion *question, Bits *b)
{
    size_t n = 0, k = 0;
    for (size_t i = 0; next_bit(b, &i); i++)
        r->eids[n++] = r->messages[i].eid;
    bool *found = arena_array(&r->keep, bool, n + 1);
    emails_contain(r->q->account, question, r->eids, n, found, texts_go_on, r);
    for (size_t i = 0; next_bit(b, &i); i++)
        note(r, b, i, found[k++] ? 100 : 0);
}

PARKS static void ask_texts_one_by_one(Run *r, const SearchKey *key, Bits *b)
{
    for (size_t i = 0; next_bit(b, &i) && goes_on(r, i); i++) {
        unsigned score = 0;
        Err err = fits_text(r->q, key, r->messages[i].eid, &score);
        note(r, b, i, err ? 0 : score);
    }
}

/* First the signatures say who certainly does not contain it, then the text itself decides. They
 * do not know file names that are encoded against the rules. A message that cannot be read is not
 * found. */
PARKS static void ask_texts(Run *r, const SearchKey *key, Bits *b)
{
    if (!key->text.len) return; /* the empty string is in every text */
    if (key->type != KEY_EXACT_TEXT && key->type != KEY_ATTACHMENT_NAME) ask_index(r, key, b);
    TextQuestion question;
    if (text_question(r->q, key, &question))
        ask_all_texts(r, &question, b);
    else
        ask_texts_one_by_one(r, key, b);
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
    if (key->type == KEY_FUZZY) {
        r->q->fuzzy++;
        ask(r, key->child, b);
        r->q->fuzzy--;
    }
    if (key->type != KEY_AND) return;
    for (const SearchKey *c = key->child; c && !is_empty(b); c = c->next)
        ask(r, c, b);
}

/* RFC 6203 3: a fuzzy search may ignore the active comparator. */
static bool is_skipped(const Run *r, const SearchKey *key)
{
    return r->q->fuzzy && (key->type == KEY_EXACT_HEADER || key->type == KEY_EXACT_TEXT);
}

PARKS static void ask(Run *r, const SearchKey *key, Bits *b)
{
    breathe();
    if (r->err || is_skipped(r, key)) return;
    switch (search_asked_of(key->type)) {
    case ASK_PROGRAM:
        ask_program(r, key, b);
        return;
    case ASK_SLOT:
        ask_slots(r, key, b);
        return;
    case ASK_NOTE:
        ask_notes(r, key, b);
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
           view_next(r->q->view, *uid, m, NULL, &gone)) {
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

/* RFC 6203 4: 1 to 100, here the average of what was asked fuzzily. */
static void add_score(Run *r, SearchFound *found, size_t i)
{
    unsigned n = r->scores[i].count, score = n ? r->scores[i].sum / n : 100;
    found->scored[found->scored_count] = r->messages[i].uid;
    found->scores[found->scored_count++] = (uint8_t)MAX(score, 1u);
}

PARKS static void run_chunk(Run *r, const SearchKey *key, SearchFound *found)
{
    Bits *b = arena_new(&r->keep, Bits);
    for (size_t i = 0; i < r->count; i++)
        b->words[i / 64] |= UINT64_C(1) << (i % 64);
    if (r->scores) memset(r->scores, 0, r->count * sizeof *r->scores);
    ask(r, key, b);
    for (size_t i = 0; i < r->count; i++) {
        if (!has(b, i)) continue;
        uidset_add(&r->s->arena, &found->uids, r->messages[i].uid, r->messages[i].uid);
        found->modseq = MAX(found->modseq, r->messages[i].modseq);
        if (r->scores) add_score(r, found, i);
    }
    r->asked += r->count;
    arena_reset(&r->keep);
}

/* Gmail's labels are our mailboxes; in queries blanks and slashes of their names are hyphens, and
 * some have names of their own. */
Slice search_label(Arena *a, Slice name)
{
    Buf folded buf_scoped = {0};
    casemap(&folded, name);
    for (size_t i = 0; i < folded.len; i++)
        if (folded.at[i] == ' ' || folded.at[i] == MAILBOX_SEPARATOR) folded.at[i] = '-';
    return arena_copy(a, buf_slice(&folded));
}

static bool is_labelled(const MailboxEntry *e, Slice label, Arena *a)
{
    static const struct {
        Slice label;
        Role role;
    } known[] = {
        {{"SENT", 4},      ROLE_SENT     },
        {{"DRAFT", 5},     ROLE_DRAFTS   },
        {{"DRAFTS", 6},    ROLE_DRAFTS   },
        {{"SPAM", 4},      ROLE_JUNK     },
        {{"TRASH", 5},     ROLE_TRASH    },
        {{"IMPORTANT", 9}, ROLE_IMPORTANT},
    };
    if (!e->exists) return false;
    for (size_t i = 0; i < COUNT(known); i++)
        if (role_has(e->status.role, known[i].role) && slice_eq(label, known[i].label)) return true;
    return slice_eq(search_label(a, e->name), label);
}

static void label_mailboxes(Account *account, Slice label, Arena *a, UidSet *ids)
{
    MailboxEntry *entries;
    size_t count;
    *ids = (UidSet){0};
    account_mailboxes(account, a, &entries, &count);
    for (size_t i = 0; i < count; i++)
        if (is_labelled(&entries[i], label, a))
            uidset_add(a, ids, entries[i].status.id, entries[i].status.id);
}

/* What the program says in this mailbox's words. Depth is bounded here too. */
static void look_up(Run *r, SearchKey *key)
{
    uint32_t acct = account_number(r->q->account);
    if (key->type == KEY_SET && !key->frozen)
        imap_resolve_key(r->s, r->q->view, &key->set, key->of_uids, &key->uids);
    if (key->type == KEY_EMAILID) key->number = imap_object_id_of(key->text, OBJECT_EMAIL, acct);
    if (key->type == KEY_THREADID) key->number = imap_object_id_of(key->text, OBJECT_THREAD, acct);
    if (key->type == KEY_LABEL) label_mailboxes(r->q->account, key->text, &r->s->arena, &key->uids);
    for (SearchKey *c = key->child; c; c = c->next)
        look_up(r, c);
}

/* Depth is bounded here too. */
static bool is_fuzzy(const SearchKey *key)
{
    if (key->type == KEY_FUZZY) return true;
    for (const SearchKey *c = key->child; c; c = c->next)
        if (is_fuzzy(c)) return true;
    return false;
}

static void make_room(Run *r, const SearchKey *key, SearchFound *found)
{
    size_t all = (size_t)view_exists(r->q->view) + 1, room;
    if (r->among) all = MIN(all, (size_t)MIN(uidset_size(r->among), (uint64_t)all) + 1);
    room = MIN((size_t)CHUNK, all);
    r->messages = mem_new(array_bytes(room, sizeof *r->messages));
    r->eids = mem_new(array_bytes(room, sizeof *r->eids));
    if (!is_fuzzy(key)) return;
    r->scores = mem_new(array_bytes(room, sizeof *r->scores));
    found->scored = arena_array(&r->s->arena, uint32_t, all);
    found->scores = arena_array(&r->s->arena, uint8_t, all);
}

PARKS Err search_run(Imap *s, View *view, const UidSet *among, SearchKey *key, SearchFound *found)
{
    Run r = {.s = s, .q = {{.view = view, .now = wall_seconds()}}, .among = among};
    r.q->account = mailbox_account(view_mailbox(view));
    r.flush_ms = now_ms(); /* what commands before it had to say */
    *found = (SearchFound){0};
    look_up(&r, key);
    TRY(search_look_up_threads(s, view, key));
    make_room(&r, key, found);
    for (uint32_t uid = 1; uid && !r.err && !stream_error(s->stream);) {
        uid = fill(&r, uid);
        run_chunk(&r, key, found);
        breathe();
    }
    free(r.messages);
    free(r.eids);
    free(r.scores);
    arena_done(&r.keep);
    arena_done(&r.scratch);
    return r.err;
}
