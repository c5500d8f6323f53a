/* The grammar of RFC 5259 10. */
#include "base/text.h"
#include "imap/convert.h"

static bool is_type_char(unsigned char c)
{
    return is_alnum(c) || (c && strchr("!#$&-^_.+", c));
}

/* concrete-mime-type = type-name "/" subtype-name, lower case then. What is none is a mistake of
 * syntax (9). */
static Slice mime_type(In *in, Slice text)
{
    Scan s = scan(text);
    bool fits = scan_while(&s, is_type_char).len && scan_see(&s, '/') &&
                scan_while(&s, is_type_char).len && scan_is_done(&s);
    if (!fits) imap_mistake(in, "no media type");
    char *lower = arena_alloc(in->arena, text.len + 1);
    for (size_t i = 0; i < text.len; i++)
        lower[i] = ascii_lower(text.at[i]);
    return slice(lower, text.len);
}

/* transcoding-params = name SP value *(SP name SP value) */
PARKS static void params(In *in, Convert *c)
{
    do {
        if (c->param_count == CONVERT_PARAMS_MOST) {
            imap_mistake(in, "too many parameters");
            return;
        }
        c->params[c->param_count].name = imap_astring(in);
        imap_space(in);
        c->params[c->param_count++].value = imap_astring(in);
    } while (imap_see(in, " "));
}

/* convert-params = "(" (DQUOTE type DQUOTE / "NIL") [SP "(" params ")"] ")" */
PARKS static void convert_params(In *in, Convert *c)
{
    imap_need(in, "(");
    if (!imap_see(in, "NIL")) c->to = mime_type(in, imap_string(in));
    if (imap_see(in, " (")) {
        params(in, c);
        imap_need(in, ")");
    }
    imap_need(in, ")");
}

/* "[" ... "]": of a header it ends in HEADER or MIME, else it is part numbers only. */
PARKS static void section(In *in, ConvertItem *item, const char *word)
{
    imap_need(in, "[");
    Slice spec = imap_at_end(in) ? (Slice){0} : scan_until(&in->scan, ']');
    imap_need(in, "]");
    if (imap_syntax(in)) return;
    bool header = item->type == CONVERT_HEADER;
    Err err = fetch_section_spec(in->arena, spec, &item->section);
    SectionText text = item->section.text;
    bool fits = header ? text == SECTION_HEADER || text == SECTION_MIME : text == SECTION_WHOLE;
    if (err || !fits) imap_mistake(in, "no section of that kind");
    item->name = arena_printf(in->arena, "%s[%.*s]", word, SP(spec));
}

/* partial = "<" number64 "." nz-number64 ">" */
static void partial(In *in, FetchItem *range)
{
    if (!imap_see(in, "<")) return;
    range->partial = true;
    range->offset = imap_number64(in);
    imap_need(in, ".");
    range->most = imap_number64(in);
    if (!range->most) imap_mistake(in, "a part of no octets");
    imap_need(in, ">");
}

PARKS static void convert_att(In *in, ConvertItem *item)
{
    static const struct {
        const char *word;
        ConvertType type;
    } words[] = {
        {"BODYPARTSTRUCTURE",    CONVERT_STRUCTURE},
        {"AVAILABLECONVERSIONS", CONVERT_AVAILABLE},
        {"BINARY.SIZE",          CONVERT_SIZE     },
        {"BINARY",               CONVERT_BINARY   },
        {"BODY",                 CONVERT_HEADER   }
    };
    *item = (ConvertItem){0};
    if (imap_see(in, "UID")) return;
    for (size_t i = 0; i < COUNT(words); i++) {
        if (!imap_see(in, words[i].word)) continue;
        item->type = words[i].type;
        section(in, item, words[i].word);
        if (item->type == CONVERT_BINARY) partial(in, &item->range);
        return;
    }
    imap_mistake(in, "unknown data item");
}

/* RFC 5259 6: "No destination MIME type MUST be specified" with headers. */
static void check_headers(In *in, const Convert *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->items[i].type == CONVERT_HEADER && c->to.at)
            imap_mistake(in, "headers have the default conversion only");
}

/* convert = "CONVERT" SP sequence-set SP convert-params SP (convert-att / "(" ... ")") */
Err convert_parse(Imap *s, Convert *c)
{
    In *in = s->in;
    imap_space(in);
    c->set = imap_sequence_set(in);
    imap_space(in);
    convert_params(in, c);
    imap_space(in);
    bool list = imap_see(in, "(");
    do {
        convert_att(in, &c->items[MIN(c->count, (size_t)CONVERT_ITEMS_MOST)]);
        c->count = MIN(c->count + 1, (size_t)CONVERT_ITEMS_MOST + 1);
    } while (list && imap_see(in, " "));
    if (list) imap_need(in, ")");
    check_headers(in, c);
    return imap_end(in);
}
