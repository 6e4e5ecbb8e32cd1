import itertools
import pathlib
import shutil
import tempfile

import pytest

from browser import Page, open_browser
from classic_page import ClassicPage
from postgres_server import Postgres
from processes import Client, Farm, Server, stop_all
from rabbit_server import Rabbit
from redis_server import Redis

#: The client programs with the name each has to call the hub by. What follows a plus is the protocol it speaks.
CLIENTS = {
    "classic": "chatHub",
    "classic_sse": "chatHub",
    "core_pysignalr": "/chat",
    "core_signalrcore": "/chat",
    "core_pysignalr+messagepack": "/chat",
    "core_signalrcore+messagepack": "/chat",
}

apps = itertools.count(1)


@pytest.fixture
def server():
    """A server of the test's own, which has to stop cleanly afterwards."""
    server = Server()
    yield server
    if server.child.poll() is None:
        assert server.stop() == 0


@pytest.fixture
def connect_to():
    """Connects one of the clients to the server at a URL; they end with the test."""
    clients = []

    def connect_to(url, program, *targets):
        clients.append(Client(program, url, CLIENTS[program], "messageReceived", *targets))
        return clients[-1]

    yield connect_to
    for client in clients:
        client.end()


@pytest.fixture
def connect(server, connect_to):
    """Connects one of the clients to the test's server."""
    return lambda program, *targets: connect_to(server.url, program, *targets)


@pytest.fixture
def redis(tmp_path):
    """A Redis of the test's own, so that it may break it."""
    redis = Redis(tmp_path / "brokers")
    yield redis
    redis.end()


@pytest.fixture(scope="session")
def rabbit_server(tmp_path_factory):
    rabbit = Rabbit(tmp_path_factory.mktemp("rabbit") / "brokers")
    yield rabbit
    rabbit.end()


@pytest.fixture
def rabbit(rabbit_server):
    """An app of the test's own on the RabbitMQ that all share, since it takes many seconds to start: no test may end it."""
    return rabbit_server.for_app(f"test-{next(apps)}")


@pytest.fixture
def postgres():
    """A PostgreSQL of the test's own, so that it may break it."""
    # Why not tmp_path: PostgreSQL runs as a user of its own, who may not enter there.
    directory = pathlib.Path(tempfile.mkdtemp(prefix="busbar-postgres-"))
    postgres = Postgres(directory)
    yield postgres
    postgres.end()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(params=["redis", "postgres", "rabbit"])
def backplane(request):
    """The URL of a broker that has nothing of other tests: one after the other of those that farms can share."""
    return request.getfixturevalue(request.param).url


@pytest.fixture
def start_farm():
    """Starts farms of the test's own, which have to stop cleanly afterwards."""
    farms = []

    def start_farm(*arguments, **named):
        farms.append(Farm(*arguments, **named))
        return farms[-1]

    yield start_farm
    stop_all(farms)


@pytest.fixture
def start_nodes(redis):
    """Starts nodes of one app on the test's Redis, named `node 0` and so on, which nobody starts again when they end.

    `options` go behind the URL, `environment` to each of them.
    """
    nodes = []

    def start_nodes(count, options="", port=0, **environment):
        for _ in range(count):
            named = {"BUSBAR_KEY": "a key of the tests' own", "BUSBAR_NODE": f"node {len(nodes)}", **environment}
            nodes.append(Server(port, redis.url + options, **named))
        return list(nodes)

    yield start_nodes
    stop_all(nodes)


@pytest.fixture
def open_page(browser):
    """Opens the chat at a URL in a tab of its own; the tabs are closed with the test."""
    pages = []

    def open_page(url, name):
        pages.append(Page(browser, url, name))
        return pages[-1]

    yield open_page
    for page in pages:
        page.close()


@pytest.fixture
def open_classic_page(browser):
    """Opens the page of classic clients at a node in a tab of its own; the tabs are closed with the test."""
    pages = []

    def open_classic_page(*arguments):
        pages.append(ClassicPage(browser, *arguments))
        return pages[-1]

    yield open_classic_page
    for page in pages:
        page.close()


@pytest.fixture(scope="session")
def browser():
    assert shutil.which("chromedriver"), "no chromedriver found: run Scripts/setup test"
    driver = open_browser()
    yield driver
    driver.quit()
