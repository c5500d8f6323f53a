#pragma once
/* What a session is when it changes hands (auth/handover.h), and its octets, the record's body.
 *
 *     all:        bytes timestamp of the banner  u8 UTF8 was given  varint language  mistakes
 *     LOGGED_IN, AT_REST: then bytes folder  bytes device
 *     AT_REST:    then varint mailbox id  messages  octets  deleted  their octets  last
 *                 last at the login  u8 POP2's turn  varint its message
 *                 uid ranges: fetched by the device  number ranges: deleted, retrieved
 *                 bytes view (view_keep) */
#include "auth/handover.h"
#include "pop3/session.h"

typedef struct {
    Slice timestamp, folder, device, view;
    bool utf8;
    Language language;
    unsigned mistakes;
    uint32_t mailbox_id, count, deleted, last, last_at_login, current;
    uint64_t octets, deleted_octets;
    uint8_t turn;
    UidSet fetched, marked[2]; /* in the arena */
} Pop3Record;

void pop3_record_write(Buf *out, HandoverKind kind, const Pop3Record *r);
/* ERR_SYNTAX: not every octet fits. Slices are borrowed. */
Err pop3_record_read(Slice body, HandoverKind kind, Arena *a, Pop3Record *r) MUST_USE;
