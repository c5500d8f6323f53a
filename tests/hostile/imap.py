"""What IMAP has to stand (RFC 9051, RFC 3501 and their extensions)."""
from .rows import CLOSES, EITHER, STAYS, Row, Wait

BAD, NO, OK = rb"(?m)^a BAD ", rb"(?m)^a NO ", rb"(?m)^a OK "
NOT_OK = rb"(?m)^a (BAD|NO) "
ANSWER = rb"(?m)^a (BAD|NO|OK) "
TOO_MUCH = rb"(?m)^(a (BAD|NO) |\* BYE \[LIMIT\] )"  # octets_before_login
UNTAGGED_BAD = rb"(?m)^\* BAD "
ROWS = []


def row(state, name, send, see=ANSWER, fate=STAYS, never=None):
    ROWS.append(Row(state, name, send, see, fate, never))


def each(state, what, command, see, values, fate=STAYS, never=None):
    """One row for each value, put where command has %b."""
    for value in values:
        shown = repr(value)[2:-1]
        row(state, f"{what}: {shown if len(shown) < 40 else shown[:24] + '... of ' + str(len(value))}",
            b"a " + command.replace(b"%b", value) + b"\r\n", see, fate, never)


# ---- lines ----

row("new", "no tag", b" NOOP\r\n", UNTAGGED_BAD)
row("new", "a tag alone", b"a\r\n", rb"(?m)^(a|\*) BAD ")
row("new", "a tag and a space", b"a \r\n", BAD)
row("new", "a tag with +", b"a+b NOOP\r\n", UNTAGGED_BAD)
row("new", "a tag that is *", b"* NOOP\r\n", UNTAGGED_BAD)
row("new", "a tag that is a quoted string", b'"a" NOOP\r\n', UNTAGGED_BAD)
row("new", "a tag that is a literal", b"{1+}\r\na NOOP\r\n", rb"(?m)^(\*|a) BAD ")
row("new", "a tag with 8-bit octets", b"\xe4\xf6 NOOP\r\n", UNTAGGED_BAD)
row("new", "a tag with NUL", b"a\0b NOOP\r\n", UNTAGGED_BAD)
row("new", "a tag of 8,000 octets", b"a" * 8000 + b" NOOP\r\n", UNTAGGED_BAD)
row("new", "two spaces behind the tag", b"a  NOOP\r\n", BAD)
row("new", "a tab for a space", b"a\tNOOP\r\n", UNTAGGED_BAD)
row("new", "a space behind the command", b"a NOOP \r\n", ANSWER)
row("new", "an argument for a command without", b"a NOOP x\r\n", BAD)
row("new", "empty lines", b"\r\n\r\n", UNTAGGED_BAD)
row("new", "a line of 8 KiB", b"a NOOP " + b"x" * 8200 + b"\r\n", BAD)
row("new", "a line of 60 KB", b"a NOOP " + b"x" * 60_000 + b"\r\n", BAD)
row("new", "a line of 1 MB", b"a NOOP " + b"x" * 1_000_000 + b"\r\n", TOO_MUCH, EITHER)
row("known", "a line of 64 KiB", b"a NOOP " + b"x" * 65_600 + b"\r\n", BAD)
row("known", "a line of 1 MB, logged in", b"a NOOP " + b"x" * 1_000_000 + b"\r\n", BAD, EITHER)
row("new", "a bare LF ends no second command unseen", b"a NOOP\n", ANSWER)
row("new", "a bare CR within", b"a NO\rOP\r\n", BAD)
row("new", "CR CR LF", b"a NOOP\r\r\n", BAD)
row("new", "NUL within a command", b"a NO\0OP\r\n", BAD)
row("new", "NUL behind a command", b"a NOOP\0\r\n", BAD)
row("new", "NUL within a quoted string", b'a LOGIN "u\0" "x"\r\n', BAD)
row("new", "8-bit command", b"a N\xd6OP\r\n", BAD)
row("new", "DEL in a command", b"a NOOP\x7f\r\n", BAD)
row("new", "backspaces", b"a NOOX\x08P\r\n", BAD)
row("new", "an IAC of telnet", b"\xff\xf4\xff\xfd\x06a NOOP\r\n", UNTAGGED_BAD)
row("new", "a byte order mark", b"\xef\xbb\xbfa NOOP\r\n", UNTAGGED_BAD)
row("new", "UTF-16", "a NOOP\r\n".encode("utf-16-le") + b"\r\n", UNTAGGED_BAD)
for name in (b"", b"X", b"NOOPS", b"XAPPLEPUSHSERVICE", b"UID", b"UID NOOP", b"UID UID", b"DONE", b"QUIT", b"USER x", b"EHLO x", b"HELP",
             b"A" * 5000, b"NOOP;NOOP", b"NOOP\\r\\n", b"(NOOP)", b"%s%n", b"../../etc/passwd", b"'; DROP TABLE mail; --", b"${jndi:ldap://x}"):
    row("new", f"unknown command {name[:40].decode()}", b"a " + name + b"\r\n", BAD)

# ---- what is not allowed yet or no more ----

for name in (b"ENABLE CONDSTORE", b"COMPRESS DEFLATE", b"UNAUTHENTICATE", b"SELECT INBOX", b"EXAMINE INBOX", b"CREATE x", b"DELETE x",
             b"RENAME x y", b"SUBSCRIBE x", b"UNSUBSCRIBE x", b'LIST "" *', b'LSUB "" *', b"NAMESPACE", b"STATUS INBOX (MESSAGES)",
             b"GETMETADATA INBOX /private/comment", b"SETMETADATA INBOX (/private/comment x)", b'GETQUOTA ""', b"GETQUOTAROOT INBOX",
             b'SETQUOTA "" (STORAGE 1)', b"SETACL INBOX x lr", b"DELETEACL INBOX x", b"GETACL INBOX", b"LISTRIGHTS INBOX x",
             b"MYRIGHTS INBOX", b"APPEND INBOX {3+}\r\nabc", b"IDLE", b"NOTIFY NONE", b"CHECK", b"CLOSE", b"UNSELECT", b"EXPUNGE",
             b"UID EXPUNGE 1", b"ESEARCH IN (inboxes) ALL", b"SEARCH ALL", b"SORT (DATE) UTF-8 ALL", b"THREAD REFERENCES UTF-8 ALL",
             b"FETCH 1 FLAGS", b"UID FETCH 1 FLAGS", b"STORE 1 FLAGS ()", b"COPY 1 INBOX", b"MOVE 1 INBOX", b"COMPARATOR",
             b"CONVERSIONS * *", b"CONVERT 1 (text/plain) BODY[1]", b"RESETKEY", b"URLFETCH x", b"CANCELUPDATE x"):
    row("new", f"before the login: {name.split(bytes([13]))[0].decode()}", b"a " + name + b"\r\n", BAD)
for name in (b"CHECK", b"CLOSE", b"UNSELECT", b"EXPUNGE", b"UID EXPUNGE 1", b"SEARCH ALL", b"SORT (DATE) UTF-8 ALL",
             b"THREAD REFERENCES UTF-8 ALL", b"FETCH 1 FLAGS", b"STORE 1 FLAGS ()", b"COPY 1 INBOX", b"MOVE 1 INBOX",
             b"UID FETCH 1 FLAGS", b"UID STORE 1 FLAGS ()", b"UID COPY 1 INBOX", b"CONVERT 1 (text/plain) BODY[1]",
             b"REPLACE 1 INBOX {3+}\r\nabc"):
    row("known", f"without a mailbox: {name.split(bytes([13]))[0].decode()}", b"a " + name + b"\r\n", BAD)
for name in (b"LOGIN u00001 secret", b"STARTTLS", b"AUTHENTICATE PLAIN", b"AUTHENTICATE PLAIN =", b"AUTHENTICATE PLAIN AHUAcA=="):
    row("known", f"after the login: {name.decode()}", b"a " + name + b"\r\n", BAD)

# ---- literals ----

each("new", "a literal that is none", b"LOGIN {%b}\r\nb NOOP", BAD,
     [b"", b"x", b"-1", b"+1", b"1 ", b" 1", b"0x10", b"1.5", b"1e3", b"18446744073709551616", b"18446744073709551615", b"9223372036854775808",
      b"99999999999999999999999999", b"1++", b"1-", b"1}{2", b"\xb2"])
each("new", "a literal larger than allowed, waiting", b"LOGIN {%b}", NOT_OK,
     [b"4097", b"65536", b"4294967295", b"4294967296", b"4294967299", b"9223372036854775807"], never=rb"(?m)^\+ ")
each("known", "a literal larger than allowed, waiting, logged in", b"SELECT {%b}", NOT_OK,
     [b"65537", b"4294967295", b"4294967296", b"9223372036854775807"], never=rb"(?m)^\+ ")
row("new", "a literal of 4 KiB+1, not waiting", b"a LOGIN {4097+}\r\n" + b"x" * 4097 + b" y\r\n", NOT_OK)
row("new", "a literal of 4 GiB, not waiting", b"a LOGIN {4294967296+}\r\n", rb"(?m)^\* BYE ", CLOSES)
row("new", "a literal of 4 GiB and 3, not waiting", b"a LOGIN {4294967299+}\r\nabc x\r\n", rb"(?m)^\* BYE ", CLOSES)
row("new", "a literal of 2^63-1, not waiting", b"a LOGIN {9223372036854775807+}\r\nabc x\r\n", rb"(?m)^\* BYE ", CLOSES)
row("new", "a literal of 2^64+3, not waiting", b"a LOGIN {18446744073709551619+}\r\nabc x\r\n", BAD, EITHER, never=rb"a OK")
row("known", "a literal of 4 GiB, not waiting, logged in", b"a SELECT {4294967296+}\r\n", rb"(?m)^\* BYE ", CLOSES)
row("known", "a literal of 2^63-1, not waiting, logged in", b"a SELECT {9223372036854775807+}\r\nabc\r\n", rb"(?m)^\* BYE ", CLOSES)
row("new", "a literal with leading zeros", b"a LOGIN {000000000000000000000000001+}\r\nx {0000+}\r\n\r\n", NOT_OK)
row("new", "a literal of nothing", b"a LOGIN {0+}\r\n {0+}\r\n\r\n", NOT_OK)
row("new", "a literal that does not end its line", b"a LOGIN {3} abc x\r\n", BAD)
row("new", "a literal within quotes is none", b'a LOGIN "{3+}" "{3+}"\r\n', NOT_OK)
row("new", "a literal as the command", b"a {4+}\r\nNOOP\r\n", rb"(?m)^(a|\*) BAD ")
row("new", "a literal behind an unknown command", b"a NONSENSE {6+}\r\na NOOP\r\n", BAD, never=rb"a OK")
row("new", "a literal behind a finished command", b"a NOOP {6+}\r\na NOOP\r\n", BAD, never=rb"a OK")
row("new", "a literal in a wrong state", b"a SELECT {6+}\r\na NOOP\r\n", BAD, never=rb"a OK")
row("new", "NUL in a literal", b"a LOGIN {3+}\r\na\0b x\r\n", BAD)
row("new", "literal8 where none may be", b"a LOGIN ~{3+}\r\nabc x\r\n", BAD)
row("new", "CR and LF in a literal", b"a LOGIN {8+}\r\na\nb\rc\r\nd x\r\n", NOT_OK)
row("new", "a literal and then nothing", [b"a LOGIN {3}\r\n", Wait(rb"(?m)^\+ "), b"abc\r\n"], BAD)
row("new", "a hundred literals", b"a LOGIN" + b" {1+}\r\nx" * 100 + b"\r\n", BAD)
row("new", "30 literals of 4 KiB", b"a LOGIN" + b" {4000+}\r\n" * 1 + b"x" * 4000 + b"".join(b" {4000+}\r\n" + b"x" * 4000 for _ in range(29)) + b"\r\n",
    NOT_OK, EITHER)
row("known", "a thousand literals", b"a LIST (" + b" ".join([b"{1+}\r\nx"] * 1000) + b") \"\" *\r\n", BAD)
row("known", "a hundred literals of 64 KiB", b"a ID (" + b" ".join([b"{65000+}\r\n" + b"x" * 65000] * 100) + b")\r\n", NOT_OK, EITHER)
row("known", "a literal that hides a command", b"a CREATE {20+}\r\nx\r\nb LOGOUT\r\n........\r\n", ANSWER, never=rb"(?m)^b |BYE")
row("known", "quoted strings across lines", b'a CREATE "x\r\nb LOGOUT\r\nc NOOP"\r\n', BAD, EITHER)
row("known", "an escape of nothing", b'a CREATE "\\"\r\n', BAD)
row("known", "an escape of a letter", b'a CREATE "\\x"\r\n', BAD)
row("known", "a quote within an atom", b'a CREATE x"y\r\n', BAD)

# ---- logging in ----

each("new", "LOGIN with arguments that are none", b"LOGIN %b", BAD,
     [b"", b" ", b"x", b"x ", b"(x) y", b"x (y)", b"NIL NIL NIL", b"{} {}", b'"x', b'"x" "y', b"x y z", b"*", b"% %", b'"" ""z'])
row("new", "LOGIN of a name of 4 KiB", b"a LOGIN " + b"u" * 4000 + b" x\r\n", NO)
row("new", "LOGIN with a password of 4 KiB", b"a LOGIN u00001 " + b"p" * 4000 + b"\r\n", NO)
row("new", "LOGIN with no UTF-8", b'a LOGIN {2+}\r\n\xff\xfe {2+}\r\n\xc0\x80\r\n', NOT_OK)
row("new", "LOGIN with control octets", b'a LOGIN "u\x01\x02" "\x1b[2J"\r\n', NOT_OK)
row("new", "LOGIN with a path", b"a LOGIN ../../u00001 secret\r\n", NO)
row("new", "LOGIN with an empty password", b'a LOGIN u00001 ""\r\n', NO)
each("new", "AUTHENTICATE with what is none", b"AUTHENTICATE %b", NOT_OK,
     [b"", b" ", b"NONSENSE", b"PLAIN!", b"X" * 2000, b"(PLAIN)", b'"PLAIN" =', b"CRAM-MD5", b"LOGIN x", b"NTLM", b"GSSAPI", b"\xff", b"PLAIN !!!!",
      b"PLAIN A", b"PLAIN AA=A", b"PLAIN ====", b"PLAIN AHUAcA", b"PLAIN AHUAcA==x", b"PLAIN AHUA cA==", b"PLAIN AA==", b"PLAIN AAAAAA==",
      b"PLAIN " + b"A" * 4000, b"PLAIN " + b"A" * 7900, b"SCRAM-SHA-256 biwsbj11LHI9eA", b"SCRAM-SHA-256 eCxub3Q=",
      b"SCRAM-SHA-256 cD10bHMtdW5pcXVlLG49dSxyPXg=", b"EXTERNAL =", b"OAUTHBEARER bm9uc2Vuc2U="])
for bad in (b"!!!", b"====", b"A", b"AA=A", b"\xff\xff\xff\xff", b" ", b"AHUA\0cA==", b"AHUAcA== ", b'"AHUAcA=="', b"{3+}", b"**", b"* ", b" *"):
    row("new", f"AUTHENTICATE PLAIN, answered with {bad!r}", [b"a AUTHENTICATE PLAIN\r\n", Wait(rb"(?m)^\+ "), bad + b"\r\n"], NOT_OK)
row("new", "AUTHENTICATE given up", [b"a AUTHENTICATE PLAIN\r\n", Wait(rb"(?m)^\+ "), b"*\r\n"], BAD)
row("new", "AUTHENTICATE given up, SCRAM", [b"a AUTHENTICATE SCRAM-SHA-256\r\n", Wait(rb"(?m)^\+ "), b"*\r\n"], BAD)
row("new", "AUTHENTICATE given up in its second step", [b"a AUTHENTICATE SCRAM-SHA-256\r\n", Wait(rb"(?m)^\+ "),
                                                       b"biwsbj11MDAwMDEscj1hYmM=\r\n", Wait(rb"(?m)^\+ \S+"), b"*\r\n"], BAD)
row("new", "SCRAM with a proof that is none", [b"a AUTHENTICATE SCRAM-SHA-256\r\n", Wait(rb"(?m)^\+ "), b"biwsbj11MDAwMDEscj1hYmM=\r\n",
                                             Wait(rb"(?m)^\+ \S+"), b"Yz1iaXdzLHI9YWJjLHA9eA==\r\n"], NOT_OK)
row("new", "an empty answer to PLAIN", [b"a AUTHENTICATE PLAIN\r\n", Wait(rb"(?m)^\+ "), b"\r\n"], NOT_OK)
row("new", "an answer of 1 MB", [b"a AUTHENTICATE PLAIN\r\n", Wait(rb"(?m)^\+ "), b"A" * 1_000_000 + b"\r\n"], TOO_MUCH, EITHER)
row("new", "an answer of 16 KiB", [b"a AUTHENTICATE PLAIN\r\n", Wait(rb"(?m)^\+ "), b"A" * 16384 + b"\r\n"], NOT_OK)
row("new", "20 mistakes", b"".join(b"m%d NONSENSE\r\n" % n for n in range(25)), rb"(?m)^\* BYE ", CLOSES)
row("new", "1,000 commands in one go", b"".join(b"n%d NOOP\r\n" % n for n in range(1000)), rb"(?m)^n999 OK ")
row("known", "5,000 commands in one go", b"".join(b"n%d NOOP\r\n" % n for n in range(5000)), rb"(?m)^n4999 OK ")
row("known", "300 mistakes in a row", b"".join(b"m%d NONSENSE\r\n" % n for n in range(300)), rb"(?m)^\* BYE ", CLOSES)

# ---- STARTTLS ----

row("new", "STARTTLS with an argument", b"a STARTTLS x\r\n", BAD)
row("new", "STARTTLS and then no TLS", [b"a STARTTLS\r\n", Wait(OK), b"b NOOP\r\n"], b"", CLOSES, never=rb"(?m)^b OK")
row("new", "STARTTLS and half a hello", [b"a STARTTLS\r\n", Wait(OK), b"\x16\x03\x01\x02\x00\x01\x00"], b"", EITHER)
row("new", "STARTTLS and an SSL 2 hello", [b"a STARTTLS\r\n", Wait(OK), b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"x" * 40], b"", CLOSES)
row("new", "STARTTLS and an alert", [b"a STARTTLS\r\n", Wait(OK), b"\x15\x03\x01\x00\x02\x02\x28"], b"", CLOSES)
row("new", "STARTTLS and a record too long", [b"a STARTTLS\r\n", Wait(OK), b"\x16\x03\x01\xff\xff" + b"x" * 70000], b"", CLOSES)

# ---- sets ----

SETS_BAD = [b"0", b"0:1", b"1:0", b"-1", b"+1", b"1:", b":1", b"1,", b",1", b"1,,2", b"1:2:3", b"4294967296", b"18446744073709551617", b"1:4294967296",
            b"99999999999999999999", b"1.5", b"a", b"*a", b"**", b"$$", b"1 2", b"(1)", b'"1"', b"{1+}\r\n1", b"", b"1;2", b"0x1", b"\xd9\xa1", b"$,", b"*,", b"*:",
            b"1:$", b"^1"]
each("selected", "FETCH of a bad set", b"FETCH %b FLAGS", BAD, SETS_BAD)
each("selected", "UID FETCH of a bad set", b"UID FETCH %b FLAGS", BAD, SETS_BAD)
each("selected", "STORE of a bad set", b"STORE %b +FLAGS (x)", BAD, SETS_BAD[:20])
each("selected", "COPY of a bad set", b"UID COPY %b INBOX", BAD, SETS_BAD[:20])
each("selected", "MOVE of a bad set", b"UID MOVE %b INBOX", BAD, SETS_BAD[:20])
each("selected", "UID EXPUNGE of a bad set", b"UID EXPUNGE %b", BAD, SETS_BAD[:20])
each("selected", "SEARCH of a bad set", b"SEARCH UID %b", BAD, SETS_BAD[:14])
each("selected", "FETCH of numbers beyond the last", b"FETCH %b FLAGS", rb"(?m)^a (BAD|NO|OK) ",
     [b"9", b"4294967295", b"4294967295:4294967294", b"100:200", b"1,4294967295"])
each("selected", "UID FETCH of odd sets that are fine", b"UID FETCH %b FLAGS", OK,
     [b"*:*", b"*", b"*:1", b"4294967295", b"4294967295:1", b"3:1", b"1,1,1,1,1", b"*,*,*,*", b"4294967294:*", b"1:*,1:*,1:*", b"0000000001"[9:],
      b",".join(b"%d" % n for n in range(1, 9000)), b",".join(b"%d:%d" % (n, n + 1) for n in range(9000, 1, -3)),
      b",".join([b"1:*"] * 9000), b",".join([b"4294967295:1"] * 4000)])
each("selected", "a number with leading zeros", b"FETCH %b FLAGS", ANSWER, [b"01", b"000000000000000000000000000000001"])

# ---- FETCH ----

each("selected", "FETCH of what is none", b"FETCH 1 %b", BAD,
     [b"", b"X", b"()", b"(FLAGS", b"FLAGS)", b"((FLAGS))", b"(FLAGS,UID)", b"FLAGS UID", b"BODY[", b"BODY[]<", b"BODY[]<0", b"BODY[]<0>x", b"BODY[]<-1.1>",
      b"BODY[]<0.0>", b"BODY[]<0.18446744073709551616>", b"BODY[]<99999999999999999999.1>",
      b"BODY[0]", b"BODY[1.0]", b"BODY[01]", b"BODY[1.]", b"BODY[.1]", b"BODY[1..2]", b"BODY[-1]", b"BODY[4294967296]", b"BODY[1.4294967296]", b"BODY[MIME]",
      b"BODY[TEXT.1]", b"BODY[HEADER.1]", b"BODY[HEADER.FIELDS]", b"BODY[HEADER.FIELDS ()]", b"BODY[HEADER.FIELDS (]", b"BODY[HEADER.FIELDS (\"a]",
      b"BODY[HEADER.FIELDS (a:b)]x", b"BODY[HEADER.FIELDS ((a))]", b"BODY[NONSENSE]", b"BODY[1.NONSENSE]", b"BODY.PEEK", b"BODY.PEEK()", b"RFC822.NONSENSE",
      b"BINARY", b"BINARY[HEADER]", b"BINARY[1]<1>", b"BINARY.SIZE[1]<0.1>", b"PREVIEW (NONSENSE)", b"PREVIEW ()", b"ENVELOPE[]", b"FLAGS<0.1>",
      b"ALL FLAGS", b"(ALL FLAGS", b"MODSEQ (CHANGEDSINCE)", b"FLAGS (CHANGEDSINCE 0)x", b"FLAGS (CHANGEDSINCE -1)", b"FLAGS (CHANGEDSINCE 18446744073709551616)",
      b"FLAGS (CHANGEDSINCE 9223372036854775808)", b"FLAGS (VANISHED)", b"FLAGS (NONSENSE 1)",
      b"ANNOTATION", b"ANNOTATION ()", b"ANNOTATION (x", b"ANNOTATION (/* value.nonsense)", b"X-GM-NONSENSE", b"(" * 1000, b"(" * 30000 + b"FLAGS" + b")" * 30000])
row("selected", "FETCH of a part 1,000 deep", b"a FETCH 1 BODY[" + b"1." * 1000 + b"1]\r\n", ANSWER)
row("selected", "FETCH of a part 20,000 deep", b"a FETCH 1 BODY[" + b"1." * 20000 + b"1]\r\n", ANSWER)
row("selected", "FETCH of 5,000 items", b"a FETCH 1 (" + b" ".join([b"BODY.PEEK[1]"] * 4500) + b")\r\n", ANSWER)
row("selected", "FETCH of 1,000 ENVELOPEs", b"a FETCH 1:* (" + b" ".join([b"ENVELOPE"] * 1000) + b")\r\n", ANSWER)
row("selected", "FETCH of 6,000 header fields", b"a FETCH 1 BODY.PEEK[HEADER.FIELDS (" + b" ".join(b"f%d" % n for n in range(6000)) + b")]\r\n", ANSWER)
row("selected", "FETCH of a field name of 60 KB", b"a FETCH 1 BODY.PEEK[HEADER.FIELDS (" + b"f" * 60000 + b")]\r\n", ANSWER)
row("selected", "FETCH of 60 huge field names", b"a FETCH 1 BODY.PEEK[HEADER.FIELDS (" + b" ".join([b"{60000+}\r\n" + b"f" * 60000] * 60) + b")]\r\n", ANSWER)
row("selected", "FETCH of fields with CR and LF", b"a FETCH 1 BODY.PEEK[HEADER.FIELDS ({4+}\r\na\r\nb)]\r\n", ANSWER)
row("selected", "FETCH of fields with 8 bits", b"a FETCH 1 BODY.PEEK[HEADER.FIELDS ({3+}\r\n\xff\xfe\x80)]\r\n", ANSWER)
each("selected", "FETCH that is odd", b"FETCH 1 %b", ANSWER, [b"BODY[]<4294967296.1>", b"BODY[]<0.4294967296>", b"FLAGS (PARTIAL 1:2)", b"FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 2)"])
row("selected", "FETCH far behind the end", b"a FETCH 1 BODY.PEEK[]<4294967295.4294967295>\r\n", rb"(?m)^a OK ")

# ---- STORE, COPY, MOVE ----

each("selected", "STORE of what is none", b"STORE 1 %b", BAD,
     [b"", b"FLAGS", b"FLAGS (", b"FLAGS )", b"FLAGS ((x))", b"*FLAGS (x)", b"+-FLAGS (x)", b"+FLAGS.NONSENSE (x)", b"+FLAGS (x{)", b'+FLAGS ("x")', b"+FLAGS (\\)",
      b"+FLAGS (x%y)", b"+FLAGS (\xff)", b"+FLAGS (x\0y)", b"(UNCHANGEDSINCE) FLAGS (x)", b"(UNCHANGEDSINCE x) FLAGS (x)", b"(UNCHANGEDSINCE -1) FLAGS (x)",
      b"(UNCHANGEDSINCE 99999999999999999999) FLAGS (x)", b"(UNCHANGEDSINCE 1 FLAGS (x)", b"(NONSENSE 1) FLAGS (x)", b"ANNOTATION ()", b"ANNOTATION (/comment (value.priv"])
row("selected", "STORE of 8,000 keywords", b"a STORE 1 +FLAGS (" + b" ".join(b"k%d" % n for n in range(8000)) + b")\r\n", NOT_OK)
row("selected", "STORE of a keyword of 60 KB", b"a STORE 1 +FLAGS (" + b"k" * 60000 + b")\r\n", NOT_OK)
row("selected", "STORE of the same keyword 250 times", b"a STORE 1 +FLAGS.SILENT (" + b" ".join([b"same"] * 250) + b")\r\n", ANSWER)
row("selected", "COPY to nowhere", b"a COPY 1 nowhere\r\n", rb"(?m)^a NO \[TRYCREATE\]")
row("selected", "MOVE to nowhere", b"a MOVE 1 nowhere\r\n", rb"(?m)^a NO \[TRYCREATE\]")
row("selected", "COPY to a pattern", b"a COPY 1 *\r\n", BAD)
row("selected", "COPY without a place", b"a COPY 1\r\n", BAD)

# ---- SEARCH, SORT, THREAD ----

each("selected", "SEARCH of what is none", b"SEARCH %b", NOT_OK,
     [b"", b"NONSENSE", b"(", b")", b"()", b"ALL)", b"(ALL", b"NOT", b"OR", b"OR ALL", b"FROM", b"FROM (x)", b'FROM "x', b"HEADER", b"HEADER x", b"BEFORE x",
      b"BEFORE 32-Jan-2020", b"BEFORE 0-Jan-2020", b"BEFORE 31-Feb-2020", b"BEFORE 1-Foo-2020", b"BEFORE 1-Jan-20", b"BEFORE 1-Jan-99999", b"LARGER -1", b"LARGER x",
      b"LARGER 99999999999999999999", b"KEYWORD", b"KEYWORD (x)", b"KEYWORD \\Seen", b"UID", b"UID x", b"MODSEQ x", b"MODSEQ -1", b"MODSEQ 99999999999999999999",
      b'MODSEQ "/flags/x" all', b"OLDER 0", b"OLDER x", b"YOUNGER -5", b"CHARSET", b"CHARSET X ALL", b"CHARSET \xff ALL", b"CHARSET UTF-8", b"RETURN", b"RETURN (", b"RETURN (X) ALL",
      b"RETURN (PARTIAL 1) ALL", b"RETURN (PARTIAL 0:1) ALL", b"RETURN (PARTIAL 1:2 PARTIAL 1:2) ALL", b"RETURN (PARTIAL -1:2) ALL", b"RETURN (MIN MAX", b"FUZZY", b"FUZZY FUZZY", b"INTHREAD",
      b"FILTER", b"FILTER nowhere", b"EMAILID", b"EMAILID (", b"ANNOTATION x", b"SAVEDBEFORE x", b"$x", b"ALL,ALL", b"ALL  ALL", b"NOT NOT", b"1 2 3 x",
      b"X-GM-RAW", b'X-GM-RAW "' + b"(" * 5000 + b'"'])
row("selected", "SEARCH with 30,000 parentheses", b"a SEARCH " + b"(" * 30000 + b"ALL" + b")" * 30000 + b"\r\n", ANSWER)
row("selected", "SEARCH with 30,000 open parentheses", b"a SEARCH " + b"(" * 30000 + b"\r\n", NOT_OK)
row("selected", "SEARCH with 15,000 NOTs", b"a SEARCH " + b"NOT " * 15000 + b"ALL\r\n", ANSWER)
row("selected", "SEARCH with 15,000 ORs", b"a SEARCH " + b"OR " * 15000 + b"ALL\r\n", NOT_OK)
row("selected", "SEARCH with 8,000 ORs, complete", b"a SEARCH " + b"OR ALL " * 8000 + b"ALL\r\n", ANSWER)
row("selected", "SEARCH with 15,000 FUZZYs", b"a SEARCH " + b"FUZZY " * 10000 + b"ALL\r\n", ANSWER)
row("selected", "SEARCH with 10,000 keys", b"a SEARCH " + b" ".join([b"SEEN"] * 10000) + b"\r\n", ANSWER)
row("selected", "SEARCH with 2,000 TEXTs", b"a SEARCH " + b" ".join([b"TEXT x%d" % n for n in range(2000)]) + b"\r\n", ANSWER)
row("selected", "SEARCH for a text of 60 KB", b"a SEARCH BODY " + b"x" * 60000 + b"\r\n", ANSWER)
row("selected", "SEARCH for a literal of 64 KB", b"a SEARCH TEXT {65000+}\r\n" + b"x" * 65000 + b"\r\n", ANSWER)
row("selected", "SEARCH for nothing", b'a SEARCH TEXT ""\r\n', OK)
row("selected", "SEARCH for no UTF-8", b"a SEARCH CHARSET UTF-8 TEXT {2+}\r\n\xff\xfe\r\n", ANSWER)
row("selected", "SEARCH for octets in ASCII", b"a SEARCH CHARSET US-ASCII TEXT {2+}\r\n\xff\xfe\r\n", ANSWER)
row("selected", "SEARCH for UTF-7", b"a SEARCH CHARSET UTF-7 TEXT {6+}\r\n+AAAA-\r\n", ANSWER)
row("selected", "SEARCH for broken UTF-7", b"a SEARCH CHARSET UTF-7 TEXT {2+}\r\n+A\r\n", ANSWER)
row("selected", "SEARCH for half ISO-2022-JP", b"a SEARCH CHARSET ISO-2022-JP TEXT {4+}\r\n\x1b$B\x21\r\n", ANSWER)
row("selected", "SEARCH in UTF-16", b"a SEARCH CHARSET UTF-16 TEXT {3+}\r\n\xff\xfea\r\n", ANSWER)
row("selected", "SEARCH of a header named with a colon", b'a SEARCH HEADER "Subject:" x\r\n', ANSWER)
row("selected", "SEARCH of a header without a name", b'a SEARCH HEADER "" ""\r\n', ANSWER)
each("selected", "SORT of what is none", b"SORT %b", NOT_OK,
     [b"", b"()", b"() UTF-8 ALL", b"(NONSENSE) UTF-8 ALL", b"(DATE UTF-8 ALL", b"DATE UTF-8 ALL", b"(REVERSE) UTF-8 ALL", b"(REVERSE REVERSE DATE) UTF-8 ALL", b"(DATE) X-NO ALL",
      b"(DATE)", b"(DATE) UTF-8", b"(DATE)  UTF-8 ALL", b"((DATE)) UTF-8 ALL"])
row("selected", "SORT by 10,000 keys", b"a SORT (" + b" ".join([b"SUBJECT"] * 8000) + b") UTF-8 ALL\r\n", ANSWER)
each("selected", "THREAD of what is none", b"THREAD %b", NOT_OK, [b"", b"NONSENSE UTF-8 ALL", b"REFERENCES", b"REFERENCES UTF-8", b"REFERENCES X-NO ALL", b"(REFERENCES) UTF-8 ALL"])

# ---- names ----

each("known", "CREATE of a name that cannot be", b"CREATE %b", NOT_OK,
     [b"", b'""', b"INBOX", b"inbox", b"/", b'"/"', b'"//"', b'"/x"', b'"x//y"', b"*", b"%", b"&",
      b"&-&", b"&AAA", b"&AGEAYg", b"&AGE-", b"&!!!-", b"&2AA-", b"&3AA-", b"&2ADYAA-", b"&AAEAAg-", b"&AAA-", b"&AAoADQ-", b"&AC8-", b"&-x&", b'"x\x01y"', b'"x\x7fy"', b'"x\x1b[2Jy"',
      b"{3+}\r\nx\ny", b"{3+}\r\nx\ry", b"{4+}\r\nx\r\ny", b"{3+}\r\nx\0y", b'"\xff"', b'"\xc0\xaf"', b'"\xe4"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b"~{1+}\r\nx",
      b"x" * 5000, b"{60000+}\r\n" + b"x" * 60000, b"/".join([b"d"] * 5000), b"/".join([b"d"] * 200), b"x (USE)", b"x (USE (\\Nonsense))", b"x (NONSENSE)", b"x y", b'" "x',
      b"&BBB-x&", b"&U,BTFw-&ZeVnLIqe-x", b"nowhere/"*40 + b"x" * 900])
each("known", "CREATE of a name that is no path, only a name", b"CREATE %b", OK, [b'".."', b'"."', b'"../x"', b'"x/../y"', b'"x/."', b"#x/y", b'"x*"', b'"%"', b"INBOX/.."])
each("known", "DELETE of that", b"DELETE %b", OK, [b'".."', b'"."', b'"../x"', b'"x/../y"', b'"x/."', b"#x/y", b'"x*"', b'"%"', b"INBOX/.."])
for command in (b"SELECT", b"EXAMINE", b"DELETE", b"UNSUBSCRIBE", b"MYRIGHTS", b"GETACL", b"GETQUOTAROOT"):
    each("known", f"{command.decode()} of a name that is none", command + b" %b", NOT_OK if command not in (b"UNSUBSCRIBE", b"GETQUOTAROOT") else ANSWER,
         [b"", b'""', b"..", b"../../etc/passwd", b"&AAA", b'"x\x01y"', b"{3+}\r\nx\0y", b"x" * 5000, b"nowhere", b"%", b"INBOX/nowhere", b'"Other Users/u00002"', b'"\xff\xfe"'])
each("known", "RENAME of what cannot be", b"RENAME %b", NOT_OK,
     [b"", b"x", b"nowhere y", b"INBOX INBOX", b'INBOX ""', b"INBOX a//b", b'"" x', b"INBOX &AAA", b"INBOX " + b"x" * 5000, b"INBOX " + b"/".join([b"d"] * 5000), b"INBOX x y"])
row("known", "RENAME into itself", b"a0 CREATE into\r\na RENAME into into/self\r\n", NO)
row("known", "SUBSCRIBE of a name of 60 KB", b"a SUBSCRIBE {60000+}\r\n" + b"x" * 60000 + b"\r\n", NOT_OK)
each("known", "LIST of what is none", b"LIST %b", BAD,
     [b"", b'""', b'"" ', b'(X) "" *', b'() "" *x x', b'"" (', b'"" ()', b'"" (*', b'"" * RETURN', b'"" * RETURN (', b'"" * RETURN (X)', b'"" * RETURN (STATUS)', b'"" * RETURN (STATUS ())',
      b'"" * RETURN (STATUS (X))', b'(RECURSIVEMATCH) "" *', b'(((SUBSCRIBED))) "" *', b'"" * RETURN (METADATA)', b'"" * RETURN (METADATA ())', b"(" * 20000])
each("known", "LIST patterns that blow up", b'LIST "" %b', ANSWER,
     [b'"' + b"*%" * 2000 + b'x"', b'"' + b"*" * 30000 + b'"', b'"' + b"%" * 30000 + b'"', b'"' + b"*a" * 2000 + b'"', b'"' + b"%/" * 2000 + b'"',
      b"(" + b" ".join([b'"*%*%*%x"'] * 1000) + b")", b'"%I%N%B%O%X%' + b"*%" * 1000 + b'"', b"{8000+}\r\n" + b"*%" * 4000, b'"&AAA*"', b'"\xff*"', b"*\x01"])
each("known", "LIST references that are odd", b"LIST %b *", ANSWER, [b'"/"', b'".."', b'"../.."', b"~root", b"#news", b'"*"', b'"%"', b"x" * 5000, b"{3+}\r\nx\0y", b"/etc", b"&AAA"])
each("known", "STATUS of what is none", b"STATUS %b", NOT_OK, [b"", b"INBOX", b"INBOX ()", b"INBOX (", b"INBOX (X)", b"INBOX MESSAGES", b"nowhere (MESSAGES)", b"INBOX ((MESSAGES))", b"* (MESSAGES)"])
row("known", "STATUS with 5,000 items", b"a STATUS INBOX (" + b" ".join([b"MESSAGES"] * 5000) + b")\r\n", ANSWER)

# ---- APPEND ----

each("known", "APPEND of what is none", b"APPEND %b", NOT_OK,
     [b"", b"INBOX", b"INBOX ()", b"INBOX x", b"INBOX {x}", b'INBOX "x" {3+}\r\nabc', b'INBOX "32-Jan-2020 00:00:00 +0000" {3+}\r\nabc',
      b'INBOX "01-Jan-2020 25:00:00 +0000" {3+}\r\nabc', b'INBOX "01-Jan-2020 00:00:00 +9999" {3+}\r\nabc', b"INBOX (\\) {3+}\r\nabc", b"INBOX ((x)) {3+}\r\nabc", b"INBOX (x {3+}\r\nabc",
      b"nowhere {3+}\r\nabc", b"INBOX {0+}\r\n", b"INBOX {18446744073709551616+}", b"INBOX UTF8 (~{3+}\r\nabc", b"INBOX CATENATE", b"INBOX CATENATE (",
      b"INBOX CATENATE ()", b"INBOX CATENATE (NONSENSE)", b"INBOX CATENATE (URL)", b"INBOX CATENATE (URL x TEXT)", b'INBOX CATENATE (URL "imap://x/y")', b'INBOX CATENATE (URL "/nowhere/;UID=1")',
      b'INBOX CATENATE (URL "/INBOX/;UID=99999999999")', b"INBOX CATENATE (TEXT {3}x", b"INBOX CATENATE ((TEXT {3+}\r\nabc))", b"INBOX CATENATE (" + b"(" * 10000])
row("known", "APPEND of more than is allowed, waiting", b"a APPEND INBOX {4294967296}\r\n", NO, never=rb"(?m)^\+ ")
row("known", "APPEND of 2^63-1, waiting", b"a APPEND INBOX {9223372036854775807}\r\n", NO, never=rb"(?m)^\+ ")
row("known", "APPEND of 4 GiB, not waiting", b"a APPEND INBOX {4294967296+}\r\nabc", b"", EITHER)
row("known", "APPEND of 2^63-1, not waiting", b"a APPEND INBOX {9223372036854775807+}\r\nabc", rb"(?m)^\* BYE ", CLOSES)
row("known", "APPEND with words behind", b"a APPEND INBOX {3+}\r\nabc x\r\n", BAD)
row("known", "APPEND of a thousand URLs", b"a APPEND INBOX CATENATE (" + b" ".join([b'URL "/nowhere/;UID=1"'] * 1000) + b")\r\n", NOT_OK)
row("known", "APPEND of 2,000 texts", b"a APPEND INBOX CATENATE (" + b" ".join([b"TEXT {1+}\r\nx"] * 2000) + b")\r\n", ANSWER)
row("known", "APPEND of 500 messages", b"a APPEND INBOX" + b" {12+}\r\nSubject: x\r\n" * 500 + b"\r\n", ANSWER)
row("known", "APPEND with 300 flags", b"a APPEND INBOX (" + b" ".join(b"k%d" % n for n in range(300)) + b") {3+}\r\nabc\r\n", NOT_OK)

# ---- the rest ----

each("known", "ENABLE of what is none", b"ENABLE %b", ANSWER, [b"", b"NONSENSE", b"(CONDSTORE)", b"X" * 60000, b" ".join([b"X"] * 20000), b'"CONDSTORE"', b"\xff"])
each("known", "COMPRESS of what is none", b"COMPRESS %b", NOT_OK, [b"", b"GZIP", b"DEFLATE x", b"(DEFLATE)", b'"DEFLATE"x'])
row("known", "COMPRESS and then plain text", [b"a COMPRESS DEFLATE\r\n", Wait(OK), b"b NOOP\r\n" + b"\xff" * 100], b"", CLOSES, never=rb"(?m)^b OK")
each("known", "ID of what is none", b"ID %b", BAD, [b"", b"x", b"(", b"(x)", b'("a")', b'("a" "b" "c")', b'("a" ("b"))', b"(NIL NIL)", b'("a" "b"', b"(" * 5000])
row("known", "ID of a thousand pairs", b"a ID (" + b" ".join([b'"a" "b"'] * 1000) + b")\r\n", NOT_OK)
row("new", "ID with control octets", b'a ID ("name" "\x1b[2J\x07")\r\n', ANSWER)
each("known", "GETMETADATA of what is none", b"GETMETADATA %b", NOT_OK,
     [b"", b"INBOX", b"INBOX (", b"INBOX ()", b"INBOX x", b"INBOX //", b"INBOX /private//x", b"INBOX /private/x/", b"INBOX /private/*", b"INBOX /nonsense/x", b"(DEPTH 7) INBOX /private/x",
      b"(MAXSIZE x) INBOX /private/x", b"(MAXSIZE -1) INBOX /private/x", b"(NONSENSE 1) INBOX /private/x", b"nowhere /private/x", b"INBOX (" + b"(" * 20000])
each("known", "SETMETADATA of what is none", b"SETMETADATA %b", NOT_OK,
     [b"", b"INBOX", b"INBOX ()", b"INBOX (/private/x)", b"INBOX (/private/x x", b"INBOX (/private/x (x))", b"INBOX (x y)", b"INBOX (/private/* x)", b"INBOX (/private/x\xff y)",
      b"INBOX (/private/" + b"x" * 3000 + b" y)", b"INBOX (/private/" + b"x/" * 3000 + b"x y)", b"INBOX (/private/x ~{70000+}\r\n" + b"x" * 70000 + b")"])
row("known", "SETMETADATA of 2,000 entries", b"a SETMETADATA INBOX (" + b" ".join(b"/private/e%d x" % n for n in range(2000)) + b")\r\n", NOT_OK)
each("known", "SETACL of what is none", b"SETACL %b", NOT_OK,
     [b"", b"INBOX", b"INBOX x", b"INBOX x Z", b"INBOX x ++r", b'INBOX "" lr', b"INBOX {3+}\r\nx\0y lr", b"INBOX x " + b"l" * 60000 + b"!", b"nowhere x lr", b"INBOX " + b"x" * 5000 + b" lr"])
each("known", "SETQUOTA of what is none", b"SETQUOTA %b", NOT_OK, [b"", b'""', b'"" (', b'"" (STORAGE)', b'"" (STORAGE x)', b'"" (STORAGE -1)', b'"" (STORAGE 99999999999999999999)', b"nowhere (STORAGE 1)"])
each("known", "NOTIFY of what is none", b"NOTIFY %b", NOT_OK,
     [b"", b"X", b"NONE x", b"SET", b"SET ()", b"SET (X)", b"SET (X (Y))", b"SET (SELECTED)", b"SET (SELECTED (X))", b"SET (SELECTED (MessageNew", b"SET (PERSONAL (MessageNew))",
      b"SET (MAILBOXES)", b"SET (MAILBOXES () (MessageNew MessageExpunge))", b"SET (" + b"(" * 20000, b"SET (SUBTREE x (MessageNew (" + b"(" * 10000])
row("known", "NOTIFY of 5,000 mailboxes", b"a NOTIFY SET (mailboxes (" + b" ".join(b"m%d" % n for n in range(5000)) + b") (MessageNew MessageExpunge))\r\n", ANSWER)
row("known", "IDLE and nonsense", [b"a IDLE\r\n", Wait(rb"(?m)^\+ "), b"NONSENSE\r\n"], BAD)
row("known", "IDLE and another command", [b"a IDLE\r\n", Wait(rb"(?m)^\+ "), b"b NOOP\r\n"], BAD, EITHER, never=rb"(?m)^b OK")
row("known", "IDLE and a line of 1 MB", [b"a IDLE\r\n", Wait(rb"(?m)^\+ "), b"D" * 1_000_000 + b"\r\n"], NOT_OK, EITHER)
row("known", "IDLE with an argument", b"a IDLE x\r\n", BAD)
row("known", "DONE without IDLE", b"DONE\r\n", rb"(?m)^DONE BAD ")
row("known", "IDLE a hundred times", b"a IDLE\r\nDONE\r\n" * 100, OK)
each("selected", "ESEARCH of what is none", b"ESEARCH %b", NOT_OK, [b"IN", b"IN (", b"IN () ALL", b"IN (x) ALL", b"IN (mailboxes) ALL", b"IN (mailboxes ()) ALL", b"IN (inboxes) RETURN (SAVE) ALL"])
each("selected", "CONVERT of what is none", b"CONVERT %b", NOT_OK, [b"", b"1", b"1 ()", b"1 (x) BODY[1]", b"1 (text/plain", b"1 (text/plain) X", b"1 (text/plain (x)) BODY[1]", b"1 (\xff/\xff) BODY[1]", b"0 (text/plain) BINARY[1]"])
each("selected", "REPLACE of what is none", b"REPLACE %b", NOT_OK, [b"", b"1", b"0 INBOX {3+}\r\nabc", b"* INBOX", b"99999 INBOX {3+}\r\nabc", b"1:2 INBOX {3+}\r\nabc", b"1 nowhere {3+}\r\nabc", b"1 INBOX {4294967296}"])
each("known", "SELECT with parameters that are none", b"SELECT INBOX %b", BAD,
     [b"(", b"()", b"(X)", b"(QRESYNC)", b"(QRESYNC ())", b"(QRESYNC (x))", b"(QRESYNC (1))", b"(QRESYNC (0 1))", b"(QRESYNC (1 x))", b"(QRESYNC (4294967296 1))", b"(QRESYNC (1 99999999999999999999))",
      b"(CONDSTORE", b"(CONDSTORE (x))", b"(" * 5000])
row("known", "QRESYNC with a set that is none", b"e ENABLE QRESYNC\r\na SELECT INBOX (QRESYNC (1 1 0))\r\n", BAD)
row("known", "QRESYNC with sequence sets that do not fit", b"e ENABLE QRESYNC\r\na SELECT INBOX (QRESYNC (1 1 1:9 (1:3 1:2)))\r\n", ANSWER)
row("known", "QRESYNC with 8,000 ranges", b"e ENABLE QRESYNC\r\na SELECT INBOX (QRESYNC (1 1 " + b",".join(b"%d" % (2 * n + 1) for n in range(8000)) + b"))\r\n", ANSWER)
each("known", "LANGUAGE of what is none", b"LANGUAGE %b", ANSWER, [b"x" * 5000, b'""', b"\xff", b"../../x", b" ".join([b"xx"] * 9000)])
each("known", "COMPARATOR of what is none", b"COMPARATOR %b", NOT_OK, [b"x" * 5000, b'""', b"nonsense", b"(x)"])
row("known", "HTTP, logged in", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", rb"(?m)^GET BAD ")
row("new", "HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", rb"(?m)^GET BAD ", EITHER)
row("new", "an HTTP POST with commands in it", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\na LOGIN u00001 secret\r\n", b"", CLOSES, never=rb"(?m)^a OK")
row("new", "a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2, b"", EITHER)
row("new", "SSH", b"SSH-2.0-OpenSSH_9.6\r\n", rb"BAD ")
row("new", "SMTP", b"EHLO x\r\nMAIL FROM:<a@b>\r\n", rb"BAD ")
row("new", "JSON", b'{"jsonrpc":"2.0","method":"x"}\r\n', rb"BAD ")
row("new", "a PROXY header", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", rb"(?m)^PROXY BAD ")
