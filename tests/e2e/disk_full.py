#!/usr/bin/env python3
"""A disk that is really full, a small file system of its own: new mail is refused with the right words in every protocol, what
makes room still works, and everything works again when there is room, without a restart.

usage: disk_full.py [tmpfs:0 | ext4:200 | xfs:500 | btrfs:500]...   the megabytes of the file system
"""
import os
import poplib
import re
import smtplib
import sys

import lib_disk
from lib import HOST, PASSWORD, Server, check, equal, login, main, scratch, stuffed, wait_for

USER = "u00001"


def message(octets):
    return b"From: a@example.org\r\nSubject: filler\r\n\r\n" + b"as much as fits, and one more line\r\n" * (octets // 36)


def append(w, text):
    return w.imap(b"APPEND INBOX {%d+}\r\n%s" % (len(text), text))


def fill(w):
    """Until it is refused, in smaller and smaller messages: the last answer."""
    state = text = None
    for octets in 3_000_000, 300_000, 30_000, 500:
        for _ in range(4000):
            state, text, _ = append(w, message(octets))
            if state != "OK":
                break
    return state, text


def smtp(server, lmtp):
    with (smtplib.LMTP if lmtp else smtplib.SMTP)(HOST, server.port("lmtp" if lmtp else "smtp"), timeout=20) as c:
        c.ehlo_or_helo_if_needed()
        c.mail("load@example.org")
        code, said = c.rcpt(f"{USER}@example.com")
        if code != 250:
            return code, said
        c.putcmd("data")
        code, said = c.getreply()
        if code != 354:
            return code, said
        c.send(stuffed(message(5000)))
        return c.getreply()


def refused(server, w, where):
    state, text, _ = append(w, message(5000))
    check(f"{where}: APPEND is answered NO with a code", state == "NO" and text.startswith(b"["), f"{state} {text}")
    print(f"       APPEND: {state} {text.decode()}")
    for lmtp in True, False:
        code, said = smtp(server, lmtp)
        check(f"{where}: {'LMTP' if lmtp else 'SMTP'} is answered 452 4.3.1", code == 452 and said.startswith(b"4.3.1"),
              f"{code} {said}")
        print(f"       {'LMTP' if lmtp else 'SMTP'}: {code} {said.decode()}")


def counted(w):
    said = b"\n".join(w.imap("SELECT INBOX")[2])
    return int(re.search(rb"\* (\d+) EXISTS", said).group(1))


def makes_room(server, w, where):
    """Small things, each by two protocols."""
    n = counted(w)
    equal(f"{where}: reading works", w.imap("FETCH 1 BODY.PEEK[]")[0], "OK")
    equal(f"{where}: STORE works", w.imap("STORE 1 +FLAGS (\\Flagged)")[0], "OK")
    equal(f"{where}: STORE \\Deleted works", w.imap(f"STORE 1:{n // 2} +FLAGS.SILENT (\\Deleted)")[0], "OK")
    state, text, _ = w.imap("EXPUNGE")
    check(f"{where}: EXPUNGE works", state == "OK", text)
    equal(f"{where}: half is gone", counted(w), n - n // 2)
    w.imap("CLOSE")
    p = poplib.POP3(HOST, server.port("pop3"), timeout=20)
    p.user(USER)
    p.pass_(PASSWORD)
    p.dele(1)
    check(f"{where}: POP3's QUIT deletes", p.quit().startswith(b"+OK"))
    equal(f"{where}: and one more", counted(w), n - n // 2 - 1)


def works_again(server, w, where):
    def appended():
        return append(w, message(5000))[0] == "OK"

    check(f"{where}: APPEND works again, without a restart", wait_for(appended, 20, 0.2), server.tail())
    equal(f"{where}: LMTP and SMTP too", (smtp(server, True)[0], smtp(server, False)[0]), (250, 250))
    status = server.command("status")
    check(f"{where}: the store takes changes", status.code == 0 and "takes changes" in status.out, status)


def whole_after_a_restart(server, w, where):
    n = counted(w)
    w.close()
    sound = server.command("check")
    check(f"{where}: posthouse check finds nothing", sound.code == 0, sound)
    server.kill()
    server.start()
    w = login(server)
    equal(f"{where}: after kill -9 the same is there", counted(w), n)
    equal(f"{where}: and can be read", w.imap("UID FETCH 1:* BODY.PEEK[]")[0], "OK")
    server.check_end()


def on(at, where, more_room):
    server = Server()
    server.dir = os.path.join(at, "store")
    server.start()
    w = login(server, timeout=60)
    state, text = fill(w)
    check(f"{where}: it gets full", state == "NO", f"{state} {text}")
    refused(server, w, where)
    server.kill()
    server.start()
    w = login(server, timeout=60)
    fill(w)  # what was allocated ahead has been given back
    refused(server, w, where + ", started again")
    makes_room(server, w, where)
    if where != "btrfs":  # there a hole in a file is room only when all that was allocated with it is free
        works_again(server, w, where + ", after an expunge")
    fill(w)
    refused(server, w, where + ", again")
    more_room()
    works_again(server, w, where + ", with more room")
    whole_after_a_restart(server, w, where)


def on_tmpfs():
    at = os.path.join(scratch("tmpfs"), "disk")
    lib_disk.mount("-t", "tmpfs", "-o", "size=72m", "tmpfs", at=at)
    on(at, "tmpfs", lambda: lib_disk.remount("size=160m", at))
    lib_disk.unmount(at)


def on_image(kind, size):
    """The room is given back by removing what somebody else had put there."""
    image = os.path.join(scratch(kind), "disk.img")
    with open(image, "wb") as f:
        f.truncate(size)
    disk = lib_disk.Image(image, kind)
    disk.turn_on()
    ballast = os.path.join(disk.at, "ballast")
    with open(ballast, "wb") as f:
        os.posix_fallocate(f.fileno(), 0, 90 << 20)
    on(disk.at, kind, lambda: os.unlink(ballast))
    disk.turn_off()


def test():
    for kind, size in KINDS or USUAL:
        reason = lib_disk.why_not(kind)
        if reason:
            print(f"skipped: {kind}: {reason}")
            check(f"{kind}: skipped", True)
        elif size:
            on_image(kind, size)
        else:
            on_tmpfs()


USUAL = [("tmpfs", 0), ("ext4", 200 << 20)]
KINDS = [(k, int(s) << 20) for k, s in (a.split(":") for a in sys.argv[1:])]
main(test, 300)
