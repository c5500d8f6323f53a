#pragma once
/* Snapshots: what sessions are served with, as the configuration says. Constant; replaced on
 * reload, kept while sessions may refer to it. */
#include "auth/auth.h"
#include "house/config.h"
#include "imap/imap.h"
#include "pop3/pop3.h"
#include "smtp/smtp.h"

struct Runner;

typedef struct {
    uint32_t accounts; /* u00001 ...; 0: no demo */
    Slice password;
} Demo;

typedef struct Snapshot {
    Config config;
    ImapConfig imap;
    Pop3Config pop3;
    SmtpConfig smtp;
    struct Snapshot *before;
} Snapshot;

/* Takes the configuration over. store NULL: a front. */
Snapshot *snapshot_new(const Config *config, Auth *auth, Store *store);
void snapshots_free(Snapshot *newest); /* and all before it */
/* Who may log in, who gets mail. In the arena. */
AuthConfig snapshot_auth(const Config *config, const Demo *demo, struct Runner *runner, Arena *a);
