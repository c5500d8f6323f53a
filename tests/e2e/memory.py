#!/usr/bin/env python3
"""What large messages and many connections leave behind: little, and not more the second time."""
import re
import time

from lib import Server, check, equal, login, main

MESSAGE = b"Subject: large\r\n\r\n" + (b"x" * 76 + b"\r\n") * (50 * 1024 * 1024 // 78)


def peak(server, what):
    """KiB that the server grew by while this went on, and afterwards."""
    before = server.resident_kib()
    with open(f"/proc/{server.process.pid}/clear_refs", "w") as f:
        f.write("5")
    what()
    with open(f"/proc/{server.process.pid}/status") as f:
        highest = int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1))
    print(f"peak {highest - before:+} KiB, after {server.resident_kib() - before:+} KiB", flush=True)
    return highest - before, server.resident_kib() - before


def large(server):
    m = server.imap()
    m.select()
    for name, what in (("APPEND", lambda: m.append("INBOX", None, None, MESSAGE)),
                       ("LMTP", lambda: server.deliver(["u00001@example.com"], MESSAGE)),
                       ("FETCH", lambda: equal("FETCH gives it all", len(m.fetch("1", "BODY.PEEK[]")[1][0][1]), len(MESSAGE)))):
        most, left = peak(server, what)
        check(f"50 MB by {name} take a few", most < 12 * 1024, most)
        check(f"50 MB by {name} leave nothing", left < 6 * 1024, left)
    m.logout()


def crowd(server, count):
    """IDLE over TLS, then gone."""
    wires = []
    for i in range(count):
        w = login(server, f"u{i % 10 + 1:05}", tls=True)
        w.imap("SELECT INBOX")
        w.send(b"i IDLE\r\n")
        w.line()
        wires.append(w)
    for w in wires:
        w.close()
    time.sleep(3)


def slow(server):
    """They ask for 50 MB and read nothing."""
    wires = [login(server) for _ in range(20)]
    for w in wires:
        w.imap("SELECT INBOX")
        w.send(b"f FETCH 1:* BODY.PEEK[]\r\n")
    time.sleep(1)
    other = login(server)
    began = time.monotonic()
    equal("beside slow readers", other.imap("NOOP")[0], "OK")
    check("at once", time.monotonic() - began < 1)
    for w in wires:
        w.close()


def test():
    s = Server().start()
    large(s)
    most, _ = peak(s, lambda: slow(s))
    check("20 slow readers of 50 MB take a few", most < 20 * 1024, most)
    crowd(s, 600)
    _, left = peak(s, lambda: crowd(s, 600))
    check("a second crowd leaves no more than the first", left < 3 * 1024, left)
    s.check_end()


main(test, 240)
