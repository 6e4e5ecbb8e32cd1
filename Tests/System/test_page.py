"""The chat page in Chromium: two tabs are two people."""

import pytest

from processes import Server


def test_two_tabs_and_plain_clients_talk_to_each_other(server, connect, open_page):
    classic, core = connect("classic"), connect("core_pysignalr")
    ada, grace = open_page(server.url, "Ada"), open_page(server.url, "Grace")
    assert ada.fact("transport") == "WebSockets"
    assert ada.fact("connection") != grace.fact("connection")
    assert ada.fact("node") == grace.fact("node") != "–"

    ada.say("Is the west feeder back?")
    grace.wait_to_show("Is the west feeder back?")
    grace.say("It is: <b>412 A</b> & steady 🙂")
    assert classic.call("send", "from the classic client").error is None
    core.wait_to_hear("from the classic client")
    assert core.call("send", "that was all").error is None

    texts = [
        "Is the west feeder back?",
        "It is: <b>412 A</b> & steady 🙂",
        "from the classic client",
        "that was all",
    ]
    names = ["Ada", "Grace", "guest", "guest"]
    for page in (ada, grace):
        page.wait_to_show("that was all")
        assert sorted(page.messages()) == sorted(zip(names, texts))
        assert page.script_errors() == []
    for client in (classic, core):
        client.wait_to_hear("that was all")
        assert sorted(client.heard()) == sorted([text] for text in texts)
    ada.use_scheme("dark")
    ada.photograph("chat-dark")
    grace.photograph("chat-light")


def test_rooms_are_heard_by_their_members_only(server, open_page):
    ada, grace, edith = (open_page(server.url, name) for name in ("Ada", "Grace", "Edith"))
    for page in (ada, grace):
        page.join("kitchen")
    grace.enter("")
    ada.say("only for the kitchen")
    ada.wait_to_show("only for the kitchen")
    ada.enter("")
    ada.say("for everybody")
    for page in (grace, edith):
        page.wait_to_show("for everybody")
        assert page.messages() == [("Ada", "for everybody")]
    assert grace.unread("kitchen") == "1"
    grace.enter("kitchen")
    assert grace.messages() == [("Ada", "only for the kitchen")]
    grace.photograph("rooms")

    grace.leave("kitchen")
    ada.enter("kitchen")
    ada.say("has everybody left?")
    ada.wait_to_show("has everybody left?")
    ada.enter("")
    ada.say("back among you")
    grace.wait_to_show("back among you")
    assert grace.messages() == [("Ada", "for everybody"), ("Ada", "back among you")]


@pytest.mark.parametrize("ending", ["killed", "stopped"])
def test_both_tabs_come_back_by_themselves_after_the_server_was(ending, server, open_page):
    ada, grace = open_page(server.url, "Ada"), open_page(server.url, "Grace")
    for page in (ada, grace):
        page.join("kitchen")
    before = ada.fact("connection"), ada.fact("node")
    if ending == "killed":
        server.kill()
    else:
        assert server.stop() == 0
    for page in (ada, grace):
        page.wait_for_state("waiting", "connecting")
    ada.photograph(f"{ending}-connection-lost")

    again = Server(port=server.port)
    try:
        for page in (ada, grace):
            page.wait_for_state("connected")
        assert ada.fact("connection") != before[0] and ada.fact("node") != before[1]
        ada.say("still in the kitchen")
        grace.wait_to_show("still in the kitchen")
        grace.enter("")
        grace.say("and among everybody")
        ada.enter("")
        ada.wait_to_show("and among everybody")
        assert ada.messages() == grace.messages() == [("Grace", "and among everybody")]
        grace.enter("kitchen")
        assert grace.messages() == [("Ada", "still in the kitchen")]
        grace.photograph(f"{ending}-and-back")
    finally:
        assert again.stop() == 0
