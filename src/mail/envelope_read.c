#include "mail/envelope.h"
#include "mail/wire.h"

/* Steps over one value and the SP behind it. */
static bool skip(Slice *s)
{
    size_t n = wire_skip(*s);
    if (!n) return false;
    *s = slice_from(*s, n);
    if (s->len && s->at[0] == ' ') *s = slice_from(*s, 1);
    return true;
}

static Slice unescaped(Arena *a, Slice inside)
{
    if (slice_find(inside, '\\') == inside.len) return inside;
    char *to = arena_alloc(a, inside.len);
    size_t n = 0;
    for (size_t i = 0; i < inside.len; i++) {
        if (inside.at[i] == '\\' && i + 1 < inside.len) i++;
        to[n++] = inside.at[i];
    }
    return slice(to, n);
}

/* nstring at the front. .at NULL: NIL, or none. */
static Slice take_nstring(Arena *a, Slice *s)
{
    Slice whole = slice_first(*s, wire_skip(*s));
    (void)skip(s);
    if (!whole.len) return (Slice){0};
    if (whole.at[0] == '"') return unescaped(a, slice(whole.at + 1, whole.len - 2));
    if (whole.at[0] != '{') return (Slice){0};
    return slice_from(whole, slice_find(whole, '\n') + 1);
}

/* At that value of the envelope. */
static bool find(Slice *envelope, EnvelopeField field)
{
    *envelope = slice_from(*envelope, 1);
    for (unsigned i = 0; i < field; i++)
        if (!skip(envelope)) return false;
    return true;
}

Slice envelope_text(Slice envelope, EnvelopeField field, Arena *a)
{
    return find(&envelope, field) ? take_nstring(a, &envelope) : (Slice){0};
}

bool envelope_first_address(Slice envelope, EnvelopeField field, Arena *a, MailAddress *first)
{
    if (!find(&envelope, field) || !slice_starts(envelope, S("(("))) return false;
    envelope = slice_from(envelope, 2);
    first->name = take_nstring(a, &envelope);
    first->route = take_nstring(a, &envelope);
    first->mailbox = take_nstring(a, &envelope);
    first->host = take_nstring(a, &envelope);
    return true;
}
