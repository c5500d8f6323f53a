#include "base/text.h"

bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

bool is_alpha(unsigned char c)
{
    unsigned char lower = c | 0x20;
    return lower >= 'a' && lower <= 'z';
}

bool is_alnum(unsigned char c)
{
    return is_digit(c) || is_alpha(c);
}

char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

char ascii_upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}

/* How many octets at the front are ASCII; many at a time, as most mail is nothing else. */
static size_t ascii_run(Slice s)
{
    const uint64_t high = 0x8080808080808080;
    size_t n = 0;
    for (uint64_t words[4]; s.len - n >= sizeof words; n += sizeof words) {
        memcpy(words, s.at + n, sizeof words);
        if ((words[0] | words[1] | words[2] | words[3]) & high) break;
    }
    for (uint64_t word; s.len - n >= sizeof word; n += sizeof word) {
        memcpy(&word, s.at + n, sizeof word);
        if (word & high) break;
    }
    while (n < s.len && (unsigned char)s.at[n] < 0x80)
        n++;
    return n;
}

bool text_is_ascii(Slice s)
{
    return ascii_run(s) == s.len;
}

bool text_has_ctl(Slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] < ' ' || s.at[i] == 0x7f) return true;
    return false;
}

/* RFC 3629 4: the first octet says how many follow, and the second is narrowed after E0
 * (over-long), ED (surrogates), F0 (over-long) and F4 (above U+10FFFF). */
size_t utf8_decode_any(Slice s, uint32_t *codepoint)
{
    if (!s.len) return 0;
    const unsigned char *at = (const unsigned char *)s.at;
    unsigned char first = at[0];
    if (first < 0x80) {
        *codepoint = first;
        return 1;
    }
    if (first < 0xc2 || first > 0xf4) return 0;
    size_t len = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (s.len < len) return 0;
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high) return 0;
    uint32_t c = first & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (at[i] & 0x3f);
    }
    *codepoint = c;
    return len;
}

/* Words of an alphabet whose letters are two octets each; the octets taken. */
static size_t two_octet_run(Slice s)
{
    const unsigned char *at = (const unsigned char *)s.at;
    size_t n = 0;
    while (n + 2 <= s.len) {
        if (at[n] >= 0xc2 && at[n] <= 0xdf && (at[n + 1] & 0xc0) == 0x80)
            n += 2;
        else if (at[n] < 0x80 && at[n + 1] >= 0xc2) /* a blank */
            n++;
        else
            break;
    }
    return n;
}

bool utf8_is_valid(Slice s)
{
    while (s.len) {
        s = slice_from(s, ascii_run(s));
        s = slice_from(s, two_octet_run(s));
        if (!s.len) break;
        uint32_t ignored;
        size_t len = utf8_decode(s, &ignored);
        if (!len) return false;
        s = slice_from(s, len);
    }
    return true;
}

void utf8_encode(Buf *out, uint32_t c)
{
    must(c <= 0x10ffff && (c < 0xd800 || c > 0xdfff));
    if (c < 0x80) {
        buf_char(out, (char)c);
        return;
    }
    unsigned tail = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3; /* octets behind the first */
    unsigned mark = 0xf0u << (3 - tail) & 0xff;
    buf_char(out, (char)(mark | c >> (6 * tail)));
    while (tail--)
        buf_char(out, (char)(0x80 | (c >> (6 * tail) & 0x3f)));
}

/* Steps back over octets 10xxxxxx, at most three: in text that is not UTF-8 there may be many. */
size_t utf8_cut(Slice s, size_t most)
{
    if (s.len <= most) return s.len;
    size_t at = most;
    while (at > 0 && most - at < 4 && ((unsigned char)s.at[at] & 0xc0) == 0x80)
        at--;
    return ((unsigned char)s.at[at] & 0xc0) == 0x80 ? most : at;
}

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(Buf *out, Slice bytes)
{
    const unsigned char *in = (const unsigned char *)bytes.at;
    char *to = buf_reserve(out, array_bytes(bytes.len / 3 + 1, 4));
    size_t i = 0;
    for (; bytes.len - i >= 3; i += 3) {
        uint32_t group = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *to++ = base64_alphabet[group >> shift & 63];
    }
    if (i < bytes.len) {
        bool two = bytes.len - i == 2;
        uint32_t group = (uint32_t)in[i] << 16 | (two ? (uint32_t)in[i + 1] << 8 : 0);
        *to++ = base64_alphabet[group >> 18];
        *to++ = base64_alphabet[group >> 12 & 63];
        *to++ = two ? base64_alphabet[group >> 6 & 63] : '=';
        *to++ = '=';
    }
    out->len = (size_t)(to - out->at);
}

/* The value of a base64 digit; 64: it is none. */
static uint32_t base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z') return (uint32_t)(c - 'a' + 26);
    if (c >= '0' && c <= '9') return (uint32_t)(c - '0' + 52);
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* Four digits make three octets. RFC 4648 3.5: the bits that padding leaves over have to be zero,
 * so that every text of octets has one spelling. */
static bool base64_group(Buf *out, const char *digits, size_t count)
{
    uint32_t group = 0;
    for (size_t i = 0; i < 4; i++) {
        uint32_t value = i < count ? base64_value(digits[i]) : 0;
        if (value > 63) return false;
        group = group << 6 | value;
    }
    if (count < 4 && group & (count == 3 ? 0xff : 0xffff)) return false;
    char octets[3] = {(char)(group >> 16), (char)(group >> 8), (char)group};
    buf_add(out, slice(octets, count - 1));
    return true;
}

/* What a failed decoding leaves behind is nothing. */
bool base64_decode(Buf *out, Slice text)
{
    size_t before = out->len;
    bool good = text.len % 4 == 0;
    for (size_t i = 0; good && i < text.len; i += 4) {
        bool last = i + 4 == text.len;
        size_t digits = !last || text.at[i + 3] != '=' ? 4 : text.at[i + 2] != '=' ? 3 : 2;
        good = base64_group(out, text.at + i, digits);
    }
    if (!good) out->len = before;
    return good;
}

void hex_encode(Buf *out, Slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.at[i];
        buf_char(out, "0123456789abcdef"[c >> 4]);
        buf_char(out, "0123456789abcdef"[c & 15]);
    }
}

/* 16: it is none. */
static unsigned hex_value(char c)
{
    if (is_digit((unsigned char)c)) return (unsigned)(c - '0');
    char lower = ascii_lower(c);
    return lower >= 'a' && lower <= 'f' ? (unsigned)(lower - 'a' + 10) : 16;
}

bool hex_decode(Buf *out, Slice text)
{
    size_t before = out->len;
    bool good = text.len % 2 == 0;
    for (size_t i = 0; good && i < text.len; i += 2) {
        unsigned high = hex_value(text.at[i]), low = hex_value(text.at[i + 1]);
        good = high < 16 && low < 16;
        if (good) buf_char(out, (char)(high << 4 | low));
    }
    if (!good) out->len = before;
    return good;
}

bool bytes_equal_in_constant_time(Slice a, Slice b)
{
    if (a.len != b.len) return false;
    unsigned char differs = 0;
    for (size_t i = 0; i < a.len; i++) {
        differs |= (unsigned char)(a.at[i] ^ b.at[i]);
        __asm__("" : "+r"(differs)); /* the compiler must not leave the loop early */
    }
    return !differs;
}

void wipe(void *secret, size_t len)
{
    if (!len) return;
    memset(secret, 0, len);
    __asm__ volatile("" : : "r"(secret) : "memory");
}

void buf_wipe(Buf *b)
{
    if (b->at) wipe(b->at, b->room);
    buf_done(b);
}

const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
const char weekday_names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* A year that begins in March ends with February, so the leap day is its last day and the months
 * before it have lengths in a pattern of 153 days for five. */
int64_t days_from_civil(int year, unsigned month, unsigned day)
{
    int64_t y = (int64_t)year - (month <= 2);
    int64_t month_from_march = month > 2 ? month - 3 : month + 9;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    int64_t leap_days = floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400);
    return y * 365 + leap_days + day_of_year - 719468; /* 0000-03-01 to 1970-01-01 */
}

void civil_from_days(int64_t days, int *year, unsigned *month, unsigned *day)
{
    int64_t since = days + 719468;
    int64_t era = floor_div(since, 146097); /* days in 400 years */
    int64_t in_era = since - era * 146097;
    int64_t y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t day_of_year = in_era - (365 * y + y / 4 - y / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    *day = (unsigned)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *month = (unsigned)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    *year = (int)(y + era * 400 + (*month <= 2));
}

int weekday_from_days(int64_t days)
{
    int64_t since_sunday = days + 4; /* 1970-01-01 was a Thursday */
    return (int)(since_sunday - floor_div(since_sunday, 7) * 7);
}

void date_rfc5322(Buf *out, int64_t unix_seconds)
{
    int64_t days = floor_div(unix_seconds, 86400);
    int second = (int)(unix_seconds - days * 86400);
    int year;
    unsigned month, day;
    civil_from_days(days, &year, &month, &day);
    buf_printf(out, "%s, %02u %s %04d %02d:%02d:%02d +0000", weekday_names[weekday_from_days(days)],
               day, month_names[month - 1], year, second / 3600, second / 60 % 60, second % 60);
}
