#include "base/text.h"
#include "house/transfer.h"
#include "run/file.h"

#include <stdlib.h>

enum { BATCH_MESSAGES = 200, BATCH_OCTETS = 8 << 20, KEYWORDS_MOST = 64 };

/* ---- in the house ---- */

/* What is remembered of one mailbox of one source: object collection "import", id
 * "source\nmailbox". Written before a batch with pending set: the batch is one commit, so
 * afterwards its messages are all there or none is, and the first of them tells. */
typedef struct {
    Slice key, pending; /* the last message's that is in; and of the batch being committed */
    uint32_t pending_uid, pending_size,
        pending_date; /* its first message: uid at least, size, INTERNALDATE */
    bool keeps_uids;  /* the mailbox was empty when the import began */
} Mark;

typedef struct {
    Draft *draft;
    DraftPlace place;
    Slice key, keywords[KEYWORDS_MOST];
} Incoming;

typedef struct {
    Talk *talk;
    Slice source;
    uint32_t acct;
    Account *account; /* on its home loop only */
    Arena arena;      /* of the batch */
    Slice mailbox;    /* of the batch */
    uint32_t uid_validity;
    Incoming batch[BATCH_MESSAGES];
    size_t count;
    uint64_t octets;
    uint64_t done, skipped_octets, done_octets;
    int64_t began_ms, told_ms;
    Err err;
} Import;

static void mark_encode(Buf *out, const Mark *m)
{
    buf_u8(out, m->keeps_uids);
    buf_bytes(out, m->key);
    buf_bytes(out, m->pending);
    buf_u32(out, m->pending_uid);
    buf_u32(out, m->pending_size);
    buf_u32(out, m->pending_date);
}

static Err mark_decode(Slice stored, Mark *m)
{
    Reader r = reader(stored);
    m->keeps_uids = read_u8(&r);
    m->key = read_bytes(&r);
    m->pending = read_bytes(&r);
    m->pending_uid = read_u32(&r);
    m->pending_size = read_u32(&r);
    m->pending_date = read_u32(&r);
    return r.bad ? fail(ERR_CORRUPT, "an import mark") : OK;
}

static Slice mark_id(Arena *a, Slice source, Slice mailbox)
{
    Buf hex buf_scoped = {0};
    uint32_t sums[2] = {crc32c(0, source), crc32c(1, mailbox)};
    hex_encode(&hex, slice(sums, sizeof sums));
    return arena_printf(a, "%.*s %.*s", (int)hex.len, hex.at, SP(slice_first(mailbox, 200)));
}

PARKS static Err mark_put(Import *im, const Mark *m)
{
    Buf stored buf_scoped = {0};
    mark_encode(&stored, m);
    return object_put(im->account, S("import"), mark_id(&im->arena, im->source, im->mailbox),
                      buf_slice(&stored), NULL);
}

static bool batch_is_in(Mailbox *box, const Mark *m)
{
    for (const Message *at = mailbox_next(box, m->pending_uid); at;
         at = mailbox_next(box, at->uid + 1))
        if (at->size == m->pending_size && at->date == m->pending_date) return true;
    return false;
}

PARKS static Err open_box(Import *im, Mailbox **box)
{
    Err err = mailbox_open(im->account, im->acct, im->mailbox, box);
    if (err != ERR_NOT_FOUND) return err;
    err = mailbox_create(im->account, im->mailbox, ROLE_NONE);
    if (err && err != ERR_EXISTS) return err;
    return mailbox_open(im->account, im->acct, im->mailbox, box);
}

/* The mark of the batch's mailbox, with a batch that was cut short settled. */
PARKS static Err mark_get(Import *im, Mailbox *box, Mark *m)
{
    Slice stored;
    *m = (Mark){.keeps_uids = mailbox_status(box).uid_next == 1};
    Err err = object_get(im->account, S("import"), mark_id(&im->arena, im->source, im->mailbox),
                         &im->arena, &stored, NULL);
    if (err == ERR_NOT_FOUND) return OK;
    TRY(err);
    TRY(mark_decode(stored, m));
    if (m->pending.len && batch_is_in(box, m)) m->key = m->pending;
    m->pending = (Slice){0};
    return OK;
}

PARKS static Err commit_batch(Import *im, Mailbox *box)
{
    Draft **drafts = arena_array(&im->arena, Draft *, im->count);
    DraftPlace *places = arena_array(&im->arena, DraftPlace, im->count);
    uint32_t *uids = arena_array(&im->arena, uint32_t, im->count);
    Mark mark;
    size_t n = 0;
    TRY(mark_get(im, box, &mark));
    for (size_t i = 0; i < im->count; i++) {
        if (slice_order(im->batch[i].key, mark.key) <= 0) continue; /* in already */
        places[n] = im->batch[i].place;
        if (!mark.keeps_uids) places[n].uid = 0;
        drafts[n++] = im->batch[i].draft;
    }
    if (!n) return OK;
    mark.pending = im->batch[im->count - 1].key;
    mark.pending_uid = mailbox_status(box).uid_next;
    mark.pending_size = (uint32_t)draft_size(drafts[0]);
    mark.pending_date = (uint32_t)places[0].date;
    TRY(mark_put(im, &mark));
    TRY(draft_commit_many(drafts, n, box, places, uids));
    im->done += n;
    mark.key = mark.pending;
    mark.pending = (Slice){0};
    return mark_put(im, &mark);
}

PARKS static void commit_at_home(void *arg)
{
    Import *im = arg;
    Mailbox *box scoped(mailbox) = NULL;
    im->err = account_open(im->talk->house->store, im->acct, &im->account);
    if (im->err) return;
    im->err = open_box(im, &box);
    if (!im->err) im->err = commit_batch(im, box);
    account_close(im->account);
    im->account = NULL;
}

PARKS static void tell(Import *im)
{
    int64_t now = now_ms(), ms = MAX(now - im->began_ms, (int64_t)1);
    if (now - im->told_ms < 200) return;
    im->told_ms = now;
    talk_progress(im->talk, "%llu messages, %llu MB, %llu messages/s  %.*s",
                  (unsigned long long)im->done, (unsigned long long)(im->done_octets >> 20),
                  (unsigned long long)(im->done * 1000 / (uint64_t)ms), SP(im->mailbox));
}

PARKS static Err flush_batch(Import *im)
{
    if (!im->count) return OK;
    loop_call(store_home(im->talk->house->store, im->acct), commit_at_home, im);
    for (size_t i = 0; i < im->count; i++)
        draft_free(im->batch[i].draft);
    im->done_octets += im->octets;
    if (!im->err) tell(im);
    im->count = 0, im->octets = 0;
    arena_reset(&im->arena);
    return im->err;
}

static void split_keywords(Incoming *in, Slice words)
{
    Slice word;
    size_t n = 0;
    while (slice_cut(&words, ' ', &word))
        if (word.len && n < KEYWORDS_MOST) in->keywords[n++] = word;
    in->place.keywords = (Keywords){in->keywords, n};
}

/* Octets up to the 'E' frame go into the draft. */
PARKS static Err take_octets(Import *im, Draft *draft)
{
    Slice frame;
    bool more;
    for (;;) {
        TRY(talk_take(im->talk, &frame, &more));
        if (!more || !frame.len) return fail(ERR_SYNTAX, "a message is cut short");
        if (frame.at[0] == 'E') return OK;
        TRY(draft_write(draft, slice_from(frame, 1)));
        im->octets += frame.len - 1;
    }
}

PARKS static Err take_message(Import *im, Slice frame)
{
    TransferMeta meta;
    TRY(transfer_meta_decode(frame, &meta));
    bool full = im->count == BATCH_MESSAGES || im->octets > BATCH_OCTETS;
    if (full || (im->count && !slice_eq(meta.mailbox, im->mailbox))) TRY(flush_batch(im));
    if (!im->count)
        im->mailbox = arena_copy(&im->arena, meta.mailbox), im->uid_validity = meta.uid_validity;
    Incoming *in = &im->batch[im->count];
    *in = (Incoming){.key = arena_copy(&im->arena, meta.key)};
    in->place =
        (DraftPlace){.flags = meta.flags, .date = MAX(meta.date, (int64_t)1), .uid = meta.uid};
    split_keywords(in, arena_copy(&im->arena, meta.keywords));
    TRY(draft_begin(im->talk->house->store, meta.size, &in->draft));
    im->count++;
    return take_octets(im, in->draft);
}

/* ---- mailboxes without messages ---- */

PARKS static void make_folder(void *arg)
{
    Import *im = arg;
    Mailbox *box scoped(mailbox) = NULL;
    im->err = account_open(im->talk->house->store, im->acct, &im->account);
    if (im->err) return;
    im->err = open_box(im, &box);
    account_close(im->account);
    im->account = NULL;
}

PARKS static Err take_folder(Import *im, Slice name)
{
    TRY(flush_batch(im));
    im->mailbox = name;
    loop_call(store_home(im->talk->house->store, im->acct), make_folder, im);
    return im->err;
}

/* ---- where a stopped import goes on ---- */

PARKS static void tell_marks(void *arg)
{
    Import *im = arg;
    MailboxEntry *entries;
    size_t count;
    im->err = account_open(im->talk->house->store, im->acct, &im->account);
    if (im->err) return;
    account_mailboxes(im->account, &im->arena, &entries, &count);
    for (size_t i = 0; i < count && !im->err; i++) {
        Mailbox *box scoped(mailbox) = NULL;
        Mark mark;
        im->mailbox = entries[i].name;
        if (!entries[i].exists || mailbox_open(im->account, im->acct, im->mailbox, &box)) continue;
        im->err = mark_get(im, box, &mark);
        if (im->err || !mark.key.len) continue;
        Buf frame buf_scoped = {0};
        buf_char(&frame, 'R');
        buf_bytes(&frame, im->mailbox);
        buf_bytes(&frame, mark.key);
        im->err = talk_give(im->talk, buf_slice(&frame));
    }
    account_close(im->account);
    im->account = NULL;
}

PARKS static Err import(Import *im)
{
    Slice frame;
    bool more;
    talk_on_loop(im->talk, store_home(im->talk->house->store, im->acct), tell_marks, im);
    TRY(im->err);
    arena_reset(&im->arena);
    TRY(talk_give(im->talk, S("S")));
    TRY(stream_flush(im->talk->stream));
    for (;;) {
        TRY(talk_take(im->talk, &frame, &more));
        if (!more) return flush_batch(im);
        bool folder = frame.len && frame.at[0] == 'F';
        TRY(folder ? take_folder(im, slice_from(frame, 1)) : take_message(im, frame));
    }
}

/* import LOGIN SOURCE */
PARKS int verb_import(Talk *t)
{
    Import *im = NEW(Import);
    *im = (Import){.talk = t, .began_ms = now_ms()};
    if (t->arg_count != 3) {
        free(im);
        return talk_usage(t);
    }
    im->source = t->args[2];
    Err err = talk_account(t, t->args[1], &im->acct);
    if (!err) err = import(im);
    for (size_t i = 0; i < im->count; i++)
        draft_free(im->batch[i].draft);
    int64_t ms = MAX(now_ms() - im->began_ms, (int64_t)1);
    if (!err)
        talk_out(t, "%llu messages imported, %llu octets, %llu messages/s\n",
                 (unsigned long long)im->done, (unsigned long long)im->done_octets,
                 (unsigned long long)(im->done * 1000 / (uint64_t)ms));
    int code = err ? talk_fail(t, err) : EXIT_OK;
    arena_done(&im->arena);
    free(im);
    return code;
}
