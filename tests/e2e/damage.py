#!/usr/bin/env python3
"""A damaged store: the message whose octets are damaged answers with an error and the others are read; check, scrub and
check --salvage say what is wrong, keep what is whole with its UIDs, and mend what can be made again."""
import glob
import os
import re

from lib import Server, check, equal, login, main, run, PROGRAM

COUNT = 40


def message(n):
    return b"From: a@example.org\r\nSubject: number %d\r\n\r\n" % n + b"line %d of marker-%d-end\r\n" % (n, n) * (n * 9 + 1)


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        octet = f.read(1)[0]
        f.seek(at)
        f.write(bytes([octet ^ 4]))


def fetched(w):
    """uid -> octets, or None where the server says NO."""
    got = {}
    w.imap("SELECT INBOX")
    for n in range(1, COUNT + 1):
        state, text, lines = w.imap(f"UID FETCH {n} (FLAGS BODY.PEEK[])")
        joined = b"\n".join(lines)
        whole = re.search(rb"BODY\[\] \{(\d+)\}", joined)
        got[n] = joined if state == "OK" and whole else None
    return got


def right(got, but=()):
    return [n for n in range(1, COUNT + 1) if n not in but and (got[n] is None or message(n) not in got[n])]


def salvage(server):
    return run([PROGRAM, "-o", f"store={server.dir}", "check", "--salvage"], 120)


def a_damaged_message(server):
    victim = COUNT // 2
    for path in glob.glob(f"{server.dir}/log/*.seg"):
        with open(path, "rb") as f:
            at = f.read().rfind(b"line %d of marker-%d-end" % (victim, victim))
        if at > 0:
            flip(path, at + 3)
    server.start()
    w = login(server)
    got = fetched(w)
    equal("the damaged message is answered NO", got[victim], None)
    equal("all others are read, octet by octet", right(got, [victim]), [])
    scrub = server.command("scrub")
    check("scrub names it", scrub.code != 0 and f"email {victim}" in scrub.out and "damaged" in scrub.out, scrub)
    busy = salvage(server)
    check("salvage does not touch a store that is served", busy.code != 0, busy)
    server.stop()
    done = salvage(server)
    check("salvage names it and keeps the others", f"{COUNT} messages are kept" in done.out and "damaged" in done.out, done)
    server.start()
    equal("afterwards it is as before", right(fetched(login(server)), [victim]), [])
    server.stop()
    return victim


def a_damaged_index(server, victim):
    """Every page of the tree."""
    index = f"{server.dir}/idx/data.mdb"
    for page in range(2, os.path.getsize(index) // 4096):
        flip(index, page * 4096 + 12)
    done = salvage(server)
    check("salvage makes a damaged index again", done.code == 0 and "made again" in done.out
          and f"{COUNT} messages are kept" in done.out, done)
    server.start()
    w = login(server)
    equal("UIDs and octets are what they were", right(fetched(w), [victim]), [])
    said = b"\n".join(w.imap("SELECT INBOX")[2])
    equal("UIDNEXT too", re.search(rb"UIDNEXT (\d+)", said).group(1), b"%d" % (COUNT + 1))
    sound = server.command("check")
    check("posthouse check finds nothing", sound.code == 0, sound)
    equal("and mail comes in", server.deliver(["u00001@example.com"], message(1))[0][0], 250)
    server.stop()


def test():
    server = Server().start()
    w = login(server)
    for n in range(1, COUNT + 1):
        w.imap(b"APPEND INBOX {%d+}\r\n%s" % (len(message(n)), message(n)))
    server.stop()
    victim = a_damaged_message(server)
    a_damaged_index(server, victim)


main(test, 170)
