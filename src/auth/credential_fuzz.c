/* What the keeper has stored for a login: a credential that can be read is written again as it was
 * (version 1 as 2), its texts end within it, and no proof fits it. Octets without NUL are a
 * password, too. */
#include "auth/credential.h"
#include "base/fuzz.h"

#include <openssl/evp.h>

static bool ends_within(const char *text, size_t room)
{
    return memchr(text, 0, room) != NULL;
}

/* RFC 1939 7: the MD5 of the timestamp and the password, which has to be kept, and be one. */
static void check_apop(const Credential *c, Slice password)
{
    Slice timestamp = S("<1@x>");
    uint8_t digest[EVP_MAX_MD_SIZE];
    Buf text buf_scoped = {0};
    buf_add(&text, timestamp);
    buf_add(&text, password);
    must(EVP_Digest(text.at, text.len, digest, NULL, EVP_md5(), NULL));
    bool kept = password.len && slice_eq(slice_of(c->secret), password);
    must(credential_apop(c, timestamp, digest) == kept);
    digest[0] ^= 1;
    must(!credential_apop(c, timestamp, digest));
}

/* What is made of a password is let in by it, and by nothing else. */
__attribute__((noinline)) static void make(Slice password)
{
    const AuthConfig config = {.argon2_memory_kib = 8,
                               .argon2_passes = password.len % 2,
                               .scram_iterations = password.len ? 2 : 0,
                               .reversible = password.len % 8 != 7};
    Credential c, same;
    Buf stored buf_scoped = {0}, other buf_scoped = {0};
    must(!credential_make(&c, password, &config));
    credential_encode(&stored, &c);
    must(!credential_decode(buf_slice(&stored), &same));
    must(credential_verify(&same, password));
    buf_add(&other, password);
    buf_char(&other, '!');
    must(!credential_verify(&same, buf_slice(&other)));
    check_apop(&same, password);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Slice stored = slice(data, size);
    Credential c, same;
    Buf again buf_scoped = {0}, twice buf_scoped = {0};
    uint8_t proof[32] = {0}, signature[32];
    if (!size) make((Slice){0});
    if (size && size <= 300 && !memchr(data, 0, size)) make(stored);
    if (credential_decode(stored, &c)) return 0;
    must(ends_within(c.argon2, sizeof c.argon2) && ends_within(c.secret, sizeof c.secret));
    credential_encode(&again, &c);
    if (data[0] == 2) must(slice_eq(buf_slice(&again), stored));
    must(!credential_decode(buf_slice(&again), &same));
    credential_encode(&twice, &same);
    must(slice_eq(buf_slice(&twice), buf_slice(&again)));
    must(!credential_scram(&c, SCRAM_SHA1, S("n=a,r=b"), proof, signature));
    must(!credential_scram(&c, SCRAM_SHA256, S("n=a,r=b"), proof, signature));
    must(!credential_apop(&c, S("<1@x>"), proof));
    return 0;
}
