#include "base/test.h"
#include "mail/header.h"

/* Expected values: Python's email.utils, except where it gives up; those are by hand. */
static const struct {
    const char *in;
    int64_t seconds;
    int zone;
} rows[] = {
  /* RFC 5322 appendix A */
    {"Fri, 21 Nov 1997 09:55:06 -0600",                 880127706,  -360},
    {"Tue, 1 Jul 2003 10:52:37 +0200",                  1057049557, 120 },
    {"Thu, 13 Feb 1969 23:32:54 -0330",                 -27723426,  -210},
    {"Mon, 24 Nov 1997 14:22:01 -0800",                 880410121,  -480},
    {"21 Nov 97 09:55:06 GMT",                          880106106,  0   },
    {"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880127706,  -360},
    {"Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n   -0330 (Newfoundland "
     "Time)",                                      -27723480,  -210},
 /* obsolete years and zones, 4.3 */
    {"Tue, 04 Jan 2000 08:00 EST",                      946990800,  -300},
    {"1 Jan 49 00:00:00 +0000",                         2493072000, 0   },
    {"1 Jan 50 00:00:00 +0000",                         -631152000, 0   },
    {"4 Jan 100 08:00:00 +0000",                        946972800,  0   },
    {"Fri, 21 Nov 1997 09:55:06 Z",                     880106106,  0   },
    {"Fri, 21 Nov 1997 09:55:06 A",                     880106106,  0   },
 /* leap days and seconds */
    {"Sun, 29 Feb 2004 12:00:00 +1400",                 1078005600, 840 },
    {"Wed, 30 Jun 1999 23:59:60 +0000",                 930787200,  0   },
 /* what mailers write */
    {"Tue Jan  4 08:00:00 2000",                        946972800,  0   },
    {"Wed Sep  9 10:12:13 MET DST 1998",                905328733,  120 },
    {"Thursday, 04-Sep-98 12:22:33 PDT",                904936953,  -420},
    {"1-Jan-2001 10:00:00 +0000",                       978343200,  0   },
    {"Mon, 1 Jan 2001 10:00:00 +01:30",                 978337800,  90  },
    {"Mon, 01 Jan 2001 10.20.30 +0000",                 978344430,  0   },
    {"Sat, 1 Jan 2000 12:00:00 PM GMT",                 946728000,  0   },
    {"Sat, 1 Jan 2000 12:00:00 AM GMT",                 946684800,  0   },
    {"Sat, 1 Jan 2000 1:30 pm +0000",                   946733400,  0   },
    {"2026-11-22T08:00:00Z",                            1795334400, 0   },
    {"2026-11-22 08:00:00.125 +0100",                   1795330800, 60  },
    {"Sat, 22 Nov 2026",                                1795305600, 0   },
    {"  fri, 21 nov 1997 9:55:06 +9999 ",               880106106,  0   },
 /* RFC 5256 2.2: a zone that is none is UTC, a time that is none is midnight */
    {"21 Nov 1997 25:00:00 +0100",                      880070400,  0   },
    {"21 Nov 1997 10:60:00 +0000",                      880070400,  0   },
};

static const char *const not_dates[] = {
    "",
    "   ",
    "yesterday",
    "Fri, 31 Feb 2003 10:00:00 +0000",
    "29 Feb 1900 10:00:00 +0000",
    "Fri, 21 Nov",
    "32 Jan 2000 10:00:00 +0000",
    "2026-13-01T00:00:00Z",
    "21 Nov 99999999999 10:00:00 +0000",
    "21 Foo 1997 10:00:00 +0000",
    "10:00:00",
    "21 Nov 1997 10:",
    "((((((((((",
};

TEST(dates_parse)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t seconds = 0;
        int16_t zone = 0;
        Err err = header_date(slice_of(rows[i].in), &seconds, &zone);
        if (err || seconds != rows[i].seconds || zone != rows[i].zone)
            test_failed(__FILE__, __LINE__, "\"%s\": %s %lld %d", rows[i].in, err_name(err),
                        (long long)seconds, zone);
    }
}

TEST(what_is_no_date_fails)
{
    for (size_t i = 0; i < COUNT(not_dates); i++) {
        int64_t seconds = 42;
        int16_t zone = 42;
        if (!header_date(slice_of(not_dates[i]), &seconds, &zone))
            test_failed(__FILE__, __LINE__, "\"%s\" is a date: %lld", not_dates[i],
                        (long long)seconds);
        check(seconds == 42 && zone == 42);
    }
}
