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
    int turn;     /* responses seen */
    bool counted; /* the attempt has begun and not ended */
    AuthUser user;
    Buf login, password; /* canonical login; LOGIN keeps the user name as typed here until the
                            password is there */
    LoginSuffix suffix;  /* in the arena */
    Arena arena;         /* SCRAM's texts */
    ScramFirst first;
    Slice nonce, server_first;
    Err verdict; /* OAUTHBEARER: known, but the client has a word yet (RFC 7628 3.2.3) */
};

static inline SaslState sasl_failed(Err *out, Err err)
{
    *out = err;
    return SASL_FAILED;
}
/* The login in the name that the client gave; what POP3 has behind it stays in s->suffix. */
Slice sasl_bare_login(Sasl *s, Slice given);
/* The attempt is judged: logs it, pauses, fills s->user. OK is SASL_DONE. */
PARKS SaslState sasl_judge(Sasl *s, Err verdict, Err *err);

bool may_external(const Sasl *s);
bool may_anonymous(const Sasl *s);
bool may_oauth(const Sasl *s);
PARKS SaslState step_external(Sasl *s, Slice response, Buf *challenge, Err *err);
PARKS SaslState step_anonymous(Sasl *s, Slice response, Buf *challenge, Err *err);
PARKS SaslState step_oauthbearer(Sasl *s, Slice response, Buf *challenge, Err *err);
PARKS SaslState step_xoauth2(Sasl *s, Slice response, Buf *challenge, Err *err);
