/* Client certificates: asking for them, and who they are about. */
#include "base/text.h"
#include "net/inside.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

/* ---- asking ---- */

/* Who has no good certificate is a stranger like all others: the verdict is asked for later. */
static int go_on(int good, X509_STORE_CTX *ctx)
{
    (void)good, (void)ctx;
    return 1;
}

static Err trust(SSL_CTX *ssl, BIO *pem, Slice path)
{
    size_t count = 0;
    for (;; count++) {
        X509 *authority = PEM_read_bio_X509(pem, NULL, NULL, NULL);
        if (!authority) break;
        if (!X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), authority) ||
            !SSL_CTX_add_client_CA(ssl, authority))
            out_of_memory(0);
        X509_free(authority);
    }
    ERR_clear_error();
    return count ? OK : fail(ERR_CONFIG, "%.*s: no certificate", SP(path));
}

Err tls_trust_clients(SSL_CTX *ssl, BIO *pem, Slice path)
{
    TRY(trust(ssl, pem, path));
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, go_on);
    return OK;
}

Err tls_server_ask_client(TlsContext *ctx, Slice authorities_path)
{
    Err err;
    BIO *pem = tls_pem_open(authorities_path, &err);
    TRY(err);
    err = tls_trust_clients(ctx->ssl, pem, authorities_path);
    BIO_free(pem);
    return err;
}

/* ---- names ---- */

/* A name with a NUL in it says one thing to those who sign and another to those who compare. */
static void add(Arena *a, Slice *names, size_t *count, size_t room, const ASN1_STRING *text)
{
    unsigned char *utf8 = NULL;
    int len = ASN1_STRING_to_UTF8(&utf8, text);
    if (len > 0 && *count < room && !memchr(utf8, 0, (size_t)len))
        names[(*count)++] = arena_copy(a, slice(utf8, (size_t)len));
    OPENSSL_free(utf8);
}

enum { NAMES_MOST = 16 };

static void add_alternatives(X509 *certificate, Arena *a, Slice *names, size_t *count)
{
    GENERAL_NAMES *list = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(list); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(list, i);
        if (name->type == GEN_EMAIL) add(a, names, count, NAMES_MOST, name->d.rfc822Name);
    }
    GENERAL_NAMES_free(list);
}

static void add_subject(X509 *certificate, int nid, Arena *a, Slice *names, size_t *count)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, nid, -1);
    if (at < 0) return;
    add(a, names, count, NAMES_MOST, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

size_t stream_client_names(const Stream *s, ClientName kind, Arena *a, Slice **names)
{
    if (s->remote) return remote_client_names(s, kind, a, names);
    size_t count = 0;
    X509 *certificate = s->shaken ? SSL_get0_peer_certificate(s->ssl) : NULL;
    if (!certificate || SSL_get_verify_result(s->ssl) != X509_V_OK) return 0;
    *names = arena_array(a, Slice, NAMES_MOST);
    if (kind == CLIENT_COMMON_NAME) {
        add_subject(certificate, NID_commonName, a, *names, &count);
    } else {
        add_alternatives(certificate, a, *names, &count);
        if (!count) add_subject(certificate, NID_pkcs9_emailAddress, a, *names, &count);
    }
    ERR_clear_error();
    return count;
}
