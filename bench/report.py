"""Tables for docs/performance.md: medians, how many times better, aims met or not; and where they go, between two markers."""
import os
import re
import statistics

MORE_IS_BETTER = re.compile(r"(_rate|^rate|cmd_s|msg_s|mb_s)$")


def number(v):
    if v is None:
        return ""
    if v == 0:
        return "0"
    return f"{v:.0f}" if abs(v) >= 100 else f"{v:.3g}"


def better(metric, theirs, ours):
    """How many times better ours is; None where that cannot be said."""
    if theirs is None or ours is None or theirs <= 0 or ours <= 0:
        return None
    return ours / theirs if MORE_IS_BETTER.search(metric) else theirs / ours


# ---- aims ----


def read_aims(path):
    """{(comparison, row, metric): (aim, note)}. A line: COMPARISON ROW METRIC AIM [| note]. AIM is one or several of, separated by
    commas, all of which have to hold: `8x` (times better), `<=0.14`, `>=500`; `A/B` holds when one of both does. A number may be a
    part of what the machine can do: `>=0.7*loopback_mb_s`."""
    aims = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            line, _, note = line.partition("|")
            words = line.split("#", 1)[0].split()
            if words:
                aims[tuple(words[:3])] = (words[3] if len(words) > 3 else "", note.strip())
    return aims


def limit(text, limits):
    factor, star, name = text.partition("*")
    return float(factor) * (limits.get(name) or 0 if star else 1)


def holds(aim, factor, value, limits):
    def one(a):
        if a.endswith("x"):
            return factor is not None and factor >= float(a[:-1])
        if value is None:
            return False
        return value <= limit(a[2:], limits) if a.startswith("<=") else value >= limit(a[2:], limits)
    return all(any(one(a) for a in part.split("/")) for part in aim.split(","))


# ---- tables ----


def medians(samples):
    return {tuple(key.split(" ", 1)): statistics.median(values) for key, values in samples.items()}


def comparison(name, c, aims, limits, count):
    them, us = c["servers"]
    theirs, ours = medians(c["samples"][them]), medians(c["samples"][us])
    rounds = max((len(v) for v in c["samples"][us].values()), default=0)
    lines = [f"### {them} and {us}, {rounds} round{'s' if rounds != 1 else ''}", "",
             f"| row | metric | {them} | {us} | times better | aim | |", "|---|---|--:|--:|--:|---|---|"]
    notes = []
    for row, metric in dict.fromkeys([*ours, *theirs]):
        a, b = theirs.get((row, metric)), ours.get((row, metric))
        aim, note = aims.get((name, row, metric), ("", ""))
        factor = better(metric, a, b)
        slower = factor is not None and factor < 1
        verdict = ""
        if aim:
            verdict = "met" if holds(aim, factor, b, limits) else "**not met**"
            count[verdict == "met"] += 1
        shown = number(factor)
        if slower:
            shown = f"**{shown} slower**"
            count["slower"] += 1
        if note and (slower or verdict.startswith("*")):
            notes.append(f"- {row} {metric}: {note}")
        lines.append(f"| {row} | {metric} | {number(a)} | {number(b)} | {shown} | {aim.replace('*', ' of ').replace(',', ', ').replace('/', ' or ')} | {verdict} |")
    return lines + [""] + notes + ([""] if notes else [])


def table(result, aims):
    f, limits, count = result["facts"], result["limits"], {True: 0, False: 0, "slower": 0}
    body = [line for name, c in result["comparisons"].items() for line in comparison(name, c, aims, limits, count)]
    machine = ", ".join(f"`{k}` {number(v)}" for k, v in limits.items())
    busy = f" Other work was on the machine when it began (load {f['load']:.1f})." if f["load"] > 0.7 else ""
    head = [f"`{f['command']}`, {f['date']}; {f['versions']}; {f['machine']}.{busy}", "",
            f"What the machine can do at all (`limits.c` of the harness): {machine}.", "",
            f"Aims met: {count[True]} of {count[True] + count[False]}. Metrics in which we are slower: {count['slower']}. Medians; `rate`, `cmd_s`, `msg_s`, "
            "`mb_s`: more is better, all others: less is. `cpu_ms_op` is the CPU time of all processes of the server for one operation, "
            "`cpu_s` and `row_cpu_s` of the whole row. Aims are those of `bench/aims`, `8x`: eight times better.", ""]
    return "\n".join(head + body).rstrip() + "\n"


def put(path, name, text):
    """Replaces what stands in path between <!-- NAME --> and <!-- end of NAME -->."""
    first, last = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    with open(path, encoding="utf-8") as f:
        before, found, rest = f.read().partition(first)
    if not found or last not in rest:
        raise SystemExit(f"{os.path.basename(path)} has no {first.strip()} and {last}")
    with open(path, "w", encoding="utf-8") as f:
        f.write(before + first + "\n" + text.strip() + "\n\n" + last + rest.partition(last)[2])
