#include "base/test.h"
#include "net/inside.h"
#include "run/file.h"
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a place for certificates ---- */

typedef struct {
    char dir[64], certificate[80], key[80];
} Place;

static Place place_new(void)
{
    Place p = {.dir = "/tmp/posthouse-tls-XXXXXX"};
    must(mkdtemp(p.dir));
    snprintf(p.certificate, sizeof p.certificate, "%s/cert.pem", p.dir);
    snprintf(p.key, sizeof p.key, "%s/key.pem", p.dir);
    return p;
}

static void place_done(const Place *p)
{
    unlink(p->certificate);
    unlink(p->key);
    rmdir(p->dir);
}

static Err make_names(const Place *p, const Slice *names, size_t count)
{
    return tls_make_self_signed(slice_of(p->certificate), slice_of(p->key), names, count);
}

static Err load_server(const Place *p, TlsContext **ctx)
{
    return tls_server_new(slice_of(p->certificate), slice_of(p->key), ctx);
}

static TlsContext *server_new(const Place *p)
{
    TlsContext *ctx = NULL;
    check_ok(make_names(p, (Slice[]){S("mail.example.org"), S("127.0.0.1")}, 2));
    check_ok(load_server(p, &ctx));
    return ctx;
}

/* ---- a client in a fiber of its own ---- */

typedef struct {
    Stream *stream;
    TlsContext *ctx;
    Slice host;
    Err err;
    bool ended;
} Client;

PARKS_UNCHECKED static void client_shakes(void *arg)
{
    Client *c = arg;
    c->err = stream_start_tls_client(c->stream, c->ctx, c->host);
    c->ended = true;
}

PARKS static void client_wait(Client *c)
{
    while (!c->ended)
        fiber_sleep(1);
}

/* Both ends shake hands; the answer is the server's, the client's is in client->err. */
PARKS static Err shake_both(Stream *server, TlsContext *ctx, Client *client)
{
    fiber_start("client", client_shakes, client);
    Err err = stream_start_tls(server, ctx);
    client_wait(client);
    return err;
}

static TlsContext *client_of_version(int version)
{
    TlsContext *ctx = NULL;
    ctx = tls_client_new(false);
    SSL_CTX_set_max_proto_version(ctx->ssl, version);
    return ctx;
}

PARKS static void check_binding(Stream *server, Stream *client, ChannelBinding type, size_t len)
{
    Buf ours buf_scoped = {0}, theirs buf_scoped = {0};
    Err wanted = len ? OK : ERR_UNSUPPORTED;
    check_err(stream_channel_binding(server, type, &ours), wanted);
    check_err(stream_channel_binding(client, type, &theirs), wanted);
    check_slice(buf_slice(&ours), buf_slice(&theirs));
    check_u64(ours.len, len);
}

/* RFC 5929 3.1: the first Finished message of the handshake, which `first` sent. */
static void check_unique_is_finished_of(Stream *s, SSL *first)
{
    Buf binding buf_scoped = {0};
    char finished[64];
    check_ok(stream_channel_binding(s, BINDING_TLS_UNIQUE, &binding));
    size_t len = SSL_get_finished(first, finished, sizeof finished);
    check_slice(buf_slice(&binding), slice(finished, len));
}

PARKS static void check_talk(Stream *a, Stream *b)
{
    Slice line;
    stream_put(a, S("* OK ready\r\n"));
    check_ok(stream_flush(a));
    check(stream_line(b, 100, &line) == LINE_CRLF);
    check_slice(line, S("* OK ready"));
    stream_put(b, S("a NOOP\r\n"));
    check_ok(stream_flush(b));
    check(stream_line(a, 100, &line) == LINE_CRLF);
    check_slice(line, S("a NOOP"));
}

PARKS_UNCHECKED static void talk_with_version(int version, Slice name, size_t unique_len)
{
    Place place = place_new();
    TlsContext *server_ctx scoped(tls) = server_new(&place);
    TlsContext *client_ctx scoped(tls) = client_of_version(version);
    Stream *server scoped(stream) = NULL, *client scoped(stream) = NULL;
    check_ok(stream_pair(&server, &client));
    check(!stream_is_tls(server) && !stream_tls_version(server).len);
    check_binding(server, client, BINDING_TLS_EXPORTER, 0);
    Client c = {.stream = client, .ctx = client_ctx};
    check_ok(shake_both(server, server_ctx, &c));
    check_ok(c.err);
    check(stream_is_tls(server) && stream_is_tls(client));
    check_slice(stream_tls_version(server), name);
    check_slice(stream_tls_version(client), name);
    check(stream_tls_cipher(server).len > 5);
    check_slice(stream_tls_cipher(client), stream_tls_cipher(server));
    check_talk(server, client);
    check_binding(server, client, BINDING_TLS_EXPORTER, 32);
    check_binding(server, client, BINDING_TLS_SERVER_END_POINT, 32);
    check_binding(server, client, BINDING_TLS_UNIQUE, unique_len);
    if (unique_len) check_unique_is_finished_of(server, client->ssl);
    place_done(&place);
}

TEST(tls_1_2_shakes_hands_and_binds)
{
    talk_with_version(TLS1_2_VERSION, S("TLSv1.2"), 12);
}

TEST(tls_1_3_shakes_hands_and_binds)
{
    talk_with_version(TLS1_3_VERSION, S("TLSv1.3"), 0);
}

/* RFC 9266 and RFC 5929's tls-unique need a master secret that is unique: RFC 7627. */
TEST(no_binding_without_extended_master_secret)
{
    Place place = place_new();
    TlsContext *server_ctx scoped(tls) = server_new(&place);
    TlsContext *client_ctx scoped(tls) = client_of_version(TLS1_2_VERSION);
    SSL_CTX_set_options(client_ctx->ssl, SSL_OP_NO_EXTENDED_MASTER_SECRET);
    Stream *server scoped(stream) = NULL, *client scoped(stream) = NULL;
    check_ok(stream_pair(&server, &client));
    Client c = {.stream = client, .ctx = client_ctx};
    check_ok(shake_both(server, server_ctx, &c));
    check_binding(server, client, BINDING_TLS_EXPORTER, 0);
    check_binding(server, client, BINDING_TLS_UNIQUE, 0);
    check_binding(server, client, BINDING_TLS_SERVER_END_POINT, 32);
    place_done(&place);
}

TEST(tls_1_1_is_refused)
{
    Place place = place_new();
    TlsContext *server_ctx scoped(tls) = server_new(&place);
    TlsContext *client_ctx scoped(tls) = NULL;
    client_ctx = tls_client_new(false);
    SSL_CTX_set_min_proto_version(client_ctx->ssl, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(client_ctx->ssl, TLS1_1_VERSION);
    SSL_CTX_set_security_level(client_ctx->ssl, 0);
    SSL_CTX_set_cipher_list(client_ctx->ssl, "ALL");
    Stream *server scoped(stream) = NULL, *client scoped(stream) = NULL;
    check_ok(stream_pair(&server, &client));
    Client c = {.stream = client, .ctx = client_ctx};
    check_err(shake_both(server, server_ctx, &c), ERR_TLS);
    check_err(stream_error(server), ERR_TLS);
    check(c.err == ERR_TLS);
    check(!stream_is_tls(server));
    place_done(&place);
}

/* RFC 3207 4.2, RFC 9051 11.1: what was sent along with STARTTLS is not a command under TLS. */
TEST(plain_octets_behind_starttls_are_thrown_away)
{
    Place place = place_new();
    TlsContext *server_ctx scoped(tls) = server_new(&place);
    TlsContext *client_ctx scoped(tls) = client_of_version(TLS1_3_VERSION);
    Stream *server scoped(stream) = NULL, *client scoped(stream) = NULL;
    check_ok(stream_pair(&server, &client));
    stream_put(client, S("a STARTTLS\r\nb DELETE INBOX\r\nhalf"));
    check_ok(stream_flush(client));
    Slice line;
    check(stream_line(server, 100, &line) == LINE_CRLF);
    check(stream_buffered(server) > 0);
    stream_put(server, S("a OK begin TLS\r\n"));
    Client c = {.stream = client, .ctx = client_ctx};
    check(stream_flush(server) == OK && stream_line(client, 100, &line) == LINE_CRLF);
    check_ok(shake_both(server, server_ctx, &c));
    check_u64(stream_buffered(server), 0);
    check_talk(server, client);
    place_done(&place);
}

/* The other direction: what somebody on the wire answers in the clear behind the server's word to
 * go ahead is not the server's answer under TLS. */
TEST(plain_octets_behind_the_answer_to_starttls_are_thrown_away)
{
    static const Slice rows[] = {S(""), S("250-evil\r\n250 AUTH PLAIN\r\n"), S("250 ha"),
                                 S("\0\r\n")};
    Place place = place_new();
    TlsContext *server_ctx scoped(tls) = server_new(&place);
    TlsContext *client_ctx scoped(tls) = client_of_version(TLS1_3_VERSION);
    for (size_t i = 0; i < COUNT(rows); i++) {
        Stream *server scoped(stream) = NULL, *client scoped(stream) = NULL;
        check_ok(stream_pair(&server, &client));
        stream_put(server, S("220 go ahead\r\n"));
        stream_put(server, rows[i]);
        check_ok(stream_flush(server));
        Slice line;
        check(stream_line(client, 100, &line) == LINE_CRLF);
        check_u64(stream_buffered(client), rows[i].len);
        Client c = {.stream = client, .ctx = client_ctx};
        check_ok(shake_both(server, server_ctx, &c));
        check_ok(c.err);
        check_u64(stream_buffered(client), 0);
        check_talk(server, client);
    }
    place_done(&place);
}

/* And what still comes in the clear is no TLS. */
TEST(plain_octets_in_place_of_a_handshake_end_it)
{
    static const Slice rows[] = {
        S("b DELETE INBOX\r\n"), S("\x16\x03\x01\xff\xff garbage that is long"),
        S("\x80\x2e\x01\x00\x02 something of SSL 2, long enough for what its head says"),
        S("GET / HTTP/1.1\r\n\r\n")};
    Place place = place_new();
    TlsContext *ctx scoped(tls) = server_new(&place);
    for (size_t i = 0; i < COUNT(rows); i++) {
        Stream *server scoped(stream) = NULL, *client scoped(stream) = NULL;
        check_ok(stream_pair(&server, &client));
        stream_put(client, rows[i]);
        check_ok(stream_flush(client));
        stream_set_deadline(server, now_ms() + 5000);
        check_err(stream_start_tls(server, ctx), ERR_TLS);
        Slice line;
        check(stream_line(server, 100, &line) == LINE_NONE);
        check_err(stream_error(server), ERR_TLS);
        stream_put(server, S("swallowed"));
        check_err(stream_flush(server), ERR_TLS);
    }
    place_done(&place);
}

/* ---- slow peers: everything passes one octet at a time through a stranger in the middle ---- */

typedef struct {
    Stream *from, *to;
    bool ended;
} Wire;

PARKS_UNCHECKED static void carry(void *arg)
{
    Wire *w = arg;
    for (Slice octet; (octet = stream_some(w->from, 1)).len;) {
        stream_put(w->to, octet);
        if (stream_flush(w->to)) break;
    }
    w->ended = true;
}

TEST(tls_works_an_octet_at_a_time)
{
    Place place = place_new();
    TlsContext *server_ctx scoped(tls) = server_new(&place);
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < COUNT(versions); i++) {
        TlsContext *client_ctx scoped(tls) = client_of_version(versions[i]);
        Stream *server, *client, *left, *right;
        check_ok(stream_pair(&server, &left));
        check_ok(stream_pair(&right, &client));
        Wire there = {left, right, false}, back = {right, left, false};
        fiber_start("wire", carry, &there);
        fiber_start("wire", carry, &back);
        Client c = {.stream = client, .ctx = client_ctx};
        check_ok(shake_both(server, server_ctx, &c));
        check_talk(server, client);
        stream_end_tls(client);
        Slice line;
        check(stream_line(server, 100, &line) == LINE_NONE);
        check_err(stream_error(server), ERR_END);
        stream_free(server);
        stream_free(client);
        while (!there.ended || !back.ended)
            fiber_sleep(1);
        stream_free(left);
        stream_free(right);
    }
    place_done(&place);
}

TEST(a_silent_peer_ends_the_handshake_at_the_deadline)
{
    Place place = place_new();
    TlsContext *ctx scoped(tls) = server_new(&place);
    Stream *server scoped(stream) = NULL, *client scoped(stream) = NULL;
    check_ok(stream_pair(&server, &client));
    int64_t before = now_ms();
    stream_set_deadline(server, before + 40);
    check_err(stream_start_tls(server, ctx), ERR_TIMEOUT);
    check(now_ms() - before >= 40 && now_ms() - before < 5000);
    place_done(&place);
}

TEST(a_peer_that_leaves_ends_the_handshake)
{
    Place place = place_new();
    TlsContext *ctx scoped(tls) = server_new(&place);
    Stream *server scoped(stream) = NULL, *client = NULL;
    check_ok(stream_pair(&server, &client));
    stream_free(client);
    check_err(stream_start_tls(server, ctx), ERR_END);
    place_done(&place);
}

/* With and without close_notify. */
TEST(the_end_under_tls_is_the_end)
{
    Place place = place_new();
    TlsContext *server_ctx scoped(tls) = server_new(&place);
    TlsContext *client_ctx scoped(tls) = client_of_version(TLS1_3_VERSION);
    for (int polite = 0; polite < 2; polite++) {
        Stream *server scoped(stream) = NULL, *client = NULL;
        check_ok(stream_pair(&server, &client));
        Client c = {.stream = client, .ctx = client_ctx};
        check_ok(shake_both(server, server_ctx, &c));
        stream_put(client, S("a LOGOUT\r\n"));
        check_ok(stream_flush(client));
        if (polite) stream_end_tls(client);
        stream_free(client);
        Slice line;
        check(stream_line(server, 100, &line) == LINE_CRLF);
        check(stream_line(server, 100, &line) == LINE_NONE);
        check_err(stream_error(server), ERR_END);
    }
    place_done(&place);
}

typedef struct {
    Stream *stream;
    Slice text;
    bool ended;
} Sender;

PARKS_UNCHECKED static void send_text(void *arg)
{
    Sender *sender = arg;
    stream_put(sender->stream, sender->text);
    (void)stream_flush(sender->stream);
    sender->ended = true;
}

/* Far more than the sockets hold, so both directions have to wait in the middle of records. */
TEST(large_texts_pass_both_ways_at_once)
{
    enum { LEN = 2000000 };
    char *text = malloc(LEN);
    must(text);
    for (size_t i = 0; i < LEN; i++)
        text[i] = (char)(i * 2654435761u >> 13);
    Place place = place_new();
    TlsContext *server_ctx scoped(tls) = server_new(&place);
    TlsContext *client_ctx scoped(tls) = client_of_version(TLS1_3_VERSION);
    Stream *server scoped(stream) = NULL, *client scoped(stream) = NULL;
    check_ok(stream_pair(&server, &client));
    Client c = {.stream = client, .ctx = client_ctx};
    check_ok(shake_both(server, server_ctx, &c));
    Sender sender = {.stream = client, .text = slice(text, LEN)};
    fiber_start("sender", send_text, &sender);
    size_t at = 0;
    while (at < LEN) {
        Slice some = stream_some(server, 50000);
        if (!some.len || memcmp(some.at, text + at, some.len)) break;
        at += some.len;
    }
    check_u64(at, LEN);
    while (!sender.ended)
        fiber_sleep(1);
    check_talk(server, client);
    place_done(&place);
    free(text);
}

TEST(waiting_under_tls_hears_octets_and_not_tickets)
{
    Place place = place_new();
    TlsContext *server_ctx scoped(tls) = server_new(&place);
    TlsContext *client_ctx scoped(tls) = client_of_version(TLS1_3_VERSION);
    Stream *server scoped(stream) = NULL, *client scoped(stream) = NULL;
    check_ok(stream_pair(&server, &client));
    Client c = {.stream = client, .ctx = client_ctx};
    check_ok(shake_both(server, server_ctx, &c));
    /* The server's ticket is on its way to the client, but is no input. */
    check(stream_wait(client, now_ms() + 30) == WOKEN_TIMEOUT);
    stream_put(server, S("x"));
    check_ok(stream_flush(server));
    check(stream_wait(client, now_ms() + 5000) == WOKEN_READY);
    check_slice(stream_peek(client), S("x"));
    place_done(&place);
}

/* ---- who is who ---- */

TEST(a_client_checks_the_name)
{
    static const struct {
        Slice host;
        bool trusted, good;
    } rows[] = {
        {S("mail.example.org"), true,  true },
        {S("127.0.0.1"),        true,  true },
        {S("evil.example.org"), true,  false},
        {S("127.0.0.2"),        true,  false},
        {S("mail.example.org"), false, false},
    };
    Place place = place_new();
    TlsContext *server_ctx scoped(tls) = server_new(&place);
    for (size_t i = 0; i < COUNT(rows); i++) {
        TlsContext *client_ctx scoped(tls) = NULL;
        client_ctx = tls_client_new(true);
        if (rows[i].trusted) check_ok(tls_client_trust(client_ctx, slice_of(place.certificate)));
        Stream *server scoped(stream) = NULL, *client scoped(stream) = NULL;
        check_ok(stream_pair(&server, &client));
        Client c = {.stream = client, .ctx = client_ctx, .host = rows[i].host};
        Err err = shake_both(server, server_ctx, &c);
        check_err(c.err, rows[i].good ? OK : ERR_TLS);
        if (rows[i].good) check_ok(err);
    }
    place_done(&place);
}

/* RFC 7301 3.2 */
TEST(alpn_is_for_this_protocol_or_absent)
{
    static const struct {
        const char *ours, *offered;
        bool good, chosen;
    } rows[] = {
        {"imap", "\4imap",       true,  true },
        {"imap", "\4pop3\4imap", true,  true },
        {"imap", "\4pop3",       false, false},
        {"imap", "\5imap2",      false, false},
        {"imap", "",             true,  false},
        {NULL,   "\4imap",       true,  false},
    };
    Place place = place_new();
    TlsContext *server_ctx scoped(tls) = server_new(&place);
    for (size_t i = 0; i < COUNT(rows); i++) {
        TlsContext *client_ctx scoped(tls) = client_of_version(TLS1_3_VERSION);
        unsigned len = (unsigned)strlen(rows[i].offered);
        if (len)
            SSL_CTX_set_alpn_protos(client_ctx->ssl, (const unsigned char *)rows[i].offered, len);
        Stream *server scoped(stream) = NULL, *client scoped(stream) = NULL;
        check_ok(stream_pair(&server, &client));
        if (rows[i].ours) stream_set_alpn(server, slice_of(rows[i].ours));
        Client c = {.stream = client, .ctx = client_ctx};
        Err err = shake_both(server, server_ctx, &c);
        check_err(err, rows[i].good ? OK : ERR_TLS);
        const unsigned char *chosen;
        unsigned chosen_len = 0;
        if (!c.err) SSL_get0_alpn_selected(client->ssl, &chosen, &chosen_len);
        check((chosen_len > 0) == rows[i].chosen);
    }
    place_done(&place);
}

/* ---- tickets ---- */

static SSL_SESSION *kept;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(kept);
    kept = session;
    return 1;
}

static void offer_session(const SSL *ssl, int where, int value)
{
    (void)value;
    if (where == SSL_CB_HANDSHAKE_START && kept) SSL_set_session((SSL *)(uintptr_t)ssl, kept);
}

PARKS static void check_resumes(TlsContext *server_ctx, TlsContext *client_ctx, bool resumes)
{
    Stream *server scoped(stream) = NULL, *client scoped(stream) = NULL;
    check_ok(stream_pair(&server, &client));
    Client c = {.stream = client, .ctx = client_ctx};
    check_ok(shake_both(server, server_ctx, &c));
    check_ok(c.err);
    check_talk(server, client);
    check_u64(SSL_session_reused(server->ssl), resumes);
    check_binding(server, client, BINDING_TLS_SERVER_END_POINT, 32);
    bool is_old = SSL_version(server->ssl) == TLS1_2_VERSION;
    check_binding(server, client, BINDING_TLS_UNIQUE, is_old ? 12 : 0);
    if (is_old) check_unique_is_finished_of(client, resumes ? server->ssl : client->ssl);
    stream_end_tls(client); /* OpenSSL does not take up sessions that ended without it */
}

/* Two contexts of one certificate, as two loops or a reload have them, share tickets; another
 * certificate is another matter. */
PARKS_UNCHECKED static void resume_with_version(int version)
{
    Place place = place_new(), other_place = place_new();
    TlsContext *one scoped(tls) = server_new(&place), *two scoped(tls) = server_new(&place);
    TlsContext *other scoped(tls) = server_new(&other_place);
    TlsContext *client_ctx scoped(tls) = client_of_version(version);
    SSL_CTX_set_session_cache_mode(client_ctx->ssl,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client_ctx->ssl, keep_session);
    SSL_CTX_set_info_callback(client_ctx->ssl, offer_session);
    check_resumes(one, client_ctx, false);
    check(kept != NULL);
    check_resumes(one, client_ctx, true);
    check_resumes(two, client_ctx, true);
    check_resumes(other, client_ctx, false);
    SSL_SESSION_free(kept);
    kept = NULL;
    place_done(&place);
    place_done(&other_place);
}

TEST(tickets_of_tls_1_2_outlive_a_reload)
{
    resume_with_version(TLS1_2_VERSION);
}

TEST(tickets_of_tls_1_3_outlive_a_reload)
{
    resume_with_version(TLS1_3_VERSION);
}

/* ---- certificates ---- */

static unsigned mode_of(const char *path)
{
    struct stat st;
    return stat(path, &st) ? 0 : st.st_mode & 0777;
}

static Slice content_of(const char *path, Arena *a)
{
    Slice content = {0};
    check_ok(path_read(slice_of(path), 100000, a, &content));
    return content;
}

TEST(a_certificate_is_made_once)
{
    Place place = place_new();
    Arena a arena_scoped = {0};
    Slice name = S("localhost");
    check_ok(make_names(&place, &name, 1));
    check_u64(mode_of(place.certificate), 0600);
    check_u64(mode_of(place.key), 0600);
    Slice certificate = content_of(place.certificate, &a), key = content_of(place.key, &a);
    check_ok(make_names(&place, &name, 1));
    check_slice(content_of(place.certificate, &a), certificate);
    check_slice(content_of(place.key, &a), key);
    unlink(place.certificate); /* as after a crash between the two */
    check_ok(make_names(&place, &name, 1));
    check_slice(content_of(place.key, &a), key);
    TlsContext *ctx scoped(tls) = NULL;
    check_ok(load_server(&place, &ctx));
    unlink(place.key); /* somebody's certificate without its key is not ours to replace */
    check_err(make_names(&place, &name, 1), ERR_CONFIG);
    place_done(&place);
}

/* Names that would be syntax elsewhere, a long one, addresses of both families. */
TEST(a_certificate_names_what_it_was_told)
{
    char long_name[200];
    memset(long_name, 'a', sizeof long_name);
    Slice names[] = {slice(long_name, sizeof long_name), S("x,DNS:evil.example"), S("::1"),
                     S("192.0.2.1"), S("mail.example.org")};
    Place place = place_new();
    check_ok(make_names(&place, names, COUNT(names)));
    TlsContext *ctx scoped(tls) = NULL;
    check_ok(load_server(&place, &ctx));
    X509 *leaf = SSL_CTX_get0_certificate(ctx->ssl);
    check(X509_check_host(leaf, "mail.example.org", 0, 0, NULL) == 1);
    check(X509_check_host(leaf, "evil.example", 0, 0, NULL) == 0);
    check(X509_check_ip_asc(leaf, "::1", 0) == 1 && X509_check_ip_asc(leaf, "192.0.2.1", 0) == 1);
    check(X509_check_ip_asc(leaf, "192.0.2.2", 0) == 0);
    check(X509_cmp_current_time(X509_get0_notBefore(leaf)) < 0);
    time_t in_nine_years = (time_t)(wall_seconds() + (int64_t)9 * 365 * 86400);
    check(X509_cmp_time(X509_get0_notAfter(leaf), &in_nine_years) > 0);
    Buf hex buf_scoped = {0};
    tls_certificate_fingerprint(ctx, &hex);
    check_u64(hex.len, 64);
    place_done(&place);
}

TEST(bad_files_are_refused_with_a_story)
{
    Place place = place_new(), other = place_new();
    Arena a arena_scoped = {0};
    Slice name = S("localhost");
    TlsContext *ctx = NULL;
    check_err(load_server(&place, &ctx), ERR_NOT_FOUND);
    check_ok(make_names(&place, &name, 1));
    check_ok(make_names(&other, &name, 1));
    check_err(tls_server_new(slice_of(place.certificate), slice_of(other.key), &ctx), ERR_CONFIG);
    check(strstr(err_story(), other.key));
    check_err(tls_server_new(slice_of(place.key), slice_of(place.key), &ctx), ERR_CONFIG);
    check_err(tls_server_new(slice_of(place.certificate), slice_of(place.certificate), &ctx),
              ERR_CONFIG);
    Slice whole = content_of(place.certificate, &a);
    static const size_t cuts[] = {0, 1, 100, 300};
    for (size_t i = 0; i < COUNT(cuts); i++) {
        check_ok(path_replace(slice_of(place.certificate), slice_first(whole, cuts[i])));
        check_err(load_server(&place, &ctx), ERR_CONFIG);
    }
    /* A chain whose second certificate is damaged. */
    Slice chain = arena_printf(&a, "%.*s%.*s", SP(whole), (int)whole.len - 60, whole.at);
    check_ok(path_replace(slice_of(place.certificate), chain));
    check_err(load_server(&place, &ctx), ERR_CONFIG);
    chain = arena_printf(&a, "%.*s%.*s", SP(whole), SP(whole));
    check_ok(path_replace(slice_of(place.certificate), chain));
    check_ok(load_server(&place, &ctx));
    tls_unref(ctx);
    place_done(&place);
    place_done(&other);
}

/* A key that asks for a password must be refused, not ask on the terminal of the server. */
TEST(an_encrypted_key_is_refused)
{
    Place place = place_new();
    Slice name = S("localhost");
    check_ok(make_names(&place, &name, 1));
    EVP_PKEY *key = NULL;
    check_ok(tls_read_key(slice_of(place.key), &key));
    FILE *f = fopen(place.key, "w");
    must(f);
    check(PEM_write_PKCS8PrivateKey(f, key, EVP_aes_256_cbc(), "word", 4, NULL, NULL) == 1);
    fclose(f);
    EVP_PKEY_free(key);
    TlsContext *ctx = NULL;
    check_err(load_server(&place, &ctx), ERR_CONFIG);
    place_done(&place);
}

/* Who holds the old certificate keeps it; who comes later gets the new one. */
TEST(a_reload_replaces_the_current_certificate)
{
    Place first = place_new(), second = place_new();
    check(tls_current() == NULL);
    TlsContext *one = server_new(&first), *two = server_new(&second);
    tls_set_current(one);
    TlsContext *before = tls_current();
    check(before == one);
    tls_set_current(two);
    TlsContext *after = tls_current();
    check(after == two);
    tls_unref(one);
    TlsContext *client_ctx scoped(tls) = client_of_version(TLS1_3_VERSION);
    Stream *server scoped(stream) = NULL, *client scoped(stream) = NULL;
    check_ok(stream_pair(&server, &client));
    Client c = {.stream = client, .ctx = client_ctx};
    check_ok(shake_both(server, before, &c));
    tls_unref(before); /* the stream keeps what it needs */
    check_talk(server, client);
    tls_set_current(NULL);
    check(tls_current() == NULL);
    tls_unref(two);
    tls_unref(after);
    place_done(&first);
    place_done(&second);
}

/* ---- both loops at once: contexts, tickets and the current certificate are shared ---- */

typedef struct {
    int ended;
} Crowd;

PARKS_UNCHECKED static void shake_a_few(void *arg)
{
    Crowd *crowd = arg;
    for (int i = 0; i < 5; i++) {
        TlsContext *server_ctx scoped(tls) = tls_current();
        TlsContext *client_ctx scoped(tls) = client_of_version(TLS1_3_VERSION);
        Stream *server scoped(stream) = NULL, *client scoped(stream) = NULL;
        check_ok(stream_pair(&server, &client));
        Client c = {.stream = client, .ctx = client_ctx};
        check_ok(shake_both(server, server_ctx, &c));
        check_talk(server, client);
        tls_set_current(server_ctx);
    }
    __atomic_add_fetch(&crowd->ended, 1, __ATOMIC_RELEASE);
}

TEST(loops_share_contexts)
{
    Place place = place_new();
    TlsContext *ctx = server_new(&place);
    tls_set_current(ctx);
    tls_unref(ctx);
    Crowd crowd = {0};
    for (unsigned i = 0; i < 4; i++)
        fiber_start_on(loop_at(i % loop_count()), "crowd", shake_a_few, &crowd);
    while (__atomic_load_n(&crowd.ended, __ATOMIC_ACQUIRE) < 4)
        fiber_sleep(1);
    tls_set_current(NULL);
    place_done(&place);
}
