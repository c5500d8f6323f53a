#pragma once
/* store: accounts, mailboxes, messages - what every protocol talks about, over a storage engine
 * (store/engine.h).
 *
 * Vocabulary: an Account is at home on one loop; only fibers of that loop touch it, its Mailboxes
 * and Views, and share it without locks. A Mailbox is a handle that carries the rights it was
 * opened with; no call takes a name. A View is what one session sees of a mailbox: message numbers
 * that change only when the session says so. An email (eid, EMAILID) is a message's content, linked
 * into one or more mailboxes under a uid. seq is the account's only clock: the modseq of a message
 * is the seq of its last change. Every call that changes something returns when the change is
 * durable, and shows it to others only then. Begin reading with store_open, mailbox_open,
 * view_open, draft_begin. The log and page formats are drawn in record.h, page.h. */
#include "mail/mail.h"
#include "run/run.h"
#include "store/engine.h"
#include "store/uidset.h"

typedef struct Store Store;
typedef struct Account Account;
typedef struct Mailbox Mailbox;
typedef struct View View;
typedef struct Draft Draft;

/* ---- the store ---- */
typedef struct {
    EngineOptions engine;
    uint64_t quota_octets; /* of accounts without limits of their own; 0: none */
    uint64_t quota_messages, quota_mailboxes, quota_annotation_octets;
    uint64_t annotation_most;  /* octets of a value, at most 64 KiB; 0: that */
    uint32_t annotations_most; /* of one user on one mailbox, on one message; 0: 100 */
    uint64_t message_most;     /* octets; 0: 100 MiB */
    uint32_t undelete_days;    /* expunged mail is kept so long; 0: not at all */
    bool expunge_to_trash;     /* these three: of accounts without a Deletion of their own */
    bool deleted_to_trash;
    Slice deleted_view; /* the mailbox that shows what is kept; empty: none. Outlives the store */
    uint64_t cache_octets; /* decoded summary pages per loop; 0: 64 MiB */
    /* The disk has failed: the store takes no changes any more, only another process that opens it
     * again, and so reads it all again, may go on. Once, on loop 0; must not park. May be NULL. */
    void (*broken)(void *arg);
    void *broken_arg;
} StoreOptions;
PARKS Err store_open(Slice dir, const StoreOptions *options, Store **store) MUST_USE;
PARKS void store_close(Store *store);
Engine *store_engine(Store *store);
const StoreOptions *store_options(const Store *store);
Loop *store_home(const Store *store, uint32_t acct); /* where this account lives */

/* The directory of login names (already normalised: lower case, SASLprep). Any loop. */
PARKS Err store_find_account(Store *store, Slice login,
                             uint32_t *acct) MUST_USE; /* ERR_NOT_FOUND */
/* Creates INBOX and the special-use mailboxes Drafts, Sent, Trash, Junk, Archive, subscribed.
 * ERR_EXISTS. */
PARKS Err store_create_account(Store *store, Slice login, uint32_t *acct) MUST_USE;
PARKS Err store_remove_account(Store *store, Slice login) MUST_USE;
/* Login names after `after` in octet order, at most `most`. */
PARKS Err store_list_accounts(Store *store, Slice after, size_t most, Arena *a, Slice **logins,
                              uint32_t **accts, size_t *count) MUST_USE;

/* ---- account ---- */
PARKS Err account_open(Store *store, uint32_t acct,
                       Account **account) MUST_USE; /* on its home loop; a reference */
void account_close(Account *account);               /* any loop; the other calls are for its home */
SCOPED(Account, account, account_close)
/* One more session of its user; ERR_LIMIT: there are `most` already (0: any number). At home. */
Err account_enter(Account *account, uint32_t most) MUST_USE;
void account_leave(Account *account); /* NULL is fine */
uint32_t account_number(const Account *account);
Slice account_login(const Account *account);
Store *account_store(const Account *account);
uint64_t account_seq(const Account *account);
/* Waits while a change of many messages comes into memory piece by piece. In between some of them
 * have a MODSEQ that no HIGHESTMODSEQ has reached yet: who tells MODSEQs waits before and after. */
PARKS void account_settle(Account *account);
/* The last change of names, rights or subscriptions of mailboxes. */
uint64_t account_names_seq(const Account *account);

typedef enum {                /* RFC 9208 5 */
               QUOTA_STORAGE, /* octets */
               QUOTA_MESSAGE,
               QUOTA_MAILBOX,
               QUOTA_ANNOTATION, /* octets of names and values, of mailboxes and messages alike */
               QUOTA_RESOURCES
} QuotaResource;
#define QUOTA_NONE UINT64_MAX /* as a limit; 0 is one: nothing may be used */
typedef struct {
    uint64_t used[QUOTA_RESOURCES], limit[QUOTA_RESOURCES];
    bool own; /* the limits are this account's, not those of StoreOptions */
} Quota;
Quota account_quota(const Account *account);
/* From now on this account has these limits and none of StoreOptions. */
PARKS Err account_set_quota(Account *account, const uint64_t limit[QUOTA_RESOURCES]) MUST_USE;
/* Whether a message of that size would fit now. */
Err account_has_room(const Account *account, uint64_t octets) MUST_USE;

/* Generic objects: contacts, calendar items, Sieve scripts, annotations, preferences, device state.
 * Collections are short names ("pref", "annotation"). A put with expected != NULL fails with
 * ERR_CONFLICT unless the object's seq is *expected. */
PARKS Err object_put(Account *account, Slice collection, Slice id, Slice value,
                     const uint64_t *expected) MUST_USE;
PARKS Err object_delete(Account *account, Slice collection, Slice id) MUST_USE;
PARKS Err object_get(Account *account, Slice collection, Slice id, Arena *a, Slice *value,
                     uint64_t *seq) MUST_USE;
PARKS Err object_list(Account *account, Slice collection, Slice after, size_t most, Arena *a,
                      Slice **ids, size_t *count) MUST_USE;

/* POP3's exclusive maildrop: ERR_IN_USE while somebody holds it. Not durable: it ends with the
 * process. */
Err maildrop_lock(Account *account) MUST_USE;
void maildrop_unlock(Account *account);

/* The change feed. `changed`: after changes of the account have been applied; the mailbox is 0 for
 * changes that are not about one. `happened`: each thing that a record does, while it is applied,
 * so it is to be noted only: the account shows it when the call that follows, `changed`, comes.
 * Either may be NULL; neither may park. */
typedef enum {
    HAPPENED_NEW, /* messages: `uids` */
    HAPPENED_EXPUNGED,
    HAPPENED_FLAGS,      /* `seen`: \Seen is among them; `who`: only for that user; 0: for all */
    HAPPENED_ANNOTATION, /* `uids`, `identifier`: the entry, `who`: whose; 0: shared */
    HAPPENED_METADATA,   /* of a mailbox, or the server (mailbox_id 0): as HAPPENED_ANNOTATION */
    HAPPENED_UIDVALIDITY,
    HAPPENED_CREATED, /* mailboxes */
    HAPPENED_DELETED,
    HAPPENED_RENAMED,    /* `old_name` */
    HAPPENED_RIGHTS,     /* ACL: those of `identifier` were `old_rights` and are `rights` */
    HAPPENED_SUBSCRIBED, /* names, with or without a mailbox: `on` */
    HAPPENED_OBJECT,     /* `name` is the collection, `identifier` the object's id */
} HappeningKind;
typedef struct {
    HappeningKind kind;
    uint32_t mailbox_id; /* 0: not about a mailbox */
    Slice name;          /* of the mailbox */
    Slice old_name, identifier;
    uint32_t old_rights, rights;
    bool on, seen;
    uint32_t who;
    UidRange uids;
    const Fiber *by; /* who did it; NULL: nobody who waits for it */
} Happening;
typedef struct Listener {
    Link link;
    void (*changed)(struct Listener *l, uint32_t mailbox_id);
    void (*happened)(struct Listener *l, const Happening *h);
} Listener;
void account_listen(Account *account, Listener *l);
void account_unlisten(Listener *l);

typedef enum { /* RFC 4314 rights */
               RIGHT_LOOKUP = 1,
               RIGHT_READ = 2,
               RIGHT_SEEN = 4,
               RIGHT_WRITE = 8,
               RIGHT_INSERT = 16,
               RIGHT_POST = 32,
               RIGHT_CREATE = 64,
               RIGHT_DELETE_MAILBOX = 128,
               RIGHT_DELETE_MESSAGE = 256,
               RIGHT_EXPUNGE = 512,
               RIGHT_ADMIN = 1024,
               RIGHT_ANNOTATE = 2048,
               RIGHTS_ALL = 4095,
} Rights;

/* ---- mailboxes by name ---- */
/* Names are UTF-8 in NFC, levels separated by '/', INBOX in any case at the first level; at most
 * 1,000 octets and 50 levels, no empty level, no control characters. A name whose mailbox was
 * deleted may still have children; it does not exist then. */
typedef enum { /* RFC 6154, RFC 8457 */
               ROLE_NONE,
               ROLE_INBOX,
               ROLE_ARCHIVE,
               ROLE_DRAFTS,
               ROLE_FLAGGED,
               ROLE_JUNK,
               ROLE_SENT,
               ROLE_TRASH,
               ROLE_ALL,
               ROLE_IMPORTANT
} Role;
/* A mailbox may have several (RFC 6154 2): then its Role is made of them, and role_has tells. Those
 * of mailboxes with messages of their own can be combined, \All and \Flagged cannot. */
bool role_has(Role roles, Role one);
bool role_can_combine(Role role);
Role role_with(Role roles, Role more);
Role role_without(Role roles, Role less);
enum { MAILBOX_SEPARATOR = '/' };
typedef struct {
    uint32_t acct; /* its account */
    uint32_t id;   /* MAILBOXID; stable through RENAME, never reused */
    uint32_t uid_validity, uid_next, exists, unseen, deleted, recent;
    uint64_t size_octets, highest_modseq, created_modseq;
    uint64_t deleted_octets; /* of the messages that are \Deleted */
    Role role;
    bool kept; /* this is the view of what is kept after an expunge (Deletion) */
} MailboxStatus;
typedef struct {
    Slice name;
    bool exists, subscribed,
        has_children;     /* exists false: only a parent of others, or only subscribed */
    MailboxStatus status; /* when it exists */
    Rights rights;        /* of who asked */
} MailboxEntry;
/* Every name with a mailbox, every parent of one, every subscribed name: sorted by octets, INBOX
 * first. In the arena. */
void account_mailboxes(Account *account, Arena *a, MailboxEntry **entries, size_t *count);
/* One of them, by name (as it is kept) or, if it exists, by id; the name is borrowed until the next
 * wait. False: it is none of them. */
bool account_mailbox(Account *account, Slice name, MailboxEntry *entry);
bool account_mailbox_id(Account *account, uint32_t id, MailboxEntry *entry);
PARKS Err mailbox_create(Account *account, Slice name,
                         Role role) MUST_USE; /* ERR_EXISTS; creates missing parents too */
PARKS Err mailbox_delete(
    Account *account, Slice name) MUST_USE; /* ERR_NOT_FOUND; INBOX: ERR_FORBIDDEN; children stay */
/* Children move along; missing parents are created. Renaming INBOX moves its messages to the new
 * name and leaves it empty (RFC 9051 6.3.6). */
PARKS Err mailbox_rename(Account *account, Slice from, Slice to) MUST_USE;
/* The same three for another user, as the rights of RFC 4314 4 allow: "k" in the nearest parent
 * that exists, "x" in the mailbox itself. Nothing may be created at the top. ERR_FORBIDDEN;
 * ERR_NOT_FOUND where he may not look. */
PARKS Err mailbox_create_as(Account *account, uint32_t who, Slice name, Role role) MUST_USE;
PARKS Err mailbox_delete_as(Account *account, uint32_t who, Slice name) MUST_USE;
PARKS Err mailbox_rename_as(Account *account, uint32_t who, Slice from, Slice to) MUST_USE;
PARKS Err mailbox_subscribe(Account *account, Slice name, bool subscribed) MUST_USE;
PARKS Err mailbox_set_role(Account *account, Slice name, Role role) MUST_USE;
/* The same for clients (RFC 6154 3): `uses` are combinable, else ERR_FORBIDDEN; another mailbox
 * that has one of them loses it in the same step. */
PARKS Err mailbox_create_for(Account *account, Slice name, Role uses) MUST_USE;
PARKS Err mailbox_set_uses(Account *account, Slice name, Role uses) MUST_USE;

/* ---- an open mailbox ---- */
/* `who` opens it: the account's own number or somebody else's. The handle's rights follow the ACL
 * while it is open. Who has none of the rights by which a mailbox can be used (l r i k x a) gets
 * ERR_NOT_FOUND, as if there were none (RFC 4314 6). */
PARKS Err mailbox_open(Account *account, uint32_t who, Slice name, Mailbox **box) MUST_USE;
PARKS Err mailbox_open_id(Account *account, uint32_t who, uint32_t id, Mailbox **box) MUST_USE;
void mailbox_close(Mailbox *box); /* any loop; the other calls are for its home */
SCOPED(Mailbox, mailbox, mailbox_close)
Account *mailbox_account(const Mailbox *box);
Rights mailbox_rights(const Mailbox *box);
Slice mailbox_name(const Mailbox *box); /* as it is now */
bool mailbox_is_deleted(
    const Mailbox *box); /* somebody deleted it meanwhile: every call gives ERR_NOT_FOUND */
MailboxStatus mailbox_status(const Mailbox *box);
/* An import goes on where the mailbox was at another server. UIDVALIDITY may be taken over while
 * ours has never had a message (uid_next 1), so that no uid has been shown under another one: else
 * ERR_CONFLICT. uid_next is raised, never lowered; 0: stays. */
PARKS Err mailbox_set_uid_validity(Mailbox *box, uint32_t uid_validity, uint32_t uid_next) MUST_USE;
/* OK when the handle has all of these; else ERR_FORBIDDEN, or ERR_NOT_FOUND for who may not look it
 * up: to him it does not exist (RFC 4314 6). */
Err mailbox_need(const Mailbox *box, Rights all) MUST_USE;

/* ---- sharing (RFC 4314; store/acl.c, store/grants.c) ----
 * An identifier is a login, "anyone" or "authenticated" (the same to us), or one of these behind a
 * "-": rights that are taken away whatever the others give. Other identifiers are kept and mean
 * nothing: there are no groups. The owner has all rights unless an entry of his own says less; "l"
 * and "a" he always has. A new mailbox inherits the entries of its nearest parent.
 *
 * An account that gets a right to a mailbox of another is told so by a hint, an object that names
 * the other account: so LIST asks only those who grant something. Who has no hint is not let in, so
 * a login that is given again does not inherit what was granted to its last bearer, and a name that
 * is unknown costs as much as one that is forbidden. The hint is written before the right and
 * removed after it. */
/* Letters of RFC 4314 2.1 and the "c" and "d" of RFC 2086, which stand for several. 0: no such
 * right.
 */
Rights rights_of_letter(char letter);
void rights_put(Buf *out, Rights rights);
typedef struct {
    Slice identifier;
    Rights rights;
} AclEntry;
/* The owner's entry first, also when it is not kept. Needs RIGHT_ADMIN, as the next one. In the
 * arena. */
Err mailbox_acl(const Mailbox *box, Arena *a, AclEntry **entries, size_t *count) MUST_USE;
typedef enum { ACL_REPLACE, ACL_ADD, ACL_REMOVE, ACL_DELETE } AclHow;
/* No rights left: the entry goes. Without an entry the owner has all rights again. ERR_LIMIT. */
PARKS Err mailbox_set_acl(Mailbox *box, Slice identifier, AclHow how, Rights rights) MUST_USE;

typedef struct {
    Slice login; /* who grants */
    uint32_t acct;
    MailboxEntry *entries; /* as account_mailboxes has them, those with RIGHT_LOOKUP only */
    size_t count;
} Shared;
/* What other accounts let the user of `own` look up; visits their homes. `unseen`: each status says
 * what this user has not seen, which costs more. In the arena. */
PARKS Err account_shared(Account *own, bool unseen, Arena *a, Shared **list,
                         size_t *count) MUST_USE;
/* The same of one account, whether or not it has granted anything; any loop. */
PARKS Err account_shared_by(Store *store, uint32_t acct, uint32_t who, bool unseen, Arena *a,
                            Shared *shared) MUST_USE;
/* The number of the account with this login if it has granted the user of `own` something; else
 * ERR_NOT_FOUND, whether or not there is such an account. */
PARKS Err account_granted_by(Account *own, Slice login, uint32_t *acct) MUST_USE;

typedef enum {
    FLAG_SEEN = 1,
    FLAG_ANSWERED = 2,
    FLAG_FLAGGED = 4,
    FLAG_DELETED = 8,
    FLAG_DRAFT = 16
} Flag;
typedef enum { MARK_ANNOTATED = 1 /* it has annotations, of anybody */ } Mark;
typedef struct {
    uint32_t uid, eid;
    uint64_t modseq;
    uint32_t size;  /* octets: RFC822.SIZE */
    uint32_t date;  /* INTERNALDATE, Unix seconds */
    uint8_t flags;  /* Flag */
    uint8_t marks;  /* Mark */
    uint16_t kwset; /* which combination of keywords; 0: none */
} Message;
/* Messages by uid, as they are now (not as a view shows them). NULL: none. Borrowed until the next
 * wait. */
const Message *mailbox_message(Mailbox *box, uint32_t uid);
const Message *mailbox_next(Mailbox *box, uint32_t uid); /* the one with the smallest uid >= uid */
/* The next one with uid >= uid that changed after `modseq`; steps over unchanged pages, so it costs
 * what changed. */
const Message *mailbox_next_changed(Mailbox *box, uint32_t uid, uint64_t modseq);
/* UIDs expunged after `modseq` (QRESYNC VANISHED EARLIER). *complete false: tombstones do not reach
 * back so far; then every uid below uid_next that does not exist may have vanished, and that is
 * what was added. */
PARKS Err mailbox_vanished(Mailbox *box, uint64_t modseq, Arena *a, UidSet *vanished,
                           bool *complete) MUST_USE;
/* Keywords of a combination as text "$Forwarded Work", in the order of their first use; empty for
 * 0. */
Slice account_keywords(const Account *account, uint16_t kwset);
/* All keywords in use in this mailbox, for SELECT's FLAGS. In the arena. */
Slice mailbox_keywords(Mailbox *box, Arena *a);
/* Another number whenever there may be more of them. */
uint32_t mailbox_keywords_version(const Mailbox *box);

/* ---- changes of messages ---- */
typedef struct {
    const Slice
        *names; /* atoms without a backslash; compared without case, kept as first written */
    size_t count;
} Keywords;
typedef enum { CHANGE_REPLACE, CHANGE_ADD, CHANGE_REMOVE } ChangeHow;
typedef struct {
    ChangeHow how;
    uint8_t flags;
    Keywords keywords;
    const uint64_t *unchanged_since; /* RFC 7162 3.1.3; NULL: unconditional */
} FlagChange;
/* One record, one commit for all of them. uids that do not exist are passed over. *modified (may be
 * NULL without unchanged_since): those that failed the condition. *modseq: of the change; 0 when
 * nothing changed. Needs the rights that RFC 4314 4 names (\Seen, \Deleted, others); lacking all of
 * them: ERR_FORBIDDEN. */
PARKS Err mailbox_change(Mailbox *box, const UidSet *uids, const FlagChange *change, Arena *a,
                         UidSet *modified, uint64_t *modseq) MUST_USE;
typedef struct {
    UidSet source; /* those that existed */
    UidSet copies; /* in the same order: ascending, contiguous unless others came between */
    uint32_t uid_validity;
} CopyResult;
/* `to` may belong to another account; called at home of `from`. Flags as the rights there allow
 * (RFC 4314 4). Into another account at most 10,000 at once (ERR_LIMIT). */
PARKS Err mailbox_copy(Mailbox *from, const UidSet *uids, Mailbox *to, Arena *a,
                       CopyResult *result) MUST_USE;
PARKS Err mailbox_move(Mailbox *from, const UidSet *uids, Mailbox *to, Arena *a,
                       CopyResult *result) MUST_USE;
/* Those of uids (NULL: of all) that are \Deleted, or all of them with `even_undeleted` (POP3 DELE).
 * *expunged may be NULL. */
PARKS Err mailbox_expunge(Mailbox *box, const UidSet *uids, bool even_undeleted, Arena *a,
                          UidSet *expunged) MUST_USE;

/* ---- annotations: of mailboxes and the server (RFC 5464), of messages (RFC 5257) ---- */
enum { ANNOTATION_NAME_MOST = 200 };
typedef struct {
    Slice entry;  /* its name, as the protocol has checked and folded it */
    Slice value;  /* at NULL: none; to set that takes it away */
    bool shared;  /* else it is private to the user who asks */
    uint32_t who; /* private to this one instead; 0: to who asks. Only where the owner puts back
                     what was there (restore) */
} Annotation;
typedef struct {
    Annotation *list;
    size_t count;
} Annotations;
uint64_t annotation_value_most(const Store *store); /* octets */
/* All that the handle's user may see: private ones, then shared ones, in the order of names.
 * ERR_FORBIDDEN: RFC 5464 3.3. */
PARKS Err mailbox_annotations(Mailbox *box, Arena *a, Annotations *out) MUST_USE;
/* The same of a mailbox by its number (0: the server's private ones), unchecked: for who knows that
 * `who` may. */
PARKS Err account_annotations(Account *account, uint32_t mailbox, uint32_t who, Arena *a,
                              Annotations *out) MUST_USE;
/* Everybody's of a mailbox, or of a message: Annotation.who says whose. For who takes a copy of
 * all, as the owner. */
PARKS Err mailbox_annotations_of_all(Mailbox *box, Arena *a, Annotations *out) MUST_USE;
PARKS Err message_annotations_of_all(Mailbox *box, const Message *m, Arena *a,
                                     Annotations *out) MUST_USE;
/* All or none, one commit; *role too, if not NULL. ERR_TOO_BIG: a value, ERR_LIMIT: too many,
 * ERR_OVER_QUOTA, ERR_FORBIDDEN, ERR_CANNOT: that role. Another mailbox that has it loses it. */
PARKS Err mailbox_annotate(Mailbox *box, const Annotations *set, const Role *role) MUST_USE;
PARKS Err account_annotate(Account *account, const Annotations *set) MUST_USE; /* of the server */
/* Shared ones of the server. Any loop. */
PARKS Err store_annotations(Store *store, Arena *a, Annotations *out) MUST_USE;
PARKS Err store_annotate(Store *store, const Annotations *set) MUST_USE;
/* Of a message, as it is now; none of one that is gone. Costs nothing without MARK_ANNOTATED. */
PARKS Err message_annotations(Mailbox *box, const Message *m, Arena *a, Annotations *out) MUST_USE;
/* As mailbox_change: one commit, gives a new modseq to those that change. */
PARKS Err mailbox_annotate_messages(Mailbox *box, const UidSet *uids, const Annotations *set,
                                    const uint64_t *unchanged_since, Arena *a, UidSet *modified,
                                    uint64_t *modseq) MUST_USE;

/* ---- what a deletion means ---- */
/* Of each account, object collection "pref", id "deletion": "expunge=gone|trash keep=DAYS
 * deleted=mark|trash", words in any order; one that is missing leaves the store's default.
 *
 * An expunge, by whatever protocol, of a message of which there is no other copy, moves it to the
 * Trash mailbox (ROLE_TRASH; made if there is none) in the same record, without \Deleted; from
 * Trash, and with expunge=gone from everywhere, it leaves every mailbox, and with keep > 0 it can
 * be brought back so many days. A mailbox that is deleted lets its messages go by the same rule.
 * deleted=trash: setting \Deleted expunges at once. What is kept does not count for the quota; when
 * there is one, no more than it allows is kept, the oldest goes first. */
typedef struct {
    bool expunge_to_trash, deleted_to_trash;
    uint32_t keep_days;
} Deletion;
enum { KEEP_DAYS_MOST = 3650 };
/* Words that are not understood are passed over: then false. */
bool deletion_parse(Slice text, Deletion *d);
void deletion_print(Buf *out, const Deletion *d);
Err account_deletion(Account *account, Deletion *d) MUST_USE;
PARKS Err account_set_deletion(Account *account, const Deletion *d) MUST_USE;

/* What is kept, oldest first. Over IMAP and the like it is a mailbox named by StoreOptions
 * .deleted_view, shown while something can be kept: to be read, and to copy or move from; nothing
 * else (ERR_CANNOT, ERR_FORBIDDEN). */
typedef struct {
    uint32_t uid, eid, size, date;
    uint32_t deleted; /* when, Unix seconds */
    Slice folder;     /* where it was, as that is called now, or was when it was deleted */
    bool folder_is_gone;
} KeptMessage;
/* Those with greater uids than `after`, at most `most`; in the arena. */
PARKS Err account_kept(Account *account, uint32_t after, size_t most, Arena *a, KeptMessage **list,
                       size_t *count) MUST_USE;
/* One durable record: they go back to where they were, or to INBOX when that is gone. Of which
 * there is a copy in some mailbox stays. *back: how many went. ERR_OVER_QUOTA: none did. */
PARKS Err account_undelete(Account *account, const UidSet *uids, Arena *a, size_t *back) MUST_USE;

/* ---- what one session sees ---- */
/* `recent`: this session takes \Recent away (SELECT; EXAMINE only looks). Views keep expunged
 * messages readable until synced. */
PARKS Err view_open(Mailbox *box, bool recent, View **view) MUST_USE;
void view_close(View *view);
SCOPED(View, view, view_close)
/* Appends what the view is, so that view_resume, also of another process, makes the same of it: the
 * same numbers, and the same news to come. False: it is too much for a few kilobytes, or the
 * mailbox is gone. It stays right, whatever others do, until the view is synced. */
bool view_keep(const View *view, Buf *out);
/* ERR_CONFLICT: the mailbox is not the one that it was (UIDVALIDITY, tombstones that are gone);
 * ERR_SYNTAX: it does not fit. */
PARKS Err view_resume(Mailbox *box, Slice kept, View **view) MUST_USE;
Mailbox *view_mailbox(const View *view);
uint32_t view_exists(const View *view);
uint32_t view_recent(const View *view);
bool view_is_recent(const View *view, uint32_t uid);
uint32_t view_uid(View *view, uint32_t number); /* 1..exists; O(log pages). 0: no such number */
uint32_t view_number(View *view, uint32_t uid); /* 0: not in the view */
uint32_t view_first_unseen(View *view);         /* message number, 0: none */
/* A message of the view, in order of number: smallest uid >= uid; *number may be NULL. Also those
 * expunged meanwhile (*gone); their flags are what they last were. A copy: valid across waits. */
bool view_next(View *view, uint32_t uid, Message *out, uint32_t *number, bool *gone);
/* The messages expunged since the last sync, ascending; borrowed until the next wait. */
size_t view_gone(const View *view, const Message **gone);
/* Nudges this fiber whenever the mailbox changes; NULL: no more. */
void view_listen(View *view, Fiber *fiber);
bool view_has_news(const View *view);
/* Our own change of that modseq: view_sync does not report its flags. */
void view_mark_own(View *view, uint64_t modseq);
typedef struct {
    UidSet vanished;    /* uids, when expunges were allowed */
    uint32_t *expunged; /* the same as message numbers, each as it is when its turn comes (RFC
                           9051 7.5.1) */
    size_t expunged_count;
    bool exists_changed, recent_changed;
    uint32_t
        *changed; /* uids whose flags (or modseq) changed, ascending, new messages not included */
    size_t changed_count;
    bool mailbox_deleted;
} ViewNews;
/* Brings the view up to date. Without `expunges` message numbers stay as they are (RFC 9051 7.5.1:
 * not during FETCH, STORE, SEARCH); new messages always appear. */
void view_sync(View *view, bool expunges, Arena *a, ViewNews *news);

/* ---- reading ---- */
/* Octets of an email, any range; wire form. ERR_EXPUNGED, ERR_CORRUPT. */
PARKS Err email_read(Account *account, uint32_t eid, uint64_t offset, void *out,
                     size_t len) MUST_USE;
PARKS Err email_header(Account *account, uint32_t eid, Arena *a,
                       Slice *header) MUST_USE;             /* with the empty line */
size_t email_header_length(Account *account, uint32_t eid); /* of that; SIZE_MAX: it is gone */
/* The stored summary (mail/mail.h: mail_summary_decode, _peek), borrowed until the next wait.
 * Offsets are right for email_read. */
PARKS Err email_summary(Account *account, uint32_t eid, Slice *stored) MUST_USE;
typedef struct {
    uint64_t thread_id, created_modseq;
    uint32_t size, header_len;
    struct {
        uint32_t mailbox_id, uid, saved /* SAVEDATE, Unix seconds */;
    } * links;
    size_t link_count;
} EmailDetails;
PARKS Err email_details(Account *account, uint32_t eid, Arena *a, EmailDetails *out) MUST_USE;

/* ---- text search (store/signature.c) ---- */
/* Drops from `eids` (sorted, n of them) those whose text certainly does not contain the casemapped
 * needle; returns how many are left. Costs a few microseconds per thousand. */
PARKS size_t text_candidates(Account *account, Slice folded_needle, uint32_t *eids, size_t n);
/* The truth: reads the message. body_only: without any header (SEARCH BODY), else the message
 * header, those of its parts, and its body (TEXT). */
PARKS Err email_contains(Account *account, uint32_t eid, Slice folded_needle, bool body_only,
                         bool *found) MUST_USE;

/* The same, compared after another folding (mail/mail.h: MailFold) than i;unicode-casemap, by which
 * the needle has been folded. */
PARKS Err email_contains_folded(Account *account, uint32_t eid, Slice needle,
                                void (*fold)(Buf *out, Slice utf8), bool body_only,
                                bool *found) MUST_USE;

/* The same of many messages at once, on helper threads: found[i] is of eids[i]; what cannot be read
 * is not found. go_on is called now and then with how many have been asked; it may wait, and false
 * ends it. What the index lacks of them it learns afterwards. */
typedef struct {
    Slice needle;
    void (*fold)(Buf *out, Slice utf8); /* by which the needle is folded; NULL: casemap */
    bool body_only;
} TextQuestion;
PARKS void emails_contain(Account *account, const TextQuestion *question, const uint32_t *eids,
                          size_t n, bool *found, bool (*go_on)(void *arg, size_t asked), void *arg);

/* What there is to look at, folded, at most MAIL_TEXT_MOST octets of it (mail/mail.h: MailTextOf);
 * MAIL_TEXT_ALL with the message's header in front. */
PARKS Err email_text(Account *account, uint32_t eid, MailTextOf what, Buf *text) MUST_USE;

/* ---- new messages ---- */
/* Write a message into a draft as it arrives, then commit it, to one mailbox or to many accounts.
 * Line ends become CRLF if they are not (bare LF and bare CR; never inside CRLF). Any loop. */
PARKS Err draft_begin(Store *store, uint64_t size_hint, Draft **draft) MUST_USE;
PARKS Err draft_write(Draft *draft, Slice octets) MUST_USE; /* ERR_TOO_BIG, ERR_DISK_FULL; sticks */
uint64_t draft_size(const Draft *draft);
/* Octets so far, when still in memory (up to 1 MiB); empty otherwise. */
Slice draft_peek(const Draft *draft);
void draft_free(Draft *draft); /* what was not committed is gone */
SCOPED(Draft, draft, draft_free)
typedef struct {
    uint8_t flags;
    Keywords keywords;
    int64_t date; /* INTERNALDATE, Unix seconds; 0: now */
    uint32_t uid; /* imports: this UID if it is >= uid_next; 0: the next */
    Slice object; /* imports: an object put with the message, in collection "pop3-uidl", id mailbox
                     and uid as 16 hexadecimal digits; empty: none */
    Slice prefix; /* header lines of this recipient only, e.g. "Delivered-To: a@b\r\n"; read as the
                     message's first octets. Few distinct ones per account. */
    Annotations annotations;
    const uint32_t *seen_by; /* restore: other users who have seen it; \Seen among `flags` is the
                                owner's */
    size_t seen_by_count;
} DraftPlace;
/* On the mailbox's home loop. ERR_OVER_QUOTA, ERR_FORBIDDEN, ERR_NOT_FOUND (deleted meanwhile). */
PARKS Err draft_commit(Draft *draft, Mailbox *box, const DraftPlace *place, uint32_t *uid) MUST_USE;
/* Many messages of one mailbox in one durable step (import, MULTIAPPEND): all or none. */
PARKS Err draft_commit_many(Draft **drafts, size_t count, Mailbox *box, const DraftPlace *places,
                            uint32_t *uids) MUST_USE;
/* The same for any number of them, given one by one: the bodies of many wait in the log, not in
 * memory, and are dropped if drafts_commit never comes. On the mailbox's home loop; `box` outlives
 * it. */
typedef struct Drafts Drafts;
PARKS Err drafts_begin(Mailbox *box, Drafts **drafts) MUST_USE;
/* Takes the draft over, also when it fails; the place is copied. ERR_OVER_QUOTA (room for all is
 * kept), ERR_LIMIT (10,000). */
PARKS Err drafts_add(Drafts *drafts, Draft *draft, const DraftPlace *place) MUST_USE;
size_t drafts_count(const Drafts *drafts);
/* One durable step, once: uids of all in the order of drafts_add, contiguous. */
PARKS Err drafts_commit(Drafts *drafts, uint32_t *uids) MUST_USE;
void drafts_free(Drafts *drafts);
SCOPED(Drafts, drafts, drafts_free)
/* The new message comes and `old` of `from` (a mailbox of the same account) goes in one durable
 * step (RFC 8508). Only what it is larger counts against the quota. ERR_EXPUNGED: old is gone;
 * ERR_FORBIDDEN also without the rights to expunge it. */
PARKS Err draft_replace(Draft *draft, Mailbox *box, const DraftPlace *place, Mailbox *from,
                        uint32_t old, uint32_t *uid) MUST_USE;
typedef struct {
    uint32_t acct;
    Slice mailbox; /* "INBOX"; created if `create` and missing, else falls back to INBOX */
    bool create;
    DraftPlace place;
    Err err;      /* out */
    uint32_t uid; /* out */
    Slice story;  /* out: static or in the draft */
} Delivery;
/* From any loop, body stored once, all recipients in parallel; each has its own result. */
PARKS void draft_deliver(Draft *draft, Delivery *deliveries, size_t count);

/* ---- health ---- */
typedef struct {
    uint64_t accounts, mailboxes, messages, octets, findings;
} CheckResult;
/* Compares counters, quota, links, blob references and indexes with a recount of every account;
 * reports one line per finding. repair: puts derived data right. */
PARKS Err store_check(Store *store, bool repair, void (*report)(void *arg, Slice line), void *arg,
                      CheckResult *result) MUST_USE;
/* Once, before it serves, for a store that was put back from a backup (store/backup.h): every
 * mailbox gets a new UIDVALIDITY, numbers of emails go on far behind those that clients may have
 * seen. *given_up: octets of bodies that belonged to nobody. */
PARKS Err store_renew(Store *store, uint64_t *given_up) MUST_USE;
