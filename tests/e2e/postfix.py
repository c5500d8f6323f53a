#!/usr/bin/env python3
"""A real Postfix in front: takes mail by SMTP and delivers over LMTP, by TCP and by a Unix socket; many recipients, bounces
for unknown users, mail that waits while we are away. Its configuration and queue are in a directory of their own."""
import grp
import os
import pwd
import re
import shutil
import smtplib
import subprocess
import sys

from lib import HOST, PROGRAM, Served, check, equal, free_ports, main, run, sample, scratch, start, wait_for

USERS = [f"user{n}" for n in range(12)]
MAIN = """compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {dir}/log
maillog_file_prefixes = {dir}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.example.net
mydestination =
mynetworks = 127.0.0.0/8
local_recipient_maps =
alias_maps =
virtual_mailbox_domains = example.com, localhost
virtual_transport = lmtp:inet:127.0.0.1:{lmtp}
transport_maps = inline:{{ {{ localhost = lmtp:unix:{socket} }} }}
default_transport = error:no mail for elsewhere in this test
lmtp_destination_recipient_limit = 50
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
smtputf8_enable = yes
message_size_limit = 50000000
"""
MASTER = """127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    def __init__(self, lmtp_port, socket):
        self.dir = scratch("postfix")
        os.chmod(self.dir, 0o755)
        self.port = free_ports(1)
        self.write("main.cf", MAIN.format(dir=self.dir, lmtp=lmtp_port, socket=socket))
        self.write("master.cf", MASTER.format(port=self.port))
        owner, drop = pwd.getpwnam("postfix").pw_uid, grp.getgrnam("postdrop").gr_gid
        os.mkdir(self.path("data"), 0o700)
        os.chown(self.path("data"), owner, -1)
        os.mkdir(self.path("queue"), 0o755)
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"):
            os.mkdir(self.path("queue", name), 0o700)
            os.chown(self.path("queue", name), owner, -1)
        for name, mode in (("maildrop", 0o730), ("public", 0o710)):
            os.mkdir(self.path("queue", name))
            os.chown(self.path("queue", name), owner, drop)
            os.chmod(self.path("queue", name), mode)
        os.mkdir(self.path("queue", "pid"), 0o755)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)

    def start(self):
        self.process = start(["/usr/lib/postfix/sbin/master", "-c", self.dir, "-d"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def answers():
            try:
                with smtplib.SMTP(HOST, self.port, timeout=5) as c:
                    return c.noop()[0] == 250
            except OSError:
                return False
        return wait_for(answers, 20)

    def log(self):
        try:
            with open(self.path("log")) as f:
                return f.read()
        except OSError:
            return ""

    def send(self, recipients, message, sender="user0@example.com", options=()):
        with smtplib.SMTP(HOST, self.port) as c:
            return c.sendmail(sender, recipients, message, mail_options=options)

    def queue(self):
        return run(["postqueue", "-c", self.dir, "-j"], 20).out.strip()

    def flush(self):
        run(["postqueue", "-c", self.dir, "-f"], 20)

    def is_empty(self):
        return not any(files for name in ("active", "incoming", "deferred", "maildrop")
                       for _, _, files in os.walk(self.path("queue", name)))


def count(s, user, mailbox="INBOX"):
    m = s.imap(user)
    state, answer = m.select(mailbox)
    m.logout()
    return int(answer[0]) if state == "OK" else 0


def newest(s, user):
    m = s.imap(user)
    n = int(m.select()[1][0])
    text = m.fetch(str(n), "(BODY.PEEK[])")[1][0][1] if n else b""
    m.logout()
    return text


def delivers(s, postfix):
    for n in range(20):
        postfix.send(["user1@example.com"], sample(n))
    check("twenty messages arrive", wait_for(lambda: count(s, "user1") == 20, 30), postfix.log()[-2000:])
    m = s.imap("user1")
    m.select()
    texts = [x[1] for x in m.fetch("1:*", "(BODY.PEEK[])")[1] if isinstance(x, tuple)]
    m.logout()
    whole = sum(any(t.endswith(sample(n).split(b"\r\n\r\n", 1)[1]) for t in texts) for n in range(20))
    equal("... whole", whole, 20)
    check("... with Postfix's Received: under ours", all(b"Return-Path: <user0@example.com>\r\n" in t[:200] and
                                                         t.count(b"Received: ") == 2 for t in texts), texts[0][:800])
    postfix.send([u + "@example.com" for u in USERS], sample(100))
    check("one message for twelve users", wait_for(lambda: all(b"sample number 100" in newest(s, u) for u in USERS), 30),
          postfix.log()[-2000:])
    postfix.send(["user2@example.com"], b"Subject: big\r\n\r\n" + b"".join(b"%08d %s\r\n" % (i, b"y" * 66) for i in range(150_000)))
    check("a message of 11 MB", wait_for(lambda: b"\nSubject: big" in newest(s, "user2")[:3000], 30), postfix.log()[-2000:])
    postfix.send(["user3+lists@example.com"], sample(101))
    check("a sub-address", wait_for(lambda: count(s, "user3", "lists") == 1, 20), postfix.log()[-2000:])
    check("Postfix saw our answers", re.search(r"status=sent \(250 2\.\d\.\d ", postfix.log()), postfix.log()[-2000:])
    check("the queue is empty", wait_for(postfix.is_empty, 10), postfix.queue())


def bounces(s, postfix):
    before = count(s, "user4")
    postfix.send(["nobody-here@example.com", "user4@example.com"], sample(200))
    check("the known one of two gets it", wait_for(lambda: count(s, "user4") == before + 1, 20), postfix.log()[-2000:])
    check("an unknown user bounces", wait_for(lambda: b"MAILER-DAEMON" in newest(s, "user0"), 20), postfix.log()[-2000:])
    bounce = newest(s, "user0")
    check("... with our words in the bounce", b"nobody-here@example.com" in bounce and b"550 5.1.1" in bounce, bounce)
    check("... from nobody", b"Return-Path: <>\r\n" in bounce[:200], bounce[:200])
    s.command("user", "quota", "user5", "1000000")
    postfix.send(["user5@example.com"], b"Subject: too much\r\n\r\n" + b"z" * 70 * 30_000)
    check("over quota is told to Postfix", wait_for(lambda: re.search(r"to=<user5@.*status=(bounced|deferred).*(552|452) \d\.2\.2",
                                                                    postfix.log()), 20), postfix.log()[-2000:])
    postfix.send(["user5@example.com"], sample(201))
    check("... and what fits still comes", wait_for(lambda: count(s, "user5") == 2, 20), postfix.log()[-2000:])


def over_the_socket(s, postfix):
    for n in range(10):
        postfix.send([u + "@localhost" for u in USERS[6:9]], sample(300 + n))
    check("over the Unix socket", wait_for(lambda: all(b"sample number 309" in newest(s, u) for u in USERS[6:9]), 20),
          postfix.log()[-2000:])


def waits_for_us(s, postfix):
    before = count(s, "user10")
    s.kill()
    for n in range(10):
        postfix.send(["user10@example.com"], sample(400 + n))
    check("Postfix keeps it while we are away", wait_for(lambda: "status=deferred" in postfix.log(), 20), postfix.log()[-2000:])
    s.start()

    def all_there():
        postfix.flush()
        return count(s, "user10") == before + 10
    check("it comes when we are back, once", wait_for(all_there, 30, 1), postfix.log()[-2000:])
    check("the queue is empty at the end", wait_for(postfix.is_empty, 20), postfix.queue())
    equal("still once", count(s, "user10"), before + 10)


def become_root():
    """Postfix's master starts as root only. Without root and without sudo the test fails: it was not run."""
    if os.getuid() != 0 and run(["sudo", "-n", "true"], 10).code == 0:
        os.execvp("sudo", ["sudo", "-n", "env", f"POSTHOUSE={PROGRAM}", sys.executable, os.path.abspath(__file__)])


def test():
    if not check("Postfix's master can be started: we are root", os.getuid() == 0):
        return
    folder = scratch("lmtp")
    os.chmod(folder, 0o755)
    s = Served(subaddress_creates="yes")
    s.settings["listen_lmtp"] += f" unix:{folder}/lmtp"
    s.write_config()
    for user in USERS:
        done = s.command("user", "add", user, input="secret\n")
        if done.code != 0:
            raise RuntimeError(f"user add: {done}")
    s.start()
    postfix = Postfix(s.port("lmtp"), f"{folder}/lmtp")
    if not check("Postfix starts", postfix.start(), postfix.log()):
        return
    delivers(s, postfix)
    bounces(s, postfix)
    over_the_socket(s, postfix)
    waits_for_us(s, postfix)
    s.check_end()


if shutil.which("sudo"):
    become_root()
main(test, 170)
