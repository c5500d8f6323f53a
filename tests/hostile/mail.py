"""Messages made to hurt: MAIL is (name, octets as a function). Each aims at something that a careless reader does more than once per octet,
recurses on, or multiplies."""
import base64
import random


def header(*lines):
    return b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def typed(kind, body, *more):
    return header(b"Subject: hurt", b"MIME-Version: 1.0", b"Content-Type: " + kind, *more) + body


def nested(depth):
    return b"Subject: nested\r\n" + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth)) + b"\r\nthe bottom\r\n"


def nested_closed(depth):
    """Each with its end, inside out."""
    return nested(depth) + b"".join(b"--b%d--\r\n" % n for n in reversed(range(depth)))


def parts(count, part=b"\r\nx"):
    return typed(b"multipart/mixed; boundary=b", b"".join([b"--b\r\n" + part + b"\r\n"] * count) + b"--b--\r\n")


def seeded(count):
    return random.Random(4).randbytes(count)


def base64_lines(octets):
    return base64.encodebytes(octets).replace(b"\n", b"\r\n")


def like_boundaries():
    """99 boundaries, each the beginning of the next, and lines that are nearly one."""
    return (b"Subject: x\r\n" + b"".join(b"Content-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n--%s\r\n" % (b"b" * n, b"b" * n) for n in range(1, 70))
            + (b"--" + b"b" * 70 + b"x\r\n") * 50_000)


def all_fields():
    address = b"a@b.example, " * 2500
    return header(*[name + b": " + address for name in (b"From", b"Sender", b"Reply-To", b"To", b"Cc", b"Bcc")], b"In-Reply-To: " + b"<x@y> " * 30_000,
                  b"Message-ID: " + b"<" * 100_000, b"Date: " + b"Mon, " * 20_000) + b"x\r\n"


MAIL = [
    ("100,000 nested multiparts", lambda: nested(100_000)),
    ("50,000 nested multiparts with their ends", lambda: nested_closed(50_000)),
    ("100,000 nested messages", lambda: b"Content-Type: message/rfc822\r\n\r\n" * 100_000 + b"Subject: bottom\r\n\r\nx\r\n"),
    ("messages and multiparts in turn, 30,000 deep", lambda: b"".join(b"Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(30_000)) + b"\r\nx\r\n"),
    ("50,000 nested digests", lambda: b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n" * 50_000),
    ("a million parts", lambda: parts(1_000_000, b"")),
    ("200,000 parts with headers", lambda: parts(200_000, b"Content-Type: text/plain; charset=utf-8; name=x\r\nContent-ID: <x@y>\r\nContent-Disposition: attachment; filename=x\r\n\r\nx")),
    ("100,000 messages beside each other", lambda: parts(100_000, b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\nFrom: a@b.example\r\n\r\nx")),
    ("boundaries that begin alike", like_boundaries),
    ("a boundary of a dash, and a million dashes", lambda: typed(b'multipart/mixed; boundary="-"', b"--" * 5_000_000 + b"\r\n---\r\n" * 300_000)),
    ("a boundary of 100 KB", lambda: typed(b'multipart/mixed; boundary="' + b"b" * 100_000 + b'"', (b"--" + b"b" * 100_000 + b"\r\n\r\nx\r\n") * 50)),
    ("a multipart without a boundary", lambda: typed(b"multipart/mixed", b"--\r\n\r\nx\r\n" * 500_000)),
    ("a header of 10 MB", lambda: header(*[b"X-Field-%d: %s" % (n, b"v" * 80) for n in range(100_000)]) + b"x\r\n"),
    ("a header without an end", lambda: b"X: y\r\n" * 1_700_000),
    ("a header field of 10 MB", lambda: header(b"Subject: " + b"long " * 2_000_000) + b"x\r\n"),
    ("a header field of 10 MB in 2,000,000 lines", lambda: header(b"Subject: x" + b"\r\n abc" * 2_000_000) + b"x\r\n"),
    ("a field name of 10 MB", lambda: b"X" * 10_000_000 + b": x\r\n\r\nx\r\n"),
    ("1,000,000 times Subject", lambda: header(*[b"Subject: x"] * 800_000) + b"x\r\n"),
    ("100,000 References", lambda: header(b"Message-ID: <me@x>", b"Subject: Re: x", b"References:" + b"".join(b"\r\n <ref-%d@example.org>" % n for n in range(100_000))) + b"x\r\n"),
    ("1,000,000 References that are short", lambda: header(b"Message-ID: <me2@x>", b"References: " + b"<a@b>" * 1_000_000) + b"x\r\n"),
    ("References of angle brackets", lambda: header(b"References: " + b"<" * 2_000_000 + b">" * 2_000_000) + b"x\r\n"),
    ("a Subject of 1,000,000 Re:", lambda: header(b"Subject: " + b"Re: " * 1_000_000 + b"x") + b"x\r\n"),
    ("a Subject of 500,000 [blobs]", lambda: header(b"Subject: " + b"[x] " * 500_000 + b"x") + b"x\r\n"),
    ("a Subject of [Fwd: [Fwd:", lambda: header(b"Subject: " + b"[Fwd: " * 500_000 + b"x" + b"]" * 500_000) + b"x\r\n"),
    ("a Subject of (fwd) (fwd)", lambda: header(b"Subject: x" + b" (fwd)" * 500_000) + b"x\r\n"),
    ("a Subject of Re[Re[Re[", lambda: header(b"Subject: " + b"Re[" * 500_000) + b"x\r\n"),
    ("encoded words without end", lambda: header(b"Subject: " + b"=?utf-8?B?w6TDtsO8?= " * 300_000) + b"x\r\n"),
    ("one encoded word of 5 MB", lambda: header(b"Subject: =?utf-8?B?" + b"w6TD" * 1_250_000 + b"?=") + b"x\r\n"),
    ("encoded words that do not end", lambda: header(b"Subject: " + b"=?utf-8?q?" * 500_000) + b"x\r\n"),
    ("encoded words of ?", lambda: header(b"Subject: =?" + b"?" * 5_000_000) + b"x\r\n"),
    ("encoded words in every field", lambda: header(*[n + b": " + b"=?iso-2022-jp?B?GyRCJCIbKEI=?= " * 8000 for n in (b"From", b"To", b"Cc", b"Subject", b"Comments", b"Content-Description")]) + b"x\r\n"),
    ("a million addresses", lambda: header(b"To: " + b",\r\n ".join([b"a@b.example"] * 1_000_000)) + b"x\r\n"),
    ("addresses of brackets, quotes and comments", lambda: header(b"From: " + b"(" * 1_000_000 + b")" * 1_000_000 + b" a@b", b"To: " + b'"\\"' * 500_000, b"Cc: " + b"<" * 1_000_000, b"Bcc: " + b"a:" * 500_000, b"Reply-To: " + b",;" * 500_000) + b"x\r\n"),
    ("every field as long as may be", all_fields),
    ("100,000 parameters, RFC 2231", lambda: typed(b"text/plain" + b"".join(b";\r\n name*%d*=%%41" % n for n in range(100_000)), b"x\r\n")),
    ("100,000 parameters, backwards", lambda: typed(b"text/plain" + b"".join(b"; name*%d=x" % n for n in reversed(range(100_000))), b"x\r\n")),
    ("100,000 parameters, each its own", lambda: typed(b"text/plain" + b"".join(b"; p%d=x" % n for n in range(100_000)), b"x\r\n")),
    ("a parameter of 5 MB", lambda: typed(b'text/plain; name="' + b"\\x" * 2_500_000 + b'"', b"x\r\n")),
    ("1,000 parts with 250 KB of header", lambda: parts(40, b"Content-Type: text/plain; name=\"" + b"x" * 250_000 + b"\"\r\n\r\nx")),
    ("base64 that is none", lambda: typed(b"text/plain", b"\xff=" * 5_000_000, b"Content-Transfer-Encoding: base64")),
    ("base64 of = and blanks", lambda: typed(b"text/plain", b"= \t\r\n" * 2_000_000, b"Content-Transfer-Encoding: base64")),
    ("base64 of 10 MB of text", lambda: typed(b"text/plain; charset=utf-8", base64_lines("пароходы и поезда ".encode() * 250_000), b"Content-Transfer-Encoding: base64")),
    ("quoted-printable of =", lambda: typed(b"text/plain", b"=" * 10_000_000, b"Content-Transfer-Encoding: quoted-printable")),
    ("quoted-printable of blanks", lambda: typed(b"text/plain", (b" " * 1000 + b"\r\n") * 10_000, b"Content-Transfer-Encoding: quoted-printable")),
    ("quoted-printable, one line of blanks", lambda: typed(b"text/plain", b" \t" * 5_000_000 + b"x\r\n", b"Content-Transfer-Encoding: quoted-printable")),
    ("quoted-printable of soft ends", lambda: typed(b"text/plain", b"=\r\n" * 3_000_000, b"Content-Transfer-Encoding: quoted-printable")),
    ("uuencode without end", lambda: typed(b"text/plain", b"begin 644 x\r\n" * 500_000, b"Content-Transfer-Encoding: x-uuencode")),
    ("yEnc", lambda: typed(b"text/plain", b"=ybegin line=128 size=99999999999 name=x\r\n" + b"=y" * 3_000_000)),
    ("an unknown encoding", lambda: typed(b"text/plain", b"x" * 5_000_000, b"Content-Transfer-Encoding: x" + b"y" * 100_000)),
    ("UTF-7 that shifts", lambda: typed(b"text/plain; charset=utf-7", b"+AGE-" * 1_500_000)),
    ("UTF-7 that never shifts back", lambda: typed(b"text/plain; charset=utf-7", b"+" + b"AGEA" * 2_000_000)),
    ("ISO-2022-JP of escapes", lambda: typed(b"text/plain; charset=iso-2022-jp", b"\x1b$B\x1b(B" * 1_000_000)),
    ("ISO-2022-JP of half escapes", lambda: typed(b"text/plain; charset=iso-2022-jp", b"\x1b" * 6_000_000)),
    ("ISO-2022-KR", lambda: typed(b"text/plain; charset=iso-2022-kr", b"\x1b$)C\x0e\x0f" * 1_000_000)),
    ("ISO-2022-CN", lambda: typed(b"text/plain; charset=iso-2022-cn", b"\x1b$)A\x0e\x0f" * 1_000_000)),
    ("HZ", lambda: typed(b"text/plain; charset=hz-gb-2312", b"~{~}" * 1_500_000)),
    ("GB18030 of four octets", lambda: typed(b"text/plain; charset=gb18030", b"\x84\x31\xa4\x37" * 1_500_000)),
    ("Big5", lambda: typed(b"text/plain; charset=big5", b"\xa4\xa4" * 3_000_000)),
    ("EUC-JP", lambda: typed(b"text/plain; charset=euc-jp", b"\x8f\xb0\xa1" * 2_000_000)),
    ("UTF-16 of lone surrogates", lambda: typed(b"text/plain; charset=utf-16", b"\xd8\x00" * 3_000_000)),
    ("UTF-32", lambda: typed(b"text/plain; charset=utf-32", b"\0\x11\xff\xff" * 1_500_000)),
    ("UTF-8 with a million combining marks", lambda: typed(b"text/plain; charset=utf-8", b"a" + "\u0301".encode() * 2_000_000)),
    ("UTF-8 of marks in the wrong order", lambda: typed(b"text/plain; charset=utf-8", b"a" + "\u0301\u0316".encode() * 1_000_000)),
    ("UTF-8 that grows when folded", lambda: typed(b"text/plain; charset=utf-8", "\ufdfa\u0390".encode() * 1_000_000)),
    ("Subject of marks in the wrong order", lambda: header(b"Subject: " + "a".encode() + "\u0301\u0316".encode() * 60_000, b"MIME-Version: 1.0") + b"x\r\n"),
    ("octets that are no UTF-8", lambda: typed(b"text/plain; charset=utf-8", seeded(6_000_000).replace(b"\n", b"x"))),
    ("an unknown charset of 100 KB", lambda: typed(b"text/plain; charset=" + b"x" * 100_000, b"\xff" * 3_000_000)),
    ("HTML that nests", lambda: typed(b"text/html", b"<div>" * 2_000_000)),
    ("HTML comments that do not end", lambda: typed(b"text/html", b"<!--" * 2_000_000)),
    ("HTML of <", lambda: typed(b"text/html", b"<" * 8_000_000)),
    ("HTML of &", lambda: typed(b"text/html", b"&" * 8_000_000)),
    ("HTML of entities", lambda: typed(b"text/html", b"&CounterClockwiseContourIntegral;" * 200_000 + b"&#x1" * 500_000)),
    ("HTML attributes without end", lambda: typed(b"text/html", b"<a " + b'href="x" ' * 800_000)),
    ("HTML scripts and styles", lambda: typed(b"text/html", b"<script></scrip" * 300_000 + b"<style></styl" * 300_000)),
    ("HTML quotes without end", lambda: typed(b"text/html", b"<a b='" * 1_000_000)),
    ("format=flowed without end", lambda: typed(b"text/plain; format=flowed; delsp=yes", b"> > > > > > > > > > \r\n" * 400_000)),
    ("> a million deep", lambda: typed(b"text/plain; format=flowed", b">" * 6_000_000 + b"\r\n")),
    ("the same text ten thousand times", lambda: typed(b"text/plain", b"needle in a haystack, " * 450_000)),
    ("a line of 10 MB", lambda: typed(b"text/plain", b"y" * 10_000_000)),
    ("5,000,000 empty lines", lambda: typed(b"text/plain", b"\r\n" * 5_000_000)),
    ("5,000,000 bare CR", lambda: typed(b"text/plain", b"\r" * 5_000_000)),
    ("10,000,000 NUL", lambda: typed(b"application/octet-stream", b"\0" * 10_000_000)),
    ("20 MB of noise", lambda: typed(b"application/octet-stream", base64_lines(seeded(15_000_000)), b"Content-Transfer-Encoding: base64")),
    ("nothing", lambda: b""),
    ("an empty line", lambda: b"\r\n"),
    ("a colon", lambda: b":\r\n:\r\n\r\n"),
]
