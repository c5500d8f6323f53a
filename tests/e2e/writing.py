#!/usr/bin/env python3
"""MULTIAPPEND of thousands, over cut connections and a kill -9: all or none, little memory; CATENATE and REPLACE by imaplib."""
import re
import time

from lib import PASSWORD, Served, check, equal, login, main

BODY = b"".join(b"Line %d of a message that is not short.\r\n" % i for i in range(250))


def message(n):
    return b"From: a@example.com\r\nSubject: number %d\r\nMessage-ID: <%d@w>\r\n\r\n" % (n, n) + BODY


def peak_kib(server):
    with open(f"/proc/{server.process.pid}/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1))


def exists(server, mailbox):
    w = login(server, "anna")
    text = w.imap(f"STATUS {mailbox} (MESSAGES UIDNEXT)")[2][0]
    w.close()
    return int(re.search(rb"MESSAGES (\d+)", text).group(1))


def send_many(w, tag, mailbox, first, count, last=b"\r\n"):
    w.send(tag + b" APPEND " + mailbox)
    for n in range(first, first + count):
        m = message(n)
        w.send(b" (\\Seen word%d) {%d+}\r\n" % (n % 7, len(m)) + m)
    w.send(last)


def thousands(server):
    w = login(server, "anna", timeout=120)
    w.imap("CREATE many")
    before = peak_kib(server)
    send_many(w, b"m1", b"many", 0, 3000)
    state, text, _ = w.imap_answer(b"m1")
    equal("3,000 messages in one APPEND", (state, bool(re.match(rb"\[APPENDUID \d+ 1:3000\]", text))), ("OK", True))
    grown = peak_kib(server) - before
    check("30 MB of them need little memory", grown < 16 * 1024, grown)
    equal("they are there", exists(server, "many"), 3000)
    w.imap("SELECT many")
    got = w.imap("UID FETCH 2999 (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[2]
    check("each with its own", any(b"number 2998" in line and b"word2" in line for line in got), got)
    w.imap("UNSELECT")
    w.close()
    w = login(server, "anna", timeout=120)
    w.send(b"m3 APPEND many")
    small = b" {14+}\r\nSubject: x\r\n\r\n"
    w.send(small * 10001 + b"\r\n")
    equal("more than 10,000 are too many", w.imap_answer(b"m3")[:1] + (exists(server, "many"),), ("NO", 3000))
    check("the session goes on", w.imap("NOOP")[0] == "OK")
    w.close()


def cut(server):
    """A connection that breaks in the middle, and a server that does, leave nothing."""
    w = login(server, "anna")
    send_many(w, b"c1", b"many", 5000, 500, b"")
    w.close()
    time.sleep(0.5)
    equal("a cut connection leaves nothing", exists(server, "many"), 3000)
    w = login(server, "anna")
    send_many(w, b"c2", b"many", 5000, 500, b"")
    time.sleep(0.3)
    server.kill()
    server.start()
    equal("a kill -9 leaves nothing", exists(server, "many"), 3000)
    w = login(server, "anna")
    send_many(w, b"c3", b"many", 5000, 300)
    equal("and UIDs go on", re.match(rb"\[APPENDUID \d+ 3001:3300\]", w.imap_answer(b"c3")[1]) is not None, True)
    server.kill()
    server.start()
    equal("what was acknowledged stays", exists(server, "many"), 3300)


def by_imaplib(server):
    m = server.imap("anna")
    m.append("Drafts", r"(\Draft)", None, message(1))
    m.select("Drafts")
    for n in range(2, 30):
        uid = m.uid("SEARCH", "ALL")[1][0].decode()
        m.literal = message(n)
        typ, data = m._simple_command("UID", "REPLACE", uid, "Drafts", r"(\Draft)")
        if typ != "OK":
            check("UID REPLACE by imaplib", False, data)
            return
    equal("one draft is left", m.search(None, "ALL")[1], [b"1"])
    check("the newest", b"number 29" in m.fetch("1", "(BODY.PEEK[HEADER])")[1][0][1])
    m.logout()


def replacing_under_kill(server):
    """Whatever the moment, there is one draft: the old one or the new one."""
    for round_ in range(5):
        w = login(server, "anna")
        w.imap("SELECT Drafts")
        for n in range(40):
            body = message(100 + n)
            w.send(b"r%d REPLACE 1 Drafts {%d+}\r\n" % (n, len(body)) + body + b"\r\n")
        time.sleep(0.004 * (round_ + 1))
        server.kill()
        server.start()
        equal(f"one draft after kill {round_ + 1}", exists(server, "Drafts"), 1)


def test():
    s = Served(undelete=7).start()
    s.command("user", "add", "anna", input=PASSWORD + "\n")
    thousands(s)
    cut(s)
    by_imaplib(s)
    replacing_under_kill(s)
    s.check_end()


main(test, 180)
