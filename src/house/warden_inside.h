#pragma once
/* Internal to the warden: its files share these. */
#include "base/memo.h"
#include "house/board.h"
#include "house/warden.h"
#include "run/process.h"

#include <signal.h>

/* One address at which we listen. TCP: a socket for each front, and the kernel spreads connections
 * over them. Unix sockets and those of socket activation: one for all. */
typedef struct {
    Service service;
    int *fds;
    size_t count;
} Doorway;

typedef enum {
    MEMBER_STARTS,
    MEMBER_READY,
    MEMBER_WAITS,   /* to be started again */
    MEMBER_RETIRED, /* a front that another one has replaced */
    MEMBER_GONE,    /* for ever */
} MemberState;
extern const char *const member_states[];

/* A place in the cast; who has it is one process after the other. */
typedef struct Member {
    Link of_warden;
    struct Warden *warden;
    CastRole kind;
    unsigned place; /* among the fronts: whose sockets it has */
    unsigned slot;  /* of the board */
    MemberState state;
    uint32_t number;  /* of its process */
    uint32_t lent_to; /* number of the front that accepts at our sockets, too */
    Process *process;
    Post *post;
    Fiber *fiber;
    Link letters, for_later;
    unsigned restarts, failures; /* failures: since it last worked for a while */
    int64_t since;               /* Unix seconds */
    int64_t ready_ms, pinged_ms;
    int64_t ends_by_ms; /* STOP or RETIRE was said; 0: no */
    bool is_asked, has_reloaded, has_held;
    Err err; /* of its last FAILED or RELOADED, with its story */
    char story[1000];
} Member;

typedef struct Warden {
    const WardenStart *start;
    Config config; /* in force */
    Arena memory;
    const char *program; /* to be started */
    const char *upgrade; /* the same by its name, which may be another file by now */
    unsigned fronts, loops;
    Doorway *doorways;
    size_t doorway_count;
    int control, board;
    unsigned slots;
    Board *own; /* our slot */
    Link members;
    uint32_t last_number;
    Cond news; /* something of what follows, or a member's state, has changed */
    bool was_ready, stops;
    sigset_t signals;
    Err err; /* why the server cannot be */
    char story[1000];
    int64_t watchdog_ms; /* 0: nobody is watched */
} Warden;

/* ---- warden_doors.c ---- */
PARKS Err doors_open(Warden *w) MUST_USE;
void doors_close(Warden *w);

/* ---- warden_member.c ---- */
Member *member_new(Warden *w, CastRole kind, unsigned place);
PARKS void member_tend(void *member);                         /* its fiber */
void member_say(Member *m, const Memo *memo, const Fds *fds); /* fds: duplicated; may be NULL */
/* The same to peer, once m is ready; if both still are who they are. */
void member_say_later(Member *m, const Member *peer, const Memo *memo, const Fds *fds);
void members_report(Warden *w); /* to the house, for the status verb */
bool members_are_ready(const Warden *w);
/* The place is another one's from now on, or nobody's: it is not started again. */
void member_retire(Member *m);
void member_stop(Member *m, int64_t ms); /* in good order; killed after so many */
void member_end(Member *m, MemoKind how,
                int64_t ms); /* MEMO_STOP, MEMO_RETIRE: so. And is replaced */
Member *warden_cast(Warden *w, CastRole kind, unsigned place); /* ERR: NULL, no slot is free */
void warden_fail(Warden *w, Err err, const char *story);

/* ---- warden_upgrade.c ---- */
PARKS Err warden_upgrade(Warden *w) MUST_USE;

/* ---- warden_hand.c: what a role gets ---- */
void hand_doors(Member *m, unsigned place); /* those of that place */
void hand_config(Member *m);
Err hand_all(Member *m) MUST_USE; /* for a start, up to BEGIN */
void hand_gone(Member *m);

/* ---- notify.c: systemd's protocol, sd_notify(3), sd_listen_fds(3) ---- */
void notify(const char *state);   /* "READY=1"; nothing happens without systemd */
int64_t notify_watchdog_ms(void); /* 0: systemd does not watch us */
