#include "smtp/record.h"

#include "base/test.h"

TEST(a_conversation_is_read_as_it_was_written)
{
    Buf octets buf_scoped = {0};
    Smtp s = {
        .stage = GREETED, .extended = true, .hello = "a.example.org", .errors = 2, .messages = 300};
    Smtp other = {.lmtp = true}, back = {0};
    check(smtp_record_write(&s, &octets));
    check_err(smtp_record_read(buf_slice(&octets), &other), ERR_SYNTAX);
    check_ok(smtp_record_read(buf_slice(&octets), &back));
    check_u64(back.stage, GREETED);
    check_slice(slice_of(back.hello), S("a.example.org"));
    check(back.extended && back.errors == 2 && back.messages == 300);
    for (size_t i = 0; i < octets.len; i++)
        check_err(smtp_record_read(slice_first(buf_slice(&octets), i), &back), ERR_SYNTAX);
}

TEST(a_transaction_is_not_kept)
{
    Buf octets buf_scoped = {0};
    check(!smtp_record_write(&(Smtp){.stage = SENDER}, &octets));
    check(!smtp_record_write(&(Smtp){.stage = GREETED, .chunks_failed = true}, &octets));
    check_u64(octets.len, 0);
}

TEST(a_name_is_a_name)
{
    Buf octets buf_scoped = {0};
    Smtp s = {.stage = GREETED, .hello = "a\r\nReceived: x"}, back = {0};
    check(smtp_record_write(&s, &octets));
    check_err(smtp_record_read(buf_slice(&octets), &back), ERR_SYNTAX);
}

TEST(a_name_is_no_longer_than_a_domain)
{
    Smtp back = {0};
    for (size_t len = SMTP_DOMAIN_MOST; len <= SMTP_DOMAIN_MOST + 1; len++) {
        Buf octets buf_scoped = {0}, name buf_scoped = {0};
        while (name.len < len)
            buf_char(&name, name.len % 50 == 49 ? '.' : 'x');
        buf_u8(&octets, 1), buf_u8(&octets, 0), buf_u8(&octets, 1);
        buf_bytes(&octets, buf_slice(&name));
        buf_varint(&octets, 0), buf_varint(&octets, 0);
        check_err(smtp_record_read(buf_slice(&octets), &back),
                  len > SMTP_DOMAIN_MOST ? ERR_SYNTAX : OK);
    }
}
