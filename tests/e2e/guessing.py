#!/usr/bin/env python3
"""Guessing passwords, in real time: wrong ones by one connection after the other and by fifty at once, right ones meanwhile from next door
and from elsewhere; and that known and unknown users cannot be told apart, by what is said or by how long it takes.

usage: guessing.py [--whole]      --whole: all ten wrong passwords (over a minute), and more samples"""
import base64
import hashlib
import hmac
import statistics
import sys
import threading
import time

from lib import PASSWORD, Server, Wire, check, equal, main

WHOLE = "--whole" in sys.argv
GUESSES = 10 if WHOLE else 5
LEAST = {10: 60, 5: 20}[GUESSES]  # seconds for all of them: 0 2 4 8 10 10 ...


def attempt(s, user, password, source=None):
    """(state, text, seconds) of a LOGIN."""
    w = Wire(s.port("imap"), timeout=120, source=source)
    try:
        w.line()
        began = time.monotonic()
        state, text, _ = w.imap(f"LOGIN {user} {password}")
        return state, text, time.monotonic() - began
    finally:
        w.close()


def pauses(s):
    """Serial guessing, with good clients meanwhile; what each does is gathered, told at the end."""
    done = []

    def guess():
        began = time.monotonic()
        for i in range(GUESSES):
            done.append(attempt(s, "u00001", f"guess{i}", "127.0.0.2")[0])
        done.append(time.monotonic() - began)

    guesser = threading.Thread(target=guess, daemon=True)
    guesser.start()
    worst = {}
    while guesser.is_alive():
        for name, user, source in (("the same account, the same address", "u00001", "127.0.0.2"), ("another account there", "u00002", "127.0.0.2"),
                                   ("the same account elsewhere", "u00001", "127.0.0.3"), ("another account elsewhere", "u00003", "127.0.0.3")):
            state, text, seconds = attempt(s, user, PASSWORD, source)
            worst[name] = max(worst.get(name, 0), seconds if state == "OK" else 999)
        time.sleep(0.5)
    check(f"{GUESSES} wrong passwords take over {LEAST} s", done[-1] > LEAST and done[:-1] == ["NO"] * GUESSES, done)
    for name, seconds in worst.items():
        check(f"meanwhile the right password: {name}", seconds < 4, seconds)


def fifty_at_once(s):
    """How many hear of their failure in the time in which one guesser hears of three."""
    answers, lock = [], threading.Lock()

    def guess(i):
        try:
            got = attempt(s, "u00004", f"guess{i}", "127.0.0.4")
        except (OSError, ConnectionError):
            return
        with lock:
            answers.append(got)

    for i in range(50):
        threading.Thread(target=guess, args=(i,), daemon=True).start()
    time.sleep(1)
    state, _, seconds = attempt(s, "u00005", PASSWORD, "127.0.0.4")
    check("fifty guess at once: a neighbour logs in", state == "OK" and seconds < 4, seconds)
    state, _, seconds = attempt(s, "u00004", PASSWORD, "127.0.0.4")
    check("fifty guess at once: so does he whom they guess at", state == "OK" and seconds < 4, seconds)
    state, _, seconds = attempt(s, "u00004", PASSWORD, "127.0.0.5")
    check("fifty guess at once: and from elsewhere", state == "OK" and seconds < 4, seconds)
    time.sleep(5.5)
    with lock:
        told = len(answers)
    check("fifty at once hear no more than one after the other", 1 <= told <= 3, told)


# ---- known and unknown ----

def imap_login(w, user):
    return w.imap(f'LOGIN {user} "wrong"')[:2]


def imap_plain(w, user):
    text = base64.b64encode(b"\0" + user.encode() + b"\0wrong").decode()
    return w.imap(f"AUTHENTICATE PLAIN {text}")[:2]


def imap_scram(w, user):
    w.tags += 1
    tag = b"w%d" % w.tags
    first = f"n={user},r=abcdefghijkl"
    w.send(tag + b" AUTHENTICATE SCRAM-SHA-256 " + base64.b64encode(f"n,,{first}".encode()) + b"\r\n")
    server = base64.b64decode(w.line()[2:]).decode()
    parts = dict(p.split("=", 1) for p in server.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", b"wrong", base64.b64decode(parts["s"]), int(parts["i"]))
    bare = f"c=biws,r={parts['r']}"
    key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(hashlib.sha256(key).digest(), f"{first},{server},{bare}".encode(), "sha256")
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
    began = time.monotonic()
    w.send(base64.b64encode(f"{bare},p={proof}".encode()) + b"\r\n")
    return (*w.imap_answer(tag)[:2], len(server), time.monotonic() - began)


def pop3_user_pass(w, user):
    w.send(f"USER {user}\r\n".encode())
    first = w.line()
    w.send(b"PASS wrong\r\n")
    return first, w.line()


def pop3_apop(w, user):
    w.send(f"APOP {user} {'0' * 32}\r\n".encode())
    return (w.line(),)


WAYS = (("imap", imap_login, 1), ("imap", imap_plain, 1), ("pop3", pop3_user_pass, 1), ("imap", imap_scram, 10), ("pop3", pop3_apop, 10))


def times_of(s, service, way, rounds):
    """Of both, A B B A, on a connection each that is made anew; answers and seconds."""
    times, answers = {"u00001": [], "v00001": []}, {"u00001": set(), "v00001": set()}
    for i in range(rounds):
        for user in sorted(times, reverse=i % 2 == 1):
            w = s.wire(service)
            w.line()
            began = time.monotonic()
            got = way(w, user)
            seconds = time.monotonic() - began
            if isinstance(got[-1], float):
                *got, seconds = got
            answers[user].add(tuple(got))
            times[user].append(seconds)
            w.close()
    return times, answers


def longer(times, others):
    """How often one took over 2 % longer than its neighbour in time, in standard deviations of a fair coin."""
    n = sum(a > b * 1.02 for a, b in zip(times, others))
    return (n - len(times) / 2) / (len(times) ** 0.5 / 2)


def known_and_unknown(s):
    """On a busy machine medians of a few hundred differ by more than that all the time, also of one user with himself: what must not be
    is that one of the two is slower by 2 % more often than chance would have it."""
    for service, way, factor in WAYS:
        times, answers = times_of(s, service, way, (100 if WHOLE else 25) * factor)
        known, unknown = times.values()
        sigmas = max(longer(known, unknown), longer(unknown, known))
        equal(f"{way.__name__}: the same answer for a user and for nobody", answers["v00001"], answers["u00001"])
        check(f"{way.__name__}: neither is slower by 2 %", sigmas < 3.5,
              f"{sigmas:.1f} sigma, medians {statistics.median(known):.6f} {statistics.median(unknown):.6f} s")


def test():
    s = Server(settings=("throttle=yes", "single_process=no")).start()
    slow = threading.Thread(target=pauses, args=(s,))
    slow.start()
    fifty_at_once(s)
    slow.join()
    s.process.kill() if s.stop() is None else None
    s = Server(settings=("throttle=no", "pop3_apop=yes", "single_process=no")).start()
    known_and_unknown(s)
    s.check_end()


main(test, 600)
