#!/usr/bin/env python3
"""Where the text of DATA ends, and what it becomes in the store (RFC 5321 2.3.8, 4.1.1.4, 4.5.2; SMTP smuggling, CVE-2023-51764 and its
family), by SMTP and LMTP, DATA and BDAT, whole and cut at every octet. Only CRLF.CRLF ends it; every other form is text, becomes lines
that end with CRLF, and what follows it is text too: one reply, one message, nothing for the second recipient."""
import re
import time

from lib import Served, check, equal, login, main

EVIL = b"MAIL FROM:<evil@b.example>\r\nRCPT TO:<u00002@localhost>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n"
# What stands between two texts, and what is there in the store.
FORMS = [
    ("LF.LF", b"\n.\n", b"\r\n.\r\n"),
    ("LF.CRLF", b"\n.\r\n", b"\r\n.\r\n"),
    ("CRLF.LF", b"\r\n.\n", b"\r\n\r\n"),
    ("CR.CR", b"\r.\r", b"\r\n.\r\n"),
    ("CR.CRLF", b"\r.\r\n", b"\r\n.\r\n"),
    ("CRLF.CR", b"\r\n.\r", b"\r\n\r\n"),
    ("CR.LF", b"\r.\n", b"\r\n.\r\n"),
    ("LF.CR", b"\n.\r", b"\r\n.\r\n"),
    ("CRLF.CRCRLF", b"\r\n.\r\r\n", b"\r\n\r\n\r\n"),
    ("CRLF NUL.CRLF", b"\r\n\0.\r\n", b"\r\n\0.\r\n"),
    ("CRLF.NUL CRLF", b"\r\n.\0\r\n", b"\r\n\0\r\n"),
    ("CR NUL LF.CRLF", b"\r\0\n.\r\n", b"\r\n\0\r\n.\r\n"),
    ("CRLF. CRLF", b"\r\n. \r\n", b"\r\n \r\n"),
    ("CRLF .CRLF", b"\r\n .\r\n", b"\r\n .\r\n"),
    ("CRLF..CRLF", b"\r\n..\r\n", b"\r\n.\r\n"),
    ("CRLF...CRLF", b"\r\n...\r\n", b"\r\n..\r\n"),
    ("LF..LF", b"\n..\n", b"\r\n.\r\n"),
    ("CRLF.x CRLF", b"\r\n.x\r\n", b"\r\nx\r\n"),
    ("CRLF.TAB CRLF", b"\r\n.\t\r\n", b"\r\n\t\r\n"),
    ("CRLF.VT CRLF", b"\r\n.\x0b\r\n", b"\r\n\x0b\r\n"),
    ("CRLF.0x85", b"\r\n.\x85", b"\r\n\x85"),
    ("0x85.0x85", b"\x85.\x85", b"\x85.\x85"),
    ("U+2028.U+2028", "\u2028.\u2028".encode(), "\u2028.\u2028".encode()),
    ("CRLF fullwidth dot CRLF", "\r\n\uff0e\r\n".encode(), "\r\n\uff0e\r\n".encode()),
    ("LFCR.LFCR", b"\n\r.\n\r", b"\r\n\r\n.\r\n\r\n"),
    ("CR LF in two, the dot behind", b"\r\r\n\n.\n", b"\r\n\r\n\r\n.\r\n"),
]


class Session:
    """Sends, counts replies."""

    def __init__(self, s, protocol):
        self.protocol, self.wire = protocol, s.wire(protocol, timeout=10)
        self.reply()
        self.ask(b"LHLO x\r\n" if protocol == "lmtp" else b"EHLO x\r\n")

    def reply(self):
        while True:
            line = self.wire.line()
            if line is None or line[3:4] == b" ":
                return line

    def ask(self, octets):
        self.wire.send(octets)
        return self.reply()

    def envelope(self):
        self.ask(b"MAIL FROM:<a@b.example>\r\n")
        self.ask(b"RCPT TO:<u00001@localhost>\r\n")

    def data(self, text, cut=None):
        """The reply to a text with its end."""
        self.envelope()
        self.ask(b"DATA\r\n")
        if cut:
            self.wire.send(text[:cut])
            time.sleep(0.002)
            text = text[cut:]
        return self.ask(text)

    def bdat(self, text, cut):
        self.envelope()
        if cut:
            self.ask(b"BDAT %d\r\n" % cut + text[:cut])
        return self.ask(b"BDAT %d LAST\r\n" % (len(text) - cut) + text[cut:])

    def in_step(self):
        """The next command gets the next reply."""
        return self.ask(b"NOOP\r\n") == b"250 2.0.0 OK"

    def close(self):
        self.wire.close()


class Store:
    def __init__(self, s):
        self.one, self.two = login(s, "u00001"), login(s, "u00002")
        self.one.imap("SELECT INBOX")
        self.seen = 0

    def last(self):
        """The texts of the messages that came since."""
        self.one.imap("NOOP")
        _, _, untagged = self.one.imap(b"FETCH %d:* (BODY.PEEK[TEXT])" % (self.seen + 1))
        texts = [m[1] for m in (re.fullmatch(rb"(?s)\* \d+ FETCH \(BODY\[TEXT\] \{\d+\}\r\n(.*)\)", line) for line in untagged) if m]
        self.seen += len(texts)
        return texts

    def smuggled(self):
        return [line for line in self.two.imap("STATUS INBOX (MESSAGES)")[2] if b"MESSAGES 0" not in line]


def is_clean(text):
    return not re.search(rb"\r(?!\n)|(?<!\r)\n", text)


def forms(s, store, protocol):
    session = Session(s, protocol)
    for name, form, stored in FORMS:
        text = b"Subject: x\r\n\r\nbefore" + form + EVIL + b".\r\n"
        answer = session.data(text)
        texts = store.last()
        want = b"before" + stored + EVIL
        want = want.replace(b"\0", b"\x80")  # as a literal tells it (RFC 9051 9: CHAR8)
        ok = answer and answer.startswith(b"250 2.0.0 Saved") and texts == [want] and is_clean(texts[0])
        check(f"{protocol}, DATA: {name} is text", ok and session.in_step(), (answer, texts, want))
    session.close()


def ends(s, store, protocol):
    """Forms that are an end: what follows is commands, and they are answered as such."""
    for name, text, stored in (("CRLF.CRLF", b"x\r\n.\r\n", b"x\r\n"), ("CR CRLF.CRLF", b"x\r\r\n.\r\n", b"x\r\n\r\n"), ("LF CRLF.CRLF", b"x\n\r\n.\r\n", b"x\r\n\r\n"),
                               ("NUL CRLF.CRLF", b"x\0\r\n.\r\n", b"x\x80\r\n"), ("a dot doubled before", b"x\r\n..\r\n.\r\n", b"x\r\n.\r\n"),
                               ("an end in a line of its own", b"\r\n.\r\n", b"\r\n")):
        session = Session(s, protocol)
        answer = session.data(b"Subject: x\r\n\r\n" + text + b"NOOP\r\n")
        noop = session.reply()
        texts = store.last()
        check(f"{protocol}, DATA: {name} is the end", answer.startswith(b"250 2.0.0 Saved") and noop == b"250 2.0.0 OK" and texts == [stored], (answer, noop, texts))
        session.close()


def cuts(s, store, protocol):
    """The same, however it is cut."""
    session = Session(s, protocol)
    text = b"Subject: x\r\n\r\na\r\n.\n..\r\n.b\r.\r\n\r\n.\0\r\n.\r\n"
    wanted, wrong = None, []
    for cut in range(len(text)):
        answer = session.data(text, cut)
        texts = store.last()
        wanted = wanted or texts
        if not answer.startswith(b"250 2.0.0 Saved") or texts != wanted or len(texts) != 1 or not is_clean(texts[0]):
            wrong.append((cut, answer, texts))
    check(f"{protocol}, DATA: cut at each of {len(text)} octets", not wrong and session.in_step(), (wanted, wrong[:3]))
    text = b"Subject: x\r\n\r\na\r\n.\r\n..\r\nb\rc\nd\r\r\n\n.\0\r\n" + EVIL
    wanted, wrong = b"a\r\n.\r\n..\r\nb\r\nc\r\nd\r\n\r\n\r\n.\x80\r\n" + EVIL, []
    for cut in range(0, 45):
        answer = session.bdat(text, cut)
        texts = store.last()
        if not answer.startswith(b"250 2.0.0 Saved") or texts != [wanted]:
            wrong.append((cut, answer, texts))
    check(f"{protocol}, BDAT: text is text, cut at each of 45 octets", not wrong and session.in_step(), (wanted, wrong[:3]))
    session.close()


def bdat_forms(s, store, protocol):
    session = Session(s, protocol)
    for name, form in [(n, f) for n, f, _ in FORMS] + [("CRLF.CRLF", b"\r\n.\r\n")]:
        answer = session.bdat(b"Subject: x\r\n\r\nbefore" + form + EVIL, 0)
        texts = store.last()
        ok = answer.startswith(b"250 2.0.0 Saved") and len(texts) == 1 and is_clean(texts[0]) and texts[0].endswith(EVIL)
        check(f"{protocol}, BDAT: {name} is text", ok and session.in_step(), (answer, texts))
    session.close()


def retrieved(s):
    """POP3 gives it with dots doubled and lines that end with CRLF; the checker of lib_wire.py looks at all of it."""
    w = s.wire("pop3")
    for command in (b"", b"USER u00001\r\n", b"PASS secret\r\n"):
        w.send(command)
        line = w.line()
    count = int(line.split()[1])
    wrong = []
    for n in range(1, count + 1):
        w.send(b"RETR %d\r\n" % n)
        size = int(w.line().split()[1])
        lines = []
        while (line := w.line()) != b".":
            lines.append(line[1:] if line.startswith(b".") else line)
        if sum(len(x) + 2 for x in lines) != size:
            wrong.append((n, size, lines))
    check(f"pop3: {count} messages of all forms, whole", not wrong, wrong[:2])
    w.close()


def test():
    s = Served()
    s.start()
    for n in (1, 2):
        s.command("user", "add", f"u{n:05}", input="secret\n")
    store = Store(s)
    for protocol in ("smtp", "lmtp"):
        forms(s, store, protocol)
        ends(s, store, protocol)
        bdat_forms(s, store, protocol)
        cuts(s, store, protocol)
    equal("nothing was smuggled to the second account", store.smuggled(), [])
    retrieved(s)
    s.check_end()


main(test, 120)
