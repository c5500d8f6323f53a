/* A maildir tree as a source: cur and new of each folder, Dovecot's dovecot-uidlist and
 * dovecot-keywords beside them, or Courier's courierimapuiddb and courierpop3dsizelist. */
#include "base/scan.h"
#include "base/table.h"
#include "base/text.h"
#include "house/transfer.h"
#include "run/file.h"

enum { LIST_FILE_MOST = 256 << 20, FOLDER_DEPTH_MOST = 20 };

typedef struct {
    Source *source;
    Slice dir, mailbox;
    uint32_t uid_validity, uid_next;
    Table uids;         /* base name -> uid */
    Table pop3_uidls;   /* base name -> Slice, the unique-id */
    Slice keywords[26]; /* letters a to z */
} Folder;

static bool is_dir(Slice path)
{
    PathInfo info;
    return path_info(path, &info) == OK && info.is_dir;
}

static Slice below(Arena *a, Slice dir, Slice name)
{
    return arena_printf(a, "%.*s/%.*s", SP(dir), SP(name));
}

/* "12.host:2,S" is the message "12.host" with flags. */
static Slice base_name(Slice name)
{
    return slice_first(name, slice_find(name, ':'));
}

static void keep_pop3_uidl(Folder *f, Arena *a, Slice base, Slice id)
{
    Slice *kept = arena_new(a, Slice);
    *kept = id;
    if (id.len) table_put(&f->pop3_uidls, base, kept);
}

/* Extensions are words that begin with a letter; P: the unique-id where it is not what the format
 * makes. */
static Slice extension(Slice line, char letter)
{
    Slice word;
    while (slice_cut(&line, ' ', &word) && !slice_starts(word, S(":")))
        if (word.len > 1 && word.at[0] == letter) return slice_from(word, 1);
    return (Slice){0};
}

/* dovecot-uidlist version 3: "3 V1700000000 N17 G..." then lines "UID [extensions] :FILENAME".
 * Version 1, and Courier's courierimapuiddb: "1 VALIDITY NEXT", lines "UID FILENAME". */
static void read_uidlist(Folder *f, Arena *a)
{
    Slice text, line, word;
    if (path_read(below(a, f->dir, S("dovecot-uidlist")), LIST_FILE_MOST, a, &text) &&
        path_read(below(a, f->dir, S("courierimapuiddb")), LIST_FILE_MOST, a, &text))
        return;
    if (!slice_cut(&text, '\n', &line)) return;
    bool version3 = slice_starts(line, S("3 "));
    for (size_t i = 0; slice_cut(&line, ' ', &word); i++) {
        uint64_t n = 0;
        bool validity = version3 ? slice_starts(word, S("V")) : i == 1;
        bool next = version3 ? slice_starts(word, S("N")) : i == 2;
        bool fits = slice_to_u64(version3 ? slice_from(word, 1) : word, &n) && n < UINT32_MAX;
        if (validity && fits) f->uid_validity = (uint32_t)n;
        if (next && fits) f->uid_next = (uint32_t)n;
    }
    while (slice_cut(&text, '\n', &line)) {
        uint64_t uid;
        size_t at = version3 ? slice_find_slice(line, S(" :")) : slice_find(line, ' ');
        if (at == line.len || !slice_to_u64(slice_first(line, slice_find(line, ' ')), &uid) ||
            !uid || uid >= UINT32_MAX)
            continue;
        Slice base = base_name(slice_from(line, at + (version3 ? 2 : 1)));
        table_put(&f->uids, base, (void *)(uintptr_t)uid);
        if (version3) keep_pop3_uidl(f, a, base, extension(slice_first(line, at + 1), 'P'));
    }
}

/* Courier's pop3d: "/3 NEXT VALIDITY", then lines "FILENAME SIZE NUMBER:VALIDITY[:UTF8]". It says
 * UIDnumber-validity, UIDnumber without a validity, and the file's name, some characters as +XX,
 * without a number. */
static Slice courier_uidl(Arena *a, Slice base, Slice numbers)
{
    Slice number, validity = {0};
    Buf id buf_scoped = {0};
    uint64_t n, v = 0;
    if (!slice_cut(&numbers, ':', &number) || !slice_to_u64(number, &n)) return (Slice){0};
    if (slice_cut(&numbers, ':', &validity) && !slice_to_u64(validity, &v)) return (Slice){0};
    if (n && v)
        return arena_printf(a, "UID%llu-%llu", (unsigned long long)n, (unsigned long long)v);
    if (n) return arena_printf(a, "UID%llu", (unsigned long long)n);
    for (size_t i = 0; i < base.len; i++) {
        unsigned char c = (unsigned char)base.at[i];
        bool plain = c >= 0x21 && c <= 0x7e && c != '\'' && c != '"' && c != '+';
        buf_printf(&id, plain ? "%c" : "+%02X", c);
    }
    return arena_copy(a, buf_slice(&id));
}

static void read_courier_pop3(Folder *f, Arena *a)
{
    Slice text, line;
    if (path_read(below(a, f->dir, S("courierpop3dsizelist")), LIST_FILE_MOST, a, &text)) return;
    if (!slice_cut(&text, '\n', &line) || !slice_starts(line, S("/"))) return;
    bool has_numbers = slice_starts(line, S("/2 ")) || slice_starts(line, S("/3 "));
    while (has_numbers && slice_cut(&text, '\n', &line)) {
        size_t last = slice_find_last(line, ' ');
        size_t before = slice_find_last(slice_first(line, last), ' ');
        if (last == line.len || before == last) continue;
        Slice base = base_name(slice_first(line, before));
        keep_pop3_uidl(f, a, base, courier_uidl(a, base, slice_from(line, last + 1)));
    }
}

/* dovecot-keywords: "0 $Forwarded" */
static void read_keywords(Folder *f, Arena *a)
{
    Slice text, line, number;
    if (path_read(below(a, f->dir, S("dovecot-keywords")), LIST_FILE_MOST, a, &text)) return;
    while (slice_cut(&text, '\n', &line)) {
        uint64_t n;
        if (slice_cut(&line, ' ', &number) && slice_to_u64(number, &n) && n < COUNT(f->keywords))
            f->keywords[n] = line;
    }
}

static uint8_t flag_of(char letter)
{
    switch (letter) {
    case 'D':
        return FLAG_DRAFT;
    case 'F':
        return FLAG_FLAGGED;
    case 'R':
        return FLAG_ANSWERED;
    case 'S':
        return FLAG_SEEN;
    case 'T':
        return FLAG_DELETED;
    default:
        return 0;
    }
}

static void read_flags(const Folder *f, Slice name, TransferMeta *m)
{
    Buf words buf_scoped = {0};
    size_t at = slice_find_slice(name, S(":2,"));
    for (size_t i = at + 3; i < name.len; i++) {
        char letter = name.at[i];
        m->flags |= flag_of(letter);
        Slice word = letter == 'P'                    ? S("$Forwarded")
                     : letter >= 'a' && letter <= 'z' ? f->keywords[letter - 'a']
                                                      : (Slice){0};
        if (!word.len) continue;
        if (words.len) buf_char(&words, ' ');
        buf_add(&words, word);
    }
    m->keywords = arena_copy(&f->source->arena, buf_slice(&words));
}

static Err add_message(Folder *f, Slice dir, Slice name)
{
    Arena *a = &f->source->arena;
    PathInfo info;
    Slice path = below(a, dir, name);
    if (path_info(path, &info) || info.is_dir) return OK; /* it moved meanwhile */
    SourceItem *item = source_add(f->source);
    Slice base = base_name(name);
    item->path = path;
    item->meta = (TransferMeta){.mailbox = f->mailbox,
                                .date = info.mtime,
                                .size = info.size,
                                .key = arena_copy(a, base),
                                .uid_validity = f->uid_validity,
                                .uid_next = f->uid_next};
    item->meta.file = item->meta.key;
    const Slice *uidl = table_get(&f->pop3_uidls, base);
    if (uidl) item->meta.pop3_uidl = *uidl;
    item->meta.uid = (uint32_t)(uintptr_t)table_get(&f->uids, base);
    item->order = item->meta.uid ? item->meta.uid : UINT64_MAX; /* behind those that have one */
    read_flags(f, name, &item->meta);
    return OK;
}

static Err read_part(Folder *f, const char *part)
{
    Arena *a = &f->source->arena;
    Slice dir = below(a, f->dir, slice_of(part)), *names;
    size_t count;
    if (!is_dir(dir)) return OK;
    TRY(path_list(dir, a, &names, &count));
    for (size_t i = 0; i < count; i++)
        if (!slice_starts(names[i], S("."))) TRY(add_message(f, dir, names[i]));
    return OK;
}

static Err read_folder(Source *s, Slice dir, Slice mailbox)
{
    Folder f = {.source = s, .dir = dir, .mailbox = mailbox};
    if (!is_dir(below(&s->arena, dir, S("cur")))) return OK;
    source_add_folder(s, mailbox);
    read_uidlist(&f, &s->arena);
    read_courier_pop3(&f, &s->arena);
    read_keywords(&f, &s->arena);
    Err err = read_part(&f, "cur");
    if (!err) err = read_part(&f, "new");
    table_done(&f.uids);
    table_done(&f.pop3_uidls);
    return err;
}

static bool is_maildir_part(Slice name)
{
    return slice_eq(name, S("cur")) || slice_eq(name, S("new")) || slice_eq(name, S("tmp"));
}

static Err read_tree(Source *s, Slice dir, Slice above, int depth)
{
    Slice *names;
    size_t count;
    if (depth > FOLDER_DEPTH_MOST) return fail(ERR_LIMIT, "folders nest too deep at %.*s", SP(dir));
    TRY(path_list(dir, &s->arena, &names, &count));
    for (size_t i = 0; i < count; i++) {
        Slice path = below(&s->arena, dir, names[i]), name;
        if (is_maildir_part(names[i]) || !is_dir(path)) continue;
        bool dotted = slice_starts(names[i], S(".")); /* Maildir++, only at the top */
        if (dotted && depth) continue;
        name = dotted ? name_from_dotted(&s->arena, slice_from(names[i], 1))
                      : name_below(&s->arena, above, names[i]);
        if (name.len) TRY(read_folder(s, path, name));
        if (!dotted) TRY(read_tree(s, path, name, depth + 1));
    }
    return OK;
}

/* subscriptions: one name a line, levels as in directory names; version 2 begins with "V\t2" and
 * has tabs between levels. */
static Slice subscribed_name(Arena *a, Slice line, bool version2)
{
    Slice name = {0}, level;
    if (!version2) return name_from_dotted(a, line);
    while (slice_cut(&line, '\t', &level))
        name = name_below(a, name, level);
    return name;
}

static void read_subscriptions(Source *s, Slice dir)
{
    Slice text, line;
    if (path_read(below(&s->arena, dir, S("subscriptions")), LIST_FILE_MOST, &s->arena, &text))
        return;
    bool version2 = slice_starts(text, S("V\t2\n"));
    if (version2) text = slice_from(text, 4);
    s->subscriptions = arena_array(&s->arena, Slice, text.len / 2 + 1);
    while (slice_cut(&text, '\n', &line)) {
        Slice name = subscribed_name(&s->arena, slice_trim(line), version2);
        if (name.len) s->subscriptions[s->subscription_count++] = name;
    }
}

Err source_read_maildir(Source *s, Slice path)
{
    TRY(read_folder(s, path, S("INBOX")));
    read_subscriptions(s, path);
    return read_tree(s, path, (Slice){0}, 0);
}
