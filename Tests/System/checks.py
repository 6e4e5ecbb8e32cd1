"""What more than one suite checks."""

#: What each generation is told when a call fails. The classic text repeats the names as the client spelt them.
ERRORS = {
    "classic": {
        "fail": "the kettle is empty",
        "crash": "There was an error invoking Hub method 'chatHub.crash'.",
        "noSuchMethod": "There was an error invoking Hub method 'chatHub.noSuchMethod'.",
    },
    "core": {
        "fail": "An unexpected error occurred invoking 'fail' on the server. HubException: the kettle is empty",
        "crash": "An unexpected error occurred invoking 'crash' on the server.",
        "noSuchMethod": "Failed to invoke 'noSuchMethod' due to an error on the server."
        " HubException: Method does not exist.",
    },
}

#: What has to come back as it was sent.
VALUES = [
    42,
    -1.5,
    True,
    None,
    "",
    "smørrebrød \u2028 \u0085 \"quoted\" \\ \u0001 🥪",
    [1, [2, []]],
    {"Key": {"nested": [None, "x"]}, "empty": {}},
]


def a_room_reaches_its_members_only(clients):
    """Three clients, wherever they are connected, listening to `said`: one speaks in a room, one is in it for a while."""
    speaker, member, outsider = clients
    assert speaker.call("introduce", "Ada").error is None
    for client in (speaker, member):
        assert client.call("join", "kitchen").error is None
    assert speaker.call("sayTo", "kitchen", "one").error is None
    assert member.call("leave", "kitchen").error is None
    assert speaker.call("sayTo", "kitchen", "two").error is None
    assert speaker.call("send", "fence").error is None
    for client in clients:
        client.wait_to_hear("fence")

    def texts(client):
        return [(message["room"], message["text"]) for [message] in client.heard("said")]

    assert texts(speaker) == [("kitchen", "one"), ("kitchen", "two")]
    assert texts(member) == [("kitchen", "one")]
    assert texts(outsider) == []
