#pragma once
/* SORT, RFC 5256 and RFC 5957: the sort program (sort.c), what it looks at in a message
 * (sort_key.c), putting many in order (sort_run.c).
 *
 * What a message sorts by never changes, and messages alike in all criteria stay in mailbox order:
 * so a message has one place among others, which sort_place finds without sorting again. */
#include "imap/search.h"
#include "mail/mail.h"

typedef enum {
    SORT_ARRIVAL,
    SORT_CC,
    SORT_DATE,
    SORT_FROM,
    SORT_SIZE,
    SORT_SUBJECT,
    SORT_TO,
    SORT_DISPLAYFROM, /* RFC 5957 */
    SORT_DISPLAYTO,
    SORT_RELEVANCY,  /* RFC 6203 6 */
    SORT_ANNOTATION, /* RFC 5257 4.9 */
} SortKey;
typedef struct {
    SortKey key;
    bool reverse;
    bool shared; /* ANNOTATION: value.shared, else value.priv */
    Slice entry;
} SortCriterion;
typedef struct {
    const SortCriterion *criteria;
    size_t count;
    const SearchFound *found; /* RELEVANCY's scores */
    Comparator comparator;    /* the session's when the program was read; contexts keep it */
} SortProgram;
enum { SORT_CRITERIA_MOST = 32 };

/* sort-criteria, in the command's arena; mistakes stick in s->in. */
PARKS void sort_parse(Imap *s, SortProgram *p);

/* These messages of the view in order: *sorted has *count UIDs, to be freed. The program has to
 * outlive it. Costs 12 octets a message, for each criterion 8 and with text 8 more and the text:
 * 1,000,000 messages by SUBJECT 70 MB. ERR_LIMIT: text beyond a gigabyte. ERR_CANCELLED: the client
 * is gone, or we are stopping. */
PARKS Err sort_run(Imap *s, const SortProgram *p, const UidSet *uids, uint32_t **sorted,
                   size_t *count) MUST_USE;

/* For a live result (RFC 5267 4.3): where `uid`, which is in the view, is among `count` UIDs sorted
 * by this program, or where it is to be inserted: 0 to count. Reads O(log count) messages. Those
 * that have lost their summary cannot be compared any more: look for them with sort_find, in
 * memory. */
PARKS Err sort_place(Imap *s, const SortProgram *p, const uint32_t *sorted, size_t count,
                     uint32_t uid, size_t *place) MUST_USE;
size_t sort_find(const uint32_t *sorted, size_t count, uint32_t uid); /* count: not there */

/* Sorted results as a sequence-set: ranges where the numbers rise by one (RFC 5267 3.2). Numbers of
 * messages unless s->by_uid. Nothing when there are none. */
PARKS void sort_put_set(Imap *s, const uint32_t *sorted, size_t count);
/* One range of it, the one that begins at sorted[at], with its comma; where the next one begins.
 * Does not wait. */
size_t sort_put_run(Imap *s, const uint32_t *sorted, size_t count, size_t at);

/* ---- what one message sorts by (sort_key.c) ---- */
/* Numbers and texts as one thing: `first` is the number, or the text's first eight octets; `text`
 * is the whole text, empty for numbers. */
typedef struct {
    uint64_t first;
    Slice text;
} SortValue;
/* One for each criterion; texts in the arena. */
PARKS Err sort_values(Imap *s, const SortProgram *p, const Message *m, Arena *a,
                      SortValue *values) MUST_USE;
int sort_order(const SortProgram *p, size_t criterion, const SortValue *a, const SortValue *b);
bool sort_has_text(SortKey key);
/* The sent date, RFC 5256 2.2. */
int64_t sort_sent_date(const Message *m, const MailSummary *summary);
/* The base subject as the comparator sees it; text that is in no charset we know begins with 0xff,
 * so that it comes behind all others (RFC 5255 4.6). In the arena. */
Slice sort_base_subject(Comparator c, const MailSummary *summary, Arena *a, bool *is_reply);
