#include "house/config.h"

#include "base/test.h"
#include "base/text.h"
#include "run/file.h"

#include <stdlib.h>
#include <unistd.h>

static Slice printed(const Config *c, Buf *out)
{
    buf_clear(out);
    config_print(c, out);
    return buf_slice(out);
}

TEST(the_printed_defaults_are_a_file_that_says_the_defaults)
{
    Config defaults, read;
    Buf file buf_scoped = {0}, a buf_scoped = {0}, b buf_scoped = {0};
    config_print_defaults(&file);
    config_defaults(&defaults);
    config_defaults(&read);
    check_ok(config_parse(&read, buf_slice(&file)));
    check_slice(printed(&read, &a), printed(&defaults, &b));
    check(slice_starts(buf_slice(&file), S("version = 1\n")));
    config_done(&defaults);
    config_done(&read);
}

TEST(what_is_in_force_is_printed_as_a_file_that_says_it)
{
    Config c, again;
    Buf a buf_scoped = {0}, b buf_scoped = {0};
    config_defaults(&c);
    check_ok(config_parse(&c, S("version = 1\nstore = /a b\nlisten_imap = *:1 [::1]:2\n"
                                "throttle = no\nquota = 1025K\nimap_idle = 90\nloops = 3\n"
                                "domains =\n")));
    config_defaults(&again);
    check_ok(config_parse(&again, printed(&c, &a)));
    check_slice(printed(&again, &b), buf_slice(&a));
    check_u64(again.quota, 1025 << 10);
    check_u64(again.domains.count, 0);
    config_done(&c);
    config_done(&again);
}

TEST(every_type)
{
    Config c;
    config_defaults(&c);
    check_ok(config_set(&c, S("store"), S("/srv/mail")));
    check_slice(c.store, S("/srv/mail"));
    check_ok(config_set(&c, S("domains"), S("  a.example \t b.example  ")));
    check_u64(c.domains.count, 2);
    check_slice(c.domains.items[0], S("a.example"));
    check_slice(c.domains.items[1], S("b.example"));
    check_ok(config_set(&c, S("throttle"), S("NO")));
    check(!c.throttle);
    check_ok(config_set(&c, S("throttle"), S("yes")));
    check(c.throttle);
    config_done(&c);
}

TEST(numbers_sizes_and_times)
{
    static const struct {
        const char *key, *value;
        uint64_t want; /* UINT64_MAX: refused */
    } rows[] = {
        {"recipients_most", "7",                    7                },
        {"recipients_most", "7K",                   UINT64_MAX       },
        {"recipients_most", "",                     UINT64_MAX       },
        {"recipients_most", "-1",                   UINT64_MAX       },
        {"recipients_most", "1 2",                  UINT64_MAX       },
        {"recipients_most", "99999999999999999999", UINT64_MAX       },
        {"quota",           "0",                    0                },
        {"quota",           "12",                   12               },
        {"quota",           "3k",                   3 << 10          },
        {"quota",           "4M",                   4 << 20          },
        {"quota",           "5G",                   UINT64_C(5) << 30},
        {"quota",           "G",                    UINT64_MAX       },
        {"quota",           "5T",                   UINT64_MAX       },
        {"quota",           "99999999999G",         UINT64_MAX       },
        {"quota",           "18446744073709551615", UINT64_MAX       },
        {"login_time",      "45",                   45               },
        {"login_time",      "45s",                  45               },
        {"login_time",      "2m",                   120              },
        {"login_time",      "2H",                   7200             },
        {"login_time",      "1d",                   86400            },
        {"login_time",      "1w",                   UINT64_MAX       },
        {"login_time",      "1m30s",                UINT64_MAX       },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Config c;
        config_defaults(&c);
        Slice key = slice_of(rows[i].key);
        const uint64_t *field = slice_eq(key, S("quota"))        ? &c.quota
                                : slice_eq(key, S("login_time")) ? &c.login_time
                                                                 : &c.recipients_most;
        uint64_t before = *field;
        Err err = config_set(&c, key, slice_of(rows[i].value));
        bool refused = rows[i].want == UINT64_MAX;
        if (err != (refused ? ERR_CONFIG : OK) || *field != (refused ? before : rows[i].want))
            test_failed(__FILE__, __LINE__, "row %zu: %s = %s gives %llu", i, rows[i].key,
                        rows[i].value, (unsigned long long)*field);
        config_done(&c);
    }
}

TEST(a_nul_is_no_unit)
{
    Config c;
    config_defaults(&c);
    check_err(config_set(&c, S("quota"), S("99\0")), ERR_CONFIG);
    check_err(config_set(&c, S("loops"), S("9\0")), ERR_CONFIG);
    config_done(&c);
}

TEST(mistakes_name_the_line_and_what_is_wanted)
{
    static const struct {
        const char *file, *story;
    } rows[] = {
        {"store = /x\n",                                    "line 1: the first line has to be \"version = 1\""      },
        {"version = 2\n",                                   "line 1: this server reads version 1, not 2"            },
        {"# hello\n\nversion = 1\n  \nlisten_imab = *:1\n",
         "line 5: unknown key \"listen_imab\"; did you mean \"listen_imap\"?"                                       },
        {"version=1\r\nqouta = 1\r\n",                      "line 2: unknown key \"qouta\"; did you mean \"quota\"?"},
        {"version = 1\nsandboxed\n",                        "line 2: not \"key = value\""                           },
        {"version = 1\n= 1\n",                              "line 2: unknown key \"\"; did you mean \"user\"?"      },
        {"version = 1\nthrottle = maybe\n",                 "line 2: throttle wants yes or no, not \"maybe\""       },
        {"version = 1\nquota = many\n",                     "line 2: quota wants a size like 100M, not \"many\""    },
        {"version = 1\nimap_idle = x\n",                    "line 2: imap_idle wants a time like 30m, not \"x\""    },
        {"version = 1\nloops = x\n",                        "line 2: loops wants a number, not \"x\""               },
        {"version = 1\nlog_level = loud\n",
         "line 2: log_level wants debug, info, warn, error or none, not \"loud\""                                   },
        {"version = 1\nsubaddress_separator = ++\n",
         "line 2: subaddress_separator wants one character, or nothing"                                             },
        {"version = 1\nlisten_smtp = *:25 nowhere\n",
         "line 2: listen_smtp wants addresses like 127.0.0.1:143, [::1]:143, *:143 or "
         "unix:/PATH, not \"nowhere\""                                                                              },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Config c;
        config_defaults(&c);
        check_err(config_parse(&c, slice_of(rows[i].file)), ERR_CONFIG);
        check_slice(slice_of(err_story()), slice_of(rows[i].story));
        config_done(&c);
    }
}

TEST(values_keep_their_equals_signs_and_lose_their_edges)
{
    Config c;
    config_defaults(&c);
    check_ok(config_parse(&c, S("version = 1\n\t store\t=  /a=b # not a comment \t\r\n#x = 1")));
    check_slice(c.store, S("/a=b # not a comment"));
    config_done(&c);
}

TEST(a_later_line_replaces_an_earlier_one)
{
    Config c;
    config_defaults(&c);
    check_ok(config_parse(&c, S("version = 1\ndomains = a b c\ndomains = d\n")));
    check_u64(c.domains.count, 1);
    check_slice(c.domains.items[0], S("d"));
    config_done(&c);
}

TEST(a_file_is_read_and_its_name_told)
{
    char dir[] = "/tmp/config_test.XXXXXX";
    Arena a arena_scoped = {0};
    Config c;
    check(mkdtemp(dir));
    Slice path = arena_printf(&a, "%s/posthouse.conf", dir);
    check_err(config_load(&c, path), ERR_NOT_FOUND);
    config_done(&c);
    check_ok(path_replace(path, S("version = 1\nstore = /x\n")));
    check_ok(config_load(&c, path));
    check_slice(c.store, S("/x"));
    config_done(&c);
    check_ok(path_replace(path, S("version = 1\nstroe = /x\n")));
    check_err(config_load(&c, path), ERR_CONFIG);
    Slice want =
        arena_printf(&a, "%.*s: line 2: unknown key \"stroe\"; did you mean \"store\"?", SP(path));
    check_slice(slice_of(err_story()), want);
    config_done(&c);
    check_ok(path_unlink(path));
    check(!rmdir(dir));
}

static void gather_key(void *arg, Slice key)
{
    buf_add(arg, key);
    buf_add(arg, config_wants_restart(key) ? S("! ") : S(" "));
}

TEST(what_differs_is_told_with_what_it_takes)
{
    Config a, b;
    Buf keys buf_scoped = {0};
    config_defaults(&a);
    config_defaults(&b);
    config_compare(&a, &b, gather_key, &keys);
    check_slice(buf_slice(&keys), S(""));
    check_ok(config_parse(&b, S("version = 1\nstore = /x\ndomains = a b\nlisten_smtp = *:25\n"
                                "smtp_idle = 5\nloops = 2\nthrottle = no\npop3_apop = yes\n")));
    config_compare(&a, &b, gather_key, &keys);
    check_slice(buf_slice(&keys),
                S("domains store! listen_smtp! smtp_idle throttle! pop3_apop! loops! "));
    config_done(&a);
    config_done(&b);
}
