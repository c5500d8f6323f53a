/* GETMETADATA and SETMETADATA: RFC 5464.
 *
 * "/private/specialuse" is not stored but is the mailbox's uses (RFC 6154 4); "/shared/admin" of
 * the server is a setting. Everything else is what the store has. */
#include "imap/metadata.h"
#include "imap/search.h"

#include "base/text.h"

#include <limits.h>

#define SPECIAL_USE "/specialuse"
#define ADMIN       "/admin"

/* ---- entry names (3.2) ---- */

static bool is_vendor(Slice entry)
{
    return slice_starts(entry, S("/vendor/")) || slice_eq(entry, S("/vendor"));
}

static size_t components(Slice entry)
{
    size_t n = 0;
    for (size_t i = 0; i < entry.len; i++)
        n += entry.at[i] == '/';
    return n;
}

static bool has_bad_octet(Slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c < 0x20 || c >= 0x7f || c == '*' || c == '%') return true;
        if (c == '/' && (i + 1 == text.len || text.at[i + 1] == '/')) return true;
    }
    return false;
}

bool metadata_entry_parse(Arena *a, Slice text, bool prefix, MetadataEntry *out)
{
    static const Slice scopes[] = {
        {"/private", 8},
        {"/shared",  7}
    };
    if (has_bad_octet(text) || text.len > ANNOTATION_NAME_MOST) return false;
    for (size_t i = 0; i < COUNT(scopes); i++) {
        Slice rest = slice_from(text, scopes[i].len);
        if (!slice_starts_nocase(text, scopes[i]) || (rest.len && rest.at[0] != '/')) continue;
        char *lower = arena_alloc(a, rest.len + 1);
        for (size_t j = 0; j < rest.len; j++)
            lower[j] = (char)ascii_lower((unsigned char)rest.at[j]);
        *out = (MetadataEntry){.called = text, .entry = slice(lower, rest.len), .shared = i == 1};
        size_t least = is_vendor(out->entry) ? 3 : 1; /* behind the scope */
        return prefix || components(out->entry) >= least;
    }
    return false;
}

PARKS void metadata_entry(In *in, bool prefix, MetadataEntry *out)
{
    Slice text = imap_astring(in);
    *out = (MetadataEntry){0};
    if (imap_syntax(in)) return;
    if (!metadata_entry_parse(in->arena, text, prefix, out))
        imap_mistake(in, "That is no entry name of RFC 5464");
}

static MetadataEntry *add_entry(In *in, MetadataEntries *out)
{
    static MetadataEntry beyond;
    if (out->count == METADATA_ENTRIES_MOST) {
        imap_mistake(in, "Too many entries");
        return &beyond;
    }
    if (!out->list) out->list = arena_array(in->arena, MetadataEntry, METADATA_ENTRIES_MOST);
    return &out->list[out->count++];
}

PARKS void metadata_entries(In *in, bool prefix, MetadataEntries *out)
{
    if (!imap_see(in, "(")) {
        metadata_entry(in, prefix, add_entry(in, out));
        return;
    }
    do
        metadata_entry(in, prefix, add_entry(in, out));
    while (imap_see(in, " "));
    imap_need(in, ")");
}

/* ---- telling ---- */

static unsigned levels_below(Slice prefix, Slice entry)
{
    if (!slice_starts(entry, prefix)) return UINT_MAX;
    Slice rest = slice_from(entry, prefix.len);
    return rest.len && rest.at[0] != '/' ? UINT_MAX : (unsigned)components(rest);
}

typedef struct {
    Imap *s;
    Slice name;
    MetadataAsk *ask;
    bool begun;
} Telling;

static void tell_pair(Telling *t, const MetadataEntry *asked, Slice entry, Slice value)
{
    Buf *out = stream_out(t->s->stream);
    if (!t->begun) {
        buf_add(out, S("* METADATA "));
        imap_put_mailbox(t->s, out, t->name);
        buf_add(out, S(" ("));
    } else {
        buf_char(out, ' ');
    }
    t->begun = true;
    if (entry.len == asked->entry.len)
        imap_put_astring(out, asked->called);
    else
        imap_put_astring(out, arena_printf(&t->s->arena, "%s%.*s",
                                           asked->shared ? "/shared" : "/private", SP(entry)));
    buf_char(out, ' ');
    imap_put_value(out, value);
}

static void tell_asked(Telling *t, const MetadataEntry *asked, const Annotations *has)
{
    bool found = false;
    for (size_t i = 0; i < has->count; i++) {
        const Annotation *one = &has->list[i];
        unsigned depth = levels_below(asked->entry, one->entry);
        if (one->shared != asked->shared || depth == UINT_MAX || depth > t->ask->depth) continue;
        found = true;
        if (one->value.len > t->ask->max_size)
            t->ask->longest = MAX(t->ask->longest, one->value.len);
        else
            tell_pair(t, asked, one->entry, one->value);
    }
    if (!found && !t->ask->depth) tell_pair(t, asked, asked->entry, (Slice){0});
}

void metadata_tell(Imap *s, Slice name, MetadataAsk *ask, const Annotations *has)
{
    Telling t = {.s = s, .name = name, .ask = ask};
    for (size_t i = 0; i < ask->entries->count; i++)
        tell_asked(&t, &ask->entries->list[i], has);
    /* "Responses: required METADATA response" (4.2), which has at least one pair (5) */
    if (!t.begun && !ask->longest)
        tell_pair(&t, &ask->entries->list[0], ask->entries->list[0].entry, (Slice){0});
    if (t.begun) buf_add(stream_out(s->stream), S(")\r\n"));
}

/* ---- what exists ---- */

static void add_computed(Imap *s, Annotations *has, const char *entry, Slice value, bool shared)
{
    Annotation *list = arena_array(&s->arena, Annotation, has->count + 1);
    if (has->count) memcpy(list, has->list, has->count * sizeof *list);
    list[has->count] = (Annotation){slice_of(entry), value, shared};
    *has = (Annotations){list, has->count + 1};
}

static void add_special_use(Imap *s, const MailboxStatus *status, Annotations *has)
{
    const char *attribute = imap_role_attributes(&s->arena, status->role);
    if (attribute) add_computed(s, has, SPECIAL_USE, slice_of(attribute), false);
}

PARKS static Err of_mailbox(Imap *s, Slice name, Annotations *has)
{
    Mailbox *box scoped(mailbox) = NULL;
    TRY(imap_open(s, name, &box));
    TRY(mailbox_annotations(box, &s->arena, has));
    MailboxStatus status = mailbox_status(box);
    if (account_number(mailbox_account(box)) == s->user.acct) add_special_use(s, &status, has);
    return OK;
}

PARKS static Err of_server(Imap *s, Annotations *has)
{
    Annotations shared;
    imap_go(s, s->user.acct);
    TRY(account_annotations(s->account, 0, s->user.acct, &s->arena, has));
    TRY(store_annotations(s->config->store, &s->arena, &shared));
    Annotation *list = arena_array(&s->arena, Annotation, has->count + shared.count + 1);
    if (has->count) memcpy(list, has->list, has->count * sizeof *list);
    if (shared.count) memcpy(list + has->count, shared.list, shared.count * sizeof *list);
    *has = (Annotations){list, has->count + shared.count};
    Slice contact = s->config->administrator_contact;
    if (contact.len) add_computed(s, has, ADMIN, contact, true);
    return OK;
}

/* Our own without opening them, which reads their messages. */
PARKS static Err of_listed(Imap *s, Slice name, const MailboxStatus *status, Annotations *has)
{
    if (status->acct != s->user.acct) return of_mailbox(s, name, has);
    imap_go(s, s->user.acct);
    TRY(account_annotations(s->account, status->id, s->user.acct, &s->arena, has));
    add_special_use(s, status, has);
    return OK;
}

PARKS void metadata_tell_listed(Imap *s, Slice name, const MailboxStatus *status,
                                const MetadataEntries *entries)
{
    Annotations has;
    MetadataAsk ask = {.entries = entries, .max_size = UINT64_MAX};
    if (!of_listed(s, name, status, &has)) metadata_tell(s, name, &ask, &has);
}

/* ---- GETMETADATA ---- */

/* getmetadata-option: "MAXSIZE" SP number / "DEPTH" SP ("0" / "1" / "infinity") */
static bool options(In *in, MetadataAsk *ask)
{
    bool max = imap_see(in, "(MAXSIZE "), depth = !max && imap_see(in, "(DEPTH ");
    if (!max && !depth) return false;
    for (;;) {
        if (max)
            ask->max_size = imap_number(in);
        else if (imap_see(in, "INFINITY"))
            ask->depth = UINT_MAX;
        else if (imap_see(in, "1"))
            ask->depth = 1;
        else
            imap_need(in, "0");
        max = imap_see(in, " MAXSIZE ");
        if (!max && !imap_see(in, " DEPTH ")) break;
    }
    imap_need(in, ") ");
    return true;
}

/* getmetadata = "GETMETADATA" [SP getmetadata-options] SP mailbox SP entries. The examples of RFC
 * 5464 have the options behind the mailbox, and so have clients: we take both. */
Err imap_cmd_getmetadata(Imap *s)
{
    MetadataEntries entries = {0};
    MetadataAsk ask = {.entries = &entries, .max_size = UINT64_MAX};
    imap_space(s->in);
    (void)options(s->in, &ask);
    Slice as_sent, name = imap_mailbox(s->in, &as_sent);
    imap_space(s->in);
    (void)options(s->in, &ask);
    metadata_entries(s->in, true, &entries);
    TRY(imap_end(s->in));

    Annotations has;
    TRY(name.len ? of_mailbox(s, name, &has) : of_server(s, &has));
    metadata_tell(s, as_sent, &ask, &has);
    if (!ask.longest) return imap_ok(s, "GETMETADATA completed");
    return imap_ok(s, "[METADATA LONGENTRIES %llu] GETMETADATA completed",
                   (unsigned long long)ask.longest);
}

/* ---- SETMETADATA ---- */

typedef struct {
    Annotations list;
    bool shared, has_admin, has_special_use;
    Slice special_use; /* at NULL: NIL */
} Setting;

/* The entries that are not stored are taken out. */
static void add_setting(Setting *set, const MetadataEntry *e, Slice value, bool server)
{
    if (e->shared) set->shared = true;
    if (server && e->shared && slice_eq(e->entry, S(ADMIN))) {
        set->has_admin = true;
    } else if (!server && !e->shared && slice_eq(e->entry, S(SPECIAL_USE))) {
        set->has_special_use = true;
        set->special_use = value;
    } else {
        set->list.list[set->list.count++] = (Annotation){e->entry, value, e->shared};
    }
}

/* entry-values = "(" entry-value *(SP entry-value) ")"; entry-value = entry SP value */
PARKS static void entry_values(In *in, Setting *set, bool server)
{
    size_t count = 0;
    set->list.list = arena_array(in->arena, Annotation, METADATA_ENTRIES_MOST);
    imap_need(in, "(");
    do {
        MetadataEntry entry;
        metadata_entry(in, false, &entry);
        imap_space(in);
        Slice value = imap_value(in);
        if (count++ == METADATA_ENTRIES_MOST) imap_mistake(in, "Too many entries");
        if (!imap_syntax(in)) add_setting(set, &entry, value, server);
    } while (imap_see(in, " "));
    imap_need(in, ")");
}

/* A space-separated list of attributes (RFC 6154 4), or NIL. */
static bool read_uses(Slice text, Role *uses)
{
    Slice word;
    Role one;
    while (slice_cut(&text, ' ', &word)) {
        if (!imap_role_named(word, &one)) return false;
        *uses = role_with(*uses, one);
    }
    return true;
}

PARKS static Err set_of_mailbox(Imap *s, Slice name, const Setting *set)
{
    Mailbox *box scoped(mailbox) = NULL;
    Role role = ROLE_NONE;
    if (set->has_special_use && !read_uses(set->special_use, &role))
        return imap_no(s, "[USEATTR] That special use is not supported");
    TRY(imap_open(s, name, &box));
    TRY(mailbox_annotate(box, &set->list, set->has_special_use ? &role : NULL));
    return imap_ok(s, "SETMETADATA completed");
}

/* RFC 5466 3.2 */
PARKS static bool has_good_filters(Imap *s, const Annotations *set)
{
    for (size_t i = 0; i < set->count; i++) {
        const Annotation *one = &set->list[i];
        bool is_filter = slice_starts(one->entry, S("/filters/values/")) && one->value.at;
        if (is_filter && !search_is_program(s, one->value)) return false;
    }
    return true;
}

/* Private ones are everybody's own; shared ones are for administrators. */
PARKS static Err set_of_server(Imap *s, const Setting *set)
{
    if (set->has_admin) return imap_no(s, "[CANNOT] /shared/admin is read-only");
    if (set->shared && !imap_is_administrator(s))
        return imap_no(s, "[NOPERM] The server's shared entries are for administrators");
    if (!has_good_filters(s, &set->list))
        return imap_no(s, "[CANNOT] A filter has to be a search program");
    Annotations *of[2] = {&(Annotations){0}, &(Annotations){0}};
    for (int i = 0; i < 2; i++)
        of[i]->list = arena_array(&s->arena, Annotation, set->list.count);
    for (size_t i = 0; i < set->list.count; i++) {
        Annotations *to = of[set->list.list[i].shared];
        to->list[to->count++] = set->list.list[i];
    }
    imap_go(s, 0); /* so that the change is known as our own (notify_watch.c) */
    if (of[1]->count) TRY(store_annotate(s->config->store, of[1]));
    imap_go(s, s->user.acct);
    if (of[0]->count) TRY(account_annotate(s->account, of[0]));
    return imap_ok(s, "SETMETADATA completed");
}

/* 4.3: why it could not be set. */
PARKS static Err refused(Imap *s, Err err)
{
    if (err == ERR_TOO_BIG)
        return imap_no(s, "[METADATA MAXSIZE %llu] The value is too long",
                       (unsigned long long)annotation_value_most(s->config->store));
    if (err == ERR_LIMIT) return imap_no(s, "[METADATA TOOMANY] There are too many entries");
    if (err == ERR_CANNOT) return imap_no(s, "[USEATTR] The mailbox cannot have that special use");
    return err;
}

/* setmetadata = "SETMETADATA" SP mailbox SP entry-values */
Err imap_cmd_setmetadata(Imap *s)
{
    Setting set = {0};
    imap_space(s->in);
    Slice name = imap_mailbox(s->in, NULL);
    imap_space(s->in);
    entry_values(s->in, &set, !name.len);
    Err err = imap_end(s->in);
    if (err) return err == ERR_TOO_BIG ? refused(s, err) : err;
    err = name.len ? set_of_mailbox(s, name, &set) : set_of_server(s, &set);
    return err ? refused(s, err) : OK;
}
