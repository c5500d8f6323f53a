#!/usr/bin/env python3
"""Sharing between users whose logins hold what means something in mailbox names, over a restart, and when a user goes."""
import imaplib

from lib import PASSWORD, Served, check, equal, main, sample, wait_for

ODD = {"an/na": "an=2Fna", "per%": "per=25", "st*r": "st=2Ar", "eq=2fual": "eq=3D2fual", "carl@example.com": "carl@example.com"}


def names(m, pattern):
    rows = [row for row in m.list('""', f'"{pattern}"')[1] if row]
    return sorted(row.decode().split(' "/" ')[1].strip('"') for row in rows)


def grants(s):
    """Everybody lets everybody else look into a folder of his own."""
    for name in ODD:
        done = s.command("user", "add", name, input=PASSWORD + "\n")
        check(f"user add {name}", done.code == 0, done)
    for name in ODD:
        m = s.imap(f'"{name}"')
        m.create("Team")
        m.append("Team", None, None, sample(1))
        for other in ODD:
            if other != name:
                equal(f"{name} lets {other} in", m.setacl("Team", f'"{other}"', "lrs")[0], "OK")
        m.logout()


def looks(s, when):
    for name in ODD:
        m = s.imap(f'"{name}"')
        wanted = sorted(f"Shared/{shown}/Team" for login, shown in ODD.items() if login != name)
        equal(f"{when}: what {name} sees", names(m, "Shared/*"), wanted)
        for mailbox in wanted:
            equal(f"{when}: {name} reads {mailbox}", m.select(f'"{mailbox}"', readonly=True)[1], [b"1"])
        m.logout()


def is_sent_away(m):
    try:
        m.noop()
        return False
    except (imaplib.IMAP4.abort, OSError):
        return True


def test():
    s = Served()
    s.start()
    grants(s)
    looks(s, "granted")
    s.kill()
    s.start()
    looks(s, "after kill -9")
    m = s.imap('"per%"')
    m.select('"Shared/an=2Fna/Team"', readonly=True)
    done = s.command("user", "remove", "an/na")
    check("user remove", done.code == 0, done)
    check("who looks at his mailbox is sent away", wait_for(lambda: is_sent_away(m), 5))
    m = s.imap('"per%"')
    check("it is listed no more", "Shared/an=2Fna/Team" not in names(m, "Shared/*"))
    done = s.command("user", "add", "an/na", input=PASSWORD + "\n")
    check("the login is given again", done.code == 0, done)
    equal("... and inherits nothing", names(s.imap('"an/na"'), "Shared/*"), [])
    s.check_end()


main(test, 120)
