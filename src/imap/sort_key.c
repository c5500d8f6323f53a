/* What a message sorts by: RFC 5256 2 and 3, RFC 5957 3. All of it is in the summary. */
#include "imap/annotate.h"
#include "imap/sort.h"

#include "base/text.h"
#include "mail/envelope.h"
#include "mail/header.h"

enum { FAILED = 0xff }; /* in front of text that is in no charset we know; no UTF-8 has it */

bool sort_has_text(SortKey key)
{
    return key != SORT_ARRIVAL && key != SORT_DATE && key != SORT_SIZE && key != SORT_RELEVANCY;
}

/* ---- text ---- */

static uint64_t first_octets(Slice s)
{
    uint64_t first = 0;
    for (size_t i = 0; i < 8; i++)
        first = first << 8 | (i < s.len ? (unsigned char)s.at[i] : 0);
    return first;
}

/* RFC 5255 4.6: (a) the MIME encoding goes, (b) the rest becomes UTF-8, (c) what does not is
 * ordered by its octets, behind the rest. */
static Slice folded(Comparator c, Slice plain, bool exact, Arena *a)
{
    Buf out buf_scoped = {0};
    if (!plain.len) return S("");
    if (exact)
        comparator_folder(c.collation)(&out, plain);
    else
        buf_char(&out, (char)FAILED), buf_add(&out, plain);
    return out.len ? arena_copy(a, buf_slice(&out)) : S("");
}

/* Nothing to decode. */
static bool is_plain(Slice raw)
{
    return text_is_ascii(raw) && !text_has_ctl(raw) && slice_find_slice(raw, S("=?")) == raw.len;
}

static Slice collated(Comparator c, Slice raw, Arena *a)
{
    Buf plain buf_scoped = {0};
    if (is_plain(raw)) return folded(c, raw, true, a);
    bool exact = header_decode_exactly(&plain, raw);
    return folded(c, buf_slice(&plain), exact, a);
}

/* ---- subjects ---- */

/* Is the folded column all there is to know? Not when an encoded word has failed: then there is
 * U+FFFD in its place, or its charset is one we do not know. */
static bool column_is_enough(Comparator c, const MailSummary *m, Slice raw)
{
    static const Slice replacement = {"\xef\xbf\xbd", 3};
    return c.collation == COMPARE_UNICODE_CASEMAP &&
           slice_find_slice(m->subject, replacement) == m->subject.len &&
           header_charsets_are_known(raw);
}

/* Where nothing was taken away nothing can have marked a reply, and a subj-refwd in front always
 * does. False: one has to look closer. */
static bool is_surely(Slice raw, const MailSummary *m, bool *is_reply)
{
    raw = slice_trim(raw);
    *is_reply = slice_starts_nocase(raw, S("re:")) || slice_starts_nocase(raw, S("fwd:")) ||
                slice_starts_nocase(raw, S("fw:"));
    return *is_reply || slice_eq(m->subject, m->base_subject);
}

Slice sort_base_subject(Comparator c, const MailSummary *m, Arena *a, bool *is_reply)
{
    Slice raw = envelope_text(m->envelope, ENVELOPE_SUBJECT, a);
    bool enough = column_is_enough(c, m, raw), reply = false;
    if (enough && (!is_reply || is_surely(raw, m, is_reply))) return m->base_subject;
    Buf plain buf_scoped = {0};
    bool exact = header_decode_exactly(&plain, raw);
    Slice base = header_base_subject(a, buf_slice(&plain), &reply);
    if (is_reply) *is_reply = reply;
    return enough ? m->base_subject : folded(c, base, exact, a);
}

/* ---- addresses ---- */

/* RFC 5256 3: addr-mailbox of the first address. */
static Slice mailbox_of(const SortProgram *p, const MailSummary *m, EnvelopeField field, Arena *a)
{
    MailAddress first;
    if (!envelope_first_address(m->envelope, field, a, &first)) return S("");
    return collated(p->comparator, first.mailbox, a);
}

/* RFC 5957 3: the name, or else mailbox@host, or else the mailbox. */
static Slice display_of(const SortProgram *p, const MailSummary *m, EnvelopeField field, Arena *a)
{
    MailAddress first;
    if (!envelope_first_address(m->envelope, field, a, &first)) return S("");
    Slice name = collated(p->comparator, first.name, a);
    if (name.len || !first.mailbox.at) return name;
    if (!first.host.at) return collated(p->comparator, first.mailbox, a);
    Slice address = arena_printf(a, "%.*s@%.*s", SP(first.mailbox), SP(first.host));
    return collated(p->comparator, address, a);
}

/* ---- values ---- */

int64_t sort_sent_date(const Message *m, const MailSummary *summary)
{
    return summary->sent_zone == INT16_MIN ? (int64_t)m->date : summary->sent;
}

static bool needs_summary(const SortProgram *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->criteria[i].key == SORT_DATE ||
            (sort_has_text(p->criteria[i].key) && p->criteria[i].key != SORT_ANNOTATION))
            return true;
    return false;
}

static uint64_t biased(int64_t n)
{
    return (uint64_t)n ^ UINT64_C(1) << 63; /* negative numbers first */
}

static SortValue of_text(Slice text)
{
    return (SortValue){first_octets(text), text};
}

static SortValue value_of(const SortProgram *p, SortKey key, const Message *m,
                          const MailSummary *summary, Arena *a)
{
    switch (key) {
    case SORT_ARRIVAL:
        return (SortValue){.first = m->date};
    case SORT_DATE:
        return (SortValue){.first = biased(sort_sent_date(m, summary))};
    case SORT_SIZE:
        return (SortValue){.first = m->size};
    case SORT_RELEVANCY: /* RFC 6203 6: the highest first */
        return (SortValue){.first = p->found ? 100 - search_score(p->found, m->uid) : 0};
    case SORT_CC:
        return of_text(mailbox_of(p, summary, ENVELOPE_CC, a));
    case SORT_FROM:
        return of_text(mailbox_of(p, summary, ENVELOPE_FROM, a));
    case SORT_TO:
        return of_text(mailbox_of(p, summary, ENVELOPE_TO, a));
    case SORT_SUBJECT:
        return of_text(sort_base_subject(p->comparator, summary, a, NULL));
    case SORT_DISPLAYFROM:
        return of_text(display_of(p, summary, ENVELOPE_FROM, a));
    case SORT_DISPLAYTO:
        return of_text(display_of(p, summary, ENVELOPE_TO, a));
    case SORT_ANNOTATION: /* annotation_of */
        break;
    }
    return (SortValue){0};
}

/* RFC 5257 4.9; a message without sorts as one with an empty value. */
PARKS static SortValue annotation_of(Imap *s, const SortProgram *p, const SortCriterion *c,
                                     const Message *m, Arena *a)
{
    Slice value = annotate_value_of(s->box, m, c->entry, c->shared, a);
    return of_text(value.len ? folded(p->comparator, value, true, a) : value);
}

/* A message whose summary is lost sorts as one without a header. */
PARKS Err sort_values(Imap *s, const SortProgram *p, const Message *m, Arena *a, SortValue *values)
{
    MailSummary summary = {.sent_zone = INT16_MIN};
    if (needs_summary(p) && section_summary(mailbox_account(s->box), m, false, a, &summary)) {
        if (run_is_cancelled()) return fail(ERR_CANCELLED, "stopping");
        summary = (MailSummary){.sent_zone = INT16_MIN};
    }
    for (size_t i = 0; i < p->count; i++)
        values[i] = p->criteria[i].key == SORT_ANNOTATION
                        ? annotation_of(s, p, &p->criteria[i], m, a)
                        : value_of(p, p->criteria[i].key, m, &summary, a);
    return OK;
}

/* ---- order ---- */

static int collate(const SortValue *a, const SortValue *b)
{
    if (a->first != b->first) return a->first < b->first ? -1 : 1;
    return a->text.len || b->text.len ? slice_order(a->text, b->text) : 0;
}

static bool has_failed(const SortValue *v)
{
    return v->first >> 56 == FAILED;
}

int sort_order(const SortProgram *p, size_t i, const SortValue *a, const SortValue *b)
{
    const SortCriterion *c = &p->criteria[i];
    int order = collate(a, b);
    bool inverts = p->comparator.descending && sort_has_text(c->key);
    if (inverts && !has_failed(a) && !has_failed(b)) order = -order;
    return c->reverse ? -order : order;
}
