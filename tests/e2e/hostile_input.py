#!/usr/bin/env python3
"""The tables of tests/hostile: what broken and hostile peers send to every protocol, and what has to be seen. Behind each row the next
good command is answered, or the connection is closed, as the row says; no bare CR, LF or NUL is sent to anybody; memory stays bounded.

usage: hostile_input.py [PROTOCOL[:TEXT]...]      only these tables, only rows whose name contains the text
"""
import os
import re
import socket
import sys
import time

from lib import HOST, PASSWORD, TOP, Served, Wire, check, main

sys.path.insert(0, os.path.join(TOP, "tests"))
from hostile import imap, lmtp, pop3, ports, smtp  # noqa: E402
from hostile.rows import CLOSES, EITHER, STAYS, Wait  # noqa: E402

TABLES = {"imap": imap.ROWS, "pop3": pop3.ROWS, "smtp": smtp.ROWS, "lmtp": lmtp.ROWS, "ports": ports.ROWS}
RESIDENT_MOST_KIB = 200 * 1024
SECONDS = 10

# How a state is entered: what is sent, what is waited for.
ENTER = {
    "imap": {"new": [], "known": [(b"l LOGIN u00001 secret\r\n", rb"(?m)^l OK")],
             "selected": [(b"l LOGIN u00001 secret\r\nm SELECT INBOX\r\n", rb"(?m)^m OK")]},
    "pop3": {"new": [], "known": [(b"USER u00002\r\nPASS secret\r\n", rb"\+OK.*\n\+OK.*\n")]},
    "smtp": {"new": [], "greeted": [(b"EHLO x.example\r\n", rb"(?m)^250 ")],
             "sender": [(b"EHLO x.example\r\nMAIL FROM:<a@b.example>\r\n", rb"(?m)^250 2")],
             "recipient": [(b"EHLO x.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<u00003@localhost>\r\n", rb"(?m)^250 2.1.5")],
             "data": [(b"EHLO x.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<u00003@localhost>\r\nDATA\r\n", rb"(?m)^354 ")]},
}
ENTER["lmtp"] = {state: [(send.replace(b"EHLO", b"LHLO"), wait) for send, wait in steps] for state, steps in ENTER["smtp"].items()}
ENTER["ports"] = {service: [] for service in ("imap", "imaps", "pop3", "pop3s", "smtp", "lmtp")}
# A command that is good in every state, and its answer, which nothing else gives.
GOOD = {"imap": (b"zz NOOP\r\n", rb"(?m)^zz OK .*\r\n"), "pop3": (b"CAPA\r\n", rb"(?m)^IMPLEMENTATION(.*\r\n)*?\.\r\n"),
        "smtp": (b"HELP\r\n", rb"(?m)^214 .*\r\n"), "lmtp": (b"HELP\r\n", rb"(?m)^214 .*\r\n"), "ports": (b"", rb"$.")}
# Every line of an answer looks like one.
SHAPE = {"smtp": rb"\d\d\d[ -].*", "lmtp": rb"\d\d\d[ -].*"}


class Attempt:
    """One row on a connection of its own, from an address of its own: what failed before is nobody's fault."""
    count = 0

    def __init__(self, s, protocol, row):
        Attempt.count += 1
        self.protocol, self.row, self.got, self.closed = protocol, row, b"", False
        service = row.state if protocol == "ports" else protocol
        source = f"127.{1 + Attempt.count // 250 % 250}.{Attempt.count % 250}.1"
        self.wire = Wire(s.port(service), timeout=SECONDS, service=service, source=source)
        self.began = time.monotonic()

    def receive(self):
        """False at the end."""
        left = self.began + SECONDS - time.monotonic()
        if left <= 0:
            raise socket.timeout()
        self.wire.sock.settimeout(left)
        try:
            more = self.wire.receive()
        except ConnectionError:
            more = b""
        self.wire.buffer = b""
        self.got += more
        self.closed = not more
        return not self.closed

    def until(self, regex):
        while not re.search(regex, self.got):
            if not self.receive():
                return False
        return True

    def send(self, octets):
        """Reads what comes meanwhile: a server may stop reading who does not listen."""
        left = memoryview(octets)
        while left and not self.closed:
            try:
                self.wire.sock.setblocking(False)
                left = left[self.wire.sock.send(left[:65536]):]
            except BlockingIOError:
                self.wire.sock.settimeout(0.01)
                try:
                    more = self.wire.receive()
                    self.wire.buffer = b""
                    self.got += more
                    self.closed = not more
                except socket.timeout:
                    if time.monotonic() > self.began + SECONDS:
                        raise
                except ConnectionError:
                    self.closed = True
            except ConnectionError:
                return

    def half_close(self):
        try:
            self.wire.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def enter(self):
        greets = self.protocol != "ports" or not self.row.state.endswith("s")
        if greets and not self.until(rb"\n"):
            return False
        for send, regex in ENTER[self.protocol][self.row.state]:
            self.send(send)
            if not self.until(regex):
                return False
        self.got = b""
        return True

    def play(self):
        row, (good, answer) = self.row, GOOD[self.protocol]
        steps = row.send if isinstance(row.send, list) else [row.send]
        if self.speaks_tls(steps[0]):
            self.wire.form.feed = lambda octets: None  # alerts are no lines
        for step in steps:
            if isinstance(step, Wait):
                if not self.until(step):
                    return f"{bytes(step)!r} did not come"
            else:
                self.send(step)
        if row.fate == STAYS:
            self.send(good)
            if not self.until(answer):
                return "the next good command was not answered"
        elif row.fate == CLOSES:
            if self.protocol == "ports":
                self.half_close()
            while self.receive():
                pass
        else:
            self.half_close()
            while self.receive():
                pass
        return self.look()

    def speaks_tls(self, first):
        return re.match(rb"(a )?(STARTTLS|STLS)\r\n", first) or self.protocol == "ports" and self.row.state.endswith("s")

    def look(self):
        row = self.row
        if row.see and not re.search(row.see, self.got):
            return f"{row.see!r} was not said"
        if row.never and re.search(row.never, self.got):
            return f"{row.never!r} was said"
        shape = SHAPE.get(self.protocol)
        for line in self.got.split(b"\r\n")[:-1] if shape else []:
            if not re.fullmatch(shape, line):
                return f"no answer of this protocol: {line[:80]!r}"
        return None

    def run(self):
        try:
            if not self.enter():
                return "the state was not reached"
            return self.play()
        except socket.timeout:
            return "the server waits"
        finally:
            self.wire.close()


def shown(octets):
    return octets if len(octets) < 600 else octets[:300] + b" ... " + octets[-300:]


def fill(s):
    m = s.imap()
    for n in range(3):
        m.append("INBOX", None, None, b"Subject: message %d\r\nFrom: a@b.example\r\n\r\ntext %d\r\n" % (n, n))
    m.logout()
    for n in range(3):
        s.deliver(["u00002@localhost"], b"Subject: message %d\r\n\r\n.text %d\r\n..\r\nthe end\r\n" % (n, n))


def wanted(protocol, row):
    rules = [a.partition(":")[::2] for a in sys.argv[1:]]
    return not rules or any(p == protocol and text in row.name for p, text in rules)


def test():
    s = Served(connections_per_address=100, throttle="no")
    s.start()
    for n in range(1, 10):
        s.command("user", "add", f"u{n:05}", input=PASSWORD + "\n")
    fill(s)
    seconds = []
    for protocol, rows in TABLES.items():
        names = [(r.state, r.name) for r in rows]
        check(f"{protocol}: {len(rows)} rows, each with a name of its own", len(set(names)) == len(rows),
              [n for n in names if names.count(n) > 1][:5])
        for row in rows:
            if not wanted(protocol, row):
                continue
            attempt = Attempt(s, protocol, row)
            why = attempt.run()
            seconds.append((time.monotonic() - attempt.began, f"{protocol}, {row.state}: {row.name}"))
            check(f"{protocol}, {row.state}: {row.name}", not why and not attempt.wire.form.end(),
                  f"{why or 'a bare CR, LF or NUL'}: {shown(attempt.got)}")
            if not s.is_alive():
                check("the server is alive", False, s.tail())
                return
        check(f"{protocol}: memory stays bounded", s.resident_kib() < RESIDENT_MOST_KIB, f"{s.resident_kib()} KiB")
    seconds.sort(reverse=True)
    check("no row took long", seconds[0][0] < 5, seconds[:3])
    print(f"       slowest {seconds[:int(os.environ.get('SHOW', '3'))]}, resident {s.resident_kib() >> 10} MiB")
    s.check_end()


main(test, 240)
