/* An mbox from outside: its messages lie one behind the other, have keys of their own, and come
 * back the same from an mbox that we write of them. */
#include "base/fuzz.h"
#include "base/table.h"
#include "house/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void check_places(const Source *s, size_t size)
{
    Table keys = {0};
    uint64_t end = 0;
    for (size_t i = 0; i < s->count; i++) {
        const SourceItem *item = &s->items[i];
        must(item->offset >= end && item->offset + item->len <= size);
        must(item->order < item->offset && item->order >= end);
        must(item->meta.key.len && !table_put(&keys, item->meta.key, &keys));
        end = item->offset + item->len;
    }
    table_done(&keys);
}

/* As the store has it: only CRLF. A CR by itself is another octet here. */
static void to_wire(Slice octets, Buf *out)
{
    for (size_t i = 0; i < octets.len; i++) {
        char c = octets.at[i];
        bool crlf = c == '\r' && i + 1 < octets.len && octets.at[i + 1] == '\n';
        if (crlf) continue;
        if (c == '\n') buf_char(out, '\r');
        buf_char(out, c == '\r' ? '?' : c);
    }
}

static Slice without_empty_lines_at_the_end(Slice s)
{
    while (slice_ends(s, S("\n")) || slice_ends(s, S("\r")))
        s.len--;
    return s;
}

static void write_all(const Source *s, Slice dir)
{
    Sink sink;
    sink_mbox(&sink, dir);
    for (size_t i = 0; i < s->count; i++) {
        Buf octets buf_scoped = {0}, wire buf_scoped = {0};
        must(source_octets(&s->items[i], &octets) == OK);
        to_wire(buf_slice(&octets), &wire);
        must(sink.begin(&sink, &s->items[i].meta) == OK);
        for (Slice rest = buf_slice(&wire); rest.len; rest = slice_from(rest, 7))
            must(sink.octets(&sink, slice_first(rest, 7)) == OK);
        must(sink.end(&sink) == OK);
    }
    must(sink.finish(&sink) == OK);
    arena_done(&sink.arena);
}

static void check_same(const Source *a, const Source *b)
{
    must(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        Buf x buf_scoped = {0}, y buf_scoped = {0}, wire_x buf_scoped = {0},
              wire_y buf_scoped = {0};
        must(source_octets(&a->items[i], &x) == OK && source_octets(&b->items[i], &y) == OK);
        to_wire(buf_slice(&x), &wire_x);
        to_wire(buf_slice(&y), &wire_y);
        must(slice_eq(without_empty_lines_at_the_end(buf_slice(&wire_x)),
                      without_empty_lines_at_the_end(buf_slice(&wire_y))));
        must(a->items[i].meta.flags == b->items[i].meta.flags);
        must(a->items[i].meta.uid == b->items[i].meta.uid);
    }
}

static const char *scratch(void)
{
    static char dir[] = "/tmp/mbox_fuzz.XXXXXX";
    static bool made;
    if (!made) must(mkdtemp(dir));
    made = true;
    return dir;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    char path[64];
    Arena a arena_scoped = {0};
    Source s = {0}, again = {0};
    if (fd < 0) fd = memfd_create("mbox", MFD_CLOEXEC);
    must(fd >= 0 && !ftruncate(fd, 0) && pwrite(fd, data, size, 0) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    must(source_read_mbox(&s, slice_of(path)) == OK);
    check_places(&s, size);
    if (s.count) {
        Slice dir = slice_of(scratch());
        Slice file = arena_printf(&a, "%.*s/INBOX.mbox", SP(dir));
        write_all(&s, dir);
        must(source_read_mbox(&again, file) == OK);
        check_same(&s, &again);
        unlink(arena_cstr(&a, file));
    }
    source_done(&s);
    source_done(&again);
    return 0;
}
