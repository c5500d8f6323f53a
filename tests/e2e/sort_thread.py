#!/usr/bin/env python3
"""SEARCH, SORT and THREAD against a slow, obvious reference (lib_reference.py), on mail in many scripts (lib_corpus.py).

usage: tests/e2e/sort_thread.py [--seed N] [--mails N] [--queries N]      a failure prints its seed and what was asked
"""
import argparse
import os
import random
import re
import sys

import lib
import lib_corpus
import lib_reference as ref

CHARSETS = ["utf-8", "utf-8", "utf-8", "us-ascii", "koi8-r", "iso-8859-1", "windows-1251"]


class Differ:
    def __init__(self, seed, mails, wire):
        self.r, self.seed, self.mails, self.wire, self.failures = random.Random(seed), seed, mails, wire, 0
        self.comparator = "i;unicode-casemap"

    def ask(self, command, want):
        """The untagged line of that name is what we want."""
        state, text, untagged = self.wire.imap(command)
        name = want.split(b" ")[1]
        got = [line for line in untagged if line.split(b" ")[1:2] == [name]]
        if state == "OK" and got == [want]:
            return
        self.failures += 1
        if self.failures < 5:
            shown = command.decode("utf-8", "backslashreplace")
            got = (b" | ".join(got) or text)[:1500].decode(errors="replace")
            lib.check(f"seed {self.seed}, {self.comparator}: {shown}", False, f"{state} got {got}\nwant {want[:1500].decode()}")

    def charset(self):
        """THREAD and SORT name one; the strings are in it."""
        return self.r.choice(CHARSETS)

    def query(self, charset):
        asker = ref.Asker(self.mails, self.r, self.comparator, charset)
        query = asker.key()
        return query, asker.found(query)

    def numbers(self, uid, found):
        return "".join(f" {self.uid(n) if uid else n}" for n in found)

    def uid(self, number):
        return self.uids[number - 1]

    def search(self):
        charset, uid = self.charset(), self.r.choice([b"", b"UID "])
        query, found = self.query(charset)
        self.ask(uid + b"SEARCH CHARSET " + charset.encode() + b" " + query.text, f"* SEARCH{self.numbers(uid, found)}".encode())

    def partial(self):
        """RFC 9394: a range of the results, counted from either end; of SORT in its order (RFC 5267)."""
        charset, uid, r = self.charset(), self.r.choice([b"", b"UID "]), self.r
        query, found = self.query(charset)
        a, b, back = r.randint(1, 40), r.randint(1, 40), r.random() < 0.5
        sign = "-" if back else ""
        command = f"SEARCH RETURN (PARTIAL {sign}{a}:{sign}{b} COUNT) CHARSET {charset} "
        if r.random() < 0.5:
            key = r.choice(list(ref.SORT_KEYS))
            found = ref.sort(self.mails, found, [(key, False)], self.comparator)
            command = f"SORT RETURN (PARTIAL {sign}{a}:{sign}{b} COUNT) ({key}) {charset} "
        low, high = min(a, b), max(a, b)
        part = found[max(len(found) - high, 0):len(found) - low + 1] if back else found[low - 1:high]
        part = part if len(found) >= low else []
        tag = f"w{self.wire.tags + 1}"
        told = ref.as_set([self.uid(n) if uid else n for n in part]) or "NIL"
        self.ask(uid + command.encode() + query.text, f'* ESEARCH (TAG "{tag}"){" UID" if uid else ""} '
                 f"PARTIAL ({sign}{min(a, b)}:{sign}{max(a, b)} {told}) COUNT {len(found)}".encode())

    def sort(self):
        charset, uid = self.charset(), self.r.choice([b"", b"UID "])
        query, found = self.query(charset)
        criteria = [(self.r.choice(list(ref.SORT_KEYS)), self.r.random() < 0.3) for _ in range(self.r.choice([1, 1, 2, 3]))]
        text = " ".join(("REVERSE " if reverse else "") + key for key, reverse in criteria)
        found = ref.sort(self.mails, found, criteria, self.comparator)
        self.ask(uid + f"SORT ({text}) {charset} ".encode() + query.text, f"* SORT{self.numbers(uid, found)}".encode())

    def thread(self):
        charset, uid = self.charset(), self.r.choice([b"", b"UID "])
        query, found = self.query(charset) if self.r.random() < 0.8 else (ref.Query(b"ALL", None), range(1, len(self.mails) + 1))
        algorithm = self.r.choice(["REFERENCES", "REFERENCES", "REFS", "ORDEREDSUBJECT"])
        threads = ref.Threader(self.mails, list(found), self.comparator).threads(algorithm)
        text = ref.written(threads, lambda n: str(self.uid(n) if uid else n))
        self.ask(uid + f"THREAD {algorithm} {charset} ".encode() + query.text, f"* THREAD {text}".rstrip().encode())

    # ---- live results, RFC 5267 4.3 ----

    @staticmethod
    def members(sequence_set):
        """In the order in which they are written."""
        for part in sequence_set.split(","):
            first, _, last = part.partition(":")
            yield from range(int(first), int(last or first) + 1)

    def apply(self, live, untagged):
        """What a client makes of ADDTO and REMOVEFROM."""
        for line in untagged:
            if not line.startswith(b"* ESEARCH"):
                continue
            for what, pairs in re.findall(r"(ADDTO|REMOVEFROM) \(([^)]*)\)", line.decode()):
                words = pairs.split()
                for position, some in zip(words[::2], words[1::2]):
                    at, uids = int(position) - 1, list(self.members(some))
                    if what == "ADDTO":
                        live[at:at] = uids
                    elif live[at:at + len(uids)] == uids:
                        del live[at:at + len(uids)]
                    else:
                        raise ValueError(f"{line} of {live}")
        return live

    def live(self, other, rounds):
        """A sorted result that is told of changes: it is always what a new SORT would say."""
        criteria = [(self.r.choice(list(ref.SORT_KEYS)), self.r.random() < 0.4) for _ in range(self.r.choice([1, 2]))]
        text = " ".join(("REVERSE " if reverse else "") + key for key, reverse in criteria)
        found = [n for n, m in enumerate(self.mails, 1) if "\\Flagged" not in m.flags]
        self.wire.imap(f"UID SORT RETURN (UPDATE COUNT) ({text}) UTF-8 UNFLAGGED")
        live = [self.uid(n) for n in ref.sort(self.mails, found, criteria, self.comparator)]
        for _ in range(rounds):
            some = self.r.sample(range(1, len(self.mails) + 1), self.r.choice([1, 1, 5, 60]))
            sign = self.r.choice("+-")
            other.imap(f"UID STORE {','.join(str(self.uid(n)) for n in some)} {sign}FLAGS.SILENT (\\Flagged)")
            for n in some:
                (self.mails[n - 1].flags.add if sign == "+" else self.mails[n - 1].flags.discard)("\\Flagged")
            _, _, untagged = self.wire.imap("NOOP")
            live = self.apply(live, untagged)
            found = [n for n, m in enumerate(self.mails, 1) if "\\Flagged" not in m.flags]
            want = [self.uid(n) for n in ref.sort(self.mails, found, criteria, self.comparator)]
            if not lib.check(f"seed {self.seed}, {self.comparator}: live SORT ({text})", live == want, f"{live}\nwant {want}"):
                break
        self.wire.imap(f'CANCELUPDATE "w{self.wire.tags - rounds}"')

    def run(self, queries):
        _, _, untagged = self.wire.imap("UID SEARCH ALL")
        self.uids = [int(n) for n in untagged[0].split()[2:]]
        for i in range(queries):
            if i % 40 == 39:
                self.comparator = self.r.choice(["", "-"]) + self.r.choice(list(ref.COMPARATORS))
                self.wire.imap(f"COMPARATOR {self.comparator}")
            self.r.choice([self.search, self.search, self.partial, self.sort, self.sort, self.thread])()
        return self.failures


def one(server, seed, user, mails, queries):
    mails = lib_corpus.corpus(seed, mails)
    wire = lib.login(server, user)
    lib_corpus.append_all(wire, "INBOX", mails)
    # A few go, so that numbers and UIDs differ.
    wire.imap("SELECT INBOX")
    for n in sorted(random.Random(seed).sample(range(1, len(mails) + 1), 7), reverse=True):
        wire.imap(f"UID STORE {n} +FLAGS (\\Deleted)")
        wire.imap(f"UID EXPUNGE {n}")
        del mails[n - 1]
    differ = Differ(seed, mails, wire)
    other = lib.login(server, user)
    other.imap("SELECT INBOX")
    lib.equal(f"{queries} queries about {len(mails)} mails, seed {seed}: differences", differ.run(queries), 0)
    for _ in range(5):
        differ.live(other, 6)
    other.close()
    wire.close()


def test():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--mails", type=int, default=250)
    parser.add_argument("--queries", type=int, default=400)
    options = parser.parse_args()
    server = lib.Server(accounts=10).start()
    for i, seed in enumerate([1, 2, options.seed]):
        one(server, seed, f"u{i + 1:05}", options.mails, options.queries)
    server.check_end()


if __name__ == "__main__":
    lib.main(test, 300)
