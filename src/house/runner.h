#pragma once
/* The runner: another process that calls other hosts for us, and has no files and no mail. Ours has
 * those and calls nobody (sandbox.h). It asks issuers about access tokens (RFC 7662); who asks it
 * does so over a Caller (net/caller.h): INTROSPECT. */
#include "auth/auth.h"
#include "house/config.h"
#include "net/caller.h"

enum { RUNNER_ANSWER_MOST = 64 * 1024, RUNNER_MS = 10 * 1000 };

/* ---- whoever asks ---- */

/* For OauthConfig: arg is a Caller. Any loop; little more than RUNNER_MS. ERR_TEMPORARY. */
PARKS Err runner_introspect(void *arg, Slice token, Buf *answer);

/* One of the single process, started on loop 0 before the sandbox. *runner NULL: the configuration
 * needs none. */
typedef struct Runner Runner;
PARKS Err runner_start(const Config *config, Runner **runner) MUST_USE;
PARKS void runner_stop(Runner *runner);
Caller *runner_caller(Runner *runner);

/* ---- the runner itself ---- */

typedef struct Errands Errands;
/* url, authorization (RFC 9110 11.6.2), a PEM file that vouches for the issuer or nothing.
 * ERR_CONFIG. */
Err errands_new(Slice url, Slice authorization, Slice authority, Errands **errands) MUST_USE;
void errands_free(Errands *errands);
SCOPED(Errands, errands, errands_free)
/* For an Answerer: arg is the Errands. */
PARKS Err errands_answer(void *arg, const Memo *question, Memo *answer, Buf *memory);
/* RFC 6749 2.3.1: HTTP Basic of the client's name and secret; empty: it has none. */
Slice runner_authorization(const Config *config, Arena *a);
/* From here on this process reaches what names need (resolv.conf, the libraries that getaddrinfo
 * loads), and no other file. */
Err runner_close_files(void) MUST_USE;
