#pragma once
/* NOTIFY, RFC 5465: what a client wants to hear of without asking (notify_parse.c), who listens for
 * it (notify_watch.c), and telling it (notify_tell.c).
 *
 * A Watch listens to the change feed of one account, on that account's home loop, and notes what
 * the client asked for; a mailbox where nothing happens costs nothing. Then it rings the session's
 * Bell, from whichever loop, and the session, when it rests or is in IDLE, goes to the accounts
 * that have rung and tells how things are now. What a slow reader has not taken is noted once per
 * mailbox; beyond a limit all is forgotten, with NOTIFICATIONOVERFLOW. */
#include "imap/fetch.h"

typedef enum { /* RFC 5465 8, event; bits, in the order in which BADEVENT lists them */
               EVENT_MESSAGE_NEW = 1,
               EVENT_MESSAGE_EXPUNGE = 2,
               EVENT_FLAG_CHANGE = 4,
               EVENT_ANNOTATION_CHANGE = 8,
               EVENT_MAILBOX_NAME = 16,
               EVENT_SUBSCRIPTION_CHANGE = 32,
               EVENT_MAILBOX_METADATA_CHANGE = 64,
               EVENT_SERVER_METADATA_CHANGE = 128,
               EVENTS_OF_MESSAGES = 15,
               EVENTS_ALL = 255,
} NotifyEvent;

typedef enum { /* filter-mailboxes */
               FILTER_SELECTED,
               FILTER_SELECTED_DELAYED,
               FILTER_INBOXES,
               FILTER_PERSONAL,
               FILTER_SUBSCRIBED,
               FILTER_SUBTREE,
               FILTER_SUBTREE_ONE, /* RFC 7377 */
               FILTER_MAILBOXES,
} NotifyFilter;

typedef struct { /* event-group */
    NotifyFilter filter;
    unsigned events;
    Slice *names;
    size_t name_count;
} NotifyGroup;

/* Wakes the session from any loop. It is armed while the session waits. */
typedef struct Bell Bell;
Bell *bell_new(void);
void bell_ring(Bell *b);
/* From now on a ring nudges the running fiber. False: it has rung already. */
bool bell_arm(Bell *b);
void bell_disarm(Bell *b);
bool bell_has_rung(Bell *b); /* since the last time it was asked */
void bell_unref(Bell *b);

typedef struct { /* something about a name, in the order in which it happened */
    Link link;
    HappeningKind kind;
    uint32_t mailbox_id;
    bool shared;          /* METADATA */
    bool changes_lookup;  /* HAPPENED_RIGHTS: of who may see it */
    Slice name, old_name; /* behind the struct; METADATA: old_name is the entry */
} NameNews;

typedef struct {
    uint32_t mailbox_id;
    unsigned what; /* NoteBits */
} MessageNews;
enum { /* what happened to messages of a mailbox */
       NOTE_NEW = 1,
       NOTE_EXPUNGED = 2,
       NOTE_FLAGS = 4,
       NOTE_SEEN = 8,
       NOTE_ANNOTATION = 16,
       NOTE_UIDVALIDITY = 32,
};

typedef struct Watch {
    struct Watch *next;
    Listener listener;
    uint32_t acct; /* whose */
    Account *account;
    const struct Notify *notify; /* does not change while it is watched */
    Slice prefix;                /* in front of the account's names, as this user sees them */
    bool noted;                  /* by the record that is being applied */
    bool overflow;
    MessageNews *messages; /* by id; malloc */
    uint32_t message_count, message_room;
    Link names; /* NameNews, malloc */
    size_t name_octets;
    uint32_t *visible; /* ids of those mailboxes of another one that this user may look up; malloc,
                          ascending */
    uint32_t visible_count;
    Slice *subscribed; /* names there that this user has subscribed to; malloc */
    size_t subscribed_count;
    UidRange own[8]; /* messages this session added to own_mailbox */
    uint32_t own_count, own_mailbox;
    bool rung;      /* atomic: there is something to tell */
    uint64_t heard; /* atomic: all changes up to this one were told, or are nothing to tell */
} Watch;

typedef struct Notify {
    Arena arena;
    NotifyGroup *groups; /* those that are not about the selected mailbox */
    size_t group_count;
    unsigned events;   /* of all groups */
    unsigned selected; /* events told of the selected mailbox; 0 after NOTIFY NONE */
    bool delayed;      /* expunges of it wait for a command that allows them */
    bool implied;      /* there was no NOTIFY, only ENABLE METADATA (RFC 5464 4.4) */
    uint32_t user;
    Fetch fetch;       /* of new messages there; no items: none */
    Slice login;       /* of the user, for ACLs */
    bool granted;      /* somebody new lets this user see something */
    bool subscribed;   /* the subscriptions have changed */
    Slice written;     /* the command's arguments, if they may have to be kept; malloc */
    const Fiber *self; /* what this one does is no news */
    Bell *bell;
    Watch *watches;
} Notify;

/* ---- the command's arguments (notify_parse.c) ---- */
typedef struct {
    bool none, status;
    unsigned unknown; /* events we do not know */
    bool too_many;
    NotifyGroup *groups; /* in s->arena, as everything here */
    size_t group_count;
    unsigned selected;
    bool has_selected, delayed;
    Fetch fetch;
} NotifyArgs;
PARKS Err notify_parse(Imap *s, NotifyArgs *args) MUST_USE;
void notify_put_events(Buf *out); /* "MessageNew MessageExpunge ..." */

/* ---- who listens (notify_watch.c) ---- */
/* Is a mailbox of that account one that this user may look up? Of one's own: always. */
bool watch_sees(const Watch *w, uint32_t id);
void watch_set_seen(Watch *w, uint32_t id, bool on);
/* Names of the user's own that are of this account; the session is at its home. */
void watch_set_subscribed(Watch *w, const Slice *names, size_t count);
/* The events wanted of a mailbox of that name. `account` is the one watched, at its home. */
unsigned notify_wants(const Notify *n, const Watch *w, Account *account, Slice name);
/* Listens to that account from now on; the session is at its home. */
PARKS Err watch_begin(Notify *n, Account *account, Slice prefix) MUST_USE;
/* Does some group name anything below that prefix? */
bool notify_reaches(const Notify *n, Slice prefix);
/* Notes what has happened there since that change, for a session that was heard of last then: all
 * that may be other in its mailboxes. What names were others nobody knows: that is an overflow. */
void watch_catch_up(Watch *w, uint64_t since, Arena *a);
PARKS void watch_end(Imap *s, Watch *w); /* goes to the account's home */
void watch_forget(Watch *w);             /* what was noted */

/* ---- the selected mailbox (notify.c) ---- */
/* The events that the client wants of it; all without NOTIFY. */
unsigned imap_notify_selected(const Imap *s);
/* FETCH responses of the new messages behind that UID, as NOTIFY asked for them. */
PARKS void imap_notify_tell_new(Imap *s, uint32_t after);

/* ---- telling (notify_tell.c) ---- */
/* What one account has to tell; the session is at its home. */
PARKS void notify_tell_watch(Imap *s, Watch *w, uint32_t selected_id);
PARKS void notify_tell_no_access(Imap *s, Watch *w);
PARKS void notify_tell_granted(Imap *s, Watch *w);
/* STATUS of all its mailboxes whose messages are watched (RFC 5465 3.1). */
PARKS void notify_tell_statuses(Imap *s, Watch *w, uint32_t selected_id);
/* The items of STATUS that tell such news to whoever wants those events; 0: nothing. */
unsigned notify_status_items(const Imap *s, unsigned events, unsigned what);
