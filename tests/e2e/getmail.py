#!/usr/bin/env python3
"""getmail: POP3 and IMAP into a maildir, as a user who is not root (getmail refuses otherwise)."""
import os
import shutil

from lib import PASSWORD, Server, check, equal, give, main, run, sample, scratch

COUNT = 30
USER = "nobody"
RETRIEVERS = {"pop3": "SimplePOP3Retriever", "pop3s": "SimplePOP3SSLRetriever", "imap": "SimpleIMAPRetriever",
              "imaps": "SimpleIMAPSSLRetriever"}


class Getmail:
    def __init__(self, server, service, delete):
        self.dir = scratch("getmail")
        for name in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(self.dir, "maildir", name))
        with open(os.path.join(self.dir, "getmailrc"), "w") as f:
            f.write(f"[retriever]\ntype = {RETRIEVERS[service]}\nserver = 127.0.0.1\nport = {server.port(service)}\n"
                    f"username = u00001\npassword = {PASSWORD}\n"
                    + ('mailboxes = ("INBOX",)\n' if service.startswith("imap") else "")
                    + f"[destination]\ntype = Maildir\npath = {self.dir}/maildir/\n"
                    f"[options]\nread_all = false\ndelete = {str(delete).lower()}\nreceived = false\ndelivered_to = false\n")
        give(self.dir, USER)

    def once(self):
        return run(["getmail", "--getmaildir", self.dir, "--rcfile", "getmailrc"], 30, user=USER,
                   env={**os.environ, "HOME": self.dir}, cwd=self.dir)

    def __call__(self):
        """getmail 6.18 sometimes waits for ever on a futex for a child that has ended already (a zombie), on a busy
        machine, whatever the server. Such a run is taken back and done again."""
        before = scratch("getmail-before")
        shutil.copytree(self.dir, before, dirs_exist_ok=True)
        for _ in range(4):
            done = self.once()
            if done.code is not None:
                break
            shutil.rmtree(self.dir)
            shutil.copytree(before, self.dir)
            give(self.dir, USER)
        return done

    def mails(self):
        new = os.path.join(self.dir, "maildir", "new")
        texts = []
        for name in os.listdir(new):
            with open(os.path.join(new, name), "rb") as f:
                texts.append(f.read())
        return texts


def one_way(s, service):
    for n in range(COUNT):
        s.deliver(["u00001@example.com"], sample(n))
    getmail = Getmail(s, service, delete=False)
    done = getmail()
    check(f"{service}: fetches", done.code == 0, done)
    got = getmail.mails()
    equal(f"{service}: all of them", len(got), COUNT)
    bodies = [sample(n).replace(b"\r\n", b"\n").split(b"\n\n", 1)[1] for n in range(COUNT)]
    equal(f"{service}: whole", sum(any(g.endswith(b) for g in got) for b in bodies), COUNT)
    done = getmail()
    check(f"{service}: the second time there is nothing new", done.code == 0 and len(getmail.mails()) == COUNT, done)
    s.deliver(["u00001@example.com"], sample(1000))
    getmail()
    equal(f"{service}: only what is new", len(getmail.mails()), COUNT + 1)
    getmail = Getmail(s, service, delete=True)
    done = getmail()
    check(f"{service}: takes and deletes", done.code == 0 and len(getmail.mails()) == COUNT + 1, done)
    m = s.imap()
    equal(f"{service}: nothing is left", m.select()[1], [b"0"])
    m.logout()


def test():
    s = Server().start()
    for service in RETRIEVERS:
        one_way(s, service)
    s.check_end()


main(test, 300)
