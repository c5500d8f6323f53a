#include "imap/search_fits.h"

#include "mail/casemap.h"
#include "mail/fuzzy.h"
#include "mail/header.h"

enum { FUZZY_DAYS = 7, ALL = 100 };

static unsigned yes(bool fits)
{
    return fits ? ALL : 0;
}

/* RFC 6203 5: "the further away the message is, the lower the relevancy score". Of something that
 * is `off` a limit and may be less than `most`. */
static unsigned nearly(uint64_t off, uint64_t most)
{
    return off < most ? (unsigned)(ALL - 1 - off * (ALL - 1) / most) : 0;
}

typedef enum { BEFORE, ON, SINCE } DateIs;
static unsigned fits_day(const SearchAsked *q, DateIs is, int64_t day, int64_t wanted)
{
    bool fits = is == BEFORE ? day < wanted : is == ON ? day == wanted : day >= wanted;
    if (fits || !q->fuzzy) return yes(fits);
    uint64_t off = (uint64_t)(day < wanted ? wanted - day : day - wanted);
    return nearly(off - (is != BEFORE), FUZZY_DAYS);
}

static unsigned fits_size(const SearchAsked *q, const SearchKey *key, uint32_t size)
{
    bool larger = key->type == KEY_LARGER;
    bool fits = larger ? size > key->number : size < key->number;
    if (fits || !q->fuzzy) return yes(fits);
    return nearly(larger ? key->number - size : size - key->number, key->number / 4);
}

static unsigned fits_words(const SearchAsked *q, const SearchKey *key, Slice text)
{
    if (q->fuzzy) return fuzzy_score(text, key->text);
    return yes(casemap_contains(text, key->text));
}

/* ---- the slot ---- */

static bool has_keyword(const SearchAsked *q, const SearchKey *key, uint16_t kwset)
{
    Slice words = account_keywords(q->account, kwset), word;
    while (slice_cut(&words, ' ', &word))
        if (slice_eq_nocase(word, key->text)) return true;
    return false;
}

/* RFC 5032 2: both ends belong to it. */
static bool fits_age(const SearchAsked *q, const SearchKey *key, const Message *m)
{
    int64_t then = q->now - (int64_t)key->number;
    return key->type == KEY_OLDER ? m->date <= then : m->date >= then;
}

unsigned fits_slot(const SearchAsked *q, const SearchKey *key, const Message *m)
{
    int64_t day = m->date / 86400, wanted = (int64_t)key->number;
    switch ((int)key->type) {
    case KEY_FLAG:
        return yes((m->flags & key->flags) == key->flags);
    case KEY_KEYWORD:
        return yes(m->kwset && has_keyword(q, key, m->kwset));
    case KEY_RECENT:
        return yes(view_is_recent(q->view, m->uid));
    case KEY_SET:
    case KEY_INTHREAD:
    case KEY_THREADROOT:
    case KEY_THREADLEAF:
        return yes(uidset_has(&key->uids, m->uid));
    case KEY_BEFORE:
        return fits_day(q, BEFORE, day, wanted);
    case KEY_ON:
        return fits_day(q, ON, day, wanted);
    case KEY_SINCE:
        return fits_day(q, SINCE, day, wanted);
    case KEY_LARGER:
    case KEY_SMALLER:
        return fits_size(q, key, m->size);
    case KEY_OLDER:
    case KEY_YOUNGER:
        return yes(fits_age(q, key, m));
    case KEY_BEFORE_TIME:
        return yes(m->date < wanted);
    case KEY_SINCE_TIME:
        return yes(m->date >= wanted);
    case KEY_MODSEQ:
        return yes(m->modseq >= key->number);
    case KEY_EMAILID:
        return yes(m->eid == key->number);
    default:
        return 0;
    }
}

/* ---- the email ---- */

/* RFC 8514 3: when it came into this mailbox. */
static unsigned fits_saved(const SearchAsked *q, const SearchKey *key, const EmailDetails *d,
                           uint32_t uid)
{
    DateIs is = key->type == KEY_SAVED_BEFORE ? BEFORE : key->type == KEY_SAVED_ON ? ON : SINCE;
    uint32_t id = mailbox_status(view_mailbox(q->view)).id;
    for (size_t i = 0; i < d->link_count; i++)
        if (d->links[i].mailbox_id == id && d->links[i].uid == uid)
            return fits_day(q, is, d->links[i].saved / 86400, (int64_t)key->number);
    return 0;
}

static bool is_in_mailbox(const SearchKey *key, const EmailDetails *d)
{
    for (size_t i = 0; i < d->link_count; i++)
        if (uidset_has(&key->uids, d->links[i].mailbox_id)) return true;
    return false;
}

unsigned fits_email(const SearchAsked *q, const SearchKey *key, const EmailDetails *d,
                    const Message *m)
{
    if (key->type == KEY_THREADID) return yes(d->thread_id == key->number);
    if (key->type == KEY_LABEL) return yes(is_in_mailbox(key, d));
    return fits_saved(q, key, d, m->uid);
}

/* ---- the summary ---- */

static unsigned fits_sent(const SearchAsked *q, DateIs is, const SearchKey *key,
                          const MailSummary *m)
{
    if (m->sent_zone == INT16_MIN) return 0;
    int64_t local = m->sent + (int64_t)m->sent_zone * 60;
    int64_t day = local >= 0 ? local / 86400 : -((86399 - local) / 86400);
    return fits_day(q, is, day, (int64_t)key->number);
}

/* "name", "filename", "name*0*" of BODYSTRUCTURE; anywhere is good enough, as names are read. */
static bool may_have_names(Slice structure)
{
    for (size_t i = 0; i + 4 <= structure.len; i++)
        if (slice_starts_nocase(slice_from(structure, i), S("name"))) return true;
    return false;
}

unsigned fits_summary(const SearchAsked *q, const SearchKey *key, const MailSummary *m)
{
    switch ((int)key->type) {
    case KEY_SENT_BEFORE:
        return fits_sent(q, BEFORE, key, m);
    case KEY_SENT_ON:
        return fits_sent(q, ON, key, m);
    case KEY_SENT_SINCE:
        return fits_sent(q, SINCE, key, m);
    case KEY_MESSAGEID:
        return yes(slice_eq(m->message_id, key->text));
    case KEY_FROM:
        return fits_words(q, key, m->from);
    case KEY_TO:
        return fits_words(q, key, m->to);
    case KEY_CC:
        return fits_words(q, key, m->cc);
    case KEY_BCC:
        return fits_words(q, key, m->bcc);
    case KEY_SUBJECT:
        return fits_words(q, key, m->subject);
    case KEY_HAS_ATTACHMENT:
        return yes(m->has_attachment);
    case KEY_HAS_FILE_NAME:
        return yes(may_have_names(m->body_structure));
    default:
        return 0;
    }
}

/* ---- the header ---- */

static unsigned fits_field(const SearchAsked *q, const SearchKey *key, const HeaderField *f)
{
    Buf decoded buf_scoped = {0}, folded buf_scoped = {0};
    bool exact = key->type == KEY_EXACT_HEADER;
    header_search_text(&decoded, f->name, f->value);
    comparator_folder(exact ? (Collation)key->number
                            : COMPARE_UNICODE_CASEMAP)(&folded, buf_slice(&decoded));
    return fits_words(q, key, buf_slice(&folded));
}

/* RFC 9051 6.4.4: an empty string asks whether the field is there. */
unsigned fits_header(const SearchAsked *q, const SearchKey *key, Slice header)
{
    HeaderField f = {0};
    unsigned best = 0;
    while (best < ALL && key->field.len && header_find(header, key->field, &f))
        best = key->text.len ? MAX(best, fits_field(q, key, &f)) : ALL;
    return best;
}

/* ---- the text ---- */

static MailTextOf text_of(const SearchKey *key)
{
    if (key->type == KEY_ATTACHMENT_NAME) return MAIL_TEXT_FILE_NAMES;
    if (key->type == KEY_ATTACHMENT_TEXT) return MAIL_TEXT_ATTACHMENTS;
    return key->type == KEY_BODY ? MAIL_TEXT_BODIES : MAIL_TEXT_ALL;
}

bool text_question(const SearchAsked *q, const SearchKey *key, TextQuestion *question)
{
    bool exact = key->type == KEY_EXACT_TEXT;
    bool plain = !q->fuzzy && (key->type == KEY_BODY || key->type == KEY_TEXT);
    *question = (TextQuestion){.needle = key->text,
                               .fold = exact ? comparator_folder((Collation)key->number) : NULL,
                               .body_only = exact ? key->flags : key->type == KEY_BODY};
    return plain || exact;
}

PARKS Err fits_text(const SearchAsked *q, const SearchKey *key, uint32_t eid, unsigned *score)
{
    Buf text buf_scoped = {0};
    TRY(email_text(q->account, eid, text_of(key), &text));
    *score = fits_words(q, key, buf_slice(&text));
    return OK;
}
