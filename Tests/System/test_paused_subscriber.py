"""F-58: a node that the system pauses, while its broker goes on, and maybe has enough of it."""

import signal

import pytest

from processes import BUSBAR, Process, eventually
from test_command import run

COUNT = 20


@pytest.mark.parametrize("broker_cuts_off", [False, True], ids=["kept", "cut off"])
@pytest.mark.parametrize("name", ["redis", "postgres", "rabbit"])
def test_f58_a_paused_node_finds_in_the_log_what_was_said_meanwhile(name, broker_cuts_off, request):
    broker = request.getfixturevalue(name)
    subscriber = Process("paused", [BUSBAR, "subscribe", "orders", "--backplane", broker.url, "--count", str(COUNT)])
    eventually(lambda: "listening to " in subscriber.errors, "a subscription")
    subscriber.child.send_signal(signal.SIGSTOP)
    try:
        for number in range(COUNT - 1):
            run("publish", "orders", f"{number} sold", "--backplane", broker.url)
        if broker_cuts_off:
            broker.cut_links()
    finally:
        subscriber.child.send_signal(signal.SIGCONT)
    run("publish", "orders", f"{COUNT - 1} sold", "--backplane", broker.url)
    assert subscriber.child.wait(timeout=60) == 0
    eventually(lambda: len(subscriber.lines) == COUNT, "every line that was printed")
    assert [line.split("\t")[1] for line in subscriber.lines] == [f"{number} sold" for number in range(COUNT)]
    assert "gap" not in subscriber.errors
