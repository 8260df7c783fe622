"""A real Chromium, driven by the DevTools Protocol through its pipe: what a person would see and press."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
TIMEOUT_S = 30


def find_chromium() -> str:
    """The browser's command; a test that asks for it is skipped where there is none."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.skip("no Chromium here (apt-get install chromium, or set CHROMIUM to its command)")
    return found


class Tab:
    """One page. `trouble` collects exceptions, console errors, failed requests and what the CSP refused."""

    def __init__(self, commands: Any, answers: Any) -> None:
        self._commands, self._answers, self._last, self._session = commands, answers, 0, ""
        self.trouble: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Send a command and wait for its answer, noting what else is reported."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        while True:
            answer = json.loads(self._read())
            if answer.get("id") == self._last:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer.get("method"), answer.get("params", {}))

    def _read(self) -> bytes:
        content = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "the browser ended"
            content += byte
        return bytes(content)

    def _note(self, event: str | None, parameters: dict[str, Any]) -> None:
        is_error = event == "Runtime.consoleAPICalled" and parameters["type"] in {"error", "assert"}
        is_entry = event == "Log.entryAdded" and parameters["entry"]["level"] == "error"
        if is_error or is_entry or event == "Runtime.exceptionThrown":
            self.trouble.append(json.dumps(parameters)[:500])

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + TIMEOUT_S
        while not self.evaluate(f"Boolean({script})"):
            assert time.monotonic() < end, f"never: {script}; page: {self.evaluate('document.body.innerText')[:800]}"
            time.sleep(0.05)

    def open(self, url: str) -> None:
        """Go to a page and wait for its rows."""
        self.call("Page.navigate", url=url)
        self.wait_for("document.querySelector('#status')?.textContent.includes(' s')")

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """Set the window's size and the colour scheme."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def press(self, key: str) -> None:
        """Press and release a key."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def type(self, text: str) -> None:
        """Type a text where the cursor is."""
        self.call("Input.insertText", text=text)

    def screenshot(self, path: Path) -> None:
        """Write what is seen as PNG."""
        seen = "i.checkVisibility() && i.getBoundingClientRect().top < innerHeight"  # others load later
        self.wait_for(f"[...document.images].filter(i => {seen}).every(i => i.complete)")
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def chromium(profile: Path) -> Iterator[Tab]:
    """A headless browser with a fresh profile, ended with the block."""
    command = [find_chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += ["--no-first-run", "--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-pipe"]
    to_browser, from_browser = os.pipe(), os.pipe()

    def place_pipes() -> None:
        """The browser reads from 3 and writes to 4; first out of each other's way."""
        reads, writes = os.dup(to_browser[0]), os.dup(from_browser[1])
        high = [os.dup(end) for end in (reads, writes, reads, writes)][2:]
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    process = subprocess.Popen(
        [*command, f"--user-data-dir={profile}"],
        preexec_fn=place_pipes,  # noqa: PLW1509
        pass_fds=(3, 4),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser[0])
    os.close(from_browser[1])
    with os.fdopen(to_browser[1], "wb") as commands, os.fdopen(from_browser[0], "rb") as answers:
        try:
            tab = Tab(commands, answers)
            yield tab
            tab._session = ""
            tab.call("Browser.close")
        finally:
            process.terminate()
            process.wait(30)
