"""Several real nodes on one broker: who hears whom, and what happens when a node or the broker goes away."""

import contextlib
import itertools
import os
import subprocess
import threading
import urllib.error
import urllib.request

import pytest

from checks import a_room_reaches_its_members_only
from classic_client import ClassicClient
from processes import ANSWER_SECONDS, BUSBAR, ENVIRONMENT, Server, eventually

PROGRAMS = ["classic", "core_pysignalr", "core_signalrcore"]
SENDER = os.path.join(os.path.dirname(BUSBAR), "busbar-sender")


class Speaker:
    """Says numbered texts through a client from a thread of its own until told to stop; each is accepted before the next."""

    def __init__(self, client):
        self._client = client
        self._stop = threading.Event()
        self.said = []
        self.errors = []
        self._thread = threading.Thread(target=self._speak, daemon=True)
        self._thread.start()

    def _speak(self):
        while not self._stop.is_set():
            text = f"message {len(self.said)}"
            error = self._client.call("send", text).error
            if error is not None:
                self.errors.append(error)
                return
            self.said.append(text)

    def wait_for(self, count):
        eventually(lambda: len(self.said) >= count or self.errors, f"{count} accepted messages, not {len(self.said)}")
        assert not self.errors, self.errors

    def stop(self):
        self._stop.set()
        self._thread.join(ANSWER_SECONDS)
        assert not self.errors, self.errors
        return self.said


def readiness(url):
    """Status and text of `/health/ready`; status 0 when nobody listens."""
    try:
        with urllib.request.urlopen(f"{url}/health/ready", timeout=ANSWER_SECONDS) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def wait_for_readiness(url, status):
    """The text that comes with it."""
    return eventually(lambda: (answer := readiness(url))[0] == status and answer, f"status {status} of {url}")[1]


def test_tabs_on_different_nodes_see_each_others_messages_through_the_backplane(backplane, start_farm, open_page):
    farm = start_farm(backplane=backplane)
    ada, grace = open_page(farm.urls[0], "Ada"), open_page(farm.urls[1], "Grace")
    assert ada.fact("node") == f"node {farm.urls[0].rpartition(':')[2]}"
    assert grace.fact("node") == f"node {farm.urls[1].rpartition(':')[2]}"
    ada.say("from the first node")
    grace.wait_to_show("from the first node")
    grace.say("from the second node")
    ada.wait_to_show("from the second node")
    talk = [("Ada", "from the first node"), ("Grace", "from the second node")]
    assert ada.messages() == grace.messages() == talk
    ada.photograph("farm-first-node")
    grace.photograph("farm-second-node")


def test_tabs_on_different_nodes_without_a_backplane_see_only_their_own_and_the_farm_says_why(start_farm, open_page):
    farm = start_farm()
    ada, grace = open_page(farm.urls[0], "Ada"), open_page(farm.urls[1], "Grace")
    for text in ("one", "two"):
        for page in (ada, grace):
            page.say(text)
            page.wait_to_show(text)
    assert ada.messages() == [("Ada", "one"), ("Ada", "two")]
    assert grace.messages() == [("Grace", "one"), ("Grace", "two")]
    why = [line for line in farm.lines if "do NOT hear each other" in line]
    assert len(why) == 1 and "memory:" in why[0] and "--backplane redis://" in why[0]


@pytest.mark.parametrize("nodes", [2, 3])
def test_N_35_clients_of_both_generations_on_different_nodes_hear_each_other_exactly_once(
    nodes, backplane, start_farm, connect_to
):
    farm = start_farm(nodes=nodes, backplane=backplane)
    clients = [connect_to(url, program) for url, program in zip(itertools.cycle(farm.urls), PROGRAMS)]
    said = []
    for round_number in range(20):
        for client in clients:
            text = f"{client.program} says {round_number}: smørrebrød 🥪"
            assert client.call("send", text).error is None
            said.append([text])
    for client in clients:
        client.wait_to_hear(*said[-1])
        assert client.heard() == said


@pytest.mark.parametrize("nodes", [2, 3])
def test_N_38_a_room_reaches_its_members_on_every_node_and_nobody_else(nodes, backplane, start_farm, connect_to):
    farm = start_farm(nodes=nodes, backplane=backplane)
    a_room_reaches_its_members_only(
        [connect_to(url, program, "said") for url, program in zip(itertools.cycle(farm.urls), PROGRAMS)]
    )


@pytest.mark.parametrize("nodes", [2, 3])
def test_n47_json_messagepack_and_classic_clients_on_different_nodes_hear_each_other_in_their_own_protocol(
    nodes, backplane, start_farm, connect_to
):
    farm = start_farm(nodes=nodes, backplane=backplane)
    programs = ["core_pysignalr", "core_pysignalr+messagepack", "classic", "core_signalrcore+messagepack"]
    clients = [
        connect_to(farm.urls[number % nodes], program, "said") for number, program in enumerate(programs)
    ]
    for client in clients:
        assert client.call("introduce", client.program).error is None
    texts = []
    for round_number in range(5):
        for client in clients:
            texts.append(f"{client.program} says {round_number}: smørrebrød 🥪 " + "x" * 50 * round_number)
            assert client.call("say", texts[-1]).error is None
            assert client.call("send", texts[-1]).error is None
    for client in clients:
        client.wait_to_hear(texts[-1])
        assert client.heard() == [[text] for text in texts]
        assert client.heard("said") == clients[0].heard("said")
    said = [message for [message] in clients[0].heard("said")]
    assert [message["text"] for message in said] == texts
    assert all(message["room"] is None and message["name"] in programs for message in said)


@pytest.mark.parametrize("nodes", [2, 3])
def test_a_thousand_messages_have_one_order_on_all_nodes(nodes, backplane, start_farm, connect_to):
    farm = start_farm(nodes=nodes, backplane=backplane)
    clients = [connect_to(url, "core_pysignalr") for url in farm.urls]
    texts = [f"message {number}" for number in range(1_000)]
    for number, text in enumerate(texts):
        clients[number % nodes].post("send", text)
    for client in clients:
        client.wait_to_have_heard(1_000, seconds=60)
    heard = [client.heard() for client in clients]
    assert sorted(heard[0]) == sorted([text] for text in texts)
    assert all(each == heard[0] for each in heard)
    for first in range(nodes):
        own = [[text] for text in texts[first::nodes]]
        assert [each for each in heard[0] if each in own] == own, "a client's own messages keep their order"


def test_a_classic_client_whose_node_is_killed_resumes_on_another_without_loss_or_repeat(
    backplane, start_farm, connect_to
):
    farm = start_farm(backplane=backplane)
    with contextlib.closing(ClassicClient(farm.urls[0], farm.urls[1])) as client:
        speaker = Speaker(connect_to(farm.urls[1], "core_pysignalr"))
        speaker.wait_for(20)
        client.wait_to_hear("message 19")
        before = client.cursor
        farm.kill_node(0)
        client.wait_to_reconnect()
        speaker.wait_for(len(speaker.said) + 20)
        said = speaker.stop()
        client.wait_to_hear(said[-1])
        assert client.reconnects == [farm.urls[1]]
        assert client.cursor != before
        assert client.heard == said


def test_a_node_that_was_killed_is_reported_and_comes_back(redis, start_farm, connect_to):
    farm = start_farm(backplane=redis.url)
    [first] = farm.pids[farm.urls[0]]
    farm.kill_node(0)
    assert farm.wait_for_next_process(0) != first
    assert any("was ended by signal 9; it is started again" in line for line in farm.lines)
    wait_for_readiness(farm.urls[0], 200)
    here, there = connect_to(farm.urls[0], "classic"), connect_to(farm.urls[1], "core_signalrcore")
    assert here.call("send", "back again").error is None
    there.wait_to_hear("back again")


def test_nodes_recover_by_themselves_from_a_redis_that_was_killed_and_started_under_traffic(
    redis, start_farm, connect_to
):
    farm = start_farm(backplane=redis.url)
    listeners = [connect_to(url, "core_pysignalr") for url in farm.urls]
    speakers = [Speaker(connect_to(url, "core_signalrcore")) for url in farm.urls]
    for speaker in speakers:
        speaker.wait_for(20)
    redis.kill()
    for url in farm.urls:
        assert "unreachable" in wait_for_readiness(url, 503)
    redis.start()
    for url in farm.urls:
        wait_for_readiness(url, 200)
    for speaker in speakers:
        speaker.wait_for(len(speaker.said) + 20)
    said = [speaker.stop() for speaker in speakers]
    assert listeners[0].call("send", "fence").error is None
    for listener in listeners:
        listener.wait_to_hear("fence")
    heard = [[text for [text] in listener.heard()] for listener in listeners]
    assert heard[0] == heard[1], "one order on both nodes"
    assert sorted(heard[0][:-1]) == sorted(text for texts in said for text in texts), "accepted = delivered, each once"


@pytest.mark.parametrize("policy", ["buffer", "local"])
def test_a_server_starts_without_its_redis_says_so_serves_by_policy_and_heals_by_itself(policy, redis, connect_to):
    redis.kill()
    server = Server(0, redis.url, "--offline", policy)
    try:
        said = "starting; the broker: unreachable"
        eventually(lambda: (answer := readiness(server.url))[0] == 503 and said in answer[1], said)
        eventually(lambda: "unreachable" in server.errors, "the log to say that the broker is away")
        here, there = connect_to(server.url, "classic"), connect_to(server.url, "core_pysignalr")
        if policy == "buffer":
            here.post("send", "while away")
        else:
            assert here.call("send", "while away").error is None
            there.wait_to_hear("while away")
        redis.start()
        wait_for_readiness(server.url, 200)
        assert here.call("send", "we are on").error is None
        for client in (here, there):
            client.wait_to_hear("we are on")
            assert client.heard() == [["while away"], ["we are on"]]
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize("count", [2, 3])
def test_N_50_nodes_of_two_apps_and_of_two_databases_on_one_redis_never_hear_each_other(count, redis, connect_to):
    backplanes = [f"{redis.url}/0?app=one", f"{redis.url}/0?app=two", f"{redis.url}/1?app=one"]
    servers = [Server(0, backplane) for backplane in backplanes for _ in range(count)]
    try:
        clients = [connect_to(server.url, "core_pysignalr", "said") for server in servers]
        for number, client in enumerate(clients):
            assert client.call("send", f"from {number}").error is None
        for number, client in enumerate(clients):
            assert client.call("introduce", f"client {number}").error is None
            assert client.call("join", "lobby").error is None
        for number, client in enumerate(clients):
            assert client.call("sayTo", "lobby", f"to the lobby from {number}").error is None
        for number, client in enumerate(clients):
            own = range(number // count * count, number // count * count + count)
            eventually(lambda: len(client.heard("said")) >= count, f"what the lobby of client {number} hears")
            assert [message["text"] for [message] in client.heard("said")] == [f"to the lobby from {each}" for each in own]
            assert client.heard() == [[f"from {each}"] for each in own]
    finally:
        for server in servers:
            assert server.stop() == 0


def send_from_outside(url, text):
    """Runs the example that sends and serves nobody."""
    return subprocess.run(
        [SENDER, url, text], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", env=ENVIRONMENT,
        timeout=ANSWER_SECONDS,
    )


def test_a_process_that_serves_nobody_reaches_the_clients_of_every_node_in_order(redis, start_farm, connect_to):
    farm = start_farm(backplane=redis.url)
    clients = [connect_to(url, program) for url, program in zip(farm.urls, PROGRAMS)]
    said = []
    for number in range(3):
        assert clients[number % 2].call("send", f"from a client {number}").error is None
        done = send_from_outside(redis.url, f"from outside {number} 🥪")
        assert done.returncode == 0, done.stderr
        said += [[f"from a client {number}"], [f"from outside {number} 🥪"]]
    for client in clients:
        client.wait_to_hear(*said[-1])
        assert client.heard() == said


def test_a_process_that_serves_nobody_says_in_one_line_why_it_could_not_send(redis):
    redis.kill()
    for url, status, named in [
        (redis.url, 1, "unreachable"), ("redis://127.0.0.1:0", 64, "port"), ("pigeon://loft", 64, "scheme"),
    ]:
        done = send_from_outside(url, "anybody?")
        assert (done.returncode, done.stdout) == (status, "")
        assert named in done.stderr and done.stderr.count("\n") == 1
