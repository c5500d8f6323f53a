#include "house/transfer.h"

#include <stdlib.h>

/* ---- in the house ---- */

enum { ROUND_OCTETS = 2 << 20 }; /* what is gathered on the home loop before it is sent */

typedef struct {
    Talk *talk;
    const ExportWhat *what;
    MailboxEntry *entries;
    size_t count, at; /* the mailbox we are in */
    uint32_t next_uid;
    uint64_t offset;         /* into the message next_uid, when it was begun; else 0 */
    bool begun, over, found; /* found: the mailbox asked for, or any */
    bool entered;            /* the mailbox */
    uint64_t done;
    Things things;
    Arena arena;
    Err err;
} Export;

PARKS static Err give_meta(Export *x, Mailbox *box, const Message *m)
{
    Buf frame buf_scoped = {0};
    Account *account = mailbox_account(box);
    TransferMeta meta = {.mailbox = mailbox_name(box),
                         .keywords = account_keywords(account, m->kwset),
                         .date = m->date,
                         .size = m->size,
                         .uid = m->uid,
                         .uid_validity = mailbox_status(box).uid_validity,
                         .uid_next = mailbox_status(box).uid_next,
                         .flags = m->flags};
    transfer_meta_encode(&frame, &meta);
    return talk_give(x->talk, buf_slice(&frame));
}

/* A mailbox is there even when it has no message. */
PARKS static Err give_folder(Export *x, Mailbox *box)
{
    Buf frame buf_scoped = {0};
    MailboxStatus status = mailbox_status(box);
    TransferMeta meta = {.mailbox = mailbox_name(box),
                         .uid_validity = status.uid_validity,
                         .uid_next = status.uid_next};
    buf_char(&frame, 'F');
    transfer_meta_encode(&frame, &meta);
    return talk_give(x->talk, buf_slice(&frame));
}

static bool is_wanted(const Export *x, const Message *m)
{
    const ExportWhat *w = x->what;
    return (!w->uid || m->uid == w->uid) && (!w->eid || m->eid == w->eid);
}

/* As much of one message as the round has room for. */
PARKS static Err give_message(Export *x, Mailbox *box, const Message *m, size_t *octets)
{
    Account *account = mailbox_account(box);
    if (!x->begun) TRY(give_meta(x, box, m));
    if (!x->begun) TRY(things_of_message(&x->things, box, m));
    x->begun = true;
    while (x->offset < m->size && *octets < ROUND_OCTETS) {
        Buf frame buf_scoped = {0};
        size_t len = (size_t)MIN((uint64_t)TRANSFER_PIECE, m->size - x->offset);
        buf_char(&frame, 'B');
        TRY(email_read(account, m->eid, x->offset, buf_reserve(&frame, len), len));
        frame.len += len;
        TRY(talk_give(x->talk, buf_slice(&frame)));
        x->offset += len, *octets += len;
    }
    if (x->offset < m->size) return OK;
    x->begun = false, x->offset = 0, x->next_uid = m->uid + 1, x->done++;
    return talk_give(x->talk, S("E"));
}

PARKS static Err give_mailbox(Export *x, Mailbox *box, size_t *octets)
{
    bool one = x->what->uid || x->what->eid;
    if (!x->entered && !one) TRY(give_folder(x, box));
    if (!x->entered) TRY(things_enter(&x->things, box));
    x->entered = true;
    while (*octets < ROUND_OCTETS) {
        const Message *at = mailbox_next(box, x->next_uid);
        if (!at || at->uid == UINT32_MAX) break;
        if (x->begun && at->uid != x->next_uid)
            return fail(ERR_EXPUNGED, "a message went while it was exported");
        Message m = *at;
        x->next_uid = m.uid;
        if (is_wanted(x, &m))
            TRY(give_message(x, box, &m, octets));
        else
            x->next_uid++;
    }
    if (*octets >= ROUND_OCTETS) return OK;
    x->at++, x->next_uid = 1, x->entered = false;
    return things_leave(&x->things, box);
}

PARKS static Err give_round(Export *x, Account *account)
{
    size_t octets = 0;
    if (!x->entries) {
        account_mailboxes(account, &x->arena, &x->entries, &x->count);
        TRY(things_begin(&x->things, account));
    }
    while (x->at < x->count && octets < ROUND_OCTETS) {
        const MailboxEntry *e = &x->entries[x->at];
        Mailbox *box scoped(mailbox) = NULL;
        /* what was deleted goes out only when it is asked for */
        Slice only = x->what->only;
        bool wanted = e->exists && (only.len ? slice_eq(e->name, only) : !e->status.kept);
        if (!wanted || mailbox_open(account, x->what->acct, e->name, &box)) {
            x->at++, x->next_uid = 1;
            continue;
        }
        x->found = true;
        TRY(give_mailbox(x, box, &octets));
    }
    x->over = x->at == x->count;
    return x->over ? things_end(&x->things, account) : OK;
}

PARKS static void round_at_home(void *arg)
{
    Export *x = arg;
    Account *account scoped(account) = NULL;
    x->err = account_open(x->what->store, x->what->acct, &account);
    if (!x->err) x->err = give_round(x, account);
}

PARKS static Err export_all(Export *x)
{
    while (!x->over) {
        talk_on_loop(x->talk, store_home(x->what->store, x->what->acct), round_at_home, x);
        TRY(x->err);
        TRY(stream_error(x->talk->stream));
        talk_progress(x->talk, "%llu messages", (unsigned long long)x->done);
    }
    return OK;
}

PARKS Err export_run(Talk *t, const ExportWhat *what, uint64_t *done)
{
    Export x = {
        .talk = t, .what = what, .next_uid = 1, .things = {.talk = t, .what = what}
    };
    Err err = export_all(&x);
    if (!err && what->only.len && !x.found)
        err = fail(ERR_NOT_FOUND, "no mailbox %.*s", SP(what->only));
    things_done(&x.things);
    arena_done(&x.arena);
    *done = x.done;
    return err;
}

/* export LOGIN [MAILBOX] */
PARKS int verb_export(Talk *t)
{
    ExportWhat what = {.store = t->house->store};
    uint64_t done = 0;
    if (t->arg_count < 2 || t->arg_count > 3) return talk_usage(t);
    if (t->arg_count == 3) what.only = t->args[2];
    Err err = talk_account(t, t->args[1], &what.acct);
    if (!err) err = export_run(t, &what, &done);
    if (err) return talk_fail(t, err);
    talk_out(t, "%llu messages exported\n", (unsigned long long)done);
    return EXIT_OK;
}
