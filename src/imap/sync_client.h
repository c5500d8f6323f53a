#pragma once
/* For sync_test: a client that believes what it is told and nothing else. It keeps a view of the
 * mailbox it has selected, from the responses alone, and ends the program when one of them cannot
 * be: a number out of range, an EXPUNGE where none may come, a FETCH of a message it does not know,
 * FETCH where UIDFETCH was agreed on. */
#include "imap/imap.h"

enum { /* flags as bits: the five of Flag, and keywords */
       FLAG_K1 = 32,
       FLAG_K2 = 64,
       FLAG_K3 = 128,
       ENTRIES_MOST = 400,
       BOXES = 3,
       NAMES = 4,
       TRACE_LINES = 60,
       TRACE_OCTETS = 160,
};
typedef enum { PLAIN, CONDSTORE, QRESYNC, UIDONLY, REV2, NOTIFYING, NOTIFYING_UIDONLY } Kind;

typedef struct {
    uint32_t uid; /* 0: not known yet */
    uint8_t flags;
    bool flags_known;
    uint64_t modseq;
} Entry;

typedef struct { /* what NOTIFY told of a mailbox that is not selected */
    bool known;
    uint32_t messages, uid_next, unseen;
} Told;

typedef struct {
    Kind kind;
    unsigned number; /* of the client, for the trace */
    unsigned who;    /* 0: the owner, 1: the one he shares with */
    uint64_t seed;
    Stream *stream;
    unsigned tag;
    int box; /* selected, -1: none */
    const char *const *boxes;
    Entry view[ENTRIES_MOST];
    uint32_t count;
    uint32_t complete;       /* a client without numbers knows every message up to this uid */
    Entry old[ENTRIES_MOST]; /* what a QRESYNC client remembers of the box it selects again */
    uint32_t old_count;
    uint32_t validity, uid_next;
    uint64_t modseq; /* the highest told */
    uint64_t synced; /* the same when all was told */
    bool no_expunge; /* a command is under way whose numbers must not change (RFC 9051 7.5.1) */
    bool idling;
    char done[TRACE_OCTETS];      /* the tagged line, behind its tag */
    uint32_t found[ENTRIES_MOST]; /* SEARCH */
    uint32_t found_count;
    Told told[BOXES];
    bool names[NAMES]; /* "x0" ..., as LIST told */
    bool subscribed[NAMES];
    char trace[TRACE_LINES][TRACE_OCTETS];
    unsigned traced;
} SyncClient;

_Noreturn void sync_failed(const SyncClient *c, const char *fmt, ...) PRINTF(2, 3);
PARKS void sync_send(SyncClient *c, const char *fmt, ...) PRINTF(2, 3); /* a command; no waiting */
PARKS bool sync_finish(SyncClient *c); /* to its tagged line; is it OK? */
PARKS bool sync_ask(SyncClient *c, const char *fmt, ...) PRINTF(2, 3); /* both */
PARKS void sync_listen(SyncClient *c);                                 /* what has come unasked */
PARKS void sync_greeting(SyncClient *c);
Entry *sync_entry(SyncClient *c, uint32_t uid); /* NULL */
bool sync_by_uid(const SyncClient *c);          /* no message numbers for this one */
bool sync_is_uid_only(const SyncClient *c);
bool sync_notifies(const SyncClient *c);
