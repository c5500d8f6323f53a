/* Header blocks and values: fields tile the block, decoding gives UTF-8 without control characters,
 * lists stay in their limits. */
#include "base/fuzz.h"
#include "base/text.h"
#include "mail/header.h"
#include "mail/mail.h"

static void check_fields(Slice header)
{
    HeaderField f = {0};
    size_t before = 0;
    while (header_next(header, &f)) {
        must(f.whole.at == header.at + before && f.next == before + f.whole.len && f.whole.len);
        must(f.name.len + f.value.len <= f.whole.len);
        before = f.next;
    }
}

static void check_text(Arena *a, Slice value)
{
    Buf text buf_scoped = {0};
    header_decode(&text, value);
    must(utf8_is_valid(buf_slice(&text)) && !text_has_ctl(buf_slice(&text)));
    bool is_reply, again;
    Slice base = header_base_subject(a, buf_slice(&text), &is_reply);
    must(base.len <= text.len);
    must(slice_eq(header_base_subject(a, base, &again), base) && !again);
}

static void check_addresses(Arena *a, Slice value)
{
    MailAddress *list;
    size_t n = header_addresses(a, value, &list);
    bool in_group = false;
    must(n <= MAIL_ADDRESSES_MOST + 1);
    for (size_t i = 0; i < n; i++) {
        must(!(list[i].group_start && in_group) && !(list[i].group_end && !in_group));
        in_group = list[i].group_start || (in_group && !list[i].group_end);
        must(list[i].group_start || list[i].group_end || (list[i].mailbox.at && list[i].host.at));
    }
    must(!in_group);
}

static void check_parameters(Arena *a, Slice value)
{
    MailParameterised raw, decoded;
    header_parameterised(a, value, false, &raw);
    header_parameterised(a, value, true, &decoded);
    must(decoded.count <= raw.count && slice_eq(raw.value, decoded.value));
    for (size_t i = 0; i < decoded.count; i++) {
        must(decoded.parameters[i].name.at && utf8_is_valid(decoded.parameters[i].value));
        for (size_t j = 0; j < i && i < 20; j++)
            must(!slice_eq(decoded.parameters[i].name, decoded.parameters[j].name));
    }
}

static void check_date(Slice value)
{
    int64_t seconds;
    int16_t zone;
    if (header_date(value, &seconds, &zone)) return;
    must(zone > -1500 && zone < 1500);
    must(seconds >= days_from_civil(0, 12, 30) * 86400 &&
         seconds < days_from_civil(10000, 1, 3) * 86400);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena a arena_scoped = {0};
    Slice value = slice(data, size), *ids;
    check_fields(value);
    check_text(&a, value);
    check_addresses(&a, value);
    check_parameters(&a, value);
    check_date(value);
    size_t n = header_message_ids(&a, value, &ids);
    for (size_t i = 0; i < n; i++)
        must(slice_starts(ids[i], S("<")) && slice_ends(ids[i], S(">")));
    return 0;
}
