"""The server and the clients as processes of their own: started, listened to and ended within deadlines."""

import itertools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
#: Screenshots and what processes wrote to standard error; `make test` begins with an empty one.
OUTPUT = ROOT / ".build" / "system" / "results"
BUSBAR = os.environ.get("BUSBAR", str(ROOT / ".build" / "debug" / "busbar"))

START_SECONDS = 30
ANSWER_SECONDS = 15
END_SECONDS = 15

#: Why: settings of whoever runs the tests must not change what is tested.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("BUSBAR_")}

_numbers = itertools.count(1)


class Process:
    """A child process whose standard output is collected line by line."""

    def __init__(self, name, command):
        OUTPUT.mkdir(parents=True, exist_ok=True)
        self.errors_path = OUTPUT / f"{name}-{os.getpid()}-{next(_numbers)}.stderr"
        self._changed = threading.Condition()
        self._lines = []
        self._ended = False
        with open(self.errors_path, "wb") as errors:
            self.child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
                env=ENVIRONMENT,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.child.stdout:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def lines(self):
        with self._changed:
            return list(self._lines)

    def wait_until(self, found, seconds, what):
        """The first thing other than None that `found(lines)` returns. Fails after `seconds`, or when output ended."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                result = found(self._lines)
                if result is not None:
                    return result
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    why = "its output ended" if self._ended else f"waited {seconds} s"
                    raise AssertionError(f"no {what}: {why}\noutput: {self._lines}\nerrors: {self.errors}")
                self._changed.wait(left)

    @property
    def errors(self):
        return self.errors_path.read_text(encoding="utf-8", errors="replace")

    def kill(self):
        self.child.kill()
        self.child.wait(END_SECONDS)
        self._reader.join(END_SECONDS)

    def end(self):
        """Ends the process by closing its input, by force when that takes too long."""
        self.child.stdin.close()
        try:
            self.child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


class Server(Process):
    """`busbar serve` on a port of 127.0.0.1, listening when the initialiser returns. Port 0 is any free one."""

    def __init__(self, port=0):
        super().__init__("serve", [BUSBAR, "serve", "--port", str(port)])
        try:
            self.url, self.port = self.wait_until(self._address, START_SECONDS, "address printed")
        except AssertionError:
            self.kill()
            raise

    @staticmethod
    def _address(lines):
        for line in lines:
            match = re.fullmatch(r"Busbar is listening on (http://127\.0\.0\.1:(\d+))/?", line)
            if match:
                return match[1], int(match[2])
        return None

    def stop(self, number=signal.SIGTERM):
        """Asks the server to stop and returns its exit status; kills it and fails when it takes too long."""
        self.child.send_signal(number)
        try:
            return self.child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server was still running {END_SECONDS} s after signal {number}") from None


class Answer:
    """What came back of a call: `result`, or the text of `error`."""

    def __init__(self, event):
        self.result = event.get("result")
        self.error = event.get("error")


class Client(Process):
    """One of the client programs in `clients/`, connected when the initialiser returns."""

    def __init__(self, program, url, hub, *targets):
        command = [sys.executable, "-B", str(HERE / "clients" / f"{program}.py"), url, hub, *targets]
        super().__init__(program, command)
        self.program = program
        self._calls = itertools.count(1)
        try:
            self.wait_until(lambda lines: self._first(lines, event="open"), START_SECONDS, "connection")
        except AssertionError:
            self.kill()
            raise

    @staticmethod
    def _first(lines, **wanted):
        for line in lines:
            event = json.loads(line)
            if wanted.items() <= event.items():
                return event
        return None

    def call(self, method, *arguments):
        """Calls a hub method and waits for the answer."""
        name = f"call {next(self._calls)}"
        self.child.stdin.write(json.dumps({"id": name, "call": method, "arguments": arguments}) + "\n")
        self.child.stdin.flush()
        what = f"answer to {method}"
        return Answer(
            self.wait_until(lambda lines: self._first(lines, event="answer", id=name), ANSWER_SECONDS, what)
        )

    def heard(self, target="messageReceived"):
        """The arguments of every call of `target` by the server so far, in order."""
        events = [json.loads(line) for line in self.lines]
        return [event["arguments"] for event in events if event["event"] == "heard" and event["target"] == target]

    def wait_to_hear(self, *arguments, target="messageReceived"):
        wanted = {"event": "heard", "target": target, "arguments": list(arguments)}
        self.wait_until(lambda lines: self._first(lines, **wanted), ANSWER_SECONDS, f"{target} with {arguments}")
