/* UNAUTHENTICATE, RFC 8437: the connection goes on, the user is forgotten. */
#include "imap/session.h"
#include "run/log.h"

void imap_forget_user(Imap *s)
{
    imap_notify_free(s);
    imap_unselect(s);
    if (s->account) imap_go(s, s->user.acct);
    account_leave(s->account);
    account_close(s->account);
    s->account = NULL;
    s->enabled = 0;
    s->language = LANGUAGE_DEFAULT; /* RFC 8437 4.1 */
    s->comparator = (Comparator){0};
    s->quota_known = s->quota_over = false;
    s->quota_level = 0;
    s->in->utf8 = false;
    arena_done(&s->saved_arena);
    s->saved = (UidSet){0};
    s->user = (AuthUser){0};
}

static void log_leaving(const Imap *s)
{
    Buf remote buf_scoped = {0};
    Address peer = stream_peer(s->stream);
    address_print(&remote, &peer);
    log_event(LOG_LEVEL_INFO, "unauthenticate", KV_TEXT("service", "imap"),
              KV_TEXT("user", s->user.login), KV("remote", buf_slice(&remote)));
}

/* RFC 8437 6: command-auth =/ "UNAUTHENTICATE". Never NO (3). The OK is the last thing that is
 * compressed (4.1); what ID said stays, as 3 leaves to us. */
Err imap_cmd_unauthenticate(Imap *s)
{
    TRY(imap_end(s->in));
    if (!s->config->unauthenticate) return fail(ERR_SYNTAX, "unknown command");
    log_leaving(s);
    imap_forget_user(s);
    imap_make_stranger(s);
    (void)imap_ok(s, "UNAUTHENTICATE completed");
    if (stream_is_deflated(s->stream)) TRY(stream_end_deflate(s->stream));
    imap_hand_back(s);
    return OK;
}
