"""How a client process talks to the tests: one JSON object per line, commands in on stdin, events out on stdout.

Commands: `{"id": "1", "call": "echo", "arguments": [42]}`.
Events:   `{"event": "open"}`, `{"event": "heard", "target": "messageReceived", "arguments": ["hi"]}`,
          `{"event": "answer", "id": "1", "result": 42}` or `{"event": "answer", "id": "1", "error": "text"}`.
"""

import json
import os
import sys
import threading

_writing = threading.Lock()


def emit(**event):
    with _writing:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


def without_option(name):
    """Whether the option was given, and the arguments of the process without it."""
    arguments = sys.argv[1:]
    return name in arguments, [argument for argument in arguments if argument != name]


def command(line):
    """The command on a line of stdin. Ends the process at the end of stdin."""
    if not line:
        # Why: none of these clients returns from closing a WebSocket within any deadline; the process just ends.
        os._exit(0)
    return json.loads(line)
