#!/usr/bin/env python3
"""Moving in from Dovecot, Courier and Cyrus: a POP3 client sees every unique-id as it was, so it fetches nothing again; and
no two messages ever have the same."""
import os
import poplib
import socket
import threading

from lib import HOST, PASSWORD, Served, check, equal, main, run, sample, scratch

VALIDITY = 1275660208
COUNT = 12


def maildir(name):
    """Messages 0 to COUNT - 1 in cur; the base names."""
    path = os.path.join(scratch(name), "Maildir")
    bases = [f"{1270000000 + n}.M{n}P7.old.example.org,S={400 + n}" for n in range(COUNT)]
    for part in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(path, part))
    for n, base in enumerate(bases):
        with open(os.path.join(path, "cur", base + ":2,S"), "wb") as f:
            f.write(sample(n).replace(b"\r\n", b"\n"))
    return path, bases


def write(path, name, lines):
    with open(os.path.join(path, name), "w") as f:
        f.write("\n".join(lines) + "\n")


def dovecot():
    """Message 3 has an id of an earlier server, 4 and 5 (by mistake) the same, 6 what 7's would be."""
    path, bases = maildir("dovecot")
    words = {3: "PUID7-1270000000 W512 ", 4: "W512 Psame Gabc ", 5: "Psame ", 6: f"P{8:08x}{VALIDITY:08x} "}
    write(path, "dovecot-uidlist", [f"3 V{VALIDITY} N{COUNT + 1} G3085f01b7f11094c501100008c4a11c1"]
          + [f"{n + 1} {words.get(n, '')}:{base}" for n, base in enumerate(bases)])
    return path


def courier():
    path, bases = maildir("courier")
    write(path, "courierimapuiddb", [f"1 {VALIDITY} {COUNT + 1}"] + [f"{n + 1} {b}" for n, b in enumerate(bases)])
    write(path, "courierpop3dsizelist", [f"/3 {COUNT + 50} 1276000000"]
          + [f"{b}:2,S 500 {(n + 40) if n else 0}:{1276000000 if n != 1 else 0}:0" for n, b in enumerate(bases)])
    return path, bases


def uidls(s, user):
    p = poplib.POP3(HOST, s.port("pop3"))
    p.user(user), p.pass_(PASSWORD)
    ids = [line.split(None, 1)[1].decode() for line in p.uidl()[1]]
    one = [p.uidl(n + 1).split()[2].decode() for n in range(len(ids))]
    equal(f"{user}: UIDL one by one says the same", one, ids)
    equal(f"{user}: no two are the same", len(set(ids)), len(ids))
    p.quit()
    return ids


def take_in(s, user, path, again=()):
    if not again:
        s.command("user", "add", user, input=PASSWORD + "\n")
    done = s.command("import", user, path, *again)
    check(f"{user}: import {' '.join(again)}", done.code == 0, done)


def from_dovecot():
    s = Served(pop3_uidl="dovecot").start()
    path = dovecot()
    take_in(s, "anna", path)
    ids = uidls(s, "anna")
    like = [f"{n + 1:08x}{VALIDITY:08x}" for n in range(COUNT)]
    same = [n for n in range(COUNT) if n not in (3, 4, 5, 6, 7)]
    equal("dovecot: ids are made as Dovecot makes them", [ids[n] for n in same], [like[n] for n in same])
    equal("dovecot: P entries are kept", [ids[n] for n in (3, 4, 6)], ["UID7-1270000000", "same", like[7]])
    equal("dovecot: of two the first has it", ids[5], like[5])
    check("dovecot: what was given away is not made again", ids[7] not in like, ids[7])
    s.deliver(["anna@example.com"], sample(100))
    equal("dovecot: a new message goes on", uidls(s, "anna"), ids + [f"{COUNT + 1:08x}{VALIDITY:08x}"])
    p = poplib.POP3(HOST, s.port("pop3"))
    p.user("anna"), p.pass_(PASSWORD)
    p.dele(5), p.dele(7)
    p.quit()
    s.kill()
    s.start()
    left = [n for n in range(COUNT) if n not in (4, 6)]
    equal("dovecot: they stay, though those that had them have gone", uidls(s, "anna")[:COUNT - 2], [ids[n] for n in left])
    take_in(s, "anna", path, ("--again",))
    all_ids = uidls(s, "anna")
    equal("dovecot: twice the same mail, and the ids are others", len(all_ids), COUNT - 2 + 1 + COUNT)
    client(s, "anna")
    s.check_end()


class OldServer:
    """The server they move from: messages and unique-ids, one connection after the other."""

    def __init__(self, ids):
        self.ids, self.socket = ids, socket.create_server((HOST, 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection = self.socket.accept()[0]
            lines = connection.makefile("rb")
            connection.sendall(b"+OK old\r\n")
            for line in lines:
                word, _, n = line.decode().strip().partition(" ")
                connection.sendall(self.answer(word.upper(), int(n) if n.isdigit() else 0).encode())
                if word.upper() == "QUIT":
                    break
            connection.close()

    def answer(self, word, n):
        size = 400
        rows = {"LIST": [f"{i + 1} {size}" for i in range(len(self.ids))],
                "UIDL": [f"{i + 1} {d}" for i, d in enumerate(self.ids)]}.get(word)
        if word == "CAPA":
            return "-ERR no\r\n"
        if word == "RETR":
            return "+OK\r\n" + "Subject: old\r\n\r\nbody\r\n.\r\n"
        if rows is not None:
            return "+OK " + (rows[n - 1] + "\r\n" if n else "\r\n" + "".join(r + "\r\n" for r in rows) + ".\r\n")
        return f"+OK {len(self.ids)} {size * len(self.ids)}\r\n"


def mpop(home, port, user):
    rc = os.path.join(home, "rc")
    with open(rc, "w") as f:
        f.write(f"account default\nhost {HOST}\nport {port}\nuser {user}\npassword {PASSWORD}\ntls off\nauth user\n"
                f"keep on\ndelivery maildir {home}/box\nuidls_file {home}/uidls\n")
    os.chmod(rc, 0o600)
    done = run(["mpop", "-C", rc], 60)
    check("mpop fetches", done.code == 0, done)
    return len(os.listdir(os.path.join(home, "box", "new")))


def client(s, user):
    """mpop knows by unique-ids what it has; it gets one message here that the old server did not have."""
    home = scratch("mpop")
    for part in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(home, "box", part))
    ids = uidls(s, user)
    equal("mpop: all that the old server has", mpop(home, OldServer(ids[:-1]).port, user), len(ids) - 1)
    equal("mpop: only what is new after the move", mpop(home, s.port("pop3"), user), len(ids))
    equal("mpop: nothing the next time", mpop(home, s.port("pop3"), user), len(ids))


def from_courier():
    s = Served(pop3_uidl="courier").start()
    path, bases = courier()
    take_in(s, "carl", path)
    ids = uidls(s, "carl")
    wanted = [bases[0], "UID41"] + [f"UID{n + 40}-1276000000" for n in range(2, COUNT)]
    equal("courier: ids are what they were", ids, wanted)
    m = s.imap("carl")
    m.select(readonly=True)
    equal("courier: so are the UIDs of IMAP", m.response("UIDVALIDITY")[1], [str(VALIDITY).encode()])
    m.logout()
    s.check_end()


def formats():
    path, bases = maildir("plain")
    write(path, "dovecot-uidlist", [f"3 V{VALIDITY} N{COUNT + 1}"] + [f"{n + 1} :{b}" for n, b in enumerate(bases)])
    for name, made in (("cyrus", lambda n: f"{VALIDITY}.{n + 1}"), ("uid", lambda n: str(n + 1)), ("filename", lambda n: bases[n]),
                       ("%v-%u", lambda n: f"{VALIDITY}-{n + 1}"), ("", lambda n: f"{VALIDITY:08x}{n + 1:08x}")):
        s = Served(pop3_uidl=name).start()
        take_in(s, "emil", path)
        s.deliver(["emil@example.com"], sample(100))
        ids = uidls(s, "emil")
        equal(f"format {name!r}", ids[:COUNT], [made(n) for n in range(COUNT)])
        check(f"format {name!r}: also where there is no file", len(ids) == COUNT + 1 and ids[-1], ids)
        s.stop()
    done = Served(pop3_uidl="%v").command("config", "--check")
    check("a format without %u is refused", done.code == 78 and "pop3_uidl" in done.err, done)


def test():
    from_dovecot()
    from_courier()
    formats()


main(test, 180)
