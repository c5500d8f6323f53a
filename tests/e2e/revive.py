#!/usr/bin/env python3
"""kill -9 of house, keeper, runner and fronts, reload and upgrade, while clients of every kind are there: who is at rest carries on
and hears all that happens exactly once; what is under way gets a whole answer or none; what was acknowledged is there.

usage: revive.py [--rounds N]   (kills of the house with all kinds of sessions there; 6)"""
import argparse
import os
import re
import signal
import statistics
import subprocess
import threading
import time
import zlib

from lib import (HOST, PASSWORD, Server, Wire, check, equal, fill, main, sample, stuffed, wait_for)

GAP_MOST = 0.2
FLAGS = re.compile(rb"FLAGS \(([^)]*)\)")
UID = re.compile(rb"UID (\d+)")


class Client(Wire):
    """A connection that can deflate."""
    packer = unpacker = None

    def deflate(self):
        state, text, _ = self.imap("COMPRESS DEFLATE")
        if state != "OK":
            raise RuntimeError(text)
        self.packer, self.unpacker = zlib.compressobj(6, zlib.DEFLATED, -15), zlib.decompressobj(-15)

    def send(self, octets):
        if self.packer:
            octets = self.packer.compress(octets) + self.packer.flush(zlib.Z_SYNC_FLUSH)
        super().send(octets)

    def receive(self):
        more = self.sock.recv(65536)
        plain = self.unpacker.decompress(more) if self.unpacker else more
        self.buffer += plain
        self.form.feed(plain)
        return more


def flags_of(words):
    return frozenset(w.lower() for w in words.split() if w.lower() != b"\\recent")


class Session:
    """An IMAP session and what it has been told: the messages it knows by number, and their flags."""

    def __init__(self, server, name, user="u00001", mailbox="INBOX", how="SELECT", enable="", tls=False, deflate=False,
                 idle=False, notify=False):
        self.name, self.idle, self.wrong = name, idle, []
        self.uidonly = "UIDONLY" in enable
        self.w = Client(server.port("imaps" if tls else "imap"), tls)
        self.w.line()
        self.run(f"LOGIN {user} {PASSWORD}")
        if deflate:
            self.w.deflate()
        if enable:
            self.run(f"ENABLE {enable}")
        self.uids, self.flags, self.told = [], {}, []
        self.exists = 0
        if notify:
            self.run("NOTIFY SET (SELECTED (MessageNew (UID FLAGS) MessageExpunge FlagChange))")
        self.pushed = idle or notify
        self.mailbox = mailbox.rpartition("/")[2] if mailbox else None
        if mailbox:
            self.run(f'{how} "{mailbox}"')
            self.learn()
        self.has_mailbox = bool(mailbox)
        self.told = []
        if idle:
            self.start_idle()

    def start_idle(self):
        self.w.tags += 1
        self.idle_tag = b"w%d" % self.w.tags
        self.w.send(self.idle_tag + b" IDLE\r\n")
        line = self.w.line()
        while line is not None and not line.startswith(b"+"):
            self.hear(line)
            line = self.w.line()
        if line is None:
            raise ConnectionError(f"{self.name}: closed in IDLE")

    def end_idle(self):
        self.w.send(b"DONE\r\n")
        state, text, lines = self.w.imap_answer(self.idle_tag)
        for line in lines:
            self.hear(line)
        return state

    def run(self, command):
        state, text, lines = self.w.imap(command)
        if state != "OK":
            raise RuntimeError(f"{self.name}: {command}: {state} {text}")
        for line in lines:
            self.hear(line)
        return lines

    def learn(self):
        found = self.run("UID SEARCH ALL")
        self.uids = search_result(found)
        self.exists = len(self.uids)
        for line in self.run("UID FETCH 1:* (FLAGS)"):
            uid, flags = UID.search(line) or re.match(rb"\* (\d+) UIDFETCH", line), FLAGS.search(line)
            if uid and flags:
                self.flags[int(uid.group(1))] = flags_of(flags.group(1))

    def hear(self, line):
        """Untagged responses change what the client knows, as RFC 9051 7 says."""
        if not hasattr(self, "uids"):
            return
        number = re.match(rb"\* (\d+) (EXISTS|EXPUNGE|FETCH|UIDFETCH)", line)
        vanished = re.match(rb"\* VANISHED ([\d:,]+)", line)
        if line.startswith(b"* BYE"):
            raise ConnectionError(f"{self.name}: {line}")
        if vanished:
            for uid in expand(vanished.group(1)):
                if uid in self.uids:
                    self.uids.remove(uid)
                    self.told.append(("gone", uid))
                elif None in self.uids:
                    self.uids.remove(None)
                else:
                    self.wrong.append(line)
            return
        if not number:
            return
        n, what = int(number.group(1)), number.group(2)
        if what == b"EXISTS":
            if n <= len(self.uids) and self.exists == n and self.has_mailbox:
                self.wrong.append(line)
            if n < len(self.uids):
                self.wrong.append(line)
            self.exists = n
            self.uids += [None] * (n - len(self.uids))
        elif what == b"EXPUNGE":
            if not 1 <= n <= len(self.uids):
                self.wrong.append(line)
                return
            self.told.append(("gone", self.uids.pop(n - 1)))
            self.exists = len(self.uids)
        else:
            uid, flags = UID.search(line), FLAGS.search(line)
            uid = n if what == b"UIDFETCH" else int(uid.group(1)) if uid else None
            if what == b"FETCH":
                if not 1 <= n <= len(self.uids):
                    self.wrong.append(line)
                    return
                known = self.uids[n - 1]
                if uid and known is None:
                    self.uids[n - 1] = uid
                elif uid and known != uid:
                    self.wrong.append(line)
                uid = uid or known
            if flags and uid:
                self.flags[uid] = flags_of(flags.group(1))
                self.told.append(("flags", uid))

    has_mailbox = False

    def drain(self, done, seconds=10):
        """Hears what comes by itself until that is true."""
        deadline = time.monotonic() + seconds
        while not done() and time.monotonic() < deadline:
            self.w.sock.settimeout(max(0.05, deadline - time.monotonic()))
            try:
                line = self.w.imap_line()
            except TimeoutError:
                break
            if line is None:
                raise ConnectionError(f"{self.name}: closed")
            self.hear(line)
        self.w.sock.settimeout(30)
        return done()

    def compare(self, when, truth):
        """The session knows the mailbox as it is: no message more, none less, none at another's place."""
        name = f"{when}: {self.name}"
        if self.idle:
            equal(f"{name}: IDLE ends", self.end_idle(), "OK")
        self.run("NOOP")
        if not self.has_mailbox:
            return
        found = search_result(self.run("UID SEARCH ALL"))
        known, uids = self.uids, sorted(truth)
        fits = len(known) == len(found) and all(k is None or k == f for k, f in zip(known, found))
        check(f"{name}: the numbers fit", fits and found == uids, (known, found, uids))
        self.uids = found
        new = {u for k, u in zip(known, found) if k is None}
        wrong = {u: (self.flags.get(u), truth[u]) for u in truth if u not in new and self.flags.get(u) != truth[u]}
        check(f"{name}: the flags are told", not wrong, wrong)
        twice = {t for t in self.told if self.told.count(t) > 1}
        check(f"{name}: nothing is told twice", not twice, self.told)
        check(f"{name}: nothing is told that cannot be", not self.wrong, self.wrong)
        self.learn()
        self.told, self.wrong = [], []
        if self.idle:
            self.start_idle()


def expand(ranges):
    out = []
    for part in ranges.split(b","):
        a, _, b = part.partition(b":")
        out += range(int(a), int(b or a) + 1)
    return out


def search_result(lines):
    for line in lines:
        if line.startswith(b"* SEARCH"):
            return [int(n) for n in line.split()[2:] if n.isdigit()]
        found = re.search(rb"^\* ESEARCH .*ALL ([\d:,]+)", line)
        if found:
            return expand(found.group(1))
    return []


class House(Server):
    """The demo; its roles can be killed, and are back."""

    def kill_role(self, role, which=0):
        pid = self.role(role)[which]
        os.kill(pid, signal.SIGKILL)
        return pid

    def await_role(self, role, before, seconds=15):
        def other():
            now = self.role(role)
            return now and before not in now
        return check(f"another {role} comes", wait_for(other, seconds, 0.01), self.tail())

    def truth(self, mailbox, user="u00001"):
        w = self.wire("imap")
        w.line()
        w.imap(f"LOGIN {user} {PASSWORD}")
        w.imap(f"EXAMINE {mailbox}")
        _, _, lines = w.imap("UID FETCH 1:* (FLAGS)")
        w.imap("LOGOUT")
        w.close()
        return {int(UID.search(l).group(1)): flags_of(FLAGS.search(l).group(1)) for l in lines if FLAGS.search(l) and b"FETCH" in l}


def deliver(s, n):
    [(code, text)] = s.deliver(["u00001@example.com"], sample(n))
    if code != 250:
        raise RuntimeError(text)


# ---- sessions at rest of all kinds ----

KINDS = [("logged in", dict(mailbox=None)), ("selected", {}), ("EXAMINE", dict(how="EXAMINE")), ("IDLE", dict(idle=True)),
         ("NOTIFY", dict(notify=True)), ("QRESYNC", dict(enable="QRESYNC")), ("QRESYNC and IDLE", dict(enable="QRESYNC", idle=True)),
         ("UIDONLY", dict(enable="UIDONLY")), ("UTF8", dict(enable="UTF8=ACCEPT")), ("IMAP4rev2", dict(enable="IMAP4rev2")),
         ("TLS", dict(tls=True)), ("TLS and IDLE", dict(tls=True, idle=True)), ("COMPRESS", dict(deflate=True)),
         ("COMPRESS and IDLE", dict(deflate=True, idle=True)), ("TLS, COMPRESS, QRESYNC", dict(tls=True, deflate=True, enable="QRESYNC")),
         ("a shared mailbox", dict(user="u00002", mailbox="Shared/u00001/Team")),
         ("a shared mailbox, IDLE", dict(user="u00002", mailbox="Shared/u00001/Team", idle=True))]


class Others:
    """Who is not in a mailbox: POP3 in TRANSACTION with marks, LMTP between two messages, strangers before and in a login."""

    def __init__(self, s):
        self.s = s
        self.pop = s.wire("pop3")
        self.pop.line()
        self.say(self.pop, "USER u00003"), self.say(self.pop, f"PASS {PASSWORD}")
        self.count = int(self.say(self.pop, "STAT").split()[1])
        self.say(self.pop, "DELE 1"), self.say(self.pop, "DELE 3")
        self.marked = 2
        self.lmtp = s.wire("lmtp")
        self.lmtp.line()
        self.say_lmtp("LHLO client.example.org")
        self.strangers = []
        for tls in (False, True):
            w = s.wire("imaps" if tls else "imap", tls)
            w.line()
            self.strangers.append(w)
        self.mid = s.wire("imap")
        self.mid.line()
        self.mid.send(b"m AUTHENTICATE PLAIN\r\n")
        self.mid.line()
        self.pop_mid = s.wire("pop3")
        self.pop_mid.line()
        self.say(self.pop_mid, "USER u00004")

    @staticmethod
    def say(w, command):
        w.send(command.encode() + b"\r\n")
        return w.line()

    def say_lmtp(self, command):
        self.lmtp.send(command.encode() + b"\r\n")
        line = self.lmtp.line()
        while line and line[3:4] == b"-":
            line = self.lmtp.line()
        return line

    def compare(self, when):
        line = self.say(self.pop, "STAT")
        check(f"{when}: POP3 knows its marks", line and int(line.split()[1]) == self.count - self.marked, line)
        equal(f"{when}: POP3: one is marked", (self.say(self.pop, "LIST 3") or b"")[:4], b"-ERR")
        line = self.say(self.pop, "NOOP")
        check(f"{when}: POP3 goes on", line and line.startswith(b"+OK"), line)
        second = self.s.wire("pop3")
        second.line()
        self.say(second, "USER u00003")
        line = self.say(second, f"PASS {PASSWORD}")
        check(f"{when}: the maildrop is still locked for others", line and line.startswith(b"-ERR [IN-USE]"), line)
        second.close()
        for command, wanted in (("MAIL FROM:<a@example.org>", b"250"), ("RCPT TO:<u00005@example.com>", b"250"), ("DATA", b"354")):
            line = self.say_lmtp(command)
            check(f"{when}: LMTP: {command}", line and line.startswith(wanted), line)
        self.lmtp.send(stuffed(sample(1)))
        line = self.lmtp.line()
        check(f"{when}: LMTP takes a message", line and line.startswith(b"250"), line)
        for w in self.strangers:
            equal(f"{when}: a stranger is answered", w.imap("NOOP")[0], "OK")

    def end(self):
        import base64
        self.mid.send(base64.b64encode(b"\0u00004\0" + PASSWORD.encode()) + b"\r\n")
        equal("a login that was half said succeeds", self.mid.imap_answer(b"m")[0], "OK")
        line = self.say(self.pop_mid, f"PASS {PASSWORD}")
        check("PASS after USER and the kills", line and line.startswith(b"+OK"), line)
        self.say(self.pop_mid, "QUIT")
        for w in self.strangers:
            equal("a stranger logs in", w.imap(f"LOGIN u00006 {PASSWORD}")[0], "OK")
        line = self.say(self.pop, "QUIT")
        check("POP3: QUIT deletes what was marked", line and line.startswith(b"+OK"), line)
        equal("POP3: they are gone, the others are there", len(self.s.truth("INBOX", "u00003")), self.count - self.marked)


def change(s, actors, n):
    """What another client does meanwhile: mail comes, flags change, a message goes."""
    deliver(s, n)
    for actor in actors:
        if actor.mailbox != "INBOX":
            message = sample(n)
            actor.run(f"APPEND {actor.mailbox} {{{len(message)}+}}\r\n" + message.decode())
        uids = search_result(actor.w.imap("UID SEARCH ALL")[2])
        some = uids[len(uids) // 2]
        for command in (f"UID STORE {some} FLAGS.SILENT (\\Flagged k{n})", f"UID STORE {uids[2]} +FLAGS.SILENT (\\Deleted)",
                        f"UID EXPUNGE {uids[2]}"):
            state, text, _ = actor.w.imap(command)
            if state != "OK":
                raise RuntimeError(f"{command}: {text}")


def test_at_rest(s, rounds):
    fill(s, "u00001", "INBOX", (sample(n, 5) for n in range(60)))
    fill(s, "u00003", "INBOX", (sample(n, 5) for n in range(5)))
    fill(s, "u00001", "Team", (sample(n, 5) for n in range(30)))
    actors = [Session(s, "actor"), Session(s, "actor in Team", mailbox="Team")]
    Session(s, "the one it is shared with", user="u00002")
    actors[1].run("SETACL Team u00002 lrswite")
    sessions = [Session(s, name, **how) for name, how in KINDS]
    others = Others(s)
    for n in range(rounds):
        role = ("house", "house", "keeper", "house", "runner")[n % 5]
        when = f"{n + 1}: {role}"
        if n % 2:
            change(s, actors, 100 + n)  # told to those who listen before, to the others after it
        victim = s.kill_role(role)
        change(s, actors, 200 + n)
        s.await_role(role, victim)
        deliver(s, 300 + n)
        truths = {mailbox: s.truth(mailbox) for mailbox in ("INBOX", "Team")}
        for one in sessions:
            truth = truths.get(one.mailbox)
            try:
                if one.pushed:
                    whole = one.drain(lambda: len(one.uids) == len(truth))
                    check(f"{when}: {one.name} hears without asking", whole, (one.uids, sorted(truth)))
                one.compare(when, truth)
            except (ConnectionError, RuntimeError, OSError) as e:
                check(f"{when}: {one.name} stays", False, repr(e))
                sessions = [o for o in sessions if o is not one]
        others.compare(when)
    others.end()
    return sessions


# ---- the gap ----


def await_ready(s, role, before):
    """Back, and told to everybody."""
    s.await_role(role, before)
    wait_for(lambda: any(f"event=role_ready role={role} pid={pid} " in s.log() for pid in s.role(role)), 15, 0.01)


def enter(s, user="u00001", mailbox="INBOX"):
    w = s.wire("imap")
    w.line()
    w.imap(f"LOGIN {user} {PASSWORD}")
    w.imap(f"SELECT {mailbox}")
    return w


def gaps(s, count):
    w, took = enter(s), []
    for _ in range(count):
        time.sleep(1.1)  # who dies more often than once in a second is waited for on purpose
        before = s.kill_role("house")
        began = time.monotonic()
        equal("NOOP after kill -9", w.imap("NOOP")[0], "OK")
        took.append(time.monotonic() - began)
        await_ready(s, "house", before)
    return took


def test_gap(s, name, count):
    for _ in range(2):  # a busy machine gets a second try
        took = gaps(s, count)
        median = statistics.median(took)
        print(f"gap, {name}: median of {count} {median * 1000:.0f} ms, least {min(took) * 1000:.0f}, most {max(took) * 1000:.0f}", flush=True)
        if median <= GAP_MOST:
            break
    check(f"{name}: the median gap is at most {GAP_MOST} s", median <= GAP_MOST, took)


# ---- commands in flight ----


def whole_or_gone(name, w, tag, known):
    """Answers to FETCH until the tag, a BYE or the end: what is complete has to be right. True: there was an end to it."""
    n = 0
    while True:
        try:
            line = w.imap_line()
        except (ConnectionError, OSError):
            return n, "closed"
        if line is None:
            return n, "closed"
        if line.startswith(tag):
            return n, line.split()[1].decode()
        if line.startswith(b"* BYE"):
            return n, "BYE"
        body = re.match(rb"\* (\d+) FETCH \(BODY\[\] \{(\d+)\}\r\n", line)
        if body:
            n += 1
            at = body.end()
            got = line[at:at + int(body.group(2))]
            if got != known[int(body.group(1)) - 1] or line[at + len(got):] != b")":
                check(f"{name}: a message is whole and right", False, (line[:60], len(got), len(known[int(body.group(1)) - 1])))
        elif not re.match(rb"\* (\d+ (EXISTS|RECENT)|SEARCH|OK|FLAGS)", line):
            check(f"{name}: a line that is one", False, line[:200])


def test_in_flight(s, rounds):
    """FETCH of much while nobody reads, SEARCH, a literal half sent; the house dies."""
    known = [sample(n, 300) for n in range(120)]
    fill(s, "u00007", "INBOX", known)
    ends = []
    for n in range(rounds):
        reader, searcher, writer = (enter(s, "u00007") for _ in range(3))
        waiting = s.wire("lmtp")
        waiting.line()
        for command in (b"LHLO x.example\r\n", b"MAIL FROM:<a@example.org>\r\n", b"RCPT TO:<u00007@example.com>\r\n"):
            waiting.send(command)
            while (waiting.line() or b"   ")[3:4] == b"-":
                pass
        writer.send(b"a APPEND INBOX {100000}\r\n")
        writer.line()
        writer.send(b"x" * 5000)
        reader.send(b"a FETCH 1:* BODY.PEEK[]\r\n")
        searcher.send(b"".join(b"s%d SEARCH TEXT nowhere\r\n" % i for i in range(50)))
        time.sleep(0.02 * (n % 4))
        before = s.kill_role("house")
        fetched, how = whole_or_gone(f"{n + 1}: FETCH", reader, b"a ", known)
        ends.append(how)
        check(f"{n + 1}: FETCH in flight: all or an end", how in ("closed", "BYE") or fetched == len(known), (how, fetched))
        while (line := searcher.line()) is not None and not line.startswith(b"s49 "):
            if not re.match(rb"(\* SEARCH|s\d+ OK|\* BYE|\* OK)", line):
                check(f"{n + 1}: SEARCH in flight: right or no answer", False, line)
        line = writer.line()
        check(f"{n + 1}: APPEND half said ends", line is None or line.startswith((b"* BYE", b"a NO")), line)
        line = waiting.line()
        check(f"{n + 1}: LMTP within a transaction ends with 421", line and line.startswith(b"421"), line)
        await_ready(s, "house", before)
        time.sleep(1.1)
        equal(f"{n + 1}: the half message is not there", len(s.truth("INBOX", "u00007")), len(known))
    print("FETCH in flight ended with", {e: ends.count(e) for e in ends})


# ---- what was acknowledged ----


class Writer(threading.Thread):
    """APPENDs, STOREs, MOVEs without a pause; comes back when it is sent away; remembers what it was told."""

    def __init__(self, s, user):
        super().__init__(daemon=True)
        self.s, self.user, self.stops, self.wrong = s, user, False, []
        self.n, self.done, self.sent_away = 0, 0, 0
        self.sure = {"INBOX": {}, "Other": {}}  # mailbox -> uid -> keyword, of what was acknowledged
        self.maybe = {}  # number of a message -> why it may be there, or be somewhere else, or have other flags
        self.where = {}  # number -> (mailbox, uid)
        self.used = {"INBOX": 0, "Other": 0}
        self.w = None

    def message(self, n):
        return b"Subject: n%d\r\n\r\n" % n + b"%d\r\n" % n * (n % 50)

    def given(self, mailbox, uid, n):
        if uid <= self.used[mailbox]:
            self.wrong.append(f"UID {uid} of {mailbox} again, {self.used[mailbox]} was there")
        self.used[mailbox] = uid
        self.where[n] = (mailbox, uid)

    def step(self):
        self.n += 1
        n, message = self.n, self.message(self.n)
        self.maybe[n] = "appended"
        state, text, _ = self.w.imap(b"APPEND INBOX {%d+}\r\n" % len(message) + message)
        code = re.search(rb"APPENDUID \d+ (\d+)", text)
        if state != "OK" or not code:
            self.wrong.append(text)
            return
        self.given("INBOX", int(code.group(1)), n)
        del self.maybe[n]
        self.sure["INBOX"][n] = ""
        if n % 2 == 0:
            self.maybe[n] = "stored"
            if self.w.imap(f"UID STORE {self.where[n][1]} FLAGS.SILENT (k{n})")[0] == "OK":
                self.sure["INBOX"][n] = f"k{n}"
                del self.maybe[n]
        if n % 3 == 0:
            self.maybe[n] = "moved"
            state, text, lines = self.w.imap(f"UID MOVE {self.where[n][1]} Other")
            code = re.search(rb"COPYUID \d+ \d+ (\d+)", b" ".join([text, *lines]))
            if state == "OK" and code:
                self.given("Other", int(code.group(1)), n)
                self.sure["Other"][n] = self.sure["INBOX"].pop(n)
                del self.maybe[n]
        self.done += 1

    def run(self):
        while not self.stops:
            try:
                if not self.w:
                    self.w = enter(self.s, self.user)
                self.step()
            except (ConnectionError, OSError):
                self.sent_away += 1
                self.w = None

    def compare(self, found):
        """found: mailbox -> [(uid, n, octets, keyword)]"""
        there = {}
        for mailbox, rows in found.items():
            for uid, n, octets, keyword in rows:
                there.setdefault(n, []).append((mailbox, uid, keyword))
                if octets != self.message(n):
                    self.wrong.append(f"message {n} is not whole")
        for mailbox, sure in self.sure.items():
            for n, keyword in sure.items():
                if n not in self.maybe and there.get(n) != [(mailbox, self.where[n][1], keyword)]:
                    self.wrong.append(f"message {n}: {there.get(n)}, acknowledged {mailbox} {self.where[n][1]} {keyword!r}")
        for n, why in self.maybe.items():
            most = 0 if why == "appended" else 1
            if not most <= len(there.get(n, ())) <= 1:
                self.wrong.append(f"message {n}, perhaps {why}: {there.get(n)}")


def contents(s, user):
    found = {}
    for mailbox in ("INBOX", "Other"):
        w = enter(s, user, mailbox)
        found[mailbox] = []
        for line in w.imap("UID FETCH 1:* (FLAGS BODY.PEEK[])")[2]:
            body = re.search(rb"BODY\[\] \{(\d+)\}\r\n", line)
            if not body:
                continue
            octets = line[body.end():body.end() + int(body.group(1))]
            keyword = re.search(rb"\b(k\d+)\b", FLAGS.search(line).group(1))
            found[mailbox].append((int(UID.search(line).group(1)), int(re.match(rb"Subject: n(\d+)", octets).group(1)), octets,
                                   keyword.group(1).decode() if keyword else ""))
        w.close()
    return found


def test_load(s, kills):
    for user in ("u00008", "u00009"):
        fill(s, user, "Other", [])
    writers = [Writer(s, "u00008"), Writer(s, "u00009")]
    for w in writers:
        w.start()
    for _ in range(kills):
        before = s.kill_role("house")
        await_ready(s, "house", before)
        time.sleep(1.1)
    for w in writers:
        w.stops = True
        w.join(30)
        w.compare(contents(s, w.user))
        check(f"{w.user}: what was acknowledged is there, what is there is whole, no UID comes twice", not w.wrong, w.wrong[:5])
        check(f"{w.user}: it worked", w.done > kills, w.done)
        print(f"{w.user}: {w.done} rounds, {w.sent_away} times sent away, {len(w.maybe)} not certain")


# ---- on purpose: upgrade, reload ----


def test_upgrade(s):
    sessions = [Session(s, name, **how) for name, how in KINDS]
    others = Others(s)
    actors = [Session(s, "actor"), Session(s, "actor in Team", mailbox="Team")]
    busy = Writer(s, "u00010")
    fill(s, "u00010", "Other", [])
    busy.start()
    for n, (name, how) in enumerate((("reload", None), ("upgrade", ("upgrade",)), ("upgrade again", ("upgrade",)))):
        change(s, actors, 400 + n)
        before = s.role("house")
        if how:
            done = s.command(*how)
            equal(f"{name}: posthouse upgrade succeeds", done.code, 0)
            check(f"{name}: another house", wait_for(lambda: s.role("house") and s.role("house") != before, 15), s.tail())
            wait_for(lambda: s.log().count("event=upgraded") >= n, 20)
        else:
            os.kill(s.process.pid, signal.SIGHUP)
            check("a reload", wait_for(lambda: "event=reloaded" in s.log(), 15), s.tail())
        truths = {mailbox: s.truth(mailbox) for mailbox in ("INBOX", "Team")}
        for one in list(sessions):
            try:
                truth = truths.get(one.mailbox)
                if one.pushed:
                    check(f"{name}: {one.name} hears", one.drain(lambda: len(one.uids) == len(truth)), (one.uids, sorted(truth)))
                one.compare(name, truth)
            except (ConnectionError, RuntimeError, OSError) as e:
                check(f"{name}: {one.name} stays", False, repr(e))
                sessions.remove(one)
        others.compare(name)
    visitors = [s.wire("imap") for _ in range(20)]
    check("who comes then is greeted", all(w.line() for w in visitors))
    equal("nobody crashed over it", re.findall(r"event=role_ended .*signal=(?!9 ).*", s.log()), [])
    busy.stops = True
    busy.join(30)
    equal("who works meanwhile is not sent away", busy.sent_away, 0)
    busy.compare(contents(s, "u00010"))
    check("nor has lost anything", not busy.wrong, busy.wrong[:5])
    others.end()


# ---- fronts ----


def front_of(s, w):
    """The process that holds the other end of a connection."""
    port = w.sock.getsockname()[1]
    listed = subprocess.run(["ss", "-Htnp", "state", "established", f"( dport = :{port} )"], capture_output=True, text=True).stdout
    found = re.search(r"pid=(\d+)", listed)
    return int(found.group(1)) if found else 0


def test_front(s):
    ws = [enter(s, f"u{n % 10 + 1:05}") for n in range(40)]
    of = [front_of(s, w) for w in ws]
    # One that an upgrade has retired may still be there, for those it has.
    if not check("each front has some", len(set(of)) > 1 and set(of) <= set(s.role("front")), (of, s.role("front"))):
        return
    victim = of[0]
    os.kill(victim, signal.SIGKILL)
    kept = [w for w, pid in zip(ws, of) if pid != victim]
    for w in kept:
        w.sock.settimeout(5)
    check("the connections of the other fronts are untouched", kept and all(w.imap("NOOP")[0] == "OK" for w in kept))
    check("its own are closed", all(w.line() is None for w, pid in zip(ws, of) if pid == victim))
    check("another front comes", wait_for(lambda: len(s.role("front")) >= len(set(of)) and victim not in s.role("front"), 10), s.tail())
    equal("and new connections are served", [enter(s).imap("NOOP")[0] for _ in range(20)], ["OK"] * 20)


# ---- who keeps dying ----


def test_dying(s, role):
    w = enter(s)
    for n in range(10):
        pid = wait_for(lambda: s.role(role), 15, 0.005)
        if not check(f"{role}: is there for its {n + 1}. end", pid, s.tail()):
            return
        try:
            os.kill(pid[0], signal.SIGKILL)
        except ProcessLookupError:
            pass
        wait_for(lambda: pid[0] not in s.role(role), 5, 0.005)
        if n == 6:
            break
    log = s.log()
    check(f"{role}: the log tells of the waiting", re.search(rf"event=role_waits role={role} ms=[1-9]\d\d+", log), s.tail())
    check(f"{role}: it comes back", wait_for(lambda: s.role(role) and f"event=role_ready role={role} pid={s.role(role)[0]} " in s.log(), 20),
          s.tail())
    try:
        equal(f"{role}: a session of before", w.imap("NOOP")[0], "OK")
    except ConnectionError:
        check(f"{role}: a session may have ended", role == "house")
    equal(f"{role}: then all works", enter(s).imap("NOOP")[0], "OK")


# ---- a store that cannot be opened ----


def test_corrupt(s, name, at, seconds=12):
    """The house dies, and the next ones find a store that is no good: that is told, tried again more and more rarely, and all is well
    once the store is."""
    w = enter(s)
    path = os.path.join(s.dir, name)
    with open(path, "r+b") as f:
        f.seek(at)
        whole = f.read(64)
        f.seek(at)
        f.write(bytes(b ^ 0x55 for b in whole))
    began, cpu = len(s.log()), s.cpu_seconds()
    s.kill_role("house")
    time.sleep(seconds)
    log, used = s.log()[began:], max(0, s.cpu_seconds() - cpu)
    ends = len(re.findall(r"event=role_ended role=house", log))
    waits = [int(ms) for ms in re.findall(r"event=role_waits role=house ms=(\d+)", log)]
    print(f"{name} damaged: {ends} ends of the house in {seconds} s, waits of {waits} ms, {used:.1f} s of processor time", flush=True)
    check(f"{name}: tried again, more and more rarely", 3 <= ends <= 12 and waits == sorted(waits) and waits[-1:] >= [1600], (ends, waits))
    check(f"{name}: what is wrong is told", re.search(r"level=error event=\S+ .*story=", log), s.tail())
    check(f"{name}: nothing spins", used < seconds / 3, used)
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(whole)
    check(f"{name}: another house when it is whole again", wait_for(lambda: "event=role_ready role=house" in s.log()[began:], 20), s.tail())
    equal(f"{name}: a session of before goes on", w.imap("NOOP")[0], "OK")
    equal(f"{name}: and others begin", enter(s).imap("NOOP")[0], "OK")


# ---- handshakes while the keeper is away ----


def test_handshakes(s, kills):
    failed, done, stops = [], [0], []

    def connect():
        while not stops:
            try:
                w = s.wire("imaps", True, 15)
                w.line()
                state, text, _ = w.imap(f"LOGIN u00002 {PASSWORD}")
                if state != "OK":
                    failed.append(text)
                w.close()
                done[0] += 1
            except (OSError, ConnectionError) as e:
                failed.append(repr(e))

    threads = [threading.Thread(target=connect, daemon=True) for _ in range(2)]
    for t in threads:
        t.start()
    for _ in range(kills):
        time.sleep(1.1)
        await_ready(s, "keeper", s.kill_role("keeper"))
    stops.append(True)
    for t in threads:
        t.join(30)
    check(f"{done[0]} handshakes and logins while the keeper died {kills} times: none fails", done[0] > kills and not failed,
          (done[0], failed[:5]))


# ---- memory ----


def test_memory(s, kills=30):
    ws = [enter(s, f"u{n % 10 + 1:05}") for n in range(50)]

    def fronts():
        return sum(resident(pid) for pid in s.role("front")) + resident(s.process.pid)

    def kill(times):
        for _ in range(times):
            time.sleep(1.1)
            await_ready(s, "house", s.kill_role("house"))
            for w in ws:
                if w.imap("NOOP")[0] != "OK":
                    check("NOOP", False)

    kill(5)
    before = fronts()
    kill(kills)
    after = fronts()
    print(f"warden and fronts, 50 sessions: {before} KiB, {kills} kills later {after} KiB")
    check("warden and fronts do not grow", after < before + 1024, (before, after))


def resident(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return int(re.search(r"\nPss:\s+(\d+)", f.read()).group(1))


# ---- all ----


def test_large():
    """Many messages in one mailbox, 500 accounts with some."""
    s = House(600, ("throttle=no",)).start()
    fill(s, "u00001", "INBOX", (sample(n % 50, 5) for n in range(ARGS.messages)))
    for n in range(2, 501):
        fill(s, f"u{n:05}", "INBOX", [sample(n, 5)] * 3)
    test_gap(s, f"{ARGS.messages:,} messages, 500 accounts", 20)
    s.check_end()


def test():
    if ARGS.only:
        s = House(10).start() if ARGS.only != "large" else None
        if ARGS.only in ("upgrade",):
            test_at_rest(s, 1)
        {"gap": lambda: test_gap(s, "10 accounts", 20), "flight": lambda: test_in_flight(s, 8), "load": lambda: test_load(s, 20),
         "upgrade": lambda: test_upgrade(s), "front": lambda: test_front(s), "dying": lambda: [test_dying(s, r) for r in ("house", "keeper", "runner")],
         "handshakes": lambda: test_handshakes(s, 5), "memory": lambda: test_memory(s), "large": test_large,
         "corrupt": lambda: test_corrupt(s, "format", 0),
         "rest": lambda: test_at_rest(s, ARGS.rounds)}[ARGS.only]()
        if s:
            s.check_end()
        return
    s = House(10).start()
    test_at_rest(s, ARGS.rounds)
    test_upgrade(s)
    test_in_flight(s, 4)
    test_front(s)
    test_load(s, ARGS.kills)
    test_gap(s, "10 accounts", ARGS.kills)
    test_handshakes(s, 3)
    test_dying(s, "house")
    s.check_end()
    test_corrupt(s := House(10).start(), "format", 0)
    s.check_end()
    if ARGS.all:
        s = House(10).start()
        test_memory(s)
        test_dying(s, "keeper")
        test_dying(s, "runner")
        s.check_end()
        test_large()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kills", type=int, default=8, help="of the house under load, and where the gap is measured")
    parser.add_argument("--all", action="store_true", help="also the memory over 30 kills and a large store")
    parser.add_argument("--messages", type=int, default=20000, help="of the large store")
    parser.add_argument("--only", default="")
    ARGS = parser.parse_args()
    main(test, 900)
