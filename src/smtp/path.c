#include "smtp/path.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <idn2.h>

static bool is_utf8_octet(unsigned char c)
{
    return c >= 0x80;
}

/* RFC 5322 3.2.3, RFC 6531 3.3: atext =/ UTF8-non-ascii. The dots of a Dot-string are taken like
 * any other character: addresses with two in a row exist (docomo.ne.jp) and mean what they say. */
static bool is_dot_string(unsigned char c)
{
    return is_alnum(c) || is_utf8_octet(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~.", c));
}

/* RFC 5321 4.1.2: Let-dig and "-"; "_" because real hosts have it. */
static bool is_domain(unsigned char c)
{
    return is_alnum(c) || is_utf8_octet(c) || c == '-' || c == '_' || c == '.';
}

/* qtextSMTP = %d32-33 / %d35-91 / %d93-126, RFC 6531 3.3: =/ UTF8-non-ascii */
static bool is_qtext(unsigned char c)
{
    return c >= ' ' && c != '"' && c != '\\' && c != 0x7f;
}

/* dcontent = %d33-90 / %d94-126, without what would mean something else in Received:. */
static bool is_dcontent(unsigned char c)
{
    return c > ' ' && c < 0x7f && !strchr("[\\]<>()@,;\"", c);
}

/* esmtp-value = 1*(%d33-60 / %d62-126), RFC 6531 3.3: / UTF8-non-ascii */
static bool is_value(unsigned char c)
{
    return c > ' ' && c != '=' && c != 0x7f;
}

static bool is_keyword(unsigned char c)
{
    return is_alnum(c) || c == '-';
}

static bool is_space(unsigned char c)
{
    return c == ' ';
}

static Slice since(const Scan *s, const char *start)
{
    return slice(start, (size_t)(s->at - start));
}

/* Quoted-string = DQUOTE *(qtextSMTP / "\" %d32-126) DQUOTE */
static void quoted_string(Scan *s)
{
    scan_need(s, '"');
    for (;;) {
        scan_while(s, is_qtext);
        if (!scan_see(s, '\\')) break;
        int c = scan_peek(s);
        if (c < ' ' || c > '~')
            scan_fail(s);
        else
            scan_see(s, (char)c);
    }
    scan_need(s, '"');
}

static Slice local_part(Scan *s)
{
    const char *start = s->at;
    if (scan_peek(s) == '"')
        quoted_string(s);
    else if (!scan_while(s, is_dot_string).len)
        scan_fail(s);
    Slice local = since(s, start);
    if (local.len > SMTP_LOCAL_MOST) scan_fail(s);
    return local;
}

/* RFC 5321 4.1.3: IPv4-address-literal / IPv6-address-literal / General-address-literal */
static bool is_address_literal(Slice content)
{
    char text[INET6_ADDRSTRLEN + 1] = {0};
    uint8_t address[16];
    bool v6 = slice_starts_nocase(content, S("IPv6:"));
    Slice host = slice_from(content, v6 ? 5 : 0);
    if (!v6 && slice_find(content, ':') < content.len) /* Standardized-tag ":" 1*dcontent */
        return slice_find(content, ':') > 0 && content.at[content.len - 1] != ':';
    if (!host.len || host.len >= sizeof text) return false;
    memcpy(text, host.at, host.len);
    return inet_pton(v6 ? AF_INET6 : AF_INET, text, address) == 1;
}

/* sub-domain = Let-dig [Ldh-str] */
static bool is_label(Slice label)
{
    return label.len && label.len <= 63 * 4 && label.at[0] != '-' && label.at[label.len - 1] != '-';
}

static bool is_domain_name(Slice name)
{
    if (!name.len || name.len > SMTP_DOMAIN_MOST || name.at[name.len - 1] == '.') return false;
    for (Slice label; slice_cut(&name, '.', &label);)
        if (!is_label(label)) return false;
    return true;
}

static Slice domain(Scan *s)
{
    const char *start = s->at;
    if (!scan_see(s, '[')) {
        Slice name = scan_while(s, is_domain);
        if (scan_is_ok(s) && !is_domain_name(name)) scan_fail(s);
        return name;
    }
    Slice content = scan_while(s, is_dcontent);
    if (!is_address_literal(content)) scan_fail(s);
    scan_need(s, ']');
    Slice literal = since(s, start);
    if (literal.len > SMTP_DOMAIN_MOST) scan_fail(s);
    return literal;
}

/* A-d-l = At-domain *("," At-domain), behind it ":". RFC 5321 4.1.1.3: accepted and ignored. */
static void source_route(Scan *s)
{
    if (scan_peek(s) != '@') return;
    do {
        scan_need(s, '@');
        domain(s);
    } while (scan_see(s, ','));
    scan_need(s, ':');
}

/* Path = "<" [A-d-l ":"] Mailbox ">". A blank before it is against the grammar and common. */
static SmtpPath path(Scan *s, bool may_be_null, bool may_lack_domain)
{
    SmtpPath p = {0};
    scan_while(s, is_space);
    scan_need(s, '<');
    if (may_be_null && scan_see(s, '>')) return p;
    source_route(s);
    const char *start = s->at;
    p.local = local_part(s);
    if (!may_lack_domain || scan_peek(s) == '@') {
        scan_need(s, '@');
        p.domain = domain(s);
    }
    p.mailbox = since(s, start);
    scan_need(s, '>');
    p.is_utf8 = !text_is_ascii(p.mailbox);
    if (p.is_utf8 && !utf8_is_valid(p.mailbox)) scan_fail(s);
    return scan_is_ok(s) ? p : (SmtpPath){0};
}

SmtpPath smtp_reverse_path(Scan *s)
{
    return path(s, true, false);
}

SmtpPath smtp_forward_path(Scan *s)
{
    return path(s, false, true);
}

bool smtp_parameter(Scan *s, SmtpParameter *p)
{
    if (scan_is_done(s)) return false;
    scan_need(s, ' ');
    scan_while(s, is_space);
    if (scan_is_done(s)) return false; /* blanks at the end */
    *p = (SmtpParameter){.name = scan_while(s, is_keyword)};
    if (!p->name.len || p->name.at[0] == '-') scan_fail(s);
    if (scan_see(s, '=')) {
        p->value = scan_while(s, is_value);
        if (!p->value.len || !utf8_is_valid(p->value)) scan_fail(s);
    }
    return scan_is_ok(s);
}

bool smtp_is_host(Slice text)
{
    Scan s = scan(text);
    domain(&s);
    return scan_is_done(&s) && scan_is_ok(&s) && text_is_ascii(text);
}

static Slice lower(Arena *a, Slice text)
{
    char *to = arena_alloc(a, text.len + 1);
    for (size_t i = 0; i < text.len; i++)
        to[i] = ascii_lower(text.at[i]);
    return slice(to, text.len);
}

Err smtp_domain_to_ascii(Arena *a, Slice name, Slice *ascii)
{
    if (text_is_ascii(name)) {
        *ascii = lower(a, name);
        return OK;
    }
    char *made = NULL;
    int failed =
        idn2_to_ascii_8z(arena_cstr(a, name), &made, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (failed) return fail(ERR_SYNTAX, "no domain name: %s", idn2_strerror(failed));
    *ascii = lower(a, slice_of(made));
    idn2_free(made);
    return OK;
}
