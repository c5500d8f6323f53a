#pragma once
/* Grants: a seal that says in the name of who keeps the key (the keeper, and the house) that
 * something is so. The front, which carries them, does not have the key: one that has been taken
 * over can only show again what it really had.
 *
 *     grant:  u8 version (1)  u8 kind  u64 time (ms, monotonic)  8 octets at random  16 octets MAC
 *
 * MAC: HMAC-SHA256, its first 16 octets (RFC 2104 5), over what is in front of it and the text. */
#include "base/base.h"

enum { GRANT_KEY_OCTETS = 32, GRANT_OCTETS = 34, GRANT_LOGIN_MS = 60 * 1000 };

typedef struct {
    uint8_t octets[GRANT_KEY_OCTETS];
} GrantKey;
typedef enum {
    GRANT_LOGIN = 1, /* somebody has logged in (grant_login_text): good for a minute */
    GRANT_SESSION,   /* the record of a session: good as long as the key is */
} GrantKind;

void grant_make(const GrantKey *key, GrantKind kind, Slice text, uint8_t grant[GRANT_OCTETS]);
/* ERR_AUTH: not of this key, kind and text, or too old; takes the same time whichever. */
Err grant_check(const GrantKey *key, GrantKind kind, Slice text, Slice grant) MUST_USE;
/* What GRANT_LOGIN is about. */
void grant_login_text(Buf *out, Slice service, Slice login, bool guest);
