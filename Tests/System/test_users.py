"""Users with several connections, and messages for one connection: real nodes that check who their clients are."""

import contextlib
import hashlib
import hmac
import os
import subprocess

import pytest
import websocket

from core_client import CoreClient
from processes import BUSBAR, END_SECONDS, ENVIRONMENT, START_SECONDS, Server, Service, eventually, stop_all
from test_farm import wait_for_readiness
from test_nodes import NOTICE_SECONDS, nodes_known_to

NOTICES = os.path.join(os.path.dirname(BUSBAR), "busbar-notices")
#: What the tokens of users are signed with, and what the nodes share.
KEY = "a key of the tests' own"
FARM = {"BUSBAR_KEY": "what the nodes of the tests share"}


class NoticeServer(Service):
    """`busbar-notices` on a free port, listening when the initialiser returns."""

    def __init__(self, backplane):
        super().__init__("notices", [NOTICES, backplane, "0"], NOTICES_KEY=KEY, **FARM)
        try:
            self.url, self.port = self.wait_until(Server._address, START_SECONDS, "address printed")
        except AssertionError:
            self.kill()
            raise


def token(user, key=KEY):
    return f"{user}.{hmac.new(key.encode(), user.encode(), hashlib.sha256).hexdigest()}"


@pytest.fixture
def start_notices(redis):
    """Starts nodes of the notice server on the test's Redis that know each other; they end with the test."""
    nodes = []

    def start_notices(count):
        for _ in range(count):
            nodes.append(NoticeServer(redis.url))
        for node in nodes:
            eventually(lambda: len(nodes_known_to(node)) == count, f"{count} nodes at {node.url}", NOTICE_SECONDS)
        return list(nodes)

    yield start_notices
    stop_all(nodes)


@pytest.fixture
def connect_as():
    """Connects a user to a node; the connections end with the test."""
    with contextlib.ExitStack() as stack:

        def connect_as(user, node):
            client = CoreClient(node.url, "/notices", access_token=token(user))
            return stack.enter_context(contextlib.closing(client))

        yield connect_as


def identity(client):
    return client.call("whoAmI")["connectionId"]


def texts(client):
    return [text for [text] in client.heard("noticed")]


@pytest.mark.parametrize("count", [2, 3])
def test_N_36_a_message_for_one_connection_reaches_it_on_any_node_and_one_for_nobody_is_no_error(
    count, start_notices, connect_as
):
    nodes = start_notices(count)
    clients = [connect_as("ada", node) for node in nodes]
    sender = connect_as("grace", nodes[0])
    for number, client in enumerate(clients):
        sender.call("whisper", identity(client), f"for {number}")
    sender.call("whisper", "nobody's connection", "lost")
    gone = connect_as("ada", nodes[-1])
    former = identity(gone)
    gone.close()
    sender.call("whisper", former, "too late")
    sender.call("tell", "ada", "end")
    for number, client in enumerate(clients):
        client.wait_to_have_heard(2, "noticed")
        assert texts(client) == [f"for {number}", "end"]


@pytest.mark.parametrize("count", [2, 3])
def test_N_37_while_the_broker_is_away_a_connection_of_the_same_node_hears_what_is_for_it(
    count, redis, start_notices, connect_as
):
    nodes = start_notices(count)
    here, elsewhere, sender = connect_as("ada", nodes[0]), connect_as("ada", nodes[1]), connect_as("grace", nodes[0])
    ids = identity(here), identity(elsewhere)
    redis.kill()
    wait_for_readiness(nodes[0].url, 503)
    for number in range(10):
        sender.call("whisper", ids[0], f"{number}")
    here.wait_to_have_heard(10, "noticed")
    waiting = sender.post("whisper", [ids[1], "when it is back"])
    redis.start()
    assert "error" not in sender.answers(waiting, NOTICE_SECONDS)[0]
    sender.call("tell", "ada", "end")
    here.wait_to_have_heard(11, "noticed")
    elsewhere.wait_to_have_heard(2, "noticed")
    assert texts(here) == [*map(str, range(10)), "end"]
    assert texts(elsewhere) == ["when it is back", "end"]


@pytest.mark.parametrize("count", [2, 3])
def test_N_43_each_connection_of_a_user_hears_a_message_once_and_the_rest_when_one_is_gone(
    count, start_notices, connect_as
):
    nodes = start_notices(count)
    devices = [connect_as("ada", node) for node in nodes] + [connect_as("ada", nodes[0])]
    other, sender = connect_as("lin", nodes[-1]), connect_as("grace", nodes[-1])
    for number in range(20):
        sender.call("tell", "ada", f"{number}")
    for device in devices:
        device.wait_to_have_heard(20, "noticed")
    devices[0].close()
    for number in range(20, 40):
        sender.call("tell", "ada", f"{number}")
    for device in devices[1:]:
        device.wait_to_have_heard(40, "noticed")
    for device in devices[1:]:
        device.close()
    sender.call("tell", "ada", "nobody is there")
    sender.call("tell", "lin", "end")
    other.wait_to_have_heard(1, "noticed")
    assert texts(other) == ["end"]
    assert [texts(device) for device in devices] == [[str(n) for n in range(20)]] + [
        [str(n) for n in range(40)] for _ in devices[1:]
    ]


@pytest.mark.parametrize(
    "wrong",
    [None, "ada", "ada.", "ada.00", "ada.zz", token("ada", "another key"), token("lin")[3:], token("ada").upper()],
)
def test_whoever_has_no_token_of_the_farm_is_refused(wrong, start_notices):
    [node] = start_notices(1)
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        CoreClient(node.url, "/notices", access_token=wrong)
    assert refused.value.status_code == 401


@pytest.mark.parametrize(
    "arguments, key, said",
    [
        ([], KEY, "usage: busbar-notices BACKPLANE PORT"),
        (["memory:", "9"], KEY, "memory"),
        (["redis://127.0.0.1", "0"], "short", "NOTICES_KEY"),
        (["redis://127.0.0.1", "70000"], KEY, "port 70000"),
    ],
)
def test_what_cannot_be_is_one_line_and_a_status(arguments, key, said):
    done = subprocess.run(
        [NOTICES, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        env={**ENVIRONMENT, **FARM, "NOTICES_KEY": key},
        timeout=END_SECONDS,
    )
    assert done.returncode in (1, 64) and len(done.stderr.splitlines()) == 1 and said in done.stderr, done.stderr
