#pragma once
/* Access tokens: from what a client shows to the login it stands for. Any loop. */
#include "auth/auth.h"
#include "auth/jose.h"

typedef struct Oauth Oauth;
Oauth *oauth_new(void);
void oauth_free(Oauth *o);
/* Reads the keys file, if there is one: at the start, and at a reload. Blocks. What is there stays
 * when the new one is no good. */
Err oauth_load(Oauth *o, const OauthConfig *config) MUST_USE;

/* Which of the two is for this token: the keeper's, who has the keys, or the issuer's. */
bool oauth_is_signed(const OauthConfig *config, Slice token);
/* The text of the claim that names the user. ERR_AUTH; ERR_TEMPORARY: the issuer cannot be asked.
 */
PARKS Err oauth_check_signed(Oauth *o, const OauthConfig *config, Slice token, Buf *user) MUST_USE;
PARKS Err oauth_check_opaque(Oauth *o, const OauthConfig *config, Slice token, Buf *user) MUST_USE;

/* What a token says about itself, judged: RFC 9068 4, RFC 7662 2.2. `signed_token`: the issuer and
 * the audience have to be named. */
Err oauth_judge(const OauthConfig *config, const JsonTree *claims, bool signed_token, int64_t now,
                Slice *user) MUST_USE;
