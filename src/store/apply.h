#pragma once
/* Between the files of apply*.c, where records change memory: apply.c takes a record apart, each
 * operation is in one of the others. Those that fail have met damage (apply_record, model.h). */
#include "store/model.h"

enum { APPLY_PIECE = 1024 }; /* messages between two rests */

/* A record on its way into memory. */
typedef struct {
    Account *account;
    uint64_t seq;
    uint32_t time;
    BlobRef body;
    uint32_t loose; /* eid of the last ADD while no LINK has taken it up */
    uint32_t news[8];
    uint32_t news_count;           /* beyond COUNT(news): tell all */
    uint16_t old_kwset, new_kwset; /* of the message flagged last: the next has mostly the same */
    bool kwset_known;
    void (*pause)(void);  /* NULL: all at once */
    uint32_t piece, done; /* how many messages between two rests, and since the last */
} Applying;

/* ---- apply.c ---- */
void apply_rest(Applying *ap, size_t did); /* behind so many messages */
void apply_news(Applying *ap,
                uint32_t mailbox); /* listeners are told at the end; 0: of no mailbox */
/* The feed: listeners hear of each thing as it happens. */
void apply_happened(Account *a, Happening h);
Happening happening_about(HappeningKind kind, const Box *b);
void apply_came(Box *b, uint32_t first, uint32_t last);
void apply_box_changed(Applying *ap, Box *b);        /* its messages */
void apply_boxes_changed(Applying *ap, uint32_t id); /* the list of mailboxes */

/* ---- apply_email.c: emails and their links into mailboxes ---- */
Err apply_add(Applying *ap, const Op *op) MUST_USE;
Err apply_link(Applying *ap, const Op *op) MUST_USE;
void apply_loose_ends(Applying *ap); /* an email that nothing has linked is dead */
Err message_link(Applying *ap, Box *b, const Message *m) MUST_USE;
Err message_unlink(Applying *ap, const Box *b, const Message *m) MUST_USE;
Err message_move(Applying *ap, Box *from, Box *to, const Message *was,
                 const Message *copy) MUST_USE;

/* ---- apply_messages.c: what is done to many messages ---- */
Err apply_unlink(Applying *ap, const Op *op) MUST_USE;
Err apply_copy(Applying *ap, const Op *op) MUST_USE;
Err apply_flag(Applying *ap, const Op *op) MUST_USE;
Err apply_annotate(Applying *ap, const Op *op) MUST_USE;
Err messages_unlink_all(Applying *ap, Box *b) MUST_USE; /* of a mailbox that goes */

/* ---- apply_mailbox.c ---- */
void apply_create(Applying *ap, const Op *op);
void apply_rename(Applying *ap, const Op *op);
Err apply_delete(Applying *ap, const Op *op) MUST_USE;
void apply_acl(Applying *ap, const Op *op);
void apply_role(Applying *ap, const Op *op);
void apply_subscribe(Applying *ap, const Op *op);
void apply_validity(Applying *ap, const Op *op);
