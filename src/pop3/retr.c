/* RETR and TOP: messages on their way out (RFC 1939 5, 7). */
#include "base/text.h"
#include "mail/surrogate.h"
#include "pop3/session.h"
#include "pop3/stuff.h"

#define BLOCK     ((size_t)64 * 1024)
#define TOP_BLOCK ((size_t)8 * 1024) /* a header fits, most of the time */

typedef struct {
    const Message *message;
    uint64_t at; /* octets of the message read so far */
    Stuffer stuffer;
    TopCut top;
    bool cut; /* TOP */
} Sending;

/* Reads the next block behind what the stream has to send, where it then already is. */
PARKS static Err read_block(Pop3 *s, Sending *sending, size_t *len)
{
    Buf *out = stream_out(s->stream);
    size_t most = sending->cut && !sending->at ? TOP_BLOCK : BLOCK;
    *len = (size_t)MIN((uint64_t)most, sending->message->size - sending->at);
    if (!*len) return OK;
    if (!mem_fits(*len)) return fail(ERR_NO_MEMORY, "a block of a message");
    char *to = buf_reserve(out, *len);
    TRY(email_read(s->account, sending->message->eid, sending->at, to, *len));
    sending->at += *len;
    return OK;
}

static void add_block(Pop3 *s, Sending *sending, size_t len)
{
    Buf *out = stream_out(s->stream);
    if (sending->cut) len = top_cut(&sending->top, slice(out->at + out->len, len));
    stuff_written(&sending->stuffer, out, len);
}

/* RFC 6856 2.1: without UTF8 a header in UTF-8 is sent as a surrogate. What is in no charset that
 * can be told has always been sent as it is. */
PARKS static void add_first_block(Pop3 *s, Sending *sending, size_t len)
{
    Buf *out = stream_out(s->stream);
    Slice block = slice(out->at + out->len, len);
    Slice header = slice_first(block, email_header_length(s->account, sending->message->eid));
    if (s->utf8 || !mail_header_is_international(header)) {
        add_block(s, sending, len);
        return;
    }
    Buf surrogate buf_scoped = {0};
    mail_surrogate_header(&surrogate, header);
    buf_add(&surrogate, slice_from(block, header.len));
    memcpy(buf_reserve(out, surrogate.len), surrogate.at, surrogate.len);
    add_block(s, sending, surrogate.len);
}

static bool is_sent(const Sending *sending)
{
    return sending->at >= sending->message->size || (sending->cut && sending->top.done);
}

/* RFC 1939 7: TOP sends the header and the blank line behind it. A message that is nothing but a
 * header may lack that line, and Outlook Express and its kin wait for it. RETR sends what there is,
 * as many octets as LIST said. */
static void end_header(Pop3 *s, Sending *sending)
{
    if (!sending->cut || sending->top.in_body) return;
    Buf *out = stream_out(s->stream);
    buf_add(out, sending->stuffer.mid_line ? S("\r\n\r\n") : S("\r\n"));
    sending->stuffer.mid_line = false;
}

/* Answers to commands that came together go out together, but the buffer does not grow for it. */
PARKS static Err make_room(Pop3 *s, const Message *m)
{
    size_t waiting = stream_out(s->stream)->len;
    bool fits = waiting + MIN((size_t)m->size, BLOCK) <= BLOCK;
    return fits ? OK : stream_flush(s->stream);
}

/* The first block is read before "+OK" can be on its way, so that most failures can be said. Later
 * ones cannot: then only the end of the connection tells the client that this was not all. */
PARKS static Err send_message(Pop3 *s, Sending *sending)
{
    size_t len;
    TRY(make_room(s, sending->message));
    Buf *out = stream_out(s->stream);
    size_t said = out->len;
    pop3_ok(s, "%u octets", (unsigned)sending->message->size);
    Err err = read_block(s, sending, &len);
    if (err) {
        out->len = said;
        pop3_say_err(s, err);
        return err;
    }
    add_first_block(s, sending, len);
    while (!is_sent(sending)) {
        TRY(stream_drain(s->stream));
        err = read_block(s, sending, &len);
        if (err) {
            stream_fail(s->stream, err);
            return err;
        }
        add_block(s, sending, len);
    }
    end_header(s, sending);
    stuff_end(&sending->stuffer, out);
    return stream_drain(s->stream);
}

PARKS void pop3_retr(Pop3 *s, Slice text)
{
    uint32_t number;
    Message m;
    if (!pop3_message(s, text, &number, &m)) return;
    Sending sending = {.message = &m};
    if (send_message(s, &sending)) return;
    maildrop_mark(s, number, MARK_RETRIEVED);
    s->last = MAX(s->last, number);
}

/* TOP msg n */
PARKS void pop3_top(Pop3 *s, Slice text)
{
    uint32_t number;
    uint64_t lines;
    Message m;
    size_t end = slice_find(text, ' ');
    if (!slice_to_u64(slice_trim(slice_from(text, end)), &lines)) {
        pop3_mistake(s, "It is TOP message lines");
        return;
    }
    if (!pop3_message(s, slice_first(text, end), &number, &m)) return;
    Sending sending = {.message = &m, .cut = true, .top = {.lines = lines}};
    (void)send_message(s, &sending); /* it has been said */
}
