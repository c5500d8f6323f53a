#pragma once
/* What the fuzz targets of the parsers share: a line of a client as a session sees it, whole or in
 * pieces, in the simulated world. */
#include "base/fuzz.h"
#include "imap/session.h"
#include "run/sim.h"

typedef struct ParseCase {
    Slice text; /* what the client sends */
    size_t piece;
    void (*parse)(struct ParseCase *c, Imap *s);
    Buf seen; /* what was understood, for comparing */
    Err err;
} ParseCase;

typedef struct {
    Stream *stream;
    Slice text;
    size_t piece;
} ParseClient;

PARKS_UNCHECKED static void parse_client(void *arg)
{
    ParseClient *c = arg;
    for (Slice rest = c->text; rest.len; rest = slice_from(rest, c->piece)) {
        stream_put(c->stream, slice_first(rest, c->piece));
        (void)stream_flush(c->stream);
    }
    stream_free(c->stream);
    c->stream = NULL;
}

PARKS_UNCHECKED static void parse_session(void *arg)
{
    ParseCase *c = arg;
    static const ImapConfig plain; /* nothing that is off by default */
    static const ImapConfig all = {.gmail = true, .message_limit = 1000, .urlauth = true};
    ParseClient client = {.text = c->text, .piece = c->piece};
    Imap s = {.config = &plain, .state = AUTHENTICATED, .arena = {.budget = 256 * 1024}};
    *s.in = (In){
        .arena = &s.arena, .line_most = 8 * 1024, .literal_most = 4 * 1024, .skip_most = 16 * 1024};
    must(!stream_pair(&s.stream, &client.stream));
    s.in->stream = s.stream;
    fiber_start("client", parse_client, &client);
    c->err = imap_next(s.in);
    if (slice_starts(s.in->tag, S("g"))) s.config = &all;
    if (slice_starts(s.in->tag, S("u"))) s.enabled |= ENABLED_UIDONLY;
    if (slice_starts(s.in->tag, S("q"))) s.enabled |= ENABLED_QRESYNC | ENABLED_CONDSTORE;
    if (slice_starts(s.in->tag, S("o"))) s.comparator.collation = COMPARE_OCTET;
    if (!c->err) {
        Slice word = imap_atom(s.in);
        s.by_uid = word.len == 3;
        c->parse(c, &s);
    }
    if (!stream_error(s.stream)) (void)imap_skip_command(s.in);
    stream_free(s.stream);
    while (client.stream)
        fiber_sleep(1);
    arena_done(&s.arena);
}

static void parse_run(ParseCase *c)
{
    must(!sim_run(&(SimConfig){.seed = 1, .loops = 1}, parse_session, c));
}
