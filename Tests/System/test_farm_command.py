"""`busbar farm`, `doctor`, `publish` and `subscribe`, as an operator uses them."""

import os
import signal
import socket
import subprocess

import pytest

from processes import ANSWER_SECONDS, BUSBAR, END_SECONDS, ENVIRONMENT, Process, eventually, free_ports
from test_command import refused, run


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_node_cleanly_with_clients_connected(number, start_farm, connect_to):
    farm = start_farm(nodes=3)
    for url in farm.urls:
        connect_to(url, "core_pysignalr")
    pids = [pid for each in farm.pids.values() for pid in each]
    assert len(pids) == 3
    assert farm.stop(number) == 0
    assert not any(is_alive(pid) for pid in pids)
    for url in farm.urls:
        assert f"node {url.rpartition(':')[2]} | Busbar has stopped." in farm.lines


def test_nodes_end_by_themselves_when_the_farm_is_killed(start_farm):
    farm = start_farm()
    pids = [pid for each in farm.pids.values() for pid in each]
    farm.kill()
    eventually(lambda: not any(is_alive(pid) for pid in pids), "the end of every node", END_SECONDS)


def test_the_port_of_any_node_in_use_is_named():
    first = free_ports(2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first + 1))
        taken.listen()
        status, line = refused("farm", "--port", str(first))
    assert status == 1
    assert str(first + 1) in line and "in use" in line and "node 2 of 2" in line


def test_keys_and_urls_are_handed_to_nodes_where_other_users_cannot_read_them(redis, start_farm):
    farm = start_farm(backplane=redis.url + "/0")
    for [pid] in farm.pids.values():
        with open(f"/proc/{pid}/cmdline", "rb") as arguments:
            assert arguments.read().split(b"\0") == [b"busbar", b"serve", b"--until-input-ends", b""]


def test_doctor_names_a_wrong_password_without_showing_it(redis):
    url = redis.url.replace("redis://", "redis://ada:opensesame@")
    done = subprocess.run(
        [BUSBAR, "doctor", "--backplane", url],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        env=ENVIRONMENT,
        timeout=ANSWER_SECONDS,
    )
    assert done.returncode == 1
    assert "WRONG   connection" in done.stdout
    assert "opensesame" not in done.stdout + done.stderr


def test_doctor_says_version_and_round_trip_of_a_redis_that_works(redis):
    output = run("doctor", "--backplane", redis.url).stdout
    assert "Redis 7" in output or "Redis 6" in output or "Redis 8" in output
    assert "round trip   stored and delivered in " in output
    assert output.endswith("It works.\n")


def test_doctor_prints_the_schema_that_an_owner_runs_and_then_finds_it_in_order(postgres):
    postgres.sql(run("doctor", "--print-schema", "--backplane", postgres.url).stdout)
    assert postgres.sql("SELECT version, is_logged FROM busbar.schema_facts()") == "3|f"
    output = run("doctor", "--backplane", postgres.url).stdout
    assert "PostgreSQL 1" in output and "round trip   stored and delivered in " in output
    assert output.endswith("It works.\n")


class Subscriber(Process):
    """`busbar subscribe`, listening when the initialiser returns."""

    def __init__(self, topic, url, *options):
        super().__init__("subscribe", [BUSBAR, "subscribe", topic, "--backplane", url, *options])
        eventually(lambda: "listening to " in self.errors or self.child.poll() is not None, "a subscription")
        assert "listening to " in self.errors, self.errors

    def finish(self):
        """The messages as (cursor, text) once the command has ended by itself."""
        assert self.child.wait(ANSWER_SECONDS) == 0, self.errors
        self._reader.join(END_SECONDS)
        return [tuple(line.split("\t")) for line in self.lines]


def test_what_one_process_publishes_others_hear_and_a_printed_cursor_resumes_exactly(redis):
    url = redis.url + "?app=orders"
    live = Subscriber("orders", url, "--count", "3", "--timeout", "20")
    texts = ["one", "two\twith a tab", "three: smørrebrød 🥪"]
    for text in texts:
        run("publish", "orders", text, "--backplane", url)
        run("publish", "others", "not for them", "--backplane", url)
    heard = live.finish()
    assert [text for _, text in heard] == ["one", "two\\twith a tab", "three: smørrebrød 🥪"]
    for index in range(2):
        rest = Subscriber("orders", url, "--from", heard[index][0], "--count", str(2 - index), "--timeout", "20")
        assert rest.finish() == heard[index + 1 :]
        assert "gap" not in rest.errors
    status = subprocess.run(
        [BUSBAR, "subscribe", "orders", "--from", heard[2][0], "--count", "1", "--timeout", "1", "--backplane", url],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        env=ENVIRONMENT,
        timeout=ANSWER_SECONDS,
    )
    assert status.returncode == 1 and status.stdout == "", "nothing came after the last cursor"


def test_a_cursor_that_is_none_is_told_as_a_gap(redis):
    listener = Subscriber("orders", redis.url, "--from", "nonsense", "--timeout", "1")
    assert listener.finish() == []
    assert "gap (foreignCursor)" in listener.errors


def test_two_apps_on_one_redis_do_not_hear_each_other(redis):
    listener = Subscriber("orders", redis.url + "?app=one", "--count", "1", "--timeout", "20")
    run("publish", "orders", "for the other app", "--backplane", redis.url + "?app=two")
    run("publish", "orders", "for the other database", "--backplane", redis.url + "/1?app=one")
    run("publish", "orders", "for this one", "--backplane", redis.url + "?app=one")
    assert [text for _, text in listener.finish()] == ["for this one"]
