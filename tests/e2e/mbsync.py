#!/usr/bin/env python3
"""mbsync: thousands of messages both ways, flags both ways, new mail and deletions both ways; a second run changes nothing."""
import os
import re

from lib import PASSWORD, Server, check, equal, fill, main, run, sample, scratch

COUNT = 3000
CONFIG = """FSync no

IMAPStore there
Host 127.0.0.1
Port {port}
User u00001
Pass {password}
SSLType {tls}
{more}

MaildirStore here
Path {dir}/mail/
Inbox {dir}/mail/INBOX
SubFolders Verbatim

Channel all
Far :there:
Near :here:
Patterns *
Create Both
Expunge Both
SyncState *
"""


class Here:
    """The maildir that mbsync keeps."""

    def __init__(self, s, tls):
        self.dir = scratch("mbsync")
        os.makedirs(os.path.join(self.dir, "mail"))
        self.config = os.path.join(self.dir, "mbsyncrc")
        with open(self.config, "w") as f:
            f.write(CONFIG.format(port=s.port("imaps" if tls == "IMAPS" else "imap"), password=PASSWORD, tls=tls, dir=self.dir,
                                  more="AuthMechs LOGIN" if tls == "None" else f"CertificateFile {s.dir}/tls/certificate.pem"))

    def sync(self, seconds=120):
        return run(["mbsync", "-c", self.config, "-V", "all"], seconds, env={**os.environ, "HOME": self.dir})

    def folder(self, name, part):
        return os.path.join(self.dir, "mail", name, part)

    def files(self, name="INBOX"):
        """number of the sample -> path"""
        found = {}
        for part in ("cur", "new"):
            if not os.path.isdir(self.folder(name, part)):
                continue
            for entry in os.listdir(self.folder(name, part)):
                path = os.path.join(self.folder(name, part), entry)
                with open(path, "rb") as f:
                    number = int(re.search(rb"Subject: sample number (\d+)", f.read(4000)).group(1))
                if number in found:
                    raise RuntimeError(f"sample {number} is there twice: {path}")
                found[number] = path
        return found

    def flags(self, name="INBOX"):
        return {n: "".join(sorted(path.rpartition(":2,")[2] if ":2," in path else "")) for n, path in self.files(name).items()}

    def add(self, number, name="INBOX", flags=""):
        path = os.path.join(self.folder(name, "cur"), f"1800000000.{number}.here:2,{flags}")
        with open(path, "wb") as f:
            f.write(sample(number).replace(b"\r\n", b"\n"))

    def set_flags(self, numbers, flags):
        files = self.files()
        for n in numbers:
            name = os.path.basename(files[n]).split(":2,")[0]
            os.rename(files[n], os.path.join(self.folder("INBOX", "cur"), name + ":2," + flags))


LETTERS = {rb"\Seen": "S", rb"\Flagged": "F", rb"\Answered": "R", rb"\Draft": "D", rb"\Deleted": "T"}


def flags_there(s, name="INBOX"):
    """number of the sample -> flag letters"""
    m = s.imap()
    m.select(f'"{name}"', readonly=True)
    found = {}
    for answer in m.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]:
        if not isinstance(answer, tuple):
            continue
        number = int(re.search(rb"sample number (\d+)", answer[1]).group(1))
        if number in found:
            raise RuntimeError(f"sample {number} is there twice")
        found[number] = "".join(sorted(v for k, v in LETTERS.items() if k in answer[0]))
    m.logout()
    return found


def same(s, here, name="INBOX"):
    return here.flags(name) == flags_there(s, name)


def state_files(here):
    found = {}
    for folder, _, names in os.walk(os.path.join(here.dir, "mail")):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as f:
                found[path] = f.read()
    return found


def first_sync(s, here):
    fill(s, "u00001", "INBOX", (sample(n) for n in range(COUNT)))
    fill(s, "u00001", "Work/2025", (sample(n) for n in range(40)), flags=r"(\Seen \Flagged)")
    done = here.sync()
    check("the first sync", done.code == 0, done)
    equal("all messages came", len(here.files()), COUNT)
    equal("and those of the other folder", len(here.files("Work/2025")), 40)
    check("flags came along", same(s, here) and same(s, here, "Work/2025"))
    wrong = 0
    for n, path in here.files().items():
        with open(path, "rb") as f:
            text = re.sub(rb"X-TUID: [^\n]*\n", b"", f.read())
        wrong += text.replace(b"\r\n", b"\n") != sample(n).replace(b"\r\n", b"\n")
    equal("every octet of them", wrong, 0)


def nothing_to_do(s, here):
    before, there = state_files(here), flags_there(s)
    highest = s.imap()
    status = highest.status("INBOX", "(MESSAGES UIDNEXT HIGHESTMODSEQ)")[1]
    done = here.sync()
    check("a second run", done.code == 0, done)
    check("... changes nothing here", state_files(here) == before)
    check("... nor there", flags_there(s) == there and highest.status("INBOX", "(MESSAGES UIDNEXT HIGHESTMODSEQ)")[1] == status)
    highest.logout()


def changes_both_ways(s, here):
    m = s.imap()
    m.select()
    m.store("1:100", "+FLAGS.SILENT", r"(\Seen)")
    m.store("50:60", "+FLAGS.SILENT", r"(\Flagged \Answered)")
    here.set_flags(range(200, 300), "FS")
    for n in range(COUNT, COUNT + 30):
        m.append("INBOX", r"(\Seen)", None, sample(n))
    for n in range(COUNT + 100, COUNT + 130):
        here.add(n, flags="S")
    m.logout()
    done = here.sync()
    check("flags and new mail both ways", done.code == 0, done)
    flags = flags_there(s)
    check("flags from there", here.flags()[0] == "S" and here.flags()[55] == "FRS", (here.flags()[0], here.flags()[55]))
    check("flags from here", all(flags[n] == "FS" for n in range(200, 300)))
    check("new mail from here", all(flags.get(n) == "S" for n in range(COUNT + 100, COUNT + 130)))
    files = here.files()
    check("new mail from there", all(n in files for n in range(COUNT, COUNT + 30)))
    check("both sides are the same", same(s, here))


def deletions_both_ways(s, here):
    m = s.imap()
    m.select()
    m.store("1:50", "+FLAGS.SILENT", r"(\Deleted)")
    m.expunge()
    m.logout()
    files = here.files()
    for n in range(500, 550):
        os.remove(files[n])
    here.set_flags(range(600, 610), "ST")
    done = here.sync()
    check("deletions both ways", done.code == 0, done)
    there, files = flags_there(s), here.files()
    check("gone here what went there", not any(n in files for n in range(50)))
    check("gone there what went here", not any(n in there for n in [*range(500, 550), *range(600, 610)]))
    equal("the others stay", len(there), COUNT + 60 - 110)
    check("both sides are the same again", same(s, here))


def folders(s, here):
    for part in ("cur", "new", "tmp"):
        os.makedirs(here.folder("Made here", part))
    here.add(7, "Made here")
    done = here.sync()
    check("a new folder goes there", done.code == 0 and flags_there(s, "Made here") == {7: ""}, done)


def test():
    s = Server().start()
    here = Here(s, "None")
    first_sync(s, here)
    nothing_to_do(s, here)
    changes_both_ways(s, here)
    nothing_to_do(s, here)
    deletions_both_ways(s, here)
    folders(s, here)
    nothing_to_do(s, here)
    for tls in ("STARTTLS", "IMAPS"):
        other = Here(s, tls)
        done = other.sync()
        check(f"{tls}: the whole account", done.code == 0 and same(s, other), done)
    s.check_end()


main(test, 240)
