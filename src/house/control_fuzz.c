/* The control socket, in the simulated world. The first octet says what the rest is:
 *
 *   FRAMES  a frame's head says what holds, arguments come back as they were sent, and every
 *           refusal is one of syntax
 *   ASKED   what a client sends where nobody is at home: it is told so, or that it cannot be read;
 *           or (SOURCE) the data it sends to a verb
 *   ANSWERS what a server answers, and how the client takes it: what it prints are whole frames
 *   BOTH    what a verb and its client do, in turn: each gets what the other one gave */
#include "base/fuzz.h"
#include "house/control.h"
#include "run/log.h"
#include "run/sim.h"

#include <stdio.h>
#include <stdlib.h>

enum { FRAMES, ASKED, ANSWERS, BOTH, WAYS };
enum { TERMINAL = 4, SOURCE = 8, SINK = 16, SINK_FAILS = 32, SOURCE_FAILS = 64, MUCH = 128 };
enum { PIECES = 4, DISK_BYTES = 1 << 20 };

typedef struct {
    uint8_t how;
    Slice rest;
    Stream *client, *server;
    Buf out, err, given; /* what the client got */
    Buf said, cried, gave, taken;
    unsigned sent; /* pieces that the source has sent */
    int exit_code;
    Err result;
    bool served, forwards;
    Cond ended;
} Case;

/* ---- frames ---- */

static void check_args(Slice payload)
{
    Arena a arena_scoped = {0};
    Buf again buf_scoped = {0};
    const Slice *args, *args_again;
    size_t count, count_again;
    Err err = control_args(payload, &a, &args, &count);
    must(err == OK || err == ERR_SYNTAX);
    if (err) return;
    must(count && count <= CONTROL_ARGS_MOST);
    for (size_t i = 0; i < count; i++)
        buf_bytes(&again, args[i]);
    must(control_args(buf_slice(&again), &a, &args_again, &count_again) == OK);
    must(count == count_again);
    for (size_t i = 0; i < count; i++)
        must(slice_eq(args[i], args_again[i]));
}

/* The next frame; false: there is none that is whole. */
static bool next_frame(Slice *rest, char *type, Slice *payload)
{
    uint32_t len;
    if (rest->len < CONTROL_HEAD) return false;
    Err err = control_head((const uint8_t *)rest->at, type, &len);
    must(err == OK || err == ERR_SYNTAX);
    if (err || len > rest->len - CONTROL_HEAD) return false;
    must(len < CONTROL_FRAME_MOST && *type == rest->at[4]);
    *payload = slice(rest->at + CONTROL_HEAD, len);
    *rest = slice_from(*rest, CONTROL_HEAD + len);
    return true;
}

static void check_frames(Slice rest)
{
    char type;
    Slice payload;
    while (next_frame(&rest, &type, &payload)) {
        Buf frame buf_scoped = {0};
        control_frame(&frame, type, payload);
        must(slice_eq(buf_slice(&frame),
                      slice(payload.at - CONTROL_HEAD, CONTROL_HEAD + payload.len)));
        check_args(payload);
    }
    check_args(rest);
}

/* ---- the client ---- */

/* With MUCH more than anybody takes in advance. */
static Slice piece(const Case *c, unsigned number)
{
    static char octets[400000] = "what a source sends, piece by piece";
    return slice(octets, c->how & MUCH ? sizeof octets : number * 11 % 40);
}

PARKS static Err source(ControlClient *client)
{
    Case *c = client->ctx;
    for (unsigned i = 0; i < PIECES; i++) {
        TRY(control_send(client, piece(c, i)));
        c->sent++;
    }
    return c->how & SOURCE_FAILS ? fail(ERR_IO, "the source fails") : OK;
}

static Err sink(ControlClient *client, Slice data)
{
    Case *c = client->ctx;
    if (c->how & SINK_FAILS) return fail(ERR_DISK_FULL, "the sink fails");
    buf_bytes(&c->given, data);
    return OK;
}

/* What goes to standard output and error stays here. */
PARKS static void ask(Case *c)
{
    static const Slice args[] = {S("verb"), S(""), S("argument")};
    char *texts[2];
    size_t sizes[2];
    FILE *old_out = stdout, *old_err = stderr, *out = open_memstream(&texts[0], &sizes[0]),
         *err = open_memstream(&texts[1], &sizes[1]);
    ControlClient client = {.stream = c->client,
                            .ctx = c,
                            .source = c->how & SOURCE ? source : NULL,
                            .sink = c->how & SINK ? sink : NULL,
                            .to_terminal = c->how & TERMINAL};
    must(out && err);
    stdout = out, stderr = err;
    c->result = control_ask(&client, args, COUNT(args), &c->exit_code);
    stdout = old_out, stderr = old_err;
    must(!fclose(out) && !fclose(err) && !client.line_is_open);
    buf_add(&c->out, slice(texts[0], sizes[0]));
    buf_add(&c->err, slice(texts[1], sizes[1]));
    free(texts[0]), free(texts[1]);
}

/* ---- a server that says what it was given to say ---- */

PARKS_UNCHECKED static void answer(void *arg)
{
    Case *c = arg;
    size_t step = 1 + c->rest.len / 3;
    for (Slice rest = c->rest; rest.len; rest = slice_from(rest, step)) {
        stream_put(c->server, slice_first(rest, step));
        if (stream_flush(c->server)) break;
    }
    stream_finish(c->server);
    c->served = true;
    cond_broadcast(&c->ended);
}

/* What is in the frames up to the one that ends it, by a reader of this file's own. */
static bool read_answers(const Case *c, Buf *out, Buf *given)
{
    Slice rest = c->rest, payload;
    char type;
    while (next_frame(&rest, &type, &payload)) {
        if (type == 'X' && payload.len == 1) return true;
        if (type == 'O') buf_add(out, payload);
        if (type == 'G' && c->how & SINK && !(c->how & SINK_FAILS)) buf_bytes(given, payload);
        if (!strchr("OEPG", type) || !type) break;
        if (type == 'G' && (!(c->how & SINK) || c->how & SINK_FAILS)) break;
    }
    return false;
}

static void check_answers(const Case *c)
{
    Buf out buf_scoped = {0}, given buf_scoped = {0};
    bool ended = read_answers(c, &out, &given);
    must(slice_eq(buf_slice(&c->out), buf_slice(&out)));
    must(slice_eq(buf_slice(&c->given), buf_slice(&given)));
    must(ended || c->result);
    must(!ended || c->exit_code >= 0);
}

/* ---- a verb ---- */

static uint8_t take(Case *c)
{
    uint8_t octet = c->rest.len ? (uint8_t)c->rest.at[0] : 0;
    c->rest = slice_from(c->rest, 1);
    return octet;
}

static Slice take_text(Case *c)
{
    Slice text = slice_first(c->rest, take(c) % 64);
    text = slice_first(c->rest, text.len);
    c->rest = slice_from(c->rest, text.len);
    return text;
}

typedef struct {
    Case *c;
    Talk *talk;
} Verb;

PARKS static void give(Verb *v)
{
    Slice data = take_text(v->c);
    if (!talk_give(v->talk, data)) buf_bytes(&v->c->gave, data);
}

PARKS static void take_data(Verb *v)
{
    Slice data;
    bool more;
    if (!(v->c->how & SOURCE) || stream_error(v->talk->stream)) return;
    if (talk_take(v->talk, &data, &more)) return;
    if (more)
        buf_bytes(&v->c->taken, data);
    else
        v->c->how &= (uint8_t)~SOURCE; /* no more will come */
}

PARKS static void say(Verb *v, uint8_t op)
{
    Slice text = take_text(v->c);
    text = slice_first(text, slice_find(text, 0));
    if (op == 0) buf_add(&v->c->said, text);
    if (op == 1) buf_add(&v->c->cried, text);
    (op == 0 ? talk_out : op == 1 ? talk_err : talk_progress)(v->talk, "%.*s", SP(text));
}

PARKS_UNCHECKED static void elsewhere(void *arg)
{
    Verb *v = arg;
    for (int i = 0; i < 3; i++)
        if (take(v->c) % 2)
            give(v);
        else
            say(v, take(v->c) % 3);
}

PARKS static void run_verb(Verb *v)
{
    while (v->c->rest.len && !stream_error(v->talk->stream)) {
        uint8_t op = take(v->c) % 7;
        if (op < 3)
            say(v, op);
        else if (op == 3)
            give(v);
        else if (op == 4)
            take_data(v);
        else if (op == 5)
            talk_on_loop(v->talk, loop_current(), elsewhere, v);
        else if (take(v->c) > 250)
            v->talk->forward = v->c->forwards = true;
    }
}

PARKS static bool hear_request(Case *c)
{
    uint8_t head[CONTROL_HEAD], payload[100];
    char type;
    uint32_t len;
    return stream_read(c->server, head, sizeof head) && !control_head(head, &type, &len) &&
           len < sizeof payload && stream_read(c->server, payload, len) && type == 'A';
}

PARKS_UNCHECKED static void serve(void *arg)
{
    Case *c = arg;
    Talk talk = {.stream = c->server};
    Verb v = {c, &talk};
    must(hear_request(c));
    run_verb(&v);
    control_frame(stream_out(c->server), 'X', S("\7"));
    stream_finish(c->server);
    arena_done(&talk.arena);
    c->served = true;
    cond_broadcast(&c->ended);
}

static void check_both(const Case *c)
{
    Buf sent buf_scoped = {0};
    for (unsigned i = 0; i < PIECES; i++)
        buf_bytes(&sent, piece(c, i));
    must(slice_starts(buf_slice(&sent), buf_slice(&c->taken)));
    if (c->result || c->forwards) return;
    must(c->exit_code == 7 && slice_eq(buf_slice(&c->out), buf_slice(&c->said)));
    must(slice_eq(buf_slice(&c->given), buf_slice(&c->gave)));
    must(c->how & TERMINAL || slice_eq(buf_slice(&c->err), buf_slice(&c->cried)));
}

/* ---- runs ---- */

PARKS static void join(Case *c)
{
    while (!c->served)
        cond_wait(&c->ended, NEVER);
}

/* The data of D frames up to the Z, as they stand in the octets. */
PARKS static void take_all(Case *c)
{
    Talk talk = {.stream = c->server};
    Slice data, rest = c->rest, payload;
    char type;
    bool more = true;
    while (more && !talk_take(&talk, &data, &more)) {
        must(next_frame(&rest, &type, &payload));
        must(type == (more ? 'D' : 'Z') && slice_eq(data, payload));
    }
    arena_done(&talk.arena);
}

PARKS static void ask_nobody(Case *c)
{
    char type = 0;
    Slice said, payload = {0};
    stream_put(c->client, c->rest);
    (void)!stream_flush(c->client);
    stream_finish(c->client);
    if (c->how & SOURCE)
        take_all(c);
    else
        control_serve(c->server, NULL);
    stream_finish(c->server);
    for (Slice some; (some = stream_some(c->client, 65536)).len;)
        buf_add(&c->out, some);
    said = buf_slice(&c->out);
    while (next_frame(&said, &type, &payload))
        must(type == 'E' || type == 'X');
    must(!said.len && (!payload.len || type == 'X'));
}

PARKS_UNCHECKED static void life(void *arg)
{
    Case *c = arg;
    must(!stream_pair(&c->client, &c->server));
    if (c->how % WAYS == ASKED) {
        if (c->rest.len < 4096) ask_nobody(c);
    } else {
        bool both = c->how % WAYS == BOTH;
        fiber_start("server", both ? serve : answer, c);
        ask(c);
        stream_free(c->client);
        c->client = NULL;
        join(c);
        both ? check_both(c) : check_answers(c);
    }
    stream_free(c->client);
    stream_free(c->server);
}

static void done(Case *c)
{
    Buf *all[] = {&c->out, &c->err, &c->given, &c->said, &c->cried, &c->gave, &c->taken};
    for (size_t i = 0; i < COUNT(all); i++)
        buf_done(all[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static SimDisk *disk;
    if (!size) return 0;
    if (!disk) disk = sim_disk_new(DISK_BYTES);
    log_set_level_by_name(S("none"));
    Case c = {.how = data[0], .rest = slice(data + 1, size - 1), .exit_code = -1};
    SimConfig config = {.seed = 1, .disk = disk, .loops = 1, .net_latency_us = 100};
    if (c.how % WAYS == FRAMES)
        check_frames(c.rest);
    else
        must(!sim_run(&config, life, &c));
    done(&c);
    return 0;
}
