/* Key sets and tokens: the first line is a token, the rest a key set. Whatever they are, a token
 * that was not signed is not good; JSON that is read is bounded. */
#include "auth/jose.h"
#include "auth/oauth.h"
#include "base/fuzz.h"

static void try_claims(Slice text)
{
    JsonTree *claims scoped(json_tree) = NULL;
    OauthConfig config = {.issuer = S("i"), .audience = S("a"), .scope = S("s")};
    Slice user = {0};
    if (json_tree_parse(text, JOSE_TOKEN_MOST, &claims)) return;
    if (!oauth_judge(&config, claims, text.len % 2, 1000, &user)) must(user.len > 0);
    Buf out buf_scoped = {0};
    json_put_string(&out, user);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Slice rest = slice(data, size), token;
    if (!slice_cut(&rest, '\n', &token)) return 0;
    JoseKeys *keys scoped(jose_keys) = NULL;
    JsonTree *claims scoped(json_tree) = NULL;
    Buf octets buf_scoped = {0};
    try_claims(rest);
    if (base64url_decode(&octets, token)) must(octets.len <= token.len);
    if (jose_keys_parse(rest, &keys)) return 0;
    must(jose_keys_count(keys) > 0 && jose_keys_count(keys) <= JOSE_KEYS_MOST);
    Err err = jose_verify(keys, token, &claims);
    must((err == OK) == (claims != NULL));
    return 0;
}
