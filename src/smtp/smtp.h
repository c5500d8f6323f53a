#pragma once
/* smtp: mail comes in. LMTP (RFC 2033) and SMTP reception (RFC 5321) for local accounts only:
 * nothing is ever relayed.
 *
 * Both are one conversation with one command table (commands.def); where they differ a row or the
 * `lmtp` flag says so. A message is written into a Draft as it arrives and delivered with
 * draft_deliver; 250 means durable. Begin reading with smtp_serve. */
#include "auth/auth.h"

typedef struct {
    Auth *auth;
    Store *store;
    Slice hostname;           /* in the greeting and in Received: */
    uint64_t message_most;    /* octets: SIZE */
    uint32_t recipients_most; /* per message; 0: 1000 */
    uint32_t messages_most;   /* per connection; 0: no limit */
    uint32_t errors_most;     /* commands refused before 421; 0: 20 */
    uint32_t received_most;   /* Received: fields of a message; 0: 100 (RFC 5321 6.3) */
    int64_t idle_ms;          /* RFC 5321 4.5.3.2.7: 5 minutes; 0: that */
    /* From the beginning, or the last message, to a recipient that is accepted; 0: 5 minutes. */
    int64_t recipient_ms;
    int64_t data_ms;          /* for one message; 0: an hour */
    TlsContext *(*tls)(void); /* for STARTTLS; NULL: not offered */
    bool subaddress_creates;  /* user+folder creates the folder */
    bool resume_always;       /* for tests: between transactions it is taken up from its record */
} SmtpConfig;
/* One connection, from greeting to end; the stream stays the caller's. */
PARKS void smtp_serve(Stream *stream, const SmtpConfig *config, bool lmtp);
/* The same without a greeting: goes on from the record that was kept between two transactions
 * (stream_keep) with another house. One that does not fit is ended with 421. */
PARKS void smtp_resume(Stream *stream, const SmtpConfig *config, bool lmtp, Slice record);
