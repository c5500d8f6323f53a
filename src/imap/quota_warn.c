/* Telling the user, before it is too late, that the mail storage fills: an ALERT for each step of
 * the setting quota_warnings, once for each crossing, and OVERQUOTA where a soft quota is exceeded
 * (RFC 9208 4.3.1).
 *
 * The highest step that was told is kept, as object "pref", "quota-told": whoever logs in next is
 * not told again. Sessions that were there before a step was crossed are all told. */
#include "imap/session.h"

/* How full it is of mail, in percent: of octets or of messages. */
static unsigned percent_of(const Quota *q)
{
    static const QuotaResource of_mail[] = {QUOTA_STORAGE, QUOTA_MESSAGE};
    uint64_t most = 0;
    for (size_t i = 0; i < COUNT(of_mail); i++) {
        uint64_t used = q->used[of_mail[i]], limit = q->limit[of_mail[i]];
        if (limit == QUOTA_NONE) continue;
        uint64_t percent = !limit                                         ? (used ? 1000 : 100)
                           : used > limit * 10 || used > UINT64_MAX / 100 ? 1000
                                                                          : used * 100 / limit;
        most = MAX(most, percent);
    }
    return (unsigned)most;
}

static unsigned level_of(const Imap *s, unsigned percent)
{
    unsigned level = 0;
    for (size_t i = 0; i < COUNT(s->config->quota_warnings); i++) {
        unsigned step = s->config->quota_warnings[i];
        if (step && percent >= step) level = MAX(level, step);
    }
    return level;
}

PARKS static unsigned told_before(Imap *s)
{
    Slice text;
    uint64_t level = 0;
    if (object_get(s->account, S("pref"), S("quota-told"), &s->arena, &text, NULL)) return 0;
    return slice_to_u64(text, &level) && level <= 1000 ? (unsigned)level : 0;
}

/* That it cannot be kept is no reason to fail: then it is told once more. */
PARKS static void keep_told(Imap *s, unsigned level)
{
    if (told_before(s) == level) return;
    Slice text = arena_printf(&s->arena, "%u", level);
    if (object_put(s->account, S("pref"), S("quota-told"), text, NULL)) return;
}

PARKS static void warn(Imap *s, unsigned percent)
{
    unsigned level = level_of(s, percent);
    if (!s->quota_known) s->quota_level = (uint16_t)told_before(s);
    s->quota_known = true;
    if (level == s->quota_level) return;
    if (level > s->quota_level) imap_say(s, "NO [ALERT] Your mail storage is %u %% full", percent);
    s->quota_level = (uint16_t)level;
    keep_told(s, level);
}

/* Every command that adds messages hears of it, as in the RFC's examples; what others add is told
 * once. */
static void tell_soft(Imap *s, unsigned percent, bool adds)
{
    unsigned soft = s->config->quota_soft;
    bool over = soft && percent > soft;
    if (over && (adds || !s->quota_over))
        imap_say(s, "NO [OVERQUOTA] Soft quota has been exceeded");
    s->quota_over = over;
}

static bool adds_messages(const Imap *s)
{
    Err (*handler)(Imap *) = s->command ? s->command->handler : NULL;
    return handler == imap_cmd_append || handler == imap_cmd_copy || handler == imap_cmd_move ||
           handler == imap_cmd_replace;
}

/* It is the user's own quota that is told, where the session is at home with it. RFC 9208 4.3.1:
 * not without a mailbox selected or a command that adds messages. */
void imap_warn_quota(Imap *s, bool done)
{
    bool adds = done && adds_messages(s);
    bool elsewhere = s->box && account_number(mailbox_account(s->box)) != s->user.acct;
    if (!s->account || elsewhere || s->state == LEAVING) return;
    if (s->state != SELECTED && !adds) return;
    Quota q = account_quota(s->account);
    unsigned percent = percent_of(&q);
    warn(s, percent);
    tell_soft(s, percent, adds);
}
