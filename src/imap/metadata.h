#pragma once
/* Annotations of mailboxes and of the server, RFC 5464; LIST RETURN (METADATA ...), RFC 9590. */
#include "imap/session.h"

enum { METADATA_ENTRIES_MOST = 100 }; /* of one command */

/* An entry as a client names it: "/private/comment" is entry "/comment" and not shared. */
typedef struct {
    Slice called; /* as it was sent */
    Slice entry;  /* in lower case, in the command's arena */
    bool shared;
} MetadataEntry;
typedef struct {
    MetadataEntry *list; /* METADATA_ENTRIES_MOST of them, once there is one */
    size_t count;
} MetadataEntries;

/* entry = astring; `prefix`: it may also be one under which entries are looked for. A name that RFC
 * 5464 3.2 does not allow is a mistake. */
PARKS void metadata_entry(In *in, bool prefix, MetadataEntry *out);
/* entries = entry / "(" entry *(SP entry) ")" */
PARKS void metadata_entries(In *in, bool prefix, MetadataEntries *out);
/* The words of metadata_entry on text that has been read: false when it is no entry name. */
bool metadata_entry_parse(Arena *a, Slice text, bool prefix, MetadataEntry *out);

/* What is asked for of one mailbox, or the server. */
typedef struct {
    const MetadataEntries *entries;
    unsigned depth;    /* levels below each entry; UINT_MAX: all */
    uint64_t max_size; /* longer values are not told */
    uint64_t longest;  /* out: of those; 0: none */
} MetadataAsk;
/* "* METADATA name (entry value ...)": `has` are those that exist. An entry asked for by its name
 * alone that does not exist is NIL. */
void metadata_tell(Imap *s, Slice name, MetadataAsk *ask, const Annotations *has);
/* Of a mailbox as LIST wants it; what cannot be read is left out (RFC 9590 3). */
PARKS void metadata_tell_listed(Imap *s, Slice name, const MailboxStatus *status,
                                const MetadataEntries *entries);
