#include "auth/prep.h"

#include "auth/auth.h"
#include "base/text.h"

#include <stdlib.h>
#include <utf8proc.h>

/* RFC 3454 B.1: commonly mapped to nothing. */
static bool is_nothing(uint32_t c)
{
    return c == 0xad || c == 0x34f || c == 0x1806 || (c >= 0x180b && c <= 0x180d) ||
           (c >= 0x200b && c <= 0x200d) || c == 0x2060 || (c >= 0xfe00 && c <= 0xfe0f) ||
           c == 0xfeff;
}

/* RFC 3454 C.2.1, C.2.2, C.3 to C.9 (C.1.2 was mapped to SP), and what is not assigned (stored
 * strings, RFC 4013 2.5). U+0340 and U+0341 do not come out of normalisation. */
static bool is_prohibited(uint32_t c)
{
    static const uint8_t categories[] = {
        UTF8PROC_CATEGORY_CC, UTF8PROC_CATEGORY_CF, UTF8PROC_CATEGORY_CN, UTF8PROC_CATEGORY_CO,
        UTF8PROC_CATEGORY_CS, UTF8PROC_CATEGORY_ZL, UTF8PROC_CATEGORY_ZP};
    if (memchr(categories, (int)utf8proc_category((utf8proc_int32_t)c), sizeof categories))
        return true;
    return (c >= 0x2ff0 && c <= 0x2ffb) || (c >= 0xfff9 && c <= 0xfffd);
}

static Err map(Slice given, Buf *out)
{
    buf_reserve(out, given.len); /* a password is not left behind in what was too small */
    while (given.len) {
        uint32_t c;
        size_t used = utf8_decode(given, &c);
        if (!used) return fail(ERR_SYNTAX, "not UTF-8");
        given = slice_from(given, used);
        if (is_nothing(c)) continue;
        bool space = c > 0x7f && utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ZS;
        utf8_encode(out, space ? ' ' : c);
    }
    return OK;
}

/* RFC 3454 6: a string with a character that runs from right to left has to begin and end with one
 * and hold no L. */
static Err check(Slice text)
{
    bool any_r = false, any_l = false, first_r = false, last_r = false;
    for (bool first = true; text.len; first = false) {
        uint32_t c;
        size_t used = utf8_decode(text, &c);
        must(used); /* it has been normalised */
        if (is_prohibited(c)) return fail(ERR_SYNTAX, "prohibited character U+%04X", c);
        utf8proc_bidi_class_t bidi = utf8proc_get_property((utf8proc_int32_t)c)->bidi_class;
        last_r = bidi == UTF8PROC_BIDI_CLASS_R || bidi == UTF8PROC_BIDI_CLASS_AL;
        if (first) first_r = last_r;
        any_r |= last_r;
        any_l |= bidi == UTF8PROC_BIDI_CLASS_L;
        text = slice_from(text, used);
    }
    if (any_r && (any_l || !first_r || !last_r)) return fail(ERR_SYNTAX, "mixed directions");
    return OK;
}

Err saslprep(Slice given, Buf *out)
{
    if (text_is_ascii(given)) {
        if (text_has_ctl(given)) return fail(ERR_SYNTAX, "control character");
        buf_add(out, given);
        return OK;
    }
    Buf mapped buf_scoped = {0};
    TRY(map(given, &mapped));
    utf8proc_uint8_t *normal = NULL;
    utf8proc_ssize_t len =
        utf8proc_map((const utf8proc_uint8_t *)mapped.at, (utf8proc_ssize_t)mapped.len, &normal,
                     UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    if (len < 0) return fail(ERR_SYNTAX, "not UTF-8"); /* what a stranger says ends nobody */
    Err err = check(slice(normal, (size_t)len));
    if (!err) buf_add(out, slice(normal, (size_t)len));
    wipe(normal, (size_t)len);
    wipe(mapped.at, mapped.len);
    free(normal);
    return err;
}

static void add_lower(Slice text, Buf *out)
{
    while (text.len) {
        uint32_t c;
        size_t used = utf8_decode(text, &c);
        must(used); /* it has been prepared */
        utf8_encode(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
        text = slice_from(text, used);
    }
}

/* Logins do not tell upper from lower case: people type "Anna". A letter may compose with what
 * follows only when it is small (U+0130 and an accent), so what was lowered is prepared again. */
Err login_normalise(Slice given, Buf *out)
{
    Buf prepared buf_scoped = {0}, lower buf_scoped = {0}, login buf_scoped = {0};
    TRY(saslprep(given, &prepared));
    add_lower(buf_slice(&prepared), &lower);
    TRY(saslprep(buf_slice(&lower), &login));
    if (!login.len) return fail(ERR_SYNTAX, "an empty login");
    if (login.len > 255) return fail(ERR_LIMIT, "a login of more than 255 octets");
    buf_add(out, buf_slice(&login));
    return OK;
}
