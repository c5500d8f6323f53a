#!/usr/bin/env python3
"""Talks: conversations with the server, written as an RFC prints them, line by line.

usage: tests/talk.py [--program build/posthouse] [-o KEY=VALUE] [--verbose] [--again] [NAME...]
NAME: only talks whose path contains one
-o: a setting of every server, like resume_always=yes
--again: who fails is tried twice more. With resume_always a mailbox may get another name just when nobody watches, and then NOTIFY
ends with an overflow (RFC 5465 5.8), as it has to: on a busy machine that happens in talks that do not expect it

Each talks/PROTOCOL/NAME.talk runs against one `posthouse demo` on accounts of its own. The last line is
`N passed, N failed`.

Directives, at the top of a file:
  port: imap|imaps|pop3|pop3s|lmtp|smtp|pop2   default: the folder's name; pop2 is there with options: listen_pop2=$pop2
  login: 1 2                              these clients are logged in (as $user) before the first line
  login: 2=other                          the same, as $other, the talk's second account
  inbox: N                                N messages "message 1" ... are in $user's INBOX before (message() below)
  options: KEY=VALUE KEY=VALUE            settings of the server; each set of them is served by a server of its own. $dir is
                                          its directory, $top that of the sources; "_" stands for a space in a value, "__" for "_"
  shows: NAME NAME                        capabilities that are exercised here, for tools/features; a comment that names them does too
Lines (a client without a number is client 1; it connects when it is first named):
  C: text       sent with CRLF            C-: text    sent without
  C| text       a line of a literal: {size} in the C line before it is the size of all C| lines that follow
  S: text       the next line from the server is this
  S*: text      this and the S*: lines beside it come in any order
  S?: text      may come      S~: text   everything up to and with this line is passed over
  # a comment
In any text: \\xHH an octet; $name a value ($user, $other, $password, $port, or captured before);
  {repeat:N:text}, {base64:text}. In S: text: {re:REGEX} (no "}" in it), $name that is not known yet captures up to SP ) ] or the end,
  {$name:REGEX} captures, "..." at the end is anything. Names are lower case: $Forwarded is a keyword.
Alone on a line: C: {close} closes, C: {starttls} shakes hands, C: {sleep:SECONDS}, C: {deflate} raw DEFLATE in both directions
  from here on (RFC 4978), C: {plain} no longer in ours, C: {plain:end} the same behind a last block; S: {eof} the server has closed,
  S: {quiet} nothing comes for a while.
"""
import base64
import itertools
import os
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
import zlib

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests/e2e"))
from lib_wire import WireForm  # noqa: E402

PORTS = {"imap": 0, "imaps": 1, "pop3": 2, "pop3s": 3, "lmtp": 4, "smtp": 5, "pop2": 6}
LINE = re.compile(r"([CS])(\d*)(:|-:|\||\*:|\?:|~:) ?(.*)$")
TIMEOUT = 20


class Mismatch(Exception):
    """A talk that did not go as written."""


def message(n):
    return (f"From: sender{n}@example.org\r\nTo: you@example.com\r\nSubject: message {n}\r\n"
            f"Message-ID: <{n}@example.org>\r\nDate: Thu, 01 Jan 2026 00:00:{n % 60:02} +0000\r\n\r\nbody {n}\r\n").encode()


def short(text):
    text = text if isinstance(text, str) else repr(text)
    return text if len(text) < 1000 else f"{text[:500]} ... {text[-200:]}"


class Server:
    def __init__(self, program, options="", everywhere=()):
        self.program, self.process, self.next_account = program, None, 1
        self.dir = tempfile.mkdtemp(prefix="posthouse-talk-")
        self.options = [word for option in ("throttle=no", *everywhere, *map(self.value, options.split())) for word in ("-o", option)]

    def value(self, option):
        """The text of KEY=VALUE."""
        key, _, value = option.partition("=")
        value = value.replace("__", "\0").replace("_", " ").replace("\0", "_").replace("$dir", self.dir).replace("$top", TOP)
        return f"{key}={value}"

    def start(self):
        for _ in range(20):
            self.base = random.randrange(11000, 19000, 10)  # end-to-end tests: above
            if not any(self.is_taken(self.base + i) for i in range(7)):
                break
        self.log = open(os.path.join(self.dir, "log"), "ab")
        options = [o.replace("$pop2", f"127.0.0.1:{self.base + 6}") for o in self.options]
        self.process = subprocess.Popen([self.program, *options, "demo", os.path.join(self.dir, "store"), "--base-port", str(self.base),
                                         "--accounts", "100000"], stdout=subprocess.PIPE, stderr=self.log)
        watchdog = threading.Timer(60, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        if line.strip() != b"ready":
            raise SystemExit(f"the server did not get ready: {line!r}\n{self.tail()}")

    @staticmethod
    def is_taken(port):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                return True
            return False

    def is_alive(self):
        return self.process.poll() is None

    def tail(self):
        with open(os.path.join(self.dir, "log"), errors="replace") as f:
            return "".join(f.readlines()[-40:])

    def accounts(self, count):
        first = self.next_account
        self.next_account += count
        return [f"u{first + i:05}" for i in range(count)]

    def stop(self):
        """True if it ended well."""
        if self.is_alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30) == 0
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False


class Client:
    def __init__(self, port, tls, protocol="imap"):
        self.form = WireForm(protocol)
        self.sock = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.deflater = self.inflater = None
        if tls:
            self.start_tls()

    def start_tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.sock = context.wrap_socket(self.sock)

    def start_deflate(self):
        self.deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        self.inflater = zlib.decompressobj(-15)
        self.buffer = self.inflate(self.buffer)
        self.form = WireForm("imap")  # what came compressed was no text
        self.form.feed(self.buffer)

    def inflate(self, octets):
        if not self.inflater:
            return octets
        octets = self.inflater.decompress(octets)
        if self.inflater.eof:
            octets += self.inflater.unused_data
            self.inflater = None
        return octets

    def send(self, octets):
        if self.deflater:
            octets = self.deflater.compress(octets) + self.deflater.flush(zlib.Z_SYNC_FLUSH)
        try:
            self.sock.sendall(octets)
        except OSError:
            pass  # the server closed; what it said before is still to be read

    def line(self, timeout=TIMEOUT):
        """The next line with its end; None at the end of the connection."""
        self.sock.settimeout(timeout)
        while b"\n" not in self.buffer:
            try:
                more = self.sock.recv(65536)
            except (ConnectionResetError, ssl.SSLEOFError, BrokenPipeError):
                more = b""
            if not more:
                rest, self.buffer = self.buffer, b""
                return rest or None
            more = self.inflate(more)
            self.buffer += more
            self.form.feed(more)
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line + b"\n"

    def close(self):
        self.sock.close()


class Talk:
    def __init__(self, server, path, verbose):
        self.server, self.path, self.verbose = server, path, verbose
        self.clients, self.logins, self.inbox, self.number = {}, {}, 0, 0
        self.all = []  # clients, those that have closed, too
        self.protocol = os.path.basename(os.path.dirname(path))
        user, other = server.accounts(2)
        self.values = {"user": user, "other": other, "password": "secret", "port": str(server.base)}
        self.lines = []
        with open(path, encoding="utf-8", newline="\n") as f:
            for number, text in enumerate(f, 1):
                self.read(number, text.rstrip("\n"))

    def read(self, number, text):
        directive = re.match(r"(port|login|inbox|options|shows): *(.*)$", text)
        line = LINE.match(text)
        if not text or text.startswith("#"):
            return
        if line:
            side, client, kind, rest = line.groups()
            self.lines.append((number, side + kind.rstrip(":"), client or "1", rest))
        elif not directive:
            raise Mismatch(f"line {number}: not understood: {text}")
        elif directive[1] == "port":
            self.protocol = directive[2]
        elif directive[1] == "inbox":
            self.inbox = int(directive[2])
        elif directive[1] in ("options", "shows"):
            pass  # whoever chose our server, or tools/features, has read it
        else:
            for who in directive[2].split():
                client, _, name = who.partition("=")
                self.logins[client] = name or "user"

    # ---- texts ----

    def encode(self, text):
        text = re.sub(r"\{repeat:(\d+):([^}]*)\}", lambda m: m[2] * int(m[1]), text)
        text = re.sub(r"\$([a-z_][a-z0-9_]*)", lambda m: self.values.get(m[1], m[0]), text)
        out = text.encode("utf-8")
        out = re.sub(rb"\\x([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), out)
        return re.sub(rb"\{base64:([^}]*)\}", lambda m: base64.b64encode(m[1]), out)

    def pattern(self, text):
        """A regular expression over octets, and the names it captures."""
        out, names = b"", []
        anything = text.endswith("...")
        text = text[:-3] if anything else text
        for part in re.split(r"(\{re:[^}]*\}|\{\$[a-z_0-9]+:[^}]*\}|\$[a-z_][a-z0-9_]*)", text):
            if part.startswith("{re:"):
                out += b"(?:" + part[4:-1].encode() + b")"
            elif part.startswith("{$"):
                name, _, regex = part[2:-1].partition(":")
                names.append(name)
                out += b"(" + regex.encode() + b")"
            elif re.fullmatch(r"\$[a-z_][a-z0-9_]*", part) and part[1:] not in self.values:
                names.append(part[1:])
                out += rb"([^ \r\n)\]]+)"
            else:
                out += re.escape(self.encode(part))
        return re.compile(out + (b".*" if anything else b""), re.S), names

    def matches(self, text, line):
        regex, names = self.pattern(text)
        found = regex.fullmatch(line[:-2] if line.endswith(b"\r\n") else line)
        if found:
            self.values.update((n, v.decode("utf-8", "replace")) for n, v in zip(names, found.groups()))
        return bool(found)

    # ---- talking ----

    def client(self, number):
        if number not in self.clients:
            port = PORTS[self.protocol]
            self.clients[number] = Client(self.server.base + port, self.protocol in ("imaps", "pop3s"), self.protocol)
            self.all.append(self.clients[number])
        return self.clients[number]

    def say(self, client, octets):
        if self.verbose:
            print("   C:", octets)
        client.send(octets)

    def hear(self, client, timeout=TIMEOUT):
        try:
            line = client.line(timeout)
        except (TimeoutError, socket.timeout):
            raise Mismatch("the server says nothing") from None
        if self.verbose:
            print("   S:", line)
        return line

    def expect(self, client, text):
        line = self.hear(client)
        if line is None or not self.matches(text, line):
            raise Mismatch(f"wanted  {short(text)}\n    but got {short(line)}")
        return line

    def until_tagged(self, client, tag):
        while True:
            line = self.hear(client)
            if line is None:
                raise Mismatch("the server closed while logging in")
            if line.startswith(tag):
                if b" OK" not in line:
                    raise Mismatch(f"cannot prepare: {line!r}")
                return

    def prepare(self):
        if self.inbox:
            c = Client(self.server.base, False)
            self.hear(c)
            self.say(c, f"x1 LOGIN {self.values['user']} secret\r\n".encode())
            self.until_tagged(c, b"x1")
            for n in range(1, self.inbox + 1):
                octets = message(n)
                self.say(c, b"x2 APPEND INBOX {%d+}\r\n%s\r\n" % (len(octets), octets))
                self.until_tagged(c, b"x2")
            c.close()
        for number, who in self.logins.items():
            c = self.client(number)
            self.hear(c)
            if self.protocol.startswith("imap"):
                self.say(c, f"x LOGIN {self.values[who]} secret\r\n".encode())
                self.until_tagged(c, b"x")
            else:
                self.say(c, f"USER {self.values[who]}\r\nPASS secret\r\n".encode())
                self.expect(c, "+OK...")
                self.expect(c, "+OK...")

    def literal_size(self, at, who):
        total = 0
        for _, kind, client, text in self.lines[at + 1:]:
            if client == who and kind == "C|":
                total += len(self.encode(text)) + 2
            elif total and client == who and kind.startswith("C"):
                break
        return str(total)

    def speak(self, at, kind, who, text):
        c = self.client(who)
        if text == "{close}":
            c.close()
            del self.clients[who]
        elif text == "{starttls}":
            c.start_tls()
        elif text == "{deflate}":
            c.start_deflate()
        elif text in ("{plain}", "{plain:end}"):
            if text == "{plain:end}":
                c.sock.sendall(c.deflater.flush(zlib.Z_FINISH))
            c.deflater = None
        elif text.startswith("{sleep:"):
            time.sleep(float(text[7:-1]))
        else:
            text = text.replace("{size", "{" + self.literal_size(at, who)) if "{size" in text else text
            self.say(c, self.encode(text) + (b"" if kind == "C-" else b"\r\n"))

    def listen(self, who, text):
        c = self.client(who)
        if text == "{eof}":
            line = self.hear(c)
            if line is not None:
                raise Mismatch(f"wanted the end, but got {short(line)}")
        elif text == "{quiet}":
            try:
                line = c.line(0.3)
            except (TimeoutError, socket.timeout):
                return
            raise Mismatch(f"wanted nothing, but got {short(line)}")
        else:
            self.expect(c, text)

    def listen_in_any_order(self, who, wanted):
        c = self.client(who)
        wanted = list(wanted)
        while wanted:
            line = self.hear(c)
            fitting = [t for t in wanted if line is not None and self.matches(t, line)]
            if not fitting:
                raise Mismatch("wanted one of\n      " + "\n      ".join(map(short, wanted)) + f"\n    but got {short(line)}")
            wanted.remove(fitting[0])

    def listen_perhaps(self, who, text):
        """Needs the line after it to know that it did not come."""
        c = self.client(who)
        line = self.hear(c)
        if line is not None and not self.matches(text, line):
            c.buffer = line + c.buffer

    def pass_over(self, who, text):
        c = self.client(who)
        while True:
            line = self.hear(c)
            if line is None:
                raise Mismatch(f"wanted  {text}\n    but the server closed")
            if self.matches(text, line):
                return

    def run(self):
        self.prepare()
        at = 0
        while at < len(self.lines):
            self.number, kind, who, text = self.lines[at]
            if kind[0] == "C":
                self.speak(at, kind, who, text)
            elif kind == "S*":
                end = at
                while end < len(self.lines) and self.lines[end][1:3] == ("S*", who):
                    end += 1
                self.listen_in_any_order(who, [line[3] for line in self.lines[at:end]])
                at = end - 1
            elif kind == "S?":
                self.listen_perhaps(who, text)
            elif kind == "S~":
                self.pass_over(who, text)
            else:
                self.listen(who, text)
            at += 1

    def end(self):
        """Gives what no server may send and ours did, None at best."""
        for c in self.all:
            c.close()
        return next((c.form.wrong for c in self.all if c.form.end()), None)


def run_talk(server, path, verbose):
    name = os.path.relpath(path, os.path.join(TOP, "talks"))[:-5]
    talk, why = None, None
    try:
        talk = Talk(server, path, verbose)
        talk.run()
    except (Mismatch, OSError) as e:
        why = f"line {talk.number if talk else 0}: {e}"
    wrong = talk.end() if talk else None
    if wrong:
        why = (why or "") + f"\n  a bare CR, LF or NUL was sent: {short(wrong)}"
    if not server.is_alive():
        why = (why or "") + f"\n  the server ended with {server.process.returncode}\n{server.tail()}"
        server.start()
    print(f"ok {name}" if not why else f"FAILED {name}\n  {why}", flush=True)
    return why is None


def options_of(path):
    with open(path, encoding="utf-8") as f:
        return next((line.split(":", 1)[1].strip() for line in f if line.startswith("options:")), "")


def run_again(program, options, everywhere, talk, verbose):
    print(f"{talk}: once more")
    return all(run_group(Server(program, options, everywhere), [talk], verbose))


def run_group(server, talks, verbose):
    """These talks on one server: a result each, and one more if the server does not end well."""
    server.start()
    results = [run_talk(server, t, verbose) for t in talks]
    if not server.stop():
        print(f"FAILED the server did not end well\n{server.tail()}")
        results.append(False)
    shutil.rmtree(server.dir, ignore_errors=True)
    return results


def main():
    program, verbose, again, wanted, everywhere = os.path.join(TOP, "build/posthouse"), False, 0, [], []
    arguments = iter(sys.argv[1:])
    for a in arguments:
        if a == "--program":
            program = os.path.abspath(next(arguments))
        elif a == "-o":
            everywhere.append(next(arguments))
        elif a == "--verbose":
            verbose = True
        elif a == "--again":
            again = 2
        else:
            wanted.append(a)
    talks = sorted(os.path.join(d, f) for d, _, files in os.walk(os.path.join(TOP, "talks")) for f in files
                   if f.endswith(".talk"))
    talks = [t for t in talks if not wanted or any(w in t for w in wanted)]
    results = []
    for options, group in itertools.groupby(sorted(talks, key=options_of), options_of):
        group = list(group)
        told = run_group(Server(program, options, everywhere), group, verbose)
        for i, talk in enumerate(group):
            told[i] = told[i] or any(run_again(program, options, everywhere, talk, verbose) for _ in range(again))
        results += told
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    sys.exit(0 if all(results) and results else 1)


if __name__ == "__main__":
    main()
