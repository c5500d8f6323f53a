/* RFC 5322 3.3 date-time, its obsolete forms (4.3), and what mailers make of them: asctime's order,
 * dashes, ISO 8601, missing seconds and zones. Words and numbers are taken in any order and told
 * apart by their shape. */
#include "base/text.h"
#include "mail/cursor.h"
#include "mail/header.h"

typedef struct {
    int day, month, year, hour, minute, second, zone; /* -1: not seen; zone in minutes */
    bool has_time, has_zone, year_first;
} Date;

static bool number(Cursor *c, int *value, size_t *digits)
{
    size_t start = c->at;
    long n = 0;
    while (is_digit((unsigned char)cursor_peek(c)) && c->at - start < 9)
        n = n * 10 + (c->text.at[c->at++] - '0');
    *value = (int)n;
    *digits = c->at - start;
    return *digits > 0;
}

/* Behind the hour, at the colon (some write dots). */
static bool time_of_day(Cursor *c, Date *d, int hour)
{
    size_t digits;
    char colon = cursor_peek(c);
    d->hour = hour;
    d->second = 0;
    c->at++;
    cursor_cfws(c);
    if (!number(c, &d->minute, &digits)) return false;
    cursor_cfws(c);
    if (cursor_peek(c) == colon) {
        c->at++;
        cursor_cfws(c);
        if (!number(c, &d->second, &digits)) return false;
        if (cursor_peek(c) == '.' || cursor_peek(c) == ',') { /* a fraction */
            int fraction;
            c->at++;
            number(c, &fraction, &digits);
        }
    }
    d->has_time = true;
    return true;
}

/* At "+" or "-": "+hhmm", "+hh:mm", "+hh". */
static bool zone(Cursor *c, Date *d)
{
    int sign = cursor_peek(c) == '-' ? -1 : 1, n, minutes = 0;
    size_t digits;
    c->at++;
    if (!number(c, &n, &digits)) return false;
    if (digits <= 2) {
        minutes = 0;
        if (cursor_peek(c) == ':') {
            size_t more;
            c->at++;
            if (!number(c, &minutes, &more)) return false;
        }
    } else {
        minutes = n % 100, n /= 100;
    }
    if (n > 24 || minutes > 59) n = minutes = 0;
    d->zone = sign * (n * 60 + minutes);
    d->has_zone = true;
    return true;
}

/* RFC 5322 4.3: "UT" / "GMT" / "EST" ...; all others are -0000. */
static void zone_name(Date *d, Slice word)
{
    static const struct {
        char name[5];
        int16_t minutes;
    } names[] = {
        {"EST",  -300},
        {"EDT",  -240},
        {"CST",  -360},
        {"CDT",  -300},
        {"MST",  -420},
        {"MDT",  -360},
        {"PST",  -480},
        {"PDT",  -420},
        {"CET",  60  },
        {"CEST", 120 },
        {"MET",  60  },
        {"MEST", 120 },
        {"BST",  60  },
        {"EET",  120 },
        {"EEST", 180 },
        {"MSK",  180 },
        {"JST",  540 },
        {"IST",  330 },
        {"WEST", 60  },
        {"NZST", 720 },
        {"NZDT", 780 }
    };
    for (size_t i = 0; i < COUNT(names); i++)
        if (slice_eq_nocase(word, slice_of(names[i].name))) d->zone = names[i].minutes;
    d->has_zone = true;
}

static int month_of(Slice word)
{
    for (int i = 0; i < 12; i++)
        if (word.len >= 3 && slice_starts_nocase(word, slice(month_names[i], 3))) return i + 1;
    return 0;
}

static bool is_weekday(Slice word)
{
    for (int i = 0; i < 7; i++)
        if (slice_starts_nocase(word, slice(weekday_names[i], 3))) return true;
    return false;
}

static void twelve_hours(Date *d, bool afternoon)
{
    if (d->hour == 12) d->hour = 0;
    if (afternoon) d->hour += 12;
}

static void word(Cursor *c, Date *d)
{
    size_t start = c->at;
    while (is_alpha((unsigned char)cursor_peek(c)))
        c->at++;
    Slice w = slice(c->text.at + start, c->at - start);
    bool am = slice_eq_nocase(w, S("AM")), pm = slice_eq_nocase(w, S("PM"));
    if (d->month < 0 && month_of(w))
        d->month = month_of(w);
    else if (is_weekday(w) || (slice_eq_nocase(w, S("T")) && !d->has_time))
        return;
    else if ((am || pm) && d->has_time && d->hour <= 12)
        twelve_hours(d, pm);
    else if (d->has_zone && slice_eq_nocase(w, S("DST")))
        d->zone += 60; /* "MET DST" */
    else if (d->has_time && !d->has_zone)
        zone_name(d, w);
}

/* RFC 5322 4.3: two digits 00-49 are 20xx, 50-99 19xx; three are added to 1900. */
static int full_year(int n, size_t digits)
{
    if (digits <= 2) return n + (n < 50 ? 2000 : 1900);
    return digits == 3 ? n + 1900 : n;
}

static bool digits(Cursor *c, Date *d)
{
    int n;
    size_t len;
    number(c, &n, &len);
    cursor_cfws(c);
    bool dots = cursor_peek(c) == '.' && d->day >= 0 && d->year >= 0;
    if (!d->has_time && len <= 2 && (cursor_peek(c) == ':' || dots)) return time_of_day(c, d, n);
    if (len >= 3 && d->year < 0) {
        d->year_first = d->day < 0 && d->month < 0;
        d->year = full_year(n, len);
    } else if (d->year_first && d->month < 0) {
        d->month = n; /* ISO 8601: 2026-11-22 */
    } else if (d->day < 0) {
        d->day = n;
    } else if (d->year < 0) {
        d->year = full_year(n, len);
    }
    return len <= 5;
}

/* One word, number or mark. false: this is no date. */
static bool step(Cursor *c, Date *d)
{
    char next = cursor_peek(c);
    if (is_digit((unsigned char)next)) return digits(c, d);
    if (is_alpha((unsigned char)next)) {
        word(c, d);
        return true;
    }
    bool sign = next == '+' || next == '-';
    bool follows = c->at + 1 < c->text.len && is_digit((unsigned char)c->text.at[c->at + 1]);
    if (sign && follows && d->has_time) return zone(c, d);
    c->at++;
    return true;
}

static int days_in(int month, int year)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static bool is_real(const Date *d)
{
    if (d->month < 1 || d->month > 12 || d->year < 1 || d->year > 9999) return false;
    return d->day >= 1 && d->day <= days_in(d->month, d->year);
}

static bool is_time(const Date *d)
{
    return !d->has_time || (d->hour <= 24 && d->minute <= 59 && d->second <= 60);
}

Err header_date(Slice value, int64_t *unix_seconds, int16_t *zone_minutes)
{
    Date d = {.day = -1, .month = -1, .year = -1};
    Cursor c = {.text = slice_first(value, 1000)};
    while (cursor_cfws(&c), !cursor_is_done(&c))
        if (!step(&c, &d)) return fail(ERR_SYNTAX, "not a date");
    if (!is_real(&d)) return fail(ERR_SYNTAX, "not a date");
    if (!is_time(&d)) d.hour = d.minute = d.second = d.zone = 0; /* RFC 5256 2.2 */
    int64_t days = days_from_civil(d.year, (unsigned)d.month, (unsigned)d.day);
    *unix_seconds = days * 86400 + d.hour * 3600 + d.minute * 60 + d.second - d.zone * 60;
    *zone_minutes = (int16_t)d.zone;
    return OK;
}
