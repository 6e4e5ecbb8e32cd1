"""The `busbar` command: how it starts, stops and refuses."""

import re
import signal
import socket
import subprocess
import urllib.request

import pytest

from processes import BUSBAR, END_SECONDS, ENVIRONMENT, START_SECONDS, Server

USAGE_ERROR = 64


def run(*arguments, **environment):
    """Runs a command to its end; the exit status must be 0."""
    return subprocess.run(
        [BUSBAR, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        encoding="utf-8",
        env={**ENVIRONMENT, **environment},
        timeout=START_SECONDS,
    )


def refused(*arguments):
    """Runs a command that has to refuse; returns its exit status and the one line it says about it."""
    done = subprocess.run(
        [BUSBAR, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        env=ENVIRONMENT,
        timeout=START_SECONDS,
    )
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, f"one line was wanted on stderr, not: {done.stderr!r}"
    assert done.stdout == ""
    return done.returncode, lines[0]


def test_a_port_in_use_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, line = refused("serve", "--port", str(port))
    assert status not in (0, -signal.SIGABRT, -signal.SIGILL, -signal.SIGTRAP)
    assert str(port) in line and "in use" in line


@pytest.mark.parametrize(
    "arguments, named",
    [
        (["serve", "--prot", "8080"], "--prot"),
        (["serve", "--port", "eighty"], "eighty"),
        (["serve", "--port", "70000"], "70000"),
        (["serev"], "serev"),
        (["serve", "--backplane", "carrier-pigeon:"], "carrier-pigeon"),
        (["serve", "--port", "0", "--app", "two words"], "two words"),
        (["farm", "--nodes", "0"], "--nodes"),
        (["farm", "--port", "0"], "port"),
        (["farm", "--nodes", "3", "--port", "65534"], "65533"),
        (["subscribe", "orders", "--count", "0", "--backplane", "redis://127.0.0.1"], "--count"),
        (["subscribe", "orders", "--from", "-", "--backplane", "redis://127.0.0.1"], "--from"),
        (["publish", "orders", "text"], "memory:"),
        (["publish", "$busbar/h/ChatHub", "text", "--backplane", "redis://127.0.0.1"], "$busbar/"),
    ],
)
def test_wrong_arguments_are_named(arguments, named):
    status, line = refused(*arguments)
    assert status == USAGE_ERROR
    assert named in line


@pytest.mark.parametrize("command", ["serve", "farm", "doctor", "subscribe orders"])
@pytest.mark.parametrize(
    "rest, named",
    [
        ("127.0.0.1:70000", "port"),
        ("127.0.0.1/zero", "database"),
        ("127.0.0.1?streams=0", "streams"),
        ("127.0.0.1?app=", "app"),
        ("127.0.0.1?app=one&app=two", "app"),
        ("127.0.0.1?retainedBites=1", "retainedBites"),
        ("127.0.0.1?probeLimit=never", "probeLimit"),
    ],
)
def test_a_wrong_backplane_url_is_named_without_its_password(command, rest, named):
    status, line = refused(*command.split(), "--backplane", f"redis://ada:opensesame@{rest}")
    assert status == USAGE_ERROR
    assert named in line and "opensesame" not in line


def test_an_app_or_a_number_of_streams_that_is_given_twice_must_be_the_same():
    status, line = refused("serve", "--app", "one", "--backplane", "redis://127.0.0.1?app=two")
    assert status == USAGE_ERROR and "'one'" in line and "'two'" in line


def test_drivers_lists_schemes_guarantees_and_limits():
    output = run("drivers").stdout
    for text in ("memory:", "redis:", "redis+sentinel:", "bytes in one record", "this process only"):
        assert text in output


@pytest.mark.parametrize(
    "text, named",
    [
        ("backplane: {url: 'redis://127.0.0.1', streams: many}\n", "many"),
        ("backplane: {streams: 4}\n", "url"),
        ("port: eighty\n", "eighty"),
        ("prot: 8080\n", "prot"),
        ("port: [8080\n", "busbar.yaml"),
        ("- 8080\n", "busbar.yaml"),
        ("port: 1\nport: 2\n", "port"),
        ("port: [8080, 8081]\n", "port"),
        ("classic-disconnect-timeout: 5\n", "classic-disconnect-timeout must be a number of seconds from 6"),
        ("classic-keep-alive: never\n", "classic-keep-alive must be off or a number of seconds from 2"),
        ("classic-keep-alive: 11\n", "classic.keepAlive"),
        ("\0\1\2", "busbar.yaml"),
    ],
)
def test_a_wrong_config_file_is_named(tmp_path, text, named):
    path = tmp_path / "busbar.yaml"
    path.write_text(text, encoding="utf-8")
    status, line = refused("serve", "--config", str(path))
    assert status == USAGE_ERROR
    assert named in line


def test_a_config_file_that_cannot_be_read_is_named(tmp_path):
    for path in (tmp_path / "missing.yaml", tmp_path):
        status, line = refused("serve", "--config", str(path))
        assert status == USAGE_ERROR
        assert str(path) in line


def test_settings_of_the_original_may_be_in_the_file(tmp_path):
    path = tmp_path / "busbar.yaml"
    path.write_text("classic-keep-alive: off\nclassic-disconnect-timeout: 12.5\n", encoding="utf-8")
    output = run("config", "--config", str(path)).stdout
    assert re.search(r"classic-keep-alive\W+off\b", output)
    assert re.search(r"classic-disconnect-timeout\W+12\.5\b", output)
    assert re.search(r"classic-connection-timeout\W+110\b", output)


def test_config_says_where_each_value_comes_from_and_keeps_secrets(tmp_path):
    path = tmp_path / "busbar.yaml"
    path.write_text("port: 9000\nlog-level: debug\n", encoding="utf-8")
    secret = "a secret of more than thirty-two characters"
    secrets = {"BUSBAR_KEY": secret, "BUSBAR_LOG_LEVEL": "error"}
    output = run("config", "--config", str(path), "--backplane", "redis://ada:opensesame@h", **secrets).stdout
    lines = {line.partition(":")[0]: line for line in output.splitlines()}
    assert lines["port"].startswith("port: 9000 ") and str(path) in lines["port"]
    assert lines["log-level"].startswith("log-level: error ") and "BUSBAR_LOG_LEVEL" in lines["log-level"]
    assert lines["backplane"].startswith("backplane: redis://***@h ") and "flag" in lines["backplane"]
    assert "opensesame" not in output
    assert "BUSBAR_KEY" in lines["key"] and secret not in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_server_cleanly_with_clients_connected(number, server, connect):
    connect("core_pysignalr")
    connect("classic")
    assert server.stop(number) == 0


def test_health_page_and_script_are_served(server):
    def get(path):
        with urllib.request.urlopen(server.url + path, timeout=END_SECONDS) as response:
            return response.status, response.headers["Content-Type"], response.read()

    assert get("/health")[0] == 200
    assert get("/health/ready")[0] == 200
    status, kind, body = get("/")
    assert (status, kind.partition(";")[0]) == (200, "text/html") and b"busbar.js" in body
    status, kind, body = get("/busbar.js")
    assert (status, kind.partition(";")[0]) == (200, "text/javascript") and b"HubConnection" in body


def test_a_server_can_take_the_port_of_one_that_was_killed(server, connect):
    connect("core_pysignalr")
    server.kill()
    again = Server(port=server.port)
    assert again.stop() == 0
