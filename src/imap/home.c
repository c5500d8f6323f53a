/* Where the session is. Accounts are at home on loops, and nobody touches one from elsewhere: so
 * the session goes to whose mailbox it works on, and back to where it rests. */
#include "imap/session.h"
#include "run/log.h"

PARKS static void go(Imap *s, Loop *loop)
{
    if (loop == loop_current()) return;
    stream_detach(s->stream);
    fiber_move(loop);
    Err err = stream_attach(s->stream); /* sticks, and ends the session where it reads next */
    if (err) log_err(LOG_LEVEL_ERROR, "imap_move", err, KV_TEXT("user", s->user.login));
}

void imap_go(Imap *s, uint32_t acct)
{
    go(s, store_home(s->config->store, acct));
}

void imap_go_back(Imap *s)
{
    if (!s->account) return;
    imap_go(s, s->box ? account_number(mailbox_account(s->box)) : s->user.acct);
}
