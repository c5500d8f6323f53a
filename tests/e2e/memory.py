#!/usr/bin/env python3
"""What large messages and many connections leave behind: little, and not more the second time."""
import re
import time

from lib import Server, check, equal, login, main

MESSAGE = b"Subject: large\r\n\r\n" + (b"x" * 76 + b"\r\n") * (50 * 1024 * 1024 // 78)


def peak(server, what):
    """KiB that the server's processes grew by while this went on, each at its worst, and afterwards."""
    def of(pid, name):
        with open(f"/proc/{pid}/status") as f:
            return int(re.search(name + r":\s+(\d+)", f.read()).group(1))
    pids, before = server.pids(), server.resident_kib()
    now = {pid: of(pid, "VmRSS") for pid in pids}
    for pid in pids:
        with open(f"/proc/{pid}/clear_refs", "w") as f:
            f.write("5")
    what()
    grew = sum(of(pid, "VmHWM") - now[pid] for pid in pids)
    left = server.resident_kib() - before
    print(f"peak {grew:+} KiB, after {left:+} KiB", flush=True)
    return grew, left


def large(server):
    m = server.imap()
    m.select()
    for name, what in (("APPEND", lambda: m.append("INBOX", None, None, MESSAGE)),
                       ("LMTP", lambda: server.deliver(["u00001@example.com"], MESSAGE)),
                       ("FETCH", lambda: equal("FETCH gives it all", len(m.fetch("1", "BODY.PEEK[]")[1][0][1]), len(MESSAGE)))):
        most, left = peak(server, what)
        check(f"50 MB by {name} take a few", most < 12 * 1024, most)
        check(f"50 MB by {name} leave nothing", left < 6 * 1024, left)
    m.logout()


def crowd(server, count):
    """IDLE over TLS, then gone."""
    wires = []
    for i in range(count):
        w = login(server, f"u{i % 10 + 1:05}", tls=True)
        w.imap("SELECT INBOX")
        w.send(b"i IDLE\r\n")
        w.line()
        wires.append(w)
    for w in wires:
        w.close()
    time.sleep(3)


ASLEEP = "SELECT INBOX"
AWAKE = ("NOTIFY SET (selected (MessageNew (UID FLAGS BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE)]) MessageExpunge FlagChange)) "
         "(personal (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange MailboxMetadataChange))")


def expect(what, answer):
    if answer != "OK":
        check(what, False, answer)


def resting(server, count, *commands):
    """KiB that each of so many sessions costs at rest."""
    before, wires = server.resident_kib(), []
    for i in range(count):
        w = login(server, f"u{i % 10 + 1:05}")
        for command in commands:
            expect(command, w.imap(command)[0])
        wires.append(w)
    time.sleep(5)  # fibers that wait give their stacks back
    each = (server.resident_kib() - before) / count
    print(f"{each:.1f} KiB a session: {' + '.join(c.split(' ')[0] for c in commands)}", flush=True)
    return each, wires


def warm(server):
    """What processes share is there from the beginning, but counts only once it was used: rings of 256 KiB each way."""
    message = b"Subject: x\r\n\r\n" + (b"x" * 76 + b"\r\n") * 5000
    for i in range(12):
        m = server.imap(f"u{i % 10 + 1:05}")
        m.select()
        m.append("INBOX", None, None, message)
        m.fetch("1:*", "BODY.PEEK[]")
        m.logout()
    time.sleep(3)


def enabled(server):
    """All that can be switched on costs a session at rest little more than none of it."""
    warm(server)
    plain, wires = resting(server, 1000, ASLEEP)
    full, more = resting(server, 1000, "ENABLE QRESYNC", ASLEEP, AWAKE)
    check("a session at rest costs at most 6 KiB, all processes together", plain <= 6, plain)
    check("and two thousand, half of them with everything, no more on average", (plain + full) / 2 <= 6, (plain, full))
    began = time.monotonic()
    server.deliver(["u00001@example.com"], b"Subject: news\r\n\r\nx\r\n")
    for w in more[::10]:
        w.line()  # EXISTS, RECENT
    check("and all hear of a message at once", time.monotonic() - began < 5)
    for w in wires + more:
        w.close()
    time.sleep(3)


def silent(server):
    """NOTIFY over 10,000 mailboxes: what happens in one of them costs nothing for the others."""
    w, other = login(server, "u00002"), login(server, "u00002")
    for first in range(0, 10000, 500):
        w.send(b"".join(b"c%d CREATE f/%d\r\n" % (i, i) for i in range(first, first + 500)))
        for i in range(first, first + 500):
            expect("CREATE", w.imap_answer(b"c%d" % i)[0])

    def cost(what):
        ticks = lambda: round(server.cpu_seconds() * 100)  # of all its processes
        before = ticks()
        for i in range(300):
            expect("STORE", other.imap(f"STORE 1 {'+-'[i % 2]}FLAGS.SILENT (\\Flagged)")[0])
        print(f"{what}: {ticks() - before} ticks", flush=True)
        return ticks() - before

    server.deliver(["u00002@example.com"], b"Subject: one\r\n\r\nx\r\n")
    equal("SELECT", other.imap("SELECT INBOX")[0], "OK")
    alone = cost("300 changes, nobody watches")
    equal("NOTIFY", w.imap("NOTIFY SET (subtree f (MessageNew MessageExpunge FlagChange)) (personal (MailboxName))")[0], "OK")
    watched = cost("300 changes elsewhere, 10,000 mailboxes are watched")
    check("watching silent mailboxes costs nothing", watched <= alone * 1.5 + 5, (alone, watched))
    w.close()
    other.close()


def slow(server):
    """They ask for 50 MB and read nothing."""
    wires = [login(server) for _ in range(20)]
    for w in wires:
        w.imap("SELECT INBOX")
        w.send(b"f FETCH 1:* BODY.PEEK[]\r\n")
    time.sleep(1)
    other = login(server)
    began = time.monotonic()
    equal("beside slow readers", other.imap("NOOP")[0], "OK")
    check("at once", time.monotonic() - began < 1)
    for w in wires:
        w.close()


def test():
    s = Server().start()
    large(s)
    most, _ = peak(s, lambda: slow(s))
    check("20 slow readers of 50 MB take a few", most < 20 * 1024, most)
    crowd(s, 600)
    _, left = peak(s, lambda: crowd(s, 600))
    check("a second crowd leaves no more than the first", left < 3 * 1024, left)
    silent(s)
    s.check_end()
    fresh = Server().start()  # else what others have left behind would be used again, and not be seen
    enabled(fresh)
    fresh.check_end()


main(test, 240)
