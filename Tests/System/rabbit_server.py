"""A RabbitMQ of the tests' own, through `Scripts/brokers`."""

import copy
import shutil

from redis_server import Broker


class Rabbit(Broker):
    """A running node on a free port of 127.0.0.1, with a name server of its own."""

    def __init__(self, directory):
        # Why an assertion and not a skip: a suite without its broker has not tested what it is for.
        assert shutil.which("rabbitmq-server"), "rabbitmq-server is missing: run Scripts/setup test"
        super().__init__(directory, "rabbit")

    def for_app(self, name):
        """The same broker, with a URL of that app."""
        lodger = copy.copy(self)
        lodger.url = f"{self.url}?app={name}"
        return lodger
