#include "store/page.h"

#include "base/test.h"
#include "base/text.h"

#include <stdlib.h>

TEST(a_page_with_one_bit_wrong_is_refused)
{
    Buf page buf_scoped = {0};
    Reader in;
    buf_add(&page, S("other things before it"));
    size_t start = page_begin(&page);
    buf_add(&page, S("payload"));
    page_end(&page, start);
    Slice value = slice_from(buf_slice(&page), start);
    check_ok(page_open(value, &in));
    check_slice(in.rest, S("payload"));
    for (size_t bit = 0; bit < value.len * 8; bit++) {
        page.at[start + bit / 8] ^= (char)(1 << bit % 8);
        check_err(page_open(value, &in), ERR_CORRUPT);
        page.at[start + bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t len = 0; len < value.len; len++)
        check_err(page_open(slice_first(value, len), &in), ERR_CORRUPT);
}

TEST(keys_sort_as_their_numbers)
{
    static const uint32_t numbers[] = {0, 1, 255, 256, 65535, 65536, 0x7fffffff, 0xffffffff};
    for (size_t i = 0; i + 1 < COUNT(numbers); i++) {
        PageKey a = page_key_2('s', 7, numbers[i]), b = page_key_2('s', 7, numbers[i + 1]);
        uint32_t back[2];
        check(slice_order(page_key_slice(&a), page_key_slice(&b)) < 0);
        check(page_key_numbers(page_key_slice(&a), back, 2));
        check_u64(back[0], 7);
        check_u64(back[1], numbers[i]);
        check(!page_key_numbers(page_key_slice(&a), back, 1));
    }
}

TEST(a_head_comes_back)
{
    Head h = {
        .seq = 1000,
        .next_eid = 2,
        .next_mailbox = 3,
        .next_uid_validity = 4,
        .used = {5, 6, 0,          14},
        .limit = {7, 0, QUOTA_NONE, 8 },
        .has_limit = true,
        .last_mail_seq = 9,
        .last_mailbox_seq = 10,
        .last_object_seq = 11,
        .thread_buckets = 12,
        .thread_entries = 13,
        .login = S("anna")
    };
    Buf page buf_scoped = {0}, again buf_scoped = {0};
    Head got;
    head_encode(&page, &h);
    Reader in = reader(buf_slice(&page));
    check_ok(head_decode(&in, &got));
    head_encode(&again, &got);
    check_slice(buf_slice(&again), buf_slice(&page));
    check_u64(got.thread_entries, 13);
    for (int i = 0; i < QUOTA_RESOURCES; i++) {
        check_u64(got.used[i], h.used[i]);
        check_u64(got.limit[i], h.limit[i]);
    }
    check_slice(got.login, S("anna"));
}

/* A head as the first version wrote it ends with the login, and 0 is no limit. */
TEST(a_head_of_the_first_version_is_read)
{
    static const uint8_t numbers[] = {9, 2, 3, 4, 5, 6, 1, 7, 0, 0, 0, 0, 12, 13};
    Buf page buf_scoped = {0};
    Head got;
    buf_add(&page, slice(numbers, sizeof numbers));
    buf_bytes(&page, S("anna"));
    Reader in = reader(buf_slice(&page));
    check_ok(head_decode(&in, &got));
    check(got.has_limit);
    check_u64(got.used[QUOTA_STORAGE], 5);
    check_u64(got.limit[QUOTA_STORAGE], 7);
    check_u64(got.used[QUOTA_ANNOTATION], 0);
    for (int i = QUOTA_MESSAGE; i < QUOTA_RESOURCES; i++)
        check_u64(got.limit[i], QUOTA_NONE);
    check_slice(got.login, S("anna"));
}

TEST(a_mailbox_comes_back)
{
    Buf acl buf_scoped = {0}, page buf_scoped = {0};
    buf_bytes(&acl, S("bob"));
    buf_varint(&acl, 255);
    BoxState b = {.id = 1,
                  .uid_validity = 2,
                  .uid_next = 3,
                  .recent_from = 4,
                  .exists = 5,
                  .unseen = 6,
                  .deleted = 7,
                  .recent = 8,
                  .size_octets = 9,
                  .highest_modseq = 10,
                  .created_modseq = 11,
                  .vanished_first = 12,
                  .vanished_next = 13,
                  .vanished_floor = 14,
                  .role = 1,
                  .name = S("INBOX"),
                  .acl = buf_slice(&acl)};
    BoxState got;
    box_encode(&page, &b);
    Reader in = reader(buf_slice(&page));
    check_ok(box_decode(&in, &got));
    check_u64(got.vanished_floor, 14);
    check_slice(got.name, b.name);
    check_slice(got.acl, b.acl);
    b.vanished_first = 14; /* behind the end */
    buf_clear(&page);
    box_encode(&page, &b);
    in = reader(buf_slice(&page));
    check_err(box_decode(&in, &got), ERR_CORRUPT);
}

static const struct {
    Message messages[2];
    bool sound;
} slots[] = {
    {{{.uid = 64, .eid = 1}, {.uid = 127, .eid = 1}}, true },
    {{{.uid = 65, .eid = 1}, {.uid = 65, .eid = 2}},  false},
    {{{.uid = 66, .eid = 1}, {.uid = 65, .eid = 2}},  false},
    {{{.uid = 64, .eid = 1}, {.uid = 128, .eid = 2}}, false},
    {{{.uid = 63, .eid = 1}, {.uid = 64, .eid = 2}},  false},
    {{{.uid = 64, .eid = 0}, {.uid = 65, .eid = 2}},  false},
};

TEST(slots_belong_to_their_page_and_ascend)
{
    for (size_t i = 0; i < COUNT(slots); i++) {
        Buf page buf_scoped = {0};
        Message got[2];
        size_t count;
        slots_encode(&page, slots[i].messages, 2);
        Reader in = reader(buf_slice(&page));
        check_u64(slots_decode(&in, 1, got, &count), slots[i].sound ? OK : ERR_CORRUPT);
    }
}

TEST(a_full_slot_page_stays_below_the_limit)
{
    Buf page buf_scoped = {0};
    Message *m = mem_zero(2 * SLOTS * sizeof *m), *got = m + SLOTS;
    size_t count;
    for (uint32_t i = 0; i < SLOTS; i++)
        m[i] = (Message){.uid = 64 + i,
                         .eid = UINT32_MAX,
                         .modseq = UINT64_MAX,
                         .size = UINT32_MAX,
                         .date = i,
                         .flags = 255,
                         .kwset = UINT16_MAX};
    size_t start = page_begin(&page);
    slots_encode(&page, m, SLOTS);
    page_end(&page, start);
    check(page.len <= PAGE_VALUE_MOST);
    Reader in;
    check_ok(page_open(buf_slice(&page), &in));
    check_ok(slots_decode(&in, 1, got, &count));
    check_u64(count, SLOTS);
    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): both began as zeros */
    check(!memcmp(m, got, SLOTS * sizeof *m));
    free(m);
}

static void fill_emails(Email *e)
{
    for (uint32_t i = 0; i < EMAILS; i++)
        e[i] = (Email){
            .ref = {.at = UINT64_C(5) << 32 | i * 21000, .len = 20000, .crc = i   },
            .thread = 90000 + i,
            .header_len = 1500,
            .prefix = 1,
            .prefix_len = 40,
            .link_count = 1,
            .link = { 3,                          90000 + i,   1700000000, 5000000 + i}
        };
    e[4] = (Email){0};
    e[5].link_count = 3;
    e[5].more = mem_zero(2 * sizeof(EmailLink));
    e[5].more[1] = (EmailLink){9, 8, 7, 6, 5};
    e[6].ref.at = BLOB_BIG | 77;
    e[6].shared = true;
    e[7].link_count = 0, e[7].dead_time = 11, e[7].dead_seq = 12;
}

TEST(emails_come_back_and_usually_fit)
{
    Buf page buf_scoped = {0}, again buf_scoped = {0};
    Email *emails = mem_zero(2 * EMAILS * sizeof *emails), *got = emails + EMAILS;
    fill_emails(emails);
    emails_encode(&page, emails);
    check(page.len < PAGE_VALUE_MOST);
    Reader in = reader(buf_slice(&page));
    check_ok(emails_decode(&in, got));
    emails_encode(&again, got);
    check_slice(buf_slice(&again), buf_slice(&page));
    check_u64(got[5].more[1].mailbox, 9);
    check_u64(got[6].ref.at, BLOB_BIG | 77);
    check_u64(got[7].dead_seq, 12);
    check(!got[4].thread);
    for (size_t len = 0; len < page.len; len++) { /* every cut is an error and leaks nothing */
        in = reader(slice(page.at, len));
        Email *cut = mem_zero(EMAILS * sizeof *cut);
        check_err(emails_decode(&in, cut), ERR_CORRUPT);
        free(cut);
    }
    emails_done(emails);
    emails_done(got);
    free(emails);
}

TEST(summaries_come_back_from_chunks)
{
    SummaryCodec *codec = summary_codec_new();
    Arena a arena_scoped = {0};
    Buf chunk buf_scoped = {0}, text buf_scoped = {0};
    Summaries s = {0}, got = {0};
    for (uint32_t i = 0; i < SUMMARIES; i++)
        s.stored[i] = arena_printf(&a, "summary %u %0500u", i, i);
    for (uint32_t first = 0; first < SUMMARIES; first += 4) {
        Summaries some = {0};
        memcpy(&some.stored[first], &s.stored[first], 4 * sizeof(Slice));
        buf_clear(&chunk);
        summaries_encode(codec, &chunk, &some, first == 8);
        Reader in = reader(buf_slice(&chunk));
        check_ok(summaries_decode(codec, &in, &text, &got));
    }
    for (uint32_t i = 0; i < SUMMARIES; i++)
        check_slice(got.stored[i], s.stored[i]);
    buf_clear(&chunk);
    summaries_encode(codec, &chunk, &s, true);
    check(chunk.len < 1000);
    summary_codec_free(codec);
    summary_codec_free(NULL);
}

TEST(a_summary_frame_that_lies_about_its_length)
{
    SummaryCodec *codec = summary_codec_new();
    Buf chunk buf_scoped = {0}, text buf_scoped = {0};
    Summaries s = {.stored = {S("abc")}}, got = {0};
    summaries_encode(codec, &chunk, &s, true);
    for (int length = 0; length < 127; length++) {
        if (length == 5) continue; /* the truth: index, length, abc */
        chunk.at[1] = (char)length;
        Reader in = reader(buf_slice(&chunk));
        check_err(summaries_decode(codec, &in, &text, &got), ERR_CORRUPT);
    }
    summary_codec_free(codec);
}

TEST(a_summary_frame_of_more_than_there_can_be)
{
    SummaryCodec *codec = summary_codec_new();
    Buf text buf_scoped = {0};
    Summaries got = {0};
    Reader in = reader(S("\1\x81\x80\x80\x20 64 MiB and 1"));
    check_err(summaries_decode(codec, &in, &text, &got), ERR_CORRUPT);
    summary_codec_free(codec);
}
