"""The simulator's inbox page in a real Chromium.

Pictures of it are written to the test's own directory, or to TUBEPOST_PICTURES (`make pictures`: docs/images).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import browser
from tests.e2e.browser import Page
from tests.peers import tools
from tests.simulator.support import RawClient, settings
from tubepost_simulator import Reason, Simulator, reason_token

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("inbox"), pytest.mark.timeout(300)]

DEVICE = "4f0e9c27ab31d86e5b7702c94d1f8a60b3e2517c9ad04f6e8137bb52c0de4419"
WATCH = "c0ffee12" * 8
PARCELS = "com.example.parcels"
LIVE = "document.querySelector('#live')?.dataset.state === 'live'"
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with browser.chromium() as found:
        yield found


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(settings()) as running:
        yield running


@pytest.fixture
async def page(address: str, simulator: Simulator) -> AsyncIterator[Page]:
    """The page, loaded; at the end it must have complained of nothing, and asked nobody else."""
    async with browser.page(address) as opened:
        await opened.look(1440, 900)
        await opened.load(home(simulator), LIVE)
        yield opened
        assert opened.faults == []
        elsewhere = [url for url in opened.requests if not url.startswith((home(simulator), "data:"))]
        assert elsewhere == []


def home(simulator: Simulator) -> str:
    return f"http://127.0.0.1:{simulator.api_port}/"


async def push(simulator: Simulator, payload: Any, token: str = DEVICE, **headers: str) -> None:
    """Have APNs answer a push, as a sender does."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    async with await RawClient.open(simulator) as client:
        await client.answers(client.request(token, body=body, **headers))


async def several(simulator: Simulator) -> None:
    """One of most kinds, the last of them first in the list."""
    chess = {"loc-key": "GAME_PLAY_REQUEST", "loc-args": ["Jenna"]}
    await push(simulator, {"aps": {"alert": HOSTILE}})
    await push(
        simulator,
        {"aps": {"content-available": 1}, "sync": "mail"},
        apns_push_type="background",
        apns_priority="5",
    )
    await push(
        simulator,
        {"aps": {"alert": chess, "interruption-level": "time-sensitive", "sound": "move.caf"}},
        apns_topic="com.example.chess",
        token=WATCH,
    )
    await push(
        simulator,
        {"aps": {"alert": {"title": "Weekly digest", "body": "12 new articles for you"}}},
        token=reason_token(Reason.UNREGISTERED),
        apns_topic="com.example.news",
    )
    await push(
        simulator,
        {
            "aps": {
                "timestamp": 1_800_000_000,
                "event": "update",
                "attributes-type": "DeliveryAttributes",
                "content-state": {"driver": "Ana", "eta": "8 min", "progress": 0.72},
                "alert": {"title": "Almost there", "body": "Ana is 8 minutes away"},
                "stale-date": 1_800_003_600,
            }
        },
        apns_push_type="liveactivity",
        apns_topic=PARCELS + ".push-type.liveactivity",
    )
    await push(
        simulator,
        {
            "aps": {
                "alert": {
                    "title": "Parcel delivered",
                    "subtitle": "Order 10-4471",
                    "body": "It was left at the front desk. Show this code when you pick it up.",
                },
                "badge": 3,
                "sound": "chime.aiff",
                "category": "PARCEL",
                "thread-id": "orders",
                "mutable-content": 1,
            },
            "image": "https://cdn.example.com/parcels/4471.jpg",
        },
        apns_topic=PARCELS,
        apns_priority="10",
        apns_collapse_id="order-10-4471",
    )  # fmt: skip


def cards(count: int) -> str:
    return f"document.querySelectorAll('.card').length === {count}"


def text(selector: str) -> str:
    return f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"


async def show(page: Page, number: int) -> None:
    await page.click(f"#n-{number} .card")
    await page.until(f"document.querySelector('.detail h2')?.innerText === '#{number}'")


async def test_what_arrives_is_there_without_being_asked_for(page: Page, simulator: Simulator) -> None:
    assert "Waiting for notifications" in await page.eval(text("#empty"))
    await push(
        simulator,
        {"aps": {"alert": {"title": "Hello", "subtitle": "there", "body": "You have mail"}, "badge": 7}},
    )
    await page.until(cards(1))
    shown = await page.eval(text("#n-1"))
    for words in ("200 accepted", "Hello", "there", "You have mail", "7", DEVICE[:8]):
        assert words in shown
    # Said once to those who hear the page, and drawn as a phone would.
    await page.until(f"({text('#announcer')}) === 'New notification: Hello, 200 accepted'")
    for words in ("Hello", "You have mail", DEVICE, '"badge"', "com.example.app"):
        assert words in await page.eval(text(".detail"))
    assert await page.eval("document.querySelector('.phone .banner .title').innerText") == "Hello"
    await page.until(f"({text('#counts')}).startsWith('1 received')")


async def test_a_late_answer_and_a_stall_can_be_seen(page: Page, simulator: Simulator) -> None:
    simulator.apply_chaos({"stall": "Requests"})
    async with await RawClient.open(simulator) as client:
        client.request(DEVICE, body=b'{"aps":{"alert":"a"}}')
        await client.ping()
        await page.until(f"({text('#n-1')}).includes('No answer yet')")
    simulator.apply_chaos({"stall": "Off", "latencyMs": 300})
    await push(simulator, {"aps": {"alert": "b"}})
    await page.until(f"({text('#n-2')}).includes('200 accepted')")
    await page.until("document.querySelector('#trouble-count').hidden === false")


async def test_kinds_are_told_apart(page: Page, simulator: Simulator) -> None:
    await several(simulator)
    await page.until(cards(6))
    assert "Silent" in await page.eval(text("#n-2"))
    assert "GAME_PLAY_REQUEST (Jenna)" in await page.eval(text("#n-3"))
    assert "410 Unregistered" in await page.eval(text("#n-4"))
    assert "Live Activity: update" in await page.eval(text("#n-5"))
    for number, words in (
        (2, "woken in the background"),
        (3, "Time Sensitive"),
        (4, "no device gets this"),
        (5, "progress"),
        (6, "Image at"),
    ):
        await show(page, number)
        assert words in await page.eval(text(".phone"))
    assert "cdn.example.com" in await page.eval(text(".looks"))
    await push(simulator, {"aps": {"badge": 4}})
    await push(simulator, {"x": 1}, apns_push_type="voip", apns_topic="com.example.app.voip")
    await push(simulator, {"aps": {}})
    await page.until(cards(9))
    for number, words in ((7, "no text"), (8, "Incoming call"), (9, "no alert, badge or sound")):
        await show(page, number)
        assert words in await page.eval(text(".phone"))


async def test_markup_is_shown_as_text(page: Page, simulator: Simulator) -> None:
    everywhere = {
        "aps": {
            "alert": {"title": HOSTILE, "subtitle": HOSTILE, "body": HOSTILE, "loc-args": [HOSTILE]},
            "sound": HOSTILE,
            "category": HOSTILE,
            "thread-id": HOSTILE,
            "interruption-level": "constructor",
            "badge": HOSTILE,
        },
        "image": "https://x/" + HOSTILE.replace(" ", "%20"),
        "__proto__": {"polluted": True},
        HOSTILE: HOSTILE,
    }
    await push(simulator, everywhere, apns_collapse_id="<b>x</b>")
    state = {HOSTILE: HOSTILE, "progress": 1e400}
    await push(
        simulator,
        {"aps": {"event": HOSTILE, "attributes-type": HOSTILE, "content-state": state, "stale-date": 1e300}},
        apns_push_type="liveactivity",
        apns_topic="com.example.app.push-type.liveactivity",
    )
    for payload in (
        b"\xff<script>",
        b"[1]",
        b'{"aps":[]}',
        b'{"aps":{"alert":[{}]}}',
        b'{"aps":{"alert":7,"badge":1e99}}',
    ):
        await push(simulator, payload)
    await push(
        simulator, {"aps": {"alert": "\u202egnp.exe\u2066"}, "image": "javascript:document.title='owned'"}
    )
    await push(
        simulator, {"aps": {}}, token="x%3Cscript%3E", apns_topic="<script>", apns_push_type="toString"
    )
    records = len(simulator.notifications)
    await page.until(cards(records))
    for number in range(1, records + 1):
        await show(page, number)
        assert (
            await page.eval(
                "document.querySelectorAll('main script, main iframe, main img[src^=x], main b b').length"
            )
            == 0
        )
    await show(page, 1)
    assert HOSTILE in await page.eval(text(".banner"))
    assert HOSTILE in await page.eval(
        "document.querySelector('.json').textContent.replaceAll('\\\\\"', '\"')"
    )
    assert await page.eval("document.title") == "Inbox · Tubepost simulator"
    assert await page.eval("({}).polluted === undefined")


async def test_searching_and_filtering(page: Page, simulator: Simulator) -> None:
    await several(simulator)
    await page.until(cards(6))
    await page.key("/")
    assert await page.eval("document.activeElement.id") == "f-q"
    await page.type("front desk")
    await page.until(cards(1))
    # What comes is filtered, too.
    await push(simulator, {"aps": {"alert": "nothing of the kind"}})
    await push(simulator, {"aps": {"alert": "The Front Desk again"}})
    await page.until(cards(2))
    assert (
        await page.eval("[...document.querySelectorAll('.card')].map((c) => c.dataset.number).join()")
        == "8,6"
    )
    await page.click("#reset-filters")
    await page.until(cards(8))

    async def choose(name: str, value: str) -> None:
        await page.eval(
            f"(() => {{ const e = document.querySelector('[name={name}]'); e.value = {json.dumps(value)};"
            " e.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )

    for name, value, count in (
        ("outcome", "rejected", 1),
        ("outcome", "reason:Unregistered", 1),
        ("outcome", "accepted", 7),
        ("push_type", "background", 1),
        ("push_type", "voip", 0),
        ("topic", PARCELS, 1),
        ("token_prefix", WATCH[:6].upper(), 1),
    ):
        await choose(name, value)
        await page.until(f"{cards(count)} && document.querySelector('#live').dataset.state === 'live'")
        await choose(name, "")
        await page.until(cards(8))


async def test_switches_for_trouble(page: Page, simulator: Simulator) -> None:
    await push(simulator, {"aps": {"alert": "one"}})
    await page.until(cards(1))
    await page.until("document.querySelector('.detail .actions') !== null")
    # From a notification to its device's trouble.
    await page.eval(
        "[...document.querySelectorAll('.actions button')].find((b) => b.innerText.includes('this device')).click()"
    )
    await page.until(f"document.querySelector('#t-device input').value === '{DEVICE}'")
    await page.click("#t-device button[type=submit]")
    await page.until("document.querySelectorAll('#active li:not(.calm)').length === 1")
    assert simulator.chaos()["devices"] == {DEVICE: "Unregistered"}
    await push(simulator, {"aps": {"alert": "two"}})
    assert simulator.notifications[-1].reason == "Unregistered"

    async def fill(card: str, active: int, **values: Any) -> None:
        """Apply a card, and wait until so many switches are on."""
        for name, value in values.items():
            await page.eval(
                f"(() => {{ const e = document.querySelector('#t-{card}').elements['{name}'];"
                f" e.value = {json.dumps(value)}; e.dispatchEvent(new Event('input', {{bubbles: true}})); }})()"
            )
        await page.click(f"#t-{card} button[type=submit]")
        await page.until(f"document.querySelectorAll('#active li').length === {active}")

    await fill("fail", 2, reason="TooManyRequests", count="2")
    await fill("latency", 4, latencyMs="20", jitterMs="5")
    await fill("streams", 6, maxConcurrentStreams="3", adaptiveStreams="Off")
    await fill("stall", 7, stall="Requests")
    await fill("goaway", 9, **{"goaway.lastStreamId": "Graceful", "goawayAfterRequests": "50"})
    chaos = simulator.chaos()
    assert chaos["failNext"]["TooManyRequests"] == 2
    assert (chaos["latencyMs"], chaos["jitterMs"], chaos["stall"]) == (20, 5, "Requests")
    assert (chaos["maxConcurrentStreams"], chaos["adaptiveStreams"]) == (3, "Off")
    assert (chaos["goaway"]["lastStreamId"], chaos["goawayAfterRequests"]) == ("Graceful", 50)

    async with await RawClient.open(simulator) as client:
        await client.ping()
        await page.click("#t-goaway button.danger")
        await client.until(lambda: bool(client.goaways))
    async with await RawClient.open(simulator) as client:
        await client.ping()
        await page.click("#t-drop button.danger")
        await client.until_closed()

    # A fault is said beside what it is about, and changes nothing.
    await fill("fail", 10, reason="BadTopic", count="0", share="100")
    await fill("fail", 10, reason="Forbidden", count="0", share="1")
    await page.until(f"({text('#t-fail .fault')}).includes('add up to more than 1')")
    assert simulator.chaos()["errors"] == {"BadTopic": 1.0}
    # Chromium itself says of an answer with 400 what it was.
    await page.until_fault("400 (Bad Request)")

    await page.click("#calm")
    await page.until("document.querySelector('#active .calm') !== null")
    assert simulator.chaos() == Simulator(settings()).chaos()
    assert await page.eval("document.querySelector('#t-latency').elements.latencyMs.value") == "0"


async def test_everything_goes_by_keyboard(page: Page, simulator: Simulator) -> None:
    await several(simulator)
    await page.until(cards(6))
    await page.key("Tab")
    assert await page.eval("document.activeElement.className") == "skip"
    await page.key("Enter")
    assert await page.eval("document.activeElement.id") == "main"
    await page.eval("document.querySelector('#n-6 .card').click(); document.querySelector('#main').focus()")
    await page.key("ArrowDown")
    assert await page.eval("document.activeElement.dataset.number") == "6"
    await page.key("ArrowDown")
    await page.key("j")
    assert await page.eval("document.activeElement.dataset.number") == "4"
    assert await page.eval(text(".detail h2")) == "#4"
    outline = await page.eval("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    await page.key("k")
    await page.key("Enter")
    assert await page.eval("document.activeElement.id") == "detail"
    await page.key("Tab")
    assert "MCMT" in await page.eval("document.activeElement.innerText")
    await page.key("Escape")
    assert await page.eval("document.activeElement.dataset.number") == "5"
    # What arrives takes neither the focus nor what is read.
    await push(simulator, {"aps": {"alert": "new"}})
    await page.until(cards(7))
    assert await page.eval("document.activeElement.dataset.number") == "5"
    assert await page.eval(text(".detail h2")) == "#5"
    for name in ("Trouble", "API", "Inbox"):
        await page.eval(
            f"[...document.querySelectorAll('nav a')].find((a) => a.innerText.startsWith('{name}')).focus()"
        )
        await page.key("Enter")
        await page.until(f"document.title.startsWith('{name}')")
        assert await page.eval("document.activeElement.id") == "main"


async def test_copied_as_a_message_it_can_be_submitted_again(page: Page, simulator: Simulator) -> None:
    await several(simulator)
    await page.until(cards(6))
    await page.permit("clipboardReadWrite", "clipboardSanitizedWrite")
    await show(page, 6)
    await page.eval(
        "(() => { const e = document.querySelector('#recipient'); e.value = 'x@push.example.com'; e.dispatchEvent(new Event('change')); })()"
    )
    await page.click(".actions .primary")
    message = ""
    async with asyncio.timeout(browser.PATIENCE):
        while "x@push.example.com" not in message:
            message = await page.eval("navigator.clipboard.readText()")
    for words in (
        "To: x@push.example.com",
        "message/vnd.msys.apn",
        f"X-Device-Token: {DEVICE}",
        "apns-collapse-id: order-10-4471",
    ):
        assert words in message


async def test_it_forgets_and_comes_back(page: Page, simulator: Simulator) -> None:
    await several(simulator)
    await page.until(cards(6))
    await page.click("#clear")
    await page.until(cards(0))
    assert simulator.notifications == []
    await push(simulator, {"aps": {"alert": "after"}})
    await page.until(cards(1))


async def test_it_goes_on_after_it_was_away(page: Page, simulator: Simulator) -> None:
    await push(simulator, {"aps": {"alert": "before"}})
    await page.until(cards(1))
    await page.eval("window.dispatchEvent(new Event('pagehide'))")
    await push(simulator, {"aps": {"alert": "meanwhile"}})
    await page.eval("window.dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    await page.until(cards(2))
    await page.eval("window.dispatchEvent(new Event('pagehide'))")
    simulator.clear()
    await push(simulator, {"aps": {"alert": "after"}})
    await page.eval("window.dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    await page.until(f"{cards(1)} && document.querySelector('#n-3')")


async def test_many_at_once_are_bounded_on_the_page(page: Page, simulator: Simulator) -> None:
    async with await RawClient.open(simulator) as client:
        for number in range(600):
            await client.answers(client.request(f"{number:04x}", body=b'{"aps":{"alert":"%d"}}' % number))
    await page.until(f"({text('#n-600')}) !== '' && ({text('#counts')}).startsWith('600 received')")
    assert await page.eval("document.querySelectorAll('.card').length") <= 400
    await page.load(home(simulator) + "?again", cards(100))
    await page.click("#older")
    await page.until(cards(200))
    assert await page.eval("document.activeElement.dataset.number") == "500"


async def test_the_api_is_described_on_the_page(page: Page, simulator: Simulator) -> None:
    await page.eval("location.hash = '#api'")
    await page.until("document.querySelectorAll('.route').length > 10")
    shown = await page.eval(text("#routes"))
    for words in ("/api/v1/wait", "/api/v1/chaos", "PATCH", "server-sent events"):
        assert words in shown
    assert home(simulator) + "api/v1" in await page.eval(text("#examples"))


VIEWS = ("inbox", "trouble", "api")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_judge_of_accessibility_finds_nothing(
    page: Page, simulator: Simulator, scheme: str
) -> None:
    """axe-core: everything it knows, in both schemes, on all views, and on a narrow screen."""
    simulator.apply_chaos({"latencyMs": 1, "failNext": {"Forbidden": 1_000}})
    await push(simulator, {"aps": {"alert": "refused"}})
    simulator.apply_chaos({"failNext": {}})
    await several(simulator)
    await page.until(cards(7))
    script = (tools.require("axe-core") / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    await page.eval(script + ";0")
    for width in (1440, 390):
        await page.look(width, 900, scheme)
        for view in VIEWS:
            await page.eval(f"location.hash = '#{view}'")
            await page.until(f"document.querySelector('#view-{view}').hidden === false")
            for number in (7, 6, 3) if view == "inbox" else (0,):
                if number:
                    await page.eval(f"document.querySelector('#n-{number} .card').click()")
                found = await page.eval(
                    "axe.run(document).then((r) => r.violations.map((v) => [v.id, v.impact, v.nodes.map((n) => n.html.slice(0, 200) + ' ' + n.failureSummary)]))"
                )
                assert found == [], (scheme, width, view, number)
            await page.eval("document.querySelector('.back')?.click()")


PICTURES = (
    ("inbox-light", "light", 1440, 900, "#inbox", 6),
    ("inbox-dark", "dark", 1440, 900, "#inbox", 5),
    ("inbox-trouble", "light", 1440, 900, "#trouble", 0),
    ("inbox-api", "dark", 1440, 900, "#api", 0),
    ("inbox-narrow-list", "light", 390, 844, "#inbox", 0),
    ("inbox-narrow", "dark", 390, 844, "#inbox", 6),
)


async def test_pictures(page: Page, simulator: Simulator, tmp_path: Path) -> None:
    directory = Path(os.environ.get("TUBEPOST_PICTURES") or tmp_path)
    await several(simulator)
    await page.until(cards(6))
    for name, scheme, width, height, view, number in PICTURES:
        trouble = {"latencyMs": 250, "failNext": {"Unregistered": 2}, "devices": {WATCH: "BadDeviceToken"}}
        simulator.apply_chaos(trouble if view == "#trouble" else dict.fromkeys(trouble))
        await page.look(width, height, scheme)
        await page.eval(f"location.hash = '{view}'")
        await page.load(home(simulator) + f"?{name}{view}", cards(6))
        await page.until(f"({text('#counts')}).startsWith('6 received')")
        if view == "#trouble":
            await page.until("document.querySelectorAll('#active li:not(.calm)').length === 3")
        if number:
            await page.eval(
                f"document.querySelector('#n-{number} .card').click(); document.activeElement.blur()"
            )
        await page.eval(
            "document.fonts.ready.then(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50))))"
        )
        assert await page.eval("document.documentElement.scrollWidth <= innerWidth")
        await page.picture(directory / f"{name}.png")
        size = await asyncio.to_thread(lambda path: path.stat().st_size, directory / f"{name}.png")
        assert size > 20_000
