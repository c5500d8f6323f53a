/* The hot pieces, one by one, as ratios to something obvious that has to do with the same octets.
 *
 * usage: build/micro [--quick] [--within FACTOR] [--update] [FILE]
 *        build/micro rings [REQUESTS] [MEGABYTES] [CONNECTIONS]
 *
 * FILE (bench/micro.txt) says what ratio is expected of each; one that is worse by more than FACTOR
 * (2) fails. Both sides of a ratio are measured in turn and the best of each counts: of the
 * processor's time where nothing waits for a disk or another process. */
#include "micro.h"

#include "imap/in.h"
#include "imap/session.h"
#include "run/context.h"
#include "run/file.h"
#include "store/bloom.h"
#include "store/page.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static volatile uint64_t sink; /* so that nothing is left out as useless */

static void fails(Err err)
{
    if (!err) return;
    fprintf(stderr, "micro: %s\n", err_story());
    exit(2);
}

/* ---- a switch, beside swapcontext ---- */

enum { SWITCHES = 20000, STACK = 64 * 1024 };

static Context here, there;
static char stack_there[STACK] __attribute__((aligned(64)));

static void always_back(void *arg)
{
    (void)arg;
    context_entered(&here);
    for (;;)
        context_switch(&there, &here);
}

static void switch_ours(void)
{
    if (!there.sp) context_make(&there, stack_there, sizeof stack_there, always_back, NULL);
    for (int i = 0; i < SWITCHES; i++)
        context_switch(&here, &there);
}

static ucontext_t main_context, other_context;

static void swap_back(void)
{
    for (;;)
        swapcontext(&other_context, &main_context);
}

static void switch_plain(void)
{
    static char stack[STACK];
    if (!other_context.uc_stack.ss_sp) {
        getcontext(&other_context);
        other_context.uc_stack = (stack_t){.ss_sp = stack, .ss_size = sizeof stack};
        makecontext(&other_context, swap_back, 0);
    }
    for (int i = 0; i < SWITCHES; i++)
        swapcontext(&main_context, &other_context);
}

/* A fiber nudged, run and parked again, by the loop: beside the same swapcontext. */
static Fiber *pinged;
static bool ping_ends;

PARKS_UNCHECKED static void pong(void *arg)
{
    Fiber *other = arg;
    while (!ping_ends) {
        fiber_park(NEVER);
        fiber_nudge(other);
    }
}

PARKS_UNCHECKED static void nudge_ours(void)
{
    if (!pinged) pinged = fiber_start("pong", pong, fiber_current());
    fiber_sleep(0);
    for (int i = 0; i < SWITCHES; i++) {
        fiber_nudge(pinged);
        fiber_park(NEVER);
    }
}

/* ---- words of IMAP, beside copying them and beside strtoul ---- */

static Buf words, numbers;

static void scan_ours(void)
{
    Arena a arena_scoped = {0};
    In in = {.arena = &a, .line_most = words.len, .scan = scan(buf_slice(&words))};
    while (!imap_at_end(&in)) {
        Slice atom = imap_atom(&in);
        sink += atom.len;
        if (!imap_at_end(&in)) imap_space(&in);
    }
    fails(imap_syntax(&in));
}

static void scan_plain(void)
{
    for (const char *at = words.at, *end = at + words.len; at < end; at++) {
        at = memchr(at, ' ', (size_t)(end - at));
        if (!at) break;
        sink++;
    }
}

static void set_ours(void)
{
    Arena a arena_scoped = {0};
    In in = {.arena = &a, .line_most = numbers.len, .scan = scan(buf_slice(&numbers))};
    sink += imap_sequence_set(&in).count;
    fails(imap_syntax(&in));
}

static void set_plain(void)
{
    for (const char *at = numbers.at, *end = at + numbers.len; at < end;) {
        char *after;
        sink += strtoul(at, &after, 10);
        at = after + 1;
    }
}

static Buf mail, copied;

static void mail_ours(void)
{
    Arena a arena_scoped = {0};
    Buf text buf_scoped = {0};
    MailSummary summary;
    mail_summarise(buf_slice(&mail), &a, &text, &summary);
    sink += text.len;
}

static void mail_plain(void)
{
    for (int i = 0; i < 64; i++) { /* one is too short to measure */
        copied.len = 0;
        buf_add(&copied, buf_slice(&mail));
        sink += (uint64_t)copied.at[i];
    }
}

/* ---- answers, beside snprintf and beside copying ---- */

enum { ANSWERS = 2000 };

static Stream *quiet, *listener;

static void answer_ours(void)
{
    Imap s = {.stream = quiet, .enabled = ENABLED_REV2};
    Buf *out = stream_out(quiet);
    for (uint32_t n = 1; n <= ANSWERS; n++) {
        Message m = {.uid = n * 7, .flags = (uint8_t)(n & 31)};
        imap_begin_fetch(&s, n, m.uid);
        buf_add(out, S("UID "));
        buf_number(out, m.uid);
        buf_add(out, S(" FLAGS "));
        imap_put_flags(&s, out, &m);
        buf_add(out, S(")\r\n"));
    }
    sink += out->len;
    out->len = 0;
}

static void answer_plain(void)
{
    static const char *const flags[] = {"\\Seen", "\\Answered", "\\Seen \\Flagged", ""};
    char line[128];
    copied.len = 0;
    for (unsigned n = 1; n <= ANSWERS; n++) {
        int len = snprintf(line, sizeof line, "* %u FETCH (UID %u FLAGS (%s))\r\n", n, n * 7,
                           flags[n & 3]);
        buf_add(&copied, slice(line, (size_t)len));
    }
    sink += copied.len;
}

static void string_ours(void)
{
    copied.len = 0;
    for (int i = 0; i < ANSWERS; i++)
        imap_put_string(&copied, slice(words.at, 60));
    sink += copied.len;
}

static void string_plain(void)
{
    copied.len = 0;
    for (int i = 0; i < ANSWERS; i++)
        buf_add(&copied, slice(words.at, 60));
    sink += copied.len;
}

/* ---- a page of 64 messages, beside copying it ---- */

enum { LOADS = 2000 };
static Buf page;

static void page_ours(void)
{
    Message messages[SLOTS];
    size_t count = 0;
    for (int i = 0; i < LOADS; i++) {
        Reader in;
        if (page_open(buf_slice(&page), &in) || slots_decode(&in, 1, messages, &count)) exit(2);
        sink += messages[i % SLOTS].uid;
    }
}

static void page_plain(void)
{
    for (int i = 0; i < LOADS; i++) {
        copied.len = 0;
        buf_add(&copied, buf_slice(&page));
        sink += (uint64_t)copied.at[i % SLOTS];
    }
}

static void make_page(void)
{
    Message messages[SLOTS];
    for (uint32_t i = 0; i < SLOTS; i++)
        messages[i] = (Message){.uid = SLOTS + i,
                                .eid = i + 900,
                                .modseq = i * 3 + 1,
                                .size = 4000 + i,
                                .date = i + 1,
                                .flags = 1};
    size_t start = page_begin(&page);
    slots_encode(&page, messages, SLOTS);
    page_end(&page, start);
}

/* ---- which of 512 texts have the word: signatures, beside memmem ---- */

static Buf texts[BLOOM_BLOCK], rows;
static unsigned bloom_log;
static BloomNeedle needle;

static void bloom_ours(void)
{
    uint64_t candidates[BLOOM_BLOCK / 64];
    memset(candidates, 0xff, sizeof candidates);
    for (size_t i = 0; i < needle.count; i++) {
        size_t row = needle.hashes[i] & ((1u << bloom_log) - 1);
        if (!bloom_and_row(candidates, slice(rows.at + row * BLOOM_ROW, BLOOM_ROW))) exit(2);
    }
    for (size_t i = 0; i < COUNT(candidates); i++)
        sink += candidates[i];
}

static void bloom_plain(void)
{
    for (size_t i = 0; i < BLOOM_BLOCK; i++)
        sink += memmem(texts[i].at, texts[i].len, "zanzibarquux", 12) != NULL;
}

static void bloom_many(void)
{
    for (int i = 0; i < 200; i++)
        bloom_ours();
}

static void sign_ours(void)
{
    copied.len = 0;
    sink += bloom_make(&copied, buf_slice(&texts[0]));
}

static void sign_plain(void)
{
    for (int i = 0; i < 64; i++) {
        copied.len = 0;
        buf_add(&copied, buf_slice(&texts[0]));
        sink += (uint64_t)copied.at[i];
    }
}

static void make_texts(void)
{
    Slice signatures[BLOOM_BLOCK];
    Buf made[BLOOM_BLOCK] = {0};
    uint64_t noise = 1;
    bloom_log = 0;
    for (size_t i = 0; i < BLOOM_BLOCK; i++) {
        while (texts[i].len < 4000) {
            noise = noise * 6364136223846793005u + 1442695040888963407u;
            buf_printf(&texts[i], "word%u ", (unsigned)(noise >> 44));
        }
        unsigned log = bloom_make(&made[i], buf_slice(&texts[i]));
        bloom_log = i ? MIN(bloom_log, log) : log;
        signatures[i] = buf_slice(&made[i]);
    }
    for (size_t i = 0; i < BLOOM_BLOCK; i++) /* of one size, as in a block */
        signatures[i] = slice_first(signatures[i], bloom_octets(bloom_log));
    bloom_slice(&rows, signatures, BLOOM_BLOCK, bloom_log);
    bloom_needle(S("zanzibarquux"), &needle);
    for (size_t i = 0; i < BLOOM_BLOCK; i++)
        buf_done(&made[i]);
}

/* ---- a durable message, beside pwrite and fdatasync of its octets ---- */

enum { COMMITS = 20, PLAIN_OCTETS = 8 << 20 };

static Store *store;
static Account *account;
static Mailbox *inbox;
static int plain_fd = -1;
static off_t plain_at;

PARKS_UNCHECKED static void commit_ours(void)
{
    for (int i = 0; i < COMMITS; i++) {
        Draft *d scoped(draft) = NULL;
        uint32_t uid;
        fails(draft_begin(store, mail.len, &d));
        fails(draft_write(d, buf_slice(&mail)));
        fails(draft_commit(d, inbox, &(DraftPlace){.date = 1}, &uid));
    }
}

PARKS_UNCHECKED static void commit_plain(void)
{
    for (int i = 0; i < COMMITS; i++) {
        if (pwrite(plain_fd, mail.at, mail.len, plain_at) != (ssize_t)mail.len ||
            fdatasync(plain_fd))
            exit(2);
        plain_at = (plain_at + (off_t)mail.len) % PLAIN_OCTETS;
    }
}

PARKS static void open_store(const char *dir)
{
    Arena a arena_scoped = {0};
    uint32_t acct;
    StoreOptions options = {.engine.map_bytes = UINT64_C(1) << 30};
    fails(store_open(slice_of(dir), &options, &store));
    fails(store_create_account(store, S("micro"), &acct));
    fails(account_open(store, acct, &account));
    fails(mailbox_open(account, acct, S("INBOX"), &inbox));
    plain_fd = open(arena_cstr(&a, arena_printf(&a, "%s/plain", dir)), O_RDWR | O_CREAT, 0600);
    Buf zeros buf_scoped = {0}; /* what is there already is written again: nothing is faster */
    memset(buf_reserve(&zeros, PLAIN_OCTETS + mail.len), 0, PLAIN_OCTETS + mail.len);
    if (plain_fd < 0 || write(plain_fd, zeros.at, PLAIN_OCTETS + mail.len) < PLAIN_OCTETS ||
        fsync(plain_fd))
        exit(2);
}

PARKS static void close_store(void)
{
    mailbox_close(inbox);
    account_close(account);
    store_close(store);
    close(plain_fd);
    plain_at = 0;
}

/* ---- the table ---- */

typedef struct {
    const char *name, *beside;
    void (*ours)(void), (*plain)(void);
    double times;      /* one of ours is to be compared with so many of the plain one */
    const Buf *octets; /* what it goes through, for MB/s */
} Row;

static const Row processor_rows[] = {
    {"context-switch",       "swapcontext, there and back",        switch_ours, switch_plain, 1       },
    {"fiber-nudge-and-park", "swapcontext, there and back",        nudge_ours,  switch_plain, 1       },
    {"imap-words",           "memchr for the spaces between them", scan_ours,   scan_plain,   1       },
    {"imap-sequence-set",    "strtoul of its numbers",             set_ours,    set_plain,    1       },
    {"mail-summary",         "memcpy of the message",              mail_ours,   mail_plain,   1.0 / 64},
    {"fetch-flags-lines",    "snprintf of them",                   answer_ours, answer_plain, 1       },
    {"quoted-strings",       "memcpy of them",                     string_ours, string_plain, 1       },
    {"page-load",            "memcpy of the page",                 page_ours,   page_plain,   1       },
    {"signature-search",     "memmem in 512 texts",                bloom_many,  bloom_plain,  200     },
    {"signature-make",       "memcpy of the text",                 sign_ours,   sign_plain,   1.0 / 64},
};

static double budget_ns = 150e6, factor = 2;
static bool updates;
static const char *table = "bench/micro.txt";
static struct {
    const char *name;
    double ratio;
} got[32];
static size_t got_count, failed;

static double expected(const char *name)
{
    char line[256], word[64];
    double ratio = 0, found = 0;
    FILE *f = fopen(table, "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "%63s %lf", word, &ratio) == 2 && !strcmp(word, name)) found = ratio;
    if (f) fclose(f);
    return found;
}

static void tell(const char *name, const char *beside, double ours, double plain, const char *unit)
{
    double ratio = ours / plain, want = expected(name);
    bool ok = updates || (want > 0 && ratio <= want * factor);
    got[got_count].name = name, got[got_count++].ratio = ratio;
    failed += !ok;
    printf("%-6s %s: %.4g of %s (%.4g and %.4g %s), expected %.4g\n", ok ? "ok" : "FAILED", name,
           ratio, beside, ours, plain, unit, want);
    fflush(stdout);
}

static double once(void (*fn)(void), bool by_clock)
{
    double began = by_clock ? (double)now_us() * 1e3 : cpu_ns();
    fn();
    return (by_clock ? (double)now_us() * 1e3 : cpu_ns()) - began;
}

/* In turn, the best of each. */
static void measure_row(const Row *r, bool by_clock)
{
    double ours = 1e18, plain = 1e18, spent = 0;
    for (int n = 0; n < 3 || (spent < budget_ns && n < 1000); n++) {
        double a = once(r->ours, by_clock), b = once(r->plain, by_clock);
        ours = MIN(ours, a), plain = MIN(plain, b), spent += a + b;
    }
    char unit[40] = "us";
    if (r->octets)
        snprintf(unit, sizeof unit, "us, %.0f MB/s", (double)r->octets->len / ours * 1e3);
    tell(r->name, r->beside, ours / 1e3, plain * r->times / 1e3, unit);
}

/* ---- two processes ---- */

static void measure_rings(bool quick)
{
    unsigned long count = quick ? 5000 : 50000, megabytes = quick ? 50 : 500;
    Measured socket = ring_measure(BY_SOCKET, count), ring = ring_measure(BY_RING, count);
    Measured whole = ring_measure(WHOLE, count);
    tell("ring", "a socket pair, one octet there and back", ring.work, socket.work, "us of work");
    tell("front-to-house", "a socket pair, one octet there and back", whole.work, socket.work,
         "us of work");
    Measured bulk = ring_measure(BULK_SOCKET, megabytes);
    Measured house = ring_measure(BULK_WHOLE, megabytes);
    tell("house-to-client", "a socket pair, a megabyte", house.work, bulk.work, "us of work");
}

/* ---- all of it ---- */

static void make_input(void)
{
    static const char *const some[] = {"FETCH", "BODY.PEEK",    "UID",
                                       "a",     "INTERNALDATE", "k1234567890"};
    for (unsigned i = 0; i < 20000; i++) {
        buf_printf(&words, "%s ", some[i * 7 % COUNT(some)]);
        buf_printf(&numbers, "%u,", i * 97 + 1);
    }
    words.len--, numbers.len--;
    buf_printf(&mail, "From: A B <a@example.com>\r\nTo: you@example.org\r\nSubject: =?utf-8?q?"
                      "gr=C3=BC=C3=9Fe?= and more\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n"
                      "Message-ID: <1@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: "
                      "text/plain; charset=utf-8\r\n\r\n");
    while (mail.len < 4000)
        buf_add(&mail, S("lorem ipsum dolor sit amet consectetur adipisici elit\r\n"));
    buf_char(&numbers, 0), numbers.len--; /* strtoul stops there */
    make_page();
    make_texts();
}

/* There is no disk in memory, so its row is of the processor's time only. */
PARKS static void measure_commits(const char *name, const char *parent, bool by_clock)
{
    char dir[256], command[300];
    snprintf(dir, sizeof dir, "%s/posthouse-micro-XXXXXX", parent);
    if (!mkdtemp(dir)) return;
    Row row = {name, "pwrite and fdatasync of the message", commit_ours, commit_plain, 1};
    open_store(dir);
    measure_row(&row, by_clock);
    close_store();
    snprintf(command, sizeof command, "rm -rf %s", dir);
    if (system(command)) exit(2);
}

PARKS_UNCHECKED static void all_rows(void *arg)
{
    (void)arg;
    fails(stream_pair(&quiet, &listener));
    make_input();
    for (size_t i = 0; i < COUNT(processor_rows); i++)
        measure_row(&processor_rows[i], false);
    measure_commits("commit-in-memory", "/dev/shm", false);
    const char *disk = getenv("TMPDIR");
    measure_commits("commit-on-disk", disk ? disk : "/var/tmp", true);
    ping_ends = true;
    fiber_nudge(pinged);
    stream_free(quiet);
    stream_free(listener);
}

static void write_table(void)
{
    FILE *f = fopen(table, "w");
    if (!f) exit(2);
    fputs("# What each hot piece costs, as a ratio to something obvious: build/micro --update\n",
          f);
    for (size_t i = 0; i < got_count; i++)
        fprintf(f, "%s %.3g\n", got[i].name, got[i].ratio);
    fclose(f);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "rings")) return rings_main(argc - 1, argv + 1);
    bool quick = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--quick"))
            quick = true, budget_ns = 30e6;
        else if (!strcmp(argv[i], "--update"))
            updates = true;
        else if (!strcmp(argv[i], "--within") && i + 1 < argc)
            factor = strtod(argv[++i], NULL);
        else
            table = argv[i];
    }
    measure_rings(quick);
    RunConfig one = {.loops = 1};
    fails(run_start(&one, all_rows, NULL));
    if (updates) write_table();
    printf("%zu passed, %zu failed\n", got_count - failed, failed);
    return failed ? 1 : 0;
}
