#!/usr/bin/env python3
"""COMPRESS=DEFLATE (RFC 4978): what it saves and what it costs, beside the same without it; bombs; noise; sessions at rest; neomutt
with imap_deflate. The numbers are printed: `tests/e2e/compress.py | grep ratio`."""
import os
import random
import re
import socket
import threading
import time
import zlib

from lib import HOST, PASSWORD, Server, Wire, check, equal, fill, login, main, run, sample, scratch, wait_for

MESSAGES = 300


class Packed(Wire):
    """A connection that can deflate."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.packer = self.unpacker = None
        self.octets_in = self.octets_out = 0

    def deflate(self):
        state, text, _ = self.imap("COMPRESS DEFLATE")
        if state != "OK":
            raise RuntimeError(text)
        self.packer, self.unpacker = zlib.compressobj(6, zlib.DEFLATED, -15), zlib.decompressobj(-15)

    def send(self, octets):
        if self.packer:
            octets = self.packer.compress(octets) + self.packer.flush(zlib.Z_SYNC_FLUSH)
        self.octets_out += len(octets)
        super().send(octets)

    def line(self, timeout=None):
        while b"\n" not in self.buffer:
            more = self.sock.recv(65536)
            if not more:
                return None
            self.octets_in += len(more)
            self.buffer += self.unpacker.decompress(more) if self.unpacker else more
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r")


def enter(s, user="u00001", packed=True):
    w = Packed(s.port("imap"))
    w.line()
    state, text, _ = w.imap(f"LOGIN {user} {PASSWORD}")
    if state != "OK":
        raise RuntimeError(text)
    if packed:
        w.deflate()
    w.imap("SELECT INBOX")
    return w


def cpu_ms(s):
    with open(f"/proc/{s.process.pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def fetch_all(w, items):
    """Octets of the answers, and a checksum of them."""
    w.send(b"f FETCH 1:* " + items + b"\r\n")
    count, total = 0, 0
    while True:
        line = w.line()
        if line.startswith(b"f OK"):
            return count, total
        count, total = zlib.crc32(line, count), total + len(line) + 2


def what_it_saves(s):
    for name, items in (("headers", b"(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"), ("bodies", b"(BODY.PEEK[])")):
        enter(s).close()  # \Recent is told once
        rows = []
        for packed in (False, True):
            w = enter(s, packed=packed)
            before, began = w.octets_in, cpu_ms(s)
            for _ in range(5):
                answer = fetch_all(w, items)
            rows.append((answer, w.octets_in - before, cpu_ms(s) - began))
            w.close()
        (plain, octets, cost), (same, fewer, more) = rows
        equal(f"{name}: the same answers", same, plain)
        print(f"{name}: {octets} octets, {cost:.0f} ms of CPU; deflated {fewer} octets, {more:.0f} ms: ratio {fewer / octets:.2f}, "
              f"{(more - cost) * 1000 / max(octets / 1e6, 0.001) / 1000:.1f} ms a MB", flush=True)
        check(f"{name}: less than {0.5 if name == 'headers' else 0.85}", fewer / octets < (0.5 if name == "headers" else 0.85), fewer / octets)


def noise(s):
    """What cannot be deflated costs little, and comes through."""
    w = enter(s, "u00003")
    octets = random.Random(1).randbytes(3_000_000).replace(b"\0", b"\1").replace(b"\r", b"r").replace(b"\n", b"n")
    w.send(b"a APPEND INBOX {%d+}\r\nSubject: noise\r\n\r\n%s\r\n" % (len(octets) + 18, octets))
    check("APPEND of noise", wait_for(lambda: (w.line() or b"").startswith(b"a OK"), 20, 0))
    before = w.octets_in
    w.send(b"b FETCH 1 BODY.PEEK[TEXT]\r\n")
    w.line()
    while not w.line().startswith(b"b OK"):
        pass
    grown = (w.octets_in - before) / len(octets)
    check("noise grows by less than a hundredth", grown < 1.01, grown)


def bomb(s, results, how):
    """Zeros that inflate a thousand times, as one line, as commands; or nothing for ever."""
    w = enter(s, "u00004")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    text = {"line": b"a NOOP " + b"0" * (600 << 20), "commands": b"a NOOP\r\n" * (100 << 10),
            "nothing": b""}[how]
    def drain():
        try:
            while w.sock.recv(1 << 20):
                pass
        except OSError:
            pass

    try:
        w.sock.settimeout(60)
        reader = threading.Thread(target=drain)
        reader.start()
        if how == "nothing":
            for _ in range(1000):
                w.sock.sendall(b"\0\0\0\xff\xff" * 1000)
        for at in range(0, len(text), 1 << 20):
            w.sock.sendall(packer.compress(text[at:at + (1 << 20)]))
        w.sock.sendall(packer.flush())
        w.sock.shutdown(socket.SHUT_WR)
        reader.join(60)
        results.append("timeout" if reader.is_alive() else "ended")
    except (ConnectionError, socket.timeout) as e:
        results.append("timeout" if isinstance(e, socket.timeout) else "closed")
    w.close()


def bombs(s):
    before = s.resident_kib()
    for how in ("line", "nothing", "commands"):
        results = []
        threads = [threading.Thread(target=bomb, args=(s, results, how)) for _ in range(4)]
        for t in threads:
            t.start()
        w = login(s)
        began = time.monotonic()
        equal(f"{how}: beside bombs", w.imap("NOOP")[0], "OK")
        check(f"{how}: others are served", time.monotonic() - began < 15, time.monotonic() - began)
        for t in threads:
            t.join()
        check(f"{how}: each bomb ends", len(results) == 4 and "timeout" not in results, results)
        grown = s.resident_kib() - before
        check(f"{how}: no memory for bombs", grown < 30 * 1024, f"{grown} KiB")
    check("the server is alive", s.is_alive(), s.tail())


def at_rest(s, count=400):
    """KiB of a session, plain and deflated, six seconds after its last word."""
    sizes = []
    for packed in (False, True):
        before = s.resident_kib()
        wires = [enter(s, f"u{i % 10 + 1:05}", packed) for i in range(count)]
        for w in wires:
            fetch_all(w, b"(FLAGS)")
        busy = (s.resident_kib() - before) / count
        time.sleep(9)
        sizes.append((s.resident_kib() - before) / count)
        print(f"{'deflated' if packed else 'plain'}: {busy:.1f} KiB a session, {sizes[-1]:.1f} KiB at rest", flush=True)
        for w in wires[:20]:
            equal("it wakes up", w.imap("NOOP")[0], "OK")
        for w in wires:
            w.close()
        time.sleep(1)
    check("a deflated session at rest takes 6 KiB more at most", sizes[1] - sizes[0] < 6, sizes)


def mutt(s):
    folder = scratch("mutt")
    tmux = ["tmux", "-S", os.path.join(folder, "socket"), "-f", "/dev/null"]
    with open(os.path.join(folder, "rc"), "w", encoding="ascii") as f:
        f.write(f'set folder="imap://u00001@{HOST}:{s.port("imap")}/"\nset spoolfile="+INBOX"\nset imap_user=u00001\nset imap_pass={PASSWORD}\n'
                "set ssl_starttls=no\nset ssl_force_tls=no\nset imap_deflate=yes\nset header_cache=''\nset sort=mailbox-order\nset quit=yes\n")
    run([*tmux, "new-session", "-d", "-x", "120", "-y", "45", f"env HOME={folder} TERM=screen LC_ALL=C.UTF-8 mutt -n -F {folder}/rc"], 20)
    text = wait_for(lambda: (lambda t: t if re.search(r"^ *1 ", t, re.M) or "Msgs:" in t else None)(run([*tmux, "capture-pane", "-p"], 10).out), 20)
    check("mutt with imap_deflate reads INBOX", text and f"Msgs:{MESSAGES}" in text.replace(" ", ""), text)
    run([*tmux, "send-keys", "q"], 10)
    time.sleep(1)
    run([*tmux, "kill-server"], 10)


def test():
    s = Server().start()
    fill(s, "u00001", "INBOX", (sample(i) for i in range(MESSAGES)))
    what_it_saves(s)
    noise(s)
    mutt(s)
    bombs(s)
    at_rest(s)
    s.check_end()


main(test, 200)
