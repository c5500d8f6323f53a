/* What backup's two ends say to each other; moments; the meter. */
#include "base/text.h"
#include "house/backup.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* ---- the plan ---- */

void backup_plan_encode(Buf *out, const EngineBackup *b)
{
    buf_char(out, 'P');
    buf_u64(out, b->position);
    buf_u64(out, b->end);
    buf_u64(out, b->last);
    buf_u32(out, b->chain);
    buf_u64(out, (uint64_t)b->moment);
    buf_bytes(out, b->index);
}

static Err decode_segments(Reader *r, Arena *a, EngineBackup *b)
{
    size_t more = r->rest.len / 8;
    BackupSegment *all = arena_array(a, BackupSegment, b->segment_count + more);
    if (b->segment_count) memcpy(all, b->segments, b->segment_count * sizeof *all);
    for (size_t i = 0; i < more; i++) {
        BackupSegment s = {.number = read_u32(r)};
        s.end = read_u32(r);
        bool ascends = !b->segment_count || all[b->segment_count - 1].number < s.number;
        if (!s.number || !ascends) return fail(ERR_SYNTAX, "segments without order");
        all[b->segment_count++] = s;
    }
    b->segments = all;
    return r->rest.len ? fail(ERR_SYNTAX, "half a segment") : OK;
}

Err backup_plan_decode(Slice frame, Arena *a, EngineBackup *b)
{
    Reader r = reader(frame);
    uint8_t type = read_u8(&r);
    if (type == 'S') return decode_segments(&r, a, b);
    if (type != 'P') return fail(ERR_SYNTAX, "not a backup's plan");
    b->position = read_u64(&r);
    b->end = read_u64(&r);
    b->last = read_u64(&r);
    b->chain = read_u32(&r);
    b->moment = (int64_t)read_u64(&r);
    b->index = arena_copy(a, read_bytes(&r));
    bool sane = !r.bad && !r.rest.len && b->moment >= 0 && b->index.len &&
                slice_find(b->index, '/') == b->index.len;
    return sane ? OK : fail(ERR_SYNTAX, "a broken plan");
}

/* ---- moments ---- */

static bool take_ago(Slice text, int64_t *moment)
{
    static const struct {
        char letter;
        uint32_t seconds;
    } units[] = {
        {'s', 1    },
        {'m', 60   },
        {'h', 3600 },
        {'d', 86400}
    };
    uint64_t n;
    for (size_t i = 0; i < COUNT(units); i++) {
        if (!text.len || text.at[text.len - 1] != units[i].letter) continue;
        if (!slice_to_u64(slice_first(text, text.len - 1), &n) || n > UINT32_MAX) return false;
        *moment = MAX(wall_seconds() - (int64_t)(n * units[i].seconds), (int64_t)1);
        return true;
    }
    return false;
}

static bool take_part(Slice *text, char before, uint64_t low, uint64_t high, int *value)
{
    uint64_t n;
    size_t len = 0;
    if (before && (!text->len || text->at[0] != before)) return false;
    Slice rest = slice_from(*text, before != 0);
    while (len < rest.len && is_digit((unsigned char)rest.at[len]))
        len++;
    if (!slice_to_u64(slice_first(rest, len), &n) || n < low || n > high) return false;
    *value = (int)n;
    *text = slice_from(rest, len);
    return true;
}

static bool take_date(Slice text, struct tm *tm, bool *utc)
{
    bool good = take_part(&text, 0, 1970, 2105, &tm->tm_year) &&
                take_part(&text, '-', 1, 12, &tm->tm_mon) &&
                take_part(&text, '-', 1, 31, &tm->tm_mday);
    char between = text.len && text.at[0] == 'T' ? 'T' : ' ';
    if (good && text.len && text.at[0] == between)
        good = take_part(&text, between, 0, 23, &tm->tm_hour) &&
               take_part(&text, ':', 0, 59, &tm->tm_min);
    if (good && text.len && text.at[0] == ':') good = take_part(&text, ':', 0, 60, &tm->tm_sec);
    *utc = slice_eq(text, S("Z"));
    return good && (!text.len || *utc);
}

Err moment_parse(Slice text, int64_t *moment)
{
    struct tm tm = {.tm_isdst = -1};
    bool utc;
    if (take_ago(text, moment)) return OK;
    if (!take_date(text, &tm, &utc))
        return fail(ERR_SYNTAX, "%.*s: not a moment like 2026-11-22 14:05:00, or 2h (ago)",
                    SP(text));
    tm.tm_year -= 1900, tm.tm_mon -= 1;
    *moment = utc ? timegm(&tm) : mktime(&tm);
    return *moment > 0 ? OK : fail(ERR_SYNTAX, "%.*s: no such moment", SP(text));
}

void moment_put(Buf *out, int64_t moment)
{
    char text[40] = "?";
    time_t at = (time_t)moment;
    struct tm tm;
    if (localtime_r(&at, &tm)) strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    buf_add(out, slice_of(text));
}

/* ---- progress ---- */

void meter_begin(Meter *m, const char *verb)
{
    *m = (Meter){.verb = verb, .to_terminal = isatty(STDERR_FILENO), .began_us = now_us()};
}

bool meter_told(void *meter, uint64_t octets)
{
    Meter *m = meter;
    int64_t now = now_us();
    m->done += octets;
    if (run_is_cancelled()) return false;
    if (!m->to_terminal || now - m->told_us < 200000) return true;
    m->told_us = now;
    uint64_t ms = (uint64_t)MAX((now - m->began_us) / 1000, (int64_t)1);
    fprintf(stderr, "\r\033[K%s: %llu MB", m->verb, (unsigned long long)(m->done >> 20));
    if (m->total)
        fprintf(stderr, " of %llu MB", (unsigned long long)(MAX(m->total, m->done) >> 20));
    fprintf(stderr, ", %llu MB/s", (unsigned long long)((m->done >> 10) * 1000 / 1024 / ms));
    m->line_is_open = true;
    return true;
}

void meter_end(Meter *m)
{
    if (m->line_is_open) fputs("\r\033[K", stderr);
    m->line_is_open = false;
}
