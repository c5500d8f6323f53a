/* What is there: STAT, LIST, UIDL; and marking: DELE, RSET, LAST, NOOP (RFC 1939 5, 7). */
#include "base/text.h"
#include "pop3/session.h"

PARKS void pop3_noop(Pop3 *s, Slice nothing)
{
    (void)nothing;
    pop3_ok(s, "Here");
}

PARKS void pop3_stat(Pop3 *s, Slice nothing)
{
    (void)nothing;
    pop3_ok(s, "%u %llu", (unsigned)(s->count - s->deleted),
            (unsigned long long)(s->octets - s->deleted_octets));
}

/* ---- listings: one pass over the view, no message is read ---- */

typedef void AddLine(Pop3 *s, Buf *out, uint32_t number, const Message *m);

static void add_size(Pop3 *s, Buf *out, uint32_t number, const Message *m)
{
    (void)s;
    buf_number(out, number);
    buf_char(out, ' ');
    buf_number(out, m->size);
    buf_add(out, S("\r\n"));
}

static void add_unique_id(Pop3 *s, Buf *out, uint32_t number, const Message *m)
{
    buf_number(out, number);
    buf_char(out, ' ');
    uidls_put(s, out, m);
    buf_add(out, S("\r\n"));
}

PARKS static void list_all(Pop3 *s, AddLine *add)
{
    Message m;
    uint32_t number = 0, uid = 1;
    bool gone;
    Buf *out = stream_out(s->stream);
    while (maildrop_next(s, &uid, &number, &m, &gone)) {
        if (!(maildrop_marks(s, number) & MARK_DELETED)) add(s, out, number, &m);
        if (number % 1024 == 0) {
            if (stream_drain(s->stream)) return;
            breathe();
        }
    }
    buf_add(out, S(".\r\n"));
}

PARKS static void list_one(Pop3 *s, AddLine *add, Slice text)
{
    uint32_t number;
    Message m;
    if (!pop3_message(s, text, &number, &m)) return;
    buf_add(stream_out(s->stream), S("+OK "));
    add(s, stream_out(s->stream), number, &m);
}

PARKS void pop3_list(Pop3 *s, Slice text)
{
    if (text.len) {
        list_one(s, add_size, text);
        return;
    }
    pop3_ok(s, "%u messages (%llu octets)", (unsigned)(s->count - s->deleted),
            (unsigned long long)(s->octets - s->deleted_octets));
    list_all(s, add_size);
}

PARKS void pop3_uidl(Pop3 *s, Slice text)
{
    Err err = uidls_load(s);
    if (err) {
        pop3_say_err(s, err);
        return;
    }
    if (text.len) {
        list_one(s, add_unique_id, text);
        return;
    }
    pop3_ok(s, "Unique-ids follow");
    list_all(s, add_unique_id);
}

/* ---- marks ---- */

PARKS void pop3_dele(Pop3 *s, Slice text)
{
    uint32_t number;
    Message m;
    if (!pop3_message(s, text, &number, &m)) return;
    maildrop_mark(s, number, MARK_DELETED);
    s->deleted++;
    s->deleted_octets += m.size;
    pop3_ok(s, "Message %u will be deleted", (unsigned)number);
}

/* That a message was retrieved stays true. */
PARKS void pop3_rset(Pop3 *s, Slice nothing)
{
    (void)nothing;
    s->marked[0] = (UidSet){0};
    s->deleted = 0;
    s->deleted_octets = 0;
    s->last = s->last_at_login;
    pop3_ok(s, "%u messages (%llu octets)", (unsigned)s->count, (unsigned long long)s->octets);
}

PARKS void pop3_last(Pop3 *s, Slice nothing)
{
    (void)nothing;
    if (s->config->last)
        pop3_ok(s, "%u", (unsigned)s->last);
    else
        pop3_mistake(s, "Unknown command");
}
