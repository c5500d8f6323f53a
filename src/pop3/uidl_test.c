#include "base/test.h"
#include "pop3/uidl.h"

TEST(unique_ids_of_other_servers)
{
    static const struct {
        const char *format, *id;
    } rows[] = {
        {"",                                       "4bf9a1ac00000b4d"    },
        {"posthouse",                              "4bf9a1ac00000b4d"    },
        {"dovecot",                                "00000b4d4bf9a1ac"    },
        {"cyrus",                                  "1274651052.2893"     },
        {"courier",                                "UID2893-1274651052"  },
        {"uid",                                    "2893"                },
        {"filename",                               "1655390418.M1P2.host"},
        {"%08Xu%08Xv",                             "00000b4d4bf9a1ac"    },
        {"%{uid | hex(8)}%{uidvalidity | hex(8)}", "00000b4d4bf9a1ac"    },
        {"%{uidvalidity}-%{uid}",                  "1274651052-2893"     },
        {"%v-%u",                                  "1274651052-2893"     },
        {"%f",                                     "1655390418.M1P2.host"},
        {"%%%Xu.%06u",                             "%b4d.002893"         },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Buf out buf_scoped = {0};
        Slice file = S("1655390418.M1P2.host");
        check_ok(uidl_format_check(slice_of(rows[i].format)));
        check(uidl_make(&out, slice_of(rows[i].format), 0x4bf9a1ac, 2893, file));
        check_slice(buf_slice(&out), slice_of(rows[i].id));
        check(uidl_is_sound(buf_slice(&out)));
    }
}

TEST(formats_that_are_none)
{
    static const char *const rows[] = {
        "%",
        "%v",
        "nonsense",
        "%g",
        "%Mf",
        "%99u",
        "%8f",
        "%u %v",
        "%{uid",
        "%{uid | hex(8}",
        "%{guid}",
        "%{uid | hex(99)}",
        "%{filename | hex(8)}",
        "%uX\xc3\xa4",
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check_err(uidl_format_check(slice_of(rows[i])), ERR_CONFIG);
}

TEST(a_file_name_that_is_not_there)
{
    Buf out buf_scoped = {0};
    buf_add(&out, S("before"));
    check(!uidl_make(&out, S("x%f"), 1, 2, (Slice){0}));
    check_slice(buf_slice(&out), S("before"));
    check(uidl_wants_file(S("filename")) && uidl_wants_file(S("%u%f")));
    check(!uidl_wants_file(S("dovecot")) && !uidl_wants_file(S("")));
}

TEST(kept_unique_ids)
{
    static const KeptUidl rows[] = {
        {S("UID1-2"), S("1.host,S=5")},
        {S(""),       S("1.host")    },
        {S("old"),    S("")          },
    };
    KeptUidl k;
    for (size_t i = 0; i < COUNT(rows); i++) {
        Buf out buf_scoped = {0};
        uidl_keep(&out, &rows[i]);
        check(uidl_kept(buf_slice(&out), &k));
        check_slice(k.id, rows[i].id);
        check_slice(k.file, rows[i].file);
        out.at[0] = 100;
        check(!uidl_kept(buf_slice(&out), &k));
    }
    check(!uidl_kept(S("\0\0"), &k));
    check(!uidl_kept(S("\2a b"), &k));
    check(!uidl_is_sound(S("a b")) && !uidl_is_sound(S("")) && !uidl_is_sound(S("\x7f")));
}
