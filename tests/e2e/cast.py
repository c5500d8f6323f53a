#!/usr/bin/env python3
"""The server as several processes: who is there and with which rights; kill -9 of each, again and again; reload and upgrade; what
systemd hears and hands over. (Who has been taken over: cast_test.)"""
import os
import pwd
import re
import signal
import socket
import subprocess
import time

from lib import (HOST, PROGRAM, Served, as_user, check, equal, free_ports, give, main, scratch, start, wait_for)

ROLES = {"keeper": 1, "runner": 1, "house": 1, "front": 2}
LINE = re.compile(r"event=role_ended role=(\w+) pid=(\d+) (signal|code)=(\d+) restarts=(\d+)")


class Cast(Served):
    def __init__(self, **settings):
        super().__init__(**{"single_process": "no", "loops": "2", "user": "", **settings})

    def children(self):
        """role -> pids"""
        found = {role: [] for role in ROLES}
        listed = subprocess.run(["ps", "--ppid", str(self.process.pid), "-o", "pid=,args="], capture_output=True, text=True).stdout
        for line in listed.splitlines():
            pid, *words = line.split()
            if words and words[-1] in found:
                found[words[-1]].append(int(pid))
        return found

    def is_whole(self):
        there = self.children()
        return there if {role: len(pids) for role, pids in there.items()} == ROLES else None

    def logged(self, text):
        return self.log().count(text)


def status(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def test_who_is_there(s):
    there = s.children()
    equal("one process for each role, two fronts", {role: len(pids) for role, pids in there.items()}, ROLES)
    with open(os.path.join(s.dir, "pid")) as f:
        equal("the pid file names the first process", int(f.read()), s.process.pid)
    for pid in [s.process.pid] + [p for pids in there.values() for p in pids]:
        about = status(pid)
        name = next((role for role, pids in there.items() if pid in pids), "warden")
        equal(f"{name}: no capability is left", int(about["CapEff"], 16) | int(about["CapBnd"], 16), 0)
        if "UNSANDBOXED" not in os.environ:  # tests/coverage says so
            equal(f"{name}: no new privileges", about["NoNewPrivs"], "1")
            equal(f"{name}: has a list of calls", about["Seccomp"], "2")
    for role in ROLES:
        for pid in there[role]:
            fds = {os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")} if os.getuid() == 0 else set()
            own = os.path.join(s.dir, "keeper") if role == "keeper" else s.dir if role == "house" else None
            strange = {f for f in fds if f.startswith("/") and not f.startswith("/dev/") and f != s.log_path
                       and not f.startswith("/memfd:") and not (own and f.startswith(own))}
            equal(f"{role}: no file is open that is not its own", {f for f in strange if not f.startswith("/proc")}, set())


def test_kill_each(s, times=3):
    for role in ROLES:
        for n in range(times):
            before = s.children()
            victim = before[role][0]
            ended = s.logged("event=role_ended")
            began = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            after = wait_for(lambda: (lambda now: now if now and victim not in now[role] else None)(s.is_whole()), 15, 0.005)
            took = time.monotonic() - began
            if not check(f"{role}: killed for the {n + 1}. time, another one comes", after, s.tail()):
                return
            check(f"{role}: soon the first time", n or took < 2, took)
            others = {r: [p for p in pids if p != victim] for r, pids in before.items()}
            check(f"{role}: the others stay", all(p in after[r] for r, pids in others.items() for p in pids), (before, after))
            told = wait_for(lambda: s.logged("event=role_ended") > ended, 5) and LINE.findall(s.log())[-1]
            equal(f"{role}: the log says who ended, and how", told and told[:4], (role, str(victim), "signal", "9"))
            ready = f"event=role_ready role={role} "
            check(f"{role}: the log says who is ready", wait_for(lambda: s.logged(ready) > n, 10), s.tail())


def test_reload(s):
    before = s.children()
    with open(s.config, "a") as f:
        f.write("login_time = 59\n")
    os.kill(s.process.pid, signal.SIGHUP)
    check("a reload reaches all", wait_for(lambda: s.logged("event=reloaded") == 1, 10), s.tail())
    check("it is told what changes", s.logged("event=reload_changes setting=login_time"), s.tail())
    with open(s.config, "a") as f:
        f.write("login_tim = 59\n")
    os.kill(s.process.pid, signal.SIGHUP)
    check("a mistake is told", wait_for(lambda: s.logged("event=reload_failed") == 1, 10), s.tail())
    check("with the nearest name", 'did you mean \\"login_time\\"' in s.log(), s.tail())
    equal("nobody was started again for it", s.children(), before)


def test_upgrade(s):
    before = s.children()
    busy = socket.create_connection((HOST, s.port("smtp")), 10)  # in a transaction: it is waited for, but not for long
    busy.sendall(b"EHLO x\r\nMAIL FROM:<a@example.org>\r\n")
    time.sleep(0.5)
    os.kill(s.process.pid, signal.SIGUSR2)
    check("an upgrade comes to its end", wait_for(lambda: s.logged("event=upgraded") == 1, 30), s.tail())
    after = wait_for(s.is_whole, 10)
    check("all processes are others", after and all(not set(after[r]) & set(before[r]) for r in ROLES), (before, after))
    check("none of them failed", not s.logged("event=role_failed"), s.tail())


def test_stop(s):
    pids = [p for pids in s.children().values() for p in pids]
    began = time.monotonic()
    equal("it stops cleanly", s.stop(), 0)
    check("within ten seconds", time.monotonic() - began < 10, time.monotonic() - began)
    check("nobody is left", not any(os.path.exists(f"/proc/{p}") for p in pids))


def test_all():
    s = Cast().start()
    test_who_is_there(s)
    test_kill_each(s)
    test_reload(s)
    test_upgrade(s)
    check("nobody tried what he may not", not s.logged("event=sandbox_denied"), [l for l in s.log().splitlines() if "denied" in l])
    test_stop(s)


def test_second_server():
    s = Cast().start()
    other = Cast()
    other.settings["store"] = s.dir
    other.write_config()
    done = subprocess.run(other.program(), capture_output=True, text=True, timeout=60)
    check("a second server for the same store is refused", done.returncode == 75 and "posthouse serve:" in done.stderr, done)
    same = Cast(listen_imap=f"{HOST}:{s.port('imap')}")
    done = subprocess.run(same.program(), capture_output=True, text=True, timeout=60)
    check("one at the same port, too", done.returncode == 75 and "in use" in done.stderr, done)
    check("the first one goes on", s.is_whole(), s.tail())
    os.kill(s.process.pid, signal.SIGKILL)
    s.process.wait(10)
    s.start()
    check("after kill -9 of the first process there is a new server at once", s.is_whole(), s.tail())
    test_stop(s)


# ---- systemd ----


def listening(port):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((HOST, port))
    sock.listen(10)
    return sock


def inodes(pid):
    return {os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")}


def test_systemd():
    place = scratch("notify")
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(os.path.join(place, "notify"))
    notify.settimeout(10)

    def heard(wanted):
        try:
            while True:
                got = notify.recv(4096).decode()
                if wanted in got.split("\n"):
                    return True
        except TimeoutError:
            return False

    s = Cast()
    base = free_ports(2)
    doors = [listening(base), listening(base + 1)]

    def hand_over():
        for at, door in enumerate(doors):
            os.dup2(door.fileno(), 100 + at)
        for at in range(len(doors)):
            os.dup2(100 + at, 3 + at)
            os.close(100 + at)

    env = {**os.environ, "NOTIFY_SOCKET": os.path.join(place, "notify"), "WATCHDOG_USEC": "400000", "LISTEN_FDS": "2",
           "LISTEN_FDNAMES": "imap:pop3"}
    def begin():
        with open(s.log_path, "ab") as log:
            s.process = start(["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *s.program()], stdout=log, stderr=log, env=env,
                              close_fds=False, preexec_fn=hand_over)

    begin()
    check("systemd hears that it is ready", heard("READY=1"), s.tail())
    check("and that it lives", heard("WATCHDOG=1") and heard("WATCHDOG=1"))
    if os.getuid() == 0:
        theirs = {os.readlink(f"/proc/self/fd/{d.fileno()}") for d in doors}
        check("all fronts have the sockets handed over", all(theirs <= inodes(p) for p in s.children()["front"]))
        check("the house has none of them", not theirs & inodes(s.children()["house"][0]))
    os.kill(s.process.pid, signal.SIGHUP)
    check("it hears of a reload", heard("RELOADING=1") and heard("READY=1"), s.tail())
    os.kill(s.process.pid, signal.SIGTERM)
    check("and of the end", heard("STOPPING=1"), s.tail())
    equal("it stops cleanly", s.process.wait(15), 0)
    began = time.monotonic()
    waiting = socket.create_connection((HOST, base), 10)  # systemd has the sockets: another warden, another program
    begin()
    waiting.settimeout(20)
    check("who comes while the service is started again is served", waiting.recv(100).startswith(b"* OK"), s.tail())
    print(f"greeted {time.monotonic() - began:.2f} s after the end of the one before", flush=True)
    waiting.close()
    os.kill(s.process.pid, signal.SIGTERM)
    equal("and it stops cleanly again", s.process.wait(15), 0)


def test_user():
    if os.getuid() != 0:
        print("not root: nobody to become")
        return
    s = Cast(user="nobody")
    os.chmod(os.path.dirname(s.dir), 0o755)
    s.start()
    uid = str(pwd.getpwnam("nobody").pw_uid)
    for pid in [s.process.pid] + [p for pids in s.children().values() for p in pids]:
        equal("nobody is root any more", set(status(pid)["Uid"].split("\t")), {uid})
    equal("the store belongs to who keeps it", os.stat(s.dir).st_uid, int(uid))
    test_kill_each(s, 1)
    test_stop(s)
    missing = Cast(user="there-is-no-such-user").start()
    check("a user that is missing is told", missing.logged("event=user_missing"), missing.tail())
    test_stop(missing)


def test_stopped_while_it_starts():
    """systemctl stop does not wait for a start to be over."""
    for pause in (0.05, 0.1, 0.2, 0.3):
        s = Cast()
        with open(s.log_path, "ab") as log:
            s.process = start(s.program(), stdout=log, stderr=log)
        time.sleep(pause)
        os.kill(s.process.pid, signal.SIGTERM)
        equal(f"told to stop {pause} s after its start it ends in order", s.process.wait(15), 0)


def test():
    test_stopped_while_it_starts()
    test_all()
    test_second_server()
    test_systemd()
    test_user()


main(test, 240)
