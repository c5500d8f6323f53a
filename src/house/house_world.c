#include "house/house_world.h"

#include <stdlib.h>
#include <unistd.h>

void remove_tree(Slice path)
{
    Arena a arena_scoped = {0};
    Slice *names;
    size_t count;
    if (!unlink(arena_cstr(&a, path)) || path_list(path, &a, &names, &count)) return;
    for (size_t i = 0; i < count; i++)
        remove_tree(arena_printf(&a, "%.*s/%.*s", SP(path), SP(names[i])));
    rmdir(arena_cstr(&a, path));
}

PARKS void house_world_open(HouseWorld *w)
{
    static const Demo demo = {
        3, {"secret", 6}
    };
    *w = (HouseWorld){.dir = "/tmp/house_test.XXXXXX"};
    check(mkdtemp(w->dir));
    config_defaults(&w->config);
    check_ok(config_set(&w->config, S("store"), house_world_path(w, "store")));
    check_ok(config_set(&w->config, S("throttle"), S("no")));
    check_ok(config_set(&w->config, S("plain_without_tls"), S("yes")));
    check_ok(config_set(&w->config, S("log_level"), S("none")));
    check_ok(house_open(&(HouseStart){.config = &w->config, .demo = &demo}, &w->house));
}

PARKS void house_world_close(HouseWorld *w)
{
    house_close(w->house);
    config_done(&w->config);
    remove_tree(slice_of(w->dir));
    arena_done(&w->arena);
}

Slice house_world_path(HouseWorld *w, const char *name)
{
    return arena_printf(&w->arena, "%s/%s", w->dir, name);
}

void house_world_write(HouseWorld *w, const char *name, Slice content)
{
    Slice path = house_world_path(w, name);
    for (size_t i = strlen(w->dir) + 1; i < path.len; i++)
        if (path.at[i] == '/') check_ok(path_mkdir(slice_first(path, i)));
    check_ok(path_replace(path, content));
}

typedef struct {
    Stream *client, *server;
    House *house;
    Slice octets;
    size_t step;
    Sock *sock; /* the client's */
    unsigned running;
    Cond ended;
} Serving;

static void one_ended(Serving *s)
{
    s->running--;
    cond_broadcast(&s->ended);
}

PARKS static void serve(void *arg)
{
    Serving *s = arg;
    control_serve(s->server, s->house);
    stream_finish(s->server);
    one_ended(s);
}

PARKS static void send_pieces(void *arg)
{
    Serving *s = arg;
    for (Slice rest = s->octets; rest.len; rest = slice_from(rest, s->step)) {
        stream_put(s->client, slice_first(rest, s->step));
        (void)stream_flush(s->client);
        if (s->step < 100) fiber_sleep(0);
    }
    sock_shutdown(s->sock);
    one_ended(s);
}

static void gather(Answer *answer, char type, Slice payload)
{
    switch (type) {
    case 'O':
        buf_add(&answer->out, payload);
        break;
    case 'E':
        buf_add(&answer->err, payload);
        break;
    case 'G':
        buf_u32(&answer->given, (uint32_t)payload.len);
        buf_add(&answer->given, payload);
        break;
    case 'P':
        answer->progress++;
        break;
    case 'X':
        check_u64(payload.len, 1);
        answer->exit_code = payload.len ? (unsigned char)payload.at[0] : -1;
        break;
    default:
        test_failed(__FILE__, __LINE__, "a frame %c", type);
    }
}

PARKS static void gather_all(Stream *client, Answer *answer)
{
    uint8_t head[CONTROL_HEAD];
    while (answer->exit_code < 0 && stream_read(client, head, sizeof head)) {
        Buf payload buf_scoped = {0};
        char type;
        uint32_t len;
        check_ok(control_head(head, &type, &len));
        if (!stream_read(client, buf_reserve(&payload, len + 1), len)) break;
        payload.len = len;
        gather(answer, type, buf_slice(&payload));
    }
}

PARKS void ask_octets(House *house, Answer *answer, Slice octets, size_t step)
{
    Sock *ours, *theirs;
    answer_done(answer);
    check_ok(sock_pair(&ours, &theirs));
    Serving s = {.house = house,
                 .client = stream_new(ours),
                 .server = stream_new(theirs),
                 .sock = ours,
                 .octets = octets,
                 .step = step,
                 .running = 2};
    stream_set_deadline(s.client, now_ms() + 60000);
    fiber_start("serving", serve, &s);
    fiber_start("sending", send_pieces, &s);
    gather_all(s.client, answer);
    while (s.running)
        cond_wait(&s.ended, NEVER);
    stream_free(s.client);
    stream_free(s.server);
}

PARKS void ask(HouseWorld *w, Answer *answer, const Slice *args, size_t count, const Slice *data,
               size_t data_count)
{
    Buf request buf_scoped = {0}, octets buf_scoped = {0};
    for (size_t i = 0; i < count; i++)
        buf_bytes(&request, args[i]);
    control_frame(&octets, 'A', buf_slice(&request));
    for (size_t i = 0; i < data_count; i++)
        control_frame(&octets, 'D', data[i]);
    if (data) control_frame(&octets, 'Z', (Slice){0});
    ask_octets(w->house, answer, buf_slice(&octets), 1 << 20);
}

void answer_done(Answer *answer)
{
    buf_done(&answer->out);
    buf_done(&answer->err);
    buf_done(&answer->given);
    *answer = (Answer){.exit_code = -1};
}
