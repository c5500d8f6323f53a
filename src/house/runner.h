#pragma once
/* The runner: another process that calls other hosts for us, and has no files and no mail. Ours has
 * those and calls nobody (sandbox.h). Today it asks issuers about access tokens (RFC 7662).
 *
 * Between the two: messages over a pair of sockets, each a u32 length, then a u8 kind, a u32 number
 * and fields as buf_bytes writes them. To the runner: CONFIG (URL, authorization, a PEM file that
 * vouches for the issuer) and ASK (token). From it: ANSWER (u8 Err, JSON). */
#include "auth/auth.h"
#include "house/config.h"

typedef struct Runner Runner;
enum { RUNNER_MESSAGE_MOST = 256 * 1024, RUNNER_ANSWER_MOST = 64 * 1024, RUNNER_MS = 10 * 1000 };
typedef enum { RUNNER_CONFIG = 1, RUNNER_ASK = 2, RUNNER_ANSWER = 3 } RunnerKind;

/* Starts it, on loop 0, before the sandbox. *runner NULL: the configuration needs none. */
PARKS Err runner_start(const Config *config, Runner **runner) MUST_USE;
PARKS void runner_stop(Runner *runner); /* after run_cancel */
/* For OauthConfig: arg is the Runner. Any loop; at most RUNNER_MS. ERR_TEMPORARY. */
PARKS Err runner_introspect(void *arg, Slice token, Buf *answer);

/* A message, ready to send. */
void runner_put(Buf *out, RunnerKind kind, uint32_t number, const Slice *fields, size_t count);
/* The next one; kind and number read, the fields left in *fields, borrowed from `message`. */
PARKS Err runner_read(Stream *s, Buf *message, RunnerKind *kind, uint32_t *number,
                      Reader *fields) MUST_USE;
