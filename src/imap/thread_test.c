/* Trees of messages: small ones as they have to be, large ones as mail could make them. */
#include "base/test.h"
#include "imap/comparator.h"
#include "imap/merge.h"
#include "imap/thread.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- small trees ---- */

static void put_node(Buf *out, const Threads *t, uint32_t node)
{
    const ThreadNode *n = &t->nodes[node];
    if (n->message)
        buf_number(out, n->message);
    else
        buf_char(out, '-');
    for (uint32_t c = n->first; c; c = t->nodes[c].next) {
        bool several = n->first != n->last;
        buf_add(out, several ? S("(") : S(" "));
        put_node(out, t, c);
        if (several) buf_char(out, ')');
    }
}

typedef struct {
    const char *id, *references; /* NULL: no more rows; "": none */
    const char *subject;         /* beginning with "Re " is a reply */
    int64_t sent;                /* 0: as they come */
} Row;
enum { ROWS = 8 };

static void add_row(Threads *t, const Row *row)
{
    Slice subject = slice_of(row->subject ? row->subject : "");
    ThreadMessage m = {.uid = t->count + 1, .arrival = t->count + 1};
    m.is_reply = slice_starts(subject, S("Re "));
    if (m.is_reply) subject = slice_from(subject, 3);
    m.subject = subject.len ? keyed_hash(subject) : 0;
    m.sent = row->sent ? row->sent : (int64_t)t->count + 1;
    threads_add(t, &m, slice_of(row->id), slice_of(row->references ? row->references : ""));
}

static const struct {
    const char *what;
    Row rows[ROWS];
    const char *references, *refs;
} trees[] = {
    {"a chain",                                           {{"a", NULL}, {"b", "a"}, {"c", "a b"}},      "[1 2 3]",   "[1 2 3]"           },
    {"children before their parents",
     {{"c", "a b"}, {"b", "a"}, {"a", NULL}},
     "[3 2 1]",                                                                                                      "[3 2 1]"           },
    {"a parent that never came",                          {{"b", "a"}, {"c", "a"}},                     "[-(1)(2)]", "[-(1)(2)]"         },
    {"one child takes a dummy's place",                   {{"c", "a b"}},                               "[1]",       "[1]"               },
    {"dummies inside go, at any depth",
     {{"a", NULL}, {"d", "a x y z"}, {"e", "a x y"}},
     "[1(2)(3)]",                                                                                                    "[1(2)(3)]"         },
    {"a dummy without children goes with those above it",
     {{"m", "a b"}, {"n", "x b"}, {"o", "p q r"}},
     "[-(1)(2)][3]",                                                                                                 "[-(1)(2)][3]"      },
    {"a loop of two",                                     {{"a", "b"}, {"b", "a"}},                     "[2 1]",     "[2 1]"             },
    {"itself",                                            {{"a", "a"}, {"b", "a b"}},                   "[1][2]",    "[1][2]"            },
    {"a loop in one field",                               {{"a", "b c b a"}, {"b", NULL}, {"c", NULL}}, "[1][2][3]", "[1][2][3]"         },
    {"the same id twice",                                 {{"a", NULL}, {"a", NULL}, {"b", "a"}},       "[1 3][2]",  "[2][1 3]"          },
    {"without ids",                                       {{"", NULL}, {"", "a"}, {"a", NULL}},         "[1][3 2]",  "[1][3 2]"          },
    {"what a message says itself counts more",
     {{"c", "a b"}, {"x", NULL}, {"b", "x"}, {"a", NULL}},
     "[2 3 1][4]",                                                                                                   "[2 3 1][4]"        },
    {"siblings by date",
     {{"a", NULL}, {"b", "a", NULL, 9}, {"c", "a", NULL, 8}},
     "[1(3)(2)]",                                                                                                    "[1(3)(2)]"         },
    {"threads by date or by arrival",
     {{"a", NULL, NULL, 9}, {"b", NULL, NULL, 8}, {"c", "a"}},
     "[2][1 3]",                                                                                                     "[2][1 3]"          },
    {"a thread comes up when something arrives",
     {{"a", NULL}, {"b", NULL}, {"c", "a"}},
     "[1 3][2]",                                                                                                     "[2][1 3]"          },
    {"subjects: two messages",                            {{"a", NULL, "s"}, {"b", NULL, "s"}},         "[-(1)(2)]", "[1][2]"            },
    {"subjects: a reply",                                 {{"a", NULL, "s"}, {"b", NULL, "Re s"}},      "[1 2]",     "[1][2]"            },
    {"subjects: a reply that came first",
     {{"a", NULL, "Re s"}, {"b", NULL, "s"}},
     "[2 1]",                                                                                                        "[1][2]"            },
    {"subjects: two replies",                             {{"a", NULL, "Re s"}, {"b", NULL, "Re s"}},   "[-(1)(2)]", "[1][2]"            },
    {"subjects: a dummy and a message",
     {{"a", "x", "s"}, {"b", "x", "t"}, {"c", NULL, "s"}},
     "[-(1)(2)(3)]",                                                                                                 "[-(1)(2)][3]"      },
    {"subjects: a message, then a dummy",
     {{"c", NULL, "s"}, {"a", "x", "s"}, {"b", "x", "t"}},
     "[-(1)(2)(3)]",                                                                                                 "[1][-(2)(3)]"      },
    {"subjects: two dummies",
     {{"a", "x", "s"}, {"b", "x", "t"}, {"c", "y", "s"}, {"d", "y", "u"}},
     "[-(1)(2)(3)(4)]",                                                                                              "[-(1)(2)][-(3)(4)]"},
    {"subjects: two messages, two replies",
     {{"a", NULL, "s"}, {"b", NULL, "s"}, {"c", NULL, "Re s"}, {"d", NULL, "Re s"}},
     "[-(1)(2)(3)(4)]",                                                                                              "[1][2][3][4]"      },
    {"subjects: none is not the same",                    {{"a", NULL}, {"b", NULL}},                   "[1][2]",    "[1][2]"            },
    {"subjects: only of threads",
     {{"a", NULL, "s"}, {"b", "a", "t"}, {"c", NULL, "t"}},
     "[1 2][3]",                                                                                                     "[1 2][3]"          },
};

PARKS static void check_tree(size_t row, ThreadAlgorithm algorithm, const char *wanted)
{
    Threads t = {0};
    Buf got buf_scoped = {0};
    for (size_t i = 0; i < ROWS && trees[row].rows[i].id; i++)
        add_row(&t, &trees[row].rows[i]);
    threads_build(&t, algorithm);
    for (uint32_t c = t.nodes[0].first; c; c = t.nodes[c].next) {
        buf_char(&got, '[');
        put_node(&got, &t, c);
        buf_char(&got, ']');
    }
    if (!slice_eq(buf_slice(&got), slice_of(wanted)))
        test_failed(__FILE__, __LINE__, "%s: %.*s, not %s", trees[row].what, SP(buf_slice(&got)),
                    wanted);
    threads_done(&t);
}

TEST(messages_become_trees)
{
    for (size_t i = 0; i < COUNT(trees); i++) {
        check_tree(i, THREAD_REFERENCES, trees[i].references);
        check_tree(i, THREAD_REFS, trees[i].refs);
    }
}

/* ---- large ones ---- */

static Slice id_of(char *room, size_t size, const char *kind, unsigned n)
{
    int len = snprintf(room, size, "<%s%u@x>", kind, n);
    return slice(room, (size_t)len);
}

static void add_numbered(Threads *t, const char *kind, unsigned n, Slice references)
{
    char id[40];
    ThreadMessage m = {.uid = t->count + 1, .arrival = 1, .sent = 1};
    threads_add(t, &m, id_of(id, sizeof id, kind, n), references);
}

static uint32_t depth_of(const Threads *t)
{
    uint32_t most = 0, depth = 0;
    for (uint32_t n = threads_next(t, 0); n; n = threads_next(t, n)) {
        depth = t->nodes[n].parent ? depth + 1 : 1; /* right for a chain */
        most = MAX(most, depth);
    }
    return most;
}

enum { DEEP = 100 * 1000 };

TEST(a_chain_of_a_hundred_thousand)
{
    for (int backwards = 0; backwards < 2; backwards++) {
        Threads t = {0};
        char parent[40];
        for (unsigned i = 0; i < DEEP; i++) {
            unsigned n = backwards ? DEEP - i : i + 1;
            add_numbered(&t, "", n, n > 1 ? id_of(parent, sizeof parent, "", n - 1) : S(""));
        }
        threads_build(&t, THREAD_REFS);
        check(depth_of(&t) == DEEP);
        threads_done(&t);
    }
}

/* Pairs that hang themselves under the end of a long chain: each link has to be walked up. */
TEST(deep_links_run_out_of_steps_not_of_time)
{
    Threads t = {0};
    char id[40];
    for (unsigned i = 1; i <= DEEP / 2; i++)
        add_numbered(&t, "", i, i > 1 ? id_of(id, sizeof id, "", i - 1) : S(""));
    for (unsigned i = 1; i <= DEEP / 8; i++)
        add_numbered(&t, "kid", i, id_of(id, sizeof id, "p", i));
    for (unsigned i = 1; i <= DEEP / 8; i++)
        add_numbered(&t, "p", i, id_of(id, sizeof id, "", DEEP / 2));
    uint32_t told = 0;
    threads_build(&t, THREAD_REFERENCES);
    for (uint32_t n = threads_next(&t, 0); n; n = threads_next(&t, n))
        told += t.nodes[n].message != 0;
    check(told == t.count && t.count == DEEP / 2 + DEEP / 4);
    threads_done(&t);
}

TEST(invented_references_take_limited_memory)
{
    Threads t = {0};
    Buf references buf_scoped = {0};
    for (unsigned i = 0; i < 200; i++) {
        buf_clear(&references);
        for (unsigned n = 0; n < 10000; n++)
            buf_printf(&references, "%s<%u.%u@x>", n ? " " : "", i, n);
        add_numbered(&t, "m", i, buf_slice(&references));
    }
    check(t.node_count < 1100 * 1000);
    threads_build(&t, THREAD_REFERENCES);
    check(!t.nodes[0].first || t.nodes[t.nodes[0].first].message);
    threads_done(&t);
}

/* ---- what they are sorted with ---- */

static bool by_tens(const void *arg, uint32_t a, uint32_t b)
{
    (void)arg;
    return a / 10 < b / 10;
}

TEST(merging_keeps_the_order_of_rows_alike)
{
    for (uint32_t count = 0; count < 300; count += 1 + count / 7) {
        uint32_t *rows = mem_new(array_bytes(count + 1, sizeof *rows));
        uint32_t next = 0;
        for (uint32_t i = 0; i < count; i++)
            rows[i] = i * 7919 % 1000 / 10 * 10 + i % 10;
        merge_sort(rows, count, by_tens, NULL);
        for (uint32_t i = 1; i < count; i++)
            check(rows[i - 1] / 10 <= rows[i] / 10);
        for (uint32_t i = 0; i < count; i++)
            rows[i] = next++;
        merge_sort(rows, count, by_tens, NULL);
        for (uint32_t i = 0; i < count; i++)
            check(rows[i] == i);
        free(rows);
    }
}

TEST(comparators_by_pattern)
{
    static const struct {
        const char *pattern;
        bool valid;
        size_t count;
        uint8_t first;
        bool descending;
    } rows[] = {
        {"i;unicode-casemap", true,  1, COMPARE_UNICODE_CASEMAP, false},
        {"I;Unicode-CaseMap", true,  1, COMPARE_UNICODE_CASEMAP, false},
        {"default",           true,  1, COMPARE_UNICODE_CASEMAP, false},
        {"-default",          true,  1, COMPARE_UNICODE_CASEMAP, true },
        {"i;octet",           true,  1, COMPARE_OCTET,           false},
        {"+i;octet",          true,  1, COMPARE_OCTET,           false},
        {"-i;octet",          true,  1, COMPARE_OCTET,           true },
        {"*",                 true,  3, COMPARE_UNICODE_CASEMAP, false},
        {"i;*",               true,  3, COMPARE_UNICODE_CASEMAP, false},
        {"*c*a*s*",           true,  2, COMPARE_UNICODE_CASEMAP, false},
        {"*octe",             true,  0, 0,                       false},
        {"i;ascii-*",         true,  1, COMPARE_ASCII_CASEMAP,   false},
        {"i;ascii-numeric",   true,  0, 0,                       false},
        {"cz;*",              true,  0, 0,                       false},
        {"i;basic;uca=3.1.1", true,  0, 0,                       false},
        {"",                  false, 0, 0,                       false},
        {"+",                 false, 0, 0,                       false},
        {"1;octet",           false, 0, 0,                       false},
        {"i;**",              false, 3, COMPARE_UNICODE_CASEMAP, false},
        {"i octet",           false, 0, 0,                       false},
        {"--i;octet",         false, 0, 0,                       false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Comparator found[COMPARATORS];
        Slice pattern = slice_of(rows[i].pattern);
        size_t n = comparator_match(pattern, found);
        bool right = comparator_pattern_is_valid(pattern) == rows[i].valid && n == rows[i].count;
        if (right && n) right = found[0].collation == rows[i].first;
        if (right && n) right = found[0].descending == rows[i].descending;
        if (!right) test_failed(__FILE__, __LINE__, "\"%s\": %zu", rows[i].pattern, n);
    }
}
