"""Adds up test results: `summary.py [--without=BACKPLANE,…] NAME=STATUS:FILE …`, FILE in the xUnit format, STATUS the exit
status of the run.

Prints a line for each run, then one for each backplane whose driver a run put before the conformance kit. Ends with
`N passed, N failed, N skipped`. The exit status is 0 only if every run ended with 0, every run and every backplane had
tests, and none failed or was skipped. Backplanes named behind `--without` are not asked for: the run leaves them out.
"""

import sys
import xml.etree.ElementTree as ElementTree

#: The suites that certify a backplane's driver, by the end of their class names. One that reports nothing has not run.
BACKPLANES = {
    "memory": ["HonestTests"],
    "redis": [
        "RedisClusterTests",
        "RedisConformanceTests",
        "RedisFaultTests",
        "RedisHerdTests",
        "RedisLedgerTests",
        "RedisLogTests",
    ],
    "postgres": [
        "PostgresFaultTests",
        "PostgresKitTests",
        "PostgresLedgerTests",
        "PostgresLogTests",
        "PostgresSchemaTests",
    ],
    "rabbit": ["RabbitConformanceTests", "RabbitFaultTests", "RabbitTLSTests"],
}

#: What the statuses of `timeout` mean.
ENDINGS = dict.fromkeys(["124", "137"], "took too long, was cut off")


def read(path):
    """The test cases in the file; none when the run ended before writing it."""
    try:
        return list(ElementTree.parse(path).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return []


def count(cases):
    """How many passed, failed and were skipped."""
    failed = sum(1 for case in cases if case.find("failure") is not None or case.find("error") is not None)
    skipped = sum(1 for case in cases if case.find("skipped") is not None)
    return len(cases) - failed - skipped, failed, skipped


def words(counts):
    return "{} passed, {} failed, {} skipped".format(*counts)


def of_suite(cases, suite):
    return [case for case in cases if suite in case.get("classname", "").replace("/", ".").split(".")]


def backplanes(cases, left_out):
    """The lines about backplanes, and how many of their suites have not run."""
    missing = 0
    for name, suites in BACKPLANES.items():
        if name in left_out:
            continue
        idle = [suite for suite in suites if sum(count(of_suite(cases, suite))[:2]) == 0]
        missing += len(idle)
        total = count([case for suite in suites for case in of_suite(cases, suite)])
        remark = f" ({', '.join(idle)} did not run: counted as failed)" if idle else ""
        print(f"  backplane {name}: {words(total)}{remark}")
    return missing


def main(arguments):
    left_out = []
    if arguments and arguments[0].startswith("--without="):
        left_out = arguments.pop(0).partition("=")[2].split(",")
        assert set(left_out) <= set(BACKPLANES), f"{left_out}: known are {list(BACKPLANES)}"
    totals = [0, 0, 0]
    every = []
    for argument in arguments:
        name, _, run = argument.partition("=")
        status, _, path = run.partition(":")
        cases = read(path)
        passed, failed, skipped = count(cases)
        remark = ""
        if failed == 0 and (status != "0" or passed + skipped == 0):
            failed = 1
            remark = f" (the run {ENDINGS.get(status, f'ended with status {status}')} and reported no failed test: counted as one)"
        print(f"{name}: {words((passed, failed, skipped))}{remark}")
        totals = [sum(pair) for pair in zip(totals, (passed, failed, skipped))]
        every += cases
    totals[1] += backplanes(every, left_out)
    passed, failed, skipped = totals
    print(f"{passed + failed} tests ran")
    print(words(totals))
    return 1 if failed or skipped else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
