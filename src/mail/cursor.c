#include "mail/cursor.h"
#include "mail/octets.h"

/* Index of the octet that closes what opens at `from`, or text.len. */
static size_t close_of_comment(Slice text, size_t from)
{
    size_t depth = 0;
    for (size_t i = from; i < text.len; i++) {
        if (text.at[i] == '\\')
            i++;
        else if (text.at[i] == '(')
            depth++;
        else if (text.at[i] == ')' && !--depth)
            return i;
    }
    return text.len;
}

static size_t close_of_quoted(Slice text, size_t from, char close)
{
    for (size_t i = from + 1; i < text.len; i++) {
        if (text.at[i] == '\\')
            i++;
        else if (text.at[i] == close)
            return i;
    }
    return text.len;
}

static bool comment(Cursor *c)
{
    if (c->no_comment_end || cursor_peek(c) != '(') return false;
    size_t end = close_of_comment(c->text, c->at);
    if (end == c->text.len) {
        c->no_comment_end = true;
        return false;
    }
    c->comment = slice(c->text.at + c->at + 1, end - c->at - 1);
    c->at = end + 1;
    return true;
}

bool cursor_cfws(Cursor *c)
{
    size_t before = c->at;
    while (!cursor_is_done(c)) {
        if (is_folding_white(c->text.at[c->at]))
            c->at++;
        else if (!comment(c))
            break;
    }
    return c->at > before;
}

bool cursor_quoted(Cursor *c, Slice *inside)
{
    if (c->no_quote_end || cursor_peek(c) != '"') return false;
    size_t end = close_of_quoted(c->text, c->at, '"');
    if (end == c->text.len) {
        c->no_quote_end = true;
        return false;
    }
    *inside = slice(c->text.at + c->at + 1, end - c->at - 1);
    c->at = end + 1;
    return true;
}

bool cursor_literal(Cursor *c, Slice *whole)
{
    if (c->no_literal_end || cursor_peek(c) != '[') return false;
    size_t end = close_of_quoted(c->text, c->at, ']');
    if (end == c->text.len) {
        c->no_literal_end = true;
        return false;
    }
    *whole = slice(c->text.at + c->at, end - c->at + 1);
    c->at = end + 1;
    return true;
}

void unquote(Buf *out, Slice inside)
{
    for (size_t i = 0; i < inside.len; i++) {
        char c = inside.at[i];
        if (c == '\r' || c == '\n') continue;
        if (c == '\\' && i + 1 < inside.len) c = inside.at[++i];
        buf_char(out, c == '\r' || c == '\n' ? ' ' : c);
    }
}
