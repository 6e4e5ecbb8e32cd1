"""A PostgreSQL of the tests' own, through `Scripts/brokers`."""

import glob
import shutil
import subprocess

from redis_server import Broker


class Postgres(Broker):
    """A running cluster on a free port of 127.0.0.1, without fsync."""

    def __init__(self, directory):
        # Why an assertion and not a skip: a suite without its broker has not tested what it is for.
        assert shutil.which("postgres") or glob.glob("/usr/lib/postgresql/*/bin/postgres"), (
            "postgres is missing: run Scripts/setup test"
        )
        super().__init__(directory, "postgres")
        self.data = directory / "postgres" / "data"

    def sql(self, text):
        """What a statement answers, columns separated by `|`."""
        done = subprocess.run(
            ["psql", "-qXAt", "-v", "ON_ERROR_STOP=1", self.url],
            input=text,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
