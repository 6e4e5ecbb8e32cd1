"""Adds up test results: `summary.py NAME=STATUS:FILE …`, FILE in the xUnit format, STATUS the exit status of the run.

Prints a line for each suite and ends with `N passed, N failed, N skipped`. The exit status is 0 only if every run ended
with 0, every suite had tests, and none failed or was skipped.
"""

import sys
import xml.etree.ElementTree as ElementTree


def count(path):
    """Passed, failed and skipped test cases in the file; none of each when the run ended before writing it."""
    try:
        cases = list(ElementTree.parse(path).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return 0, 0, 0
    failed = sum(1 for case in cases if case.find("failure") is not None or case.find("error") is not None)
    skipped = sum(1 for case in cases if case.find("skipped") is not None)
    return len(cases) - failed - skipped, failed, skipped


def main(arguments):
    totals = [0, 0, 0]
    for argument in arguments:
        name, _, run = argument.partition("=")
        status, _, path = run.partition(":")
        passed, failed, skipped = count(path)
        remark = ""
        if failed == 0 and (status != "0" or passed + skipped == 0):
            failed = 1
            remark = f" (the run ended with status {status} and reported no failed test: counted as one)"
        print(f"{name}: {passed} passed, {failed} failed, {skipped} skipped{remark}")
        totals = [sum(pair) for pair in zip(totals, (passed, failed, skipped))]
    passed, failed, skipped = totals
    print(f"{passed + failed} tests ran")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or skipped else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
