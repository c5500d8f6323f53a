#include "store/local.h"

#include "store/digest.h"

#include <stdlib.h>

/* Reads every record and body again: header, chain, CRC and SHA-256 of what lives; and the big
 * bodies. Slowly rotting media show here before a client asks for the message. */

typedef struct {
    Engine *e;
    void (*report)(void *arg, Slice line);
    void *arg;
    uint32_t number; /* of the segment at hand */
    uint64_t at;     /* of the big body at hand */
    uint64_t checked, bad;
    Buf findings; /* lines, told when we are back on the loop */
} Scrub;

static void finding(Scrub *s, const char *fmt, ...) PRINTF(2, 3);
static void finding(Scrub *s, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    buf_vprintf(&s->findings, fmt, args);
    va_end(args);
    buf_char(&s->findings, '\n');
    s->bad++;
}

/* The body may have been marked and punched since its header was read. */
static bool has_died(Walk *walk, uint64_t lsn)
{
    char header[RECORD_HEADER];
    RecordHeader h;
    if (file_read_at(walk->segment->file, lsn_offset(lsn), header, sizeof header)) return false;
    bool whole = record_header_decode(slice(header, sizeof header), lsn, &h);
    return whole && h.dead; /* OUT_OF_REACH: it has to go between two reads of one record */
}

static void check_body(Scrub *s, Walk *walk, const LogRecord *rec, Verdict verdict)
{
    static const uint8_t unknown[32];
    uint8_t sha256[32];
    bool good = verdict == VERDICT_GOOD;
    if (good && rec->content.len && memcmp(rec->head.sha256, unknown, sizeof unknown) != 0) {
        digest_of(rec->content, sha256);
        good = !memcmp(sha256, rec->head.sha256, sizeof sha256);
    }
    if (good) return;
    if (has_died(walk, rec->head.lsn)) return; /* OUT_OF_REACH: as has_died says */
    finding(s, "segment %u: account %u, email %u: the body at %llx is damaged", s->number,
            rec->head.acct, rec->head.eid, (unsigned long long)rec->body.at);
}

/* *more: there is something behind the damage. */
static Err behind_damage(Scrub *s, Walk *walk, bool *more)
{
    uint64_t lsn = walk->place.lsn;
    *more = false;
    if (lsn_offset(lsn) >= walk->end) return OK;
    TRY(walk_resume(walk, more));
    uint64_t lost = (*more ? lsn_offset(walk->place.lsn) : walk->end) - lsn_offset(lsn);
    finding(s, "segment %u: a record at %llx is damaged, %llu octets", s->number,
            (unsigned long long)lsn, (unsigned long long)lost);
    return OK;
}

static Err scrub_records(Scrub *s, Walk *walk)
{
    bool more = true;
    while (more) {
        LogRecord rec;
        Verdict verdict = VERDICT_GOOD;
        TRY(walk_next(walk, &rec, &verdict, &more));
        if (more) {
            s->checked++;
            check_body(s, walk, &rec, verdict);
        } else {
            TRY(behind_damage(s, walk, &more));
        }
    }
    return OK;
}

static void scrub_segment(void *arg)
{
    Scrub *s = (Scrub *)arg;
    Walk walk;
    Err err = walk_begin(s->e, s->number, &walk);
    if (!err) err = scrub_records(s, &walk);
    if (err) finding(s, "segment %u: %s", s->number, err_story());
    walk_end(&walk);
}

static void scrub_big(void *arg)
{
    Scrub *s = (Scrub *)arg;
    s->checked++;
    if (big_check(s->e, s->at))
        finding(s, "big body %llx: %s", (unsigned long long)(s->at & ~BLOB_BIG), err_story());
}

static void tell_findings(Scrub *s)
{
    Slice rest = buf_slice(&s->findings), line;
    while (slice_cut(&rest, '\n', &line))
        s->report(s->arg, line);
    buf_clear(&s->findings);
}

static uint32_t *segment_numbers(Engine *e, Arena *a, size_t *count)
{
    mutex_lock(&e->lock);
    *count = e->segment_count;
    uint32_t *numbers = arena_array(a, uint32_t, *count + 1);
    for (size_t i = 0; i < *count; i++)
        numbers[i] = e->segments[i]->number;
    mutex_unlock(&e->lock);
    return numbers;
}

static bool segment_is_there(Engine *e, uint32_t number)
{
    mutex_lock(&e->lock);
    bool is = segment_find(e, number) != NULL;
    mutex_unlock(&e->lock);
    return is;
}

typedef struct {
    Arena *arena;
    uint64_t *ats;
    size_t count, room;
} BigList;

static bool big_entry(void *arg, Slice key, Slice value)
{
    BigList *l = (BigList *)arg;
    (void)value;
    if (key.len != 9) return true;
    if (l->count == l->room) {
        l->room = MAX(64, l->room * 2);
        uint64_t *more = arena_array(l->arena, uint64_t, l->room);
        if (l->count) memcpy(more, l->ats, l->count * sizeof *more);
        l->ats = more;
    }
    l->ats[l->count++] = be_u64(key.at + 1);
    return true;
}

static bool is_dead(Engine *e, uint64_t at)
{
    mutex_lock(&e->lock);
    bool is = number_table_get(&e->dead, at) || number_table_get(&e->marked, at);
    mutex_unlock(&e->lock);
    return is;
}

Err engine_scrub(Engine *e, void (*report)(void *arg, Slice line), void *arg, uint64_t *checked,
                 uint64_t *bad)
{
    Arena arena_scoped a = {0};
    Scrub s = {.e = e, .report = report, .arg = arg};
    size_t count;
    uint32_t *numbers = segment_numbers(e, &a, &count);
    for (size_t i = 0; i < count; i++) {
        s.number = numbers[i];
        if (segment_is_there(e, s.number)) aside(scrub_segment, &s);
        tell_findings(&s);
    }
    BigList big = {.arena = &a};
    Err err = index_scan(e->index, S("b"), (Slice){0}, big_entry, &big);
    for (size_t i = 0; i < big.count; i++) {
        s.at = big.ats[i];
        if (!is_dead(e, s.at)) aside(scrub_big, &s);
        tell_findings(&s);
    }
    buf_done(&s.findings);
    *checked = s.checked;
    *bad = s.bad;
    return err;
}
