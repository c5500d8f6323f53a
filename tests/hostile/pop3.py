"""What POP3 has to stand (RFC 1939, 2449, 2595, 5034, 6856). `known` has three messages."""
from .rows import CLOSES, EITHER, STAYS, Row, Wait

ERR, OK = rb"(?m)^-ERR", rb"(?m)^\+OK"
ANSWER = rb"(?m)^(\+OK|-ERR)"
ROWS = []


def row(state, name, send, see=ERR, fate=STAYS, never=None):
    ROWS.append(Row(state, name, send, see, fate, never))


def each(state, what, command, see, values, fate=STAYS, never=None):
    for value in values:
        shown = repr(value)[2:-1]
        row(state, f"{what}: {shown if len(shown) < 40 else shown[:24] + '... of ' + str(len(value))}",
            command.replace(b"%b", value) + b"\r\n", see, fate, never)


for state in ("new", "known"):
    each(state, "no command", b"%b", ERR,
         [b"", b" ", b"X", b"NONSENSE", b"STATX", b"STA", b"\0", b"ST\0AT", b"\xff\xfe", b"\xef\xbb\xbfSTAT", b"S\xd6AT", b"ST\rAT", b"STAT\r", b"\x08STAT", b"STAT\tx", b"\tSTAT", b"\xff\xf4\xff\xfd\x06STAT",
          b"{3}", b"a1 NOOP", b"EHLO x", b"SSH-2.0-x", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2", b"%n%s", b"'; DROP TABLE mail", b"XTND XMIT", b"X" * 300, b"X" * 5000, b"X" * 60000])
    row(state, "a line of 1 MB", b"X" * 1_000_000 + b"\r\n", ERR, EITHER)
    row(state, "a line of 1 MB without an end", b"X" * 1_000_000, b"", EITHER)
    row(state, "too many mistakes", b"NONSENSE\r\n" * 300, rb"-ERR \[SYS/PERM\]", CLOSES)
    row(state, "1,000 times CAPA", b"CAPA\r\n" * 1000, OK)
    row(state, "HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", ERR, EITHER)
    row(state, "a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2 + b"\r\n", ERR, EITHER)
    each(state, "CAPA with an argument", b"CAPA %b", ERR, [b"x", b"1", b"\xff"])
    each(state, "LANG of what is none", b"LANG %b", ANSWER, [b"x" * 250, b"\xff", b"../../x", b"a b c", b"**", b"xx-yy-zz"])
    each(state, "QUIT with an argument", b"QUIT %b", ERR, [b"1", b"x"])
row("new", "an HTTP POST with commands in it", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\nUSER u00002\r\nPASS secret\r\n", ERR, CLOSES, never=OK)
for name in (b"STAT", b"LIST", b"LIST 1", b"RETR 1", b"DELE 1", b"NOOP", b"LAST", b"RSET", b"TOP 1 1", b"UIDL", b"UIDL 1"):
    row("new", f"before the login: {name.decode()}", name + b"\r\n", ERR)
for name in (b"USER u00002", b"PASS secret", b"APOP u00002 00000000000000000000000000000000", b"AUTH PLAIN", b"AUTH PLAIN AHUAcA==", b"STLS", b"UTF8"):
    row("known", f"after the login: {name.decode()}", name + b"\r\n", ERR)

# ---- logging in ----

each("new", "USER of what is none", b"USER %b", ANSWER, [b"", b" ", b"u" * 230, b"u" * 1000, b"u v", b"\xff\xfe", b"../../u00002", b"u\x01v", b"u\0v", b'"u"', b"u@", b"@", b"@@", b"%s%n"])
row("new", "1,000 times USER", b"USER u00002\r\n" * 1000, OK)
row("new", "PASS without USER", b"PASS secret\r\n", ERR)
row("new", "USER, another command, PASS", b"USER u00002\r\nCAPA\r\nPASS secret\r\n", ANSWER)
row("new", "PASS with nothing", b"USER u00002\r\nPASS\r\n", ERR, never=rb"messages")
row("new", "PASS with a space", b"USER u00002\r\nPASS \r\n", ERR, never=rb"messages")
row("new", "PASS with a space more", b"USER u00002\r\nPASS  secret\r\n", ERR, never=rb"messages")
row("new", "PASS with NUL behind", b"USER u00002\r\nPASS secret\0\r\n", ERR, never=rb"messages")
row("new", "PASS cut by NUL", b"USER u00002\0x\r\nPASS secret\r\n", ERR, never=rb"messages")
row("new", "PASS of 900 octets", b"USER u00002\r\nPASS " + b"p" * 900 + b"\r\n", ERR)
row("new", "PASS of 60,000 octets", b"USER u00002\r\nPASS " + b"p" * 60000 + b"\r\n", ERR)
row("new", "PASS with 8 bits", b"USER u00002\r\nPASS \xff\xfe\r\n", ERR)
each("new", "AUTH of what is none", b"AUTH %b", ERR,
     [b"NONSENSE", b"X" * 200, b"PLAIN !!!!", b"PLAIN A", b"PLAIN AA=A", b"PLAIN ====", b"PLAIN AHUAcA", b"PLAIN AHUAcA==x", b"PLAIN AHUA cA==", b"PLAIN AA==", b"PLAIN AAAAAA==", b"PLAIN =",
      b"PLAIN " + b"A" * 240, b"PLAIN " + b"A" * 4000, b"CRAM-MD5", b"NTLM", b"GSSAPI", b"\xff", b"SCRAM-SHA-256 biwsbj11LHI9eA", b"SCRAM-SHA-256 eCxub3Q=", b"OAUTHBEARER bm9uc2Vuc2U="])
for bad in (b"!!!", b"====", b"A", b"AA=A", b"\xff\xff\xff\xff", b" ", b"AHUA\0cA==", b'"AHUAcA=="', b"**", b"", b"* ", b" *"):
    row("new", f"AUTH PLAIN, answered with {bad!r}", [b"AUTH PLAIN\r\n", Wait(rb"(?m)^\+ "), bad + b"\r\n"], ERR)
row("new", "AUTH given up", [b"AUTH PLAIN\r\n", Wait(rb"(?m)^\+ "), b"*\r\n"], ERR)
row("new", "AUTH given up in its second step", [b"AUTH SCRAM-SHA-256\r\n", Wait(rb"(?m)^\+ "), b"biwsbj11MDAwMDIscj1hYmM=\r\n", Wait(rb"(?m)^\+ \S+"), b"*\r\n"], ERR)
row("new", "an answer of 1 MB", [b"AUTH PLAIN\r\n", Wait(rb"(?m)^\+ "), b"A" * 1_000_000 + b"\r\n"], ERR, EITHER)
row("new", "an answer of 16 KiB", [b"AUTH PLAIN\r\n", Wait(rb"(?m)^\+ "), b"A" * 16384 + b"\r\n"], ERR)
each("new", "APOP of what is none", b"APOP %b", ERR, [b"", b"x", b"x y", b"u00002 00000000000000000000000000000000", b"u00002 " + b"0" * 200, b"u00002 zz"])

# ---- STLS ----

row("new", "STLS with an argument", b"STLS x\r\n", ERR)
row("new", "STLS and then no TLS", [b"STLS\r\n", Wait(OK), b"CAPA\r\n"], b"", CLOSES, never=rb"IMPLEMENTATION")
row("new", "STLS and an alert", [b"STLS\r\n", Wait(OK), b"\x15\x03\x01\x00\x02\x02\x28"], b"", CLOSES)
row("new", "STLS and a record too long", [b"STLS\r\n", Wait(OK), b"\x16\x03\x01\xff\xff" + b"x" * 70000], b"", CLOSES)

# ---- numbers ----

NUMBERS = [b"0", b"-1", b"+1", b"4", b"00", b"1.5", b"1e0", b"0x1", b"x", b"*", b"1:2", b"1,2", b"4294967296", b"4294967297", b"18446744073709551617", b"99999999999999999999999", b"1 1", b"\xd9\xa1", b"(1)", b'"1"', b"1;2",
           b"9" * 200]
for command in (b"LIST", b"RETR", b"DELE", b"UIDL"):
    each("known", f"{command.decode()} of what is none", command + b" %b", ERR, NUMBERS)
    each("known", f"{command.decode()} with leading zeros", command + b" %b", ANSWER, [b"01", b"0000000000000000000001"])
each("known", "TOP of what is none", b"TOP %b", ERR, [b"", b"1", b"1 -1", b"1 x", b"1 +1", b"0 1", b"-1 1", b"4 1", b"1 1 1", b"1 1.5", b"1 99999999999999999999999", b"1  x", b"x 1", b"* 1", b"1 1x", b"4294967297 1"])
each("known", "TOP with odd numbers", b"TOP %b", ANSWER, [b"1 0", b"1 00", b"1 0001", b"1 4294967295", b"1 4294967296", b"1 18446744073709551615", b"01 1", b"1  1"])
row("known", "RETR without a number", b"RETR\r\n", ERR)
row("known", "DELE without a number", b"DELE\r\n", ERR)
row("known", "DELE twice", b"DELE 1\r\nDELE 1\r\nRSET\r\n", ERR)
row("known", "RETR of what is deleted", b"DELE 2\r\nRETR 2\r\nRSET\r\n", ERR)
row("known", "TOP, LIST and UIDL of what is deleted", b"DELE 2\r\nTOP 2 0\r\nLIST 2\r\nUIDL 2\r\nRSET\r\n", rb"(-ERR.*\r\n){3}")
row("known", "STAT, NOOP, RSET with arguments", b"STAT x\r\nNOOP x\r\nRSET x\r\n", rb"(-ERR.*\r\n){3}")
row("known", "2,000 commands in one go", b"NOOP\r\n" * 2000, OK)
row("known", "1,000 RETRs in one go", b"RETR 1\r\n" * 1000, OK)
row("known", "half a command, then the rest", [b"RET", b"R ", b"1\r\n"], OK)
row("known", "a command without an end", b"RETR 1", b"", EITHER)
row("known", "bare LF", b"NOOP\nNOOP\n", ANSWER)
row("known", "bare CR", b"NOOP\rNOOP\r\r\n", ERR)
