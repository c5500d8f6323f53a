/* The warden with real processes: this program plays the roles, too. What they play is said by the
 * environment (POSTHOUSE_PLAY): they greet whom they are joined to, fail, hang, die, or have been
 * taken over (cast_attack.c). */
#include "base/test.h"
#include "house/cast_play.h"
#include "house/landlock.h"
#include "house/verbs.h"
#include "house/warden.h"
#include "run/context.h"
#include "run/file.h"
#include "run/log.h"
#include "run/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- what the roles play ---- */

static bool plays(const char *what)
{
    return slice_eq(slice_of(getenv("POSTHOUSE_PLAY")), slice_of(what));
}

static void tell_greeted(const Actor *a, CastRole peer, uint32_t number, Slice heard)
{
    char wanted[5] = {(char)peer};
    memcpy(wanted + 1, &number, sizeof number);
    bool fits = slice_eq(heard, slice(wanted, sizeof wanted));
    log_event(LOG_LEVEL_INFO, fits ? "greeted" : "greeted_wrong",
              KV_TEXT("role", cast_names[a->kind]), KV_TEXT("peer", cast_names[peer]));
}

typedef struct {
    Actor *actor;
    CastRole peer;
    uint32_t number;
    Sock *sock;
    Ring *ring;
} Greeting;

PARKS static void greet_by_sock(const Greeting *g, Slice hello)
{
    char heard[5];
    size_t sent = 0, got = 0;
    check_ok(sock_try_write(g->sock, &hello, 1, &sent));
    Err err = OK;
    while (!err && !got && sock_wait(g->sock, SOCK_READABLE, NEVER, false) == WOKEN_READY)
        err = sock_try_read(g->sock, heard, sizeof heard, &got);
    if (got) tell_greeted(g->actor, g->peer, g->number, slice(heard, got));
    while (!err && sock_wait(g->sock, SOCK_READABLE, NEVER, false) == WOKEN_READY)
        err = sock_try_read(g->sock, heard, sizeof heard, &got);
    sock_close(g->sock);
}

PARKS static void greet_by_ring(const Greeting *g, Slice hello)
{
    Slice heard;
    check_ok(ring_attach(g->ring));
    check(ring_put(g->ring, &hello, 1));
    while (!ring_next(g->ring, &heard) && !ring_error(g->ring))
        if (ring_wait(g->ring, true, false, NEVER, false) == WOKEN_CANCELLED) break;
    if (!run_is_cancelled()) tell_greeted(g->actor, g->peer, g->number, heard);
    ring_close(g->ring);
}

PARKS static void greet(void *arg)
{
    Greeting *g = arg;
    char hello[5] = {(char)g->actor->kind};
    memcpy(hello + 1, &g->actor->number, sizeof g->actor->number);
    if (g->sock)
        greet_by_sock(g, slice(hello, sizeof hello));
    else
        greet_by_ring(g, slice(hello, sizeof hello));
    free(g);
}

static void greet_soon(Actor *a, const Joint *j, Sock *sock, Ring *ring)
{
    Greeting *g = NEW(Greeting);
    *g = (Greeting){a, j->peer, j->number, sock, ring};
    fiber_start("greet", greet, g);
}

PARKS static void joined(Actor *a, const Joint *j)
{
    if (j->sock) greet_soon(a, j, j->sock, NULL);
    for (size_t i = 0; i < j->ring_count; i++) {
        Ring *ring = NULL;
        check_ok(ring_open(&j->rings[i], a->kind == CAST_FRONT, &ring));
        if (ring) greet_soon(a, j, NULL, ring);
    }
}

static void gone(Actor *a, CastRole peer, uint32_t number)
{
    log_event(LOG_LEVEL_INFO, "told_gone", KV_TEXT("role", cast_names[a->kind]),
              KV_TEXT("peer", cast_names[peer]), KV_NUM("number", number));
}

static bool is_there(const Actor *a, const char *name)
{
    Arena memory arena_scoped = {0};
    PathInfo info;
    return path_info(house_path(a->config, &memory, name), &info) == OK;
}

static Err write_file(const Actor *a, const char *name)
{
    Arena memory arena_scoped = {0};
    return path_replace(house_path(a->config, &memory, name), S("secret\n"));
}

static bool has_landlock; /* asked before the sandbox, which keeps us from asking */
static bool hangs;        /* the first runner of the play "hang", not the one after it */

PARKS static Err begin(Actor *a)
{
    Arena memory arena_scoped = {0};
    has_landlock = landlock_abi() > 0;
    log_event(LOG_LEVEL_INFO, "plays", KV_TEXT("role", cast_names[a->kind]),
              KV_NUM("pid", getpid()), KV_NUM("listeners", a->listener_count),
              KV_TEXT("secret", a->config->oauth_client_secret.len ? "yes" : "no"),
              KV_TEXT("password", a->demo.password.len ? "yes" : "no"));
    if (plays("die") && a->kind == CAST_KEEPER && is_there(a, "die")) _exit(7);
    hangs = plays("hang") && a->kind == CAST_RUNNER && !is_there(a, "hung");
    if (hangs) TRY(write_file(a, "hung"));
    if (plays("fail") && a->kind == CAST_KEEPER) return fail(ERR_CORRUPT, "the keys are rusty");
    if (a->kind == CAST_HOUSE) {
        TRY(path_mkdir(house_path(a->config, &memory, "log")));
        TRY(write_file(a, "log/mail"));
    }
    if (a->kind == CAST_KEEPER) {
        TRY(path_mkdir(house_path(a->config, &memory, "keeper")));
        TRY(path_mkdir(house_path(a->config, &memory, "tls")));
        TRY(write_file(a, "keeper/hashes"));
        TRY(write_file(a, "tls/key.pem"));
    }
    return OK;
}

PARKS static void hang_soon(void *arg)
{
    (void)arg;
    (void)fiber_sleep(20);
    for (;;)
        clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){1000, 0}, NULL);
}

PARKS static Err serve(Actor *a)
{
    for (size_t i = 0; i < a->joint_count; i++) {
        joined(a, &a->joints[i]);
        free(a->joints[i].rings);
        a->joints[i] = (Joint){0};
    }
    if (hangs) fiber_start("hang", hang_soon, NULL);
    if (plays("attack") && attack_all(a, has_landlock))
        return fail(ERR_FORBIDDEN, "an attack has succeeded");
    return OK;
}

static Err reload(Actor *a, const Config *fresh)
{
    log_event(LOG_LEVEL_INFO, "plays_reload", KV_TEXT("role", cast_names[a->kind]),
              KV("hostname", fresh->hostname));
    return a->kind == CAST_HOUSE && slice_eq(fresh->hostname, S("bad"))
               ? fail(ERR_CONFIG, "that is no name for a house")
               : OK;
}

static void retire(Actor *a)
{
    log_event(LOG_LEVEL_INFO, "plays_retire", KV_TEXT("role", cast_names[a->kind]));
    actor_is_over(a);
}

static void stop(Actor *a)
{
    log_event(LOG_LEVEL_INFO, "plays_stop", KV_TEXT("role", cast_names[a->kind]));
    run_cancel();
}

static const RoleWork play = {.begin = begin,
                              .serve = serve,
                              .joined = joined,
                              .gone = gone,
                              .reload = reload,
                              .retire = retire,
                              .stop = stop};

static int exit_code;

PARKS static void play_role(void *arg)
{
    Slice name = slice_of(arg);
    for (CastRole kind = CAST_FRONT; kind < CAST_COUNT; kind++)
        if (slice_eq(name, slice_of(cast_names[kind]))) exit_code = actor_play(kind, &play);
}

/* ---- a server to look at ---- */

typedef struct {
    char top[64];
    Arena memory;
    pid_t pid;
} Place;

static Slice under(Place *p, const char *name)
{
    return arena_printf(&p->memory, "%s/%s", p->top, name);
}

typedef struct {
    Place *place;
    Config config;
    Demo demo;
} Server;

static void say_ready(void *arg)
{
    (void)arg;
    log_event(LOG_LEVEL_INFO, "all_ready");
}

PARKS static void run_server(void *arg)
{
    Server *s = arg;
    WardenStart start = {.config = &s->config,
                         .config_path = under(s->place, "conf"),
                         .demo = &s->demo,
                         .ready = say_ready};
    Err err = warden_serve(&start);
    if (err) fprintf(stderr, "server err=%s story=%s\n", err_name(err), err_story());
    exit_code = err ? 1 : 0;
}

static Slice text_of(Place *p)
{
    Slice text = {0};
    (void)!path_read(under(p, "err"), 4 << 20, &p->memory, &text);
    return text;
}

static unsigned count(Slice text, const char *what)
{
    unsigned n = 0;
    Slice needle = slice_of(what);
    for (size_t at; (at = slice_find_slice(text, needle)) < text.len; n++)
        text = slice_from(text, at + needle.len);
    return n;
}

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Until so many lines tell of it. */
static bool await(Place *p, const char *what, unsigned times)
{
    int64_t deadline = clock_ms() + 20000;
    while (count(text_of(p), what) < times) {
        if (clock_ms() > deadline) return false;
        usleep(10000);
    }
    return true;
}

static void write_config(Place *p, const char *more)
{
    Buf text buf_scoped = {0};
    int fd = open(arena_cstr(&p->memory, under(p, "conf")), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    buf_printf(&text,
               "version = 1\nstore = %s/store\nuser =\nloops = 2\noauth_client_secret = hush\n"
               "listen_imap = unix:%s/imap\nlisten_imaps =\nlisten_pop3 =\nlisten_pop3s =\n"
               "listen_lmtp =\n%s",
               p->top, p->top, more);
    check(fd >= 0 && write(fd, text.at, text.len) == (ssize_t)text.len);
    close(fd);
}

static void start(Place *p, const char *what, const char *more)
{
    strcpy(p->top, "/tmp/posthouse-cast-XXXXXX");
    check(mkdtemp(p->top));
    write_config(p, more);
    fflush(NULL);
    p->pid = fork();
    if (p->pid) return;
    Server s = {
        .place = p, .demo = {3, S("known")}
    };
    int err = open(arena_cstr(&p->memory, under(p, "err")), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (err < 0 || dup2(err, STDERR_FILENO) < 0) _exit(2);
    setenv("POSTHOUSE_PLAY", what, 1);
    if (config_load(&s.config, under(p, "conf"))) _exit(3);
    if (run_start(&(RunConfig){.loops = 1}, run_server, &s)) _exit(4);
    config_done(&s.config);
    _exit(exit_code);
}

/* Its exit code. */
static int ended(Place *p)
{
    int status = -1;
    while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void clean(Place *p)
{
    Buf command buf_scoped = {0};
    buf_printf(&command, "rm -rf %s", p->top);
    check(system(buf_cstr(&command)) == 0); /* NOLINT(cert-env33-c): a path of our own making */
    arena_done(&p->memory);
}

static int stop_server(Place *p)
{
    kill(p->pid, SIGTERM);
    return ended(p);
}

/* The process that has played this role last. */
static pid_t last_of(Place *p, const char *role)
{
    Slice rest = text_of(p), line;
    pid_t pid = 0;
    Buf mark buf_scoped = {0};
    buf_printf(&mark, "event=plays role=%s pid=", role);
    while (slice_cut(&rest, '\n', &line)) {
        size_t at = slice_find_slice(line, buf_slice(&mark));
        if (at < line.len) pid = (pid_t)strtol(line.at + at + mark.len, NULL, 10);
    }
    return pid;
}

/* ---- the tests ---- */

enum {
    /* Two loops, two fronts: each front has two rings and a keeper; the house a keeper, the keeper
     * a runner. */
    ENDS = 2 * (2 * 3 + 2)
};

TEST(all_are_joined_to_whom_they_should)
{
    Place p = {0};
    start(&p, "greet", "");
    check(await(&p, "event=all_ready", 1) && await(&p, "event=greeted ", ENDS));
    check(!stop_server(&p));
    Slice text = text_of(&p);
    check_u64(count(text, "event=greeted_wrong"), 0);
    check_u64(count(text, "event=greeted "), ENDS);
    check_u64(count(text, "event=plays "), 5);
    check_u64(count(text, "listeners=1"), 2);
    check_u64(count(text, "secret=yes"), 1);
    check_u64(count(text, "password=yes"), 1);
    check_u64(count(text, "event=plays_stop"), 5);
    check_u64(count(text, "event=role_ended"), 0);
    clean(&p);
}

TEST(secrets_go_to_whom_they_belong)
{
    Place p = {0};
    Slice rest, line;
    start(&p, "greet", "");
    check(await(&p, "event=all_ready", 1));
    check(!stop_server(&p));
    rest = text_of(&p);
    while (slice_cut(&rest, '\n', &line)) {
        if (!count(line, "event=plays ")) continue;
        check_u64(count(line, "secret=yes"), count(line, "role=runner"));
        check_u64(count(line, "password=yes"), count(line, "role=keeper"));
    }
    clean(&p);
}

TEST(who_is_killed_comes_back_and_is_joined_again)
{
    static const struct {
        const char *role;
        unsigned ends; /* of the new one and of its peers */
    } rows[] = {
        {"keeper", 8 },
        {"runner", 2 },
        {"house",  10},
        {"front",  6 },
    };
    Place p = {0};
    unsigned ends = ENDS;
    start(&p, "greet", "");
    check(await(&p, "event=greeted ", ends));
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t before = clock_ms();
        check(!kill(last_of(&p, rows[i].role), SIGKILL));
        ends += rows[i].ends;
        check(await(&p, "event=greeted ", ends));
        printf("%s: killed and joined again after %lld ms\n", rows[i].role,
               (long long)(clock_ms() - before));
    }
    check(!stop_server(&p));
    Slice text = text_of(&p);
    check_u64(count(text, "event=greeted "), ends);
    check_u64(count(text, "event=greeted_wrong"), 0);
    check_u64(count(text, "event=role_ended"), 4);
    check_u64(count(text, "event=role_ready"), 4);
    check_u64(count(text, "signal=9 restarts=0"), 4);
    check_u64(count(text, "event=told_gone"), 4 * 4);
    clean(&p);
}

TEST(who_keeps_dying_waits_longer_each_time)
{
    Place p = {0};
    start(&p, "die", "");
    check(await(&p, "event=all_ready", 1));
    check_ok(path_replace(under(&p, "store/die"), S("now\n")));
    int64_t began = clock_ms();
    check(!kill(last_of(&p, "keeper"), SIGKILL));
    check(await(&p, "event=role_ended role=keeper", 6)); /* 0, 0.1, 0.2, 0.4, 0.8 s between them */
    int64_t took = clock_ms() - began;
    check(took > 1500 && took < 10000);
    check_ok(path_unlink(under(&p, "store/die")));
    check(await(&p, "event=role_ready role=keeper", 1));
    check(!stop_server(&p));
    Slice text = text_of(&p);
    check(count(text, "code=7 restarts=5") == 1);
    check_u64(count(text, "event=plays role=house"), 1);
    clean(&p);
}

TEST(who_does_not_answer_is_started_again)
{
    Place p = {0};
    start(&p, "hang", "watchdog = 1\n");
    check(await(&p, "why=\"it does not answer\"", 1));
    check(await(&p, "event=role_ready role=runner", 1));
    check(!stop_server(&p));
    clean(&p);
}

TEST(the_error_of_a_role_is_the_servers)
{
    Place p = {0};
    start(&p, "fail", "");
    check_u64((unsigned)ended(&p), 1);
    check_u64(count(text_of(&p), "server err=CORRUPT story=the keys are rusty"), 1);
    check_u64(count(text_of(&p), "event=all_ready"), 0);
    clean(&p);
}

TEST(a_reload_reaches_all_or_changes_nothing)
{
    Place p = {0};
    start(&p, "greet", "hostname = first\n");
    check(await(&p, "event=all_ready", 1));
    write_config(&p, "hostname = second\n");
    check(!kill(p.pid, SIGHUP) && await(&p, "event=reloaded", 1));
    check_u64(count(text_of(&p), "event=plays_reload"), 5);
    check_u64(count(text_of(&p), "hostname=second"), 5);
    write_config(&p, "hostname = bad\n");
    check(!kill(p.pid, SIGHUP) && await(&p, "event=reload_failed", 1));
    check_u64(count(text_of(&p), "that is no name for a house"), 1);
    write_config(&p, "hostnam = bad\n");
    check(!kill(p.pid, SIGHUP) && await(&p, "event=reload_failed", 2));
    check_u64(count(text_of(&p), "did you mean"), 1);
    check(!kill(last_of(&p, "front"), SIGKILL) && await(&p, "event=role_ready", 1));
    check(!stop_server(&p));
    clean(&p);
}

TEST(an_upgrade_replaces_all)
{
    Place p = {0};
    start(&p, "greet", "");
    check(await(&p, "event=greeted ", ENDS));
    check(!kill(p.pid, SIGUSR2) && await(&p, "event=upgraded", 1));
    check_u64(count(text_of(&p), "event=plays "), 10);
    check_u64(count(text_of(&p), "event=plays_retire role=front"), 2);
    check_u64(count(text_of(&p), "event=role_failed"), 0);
    check(!stop_server(&p));
    check_u64(count(text_of(&p), "event=greeted_wrong"), 0);
    clean(&p);
}

TEST(nobody_outlives_the_warden)
{
    static const char *const roles[] = {"keeper", "runner", "house", "front"};
    Place p = {0};
    start(&p, "greet", "");
    check(await(&p, "event=all_ready", 1));
    kill(p.pid, SIGKILL);
    check(ended(&p) == -1);
    int64_t deadline = clock_ms() + 5000;
    for (size_t i = 0; i < COUNT(roles); i++) {
        pid_t pid = last_of(&p, roles[i]);
        while (!kill(pid, 0) && clock_ms() < deadline)
            usleep(5000);
        check(kill(pid, 0) && errno == ESRCH);
    }
    clean(&p);
}

TEST(who_has_been_taken_over_gets_no_further)
{
    Place p = {0};
    Slice rest, line;
    unsigned told = 0;
    /* NOLINTNEXTLINE(misc-redundant-expression): both may be 0 */
    if (RUN_ASAN || RUN_TSAN) return;
    start(&p, "attack", "");
    check(await(&p, "event=all_ready", 1));
    check(!stop_server(&p));
    rest = text_of(&p);
    while (slice_cut(&rest, '\n', &line)) {
        bool sums = slice_starts(line, S("attacked "));
        if (sums) told++;
        if (sums || count(line, " HOLE ") || count(line, "sandbox_partial"))
            printf("%.*s\n", SP(line));
    }
    check_u64(told, 5);
    check_u64(count(text_of(&p), " HOLE "), 0);
    if (getenv("POSTHOUSE_TABLE")) printf("%.*s", SP(text_of(&p)));
    clean(&p);
}

int main(int argc, char **argv)
{
    if (!post_is_there()) return test_main(argc, argv);
    unsigned loops = argc > 4 && slice_eq(slice_of(argv[4]), S("loops=2")) ? 2 : 1;
    if (run_start(&(RunConfig){.loops = loops}, play_role, argv[argc - 1])) return 1;
    return exit_code;
}
