#include "imap/url.h"

#include "base/scan.h"
#include "base/text.h"

/* ---- characters, RFC 5092 11 ---- */

/* uchar = unreserved / sub-delims-sh / pct-encoded; achar adds "&" and "=" */
static bool is_achar(unsigned char c)
{
    return is_alnum(c) || (c && strchr("-._~!$'()*+,&=%", c));
}

/* bchar = achar / ":" / "@" / "/" */
static bool is_bchar(unsigned char c)
{
    return is_achar(c) || c == ':' || c == '@' || c == '/';
}

static int hex_value(char c)
{
    if (is_digit((unsigned char)c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* RFC 3986 2.1. No octet of it may be NUL, CR or LF: names and sections have none. */
static bool decode(Arena *a, Slice text, Slice *out)
{
    char *to = arena_alloc(a, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '%') {
            if (text.len - i < 3) return false;
            int high = hex_value(text.at[i + 1]), low = hex_value(text.at[i + 2]);
            if (high < 0 || low < 0) return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (!c || c == '\r' || c == '\n') return false;
        to[len++] = c;
    }
    *out = slice(to, len);
    return true;
}

/* 1*char, decoded. */
static Slice encoded(Scan *s, Arena *a, bool (*fits)(unsigned char))
{
    Slice out = {0}, text = scan_while(s, fits);
    if (!text.len || !decode(a, text, &out)) scan_fail(s);
    return out;
}

static uint32_t nz_number(Scan *s)
{
    uint32_t n = scan_number(s);
    if (!n) scan_fail(s);
    return n;
}

/* ---- iserver = [iuserinfo "@"] host [ ":" port ] ---- */

static bool is_host_char(unsigned char c)
{
    return c != ':' && c != '@' && is_achar(c);
}

/* iuserinfo = enc-user [iauth] / [enc-user] iauth */
static void user_info(Scan *s, Arena *a, ImapUrl *u)
{
    if (scan_peek(s) != ';') u->user = encoded(s, a, is_achar);
    if (scan_see_word(s, S(";AUTH="))) u->auth = encoded(s, a, is_achar);
    scan_need(s, '@');
}

static bool has_user_info(const Scan *s)
{
    for (const char *at = s->at; at < s->end && *at != '/'; at++)
        if (*at == '@') return true;
    return false;
}

/* host: a name, an IPv4 address, or "[" IPv6 "]" */
static void server(Scan *s, Arena *a, ImapUrl *u)
{
    u->has_server = true;
    if (has_user_info(s)) user_info(s, a, u);
    const char *host = s->at;
    if (scan_see(s, '[')) {
        (void)scan_until(s, ']');
        scan_need(s, ']');
    } else if (!scan_while(s, is_host_char).len) {
        scan_fail(s);
    }
    u->host = slice(host, (size_t)(s->at - host));
    if (scan_see(s, ':')) u->port = scan_while(s, is_digit);
}

/* ---- icommand ---- */

/* A level "." or ".." would be taken for a dot-segment (RFC 5092 7) by those who resolve URLs. */
static bool has_dot_segment(Slice path)
{
    Slice level;
    while (slice_cut(&path, '/', &level))
        if (slice_eq(level, S(".")) || slice_eq(level, S(".."))) return true;
    return false;
}

/* A "/" is among the characters of names and sections, and the last one may as well begin what
 * follows. True: it was taken away. */
static bool without_slash(Slice *text)
{
    if (!text->len || text->at[text->len - 1] != '/') return false;
    text->len--;
    return true;
}

/* imailbox-ref = enc-mailbox [uidvalidity]. True: a "/" followed. */
static bool mailbox(Scan *s, Arena *a, ImapUrl *u)
{
    Slice name = scan_while(s, is_bchar);
    bool slash = without_slash(&name);
    bool fine = name.len && name.at[0] != '/' && !has_dot_segment(name);
    if (!fine || !decode(a, name, &u->mailbox) || !utf8_is_valid(u->mailbox)) scan_fail(s);
    if (slash || !scan_see_word(s, S(";UIDVALIDITY="))) return slash;
    u->uid_validity = nz_number(s);
    return scan_see(s, '/');
}

/* isection-only = ";SECTION=" enc-section. True: a "/" followed. */
static bool section(Scan *s, Arena *a, ImapUrl *u)
{
    Slice spec = scan_while(s, is_bchar);
    bool slash = without_slash(&spec);
    if (!spec.len || !decode(a, spec, &u->section)) scan_fail(s);
    return slash;
}

/* partial-range = number ["." nz-number] */
static void partial(Scan *s, ImapUrl *u)
{
    u->partial = true;
    u->offset = scan_number64(s);
    if (!scan_see(s, '.')) return;
    u->most = scan_number64(s);
    if (!u->most) scan_fail(s);
}

/* iuid [isection] [ipartial], each with its "/" in front; that of the first is gone. */
static void message_part(Scan *s, Arena *a, ImapUrl *u)
{
    scan_need_word(s, S(";UID="));
    u->uid = nz_number(s);
    bool slash = scan_see_word(s, S("/;SECTION=")) && section(s, a, u);
    if (slash || scan_see(s, '/')) {
        scan_need_word(s, S(";PARTIAL="));
        partial(s, u);
    }
}

/* ---- iurlauth ---- */

static unsigned digits(Scan *s, unsigned count)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        int c = scan_peek(s);
        if (c < '0' || c > '9') {
            scan_fail(s);
            return 0;
        }
        s->at++;
        n = n * 10 + (unsigned)(c - '0');
    }
    return n;
}

static int64_t zone_seconds(Scan *s)
{
    if (scan_see_word(s, S("Z"))) return 0;
    bool west = scan_see(s, '-');
    if (!west) scan_need(s, '+');
    unsigned hours = digits(s, 2);
    scan_need(s, ':');
    unsigned minutes = digits(s, 2);
    if (hours > 23 || minutes > 59) scan_fail(s);
    int64_t east = (int64_t)hours * 3600 + (int64_t)minutes * 60;
    return west ? -east : east;
}

static bool is_day(int year, unsigned month, unsigned day)
{
    int y;
    unsigned m, d;
    civil_from_days(days_from_civil(year, month, day), &y, &m, &d);
    return day && m == month && d == day;
}

/* RFC 3339 5.6: date-time = full-date "T" full-time; the fraction is passed over. */
static int64_t date_time(Scan *s)
{
    unsigned year = digits(s, 4);
    scan_need(s, '-');
    unsigned month = digits(s, 2);
    scan_need(s, '-');
    unsigned day = digits(s, 2);
    scan_need_word(s, S("T"));
    unsigned hour = digits(s, 2);
    scan_need(s, ':');
    unsigned minute = digits(s, 2);
    scan_need(s, ':');
    unsigned second = digits(s, 2);
    if (scan_see(s, '.') && !scan_while(s, is_digit).len) scan_fail(s);
    int64_t zone = zone_seconds(s);
    bool fits = month >= 1 && month <= 12 && hour <= 23 && minute <= 59 && second <= 60;
    if (!scan_is_ok(s) || !fits || !is_day((int)year, month, day)) {
        scan_fail(s);
        return 0;
    }
    int64_t days = days_from_civil((int)year, month, day);
    return days * 86400 + (int64_t)hour * 3600 + (int64_t)minute * 60 + second - zone;
}

bool imap_url_date_time(Slice text, int64_t *seconds)
{
    Scan s = scan(text);
    *seconds = date_time(&s);
    return !scan_end(&s);
}

/* access = "anonymous" / "authuser" / ("user+" enc-user) / ("submit+" enc-user) / application
 * ["+" enc-user]  (RFC 5593 4) */
static void access(Scan *s, Arena *a, ImapUrl *u)
{
    Slice name = scan_while(s, is_alnum);
    if (!name.len) scan_fail(s);
    bool user = scan_see(s, '+');
    if (user) u->access_user = encoded(s, a, is_achar);
    if (!user && slice_eq_nocase(name, S("anonymous"))) {
        u->access = URL_ANONYMOUS;
    } else if (!user && slice_eq_nocase(name, S("authuser"))) {
        u->access = URL_AUTHUSER;
    } else if (user && slice_eq_nocase(name, S("user"))) {
        u->access = URL_USER;
    } else if (user && slice_eq_nocase(name, S("submit"))) {
        u->access = URL_SUBMIT;
    } else {
        u->access = URL_APPLICATION;
        u->application = name;
    }
}

static bool is_mechanism_char(unsigned char c)
{
    return is_alnum(c) || c == '-' || c == '.';
}

static bool is_hex_digit(unsigned char c)
{
    return hex_value((char)c) >= 0;
}

/* iua-verifier = ":" uauth-mechanism ":" enc-urlauth; enc-urlauth = 32*HEXDIG */
static void verifier(Scan *s, ImapUrl *u)
{
    u->mechanism = scan_while(s, is_mechanism_char);
    scan_need(s, ':');
    u->token = scan_while(s, is_hex_digit);
    if (!u->mechanism.len || u->token.len < 32) scan_fail(s);
}

/* iurlauth-rump = [";EXPIRE=" date-time] ";URLAUTH=" access */
static void url_auth(Scan *s, Arena *a, ImapUrl *u)
{
    u->expires = scan_see_word(s, S(";EXPIRE="));
    if (u->expires) u->expire = date_time(s);
    if (!scan_see_word(s, S(";URLAUTH="))) {
        if (u->expires) scan_fail(s);
        return;
    }
    access(s, a, u);
    u->rump = slice(s->start, (size_t)(s->at - s->start));
    if (scan_see(s, ':')) verifier(s, u);
}

/* ---- all of it ---- */

static void search_program(Scan *s, ImapUrl *u)
{
    u->is_search = true;
    if (!scan_while(s, is_bchar).len) scan_fail(s);
}

/* icommand = imessagelist / imessagepart [iurlauth] */
static void command(Scan *s, Arena *a, ImapUrl *u)
{
    bool slash = scan_peek(s) == ';' || mailbox(s, a, u);
    if (scan_see(s, '?')) search_program(s, u);
    if (scan_peek(s) != ';') return;
    if (!slash || u->is_search) scan_fail(s);
    message_part(s, a, u);
    url_auth(s, a, u);
}

/* imapurl-rel = "//" iserver ipath-query / "/" [icommand] / irelative-path. Of the relative paths
 * (7.2: not to be accepted) only the form without a mailbox is understood, as RFC 4469 3 wants it
 * in the selected state. */
Err imap_url_parse(Slice text, Arena *a, ImapUrl *u)
{
    *u = (ImapUrl){0};
    if (text.len > IMAP_URL_MOST) return fail(ERR_SYNTAX, "the URL is too long");
    Scan s = scan(text);
    bool absolute = scan_see_word(&s, S("imap://")) || scan_see_word(&s, S("//"));
    if (absolute) server(&s, a, u);
    bool path = scan_see(&s, '/');
    bool relative = !absolute && !path && scan_peek(&s) == ';';
    if (!path && !relative && !(absolute && scan_is_done(&s))) scan_fail(&s);
    if (path && scan_peek(&s) == ';') scan_fail(&s); /* a message of no mailbox */
    if (!scan_is_done(&s)) command(&s, a, u);
    return scan_end(&s);
}
