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
    Table marks; /* mailbox -> key (char *, with its length in front) */
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
    Slice mailbox = read_bytes(&r), key = read_bytes(&r);
    if (type != 'R' || r.bad) return fail(ERR_SYNTAX, "a broken mark");
    Slice *kept = arena_new(&f->source.arena, Slice);
    *kept = arena_copy(&f->source.arena, key);
    table_put(&f->marks, mailbox, kept);
    return OK;
}

static bool is_in_already(const Feeder *f, const TransferMeta *m)
{
    const Slice *key = table_get(&f->marks, m->mailbox);
    return key && slice_order(m->key, *key) <= 0;
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

/* mboxrd: ">From " was "From ", ">>From " was ">From ". */
static bool is_from_quoted(Slice line)
{
    size_t n = 0;
    while (n < line.len && line.at[n] == '>')
        n++;
    return n && slice_starts(slice_from(line, n), S("From "));
}

typedef struct {
    bool header, dropping; /* within the header; within a field that is not part of the message */
} MboxText;

static void unquote_line(MboxText *t, Slice line, Buf *out)
{
    Slice bare = slice_trim(line);
    if (t->header && !bare.len) t->header = false, t->dropping = false;
    if (t->header && !(line.at[0] == ' ' || line.at[0] == '\t'))
        t->dropping = mbox_is_status_header(slice_first(line, slice_find(line, ':')));
    if (t->header && t->dropping) return;
    buf_add(out, !t->header && is_from_quoted(line) ? slice_from(line, 1) : line);
}

/* An mbox message ends with the empty line that stands before the next "From ". */
static Slice without_last_empty_line(Slice text)
{
    if (slice_ends(text, S("\n\r\n"))) return slice_first(text, text.len - 2);
    if (slice_ends(text, S("\n\n"))) return slice_first(text, text.len - 1);
    return text;
}

static Err read_item(const SourceItem *item, Buf *out)
{
    File *file scoped(file) = NULL;
    uint64_t size;
    size_t got;
    TRY(file_open(item->path, FILE_READ, &file));
    TRY(file_size(file, &size));
    uint64_t len = item->len == UINT64_MAX
                       ? size
                       : MIN(item->len, size > item->offset ? size - item->offset : 0);
    if (len > (uint64_t)2 << 30) return fail(ERR_TOO_BIG, "%.*s: more than 2 GiB", SP(item->path));
    TRY(file_read_some(file, item->offset, buf_reserve(out, (size_t)len + 1), (size_t)len, &got));
    out->len = got;
    return OK;
}

PARKS static Err send_message(Feeder *f, const SourceItem *item)
{
    Buf text buf_scoped = {0}, clean buf_scoped = {0}, meta buf_scoped = {0};
    Err err = read_item(item, &text);
    if (err == ERR_NOT_FOUND) return OK; /* gone meanwhile */
    TRY(err);
    Slice octets = buf_slice(&text), line;
    if (item->status_headers) {
        MboxText t = {.header = true};
        octets = without_last_empty_line(octets);
        for (Slice rest = octets; rest.len; rest = slice_from(rest, line.len)) {
            line = slice_first(rest, slice_find(rest, '\n') + 1);
            unquote_line(&t, line, &clean);
        }
        octets = buf_slice(&clean);
    }
    transfer_meta_encode(&meta, &item->meta);
    TRY(control_send(&f->client, buf_slice(&meta)));
    TRY(send_octets(&f->client, 'B', octets));
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

static int by_mailbox_and_key(const void *a, const void *b)
{
    const SourceItem *x = a, *y = b;
    int order = slice_order(x->meta.mailbox, y->meta.mailbox);
    return order ? order : slice_order(x->meta.key, y->meta.key);
}

static Format guess(Slice path)
{
    PathInfo info;
    Arena a arena_scoped = {0};
    Slice *names;
    size_t count;
    if (path_info(path, &info)) return FORMAT_UNKNOWN;
    if (!info.is_dir) return slice_ends(path, S(".eml")) ? FORMAT_UNKNOWN : FORMAT_MBOX;
    if (path_list(path, &a, &names, &count)) return FORMAT_UNKNOWN;
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(names[i], S("cur")) || slice_eq(names[i], S("new"))) return FORMAT_MAILDIR;
        if (slice_ends(names[i], S(".eml"))) return FORMAT_EML;
        if (path_info(arena_printf(&a, "%.*s/%.*s/cur", SP(path), SP(names[i])), &info) == OK)
            return FORMAT_MAILDIR;
    }
    return count ? FORMAT_MBOX : FORMAT_UNKNOWN;
}

typedef struct {
    Slice login, path, mailbox;
    Format format;
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
        if (slice_starts(arg, S("--"))) {
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

static Err read_source(Source *s, ImportArgs *a)
{
    if (a->format == FORMAT_UNKNOWN) a->format = guess(a->path);
    switch (a->format) {
    case FORMAT_MAILDIR:
        TRY(source_read_maildir(s, a->path));
        break;
    case FORMAT_MBOX:
        TRY(source_read_mbox(s, a->path));
        break;
    case FORMAT_EML:
        TRY(source_read_eml(s, a->path));
        break;
    case FORMAT_UNKNOWN:
        return fail(ERR_NOT_FOUND, "%.*s: no maildir, mbox or .eml files there", SP(a->path));
    }
    for (size_t i = 0; i < s->count && a->mailbox.len; i++)
        move_below(s, a->mailbox, &s->items[i].meta.mailbox);
    for (size_t i = 0; i < s->folder_count && a->mailbox.len; i++)
        move_below(s, a->mailbox, &s->folders[i]);
    if (s->count) qsort(s->items, s->count, sizeof *s->items, by_mailbox_and_key);
    return OK;
}

PARKS static void subscribe_all(CommandLine *c, ImportArgs *a, Source *s)
{
    for (size_t i = 0; i < s->subscription_count && !c->exit_code; i++) {
        Slice args[] = {S("mailbox"), S("subscribe"), a->login, s->subscriptions[i]};
        ControlClient client = {0};
        verb_ask(c, args, COUNT(args), &client);
    }
}

PARKS void import_at_terminal(CommandLine *c)
{
    ImportArgs a = {0};
    Feeder f = {
        .client = {.source = send_all, .sink = take_mark}
    };
    Err err = import_args(c, &a);
    if (!err) err = read_source(&f.source, &a);
    if (err) {
        fprintf(stderr, "posthouse import: %s\n", *err_story() ? err_story() : err_meaning(err));
        c->exit_code = err == ERR_SYNTAX ? EXIT_USAGE : exit_code_of(err);
    } else {
        char *whole = realpath(arena_cstr(&f.source.arena, a.path), NULL);
        Slice args[] = {S("import"), a.login, whole ? slice_of(whole) : a.path};
        verb_ask(c, args, COUNT(args), &f.client);
        free(whole);
        if (f.passed_over)
            printf("%llu messages were there already\n", (unsigned long long)f.passed_over);
        subscribe_all(c, &a, &f.source);
    }
    table_done(&f.marks);
    source_done(&f.source);
}
