#include "imap/urlauth.h"

#include "auth/credential.h"
#include "base/text.h"

#define COLLECTION S("urlauth")
#define SECRET     S("secret")
enum { SECRET_OCTETS = 32, ALGORITHM = 1 /* HMAC-SHA-256 */ };

/* Two sessions may make it at once: the first stays. */
PARKS static Err make_secret(Account *owner, Arena *a, Slice *secret)
{
    char fresh[SECRET_OCTETS];
    uint64_t none = 0;
    random_bytes(fresh, sizeof fresh);
    Err err = object_put(owner, COLLECTION, SECRET, slice(fresh, sizeof fresh), &none);
    if (err && err != ERR_CONFLICT) return err;
    return object_get(owner, COLLECTION, SECRET, a, secret, NULL);
}

static Slice salt_id(Arena *a, UrlauthMailbox box)
{
    return arena_printf(a, "salt-%u-%u", box.acct, box.id);
}

/* The mailbox access key: unpredictable as the secret is, another one for each mailbox and salt. */
PARKS static Err mailbox_key(Account *owner, UrlauthMailbox box, bool make, uint8_t key[32])
{
    Arena a arena_scoped = {0};
    Slice secret, salt = {0};
    Err err = object_get(owner, COLLECTION, SECRET, &a, &secret, NULL);
    if (err == ERR_NOT_FOUND && make) err = make_secret(owner, &a, &secret);
    TRY(err);
    err = object_get(owner, COLLECTION, salt_id(&a, box), &a, &salt, NULL);
    if (err && err != ERR_NOT_FOUND) return err;
    Slice text = arena_printf(&a, "%u %u %.*s", box.acct, box.id, SP(salt));
    scram_hmac(SCRAM_SHA256, secret, text, key);
    return OK;
}

static void make_token(const uint8_t key[32], Slice rump, uint8_t token[URLAUTH_TOKEN])
{
    token[0] = ALGORITHM;
    scram_hmac(SCRAM_SHA256, slice((const char *)key, 32), rump, token + 1);
}

Err urlauth_token(Account *owner, UrlauthMailbox box, Slice rump, bool make,
                  uint8_t token[URLAUTH_TOKEN])
{
    uint8_t key[32];
    TRY(mailbox_key(owner, box, make, key));
    make_token(key, rump, token);
    wipe(key, sizeof key);
    return OK;
}

void urlauth_no_token(Slice rump, uint8_t token[URLAUTH_TOKEN])
{
    uint8_t key[32];
    random_bytes(key, sizeof key);
    make_token(key, rump, token);
}

Err urlauth_account(Imap *s, Slice login, uint32_t *acct)
{
    Buf lower buf_scoped = {0};
    for (size_t i = 0; i < login.len; i++)
        buf_char(&lower, ascii_lower(login.at[i]));
    return store_find_account(s->config->store, buf_slice(&lower), acct);
}

/* ---- RESETKEY ---- */

PARKS static Err reset_all(Imap *s)
{
    Slice secret;
    imap_go(s, s->user.acct);
    Err err = object_get(s->account, COLLECTION, SECRET, &s->arena, &secret, NULL);
    if (err == ERR_NOT_FOUND) return imap_ok(s, "There were no keys");
    TRY(err);
    TRY(object_delete(s->account, COLLECTION, SECRET));
    return imap_ok(s, "All keys removed");
}

PARKS static Err find_mailbox(Imap *s, Slice name, UrlauthMailbox *out)
{
    Mailbox *box scoped(mailbox) = NULL;
    TRY(imap_open(s, name, &box));
    *out = (UrlauthMailbox){account_number(mailbox_account(box)), mailbox_status(box).id};
    return OK;
}

PARKS static Err reset_one(Imap *s, Slice name)
{
    UrlauthMailbox box;
    char salt[16];
    Buf hex buf_scoped = {0};
    TRY(find_mailbox(s, name, &box));
    imap_go(s, s->user.acct);
    random_bytes(salt, sizeof salt);
    hex_encode(&hex, slice(salt, sizeof salt));
    TRY(object_put(s->account, COLLECTION, salt_id(&s->arena, box), buf_slice(&hex), NULL));
    return imap_ok(s, "[URLMECH INTERNAL] The key is a new one");
}

/* RFC 4467 9: resetkey = "RESETKEY" [SP mailbox *(SP mechanism)] */
Err imap_cmd_resetkey(Imap *s)
{
    if (!s->config->urlauth) return fail(ERR_SYNTAX, "unknown command");
    Slice name = {0};
    bool internal = true;
    if (!imap_at_end(s->in)) {
        imap_space(s->in);
        name = imap_mailbox(s->in, NULL);
    }
    while (imap_see(s->in, " "))
        internal = slice_eq_nocase(imap_atom(s->in), S("INTERNAL")) && internal;
    TRY(imap_end(s->in));
    if (!internal) return imap_no(s, "[CANNOT] The only mechanism is INTERNAL");
    return name.at ? reset_one(s, name) : reset_all(s);
}

/* ---- GENURLAUTH ---- */

enum { URLS_MOST = 100 };

/* What RFC 4467 has checked; NULL: fine. The owner of the key table is who is logged in: about
 * others nobody learns anything. */
PARKS static const char *wrong_with(Imap *s, const ImapUrl *u)
{
    uint32_t acct;
    if (!u->has_server || !u->uid) return "The URL is of no message";
    if (!u->user.len) return "missing owner username in supplied URL";
    if (u->access == URL_NOBODY) return "missing access identifier in supplied URL";
    if (u->access == URL_APPLICATION) return "unknown access identifier in supplied URL";
    if (u->mechanism.len) return "the URL has a token already";
    if (urlauth_account(s, u->user, &acct) || acct != s->user.acct)
        return "the URL is of another user";
    return NULL;
}

PARKS static Err put_url(Imap *s, const ImapUrl *u, Buf *out)
{
    UrlauthMailbox box;
    uint8_t token[URLAUTH_TOKEN];
    Buf full buf_scoped = {0};
    TRY(find_mailbox(s, u->mailbox, &box));
    imap_go(s, s->user.acct);
    TRY(urlauth_token(s->account, box, u->rump, true, token));
    buf_add(&full, u->rump);
    buf_add(&full, S(":internal:"));
    hex_encode(&full, slice((const char *)token, sizeof token));
    buf_char(out, ' ');
    imap_put_string(out, buf_slice(&full));
    return OK;
}

PARKS static Err generate(Imap *s, Slice text, Buf *out)
{
    ImapUrl u;
    if (imap_url_parse(text, &s->arena, &u)) return imap_bad(s, "This is no IMAP URL");
    const char *wrong = wrong_with(s, &u);
    if (wrong) return imap_bad(s, "%s", wrong);
    Err err = put_url(s, &u, out);
    if (err == ERR_NOT_FOUND) return imap_bad(s, "There is no such mailbox");
    return err;
}

typedef struct {
    Slice urls[URLS_MOST];
    size_t count;
    bool internal;
} Wanted;

/* RFC 4467 9: genurlauth = "GENURLAUTH" 1*(SP url-rump SP mechanism) */
PARKS static Err read_wanted(In *in, Wanted *w)
{
    w->internal = true;
    do {
        imap_space(in);
        if (w->count == URLS_MOST) return fail(ERR_LIMIT, "more than %d URLs", URLS_MOST);
        w->urls[w->count++] = imap_astring(in);
        imap_space(in);
        Slice mechanism = imap_atom(in);
        w->internal = w->internal && slice_eq_nocase(mechanism, S("INTERNAL"));
    } while (imap_peek(in) == ' ');
    return imap_end(in);
}

Err imap_cmd_genurlauth(Imap *s)
{
    if (!s->config->urlauth) return fail(ERR_SYNTAX, "unknown command");
    Wanted *w = arena_new(&s->arena, Wanted);
    Buf out buf_scoped = {0};
    TRY(read_wanted(s->in, w));
    if (!w->internal) return imap_bad(s, "The only mechanism is INTERNAL");
    for (size_t i = 0; i < w->count; i++) {
        size_t before = out.len;
        TRY(generate(s, w->urls[i], &out));
        if (out.len == before) return OK; /* answered: it was wrong */
    }
    Buf *to = stream_out(s->stream);
    buf_add(to, S("* GENURLAUTH"));
    buf_add(to, buf_slice(&out));
    buf_add(to, S("\r\n"));
    return imap_ok(s, "GENURLAUTH completed");
}
