/* backup, in the house: holds still and says what is to be copied. */
#include "house/backup.h"

enum { SEGMENTS_TOGETHER = 8192 };

typedef struct {
    Talk *talk;
    Engine *engine;
    EngineBackup plan;
    Arena arena;
    bool complete;
} Holding;

PARKS static Err give_plan(Holding *h)
{
    Buf frame buf_scoped = {0};
    backup_plan_encode(&frame, &h->plan);
    TRY(talk_give(h->talk, buf_slice(&frame)));
    for (size_t i = 0; i < h->plan.segment_count;) {
        buf_clear(&frame);
        buf_char(&frame, 'S');
        for (size_t n = 0; n < SEGMENTS_TOGETHER && i < h->plan.segment_count; n++, i++) {
            buf_u32(&frame, h->plan.segments[i].number);
            buf_u32(&frame, h->plan.segments[i].end);
        }
        TRY(talk_give(h->talk, buf_slice(&frame)));
    }
    TRY(talk_give(h->talk, S("R")));
    return stream_flush(h->talk->stream);
}

PARKS static Err until_copied(Holding *h)
{
    Slice frame;
    bool more;
    for (;;) {
        TRY(talk_take(h->talk, &frame, &more));
        if (!more) return OK;
        Reader r = reader(frame);
        uint8_t type = read_u8(&r);
        h->complete = type == 'c';
        uint32_t segment = type == 'p' ? read_u32(&r) : 0;
        if ((type != 'p' && type != 'c') || r.bad || r.rest.len)
            return fail(ERR_SYNTAX, "a broken frame");
        if (segment) engine_backup_passed(h->engine, &h->plan, segment);
    }
}

PARKS int verb_backup(Talk *t)
{
    if (t->arg_count != 1) return talk_usage(t);
    Holding h = {.talk = t, .engine = store_engine(t->house->store)};
    Err err = engine_backup_begin(h.engine, &h.arena, &h.plan);
    if (!err) {
        err = give_plan(&h);
        if (!err) err = until_copied(&h);
        engine_backup_end(h.engine, &h.plan, !err && h.complete);
    }
    arena_done(&h.arena);
    return err ? talk_fail(t, err) : EXIT_OK;
}
