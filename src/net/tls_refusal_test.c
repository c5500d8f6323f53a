/* Keys and certificates that people have and we cannot use, or only with care. */
#include "base/test.h"
#include "net/facts.h"
#include "net/inside.h"
#include "net/tls_signer.h"
#include "run/file.h"
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- files ---- */

typedef struct {
    char dir[64], certificate[80], key[80];
} Place;

static Place place_new(void)
{
    Place p = {.dir = "/tmp/posthouse-refusal-XXXXXX"};
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

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    check(f && fputs(text, f) >= 0 && !fclose(f));
}

static void write_key(const Place *p, EVP_PKEY *key)
{
    FILE *f = fopen(p->key, "w");
    check(f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && !fclose(f));
}

static void write_certificates(const Place *p, X509 *one, X509 *another)
{
    FILE *f = fopen(p->certificate, "w");
    check(f && PEM_write_X509(f, one) == 1);
    if (another) check(PEM_write_X509(f, another) == 1);
    check(!fclose(f));
}

static Err open_key(const Place *p)
{
    Buf chain buf_scoped = {0};
    TlsKey *key scoped(tls_key) = NULL;
    return tls_key_open(slice_of(p->certificate), slice_of(p->key), &chain, &key);
}

/* ---- certificates ---- */

/* Unsigned; who wants more in it puts it there. */
static X509 *unsigned_for(EVP_PKEY *key)
{
    X509 *c = X509_new();
    X509_set_version(c, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c), 7);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_UTF8,
                               (const unsigned char *)"anna", -1, -1, 0);
    X509_set_issuer_name(c, X509_get_subject_name(c));
    X509_gmtime_adj(X509_getm_notBefore(c), -3600);
    X509_gmtime_adj(X509_getm_notAfter(c), 3600);
    X509_set_pubkey(c, key);
    return c;
}

static X509 *certificate_for(EVP_PKEY *key, const EVP_MD *hash)
{
    X509 *c = unsigned_for(key);
    check(X509_sign(c, key, hash) > 0);
    return c;
}

/* ---- handshakes ---- */

typedef struct {
    Stream *stream;
    TlsContext *ctx;
    Err err;
    bool ended;
} Client;

PARKS_UNCHECKED static void client_shakes(void *arg)
{
    Client *c = arg;
    c->err = stream_start_tls_client(c->stream, c->ctx, (Slice){0});
    c->ended = true;
}

/* The server's end, both shaken. */
PARKS static void shake(TlsContext *ours, TlsContext *theirs, Stream **server, Stream **client)
{
    check_ok(stream_pair(server, client));
    Client c = {.stream = *client, .ctx = theirs};
    fiber_start("client", client_shakes, &c);
    check_ok(stream_start_tls(*server, ours));
    while (!c.ended)
        fiber_sleep(1);
    check_ok(c.err);
}

/* ---- bindings ---- */

/* RFC 5929 4.1: MD5 and SHA-1 are replaced, and Ed25519 names no hash. */
TEST(an_end_point_is_hashed_as_its_certificate_is_signed)
{
    const struct {
        const EVP_MD *hash; /* NULL: Ed25519 */
        size_t octets;
    } rows[] = {
        {EVP_md5(),    32},
        {EVP_sha1(),   32},
        {EVP_sha256(), 32},
        {EVP_sha384(), 48},
        {NULL,         0 }
    };
    EVP_PKEY *rsa = EVP_RSA_gen(2048), *ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    TlsContext *client_ctx scoped(tls) = tls_client_new(false);
    for (size_t i = 0; i < COUNT(rows); i++) {
        Place p = place_new();
        EVP_PKEY *key = rows[i].hash ? rsa : ed25519;
        X509 *c = certificate_for(key, rows[i].hash);
        TlsContext *ctx scoped(tls) = NULL;
        Stream *server scoped(stream) = NULL, *client scoped(stream) = NULL;
        Buf ours buf_scoped = {0}, theirs buf_scoped = {0};
        write_certificates(&p, c, NULL);
        write_key(&p, key);
        check_ok(tls_server_new(slice_of(p.certificate), slice_of(p.key), &ctx));
        shake(ctx, client_ctx, &server, &client);
        Err wanted = rows[i].octets ? OK : ERR_UNSUPPORTED;
        check_err(stream_channel_binding(server, BINDING_TLS_SERVER_END_POINT, &ours), wanted);
        check_err(stream_channel_binding(client, BINDING_TLS_SERVER_END_POINT, &theirs), wanted);
        check_u64(ours.len, rows[i].octets);
        check_slice(buf_slice(&ours), buf_slice(&theirs));
        X509_free(c);
        place_done(&p);
    }
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ed25519);
}

/* ---- pairs that are none ---- */

TEST(weak_keys_are_refused_with_a_story)
{
    Place p = place_new();
    EVP_PKEY *weak = EVP_RSA_gen(512), *good = EVP_EC_gen("P-256");
    X509 *weak_one = certificate_for(weak, EVP_sha256());
    X509 *good_one = certificate_for(good, EVP_sha256());
    write_certificates(&p, weak_one, NULL);
    write_key(&p, weak);
    check_err(open_key(&p), ERR_CONFIG);
    check(slice_find_slice(slice_of(err_story()), S("key too small")) < strlen(err_story()));
    write_certificates(&p, good_one, weak_one);
    write_key(&p, good);
    check_err(open_key(&p), ERR_CONFIG);
    check(slice_find_slice(slice_of(err_story()), S("the chain")) < strlen(err_story()));
    unlink(p.key);
    write_certificates(&p, good_one, good_one);
    check_err(open_key(&p), ERR_NOT_FOUND);
    write_key(&p, good);
    check_ok(open_key(&p));
    X509_free(weak_one);
    X509_free(good_one);
    EVP_PKEY_free(weak);
    EVP_PKEY_free(good);
    place_done(&p);
}

TEST(who_is_trusted_has_to_be_there)
{
    Place p = place_new();
    Slice names[] = {S("localhost")}, certificate = slice_of(p.certificate);
    TlsContext *client scoped(tls) = tls_client_new(true), *server scoped(tls) = NULL;
    check_ok(tls_make_self_signed(certificate, slice_of(p.key), names, 1));
    check_ok(tls_server_new(certificate, slice_of(p.key), &server));
    check_ok(tls_client_trust(client, certificate));
    check_ok(tls_server_ask_client(server, certificate));
    check_err(tls_client_trust(client, slice_of(p.key)), ERR_CONFIG);
    check_err(tls_server_ask_client(server, slice_of(p.key)), ERR_CONFIG);
    unlink(p.certificate);
    check_err(tls_client_trust(client, certificate), ERR_NOT_FOUND);
    check_err(tls_server_ask_client(server, certificate), ERR_NOT_FOUND);
    place_done(&p);
}

TEST(what_no_certificate_can_be_made_of)
{
    Place p = place_new();
    Slice certificate = slice_of(p.certificate), key = slice_of(p.key);
    Slice good[] = {S("localhost")}, bad[] = {S("\xff\xfe")};
    Arena a arena_scoped = {0};
    char *name = mem_zero(5000);
    memset(name, 'x', 4999);
    Slice long_path = arena_printf(&a, "%s/%s", p.dir, name);
    Slice nowhere = arena_printf(&a, "%s/nowhere/key.pem", p.dir);
    check_err(tls_make_self_signed(certificate, key, bad, 1), ERR_CONFIG);
    check(!access(p.key, F_OK) && access(p.certificate, F_OK) != 0);
    check(tls_make_self_signed(long_path, key, good, 1) != OK);
    check(tls_make_self_signed(certificate, long_path, good, 1) != OK);
    check(tls_make_self_signed(certificate, nowhere, good, 1) != OK);
    EVP_PKEY *ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    write_key(&p, ed25519); /* somebody's own: SHA-256 is not for it */
    check_err(tls_make_self_signed(certificate, key, good, 1), ERR_TLS);
    write_text(p.key, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    check_err(tls_make_self_signed(certificate, key, good, 1), ERR_CONFIG);
    check(access(p.certificate, F_OK) != 0);
    EVP_PKEY_free(ed25519);
    free(name);
    place_done(&p);
}

/* ---- names of clients ---- */

static void add_email(GENERAL_NAMES *names, Slice email)
{
    GENERAL_NAME *n = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    check(ASN1_STRING_set(text, email.at, (int)email.len) == 1);
    GENERAL_NAME_set0_value(n, GEN_EMAIL, text);
    check(sk_GENERAL_NAME_push(names, n) > 0);
}

static void add_host(GENERAL_NAMES *names, const char *host)
{
    GENERAL_NAME *n = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    check(ASN1_STRING_set(text, host, -1) == 1);
    GENERAL_NAME_set0_value(n, GEN_DNS, text);
    check(sk_GENERAL_NAME_push(names, n) > 0);
}

/* With a host, nothing, a name with a NUL, and `count` addresses. */
static X509 *client_certificate(EVP_PKEY *key, int count)
{
    X509 *c = unsigned_for(key);
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    add_host(names, "not.a.mailbox.example");
    add_email(names, (Slice){"", 0});
    add_email(names, slice("anna\0@example.org", 17));
    for (int i = 0; i < count; i++) {
        char email[700]; /* many long ones are more than a front tells */
        snprintf(email, sizeof email, "anna%0*d@example.org", count > 16 ? 600 : 1, i);
        add_email(names, slice_of(email));
    }
    check(X509_add1_ext_i2d(c, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND) == 1);
    GENERAL_NAMES_free(names);
    check(X509_sign(c, key, EVP_sha256()) > 0);
    return c;
}

typedef struct {
    Place place;
    EVP_PKEY *key;
    TlsContext *server;
    bool trusted;
} Asking;

/* How many names of this kind the server sees in such a certificate. */
PARKS static size_t names_seen(const Asking *w, X509 *shown, ClientName kind, Slice *first)
{
    static char room[1024];
    Arena a arena_scoped = {0};
    Slice *names = NULL;
    TlsContext *ctx scoped(tls) = tls_client_new(false), *server_ctx scoped(tls) = NULL;
    Stream *server scoped(stream) = NULL, *client scoped(stream) = NULL;
    if (shown) {
        check(SSL_CTX_use_certificate(ctx->ssl, shown) == 1);
        check(SSL_CTX_use_PrivateKey(ctx->ssl, w->key) == 1);
    }
    check_ok(tls_server_new(slice_of(w->place.certificate), slice_of(w->place.key), &server_ctx));
    check_ok(tls_server_ask_client(server_ctx, slice_of(w->place.certificate)));
    if (shown && w->trusted)
        check(X509_STORE_add_cert(SSL_CTX_get_cert_store(server_ctx->ssl), shown) == 1);
    check_ok(stream_pair(&server, &client));
    check_u64(stream_client_names(server, kind, &a, &names), 0); /* no TLS yet */
    stream_free(server);
    stream_free(client);
    server = client = NULL;
    shake(server_ctx, ctx, &server, &client);
    size_t count = stream_client_names(server, kind, &a, &names), told = 0;
    Buf facts buf_scoped = {0};
    facts_put(server, &facts);
    check(facts.len <= FACTS_MOST);
    Slice fact;
    for (Slice f = buf_slice(&facts); facts_next(&f, FACT_NAME + kind, &fact); told++)
        check_slice(fact, names[told]);
    check(told == count || (count == 16 && told > 10));
    if (!count) return 0;
    memcpy(room, names[0].at, names[0].len);
    *first = slice(room, names[0].len);
    return count;
}

TEST(certificates_of_clients_name_mailboxes)
{
    Asking w = {.place = place_new(), .key = EVP_EC_gen("P-256"), .trusted = true};
    Slice names[] = {S("localhost")}, first;
    X509 *few = client_certificate(w.key, 2), *many = client_certificate(w.key, 30);
    X509 *none = client_certificate(w.key, 0);
    check_ok(tls_make_self_signed(slice_of(w.place.certificate), slice_of(w.place.key), names, 1));
    check_u64(names_seen(&w, few, CLIENT_ADDRESS, &first), 2);
    check_slice(first, S("anna0@example.org"));
    check_u64(names_seen(&w, many, CLIENT_ADDRESS, &first), 16);
    check_u64(names_seen(&w, none, CLIENT_ADDRESS, &first), 0);
    check_u64(names_seen(&w, none, CLIENT_COMMON_NAME, &first), 1);
    check_slice(first, S("anna"));
    check_u64(names_seen(&w, NULL, CLIENT_ADDRESS, &first), 0);
    w.trusted = false;
    check_u64(names_seen(&w, few, CLIENT_ADDRESS, &first), 0);
    X509_free(few);
    X509_free(many);
    X509_free(none);
    EVP_PKEY_free(w.key);
    place_done(&w.place);
}

/* ---- what is signed ---- */

/* RFC 8422 5.4: randoms, named_curve, the curve, a point. */
static void put_tls12(Buf *out, uint8_t form, uint8_t point)
{
    buf_clear(out);
    for (int i = 0; i < 64; i++)
        buf_char(out, (char)i);
    buf_u8(out, form);
    buf_u16(out, 0x1d00);
    buf_u8(out, point);
    for (int i = 0; i < point; i++)
        buf_char(out, 'p');
}

TEST(only_handshakes_of_tls_1_2_are_signed)
{
    Place p = place_new();
    EVP_PKEY *rsa = EVP_RSA_gen(2048), *ec = EVP_EC_gen("P-256");
    X509 *c = certificate_for(rsa, EVP_sha256());
    TlsKey *key scoped(tls_key) = NULL, *other scoped(tls_key) = NULL;
    Buf chain buf_scoped = {0}, octets buf_scoped = {0}, signature buf_scoped = {0};
    write_certificates(&p, c, NULL);
    write_key(&p, rsa);
    check_ok(tls_key_open(slice_of(p.certificate), slice_of(p.key), &chain, &key));
    X509_free(c);
    c = certificate_for(ec, EVP_sha256());
    write_certificates(&p, c, NULL);
    write_key(&p, ec);
    check_ok(tls_key_open(slice_of(p.certificate), slice_of(p.key), &chain, &other));
    check(tls_key_is_slow(key) && !tls_key_is_slow(other));
    put_tls12(&octets, 3, 32);
    check_ok(tls_key_sign(key, 0x0804, buf_slice(&octets), &signature));
    check_ok(tls_key_sign(key, 0x0401, buf_slice(&octets), &signature));
    check_err(tls_key_sign(key, 0x0403, buf_slice(&octets), &signature), ERR_UNSUPPORTED);
    check_err(tls_key_sign(other, 0x0401, buf_slice(&octets), &signature), ERR_UNSUPPORTED);
    check_err(tls_key_sign(other, 0x0703, buf_slice(&octets), &signature), ERR_UNSUPPORTED);
    buf_char(&octets, 'x'); /* behind the point */
    check_err(tls_key_sign(key, 0x0804, buf_slice(&octets), &signature), ERR_FORBIDDEN);
    octets.len -= 2;
    check_err(tls_key_sign(key, 0x0804, buf_slice(&octets), &signature), ERR_FORBIDDEN);
    put_tls12(&octets, 3, 31);
    check_err(tls_key_sign(key, 0x0804, buf_slice(&octets), &signature), ERR_FORBIDDEN);
    put_tls12(&octets, 1, 32);
    check_err(tls_key_sign(key, 0x0804, buf_slice(&octets), &signature), ERR_FORBIDDEN);
    X509_free(c);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    place_done(&p);
}
