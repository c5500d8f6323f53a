/* A record from a front that has been taken over: nobody is in it who has not been vouched for; and
 * what fits without a key says the same when it is written again. With a seal of ours it is what we
 * wrote, for its service and with every octet of it as it was. */
#include "auth/handover.h"
#include "base/fuzz.h"

static const GrantKey key = {.octets = "what the fuzzer cannot know"};

static void check_unsealed(Slice record)
{
    Buf again buf_scoped = {0};
    Handover h, same;
    AuthUser user = {0};
    Err err = handover_read(record, S("imap"), &key, &h);
    must(err || h.kind == HANDOVER_STRANGER);
    if (handover_read(record, S("imap"), NULL, &h)) return;
    memcpy(user.login, h.login.at, h.login.len);
    user.guest = h.guest;
    handover_write(&again, h.kind, S("imap"), h.kind == HANDOVER_STRANGER ? NULL : &user, h.body);
    must(!handover_read(buf_slice(&again), S("imap"), NULL, &same));
    must(same.kind == h.kind && slice_eq(same.login, h.login) && slice_eq(same.body, h.body));
    must(h.kind == HANDOVER_STRANGER || same.guest == h.guest);
}

static void check_spoilt(Slice record, size_t at)
{
    Buf spoilt buf_scoped = {0};
    Handover h;
    buf_add(&spoilt, record);
    spoilt.at[at % spoilt.len] ^= 1;
    Err err = handover_read(buf_slice(&spoilt), S("imap"), &key, &h);
    must(err == ERR_AUTH || err == ERR_SYNTAX);
}

/* The login's length, then the login; the rest is the body. */
static void check_sealed(HandoverKind kind, Slice input)
{
    Reader in = reader(input);
    AuthUser user = {.guest = read_u8(&in) & 1};
    Slice login = slice_first(read_bytes(&in), sizeof user.login - 1), body = in.rest;
    Buf record buf_scoped = {0}, text buf_scoped = {0};
    Handover h;
    if (in.bad || !login.len || memchr(login.at, 0, login.len)) return;
    memcpy(user.login, login.at, login.len);
    handover_seal(&user, S("imap"), body, kind == HANDOVER_AT_REST ? &key : NULL);
    must(user.has_grant == (kind == HANDOVER_AT_REST));
    if (kind == HANDOVER_LOGGED_IN) {
        grant_login_text(&text, S("imap"), login, user.guest);
        grant_make(&key, GRANT_LOGIN, buf_slice(&text), user.grant);
        user.has_grant = true;
    }
    handover_write(&record, kind, S("imap"), &user, body);
    must(record.len || body.len > HANDOVER_MOST / 2);
    if (!record.len) return;
    must(!handover_read(buf_slice(&record), S("imap"), &key, &h) && h.kind == kind);
    must(slice_eq(h.login, login) && slice_eq(h.body, body) && h.guest == user.guest);
    must(handover_read(buf_slice(&record), S("pop3"), &key, &h) == ERR_SYNTAX);
    /* a grant of the keeper does not speak of the body: that is the front's word */
    size_t sealed = kind == HANDOVER_AT_REST ? record.len : record.len - body.len;
    if (input.len) check_spoilt(buf_slice(&record), (uint8_t)input.at[0] * 7u % sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Slice input = slice((const char *)data, size);
    check_unsealed(input);
    check_sealed(HANDOVER_AT_REST, input);
    check_sealed(HANDOVER_LOGGED_IN, input);
    return 0;
}
