#!/usr/bin/env python3
"""IMAP commands that are wrong in every way, from several sessions at once on the same mailboxes, by seed: every one is
answered or the connection is closed, and a session beside them is not disturbed."""
import os
import random
import socket
import time

from lib import Server, check, equal, main

USER = "u00001"
RIGHT = [
    b"SELECT INBOX", b"SELECT INBOX (CONDSTORE)", b"EXAMINE box", b"FETCH 1:* (FLAGS UID MODSEQ)",
    b"UID FETCH 1:* (BODY.PEEK[] BODYSTRUCTURE ENVELOPE)", b"STORE 1:* +FLAGS (\\Deleted k1)",
    b"UID STORE 1:* -FLAGS.SILENT (\\Deleted)", b"COPY 1:* box", b"MOVE 1 box", b"UID MOVE 1:* INBOX", b"EXPUNGE",
    b"SEARCH RETURN (SAVE) ALL", b"SEARCH $ UNSEEN", b"UID SEARCH 1:* TEXT x", b"FETCH $ FLAGS", b"CREATE box", b"DELETE box",
    b"RENAME box b2", b"RENAME b2 box", b'LIST (SUBSCRIBED) "" * RETURN (CHILDREN STATUS (MESSAGES))',
    b"STATUS box (MESSAGES HIGHESTMODSEQ)", b"ENABLE QRESYNC", b"ENABLE IMAP4rev2", b"CLOSE", b"NOOP",
    b"SELECT INBOX (QRESYNC (1 1 1:5 (1,2 1,2)))", b"APPEND INBOX {20+}\r\nSubject: x\r\n\r\nabcdef",
    b"APPEND box (\\Seen) {20+}\r\nSubject: x\r\n\r\nabcdef", b"IDLE\r\nDONE"]
WORDS = (b'INBOX box a/b nowhere Trash "" NIL 1 1:* 2,4:* * 0 $ 99 4294967295 ( ) (\\Seen) +FLAGS -FLAGS FLAGS.SILENT UID ENVELOPE '
         b'BODY BODY.PEEK[] BODY[1.2.3] BODY[]<0.10> BINARY[1] BINARY.SIZE[1] RFC822 MODSEQ INTERNALDATE (CONDSTORE) CONDSTORE '
         b'IMAP4rev2 RETURN (ALL) () (SUBSCRIBED) ALL NOT OR UNSEEN SUBJECT TEXT "x" SINCE 1-Jan-2026 LARGER 10 KEYWORD a HEADER '
         b'CHARSET UTF-8 % "*" &AOk- "\xc3\xa9" {3+}\r\nabc {0+}\r\n ~{2+}\r\nab "a\\"b" \xff\x00 {5}').split(b" ")


def changed_words(words):
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(words) + 1)
        if at == len(words) or random.random() < 0.3:
            words.insert(at, random.choice(WORDS))
        elif random.random() < 0.7:
            words[at] = random.choice(WORDS)
        else:
            del words[at]
    return words


def wrong():
    what, command = random.random(), random.choice(RIGHT)
    if what < 0.3:
        return command
    if what < 0.7:
        return b" ".join(changed_words(command.split(b" ")))
    if what < 0.85:
        return b" ".join(random.choice(WORDS) for _ in range(random.randint(1, 7)))
    octets = bytearray(command)
    for _ in range(random.randint(1, 3)):
        octets[random.randrange(len(octets))] = random.randrange(256)
    return bytes(octets)


class Session:
    def __init__(self, port, user):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.file = self.sock.makefile("rb")
        self.sock.settimeout(2)
        self.file.readline()
        self.answered = self.say(b"LOGIN %s secret" % user.encode(), b"x")

    def say(self, command, tag):
        """True when the NOOP behind it was answered, False when the server closed, None when it waits for more."""
        try:
            self.sock.sendall(tag + b" " + command + b"\r\n" + tag + b"end NOOP\r\n")
            while True:
                line = self.file.readline()
                if line.startswith(tag + b"end "):
                    return True
                if not line:
                    return False
        except TimeoutError:
            return None
        except OSError:
            return False


def test():
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    random.seed(seed)
    print(f"seed {seed}")
    s = Server().start()
    good = s.imap("u00002")
    sessions = [Session(s.port("imap"), USER) for _ in range(5)]
    before, counts = s.resident_kib(), {True: 0, False: 0, None: 0}
    end = time.monotonic() + 12
    while time.monotonic() < end and s.is_alive():
        at = random.randrange(len(sessions))
        answer = sessions[at].say(wrong(), b"t%d" % sum(counts.values()))
        counts[answer] += 1
        if not answer:  # closed, or in the middle of a literal
            sessions[at].sock.close()
            sessions[at] = Session(s.port("imap"), USER)
    print(f"answered {counts[True]}, closed {counts[False]}, waiting for the rest of a literal {counts[None]}")
    check("the server lives", s.is_alive(), s.tail())
    check("most were answered", counts[True] > 20 * counts[None] and counts[True] > 100, counts)
    check("memory is bounded", s.resident_kib() - before < 64 * 1024, (before, s.resident_kib()))
    equal("a session beside them is not disturbed", good.select()[0], "OK")
    good.logout()
    s.check_end()


main(test, 90)
