#pragma once
/* Internal to auth/: one SASL exchange and the table of mechanisms. sasl.c has those with passwords
 * and SCRAM; the others are in sasl_*.c. */
#include "auth/scram.h"
#include "auth/state.h"

enum { BINDS = 1, PLAIN_TEXT = 2 }; /* `needs`: a channel binding; a connection nobody reads */

typedef struct {
    const char *name;
    SaslState (*step)(Sasl *s, Slice response, Buf *challenge, Err *err); /* PARKS */
    bool (*may)(const Sasl *s); /* whether it is offered, by the settings and the connection */
    ScramHash hash;
    unsigned needs;
} Mechanism;

struct Sasl {
    Auth *auth;
    Stream *stream;
    const char *service;
    const Mechanism *mechanism;
    int turn; /* responses seen */
    AuthUser user;
    Buf login;          /* as far as it is known; canonical when it is */
    LoginSuffix suffix; /* in the arena */
    Arena arena;        /* SCRAM's texts */
    ScramFirst first;
    Slice nonce, server_first;
    Err verdict; /* known, but the client has a word yet (RFC 7628 3.2.3, RFC 5802 5) */
};

static inline SaslState sasl_failed(Err *out, Err err)
{
    *out = err;
    return SASL_FAILED;
}
/* The login in the name that the client gave; what POP3 has behind it stays in s->suffix. */
Slice sasl_bare_login(Sasl *s, Slice given);
/* auth_attempt for s->login; OK is SASL_DONE. */
PARKS SaslState sasl_attempt(Sasl *s, Memo *question, Err *err);
/* It is wrong whatever the keeper knows. */
PARKS SaslState sasl_is_wrong(Sasl *s, Err *err);
Attempt sasl_as_attempt(const Sasl *s);

bool may_external(const Sasl *s);
bool may_anonymous(const Sasl *s);
bool may_oauth(const Sasl *s);
PARKS SaslState step_external(Sasl *s, Slice response, Buf *challenge, Err *err);
PARKS SaslState step_anonymous(Sasl *s, Slice response, Buf *challenge, Err *err);
PARKS SaslState step_oauthbearer(Sasl *s, Slice response, Buf *challenge, Err *err);
PARKS SaslState step_xoauth2(Sasl *s, Slice response, Buf *challenge, Err *err);
