#pragma once
/* import and export: mail between the store and files. Files are read and written by the command
 * line, with the rights of who calls it; the house only takes and gives messages, over the control
 * socket. A message travels as several data frames:
 *
 *     'M' meta (below) | 'B' octets ... | 'E'
 *
 * and between two of them 'F' with the name of a mailbox has it made, for those without a message.
 *
 * Import can be stopped at any moment and started again: the house remembers, per source and
 * mailbox, the key of the last message it has committed, and tells it before the data begin ('R'
 * frames: mailbox, key; then 'S'). */
#include "house/verbs.h"

enum { TRANSFER_PIECE = 64 * 1024 };

typedef struct {
    Slice mailbox;         /* UTF-8 */
    Slice keywords;        /* separated by ' ' */
    Slice key;             /* sorts like the order of import within its mailbox */
    int64_t date;          /* INTERNALDATE, Unix seconds */
    uint64_t size;         /* octets that follow; as told, not binding */
    uint32_t uid;          /* 0: none */
    uint32_t uid_validity; /* of the source mailbox; 0: none */
    uint8_t flags;         /* Flag */
} TransferMeta;
void transfer_meta_encode(Buf *out, const TransferMeta *m);
Err transfer_meta_decode(Slice frame, TransferMeta *m) MUST_USE; /* borrows */

/* ---- sources: what the command line reads ---- */
typedef struct {
    TransferMeta meta;
    Slice path;
    uint64_t offset, len; /* of the message in the file; len UINT64_MAX: to its end */
    bool from_quoted; /* mboxrd: one '>' goes from lines that begin with ">From ", ">>From " ... */
    bool status_headers; /* mbox: Status, X-Status, X-Keywords, X-UID and the like are not part of
                            the message */
} SourceItem;
typedef struct {
    Arena arena;
    SourceItem *items;
    size_t count, room;
    Slice *subscriptions;
    size_t subscription_count;
    Slice *folders; /* mailboxes that are to be there though no message may be in them */
    size_t folder_count, folder_room;
} Source;
SourceItem *source_add(Source *s);
void source_add_folder(Source *s, Slice mailbox); /* in the source's arena */
typedef enum { FORMAT_UNKNOWN, FORMAT_MAILDIR, FORMAT_MBOX, FORMAT_EML } Format;
Err source_read_maildir(Source *s, Slice path)
    MUST_USE; /* Maildir++ (.a.b) or nested (a/b); dovecot-uidlist, dovecot-keywords */
Err source_read_mbox(
    Source *s, Slice path) MUST_USE; /* one file: INBOX; a directory: a mailbox for each file */
Err source_read_eml(Source *s, Slice path) MUST_USE; /* directories below become mailboxes */
bool mbox_is_status_header(Slice name);              /* one that source_read_mbox has read */
void source_done(Source *s);

/* ---- sinks: what the command line writes ---- */
typedef struct Sink Sink;
struct Sink {
    Slice path;
    Err (*begin)(Sink *s, const TransferMeta *m);
    Err (*octets)(Sink *s, Slice octets); /* wire form */
    Err (*end)(Sink *s);
    Err (*finish)(Sink *s); /* after the last message */
    Arena arena;
    void *state;
};
void sink_maildir(Sink *s, Slice path);
void sink_mbox(Sink *s, Slice path);
