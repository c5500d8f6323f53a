#pragma once
/* What the files of this room share. */
#include "auth/auth.h"
#include "auth/keeper.h"
#include "auth/oauth.h"
#include "auth/throttle.h"

#include <stdatomic.h>

struct Auth {
    /* In `memory`, as are those before it: somebody may be reading them. */
    _Atomic(const AuthConfig *) config;
    Arena memory;
    Store *store;
    Keeper *keeper;
    Throttle *throttle; /* NULL: off */
    Oauth *oauth;
    KeeperConfig demo; /* for keeper_is_demo */
};

static inline const AuthConfig *auth_config(const Auth *auth)
{
    return atomic_load(&auth->config);
}
/* The domain as DNS has it, lower case; ERR_NOT_FOUND: it cannot be one. */
Err auth_to_a_labels(Slice domain, Buf *out) MUST_USE;
bool auth_is_local_domain(const Auth *auth, Slice domain);
/* What the user typed to the login it means: normalised, and without a local domain if only that
 * exists. */
PARKS Err auth_canonical_login(Auth *auth, Slice given, Buf *login) MUST_USE;
/* A request for this login, on the heap: it is larger than a stack frame should be. ERR_SYNTAX when
 * a field is too long. */
Err keeper_request(KeeperAsk ask, Slice login, Slice password, KeeperRequest **out) MUST_USE;
void keeper_request_free(KeeperRequest *q); /* wipes */
SCOPED(KeeperRequest, request, keeper_request_free)
/* The attempt is over: pause after a failure, log it, fill user on success. */
PARKS Err auth_attempt_ends(Auth *auth, const char *service, const char *mechanism, Stream *stream,
                            Slice login, Err err, AuthUser *user) MUST_USE;
PARKS Err auth_attempt_begins(Auth *auth, Stream *stream) MUST_USE;
/* It began and never came to an end: the client gave up. failed: it had lost by then. */
void auth_attempt_abandoned(Auth *auth, const char *service, const char *mechanism, Stream *stream,
                            Slice login, bool failed);
/* The logins an address is an alias of, separated by ' '; ERR_NOT_FOUND. */
PARKS Err alias_get(Auth *auth, Slice address, Arena *a, Slice *logins) MUST_USE;
