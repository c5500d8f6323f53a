/* The pure pieces of POP3: what comes out is the same however the input is cut, and keeps the rules
 * of RFC 1939 3 and RFC 6856 2.1. The first octet says how the input is cut. */
#include "base/fuzz.h"
#include "base/text.h"
#include "mail/header.h"
#include "mail/surrogate.h"
#include "pop3/pref.h"
#include "pop3/stuff.h"

/* Taking the dots off again gives what went in. */
static void check_stuffing(Slice in, size_t step)
{
    Buf out buf_scoped = {0}, back buf_scoped = {0};
    Stuffer st = {0};
    for (Slice rest = in; rest.len; rest = slice_from(rest, step))
        stuff(&st, &out, slice_first(rest, step));
    stuff_end(&st, &out);
    Slice rest = buf_slice(&out), line = {0};
    must(slice_ends(rest, S(".\r\n")));
    while (slice_cut(&rest, '\n', &line) && rest.len) {
        must(!slice_eq(line, S(".\r")) && !slice_eq(line, S(".")));
        buf_add(&back, slice_from(line, line.len && line.at[0] == '.'));
        buf_char(&back, '\n');
    }
    must(slice_eq(slice_first(buf_slice(&back), in.len), in));
    must(back.len == in.len || back.len == in.len + 2);
}

static void check_top(Slice in, size_t step, uint64_t lines)
{
    TopCut whole = {.lines = lines}, cut = whole;
    size_t used = top_cut(&whole, in), sum = 0;
    for (Slice rest = in; rest.len && !cut.done; rest = slice_from(rest, step))
        sum += top_cut(&cut, slice_first(rest, step));
    must(sum == used && cut.done == whole.done && used <= in.len);
    must(!whole.done || in.at[used - 1] == '\n');
}

static void check_surrogate(Slice in)
{
    Buf out buf_scoped = {0};
    HeaderField f = {0};
    while (header_next(in, &f))
        ;
    Slice header = slice_first(in, f.next);
    if (!utf8_is_valid(header)) return;
    mail_surrogate_header(&out, header);
    must(text_is_ascii(buf_slice(&out)));
    if (text_is_ascii(header)) must(slice_eq(buf_slice(&out), header));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    Slice in = slice(data + 1, size - 1);
    size_t step = 1 + data[0] % 16;
    check_stuffing(in, step);
    check_top(in, step, data[0] / 16);
    check_surrogate(in);
    Pop3Pref p = pop3_pref_default();
    pop3_pref_parse(in, &p);
    must(p.expire_days == POP3_NEVER || p.expire_days > 0);
    return 0;
}
