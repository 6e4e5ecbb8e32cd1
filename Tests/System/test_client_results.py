"""Clients that answer calls of their methods, asked by clients of other nodes."""

import pytest

from test_nodes import NOTICE_SECONDS, wait_until_known

#: Who answers. The first speaks JSON, the second MessagePack.
ANSWERING = ["core_pysignalr", "core_pysignalr+messagepack"]


def connection_id(client):
    return client.call("introduce", client.program).result["connectionId"]


@pytest.mark.parametrize("answering", ANSWERING)
def test_a_client_on_the_same_node_answers_with_a_value_or_an_error(connect, answering):
    client, asker = connect(answering), connect("classic")
    there = connection_id(client)
    assert asker.call("ask", there, "🥪?").result == {"🥪?": 2}
    assert asker.call("ask", there, "fail").error == "clientFailed: the client can't say"
    assert client.call("ask", there, "myself").result == {"myself": 6}
    assert "noSuchConnection" in asker.call("ask", "nobody", "?").error
    classic = connection_id(asker)
    assert "resultsUnsupported" in client.call("ask", classic, "?").error


@pytest.mark.parametrize("nodes", [2, 3])
@pytest.mark.parametrize("answering", ANSWERING)
def test_n48_a_client_of_another_node_answers_with_a_value_or_an_error_and_is_missed_at_once_when_it_leaves(
    nodes, answering, start_nodes, connect_to
):
    running = start_nodes(nodes)
    wait_until_known(running, *range(nodes))
    client = connect_to(running[-1].url, answering)
    there = connection_id(client)
    for node in running:
        asker = connect_to(node.url, "core_pysignalr+messagepack")
        assert asker.call("ask", there, "smørrebrød").result == {"smørrebrød": 10}
        assert "clientFailed: the client can't say" in asker.call("ask", there, "fail").error
    silent = connect_to(running[-1].url, "core_signalrcore", "asked")
    silent_there = connection_id(silent)
    asker = connect_to(running[0].url, "core_pysignalr")
    call = asker.post("ask", silent_there, "anybody?")
    silent.wait_to_hear("anybody?", target="asked")
    silent.kill()
    assert f"disconnected: Connection '{silent_there}' disconnected." in asker.answer_to(call).error
    assert "noSuchConnection" in asker.call("ask", silent_there, "still?").error


@pytest.mark.parametrize("nodes", [2, 3])
def test_n48_when_the_node_of_the_client_is_killed_in_the_middle_the_caller_is_told_long_before_its_time_is_over(
    nodes, start_nodes, connect_to
):
    running = start_nodes(nodes)
    wait_until_known(running, *range(nodes))
    silent = connect_to(running[-1].url, "core_signalrcore", "asked")
    there = connection_id(silent)
    asker = connect_to(running[0].url, "core_pysignalr")
    call = asker.post("ask", there, "anybody?")
    silent.wait_to_hear("anybody?", target="asked")
    running[-1].kill()
    # Why this shows that nobody waited for the call's own limit: its error would be another one.
    assert "nodeGone" in asker.answer_to(call, NOTICE_SECONDS).error
    wait_until_known(running[:-1], *range(nodes - 1))
    # Why not nodeGone: an id from negotiation version 0, which this client asks for, doesn't say which node issued it.
    assert "noSuchConnection" in asker.call("ask", there, "still?").error
    assert asker.call("echo", "well").result == "well"
