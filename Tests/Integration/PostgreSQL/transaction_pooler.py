"""A pooler as PgBouncer is in transaction mode: between two transactions a client has no server connection, and each of its
transactions may run on another one. What a server connection says in between is lost.

    transaction_pooler.py LISTEN_PORT SERVER_PORT [secretly]
                            prints "ready" once it listens; ends with its standard input; secretly: announces real backends
"""

import collections
import select
import socket
import struct
import sys
import threading

idle = collections.deque()
SSL_REQUEST, GSS_REQUEST = 80877103, 80877104


class Ended(Exception):
    pass


class Wire:
    """One side's messages: a type, a length that counts itself, a body."""

    def __init__(self, connection):
        self.socket = connection
        self.buffer = b""

    def fill(self):
        data = self.socket.recv(65536)
        if not data:
            raise Ended
        self.buffer += data

    def take(self, has_type=True):
        """The next whole message, or None."""
        start = 1 if has_type else 0
        if len(self.buffer) < start + 4:
            return None
        length = start + struct.unpack("!I", self.buffer[start : start + 4])[0]
        if len(self.buffer) < length:
            return None
        message, self.buffer = self.buffer[:length], self.buffer[length:]
        return message

    def wait(self, has_type=True):
        while (message := self.take(has_type)) is None:
            self.fill()
        return message


def greet(client):
    """Opens a server connection with the client's own greeting; announces a backend that isn't the real one, or keeps quiet."""
    while struct.unpack("!I", (start := client.wait(has_type=False))[4:8])[0] in (SSL_REQUEST, GSS_REQUEST):
        client.socket.sendall(b"N")
    server = Wire(socket.create_connection(("127.0.0.1", server_port)))
    server.socket.sendall(start)
    while True:
        message = server.wait()
        client.socket.sendall(b"K" + struct.pack("!III", 12, 1, 1) if message[:1] == b"K" and not is_secret else message)
        if message[:1] == b"E":
            raise Ended
        if message[:1] == b"Z":
            return server


def run_transaction(client, message):
    """Lends a server connection until everything that was asked for is answered and no transaction is open."""
    server = idle.popleft()
    while select.select([server.socket], [], [], 0)[0]:
        server.fill()
    while server.take() is not None:
        pass
    awaited, is_whole, state = 0, False, b"I"
    while True:
        while message is not None:
            server.socket.sendall(message)
            is_whole = message[:1] in b"QS"
            awaited += is_whole
            message = client.take()
        while (answer := server.take()) is not None:
            client.socket.sendall(answer)
            if answer[:1] == b"Z":
                awaited -= 1
                state = answer[5:6]
        if awaited == 0 and is_whole and state == b"I" and not client.buffer:
            idle.append(server)
            return
        ready = select.select([client.socket, server.socket], [], [])[0]
        for side in (client, server):
            if side.socket in ready:
                side.fill()
        message = client.take()


def serve(connection):
    client = Wire(connection)
    try:
        idle.append(greet(client))
        # One more than there are clients, so that nobody gets his own back.
        while True:
            message = client.wait()
            if message[:1] == b"X":
                return
            run_transaction(client, message)
    except (Ended, OSError):
        pass
    finally:
        connection.close()


listen_port, server_port = map(int, sys.argv[1:3])
is_secret = sys.argv[3:] == ["secretly"]
with socket.create_server(("127.0.0.1", listen_port)) as listener:
    print("ready", flush=True)
    threading.Thread(
        target=lambda: [threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start() for _ in iter(int, 1)],
        daemon=True,
    ).start()
    sys.stdin.read()
