#include "imap/annotate.h"

#include "base/text.h"

/* ---- entry names (RFC 5257 3.2, 3.2.1) ---- */

/* section-part = nz-number *("." nz-number): the first component, when it begins with a digit. */
static bool part_fits(Slice part)
{
    Slice number;
    size_t depth = 0;
    if (!part.len || part.at[part.len - 1] == '.') return false;
    while (slice_cut(&part, '.', &number)) {
        uint64_t n;
        if (!slice_to_u64(number, &n) || !n || n > UINT32_MAX || number.at[0] == '0') return false;
        if (++depth > MAIL_DEPTH_MOST) return false;
    }
    return true;
}

static bool octets_fit(Slice entry, bool wild)
{
    for (size_t i = 0; i < entry.len; i++) {
        unsigned char c = (unsigned char)entry.at[i];
        if (!c || c >= 0x7f || c == '\r' || c == '\n') return false;
        if (!wild && (c == '*' || c == '%')) return false;
        if (c == '/' && (i + 1 == entry.len || entry.at[i + 1] == '/')) return false;
    }
    return true;
}

static bool is_wild(Slice entry)
{
    return slice_find(entry, '*') < entry.len || slice_find(entry, '%') < entry.len;
}

/* /flags is reserved and MUST NOT be used (3.5). */
static bool is_reserved(Slice entry)
{
    return slice_eq(entry, S("/flags")) || slice_starts(entry, S("/flags/"));
}

bool annotate_entry_fits(Slice entry, bool wild)
{
    if (!entry.len || entry.len > ANNOTATION_NAME_MOST || !octets_fit(entry, wild)) return false;
    if (wild && is_wild(entry)) return true;
    if (entry.at[0] != '/' || is_reserved(entry)) return false;
    Slice first = slice_from(entry, 1);
    first = slice_first(first, slice_find(first, '/'));
    bool section = is_digit((unsigned char)entry.at[1]);
    return !section || (part_fits(first) && first.len + 1 < entry.len);
}

static bool is_entry_char(unsigned char c)
{
    return c == '%' || c == '*' || imap_is_astring_char(c);
}

PARKS Slice annotate_entry(In *in, bool wild)
{
    Slice entry = {0};
    if (imap_is_at_string(in))
        entry = imap_string(in);
    else if (!imap_syntax(in))
        entry = scan_while(&in->scan, is_entry_char);
    if (imap_syntax(in)) return S("");
    if (!annotate_entry_fits(entry, wild)) imap_mistake(in, "That is no entry name of RFC 5257");
    return entry;
}

/* ---- attributes: "value" and "size", with ".priv", ".shared" or both ---- */

static bool attribute_of(Slice name, AnnotateAttribute *out)
{
    static const struct {
        const char *name;
        AnnotateAttribute attribute;
    } known[] = {
        {"value",        {false, ANNOTATE_BOTH}   },
        {"value.priv",   {false, ANNOTATE_PRIVATE}},
        {"value.shared", {false, ANNOTATE_SHARED} },
        {"size",         {true, ANNOTATE_BOTH}    },
        {"size.priv",    {true, ANNOTATE_PRIVATE} },
        {"size.shared",  {true, ANNOTATE_SHARED}  },
    };
    for (size_t i = 0; i < COUNT(known); i++) {
        if (!slice_eq(name, slice_of(known[i].name))) continue;
        *out = known[i].attribute;
        return true;
    }
    return false;
}

/* attrib = astring; names are case-sensitive (3.2). */
PARKS static AnnotateAttribute attribute(In *in)
{
    AnnotateAttribute out = {.scope = ANNOTATE_BOTH};
    Slice name = imap_astring(in);
    if (!imap_syntax(in) && !attribute_of(name, &out)) imap_mistake(in, "Unknown attribute");
    return out;
}

PARKS AnnotateScope annotate_value_attribute(In *in, bool both)
{
    AnnotateAttribute a = attribute(in);
    if (a.size) imap_mistake(in, "Only values");
    if (!both && a.scope == ANNOTATE_BOTH) imap_mistake(in, "value.priv or value.shared?");
    return a.scope;
}

/* ---- what FETCH asks for ---- */

PARKS static void add_entry(In *in, AnnotateItem *item)
{
    Slice entry = annotate_entry(in, true);
    if (item->entry_count == ANNOTATE_ENTRIES_MOST)
        imap_mistake(in, "Too many entries");
    else
        item->entries[item->entry_count++] = entry;
}

PARKS static void add_attribute(In *in, AnnotateItem *item)
{
    enum { ATTRIBUTES_MOST = 12 };
    if (!item->attributes)
        item->attributes = arena_array(in->arena, AnnotateAttribute, ATTRIBUTES_MOST);
    AnnotateAttribute a = attribute(in);
    if (item->attribute_count == ATTRIBUTES_MOST)
        imap_mistake(in, "Too many attributes");
    else
        item->attributes[item->attribute_count++] = a;
}

/* One, or a list in parentheses. */
PARKS static void one_or_list(In *in, AnnotateItem *item, void (*add)(In *in, AnnotateItem *item))
{
    bool list = imap_see(in, "(");
    do
        add(in, item);
    while (list && imap_see(in, " "));
    if (list) imap_need(in, ")");
}

/* fetch-att =/ "ANNOTATION" SP "(" entries SP attribs ")" */
PARKS AnnotateItem *annotate_item(In *in)
{
    AnnotateItem *item = arena_new(in->arena, AnnotateItem);
    item->entries = arena_array(in->arena, Slice, ANNOTATE_ENTRIES_MOST);
    imap_need(in, "(");
    one_or_list(in, item, add_entry);
    imap_space(in);
    one_or_list(in, item, add_attribute);
    imap_need(in, ")");
    return item;
}

/* ---- what STORE and APPEND set ---- */

/* 3.2.1: the flags of a part are "1", "0" or NIL. */
static bool value_fits(Slice entry, Slice value)
{
    Slice rest = slice_from(entry, 1);
    size_t slash = slice_find(rest, '/');
    bool flag = rest.len && is_digit((unsigned char)rest.at[0]) &&
                slice_starts(slice_from(rest, slash), S("/flags/"));
    return !flag || !value.at || slice_eq(value, S("1")) || slice_eq(value, S("0"));
}

/* att-value = attrib SP value */
PARKS static void att_value(In *in, Slice entry, Annotations *out)
{
    AnnotateScope scope = annotate_value_attribute(in, false);
    imap_space(in);
    Slice value = imap_value(in);
    if (imap_syntax(in)) return;
    if (!value_fits(entry, value)) imap_mistake(in, "A flag is \"1\", \"0\" or NIL");
    if (out->count == ANNOTATE_ENTRIES_MOST)
        imap_mistake(in, "Too many values");
    else
        out->list[out->count++] = (Annotation){entry, value, scope == ANNOTATE_SHARED};
}

/* entry-att = entry SP "(" att-value *(SP att-value) ")" */
PARKS Annotations annotate_values(In *in)
{
    Annotations out = {.list = arena_array(in->arena, Annotation, ANNOTATE_ENTRIES_MOST)};
    imap_need(in, " (");
    do {
        Slice entry = annotate_entry(in, false);
        imap_need(in, " (");
        do
            att_value(in, entry, &out);
        while (imap_see(in, " "));
        imap_need(in, ")");
    } while (imap_see(in, " "));
    imap_need(in, ")");
    return out;
}
