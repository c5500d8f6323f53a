#!/usr/bin/env python3
"""Power cuts of a real file system, again and again: under mixed load the image of the disk is copied at one moment; the copy
is mounted (the file system plays its journal), the server started on it, and everything compared with what had been
acknowledged before that moment.

usage: powercut.py [--fs ext4|xfs|btrfs|all] [--cuts N] [--seed S] [--seconds MOST]
"""
import argparse
import os
import random
import sys
import time

import lib_disk
from lib import Server, check, main
from lib_load import Account, dark, prepare, under_load, verify


def round_of(disk, server, accounts, rng, seed, most):
    def cut():
        dark.set()  # an answer from now on counts as none
        disk.cut()
        server.kill()

    worked, errors = under_load(server, accounts, seed, rng.uniform(0.02, most), cut)
    disk.turn_off()
    disk.forget()
    disk.turn_on()
    server.start()
    return worked, errors + verify(server, accounts, rng)


def unsynced_is_lost(disk):
    """What the whole test rests on."""
    disk.turn_on()
    with open(os.path.join(disk.at, "kept"), "w") as f:
        f.write("kept")
        f.flush()
        os.fsync(f.fileno())
    with open(os.path.join(disk.at, "lost"), "w") as f:
        f.write("lost")
    disk.cut()
    disk.turn_off()
    disk.forget()
    disk.turn_on()
    return sorted(n for n in os.listdir(disk.at) if n in ("kept", "lost")) == ["kept"]


def campaign(kind, cuts, seed, most, shelf):
    rng = random.Random(seed)
    disk = lib_disk.Disk(shelf, kind)
    check(f"{kind}: a cut loses what was not synced, and only that", unsynced_is_lost(disk))
    server, accounts = Server(), [Account(f"u0000{n}") for n in (1, 2, 3)]
    server.dir = os.path.join(disk.at, "store")
    server.start()
    prepare(server, accounts)
    problems, operations, began = [], 0, time.monotonic()
    for n in range(cuts):
        worked, wrong = round_of(disk, server, accounts, rng, seed * 1_000_000 + n * 100, most)
        operations += worked
        problems += [f"cut {n}: {p}" for p in wrong]
        if n % 10 == 9:
            print(f"       {n + 1} cuts, {operations} operations, {len(problems)} problems", flush=True)
        if len(problems) > 20:
            break
    check(f"{kind}: {cuts} power cuts, {operations} operations, seed {seed}: nothing lost, nothing twice, nothing back",
          not problems, "\n".join(problems[:20]))
    check(f"{kind}: there was work to lose", operations > cuts * 5, operations)
    print(f"       {(time.monotonic() - began) / cuts:.2f} s a cut; messages at the end: "
          f"{[sum(map(len, a.copies.values())) for a in accounts]}")
    server.check_end()
    disk.turn_off()


def test():
    kinds = ["ext4", "xfs", "btrfs"] if args.fs == "all" else [args.fs]
    reason = lib_disk.why_not("xfs", *kinds)
    if reason:
        print(f"skipped: power cuts: {reason}")
        check("skipped", True)
        return
    shelf = lib_disk.Shelf()
    for kind in kinds:
        campaign(kind, args.cuts, args.seed, args.seconds, shelf)


parser = argparse.ArgumentParser()
parser.add_argument("--fs", default="all")
parser.add_argument("--cuts", type=int, default=4)
parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
parser.add_argument("--seconds", type=float, default=0.8)
args = parser.parse_args()
sys.setswitchinterval(0.001)
main(test, max(240, args.cuts * 20))
