#pragma once
/* How a conversation changes hands: between the front, which talks to strangers, and the house,
 * where the mail is; and from a house that has ended to the next one. Whoever lets go writes a
 * record, and the conversation goes on from it, on the same connection, as if nothing had happened.
 *
 *     record:  u8 version (1)  u8 kind  u8 guest  bytes service  bytes login  bytes grant
 *              body: what the protocol has to say (imap/record.h, pop3/record.h, smtp/server.c)
 *
 * A front may send whatever it likes, so a house checks every octet of it, and that it was somebody
 * with the key who says that this login has been shown: the keeper, for one who has just logged in,
 * or a house, for a session that it had itself. A front that has been taken over can thus be
 * anybody who logs in through it, and nobody else; it can also let a session go on from where it
 * was some time ago. That it is not lied to about addresses and TLS nobody can make sure of. */
#include "auth/auth.h"
#include "auth/grant.h"

enum { HANDOVER_MOST = 4096 }; /* octets of a record; what needs more cannot be taken up */
typedef enum {
    HANDOVER_STRANGER,  /* the house gives the connection back: nobody is logged in any more */
    HANDOVER_LOGGED_IN, /* somebody has just logged in, and waits for the answer */
    HANDOVER_AT_REST,   /* a session between two commands */
} HandoverKind;
typedef struct {
    HandoverKind kind;
    bool guest;
    Slice login; /* empty: of a stranger */
    Slice body;  /* borrowed from the record */
} Handover;

/* `user`: who, with the grant for it; NULL: a stranger. Nothing is written when it would be longer
 * than HANDOVER_MOST. */
void handover_write(Buf *out, HandoverKind kind, Slice service, const AuthUser *user, Slice body);
/* Gives the user the grant for AT_REST with this body; key NULL: nobody will ask for it, none.
 * Costs more than the rest: to be kept while the body is the same. */
void handover_seal(AuthUser *user, Slice service, Slice body, const GrantKey *key);
/* Whose it says it is; empty: nobody's, or it does not fit. */
Slice handover_login(Slice record);
/* ERR_SYNTAX; ERR_AUTH: the grant is not good. key NULL: not asked for. */
Err handover_read(Slice record, Slice service, const GrantKey *key, Handover *out) MUST_USE;
