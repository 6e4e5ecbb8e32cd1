"""What more than one suite checks."""


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
