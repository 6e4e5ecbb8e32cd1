"""Classic clients over requests, on one node and on a farm without sticky sessions."""

import contextlib

import pytest

from classic_client import ClassicClient
from classic_requests import TRANSPORTS, RequestsClient


@contextlib.contextmanager
def connected(transport, *urls, **named):
    client = RequestsClient(transport, *urls, **named)
    try:
        yield client
    finally:
        client.vanish()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("version", ["1.4", "1.5", "2.0", "2.1"])
def test_19_each_version_hears_and_calls_over_each_transport(server, transport, version):
    with connected(transport, server.url, version=version) as client:
        assert client.call("echo", "a+b & c")["R"] == "a+b & c"
        for number in range(50):
            assert "E" not in client.call("send", f"message {number}")
        client.wait_to_hear("message 49")
        assert client.heard == [f"message {number}" for number in range(50)]
        assert client.call("fail", "the kettle is empty")["E"] == "the kettle is empty"
        client.abort()


def test_all_transports_and_generations_hear_each_other_on_one_hub(server, connect):
    core = connect("core_pysignalr")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(transport, server.url)) for transport in TRANSPORTS]
        socket = stack.enter_context(contextlib.closing(ClassicClient(server.url)))
        said = []
        for number in range(10):
            for client in (*clients, socket):
                text = f"{number}: smørrebrød 🥪 {len(said)} \u2028 </script>"
                assert "E" not in client.call("send", text)
                said.append(text)
        assert core.call("send", "fence").error is None
        said.append("fence")
        for client in (*clients, socket):
            client.wait_to_hear("fence")
            assert client.heard == said


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("count", [2, 3])
def test_63_N_41_every_request_may_go_to_another_node(count, redis, start_farm, transport):
    farm = start_farm(nodes=count, backplane=redis.url)
    with connected(transport, *farm.urls) as client, contextlib.closing(ClassicClient(farm.urls[1])) as other:
        for number in range(30):
            assert "E" not in client.call("send", f"own {number}")
            assert "E" not in other.call("send", f"other {number}")
        client.wait_to_hear("other 29")
        assert client.heard == [text for number in range(30) for text in (f"own {number}", f"other {number}")]
        if transport == "longPolling":
            client.wait_to_be_served_by(*farm.urls)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("count", [2, 3])
def test_49_54_58_N_46_who_is_dropped_comes_back_on_another_node_with_groups_and_without_loss(
    count, redis, start_farm, transport
):
    farm = start_farm(nodes=count, backplane=redis.url)
    with connected(transport, *farm.urls) as client, contextlib.closing(ClassicClient(farm.urls[0])) as other:
        said = []
        for round_number in range(6):
            for number in range(5):
                text = f"{round_number}.{number}"
                assert "E" not in other.call("send", text)
                said.append(text)
                if number == 2:
                    client.drop()
        client.wait_to_hear(said[-1])
        assert client.heard == said
        # Why: who has not introduced itself is in a group of its own, which `say` addresses.
        assert other.call("introduce", "Ada").get("E") is None
        assert other.call("say", "to the group").get("E") is None
        client.wait_to_hear("to the group")
        assert client.heard == [*said, "to the group"]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("count", [2, 3])
def test_a_node_that_is_killed_takes_nothing_with_it(count, redis, start_farm, transport):
    farm = start_farm(nodes=count, backplane=redis.url)
    with connected(transport, *farm.urls) as client, contextlib.closing(ClassicClient(farm.urls[1])) as other:
        assert "E" not in other.call("send", "before")
        client.wait_to_hear("before")
        farm.kill_node(0)
        said = [f"message {number}" for number in range(20)]
        for text in said:
            assert "E" not in other.call("send", text)
        client.wait_to_hear(said[-1])
        assert client.heard == ["before", *said]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("count", [2, 3])
def test_T11_abort_at_any_node_ends_the_receive_request(count, redis, start_farm, transport):
    farm = start_farm(nodes=count, backplane=redis.url)
    for first in (farm.urls, farm.urls[::-1]):
        with connected(transport, *first) as client:
            client.abort()
