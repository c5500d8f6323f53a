#pragma once
/* How well one message fits one search key: 100, or 0 for not at all; below a FUZZY (RFC 6203)
 * anything between. */
#include "imap/search.h"
#include "mail/mail.h"

typedef struct {
    View *view;
    Account *account;
    int64_t now;    /* wall clock */
    unsigned fuzzy; /* how many FUZZY are above this key */
} SearchAsked;
unsigned fits_slot(const SearchAsked *q, const SearchKey *key, const Message *m);
unsigned fits_email(const SearchAsked *q, const SearchKey *key, const EmailDetails *d,
                    const Message *m);
unsigned fits_summary(const SearchAsked *q, const SearchKey *key, const MailSummary *m);
unsigned fits_header(const SearchAsked *q, const SearchKey *key, Slice header);
/* Is it a question to the store's emails_contain? */
bool text_question(const SearchAsked *q, const SearchKey *key, TextQuestion *question);
/* What is not. Reads the message. */
PARKS Err fits_text(const SearchAsked *q, const SearchKey *key, uint32_t eid,
                    unsigned *score) MUST_USE;
