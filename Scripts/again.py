"""Gives a few failed tests a second try, alone, and says so: on two cores beside brokers a test may meet a deadline by luck.

`again.py filter FILE`: prints what selects each failed test of an xUnit file, a pattern for `swift test` or an argument for
pytest, a line each; ends with 1 unless there are one to three.
`again.py merge FILE AGAIN`: counts those of FILE that passed in AGAIN as passed, with a line for each; ends with 0 if none is left.
A test that needed it is a defect of the test or of what it tests: look into it.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree

MOST = 3


#: What a test that failed, or never came to its point, has in the file.
SIGNS = ("failure", "error")


def failed(tree):
    return [case for case in tree.iter("testcase") if any(case.find(sign) is not None for sign in SIGNS)]


def key(case):
    return f"{case.get('classname', '')}/{case.get('name', '')}"


def select(path):
    cases = failed(ElementTree.parse(path))
    if not 1 <= len(cases) <= MOST:
        return 1
    print("\n".join(sorted({choice(case) for case in cases})))
    return 0


def choice(case):
    """What selects a test: pytest names the file of each, `swift test` doesn't."""
    file = case.get("file")
    return f"{file}::{case.get('name')}" if file else re.escape(key(case))


def merge(path, again):
    tree = ElementTree.parse(path)
    second = ElementTree.parse(again)
    broken = {key(case) for case in failed(second)}
    tried = {key(case) for case in second.iter("testcase") if case.find("skipped") is None}
    for case in failed(tree):
        name = key(case)
        if name not in tried or name in broken:
            continue
        for sign in SIGNS:
            for each in case.findall(sign):
                case.remove(each)
        print(f"passed only at a second try, alone: {name}")
    tree.write(path)
    return 1 if failed(tree) else 0


if __name__ == "__main__":
    try:
        sys.exit(select(sys.argv[2]) if sys.argv[1] == "filter" else merge(sys.argv[2], sys.argv[3]))
    except (OSError, ElementTree.ParseError, IndexError):
        sys.exit(1)
