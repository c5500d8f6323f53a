#pragma once
/* The inside of a draft, for draft.c (how it is written) and append.c, deliver.c (how it is
 * committed). */
#include "mail/mail.h"
#include "store/digest.h"
#include "store/model.h"

struct Draft {
    Store *store;
    Buf body; /* the whole message up to BLOB_INLINE_MOST; beyond: what is not written yet */
    BlobWriter *writer; /* beyond */
    BlobRef big;        /* beyond, once ended */
    uint64_t size;      /* octets so far */
    size_t scanned;     /* of body: what scan and digest have seen */
    bool last_cr;       /* a CR came last: its LF may follow */
    Err err;            /* sticks */
    MailScan *scan;
    Digest *digest;
    Buf text;   /* what the scan makes for SEARCH, then header and body */
    Slice head; /* beyond: the first octets, with the header; in the arena */
    bool text_whole;
    Arena arena;
    bool ended;
    MailSummary summary;
    Buf stored; /* mail_summary_encode of it */
    uint8_t sha256[32];
    uint32_t hashes[RECORD_HASHES_MOST];
    uint32_t hash_count;
};
PARKS Err draft_end(Draft *d) MUST_USE; /* no more octets: everything about it is known then */

/* A body that is in the log already, committed for another account. */
typedef struct {
    BlobRef ref;
    bool known;  /* refer to it; else carry the body ... */
    bool shared; /* ... and others will refer to it: then it is pinned, the caller unpins it */
} DraftBody;
/* One draft into one mailbox; body->ref is where the body is then. */
PARKS Err draft_place(Draft *d, Mailbox *box, const DraftPlace *place, DraftBody *body,
                      uint32_t *uid) MUST_USE;

/* ---- append.c: one message on its way into a record ---- */
typedef struct {
    Draft *draft;
    Mailbox *box;
    const DraftPlace *place;
    Arena *arena;
    DraftBody *body;
    uint32_t eid, uid;
    bool replaces; /* another, whose octets go at the same time */
    uint64_t frees;
    uint32_t *keywords;
    Buf joined; /* prefix and body in one, when there are too many prefixes */
} Placing;
void placing_done(Placing *p);
/* In this order; between the first and change_send nobody waits. placing_prepare also reserves room
 * and defines the keywords, in the record that will link the message; placing_index is for when all
 * is durable. */
Err placing_check(const Placing *p) MUST_USE;
Err placing_prepare(Placing *p, Change *link) MUST_USE;
Err placing_uid(Placing *p) MUST_USE;
void placing_add(Placing *p, Change *c);
void placing_link(Placing *p, Change *c);
void placing_index(const Placing *p);

/* ---- drafts.c ---- */
/* Those that wait in memory go into the log now, linked nowhere. */
PARKS Err drafts_spool(Drafts *drafts) MUST_USE;
