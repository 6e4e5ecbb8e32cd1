"""A bare client of the classic protocol over WebSocket that shows what others hide: cursors, and where it reconnects."""

import itertools
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import websocket

SECONDS = 20
HUBS = json.dumps([{"name": "chathub"}])


class ClassicClient:
    """Connected and started at `url` when the initialiser returns. Its socket is read by a thread of its own.

    When a socket ends, the client reconnects to the next of `others` with the last cursor it was given, as a browser behind a
    load balancer would, and again until one of them takes it. The start request goes to `start_at` if that is named, and is
    left out if it is empty. What it hears are calls of `heard`: texts, or messages that have one.
    """

    def __init__(self, url, *others, start_at=None, heard="messageReceived"):
        self._heard_method = heard
        self._others = itertools.cycle(others) if others else None
        self._changed = threading.Condition()
        self._messages = []
        self._answers = {}
        self._calls = itertools.count()
        self._is_closing = False
        self._initialised = False
        self.cursor = None
        self.groups_token = None
        self.reconnects = []
        self.failure = None
        negotiated = self._get(url, "negotiate")
        self.connection_id, self._token = negotiated["ConnectionId"], negotiated["ConnectionToken"]
        self._socket = self._open(url, "connect")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._wait(lambda: self._initialised, "initialisation")
        if start_at != "":
            assert self.request(start_at or url, "start") == 200

    def _query(self, **more):
        query = {"clientProtocol": "1.5", "transport": "webSockets", "connectionData": HUBS, **more}
        return urllib.parse.urlencode(query)

    def _get(self, url, what):
        token = {} if what == "negotiate" else {"connectionToken": self._token}
        with urllib.request.urlopen(f"{url}/signalr/{what}?{self._query(**token)}", timeout=SECONDS) as response:
            text = response.read()
            return json.loads(text) if text else None

    def request(self, url, what):
        """The status of a request of this connection at any node."""
        try:
            self._get(url, what)
            return 200
        except urllib.error.HTTPError as error:
            return error.code

    def _open(self, url, what, **more):
        address = f"{url.replace('http', 'ws', 1)}/signalr/{what}?{self._query(connectionToken=self._token, **more)}"
        return websocket.create_connection(address, timeout=SECONDS)

    def _read(self):
        while True:
            try:
                text = self._socket.recv()
            except (OSError, websocket.WebSocketException):
                text = ""
            if text:
                self._take(json.loads(text))
            elif self._is_closing or not self._reconnect():
                return

    def _reconnect(self):
        if self._others is None:
            return False
        more = {"messageId": self.cursor} | ({"groupsToken": self.groups_token} if self.groups_token else {})
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            url = next(self._others)
            try:
                self._socket = self._open(url, "reconnect", **more)
            except (OSError, websocket.WebSocketException) as error:
                self.failure = error
                time.sleep(0.05)
                continue
            with self._changed:
                self.reconnects.append(url)
                self._changed.notify_all()
            return True
        return False

    def _take(self, envelope):
        with self._changed:
            if "I" in envelope:
                self._answers[envelope["I"]] = envelope
            self._initialised = self._initialised or envelope.get("S") == 1
            self._messages += [each["A"] for each in envelope.get("M", []) if each.get("M") == self._heard_method]
            self.cursor = envelope.get("C", self.cursor)
            self.groups_token = envelope.get("G", self.groups_token)
            self._changed.notify_all()

    def _wait(self, condition, what, seconds=SECONDS):
        with self._changed:
            assert self._changed.wait_for(condition, seconds), f"no {what} (last failure: {self.failure})"

    @property
    def heard(self):
        with self._changed:
            return [self._text(value) for [value] in self._messages]

    @staticmethod
    def _text(value):
        return value["text"] if isinstance(value, dict) else value

    def wait_to_hear(self, text):
        self._wait(lambda: any(self._text(value) == text for [value] in self._messages), f"'{text}'")

    def call(self, method, *arguments):
        number = str(next(self._calls))
        self._socket.send(json.dumps({"H": "chathub", "M": method, "A": arguments, "I": number}))
        self._wait(lambda: number in self._answers, f"answer to {method}")
        return self._answers[number]

    def wait_to_reconnect(self):
        self._wait(lambda: self.reconnects, "reconnection")

    def wait_to_end(self):
        """Waits until the server has ended the connection's socket."""
        self._reader.join(SECONDS)
        assert not self._reader.is_alive()

    def close(self):
        self._is_closing = True
        self._socket.close()
        self._reader.join(SECONDS)
