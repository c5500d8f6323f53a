#include "base/test.h"
#include "net/inside.h"

#include <stdlib.h>

static void deflate_all(Deflater *d, Slice octets, DeflateWay way, Buf *out)
{
    while (octets.len > DEFLATE_PIECE) {
        deflater_put(d, slice_first(octets, DEFLATE_PIECE), DEFLATE_MORE, out);
        octets = slice_from(octets, DEFLATE_PIECE);
    }
    deflater_put(d, octets, way, out);
}

/* Inflates all of it, room by room. */
static Err inflate_all(Inflater *i, Slice *in, size_t room, Buf *out)
{
    for (;;) {
        size_t made;
        TRY(inflater_take(i, in, buf_reserve(out, room), room, &made));
        out->len += made;
        if (!made) return OK;
    }
}

static void fill(Buf *out, size_t len, unsigned kind)
{
    uint32_t state = 7;
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i++) {
        state = state * 1664525 + 1013904223;
        unsigned char c = (unsigned char)(state >> 24);
        buf_char(out, kind == 0   ? 'a'
                      : kind == 1 ? "the quick brown fox"[i % 19]
                      : kind == 2 ? base64[c % 64]
                                  : (char)c);
    }
}

TEST(what_is_deflated_inflates)
{
    Deflater *d scoped(deflater) = deflater_new();
    Inflater *i scoped(inflater) = inflater_new();
    for (unsigned turn = 0; turn < 60; turn++) {
        Buf text buf_scoped = {0}, packed buf_scoped = {0}, back buf_scoped = {0};
        fill(&text, 1 + turn * 977 % 70000, turn % 4);
        deflate_all(d, buf_slice(&text), DEFLATE_FLUSH, &packed);
        check(!deflater_holds(d));
        Slice in = buf_slice(&packed);
        check_ok(inflate_all(i, &in, 1 + turn * 331 % 5000, &back));
        check(slice_eq(buf_slice(&back), buf_slice(&text)));
        check(in.len == 0);
        if (turn % 3 == 1) deflater_rest(d);
        if (turn % 5 == 1) inflater_rest(i);
    }
}

TEST(rest_keeps_what_the_other_end_refers_to)
{
    Deflater *d scoped(deflater) = deflater_new();
    Inflater *i scoped(inflater) = inflater_new();
    size_t first = 0;
    for (unsigned turn = 0; turn < 5; turn++) {
        Buf packed buf_scoped = {0}, back buf_scoped = {0};
        Slice text =
            S("a1 UID FETCH 1:* (FLAGS UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (FROM TO)])\r\n");
        deflater_put(d, text, DEFLATE_FLUSH, &packed);
        Slice in = buf_slice(&packed);
        check_ok(inflate_all(i, &in, 100, &back));
        check(slice_eq(buf_slice(&back), text));
        inflater_rest(i);
        check(inflater_kept(i) < 2048);
        if (!turn)
            first = packed.len;
        else
            check(packed.len < first / 2); /* it did refer to what came before */
    }
}

TEST(plain_octets_behind_a_flush_stay)
{
    Deflater *d scoped(deflater) = deflater_new();
    Inflater *i scoped(inflater) = inflater_new();
    for (unsigned turn = 0; turn < 64; turn++) { /* a block ends at any bit of an octet */
        Buf packed buf_scoped = {0}, text buf_scoped = {0};
        buf_printf(&text, "a%u UNAUTHENTICATE%.*s\r\n", turn * turn, (int)turn,
                   "zzzzzzzzyyyyyyyyxxxxxxxxwwwwwwwwvvvvvvvvuuuuuuuuttttttttssssssss");
        deflater_put(d, buf_slice(&text), turn % 2 ? DEFLATE_FLUSH : DEFLATE_END, &packed);
        buf_add(&packed, S("b LOGIN u p\r\n"));
        Slice in = buf_slice(&packed);
        char out[200];
        size_t made;
        check_ok(inflater_take(i, &in, out, sizeof out, &made));
        check(slice_eq(slice(out, made), buf_slice(&text)));
        check(slice_eq(in, S("b LOGIN u p\r\n")));
    }
}

TEST(a_bomb_stops)
{
    Deflater *d scoped(deflater) = deflater_new();
    Inflater *i scoped(inflater) = inflater_new();
    Buf zeros buf_scoped = {0}, packed buf_scoped = {0};
    fill(&zeros, DEFLATE_PIECE, 0);
    for (int n = 0; n < 200; n++)
        deflater_put(d, buf_slice(&zeros), DEFLATE_MORE, &packed);
    deflater_put(d, buf_slice(&zeros), DEFLATE_FLUSH, &packed);
    static char out[65536];
    uint64_t total = 0;
    Err err = OK;
    while (!err && total < (uint64_t)4 << 30) {
        Slice in = buf_slice(&packed);
        size_t made = 1;
        while (!err && made) {
            err = inflater_take(i, &in, out, sizeof out, &made);
            total += made;
        }
    }
    check(err == ERR_LIMIT);
    check(total < (uint64_t)400 << 20);
}

TEST(nothing_for_ever_stops)
{
    Inflater *i scoped(inflater) = inflater_new();
    Err err = OK;
    size_t in_all = 0;
    while (!err && in_all < 10 << 20) {
        Slice in = S("\0\0\0\xff\xff");
        char out[10];
        size_t made;
        err = inflater_take(i, &in, out, sizeof out, &made);
        in_all += 5;
    }
    check(err == ERR_LIMIT && in_all < 1 << 20);
    Slice noise = S("\xff\xff\xff\xff");
    char out[10];
    size_t made;
    Inflater *other scoped(inflater) = inflater_new();
    check(inflater_take(other, &noise, out, sizeof out, &made) == ERR_SYNTAX);
}

TEST(the_end_of_deflate_is_a_boundary)
{
    Deflater *d scoped(deflater) = deflater_new();
    Inflater *i scoped(inflater) = inflater_new();
    Buf packed buf_scoped = {0};
    char out[100];
    size_t made;
    deflater_free(NULL);
    inflater_free(NULL);
    deflater_put(d, S("text"), DEFLATE_MORE, &packed);
    deflater_put(d, (Slice){0}, DEFLATE_MORE, &packed);
    check(deflater_holds(d));
    deflater_put(d, S(" and end"), DEFLATE_END, &packed);
    buf_add(&packed, S("plain"));
    Slice in = buf_slice(&packed);
    check_ok(inflater_take(i, &in, out, 3, &made)); /* no room for all of it */
    check_slice(slice(out, made), S("tex"));
    check(!inflater_at_boundary(i) && inflater_kept(i) > 2048);
    inflater_rest(i); /* there is more to come: not now */
    check_ok(inflater_take(i, &in, out, sizeof out, &made));
    check_slice(slice(out, made), S("t and end"));
    check(inflater_at_boundary(i));
    check_slice(in, S("plain"));
}
