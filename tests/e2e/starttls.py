#!/usr/bin/env python3
"""STARTTLS and STLS, and who is on the wire (CVE-2011-0411 and its family; "Why TLS is better without STARTTLS", 2021): what was sent in
plain text behind the command is never taken for something said under TLS, whole or half; nothing answered in plain text shows up under
TLS; what was agreed before is forgotten; the command is refused where it cannot be."""
import re
import socket
import time

from lib import Served, check, main

# Of each protocol: what begins TLS, the word to go ahead, a good command, its answer, one whose answer would give an injection away.
TALKS = {
    "imap": (b"s STARTTLS\r\n", rb"(?m)^s OK .*\r\n", b"g NOOP\r\n", rb"g OK .*\r\n", b"x LOGIN u00001 secret\r\n"),
    "pop3": (b"STLS\r\n", rb"\+OK .*\r\n", b"CAPA\r\n", rb"\+OK[^\0]*?\r\n\.\r\n", b"USER u00001\r\nPASS secret\r\n"),
    "smtp": (b"STARTTLS\r\n", rb"(?m)^220 .*\r\n", b"HELP\r\n", rb"214-[^\0]*?214 .*\r\n", b"EHLO evil\r\nMAIL FROM:<evil@b.example>\r\n"),
    "lmtp": (b"STARTTLS\r\n", rb"(?m)^220 .*\r\n", b"HELP\r\n", rb"214-[^\0]*?214 .*\r\n", b"LHLO evil\r\nMAIL FROM:<evil@b.example>\r\n"),
}
# What is needed before it.
BEFORE = {"imap": b"", "pop3": b"", "smtp": b"EHLO x\r\n", "lmtp": b"LHLO x\r\n"}


def injections(evil):
    first = evil.split(b"\r\n")[0]
    yield "a command", evil
    yield "many commands", evil * 500
    yield "half a command", first[:4]
    yield "a command without its end", first
    yield "a command with a CR", first + b"\r"
    yield "one octet", b"x"
    yield "CR LF", b"\r\n"
    yield "LF", b"\n"
    yield "NUL", b"\0" * 10
    yield "a literal that waits for TLS", b"x LOGIN {7+}\r\nu0000"
    yield "BDAT that waits for TLS", b"BDAT 30 LAST\r\nx"
    yield "a line too long", b"x" * 100_000
    yield "100 KB of commands", first + b"\r\n" + b"NOOP\r\n" * 16000


class Talk:
    def __init__(self, s, protocol):
        self.start, self.go, self.good, self.answer, self.evil = TALKS[protocol]
        self.wire, self.got = s.wire(protocol, timeout=5), b""
        self.until(rb"\n")
        if BEFORE[protocol]:
            self.ask(BEFORE[protocol], rb"(?m)^250 .*\n")
        self.got = b""

    def receive(self):
        more = self.wire.receive()
        self.wire.buffer = b""
        self.got += more
        return more

    def until(self, regex):
        """What has come up to where this fits; None when the end came first."""
        while not re.search(regex, self.got):
            if not self.receive():
                return None
        return self.got

    def ask(self, command, regex):
        """Everything that comes up to the answer; what came instead when it does not."""
        self.got = b""
        self.wire.send(command)
        try:
            self.until(regex)
        except OSError:
            pass
        return self.got

    def shake(self):
        self.got = b""
        try:
            self.wire.start_tls()
            return True
        except OSError:
            return False


def quiet(t):
    t.wire.sock.settimeout(0.05)
    try:
        return not t.receive()
    except (socket.timeout, TimeoutError):
        return True
    finally:
        t.wire.sock.settimeout(5)


def injected(s, protocol):
    """Behind the command: in the same packet; a little later, before the handshake, TLS may not come to be."""
    for name, octets in injections(TALKS[protocol][4]):
        t = Talk(s, protocol)
        t.wire.send(t.start + octets)
        went = t.until(t.go)
        # What was still under way when the server began to listen for TLS spoils the handshake: that is fine, too.
        shaken = went and t.shake()
        if shaken:
            silent = quiet(t)
            said = t.ask(t.good, t.answer)
            fine = silent and re.fullmatch(t.answer, said)
            check(f"{protocol}: {name} behind it is thrown away", fine, (silent, said[:300]))
        else:
            check(f"{protocol}: {name} behind it ends the connection", len(octets) > 4096, (went, t.got[:300]))
        t.wire.close()


def refused_after_tls(protocol):
    return {"imap": (b"s STARTTLS\r\n", rb"(?m)^s BAD "), "pop3": (b"STLS\r\n", rb"(?m)^-ERR")}.get(protocol, (b"STARTTLS\r\n", rb"(?m)^5\d\d "))


def before(s, protocol):
    """Answers to what came before it go out before it, in plain text; half a command before it belongs to no other."""
    t = Talk(s, protocol)
    t.wire.send(t.good * 50 + t.start + t.good * 3)
    plain = t.until(t.go)
    check(f"{protocol}: what was asked before is answered before", plain and len(re.findall(t.answer, plain)) == 50, plain)
    fine = t.shake() and quiet(t)
    check(f"{protocol}: ... and what was asked behind it is not answered under TLS", fine and re.fullmatch(t.answer, t.ask(t.good, t.answer)), t.got)
    t.wire.close()
    t = Talk(s, protocol)
    for piece in (t.start[:3], t.start[3:-2], t.start[-2:-1], t.start[-1:]):
        t.wire.send(piece)
        time.sleep(0.02)
    fine = t.until(t.go) and t.shake() and quiet(t)
    check(f"{protocol}: it comes in four pieces", fine and re.fullmatch(t.answer, t.ask(t.good, t.answer)), t.got)
    command, regex = refused_after_tls(protocol)
    if BEFORE[protocol]:
        t.ask(BEFORE[protocol], rb"(?m)^250 .*\n")
        check(f"{protocol}: it is not offered under TLS", b"STARTTLS" not in t.got, t.got)
    check(f"{protocol}: it is refused under TLS", re.search(regex, t.ask(command, regex)), t.got)
    check(f"{protocol}: ... and the talk goes on", re.search(t.answer, t.ask(t.good, t.answer)), t.got)
    t.wire.close()


def plain_lf(s, protocol):
    """With LF alone it is refused or it is the same."""
    t = Talk(s, protocol)
    t.wire.send(t.start[:-2] + b"\n" + t.evil)
    t.until(rb"\n")
    if re.search(t.go, t.got):
        fine = t.shake() and quiet(t)
        check(f"{protocol}: behind one that ends with LF, too", fine and re.fullmatch(t.answer, t.ask(t.good, t.answer)), t.got)
    else:
        check(f"{protocol}: one that ends with LF is refused", re.search(rb"(?m)^(500|-ERR|s BAD)", t.got), t.got)
    t.wire.close()


def forgets(s):
    """RFC 3207 4.2, RFC 2595 4, RFC 9051 6.2.1: what was said before is forgotten."""
    t = Talk(s, "pop3")
    t.ask(b"USER u00001\r\n", rb"\n")
    t.ask(t.start, t.go)
    t.shake()
    check("pop3: USER before is forgotten", t.ask(b"PASS secret\r\n", rb"\n").startswith(b"-ERR"), t.got)
    t.wire.close()
    for protocol in ("smtp", "lmtp"):
        t = Talk(s, protocol)
        t.ask(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<u00001@localhost>\r\n", rb"2\.1\.5")
        t.ask(t.start, t.go)
        t.shake()
        check(f"{protocol}: the transaction before is forgotten", t.ask(b"DATA\r\n", rb"\n").startswith(b"503"), t.got)
        check(f"{protocol}: the hello before is forgotten", t.ask(b"MAIL FROM:<a@b.example>\r\n", rb"\n").startswith(b"503"), t.got)
        t.wire.close()
        t = Talk(s, protocol)
        t.ask(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<u00001@localhost>\r\nBDAT 20\r\nSubject: half\r\n\r\nabc", rb"2\.0\.0")
        t.ask(t.start, rb"\n")
        if t.got.startswith(b"220"):
            t.shake()
            check(f"{protocol}: chunks before are forgotten", t.ask(b"BDAT 3 LAST\r\nabc", rb"\n").startswith(b"503"), t.got)
        else:
            check(f"{protocol}: not between chunks", t.got.startswith(b"503"), t.got)
        t.wire.close()
        t = Talk(s, protocol)
        t.ask(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<u00001@localhost>\r\nDATA\r\n", rb"354 .*\n")
        said = t.ask(b"Subject: x\r\n\r\nSTARTTLS\r\n.\r\n", rb"\n")
        check(f"{protocol}: within DATA it is text", re.search(rb"(?m)^250 2", said) and b"220" not in said, said)
        t.wire.close()


def where_it_cannot_be(s):
    for name, first, wait, then, regex in (
            ("within AUTHENTICATE", b"a AUTHENTICATE PLAIN\r\n", rb"\+ ", b"s STARTTLS\r\n", rb"(?m)^a BAD "),
            ("within IDLE", b"l LOGIN u00001 secret\r\na IDLE\r\n", rb"(?m)^\+ ", b"s STARTTLS\r\n", rb"(?m)^a BAD "),
            ("after the login", b"l LOGIN u00001 secret\r\n", rb"(?m)^l OK .*\n", b"s STARTTLS\r\n", rb"(?m)^s BAD "),
            ("within a literal", b"a LOGIN {12+}\r\n", None, b"s STARTTLS\r\n x\r\n", rb"(?m)^a NO ")):
        t = Talk(s, "imap")
        t.wire.send(first)
        if wait:
            t.until(wait)
        said = t.ask(then, regex)
        check(f"imap: {name}: no", re.search(regex, said) and b"s OK" not in said, said)
        check(f"imap: {name}: ... and it goes on", re.search(t.answer, t.ask(t.good, t.answer)), t.got)
        t.wire.close()
    t = Talk(s, "pop3")
    t.ask(b"AUTH PLAIN\r\n", rb"\+ ")
    check("pop3: within AUTH: no", t.ask(b"STLS\r\n", rb"\n").startswith(b"-ERR"), t.got)
    t.ask(b"USER u00001\r\nPASS secret\r\n", rb"messages|-ERR")
    check("pop3: after the login: no", t.ask(b"STLS\r\n", rb"\n").startswith(b"-ERR"), t.got)
    t.wire.close()


def test():
    s = Served(throttle="no")
    s.start()
    s.command("user", "add", "u00001", input="secret\n")
    for protocol in TALKS:
        injected(s, protocol)
        before(s, protocol)
        plain_lf(s, protocol)
    forgets(s)
    where_it_cannot_be(s)
    s.check_end()


main(test, 120)
