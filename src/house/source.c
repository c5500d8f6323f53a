/* What all sources have in common: which format it is, in which order messages come, and the octets
 * of one. */
#include "house/transfer.h"
#include "run/file.h"

#include <stdlib.h>

/* ---- the octets ---- */

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
    bool ends = slice_eq(line, S("\n")) || slice_eq(line, S("\r\n"));
    if (t->header && ends) t->header = false, t->dropping = false;
    if (t->header && !(line.at[0] == ' ' || line.at[0] == '\t'))
        t->dropping = mbox_is_status_line(line);
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

Err source_octets(const SourceItem *item, Buf *out)
{
    Buf text buf_scoped = {0};
    TRY(read_item(item, item->mbox ? &text : out));
    if (!item->mbox) return OK;
    MboxText t = {.header = true};
    Slice line;
    for (Slice rest = without_last_empty_line(buf_slice(&text)); rest.len;
         rest = slice_from(rest, line.len)) {
        line = slice_first(rest, slice_find(rest, '\n') + 1);
        unquote_line(&t, line, out);
    }
    return OK;
}

/* ---- what is there ---- */

static int by_mailbox_and_key(const void *a, const void *b)
{
    const SourceItem *x = a, *y = b;
    int order = slice_order(x->meta.mailbox, y->meta.mailbox);
    if (!order) order = (x->order > y->order) - (x->order < y->order);
    return order ? order : slice_order(x->meta.key, y->meta.key);
}

static bool is_maildir(Arena *a, Slice dir)
{
    PathInfo info;
    return path_info(arena_printf(a, "%.*s/cur", SP(dir)), &info) == OK && info.is_dir;
}

/* A directory tells by what is in it, or else in the directories right below. */
static Format guess_dir(Slice dir, bool deeper)
{
    Arena a arena_scoped = {0};
    Slice *names;
    size_t count;
    PathInfo info;
    Format found = FORMAT_UNKNOWN;
    if (is_maildir(&a, dir)) return FORMAT_MAILDIR;
    if (path_list(dir, &a, &names, &count)) return FORMAT_UNKNOWN;
    for (size_t i = 0; i < count; i++) {
        Slice path = arena_printf(&a, "%.*s/%.*s", SP(dir), SP(names[i]));
        if (path_info(path, &info)) continue;
        Format f = info.is_dir ? deeper ? guess_dir(path, false) : FORMAT_UNKNOWN
                   : slice_ends(names[i], S(".eml")) ? FORMAT_EML
                                                     : FORMAT_MBOX;
        if (f == FORMAT_MAILDIR || f == FORMAT_EML) return f;
        if (f == FORMAT_MBOX) found = f;
    }
    return found;
}

static Format guess(Slice path)
{
    PathInfo info;
    if (path_info(path, &info)) return FORMAT_UNKNOWN;
    if (info.is_dir) return guess_dir(path, true);
    return slice_ends(path, S(".eml")) ? FORMAT_EML : FORMAT_MBOX;
}

Err source_read(Source *s, Format format, Slice path)
{
    PathInfo info;
    TRY(path_info(path, &info));
    if (format == FORMAT_UNKNOWN) format = guess(path);
    switch (format) {
    case FORMAT_MAILDIR:
        TRY(source_read_maildir(s, path));
        break;
    case FORMAT_MBOX:
        TRY(source_read_mbox(s, path));
        break;
    case FORMAT_EML:
        TRY(source_read_eml(s, path));
        break;
    case FORMAT_UNKNOWN:
        return fail(ERR_NOT_FOUND, "%.*s: no maildir, mbox or .eml files there", SP(path));
    }
    if (s->count) qsort(s->items, s->count, sizeof *s->items, by_mailbox_and_key);
    return OK;
}
