#include "auth/handover.h"

enum { VERSION = 1 };

static void put_head(Buf *out, HandoverKind kind, Slice service, Slice login, bool guest)
{
    buf_u8(out, VERSION);
    buf_u8(out, (uint8_t)kind);
    buf_u8(out, guest);
    buf_bytes(out, service);
    buf_bytes(out, login);
}

/* The keeper says who has logged in; of a session at rest everything counts. */
static void put_sealed(Buf *out, const Handover *h, Slice service)
{
    if (h->kind == HANDOVER_LOGGED_IN) {
        grant_login_text(out, service, h->login, h->guest);
        return;
    }
    put_head(out, h->kind, service, h->login, h->guest);
    buf_add(out, h->body);
}

static Err check_grant(const Handover *h, Slice service, const GrantKey *key, Slice grant)
{
    Buf text buf_scoped = {0};
    if (!key || h->kind == HANDOVER_STRANGER) return OK;
    put_sealed(&text, h, service);
    GrantKind kind = h->kind == HANDOVER_LOGGED_IN ? GRANT_LOGIN : GRANT_SESSION;
    return grant_check(key, kind, buf_slice(&text), grant);
}

void handover_seal(AuthUser *user, Slice service, Slice body, const GrantKey *key)
{
    Buf text buf_scoped = {0};
    Handover h = {.kind = HANDOVER_AT_REST,
                  .guest = user->guest,
                  .login = slice_of(user->login),
                  .body = body};
    user->has_grant = key != NULL;
    if (!key) return;
    put_sealed(&text, &h, service);
    grant_make(key, GRANT_SESSION, buf_slice(&text), user->grant);
}

void handover_write(Buf *out, HandoverKind kind, Slice service, const AuthUser *user, Slice body)
{
    size_t start = out->len;
    bool granted = user && user->has_grant && kind != HANDOVER_STRANGER;
    put_head(out, kind, service, user ? slice_of(user->login) : (Slice){0}, user && user->guest);
    buf_bytes(out, granted ? slice((const char *)user->grant, GRANT_OCTETS) : (Slice){0});
    buf_add(out, body);
    if (out->len - start > HANDOVER_MOST) out->len = start;
}

Slice handover_login(Slice record)
{
    Reader in = reader(record);
    read_raw(&in, 3);
    read_bytes(&in);
    Slice login = read_bytes(&in);
    return in.bad ? (Slice){0} : login;
}

Err handover_read(Slice record, Slice service, const GrantKey *key, Handover *out)
{
    Reader in = reader(record);
    uint8_t version = read_u8(&in), kind = read_u8(&in), guest = read_u8(&in);
    Slice its_service = read_bytes(&in);
    Handover h = {.kind = (HandoverKind)kind, .guest = guest == 1, .login = read_bytes(&in)};
    Slice grant = read_bytes(&in);
    h.body = in.rest;
    bool fits = !in.bad && version == VERSION && kind <= HANDOVER_AT_REST && guest <= 1 &&
                record.len <= HANDOVER_MOST && slice_eq(its_service, service);
    bool known = h.login.len && h.login.len < sizeof((AuthUser *)0)->login &&
                 !memchr(h.login.at, 0, h.login.len);
    if (!fits || (kind == HANDOVER_STRANGER ? h.login.len : !known))
        return fail(ERR_SYNTAX, "a record of a session that does not fit");
    TRY(check_grant(&h, service, key, grant));
    *out = h;
    return OK;
}
