"""Rows of our own beside those of the harness; each is measured of both servers like them. add(harness) registers them."""
import contextlib
import os
import shutil
import subprocess
import time

DURABLE = 9101  # the first of 16 users, each with a mailbox of CHANGES messages
CHANGES = 1000
SEEDS = {"durable": "durable", "unindexed": "big", "idle_tls": "few"}


class OverTls:
    """A server whose idle connections are TLS."""

    def __init__(self, server):
        self.server = server

    def __getattr__(self, name):
        return getattr(self.server, name)

    def command(self, workload, *args, port="IMAPS"):
        return self.server.command(workload, *args, port=port)


def flushes(server):
    """Flushes of the log so far; None of a server that does not tell."""
    if "METRICS" not in server.info:
        return None
    text = subprocess.run(server.info["METRICS"].split(), check=True, text=True, stdout=subprocess.PIPE).stdout
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith("posthouse_flushes_total"))


def settle(server, seconds=60):
    """Until no process comes or goes for a while: those of the row before are no part of this one."""
    before, since, end = None, time.time(), time.time() + seconds
    while time.time() < end and time.time() - since < 7:
        now = sorted(server.processes())
        if now != before:
            before, since = now, time.time()
        time.sleep(0.5)


def add(h):
    @h.workload
    def durable(s):
        """flag changes, one command each: 1 and 16 connections, each its own mailbox of 1000"""
        out = {}
        change = ("+" if s.round % 2 else "-") + "FLAGS (\\Flagged)"
        for conns in (1, 16):
            before = flushes(s)
            r = s.load("script", "-u", DURABLE + 16 * (conns == 1), "-c", conns, "-k", conns, h.step("", "SELECT INBOX"),
                       h.step("one", f"STORE %i {change}", CHANGES))
            after = flushes(s)
            out |= {f"c{conns}_cmd_s": r["one_cmd_s"], f"c{conns}_p50_us": r["cmd_p50_us"], f"c{conns}_p99_us": r["cmd_p99_us"],
                    f"c{conns}_cpu_ms_op": r["cpu_s"] * 1000 / CHANGES / conns}
            if before is not None:
                out[f"c{conns}_flushes_op"] = (after - before) / CHANGES / conns
        return out

    @h.workload
    def unindexed(s):
        """SEARCH BODY of a rare word in the 10k mailbox right after the signatures are lost: every message is read"""
        if "SIGNATURES" in s.info:
            s.stop()
            shutil.rmtree(s.info["SIGNATURES"], ignore_errors=True)
            s.start()
        r = s.load("script", "-u", h.BOX10K, h.step("", "EXAMINE INBOX"), h.step("body", f"SEARCH BODY {h.RARE_WORD}"))
        return {"body_ms": r["body_s"] * 1000, "cpu_s": r["cpu_s"]}

    @h.workload
    def idle_tls(s):
        """1000 IDLE connections over TLS: memory of each"""
        r = h.idle_run(OverTls(s), 1000, 20)
        return {k: r[k] for k in ("pss_kb_conn", "kernel_kb_conn", "notify_p50_us")}


def seed(h, s, rows, rounds):
    """Like the harness', but only what these rows need."""
    def fill(user, mailbox, n, pack, *more):
        s.load("seed", "-u", user, "-m", mailbox, "-n", n, "-b", 100, "-f", s.pack(pack), *more)

    def wants(*names):
        return not set(names).isdisjoint(rows)

    s.start(seeding=True)
    for first, users in ((h.FIRST, 1000), (h.ONE, 1)):
        s.load("deliver", "-u", first, "-k", users, "-n", users, "-f", s.pack("4k"))
    if wants("idle10k"):
        for first, last in ((1001, 8900), (9201, 10000)):  # between them are those whose mailboxes are filled below
            users = last - first + 1
            s.load("deliver", "-c", 16, "-u", first, "-k", users, "-n", users, "-f", s.pack("4k"))
    if wants("fetch", "select", "search", "pop3", "unindexed"):
        fill(h.BOX10K, "INBOX", 10000, "mixed")
    if wants("headers", "select", "pop3"):
        fill(h.BOX100K, "INBOX", 100000, "small")
    if wants("fetch"):
        fill(h.BIG, "INBOX", 1, "big")
    if wants("durable"):
        fill(DURABLE, "INBOX", CHANGES, "small", "-c", 16)
        fill(DURABLE + 16, "INBOX", CHANGES, "small")
    for i in range(1, rounds + 1):
        if wants("headers"):
            fill(h.BOX10K, f"cold{i}", 10000, "mixed")
        if wants("store"):
            fill(h.SCRATCH, f"work{i}", 10000, "small")
    s.stop()


def derive(samples, name):
    """What follows from two rows: how much later an idle client hears of a delivery than its sender, in the middle."""
    for row in ("idle", "idle10k"):
        notify, commit = samples[name].get((row, "notify_p50_us")), samples[name].get(("deliver", "4k_c1_many_op_p50_us"))
        if notify and commit:
            samples[name][row, "notify_beyond_delivery_us"] = [n - c for n, c in zip(notify, commit)]


@contextlib.contextmanager
def cpu_of(server, result):
    """Adds the row's whole CPU time to the result where both servers did the same work, and the server was the same to its end."""
    pid, before = server.info.get("PID"), server.cpu_seconds()
    yield
    told = any("cpu" in metric for metric in result) or "pss_kb_conn" in result
    if not told and server.info.get("PID") == pid and os.path.exists(f"/proc/{pid}"):
        result["row_cpu_s"] = server.cpu_seconds() - before
