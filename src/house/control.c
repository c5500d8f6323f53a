#include "house/control.h"

#include "house/verbs.h"
#include "run/file.h"
#include "run/log.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- frames ---- */

void control_frame(Buf *out, char type, Slice payload)
{
    buf_u32(out, (uint32_t)payload.len + 1);
    buf_char(out, type);
    buf_add(out, payload);
}

Err control_head(const uint8_t head[CONTROL_HEAD], char *type, uint32_t *len)
{
    uint32_t all = (uint32_t)head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 |
                   (uint32_t)head[3] << 24;
    if (!all || all > CONTROL_FRAME_MOST)
        return fail(ERR_SYNTAX, "a control frame of %u octets", all);
    *type = (char)head[4];
    *len = all - 1;
    return OK;
}

Err control_args(Slice payload, Arena *a, const Slice **args, size_t *count)
{
    Reader r = reader(payload);
    size_t n = 0;
    for (; r.rest.len && !r.bad; n++)
        (void)read_bytes(&r);
    if (r.bad || !n) return fail(ERR_SYNTAX, "a broken control request");
    if (n > CONTROL_ARGS_MOST) return fail(ERR_SYNTAX, "%zu arguments are too many", n);
    Slice *list = arena_array(a, Slice, n);
    r = reader(payload);
    for (size_t i = 0; i < n; i++)
        list[i] = read_bytes(&r);
    *args = list;
    *count = n;
    return OK;
}

static void put_frame(Stream *s, char type, Slice payload)
{
    control_frame(stream_out(s), type, payload);
}

/* The payload lives in `a`. */
PARKS static Err get_frame(Stream *s, Arena *a, char *type, Slice *payload)
{
    uint8_t head[CONTROL_HEAD];
    uint32_t len;
    if (!stream_read(s, head, sizeof head)) return stream_error(s);
    TRY(control_head(head, type, &len));
    char *octets = arena_alloc(a, len + 1);
    if (!stream_read(s, octets, len)) return stream_error(s);
    *payload = slice(octets, len);
    return OK;
}

/* ---- the serving side ---- */

PARKS PRINTF(3, 0) static void talk_text(Talk *t, char type, const char *fmt, va_list args)
{
    Buf text buf_scoped = {0};
    if (t->forward) return;
    buf_vprintf(&text, fmt, args);
    Slice payload = slice_first(buf_slice(&text), CONTROL_FRAME_MOST - 1);
    if (t->aside) {
        control_frame(t->aside, type, payload);
        return;
    }
    put_frame(t->stream, type, payload);
    if (type == 'O')
        stream_drain(t->stream);
    else
        stream_flush(t->stream);
}

PARKS void talk_out(Talk *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    talk_text(t, 'O', fmt, args);
    va_end(args);
}

PARKS void talk_err(Talk *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    talk_text(t, 'E', fmt, args);
    va_end(args);
}

PARKS void talk_progress(Talk *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    talk_text(t, 'P', fmt, args);
    va_end(args);
}

PARKS Err talk_give(Talk *t, Slice data)
{
    char type = t->forward ? 'D' : 'G';
    must(data.len < CONTROL_FRAME_MOST);
    if (t->aside) {
        control_frame(t->aside, type, data);
        return OK;
    }
    put_frame(t->stream, type, data);
    return stream_drain(t->stream);
}

PARKS Err talk_take(Talk *t, Slice *data, bool *more)
{
    char type = 0;
    arena_reset(&t->arena);
    TRY(get_frame(t->stream, &t->arena, &type, data));
    *more = type == 'D';
    return type == 'D' || type == 'Z' ? OK
                                      : fail(ERR_SYNTAX, "a control frame %c between data", type);
}

PARKS void talk_on_loop(Talk *t, Loop *loop, void (*fn)(void *), void *arg)
{
    Buf said buf_scoped = {0};
    t->aside = &said;
    loop_call(loop, fn, arg);
    t->aside = NULL;
    stream_put(t->stream, buf_slice(&said));
}

PARKS static Err get_args(Talk *t, Arena *a)
{
    char type = 0;
    Slice payload = {0};
    TRY(get_frame(t->stream, a, &type, &payload));
    if (type != 'A') return fail(ERR_SYNTAX, "a control frame %c before the request", type);
    return control_args(payload, a, &t->args, &t->arg_count);
}

PARKS void control_serve(Stream *stream, House *house)
{
    Arena a arena_scoped = {0};
    Talk t = {.stream = stream, .house = house};
    uint8_t code = EXIT_USAGE;
    Err err = get_args(&t, &a);
    if (err)
        talk_err(&t, "posthouse: %s\n", *err_story() ? err_story() : err_meaning(err));
    else
        code = (uint8_t)verb_run(&t);
    put_frame(stream, 'X', slice(&code, 1));
    stream_flush(stream);
    arena_done(&t.arena);
}

typedef struct {
    House *house;
    Stream *stream;
} Visitor;

PARKS static void serve_visitor(void *arg)
{
    Visitor *c = arg;
    control_serve(c->stream, c->house);
    stream_finish(c->stream);
    stream_free(c->stream);
    atomic_fetch_sub(&c->house->visitors, 1);
    atomic_fetch_sub(&c->house->busy, 1);
    free(c);
}

typedef struct {
    House *house;
    Sock *sock;
} ControlListener;

PARKS static void accept_visitors(void *arg)
{
    ControlListener *l = arg;
    Sock *sock;
    for (;;) {
        Err err = sock_accept(l->sock, &sock);
        if (err == ERR_CANCELLED) break;
        if (err) {
            if (fiber_sleep(100) == WOKEN_CANCELLED) break;
            continue;
        }
        Visitor *c = NEW(Visitor);
        *c = (Visitor){l->house, stream_new(sock)};
        atomic_fetch_add(&l->house->busy, 1);
        atomic_fetch_add(&l->house->visitors, 1);
        fiber_start("control", serve_visitor, c);
    }
    sock_close(l->sock);
    free(l);
}

Slice control_path(const Config *config, Arena *a)
{
    return config->control.len ? config->control : house_path(config, a, "control");
}

void control_open(House *h, Sock *listener)
{
    ControlListener *l = NEW(ControlListener);
    *l = (ControlListener){h, listener};
    fiber_start("accept", accept_visitors, l);
}

PARKS Err control_listen(House *h)
{
    Arena a arena_scoped = {0};
    Address at;
    Sock *listener;
    TRY(address_parse(arena_printf(&a, "unix:%.*s", SP(control_path(house_config(h), &a))), &at));
    TRY(sock_listen(&at, &listener));
    control_open(h, listener);
    return OK;
}

/* ---- the asking side ---- */

PARKS Err control_send(ControlClient *c, Slice data)
{
    must(data.len < CONTROL_FRAME_MOST);
    put_frame(c->stream, 'D', data);
    return stream_drain(c->stream);
}

static void show_progress(ControlClient *c, Slice line)
{
    if (!c->to_terminal) return;
    fprintf(stderr, "\r\033[K%.*s", SP(line));
    c->line_is_open = true;
}

static void end_progress(ControlClient *c)
{
    if (c->line_is_open) fputs("\r\033[K", stderr);
    c->line_is_open = false;
}

PARKS static Err take_answer(ControlClient *c, char type, Slice payload)
{
    switch (type) {
    case 'O':
        end_progress(c);
        fwrite(payload.at, 1, payload.len, stdout);
        return OK;
    case 'E':
        end_progress(c);
        fwrite(payload.at, 1, payload.len, stderr);
        return OK;
    case 'P':
        show_progress(c, payload);
        return OK;
    case 'G':
        return c->sink ? c->sink(c, payload) : fail(ERR_SYNTAX, "data nobody asked for");
    default:
        return fail(ERR_SYNTAX, "a control frame %c", type);
    }
}

PARKS static Err take_answers(ControlClient *c, int *exit_code)
{
    for (;;) {
        Arena a arena_scoped = {0};
        char type = 0;
        Slice payload = {0};
        TRY(get_frame(c->stream, &a, &type, &payload));
        if (type == 'X' && payload.len == 1) {
            *exit_code = (unsigned char)payload.at[0];
            return OK;
        }
        TRY(take_answer(c, type, payload));
    }
}

typedef struct {
    ControlClient *client;
    Err err;
    bool over;
    Cond done;
} Feeding;

PARKS static void feed(void *arg)
{
    Feeding *f = arg;
    f->err = f->client->source(f->client);
    put_frame(f->client->stream, 'Z', (Slice){0});
    Err sent = stream_flush(f->client->stream);
    if (!f->err) f->err = sent;
    f->over = true;
    cond_broadcast(&f->done);
}

PARKS Err control_ask(ControlClient *c, const Slice *args, size_t count, int *exit_code)
{
    Buf request buf_scoped = {0};
    Feeding feeding = {.client = c, .over = true};
    for (size_t i = 0; i < count; i++)
        buf_bytes(&request, args[i]);
    put_frame(c->stream, 'A', buf_slice(&request));
    TRY(stream_flush(c->stream));
    if (c->source) {
        feeding.over = false;
        fiber_start("source", feed, &feeding);
    }
    Err err = take_answers(c, exit_code);
    bool cut = !feeding.over; /* answered before all was sent: refused, and it has said why */
    if (cut) stream_fail(c->stream, err ? err : ERR_END); /* so that the source ends too */
    while (!feeding.over)
        cond_wait(&feeding.done, NEVER);
    end_progress(c);
    fflush(stdout);
    return err || cut ? err : feeding.err;
}
