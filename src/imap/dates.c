/* Dates of the grammar. */
#include "base/text.h"
#include "imap/in.h"

/* Exactly `count` digits. */
static unsigned digits(In *in, unsigned count)
{
    unsigned n = 0;
    while (count--) {
        int c = imap_peek(in);
        if (c < '0' || c > '9') {
            imap_mistake(in, "a digit is expected");
            return 0;
        }
        n = n * 10 + (unsigned)(c - '0');
        in->scan.at++;
    }
    return n;
}

static unsigned month(In *in)
{
    for (unsigned i = 0; i < 12; i++)
        if (imap_see(in, month_names[i])) return i + 1;
    imap_mistake(in, "a month is expected");
    return 1;
}

/* "-" month "-" year behind the day: days since 1970-01-01. */
static int64_t rest_of_date(In *in, unsigned day)
{
    imap_need(in, "-");
    unsigned m = month(in);
    imap_need(in, "-");
    int year = (int)digits(in, 4), back_year;
    unsigned back_month, back_day;
    int64_t days = days_from_civil(year, m, day);
    civil_from_days(days, &back_year, &back_month, &back_day);
    if (back_day != day || back_month != m) imap_mistake(in, "there is no such day");
    return imap_syntax(in) ? 0 : days;
}

/* date-day = 1*2DIGIT; date-day-fixed = (SP DIGIT) / 2DIGIT. Apple Mail and imapflow have sent one
 * digit where two are wanted, on the first nine days of a month: taken everywhere. */
static unsigned read_day(In *in)
{
    (void)imap_see(in, " ");
    unsigned day = digits(in, 1);
    int c = imap_peek(in);
    return c >= '0' && c <= '9' ? day * 10 + digits(in, 1) : day;
}

/* RFC 9051 9: date = date-text / DQUOTE date-text DQUOTE */
int64_t imap_date(In *in)
{
    bool is_quoted = imap_see(in, "\"");
    int64_t days = rest_of_date(in, read_day(in));
    if (is_quoted) imap_need(in, "\"");
    return days;
}

/* time = 2DIGIT ":" 2DIGIT ":" 2DIGIT, in seconds */
static int64_t read_time(In *in)
{
    unsigned hour = digits(in, 2);
    imap_need(in, ":");
    unsigned minute = digits(in, 2);
    imap_need(in, ":");
    unsigned second = digits(in, 2);
    if (hour > 23 || minute > 59 || second > 60) imap_mistake(in, "there is no such time");
    return (int64_t)hour * 3600 + minute * 60 + second;
}

/* zone = ("+" / "-") 4DIGIT, in seconds east. Some clients send none: UTC, so that the message is
 * kept. */
static int64_t read_zone(In *in)
{
    if (imap_peek(in) == '"') return 0;
    imap_space(in);
    bool west = imap_see(in, "-");
    if (!west) imap_need(in, "+");
    unsigned hours = digits(in, 2), minutes = digits(in, 2);
    if (minutes > 59) imap_mistake(in, "there is no such zone");
    int64_t east = ((int64_t)hours * 60 + minutes) * 60;
    return west ? -east : east;
}

/* RFC 9051 9: date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE
 */
int64_t imap_date_time(In *in)
{
    imap_need(in, "\"");
    int64_t days = rest_of_date(in, read_day(in));
    imap_space(in);
    int64_t time = read_time(in), zone = read_zone(in);
    imap_need(in, "\"");
    return imap_syntax(in) ? 0 : days * 86400 + time - zone;
}
