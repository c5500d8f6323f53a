"""What tests/coverage and tests/fuzz-coverage share: their build, and what counts as a branch (docs/security.md, "Coverage").

- Each condition of if, while, for, ?:, && and || has two ways, and each counts; those in a macro count where the macro is used, so
  every TRY has its error and its success.
- A case of a switch counts once: whether it was ever taken.
- must(...) does not count, nor the condition of an out_of_memory(): their other way ends the process.
- MIN and MAX choose a value and no way; FAULT and PLANTED are doors for tests.
- A constant condition (while (true), do ... while (0)) has one way only and does not count.
- A switch without default whose cases are all constants by name has no way past its cases: -Wswitch-enum sees to that.
- An OUT_OF_REACH comment with a reason behind a line takes its branches out; one without a reason is an error.
"""
import collections
import glob
import json
import os
import re
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(TOP, "build-coverage")
# The counters are a file mapped by all processes of a program at once (%m, %c): what a process did counts however it ends, by
# _exit, a signal or a power cut in the simulated world, and one that enters its sandbox later need not open anything.
FLAGS = "-fprofile-instr-generate -fcoverage-mapping -fprofile-update=atomic -mllvm -runtime-counter-relocation"
COUNTERS = "%m%c.profraw"
SILENT = {"must", "MIN", "MAX", "FAULT", "PLANTED"}  # macros without ways that count
OUT = re.compile(r"/\* OUT_OF_REACH(: \w.*)?")


def build(*names):
    if not os.path.exists(os.path.join(BUILD, "build.ninja")):
        subprocess.run(["meson", "setup", BUILD, TOP, "-Dbuildtype=debug", "-Doptimization=1", "-Db_lundef=false", f"-Dc_args={FLAGS}",
                        "-Dc_link_args=-fprofile-instr-generate"], check=True, stdout=subprocess.DEVNULL, env={**os.environ, "CC": "clang"})
    subprocess.run(["ninja", "-C", BUILD, *names], check=True, stdout=subprocess.DEVNULL)


def exported(programs, raw):
    """What llvm-cov knows of all these programs together, from the counters in `raw`."""
    data = os.path.join(BUILD, "all.profdata")
    subprocess.run(["llvm-profdata", "merge", "-sparse", *glob.glob(raw + "/*.profraw"), "-o", data], check=True)
    objects = [a for p in programs[1:] for a in ("-object", p)]
    out = subprocess.run(["llvm-cov", "export", programs[0], *objects, f"-instr-profile={data}", "-skip-expansions"], check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return json.loads(out)["data"][0]


def ours(filename):
    path = os.path.normpath(os.path.join(BUILD, filename))
    return os.path.relpath(path, TOP) if path.startswith(TOP + "/src/") else None


class Source:
    """The text of a file, to know what a branch stands in."""
    known = {}

    def __new__(cls, path):
        if path not in cls.known:
            self = cls.known[path] = super().__new__(cls)
            with open(os.path.join(TOP, path), errors="replace") as f:
                self.lines = f.read().split("\n")
        return cls.known[path]

    def at(self, line, column, end_line, end_column):
        if line != end_line:
            return "\n".join([self.lines[line - 1][column - 1:], *self.lines[line:end_line - 1], self.lines[end_line - 1][:end_column - 1]])
        return self.lines[line - 1][column - 1:end_column - 1]

    def is_switch(self, line, column):
        return re.search(r"\bswitch \($", self.lines[line - 1][:column - 1]) is not None

    def has_only_names(self, line):
        """A switch that begins here, closed by a brace as deep as it stands: are all its cases NAMES?"""
        indent = re.match(r" *", self.lines[line - 1])[0]
        for text in self.lines[line:]:
            if text.startswith(indent + "}"):
                return True
            case = re.match(indent + r"case (.*?):", text)
            if (case and not re.fullmatch(r"[A-Z][A-Z0-9_]*", case[1])) or text.startswith(indent + "default"):
                return False
        return True

    def is_out(self, line):
        statement = "\n".join(self.lines[line - 1:line + 4]).partition(";")[0]
        return OUT.search(self.lines[line - 1]) is not None or ("out_of_memory(" in statement and "{" not in statement)


def ways(function):
    """Yields (file, line, column, which, way, count) of each way of each branch that counts."""
    files = function["filenames"]
    used_at = {r[6]: r for r in function["regions"] if r[7] == 1}  # an expansion: where the macro with this number is used
    seen = collections.Counter()
    for line, column, end_line, end_column, yes, no, where, *_ in function["branches"]:
        path = ours(files[where])
        if path is None:
            continue  # a macro of the system's headers
        text = Source(path).at(line, column, end_line, end_column)
        macros, outer, at = [], where, (line, column)
        while outer in used_at:
            use = used_at[outer]
            outer, at = use[5], (use[0], use[1])
            if ours(files[outer]) is None:
                break
            macros.append(Source(ours(files[outer])).at(*use[:4]))
        home = ours(files[outer])
        if home is None or SILENT & set(macros) or re.fullmatch(r"true|false|\d", text) or Source(home).is_out(at[0]):
            continue
        key = (home, *at, path, line, column)
        seen[key] += 1
        name = f"{'/'.join(reversed(macros))}{' ' if macros else ''}{text.partition(chr(10))[0][:60]}"
        key = (*key, seen[key], name)
        if text.startswith(("case ", "default")):
            yield key, "taken", yes
        elif not macros and Source(path).is_switch(line, column):
            if not Source(path).has_only_names(line):
                yield key, "none of its cases", yes
        else:
            yield key, "true", yes
            yield key, "false", no


def branches(data):
    """file -> (line, column, name, way) -> how often."""
    taken = collections.defaultdict(collections.Counter)
    for function in data["functions"]:
        for key, way, count in ways(function):
            taken[key[0]][(*key[1:], way)] += count
    return taken


def unargued():
    for path in glob.glob(os.path.join(TOP, "src/*/*.[ch]")):
        with open(path, errors="replace") as f:
            for number, line in enumerate(f, 1):
                m = OUT.search(line)
                if m and not m[1]:
                    raise SystemExit(f"{os.path.relpath(path, TOP)}:{number}: OUT_OF_REACH without a reason")
