#include "house/house_world.h"
#include "house/transfer.h"

#include <stdlib.h>
#include <sys/time.h>

/* ---- a place without a house ---- */

static void place_open(HouseWorld *w)
{
    *w = (HouseWorld){.dir = "/tmp/source_test.XXXXXX"};
    check(mkdtemp(w->dir));
}

static void place_close(HouseWorld *w)
{
    remove_tree(slice_of(w->dir));
    arena_done(&w->arena);
}

static void make_folder(HouseWorld *w, const char *name)
{
    Slice cur = arena_printf(&w->arena, "%s/cur/.keep", name);
    house_world_write(w, arena_cstr(&w->arena, cur), S("x"));
}

static void put(HouseWorld *w, const char *name, const char *text)
{
    house_world_write(w, name, slice_of(text));
}

/* "mailbox key uid flags keywords": one line for each message, in the order of import. */
static Slice told(HouseWorld *w, const Source *s)
{
    Buf out buf_scoped = {0};
    for (size_t i = 0; i < s->count; i++) {
        const TransferMeta *m = &s->items[i].meta;
        buf_printf(&out, "%.*s %.*s %u %s%s%s%s%s %.*s\n", SP(m->mailbox), SP(m->key), m->uid,
                   m->flags & FLAG_SEEN ? "S" : "", m->flags & FLAG_ANSWERED ? "A" : "",
                   m->flags & FLAG_FLAGGED ? "F" : "", m->flags & FLAG_DELETED ? "D" : "",
                   m->flags & FLAG_DRAFT ? "T" : "", SP(m->keywords));
    }
    return arena_copy(&w->arena, buf_slice(&out));
}

static Slice read_all(HouseWorld *w, Source *s, Format format, const char *name)
{
    *s = (Source){0};
    check_ok(source_read(s, format, house_world_path(w, name)));
    return told(w, s);
}

/* ---- names ---- */

TEST(names_go_to_the_file_system_and_come_back)
{
    static const struct {
        const char *name, *dotted, *path;
    } rows[] = {
        {"Work",          "Work",                        "Work"               },
        {"Work/2025",     "Work.2025",                   "Work/2025"          },
        {"Entw\u00fcrfe", "Entw&APw-rfe",                "Entw&APw-rfe"       },
        {"R&D",           "R&-D",                        "R&-D"               },
        {"a.b/c",         "a&AC4-b.c",                   "a.b/c"              },
        {".",             "&AC4-",                       "&AC4-"              },
        {"..",            "&AC4-&AC4-",                  "&AC4-."             },
        {"../../etc/x",   "&AC4-&AC4-.&AC4-&AC4-.etc.x", "&AC4-./&AC4-./etc/x"},
        {".\u00fc.",      "&AC4-&APw-&AC4-",             "&AC4-&APw-."        },
    };
    Arena a arena_scoped = {0};
    for (size_t i = 0; i < COUNT(rows); i++) {
        Buf dotted buf_scoped = {0}, path buf_scoped = {0};
        Slice name = slice_of(rows[i].name), back = {0}, level;
        name_to_dotted(&dotted, name);
        check_slice(buf_slice(&dotted), slice_of(rows[i].dotted));
        check_slice(name_from_dotted(&a, buf_slice(&dotted)), name);
        name_to_path(&path, name);
        check_slice(buf_slice(&path), slice_of(rows[i].path));
        for (Slice rest = buf_slice(&path); slice_cut(&rest, '/', &level);)
            back = name_below(&a, back, level);
        check_slice(back, name);
    }
}

TEST(names_that_no_mailbox_may_have_are_made_to_fit)
{
    static const struct {
        const char *raw, *name;
    } rows[] = {
        {"a..b",          "a/b"          },
        {".a.",           "a"            },
        {"...",           ""             },
        {"tab\there",     "tab_here"     },
        {"Entw\u00fcrfe", "Entw\u00fcrfe"}, /* raw UTF-8, against the rules */
        {"Caf\xe9",       "Caf\u00e9"    }, /* windows-1252 */
        {"bad&AP",        "bad&AP"       }, /* not modified UTF-7 */
        {"a&AC8-b",       "a&AC8-b"      }, /* '/' must not be spelled so */
    };
    Arena a arena_scoped = {0};
    for (size_t i = 0; i < COUNT(rows); i++)
        check_slice(name_from_dotted(&a, slice_of(rows[i].raw)), slice_of(rows[i].name));
}

/* ---- maildir ---- */

TEST(maildir_folders_of_every_kind)
{
    HouseWorld w;
    Source s;
    place_open(&w);
    put(&w, "m/cur/1.a:2,S", "x\n");
    put(&w, "m/new/2.a", "x\n");
    put(&w, "m/tmp/3.a", "never read\n");
    put(&w, "m/.Sent/cur/4.a:2,", "x\n");
    put(&w, "m/.Work.Entw&APw-rfe/cur/5.a", "x\n");
    put(&w, "m/Nested/cur/6.a", "x\n");
    put(&w, "m/Nested/Deep&-er/new/7.a", "x\n");
    make_folder(&w, "m/Nested/Deep&-er");
    make_folder(&w, "m/.Empty");
    put(&w, "m/.no-folder/4.a", "x\n");
    put(&w, "m/subscriptions", "Sent\nWork.Entw&APw-rfe\n");
    check_slice(read_all(&w, &s, FORMAT_UNKNOWN, "m"), S("INBOX 1.a 0 S \n"
                                                         "INBOX 2.a 0  \n"
                                                         "Nested 6.a 0  \n"
                                                         "Nested/Deep&er 7.a 0  \n"
                                                         "Sent 4.a 0  \n"
                                                         "Work/Entw\u00fcrfe 5.a 0  \n"));
    check_u64(s.folder_count, 6);
    check_u64(s.subscription_count, 2);
    check_slice(s.subscriptions[1], S("Work/Entw\u00fcrfe"));
    source_done(&s);
    put(&w, "m/subscriptions", "V\t2\n\nWork\ta.b\n");
    read_all(&w, &s, FORMAT_MAILDIR, "m");
    check_u64(s.subscription_count, 1);
    check_slice(s.subscriptions[0], S("Work/a.b"));
    source_done(&s);
    place_close(&w);
}

TEST(dovecots_lists_of_uids)
{
    static const struct {
        const char *list;
        uint32_t validity, next;
        const char *told;
    } rows[] = {
        {"3 V1275660208 N25 G3085f01b7f11094c501100008c4a11c1\n"
         "7 W4 S3 :3.c,S=3\n11 :1.a\n12 :gone\n",                    1275660208, 25, "INBOX 3.c,S=3 7 S \nINBOX 1.a 11  \nINBOX 2.b 0  \n"},
        {"1 1275660208 25\n7 3.c,S=3\n11 1.a\n",                              1275660208, 25,
         "INBOX 3.c,S=3 7 S \nINBOX 1.a 11  \nINBOX 2.b 0  \n"                                                                                     },
        {"3 V99999999999 N4294967295\n0 :1.a\n4294967295 :2.b\nx :3.c,S=3\n", 0,          0,
         "INBOX 1.a 0  \nINBOX 2.b 0  \nINBOX 3.c,S=3 0 S \n"                                                                                      },
        {"",                                                                  0,          0,  "INBOX 1.a 0  \nINBOX 2.b 0  \nINBOX 3.c,S=3 0 S \n" },
        {"3",                                                                 0,          0,  "INBOX 1.a 0  \nINBOX 2.b 0  \nINBOX 3.c,S=3 0 S \n" },
        {"\xff\xff\n\n\n:::\n 1\n",                                           0,          0,  "INBOX 1.a 0  \nINBOX 2.b 0  \nINBOX 3.c,S=3 0 S \n" },
    };
    HouseWorld w;
    place_open(&w);
    put(&w, "m/cur/1.a:2,", "x\n");
    put(&w, "m/cur/2.b", "x\n");
    put(&w, "m/cur/3.c,S=3:2,S", "x\n");
    for (size_t i = 0; i < COUNT(rows); i++) {
        Source s;
        put(&w, "m/dovecot-uidlist", rows[i].list);
        check_slice(read_all(&w, &s, FORMAT_MAILDIR, "m"), slice_of(rows[i].told));
        check_u64(s.items[0].meta.uid_validity, rows[i].validity);
        check_u64(s.items[0].meta.uid_next, rows[i].next);
        source_done(&s);
    }
    place_close(&w);
}

TEST(flags_and_keywords_of_a_maildir)
{
    HouseWorld w;
    Source s;
    place_open(&w);
    put(&w, "m/dovecot-keywords", "0 $Junk\n1 Work\n25 z\n26 none\nx y\n");
    put(&w, "m/cur/1:2,DFRST", "x\n");
    put(&w, "m/cur/2:2,Pab", "x\n");
    put(&w, "m/cur/3:2,zcS", "x\n"); /* c is not in the list */
    put(&w, "m/cur/4:1,experimental", "x\n");
    check_slice(read_all(&w, &s, FORMAT_MAILDIR, "m"), S("INBOX 1 0 SAFDT \n"
                                                         "INBOX 2 0  $Forwarded $Junk Work\n"
                                                         "INBOX 3 0 S z\n"
                                                         "INBOX 4 0  \n"));
    source_done(&s);
    struct timeval times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    check(!utimes(arena_cstr(&w.arena, house_world_path(&w, "m/cur/4:1,experimental")), times));
    read_all(&w, &s, FORMAT_MAILDIR, "m");
    check_u64(s.items[3].meta.date, 1000000000);
    source_done(&s);
    place_close(&w);
}

/* ---- mbox ---- */

static const struct {
    const char *file, *octets; /* the messages, each behind a '|' */
} mboxes[] = {
    {"",                                                                        ""                                        },
    {"no mbox at all\n",                                                        ""                                        },
    {"From a Sat Jan  3 01:05:34 1996\nS: 1\n\nbody\n",                         "|S: 1\n\nbody\n"                         },
    {"From a Sat Jan  3 01:05:34 1996\nS: 1\n\nbody\n\nFrom b x\nS: 2\n\nb",
     "|S: 1\n\nbody\n|S: 2\n\nb"                                                                                          },
    {"From a\r\nS: 1\r\n\r\nbody\r\n\r\nFrom b\r\nS: 2\r\n\r\n\r\n",
     "|S: 1\r\n\r\nbody\r\n|S: 2\r\n\r\n"                                                                                 },
    {"From a\nS: 1\n\nbody\nFrom here on it is text\n",                         "|S: 1\n\nbody\nFrom here on it is text\n"},
    {"From a\nS: 1\n\n>From b\n>>From c\n> From d\n>from e\n",
     "|S: 1\n\nFrom b\n>From c\n> From d\n>from e\n"                                                                      },
    {"From a\nS: 1\n>From: in the header\n\nx\n",                               "|S: 1\n>From: in the header\n\nx\n"      },
    {"From a\nStatus: RO\nS: 1\nX-Keywords: a b\n folded\nT: 2\n\nStatus: x\n",
     "|S: 1\nT: 2\n\nStatus: x\n"                                                                                         },
    {"From a\n\nonly a body\n\n",                                               "|\nonly a body\n"                        },
    {"From a\nFrom b\n",                                                        "|From b\n"                               },
    {"From a",                                                                  "|"                                       },
    {"From a\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 7 9\n\nx\n\n"
     "From b\nS: 2\n\ny\n",                                                "|S: 2\n\ny\n"                            },
};

TEST(messages_of_an_mbox)
{
    HouseWorld w;
    place_open(&w);
    for (size_t i = 0; i < COUNT(mboxes); i++) {
        Source s;
        Buf all buf_scoped = {0};
        put(&w, "box", mboxes[i].file);
        read_all(&w, &s, FORMAT_MBOX, "box");
        for (size_t k = 0; k < s.count; k++) {
            buf_char(&all, '|');
            check_ok(source_octets(&s.items[k], &all));
        }
        if (!slice_eq(buf_slice(&all), slice_of(mboxes[i].octets)))
            test_failed(__FILE__, __LINE__, "row %zu: %.*s", i, SP(buf_slice(&all)));
        source_done(&s);
    }
    place_close(&w);
}

TEST(what_the_headers_of_an_mbox_say)
{
    HouseWorld w;
    Source s;
    place_open(&w);
    put(&w, "box",
        "From a Sat Jan  3 01:05:34 1996\nX-IMAPbase: 1700000000 0000000042 a b\n"
        "Status: RO\nX-Status: AFDT\nX-Keywords: a $b      \nX-UID: 7\n\nx\n\n"
        "From a Tue Feb 29 23:59 MET 2000\nStatus: O\nX-UID: 9\n\nx\n\n"
        "From a at some time\nX-UID: 10\nx-status: a\n\nx\n");
    read_all(&w, &s, FORMAT_MBOX, "box");
    check_u64(s.count, 3);
    const TransferMeta *m = &s.items[0].meta;
    check_u64(m->flags, FLAG_SEEN | FLAG_ANSWERED | FLAG_FLAGGED | FLAG_DELETED | FLAG_DRAFT);
    check_slice(m->keywords, S("a $b"));
    check_u64(m->uid, 7);
    check_u64(m->date, 820631134);
    check_u64(m[0].uid_validity, 1700000000);
    check_u64(s.items[2].meta.uid_validity, 1700000000);
    check_u64(s.items[2].meta.uid_next, 43);
    check_u64(s.items[1].meta.date, 951868740);
    check_u64(s.items[1].meta.flags, 0);
    check_u64(s.items[2].meta.date, 0);
    source_done(&s);
    /* UIDs that do not ascend mean nothing. */
    put(&w, "box", "From a\nX-IMAPbase: 1700000000 42\nX-UID: 7\n\nx\n\nFrom a\nX-UID: 7\n\nx\n");
    read_all(&w, &s, FORMAT_MBOX, "box");
    check_u64(s.items[0].meta.uid, 0);
    check_u64(s.items[0].meta.uid_validity, 0);
    source_done(&s);
    place_close(&w);
}

TEST(an_mbox_that_was_rewritten_has_the_same_keys)
{
    HouseWorld w;
    Source before, after;
    place_open(&w);
    put(&w, "box", "From a\nS: 1\n\nx\n\nFrom a\nS: 2\n\nx\n\nFrom a\nS: 2\n\nx\n");
    read_all(&w, &before, FORMAT_MBOX, "box");
    put(&w, "box",
        "From a\nS: 2\nStatus: RO\n\nx\n\nFrom a\nS: 2\nStatus: O\n\nx\n\nFrom a\nS: 3\n\nx\n");
    read_all(&w, &after, FORMAT_MBOX, "box");
    check(before.count == 3 && after.count == 3);
    check_slice(after.items[0].meta.key, before.items[1].meta.key);
    check_slice(after.items[1].meta.key, before.items[2].meta.key);
    check(!slice_eq(before.items[1].meta.key, before.items[2].meta.key));
    check(!slice_eq(after.items[2].meta.key, before.items[0].meta.key));
    source_done(&before);
    source_done(&after);
    place_close(&w);
}

static void add_many(Buf *out, char c, size_t n)
{
    memset(buf_reserve(out, n), c, n);
    out->len += n;
}

/* The reader looks through a window of 1 MiB: "From " right before, at and behind its edge, and
 * lines longer than it. */
TEST(lines_longer_than_the_window)
{
    HouseWorld w;
    place_open(&w);
    static const size_t lengths[] = {10,      1048540, 1048560, 1048561, 1048565, 1048568,
                                     1048570, 1048571, 1048572, 1048573, 1048574, 1048575,
                                     1048576, 1048577, 1048580, 2097152, 3000000};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        Source s;
        Buf file buf_scoped = {0}, octets buf_scoped = {0};
        buf_add(&file, S("From a\nS: 1\n\n"));
        add_many(&file, 'x', lengths[i]);
        buf_add(&file, S("\n\nFrom b\nS: 2\n\ny\n"));
        house_world_write(&w, "box", buf_slice(&file));
        read_all(&w, &s, FORMAT_MBOX, "box");
        check_u64(s.count, 2);
        if (s.count == 2) {
            check_u64(s.items[0].len, lengths[i] + 8);
            check_ok(source_octets(&s.items[1], &octets));
            check_slice(buf_slice(&octets), S("S: 2\n\ny\n"));
        }
        source_done(&s);
    }
    place_close(&w);
}

TEST(a_directory_of_mboxes)
{
    HouseWorld w;
    Source s;
    place_open(&w);
    put(&w, "d/Inbox", "From a\nS: 1\n\nx\n");
    put(&w, "d/Inbox.msf", "From a\nan index\n");
    put(&w, "d/.hidden", "From a\nS: 1\n\nx\n");
    put(&w, "d/Archive.sbd/2024", "From a\nS: 1\n\nx\n");
    put(&w, "d/Work.mbox", "From a\nS: 1\n\nx\n");
    put(&w, "d/Work/Deep.mbox", "From a\nS: 1\n\nx\n");
    put(&w, "d/&AC4-x", "From a\nS: 1\n\nx\n");
    put(&w, "d/notes.txt", "not mail\n");
    s = (Source){0};
    check_err(source_read(&s, FORMAT_UNKNOWN, house_world_path(&w, "nowhere")), ERR_NOT_FOUND);
    read_all(&w, &s, FORMAT_UNKNOWN, "d");
    static const char *const names[] = {".x", "Archive/2024", "INBOX", "Work", "Work/Deep"};
    check_u64(s.count, COUNT(names));
    for (size_t i = 0; i < COUNT(names) && i < s.count; i++)
        check_slice(s.items[i].meta.mailbox, slice_of(names[i]));
    source_done(&s);
    place_close(&w);
}

/* ---- .eml ---- */

TEST(trees_of_eml_files)
{
    HouseWorld w;
    Source s;
    Buf octets buf_scoped = {0};
    place_open(&w);
    put(&w, "t/b.eml", "Date: Sat, 03 Jan 1996 01:05:34 +0000\nS: 1\n\n>From is no quoting\n");
    put(&w, "t/a.eml", "Status: RO\n\nx\n");
    put(&w, "t/readme.txt", "x\n");
    put(&w, "t/Work/Entw\u00fcrfe/c.eml", "S: 1\n\nx\n");
    check_slice(read_all(&w, &s, FORMAT_UNKNOWN, "t"), S("INBOX a.eml 0  \nINBOX b.eml 0  \n"
                                                         "Work/Entw\u00fcrfe c.eml 0  \n"));
    check_u64(s.items[1].meta.date, 820631134);
    check_ok(source_octets(&s.items[0], &octets));
    check_slice(buf_slice(&octets), S("Status: RO\n\nx\n"));
    source_done(&s);
    check_slice(read_all(&w, &s, FORMAT_UNKNOWN, "t/b.eml"), S("INBOX b.eml 0  \n"));
    source_done(&s);
    put(&w, "deep/only/here/x.eml", "S: 1\n\nx\n");
    read_all(&w, &s, FORMAT_EML, "deep");
    check_slice(s.items[0].meta.mailbox, S("only/here"));
    source_done(&s);
    place_close(&w);
}
