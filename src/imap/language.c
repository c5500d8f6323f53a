/* LANGUAGE, RFC 5255 3: what we say to people, in their language. */
#include "imap/session.h"

/* ---- saying it ---- */

/* resp-text = ["[" resp-text-code "]" SP] text: what stands before the text. */
static Slice code_of(Slice text)
{
    size_t end = slice_find_slice(text, S("] "));
    return slice_starts(text, S("[")) && end < text.len ? slice_first(text, end + 2) : (Slice){0};
}

/* What the table does not have (where exactly the grammar did not fit) becomes a general text of
 * the same meaning; good news without one stay English. */
static Slice otherwise(Imap *s, Slice status, Slice english)
{
    Slice general = slice_eq(status, S("BAD"))  ? S("the input does not fit the grammar")
                    : slice_eq(status, S("NO")) ? S("that did not work")
                                                : (Slice){0};
    return general.len ? language_say(s->language, general, &s->arena) : english;
}

Slice imap_in_language(Imap *s, Slice status, Slice text)
{
    if (s->language <= LANGUAGE_EN) return text;
    Slice code = code_of(text), english = slice_from(text, code.len);
    Slice said = language_say(s->language, english, &s->arena);
    if (!said.at) said = otherwise(s, status, english);
    return arena_printf(&s->arena, "%.*s%.*s", SP(code), SP(said));
}

/* ---- the command ---- */

static void enumerate(Imap *s)
{
    Buf *out = stream_out(s->stream);
    buf_add(out, S("* LANGUAGE ("));
    for (int l = LANGUAGE_COUNT; l-- > 0;) {
        buf_add(out, language_tag((Language)l));
        if (l) buf_char(out, ' ');
    }
    buf_add(out, S(")\r\n"));
}

/* RFC 5255 3.5: language-cmd = "LANGUAGE" *(SP lang-range-quoted). The first one that we speak; in
 * force behind the LANGUAGE response (3.2). No NAMESPACE response: our prefixes are what the
 * mailboxes are called. */
Err imap_cmd_language(Imap *s)
{
    enum { RANGES_MOST = 50 };
    Language chosen = LANGUAGE_DEFAULT;
    bool found = false, any = false;
    for (int i = 0; i < RANGES_MOST && imap_peek(s->in) == ' '; i++) {
        imap_space(s->in);
        Slice range = imap_astring(s->in);
        any = true;
        if (!found) found = language_find(range, &chosen);
    }
    TRY(imap_end(s->in));
    if (!any) {
        enumerate(s);
        return imap_ok(s, "Languages are listed");
    }
    if (!found) return imap_no(s, "No such language here");
    imap_say(s, "LANGUAGE (%.*s)", SP(language_tag(chosen)));
    s->language = (uint8_t)chosen;
    return imap_ok(s, "I speak this language now");
}
