#pragma once
/* auth: who are you. Logins and SASL for every protocol, the directory of addresses, and the keeper
 * that alone holds password hashes and SCRAM keys.
 *
 * Vocabulary: a login is an account's name (SASLprep, lower case: "anna" or "anna@example.org"); an
 * address is what mail is sent to. The Keeper (keeper.h) answers questions, in this process or in
 * one of its own: nothing else may look at a hash. A Sasl is one authentication exchange. Begin
 * reading with auth_login, sasl_start. */
#include "auth/grant.h"
#include "net/stream.h"
#include "store/store.h"

typedef struct Auth Auth;
/* Whose access tokens are taken (OAUTHBEARER, XOAUTH2): signed ones (JWT) by the keys file, others
 * by asking their issuer (RFC 7662) through `introspect`. Neither: not offered. */
typedef struct {
    Slice keys_path;               /* a JWK set, RFC 7517; read again when it changes */
    Slice issuer, audience, scope; /* "iss", "aud" (both needed for signed tokens), "scope" */
    Slice claim;                   /* whose text is the login: "email", "preferred_username" ... */
    Slice discovery;               /* the URL told to clients whose token is refused */
    int64_t remember_ms;           /* how long the issuer's answer is good */
    /* Asks the issuer: its answer, a JSON text. ERR_TEMPORARY. */
    Err (*introspect)(void *arg, Slice token, Buf *answer); /* PARKS */
    void *introspect_arg;
} OauthConfig;
typedef struct {
    struct Keeper *keeper;  /* whom to ask (keeper.h); NULL: one in this process */
    Slice dir;              /* the keeper's own directory: DIR/keeper */
    bool plain_without_tls; /* allow plain-text passwords on bare connections (the demo) */
    const Slice *domains;   /* local domains, A-labels or U-labels */
    size_t domain_count;
    Slice catch_all; /* login that takes mail for unknown local parts; empty: none */
    /* POP3: what stands between a login and a folder, or a device (LoginSuffix); empty: off */
    Slice folder_separator, device_separator;
    Slice postmaster; /* login that takes mail for postmaster (RFC 5321 4.5.1); empty: none */
    char subaddress_separator; /* '+'; 0: none */
    uint32_t demo_accounts;    /* u00001 ... exist on first use, all with demo_password; 0: off */
    Slice demo_password;
    uint32_t argon2_memory_kib, argon2_passes; /* 0: 19456, 2 */
    uint32_t scram_iterations;                 /* 0: 4096 */
    int64_t password_remember_ms; /* how long a right one need not be hashed again; 0: five minutes,
                                     negative: not at all */
    bool reversible;              /* keep new passwords themselves, for APOP */
    bool certificates;            /* EXTERNAL: client certificates that TLS has verified */
    bool certificate_subject;     /* their common name is the login; else an address of them */
    Slice anonymous;              /* login that ANONYMOUS opens for reading; empty: not offered */
    OauthConfig oauth;
    bool throttle; /* delay after failures, per address and per login */
} AuthConfig;
/* store NULL: it is in another process; then there are no accounts and no addresses here. */
PARKS Err auth_open(const AuthConfig *config, Store *store, Auth **auth) MUST_USE;
PARKS void auth_close(Auth *auth);
/* Domains, catch-all, postmaster, sub-addresses and whether plain text needs TLS: from now on, for
 * sessions that are there too. Always on the same loop. The rest stays as it was opened. */
void auth_reload(Auth *auth, const AuthConfig *config);

/* ---- logging in ---- */
typedef struct {
    uint32_t
        acct; /* 0 until auth_account was asked: whoever checks a login need not have a store */
    char login[256];
    bool guest;                  /* by ANONYMOUS: may look, not change anything */
    bool has_grant;              /* from a keeper that is another process */
    uint8_t grant[GRANT_OCTETS]; /* that he has logged in (auth/handover.h) */
} AuthUser;
/* Plain-text password. ERR_AUTH (also for unknown users, at the same cost), ERR_THROTTLED,
 * ERR_NEEDS_TLS, ERR_TEMPORARY. Logs login and login_failed with the remote address. service:
 * "imap", "pop3", "smtp". */
PARKS Err auth_login(Auth *auth, const char *service, Stream *stream, Slice login, Slice password,
                     AuthUser *user) MUST_USE;
/* APOP, RFC 1939 7: digest is the hexadecimal MD5 of timestamp and password. ERR_AUTH also for
 * accounts whose password was set without `reversible`. */
PARKS Err auth_apop(Auth *auth, Stream *stream, Slice login, Slice timestamp, Slice digest,
                    AuthUser *user) MUST_USE;
/* "anna/Work+device=phone", with separators "/" and "+device=": what POP3 wants to know besides;
 * "recent:anna", as Gmail has it, is the device "recent". Empty: nothing was said. */
typedef struct {
    Slice folder, device;
} LoginSuffix;
/* The login that is left; *suffix borrows from `given`. */
Slice auth_split_login(const Auth *auth, Slice given, LoginSuffix *suffix);

/* Whether plain-text logins are allowed on this stream now (TLS, or plain_without_tls):
 * LOGINDISABLED and friends. */
bool auth_plain_allowed(const Auth *auth, const Stream *stream);
Err auth_needs_tls(const char *service, Stream *stream); /* counted, told; ERR_NEEDS_TLS */

/* The account of a login that may exist only on first use (demo). ERR_NOT_FOUND. */
PARKS Err auth_account(Auth *auth, Slice login, uint32_t *acct) MUST_USE;
/* The same for who has just logged in: fills user->acct. That there is no such account is said, and
 * logged as login_failed, as if the password had been wrong: ERR_AUTH. */
PARKS Err auth_find_account(Auth *auth, const char *service, Stream *stream,
                            AuthUser *user) MUST_USE;

/* ---- SASL, RFC 4422: EXTERNAL (there), PLAIN (4616), LOGIN, SCRAM-SHA-1, SCRAM-SHA-256 (5802,
 * 7677) and their -PLUS (5929, 9266), OAUTHBEARER (7628), XOAUTH2, ANONYMOUS (4505, only for
 * "imap", which knows how to keep a guest from changing anything) ---- */
typedef struct Sasl Sasl;
typedef enum { SASL_CONTINUE, SASL_DONE, SASL_FAILED } SaslState;
/* Mechanisms offered on this stream now, best first, separated by sep: "SCRAM-SHA-256-PLUS
 * SCRAM-SHA-256 ... PLAIN LOGIN". */
void sasl_mechanisms(Auth *auth, const char *service, Stream *stream, const char *prefix, char sep,
                     Buf *out);
Sasl *sasl_new(Auth *auth, const char *service, Stream *stream);
void sasl_free(Sasl *s); /* wipes; before its stream is freed */
SCOPED(Sasl, sasl, sasl_free)
/* initial NULL: the client sent no initial response ("=" in the protocol is an empty one). Octets
 * are decoded base64. On SASL_CONTINUE send the challenge (undecoded octets, perhaps empty).
 * SASL_FAILED: *err says why: ERR_AUTH, ERR_SYNTAX, ERR_UNSUPPORTED (no such mechanism),
 * ERR_NEEDS_TLS, ERR_THROTTLED, ERR_TEMPORARY. */
PARKS SaslState sasl_start(Sasl *s, Slice mechanism, const Slice *initial, Buf *challenge,
                           Err *err);
PARKS SaslState sasl_step(Sasl *s, Slice response, Buf *challenge, Err *err);
const AuthUser *sasl_user(const Sasl *s); /* after SASL_DONE */
LoginSuffix sasl_suffix(const Sasl *s);   /* of the name it gave, service "pop3"; borrowed */

/* ---- users: over the control socket and from the command line ---- */
PARKS Err user_add(Auth *auth, Slice login,
                   Slice password) MUST_USE; /* ERR_EXISTS; makes the account too */
PARKS Err user_set_password(Auth *auth, Slice login, Slice password) MUST_USE;
PARKS Err user_remove(Auth *auth, Slice login) MUST_USE; /* account, mail and credentials */
PARKS Err user_list(Auth *auth, Slice after, size_t most, Arena *a, Slice **logins,
                    size_t *count) MUST_USE;
/* address (with domain) delivers to these logins; a put replaces. */
PARKS Err alias_put(Auth *auth, Slice address, const Slice *logins, size_t count) MUST_USE;
PARKS Err alias_remove(Auth *auth, Slice address) MUST_USE;
PARKS Err alias_list(Auth *auth, Arena *a, Slice **lines,
                     size_t *count) MUST_USE; /* "address login login" */

/* ---- addresses ---- */
typedef struct {
    uint32_t acct;
    Slice login;
    Slice detail; /* behind the sub-address separator: the folder wanted; empty: none */
} Recipient;
/* Who gets mail for this address ("anna+lists@example.org", or without domain for LMTP).
 * ERR_NOT_FOUND: the domain is ours but the user is not (5.1.1); ERR_FORBIDDEN: not our domain, and
 * we never relay (5.7.1). The local part is compared without case for ASCII; quoted local parts are
 * unquoted first. Results in the arena. */
PARKS Err auth_resolve(Auth *auth, Slice address, Arena *a, Recipient **recipients,
                       size_t *count) MUST_USE;
/* SASLprep (RFC 4013) and lower case; ERR_SYNTAX. */
Err login_normalise(Slice given, Buf *out) MUST_USE;
