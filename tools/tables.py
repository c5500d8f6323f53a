"""The .def tables, for those who print them."""
import ast
import re
import sys

STRING = r'"(?:[^"\\]|\\.)*"'
ROW = re.compile(r"^([A-Z0-9_]+)\(((?:%s|[^\"()])*)\)" % STRING, re.M)


def rows(path):
    """NAME(columns): a column is a string, in one or more pieces, or words. A row that is not understood is an error."""
    with open(path, encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    for m in ROW.finditer(text):
        columns = re.findall(r"(?:\s*%s)+|[^,\"]+" % STRING, m.group(2))
        yield m.group(1), ["".join(ast.literal_eval(s) for s in re.findall(STRING, c)) if '"' in c else c.strip()
                           for c in columns]
    rest = ROW.sub("", text).strip()
    if rest:
        sys.exit(f"{path}: not a row: {rest[:80]}")
