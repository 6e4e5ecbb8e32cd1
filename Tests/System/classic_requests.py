"""A bare client of the classic protocol over requests: server-sent events, forever frame or long polling.

Every request goes to the next of its servers in turn, as behind a load balancer that has never heard of sticky sessions.
"""

import contextlib
import http.client
import itertools
import json
import re
import threading
import time
import urllib.parse

SECONDS = 30
HUBS = json.dumps([{"name": "chathub"}])
TRANSPORTS = ("serverSentEvents", "foreverFrame", "longPolling")
ENVELOPES = {
    "serverSentEvents": re.compile(r"data: (\{.*\})\r\n\r\n"),
    "foreverFrame": re.compile(r"<script>r\(c, (\{.*\})\);</script>\r\n"),
    "longPolling": re.compile(r" *(\{.*\})"),
}


class Refused(Exception):
    """A status other than 200."""

    def __init__(self, what, status, text):
        super().__init__(f"{what}: {status} {text}")
        self.status, self.text = status, text


class RequestsClient:
    """Connected and started when the initialiser returns. Its receive requests are read by a thread of its own.

    What it hears are calls of `heard`: texts, or messages that have one.
    """

    def __init__(self, transport, *urls, version="1.5", heard="messageReceived"):
        self.transport = transport
        self._heard_method = heard
        self._version = version
        self._urls = itertools.cycle(urls)
        self._turn = threading.Lock()
        # Why reentrant: conditions look at what was heard, which takes it as well.
        self._changed = threading.Condition(threading.RLock())
        self._messages = []
        self._calls = itertools.count()
        self._is_closing = False
        self._initialised = False
        self._response = None
        self.served_by = []
        self.cursor = None
        self.groups_token = None
        self.failures = []
        negotiated = self._json("negotiate")
        self.connection_id, self._token = negotiated["ConnectionId"], negotiated["ConnectionToken"]
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._wait(lambda: self._initialised, "initialisation")
        assert self._json("start") == {"Response": "started"}

    def next_url(self):
        with self._turn:
            return next(self._urls)

    def _target(self, what, **more):
        query = {"clientProtocol": self._version, "connectionData": HUBS}
        if what != "negotiate":
            query |= {"transport": self.transport, "connectionToken": self._token}
        if self.transport == "foreverFrame" and what in ("connect", "reconnect"):
            query["frameId"] = "7"
        return f"/signalr/{what}?{urllib.parse.urlencode(query | more)}"

    def _request(self, what, body=None, **more):
        url = self.next_url()
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=SECONDS)
        connection.request("POST" if body is not None else "GET", self._target(what, **more), body=body)
        response = connection.getresponse()
        if response.status != 200:
            raise Refused(f"{what} at {url}", response.status, response.read().decode())
        return url, response

    def _json(self, what, body=None):
        return json.loads(self._request(what, body)[1].read())

    def _read(self):
        what = "connect"
        while not self._is_closing:
            try:
                self._receive(what)
                what = "poll" if self.transport == "longPolling" else "reconnect"
            except (OSError, http.client.HTTPException, Refused) as error:
                with self._changed:
                    self.failures.append(f"{type(error).__name__}: {error}")
                if self.cursor is not None:
                    what = "reconnect"
                time.sleep(0.05)

    def _receive(self, what):
        more = {}
        if what != "connect":
            more = {"messageId": self.cursor} | ({"groupsToken": self.groups_token} if self.groups_token else {})
        url, self._response = self._request(what, **more)
        with self._changed:
            self.served_by.append(url)
            self._changed.notify_all()
        text = ""
        while chunk := self._response.read1(65_536):
            # Why: all that is sent is ASCII, so a chunk never ends within a character.
            text += chunk.decode("ascii")
            if self.transport != "longPolling":
                text = self._take(text)
        if self.transport == "longPolling":
            self._take(text)

    def _take(self, text):
        end = 0
        for match in ENVELOPES[self.transport].finditer(text):
            end = match.end()
            envelope = json.loads(match[1])
            with self._changed:
                self._initialised = self._initialised or envelope.get("S") == 1
                self._messages += [each["A"] for each in envelope["M"] if each.get("M") == self._heard_method]
                self.cursor = envelope["C"]
                self.groups_token = envelope.get("G", self.groups_token)
                self._changed.notify_all()
        return text[end:]

    def _wait(self, condition, what, seconds=SECONDS):
        with self._changed:
            assert self._changed.wait_for(condition, seconds), f"no {what}; failures: {self.failures[-3:]}"

    @property
    def heard(self):
        with self._changed:
            return [value["text"] if isinstance(value, dict) else value for [value] in self._messages]

    def wait_to_hear(self, text):
        self._wait(lambda: text in self.heard, f"'{text}'; heard {self.heard[-3:]}")

    def wait_to_be_served_by(self, *urls):
        self._wait(lambda: set(urls) <= set(self.served_by), f"receive request at each of {urls}")

    def status(self, what, **more):
        """The status of a request of this connection at the next node, and the text that came with it."""
        try:
            return 200, self._request(what, **more)[1].read().decode()
        except Refused as refused:
            return refused.status, refused.text

    def call(self, method, *arguments, hub="chathub"):
        number = str(next(self._calls))
        call = json.dumps({"H": hub, "M": method, "A": arguments, "I": number})
        answer = self._json("send", urllib.parse.urlencode({"data": call}))
        assert answer["I"] == number, answer
        return answer

    def post(self, what, form, kind):
        """Posts a form that is said to be of some type, at the next node; returns the body of the answer."""
        url = self.next_url()
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=SECONDS)
        connection.putrequest("POST", self._target(what))
        if kind:
            connection.putheader("Content-Type", kind)
        connection.putheader("Content-Length", str(len(form)))
        connection.endheaders(form.encode())
        response = connection.getresponse()
        assert response.status == 200
        return response.read().decode()

    def drop(self):
        """Breaks the receive request off, as a network does."""
        response = self._response
        if response is not None and response.fp is not None:
            with contextlib.suppress(OSError):
                response.fp.raw._sock.shutdown(2)

    def abort(self):
        self._is_closing = True
        _, response = self._request("abort", "")
        assert response.read() == b""
        self._reader.join(SECONDS)
        assert not self._reader.is_alive(), "the receive request goes on after /abort"

    def vanish(self):
        """Goes away without a word. Past its return no receive request is open; `served_by` ends with who had the last."""
        self._is_closing = True
        deadline = time.monotonic() + SECONDS
        while self._reader.is_alive():
            assert time.monotonic() < deadline, "a receive request goes on although it was broken off"
            self.drop()
            self._reader.join(0.05)
