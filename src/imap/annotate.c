#include "imap/annotate.h"

#include "base/text.h"
#include "imap/pattern.h"
#include "mail/casemap.h"

/* ---- parts ---- */

/* "/1.2/comment": the numbers. 0: it is about the whole message. */
static size_t part_of(Slice entry, uint32_t path[MAIL_DEPTH_MOST])
{
    size_t depth = 0;
    Slice part = slice_from(entry, 1), number;
    if (!part.len || !is_digit((unsigned char)part.at[0])) return 0;
    part = slice_first(part, slice_find(part, '/'));
    while (depth < MAIL_DEPTH_MOST && slice_cut(&part, '.', &number)) {
        uint64_t n = 0;
        if (!slice_to_u64(number, &n) || n > UINT32_MAX) return 0; /* it has a wildcard */
        path[depth++] = (uint32_t)n;
    }
    return depth;
}

PARKS static bool has_parts(Imap *s, const Message *m, const Slice *entries, size_t count)
{
    Arena arena arena_scoped = {0};
    MailSummary summary;
    if (section_summary(mailbox_account(s->box), m, true, &arena, &summary)) return true;
    for (size_t i = 0; i < count; i++) {
        uint32_t path[MAIL_DEPTH_MOST];
        uint16_t number;
        size_t depth = part_of(entries[i], path);
        if (depth && mail_part_find(&summary, path, depth, &number)) return false;
    }
    return true;
}

PARKS void annotate_check_parts(Imap *s, const UidSet *uids, const Slice *entries, size_t count)
{
    bool any = false;
    uint32_t path[MAIL_DEPTH_MOST];
    for (size_t i = 0; i < count; i++)
        any = any || part_of(entries[i], path);
    Message m;
    bool gone;
    for (uint32_t uid = 1; any && uidset_next(uids, &uid); uid++) {
        if (!view_next(s->view, uid, &m, NULL, &gone)) return;
        uid = m.uid;
        if (uidset_has(uids, uid) && !gone && !has_parts(s, &m, entries, count))
            imap_mistake(s->in, "There is no such part");
        if (uid == UINT32_MAX || imap_syntax(s->in)) return;
        breathe();
    }
}

PARKS void annotate_check_item(Imap *s, const UidSet *uids, const AnnotateItem *item)
{
    annotate_check_parts(s, uids, item->entries, item->entry_count);
}

/* ---- FETCH ---- */

static const Annotation *find(const Annotations *has, Slice entry, bool shared)
{
    for (size_t i = 0; i < has->count; i++)
        if (has->list[i].shared == shared && slice_eq(has->list[i].entry, entry))
            return &has->list[i];
    return NULL;
}

static void put_attribute(Buf *out, bool size, const char *suffix, const Annotation *one)
{
    buf_add(out, size ? S("size") : S("value"));
    buf_add(out, slice_of(suffix));
    buf_char(out, ' ');
    if (size)
        buf_printf(out, "\"%zu\"", one ? one->value.len : 0);
    else
        imap_put_value(out, one ? one->value : (Slice){0});
}

/* entry-att: without a suffix private and shared ones, in this order (4.4). */
static void put_entry(Buf *out, const AnnotateItem *item, Slice entry, const Annotations *has)
{
    imap_put_astring(out, entry);
    buf_add(out, S(" ("));
    bool some = false;
    for (size_t i = 0; i < item->attribute_count; i++) {
        const AnnotateAttribute *a = &item->attributes[i];
        for (int shared = 0; shared < 2; shared++) {
            if (!(a->scope & (shared ? ANNOTATE_SHARED : ANNOTATE_PRIVATE))) continue;
            if (some) buf_char(out, ' ');
            some = true;
            put_attribute(out, a->size, shared ? ".shared" : ".priv", find(has, entry, shared));
        }
    }
    buf_char(out, ')');
}

static AnnotateScope scopes_of(const AnnotateItem *item)
{
    unsigned scopes = 0;
    for (size_t i = 0; i < item->attribute_count; i++)
        scopes |= item->attributes[i].scope;
    return (AnnotateScope)scopes;
}

static bool in_scope(const Annotation *one, AnnotateScope scope)
{
    return scope & (one->shared ? ANNOTATE_SHARED : ANNOTATE_PRIVATE);
}

static bool is_pattern(Slice entry)
{
    return slice_find(entry, '*') < entry.len || slice_find(entry, '%') < entry.len;
}

static bool is_asked(const AnnotateItem *item, size_t before, Slice entry)
{
    for (size_t i = 0; i < before; i++)
        if (is_pattern(item->entries[i]) ? imap_pattern_matches(item->entries[i], entry)
                                         : slice_eq(item->entries[i], entry))
            return true;
    return false;
}

static void begin_entry(Buf *out, size_t *told)
{
    buf_add(out, (*told)++ ? S(" ") : S("ANNOTATION ("));
}

/* Those that a pattern matches: which exist, each once. */
static void put_matching(Buf *out, const AnnotateItem *item, size_t index, const Annotations *has,
                         size_t *told)
{
    for (size_t i = 0; i < has->count; i++) {
        const Annotation *one = &has->list[i];
        bool twice = false;
        for (size_t j = 0; j < i; j++)
            twice = twice || (in_scope(&has->list[j], scopes_of(item)) &&
                              slice_eq(has->list[j].entry, one->entry));
        if (twice || !in_scope(one, scopes_of(item)) || is_asked(item, index, one->entry)) continue;
        if (!imap_pattern_matches(item->entries[index], one->entry)) continue;
        begin_entry(out, told);
        put_entry(out, item, one->entry, has);
    }
}

/* An entry that is named and does not exist has NIL and "0" (3.2.2). */
PARKS bool annotate_put(Fetching *f, const AnnotateItem *item)
{
    Annotations has;
    size_t told = 0;
    Err err = message_annotations(f->s->box, &f->m, &f->arena, &has);
    if (err) {
        if (!f->trouble) f->trouble = err;
        return false;
    }
    Buf *out = stream_out(f->s->stream);
    for (size_t i = 0; i < item->entry_count; i++) {
        if (is_pattern(item->entries[i])) {
            put_matching(out, item, i, &has, &told);
        } else if (!is_asked(item, i, item->entries[i])) {
            begin_entry(out, &told);
            put_entry(out, item, item->entries[i], &has);
        }
    }
    if (told) buf_char(out, ')');
    return told > 0;
}

/* ---- STORE, APPEND ---- */

const char *annotate_refusal(Err err)
{
    if (err == ERR_TOO_BIG) return "[ANNOTATE TOOBIG] The value is too long";
    if (err == ERR_LIMIT) return "[ANNOTATE TOOMANY] The message has too many annotations";
    return NULL;
}

Err annotate_check(Imap *s, const Annotations *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->list[i].value.len > annotation_value_most(s->config->store))
            return fail(ERR_TOO_BIG, "an annotation");
    return OK;
}

PARKS Err annotate_store(Imap *s, const UidSet *uids, const Annotations *set,
                         const uint64_t *unchanged_since, UidSet *modified, uint64_t *modseq)
{
    Slice *entries = arena_array(&s->arena, Slice, set->count);
    for (size_t i = 0; i < set->count; i++)
        entries[i] = set->list[i].entry;
    annotate_check_parts(s, uids, entries, set->count);
    TRY(imap_syntax(s->in));
    return mailbox_annotate_messages(s->box, uids, set, unchanged_since, &s->arena, modified,
                                     modseq);
}

/* ---- SEARCH, SORT ---- */

PARKS bool annotate_matches(Mailbox *box, const Message *m, Slice pattern, AnnotateScope scope,
                            Slice folded, Arena *a)
{
    Annotations has;
    if (!(m->marks & MARK_ANNOTATED) || message_annotations(box, m, a, &has)) return false;
    for (size_t i = 0; i < has.count; i++) {
        const Annotation *one = &has.list[i];
        Buf value buf_scoped = {0};
        if (!in_scope(one, scope) || !imap_pattern_matches(pattern, one->entry)) continue;
        casemap(&value, one->value);
        if (casemap_contains(buf_slice(&value), folded)) return true;
    }
    return false;
}

PARKS Slice annotate_value_of(Mailbox *box, const Message *m, Slice entry, bool shared, Arena *a)
{
    Annotations has;
    if (!(m->marks & MARK_ANNOTATED) || message_annotations(box, m, a, &has)) return S("");
    const Annotation *one = find(&has, entry, shared);
    return one ? one->value : S("");
}

/* ---- SELECT ---- */

/* ann-size = "NONE" / (("READ-ONLY" / nz-number) [SP "NOPRIVATE"]) */
void annotate_describe(Imap *s)
{
    if (mailbox_status(s->box).kept)
        imap_say(s, "OK [ANNOTATIONS NONE] No annotations here");
    else if (s->read_only)
        imap_say(s, "OK [ANNOTATIONS READ-ONLY] Annotations can be read");
    else
        imap_say(s, "OK [ANNOTATIONS %llu] Octets of a value",
                 (unsigned long long)annotation_value_most(s->config->store));
}
