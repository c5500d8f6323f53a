#!/usr/bin/env python3
"""swaks: SMTP and LMTP, TLS, unknown recipients, no relaying, large messages, pipelining."""
import os
import re
import smtplib

from lib import HOST, Server, check, equal, main, run, sample, scratch


def swaks(s, service, *args, to="u00001@example.com"):
    return run(["swaks", "--server", "127.0.0.1", "--port", str(s.port(service)), "--protocol",
                {"lmtp": "LMTP", "smtp": "ESMTP"}[service], "--helo", "client.example.net", "--from", "sender@example.net",
                "--to", to, "--timeout", "30", *args], 60)


def in_mailbox(s, user="u00001"):
    """The newest message, whole; and how many there are."""
    m = s.imap(user)
    count = int(m.select("INBOX")[1][0])
    newest = m.fetch(str(count), "(BODY.PEEK[])")[1][0][1] if count else b""
    m.logout()
    return newest, count


def taken(s, service):
    ways = [("plain", []), ("TLS by STARTTLS", ["--tls"]), ("pipelined", ["--pipeline"]),
            ("pipelined over TLS", ["--pipeline", "--tls"])]
    for name, args in ways:
        done = swaks(s, service, *args, "--header", f"Subject: {service} {name}", "--body", f"body of {name}\n.\n..\nend\n")
        text, _ = in_mailbox(s)
        check(f"{service} {name}", done.code == 0 and f"Subject: {service} {name}".encode() in text, done)
        check(f"{service} {name}: dots stay", b"\r\n.\r\n..\r\nend\r\n" in text, text)
        check(f"{service} {name}: Received and Return-Path", b"\r\nReturn-Path: <sender@example.net>\r\n" in b"\r\n" + text[:500]
              and re.search(rb"\nReceived: from client\.example\.net[^\n]*127\.0\.0\.1", text), text[:600])
    with_what = re.search(rb"with ([A-Z0-9]+)", text).group(1)
    equal(f"{service}: Received says how", with_what, b"LMTPS" if service == "lmtp" else b"ESMTPS")


def refused(s, service):
    done = swaks(s, service, to="nobody-here@example.com")
    check(f"{service}: an unknown user is 550", done.code == 24 and re.search(r"<\*\* 550 5\.1\.1", done.out), done)
    done = swaks(s, service, to="someone@elsewhere.example")
    check(f"{service}: no relaying", done.code == 24 and re.search(r"<\*\* 55[0-4] 5\.7\.1", done.out), done)
    for address in ("u00001%elsewhere.example@elsewhere.example", "@example.com:x@elsewhere.example", '"x@elsewhere.example"'):
        done = swaks(s, service, to=address)
        check(f"{service}: no relaying by {address}", done.code == 24 and re.search(r"<\*\* 5\d\d", done.out), done)
    before = in_mailbox(s)[1]
    done = swaks(s, service, to="u00001@example.com,nobody-here@example.com,u00002@example.com")
    check(f"{service}: one bad recipient of three", len(re.findall(r"<\*\* 550", done.out)) == 1, done)
    equal(f"{service}: the others have it", in_mailbox(s)[1], before + 1)
    equal(f"{service}: both of them", in_mailbox(s, "u00002")[1] > 0, True)
    if service == "lmtp":
        check("lmtp: an answer for each recipient", len(re.findall(r"<~?\s+250 2\.\d\.\d .*u0000[12]", done.out)) >= 2
              or len(re.findall(r"<-\s+250 2", done.out)) >= 5, done)
    done = swaks(s, service, "--auth", "PLAIN", "--auth-user", "u00001", "--auth-password", "secret")
    check(f"{service}: no AUTH is offered", done.code == 28, done)


def large(s, service):
    path = os.path.join(scratch("swaks"), "large")
    text = b"Subject: large\r\n\r\n" + b"".join(b"%07d %s\r\n" % (i, b"x" * 60) for i in range(300_000))
    with open(path, "wb") as f:
        f.write(text.replace(b"\r\n", b"\n"))
    done = swaks(s, service, "--data", "@" + path, "--suppress-data")
    check(f"{service}: {len(text) >> 20} MB are taken", done.code == 0, done)
    got, _ = in_mailbox(s)
    check(f"{service}: every octet of them", got.rstrip().endswith(text.rstrip()), len(got))
    client = {"lmtp": smtplib.LMTP, "smtp": smtplib.SMTP}[service](HOST, s.port(service))  # swaks does not say SIZE
    client.ehlo_or_helo_if_needed()
    answer = client.mail("sender@example.net", ["SIZE=999999999999"])
    check(f"{service}: too large by SIZE", answer[0] == 552 and answer[1].startswith(b"5.3.4"), answer)
    client.quit()


def eight_bit(s, service):
    path = os.path.join(scratch("swaks"), "eight")
    with open(path, "wb") as f:
        f.write(sample(5).replace(b"\r\n", b"\n"))
    done = swaks(s, service, "--data", "@" + path)
    got, _ = in_mailbox(s)
    check(f"{service}: 8-bit text comes as it is", done.code == 0 and got.rstrip().endswith(sample(5).rstrip()), done)


def test():
    s = Server().start()
    for service in ("lmtp", "smtp"):
        taken(s, service)
        refused(s, service)
        large(s, service)
        eight_bit(s, service)
    done = run(["swaks", "--server", "127.0.0.1", "--port", str(s.port("smtp")), "--protocol", "SMTP", "--to", "u00001@localhost",
                "--from", "", "--timeout", "30"], 60)
    check("HELO, a null sender", done.code == 0, done)
    s.check_end()


main(test, 120)
