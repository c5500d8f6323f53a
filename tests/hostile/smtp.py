"""What SMTP and LMTP have to stand (RFC 5321, 2033, 3030, 3207, 6531 and smuggling). Text within DATA is judged by what it becomes in the
store: tests/e2e/end_of_data.py."""
from .rows import CLOSES, EITHER, STAYS, Row, Wait

BAD, OK = rb"(?m)^5\d\d ", rb"(?m)^250 "
REFUSED = rb"(?m)^[45]\d\d "
ANSWER = rb"(?m)^[245]\d\d "


def table(protocol):
    lmtp = protocol == "lmtp"
    hello = b"LHLO" if lmtp else b"EHLO"
    rows = []

    def row(state, name, send, see=BAD, fate=STAYS, never=None):
        rows.append(Row(state, name, send, see, fate, never))

    def each(state, what, command, see, values, fate=STAYS, never=None):
        for value in values:
            shown = repr(value)[2:-1]
            row(state, f"{what}: {shown if len(shown) < 40 else shown[:24] + '... of ' + str(len(value))}",
                command.replace(b"%b", value) + b"\r\n", see, fate, never)

    for state in ("new", "greeted", "sender", "recipient"):
        each(state, "no command", b"%b", BAD,
             [b"", b" ", b"X", b"NONSENSE x", b"MAILX FROM:<a@b>", b"\0", b"NO\0OP", b"\xff\xfe", b"\xef\xbb\xbfNOOP", b"N\xd6OP", b"NO\rOP", b"NOOP\r", b"\tNOOP", b" NOOP", b"\x08NOOP", b"\xff\xf4\xff\xfd\x06NOOP",
              b"a1 NOOP", b"{3}", b"SSH-2.0-x", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2", b"'; DROP TABLE mail", b"Subject: x", b".", b"NOOPNOOP", b"QUIT QUIT", b"RSET x", b"DATA x", b"X" * 3000, b"X" * 60000])
        row(state, "a line that ends with LF", b"NOOP\n", BAD)
        row(state, "a line that ends with CR", b"NOOP\rNOOP\r\n", BAD)
        row(state, "a line of 1 MB", b"NOOP " + b"x" * 1_000_000 + b"\r\n", BAD, EITHER)
        row(state, "a line of 1 MB without an end", b"X" * 1_000_000, b"", EITHER)
        row(state, "VRFY", b"VRFY u00001@localhost\r\nVRFY root\r\nVRFY " + b"x" * 1000 + b"\r\n", rb"(?m)^252 ")
        row(state, "EXPN", b"EXPN all\r\n", rb"(?m)^50\d ")
        row(state, "AUTH", b"AUTH PLAIN AHUAcA==\r\n", rb"(?m)^50\d ")
        row(state, "ETRN", b"ETRN x\r\n", rb"(?m)^50\d ")
        row(state, "TURN, SEND, SOML, SAML", b"TURN\r\nSEND FROM:<a@b>\r\nSOML FROM:<a@b>\r\nSAML FROM:<a@b>\r\n", rb"(50\d .*\r\n){4}")
        row(state, "too many mistakes", b"NONSENSE\r\n" * 100, rb"(?m)^421 ", CLOSES)
        row(state, "HTTP GET", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", rb"(?m)^421 ", CLOSES)
        row(state, "HTTP POST with mail in it", b"POST / HTTP/1.1\r\nHost: x\r\n\r\n" + hello + b" x\r\nMAIL FROM:<a@b>\r\n", rb"(?m)^421 ", CLOSES, never=rb"(?m)^250 ")
        row(state, "a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2 + b"\r\n", BAD, EITHER)
        row(state, "another protocol's hello", b"EHLO x\r\n" if lmtp else b"LHLO x\r\n", BAD)
        row(state, "STARTTLS with an argument", b"STARTTLS x\r\n", BAD)
        each(state, "BDAT of what is none", b"BDAT %b", rb"(?m)^501 ", [b"", b"x", b"-1", b"+1", b"1.5", b"0x10", b"1 X", b"1 LAST x", b"1LAST", b"LAST", b"LAST 1", b"18446744073709551616", b"9223372036854775808", b"99999999999999999999999", b"1 2"],
             EITHER)
        each(state, "the hello of what is none", hello + b" %b", BAD,
             [b"", b" ", b"a b", b"<script>", b"a\0b", b"a\x01b", b"[", b"[]", b"[1.2.3]", b"[1.2.3.4.5]", b"[1.2.3.400]", b"[IPv6:]", b"[IPv6:x]", b"[IPv6:::1::]", b"x" * 300, b"x" * 1900, b"a(b)", b'"x"', b"\xff\xfe", b"a@b", b"%s%n;", b"../x"])
    row("new", "MAIL before the hello", b"MAIL FROM:<a@b.example>\r\n", rb"(?m)^503 ")
    row("new", "RCPT before the hello", b"RCPT TO:<u00003@localhost>\r\n", rb"(?m)^503 ")
    row("new", "DATA before the hello", b"DATA\r\n", rb"(?m)^503 ")
    row("new", "STARTTLS before the hello", b"STARTTLS\r\n", rb"(?m)^503 ")
    row("greeted", "RCPT before MAIL", b"RCPT TO:<u00003@localhost>\r\n", rb"(?m)^503 ")
    row("greeted", "DATA before MAIL", b"DATA\r\n", rb"(?m)^503 ")
    row("sender", "DATA before RCPT", b"DATA\r\n", rb"(?m)^5(03|54) ")
    row("sender", "MAIL twice", b"MAIL FROM:<a@b.example>\r\n", rb"(?m)^503 ")
    row("recipient", "MAIL behind RCPT", b"MAIL FROM:<a@b.example>\r\n", rb"(?m)^503 ")
    row("greeted", "BDAT before MAIL is read and refused", b"BDAT 12 LAST\r\nRSET\r\nNOOP\r\n", rb"(?m)^503 ", never=rb"(?m)^250 2.0.0 OK\r\n250")
    row("recipient", "DATA between chunks", b"BDAT 3\r\nabcDATA\r\n", rb"(?m)^503 ")
    row("recipient", "RCPT between chunks", b"BDAT 3\r\nabcRCPT TO:<u00003@localhost>\r\n", rb"(?m)^503 ")
    row("recipient", "MAIL between chunks", b"BDAT 3\r\nabcMAIL FROM:<a@b.example>\r\n", rb"(?m)^503 ")
    row("recipient", "a chunk of nothing", b"BDAT 0\r\n", OK)
    row("recipient", "nothing but a last chunk of nothing", b"BDAT 0 LAST\r\n", ANSWER)
    row("recipient", "10,000 chunks of nothing", b"BDAT 0\r\n" * 10000, OK)
    row("recipient", "1,000 chunks of one octet", b"BDAT 1\r\nx" * 1000 + b"RSET\r\n", OK)
    row("recipient", "a chunk of 4 GiB that does not come", b"BDAT 4294967296 LAST\r\nabc", b"", EITHER)
    row("recipient", "a chunk of 2^63-1 that does not come", b"BDAT 9223372036854775807 LAST\r\nabc", b"", EITHER)
    row("recipient", "a chunk with leading zeros", b"BDAT 000000000003 LAST\r\nabc", ANSWER)
    row("recipient", "a chunk with what looks like an end and commands", b"BDAT 34 LAST\r\nx\r\n.\r\nMAIL FROM:<evil@b.example>\r\n", rb"(?m)^250 2", never=rb"2\.1\.0")
    row("recipient", "RSET drops the chunks", b"BDAT 3\r\nabcRSET\r\nDATA\r\n", rb"(?m)^503 ")
    each("greeted", "MAIL of what is none", b"MAIL %b", BAD,
         [b"", b"FROM", b"FROM:", b"FROM: ", b"TO:<a@b.example>", b"FROM:a@b.example", b"FROM:<a@b.example", b"FROM:a@b.example>", b"FROM:<<a@b.example>>", b"FROM:<a@@b.example>", b"FROM:<a@b@c>", b"FROM:<a b@c.example>", b"FROM:<a@b c>",
          b"FROM:<a@>", b"FROM:<@b.example>", b"FROM:<@>", b"FROM:<a@.b>", b"FROM:<a@b.>", b"FROM:<a@b..c>", b"FROM:<a@-b.c>", b"FROM:<a@b-.c>", b'FROM:<"a@b.c>', b'FROM:<"a"b@c.d>', b'FROM:<"a\\"@b.c>',
          b"FROM:<a@[1.2.3]>", b"FROM:<a@[1.2.3.4>", b"FROM:<a@[1.2.3.456]>", b"FROM:<a@[IPv6:zz]>", b"FROM:<a@[]>", b"FROM:<@a,b@c.d>", b"FROM:<@a:@b.c>", b"FROM:<@a:b@c.d", b"FROM:<(a)a@b.c>", b"FROM:<a\\@b.c>",
          b"FROM:<a\0@b.c>", b"FROM:<a\x01@b.c>", b"FROM:<a\x7f@b.c>", b"FROM:<a\r@b.c>", b"FROM:<a@b.c\r>", b"FROM:<a\nRCPT TO:<u00003@localhost>", b"FROM:<\xe4@b.c>", b"FROM:<a@\xe4.c>", b"FROM:<\xff\xfe@b.c> SMTPUTF8", b"FROM:<\xc0\x80@b.c> SMTPUTF8",
          b"FROM:<" + b"a" * 300 + b"@b.c>", b"FROM:<a@" + b"b" * 300 + b">", b"FROM:<a@" + b"b." * 600 + b"c>", b"FROM:<a@b.c>x", b"FROM:<a@b.c> X", b"FROM:<a@b.c> X=y", b"FROM:<a@b.c> =1", b"FROM:<a@b.c> SIZE",
          b"FROM:<a@b.c> SIZE=", b"FROM:<a@b.c> SIZE=x", b"FROM:<a@b.c> SIZE=-1", b"FROM:<a@b.c> SIZE=99999999999999999999999", b"FROM:<a@b.c> SIZE=18446744073709551615", b"FROM:<a@b.c> SIZE=9999999999", b"FROM:<a@b.c> SIZE=1 SIZE=2x", b"FROM:<a@b.c> BODY",
          b"FROM:<a@b.c> BODY=", b"FROM:<a@b.c> BODY=X", b"FROM:<a@b.c> SMTPUTF8=1", b"FROM:<a@b.c> AUTH=<>", b"FROM:<a@b.c> RET=FULL", b"FROM:<a@b.c> " + b"X" * 1900, b"FROM:<a@b.c> " + b"A=B " * 400])
    each("greeted", "MAIL that is odd and fine", b"MAIL %b", OK,
         [b"FROM:<>", b"from:<a@b.c>", b"FROM: <a@b.c>", b'FROM:<"a b"@c.d>', b'FROM:<"a@b"@c.d>', b'FROM:<"\\""@c.d>', b"FROM:<a@[1.2.3.4]>", b"FROM:<a@[IPv6:2001:db8::1]>", b"FROM:<@a,@b:c@d.e>", b"FROM:<!#$%&'*+-/=?^_`{|}~@b.c>", b"FROM:<a@b.c> SIZE=0",
          b"FROM:<a@b.c> SIZE=00000000000000000001", b"FROM:<a@b.c> BODY=8BITMIME SMTPUTF8 SIZE=1", b"FROM:<a@xn--4ca.c>", b"FROM:<" + b"a" * 64 + b"@b.c>"])
    each("greeted", "MAIL of what is none, but comes", b"MAIL %b", ANSWER, [b"FROM:<.a@b.c>", b"FROM:<a.@b.c>", b"FROM:<a..b@c.d>", b"FROM:<" + b"@a," * 500 + b"@b:c@d.e>"])
    each("sender", "RCPT of what is none", b"RCPT %b", BAD,
         [b"", b"TO", b"TO:", b"TO:<>", b"FROM:<u00003@localhost>", b"TO:u00003@localhost", b"TO:<u00003@localhost", b"TO:<<u00003@localhost>>", b"TO:<u00003@@localhost>", b"TO:<@localhost>", b"TO:<u00003@>", b"TO:<u00003@elsewhere.example.org.invalid>x", b"TO:<nobody@localhost>",
          b"TO:<u00003@localhost\0>", b"TO:<u00003\0@localhost>", b"TO:<u00003@localhost\r>", b"TO:<u00003@localhost> X", b"TO:<u00003@localhost> NOTIFY=NEVER", b"TO:<u00003@[127.0.0.1]>", b"TO:<../../u00003@localhost>", b"TO:<u00003/../u00001@localhost>", b'TO:<"u00003@localhost',
          b"TO:<u00003%elsewhere@localhost>", b"TO:<elsewhere!u00003@localhost>", b"TO:<|/bin/sh@localhost>", b'TO:<"|/bin/sh"@localhost>', b"TO:</etc/passwd@localhost>", b"TO:<" + b"a" * 300 + b"@localhost>", b"TO:<a@" + b"b." * 600 + b"c>", b"TO:<\xff@localhost>",
          b"TO:<u00003@localhost>, <u00004@localhost>", b"TO:<u00003@localhost> <u00004@localhost>", b"TO:<u00003,u00004@localhost>", b"TO:<u00003@localhost,u00004@localhost>", b"TO:<*@localhost>"])
    row("sender", "5,000 times the same recipient", b"RCPT TO:<u00003@localhost>\r\n" * 5000, REFUSED)
    row("sender", "500 unknown recipients", b"RCPT TO:<x@localhost>\r\n" * 500, REFUSED, EITHER)
    row("greeted", "1,000 transactions begun", b"MAIL FROM:<a@b.example>\r\nRSET\r\n" * 1000, OK)
    row("greeted", "2,000 commands in one go", b"NOOP\r\n" * 2000, OK)
    row("greeted", "half a command, then the rest", [b"MAIL FR", b"OM:<a@", b"b.example>\r\n"], OK)
    row("greeted", "the hello again forgets the transaction", b"MAIL FROM:<a@b.example>\r\n" + hello + b" y\r\nRCPT TO:<u00003@localhost>\r\n", rb"(?m)^503 ")
    row("greeted", "STARTTLS and then no TLS", [b"STARTTLS\r\n", Wait(rb"(?m)^220 "), b"NOOP\r\n"], b"", CLOSES, never=OK)
    row("greeted", "STARTTLS and an alert", [b"STARTTLS\r\n", Wait(rb"(?m)^220 "), b"\x15\x03\x01\x00\x02\x02\x28"], b"", CLOSES)
    row("greeted", "STARTTLS and a record too long", [b"STARTTLS\r\n", Wait(rb"(?m)^220 "), b"\x16\x03\x01\xff\xff" + b"x" * 70000], b"", CLOSES)
    row("data", "a body cut short", b"Subject: x\r\n\r\nhalf", b"", EITHER, never=OK)
    row("data", "a line of 1 MB", b"x" * 1_000_000 + b"\r\n.\r\n", OK)
    row("data", "a header line of 1 MB", b"Subject: " + b"x" * 1_000_000 + b"\r\n\r\nx\r\n.\r\n", OK)
    row("data", "1,000,000 empty lines", b"\r\n" * 1_000_000 + b".\r\n", OK)
    row("data", "100,000 lines of a dot", b"..\r\n" * 100_000 + b".\r\n", OK)
    row("data", "NULs", b"\0" * 1000 + b"\r\n\0\r\n.\r\n", OK)
    row("data", "nothing", b".\r\n", ANSWER)
    row("data", "a header of 101 Received fields", b"Received: x\r\n" * 101 + b"\r\n.\r\n", rb"(?m)^554 ")
    row("data", "what follows the end in one packet", b"Subject: x\r\n\r\nx\r\n.\r\nNOOP\r\nRSET\r\n", rb"(?m)^250 (.*\r\n){3}")
    row("data", "more than is allowed", b"x" * 78 + b"\r\n" + (b"x" * 78 + b"\r\n") * 1_400_000 + b".\r\n", rb"(?m)^552 ", EITHER)
    return rows


ROWS = table("smtp")
