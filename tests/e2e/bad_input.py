#!/usr/bin/env python3
"""Hostile and broken clients: over-long lines, huge literals, noise, half commands, abandoned connections, wrong line ends,
mail nested ten thousand deep, headers without end. Each gets a BAD, NO, -ERR, 5xx or an orderly close; the server's memory
stays bounded, and a good session beside them works on, promptly."""
import contextlib
import os
import random
import re
import socket
import threading
import time

from lib import HOST, PASSWORD, Server, check, equal, login, main, sample

RESIDENT_MOST_KIB = 200 * 1024


class Good(threading.Thread):
    """A session that does ordinary things all the while."""

    def __init__(self, s):
        super().__init__(daemon=True)
        self.server, self.stop, self.slowest, self.rounds, self.error = s, False, 0.0, 0, None

    def run(self):
        try:
            w = login(self.server, "u00002", tls=True)
            w.imap("SELECT INBOX")
            while not self.stop:
                began = time.monotonic()
                for command in ("NOOP", b"APPEND INBOX {10+}\r\nSubject: x", "UID FETCH 1:* (FLAGS)",
                                r"UID STORE 1:* +FLAGS.SILENT (\Deleted)", "EXPUNGE"):
                    state, text, _ = w.imap(command)
                    if state != "OK":
                        raise RuntimeError(f"{command}: {state} {text}")
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.rounds += 1
                time.sleep(0.05)
        except Exception as e:  # noqa: reported by the test
            self.error = repr(e)


def talk(s, service, octets, logged_in=False, seconds=10):
    """Sends and reads until an answer ends or the connection does: (what came, whether it was closed)."""
    w = s.wire(service, timeout=seconds)
    try:
        w.line()
        if logged_in:
            for line in ([f"l LOGIN u00001 {PASSWORD}", "m SELECT INBOX"] if service.startswith("imap") else
                         ["USER u00001", f"PASS {PASSWORD}"] if service.startswith("pop3") else
                         ["LHLO x" if service == "lmtp" else "EHLO x"]):
                w.send(line.encode() + b"\r\n")
                while not re.match(rb"(l|m) (OK|NO)|\+OK|250 ", w.line() or b"l OK"):
                    pass
        try:
            w.send(octets)
        except OSError:
            pass  # closed while we sent: what it said is still to be read
        got, closed = w.buffer, False
        w.sock.settimeout(seconds)
        try:
            w.sock.shutdown(socket.SHUT_WR)
            while True:
                more = w.sock.recv(65536)
                if not more:
                    closed = True
                    break
                got += more
        except socket.timeout:
            pass
        except OSError:
            closed = True
        return got, closed
    finally:
        w.close()


def still_there(s, name):
    """The server lives, is small, and answers a newcomer."""
    if not check(f"{name}: the server is alive", s.is_alive(), s.tail()):
        raise RuntimeError("no server, no test")
    resident = s.resident_kib()
    check(f"{name}: memory stays bounded", resident < RESIDENT_MOST_KIB, f"{resident} KiB")


IMAP = re.compile(rb"(?m)^(\S+ (BAD|NO) |\* BYE)")
POP3 = re.compile(rb"(?m)^-ERR")
SMTP = re.compile(rb"(?m)^[45]\d\d ")


def rows():
    rng = random.Random(5)
    noise = bytes(rng.randrange(256) for _ in range(100_000))
    long = b"x" * 1_000_000
    deep = b"(" * 100_000
    yield "imap", False, "a line of 1 MB", b"a " + long + b"\r\n", IMAP
    yield "imap", False, "a line of 1 MB without an end", b"a " + long, None
    yield "imap", False, "noise", noise, None
    yield "imap", False, "a huge literal", b"a LOGIN {99999999999}\r\n", IMAP
    yield "imap", False, "a literal too large before the login", b"a LOGIN {100000+}\r\n" + b"y" * 100_000 + b" x\r\n", IMAP
    yield "imap", False, "a literal of 2^64", b"a LOGIN {18446744073709551616}\r\n", IMAP
    yield "imap", False, "a negative literal", b"a LOGIN {-1}\r\n", IMAP
    yield "imap", False, "no tag", b" NOOP\r\n", IMAP
    yield "imap", False, "a tag alone", b"a\r\n", IMAP
    yield "imap", False, "empty lines", b"\r\n" * 1000, None
    yield "imap", False, "NUL octets", b"a NO\0OP\r\n", IMAP
    yield "imap", False, "a quoted string without an end", b'a LOGIN "x\r\n', IMAP
    yield "imap", False, "AUTHENTICATE, not base64", b"a AUTHENTICATE PLAIN\r\n!!!\r\n", IMAP
    yield "imap", False, "AUTHENTICATE without an end", b"a AUTHENTICATE PLAIN\r\n" + b"A" * 1_000_000, None
    yield "imap", False, "a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise[:500], None
    yield "imap", False, "HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", IMAP
    yield "imap", True, "nested parentheses", b"a SEARCH " + deep + b"ALL" + b")" * 100_000 + b"\r\n", IMAP
    yield "imap", True, "NOT NOT NOT ...", b"a SEARCH " + b"NOT " * 20_000 + b"ALL\r\n", None
    yield "imap", True, "OR OR OR ...", b"a SEARCH " + b"OR " * 20_000 + b"ALL\r\n", IMAP
    yield "imap", True, "numbers too large", b"a FETCH 4294967296 FLAGS\r\n", IMAP
    yield "imap", True, "number zero", b"a FETCH 0 FLAGS\r\n", IMAP
    yield "imap", True, "a set of many", b"a UID FETCH " + b",".join(b"%d" % n for n in range(1, 30000, 2)) + b" FLAGS\r\n", None
    yield "imap", True, "FETCH of nonsense", b"a FETCH 1 BODY[1.2.3.4.5.TEXT\r\n", IMAP
    yield "imap", True, "a part 10,000 deep", b"a FETCH 1 BODY[" + b"1." * 10_000 + b"1]\r\n", None
    yield "imap", True, "APPEND larger than allowed", b"a APPEND INBOX {9999999999}\r\n", IMAP
    yield "imap", True, "APPEND of 2^63", b"a APPEND INBOX {9223372036854775808}\r\n", IMAP
    yield "imap", True, "APPEND cut short", b"a APPEND INBOX {1000000+}\r\nSubject: x\r\n\r\nhalf", None
    yield "imap", True, "a mailbox name of 1 MB", b"a CREATE {1000000+}\r\n" + long + b"\r\n", IMAP
    yield "imap", True, "a mailbox name with control octets", b'a CREATE "x\x01y"\r\n', None
    yield "imap", True, "a mailbox 10,000 levels deep", b"a CREATE {19999+}\r\n" + b"/".join([b"d"] * 10_000) + b"\r\n", IMAP
    yield "imap", True, "LIST of many wildcards", b'a LIST "" "' + b"*%" * 2000 + b'x"\r\n', None
    yield "imap", True, "broken UTF-7", b'a CREATE "&AAA"\r\n', IMAP
    yield "imap", True, "keywords without end", b"a STORE 1 +FLAGS (" + b" ".join(b"k%d" % n for n in range(8000)) + b")\r\n", None
    yield "imap", True, "IDLE and nonsense", b"a IDLE\r\nNONSENSE\r\n", IMAP
    yield "imap", True, "half a command", b"a FETCH 1 (FLA", None
    yield "imap", True, "bare LF", b"a NOOP\nb NOOP\n", None
    yield "imap", True, "bare CR", b"a NOOP\rb NOOP\r\r\n", None
    for service, known in (("pop3", False), ("pop3", True)):
        yield service, known, "a line of 1 MB", long + b"\r\n", None
        yield service, known, "noise", noise, None
        yield service, known, "nonsense", b"NONSENSE x\r\n", POP3
        yield service, known, "NUL octets", b"ST\0AT\r\n", POP3
        yield service, known, "half a command", b"RET", None
        yield service, known, "a number too large", b"RETR 99999999999999999999\r\n", POP3
        yield service, known, "a negative number", b"TOP 1 -1\r\n", POP3
        yield service, known, "AUTH, not base64", b"AUTH PLAIN\r\n!!!\r\n", POP3
    for service in ("lmtp", "smtp"):
        for known in (False, True):
            yield service, known, "a line of 1 MB", b"MAIL FROM:<" + long + b">\r\n", SMTP
            yield service, known, "noise", noise, None
            yield service, known, "NUL octets", b"MA\0IL FROM:<a@b.c>\r\n", SMTP
            yield service, known, "half a command", b"MAIL FR", None
            yield service, known, "DATA first", b"DATA\r\n", SMTP
            yield service, known, "HTTP", b"POST / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<>\r\n", SMTP
        yield service, True, "BDAT of 2^63", b"MAIL FROM:<a@b.c>\r\nRCPT TO:<u00001@localhost>\r\nBDAT 9223372036854775808\r\n", SMTP
        yield service, True, "10,000 recipients", b"MAIL FROM:<a@b.c>\r\n" + b"RCPT TO:<u00001@localhost>\r\n" * 10_000, SMTP
        yield service, True, "5,000 unknown recipients", b"MAIL FROM:<a@b.c>\r\n" + b"RCPT TO:<x@localhost>\r\n" * 5000, SMTP
    for service in ("imaps", "pop3s"):
        yield service, False, "no TLS at all", b"a NOOP\r\n", None


def hostile_lines(s):
    for service, known, name, octets, wanted in rows():
        if service.endswith("s") and service != "smtps":
            got, closed = raw(s, service, octets)
        else:
            got, closed = talk(s, service, octets, known)
        name = f"{service}{', logged in' if known else ''}: {name}"
        if wanted:
            check(f"{name}: is refused", wanted.search(got), got[-300:])
        else:
            check(f"{name}: ends", closed, got[-300:])
        if not s.is_alive():
            break
    still_there(s, "hostile lines")


def raw(s, service, octets):
    """To a TLS port without TLS."""
    with socket.create_connection((HOST, s.port(service)), 12) as sock:
        sock.sendall(octets)
        with contextlib.suppress(OSError):  # it may have closed already
            sock.shutdown(socket.SHUT_WR)
        got = b""
        try:
            while more := sock.recv(65536):
                got += more
        except ConnectionError:
            pass
        except socket.timeout:
            return got, False
        return got, True


# ---- mail that hurts ----


def nested(depth):
    return (b"Subject: nested\r\n" + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth))
            + b"Content-Type: text/plain\r\n\r\nthe bottom\r\n")


def messages():
    yield "10,000 nested multiparts", nested(10_000)
    yield "10,000 nested messages", b"Content-Type: message/rfc822\r\n\r\n" * 10_000 + b"Subject: bottom\r\n\r\nx\r\n"
    yield "100,000 parts", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 100_000 + b"--b--\r\n"
    yield "a header field of 5 MB", b"Subject: " + b"long " * 1_000_000 + b"\r\n\r\nx\r\n"
    yield "200,000 header fields", b"".join(b"X-F%d: x\r\n" % n for n in range(200_000)) + b"\r\nx\r\n"
    yield "a header without end", b"X: y\r\n" * 300_000
    yield "50,000 addresses", b"To: " + b",\r\n ".join(b"a%d@example.org" % n for n in range(50_000)) + b"\r\n\r\nx\r\n"
    yield "nested comments", b"From: " + b"(" * 100_000 + b")" * 100_000 + b" a@b.c\r\n\r\nx\r\n"
    yield "a line of 10 MB", b"Subject: x\r\n\r\n" + b"y" * 10_000_000 + b"\r\n"
    yield "encoded words", b"Subject: " + b"=?utf-8?B?" + b"w6" * 100_000 + b"?= " * 3 + b"\r\n\r\nx\r\n"
    yield "NUL octets and CR", b"Subject: a\0b\r\n\r\n\0\0\0\rbare\r\r\n.\r\n"
    yield "parameters without end", b"Content-Type: text/plain; " + b"; ".join(b"a*%d=x" % n for n in range(50_000)) + b"\r\n\r\nx\r\n"
    yield "quoted-printable that is not", b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=" * 500_000
    yield "base64 that is not", b"Content-Transfer-Encoding: base64\r\n\r\n" + b"\xff" * 500_000
    yield "HTML that nests", b"Content-Type: text/html\r\n\r\n" + b"<div><!--" * 100_000
    yield "nothing but an empty line", b"\r\n"


def hostile_mail(s):
    w = login(s, "u00003", timeout=40)
    w.imap("SELECT INBOX")
    uid = 0
    for name, text in messages():
        began = time.monotonic()
        answers = s.deliver(["u00003@localhost"], text)
        check(f"LMTP takes it, or says no: {name}", answers[0][0] in (250, 550, 552, 554), answers)
        state, said, _ = w.imap(b"APPEND INBOX {%d+}\r\n%s" % (len(text), text))
        check(f"APPEND: {name}", state in ("OK", "NO"), said)
        if state != "OK":
            continue
        uid = int(re.search(rb"APPENDUID \d+ (\d+)", said).group(1))
        state, said, lines = w.imap(f"UID FETCH {uid} (ENVELOPE BODYSTRUCTURE RFC822.SIZE BODY.PEEK[1] BODY.PEEK[HEADER])")
        check(f"FETCH of its structure: {name}", state == "OK" and lines, said)
        state, said, lines = w.imap(f"UID FETCH {uid} (BODY.PEEK[])")
        got = b"".join(lines)
        check(f"its octets come back: {name}", b"{%d}\r\n" % len(text) in got and text in got or b"\0" in text, got[:200])
        state, said, _ = w.imap(f'UID SEARCH UID {uid} TEXT "bottom" SUBJECT "x" FROM "a"')
        check(f"SEARCH: {name}", state == "OK", said)
        took = time.monotonic() - began
        check(f"in less than 5 s: {name}", took < 5, f"{took:.1f} s")
        w.imap(r"UID STORE 1:* +FLAGS.SILENT (\Deleted)")
        w.imap("EXPUNGE")
    w.close()
    still_there(s, "hostile mail")


def line_ends(s):
    """Only CRLF.CRLF ends DATA: nothing is smuggled."""
    smuggled = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r"]
    for service in ("lmtp", "smtp"):
        for end in smuggled:
            w = s.wire(service)
            w.line()
            w.send((b"LHLO x\r\n" if service == "lmtp" else b"EHLO x\r\n"))
            while not (w.line() or b"250 ").startswith(b"250 "):
                pass
            w.send(b"MAIL FROM:<a@b.c>\r\n")
            w.line()
            w.send(b"RCPT TO:<u00004@localhost>\r\n")
            w.line()
            w.send(b"DATA\r\n")
            w.line()
            w.send(b"Subject: one\r\n\r\nfirst" + end + b"MAIL FROM:<x@y.z>\r\nRCPT TO:<u00005@localhost>\r\nDATA\r\nsmuggled\r\n.\r\n")
            answer = w.line()
            check(f"{service}: {end!r} does not end DATA", answer and answer[:3] in (b"250", b"550", b"554", b"500"), answer)
            w.send(b"QUIT\r\n")
            rest = []
            while (line := w.line(5)) is not None:
                rest.append(line)
            check(f"{service}: {end!r}: one answer, then QUIT's", len(rest) <= 1, rest)
            w.close()
    m = s.imap("u00005")
    equal("nothing was smuggled", m.select()[1], [b"0"])
    m.logout()


# ---- connections ----


def abandoned(s):
    """Hundreds that connect and say nothing, little, or go away in the middle."""
    before, held = s.resident_kib(), []
    for n in range(400):
        service = ("imap", "imaps", "pop3", "lmtp", "smtp", "pop3s")[n % 6]
        sock = socket.create_connection((HOST, s.port(service)), 10)
        if n % 3 == 0:
            sock.sendall(b"a LOGIN {10}\r\n"[:n % 14])
        if n % 7 == 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset instead of an end
            sock.close()
        else:
            held.append(sock)
    time.sleep(0.5)
    each = (s.resident_kib() - before) / len(held)
    check("a silent connection is cheap", each < 64, f"{each:.1f} KiB each")
    began = time.monotonic()
    m = s.imap("u00004")
    m.logout()
    took = time.monotonic() - began
    check("a newcomer is served beside them", took < 2, f"{took:.1f} s")
    for sock in held:
        sock.close()
    still_there(s, "abandoned connections")


def slow_reader(s):
    """Asks for 200 MB and reads nothing: we do not hold it for him."""
    text = b"Subject: big\r\n\r\n" + b"z" * 70 * 70_000
    m = s.imap("u00006")
    m.append("INBOX", None, None, text)
    m.logout()
    readers = []
    for _ in range(8):
        w = login(s, "u00006")
        w.imap("SELECT INBOX")
        w.send(b"".join(b"f%d FETCH 1 (BODY.PEEK[])\r\n" % n for n in range(40)))
        readers.append(w)
    time.sleep(2)
    still_there(s, "readers that do not read")
    for w in readers:
        w.close()


def random_sessions(s, seconds):
    """Commands with octets changed, for a while."""
    rng = random.Random(os.environ.get("SEED", "7"))
    commands = [b"CAPABILITY", b"SELECT INBOX", b"FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (TO)]<0.9>)",
                b"SEARCH OR SUBJECT \"x\" NOT (SINCE 1-Jan-2020 LARGER 10)", b"LIST (SUBSCRIBED) \"\" (\"*\" \"%\") RETURN (STATUS (MESSAGES))",
                b"STORE 1 +FLAGS (\\Seen)", b"COPY 1 INBOX", b"STATUS INBOX (MESSAGES UIDNEXT)", b"UID SEARCH RETURN (ALL) 1:*",
                b"APPEND INBOX (\\Seen) {5+}\r\nhello", b"ENABLE QRESYNC", b"UID FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)",
                b"SELECT INBOX (QRESYNC (1 2 1:5 (1 1)))", b"RENAME a b", b"IDLE\r\nDONE", b"MOVE 1 INBOX", b"EXPUNGE", b"ID NIL"]
    deadline, sent = time.monotonic() + seconds, 0
    while time.monotonic() < deadline and s.is_alive():
        w = login(s, "u00007", timeout=5)
        w.imap("SELECT INBOX")
        text = b""
        for n in range(40):
            command = bytearray(b"r%d " % n + rng.choice(commands) + b"\r\n")
            for _ in range(rng.randrange(4)):
                at = rng.randrange(len(command))
                what = rng.randrange(3)
                if what == 0:
                    command[at] = rng.randrange(256)
                elif what == 1:
                    del command[at:at + rng.randrange(1, 5)]
                else:
                    command[at:at] = rng.choice([b"(", b")", b'"', b"{3}\r\n", b"{9+}\r\n", b"\0", b"4294967295", b"*", b"\xff", b"[", b"\\"])
                if not command:
                    break
            text += bytes(command)
        try:
            w.send(text)
            w.sock.shutdown(socket.SHUT_WR)
            while w.sock.recv(65536):
                pass
        except (OSError, socket.timeout):
            pass
        w.close()
        sent += 40
    check("changed commands", s.is_alive() and sent > 400, sent)
    still_there(s, "changed commands")


def test():
    s = Server(accounts=20).start()
    m = s.imap()
    for n in range(5):
        m.append("INBOX", None, None, sample(n))
    m.logout()
    good = Good(s)
    good.start()
    hostile_lines(s)
    line_ends(s)
    hostile_mail(s)
    abandoned(s)
    slow_reader(s)
    random_sessions(s, 10)
    good.stop = True
    good.join(30)
    check("the good session did all it wanted", good.error is None and good.rounds > 20, f"{good.error}, {good.rounds} rounds")
    check("... and never waited long", good.slowest < 3, f"{good.slowest:.1f} s")
    print(f"       good rounds {good.rounds}, slowest {good.slowest:.2f} s, resident {s.resident_kib() >> 10} MiB")
    s.check_end()


main(test, 170)
