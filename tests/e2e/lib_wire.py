"""What a server may put on the wire: lines end with CRLF, and no CR, LF or NUL stands anywhere else. In IMAP a literal is a
piece of its own: a partial one may begin or end inside a CRLF, literal8 (RFC 3516) is free. POP3 gives a message as it is, with the
NUL it came with."""
import re

LITERAL = re.compile(rb"(~?)\{(\d+)\+?\}$")
BARE_LINE_END = re.compile(rb"\r(?!\n)|(?<!\r)\n")
BARE = re.compile(BARE_LINE_END.pattern + rb"|\0")


class WireForm:
    """Fed with everything that one connection sends; `wrong` is the first thing that should not have been there."""

    def __init__(self, protocol):
        self.is_imap = protocol.startswith("imap")
        self.bare = BARE_LINE_END if protocol.startswith("pop3") else BARE
        self.held, self.literal, self.is_free, self.wrong = bytearray(), 0, False, None

    def feed(self, octets):
        self.held += octets
        while not self.wrong and (self._literal() if self.literal else self._line()):
            pass

    def end(self):
        """The connection is over, perhaps in the middle; gives what was wrong."""
        rest = self.held[:-1] if self.held.endswith(b"\r") else self.held
        if not self.wrong and not self.literal and self.bare.search(rest):
            self.wrong = bytes(rest[-200:])
        return self.wrong

    def _take(self, count):
        taken = bytes(self.held[:count])
        del self.held[:count]
        return taken

    def _line(self):
        at = self.held.find(b"\n")
        if at < 0:
            return False
        line = self._take(at + 1)
        if not line.endswith(b"\r\n") or self.bare.search(line[:-2]):
            self.wrong = line
        literal = self.is_imap and LITERAL.search(line[:-2])
        if literal:
            self.is_free, self.literal = bool(literal[1]), int(literal[2])
        return True

    def _literal(self):
        if len(self.held) < self.literal:
            return False
        text, self.literal = self._take(self.literal), 0
        text = text[text.startswith(b"\n"):len(text) - text.endswith(b"\r")]
        if not self.is_free and self.bare.search(text):
            self.wrong = text
        return True
