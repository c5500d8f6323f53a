#!/usr/bin/env python3
"""import and export: a maildir as Dovecot leaves it (UIDs, keywords, Maildir++ and nested folders), mbox, trees of .eml; while
serving and not; interrupted and taken up again; exported and compared, and imported from the export once more."""
import email
import mailbox
import os
import re
import signal
import subprocess
import time

from lib import PROGRAM, Server, check, equal, main, run, sample, scratch, start, wait_for

KEYWORDS = ["$Forwarded", "Junk", "important"]
DATE = 1_600_000_000
LARGE = 12_000  # messages of the import that is interrupted


def lf(message):
    return message.replace(b"\r\n", b"\n")


# ---- what is imported ----


class Maildir:
    """folder -> [(sample, uid, letters)]"""

    def __init__(self, path, nested):
        self.path, self.nested, self.folders = path, nested, {}

    def place(self, name):
        if name == "INBOX":
            return self.path
        if self.nested:
            return os.path.join(self.path, *name.split("/"))
        return os.path.join(self.path, "." + name.replace("/", "."))

    def add(self, name, messages, encoded=None, validity=1_700_000_000):
        """messages: (sample, uid, flag letters); UIDs as Dovecot keeps them"""
        place = self.place(encoded or name)
        for part in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(place, part), exist_ok=True)
        rows = []
        for n, uid, letters in messages:
            base = f"{DATE + n}.M{n}P1.host,S={len(sample(n))}"
            path = os.path.join(place, "cur", f"{base}:2,{letters}") if letters is not None else os.path.join(place, "new", base)
            with open(path, "wb") as f:
                f.write(lf(sample(n)))
            os.utime(path, (DATE + n, DATE + n))
            rows.append(f"{uid} :{base}\n")
        with open(os.path.join(place, "dovecot-uidlist"), "w") as f:
            f.write(f"3 V{validity} N{max((m[1] for m in messages), default=0) + 1} G0123456789abcdef0123456789abcdef\n" + "".join(rows))
        with open(os.path.join(place, "dovecot-keywords"), "w") as f:
            f.writelines(f"{i} {k}\n" for i, k in enumerate(KEYWORDS))
        self.folders[name] = messages
        return self


def letters_to_flags(letters):
    names = {"S": "\\Seen", "F": "\\Flagged", "R": "\\Answered", "D": "\\Draft", "T": "\\Deleted", "a": KEYWORDS[0],
             "b": KEYWORDS[1], "c": KEYWORDS[2]}
    return {names[x] for x in letters or ""}


def make_maildir(nested, inbox=300):
    flags = ["", "S", "FS", "RS", "Sa", "FSbc", "DS", "ST", "c", None]
    m = Maildir(scratch("maildir"), nested)
    m.add("INBOX", [(n, 10 + 3 * n, flags[n % 10]) for n in range(inbox)])
    m.add("Work", [(n, n - 990, "S") for n in range(1000, 1040)])
    m.add("Work/2025/May", [(n, 7 * (n - 1999), "") for n in range(2000, 2020)])
    m.add("Entwürfe", [(3000, 5, "D")], encoded="Entw&APw-rfe")
    m.add("Empty", [])
    with open(os.path.join(m.path, "subscriptions"), "w") as f:
        f.write("V\t2\n\nWork\nWork\t2025\tMay\n")
    return m


# ---- what is there then ----


def utf7(name):
    return '"' + name.replace("ü", "&APw-") + '"'


def in_mailbox(m, name):
    """uid -> (number of the sample, flags, octets, seconds)"""
    if m.select(utf7(name), readonly=True)[0] != "OK":
        return None
    found = {}
    for answer in m.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")[1]:
        if not isinstance(answer, tuple):
            continue
        uid = int(re.search(rb"UID (\d+)", answer[0]).group(1))
        flags = set(re.search(rb"FLAGS \(([^)]*)\)", answer[0]).group(1).decode().split())
        date = email.utils.parsedate_to_datetime(re.search(rb'INTERNALDATE "\s*([^"]*)"', answer[0]).group(1).decode().replace("-", " "))
        number = int(re.search(rb"Subject: sample number (\d+)", answer[1]).group(1))
        found[uid] = (number, flags - {"\\Recent"}, answer[1], int(date.timestamp()))
    return found


def check_maildir(name, s, user, m):
    with_session = s.imap(user)
    for folder, messages in m.folders.items():
        got = in_mailbox(with_session, folder)
        want = {uid: (n, letters_to_flags(letters), sample(n), DATE + n) for n, uid, letters in messages}
        detail = {} if got is None else {u: ((got.get(u) or ())[:2], want.get(u, ())[:2]) for u in {*got, *want}
                                         if got.get(u) != want.get(u)}
        check(f"{name}: {folder} has {len(messages)} messages with UIDs, flags, dates, octets", got == want,
              "missing" if got is None else f"{len(detail)} differ: {list(detail.items())[:3]}")
    with_session.logout()


def check_subscribed(name, s, user):
    m = s.imap(user)
    names = b"\n".join(x for x in m.lsub()[1] if x)
    m.logout()
    check(f"{name}: subscriptions", b"Work/2025/May" in names, names)


# ---- imports ----


def whole_imports(s):
    for user, nested, name in (("u00001", False, "Maildir++"), ("u00002", True, "nested maildir")):
        m = make_maildir(nested)
        done = s.command("import", user, m.path)
        check(f"{name}: import", done.code == 0 and re.search("361 messages imported", done.out), done)
        check_maildir(name, s, user, m)
        check_subscribed(name, s, user)
        again = s.command("import", user, m.path)
        check(f"{name}: a second time nothing comes twice", again.code == 0 and "0 messages imported" in again.out, again)
        check_maildir(name + ", after the second time", s, user, m)


def mbox_import(s):
    folder = scratch("mbox")
    box = mailbox.mbox(os.path.join(folder, "mbox"))
    for n in range(50):
        message = mailbox.mboxMessage(lf(sample(n)))
        message.set_from("sender@example.org", time.gmtime(DATE + n))
        message.set_flags("RO" if n % 2 else "O")
        if n % 5 == 0:
            message.add_flag("F")
        box.add(message)
    box.flush()
    with open(os.path.join(folder, "Notes"), "wb") as f:
        f.write(b"From someone@example.org Sun Sep 13 12:26:40 2020\nSubject: sample number 1\n\nbody\n\n>From the start\n>>From "
                b"deeper\nno From here\n\nFrom other@example.org Sun Sep 13 12:26:41 2020\nSubject: sample number 2\nX-Status: A\n\nsecond\n")
    done = s.command("import", "u00003", folder, "--format", "mbox")
    check("mbox: import of a directory", done.code == 0 and "52 messages imported" in done.out, done)
    m = s.imap("u00003")
    got = in_mailbox(m, "INBOX")
    check("mbox: 50 messages, in order", [v[0] for _, v in sorted(got.items())] == list(range(50)), sorted(got)[:5])
    check("mbox: every octet", all(v[2].rstrip() == sample(v[0]).rstrip() for v in got.values()))
    check("mbox: flags", all(("\\Seen" in v[1]) == bool(v[0] % 2) and ("\\Flagged" in v[1]) == (v[0] % 5 == 0) for v in got.values()))
    check("mbox: dates", all(v[3] == DATE + v[0] for v in got.values()), [v[3] - DATE for v in got.values()][:5])
    notes = in_mailbox(m, "Notes")
    check("mbox: >From", len(notes) == 2 and b"\r\nFrom the start\r\n>From deeper\r\nno From here" in notes[1][2], notes)
    check("mbox: X-Status", notes and "\\Answered" in notes[2][1] and b"X-Status" not in notes[2][2], notes)
    m.logout()


def eml_import(s):
    folder = scratch("eml")
    for n in range(30):
        where = os.path.join(folder, *[[], ["Work"], ["Work", "Old"]][n % 3])
        os.makedirs(where, exist_ok=True)
        with open(os.path.join(where, f"{n:03}.eml"), "wb") as f:
            f.write(sample(n) if n % 2 else lf(sample(n)))
    done = s.command("import", "u00004", folder)
    check("eml: import", done.code == 0 and "30 messages imported" in done.out, done)
    m = s.imap("u00004")
    for name, rest in (("INBOX", 0), ("Work", 1), ("Work/Old", 2)):
        got = in_mailbox(m, name) or {}
        check(f"eml: {name}", sorted(v[0] for v in got.values()) == list(range(rest, 30, 3)) and
              all(v[2] == sample(v[0]) for v in got.values()), got.keys())
    done = s.command("import", "u00004", folder, "--mailbox", "Below")
    check("eml: --mailbox", done.code == 0 and len(in_mailbox(m, "Below/Work/Old") or {}) == 10, done)
    m.logout()


def interrupted(s):
    """SIGINT, SIGTERM and SIGKILL of the command, kill -9 of the server; in the end all is there once."""
    m = Maildir(scratch("large"), False)
    m.add("INBOX", [])
    place = m.path
    rows = []
    for n in range(LARGE):
        base = f"{DATE + n}.M{n}.host"
        with open(os.path.join(place, "cur", base + ":2,S"), "wb") as f:
            f.write(b"Subject: sample number %d\n\n" % n + (b"x" * 70 + b"\n") * (n % 100 + 20))
        rows.append(f"{5 + 2 * n} :{base}\n")
    with open(os.path.join(place, "dovecot-uidlist"), "w") as f:
        f.write("3 V1700000000 N99999\n" + "".join(rows))
    cut, session = 0, s.imap("u00005")
    for how in (signal.SIGINT, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, None, signal.SIGINT):
        process = start([PROGRAM, "-o", f"store={s.dir}", "import", "u00005", place], stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        began = count(session)
        wait_for(lambda: count(session) > began + 200 or process.poll() is not None, 20, 0.005)
        if process.poll() is None:
            cut += 1
            if how:
                os.kill(process.pid, how)
            else:
                s.kill()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            check(f"interrupted: the command ends by {how}", False)
            process.kill()
        if not s.is_alive():
            s.start()
            session = s.imap("u00005")
    check("interrupted: at least four times in the middle", cut >= 4, cut)
    done = s.command("import", "u00005", place)
    check("interrupted: taken up again", done.code == 0 and "were there already" in done.out, done)
    session.logout()
    check_large("interrupted", s, "u00005")
    return place


def check_large(name, s, user):
    session = s.imap(user)
    session.select(readonly=True)
    lines = session.uid("FETCH", "1:*", "(UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
    session.logout()
    got = [(int(re.search(rb"UID (\d+)", x[0]).group(1)), int(re.search(rb"number (\d+)", x[1]).group(1))) for x in lines
           if isinstance(x, tuple)]
    numbers = [n for _, n in got]
    equal(f"{name}: all are there", len(set(numbers)), LARGE)
    equal(f"{name}: none twice", len(numbers), LARGE)
    check(f"{name}: with their UIDs", all(uid == 5 + 2 * n for uid, n in got), [g for g in got if g[0] != 5 + 2 * g[1]][:5])


def interrupted_alone(s, place):
    """The same where the command opens the store itself."""
    s.command("user", "add", "u00009", input="secret\n")
    for how in (signal.SIGINT, signal.SIGKILL, signal.SIGTERM):
        process = start([PROGRAM, "-o", f"store={s.dir}", "import", "u00009", place], stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.7)
        os.kill(process.pid, how)
        code = process.wait(15)
        check(f"not serving: interrupted by {how.name}", code in (0, -how, 128 + how), code)
    done = s.command("import", "u00009", place)
    check("not serving: taken up again", done.code == 0, done)


def count(session):
    return int(re.search(rb"MESSAGES (\d+)", session.status("INBOX", "(MESSAGES)")[1][0]).group(1))


def bad_arguments(s):
    rows = [(["import", "u00001", "/nowhere/at/all"], "does not exist"), (["import", "nobody-here", "/tmp"], "nobody"),
            (["import", "u00001"], "too few"), (["import", "u00001", "/tmp", "--format", "pst"], "unknown format"),
            (["export", "nobody-here", scratch("x")], "export of nobody"), (["export", "u00001"], "export to nowhere")]
    for args, name in rows:
        done = s.command(*args)
        check(f"arguments: {name}", done.code not in (0, None) and done.code < 128 and done.err.strip(), done)


# ---- exports ----


def read_maildir(path):
    """[(number, flags, octets, seconds)] of one exported folder"""
    found = []
    letters = {"S": "\\Seen", "F": "\\Flagged", "R": "\\Answered", "D": "\\Draft", "T": "\\Deleted"}
    for part in ("cur", "new"):
        for name in sorted(os.listdir(os.path.join(path, part))):
            full = os.path.join(path, part, name)
            with open(full, "rb") as f:
                text = f.read()
            flags = {letters[x] for x in name.rpartition(":2,")[2] if x in letters} if ":2," in name else set()
            found.append((int(re.search(rb"sample number (\d+)", text).group(1)), flags, text, int(os.stat(full).st_mtime)))
    return found


def exports(s, when):
    folder = scratch("export")
    done = s.command("export", "u00001", folder)
    check(f"{when}: export to maildir", done.code == 0 and "361 messages exported" in done.out, done)
    m = make_maildir(False)
    for name in ("INBOX", "Work", "Work/2025/May", "Entwürfe"):
        place = next((p for p in (m.place(name), ) for p in [p.replace(m.path, folder)] if os.path.isdir(p)), None) or \
            next((os.path.join(folder, x) for x in os.listdir(folder) if x == "." + utf7(name).strip('"').replace("/", ".")), None)
        if not check(f"{when}: {name} is a folder", place, os.listdir(folder)):
            continue
        want = [(n, {f for f in letters_to_flags(letters) if f.startswith("\\")}, lf(sample(n)), DATE + n)
                for n, _, letters in m.folders[name]]
        got = read_maildir(place)
        check(f"{when}: {name} is the same", sorted(got, key=lambda x: x[0]) == want,
              [(a[:2], b[:2]) for a, b in zip(sorted(got, key=lambda x: x[0]), want) if a != b][:3])
    return folder, m


def round_trip(s, folder, m):
    done = s.command("import", "u00006", folder)
    check("round trip: import of the export", done.code == 0, done)
    check_maildir("round trip", s, "u00006", m)
    again = s.command("export", "u00006", "--format", "mbox", os.path.join(scratch("mbox"), "out"))
    check("round trip: export to mbox", again.code == 0, again)


def export_mbox(s):
    folder = scratch("mbox-out")
    done = s.command("export", "u00001", folder, "--format", "mbox")
    check("mbox: export", done.code == 0, done)
    path = os.path.join(folder, "INBOX.mbox")
    if not check("mbox: a file for INBOX", os.path.isfile(path), os.listdir(folder)):
        return
    box = mailbox.mbox(path)
    got = {int(x["Subject"].split()[-1]): x for x in box}
    equal("mbox: Python reads all", len(got), 300)
    whole = 0
    for n in range(300):
        head, _, body = lf(sample(n)).partition(b"\n\n")
        whole += got[n].get_payload() is not None and body.rstrip(b"\n") in got[n].as_bytes().replace(b"\n>From ", b"\nFrom ") \
            if n % 4 < 2 else 1
    equal("mbox: whole", whole, 300)
    check("mbox: flags", "R" in got[1].get_flags() and "F" in got[2].get_flags() and "R" not in got[0].get_flags())
    done = s.command("import", "u00007", path)
    m = s.imap("u00007")
    there = in_mailbox(m, "INBOX")
    m.logout()
    check("mbox: imported again, every octet", done.code == 0 and len(there) == 300 and
          all(v[2].rstrip() == sample(v[0]).rstrip() for v in there.values()), done)
    check("mbox: with flags and keywords", there and all(v[1] == letters_to_flags(["", "S", "FS", "RS", "Sa", "FSbc", "DS", "ST", "c", ""]
          [v[0] % 10]) for v in there.values()), [(v[0], v[1]) for v in there.values()][:10])
    check("mbox: with dates", all(v[3] == DATE + v[0] for v in there.values()))


def test():
    s = Server().start()
    whole_imports(s)
    mbox_import(s)
    eml_import(s)
    bad_arguments(s)
    place = interrupted(s)
    folder, m = exports(s, "serving")
    round_trip(s, folder, m)
    export_mbox(s)
    equal("stops", s.stop(), 0)
    exports(s, "not serving")
    interrupted_alone(s, place)
    other = make_maildir(True, inbox=100)
    done = s.command("import", "u00008", other.path)
    if done.code != 0:  # the account of a demo is made at its first login: here nobody has logged in
        s.command("user", "add", "u00008", input="secret\n")
        done = s.command("import", "u00008", other.path)
    check("not serving: import", done.code == 0 and "161 messages imported" in done.out, done)
    s.start()
    check_maildir("not serving", s, "u00008", other)
    check_large("not serving, interrupted", s, "u00009")
    s.check_end()


main(test, 175)
