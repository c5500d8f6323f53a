#include "net/wire.h"

#include "base/text.h"

#include <stdlib.h>

enum { HEAD = 9, IN_CHUNK = 4096, KEEP_MOST = 64 * 1024 };

/* ---- buffers that leave nothing behind ---- */

/* What realloc moves away from would keep its octets. */
static void reserve_secret(Buf *b, size_t more)
{
    if (b->room - b->len >= more) return;
    Buf larger = {0};
    buf_reserve(&larger, MAX(b->len + more, 2 * b->room));
    buf_add(&larger, buf_slice(b));
    buf_wipe(b);
    *b = larger;
}

static void forget(Buf *b)
{
    wipe(b->at, b->len);
    b->len = 0;
    if (b->room > KEEP_MOST) buf_done(b);
}

/* ---- sending ---- */

PARKS static Err send_all(Wire *w, Slice octets)
{
    while (octets.len) {
        size_t sent;
        if (w->is_over) return fail(ERR_END, "the wire is over");
        TRY(sock_try_write(w->sock, &octets, 1, &sent));
        octets = slice_from(octets, sent);
        if (!sent && sock_wait(w->sock, SOCK_WRITABLE, NEVER, true) == WOKEN_CANCELLED)
            return fail(ERR_CANCELLED, "stopping");
    }
    return OK;
}

PARKS static void send_what_comes(void *arg)
{
    Wire *w = arg;
    while (!w->is_over) {
        if (!w->out.len) {
            cond_wait(&w->to_send, NEVER);
            continue;
        }
        Buf sending = w->out;
        w->out = w->spare;
        w->spare = (Buf){0};
        Err err = send_all(w, buf_slice(&sending));
        forget(&sending);
        w->spare = sending;
        if (err) w->is_over = true; /* nobody reads answers: no more questions are taken */
    }
    w->sender = NULL;
    cond_broadcast(&w->sender_ended);
}

static size_t room_for(const Memo *memo)
{
    size_t room = HEAD + (size_t)MEMO_FIELDS_MOST * 8;
    for (size_t i = 0; i < MEMO_FIELDS_MOST; i++)
        room += 2 + memo->text[i].len;
    return room;
}

void wire_put(Wire *w, uint32_t number, const Memo *memo)
{
    if (w->is_over || !w->sender) return;
    reserve_secret(&w->out, room_for(memo));
    size_t start = w->out.len;
    buf_u32(&w->out, 0);
    buf_u8(&w->out, (uint8_t)memo->kind);
    buf_u32(&w->out, number);
    memo_put(&w->out, memo);
    uint32_t len = (uint32_t)(w->out.len - start - 4);
    for (size_t i = 0; i < 4; i++)
        w->out.at[start + i] = (char)(len >> (8 * i));
    cond_signal(&w->to_send);
}

/* ---- reading ---- */

PARKS static Err fill(Wire *w, size_t wanted)
{
    size_t got = 0;
    reserve_secret(&w->in, MAX(wanted, (size_t)IN_CHUNK));
    while (!got) {
        if (w->is_over) return fail(ERR_END, "the wire is over");
        TRY(sock_try_read(w->sock, w->in.at + w->in.len, w->in.room - w->in.len, &got));
        if (!got && sock_wait(w->sock, SOCK_READABLE, NEVER, true) == WOKEN_CANCELLED)
            return fail(ERR_CANCELLED, "stopping");
    }
    w->in.len += got;
    return OK;
}

/* The octets given out last are done with. */
static void pass_over(Wire *w)
{
    if (!w->taken) return;
    if (w->taken == w->in.len) {
        forget(&w->in);
    } else {
        size_t left = w->in.len - w->taken;
        memmove(w->in.at, w->in.at + w->taken, left);
        wipe(w->in.at + left, w->taken);
        w->in.len = left;
    }
    w->taken = 0;
}

Err wire_next(Wire *w, Message *message)
{
    pass_over(w);
    while (w->in.len < HEAD)
        TRY(fill(w, HEAD));
    Reader head = reader(buf_slice(&w->in));
    uint32_t len = read_u32(&head);
    if (len < HEAD - 4 || len > CALLER_MESSAGE_MOST)
        return fail(ERR_SYNTAX, "a message of %u octets", len);
    message->kind = read_u8(&head);
    message->number = read_u32(&head);
    w->taken = (size_t)len + 4;
    while (w->in.len < w->taken)
        TRY(fill(w, w->taken - w->in.len));
    message->fields = slice(w->in.at + HEAD, len - (HEAD - 4));
    return OK;
}

/* ---- its life ---- */

Wire *wire_new(Sock *sock)
{
    Wire *w = NEW(Wire);
    w->sock = sock;
    w->sender = fiber_start("sender", send_what_comes, w);
    return w;
}

void wire_stop(Wire *w)
{
    w->is_over = true;
    cond_broadcast(&w->to_send);
    if (w->sender) fiber_nudge(w->sender);
}

void wire_free(Wire *w)
{
    if (!w) return;
    wire_stop(w);
    while (w->sender)
        cond_wait(&w->sender_ended, NEVER);
    sock_close(w->sock);
    buf_wipe(&w->in);
    buf_wipe(&w->out);
    buf_wipe(&w->spare);
    free(w);
}
