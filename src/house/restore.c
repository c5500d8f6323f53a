/* restore, in the house: takes messages of a backup, as import does, into an account that may have
 * them. A message is there already when its folder has one of the same size and date with the same
 * octets; each that is there stands for one that comes. */
#include "house/restore.h"
#include "auth/auth.h"
#include "base/text.h"
#include "store/digest.h"

#include <stdlib.h>

enum {
    BATCH_MESSAGES = 200,
    BATCH_OCTETS = 8 << 20,
    KEYWORDS_MOST = 64,
    PIECE = 64 << 10,
    OTHERS_MS = 30 * 1000,
    NOTES_MOST = 1000, /* annotations of a message, and others who have seen it */
};

typedef struct {
    Draft *draft;
    DraftPlace place;
    uint64_t size;
    uint8_t sha256[32];
    Slice keywords[KEYWORDS_MOST];
    Annotation *notes; /* NOTES_MOST, when there is one; in the batch's arena */
    uint32_t *seen_by;
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
    Belongings belongings;
    bool alone; /* nobody else restores into it */
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

/* With --replace. */
PARKS static Err make_what_it_was(Restore *r, Mailbox *box, const There *t, const Incoming *in)
{
    UidRange one = {t->uid, t->uid};
    UidSet uids = {.ranges = &one, .count = 1};
    FlagChange change = {
        .how = CHANGE_REPLACE, .flags = in->place.flags, .keywords = in->place.keywords};
    uint64_t modseq;
    if (in->place.annotations.count)
        TRY(mailbox_annotate_messages(box, &uids, &in->place.annotations, NULL, &r->arena, NULL,
                                      &modseq));
    return mailbox_change(box, &uids, &change, &r->arena, NULL, &modseq);
}

/* One that cannot be read does not count as there: the whole one comes back beside it. */
PARKS static const There *find_there(Restore *r, Mailbox *box, const Incoming *in)
{
    for (size_t i = first_of(r, in); i < r->there_count; i++) {
        There *t = &r->there[i];
        if (t->size != in->size || t->date != (uint32_t)in->place.date) return NULL;
        if (t->taken || (!t->hashed && hash_there(r, box, t))) continue;
        if (memcmp(t->sha256, in->sha256, sizeof t->sha256) != 0) continue;
        t->taken = true;
        return t;
    }
    return NULL;
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
        const There *t = find_there(r, box, &r->batch[i]);
        if (t && r->belongings.replace) TRY(make_what_it_was(r, box, t, &r->batch[i]));
        if (t) continue;
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
    r->err = belongings_mailbox(&r->belongings, r->account, buf_slice(&r->mailbox), &box);
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

static void keep_note(Restore *r, Incoming *in, const Thing *t, uint32_t who)
{
    Annotations *notes = &in->place.annotations;
    if (!in->notes) in->notes = arena_array(&r->arena, Annotation, NOTES_MOST);
    notes->list = in->notes;
    notes->list[notes->count++] = (Annotation){.entry = arena_copy(&r->arena, t->name),
                                               .value = arena_copy(&r->arena, t->value),
                                               .shared = !who,
                                               .who = who};
    r->octets += t->value.len;
}

static void keep_seen(Restore *r, Incoming *in, uint32_t who)
{
    if (!in->seen_by) in->seen_by = arena_array(&r->arena, uint32_t, NOTES_MOST);
    in->seen_by[in->place.seen_by_count++] = who;
    in->place.seen_by = in->seen_by;
}

PARKS static Err take_note(Restore *r, Incoming *in, const Thing *t)
{
    Belongings *b = &r->belongings;
    Slice box = buf_slice(&r->mailbox);
    bool fits = in->place.annotations.count < NOTES_MOST && in->place.seen_by_count < NOTES_MOST &&
                t->value.len <= annotation_value_most(r->talk->house->store);
    uint32_t who = 0;
    if (t->kind != THING_NOTE && t->kind != THING_SEEN)
        return fail(ERR_SYNTAX, "a thing out of place");
    if (t->login.len) who = belongings_who(b, t->login, t->acct, box);
    if (t->login.len && !who) return OK;
    if (!fits)
        belongings_left_out(b, box, "an annotation of a message");
    else if (t->kind == THING_NOTE)
        keep_note(r, in, t, who);
    else if (who && who != r->acct)
        keep_seen(r, in, who);
    return OK;
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
        if (frame.at[0] == 'T') {
            Thing thing;
            TRY(thing_decode(frame, &thing));
            TRY(take_note(r, in, &thing));
            continue;
        }
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

PARKS static Err take_folder(Restore *r, Slice frame)
{
    TransferMeta meta;
    TRY(transfer_meta_decode(slice_from(frame, 1), &meta));
    return enter_mailbox(r, meta.mailbox);
}

/* Behind what came before it. */
PARKS static Err take_thing(Restore *r, Slice frame)
{
    Thing thing;
    TRY(thing_decode(frame, &thing));
    TRY(flush_batch(r));
    return belongings_take(&r->belongings, &thing);
}

/* ---- whose ---- */

/* An account that is gone is made again. Its old password is not put back: hashes do not pass
 * through here. */
PARKS static Err make_account(Restore *r, bool whole)
{
    uint8_t octets[24];
    Buf password buf_scoped = {0};
    Slice login = buf_slice(&r->belongings.login);
    if (whole) TRY(belongings_mark(&r->belongings, MARK_MAKING));
    random_bytes(octets, sizeof octets);
    hex_encode(&password, slice(octets, sizeof octets));
    Err err = user_add(r->talk->house->auth, login, buf_slice(&password));
    wipe(octets, sizeof octets);
    wipe(password.at, password.len);
    TRY(err);
    talk_out(r->talk, "%.*s was made again; give it a password: posthouse user password %.*s\n",
             SP(login), SP(login));
    r->belongings.made = true;
    return talk_account(r->talk, login, &r->acct);
}

/* One at a time: what is there is looked at before anything comes. Of a tool that was killed some
 * may still be on its way. */
PARKS static Err wait_for_others(const Restore *r)
{
    int64_t until = now_ms() + OTHERS_MS;
    while (number_table_get(&r->talk->house->restoring, r->acct)) {
        if (now_ms() > until || fiber_sleep(20) == WOKEN_CANCELLED)
            return fail(ERR_IN_USE, "something is being restored into that account");
    }
    return OK;
}

PARKS static Err find_account(Restore *r, bool whole)
{
    TRY(login_normalise(r->talk->args[1], &r->belongings.login));
    Err err = talk_account(r->talk, r->talk->args[1], &r->acct);
    if (err && err != ERR_AUTH) return err;
    if (err) TRY(make_account(r, whole));
    r->belongings.acct = r->acct;
    TRY(wait_for_others(r));
    number_table_put(&r->talk->house->restoring, r->acct, r);
    r->alone = true;
    return whole && !err ? belongings_mark(&r->belongings, MARK_ASK) : OK;
}

/* ---- all of it ---- */

PARKS static Err take_frame(Restore *r, Slice frame)
{
    char kind = frame.len ? frame.at[0] : 0;
    if (kind == 'F') return take_folder(r, frame);
    return kind == 'T' ? take_thing(r, frame) : take_message(r, frame);
}

PARKS static Err take_all(Restore *r)
{
    Slice frame;
    bool more = true;
    while (more) {
        TRY(talk_take(r->talk, &frame, &more));
        bool whole = more && frame.len > 1 && frame.at[0] == 'T' && frame.at[1] == THING_WHOLE;
        if (more && !r->alone) TRY(find_account(r, whole));
        TRY(more ? take_frame(r, frame) : flush_batch(r));
    }
    return OK;
}

PARKS static int say_result(Restore *r, Err err)
{
    const Belongings *b = &r->belongings;
    Buf line buf_scoped = {0};
    buf_printf(&line, "%llu messages restored, %llu were there", (unsigned long long)r->done,
               (unsigned long long)r->passed_over);
    if (b->wanted)
        buf_printf(&line, "; %llu settings restored, %llu were there", (unsigned long long)b->done,
                   (unsigned long long)b->there);
    if (b->left_out) buf_printf(&line, ", %llu left out", (unsigned long long)b->left_out);
    talk_out(r->talk, "%.*s\n", SP(buf_slice(&line)));
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
    r->talk = r->belongings.talk = t;
    if (t->arg_count == 3) r->into = t->args[2];
    Err err = take_all(r);
    if (r->alone) number_table_take(&t->house->restoring, r->acct);
    int code = err && !r->alone ? talk_fail(t, err) : say_result(r, err);
    for (size_t i = 0; i < r->count; i++)
        draft_free(r->batch[i].draft);
    free(r->there);
    buf_done(&r->mailbox);
    belongings_done(&r->belongings);
    arena_done(&r->arena);
    free(r);
    return code;
}
