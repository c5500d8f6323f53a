#include "store/local.h"

enum { WINDOW = 1024 * 1024 };

Err window_read(Window *w, uint64_t offset, uint64_t len, Slice *out)
{
    bool inside = offset >= w->at && offset + len <= w->at + w->bytes.len;
    if (!inside) {
        uint64_t want = MAX(len, (uint64_t)WINDOW);
        size_t got;
        buf_clear(&w->bytes);
        TRY(file_read_some(w->file, offset, buf_reserve(&w->bytes, want), want, &got));
        w->bytes.len = got;
        w->at = offset;
    }
    *out = slice_from(buf_slice(&w->bytes), offset - w->at);
    return OK;
}

Err window_record(Window *w, const RecordPlace *place, LogRecord *out, Verdict *verdict)
{
    uint64_t offset = lsn_offset(place->lsn);
    Slice bytes;
    *verdict = VERDICT_NONE;
    TRY(window_read(w, offset, RECORD_HEADER, &bytes));
    if (!record_header_decode(bytes, place->lsn, &out->head)) return OK;
    uint64_t size = record_size(out->head.record_len, out->head.body_len);
    TRY(window_read(w, offset, size, &bytes));
    *verdict = record_verify(bytes, place, out);
    return OK;
}

Err walk_begin(Engine *e, uint32_t number, Walk *walk)
{
    char bytes[64];
    SegmentHeader h;
    *walk = (Walk){.e = e};
    TRY(segment_use(e, number, &walk->segment));
    walk->window.file = walk->segment->file;
    mutex_lock(&e->lock);
    walk->end = walk->segment->end;
    mutex_unlock(&e->lock);
    Err err = file_read_at(walk->segment->file, 0, bytes, sizeof bytes);
    if (!err && (!segment_header_decode(slice(bytes, sizeof bytes), &h) || h.number != number))
        err = fail(ERR_CORRUPT, "the header of segment %u is damaged", number);
    if (err) {
        walk_end(walk);
        return err;
    }
    walk->place = (RecordPlace){
        .lsn = lsn_make(number, SEGMENT_HEADER), .salt = e->salt, .chain = h.previous_chain};
    return OK;
}

Err walk_next(Walk *walk, LogRecord *out, Verdict *verdict, bool *more)
{
    *more = lsn_offset(walk->place.lsn) < walk->end;
    if (!*more) return OK;
    TRY(window_record(&walk->window, &walk->place, out, verdict));
    *more = *verdict != VERDICT_NONE;
    if (!*more) return OK;
    walk->place.lsn += out->next;
    walk->place.chain = out->head.chain;
    walk->place.epoch = out->head.epoch;
    walk->place.any_chain = false;
    return OK;
}

static Err record_stands(Walk *walk, uint64_t lsn, bool *stands)
{
    Slice bytes;
    RecordHeader h;
    *stands = false;
    TRY(window_read(&walk->window, lsn_offset(lsn), RECORD_HEADER, &bytes));
    if (!record_header_decode(bytes, lsn, &h)) return OK;
    uint64_t len = RECORD_HEADER + (uint64_t)h.record_len;
    TRY(window_read(&walk->window, lsn_offset(lsn), len, &bytes));
    *stands = h.epoch >= walk->place.epoch && record_holds(&h, bytes, walk->place.salt);
    return OK;
}

Err walk_resume(Walk *walk, bool *more)
{
    *more = false;
    uint64_t lsn = walk->place.lsn + 8;
    for (; lsn_offset(lsn) + RECORD_HEADER <= walk->end && !*more; lsn += 8) {
        TRY(record_stands(walk, lsn, more));
        if (!*more) continue;
        walk->place.lsn = lsn;
        walk->place.any_chain = true;
    }
    return OK;
}

void walk_end(Walk *walk)
{
    buf_done(&walk->window.bytes);
    if (walk->segment) segment_release(walk->e, walk->segment);
    walk->segment = NULL;
}
