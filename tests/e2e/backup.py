#!/usr/bin/env python3
"""posthouse backup and restore: a full backup and three that build on it while clients of IMAP, POP3 and LMTP work; each is
restored and compared with what had been acknowledged, so is a moment between two of them; mail of one account comes back into
the server that serves. Damage, a full disk and an end in the middle are told, and harm nothing.
"""
import glob
import hashlib
import os
import poplib
import random
import re
import subprocess
import threading
import time

from lib import HOST, PASSWORD, PROGRAM, Served, check, end, equal, main, run, scratch, start

USERS = ["anna", "bert", "cleo"]


def message(token, size):
    filler = random.Random(token).randbytes(size // 2).hex()
    return (f"From: load@example.org\r\nSubject: {token}\r\nX-Token: {token}\r\n\r\n".encode() +
            b"".join(filler[i:i + 70].encode() + b"\r\n" for i in range(0, len(filler), 70)))


class Client(threading.Thread):
    """Works on one account. `events`: token -> {"add": (began, acknowledged), "gone": (...), "box": ...}."""

    def __init__(self, server, user, seed):
        super().__init__(daemon=True)
        self.server, self.user, self.random = server, user, random.Random(seed)
        self.events, self.running, self.pause, self.at_rest = {}, True, False, False
        self.count, self.trouble = 0, None

    def timed(self, token, kind, act):
        began = time.monotonic()
        event = self.events.setdefault(token, {})
        event[kind] = (began, None)
        act()
        event[kind] = (began, time.monotonic())

    def add(self, imap):
        self.count += 1
        token = f"{self.user}-{self.count}"
        big = self.random.random() < 0.02
        text = message(token, 1_500_000 if big else self.random.choice([300, 3000, 40000]))
        by_lmtp = self.random.random() < 0.4
        self.events[token] = {"box": "INBOX" if by_lmtp else "Work", "hash": hashlib.sha256(text).hexdigest(), "size": len(text)}
        if by_lmtp:
            self.timed(token, "add", lambda: self.must(self.server.deliver([self.user + "@example.com"], text)[0][0] == 250))
        else:
            self.timed(token, "add", lambda: self.must(imap.append("Work", r"(\Flagged seen-before)", '"01-Feb-2020 10:00:00 +0000"',
                                                                  text)[0] == "OK"))

    def must(self, ok):
        if not ok:
            raise RuntimeError("refused")

    def candidates(self, box):
        return [t for t, e in self.events.items() if e["box"] == box and "gone" not in e]

    def expunge(self, imap):
        tokens = self.candidates("Work")
        if len(tokens) < 5:
            return
        token = self.random.choice(tokens)
        imap.select("Work")
        numbers = imap.search(None, "HEADER", "X-Token", f'"{token}"')[1][0].split()
        exact = [n for n in numbers
                 if re.search(rb"X-Token: (\S+)", imap.fetch(n, "(BODY.PEEK[HEADER.FIELDS (X-TOKEN)])")[1][0][1]).group(1).decode() == token]
        self.timed(token, "gone", lambda: (imap.store(exact[0], "+FLAGS.SILENT", r"(\Deleted)"), self.must(imap.expunge()[0] == "OK")))

    def pop(self):
        p = poplib.POP3(HOST, self.server.port("pop3"))
        p.user(self.user), p.pass_(PASSWORD)
        if p.stat()[0] > 5:
            text = b"\r\n".join(p.top(1, 0)[1])
            token = re.search(rb"X-Token: (\S+)", text).group(1).decode()
            p.dele(1)
            self.timed(token, "gone", p.quit)
        else:
            p.quit()

    def run(self):
        try:
            imap = self.server.imap(self.user)
            imap.create("Work")
            while self.running:
                self.at_rest = self.pause
                if self.pause:
                    time.sleep(0.02)
                    continue
                kind = self.random.random()
                if kind < 0.7:
                    self.add(imap)
                elif kind < 0.9:
                    self.expunge(imap)
                else:
                    self.pop()
            imap.logout()
        except Exception as e:  # told by the test
            self.trouble = repr(e)


def expected(events, began, ended):
    """What must be there, and what may be, in a backup that was made between these two."""
    must, may = {}, {}
    for token, e in events.items():
        added, gone = e.get("add"), e.get("gone")
        if not added or added[0] > ended or (gone and gone[1] and gone[1] < began):
            continue
        sure = added[1] and added[1] < began and (not gone or gone[0] > ended)
        (must if sure else may)[token] = e
    return must, may


def contents(server, user):
    """token -> (mailbox, hash of what was sent, flags, date)."""
    found = {}
    m = server.imap(user)
    for box in ("INBOX", "Work"):
        m.select(box, readonly=True)
        data = [d for d in m.fetch("1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")[1] if isinstance(d, tuple)]
        for head, octets in data:
            token = re.search(rb"X-Token: (\S+)", octets).group(1).decode()
            sent = octets[octets.index(b"From: load@"):]
            if token in found:
                check(f"{token} is there once", False)
            found[token] = (box, hashlib.sha256(sent).hexdigest(), rb"\Flagged" in head, b" 1-Feb-2020 10:" in head)
    m.logout()
    return found


def compare(name, server, ledgers, began, ended):
    wrong = []
    for user, events in ledgers.items():
        must, may = expected(events, began, ended)
        found = contents(server, user)
        wrong += [f"{t} is missing" for t in must if t not in found]
        wrong += [f"{t} is there" for t in found if t not in must and t not in may]
        for token, (box, digest, flagged, dated) in found.items():
            e = events[token]
            if (box, digest) != (e["box"], e["hash"]) or (box == "Work" and not (flagged and dated)):
                wrong.append(f"{token} is not what was sent: {box} {digest == e['hash']} {flagged} {dated} for {e['box']} {e['size']}")
    check(f"{name}: {sum(len(e) for e in ledgers.values())} messages as acknowledged", not wrong, wrong[:5])


def restored(s, backup, name, *rest):
    """A server of its own on what was put back."""
    store = os.path.join(scratch("restored"), "store")
    done = s.command("restore", backup, "--store", store, *rest)
    if not check(f"restore: {name}", done.code == 0 and " 0 findings" in done.out, done):
        return None
    return Served(store=store).start()


def under_load(s, backup):
    """Backups with what was sure at their time; and a moment at rest."""
    clients = [Client(s, u, i) for i, u in enumerate(USERS)]
    for c in clients:
        c.start()
    made, rest = [], None
    for n in range(4):
        time.sleep(2.5)
        began = time.monotonic()
        done = s.command("backup", backup)
        made.append((began, time.monotonic()))
        check(f"backup {n}", done.code == 0 and done.out.startswith("full" if n == 0 else "incremental"), done)
        if n == 1:
            rest = at_rest(clients)
    for c in clients:
        c.running = False
    for c in clients:
        c.join(30)
    equal("the clients worked", [c.trouble for c in clients], [None] * len(clients))
    check("and did something", sum(c.count for c in clients) > 100, sum(c.count for c in clients))
    return made, rest, {c.user: c.events for c in clients}


def at_rest(clients):
    for c in clients:
        c.pause = True
    while not all(c.at_rest for c in clients):
        time.sleep(0.02)
    time.sleep(1.2)
    moment, mono = time.strftime("%Y-%m-%d %H:%M:%S"), time.monotonic()
    time.sleep(1.2)
    for c in clients:
        c.pause = False
    return moment, mono


def moments(backup, s):
    done = s.command("backup", "--list", backup)
    lines = done.out.splitlines()
    check("backup --list", done.code == 0 and len(lines) == 4, done)
    return [line[:19] for line in lines]


def numbers_of(server):
    """UIDVALIDITY, and the EMAILID of mail that comes now."""
    m = server.imap("anna")
    m.select("Work")
    validity = int(m.response("UIDVALIDITY")[1][0])
    m.append("Work", None, None, message("anna-new", 300))
    m.noop()
    last = m.search(None, "ALL")[1][0].split()[-1]
    email = int(re.search(rb"EMAILID \(M\d+-(\d+)\)", m.fetch(last, "(EMAILID)")[1][0]).group(1))
    m.logout()
    return validity, email


def no_number_twice(s, backup):
    """What clients saw after that moment must not name anything else."""
    first = moments(backup, s)[0]
    validity, email = numbers_of(s)
    other = restored(s, backup, "the oldest", "--at", first)
    if other:
        got = numbers_of(other)
        check("a new UIDVALIDITY, EMAILIDs that were never given out", got[0] > validity and got[1] > email, (got, validity, email))
        other.check_end()
    other = restored(s, backup, "--keep-uidvalidity", "--at", first, "--keep-uidvalidity")
    if other:
        equal("the same UIDVALIDITY", numbers_of(other)[0], validity)
        other.check_end()


def whole_stores(s, backup, made, rest, ledgers):
    for n, moment in enumerate(moments(backup, s)):
        other = restored(s, backup, f"backup {n}", "--at", moment)
        if other:
            compare(f"backup {n}", other, ledgers, *made[n])
            other.check_end()
    other = restored(s, backup, "a moment between two backups", "--at", rest[0])
    if other:
        compare("a moment between two backups", other, ledgers, rest[1], rest[1])
        other.check_end()
    no_number_twice(s, backup)
    for bad, code in (("1999-01-01", 66), ("2100-01-01", 66), ("yesterday", 64)):
        done = s.command("restore", backup, "--store", scratch("no") + "/store", "--at", bad)
        check(f"restore --at {bad} is an error", done.code == code and done.err, done)
    done = s.command("restore", backup, "--store", os.path.dirname(backup))
    check("restore into a directory with files is refused", done.code == 73, done)


def numbers(m, box):
    m.select(box, readonly=True)
    return m.search(None, "ALL")[1][0].split()


def into_the_server(s, backup):
    m = s.imap("anna")
    before = contents(s, "anna")
    work = len(numbers(m, "Work"))
    m.select("Work")
    uid, email_id = re.search(rb"UID (\d+) EMAILID \((\S+?)\)", m.fetch("2", "(UID EMAILID)")[1][0]).groups()
    check("a backup of all", s.command("backup", backup).code == 0)
    m.store("1:*", "+FLAGS.SILENT", r"(\Deleted)")
    m.expunge()
    done = s.command("restore", backup, "--account", "anna", "--folder", "Work", "--message", uid.decode())
    check("restore --message UID", done.code == 0 and done.out.startswith("1 messages"), done)
    done = s.command("restore", backup, "--account", "anna", "--message", email_id.decode())
    check("restore --message EMAILID: it is there", done.code == 0 and done.out.startswith("0 messages restored, 1 were"), done)
    done = s.command("restore", backup, "--account", "anna", "--folder", "Work")
    check("restore --folder", done.code == 0 and done.out.startswith(f"{work - 1} messages restored, 1 were"), done)
    equal("with the same octets, flags and dates", contents(s, "anna"), before)
    done = s.command("restore", backup, "--account", "anna")
    check("restore --account again: all are there", done.code == 0 and done.out.startswith("0 messages restored"), done)
    done = s.command("restore", backup, "--account", "anna", "--folder", "Work", "--into", "Back/Then")
    equal("restore --into", len(numbers(m, "Back/Then")), work)
    m.logout()
    for args, code in ((("nobody",), 67), (("anna", "--folder", "Nowhere"), 66), (("anna", "--folder", "Work", "--message", "4000000"), 66),
                       (("anna", "--message", "M9-9"), 66)):
        done = s.command("restore", backup, "--account", *args)
        check(f"restore --account {' '.join(args)} is an error", done.code == code and done.err, done)
    check("a user is removed", s.command("user", "remove", "bert").code == 0)
    done = s.command("restore", backup, "--account", "bert")
    check("restore --account of one who is gone", done.code == 0 and "was made again" in done.out, done)
    s.command("user", "password", "bert", input=PASSWORD + "\n")
    check("all his mail is there", contents(s, "bert") and done.out.splitlines()[-1].startswith(f"{len(contents(s, 'bert'))} messages"), done)
    equal("nothing is left in the backup", glob.glob(backup + "/scratch*"), [])


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        octet = f.read(1)
        f.seek(at)
        f.write(bytes([octet[0] ^ 1]))


def damage(s, backup):
    done = s.command("backup", "--verify", backup)
    check("backup --verify", done.code == 0 and " 0 damaged" in done.out, done)
    for pattern in ("full-000001/log/00000001.seg", "full-000001/gen-000002/index", "full-000001/gen-000001/keeper",
                    "full-000001/gen-000003/manifest", "full-000001/big/*"):
        path = sorted(glob.glob(os.path.join(backup, pattern)))[0]
        flip(path, 200)
        done = s.command("backup", "--verify", backup)
        check(f"damage in {pattern} is found", done.code == 65 and "1 damaged" in done.out, done)
        flip(path, 200)
    path = os.path.join(backup, "full-000001/log/00000001.seg")
    flip(path, 10000)
    done = s.command("backup", backup)
    check("nothing is built on what is damaged", done.code == 74 and "is not what it was" in done.err and "--full" in done.err, done)
    store = os.path.join(scratch("no"), "store")
    done = s.command("restore", backup, "--store", store)
    check("nor restored from it", done.code == 74 and "damaged" in done.err and not os.path.exists(store + "/format"), done)
    done = s.command("backup", backup, "--full")
    check("a full one is good again", done.code == 0 and done.out.startswith("full"), done)
    other = restored(s, backup, "the new full backup")
    if other:
        other.check_end()
    flip(path, 10000)


def stopped(s):
    target = os.path.join(scratch("stopped"), "backup")
    for n in range(6):
        process = start([PROGRAM, "-c", s.config, "backup", target], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.01 * (n + 1))
        end(process)
    done = s.command("backup", target)
    check("a backup after six that were killed", done.code == 0, done)
    check("is whole", s.command("backup", "--verify", target).code == 0)
    s.stop()
    done = s.command("backup", target)
    check("a backup while nobody serves", done.code == 0 and done.out.startswith("incremental"), done)
    s.start()
    done = s.command("backup", target, "--keep", "36500")
    check("--keep keeps", done.code == 0 and "removed" not in done.out, done)


def full_disk(s):
    """A disk of 2 MiB. Only root may mount one."""
    place = scratch("full")
    if os.getuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True).returncode:
        print("note: no small disk can be mounted here")
        return
    try:
        done = s.command("backup", place + "/backup")
        check("a backup to a disk that is full", done.code == 74 and "space" in done.err, done)
        subprocess.run(["mount", "-o", "remount,size=500m", place], check=True)
        done = s.command("backup", place + "/backup")
        check("and when it has room", done.code == 0 and s.command("backup", "--verify", place + "/backup").code == 0, done)
    finally:
        subprocess.run(["umount", "-l", place], capture_output=True)


def test():
    s = Served(throttle="no").start()
    for user in USERS:
        s.command("user", "add", user, input=PASSWORD + "\n")
    backup = os.path.join(scratch("backup"), "posthouse")
    made, rest, ledgers = under_load(s, backup)
    compare("the server itself", s, ledgers, time.monotonic(), time.monotonic())
    whole_stores(s, backup, made, rest, ledgers)
    into_the_server(s, backup)
    damage(s, backup)
    stopped(s)
    full_disk(s)
    s.check_end()


main(test, 240)
