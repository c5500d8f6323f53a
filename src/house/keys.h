#pragma once
/* The private keys that the keeper signs with, and what fronts are told of them: the certificate in
 * its chain, the authorities of clients, the keys of session tickets. One of a generation; whoever
 * asks for news waits for the next. */
#include "base/memo.h"
#include "house/config.h"

typedef struct Keys Keys;
/* Reads the files (makes our own, if there are none), and the authorities. Blocks. */
Err keys_open(const Config *config, Keys **keys) MUST_USE;
void keys_close(Keys *keys);
/* The files of this configuration, read now. What is there stays when they are no good. */
PARKS Err keys_reload(Keys *keys, const Config *config) MUST_USE;
/* Looks at the files every ten seconds, and makes new keys of tickets, until run_cancel. */
PARKS void keys_watch(Keys *keys);
/* TLS_NEWS, TLS_SIGN; ERR_UNSUPPORTED: another question. */
PARKS Err keys_answer(Keys *keys, const Memo *question, Memo *answer, Buf *memory);
