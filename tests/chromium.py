"""A headless Chromium, driven over the DevTools protocol: Debian's, from PATH or fetched once into the cache."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.debian import UnavailableError, library_path, unpacked

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PACKAGE = "chromium-headless-shell"
__all__ = ["UnavailableError", "browser", "command"]
SECONDS = 60.0
"""An upper bound for whatever a quiet machine does at once."""


@functools.cache
def command() -> tuple[str, Mapping[str, str]]:
    """Find the program and the environment that it needs."""
    for name in NAMES:
        if found := shutil.which(name):
            return found, {}
    root = unpacked(PACKAGE)
    return str(root / "usr/lib/chromium" / PACKAGE), library_path(root, "pulseaudio")


class Tab:
    """A page in the browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.errors: list[str] = []
        """Uncaught errors of scripts, and what the console or the content policy complained of."""

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        async with asyncio.timeout(SECONDS):
            result: dict[str, Any] = await answer
        return result

    async def listen(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if answer := self._answers.pop(message.get("id"), None):
                if "error" in message:
                    answer.set_exception(AssertionError(message["error"]["message"]))
                else:
                    answer.set_result(message["result"])
            self._notice(message.get("method"), message.get("params", {}))

    def _notice(self, method: str | None, told: Mapping[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.errors.append(str(details.get("exception", {}).get("description") or details["text"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.errors.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and told["type"] == "error":
            self.errors.append(str(told["args"]))

    async def run(self, expression: str) -> Any:
        """Evaluate an expression (awaited when it is a promise) and return its value."""
        options = {"awaitPromise": True, "returnByValue": True, "userGesture": True}
        found = await self.call("Runtime.evaluate", expression=expression, **options)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def until(self, expression: str, *, seconds: float = SECONDS) -> None:
        """Wait until an expression is true; an error in it counts as false (the page may still be loading)."""
        guarded = f"(() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }})()"
        try:
            async with asyncio.timeout(seconds):
                while True:
                    with contextlib.suppress(AssertionError):  # the page is being exchanged
                        if await self.run(guarded):
                            return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            shown = await self.run("document.body.innerText.slice(0, 2000)")
            raise AssertionError(f"still not: {expression}\n{self.errors}\n{shown}") from None

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)
        await self.until("location.href !== 'about:blank' && document.readyState === 'complete'")

    async def text(self, selector: str) -> str:
        found: str = await self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        return found

    async def click(self, selector: str) -> None:
        """Click an element that a person could click: it is in view and nothing covers it."""
        problem = await self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); if (!e) return 'there is none';"
            " e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            " const top = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2);"
            " if (!e.contains(top)) return `it is covered by ${top?.outerHTML.slice(0, 200)}`; e.click(); return '' })()"
        )
        assert not problem, f"{selector}: {problem}"

    async def press(self, key: str, *, times: int = 1) -> None:
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35, " ": 32}
        typed = {"Enter": "\r", " ": " "}.get(key)
        extra = {"text": typed} if typed else {}
        for _ in range(times):
            common = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": codes[key]}
            await self.call("Input.dispatchKeyEvent", type="keyDown", **common, **extra)
            await self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    async def type(self, text: str) -> None:
        await self.call("Input.insertText", text=text)

    async def look(self, *, width: int = 1280, height: int = 900, dark: bool = False, scale: float = 1) -> None:
        """Take a size and a colour scheme; narrow ones are telephones."""
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def screenshot(self, *, whole: bool = True) -> bytes:
        """Give a PNG, of the whole page by default."""
        shot = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(shot["data"])


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Tab]:
    """Run a browser with an empty profile for a block, and give its tab."""
    program, environment = command()
    with tempfile.TemporaryDirectory(prefix="syncline-chromium-", ignore_cleanup_errors=True) as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
        options += ["--no-first-run", "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
        process = await asyncio.create_subprocess_exec(
            program,
            *options,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **environment, "HOME": profile},
        )
        try:
            async with connect(await _address(process, Path(profile)), max_size=None, proxy=None) as socket:
                tab = Tab(socket)
                listening = asyncio.create_task(tab.listen())
                try:
                    for domain in ("Page", "Runtime", "Log"):
                        await tab.call(f"{domain}.enable")
                    yield tab
                finally:
                    listening.cancel()
                    await asyncio.wait({listening})
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _address(process: asyncio.subprocess.Process, profile: Path) -> str:
    """Wait for the browser, and give the address of its first tab."""
    file = profile / "DevToolsActivePort"
    async with asyncio.timeout(SECONDS):
        while not file.exists() or len(file.read_text().splitlines()) < 2:
            if process.returncode is not None:
                raise UnavailableError(f"Chromium ended with status {process.returncode}")
            await asyncio.sleep(0.02)
        port = file.read_text().split()[0]
        async with httpx.AsyncClient(trust_env=False, timeout=SECONDS) as client:
            while True:
                targets = (await client.get(f"http://127.0.0.1:{port}/json/list")).json()
                if pages := [target for target in targets if target["type"] == "page"]:
                    address: str = pages[0]["webSocketDebuggerUrl"]
                    return address
                await asyncio.sleep(0.02)
