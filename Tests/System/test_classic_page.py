"""A page of the original's time in Chromium, on each transport of the classic protocol, across nodes."""

import pytest

from checks import ERRORS, VALUES
from classic_page import TRANSPORTS
from processes import Server


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_6_tabs_at_two_nodes_talk_through_the_generated_script(redis, start_farm, open_classic_page, transport):
    farm = start_farm(backplane=redis.url)
    ada, grace = (open_classic_page(url, transport) for url in farm.urls)
    assert ada.fact("transport") == grace.fact("transport") == transport
    said = []
    for number in range(5):
        for name, page in (("Ada", ada), ("Grace", grace)):
            text = f"{name}, {number}: smørrebrød + <b>butter</b> & </script> 🥪"
            page.say(text)
            said.append(("", text))
    # Why: each waited for its answer, so no message is under way but to the other tab.
    ada.wait_for_messages(said)
    grace.wait_for_messages(said)

    for value in VALUES:
        assert (answer := grace.call("echo", value)).error is None
        assert answer.result == value
    for method, source in (("fail", "HubException"), ("crash", "Exception"), ("noSuchMethod", "Exception")):
        answer = ada.invoke(method, *(["the kettle is empty"] if method == "fail" else []))
        assert answer.error.lower() == ERRORS["classic"][method].lower()
        assert answer.source == source
    counted = grace.call("count", 5)
    assert counted.result == 5
    grace.wait_for_progress([1, 2, 3, 4, 5])
    # Why: over requests the result comes by another way than its progress, which the call hears of only while it lasts.
    assert counted.progress == [1, 2, 3, 4, 5][: 5 if transport == "webSockets" else len(counted.progress)]

    assert ada.hub_state == {}
    assert ada.call("introduce", " Ada ").result["connectionId"] == ada.fact("connection")
    assert ada.hub_state == {"name": "Ada"}
    assert ada.call("say", "I am Ada").error is None
    ada.wait_for_messages([*said, ("Ada", "I am Ada")])
    grace.wait_for_messages([*said, ("", "I am Ada")])
    for name, page in (("ada", ada), ("grace", grace)):
        assert page.events == page.script_errors() == []
        page.photograph(f"classic-{transport}-{name}")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_3_7_a_tab_whose_node_was_killed_and_started_again_misses_and_repeats_nothing(
    redis, start_farm, open_classic_page, transport
):
    farm = start_farm(backplane=redis.url)
    ada, grace = (open_classic_page(url, transport) for url in farm.urls)
    assert ada.call("introduce", "Ada").error is None
    ada.say("before")
    grace.wait_to_show("before")
    farm.kill_node(0)
    # Why so long: Chromium tells nobody that a frame's document broke off, so that only 20 seconds of silence do.
    ada.wait_for_state("reconnecting", seconds=60)
    said = [f"while Ada is away {number}" for number in range(10)]
    for text in said:
        grace.say(text)
    ada.wait_for_state("connected")
    grace.say("welcome back")
    said = [("", text) for text in ("before", *said, "welcome back")]
    ada.wait_for_messages(said)
    # Why: the node that had her name is gone; she brought it along as state. Her group came with the token.
    assert ada.call("say", "thank you").error is None
    ada.wait_for_messages([*said, ("Ada", "thank you")])
    grace.wait_for_messages([*said, ("", "thank you")])
    assert ada.events == ["reconnecting", "reconnected"]
    assert grace.events == ada.script_errors() == grace.script_errors() == []
    ada.photograph(f"classic-{transport}-and-back")


def test_4_an_automatic_start_takes_the_first_transport_there_is(server, open_classic_page):
    page = open_classic_page(server.url, "auto")
    assert page.fact("transport") == "webSockets"
    page.say("hello")
    page.wait_for_messages([("", "hello")])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_6_who_stops_and_starts_again_hears_everything_once(server, open_classic_page, connect, transport):
    other = connect("classic")
    page = open_classic_page(server.url, transport)
    before = page.fact("connection")
    for text in ("first", "second"):
        assert other.call("send", text).error is None
        page.wait_to_show(text)
        page.run("$.connection.hub.stop();")
        page.wait_for_state("disconnected")
        assert other.call("send", "not heard").error is None
        page.run("$.connection.hub.start({transport: arguments[0]}).done((hub) => $('#connection').text(hub.id));", transport)
        page.wait_for_state("connected")
    page.wait_for_fact("connection", lambda text: text not in ("", before))
    page.say("fence")
    page.wait_for_messages([("", "first"), ("", "second"), ("", "fence")])
    assert page.events == ["disconnected"] * 2
    assert page.script_errors() == []


@pytest.mark.parametrize("transport", [each for each in TRANSPORTS if each != "foreverFrame"])
def test_1_7_a_page_of_an_allowed_origin_connects_with_its_cookies_and_no_other(server, open_classic_page, transport):
    allowing = Server(0, "memory:", "--origins", server.url)
    refusing = Server(0, "memory:", "--origins", "https://elsewhere.example")
    try:
        page = open_classic_page(server.url, transport, allowing.url)
        page.say("from another origin")
        page.wait_for_messages([("", "from another origin")])
        assert page.call("echo", [1, {"x": None}]).result == [1, {"x": None}]
        assert page.script_errors() == []
        assert page.failure_of_start(refusing.url) == "Error during negotiation request: 0"
        [error] = page.script_errors()
        assert "No 'Access-Control-Allow-Origin' header" in error["message"]
    finally:
        for each in (allowing, refusing):
            assert each.stop() == 0
