/* What FETCH asks for: RFC 9051 9, fetch-att, section, fetch-modifiers. */
#include "imap/annotate.h"

#include "base/text.h"

enum { ITEMS_MOST = 200, FIELDS_MOST = 500 };

/* ---- section: RFC 9051 9, section = "[" [section-spec] "]" ---- */

/* section-part = nz-number *("." nz-number) */
static void part(In *in, Arena *a, Section *out, Buf *name)
{
    uint32_t *path = NULL;
    while (is_digit((unsigned char)MAX(imap_peek(in), 0))) {
        if (out->depth == MAIL_DEPTH_MOST) {
            imap_mistake(in, "Too many part numbers");
            return;
        }
        if (!path) path = arena_array(a, uint32_t, MAIL_DEPTH_MOST);
        path[out->depth++] = imap_nz_number(in);
        buf_number(name, path[out->depth - 1]);
        if (!imap_see(in, ".")) break;
        buf_char(name, '.');
    }
    out->path = path;
}

static void *grown(Arena *a, const void *old, size_t used, size_t room)
{
    void *more = arena_alloc(a, room);
    if (used) memcpy(more, old, used);
    return more;
}

/* header-list = "(" header-fld-name *(SP header-fld-name) ")" */
PARKS static void header_list(In *in, Arena *a, Section *out, Buf *name)
{
    Slice *fields = NULL;
    size_t room = 0;
    imap_need(in, " (");
    buf_add(name, S(" ("));
    do {
        if (out->field_count == FIELDS_MOST) {
            imap_mistake(in, "Too many header fields");
            return;
        }
        if (out->field_count == room) {
            room = MAX(room * 2, (size_t)8);
            fields = grown(a, fields, out->field_count * sizeof *fields, room * sizeof *fields);
        }
        if (out->field_count) buf_char(name, ' ');
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the first turn made room */
        fields[out->field_count] = imap_astring(in);
        imap_put_astring(name, fields[out->field_count++]);
    } while (imap_see(in, " "));
    imap_need(in, ")");
    buf_char(name, ')');
    out->fields = fields;
}

/* section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"; section-text adds
 * "MIME" behind numbers */
PARKS static void msgtext(In *in, Arena *a, Section *out, Buf *name)
{
    static const struct {
        const char *word;
        SectionText text;
    } words[] = {
        {"HEADER.FIELDS.NOT", SECTION_FIELDS_NOT},
        {"HEADER.FIELDS",     SECTION_FIELDS    },
        {"HEADER",            SECTION_HEADER    },
        {"TEXT",              SECTION_TEXT      },
        {"MIME",              SECTION_MIME      }
    };
    for (size_t i = 0; i < COUNT(words); i++) {
        if ((words[i].text == SECTION_MIME && !out->depth) || !imap_see(in, words[i].word))
            continue;
        out->text = words[i].text;
        buf_add(name, slice_of(words[i].word));
        if (out->text == SECTION_FIELDS || out->text == SECTION_FIELDS_NOT)
            header_list(in, a, out, name);
        return;
    }
    imap_mistake(in, "Unknown section");
}

PARKS static void section(In *in, Arena *a, Section *out, Buf *name)
{
    imap_need(in, "[");
    buf_char(name, '[');
    part(in, a, out, name);
    bool behind_dot = out->depth && name->at[name->len - 1] == '.';
    if (imap_peek(in) != ']' && out->depth && !behind_dot)
        imap_mistake(in, "Unknown section");
    else if (imap_peek(in) != ']' || behind_dot)
        msgtext(in, a, out, name);
    imap_need(in, "]");
    buf_char(name, ']');
}

/* A literal cannot be part of it: none ends the line, as "]" is there. */
Err fetch_section_spec(Arena *a, Slice spec, Section *out)
{
    Buf name buf_scoped = {0};
    In in = {.arena = a, .scan = scan(arena_printf(a, "[%.*s]", SP(spec)))};
    *out = (Section){0};
    section(&in, a, out, &name);
    return imap_end(&in);
}

/* partial = "<" number64 "." nz-number64 ">" */
static void partial(In *in, FetchItem *item)
{
    if (!imap_see(in, "<")) return;
    item->partial = true;
    item->offset = imap_number64(in);
    imap_need(in, ".");
    item->most = imap_number64(in);
    if (!item->most) imap_mistake(in, "A partial fetch of no octets");
    imap_need(in, ">");
}

/* ---- fetch-att ---- */

static FetchItem *add(Imap *s, Fetch *f, ItemType type)
{
    static FetchItem beyond;
    if (f->count == ITEMS_MOST) {
        imap_mistake(s->in, "Too many data items");
        return &beyond;
    }
    bool full = !(f->count & (f->count - 1)) && (!f->count || f->count >= 8);
    if (full)
        f->items = grown(&s->arena, f->items, f->count * sizeof *f->items,
                         MAX(f->count * 2, (size_t)8) * sizeof *f->items);
    f->has |= 1u << type;
    f->items[f->count] = (FetchItem){.type = type};
    return &f->items[f->count++];
}

PARKS static void sectioned(Imap *s, Fetch *f, ItemType type, const char *word, bool peek)
{
    Buf name buf_scoped = {0};
    FetchItem item = {.type = type};
    buf_add(&name, slice_of(word));
    section(s->in, &s->arena, &item.section, &name);
    if (type != ITEM_SECTION && item.section.text != SECTION_WHOLE)
        imap_mistake(s->in, "BINARY takes part numbers only");
    if (type != ITEM_BINARY_SIZE) partial(s->in, &item);
    item.name = arena_copy(&s->arena, buf_slice(&name));
    *add(s, f, type) = item;
    if (!peek) f->sets_seen = true;
}

/* RFC 3501 6.4.5: RFC822 is BODY[], RFC822.HEADER is BODY.PEEK[HEADER], RFC822.TEXT is BODY[TEXT].
 * RFC822.PEEK and RFC822.TEXT.PEEK are older still (RFC 1730 6.4.5): Outlook asks for them to this
 * day, and shows no message without. */
static void old_item(Imap *s, Fetch *f, const char *name, SectionText text, bool peek)
{
    FetchItem *item = add(s, f, ITEM_SECTION);
    item->name = slice_of(name);
    item->section.text = text;
    if (!peek) f->sets_seen = true;
}

PARKS static void body_item(Imap *s, Fetch *f)
{
    if (imap_see(s->in, "STRUCTURE"))
        add(s, f, ITEM_BODYSTRUCTURE);
    else if (imap_see(s->in, ".PEEK"))
        sectioned(s, f, ITEM_SECTION, "BODY", true);
    else if (imap_peek(s->in) == '[')
        sectioned(s, f, ITEM_SECTION, "BODY", false);
    else
        add(s, f, ITEM_BODY);
}

PARKS static void binary_item(Imap *s, Fetch *f)
{
    if (imap_see(s->in, ".SIZE"))
        sectioned(s, f, ITEM_BINARY_SIZE, "BINARY.SIZE", true);
    else
        sectioned(s, f, ITEM_BINARY, "BINARY", imap_see(s->in, ".PEEK"));
}

/* RFC 8970 6: "PREVIEW" [SP "(" preview-mod *(SP preview-mod) ")"]; preview-mod = "LAZY" */
static void preview(Imap *s, Fetch *f)
{
    add(s, f, ITEM_PREVIEW);
    if (!imap_see(s->in, " (")) return;
    do
        imap_need(s->in, "LAZY");
    while (imap_see(s->in, " "));
    imap_need(s->in, ")");
}

static void gmail_item(Imap *s, Fetch *f)
{
    if (imap_see(s->in, "MSGID"))
        add(s, f, ITEM_GM_MSGID);
    else if (imap_see(s->in, "THRID"))
        add(s, f, ITEM_GM_THRID);
    else if (imap_see(s->in, "LABELS"))
        add(s, f, ITEM_GM_LABELS);
    else
        imap_mistake(s->in, "Unknown data item");
}

PARKS static void fetch_att(Imap *s, Fetch *f)
{
    In *in = s->in;
    if (imap_see(in, "BODY"))
        body_item(s, f);
    else if (imap_see(in, "BINARY"))
        binary_item(s, f);
    else if (imap_see(in, "EMAILID"))
        add(s, f, ITEM_EMAILID);
    else if (imap_see(in, "THREADID"))
        add(s, f, ITEM_THREADID);
    else if (imap_see(in, "SAVEDATE"))
        add(s, f, ITEM_SAVEDATE);
    else if (imap_see(in, "ANNOTATION "))
        add(s, f, ITEM_ANNOTATION)->annotation = annotate_item(in);
    else if (imap_see(in, "ENVELOPE"))
        add(s, f, ITEM_ENVELOPE);
    else if (s->config && s->config->gmail && imap_see(in, "X-GM-"))
        gmail_item(s, f);
    else if (imap_see(in, "FLAGS"))
        add(s, f, ITEM_FLAGS);
    else if (imap_see(in, "INTERNALDATE"))
        add(s, f, ITEM_INTERNALDATE);
    else if (imap_see(in, "RFC822.SIZE"))
        add(s, f, ITEM_SIZE);
    else if (imap_see(in, "RFC822.HEADER"))
        old_item(s, f, "RFC822.HEADER", SECTION_HEADER, true);
    else if (imap_see(in, "RFC822.TEXT.PEEK"))
        old_item(s, f, "RFC822.TEXT", SECTION_TEXT, true);
    else if (imap_see(in, "RFC822.TEXT"))
        old_item(s, f, "RFC822.TEXT", SECTION_TEXT, false);
    else if (imap_see(in, "RFC822.PEEK"))
        old_item(s, f, "RFC822", SECTION_WHOLE, true);
    else if (imap_see(in, "RFC822"))
        old_item(s, f, "RFC822", SECTION_WHOLE, false);
    else if (imap_see(in, "PREVIEW"))
        preview(s, f);
    else if (imap_see(in, "UID"))
        add(s, f, ITEM_UID);
    else if (imap_see(in, "MODSEQ"))
        add(s, f, ITEM_MODSEQ);
    else
        imap_mistake(in, "Unknown data item");
}

/* ALL, FAST, FULL stand alone. */
static bool macro(Imap *s, Fetch *f)
{
    bool all = imap_see(s->in, "ALL"), full = !all && imap_see(s->in, "FULL");
    if (!all && !full && !imap_see(s->in, "FAST")) return false;
    add(s, f, ITEM_FLAGS);
    add(s, f, ITEM_INTERNALDATE);
    add(s, f, ITEM_SIZE);
    if (all || full) add(s, f, ITEM_ENVELOPE);
    if (full) add(s, f, ITEM_BODY);
    return true;
}

PARKS static void items(Imap *s, Fetch *f)
{
    if (macro(s, f)) return;
    bool list = imap_see(s->in, "(");
    do {
        fetch_att(s, f);
    } while (list && imap_see(s->in, " "));
    if (list) imap_need(s->in, ")");
}

void fetch_atts(Imap *s, Fetch *f)
{
    imap_need(s->in, "(");
    do
        fetch_att(s, f);
    while (imap_see(s->in, " "));
    imap_need(s->in, ")");
    f->sets_seen = false;
}

void fetch_keep(Fetch *f, Arena *a)
{
    FetchItem *items = arena_array(a, FetchItem, f->count);
    for (size_t i = 0; i < f->count; i++) {
        FetchItem *item = &items[i];
        *item = f->items[i];
        item->name = arena_copy(a, item->name);
        Section *section = &item->section;
        uint32_t *path = arena_array(a, uint32_t, section->depth);
        for (size_t k = 0; k < section->depth; k++)
            path[k] = section->path[k];
        Slice *fields = arena_array(a, Slice, section->field_count);
        for (size_t k = 0; k < section->field_count; k++)
            fields[k] = arena_copy(a, section->fields[k]);
        section->path = path;
        section->fields = fields;
    }
    f->items = items;
}

/* RFC 4466 2.4, RFC 9394 3.3, RFC 7162 3.1.4.1 and 3.2.6: SP "(" "CHANGEDSINCE" SP n [SP
 * "VANISHED"] ")" */
static void modifiers(Imap *s, Fetch *f)
{
    In *in = s->in;
    if (!imap_see(in, " (")) return;
    do {
        if (imap_see(in, "CHANGEDSINCE ")) {
            f->changed_since = true;
            f->modseq = imap_number64(in);
        } else if (imap_see(in, "VANISHED")) {
            f->vanished = true;
        } else if (imap_see(in, "PARTIAL ")) {
            if (f->has_partial) imap_mistake(in, "PARTIAL twice");
            f->has_partial = true;
            f->partial = search_partial_range(in);
        } else {
            imap_mistake(in, "Unknown modifier");
        }
    } while (imap_see(in, " "));
    imap_need(in, ")");
    if (f->vanished && !(f->changed_since && s->by_uid && imap_has(s, ENABLED_QRESYNC)))
        imap_mistake(in, "VANISHED needs UID FETCH, CHANGEDSINCE and ENABLE QRESYNC");
}

/* UID FETCH tells the UID (RFC 9051 6.4.9), unless UIDFETCH does; CHANGEDSINCE tells MODSEQ. Once
 * each, in front. */
static void add_implied(Imap *s, Fetch *f)
{
    bool uid = s->by_uid && !fetch_has(f, ITEM_UID) && !imap_has(s, ENABLED_UIDONLY);
    bool modseq = f->changed_since && !fetch_has(f, ITEM_MODSEQ);
    FetchItem *all = arena_array(&s->arena, FetchItem, f->count + 2);
    size_t n = 0;
    if (uid) all[n++] = (FetchItem){.type = ITEM_UID};
    if (modseq) all[n++] = (FetchItem){.type = ITEM_MODSEQ};
    if (f->count) memcpy(all + n, f->items, f->count * sizeof *all);
    f->items = all;
    f->count += n;
    f->has |= (unsigned)uid << ITEM_UID | (unsigned)modseq << ITEM_MODSEQ;
}

PARKS Err fetch_parse(Imap *s, Fetch *f)
{
    imap_space(s->in);
    f->set = imap_sequence_set(s->in);
    imap_space(s->in);
    items(s, f);
    modifiers(s, f);
    TRY(imap_end(s->in));
    if (fetch_has(f, ITEM_MODSEQ) || f->changed_since) imap_use_condstore(s);
    add_implied(s, f);
    return OK;
}
