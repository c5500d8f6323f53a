/* BODYSTRUCTURE and BODY, RFC 9051 7.5.2:
 *
 *   leaf       (front size [lines] back)             front: type subtype parameters id description
 * encoding message    (front size envelope body lines back) multipart  (body ... body front back)
 * front: subtype parameters */
#include "mail/structure.h"
#include "mail/envelope.h"
#include "mail/wire.h"

static void number(Buf *out, uint64_t n)
{
    buf_char(out, ' ');
    buf_number(out, n);
}

static void spaced(Buf *out, Slice s)
{
    buf_char(out, ' ');
    buf_add(out, s);
}

/* What stands before the children. */
static void opens(Buf *out, const MailPart *part, const PartText *text, const PartText *child)
{
    buf_char(out, '(');
    if (part->kind == PART_MULTIPART) return;
    buf_add(out, text->front);
    number(out, part->body_len);
    if (part->kind != PART_MESSAGE) return;
    spaced(out, child->envelope);
    buf_char(out, ' ');
}

/* What stands behind them. */
static void closes(Buf *out, const MailPart *part, const PartText *text)
{
    if (part->kind == PART_MULTIPART)
        spaced(out, text->front);
    else if (part->kind != PART_BASIC)
        number(out, part->lines);
    spaced(out, text->back);
    buf_char(out, ')');
}

void structure(Buf *out, const MailPart *parts, const PartText *text)
{
    uint16_t i = 0;
    for (;;) {
        uint16_t child = parts[i].first_child;
        opens(out, &parts[i], &text[i], &text[child]);
        if (child) {
            i = child;
            continue;
        }
        closes(out, &parts[i], &text[i]);
        while (i && !parts[i].next) { /* the last of its parent */
            i = parts[i].parent;
            closes(out, &parts[i], &text[i]);
        }
        if (!i) return;
        i = parts[i].next;
    }
}

/* ---- BODY ----
 * One frame per open body: how many of its values were stepped over, and of what kind it is. */

typedef struct {
    uint8_t values;
    bool is_multipart, is_text, is_message;
} BodyFrame;

/* How many values of a leaf are not extension data. */
static uint8_t kept(const BodyFrame *f)
{
    return f->is_message ? 10 : f->is_text ? 8 : 7;
}

/* The first two values tell what a leaf is. */
static void note_type(BodyFrame *f, Slice value)
{
    if (f->values == 0) {
        f->is_text = slice_eq_nocase(value, S("\"text\""));
        f->is_message = slice_eq_nocase(value, S("\"message\""));
    } else if (f->values == 1) {
        f->is_message &=
            slice_eq_nocase(value, S("\"rfc822\"")) || slice_eq_nocase(value, S("\"global\""));
    }
}

/* Is the next value a body, and not a list or a string? */
static bool is_body_next(const BodyFrame *f, Slice s)
{
    if (!s.len || s.at[0] != '(') return false;
    return f->is_multipart ? f->values == 0 : f->is_message && f->values == 8;
}

static Slice skip_space(Slice s)
{
    return s.len && s.at[0] == ' ' ? slice_from(s, 1) : s;
}

static bool is_multipart_at(Slice s)
{
    return s.len && s.at[0] == '(';
}

/* A value that is no body: copied, or left out when it is extension data. The octets it took; 0:
 * damaged. */
static size_t take_value(Buf *out, BodyFrame *f, Slice s)
{
    size_t n = wire_skip(s);
    if (!n) return 0;
    Slice value = slice_first(s, n);
    bool keep = f->is_multipart ? f->values == 0 : f->values < kept(f);
    if (!f->is_multipart) note_type(f, value);
    if (keep && (f->values || f->is_multipart)) buf_char(out, ' ');
    if (keep) buf_add(out, value);
    if (f->values < 100) f->values++;
    return n;
}

/* Damaged input gives what can be copied, its brackets closed. */
void mail_body_of_structure(Buf *out, Slice s)
{
    BodyFrame frames[MAIL_DEPTH_MOST + 2];
    size_t depth = 0;
    if (!s.len || s.at[0] != '(') return;
    do {
        s = skip_space(s);
        BodyFrame *f = depth ? &frames[depth - 1] : NULL;
        if (!f || is_body_next(f, s)) {
            if (depth == COUNT(frames)) break;
            if (f && f->is_message) f->values++, buf_char(out, ' ');
            buf_char(out, '(');
            s = slice_from(s, 1);
            frames[depth++] = (BodyFrame){.is_multipart = is_multipart_at(s)};
        } else if (s.len && s.at[0] == ')') {
            buf_char(out, ')');
            s = slice_from(s, 1);
            depth--;
        } else {
            size_t n = take_value(out, f, s);
            if (!n) break;
            s = slice_from(s, n);
        }
    } while (depth);
    while (depth--)
        buf_char(out, ')');
}
