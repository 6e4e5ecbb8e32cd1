"""What libpq reads besides the URL: passwords from `.pgpass`, and where the server is from a service file."""

import os
import subprocess
import urllib.parse

import pytest

from processes import BUSBAR, ENVIRONMENT, START_SECONDS


@pytest.fixture
def keyed(postgres):
    """A PostgreSQL that asks the role `keyed` for its password."""
    rules = postgres.data / "pg_hba.conf"
    rules.write_text("host all keyed 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
    postgres.sql("CREATE ROLE keyed LOGIN SUPERUSER PASSWORD 'from the file'; SELECT pg_reload_conf()")
    return urllib.parse.urlsplit(postgres.url)


def publish(url, **environment):
    """Publishes by `busbar publish`; what it said on standard error, and its exit status."""
    done = subprocess.run(
        [BUSBAR, "publish", "orders", "42 sold", "--backplane", url],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        env={**ENVIRONMENT, **environment},
        timeout=START_SECONDS,
    )
    return done.stderr, done.returncode


def private_file(path, text):
    path.write_text(text)
    os.chmod(path, 0o600)
    return str(path)


def test_a_password_may_stand_in_a_pgpass_file(keyed, tmp_path):
    url = f"postgres://keyed@127.0.0.1:{keyed.port}/postgres"
    right = private_file(tmp_path / "right", f"127.0.0.1:{keyed.port}:*:keyed:from the file\n")
    wrong = private_file(tmp_path / "wrong", f"127.0.0.1:{keyed.port}:*:keyed:something else\n")
    assert publish(url, PGPASSFILE=right)[1] == 0
    for file in [wrong, str(tmp_path / "absent")]:
        errors, status = publish(url, PGPASSFILE=file)
        assert status not in (0, -6) and "password" in errors and "something else" not in errors, errors


def test_a_service_file_may_say_where_the_server_is(keyed, tmp_path):
    services = tmp_path / "services"
    services.write_text(
        f"[orders]\nhost=127.0.0.1\nport={keyed.port}\nuser=keyed\npassword=from the file\ndbname=postgres\n"
    )
    assert publish("postgres:///?service=orders", PGSERVICEFILE=str(services))[1] == 0
    errors, status = publish("postgres:///?service=invoices", PGSERVICEFILE=str(services))
    assert status not in (0, -6) and "invoices" in errors, errors
