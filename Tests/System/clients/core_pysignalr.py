"""`pysignalr` 1.3.3: the core protocol over WebSocket, asyncio.

Usage: core_pysignalr.py [--messagepack] URL PATH TARGET…
Answers `asked(question)`: the question and its length, or an error if it is "fail".
"""

import asyncio
import sys

from pysignalr.client import SignalRClient
from pysignalr.protocol.json import JSONProtocol
from pysignalr.protocol.messagepack import MessagepackProtocol

from wire import command, emit, without_option

packed, (url, path, *targets) = without_option("--messagepack")


async def main():
    client = SignalRClient(f"{url}{path}", protocol=MessagepackProtocol() if packed else JSONProtocol())

    async def opened():
        emit(event="open")

    async def failed(message):
        """Errors reach the callback of their call too; the client only insists on having this one."""

    def hearing(target):
        async def heard(arguments):
            emit(event="heard", target=target, arguments=arguments)

        return heard

    def answering(name):
        async def answered(message):
            outcome = {"error": message.error} if message.error else {"result": message.result}
            emit(event="answer", id=name, **outcome)

        return answered

    async def obey():
        while True:
            wanted = command(await asyncio.to_thread(sys.stdin.readline))
            await client.send(wanted["call"], wanted["arguments"], answering(wanted["id"]))

    async def asked(arguments):
        emit(event="heard", target="asked", arguments=arguments)
        [question] = arguments
        if question == "fail":
            raise ValueError("the client can't say")
        return {question: len(question)}

    client.on("asked", asked)
    client.on_open(opened)
    client.on_error(failed)
    for target in targets:
        client.on(target, hearing(target))
    await asyncio.gather(client.run(), obey())


asyncio.run(main())
