/* Which conversions there are, and CONVERSIONS, which lists them. */
#include "imap/convert.h"

#define TYPE(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
/* The first of a source is the default conversion (RFC 5259 6: the most widely deployed type). */
const Conversion conversions[] = {
    {TYPE("text/plain"), TYPE("text/plain")},
    {TYPE("text/plain"), TYPE("text/html") },
    {TYPE("text/html"),  TYPE("text/plain")},
};
const size_t conversion_count = COUNT(conversions);

Slice convert_target(const Convert *c, Slice from)
{
    for (size_t i = 0; i < conversion_count; i++) {
        if (!slice_eq(conversions[i].from, from)) continue;
        if (!c->to.at || slice_eq(conversions[i].to, c->to)) return conversions[i].to;
    }
    return (Slice){0};
}

/* RFC 5259 7.1: "charset" and "unknown-character-replacement" (12.1), names without case. */
ConvertState convert_how(const Convert *c, ConvertHow *how, const char **why)
{
    *how = (ConvertHow){0};
    for (size_t i = 0; i < c->param_count; i++) {
        if (slice_eq_nocase(c->params[i].name, S("charset"))) {
            how->charset = charset_find(c->params[i].value);
            *why = "unknown charset";
            if (!how->charset || !charset_can_write(how->charset)) return CONVERT_BAD;
        } else if (slice_eq_nocase(c->params[i].name, S("unknown-character-replacement"))) {
            how->replacement = c->params[i].value;
        } else {
            *why = "unknown parameter";
            return CONVERT_BAD;
        }
    }
    return CONVERT_OK;
}

/* "*", "type" "/" "*", or a type as it is. */
static bool type_matches(Slice wanted, Slice type)
{
    if (slice_eq(wanted, S("*"))) return true;
    if (!slice_ends(wanted, S("/*"))) return slice_eq_nocase(wanted, type);
    return slice_starts_nocase(type, slice_first(wanted, wanted.len - 1));
}

/* RFC 5259 10: conversions-cmd = "CONVERSIONS" SP from-mime-type-req SP to-mime-type-req */
Err imap_cmd_conversions(Imap *s)
{
    imap_space(s->in);
    Slice from = imap_astring(s->in);
    imap_space(s->in);
    Slice to = imap_astring(s->in);
    TRY(imap_end(s->in));
    for (size_t i = 0; i < conversion_count; i++) {
        const Conversion *c = &conversions[i];
        if (type_matches(from, c->from) && type_matches(to, c->to))
            imap_say(s,
                     "CONVERSION \"%.*s\" \"%.*s\" (\"charset\" \"unknown-character-replacement\")",
                     SP(c->from), SP(c->to));
    }
    return imap_ok(s, "CONVERSIONS completed");
}
