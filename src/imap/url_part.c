/* The octets a URL means: those of FETCH BODY.PEEK[section]<partial> (RFC 5092 6). */
#include "imap/incoming.h"

enum { PIECE = 256 * 1024 };

static Err find_message(Mailbox *box, const ImapUrl *u, Message *out)
{
    if (!(mailbox_rights(box) & RIGHT_READ)) return fail(ERR_NOT_FOUND, "no right to read");
    if (u->uid_validity && u->uid_validity != mailbox_status(box).uid_validity)
        return fail(ERR_NOT_FOUND, "another UIDVALIDITY");
    const Message *m = mailbox_message(box, u->uid);
    if (!m) return fail(ERR_NOT_FOUND, "no such UID");
    *out = *m;
    return OK;
}

static void clip(const ImapUrl *u, SectionOctets *o)
{
    uint64_t skip = u->partial ? MIN(u->offset, o->len) : 0;
    o->len -= skip;
    if (u->partial && u->most) o->len = MIN(o->len, u->most);
    if (o->is_made)
        o->made = slice_first(slice_from(o->made, (size_t)skip), (size_t)o->len);
    else
        o->at += skip;
}

Err url_part_find(Mailbox *box, const ImapUrl *u, Arena *a, UrlPart *out)
{
    Section section = {0};
    *out = (UrlPart){.box = box};
    TRY(find_message(box, u, &out->message));
    if (u->section.at && fetch_section_spec(a, u->section, &section))
        return fail(ERR_NOT_FOUND, "no section-spec");
    TRY(section_find(mailbox_account(box), &out->message, &section, a, &out->octets));
    clip(u, &out->octets);
    return OK;
}

Err url_part_read(UrlPart *p, Buf *buf, Slice *some)
{
    SectionOctets *o = &p->octets;
    size_t len = (size_t)MIN(o->len, (uint64_t)PIECE);
    *some = slice_first(o->made, len);
    if (o->is_made) {
        o->made = slice_from(o->made, len);
    } else {
        buf_clear(buf);
        char *to = buf_reserve(buf, len + 1);
        TRY(email_read(mailbox_account(p->box), p->message.eid, o->at, to, len));
        *some = slice(to, len);
        o->at += len;
    }
    o->len -= len;
    return OK;
}
