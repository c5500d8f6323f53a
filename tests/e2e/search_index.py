#!/usr/bin/env python3
"""The signatures of texts, in the sandbox of the house: a word that no message has is not looked for in the messages; also after a
restart, and where the file was lost."""
import glob
import os
import time

from lib import Server, check, equal, fill, login, main, sample

MAILS, ABSENT = 1000, "zanzibarquux"


def octets_read(s):
    total = 0
    for pid in s.pids():
        with open(f"/proc/{pid}/io") as f:
            total += int(next(line.split()[1] for line in f if line.startswith("rchar")))
    return total


def search(s, w):
    before = octets_read(s)
    state, _, untagged = w.imap(f"SEARCH BODY {ABSENT}")
    equal("no message has it", (state, untagged), ("OK", [b"* SEARCH"]))
    return octets_read(s) - before


def files(s):
    return sum(os.path.getsize(path) for path in glob.glob(os.path.join(s.dir, "search", "*.sig")))


def selected(s):
    w = login(s)
    w.imap("SELECT INBOX")
    return w


def test():
    s = Server().start()
    texts = [sample(n, 150) for n in range(MAILS)]
    octets = sum(map(len, texts))
    fill(s, "u00001", "INBOX", texts)
    w = selected(s)
    first = search(s, w)
    check("messages that arrived are known by their signatures", first < octets / 10, f"{first} of {octets}")
    check("they are kept in a file", files(s) > 64 * MAILS, str(files(s)))
    w.close()
    s.stop()
    s.start()
    again = search(s, selected(s))
    check("also after a restart", again < octets / 10, f"{again} of {octets}")
    s.stop()
    for path in glob.glob(os.path.join(s.dir, "search", "*")):
        os.unlink(path)
    os.rmdir(os.path.join(s.dir, "search"))
    s.start()
    w = selected(s)
    all_read = search(s, w)
    check("without the file all are read", all_read > octets / 2, f"{all_read} of {octets}")
    for _ in range(100):  # it answers first and learns afterwards
        time.sleep(0.1)
        again = search(s, w)
        if again < octets / 10:
            break
    check("and then known again", again < octets / 10, f"{again} of {octets}")
    equal("nothing was the matter", s.log().count("event=search_index"), 0)
    s.check_end()


main(test, 120)
