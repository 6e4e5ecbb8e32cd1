"""The examples of the classic protocol's description, byte for byte. Numbers in names are its sections."""

import contextlib
import json
import re
import signal

import pytest

from classic_bytes import FRAME_BODY, TRANSPORTS, Connection, Response, pattern
from processes import Server, eventually

JSON = "application/json; charset=UTF-8"
JAVASCRIPT = "application/javascript; charset=UTF-8"
SEND = '{"H":"chathub","M":"Send","A":["hi"],"I":0}'
HEARD = '{"C":"…","M":[{"H":"ChatHub","M":"messageReceived","A":["hi"]}]}'
NEGOTIATED = re.compile(
    r'\{"Url":"/signalr","ConnectionToken":"[^"]+","ConnectionId":"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",'
    r'"KeepAliveTimeout":20\.0,"DisconnectTimeout":30\.0,"ConnectionTimeout":110\.0,"TryWebSockets":true,'
    r'"ProtocolVersion":"(?P<version>[0-9.]+)","TransportConnectTimeout":5\.0,"LongPollDelay":0\.0\}'
)


@pytest.fixture
def connect_raw(server):
    """Connections to the test's server or to another, which are closed with the test."""
    with contextlib.ExitStack() as stack:

        def connect_raw(transport, url=server.url, **named):
            return stack.enter_context(contextlib.closing(Connection(url, transport, **named)))

        yield connect_raw


@contextlib.contextmanager
def configured(**environment):
    """A server with settings of the test's own, in the environment."""
    server = Server(0, **environment)
    try:
        yield server
    finally:
        if server.child.poll() is None:
            assert server.stop() == 0


def get(url, target, method="GET", body=None, fields={}):
    return Response(url, method, target, body, fields)


# 1 and 2: requests


@pytest.mark.parametrize(
    ("query", "version"),
    [
        ("clientProtocol=2.1&connectionData=%5B%7B%22name%22%3A%22chathub%22%7D%5D&_=1795380547554", "2.1"),
        ("connectionData=%5B%7B%22name%22%3A+%22ChatHub%22%7D%5D&clientProtocol=1.5", "1.5"),
        ("clientProtocol=1.4&connectionData=[%7B%22Name%22:%22ChatHub%22%7D]", "1.4"),
        ("CLIENTPROTOCOL=1.3", "1.3"),
        ("", "1.2"),
        ("clientProtocol=.8", "1.2"),
        ("clientProtocol=2", "1.2"),
        ("clientProtocol=1.2.5", "1.2.5"),
        ("clientProtocol=9.0", "2.1"),
    ],
)
def test_1_2_and_2_1_negotiate_answers_each_generation_with_its_version(server, query, version):
    for method in ("GET", "POST"):
        response = get(server.url, f"/signalr/negotiate?{query}", method)
        assert (response.status, response["Content-Type"]) == (200, JSON)
        assert response["X-Content-Type-Options"] == "nosniff"
        assert NEGOTIATED.fullmatch(response.body().decode("ascii"))["version"] == version


def test_1_8_and_4_7_ping_and_start_answer_with_their_constants(server, connect_raw):
    response = get(server.url, "/signalr/ping?_=1795380547555")
    assert (response.status, response["Content-Type"]) == (200, JSON)
    assert response.body() == b'{ "Response": "pong" }'
    connection = connect_raw("webSockets")
    connection.open()
    for _ in range(2):
        response = connection.get("start", _="1795380547555")
        assert (response.status, response["Content-Type"]) == (200, JSON)
        assert response.body() == b'{ "Response": "started" }'


def test_1_6_jsonp_is_refused_unless_it_is_on(server, connect_raw):
    for what in ("negotiate", "ping", "start", "connect", "poll", "send", "abort"):
        response = connect_raw("longPolling").get(what, callback="foo")
        assert (response.status, response.reason, response.body()) == (403, "Forbidden: JSONP is disabled.", b"")


def test_1_6_and_4_3_answers_become_the_argument_of_the_callback(connect_raw):
    with configured(BUSBAR_CLASSIC_JSONP="true") as server:

        def taken(response, wrapped):
            assert (response.status, response["Content-Type"]) == (200, JAVASCRIPT)
            body = response.body().decode("ascii")
            assert re.fullmatch(rf"foo\.bar\._baz\({wrapped}\);", body), body

        named = {"callback": "foo.bar._baz"}
        connection = connect_raw("longPolling", server.url)
        taken(connection.get("negotiate", **named), NEGOTIATED.pattern)
        taken(connection.get("ping", **named), re.escape('{ "Response": "pong" }'))
        taken(connection.get("connect", **named), r'\{"C":"[^"]+","S":1,"M":\[\]\}')
        taken(connection.get("start", **named), re.escape('{ "Response": "started" }'))
        taken(connection.get("send", data=SEND, **named), re.escape('{"I":"0"}'))
        for bad in ("1nogood", "<yeahright>", "(function(){})", "enum", "bar.class.foo", "foo."):
            for what in ("negotiate", "ping", "start", "connect", "poll", "send"):
                assert connection.get(what, callback=bad).status == 400


@pytest.mark.parametrize(
    ("target", "status", "body"),
    [
        ("connect", 400, "Protocol error: Unknown transport."),
        ("negotiate/", 400, "Protocol error: Unknown transport."),
        ("connect?transport=carrierPigeon", 400, "Protocol error: Unknown transport."),
        ("connect?transport=serverSentEvents", 400, "Protocol error: Missing connection token."),
        ("poll?transport=longPolling&connectionToken=", 400, "Protocol error: Missing connection token."),
        ("send?transport=longPolling&connectionToken=garbage", 400, "The ConnectionId is in the incorrect format."),
    ],
)
def test_1_9_what_is_wrong_with_a_request_is_said_in_these_words(server, target, status, body):
    response = get(server.url, f"/signalr/{target}")
    assert (response.status, response.body().decode("ascii")) == (status, body)
    assert response["X-Content-Type-Options"] == "nosniff"


def test_1_9_a_websocket_transport_without_an_upgrade_and_a_bad_frame_are_told_so(connect_raw):
    response = connect_raw("webSockets").get("connect")
    assert (response.status, response.body()) == (400, b"Not a valid web socket request.")
    for frame in ("invalid", "-100", "1,000", "", " 7", "4294967296"):
        assert connect_raw("foreverFrame").get("connect", frameId=frame).status == 400
    assert connect_raw("foreverFrame").get("connect").status == 400


# 3 and 4: what is received


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_4_the_exchange_of_each_transport(connect_raw, transport):
    connection = connect_raw(transport)
    connection.start()
    response = connection.call(SEND)
    connection.expect(HEARD)
    if response is None:
        connection.expect('{"I":"0"}')
    else:
        assert (response.status, response["Content-Type"], response.body()) == (200, JSON, b'{"I":"0"}')
    if transport == "longPolling":
        connection.open("poll", **connection.position())
    response = connection.post("abort")
    assert (response.status, response["Content-Type"], response.body()) == (200, "text/plain", b"")
    if transport == "webSockets":
        assert connection.close_code() == 1000
    elif transport == "longPolling":
        connection.expect('{"C":"…","M":[]}')
    else:
        assert connection.ended() == b""


@pytest.mark.parametrize(
    ("transport", "method", "content_type"),
    [
        ("serverSentEvents", "GET", "text/event-stream"),
        ("foreverFrame", "GET", "text/html; charset=UTF-8"),
        ("longPolling", "POST", JSON),
    ],
)
def test_1_4_a_receive_request_is_answered_at_once_with_its_type_and_in_chunks(
    connect_raw, transport, method, content_type
):
    response = connect_raw(transport).open()
    assert (response.status, response["Content-Type"]) == (200, content_type)
    assert (response["Transfer-Encoding"], response["X-Content-Type-Options"]) == ("chunked", "nosniff")


def test_4_2_an_event_stream_begins_with_initialized(connect_raw):
    connection = connect_raw("serverSentEvents")
    assert connection.open().chunk() == b"data: initialized\n\n"
    connection.expect('{"C":"…","S":1,"M":[]}')


def test_4_4_a_forever_frame_begins_with_a_document_that_finds_its_transport(connect_raw):
    connection = connect_raw("foreverFrame")
    connection.open()
    head = connection.preamble(b"</head>").decode("ascii")
    for part in (".signalR.transports.foreverFrame", 'getConnection("7")', ".receive", ".started(c)"):
        assert part in head
    connection.preamble(FRAME_BODY)
    connection.expect('{"C":"…","S":1,"M":[]}')


@pytest.mark.parametrize("text", ["</sCRiPT>", "</SCRIPT dosomething='false'>", '<script type="">', "<p>", "\u2028 \u2029 \x85"])
def test_4_4_and_1_5_markup_and_line_ends_are_escapes_in_a_forever_frame(connect_raw, text):
    connection = connect_raw("foreverFrame")
    connection.start()
    connection.call(json.dumps({"H": "chathub", "M": "Send", "A": [text], "I": 0}))
    escaped = re.sub("[<>\x7f-\uffff]", lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))
    envelope = connection.expect(f'{{"C":"…","M":[{{"H":"ChatHub","M":"messageReceived","A":[{escaped}]}}]}}')
    assert envelope["M"][0]["A"] == [text]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_4_1_to_4_4_signs_of_life_have_these_bytes(connect_raw, transport):
    alive = {
        "webSockets": b"{}",
        "serverSentEvents": b"data: {}\n\n",
        "foreverFrame": b"<script>r(c, {});</script>\n\n",
        "longPolling": b" ",
    }[transport]
    # Why: a client that does not have the newest cursor is given it instead, unless that would end its poll.
    cursor = None if transport == "longPolling" else pattern('{"C":"…","M":[]}', transport)
    with configured(BUSBAR_CLASSIC_KEEP_ALIVE="2") as server:
        connection = connect_raw(transport, server.url)
        connection.start()
        channel = connection.open("poll", **connection.position()) if transport == "longPolling" else connection.channel
        for _ in range(3):
            sign = channel.recv().encode("ascii") if transport == "webSockets" else channel.chunk()
            assert sign == alive or cursor and cursor.fullmatch(sign), sign
        connection.call(SEND)
        connection.expect(HEARD)


def test_4_3_a_change_of_groups_alone_completes_a_poll_and_the_token_is_only_in_its_envelope(connect_raw):
    connection = connect_raw("longPolling")
    connection.start()
    connection.open("poll", **connection.position())
    connection.call('{"H":"chathub","M":"Join","A":["kitchen"],"I":1}')
    connection.expect('{"C":"…","G":"…","M":[]}')
    connection.call(SEND)
    connection.expect(HEARD)


def test_3_1_the_delay_of_long_polls_is_told_in_milliseconds_and_the_end_of_the_host_by_T(connect_raw):
    with configured(BUSBAR_CLASSIC_LONG_POLL_DELAY="0.5") as server:
        connection = connect_raw("longPolling", server.url)
        connection.open()
        connection.expect('{"C":"…","S":1,"L":500,"M":[]}')
        assert connection.get("start").body() == b'{ "Response": "started" }'
        connection.expect('{"C":"…","G":"…","L":500,"M":[]}')
        connection.open("poll", **connection.position())
        server.child.send_signal(signal.SIGTERM)
        connection.expect('{"C":"…","T":1,"L":500,"M":[]}')
        eventually(lambda: server.child.poll() is not None, "end of the server")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_3_4_and_3_7_who_reconnects_with_a_cursor_gets_what_it_missed_and_no_S(connect_raw, transport):
    connection, other = connect_raw(transport), connect_raw("serverSentEvents")
    for each in (connection, other):
        each.start()
    connection.close()
    other.call(SEND)
    other.expect(HEARD)
    connection.open("reconnect", **connection.position())
    if transport == "serverSentEvents":
        connection.preamble(b"data: initialized\n\n")
    elif transport == "foreverFrame":
        connection.preamble(FRAME_BODY)
    # Why either: a connection that is still known need not be told its groups again.
    connection.expect(HEARD, HEARD.replace('"M":[{', '"G":"…","M":[{', 1))


# 5: hubs


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_5_3_and_5_4_calls_as_each_client_writes_them_and_their_results(connect_raw, transport):
    connection = connect_raw(transport)
    connection.start()
    for call, result in [
        ('{"H":"chathub","M":"Echo","A":[6],"I":1}', '{"R":6,"I":"1"}'),
        ('{"I":"0","H":"ChatHub","M":"Echo","A":[{"x":1}]}', '{"R":{"x":1},"I":"0"}'),
        ('{"H": "ChatHub", "M": "echo", "A": ["Bob"], "I": 0}', '{"R":"Bob","I":"0"}'),
        ('{"h":"CHATHUB","m":"ECHO","a":[null],"i":2}', '{"I":"2"}'),
        ('{"H":"chathub","M":"leave","A":["nowhere"],"I":3}', '{"I":"3"}'),
        ('{"H":"chathub","M":"Echo","A":["+ & = %20 \\""],"I":4}', '{"R":"+ & = %20 \\"","I":"4"}'),
    ]:
        connection.answer(call, result)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_5_4_and_5_5_errors_name_hub_and_method_as_the_client_spelt_them(connect_raw, transport):
    connection = connect_raw(transport)
    connection.start()
    for call, result in [
        ('{"H":"chathub","M":"Crash","I":3}', '{"I":"3","E":"There was an error invoking Hub method \'chathub.Crash\'."}'),
        ('{"H":"CHATHUB","M":"fail","A":["message"],"I":4}', '{"I":"4","H":true,"E":"message"}'),
        ('{"H":"ChatHub","M":"none","A":[],"I":5}', '{"I":"5","E":"There was an error invoking Hub method \'ChatHub.none\'."}'),
        ('{"H":"ChatHub","M":"echo","A":[],"I":6}', '{"I":"6","E":"There was an error invoking Hub method \'ChatHub.echo\'."}'),
        ('{"H":"ChatHub","M":"send","A":[{}],"I":7}', '{"I":"7","E":"There was an error invoking Hub method \'ChatHub.send\'."}'),
    ]:
        connection.answer(call, result)


def test_5_5_detailed_errors_say_what_went_wrong(connect_raw):
    with configured(BUSBAR_DETAILED_ERRORS="true") as server:
        connection = connect_raw("longPolling", server.url)
        connection.start()
        unresolved = "method could not be resolved."
        connection.answer(
            '{"H":"ChatHub","M":"none","I":0}',
            f'{{"I":"0","E":"\'none\' {unresolved} No method found with that name."}}',
        )
        connection.answer(
            '{"H":"ChatHub","M":"fail","A":["message"],"I":1}', '{"I":"1","H":true,"E":"message"}',
        )
        connection.answer(
            '{"H":"ChatHub","M":"send","A":[],"I":2}',
            f'{{"I":"2","E":"\'send\' {unresolved} Potential candidates are: \\nsend(p1:String):Void"}}',
        )


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_5_8_progress_comes_among_the_messages_and_ahead_of_the_result(connect_raw, transport):
    connection = connect_raw(transport)
    connection.start()
    response = connection.call('{"H":"chathub","M":"Count","A":[1],"I":7}')
    connection.expect('{"C":"…","M":[{"I":"P|7","P":{"I":"7","D":1}}]}')
    if response is None:
        connection.expect('{"R":1,"I":"7"}')
    else:
        assert response.body() == b'{"R":1,"I":"7"}'


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_5_9_state_comes_back_with_the_result_where_the_method_changed_it(connect_raw, transport):
    connection = connect_raw(transport)
    connection.start()
    introduced = '"R":{"connectionId":"…","node":"…","transport":"…"}'
    for call, result in [
        ('{"H":"chathub","M":"Introduce","A":["ACME"],"I":2}', f'{{"S":{{"name":"ACME"}},{introduced},"I":"2"}}'),
        ('{"H":"chathub","M":"Introduce","A":["ACME"],"I":3,"S":{"name":"ACME"}}', f'{{{introduced},"I":"3"}}'),
        ('{"H":"chathub","M":"Introduce","A":["B"],"I":4,"S":{"name":"ACME","x":{"y":[1]}}}',
         f'{{"S":{{"name":"B"}},{introduced},"I":"4"}}'),
    ]:
        connection.answer(call, result)


# 6: the generated script


def test_6_the_script_has_its_type_its_base_and_both_names(server):
    bodies = []
    for path in ("/signalr/hubs", "/signalr/js", "/signalr/hubs/", "/SIGNALR/HUBS"):
        response = get(server.url, path)
        assert (response.status, response["Content-Type"]) == (200, JAVASCRIPT)
        base = path.rstrip("/").rpartition("/")[0]
        bodies.append(response.body().decode("ascii").replace(f'$.hubConnection("{base}"', '$.hubConnection("/signalr"'))
    assert len(set(bodies)) == 1
    assert '$.hubConnection("/signalr", { useDefaultPath: false });' in bodies[0]
    response = get(server.url, "/signalr/hubs")
    again = get(server.url, "/signalr/hubs", fields={"If-None-Match": response["ETag"]})
    assert (again.status, again.body()) == (304, b"")


def test_6_a_script_that_is_switched_off_throws():
    with configured(BUSBAR_CLASSIC_JAVASCRIPT_PROXIES="false") as server:
        response = get(server.url, "/signalr/hubs")
        assert (response.status, response["Content-Type"]) == (200, JAVASCRIPT)
        assert response.body() == b"throw new Error('SignalR: JavaScript Hub proxy generation has been disabled.');"
