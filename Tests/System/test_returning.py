"""Stateful reconnect on several real nodes: what came over the broker is resent like what was said here."""

import contextlib

import pytest
import websocket

from core_client import ACK, SEQUENCE, CoreClient
from processes import eventually
from test_farm import Speaker
from test_nodes import wait_until_known

ROUNDS = 12


@pytest.fixture
def enter():
    """Closes with the test what is given to it, and returns it."""
    with contextlib.ExitStack() as stack:
        yield lambda client: stack.enter_context(contextlib.closing(client))


@pytest.mark.parametrize("count", [2, 3])
def test_N_52_whoever_resumes_has_what_came_over_the_broker_and_what_was_said_here_once_and_in_order(
    count, start_nodes, connect_to, enter
):
    nodes = start_nodes(count)
    wait_until_known(nodes, *range(count))
    client = enter(CoreClient(nodes[0].url, resumes=True))
    assert client.negotiated["useStatefulReconnect"] is True
    witness = enter(CoreClient(nodes[0].url))
    identity = client.call("introduce", "Ada")["connectionId"]
    client.call("join", "harbour")
    speakers = [Speaker(connect_to(node.url, "core_pysignalr")) for node in nodes]
    own = []
    for number in range(ROUNDS):
        client.break_off()
        # Why wait: so that something is said, here and elsewhere, while the client is away.
        for speaker in speakers:
            speaker.wait_for(len(speaker.said) + 10)
        text = f"said while away {number}"
        own += client.post("send", [text])
        client.come_back()
        assert "error" not in client.answers(own)[-1]
    said = [speaker.stop() for speaker in speakers]
    client.call("send", "fence")
    total = sum(len(texts) for texts in said) + ROUNDS + 1
    for each in (client, witness):
        each.wait_to_have_heard(total)
    assert client.heard() == witness.heard(), "each once, in the one order that everybody hears"
    assert [kind for kind, _ in client.signals].count(SEQUENCE) == ROUNDS
    client.wait_for_signal(ACK)
    assert client.call("introduce", "Grace")["connectionId"] == identity
    client.call("sayTo", "harbour", "still a member")
    client.wait_to_have_heard(1, "said")


def test_a_connection_cannot_be_resumed_on_another_node_and_a_new_one_can_be_begun_there(start_nodes, enter):
    nodes = start_nodes(3)
    wait_until_known(nodes, 0, 1, 2)
    client = enter(CoreClient(nodes[0].url, resumes=True))
    client.call("echo", 1)
    client.break_off()
    for other in nodes[1:]:
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            client.come_back(other.url)
        assert refused.value.status_code == 404
    client.come_back()
    assert client.call("echo", 2) == 2
    for node in nodes:
        assert enter(CoreClient(node.url, resumes=True)).call("echo", 3) == 3


def test_a_connection_may_be_negotiated_on_one_node_and_begun_on_another_where_it_then_is(start_nodes, enter):
    nodes = start_nodes(3)
    wait_until_known(nodes, 0, 1, 2)
    client = enter(CoreClient(nodes[1].url, resumes=True, negotiates_at=nodes[0].url))
    client.call("echo", 1)
    client.break_off()
    for other in (nodes[0], nodes[2]):
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            client.come_back(other.url)
        assert refused.value.status_code == 404
    client.come_back()
    assert client.call("echo", 2) == 2


def test_a_client_that_stays_away_is_given_up_as_lost_once(start_nodes):
    [node] = start_nodes(1, BUSBAR_LOG_LEVEL="debug")
    client = CoreClient(node.url, resumes=True)
    client.call("echo", 1)
    client.break_off()
    identity = client.negotiated["connectionId"]
    what = f"connection={identity} hub=ChatHub reason=lost"
    eventually(lambda: what in node.errors, "the end of the connection", 40)
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        client.come_back()
    assert refused.value.status_code == 404
    assert node.errors.count(f"connection={identity}") == 1
