#pragma once
/* One conversation: what it knows, the table of commands, and the words every command answers with.
 *
 * A handler reads its grammar from s->in, does the work and answers with imap_ok (or imap_no,
 * imap_bad); then it returns OK. If it returns an Err it has not answered: the dispatcher says the
 * Err in IMAP's words (response.c). Untagged data goes to stream_out(s->stream) or through
 * imap_say; drain (stream_drain) in long loops. News about the selected mailbox are told by imap_ok
 * and its like before the tagged line, as far as the command's row allows (untagged.c).
 *
 * s->arena lives for one command. At rest nothing lives on the stack but s. */
#include "imap/comparator.h"
#include "imap/imap.h"
#include "imap/in.h"
#include "mail/language.h"

typedef struct Imap Imap;
typedef struct AnnotateNews AnnotateNews;
typedef struct SearchContexts SearchContexts;
struct Notify;

/* ---- states and commands ---- */
typedef enum {                    /* bits, for the `allowed` column */
               STRANGER = 1,      /* not authenticated */
               AUTHENTICATED = 2, /* nothing selected */
               SELECTED = 4,
               KNOWN = AUTHENTICATED | SELECTED,
               ANY = STRANGER | KNOWN,
               LEAVING = 8, /* BYE was said */
} ImapState;

enum {                  /* the `ways` column */
       SEQS = 1,        /* without UID: message numbers must not change under it (RFC 9051 7.5.1) */
       UID_TOO = 2,     /* also as UID <name> */
       CHANGES = 4,     /* not on a mailbox opened by EXAMINE */
       SECRET = 8,      /* arguments are not logged */
       STREAMS = 16,    /* reads on behind its line */
       QUIET = 32,      /* tells no news: the session leaves the mailbox or the connection */
       LOOKS = 256,     /* changes nothing: for guests, too */
       NAMELESS = 128,  /* neither names nor messages: also before ENABLE with UTF8=ONLY */
       NUMBERLESS = 64, /* has no message numbers even without UID (RFC 9586) */
};
typedef struct {
    Slice name;
    unsigned allowed;
    Err (*handler)(Imap *s); /* PARKS */
    unsigned ways;
    const char *section; /* RFC 9051 unless it names another */
} ImapCommand;
extern const ImapCommand imap_commands[];
extern const size_t imap_command_count;
#define COMMAND(name, allowed, handler, ways, section) PARKS Err handler(Imap *s);
#include "imap/commands.def"
#undef COMMAND

/* ---- the session ---- */
enum { /* what ENABLE, or CONDSTORE by using it, switched on */
       ENABLED_CONDSTORE = 1,
       ENABLED_QRESYNC = 2, /* implies CONDSTORE */
       ENABLED_REV2 = 4,
       ENABLED_UTF8 = 8,      /* UTF8=ACCEPT, RFC 9755 */
       ENABLED_UIDONLY = 16,  /* RFC 9586 */
       ENABLED_METADATA = 32, /* RFC 5464 4.1 */
       ENABLED_ALL = 63,
};
struct Imap {
    Stream *stream;
    In in[1];
    const ImapConfig *config;
    ImapState state;
    AuthUser user;    /* once KNOWN */
    Account *account; /* once KNOWN; to be touched at its own home only */
    Mailbox *box;     /* while SELECTED */
    View *view;
    bool read_only; /* by EXAMINE, or without the rights to change anything */
    bool examined;  /* by EXAMINE */
    unsigned enabled;
    Arena arena;    /* the command's */
    Slice referral; /* of this command: URLs, each behind a SP; in the arena */
    const ImapCommand *command;
    bool by_uid;       /* UID FETCH, UID STORE, ... */
    bool uses_numbers; /* this UID SEARCH named message numbers: no VANISHED now (RFC 7162 3.2.10.2)
                        */
    Comparator comparator;  /* the active one, RFC 5255 4.2 */
    uint8_t language;       /* Language, RFC 5255 3 */
    unsigned mistakes;      /* BADs in a row, and failed logins */
    uint32_t told_keywords; /* hash of the FLAGS told last */
    uint32_t told_keywords_version;
    uint32_t limited_uid; /* this command has dealt with no older ones (limit.c); 0: with all */
    Rights told_rights;   /* with the PERMANENTFLAGS told last */
    int64_t login_deadline_ms;
    int64_t progress_due_ms; /* when imap_in_progress says something next */
    Arena saved_arena;       /* "$", RFC 9051 6.4.4.1 */
    UidSet saved;
    SearchContexts *contexts;           /* live results (context.c); NULL: none */
    struct Notify *notify;              /* once NOTIFY was used */
    bool quota_known, quota_over;       /* quota_warn.c */
    uint16_t quota_level;               /* percent that was told */
    struct AnnotateNews *annotate_news; /* after SELECT (ANNOTATE) */
    char *idle_tag;                     /* of IDLE under way; malloc */
    Buf handed;    /* the record by which the session goes on: at its next step it ends here */
    uint64_t kept; /* hash of the record for which s->user has a grant */
    bool is_kept;  /* nothing has happened since imap_keep */
    void (*ended)(void *arg);
    void *arg;
};
static inline bool imap_has(const Imap *s, unsigned enabled)
{
    return (s->enabled & enabled) != 0;
}
/* CONDSTORE is on from the first command that uses it (RFC 7162 3.1): FETCH MODSEQ, CHANGEDSINCE,
 * SEARCH MODSEQ, STORE UNCHANGEDSINCE, STATUS HIGHESTMODSEQ, SELECT (CONDSTORE). Says
 * "* OK [HIGHESTMODSEQ n]" when a mailbox is selected already. */
void imap_use_condstore(Imap *s);

/* The messages of the view that a set means, as UIDs: numbers or UIDs after s->by_uid. "*" is the
 * last one, "$" the saved result. A message number that does not exist is ERR_SYNTAX (RFC 9051 9,
 * seq-number), a UID is passed over. The ranges may cover UIDs that are not in the view. */
Err imap_resolve(Imap *s, const ImapSet *set, UidSet *uids) MUST_USE;
/* The same for numbers, or UIDs, as SEARCH keys want it: numbers that do not exist are passed over.
 */
void imap_resolve_key(Imap *s, View *view, const ImapSet *set, bool uids_given, UidSet *uids);
/* RETURN (SAVE): replaces "$". */
void imap_save(Imap *s, const UidSet *uids);

/* Warnings before the quota is used up (quota_warn.c). done: the command has done its work. */
PARKS void imap_warn_quota(Imap *s, bool done);
/* May see and change what belongs to others and to the server: quota, server annotations. */
bool imap_is_administrator(const Imap *s);

int64_t imap_deadline(const Imap *s);      /* of what is read now; RFC 9051 5.4 */
int64_t imap_progress_ms(const Imap *s);   /* from one imap_in_progress that speaks to the next */
uint64_t imap_message_most(const Imap *s); /* octets of one APPEND */
uint32_t imap_append_limit(const Imap *s); /* the same as RFC 7889 says it: 32 bits */

/* ---- RFC 9738 (limit.c) ---- */
/* Leaves the newest of them, as many as a command may deal with; imap_ok says that it was so. */
void imap_keep_to_limit(Imap *s, UidSet *uids);
void imap_keep_deleted_to_limit(Imap *s, UidSet *uids);
/* Are they too many, for what does all or nothing? `saves`: COPY. *code: "[MESSAGELIMIT n uid]". */
bool imap_is_over_limit(Imap *s, const UidSet *uids, bool saves, Slice *code);
uint64_t imap_save_limit(const Imap *s); /* messages of one APPEND; 0: any number */

/* ---- answering (response.c) ---- */
/* Tells news, then "tag OK text". text may begin with a response code. Always return OK. */
PARKS Err imap_ok(Imap *s, const char *fmt, ...) PRINTF(2, 3);
PARKS Err imap_no(Imap *s, const char *fmt, ...) PRINTF(2, 3);
PARKS Err imap_bad(Imap *s, const char *fmt, ...) PRINTF(2, 3);
/* The tagged line for an Err. */
PARKS void imap_answer_err(Imap *s, Err err);
/* "* text CRLF"; does not wait. */
void imap_say(Imap *s, const char *fmt, ...) PRINTF(2, 3);
/* RFC 9585: how far a long command is, `done` of `goal` (0: unknown). To be called often, between
 * responses; says something every ten seconds at most. */
PARKS void imap_in_progress(Imap *s, uint64_t done, uint64_t goal);

/* The text behind a status word ("OK", "NO", "BAD", "BYE") in the session's language (language.c).
 */
Slice imap_in_language(Imap *s, Slice status, Slice text);

/* ---- values (response.c) ---- */
void imap_put_string(Buf *out, Slice octets);  /* quoted, or a literal */
void imap_put_nstring(Buf *out, Slice octets); /* NIL when at is NULL */
void imap_put_value(Buf *out, Slice octets);   /* nstring, or literal8 with NUL in it */
void imap_put_astring(Buf *out, Slice octets); /* an atom when it can be one */
void imap_put_mailbox(const Imap *s, Buf *out, Slice name); /* modified UTF-7, or UTF-8 */
/* "(\Seen $Forwarded)", with \Recent where it is so and rev2 is not enabled. */
void imap_put_flags(const Imap *s, Buf *out, const Message *m);
void imap_put_date_time(Buf *out,
                        int64_t unix_seconds); /* "17-Jul-1996 02:44:25 +0000" in quotes */

/* ---- object ids, RFC 8474 (objectid.c) ---- */
typedef enum { OBJECT_EMAIL = 'M', OBJECT_THREAD = 'T', OBJECT_MAILBOX = 'F' } ObjectKind;
void imap_put_object_id(Buf *out, ObjectKind kind, uint32_t acct, uint64_t id);
/* What it names; 0: nothing of that kind in this account. */
uint64_t imap_object_id_of(Slice text, ObjectKind kind, uint32_t acct);
Slice imap_object_id(In *in); /* objectid */

/* ---- news (untagged.c) ---- */
/* Brings the view up to date and tells it: VANISHED or EXPUNGE if allowed, EXISTS, RECENT, FETCH.
 */
PARKS void imap_tell_news(Imap *s, bool expunges);
/* Before and behind a command that may tell MODSEQs: until no change is half there. */
PARKS void imap_settle(Imap *s);
/* The beginning of every FETCH response, "* n FETCH (", or "* uid UIDFETCH (" once UIDONLY is
 * enabled (RFC 9586 3.3). */
void imap_begin_fetch(Imap *s, uint32_t number, uint32_t uid);
/* Whether a FETCH response nobody asked for names the UID: once CONDSTORE (RFC 7162 3.2.4), rev2 or
 * NOTIFY (RFC 5465 5.1) is on; UIDFETCH has it in front. */
bool imap_tells_uid(const Imap *s);
/* "* n FETCH (UID u FLAGS (...) MODSEQ (m))": UID also when by_uid, MODSEQ once CONDSTORE. */
void imap_tell_flags(Imap *s, uint32_t number, const Message *m);
/* Whether the right to read the selected mailbox is gone: BYE was said then. */
bool imap_lost_access(Imap *s);
/* "* FLAGS (...)" and "* OK [PERMANENTFLAGS (...)]" of the selected mailbox. */
void imap_tell_keywords(Imap *s);
void imap_tell_new_keywords(Imap *s); /* the same, if they are not what was told last */

/* ---- news nobody asked for (notify.c) ---- */
/* In IDLE, or when NOTIFY wants it: tells what is new, of the selected mailbox and of others, and
 * listens from now on. */
PARKS void imap_tell_unasked(Imap *s, bool idle);
void imap_listen_no_more(Imap *s);
/* stream_wait, that other mailboxes' news end as well (WOKEN_NUDGED). */
PARKS Wake imap_wait(Imap *s, int64_t deadline);
/* Its arguments as the client wrote them, to be kept; false: there are none that can. The same
 * again, without a word. */
bool imap_notify_written(const Imap *s, Slice *written);
PARKS Err imap_notify_again(Imap *s, Slice written) MUST_USE;
/* Up to where the news of the accounts it watches have been told; and going on from there, behind
 * imap_notify_again or imap_notify_metadata. ERR_SYNTAX. */
void imap_notify_heard(const Imap *s, Buf *out);
PARKS Err imap_notify_catch_up(Imap *s, Slice heard) MUST_USE;
/* Ends NOTIFY as if it had never been used. */
PARKS void imap_notify_free(Imap *s);
/* ENABLE METADATA: from now on changes of annotations are told (RFC 5464 4.4.2). */
PARKS void imap_notify_metadata(Imap *s);
bool imap_notifies_annotations(const Imap *s); /* of the selected mailbox (RFC 5465 5.1) */

/* ---- where the session is (home.c) ---- */
/* A session rests at the home loop of the selected mailbox's account, else of its own. It goes on
 * at the home of that account; until it is back it may touch neither s->view and s->box, if another
 * account is selected, nor s->account, if that is not where it went. imap_ok and its like bring it
 * back, and the dispatcher does at the end of a command. */
PARKS void imap_go(Imap *s, uint32_t acct);
PARKS void imap_go_back(Imap *s);

/* ---- mailboxes by name (open.c) ---- */
/* The mailbox that this name means to this user, with the rights the user has there; the session
 * has gone to its home (even if there was none).
 * ERR_NOT_FOUND also when it may not be looked up (RFC 4314 6). */
PARKS Err imap_open(Imap *s, Slice name, Mailbox **box) MUST_USE;
/* Where a name leads, whether or not there is a mailbox: names below "Shared/LOGIN/" to the account
 * that has granted something to this user, names below "Public/" to the public account, all others
 * to his own. The session has gone there. */
typedef struct {
    Account *account; /* a reference */
    Slice name;       /* the mailbox's name there */
} Place;
PARKS Err imap_place(Imap *s, Slice name, Place *place) MUST_USE;
void place_done(Place *place);
#define place_scoped __attribute__((cleanup(place_done)))
/* What this user calls a mailbox of that account; at the account's home. In the command's arena. */
Slice imap_shown_name(Imap *s, const Account *account, Slice name);
/* OK, or ERR_NOT_FOUND: a new mailbox of one's own may not have a name of the other namespaces. */
Err imap_may_name(Imap *s, Slice name, const Place *place) MUST_USE;
/* Every mailbox of other accounts that this user may look up, by the names he calls them, and
 * without roles, which are about one's own. Goes home; in the command's arena. */
PARKS Err imap_others(Imap *s, bool unseen, MailboxEntry **entries, size_t *count) MUST_USE;
/* The accounts that have them, with what this user may look up there. Goes home; in the command's
 * arena. */
PARKS Err imap_sharers(Imap *s, Shared **list, size_t *count) MUST_USE;
/* What is in front of their names: "Shared/joe/", or "Public/". */
Slice imap_prefix_of(Imap *s, Slice login);
/* "* MYRIGHTS name rights", with the virtual "c" and "d" of RFC 2086 (acl.c). */
void imap_tell_rights(Imap *s, Slice name, Rights rights);

/* ---- what is on other servers (referral.c) ---- */
/* RFC 2193 4: ERR_CANNOT when it is; imap_answer_err then says where. imap_place asks. */
Err imap_not_remote(Imap *s, Slice name) MUST_USE;
Err imap_neither_remote(Imap *s, Slice from, Slice to) MUST_USE; /* RENAME */
bool imap_is_remote(Imap *s, Slice name);
Slice imap_remote_name(const Imap *s, size_t i, Arena *a); /* of config->mailbox_referrals */
/* RFC 2221 4.1: s->referral is where; *has_public: he may come in here, too. */
bool imap_lives_elsewhere(Imap *s, const AuthUser *user, bool *has_public);

/* ---- the selected mailbox (select.c) ---- */
void imap_unselect(Imap *s); /* nothing is told */
/* "* VANISHED (EARLIER) ..." of those vanished UIDs that were asked for and are above floor (RFC
 * 7162 3.2.10.1); nothing when there are none. FETCH (VANISHED) says it too. */
void imap_tell_vanished_earlier(Imap *s, const UidSet *vanished, const UidSet *asked,
                                uint32_t floor);

/* ---- copy.c ---- */
/* RFC 7162 3.2.7: "[HIGHESTMODSEQ n] " for a QRESYNC client behind an expunge; else empty. */
Slice imap_modseq_code(Imap *s, bool expunged);

/* ---- names (list.c) ---- */
/* "* LIST (...) "/" name", with OLDNAME when it is not what the client called it (RFC
 * 9051 6.3.9.7). */
void imap_tell_name(Imap *s, Slice name, Slice called);
void imap_put_old_name(Imap *s, Slice old); /* ' ("OLDNAME" (name))' */

/* ---- special uses (uses.c) ---- */
const char *imap_role_attributes(Arena *a, Role roles); /* "\\Drafts \\Sent"; NULL: none */
/* One that a client may give to a mailbox; false: unknown, or only for views we do not have. */
bool imap_role_named(Slice attribute, Role *role);

/* ---- before and after the login (login.c, capability.c, unauthenticate.c, server.c) ---- */
/* Gives back everything that belongs to the user: at the end, and for UNAUTHENTICATE (RFC 8437),
 * after which not a bit of the one before may be found. Who hangs state on Imap frees it here. */
PARKS void imap_forget_user(Imap *s);
void imap_make_stranger(Imap *s); /* the limits of one, and the time to log in begins */
void imap_put_capabilities(const Imap *s, Buf *out); /* "CAPABILITY IMAP4rev1 ..." */
void imap_enable(Imap *s, unsigned enabled);
void imap_set_limits(Imap *s);               /* by its state */
void imap_goodbye(Imap *s, const char *why); /* "* BYE why", unless it was said */
Imap *imap_new(Stream *stream, const ImapConfig *config, void (*ended)(void *arg), void *arg);

/* ---- changing hands (resume.c) ---- */
/* LOGIN or AUTHENTICATE went well: the conversation goes on from a record, which begins with the
 * answer. */
PARKS Err imap_welcome(Imap *s, const AuthUser *user);
/* Goes to the account's home. False: it cannot be opened, which has been said. */
PARKS bool imap_become(Imap *s, const AuthUser *user, bool again);
/* Of who comes with a record. It may be LEAVING. */
PARKS Imap *imap_take_up(Stream *stream, const ImapConfig *config, Slice record,
                         void (*ended)(void *arg), void *arg);
/* At rest: what the session is now goes to who has the connection, if it is another process. True:
 * this session ends here, to be taken up from its record (the setting resume_always). */
PARKS bool imap_keep(Imap *s);
bool imap_may_be_kept(const Imap *s);
/* After imap_make_stranger: the connection goes back to the front, if it came from there. */
PARKS void imap_hand_back(Imap *s);
/* IDLE until DONE, and its answer: s->idle_tag (idle.c). */
PARKS Err imap_idle(Imap *s);
