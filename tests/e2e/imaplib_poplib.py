#!/usr/bin/env python3
"""Python's imaplib, poplib and smtplib: a wide pass over the commands of IMAP, all of POP3, delivery by LMTP and SMTP, TLS
in both ways, and two sessions that see each other's changes."""
import base64
import email
import imaplib
import poplib
import re
import smtplib
import time

from lib import HOST, PASSWORD, Server, any_certificate, check, equal, main, refuses, sample, wait_for

PARTS = (b"From: =?utf-8?q?Zo=C3=AB?= <zoe@example.org>\r\nTo: u00001@example.com\r\nCc: \"Last, First\" <cc@example.net>\r\n"
         b"Subject: =?utf-8?B?R3LDvMOfZSBhdXMgxYHDs2TFug==?=\r\nDate: Fri, 2 Jan 2026 03:04:05 +0100\r\n"
         b"Message-ID: <parts@example.org>\r\nIn-Reply-To: <before@example.org>\r\nX-Mark: seventeen\r\nMIME-Version: 1.0\r\n"
         b"Content-Type: multipart/mixed; boundary=\"out\"\r\n\r\npreamble\r\n--out\r\nContent-Type: text/plain; charset=utf-8\r\n"
         b"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe with a needle\r\n--out\r\n"
         b"Content-Type: multipart/alternative; boundary=in\r\n\r\n--in\r\nContent-Type: text/html\r\n\r\n<b>bold</b>\r\n"
         b"--in--\r\n--out\r\nContent-Type: message/rfc822\r\n\r\nFrom: inner@example.org\r\nSubject: inside\r\n\r\ninner body\r\n"
         b"--out\r\nContent-Type: image/png; name=\"p.png\"\r\nContent-Transfer-Encoding: base64\r\n"
         b"Content-Disposition: attachment; filename=\"p.png\"\r\n\r\niVBORw0KGgo=\r\n--out--\r\nepilogue\r\n")


def fetched(answer):
    """{item: literal} of a FETCH answer of one message."""
    return {re.search(rb"([A-Z0-9.]+(\[[^]]*\](<\d+>)?)?) \{\d+\}$", a).group(1).decode(): b for a, b in
            (part for part in answer if isinstance(part, tuple))}


def numbers(answer):
    return [int(n) for n in (answer[0] or b"").split()]


# ---- IMAP, one session ----


def logging_in(s):
    m = imaplib.IMAP4(HOST, s.port("imap"))
    check("the greeting names IMAP4rev1", "IMAP4REV1" in m.capabilities, m.capabilities)
    refuses("a wrong password is refused", imaplib.IMAP4.error, m.login, "u00001", "wrong")
    equal("LOGIN", m.login("u00001", PASSWORD)[0], "OK")
    equal("the state is AUTH", m.state, "AUTH")
    equal("LOGOUT", m.logout()[0], "BYE")

    m = imaplib.IMAP4(HOST, s.port("imap"))
    equal("AUTHENTICATE PLAIN", m.authenticate("PLAIN", lambda _: b"\0u00001\0" + PASSWORD.encode())[0], "OK")
    m.logout()
    m = imaplib.IMAP4(HOST, s.port("imap"))
    refuses("AUTHENTICATE PLAIN, wrong", imaplib.IMAP4.error, m.authenticate, "PLAIN", lambda _: b"\0u00001\0no")
    answers = [b"u00001", PASSWORD.encode()]
    equal("AUTHENTICATE LOGIN", m.authenticate("LOGIN", lambda _: answers.pop(0))[0], "OK")
    m.logout()

    m = imaplib.IMAP4(HOST, s.port("imap"))
    check("STARTTLS is offered", "STARTTLS" in m.capabilities)
    equal("STARTTLS", m.starttls(any_certificate())[0], "OK")
    check("STARTTLS is not offered again", "STARTTLS" not in m.capabilities, m.capabilities)
    check("SCRAM with binding is offered", "AUTH=SCRAM-SHA-256-PLUS" in m.capabilities, m.capabilities)
    equal("LOGIN behind STARTTLS", m.login("u00001", PASSWORD)[0], "OK")
    m.logout()
    m = s.imap(tls=True)
    check("TLS 1.3 from the start", m.sock.version() == "TLSv1.3", m.sock.version())
    m.logout()


def mailboxes(m):
    for name in ("Work", "Work/2025", "Old", '"with space"', '"Entw&APw-rfe"'):
        equal(f"CREATE {name}", m.create(name)[0], "OK")
    equal("CREATE twice", m.create("Work")[0], "NO")
    listed = b"\n".join(m.list()[1])
    check("LIST shows them", all(n in listed for n in (b"Work/2025", b"INBOX", b'"with space"', b"Entw&APw-rfe")), listed)
    check("LIST shows children", re.search(rb"\\HasChildren[^\n]*Work\"?\n", listed + b"\n"), listed)
    equal("LIST with a pattern", len([x for x in m.list('""', "Work/%")[1] if x]), 1)
    m.subscribe("Old")
    check("LSUB", b"Old" in b"".join(x for x in m.lsub()[1] if x))
    m.unsubscribe("Old")
    check("UNSUBSCRIBE", b"Old" not in b"".join(x for x in m.lsub()[1] if x))
    equal("RENAME", m.rename("Work", "Job")[0], "OK")
    check("RENAME takes the children along", b"Job/2025" in b"\n".join(m.list()[1]))
    equal("DELETE", m.delete("Old")[0], "OK")
    equal("DELETE what is not there", m.delete("Old")[0], "NO")
    equal("DELETE INBOX", m.delete("INBOX")[0], "NO")
    equal("SELECT what is not there", m.select("Nowhere")[0], "NO")
    check("NAMESPACE", b'"/"' in m.namespace()[1][0], m.namespace())
    equal("ENABLE", m.enable("CONDSTORE")[0], "OK")


def appending(m):
    when = '"02-Feb-2024 11:22:33 +0100"'
    state, answer = m.append("INBOX", r"(\Seen $Forwarded custom)", when, PARTS)
    check("APPEND gives its UID", state == "OK" and re.search(rb"\[APPENDUID \d+ \d+\]", answer[0]), answer)
    equal("APPEND to a mailbox that is missing", m.append("Missing", None, None, PARTS)[0], "NO")
    check("... says TRYCREATE", b"TRYCREATE" in m.append("Missing", None, None, PARTS)[1][0])
    for n in range(1, 10):
        m.append("INBOX", None, None, sample(n))
    state, count = m.select("INBOX")
    equal("SELECT counts", count, [b"10"])
    state, answer = m.fetch("1", "(FLAGS INTERNALDATE RFC822.SIZE UID)")
    line = answer[0]
    check("FETCH gives flags and keywords", all(f in line for f in (rb"\Seen", b"$Forwarded", b"custom")), line)
    check("FETCH gives the date", b"2024" in line and imaplib.Internaldate2tuple(line) is not None
          and time.mktime(imaplib.Internaldate2tuple(line)) == 1706869353, line)
    check("FETCH gives the size", b"RFC822.SIZE %d" % len(PARTS) in line, line)


def fetching(m):
    equal("BODY[] gives the octets back", fetched(m.fetch("1", "(BODY.PEEK[])")[1]).get("BODY[]"), PARTS)
    whole = email.message_from_bytes(PARTS)
    items = fetched(m.fetch("1", "(BODY.PEEK[1] BODY.PEEK[2.1] BODY.PEEK[3] BODY.PEEK[3.TEXT] BODY.PEEK[3.HEADER] "
                                 "BODY.PEEK[4] BODY.PEEK[4.MIME] BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[]<10.20> "
                                 "BODY.PEEK[HEADER.FIELDS (SUBJECT X-MARK)] BODY.PEEK[HEADER.FIELDS.NOT (X-MARK)])")[1])
    want = {"BODY[1]": b"Gr=C3=BC=C3=9Fe with a needle", "BODY[2.1]": b"<b>bold</b>",
            "BODY[3]": b"From: inner@example.org\r\nSubject: inside\r\n\r\ninner body", "BODY[3.TEXT]": b"inner body",
            "BODY[3.HEADER]": b"From: inner@example.org\r\nSubject: inside\r\n\r\n", "BODY[4]": b"iVBORw0KGgo=",
            "BODY[HEADER]": PARTS.split(b"\r\n\r\n")[0] + b"\r\n\r\n", "BODY[TEXT]": PARTS.split(b"\r\n\r\n", 1)[1],
            "BODY[]<10>": PARTS[10:30], "BODY[4.MIME]": b"Content-Type: image/png; name=\"p.png\"\r\nContent-Transfer-Encoding: "
            b"base64\r\nContent-Disposition: attachment; filename=\"p.png\"\r\n\r\n",
            "BODY[HEADER.FIELDS (SUBJECT X-MARK)]": b"Subject: =?utf-8?B?R3LDvMOfZSBhdXMgxYHDs2TFug==?=\r\nX-Mark: seventeen\r\n\r\n"}
    for item, octets in want.items():
        equal(f"FETCH {item}", items.get(item), octets)
    equal("FETCH HEADER.FIELDS.NOT", b"X-Mark" in items.get("BODY[HEADER.FIELDS.NOT (X-MARK)]", b"X-Mark"), False)
    envelope = m.fetch("1", "(ENVELOPE)")[1][0]
    check("ENVELOPE", b'"zoe" "example.org"' in envelope and b'"<parts@example.org>"' in envelope
          and b'"<before@example.org>"' in envelope, envelope)
    structure = m.fetch("1", "(BODYSTRUCTURE)")[1]
    flat = b"".join(b"".join(x) if isinstance(x, tuple) else x for x in structure).upper()
    check("BODYSTRUCTURE", all(x in flat for x in (b'"MIXED"', b'"ALTERNATIVE"', b'"MESSAGE" "RFC822"', b'"PNG"',
                                                   b'"ATTACHMENT"', b'"BASE64"')), flat)
    m.fetch("2", "(BODY[])")
    check("BODY[] sets \\Seen", rb"\Seen" in m.fetch("2", "(FLAGS)")[1][0])
    m.fetch("3", "(BODY.PEEK[])")
    check("BODY.PEEK[] does not", rb"\Seen" not in m.fetch("3", "(FLAGS)")[1][0])
    for n in range(1, 10):
        got = fetched(m.fetch(str(n + 1), "(RFC822)")[1])["RFC822"]
        if got != sample(n):
            equal(f"sample {n} comes back", got, sample(n))
    state, answer = m.fetch("1:*", "(UID ENVELOPE BODYSTRUCTURE)")
    equal("FETCH of all", state, "OK")
    equal("the parser of Python reads the parts", email.message_from_bytes(
        fetched(m.fetch("1", "(BODY[])")[1])["BODY[]"]).get_payload()[3].get_payload(decode=True),
        whole.get_payload()[3].get_payload(decode=True))


def searching(m):
    def search(*keys):
        return numbers(m.search(None, *keys)[1])

    rows = [(("ALL",), list(range(1, 11))), (("SUBJECT", '"number 3"'), [4]), (("FROM", "zoe"), [1]),
            (("HEADER", "X-Mark", '"sevent"'), [1]), (("HEADER", "X-Mark", '""'), [1]), (("TEXT", "needle"), [1]),
            (("BODY", '"with a needle"'), [1]), (("BODY", "seventeen"), []), (("KEYWORD", "custom"), [1]),
            (("NOT", "1:8"), [9, 10]), (("OR", "2", "4"), [2, 4]), (("LARGER", "100000"), []), (("ON", "2-Feb-2024"), [1]),
            (("SENTON", "2-Jan-2026"), [1]), (("SINCE", "1-Jan-2025"), list(range(2, 11))), (("CC", "cc@example.net"), [1]),
            (("(SEEN", "NOT", "3:*)"), [1, 2]), (("UNDELETED", "FLAGGED"), [])]
    for keys, want in rows:
        equal("SEARCH " + " ".join(keys), search(*keys), want)
    m.literal = "Grüße".encode()
    equal("SEARCH CHARSET UTF-8, a literal", numbers(m.search("UTF-8", "SUBJECT")[1]), [1])
    m.literal = "GRÜSSE AUS ŁÓD".encode()
    numbers(m.search("UTF-8", "SUBJECT")[1])
    m.literal = "grüße AUS łÓD".encode()
    equal("SEARCH in decoded text, either case", numbers(m.search("UTF-8", "SUBJECT")[1]), [1])
    m.literal = "grüße with".encode()
    equal("SEARCH in a decoded body", numbers(m.search("UTF-8", "BODY")[1]), [1])
    refuses("a charset nobody knows", imaplib.IMAP4.error, lambda: _ok(m.search("X-UNKNOWN", "ALL")))
    refuses("a search key nobody knows", imaplib.IMAP4.error, lambda: _ok(m.search(None, "NONSENSE")))


def _ok(answer):
    if answer[0] != "OK":
        raise imaplib.IMAP4.error(answer)


def changing(m):
    equal("STORE +FLAGS", m.store("2:3", "+FLAGS", r"(\Flagged mine)")[0], "OK")
    check("... shows", all(rb"\Flagged" in x and b"mine" in x for x in m.fetch("2:3", "(FLAGS)")[1]))
    m.store("2", "-FLAGS", "(mine)")
    check("STORE -FLAGS", b"mine" not in m.fetch("2", "(FLAGS)")[1][0])
    m.store("2", "FLAGS", r"(\Answered)")
    line = m.fetch("2", "(FLAGS)")[1][0]
    check("STORE FLAGS replaces", rb"\Answered" in line and rb"\Flagged" not in line, line)
    silent = m.store("2", "+FLAGS.SILENT", r"(\Draft)")[1]  # CONDSTORE is on: the new MODSEQ comes nevertheless
    check("STORE .SILENT does not repeat the flags", not any(x and b"FLAGS" in x for x in silent), silent)
    m.response("COPYUID")
    state, answer = m.copy("1:2", "Job")
    check("COPY", state == "OK" and b"COPYUID" in answer[0], answer)
    equal("COPY to a mailbox that is missing", m.copy("1", "Missing")[0], "NO")
    state, answer = m._simple_command("MOVE", "10", "Job")
    equal("MOVE", state, "OK")
    equal("MOVE leaves nothing behind", numbers(m.search(None, "ALL")[1]), list(range(1, 10)))
    equal("what was copied is there", m.select("Job")[1], [b"3"])
    equal("a copy is the same octets", fetched(m.fetch("1", "(BODY.PEEK[])")[1])["BODY[]"], PARTS)
    check("a copy keeps keywords", b"custom" in m.fetch("1", "(FLAGS)")[1][0])
    equal("a moved message is the same octets", fetched(m.fetch("3", "(BODY.PEEK[])")[1])["BODY[]"], sample(9))
    m.select("INBOX")
    uid = re.search(rb"UID (\d+)", m.fetch("9", "(UID)")[1][0]).group(1).decode()
    m.uid("STORE", uid, "+FLAGS", r"(\Deleted)")
    m.store("1", "+FLAGS", r"(\Deleted)")
    equal("UID EXPUNGE takes only what it names", m.uid("EXPUNGE", uid)[0], "OK")
    equal("... and no more", len(numbers(m.search(None, "ALL")[1])), 8)
    m.response("EXPUNGE")
    equal("EXPUNGE", m.expunge()[1], [b"1"])
    uids = [int(u) for u in m.uid("SEARCH", None, "ALL")[1][0].split()]
    equal("UIDs do not change", uids, sorted(uids))
    m.append("INBOX", None, None, sample(50))
    m.noop()
    after = [int(u) for u in m.uid("SEARCH", None, "ALL")[1][0].split()]
    check("a UID is never used again", after[-1] > int(uid) and after[:-1] == uids, after)
    equal("STATUS", re.search(rb"MESSAGES (\d+)", m.status("INBOX", "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN)")[1][0]).group(1), b"8")
    m.store("1", "+FLAGS", r"(\Deleted)")
    equal("UNSELECT expunges nothing", m.unselect()[0], "OK")
    equal("... as can be seen", m.select("INBOX")[1], [b"8"])
    equal("CLOSE expunges", m.close()[0], "OK")
    equal("... as can be seen now", m.select("INBOX")[1], [b"7"])
    m.select("INBOX", readonly=True)
    equal("EXAMINE lets nothing change", m._simple_command("STORE", "1", "+FLAGS", r"(\Seen)")[0], "NO")
    equal("CHECK", m.check()[0], "OK")
    refuses("a command nobody knows", imaplib.IMAP4.error, m.xatom, "XNONSENSE")
    equal("the session goes on", m.noop()[0], "OK")


# ---- two sessions ----


def two_sessions(s):
    a, b = s.imap("u00002"), s.imap("u00002", tls=True)
    a.select("INBOX")
    b.select("INBOX")
    b.append("INBOX", None, None, sample(1))
    equal("another session's APPEND", wait_for(lambda: a.noop() and a.response("EXISTS")[1][-1], 3), b"1")
    b.store("1", "+FLAGS", r"(\Flagged)")
    b.noop()

    def flags():
        a.noop()
        return [x for x in a.response("FETCH")[1] if x and rb"\Flagged" in x]
    check("another session's flags", wait_for(flags, 3))
    s.deliver(["u00002@example.com"], sample(2))
    equal("a delivery", wait_for(lambda: a.noop() and a.response("EXISTS")[1][-1], 3), b"2")
    b.noop()
    b.store("1", "+FLAGS", r"(\Deleted)")
    b.expunge()
    equal("another session's EXPUNGE", wait_for(lambda: a.noop() and a.response("EXPUNGE")[1][-1], 3), b"1")
    idling(s, a, b)
    a.logout()
    b.logout()


def idling(s, a, b):
    tag = a._new_tag()
    a.send(tag + b" IDLE\r\n")
    check("IDLE goes ahead", a.readline().startswith(b"+"))
    began = time.monotonic()
    s.deliver(["u00002@example.com"], sample(3))
    a.sock.settimeout(5)
    line = a.readline()
    while b"EXISTS" not in line:
        line = a.readline()
    took = time.monotonic() - began
    check("IDLE hears of a delivery", line.strip() == b"* 2 EXISTS", line)
    check("... soon", took < 1, f"{took:.3f} s")
    b.noop()
    b.store("2", "+FLAGS", r"(\Flagged)")
    line = a.readline()
    while b"FETCH" not in line:
        line = a.readline()
    check("IDLE hears of flags", line.startswith(b"* 2 FETCH") and rb"\Flagged" in line, line)
    b.store("1", "+FLAGS", r"(\Deleted)")
    b.expunge()
    line = a.readline()
    while b"EXPUNGE" not in line:
        line = a.readline()
    equal("IDLE hears of an expunge", line.strip(), b"* 1 EXPUNGE")
    a.send(b"DONE\r\n")
    line = a.readline()
    while line.startswith(b"* "):
        line = a.readline()
    check("IDLE ends", line.startswith(tag + b" OK"), line)


# ---- POP3 ----


def pop3(s):
    s.deliver(["u00003@example.com"], b"Subject: dots\r\n\r\n.\r\n..two\r\nend\r\n")
    for n in range(4):
        s.deliver(["u00003@example.com"], sample(n))
    p = poplib.POP3(HOST, s.port("pop3"))
    capabilities = p.capa()
    for name in ("TOP", "UIDL", "USER", "PIPELINING", "STLS", "RESP-CODES", "SASL", "UTF8"):
        check(f"CAPA {name}", name in capabilities, capabilities)
    p.user("u00003")
    error = refuses("a wrong password", poplib.error_proto, p.pass_, "wrong")
    check("... with its code", b"[AUTH]" in error.args[0], error)
    p.user("u00003")
    p.pass_(PASSWORD)
    other = poplib.POP3(HOST, s.port("pop3"))
    other.user("u00003")
    error = refuses("the maildrop is exclusive", poplib.error_proto, other.pass_, PASSWORD)
    check("... with its code", b"[IN-USE]" in error.args[0], error)
    other.close()
    count, octets = p.stat()
    equal("STAT", count, 5)
    listed = [tuple(map(int, x.split())) for x in p.list()[1]]
    equal("LIST adds up", (len(listed), sum(size for _, size in listed)), (5, octets))
    equal("LIST of one", p.list(2).split()[1:], b"2 %d" % listed[1][1] and [b"2", b"%d" % listed[1][1]])
    uidl = [x.split()[1] for x in p.uidl()[1]]
    equal("UIDL is unique", len(set(uidl)), 5)
    equal("UIDL of one", p.uidl(3).split()[2], uidl[2])
    text = b"\r\n".join(p.retr(1)[1])
    check("RETR undoes the dots", text.endswith(b"\r\n\r\n.\r\n..two\r\nend"), text)
    check("RETR shows the way here", b"Return-Path:" in text and b"Received:" in text, text)
    whole = b"\r\n".join(p.retr(2)[1]) + b"\r\n"
    equal("RETR is as long as LIST says", len(whole), listed[1][1])
    check("RETR ends as the message", whole.endswith(sample(0).split(b"\r\n\r\n", 1)[1]))
    top = p.top(2, 1)[1]
    equal("TOP 1 is the header and a line", len(top) - top.index(b""), 2)
    refuses("RETR of what is not there", poplib.error_proto, p.retr, 99)
    p.dele(1)
    p.dele(3)
    refuses("RETR of what is marked", poplib.error_proto, p.retr, 1)
    refuses("DELE twice", poplib.error_proto, p.dele, 1)
    equal("STAT without what is marked", p.stat()[0], 3)
    p.rset()
    equal("RSET", p.stat()[0], 5)
    p.noop()
    p.dele(1)
    p.close()  # without QUIT

    def again():
        try:
            q = poplib.POP3(HOST, s.port("pop3"))
            q.user("u00003")
            q.pass_(PASSWORD)
            return q
        except poplib.error_proto:
            return None
    p = wait_for(again, 5)
    equal("without QUIT nothing goes", p.stat()[0], 5)
    equal("UIDs are the same", [x.split()[1] for x in p.uidl()[1]], uidl)
    p.dele(2)
    p.dele(5)
    p.quit()
    m = s.imap("u00003")
    equal("what POP3 deletes IMAP sees", m.select("INBOX")[1], [b"3"])
    check("what POP3 reads IMAP sees", rb"\Seen" in m.fetch("1", "(FLAGS)")[1][0])
    m.logout()
    p = poplib.POP3(HOST, s.port("pop3"))
    p.stls(any_certificate())
    p.user("u00003")
    p.pass_(PASSWORD)
    equal("STLS, and the UIDs of the others", [x.split()[1] for x in p.uidl()[1]], [uidl[0], uidl[2], uidl[3]])
    p.quit()
    p = poplib.POP3_SSL(HOST, s.port("pop3s"), context=any_certificate())
    p._shortcmd("AUTH PLAIN " + base64.b64encode(b"\0u00003\0" + PASSWORD.encode()).decode())
    equal("TLS from the start, AUTH PLAIN", p.stat()[0], 3)
    equal("UTF8 too late", str(refuses("UTF8 comes before the login", poplib.error_proto, p.utf8))[:6], "b'-ERR")
    p.quit()


def pipelined_pop3(s):
    w = s.wire("pop3")
    w.send(b"USER u00003\r\nPASS secret\r\nSTAT\r\nUIDL\r\nRETR 1\r\nQUIT\r\n")
    lines = []
    while (line := w.line()) is not None:
        lines.append(line)
    check("POP3 pipelined", sum(x.startswith(b"+OK") for x in lines) >= 6 and lines[-1].startswith(b"+OK"), lines)


# ---- delivery ----


def delivery(s):
    for service, client in (("lmtp", smtplib.LMTP), ("smtp", smtplib.SMTP)):
        with client(HOST, s.port(service)) as c:
            c.ehlo() if service == "smtp" else c.ehlo_or_helo_if_needed()
            for name in ("pipelining", "8bitmime", "size", "enhancedstatuscodes", "chunking", "smtputf8", "starttls"):
                check(f"{service} offers {name}", c.has_extn(name), c.esmtp_features)
            refused = c.sendmail("a@example.org", ["u00004@example.com", "nobody-here@example.com"], sample(7))
            check(f"{service}: an unknown user is refused alone", list(refused) == ["nobody-here@example.com"]
                  and refused["nobody-here@example.com"][0] == 550, refused)
    with smtplib.SMTP(HOST, s.port("smtp")) as c:
        c.starttls(context=any_certificate())
        c.sendmail("a@example.org", ["u00004+lists@example.com"], sample(8))
        error = refuses("SMTP never relays", smtplib.SMTPRecipientsRefused, c.sendmail, "a@example.org", ["x@gmail.example"], b"x")
        check("... with 5xx", 550 <= error.recipients["x@gmail.example"][0] <= 559, error.recipients)
    m = s.imap("u00004")
    equal("both are there", m.select("INBOX")[1], [b"2"])
    text = fetched(m.fetch("1", "(BODY.PEEK[])")[1])["BODY[]"]
    check("the message is whole", text.endswith(sample(7)), text)
    equal("a sub-address goes to its folder", m.select("lists")[1], [b"1"])
    m.logout()


def test():
    with_server = Server().start()
    logging_in(with_server)
    m = with_server.imap()
    mailboxes(m)
    appending(m)
    fetching(m)
    searching(m)
    changing(m)
    m.logout()
    two_sessions(with_server)
    pop3(with_server)
    pipelined_pop3(with_server)
    delivery(with_server)
    with_server.check_end()


main(test, 120)
