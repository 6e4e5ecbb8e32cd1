"""The chat page in headless Chromium, used as a person would."""

import shutil

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from processes import OUTPUT

SECONDS = 20


def open_browser():
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1180,760"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_page_load_timeout(SECONDS)
    driver.set_script_timeout(SECONDS)
    return driver


class Tab:
    """A page in a tab of its own, with a `log` and a connection whose `state` is on show."""

    def __init__(self, driver, url):
        self._driver = driver
        driver.switch_to.new_window("tab")
        self._tab = driver.current_window_handle
        driver.get(url)

    def close(self):
        self._show()
        self._driver.close()
        self._driver.switch_to.window(self._driver.window_handles[0])

    def _show(self):
        self._driver.switch_to.window(self._tab)

    def _find(self, name):
        return self._driver.find_element(By.ID, name)

    def _type(self, name, text, end):
        self._show()
        self._find(name).click()
        self._find(name).send_keys(text, end)

    def _wait(self, condition, what, seconds=SECONDS):
        self._show()
        WebDriverWait(self._driver, seconds, poll_frequency=0.05).until(lambda _: condition(), f"no {what}")

    def fact(self, name):
        """What the header shows as `transport`, `connection` or `node`."""
        self._show()
        return self._find(name).text

    def wait_for_state(self, *states, seconds=SECONDS):
        self._wait(lambda: self._find("state").get_attribute("data-state") in states, f"state {states}", seconds)

    def wait_to_show(self, text):
        self._wait(lambda: text in self._find("log").text, f"'{text}' on the page")

    def photograph(self, name):
        self._show()
        assert self._driver.save_screenshot(str(OUTPUT / f"{name}.png"))

    def script_errors(self):
        """What scripts complained about; connections that failed are no such thing."""
        self._show()
        return [entry for entry in self._driver.get_log("browser") if entry["source"] == "javascript"]


class Page(Tab):
    """The chat, connected under `name` when the initialiser returns."""

    def __init__(self, driver, url, name):
        super().__init__(driver, url)
        self.wait_for_state("connected")
        self._type("name", name, Keys.TAB)
        self.wait_to_show(f"You are {name} now")

    def messages(self):
        """Name and text of each message on show."""
        self._show()
        script = """return [...document.querySelectorAll("#log .message")].map((line) =>
            [line.querySelector("b").textContent, line.querySelector("p").textContent]);"""
        return [tuple(message) for message in self._driver.execute_script(script)]

    def say(self, text):
        self._wait(lambda: self._find("send").is_enabled(), "connection to say something on")
        self._type("text", text, Keys.ENTER)

    def join(self, room):
        self._type("room", room, Keys.ENTER)
        self.wait_to_show(f"You joined {room}")

    def leave(self, room):
        self._show()
        self._driver.find_element(By.CSS_SELECTOR, f'[title="Leave {room}"]').click()

    def enter(self, room):
        """Shows a room; the empty name is everybody's."""
        self._show()
        self._driver.find_element(By.CSS_SELECTOR, f'.tap[data-room="{room}"]').click()

    def unread(self, room):
        self._show()
        return self._driver.find_element(By.CSS_SELECTOR, f'.tap[data-room="{room}"] .unread').text

    def use_scheme(self, scheme):
        self._show()
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
