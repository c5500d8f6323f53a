/* A tree of files that somebody wants imported: maildir with the lists of Dovecot and Courier, mbox
 * files, .eml files, in the simulated world. The first octet is the format and what is asked for
 * (bits below); the second, if not 0, which read of the disk fails. Behind it come paths and
 * contents, each ended by 0xff; the first content may be much (fuzz_spread).
 *
 * Whatever is there: it is read twice the same, in order, messages can be read; and what a maildir
 * that we write of it says is what was written. */
#include "base/fuzz.h"
#include "house/transfer.h"
#include "run/file.h"
#include "run/log.h"
#include "run/sim.h"

#include <stdio.h>

enum {
    DISK_BYTES = 16 << 20,
    FILES_MOST = 100,
    PATH_MOST = 200,
    OCTETS_MOST = 1 << 20,
    MUCH = 2 << 20,
    COPIED_MOST = 300
};
enum { ONE_FILE = 16, NAKED = 32 /* which stands in no directory */, DIRECTLY = 64, MISSING = 128 };

typedef struct {
    uint8_t how, fails;
    Slice files, path;
    SimDisk *disk;
} Input;

/* ---- what there is ---- */

static bool make_dirs(Arena *a, Slice path)
{
    for (size_t i = 0; i < path.len; i++)
        if (path.at[i] == '/' && path_mkdir(arena_copy(a, slice_first(path, i)))) return false;
    return true;
}

/* No real directory has other names in it. */
static bool is_real(Slice path)
{
    Slice name;
    if (!path.len || memchr(path.at, 0, path.len)) return false;
    while (slice_cut(&path, '/', &name))
        if (!name.len || slice_eq(name, S(".")) || slice_eq(name, S(".."))) return false;
    return true;
}

static bool make_file(Arena *a, Slice path, Slice content)
{
    File *file scoped(file) = NULL;
    if (!is_real(path)) return false;
    if (!make_dirs(a, path) || file_open(path, FILE_WRITE | FILE_CREATE | FILE_EMPTY, &file))
        return false;
    must(!content.len || !file_write_at(file, 0, &content, 1));
    return true;
}

static void make_files(Arena *a, Input *in)
{
    Slice name, content = {0}, rest = in->files;
    must(!path_mkdir(S("from")) && !path_mkdir(S("copy")));
    in->path = in->how & MISSING ? S("nowhere") : S("from");
    for (int i = 0; i < FILES_MOST && slice_cut(&rest, (char)0xff, &name); i++) {
        (void)slice_cut(&rest, (char)0xff, &content);
        name = slice_first(name, PATH_MOST);
        const char *dir = in->how & NAKED ? "" : "from/";
        Slice path = arena_printf(a, "%s%.*s", dir, SP(name));
        if (in->how & NAKED && slice_find(name, '/') < name.len) continue;
        Buf much buf_scoped = {0};
        if (!i) fuzz_spread(content, MUCH, &much);
        bool made = make_file(a, path, i ? content : buf_slice(&much));
        if (made && !i && in->how & ONE_FILE) in->path = path;
    }
}

/* ---- what is read ---- */

static Err read_source(const Input *in, Source *s)
{
    Format format = (Format)(in->how % (FORMAT_EML + 1));
    if (!(in->how & DIRECTLY) || format == FORMAT_UNKNOWN) return source_read(s, format, in->path);
    return (format == FORMAT_MAILDIR ? source_read_maildir
            : format == FORMAT_MBOX  ? source_read_mbox
                                     : source_read_eml)(s, in->path);
}

static bool is_sorted(const Source *s)
{
    for (size_t i = 1; i < s->count; i++)
        if (slice_order(s->items[i - 1].meta.mailbox, s->items[i].meta.mailbox) > 0) return false;
    return true;
}

static void tell(const Source *s, Buf *out)
{
    uint64_t octets = 0;
    for (size_t i = 0; i < s->count; i++) {
        const SourceItem *item = &s->items[i];
        Buf text buf_scoped = {0};
        transfer_meta_encode(out, &item->meta);
        must(item->meta.key.len && item->path.len);
        if (octets > OCTETS_MOST) continue;
        must(!source_octets(item, &text));
        octets += text.len;
        buf_add(out, buf_slice(&text));
    }
    for (size_t i = 0; i < s->subscription_count; i++)
        buf_bytes(out, s->subscriptions[i]);
    for (size_t i = 0; i < s->folder_count; i++)
        buf_bytes(out, s->folders[i]);
}

/* ---- what is written of it ---- */

/* As the store has it: only CRLF. */
static void to_wire(Slice octets, Buf *out)
{
    for (size_t i = 0; i < octets.len; i++)
        if (octets.at[i] == '\n')
            buf_add(out, S("\r\n"));
        else
            buf_char(out, octets.at[i] == '\r' ? '?' : octets.at[i]);
}

static Err write_one(Sink *sink, const SourceItem *item, uint32_t uid)
{
    Buf octets buf_scoped = {0}, wire buf_scoped = {0};
    TransferMeta m = item->meta;
    m.uid = uid, m.uid_validity = 7, m.uid_next = uid + 1;
    TRY(source_octets(item, &octets));
    to_wire(buf_slice(&octets), &wire);
    TRY(sink->begin(sink, &m));
    TRY(sink->octets(sink, buf_slice(&wire)));
    return sink->end(sink);
}

static Err write_all(const Source *s)
{
    Sink sink;
    Err err = OK;
    sink_maildir(&sink, S("copy"));
    for (size_t i = 0; i < s->count && !err; i++)
        err = write_one(&sink, &s->items[i], (uint32_t)i + 1);
    Err end = sink.finish(&sink);
    arena_done(&sink.arena);
    return err ? err : end;
}

static void check_copy(const Source *s)
{
    Source copy = {0};
    must(!source_read(&copy, FORMAT_MAILDIR, S("copy")) && copy.count == s->count);
    for (size_t i = 0; i < s->count; i++) {
        const TransferMeta *was = &s->items[i].meta, *is = &copy.items[i].meta;
        Buf a buf_scoped = {0}, b buf_scoped = {0}, wire_a buf_scoped = {0},
              wire_b buf_scoped = {0};
        must(slice_eq(was->mailbox, is->mailbox) && was->flags == is->flags);
        must(is->uid == i + 1 && is->uid_validity == 7);
        must(!source_octets(&s->items[i], &a) && !source_octets(&copy.items[i], &b));
        to_wire(buf_slice(&a), &wire_a);
        to_wire(buf_slice(&b), &wire_b);
        must(slice_eq(buf_slice(&wire_a), buf_slice(&wire_b)));
    }
    source_done(&copy);
}

static bool is_small(const Source *s)
{
    uint64_t octets = 0;
    if (s->count > COPIED_MOST) return false;
    for (size_t i = 0; i < s->count; i++)
        octets += s->items[i].meta.size;
    return octets < OCTETS_MOST;
}

/* What has gone meanwhile is not read as an empty message. */
static void lose_one(const Source *s)
{
    Buf octets buf_scoped = {0};
    if (!s->count) return;
    must(!path_unlink(s->items[0].path));
    must(source_octets(&s->items[0], &octets) == ERR_NOT_FOUND);
}

static void life(void *arg)
{
    Input *in = arg;
    Arena a arena_scoped = {0};
    Buf first buf_scoped = {0}, second buf_scoped = {0};
    Source s = {0}, again = {0}, failed = {0};
    SimDiskPlan *plan = sim_disk_plan(in->disk);
    make_files(&a, in);
    plan->fail_read_at = in->fails ? plan->reads + in->fails : 0;
    (void)!read_source(in, &failed);
    plan->fail_read_at = 0;
    Err err = read_source(in, &s);
    must(!err || err == ERR_NOT_FOUND || err == ERR_LIMIT || err == ERR_IO);
    must(read_source(in, &again) == err);
    tell(&s, &first);
    tell(&again, &second);
    must(slice_eq(buf_slice(&first), buf_slice(&second)));
    must(err || in->how & DIRECTLY || is_sorted(&s));
    if (!err && is_sorted(&s) && is_small(&s) && !write_all(&s)) check_copy(&s);
    lose_one(&s);
    source_done(&s);
    source_done(&again);
    source_done(&failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static SimDisk *empty, *disk;
    if (size < 2) return 0;
    if (!empty) {
        empty = sim_disk_new(DISK_BYTES);
        disk = sim_disk_new(DISK_BYTES);
        log_set_level_by_name(S("none"));
    }
    sim_disk_copy(disk, empty);
    Input in = {.how = data[0], .fails = data[1], .files = slice(data + 2, size - 2), .disk = disk};
    SimConfig config = {.seed = 1, .disk = disk, .loops = 1};
    must(!sim_run(&config, life, &in));
    return 0;
}
