/* restore, in the house: takes messages of a backup, as import does, into an account that may have
 * them. A message is there already when its folder has one of the same size and date with the same
 * octets; each that is there stands for one that comes. */
#include "auth/auth.h"
#include "base/text.h"
#include "house/transfer.h"
#include "store/digest.h"

#include <stdlib.h>

enum { BATCH_MESSAGES = 200, BATCH_OCTETS = 8 << 20, KEYWORDS_MOST = 64, PIECE = 64 << 10 };

typedef struct {
    Draft *draft;
    DraftPlace place;
    uint64_t size;
    uint8_t sha256[32];
    Slice keywords[KEYWORDS_MOST];
} Incoming;

typedef struct {
    uint32_t uid, size, date;
    bool hashed, taken;
    uint8_t sha256[32];
} There;

typedef struct {
    Talk *talk;
    uint32_t acct;
    Slice into; /* empty: where they were */
    Account *account;
    Buf mailbox; /* of the batch */
    bool looked; /* `there` is what that mailbox has */
    There *there;
    size_t there_count, there_room;
    Arena arena; /* of the batch */
    Incoming batch[BATCH_MESSAGES];
    size_t count;
    uint64_t octets;
    uint64_t done, passed_over, skipped;
    int64_t told_ms;
    Err err;
} Restore;

/* ---- what is there ---- */

static void there_add(Restore *r, const Message *m)
{
    if (r->there_count == r->there_room) {
        r->there_room = MAX(64, r->there_room * 2);
        r->there = mem_grow(r->there, array_bytes(r->there_room, sizeof *r->there));
    }
    r->there[r->there_count++] = (There){.uid = m->uid, .size = m->size, .date = m->date};
}

static int by_size(const void *a, const void *b)
{
    const There *x = a, *y = b;
    if (x->size != y->size) return x->size < y->size ? -1 : 1;
    return x->date < y->date ? -1 : x->date > y->date;
}

/* Once a mailbox, before anything comes into it. */
static void look(Restore *r, Mailbox *box)
{
    if (r->looked) return;
    r->there_count = 0;
    for (const Message *m = mailbox_next(box, 1); m; m = mailbox_next(box, m->uid + 1)) {
        there_add(r, m);
        if (m->uid == UINT32_MAX) break;
    }
    if (r->there_count) qsort(r->there, r->there_count, sizeof *r->there, by_size);
    r->looked = true;
}

PARKS static Err hash_there(Restore *r, Mailbox *box, There *t)
{
    const Message *m = mailbox_message(box, t->uid);
    if (!m) return fail(ERR_EXPUNGED, "it has gone meanwhile");
    uint32_t eid = m->eid;
    Digest *d = digest_new();
    char *piece = mem_new(PIECE);
    Err err = OK;
    for (uint64_t at = 0, len; at < t->size && !err; at += len) {
        len = MIN(t->size - at, (uint64_t)PIECE);
        err = email_read(r->account, eid, at, piece, len);
        digest_add(d, slice(piece, len));
    }
    digest_end(d, t->sha256);
    digest_free(d);
    free(piece);
    t->hashed = !err;
    return err;
}

static size_t first_of(const Restore *r, const Incoming *in)
{
    size_t low = 0, high = r->there_count;
    There wanted = {.size = (uint32_t)in->size, .date = (uint32_t)in->place.date};
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_size(&r->there[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* One that cannot be read does not count as there: the whole one comes back beside it. */
PARKS static bool is_there(Restore *r, Mailbox *box, const Incoming *in)
{
    for (size_t i = first_of(r, in); i < r->there_count; i++) {
        There *t = &r->there[i];
        if (t->size != in->size || t->date != (uint32_t)in->place.date) return false;
        if (t->taken || (!t->hashed && hash_there(r, box, t))) continue;
        if (memcmp(t->sha256, in->sha256, sizeof t->sha256) != 0) continue;
        t->taken = true;
        return true;
    }
    return false;
}

/* ---- a batch ---- */

PARKS static Err commit_batch(Restore *r, Mailbox *box)
{
    Draft **drafts = arena_array(&r->arena, Draft *, r->count + 1);
    uint32_t *uids = arena_array(&r->arena, uint32_t, r->count + 1);
    DraftPlace *places = arena_array(&r->arena, DraftPlace, r->count + 1);
    size_t n = 0;
    look(r, box);
    for (size_t i = 0; i < r->count; i++) {
        if (is_there(r, box, &r->batch[i])) continue;
        drafts[n] = r->batch[i].draft;
        places[n++] = r->batch[i].place;
    }
    r->passed_over += r->count - n;
    if (!n) return OK;
    TRY(draft_commit_many(drafts, n, box, places, uids));
    r->done += n;
    return OK;
}

PARKS static void commit_at_home(void *arg)
{
    Restore *r = arg;
    Mailbox *box scoped(mailbox) = NULL;
    r->err = account_open(r->talk->house->store, r->acct, &r->account);
    if (r->err) return;
    r->err = transfer_mailbox(r->account, r->acct, buf_slice(&r->mailbox), &box);
    if (!r->err && r->count) r->err = commit_batch(r, box);
    account_close(r->account);
    r->account = NULL;
}

PARKS static Err flush_batch(Restore *r)
{
    if (!r->mailbox.len) return OK;
    loop_call(store_home(r->talk->house->store, r->acct), commit_at_home, r);
    for (size_t i = 0; i < r->count; i++)
        draft_free(r->batch[i].draft);
    r->count = 0, r->octets = 0;
    arena_reset(&r->arena);
    if (now_ms() - r->told_ms > 200) {
        r->told_ms = now_ms();
        talk_progress(r->talk, "%llu messages restored, %llu were there  %.*s",
                      (unsigned long long)r->done, (unsigned long long)r->passed_over,
                      SP(buf_slice(&r->mailbox)));
    }
    return r->err;
}

PARKS static Err enter_mailbox(Restore *r, Slice name)
{
    if (r->into.len) name = r->into;
    if (slice_eq(name, buf_slice(&r->mailbox))) return OK;
    TRY(flush_batch(r));
    buf_clear(&r->mailbox);
    buf_add(&r->mailbox, name);
    r->looked = false;
    return OK;
}

/* ---- one message ---- */

static void split_keywords(Incoming *in, Slice words)
{
    Slice word;
    size_t n = 0;
    while (slice_cut(&words, ' ', &word))
        if (word.len && n < KEYWORDS_MOST) in->keywords[n++] = word;
    in->place.keywords = (Keywords){in->keywords, n};
}

/* *wrong: it cannot be stored, the rest is passed over. */
PARKS static Err take_octets(Restore *r, Incoming *in, Digest *d, Err *wrong)
{
    Slice frame;
    bool more;
    for (;;) {
        TRY(talk_take(r->talk, &frame, &more));
        if (!more || !frame.len) return fail(ERR_SYNTAX, "a message is cut short");
        if (frame.at[0] == 'E') return OK;
        Slice octets = slice_from(frame, 1);
        if (!*wrong) *wrong = draft_write(in->draft, octets);
        if (*wrong && *wrong != ERR_TOO_BIG) return *wrong;
        digest_add(d, octets);
        in->size += octets.len;
    }
}

PARKS static Err take_body(Restore *r, Incoming *in, uint64_t size)
{
    Err wrong = draft_begin(r->talk->house->store, size, &in->draft);
    if (wrong && wrong != ERR_TOO_BIG) return wrong;
    Digest *d = digest_new();
    Err err = take_octets(r, in, d, &wrong);
    digest_end(d, in->sha256);
    digest_free(d);
    if (!err && !wrong) {
        r->count++;
        r->octets += in->size;
        return OK;
    }
    draft_free(in->draft);
    in->draft = NULL;
    r->skipped += !err;
    return err;
}

PARKS static Err take_message(Restore *r, Slice frame)
{
    TransferMeta meta;
    TRY(transfer_meta_decode(frame, &meta));
    TRY(enter_mailbox(r, meta.mailbox));
    if (r->count == BATCH_MESSAGES || r->octets > BATCH_OCTETS) TRY(flush_batch(r));
    Incoming *in = &r->batch[r->count];
    *in = (Incoming){
        .place = {.flags = meta.flags, .date = MAX(meta.date, (int64_t)1)}
    };
    split_keywords(in, arena_copy(&r->arena, meta.keywords));
    return take_body(r, in, meta.size);
}

PARKS static Err take_all(Restore *r)
{
    Slice frame;
    bool more;
    for (;;) {
        TRY(talk_take(r->talk, &frame, &more));
        if (!more) return flush_batch(r);
        if (!frame.len || frame.at[0] != 'F') {
            TRY(take_message(r, frame));
            continue;
        }
        TransferMeta meta;
        TRY(transfer_meta_decode(slice_from(frame, 1), &meta));
        TRY(enter_mailbox(r, meta.mailbox));
    }
}

/* ---- whose ---- */

/* An account that is gone is made again. Its old password is not put back: hashes do not pass
 * through here. */
PARKS static Err find_or_make(Restore *r, Slice login)
{
    Err err = talk_account(r->talk, login, &r->acct);
    if (err != ERR_AUTH) return err;
    uint8_t octets[24];
    Buf password buf_scoped = {0}, name buf_scoped = {0};
    random_bytes(octets, sizeof octets);
    hex_encode(&password, slice(octets, sizeof octets));
    TRY(login_normalise(login, &name));
    err = user_add(r->talk->house->auth, buf_slice(&name), buf_slice(&password));
    wipe(octets, sizeof octets);
    wipe(password.at, password.len);
    TRY(err);
    talk_out(r->talk, "%.*s was made again; give it a password: posthouse user password %.*s\n",
             SP(login), SP(login));
    return talk_account(r->talk, login, &r->acct);
}

PARKS static int say_result(Restore *r, Err err)
{
    talk_out(r->talk, "%llu messages restored, %llu were there\n", (unsigned long long)r->done,
             (unsigned long long)r->passed_over);
    if (err) return talk_fail(r->talk, err);
    if (!r->skipped) return EXIT_OK;
    talk_err(r->talk, "posthouse restore: %llu messages are too large for this server\n",
             (unsigned long long)r->skipped);
    return EXIT_DATA;
}

/* restore LOGIN [FOLDER] */
PARKS int verb_restore(Talk *t)
{
    if (t->arg_count < 2 || t->arg_count > 3) return talk_usage(t);
    Restore *r = NEW(Restore);
    r->talk = t;
    if (t->arg_count == 3) r->into = t->args[2];
    Err err = find_or_make(r, t->args[1]);
    int code = err ? talk_fail(t, err) : say_result(r, take_all(r));
    for (size_t i = 0; i < r->count; i++)
        draft_free(r->batch[i].draft);
    free(r->there);
    buf_done(&r->mailbox);
    arena_done(&r->arena);
    free(r);
    return code;
}
