/* Referrals, for sites that split: LOGIN-REFERRALS (RFC 2221) says that a user lives elsewhere,
 * MAILBOX-REFERRALS (RFC 2193) that a mailbox does. Both come from settings, words NAME=URL; in the
 * URL $user stands for the login. */
#include "base/text.h"
#include "imap/session.h"

/* ---- the words ---- */

static int hex_of(char c)
{
    return is_digit((unsigned char)c) ? c - '0'
           : c >= 'a' && c <= 'f'     ? c - 'a' + 10
           : c >= 'A' && c <= 'F'     ? c - 'A' + 10
                                      : -1;
}

/* Names with spaces are written %20. */
static Slice decode(Arena *a, Slice text)
{
    char *out = arena_alloc(a, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool escaped = text.at[i] == '%' && text.len - i > 2;
        int high = escaped ? hex_of(text.at[i + 1]) : -1,
            low = escaped ? hex_of(text.at[i + 2]) : -1;
        bool octet = high >= 0 && low >= 0;
        out[len++] = (char)(octet ? high << 4 | low : text.at[i]);
        if (octet) i += 2;
    }
    return slice(out, len);
}

/* RFC 5092 11: bchar; everything else as %XX. "/" too in a user name. */
static void encode(Buf *out, Slice text, bool is_name)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        bool plain = is_alnum(c) || (c && strchr("-._~!$'()*+,:&=", c)) || (c == '/' && is_name);
        if (plain)
            buf_char(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

static void put_url(const Imap *s, Buf *out, Slice url)
{
    size_t at = slice_find_slice(url, S("$user"));
    buf_add(out, slice_first(url, at));
    if (at == url.len) return;
    encode(out, slice_of(s->user.login), false);
    buf_add(out, slice_from(url, at + 5));
}

/* ---- mailboxes, RFC 2193 ---- */

/* The mailbox itself, or one below it: what follows its name. */
static bool is_of(Slice name, Slice remote, Slice *below)
{
    *below = slice_from(name, remote.len);
    return slice_starts(name, remote) && (!below->len || below->at[0] == MAILBOX_SEPARATOR);
}

Slice imap_remote_name(const Imap *s, size_t i, Arena *a)
{
    Slice word = s->config->mailbox_referrals[i];
    return decode(a, slice_first(word, slice_find(word, '=')));
}

/* Its URLs, each behind a SP; false: it is not remote. */
static bool put_urls(Imap *s, Slice name, Buf *out)
{
    bool some = false;
    for (size_t i = 0; i < s->config->mailbox_referral_count; i++) {
        Slice word = s->config->mailbox_referrals[i], below;
        if (!is_of(name, imap_remote_name(s, i, &s->arena), &below)) continue;
        buf_char(out, ' ');
        put_url(s, out, slice_from(word, slice_find(word, '=') + 1));
        encode(out, below, true);
        some = true;
    }
    return some;
}

bool imap_is_remote(Imap *s, Slice name)
{
    Buf urls buf_scoped = {0};
    return s->config->mailbox_referral_count && put_urls(s, name, &urls);
}

Err imap_not_remote(Imap *s, Slice name)
{
    Buf urls buf_scoped = {0};
    if (!s->config->mailbox_referral_count || !put_urls(s, name, &urls)) return OK;
    s->referral = arena_copy(&s->arena, buf_slice(&urls));
    return fail(ERR_CANNOT, "the mailbox is on another server");
}

/* RFC 2193 4.3: RENAME is told of both, the first of each. */
static void put_first_url(Imap *s, Slice name, Buf *out)
{
    Buf urls buf_scoped = {0};
    if (put_urls(s, name, &urls)) {
        Slice first = slice_from(buf_slice(&urls), 1);
        buf_char(out, ' ');
        buf_add(out, slice_first(first, slice_find(first, ' ')));
        return;
    }
    buf_add(out, S(" imap://"));
    encode(out, slice_of(s->user.login), false);
    buf_printf(out, ";AUTH=*@%.*s/", SP(s->config->hostname));
    encode(out, name, true);
}

Err imap_neither_remote(Imap *s, Slice from, Slice to)
{
    Buf urls buf_scoped = {0};
    if (!imap_is_remote(s, from) && !imap_is_remote(s, to)) return OK;
    put_first_url(s, from, &urls);
    put_first_url(s, to, &urls);
    s->referral = arena_copy(&s->arena, buf_slice(&urls));
    return fail(ERR_CANNOT, "the mailbox is on another server");
}

/* ---- users, RFC 2221 ---- */

bool imap_lives_elsewhere(Imap *s, const AuthUser *user, bool *has_public)
{
    Slice login = slice_of(user->login);
    for (size_t i = 0; i < s->config->login_referral_count; i++) {
        Slice word = s->config->login_referrals[i], name = slice_first(word, slice_find(word, '='));
        *has_public = slice_ends(name, S("+")); /* something is here for him all the same */
        if (*has_public) name.len--;
        bool domain = slice_starts(name, S("@")) && slice_ends(login, name);
        if (!domain && !slice_eq_nocase(name, login)) continue;
        Buf url buf_scoped = {0};
        s->user = *user;
        buf_char(&url, ' ');
        put_url(s, &url, slice_from(word, slice_find(word, '=') + 1));
        s->referral = arena_copy(&s->arena, buf_slice(&url));
        return true;
    }
    return false;
}
