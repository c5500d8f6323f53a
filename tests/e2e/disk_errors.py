#!/usr/bin/env python3
"""Errors of the kernel, put between the server and its disk by strace: what a client is told, what is done after, and what is
there when the server has been started again."""
import glob
import os
import re
import shutil
import signal
import smtplib
import subprocess
import time

import lib
from lib import Server, check, equal, login, main, scratch, wait_for

TEXT = b"From: a@example.org\r\nSubject: s\r\n\r\nhello\r\n"


def pids(server):
    """The server's process, and those it has started."""
    found, todo = [], [server.process.pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        for task in glob.glob(f"/proc/{pid}/task/*/children"):
            with open(task) as f:
                todo += map(int, f.read().split())
    return found


class Strace:
    """with Strace(server, "fdatasync:error=EIO"): those calls go wrong."""

    def __init__(self, server, *inject):
        self.log = os.path.join(scratch("strace"), "log")
        calls = ",".join(sorted({i.split(":")[0] for i in inject}))
        self.command = ["strace", "-f", "-q", "-o", self.log, "-e", f"trace={calls}", "-e", "signal=none"]
        for i in inject:
            self.command += ["-e", f"inject={i}"]
        for pid in pids(server):
            self.command += ["-p", str(pid)]

    def __enter__(self):
        self.process = lib.start(self.command, stderr=subprocess.PIPE)
        wait_for(lambda: os.path.exists(self.log), 10)
        time.sleep(0.3)
        return self

    def __exit__(self, *_):
        lib.end(self.process, signal.SIGINT)

    def calls(self):
        with open(self.log) as f:
            return f.read().splitlines()


def append(w, mailbox="INBOX", text=TEXT):
    return w.imap(b"APPEND %s {%d+}\r\n%s" % (mailbox.encode(), len(text), text))


def deliver(server):
    try:
        return server.deliver(["u00001@example.com"], TEXT)[0]
    except (smtplib.SMTPException, OSError) as e:
        return (0, str(e).encode())


def exists(w, mailbox="INBOX"):
    said = b"\n".join(w.imap(f"EXAMINE {mailbox}")[2])
    return int(re.search(rb"\* (\d+) EXISTS", said).group(1))


def begin(count=5, alone="yes"):
    # strace changes the number of a call that it lets fail, and a sandbox refuses what has no name.
    server = Server(settings=["sandbox=no", f"single_process={alone}"]).start()
    w = login(server)
    for _ in range(count):
        append(w)
    return server, w


def goes_on(server, before):
    """By itself, when the house has been started again by its warden; else when we start it again."""
    def works():
        try:
            w = login(server, timeout=5)
            return append(w)[0] == "OK"
        except (OSError, RuntimeError, ConnectionError):
            return False
    by_itself = "the next one recovers" in server.log()
    if not by_itself:
        check("alone, it takes no changes until it is started again", not works())
        server.kill()
        server.start()
    check("then it takes changes" + (" by itself" if by_itself else ""), wait_for(works, 15, 0.3), server.tail())
    w = login(server)
    n = exists(w)
    check("everything acknowledged is there", n >= before, f"{n}, acknowledged {before}")
    sound = server.command("check")
    check("posthouse check finds nothing", sound.code == 0, sound)
    server.stop()


def a_sync_fails(alone="yes"):
    server, w = begin(alone=alone)
    with Strace(server, "fdatasync:error=EIO") as s:
        state, text, _ = append(w)
        check("fdatasync fails: APPEND is answered NO", state == "NO", f"{state} {text}")
        print(f"       APPEND: {state} {text.decode()}")
        try:
            state, text, _ = w.imap("SELECT INBOX")
            if state == "OK":
                equal("fdatasync fails: the mailbox can be read", exists(w), 5)
                w.imap("SELECT INBOX")
                state, text, _ = w.imap("STORE 1 +FLAGS (\\Flagged)")
                check("fdatasync fails: STORE is answered NO", state == "NO", f"{state} {text}")
        except ConnectionError:
            pass  # the house has ended already
        code, said = deliver(server)
        check("fdatasync fails: LMTP is told to come again", 400 <= code < 500 or code == 0, f"{code} {said}")
        print(f"       LMTP: {code} {said.decode()}")
        failed = [c for c in s.calls() if "fdatasync" in c]
        first = re.match(r"(\d+) +fdatasync\((\d+)", failed[0]) if failed else None
        again = [c for c in failed[1:] if first and c.startswith(first.group(1)) and f"fdatasync({first.group(2)})" in c]
        check("a sync that failed is never made again", first and not again, failed[:5])
    check("it is logged", "event=store-trouble" in server.log() and "event=store-broken" in server.log(), server.tail())
    goes_on(server, 5)


def a_sync_fails_among_processes():
    """The house ends and the warden starts the next one."""
    a_sync_fails(alone="no")


def a_write_fails():
    server, w = begin()
    with Strace(server, "pwritev:error=EIO:when=1", "pwritev2:error=EIO:when=1"):
        state, text, _ = append(w)
        check("pwritev fails: APPEND is answered NO", state == "NO", f"{state} {text}")
    goes_on(server, 5)


def no_room():
    """Room for the log is taken ahead: when there is none, new mail waits and small things go on."""
    server, w = begin()
    with Strace(server, "pwritev:error=ENOSPC:when=1", "pwritev2:error=ENOSPC:when=1"):
        state, text, _ = append(w)
        check("pwritev finds no room: APPEND is answered NO", state == "NO", f"{state} {text}")
    goes_on(server, 5)


def interrupted():
    """EINTR every other time costs time and nothing else."""
    server, w = begin()
    injected = ["pwritev", "pwritev2", "pwrite64", "pread64", "preadv2", "fallocate", "ftruncate", "openat"]
    with Strace(server, *(f"{c}:error=EINTR:when=1+2" for c in injected)):
        states = [append(w)[0] for _ in range(10)]
        big = append(w, text=TEXT + b"x" * 76 + b"\r\n" + (b"y" * 76 + b"\r\n") * 30000)
        codes = [deliver(server)[0] for _ in range(3)]
        w.imap("SELECT INBOX")
        states.append(w.imap("FETCH 1:* BODY.PEEK[]")[0])
        states.append(w.imap("STORE 1:3 +FLAGS (\\Deleted)")[0])
        states.append(w.imap("EXPUNGE")[0])
    equal("EINTR: everything works", (set(states), big[0], set(codes)), ({"OK"}, "OK", {250}))
    goes_on_as_before(server, 5 + 10 + 1 + 3 - 3)


def goes_on_as_before(server, count):
    server.kill()
    server.start()
    equal("after a restart: what was acknowledged, and only that", exists(login(server)), count)
    sound = server.command("check")
    check("posthouse check finds nothing", sound.code == 0, sound)
    server.stop()


def test():
    if not shutil.which("strace"):
        print("skipped: no strace here")
        check("skipped", True)
        return
    server = Server().start()
    with Strace(server, "fdatasync:delay_enter=1") as s:
        append(login(server))
        traced = bool(s.calls())
    server.stop()
    if not traced:
        print("skipped: processes cannot be traced here")
        check("skipped", True)
        return
    for part in a_sync_fails, a_sync_fails_among_processes, a_write_fails, no_room, interrupted:
        part()


main(test, 240)
