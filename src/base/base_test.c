#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- slices ---- */

TEST(slices_compare)
{
    check(slice_eq(S(""), (Slice){0}));
    check(!slice_eq(S("a"), S("b")));
    check(slice_eq_nocase(S("InBoX"), S("iNbOx")));
    check(!slice_eq_nocase(S("a["), S("A{"))); /* differ by 0x20 and are no letters */
    check(!slice_eq_nocase(S("ab"), S("a")));
    check(slice_order(S("a"), S("ab")) < 0);
    check(slice_order(S("b"), S("ab")) > 0);
    check(slice_order(S("\xff"), S("a")) > 0);
    check(slice_order((Slice){0}, S("")) == 0);
    check(slice_starts(S("FETCH 1"), S("FETCH")) && !slice_starts(S("FE"), S("FETCH")));
    check(slice_starts_nocase(S("fetch 1"), S("FETCH")) && slice_starts(S("x"), (Slice){0}));
    check(slice_ends(S("a.eml"), S(".eml")) && !slice_ends(S("eml"), S(".eml")));
    check(slice_of(NULL).len == 0);
}

TEST(slices_are_cut_and_trimmed)
{
    check_slice(slice_from(S("abc"), 1), S("bc"));
    check_slice(slice_from(S("abc"), 9), S(""));
    check_slice(slice_from((Slice){0}, 3), S(""));
    check_slice(slice_first(S("abc"), 2), S("ab"));
    check_slice(slice_first(S("abc"), 9), S("abc"));
    check_slice(slice_trim(S(" \t a b\r\n")), S("a b"));
    check_slice(slice_trim(S("\r\n")), S(""));
    check_slice(slice_trim((Slice){0}), S(""));
}

TEST(slices_find)
{
    check_u64(slice_find(S("a.b.c"), '.'), 1);
    check_u64(slice_find_last(S("a.b.c"), '.'), 3);
    check_u64(slice_find(S("abc"), '.'), 3);
    check_u64(slice_find_last((Slice){0}, '.'), 0);
    check_u64(slice_find_slice(S("aab"), S("ab")), 1);
    check_u64(slice_find_slice(S("a"), S("ab")), 1);
    check_u64(slice_find_slice(S("abc"), S("x")), 3);
    check_u64(slice_find_slice(S("abc"), S("")), 0);
}

TEST(slice_cut_walks_pieces)
{
    static const struct {
        Slice text;
        const char *pieces; /* each in <> */
    } rows[] = {
        {S("a,b"),   "<a><b>"  },
        {S("a,,b"),  "<a><><b>"},
        {S("a,b,"),  "<a><b>"  },
        {S(","),     "<>"      },
        {S(""),      ""        },
        {S("alone"), "<alone>" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Buf got buf_scoped = {0};
        Slice rest = rows[i].text, piece;
        while (slice_cut(&rest, ',', &piece))
            buf_printf(&got, "<%.*s>", SP(piece));
        check_slice(buf_slice(&got), slice_of(rows[i].pieces));
    }
}

TEST(slices_become_numbers)
{
    static const struct {
        Slice text;
        bool good;
        uint64_t value;
    } rows[] = {
        {S("0"),                    true,  0         },
        {S("007"),                  true,  7         },
        {S("18446744073709551615"), true,  UINT64_MAX},
        {S("18446744073709551616"), false, 0         },
        {S("99999999999999999999"), false, 0         },
        {S(""),                     false, 0         },
        {S("-1"),                   false, 0         },
        {S("+1"),                   false, 0         },
        {S("1 "),                   false, 0         },
        {S("1a"),                   false, 0         },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t value = 0;
        check(slice_to_u64(rows[i].text, &value) == rows[i].good);
        check_u64(value, rows[i].value);
    }
}

/* ---- buffers ---- */

TEST(a_buffer_grows_and_is_taken_from_the_front)
{
    Buf b buf_scoped = {0};
    buf_drop_front(&b, 0);
    check_slice(buf_slice(&b), S(""));
    for (int i = 0; i < 1000; i++)
        buf_char(&b, (char)('a' + i % 26));
    check_u64(b.len, 1000);
    check(b.room >= 1000);
    buf_drop_front(&b, 998);
    check_slice(buf_slice(&b), S("kl"));
    buf_add(&b, (Slice){0});
    buf_add(&b, S("mn"));
    check(!strcmp(buf_cstr(&b), "klmn") && b.len == 4);
    buf_clear(&b);
    check(!strcmp(buf_cstr(&b), ""));
    buf_done(&b);
    buf_done(&b);
    buf_done(NULL);
}

TEST(a_buffer_prints)
{
    Buf b buf_scoped = {0};
    for (int width = 1; width < 300; width++) { /* across every way of growing */
        buf_clear(&b);
        buf_printf(&b, "%0*d", width, 7);
        check_u64(b.len, (unsigned)width);
        check(b.at[width - 1] == '7' && (width == 1 || b.at[0] == '0'));
    }
    buf_clear(&b);
    buf_number(&b, 0);
    buf_char(&b, ' ');
    buf_number(&b, 1234567890);
    buf_char(&b, ' ');
    buf_number(&b, UINT64_MAX);
    check_slice(buf_slice(&b), S("0 1234567890 18446744073709551615"));
}

TEST(fields_are_read_back)
{
    Buf b buf_scoped = {0};
    buf_u8(&b, 0xfe);
    buf_u16(&b, 0x1234);
    buf_u32(&b, 0xdeadbeef);
    buf_u64(&b, 0x0102030405060708);
    buf_bytes(&b, S("hello"));
    buf_bytes(&b, S(""));
    check(b.at[1] == 0x34 && b.at[2] == 0x12); /* little-endian */
    Reader r = reader(buf_slice(&b));
    check_u64(read_u8(&r), 0xfe);
    check_u64(read_u16(&r), 0x1234);
    check_u64(read_u32(&r), 0xdeadbeef);
    check_u64(read_u64(&r), 0x0102030405060708);
    check_slice(read_bytes(&r), S("hello"));
    check_slice(read_bytes(&r), S(""));
    check(!r.bad && !r.rest.len);
    check_u64(read_u8(&r), 0);
    check(r.bad);
}

TEST(a_mistake_in_a_reader_sticks)
{
    Reader r = reader(S("\x01\x02\x03"));
    check_u64(read_u32(&r), 0);
    check(r.bad);
    check_u64(read_u8(&r), 0); /* there is an octet, but we are lost */
    Reader long_text = reader(S("\x05"
                                "abcd"));
    check_slice(read_bytes(&long_text), S(""));
    check(long_text.bad);
    Reader raw = reader(S("abc"));
    check_slice(read_raw(&raw, 3), S("abc"));
    check_slice(read_raw(&raw, 0), S(""));
    check(!raw.bad);
}

TEST(varints_have_one_spelling)
{
    static const uint64_t values[] = {0,     1,     127,        128,       300,
                                      16383, 16384, UINT32_MAX, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < COUNT(values); i++) {
        Buf b buf_scoped = {0};
        buf_varint(&b, values[i]);
        for (size_t cut = 0; cut < b.len; cut++) {
            Reader part = reader(slice_first(buf_slice(&b), cut));
            check_u64(read_varint(&part), 0);
            check(part.bad);
        }
        Reader r = reader(buf_slice(&b));
        check_u64(read_varint(&r), values[i]);
        check(!r.bad && !r.rest.len);
    }
    static const Slice wrong[] = {
        S("\x80\x00"),                                 /* zero, the long way */
        S("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), /* 65 bits */
        S("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        Reader r = reader(wrong[i]);
        check_u64(read_varint(&r), 0);
        check(r.bad);
    }
}

/* ---- arenas ---- */

TEST(an_arena_gives_zeroed_aligned_memory)
{
    Arena a arena_scoped = {0};
    for (int round = 0; round < 3; round++) {
        size_t total = 0;
        for (size_t n = 0; n < 3000; n += 37) {
            unsigned char *p = arena_alloc(&a, n);
            check((uintptr_t)p % 16 == 0);
            for (size_t i = 0; i < n; i++)
                must(p[i] == 0);
            memset(p, 0xaa, n);
            total += n;
        }
        char *large = arena_alloc(&a, 1 << 20);
        check(large[0] == 0 && large[(1 << 20) - 1] == 0);
        large[77] = 1;
        check_u64(a.used, total + (1 << 20));
        arena_reset(&a);
        check_u64(a.used, 0);
    }
}

TEST(an_arena_keeps_earlier_pieces_when_it_grows)
{
    Arena a arena_scoped = {0};
    static Slice kept[500];
    for (size_t i = 0; i < COUNT(kept); i++) {
        kept[i] = arena_printf(&a, "piece %zu", i);
        if (i % 50 == 0) arena_alloc(&a, 100000);
    }
    for (size_t i = 0; i < COUNT(kept); i++) {
        char want[32];
        snprintf(want, sizeof want, "piece %zu", i);
        check_slice(kept[i], slice_of(want));
    }
}

TEST(an_arena_copies)
{
    Arena a arena_scoped = {0};
    char text[] = "text";
    Slice copy = arena_copy(&a, S("text"));
    const char *cstr = arena_cstr(&a, slice(text, 3));
    text[0] = 'x';
    check_slice(copy, S("text"));
    check(!strcmp(cstr, "tex"));
    check_slice(arena_copy(&a, (Slice){0}), S(""));
    check(!strcmp(arena_cstr(&a, (Slice){0}), ""));
    int *numbers = arena_array(&a, int, 10);
    check(numbers[9] == 0);
}

TEST(an_arena_knows_its_budget)
{
    Arena a = {.budget = 100};
    arena_alloc(&a, 100);
    check(!arena_is_over(&a));
    arena_alloc(&a, 1);
    check(arena_is_over(&a));
    arena_reset(&a);
    check(!arena_is_over(&a) && a.budget == 100);
    arena_done(&a);
    check(!arena_is_over(&a) && a.budget == 100);
    arena_alloc(&a, 101);
    check(arena_is_over(&a));
    arena_done(&a);
    arena_done(&a);
    arena_done(NULL);
}

/* ---- errors ---- */

static Err inner(void)
{
    return fail(ERR_OVER_QUOTA, "%s needs %d bytes more", "INBOX", 12);
}

static Err outer(void)
{
    TRY(inner());
    return OK;
}

TEST(an_error_keeps_its_story)
{
    check_err(outer(), ERR_OVER_QUOTA);
    check(!strcmp(err_story(), "INBOX needs 12 bytes more"));
    check_err(fail(ERR_IO, "append: %s", err_story()), ERR_IO);
    check(!strcmp(err_story(), "append: INBOX needs 12 bytes more"));
    check(!strcmp(err_name(ERR_OVER_QUOTA), "OVER_QUOTA") && !strcmp(err_name(OK), "OK"));
    check(!strcmp(err_meaning(ERR_OVER_QUOTA), "the quota does not allow it"));
    for (int i = 0; i < 100; i++)
        check_err(fail(ERR_IO, "%s and on", err_story()), ERR_IO);
    check_u64(strlen(err_story()), 499);
}

/* ---- lists ---- */

typedef struct {
    int number;
    Link link;
} Item;

TEST(a_list_is_walked_while_it_loses_nodes)
{
    Link head, zero = {0};
    list_init(&head);
    check(list_is_empty(&head) && list_is_empty(&zero));
    Item items[5] = {0};
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        list_add(&head, &items[i].link);
    }
    list_each (node, &head) {
        if (CONTAINER(node, Item, link)->number % 2) list_remove(node);
    }
    int sum = 0, count = 0;
    list_each (node, &head) {
        sum = sum * 10 + CONTAINER(node, Item, link)->number;
        count++;
    }
    check(sum == 24 && count == 3); /* 0, 2, 4 */
    list_remove(&items[1].link);    /* is in no list */
    list_remove(&items[0].link), list_remove(&items[2].link), list_remove(&items[4].link);
    check(list_is_empty(&head));
}

static int freed;
typedef struct {
    int nothing;
} Thing;
static void thing_free(Thing *t)
{
    freed += t != NULL;
}
SCOPED(Thing, thing, thing_free)

TEST(a_scope_ends_what_it_holds)
{
    Thing here;
    {
        Thing *a scoped(thing) = &here;
        Thing *b scoped(thing) = NULL;
        (void)a, (void)b;
    }
    check(freed == 1);
}

/* ---- too little memory ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#if !defined(SANITIZED) /* they need memory of their own */
/* In a child, which may have little more than it has. */
static void squeeze(void)
{
    enum { BLOCK = 256 << 10, BLOCKS = 400 };
    static void *blocks[BLOCKS];
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    bool read = f && fscanf(f, "%lu", &pages) == 1;
    must(read && !fclose(f));
    must(mem_fits(1 << 20));
    struct rlimit most = {(pages << 12) + (40 << 20), RLIM_INFINITY};
    must(!setrlimit(RLIMIT_AS, &most));
    must(mem_fits(1 << 20) && !mem_fits(100 << 20) && mem_fits(0));
    size_t n = 0;
    while (n < BLOCKS && (blocks[n] = malloc(BLOCK)))
        n++;
    must(n < BLOCKS && !mem_fits(1 << 20) && mem_fits(0)); /* small ones are still taken */
    char *ours = mem_new(BLOCK);                           /* which cannot be refused */
    must(!mem_fits(0));                                    /* but now everything is that can */
    memset(ours, 1, BLOCK);
    free(ours);
    while (n)
        free(blocks[--n]);
    must(mem_fits(1 << 20) && mem_fits(0));
}

TEST(what_can_be_refused_is_refused_first)
{
    int status = 1;
    pid_t child = fork();
    if (!child) {
        squeeze();
        _exit(0);
    }
    check(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}
#endif
