#pragma once
/* URLAUTH, RFC 4467: who may read what a URL names is said by the URL itself, sealed with a key of
 * the mailbox. Off unless ImapConfig.urlauth.
 *
 * A user's table of mailbox access keys (2.2) is one secret of his account, and a salt for each
 * mailbox whose key was reset: the key is made of both. So RESETKEY is one small record in either
 * form. They are objects of the account, which no protocol shows. */
#include "imap/incoming.h"

enum { URLAUTH_TOKEN = 33 }; /* octets: which algorithm, and an HMAC */

/* A mailbox as the key table of some user knows it. */
typedef struct {
    uint32_t acct, id;
} UrlauthMailbox;
/* The token of a rump URL, at the home of `owner`, whose table it is. make: a missing secret is
 * made; else ERR_NOT_FOUND. */
PARKS Err urlauth_token(Account *owner, UrlauthMailbox box, Slice rump, bool make,
                        uint8_t token[URLAUTH_TOKEN]) MUST_USE;
/* The same with a key that nobody has: what is not there takes as long (6). */
void urlauth_no_token(Slice rump, uint8_t token[URLAUTH_TOKEN]);
/* The account of a login; without making one. */
PARKS Err urlauth_account(Imap *s, Slice login, uint32_t *acct) MUST_USE;

/* BODYPARTSTRUCTURE (RFC 5524 3.2): the BODY of one part, from a message's BODYSTRUCTURE. decoded,
 * if not NULL, is what it is without transfer encoding. Nothing: there is no such part. */
void urlauth_part_body(Buf *out, Slice structure, const Section *section,
                       const FetchDecoded *decoded);
/* Its media type, "text/plain", lower case; empty: there is no such part. */
Slice urlauth_part_type(Slice structure, const Section *section, Arena *a);
