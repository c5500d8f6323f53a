/* The certificate of the first run: enough to encrypt from the first minute, and the one a client
 * may be told to trust by its fingerprint. */
#include "net/inside.h"
#include "run/file.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define YEARS_10 ((time_t)3652 * 86400)
#define A_DAY    ((time_t)86400) /* for clients whose clock is behind */

SCOPED(BIO, bio, BIO_free)
SCOPED(X509, x509, X509_free)
SCOPED(EVP_PKEY, pkey, EVP_PKEY_free)
SCOPED(X509_EXTENSION, extension, X509_EXTENSION_free)
SCOPED(GENERAL_NAMES, general_names, GENERAL_NAMES_free)

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *e scoped(extension) = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    if (!e || !X509_add_ext(certificate, e, -1)) out_of_memory(0);
}

/* Not through the text syntax of X509V3_EXT_conf_nid, in which a comma in a name would begin
 * another. */
static GENERAL_NAME *general_name(Slice name)
{
    Buf text buf_scoped = {0};
    buf_add(&text, name);
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(buf_cstr(&text));
    ERR_clear_error();
    GENERAL_NAME *general = GENERAL_NAME_new();
    if (!general) out_of_memory(0);
    if (address) {
        GENERAL_NAME_set0_value(general, GEN_IPADD, address);
        return general;
    }
    ASN1_IA5STRING *host = ASN1_IA5STRING_new();
    if (!host || !ASN1_STRING_set(host, name.at, (int)name.len)) out_of_memory(0);
    GENERAL_NAME_set0_value(general, GEN_DNS, host);
    return general;
}

static void add_names(X509 *certificate, const Slice *names, size_t count)
{
    GENERAL_NAMES *all scoped(general_names) = sk_GENERAL_NAME_new_null();
    for (size_t i = 0; i < count; i++)
        if (!sk_GENERAL_NAME_push(all, general_name(names[i]))) out_of_memory(0);
    if (X509_add1_ext_i2d(certificate, NID_subject_alt_name, all, 0, X509V3_ADD_APPEND) != 1)
        out_of_memory(0);
}

/* RFC 5280 4.1.2.2: at most 20 octets, positive. */
static void set_serial(X509 *certificate)
{
    unsigned char serial[16];
    random_bytes(serial, sizeof serial);
    serial[0] = (serial[0] & 0x7f) | 0x40;
    BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
    if (!number || !BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)))
        out_of_memory(sizeof serial);
    BN_free(number);
}

/* RFC 5280 appendix A.1: a common name has at most 64 characters; the names that count are in
 * subjectAltName. */
static Err set_subject(X509 *certificate, Slice name)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    Slice common = name.len <= 64 ? name : S("posthouse");
    if (!X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)common.at,
                                    (int)common.len, -1, 0))
        return tls_failed(ERR_CONFIG, "the certificate's name");
    if (!X509_set_issuer_name(certificate, subject)) out_of_memory(0);
    return OK;
}

static void set_times(X509 *certificate)
{
    time_t now = (time_t)wall_seconds();
    if (!ASN1_TIME_set(X509_getm_notBefore(certificate), now - A_DAY) ||
        !ASN1_TIME_set(X509_getm_notAfter(certificate), now + YEARS_10))
        out_of_memory(0);
}

static Err certificate_for(EVP_PKEY *key, const Slice *names, size_t count, X509 **out)
{
    X509 *c scoped(x509) = X509_new();
    if (!c || !X509_set_version(c, X509_VERSION_3) || !X509_set_pubkey(c, key)) out_of_memory(0);
    set_serial(c);
    set_times(c);
    TRY(set_subject(c, names[0]));
    add_names(c, names, count);
    add_extension(c, NID_basic_constraints, "critical,CA:FALSE");
    add_extension(c, NID_key_usage, "critical,digitalSignature");
    add_extension(c, NID_ext_key_usage, "serverAuth");
    add_extension(c, NID_subject_key_identifier, "hash");
    if (!X509_sign(c, key, EVP_sha256())) return tls_failed(ERR_TLS, "making a certificate");
    *out = c;
    c = NULL;
    return OK;
}

static Err write_pem(Slice path, BIO *pem)
{
    char *at;
    long len = BIO_get_mem_data(pem, &at);
    return path_replace(path, slice(at, (size_t)len));
}

static Err key_new(Slice path, EVP_PKEY **out)
{
    EVP_PKEY *key scoped(pkey) = EVP_EC_gen("P-256");
    BIO *pem scoped(bio) = BIO_new(BIO_s_secmem());
    if (!key || !pem || !PEM_write_bio_PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL))
        out_of_memory(0);
    TRY(write_pem(path, pem));
    *out = key;
    key = NULL;
    return OK;
}

static Err is_there(Slice path, bool *there)
{
    PathInfo info;
    Err err = path_info(path, &info);
    if (err && err != ERR_NOT_FOUND) return err;
    *there = !err;
    return OK;
}

/* A key without a certificate is what a crash between the two leaves, or somebody's own: it is used
 * and never written over. */
Err tls_make_self_signed(Slice certificate_path, Slice key_path, const Slice *names, size_t count)
{
    must(count > 0);
    bool has_certificate, has_key;
    TRY(is_there(certificate_path, &has_certificate));
    TRY(is_there(key_path, &has_key));
    if (has_certificate && has_key) return OK;
    if (has_certificate)
        return fail(ERR_CONFIG, "%.*s is there, its key %.*s is not", SP(certificate_path),
                    SP(key_path));

    EVP_PKEY *key scoped(pkey) = NULL;
    TRY(has_key ? tls_read_key(key_path, &key) : key_new(key_path, &key));
    X509 *certificate scoped(x509) = NULL;
    TRY(certificate_for(key, names, count, &certificate));
    BIO *pem scoped(bio) = BIO_new(BIO_s_mem());
    if (!pem || !PEM_write_bio_X509(pem, certificate)) out_of_memory(0);
    return write_pem(certificate_path, pem);
}
