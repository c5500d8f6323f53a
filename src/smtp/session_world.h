#pragma once
/* For tests: SMTP and LMTP conversations over a pair of streams, with a real store behind them. Ten
 * users, u00000 to u00009, take mail at two domains; detail of an address is a folder. */
#include "smtp/smtp.h"

typedef struct {
    Store *store;
    Auth *auth;
    SmtpConfig config;
    Stream *client, *server;
    Slice record; /* with one the conversation is resumed, not begun */
    bool lmtp, ended;
    Fiber *fiber; /* that serves */
    char dir[40];
} World;

PARKS void world_open(World *w);
PARKS void world_close(World *w);
PARKS void world_connect(World *w, bool lmtp);
PARKS void world_disconnect(World *w);
/* Octets that the user may have; he is there from then on. */
PARKS void world_set_quota(World *w, Slice login, uint64_t octets);
/* All messages of a mailbox, one after the other; how many. */
PARKS uint32_t mail_of(World *w, Slice login, Slice mailbox, Buf *out);
bool has(const Buf *b, const char *text);
