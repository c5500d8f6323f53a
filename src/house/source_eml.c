/* A tree of .eml files as a source: the files of the top are INBOX, directories below are
 * mailboxes. */
#include "house/transfer.h"
#include "mail/header.h"
#include "run/file.h"

enum { HEAD_MOST = 64 * 1024, DEPTH_MOST = 20 };

/* When the message was sent, or else when the file was written. */
static int64_t date_of(Slice path, int64_t otherwise)
{
    File *file scoped(file) = NULL;
    Buf head buf_scoped = {0};
    HeaderField f = {0};
    size_t got;
    int64_t date;
    int16_t zone;
    if (file_open(path, FILE_READ, &file)) return otherwise;
    if (file_read_some(file, 0, buf_reserve(&head, HEAD_MOST), HEAD_MOST, &got)) return otherwise;
    head.len = got;
    if (!header_find(buf_slice(&head), S("Date"), &f) || header_date(f.value, &date, &zone))
        return otherwise;
    return date > 0 && date <= UINT32_MAX ? date : otherwise;
}

static void add_file(Source *s, Slice path, Slice name, Slice mailbox, const PathInfo *info)
{
    SourceItem *item = source_add(s);
    item->path = arena_copy(&s->arena, path);
    item->meta = (TransferMeta){.mailbox = mailbox,
                                .key = arena_copy(&s->arena, name),
                                .size = info->size,
                                .date = date_of(path, info->mtime)};
}

static Err read_dir(Source *s, Slice dir, Slice mailbox, int depth)
{
    Slice *names;
    size_t count;
    PathInfo info;
    if (depth > DEPTH_MOST) return fail(ERR_LIMIT, "directories nest too deep at %.*s", SP(dir));
    TRY(path_list(dir, &s->arena, &names, &count));
    for (size_t i = 0; i < count; i++) {
        Slice path = arena_printf(&s->arena, "%.*s/%.*s", SP(dir), SP(names[i]));
        if (slice_starts(names[i], S(".")) || path_info(path, &info)) continue;
        if (info.is_dir)
            TRY(read_dir(s, path, name_below(&s->arena, depth ? mailbox : (Slice){0}, names[i]),
                         depth + 1));
        else if (slice_ends(names[i], S(".eml")))
            add_file(s, path, names[i], mailbox, &info);
    }
    return OK;
}

Err source_read_eml(Source *s, Slice path)
{
    PathInfo info;
    TRY(path_info(path, &info));
    if (info.is_dir) return read_dir(s, path, S("INBOX"), 0);
    size_t slash = slice_find_last(path, '/');
    Slice name = slash == path.len ? path : slice_from(path, slash + 1);
    add_file(s, path, name, S("INBOX"), &info);
    return OK;
}
