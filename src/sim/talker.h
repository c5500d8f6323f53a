#pragma once
/* One connection of a client: lines and literals, cut off or read slowly as the plan wants it. */
#include "sim/sim.h"

enum { TRACE_LINES = 24, TRACE_OCTETS = 200 };
typedef enum { SAID_OK, SAID_NO, SAID_BAD, SAID_NOTHING /* the connection is gone */ } Said;
typedef struct {
    Slice line;    /* whole, literals as "{n}" followed by what came behind them */
    Slice literal; /* the first one */
} Heard;
typedef struct {
    Client *client;
    Stream *stream;  /* NULL: not connected */
    const char *who; /* for the trace */
    Arena arena;     /* what was heard, until the next question */
    Heard *heard;    /* untagged responses */
    size_t heard_count, heard_room;
    Slice done; /* the tagged line behind its tag */
    unsigned tag;
    bool cut;     /* we cut it, before all of the last command was sent: it cannot have been done */
    bool may_end; /* the server may hang up */
    bool uid_only;               /* enabled (RFC 9586): what is heard is kept as if it were not */
    int box;                     /* selected; -1: none */
    char (*trace)[TRACE_OCTETS]; /* a ring of TRACE_LINES */
    unsigned traced;
} Talker;

PARKS void talker_connect(Talker *t, uint16_t port);
PARKS void talker_connect_to(Talker *t, const Address *to);
void talker_hang_up(Talker *t);
void talker_done(Talker *t);
_Noreturn void talker_failed(Talker *t, const char *fmt, ...) PRINTF(2, 3);
void talker_trace(Talker *t, const char *side, Slice line);

/* All of it; false: the connection is gone. */
PARKS bool talker_send(Talker *t, Slice octets);
PARKS bool talker_line(Talker *t, Slice *line); /* in the arena */
/* Lines up to a lone dot, unstuffed, in the arena. */
PARKS bool talker_lines(Talker *t, Slice *text);

/* ---- IMAP ---- */
PARKS bool talker_login(Talker *t, unsigned account); /* connects and logs in; false: cut off */
PARKS Said talker_login_as(Talker *t, const char *login, const char *password);
/* A command, with its literals already in it, and everything up to its tagged line. With UIDONLY a
 * "* 7 UIDFETCH (" is kept as "* 0 FETCH (UID 7 ", and what tells a message number is a failure. */
PARKS Said talker_ask_octets(Talker *t, Slice command);
PARKS Said talker_ask(Talker *t, const char *fmt, ...) PRINTF(2, 3);
PARKS Said talker_finish(Talker *t); /* to the tagged line of what was sent before */
void talker_put_literal(Buf *command, Slice octets);
/* What stands behind `code` and a space in any response, up to ']'. False: nowhere. */
bool talker_code(const Talker *t, Slice code, Slice *value);
uint64_t talker_code_number(const Talker *t, Slice code);
/* The n-th number of "4,7:9"; 0: there are not so many. */
uint32_t set_number(Slice set, unsigned n);
