#pragma once
/* One conversation of SMTP or LMTP: what it knows, and the words in which it answers.
 *
 * A transaction is one message: MAIL, RCPT ..., DATA or BDAT .... Its envelope lives in s->arena,
 * which smtp_reset empties. Handlers answer with smtp_reply (once; LMTP's end of data once per
 * recipient) and return nothing: what failed has been said. Replies are sent when no further
 * command is waiting (RFC 2920 3.2). Begin reading with smtp_serve in server.c. */
#include "smtp/hops.h"
#include "smtp/path.h"
#include "smtp/smtp.h"

typedef enum { CONNECTED, GREETED, SENDER, RECIPIENT } SmtpStage;

typedef struct {
    Slice address;      /* as the client wrote it */
    uint32_t *delivery; /* indexes into Smtp.deliveries: an alias has several, two recipients may
                           share one */
    size_t delivery_count;
} SmtpRecipient;

typedef struct Smtp {
    Stream *stream;
    const SmtpConfig *config;
    bool lmtp;
    Address peer;  /* kept: a socket whose peer has gone does not know it any more */
    bool extended; /* EHLO or LHLO, not HELO */
    bool over;     /* the conversation has to end */
    int reply;     /* the code of the last one */
    char hello[SMTP_DOMAIN_MOST + 1];
    uint32_t messages, errors;
    int64_t recipient_deadline_ms; /* until then somebody has to be written to */

    Arena arena; /* the transaction's */
    SmtpStage stage;
    char id[17]; /* of the transaction, in Received: and in the log */
    SmtpPath sender;
    uint64_t size; /* as announced by SIZE=; 0: not */
    bool utf8;     /* SMTPUTF8 */
    SmtpRecipient *recipients;
    size_t recipient_count, recipient_room;
    Delivery *deliveries;
    size_t delivery_count, delivery_room;

    Draft *draft;       /* from DATA or the first BDAT on */
    uint64_t octets;    /* that came, without our trace */
    Err draft_err;      /* the first failure of the draft; what still comes is thrown away */
    bool chunks_failed; /* a BDAT was refused: only RSET helps (RFC 3030 2) */
    Hops hops;
} Smtp;

/* ---- answers ---- */
/* "250 2.0.0 text"; code below 0 is not the last line of its reply ("250-text"). Counts mistakes.
 */
void smtp_reply(Smtp *s, int code, const char *fmt, ...) PRINTF(3, 4);
/* What an Err is called here: a reply code and text with its enhanced code (RFC 3463). */
typedef struct {
    int code;
    const char *text;
} SmtpVerdict;
SmtpVerdict smtp_verdict(Err err);
static inline const char *smtp_service(const Smtp *s)
{
    return s->lmtp ? "lmtp" : "smtp";
}
/* The words with which a conversation ends that cannot go on: time-out, shutdown. */
void smtp_say_why_over(Smtp *s, Err err);

/* ---- the transaction ---- */
/* Between the first BDAT and its LAST, or behind one that was refused (RFC 3030 2). */
static inline bool smtp_is_in_chunks(const Smtp *s)
{
    return s->draft || s->draft_err || s->chunks_failed;
}
/* From now on the time runs in which a recipient has to be accepted. */
void smtp_await_recipient(Smtp *s);
void smtp_reset(Smtp *s); /* forgets the envelope and the draft; stays greeted */
/* Whether the account has room for that many octets. On any loop. ERR_OVER_QUOTA: later perhaps;
 * ERR_TOO_BIG: never, however empty the account is. */
PARKS Err smtp_check_room(Smtp *s, uint32_t acct, uint64_t octets) MUST_USE;
/* data.c: the draft is begun with its trace header; the octets come; it is delivered, answered and
 * reset. */
PARKS void smtp_message_begin(Smtp *s);
PARKS void smtp_message_add(Smtp *s, Slice octets);
PARKS void smtp_message_end(Smtp *s);
/* RFC 5321 4.4: Return-Path: and Received: of the transaction. */
void smtp_trace(Buf *out, Smtp *s);

/* ---- the commands of commands.def ---- */
#define COMMAND(name, protocol, from, handler, argument, rfc)                                      \
    PARKS void handler(Smtp *s, Slice argument_text);
#include "smtp/commands.def"
#undef COMMAND
