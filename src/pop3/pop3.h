#pragma once
/* pop3: RFC 1939 and its extensions, over the same mailboxes as IMAP.
 *
 * The maildrop is INBOX as it was when the session locked it: message numbers stay, whatever others
 * do meanwhile. DELE marks, QUIT commits. A session runs on the loop where it was accepted until
 * the login, then on the account's home loop. Begin reading with pop3_serve, commands.def. */
#include "auth/auth.h"
#include "net/limits.h"

typedef struct {
    Auth *auth;
    Store *store; /* NULL in a front: then hand_over is there */
    Slice hostname;
    TlsContext *(*tls)(void); /* for STLS; NULL: not offered */
    int64_t idle_ms;          /* RFC 1939 3: at least 10 minutes; 0: that */
    int64_t login_ms;         /* time to log in; 0: 60 s */
    Limits limits;            /* line, octets_before_login, mistakes */
    uint32_t sessions_most;   /* of one account; 0: any number */
    bool apop;                /* off by default; for accounts whose password the keeper keeps */
    bool last;                /* LAST of RFC 1460 */
    bool shared_maildrop;     /* several sessions at once instead of [IN-USE] */
    uint32_t login_delay_s;   /* LOGIN-DELAY announced and enforced; 0: none */
    uint32_t expire_days;     /* EXPIRE of accounts that say nothing of it; 0: never */
    Slice uidl;               /* format of unique-ids, see uidl.h */
    /* Takes over who has logged in, with the stream, in the same fiber; `arg` is that of
     * pop3_serve, whose `ended` is not called then. Nothing of the session is left. NULL: the
     * conversation goes on here. */
    void (*hand_over)(void *arg, Stream *stream, Slice record); /* PARKS */
    const GrantKey *grant_key; /* of records; NULL: nobody else has them in his hands */
    bool resume_always;        /* for tests: at every rest it is taken up again from its record */
} Pop3Config;
/* Per account, object collection "pref", id "pop3": "delete=expunge|trash expire=DAYS|never
 * leave=yes|no". expire: what QUIT removes after that many days on the server; 0: at once when
 * retrieved; leave=no: retrieved messages go at QUIT. */

/* Whether it is a format of unique-ids (uidl.h). ERR_CONFIG. */
Err uidl_format_check(Slice format) MUST_USE;

/* Takes the stream over and frees it, also when the session moves to another loop; calls ended(arg)
 * once, on whichever loop. */
PARKS void pop3_serve(Stream *stream, const Pop3Config *config, void (*ended)(void *arg),
                      void *arg);
/* Takes up who comes with a record (auth/handover.h): one who has just logged in, or a session with
 * its maildrop, which goes on without a word. One that cannot go on is closed: POP3 says nothing
 * unasked. */
PARKS void pop3_resume(Stream *stream, const Pop3Config *config, Slice record,
                       void (*ended)(void *arg), void *arg);
PARKS void pop2_resume(Stream *stream, const Pop3Config *config, Slice record,
                       void (*ended)(void *arg), void *arg);
/* The front: a connection that the house gave back, with the record it gave; no greeting. */
PARKS void pop3_serve_again(Stream *stream, const Pop3Config *config, Slice record,
                            void (*ended)(void *arg), void *arg);
/* The same for POP2 (RFC 937), over the same maildrop. */
PARKS void pop2_serve(Stream *stream, const Pop3Config *config, void (*ended)(void *arg),
                      void *arg);
