/* A role that has been taken over: whatever it tries, from within the sandbox that the real one
 * has, must be refused by the kernel. The calls are made raw, with arguments that would do
 * something; an answer like EFAULT or EINVAL means that the call got through, and counts as a hole.
 */
#include "house/cast_play.h"
#include "house/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <netinet/in.h>

#ifndef SYS_iopl /* another kind of machine */
#define SYS_iopl       999
#define SYS_ioperm     999
#define SYS_modify_ldt 999
#endif

/* ---- files ---- */

typedef struct {
    const char *of_whom; /* F K H R: who must not */
    const char *path;    /* behind the store, or absolute; %d is the parent */
    int flags;
} FileAttack;

static const FileAttack files[] = {
    {"-FKHR", "/",                   O_RDONLY          },
    {"-FKHR", "/etc",                O_RDONLY          },
    {"-FKHR", "/etc/passwd",         O_RDONLY          },
    {"-FKHR", "/etc/shadow",         O_RDONLY          },
    {"-FKHR", "/etc/ssl/private",    O_RDONLY          },
    {"-FKHR", "/root",               O_RDONLY          },
    {"-FKHR", "/tmp",                O_RDONLY          },
    {"-FKHR", "/tmp/taken-over",     O_WRONLY | O_CREAT},
    {"-FKHR", "/dev/shm/taken-over", O_WRONLY | O_CREAT},
    {"-FKHR", "/tmp",                O_RDWR | O_TMPFILE},
    {"-FKHR", "/dev/null",           O_RDWR            },
    {"-FKHR", "/dev/mem",            O_RDWR            },
    {"-FKHR", "/bin/sh",             O_RDONLY          },
    {"-FKHR", "/proc/self/mem",      O_RDWR            },
    {"-FKHR", "/proc/self/maps",     O_RDONLY          },
    {"-FKHR", "/proc/self/environ",  O_RDONLY          },
    {"-FKHR", "/proc/%d/mem",        O_RDWR            },
    {"-FKHR", "/proc/%d/environ",    O_RDONLY          },
    {"-FKHR", "/proc/%d/cmdline",    O_RDONLY          },
    {"-FKHR", "/proc/%d/fd",         O_RDONLY          },
    {"-FKHR", "/proc/%d/fd/0",       O_RDWR            },
    {"-FKHR", "/proc/%d/fd/5",       O_RDWR            },
    {"-FKHR", "/proc/%d/fd/10",      O_RDWR            }, /* the board, rings: memory of others */
    {"-FKHR", "/proc/%d/fd/20",      O_RDWR            },
    {"-FKHR", "/proc/%d/root",       O_RDONLY          },
    {"-FKHR", "/proc/sys/kernel",    O_RDONLY          },
    {"-FKHR", "/sys/kernel",         O_RDONLY          },
    {"-FKHR", "",                    O_RDONLY          }, /* the store's top */
    {"-FKHR", "new",                 O_WRONLY | O_CREAT},
    {"-FKHR", "pid",                 O_WRONLY          },
    {"-FK-R", "log",                 O_RDONLY          },
    {"-FK-R", "log/mail",            O_RDONLY          },
    {"-FK-R", "log/new",             O_WRONLY | O_CREAT},
    {"-F-HR", "keeper",              O_RDONLY          },
    {"-F-HR", "keeper/hashes",       O_RDONLY          },
    {"-F-HR", "keeper/hashes",       O_WRONLY | O_TRUNC},
    {"-F-HR", "keeper/new",          O_WRONLY | O_CREAT},
    {"-F-HR", "tls/key.pem",         O_RDONLY          },
    {"-F-HR", "tls/key.pem",         O_WRONLY          },
 /* And what has to work, or the rest would show nothing. */
    {"+--H-", "log/mail",            O_RDONLY          },
    {"+--H-", "log/new",             O_WRONLY | O_CREAT},
    {"+-K--", "keeper/hashes",       O_RDWR            },
    {"+-K--", "tls/key.pem",         O_RDONLY          },
    {"+---R", "/etc/nsswitch.conf",  O_RDONLY          },
};

static bool is_refused(int error)
{
    return error == EPERM || error == EACCES || error == ENOSYS;
}

static unsigned tell(const Actor *a, const char *what, long got, int error, bool should_work)
{
    bool bad = should_work ? got < 0 : got >= 0 || !is_refused(error);
    fprintf(stderr, "attack role=%s %s \"%s\": %s\n", cast_names[a->kind],
            bad           ? "HOLE"
            : should_work ? "works"
                          : "refused",
            what, got >= 0 ? "it worked" : strerror(error));
    return bad;
}

static void put_path(const Actor *a, const char *path, Buf *out)
{
    const char *at = strstr(path, "%d");
    if (path[0] != '/')
        buf_printf(out, "%.*s/%s", SP(a->config->store), path);
    else if (at)
        buf_printf(out, "/proc/%d%s", (int)getppid(), at + 2);
    else
        buf_add(out, slice_of(path));
}

static unsigned attack_file(const Actor *a, const FileAttack *f)
{
    Buf path buf_scoped = {0}, name buf_scoped = {0};
    bool works = f->of_whom[0] == '+';
    put_path(a, f->path, &path);
    buf_printf(&name, "open %.*s%s", SP(path), f->flags & O_ACCMODE ? " to write" : "");
    long fd = syscall(SYS_openat, AT_FDCWD, buf_cstr(&path), f->flags | O_CLOEXEC, 0600);
    int error = errno;
    if (fd < 0 && error == ENOENT && !works) error = EACCES; /* nothing there to be had */
    if (fd >= 0) close((int)fd);
    return tell(a, buf_cstr(&name), fd, error, works);
}

/* ---- calls ---- */

static char page[4096] __attribute__((aligned(4096)));
static const struct sockaddr_in host = {.sin_family = AF_INET, .sin_port = 0x5000};
static const struct rlimit many = {100, 100};
static char *const no_args[] = {NULL};
static const char shell[] = "/bin/sh";

/* A name, who must not (F K H R), and the call. Numbers that are addresses are of this process. */
#define AT(pointer) ((long)(uintptr_t)(pointer))
typedef struct {
    const char *name, *of_whom;
    long number, args[6];
} CallAttack;

static const CallAttack calls[] = {
    {"execve /bin/sh",                "-FKHR", SYS_execve,            {AT(shell), AT(no_args), AT(no_args)}                   },
    {"execveat /bin/sh",              "-FKHR", SYS_execveat,          {AT_FDCWD, AT(shell), AT(no_args), AT(no_args)}         },
    {"fork",                          "-FKHR", SYS_clone,             {SIGCHLD}                                               },
    {"clone in a new user namespace", "-FKHR", SYS_clone,             {CLONE_NEWUSER | SIGCHLD}                               },
    {"clone3",                        "-FKHR", SYS_clone3,            {AT(page), 64}                                          },
    {"unshare users",                 "-FKHR", SYS_unshare,           {CLONE_NEWUSER}                                         },
    {"unshare names",                 "-FKHR", SYS_unshare,           {CLONE_NEWNS}                                           },
    {"setns",                         "-FKHR", SYS_setns,             {2, 0}                                                  },
    {"kill the parent",               "-FKHR", SYS_kill,              {-1, 0}                                                 },
    {"kill all",                      "-FKHR", SYS_kill,              {-2, 0}                                                 },
    {"tgkill another",                "-FKHR", SYS_tgkill,            {-1, -1, 0}                                             },
    {"tkill another",                 "-FKHR", SYS_tkill,             {-1, 0}                                                 },
    {"rt_sigqueueinfo",               "-FKHR", SYS_rt_sigqueueinfo,   {-1, 0, AT(page)}                                       },
    {"pidfd_open the parent",         "-FKHR", SYS_pidfd_open,        {-1, 0}                                                 },
    {"pidfd_send_signal",             "-FKHR", SYS_pidfd_send_signal, {2, 0, 0, 0}                                            },
    {"pidfd_getfd",                   "-FKHR", SYS_pidfd_getfd,       {2, 0, 0}                                               },
    {"ptrace the parent",             "-FKHR", SYS_ptrace,            {PTRACE_ATTACH, -1, 0, 0}                               },
    {"ptrace: be traced",             "-FKHR", SYS_ptrace,            {PTRACE_TRACEME, 0, 0, 0}                               },
    {"process_vm_readv",              "-FKHR", SYS_process_vm_readv,  {-1, AT(page), 1, AT(page), 1, 0}                       },
    {"process_vm_writev",             "-FKHR", SYS_process_vm_writev, {-1, AT(page), 1, AT(page), 1, 0}                       },
    {"process_madvise",               "-FKHR", SYS_process_madvise,   {2, AT(page), 1, 4, 0}                                  },
    {"kcmp",                          "-FKHR", SYS_kcmp,              {-1, -1, 0, 0, 0}                                       },
    {"limits of the parent",          "-FKHR", SYS_prlimit64,         {-1, RLIMIT_NOFILE, AT(&many), 0}                       },
    {"own limits",                    "-FKHR", SYS_setrlimit,         {RLIMIT_NOFILE, AT(&many)}                              },
    {"setpriority",                   "-FKHR", SYS_setpriority,       {0, 0, -20}                                             },
    {"sched_setaffinity",             "-FKHR", SYS_sched_setaffinity, {-1, 8, AT(page)}                                       },
    {"memory to write and run",
     "-FKHR",                                  SYS_mmap,
     {0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}                                        },
    {"memory to run",
     "-FKHR",                                  SYS_mmap,
     {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}                                                     },
    {"run what was written",          "-FKHR", SYS_mprotect,          {AT(page), 4096, PROT_READ | PROT_EXEC}                 },
    {"the same with a key",
     "-FKHR",                                  SYS_pkey_mprotect,
     {AT(page), 4096, PROT_READ | PROT_EXEC, -1}                                                                              },
    {"personality",                   "-FKHR", SYS_personality,       {0x0400000}                                             },
    {"memfd_create",                  "-FKHR", SYS_memfd_create,      {AT("x"), 0}                                            },
    {"memfd_secret",                  "-FKHR", SYS_memfd_secret,      {0}                                                     },
    {"userfaultfd",                   "-FKHR", SYS_userfaultfd,       {1}                                                     },
    {"shmget",                        "-FKHR", SYS_shmget,            {0, 4096, 01600}                                        },
    {"shmat",                         "-FKHR", SYS_shmat,             {0, 0, 0100000}                                         },
    {"semget",                        "-FKHR", SYS_semget,            {0, 1, 01600}                                           },
    {"msgget",                        "-FKHR", SYS_msgget,            {0, 01600}                                              },
    {"mq_open",                       "-FKHR", SYS_mq_open,           {AT("x"), O_RDWR | O_CREAT, 0600, 0}                    },
    {"socket of the Internet",        "-FKH-", SYS_socket,            {AF_INET, SOCK_STREAM, 0}                               },
    {"socket of IPv6",                "-FKH-", SYS_socket,            {AF_INET6, SOCK_STREAM, 0}                              },
    {"datagrams",                     "-FKH-", SYS_socket,            {AF_INET, SOCK_DGRAM, 0}                                },
    {"raw packets",                   "-FKHR", SYS_socket,            {AF_INET, SOCK_RAW, 1}                                  },
    {"packets",                       "-FKHR", SYS_socket,            {AF_PACKET, SOCK_RAW, 0}                                },
    {"Unix socket",                   "-FKHR", SYS_socket,            {AF_UNIX, SOCK_STREAM, 0}                               },
    {"netlink",                       "-FKHR", SYS_socket,            {AF_NETLINK, SOCK_RAW, 0}                               },
    {"AF_ALG",                        "-FKHR", SYS_socket,            {38, SOCK_SEQPACKET, 0}                                 },
    {"vsock",                         "-FKHR", SYS_socket,            {40, SOCK_STREAM, 0}                                    },
    {"socketpair",                    "-FKHR", SYS_socketpair,        {AF_UNIX, SOCK_STREAM, 0, AT(page)}                     },
    {"connect",                       "-FKH-", SYS_connect,           {2, AT(&host), sizeof host}                             },
    {"bind",                          "-FKHR", SYS_bind,              {2, AT(&host), sizeof host}                             },
    {"listen",                        "-FKHR", SYS_listen,            {2, 1}                                                  },
    {"ioctl TIOCSTI",                 "-FKHR", SYS_ioctl,             {2, 0x5412, AT(page)}                                   },
    {"ioctl TIOCLINUX",               "-FKHR", SYS_ioctl,             {2, 0x541c, AT(page)}                                   },
    {"ioctl FIOASYNC",                "-FKHR", SYS_ioctl,             {2, 0x5452, AT(page)}                                   },
    {"fcntl: signals to others",      "-FKHR", SYS_fcntl,             {2, F_SETOWN, 1}                                        },
    {"fcntl: a lease",                "-FKHR", SYS_fcntl,             {2, F_SETLEASE, F_WRLCK}                                },
    {"bpf",                           "-FKHR", SYS_bpf,               {0, AT(page), 64}                                       },
    {"perf_event_open",               "-FKHR", SYS_perf_event_open,   {AT(page), 0, -1, -1, 0}                                },
    {"io_uring_setup",                "-FKHR", SYS_io_uring_setup,    {1, AT(page)}                                           },
    {"io_uring_enter",                "-FKHR", SYS_io_uring_enter,    {2, 1, 0, 0, 0, 0}                                      },
    {"io_setup",                      "-FKHR", SYS_io_setup,          {1, AT(page)}                                           },
    {"keyctl",                        "-FKHR", SYS_keyctl,            {KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0}       },
    {"add_key",                       "-FKHR", SYS_add_key,           {AT("user"), AT("x"), AT("x"), 1, KEY_SPEC_USER_KEYRING}},
    {"request_key",                   "-FKHR", SYS_request_key,       {AT("user"), AT("x"), 0, KEY_SPEC_USER_KEYRING}         },
    {"mount",                         "-FKHR", SYS_mount,             {AT("x"), AT("/nowhere"), AT("tmpfs"), 0, 0}            },
    {"umount",                        "-FKHR", SYS_umount2,           {AT("/nowhere"), 0}                                     },
    {"open_tree",                     "-FKHR", SYS_open_tree,         {AT_FDCWD, AT("/"), 1}                                  },
    {"fsopen",                        "-FKHR", SYS_fsopen,            {AT("tmpfs"), 0}                                        },
    {"chroot",                        "-FKHR", SYS_chroot,            {AT("/")}                                               },
    {"pivot_root",                    "-FKHR", SYS_pivot_root,        {AT("/nowhere"), AT("/nowhere")}                        },
    {"chdir",                         "-FKHR", SYS_chdir,             {AT("/")}                                               },
    {"open_by_handle_at",             "-FKHR", SYS_open_by_handle_at, {2, AT(page), 0}                                        },
    {"name_to_handle_at",
     "-FKHR",                                  SYS_name_to_handle_at,
     {AT_FDCWD, AT("/"), AT(page), AT(page), 0}                                                                               },
    {"openat2",                       "-FKHR", SYS_openat2,           {AT_FDCWD, AT("/"), AT(page), 24}                       },
    {"fanotify_init",                 "-FKHR", SYS_fanotify_init,     {0, 0}                                                  },
    {"inotify_init",                  "-FKHR", SYS_inotify_init1,     {0}                                                     },
    {"chmod",                         "-FKHR", SYS_fchmodat,          {AT_FDCWD, AT("/nowhere"), 0777}                        },
    {"chown",                         "-FKHR", SYS_fchownat,          {AT_FDCWD, AT("/nowhere"), 0, 0, 0}                     },
    {"link",                          "-FKHR", SYS_linkat,            {AT_FDCWD, AT("/etc/shadow"), AT_FDCWD, AT("/tmp/x"), 0}},
    {"symlink",                       "-FKHR", SYS_symlinkat,         {AT("/etc/shadow"), AT_FDCWD, AT("/tmp/x")}             },
    {"mknod",                         "-FKHR", SYS_mknodat,           {AT_FDCWD, AT("/tmp/x"), 010600, 0}                     },
    {"truncate",                      "-FKHR", SYS_truncate,          {AT("/nowhere"), 0}                                     },
    {"utimensat",                     "-FKHR", SYS_utimensat,         {AT_FDCWD, AT("/nowhere"), 0, 0}                        },
    {"setxattr",                      "-FKHR", SYS_setxattr,          {AT("/nowhere"), AT("user.x"), AT("x"), 1, 0}           },
    {"setuid",                        "-FKHR", SYS_setuid,            {0}                                                     },
    {"setgid",                        "-FKHR", SYS_setgid,            {0}                                                     },
    {"setgroups",                     "-FKHR", SYS_setgroups,         {0, 0}                                                  },
    {"capset",                        "-FKHR", SYS_capset,            {AT(page), 0}                                           },
    {"prctl: be dumpable",            "-FKHR", SYS_prctl,             {PR_SET_DUMPABLE, 1, 0, 0, 0}                           },
    {"prctl: outlive the warden",     "-FKHR", SYS_prctl,             {PR_SET_PDEATHSIG, 0, 0, 0, 0}                          },
    {"prctl: who may trace",          "-FKHR", SYS_prctl,             {0x59616d61, -1, 0, 0, 0}                               },
    {"another filter",                "-FKHR", SYS_seccomp,           {1, 0, AT(page)}                                        },
    {"init_module",                   "-FKHR", SYS_init_module,       {AT(page), 1, AT("")}                                   },
    {"finit_module",                  "-FKHR", SYS_finit_module,      {2, AT(""), 0}                                          },
    {"kexec_load",                    "-FKHR", SYS_kexec_load,        {0, 0, 0, 0}                                            },
    {"reboot",                        "-FKHR", SYS_reboot,            {0, 0, 0, 0}                                            },
    {"swapon",                        "-FKHR", SYS_swapon,            {AT("/x"), 0}                                           },
    {"sethostname",                   "-FKHR", SYS_sethostname,       {AT("x"), 1}                                            },
    {"clock_settime",                 "-FKHR", SYS_clock_settime,     {0, 0}                                                  },
    {"syslog",                        "-FKHR", SYS_syslog,            {3, AT(page), 1}                                        },
    {"quotactl",                      "-FKHR", SYS_quotactl,          {0, 0, 0, 0}                                            },
    {"acct",                          "-FKHR", SYS_acct,              {AT("/tmp/x")}                                          },
    {"ioperm",                        "-FKHR", SYS_ioperm,            {0, 1, 1}                                               },
    {"iopl",                          "-FKHR", SYS_iopl,              {3}                                                     },
    {"modify_ldt",                    "-FKHR", SYS_modify_ldt,        {1, AT(page), 16}                                       },
    {"splice",                        "-FKHR", SYS_splice,            {2, 0, 2, 0, 1, 0}                                      },
    {"copy_file_range",               "-FKHR", SYS_copy_file_range,   {2, 0, 2, 0, 1, 0}                                      },
    {"setsid",                        "-FKHR", SYS_setsid,            {0}                                                     },
    {"setitimer",                     "-FKHR", SYS_setitimer,         {0, AT(page), 0}                                        },
    {"a name that is free",           "-FKHR", 999,                   {0}                                                     },
};

/* -1 stands for the parent, -2 for all. */
static long filled(long arg, size_t at, const CallAttack *c)
{
    bool is_process = c->number == SYS_kill || c->number == SYS_tgkill || c->number == SYS_tkill ||
                      c->number == SYS_rt_sigqueueinfo || c->number == SYS_pidfd_open ||
                      c->number == SYS_process_vm_readv || c->number == SYS_process_vm_writev ||
                      c->number == SYS_kcmp || c->number == SYS_prlimit64 ||
                      c->number == SYS_sched_setaffinity;
    if (arg == -1 && (is_process || (c->number == SYS_ptrace && at == 1))) return getppid();
    return arg == -2 ? -1 : arg;
}

static unsigned attack_call(const Actor *a, const CallAttack *c)
{
    long x[6];
    for (size_t i = 0; i < COUNT(x); i++)
        x[i] = filled(c->args[i], i, c);
    errno = 0;
    long got = syscall(c->number, x[0], x[1], x[2], x[3], x[4], x[5]);
    int error = errno;
    if (got == 0 && c->number == SYS_clone) _exit(0); /* the child of an attack that worked */
    return tell(a, c->name, got, error, false);
}

unsigned attack_all(const Actor *a, bool on_files)
{
    unsigned holes = 0, tried = 0;
    seccomp_log_denied(false);
    for (size_t i = 0; i < COUNT(files); i++) {
        if (files[i].of_whom[a->kind] == '-' || !on_files) continue;
        holes += attack_file(a, &files[i]);
        tried++;
    }
    for (size_t i = 0; i < COUNT(calls); i++) {
        if (calls[i].of_whom[a->kind] == '-') continue;
        holes += attack_call(a, &calls[i]);
        tried++;
    }
    fprintf(stderr, "attacked role=%s attempts=%u holes=%u calls_allowed=%zu\n",
            cast_names[a->kind], tried, holes, seccomp_calls(a->kind));
    return holes;
}
