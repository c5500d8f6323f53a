#include "house/control.h"

#include "house/house_world.h"

static const size_t steps[] = {1, 2, 3, 5, 7, 64, 1 << 20};

static void add_request(Buf *out, const char *const *args, size_t count)
{
    Buf payload buf_scoped = {0};
    for (size_t i = 0; i < count; i++)
        buf_bytes(&payload, slice_of(args[i]));
    control_frame(out, 'A', buf_slice(&payload));
}

TEST(a_request_may_be_cut_anywhere)
{
    HouseWorld w;
    Buf request buf_scoped = {0};
    Answer whole = {0}, cut = {0};
    house_world_open(&w);
    add_request(&request, (const char *const[]){"mailbox", "create", "u00001", "Arbeit"}, 4);
    ask_octets(w.house, &whole, buf_slice(&request), 1 << 20);
    check_u64(whole.exit_code, 0);
    ask_octets(w.house, &whole, buf_slice(&request), 1 << 20); /* it is there now */
    check_u64(whole.exit_code, EXIT_CANT_CREATE);
    for (size_t i = 0; i < COUNT(steps); i++) {
        ask_octets(w.house, &cut, buf_slice(&request), steps[i]);
        check_slice(buf_slice(&cut.err), buf_slice(&whole.err));
        check_u64(cut.exit_code, whole.exit_code);
    }
    answer_done(&whole);
    answer_done(&cut);
    house_world_close(&w);
}

TEST(broken_requests_are_refused_in_words)
{
    static const struct {
        Slice octets;
        const char *said; /* NULL: nothing needs to come, the request was not whole */
    } rows[] = {
        {S(""),                 NULL                                               },
        {S("\3\0"),             NULL                                               },
        {S("\3\0\0\0A"),        NULL                                               },
        {S("\0\0\0\0A"),        "posthouse: a control frame of 0 octets\n"         },
        {S("\1\0\0\1A"),        "posthouse: a control frame of 16777217 octets\n"  },
        {S("\xff\xff\xff\xff"
           "A"),
         "posthouse: a control frame of 4294967295 octets\n"                       },
        {S("\1\0\0\0A"),        "posthouse: a broken control request\n"            },
        {S("\1\0\0\0Z"),        "posthouse: a control frame Z before the request\n"},
        {S("\3\0\0\0A\2x"),     "posthouse: a broken control request\n"            },
        {S("\7\0\0\0A\5hallo"), "posthouse: no verb hallo\n"                       },
        {S("\6\0\0\0A\4demo"),  "posthouse: no verb demo\n"                        },
        {S("\2\0\0\0A\0"),      "posthouse: no verb \n"                            },
    };
    Answer answer = {0};
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t k = 0; k < COUNT(steps); k++) {
            ask_octets(NULL, &answer, rows[i].octets, steps[k]);
            if (rows[i].said) check_slice(buf_slice(&answer.err), slice_of(rows[i].said));
            if (answer.exit_code != EXIT_USAGE)
                test_failed(__FILE__, __LINE__, "row %zu: exit code %d", i, answer.exit_code);
        }
    }
    answer_done(&answer);
}

TEST(arguments_have_a_number_that_is_too_many)
{
    Arena a arena_scoped = {0};
    Buf payload buf_scoped = {0};
    const Slice *args;
    size_t count;
    for (size_t i = 0; i < CONTROL_ARGS_MOST; i++)
        buf_bytes(&payload, S("x"));
    check_ok(control_args(buf_slice(&payload), &a, &args, &count));
    check_u64(count, CONTROL_ARGS_MOST);
    buf_bytes(&payload, S("x"));
    check_err(control_args(buf_slice(&payload), &a, &args, &count), ERR_SYNTAX);
}

TEST(verbs_answer_over_a_pair_of_streams)
{
    HouseWorld w;
    Answer a = {0};
    house_world_open(&w);
    ASK(&w, &a, S("user"), S("add"), S("Anna"), S("pw"));
    check_u64(a.exit_code, 0);
    ASK(&w, &a, S("user"), S("list"));
    check_slice(buf_slice(&a.out), S("anna\n"));
    ASK(&w, &a, S("user"), S("add"), S("anna"), S("pw"));
    check_u64(a.exit_code, EXIT_CANT_CREATE);
    ASK(&w, &a, S("user"), S("password"), S("nobody"), S("pw"));
    check_u64(a.exit_code, EXIT_NO_USER);
    ASK(&w, &a, S("user"));
    check_u64(a.exit_code, EXIT_USAGE);
    check(slice_starts(buf_slice(&a.err), S("usage: posthouse user add LOGIN")));
    ASK(&w, &a, S("user"), S("alias"), S("info@localhost"), S("anna"), S("u00002"));
    check_u64(a.exit_code, 0);
    ASK(&w, &a, S("user"), S("aliases"));
    check_slice(buf_slice(&a.out), S("info@localhost anna u00002\n"));
    ASK(&w, &a, S("status"));
    check_u64(a.exit_code, 0);
    check(slice_find_slice(buf_slice(&a.out), S("takes changes")) < a.out.len);
    ASK(&w, &a, S("check"));
    check_u64(a.exit_code, 0);
    ASK(&w, &a, S("scrub"));
    check_u64(a.exit_code, 0);
    answer_done(&a);
    house_world_close(&w);
}

/* Whose home is which loop depends on the account's number: several accounts are at home on both.
 */
TEST(what_is_said_on_another_loop_arrives_in_order)
{
    static const char *const logins[] = {"u00001", "u00002", "u00003"};
    HouseWorld w;
    Answer a = {0};
    bool elsewhere = false;
    house_world_open(&w);
    for (size_t i = 0; i < COUNT(logins); i++) {
        uint32_t acct;
        check_ok(auth_account(w.house->auth, slice_of(logins[i]), &acct));
        elsewhere |= store_home(w.house->store, acct) != loop_current();
        ASK(&w, &a, S("user"), S("quota"), slice_of(logins[i]), S("5M"), S("7"));
        check_slice(buf_slice(&a.out),
                    S("octets 0 of 5242880, messages 0 of 7, mailboxes 6 of any number, "
                      "octets of annotations 0 of any number\n"));
        ASK(&w, &a, S("user"), S("quota"), slice_of(logins[i]), S("5X"));
        check_u64(a.exit_code, EXIT_USAGE);
        ASK(&w, &a, S("mailbox"), S("list"), slice_of(logins[i]));
        Slice lines = buf_slice(&a.out), line;
        check(slice_cut(&lines, '\n', &line) && slice_ends(line, S("name")));
        check(slice_cut(&lines, '\n', &line) && slice_ends(line, S("  INBOX")));
    }
    check(elsewhere);
    answer_done(&a);
    house_world_close(&w);
}

TEST(pop3_settings_are_kept_and_checked)
{
    HouseWorld w;
    Answer a = {0};
    house_world_open(&w);
    ASK(&w, &a, S("user"), S("pop3"), S("u00001"));
    check_slice(buf_slice(&a.out), S("delete=expunge expire=never leave=yes\n"));
    ASK(&w, &a, S("user"), S("pop3"), S("u00001"), S("delete=trash"), S("expire=30"));
    check_slice(buf_slice(&a.out), S("delete=trash expire=30 leave=yes\n"));
    ASK(&w, &a, S("user"), S("pop3"), S("u00001"), S("leave=no")); /* the others stay */
    check_slice(buf_slice(&a.out), S("delete=trash expire=30 leave=no\n"));
    ASK(&w, &a, S("user"), S("pop3"), S("u00001"), S("delete=perhaps"));
    check_u64(a.exit_code, EXIT_USAGE);
    ASK(&w, &a, S("user"), S("pop3"), S("nobody"));
    check_u64(a.exit_code, EXIT_NO_USER);
    check_slice(buf_slice(&a.err), S("posthouse user: no user nobody\n"));
    answer_done(&a);
    house_world_close(&w);
}
