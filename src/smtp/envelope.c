/* MAIL, RCPT, RSET: who writes to whom (RFC 5321 3.3), and whether there is room for it. */
#include "base/text.h"
#include "smtp/session.h"

#include <stdlib.h>

void smtp_reset(Smtp *s)
{
    draft_free(s->draft);
    arena_reset(&s->arena);
    s->stage = MIN(s->stage, GREETED);
    s->sender = (SmtpPath){0};
    s->size = s->octets = 0;
    s->utf8 = s->chunks_failed = false;
    s->recipients = NULL;
    s->deliveries = NULL;
    s->recipient_count = s->recipient_room = s->delivery_count = s->delivery_room = 0;
    s->draft = NULL;
    s->draft_err = OK;
    s->hops = (Hops){0};
}

PARKS void smtp_rset(Smtp *s, Slice nothing)
{
    (void)nothing;
    smtp_reset(s);
    smtp_reply(s, 250, "2.0.0 OK");
}

/* ---- MAIL ---- */

static bool is_word(Slice value, Slice word)
{
    return slice_eq_nocase(value, word);
}

enum { SEEN_SIZE = 1, SEEN_BODY = 2, SEEN_UTF8 = 4 };

/* RFC 1870 6: more than fits 64 bits is more than we take. */
static uint64_t announced_size(Slice digits, bool *fits)
{
    uint64_t size = 0;
    *fits = digits.len > 0 && digits.len <= 20;
    for (size_t i = 0; i < digits.len; i++)
        if (!is_digit((unsigned char)digits.at[i])) *fits = false;
    return *fits && slice_to_u64(digits, &size) ? size : UINT64_MAX;
}

/* One parameter of MAIL; 0: fine, else it has been answered. */
static bool mail_parameter(Smtp *s, SmtpParameter p, unsigned *seen)
{
    unsigned bit = 0;
    bool fits = false;
    if (is_word(p.name, S("SIZE"))) {
        bit = SEEN_SIZE;
        s->size = announced_size(p.value, &fits);
    } else if (is_word(p.name, S("BODY"))) { /* RFC 6152 3 */
        bit = SEEN_BODY;
        fits = is_word(p.value, S("7BIT")) || is_word(p.value, S("8BITMIME"));
    } else if (is_word(p.name, S("SMTPUTF8"))) { /* RFC 6531 3.4 */
        bit = SEEN_UTF8;
        fits = s->utf8 = !p.value.at;
    } else {
        smtp_reply(s, 555, "5.5.4 Unknown parameter %.*s", SP(slice_first(p.name, 64)));
        return false;
    }
    fits = fits && !(*seen & bit);
    *seen |= bit;
    if (!fits) smtp_reply(s, 501, "5.5.4 Bad %.*s", SP(p.name));
    return fits;
}

static bool mail_parameters(Smtp *s, Scan *in)
{
    unsigned seen = 0;
    for (SmtpParameter p; smtp_parameter(in, &p);)
        if (!mail_parameter(s, p, &seen)) return false;
    if (!scan_end(in)) return true;
    smtp_reply(s, 501, "5.5.4 Bad parameters");
    return false;
}

static bool sender_fits(Smtp *s)
{
    if (s->sender.is_utf8 && !s->utf8) /* RFC 6531 3.5 */
        smtp_reply(s, 550, "5.6.7 Not without SMTPUTF8");
    else if (s->config->message_most && s->size > s->config->message_most) /* RFC 1870 6.1 */
        smtp_reply(s, 552, "5.3.4 The message is larger than %llu octets",
                   (unsigned long long)s->config->message_most);
    else
        return true;
    return false;
}

static void name_transaction(Smtp *s)
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    uint64_t random = random_u64();
    for (size_t i = 0; i < 13; i++, random >>= 5)
        s->id[i] = digits[random & 31];
    s->id[13] = 0;
}

static bool too_many_messages(Smtp *s)
{
    if (!s->config->messages_most || s->messages < s->config->messages_most) return false;
    smtp_reply(s, 421, "4.7.0 Enough messages for one connection");
    return s->over = true;
}

/* "FROM:" Reverse-path [SP Mail-parameters] */
PARKS void smtp_mail(Smtp *s, Slice text)
{
    if (s->stage >= SENDER) {
        smtp_reply(s, 503, "5.5.1 One sender only: RSET first");
        return;
    }
    if (too_many_messages(s)) return;
    smtp_reset(s);
    Scan in = scan(arena_copy(&s->arena, text));
    scan_need_word(&in, S("FROM:"));
    s->sender = smtp_reverse_path(&in);
    if (!scan_is_ok(&in)) {
        smtp_reply(s, 501, "5.1.7 Bad sender address, it is MAIL FROM:<address>");
        return;
    }
    if (!mail_parameters(s, &in) || !sender_fits(s)) {
        smtp_reset(s);
        return;
    }
    s->stage = SENDER;
    name_transaction(s);
    smtp_reply(s, 250, "2.1.0 Sender OK");
}

/* ---- RCPT ---- */

/* A question to an account, answered on its home loop. */
typedef struct {
    Store *store;
    uint32_t acct;
    uint64_t octets;
    Slice wanted; /* the folder that a sub-address names, as written */
    Arena *arena;
    Slice folder; /* out: as it is called; `wanted` if there is none */
    Err err;
} Question;

/* Senders write sub-addresses in any case: "anna+work" finds "Work", unless "work" exists too. */
static void find_folder(Question *q, Account *account)
{
    MailboxEntry *entries;
    size_t count;
    bool exact = false;
    q->folder = q->wanted;
    if (!q->wanted.len) return;
    account_mailboxes(account, q->arena, &entries, &count);
    for (size_t i = 0; i < count && !exact; i++) {
        if (!entries[i].exists || !slice_eq_nocase(entries[i].name, q->wanted)) continue;
        exact = slice_eq(entries[i].name, q->wanted);
        q->folder = arena_copy(q->arena, entries[i].name);
    }
}

PARKS_UNCHECKED static void answer_question(void *arg)
{
    Question *q = arg;
    Account *account scoped(account) = NULL;
    q->err = account_open(q->store, q->acct, &account);
    if (q->err) return;
    find_folder(q, account);
    q->err = account_has_room(account, q->octets);
    Quota quota = account_quota(account);
    if (q->err == ERR_OVER_QUOTA && q->octets > quota.limit[QUOTA_STORAGE]) q->err = ERR_TOO_BIG;
}

PARKS Err smtp_check_room(Smtp *s, uint32_t acct, uint64_t octets)
{
    Question q = {.store = s->config->store, .acct = acct, .octets = octets};
    loop_call(store_home(q.store, acct), answer_question, &q);
    return q.err;
}

/* auth_resolve gives the detail in lower case; how it was written is at the end of the local part.
 */
static Slice detail_as_written(Slice local, Slice detail)
{
    if (slice_ends(local, S("\""))) local.len--;
    must(local.len >= detail.len);
    Slice written = slice_from(local, local.len - detail.len);
    return slice_eq_nocase(written, detail) ? written : detail;
}

/* Room for the message, and the folder for each of them: in place of detail. */
PARKS static Err ask_accounts(Smtp *s, Slice local, Recipient *found, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        Question q = {.store = s->config->store,
                      .acct = found[i].acct,
                      .octets = s->size,
                      .wanted = detail_as_written(local, found[i].detail),
                      .arena = &s->arena};
        loop_call(store_home(q.store, q.acct), answer_question, &q);
        if (q.err) return q.err;
        found[i].detail = q.folder;
    }
    return OK;
}

/* The delivery to this account and folder, perhaps of an earlier recipient: nobody gets a message
 * twice. */
static uint32_t delivery_of(Smtp *s, const Recipient *r)
{
    for (size_t i = 0; i < s->delivery_count; i++)
        if (s->deliveries[i].acct == r->acct &&
            slice_eq(s->deliveries[i].mailbox, r->detail.len ? r->detail : S("INBOX")))
            return (uint32_t)i;
    if (s->delivery_count == s->delivery_room) {
        size_t room = s->delivery_room ? s->delivery_room * 2 : 4;
        Delivery *more = arena_array(&s->arena, Delivery, room);
        if (s->delivery_count) memcpy(more, s->deliveries, s->delivery_count * sizeof *more);
        s->deliveries = more;
        s->delivery_room = room;
    }
    s->deliveries[s->delivery_count] =
        (Delivery){.acct = r->acct,
                   .mailbox = r->detail.len ? r->detail : S("INBOX"),
                   .create = r->detail.len && s->config->subaddress_creates};
    return (uint32_t)s->delivery_count++;
}

/* Delivered-To: names the account, not the address with its sub-address: the store wants few
 * distinct prefixes per account, and a sender can think of any number of sub-addresses. */
static Slice delivered_to(Smtp *s, const Recipient *r, Slice domain)
{
    bool whole = slice_find(r->login, '@') < r->login.len || !domain.len;
    return whole ? arena_printf(&s->arena, "Delivered-To: %.*s\r\n", SP(r->login))
                 : arena_printf(&s->arena, "Delivered-To: %.*s@%.*s\r\n", SP(r->login), SP(domain));
}

static SmtpRecipient *new_recipient(Smtp *s, size_t deliveries)
{
    if (s->recipient_count == s->recipient_room) {
        size_t room = s->recipient_room ? s->recipient_room * 2 : 4;
        SmtpRecipient *more = arena_array(&s->arena, SmtpRecipient, room);
        if (s->recipient_count) memcpy(more, s->recipients, s->recipient_count * sizeof *more);
        s->recipients = more;
        s->recipient_room = room;
    }
    SmtpRecipient *r = &s->recipients[s->recipient_count++];
    *r = (SmtpRecipient){.delivery = arena_array(&s->arena, uint32_t, deliveries)};
    return r;
}

PARKS static Err add_recipient(Smtp *s, SmtpPath path)
{
    Slice domain = {0}, address = path.local;
    Recipient *found;
    size_t count;
    if (path.domain.len) {
        TRY(smtp_domain_to_ascii(&s->arena, path.domain, &domain));
        address = arena_printf(&s->arena, "%.*s@%.*s", SP(path.local), SP(domain));
    }
    TRY(auth_resolve(s->config->auth, address, &s->arena, &found, &count));
    TRY(ask_accounts(s, path.local, found, count));
    SmtpRecipient *r = new_recipient(s, count);
    r->address = path.mailbox;
    for (size_t i = 0; i < count; i++) {
        uint32_t d = delivery_of(s, &found[i]);
        if (!s->deliveries[d].place.prefix.len)
            s->deliveries[d].place.prefix = delivered_to(s, &found[i], domain);
        r->delivery[r->delivery_count++] = d;
    }
    return OK;
}

/* RFC 5321 2.3.5: an address has a domain, only Postmaster may lack it (4.5.1). LMTP's client is a
 * server of ours and may know users by their names. */
static bool recipient_is_written_well(Smtp *s, Scan *in, SmtpPath path)
{
    SmtpParameter p;
    bool bare = !path.domain.len && !s->lmtp && !slice_eq_nocase(path.local, S("Postmaster"));
    if (!scan_is_ok(in) || bare)
        smtp_reply(s, 501, "5.1.3 Bad recipient address, it is RCPT TO:<address>");
    else if (smtp_parameter(in, &p))
        smtp_reply(s, 555, "5.5.4 Unknown parameter %.*s", SP(slice_first(p.name, 64)));
    else if (scan_end(in))
        smtp_reply(s, 501, "5.5.4 Bad parameters");
    else if (path.is_utf8 && !s->utf8) /* RFC 6531 3.5 */
        smtp_reply(s, 553, "5.6.7 Not without SMTPUTF8");
    else
        return true;
    return false;
}

/* "TO:" Forward-path [SP Rcpt-parameters] */
PARKS void smtp_rcpt(Smtp *s, Slice text)
{
    uint32_t most = s->config->recipients_most ? s->config->recipients_most : 1000;
    if (smtp_is_in_chunks(s)) {
        smtp_reply(s, 503, "5.5.1 Not between chunks");
        return;
    }
    if (s->recipient_count >= most) { /* RFC 5321 4.5.3.1.10 */
        smtp_reply(s, 452, "4.5.3 Too many recipients, send the rest later");
        return;
    }
    Scan in = scan(arena_copy(&s->arena, text));
    scan_need_word(&in, S("TO:"));
    SmtpPath path = smtp_forward_path(&in);
    if (!recipient_is_written_well(s, &in, path)) return;
    Err err = add_recipient(s, path);
    if (!err) {
        s->stage = RECIPIENT;
        smtp_reply(s, 250, "2.1.5 Recipient OK");
        return;
    }
    SmtpVerdict v = smtp_verdict(err);
    if (err == ERR_TOO_BIG) v = (SmtpVerdict){552, "5.2.2 The mailbox cannot hold so much"};
    if (err == ERR_SYNTAX) v = (SmtpVerdict){501, "5.1.3 Bad recipient address"};
    smtp_reply(s, v.code, "%s", v.text);
}
