#!/usr/bin/env python3
"""Thousands of clients that send half of something, or an octet now and then, on every port; and a good one, whom they must
not disturb. They cost little, and are cut in time.

usage: slow_clients.py [COUNT [SERVICE]]        (make slow N=10000 KIND=imaps; ./test has 1,500 and a shorter time to log in)
"""
import os
import resource
import selectors
import socket
import ssl
import statistics
import sys
import threading
import time

from lib import HOST, Server, check, login, main

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
CAMPAIGN = COUNT > 5000
LOGIN_S = 60 if CAMPAIGN else 12
TLS_S = 10 if CAMPAIGN else 5
GOOD_MS = 50      # the word; one in twenty may be later on a machine that is busy with other things
EACH_KIB = 40


def hello_half():
    """The first half of a real ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    tls = context.wrap_bio(incoming, outgoing)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    octets = outgoing.read()
    return octets[: len(octets) // 2]


HALF = hello_half()
# service, what it sends at once, what an octet at a time; seconds until it is cut
KINDS = [
    ("imap", b"a LOGIN u0000", b"1 secret" * 20, LOGIN_S),
    ("imap", b"", b"a" * 200, LOGIN_S),
    ("imap", b"a LOGIN {4}\r\nu0", b"x" * 200, LOGIN_S),
    ("imaps", HALF, b"", TLS_S),
    ("imaps", b"", b"", TLS_S),
    ("pop3", b"USER u0", b"0" * 200, LOGIN_S),
    ("pop3s", HALF, b"", TLS_S),
    ("lmtp", b"LHLO a", b"b" * 200, LOGIN_S),
    ("smtp", b"MAIL FROM:<", b"c" * 200, LOGIN_S),
]

KINDS = [k for k in KINDS if k[0] in sys.argv[2:3]] or KINDS


class Slow:
    """One of them."""

    def __init__(self, server, kind):
        self.service, self.at_once, self.later, self.cut_s = kind
        self.ended = None
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.connect_ex((HOST, server.port(self.service)))
        self.began = time.monotonic()
        self.said = False

    def turn(self, readable):
        try:
            if not self.said:
                self.sock.send(self.at_once)
                self.said = True
            if readable and not self.sock.recv(65536):
                self.ended = time.monotonic()
        except BlockingIOError:
            pass
        except OSError:
            self.ended = time.monotonic()

    def trickle(self):
        try:
            if self.said and self.later:
                self.sock.send(self.later[:1])
                self.later = self.later[1:]
        except BlockingIOError:
            pass
        except OSError:
            self.ended = time.monotonic()


class Crowd(threading.Thread):
    def __init__(self, server, count):
        super().__init__(daemon=True)
        self.waiting = selectors.DefaultSelector()
        self.all, self.server, self.count, self.stop = [], server, count, False

    def come(self):
        while len(self.all) < self.count:
            slow = Slow(self.server, KINDS[len(self.all) % len(KINDS)])
            self.waiting.register(slow.sock, selectors.EVENT_READ, slow)
            self.all.append(slow)
            if len(self.all) % 50 == 0:
                self.look(0.01)

    def look(self, seconds):
        for key, _ in self.waiting.select(seconds):
            self.turn(key.data, True)

    def turn(self, slow, readable):
        slow.turn(readable)
        if slow.ended:
            self.waiting.unregister(slow.sock)
            slow.sock.close()

    def run(self):
        self.come()
        trickled = time.monotonic()
        while not self.stop:
            self.look(0.2)
            for slow in self.all:
                if not slow.said and not slow.ended:
                    self.turn(slow, False)
            if time.monotonic() - trickled > 10:
                trickled = time.monotonic()
                for slow in self.all:
                    if not slow.ended:
                        slow.trickle()


def good_round(server, tls):
    """A client that logs in, looks and leaves: the slowest answer, in ms."""
    slowest, began = 0.0, time.monotonic()
    w = login(server, "u00002", tls=tls)
    for command in ("SELECT INBOX", "NOOP", "NOOP", "LOGOUT"):
        began = time.monotonic()
        w.imap(command)
        slowest = max(slowest, (time.monotonic() - began) * 1000)
    w.close()
    return slowest


def disturbed(server, rounds):
    times = sorted(good_round(server, i % 4 == 0) for i in range(rounds))
    return statistics.median(times), times[int(len(times) * 0.95)], times[-1]


def cuts(crowd):
    """How late each kind was cut, in seconds beyond its time."""
    late = {}
    for slow in crowd.all:
        took = (slow.ended or time.monotonic()) - slow.began
        kind = (slow.service, slow.cut_s)
        late[kind] = max(late.get(kind, 0), took - slow.cut_s)
        if not slow.ended:
            late[kind] = float("inf")
    return late


def test():
    most, hard = max(COUNT + 2000, 4096), resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # ours, and each front's
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, max(most, hard)))
    settings = [f"smtp_recipient_time={LOGIN_S}"]  # they have 5 minutes otherwise: RFC 5321 4.5.3.2.7
    if not CAMPAIGN:
        settings += [f"login_time={LOGIN_S}", f"tls_time={TLS_S}"]
    server = Server(settings=settings).start()
    alone = disturbed(server, 40)
    before = server.resident_kib()
    crowd = Crowd(server, COUNT)
    crowd.start()
    began = time.monotonic()
    while len(crowd.all) < COUNT and time.monotonic() - began < 60:
        time.sleep(0.05)
    among = disturbed(server, 60)
    each = (server.resident_kib() - before) / COUNT
    print(f"good client: median {alone[0]:.1f} ms alone, {among[0]:.1f} ms among {COUNT}, 95 % {among[1]:.1f} ms, slowest "
          f"{among[2]:.1f} ms; {each:.1f} KiB a slow client", flush=True)
    check(f"a good client is answered within {GOOD_MS} ms", among[1] < GOOD_MS, among)
    check(f"a slow client costs at most {EACH_KIB} KiB", each <= EACH_KIB, each)
    while time.monotonic() - began < LOGIN_S + 8:
        time.sleep(0.5)
    crowd.stop = True
    crowd.join(10)
    for (service, seconds), late in sorted(cuts(crowd).items()):
        check(f"{service}: cut after {seconds} s", late < 5, f"{late:.1f} s late")
    for slow in crowd.all:
        slow.sock.close()
    server.check_end()


if __name__ == "__main__":
    main(test, 240)
