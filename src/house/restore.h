#pragma once
/* restore, what an account has besides messages. What is there stays, what is missing comes back;
 * with `replace` what is there becomes what it was, but no mail and no mailbox goes. Rights come
 * back only with a mailbox that restore has made (or with `replace`): where the mailbox has stayed,
 * one that is missing may have been taken back on purpose. */
#include "house/transfer.h"

typedef struct {
    Talk *talk;
    uint32_t acct;
    Buf login; /* normalised */
    bool made; /* the account was made for this */
    bool replace;
    bool wanted;        /* things come, not only mail: what is made gets nothing by itself */
    bool limits_follow; /* at the end */
    uint64_t done, there, left_out;
} Belongings;
/* The account is being made for this, and not empty yet: known also to who does it again after this
 * was cut off. */
typedef enum { MARK_MAKING, MARK_MADE, MARK_ASK } MarkWhat;
PARKS Err belongings_mark(Belongings *b, MarkWhat what) MUST_USE; /* ASK: sets `made` */
PARKS Err belongings_take(Belongings *b, const Thing *t) MUST_USE;
/* The account's number of who had that login and that number; 0: it is somebody else's now, or
 * nobody's, which is told. */
PARKS uint32_t belongings_who(Belongings *b, Slice login, uint32_t acct, Slice what);
PARKS void belongings_left_out(Belongings *b, Slice mailbox, const char *what);
/* At home. Made with a mark, so that its rights come back also when this is cut off and done again.
 */
PARKS Err belongings_mailbox(Belongings *b, Account *account, Slice name, Mailbox **box) MUST_USE;
void belongings_done(Belongings *b);
