"""Brokers of the tests' own, through `Scripts/brokers`; a Redis with the faults it may have."""

import os
import shutil
import subprocess

from processes import ENVIRONMENT, ROOT

SECONDS = 60


class Broker:
    """One broker that `Scripts/brokers` knows, running while the test does."""

    def __init__(self, directory, name):
        self._directory = directory
        self._name = name
        self._run("start", name)
        self.url = self._run("url", name).strip()

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
        self._run("fault", self._name, "kill")

    def start(self):
        self._run("fault", self._name, "start")

    def cut_links(self):
        """Ends every connection that the broker has, while it goes on."""
        self._run("fault", self._name, "cut-links")

    def end(self):
        self._run("discard", self._name)


class Redis(Broker):
    """A running redis-server on a free port of 127.0.0.1 that keeps what it stored over a restart."""

    def __init__(self, directory):
        # Why an assertion and not a skip: a suite without its broker has not tested what it is for.
        assert shutil.which("redis-server"), "redis-server is missing: run Scripts/setup test"
        super().__init__(directory, "redis")
