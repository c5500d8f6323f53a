#!/usr/bin/env python3
"""Looks whether everything that IMAP and POP3 say to people is in the table of translations, src/mail/language.def. The last line is
`N passed, N failed`."""
import glob
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SAID = re.compile(r'imap_(?:ok|no|bad)\(s,\s*((?:"(?:[^"\\\\]|\\\\.)*"\s*)+)|imap_say\(s,\s*((?:"(?:[^"\\\\]|\\\\.)*"\s*)+)|goodbye\(s, "([^"]*)"')
# Texts with values in them, which stay English, or are made of others.
POP3 = re.compile(r'pop3_(?:ok|err|mistake)\(s,\s*((?:"(?:[^"\\\\]|\\\\.)*"\s*)+)|return ("[^"]+");')
OPEN = {"%.*s ready", "%s", "%.*s", "STORE %s", "%.*s not supported", "%s%.*s",
        "%u %llu", "%u", "%.*s %.*s", "%.*s POP3 posthouse", "%.*s POP3 posthouse %.*s"}


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
            text = re.sub(r"%[ud]", "%u", text).replace("%%", "%")
            yield os.path.relpath(path, TOP), re.sub(r"^\[.*?\] (?=\S)|^%\.\*s(?=[A-Z])", "", text)


def pop3_texts():
    for path in sorted(glob.glob(os.path.join(TOP, "src/pop3/*.c"))):
        if path.endswith(("_test.c", "_fuzz.c")):
            continue
        with open(path, encoding="utf-8") as f:
            for said, returned in POP3.findall(f.read()):
                text = "".join(re.findall(r'"((?:[^"\\\\]|\\\\.)*)"', said or returned))
                yield os.path.relpath(path, TOP), re.sub(r"^\[.*?\] ", "", text)


def forms():
    """Translations have the values of the English text, in its order."""
    with open(os.path.join(TOP, "src/mail/language.def"), encoding="utf-8") as f:
        for row in re.findall(r"^SAY\((.*)\)$", f.read(), re.M):
            said = re.findall(r'"((?:[^"\\\\]|\\\\.)*)"', row)
            yield said[0], all(re.findall("%[a-z]+", t) == re.findall("%[a-z]+", said[0]) for t in said)


def main():
    table, passed, failed = known(), 0, 0
    for english, fits in forms():
        if not fits:
            failed += 1
            print(f"FAILED src/mail/language.def: other values: {english}")
    for path, text in [*texts(), *pop3_texts()]:
        if text in table or text in OPEN or text.endswith(" completed"):
            passed += 1
        else:
            failed += 1
            print(f"FAILED {path}: not translated: {text}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
