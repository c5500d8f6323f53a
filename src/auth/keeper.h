#pragma once
/* The keeper: the only place that sees password hashes and SCRAM keys, and that remembers who
 * guesses. It is used by asking (keeper_ask): the one in this process, or the one in a process of
 * its own. Questions and answers are memos (base/memos.def); whoever asks owns and wipes the texts
 * of the question. Answers for unknown logins cost the same and look the same as for wrong
 * passwords.
 *
 * What tries a login (VERIFY, SCRAM_END, APOP, TOKEN, VOUCH, WRONG) names the client's address and
 * is answered with a VERDICT: an Err, how long whoever asked has to hold it back (throttle.h), the
 * login as it is kept, a grant (grant.h) when it is right. */
#include "auth/auth.h"
#include "base/memo.h"

typedef struct Keeper Keeper;
struct Caller;

typedef enum { SCRAM_SHA1, SCRAM_SHA256 } ScramHash;
enum {
    KEEPER_PASSWORD_MOST = 1024,
    KEEPER_LOGIN_MOST = 255,
    SCRAM_SALT = 16,
    SCRAM_MESSAGE_MOST = 2048
};
/* What else than a password may show who somebody is: VOUCH, believed only where the configuration
 * has it. */
typedef enum { VOUCH_CERTIFICATE = 1, VOUCH_ANONYMOUS = 3 } Vouch;

/* The one in this process. An empty dir: nothing is kept. */
PARKS Err keeper_open(const AuthConfig *config, Keeper **keeper) MUST_USE;
/* One that asks the real one, in a process of its own. The caller outlives it. */
Keeper *keeper_remote(struct Caller *caller);
/* Domains, what is vouched for, tokens: from now on. Nothing for a remote one. */
void keeper_reload(Keeper *keeper, const AuthConfig *config);
void keeper_close(Keeper *keeper);

/* Any loop. The answer is of the kind that fits the question; its texts borrow from `memory`, which
 * is the caller's to wipe (secret_scoped). ERR_TEMPORARY: the keeper cannot be reached. */
PARKS Err keeper_ask(Keeper *keeper, const Memo *question, Memo *answer, Buf *memory) MUST_USE;
/* For an Answerer (net/caller.h): arg is a Keeper of this process. ERR_UNSUPPORTED: not a question
 * about logins. */
PARKS Err keeper_answer(void *arg, const Memo *question, Memo *answer, Buf *memory);

size_t scram_hash_len(ScramHash hash);
bool keeper_is_demo(const AuthConfig *config, Slice login); /* u00001 ... up to demo_accounts */
