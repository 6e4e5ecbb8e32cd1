"""Brokers of the tests' own, through `Scripts/brokers`; a Redis with the faults it may have."""

import os
import re
import shutil
import subprocess

from processes import ENVIRONMENT, ROOT

SECONDS = 60


class Broker:
    """One broker that `Scripts/brokers` knows, running while the test does."""

    def __init__(self, directory, name, **settings):
        self._directory = directory
        self._name = name
        self._settings = settings
        self._run("start", name)

    def _run(self, *arguments):
        settings = {"BROKERS_DIR": str(self._directory), **self._settings}
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
        self._run("kill", self._name)

    def start(self):
        self._run("start", self._name)

    def end(self):
        self._run("stop", self._name)


class Redis(Broker):
    """A running redis-server on a free port of 127.0.0.1 that keeps what it stored over a restart."""

    def __init__(self, directory):
        # Why an assertion and not a skip: a suite without its broker has not tested what it is for.
        assert shutil.which("redis-server"), "redis-server is missing: run Scripts/setup test"
        super().__init__(directory, "redis", REDIS_PERSISTENT="1")
        self.url = re.search(r"redis://[^']+", self._run("env", "redis"))[0]
