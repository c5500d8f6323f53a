/* What several users do with shared mailboxes and with annotations, as octets say it: the first
 * one is the limits, then each operation takes what it needs of the rest.
 *
 * What somebody may do is what the entries of the list come to, by a rule of this file's own; the
 * owner cannot lock himself out; what was set is there, or why not is said; a condition that fails
 * changes nothing; and all of it is the same when the store has been opened again. */
#include "base/fuzz.h"
#include "run/log.h"
#include "run/sim.h"
#include "store/store.h"

#include <stdio.h>

enum { DISK_BYTES = 16 << 20, USERS = 3, OPERATIONS_MOST = 60, UIDS_MOST = 40 };
enum { FEW = 1, SMALL_QUOTA = 2, KEEPS = 4, IN_KEPT = 8 };

typedef struct {
    Slice rest;
    StoreOptions options;
    Store *store;
    Account *account;
    uint32_t users[USERS]; /* the first one owns everything */
    Arena arena;
} Case;

static const char *const logins[USERS] = {"anna", "bob", "eve"};
static const char *const names[] = {"INBOX", "A", "A/B", "A/B/C", "D", "Deleted"};
static const char *const identifiers[] = {"anna",  "bob",  "eve",     "anyone", "authenticated",
                                          "-anna", "-bob", "-anyone", "$team"};

static uint8_t take(Case *c)
{
    uint8_t octet = c->rest.len ? (uint8_t)c->rest.at[0] : 0;
    c->rest = slice_from(c->rest, 1);
    return octet;
}

/* One of the table, or octets of the input. */
static Slice take_word(Case *c, const char *const *table, size_t count)
{
    uint8_t n = take(c);
    if (n < 128) return slice_of(table[n % count]);
    Slice word = slice_first(c->rest, n - 128u);
    c->rest = slice_from(c->rest, word.len);
    return word;
}

static UidSet take_uids(Case *c)
{
    UidSet uids = {0};
    uint32_t first = 1 + take(c) % UIDS_MOST, more = take(c) % UIDS_MOST;
    uidset_add(&c->arena, &uids, first, first + more);
    return uids;
}

static Slice take_value(Case *c)
{
    uint8_t n = take(c);
    if (!n) return (Slice){0};
    if (n < 200) {
        Slice value = slice_first(c->rest, n - 1u);
        c->rest = slice_from(c->rest, value.len);
        return value.at ? value : S("");
    }
    size_t len = n == 255 ? 65537 : (n - 199u) * 1100;
    char *much = arena_alloc(&c->arena, len);
    memset(much, 'x', len);
    return slice(much, len);
}

static Annotations take_annotations(Case *c)
{
    static const char *const entries[] = {"/comment", "/altsubject", "/vendor/x", ""};
    Annotations set = {.count = take(c) % 5};
    set.list = arena_array(&c->arena, Annotation, set.count + 1);
    for (size_t i = 0; i < set.count; i++) {
        set.list[i].entry = take_word(c, entries, COUNT(entries));
        set.list[i].shared = take(c) & 1;
        set.list[i].value = take_value(c);
    }
    return set;
}

PARKS static Mailbox *take_box(Case *c, size_t *user)
{
    Mailbox *box = NULL;
    uint8_t n = take(c);
    *user = n / 16 % USERS;
    Slice name = slice_of(names[n % COUNT(names)]);
    return mailbox_open(c->account, c->users[*user], name, &box) ? NULL : box;
}

/* ---- rights ---- */

static bool means(Slice identifier, Slice login)
{
    return slice_eq(identifier, login) || slice_eq(identifier, S("anyone")) ||
           slice_eq(identifier, S("authenticated"));
}

/* RFC 4314 2, and store.h: granted by all that fit, less what is taken away by all that fit. */
static unsigned come_to(const AclEntry *list, size_t count, Slice login, bool owner)
{
    unsigned granted = 0, denied = 0;
    for (size_t i = 0; i < count; i++) {
        if (means(list[i].identifier, login)) granted |= list[i].rights;
        if (slice_starts(list[i].identifier, S("-")) &&
            means(slice_from(list[i].identifier, 1), login))
            denied |= list[i].rights;
    }
    return ((granted & ~denied) | (owner ? RIGHT_LOOKUP | RIGHT_ADMIN : 0)) & RIGHTS_ALL;
}

PARKS static void check_rights(Case *c, Slice name)
{
    Mailbox *own scoped(mailbox) = NULL;
    AclEntry *list;
    size_t count;
    if (mailbox_open(c->account, c->users[0], name, &own) || mailbox_status(own).kept) return;
    must(!mailbox_need(own, RIGHT_LOOKUP | RIGHT_ADMIN));
    must(!mailbox_acl(own, &c->arena, &list, &count) && count);
    must(slice_eq(list[0].identifier, S("anna")));
    for (size_t i = 0; i < USERS; i++) {
        Mailbox *box scoped(mailbox) = NULL;
        unsigned rights = come_to(list, count, slice_of(logins[i]), !i);
        Err err = mailbox_open(c->account, c->users[i], name, &box);
        must(!err || err == ERR_NOT_FOUND || err == ERR_FORBIDDEN);
        must(err || mailbox_rights(box) == rights);
        must(!err || !(rights & (RIGHT_LOOKUP | RIGHT_READ | RIGHT_INSERT | RIGHT_CREATE)));
    }
}

PARKS static void set_acl(Case *c, Mailbox *box)
{
    Slice who = take_word(c, identifiers, COUNT(identifiers));
    AclHow how = (AclHow)(take(c) % (ACL_DELETE + 1));
    unsigned rights = take(c);
    rights |= (unsigned)take(c) << 8;
    Err err = mailbox_set_acl(box, who, how, (Rights)(rights & RIGHTS_ALL));
    Buf letters buf_scoped = {0};
    rights_put(&letters, (Rights)(rights & RIGHTS_ALL));
    unsigned again = 0;
    for (size_t i = 0; i < letters.len; i++)
        again |= rights_of_letter(letters.at[i]);
    must((again & rights) == (rights & RIGHTS_ALL) && !rights_of_letter('!'));
    must(!err || err == ERR_FORBIDDEN || err == ERR_NOT_FOUND || err == ERR_LIMIT ||
         err == ERR_SYNTAX || err == ERR_CANNOT);
}

/* ---- annotations ---- */

static const Annotation *find(const Annotations *all, const Annotation *one)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->list[i].shared == one->shared && slice_eq(all->list[i].entry, one->entry))
            return &all->list[i];
    return NULL;
}

/* The last word on it in the list. */
static bool is_last(const Annotations *set, size_t at)
{
    for (size_t i = at + 1; i < set->count; i++)
        if (set->list[i].shared == set->list[at].shared &&
            slice_eq(set->list[i].entry, set->list[at].entry))
            return false;
    return true;
}

PARKS static void check_set(Case *c, Mailbox *box, uint32_t uid, const Annotations *set)
{
    Annotations all;
    const Message *m = mailbox_message(box, uid);
    if (!m || !(mailbox_rights(box) & RIGHT_READ)) return;
    Message it = *m;
    must(!message_annotations(box, &it, &c->arena, &all));
    for (size_t i = 0; i < set->count; i++) {
        const Annotation *is = find(&all, &set->list[i]);
        if (!is_last(set, i)) continue;
        must((is != NULL) == (set->list[i].value.at != NULL));
        must(!is || slice_eq(is->value, set->list[i].value));
    }
}

PARKS static void annotate(Case *c, Mailbox *box)
{
    UidSet uids = take_uids(c), modified = {0};
    uint8_t how = take(c);
    Annotations set = take_annotations(c);
    uint64_t since = mailbox_status(box).highest_modseq - how % 8, modseq = 0;
    bool only = how & 16;
    Err err = mailbox_annotate_messages(box, &uids, &set, only ? &since : NULL, &c->arena,
                                        how & 32 ? NULL : &modified, &modseq);
    must(!err || err == ERR_FORBIDDEN || err == ERR_TOO_BIG || err == ERR_LIMIT ||
         err == ERR_OVER_QUOTA || err == ERR_SYNTAX || err == ERR_NOT_FOUND);
    must(only || !modified.count);
    if (err) return;
    for (uint32_t uid = uids.ranges[0].first; uid <= uids.ranges[0].last; uid++)
        if (!only || (!(how & 32) && !uidset_has(&modified, uid))) check_set(c, box, uid, &set);
}

PARKS static void append(Case *c, Mailbox *box)
{
    Draft *d scoped(draft) = NULL;
    uint32_t uid = 0;
    Annotations set = take_annotations(c);
    must(!draft_begin(c->store, 0, &d) && !draft_write(d, S("Subject: x\r\n\r\n")));
    if (!draft_commit(d, box, &(DraftPlace){.date = 1, .annotations = set}, &uid))
        check_set(c, box, uid, &set);
}

/* ---- one after the other ---- */

PARKS static void copy(Case *c, Mailbox *box)
{
    CopyResult result;
    UidSet uids = take_uids(c);
    size_t user;
    bool move = take(c) & 1;
    Mailbox *to scoped(mailbox) = take_box(c, &user);
    if (to) (void)!(move ? mailbox_move : mailbox_copy)(box, &uids, to, &c->arena, &result);
}

PARKS static void with_box(Case *c, uint8_t op)
{
    size_t user;
    Mailbox *box scoped(mailbox) = take_box(c, &user);
    if (!box) return;
    UidSet uids;
    switch (op) {
    case 0:
    case 1:
        set_acl(c, box);
        check_rights(c, mailbox_name(box));
        break;
    case 2:
    case 3:
        annotate(c, box);
        break;
    case 4:
        append(c, box);
        break;
    case 5:
        copy(c, box);
        break;
    case 6:
        uids = take_uids(c);
        (void)!mailbox_expunge(box, &uids, true, &c->arena, NULL);
        break;
    default:
        break;
    }
}

PARKS static void with_name(Case *c)
{
    uint8_t n = take(c);
    Slice name = slice_of(names[n % COUNT(names)]);
    uint32_t who = c->users[n / 16 % USERS];
    if (n & 8)
        (void)!mailbox_delete_as(c->account, who, name);
    else if (!mailbox_create_as(c->account, who, name, ROLE_NONE))
        check_rights(c, name);
}

/* ---- all there is, in words ---- */

PARKS static void print_box(Case *c, Mailbox *box, Buf *out)
{
    AclEntry *list;
    Annotations all;
    size_t count = 0;
    uint32_t uid = 1;
    if (!mailbox_acl(box, &c->arena, &list, &count))
        for (size_t i = 0; i < count; i++)
            buf_printf(out, "%.*s=%u;", SP(list[i].identifier), (unsigned)list[i].rights);
    for (const Message *m; (m = mailbox_next(box, uid)) != NULL; uid++) {
        Message it = *m;
        uid = it.uid;
        buf_printf(out, "%u(%u %u);", uid, it.eid, it.marks);
        if (message_annotations(box, &it, &c->arena, &all)) continue;
        for (size_t i = 0; i < all.count; i++) {
            buf_bytes(out, all.list[i].entry);
            buf_bytes(out, all.list[i].value);
            buf_u8(out, all.list[i].shared);
        }
    }
}

PARKS static void print_all(Case *c, Buf *out)
{
    for (size_t i = 0; i < COUNT(names); i++)
        for (size_t k = 0; k < USERS; k++) {
            Mailbox *box scoped(mailbox) = NULL;
            if (mailbox_open(c->account, c->users[k], slice_of(names[i]), &box)) continue;
            buf_printf(out, "\n%s %s %u:", names[i], logins[k], (unsigned)mailbox_rights(box));
            print_box(c, box, out);
        }
}

PARKS static void open_all(Case *c)
{
    must(!store_open(S("store"), &c->options, &c->store));
    must(!account_open(c->store, c->users[0], &c->account));
}

PARKS static void close_all(Case *c)
{
    account_close(c->account);
    store_close(c->store);
}

PARKS_UNCHECKED static void life(void *arg)
{
    Case *c = arg;
    Buf before buf_scoped = {0}, after buf_scoped = {0};
    uint8_t how = take(c);
    for (uint32_t i = 0; i < USERS; i++)
        c->users[i] = i + 1;
    c->options.annotations_most = how & FEW ? 2 : 0;
    c->options.quota_annotation_octets = how & SMALL_QUOTA ? 200 : 0;
    c->options.undelete_days = how & KEEPS ? 3 : 0;
    c->options.deleted_view = how & IN_KEPT ? S("Deleted") : (Slice){0};
    open_all(c);
    for (int i = 0; i < OPERATIONS_MOST && c->rest.len; i++) {
        uint8_t op = take(c) % 8;
        if (op == 7)
            with_name(c);
        else
            with_box(c, op);
    }
    print_all(c, &before);
    close_all(c);
    open_all(c);
    print_all(c, &after);
    must(slice_eq(buf_slice(&before), buf_slice(&after)));
    close_all(c);
}

/* ---- what there is in the beginning ---- */

PARKS_UNCHECKED static void make(void *arg)
{
    Case *c = arg;
    open_all(c);
    for (size_t i = 1; i + 1 < COUNT(names); i++)
        must(!mailbox_create(c->account, slice_of(names[i]), ROLE_NONE));
    for (size_t i = 0; i < 3; i++) {
        Mailbox *box scoped(mailbox) = NULL;
        must(!mailbox_open(c->account, c->users[0], slice_of(names[i]), &box));
        for (int k = 0; k < 4; k++)
            append(c, box);
    }
    close_all(c);
}

PARKS_UNCHECKED static void make_users(void *arg)
{
    Case *c = arg;
    must(!store_open(S("store"), &c->options, &c->store));
    for (size_t i = 0; i < USERS; i++)
        must(!store_create_account(c->store, slice_of(logins[i]), &c->users[i]));
    store_close(c->store);
}

static void run(SimDisk *disk, void (*what)(void *), Case *c)
{
    SimConfig config = {.seed = 1, .disk = disk, .loops = 1};
    c->options.engine = (EngineOptions){.index_in_memory = true, .segment_bytes = 256 << 10};
    must(!sim_run(&config, what, c));
    arena_done(&c->arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static SimDisk *begun, *disk;
    if (!size) return 0;
    if (!begun) {
        Case c = {0};
        begun = sim_disk_new(DISK_BYTES);
        disk = sim_disk_new(DISK_BYTES);
        log_set_level_by_name(S("none"));
        run(begun, make_users, &c);
        run(begun, make, &c);
        must(c.users[0] == 1 && c.users[2] == 3);
    }
    sim_disk_copy(disk, begun);
    Case c = {.rest = slice(data, size)};
    run(disk, life, &c);
    return 0;
}
