#!/usr/bin/env python3
"""Those who want too much: readers of large answers who hardly read, connections that come and go, the costliest commands in a
hundred sessions at once, and a machine whose memory is short. A good client is served all the while.

usage: floods.py [READERS [PER_SECOND]]        (make floods N=200 RATE=2000; ./test has 20 and 500)
"""
import os
import signal
import socket
import statistics
import sys
import threading
import time

from lib import HOST, PASSWORD, Served, Wire, check, equal, login, main, wait_for

READERS = int(sys.argv[1]) if len(sys.argv) > 1 else 20
RATE = int(sys.argv[2]) if len(sys.argv) > 2 else 500
PER_ADDRESS = 300
SECONDS = 5
GOOD_MS = 50
MESSAGE = b"Subject: large\r\n\r\n" + (b"x" * 76 + b"\r\n") * (50 * 1024 * 1024 // 78)
EACH_READER_KIB = 1536
WORST = (  # of tests/hostile: what gathers most before it is refused
    [b'LIST "" (' + b"{65000+}\r\n" + (b"x" * 65000 + b" {65000+}\r\n") * 70 + b"x)\r\n"],
    [b"SEARCH " + b"NOT " * 16000 + b"ALL\r\n"],
    [b"SEARCH " + b"OR ALL " * 9000 + b"ALL\r\n"],
    [b"FETCH 1:* (" + b"BODY.PEEK[HEADER.FIELDS (" + b"a " * 30000 + b"b)])\r\n"],
    [b"STORE 1 +FLAGS (" + b"k " * 30000 + b"k)\r\n"],
    [b"SORT (SUBJECT) UTF-8 " + b"TEXT a " * 9000 + b"ALL\r\n"],
    [b"APPEND INBOX {90000000}\r\n"],
    [b"NOTIFY SET " + b"(mailboxes (" + b"a " * 30000 + b"b) (MessageNew))\r\n"],
)
EACH_WORST_KIB = 5 * 1024  # command_memory and what a session is


def good_answer(server, source, user="u00002"):
    """Log in, look, leave: the slowest answer behind the login, in ms."""
    slowest = 0.0
    w = Wire(server.port("imap"), source=source)
    w.line()
    equal_or_raise("OK", w.imap(f"LOGIN {user} {PASSWORD}")[0])
    for command in ("SELECT INBOX", "NOOP", "LOGOUT"):
        began = time.monotonic()
        w.imap(command)
        slowest = max(slowest, (time.monotonic() - began) * 1000)
    w.close()
    return slowest


def equal_or_raise(wanted, got):
    if wanted != got:
        raise RuntimeError(f"{got} instead of {wanted}")


def good_answers(server, what, source="127.0.0.2", rounds=40):
    times = sorted(good_answer(server, source) for _ in range(rounds))
    median, late = statistics.median(times), times[int(len(times) * 0.95)]
    print(f"good client, {what}: median {median:.1f} ms, 95 % {late:.1f} ms, slowest {times[-1]:.1f} ms", flush=True)
    check(f"a good client is answered within {GOOD_MS} ms, {what}", late < GOOD_MS, times[-5:])


class Peak(threading.Thread):
    """The most that all processes held meanwhile, above what they held before, in KiB."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.before, self.most, self.over = server, server.resident_kib(), 0, False

    def run(self):
        while not self.over:
            self.most = max(self.most, self.server.resident_kib() - self.before)
            time.sleep(0.1)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.join()


# ---- readers who hardly read ----


def slow_reader(server):
    """Wants 50 MB, and has a small window."""
    w = login(server)
    w.imap("SELECT INBOX")
    w.send(b"f FETCH 1 BODY.PEEK[]\r\n")
    return w


def slow_readers(server):
    m = server.imap()
    m.append("INBOX", None, None, MESSAGE)
    m.logout()
    with Peak(server) as peak:
        crowd = [slow_reader(server) for _ in range(READERS)]
        stop = threading.Event()

        def sip():
            while not stop.wait(1):
                for w in crowd:
                    w.sock.recv(1024)
        thread = threading.Thread(target=sip, daemon=True)
        thread.start()
        good_answers(server, f"among {READERS} who read 1 KB/s")
        time.sleep(3)
        stop.set()
        thread.join(5)
    each = peak.most / READERS
    print(f"{each:.0f} KiB a slow reader at most, all processes together", flush=True)
    check(f"a slow reader of 50 MB costs at most {EACH_READER_KIB} KiB", each <= EACH_READER_KIB, each)
    for w in crowd:
        w.close()


# ---- connections that come and go ----


def flood(server, stop, count):
    """So many a second, for as long as it takes; those that are let in stay."""
    held, began = [], time.monotonic()
    while not stop.is_set():
        ahead = count[0] / RATE - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(min(ahead, 0.01))
            continue
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex((HOST, server.port("imap")))
        held.append(s)
        count[0] += 1
        if len(held) > 2 * PER_ADDRESS:
            held.pop(0).close()
    for s in held:
        s.close()


def comes_and_goes(server):
    stop, count = threading.Event(), [0]
    with Peak(server) as peak:
        thread = threading.Thread(target=flood, args=(server, stop, count), daemon=True)
        thread.start()
        began = time.monotonic()
        time.sleep(1)
        good_answers(server, f"beside {RATE} connections a second")
        time.sleep(max(0, SECONDS - (time.monotonic() - began)))
        stop.set()
        thread.join(5)
        took = time.monotonic() - began
    refused = server.log().count("limit=connections_per_address")
    print(f"{count[0] / took:.0f} connections a second, {peak.most} KiB more at most", flush=True)
    check("many of them are refused", refused > count[0] / 10, f"{refused} of {count[0]}")
    check("a flood costs at most 64 MiB", peak.most < 64 * 1024, peak.most)


# ---- the costliest commands ----


def costly(server, sessions=100):
    with Peak(server) as peak:
        crowd = [login(server, "u00003", timeout=60) for _ in range(sessions)]
        for i, w in enumerate(crowd):
            w.imap("SELECT INBOX")
            w.sock.settimeout(30)

        def say(w, what):
            try:
                for octets in what:
                    w.send(b"x " + octets)
                line = w.line()
                while line is not None and not line.startswith((b"x ", b"+ ", b"* BYE")):
                    line = w.line()
            except OSError:
                pass  # sent away in the middle of it
        threads = [threading.Thread(target=say, args=(w, WORST[i % len(WORST)]), daemon=True) for i, w in enumerate(crowd)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        check("each of them is answered or sent away", not any(t.is_alive() for t in threads))
    each = peak.most / sessions
    print(f"{each:.0f} KiB a session with the costliest commands", flush=True)
    check(f"the costliest commands gather at most {EACH_WORST_KIB} KiB a session", each <= EACH_WORST_KIB, each)
    good_answers(server, "after the costliest commands")
    for w in crowd:
        w.close()


# ---- memory is short ----


def reload(server, **settings):
    server.settings.update(settings)
    server.write_config()
    before = server.log().count("event=reloaded")
    os.kill(server.process.pid, signal.SIGHUP)
    check("it is reloaded", wait_for(lambda: server.log().count("event=reloaded") > before, 10), server.tail())


def short_of_memory(server):
    """As if the machine had less left than has to stay."""
    old = login(server, "u00002")
    reload(server, memory_reserve="900G")
    check("it is seen", wait_for(lambda: "event=memory_short" in server.log(), 10))
    for service, words in (("imap", b"* BYE [UNAVAILABLE] "), ("pop3", b"-ERR [SYS/TEMP] "), ("smtp", b"421 4.3.2 "), ("lmtp", b"421 4.3.2 ")):
        w = Wire(server.port(service), service=service)
        line = w.line()
        check(f"{service}: who comes now is refused in words", line and line.startswith(words), line)
        equal(f"{service}: and the connection ends", w.line(), None)
        w.close()
    equal("who is there goes on", old.imap("SELECT INBOX")[0], "OK")
    reload(server, memory_reserve="1M")
    check("it has passed", wait_for(lambda: "event=memory_enough" in server.log(), 10))
    good_answer(server, None)
    equal("who was there is still there", old.imap("NOOP")[0], "OK")
    old.close()


def test():
    server = Served(connections_per_address=PER_ADDRESS).start()
    for n in range(1, 4):
        server.command("user", "add", f"u{n:05}", input=PASSWORD + "\n")
    good_answers(server, "alone")
    slow_readers(server)
    costly(server)
    short_of_memory(server)
    comes_and_goes(server)
    server.check_end()


if __name__ == "__main__":
    main(test, 200)
