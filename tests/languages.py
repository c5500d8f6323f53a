#!/usr/bin/env python3
"""Looks whether everything that IMAP says to people is in the table of translations, src/mail/language.def. The last line is
`N passed, N failed`."""
import glob
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SAID = re.compile(r'imap_(?:ok|no|bad)\(s,\s*((?:"(?:[^"\\\\]|\\\\.)*"\s*)+)|imap_say\(s,\s*((?:"(?:[^"\\\\]|\\\\.)*"\s*)+)|goodbye\(s, "([^"]*)"')
# Texts with values in them, which stay English, or are made of others.
OPEN = {"%.*s ready", "%s", "%.*s", "STORE %s", "%s%.*s"}


def known():
    with open(os.path.join(TOP, "src/mail/language.def"), encoding="utf-8") as f:
        return set(re.findall(r'^SAY\("([^"]*)"', f.read(), re.M))


def texts():
    for path in sorted(glob.glob(os.path.join(TOP, "src/imap/*.c"))):
        if path.endswith("_test.c"):
            continue
        with open(path, encoding="utf-8") as f:
            source = f.read()
        for tagged, said, goodbye in SAID.findall(source):
            text = "".join(re.findall(r'"((?:[^"\\\\]|\\\\.)*)"', tagged or said)) if tagged or said else goodbye
            if said:
                status, _, text = text.partition(" ")
                if status not in ("OK", "NO", "BAD", "BYE"):
                    continue
            yield os.path.relpath(path, TOP), re.sub(r"^\[.*?\] (?=\S)|^%\.\*s(?=[A-Z])", "", text)


def main():
    table, passed, failed = known(), 0, 0
    for path, text in texts():
        if text in table or text in OPEN or text.endswith(" completed"):
            passed += 1
        else:
            failed += 1
            print(f"FAILED {path}: not translated: {text}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
