/* Stored summaries are untrusted: what decodes is consistent, and encodes to something that decodes
 * to the same. */
#include "base/fuzz.h"
#include "mail/mail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena a arena_scoped = {0};
    Buf once buf_scoped = {0}, twice buf_scoped = {0}, body buf_scoped = {0};
    MailSummary m, peeked, again;
    Slice stored = slice(data, size);
    mail_body_of_structure(&body, stored);
    must(body.len <= 2 * size + 1);
    bool peeks = !mail_summary_peek(stored, &peeked);
    if (mail_summary_decode(stored, &a, &m)) return 0;
    must(peeks && m.part_count > 0 && m.part_count <= MAIL_PARTS_MOST);
    for (uint16_t i = 0; i < m.part_count; i++) {
        const MailPart *p = &m.parts[i];
        must((uint64_t)p->body_at + p->body_len <= m.size && p->depth <= MAIL_DEPTH_MOST);
        must(p->next < m.part_count && p->first_child < m.part_count);
        must((!p->next || p->next > i) && (!p->first_child || p->first_child > i));
    }
    for (uint32_t path[] = {1, 1, 2}, depth = 0; depth <= COUNT(path); depth++) {
        uint16_t number;
        if (!mail_part_find(&m, path, depth, &number)) must(number < m.part_count);
    }
    mail_body_of_structure(&body, m.body_structure);
    mail_summary_encode(&once, &m);
    must(!mail_summary_decode(buf_slice(&once), &a, &again));
    mail_summary_encode(&twice, &again);
    must(slice_eq(buf_slice(&once), buf_slice(&twice)));
    return 0;
}
