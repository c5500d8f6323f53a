#include "house/backup.h"

#include "base/test.h"

#include <stdlib.h>
#include <time.h>

static void in_zone(const char *zone)
{
    setenv("TZ", zone, 1);
    tzset();
}

TEST(a_moment_is_what_the_clock_on_the_wall_says)
{
    static const struct {
        const char *text;
        int64_t moment;
    } rows[] = {
        {"2026-11-22 14:05:07Z", 1795356307},
        {"2026-11-22T14:05:07Z", 1795356307},
        {"2026-11-22 15:05:07",  1795356307},
        {"2026-11-22 15:05",     1795356300},
        {"2026-11-22",           1795302000},
        {"2026-07-01 02:00",     1782864000}, /* summer */
    };
    in_zone("CET-1CEST,M3.5.0,M10.5.0/3");
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t moment = 0;
        check_ok(moment_parse(slice_of(rows[i].text), &moment));
        check_u64((uint64_t)moment, (uint64_t)rows[i].moment);
    }
    Buf text buf_scoped = {0};
    moment_put(&text, 1795356307);
    check(slice_eq(buf_slice(&text), S("2026-11-22 15:05:07")));
    in_zone("UTC");
}

TEST(what_is_no_moment_is_refused)
{
    static const char *const texts[] = {
        "",
        "yesterday",
        "2026-13-01",
        "2026-11-32",
        "2026-11-22 24:00",
        "2026-11-22x",
        "2026-11-22 14",
        "2026-11-22 14:05:99",
        "d",
        "99999999999d",
        "-1h",
        "2026-11-22 14:05 Z",
        "1969-12-31",
        "2026",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        int64_t moment;
        check(moment_parse(slice_of(texts[i]), &moment) == ERR_SYNTAX);
    }
    int64_t ago = 0, now = wall_seconds();
    check_ok(moment_parse(S("2h"), &ago));
    check(ago >= now - 7200 && ago <= now - 7200 + 5);
}

static void add_segments(Buf *out, const uint32_t (*pairs)[2], size_t count)
{
    buf_char(out, 'S');
    for (size_t i = 0; i < count; i++) {
        buf_u32(out, pairs[i][0]);
        buf_u32(out, pairs[i][1]);
    }
}

TEST(a_plan_arrives_as_it_was_sent)
{
    static const uint32_t pairs[][2] = {
        {3, 4096},
        {7, 9000}
    };
    EngineBackup plan = {.position = 11, .end = 22, .last = 33, .chain = 44, .moment = 55},
                 got = {0};
    Arena a arena_scoped = {0};
    Buf frame buf_scoped = {0}, segments buf_scoped = {0};
    plan.index = S("backup");
    backup_plan_encode(&frame, &plan);
    add_segments(&segments, pairs, 2);
    check_ok(backup_plan_decode(buf_slice(&frame), &a, &got));
    check_ok(backup_plan_decode(buf_slice(&segments), &a, &got));
    check(got.position == 11 && got.end == 22 && got.last == 33 && got.chain == 44);
    check(got.moment == 55 && slice_eq(got.index, S("backup")));
    check(got.segment_count == 2 && got.segments[1].number == 7 && got.segments[1].end == 9000);
    check(backup_plan_decode(buf_slice(&segments), &a, &got) == ERR_SYNTAX); /* not ascending */
    for (size_t i = 0; i < frame.len; i++)
        check(backup_plan_decode(slice_first(buf_slice(&frame), i), &a, &got) == ERR_SYNTAX);
    plan.index = S("../../etc/shadow");
    buf_clear(&frame);
    backup_plan_encode(&frame, &plan);
    check(backup_plan_decode(buf_slice(&frame), &a, &got) == ERR_SYNTAX);
}
