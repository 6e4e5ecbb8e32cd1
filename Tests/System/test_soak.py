"""What many short-lived groups leave behind: nothing."""

import contextlib
import os
import pathlib
import subprocess
import urllib.parse

from core_client import CoreClient
from processes import eventually
from test_nodes import wait_until_known

#: Rooms that are joined and left; with a million it takes some minutes.
ROOMS = int(os.environ.get("BUSBAR_SOAK_ROOMS", "6000"))
BATCH = 500
#: What the memory of a process that does the same thing again and again may differ by.
SLACK_BYTES = 12 << 20


def resident(node):
    """Bytes of memory of a node's process."""
    status = pathlib.Path(f"/proc/{node.child.pid}/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) << 10


def channels(redis):
    """What nodes have subscribed to on the broker, sorted."""
    port = str(urllib.parse.urlsplit(redis.url).port)
    done = subprocess.run(
        ["redis-cli", "-p", port, "PUBSUB", "CHANNELS"], stdin=subprocess.DEVNULL, capture_output=True,
        encoding="utf-8", timeout=20, check=True,
    )
    return sorted(done.stdout.split())


def test_F_65_short_lived_groups_leave_neither_memory_nor_subscriptions(redis, start_nodes):
    nodes = start_nodes(2)
    wait_until_known(nodes, 0, 1)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(contextlib.closing(CoreClient(node.url))) for node in nodes]

        def come_and_go(first, count):
            for start in range(first, first + count, BATCH):
                rooms = [[f"room {number} of many"] for number in range(start, start + BATCH)]
                for method in ("join", "leave"):
                    for client, ids in [(client, client.post(method, *rooms)) for client in clients]:
                        assert not any("error" in answer for answer in client.answers(ids, seconds=60))

        come_and_go(0, ROOMS // 4)
        before = [resident(node) for node in nodes]
        subscribed = channels(redis)
        assert subscribed
        come_and_go(ROOMS // 4, ROOMS)
        for node, bytes_before in zip(nodes, before):
            eventually(lambda: resident(node) <= bytes_before + SLACK_BYTES, f"no more than {bytes_before} + 12 MiB")
        assert channels(redis) == subscribed
        for client in clients:
            client.call("introduce", "Ada")
            client.call("join", "the last room")
        clients[0].call("sayTo", "the last room", "still here")
        for client in clients:
            client.wait_to_have_heard(1, "said")
