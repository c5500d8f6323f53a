#!/usr/bin/env python3
"""kill -9 of the server at random moments under mixed load, again and again. What was acknowledged is there exactly once with
its flags, what was expunged stays gone, a UID is never used for two messages, UIDVALIDITY stays.

usage: kill9.py [--kills N] [--seed S]

Each client works on messages of its own, known by a token in their header, in mailboxes it shares with the others. It notes
what it is about to do, then what was acknowledged: at a kill, what was being done may have happened or not, but nothing else.
"""
import argparse
import poplib
import random
import re
import smtplib
import socket
import sys
import threading
import time

from lib import HOST, PASSWORD, Server, check, equal, login, main, stuffed

MAILBOXES = ["INBOX", "Archive", "Copies"]
LIVE_MOST = 60  # of a client; then it expunges more than it appends
GONE = (ConnectionError, socket.timeout, OSError, smtplib.SMTPException, EOFError, poplib.error_proto)


def message(token, size):
    filler = b"".join(b"%06d %s\r\n" % (i, token.encode()) for i in range(size // 24))
    return b"From: load@example.org\r\nSubject: %s\r\nX-Token: %s\r\n\r\n%s" % (token.encode(), token.encode(), filler)


class Copy:
    """One message in one mailbox."""

    def __init__(self, token, mailbox, uid, size):
        self.token, self.mailbox, self.uid, self.size = token, mailbox, uid, size
        self.flags = {}         # keyword -> True, False; None: may be either
        self.must = True        # False: it may be there or not
        self.pair = None        # of a MOVE under way: one of the two is there
        self.present = None     # what the last look said
        self.slot = None        # the client that may change it
        self.delivered = False  # with a header in front that we did not send


class Account:
    """What has to be there. Clients change it only for tokens of their own."""

    def __init__(self, user):
        self.user = user
        self.copies = {}       # token -> [Copy]
        self.gone = set()      # (mailbox, uid) that were acknowledged as expunged
        self.owners = {}       # (mailbox, uid) -> token, of all times
        self.validity = {}
        self.sizes = {}
        self.lock = threading.Lock()


class Client(threading.Thread):
    """Works until the server goes away. `doing` holds what is under way."""

    def __init__(self, server, account, seed, done):
        super().__init__(daemon=True)
        self.server, self.account, self.rng, self.done = server, account, random.Random(seed), done
        self.name = f"{type(self).__name__}{seed}"
        self.error = None

    def run(self):
        try:
            self.work()
        except GONE:
            pass
        except Exception as e:  # noqa: a wrong answer is a finding
            self.error = f"{type(self).__name__}: {e!r}"

    def pause(self):
        time.sleep(self.rng.random() * 0.004)

    def new_token(self):
        token = f"{self.rng.getrandbits(64):016x}"
        self.account.sizes[token] = self.rng.choice([50, 500, 3000, 3000, 20000, 400000 if self.rng.random() < 0.1 else 100])
        return token

    def expect(self, token, mailbox, uid=None, must=True):
        copy = Copy(token, mailbox, uid, len(message(token, self.account.sizes[token])))
        copy.must = must
        with self.account.lock:
            self.account.copies.setdefault(token, []).append(copy)
        return copy


class Imap(Client):
    def work(self):
        w = self.w = login(self.server, self.account.user, timeout=20)
        with self.account.lock:
            self.mine = [c for copies in self.account.copies.values() for c in copies
                         if c.uid and c.must and c.slot == self.slot]
        self.box = None
        while True:
            rich = len(self.mine) > LIVE_MOST
            act = self.rng.choice([self.append, self.append if not rich else self.expunge, self.store, self.copy, self.move,
                                   self.expunge])
            act()
            self.done[0] += 1
            self.pause()

    def pick(self, mailbox=None):
        some = [c for c in self.mine if mailbox is None or c.mailbox == mailbox]
        return self.rng.choice(some) if some else None

    def select(self, mailbox):
        if self.box != mailbox:
            self.ok(self.w.imap(f"SELECT {mailbox}"))
            self.box = mailbox

    @staticmethod
    def ok(answer):
        if answer[0] != "OK":
            raise RuntimeError(f"{answer[0]} {answer[1]}")
        return answer

    def append(self):
        token = self.new_token()
        text = message(token, self.account.sizes[token])
        mailbox = self.rng.choice(MAILBOXES[:2])
        copy = self.expect(token, mailbox, must=False)
        copy.slot = self.slot
        answer = self.ok(self.w.imap(b"APPEND %s ($T) {%d+}\r\n%s" % (mailbox.encode(), len(text), text)))
        copy.uid = int(re.search(rb"APPENDUID \d+ (\d+)", answer[1]).group(1))
        copy.flags["$T"] = True
        copy.must = True
        self.mine.append(copy)

    def store(self):
        copy = self.pick()
        if not copy:
            return
        self.select(copy.mailbox)
        flag = self.rng.choice(["\\Flagged", "\\Seen", "kw1", "kw2"])
        on = self.rng.random() < 0.6
        copy.flags[flag] = None
        self.ok(self.w.imap(f"UID STORE {copy.uid} {'+' if on else '-'}FLAGS{self.rng.choice(['', '.SILENT'])} ({flag})"))
        copy.flags[flag] = on

    def copy(self):
        copy = self.pick()
        if not copy or len(self.mine) > LIVE_MOST:
            return
        self.select(copy.mailbox)
        new = self.expect(copy.token, "Copies", must=False)
        new.slot = self.slot
        new.flags = dict(copy.flags)
        answer = self.ok(self.w.imap(f"UID COPY {copy.uid} Copies"))
        new.uid = int(re.search(rb"COPYUID \d+ \d+ (\d+)", answer[1]).group(1))
        new.must = True
        self.mine.append(new)

    def move(self):
        copy = self.pick()
        if not copy:
            return
        self.select(copy.mailbox)
        target = self.rng.choice([m for m in MAILBOXES if m != copy.mailbox])
        new = self.expect(copy.token, target, must=False)
        new.slot = self.slot
        new.flags = dict(copy.flags)
        copy.must, new.pair, copy.pair = False, copy, new  # one of the two, never both, never none
        answer = self.ok(self.w.imap(f"UID MOVE {copy.uid} {target}"))
        uid = re.search(rb"COPYUID \d+ \d+ (\d+)", b"\n".join(answer[2]) + answer[1])
        with self.account.lock:
            self.account.copies[copy.token].remove(copy)
            self.account.gone.add((copy.mailbox, copy.uid))
        new.uid, new.must, new.pair = int(uid.group(1)), True, None
        self.mine.remove(copy)
        self.mine.append(new)

    def expunge(self):
        copy = self.pick()
        if not copy:
            return
        self.select(copy.mailbox)
        copy.flags["\\Deleted"] = None
        self.ok(self.w.imap(f"UID STORE {copy.uid} +FLAGS.SILENT (\\Deleted)"))
        copy.flags["\\Deleted"] = True
        copy.must = False
        self.ok(self.w.imap(f"UID EXPUNGE {copy.uid}"))
        with self.account.lock:
            self.account.copies[copy.token].remove(copy)
            self.account.gone.add((copy.mailbox, copy.uid))
        self.mine.remove(copy)


class Deliver(Client):
    """LMTP to two accounts at once: an answer for each."""

    def __init__(self, server, accounts, seed, done):
        super().__init__(server, accounts[0], seed, done)
        self.accounts = accounts

    def work(self):
        with smtplib.LMTP(HOST, self.server.port("lmtp"), timeout=20) as c:
            c.ehlo_or_helo_if_needed()
            while True:
                token = self.new_token()
                text = message(token, self.account.sizes[token])
                copies = []
                for account in self.accounts:
                    self.account = account
                    account.sizes[token] = self.accounts[0].sizes[token]
                    copies.append(self.expect(token, "INBOX", must=False))
                    copies[-1].delivered = True
                self.account = self.accounts[0]
                c.mail("load@example.org")
                for account in self.accounts:
                    c.rcpt(f"{account.user}@example.com")
                c.putcmd("data")
                c.getreply()
                c.send(stuffed(text))
                for copy in copies:
                    code, said = c.getreply()
                    if code != 250:
                        raise RuntimeError(f"{code} {said}")
                    copy.must = True
                self.done[0] += 1
                self.pause()


class Pop3(Client):
    """Reads, marks and quits: the marks count when QUIT was acknowledged, all at once."""

    def work(self):
        while True:
            p = poplib.POP3(HOST, self.server.port("pop3"), timeout=20)
            try:
                p.user(self.account.user)
                p.pass_(PASSWORD)
                listed = [int(x.split()[0]) for x in p.list()[1]]
                marked = []
                for n in self.rng.sample(listed, min(len(listed), 5)):
                    text = b"\n".join(p.retr(n)[1])
                    token = re.search(rb"X-Token: (\w+)", text).group(1).decode()
                    p.dele(n)
                    marked.append(token)
                copies = [c for t in marked for c in self.account.copies.get(t, ()) if c.mailbox == "INBOX"]
                for c in copies:
                    c.must = False
                p.quit()
                with self.account.lock:
                    for c in copies:
                        self.account.copies[c.token].remove(c)
                        if c.uid:
                            self.account.gone.add(("INBOX", c.uid))
            finally:
                p.close()
            self.done[0] += 1
            time.sleep(self.rng.random() * 0.05)


# ---- what is there after a restart ----

def read_mailbox(w, account, mailbox, problems):
    """[(token, uid, flags, size)]"""
    state, _, lines = w.imap(f"SELECT {mailbox}")
    if state != "OK":
        problems.append(f"{account.user} {mailbox}: SELECT {state}")
        return []
    said = b"\n".join(lines)
    validity = int(re.search(rb"UIDVALIDITY (\d+)", said).group(1))
    uid_next = int(re.search(rb"UIDNEXT (\d+)", said).group(1))
    if account.validity.setdefault(mailbox, validity) != validity:
        problems.append(f"{account.user} {mailbox}: UIDVALIDITY was {account.validity[mailbox]}, is {validity}")
    found = []
    for line in w.imap("UID FETCH 1:* (UID FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (X-Token)])")[2]:
        uid = re.search(rb"UID (\d+)", line)
        if not uid:
            continue
        token = re.search(rb"X-Token: (\w+)", line)
        flags = set(re.search(rb"FLAGS \(([^)]*)\)", line).group(1).decode().split())
        size = int(re.search(rb"RFC822\.SIZE (\d+)", line).group(1))
        found.append((token.group(1).decode() if token else "?", int(uid.group(1)), flags, size))
    highest = max([u for m, u in [*account.gone, *account.owners] if m == mailbox], default=0)
    if uid_next <= highest:
        problems.append(f"{account.user} {mailbox}: UIDNEXT {uid_next}, but {highest} was used")
    return found


def match(account, mailbox, found, problems):
    where = f"{account.user} {mailbox}"
    there = {}
    for token, uid, flags, size in found:
        owner = account.owners.setdefault((mailbox, uid), token)
        if owner != token:
            problems.append(f"{where}: UID {uid} was {owner}, is {token}")
        if (mailbox, uid) in account.gone:
            problems.append(f"{where}: UID {uid} {token} was expunged and is there again")
        there.setdefault(token, []).append((uid, flags, size))
    for token, copies in account.copies.items():
        expected = [c for c in copies if c.mailbox == mailbox]
        got = there.pop(token, [])
        for c in sorted(expected, key=lambda c: (c.uid is None, not c.must)):
            hit = next((g for g in got if c.uid in (None, g[0])), None)
            if hit:
                got.remove(hit)
                settle(account, c, hit, where, problems)
            elif c.must:
                problems.append(f"{where}: {token} UID {c.uid} was acknowledged and is lost")
            c.present = bool(hit)
        for uid, _, _ in got:
            problems.append(f"{where}: {token} UID {uid} is there once too often")
    for token, hits in there.items():
        problems.append(f"{where}: {token} UIDs {[h[0] for h in hits]}: nobody put it there")


def settle(account, copy, hit, where, problems):
    uid, flags, size = hit
    copy.uid = uid
    if size != copy.size and not (copy.delivered and size > copy.size):
        problems.append(f"{where}: {copy.token} UID {uid} has {size} octets, sent were {copy.size}")
    for flag, on in copy.flags.items():
        if on is not None and on != (flag in flags):
            problems.append(f"{where}: {copy.token} UID {uid}: {flag} should be {'set' if on else 'unset'}: {flags}")
        copy.flags[flag] = flag in flags


def resolve(account, problems):
    """Doubts end: what is there is there, what is not is gone."""
    for token, copies in account.copies.items():
        for c in copies:
            if c.pair in copies and c.present == c.pair.present:
                problems.append(f"{account.user}: a MOVE of {token} left {'both' if c.present else 'none'}")
        for c in list(copies):
            c.must, c.pair = True, None
            if not c.present:
                copies.remove(c)
                if c.uid:
                    account.gone.add((c.mailbox, c.uid))


def bodies(w, account, rng, problems):
    """Some messages octet by octet."""
    for mailbox in MAILBOXES:
        some = [c for copies in account.copies.values() for c in copies if c.mailbox == mailbox]
        some = rng.sample(some, min(4, len(some)))
        w.imap(f"EXAMINE {mailbox}")
        for c in some:
            lines = w.imap(f"UID FETCH {c.uid} (BODY.PEEK[])")[2]
            if message(c.token, account.sizes[c.token]) not in b"".join(lines):
                problems.append(f"{account.user} {mailbox}: UID {c.uid} {c.token} has not the octets that were sent")


def verify(server, accounts, rng):
    problems = []
    for account in accounts:
        w = login(server, account.user, timeout=30)
        for mailbox in MAILBOXES:
            match(account, mailbox, read_mailbox(w, account, mailbox, problems), problems)
        resolve(account, problems)
        bodies(w, account, rng, problems)
        w.imap("LOGOUT")
        w.close()
    return problems


# ---- rounds ----


def clients(server, accounts, seed, done):
    one, two, three = accounts
    made = [Imap(server, one, seed, done), Imap(server, one, seed + 1, done), Imap(server, two, seed + 2, done),
            Imap(server, two, seed + 3, done), Deliver(server, [two, three], seed + 4, done), Pop3(server, three, seed + 5, done)]
    for slot, c in enumerate(made):
        c.slot = slot
    return made


def prepare(server, accounts):
    for account in accounts:
        w = login(server, account.user)
        for mailbox in MAILBOXES[1:]:
            w.imap(f"CREATE {mailbox}")
        w.close()


def rounds(kills, seed):
    rng = random.Random(seed)
    server, accounts = Server(), [Account(f"u0000{n}") for n in (1, 2, 3)]
    server.start()
    prepare(server, accounts)
    slowest, operations, failed, errors = 0.0, 0, [], []
    for n in range(kills):
        done = [0]
        workers = clients(server, accounts, seed * 1_000_000 + n * 100, done)
        for w in workers:
            w.start()
        time.sleep(rng.uniform(0.05, 1.2))
        server.kill()
        for w in workers:
            w.join(30)
        errors += [f"round {n}: {w.error}" for w in workers if w.error]
        operations += done[0]
        began = time.monotonic()
        server.start()
        slowest = max(slowest, time.monotonic() - began)
        problems = verify(server, accounts, rng)
        failed += [f"round {n}: {p}" for p in problems]
        if len(failed) > 20:
            break
    check(f"{kills} kills, {operations} operations, seed {seed}: nothing lost, nothing twice, nothing back", not failed,
          "\n".join(failed[:20]))
    check("no client got a wrong answer", not errors, "\n".join(errors[:20]))
    check("there was work to lose", operations > kills * 20, operations)
    check("a restart takes less than 5 s", slowest < 5, f"{slowest:.1f} s")
    print(f"       slowest restart {slowest:.2f} s; messages at the end: "
          f"{[sum(map(len, a.copies.values())) for a in accounts]}")
    equal("no account is empty", all(any(a.copies.values()) for a in accounts), True)
    server.check_end()


parser = argparse.ArgumentParser()
parser.add_argument("--kills", type=int, default=50)
parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
args = parser.parse_args()
sys.setswitchinterval(0.001)
main(lambda: rounds(args.kills, args.seed), max(175, args.kills * 4))
