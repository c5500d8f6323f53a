#pragma once
/* Internal to fault_test.c (the walk) and fault_life.c (a child: one life of a store in the
 * simulated world, in which one call goes wrong). */
#include "run/sim.h"
#include "store/workload.h"

typedef enum { DURING, OPENING, CLOSING } When; /* of a life: when the operation is done */
enum {
    BIG = 1,    /* of more than BLOB_INLINE_MOST */
    ROLLS = 2,  /* until the log has a new segment */
    DIRTY = 4,  /* the life before has ended by kill -9 */
    ALONE = 32, /* and there is no copy of it */
    LOST = 8,   /* the index is gone */
    CHORE = 16, /* `chore` */
};

typedef struct {
    const char *name;
    void (*run)(Store *store); /* NULL: work */
    When when;
    WorkOp work;
    unsigned ways, chore;
} Operation;

typedef enum { A_CALL, A_READ, A_LOOK, A_PAGE, A_KILL, A_POWER_CUT, AN_ALLOCATION } FaultKind;
typedef struct {
    const char *name;
    FaultKind kind;
    SimFailing failing;
    Err failure; /* OK: the operation ends well all the same */
    SimCrash crash;
} Fault;

bool fault_is_crash(const Fault *f);

typedef struct { /* shared with the children */
    WorkWorld world, before, bases[2];
    const Operation *op;
    const Fault *fault; /* NULL: none */
    uint64_t at;        /* which call */
    unsigned account, turn, lives;
    int64_t between;                    /* when there was one backup, and not the other */
    bool armed, again;                  /* again: the life after */
    uint64_t operations, reads, memory; /* how many calls there were */
    uint64_t looks, pages;              /* at the index; read from it */
    uint64_t first_operation, first_read, first_look;
    char stage[32];
} Play;

extern Play *s;
extern SimDisk *disk;

enum { ENGINE_OPERATIONS = 12, CHORES = 18 };
extern const Operation engine_operations[ENGINE_OPERATIONS];

void fault_moment(WorkWorld *w, Client *c, bool ended); /* of WorkWorld */
/* arg: a bool. Makes the store from which every trial begins; true: and ends by kill -9. */
PARKS void fault_prepare(void *arg);
/* arg: a bool. Opens, does the operation while the fault is armed, looks; true: only looks. */
PARKS void fault_live(void *arg);
void fault_ignore(void *arg, Slice line);

/* fault_index.c */
void fault_index_through(Store *store); /* pages it reads from now on are counted */
void fault_index_spoil(uint64_t at);    /* and the at-th from now on is damaged; 0: none is */
uint64_t fault_index_pages(void);

/* fault_chores.c */
typedef struct Chore {
    Store *store;
    Arena arena;
    uint32_t one, two; /* the accounts; `one` is the one that it is about */
    Account *a;
    Err (*run)(struct Chore *c);
    Err err;
    char story[200];
} Chore;
/* Runs it at home of `acct`, which is `one` there. */
PARKS Err chore_at_home(const Chore *c, uint32_t acct, uint32_t other,
                        Err (*run)(Chore *c)) MUST_USE;
PARKS Err chore_look_at_view(Chore *c) MUST_USE;
PARKS Err chore_back_up(Chore *c) MUST_USE; /* fault_backup.c */
PARKS Err chore_restore(Chore *c) MUST_USE;
const char *chore_name(unsigned i);
PARKS Err chores_prepare(Store *store) MUST_USE;
PARKS Err chore_run(Store *store, unsigned i) MUST_USE;
