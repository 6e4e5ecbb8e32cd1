"""Cases of the classic protocol on two nodes over Redis, every request of a client at the other node than the one before.

Numbers are those of the cases, T those of the traps.
"""

import contextlib
import json
import re
import urllib.parse

import pytest

from classic_client import ClassicClient
from classic_requests import TRANSPORTS
from processes import eventually
from test_nodes import wait_until_known
from test_transports import connected

#: Disconnected after 6 seconds and the allowance of 5; machines are busy.
LOST_SECONDS = 40
ROOM = "group$&+,/:;=?@[]1"


@pytest.fixture
def pair(start_nodes):
    """Two nodes that know each other, give up clients soon and tell of it."""
    nodes = start_nodes(2, BUSBAR_LOG_LEVEL="debug", BUSBAR_CLASSIC_DISCONNECT_TIMEOUT="6")
    wait_until_known(nodes, 0, 1)
    return nodes


def urls(nodes):
    return [node.url for node in nodes]


def ends(nodes, client):
    """How the connection of a client ended, by node: the reasons of its disconnected events."""
    lines = [[line for line in node.errors.splitlines() if "a connection has ended" in line] for node in nodes]
    return [re.findall(r"reason=(\w+)", "\n".join(line for line in each if client.connection_id in line)) for each in lines]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_38_40_41_T11_abort_at_any_node_has_one_event_in_the_whole_farm(pair, transport):
    for first in (pair, pair[::-1]):
        with connected(transport, *urls(first)) as client:
            assert client.call("echo", 1)["R"] == 1
            client.abort()
            assert client.status("abort") == (200, ""), "again is without effect"
            eventually(lambda: sum(ends(pair, client), []), "the disconnected event")
            assert sum(ends(pair, client), []) == ["stoppedByClient"]
            assert client.status("start")[0] == 404


def test_39_N45_who_vanishes_has_one_event_in_the_whole_farm_whatever_nodes_it_came_to(pair):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(transport, *urls(pair))) for transport in TRANSPORTS]
        for number in range(6):
            for client in clients:
                assert "E" not in client.call("send", f"message {number}")
        for client in clients:
            client.wait_to_hear("message 5")
        clients[-1].wait_to_be_served_by(*urls(pair))
        for client in clients:
            client.vanish()
        for client in clients:
            eventually(lambda: sum(ends(pair, client), []), "the disconnected event", LOST_SECONDS)
        # Why a fence: whoever else still had one of them would give it up at the same time or before.
        with connected("longPolling", *urls(pair)) as fence:
            assert fence.call("echo", "x")["R"] == "x"
        eventually(lambda: sum(ends(pair, fence), []), "the fence's own event", LOST_SECONDS)
        assert [sum(ends(pair, client), []) for client in clients] == [["lost"]] * len(clients)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_42_46_N46_nodes_are_restarted_one_after_the_other_and_who_was_there_misses_nothing(
    start_nodes, connect_to, transport
):
    nodes = start_nodes(2)
    wait_until_known(nodes, 0, 1)
    with connected(transport, *urls(nodes), heard="said") as client:
        assert "E" not in client.call("join", ROOM)
        said = []
        for index in (0, 1):
            assert nodes[index].stop() == 0
            nodes[index] = start_nodes(1, port=nodes[index].port)[-1]
            speaker = connect_to(nodes[index].url, "core_pysignalr")
            assert speaker.call("introduce", "Ada").error is None
            for number in range(5):
                said.append(f"{index}.{number}")
                assert speaker.call("sayTo", ROOM, said[-1]).error is None
            client.wait_to_hear(said[-1])
        assert client.heard == said


def test_44_polls_that_last_too_long_go_on_at_the_other_node_and_nobody_is_told(start_nodes):
    nodes = start_nodes(2, BUSBAR_LOG_LEVEL="debug", BUSBAR_CLASSIC_CONNECTION_TIMEOUT="1")
    wait_until_known(nodes, 0, 1)
    with connected("longPolling", *urls(nodes)) as client:
        eventually(lambda: len(client.served_by) >= 4, "four polls", 60)
        assert "E" not in client.call("send", "still here")
        client.wait_to_hear("still here")
        assert client.heard == ["still here"]
        assert ends(nodes, client) == [[], []]
        assert client.failures == []


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_47_48_T15_a_cursor_that_is_none_fails_at_any_node_and_one_of_elsewhere_means_from_now_on(pair, transport):
    with connected(transport, *urls(pair)) as client:
        assert "E" not in client.call("send", "before")
        client.wait_to_hear("before")
        for cursor in ("d-|", "d-test", "d-A,0|A,1"):
            for _ in pair:
                assert client.status("reconnect", messageId=cursor)[0] == 400
        served = len(client.served_by)
        client.cursor = "d-14393A7F-A,2"
        client.drop()
        eventually(lambda: len(client.served_by) > served, "a new receive request")
        assert "E" not in client.call("send", "after")
        client.wait_to_hear("after")
        assert client.heard == ["before", "after"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_52_53_joining_thrice_at_different_nodes_is_joining_once_and_leaving_ends_it(pair, connect_to, transport):
    speaker = connect_to(pair[1].url, "core_pysignalr")
    assert speaker.call("introduce", "Ada").error is None
    with connected(transport, *urls(pair), heard="said") as client:
        for _ in range(3):
            assert "E" not in client.call("join", "room")
        assert speaker.call("sayTo", "room", "heard").error is None
        client.wait_to_hear("heard")
        assert "E" not in client.call("leave", "room")
        for _ in range(10):
            assert speaker.call("sayTo", "room", "unheard").error is None
        assert "E" not in client.call("join", "fence")
        assert speaker.call("sayTo", "fence", "fence").error is None
        client.wait_to_hear("fence")
        assert client.heard == ["heard", "fence"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_54_55_a_groups_token_of_somebody_else_is_worth_nothing_at_the_other_node(pair, connect_to, transport):
    speaker = connect_to(pair[0].url, "core_pysignalr")
    assert speaker.call("introduce", "Ada").error is None
    with (
        connected(transport, *urls(pair), heard="said") as member,
        connected(transport, *urls(pair), heard="said") as thief,
    ):
        assert "E" not in member.call("join", "secret room")
        eventually(lambda: member.groups_token, "a groups token")
        for token in (member.groups_token, "garbage", ""):
            thief.groups_token = token
            thief.drop()
            assert speaker.call("sayTo", "secret room", "secret").error is None
            assert "E" not in thief.call("join", "open room")
            assert speaker.call("sayTo", "open room", f"open to {token[:4]}").error is None
            thief.wait_to_hear(f"open to {token[:4]}")
        member.wait_to_hear("secret")
        assert "secret" not in thief.heard


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_63_64_69_70_71_90_T17_T18_T19_calls_at_the_other_node_are_answered_as_at_their_own(pair, transport):
    with connected(transport, *urls(pair)) as client:
        for _ in range(2):
            for hub in ("chatHub", "CHATHUB"):
                assert client.call("echo", "+", hub=hub)["R"] == "+"
                assert client.call("ECHO", "2013-08-13T17:41:25Z", hub=hub)["R"] == "2013-08-13T17:41:25Z"
                told = client.call("fail", "why", hub=hub)
                assert (told["H"], told["E"]) == (True, "why")
                hidden = client.call("Crash", hub=hub)
                assert hidden["E"] == f"There was an error invoking Hub method '{hub}.Crash'." and "H" not in hidden
                assert "R" not in client.call("echo", None, hub=hub)
            call = json.dumps({"H": "nobody", "M": "x", "A": [], "I": 1})
            for data in (call, "{", ""):
                assert client.status("send", data=data)[0] == 400
            assert client.status("send", data=json.dumps({"H": "chathub", "M": "echo", "A": [1]})) == (200, "")
            form = urllib.parse.urlencode({"data": json.dumps({"H": "chathub", "M": "echo", "A": ["a b"], "I": 2})})
            for kind in ("application/json", "text/plain", ""):
                assert client.post("send", form, kind) == '{"R":"a b","I":"2"}'


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_28_30_36_T12_what_connecting_puts_in_place_holds_wherever_start_was_asked_for(pair, transport):
    with connected(transport, *urls(pair)) as client, contextlib.closing(ClassicClient(pair[0].url)) as other:
        assert client.status("start")[0] == 200, "again is without effect"
        assert other.call("introduce", "Ada").get("E") is None
        for number in range(2):
            assert other.call("say", f"ping {number}").get("E") is None
        client.wait_to_hear("ping 1")
        assert client.heard == ["ping 0", "ping 1"]
