/* Recovery of a whole store in the simulated world, after somebody has written over its files. The
 * first octet says how:
 *
 *   HOLDS     the records get checksums that hold, so what they say is believed
 *   RECORD    the rest is a change record, put behind the last one
 *   LIVED_IN  the store has been compacted, has a body that is a file of its own, and copies of its
 *             index; else it has had nothing but messages, and its index is gone
 *   LOOKS     it is opened to be looked at only, first
 *   else      the rest are edits, see there
 *
 * It opens or says why not; untouched, everything is there. Without checksums made to hold no octet
 * is delivered that was not written; and what recovery has made of it is there again, the same,
 * when it is opened once more. */
#include "base/fuzz.h"
#include "base/text.h"
#include "run/file.h"
#include "run/log.h"
#include "run/sim.h"
#include "store/index.h"
#include "store/model.h"
#include "store/segment.h"

#include <stdio.h>

enum {
    DISK_BYTES = 16 << 20,
    MESSAGES = 24,
    TOGETHER = 6,
    BOXES = 8,
    SEGMENTS = 8,
    MESSAGE_MOST = 16000,
    PUT_MOST = 8000,
    ALL_OCTETS = 100000,
    EDITS_MOST = 50
};
enum { HOLDS = 1, RECORD = 2, LIVED_IN = 4, LOOKS = 8 };

typedef struct {
    uint8_t how;
    Slice rest;
    SimDisk *disk;
} Input;

static const StoreOptions options = {
    .engine = {.index_in_memory = true, .segment_bytes = 64 << 10, .checkpoint_ms = 100}
};
static Buf texts[MESSAGES];

static Slice segment_name(Arena *a, unsigned number)
{
    return arena_printf(a, "store/log/%08u.seg", number);
}

/* ---- what there was ---- */

static void message(Buf *out, unsigned number)
{
    buf_printf(out, "From: a%u@example.org\r\nSubject: number %u\r\n\r\n", number, number);
    for (unsigned i = 0; i < number * 40; i++)
        buf_printf(out, "line %u of %u\r\n", i, number);
}

PARKS static void append(Store *store, Mailbox *box, Slice text, uint8_t flags)
{
    Draft *d scoped(draft) = NULL;
    uint32_t uid;
    must(!draft_begin(store, 0, &d) && !draft_write(d, text));
    must(!draft_commit(d, box, &(DraftPlace){.flags = flags, .date = 1}, &uid));
}

typedef struct {
    Store *store;
    Mailbox *box;
    unsigned left;
} Together;

PARKS_UNCHECKED static void append_one(void *arg)
{
    Together *t = arg;
    append(t->store, t->box, buf_slice(&texts[2]), 0);
    t->left--;
}

/* Several records in one flush: only the last of them says that it was one. */
PARKS static void append_together(Store *store, Mailbox *box)
{
    Together t = {store, box, TOGETHER};
    for (int i = 0; i < TOGETHER; i++)
        fiber_start("append", append_one, &t);
    while (t.left)
        fiber_sleep(1);
}

/* What lived in the first segments has moved, a body is a file, and the index has two copies. */
PARKS static void live_in(Store *store, Mailbox *box)
{
    Arena a arena_scoped = {0};
    Buf big buf_scoped = {0};
    UidSet gone = {0};
    uint64_t freed;
    Engine *e = store_engine(store);
    buf_reserve(&big, BLOB_INLINE_MOST + 100);
    while (big.len < BLOB_INLINE_MOST + 10)
        buf_add(&big, S("a line of a body that is big\r\n"));
    must(!engine_checkpoint(e) && !engine_copy_index(e));
    append(store, box, buf_slice(&big), 0);
    uidset_add(&a, &gone, 3, MESSAGES - 4);
    must(!mailbox_expunge(box, &gone, true, &a, NULL));
    must(!engine_checkpoint(e) && !engine_compact(e, &freed) && !engine_checkpoint(e));
    fiber_sleep(3000);
    must(!engine_copy_index(e));
    append(store, box, buf_slice(&texts[1]), 0);
}

PARKS_UNCHECKED static void make(void *arg)
{
    const bool *lived_in = arg;
    Store *store = NULL;
    Account *account = NULL;
    Mailbox *box = NULL;
    uint32_t acct;
    must(!store_open(S("store"), &options, &store));
    must(!store_create_account(store, S("anna"), &acct) && !account_open(store, acct, &account));
    must(!mailbox_open(account, acct, S("INBOX"), &box));
    for (int i = 0; i < MESSAGES; i++) {
        if (!texts[i].len) message(&texts[i], (unsigned)i);
        append(store, box, buf_slice(&texts[i]), (uint8_t)i);
    }
    append_together(store, box);
    must(!mailbox_set_acl(box, S("bob"), ACL_REPLACE, RIGHT_LOOKUP | RIGHT_READ));
    if (*lived_in) live_in(store, box);
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

typedef enum {
    GO,         /* a segment goes */
    SHORTEN,    /* one is cut */
    OVERWRITE,  /* by another one */
    INDEX_GO,   /* a file of the index goes */
    INDEX_CUT,  /* one is cut */
    INDEX_BACK, /* by another one of them */
    POSITION,   /* where the index says that the log is, or what it says of a segment */
    HEADER,     /* a segment says that it is something else, and its CRC holds */
    STRANGE,    /* a file that is none of ours */
    WRITE_FAILS,
    READ_FAILS,
    EDITS
} Edit;

static void copy(Arena *a, Slice from, Slice to)
{
    Slice content;
    if (!path_read(from, DISK_BYTES, a, &content)) must(!path_replace(to, content));
}

static void cut(Slice path, size_t at)
{
    File *file scoped(file) = NULL;
    uint64_t size;
    if (file_open(path, FILE_WRITE, &file)) return;
    must(!file_size(file, &size) && !file_truncate(file, at % (size + 1)));
}

/* One of the files of the index; empty: there is none. */
static Slice index_file(Arena *a, unsigned number)
{
    Slice *names;
    size_t count;
    if (path_list(S("store/idx"), a, &names, &count) || !count) return (Slice){0};
    return arena_printf(a, "store/idx/%.*s", SP(names[number % count]));
}

/* position_encode: u8 version, u8 uuid[16], u64 lsn, u64 last, u32 chain, u32 epoch, u32 epoch. Of
 * a segment: u32 end, u64 bodies, u64 live; only so much of it as `to` says. */
static void edit_position(Arena *a, size_t at, uint8_t to, uint8_t segment)
{
    char key[] = {'g', 0, 0, 0, (char)segment};
    IndexChange change = {.key = segment ? slice(key, segment > 100 ? 3 : 5) : S("m")};
    Index *x = NULL;
    if (index_open(&index_memory, S("store/idx/data.tab"), 0, &x)) return;
    if (segment)
        change.value = slice_first(S("12345678901234567890"), to);
    else if (!index_get(x, change.key, a, &change.value) && change.value.len)
        ((char *)(uintptr_t)change.value.at)[at % change.value.len] = (char)to;
    must(!index_write(x, &change, 1));
    index_close(x);
}

static void edit_header(Slice path, size_t field, uint32_t to)
{
    static char bytes[SEGMENT_HEADER];
    File *file scoped(file) = NULL;
    SegmentHeader h;
    if (file_open(path, FILE_WRITE, &file) || file_read_at(file, 0, bytes, sizeof bytes)) return;
    if (!segment_header_decode(slice(bytes, sizeof bytes), &h)) return;
    uint32_t *fields[] = {&h.number, &h.epoch, &h.previous_chain, &h.previous_end};
    if (field < COUNT(fields))
        *fields[field] += to;
    else
        h.uuid[field % sizeof h.uuid] = (uint8_t)to;
    segment_header_encode(&h, (uint8_t *)bytes);
    must(!file_write_at(file, 0, &(Slice){bytes, sizeof bytes}, 1));
}

static void put_strange(Arena *a, unsigned which)
{
    static const char *const names[] = {"0.seg",        "x.seg",        "9999999999.seg",
                                        "00000009.seg", "00000004.seg", "reserve"};
    File *file scoped(file) = NULL;
    Slice name = arena_printf(a, "store/log/%s", names[which % COUNT(names)]);
    if (which >= COUNT(names))
        (void)!path_mkdir(segment_name(a, which));
    else
        (void)!file_open(name, FILE_WRITE | FILE_CREATE, &file);
}

static void edit_otherwise(const Input *in, Arena *a, Edit edit, const uint8_t e[4])
{
    SimDiskPlan *plan = sim_disk_plan(in->disk);
    size_t at = (size_t)e[2] << 8 | e[3];
    Slice segment = segment_name(a, 1 + e[1] % SEGMENTS);
    switch (edit) {
    case GO:
        (void)!path_unlink(segment);
        break;
    case SHORTEN:
        cut(segment, at);
        break;
    case OVERWRITE:
        copy(a, segment_name(a, 1 + e[2] % SEGMENTS), segment);
        break;
    case INDEX_GO:
        (void)!path_unlink(index_file(a, e[1]));
        break;
    case INDEX_CUT:
        cut(index_file(a, e[1]), at);
        break;
    case INDEX_BACK:
        copy(a, index_file(a, e[1]), index_file(a, e[2]));
        break;
    case POSITION:
        edit_position(a, e[1], e[2], e[3]);
        break;
    case HEADER:
        edit_header(segment, e[2], e[3]);
        break;
    case STRANGE:
        put_strange(a, e[1]);
        break;
    case WRITE_FAILS:
        plan->failure = e[2] & 1 ? ERR_DISK_FULL : ERR_IO;
        plan->fail_at = plan->operations + 1 + e[1];
        break;
    case READ_FAILS:
        plan->fail_read_at = plan->reads + 1 + e[1];
        break;
    case EDITS:
        break;
    }
}

/* Each is four octets: below 128 which segment, where (u16), how many octets, which follow; else
 * what else is to be done, and three to say with what. */
static void edit(const Input *in, Arena *a)
{
    Slice edits = in->rest;
    for (int i = 0; i < EDITS_MOST && edits.len > 3; i++) {
        const uint8_t *e = (const uint8_t *)edits.at;
        unsigned number = 1 + e[0] % SEGMENTS;
        size_t at = (size_t)e[1] << 8 | e[2];
        edits = slice_from(edits, 4);
        if (e[0] >= 128) {
            edit_otherwise(in, a, (Edit)(e[0] % EDITS), e);
            continue;
        }
        Slice octets = slice_first(edits, e[3]);
        File *file scoped(file) = NULL;
        uint64_t size;
        edits = slice_from(edits, octets.len);
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
    (void)!file_write_at(file, 0, &(Slice){bytes, size}, 1); /* the failure asked for may be here */
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

static void seal_log(Arena *a, const Input *in)
{
    End end = {.acct = 1, .seq = 1};
    PathInfo info;
    must(salt_read(a, &end.place.salt));
    end.place.chain = end.place.salt;
    for (unsigned n = 1; n <= SEGMENTS; n++) {
        if (path_info(segment_name(a, n), &info)) continue;
        end.number = n;
        seal_segment(a, &end);
    }
    if (in->how & RECORD && end.number) put_behind(a, &end, slice_first(in->rest, PUT_MOST));
}

static void spoil(const Input *in)
{
    Arena a arena_scoped = {0};
    Slice *names;
    size_t count;
    if (!(in->how & LIVED_IN)) {
        must(!path_list(S("store/idx"), &a, &names, &count));
        for (size_t i = 0; i < count; i++)
            must(!path_unlink(arena_printf(&a, "store/idx/%.*s", SP(names[i]))));
    }
    if (!(in->how & RECORD)) edit(in, &a);
    if (in->how & (HOLDS | RECORD)) seal_log(&a, in);
}

/* ---- what is found ---- */

static bool is_ours(Slice octets)
{
    for (unsigned i = 0; i < MESSAGES; i++)
        if (slice_eq(buf_slice(&texts[i]), octets)) return true;
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

PARKS static bool look(bool ours, bool only, Buf *print)
{
    Store *store = NULL;
    Account *account scoped(account) = NULL;
    StoreOptions how = options;
    how.engine.look_only = only;
    if (store_open(S("store"), &how, &store)) return false;
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
    Buf failing buf_scoped = {0}, first buf_scoped = {0}, second buf_scoped = {0};
    SimDiskPlan *plan = sim_disk_plan(in->disk);
    spoil(in);
    bool ours = !(in->how & (HOLDS | RECORD)), untouched = in->rest.len < 4 && ours;
    if (plan->fail_at || plan->fail_read_at || in->how & LOOKS)
        (void)look(ours, in->how & LOOKS, &failing);
    plan->fail_at = plan->fail_read_at = 0;
    bool opens = look(ours, false, &first);
    must(opens || !untouched);
    if (!opens) return;
    must(!untouched || in->how & LIVED_IN || first.len > ALL_OCTETS);
    must(look(ours, false, &second));
    must(slice_eq(buf_slice(&first), buf_slice(&second)));
}

static void run(SimDisk *disk, void (*what)(void *), void *arg)
{
    SimConfig config = {.seed = 1, .disk = disk, .loops = 1, .disk_latency_us = 100};
    must(!sim_run(&config, what, arg));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static SimDisk *begun[2], *disk;
    if (!size) return 0;
    if (!disk) {
        disk = sim_disk_new(DISK_BYTES);
        log_set_level_by_name(S("none"));
        for (int i = 0; i < 2; i++) {
            bool lived_in = i;
            begun[i] = sim_disk_new(DISK_BYTES);
            run(begun[i], make, &lived_in);
        }
    }
    sim_disk_copy(disk, begun[(data[0] & LIVED_IN) != 0]);
    Input in = {data[0], slice(data + 1, size - 1), disk};
    run(disk, life, &in);
    return 0;
}
