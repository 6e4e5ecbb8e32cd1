"""What every backplane has to do, one after the other, chosen by nothing but a URL."""

import pytest

# Why by name: a driver that fell out of the build must fail here instead of not being asked.
BACKPLANES = ["memory", "redis", "postgres", "rabbit"]


@pytest.mark.parametrize("name", BACKPLANES)
def test_a_farm_runs_on_each_backplane_and_its_nodes_share_what_is_said_where_that_reaches(
    name, request, start_farm, connect_to
):
    url = "memory:" if name == "memory" else request.getfixturevalue(name).url
    farm = start_farm(backplane=url)
    clients = [connect_to(url, "core_pysignalr") for url in farm.urls]
    said = []
    for number in range(10):
        for node, client in enumerate(clients):
            text = f"{number} on node {node}"
            said.append([text])
            assert client.call("send", text).error is None
            if name != "memory":
                for each in clients:
                    each.wait_to_have_heard(len(said))
    for node, client in enumerate(clients):
        own = [text for text in said if text[0].endswith(f"node {node}")]
        client.wait_to_have_heard(len(own if name == "memory" else said))
        assert client.heard() == (own if name == "memory" else said)
