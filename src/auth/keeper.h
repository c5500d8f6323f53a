#pragma once
/* The keeper: the only place that sees password hashes and SCRAM keys. It is used by asking, with
 * typed messages of fixed layout, so that it can move to a process of its own without anybody else
 * changing. Answers for unknown logins cost the same and look the same as for wrong passwords. */
#include "base/memo.h"
#include "run/run.h"

typedef struct Keeper Keeper;

typedef enum {
#define ASK(name, meaning) KEEPER_##name,
#include "auth/keeper.def"
#undef ASK
} KeeperAsk;

typedef enum { SCRAM_SHA1, SCRAM_SHA256 } ScramHash;
enum {
    KEEPER_PASSWORD_MOST = 1024,
    KEEPER_LOGIN_MOST = 255,
    SCRAM_SALT = 16,
    SCRAM_MESSAGE_MOST = 2048
};

typedef struct {
    uint8_t ask;  /* KeeperAsk */
    uint8_t hash; /* ScramHash */
    uint16_t password_len, message_len;
    char login[KEEPER_LOGIN_MOST + 1];   /* normalised, NUL-terminated */
    char password[KEEPER_PASSWORD_MOST]; /* VERIFY, SET: SASLprep'd */
    char message[SCRAM_MESSAGE_MOST];    /* SCRAM_END: AuthMessage, RFC 5802 3; APOP: timestamp */
    uint8_t proof[32];                   /* SCRAM_END: ClientProof; APOP: MD5, 16 octets */
} KeeperRequest;

typedef struct {
    Err err;                  /* OK, ERR_AUTH, ERR_NOT_FOUND (HAS, REMOVE), ERR_TEMPORARY */
    uint32_t iterations;      /* SCRAM_BEGIN */
    uint8_t salt[SCRAM_SALT]; /* SCRAM_BEGIN */
    uint8_t signature[32];    /* SCRAM_END: ServerSignature */
} KeeperReply;

typedef struct {
    Slice dir; /* its own directory; empty: nothing is kept (simulated world) */
    uint32_t argon2_memory_kib, argon2_passes, scram_iterations;
    uint32_t demo_accounts; /* u00001 ... share one credential */
    Slice demo_password;
    bool reversible; /* keep new passwords themselves too: only APOP needs that */
} KeeperConfig;
PARKS Err keeper_open(const KeeperConfig *config, Keeper **keeper) MUST_USE;
void keeper_close(Keeper *keeper);
/* One that asks the real one, in a process of its own. The caller outlives it. */
struct Caller;
Keeper *keeper_remote(struct Caller *caller);
/* For answerer_serve (net/caller.h): arg is a Keeper of this process. */
PARKS Err keeper_answer(void *arg, const Memo *question, Memo *answer, Buf *memory);
/* Any loop. Wipes the request. */
PARKS void keeper_ask(Keeper *keeper, KeeperRequest *request, KeeperReply *reply);
size_t scram_hash_len(ScramHash hash);
bool keeper_is_demo(const KeeperConfig *config, Slice login); /* u00001 ... up to demo_accounts */
