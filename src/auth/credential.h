#pragma once
/* One login's credential and its stored form: an argon2id string and SCRAM keys, made together when
 * the password is set. Only the keeper and the tests use this header. */
#include "auth/keeper.h"

typedef struct {
    uint64_t generation; /* drawn at every change: what was verified before no longer counts */
    char argon2[128];    /* PHC string, NUL-terminated */
    uint32_t iterations;
    uint8_t salt[SCRAM_SALT];
    uint8_t stored_key[2][32], server_key[2][32]; /* by ScramHash; RFC 5802 3 */
    char secret[256]; /* the password itself, when it is to be kept; empty: it is not */
} Credential;

Err credential_make(Credential *c, Slice password,
                    const AuthConfig *config) MUST_USE; /* blocks for tens of ms */
/* Of no password at all, at once. To be compared with it costs what it costs with a real one. Fails
 * where there is no memory to hash in. */
Err credential_invent(Credential *c, const AuthConfig *config) MUST_USE;
bool credential_verify(const Credential *c, Slice password); /* blocks for tens of ms */
/* RFC 5802 3: checks ClientProof for AuthMessage and makes ServerSignature. */
bool credential_scram(const Credential *c, ScramHash hash, Slice auth_message,
                      const uint8_t proof[32], uint8_t signature[32]);
/* RFC 1939 7: MD5 of the timestamp and the password. False also when the password was not kept. */
bool credential_apop(const Credential *c, Slice timestamp, const uint8_t digest[16]);
void credential_encode(Buf *out, const Credential *c);
Err credential_decode(Slice stored, Credential *c) MUST_USE;
/* HMAC by OpenSSL; out has scram_hash_len octets. */
void scram_hmac(ScramHash hash, Slice key, Slice text, uint8_t out[32]);
void scram_digest(ScramHash hash, Slice text, uint8_t out[32]);
