/* Any octets, cut anywhere: the same summary, every part inside the message and inside its parent,
 * and a stored form that reads back. The first octet chooses how the input is cut, and from SPREAD
 * on that it is much (fuzz_spread); what else can be read of a message does not change what it is.
 */
#include "base/fuzz.h"
#include "mail/look.h"
#include "mail/wire.h"

enum { SPREAD = 192, MESSAGE_MOST = 3 << 20 };

static void same(Slice a, Slice b)
{
    must(slice_eq(a, b));
}

static void check_same(const MailSummary *a, const MailSummary *b)
{
    must(a->size == b->size && a->lines == b->lines && a->header_len == b->header_len);
    must(a->sent == b->sent && a->sent_zone == b->sent_zone);
    must(a->part_count == b->part_count && a->has_attachment == b->has_attachment);
    same(a->envelope, b->envelope), same(a->body_structure, b->body_structure);
    same(a->preview, b->preview), same(a->from, b->from), same(a->to, b->to), same(a->cc, b->cc);
    same(a->bcc, b->bcc), same(a->subject, b->subject), same(a->base_subject, b->base_subject);
    same(a->message_id, b->message_id), same(a->references, b->references);
    for (uint16_t i = 0; i < a->part_count; i++) {
        const MailPart *p = &a->parts[i], *q = &b->parts[i];
        must(p->header_at == q->header_at && p->header_len == q->header_len);
        must(p->body_at == q->body_at && p->body_len == q->body_len && p->lines == q->lines);
        must(p->parent == q->parent && p->first_child == q->first_child && p->next == q->next);
        must(p->depth == q->depth && p->kind == q->kind && p->encoding == q->encoding);
        same(p->charset, q->charset);
    }
}

static uint32_t line_ends(Slice message, const MailPart *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->body_len; i++)
        n += message.at[p->body_at + i] == '\n';
    return n;
}

static void check_parts(Slice message, const MailSummary *m)
{
    must(m->size == message.len && m->part_count > 0 && m->part_count <= MAIL_PARTS_MOST);
    must(m->parts[0].header_len == m->header_len);
    must(m->parts[0].header_len + m->parts[0].body_len == message.len);
    for (uint16_t i = 0; i < m->part_count; i++) {
        const MailPart *p = &m->parts[i], *parent = &m->parts[p->parent];
        must(p->body_at == p->header_at + p->header_len);
        must((uint64_t)p->body_at + p->body_len <= message.len);
        must(p->lines == line_ends(message, p));
        must(p->kind < PART_MULTIPART || p->first_child);
        if (!i) continue;
        must(p->parent < i && p->header_at >= parent->body_at);
        must(p->body_at + p->body_len <= parent->body_at + parent->body_len);
        must(p->header_at >= m->parts[i - 1].header_at);
    }
}

static void check_structure(const MailSummary *m)
{
    Buf body buf_scoped = {0}, again buf_scoped = {0};
    mail_body_of_structure(&body, m->body_structure);
    must(wire_skip(m->envelope) == m->envelope.len);
    must(wire_skip(m->body_structure) == m->body_structure.len);
    must(wire_skip(buf_slice(&body)) == body.len);
    mail_body_of_structure(&again, buf_slice(&body)); /* nothing more to leave out */
    same(buf_slice(&body), buf_slice(&again));
}

__attribute__((noinline)) static void check_stored(const MailSummary *m)
{
    Arena a arena_scoped = {0};
    Buf stored buf_scoped = {0};
    MailSummary read, peeked;
    mail_summary_encode(&stored, m);
    must(!mail_summary_decode(buf_slice(&stored), &a, &read));
    check_same(m, &read);
    must(!mail_summary_peek(buf_slice(&stored), &peeked));
    same(peeked.envelope, m->envelope), same(peeked.references, m->references);
}

static void scan_in_pieces(Slice message, unsigned first, MailScan *s)
{
    unsigned step = first;
    for (size_t i = 0, n; i < message.len; i += n) {
        n = MIN(1 + step % 64, message.len - i);
        step = step * 29 + 7;
        if (!first) n = 1;
        mail_scan_feed(s, slice(message.at + i, n));
    }
}

static void as_it_is(Buf *out, Slice utf8)
{
    buf_add(out, utf8);
}

__attribute__((noinline)) static void check_text_of(Slice message, MailTextOf what,
                                                    const MailSummary *all)
{
    Arena a arena_scoped = {0};
    Buf whole_text buf_scoped = {0}, cut_text buf_scoped = {0};
    MailScan *whole scoped(mail_scan) = mail_scan_new(&whole_text);
    MailScan *cut scoped(mail_scan) = mail_scan_new(&cut_text);
    MailSummary one, other, expected = *all;
    mail_scan_text_of(whole, what), mail_scan_text_of(cut, what);
    mail_scan_fold_with(whole, as_it_is), mail_scan_fold_with(cut, as_it_is);
    mail_scan_feed(whole, message);
    scan_in_pieces(message, 5, cut);
    mail_scan_end(whole, &a, &one);
    mail_scan_end(cut, &a, &other);
    check_same(&one, &other);
    expected.preview = one.preview; /* of what was looked at */
    check_same(&expected, &one);
    same(buf_slice(&whole_text), buf_slice(&cut_text));
    must(whole_text.len <= MAIL_TEXT_MOST);
}

/* Looked at part by part, it says the same (mail/look.h). */
__attribute__((noinline)) static void check_looks(Slice message, MailTextOf what,
                                                  const MailSummary *m)
{
    Arena a arena_scoped = {0};
    Buf whole buf_scoped = {0}, parts buf_scoped = {0};
    MailLook l = {.needle = S("\xff nowhere")};
    MailSummary one;
    MailScan *s scoped(mail_scan) = mail_scan_new(&whole);
    mail_scan_text_of(s, what);
    mail_scan_feed(s, message);
    mail_scan_end(s, &a, &one);
    bool comparable = true; /* what is cut is cut elsewhere */
    for (uint16_t i = 0; i < m->part_count; i++) {
        const MailPart *p = &m->parts[i];
        Slice header = slice(message.at + p->header_at, p->header_len);
        comparable &= p->header_len <= MAIL_HEADER_MOST && p->body_len <= MAIL_TEXT_MOST;
        for (int body = what == MAIL_TEXT_BODIES || !i; body < 2; body++) {
            if (body && p->kind != PART_TEXT) continue;
            if (body)
                mail_look_at_body(&l, p, header, slice(message.at + p->body_at, p->body_len));
            else
                mail_look_at_header(&l, header);
            if (parts.len && l.folded.len) buf_char(&parts, '\n');
            buf_add(&parts, buf_slice(&l.folded));
        }
    }
    comparable &= whole.len < MAIL_TEXT_MOST - 8 && parts.len < MAIL_TEXT_MOST - 8;
    if (comparable && m->part_count < MAIL_PARTS_MOST - 1)
        same(buf_slice(&whole), buf_slice(&parts));
    mail_look_done(&l);
}

static void check(Slice message, unsigned step)
{
    Arena a arena_scoped = {0};
    Buf whole_text buf_scoped = {0}, cut_text buf_scoped = {0};
    MailSummary whole, cut, without_text;
    mail_summarise(message, &a, &whole_text, &whole);
    MailScan *s scoped(mail_scan) = mail_scan_new(&cut_text);
    scan_in_pieces(message, step, s);
    mail_scan_end(s, &a, &cut);
    mail_summarise(message, &a, NULL, &without_text);

    check_same(&whole, &cut);
    check_same(&whole, &without_text);
    same(buf_slice(&whole_text), buf_slice(&cut_text));
    must(whole_text.len <= MAIL_TEXT_MOST);
    check_parts(message, &whole);
    check_structure(&whole);
    check_stored(&whole);
    check_looks(message, message.len % 2 ? MAIL_TEXT_ALL : MAIL_TEXT_BODIES, &whole);
    check_text_of(message, (MailTextOf)(message.len % (MAIL_TEXT_ATTACHMENTS + 1)), &whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    Buf much buf_scoped = {0};
    Slice message = slice(data + 1, size - 1);
    if (data[0] >= SPREAD) {
        fuzz_spread(message, MESSAGE_MOST, &much);
        message = buf_slice(&much);
    }
    check(message, data[0]);
    return 0;
}
