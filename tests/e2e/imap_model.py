#!/usr/bin/env python3
"""Several IMAP clients of different age act at random on the mailboxes of one account, beside a POP3 client and deliveries.
Each keeps what a real client would keep, from the responses alone, and is strict about them. When all is quiet every one of
them has to know exactly what a session that has just begun is told.

SEED: repeats a run; SECONDS: how long (default 25). The first thing that is not as it should be ends the test, with the last
lines of the conversation it was found in.
"""
import collections
import os
import random
import re
import select
import time

from lib import Server, Wire, check, equal, main

USER, FOLDERS = "u00001", ["INBOX", "a", "b", "keep"]  # nothing is ever removed from "keep"
KEYWORDS = ["$Forwarded", "k1", "k2", "Work"]
FLAGS = ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"]
SECONDS = float(os.environ.get("SECONDS", 25))
CROWD = 150  # messages in a mailbox, about


class Violation(Exception):
    pass


def need(ok, what):
    if not ok:
        raise Violation(what)


# ---- the grammar of responses ----


def parse(text, at=0):
    """One value: a list, a string, a number or an atom; (value, behind it)."""
    if text[at:at + 1] == b"(":
        values, at = [], at + 1
        while text[at:at + 1] != b")":
            need(at < len(text), f"no end of a list: {text!r}")
            value, at = parse(text, at + (text[at:at + 1] == b" "))
            values.append(value)
        return values, at + 1
    if text[at:at + 1] == b'"':
        m = re.compile(rb'"((?:[^"\\]|\\.)*)"').match(text, at)
        return re.sub(rb"\\(.)", rb"\1", m.group(1)), m.end()
    literal = re.compile(rb"~?\{(\d+)\}\r\n").match(text, at)
    if literal:
        end = literal.end() + int(literal.group(1))
        return text[literal.end():end], end
    m = re.compile(rb"(?:[^\s()\[]|\[[^\]]*\])+").match(text, at)
    need(m, f"neither list nor string nor atom: {text[at:]!r}")
    return m.group(), m.end()


def members(text):
    """The numbers of a set, in the order given."""
    found = []
    for part in text.split(","):
        first, _, last = part.partition(":")
        first, last = int(first), int(last or first)
        found += range(first, last + 1) if first <= last else range(first, last - 1, -1)
    return found


def as_set(numbers):
    """As clients write it: ranges now and then."""
    numbers, parts = sorted(numbers), []
    while numbers:
        n = 1
        while n < len(numbers) and numbers[n] == numbers[0] + n:
            n += 1
        parts.append(f"{numbers[0]}:{numbers[n - 1]}" if n > 1 else f"{numbers[0]}")
        numbers = numbers[n:]
    random.shuffle(parts)
    return ",".join(parts)


def searched(command):
    """What SEARCH found, in either form."""
    for line in command.lines:
        if line.startswith(b"* SEARCH"):
            return [int(n) for n in re.sub(rb"\(MODSEQ \d+\)", b"", line[8:]).split()]
        if line.startswith(b"* ESEARCH"):
            found = re.search(rb" ALL ([\d:,]+)", line)
            return members(found.group(1).decode()) if found else []
    raise Violation(f"SEARCH without an answer: {command.lines}")


# ---- what is known of the account ----


class Folder:
    """A mailbox; whichever name it has. tokens: the subject of every uid that anybody has heard of."""

    def __init__(self):
        self.validity, self.tokens = None, {}

    def learn(self, uid, token):
        if token is not None:
            need(self.tokens.setdefault(uid, token) == token, f"uid {uid} was {self.tokens.get(uid)}, now it is {token}")

    def valid(self, validity):
        need(self.validity in (None, validity), f"UIDVALIDITY {validity} was {self.validity}")
        self.validity = validity


class World:
    def __init__(self, server):
        self.server, self.folders, self.count = server, {name: Folder() for name in FOLDERS}, 0
        self.validities = set()

    def token(self):
        self.count += 1
        return f"token-{self.count}"

    def message(self, token):
        body = "line of the body\r\n" * random.choice([0, 1, 3, 60, 600])
        return f"From: a@example.org\r\nTo: b@example.com\r\nSubject: {token}\r\n\r\n{body}".encode()


class Seen:
    """A message as a client knows it; None: not told yet."""

    def __init__(self, uid=None, flags=None, modseq=None, least=0):
        self.uid, self.flags, self.modseq, self.least = uid, flags, modseq, least


# ---- a client ----


class Command:
    def __init__(self, tag, text, expunges, done):
        self.tag, self.text, self.expunges, self.done = tag, text, expunges, done
        self.fetched = {}  # number: items, in the order of arrival
        self.flagged = set()  # messages whose FLAGS came
        self.codes, self.lines = [], []


class Client:
    def __init__(self, world, name, enable=""):
        self.world, self.name, self.enable = world, name, enable
        self.qresync, self.rev2 = "QRESYNC" in enable, "IMAP4rev2" in enable
        self.condstore = self.qresync or "CONDSTORE" in enable
        self.transcript, self.resyncs, self.modseqs, self.tags = collections.deque(maxlen=40), None, {}, 0
        self.connect()

    def connect(self):
        self.wire = Wire(self.world.server.port("imap"), timeout=60)
        self.wire.line()
        self.pending, self.idling = collections.deque(), False
        self.leave()
        self.do(f"LOGIN {USER} secret")
        if self.enable:
            self.do(f"ENABLE {self.enable}")

    def leave(self):
        """Nothing is selected."""
        self.folder, self.view, self.read_only, self.keywords, self.next = None, [], False, set(), 0
        self.resyncing, self.select_codes = None, {}

    # -- sending and reading --

    def send(self, text, expunges=True, done=None):
        self.tags += 1
        tag = b"%s%d" % (self.name.encode(), self.tags)
        octets = text if isinstance(text, bytes) else text.encode()
        self.transcript.append(b"C: " + tag + b" " + octets[:200])
        self.wire.send(tag + b" " + octets + b"\r\n")
        self.pending.append(Command(tag, octets, expunges, done))
        return self.pending[-1]

    def do(self, text, **options):
        """Sends and waits; (state, text, command)."""
        command = self.send(text, **options)
        self.finish()
        return command.state, command.answer, command

    def finish(self):
        while self.pending:
            self.one()

    def one(self):
        line = self.wire.imap_line()
        if line is None:
            raise Violation(f"{self.name}: the server closed")
        self.transcript.append(b"S: " + line[:300])
        try:
            self.hear(line)
        except Violation as e:
            raise Violation(f"{self.name}: {e}\n" + "\n".join(repr(t)[2:-1] for t in self.transcript))

    def hear(self, line):
        now = self.pending[0] if self.pending else None
        if line.startswith(b"+ "):
            return
        if line.startswith(b"* "):
            self.untagged(line, now)
            return
        need(now and line.startswith(now.tag + b" "), f"not the tag awaited: {line!r}")
        _, state, text = line.split(b" ", 2)
        now.state, now.answer = state.decode(), text.decode()
        self.pending.popleft()
        need(state in (b"OK", b"NO"), f"{now.text[:200]!r} was answered {line!r}")
        if now.done:
            now.done(now)

    def untagged(self, line, now):
        number = re.match(rb"\* (\d+) (EXISTS|RECENT|EXPUNGE|FETCH)\b ?(.*)$", line, re.S)
        if number:
            getattr(self, "on_" + number.group(2).decode().lower())(int(number.group(1)), number.group(3), now)
        elif line.startswith(b"* VANISHED "):
            self.on_vanished(line[11:].decode(), now)
        elif line.startswith(b"* FLAGS "):
            self.keywords = {f.decode() for f in parse(line, 8)[0]}
        elif line.startswith(b"* OK [CLOSED]"):
            self.leave()
        elif line.startswith(b"* BYE"):
            raise Violation(f"{line!r}")
        else:
            code = re.match(rb"\* OK \[([A-Z0-9-]+) ?(.*?)\]", line)
            if code:
                self.on_code(code.group(1).decode(), code.group(2).decode(), now)
            if now:
                now.lines.append(line)

    # -- what the responses mean --

    def on_code(self, name, value, now):
        if name == "UIDVALIDITY":
            self.folder.valid(int(value))
        if name == "HIGHESTMODSEQ":
            before = self.modseqs.get(self.folder, 0)
            need(int(value) >= before, f"HIGHESTMODSEQ {value} was {before}")
            self.modseqs[self.folder] = int(value)
        if name == "UIDNEXT":
            self.next = int(value)
        if now:
            now.codes.append((name, value))

    def on_exists(self, number, _, now):
        need(number >= len(self.view), f"EXISTS {number}, there were {len(self.view)}")
        self.view += [Seen(least=self.next) for _ in range(number - len(self.view))]

    def on_recent(self, number, _, now):
        need(not self.rev2, "RECENT in rev2")
        need(number <= len(self.view), f"RECENT {number} of {len(self.view)}")

    def on_expunge(self, number, _, now):
        need(not self.qresync, "EXPUNGE, not VANISHED, for QRESYNC")
        need(self.idling or (now and now.expunges), "EXPUNGE at a time when it is not allowed")
        need(1 <= number <= len(self.view), f"EXPUNGE {number} of {len(self.view)}")
        del self.view[number - 1]

    def on_vanished(self, text, now):
        need(self.qresync, "VANISHED without QRESYNC")
        if text.startswith("(EARLIER) "):
            need(self.resyncing is not None, "VANISHED (EARLIER) unasked")
            for uid in members(text[10:]):
                self.resyncing.pop(uid, None)
            return
        need(self.idling or (now and now.expunges), "VANISHED at a time when it is not allowed")
        for uid in members(text):
            self.vanish(uid)

    def vanish(self, uid):
        """One we know, or one of those in the gap where it must have been."""
        gap, above = None, 0
        for i, seen in enumerate(self.view):
            if seen.uid == uid:
                gap = i
                break
            if seen.uid is None and above < uid:
                gap = i
            elif seen.uid is not None:
                above = seen.uid
                if above > uid:
                    break
                gap = None
        need(gap is not None, f"VANISHED {uid} is none of ours")
        del self.view[gap]

    def on_fetch(self, number, text, now):
        need(1 <= number <= len(self.view), f"FETCH {number} of {len(self.view)}")
        values, end = parse(text)
        need(end == len(text), f"behind the list: {text[end:]!r}")
        items = {k.decode().upper(): v for k, v in zip(values[::2], values[1::2])}
        if self.condstore and not (now and b"FETCH" in now.text):  # what was not asked for, RFC 7162 3.2.4
            need("UID" in items and "MODSEQ" in items, "FETCH without UID and MODSEQ for CONDSTORE")
        seen = self.view[number - 1]
        if "UID" in items:
            self.is_uid(number, seen, int(items["UID"]))
        if "FLAGS" in items and (seen.uid or not self.qresync):  # what VANISHED takes could not be told from it
            flags = {f.decode() for f in items["FLAGS"]}
            need(not (self.rev2 and "\\Recent" in flags), "\\Recent in rev2")
            unknown = {f for f in flags if f != "\\Recent"} - self.keywords
            need(not unknown, f"{unknown} were not in FLAGS")
            seen.flags = frozenset(flags - {"\\Recent"})
        if "MODSEQ" in items:
            modseq = int(items["MODSEQ"][0])
            need(modseq >= (seen.modseq or 1), f"MODSEQ {modseq} was {seen.modseq}")
            seen.modseq = modseq
        for name, value in items.items():
            token = re.search(rb"Subject: (\S+)", value) if name.startswith("BODY[") else None
            if token and seen.uid:
                self.folder.learn(seen.uid, token.group(1).decode())
        if self.resyncing is not None:
            self.resyncing[seen.uid] = seen
        if now:
            now.fetched[number] = items
            if "FLAGS" in items:
                now.flagged.add(seen)

    def is_uid(self, number, seen, uid):
        need(seen.uid in (None, uid), f"message {number} had uid {seen.uid}, now {uid}")
        if seen.uid is None:
            need(uid >= seen.least, f"new message {number} has uid {uid}, UIDNEXT was {seen.least}")
            for step in (-1, 1):
                i = number - 1 + step
                while 0 <= i < len(self.view) and self.view[i].uid is None:
                    i += step
                if 0 <= i < len(self.view):
                    distance = (self.view[i].uid - uid) * step
                    need(distance >= abs(i - number + 1), f"message {number} uid {uid}, message {i + 1} uid {self.view[i].uid}")
            seen.uid = uid

    # -- what it does --

    def select(self, name, examine=False):
        if not self.folder:
            self.leave()
        before = self.folder
        command = f"{'EXAMINE' if examine else 'SELECT'} {name}"
        folder = self.world.folders[name]
        known = None
        if self.resyncs and self.resyncs[0] is folder:
            _, validity, modseq, known = self.resyncs
            sets = ""
            if known and random.random() < 0.5:
                uids = sorted(known)
                at = sorted(random.sample(range(len(uids)), min(len(uids), 5)))
                sets = (f" 1:{max(uids)}" if random.random() < 0.3 else "") + (
                    f" ({','.join(str(i + 1) for i in at)} {','.join(str(uids[i]) for i in at)})")
                if sets.startswith(" 1:"):
                    sets = sets.replace(f" 1:{max(uids)}", f" 1:{max(uids) + 100000}")  # the new ones, too
            command += f" (QRESYNC ({validity} {modseq}{sets}))"
        elif self.condstore and random.random() < 0.5:
            command += " (CONDSTORE)"
        self.resyncs = None
        sent = self.send(command)
        if before:  # until CLOSED all is about the one before
            while self.folder is before:
                self.one()
        self.leave()
        self.folder, self.read_only, self.resyncing = folder, examine, known
        self.finish()
        need(sent.state == "OK", f"{command}: {sent.answer}")
        codes = dict(sent.codes)
        need("UIDVALIDITY" in codes and "UIDNEXT" in codes and "HIGHESTMODSEQ" in codes, f"{command}: {codes}")
        if known is not None:
            self.resynced(known)
        self.highest = int(codes["HIGHESTMODSEQ"])

    def resynced(self, known):
        """What was kept, less what vanished, with what was fetched, is the whole mailbox."""
        self.resyncing = None
        if len(known) != len(self.view):
            raise Violation(f"{self.name}: {len(known)} messages after QRESYNC: {sorted(known)}, EXISTS {len(self.view)}\n"
                            + "\n".join(repr(t)[2:-1] for t in self.transcript))
        for number, uid in enumerate(sorted(known), 1):
            seen = self.view[number - 1]
            need(seen.uid in (None, uid), f"{self.name}: message {number} is uid {seen.uid}, should be {uid}")
            self.view[number - 1] = known[uid]
            known[uid].uid = uid

    def disconnect(self):
        """A QRESYNC client goes away, in whatever way, and remembers."""
        if self.folder and self.qresync:
            self.do("NOOP")
            self.learn_all()
            self.do("NOOP")
            highest = max([self.highest, 1] + [m.modseq or 0 for m in self.view])
            if all(m.uid and m.flags is not None for m in self.view):
                self.resyncs = (self.folder, self.folder.validity, highest, {m.uid: m for m in self.view})
        if random.random() < 0.3:
            self.wire.send(b"x LOGOUT\r\n")
        self.wire.close()
        self.connect()

    def learn_all(self):
        if self.folder and self.view:
            self.do("UID FETCH 1:* (FLAGS%s)" % (" MODSEQ" if self.condstore else ""))

    def some(self, most=8):
        """Numbers of messages we know."""
        if not self.view:
            return []
        if random.random() < 0.05:
            return list(range(1, len(self.view) + 1))
        first = random.randrange(len(self.view)) + 1
        if random.random() < 0.5:
            return list(range(first, min(len(self.view), first + random.randrange(most)) + 1))
        return sorted(random.sample(range(1, len(self.view) + 1), min(len(self.view), random.randrange(1, most))))

    def target(self):
        """(prefix, set, the messages meant, by uid?); None: nothing to act on."""
        numbers = self.some()
        if not numbers:
            return None
        chosen = [self.view[n - 1] for n in numbers]
        if all(m.uid for m in chosen) and random.random() < 0.6:
            return "UID ", as_set([m.uid for m in chosen]), chosen, True
        return "", as_set(numbers), chosen, False

    def store(self):
        target = self.target()
        if not target or self.read_only:
            return
        prefix, numbers, chosen, by_uid = target
        how, silent = random.choice(["+", "+", "-", ""]), random.random() < 0.5
        flags = random.sample(FLAGS + KEYWORDS, random.randrange(0 if how == "" else 1, 4))
        since = ""
        if self.condstore and random.random() < 0.4:
            known = [m.modseq for m in self.view if m.modseq]
            since = f" (UNCHANGEDSINCE {random.choice(known)})" if known else ""
        by_number = {n: self.view[n - 1] for n in range(1, len(self.view) + 1)}

        def done(c):
            need(c.state == "OK", f"STORE: {c.answer}")
            modified = re.match(r"\[MODIFIED ([\d:,]+)\]", c.answer)
            failed = set(members(modified.group(1))) if modified else set()
            need(not failed or since, "MODIFIED unasked")
            left = {m for m in chosen if (m.uid if by_uid else next((n for n, x in by_number.items() if x is m), 0)) in failed}
            need(len(left) == len(failed), f"MODIFIED {failed}: only {len(left)} were meant")
            for m in chosen:
                if silent and m not in left and m not in c.flagged and m.flags is not None:
                    m.flags = frozenset({"+": m.flags | set(flags), "-": m.flags - set(flags), "": set(flags)}[how])

        self.send(f"{prefix}STORE {numbers}{since} {how}FLAGS{'.SILENT' if silent else ''} ({' '.join(flags)})",
                  expunges=by_uid, done=done)

    def fetch(self):
        target = self.target()
        if not target:
            return
        prefix, numbers, chosen, by_uid = target
        what = random.choice(["FLAGS", "(UID FLAGS)", "(UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])", "(UID BODY[]<0.70>)", "FAST",
                              "(UID RFC822.SIZE ENVELOPE)", "(UID BODYSTRUCTURE)", "(UID BODY.PEEK[])"])
        if self.condstore and random.random() < 0.3:
            what = "(UID FLAGS MODSEQ)"
            if random.random() < 0.5:
                what += f" (CHANGEDSINCE {max(self.highest - random.randrange(20), 1)})"
        self.send(f"{prefix}FETCH {numbers} {what}", expunges=by_uid)

    def search(self):
        key = random.choice(["ALL", "UNSEEN", "DELETED", "KEYWORD k1", "SUBJECT token-1", "LARGER 500 NOT SEEN", "UNDELETED"])
        by_uid = random.random() < 0.5
        count = len(self.view)

        def done(c):
            need(c.state == "OK", c.answer)
            found = searched(c)
            need(by_uid or all(1 <= n <= count for n in found), f"{key}: {found} of {count}")
            need(key != "ALL" or by_uid or not c.expunges and len(found) <= count, f"ALL: {found} of {count}")

        self.send(f"{'UID ' if by_uid else ''}SEARCH {key}", expunges=by_uid, done=done)

    def append(self, name=None):
        name = name or random.choice(list(self.world.folders))
        token, folder = self.world.token(), self.world.folders[name]
        flags = random.choice(["", "(\\Seen) ", "(k1 \\Flagged) ", "(\\Deleted) "])
        message = self.world.message(token)

        def done(c):
            need(c.state == "OK", c.answer)
            validity, uid = re.match(r"\[APPENDUID (\d+) (\d+)\]", c.answer).groups()
            folder.valid(int(validity))
            need(int(uid) not in folder.tokens, f"APPENDUID {uid} is taken")
            folder.learn(int(uid), token)

        self.send(f"APPEND {name} {flags}{{{len(message)}+}}\r\n".encode() + message, done=done)

    def copy(self):
        target = self.target()
        if not target:
            return
        prefix, numbers, _, _ = target
        name, source = random.choice(list(self.world.folders)), self.folder
        to = self.world.folders[name]
        move = not self.read_only and source is not self.world.folders["keep"] and random.random() < 0.5

        def done(c):
            need(c.state == "OK", c.answer)
            code = re.search(r"\[COPYUID (\d+) ([\d:,]+) ([\d:,]+)\]", " ".join(l.decode() for l in c.lines) + c.answer)
            if not code:
                return
            to.valid(int(code.group(1)))
            old, new = members(code.group(2)), members(code.group(3))
            need(len(old) == len(new) == len(set(old)) == len(set(new)), f"COPYUID {code.group(2)} {code.group(3)}")
            for a, b in zip(old, new):
                need(b not in to.tokens, f"COPYUID {b} is taken by {to.tokens.get(b)}")
                if a in source.tokens:
                    to.learn(b, source.tokens[a])

        self.send(f"{prefix}{'MOVE' if move else 'COPY'} {numbers} {name}", done=done)

    def expunge(self):
        if self.read_only or self.folder is self.world.folders["keep"]:
            return
        uids = [self.view[n - 1].uid for n in self.some() if self.view[n - 1].uid]

        def done(c):
            code = re.match(r"\[HIGHESTMODSEQ (\d+)\]", c.answer)
            if code:
                self.on_code("HIGHESTMODSEQ", code.group(1), c)

        if uids and random.random() < 0.5:
            self.send(f"UID EXPUNGE {as_set(uids)}", done=done)
        else:
            self.send("EXPUNGE", done=done)

    def act(self):
        if self.idling:
            if random.random() < 0.3:
                self.done()
            return
        if not self.folder or random.random() < 0.04:
            self.select(random.choice(list(self.world.folders)), random.random() < 0.2)
            return
        dice = random.random()
        if dice < 0.03:
            if random.random() < 0.5 and self.folder is not self.world.folders["keep"] or self.read_only:
                self.do("CLOSE")
            else:
                self.do("UNSELECT")
            self.leave()
        elif dice < 0.06 and self.qresync:
            self.disconnect()
        elif dice < 0.12 and self.name == "idle":
            self.send("IDLE")
            self.idling = True
        else:
            crowded = len(self.view) > CROWD
            random.choices([self.store, self.fetch, self.search, self.append, self.copy, self.expunge, lambda: self.send("NOOP")],
                           [8, 6, 2, 1 if crowded else 4, 1 if crowded else 3, 6 if crowded else 2, 2])[0]()
            if random.random() < 0.2:
                self.send("NOOP")  # pipelined

    def done(self):
        self.transcript.append(b"C: DONE")
        self.wire.send(b"DONE\r\n")
        self.finish()
        self.idling = False

    def hear_idle(self):
        while self.idling and (self.wire.buffer or select.select([self.wire.sock], [], [], 0)[0]):
            self.one()


# ---- beside them ----


def deliver(world):
    token = world.token()
    answers = world.server.deliver([USER + random.choice(["", "", "+a"]) + "@example.com"], world.message(token))
    need(all(a[0] == 250 for a in answers), f"LMTP: {answers}")


def pop3(world):
    w = world.server.wire("pop3")
    w.line()

    def say(text, lines=False):
        w.send(text.encode() + b"\r\n")
        first = w.line()
        need(first.startswith(b"+OK"), f"{text}: {first!r}")
        found = []
        while lines:
            line = w.line()
            if line == b".":
                break
            found.append(line)
        return first, found

    say("USER " + USER)
    say("PASS secret")
    count = int(say("STAT")[0].split()[1])
    listed = say("LIST", True)[1]
    need(len(listed) == count, f"LIST gave {len(listed)} of {count}")
    need(len(say("UIDL", True)[1]) == count, "UIDL and STAT differ")
    for n in random.sample(range(1, count + 1), min(count, 3)):
        if random.random() < 0.5 or count > CROWD:
            say(f"DELE {n}")
    if random.random() < 0.8:
        say("QUIT")
    w.close()


# ---- quiet points ----


def truth(world, name):
    """What a new session is told: {uid: (flags, modseq)}, in order."""
    w = Wire(world.server.port("imap"))
    w.line()
    w.imap(f"LOGIN {USER} secret")
    state, text, lines = w.imap(f"EXAMINE {name} (CONDSTORE)")
    need(state == "OK", f"EXAMINE {name}: {text}")
    codes = dict(re.findall(r"\[([A-Z]+) (\d+)\]", b"\n".join(lines).decode()))
    exists = next(int(l.split()[1]) for l in lines if l.endswith(b" EXISTS"))
    state, text, lines = w.imap("UID FETCH 1:* (UID FLAGS MODSEQ RFC822.SIZE BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    need(state == "OK", text)
    found, size, unseen, deleted = {}, 0, 0, 0
    for number, line in enumerate((l for l in lines if b" FETCH (" in l), 1):
        need(line.startswith(b"* %d FETCH" % number), f"{name}: {line!r} should be number {number}")
        values = parse(line, line.index(b"("))[0]
        items = {k.decode().upper(): v for k, v in zip(values[::2], values[1::2])}
        flags = frozenset(f.decode() for f in items["FLAGS"]) - {"\\Recent"}
        uid = int(items["UID"])
        need(not found or uid > max(found), f"{name}: uid {uid} out of order")
        found[uid] = (flags, int(items["MODSEQ"][0]))
        size, unseen, deleted = size + int(items["RFC822.SIZE"]), unseen + ("\\Seen" not in flags), deleted + ("\\Deleted" in flags)
        subject = next(v for k, v in items.items() if k.startswith("BODY["))
        world.folders[name].learn(uid, re.search(rb"Subject: (\S+)", subject).group(1).decode())
    need(len(found) == exists, f"{name}: EXISTS {exists}, fetched {len(found)}")
    need(all(m[1] <= int(codes["HIGHESTMODSEQ"]) for m in found.values()), f"{name}: a MODSEQ above HIGHESTMODSEQ")
    state, text, lines = w.imap(f"STATUS {name} (MESSAGES UNSEEN SIZE UIDNEXT UIDVALIDITY HIGHESTMODSEQ DELETED)")
    values = parse(lines[0], lines[0].index(b"("))[0]
    status = {k.decode(): int(v) for k, v in zip(values[::2], values[1::2])}
    want = {"MESSAGES": exists, "UNSEEN": unseen, "SIZE": size, "DELETED": deleted, "UIDNEXT": int(codes["UIDNEXT"]),
            "UIDVALIDITY": int(codes["UIDVALIDITY"]), "HIGHESTMODSEQ": int(codes["HIGHESTMODSEQ"])}
    need(status == want, f"{name}: STATUS {status}, counted {want}")
    w.close()
    return found


def compare(client, name, found):
    client.do("NOOP")
    wrong = []
    if len(client.view) != len(found):
        wrong.append(f"{len(client.view)} messages, should be {len(found)}")
    for n, (seen, uid) in enumerate(zip(client.view, found), 1):
        flags, modseq = found[uid]
        if seen.uid not in (None, uid) or seen.flags not in (None, flags) or (client.condstore and seen.modseq not in (None, modseq)):
            wrong.append(f"message {n}: uid {seen.uid} {sorted(seen.flags or [])} {seen.modseq}, should be {uid} {sorted(flags)} {modseq}")
            break
    if wrong:
        raise Violation(f"{client.name} in {name}: {wrong}\n" + "\n".join(repr(t)[2:-1] for t in client.transcript))


def compare_search(client, name, found):
    key = random.choice(FLAGS)
    want = [uid for uid, (flags, _) in found.items() if key in flags]
    state, answer, command = client.do(f"UID SEARCH {key[1:].upper()}")
    need(state == "OK" and searched(command) == want, f"{client.name} in {name}: {key} {answer} {command.lines}, should be {want}")


def quiet(world, clients):
    for c in clients:
        if c.idling:
            c.done()
        c.finish()
    told = {name: truth(world, name) for name in world.folders}
    for c in clients:
        name = next((n for n, f in world.folders.items() if f is c.folder), None)
        if name:
            compare(c, name, told[name])
            compare_search(c, name, told[name])
            if random.random() < 0.5:
                c.learn_all()
                compare(c, name, told[name])
    missing = set(world.folders["keep"].tokens) - set(told["keep"])
    need(not missing, f"keep: {missing} are gone")
    return told


def rearrange(world, clients):
    """CREATE, RENAME, DELETE, while nothing else is under way; nobody has a mailbox selected that is deleted."""
    c = random.choice([c for c in clients if not c.idling])
    name = random.choice([n for n in world.folders if n not in FOLDERS] or ["x"])
    if name not in world.folders:
        equal_state(c.do(f"CREATE {name}"))
        world.folders[name] = Folder()
        c.append(name)
        c.finish()
        need(world.folders[name].validity not in world.validities, f"UIDVALIDITY {world.folders[name].validity} again")
        world.validities.add(world.folders[name].validity)
    elif random.random() < 0.6:
        new = random.choice([n for n in ["x", "y", "z/deep"] if n != name])
        equal_state(c.do(f"RENAME {name} {new}"))
        world.folders[new] = world.folders.pop(name)
    else:
        for other in clients:
            if other.folder is world.folders[name] and not other.idling:
                other.select("INBOX")
        if not any(other.folder is world.folders[name] for other in clients):
            equal_state(c.do(f"DELETE {name}"))
            del world.folders[name]


def equal_state(result):
    need(result[0] == "OK", result[1])


# ---- the test ----


def play(server):
    world = World(server)
    clients = [Client(world, "old"), Client(world, "old2"), Client(world, "new", "IMAP4rev2"), Client(world, "cond", "CONDSTORE"),
               Client(world, "quick", "QRESYNC"), Client(world, "quick2", "QRESYNC IMAP4rev2"), Client(world, "idle"),
               Client(world, "idle", "QRESYNC")]
    for name in ("a", "b", "keep"):
        clients[0].do(f"CREATE {name}")
    end, rounds, told = time.monotonic() + SECONDS, 0, None
    while time.monotonic() < end:
        rounds += 1
        for c in random.sample(clients, random.randrange(1, len(clients) + 1)):
            c.act()
        if random.random() < 0.2:
            deliver(world)
        if random.random() < 0.03:
            pop3(world)
        for c in clients:
            c.hear_idle() if c.idling else c.finish()
        if random.random() < 0.02:
            rearrange(world, clients)
        if rounds % 40 == 0:
            told = quiet(world, clients)
    told = quiet(world, clients)
    print(f"{rounds} rounds, {world.count} new messages, {[len(t) for t in told.values()]} at the end")
    return world, told


def test():
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    print(f"seed {seed}", flush=True)
    server = Server().start()
    random.seed(seed)
    try:
        world, told = play(server)
        check("every client is told the truth, in the order the RFCs allow", True)
    except Violation as e:
        print(e)
        check("every client is told the truth, in the order the RFCs allow", False, str(e).splitlines()[0])
        return
    equal("the server stops cleanly", server.stop(60), 0)
    server.start()
    equal("a new process tells the same", {name: truth(world, name) for name in told}, told)
    server.check_end()


main(test, int(SECONDS * 2) + 60)
