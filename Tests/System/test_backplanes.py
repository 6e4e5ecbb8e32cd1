"""What every backplane has to do, one after the other, chosen by nothing but a URL."""

import pytest

from processes import eventually

# Why by name: a driver that fell out of the build must fail here instead of not being asked.
BACKPLANES = ["memory", "redis", "rabbit"]


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
            said.append(f"{number} on node {node}")
            assert client.call("send", said[-1]).error is None
            if name != "memory":
                eventually(lambda: all(each.heard() == said for each in clients), "everybody hears it")
    for node, client in enumerate(clients):
        heard = said if name != "memory" else [text for text in said if text.endswith(f"node {node}")]
        eventually(lambda: client.heard() == heard, f"node {node} hears {len(heard)} messages")
