#include "auth/credential.h"

#include "base/text.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

size_t scram_hash_len(ScramHash hash)
{
    return hash == SCRAM_SHA1 ? 20 : 32;
}

static const EVP_MD *digest_of(ScramHash hash)
{
    return hash == SCRAM_SHA1 ? EVP_sha1() : EVP_sha256();
}

void scram_hmac(ScramHash hash, Slice key, Slice text, uint8_t out[32])
{
    must(HMAC(digest_of(hash), key.at, (int)key.len, (const unsigned char *)text.at, text.len, out,
              NULL));
}

void scram_digest(ScramHash hash, Slice text, uint8_t out[32])
{
    must(EVP_Digest(text.at, text.len, out, NULL, digest_of(hash), NULL));
}

/* RFC 5802 3: SaltedPassword := Hi(password, salt, i); ClientKey, StoredKey, ServerKey follow. */
static void derive_keys(Credential *c, ScramHash hash, Slice password)
{
    uint8_t salted[32], client_key[32];
    size_t len = scram_hash_len(hash);
    if (!PKCS5_PBKDF2_HMAC(password.at, (int)password.len, c->salt, SCRAM_SALT, (int)c->iterations,
                           digest_of(hash), (int)len, salted))
        out_of_memory(len);
    scram_hmac(hash, slice(salted, len), S("Client Key"), client_key);
    scram_digest(hash, slice(client_key, len), c->stored_key[hash]);
    scram_hmac(hash, slice(salted, len), S("Server Key"), c->server_key[hash]);
    wipe(salted, sizeof salted);
    wipe(client_key, sizeof client_key);
}

static uint64_t passes_of(const AuthConfig *config)
{
    return config->argon2_passes ? config->argon2_passes : 2;
}

static size_t kib_of(const AuthConfig *config)
{
    return config->argon2_memory_kib ? config->argon2_memory_kib : 19456;
}

static void begin(Credential *c, const AuthConfig *config)
{
    *c = (Credential){.iterations = config->scram_iterations ? config->scram_iterations : 4096};
    random_bytes(&c->generation, sizeof c->generation);
    random_bytes(c->salt, sizeof c->salt);
}

Err credential_make(Credential *c, Slice password, const AuthConfig *config)
{
    begin(c, config);
    if (crypto_pwhash_str_alg(c->argon2, password.at ? password.at : "", password.len,
                              passes_of(config), kib_of(config) * 1024,
                              crypto_pwhash_ALG_ARGON2ID13))
        return fail(ERR_TEMPORARY, "argon2id: not enough memory");
    derive_keys(c, SCRAM_SHA1, password);
    derive_keys(c, SCRAM_SHA256, password);
    if (config->reversible && password.at && password.len < sizeof c->secret)
        memcpy(c->secret, password.at, password.len);
    return OK;
}

/* "$" and so many octets in base64, without padding. */
static void add_random(Buf *out, size_t len)
{
    uint8_t octets[32];
    random_bytes(octets, sizeof octets);
    buf_char(out, '$');
    base64_encode(out, slice(octets, MIN(len, sizeof octets)));
    while (out->at[out->len - 1] == '=')
        out->len--;
}

/* As crypto_pwhash_str_alg writes it: 16 octets of salt, 32 of hash. */
Err credential_invent(Credential *c, const AuthConfig *config)
{
    Buf text buf_scoped = {0};
    if (!mem_fits(kib_of(config) * 1024)) return fail(ERR_TEMPORARY, "argon2id: not enough memory");
    begin(c, config);
    buf_printf(&text, "$argon2id$v=19$m=%zu,t=%llu,p=1", kib_of(config),
               (unsigned long long)passes_of(config));
    add_random(&text, 16);
    add_random(&text, 32);
    must(text.len < sizeof c->argon2);
    memcpy(c->argon2, text.at, text.len);
    random_bytes(c->stored_key, sizeof c->stored_key);
    random_bytes(c->server_key, sizeof c->server_key);
    return OK;
}

bool credential_apop(const Credential *c, Slice timestamp, const uint8_t digest[16])
{
    Buf text buf_scoped = {0};
    uint8_t wanted[EVP_MAX_MD_SIZE];
    buf_add(&text, timestamp);
    buf_add(&text, slice_of(c->secret));
    bool made = EVP_Digest(text.at, text.len, wanted, NULL, EVP_md5(), NULL);
    wipe(text.at, text.len);
    return made && c->secret[0] &&
           bytes_equal_in_constant_time(slice(wanted, 16), slice(digest, 16));
}

bool credential_verify(const Credential *c, Slice password)
{
    return crypto_pwhash_str_verify(c->argon2, password.at ? password.at : "", password.len) == 0;
}

/* ClientKey := ClientProof XOR HMAC(StoredKey, AuthMessage); right if H(ClientKey) = StoredKey. */
bool credential_scram(const Credential *c, ScramHash hash, Slice auth_message,
                      const uint8_t proof[32], uint8_t signature[32])
{
    size_t len = scram_hash_len(hash);
    uint8_t key[32], stored[32];
    scram_hmac(hash, slice(c->stored_key[hash], len), auth_message, key);
    for (size_t i = 0; i < len; i++)
        key[i] ^= proof[i];
    scram_digest(hash, slice(key, len), stored);
    bool right = bytes_equal_in_constant_time(slice(stored, len), slice(c->stored_key[hash], len));
    scram_hmac(hash, slice(c->server_key[hash], len), auth_message, signature);
    wipe(key, sizeof key);
    return right;
}

/* version u8 = 2 | generation u64 | iterations u32 | salt | keys (SHA-1, SHA-256: stored, server) |
 * argon2 with its length |
 * the password with its length, mostly empty (not in version 1) */
void credential_encode(Buf *out, const Credential *c)
{
    buf_u8(out, 2);
    buf_u64(out, c->generation);
    buf_u32(out, c->iterations);
    buf_add(out, slice(c->salt, sizeof c->salt));
    for (int hash = SCRAM_SHA1; hash <= SCRAM_SHA256; hash++) {
        buf_add(out, slice(c->stored_key[hash], scram_hash_len((ScramHash)hash)));
        buf_add(out, slice(c->server_key[hash], scram_hash_len((ScramHash)hash)));
    }
    buf_bytes(out, slice_of(c->argon2));
    buf_bytes(out, slice_of(c->secret));
}

static void read_into(Reader *r, uint8_t *out, size_t len)
{
    Slice raw = read_raw(r, len);
    if (raw.len == len) memcpy(out, raw.at, len);
}

static Err read_text(Reader *r, char *out, size_t room)
{
    Slice text = read_bytes(r);
    if (r->bad || text.len >= room || (text.len && memchr(text.at, 0, text.len)))
        return fail(ERR_CORRUPT, "credential is cut or too long");
    if (text.len) memcpy(out, text.at, text.len);
    return OK;
}

static Err read_texts(Reader *r, uint8_t version, Credential *c)
{
    TRY(read_text(r, c->argon2, sizeof c->argon2));
    if (version > 1) TRY(read_text(r, c->secret, sizeof c->secret));
    return r->rest.len ? fail(ERR_CORRUPT, "credential is too long") : OK;
}

Err credential_decode(Slice stored, Credential *c)
{
    Reader r = reader(stored);
    *c = (Credential){0};
    uint8_t version = read_u8(&r);
    if (version != 1 && version != 2) return fail(ERR_CORRUPT, "credential of an unknown version");
    c->generation = read_u64(&r);
    c->iterations = read_u32(&r);
    read_into(&r, c->salt, SCRAM_SALT);
    for (int hash = SCRAM_SHA1; hash <= SCRAM_SHA256; hash++) {
        read_into(&r, c->stored_key[hash], scram_hash_len((ScramHash)hash));
        read_into(&r, c->server_key[hash], scram_hash_len((ScramHash)hash));
    }
    return read_texts(&r, version, c);
}
