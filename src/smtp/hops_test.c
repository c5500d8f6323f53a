#include "base/test.h"
#include "smtp/hops.h"

TEST(hops_are_counted_in_the_header)
{
    static const struct {
        Slice text;
        uint32_t count;
    } rows[] = {
        {S(""),                                                                             0},
        {S("Received: a\r\nReceived: b\r\n\r\nReceived: c\r\n"),                            2},
        {S("received:a\nRECEIVED: b\n\nReceived: c"),                                       2},
        {S("\r\nReceived: a\r\n"),                                                          0},
        {S("X-Received: a\r\nReceived\r\nReceivedd: b\r\n Received: c\r\nRe\r\nReceived:"), 1},
        {S("\r\r\nReceived: a"),                                                            0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t step = 1; step <= rows[i].text.len + 1; step++) {
            Hops h = {0};
            for (Slice rest = rows[i].text; rest.len; rest = slice_from(rest, step))
                hops_feed(&h, slice_first(rest, step));
            check_u64(h.received, rows[i].count);
        }
    }
}
