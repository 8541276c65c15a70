"""What somebody with a browser sees of roomvars-server: the page that it serves, in Chromium."""

import re
import signal

from harness import SCENARIOS, Failed, Scenario
from scenarios.roomvars import DIALECTS

# Nothing may come from anywhere else, or be complained of, but that a server isn't there.
NOT_THERE = re.compile("WebSocket connection to .* failed|ERR_CONNECTION")


def in_browser(name, dialects=("documented",)):
    """A scenario of tabs, for each dialect of the server."""

    def add(act):
        for dialect in dialects:

            async def watched(stage):
                stage.tabs = []
                try:
                    await act(stage)
                finally:
                    for tab in stage.tabs:
                        await tab.close()
                for tab in stage.tabs:
                    complaints = [one for one in tab.complaints if not NOT_THERE.search(one)]
                    if complaints:
                        raise Failed(f"{tab.name} complains: {complaints}")
                    strange = [one for one in tab.requests if not one.startswith((tab.home, "data:"))]
                    if strange:
                        raise Failed(f"{tab.name} asks for {strange}")

            title = f"browser → roomvars-server {dialect}: {name}"
            SCENARIOS.append(Scenario(title, watched, "roomvars", "browser", None, dialect))
        return act

    return add


async def tab(stage, server, username, variables="x=0\ny=0", joins=True):
    """A tab that wants to be in the lobby."""
    home = f"http://{server.address}/"
    one = await stage.tools.browser.tab(home, username)
    one.home = home
    stage.tabs.append(one)
    await one.until("document.querySelector('#room-id').value === 'lobby'")
    if stage.dialect != "scratch":
        await one.fill("#variables-wanted", variables)
    await one.fill("#username", username)
    await one.enter()
    if joins:
        await one.see("#status", "^In lobby$")
    return one


def row(name):
    return f"#variables [aria-label='New value of {name}']"


def value(name):
    return f"#variables [aria-label='Value of {name}']"


async def set_(one, name, text):
    await one.fill(row(name), text)
    await one.enter()
    await one.see(value(name), f"^{re.escape(text)}$")


async def create(one, name):
    await one.fill("#new-name", name)
    await one.enter()
    await one.see(value(name), "^0$")


@in_browser("two tabs see each other's sets, and the wire", dialects=DIALECTS)
async def two_tabs(stage):
    server = await stage.example_server()
    ada = await tab(stage, server, "ada")
    if stage.dialect == "scratch":
        await create(ada, "x")
        await create(ada, "y")
    await set_(ada, "x", "5")
    grace = await tab(stage, server, "grace")
    await grace.see(value("x"), "^5$")
    await set_(grace, "y", "two words ☁")
    await ada.see(value("y"), "^two words ☁$")
    # A number goes up and down by a button.
    await ada.click("[aria-label='x: one more']")
    await grace.see(value("x"), "^6$")
    sent = '^\\d\\d:\\d\\d:\\d\\d\\s+▲ sent\\s+{"(kind|method)":"handshake".*"grace"'
    await grace.see("#frames li:first-child", sent)
    await grace.see("#frames", '▼ came\\s+({.*\\n)?{.*"x","value":"5"}')
    await grace.see("#traffic", "^4 messages, \\d+ bytes$")
    if stage.dialect == "scratch":
        await grace.click("[aria-label='Delete y']")
        await ada.until("document.querySelectorAll('#variables li').length === 1")
    await grace.click("#leave")
    await grace.see("#status", "^Not in a room$")
    # Her name is free.
    await grace.enter()
    await grace.see("#status", "^In lobby$")
    await grace.see(value("x"), "^6$")


@in_browser("what others say is shown, and does nothing")
async def escapes(stage):
    server = await stage.example_server()
    markup = "<img src=x onerror=alert(1)><b>bold</b>&amp;"
    variables = f"{markup}x=0\n<script>y</script>=0"
    ada = await tab(stage, server, markup, variables)
    grace = await tab(stage, server, "grace", variables)
    name = '#variables li:first-child'
    await grace.fill(f"{name} .new-value", markup)
    await grace.enter()
    await ada.see(f"{name} .value", f"^{re.escape(markup)}$")
    await ada.see("#room-title", re.escape(markup))
    await ada.see("#frames", "onerror")
    for one in (ada, grace):
        if await one.run("() => document.querySelectorAll('main :is(img, script, li b b)').length"):
            raise Failed(f"{one.name}: markup has become elements")


@in_browser("who isn't let in is told why")
async def turned_away(stage):
    server = await stage.example_server("--max-room-clients", "2", "--refuse", "rude")
    await tab(stage, server, "ada")
    for name, username, variables, why in (
        ("the same name", "ADA", "x=0\ny=0", "Refused: the username is taken (4002)"),
        ("a refused name", "so rude", "x=0\ny=0", "Refused: the username is not acceptable (4002)"),
        ("other variables", "ben", "x=0", "Refused: the room has other variables (4001)"),
    ):
        with stage.case(name):
            one = await tab(stage, server, username, variables, joins=False)
            await one.see("#refusal", re.escape(why))
            await one.see("#journal", re.escape(f"{why}. Not trying again."))
            await one.see("#status", "^Not in a room$")
            focused = await one.run("() => document.activeElement.id")
            if focused != ("username" if "4002" in why else "room-id"):
                raise Failed(f"{focused} has the focus")
    with stage.case("a full room"):
        ben = await tab(stage, server, "ben")
        cat = await tab(stage, server, "cat", joins=False)
        await cat.see("#waiting", "Refused: the room is full \\(4003\\)\\s+again in \\d+ s")
        await ben.click("#leave")
        await cat.see("#status", "^In lobby$")
    with stage.case("a refused value"):
        await cat.fill(row("x"), "how Rude")
        await cat.enter()
        await cat.see("#journal", "Refused: the value is not acceptable \\(4000\\)")


@in_browser("a kicked tab says so, and comes back")
async def kicked(stage):
    server = await stage.example_server("--rate-limit", "10")
    ada = await tab(stage, server, "ada")
    more = "document.querySelector(\"[aria-label='x: one more']\").click()"
    await ada.run(f"() => {{ for (let n = 0; n < 30; n += 1) {more} }}")
    # That it waits may be over before one looks.
    await ada.see("#journal", "Kicked: too many messages \\(4004\\). Trying again.")
    await ada.see("#journal", "(?s)(asks to be let into lobby.*){2}")
    await ada.see("#status", "^In lobby$")
    await ada.until(f"!document.querySelector(\"{row('x')}\").disabled")
    await ada.see("#frames", "✕ close\\s+4004 too many messages")


@in_browser("a tab comes back when the server does, and waits longer each time", dialects=("documented", "scratch"))
async def comes_back(stage):
    server = await stage.example_server()
    ada = await tab(stage, server, "ada")
    if stage.dialect == "scratch":
        await create(ada, "x")
    await set_(ada, "x", "7")
    server.process.send_signal(signal.SIGTERM)
    await ada.see("#journal", "The server goes away: going away \\(1001\\). Trying again.")
    if (status := await server.exit()) != 0:
        raise Failed(f"exit status {status}")
    await ada.see("#journal", "(?s)(The connection is lost: no reason given \\(1006\\).*){2}")
    await ada.until(f"document.querySelector(\"{row('x')}\").disabled")
    # It has tried after a second at least, then after two: the third time it waits for four.
    await ada.see("#countdown", "^again in [4-8] s$")
    await stage.example_server("--listen", server.address)
    await ada.click("#now")
    await ada.see("#status", "^In lobby$")
    ben = await tab(stage, server, "ben", variables="x=0\ny=0")
    if stage.dialect == "scratch":
        # Nobody keeps what the server doesn't.
        await ben.see("#empty", "no variables")
    else:
        await ben.see(value("x"), "^7$")


@in_browser("all has a name, and fits a phone, in light and dark", dialects=("documented", "scratch"))
async def looks(stage):
    server = await stage.example_server("--refuse", "rude")
    variables = "score=0\nturn=\nlast move=\nwinner="
    ada = await tab(stage, server, "ada", variables)
    if stage.dialect == "scratch":
        for name in ("score", "turn", "last move", "winner"):
            await create(ada, name)
    grace = await tab(stage, server, "grace", variables)
    for name, text in {"turn": "grace", "last move": "e2–e4", "winner": "nobody yet"}.items():
        await set_(ada, name, text)
    for _ in range(2):
        await ada.click("[aria-label='score: one more']")
    await grace.see(value("score"), "^2$")
    await set_(grace, "turn", "ada")
    await ada.see(value("turn"), "^ada$")
    stranger = await tab(stage, server, "Rude", variables, joins=False)
    await stranger.see("#refusal", "not acceptable")
    grounds = set()
    for width, height, scheme, is_phone in (
        (1120, 700, "light", False), (1120, 700, "dark", False),
        (360, 780, "light", True), (360, 780, "dark", True),
    ):
        for one, where in ((ada, "room"), (stranger, "refused")):
            await one.screen(width, height, scheme, is_phone)
            # What has changed shines no more.
            await one.until("document.getAnimations().every((one) => one.playState === 'finished')")
            await one.screenshot(
                stage.tools.screenshots / f"{stage.dialect}-{where}-{width}-{scheme}.png"
            )
            over = await one.run("() => document.documentElement.scrollWidth - innerWidth")
            if over > 0:
                raise Failed(f"{where} is {over} pixels too wide for {width}")
        grounds.add(await ada.run("() => getComputedStyle(document.body).backgroundColor"))
    if len(grounds) != 2:
        raise Failed(f"light and dark are {grounds}")
    for one in (ada, stranger):
        tree = await one.call("Accessibility.getFullAXTree")
        nodes = [node for node in tree["nodes"] if not node["ignored"]]
        named = [node for node in nodes if node["role"]["value"] in ("button", "textbox", "log")]
        if len(named) < 5:
            raise Failed(f"{one.name} has {len(named)} things to use")
        for node in named:
            if not node["name"]["value"]:
                raise Failed(f"a {node['role']['value']} has no name: {node}")
