#include "imap/sync_client.h"
#include "base/scan.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the trace ---- */

static void trace(SyncClient *c, const char *side, Slice line)
{
    char *to = c->trace[c->traced++ % TRACE_LINES];
    snprintf(to, TRACE_OCTETS, "%s %.*s", side,
             SP(slice_first(slice_trim(line), TRACE_OCTETS - 8)));
}

_Noreturn void sync_failed(const SyncClient *c, const char *fmt, ...)
{
    va_list args;
    for (unsigned i = c->traced > TRACE_LINES ? c->traced - TRACE_LINES : 0; i < c->traced; i++)
        fprintf(stderr, "  %s\n", c->trace[i % TRACE_LINES]);
    for (uint32_t i = 0; i < c->count; i++)
        fprintf(stderr, "%u:%02x ", c->view[i].uid, c->view[i].flags);
    fprintf(stderr, "\nseed %llu, client %u of kind %d: ", (unsigned long long)c->seed, c->number,
            (int)c->kind);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\n");
    _Exit(3);
}

bool sync_by_uid(const SyncClient *c)
{
    return c->kind == UIDONLY || c->kind == NOTIFYING || c->kind == NOTIFYING_UIDONLY;
}

bool sync_notifies(const SyncClient *c)
{
    return c->kind == NOTIFYING || c->kind == NOTIFYING_UIDONLY;
}

bool sync_is_uid_only(const SyncClient *c)
{
    return c->kind == UIDONLY || c->kind == NOTIFYING_UIDONLY;
}

static bool has_vanished(const SyncClient *c)
{
    return sync_is_uid_only(c) || c->kind == QRESYNC;
}

/* ---- the view ---- */

Entry *sync_entry(SyncClient *c, uint32_t uid)
{
    for (uint32_t i = 0; i < c->count; i++)
        if (c->view[i].uid == uid) return &c->view[i];
    return NULL;
}

static void remove_at(SyncClient *c, uint32_t at)
{
    memmove(&c->view[at], &c->view[at + 1], (c->count - at - 1) * sizeof(Entry));
    c->count--;
}

static void exists(SyncClient *c, uint32_t count)
{
    if (count < c->count) sync_failed(c, "EXISTS %u, but there were %u", count, c->count);
    if (count > ENTRIES_MOST) sync_failed(c, "EXISTS %u", count);
    while (c->count < count)
        c->view[c->count++] = (Entry){0};
}

static void expunge(SyncClient *c, uint32_t number)
{
    if (has_vanished(c)) sync_failed(c, "EXPUNGE, but VANISHED was agreed on");
    if (c->no_expunge) sync_failed(c, "EXPUNGE while numbers are used");
    if (!number || number > c->count) sync_failed(c, "EXPUNGE %u of %u", number, c->count);
    remove_at(c, number - 1);
}

/* One of those that were only counted: behind every smaller uid that is known. */
static void remove_counted(SyncClient *c, uint32_t uid)
{
    uint32_t at = c->count;
    while (at && !(c->view[at - 1].uid && c->view[at - 1].uid < uid))
        at--;
    while (at < c->count && c->view[at].uid)
        at++;
    if (at == c->count) sync_failed(c, "VANISHED %u, which is not there", uid);
    remove_at(c, at);
}

static void forget_old(SyncClient *c, uint32_t uid)
{
    for (uint32_t i = 0; i < c->old_count; i++) {
        if (c->old[i].uid != uid) continue;
        memmove(&c->old[i], &c->old[i + 1], (c->old_count - i - 1) * sizeof(Entry));
        c->old_count--;
        return;
    }
}

static void vanished(SyncClient *c, Slice set, bool earlier)
{
    if (!has_vanished(c)) sync_failed(c, "VANISHED was not agreed on");
    if (!earlier && c->no_expunge) sync_failed(c, "VANISHED while numbers are used");
    for (Slice part; slice_cut(&set, ',', &part);) {
        Scan s = scan(part);
        uint32_t first = scan_number(&s), last = first;
        if (scan_see(&s, ':')) last = scan_number(&s);
        if (scan_end(&s) || !first || last < first) sync_failed(c, "VANISHED set");
        for (uint32_t uid = first; uid <= last; uid++) {
            Entry *e = earlier ? NULL : sync_entry(c, uid);
            if (earlier)
                forget_old(c, uid);
            else if (e)
                remove_at(c, (uint32_t)(e - c->view));
            else
                remove_counted(c, uid);
        }
    }
}

/* ---- FETCH ---- */

static const struct {
    const char *name;
    uint8_t flag;
} flag_names[] = {
    {"\\Seen",     FLAG_SEEN    },
    {"\\Answered", FLAG_ANSWERED},
    {"\\Flagged",  FLAG_FLAGGED },
    {"\\Deleted",  FLAG_DELETED },
    {"\\Draft",    FLAG_DRAFT   },
    {"k1",         FLAG_K1      },
    {"k2",         FLAG_K2      },
    {"k3",         FLAG_K3      },
};

static uint8_t flags_of(const SyncClient *c, Slice list)
{
    uint8_t flags = 0;
    for (Slice word; slice_cut(&list, ' ', &word);) {
        size_t i = 0;
        while (i < COUNT(flag_names) && !slice_eq(word, slice_of(flag_names[i].name)))
            i++;
        if (i < COUNT(flag_names))
            flags |= flag_names[i].flag;
        else if (!slice_eq(word, S("\\Recent")) || c->kind == REV2)
            sync_failed(c, "the flag %.*s", SP(word));
    }
    return flags;
}

typedef struct {
    uint32_t uid;
    uint8_t flags;
    bool has_flags;
    uint64_t modseq;
} Items;

static Slice until(const SyncClient *c, Slice *rest, char end)
{
    size_t at = slice_find(*rest, end);
    if (at == rest->len) sync_failed(c, "no %c in a FETCH", end);
    Slice before = slice_first(*rest, at);
    *rest = slice_from(*rest, at + 1);
    return before;
}

/* "UID n FLAGS (...) MODSEQ (n) BODY[TEXT] {n}", in any order; the literal was read away already.
 */
static Items items_of(SyncClient *c, Slice text)
{
    Items items = {0};
    uint64_t n;
    while (text.len) {
        if (text.at[0] == ' ') text = slice_from(text, 1);
        Slice name = until(c, &text, ' ');
        if (slice_eq(name, S("FLAGS"))) {
            (void)until(c, &text, '(');
            items.flags = flags_of(c, until(c, &text, ')'));
            items.has_flags = true;
        } else if (slice_eq(name, S("MODSEQ"))) {
            (void)until(c, &text, '(');
            if (!slice_to_u64(until(c, &text, ')'), &items.modseq)) sync_failed(c, "a MODSEQ");
        } else if (slice_eq(name, S("UID"))) {
            size_t end = 0;
            while (end < text.len && text.at[end] >= '0' && text.at[end] <= '9')
                end++;
            if (!slice_to_u64(slice_first(text, end), &n) || !n) sync_failed(c, "a UID");
            items.uid = (uint32_t)n;
            text = slice_from(text, end);
        } else if (slice_eq(name, S("BODY[TEXT]"))) {
            (void)until(c, &text, '}');
        } else {
            sync_failed(c, "the FETCH item %.*s", SP(name));
        }
    }
    return items;
}

/* A message that is new to a client without numbers: EXISTS has made room at the end. */
static Entry *place_for(SyncClient *c, uint32_t uid)
{
    Entry *e = sync_entry(c, uid), *room = sync_entry(c, 0);
    if (e) return e;
    if (!room) sync_failed(c, "UIDFETCH of uid %u, which is not there", uid);
    for (; room > c->view && room[-1].uid > uid; room--)
        *room = room[-1];
    *room = (Entry){.uid = uid};
    return room;
}

static Entry *entry_of(SyncClient *c, uint32_t number, const Items *items)
{
    if (sync_is_uid_only(c)) {
        if (items->uid && items->uid != number) sync_failed(c, "UIDFETCH with another UID");
        return place_for(c, number);
    }
    if (!number || number > c->count) sync_failed(c, "FETCH %u of %u", number, c->count);
    Entry *e = &c->view[number - 1];
    if (items->uid && e->uid && e->uid != items->uid)
        sync_failed(c, "message %u was uid %u and is %u", number, e->uid, items->uid);
    if (items->uid) e->uid = items->uid;
    for (uint32_t i = 1; items->uid && i < c->count; i++)
        if (c->view[i].uid && c->view[i - 1].uid >= c->view[i].uid)
            sync_failed(c, "UIDs do not ascend at %u", i);
    return e;
}

static void fetched(SyncClient *c, uint32_t number, Slice text)
{
    Items items = items_of(c, text);
    Entry *e = entry_of(c, number, &items);
    if (items.has_flags) e->flags = items.flags, e->flags_known = true;
    if (items.modseq && items.modseq < e->modseq) sync_failed(c, "MODSEQ went back");
    if (items.modseq) e->modseq = items.modseq;
    c->modseq = MAX(c->modseq, items.modseq);
}

/* ---- STATUS, LIST, SEARCH ---- */

static int index_of(const char *const *names, int count, Slice name)
{
    for (int i = 0; i < count; i++)
        if (slice_eq_nocase(name, slice_of(names[i]))) return i;
    return -1;
}

static void status(SyncClient *c, Slice rest)
{
    Slice name = until(c, &rest, ' '), value, item;
    int box = index_of(c->boxes, BOXES, name);
    (void)until(c, &rest, '(');
    Slice list = until(c, &rest, ')');
    if (box < 0) return;
    while (slice_cut(&list, ' ', &item) && slice_cut(&list, ' ', &value)) {
        uint64_t n;
        if (!slice_to_u64(value, &n)) sync_failed(c, "a STATUS");
        Told *t = &c->told[box];
        t->known = true;
        if (slice_eq(item, S("MESSAGES"))) t->messages = (uint32_t)n;
        if (slice_eq(item, S("UIDNEXT"))) t->uid_next = (uint32_t)n;
        if (slice_eq(item, S("UNSEEN"))) t->unseen = (uint32_t)n;
    }
}

static int spare_of(Slice name)
{
    bool ours = name.len == 2 && name.at[0] == 'x' && name.at[1] >= '0' && name.at[1] < '0' + NAMES;
    return ours ? name.at[1] - '0' : -1;
}

/* "(\Subscribed \HasNoChildren) "/" x1 ("OLDNAME" (x2))" */
static void list(SyncClient *c, Slice rest)
{
    (void)until(c, &rest, '(');
    Slice attributes = until(c, &rest, ')');
    rest = slice_from(rest, 5);
    Slice name, old;
    if (!slice_cut(&rest, ' ', &name)) sync_failed(c, "a LIST");
    int at = spare_of(name);
    if (at < 0) return;
    c->names[at] = slice_find_slice(attributes, S("\\NonExistent")) == attributes.len;
    c->subscribed[at] = slice_find_slice(attributes, S("\\Subscribed")) < attributes.len;
    if (!slice_starts(rest, S("(\"OLDNAME\" ("))) return;
    rest = slice_from(rest, 12);
    old = until(c, &rest, ')');
    if (spare_of(old) >= 0) c->names[spare_of(old)] = false;
}

static void search(SyncClient *c, Slice rest)
{
    uint64_t n;
    c->found_count = 0;
    for (Slice word; slice_cut(&rest, ' ', &word);)
        if (slice_to_u64(word, &n))
            c->found[c->found_count++] = (uint32_t)n;
        else
            return; /* "(MODSEQ n)" */
}

static void esearch(SyncClient *c, Slice rest)
{
    size_t at = slice_find_slice(rest, S(" ALL "));
    c->found_count = 0;
    if (at == rest.len) return;
    Slice set = slice_from(rest, at + 5), part;
    set = slice_first(set, slice_find(set, ' '));
    while (slice_cut(&set, ',', &part)) {
        Scan s = scan(part);
        uint32_t first = scan_number(&s), last = first;
        if (scan_see(&s, ':')) last = scan_number(&s);
        for (uint32_t n = first; n <= last; n++)
            c->found[c->found_count++] = n;
    }
}

/* ---- a response ---- */

static uint64_t code_number(Slice line, Slice code)
{
    uint64_t n = 0;
    size_t at = slice_find_slice(line, code);
    if (at == line.len) return 0;
    line = slice_from(line, at + code.len);
    return slice_to_u64(slice_first(line, slice_find(line, ']')), &n) ? n : 0;
}

static void codes(SyncClient *c, Slice line)
{
    uint64_t n;
    if ((n = code_number(line, S("[HIGHESTMODSEQ ")))) c->modseq = MAX(c->modseq, n);
    if ((n = code_number(line, S("[UIDVALIDITY ")))) c->validity = (uint32_t)n;
    if ((n = code_number(line, S("[UIDNEXT ")))) c->uid_next = (uint32_t)n;
    if (slice_find_slice(line, S("[CLOSED]")) < line.len) c->count = 0;
    if (slice_find_slice(line, S("NOTIFICATIONOVERFLOW")) < line.len)
        sync_failed(c, "NOTIFY has overflowed");
}

static void numbered(SyncClient *c, uint32_t number, Slice rest)
{
    Slice fetch = sync_is_uid_only(c) ? S("UIDFETCH (") : S("FETCH (");
    if (slice_eq(rest, S("EXISTS")))
        exists(c, number);
    else if (slice_eq(rest, S("EXPUNGE")))
        expunge(c, number);
    else if (slice_starts(rest, fetch) && slice_ends(rest, S(")")))
        fetched(c, number, slice_first(slice_from(rest, fetch.len), rest.len - fetch.len - 1));
    else if (!slice_eq(rest, S("RECENT")) || c->kind == REV2)
        sync_failed(c, "%u %.*s", number, SP(rest));
}

static void untagged(SyncClient *c, Slice line)
{
    Slice rest = line, word;
    uint64_t n;
    if (!slice_cut(&rest, ' ', &word)) sync_failed(c, "an empty response");
    if (slice_to_u64(word, &n))
        numbered(c, (uint32_t)n, rest);
    else if (slice_eq(word, S("VANISHED")) && slice_starts(rest, S("(EARLIER) ")))
        vanished(c, slice_from(rest, 10), true);
    else if (slice_eq(word, S("VANISHED")))
        vanished(c, rest, false);
    else if (slice_eq(word, S("STATUS")))
        status(c, rest);
    else if (slice_eq(word, S("LIST")))
        list(c, rest);
    else if (slice_eq(word, S("SEARCH")))
        search(c, rest);
    else if (slice_eq(word, S("ESEARCH")))
        esearch(c, rest);
    else if (slice_eq(word, S("OK")) || slice_eq(word, S("PREAUTH")))
        codes(c, rest);
    else if (!slice_eq(word, S("FLAGS")) && !slice_eq(word, S("ENABLED")) &&
             !slice_eq(word, S("BYE")))
        sync_failed(c, "%.*s", SP(line));
}

/* A line, and the literals in it read away, leaving "{n}". False: nothing came. */
PARKS static bool read_line(SyncClient *c, Buf *line)
{
    for (;;) {
        Slice part;
        LineEnd end = stream_line(c->stream, 64 * 1024, &part);
        if (end == LINE_NONE) return false;
        if (end != LINE_CRLF) sync_failed(c, "a line that does not end with CRLF");
        buf_add(line, part);
        size_t open = slice_find_last(buf_slice(line), '{');
        uint64_t n;
        bool literal = line->len && line->at[line->len - 1] == '}' &&
                       slice_to_u64(slice(line->at + open + 1, line->len - open - 2), &n);
        if (!literal) return true;
        if (!stream_skip(c->stream, n)) return false;
    }
}

/* True: it was the tagged line. */
PARKS static bool hear(SyncClient *c)
{
    Buf line buf_scoped = {0};
    if (!read_line(c, &line)) sync_failed(c, "nothing more comes");
    Slice text = buf_slice(&line);
    trace(c, "S:", text);
    if (slice_starts(text, S("* "))) {
        untagged(c, slice_from(text, 2));
        return false;
    }
    if (slice_starts(text, S("+"))) return false;
    char tag[16];
    snprintf(tag, sizeof tag, "t%u ", c->tag);
    if (!slice_starts(text, slice_of(tag))) sync_failed(c, "not our tag: %.*s", SP(text));
    text = slice_from(text, strlen(tag));
    codes(c, text);
    snprintf(c->done, sizeof c->done, "%.*s", SP(slice_first(text, sizeof c->done - 1)));
    return true;
}

/* ---- commands ---- */

PRINTF(2, 0)
PARKS static void vsend(SyncClient *c, const char *fmt, va_list args)
{
    Buf line buf_scoped = {0};
    buf_printf(&line, "t%u ", ++c->tag);
    buf_vprintf(&line, fmt, args);
    buf_add(&line, S("\r\n"));
    trace(c, "C:", buf_slice(&line));
    Slice name = slice_from(buf_slice(&line), slice_find(buf_slice(&line), ' ') + 1);
    c->no_expunge = slice_starts(name, S("FETCH")) || slice_starts(name, S("STORE")) ||
                    slice_starts(name, S("SEARCH"));
    stream_put(c->stream, buf_slice(&line));
    (void)stream_flush(c->stream);
}

void sync_send(SyncClient *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsend(c, fmt, args);
    va_end(args);
}

bool sync_finish(SyncClient *c)
{
    stream_set_deadline(c->stream, now_ms() + 60 * 1000);
    while (!hear(c)) {
    }
    c->no_expunge = false;
    return slice_starts(slice_of(c->done), S("OK"));
}

bool sync_ask(SyncClient *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsend(c, fmt, args);
    va_end(args);
    return sync_finish(c);
}

void sync_listen(SyncClient *c)
{
    stream_set_deadline(c->stream, now_ms() + 60 * 1000);
    while (stream_buffered(c->stream) || stream_wait(c->stream, now_ms()) == WOKEN_READY)
        if (hear(c)) sync_failed(c, "a tagged line that nobody waits for");
}

void sync_greeting(SyncClient *c)
{
    stream_set_deadline(c->stream, now_ms() + 60 * 1000);
    if (hear(c)) sync_failed(c, "that is no greeting");
}
