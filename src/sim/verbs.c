/* The command line, over the control connection; and upkeep at any moment. */
#include "house/control.h"
#include "sim/talker.h"

typedef struct {
    Talker t;
    Buf said; /* what went to standard output and error */
    int code; /* -1: the connection is gone */
    bool cut; /* by us */
} Caller;

PARKS static bool frame(Caller *c, char *type, Buf *payload)
{
    uint8_t head[CONTROL_HEAD];
    uint32_t len;
    payload->len = 0;
    if (!stream_read(c->t.stream, head, sizeof head)) return false;
    if (control_head(head, type, &len)) talker_failed(&c->t, "a broken frame");
    if (!stream_read(c->t.stream, buf_reserve(payload, len + 1), len)) return false;
    payload->len = len;
    return true;
}

PARKS static void hear(Caller *c)
{
    Buf payload buf_scoped = {0};
    char type;
    while (c->code < 0 && frame(c, &type, &payload)) {
        if (type == 'O' || type == 'E') buf_add(&c->said, buf_slice(&payload));
        if (type == 'X') c->code = (uint8_t)payload.at[0];
    }
}

/* The words of the verb, separated by spaces. */
PARKS static void call(Caller *c, Slice words)
{
    Buf args buf_scoped = {0}, request buf_scoped = {0};
    Address at;
    c->code = -1;
    c->said.len = 0;
    must(!address_parse(S("unix:/control"), &at));
    talker_connect_to(&c->t, &at);
    stream_set_deadline(c->t.stream, now_ms() + 600 * 1000);
    talker_trace(&c->t, "$", words);
    for (Slice word; slice_cut(&words, ' ', &word);)
        buf_bytes(&args, word);
    control_frame(&request, 'A', buf_slice(&args));
    c->cut = !talker_send(&c->t, buf_slice(&request));
    if (!c->cut) hear(c);
    talker_trace(&c->t, "=", buf_slice(&c->said));
    talker_hang_up(&c->t);
}

/* A verb that has to do what it says. */
PARKS static void must_call(Caller *c, Slice words)
{
    call(c, words);
    if (c->code && !c->t.client->w->lenient && !c->cut)
        talker_failed(&c->t, "%.*s: exit code %d: %.*s", SP(words), c->code,
                      SP(buf_slice(&c->said)));
}

static void done(Caller *c)
{
    talker_done(&c->t);
    buf_done(&c->said);
}

PARKS int client_verb(Client *client, bool *cut, Buf *said, const char *fmt, ...)
{
    Caller c = {
        .t = {.client = client, .who = "verb"}
    };
    Buf words buf_scoped = {0};
    va_list args;
    va_start(args, fmt);
    buf_vprintf(&words, fmt, args);
    va_end(args);
    call(&c, buf_slice(&words));
    int code = c.code;
    *cut = c.t.cut;
    if (said) buf_add(said, buf_slice(&c.said));
    done(&c);
    return code;
}

PARKS void verbs_client(Client *client)
{
    static const char *const verbs[] = {
        "status", "check", "scrub", "mailbox list u00001", "user quota u00002", "user aliases"};
    Caller c = {
        .t = {.client = client, .who = "verbs"}
    };
    for (unsigned i = 0; i * 4 < client->w->plan.steps; i++) {
        must_call(&c, slice_of(verbs[client_below(client, COUNT(verbs))]));
        client->w->done[client->kind]++;
        (void)fiber_sleep(client_below(client, 30));
    }
    done(&c);
}

PARKS void verify_recount(World *w)
{
    Client client = {.w = w, .kind = CLIENT_verbs};
    Caller c = {
        .t = {.client = &client, .who = "recount"}
    };
    must_call(&c, S("check"));
    must_call(&c, S("scrub"));
    done(&c);
}

typedef struct {
    bool compacts;
    Err err;
} Upkeep;

PARKS static void keep_up(House *house, void *arg)
{
    Upkeep *u = arg;
    uint64_t freed;
    Engine *engine = store_engine(house->store);
    u->err = u->compacts ? engine_compact(engine, &freed) : engine_checkpoint(engine);
}

PARKS void upkeep_client(Client *c)
{
    for (unsigned i = 0; i * 3 < c->w->plan.steps; i++) {
        (void)fiber_sleep(client_below(c, 60));
        Upkeep u = {.compacts = client_one_in(c, 2)};
        bool done = world_in_house(c->w, keep_up, &u);
        if (done && u.err && !c->w->lenient)
            world_failed(c->w, "upkeep: %s (%s)", err_name(u.err), err_story());
        c->w->done[c->kind] += done;
    }
}
