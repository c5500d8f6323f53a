"""What the end-to-end tests share: a server on free ports in a directory of its own, sample mail, checks, other people's
programs run with a limit of time.

Every test is a program: it defines a function and hands it to main(), which runs it within so many seconds, ends what was
started, removes what was written and closes with `N passed, N failed`.
"""
import imaplib
import os
import pwd
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from lib_wire import WireForm

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("POSTHOUSE", os.path.join(TOP, "build", "posthouse"))
SERVICES = {"imap": 0, "imaps": 1, "pop3": 2, "pop3s": 3, "lmtp": 4, "smtp": 5}
PASSWORD = "secret"
HOST = "127.0.0.1"
_passed, _failed = [], []
_started, _scratch, _wires, _endings = [], [], [], []
imaplib._MAXLINE = 10_000_000

# ---- checks ----


def check(name, ok, detail=""):
    """One line per check; returns whether it held."""
    (_passed if ok else _failed).append(name)
    print(f"{'ok' if ok else 'FAILED':6} {name}{': ' + str(detail)[:2000] if detail != '' and not ok else ''}", flush=True)
    return bool(ok)


def equal(name, got, want):
    return check(name, got == want, f"got {got!r}, want {want!r}")


def refuses(name, exceptions, call, *args):
    """The call has to fail with one of these exceptions; gives it."""
    try:
        result = call(*args)
    except exceptions as e:
        check(name, True)
        return e
    check(name, False, f"no error: {result!r}")
    return None


def wait_for(what, seconds=10, pause=0.05):
    """The first true value of what(), or its last one."""
    deadline = time.monotonic() + seconds
    while True:
        got = what()
        if got or time.monotonic() > deadline:
            return got
        time.sleep(pause)


def main(test, seconds):
    def too_slow(*_):
        raise TimeoutError(f"took longer than {seconds} s")

    def stopped(*_):
        raise SystemExit("stopped")

    signal.signal(signal.SIGALRM, too_slow)
    signal.signal(signal.SIGTERM, stopped)
    signal.alarm(seconds)
    try:
        test()
    except (Exception, SystemExit):
        check("the test runs to its end", False, traceback.format_exc())
    signal.alarm(0)
    wrong = [w.form.wrong for w in _wires if w.form.end()]
    check("no bare CR, LF or NUL was sent to us", not wrong, wrong[:3])
    _clean_up()
    print(f"{len(_passed)} passed, {len(_failed)} failed", flush=True)
    os._exit(1 if _failed or not _passed else 0)


def at_the_end(clean_up):
    """After all processes have ended, before what was written goes."""
    _endings.append(clean_up)


def _clean_up():
    for process in reversed(_started):
        end(process)
    for ending in _endings:
        ending()
    for path in _scratch:
        shutil.rmtree(path, ignore_errors=True)


# ---- other programs ----


def scratch(name, user=None):
    """A directory that goes when the test ends."""
    path = tempfile.mkdtemp(prefix=f"posthouse-e2e-{name}-")
    _scratch.append(path)
    if user:
        give(path, user)
    return path


def give(path, user):
    """The tree belongs to that user, as far as we may say so."""
    if os.getuid() != 0:
        return
    who = pwd.getpwnam(user)
    for folder, _, files in os.walk(path):
        os.chown(folder, who.pw_uid, who.pw_gid)
        for name in files:
            os.chown(os.path.join(folder, name), who.pw_uid, who.pw_gid)


def as_user(user):
    """Arguments for Popen: another user, when we are root and may choose."""
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user and os.getuid() == 0 else {}


def start(command, user=None, **options):
    """A process, the head of a group of its own, that ends with the test."""
    process = subprocess.Popen(command, start_new_session=True, **as_user(user), **options)
    _started.append(process)
    return process


def end(process, how=signal.SIGKILL):
    """The process and its children."""
    if process.poll() is None or how == signal.SIGKILL:
        try:
            os.killpg(process.pid, how)
        except (ProcessLookupError, PermissionError):
            pass
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


class Done:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __str__(self):
        return f"exit code {self.code}\n{self.out[-1500:]}\n{self.err[-1500:]}"


def run(command, seconds=60, user=None, input=None, **options):
    """Runs a program to its end, or to the limit of time (then code is None)."""
    process = start(command, user, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    if isinstance(input, str):
        input = input.encode()
    try:
        out, err = process.communicate(input, timeout=seconds)
        code = process.returncode
    except subprocess.TimeoutExpired:
        end(process)
        out, err = process.communicate()
        code = None
    return Done(code, out.decode(errors="replace"), err.decode(errors="replace"))


# ---- the server ----


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((HOST, port))
        except OSError:
            return False
        return True


def free_ports(count=10):
    """The first of a block of ports, below those the system gives to clients and above those of tests/talk.py."""
    while True:
        base = random.randrange(19000, 32000, 10)
        if all(is_free(base + i) for i in range(count)):
            return base


class Server:
    """throttle=no, as tests log in wrongly more often than people do; settings come behind it."""

    def __init__(self, accounts=10, settings=()):
        self.dir = os.path.join(scratch("server"), "store")
        self.log_path = self.dir + ".log"
        self.accounts, self.process, self.settings = accounts, None, settings  # "key=value"
        self.base = free_ports()

    def port(self, service):
        return self.base + SERVICES[service]

    def program(self):
        return [PROGRAM, *(word for s in ("throttle=no", *self.settings) for word in ("-o", s)), "demo", self.dir, "--base-port", str(self.base), "--accounts", str(self.accounts)]

    def start(self, seconds=60):
        command = self.program()
        with open(self.log_path, "ab") as log:
            self.process = start(command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL)
        watchdog = threading.Timer(seconds, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        if line.strip() != b"ready":
            raise RuntimeError(f"the server did not get ready: {line!r}\n{self.tail()}")
        return self

    def kill(self):
        """kill -9 of all its processes, at once."""
        pids = self.pids()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), 10, 0.002)
        self.process.stdout.close()

    def stop(self, seconds=20):
        """An orderly end; the exit code, None if it took too long."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def is_alive(self):
        return self.process.poll() is None

    def tail(self, lines=30):
        with open(self.log_path, errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def pids(self):
        """Its processes: the warden first, if it has one."""
        first, found = self.process.pid, [self.process.pid]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as f:
                    if int(f.read().rpartition(")")[2].split()[1]) == first:
                        found.append(int(pid))
            except (FileNotFoundError, ProcessLookupError):
                pass
        return found

    def role(self, name):
        """The pids of the processes in that role: "front", "keeper", "house", "runner"."""
        def of(pid):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    return f.read().rstrip(b"\0").rpartition(b"\0")[2].decode()
            except (FileNotFoundError, ProcessLookupError):
                return ""  # it has just gone
        return [pid for pid in self.pids()[1:] if of(pid) == name]

    def resident_kib(self):
        """Of all its processes; what they share is counted once."""
        def of(pid):
            with open(f"/proc/{pid}/smaps_rollup") as f:
                return int(re.search(r"\nPss:\s+(\d+)", f.read()).group(1))
        return sum(of(pid) for pid in self.pids())

    def cpu_seconds(self):
        """Of all its processes, so far."""
        def of(pid):
            with open(f"/proc/{pid}/stat") as f:
                return sum(int(n) for n in f.read().rpartition(")")[2].split()[11:13]) / os.sysconf("SC_CLK_TCK")
        return sum(of(pid) for pid in self.pids())

    def command(self, *args, input=None, seconds=60):
        """A verb of the command line, on this server's store."""
        return run([PROGRAM, "-o", f"store={self.dir}", *args], seconds, input=input)

    def check_end(self):
        """The usual last checks: it is still there, the store is sound, it stops cleanly."""
        check("the server is alive", self.is_alive(), self.tail())
        sound = self.command("check")
        check("posthouse check finds nothing", sound.code == 0, sound)
        code = self.stop()
        check("the server stops cleanly", code == 0, f"{code}\n{self.tail()}")

    # ---- ways in ----

    def imap(self, user="u00001", tls=False, timeout=60):
        m = (imaplib.IMAP4_SSL(HOST, self.port("imaps"), ssl_context=any_certificate(), timeout=timeout) if tls
             else imaplib.IMAP4(HOST, self.port("imap"), timeout=timeout))
        m.login(user, PASSWORD)
        return m

    def wire(self, service, tls=False, timeout=30):
        return Wire(self.port(service), tls, timeout, service)

    def deliver(self, recipients, message, sender="sender@example.org"):
        """By LMTP; the answers, one for each recipient."""
        import smtplib
        with smtplib.LMTP(HOST, self.port("lmtp")) as lmtp:
            lmtp.ehlo_or_helo_if_needed()
            lmtp.mail(sender)
            for r in recipients:
                lmtp.rcpt(r)
            lmtp.putcmd("data")
            lmtp.getreply()
            lmtp.send(stuffed(message))
            return [lmtp.getreply() for _ in recipients]


class Served(Server):
    """`posthouse serve` with a configuration file, on the ports of the demo. settings: more of them, which win."""

    def __init__(self, **settings):
        super().__init__()
        self.config = self.dir + ".conf"
        self.settings = {"store": self.dir, "plain_without_tls": "yes", "throttle": "no", "hostname": "localhost",
                         "domains": "localhost example.com", **{f"listen_{n}": f"{HOST}:{self.port(n)}" for n in SERVICES},
                         **settings}
        self.write_config()

    def write_config(self):
        with open(self.config, "w") as f:
            f.write("version = 1\n" + "".join(f"{k} = {v}\n" for k, v in self.settings.items()))

    def program(self):
        return [PROGRAM, "-c", self.config, "serve"]

    def start(self, seconds=60):
        with open(self.log_path, "ab") as log:
            self.process = start(self.program(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        began = len(self.log())
        if not wait_for(lambda: not self.is_alive() or "event=ready" in self.log()[began:], seconds) or not self.is_alive():
            raise RuntimeError(f"the server did not get ready\n{self.tail()}")
        return self

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def command(self, *args, input=None, seconds=60):
        return run([PROGRAM, "-c", self.config, *args], seconds, input=input)


def any_certificate():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Wire:
    """A connection as it is: octets and lines. source: the address to come from."""

    def __init__(self, port, tls=False, timeout=30, service="imap", source=None):
        self.sock = socket.create_connection((HOST, port), timeout, source and (source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.form = WireForm(service)
        _wires.append(self)
        if tls:
            self.start_tls()
        self.buffer, self.tags = b"", 0

    def start_tls(self):
        self.sock = any_certificate().wrap_socket(self.sock, server_hostname="localhost")

    def send(self, octets):
        self.sock.sendall(octets)

    def receive(self):
        """What comes next, behind the buffer; nothing at the end of the connection."""
        more = self.sock.recv(65536)
        self.buffer += more
        self.form.feed(more)
        return more

    def line(self, timeout=None):
        """The next line without its end; None at the end of the connection."""
        if timeout is not None:
            self.sock.settimeout(timeout)
        while b"\n" not in self.buffer:
            try:
                more = self.receive()
            except (ConnectionError, ssl.SSLEOFError):
                more = b""
            if not more:
                return None
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r")

    def octets(self, count):
        while len(self.buffer) < count:
            if not self.receive():
                raise ConnectionError("the server closed")
        got, self.buffer = self.buffer[:count], self.buffer[count:]
        return got

    def imap(self, command):
        """An IMAP command; (OK, text, the untagged lines with their literals in them)."""
        self.tags += 1
        tag = b"w%d" % self.tags
        self.send(tag + b" " + (command.encode() if isinstance(command, str) else command) + b"\r\n")
        return self.imap_answer(tag)

    def imap_answer(self, tag):
        untagged = []
        while True:
            line = self.imap_line()
            if line is None:
                raise ConnectionError(f"the server closed {untagged[-1:]}")
            if line.startswith(tag + b" "):
                _, state, text = line.split(b" ", 2)
                return state.decode(), text, untagged
            untagged.append(line)

    def imap_line(self):
        line = self.line()
        while line is not None:
            literal = re.search(rb"\{(\d+)\}$", line)
            if not literal:
                break
            rest = self.octets(int(literal.group(1)))
            more = self.line()
            line = line + b"\r\n" + rest + (more or b"")
        return line

    def close(self):
        self.sock.close()


def login(server, user="u00001", tls=False, timeout=30):
    """A bare IMAP connection, logged in."""
    w = server.wire("imaps" if tls else "imap", tls, timeout)
    w.line()
    state, text, _ = w.imap(f"LOGIN {user} {PASSWORD}")
    if state != "OK":
        raise RuntimeError(f"LOGIN: {state} {text}")
    return w


# ---- mail ----


def stuffed(message):
    """As SMTP sends it, with the end."""
    message = re.sub(rb"\r\n\.", b"\r\n..", b"\r\n" + message)[2:]
    return message + (b"" if message.endswith(b"\r\n") else b"\r\n") + b".\r\n"


def sample(n, lines=None):
    """The n-th message of an endless row: plain, 8-bit, alternative, with an attachment; always the same octets."""
    rng = random.Random(n)
    words = "the of and to letter post house window river garden Grüße naïve zażółć паровоз 手紙 stamp".split()
    text = "".join(" ".join(rng.choice(words) for _ in range(9)) + "\r\n"
                   for _ in range(lines if lines is not None else rng.randrange(3, 40)))
    head = (f"From: Sender {n} <sender{n}@example.org>\r\nTo: u00001@example.com\r\nSubject: sample number {n}\r\n"
            f"Date: Thu, 01 Jan 2026 {n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02} +0000\r\n"
            f"Message-ID: <sample-{n}@example.org>\r\nMIME-Version: 1.0\r\n")
    plain = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + text
    kind = n % 4
    if kind < 2:
        return (head + plain).encode()
    if kind == 2:
        return (head + 'Content-Type: multipart/alternative; boundary="b2"\r\n\r\n--b2\r\n' + plain + "--b2\r\n"
                + "Content-Type: text/html; charset=utf-8\r\n\r\n<p>" + text + "</p>\r\n--b2--\r\n").encode()
    import base64
    data = base64.encodebytes(bytes(rng.randrange(256) for _ in range(2000))).decode().replace("\n", "\r\n")
    return (head + 'Content-Type: multipart/mixed; boundary="b3"\r\n\r\n--b3\r\n' + plain + "--b3\r\n"
            + "Content-Type: application/octet-stream; name=data.bin\r\nContent-Transfer-Encoding: base64\r\n"
            + "Content-Disposition: attachment; filename=data.bin\r\n\r\n" + data + "--b3--\r\n").encode()


def fill(server, user, mailbox, messages, flags="", date=None):
    """APPENDs over one connection, pipelined; LITERAL+."""
    w = login(server, user)
    w.imap(f"CREATE {mailbox}")
    messages = list(messages)
    for at in range(0, len(messages), 50):
        some = messages[at:at + 50]
        w.send(b"".join(b"f%d APPEND %s %s{%d+}\r\n%s\r\n" % (i, mailbox.encode(), flags.encode() + b" " if flags else b"",
                                                          len(m), m) for i, m in enumerate(some)))
        for i in range(len(some)):
            state, text, _ = w.imap_answer(b"f%d" % i)
            if state != "OK":
                raise RuntimeError(f"APPEND: {state} {text}")
    w.imap("LOGOUT")
    w.close()
