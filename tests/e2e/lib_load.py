"""Mixed load by IMAP, POP3, LMTP and SMTP that ends when the server goes away or the light goes out, and what has to be there
afterwards. Used by kill9.py and powercut.py.

Each client works on messages of its own, known by a token in their header, in mailboxes it shares with the others. It notes
what it is about to do, then what was acknowledged: at the end, what was being done may have happened or not, but nothing else.
"""
import poplib
import random
import re
import smtplib
import socket
import threading
import time

from lib import HOST, PASSWORD, login, stuffed

MAILBOXES = ["INBOX", "Archive", "Copies"]
LIVE_MOST = 60  # of a client; then it expunges more than it appends


def message(token, size):
    filler = b"".join(b"%06d %s\r\n" % (i, token.encode()) for i in range(size // 24))
    return b"From: load@example.org\r\nSubject: %s\r\nX-Token: %s\r\n\r\n%s" % (token.encode(), token.encode(), filler)


class DarkError(Exception):
    """An answer that came after the light went out: nobody knows whether it counts."""


dark = threading.Event()


GONE = (ConnectionError, socket.timeout, OSError, smtplib.SMTPException, EOFError, poplib.error_proto, DarkError)


def seen(answer):
    if dark.is_set():
        raise DarkError()
    return answer


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
        self.group = None       # of an APPEND of many under way: all of them or none


class Folder:
    """It has one name: this one, or while it is being renamed perhaps the next."""

    def __init__(self, name):
        self.name, self.becomes, self.number, self.validity, self.must = name, None, 0, None, False


class Account:
    """What has to be there. Clients change it only for tokens of their own."""

    def __init__(self, user):
        self.user = user
        self.copies = {}       # token -> [Copy]
        self.gone = set()      # (mailbox, uid) that were acknowledged as expunged
        self.owners = {}       # (mailbox, uid) -> token, of all times
        self.validity = {}
        self.sizes = {}
        self.folders = {}      # slot -> Folder
        self.caches = {}       # mailbox -> Cache, of a client that is mostly offline
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
                                   self.expunge, self.append_many if not rich else self.move, self.rename])
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
        seen(answer)
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

    def append_many(self):
        """RFC 3502: all or none."""
        mailbox, group, wire = self.rng.choice(MAILBOXES[:2]), [], b""
        for _ in range(self.rng.randrange(2, 5)):
            token = self.new_token()
            text = message(token, self.account.sizes[token])
            copy = self.expect(token, mailbox, must=False)
            copy.slot, copy.group = self.slot, group
            group.append(copy)
            wire += b" ($T) {%d+}\r\n%s" % (len(text), text)
        answer = self.ok(self.w.imap(b"APPEND %s%s" % (mailbox.encode(), wire)))
        first, last = re.search(rb"APPENDUID \d+ (\d+):(\d+)", answer[1]).groups()
        if int(last) - int(first) + 1 != len(group):
            raise RuntimeError(f"{answer[1]} for {len(group)} messages")
        for n, copy in enumerate(group):
            copy.uid, copy.must, copy.group = int(first) + n, True, None
            copy.flags["$T"] = True
            self.mine.append(copy)

    def rename(self):
        """A folder of its own, with one message in it that is never touched."""
        folder = self.account.folders.get(self.slot)
        if not folder:
            folder = self.account.folders[self.slot] = Folder(f"R{self.slot}-0")
            self.w.imap(f"CREATE {folder.name}")
            text = message("folder", 50)
            self.ok(self.w.imap(b"APPEND %s {%d+}\r\n%s" % (folder.name.encode(), len(text), text)))
            folder.must = True
        if not folder.must:
            return
        folder.number += 1
        folder.becomes = f"R{self.slot}-{folder.number}"
        self.ok(self.w.imap(f"RENAME {folder.name} {folder.becomes}"))
        folder.name, folder.becomes = folder.becomes, None

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


class Submit(Client):
    """SMTP: one answer for the message."""

    def work(self):
        with smtplib.SMTP(HOST, self.server.port("smtp"), timeout=20) as c:
            c.ehlo_or_helo_if_needed()
            while True:
                token = self.new_token()
                copy = self.expect(token, "INBOX", must=False)
                copy.delivered = True
                seen(c.sendmail("load@example.org", [f"{self.account.user}@example.com"],
                                message(token, self.account.sizes[token])))
                copy.must = True
                self.done[0] += 1
                self.pause()


class Cache:
    """What a QRESYNC client (RFC 7162) knows of a mailbox."""

    def __init__(self):
        self.validity, self.modseq, self.flags = 0, 0, {}


def uids_of(text):
    for part in filter(None, text.split(",")):
        first, _, last = part.partition(":")
        yield from range(int(first), int(last or first) + 1)


def flags_of(line):
    return frozenset(re.search(rb"FLAGS \(([^)]*)\)", line).group(1).decode().split()) - {"\\Recent"}


def resync(w, account, mailbox):
    """SELECT with what is known; (the cache brought up to date, what is wrong)."""
    old, new, problems = account.caches.get(mailbox, Cache()), Cache(), []
    known = f" (QRESYNC ({old.validity} {old.modseq}))" if old.modseq else ""
    state, _, lines = w.imap(f"SELECT {mailbox}{known}")
    if state != "OK":
        raise RuntimeError(f"SELECT {mailbox}: {state}")
    said = b"\n".join(lines)
    new.validity = int(re.search(rb"UIDVALIDITY (\d+)", said).group(1))
    new.modseq = int(re.search(rb"HIGHESTMODSEQ (\d+)", said).group(1))
    new.flags = dict(old.flags)
    if old.modseq > new.modseq:
        problems.append(f"{account.user} {mailbox}: HIGHESTMODSEQ was {old.modseq}, is {new.modseq}")
    for line in lines if known else w.imap("UID FETCH 1:* (FLAGS)")[2]:
        gone = re.match(rb"\* VANISHED (?:\(EARLIER\) )?([\d:,]+)", line)
        for uid in uids_of(gone.group(1).decode()) if gone else ():
            new.flags.pop(uid, None)
        uid = re.search(rb"FETCH \(.*UID (\d+)", line)
        if uid:
            new.flags[int(uid.group(1))] = flags_of(line)
    return new, problems


class Offline(Client):
    """Looks in from time to time, and remembers what it saw."""

    def work(self):
        while True:
            w = login(self.server, self.account.user, timeout=20)
            self.w = w
            w.imap("ENABLE QRESYNC")
            for mailbox in MAILBOXES:
                new, problems = seen(resync(w, self.account, mailbox))
                if problems:
                    raise RuntimeError(problems)
                self.account.caches[mailbox] = new
            w.imap("LOGOUT")
            w.close()
            self.done[0] += 1
            time.sleep(self.rng.random() * 0.2)


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
                    code, said = seen(c.getreply())
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
                seen(p.quit())
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
            if c.group and len({o.present for o in c.group}) > 1:
                problems.append(f"{account.user}: an APPEND of {len(c.group)} left {sum(bool(o.present) for o in c.group)}")
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


def folders(w, account, problems):
    """Each under one name, with its UIDVALIDITY and its message."""
    names = {n.decode() for line in w.imap('LIST "" R*')[2] for n in re.findall(rb"(R\d+-\d+)\"?$", line)}
    for slot, f in account.folders.items():
        mine = {n for n in names if n.startswith(f"R{slot}-")}
        if len(mine) != 1 and f.must or not mine <= {f.name, f.becomes}:
            problems.append(f"{account.user}: folder {f.name} (or {f.becomes}) is {mine}")
        if len(mine) != 1:
            continue
        f.name, f.becomes = mine.pop(), None
        said = b"\n".join(w.imap(f"EXAMINE {f.name}")[2])
        validity, exists = (int(re.search(p, said).group(1)) for p in (rb"UIDVALIDITY (\d+)", rb"\* (\d+) EXISTS"))
        if f.must and exists != 1 or f.validity not in (None, validity):
            problems.append(f"{account.user} {f.name}: {exists} messages, UIDVALIDITY {f.validity}, now {validity}")
        if exists == 1:
            f.validity, f.must = validity, True
    for slot in [slot for slot, f in account.folders.items() if not f.must]:
        w.imap(f"DELETE {account.folders.pop(slot).name}")


def offline(w, account, problems):
    """What an offline client ends with is what is there."""
    w.imap("ENABLE QRESYNC")
    for mailbox in MAILBOXES:
        new, wrong = resync(w, account, mailbox)
        problems += wrong
        there = {}
        for line in w.imap("UID FETCH 1:* (FLAGS)")[2]:
            uid = re.search(rb"UID (\d+)", line)
            if uid:
                there[int(uid.group(1))] = flags_of(line)
        if there != new.flags:
            differ = [(u, there.get(u), new.flags.get(u)) for u in {*there, *new.flags} if there.get(u) != new.flags.get(u)]
            problems.append(f"{account.user} {mailbox}: an offline client differs: {differ[:3]}")
        account.caches[mailbox] = new


def verify(server, accounts, rng):
    problems = []
    for account in accounts:
        w = login(server, account.user, timeout=30)
        for mailbox in MAILBOXES:
            match(account, mailbox, read_mailbox(w, account, mailbox, problems), problems)
        resolve(account, problems)
        bodies(w, account, rng, problems)
        folders(w, account, problems)
        offline(w, account, problems)
        w.imap("LOGOUT")
        w.close()
    return problems


# ---- rounds ----


def clients(server, accounts, seed, done):
    one, two, three = accounts
    made = [Imap(server, one, seed, done), Imap(server, one, seed + 1, done), Imap(server, two, seed + 2, done),
            Imap(server, two, seed + 3, done), Deliver(server, [two, three], seed + 4, done), Pop3(server, three, seed + 5, done),
            Submit(server, three, seed + 6, done), Offline(server, one, seed + 7, done), Offline(server, three, seed + 8, done)]
    for slot, c in enumerate(made):
        c.slot = slot
    return made


def prepare(server, accounts):
    for account in accounts:
        w = login(server, account.user)
        for mailbox in MAILBOXES[1:]:
            w.imap(f"CREATE {mailbox}")
        w.close()


def under_load(server, accounts, seed, seconds, end):
    """Clients work so long; then end() is called, which takes the server away. (operations, wrong answers)"""
    done = [0]
    dark.clear()
    workers = clients(server, accounts, seed, done)
    for w in workers:
        w.start()
    time.sleep(seconds)
    end()
    for w in workers:
        w.join(30)
    return done[0], [w.error for w in workers if w.error]
