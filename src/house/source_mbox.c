/* mbox as a source: messages begin at "From " lines; mboxrd quoting; flags in Status, X-Status,
 * X-Keywords, the UID in X-UID and X-IMAPbase, as Dovecot, UW-IMAP and mutt write them. */
#include "base/scan.h"
#include "base/text.h"
#include "house/transfer.h"
#include "mail/header.h"
#include "run/file.h"

enum { HEAD_MOST = 64 * 1024, PIECE = 1 << 20 };

typedef struct {
    Source *source;
    Slice path, mailbox;
    uint64_t from_at;   /* where the "From " line of the message begins */
    SourceItem *item;   /* NULL: none has begun */
    bool line_is_empty; /* the line before */
} Mbox;

/* asctime: "From anna@example.org Sat Jan  3 01:05:34 1996" */
static int64_t date_of(Slice line)
{
    for (unsigned month = 0; month < 12; month++) {
        size_t at = slice_find_slice(line, slice(month_names[month], 3));
        if (at == line.len || at < 4) continue;
        Scan s = scan(slice_from(line, at + 3));
        while (scan_see(&s, ' '))
            continue;
        uint32_t day = scan_number(&s);
        scan_need(&s, ' ');
        uint32_t hour = scan_number(&s);
        scan_need(&s, ':');
        uint32_t minute = scan_number(&s);
        uint32_t second = scan_see(&s, ':') ? scan_number(&s) : 0;
        while (scan_see(&s, ' '))
            continue;
        if (scan_is_ok(&s) && is_alpha((unsigned char)(scan_is_done(&s) ? '0' : scan_peek(&s))))
            scan_until(&s, ' '), scan_see(&s, ' ');
        uint32_t year = scan_number(&s);
        if (scan_is_ok(&s) && year >= 1970 && year < 2106)
            return days_from_civil((int)year, month + 1, day) * 86400 + hour * 3600 + minute * 60 +
                   second;
    }
    return 0;
}

static uint8_t flags_of(Slice letters)
{
    uint8_t flags = 0;
    for (size_t i = 0; i < letters.len; i++) {
        char c = letters.at[i];
        flags |= c == 'R'   ? FLAG_SEEN
                 : c == 'A' ? FLAG_ANSWERED
                 : c == 'F' ? FLAG_FLAGGED
                 : c == 'D' ? FLAG_DELETED
                 : c == 'T' ? FLAG_DRAFT
                            : 0;
    }
    return flags;
}

bool mbox_is_status_header(Slice name)
{
    static const char *const names[] = {"Status", "X-Status", "X-Keywords",
                                        "X-UID",  "X-IMAP",   "X-IMAPbase"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (slice_eq_nocase(name, slice_of(names[i]))) return true;
    return false;
}

static void read_status(Source *s, Slice head, TransferMeta *m)
{
    HeaderField f = {0};
    uint64_t n;
    while (header_next(head, &f)) {
        Slice value = slice_trim(f.value);
        if (slice_eq_nocase(f.name, S("Status")) || slice_eq_nocase(f.name, S("X-Status")))
            m->flags |= flags_of(value);
        else if (slice_eq_nocase(f.name, S("X-Keywords")))
            m->keywords = arena_copy(&s->arena, value);
        else if (slice_eq_nocase(f.name, S("X-UID")) && slice_to_u64(value, &n) && n <= UINT32_MAX)
            m->uid = (uint32_t)n;
    }
}

/* The header as far as the first HEAD_MOST octets hold it. */
static Err finish_item(Mbox *m, File *file, uint64_t end)
{
    Buf head buf_scoped = {0};
    size_t got;
    if (!m->item) return OK;
    m->item->len = end > m->item->offset ? end - m->item->offset : 0;
    m->item->meta.size = m->item->len;
    size_t want = (size_t)MIN((uint64_t)HEAD_MOST, m->item->len);
    TRY(file_read_some(file, m->item->offset, buf_reserve(&head, want + 1), want, &got));
    head.len = got;
    size_t crlf = slice_find_slice(buf_slice(&head), S("\r\n\r\n")),
           lf = slice_find_slice(buf_slice(&head), S("\n\n"));
    head.len = MIN(head.len, MIN(crlf, lf) + 1);
    read_status(m->source, buf_slice(&head), &m->item->meta);
    return OK;
}

static void begin_item(Mbox *m, Slice line, uint64_t line_at, uint64_t next_at)
{
    m->item = source_add(m->source);
    m->item->path = m->path;
    m->item->offset = next_at;
    m->item->from_quoted = m->item->status_headers = true;
    m->item->meta.mailbox = m->mailbox;
    m->item->meta.date = date_of(line);
    m->item->meta.key = arena_printf(&m->source->arena, "%020llu", (unsigned long long)line_at);
}

static Err take_line(Mbox *m, File *file, Slice line, uint64_t at, uint64_t next_at)
{
    if (m->line_is_empty && slice_starts(line, S("From "))) {
        TRY(finish_item(m, file, at));
        begin_item(m, line, at, next_at);
    }
    m->line_is_empty = slice_trim(line).len == 0;
    return OK;
}

/* Line by line through a window of PIECE octets; only the first octets of a longer line are looked
 * at. */
static Err scan_file(Mbox *m, File *file, uint64_t size)
{
    Buf window buf_scoped = {0};
    bool inside = false; /* within a line longer than the window */
    for (uint64_t at = 0; at < size;) {
        size_t got;
        TRY(file_read_some(file, at, buf_reserve(&window, PIECE), PIECE, &got));
        Slice rest = slice(window.at, got);
        while (rest.len) {
            size_t end = slice_find(rest, '\n');
            if (end == rest.len && rest.len < got && at + rest.len < size)
                break; /* read it again, whole */
            size_t len = MIN(end + 1, rest.len);
            if (!inside) TRY(take_line(m, file, slice_first(rest, end), at, at + len));
            inside = end == rest.len;
            rest = slice_from(rest, len);
            at += len;
        }
        if (!got) break;
    }
    return finish_item(m, file, size);
}

static Err read_file(Source *s, Slice path, Slice mailbox)
{
    Mbox m = {.source = s,
              .path = arena_copy(&s->arena, path),
              .mailbox = mailbox,
              .line_is_empty = true};
    File *file scoped(file) = NULL;
    uint64_t size;
    TRY(file_open(path, FILE_READ, &file));
    TRY(file_size(file, &size));
    return scan_file(&m, file, size);
}

Err source_read_mbox(Source *s, Slice path)
{
    PathInfo info;
    Slice *names;
    size_t count;
    TRY(path_info(path, &info));
    if (!info.is_dir) return read_file(s, path, S("INBOX"));
    TRY(path_list(path, &s->arena, &names, &count));
    for (size_t i = 0; i < count; i++) {
        Slice file = arena_printf(&s->arena, "%.*s/%.*s", SP(path), SP(names[i]));
        if (slice_starts(names[i], S(".")) || path_info(file, &info) || info.is_dir) continue;
        bool inbox = slice_eq_nocase(names[i], S("inbox")) || slice_eq_nocase(names[i], S("mbox"));
        Slice name =
            slice_ends(names[i], S(".mbox")) ? slice_first(names[i], names[i].len - 5) : names[i];
        TRY(read_file(s, file, inbox ? S("INBOX") : name));
    }
    return OK;
}
