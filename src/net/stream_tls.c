/* TLS under a stream. OpenSSL reads and writes through a BIO of ours that tries the sock and never
 * waits, so no OpenSSL function is on the stack when a fiber parks. */
#include "base/metric.h"
#include "net/inside.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>

/* ---- OpenSSL's way to the sock ---- */

static int sock_bio_read(BIO *bio, char *out, size_t len, size_t *got)
{
    Stream *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *got = 0;
    if (!s->shaken && inbox_waiting(&s->in).len) { /* the ClientHello */
        Slice some = inbox_take(&s->in, len);
        memcpy(out, some.at, some.len);
        *got = some.len;
        return 1;
    }
    Err err = sock_try_read(s->sock, out, len, got);
    if (err)
        s->sock_error = err;
    else if (!*got)
        BIO_set_retry_read(bio);
    return !err && *got > 0;
}

static int sock_bio_write(BIO *bio, const char *octets, size_t len, size_t *sent)
{
    Stream *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *sent = 0;
    Slice part = slice(octets, len);
    Err err = sock_try_write(s->sock, &part, 1, sent);
    if (err)
        s->sock_error = err;
    else if (!*sent)
        BIO_set_retry_write(bio);
    return !err && *sent > 0;
}

static long sock_bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)number, (void)pointer;
    const Stream *s = BIO_get_data(bio);
    if (command == BIO_CTRL_EOF) return s->sock_error == ERR_END;
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *sock_method_new(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "sock");
    if (!m) out_of_memory(0);
    BIO_meth_set_read_ex(m, sock_bio_read);
    BIO_meth_set_write_ex(m, sock_bio_write);
    BIO_meth_set_ctrl(m, sock_bio_ctrl);
    return m;
}

/* What a call that did not succeed means. */
static Err outcome(Stream *s, int result, SockEvents *wants)
{
    switch (SSL_get_error(s->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        *wants = SOCK_READABLE;
        return OK;
    case SSL_ERROR_WANT_WRITE:
        *wants = SOCK_WRITABLE;
        return OK;
    case SSL_ERROR_ZERO_RETURN:
        return fail(ERR_END, "the peer said goodbye");
    default:
        break;
    }
    s->tls_is_broken = true;
    long verdict = SSL_get_verify_result(s->ssl);
    if (!s->sock_error && verdict != X509_V_OK)
        return tls_failed(ERR_TLS, X509_verify_cert_error_string(verdict));
    return tls_failed(s->sock_error ? s->sock_error : ERR_TLS, "TLS");
}

static Err no_tls_any_more(void)
{
    return fail(ERR_TLS, "TLS failed before");
}

enum { RECORD_MOST = 16384 }; /* RFC 8446 5.1: octets of ours in one */

/* The queue of errors belongs to the thread, so another fiber may have left something in it. */
static Err tls_try_read(Stream *s, void *out, size_t len, size_t *got, SockEvents *wants)
{
    if (s->tls_is_broken) return no_tls_any_more();
    ERR_clear_error();
    int result = SSL_read_ex(s->ssl, out, len, got);
    return result > 0 ? OK : outcome(s, result, wants);
}

static Err tls_try_write(Stream *s, Slice octets, size_t *sent, SockEvents *wants)
{
    if (s->tls_is_broken) return no_tls_any_more();
    ERR_clear_error();
    sock_more(s->sock, octets.len > RECORD_MOST); /* who calls goes on with the next record */
    int result = SSL_write_ex(s->ssl, octets.at, octets.len, sent);
    sock_more(s->sock, false);
    return result > 0 ? OK : outcome(s, result, wants);
}

Err channel_try_read(Stream *s, void *out, size_t len, size_t *got, SockEvents *wants)
{
    *got = 0;
    return s->ssl ? tls_try_read(s, out, len, got, wants) : sock_try_read(s->sock, out, len, got);
}

Err channel_try_write(Stream *s, Slice octets, size_t *sent, SockEvents *wants)
{
    *sent = 0;
    return s->ssl ? tls_try_write(s, octets, sent, wants)
                  : sock_try_write(s->sock, &octets, 1, sent);
}

/* ---- ALPN, RFC 7301 ---- */

void stream_set_alpn(Stream *s, Slice name)
{
    must(name.len < 256);
    buf_clear(&s->alpn);
    buf_u8(&s->alpn, (uint8_t)name.len); /* as on the wire: a length octet, then the name */
    buf_add(&s->alpn, name);
}

/* 3.2: a client that offers names of which none is ours was meant for another protocol, and is told
 * so before it can send a command of that protocol. */
int tls_choose_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_len,
                    const unsigned char *offered, unsigned offered_len, void *nothing)
{
    (void)nothing;
    const Stream *s = SSL_get_app_data(ssl);
    if (!s->alpn.len) return SSL_TLSEXT_ERR_NOACK;
    Slice ours = slice_from(buf_slice(&s->alpn), 1);
    Reader r = reader(slice(offered, offered_len));
    Slice name;
    while ((name = read_raw(&r, read_u8(&r))).len) { /* 3.1: none is empty */
        if (!slice_eq(name, ours)) continue;
        *chosen = (const unsigned char *)name.at;
        *chosen_len = (unsigned char)name.len;
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- the handshake ---- */

static void put_tls_under(Stream *s, TlsContext *ctx)
{
    must(!s->ssl);
    s->tls = tls_ref(ctx);
    s->ssl = SSL_new(ctx->ssl);
    BIO *bio = BIO_new(ctx->method);
    if (!s->ssl || !bio) out_of_memory(0);
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio);
    SSL_set_app_data(s->ssl, s);
}

PARKS static Err wait_to_shake(Stream *s, SockEvents wants)
{
    return sock_await(s->sock, wants, s->deadline_ms, "TLS handshake");
}

PARKS static Err shake_hands(Stream *s)
{
    for (;;) {
        if (now_ms() >= s->deadline_ms) return fail(ERR_TIMEOUT, "the TLS handshake took too long");
        SockEvents wants = SOCK_READABLE;
        ERR_clear_error();
        int result = SSL_do_handshake(s->ssl);
        if (result > 0) return OK;
        TRY(outcome(s, result, &wants));
        TRY(wait_to_shake(s, wants));
    }
}

/* A ClientHello is awaited in a few octets of ours. OpenSSL takes 40 KiB as soon as it is asked,
 * and those who send half of one come in thousands. What is no handshake is left for it to refuse.
 */
PARKS static Err await_hello(Stream *s)
{
    enum { HEAD = 5, HANDSHAKE = 22 }; /* RFC 8446 5.1 */
    for (;;) {
        Slice have = inbox_waiting(&s->in);
        const unsigned char *at = (const unsigned char *)have.at;
        size_t record = have.len < HEAD ? 0 : (size_t)at[3] << 8 | at[4];
        size_t wanted = HEAD + record, got = 0;
        bool is_none = have.len && (at[0] != HANDSHAKE || record > RECORD_MOST);
        if (is_none || have.len >= wanted) return OK;
        if (now_ms() >= s->deadline_ms) return fail(ERR_TIMEOUT, "the ClientHello took too long");
        char *to = inbox_reserve(&s->in, wanted - have.len);
        TRY(sock_try_read(s->sock, to, wanted - have.len, &got));
        s->in.bytes.len += got;
        if (!got) TRY(wait_to_shake(s, SOCK_READABLE));
    }
}

/* RFC 3207 4.2 and its like: what was sent in the clear before the handshake must not be taken for
 * something said under TLS. */
PARKS static Err begin_tls(Stream *s, TlsContext *ctx, void (*prepare)(SSL *ssl))
{
    TRY(stream_flush(s));
    if (s->deaf) return s->error;
    stream_discard_input(s);
    if (prepare == SSL_set_accept_state) {
        Err err = await_hello(s);
        if (err) stream_fail(s, err);
        if (err) return err;
    }
    put_tls_under(s, ctx);
    prepare(s->ssl);
    return OK;
}

PARKS static Err finish_tls(Stream *s)
{
    Err err = shake_hands(s);
    if (err) stream_fail(s, err);
    s->shaken = !err;
    breathe();
    return err;
}

PARKS Err stream_start_tls(Stream *s, TlsContext *ctx)
{
    if (s->remote) return remote_start_tls(s);
    Err err = begin_tls(s, ctx, SSL_set_accept_state);
    if (!err) err = finish_tls(s);
    metric_add(err ? METRIC_TLS_FAILED : METRIC_TLS_HANDSHAKES, 1);
    return err;
}

/* RFC 6066 3: no address in SNI. */
static Err expect_host(SSL *ssl, Slice host)
{
    Buf name buf_scoped = {0};
    buf_add(&name, host);
    const char *text = buf_cstr(&name);
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), text)) return OK;
    bool good = SSL_set1_host(ssl, text) && SSL_set_tlsext_host_name(ssl, text);
    return good ? OK : tls_failed(ERR_TLS, "host name");
}

PARKS Err stream_start_tls_client(Stream *s, TlsContext *ctx, Slice host)
{
    TRY(begin_tls(s, ctx, SSL_set_connect_state));
    Err err = host.len ? expect_host(s->ssl, host) : OK;
    Slice alpn = buf_slice(&s->alpn);
    if (alpn.len && SSL_set_alpn_protos(s->ssl, (const unsigned char *)alpn.at, (unsigned)alpn.len))
        out_of_memory(alpn.len);
    if (err) {
        stream_fail(s, err);
        return err;
    }
    return finish_tls(s);
}

/* We do not wait for the peer's close_notify: RFC 8446 6.1 allows to close without it. */
PARKS void stream_end_tls(Stream *s)
{
    if (!s->shaken || s->tls_is_broken || s->mute) return;
    for (;;) {
        SockEvents wants = SOCK_WRITABLE;
        ERR_clear_error();
        int result = SSL_shutdown(s->ssl);
        if (result >= 0 || outcome(s, result, &wants) || wants != SOCK_WRITABLE) break;
        if (sock_wait(s->sock, wants, now_ms() + 1000, false) != WOKEN_READY) break;
    }
    ERR_clear_error();
    s->mute = true;
    if (!s->error) s->error = ERR_END;
}

bool stream_is_tls(const Stream *s)
{
    return s->remote ? remote_is_tls(s) : s->shaken;
}

Slice stream_tls_version(const Stream *s)
{
    if (s->remote) return remote_tls_text(s, false);
    return s->shaken ? slice_of(SSL_get_version(s->ssl)) : (Slice){0};
}

Slice stream_tls_cipher(const Stream *s)
{
    if (s->remote) return remote_tls_text(s, true);
    return s->shaken ? slice_of(SSL_get_cipher_name(s->ssl)) : (Slice){0};
}
