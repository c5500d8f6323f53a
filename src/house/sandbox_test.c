#include "house/sandbox.h"

#include "base/test.h"
#include "run/context.h"
#include "run/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a child with a place of its own; what is shut stays shut, so each test wants another one
 * ---- */

typedef struct {
    char top[64];
    Arena memory;
    Config config;
} Place;

static Slice under(Place *p, const char *name)
{
    return arena_printf(&p->memory, "%s/%s", p->top, name);
}

static bool can_write(Place *p, const char *name)
{
    int fd = open(arena_cstr(&p->memory, under(p, name)), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    bool written = write(fd, "x", 1) == 1;
    close(fd);
    return written;
}

static bool can_read(Place *p, const char *name)
{
    Slice content;
    return path_read(under(p, name), 100, &p->memory, &content) == OK;
}

static void set(Place *p, const char *key, const char *value)
{
    check_ok(config_set(&p->config, slice_of(key), under(p, value)));
}

static void make_place(Place *p)
{
    static const char *const folders[] = {"store", "tls", "tls/archive", "etc", "run", "else"};
    static const char *const files[] = {"tls/key.pem", "tls/archive/1.pem", "etc/posthouse.conf",
                                        "else/secret"};
    strcpy(p->top, "/tmp/posthouse-sandbox-XXXXXX");
    check(mkdtemp(p->top));
    config_defaults(&p->config);
    for (size_t i = 0; i < COUNT(folders); i++)
        check_ok(path_mkdir(under(p, folders[i])));
    for (size_t i = 0; i < COUNT(files); i++)
        check(can_write(p, files[i]));
    check(!symlink("archive/1.pem", arena_cstr(&p->memory, under(p, "tls/now.pem"))));
    set(p, "store", "store");
    set(p, "tls_certificate", "tls/now.pem");
    set(p, "tls_key", "tls/key.pem");
    check_ok(config_set(&p->config, S("listen_lmtp"),
                        arena_printf(&p->memory, "unix:%s/run/lmtp 127.0.0.1:24", p->top)));
}

static void remove_place(Place *p)
{
    Buf command buf_scoped = {0};
    buf_printf(&command, "rm -rf %s", p->top);
    check(system(buf_cstr(&command)) == 0); /* NOLINT(cert-env33-c): a path of our own making */
    config_done(&p->config);
    arena_done(&p->memory);
}

static void in_child(void (*fn)(Place *))
{
    Place p = {0};
    int status = -1;
    make_place(&p);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        fn(&p);
        fflush(NULL);
        _exit(test_complaints() ? 1 : 0);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    remove_place(&p);
}

static bool is_possible(void)
{
    /* NOLINTNEXTLINE(misc-redundant-expression): both may be 0 */
    return !RUN_ASAN && !RUN_TSAN && landlock_abi();
}

static Err try_doors(const Config *config, bool files, bool calls)
{
    return sandbox_try_doors(&(Sandbox){CAST_ALONE, config, {0}, NULL}, files, calls);
}

static void enter(Place *p)
{
    Sandbox alone = {CAST_ALONE, &p->config, under(p, "etc/posthouse.conf"), NULL};
    check_ok(sandbox_enter(&alone));
}

/* ---- what stays within reach ---- */

static void reaches_its_own(Place *p)
{
    enter(p);
    check(can_write(p, "store/new") && can_read(p, "store/new"));
    check_ok(path_rename(under(p, "store/new"), under(p, "store/other")));
    check_ok(path_mkdir(under(p, "store/sub")));
    check_ok(path_rename(under(p, "store/other"), under(p, "store/sub/other")));
    check_ok(path_unlink(under(p, "store/sub/other")));
    check(can_read(p, "tls/key.pem") && can_read(p, "tls/now.pem"));
    check(can_read(p, "tls/archive/1.pem") && can_read(p, "etc/posthouse.conf"));
    check_ok(path_replace(under(p, "store/pid"), S("1\n")));
}

TEST(a_sandboxed_house_reaches_its_own)
{
    if (is_possible()) in_child(reaches_its_own);
}

static void reaches_nothing_else(Place *p)
{
    enter(p);
    check(!can_read(p, "else/secret") && !can_write(p, "else/secret"));
    check(!can_write(p, "else/new") && !can_write(p, "new"));
    check(!can_write(p, "tls/key.pem") && !can_write(p, "tls/new.pem"));
    check(!can_write(p, "etc/posthouse.conf") && !can_write(p, "run/new"));
    check(path_rename(under(p, "store"), under(p, "else/store")) != OK);
    check(open("/dev/null", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
    check_ok(try_doors(&p->config, true, true));
}

TEST(a_sandboxed_house_reaches_nothing_else)
{
    if (is_possible()) in_child(reaches_nothing_else);
}

TEST(what_a_house_has_to_reach)
{
    static const struct {
        const char *key, *value, *path;
        Reach how;
    } rows[] = {
        {"store",           "/srv/mail",           "/srv/mail",     REACH_ALL   },
        {"control",         "/run/ph/control",     "/run/ph",       REACH_SOCKET},
        {"control",         "control",             ".",             REACH_SOCKET},
        {"store",           "/srv/mail",           "/srv/mail",     REACH_SOCKET}, /* its control */
        {"listen_lmtp",     "*:24 unix:/run/x/l",  "/run/x",        REACH_SOCKET},
        {"listen_imap",     "unix:/imap",          "/",             REACH_SOCKET},
        {"tls_certificate", "/etc/ssl/mine/c.pem", "/etc/ssl/mine", REACH_READ  },
        {"tls_key",         "/etc/ssl/keys/k.pem", "/etc/ssl/keys", REACH_READ  },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Config c;
        Reachables r = {0};
        bool found = false;
        config_defaults(&c);
        check_ok(config_set(&c, slice_of(rows[i].key), slice_of(rows[i].value)));
        sandbox_reachables(&(Sandbox){CAST_ALONE, &c, S("/etc/posthouse/posthouse.conf"), NULL},
                           &r);
        for (size_t j = 0; j < r.count; j++)
            found |= r.items[j].reach == rows[i].how &&
                     slice_eq(r.items[j].path, slice_of(rows[i].path));
        if (!found) test_failed(__FILE__, __LINE__, "%s: no %s", rows[i].key, rows[i].path);
        reachables_done(&r);
        config_done(&c);
    }
}

static void check_config_reach(const char *file, const char *path)
{
    Config c;
    Reachables r = {0};
    config_defaults(&c);
    sandbox_reachables(&(Sandbox){CAST_ALONE, &c, slice_of(file), NULL}, &r);
    check_slice(r.items[r.count - 1].path, slice_of(path));
    check(r.items[r.count - 1].reach == REACH_READ);
    reachables_done(&r);
    config_done(&c);
}

TEST(the_directory_of_the_configuration_but_not_all_of_etc)
{
    check_config_reach("/etc/posthouse/posthouse.conf", "/etc/posthouse");
    check_config_reach("/etc/posthouse.conf", "/etc/posthouse.conf");
    check_config_reach("posthouse.conf", ".");
}

/* ---- doors ---- */

TEST(an_open_door_is_noticed)
{
    Config c;
    config_defaults(&c);
    check_err(try_doors(&c, true, false), ERR_UNSUPPORTED);
    check(slice_find_slice(slice_of(err_story()), S("list /")) < strlen(err_story()));
    check_err(try_doors(&c, false, true), ERR_UNSUPPORTED);
    check_ok(try_doors(&c, false, false));
    config_done(&c);
}

static void only_files(Place *p)
{
    Reachable store = {p->config.store, REACH_ALL};
    check_ok(landlock_enter(&store, 1, MAY_NOTHING_ELSE));
    check_ok(try_doors(&p->config, true, false));
    check_err(try_doors(&p->config, false, true), ERR_UNSUPPORTED);
}

static void only_calls(Place *p)
{
    check_ok(seccomp_enter(CAST_ALONE));
    check_ok(try_doors(&p->config, false, true));
    check_err(try_doors(&p->config, true, false), ERR_UNSUPPORTED);
    check(can_read(p, "else/secret"));
}

TEST(each_half_stands_alone)
{
    if (!is_possible()) return;
    in_child(only_files);
    in_child(only_calls);
}

static void stays_outside(Place *p)
{
    check_ok(config_set(&p->config, S("sandbox"), S("no")));
    enter(p);
    check(can_read(p, "else/secret"));
    check_err(try_doors(&p->config, true, true), ERR_UNSUPPORTED);
}

TEST(the_sandbox_can_be_switched_off)
{
    in_child(stays_outside);
}

/* ---- calls ---- */

static void calls(Place *p)
{
    int pair[2];
    enter(p);
    check(fork() == -1 && errno == EPERM);
    check(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
              MAP_FAILED &&
          errno == EPERM);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(page != MAP_FAILED);
    check(mprotect(page, 4096, PROT_READ | PROT_EXEC) == -1 && errno == EPERM);
    check(mprotect(page, 4096, PROT_NONE) == 0);
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    check(socket(AF_UNIX, SOCK_STREAM, 0) == -1 && errno == EPERM);
    check(kill(getppid(), 0) == -1 && errno == EPERM);
    check(chmod(arena_cstr(&p->memory, p->config.store), 0777) == -1 && errno == EPERM);
}

TEST(calls_that_nobody_needs_are_refused)
{
    if (is_possible()) in_child(calls);
}

static unsigned lines_of(int fd, const char *event)
{
    char text[1024];
    unsigned n = 0;
    ssize_t len = read(fd, text, sizeof text);
    Slice rest = slice(text, len > 0 ? (size_t)len : 0), line;
    while (slice_cut(&rest, '\n', &line))
        n += slice_find_slice(line, slice_of(event)) < line.len;
    return n;
}

static void refused_twice(Place *p)
{
    int ends[2], out = dup(STDERR_FILENO);
    check(!pipe2(ends, O_NONBLOCK) && dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    check(out >= 0);
    enter(p);
    check_u64(lines_of(ends[0], "event=sandbox_denied"), 0); /* the self test is quiet */
    check(socket(AF_UNIX, SOCK_STREAM, 0) == -1);
    check(socket(AF_UNIX, SOCK_STREAM, 0) == -1);
    check_u64(lines_of(ends[0], "level=error event=sandbox_denied syscall="), 1);
}

TEST(a_refusal_is_logged_once)
{
    if (is_possible()) in_child(refused_twice);
}

/* ---- threads: those that were there, and those that come ---- */

static atomic_bool is_entered;
static atomic_int shut_for, threads_there;

static void *knock(void *arg)
{
    (void)arg;
    atomic_fetch_add(&threads_there, 1);
    while (!atomic_load(&is_entered))
        sched_yield();
    bool files = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) == -1 && errno == EACCES;
    bool other = socket(AF_INET, SOCK_STREAM, 0) == -1 && errno == EPERM;
    if (files && other) atomic_fetch_add(&shut_for, 1);
    return NULL;
}

static void many_threads(Place *p)
{
    enum { BEFORE = 12, ALL = 14 };
    pthread_t threads[ALL];
    for (int i = 0; i < BEFORE; i++)
        check(!pthread_create(&threads[i], NULL, knock, NULL));
    while (atomic_load(&threads_there) < BEFORE)
        sched_yield();
    enter(p);
    atomic_store(&is_entered, true);
    for (int i = BEFORE; i < ALL; i++)
        check(!pthread_create(&threads[i], NULL, knock, NULL));
    for (int i = 0; i < ALL; i++)
        check(!pthread_join(threads[i], NULL));
    check_u64((unsigned)atomic_load(&shut_for), ALL);
}

TEST(no_thread_is_left_outside)
{
    if (is_possible()) in_child(many_threads);
}
