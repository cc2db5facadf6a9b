"""Headless Chromium driven over the W3C WebDriver protocol by Debian's chromedriver."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of a reference, section 12 of WebDriver
KEYS = {
    "Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c", "Left": "\ue012", "Up": "\ue013",
    "Right": "\ue014", "Down": "\ue015", "Shift": "\ue008", "Space": " ", "Home": "\ue011",
    "End": "\ue010",
}  # fmt: skip
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--force-color-profile=srgb", "--hide-scrollbars",
]  # fmt: skip


def why_missing() -> str | None:
    """Why no browser can be driven here, or None."""
    if shutil.which("chromium") and shutil.which("chromedriver"):
        return None
    return "no Chromium; apt-get install chromium chromium-driver"


class Browser:
    """One window.

    Args:
        profile: an empty directory for what the browser keeps.
    """

    def __init__(self, profile: Path) -> None:
        self._driver = subprocess.Popen(
            [str(shutil.which("chromedriver")), "--port=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._session = ""
        try:
            assert self._driver.stdout is not None
            ports = (
                found[1]
                for line in self._driver.stdout
                if (found := re.search(r"started successfully on port (\d+)", line))
            )
            port = next(ports, None)
            assert port, f"chromedriver ended with exit status {self._driver.wait()}"
            self._url = f"http://127.0.0.1:{port}/session"
            options = {
                "binary": shutil.which("chromium"),
                "args": [*FLAGS, f"--user-data-dir={profile}"],
            }
            wanted = {
                "browserName": "chrome",
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            }
            made = self._call("POST", "", {"capabilities": {"alwaysMatch": wanted}})
            self._session = made["sessionId"]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        try:
            if self._session:
                self._call("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(timeout=20)
            assert self._driver.stdout is not None
            self._driver.stdout.close()

    def _call(self, method: str, path: str, body: object = None) -> Any:
        where = "/".join(part for part in (self._url, self._session, path) if part)
        data = None if method != "POST" else json.dumps(body or {}).encode()
        request = urllib.request.Request(where, data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise RuntimeError(f"{value['error']}: {value['message'].splitlines()[0]}") from None

    def open(self, path: Path) -> None:
        self._call("POST", "url", {"url": path.resolve().as_uri()})

    def run(self, script: str, *arguments: object) -> Any:
        """What a script returns, in the page."""
        return self._call("POST", "execute/sync", {"script": script, "args": arguments})

    def until(self, script: str, *arguments: object, seconds: float = 20.0) -> None:
        """Waits until a script returns something true: the page acts on its own events later."""
        end = time.monotonic() + seconds
        while not self.run(script, *arguments):
            assert time.monotonic() < end, f"never came true: {script}"
            time.sleep(0.02)

    def command(self, name: str, **parameters: object) -> Any:
        """A command of Chromium's own protocol."""
        return self._call("POST", "goog/cdp/execute", {"cmd": name, "params": parameters})

    def log(self, kind: str) -> list[dict[str, Any]]:
        """What was logged since the last call: "browser", the console; "performance"."""
        found: list[dict[str, Any]] = self._call("POST", "se/log", {"type": kind})
        return found

    def requests(self) -> list[str]:
        """The addresses asked for since the last call."""
        messages = (json.loads(entry["message"])["message"] for entry in self.log("performance"))
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def all(self, selector: str) -> list[str]:
        found = self._call("POST", "elements", {"using": "css selector", "value": selector})
        return [element[ELEMENT] for element in found]

    def one(self, selector: str) -> str:
        found = self.all(selector)
        assert len(found) >= 1, f"nothing fits {selector}"
        return found[0]

    def text(self, selector: str) -> str:
        found: str = self.run(f"return document.querySelector({json.dumps(selector)}).innerText")
        return found

    def click(self, selector: str) -> None:
        self._call("POST", f"element/{self.one(selector)}/click")

    def type(self, text: str) -> None:
        """Presses keys where the focus is; `KEYS` has those without a character."""
        strokes: list[dict[str, str]] = []
        for key in text:
            strokes += [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self._act([{"type": "key", "id": "keys", "actions": strokes}])

    def press(self, *names: str) -> None:
        for name in names:
            self.type(KEYS[name])

    def chord(self, held: str, name: str) -> None:
        strokes = [("keyDown", held), ("keyDown", name), ("keyUp", name), ("keyUp", held)]
        actions = [{"type": kind, "value": KEYS[key]} for kind, key in strokes]
        self._act([{"type": "key", "id": "keys", "actions": actions}])

    def drag(self, selector: str, begin: float, end: float) -> None:
        """Holds the pointer from one share of an element's width to another."""
        box = self.run(
            "const b = arguments[0].getBoundingClientRect(); return [b.x, b.y, b.width, b.height]",
            {ELEMENT: self.one(selector)},
        )
        y = round(box[1] + box[3] / 2)
        steps: list[dict[str, Any]] = [
            {"type": "pointerMove", "x": round(box[0] + box[2] * begin), "y": y, "duration": 0},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerMove", "x": round(box[0] + box[2] * end), "y": y, "duration": 60},
            {"type": "pointerUp", "button": 0},
        ]
        self._act([{"type": "pointer", "id": "mouse", "actions": steps}])

    def _act(self, actions: list[dict[str, Any]]) -> None:
        self._call("POST", "actions", {"actions": actions})

    def role(self, element: str) -> str:
        """What assistive technology is told an element is."""
        return str(self._call("GET", f"element/{element}/computedrole"))

    def label(self, element: str) -> str:
        """What assistive technology calls an element."""
        return str(self._call("GET", f"element/{element}/computedlabel"))

    def size(self, width: int, height: int = 900) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def media(self, kind: str = "", **features: str) -> None:
        """Emulates a medium ("print") and what the reader prefers: prefers_color_scheme="dark"."""
        wanted: Iterable[tuple[str, str]] = features.items()
        named = [{"name": name.replace("_", "-"), "value": value} for name, value in wanted]
        self.command("Emulation.setEmulatedMedia", media=kind, features=named)

    def picture(self, path: Path) -> None:
        """The whole page as a PNG file."""
        shot = self.command("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
