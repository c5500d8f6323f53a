#pragma once
/* Annotations of messages, RFC 5257: the grammar (annotate_parse.c), what the commands do with it
 * (annotate.c), news of other clients' changes (annotate_news.c). */
#include "imap/fetch.h"

enum { ANNOTATE_ENTRIES_MOST = 100 }; /* of one command */

/* ---- grammar ---- */
/* entry = astring. `wild`: entry-match, with "*" and "%". What RFC 5257 3.2 does not allow is a
 * mistake. */
PARKS Slice annotate_entry(In *in, bool wild);
bool annotate_entry_fits(Slice entry, bool wild);
/* "value.priv" / "value.shared" (`both`: or "value"). */
typedef enum { ANNOTATE_PRIVATE = 1, ANNOTATE_SHARED = 2, ANNOTATE_BOTH = 3 } AnnotateScope;
PARKS AnnotateScope annotate_value_attribute(In *in, bool both);

typedef struct {
    bool size; /* else value */
    AnnotateScope scope;
} AnnotateAttribute;
/* What FETCH ANNOTATION asks for. */
struct AnnotateItem {
    Slice *entries; /* entry-match */
    size_t entry_count;
    AnnotateAttribute *attributes;
    size_t attribute_count;
};
/* "(" entries SP attribs ")" */
PARKS AnnotateItem *annotate_item(In *in);
/* att-annotate behind "ANNOTATION": SP "(" entry-att *(SP entry-att) ")". A value that is too long
 * is no mistake here. */
PARKS Annotations annotate_values(In *in);

/* ---- commands ---- */
/* Every section-part among these entries has to be in every one of the messages (3.2.1): else a
 * mistake. */
PARKS void annotate_check_parts(Imap *s, const UidSet *uids, const Slice *entries, size_t count);
PARKS void annotate_check_item(Imap *s, const UidSet *uids, const AnnotateItem *item);
/* The words of FETCH: false when there is nothing to tell. */
PARKS bool annotate_put(Fetching *f, const AnnotateItem *item);
/* The words of STORE. */
PARKS Err annotate_store(Imap *s, const UidSet *uids, const Annotations *set,
                         const uint64_t *unchanged_since, UidSet *modified,
                         uint64_t *modseq) MUST_USE;
/* The response code that says why annotations were not stored: "[ANNOTATE TOOBIG] "; NULL: err is
 * about something else. */
const char *annotate_refusal(Err err);
/* Would they be refused? Before a message is sent. */
Err annotate_check(Imap *s, const Annotations *set) MUST_USE;
/* SEARCH: does the value of a matching entry contain the casemapped text? */
PARKS bool annotate_matches(Mailbox *box, const Message *m, Slice pattern, AnnotateScope scope,
                            Slice folded, Arena *a);
/* SORT: the value; empty when there is none. */
PARKS Slice annotate_value_of(Mailbox *box, const Message *m, Slice entry, bool shared, Arena *a);
/* "* OK [ANNOTATIONS ...]" of SELECT (4.1). */
void annotate_describe(Imap *s);

/* ---- news ---- */
PARKS void annotate_watch(Imap *s); /* SELECT (ANNOTATE) */
void annotate_forget(Imap *s);      /* the mailbox is closed */
PARKS void annotate_tell_news(Imap *s);
/* The news that wait, to be kept; and those that were kept, after annotate_watch. ERR_SYNTAX. */
void annotate_keep(const Imap *s, Buf *out);
Err annotate_resume(Imap *s, Slice kept) MUST_USE;
