#pragma once
/* Signed tokens: JWK sets (RFC 7517) and compact JWS (RFC 7515) with public keys, as issuers of
 * OAuth access tokens use them (RFC 7519, RFC 9068). Pure.
 *
 * RFC 8725: the key says the algorithm, never the token; "none" and the HMAC family do not exist
 * here, so no token can choose them. RS256, ES256 (RFC 7518 3) and EdDSA with Ed25519 (RFC 8037).
 */
#include "base/json.h"

enum { JOSE_KEYS_MOST = 64, JOSE_KEYS_OCTETS = 256 * 1024, JOSE_TOKEN_MOST = 16 * 1024 };

typedef struct JoseKeys JoseKeys;
/* Keys of other types, for other uses, or too weak are passed over. ERR_SYNTAX, ERR_TOO_BIG;
 * ERR_NOT_FOUND: none is left. */
Err jose_keys_parse(Slice jwks, JoseKeys **keys) MUST_USE;
void jose_keys_free(JoseKeys *keys);
SCOPED(JoseKeys, jose_keys, jose_keys_free)
size_t jose_keys_count(const JoseKeys *keys);

bool jose_looks_like_token(Slice token); /* three parts: not an opaque one */
/* Verifies the signature and gives the claims, unjudged. ERR_AUTH; ERR_NOT_FOUND: the key that the
 * token names is not among these, perhaps a newer one. */
Err jose_verify(const JoseKeys *keys, Slice token, JsonTree **claims) MUST_USE;
void token_digest(Slice token, Buf *out); /* SHA-256 */
/* RFC 4648 5 without padding. */
bool base64url_decode(Buf *out, Slice text) MUST_USE;
