/* Channel bindings: what SCRAM-...-PLUS mixes into its proof so that nobody sits in between. */
#include "net/inside.h"
#include <openssl/evp.h>
#include <openssl/x509.h>

/* RFC 9266 2: defined where the master secret is unique, which before TLS 1.3 takes the extended
 * master secret of RFC 7627. tls-unique has the same need (the triple handshake attack). */
static bool secret_is_unique(SSL *ssl)
{
    return SSL_version(ssl) >= TLS1_3_VERSION || SSL_get_extms_support(ssl) == 1;
}

static Err unsupported(const char *why)
{
    return fail(ERR_UNSUPPORTED, "channel binding: %s", why);
}

/* RFC 9266 2. */
static Err tls_exporter(SSL *ssl, Buf *out)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    unsigned char keying[32];
    if (!secret_is_unique(ssl)) return unsupported("no extended master secret");
    if (SSL_export_keying_material(ssl, keying, sizeof keying, label, sizeof label - 1,
                                   (const unsigned char *)"", 0, 1) != 1)
        out_of_memory(sizeof keying); /* the handshake is done */
    buf_add(out, slice(keying, sizeof keying));
    return OK;
}

/* RFC 5929 4.1: the hash of the server's certificate by the hash of its signature, or by SHA-256
 * where that is MD5 or SHA-1. Ed25519 names no hash, so nothing is defined. */
static Err tls_server_end_point(SSL *ssl, Buf *out)
{
    X509 *certificate =
        SSL_is_server(ssl) ? SSL_get_certificate(ssl) : SSL_get0_peer_certificate(ssl);
    int hash = NID_undef;
    if (!certificate) return unsupported("no certificate");
    (void)X509_get_signature_info(certificate, &hash, NULL, NULL, NULL); /* or there is no hash */
    if (hash == NID_md5 || hash == NID_sha1) hash = NID_sha256;
    const EVP_MD *md = hash == NID_undef ? NULL : EVP_get_digestbynid(hash);
    if (!md) return unsupported("the certificate's signature has no hash");
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len;
    if (!X509_digest(certificate, md, digest, &len)) out_of_memory(0);
    buf_add(out, slice(digest, len));
    return OK;
}

/* RFC 5929 3.1: the first Finished of the handshake: the client's, or the server's where a session
 * was taken up again. Not defined for TLS 1.3 (RFC 8446 appendix C.5). */
static Err tls_unique(SSL *ssl, Buf *out)
{
    if (SSL_version(ssl) >= TLS1_3_VERSION) return unsupported("not defined for TLS 1.3");
    if (!secret_is_unique(ssl)) return unsupported("no extended master secret");
    unsigned char finished[EVP_MAX_MD_SIZE];
    bool server_was_first = SSL_session_reused(ssl);
    bool we_were_first = (SSL_is_server(ssl) != 0) == server_was_first;
    size_t len = we_were_first ? SSL_get_finished(ssl, finished, sizeof finished)
                               : SSL_get_peer_finished(ssl, finished, sizeof finished);
    must(len); /* the handshake is done */
    buf_add(out, slice(finished, len));
    return OK;
}

Err stream_channel_binding(Stream *s, ChannelBinding type, Buf *out)
{
    if (s->remote) return remote_channel_binding(s, type, out);
    if (!s->shaken) return unsupported("no TLS");
    switch (type) {
    case BINDING_TLS_EXPORTER:
        return tls_exporter(s->ssl, out);
    case BINDING_TLS_SERVER_END_POINT:
        return tls_server_end_point(s->ssl, out);
    case BINDING_TLS_UNIQUE:
        return tls_unique(s->ssl, out);
    }
    return unsupported("of an unknown type");
}
