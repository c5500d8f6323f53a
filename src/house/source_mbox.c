/* mbox as a source: messages begin at "From " lines; mboxrd quoting; flags in Status, X-Status,
 * X-Keywords, the UID in X-UID and X-IMAPbase, as Dovecot, UW-IMAP and mutt write them. */
#include "base/scan.h"
#include "base/table.h"
#include "base/text.h"
#include "house/transfer.h"
#include "mail/header.h"
#include "run/file.h"
#include "store/digest.h"

enum { HEAD_MOST = 64 * 1024, PIECE = 1 << 20, DEPTH_MOST = 20 };

typedef struct {
    Source *source;
    Slice path, mailbox;
    uint64_t from_at; /* where the "From " line of the message begins */
    bool begun;       /* the last item of the source is the message we are in */
    uint32_t uid_validity, uid_next;
    Table seen;         /* digest of a header -> how many had it */
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

bool mbox_is_status_line(Slice line)
{
    size_t colon = slice_find(line, ':');
    return colon < line.len && mbox_is_status_header(slice_first(line, colon));
}

/* "X-IMAPbase: 1700000000 0000000042 keyword ...": the validity and the last UID given out. */
static void read_base(Mbox *m, Slice value)
{
    Slice validity, last;
    uint64_t v, n;
    if (!slice_cut(&value, ' ', &validity) || !slice_to_u64(validity, &v)) return;
    value = slice_trim(value);
    if (!slice_cut(&value, ' ', &last) || !slice_to_u64(last, &n)) return;
    if (v < UINT32_MAX) m->uid_validity = (uint32_t)v;
    if (n < UINT32_MAX - 1) m->uid_next = (uint32_t)n + 1;
}

/* *internal: the pseudo message in which UW-IMAP keeps its numbers. */
static void read_status(Mbox *m, Slice head, TransferMeta *meta, bool *internal)
{
    HeaderField f = {0};
    uint64_t n;
    while (header_next(head, &f)) {
        Slice value = slice_trim(f.value);
        if (slice_eq_nocase(f.name, S("Status")) || slice_eq_nocase(f.name, S("X-Status")))
            meta->flags |= flags_of(value);
        else if (slice_eq_nocase(f.name, S("X-Keywords")))
            meta->keywords = arena_copy(&m->source->arena, value);
        else if (slice_eq_nocase(f.name, S("X-UID")) && slice_to_u64(value, &n) && n < UINT32_MAX)
            meta->uid = (uint32_t)n;
        else if (slice_eq_nocase(f.name, S("X-IMAPbase")) || slice_eq_nocase(f.name, S("X-IMAP")))
            read_base(m, value);
        if (slice_eq_nocase(f.name, S("Subject")) &&
            slice_find_slice(value, S("FOLDER INTERNAL DATA")) < value.len)
            *internal = true;
    }
}

/* Offsets change when a mail program rewrites the file, the header does not: so that a second
 * import knows the message again. Copies are told apart by their number. */
static Slice key_of(Mbox *m, Slice head)
{
    Buf own buf_scoped = {0}, hex buf_scoped = {0};
    HeaderField f = {0};
    uint8_t sha256[32];
    while (header_next(head, &f))
        if (!mbox_is_status_header(f.name)) buf_add(&own, f.whole);
    digest_of(buf_slice(&own), sha256);
    hex_encode(&hex, slice(sha256, 12));
    uintptr_t copies = (uintptr_t)table_get(&m->seen, buf_slice(&hex)) + 1;
    table_put(&m->seen, buf_slice(&hex), (void *)copies);
    return arena_printf(&m->source->arena, "%.*s.%zu", SP(buf_slice(&hex)), (size_t)copies);
}

/* The header as far as the first HEAD_MOST octets hold it. */
static Err finish_item(Mbox *m, File *file, uint64_t end)
{
    Buf head buf_scoped = {0};
    size_t got;
    bool internal = false;
    if (!m->begun) return OK;
    SourceItem *item = &m->source->items[m->source->count - 1];
    m->begun = false;
    item->meta.size = item->len = end > item->offset ? end - item->offset : 0;
    size_t want = (size_t)MIN((uint64_t)HEAD_MOST, item->len);
    TRY(file_read_some(file, item->offset, buf_reserve(&head, want + 1), want, &got));
    head.len = got;
    size_t crlf = slice_find_slice(buf_slice(&head), S("\r\n\r\n")),
           lf = slice_find_slice(buf_slice(&head), S("\n\n"));
    head.len = MIN(head.len, MIN(crlf + 1, lf) + 1);
    if (head.len && (head.at[0] == '\n' || slice_starts(buf_slice(&head), S("\r\n")))) head.len = 0;
    read_status(m, buf_slice(&head), &item->meta, &internal);
    item->meta.key = key_of(m, buf_slice(&head));
    if (internal) m->source->count--;
    return OK;
}

static void begin_item(Mbox *m, Slice line, uint64_t line_at, uint64_t next_at)
{
    SourceItem *item = source_add(m->source);
    m->begun = true;
    item->path = m->path;
    item->offset = next_at;
    item->order = line_at;
    item->mbox = true;
    item->meta.mailbox = m->mailbox;
    item->meta.date = date_of(line);
}

static Err take_line(Mbox *m, File *file, Slice line, uint64_t at, uint64_t next_at)
{
    if (m->line_is_empty && slice_starts(line, S("From "))) {
        TRY(finish_item(m, file, at));
        begin_item(m, line, at, next_at);
    }
    m->line_is_empty = !line.len || slice_eq(line, S("\r"));
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

/* The numbers of the mailbox stand in its first message; UIDs count only while they ascend, else
 * another program has been at work. */
static void finish_mailbox(Mbox *m, size_t first)
{
    uint32_t last = 0;
    bool ascend = true;
    for (size_t i = first; i < m->source->count; i++) {
        TransferMeta *meta = &m->source->items[i].meta;
        if (meta->uid) ascend = ascend && meta->uid > last, last = meta->uid;
    }
    for (size_t i = first; i < m->source->count; i++) {
        TransferMeta *meta = &m->source->items[i].meta;
        if (!ascend) meta->uid = 0;
        meta->uid_validity = ascend ? m->uid_validity : 0;
        meta->uid_next = ascend ? m->uid_next : 0;
    }
}

static Err read_file(Source *s, Slice path, Slice mailbox)
{
    Mbox m = {.source = s,
              .path = arena_copy(&s->arena, path),
              .mailbox = mailbox,
              .line_is_empty = true};
    File *file scoped(file) = NULL;
    uint64_t size;
    size_t first = s->count;
    TRY(file_open(path, FILE_READ, &file));
    TRY(file_size(file, &size));
    Err err = scan_file(&m, file, size);
    finish_mailbox(&m, first);
    table_done(&m.seen);
    return err;
}

static Slice without(Slice name, Slice suffix)
{
    return slice_ends(name, suffix) ? slice_first(name, name.len - suffix.len) : name;
}

static Err read_dir(Source *s, Slice dir, Slice above, int depth)
{
    Slice *names;
    size_t count;
    PathInfo info;
    if (depth > DEPTH_MOST) return fail(ERR_LIMIT, "directories nest too deep at %.*s", SP(dir));
    TRY(path_list(dir, &s->arena, &names, &count));
    for (size_t i = 0; i < count; i++) {
        Slice path = arena_printf(&s->arena, "%.*s/%.*s", SP(dir), SP(names[i]));
        Slice name = names[i];
        if (slice_starts(name, S(".")) || slice_ends(name, S(".msf")) || path_info(path, &info))
            continue;
        name = without(without(name, S(".mbox")), S(".sbd"));
        bool inbox =
            !depth && (slice_eq_nocase(name, S("inbox")) || slice_eq_nocase(name, S("mbox")));
        Slice mailbox = inbox ? S("INBOX") : name_below(&s->arena, above, name);
        if (!mailbox.len) continue;
        TRY(info.is_dir ? read_dir(s, path, mailbox, depth + 1) : read_file(s, path, mailbox));
    }
    return OK;
}

Err source_read_mbox(Source *s, Slice path)
{
    PathInfo info;
    TRY(path_info(path, &info));
    return info.is_dir ? read_dir(s, path, (Slice){0}, 0) : read_file(s, path, S("INBOX"));
}
