#!/usr/bin/env python3
"""Rules of deletion: user deletion, posthouse undelete and the mailbox that shows what was deleted, over a kill -9."""
import poplib

from lib import HOST, PASSWORD, Served, check, equal, main, sample


def subjects(m, mailbox):
    m.select(mailbox, readonly=True)
    data = m.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
    m.unselect()
    return sorted(int(d[1].split()[-1]) for d in data if d and isinstance(d, tuple))


def delete(m, mailbox, numbers):
    m.select(mailbox)
    m.store(numbers, "+FLAGS.SILENT", r"(\Deleted)")
    m.close()


def words(s):
    for rules, wanted in (((), "expunge=gone keep=0 deleted=mark"), (("keep=7",), "expunge=gone keep=7 deleted=mark"),
                          (("expunge=trash", "deleted=trash"), "expunge=trash keep=7 deleted=trash"),
                          (("expunge=gone", "deleted=mark"), "expunge=gone keep=7 deleted=mark")):
        done = s.command("user", "deletion", "anna", *rules)
        check(f"user deletion {' '.join(rules)}", done.code == 0 and done.out.strip() == wanted, done)
    for rules in (("keep=never",), ("keep=99999",), ("expunge=keep",), ("nonsense",)):
        done = s.command("user", "deletion", "anna", *rules)
        check(f"user deletion {rules[0]} is an error", done.code == 64 and rules[0] in done.err, done)
    for rest in (("--since", "yesterday"), ("--folder",), ("--nonsense", "x")):
        done = s.command("undelete", "anna", *rest)
        check(f"undelete {' '.join(rest)} is an error", done.code == 64 and done.err, done)
    check("undelete of nobody", s.command("undelete", "nobody-here").code == 67)
    done = s.command("undelete", "anna")
    check("undelete of nothing", done.code == 0 and done.out.startswith("0 messages"), done)


def by_imap_and_pop3(s):
    for n in range(1, 9):
        s.deliver(["anna@example.com"], sample(n))
    m = s.imap("anna")
    m.create("Work")
    m.select("INBOX")
    m.copy("7:8", "Work")
    delete(m, "INBOX", "7:8")
    delete(m, "INBOX", "1:2")
    delete(m, "Work", "1")
    p = poplib.POP3(HOST, s.port("pop3"))
    p.user("anna"), p.pass_(PASSWORD)
    p.dele(1)
    p.quit()
    equal("what is left", subjects(m, "INBOX"), [4, 5, 6])
    equal("what is kept: no copy of what was copied first", subjects(m, "Deleted"), [1, 2, 3, 7])
    return m


def back(s):
    done = s.command("undelete", "anna", "--list")
    lines = done.out.splitlines()
    check("undelete --list", done.code == 0 and len(lines) == 4 and sum(" Work " in line for line in lines) == 1, done)
    s.kill()
    s.start()
    check("--list after a kill -9", s.command("undelete", "anna", "--list").out == done.out)
    done = s.command("undelete", "anna", "--since", "2030-01-01")
    check("--since tomorrow", done.code == 0 and done.out.startswith("0 "), done)
    done = s.command("undelete", "anna", "--folder", "Work", "--since", "1h")
    check("--folder", done.code == 0 and done.out.startswith("1 "), done)
    m = s.imap("anna")
    equal("back in Work", subjects(m, "Work"), [7, 8])
    m.select("INBOX")
    done = s.command("undelete", "anna", "--message-id", sample(2).split(b"Message-ID: ")[1].split(b"\r\n")[0].decode().strip("<>"))
    check("--message-id", done.code == 0 and done.out.startswith("1 "), done)
    m.noop()
    equal("an open session hears of it", m.response("EXISTS")[1][-1], b"4")
    s.stop()
    done = s.command("undelete", "anna")
    check("undelete while nobody serves", done.code == 0 and done.out.startswith("2 "), done)
    s.start()
    m = s.imap("anna")
    equal("all are back", subjects(m, "INBOX"), [1, 2, 3, 4, 5, 6])
    m.logout()


def test():
    s = Served(undelete=0).start()
    s.command("user", "add", "anna", input=PASSWORD + "\n")
    m = s.imap("anna")
    check("nothing is kept, so there is no view", b"Deleted" not in b"".join(m.list()[1]))
    words(s)
    check("now there is one", b"Deleted" in b"".join(m.list()[1]))
    by_imap_and_pop3(s)
    back(s)
    s.check_end()


main(test, 120)
