#include "base/fuzz.h"
#include "base/text.h"
#include "smtp/hops.h"
#include "smtp/path.h"

static bool is_within(Slice part, Slice whole)
{
    return !part.len || (part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

/* What goes into Received: and Return-Path: cannot begin a line of its own or end the <>. */
static void check_path(SmtpPath p, Slice text)
{
    must(is_within(p.mailbox, text) && is_within(p.local, p.mailbox));
    must(is_within(p.domain, p.mailbox) && !text_has_ctl(p.mailbox) && utf8_is_valid(p.mailbox));
    must(p.is_utf8 != text_is_ascii(p.mailbox));
    must(p.local.len <= SMTP_LOCAL_MOST && p.domain.len <= SMTP_DOMAIN_MOST);
    must(slice_find(p.domain, '>') == p.domain.len && slice_find(p.domain, '@') == p.domain.len);
}

/* A path that was read is read again as the same. */
static void check_again(SmtpPath p, Arena *a)
{
    Scan s = scan(arena_printf(a, "<%.*s>", SP(p.mailbox)));
    SmtpPath again = p.mailbox.len ? smtp_forward_path(&s) : smtp_reverse_path(&s);
    must(scan_is_ok(&s) && scan_is_done(&s));
    must(slice_eq(again.mailbox, p.mailbox) && slice_eq(again.domain, p.domain));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    Arena a arena_scoped = {0};
    Slice text = slice(data + 1, size - 1), ascii;
    Scan s = scan(text);
    SmtpParameter parameter;
    SmtpPath p = data[0] & 1 ? smtp_reverse_path(&s) : smtp_forward_path(&s);
    if (scan_is_ok(&s)) check_path(p, text), check_again(p, &a);
    for (const char *before = s.at; smtp_parameter(&s, &parameter); before = s.at) {
        must(s.at > before && parameter.name.len && is_within(parameter.name, text));
        must(is_within(parameter.value, text) && !text_has_ctl(parameter.value));
    }
    if (p.domain.len && !smtp_domain_to_ascii(&a, p.domain, &ascii)) must(text_is_ascii(ascii));
    if (smtp_is_host(text)) must(!text_has_ctl(text) && text.len <= SMTP_DOMAIN_MOST);
    Hops whole = {0}, cut = {0};
    hops_feed(&whole, text);
    for (size_t i = 0; i < text.len; i++)
        hops_feed(&cut, slice(text.at + i, 1));
    must(whole.received == cut.received && whole.in_body == cut.in_body);
    return 0;
}
