/* import at the command line: reads the source, asks where to go on, sends the messages. */
#include "base/table.h"
#include "house/transfer.h"
#include "run/file.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    ControlClient client;
    Source source;
    NumberTable marks; /* of what the house has; any value */
    bool again;        /* import that too */
    bool told;
    Cond marks_known;
    uint64_t passed_over;
} Feeder;

/* ---- where to go on ---- */

PARKS static Err take_mark(ControlClient *c, Slice data)
{
    Feeder *f = CONTAINER(c, Feeder, client);
    Reader r = reader(data);
    char type = (char)read_u8(&r);
    if (type == 'S') {
        f->told = true;
        cond_broadcast(&f->marks_known);
        return OK;
    }
    if (type != 'R' || r.rest.len % 8) return fail(ERR_SYNTAX, "broken marks");
    while (r.rest.len)
        number_table_put(&f->marks, read_u64(&r), f);
    return OK;
}

static bool is_in_already(const Feeder *f, const TransferMeta *m)
{
    return !f->again && number_table_get(&f->marks, transfer_mark(m->mailbox, m->key));
}

/* ---- the octets ---- */

PARKS static Err send_octets(ControlClient *c, char type, Slice octets)
{
    while (octets.len) {
        Buf frame buf_scoped = {0};
        Slice piece = slice_first(octets, TRANSFER_PIECE);
        buf_char(&frame, type);
        buf_add(&frame, piece);
        TRY(control_send(c, buf_slice(&frame)));
        octets = slice_from(octets, piece.len);
    }
    return OK;
}

PARKS static Err send_message(Feeder *f, const SourceItem *item)
{
    Buf octets buf_scoped = {0}, meta buf_scoped = {0};
    Err err = source_octets(item, &octets);
    if (err == ERR_NOT_FOUND) return OK; /* gone meanwhile */
    TRY(err);
    transfer_meta_encode(&meta, &item->meta);
    TRY(control_send(&f->client, buf_slice(&meta)));
    TRY(send_octets(&f->client, 'B', buf_slice(&octets)));
    return control_send(&f->client, S("E"));
}

PARKS static Err send_folders(Feeder *f)
{
    for (size_t i = 0; i < f->source.folder_count; i++) {
        Buf frame buf_scoped = {0};
        buf_char(&frame, 'F');
        buf_add(&frame, f->source.folders[i]);
        TRY(control_send(&f->client, buf_slice(&frame)));
    }
    return OK;
}

PARKS static Err send_all(ControlClient *c)
{
    Feeder *f = CONTAINER(c, Feeder, client);
    while (!f->told && !stream_error(c->stream))
        cond_wait(&f->marks_known, now_ms() + 100);
    TRY(send_folders(f));
    for (size_t i = 0; i < f->source.count; i++) {
        const SourceItem *item = &f->source.items[i];
        if (is_in_already(f, &item->meta)) {
            f->passed_over++;
            continue;
        }
        TRY(stream_error(c->stream));
        TRY(send_message(f, item));
    }
    return OK;
}

/* ---- arguments ---- */

typedef struct {
    Slice login, path, mailbox;
    Format format;
    bool again;
} ImportArgs;

static Err import_option(ImportArgs *a, Slice name, Slice value)
{
    static const char *const formats[] = {"", "maildir", "mbox", "eml"};
    if (slice_eq(name, S("--mailbox"))) {
        a->mailbox = value;
        return OK;
    }
    for (size_t i = 1; i < COUNT(formats) && slice_eq(name, S("--format")); i++) {
        if (!slice_eq(value, slice_of(formats[i]))) continue;
        a->format = (Format)i;
        return OK;
    }
    return fail(ERR_SYNTAX, "%.*s %.*s: not understood", SP(name), SP(value));
}

static Err import_args(CommandLine *c, ImportArgs *a)
{
    for (int i = 1; i < c->argc; i++) {
        Slice arg = slice_of(c->argv[i]);
        if (slice_eq(arg, S("--again"))) {
            a->again = true;
        } else if (slice_starts(arg, S("--"))) {
            if (i + 1 == c->argc) return fail(ERR_SYNTAX, "%.*s wants a value", SP(arg));
            TRY(import_option(a, arg, slice_of(c->argv[++i])));
        } else if (!a->login.len) {
            a->login = arg;
        } else if (!a->path.len) {
            a->path = arg;
        } else {
            return fail(ERR_SYNTAX, "%.*s: one argument too many", SP(arg));
        }
    }
    if (!a->path.len)
        return fail(ERR_SYNTAX, "usage: posthouse %s", verb_find(S("import"))->synopsis);
    return OK;
}

/* --mailbox: the top of the source becomes that mailbox, the others are below it. */
static void move_below(Source *s, Slice top, Slice *name)
{
    bool is_top = slice_eq(*name, S("INBOX"));
    *name = is_top ? top : arena_printf(&s->arena, "%.*s/%.*s", SP(top), SP(*name));
}

static void move_all_below(Source *s, Slice top)
{
    for (size_t i = 0; i < s->count; i++)
        move_below(s, top, &s->items[i].meta.mailbox);
    for (size_t i = 0; i < s->folder_count; i++)
        move_below(s, top, &s->folders[i]);
    for (size_t i = 0; i < s->subscription_count; i++)
        move_below(s, top, &s->subscriptions[i]);
}

PARKS static void subscribe_all(CommandLine *c, ImportArgs *a, Source *s)
{
    for (size_t i = 0; i < s->subscription_count && !c->exit_code; i++) {
        Slice args[] = {S("mailbox"), S("subscribe"), a->login, s->subscriptions[i]};
        ControlClient client = {0};
        verb_ask(c, args, COUNT(args), &client);
    }
}

PARKS static void feed_house(CommandLine *c, ImportArgs *a, Feeder *f)
{
    char *whole = realpath(arena_cstr(&f->source.arena, a->path), NULL);
    Slice total = arena_printf(&f->source.arena, "%zu", f->source.count);
    Slice args[] = {S("import"), a->login, whole ? slice_of(whole) : a->path, total};
    verb_ask(c, args, COUNT(args), &f->client);
    free(whole);
    if (f->passed_over)
        printf("%llu messages were there already\n", (unsigned long long)f->passed_over);
    if (c->exit_code == EXIT_UNAVAILABLE)
        fputs("posthouse import: start it again to go on where it stopped\n", stderr);
    subscribe_all(c, a, &f->source);
}

PARKS void import_at_terminal(CommandLine *c)
{
    ImportArgs a = {0};
    Feeder f = {
        .client = {.source = send_all, .sink = take_mark}
    };
    Err err = import_args(c, &a);
    f.again = a.again;
    if (!err) err = source_read(&f.source, a.format, a.path);
    if (err) {
        fprintf(stderr, "posthouse import: %s\n", *err_story() ? err_story() : err_meaning(err));
        c->exit_code = err == ERR_SYNTAX ? EXIT_USAGE : exit_code_of(err);
    } else {
        if (a.mailbox.len) move_all_below(&f.source, a.mailbox);
        feed_house(c, &a, &f);
    }
    number_table_done(&f.marks);
    source_done(&f.source);
}
