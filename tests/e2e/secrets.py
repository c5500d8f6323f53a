#!/usr/bin/env python3
"""Who has what in memory: no octets of private keys, password hashes, SCRAM keys or passwords in the processes that
talk to the world or hold the mail. Read from outside, as a core would show it; the keeper, who has them, shows that the search finds them.

Needs root, as whoever reads another process's memory."""
import base64
import os
import re
import ssl

from lib import Served, check, main, run

WORD = "Correct-Horse-Battery-77"
RUN = 16  # octets in a row that count as found


def regions(pid, files=False):
    """What lies in the memory of a process that can be read and written: heaps, stacks, data, and what it shares with others of ours.
    files: mapped ones, too."""
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights, _, device, *_ = line.split()
            if not (rights[0] == "r" if files else rights[:2] == "rw" and (rights[3] == "p" or device == "00:01")):
                continue
            start, end = (int(n, 16) for n in span.split("-"))
            while start < end:
                size = min(end - start, 1 << 24)
                try:
                    memory.seek(start)
                    octets = memory.read(size)
                except (OSError, ValueError, OverflowError):
                    octets = b""
                if octets.strip(b"\0"):
                    yield octets
                start += size


def finds(pid, secrets, files=False):
    """The names of those of which some run of octets is there."""
    found = set()
    for octets in regions(pid, files):
        for name, secret in secrets.items():
            if any(secret[at:at + RUN] in octets for at in range(0, len(secret) - RUN + 1, 4)):
                found.add(name)
    return sorted(found)


def private_number(path):
    """The secret number of an EC key."""
    done = run(["openssl", "pkey", "-in", path, "-noout", "-text"], 20)
    text = re.search(rb"priv:\s*((?:[0-9a-f:\s])+)pub:", done.out.encode()).group(1)
    return bytes.fromhex(re.sub(rb"[\s:]", b"", text).decode()).lstrip(b"\0")


def credential(dir, login):
    """What the keeper's database has of a login: argon2's string and the SCRAM keys in front of it."""
    with open(os.path.join(dir, "keeper", "data.mdb"), "rb") as f:
        data = f.read()
    at = data.index(b"$argon2id$", data.index(login.encode()))
    argon2 = data[at:data.index(b"\0", at) if b"\0" in data[at:at + 120] else at + 97]
    return argon2.rpartition(b"$")[2][:40], data[at - 1 - 104:at - 1]


def test():
    s = Served(single_process="no").start()
    check("the user is added", s.command("user", "add", "anna", input=(WORD + "\n").encode()).code == 0)
    for tls in (False, True):
        for _ in range(5):
            w = s.wire("imaps" if tls else "imap", tls)
            w.line()
            state, text, _ = w.imap(f'LOGIN anna "{WORD}"')
            check("the user logs in", state == "OK", text)
            w.imap("LOGOUT")
            w.close()
        w = s.wire("imaps" if tls else "imap", tls)
        w.line()
        w.imap("AUTHENTICATE PLAIN " + base64.b64encode(f"\0anna\0{WORD}".encode()).decode())
        w.close()
    number = private_number(os.path.join(s.dir, "tls", "key.pem"))
    argon2, scram = credential(s.dir, "anna")
    with open(os.path.join(s.dir, "tls", "key.pem"), "rb") as f:
        pem = f.read()
    secrets = {"the key's number": number, "the key's number, as words": number[::-1], "the key, PEM": pem.split(b"\n")[1], "argon2's hash": argon2,
               "SCRAM keys": scram}
    for pid in s.role("keeper"):  # where they are, the search finds them
        found = finds(pid, secrets, files=True)
        check("the keeper has the key", any("number" in n for n in found), found)
        check("the keeper has the hash and SCRAM's keys", {"argon2's hash", "SCRAM keys"} <= set(found), found)
    with open(os.path.join(s.dir, "tls", "certificate.pem"), encoding="ascii") as f:
        public = {"certificate": ssl.PEM_cert_to_DER_cert(f.read())[100:]}
    for role in ("front", "house", "runner"):
        pids = s.role(role)
        check(f"there is a {role}", pids)
        for pid in pids:
            if role == "front":
                check("a front has the certificate", finds(pid, public))
            found = finds(pid, secrets)
            check(f"a {role} holds no key and no hash", not found, found)
    for pid in s.role("front") + s.role("keeper"):
        found = finds(pid, {"the password": WORD.encode()})
        check("no password stays where it was checked", not found, found)
    s.check_end()


main(test, 180)
