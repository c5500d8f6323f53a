#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

void buf_done(Buf *b)
{
    if (!b) return;
    free(b->at);
    *b = (Buf){0};
}

void buf_free_scope(Buf *b)
{
    buf_done(b);
}

char *buf_grow(Buf *b, size_t more)
{
    size_t need;
    if (__builtin_add_overflow(b->len, more, &need)) out_of_memory(more);
    if (need > b->room || !b->at) {
        size_t doubled = b->room > SIZE_MAX / 2 ? need : b->room * 2;
        size_t room = MAX(MAX(need, doubled), (size_t)64);
        b->at = mem_grow(b->at, room);
        b->room = room;
    }
    return b->at + b->len;
}

void buf_vprintf(Buf *b, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    char *to = buf_reserve(b, 64);
    size_t room = b->room - b->len;
    int len = vsnprintf(to, room, fmt, args);
    must(len >= 0);
    if ((size_t)len >= room)
        vsnprintf(buf_reserve(b, (size_t)len + 1), (size_t)len + 1, fmt, again);
    va_end(again);
    b->len += (size_t)len;
}

void buf_printf(Buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    buf_vprintf(b, fmt, args);
    va_end(args);
}

/* Two digits at a time: FETCH and UIDL write little else. */
void buf_number(Buf *b, uint64_t n)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    char digits[40] = {0}; /* the number ends in the middle, so that 20 octets can be copied */
    size_t at = 20;
    for (; n >= 100; n /= 100)
        memcpy(digits + (at -= 2), pairs + 2 * (n % 100), 2);
    if (n >= 10)
        memcpy(digits + (at -= 2), pairs + 2 * n, 2);
    else
        digits[--at] = (char)('0' + n);
    memcpy(buf_reserve(b, 20), digits + at, 20);
    b->len += 20 - at;
}

void buf_drop_front(Buf *b, size_t n)
{
    must(n <= b->len);
    if (n && n < b->len) memmove(b->at, b->at + n, b->len - n);
    b->len -= n;
}

const char *buf_cstr(Buf *b)
{
    *buf_reserve(b, 1) = '\0';
    return b->at;
}

static void add_little_endian(Buf *b, uint64_t v, size_t bytes)
{
    char *to = buf_reserve(b, bytes);
    for (size_t i = 0; i < bytes; i++)
        to[i] = (char)(v >> (8 * i));
    b->len += bytes;
}

void buf_u8(Buf *b, uint8_t v)
{
    add_little_endian(b, v, 1);
}

void buf_u16(Buf *b, uint16_t v)
{
    add_little_endian(b, v, 2);
}

void buf_u32(Buf *b, uint32_t v)
{
    add_little_endian(b, v, 4);
}

void buf_u64(Buf *b, uint64_t v)
{
    add_little_endian(b, v, 8);
}

/* LEB128: seven bits an octet, the lowest first, the top bit says that more follow. */
void buf_varint(Buf *b, uint64_t v)
{
    char *to = buf_reserve(b, 10);
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        to[n++] = (char)(v | 0x80);
    to[n++] = (char)v;
    b->len += n;
}

void buf_bytes(Buf *b, Slice s)
{
    buf_varint(b, s.len);
    buf_add(b, s);
}

Slice read_raw(Reader *r, size_t len)
{
    if (r->bad || len > r->rest.len) {
        r->bad = true;
        return (Slice){0};
    }
    Slice taken = slice(r->rest.at, len);
    if (len) r->rest = slice(r->rest.at + len, r->rest.len - len);
    return taken;
}

static uint64_t read_little_endian(Reader *r, size_t bytes)
{
    Slice raw = read_raw(r, bytes);
    uint64_t v = 0;
    for (size_t i = raw.len; i > 0; i--)
        v = v << 8 | (unsigned char)raw.at[i - 1];
    return v;
}

uint8_t read_u8(Reader *r)
{
    Slice raw = read_raw(r, 1);
    return raw.len ? (uint8_t)*raw.at : 0;
}

uint16_t read_u16(Reader *r)
{
    return (uint16_t)read_little_endian(r, 2);
}

uint32_t read_u32(Reader *r)
{
    return (uint32_t)read_little_endian(r, 4);
}

uint64_t read_u64(Reader *r)
{
    return read_little_endian(r, 8);
}

/* One number has one spelling: a last octet of zero (0x80 0x00) and bits beyond the 64th are
 * mistakes, so that equal records are equal bytes. */
uint64_t read_varint(Reader *r)
{
    uint64_t v = 0;
    if (!r->bad && r->rest.len && !(*r->rest.at & 0x80)) { /* most have one octet */
        v = (uint64_t)*r->rest.at;
        r->rest = slice(r->rest.at + 1, r->rest.len - 1);
        return v;
    }
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t octet = read_u8(r);
        if (r->bad) return 0;
        bool too_much = shift == 63 && octet > 1;
        bool too_long = shift && !octet;
        if (too_much || too_long) break;
        v |= (uint64_t)(octet & 0x7f) << shift;
        if (octet < 0x80) return v;
    }
    r->bad = true;
    return 0;
}

Slice read_bytes(Reader *r)
{
    uint64_t len = read_varint(r);
    if (len > r->rest.len) r->bad = true;
    return read_raw(r, (size_t)len);
}
