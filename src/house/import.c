#include "base/text.h"
#include "house/transfer.h"
#include "pop3/uidl.h"
#include "run/file.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCH_MESSAGES = 200, BATCH_OCTETS = 8 << 20, KEYWORDS_MOST = 64 };
#define UID_NEXT_MOST 0xf0000000 /* a source that is so near the end is not to be believed */

/* ---- in the house ---- */

/* What is remembered of an import, in object collection "import", is named by source and MAILBOXID:
 *
 *     "SOURCE MAILBOX"        u8 whether UIDs are kept (the mailbox was new)
 *     "SOURCE MAILBOX BATCH"  u8 whether the batch is pending, u32 uid, u32 size, u32 date of its
 *                             first message, then the mark of each message (u64)
 *
 * A batch is written down as pending before it is committed, which is one step for all its
 * messages: so afterwards all are there or none is, and the first of them tells. */
enum { BATCH_HEAD = 13, ID_MOST = 64 };

typedef struct {
    Draft *draft;
    DraftPlace place;
    uint64_t mark;
    Slice keywords[KEYWORDS_MOST];
} Incoming;

typedef struct {
    Talk *talk;
    char source[17]; /* its hash, in hex */
    uint32_t acct;
    Account *account;                /* on its home loop only */
    Arena arena;                     /* of the batch */
    Buf mailbox;                     /* of the batch */
    uint32_t uid_validity, uid_next; /* there, at the source */
    bool leaving;                    /* no more batches for this mailbox */
    Incoming batch[BATCH_MESSAGES];
    size_t count;
    uint64_t octets;
    uint64_t done, skipped, done_octets, total;
    int64_t began_ms, told_ms;
    Err err;
} Import;

/* ---- what is remembered ---- */

static Slice box_id(const Import *im, const Mailbox *box, char room[ID_MOST])
{
    int len = snprintf(room, ID_MOST, "%s %08x", im->source, mailbox_status(box).id);
    return slice(room, (size_t)len);
}

static Slice batch_id(const Import *im, const Mailbox *box, char room[ID_MOST])
{
    int len = snprintf(room, ID_MOST, "%s %08x %016llx", im->source, mailbox_status(box).id,
                       (unsigned long long)account_seq(im->account));
    return slice(room, (size_t)len);
}

/* Whether the source's UIDs are kept in this mailbox: decided when the first batch comes. */
PARKS static Err decide_uids(Import *im, Mailbox *box, bool *keep)
{
    char room[ID_MOST];
    Slice stored, id = box_id(im, box, room);
    Err err = object_get(im->account, S("import"), id, &im->arena, &stored, NULL);
    if (!err) *keep = stored.len && stored.at[0];
    if (err != ERR_NOT_FOUND) return err;
    *keep = mailbox_status(box).uid_next == 1;
    if (*keep && im->uid_validity) {
        err = mailbox_set_uid_validity(box, im->uid_validity, 0);
        if (err && err != ERR_CONFLICT) return err; /* CONFLICT: a delivery came first */
        *keep = !err;
    }
    return object_put(im->account, S("import"), id, *keep ? S("\1") : S("\0"), NULL);
}

static void write_batch(const Import *im, const Mailbox *box, Buf *out)
{
    buf_u8(out, 1);
    buf_u32(out, mailbox_status(box).uid_next);
    buf_u32(out, (uint32_t)draft_size(im->batch[0].draft));
    buf_u32(out, (uint32_t)im->batch[0].place.date);
    for (size_t i = 0; i < im->count; i++)
        buf_u64(out, im->batch[i].mark);
}

static bool batch_is_in(Mailbox *box, Slice stored)
{
    Reader r = reader(stored);
    if (!read_u8(&r)) return true;
    uint32_t uid = read_u32(&r), size = read_u32(&r), date = read_u32(&r);
    for (const Message *at = mailbox_next(box, uid); at; at = mailbox_next(box, at->uid + 1))
        if (at->size == size && at->date == date) return true;
    return false;
}

/* ---- a batch ---- */

PARKS Err transfer_mailbox(Account *account, uint32_t acct, Slice name, Mailbox **box)
{
    Err err = mailbox_open(account, acct, name, box);
    if (err != ERR_NOT_FOUND) return err;
    err = mailbox_create(account, name, ROLE_NONE);
    if (err && err != ERR_EXISTS) return err;
    if (!err) TRY(mailbox_subscribe(account, name, true));
    return mailbox_open(account, acct, name, box);
}

/* Messages that have no UID at the source get ours behind those it has given out. */
static uint32_t uid_wanted(const Import *im, const Incoming *in, bool keep)
{
    return !keep ? 0 : in->place.uid ? in->place.uid : im->uid_next;
}

PARKS static Err commit_batch(Import *im, Mailbox *box)
{
    Draft **drafts = arena_array(&im->arena, Draft *, im->count);
    DraftPlace *places = arena_array(&im->arena, DraftPlace, im->count);
    uint32_t *uids = arena_array(&im->arena, uint32_t, im->count);
    Buf batch buf_scoped = {0};
    char room[ID_MOST];
    bool keep = false;
    TRY(decide_uids(im, box, &keep));
    for (size_t i = 0; i < im->count; i++) {
        drafts[i] = im->batch[i].draft;
        places[i] = im->batch[i].place;
        places[i].uid = uid_wanted(im, &im->batch[i], keep);
    }
    Slice id = batch_id(im, box, room);
    write_batch(im, box, &batch);
    TRY(object_put(im->account, S("import"), id, buf_slice(&batch), NULL));
    TRY(draft_commit_many(drafts, im->count, box, places, uids));
    im->done += im->count;
    batch.at[0] = 0;
    TRY(object_put(im->account, S("import"), id, buf_slice(&batch), NULL));
    MailboxStatus now = mailbox_status(box);
    if (!im->leaving || !keep || now.uid_validity != im->uid_validity) return OK;
    return mailbox_set_uid_validity(box, im->uid_validity, im->uid_next);
}

PARKS static void commit_at_home(void *arg)
{
    Import *im = arg;
    Mailbox *box scoped(mailbox) = NULL;
    im->err = account_open(im->talk->house->store, im->acct, &im->account);
    if (im->err) return;
    im->err = transfer_mailbox(im->account, im->acct, buf_slice(&im->mailbox), &box);
    if (!im->err) im->err = commit_batch(im, box);
    account_close(im->account);
    im->account = NULL;
}

PARKS static void tell(Import *im)
{
    int64_t now = now_ms(), ms = MAX(now - im->began_ms, (int64_t)1);
    if (now - im->told_ms < 200) return;
    im->told_ms = now;
    talk_progress(im->talk, "%llu of %llu messages, %llu MB, %llu messages/s  %.*s",
                  (unsigned long long)im->done, (unsigned long long)im->total,
                  (unsigned long long)(im->done_octets >> 20),
                  (unsigned long long)(im->done * 1000 / (uint64_t)ms),
                  SP(buf_slice(&im->mailbox)));
}

PARKS static Err flush_batch(Import *im, bool leaving)
{
    if (!im->count) return OK;
    im->leaving = leaving;
    loop_call(store_home(im->talk->house->store, im->acct), commit_at_home, im);
    for (size_t i = 0; i < im->count; i++)
        draft_free(im->batch[i].draft);
    if (!im->err) {
        im->done_octets += im->octets;
        tell(im);
    }
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

/* Octets up to the 'E' frame go into the draft. *wrong: it cannot be stored, the rest is passed
 * over. */
PARKS static Err take_octets(Import *im, Draft *draft, Err *wrong)
{
    Slice frame;
    bool more;
    for (;;) {
        TRY(talk_take(im->talk, &frame, &more));
        if (!more || !frame.len) return fail(ERR_SYNTAX, "a message is cut short");
        if (frame.at[0] == 'E') return OK;
        if (!*wrong) *wrong = draft_write(draft, slice_from(frame, 1));
        if (*wrong && *wrong != ERR_TOO_BIG) return *wrong;
        im->octets += frame.len - 1;
    }
}

/* One message that is too large must not keep the others out. */
PARKS static Err take_body(Import *im, Incoming *in, const TransferMeta *meta)
{
    Slice key = arena_copy(&im->arena, meta->key); /* the frame goes with the next one */
    uint64_t before = im->octets;
    uint64_t size = meta->size;
    Err wrong = draft_begin(im->talk->house->store, size, &in->draft);
    if (wrong && wrong != ERR_TOO_BIG) return wrong;
    Err err = take_octets(im, in->draft, &wrong);
    if (!err && !wrong) {
        im->count++;
        return OK;
    }
    draft_free(in->draft);
    in->draft = NULL;
    TRY(err);
    im->octets = before;
    im->skipped++;
    talk_err(im->talk, "posthouse import: %.*s: message %.*s: %s\n", SP(buf_slice(&im->mailbox)),
             SP(key), err_meaning(wrong));
    return OK;
}

/* So that clients of POP3 do not fetch everything again. */
static void keep_unique_id(Import *im, Incoming *in, const TransferMeta *meta)
{
    Buf value buf_scoped = {0};
    KeptUidl k = {meta->pop3_uidl, meta->file};
    if (!uidl_is_sound(k.id)) k.id = (Slice){0};
    if (!uidl_is_sound(k.file)) k.file = (Slice){0};
    if (!k.id.len && !k.file.len) return;
    uidl_keep(&value, &k);
    in->place.object = arena_copy(&im->arena, buf_slice(&value));
}

PARKS static Err take_message(Import *im, Slice frame)
{
    TransferMeta meta;
    TRY(transfer_meta_decode(frame, &meta));
    bool full = im->count == BATCH_MESSAGES || im->octets > BATCH_OCTETS;
    bool leaving = !slice_eq(meta.mailbox, buf_slice(&im->mailbox));
    if (full || leaving) TRY(flush_batch(im, leaving));
    buf_clear(&im->mailbox);
    buf_add(&im->mailbox, meta.mailbox);
    im->uid_validity = meta.uid_validity == UINT32_MAX ? 0 : meta.uid_validity;
    im->uid_next = meta.uid_next > UID_NEXT_MOST ? 0 : meta.uid_next;
    Incoming *in = &im->batch[im->count];
    *in = (Incoming){.mark = transfer_mark(meta.mailbox, meta.key)};
    in->place =
        (DraftPlace){.flags = meta.flags, .date = MAX(meta.date, (int64_t)1), .uid = meta.uid};
    split_keywords(in, arena_copy(&im->arena, meta.keywords));
    keep_unique_id(im, in, &meta);
    return take_body(im, in, &meta);
}

/* ---- mailboxes without messages ---- */

PARKS static void make_folder(void *arg)
{
    Import *im = arg;
    Mailbox *box scoped(mailbox) = NULL;
    im->err = account_open(im->talk->house->store, im->acct, &im->account);
    if (im->err) return;
    im->err = transfer_mailbox(im->account, im->acct, buf_slice(&im->mailbox), &box);
    account_close(im->account);
    im->account = NULL;
}

PARKS static Err take_folder(Import *im, Slice name)
{
    TRY(flush_batch(im, true));
    buf_clear(&im->mailbox);
    buf_add(&im->mailbox, name);
    loop_call(store_home(im->talk->house->store, im->acct), make_folder, im);
    return im->err;
}

/* ---- where a stopped import goes on ---- */

/* "SOURCE MAILBOX ..." */
static uint32_t mailbox_of(Slice id)
{
    Buf bytes buf_scoped = {0};
    if (!hex_decode(&bytes, slice_first(slice_from(id, 17), 8)) || bytes.len != 4) return 0;
    return (uint32_t)(uint8_t)bytes.at[0] << 24 | (uint32_t)(uint8_t)bytes.at[1] << 16 |
           (uint32_t)(uint8_t)bytes.at[2] << 8 | (uint8_t)bytes.at[3];
}

/* What was imported into a mailbox that is gone or has been emptied may come again. */
PARKS static Err tell_batch(Import *im, Slice id)
{
    Mailbox *box scoped(mailbox) = NULL;
    Slice stored;
    bool is_batch = id.len > 17 + 8;
    if (mailbox_open_id(im->account, im->acct, mailbox_of(id), &box) || !mailbox_status(box).exists)
        return object_delete(im->account, S("import"), id);
    if (!is_batch) return OK;
    TRY(object_get(im->account, S("import"), id, &im->arena, &stored, NULL));
    if (!batch_is_in(box, stored)) return object_delete(im->account, S("import"), id);
    Buf frame buf_scoped = {0};
    buf_char(&frame, 'R');
    buf_add(&frame, slice_from(stored, BATCH_HEAD));
    return talk_give(im->talk, buf_slice(&frame));
}

PARKS static Err tell_batches(Import *im)
{
    Slice *ids, after = slice_of(im->source);
    size_t count;
    do {
        TRY(object_list(im->account, S("import"), after, 1000, &im->arena, &ids, &count));
        for (size_t i = 0; i < count; i++) {
            if (!slice_starts(ids[i], slice_of(im->source))) return OK;
            TRY(tell_batch(im, ids[i]));
        }
        if (count) after = ids[count - 1];
    } while (count == 1000);
    return OK;
}

PARKS static void tell_marks(void *arg)
{
    Import *im = arg;
    im->err = account_open(im->talk->house->store, im->acct, &im->account);
    if (im->err) return;
    im->err = tell_batches(im);
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
        if (!more) return flush_batch(im, true);
        bool folder = frame.len && frame.at[0] == 'F';
        TRY(folder ? take_folder(im, slice_from(frame, 1)) : take_message(im, frame));
    }
}

PARKS static int say_result(Import *im, Err err)
{
    int64_t ms = MAX(now_ms() - im->began_ms, (int64_t)1);
    talk_out(im->talk, "%llu messages imported, %llu octets, %llu messages/s\n",
             (unsigned long long)im->done, (unsigned long long)im->done_octets,
             (unsigned long long)(im->done * 1000 / (uint64_t)ms));
    if (err) return talk_fail(im->talk, err);
    if (!im->skipped) return EXIT_OK;
    talk_err(im->talk, "posthouse import: %llu messages were left out\n",
             (unsigned long long)im->skipped);
    return EXIT_DATA;
}

static void name_source(Import *im, Slice path)
{
    Buf hex buf_scoped = {0};
    uint64_t mark = transfer_mark(path, (Slice){0});
    hex_encode(&hex, slice(&mark, sizeof mark));
    memcpy(im->source, hex.at, sizeof im->source - 1);
}

/* import LOGIN SOURCE [TOTAL] */
PARKS int verb_import(Talk *t)
{
    if (t->arg_count < 3 || t->arg_count > 4) return talk_usage(t);
    Import *im = NEW(Import);
    *im = (Import){.talk = t, .began_ms = now_ms()};
    name_source(im, t->args[2]);
    if (t->arg_count < 4 || !slice_to_u64(t->args[3], &im->total)) im->total = 0;
    Err err = talk_account(t, t->args[1], &im->acct);
    int code = err ? talk_fail(t, err) : say_result(im, import(im));
    for (size_t i = 0; i < im->count; i++)
        draft_free(im->batch[i].draft);
    buf_done(&im->mailbox);
    arena_done(&im->arena);
    free(im);
    return code;
}
