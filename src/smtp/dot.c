#include "smtp/dot.h"

/* The state behind octets that end a run of text. */
static DotState state_behind(Slice run, DotState before)
{
    char last = run.at[run.len - 1];
    bool after_cr = run.len > 1 ? run.at[run.len - 2] == '\r' : before == DOT_CR;
    if (last == '\n') return after_cr ? DOT_LINE_START : DOT_LF;
    return last == '\r' ? DOT_CR : DOT_TEXT;
}

/* How many octets can be given away as they are: up to the first dot behind an LF. `in` itself does
 * not begin with such a dot. */
static size_t run_length(Slice in)
{
    const char *end = in.at + in.len, *at = in.at;
    while ((at = memchr(at, '\n', (size_t)(end - at)))) {
        if (++at == end) break;
        if (*at == '.') return (size_t)(at - in.at);
    }
    return in.len;
}

static void step(Slice *in, DotDecoder *d, DotState state)
{
    *in = slice_from(*in, 1);
    d->state = state;
}

Slice dot_decode(DotDecoder *d, Slice *in)
{
    while (in->len && d->state != DOT_ENDED) {
        char c = *in->at;
        if (d->state == DOT_LINE_START && c == '.') {
            step(in, d, DOT_DOT); /* deleted, whatever follows it on the line */
        } else if (d->state == DOT_DOT && c == '\r') {
            step(in, d, DOT_DOT_CR);
        } else if (d->state == DOT_DOT_CR && c == '\n') {
            step(in, d, DOT_ENDED);
        } else if (d->state == DOT_DOT_CR) {
            d->state = DOT_CR; /* the CR that was held back is text after all */
            return S("\r");
        } else if (d->state == DOT_LF && c == '.') {
            step(in, d, DOT_LF_DOT);
        } else if (d->state == DOT_LF_DOT) {
            *in = slice_from(*in, c == '.');
            d->state = DOT_TEXT;
            return S(".");
        } else {
            size_t len = run_length(*in);
            Slice run = slice_first(*in, len);
            d->state = state_behind(run, d->state);
            *in = slice_from(*in, len);
            return run;
        }
    }
    return (Slice){0};
}
