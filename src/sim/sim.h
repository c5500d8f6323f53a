#pragma once
/* sim: the whole server in the simulated world (run/sim.h). A House is opened on the simulated
 * disk and listens on the simulated network; small clients of every protocol use it until it ends
 * at a disk operation, by power cut or kill -9. The next life recovers; what it then says over the
 * protocols is compared with the ledger, where every client wrote before and after each step what
 * it had asked for and what had been acknowledged. The ledger, like the disk, lies in memory that
 * outlives the process.
 *
 * Vocabulary: a World is one seed with its Plan, its ledger and its disk; a life is one run of the
 * server in it. A token is a message's number: its octets follow from it. An Own is the mailboxes
 * that one IMAP client alone changes, so that it knows what has to be in them. An Arrival is a
 * message that was sent to an account. Begin reading with whole_sim.c, then life.c. */
#include "house/house.h"
#include "run/sim.h"

enum {
    ACCOUNTS = 3,
    OWNS = 4,
    BOXES = 3,
    MAILS = 24,
    GONES = 8,
    ARRIVALS = 400,
    WATCHES = 3,
    WATCHED = 400,
    HOARD = 24,
    PERSONS = 3,
    PERSON_MAILS = 6,
    LIVES_MOST = 40,
    PORT_IMAP = 143,
    PORT_POP3 = 110,
    PORT_LMTP = 24,
    PORT_SMTP = 25
};

/* ---- the plan ---- */
typedef enum {
#define CLIENT(name, function, count, what) CLIENT_##name,
#include "sim/clients.def"
#undef CLIENT
    CLIENT_KINDS
} ClientKind;
typedef enum {
#define TROUBLE(name, share, what) TROUBLE_##name,
#include "sim/troubles.def"
#undef TROUBLE
    TROUBLES
} Trouble;
typedef struct {
    uint64_t seed;
    unsigned chance;            /* other moments of crashes and failures for the same seed */
    unsigned lives, steps;      /* steps: of each client in each life */
    unsigned clients, troubles; /* sets of bits */
    char plant[48]; /* a named fault of the server, always on: "plant.no_sync"; empty: none */
} Plan;
extern const char *const client_names[CLIENT_KINDS], *const trouble_names[TROUBLES];
void plan_make(Plan *p, uint64_t seed);
void plan_print(const Plan *p, Buf *out); /* as options of the command */
/* Sets one option. False: not understood. */
bool plan_option(Plan *p, Slice name, Slice value);
static inline bool plan_has(const Plan *p, Trouble t)
{
    return p->troubles >> t & 1;
}
/* Calls fails() with smaller and smaller plans; *p is the smallest that still fails. */
void plan_shrink(Plan *p, bool (*fails)(const Plan *p));

/* ---- the ledger: mailboxes of one client ---- */
typedef struct {
    uint32_t uid, token; /* uid 0: not told yet */
    uint8_t flags;
} Mail;
typedef struct {
    bool exists;
    uint8_t generation; /* part of the name */
    uint8_t note, rights;
    uint32_t validity, count; /* validity 0: not told yet */
    Mail mails[MAILS];
} Box;
typedef struct {
    uint32_t token; /* 0: none */
    uint8_t flags, box;
} Gone; /* expunged, of which there was no other copy: undelete brings it back */
typedef struct {
    Box boxes[BOXES];
    Gone gone[GONES]; /* the latest; a ring */
    unsigned gone_next;
} Boxes;
typedef struct { /* never goes back: of a mailbox, or of its name while it is gone */
    uint32_t validity, uid_next;
    uint64_t modseq;
} Told;
typedef struct {
    Boxes acked, pending; /* pending: what it will be once the operation in flight is done */
    bool in_flight;
    Told told[BOXES];
    char what[160];
} Own;

/* ---- the ledger: what was sent ---- */
typedef enum {
    FATE_UNKNOWN, /* sent, no answer yet */
    FATE_THERE,   /* acknowledged, or seen */
    FATE_GOING,   /* POP3's QUIT was sent and not answered; all of it or none */
    FATE_GONE,    /* acknowledged */
    FATE_NEVER,   /* refused, or not there after the life in which it was sent */
} Fate;
typedef struct {
    uint32_t token, uid;
    uint8_t fate, folder; /* 0: INBOX; 1: Lists */
    uint32_t group;       /* those that go together */
} Arrival;
typedef struct {
    Arrival list[ARRIVALS];
    unsigned count;
    Told told[2]; /* of INBOX and Lists */
} Arrivals;

/* ---- the ledger: what an offline client knows ---- */
typedef struct {
    uint32_t uid;
    uint8_t flags;
    uint64_t modseq;
} Known;
typedef struct {
    uint32_t validity, count;
    uint64_t modseq;
    Known list[WATCHED];
} Watch;

/* ---- the ledger: an account with limits, behind those of ACCOUNTS ---- */
typedef struct {
    uint32_t uid, token;
    uint64_t octets; /* 0: not told yet, as is a uid of 0 */
} Held;
typedef struct {
    uint64_t octets, messages; /* the limits; 0: none */
    uint32_t count;
    Held held[HOARD];
} Hoard;
typedef struct {
    Hoard acked, pending;
    bool in_flight;
    char what[160];
} Limited;

/* ---- the ledger: an account that is made and removed ---- */
typedef struct {
    bool exists;
    uint32_t password; /* its number; the last one given, if it does not exist */
    uint32_t count, tokens[PERSON_MAILS];
} Person;
typedef struct {
    Person acked, pending;
    bool in_flight;
    uint32_t validity, newer_than; /* of its INBOX; 0: not told yet. That of the one before */
    char what[80];
} Persona;

typedef struct World {
    Plan plan;
    SimDisk *disk;
    unsigned life;
    bool last, verifying;
    bool lenient;         /* the disk fails in this life, so operations may */
    bool apart, replaces; /* front, keeper, house apart; the house is replaced under them */
    bool fills, killed_at_rest, traced;
    uint64_t crash_after; /* operations of the work; 0: not there */
    bool unsure;          /* what fails may be on the disk: the next life shows it */
    uint64_t fails_after, read_fails_after; /* operations of the work until one does; 0: none */
    unsigned flips;                         /* bits that are not what was written */
    uint32_t tokens, groups;
    unsigned waiting; /* clients that have not ended */
    House *house;     /* of this life, in one process; else: */
    struct Cast *cast;
    uint64_t done[CLIENT_KINDS], verified, deaths, digest;
    char doing[64];
    Own owns[OWNS];
    Arrivals arrivals[ACCOUNTS];
    Watch watches[WATCHES];
    Limited limited;
    Persona persons[PERSONS];
} World;
/* fn(house, arg) where the house is. False: it is being replaced, or died before the end. */
PARKS bool world_in_house(World *w, void (*fn)(House *house, void *arg), void *arg);
_Noreturn void world_failed(const World *w, const char *fmt, ...) PRINTF(2, 3);

typedef struct {
    World *w;
    ClientKind kind;
    unsigned number;
    uint64_t random; /* of its own, so that fewer clients leave the others as they are */
} Client;
uint32_t client_below(Client *c, uint32_t n);
bool client_one_in(Client *c, uint32_t n);
static inline bool world_keeps(const World *w) /* what is expunged, for a week */
{
    return w->plan.seed % 4 == 0;
}
/* A verb over the control connection: its exit code, or -1 when the connection was lost; *cut: by
 * us, before all was said. What it says is added to `said` (or NULL). */
PARKS int client_verb(Client *c, bool *cut, Buf *said, const char *fmt, ...) PRINTF(4, 5);

/* ---- messages ---- */
void text_put(Buf *out, const World *w, uint32_t token);
/* Is it one of ours, to the last octet? *before: what the server put in front. */
bool text_check(const World *w, Slice octets, uint32_t *token, Slice *before);

/* ---- a life ---- */
PARKS void life(void *world);
/* What has to hold after a recovery, and at the end. */
PARKS void verify(World *w);
PARKS void verify_boxes(World *w);
PARKS void verify_arrivals(World *w);
PARKS void verify_watches(World *w);
PARKS void verify_limits(World *w);
PARKS void verify_persons(World *w);
/* With flipped bits: whatever is given out is what was sent, and the rest an error. */
PARKS void verify_damaged(World *w);
PARKS void verify_recount(World *w); /* the verbs check and scrub find nothing */

/* ---- arrivals ---- */
Arrival *arrival_add(World *w, unsigned account, uint32_t token, unsigned folder);
Arrival *arrival_find(World *w, unsigned account, uint32_t token);
/* Somebody read a message of this account: it has to be one that can be there. */
void arrival_seen(World *w, unsigned account, uint32_t token, uint32_t uid);

#define CLIENT(name, function, count, what) PARKS void function(Client *c);
#include "sim/clients.def"
#undef CLIENT
