/* A session's bytes as commands: every word of the grammar is tried on them, with the input whole
 * and cut into pieces, in the simulated world. */
#include "base/fuzz.h"
#include "imap/in.h"
#include "run/sim.h"

typedef struct {
    Slice text;
    size_t piece;
    Buf seen; /* what was read, for comparing */
} Case;

typedef struct {
    Stream *stream;
    Slice text;
    size_t piece;
} Client;

PARKS_UNCHECKED static void client_sends(void *arg)
{
    Client *c = arg;
    for (Slice rest = c->text; rest.len; rest = slice_from(rest, c->piece)) {
        stream_put(c->stream, slice_first(rest, c->piece));
        (void)stream_flush(c->stream);
    }
    stream_free(c->stream); /* the end of the input */
    c->stream = NULL;
}

static void see(Case *c, Slice s)
{
    buf_printf(&c->seen, "[%zu]", s.len);
    buf_add(&c->seen, s);
}

/* Every octet of it must fit into the arena or the line: a value never comes from elsewhere. */
static void see_set(Case *c, ImapSet set)
{
    must(!set.saved || !set.count);
    for (size_t i = 0; i < set.count; i++)
        buf_printf(&c->seen, "%u:%u,", set.ranges[i].first, set.ranges[i].last);
}

PARKS static void one_word(Case *c, In *in, int which)
{
    ImapFlags flags;
    switch (which) {
    case 's':
        see_set(c, imap_sequence_set(in));
        break;
    case 'm': {
        Slice sent, name = imap_mailbox(in, &sent);
        must(!imap_syntax(in) || !name.len);
        see(c, name);
        break;
    }
    case 'p':
        see(c, imap_list_mailbox(in));
        break;
    case 'f':
        flags = imap_flags(in);
        must(flags.count <= IMAP_FLAGS_MOST);
        for (size_t i = 0; i < flags.count; i++)
            see(c, flags.names[i]);
        break;
    case 'd':
        buf_printf(&c->seen, "%lld", (long long)imap_date_time(in));
        break;
    case 'D':
        buf_printf(&c->seen, "%lld", (long long)imap_date(in));
        break;
    case 'n':
        buf_printf(&c->seen, "%llu", (unsigned long long)imap_number64(in));
        break;
    case 'S':
        see(c, imap_nstring(in));
        break;
    case 'l':
        see(c, imap_label(in));
        break;
    default:
        see(c, imap_astring(in));
    }
}

PARKS static void streamed(Case *c, In *in)
{
    ImapLiteral l = imap_literal(in);
    if (!l.is_there || imap_go_ahead(in)) return;
    uint64_t left = l.size;
    for (Slice s; left && (s = imap_literal_some(in, 3)).len; left -= s.len)
        buf_add(&c->seen, s);
    if (!left) (void)!imap_literal_end(in);
}

/* tag SP letters SP arguments: each letter says how the next argument is read. */
PARKS static bool one_command(Case *c, In *in)
{
    arena_reset(in->arena);
    Err err = imap_next(in);
    if (stream_error(in->stream)) return false;
    see(c, in->tag);
    in->utf8 = slice_starts(in->tag, S("u"));
    Slice letters = err ? (Slice){0} : imap_atom(in);
    for (size_t i = 0; i < letters.len && imap_see(in, " "); i++) {
        if (letters.at[i] == 'A')
            streamed(c, in);
        else
            one_word(c, in, letters.at[i]);
    }
    err = imap_end(in);
    if (stream_error(in->stream)) return false;
    must(err || imap_at_end(in));
    must(!err || err == ERR_SYNTAX || err == ERR_LIMIT || err == ERR_TOO_BIG ||
         err == ERR_FORBIDDEN);
    buf_printf(&c->seen, "%s\n", err_name(err));
    must(in->arena->used < 128 * 1024);
    return imap_skip_command(in);
}

PARKS_UNCHECKED static void talk(void *arg)
{
    Case *c = arg;
    Arena arena = {.budget = 16 * 1024};
    Client client = {.text = c->text, .piece = c->piece};
    In in = {.arena = &arena, .line_most = 4096, .literal_most = 512, .skip_most = 2048};
    must(!stream_pair(&in.stream, &client.stream));
    fiber_start("client", client_sends, &client);
    while (one_command(c, &in)) {
    }
    stream_free(in.stream);
    while (client.stream)
        fiber_sleep(1);
    arena_done(&arena);
}

static void run(Case *c)
{
    must(!sim_run(&(SimConfig){.seed = 1, .loops = 1}, talk, c));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 16 * 1024) return 0;
    Case whole = {.text = slice(data + 1, size - 1), .piece = 64 * 1024};
    Case cut = {.text = whole.text, .piece = 1 + data[0] % 16};
    run(&whole);
    run(&cut);
    must(slice_eq(buf_slice(&whole.seen), buf_slice(&cut.seen)));
    buf_done(&whole.seen);
    buf_done(&cut.seen);
    return 0;
}
