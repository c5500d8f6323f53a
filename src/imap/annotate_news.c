/* SELECT (ANNOTATE): which entries other clients have changed (RFC 5257 4.4), never their values.
 */
#include "imap/annotate.h"

#include <stdlib.h>

enum { NOTES_MOST = 200 }; /* beyond, the client only hears of the new mod-sequence */

typedef struct {
    Link link;
    UidRange uids;
    Slice entry; /* behind the struct */
} Note;

struct AnnotateNews {
    Listener listener;
    uint32_t mailbox_id, who;
    const Fiber *self;
    Link notes;
    size_t count;
};

static void add_note(AnnotateNews *n, UidRange uids, Slice entry)
{
    Note *note = mem_zero(sizeof *note + entry.len);
    char *copy = (char *)(note + 1);
    memcpy(copy, entry.at, entry.len);
    note->uids = uids;
    note->entry = slice(copy, entry.len);
    list_add(&n->notes, &note->link);
    n->count++;
}

static void happened(Listener *l, const Happening *h)
{
    AnnotateNews *n = CONTAINER(l, AnnotateNews, listener);
    if (h->kind != HAPPENED_ANNOTATION || h->mailbox_id != n->mailbox_id || h->by == n->self)
        return;
    if ((h->who && h->who != n->who) || n->count == NOTES_MOST) return;
    add_note(n, h->uids, h->identifier);
}

static void drop_notes(AnnotateNews *n)
{
    list_each (l, &n->notes) {
        list_remove(l);
        free(CONTAINER(l, Note, link));
    }
    n->count = 0;
}

PARKS void annotate_watch(Imap *s)
{
    AnnotateNews *n = NEW(AnnotateNews);
    *n = (AnnotateNews){.listener.happened = happened,
                        .mailbox_id = mailbox_status(s->box).id,
                        .who = s->user.acct,
                        .self = fiber_current()};
    list_init(&n->notes);
    account_listen(mailbox_account(s->box), &n->listener);
    s->annotate_news = n;
}

void annotate_forget(Imap *s)
{
    AnnotateNews *n = s->annotate_news;
    if (!n) return;
    account_unlisten(&n->listener);
    drop_notes(n);
    free(n);
    s->annotate_news = NULL;
}

static void put_names(Imap *s, uint32_t uid)
{
    Buf *out = stream_out(s->stream);
    const char *before = "ANNOTATION (";
    list_each (l, &s->annotate_news->notes) {
        const Note *n = CONTAINER(l, Note, link);
        bool told = false;
        if (uid < n->uids.first || uid > n->uids.last) continue;
        list_each (e, &s->annotate_news->notes) { /* private and shared have one name */
            if (e == l) break;
            const Note *earlier = CONTAINER(e, Note, link);
            told = told || (uid >= earlier->uids.first && uid <= earlier->uids.last &&
                            slice_eq(earlier->entry, n->entry));
        }
        if (told) continue;
        buf_add(out, slice_of(before));
        imap_put_astring(out, n->entry);
        before = " ";
    }
}

PARKS static void tell_message(Imap *s, uint32_t number, uint32_t uid)
{
    Buf *out = stream_out(s->stream);
    imap_begin_fetch(s, number, uid);
    if (imap_tells_uid(s)) buf_printf(out, "UID %u ", uid);
    put_names(s, uid);
    buf_add(out, S("))\r\n"));
}

PARKS void annotate_tell_news(Imap *s)
{
    AnnotateNews *n = s->annotate_news;
    UidSet uids = {0};
    Message m;
    uint32_t number;
    bool gone;
    if (!n || !n->count) return;
    list_each (l, &n->notes)
        uidset_add(&s->arena, &uids, CONTAINER(l, Note, link)->uids.first,
                   CONTAINER(l, Note, link)->uids.last);
    for (uint32_t uid = 1; uidset_next(&uids, &uid); uid++) {
        if (!view_next(s->view, uid, &m, &number, &gone)) break;
        uid = m.uid;
        if (uidset_has(&uids, uid) && !gone) tell_message(s, number, uid);
        if (uid == UINT32_MAX) break;
    }
    drop_notes(n);
}

void annotate_keep(const Imap *s, Buf *out)
{
    if (!s->annotate_news) return;
    list_each (l, &s->annotate_news->notes) {
        const Note *n = CONTAINER(l, Note, link);
        buf_u32(out, n->uids.first);
        buf_u32(out, n->uids.last);
        buf_bytes(out, n->entry);
    }
}

Err annotate_resume(Imap *s, Slice kept)
{
    Reader in = reader(kept);
    while (in.rest.len && !in.bad) {
        UidRange uids = {.first = read_u32(&in), .last = read_u32(&in)};
        Slice entry = read_bytes(&in);
        if (!entry.len || !uids.first || uids.last < uids.first) in.bad = true;
        if (s->annotate_news->count == NOTES_MOST) in.bad = true;
        if (!in.bad) add_note(s->annotate_news, uids, entry);
    }
    return in.bad ? fail(ERR_SYNTAX, "notes that do not fit") : OK;
}
