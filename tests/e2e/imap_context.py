#!/usr/bin/env python3
"""Live results (RFC 5267): a watcher keeps what ADDTO and REMOVEFROM tell it, nothing else, while two others change the mailbox at
random. After every answer its message numbers have to be valid, and when all is told each list has to be what the same search
finds anew, SORT's in its order.

SEED: repeats a run; SECONDS: how long (default 15).
"""
import os
import random
import re
import time

from lib import Server, check, login, main

USER = "u00001"
SECONDS = float(os.environ.get("SECONDS", 15))
FLAGS = ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "Work"]
WORDS = ["apple", "pear", "plum", "grape"]
KEYS = ["UNSEEN", "FLAGGED", "NOT DELETED", "OR SEEN KEYWORD Work", "SUBJECT pear UNDELETED", "NOT (SEEN FLAGGED)", "ALL",
        "BODY plum", "UID 5:* UNSEEN", "1:10 UNFLAGGED", "FUZZY SUBJECT appel", "YOUNGER 100000 ANSWERED", "MODSEQ 30 UNSEEN"]
ORDERS = ["SUBJECT", "REVERSE SUBJECT FROM", "SIZE REVERSE ARRIVAL", "DATE", "REVERSE SIZE SUBJECT"]


def members(text):
    found = []
    for part in text.split(","):
        first, _, last = part.partition(":")
        found += range(int(first), int(last or first) + 1)
    return found


class List:
    """What a client makes of one context."""

    def __init__(self, tag, uid, order, key, results):
        self.tag, self.uid, self.order, self.key, self.results = tag, uid, order, key, results

    def apply(self, name, pairs, uids):
        """uids: of the messages by number, as they are now."""
        for position, text in re.findall(r"(\d+) ([\d:,]+)", pairs):
            position, got = int(position), members(text)
            if not self.uid:
                assert max(got) <= len(uids), f"{self.tag}: there is no message {max(got)} of {len(uids)}"
                got = [uids[n - 1] for n in got]
            if name == "ADDTO" and position:
                self.results[position - 1:position - 1] = got
            elif name == "ADDTO":
                assert not set(got) & set(self.results), f"{self.tag}: {got} twice"
                self.results = sorted(self.results + got, key=None if self.uid else uids.index)
            elif position:
                at = self.results[position - 1:position - 1 + len(got)]
                assert at == got, f"{self.tag}: {got} is not at {position}, but {at}"
                del self.results[position - 1:position - 1 + len(got)]
            else:
                assert set(got) <= set(self.results), f"{self.tag}: {got} is not in it"
                self.results = [uid for uid in self.results if uid not in set(got)]


class Watcher:
    def __init__(self, server, r):
        self.r, self.w, self.lists, self.log, self.count = r, login(server), {}, [], 0
        self.uids, self.unknown = [], 0
        self.do("SELECT INBOX")
        self.uids = self.found(self.do("UID SEARCH ALL")[-1])

    def do(self, command):
        self.count += 1
        tag = f"t{self.count}"
        self.w.send(f"{tag} {command}\r\n".encode())
        self.log.append(f"C: {tag} {command}")
        lines = []
        while True:
            line = self.w.imap_line().decode()
            self.log.append(f"S: {line}")
            self.log = self.log[-400:]
            if line.startswith(tag + " "):
                assert line.split()[1] == "OK", line
                return lines
            self.hear(line)
            lines.append(line)

    def hear(self, line):
        number = re.match(r"\* (\d+) (EXISTS|EXPUNGE)", line)
        if number and number[2] == "EXPUNGE":
            del self.uids[int(number[1]) - 1]
        elif number:
            while len(self.uids) < int(number[1]):
                self.unknown += 1
                self.uids.append(f"?{self.unknown}")  # until its UID is told
        seen = re.match(r"\* (\d+) FETCH \(UID (\d+)", line)
        if seen:
            old, new = self.uids[int(seen[1]) - 1], int(seen[2])
            self.uids[int(seen[1]) - 1] = new
            for mine in self.lists.values():
                mine.results = [new if m == old else m for m in mine.results]
        answer = re.match(r'\* ESEARCH \(TAG "(\w+)"\)(?: UID)?(?: ALL ([\d:,]+))?(?: MODSEQ \d+)?$', line)
        if answer:
            mine = self.lists[answer[1]]
            got = members(answer[2]) if answer[2] else []
            mine.results = got if mine.uid else [self.uids[n - 1] for n in got]
        update = re.match(r'\* ESEARCH \(TAG "(\w+)"\)( UID)? ((?:ADDTO|REMOVEFROM).*)', line)
        if update:
            mine = self.lists[update[1]]
            assert mine.uid == bool(update[2]), line
            for name, pairs in re.findall(r"(ADDTO|REMOVEFROM) \(([^)]*)\)", update[3]):
                mine.apply(name, pairs, self.uids)

    @staticmethod
    def found(line):
        plain = re.match(r"\* (?:SEARCH|SORT)([ \d]*)", line)
        if plain:
            return [int(n) for n in plain[1].split()]
        found = re.search(r" ALL ([\d:,]+)", line)
        return members(found[1]) if found else []

    def learn(self):
        if any(isinstance(u, str) for u in self.uids):
            self.do("FETCH 1:* UID")

    def begin(self):
        uid, order, key = self.r.random() < 0.6, self.r.choice(ORDERS) if self.r.random() < 0.5 else None, self.r.choice(KEYS)
        self.learn()
        tag = f"t{self.count + 1}"
        command = ("UID " if uid else "") + (f"SORT RETURN (UPDATE ALL) ({order}) UTF-8 {key}" if order else
                                             f"SEARCH RETURN (UPDATE ALL) {key}")
        frozen = "1:10" in key
        if frozen:  # numbers mean what they mean now
            key = key.replace("1:10", "UID " + ",".join(str(u) for u in self.uids[:10] or [4000000]))
        self.lists[tag] = List(tag, uid, order, key, [])
        self.do(command)

    def end(self):
        tag = self.r.choice(list(self.lists))
        self.do(f'CANCELUPDATE "{tag}"')
        del self.lists[tag]

    def compare(self):
        """With nobody else at work: NOOP tells all, then each search is asked anew."""
        self.do("NOOP")
        self.learn()
        for mine in self.lists.values():
            command = f"UID SORT ({mine.order}) UTF-8 {mine.key}" if mine.order else f"UID SEARCH {mine.key}"
            lines = self.do(command)
            now = self.found([line for line in lines if line.startswith(("* SEARCH", "* SORT"))][0])
            assert now == mine.results, f"{mine.tag} ({mine.order}, {mine.key}): has {mine.results}, is {now}"


class Other:
    def __init__(self, server, r):
        self.r, self.w, self.n = r, login(server), 0
        self.w.imap("SELECT INBOX")

    def act(self):
        r = self.r
        what = r.random()
        if what < 0.25:
            self.n += 1
            subject = " ".join(r.choice(WORDS) for _ in range(r.choice([1, 2, 3])))
            text = f"From: {r.choice(WORDS)}@example.org\r\nSubject: {subject}\r\n\r\n{r.choice(WORDS)} {'x' * r.randrange(50)}\r\n".encode()
            flags = r.choice(["", "(\\Seen) ", "(\\Flagged Work) "])
            self.w.send(b"a APPEND INBOX %s{%d+}\r\n%s\r\n" % (flags.encode(), len(text), text))
            self.w.imap_answer(b"a")
        elif what < 0.8:
            first = r.randrange(1, 60)
            self.w.imap(f"UID STORE {first}:{first + r.choice([0, 0, 1, 5])} {r.choice('+-')}FLAGS ({r.choice(FLAGS)})")
        elif what < 0.9:
            self.w.imap("EXPUNGE")
        else:
            self.w.imap(r.choice(["NOOP", "UID COPY 1:5 INBOX", "UID MOVE 1:3 Archive"]))


def test():
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    r = random.Random(seed)
    s = Server().start()
    others = [Other(s, r), Other(s, r)]
    for _ in range(60):
        others[0].act()
    watcher, steps = Watcher(s, r), 0
    end = time.monotonic() + SECONDS
    try:
        while time.monotonic() < end:
            for _ in range(r.choice([0, 1, 1, 2, 8])):
                r.choice(others).act()
            what = r.random()
            if what < 0.15 and len(watcher.lists) < 16:
                watcher.begin()
            elif what < 0.2 and watcher.lists:
                watcher.end()
            elif what < 0.3:
                watcher.compare()
            elif what < 0.5 and watcher.uids:
                n = r.randrange(1, len(watcher.uids) + 1)
                watcher.do(f"STORE {n} {r.choice('+-')}FLAGS{r.choice(['', '.SILENT'])} ({r.choice(FLAGS)})")
            else:
                watcher.do(r.choice(["NOOP", "NOOP", "SEARCH ALL", "FETCH 1:* UID", "EXPUNGE"]))
            steps += 1
        watcher.compare()
        check(f"seed {seed}: {steps} steps", True)
    except AssertionError as e:
        check(f"seed {seed}, step {steps}", False, str(e) + "\n" + "\n".join(watcher.log[-25:]))
    check("many steps", steps > 20, steps)
    s.check_end()


main(test, int(SECONDS) + 60)
