#!/usr/bin/env python3
"""docs/limits.md is what the source says: every setting of the section "Limits" with its default, and a test that goes over it;
every constant of the protocols and of mail that is named ..._MOST, with its value; and nothing that is gone.

usage: tests/limits.py            The last line is `N passed, N failed`.
"""
import glob
import os
import re

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOMS = ("imap", "pop3", "smtp", "mail")
NOT_OF_PEERS = re.compile(r"_(test|fuzz)\.c$|/sync_")
passed = failed = 0


def check(what, ok, detail=""):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    if not ok:
        print(f"FAILED {what}: {detail}")


def text_of(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        return f.read()


def settings():
    """name -> default, as the table writes it."""
    section = text_of("src/house/settings.def").split('SECTION("Limits")')[1].split("SECTION(")[0]
    rows = re.findall(r"^[A-Z]+\((\w+), (.*?), \"", section, re.M)
    return {name: shown(initial.strip('"')) for name, initial in rows}


def shown(initial):
    shift = re.fullmatch(r"(\d+) << (\d+)", initial)
    if shift:
        return f"{int(shift[1]) << (int(shift[2]) % 10)}{' KMG'[int(shift[2]) // 10]}"
    return {"true": "yes", "false": "no"}.get(initial, initial)


def constants():
    """(file, name, value), the value as it is written."""
    for room in ROOMS:
        for path in sorted(glob.glob(os.path.join(TOP, "src", room, "*.[ch]"))):
            if NOT_OF_PEERS.search(path):
                continue
            text = re.sub(r"/\*.*?\*/", "", text_of(path), flags=re.S)
            found = re.findall(r"\b(\w*_MOST) = ([^,;}\n]+)", text) + re.findall(r"^#define (\w*_MOST)\s+(.+)", text, re.M)
            for name, value in found:
                yield os.path.relpath(path, os.path.join(TOP, "src")), name, value.strip()


def rows(page, title):
    part = page.split(f"## {title}\n")[1].split("\n## ")[0]
    return [[c.strip(" `") for c in line.strip("|").split(" | ")] for line in part.splitlines() if line.startswith("| `")]


def main():
    page = text_of("docs/limits.md")
    told = {r[0]: r for r in rows(page, "Settings")}
    there = settings()
    check("every setting has a row, and nothing else", set(told) == set(there), set(told) ^ set(there))
    for name in set(told) & set(there):
        check(f"{name}: its default", told[name][1] == there[name], (told[name][1], there[name]))
        test = told[name][3]
        check(f"{name}: {test} goes over it", os.path.exists(os.path.join(TOP, test)) and name in text_of(test), test)
    listed = {tuple(r[:3]) for r in rows(page, "Constants")}
    real = set(constants())
    check("every constant has a row", not real - listed, sorted(real - listed))
    check("no row without a constant", not listed - real, sorted(listed - real))
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    raise SystemExit(main())
