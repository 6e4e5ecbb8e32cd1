"""Real clients of both generations on the same hub at the same time."""

import pytest

from checks import ERRORS, VALUES, a_room_reaches_its_members_only
from conftest import CLIENTS

PROGRAMS = list(CLIENTS)


def test_every_client_hears_every_other_exactly_once_and_in_the_same_order(connect):
    clients = [connect(program) for program in PROGRAMS]
    said = []
    for round_number in range(5):
        for client in clients:
            text = f"{client.program} says {round_number}: smørrebrød 🥪"
            assert client.call("send", text).error is None
            said.append([text])
    for client in clients:
        client.wait_to_hear(*said[-1])
    # Why: the last message is a fence; a repeat or a stray of the others would have come before it or shows here.
    for client in clients:
        assert client.heard() == said


def test_a_client_that_introduced_itself_hears_others_as_said_and_plain_ones_as_text(connect):
    plain = connect("classic")
    introduced = connect("core_pysignalr", "said")
    other = connect("core_signalrcore", "said")
    answer = introduced.call("introduce", " Ada ").result
    assert sorted(answer) == ["connectionId", "node", "transport"]
    assert answer["transport"] == "WebSockets"

    assert introduced.call("say", "from Ada").error is None
    assert plain.call("send", "from a plain client").error is None
    for client in (plain, introduced, other):
        client.wait_to_hear("from a plain client")

    assert plain.heard() == other.heard() == [["from Ada"], ["from a plain client"]]
    assert introduced.heard() == [["from a plain client"]]
    [[message]] = introduced.heard("said")
    assert message.pop("at").endswith("Z")
    assert message == {"connectionId": answer["connectionId"], "name": "Ada", "room": None, "text": "from Ada"}
    assert other.heard("said") == []


@pytest.mark.parametrize(
    "programs", [PROGRAMS[:3], PROGRAMS[3:], ["classic", "core_signalrcore", "core_pysignalr+messagepack"]],
    ids=["one", "other", "mixed"],
)
def test_a_room_reaches_members_of_both_generations_and_nobody_else(connect, programs):
    a_room_reaches_its_members_only([connect(program, "said") for program in programs])


@pytest.mark.parametrize("program", PROGRAMS)
def test_calls_answer_with_their_result(connect, program):
    client = connect(program)
    for value in VALUES:
        answer = client.call("echo", value)
        assert (answer.error, answer.result) == (None, value)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("method", ["fail", "crash", "noSuchMethod"])
def test_calls_that_fail_say_what_they_may_and_the_connection_lives_on(connect, program, method):
    client = connect(program)
    arguments = ["the kettle is empty"] if method == "fail" else []
    generation = program.partition("_")[0]
    assert client.call(method, *arguments).error == ERRORS[generation][method]
    assert client.call("echo", "still here").result == "still here"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_name_and_a_room_have_1_to_40_characters(connect, program):
    client = connect(program)
    assert "Introduce yourself first: call introduce(name)." in client.call("say", "who am I?").error
    for name in ("", "   ", "x" * 41):
        assert "A name has 1 to 40 characters." in client.call("introduce", name).error
        assert "A room name has 1 to 40 characters." in client.call("join", name).error
    assert client.call("introduce", "ø" * 40).error is None


def test_a_client_that_vanishes_disturbs_nobody(connect):
    gone = connect("core_signalrcore")
    staying = connect("core_pysignalr")
    gone.kill()
    assert staying.call("send", "anybody?").error is None
    staying.wait_to_hear("anybody?")
