"""`busbar_publish`: messages that belong to a transaction of the application, while nodes are killed and restarted."""

import random
import subprocess
import threading

from processes import BUSBAR, Process, eventually

TOPICS = ["outbox-a", "outbox-b"]
CONNECTIONS = 4
TRANSACTIONS = 10_000


class Reader:
    """`busbar subscribe` on one topic: killed and started again at the cursor that it printed last."""

    def __init__(self, topic, url):
        self._command = [BUSBAR, "subscribe", topic, "--backplane", url]
        self._topic = topic
        self._cursor = None
        self.heard = []
        self.gaps = 0
        self._begin()

    def _begin(self):
        resumption = ["--from", self._cursor] if self._cursor else []
        self._process = Process("outbox", self._command + resumption)
        eventually(lambda: "listening to " in self._process.errors, f"a subscription to {self._topic}")

    def _take(self):
        """What was printed since the process began, and is whole: with the cursor that stands after it."""
        lines = [line.split("\t") for line in self._process.lines if "\t" in line]
        return [(cursor, text) for cursor, text in lines]

    def has_cursor(self):
        return self._cursor is not None or any(cursor != "-" for cursor, _ in self._take())

    def texts(self):
        return self.heard + [text for _, text in self._take()]

    def kill(self):
        self._process.kill()
        taken = self._take()
        self.gaps += self._process.errors.count("gap")
        # Why not all: what shares a place has one cursor, behind the last of them, and comes again when that wasn't printed.
        whole = max((index for index, (cursor, _) in enumerate(taken) if cursor != "-"), default=-1) + 1
        self.heard += [text for _, text in taken[:whole]]
        if whole:
            self._cursor = taken[whole - 1][0]

    def restart(self):
        self.kill()
        self._begin()


def script(connection):
    """Transactions of one connection. Each publishes before it counts, and a count is held to the commit: so the numbers in
    `truth` are the order of commits, and are not the order of calls."""
    dice = random.Random(connection)
    lines = []
    for number in range(TRANSACTIONS // CONNECTIONS):
        topic = dice.choice(TOPICS)
        text = f"{connection}-{number}"
        lines.append("BEGIN;")
        lines.append(f"SELECT busbar.busbar_publish('{topic}', '{text}');")
        lines.append(
            f"WITH c AS (UPDATE counts SET n = n + 1 WHERE topic = '{topic}' RETURNING n) "
            f"INSERT INTO truth SELECT '{topic}', n, '{text}' FROM c;"
        )
        lines.append("ROLLBACK;" if dice.random() < 0.3 else "COMMIT;")
    return "\n".join(lines) + "\n"


def test_exactly_the_committed_messages_arrive_once_and_in_the_order_of_commits(postgres):
    readers = {topic: Reader(topic, postgres.url) for topic in TOPICS}
    try:
        postgres.sql(
            "CREATE TABLE counts (topic text PRIMARY KEY, n int NOT NULL);"
            "CREATE TABLE truth (topic text, n int, message text);"
            + "".join(f"INSERT INTO counts VALUES ('{topic}', 0);" for topic in TOPICS)
        )
        errors = []

        def work(connection):
            done = subprocess.run(
                ["psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", postgres.url],
                input=script(connection),
                capture_output=True,
                encoding="utf-8",
                timeout=300,
            )
            if done.returncode != 0:
                errors.append(done.stderr)

        workers = [threading.Thread(target=work, args=(connection,)) for connection in range(CONNECTIONS)]
        for worker in workers:
            worker.start()
        # Each of the two is a node: whichever moves messages at the moment is killed sooner or later.
        rounds = 0
        while any(worker.is_alive() for worker in workers) or rounds < 6:
            topic = TOPICS[rounds % 2]
            # Why wait: without a cursor there is nothing to resume at.
            eventually(readers[topic].has_cursor, "the first cursor", seconds=60)
            before = len(readers[topic].texts())
            readers[topic].restart()
            eventually(
                lambda: len(readers[topic].texts()) > before or not any(worker.is_alive() for worker in workers),
                "more messages after a restart",
                seconds=60,
            )
            rounds += 1
        for worker in workers:
            worker.join()
        assert not errors, errors[0]
        for topic in TOPICS:
            committed = postgres.sql(f"SELECT message FROM truth WHERE topic = '{topic}' ORDER BY n").split("\n")
            eventually(lambda: len(readers[topic].texts()) >= len(committed), f"all of {topic}", seconds=60)
            assert readers[topic].texts() == committed
        assert postgres.sql("SELECT count(*) FROM busbar.outbox") == "0"
    finally:
        for reader in readers.values():
            reader.kill()
    assert all(reader.gaps == 0 for reader in readers.values())
