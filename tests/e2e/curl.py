#!/usr/bin/env python3
"""curl: imap, imaps, pop3, pop3s and smtp, with TLS in every way."""
import os
import re

from lib import PASSWORD, Server, check, equal, main, run, sample, scratch

USER = "u00001"


def curl(*args, input=None):
    return run(["curl", "-sS", "--max-time", "20", "-k", "--user", f"{USER}:{PASSWORD}", *args], 30, input=input)


def imap(s, url, extra):
    folder = scratch("curl")
    for n in range(4):
        path = os.path.join(folder, "message")
        with open(path, "wb") as f:
            f.write(sample(n))
        done = curl(*extra, "-T", path, url + "/INBOX")
        equal(f"{url}: APPEND {n}", done.code, 0)
    done = curl(*extra, url)
    check(f"{url}: LIST", done.code == 0 and "INBOX" in done.out, done)
    done = curl(*extra, url + "/INBOX", "-X", "FETCH 1:* (FLAGS ENVELOPE)")
    check(f"{url}: FETCH", len(re.findall(r"sample number \d", done.out)) == 4, done)
    path = os.path.join(folder, "fetched")
    for n in range(4):
        done = curl(*extra, url + f"/INBOX;MAILINDEX={n + 1}", "-o", path)
        with open(path, "rb") as f:
            equal(f"{url}: message {n} comes back", f.read(), sample(n))
    done = curl(*extra, url + "/INBOX;MAILINDEX=4/;SECTION=1", "-o", path)
    with open(path, "rb") as f:
        part = f.read()
    check(f"{url}: one section", done.code == 0 and part and part in sample(3) and b"--b3" not in part, part)
    done = curl(*extra, url + "/INBOX?SUBJECT%20%22number%202%22")
    equal(f"{url}: SEARCH", done.out.strip(), "* SEARCH 3")
    done = curl(*extra, url + "/INBOX", "-X", "STORE 1:* +FLAGS.SILENT (\\Deleted)")
    equal(f"{url}: STORE", done.code, 0)
    done = curl(*extra, url + "/INBOX", "-X", "EXPUNGE")
    equal(f"{url}: EXPUNGE", done.out.count("EXPUNGE"), 4)
    done = curl(*extra, url + "/Nowhere;MAILINDEX=1")
    equal(f"{url}: a mailbox that is missing is an error", done.code in (67, 78, 9, 21), True)
    wrong = run(["curl", "-sSk", "--max-time", "20", "--user", f"{USER}:wrong", *extra, url + "/INBOX;MAILINDEX=1"], 30)
    check(f"{url}: a wrong password", wrong.code == 67, wrong)
    done = curl(*extra, "-X", "LOGOUT", url)
    check(f"{url}: LOGOUT", done.code in (0, 8, 56), done)


def pop3(s, url, extra):
    for n in range(3):
        s.deliver([USER + "@example.com"], sample(n))
    done = curl(*extra, url)
    equal(f"{url}: LIST", [x.split()[0] for x in done.out.split("\r\n") if x], ["1", "2", "3"])
    sizes = [int(x.split()[1]) for x in done.out.split("\r\n") if x]
    path = os.path.join(scratch("curl"), "fetched")
    for n in range(3):
        done = curl(*extra, url + f"/{n + 1}", "-o", path)
        with open(path, "rb") as f:
            got = f.read()
        check(f"{url}: RETR {n + 1}", got.endswith(sample(n)) and len(got) == sizes[n], done)
    done = curl(*extra, "-X", "UIDL", url)
    equal(f"{url}: UIDL", len(set(x.split()[1] for x in done.out.split("\r\n") if x)), 3)
    done = curl(*extra, "-X", "TOP 1 0", url)
    check(f"{url}: TOP", "Subject: sample number 0" in done.out, done)
    for _ in range(3):
        equal(f"{url}: DELE", curl(*extra, "-l", "-X", "DELE 1", "-I", url).code, 0)
    equal(f"{url}: it is empty", curl(*extra, url).out.strip(), "")
    wrong = run(["curl", "-sSk", "--max-time", "20", "--user", f"{USER}:wrong", *extra, url], 30)
    check(f"{url}: a wrong password", wrong.code == 67, wrong)


def smtp(s):
    url = f"smtp://127.0.0.1:{s.port('smtp')}"
    for name, extra in (("plain", []), ("STARTTLS", ["--ssl-reqd"])):
        done = run(["curl", "-sSk", "--max-time", "20", url, *extra, "--mail-from", "me@example.net", "--mail-rcpt",
                    "u00002@localhost", "-T", "-"], 30, input=sample(2))
        check(f"smtp {name}: a message is taken", done.code == 0, done)
    done = run(["curl", "-sS", "--max-time", "20", url, "--mail-from", "me@example.net", "--mail-rcpt", "nobody@localhost",
                "-T", "-"], 30, input=sample(2))
    check("smtp: an unknown user", done.code == 55 and "550" in done.err, done)
    done = run(["curl", "-sS", "--max-time", "20", url, "--mail-from", "me@example.net", "--mail-rcpt", "x@elsewhere.example",
                "-T", "-"], 30, input=sample(2))
    check("smtp: no relaying", done.code == 55 and re.search("55[0-9]", done.err), done)
    m = s.imap("u00002")
    equal("both messages are there", m.select()[1], [b"2"])
    check("... whole", m.fetch("2", "(BODY.PEEK[])")[1][0][1].endswith(sample(2)))
    m.logout()


def test():
    s = Server().start()
    for name, extra in (("imap", []), ("imap", ["--ssl-reqd"]), ("imaps", []), ("imap", ["--login-options", "AUTH=LOGIN"])):
        imap(s, f"{name}://127.0.0.1:{s.port(name)}", extra)
    for name, extra in (("pop3", []), ("pop3", ["--ssl-reqd"]), ("pop3s", []), ("pop3", ["--login-options", "AUTH=LOGIN"])):
        pop3(s, f"{name}://127.0.0.1:{s.port(name)}", extra)
    smtp(s)
    s.check_end()


main(test, 90)
