/* A session changes hands: after the login, when the house restarts, and back after UNAUTHENTICATE.
 * Who lets go writes a record (record.h); who takes up makes of it the same session. */
#include "auth/handover.h"
#include "base/metric.h"
#include "base/table.h"
#include "imap/annotate.h"
#include "imap/notify.h"
#include "imap/record.h"
#include "net/refusal.h"
#include "run/log.h"

/* ---- letting go ---- */

/* RFC 2221 6: only now that he has shown who he is. */
PARKS static Err refer(Imap *s)
{
    s->user = (AuthUser){0};
    return imap_no(s, "[REFERRAL%.*s] The account is on another server", SP(s->referral));
}

PARKS Err imap_welcome(Imap *s, const AuthUser *user)
{
    bool has_public = false, elsewhere = imap_lives_elsewhere(s, user, &has_public);
    if (elsewhere && !has_public) return refer(s);
    Buf body buf_scoped = {0};
    ImapRecord r = {.tag = s->in->tag,
                    .login_ms = (uint64_t)MAX(s->login_deadline_ms - now_ms(), 0),
                    .mistakes = s->mistakes,
                    .language = s->language,
                    .after_literal = s->in->literal.is_there};
    imap_record_logged_in(&body, &r);
    handover_write(&s->handed, HANDOVER_LOGGED_IN, S("imap"), user, buf_slice(&body));
    return OK;
}

void imap_hand_back(Imap *s)
{
    Buf record buf_scoped = {0}, body buf_scoped = {0};
    if (!stream_is_remote(s->stream)) return;
    buf_varint(&body, s->mistakes);
    handover_write(&record, HANDOVER_STRANGER, S("imap"), NULL, buf_slice(&body));
    stream_hand_back(s->stream, buf_slice(&record));
    s->state = LEAVING;
}

bool imap_may_be_kept(const Imap *s)
{
    return s->config->resume_always || stream_is_remote(s->stream);
}

/* Live results have too much to them: such a session ends with its house. So does one whose mailbox
 * is lost to it, which it will be told. */
static bool describe_selected(const Imap *s, ImapRecord *r, Buf *view, Buf *notes)
{
    if (s->contexts || !(mailbox_rights(s->box) & RIGHT_READ) || !view_keep(s->view, view))
        return false;
    annotate_keep(s, notes);
    MailboxStatus status = mailbox_status(s->box);
    r->selected = true;
    r->acct = status.acct;
    r->mailbox_id = status.id;
    r->how = (uint8_t)((s->read_only ? RECORD_READ_ONLY : 0) | (s->examined ? RECORD_EXAMINED : 0) |
                       (s->annotate_news ? RECORD_ANNOTATE : 0));
    r->told_keywords = s->told_keywords;
    r->told_rights = s->told_rights;
    r->saved = s->saved;
    r->view = buf_slice(view);
    r->notes = buf_slice(notes);
    return true;
}

/* Nothing: it cannot be taken up. */
static void describe(const Imap *s, Buf *out)
{
    Buf view buf_scoped = {0}, notes buf_scoped = {0}, heard buf_scoped = {0};
    ImapRecord r = {.tag = s->idle_tag ? slice_of(s->idle_tag) : (Slice){0},
                    .mistakes = s->mistakes,
                    .enabled = s->enabled,
                    .language = s->language,
                    .comparator = s->comparator,
                    .quota_known = s->quota_known,
                    .quota_over = s->quota_over,
                    .after_literal = s->in->literal.is_there,
                    .quota_level = s->quota_level};
    if (!imap_notify_written(s, &r.notify)) return;
    if (s->box && !describe_selected(s, &r, &view, &notes)) return;
    imap_notify_heard(s, &heard);
    r.heard = buf_slice(&heard);
    imap_record_at_rest(out, &r);
}

bool imap_keep(Imap *s)
{
    Buf body buf_scoped = {0}, record buf_scoped = {0};
    if (s->is_kept || !imap_may_be_kept(s) || !(s->state & KNOWN)) return false;
    s->is_kept = true;
    describe(s, &body);
    uint64_t hash = keyed_hash(buf_slice(&body));
    if (hash != s->kept || !s->user.has_grant)
        handover_seal(&s->user, S("imap"), buf_slice(&body), s->config->grant_key);
    s->kept = hash;
    if (body.len) handover_write(&record, HANDOVER_AT_REST, S("imap"), &s->user, buf_slice(&body));
    if (stream_is_remote(s->stream)) stream_keep(s->stream, buf_slice(&record));
    if (!s->config->resume_always || !record.len) return false;
    s->handed = record;
    record = (Buf){0};
    return true;
}

/* ---- taking up who has just logged in ---- */

static AuthUser user_of(const Handover *h)
{
    AuthUser user = {.guest = h->guest};
    memcpy(user.login, h->login.at, h->login.len);
    return user;
}

PARKS static Err enter_account(Imap *s, uint32_t most)
{
    Account *account scoped(account) = NULL;
    TRY(account_open(s->config->store, s->user.acct, &account));
    TRY(account_enter(account, most));
    s->account = account;
    account = NULL;
    return OK;
}

/* Whoever was in before the house started again is in, however many they are. */
bool imap_become(Imap *s, const AuthUser *user, bool again)
{
    s->user = *user;
    imap_go(s, user->acct);
    Err err = enter_account(s, again ? 0 : s->config->sessions_most);
    if (err == ERR_LIMIT) {
        refusal_limit(s->stream, "imap", METRIC_REFUSED_ACCOUNT, slice_of(s->user.login));
        imap_answer_err(s, err);
        imap_goodbye(s, "[LIMIT] Too many sessions of this account");
        return false;
    }
    if (err) {
        log_err(LOG_LEVEL_ERROR, "imap_account", err, KV_TEXT("user", user->login));
        imap_answer_err(s, err);
        imap_goodbye(s, "[UNAVAILABLE] The account cannot be opened");
        return false;
    }
    s->state = AUTHENTICATED;
    s->mistakes = 0;
    imap_set_limits(s);
    return true;
}

PARKS static void welcome(Imap *s, const AuthUser *user)
{
    bool has_public, elsewhere = imap_lives_elsewhere(s, user, &has_public);
    if (!imap_become(s, user, false)) return;
    if (elsewhere) {
        (void)imap_ok(s, "[REFERRAL%.*s] The account is on another server", SP(s->referral));
        return;
    }
    Buf capabilities buf_scoped = {0};
    imap_put_capabilities(s, &capabilities);
    (void)imap_ok(s, "[%.*s] Logged in", SP(buf_slice(&capabilities)));
}

/* A login without an account is none. */
PARKS static Err begin(Imap *s, const Handover *h)
{
    ImapRecord r;
    TRY(imap_read_logged_in(h->body, &r));
    AuthUser user = user_of(h);
    s->language = r.language;
    s->mistakes = r.mistakes;
    s->login_deadline_ms = now_ms() + (int64_t)r.login_ms;
    s->in->tag = arena_copy(&s->arena, r.tag);
    s->in->literal.is_there = r.after_literal;
    Err err = auth_find_account(s->config->auth, "imap", s->stream, &user);
    if (!err) {
        welcome(s, &user);
    } else {
        imap_answer_err(s, err);
        imap_hand_back(s);
    }
    return OK;
}

/* ---- taking up a session at rest ---- */

PARKS static Err open_selected(Imap *s, const ImapRecord *r)
{
    Account *account scoped(account) = NULL;
    Mailbox *box scoped(mailbox) = NULL;
    imap_go(s, r->acct);
    TRY(account_open(s->config->store, r->acct, &account));
    TRY(mailbox_open_id(account, s->user.acct, r->mailbox_id, &box));
    TRY(mailbox_need(box, RIGHT_READ));
    TRY(view_resume(box, r->view, &s->view));
    s->box = box;
    box = NULL;
    s->state = SELECTED;
    return OK;
}

PARKS static Err select_again(Imap *s, const ImapRecord *r)
{
    TRY(open_selected(s, r));
    s->read_only = r->how & RECORD_READ_ONLY;
    s->examined = r->how & RECORD_EXAMINED;
    s->told_keywords = r->told_keywords;
    s->told_keywords_version = mailbox_keywords_version(s->box) - 1; /* to be compared */
    s->told_rights = r->told_rights;
    imap_save(s, &r->saved);
    if (!(r->how & RECORD_ANNOTATE)) return OK;
    annotate_watch(s);
    return annotate_resume(s, r->notes);
}

PARKS static Err go_on(Imap *s, const Handover *h)
{
    ImapRecord r;
    AuthUser user = user_of(h);
    TRY(imap_read_at_rest(h->body, &s->arena, &r));
    TRY(store_find_account(s->config->store, slice_of(user.login), &user.acct));
    if (!imap_become(s, &user, true)) return OK;
    s->enabled = r.enabled;
    s->in->utf8 = imap_has(s, ENABLED_REV2 | ENABLED_UTF8);
    s->language = r.language;
    s->comparator = r.comparator;
    s->mistakes = r.mistakes;
    s->quota_known = r.quota_known, s->quota_over = r.quota_over;
    s->quota_level = r.quota_level;
    s->in->literal.is_there = r.after_literal;
    if (r.selected) TRY(select_again(s, &r));
    if (r.notify.len)
        TRY(imap_notify_again(s, r.notify));
    else if (imap_has(s, ENABLED_METADATA))
        imap_notify_metadata(s);
    if (s->notify) TRY(imap_notify_catch_up(s, r.heard));
    imap_go_back(s);
    if (!r.tag.len) return OK;
    s->idle_tag = mem_zero(r.tag.len + 1);
    memcpy(s->idle_tag, r.tag.at, r.tag.len);
    return OK;
}

/* ---- taking up ---- */

PARKS static Err take_up(Imap *s, Slice record)
{
    Handover h;
    TRY(handover_read(record, S("imap"), s->config->grant_key, &h));
    switch (h.kind) {
    case HANDOVER_LOGGED_IN:
        return begin(s, &h);
    case HANDOVER_AT_REST:
        return go_on(s, &h);
    case HANDOVER_STRANGER:
        break;
    }
    Reader in = reader(h.body);
    uint64_t mistakes = read_varint(&in);
    s->mistakes = (unsigned)MIN(mistakes, (uint64_t)UINT16_MAX);
    return in.bad || in.rest.len ? fail(ERR_SYNTAX, "a stranger that does not fit") : OK;
}

Imap *imap_take_up(Stream *stream, const ImapConfig *config, Slice record, void (*ended)(void *arg),
                   void *arg)
{
    Imap *s = imap_new(stream, config, ended, arg);
    Buf remote buf_scoped = {0};
    s->is_kept = config->resume_always;
    Err err = take_up(s, record);
    if (!err) return s;
    Address peer = stream_peer(stream);
    address_print(&remote, &peer);
    log_err(LOG_LEVEL_WARN, "imap_resume", err, KV_TEXT("user", s->user.login),
            KV("remote", buf_slice(&remote)));
    imap_goodbye(s, "[UNAVAILABLE] The session cannot go on here");
    return s;
}
