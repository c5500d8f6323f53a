#include "base/fuzz.h"
#include "store/page.h"

#include <stdlib.h>

/* First octet: which page; the rest its payload. What is accepted, written again and read again is
 * the same. */

static void fuzz_head(Reader in)
{
    Buf once buf_scoped = {0};
    Head h;
    if (head_decode(&in, &h)) return;
    head_encode(&once, &h);
    in = reader(buf_slice(&once));
    must(!head_decode(&in, &h));
}

/* A page of an earlier version lacks the last fields: it is the same only from the second time on.
 */
static void fuzz_box(Reader in)
{
    Buf once buf_scoped = {0}, twice buf_scoped = {0};
    BoxState b;
    Slice identifier;
    uint32_t rights;
    if (box_decode(&in, &b)) return;
    Reader acl = reader(b.acl);
    while (acl_next(&acl, &identifier, &rights))
        ;
    must(!acl.bad && !acl.rest.len);
    box_encode(&once, &b);
    in = reader(buf_slice(&once));
    must(!box_decode(&in, &b));
    box_encode(&twice, &b);
    must(slice_eq(buf_slice(&once), buf_slice(&twice)));
}

static void fuzz_slots(Reader in)
{
    Buf once buf_scoped = {0};
    Message *m = mem_zero(SLOTS * sizeof *m);
    Slice whole = in.rest;
    uint32_t page = read_u8(&in);
    size_t count;
    if (!slots_decode(&in, page, m, &count)) {
        slots_encode(&once, m, count);
        must(slice_eq(buf_slice(&once), slice_from(whole, 1)));
    }
    free(m);
}

static void fuzz_emails(Reader in)
{
    Buf once buf_scoped = {0};
    Email *e = mem_zero(EMAILS * sizeof *e);
    Slice whole = in.rest;
    if (!emails_decode(&in, e)) {
        for (int i = 0; i < EMAILS; i++)
            must(!e[i].thread || e[i].header_len <= (uint64_t)e[i].ref.len + e[i].prefix_len);
        emails_encode(&once, e);
        must(slice_eq(buf_slice(&once), whole));
        emails_done(e);
    }
    free(e);
}

static void fuzz_vanished(Reader in)
{
    Buf once buf_scoped = {0};
    Vanished *v = mem_zero(VANISHED_MOST * sizeof *v);
    Slice whole = in.rest;
    size_t count;
    if (!vanished_decode(&in, v, &count)) {
        for (size_t i = 1; i < count; i++)
            must(v[i].seq >= v[i - 1].seq);
        vanished_encode(&once, v, count);
        must(slice_eq(buf_slice(&once), whole));
    }
    free(v);
}

static void fuzz_threads(Reader in)
{
    Buf once buf_scoped = {0};
    Slice whole = in.rest;
    ThreadHash *t = NULL;
    size_t count;
    if (threads_decode(&in, &t, &count)) return;
    threads_encode(&once, t, count);
    must(slice_eq(buf_slice(&once), whole));
    free(t);
}

static void fuzz_dead(Reader in)
{
    Buf once buf_scoped = {0};
    Slice whole = in.rest;
    Dead d;
    if (dead_decode(&in, &d)) return;
    dead_encode(&once, &d);
    must(slice_eq(buf_slice(&once), whole));
}

static void fuzz_ranges(Reader in)
{
    Arena a arena_scoped = {0};
    Buf once buf_scoped = {0};
    UidSet s = {0}, again = {0};
    if (ranges_decode(&in, &a, &s)) return;
    ranges_encode(&once, &s);
    in = reader(buf_slice(&once));
    must(!ranges_decode(&in, &a, &again) && again.count == s.count);
}

static void fuzz_texts(Reader in)
{
    Slice text, whole = in.rest;
    size_t octets = 0;
    for (bool more = true; more;) {
        if (texts_next(&in, &text, &more)) return;
        if (more) octets += text.len;
    }
    must(octets <= whole.len);
}

static void fuzz_summaries(Reader in)
{
    static SummaryCodec *codec;
    if (!codec) codec = summary_codec_new();
    Buf text buf_scoped = {0}, once buf_scoped = {0}, again buf_scoped = {0};
    Summaries s = {0}, t = {0};
    if (summaries_decode(codec, &in, &text, &s)) return;
    summaries_encode(codec, &once, &s, true);
    in = reader(buf_slice(&once));
    must(!summaries_decode(codec, &in, &again, &t));
    for (int i = 0; i < SUMMARIES; i++)
        must(slice_eq(s.stored[i], t.stored[i]));
}

static void fuzz_envelope(Reader in)
{
    Reader payload;
    if (page_open(in.rest, &payload)) return;
    must(payload.rest.len == in.rest.len - 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const fuzz[])(Reader) = {
        fuzz_head, fuzz_box,    fuzz_slots, fuzz_emails,    fuzz_vanished, fuzz_threads,
        fuzz_dead, fuzz_ranges, fuzz_texts, fuzz_summaries, fuzz_envelope,
    };
    if (!size) return 0;
    fuzz[data[0] % COUNT(fuzz)](reader(slice(data + 1, size - 1)));
    return 0;
}
