#pragma once
/* What a conversation is between two transactions, so that another house goes on with it:
 *
 *     u8 version (1)  u8 LMTP  u8 extended  bytes what the client called itself, or empty
 *     varint messages  mistakes
 *
 * Nobody has shown who he is, so there is nothing to be sealed: a front can call itself what it
 * likes as any client can. */
#include "smtp/session.h"

/* False: in a transaction, of which there is no record. */
bool smtp_record_write(const Smtp *s, Buf *out);
/* ERR_SYNTAX: it does not fit, or is of the other protocol; then nothing has changed. */
Err smtp_record_read(Slice record, Smtp *s) MUST_USE;
