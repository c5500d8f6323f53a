/* Flipped bits in a store at rest, one at a time, anywhere in its files: no wrong octet is ever
 * delivered, and what is missing or cannot be read is told by the log, by scrub or by check. Every
 * round also ends with salvage, which keeps all that is whole.
 *
 * usage: flip_test [ROUNDS [SEED]]   100 rounds */
#include "base/test.h"
#include "run/file.h"
#include "store/salvage.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGES = 60, BIG_EVERY = 30 };
enum { HARMLESS, DETECTED, REFUSED, WRONG, OUTCOMES };

static char dir[] = "/tmp/posthouse-flips-XXXXXX";
static unsigned told; /* lines of scrub and check */

static uint64_t next(uint64_t *random)
{
    *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return *random >> 20;
}

static void message(Buf *out, unsigned number)
{
    uint64_t random = number + 1;
    unsigned lines = number % BIG_EVERY == BIG_EVERY - 1 ? 40000 : number * 7 % 200;
    buf_printf(out, "From: a%u@example.org\r\nSubject: number %u\r\n\r\n", number, number);
    for (unsigned i = 0; i < lines; i++)
        buf_printf(out, "%llx line %u\r\n", (unsigned long long)next(&random), i);
}

static uint8_t flags_of(unsigned number)
{
    return (uint8_t)(number % 32);
}

static StoreOptions options(void)
{
    return (StoreOptions){
        .engine = {.segment_bytes = 1 << 20, .map_bytes = UINT64_C(1) << 30, .checkpoint_ms = 20}
    };
}

static Slice at(Arena *a, const char *name)
{
    return arena_printf(a, "%s/%s", dir, name);
}

/* ---- the store from which every round begins ---- */

static PARKS void add_message(Store *store, Mailbox *box, unsigned number)
{
    Buf text buf_scoped = {0};
    Draft *d scoped(draft) = NULL;
    uint32_t uid;
    message(&text, number);
    check_ok(draft_begin(store, 0, &d));
    check_ok(draft_write(d, buf_slice(&text)));
    check_ok(draft_commit(d, box, &(DraftPlace){.flags = flags_of(number), .date = 1}, &uid));
    check_u64(uid, number + 1);
}

static PARKS void make(void *arg)
{
    Arena a arena_scoped = {0};
    Store *store = NULL;
    Account *account = NULL;
    Mailbox *box = NULL;
    uint32_t acct;
    StoreOptions o = options();
    (void)arg;
    check_ok(store_open(at(&a, "whole"), &o, &store));
    check_ok(store_create_account(store, S("anna"), &acct));
    check_ok(account_open(store, acct, &account));
    check_ok(mailbox_open(account, acct, S("INBOX"), &box));
    for (unsigned i = 0; i < MESSAGES; i++) {
        add_message(store, box, i);
        if (i == MESSAGES / 2) check_ok(engine_copy_index(store_engine(store)));
    }
    mailbox_close(box);
    account_close(account);
    store_close(store);
}

/* ---- what a round finds ---- */

static void line(void *arg, Slice text)
{
    (void)arg;
    if (getenv("POSTHOUSE_SEED")) printf("    %.*s\n", SP(text));
    told++;
}

/* DETECTED also for what says so itself. */
static PARKS int read_message(Account *account, Mailbox *box, unsigned number)
{
    Buf want buf_scoped = {0}, got buf_scoped = {0};
    const Message *m = mailbox_message(box, number + 1);
    if (!m) return WRONG;
    uint32_t size = m->size, eid = m->eid;
    uint8_t flags = m->flags;
    message(&want, number);
    if (size != want.len || flags != flags_of(number)) return WRONG;
    Err err = email_read(account, eid, 0, buf_reserve(&got, size), size);
    if (err) return DETECTED;
    got.len = size;
    if (slice_eq(buf_slice(&got), buf_slice(&want))) return HARMLESS;
    printf("uid %u: wrong octets were delivered\n", number + 1);
    exit(WRONG);
}

static PARKS int read_all(Store *store, unsigned *bad)
{
    Account *account scoped(account) = NULL;
    Mailbox *box scoped(mailbox) = NULL;
    uint32_t acct;
    *bad = MESSAGES;
    if (store_find_account(store, S("anna"), &acct) || account_open(store, acct, &account))
        return DETECTED;
    if (mailbox_open(account, acct, S("INBOX"), &box)) return DETECTED;
    int worst = HARMLESS;
    *bad = 0;
    for (unsigned i = 0; i < MESSAGES; i++) {
        int how = read_message(account, box, i);
        *bad += how != HARMLESS;
        worst = MAX(worst, how);
    }
    return worst;
}

typedef struct {
    int outcome;
    unsigned bad;
} Round;

static PARKS void look(void *arg)
{
    Round *r = arg;
    Arena a arena_scoped = {0};
    Store *store = NULL;
    StoreOptions o = options();
    CheckResult result;
    uint64_t checked, bad;
    r->outcome = REFUSED;
    if (store_open(at(&a, "flipped"), &o, &store)) return;
    r->outcome = read_all(store, &r->bad);
    if (store_check(store, false, line, NULL, &result)) told++;
    if (engine_scrub(store_engine(store), line, NULL, &checked, &bad)) told++;
    store_close(store);
    /* Missing, or with other flags: then somebody has to have said so. */
    if (r->outcome == WRONG && told) r->outcome = DETECTED;
    if (r->outcome == HARMLESS && told) r->outcome = DETECTED;
}

static PARKS void salvage(void *arg)
{
    Round *r = arg;
    Arena a arena_scoped = {0};
    StoreOptions o = options();
    r->outcome = store_salvage(at(&a, "flipped"), &o, line, NULL) ? REFUSED : HARMLESS;
}

/* ---- rounds ---- */

static int in_child(void (*fn)(void *), Round *round)
{
    int ends[2], status;
    must(!pipe(ends));
    fflush(NULL);
    pid_t pid = fork();
    if (!pid) {
        if (!getenv("POSTHOUSE_SEED")) must(freopen("/dev/null", "w", stderr));
        alarm(60);
        if (run_start(&(RunConfig){.loops = 1, .helpers = 2}, fn, round)) round->outcome = REFUSED;
        must(write(ends[1], round, sizeof *round) == sizeof *round);
        fflush(NULL);
        _exit(test_complaints() ? WRONG : 0);
    }
    close(ends[1]);
    bool heard = read(ends[0], round, sizeof *round) == sizeof *round;
    close(ends[0]);
    waitpid(pid, &status, 0);
    if (!heard || !WIFEXITED(status) || WEXITSTATUS(status)) {
        printf("the process ended: %s %d\n", WIFSIGNALED(status) ? "signal" : "exit code",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        return WRONG;
    }
    return round->outcome;
}

static void shell(const char *command)
{
    setenv("DIR", dir, 1);
    must(!system(command));
}

/* One of the store's files, each as likely as the next; of what it holds, any bit. */
static void flip(uint64_t *random, char name[300])
{
    Arena a arena_scoped = {0};
    File *f scoped(file) = NULL;
    uint8_t octet = 0;
    uint64_t size;
    char command[200];
    snprintf(command, sizeof command,
             "cd $DIR/flipped && find . -type f -size +0 ! -name LOCK ! -name '*-lock' ! -name "
             "reserve | sort | shuf -n 1 --random-source=<(yes %llu) > ../name",
             (unsigned long long)next(random));
    setenv("COMMAND", command, 1);
    shell("bash -c \"$COMMAND\"");
    Slice text;
    check_ok(path_read(at(&a, "name"), 200, &a, &text));
    snprintf(name, 300, "%.*s", SP(slice_trim(text)));
    check_ok(file_open(arena_printf(&a, "%s/flipped/%s", dir, name), FILE_WRITE, &f));
    check_ok(file_size(f, &size));
    do { /* zeros are mostly room that was taken ahead */
        uint64_t bit = next(random) % (size * 8);
        check_ok(file_read_at(f, bit / 8, &octet, 1));
        if (!octet && next(random) % 20) continue;
        octet ^= (uint8_t)(1 << bit % 8);
        Slice part = slice(&octet, 1);
        check_ok(file_write_at(f, bit / 8, &part, 1));
        return;
    } while (true);
}

static int one_round(uint64_t seed, unsigned counts[OUTCOMES])
{
    char name[300] = "";
    uint64_t random = seed * 77;
    Round first = {0}, repaired = {0}, last = {0};
    shell("rm -rf $DIR/flipped; cp -a --sparse=always $DIR/whole $DIR/flipped");
    flip(&random, name);
    int how = in_child(look, &first);
    counts[how]++;
    if (how == WRONG || (how == REFUSED && strcmp(name, "./format") != 0)) {
        printf("FAILED seed %llu: %s: %s\n", (unsigned long long)seed, name,
               how == WRONG ? "wrong, and nobody says so" : "cannot be opened");
        if (how == WRONG) return 1;
    }
    if (how == HARMLESS || !strcmp(name, "./format")) return 0;
    if (in_child(salvage, &repaired) || in_child(look, &last) > DETECTED || last.bad > 1) {
        printf("FAILED seed %llu: %s: after salvage %u messages are damaged, outcome %d, %d\n",
               (unsigned long long)seed, name, last.bad, repaired.outcome, last.outcome);
        return 1;
    }
    return how == REFUSED;
}

int main(int argc, char **argv)
{
    uint64_t rounds = 100, seed = 1;
    unsigned counts[OUTCOMES] = {0}, failed = 0;
    static const struct rlimit no_core;
    setrlimit(RLIMIT_CORE, &no_core);
    if (argc > 1 && !slice_to_u64(slice_of(argv[1]), &rounds)) return 64;
    if (argc > 2 && !slice_to_u64(slice_of(argv[2]), &seed)) return 64;
    must(mkdtemp(dir));
    Round r = {0};
    must(in_child(make, &r) == HARMLESS);
    for (uint64_t i = 0; i < rounds && failed < 10; i++)
        failed += (unsigned)one_round(seed + i, counts);
    shell("rm -rf $DIR");
    printf("%llu flipped bits: %u harmless, %u detected, %u refused, %u wrong\n",
           (unsigned long long)rounds, counts[HARMLESS], counts[DETECTED], counts[REFUSED],
           counts[WRONG]);
    printf("%llu passed, %u failed\n", (unsigned long long)rounds - failed, failed);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
