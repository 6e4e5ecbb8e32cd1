"""What nodes of one app know of each other, and what a client may ask of a node that doesn't have its connection."""

import contextlib
import signal
import urllib.error
import urllib.request

import pytest

from classic_client import ClassicClient
from processes import ANSWER_SECONDS, eventually

#: Nodes are given up after five or six seconds; machines are busy.
NOTICE_SECONDS = 30


def nodes_known_to(node):
    """The names that `/health/ready` of a node lists, sorted; empty while it isn't ready."""
    try:
        with urllib.request.urlopen(f"{node.url}/health/ready", timeout=ANSWER_SECONDS) as response:
            ready, nodes = response.read().decode().splitlines()
    except urllib.error.HTTPError:
        return []
    assert ready == "ready"
    return sorted(nodes.partition(": ")[2].split(", "))


def wait_until_known(nodes, *numbers):
    """Waits until each of `nodes` knows exactly the nodes with these numbers."""
    names = [f"node {number}" for number in numbers]
    for node in nodes:
        eventually(lambda: nodes_known_to(node) == names, f"{names} at {node.url}", NOTICE_SECONDS)


def test_a_killed_node_is_noticed_by_all_others_and_one_that_leaves_says_so(start_nodes):
    nodes = start_nodes(3)
    wait_until_known(nodes, 0, 1, 2)
    nodes[2].kill()
    wait_until_known(nodes[:2], 0, 1)
    assert "why=silent" in nodes[0].errors and "why=silent" in nodes[1].errors
    assert nodes[1].stop() == 0
    wait_until_known(nodes[:1], 0)
    assert "why=left" in nodes[0].errors


def test_a_node_that_joins_is_known_to_all_and_knows_all(start_nodes):
    start_nodes(1)
    nodes = start_nodes(2)
    wait_until_known(nodes, 0, 1, 2)


def test_f58_a_paused_node_is_declared_dead_taken_back_and_answers_nothing_that_was_given_up(start_nodes, connect_to):
    nodes = start_nodes(3)
    wait_until_known(nodes, 0, 1, 2)
    with contextlib.closing(ClassicClient(nodes[0].url, start_at="")) as client:
        nodes[0].child.send_signal(signal.SIGSTOP)
        assert client.request(nodes[1].url, "start") == 503, "given up with its node, long before a client would"
        wait_until_known(nodes[1:], 1, 2)
        nodes[0].child.send_signal(signal.SIGCONT)
        wait_until_known(nodes, 0, 1, 2)
        assert "this node has slept" in nodes[0].errors
        assert "why=silent" not in nodes[0].errors, "it gave nobody up"
        eventually(lambda: client.request(nodes[1].url, "start") == 200, "a start that is answered")
        speaker = connect_to(nodes[2].url, "core_pysignalr")
        assert speaker.call("send", "welcome back").error is None
        client.wait_to_hear("welcome back")


def test_a_classic_client_starts_and_aborts_at_other_nodes_than_its_own(start_nodes, connect_to):
    nodes = start_nodes(3)
    wait_until_known(nodes, 0, 1, 2)
    with contextlib.closing(ClassicClient(nodes[0].url, start_at=nodes[1].url)) as client:
        assert client.call("send", "started elsewhere").get("E") is None
        client.wait_to_hear("started elsewhere")
        assert client.request(nodes[2].url, "start") == 200, "again is without effect"
        assert client.request(nodes[2].url, "abort") == 200
        client.wait_to_end()
        assert client.request(nodes[1].url, "start") == 404
        assert client.request(nodes[1].url, "abort") == 200


@pytest.mark.parametrize("count", [2, 3])
def test_n49_a_start_for_a_connection_of_a_killed_node_fails_when_the_node_is_known_to_be_dead(count, start_nodes):
    nodes = start_nodes(count)
    wait_until_known(nodes, *range(count))
    with contextlib.closing(ClassicClient(nodes[0].url, start_at="")) as client:
        nodes[0].kill()
        assert client.request(nodes[1].url, "start") == 503
        wait_until_known(nodes[1:], *range(1, count))
        for node in nodes[1:]:
            assert client.request(node.url, "start") == 503


@pytest.mark.parametrize("count", [2, 3])
def test_n39_the_next_message_to_a_room_from_any_node_reaches_who_has_joined(count, start_nodes, connect_to):
    nodes = start_nodes(count)
    wait_until_known(nodes, *range(count))
    member = connect_to(nodes[0].url, "core_pysignalr", "said")
    speakers = [connect_to(node.url, "core_pysignalr") for node in nodes]
    for speaker in speakers:
        assert speaker.call("introduce", "somebody").error is None
    for number in range(300):
        assert member.call("join", f"room {number}").error is None
        assert speakers[number % count].call("sayTo", f"room {number}", str(number)).error is None
    member.wait_to_have_heard(300)
    assert [message["text"] for [message] in member.heard("said")] == [str(number) for number in range(300)]


@pytest.mark.parametrize("count", [2, 3])
def test_n40_n42_joining_often_is_joining_once_and_who_has_left_hears_nothing(count, start_nodes, connect_to):
    nodes = start_nodes(count)
    wait_until_known(nodes, *range(count))
    members = [connect_to(node.url, "core_pysignalr", "said") for node in nodes]
    for member in members:
        assert member.call("introduce", "somebody").error is None
        assert member.call("leave", "harbour").error is None
        for _ in range(10):
            assert member.call("join", "harbour").error is None
    for number in range(count):
        assert members[number].call("sayTo", "harbour", f"message {number}").error is None
        assert members[number].call("leave", "harbour").error is None
    assert members[-1].call("say", "fence").error is None
    for number, member in enumerate(members):
        member.wait_to_have_heard(number + 2)
        said = [message["text"] for [message] in member.heard("said")]
        assert said == [f"message {each}" for each in range(number + 1)] + ["fence"]


@pytest.mark.parametrize("count", [2, 3])
def test_n46_a_classic_client_of_a_killed_node_keeps_its_room_and_is_another_nodes_own(count, start_nodes, connect_to):
    nodes = start_nodes(count)
    wait_until_known(nodes, *range(count))
    with contextlib.closing(ClassicClient(*(node.url for node in nodes), heard="said")) as client:
        assert client.call("join", "harbour").get("E") is None
        speaker = connect_to(nodes[1].url, "core_pysignalr")
        assert speaker.call("introduce", "Ada").error is None
        nodes[0].kill()
        for number in range(20):
            assert speaker.call("sayTo", "harbour", f"message {number}").error is None
        client.wait_to_reconnect()
        client.wait_to_hear("message 19")
        assert client.heard == [f"message {number}" for number in range(20)]
        assert client.request(nodes[-1].url, "start") == 200
        assert client.request(nodes[-1].url, "abort") == 200
