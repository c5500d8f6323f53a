#pragma once
/* pop3: RFC 1939 and its extensions, over the same mailboxes as IMAP.
 *
 * The maildrop is INBOX as it was when the session locked it: message numbers stay, whatever others
 * do meanwhile. DELE marks, QUIT commits. A session runs on the loop where it was accepted until
 * the login, then on the account's home loop. Begin reading with pop3_serve, commands.def. */
#include "auth/auth.h"

typedef struct {
    Auth *auth;
    Store *store;
    Slice hostname;
    TlsContext *(*tls)(void); /* for STLS; NULL: not offered */
    int64_t idle_ms;          /* RFC 1939 3: at least 10 minutes; 0: that */
    bool apop;                /* off by default; for accounts whose password the keeper keeps */
    bool last;                /* LAST of RFC 1460 */
    bool shared_maildrop;     /* several sessions at once instead of [IN-USE] */
    uint32_t login_delay_s;   /* LOGIN-DELAY announced and enforced; 0: none */
    uint32_t expire_days;     /* EXPIRE of accounts that say nothing of it; 0: never */
    Slice uidl;               /* format of unique-ids, see uidl.h */
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
/* The same for POP2 (RFC 937), over the same maildrop. */
PARKS void pop2_serve(Stream *stream, const Pop3Config *config, void (*ended)(void *arg),
                      void *arg);
