#pragma once
/* import and export: mail between the store and files. Files are read and written by the command
 * line, with the rights of who calls it; the house only takes and gives messages, over the control
 * socket. A message travels as several data frames:
 *
 *     'M' meta (below) | 'B' octets ... | 'E'
 *
 * and a mailbox as 'F' (import: and its name; export: and a meta), for those without messages.
 *
 * Between two of them 'F' with the name of a mailbox (import), or with its name and uidvalidity
 * (export), says that it exists, even without a message.
 *
 * Import can be stopped at any moment and started again: the house remembers of each source a mark
 * (64 bits of a hash) for every message it has committed, and tells them before the data begin ('R'
 * frames: marks, u64 each; then 'S'). So a second import brings what is new, wherever it stands. */
#include "house/verbs.h"

enum { TRANSFER_PIECE = 64 * 1024 };

typedef struct {
    Slice mailbox;         /* UTF-8 */
    Slice keywords;        /* separated by ' ' */
    Slice key;             /* which message of its mailbox this is, also when others come and go */
    int64_t date;          /* INTERNALDATE, Unix seconds */
    uint64_t size;         /* octets that follow; as told, not binding */
    uint32_t uid;          /* 0: none */
    uint32_t uid_validity; /* of the source mailbox; 0: none */
    uint32_t uid_next;     /* the same */
    uint8_t flags;         /* Flag */
    Slice pop3_uidl, file; /* the unique-id it had, its file's base name (pop3/uidl.h); or empty */
} TransferMeta;
void transfer_meta_encode(Buf *out, const TransferMeta *m);
Err transfer_meta_decode(Slice frame, TransferMeta *m) MUST_USE; /* borrows */
uint64_t transfer_mark(Slice mailbox, Slice key);

/* What an account has besides messages, as restore brings it: 'T' frames. WHOLE or FOLDER comes
 * first; the rest of a mailbox behind its messages; NOTE and SEEN between 'M' and 'B'. */
typedef enum {
    THING_NONE,
    THING_WHOLE,      /* all of an account follows. number: ThingHow; value: Quota, as 8 u64 */
    THING_FOLDER,     /* only this mailbox. number: ThingHow */
    THING_LIMITS,     /* the end of all; as WHOLE */
    THING_SUBSCRIBED, /* mailbox */
    THING_PREF,       /* name, value: an object */
    THING_ROLE,       /* mailbox, number: Role */
    THING_RIGHTS,     /* mailbox, value: { bytes identifier, u32 its account or 0, u32 rights } ...
                         It is the last of a mailbox that exists */
    THING_ANNOTATION, /* mailbox (empty: the server), name: entry, value; login empty: shared */
    THING_NOTE,       /* the same of the message that has begun */
    THING_SEEN,       /* login has seen it */
    THING_END
} ThingKind;
typedef enum {
    THING_REPLACE = 1, /* over what is there */
    THING_LIMITED = 2  /* the account has limits of its own */
} ThingHow;
typedef struct {
    ThingKind kind;
    Slice mailbox, name, value;
    Slice login;   /* whose */
    uint32_t acct; /* his number then */
    uint32_t number;
} Thing;
void thing_encode(Buf *out, const Thing *t);
Err thing_decode(Slice frame, Thing *t) MUST_USE; /* borrows */
void thing_put_quota(Buf *value, const Quota *q);
Err thing_quota(Slice value, Quota *q) MUST_USE;
void thing_put_right(Buf *value, Slice identifier, uint32_t acct, Rights rights);
/* *more false: that was all. */
Err thing_right(Reader *in, Slice *identifier, uint32_t *acct, Rights *rights, bool *more) MUST_USE;

/* Where messages go to: the account's mailbox of that name, made and subscribed if it is not there
 * yet. At home. */
PARKS Err transfer_mailbox(Account *account, uint32_t acct, Slice name, Mailbox **box) MUST_USE;

/* Messages of an account, as data frames. Any loop; not for the talk of another loop. */
typedef struct {
    Store *store;
    uint32_t acct;
    Slice only;        /* a mailbox; empty: all */
    uint32_t uid, eid; /* only messages with these; 0: any */
    bool notes;        /* with what belongs to messages: annotations, who else has seen them */
    bool things;       /* and what else the account has, or that mailbox */
    bool replace;      /* what is there is to become what it was */
} ExportWhat;
/* *done: messages, also when it fails. ERR_NOT_FOUND: no such mailbox. */
PARKS Err export_run(Talk *t, const ExportWhat *what, uint64_t *done) MUST_USE;

/* export_things.c, for export_run: what goes beside messages. */
typedef struct {
    uint32_t who;
    Slice login;
    Mailbox *box; /* as he sees it */
} Beholder;
typedef struct {
    Talk *talk;
    const ExportWhat *what;
    Arena arena;        /* of the whole */
    Slice *logins;      /* all there were */
    uint32_t *accts;    /* their numbers */
    size_t login_count; /* both by order of login */
    Beholder *beholders;
    size_t beholder_count; /* of the mailbox that is entered */
    Arena beholder_arena;
} Things;
PARKS Err things_begin(Things *t, Account *account) MUST_USE;
PARKS Err things_enter(Things *t, Mailbox *box) MUST_USE; /* its messages follow */
PARKS Err things_of_message(Things *t, Mailbox *box, const Message *m) MUST_USE;
PARKS Err things_leave(Things *t, Mailbox *box) MUST_USE; /* they are out */
PARKS Err things_end(Things *t, Account *account) MUST_USE;
void things_done(Things *t);

/* ---- names of mailboxes in the file system; a level that comes to nothing is left out ---- */
Slice name_below(Arena *a, Slice above, Slice raw);
Slice name_from_dotted(Arena *a, Slice raw); /* "Work.2025" is Work/2025 */
void name_to_dotted(Buf *out, Slice mailbox);
void name_to_path(Buf *out, Slice mailbox); /* "Work/2025" */

/* ---- sources: what the command line reads ---- */
typedef struct {
    TransferMeta meta;
    Slice path;
    uint64_t order;       /* of import within the mailbox */
    uint64_t offset, len; /* of the message in the file; len UINT64_MAX: to its end */
    bool mbox; /* one '>' goes from lines that begin with ">From ", ">>From " ...; Status, X-Status,
                  X-Keywords, X-UID and the like are not part of the message */
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
Err source_read_maildir(
    Source *s, Slice path) MUST_USE; /* Maildir++ (.a.b) or nested (a/b); dovecot-uidlist,
                                        dovecot-keywords, courierimapuiddb, courierpop3dsizelist */
/* One file: INBOX; a directory: a mailbox for each file, those of directories below (also
 * Thunderbird's X.sbd) are its children. */
Err source_read_mbox(Source *s, Slice path) MUST_USE;
Err source_read_eml(Source *s,
                    Slice path) MUST_USE; /* one file, or a tree: directories become mailboxes */
bool mbox_is_status_header(Slice name);   /* one that source_read_mbox has read */
bool mbox_is_status_line(Slice line);     /* a field of that name begins */
Err source_read(Source *s, Format format, Slice path) MUST_USE; /* any; sorted */
Err source_octets(const SourceItem *item, Buf *out) MUST_USE;   /* the message */
void source_done(Source *s);

/* ---- sinks: what the command line writes ---- */
typedef struct Sink Sink;
struct Sink {
    Slice path;
    Err (*folder)(Sink *s, const TransferMeta *m); /* a mailbox begins; NULL: of no interest */
    Err (*begin)(Sink *s, const TransferMeta *m);
    Err (*octets)(Sink *s, Slice octets); /* wire form */
    Err (*end)(Sink *s);
    Err (*finish)(Sink *s); /* after the last message */
    Arena arena;
    void *state;
};
void sink_maildir(Sink *s, Slice path);
void sink_mbox(Sink *s, Slice path);
