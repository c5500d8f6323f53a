/* Mailbox names as directories and files spell them: modified UTF-7 (Dovecot, Courier), and a '.'
 * that would mean something to the file system or to Maildir++ as "&AC4-", the UTF-7 of it that
 * nothing else writes. Names that come from files may be anything; they are made to fit. */
#include "base/text.h"
#include "house/transfer.h"
#include "mail/charset.h"

#define DOT S("&AC4-")

/* ---- from files ---- */

static void decode_piece(Slice raw, Buf *out)
{
    if (!utf7_decode(raw, out)) return;
    if (utf8_is_valid(raw))
        buf_add(out, raw);
    else
        charset_to_utf8(NULL, raw, out);
}

/* What no mailbox name may have (store.h) becomes '_'. */
static void add_tame(Buf *out, Slice text)
{
    for (size_t at = 0, n; at < text.len; at += n) {
        uint32_t c;
        n = utf8_decode(slice_from(text, at), &c);
        if (!n || c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == MAILBOX_SEPARATOR)
            buf_char(out, '_'), n = MAX(n, (size_t)1);
        else
            buf_add(out, slice(text.at + at, n));
    }
}

static void decode_level(Slice raw, Buf *out)
{
    Buf text buf_scoped = {0};
    for (;;) {
        size_t dot = slice_find_slice(raw, DOT);
        decode_piece(slice_first(raw, dot), &text);
        if (dot == raw.len) break;
        buf_char(&text, '.');
        raw = slice_from(raw, dot + DOT.len);
    }
    add_tame(out, buf_slice(&text));
}

static void add_below(Buf *name, Slice raw)
{
    Buf level buf_scoped = {0};
    decode_level(raw, &level);
    if (name->len && level.len) buf_char(name, MAILBOX_SEPARATOR);
    buf_add(name, buf_slice(&level));
}

Slice name_below(Arena *a, Slice above, Slice raw)
{
    Buf name buf_scoped = {0};
    buf_add(&name, above);
    add_below(&name, raw);
    return arena_copy(a, buf_slice(&name));
}

Slice name_from_dotted(Arena *a, Slice raw)
{
    Buf name buf_scoped = {0};
    Slice level;
    while (slice_cut(&raw, '.', &level))
        add_below(&name, level);
    return arena_copy(a, buf_slice(&name));
}

/* ---- to files ---- */

/* Every '.' of a level, or only one that begins it. */
static void encode_level(Slice level, bool all_dots, Buf *out)
{
    Buf encoded buf_scoped = {0};
    utf7_encode(level, &encoded);
    for (size_t i = 0; i < encoded.len; i++)
        if (encoded.at[i] == '.' && (all_dots || !i))
            buf_add(out, DOT);
        else
            buf_char(out, encoded.at[i]);
}

static void encode(Slice mailbox, char separator, bool all_dots, Buf *out)
{
    Slice level;
    for (bool first = true; slice_cut(&mailbox, MAILBOX_SEPARATOR, &level); first = false) {
        if (!first) buf_char(out, separator);
        encode_level(level, all_dots, out);
    }
}

void name_to_dotted(Buf *out, Slice mailbox)
{
    encode(mailbox, '.', true, out);
}

void name_to_path(Buf *out, Slice mailbox)
{
    encode(mailbox, '/', false, out);
}
