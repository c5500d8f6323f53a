#include "mail/wire.h"
#include "base/text.h"

static char sendable(char c)
{
    return c == '\r' || c == '\n' ? ' ' : c ? c : '?';
}

static void quoted(Buf *out, Slice s)
{
    char *to = buf_reserve(out, array_bytes(s.len + 1, 2));
    size_t n = 0;
    to[n++] = '"';
    for (size_t i = 0; i < s.len; i++) {
        char c = sendable(s.at[i]);
        if (c == '"' || c == '\\') to[n++] = '\\';
        to[n++] = c;
    }
    to[n++] = '"';
    out->len += n;
}

static void literal(Buf *out, Slice s)
{
    buf_char(out, '{');
    buf_number(out, s.len);
    buf_add(out, S("}\r\n"));
    for (size_t i = 0; i < s.len; i++)
        buf_char(out, sendable(s.at[i]));
}

void wire_string(Buf *out, Slice s)
{
    if (text_is_ascii(s))
        quoted(out, s);
    else
        literal(out, s);
}

void wire_nstring(Buf *out, Slice s)
{
    if (s.at)
        wire_string(out, s);
    else
        buf_add(out, S("NIL"));
}

static size_t skip_quoted(Slice s)
{
    for (size_t i = 1; i < s.len; i++) {
        if (s.at[i] == '\\')
            i++;
        else if (s.at[i] == '"')
            return i + 1;
    }
    return 0;
}

static size_t skip_literal(Slice s)
{
    size_t close = slice_find(slice_first(s, 16), '}');
    uint64_t n;
    if (!slice_starts(slice_from(s, close), S("}\r\n"))) return 0;
    if (!slice_to_u64(slice(s.at + 1, close - 1), &n)) return 0;
    return n <= s.len - close - 3 ? close + 3 + (size_t)n : 0;
}

static size_t skip_atom(Slice s)
{
    size_t i = 0;
    while (i < s.len && s.at[i] != ' ' && s.at[i] != '(' && s.at[i] != ')')
        i++;
    return i;
}

size_t wire_skip(Slice s)
{
    size_t depth = 0, i = 0;
    do {
        Slice rest = slice_from(s, i);
        char c = rest.len ? rest.at[0] : 0;
        size_t n = 1;
        if (c == '(')
            depth++;
        else if (c == ')' && depth)
            depth--;
        else if (c == '"')
            n = skip_quoted(rest);
        else if (c == '{')
            n = skip_literal(rest);
        else if (c != ' ' || !depth)
            n = skip_atom(rest);
        if (!n) return 0;
        i += n;
    } while (depth);
    return i;
}
