"""A bare client of the core protocol over WebSocket, in JSON, that can do what others never would.

It stops reading, breaks its link in the rudest way, sends thousands of calls at once, and comes back to a connection as
stateful reconnect says, counting what arrives itself.
"""

import itertools
import json
import socket
import struct
import threading
import urllib.parse
import urllib.request

import websocket

SECONDS = 20
END = b"\x1e"
INVOCATION, COMPLETION, CLOSE, ACK, SEQUENCE = 1, 3, 7, 8, 9
#: The types that both sides number for stateful reconnect.
NUMBERED = range(1, 6)
READ_BYTES = 1 << 18
#: After so many messages the client acknowledges them.
ACKNOWLEDGED_TOGETHER = 10


class CoreClient:
    """Connected when the initialiser returns; its socket is read by a thread of its own.

    With `resumes` it asks for stateful reconnect and keeps what it sends until the server has acknowledged it. An access
    token is brought along in the query, as browsers do.
    """

    def __init__(
        self, url, path="/chat", resumes=False, receive_bytes=None, negotiates_at=None, access_token=None
    ):
        self.url = url
        self._access_token = access_token
        self._path = path
        self._receive_bytes = receive_bytes
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._may_read = threading.Event()
        self._may_read.set()
        self._calls = itertools.count(1)
        self._answers = {}
        self._heard = []
        self._is_open = False
        self.resumes = resumes
        #: The number of the last message that was taken, and of the next to come over the present link.
        self.processed = 0
        self._expected = 1
        self._acknowledged = 0
        self._sent = 0
        self._unacknowledged = []
        #: Everything that came and is neither a call nor an answer, as (type, message).
        self.signals = []
        self.repeats = 0
        self.token = None
        if resumes:
            self.negotiated = self._negotiate(negotiates_at or url)
            self.token = self.negotiated["connectionToken"]
        self._dial(url, {"protocol": "json", "version": 2 if resumes else 1})
        self._wait(lambda: self._is_open, "answer to the handshake")

    def _negotiate(self, url):
        query = "negotiateVersion=1&useStatefulReconnect=true"
        request = urllib.request.Request(f"{url}{self._path}/negotiate?{query}", method="POST")
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            return json.loads(response.read())

    def _dial(self, url, first):
        """Opens a WebSocket, says `first` and begins to read."""
        query = {"id": self.token, "access_token": self._access_token}
        query = urllib.parse.urlencode({name: value for name, value in query.items() if value})
        options = []
        if self._receive_bytes:
            options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_bytes)]
        address = f"{url.replace('http', 'ws', 1)}{self._path}?{query}"
        self._socket = websocket.create_connection(address, timeout=SECONDS, sockopt=options)
        self._socket.sock.settimeout(None)
        self._reader = threading.Thread(target=self._read, args=(self._socket.sock,), daemon=True)
        self.ending = None
        if first is not None:
            self._socket.send(json.dumps(first) + "\x1e")
        self._reader.start()

    # ---- what arrives ------------------------------------------------------------------------------------------------

    def _read(self, link):
        frames, records = b"", b""
        ending = "lost"
        while True:
            self._may_read.wait()
            try:
                data = link.recv(READ_BYTES)
            except OSError:
                data = b""
            if not data:
                break
            payloads, frames, code = self._unframe(frames + data)
            *whole, records = (records + payloads).split(END)
            self._take([json.loads(record) for record in whole])
            if self.resumes and self.processed >= self._acknowledged + ACKNOWLEDGED_TOGETHER:
                self._acknowledged = self.processed
                self._send([{"type": ACK, "sequenceId": self.processed}])
            if code is not None:
                ending = code
                break
        with self._changed:
            self.ending = ending
            self._changed.notify_all()

    @staticmethod
    def _unframe(data):
        """The joined payloads of whole frames, what is left, and the code of a close frame."""
        payloads, place = [], 0
        while len(data) - place >= 2:
            opcode, length, start = data[place] & 15, data[place + 1], place + 2
            if length >= 126:
                size = 2 if length == 126 else 8
                if len(data) < start + size:
                    break
                length = int.from_bytes(data[start : start + size])
                start += size
            if len(data) < start + length:
                break
            payload = data[start : start + length]
            if opcode == 8:
                return b"".join(payloads), b"", int.from_bytes(payload[:2]) if payload else 1005
            if opcode in (0, 1, 2):
                payloads.append(payload)
            place = start + length
        return b"".join(payloads), data[place:], None

    def _take(self, messages):
        if not messages:
            return
        with self._changed:
            for message in messages:
                self._take_one(message)
            self._changed.notify_all()

    def _take_one(self, message):
        kind = message.get("type")
        if kind is None:
            assert message == {}, message
            self._is_open = True
            return
        if kind == SEQUENCE:
            assert message["sequenceId"] <= self.processed + 1, f"something between is missing: {message}"
            self._expected = message["sequenceId"]
        elif kind == ACK:
            self._unacknowledged = [each for each in self._unacknowledged if each[0] > message["sequenceId"]]
        if kind not in NUMBERED:
            self.signals.append((kind, message))
            return
        if self.resumes:
            number, self._expected = self._expected, self._expected + 1
            if number <= self.processed:
                self.repeats += 1
                return
            self.processed = number
        if kind == INVOCATION:
            self._heard.append((message["target"], message["arguments"]))
        elif kind == COMPLETION:
            self._answers[message["invocationId"]] = message

    def _wait(self, condition, what, seconds=SECONDS):
        with self._changed:
            assert self._changed.wait_for(condition, seconds), f"no {what} within {seconds} s (ending: {self.ending})"

    def heard(self, target="messageReceived"):
        """The arguments of every call of `target` by the server so far, in order."""
        with self._changed:
            return [arguments for name, arguments in self._heard if name == target]

    def wait_to_have_heard(self, count, target="messageReceived", seconds=SECONDS):
        # Why the length first: counting a hundred thousand at each arrival takes longer than they do.
        def enough():
            return len(self._heard) >= count and sum(name == target for name, _ in self._heard) >= count

        self._wait(enough, f"{count} calls of {target}, only {len(self._heard)} of any kind", seconds)

    def wait_for_signal(self, kind):
        self._wait(lambda: any(each == kind for each, _ in self.signals), f"message of type {kind}")

    def wait_to_end(self, seconds=SECONDS):
        """How the link ended: the code of the close frame, or `lost`."""
        self._wait(lambda: self.ending is not None, "end", seconds)
        return self.ending

    # ---- what is sent ------------------------------------------------------------------------------------------------

    def _send(self, messages):
        with self._sending:
            records = [json.dumps(message, separators=(",", ":")) + "\x1e" for message in messages]
            if self.resumes:
                for message, record in zip(messages, records):
                    if message["type"] in NUMBERED:
                        self._sent += 1
                        with self._changed:
                            self._unacknowledged.append((self._sent, record))
            try:
                self._socket.send("".join(records))
            except (OSError, websocket.WebSocketException):
                # Why: whoever resumes sends it again then, and to others a broken link is told by its end.
                pass

    def post(self, method, *argument_lists):
        """Calls a method once for each list of arguments, in one frame, and returns the ids of the calls."""
        calls = [(str(next(self._calls)), arguments) for arguments in argument_lists]
        self._send(
            [{"type": INVOCATION, "invocationId": id, "target": method, "arguments": each} for id, each in calls]
        )
        return [id for id, _ in calls]

    def answers(self, ids, seconds=SECONDS):
        """The answers to calls, in their order, once all are there."""
        self._wait(lambda: self._answers.keys() >= set(ids), "answers", seconds)
        return [self._answers[id] for id in ids]

    def call(self, method, *arguments):
        """The result of a call; fails with its error."""
        [answer] = self.answers(self.post(method, arguments))
        assert "error" not in answer, answer["error"]
        return answer.get("result")

    @property
    def answered(self):
        with self._changed:
            return len(self._answers)

    def come_back(self, url=None):
        """Opens a new link to the connection and repeats what the server may have missed; it does the same."""
        with self._sending:
            first = self._unacknowledged[0][0] if self._unacknowledged else self._sent + 1
            self._dial(url or self.url, {"type": SEQUENCE, "sequenceId": first})
            if self._unacknowledged:
                self._socket.send("".join(record for _, record in self._unacknowledged))

    # ---- faults ------------------------------------------------------------------------------------------------------

    def stop_reading(self):
        """What comes from now on stays where it is; one read that has begun may still return."""
        self._may_read.clear()

    def read_on(self):
        self._may_read.set()

    def break_off(self):
        """Ends the link with a reset: no goodbye, and what was under way is gone."""
        link = self._socket.sock
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Why: a reader that waits in the kernel keeps the socket open, and nothing would be sent.
        link.shutdown(socket.SHUT_RD)
        self._may_read.set()
        self._reader.join(SECONDS)
        link.close()

    def close(self):
        self._may_read.set()
        try:
            self._socket.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._reader.join(SECONDS)
        self._socket.sock.close()
