#include "store/local.h"

#include <stdlib.h>

/* Opening. The index says up to where the log is in the pages; from there on the log is read, each
 * record verified, and kept as the tail of its account until the account is loaded and folded.
 *
 * Where verification fails, there are two cases. Behind the place stands nothing that was flushed
 * later: a torn tail, nobody was told that it is durable, it is cut. Or something that was flushed
 * later is there (a record with FLAG_FLUSH, or the next segment): then this was durable once, and
 * the medium has lost it. Then only what is damaged is lost, everything behind it counts, and the
 * host hears of it. */

enum {
    COPY_CHUNK = 1024 * 1024,
    TORN_MOST = 20 * 1024 * 1024, /* one flush, and a last record over its brim */
    TAIL_MOST = 64 * 1024 * 1024,
};

typedef struct {
    Engine *e;
    uint32_t *numbers; /* of the segments on the disk, ascending */
    size_t count;
    LogPosition at;
    bool any_chain, had_position, had_segments; /* by what is left: there was a log */
    Window window;
    Arena arena;
} Recovery;

/* ---- reading ---- */
static Err record_read(Recovery *r, LogRecord *out, Verdict *verdict)
{
    RecordPlace place = {.lsn = r->at.lsn,
                         .salt = r->e->salt,
                         .chain = r->at.chain,
                         .epoch = r->at.epoch,
                         .any_chain = r->any_chain};
    return window_record(&r->window, &place, out, verdict);
}

static bool header_read(const Recovery *r, File *file, uint32_t number, SegmentHeader *h)
{
    char bytes[64];
    if (file_read_at(file, 0, bytes, sizeof bytes)) return false;
    return segment_header_decode(slice(bytes, sizeof bytes), h) && h->number == number &&
           !memcmp(h->uuid, r->e->uuid, sizeof h->uuid);
}

static bool segment_exists(const Recovery *r, uint32_t number)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->numbers[i] == number) return true;
    return false;
}

static bool segment_header_of(Recovery *r, uint32_t number, SegmentHeader *h)
{
    if (!segment_exists(r, number)) return false;
    File *file scoped(file) = NULL;
    if (file_open(segment_path(r->e, &r->arena, number), FILE_READ, &file)) return false;
    return header_read(r, file, number, h);
}

/* ---- taking records ---- */
static void take_relocation(Recovery *r, const LogRecord *rec)
{
    uint64_t old_at;
    uint32_t count;
    Reader owners;
    if (!relocation_decode(rec->record, &old_at, &owners, &count)) {
        engine_trouble(r->e, ERR_CORRUPT, "a relocation at %llx has no sense",
                       (unsigned long long)rec->head.lsn);
        return;
    }
    moved_put(r->e, old_at, rec->body);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t acct = read_u32(&owners), eid = read_u32(&owners);
        TailEntry entry = {
            .type = TAIL_RELOCATION, .body = rec->body, .eid = eid, .old_at = old_at};
        tail_add(r->e, acct, &entry, &r->at);
    }
}

static void count_body(Recovery *r, const LogRecord *rec)
{
    Engine *e = r->e;
    mutex_lock(&e->lock);
    Segment *s = segment_find(e, lsn_segment(r->at.lsn));
    s->bodies += rec->head.body_len;
    if (!rec->head.dead) s->live += rec->head.body_len;
    s->changed = true;
    mutex_unlock(&e->lock);
}

PARKS static Err fold_so_far(Recovery *r)
{
    r->e->applied = r->at;
    tails_touch(r->e);
    return checkpoint_run(r->e);
}

PARKS static Err take_record(Recovery *r, const LogRecord *rec)
{
    const RecordHeader *h = &rec->head;
    TailEntry entry = {
        .type = TAIL_CHANGE, .seq = h->seq, .record = rec->record, .body = rec->body};
    if (h->type == RECORD_COMMIT) tail_add(r->e, h->acct, &entry, &r->at);
    if (h->flags & FLAG_BIG) number_table_put(&r->e->big_refs, rec->body.at, r->e);
    if (h->type == RECORD_RELOCATION) take_relocation(r, rec);
    count_body(r, rec);
    r->e->counters.recovered_records++;
    r->at = (LogPosition){
        .lsn = r->at.lsn + rec->next, .last = h->lsn, .chain = h->chain, .epoch = h->epoch};
    r->any_chain = false;
    return r->e->tail_octets > TAIL_MOST ? fold_so_far(r) : OK;
}

/* ---- torn, or damaged? ---- */
/* A record that stands by itself: its place and its own CRC hold. */
static bool record_stands(Recovery *r, uint64_t offset, Slice bytes, RecordHeader *h)
{
    uint64_t lsn = lsn_make(lsn_segment(r->at.lsn), (uint32_t)offset);
    if (!record_header_decode(bytes, lsn, h) || h->epoch < r->at.epoch) return false;
    Slice whole;
    if (window_read(&r->window, offset, RECORD_HEADER + (uint64_t)h->record_len, &whole))
        return false;
    return record_holds(h, whole, r->e->salt);
}

/* Looks behind `from` for what was flushed later. *resume: the first record that stands, or the
 * end of what was looked at. */
static Err flushed_later(Recovery *r, uint64_t from, bool *found, uint64_t *resume)
{
    uint64_t size, offset = from;
    *resume = 0;
    TRY(file_size(r->window.file, &size));
    uint64_t end = MIN(size, from + TORN_MOST);
    SegmentHeader next;
    *found = segment_header_of(r, lsn_segment(r->at.lsn) + 1, &next);
    while (offset + RECORD_HEADER <= end) {
        Slice bytes;
        RecordHeader h;
        TRY(window_read(&r->window, offset, RECORD_HEADER, &bytes));
        bool stands = record_stands(r, offset, bytes, &h);
        if (stands && !*resume) *resume = offset;
        if (stands && h.flags & FLAG_FLUSH) *found = true;
        if (*found && *resume) return OK;
        offset += stands ? record_size(h.record_len, h.body_len) : 8;
    }
    if (*found && !*resume) *resume = next.previous_end;
    return OK;
}

PARKS static Err body_is_damaged(Recovery *r, const LogRecord *rec, bool *more)
{
    LogRecord copy = *rec;
    Buf buf_scoped record = {0};
    buf_add(&record, rec->record); /* the window will move */
    copy.record = buf_slice(&record);
    /* A damaged relocation did not happen: the old place is still good. */
    if (rec->head.type == RECORD_RELOCATION) copy.head.type = RECORD_MARK;
    uint64_t resume;
    TRY(flushed_later(r, lsn_offset(r->at.lsn) + rec->next, more, &resume));
    if (!*more) return OK;
    engine_trouble(r->e, ERR_CORRUPT, "account %u: a body is damaged at %llx", rec->head.acct,
                   (unsigned long long)rec->body.at);
    return take_record(r, &copy);
}

static Err record_is_damaged(Recovery *r, bool *more)
{
    uint64_t resume;
    TRY(flushed_later(r, lsn_offset(r->at.lsn) + 8, more, &resume));
    if (!*more) return OK;
    uint64_t lost = resume - MIN(resume, lsn_offset(r->at.lsn));
    engine_trouble(r->e, ERR_CORRUPT, "%llu octets of the log are damaged at %llx",
                   (unsigned long long)lost, (unsigned long long)r->at.lsn);
    *more = lost > 0;
    r->at.lsn = lsn_make(lsn_segment(r->at.lsn), (uint32_t)MAX(resume, lsn_offset(r->at.lsn)));
    r->any_chain = true;
    return OK;
}

/* ---- segments, one after the other ---- */
PARKS static Err scan_segment(Recovery *r)
{
    uint32_t number = lsn_segment(r->at.lsn);
    SegmentHeader next;
    bool sealed = segment_header_of(r, number + 1, &next);
    for (bool more = true; more;) {
        if (sealed && lsn_offset(r->at.lsn) == next.previous_end) break;
        LogRecord rec;
        Verdict verdict;
        TRY(record_read(r, &rec, &verdict));
        if (verdict == VERDICT_GOOD)
            TRY(take_record(r, &rec));
        else if (verdict == VERDICT_BODY_DAMAGED)
            TRY(body_is_damaged(r, &rec, &more));
        else
            TRY(record_is_damaged(r, &more));
    }
    mutex_lock(&r->e->lock);
    Segment *s = segment_find(r->e, number);
    s->end = lsn_offset(r->at.lsn);
    s->changed = true;
    mutex_unlock(&r->e->lock);
    return OK;
}

static Err enter(Recovery *r, uint32_t number)
{
    file_close(r->window.file);
    r->window.file = NULL;
    buf_clear(&r->window.bytes);
    int mode = segment_mode(r->e, number);
    return file_open(segment_path(r->e, &r->arena, number), mode, &r->window.file);
}

/* A segment gets its name when its header is on the disk, so one without is damaged, not torn. */
static Err enter_next(Recovery *r, bool *more)
{
    uint32_t number = lsn_segment(r->at.lsn) + 1;
    SegmentHeader h;
    *more = segment_exists(r, number);
    if (!*more) return OK;
    TRY(enter(r, number));
    bool good = header_read(r, r->window.file, number, &h);
    r->any_chain = !good || h.previous_chain != r->at.chain;
    if (r->any_chain)
        engine_trouble(r->e, ERR_CORRUPT, "segment %u does not follow the one before", number);
    r->at.lsn = lsn_make(number, SEGMENT_HEADER);
    if (good) r->at.chain = h.previous_chain, r->at.last = h.previous_lsn;
    if (good && h.epoch > r->at.epoch) r->at.epoch = h.epoch;
    return OK;
}

/* What lies behind the end was never durable; it goes, so that no later recovery meets it. */
static Err cut(Recovery *r)
{
    uint64_t size, end = lsn_offset(r->at.lsn);
    TRY(file_size(r->window.file, &size));
    return size > end ? file_truncate(r->window.file, end) : OK;
}

/* Octets of one segment, written as they were read, and synced. */
static Err write_again(Recovery *r, uint32_t number, uint64_t from, uint64_t end)
{
    Buf chunk buf_scoped = {0};
    TRY(enter(r, number));
    buf_reserve(&chunk, COPY_CHUNK);
    for (uint64_t at = from; at < end; at += chunk.len) {
        chunk.len = (size_t)MIN(end - at, (uint64_t)COPY_CHUNK);
        TRY(file_read_at(r->window.file, at, chunk.at, chunk.len));
        TRY(file_write_at(r->window.file, at, &(Slice){chunk.at, chunk.len}, 1));
    }
    return file_sync(r->window.file);
}

/* We have read what the page cache says, and that need not be on the disk: after kill -9 it may not
 * have been flushed yet, and after a flush that failed the kernel takes it for clean and will never
 * write it. Before anybody sees it or anything is put behind it, it has to be durable: all that was
 * not flushed when the last one was writing, one flush at most, is written again. */
static Err settle(Recovery *r)
{
    uint32_t number = lsn_segment(r->at.lsn), first = lsn_segment(r->e->checkpoint_lsn);
    uint64_t written = 0, end = lsn_offset(r->at.lsn);
    if (PLANTED("no_settle")) return OK;
    TRY(path_sync_dir(engine_path(r->e, &r->arena, "log"))); /* the name of the last segment, too */
    for (; number && number >= first && written < TORN_MOST; number--) {
        uint64_t from = number == first ? lsn_offset(r->e->checkpoint_lsn) & ~UINT64_C(4095) : 0;
        if (!segment_exists(r, number)) return OK;
        mutex_lock(&r->e->lock);
        if (number != lsn_segment(r->at.lsn)) end = segment_find(r->e, number)->end;
        mutex_unlock(&r->e->lock);
        TRY(write_again(r, number, from, end));
        written += end > from ? end - from : 0;
    }
    return OK;
}

PARKS static Err scan_log(Recovery *r)
{
    TRY(enter(r, lsn_segment(r->at.lsn)));
    for (bool more = true; more;) {
        TRY(scan_segment(r));
        TRY(enter_next(r, &more));
    }
    uint32_t number = lsn_segment(r->at.lsn);
    if (r->numbers[r->count - 1] != number)
        return fail(ERR_CORRUPT, "segment %u of the log is missing", number + 1);
    TRY(cut(r));
    return r->e->options.look_only ? OK : settle(r);
}

/* ---- which index ---- */
static bool position_fits(Recovery *r, const LogPosition *p)
{
    uint32_t number = lsn_segment(p->lsn);
    SegmentHeader h;
    if (!segment_header_of(r, number, &h)) return false;
    if (lsn_offset(p->lsn) == SEGMENT_HEADER) return h.previous_chain == p->chain;
    if (lsn_segment(p->last) != number || enter(r, number)) return false;
    Slice bytes;
    RecordHeader last;
    if (window_read(&r->window, lsn_offset(p->last), RECORD_HEADER, &bytes)) return false;
    return record_header_decode(bytes, p->last, &last) && last.chain == p->chain &&
           p->last + record_size(last.record_len, last.body_len) == p->lsn;
}

static const IndexKind *kind_of(const Engine *e)
{
    return e->options.index_in_memory ? &index_memory : &index_lmdb;
}

static Slice index_path(const Engine *e, Arena *a)
{
    return engine_path(e, a, "idx/%s", kind_of(e)->file);
}

/* OK: it is open and fits the log. ERR_NOT_FOUND: it is not there, or was never written to. */
static Err index_try(Recovery *r)
{
    Engine *e = r->e;
    PathInfo info;
    TRY(path_info(index_path(e, &r->arena), &info)); /* opening would make one */
    TRY(index_open(kind_of(e), index_path(e, &r->arena), e->options.map_bytes, &e->index));
    Slice value;
    Err err = index_get(e->index, S("m"), &r->arena, &value);
    if (!err) err = position_decode(value, e->uuid, &r->at, &e->epoch);
    if (!err) r->had_position = true;
    if (!err && !position_fits(r, &r->at))
        err = fail(ERR_CORRUPT, "the index does not belong to this log");
    if (!err) return OK;
    index_close(e->index);
    e->index = NULL;
    return err;
}

static Err path_gone(Slice path)
{
    Err err = path_unlink(path);
    return err == ERR_NOT_FOUND ? OK : err;
}

static Err index_set_aside(Recovery *r)
{
    Arena *a = &r->arena;
    Slice path = index_path(r->e, a);
    Err err = path_rename(path, arena_printf(a, "%.*s.bad", SP(path)));
    if (err && err != ERR_NOT_FOUND) return err;
    return path_gone(arena_printf(a, "%.*s-lock", SP(path)));
}

static Err file_copy(Slice from, Slice to)
{
    File *in scoped(file) = NULL, *out scoped(file) = NULL;
    Buf buf_scoped chunk = {0};
    size_t got = 1;
    TRY(file_open(from, FILE_READ, &in));
    TRY(file_open(to, FILE_WRITE | FILE_CREATE | FILE_EMPTY, &out));
    for (uint64_t at = 0; got; at += got) {
        TRY(file_read_some(in, at, buf_reserve(&chunk, COPY_CHUNK), COPY_CHUNK, &got));
        Slice part = slice(chunk.at, got);
        if (got) TRY(file_write_at(out, at, &part, 1));
    }
    return file_sync(out);
}

static Err index_from_copies(Recovery *r)
{
    Slice *names;
    uint64_t *lsns;
    size_t count;
    TRY(copies_list(r->e, &r->arena, &names, &lsns, &count));
    for (size_t i = 0; i < count; i++) {
        Slice copy = engine_path(r->e, &r->arena, "idx/%.*s", SP(names[i]));
        TRY(index_set_aside(r));
        TRY(file_copy(copy, index_path(r->e, &r->arena)));
        if (index_try(r)) continue;
        engine_trouble(r->e, ERR_CORRUPT, "the index was put back from %.*s", SP(copy));
        return OK;
    }
    return fail(ERR_NOT_FOUND, "no copy of the index fits");
}

static Err index_from_nothing(Recovery *r)
{
    Engine *e = r->e;
    if (!r->count && (r->had_position || r->had_segments))
        return fail(ERR_CORRUPT, "the segments of the log are gone");
    if (r->count && r->numbers[0] != 1)
        return fail(ERR_CORRUPT,
                    "the index and its copies are lost, and the log begins with segment %u",
                    r->numbers[0]);
    TRY(index_set_aside(r));
    TRY(index_open(kind_of(e), index_path(e, &r->arena), e->options.map_bytes, &e->index));
    TRY(path_sync_dir(engine_path(e, &r->arena, "idx")));
    SegmentHeader h;
    r->at = (LogPosition){.lsn = lsn_make(1, r->count ? SEGMENT_HEADER : 0), .chain = e->salt};
    r->any_chain = r->count && !segment_header_of(r, 1, &h);
    return OK;
}

static Err index_choose(Recovery *r)
{
    Err err = index_try(r);
    if (!err || err == ERR_TEMPORARY || err == ERR_DISK_FULL) return err;
    if (err != ERR_NOT_FOUND) engine_trouble(r->e, err, "index: %s", err_story());
    if (!index_from_copies(r)) return OK;
    return index_from_nothing(r);
}

/* ---- the table of segments ---- */
static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static Err list_segments(Recovery *r)
{
    Slice *names;
    size_t count;
    TRY(path_list(engine_path(r->e, &r->arena, "log"), &r->arena, &names, &count));
    r->numbers = arena_array(&r->arena, uint32_t, count + 1);
    for (size_t i = 0; i < count; i++) {
        uint64_t number;
        /* One to be used again holds records of this store; a log begun anew would meet them. */
        if (slice_starts(names[i], S("free-"))) r->had_segments = true;
        if (!slice_ends(names[i], S(".seg"))) continue;
        if (!slice_to_u64(slice_first(names[i], names[i].len - 4), &number)) continue;
        if (number && number < UINT32_MAX / 2) r->numbers[r->count++] = (uint32_t)number;
    }
    qsort(r->numbers, r->count, sizeof *r->numbers, by_number);
    mutex_lock(&r->e->lock);
    for (size_t i = 0; i < r->count; i++)
        segment_add(r->e, r->numbers[i]);
    mutex_unlock(&r->e->lock);
    return OK;
}

static bool segment_entry(void *arg, Slice key, Slice value)
{
    Recovery *r = (Recovery *)arg;
    if (key.len != 5) return true;
    Reader v = reader(value);
    Segment *s = segment_find(r->e, be_u32(key.at + 1));
    uint32_t end = read_u32(&v);
    uint64_t bodies = read_u64(&v), live = read_u64(&v);
    if (!s || v.bad) return true;
    s->end = end, s->bodies = bodies, s->live = live;
    s->counted = true;
    return true;
}

PARKS Err recovery_run(Engine *e, LogPosition *end)
{
    Recovery r = {.e = e};
    int64_t began = now_us();
    Err err = list_segments(&r);
    if (!err) err = index_choose(&r);
    if (!err) err = index_scan(e->index, S("g"), (Slice){0}, segment_entry, &r);
    if (!err) segments_recount(e, r.at.lsn);
    e->checkpoint_lsn = r.at.lsn;
    if (!err && r.count) err = scan_log(&r);
    e->applied = *end = r.at;
    e->counters.recovery_ms = (uint64_t)(now_us() - began) / 1000;
    file_close(r.window.file);
    buf_done(&r.window.bytes);
    arena_done(&r.arena);
    return err;
}
