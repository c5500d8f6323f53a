#pragma once
/* X-GM-EXT-1, when the setting imap_gmail is on: what maps to what is said in gmail.c. */
#include "imap/session.h"

uint64_t gmail_id(uint32_t acct, uint64_t id);
uint64_t gmail_number_of(uint64_t id, uint32_t acct); /* 0: of another account */
/* "X-GM-LABELS (...)"; the arena is scratch. */
PARKS void gmail_put_labels(Imap *s, const Message *m, Arena *a);
typedef struct {
    Slice *names; /* as sent, decoded; "\Inbox" */
    size_t count;
} GmailLabels;
PARKS Slice gmail_label(In *in);
PARKS void gmail_labels(In *in, GmailLabels *labels); /* a list in parentheses, or some */
/* ERR_UNSUPPORTED: a label that means nothing here. */
PARKS Err gmail_store(Imap *s, const UidSet *uids, ChangeHow how,
                      const GmailLabels *labels) MUST_USE;
