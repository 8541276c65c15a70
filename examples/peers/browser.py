"""Chromium without a window, over the pipe of its DevTools protocol."""

import asyncio
import base64
import itertools
import json
import os
import re
import shutil
import tempfile
import time
from contextlib import suppress

from harness import PATIENCE, Child, Failed, shown

# A screenshot is one message.
LONGEST_MESSAGE = 1 << 26
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-pipe",
)


class Browser(Child):
    """One process, with tabs."""

    @classmethod
    async def launch(cls, program):
        directory = tempfile.mkdtemp(prefix="smallwire-chromium-")
        # It reads from 3 and writes to 4.
        (to_read, to_write), (from_read, from_write) = os.pipe(), os.pipe()
        redirected = f'exec "$0" "$@" 3<&{to_read} 4>&{from_write}'
        command = [program, *OPTIONS, f"--user-data-dir={directory}", "about:blank"]
        browser = await cls.start(
            "chromium", ["bash", "-c", redirected, *command], pass_fds=(to_read, from_write)
        )
        os.close(to_read)
        os.close(from_write)
        browser.directory, browser.writing = directory, to_write
        browser.numbers, browser.replies, browser.tabs = itertools.count(1), {}, {}
        reader = asyncio.StreamReader(limit=LONGEST_MESSAGE)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(from_read, "rb")
        )
        browser.readers.append(asyncio.create_task(browser.hear(reader)))
        return browser

    async def hear(self, reader):
        with suppress(asyncio.IncompleteReadError):
            while True:
                said = json.loads((await reader.readuntil(b"\0"))[:-1])
                if reply := self.replies.pop(said.get("id"), None):
                    # Unless nobody waits for it any more.
                    if not reply.done():
                        reply.set_result(said)
                elif tab := self.tabs.get(said.get("sessionId")):
                    tab.event(said["method"], said["params"])
        for reply in filter(lambda reply: not reply.done(), self.replies.values()):
            reply.set_exception(Failed(f"the browser is gone: {self.complaints[-500:]}"))

    async def call(self, method, session=None, **params):
        number = next(self.numbers)
        said = {"id": number, "method": method, "params": params}
        if session:
            said["sessionId"] = session
        reply = self.replies[number] = asyncio.get_running_loop().create_future()
        os.write(self.writing, json.dumps(said).encode() + b"\0")
        async with asyncio.timeout(PATIENCE):
            said = await reply
        if error := said.get("error"):
            raise Failed(f"{method}: {error}")
        return said["result"]

    async def tab(self, url, name):
        """A window of its own, so that none is in the background."""
        target = await self.call("Target.createTarget", url="about:blank", newWindow=True)
        session = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        tab = Tab(self, target["targetId"], session["sessionId"], name)
        self.tabs[tab.session] = tab
        for domain in ("Page", "Runtime", "Log", "Network"):
            await tab.call(f"{domain}.enable")
        # As if it were the one that is looked at: it takes what is typed, and its timers are in time.
        await tab.call("Emulation.setFocusEmulationEnabled", enabled=True)
        await tab.call("Page.navigate", url=url)
        await tab.until("document.readyState === 'complete'")
        return tab

    async def stop(self):
        if self.process.returncode is None:
            with suppress(Failed, TimeoutError, OSError):
                await self.call("Browser.close")
        with suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), 5)
        try:
            await super().stop()
        finally:
            os.close(self.writing)
            shutil.rmtree(self.directory, ignore_errors=True)


class Tab:
    """A page, used as its user does, by what it is called to them."""

    def __init__(self, browser, target, session, name):
        self.browser, self.target, self.session, self.name = browser, target, session, name
        self.requests, self.complaints = [], []

    async def call(self, method, **params):
        return await self.browser.call(method, self.session, **params)

    def event(self, method, params):
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])

    async def run(self, script, *args):
        """A function of these arguments; gives what it gives."""
        call = f"({script})({', '.join(json.dumps(arg) for arg in args)})"
        result = await self.call("Runtime.evaluate", expression=call, returnByValue=True)
        if "exceptionDetails" in result:
            raise Failed(f"{self.name}: {script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    async def until(self, expression, within=PATIENCE):
        end = time.monotonic() + within
        while not await self.run(f"() => {expression}"):
            if time.monotonic() > end:
                text = await self.run("() => document.body.innerText")
                raise Failed(f"{self.name}: never {expression} in {shown(repr(text))}")
            await asyncio.sleep(0.1)

    async def see(self, selector, wanted, within=PATIENCE):
        """Until what can be seen there matches this."""
        end = time.monotonic() + within
        while True:
            text = await self.run("(s) => document.querySelector(s)?.innerText ?? null", selector)
            if text is not None and re.search(wanted, text):
                return text
            if time.monotonic() > end:
                raise Failed(f"{self.name}: {selector} is {shown(repr(text))}, not {wanted!r}")
            await asyncio.sleep(0.1)

    async def fill(self, selector, text):
        await self.run("(s) => { const it = document.querySelector(s); it.focus(); it.select() }", selector)
        await self.call("Input.insertText", text=text)

    async def press(self, key, code, text=""):
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code,
                **({"text": text} if text and kind == "keyDown" else {}),
            )

    async def enter(self):
        await self.press("Enter", 13, "\r")

    async def click(self, selector):
        await self.run("(s) => document.querySelector(s).click()", selector)

    async def screen(self, width, height, scheme="light", is_phone=False):
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=is_phone,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.call("Emulation.setEmulatedMedia", features=features)

    async def close(self):
        with suppress(Failed, TimeoutError):
            await self.browser.call("Target.closeTarget", targetId=self.target)

    async def screenshot(self, file):
        shot = await self.call("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(shot["data"]))
