#!/usr/bin/env python3
"""A client pipelines searches of all text and goes away: the server does not go on reading for nobody."""
import os
import random
import time

from lib import Server, check, equal, fill, login, main

MAILS, SEARCHES = 120, 400


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def mail(n):
    r = random.Random(n)
    words = ["".join(r.choice("abcdefghijklmnop") for _ in range(7)) for _ in range(500)]
    lines = [" ".join(r.choice(words) for _ in range(10)) for _ in range(1500)]
    return (f"Subject: m{n}\r\n\r\n" + "\r\n".join(lines) + "\r\n").encode()


def test():
    s = Server().start()
    fill(s, "u00001", "INBOX", (mail(n) for n in range(MAILS)))
    w = login(s)
    w.imap("SELECT INBOX")
    before = time.monotonic()
    state, _, untagged = w.imap('SEARCH BODY "z0"')
    took = time.monotonic() - before
    equal("the text is searched", (state, untagged), ("OK", [b"* SEARCH"]))
    w.send(b"".join(b'c%d UID SEARCH BODY "z%d"\r\n' % (i, i % 10) for i in range(SEARCHES)))
    w.imap_answer(b"c2")
    w.close()
    time.sleep(2 + 2 * took)
    used = processor_seconds(s.process.pid)
    time.sleep(2)
    used = processor_seconds(s.process.pid) - used
    check("nobody is searched for", used < 0.2, f"{used} s of 2 s; one search takes {took} s")
    s.check_end()


main(test, 120)
