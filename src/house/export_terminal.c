/* export at the command line: a sink for maildir trees (Maildir++ with Dovecot's lists), one for
 * mbox files. */
#include "base/text.h"
#include "house/transfer.h"
#include "run/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

/* ---- files being written ---- */

typedef struct {
    File *file;
    Slice path;
    uint64_t at;
    Buf waiting;
} Writer;

static Err writer_flush(Writer *w)
{
    Slice octets = buf_slice(&w->waiting);
    if (!octets.len) return OK;
    TRY(file_write_at(w->file, w->at, &octets, 1));
    w->at += octets.len;
    buf_clear(&w->waiting);
    return OK;
}

static Err writer_add(Writer *w, Slice octets)
{
    buf_add(&w->waiting, octets);
    return w->waiting.len > 1 << 20 ? writer_flush(w) : OK;
}

static Err writer_close(Writer *w)
{
    if (!w->file) return OK;
    Err err = writer_flush(w);
    file_close(w->file);
    buf_done(&w->waiting);
    *w = (Writer){0};
    return err;
}

/* Wire form has CRLF; files have LF. A CR that is not before LF stays. */
typedef struct {
    bool cr; /* held back */
} Unwire;

static void unwire(Unwire *u, Slice octets, Buf *out)
{
    for (size_t i = 0; i < octets.len; i++) {
        char c = octets.at[i];
        if (u->cr && c != '\n') buf_char(out, '\r');
        u->cr = c == '\r';
        if (!u->cr) buf_char(out, c);
    }
}

static Err make_dirs(Arena *a, Slice path)
{
    for (size_t i = 1; i <= path.len; i++)
        if (i == path.len || path.at[i] == '/')
            TRY(path_mkdir(arena_copy(a, slice_first(path, i))));
    return OK;
}

/* ---- maildir ---- */

typedef struct {
    Slice mailbox, dir;
    Slice keywords[26];
    size_t keyword_count;
    Writer list, message;
    Buf words, name;
    Unwire unwire;
    int64_t date;
} Maildir;

static Slice maildir_dir(Sink *s, Slice mailbox)
{
    Buf name buf_scoped = {0};
    if (slice_eq(mailbox, S("INBOX"))) return s->path;
    name_to_dotted(&name, mailbox);
    return arena_printf(&s->arena, "%.*s/.%.*s", SP(s->path), (int)name.len, name.at);
}

static Err maildir_leave(Sink *s)
{
    Maildir *m = s->state;
    Buf text buf_scoped = {0};
    if (!m->dir.len) return OK;
    TRY(writer_close(&m->list));
    for (size_t i = 0; i < m->keyword_count; i++)
        buf_printf(&text, "%zu %.*s\n", i, SP(m->keywords[i]));
    if (text.len)
        TRY(path_replace(arena_printf(&s->arena, "%.*s/dovecot-keywords", SP(m->dir)),
                         buf_slice(&text)));
    m->keyword_count = 0;
    return OK;
}

static Err maildir_enter(Sink *s, const TransferMeta *meta)
{
    Maildir *m = s->state;
    Buf head buf_scoped = {0};
    TRY(maildir_leave(s));
    m->mailbox = arena_copy(&s->arena, meta->mailbox);
    m->dir = maildir_dir(s, m->mailbox);
    TRY(make_dirs(&s->arena, m->dir));
    static const char *const parts[] = {"cur", "new", "tmp"};
    for (size_t i = 0; i < COUNT(parts); i++)
        TRY(path_mkdir(arena_printf(&s->arena, "%.*s/%s", SP(m->dir), parts[i])));
    Slice list = arena_printf(&s->arena, "%.*s/dovecot-uidlist", SP(m->dir));
    TRY(file_open(list, FILE_WRITE | FILE_CREATE | FILE_EMPTY, &m->list.file));
    buf_printf(&head, "3 V%u N%u\n", meta->uid_validity, meta->uid_next);
    return writer_add(&m->list, buf_slice(&head));
}

/* Letters in the order of ASCII, as the maildir text asks: DFPRST, then keywords a to z. */
static void maildir_letters(Maildir *m, Arena *a, const TransferMeta *meta, Buf *out)
{
    bool letters[26] = {0}, passed = false;
    Slice words = meta->keywords, word;
    while (slice_cut(&words, ' ', &word)) {
        size_t i = 0;
        if (slice_eq_nocase(word, S("$Forwarded"))) passed = true;
        if (!word.len || slice_eq_nocase(word, S("$Forwarded"))) continue;
        while (i < m->keyword_count && !slice_eq_nocase(m->keywords[i], word))
            i++;
        if (i == COUNT(m->keywords)) continue; /* maildir knows 26 */
        if (i == m->keyword_count) m->keywords[m->keyword_count++] = arena_copy(a, word);
        letters[i] = true;
    }
    if (meta->flags & FLAG_DRAFT) buf_char(out, 'D');
    if (meta->flags & FLAG_FLAGGED) buf_char(out, 'F');
    if (passed) buf_char(out, 'P');
    if (meta->flags & FLAG_ANSWERED) buf_char(out, 'R');
    if (meta->flags & FLAG_SEEN) buf_char(out, 'S');
    if (meta->flags & FLAG_DELETED) buf_char(out, 'T');
    for (int i = 0; i < 26; i++)
        if (letters[i]) buf_char(out, (char)('a' + i));
}

static Err maildir_begin(Sink *s, const TransferMeta *meta)
{
    Maildir *m = s->state;
    Buf line buf_scoped = {0};
    if (!m->dir.len || !slice_eq(m->mailbox, meta->mailbox)) TRY(maildir_enter(s, meta));
    buf_clear(&m->name);
    buf_printf(&m->name, "%lld.U%uV%u.posthouse:2,", (long long)meta->date, meta->uid,
               meta->uid_validity);
    buf_printf(&line, "%u :%.*s\n", meta->uid,
               SP(slice_first(buf_slice(&m->name), slice_find(buf_slice(&m->name), ':'))));
    TRY(writer_add(&m->list, buf_slice(&line)));
    maildir_letters(m, &s->arena, meta, &m->name);
    m->date = meta->date;
    m->unwire = (Unwire){0};
    m->message.path =
        arena_printf(&s->arena, "%.*s/cur/%.*s", SP(m->dir), (int)m->name.len, m->name.at);
    return file_open(m->message.path, FILE_WRITE | FILE_CREATE | FILE_EMPTY, &m->message.file);
}

static Err maildir_octets(Sink *s, Slice octets)
{
    Maildir *m = s->state;
    unwire(&m->unwire, octets, &m->message.waiting);
    return writer_flush(&m->message);
}

/* The file's time is the INTERNALDATE. */
static Err maildir_end(Sink *s)
{
    Maildir *m = s->state;
    Slice path = m->message.path;
    struct timeval times[2] = {{.tv_sec = m->date}, {.tv_sec = m->date}};
    TRY(writer_close(&m->message));
    utimes(arena_cstr(&s->arena, path), times);
    return OK;
}

static Err maildir_finish(Sink *s)
{
    Maildir *m = s->state;
    Err err = maildir_leave(s);
    buf_done(&m->words);
    buf_done(&m->name);
    free(m);
    return err;
}

void sink_maildir(Sink *s, Slice path)
{
    *s = (Sink){.path = path,
                .folder = maildir_enter,
                .begin = maildir_begin,
                .octets = maildir_octets,
                .end = maildir_end,
                .finish = maildir_finish};
    s->state = NEW(Maildir);
}

/* ---- mbox (mboxrd), one file for each mailbox ---- */

typedef struct {
    Slice mailbox;
    Writer file;
    bool begins; /* its first message carries the numbers of the mailbox */
    Buf line;    /* the line being gathered, without its end */
    Unwire unwire;
    bool header, dropping; /* within the header; within a field of it that says what Status says */
    Buf status;            /* header lines that carry the flags */
} Mbox;

static Err mbox_begin(Sink *s, const TransferMeta *meta)
{
    Mbox *m = s->state;
    Buf from buf_scoped = {0};
    if (!m->file.file || !slice_eq(m->mailbox, meta->mailbox)) {
        TRY(writer_close(&m->file));
        m->mailbox = arena_copy(&s->arena, meta->mailbox);
        m->begins = true;
        Buf name buf_scoped = {0};
        name_to_path(&name, m->mailbox);
        Slice path = arena_printf(&s->arena, "%.*s/%.*s.mbox", SP(s->path), SP(buf_slice(&name)));
        TRY(make_dirs(&s->arena, slice_first(path, slice_find_last(path, '/'))));
        TRY(file_open(path, FILE_WRITE | FILE_CREATE | FILE_EMPTY, &m->file.file));
    }
    int year;
    unsigned month, day;
    int64_t days = meta->date / 86400, seconds = meta->date % 86400;
    civil_from_days(days, &year, &month, &day);
    buf_printf(&from, "From MAILER-DAEMON %.3s %.3s %2u %02d:%02d:%02d %d\n",
               weekday_names[weekday_from_days(days)], month_names[month - 1], day,
               (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60), year);
    buf_clear(&m->status);
    if (m->begins && meta->uid_validity)
        buf_printf(&m->status, "X-IMAPbase: %u %010u\n", meta->uid_validity,
                   meta->uid_next ? meta->uid_next - 1 : 0);
    m->begins = false;
    buf_printf(&m->status, "Status: %sO\nX-Status: %s%s%s%s\nX-UID: %u\n",
               meta->flags & FLAG_SEEN ? "R" : "", meta->flags & FLAG_ANSWERED ? "A" : "",
               meta->flags & FLAG_FLAGGED ? "F" : "", meta->flags & FLAG_DRAFT ? "T" : "",
               meta->flags & FLAG_DELETED ? "D" : "", meta->uid);
    if (meta->keywords.len) buf_printf(&m->status, "X-Keywords: %.*s\n", SP(meta->keywords));
    m->header = true, m->dropping = false;
    m->unwire = (Unwire){0};
    return writer_add(&m->file, buf_slice(&from));
}

/* A Status the message came with would be taken for ours. */
static bool mbox_drops(Mbox *m, Slice line)
{
    bool folded = line.len && (line.at[0] == ' ' || line.at[0] == '\t');
    if (!folded) m->dropping = mbox_is_status_line(line);
    return m->dropping;
}

static Err mbox_line(Mbox *m)
{
    Slice line = buf_slice(&m->line);
    size_t quotes = 0;
    while (quotes < line.len && line.at[quotes] == '>')
        quotes++;
    if (m->header && !line.len) {
        TRY(writer_add(&m->file, buf_slice(&m->status)));
        m->header = false;
    }
    if (!m->header && slice_starts(slice_from(line, quotes), S("From ")))
        TRY(writer_add(&m->file, S(">")));
    buf_clear(&m->line);
    if (m->header && mbox_drops(m, line)) return OK;
    TRY(writer_add(&m->file, line));
    return writer_add(&m->file, S("\n"));
}

static Err mbox_octets(Sink *s, Slice octets)
{
    Mbox *m = s->state;
    Buf text buf_scoped = {0};
    unwire(&m->unwire, octets, &text);
    for (Slice rest = buf_slice(&text); rest.len;) {
        size_t end = slice_find(rest, '\n');
        buf_add(&m->line, slice_first(rest, end));
        if (end < rest.len) TRY(mbox_line(m));
        rest = slice_from(rest, end + 1);
    }
    return OK;
}

static Err mbox_end(Sink *s)
{
    Mbox *m = s->state;
    if (m->line.len) TRY(mbox_line(m));
    if (m->header) TRY(mbox_line(m)); /* a message without a body: its header ends here */
    return writer_add(&m->file, S("\n"));
}

static Err mbox_finish(Sink *s)
{
    Mbox *m = s->state;
    Err err = writer_close(&m->file);
    buf_done(&m->line);
    buf_done(&m->status);
    free(m);
    return err;
}

void sink_mbox(Sink *s, Slice path)
{
    *s = (Sink){.path = path,
                .begin = mbox_begin,
                .octets = mbox_octets,
                .end = mbox_end,
                .finish = mbox_finish};
    s->state = NEW(Mbox);
}

/* ---- the verb ---- */

typedef struct {
    ControlClient client;
    Sink sink;
} Receiver;

static Err take_folder(Sink *s, Slice frame)
{
    TransferMeta meta;
    TRY(transfer_meta_decode(frame, &meta));
    return s->folder ? s->folder(s, &meta) : OK;
}

static Err take_frame(ControlClient *c, Slice data)
{
    Receiver *r = CONTAINER(c, Receiver, client);
    TransferMeta meta;
    if (!data.len) return fail(ERR_SYNTAX, "an empty frame");
    switch (data.at[0]) {
    case 'F':
        return take_folder(&r->sink, slice_from(data, 1));
    case 'M':
        TRY(transfer_meta_decode(data, &meta));
        return r->sink.begin(&r->sink, &meta);
    case 'B':
        return r->sink.octets(&r->sink, slice_from(data, 1));
    case 'E':
        return r->sink.end(&r->sink);
    default:
        return fail(ERR_SYNTAX, "a frame %c", data.at[0]);
    }
}

PARKS void export_at_terminal(CommandLine *c)
{
    Slice args[3] = {S("export")}, path = {0}, mailbox = {0}, format = S("maildir");
    Receiver r = {.client = {.sink = take_frame}};
    bool fits = true;
    for (int i = 1, n = 1; i < c->argc; i++) {
        Slice arg = slice_of(c->argv[i]);
        bool more = i + 1 < c->argc;
        if (slice_eq(arg, S("--mailbox")) && more)
            mailbox = slice_of(c->argv[++i]);
        else if (slice_eq(arg, S("--format")) && more)
            format = slice_of(c->argv[++i]);
        else if (n == 1)
            args[n++] = arg;
        else if (!path.len)
            path = arg;
        else
            fits = false;
    }
    bool mbox = slice_eq(format, S("mbox"));
    if (!fits || !path.len || !(mbox || slice_eq(format, S("maildir")))) {
        fprintf(stderr, "usage: posthouse %s\n", verb_find(S("export"))->synopsis);
        c->exit_code = EXIT_USAGE;
        return;
    }
    args[2] = mailbox;
    (mbox ? sink_mbox : sink_maildir)(&r.sink, path);
    verb_ask(c, args, mailbox.len ? 3 : 2, &r.client);
    Err err = r.sink.finish(&r.sink);
    if (err && !c->exit_code) {
        fprintf(stderr, "posthouse export: %s\n", err_story());
        c->exit_code = exit_code_of(err);
    }
    arena_done(&r.sink.arena);
}
