/* Session tickets, RFC 5077 and RFC 8446 4.6.1, under keys of our own that all loops and all
 * reloads of the certificate share, so a client may take up its session on any of them. A key makes
 * tickets for twelve hours and reads them for as long again; then it is gone, and with it the means
 * to read what was recorded. */
#include "base/text.h"
#include "net/inside.h"
#include "net/tls_signer.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>

#define LIFE_MS ((int64_t)12 * 3600 * 1000)

typedef struct {
    unsigned char name[16], aes[32], mac[32];
    int64_t made_ms; /* 0: none */
} TicketKey;

static Mutex mutex;
static TicketKey current, previous;
static bool are_given; /* somebody else rotates them */

static void rotate(void)
{
    int64_t now = MAX(now_ms(), (int64_t)1);
    if (are_given) return;
    if (previous.made_ms && now - previous.made_ms >= 2 * LIFE_MS) wipe(&previous, sizeof previous);
    if (current.made_ms && now - current.made_ms < LIFE_MS) return;
    previous = current;
    if (previous.made_ms && now - previous.made_ms >= 2 * LIFE_MS) wipe(&previous, sizeof previous);
    random_bytes(&current, offsetof(TicketKey, made_ms));
    current.made_ms = now;
}

/* A copy of the key to use; false: nobody has it any more. */
static bool pick(const unsigned char *name, bool making, TicketKey *key, bool *is_old)
{
    mutex_lock(&mutex);
    rotate();
    bool is_current = making || !memcmp(name, current.name, sizeof current.name);
    *is_old = !is_current && previous.made_ms && !memcmp(name, previous.name, sizeof current.name);
    *key = is_current ? current : previous;
    mutex_unlock(&mutex);
    return is_current || *is_old;
}

static void set_up_mac(EVP_MAC_CTX *mac, TicketKey *key)
{
    char hash[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, hash, 0),
        OSSL_PARAM_construct_end(),
    };
    if (EVP_MAC_CTX_set_params(mac, params) != 1) out_of_memory(0);
}

static void use_key(TicketKey *key, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                    bool making)
{
    const EVP_CIPHER *aes = EVP_aes_256_cbc();
    if (making) random_bytes(iv, (size_t)EVP_CIPHER_get_iv_length(aes));
    if (!EVP_CipherInit_ex2(cipher, aes, key->aes, iv, making, NULL)) out_of_memory(0);
    set_up_mac(mac, key);
}

/* The numbers are OpenSSL's: 0 no such ticket, 1 fine, 2 fine but make a new one. */
static int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                      EVP_MAC_CTX *mac, int making)
{
    TicketKey key;
    bool is_old;
    if (!pick(name, making, &key, &is_old)) return 0;
    if (making) memcpy(name, key.name, sizeof key.name);
    /* RFC 8446 C.4: a client should not use a ticket twice, so it needs a new one every time. */
    bool renew = is_old || SSL_version(ssl) >= TLS1_3_VERSION;
    use_key(&key, iv, cipher, mac, making);
    wipe(&key, sizeof key);
    return renew && !making ? 2 : 1;
}

static void put_key(Buf *out, const TicketKey *key)
{
    buf_add(out, slice(key, key->made_ms ? offsetof(TicketKey, made_ms) : 0));
}

void tls_tickets_put(Buf *out)
{
    mutex_lock(&mutex);
    rotate();
    buf_reserve(out, 2 * sizeof current);
    put_key(out, &current);
    put_key(out, &previous);
    mutex_unlock(&mutex);
}

static void take_key(Reader *r, TicketKey *key)
{
    *key = (TicketKey){0};
    if (!r->rest.len) return;
    memcpy(key, read_raw(r, offsetof(TicketKey, made_ms)).at, offsetof(TicketKey, made_ms));
    key->made_ms = 1;
}

Err tls_tickets_take(Slice keys)
{
    size_t each = offsetof(TicketKey, made_ms);
    if (keys.len != each && keys.len != 2 * each)
        return fail(ERR_SYNTAX, "keys of tickets of %zu octets", keys.len);
    Reader r = reader(keys);
    mutex_lock(&mutex);
    take_key(&r, &current);
    take_key(&r, &previous);
    are_given = true;
    mutex_unlock(&mutex);
    return OK;
}

void tls_ticket_use(SSL_CTX *ctx)
{
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key);
    SSL_CTX_set_timeout(ctx, (long)(LIFE_MS / 1000));
}
