/* What the keeper has stored for a login: a credential that can be read is written again as it was
 * (version 1 as 2), its texts end within it, and no proof fits it. Octets without NUL are a
 * password, too. */
#include "auth/credential.h"
#include "base/fuzz.h"

static bool ends_within(const char *text, size_t room)
{
    return memchr(text, 0, room) != NULL;
}

/* What is made of a password is let in by it, and by nothing else. */
__attribute__((noinline)) static void make(Slice password)
{
    static const AuthConfig config = {
        .argon2_memory_kib = 8, .argon2_passes = 1, .scram_iterations = 2, .reversible = true};
    Credential c, same;
    Buf stored buf_scoped = {0}, other buf_scoped = {0};
    must(!credential_make(&c, password, &config));
    credential_encode(&stored, &c);
    must(!credential_decode(buf_slice(&stored), &same));
    must(credential_verify(&same, password));
    buf_add(&other, password);
    buf_char(&other, '!');
    must(!credential_verify(&same, buf_slice(&other)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Slice stored = slice(data, size);
    Credential c, same;
    Buf again buf_scoped = {0}, twice buf_scoped = {0};
    uint8_t proof[32] = {0}, signature[32];
    if (size <= 300 && !memchr(data, 0, size)) make(stored);
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
