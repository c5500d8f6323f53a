#pragma once
/* For tests: clients that do mixed work on accounts, and a trivial model of what must come of it.
 *
 * Several Clients share the accounts, but each has mailboxes of its own in every account: a Unit.
 * So a client knows what its unit holds, whatever the others do. What it knows is plain data
 * without pointers and may lie in memory that outlives a crash: `acked` is what was acknowledged,
 * `pending` what it will be once the operation in flight is. After a crash a unit must be the one
 * or, if something was in flight, the other: nothing lost, nothing half done, nothing back from the
 * dead. */
#include "store/store.h"

enum {
    WORK_CLIENTS = 4,
    WORK_ACCOUNTS = 3,
    WORK_BOXES = 3,
    WORK_MESSAGES = 48,
    WORK_GONE = 256,
    WORK_OBJECTS = 3,
    WORK_KEYWORDS = 5,
    WORK_NOTES = 6,
    WORK_KEPT = 200,
    WORK_QUOTA_LEAST = 100000,
};

typedef struct {
    uint32_t uid, date, size;
    uint32_t body;                         /* what it was made from */
    uint32_t email;                        /* its copies are the same one */
    uint8_t flags, keywords, prefix, note; /* note: work_note */
    uint64_t modseq;                       /* 0: not known yet */
} WorkMessage;
typedef struct {
    uint32_t uid;
    uint64_t after, by; /* seq of the account before the expunge, and when we looked next */
} WorkGone;
typedef struct {
    char name[64];
    uint8_t generation; /* part of the name; RENAME goes to the next one */
    uint8_t note;       /* its annotation */
    bool exists;
    uint16_t rights;           /* of "friend", by the ACL */
    uint32_t id, uid_validity; /* 0: not known yet */
    uint32_t last_uid_validity;
    uint32_t uid_next, count, gone_count;
    WorkMessage messages[WORK_MESSAGES];
    WorkGone gone[WORK_GONE];
} WorkBox;
typedef struct { /* expunged, and in Trash or kept; in the order in which they came there */
    WorkMessage message;
    uint32_t origin; /* id of the mailbox it was in */
    char name[64];   /* and how that was called, or when it was deleted */
} WorkKept;
typedef enum { WORK_GONE_AT_ONCE, WORK_KEEP, WORK_TRASH, WORK_POLICIES } WorkPolicy;
typedef struct {
    WorkBox boxes[WORK_BOXES];
    WorkKept kept[WORK_KEPT];
    uint32_t kept_count, emails;
    uint32_t objects[WORK_OBJECTS]; /* the value's number; 0: none */
    uint32_t quota;                 /* messages; the first client's units only. 0: never set */
    bool subscribed;                /* to a name without a mailbox */
    uint64_t seq;                   /* of the account, at least */
} WorkState;
typedef struct {
    WorkState acked, pending;
    bool in_flight, answered; /* answered: pending is acknowledged, acked is about to be */
    uint32_t acct;
    WorkPolicy policy; /* of the account: what a deletion means (store.h, Deletion) */
    unsigned client;
    char what[100]; /* the operation in flight */
} Unit;
typedef struct {
    uint64_t random;
    uint64_t done, begun; /* operations; and those of them that changed something */
    bool stopped;
    unsigned number;
    Unit units[WORK_ACCOUNTS];
} Client;
typedef struct WorkWorld {
    uint64_t seed;
    bool may_fail; /* the disk does: a client whose operation failed stops, not knowing */
    bool damaged;  /* and the index, too: an ERR_CORRUPT may come. The log is right */
    unsigned big;  /* one in so many messages is of more than BLOB_INLINE_MOST; 0: none */
    bool ready;    /* accounts and first mailboxes were made */
    Client clients[WORK_CLIENTS];
    /* An operation begins, or has ended and nobody has looked yet; may be NULL. */
    void (*moment)(struct WorkWorld *w, Client *c, bool ended);
} WorkWorld;

typedef enum {
    WORK_APPEND,
    WORK_APPEND_MANY,
    WORK_APPEND_ABANDONED,
    WORK_REPLACE,
    WORK_CHANGE,
    WORK_COPY,
    WORK_MOVE,
    WORK_EXPUNGE,
    WORK_CREATE_DELETE,
    WORK_RENAME,
    WORK_SUBSCRIBE,
    WORK_SHARE,
    WORK_OBJECT,
    WORK_PLACE, /* undelete, or empty Trash */
    WORK_NOTE,
    WORK_BOX_NOTE,
    WORK_QUOTA,
    WORK_DELIVER,
    WORK_OPS
} WorkOp;
const char *work_op_name(WorkOp op);

void world_init(WorkWorld *w, uint64_t seed);
/* Makes the accounts, and the first mailbox of each unit; goes on where a crash stopped it. */
PARKS void world_prepare(WorkWorld *w, Store *store);
/* That operation; it may find nothing to do. Any loop. */
PARKS void client_do(WorkWorld *w, Client *c, Store *store, unsigned unit, WorkOp op);
/* One operation of its choice; any loop. */
PARKS void client_step(WorkWorld *w, Client *c, Store *store);
/* All clients at once, so many steps each; sweep: while the index is copied and bodies are moved.
 */
PARKS void world_work(WorkWorld *w, Store *store, unsigned steps, bool sweep);
/* Every unit is what it must be, and a recount agrees. Afterwards nothing is in flight. */
PARKS void world_verify(WorkWorld *w, Store *store);

/* Is the unit's part of the account in this state? Fills in what is not known yet; `before` is what
 * it was one operation ago. false: *why. bodies: reads every message. Home loop. */
PARKS bool state_compare(const WorkWorld *w, const Unit *u, Account *a, const WorkState *before,
                         WorkState *state, bool bodies, Buf *why);
WorkMessage *work_message(WorkBox *b, uint32_t uid); /* NULL: none */
/* What expunges of all units of an account have left is there, and nothing else. Home loop. */
PARKS bool kept_compare(const WorkWorld *w, unsigned account, Account *a, Buf *why);
/* The uid of that message among those kept, or in Trash; 0: it is not there. Not one in `taken`. */
PARKS uint32_t kept_find(Account *a, WorkPolicy policy, const WorkMessage *m, Arena *arena,
                         const UidSet *taken);
Slice work_keyword(unsigned i);
/* The value of the one annotation that a message or mailbox has; .at NULL for 0. */
Slice work_note(Arena *a, unsigned note);

/* The octets of a message, without prefix. */
void work_body(Buf *out, uint32_t body);
Slice work_prefix(unsigned number); /* 0: none */
uint64_t work_random(uint64_t *state);
/* Says what, and the seed, and ends the program. */
_Noreturn void work_failed(const WorkWorld *w, const char *fmt, ...) PRINTF(2, 3);
