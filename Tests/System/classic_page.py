"""A chat page for classic clients, as it was written for the original: jQuery, a SignalR script, the script that the server
generates. It is written into a tab that shows something of a node, so that it belongs to that node's origin; nothing stands
between the page and the node."""

import pathlib

from selenium.webdriver.common.keys import Keys

from browser import Tab

HERE = pathlib.Path(__file__).parent / "page"
#: Debian's; `Scripts/setup test` installs it.
JQUERY = pathlib.Path("/usr/share/javascript/jquery/jquery.min.js")
TRANSPORTS = ("webSockets", "serverSentEvents", "foreverFrame", "longPolling")
CLIENT = ("connection.js", "transports.js", "hubs.js")

CALL = """
const [invoke, method, values, done] = arguments;
const chat = $.connection.chatHub, progress = [];
(invoke ? chat.invoke(method, ...values) : chat.server[method](...values))
    .progress((value) => progress.push(value))
    .done((result) => done({result, progress}))
    .fail((error) => done({error: error.message, source: error.source, data: error.data, progress}));
"""


def page(transport, origin):
    """The page with all its scripts but the one that the server generates."""
    client = "\n".join((HERE / name).read_text(encoding="utf-8") for name in CLIENT)
    html = (HERE / "chat.html").read_text(encoding="utf-8")
    html = html.replace("{transport}", transport).replace("{origin}", origin)
    for place, script in (("/* jQuery */", JQUERY.read_text(encoding="utf-8")), ("/* client */", client)):
        assert "</script" not in script
        html = html.replace(place, script)
    return html


class Answer:
    """What came of a call: `result`, or the text of `error` with its `source`; and the `progress` before that."""

    def __init__(self, outcome):
        self.result = outcome.get("result")
        self.error = outcome.get("error")
        self.source = outcome.get("source")
        self.progress = outcome["progress"]


class ClassicPage(Tab):
    """The page at a node, connected over `transport` ("auto": whichever is first) when the initialiser returns.

    It is connected to the node that it comes from, or to that at `origin`.
    """

    def __init__(self, driver, url, transport, origin=""):
        super().__init__(driver, f"{url}/health")
        driver.execute_script(
            "document.open(); document.write(arguments[0]); document.close();", page(transport, origin)
        )
        self._wait(lambda: self._find("connection").text, "connection")

    def say(self, text):
        """Types it and waits until the call has been answered."""
        self._type("text", text, Keys.ENTER)
        self._wait(lambda: self._find("text").get_attribute("value") == "", f"answer to '{text}'")

    def messages(self):
        """Name and text of each message on show."""
        return [tuple(each) for each in self.run(
            'return [...document.querySelectorAll("#log li")].map((each) => [...each.children].map((it) => it.textContent));'
        )]

    def wait_for_messages(self, expected):
        """Waits until the last of `expected` is on show; then they have to be all there is, in order."""
        self._wait(lambda: expected[-1] in self.messages(), f"{expected[-1]} on the page")
        assert self.messages() == expected

    def wait_for_progress(self, expected):
        """Waits until as many reports of progress have come, of whichever calls; they have to be these."""
        self._wait(lambda: len(self.run("return progress;")) >= len(expected), f"progress {expected}")
        assert self.run("return progress;") == expected

    def wait_for_fact(self, name, condition):
        self._wait(lambda: condition(self._find(name).text), f"other {name}")

    def call(self, method, *values):
        """Calls a function of the generated script."""
        return self._call(False, method, values)

    def invoke(self, method, *values):
        """Calls by name, also what the generated script has no function for."""
        return self._call(True, method, values)

    def _call(self, invoke, method, values):
        self._show()
        return Answer(self._driver.execute_async_script(CALL, invoke, method, values))

    def run(self, script, *values):
        self._show()
        return self._driver.execute_script(script, *values)

    def failure_of_start(self, origin):
        """Stops, and starts at another origin, which has to fail; says why it did."""
        self._show()
        return self._driver.execute_async_script(
            """
            const [origin, done] = arguments, hub = $.connection.hub;
            hub.stop();
            hub.url = origin + "/signalr";
            hub.start().done(() => done("connected")).fail((error) => done(error.message));
            """,
            origin,
        )

    @property
    def events(self):
        """What happened to the connection since its start, errors among it."""
        return self.run("return events;")

    @property
    def hub_state(self):
        return self.run("return $.connection.chatHub.state;")
