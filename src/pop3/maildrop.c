/* The maildrop: INBOX as it was when the session locked it (RFC 1939 4, 5). */
#include "base/text.h"
#include "pop3/session.h"

#include <stdlib.h>

/* RFC 2449 6.5: the moment of the last login outlives the process, so that a restart lets nobody in
 * earlier. */
PARKS static Err check_login_delay(Pop3 *s)
{
    Slice text;
    uint64_t seq, last = 0, now = (uint64_t)wall_seconds();
    uint32_t delay = s->config->login_delay_s;
    Buf value buf_scoped = {0}, id buf_scoped = {0};
    if (!delay || s->state == TRANSACTION) return OK; /* POP2 folds */
    buf_add(&id, S("pop3-login"));
    if (is_device(s)) buf_printf(&id, " %.*s", SP(buf_slice(&s->device)));
    Err err = object_get(s->account, S("pref"), buf_slice(&id), &s->arena, &text, &seq);
    if (err && err != ERR_NOT_FOUND) return err;
    if (!err && slice_to_u64(text, &last) && last <= now && now - last < delay)
        return fail(ERR_CONFLICT, "logged in %llu s ago", (unsigned long long)(now - last));
    buf_number(&value, now);
    return object_put(s->account, S("pref"), buf_slice(&id), buf_slice(&value), NULL);
}

PARKS static Err read_pref(Pop3 *s)
{
    Slice text;
    uint64_t seq;
    s->pref = pop3_pref_default();
    Err err = object_get(s->account, S("pref"), S("pop3"), &s->arena, &text, &seq);
    if (s->config->expire_days) s->pref.expire_days = (int32_t)MIN(s->config->expire_days, 36500u);
    if (!err) pop3_pref_parse(text, &s->pref);
    return err == ERR_NOT_FOUND ? OK : err;
}

bool maildrop_next(Pop3 *s, uint32_t *uid, uint32_t *number, Message *m, bool *gone)
{
    uint32_t found;
    while (*uid && view_next(s->view, *uid, m, &found, gone)) {
        *uid = m->uid == UINT32_MAX ? 0 : m->uid + 1;
        if (is_device(s) && uidset_has(&s->fetched, m->uid)) continue;
        ++*number;
        return true;
    }
    return false;
}

/* Counters of the mailbox are those of the view that was opened just before; should they differ
 * once, the view is right. RFC 1460's LAST needs to see every message. */
PARKS static void count_messages(Pop3 *s)
{
    MailboxStatus status = mailbox_status(s->inbox);
    Message m;
    uint32_t uid = 1, number = 0;
    bool gone;
    s->count = view_exists(s->view);
    s->octets = status.size_octets;
    s->uid_validity = status.uid_validity;
    if (status.exists == s->count && !s->config->last && !is_device(s)) return;
    s->octets = 0;
    if (is_device(s)) s->shown = mem_new(array_bytes(s->count + 1, sizeof *s->shown));
    while (maildrop_next(s, &uid, &number, &m, &gone)) {
        s->octets += m.size;
        if (s->shown) s->shown[number - 1] = m.uid;
        if (m.flags & FLAG_SEEN) s->last_at_login = s->last = number;
        if (number % 512 == 0) breathe();
    }
    s->count = number;
}

/* A client that comes back at once may be here before its last session has heard that it went. */
PARKS static Err wait_for_lock(Account *account)
{
    enum { WAIT_MS = 1000, LOOK_MS = 20 };
    int64_t until = now_ms() + WAIT_MS;
    Err err = maildrop_lock(account);
    while (err == ERR_IN_USE && now_ms() < until && fiber_sleep(LOOK_MS) != WOKEN_CANCELLED)
        err = maildrop_lock(account);
    return err;
}

/* A device deletes nothing, so it need not be alone. */
PARKS static Err lock(Pop3 *s)
{
    Account *account scoped(account) = NULL;
    TRY(account_open(s->config->store, s->who.acct, &account));
    TRY(account_enter(account, s->config->sessions_most));
    s->account = account;
    account = NULL;
    if (s->config->shared_maildrop || is_device(s)) return OK;
    Err err = wait_for_lock(s->account);
    s->is_locked = !err;
    return err;
}

PARKS static Err open_inbox(Pop3 *s)
{
    Slice name = s->folder.len ? buf_slice(&s->folder) : S("INBOX");
    TRY(lock(s));
    TRY(check_login_delay(s));
    TRY(read_pref(s));
    TRY(mailbox_open(s->account, s->who.acct, name, &s->inbox));
    TRY(view_open(s->inbox, false, &s->view));
    TRY(device_open(s));
    count_messages(s);
    return OK;
}

PARKS Err maildrop_open(Pop3 *s)
{
    Err err = open_inbox(s);
    if (err) maildrop_close(s);
    return err;
}

/* Numbers of messages that a device is not shown are not counted; which those are is known from
 * when the maildrop was opened (s->fetched). */
static Err number_shown(Pop3 *s)
{
    Message m;
    uint32_t uid = 1, number = 0;
    bool gone;
    s->shown = mem_new(array_bytes(s->count + 1, sizeof *s->shown));
    while (number < s->count && maildrop_next(s, &uid, &number, &m, &gone))
        s->shown[number - 1] = m.uid;
    return number == s->count ? OK : fail(ERR_CONFLICT, "the maildrop is another one");
}

PARKS static Err resume_inbox(Pop3 *s, uint32_t mailbox_id, Slice view)
{
    TRY(lock(s));
    TRY(read_pref(s));
    TRY(mailbox_open_id(s->account, s->who.acct, mailbox_id, &s->inbox));
    TRY(view_resume(s->inbox, view, &s->view));
    s->uid_validity = mailbox_status(s->inbox).uid_validity;
    if (is_device(s)) return number_shown(s);
    return view_exists(s->view) == s->count ? OK
                                            : fail(ERR_CONFLICT, "the maildrop is another one");
}

PARKS Err maildrop_resume(Pop3 *s, uint32_t mailbox_id, Slice view)
{
    Err err = resume_inbox(s, mailbox_id, view);
    if (err) maildrop_close(s);
    return err;
}

void maildrop_close(Pop3 *s)
{
    view_close(s->view);
    mailbox_close(s->inbox);
    device_close(s);
    if (s->is_locked) maildrop_unlock(s->account);
    account_leave(s->account);
    account_close(s->account);
    arena_done(&s->marks_arena);
    s->marked[0] = s->marked[1] = (UidSet){0};
    uidls_free(s->uidls);
    s->uidls = NULL;
    s->view = NULL;
    s->inbox = NULL;
    s->account = NULL;
    s->is_locked = false;
    s->count = s->deleted = s->last = s->last_at_login = 0;
    s->octets = s->deleted_octets = 0;
}

void maildrop_mark(Pop3 *s, uint32_t number, uint8_t mark)
{
    must(number >= 1 && number <= s->count);
    if (mark & MARK_DELETED) uidset_add(&s->marks_arena, &s->marked[0], number, number);
    if (mark & MARK_RETRIEVED) uidset_add(&s->marks_arena, &s->marked[1], number, number);
}

bool maildrop_message(Pop3 *s, uint32_t number, Message *m)
{
    bool gone;
    if (!number || number > s->count) return false;
    uint32_t uid = s->shown ? s->shown[number - 1] : view_uid(s->view, number), found;
    if (s->shown) return view_next(s->view, uid, m, &found, &gone) && m->uid == uid;
    return uid && view_next(s->view, uid, m, &found, &gone) && found == number;
}

bool pop3_message(Pop3 *s, Slice text, uint32_t *number, Message *m)
{
    uint64_t n;
    if (!slice_to_u64(text, &n))
        pop3_mistake(s, "A message number is wanted");
    else if (!n || n > s->count || !maildrop_message(s, (uint32_t)n, m))
        pop3_err(s, "No such message, there are %u", (unsigned)s->count);
    else if (maildrop_marks(s, (uint32_t)n) & MARK_DELETED)
        pop3_err(s, "Message %u is deleted", (unsigned)n);
    else {
        *number = (uint32_t)n;
        return true;
    }
    return false;
}
