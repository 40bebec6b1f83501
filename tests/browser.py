"""A headless Chromium, driven over its DevTools protocol: what a page says, asks for and looks like."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

ROOT = Path(__file__).resolve().parent.parent
ARTEFACTS = ROOT / ".artefacts"
"""Screenshots and the like, kept for whoever wants to look."""

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
START_S = 60.0


def chromium() -> str:
    """The browser's path; where there is none the test is skipped, but never in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium, which the gate installs")
        pytest.skip("there is no Chromium here")
    return found


class Tab:
    """One page."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.number = 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask, and wait for the answer; what happens meanwhile is kept in ``events``."""
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=START_S))
            if message.get("id") == self.number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    def open(self, file: Path) -> None:
        """Load a file to its end."""
        self.events.clear()
        self.call("Page.navigate", url=file.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(json.loads(self.socket.recv(timeout=START_S)))

    def run(self, script: str) -> Any:
        """What an expression gives, as the page's own script would see it."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key and let it go."""
        for kind in ("keyDown", "keyUp"):
            said = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **said)

    def type(self, text: str) -> None:
        """Type where the focus is."""
        self.call("Input.insertText", text=text)

    def prefer(self, scheme: str, media: str = "") -> None:
        """Let the user's system be dark or light; ``media`` may be print."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def size(self, width: int, height: int) -> None:
        """The size of the window."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def screenshot(self, name: str) -> Path:
        """All of the page as it looks now, kept among the artefacts."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        return keep(name, base64.b64decode(data))

    def pdf(self, name: str) -> Path:
        """The page in print."""
        return keep(name, base64.b64decode(self.call("Page.printToPDF", printBackground=False)["data"]))

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings on the console, exceptions, refusals by the page's own policy."""
        found = []
        for event in self.events:
            kind, said = event["method"], event.get("params", {})
            if kind == "Runtime.exceptionThrown":
                found.append(str(said["exceptionDetails"]))
            elif kind == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
                found.append(said["entry"]["text"])
            elif kind == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
                found.append(str(said["args"]))
            elif kind == "Page.javascriptDialogOpening":
                found.append(f"a dialog: {said['message']}")
        return found

    @property
    def requests(self) -> list[str]:
        """Addresses that the page asked for, its own and those of pictures in it aside."""
        urls = [
            event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls[1:] if not url.startswith("data:")]


def keep(name: str, data: bytes) -> Path:
    """A file among the artefacts."""
    ARTEFACTS.mkdir(exist_ok=True)
    path = ARTEFACTS / name
    path.write_bytes(data)
    return path


@contextmanager
def browser() -> Iterator[str]:
    """A running browser with a profile of its own; gives the address of its DevTools."""
    program = chromium()
    with tempfile.TemporaryDirectory(prefix="datascan-chromium-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = Path(profile) / "DevToolsActivePort"
            until = time.monotonic() + START_S
            while not (port.exists() and port.read_text().count("\n")):
                assert process.poll() is None, "Chromium ended at its start"
                assert time.monotonic() < until, "Chromium does not answer"
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port.read_text().splitlines()[0]}"
        finally:
            process.terminate()
            process.wait(START_S)


@contextmanager
def tab(address: str) -> Iterator[Tab]:
    """A new page."""
    request = urllib.request.Request(f"{address}/json/new?about:blank", method="PUT")
    with urllib.request.urlopen(request, timeout=START_S) as answer:
        target = json.load(answer)
    with connect(target["webSocketDebuggerUrl"], max_size=None, open_timeout=START_S) as socket:
        yield Tab(socket)
    with urllib.request.urlopen(f"{address}/json/close/{target['id']}", timeout=START_S):
        pass
