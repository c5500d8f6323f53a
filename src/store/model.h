#pragma once
/* The inside of the mail model, for the files of this room only.
 *
 * The way of a change: a fiber at the account's home takes a Change (change_begin;
 * change_begin_alone for those that look before they write), assigns eids and uids from the `next`
 * counters, appends operations to its record, and parks in change_commit. When the engine says that
 * the record is durable, apply_record (apply.c) puts it into memory: there and nowhere else does
 * visible state change, in live commits and in replay alike. Pages touched become dirty; fold.c
 * hands them to the engine, which keeps the rest.
 *
 * Everything of an account belongs to its home loop. Between change_begin and change_commit nobody
 * waits. Reading pages from the engine does not park: it is a memory-mapped index. */
#include "base/table.h"
#include "store/page.h"
#include "store/record.h"

#include <stdatomic.h>

typedef struct Box Box;
typedef struct Home Home;

/* ---- derived pages kept in memory while they are dirty, and for a while after ---- */
enum { PAGE_DIRTY = 1, PAGE_FOLDING = 2 }; /* changed since gather; in a batch not yet durable */

/* 64 uids; the messages that exist, densely, in order of uid. */
typedef struct {
    Message *messages;
    uint64_t max_modseq;
    uint32_t number; /* uid / 64 */
    uint32_t before; /* messages in the pages before; right below Box.before_valid */
    uint8_t count, room, unseen, deleted;
    uint8_t state; /* PAGE_DIRTY, PAGE_FOLDING */
} SlotPage;

typedef struct {
    uint32_t number, count, room;
    uint8_t state;
    Vanished *list;
} VanishedPage;

/* What expunged messages are kept in until they are purged (deletion.c): a mailbox of an unlisted
 * role, whose name no client can write. Its messages do not count for the quota. */
#define ROLE_KEPT ((Role)200)
#define KEPT_NAME S("\1kept")

struct Box {
    Account *account;
    BoxState s;          /* as it is visible; name: name_keep, acl: malloc */
    uint32_t next_uid;   /* >= s.uid_next: what is handed out to records in flight */
    uint8_t state;       /* PAGE_DIRTY: the box record */
    uint8_t slots_state; /* some slot page is dirty, folding */
    bool loaded;         /* all slot pages are in memory; else only those touched */
    bool gone;           /* deleted; kept while handles are open */
    bool was_wrong;      /* counters were not what the slots said when they were loaded */
    uint32_t handles;
    int64_t idle_since; /* without handles */
    Link opened;        /* Mailbox.of_box */
    SlotPage *pages;    /* by number; may contain empty ones */
    uint32_t page_count, page_room;
    uint32_t before_valid; /* pages[0 .. before_valid) know `before` */
    uint64_t *kwsets;      /* bit set of combinations that occur (or did since loading) */
    uint32_t kwset_words;
    uint32_t kwset_news;    /* counts the new ones */
    VanishedPage *vanished; /* those touched; the last is the one that fills up */
    uint32_t vanished_count;
    uint8_t vanished_state; /* some of them is dirty, folding */
    Link views;
};

typedef struct {
    Link link;       /* in Account.email_pages, least recently used first */
    uint32_t number; /* eid / 32 */
    uint8_t state;
    Email emails[EMAILS];
} EmailPage;

typedef struct {
    uint32_t number; /* eid / 4096 */
    uint8_t state;
    uint64_t blocked_by; /* view floor at which the last look found nothing to do */
    Dead d;
} DeadPage;

typedef struct {
    uint32_t number;
    uint8_t state;
    ThreadHash *hashes;
    uint32_t count, room;
} ThreadPage;

typedef struct { /* a summary that is not in a durable page yet */
    uint32_t eid;
    uint8_t state;
    uint32_t len;
    char at[];
} NewSummary;

typedef struct { /* an object changed and not durable yet; by object_key */
    uint8_t state;
    bool present;
    uint64_t seq;
    Slice value; /* malloc */
} NewObject;

typedef struct { /* uids that another user has seen */
    uint32_t mailbox, who;
    uint8_t state;
    Arena arena;
    UidSet seen;
} SeenPage;

typedef struct {   /* a combination of keywords; kwset numbers are index + 1 */
    Slice text;    /* "$Forwarded Work", malloc */
    uint16_t *ids; /* ascending, index + 1 into Account.keywords; malloc */
    uint32_t count;
} KwSet;

typedef struct { /* a blob this account no longer needs; told to the engine at the next gather */
    uint32_t eid;
    BlobRef ref;
    bool shared;
} Drop;

typedef struct {
    Slice *texts;                  /* malloc */
    uint32_t count, visible, room; /* visible: defined by applied records; others are in flight */
    uint8_t state;
} TextTable;

struct Account {
    Store *store;
    Home *home;
    uint32_t number;
    uint32_t refs, sessions;
    int64_t idle_since;
    int64_t emails_used; /* when an email page was asked for last */
    Link link;           /* in Home.accounts, least recently used first */
    Link dirty;          /* in Home.dirty */
    Link folding;        /* in Home.folding */
    uint8_t state;
    Err broken; /* a damaged page was met while applying: takes nothing more until loaded again */

    Head h;            /* visible; login is malloc */
    uint32_t time;     /* of the record applied last */
    uint64_t next_seq; /* of the next record */
    uint32_t next_eid, next_mailbox, next_uid_validity;
    uint32_t in_flight; /* records handed to the engine */
    bool failing;       /* one failed: wait until none is in flight, then hand out numbers anew */
    bool alone;         /* somebody has change_begin_alone */
    bool closing;       /* it is being removed: takes nothing but change_begin_last */
    bool in_pieces;     /* a fiber applies those that wait, and rests in the middle of one */
    bool held;          /* a gather is at it: nothing is applied */
    struct Change *waiting, *waiting_last; /* durable, to be applied in this order */
    Cond quiet;                            /* one of these changed */
    uint32_t gathering; /* Drafts: emails that are in no mailbox yet are waited for */
    uint64_t pending[QUOTA_RESOURCES]; /* reserved by records in flight */
    uint32_t *dead_boxes;              /* ids of deleted mailboxes whose pages are to be deleted */
    uint32_t dead_box_count, dead_box_room, dead_boxes_telling;

    Box **boxes; /* sorted by name, octets */
    uint32_t box_count, box_room;
    TextTable keywords, prefixes;
    KwSet *kwsets;
    uint32_t kwset_count, kwset_room;
    Table kwset_numbers; /* ids -> number as a pointer */
    Slice *subscribed;   /* sorted; name_keep */
    uint32_t subscribed_count, subscribed_room;
    uint8_t subscribed_state;

    NumberTable email_table; /* number -> EmailPage */
    Link email_pages;
    uint32_t email_page_count;
    NumberTable dead_pages;   /* number -> DeadPage, all there are */
    NumberTable thread_pages; /* number -> ThreadPage */
    NumberTable summaries;    /* eid -> NewSummary */
    Table objects;            /* key -> NewObject */
    NumberTable seen_pages;   /* mailbox << 32 | who -> SeenPage */
    Drop *drops;              /* [0, drops_telling) are in the batch under way */
    uint32_t drop_count, drop_room, drops_telling;

    Link listeners;
    const Fiber *by; /* who made the record that is being applied */
    Link views;      /* View.of_account */
    bool maildrop_locked;
    bool granting; /* grants.c: rights, and the hints about them, are being changed */
    Cond granted;
    void *search; /* of signature.c; freed by search_free when the account is unloaded */
    void (*search_free)(void *search);
};

struct Mailbox {
    Account *account; /* a reference */
    Box *box;
    uint32_t who; /* whose eyes: account->number or another user's */
    Slice login;  /* his; malloc */
    Rights rights;
    Link of_box;     /* Box.opened */
    Message scratch; /* a message with the \Seen of `who` */
    Task closing;    /* on its way home */
};

struct View {
    Link link;       /* in Box.views */
    Link of_account; /* in Account.views */
    Mailbox *mailbox;
    uint64_t synced;  /* modseq up to which changes were reported */
    uint32_t uid_end; /* messages with smaller uids are in the view */
    uint32_t exists;
    Message *gone; /* expunged and not reported yet, by uid */
    uint32_t gone_count, gone_room;
    uint64_t gone_since; /* seq of the first of them; 0: none */
    bool takes_recent, recent_changed, news;
    UidSet recent_uids;
    Arena recent_arena;
    uint32_t recent;
    uint64_t *own; /* modseqs of our own changes since synced */
    uint32_t own_count, own_room;
    UidSet overlaid; /* changed again before the earlier change, another's, was reported */
    Arena overlaid_arena;
    Fiber *fiber;
};

/* Decoded summaries of one y page, in Home's cache. */
typedef struct {
    Link link;
    uint64_t key; /* account << 32 | number */
    Summaries summaries;
    Buf text;
} SummaryPage;

/* What one loop holds. */
struct Home {
    Store *store;
    Loop *loop;
    NumberTable table; /* number -> Account */
    Link accounts;     /* of those without references: least recently used first */
    uint32_t account_count;
    Link dirty, folding;
    NumberTable summary_table;
    Link summary_pages; /* least recently used first */
    Link evicted;       /* pages that somebody may still look at until he waits */
    Task bury;
    bool burying;
    Cond buried;
    uint64_t summary_octets;
    int64_t summary_used; /* when one was asked for last */
    bool freed_much;      /* worth a look at what malloc keeps */
    SummaryCodec *codec;
    Fiber *keeper;
    Slice swept;         /* malloc: the login up to which kept_sweep has come */
    int64_t sweep_at_ms; /* when it goes on */
    bool keeper_runs, stopping, gathering;
    Cond keeper_ended;
    Buf page; /* scratch for encoding */
};

struct Store {
    Slice dir; /* malloc; signature.c keeps files below it */
    StoreOptions options;
    Engine *engine;
    bool is_open; /* engine_open has returned */
    bool is_broken;
    Home *homes; /* one per loop */
    unsigned home_count;
    Mutex names_lock; /* guards names: login -> account number, a cache */
    Table names;
    Link arrivals; /* directory.c; at the home of account 0, like the next two */
    Cond arrived;
    uint32_t next_account;           /* all numbers from here on are free; 0: not known yet */
    atomic_size_t signature_pending; /* signature.c: octets of all accounts */
    atomic_uint signature_orphans;   /* searches that outlived their accounts */
    atomic_uint learners;            /* fibers of learn.c ... */
    atomic_bool closing;             /* ... which end now */
};

/* ---- account.c ---- */
Home *home_here(Store *store); /* of this loop */
/* Loads it if it is not in memory; no reference is taken. Home loop, does not park. An account that
 * was never written to has seq 0. */
Err account_load(Store *store, uint32_t number, Account **account) MUST_USE;
Err account_replay(Account *a) MUST_USE; /* applies what the engine's tail has beyond it */
void account_ref(Account *a);            /* account_close gives it back */
void account_unload(Account *a);         /* clean, no references */
void account_touch(Account *a);          /* it has something to fold */
bool account_is_clean(const Account *a);
void home_done(Home *home);
bool home_trim(Home *home);       /* unloads idle accounts; false: there are more */
PARKS void home_slim(Home *home); /* all of them, and what those in use can read again */
Err engine_page(Account *a, const PageKey *key, Arena *arena, Reader *in) MUST_USE; /* get, check */

/* ---- commit.c ---- */
typedef struct Change {
    Commit commit;
    struct Change *next; /* Account.waiting */
    Account *account;    /* a reference */
    Buf record;
    Cond done;
    uint64_t reserved[QUOTA_RESOURCES]; /* of the quota */
    const Fiber *by;
    uint32_t told_keywords, told_prefixes; /* up to which this record defines them */
    uint64_t touches;                      /* messages */
    bool alone, sent, finished;
} Change;
/* Waits until records may be made; then nobody must wait until change_send. `alone` also waits
 * until nothing of this account is in flight, and keeps others out until change_done. */
PARKS Err change_begin(Account *a, Change *c) MUST_USE;
PARKS Err change_begin_alone(Account *a, Change *c) MUST_USE;
PARKS Err change_begin_last(Account *a, Change *c) MUST_USE; /* alone, of one that is closing */
void change_op(Change *c, const Op *op, const OpLists *lists);
/* Takes that much of the quota, for as long as the record is in flight. ERR_OVER_QUOTA. */
Err change_reserve_one(Change *c, QuotaResource resource, uint64_t amount) MUST_USE;
Err change_reserve(Change *c, uint64_t octets, uint64_t messages) MUST_USE;
/* Hands the record over; change_wait parks until it is durable and applied. change_commit: both. */
void change_send(Change *c);
PARKS Err change_wait(Change *c) MUST_USE;
PARKS Err change_commit(Change *c) MUST_USE;
uint64_t change_seq(const Change *c); /* of the record, once sent */
void change_done(Change *c); /* always, in the end, when nothing of it is in flight; accepts {0} */
#define change_scoped __attribute__((cleanup(change_done)))

/* ---- apply.c ---- */
/* `body`: where this record's own body is. An error means damage: the account is unusable. */
Err apply_record(Account *a, uint64_t seq, Slice record, BlobRef body) MUST_USE;
/* The same, resting in between: what is seen then holds together, but is not all there, and h.seq
 * is still the one before. */
PARKS Err apply_in_pieces(Account *a, uint64_t seq, Slice record, BlobRef body) MUST_USE;
/* How many things may be done without a rest, where `most` would be right; in the simulated world
 * hardly any, so that what happens in between is played. */
static inline uint32_t piece_of(uint32_t most)
{
    return run_is_simulated() ? 2 : most;
}
Err apply_relocation(Account *a, uint32_t eid, uint64_t old_at, BlobRef now) MUST_USE;

/* ---- box.c: the slots of a mailbox ---- */
Box *box_by_name(const Account *a, Slice name); /* NULL */
Box *box_by_id(Account *a, uint32_t id);
Err box_load(Box *b) MUST_USE; /* all slot pages */
/* The same, a few at a time. Somebody has a handle. */
PARKS Err box_load_calmly(Box *b) MUST_USE;
void box_unload(Box *b); /* gives the slots back; clean, no handles */
void box_free(Box *b);
Err box_page(Box *b, uint32_t number, bool make, SlotPage **page) MUST_USE; /* NULL: none */
Message *box_message(Box *b, uint32_t uid);
Message *box_next(Box *b, uint32_t uid);
Message *box_next_changed(Box *b, uint32_t uid, uint64_t modseq);
Message *box_next_unseen(Box *b, uint32_t uid);
Message *box_next_deleted(Box *b, uint32_t uid);     /* marked \Deleted */
uint32_t box_rank(Box *b, uint32_t uid);             /* how many have smaller uids */
Message *box_nth(Box *b, uint32_t index);            /* from 0 */
uint32_t box_position(const Account *a, Slice name); /* in Account.boxes */
/* In b->pages: the first page whose number is not smaller. */
uint32_t box_page_place(const Box *b, uint32_t number);
/* These change visible state: apply.c only. They keep the counters. */
Err box_insert(Box *b, const Message *m) MUST_USE;
size_t box_take(Box *b, UidRange range, Message *out); /* out has room for s.exists */
void box_flag(Box *b, Message *m, uint8_t flags, uint16_t kwset, uint64_t modseq);
void box_file(Account *a, Box *b); /* into Account.boxes */
void box_unfile(Account *a, Box *b);
void box_note_kwset(Box *b, uint16_t kwset);

/* ---- vanished.c ---- */
Err vanished_add(Box *b, uint64_t seq, const Message *gone, size_t count) MUST_USE;
Err vanished_forget(Box *b) MUST_USE; /* after a change: the oldest, when there are too many */
/* Tombstones of changes after `modseq`, in no order; those before vanished_floor are missing. In
 * the arena. */
Err vanished_after(Box *b, uint64_t modseq, Arena *a, Vanished **list, size_t *count) MUST_USE;
void vanished_trim(Box *b, bool all); /* clean pages; all: dirty ones too */

/* ---- email.c, summary.c ---- */
/* The entry, loading its page; borrowed until the next wait. ERR_EXPUNGED: no such email. */
Err email_entry(Account *a, uint32_t eid, Email **email) MUST_USE;
Err email_page(Account *a, uint32_t number, EmailPage **page) MUST_USE; /* empty if missing */
void email_dirty(Account *a, EmailPage *p);
uint64_t email_size(const Email *e);
/* Where the octets of an email are, for reading them on another thread. Home loop; they are not
 * freed until email_unpin. */
typedef struct {
    Engine *engine;
    BlobRef ref;
    Slice prefix;
    uint64_t size;
    uint32_t prefix_len, header_len;
} EmailOctets;
Err email_pin(Account *a, uint32_t eid, EmailOctets *o) MUST_USE;
/* Any range, within size. Any thread; on a fiber it may park. */
PARKS Err email_octets_read(const EmailOctets *o, uint64_t offset, void *out, size_t len) MUST_USE;
void email_unpin(const EmailOctets *o);
void email_pages_trim(Account *a, uint32_t keep); /* clean ones, least recently used first */
Err summary_page_read(Account *a, uint32_t number, SummaryPage *page) MUST_USE; /* past the cache */
void summary_cache_forget(Home *home, uint32_t acct, uint32_t number);
PARKS void summary_cache_rest(Home *home); /* gives back what has not been used for seconds */
PARKS void summary_cache_done(Home *home);

/* ---- dead.c: emails in no mailbox, until their blob is dropped ---- */
Err dead_pages_load(Account *a) MUST_USE;
void dead_mark(Account *a, uint32_t eid, uint32_t time);
void dead_clear(Account *a, uint32_t eid);
/* Removes those that nobody needs any more; their blobs join Account.drops. */
PARKS void dead_purge(Account *a);
void dead_pages_trim(Account *a); /* empty clean ones */
bool dead_is_due(Account *a);     /* there is something for dead_purge */

/* ---- keyword.c ---- */
Slice kwset_text(const Account *a, uint16_t kwset);
bool kwset_has(const Account *a, uint16_t kwset, uint32_t id);
uint16_t kwset_change(Account *a, uint16_t old, OpNumbers add, OpNumbers remove, bool replace);
void kwsets_encode(Buf *out, const Account *a);
Err kwsets_load(Account *a) MUST_USE;
void kwsets_done(Account *a);
Err texts_load(Account *a, char kind, TextTable *t) MUST_USE;
void text_table_add(TextTable *t, Slice text);
void text_table_cut(TextTable *t, uint32_t count);
void text_table_define(TextTable *t, uint32_t id, Slice text);
uint32_t text_table_find(const TextTable *t, Slice text, bool nocase); /* id; 0: none */
void text_table_done(TextTable *t);

/* ---- thread.c ---- */
Err thread_join(Account *a, uint32_t eid, const uint32_t *hashes, size_t count,
                uint32_t *thread) MUST_USE;
void thread_pages_trim(Account *a, size_t keep); /* all clean ones, if there are more */
void thread_pages_free(Account *a);

/* ---- role.c ---- */
Err change_uses(Change *c, Box *b, Role uses) MUST_USE; /* others lose them */

/* ---- names.c ---- */
uint32_t change_create(Change *c, Slice name, Role role); /* returns the id */
/* May this mailbox have it? ERR_EXISTS, ERR_FORBIDDEN. */
Err role_fits(Account *a, Role role, const Box *except) MUST_USE;
/* A copy; name_free. */
Slice name_keep(Slice name);
void name_free(Slice name);
/* Checks the name and who may, makes missing parents too. c is alone. */
PARKS Err change_create_new(Change *c, uint32_t who, Slice name, Role role, Arena *arena) MUST_USE;
bool subscribed_has(const Account *a, Slice name);
void subscribed_set(Account *a, Slice name, bool on);
/* As names are kept: checked, NFC, INBOX in capitals. ERR_SYNTAX. */
Err name_normal(Arena *arena, Slice name, Slice *out) MUST_USE;

/* ---- quota.c ---- */
const char *quota_word(QuotaResource resource);

/* ---- annotation.c ---- */
enum { ANNOTATION_ID_NUMBERS = 8 };
typedef struct {
    char at[ANNOTATION_ID_NUMBERS + ANNOTATION_NAME_MOST];
    size_t len;
} AnnotationId;
AnnotationId annotation_id(uint32_t mailbox, uint32_t who, Slice entry);
static inline Slice id_slice(const AnnotationId *id)
{
    return slice(id->at, id->len);
}
size_t annotations_most(const Account *a);
Err annotations_check(const Account *a, const Annotations *set) MUST_USE; /* names, values */
bool annotation_collection(Slice collection); /* does it count as annotations? */
uint64_t annotation_octets(Slice id, uint64_t value);
uint32_t annotation_who(const Annotation *one, uint32_t asks); /* of a private one */
/* An id of the collection "annotation". */
bool annotation_id_parse(Slice id, uint32_t *mailbox, uint32_t *who, Slice *entry);
PARKS Err annotations_delete(Change *c, uint32_t mailbox) MUST_USE; /* everybody's */
PARKS Err annotations_copy(Change *c, uint32_t from, uint32_t to) MUST_USE;
PARKS Err annotations_count(Account *a, uint64_t *octets) MUST_USE; /* again; does not wait */

/* ---- note.c ---- */
/* Annotations of a message on its way into a record: prepare checks and reserves. */
Err notes_prepare(const Mailbox *box, const Annotations *set, Change *c) MUST_USE;
void notes_op(const Mailbox *box, const UidSet *uids, const Annotations *set, Change *c);
uint64_t notes_octets(Account *a, uint32_t mailbox, const Message *m);
/* For apply.c. They set m->marks. */
void notes_apply(Account *a, uint64_t seq, uint32_t mailbox, Message *m, Slice changes);
typedef struct {
    uint32_t from, to, who;
    bool shared; /* those too */
} NotesCopy;
void notes_apply_copy(Account *a, uint64_t seq, const NotesCopy *how, const Message *source,
                      Message *copy);
void notes_drop(Account *a, uint64_t seq, uint32_t mailbox, const Message *m);

/* ---- object.c ---- */
/* How long its value is. ERR_NOT_FOUND, ERR_CORRUPT. */
Err object_length(Account *a, Slice collection, Slice id, uint64_t *len) MUST_USE;
/* For apply.c; value NULL: it goes. */
void object_apply(Account *a, uint64_t seq, Slice collection, Slice id, const Slice *value);
/* Does not park. seq may be NULL. */
Err object_find(Account *a, Slice collection, Slice id, Arena *arena, Slice *value,
                uint64_t *seq) MUST_USE;
void object_fold(PageBatch *batch, Account *a, Slice key, const NewObject *o, Buf *scratch);

/* ---- seen.c: what other users have seen ---- */
Err seen_page(Account *a, uint32_t mailbox, uint32_t who, SeenPage **page) MUST_USE;
Err seen_change(Account *a, uint32_t mailbox, uint32_t who, UidRange range, bool seen) MUST_USE;
void seen_pages_trim(Account *a, bool all);

/* ---- acl.c ---- */
/* What this login may do there. */
Rights box_rights(const Box *b, Slice login);
/* As mailbox_need, for a mailbox that may not exist at all (NULL). */
Err box_need(const Box *b, Slice login, Rights all) MUST_USE;
void box_acl_changed(Box *b); /* handles and views learn of it; apply.c only */
/* The operations by which the mailbox `id` inherits from the nearest parent of `name`. */
void acl_inherit(Change *c, uint32_t id, Slice name);
Box *box_parent(Account *a, Slice name); /* the nearest that exists; NULL: none */
bool acl_names(const Box *b, Slice identifier);
PARKS Err acl_change(Mailbox *m, Slice identifier, AclHow how, Rights rights) MUST_USE;

/* ---- grants.c ---- */
/* Alone with what this account grants. Others wait for it, but nothing else does: it is held across
 * waits, while other accounts are told. */
PARKS void grants_begin(Account *a);
void grants_end(Account *a);
/* Identifiers that may no longer have a right in this account: their hints go if so. */
PARKS void grants_prune(Account *a, const Slice *identifiers, size_t count);

/* ---- granted_later.c ---- */
/* The hint for a login without an account. *known: there is one now, and nothing was done.
 * ERR_LIMIT. */
PARKS Err later_tell(Store *store, Slice identifier, uint32_t owner, bool on, bool *known) MUST_USE;
typedef struct {
    uint32_t owner;
    Slice login; /* the owner's */
} GrantedLater;
/* For the directory. Who has granted something to the login that is about to get an account: */
PARKS Err later_find(Account *directory, Slice login, Arena *a, GrantedLater **list,
                     size_t *count) MUST_USE;
void later_found(Change *c, const GrantedLater *list, size_t count); /* into its first record */
void later_done(Change *c, Slice login, const GrantedLater *list, size_t count); /* and out here */
PARKS Err later_forget(Change *c, uint32_t owner) MUST_USE; /* this owner's account goes */

/* ---- mailbox.c ---- */
/* Who that is; the account's own login needs no asking. */
PARKS Err login_of(Account *a, uint32_t who, Arena *arena, Slice *login) MUST_USE;
/* How many of the messages this user has seen; all slots are loaded. */
uint32_t box_seen(Box *b, uint32_t who);
/* For delivery: the account's own eyes, no slots loaded. Only to append to. */
Err mailbox_open_lightly(Account *a, Slice name, Mailbox **box) MUST_USE;
MailboxStatus box_status(const Box *b);
Err mailbox_check(const Mailbox *m) MUST_USE; /* ERR_NOT_FOUND: deleted meanwhile */
/* As the handle's user sees it; may be m->scratch. */
const Message *mailbox_see(Mailbox *m, const Message *message);

/* ---- deletion.c: what an expunge means, kept.c: what it keeps ---- */
static inline bool box_is_kept(const Box *b)
{
    return b->s.role == ROLE_KEPT;
}
/* Adds to the record what becomes of messages that are expunged from b: by the account's Deletion
 * they go, or move to Trash or among those kept. c is alone, b is loaded, all of `doomed` exist.
 * may_trash false: they do not go to Trash (a draft that a newer one replaces). */
PARKS Err change_expunge(Change *c, Box *b, const UidSet *doomed, bool may_trash,
                         Arena *a) MUST_USE;
/* By deleted=trash: to Trash, whatever an expunge means. */
PARKS Err change_trash(Change *c, Box *b, const UidSet *doomed, Arena *a) MUST_USE;
/* The same for all messages of a mailbox that is about to be deleted. */
PARKS Err change_expunge_all(Change *c, Box *b, Arena *a) MUST_USE;
/* The name under which the kept messages of this account are shown now; empty: they are not. */
Slice kept_view_name(Account *a);
bool kept_view_has(Account *a, Slice name); /* the name is that, or would be below it */
/* Drops what has been kept long enough; stops early when the home does. */
PARKS void kept_sweep(Home *home);

/* ---- change.c ---- */
uint8_t rights_flags(Rights rights); /* the flags these rights may change */
/* All email pages that applying will need, so that damage shows before anything is written. */
PARKS Err warm_emails(Box *b, const UidSet *uids) MUST_USE;
Err change_keywords(Change *c, Keywords names, Arena *arena, uint32_t **ids) MUST_USE;
void change_texts(Change *c, OpKind kind, const TextTable *t); /* those not defined yet */

/* ---- carry.c ---- */
/* mailbox_copy, mailbox_move between two accounts; at home of `from`. */
PARKS Err mailbox_carry(Mailbox *from, const UidSet *uids, Mailbox *to, bool move, Arena *a,
                        CopyResult *result) MUST_USE;

/* ---- directory.c ---- */
PARKS Err directory_login(Store *store, uint32_t acct, Arena *a, Slice *login) MUST_USE;
PARKS void directory_finish(Store *store); /* removals that were cut off */
/* While one is held, nobody else makes an account of this login, or grants it what is to wait for
 * its account. Home of account 0. */
typedef struct {
    Link of_store;
    Store *store;
    Slice login;
} Arrival;
PARKS void arrival_begin(Arrival *x, Store *store, Slice login); /* waits for others */
void arrival_end(Arrival *x);                                    /* accepts {0} */
#define arrival_scoped __attribute__((cleanup(arrival_end)))

/* ---- view.c ---- */
void views_expunged(Box *b, const Message *gone, size_t count, uint64_t seq); /* by uid */
/* Before m, by a flag change, gets a new modseq. */
void views_overlaid(Box *b, const Message *m);
void views_nudge(Box *b);
void views_nudge_again(Account *a); /* those that could not be told while a record was in pieces */
/* How many messages of the view have smaller uids. */
uint32_t view_rank(View *v, uint32_t uid);
uint64_t views_floor(Account *a); /* the smallest gone_since; UINT64_MAX: none */

/* ---- fold.c ---- */
EngineHost fold_host(Store *store);
