#include "store/model.h"

/* Annotations of messages (RFC 5257). All of one message are one object in the collection "note",
 * so that COPY and EXPUNGE find them at once; the slot says by MARK_ANNOTATED whether there is one,
 * so messages without cost nothing:
 *
 *     id     u32 mailbox   u32 uid      (big-endian)
 *     value  { varint who (0: shared)   varint length, entry   varint length, value } ... */

enum { NOTES_MOST = 1000 * 1000 }; /* octets of all annotations of one message */

typedef struct {
    uint32_t who;
    Slice entry, value;
} Note;

static bool note_next(Reader *in, Note *n)
{
    if (!in->rest.len) return false;
    n->who = (uint32_t)read_varint(in);
    n->entry = read_bytes(in);
    n->value = read_bytes(in);
    return !in->bad;
}

static void note_put(Buf *out, const Note *n)
{
    buf_varint(out, n->who);
    buf_bytes(out, n->entry);
    buf_bytes(out, n->value);
}

/* What is stored; empty when there is nothing. */
static Err notes_read(Account *a, uint32_t mailbox, const Message *m, Arena *arena, Slice *stored)
{
    *stored = (Slice){0};
    if (!(m->marks & MARK_ANNOTATED)) return OK;
    AnnotationId id = annotation_id(mailbox, m->uid, (Slice){0});
    Err err = object_find(a, S("note"), id_slice(&id), arena, stored, NULL);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* The same; empty also when it cannot be read: it is lost, the message is not. */
static Slice notes_of(Account *a, uint32_t mailbox, const Message *m, Arena *arena)
{
    Slice stored;
    return notes_read(a, mailbox, m, arena, &stored) ? (Slice){0} : stored;
}

static void encode_changes(Buf *out, uint32_t who, const Annotations *set)
{
    for (size_t i = 0; i < set->count; i++) {
        const Annotation *one = &set->list[i];
        buf_varint(out, one->shared ? 0 : annotation_who(one, who));
        buf_u8(out, one->value.at != NULL);
        buf_bytes(out, one->entry);
        buf_bytes(out, one->value);
    }
}

static bool is_changed_by(Slice changes, const Note *n)
{
    Reader in = reader(changes);
    NoteChange c;
    while (note_change_next(&in, &c))
        if (c.who == n->who && slice_eq(c.entry, n->entry)) return true;
    return false;
}

/* Is the last word on it? A later one in the same list wins. */
static bool is_last(Reader rest, const NoteChange *c)
{
    NoteChange later;
    while (note_change_next(&rest, &later))
        if (later.who == c->who && slice_eq(later.entry, c->entry)) return false;
    return true;
}

/* What is stored after these changes. */
static void notes_merge(Slice stored, Slice changes, Buf *out)
{
    Reader in = reader(stored);
    Note n;
    NoteChange c;
    while (note_next(&in, &n))
        if (!is_changed_by(changes, &n)) note_put(out, &n);
    in = reader(changes);
    while (note_change_next(&in, &c))
        if (c.on && is_last(in, &c)) note_put(out, &(Note){c.who, c.entry, c.value});
}

static bool notes_find(Slice stored, uint32_t who, Slice entry, Slice *value)
{
    Reader in = reader(stored);
    Note n;
    while (note_next(&in, &n)) {
        if (n.who != who || !slice_eq(n.entry, entry)) continue;
        *value = n.value;
        return true;
    }
    return false;
}

static bool notes_differ(Slice stored, Slice changes)
{
    Reader in = reader(changes);
    NoteChange c;
    while (note_change_next(&in, &c)) {
        Slice value;
        bool was = notes_find(stored, c.who, c.entry, &value);
        if (was != c.on || (was && !slice_eq(value, c.value))) return true;
    }
    return false;
}

/* `all`: everybody's, else those that the handle's user may see. */
static Err list_notes(Mailbox *box, const Message *m, bool all, Arena *arena, Annotations *out)
{
    *out = (Annotations){0};
    if (!(box->rights & RIGHT_READ)) return fail(ERR_FORBIDDEN, "no right to read");
    Slice stored = notes_of(box->account, box->box->s.id, m, arena);
    Reader in = reader(stored);
    Note n;
    size_t room = 0;
    while (note_next(&in, &n))
        room++;
    out->list = arena_array(arena, Annotation, room + 1);
    in = reader(stored);
    while (note_next(&in, &n)) {
        if (n.who && n.who != box->who && !all) continue;
        out->list[out->count++] = (Annotation){
            .entry = n.entry, .value = n.value, .shared = !n.who, .who = all ? n.who : 0};
    }
    return OK;
}

PARKS Err message_annotations(Mailbox *box, const Message *m, Arena *arena, Annotations *out)
{
    return list_notes(box, m, false, arena, out);
}

PARKS Err message_annotations_of_all(Mailbox *box, const Message *m, Arena *arena, Annotations *out)
{
    if (box->who != box->account->number) return fail(ERR_FORBIDDEN, "not the owner");
    return list_notes(box, m, true, arena, out);
}

/* ---- changing them ---- */

static size_t notes_count(Slice stored, uint32_t who)
{
    Reader in = reader(stored);
    Note n;
    size_t count = 0;
    while (note_next(&in, &n))
        if (!n.who || n.who == who) count++;
    return count;
}

static Err merged_fits(const Mailbox *box, Slice merged)
{
    if (merged.len > NOTES_MOST || notes_count(merged, box->who) > annotations_most(box->account))
        return fail(ERR_LIMIT, "too many annotations");
    return OK;
}

/* RFC 5257 3.4: "r" for private ones, "n" to change shared ones. */
static Err may_note(const Mailbox *box, const Annotations *set)
{
    for (size_t i = 0; i < set->count; i++) {
        unsigned need = set->list[i].shared ? RIGHT_ANNOTATE : RIGHT_READ;
        if (!(box->rights & need)) return fail(ERR_FORBIDDEN, "no right to annotate");
    }
    return annotations_check(box->account, set);
}

Err notes_prepare(const Mailbox *box, const Annotations *set, Change *c)
{
    Buf changes buf_scoped = {0}, merged buf_scoped = {0};
    if (!set->count) return OK;
    TRY(may_note(box, set));
    encode_changes(&changes, box->who, set);
    notes_merge((Slice){0}, buf_slice(&changes), &merged);
    TRY(merged_fits(box, buf_slice(&merged)));
    return change_reserve_one(c, QUOTA_ANNOTATION, merged.len);
}

void notes_op(const Mailbox *box, const UidSet *uids, const Annotations *set, Change *c)
{
    Buf changes buf_scoped = {0};
    if (!set->count) return;
    encode_changes(&changes, box->who, set);
    change_op(c,
              &(Op){.kind = OP_ANNOTATE, .mailbox = box->box->s.id, .value = buf_slice(&changes)},
              &(OpLists){.uids = uids});
}

typedef struct {
    Mailbox *box;
    Slice changes;
    const uint64_t *unchanged_since;
    Arena *arena;
    UidSet changed, *modified;
    uint64_t grows, shrinks;
} Noting;

static Err look_at(Noting *t, const Message *m)
{
    Arena arena arena_scoped = {0};
    Buf merged buf_scoped = {0};
    if (t->unchanged_since && m->modseq > *t->unchanged_since) {
        if (t->modified) uidset_add(t->arena, t->modified, m->uid, m->uid);
        return OK;
    }
    Slice stored;
    TRY(notes_read(t->box->account, t->box->box->s.id, m, &arena, &stored));
    if (!notes_differ(stored, t->changes)) return OK;
    notes_merge(stored, t->changes, &merged);
    TRY(merged_fits(t->box, buf_slice(&merged)));
    t->grows += merged.len;
    t->shrinks += stored.len;
    uidset_add(t->arena, &t->changed, m->uid, m->uid);
    return OK;
}

static Err look_at_all(Noting *t, const UidSet *uids)
{
    for (size_t i = 0; i < uids->count; i++) {
        const Message *m = box_next(t->box->box, uids->ranges[i].first);
        for (; m && m->uid <= uids->ranges[i].last; m = box_next(t->box->box, m->uid + 1))
            TRY(look_at(t, m));
    }
    return OK;
}

PARKS Err mailbox_annotate_messages(Mailbox *box, const UidSet *uids, const Annotations *set,
                                    const uint64_t *unchanged_since, Arena *a, UidSet *modified,
                                    uint64_t *modseq)
{
    Change c change_scoped = {0};
    Buf changes buf_scoped = {0};
    *modseq = 0;
    TRY(may_note(box, set));
    encode_changes(&changes, box->who, set);
    TRY(change_begin_alone(box->account, &c));
    TRY(mailbox_check(box));
    TRY(box_load(box->box));
    Noting t = {.box = box,
                .changes = buf_slice(&changes),
                .unchanged_since = unchanged_since,
                .arena = a,
                .modified = modified};
    TRY(look_at_all(&t, uids));
    if (!t.changed.count) return OK;
    if (t.grows > t.shrinks) TRY(change_reserve_one(&c, QUOTA_ANNOTATION, t.grows - t.shrinks));
    notes_op(box, &t.changed, set, &c);
    TRY(change_commit(&c));
    *modseq = change_seq(&c);
    return OK;
}

/* ---- applying ---- */

static void store_notes(Account *a, uint64_t seq, uint32_t mailbox, Message *m, Slice stored)
{
    AnnotationId id = annotation_id(mailbox, m->uid, (Slice){0});
    bool on = stored.len > 0;
    if (on || m->marks & MARK_ANNOTATED)
        object_apply(a, seq, S("note"), id_slice(&id), on ? &stored : NULL);
    m->marks = (uint8_t)(on ? m->marks | MARK_ANNOTATED : m->marks & ~MARK_ANNOTATED);
}

void notes_apply(Account *a, uint64_t seq, uint32_t mailbox, Message *m, Slice changes)
{
    Arena arena arena_scoped = {0};
    Buf merged buf_scoped = {0};
    notes_merge(notes_of(a, mailbox, m, &arena), changes, &merged);
    store_notes(a, seq, mailbox, m, buf_slice(&merged));
}

/* RFC 5257 4.6: the shared ones, and those of who copies; everybody's when nobody does. */
void notes_apply_copy(Account *a, uint64_t seq, const NotesCopy *how, const Message *source,
                      Message *copy)
{
    Arena arena arena_scoped = {0};
    Buf kept buf_scoped = {0};
    copy->marks &= (uint8_t)~MARK_ANNOTATED;
    if (!(source->marks & MARK_ANNOTATED)) return;
    Reader in = reader(notes_of(a, how->from, source, &arena));
    Note n;
    while (note_next(&in, &n))
        if (n.who ? n.who == how->who || how->who == NOTES_OF_ALL : how->shared)
            note_put(&kept, &n);
    store_notes(a, seq, how->to, copy, buf_slice(&kept));
}

void notes_drop(Account *a, uint64_t seq, uint32_t mailbox, const Message *m)
{
    Message gone = *m;
    store_notes(a, seq, mailbox, &gone, (Slice){0});
}

uint64_t notes_octets(Account *a, uint32_t mailbox, const Message *m)
{
    uint64_t len = 0;
    AnnotationId id = annotation_id(mailbox, m->uid, (Slice){0});
    if (m->marks & MARK_ANNOTATED) (void)!object_length(a, S("note"), id_slice(&id), &len);
    return len;
}
