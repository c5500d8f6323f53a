#pragma once
/* Internal to net/: what a Stream is made of. Plain and TLS differ in four functions of
 * stream_tls.c; everything else is written once. */
#include "net/deflate.h"
#include "net/inbox.h"
#include "net/stream.h"
#include <openssl/ssl.h>

/* A stream whose connection a front has (stream_remote.c). */
PARKS Err remote_start_tls(Stream *s) MUST_USE;
PARKS Err remote_set_deflate(Stream *s, bool on) MUST_USE;
bool remote_is_tls(const Stream *s);
bool remote_is_deflated(const Stream *s);
Slice remote_tls_text(const Stream *s, bool cipher);
size_t remote_client_names(const Stream *s, ClientName kind, Arena *a, Slice **names);
Err remote_channel_binding(Stream *s, ChannelBinding type, Buf *out) MUST_USE;

struct TlsContext {
    unsigned refs; /* atomic */
    SSL_CTX *ssl;
    BIO_METHOD *method; /* OpenSSL's way to our sock */
};

/* COMPRESS, RFC 4978: between the buffers and the channel (stream_deflate.c). */
typedef struct {
    Inflater *in;
    Deflater *out;
    Buf raw;      /* came in, not inflated yet */
    Buf packed;   /* deflated, on its way */
    bool resting; /* nothing of zlib is kept */
} Press;

typedef struct Remote Remote;

struct Stream {
    Sock *sock;
    Remote *remote;  /* the same sock, when another process has the connection; NULL: we have it */
    Address peer;    /* asked once: a peer that has gone has no name any more */
    Press *press;    /* NULL: not compressed */
    TlsContext *tls; /* NULL: plain */
    SSL *ssl;
    Inbox in;
    Buf out;
    Buf alpn; /* the protocol's name in ALPN */
    void (*on_free)(void *arg);
    void *on_free_arg;
    size_t chunk;       /* octets to ask for next */
    Err error;          /* the first failure */
    bool deaf, mute;    /* no more input, no more output */
    bool adrift;        /* of no loop: it could not be attached */
    bool was_deflated;  /* the peer may still send the end of its DEFLATE */
    bool shaken;        /* the TLS handshake is done */
    bool tls_is_broken; /* OpenSSL must not be asked again */
    Err sock_error;     /* what stopped the sock underneath OpenSSL */
    int64_t deadline_ms, write_timeout_ms;
    uint64_t budget, octets_in, octets_out;
};

#define FIRST_CHUNK ((size_t)4096)
#define MOST_CHUNK  ((size_t)65536)

/* One try, never waits. Nothing done and OK: wait for *wants first. */
Err channel_try_read(Stream *s, void *out, size_t len, size_t *got, SockEvents *wants) MUST_USE;
Err channel_try_write(Stream *s, Slice octets, size_t *sent, SockEvents *wants) MUST_USE;

/* The same through the press, where there is one. */
Err press_try_read(Stream *s, void *out, size_t len, size_t *got, SockEvents *wants) MUST_USE;
/* Deflates a piece of what is to be sent into press->packed. Gives its length. */
size_t press_piece(Press *p, Slice octets, DeflateWay way);
bool press_at_boundary(const Press *p); /* as inflater_at_boundary */
bool press_holds(const Press *p);       /* octets that only a flush brings out */
/* Waits for the sock; a press goes to rest when that takes long. */
PARKS Wake press_wait(Stream *s, SockEvents wants, int64_t deadline_ms, bool nudges);
Press *press_new(Inbox *in);         /* what has come in already is compressed */
void press_end(Press *p, Inbox *in); /* what has not been inflated is plain */
void press_skip_end(Inbox *in);      /* an empty last block of DEFLATE that came behind a flush */
void press_free(Press *p);

/* For the rooms of TLS: drains OpenSSL's queue into the story. */
Err tls_failed(Err err, const char *what);

int64_t stream_from_now(int64_t ms); /* NEVER stays NEVER */

/* One try to send octets from where they are, when nothing is before them; never waits. */
size_t stream_send_now(Stream *s, Slice octets);
BIO_METHOD *sock_method_new(void);
int tls_choose_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_len,
                    const unsigned char *offered, unsigned offered_len, void *nothing);
void tls_ticket_use(SSL_CTX *ctx);
BIO *tls_pem_open(Slice path, Err *err);
TlsContext *tls_context_new(const SSL_METHOD *method);
Err tls_use_chain(SSL_CTX *ctx, BIO *pem, Slice path) MUST_USE;
void tls_set_server_manners(SSL_CTX *ctx); /* behind the certificate */
Err tls_trust_clients(SSL_CTX *ssl, BIO *pem, Slice path) MUST_USE;
Err tls_read_key(Slice path, EVP_PKEY **key) MUST_USE;
