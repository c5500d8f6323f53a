#include "base/test.h"
#include "mail/mail.h"
#include "mail/wire.h"

#define CT "Content-Type: "
static const char nested[] =
    CT "multipart/mixed; boundary=a\n\n"
       "--a\n\none\n"
       "--a\n" CT "multipart/alternative; boundary=b\n\n"
       "--b\n\ntwo one\n"
       "--b\n" CT "text/html; charset=utf-8\n\ntwo two\n--b--\n"
       "--a\n" CT "message/rfc822\n\nSubject: s\n" CT "multipart/mixed; boundary=c\n\n"
       "--c\n\nthree one\n--c\n" CT "text/plain; charset=koi8-r\n\nthree two\n--c--\n"
       "--a\n" CT "message/rfc822\n\nSubject: s\n\nfour\n"
       "--a--\n";

/* RFC 9051 6.4.5: section-part. A row: the path, and what the part's body begins with; NULL: no
 * such part. */
static const struct {
    uint32_t path[4];
    const char *body;
} rows[] = {
    {{1},       "one"                },
    {{2},       "--b"                },
    {{2, 1},    "two one"            },
    {{2, 2},    "two two"            },
    {{3},       "Subject: s\nContent"},
    {{3, 1},    "three one"          },
    {{3, 2},    "three two"          },
    {{4},       "Subject: s\n\nfour" },
    {{4, 1},    "four"               },
    {{5},       NULL                 },
    {{1, 1},    NULL                 },
    {{2, 3},    NULL                 },
    {{2, 1, 1}, NULL                 },
    {{3, 3},    NULL                 },
    {{3, 1, 1}, NULL                 },
    {{4, 2},    NULL                 },
    {{4, 1, 1}, NULL                 },
};

static size_t depth_of(const uint32_t path[4])
{
    size_t n = 0;
    while (n < 4 && path[n])
        n++;
    return n;
}

TEST(parts_are_found)
{
    Arena a arena_scoped = {0};
    MailSummary m;
    mail_summarise(slice_of(nested), &a, NULL, &m);
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint16_t n = 999;
        Err err = mail_part_find(&m, rows[i].path, depth_of(rows[i].path), &n);
        if (!rows[i].body) {
            check(err == ERR_NOT_FOUND && n == 999);
            continue;
        }
        check_ok(err);
        Slice body = slice(nested + m.parts[n].body_at, m.parts[n].body_len);
        if (!slice_starts(body, slice_of(rows[i].body)))
            test_failed(__FILE__, __LINE__, "row %zu: \"%.*s\"", i, SP(body));
    }
    uint16_t n = 999;
    check_ok(mail_part_find(&m, NULL, 0, &n));
    check_u64(n, 0);
    check_err(mail_part_find(&m, (uint32_t[]){0}, 1, &n), ERR_NOT_FOUND);
    check_err(mail_part_find(&m, (uint32_t[]){UINT32_MAX}, 1, &n), ERR_NOT_FOUND);
}

TEST(simple_messages_have_one_part)
{
    static const char *const messages[] = {"A: b\n\nbody", CT "message/rfc822\n\nA: b\n\nbody"};
    for (size_t i = 0; i < COUNT(messages); i++) {
        Arena a arena_scoped = {0};
        MailSummary m;
        uint16_t n = 999;
        mail_summarise(slice_of(messages[i]), &a, NULL, &m);
        check_ok(mail_part_find(&m, (uint32_t[]){1}, 1, &n));
        check_u64(n, 0);
        check_err(mail_part_find(&m, (uint32_t[]){2}, 1, &n), ERR_NOT_FOUND);
        check_err(mail_part_find(&m, (uint32_t[]){1, 1}, 2, &n), i ? OK : ERR_NOT_FOUND);
        check_u64(n, i);
        check_err(mail_part_find(&m, (uint32_t[]){1, 1, 1}, 3, &n), ERR_NOT_FOUND);
    }
}

static void check_same(const MailSummary *a, const MailSummary *b)
{
    check(a->size == b->size && a->lines == b->lines && a->header_len == b->header_len);
    check(a->sent == b->sent && a->sent_zone == b->sent_zone &&
          a->has_attachment == b->has_attachment);
    check_slice(a->envelope, b->envelope);
    check_slice(a->body_structure, b->body_structure);
    check_slice(a->preview, b->preview);
    check_slice(a->from, b->from);
    check_slice(a->to, b->to);
    check_slice(a->cc, b->cc);
    check_slice(a->bcc, b->bcc);
    check_slice(a->subject, b->subject);
    check_slice(a->base_subject, b->base_subject);
    check_slice(a->message_id, b->message_id);
    check_slice(a->references, b->references);
}

static void check_same_parts(const MailSummary *a, const MailSummary *b)
{
    check_u64(a->part_count, b->part_count);
    for (uint16_t i = 0; i < a->part_count && i < b->part_count; i++) {
        const MailPart *p = &a->parts[i], *q = &b->parts[i];
        check(p->header_at == q->header_at && p->header_len == q->header_len);
        check(p->body_at == q->body_at && p->body_len == q->body_len && p->lines == q->lines);
        check(p->parent == q->parent && p->first_child == q->first_child && p->next == q->next);
        check(p->depth == q->depth && p->kind == q->kind && p->encoding == q->encoding);
        check_slice(p->charset, q->charset);
    }
}

static void stored_form(Buf *out, MailSummary *m, Arena *a)
{
    mail_summarise(slice_of(nested), a, NULL, m);
    m->sent = -5, m->sent_zone = -210, m->has_attachment = true;
    m->cc = S("c"), m->bcc = S("b"), m->references = S("<r@x>"), m->message_id = S("<m@x>");
    mail_summary_encode(out, m);
}

TEST(summaries_round_trip)
{
    Arena a arena_scoped = {0};
    Buf stored buf_scoped = {0};
    MailSummary m, read, peeked;
    stored_form(&stored, &m, &a);
    check_ok(mail_summary_decode(buf_slice(&stored), &a, &read));
    check_same(&read, &m);
    check_same_parts(&read, &m);
    check_ok(mail_summary_peek(buf_slice(&stored), &peeked));
    check_same(&peeked, &m);
    check(stored.len < m.body_structure.len + m.envelope.len + 250);
}

TEST(damaged_summaries_are_refused)
{
    Arena a arena_scoped = {0};
    Buf stored buf_scoped = {0};
    MailSummary m, read = {.size = 42};
    stored_form(&stored, &m, &a);
    for (size_t n = 0; n < stored.len; n++) /* cut short anywhere */
        check_err(mail_summary_decode(slice_first(buf_slice(&stored), n), &a, &read), ERR_CORRUPT);
    buf_char(&stored, 0); /* something behind it */
    check_err(mail_summary_decode(buf_slice(&stored), &a, &read), ERR_CORRUPT);
    stored.len--;
    stored.at[0] = 2; /* a version to come */
    check_err(mail_summary_decode(buf_slice(&stored), &a, &read), ERR_CORRUPT);
    check_err(mail_summary_peek(buf_slice(&stored), &read), ERR_CORRUPT);
    check_u64(read.size, 42);
}

/* ---- BODY ---- */

static const struct {
    const char *structure, *body;
} bodies[] = {
    {"",                                                                                ""                                                                                    },
    {"x",                                                                               ""                                                                                    },
    {"(\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 2 NIL (\"a\" (\"b\" \"c\")) NIL NIL)",
     "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 2)"                                                                                                                          },
    {"(\"image\" \"png\" (\"a\" \")(\") NIL {3}\r\n)\"( \"7bit\" 1 NIL NIL NIL NIL)",
     "(\"image\" \"png\" (\"a\" \")(\") NIL {3}\r\n)\"( \"7bit\" 1)"                                                                                                          },
    {"(\"message\" \"delivery-status\" NIL NIL NIL \"7bit\" 1 NIL NIL NIL NIL)",
     "(\"message\" \"delivery-status\" NIL NIL NIL \"7bit\" 1)"                                                                                                               },
    {"((\"a\" \"b\" NIL NIL NIL \"7bit\" 1 NIL)(\"a\" \"b\" NIL NIL NIL \"7bit\" 2 NIL) \"mixed\" "
     "(\"boundary\" \"b\") NIL NIL NIL)",                                          "((\"a\" \"b\" NIL NIL NIL \"7bit\" 1)(\"a\" \"b\" NIL NIL NIL \"7bit\" 2) \"mixed\")"},
    {"(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7bit\" 9 (NIL) ((\"text\" \"x\" NIL NIL NIL \"7bit\" 1 "
     "2 NIL) \"mixed\" NIL) 3 NIL)",                                               "(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7bit\" 9 (NIL) ((\"text\" \"x\" NIL NIL NIL \"7bit\" 1 "
     "2) \"mixed\") 3)"                                                                                                              },
 /* damaged: what can be copied, closed */
    {"(\"text\" \"plain",                                                               "(\"text\")"                                                                          },
    {"((((((",                                                                          "(((((())))))"                                                                        },
    {"(\"a\" {99}\r\nx)",                                                               "(\"a\")"                                                                             },
};

TEST(body_leaves_extensions_out)
{
    for (size_t i = 0; i < COUNT(bodies); i++) {
        Buf out buf_scoped = {0};
        mail_body_of_structure(&out, slice_of(bodies[i].structure));
        check_slice(buf_slice(&out), slice_of(bodies[i].body));
    }
}

TEST(values_are_stepped_over)
{
    check_u64(wire_skip(S("NIL x")), 3);
    check_u64(wire_skip(S("\"a\\\"b\" x")), 6);
    check_u64(wire_skip(S("{3}\r\n\")")), 0);
    check_u64(wire_skip(S("{2}\r\n\") x")), 7);
    check_u64(wire_skip(S("(a (b \")\") {1}\r\n)) x")), 18);
    check_u64(wire_skip(S("(a (b)")), 0);
    check_u64(wire_skip(S(")")), 0);
    check_u64(wire_skip(S("")), 0);
    check_u64(wire_skip(S("{99999999999999999999}\r\n")), 0);
}
