"""`signalr-client` 0.0.7: the classic protocol over WebSocket. Usage: classic.py URL HUB TARGET…"""

from gevent import monkey

monkey.patch_all()

import sys

import requests
import signalr
from gevent.fileobject import FileObject

from wire import command, emit

url, hub_name, *targets = sys.argv[1:]
connection = signalr.Connection(f"{url}/signalr", requests.Session())
hub = connection.register_hub(hub_name)
names = {}


def received(**message):
    if "I" not in message:
        return
    answer = {"error": message["E"]} if "E" in message else {"result": message.get("R")}
    emit(event="answer", id=names.pop(str(message["I"])), **answer)


def listen(target):
    hub.client.on(target, lambda *arguments: emit(event="heard", target=target, arguments=arguments))


connection.received += received
for each in targets:
    listen(each)
connection.start()
emit(event="open")
commands = FileObject(sys.stdin.buffer, "rb")
for number in range(sys.maxsize):
    # Why: the client numbers its calls from 0 and tells nobody; every call is made here, so counting along is enough.
    wanted = command(commands.readline())
    names[str(number)] = wanted["id"]
    hub.server.invoke(wanted["call"], *wanted["arguments"])
