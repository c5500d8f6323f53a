#!/usr/bin/env python3
"""Attacks by every protocol, each from an address of its own: what the log says of them, what fail2ban-regex counts by the filter in
share/fail2ban, and what the metrics count. fail2ban's part is skipped where it is not installed."""
import contextlib
import base64
import collections
import os
import re
import shutil
import signal
import socket
import time

from lib import HOST, PASSWORD, Server, TOP, Wire, check, equal, main, run, scratch, wait_for

FILTER = os.path.join(TOP, "share/fail2ban/filter.d/posthouse.conf")
LIE = ' remote=203.0.113.9 tls=none err=AUTH'
NAMES = [f'x"{LIE}', f"x\\\"{LIE}", f"x{LIE}", "x\r\nts=2026-01-01T00:00:00.000Z level=warn event=login_failed service=imap mechanism=password user=x" + LIE,
         "level=warn event=cut service=imap remote=203.0.113.9 why=web user=x", "x\u2028" + LIE, "x\\"]


def b64(text):
    return base64.b64encode(text.encode())


def one(s, service, source, *sent, tls=False):
    """Says that, and hears all until the server has nothing more to say."""
    w = Wire(s.port(service), tls, 30, service if service in ("imap", "pop3", "smtp", "lmtp") else service[:4], source)
    w.line()
    for octets in sent:
        try:
            w.send(octets)
            w.line()
        except OSError:
            break
    w.close()


def literal(name):
    return b"a LOGIN {%d+}\r\n%s wrong\r\n" % (len(name.encode()), name.encode())


def attacks(s):
    """{address: lines that fail2ban has to count}, of the normal mode, and what more it counts in the other."""
    wrong = b64("\0u00001\0wrong")
    for _ in range(3):
        one(s, "imap", "127.0.0.11", b"a LOGIN u00001 wrong\r\n")
        one(s, "imap", "127.0.0.12", b"a AUTHENTICATE PLAIN " + wrong + b"\r\n")
        one(s, "imaps", "127.0.0.13", b"a LOGIN nobody wrong\r\n", tls=True)
        one(s, "pop3", "127.0.0.14", b"USER u00001\r\n", b"PASS wrong\r\n")
        one(s, "pop3", "127.0.0.15", b"AUTH PLAIN " + wrong + b"\r\n")
        one(s, "pop3s", "127.0.0.16", b"APOP u00001 " + b"0" * 32 + b"\r\n", tls=True)
        one(s, "imap", "127.0.0.17", b"a AUTHENTICATE SCRAM-SHA-256 " + b64("n,,n=u00001,r=abcdefghijkl") + b"\r\n", b64("c=biws,r=no,p=bm8=") + b"\r\n")
        one(s, "imap", "127.0.0.18", b"a AUTHENTICATE LOGIN\r\n", b64("u00001") + b"\r\n", b64("wrong") + b"\r\n")
        one(s, "imap", "127.0.0.19", b"a AUTHENTICATE OAUTHBEARER " + b64("n,a=u00001,\1auth=Bearer e30.e30.e30\1\1") + b"\r\n", b"AQ==\r\n")
    for name in NAMES:
        one(s, "imap", "127.0.0.20", literal(name))
    one(s, "imap", "127.0.0.21", *[b"a NONSENSE\r\n"] * 25)
    one(s, "pop3", "127.0.0.22", *[b"NONSENSE\r\n"] * 35)
    one(s, "smtp", "127.0.0.23", *[b"NONSENSE\r\n"] * 25)
    one(s, "lmtp", "127.0.0.24", *[b"NONSENSE\r\n"] * 25)
    for service, at in (("imap", 25), ("pop3", 26), ("smtp", 27), ("lmtp", 28)):
        one(s, service, f"127.0.0.{at}", b"GET / HTTP/1.1\r\n")
    one(s, "pop3", "127.0.0.29", *[b"NOOP " + b"x" * 4000 + b"\r\n"] * 20)
    for i in range(11, 20):
        yield f"127.0.0.{i}", 3
    yield "127.0.0.20", len(NAMES)
    for i in range(21, 30):
        yield f"127.0.0.{i}", 1


def more_attacks(s):
    for service in ("imaps", "pop3s"):
        with socket.create_connection((HOST, s.port(service)), 10, ("127.0.0.41", 0)) as c:
            c.sendall(b"this is no TLS\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):  # what was not read makes the end a reset
                c.recv(100)
    for service, say in (("imap", b"a STARTTLS\r\n"), ("pop3", b"STLS\r\n"), ("smtp", b"EHLO x\r\nSTARTTLS\r\n")):
        one(s, service, "127.0.0.42", say, b"this is no TLS\r\n\r\n")
    slow = [Wire(s.port(x), False, 30, x, "127.0.0.43") for x in ("imap", "pop3")]
    for w in slow:
        wait_for(lambda w=w: w.line() is None, 30)
    crowd = []
    for _ in range(13):  # one after the other: two fronts let in
        crowd.append(Wire(s.port("imap"), False, 30, "imap", "127.0.0.44"))
        crowd[-1].line()
    for w in crowd:
        w.close()
    return {"127.0.0.41": 2, "127.0.0.42": 3, "127.0.0.43": 2, "127.0.0.44": 3}


def honest(s):
    """Whom nobody bans: a good client, and mail that is refused."""
    one(s, "imap", "127.0.0.50", b"a LOGIN u00001 " + PASSWORD.encode() + b"\r\n", b"b NONSENSE\r\n", b"c LOGOUT\r\n")
    one(s, "imap", "127.0.0.52", b"a NOOP " + b"x" * 20000 + b"\r\n")
    w = Wire(s.port("smtp"), False, 30, "smtp", "127.0.0.51")
    w.send(b"HELO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@elsewhere.example>\r\nRCPT TO:<nobody@localhost>\r\nRCPT TO:<u00002@localhost>\r\nDATA\r\n")
    while b"354" not in (w.line() or b"354"):
        pass
    w.send(b"Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n")
    while w.line() is not None:
        pass


def counted(log, mode):
    done = run(["fail2ban-regex", "-o", "ip", "--usedns", "no", log, f"{FILTER}[mode={mode}]"], 60)
    return collections.Counter(done.out.split())


def fail2ban(s, normal, aggressive):
    if not shutil.which("fail2ban-regex"):
        print("skipped: fail2ban is not installed")
        return
    lines = s.log()
    for form, start in (("stderr", ""), ("the journal", "Nov 22 15:58:23 mail.example posthouse[4711]: "), ("syslog", "2026-11-22T15:58:23.1+00:00 mail posthouse[4711]: ")):
        log = os.path.join(scratch("fail2ban"), "log")
        with open(log, "w") as f:
            f.writelines(start + line + "\n" for line in lines.splitlines())
        equal(f"fail2ban counts, as {form} writes it", dict(counted(log, "normal")), normal)
        equal(f"fail2ban, aggressive, as {form} writes it", dict(counted(log, "aggressive")), {**normal, **aggressive})


def metrics(s, quiet=False):
    """{name{labels}: value}, and that Prometheus would take it."""
    text = s.command("metrics").out
    values, types, wrong, seen = {}, {}, [], []
    for line in text.splitlines():
        kind = re.fullmatch(r"# (HELP|TYPE) (posthouse_[a-z0-9_]+) (.+)", line)
        sample = re.fullmatch(r'(posthouse_[a-z0-9_]+)((?:\{[a-z_]+="[^"\\\n]*"\})?) (\d+)', line)
        if kind and kind.group(1) == "TYPE":
            wrong += [line] if kind.group(2) in types or kind.group(3) not in ("counter", "gauge") else []
            types[kind.group(2)] = kind.group(3)
        elif sample:
            name, key = sample.group(1), sample.group(1) + sample.group(2)
            is_total = name.endswith("_total")
            wrong += [line] if key in values or is_total != (types.get(name) == "counter") else []
            wrong += [line] if name in seen[:-1] and seen[-1] != name else []
            seen.append(name)
            values[key] = int(sample.group(3))
        elif not kind:
            wrong.append(line)
    if not quiet:
        equal("metrics are as Prometheus reads them", wrong, [])
    return values


def check_metrics(s, events):
    m = {k.removeprefix("posthouse_"): v for k, v in metrics(s).items()}
    failed = sum(e.startswith("event=login_failed") and e.endswith("err=AUTH") for e in events)
    equal("metrics: logins that failed", m['logins_total{result="failed"}'], failed)
    for key, least in (('logins_total{result="ok"}', 1), ('refused_total{limit="connections_per_address"}', 3), ("password_hashes_total", 3), ('tls_handshakes_total{result="ok"}', 6),
                       ('tls_handshakes_total{result="failed"}', 5), ('cut_total{why="slow"}', 2), ('cut_total{why="mistakes"}', 4), ('cut_total{why="web"}', 4),
                       ('cut_total{why="too_much"}', 1), ("rejected_total", 2), ('deliveries_total{result="ok"}', 1), ("commits_total", 1), ("flushes_total", 1),
                       ("fibers", 1), ("segments", 1), ("store_healthy", 1), ('accepted_total{service="imap"}', 20), ('over_limit_total{limit="input"}', 1)):
        check(f"metrics: {key}", m.get(key, -1) >= least, m.get(key))


def restart(s):
    """The house goes under a session at rest and one amid a command: both are counted, and the process that came again."""
    rests, amid = s.wire("imap"), s.wire("imap")
    for w in (rests, amid):
        w.line()
        w.imap(f"LOGIN u00003 {PASSWORD}")
    amid.send(b"a APPEND INBOX {1000}\r\n")
    amid.line()
    time.sleep(0.5)
    for pid in s.role("house"):
        os.kill(pid, signal.SIGKILL)
    check("a session at rest goes on", rests.imap("NOOP")[0] == "OK")
    m = {}
    wait_for(lambda: m.update(metrics(s, quiet=True)) or m.get('posthouse_cut_total{why="restart"}'), 15, 0.5)
    for key in ("role_restarts_total", "sessions_resumed_total", 'cut_total{why="restart"}'):
        check(f"metrics: {key}", m.get("posthouse_" + key, 0) >= 1, m.get("posthouse_" + key))
    equal("who was cut is told", len(re.findall(r"event=cut service=imap remote=127\.0\.0\.1 why=restart", s.log())), 1)


def test():
    keys = os.path.join(scratch("keys"), "keys")
    with open(keys, "w") as f:
        f.write('{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}')
    s = Server(settings=("single_process=no", f"oauth_keys={keys}", "oauth_issuer=x", "oauth_audience=x", "pop3_apop=yes", "connections_per_address=10", "login_time=3", "tls_time=3")).start()
    normal = dict(attacks(s))
    aggressive = more_attacks(s)
    honest(s)
    told = lambda: re.findall(r"(event=(?:login_failed|refused|cut|tls_failed|rejected|over_limit|delivered) .*)", s.log())
    wait_for(lambda: sum("why=slow" in e for e in told()) >= 2 and any("delivered" in e for e in told()), 10)
    events = told()
    equal("each refusal has an address and a service", [e for e in events if not re.search(r" remote=127\.0\.0\.\d+", e) or " service=" not in e], [])
    equal("a line is an event", [x for x in s.log().splitlines() if not re.match(r"ts=\S+ level=\w+ event=[\w-]+( |$)", x)], [])
    equal("mail that is refused", sorted(re.findall(r"event=rejected .* reply=(\d+)", "\n".join(events))), ["550", "550"])
    fail2ban(s, normal, aggressive)
    check_metrics(s, events)
    restart(s)
    s.check_end()


main(test, 180)
