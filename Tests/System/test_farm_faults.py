"""What one client, one link to the broker or one node suffers, and that nobody else notices: real nodes on real brokers."""

import contextlib
import re
import signal
import threading

import pytest

from classic_client import ClassicClient
from classic_requests import RequestsClient
from core_client import CoreClient
from processes import Server, eventually
from test_farm import wait_for_readiness
from test_nodes import NOTICE_SECONDS, wait_until_known

#: How fast nodes give up a client that is away, so that a test may wait for it: the least that is allowed.
DISCONNECT_SECONDS = 6


@pytest.fixture
def enter():
    """Closes with the test what is given to it, and returns it."""
    with contextlib.ExitStack() as stack:
        yield lambda client: stack.enter_context(contextlib.closing(client))


@pytest.mark.parametrize("fault", ["stop_reading", "break_off"])
@pytest.mark.parametrize("count", [2, 3])
def test_N_44_a_member_whose_link_fails_hinders_neither_the_publisher_nor_the_other_members(
    count, fault, start_nodes, enter
):
    nodes = start_nodes(count)
    wait_until_known(nodes, *range(count))
    stuck = CoreClient(nodes[0].url, receive_bytes=4_096)
    members = [enter(CoreClient(node.url)) for node in nodes]
    publisher = members[-1]
    for member in (stuck, *members):
        member.call("introduce", "somebody")
        member.call("join", "harbour")
    getattr(stuck, fault)()
    texts = []

    def publish():
        """Says something large to the room: a kernel holds some megabytes for a client that doesn't read."""
        texts.append(f"{len(texts)}: " + "x" * 30_000)
        publisher.call("sayTo", "harbour", texts[-1])
        return "reads too slowly" in nodes[0].errors

    try:
        if fault == "stop_reading":
            assert any(publish() for _ in range(2_000)), "the one who doesn't read is ended"
        for _ in range(20):
            publish()
    finally:
        stuck.close()
    for member in members:
        member.wait_to_have_heard(len(texts), "said")
        assert [message["text"] for [message] in member.heard("said")] == texts
    assert len(stuck.heard("said")) < len(texts)


def endings(node):
    """The ends of connections that a node has logged, as id and reason, in order."""
    return re.findall(r"connection=(\S+) .*reason=(\w+).*a connection has ended", node.errors)


def test_N_45_a_polling_client_that_vanishes_is_given_up_once_by_the_node_that_had_it(start_nodes):
    nodes = start_nodes(
        3, BUSBAR_LOG_LEVEL="debug", BUSBAR_CLASSIC_DISCONNECT_TIMEOUT=str(DISCONNECT_SECONDS)
    )
    wait_until_known(nodes, 0, 1, 2)
    urls = [node.url for node in nodes]

    def vanished(first, calls):
        """A client whose requests began at any of the nodes, went to all in turn, and end without a word."""
        client = RequestsClient("longPolling", *urls[first:], *urls[:first])
        for number in range(6 + calls):
            # What everybody hears answers the poll, and the next one goes to another node.
            assert "E" not in client.call("send", str(number))
            client.wait_to_hear(str(number))
        assert set(client.served_by) == set(urls)
        client.vanish()
        return client

    clients = [vanished(first, calls) for first in range(3) for calls in range(3)]
    # Why one more: whoever would give the others up a second time has done so when the last to vanish is given up.
    for client in (*clients, vanished(0, 0)):
        found = eventually(
            lambda: [reason for node in nodes for id, reason in endings(node) if id == client.connection_id],
            f"the end of {client.connection_id}", NOTICE_SECONDS + DISCONNECT_SECONDS,
        )
        assert found == ["lost"]
    for client in clients:
        found = [node.url for node in nodes for id, _ in endings(node) if id == client.connection_id]
        assert found == client.served_by[-1:]
    assert {client.served_by[-1] for client in clients} == set(urls)


#: Connections that share the work of the one node that sends: each waits for one message before its next.
HANDS = 20
#: Calls that go out in one frame.
BUNDLE = 250
CUTS = 20


# Why not as many everywhere: a hundred thousand take a minute and a half.
@pytest.mark.parametrize(
    "broker, count, messages",
    [("redis", 2, 100_000), ("redis", 3, 10_000)]
    + [(broker, count, 10_000) for broker in ("postgres", "rabbit") for count in (2, 3)],
)
def test_N_51_what_one_node_sends_to_one_room_survives_cut_links_in_order_and_once(
    broker, count, messages, request, start_farm, enter
):
    broker = request.getfixturevalue(broker)
    farm = start_farm(nodes=count, backplane=broker.url)
    listeners = [enter(CoreClient(url)) for url in farm.urls]
    for listener in listeners:
        listener.call("join", "harbour")
    hands = [enter(CoreClient(farm.urls[0])) for _ in range(HANDS)]
    for hand in hands:
        hand.call("introduce", "somebody")
    share = messages // HANDS
    asked = {}

    def send(name, hand):
        asked[name] = []
        for first in range(0, share, BUNDLE):
            texts = (f"{name} {number}" for number in range(first, first + BUNDLE))
            asked[name] += hand.post("sayTo", *(["harbour", text] for text in texts))

    sending = [threading.Thread(target=send, args=each, daemon=True) for each in enumerate(hands)]
    for each in sending:
        each.start()

    def answered():
        return sum(hand.answered for hand in hands)

    for cut in range(CUTS):
        eventually(lambda: answered() > messages * cut // (CUTS + 1), f"progress after {cut} cuts", 120)
        broker.cut_links()
    for each in sending:
        each.join(120)
    for name, hand in enumerate(hands):
        assert [answer for answer in hand.answers(asked[name], seconds=120) if "error" in answer] == []
    heard = []
    for listener in listeners:
        listener.wait_to_have_heard(messages, "said", seconds=60)
        heard.append([message["text"] for [message] in listener.heard("said")])
    assert len(heard[0]) == messages
    assert all(each == heard[0] for each in heard), "one order on all nodes"
    for name in range(HANDS):
        own = [text for text in heard[0] if text.startswith(f"{name} ")]
        assert own == [f"{name} {number}" for number in range(share)], "in the order in which they were sent"


@pytest.mark.parametrize("policy", ["fail", "local"])
def test_while_the_broker_is_away_sends_fail_with_the_reason_or_stay_on_the_node_as_the_policy_says(
    policy, redis, connect_to
):
    server = Server(0, redis.url, "--offline", policy, BUSBAR_DETAILED_ERRORS="true")
    try:
        here, there = connect_to(server.url, "classic"), connect_to(server.url, "core_pysignalr")
        assert here.call("send", "before").error is None
        redis.kill()
        wait_for_readiness(server.url, 503)
        for client in (here, there):
            error = client.call("send", "while away").error
            if policy == "fail":
                assert "notAccepted: brokerAway" in error
            else:
                assert error is None
            assert client.call("echo", "still served").result == "still served"
        redis.start()
        wait_for_readiness(server.url, 200)
        assert here.call("send", "after").error is None
        away = [] if policy == "fail" else [["while away"], ["while away"]]
        for client in (here, there):
            client.wait_to_hear("after")
            assert client.heard() == [["before"], *away, ["after"]]
    finally:
        assert server.stop() == 0


def test_a_server_that_starts_without_its_broker_and_may_not_buffer_refuses_who_would_join_a_group_and_says_why(redis):
    redis.kill()
    server = Server(0, redis.url, "--offline", "fail", BUSBAR_DETAILED_ERRORS="true")
    try:
        wait_for_readiness(server.url, 503)
        with contextlib.closing(CoreClient(server.url)) as refused:
            assert refused.wait_to_end() == 1000
            [(_, close)] = refused.signals
            assert close["type"] == 7 and "brokerAway" in close["error"] and "allowReconnect" not in close
        redis.start()
        wait_for_readiness(server.url, 200)
        with contextlib.closing(CoreClient(server.url)) as admitted:
            admitted.call("send", "we are on")
            admitted.wait_to_have_heard(1)
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize("is_cut", [False, True], ids=["linked", "cut"])
@pytest.mark.parametrize("count", [2, 3])
def test_f58_clients_of_a_paused_node_hear_what_was_said_meanwhile_in_order_and_once(
    count, is_cut, redis, start_nodes, enter
):
    nodes = start_nodes(count)
    wait_until_known(nodes, *range(count))
    clients = [enter(ClassicClient(nodes[0].url)), enter(CoreClient(nodes[0].url))]
    classic, core = clients
    speaker = enter(CoreClient(nodes[1].url))
    said = ["before"]
    speaker.call("send", said[0])
    nodes[0].child.send_signal(signal.SIGSTOP)
    wait_until_known(nodes[1:], *range(1, count))
    if is_cut:
        redis.cut_links()
    for number in range(500):
        said.append(f"message {number}")
        speaker.call("send", said[-1])
    nodes[0].child.send_signal(signal.SIGCONT)
    wait_until_known(nodes, *range(count))
    said.append("welcome back")
    speaker.call("send", said[-1])
    classic.wait_to_hear(said[-1])
    core.wait_to_have_heard(len(said))
    assert classic.heard == said
    assert core.heard() == [[text] for text in said]
    assert "hub messages may be missing" not in nodes[0].errors


def test_f58_a_paused_node_reports_what_the_log_has_forgotten_and_its_clients_go_on_with_the_rest(
    redis, start_nodes, enter
):
    nodes = start_nodes(2, "?retainedRecords=100")
    wait_until_known(nodes, 0, 1)
    client, speaker = enter(CoreClient(nodes[0].url)), enter(CoreClient(nodes[1].url))
    speaker.call("send", "before")
    client.wait_to_have_heard(1)
    nodes[0].child.send_signal(signal.SIGSTOP)
    wait_until_known(nodes[1:], 1)
    redis.cut_links()
    texts = [f"message {number}" for number in range(1_000)]
    for text in texts:
        speaker.call("send", text)
    nodes[0].child.send_signal(signal.SIGCONT)
    wait_until_known(nodes, 0, 1)
    eventually(lambda: "hub messages may be missing" in nodes[0].errors, "a report of the gap")
    speaker.call("send", "welcome back")
    eventually(lambda: ["welcome back"] in client.heard(), "what is said from now on")
    heard = [text for [text] in client.heard()]
    assert heard[0] == "before" and heard[-1] == "welcome back"
    rest = heard[1:-1]
    assert rest == texts[len(texts) - len(rest) :] and len(rest) < len(texts)
