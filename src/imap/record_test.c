#include "imap/record.h"

#include "base/test.h"

static ImapRecord full(Arena *a)
{
    ImapRecord r = {
        .tag = S("a.17"),
        .mistakes = 3,
        .enabled = ENABLED_QRESYNC | ENABLED_CONDSTORE,
        .language = LANGUAGE_COUNT - 1,
        .comparator = {COMPARE_OCTET, true},
        .quota_known = true,
        .quota_level = 80,
        .after_literal = true,
        .notify = S(" SET (selected (MessageNew MessageExpunge))"),
        .heard = S("heard"),
        .selected = true,
        .acct = 77,
        .mailbox_id = 8,
        .how = RECORD_EXAMINED,
        .told_keywords = 0xdeadbeef,
        .told_rights = RIGHT_READ | RIGHT_SEEN,
        .view = S("a view"),
        .notes = S("notes")
    };
    uidset_add(a, &r.saved, 3, 9);
    uidset_add(a, &r.saved, 4000000000u, UINT32_MAX);
    return r;
}

TEST(a_session_at_rest_is_read_as_it_was_written)
{
    Arena arena arena_scoped = {0};
    Buf octets buf_scoped = {0}, again buf_scoped = {0};
    ImapRecord r = full(&arena), back;
    imap_record_at_rest(&octets, &r);
    check_ok(imap_read_at_rest(buf_slice(&octets), &arena, &back));
    imap_record_at_rest(&again, &back);
    check_slice(buf_slice(&again), buf_slice(&octets));
    check_slice(back.tag, r.tag);
    check_slice(back.notify, r.notify);
    check_slice(back.heard, r.heard);
    check_slice(back.view, r.view);
    check_slice(back.notes, r.notes);
    check_u64(back.told_keywords, r.told_keywords);
    check_u64(back.told_rights, r.told_rights);
    check_u64(back.saved.count, 2);
    check(back.quota_known && !back.quota_over && back.after_literal && back.selected);
    check(back.comparator.descending && back.comparator.collation == COMPARE_OCTET);
    for (size_t i = 0; i < octets.len; i++)
        check_err(imap_read_at_rest(slice_first(buf_slice(&octets), i), &arena, &back), ERR_SYNTAX);
    buf_char(&octets, 'x');
    check_err(imap_read_at_rest(buf_slice(&octets), &arena, &back), ERR_SYNTAX);
}

TEST(a_login_is_read_as_it_was_written)
{
    Buf octets buf_scoped = {0};
    ImapRecord r = {.tag = S("x"), .login_ms = 59000, .mistakes = 19, .after_literal = true}, back;
    imap_record_logged_in(&octets, &r);
    check_ok(imap_read_logged_in(buf_slice(&octets), &back));
    check_slice(back.tag, r.tag);
    check_u64(back.login_ms, 59000);
    check_u64(back.mistakes, 19);
    check(back.after_literal);
    for (size_t i = 0; i < octets.len; i++)
        check_err(imap_read_logged_in(slice_first(buf_slice(&octets), i), &back), ERR_SYNTAX);
}

/* What goes to the client in an answer is a tag and nothing else. */
TEST(a_tag_cannot_be_more_than_a_tag)
{
    static const Slice bad[] = {S(""), S("a b"), S("+"), S("a\r\n* BYE"), S("{3}")};
    for (size_t i = 0; i < COUNT(bad); i++) {
        Buf octets buf_scoped = {0};
        ImapRecord r = {.tag = bad[i]}, back;
        imap_record_logged_in(&octets, &r);
        check_err(imap_read_logged_in(buf_slice(&octets), &back), ERR_SYNTAX);
    }
}
