#pragma once
/* TLS whose private key is in another process. Who shakes hands has the certificate; OpenSSL gets a
 * key from a provider of ours that knows its public half only and asks for each signature, in the
 * middle of the handshake: the fiber parks with OpenSSL's frames on its stack. Only signing is
 * asked for: all our cipher suites are ECDHE (RFC 8446 4.4.3, RFC 8422 5.4).
 *
 * Who has the key signs nothing but what a TLS server has to sign, so that one who may ask gets no
 * signature that is good for anything else. */
#include "net/caller.h"
#include "net/tls.h"

enum { TLS_SIGNED_MOST = 512, TLS_SIGNATURE_MOST = 1024 };

/* ---- the side with the certificate ---- */
typedef struct {
    /* Asks for the signature of `octets` by the scheme (RFC 8446 4.2.3; for TLS 1.2 hash and
     * algorithm, RFC 5246 7.4.1.4.1: the same numbers) under the key with this number. PARKS. */
    Err (*sign)(void *arg, uint32_t key, uint16_t scheme, Slice octets, Buf *signature);
    void *arg;
} TlsSigner;
/* One that asks the keeper (TLS_SIGN). */
TlsSigner tls_signer_by(Caller *keeper);
/* PEM: the certificate first in its chain; the authorities of client certificates, or empty. The
 * signer outlives all contexts. */
Err tls_server_remote(Slice chain, Slice authorities, uint32_t key, const TlsSigner *signer,
                      TlsContext **ctx) MUST_USE;

/* ---- the side with the key ---- */
typedef struct TlsKey TlsKey;
/* From a PEM file; `chain` is read too and has to fit. ERR_CONFIG. */
Err tls_key_open(Slice certificate_path, Slice key_path, Buf *chain, TlsKey **key) MUST_USE;
void tls_key_free(TlsKey *key); /* wiped */
SCOPED(TlsKey, tls_key, tls_key_free)
/* A handshake's signature; blocks for as long as RSA takes (a millisecond). ERR_FORBIDDEN: that is
 * nothing a TLS server signs; ERR_UNSUPPORTED: not by this key. */
bool tls_key_is_slow(const TlsKey *key); /* a helper's work */
Err tls_key_sign(TlsKey *key, uint16_t scheme, Slice octets, Buf *signature) MUST_USE;

/* ---- session tickets, the same for all who serve ---- */
void tls_tickets_put(Buf *out);            /* the keys of now (rotated when it is time); secret */
Err tls_tickets_take(Slice keys) MUST_USE; /* from now on these, which somebody else rotates */
