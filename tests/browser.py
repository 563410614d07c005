"""Headless Chromium through chromedriver's HTTP interface: WebDriver, as the W3C describes it."""

import base64
import io
import json
import re
import shutil
import subprocess
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --window-size=1200,900 "
    "--disable-background-networking --disable-component-update --disable-sync "
)


class Browser:
    def __init__(self, address: str, profile: Path):
        self.address = address
        arguments = [*FLAGS.split(), f"--user-data-dir={profile}"]
        wanted = {
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        opened = self.post("/session", {"capabilities": {"alwaysMatch": wanted}})
        self.address += f"/session/{opened['sessionId']}"

    def post(self, path: str, content: dict, method: str = "POST"):
        data = json.dumps(content).encode() if method == "POST" else None
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, path: Path) -> None:
        self.post("/url", {"url": path.resolve().as_uri()})

    def script(self, text: str, *arguments):
        return self.post("/execute/sync", {"script": text, "args": arguments})

    def messages(self) -> list[str]:
        """Return the console's messages since the last call."""
        return [entry["message"] for entry in self.post("/se/log", {"type": "browser"})]

    def canvas(self, i: int) -> np.ndarray:
        """Return the pixels of canvas i of the page, (H, W, 4) uint8."""
        url = self.script("return document.querySelectorAll('canvas')[arguments[0]].toDataURL()", i)
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))

    def drag(self, i: int, right: int, down: int) -> None:
        """Drag the mouse by some pixels from the middle of canvas i."""
        x, y = self.script(
            "const c = document.querySelectorAll('canvas')[arguments[0]];"
            "c.scrollIntoView({block: 'center'}); const r = c.getBoundingClientRect();"
            "return [Math.round(r.x + r.width / 2), Math.round(r.y + r.height / 2)]",
            i,
        )
        moves = [
            {"type": "pointerMove", "duration": 0, "x": x, "y": y},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerMove", "duration": 50, "x": x + right, "y": y + down},
            {"type": "pointerUp", "button": 0},
        ]
        self.post("/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": moves}]})


@contextmanager
def open_browser(profile: Path):
    """A Browser; skips the test where there is no Chromium."""
    if not shutil.which("chromedriver") or not shutil.which("chromium"):
        pytest.skip("chromium and chromedriver are not installed")
    command = ["chromedriver", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        try:
            lines = iter(driver.stdout.readline, "")
            port = next(filter(None, (re.search(r"on port (\d+)\.", line) for line in lines)))[1]
            browser = Browser(f"http://127.0.0.1:{port}", profile)
            yield browser
            browser.post("", {}, "DELETE")
        finally:
            driver.terminate()
