"""A connection of the classic protocol of which every byte is looked at."""

import http.client
import json
import re
import time
import urllib.parse

import websocket

SECONDS = 20
TRANSPORTS = ("webSockets", "serverSentEvents", "foreverFrame", "longPolling")
FRAME_BODY = b"<body>" + b" " * 4_096 + b"\n"
HUBS = json.dumps([{"name": "chathub"}])


def pattern(text, transport="webSockets"):
    """The bytes that carry `text` over a transport; `…` in it is any text that needs no escapes."""
    before, after = {
        "webSockets": ("", ""),
        "serverSentEvents": ("data: ", "\r\n\r\n"),
        "foreverFrame": ("<script>r(c, ", ");</script>\r\n"),
        "longPolling": ("", ""),
    }[transport]
    return re.compile("[^\"\\\\<>]+".join(map(re.escape, f"{before}{text}{after}".split("…"))).encode("ascii"))


class Response:
    """An answer with its body, read so far or whole."""

    def __init__(self, url, method, target, body, fields):
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=SECONDS)
        self._connection.request(method, target, body, fields)
        self._response = self._connection.getresponse()
        self.status, self.reason = self._response.status, self._response.reason
        self._pending = b""

    def __getitem__(self, name):
        return self._response.getheader(name)

    def chunk(self):
        """What the next chunk of the body adds; nothing at its end."""
        return self._response.read1(65_536)

    def body(self):
        return self._response.read()

    def expect(self, wanted):
        """Reads until the bytes of the pattern are there; nothing may stand before them. Returns them."""
        deadline = time.monotonic() + SECONDS
        while not (found := wanted.match(self._pending)):
            chunk = self.chunk()
            assert chunk, f"the body ended before {wanted.pattern}, with {self._pending}"
            assert time.monotonic() < deadline, f"no {wanted.pattern} but {self._pending} and {chunk}"
            self._pending += chunk
        self._pending = self._pending[found.end():]
        return found[0]

    def close(self):
        self._connection.close()


class Connection:
    """A connection that was negotiated. What it receives is taken with `expect`, over whichever transport."""

    def __init__(self, url, transport, version="1.5", hubs=HUBS):
        self._url = url
        self.transport = transport
        self._common = {"clientProtocol": version, "connectionData": hubs}
        self.negotiated = json.loads(self.get("negotiate").body())
        self._common |= {"transport": transport, "connectionToken": self.negotiated["ConnectionToken"]}
        self.channel = None
        self._next = "connect"
        self.cursor = self.groups_token = None

    def target(self, what, **more):
        return f"/signalr/{what}?{urllib.parse.urlencode(self._common | more)}"

    def get(self, what, **more):
        return Response(self._url, "GET", self.target(what, **more), None, {})

    def post(self, what, body=None, fields={}, **more):
        return Response(self._url, "POST", self.target(what, **more), body, fields)

    def open(self, what="connect", **more):
        """Opens the receive channel; the answer to the request, where there is one to be looked at."""
        if self.transport == "webSockets":
            address = self._url.replace("http", "ws", 1) + self.target(what, **more)
            self.channel = websocket.create_connection(address, timeout=SECONDS)
        elif self.transport == "longPolling":
            self.channel = self.post(what, urllib.parse.urlencode(more))
        else:
            frame = {"frameId": "7"} if self.transport == "foreverFrame" else {}
            self.channel = self.get(what, **frame, **more)
        return self.channel

    def preamble(self, end):
        """What the receive channel begins with, up to and with `end`."""
        return self.channel.expect(re.compile(b"(?s).*?" + re.escape(end)))

    def start(self):
        """Connects and starts; what of that is to be received has been then: the readiness and the sample's first group."""
        self.open()
        ends = {"serverSentEvents": b"data: initialized\n\n", "foreverFrame": FRAME_BODY}
        if self.transport in ends:
            self.preamble(ends[self.transport])
        self.expect('{"C":"…","S":1,"M":[]}')
        assert self.get("start").body() == b'{ "Response": "started" }'
        self.expect('{"C":"…","G":"…","M":[]}')

    def position(self):
        return {"messageId": self.cursor} | ({"groupsToken": self.groups_token} if self.groups_token else {})

    def expect(self, *texts):
        """Takes the next envelope, result or keep-alive, which has to read like one of `texts`, and returns it."""
        wanted = re.compile(b"|".join(pattern(text, self.transport).pattern for text in texts))
        if self.transport == "webSockets":
            taken = self.channel.recv().encode("utf-8")
            assert wanted.fullmatch(taken), f"{taken} instead of {wanted.pattern}"
        elif self.transport == "longPolling":
            # Why: a poll is answered by one envelope, so that each after the first needs a request.
            if self.channel is None:
                self.open("poll", **self.position())
            taken, self.channel = self.channel.body(), None
            assert wanted.fullmatch(taken.lstrip(b" ")), f"{taken} instead of {wanted.pattern}"
        else:
            taken = self.channel.expect(wanted)
        value = json.loads(re.search(rb"\{.*\}", taken)[0])
        self.cursor = value.get("C", self.cursor)
        self.groups_token = value.get("G", self.groups_token)
        return value

    def call(self, text):
        """Sends a call, written out; returns what answers the request, which is nothing over WebSocket."""
        if self.transport == "webSockets":
            self.channel.send(text)
            return None
        return self.post("send", urllib.parse.urlencode({"data": text}))

    def answer(self, call, text):
        """Sends a call; its result has to read like `text`, wherever this transport brings results.

        What the call changes in the groups is told before it over a WebSocket, and otherwise left to be received.
        """
        response = self.call(call)
        if response is None:
            while "G" in (taken := self.expect(text, '{"C":"…","G":"…","M":[]}')):
                pass
            return taken
        taken = response.body()
        assert (response.status, response["Content-Type"]) == (200, "application/json; charset=UTF-8")
        assert pattern(text).fullmatch(taken), f"{taken} instead of {text}"
        return json.loads(taken)

    def close_code(self):
        """The code of the close frame that comes next over WebSocket."""
        opcode, data = self.channel.recv_data()
        assert opcode == websocket.ABNF.OPCODE_CLOSE, (opcode, data)
        return int.from_bytes(data[:2], "big")

    def ended(self):
        """Whether the receive channel ends with nothing more but what is empty."""
        return self.channel.body()

    def close(self):
        if self.channel is not None:
            self.channel.close()
