#!/usr/bin/env python3
"""A process whose memory has an end (RLIMIT_AS): many clients send as much as they may, all at once. What they want is refused or done,
the process lives, and there is no limit any more when there is memory again.

usage: scarce.py [CLIENTS [MIB]]        MIB: what the house may have beside what it has
"""
import resource
import sys
import threading
import time

from lib import Server, check, equal, login, main

CLIENTS = int(sys.argv[1]) if len(sys.argv) > 1 else 50
MIB = int(sys.argv[2]) if len(sys.argv) > 2 else 48
LARGE = b"Subject: large\r\n\r\n" + b"A line of text, with words in it, as people write them.\r\n" * 18000  # a mebibyte: held whole
GATHERS = b'LIST "" (' + b" ".join([b"{65000+}\r\n" + b"x" * 65000] * 60) + b")"  # near command_memory
ROUNDS = 3


def size(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[0]) * resource.getpagesize()


def limit(pid, octets):
    resource.prlimit(pid, resource.RLIMIT_AS, (octets, resource.RLIM_INFINITY))


class Client(threading.Thread):
    def __init__(self, server, number, together):
        super().__init__(daemon=True)
        self.wire = login(server, f"u{number % 10 + 1:05}", timeout=120)
        self.together, self.said, self.wrong = together, [], ""

    def run(self):
        try:
            for _ in range(ROUNDS):
                for command in (b"APPEND INBOX {%d+}\r\n%s" % (len(LARGE), LARGE), GATHERS):
                    self.together.wait(120)
                    state, text, _ = self.wire.imap(command)
                    self.said.append(f"{state} {text.split(b']')[0].decode()}")
        except Exception as e:  # pylint: disable=broad-except
            self.wrong = f"{type(e).__name__}: {e}"
            self.together.abort()


def test():
    server = Server(settings=("loops=2", "memory_reserve=0")).start()
    house, = server.role("house")
    together = threading.Barrier(CLIENTS)
    clients = [Client(server, i, together) for i in range(CLIENTS)]
    waiting = login(server, "u00001")
    limit(house, size(house) + MIB * 1024 * 1024)
    for c in clients:
        c.start()
    for c in clients:
        c.join(150)
    wrong = [c.wrong for c in clients if c.wrong]
    said = [s for c in clients for s in c.said]
    refused = sum(s.startswith("NO [LIMIT") for s in said)
    print(f"{CLIENTS} clients, {MIB} MiB: {len(said)} answers, {refused} of them for want of memory", flush=True)
    equal("the house is the same process", server.role("house"), [house])
    check("every command was answered", not wrong and len(said) == CLIENTS * 2 * ROUNDS, wrong[:3] + [server.tail(8)])
    check("some were refused for want of memory", refused > 0, sorted(set(said)))
    allowed = ("OK ", "NO [LIMIT", "NO [TOOBIG", "BAD ", "NO [UNAVAILABLE")
    check("the others were done, or refused as always", all(s.startswith(allowed) for s in said), sorted(set(said)))
    equal("who was there goes on", waiting.imap("NOOP")[0], "OK")
    limit(house, resource.RLIM_INFINITY)
    time.sleep(0.1)
    equal("with memory the same is taken", waiting.imap(b"APPEND INBOX {%d+}\r\n%s" % (len(LARGE), LARGE))[0], "OK")
    equal("and somebody new comes in", login(server, "u00002").imap("SELECT INBOX")[0], "OK")
    server.check_end()


main(test, 240)
