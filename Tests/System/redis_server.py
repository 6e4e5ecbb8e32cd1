"""A Redis of the tests' own, through `Scripts/brokers`, with the faults it may have."""

import os
import shutil
import subprocess

from processes import ENVIRONMENT, ROOT

SECONDS = 60


class Redis:
    """A running redis-server on a free port of 127.0.0.1 that keeps what it stored over a restart."""

    def __init__(self, directory):
        # Why an assertion and not a skip: a suite without its broker has not tested what it is for.
        assert shutil.which("redis-server"), "redis-server is missing: run Scripts/setup test"
        self._directory = directory
        self.url = self._run("url", "redis").strip()

    def _run(self, *arguments):
        settings = {"BROKERS_DIR": str(self._directory)}
        done = subprocess.run(
            [ROOT / "Scripts" / "brokers", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, **ENVIRONMENT, **settings},
            timeout=SECONDS,
        )
        assert done.returncode == 0, f"brokers {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def kill(self):
        self._run("fault", "redis", "kill")

    def start(self):
        self._run("fault", "redis", "start")

    def end(self):
        self._run("stop", "redis")
