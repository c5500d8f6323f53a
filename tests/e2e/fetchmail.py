#!/usr/bin/env python3
"""fetchmail: POP3 and IMAP, plain and with TLS; what it took is deleted, or kept and known again by its UID."""
import os

from lib import PASSWORD, Server, check, equal, main, run, sample, scratch

COUNT = 25


class Fetchmail:
    def __init__(self, server, service, options):
        self.dir = scratch("fetchmail")
        port = server.port(service)
        protocol = "imap" if service.startswith("imap") else "pop3"
        tls = "ssl no sslcertck" if service.endswith("s") else options
        script = os.path.join(self.dir, "take")
        with open(script, "w") as f:
            f.write(f"#!/bin/sh\ncat > {self.dir}/mail.$$.tmp && mv {self.dir}/mail.$$.tmp {self.dir}/mail.$$\n")
        os.chmod(script, 0o700)
        self.rc = os.path.join(self.dir, "rc")
        with open(self.rc, "w") as f:
            f.write(f"poll 127.0.0.1 protocol {protocol} port {port} {'uidl' if protocol == 'pop3' else ''}\n"
                    f"  username u00001 password {PASSWORD} {tls}\n  mda \"{script}\"\n")
        os.chmod(self.rc, 0o600)

    def __call__(self, *args):
        home = {**os.environ, "HOME": self.dir, "FETCHMAILHOME": self.dir}
        return run(["fetchmail", "-f", self.rc, "-i", self.dir + "/ids", "--nosyslog", "-v", *args], 60, env=home)

    def mails(self):
        """What it gave to the delivery agent, and forgets it."""
        names = [os.path.join(self.dir, n) for n in os.listdir(self.dir) if n.startswith("mail.") and not n.endswith(".tmp")]
        texts = []
        for name in names:
            with open(name, "rb") as f:
                texts.append(f.read())
            os.remove(name)
        return texts


def is_sample(text, n):
    """fetchmail adds Received: and gives lines as Unix has them."""
    body = sample(n).replace(b"\r\n", b"\n").split(b"\n\n", 1)[1]
    return text.endswith(body) and b"Subject: sample number %d\n" % n in text


def one_way(s, service, options, name):
    for n in range(COUNT):
        s.deliver(["u00001@example.com"], sample(n))
    fetch = Fetchmail(s, service, options)
    done = fetch("--keep")
    check(f"{name}: fetches", done.code == 0, done)
    got = fetch.mails()
    equal(f"{name}: all of them", len(got), COUNT)
    equal(f"{name}: whole", sum(any(is_sample(g, n) for g in got) for n in range(COUNT)), COUNT)
    done = fetch("--keep")
    check(f"{name}: the second time there is nothing new", done.code == 1 and not fetch.mails(), done)
    s.deliver(["u00001@example.com"], sample(1000))
    done = fetch("--keep")
    check(f"{name}: only what is new", done.code == 0 and len(fetch.mails()) == 1, done)
    done = fetch("--nokeep", "--fetchall")
    check(f"{name}: takes and deletes", done.code == 0 and len(fetch.mails()) == COUNT + 1, done)
    m = s.imap()
    equal(f"{name}: nothing is left", m.select()[1], [b"0"])
    m.logout()


def test():
    s = Server().start()
    one_way(s, "pop3", "sslproto ''", "POP3")
    one_way(s, "pop3s", "", "POP3 over TLS")
    one_way(s, "pop3", "sslproto tls1.2+ no sslcertck", "POP3 with STLS")
    one_way(s, "imap", "sslproto ''", "IMAP")
    one_way(s, "imaps", "", "IMAP over TLS")
    s.check_end()


main(test, 120)
