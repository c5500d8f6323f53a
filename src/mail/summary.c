/* The stored form of a summary.
 *
 *   octet    1, the version
 *   octet    flags: 1 has_attachment
 *   varint   size, lines, header_len, sent (zigzag), sent_zone (zigzag)
 *   bytes    envelope, body_structure, preview, from, to, cc, bcc, subject, base_subject,
 * message_id, references varint   part_count, then for each part varint header_at minus that of the
 * part before, header_len, body_len, lines, parent octet  encoding << 4 | charset << 2 | kind
 * charset: 0 us-ascii, 1 utf-8, 2 given bytes  charset, if given
 *
 * A body begins where its header ends; depth, first_child and next follow from the parents. The
 * part table comes last, so that mail_summary_peek need not step over it. */
#include "base/text.h"
#include "mail/mail.h"

enum { VERSION = 1, FLAG_ATTACHMENT = 1 };
enum { CHARSET_ASCII, CHARSET_UTF8, CHARSET_GIVEN };

static uint64_t zigzag(int64_t n)
{
    return (uint64_t)n << 1 ^ (uint64_t)(n >> 63);
}

static int64_t unzigzag(uint64_t n)
{
    return (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
}

/* The strings in their order, for both directions. */
#define STRINGS(m)                                                                                 \
    {                                                                                              \
        &(m)->envelope, &(m)->body_structure, &(m)->preview, &(m)->from, &(m)->to, &(m)->cc,       \
            &(m)->bcc, &(m)->subject, &(m)->base_subject, &(m)->message_id, &(m)->references       \
    }

static unsigned charset_code(Slice charset)
{
    if (slice_eq(charset, S("us-ascii"))) return CHARSET_ASCII;
    return slice_eq(charset, S("utf-8")) ? CHARSET_UTF8 : CHARSET_GIVEN;
}

static void encode_part(Buf *out, const MailPart *p, uint32_t before)
{
    unsigned charset = charset_code(p->charset);
    buf_varint(out, p->header_at - before);
    buf_varint(out, p->header_len);
    buf_varint(out, p->body_len);
    buf_varint(out, p->lines);
    buf_varint(out, p->parent);
    buf_u8(out, (uint8_t)((unsigned)p->encoding << 4 | charset << 2 | p->kind));
    if (charset == CHARSET_GIVEN) buf_bytes(out, p->charset);
}

void mail_summary_encode(Buf *out, const MailSummary *m)
{
    const Slice *strings[] = STRINGS(m);
    buf_u8(out, VERSION);
    buf_u8(out, m->has_attachment ? FLAG_ATTACHMENT : 0);
    buf_varint(out, m->size);
    buf_varint(out, m->lines);
    buf_varint(out, m->header_len);
    buf_varint(out, zigzag(m->sent));
    buf_varint(out, zigzag(m->sent_zone));
    for (size_t i = 0; i < COUNT(strings); i++)
        buf_bytes(out, *strings[i]);
    buf_varint(out, m->part_count);
    for (uint16_t i = 0; i < m->part_count; i++)
        encode_part(out, &m->parts[i], i ? m->parts[i - 1].header_at : 0);
}

static Err damaged(const char *what)
{
    return fail(ERR_CORRUPT, "summary: %s", what);
}

/* A varint that has to fit 32 bits; otherwise the reader is bad. */
static uint32_t read_32(Reader *r)
{
    uint64_t n = read_varint(r);
    if (n > UINT32_MAX) r->bad = true;
    return (uint32_t)n;
}

static Err peek(Reader *r, MailSummary *m)
{
    *m = (MailSummary){0};
    Slice *strings[] = STRINGS(m);
    if (read_u8(r) != VERSION) return damaged("unknown version");
    uint8_t flags = read_u8(r);
    m->has_attachment = flags & FLAG_ATTACHMENT;
    m->size = read_32(r);
    m->lines = read_32(r);
    m->header_len = read_32(r);
    m->sent = unzigzag(read_varint(r));
    int64_t zone = unzigzag(read_varint(r));
    for (size_t i = 0; i < COUNT(strings); i++)
        *strings[i] = read_bytes(r);
    if (r->bad) return damaged("cut short");
    if (zone < INT16_MIN || zone > INT16_MAX) return damaged("zone");
    if (flags & ~FLAG_ATTACHMENT || m->header_len > m->size || m->lines > m->size)
        return damaged("numbers");
    m->sent_zone = (int16_t)zone;
    return OK;
}

Err mail_summary_peek(Slice stored, MailSummary *out)
{
    Reader r = reader(stored);
    MailSummary m;
    TRY(peek(&r, &m));
    *out = m;
    return OK;
}

static Slice read_charset(Reader *r, unsigned code)
{
    if (code == CHARSET_ASCII) return S("us-ascii");
    if (code == CHARSET_UTF8) return S("utf-8");
    if (code > CHARSET_GIVEN) r->bad = true;
    return read_bytes(r);
}

static void decode_part(Reader *r, MailPart *p, uint32_t before)
{
    uint64_t at = (uint64_t)before + read_32(r);
    p->header_at = (uint32_t)at;
    p->header_len = read_32(r);
    p->body_len = read_32(r);
    p->lines = read_32(r);
    uint32_t parent = read_32(r);
    uint8_t packed = read_u8(r);
    p->kind = packed & 3;
    p->encoding = packed >> 4;
    p->charset = read_charset(r, packed >> 2 & 3);
    p->body_at = p->header_at + p->header_len;
    p->parent = (uint16_t)parent;
    uint64_t end = at + p->header_len + p->body_len;
    if (end > UINT32_MAX || parent > UINT16_MAX || p->encoding > CTE_UNKNOWN) r->bad = true;
}

/* Is part i inside its parent, and what its parent may hold? */
static bool fits_parent(const MailPart *parts, uint16_t i)
{
    const MailPart *p = &parts[i], *parent = &parts[p->parent];
    if (p->parent >= i || parent->depth >= MAIL_DEPTH_MOST) return false;
    if (parent->kind != PART_MULTIPART && parent->kind != PART_MESSAGE) return false;
    if (parent->kind == PART_MESSAGE && parent->first_child) return false;
    uint64_t end = (uint64_t)p->body_at + p->body_len;
    return p->header_at >= parent->body_at && end <= (uint64_t)parent->body_at + parent->body_len;
}

/* Fills in depth, first_child and next. last_child[i]: of part i, so far. */
static Err link_parts(MailSummary *m, uint16_t *last_child)
{
    MailPart *parts = m->parts;
    uint64_t end = (uint64_t)parts[0].body_at + parts[0].body_len;
    if (parts[0].parent || parts[0].header_at || end > m->size) return damaged("message part");
    for (uint16_t i = 1; i < m->part_count; i++) {
        if (!fits_parent(parts, i)) return damaged("part outside its parent");
        uint16_t parent = parts[i].parent, before = last_child[parent];
        parts[i].depth = (uint8_t)(parts[parent].depth + 1);
        *(before ? &parts[before].next : &parts[parent].first_child) = i;
        last_child[parent] = i;
    }
    return OK;
}

Err mail_summary_decode(Slice stored, Arena *a, MailSummary *out)
{
    Reader r = reader(stored);
    MailSummary m;
    TRY(peek(&r, &m));
    uint32_t count = read_32(&r);
    if (!count || count > MAIL_PARTS_MOST) return damaged("number of parts");
    m.part_count = (uint16_t)count;
    m.parts = arena_array(a, MailPart, count);
    for (uint32_t i = 0; i < count && !r.bad; i++)
        decode_part(&r, &m.parts[i], i ? m.parts[i - 1].header_at : 0);
    if (r.bad || r.rest.len) return damaged("parts");
    TRY(link_parts(&m, arena_array(a, uint16_t, count)));
    *out = m;
    return OK;
}

/* ---- section numbers ---- */

static Err no_part(void)
{
    return fail(ERR_NOT_FOUND, "no such part");
}

static uint16_t nth_child(const MailSummary *m, uint16_t parent, uint32_t n)
{
    uint16_t i = m->parts[parent].first_child;
    while (i && n-- > 1)
        i = m->parts[i].next;
    return i;
}

/* A step goes from a message into its body: a multipart counts its parts, anything else is part 1.
 * Below a part that is itself a message, numbers count in that message. */
Err mail_part_find(const MailSummary *m, const uint32_t *path, size_t depth, uint16_t *number)
{
    uint16_t at = 0;
    bool is_message = true; /* `at` is the root of a message, not yet entered */
    for (size_t i = 0; i < depth; i++) {
        if (!path[i]) return no_part();
        if (!is_message && m->parts[at].kind == PART_MESSAGE) {
            at = m->parts[at].first_child;
            is_message = true;
        }
        if (m->parts[at].kind == PART_MULTIPART) {
            at = nth_child(m, at, path[i]);
            if (!at) return no_part();
        } else if (!is_message || path[i] != 1) {
            return no_part();
        }
        is_message = false;
    }
    *number = at;
    return OK;
}
