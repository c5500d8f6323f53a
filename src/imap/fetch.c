#include "imap/fetch.h"

#include "mail/decode.h"

enum {
    PIECE = 256 * 1024,
    WHOLE_MOST = 1024 * 1024, /* up to here a section is read at once, and its checksum verified
                                 before it is announced */
    BINARY_MOST = 64 << 20,   /* decoded in memory */
};

typedef struct {
    Imap *s;
    const Fetch *fetch;
    Message m;
    uint32_t number;
    bool seen_now; /* this FETCH has set \Seen: tell FLAGS too */
    Arena arena;   /* of one message */
    Err trouble;   /* the first message that could not be read, or BINARY refused */
} Fetching;

/* ---- octets ---- */

static void put_literal_head(Buf *out, uint64_t len, bool eight)
{
    if (eight) buf_char(out, '~');
    buf_char(out, '{');
    buf_number(out, len);
    buf_add(out, S("}\r\n"));
}

static void put_name(Buf *out, const FetchItem *item)
{
    buf_add(out, item->name);
    if (item->partial) {
        buf_char(out, '<');
        buf_number(out, item->offset);
        buf_char(out, '>');
    }
    buf_char(out, ' ');
}

static void clip(const FetchItem *item, uint64_t *at, uint64_t *len)
{
    if (!item->partial) return;
    uint64_t skip = MIN(item->offset, *len);
    *at += skip;
    *len = MIN(*len - skip, item->most);
}

/* What cannot be read is told as NIL, and the command ends with NO. */
static void put_trouble(Fetching *f, Buf *out, size_t back_to, Err err)
{
    out->len = back_to;
    buf_add(out, S("NIL"));
    if (!f->trouble) f->trouble = err;
}

/* A failure in the middle of a literal leaves no way to say so: the connection ends. */
PARKS static void put_long(Fetching *f, uint64_t at, uint64_t len)
{
    Imap *s = f->s;
    while (len && !stream_error(s->stream)) {
        Buf *out = stream_out(s->stream);
        size_t piece = (size_t)MIN(len, (uint64_t)PIECE);
        Err err = email_read(s->account, f->m.eid, at, buf_reserve(out, piece), piece);
        if (err) {
            stream_fail(s->stream, err);
            return;
        }
        out->len += piece;
        at += piece, len -= piece;
        if (stream_drain(s->stream)) return;
    }
}

PARKS static void put_octets(Fetching *f, uint64_t at, uint64_t len)
{
    Imap *s = f->s;
    Buf *out = stream_out(s->stream);
    size_t before = out->len;
    put_literal_head(out, len, false);
    size_t first = (size_t)(len <= WHOLE_MOST ? len : PIECE);
    Err err = email_read(s->account, f->m.eid, at, buf_reserve(out, first + 1), first);
    if (err) {
        put_trouble(f, out, before, err);
        return;
    }
    out->len += first;
    if (first < len) put_long(f, at + first, len - first);
}

PARKS static void put_section(Fetching *f, const FetchItem *item)
{
    SectionOctets octets;
    Buf *out = stream_out(f->s->stream);
    Err err = section_find(f->s, &f->m, &item->section, &f->arena, &octets);
    put_name(out, item);
    if (err == ERR_NOT_FOUND) {
        buf_add(out, S("NIL"));
    } else if (err) {
        put_trouble(f, out, out->len, err);
    } else if (octets.is_made) {
        uint64_t at = 0, len = octets.made.len;
        clip(item, &at, &len);
        put_literal_head(out, len, false);
        buf_add(out, slice(octets.made.at + at, (size_t)len));
    } else {
        clip(item, &octets.at, &octets.len);
        put_octets(f, octets.at, octets.len);
    }
}

/* ---- BINARY ---- */

PARKS static Err decode_part(Fetching *f, const MailPart *part, Buf *out)
{
    ContentDecoder decoder = {.encoding = part->encoding};
    if (part->body_len > BINARY_MOST)
        return fail(ERR_LIMIT, "a part of more than 64 MiB is not decoded");
    Buf piece buf_scoped = {0};
    char *room = buf_reserve(&piece, PIECE);
    for (uint64_t done = 0; done < part->body_len;) {
        size_t len = (size_t)MIN((uint64_t)PIECE, part->body_len - done);
        TRY(email_read(f->s->account, f->m.eid, part->body_at + done, room, len));
        content_decode(&decoder, slice(room, len), out);
        done += len;
    }
    content_decode_end(&decoder, out);
    return OK;
}

PARKS static void put_binary(Fetching *f, const FetchItem *item)
{
    Buf decoded buf_scoped = {0}, *out = stream_out(f->s->stream);
    MailPart part;
    Err err = section_binary(f->s, &f->m, &item->section, &f->arena, &part);
    if (!err) err = decode_part(f, &part, &decoded);
    put_name(out, item);
    if (err) {
        bool none = err == ERR_NOT_FOUND;
        put_trouble(f, out, out->len, none ? f->trouble : err);
        return;
    }
    uint64_t at = 0, len = decoded.len;
    clip(item, &at, &len);
    Slice octets = slice(decoded.at + at, (size_t)len);
    put_literal_head(out, len, octets.len && memchr(octets.at, 0, octets.len));
    buf_add(out, octets);
}

PARKS static Err binary_size(Fetching *f, const FetchItem *item, uint64_t *size)
{
    Buf decoded buf_scoped = {0};
    MailPart part;
    TRY(section_binary(f->s, &f->m, &item->section, &f->arena, &part));
    *size = part.body_len;
    if (part.encoding != CTE_BASE64 && part.encoding != CTE_QUOTED_PRINTABLE) return OK;
    TRY(decode_part(f, &part, &decoded));
    *size = decoded.len;
    return OK;
}

PARKS static void put_binary_size(Fetching *f, const FetchItem *item)
{
    uint64_t size = 0;
    Err err = binary_size(f, item, &size);
    if (err && err != ERR_NOT_FOUND && !f->trouble) f->trouble = err;
    put_name(stream_out(f->s->stream), item);
    buf_number(stream_out(f->s->stream), size);
}

/* ---- what the summary holds ---- */

PARKS static void put_summary(Fetching *f, const FetchItem *item)
{
    MailSummary summary;
    Slice stored;
    Err err = email_summary(f->s->account, f->m.eid, &stored);
    if (!err) err = mail_summary_peek(stored, &summary);
    Buf *out = stream_out(f->s->stream);
    buf_add(out, item->type == ITEM_ENVELOPE ? S("ENVELOPE ")
                 : item->type == ITEM_BODY   ? S("BODY ")
                                             : S("BODYSTRUCTURE "));
    if (err)
        put_trouble(f, out, out->len, err);
    else if (item->type == ITEM_ENVELOPE)
        buf_add(out, summary.envelope);
    else if (item->type == ITEM_BODYSTRUCTURE)
        buf_add(out, summary.body_structure);
    else
        mail_body_of_structure(out, summary.body_structure);
}

/* ---- one message ---- */

static void put_number(Buf *out, const char *name, uint64_t n)
{
    buf_add(out, slice_of(name));
    buf_number(out, n);
}

static void put_flags(Fetching *f, Buf *out)
{
    buf_add(out, S("FLAGS "));
    imap_put_flags(f->s, out, &f->m);
}

PARKS static void put_item(Fetching *f, const FetchItem *item)
{
    Buf *out = stream_out(f->s->stream);
    switch (item->type) {
    case ITEM_UID:
        put_number(out, "UID ", f->m.uid);
        return;
    case ITEM_FLAGS:
        put_flags(f, out);
        return;
    case ITEM_SIZE:
        put_number(out, "RFC822.SIZE ", f->m.size);
        return;
    case ITEM_INTERNALDATE:
        buf_add(out, S("INTERNALDATE "));
        imap_put_date_time(out, f->m.date);
        return;
    case ITEM_MODSEQ:
        put_number(out, "MODSEQ (", f->m.modseq);
        buf_char(out, ')');
        return;
    case ITEM_ENVELOPE:
    case ITEM_BODY:
    case ITEM_BODYSTRUCTURE:
        put_summary(f, item);
        return;
    case ITEM_SECTION:
        put_section(f, item);
        return;
    case ITEM_BINARY:
        put_binary(f, item);
        return;
    case ITEM_BINARY_SIZE:
        put_binary_size(f, item);
        return;
    }
}

/* What changed by fetching is told with it: FLAGS (RFC 9051 6.4.5, \Seen), UID and MODSEQ as RFC
 * 7162 3.1.4 asks. */
static void put_seen(Fetching *f, Buf *out)
{
    if (!f->fetch->wants_flags) {
        buf_char(out, ' ');
        put_flags(f, out);
    }
    if (!imap_has(f->s, ENABLED_CONDSTORE) || f->fetch->changed_since) return;
    put_number(out, " MODSEQ (", f->m.modseq);
    buf_char(out, ')');
}

PARKS static void tell_message(Fetching *f)
{
    Buf *out = stream_out(f->s->stream);
    put_number(out, "* ", f->number);
    buf_add(out, S(" FETCH ("));
    for (size_t i = 0; i < f->fetch->count; i++) {
        if (i) buf_char(out, ' ');
        put_item(f, &f->fetch->items[i]);
    }
    if (f->seen_now) put_seen(f, out);
    buf_add(out, S(")\r\n"));
    arena_reset(&f->arena);
}

/* ---- all of them ---- */

/* The next message to tell with uid >= *uid. CHANGEDSINCE jumps over what did not change. */
static bool next(Fetching *f, const UidSet *uids, uint32_t *uid)
{
    bool gone;
    while (uidset_next(uids, uid)) {
        if (f->fetch->changed_since) {
            const Message *changed = mailbox_next_changed(f->s->box, *uid, f->fetch->modseq);
            if (!changed) return false;
            if (changed->uid != *uid) {
                *uid = changed->uid;
                continue;
            }
        }
        if (!view_next(f->s->view, *uid, &f->m, &f->number, &gone)) return false;
        if (f->m.uid == *uid || (!f->fetch->changed_since && uidset_has(uids, f->m.uid)))
            return true;
        *uid = f->m.uid;
    }
    return false;
}

/* \Seen is set for all of them in one commit, before the first octet goes out. A disk that is full
 * must not keep anybody from reading. */
PARKS static uint64_t set_seen(Imap *s, const Fetch *f, const UidSet *uids, UidSet *unseen)
{
    Fetching probe = {.s = s, .fetch = f};
    uint64_t modseq = 0;
    if (!f->sets_seen || s->read_only || !(mailbox_rights(s->box) & RIGHT_SEEN)) return 0;
    for (uint32_t uid = 1; next(&probe, uids, &uid); uid++) {
        uid = probe.m.uid;
        if (!(probe.m.flags & FLAG_SEEN)) uidset_add(&s->arena, unseen, uid, uid);
        if (uid == UINT32_MAX) break;
    }
    if (!unseen->count) return 0;
    FlagChange seen = {.how = CHANGE_ADD, .flags = FLAG_SEEN};
    if (mailbox_change(s->box, unseen, &seen, &s->arena, NULL, &modseq)) *unseen = (UidSet){0};
    if (modseq) view_mark_own(s->view, modseq);
    return modseq;
}

PARKS static Err tell_messages(Imap *s, const Fetch *fetch, const UidSet *uids,
                               const UidSet *unseen)
{
    Fetching f = {.s = s, .fetch = fetch};
    for (uint32_t uid = 1; next(&f, uids, &uid); uid++) {
        uid = f.m.uid;
        f.seen_now = uidset_has(unseen, uid);
        tell_message(&f);
        if (stream_drain(s->stream)) break;
        breathe();
        if (uid == UINT32_MAX) break;
    }
    arena_done(&f.arena);
    return f.trouble;
}

/* RFC 7162 3.2.6: what vanished since, before the FETCH responses. */
PARKS static Err tell_vanished(Imap *s, const Fetch *f, const UidSet *uids)
{
    UidSet vanished = {0};
    bool complete;
    if (!f->vanished) return OK;
    TRY(mailbox_vanished(s->box, f->modseq, &s->arena, &vanished, &complete));
    imap_tell_vanished_earlier(s, &vanished, uids, 0);
    return OK;
}

Err imap_cmd_fetch(Imap *s)
{
    Fetch f = {0};
    UidSet uids, unseen = {0};
    TRY(fetch_parse(s, &f));
    TRY(imap_resolve(s, &f.set, &uids));
    TRY(tell_vanished(s, &f, &uids));
    /* CHANGEDSINCE picks by the mod-sequences before \Seen is set. */
    set_seen(s, &f, &uids, &unseen);
    Err trouble = tell_messages(s, &f, &uids, &unseen);
    if (trouble == ERR_UNKNOWN_CTE) return imap_no(s, "[UNKNOWN-CTE] Cannot decode that part");
    if (trouble == ERR_SYNTAX) return imap_no(s, "BINARY is for leaf parts only");
    if (trouble) return trouble;
    return imap_ok(s, "FETCH completed");
}
