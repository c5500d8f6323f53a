#pragma once
/* What the files of this room share. */
#include "auth/auth.h"
#include "auth/keeper.h"

#include <stdatomic.h>

struct Auth {
    /* In `memory`, as are those before it: somebody may be reading them. */
    _Atomic(const AuthConfig *) config;
    Arena memory;
    Store *store; /* NULL: elsewhere */
    Keeper *keeper;
    bool owns_keeper;
};

static inline const AuthConfig *auth_config(const Auth *auth)
{
    return atomic_load(&auth->config);
}
/* A copy that lives as long as the arena; its domains as DNS has them. */
const AuthConfig *config_keep(Arena *a, const AuthConfig *config);
bool config_has_domain(const AuthConfig *config, Slice domain);
/* The domain as DNS has it, lower case; ERR_NOT_FOUND: it cannot be one. */
Err auth_to_a_labels(Slice domain, Buf *out) MUST_USE;
/* What the user typed to the login it means: normalised, and without a local domain if only that
 * exists. */
PARKS Err auth_canonical_login(Auth *auth, Slice given, Buf *login) MUST_USE;

/* One who tries to log in, on this stream. */
typedef struct {
    Auth *auth;
    const char *service, *mechanism;
    Stream *stream;
} Attempt;
/* Asks the keeper, who knows how often it went wrong; holds a failure back as long as the keeper
 * says, logs it. The question's login, address and service, in texts first, first + 1 and first +
 * 2, are filled in from `login` (as it is kept, afterwards) and the stream. signature may be NULL.
 * ERR_AUTH, ERR_THROTTLED, ERR_TEMPORARY. */
PARKS Err auth_attempt(const Attempt *a, Memo *question, Buf *login, AuthUser *user,
                       Buf *signature);
/* One that needs no keeper to be wrong: counted, held back and logged like others. */
PARKS Err auth_attempt_is_wrong(const Attempt *a, Buf *login);
/* The logins an address is an alias of, separated by ' '; ERR_NOT_FOUND. */
PARKS Err alias_get(Auth *auth, Slice address, Arena *a, Slice *logins) MUST_USE;
