#pragma once
/* TLS by OpenSSL: server certificates, reload, client contexts for tests and for our own client.
 * TLS 1.2 and 1.3, no renegotiation, buffers released when idle, tickets shared by all loops. */
#include "base/base.h"

typedef struct TlsContext TlsContext; /* reference-counted snapshot; safe to share between loops */

/* PEM files, the certificate first in its chain; ERR_CONFIG or ERR_NOT_FOUND with a story. */
Err tls_server_new(Slice certificate_path, Slice key_path, TlsContext **ctx) MUST_USE;
/* Clients may show certificates, which have to come from one of the authorities in this PEM file.
 * One that does not is as good as none: the handshake goes on. */
Err tls_server_ask_client(TlsContext *ctx, Slice authorities_path) MUST_USE;
/* verify: against the system's certificates and the host given to stream_start_tls_client. */
TlsContext *tls_client_new(bool verify);
Err tls_client_trust(TlsContext *ctx, Slice certificate_path) MUST_USE; /* this one too */
TlsContext *tls_ref(TlsContext *ctx);
void tls_unref(TlsContext *ctx);
SCOPED(TlsContext, tls, tls_unref)
/* An ECDSA P-256 certificate for these host names and addresses, self-signed, 10 years; files with
 * mode 0600, written atomically, key first. Nothing happens when both exist; a key that
 * is there alone is used, a certificate that is there alone is ERR_CONFIG. */
Err tls_make_self_signed(Slice certificate_path, Slice key_path, const Slice *names,
                         size_t count) MUST_USE;
void tls_certificate_fingerprint(TlsContext *ctx, Buf *hex); /* SHA-256 of the leaf */

/* The certificate everybody uses now; replaced on reload. tls_current returns a reference or NULL.
 * Any thread. */
void tls_set_current(TlsContext *ctx);
TlsContext *tls_current(void);
