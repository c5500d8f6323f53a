/* What is looked at part by part is what a scan of the whole message makes, whatever the message
 * is. */
#include "base/test.h"
#include "base/text.h"
#include "mail/casemap.h"
#include "mail/look.h"

static uint32_t seed;

static uint32_t any(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static const char *const words[] = {
    "the",
    "Quick",
    "BROWN",
    "caf\xc3\xa9",
    "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82",
    "\xd1\x8d\xd1\x82\xd0\xbe",
    "stra\303\237e",
    "\xef\xac\x81sh",
    "\xe4\xb8\xad\xe6\x96\x87",
    "\xf0\x9f\x98\x80",
    "\xc4\xb0stanbul",
    "\xe2\x84\xab",
    "\xff\xfe",
    "caf\xe9",
    "=",
    "=3D=C3=A9",
    "=\r\n",
    "zanzi<b>bar</b>quux",
    "&eacute;&#65;&nbsp;x",
    "<br>",
    "<style>hidden</style>",
    "a  b \t c ",
    "<!-- no -->",
    "&amp",
    "--",
    "\x01",
    "\r\n",
    "\r\n\r\n",
    "\xc3",
    "0123456789012345678901234567890123456789",
    "\xa4\xa4\xa5\xe5",
    "+AOk-",
    "\x1b$B$\"\x1b(B",
};
static const char *const charsets[] = {
    "",       "us-ascii",  "utf-8",       "UTF-8",  "iso-8859-1", "windows-1251", "koi8-r",
    "gb2312", "shift_jis", "iso-2022-jp", "utf-7",  "utf-16",     "hz-gb-2312",   "x-unknown",
    "big5",   "euc-kr",    "iso-8859-15", "cp1252", "utf-16le",   "iso-2022-kr",  "gb18030",
};
static const char *const encodings[] = {"7bit",   "8bit", "binary", "quoted-printable",
                                        "base64", "x-odd"};
static const char *const types[] = {
    "text/plain",    "text/html",       "text/plain", "TEXT/Html",
    "text/enriched", "application/pdf", "text",
};

static void some_words(Buf *out, uint32_t most)
{
    for (uint32_t n = any(most); n; n--)
        buf_printf(out, "%s%s", words[any(COUNT(words))], any(9) ? " " : "\r\n");
}

/* Sometimes what it says it is, sometimes not. */
static void body(Buf *out, const char *encoding)
{
    Buf text buf_scoped = {0};
    some_words(&text, any(8) ? 60 : 3000);
    if (slice_eq(slice_of(encoding), S("base64")) && any(5))
        base64_encode(out, buf_slice(&text));
    else
        buf_add(out, buf_slice(&text));
}

static void leaf(Buf *out)
{
    const char *encoding = encodings[any(COUNT(encodings))];
    if (any(5)) {
        buf_printf(out, "Content-Type: %s", types[any(COUNT(types))]);
        const char *charset = charsets[any(COUNT(charsets))];
        if (*charset) buf_printf(out, ";\r\n charset=%s", charset);
        if (!any(4)) buf_add(out, S("; name*=utf-8''caf%C3%A9.txt"));
        buf_add(out, S("\r\n"));
    }
    if (any(5)) buf_printf(out, "Content-Transfer-Encoding: %s\r\n", encoding);
    if (!any(4)) buf_add(out, S("Content-Disposition: attachment; filename=\"A b.html\"\r\n"));
    if (!any(4)) buf_add(out, S("Content-Description: =?utf-8?q?Gr=C3=BC=C3=9Fe?= to you\r\n"));
    if (any(12)) buf_add(out, S("\r\n"));
    body(out, encoding);
}

/* Recursion ends with depth. */
static void entity(Buf *out, unsigned depth)
{
    uint32_t kind = depth < 4 ? any(4) : 3;
    if (kind == 0 && depth) {
        buf_add(out, S("Content-Type: message/rfc822\r\n\r\nSubject: inside\r\n"));
        entity(out, depth + 1);
    } else if (kind == 1) {
        uint32_t mark = any(1000);
        buf_printf(out, "Content-Type: multipart/%s; boundary=\"b%u\"\r\n\r\npreamble\r\n",
                   any(3) ? "mixed" : "digest", mark);
        for (uint32_t n = any(4); n; n--) {
            buf_printf(out, "%s--b%u\r\n", any(6) ? "\r\n" : "", mark);
            entity(out, depth + 1);
        }
        if (any(5)) buf_printf(out, "\r\n--b%u--\r\nepilogue\r\n", mark);
    } else {
        leaf(out);
    }
}

/* ---- both ways ---- */

static void by_scan(Slice message, MailTextOf what, Arena *a, Buf *text, MailSummary *m)
{
    MailScan *s scoped(mail_scan) = mail_scan_new(text);
    mail_scan_text_of(s, what);
    mail_scan_feed(s, message);
    mail_scan_end(s, a, m);
}

static void join(Buf *all, const MailLook *l)
{
    if (all->len && l->folded.len) buf_char(all, '\n');
    buf_add(all, buf_slice(&l->folded));
}

static void by_parts(Slice message, MailTextOf what, const MailSummary *m, Buf *text)
{
    MailLook l = {.needle = S("nowhere \xff")};
    for (uint16_t i = 0; i < m->part_count; i++) {
        const MailPart *p = &m->parts[i];
        Slice header = slice(message.at + p->header_at, p->header_len);
        if (i && what == MAIL_TEXT_ALL) {
            mail_look_at_header(&l, header);
            join(text, &l);
        }
        if (p->kind != PART_TEXT) continue;
        mail_look_at_body(&l, p, header, slice(message.at + p->body_at, p->body_len));
        join(text, &l);
    }
    mail_look_done(&l);
}

static bool found_by_parts(Slice message, const MailSummary *m, Slice needle)
{
    MailLook l = {.needle = needle};
    bool found = false;
    for (uint16_t i = 0; i < m->part_count && !found; i++) {
        const MailPart *p = &m->parts[i];
        if (p->kind != PART_TEXT) continue;
        found = mail_look_at_body(&l, p, slice(message.at + p->header_at, p->header_len),
                                  slice(message.at + p->body_at, p->body_len));
    }
    mail_look_done(&l);
    return found;
}

static void compare(uint32_t with, Slice message, MailTextOf what)
{
    Arena a arena_scoped = {0};
    Buf whole buf_scoped = {0}, parts buf_scoped = {0};
    MailSummary m;
    by_scan(message, what, &a, &whole, &m);
    by_parts(message, what, &m, &parts);
    if (!slice_eq(buf_slice(&whole), buf_slice(&parts)))
        test_failed(__FILE__, __LINE__, "seed %u, text of %d: %zu and %zu octets", with, (int)what,
                    whole.len, parts.len);
}

/* Any piece of it is found, and what is not there is not. */
static void compare_needles(uint32_t with, Slice message)
{
    Arena a arena_scoped = {0};
    Buf whole buf_scoped = {0};
    MailSummary m;
    by_scan(message, MAIL_TEXT_BODIES, &a, &whole, &m);
    for (unsigned i = 0; i < 20; i++) {
        Buf needle buf_scoped = {0};
        if (i % 2 && whole.len) {
            size_t at = any((uint32_t)whole.len);
            buf_add(&needle, slice_first(slice_from(buf_slice(&whole), at), 1 + any(20)));
        } else {
            casemap(&needle, slice_of(words[any(COUNT(words))]));
        }
        if (slice_find(buf_slice(&needle), '\n') < needle.len) continue;
        bool wanted = whole.len && memmem(whole.at, whole.len, needle.at, needle.len);
        if (found_by_parts(message, &m, buf_slice(&needle)) != wanted)
            test_failed(__FILE__, __LINE__, "seed %u: \"%.*s\" is %sthere", with,
                        SP(buf_slice(&needle)), wanted ? "" : "not ");
    }
}

TEST(parts_hold_what_the_message_holds)
{
    for (uint32_t i = 0; i < 3000; i++) {
        Buf message buf_scoped = {0};
        seed = i;
        if (any(2)) buf_add(&message, S("Subject: =?utf-8?b?w6k=?= one\r\nFrom: a@b\r\n"));
        entity(&message, 0);
        compare(i, buf_slice(&message), MAIL_TEXT_BODIES);
        compare(i, buf_slice(&message), MAIL_TEXT_ALL);
        compare_needles(i, buf_slice(&message));
    }
}

/* ---- what it is made of ---- */

static void fold_one_by_one(Buf *out, Slice text)
{
    while (text.len) { /* without neighbours */
        uint32_t codepoint;
        size_t n = utf8_decode(text, &codepoint);
        casemap(out, slice_first(text, n ? n : 1));
        text = slice_from(text, n ? n : 1);
    }
}

TEST(casemap_of_a_text_is_that_of_its_letters)
{
    Buf text buf_scoped = {0}, once buf_scoped = {0}, slowly buf_scoped = {0};
    for (uint32_t codepoint = 1; codepoint < 0x3000; codepoint++) {
        if (codepoint >= 0xd800 && codepoint < 0xe000) continue;
        utf8_encode(&text, codepoint);
        if (codepoint % 7 == 0) buf_char(&text, 'x');
        if (codepoint % 11 == 0) buf_char(&text, '\xd0');
    }
    casemap(&once, buf_slice(&text));
    fold_one_by_one(&slowly, buf_slice(&text));
    check_slice(buf_slice(&once), buf_slice(&slowly));
}

TEST(a_slice_holds_what_memmem_finds)
{
    for (uint32_t i = 0; i < 200000; i++) {
        char text[80], what[6];
        seed = i;
        size_t len = any(sizeof text), n = any(sizeof what), letters = 1 + any(3);
        for (size_t k = 0; k < len; k++)
            text[k] = (char)(any(9) ? 'a' + (int)any((uint32_t)letters) : 0xd0);
        for (size_t k = 0; k < n; k++)
            what[k] = (char)(any(9) ? 'a' + (int)any((uint32_t)letters) : 0xd0);
        bool wanted = !n || (len >= n && memmem(text, len, what, n));
        if (slice_holds(slice(text, len), slice(what, n)) != wanted)
            test_failed(__FILE__, __LINE__, "seed %u", i);
    }
}

TEST(much_that_nearly_fits_is_searched_in_time)
{
    Buf text buf_scoped = {0}, what buf_scoped = {0};
    for (unsigned i = 0; i < 1000000; i++)
        buf_char(&text, 'a');
    for (unsigned i = 0; i < 8000; i++)
        buf_char(&what, i == 4000 ? 'b' : 'a');
    check(!slice_holds(buf_slice(&text), buf_slice(&what)));
    text.at[500000] = 'b';
    check(slice_holds(buf_slice(&text), buf_slice(&what)));
}
