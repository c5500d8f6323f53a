/* Recovery of a whole store in the simulated world, after somebody has written over its segments:
 * its index is gone, so the log is read from its first record. The first octet says how:
 *
 *   bit 0   the records get checksums that hold, so what they say is believed
 *   bit 1   the rest is a change record, put behind the last one
 *   else    the rest are edits: u8 segment, u16 offset, u8 count, octets
 *
 * It opens or says why not; untouched, everything is there. Without checksums made to hold no octet
 * is delivered that was not written; and what recovery has made of the log is there again, the
 * same, when it is opened once more. */
#include "base/fuzz.h"
#include "base/text.h"
#include "run/file.h"
#include "run/log.h"
#include "run/sim.h"
#include "store/segment.h"
#include "store/store.h"

#include <stdio.h>

enum {
    DISK_BYTES = 16 << 20,
    MESSAGES = 12,
    BOXES = 8,
    SEGMENTS = 8,
    MESSAGE_MOST = 8000,
    ALL_OCTETS = 15000
};
enum { HOLDS = 1, RECORD = 2 };

typedef struct {
    uint8_t how;
    Slice rest;
} Input;

static const StoreOptions options = {
    .engine = {.index_in_memory = true, .segment_bytes = 32 << 10, .checkpoint_ms = 100}
};

static Slice segment_name(Arena *a, unsigned number)
{
    return arena_printf(a, "store/log/%08u.seg", number);
}

/* ---- what there was ---- */

static void message(Buf *out, unsigned number)
{
    buf_printf(out, "From: a%u@example.org\r\nSubject: number %u\r\n\r\n", number, number);
    for (unsigned i = 0; i < number * 17; i++)
        buf_printf(out, "line %u of %u\r\n", i, number);
}

PARKS static void append(Store *store, Mailbox *box, unsigned number)
{
    Buf text buf_scoped = {0};
    Draft *d scoped(draft) = NULL;
    uint32_t uid;
    message(&text, number);
    must(!draft_begin(store, 0, &d) && !draft_write(d, buf_slice(&text)));
    must(!draft_commit(d, box, &(DraftPlace){.flags = number % 32, .date = 1}, &uid));
}

PARKS_UNCHECKED static void make(void *nothing)
{
    Store *store = NULL;
    Account *account = NULL;
    Mailbox *box = NULL;
    uint32_t acct;
    (void)nothing;
    must(!store_open(S("store"), &options, &store));
    must(!store_create_account(store, S("anna"), &acct) && !account_open(store, acct, &account));
    must(!mailbox_open(account, acct, S("INBOX"), &box));
    for (unsigned i = 0; i < MESSAGES; i++)
        append(store, box, i);
    must(!mailbox_set_acl(box, S("bob"), ACL_REPLACE, RIGHT_LOOKUP | RIGHT_READ));
    mailbox_close(box);
    account_close(account);
    store_close(store);
}

/* ---- what becomes of it ---- */

/* The octets of a segment, and how many of them are records. */
static size_t segment_read(Arena *a, unsigned number, char **bytes)
{
    Slice content;
    if (path_read(segment_name(a, number), 1 << 20, a, &content)) return 0;
    *bytes = (char *)arena_copy(a, content).at;
    return content.len;
}

static void edit(Arena *a, Slice edits)
{
    while (edits.len > 4) {
        const uint8_t *e = (const uint8_t *)edits.at;
        unsigned number = 1 + e[0] % SEGMENTS;
        size_t at = (size_t)e[1] << 8 | e[2];
        Slice octets = slice_first(slice_from(edits, 4), e[3]);
        File *file scoped(file) = NULL;
        uint64_t size;
        edits = slice_from(edits, 4 + octets.len);
        if (file_open(segment_name(a, number), FILE_WRITE, &file)) continue;
        must(!file_size(file, &size));
        if (size && octets.len) must(!file_write_at(file, at % size, &octets, 1));
    }
}

typedef struct {
    unsigned number;
    size_t at;
    RecordPlace place;
    uint64_t seq; /* the next one of the account */
    uint32_t acct;
} End;

static void seal(char *at, RecordHeader *h, Slice record, End *end)
{
    uint8_t header[RECORD_HEADER];
    h->epoch = MAX(h->epoch, end->place.epoch);
    record_encode(h, record, end->place.salt, end->place.chain, header);
    memcpy(at, header, RECORD_HEADER);
    end->place.chain = h->chain;
    end->place.epoch = h->epoch;
    if (h->acct == end->acct && h->seq >= end->seq) end->seq = h->seq + 1;
}

/* Every record that may be one follows the one before and holds; *end is behind the last. */
static void seal_segment(Arena *a, End *end)
{
    char *bytes;
    RecordHeader h;
    size_t size = segment_read(a, end->number, &bytes), at = SEGMENT_HEADER;
    while (at + RECORD_HEADER <= size) {
        uint64_t lsn = lsn_make(end->number, (uint32_t)at);
        if (!record_header_decode(slice(bytes + at, size - at), lsn, &h)) break;
        uint64_t len = record_size(h.record_len, h.body_len);
        if (len > size - at) break;
        seal(bytes + at, &h, slice(bytes + at + RECORD_HEADER, h.record_len), end);
        at += len;
    }
    end->at = at;
    File *file scoped(file) = NULL;
    must(!file_open(segment_name(a, end->number), FILE_WRITE, &file));
    must(!file_write_at(file, 0, &(Slice){bytes, size}, 1));
}

static bool salt_read(Arena *a, uint32_t *salt)
{
    Slice text, line;
    Buf uuid buf_scoped = {0};
    if (path_read(S("store/format"), 1000, a, &text)) return false;
    if (!slice_cut(&text, '\n', &line)) return false;
    if (!hex_decode(&uuid, slice_trim(text)) || uuid.len != 16) return false;
    *salt = store_salt((const uint8_t *)uuid.at);
    return true;
}

static void put_behind(Arena *a, End *end, Slice record)
{
    Buf out buf_scoped = {0};
    RecordHeader h = {.lsn = lsn_make(end->number, (uint32_t)end->at),
                      .seq = end->seq,
                      .acct = end->acct,
                      .record_len = (uint32_t)record.len,
                      .type = RECORD_COMMIT,
                      .flags = FLAG_FLUSH};
    char *at = buf_reserve(&out, record_size(h.record_len, 0));
    memset(at, 0, record_size(h.record_len, 0));
    if (record.len) memcpy(at + RECORD_HEADER, record.at, record.len);
    seal(at, &h, record, end);
    out.len = record_size(h.record_len, 0);
    File *file scoped(file) = NULL;
    Slice part = buf_slice(&out);
    must(!file_open(segment_name(a, end->number), FILE_WRITE, &file));
    must(!file_write_at(file, end->at, &part, 1));
}

static void spoil(const Input *in)
{
    Arena a arena_scoped = {0};
    End end = {.acct = 1, .seq = 1};
    Slice *names;
    size_t count;
    PathInfo info;
    if (!(in->how & RECORD)) edit(&a, in->rest);
    must(salt_read(&a, &end.place.salt));
    end.place.chain = end.place.salt;
    for (unsigned n = 1; in->how & (HOLDS | RECORD) && !path_info(segment_name(&a, n), &info);
         n++) {
        end.number = n;
        seal_segment(&a, &end);
    }
    if (in->how & RECORD) put_behind(&a, &end, slice_first(in->rest, MESSAGE_MOST));
    must(!path_list(S("store/idx"), &a, &names, &count));
    for (size_t i = 0; i < count; i++)
        must(!path_unlink(arena_printf(&a, "store/idx/%.*s", SP(names[i]))));
}

/* ---- what is found ---- */

static bool is_ours(Slice octets)
{
    for (unsigned i = 0; i < MESSAGES; i++) {
        Buf text buf_scoped = {0};
        message(&text, i);
        if (slice_eq(buf_slice(&text), octets)) return true;
    }
    return false;
}

PARKS static void look_at(Account *account, Mailbox *box, const Message *m, bool ours, Buf *print)
{
    Buf octets buf_scoped = {0};
    Arena a arena_scoped = {0};
    Annotations notes;
    Message it = *m;
    buf_printf(print, "%u %u %u %u;", it.uid, it.eid, it.flags, it.size);
    (void)!message_annotations(box, &it, &a, &notes);
    if (it.size > MESSAGE_MOST) return;
    if (email_read(account, it.eid, 0, buf_reserve(&octets, it.size + 1), it.size)) return;
    octets.len = it.size;
    must(!ours || is_ours(buf_slice(&octets)));
    buf_add(print, buf_slice(&octets));
}

PARKS static void look_into(Account *account, Mailbox *box, bool ours, Buf *print)
{
    Arena a arena_scoped = {0};
    AclEntry *entries;
    Annotations all;
    size_t count;
    uint32_t uid = 1;
    if (!mailbox_acl(box, &a, &entries, &count))
        for (size_t i = 0; i < count; i++)
            buf_printf(print, "%.*s=%u;", SP(entries[i].identifier), (unsigned)entries[i].rights);
    (void)!mailbox_annotations(box, &a, &all);
    for (const Message *m; (m = mailbox_next(box, uid)) != NULL && uid < UINT32_MAX; uid++) {
        uid = m->uid;
        look_at(account, box, m, ours, print);
        if (uid == UINT32_MAX) break;
    }
}

PARKS static bool look(bool ours, Buf *print)
{
    Store *store = NULL;
    Account *account scoped(account) = NULL;
    if (store_open(S("store"), &options, &store)) return false;
    Err err = account_open(store, 1, &account);
    buf_printf(print, "%s:", err_name(err));
    for (uint32_t id = 1; !err && id <= BOXES; id++) {
        Mailbox *box = NULL;
        if (mailbox_open_id(account, 1, id, &box)) continue;
        look_into(account, box, ours, print);
        mailbox_close(box);
    }
    account_close(account);
    account = NULL;
    store_close(store);
    return true;
}

PARKS_UNCHECKED static void life(void *arg)
{
    const Input *in = arg;
    Buf first buf_scoped = {0}, second buf_scoped = {0};
    spoil(in);
    bool ours = !(in->how & (HOLDS | RECORD));
    if (!look(ours, &first)) return;
    must(in->rest.len || in->how & RECORD || first.len > ALL_OCTETS);
    must(look(ours, &second));
    must(slice_eq(buf_slice(&first), buf_slice(&second)));
}

static void run(SimDisk *disk, void (*what)(void *), void *arg)
{
    SimConfig config = {.seed = 1, .disk = disk, .loops = 1, .disk_latency_us = 100};
    must(!sim_run(&config, what, arg));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static SimDisk *begun, *disk;
    if (!size) return 0;
    if (!begun) {
        begun = sim_disk_new(DISK_BYTES);
        disk = sim_disk_new(DISK_BYTES);
        log_set_level_by_name(S("none"));
        run(begun, make, NULL);
    }
    sim_disk_copy(disk, begun);
    Input in = {data[0], slice(data + 1, size - 1)};
    run(disk, life, &in);
    return 0;
}
