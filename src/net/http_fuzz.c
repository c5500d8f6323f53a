/* A URL in the first line, and what a server of somebody else's answers behind it, cut by the first
 * octet: read to its end within its limit, the same however it comes, and the URL tells parts of
 * its text. */
#include "base/fuzz.h"
#include "net/http.h"
#include "run/sim.h"

enum { ANSWER_MOST = 4096 };

typedef struct {
    Slice answer;
    size_t step;
    HttpUrl url;
    Err err;
    int status;
    Buf body;
} Asking;

typedef struct {
    Stream *stream;
    Slice answer;
    size_t step;
    bool ended;
} Server;

PARKS_UNCHECKED static void answers(void *arg)
{
    Server *s = arg;
    (void)stream_skip(s->stream, 1);
    for (Slice rest = s->answer; rest.len; rest = slice_from(rest, s->step)) {
        stream_put(s->stream, slice_first(rest, s->step));
        if (stream_flush(s->stream)) break;
    }
    stream_free(s->stream);
    s->ended = true;
}

PARKS_UNCHECKED static void ask(void *arg)
{
    Asking *a = arg;
    Stream *client;
    Server server = {.answer = a->answer, .step = a->step};
    HttpPost post = {.url = &a->url, .body = S("token=x"), .answer_most = ANSWER_MOST};
    must(!stream_pair(&client, &server.stream));
    stream_set_deadline(client, now_ms() + 1000000);
    fiber_start("server", answers, &server);
    a->err = http_post(client, &post, &a->status, &a->body);
    stream_free(client);
    while (!server.ended)
        fiber_sleep(1);
}

static void ask_in_pieces(Asking *a, size_t step)
{
    SimConfig config = {.seed = 1, .loops = 1};
    a->step = step;
    must(!sim_run(&config, ask, a));
    must(a->body.len <= ANSWER_MOST);
    must(a->err || (a->status >= 100 && a->status <= 599));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    Slice rest = slice(data + 1, size - 1), line;
    HttpUrl url = {.host = S("h"), .port = 80, .path = S("/")}, parsed;
    if (!slice_cut(&rest, '\n', &line)) return 0;
    if (!http_url_parse(line, &parsed)) {
        must(parsed.host.len && parsed.path.len && parsed.path.at[0] == '/' && parsed.port);
        url = parsed;
    }
    Asking whole = {.answer = rest, .url = url}, cut = whole;
    ask_in_pieces(&whole, rest.len + 1);
    ask_in_pieces(&cut, 1 + data[0] % 64);
    must(whole.err == cut.err && slice_eq(buf_slice(&whole.body), buf_slice(&cut.body)));
    buf_done(&whole.body);
    buf_done(&cut.body);
    return 0;
}
