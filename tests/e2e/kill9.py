#!/usr/bin/env python3
"""kill -9 of the server at random moments under mixed load, again and again. What was acknowledged is there exactly once with
its flags, what was expunged stays gone, a UID is never used for two messages, UIDVALIDITY stays, HIGHESTMODSEQ never goes back,
a MOVE and an APPEND of many are whole or not at all, and an offline QRESYNC client ends equal to the mailbox.

usage: kill9.py [--kills N] [--seed S]
"""
import argparse
import random
import sys
import time

from lib import Server, check, equal, main
from lib_load import Account, prepare, under_load, verify


def rounds(kills, seed):
    rng = random.Random(seed)
    server, accounts = Server(), [Account(f"u0000{n}") for n in (1, 2, 3)]
    server.start()
    prepare(server, accounts)
    slowest, operations, failed, errors = 0.0, 0, [], []
    for n in range(kills):
        worked, wrong = under_load(server, accounts, seed * 1_000_000 + n * 100, rng.uniform(0.05, 1.2), server.kill)
        errors += [f"round {n}: {e}" for e in wrong]
        operations += worked
        began = time.monotonic()
        server.start()
        slowest = max(slowest, time.monotonic() - began)
        problems = verify(server, accounts, rng)
        failed += [f"round {n}: {p}" for p in problems]
        if n % 25 == 24:
            print(f"       {n + 1} kills, {operations} operations, {len(failed)} problems", flush=True)
        if len(failed) > 20:
            break
    check(f"{kills} kills, {operations} operations, seed {seed}: nothing lost, nothing twice, nothing back", not failed,
          "\n".join(failed[:20]))
    check("no client got a wrong answer", not errors, "\n".join(errors[:20]))
    check("there was work to lose", operations > kills * 20, operations)
    check("a restart takes less than 5 s", slowest < 5, f"{slowest:.1f} s")
    print(f"       slowest restart {slowest:.2f} s; messages at the end: "
          f"{[sum(map(len, a.copies.values())) for a in accounts]}")
    equal("no account is empty", all(any(a.copies.values()) for a in accounts), True)
    server.check_end()


parser = argparse.ArgumentParser()
parser.add_argument("--kills", type=int, default=50)
parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
args = parser.parse_args()
sys.setswitchinterval(0.001)
main(lambda: rounds(args.kills, args.seed), max(175, args.kills * 4))
