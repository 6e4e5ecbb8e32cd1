import shutil

import pytest

from browser import open_browser
from processes import Client, Server

#: The client programs with the name each has to call the hub by.
CLIENTS = {"classic": "chatHub", "core_pysignalr": "/chat", "core_signalrcore": "/chat"}


@pytest.fixture
def server():
    """A server of the test's own, which has to stop cleanly afterwards."""
    server = Server()
    yield server
    if server.child.poll() is None:
        assert server.stop() == 0


@pytest.fixture
def connect(server):
    """Connects one of the clients to the server; they end with the test."""
    clients = []

    def connect(program, *targets):
        clients.append(Client(program, server.url, CLIENTS[program], "messageReceived", *targets))
        return clients[-1]

    yield connect
    for client in clients:
        client.end()


@pytest.fixture(scope="session")
def browser():
    assert shutil.which("chromedriver"), "no chromedriver found: run Scripts/setup test"
    driver = open_browser()
    yield driver
    driver.quit()
