#!/usr/bin/env python3
"""Who may use whom: reads the table `rooms` of meson.build and every #include "room/..."; and tries each header alone."""
import ast
import concurrent.futures
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Werror", "-Isrc"]


def table():
    text = open(os.path.join(TOP, "meson.build")).read()
    return ast.literal_eval(re.search(r"^rooms = (\{.*?^\})", text, re.M | re.S).group(1))


def files(ending):
    for folder, _, names in os.walk(os.path.join(TOP, "src")):
        for name in sorted(names):
            if name.endswith(ending):
                yield os.path.relpath(os.path.join(folder, name), TOP)


def wrong_includes(rooms):
    for path in files((".c", ".h")):
        room = path.split("/")[1]
        for used in re.findall(r'^#include "([a-z0-9]+)/', open(os.path.join(TOP, path)).read(), re.M):
            if used != room and used not in rooms[room]:
                yield f"{path}: {room} may not use {used}"


def header_alone(path):
    name = path[len("src/"):]
    done = subprocess.run(["gcc", *FLAGS, "-x", "c", "-"], input=f'#include "{name}"\n#include "{name}"\n', cwd=TOP,
                          text=True, capture_output=True)
    return None if done.returncode == 0 else f"{path} does not compile alone:\n{done.stderr}"


def main():
    findings = list(wrong_includes(table()))
    headers = list(files(".h"))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        findings += filter(None, pool.map(header_alone, headers))
    for line in findings:
        print(line)
    print(f"{len(headers) + 1 - len(findings)} passed, {len(findings)} failed")
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
