#pragma once
/* The text index of an account: a signature (bloom.h) of each message's text, kept in
 * DIR/search/ACCT.sig (sigfile.h). For the files of this room only; protocols call text_candidates
 * and email_contains of store.h.
 *
 * Nothing depends on it: a message whose signature is missing is always a candidate, and gets one
 * when email_contains has read it anyway. So what a crash, a full disk or a damaged block takes
 * away comes back with the first search; nothing is ever flushed for its sake. It has to be deleted
 * when an account is removed or a store is put back to an older state (eids are handed out anew).
 */
#include "mail/mail.h"
#include "store/store.h"

/* Makes DIR/search: when the store is opened, for later a sandbox lets nothing be made there. */
void signature_make_dir(Slice store_dir);
/* Appends the text of a header as SEARCH TEXT sees it: "name: value" and '\n' for each field,
 * decoded and folded. For all octets in front of a message's body, prefix included. */
void signature_header_text(Buf *out, Slice header, MailFold *fold); /* NULL: casemap */
/* Whether the text a mail_scan_* made is all there is: it was not cut at MAIL_TEXT_MOST. */
bool signature_is_whole(Slice body_text);
/* A message has arrived: call it on the home loop when its ADD was applied. Does not park; about 50
 * us for 20 KB. prefix: octets in front of the header. text: signature_header_text of the header,
 * then the text mail_scan_* made. Not whole: the message will always be a candidate. */
void signature_add(Account *a, uint32_t eid, Slice prefix, Slice text, bool whole);
/* The file is open and has no signature of it. */
bool signature_is_missing(Account *a, uint32_t eid);
/* email_contains, by whichever folding. */
PARKS Err email_has(Account *a, uint32_t eid, const TextQuestion *q, bool *found) MUST_USE;

/* ---- learning what searches had to read (learn.c) ---- */
/* A search has read this message itself: if the index lacks it, it is learnt soon. Home loop. */
void signature_miss(Account *a, uint32_t eid);
/* For learn.c. The messages that were missed: how many, and the next, which is then no longer one
 * of them. Once learning has begun, none are added until it ends. */
size_t signature_missed(const Account *a);
PARKS bool signature_next_missed(Account *a, uint32_t *eid);
void signature_begin_learning(Account *a);
void signature_end_learning(Account *a);
/* Appends the signature of a text to `chunks`, on any thread; signature_keep takes them. */
void signature_make(Buf *chunks, uint32_t acct, uint32_t eid, Slice text, bool whole);
void signature_keep(Account *a, Slice chunks);
/* A fiber that learns what this account missed, and ends. */
void signature_learn(Account *a);
/* No more, and waits until nobody learns. For store_close. */
PARKS void signature_stop_learning(Store *store);

/* Waits until what unloaded accounts left behind is written. For store_close. */
PARKS void signature_settle(const Store *store);
/* An account was emptied for good: its file goes. */
PARKS void signature_remove(Account *a);
