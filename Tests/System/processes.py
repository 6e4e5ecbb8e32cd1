"""The server and the clients as processes of their own: started, listened to and ended within deadlines."""

import contextlib
import itertools
import json
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import random
import re
import runpy
import signal
import socket
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


def eventually(condition, what, seconds=ANSWER_SECONDS):
    """The first true value of `condition()`, which is asked again and again. Fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)
    return value


class Process:
    """A child process whose standard output is collected line by line."""

    def __init__(self, name, command, **environment):
        OUTPUT.mkdir(parents=True, exist_ok=True)
        self.errors_path = OUTPUT / f"{name}-{os.getpid()}-{next(_numbers)}.stderr"
        self._changed = threading.Condition()
        self._lines = []
        self._ended = False
        with open(self.errors_path, "wb") as errors:
            self.child = self._start(command, errors, ENVIRONMENT | environment)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _start(self, command, errors, environment):
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
            env=environment,
        )

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


class Service(Process):
    """A `busbar` that runs until it is told to stop."""

    def stop(self, number=signal.SIGTERM):
        """Asks it to stop and returns its exit status; kills it and fails when it takes too long."""
        self.child.send_signal(number)
        try:
            return self.child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running {END_SECONDS} s after signal {number}: {self.lines}") from None


def stop_all(services):
    """Has all that still run stop, also if one of them doesn't do it well; then fails with those that didn't."""
    wrong = []
    for service in services:
        if service.child.poll() is not None:
            continue
        try:
            # Why CONT: a test may have left it paused.
            service.child.send_signal(signal.SIGCONT)
            if (status := service.stop()) != 0:
                wrong.append(f"status {status} of {service.errors_path}")
        except AssertionError as error:
            wrong.append(str(error))
    assert not wrong, wrong


class Server(Service):
    """`busbar serve` on a port of 127.0.0.1, listening when the initialiser returns. Port 0 is any free one."""

    def __init__(self, port=0, backplane="memory:", *options, **environment):
        command = [BUSBAR, "serve", "--port", str(port), "--backplane", backplane, *options]
        super().__init__("serve", command, **environment)
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


class Farm(Service):
    """`busbar farm`: that many nodes on consecutive ports, all listening when the initialiser returns."""

    def __init__(self, nodes=2, backplane=None):
        first = free_ports(nodes)
        named = ["--backplane", backplane] if backplane else []
        super().__init__("farm", [BUSBAR, "farm", "--nodes", str(nodes), "--port", str(first), *named])
        self.urls = [f"http://127.0.0.1:{port}" for port in range(first, first + nodes)]
        try:
            self.wait_until(self._announcement, START_SECONDS, "announcement of the farm")
        except AssertionError:
            self.kill()
            raise

    @staticmethod
    def _announcement(lines):
        return next((line for line in lines if line.startswith("The farm is listening on ")), None)

    @property
    def pids(self):
        """The processes of each node so far, the latest last, by URL."""
        pids = {url: [] for url in self.urls}
        for line in self.lines:
            match = re.fullmatch(r"farm \| node \d+ is process (\d+), (\S+)", line)
            if match:
                pids[match[2]].append(int(match[1]))
        return pids

    def wait_for_next_process(self, index):
        """The second process of a node, once there is one."""
        url = self.urls[index]
        return self.wait_until(lambda _: next(iter(self.pids[url][1:]), None), ANSWER_SECONDS, f"next process of {url}")

    def kill_node(self, index):
        os.kill(self.pids[self.urls[index]][-1], signal.SIGKILL)


def free_ports(count):
    """The first of `count` consecutive ports that are free now."""
    for _ in range(200):
        first = random.randrange(20_000, 32_000)
        with contextlib.ExitStack() as taken:
            try:
                for port in range(first, first + count):
                    taken.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise AssertionError(f"no {count} consecutive free ports found")


#: To load these takes a client longer than most tests do, so a process does it once and then forks into each of them.
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    [
        "pysignalr.client",
        "pysignalr.protocol.json",
        "pysignalr.protocol.messagepack",
        "signalrcore.hub_connection_builder",
        "signalrcore.protocol.json_hub_protocol",
        "signalrcore.protocol.messagepack_protocol",
        "signalrcore.types",
    ]
)


def _become(script, arguments, files):
    """In the new process: a client program, with its standard input, output and error output."""
    for number, file in enumerate(files):
        os.dup2(file.fileno(), number)
        file.close()
    sys.stdin = open(0, encoding="utf-8")
    sys.argv = [script, *arguments]
    sys.path.insert(0, os.path.dirname(script))
    runpy.run_path(script, run_name="__main__")


class Fork:
    """A client program in a process that has the libraries loaded; like a `Popen` as far as the tests need one."""

    def __init__(self, script, arguments, errors):
        commands, stdin = _forks.Pipe(duplex=False)
        stdout, events = _forks.Pipe(duplex=False)
        errors = multiprocessing.connection.Connection(os.dup(errors.fileno()))
        files = (commands, events, errors)
        self._process = _forks.Process(target=_become, args=(script, arguments, files), daemon=True)
        self._process.start()
        self.stdin = open(os.dup(stdin.fileno()), "w", encoding="utf-8")
        self.stdout = open(os.dup(stdout.fileno()), encoding="utf-8")
        for end in (stdin, stdout, *files):
            end.close()

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return self._process.exitcode

    def kill(self):
        self._process.kill()


class Answer:
    """What came back of a call: `result`, or the text of `error`."""

    def __init__(self, event):
        self.result = event.get("result")
        self.error = event.get("error")


class Client(Process):
    """One of the client programs in `clients/`, connected when the initialiser returns."""

    def __init__(self, program, url, hub, *targets):
        script, _, protocol = program.partition("+")
        options = [f"--{protocol}"] if protocol else []
        self.program = program
        super().__init__(program, [str(HERE / "clients" / f"{script}.py"), *options, url, hub, *targets])
        self._calls = itertools.count(1)
        try:
            self.wait_until(lambda lines: self._first(lines, event="open"), START_SECONDS, "connection")
        except AssertionError:
            self.kill()
            raise

    def _start(self, command, errors, environment):
        # Why not all: gevent, which the classic ones run on, has to be there before what it changes.
        if self.program.startswith("core_"):
            return Fork(command[0], command[1:], errors)
        return super()._start([sys.executable, "-B", *command], errors, environment)

    @staticmethod
    def _first(lines, **wanted):
        for line in lines:
            event = json.loads(line)
            if wanted.items() <= event.items():
                return event
        return None

    def call(self, method, *arguments):
        """Calls a hub method and waits for the answer."""
        return self.answer_to(self.post(method, *arguments))

    def post(self, method, *arguments):
        """Calls a hub method without waiting for its answer. Returns the name of the call."""
        name = f"call {next(self._calls)}"
        self.child.stdin.write(json.dumps({"id": name, "call": method, "arguments": arguments}) + "\n")
        self.child.stdin.flush()
        return name

    def answer_to(self, name, seconds=ANSWER_SECONDS):
        """Waits for the answer to the call of that name."""
        return Answer(
            self.wait_until(lambda lines: self._first(lines, event="answer", id=name), seconds, f"answer to {name}")
        )

    def heard(self, target="messageReceived"):
        """The arguments of every call of `target` by the server so far, in order."""
        events = [json.loads(line) for line in self.lines]
        return [event["arguments"] for event in events if event["event"] == "heard" and event["target"] == target]

    def wait_to_have_heard(self, count, seconds=ANSWER_SECONDS):
        def enough(lines):
            return True if sum('"event": "heard"' in line for line in lines) >= count else None

        self.wait_until(enough, seconds, f"{count} messages")

    def wait_to_hear(self, *arguments, target="messageReceived"):
        wanted = {"event": "heard", "target": target, "arguments": list(arguments)}
        self.wait_until(lambda lines: self._first(lines, **wanted), ANSWER_SECONDS, f"{target} with {arguments}")
