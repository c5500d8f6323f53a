#!/usr/bin/env python3
"""neomutt and mutt in a terminal (tmux): they list, read, flag, delete, move, undelete and hear of new mail."""
import os
import re
import time

from lib import HOST, PASSWORD, Server, check, equal, fill, main, run, sample, scratch, wait_for

COUNT = 30
RC = """set folder="{scheme}://u00001@127.0.0.1:{port}/"
set spoolfile="+INBOX"
set imap_user="u00001"
set imap_pass="{password}"
set ssl_starttls={starttls}
set ssl_force_tls=no
set ssl_verify_host=no
set ssl_verify_dates=no
set certificate_file="{certificate}"
set header_cache=""
set sort=mailbox-order
set timeout=1
set mail_check=1
set imap_keepalive=5
set mail_check_stats=no
set confirmappend=no
set delete=yes
set move=no
set mark_old=no
set quit=yes
set beep=no
set wait_key=no
set pager_index_lines=0
set sleep_time=0
set index_format="%4C %Z %s"
{idle}
mailboxes +INBOX +Work
"""


class Screen:
    """A program in a terminal of its own."""

    def __init__(self, program, config):
        self.dir = scratch("mutt")
        self.tmux = ["tmux", "-S", os.path.join(self.dir, "socket"), "-f", "/dev/null"]
        rc = os.path.join(self.dir, "rc")
        with open(rc, "w") as f:
            f.write(config)
        run([*self.tmux, "new-session", "-d", "-x", "120", "-y", "45", f"env HOME={self.dir} TERM=screen LC_ALL=C.UTF-8 "
             f"{program} -n -F {rc} 2>{self.dir}/errors; echo it ended with $?; sleep 100"], 20)

    def keys(self, *keys):
        run([*self.tmux, "send-keys", *keys], 10)

    def text(self):
        return "\n".join(line.rstrip() for line in run([*self.tmux, "capture-pane", "-p"], 10).out.splitlines())

    def shows(self, pattern, seconds=10):
        return wait_for(lambda: re.search(pattern, self.text(), re.M), seconds, 0.1)

    def answers(self, prompt, answer):
        """Types an answer when the prompt is there."""
        found = self.shows(prompt)
        if found:
            self.keys("C-u")
            self.keys("-l", answer)
            self.keys("Enter")
        return found

    def close(self):
        run([*self.tmux, "kill-server"], 10)


def there(s, mailbox="INBOX"):
    """{number of the sample: flags}"""
    m = s.imap()
    found = {}
    if m.select(mailbox, readonly=True)[0] == "OK":
        for answer in m.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]:
            if isinstance(answer, tuple):
                flags = re.search(rb"FLAGS \(([^)]*)\)", answer[0]).group(1).decode()
                found[int(re.search(rb"number (\d+)", answer[1]).group(1))] = set(flags.split())
    m.logout()
    return found


def empty(s):
    m = s.imap()
    for name in ("INBOX", "Work"):
        if m.select(name)[0] == "OK":
            m.uid("STORE", "1:*", "+FLAGS.SILENT", r"(\Deleted)")
            m.expunge()
    m.logout()


def session(s, program, service, starttls):
    name = f"{program} {'STARTTLS' if starttls == 'yes' else service}"
    empty(s)
    fill(s, "u00001", "INBOX", (sample(n) for n in range(COUNT)))
    fill(s, "u00001", "Work", [])
    config = RC.format(scheme=service, port=s.port(service), password=PASSWORD, starttls=starttls,
                       certificate=f"{s.dir}/tls/certificate.pem", idle="set imap_idle=yes" if program == "neomutt" else "")
    t = Screen(program, config)
    try:
        if not check(f"{name}: lists", t.shows(r"^\s+1 .*sample number 0$", 20) and t.shows(r"^\s+30 .*sample number 29$"), t.text()):
            return
        reads(name, s, t)
        changes(name, s, t)
        hears(name, s, t)
        t.keys("q")
        check(f"{name}: ends well", t.shows("it ended with 0"), t.text())
    finally:
        t.close()


def reads(name, s, t):
    t.keys("3", "Enter")
    time.sleep(0.2)
    t.keys("Enter")
    check(f"{name}: opens a message", t.shows("Subject: sample number 2$"), t.text())
    text = sample(2).decode().split("8bit\r\n\r\n")[1].split("\r\n")[0]
    check(f"{name}: shows its text in UTF-8", t.shows(re.escape(text)), t.text())
    t.keys("i")
    check(f"{name}: goes back to the list", t.shows(r"^\s+4 .*sample number 3$"), t.text())


def changes(name, s, t):
    t.keys("5", "Enter")
    t.keys("F")
    t.keys("8", "Enter")
    t.keys("d")
    t.keys("1", "0", "Enter")
    t.keys("s")
    check(f"{name}: asks where to save", t.answers("(?i)(save|move) to mailbox", "=Work"), t.text())
    t.shows(r"sample number 10$")
    time.sleep(0.5)
    t.keys("1", "2", "Enter")
    t.keys("C")
    check(f"{name}: asks where to copy", t.answers("(?i)copy to mailbox", "=Work"), t.text())
    time.sleep(0.5)
    t.keys("2", "0", "Enter")
    t.keys("d")
    t.keys("2", "0", "Enter")
    t.keys("u")
    t.keys("$")
    check(f"{name}: what was deleted and moved is gone", wait_for(lambda: len(there(s)) == COUNT - 2, 10), sorted(there(s)))
    left = there(s)
    check(f"{name}: these and no others", 7 not in left and 9 not in left and 19 in left, sorted(left))
    check(f"{name}: read", "\\Seen" in left[2] and "\\Seen" not in left[25], left)
    check(f"{name}: flagged", [n for n, f in left.items() if "\\Flagged" in f] == [4], left)
    equal(f"{name}: the other mailbox has what was moved and copied", sorted(there(s, "Work")), [9, 11])
    t.keys("c")
    check(f"{name}: asks for a mailbox to open", t.answers("Open mailbox", "=Work"), t.text())
    check(f"{name}: lists the other mailbox", t.shows(r"^\s+1 .*sample number 9$") and t.shows(r"^\s+2 .*sample number 11$"), t.text())
    t.keys("c")
    t.answers("Open mailbox", "=INBOX")
    check(f"{name}: and INBOX again", t.shows(r"^\s+28 .*sample number 29$"), t.text())


def hears(name, s, t):
    s.deliver(["u00001@example.com"], sample(500))
    check(f"{name}: new mail shows by itself", t.shows("sample number 500", 15), t.text())
    t.keys("/")
    t.answers("Search for", "~b паровоз")
    check(f"{name}: a search in bodies finds", not t.shows("(?i)not found", 2), t.text())
    t.keys("l")
    t.answers("Limit to", "~s \"number 29\"")
    check(f"{name}: a limit", t.shows(r"^\s+1 .*sample number 29$") or t.shows(r"^\s+28 .*sample number 29$"), t.text())
    m = s.imap()
    m.select()
    m.store("1", "+FLAGS", r"(\Deleted)")
    m.expunge()
    m.logout()
    t.keys("l")
    t.answers("Limit to", "all")
    check(f"{name}: what another deletes goes", wait_for(lambda: "sample number 0\n" not in t.text(), 15), t.text())


def test():
    s = Server().start()
    for program, service, starttls in (("neomutt", "imap", "no"), ("neomutt", "imaps", "no"), ("mutt", "imap", "no"),
                                       ("mutt", "imap", "yes")):
        session(s, program, service, starttls)
    s.check_end()


main(test, 170)
