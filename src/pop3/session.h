#pragma once
/* One conversation of POP3: what it knows, and the words in which it answers.
 *
 * It begins on the loop that accepted it. A command that has made sure who the client is says so by
 * pop3_is_known; then the stranger's session ends, and another is made of the record that is left
 * of it (resume.c), here or in another process, which goes to the account's home loop and opens the
 * maildrop there (maildrop.c). The maildrop is a View that is never synced: numbers, sizes and
 * content stay what they were. What the session does to it are marks, which QUIT turns into changes
 * (update.c). Replies are sent when no further command is waiting. Begin reading with pop3_serve.
 */
#include "mail/language.h"
#include "pop3/pop3.h"
#include "pop3/pref.h"

typedef enum { AUTHORIZATION = 1, TRANSACTION = 2, EITHER = 3 } Pop3State; /* RFC 1939 3 */
enum {
    MARK_DELETED = 1,
    MARK_RETRIEVED = 2,
};

struct Pop3;
/* How a session talks: POP3 itself (server.c), or POP2. */
typedef struct {
    Slice service;                            /* "pop3", "pop2" */
    void (*next)(struct Pop3 *s);             /* PARKS: reads a command and does it */
    void (*arrived)(struct Pop3 *s, Err err); /* PARKS: the maildrop is open, or is not */
} Pop3Ways;

typedef struct Pop3 {
    const Pop3Ways *ways;
    Stream *stream;
    const Pop3Config *config;
    void (*ended)(void *arg);
    void *ended_arg;
    Pop3State state;
    bool over;         /* the conversation has to end */
    bool is_kept;      /* nothing has happened since pop3_keep */
    Buf handed;        /* the record by which it goes on: this session ends */
    bool utf8;         /* RFC 6856 2.1 */
    Language language; /* RFC 6856 3 */
    unsigned mistakes;
    int64_t login_deadline_ms; /* a stranger's, whatever it says meanwhile */
    Buf user;                  /* of USER, for PASS */
    Buf timestamp;             /* of the banner, for APOP */
    AuthUser who;
    Buf folder; /* of the login's suffix; empty: INBOX */
    Buf device; /* the same; empty: none, this session deletes */

    Account *account;
    Mailbox *inbox;
    View *view;
    bool is_locked;
    Pop3Pref pref;
    uint32_t uid_validity;
    UidSet fetched;  /* by this device, before; in device_arena */
    uint32_t *shown; /* with a device: uids of the others, by number - 1; malloc */
    Arena device_arena;
    uint32_t count; /* messages when the maildrop was opened */
    uint64_t octets;
    UidSet marked[2]; /* numbers: deleted, retrieved */
    Arena marks_arena;
    uint32_t deleted;
    uint64_t deleted_octets;
    uint32_t last_at_login, last; /* RFC 1460: the highest message retrieved */
    struct Uidls *uidls;          /* what imports have kept (uidls.c); NULL: not asked yet */
    uint8_t turn;                 /* POP2: its state, and its current message */
    uint32_t current;
    Arena arena; /* a command's */
} Pop3;

/* ---- answers ---- */
void pop3_ok(Pop3 *s, const char *fmt, ...) PRINTF(2, 3);
/* "-ERR text"; text may begin with a response code: "[SYS/TEMP] ..." */
void pop3_err(Pop3 *s, const char *fmt, ...) PRINTF(2, 3);
void pop3_say_err(Pop3 *s, Err err); /* an Err in POP3's words */
void pop3_mistake(Pop3 *s, const char *text);
const char *pop3_words_for(Err err); /* begins with a response code where there is one */
/* The next line; replies are sent first if it is not here yet. LINE_NONE: the stream is over. */
PARKS LineEnd pop3_line(Pop3 *s, Slice *line);
void pop3_say_why_over(Pop3 *s); /* there is no next line; it is over, why is said if that helps */

/* ---- a session, whatever it speaks ---- */
Pop3 *pop3_new(Stream *stream, const Pop3Config *config, const Pop3Ways *ways,
               void (*ended)(void *arg), void *arg);
extern const Pop3Ways pop3_ways, pop2_ways;
PARKS void pop3_converse(Pop3 *s); /* to the end, which frees it */

/* ---- changing hands (resume.c) ---- */
/* At rest: what the session is now goes to who has the connection, if it is another process; or the
 * session ends here, to be taken up from it (the setting resume_always). */
PARKS void pop3_keep(Pop3 *s);
/* It could not be let in: the connection goes back to the front, if it came from there. */
PARKS void pop3_hand_back(Pop3 *s);
PARKS Pop3 *pop3_take_up(Stream *stream, const Pop3Config *config, Slice record,
                         const Pop3Ways *ways, void (*ended)(void *arg), void *arg);

/* ---- the maildrop ---- */
void pop3_is_known(Pop3 *s, const AuthUser *who, const LoginSuffix *suffix);
PARKS Err maildrop_open(Pop3 *s) MUST_USE; /* on the home loop */
/* The same maildrop again: its mailbox and its view as view_keep has it. */
PARKS Err maildrop_resume(Pop3 *s, uint32_t mailbox_id, Slice view) MUST_USE;
void maildrop_close(Pop3 *s); /* changes nothing in it */
static inline bool maildrop_is_marked(const Pop3 *s)
{
    return s->marked[0].count || s->marked[1].count;
}
static inline uint8_t maildrop_marks(const Pop3 *s, uint32_t number)
{
    if (!maildrop_is_marked(s)) return 0;
    return (uint8_t)((uidset_has(&s->marked[0], number) ? MARK_DELETED : 0) |
                     (uidset_has(&s->marked[1], number) ? MARK_RETRIEVED : 0));
}
void maildrop_mark(Pop3 *s, uint32_t number, uint8_t mark);
/* The messages in order: start with *number 0 and *uid 1. Also those others have expunged (*gone).
 */
bool maildrop_next(Pop3 *s, uint32_t *uid, uint32_t *number, Message *m, bool *gone);
bool maildrop_message(Pop3 *s, uint32_t number, Message *m);
/* A number in a command: of a message that is there and not marked; else it has been answered. */
bool pop3_message(Pop3 *s, Slice text, uint32_t *number, Message *m);
/* UPDATE (RFC 1939 6): removes what is marked, also by the account's preference; what was retrieved
 * becomes \Seen. */
PARKS Err maildrop_update(Pop3 *s) MUST_USE;
PARKS Err maildrop_mark_seen(Pop3 *s) MUST_USE; /* only the latter */

/* ---- what a device has fetched (device.c) ---- */
static inline bool is_device(const Pop3 *s)
{
    return s->device.len > 0;
}
PARKS Err device_open(Pop3 *s) MUST_USE;   /* what is left to show */
PARKS Err device_update(Pop3 *s) MUST_USE; /* at QUIT: retrieved or DELEd is fetched */
void device_close(Pop3 *s);

/* ---- unique-ids (uidls.c) ---- */
/* Reads what imports have kept of this mailbox, once a session. */
PARKS Err uidls_load(Pop3 *s) MUST_USE;
void uidls_free(struct Uidls *u);
void uidls_put(Pop3 *s, Buf *out, const Message *m);

/* ---- the commands of commands.def ---- */
#define COMMAND(name, state, handler, argument, rfc) PARKS void handler(Pop3 *s, Slice text);
#include "pop3/commands.def"
#undef COMMAND
