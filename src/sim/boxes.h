#pragma once
/* The mailboxes that one client alone changes: their names, what an operation makes of them, and
 * reading them back. */
#include "sim/talker.h"

enum { /* flags as bits: the five of Flag, and keywords */
       FLAG_K1 = 32,
       FLAG_K2 = 64,
       FLAG_K3 = 128
};
enum { RIGHTS_NONE, RIGHTS_LOOK, RIGHTS_WORK, RIGHTS_KINDS };
extern const char *const guest_rights[RIGHTS_KINDS]; /* letters for SETACL */

unsigned own_account(unsigned own);
unsigned own_guest(unsigned own); /* the account that works there as a guest */
void box_name(Buf *out, unsigned own, unsigned box, unsigned generation);
void flags_put(Buf *out, uint8_t flags); /* "(\Seen k1)" */
uint8_t flags_read(Slice list);          /* without the parentheses; unknown ones: passed over */

/* Reads all mailboxes of an Own over IMAP and compares: they are `acked`, or, with something in
 * flight that may have been done, `pending`. What is true becomes `acked`. False: the connection
 * was lost. */
PARKS bool own_settle(Talker *t, unsigned own, bool may_be_pending);
