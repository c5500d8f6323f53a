#pragma once
/* What a session is when it changes hands (auth/handover.h), and its octets, the record's body.
 *
 *     LOGGED_IN:  bytes tag  varint ms left to log in  mistakes  language  u8 after a literal
 *     AT_REST:    varint enabled  language  u8 collation  u8 descending  varint mistakes
 *                 u8 quota known, over, after a literal  varint level told  bytes tag of IDLE
 *                 bytes arguments of NOTIFY  bytes told up to where  u8 selected; and if so:
 *                 varint account  mailbox id  u8 how  u32 hash of the keywords told
 *                 varint rights told  bytes view (view_keep)  uid ranges "$"  bytes notes
 *     STRANGER:   varint mistakes */
#include "imap/session.h"

enum { RECORD_READ_ONLY = 1, RECORD_EXAMINED = 2, RECORD_ANNOTATE = 4 };
typedef struct {
    Slice tag; /* LOGGED_IN: to be answered; AT_REST: of IDLE, or empty */
    uint64_t login_ms;
    unsigned mistakes, enabled;
    uint8_t language;
    Comparator comparator;
    bool quota_known, quota_over;
    bool after_literal; /* the command before ended with one: In.blank */
    uint16_t quota_level;
    Slice notify; /* as the client wrote it; empty: none */
    Slice heard;  /* imap_notify_heard */
    bool selected;
    uint32_t acct, mailbox_id; /* the selected one */
    uint8_t how;
    uint32_t told_keywords;
    Rights told_rights;
    Slice view, notes;
    UidSet saved; /* in the arena */
} ImapRecord;

void imap_record_logged_in(Buf *out, const ImapRecord *r);
void imap_record_at_rest(Buf *out, const ImapRecord *r);
/* ERR_SYNTAX: not every octet fits. Slices are borrowed. */
Err imap_read_logged_in(Slice body, ImapRecord *r) MUST_USE;
Err imap_read_at_rest(Slice body, Arena *a, ImapRecord *r) MUST_USE;
