#pragma once
/* imap: RFC 3501 (IMAP4rev1) and RFC 9051 (IMAP4rev2) with the extensions of capability.def; the
 * client chooses rev2 by ENABLE.
 *
 * A conversation is one fiber: read a command (in.h), dispatch by the table commands.def, answer.
 * With the login the stranger's session ends, and another goes on from a record (auth/handover.h),
 * here or in another process, at the account's home loop. What others change arrives as a nudge and
 * is reported where RFC 9051 7 allows it. One command, one file. Begin reading with imap_serve in
 * server.c, then session.h. */
#include "auth/auth.h"
#include "net/limits.h"

typedef struct {
    Auth *auth;
    Store *store; /* NULL in a front: then hand_over is there */
    Slice hostname;
    TlsContext *(*tls)(void); /* for STARTTLS; NULL: not offered */
    int64_t login_ms;         /* time to log in; 0: 60 s */
    Limits limits;
    uint32_t sessions_most; /* of one account; 0: any number */
    int64_t idle_ms;        /* RFC 9051 5.4: at least 30 minutes; 0: that */
    int64_t still_here_ms;  /* how often IDLE says that it is still there; 0: 2 minutes */
    int64_t progress_ms;    /* how often a long command says how far it is; 0: 10 s */
    const Slice *mailbox_referrals, *login_referrals; /* NAME=URL (referral.c) */
    size_t mailbox_referral_count, login_referral_count;
    Slice moved_to;          /* URL: whoever comes is sent there (RFC 2221 4.2); empty: nobody */
    Slice support_url;       /* in ID (RFC 2971 3.3); empty: none */
    bool no_8bit_headers;    /* in APPEND without UTF8=ACCEPT (RFC 6855 4) */
    bool utf8_only;          /* RFC 6855 6: ENABLE UTF8=ACCEPT has to come first */
    bool unauthenticate;     /* RFC 8437: offered */
    bool gmail;              /* X-GM-EXT-1 */
    uint64_t message_most;   /* octets of one APPEND */
    bool shared_namespace;   /* RFC 2342: what others grant is below "Shared/" */
    Slice public_account;    /* its mailboxes are below "Public/"; empty: none */
    uint32_t message_limit;  /* RFC 9738: messages one command may deal with; 0: any number */
    uint32_t save_limit;     /* the same of COPY and APPEND only */
    bool urlauth;            /* RFC 4467: offered */
    const Slice *submitters; /* logins that may use its "submit+" */
    size_t submitter_count;
    /* Logins; and a URI for /shared/admin (RFC 5464), empty: none. */
    const Slice *administrators;
    size_t administrator_count;
    Slice administrator_contact;
    /* Percent of a quota at which the user is warned, 0: no such; and above which he hears
     * OVERQUOTA, 0: never. */
    uint16_t quota_warnings[8];
    uint16_t quota_soft;
    /* Takes over who has logged in, with the stream, in the same fiber; `arg` is that of
     * imap_serve, whose `ended` is not called then. It is the last thing that imap_serve does:
     * nothing of the session is left. NULL: the conversation goes on here. */
    void (*hand_over)(void *arg, Stream *stream, Slice record); /* PARKS */
    const GrantKey *grant_key; /* of records; NULL: nobody else has them in his hands */
    bool resume_always;        /* for tests: at every rest it is taken up again from its record */
} ImapConfig;
/* Takes the stream over and frees it; calls ended(arg) once, on whichever loop. */
PARKS void imap_serve(Stream *stream, const ImapConfig *config, void (*ended)(void *arg),
                      void *arg);
/* Takes up who comes with a record: one who has just logged in, or a session at rest, which goes on
 * without a word; what happened meanwhile is told as always. One that cannot go on is sent away
 * ("* BYE [UNAVAILABLE]"). */
PARKS void imap_resume(Stream *stream, const ImapConfig *config, Slice record,
                       void (*ended)(void *arg), void *arg);
/* The front: a connection that the house gave back, with the record it gave; no greeting. */
PARKS void imap_serve_again(Stream *stream, const ImapConfig *config, Slice record,
                            void (*ended)(void *arg), void *arg);
/* The same for a user who is known already: greets with PREAUTH (RFC 9051 7.1.4). */
PARKS void imap_serve_known(Stream *stream, const ImapConfig *config, const AuthUser *user,
                            void (*ended)(void *arg), void *arg);
