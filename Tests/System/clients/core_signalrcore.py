"""`signalrcore` 1.0.2: the core protocol over WebSocket, threads.

Usage: core_signalrcore.py [--messagepack] URL PATH TARGET…
"""

import sys

from signalrcore.hub_connection_builder import HubConnectionBuilder
from signalrcore.protocol.json_hub_protocol import JsonHubProtocol
from signalrcore.protocol.messagepack_protocol import MessagePackHubProtocol
from signalrcore.types import HttpTransportType

from wire import command, emit, without_option

packed, (url, path, *targets) = without_option("--messagepack")
connection = (
    HubConnectionBuilder()
    .with_url(f"{url}{path}", options={"transport": HttpTransportType.web_sockets})
    .with_hub_protocol(MessagePackHubProtocol() if packed else JsonHubProtocol())
    .build()
)


def listen(target):
    connection.on(target, lambda arguments: emit(event="heard", target=target, arguments=arguments))


connection.on_open(lambda: emit(event="open"))
connection.on_error(lambda message: emit(event="answer", id=message.invocation_id, error=message.error))
for each in targets:
    listen(each)
connection.start()
while True:
    wanted = command(sys.stdin.readline())
    name = wanted["id"]
    connection.send(
        wanted["call"],
        wanted["arguments"],
        lambda message, name=name: emit(event="answer", id=name, result=message.result),
        invocation_id=name,
    )
