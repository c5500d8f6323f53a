#include "store/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct Digest {
    EVP_MD_CTX *context;
};

static EVP_MD *sha256_md;

static void fetch(void)
{
    sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
    must(sha256_md);
}

static EVP_MD *algorithm(void)
{
    static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
    must(CRYPTO_THREAD_run_once(&once, fetch));
    return sha256_md;
}

Digest *digest_new(void)
{
    Digest *d = NEW(Digest);
    d->context = EVP_MD_CTX_new();
    must(d->context && EVP_DigestInit_ex2(d->context, algorithm(), NULL));
    return d;
}

void digest_add(Digest *d, Slice octets)
{
    if (octets.len) must(EVP_DigestUpdate(d->context, octets.at, octets.len));
}

void digest_peek(const Digest *d, uint8_t sha256[32])
{
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    must(copy && EVP_MD_CTX_copy_ex(copy, d->context));
    must(EVP_DigestFinal_ex(copy, sha256, NULL));
    EVP_MD_CTX_free(copy);
}

void digest_end(Digest *d, uint8_t sha256[32])
{
    must(EVP_DigestFinal_ex(d->context, sha256, NULL));
}

void digest_free(Digest *d)
{
    if (!d) return;
    EVP_MD_CTX_free(d->context);
    free(d);
}

void digest_of(Slice octets, uint8_t sha256[32])
{
    Digest *d = digest_new();
    digest_add(d, octets);
    digest_end(d, sha256);
    digest_free(d);
}
