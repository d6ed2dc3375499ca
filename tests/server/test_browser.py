"""The page in a real Chromium: it does what it says, by mouse and by keyboard, and nothing goes wrong in the console.

HARKEN_SHOTS=FOLDER keeps pictures of every view, at the width of a desk and of a phone, light and dark.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harken.server.app import Server
from harken.server.engine import Engine
from harken.server.guard import Rules
from harken.server.limits import Limits
from harken.server.served import Served

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

SIZES = {"desk": (1280, 900), "phone": (390, 844)}
LAST = "Ask for another answer"
SEEN = """(() => { const blank = Object.assign(document.createElement('canvas'), { width: 64, height: 64 }).toDataURL();
  return [...document.querySelectorAll('.overview canvas')].map(canvas => canvas.toDataURL() !== blank) })()"""
FRAMES = """new Promise(done => { const end = performance.now() + 400; let frames = 0;
  requestAnimationFrame(function frame() { frames++; performance.now() < end ? requestAnimationFrame(frame) : done(frames) }) })"""
GROWN = """window.grown = new Set();
new MutationObserver(() => grown.add(document.querySelector('.theirs .text')?.textContent.length))
  .observe(document.querySelector('.log'), { subtree: true, childList: true, characterData: true })"""


@pytest.fixture(scope="module")
def server(kinds: Any, talker: Any, tmp_path_factory: pytest.TempPathFactory) -> Server:
    folder: Path = tmp_path_factory.mktemp("run")
    lines = [f'{{"step": {i}, "loss": {4 / (1 + i / 20)}}}' for i in range(1, 200)] + [
        f'{{"step": {i}, "valid_loss": {4.2 / (1 + i / 25)}}}' for i in range(0, 200, 20)
    ]
    (folder / "metrics.jsonl").write_text("\n".join(lines))
    long, short = talker("messages", context=30_000), talker("messages", context=160)
    long[0].generation = {"min_new_tokens": 12_000, "max_new_tokens": 12_100}
    short[0].generation = {"min_new_tokens": 5, "max_new_tokens": 30}
    models = {"short": short, "long": long, "plain": kinds("gpt2"), "bart": kinds("bart"), "gru": kinds("gru")}
    models["plain"][0].generation = {"min_new_tokens": 12}  # what is drawn may end early, and no test is about that
    return Server(
        Engine(
            [Served(name, *pair, folder=folder if name == "short" else None) for name, pair in models.items()],
            Limits(max_new_tokens=12_100),
        ),
        Rules(keys={}),
    )


@pytest.fixture(scope="module")
def address(server: Server, live: Any) -> Iterator[str]:
    with live(server) as address:
        yield address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Any, address: str):
    """`opened(view, model)`: the page; at the end nothing may have gone wrong, or been asked of another server."""
    wrong: list[str] = []
    contexts: list[Any] = []
    expected: list[str] = []  # words of console messages that a test brings about

    def open_page(
        view: str = "", model: str | None = None, *, size: str = "desk", at: str = address, allow: str = "", **settings: Any
    ) -> Any:
        width, height = SIZES[size]
        expected.extend([allow] * bool(allow))
        contexts.append(chromium.new_context(viewport={"width": width, "height": height}, **settings))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: request.url.startswith((at, "data:")) or wrong.append(request.url))
        page.goto(f"{at}/{'#' + view if view else ''}")
        if model is not None:
            page.locator("#picker").wait_for()
            page.select_option("#model", model)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [message for message in wrong if not any(each in message for each in expected)] == []


def until(page: Any, expression: str) -> None:
    """Wait until it is true; the page's own policy forbids the evaluation that Playwright's wait_for_function needs."""
    end = time.monotonic() + 30
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


def written(page: Any, words: str = "") -> None:
    page.locator("#view-completion .reading p", has_text=f"{words or 'tokens'} written").wait_for()


def say(page: Any, text: str) -> None:
    page.fill("#chat-box", text)
    page.focus("#chat-box")
    page.keyboard.press("Enter")


def test_a_chat_streams_and_is_asked_again(opened: Any) -> None:
    page = opened(model="short")
    assert "Say something to short" in page.locator(".empty").inner_text()
    page.evaluate(GROWN)
    say(page, "hello")
    page.get_by_role("button", name=LAST).wait_for()
    assert len(page.evaluate("[...grown]")) > 3, "it came in pieces"
    texts = page.locator(".log .text")
    assert texts.count() == 2 and texts.nth(0).inner_text() == "hello" and texts.nth(1).inner_text()
    assert re.search(r"\d+ tokens? · [\d,]+ tokens/s", page.locator(".log .theirs").inner_text())
    page.click("summary")
    page.fill("#chat-seed", "1")
    answers = []
    for _ in range(2):
        page.get_by_role("button", name=LAST).click()
        page.get_by_role("button", name="Send").wait_for()
        page.get_by_role("button", name=LAST).wait_for()
        answers.append(texts.nth(1).inner_text())
    assert answers[0] == answers[1] and texts.count() == 2, "the same seed says the same"
    assert page.evaluate("document.getElementById('said').textContent").strip(), "it is said to those who hear the page"
    page.get_by_role("button", name="Edit this message").click()
    assert page.input_value("#chat-box") == "hello" and texts.count() == 0


def test_the_oldest_of_a_chat_goes_first(opened: Any) -> None:
    page = opened("chat", "short", allow="400")
    for _ in range(9):
        say(page, "how are you? i am fine.")
        page.get_by_role("button", name=LAST).wait_for()
    last = page.locator(".log .theirs").last.inner_text()
    assert re.search(r"without the \d+ oldest messages", last) and "without" not in page.locator(".log .theirs").first.inner_text()
    assert page.locator(".log .theirs").count() == 9 and not page.locator("#view-chat [role=alert]").is_visible()


def test_stop_ends_an_answer_here_and_on_the_server(opened: Any, server: Server) -> None:
    page = opened("chat", "long")
    say(page, "hello")
    until(page, "document.querySelector('.theirs .text')?.textContent.length > 3")
    assert page.evaluate(FRAMES) > 4, "a page that writes still draws and hears"
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name=LAST).wait_for()
    assert "stopped" in page.locator(".log .theirs .tools").inner_text()
    text = page.locator(".theirs .text").inner_text()
    until(page, "fetch('harken/server').then(r => r.json()).then(now => now.running === 0)")
    assert page.locator(".theirs .text").inner_text() == text and server.engine.running == 0
    say(page, "again")
    until(page, "document.querySelectorAll('.theirs .text')[1]?.textContent.length > 3")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Send").wait_for()
    assert page.locator(".theirs").count() == 2


def test_probabilities_show_and_a_branch_begins(opened: Any) -> None:
    page = opened("completion", "plain")
    page.fill("#completion-box", "abcabc")
    page.click("summary")
    page.fill("#completion-max_tokens", "12")
    page.get_by_role("button", name="Write", exact=True).click()
    written(page, "12 tokens")
    tokens = page.locator("#completion-strip [data-i]")
    assert tokens.count() == 19 and page.locator("#completion-strip .written").count() == 12
    colours = page.evaluate("[...document.querySelectorAll('#completion-strip [data-i]')].map(span => span.style.background)")
    assert colours[0] == "" and all(colours[1:]) and len(set(colours)) > 3
    page.click("#completion-strip [data-i='8']")
    page.keyboard.press("ArrowRight")
    page.mouse.move(0, 0)
    detail = page.locator("#completion-detail")
    assert "probability" in detail.inner_text() and detail.locator("li button").count() in (5, 6)
    before = [tokens.nth(i).inner_text() for i in range(19)]
    other = detail.locator("li:not(.own) button").first
    label = other.locator("bdi").inner_text()
    other.focus()
    page.keyboard.press("Enter")
    back = page.get_by_role("button", name="Back to the text")
    back.wait_for()
    page.get_by_role("button", name="Write", exact=True).wait_for()
    after = [tokens.nth(i).inner_text() for i in range(tokens.count())]
    assert after[:9] == before[:9] and after[9] == label != before[9]
    back.click()
    assert [tokens.nth(i).inner_text() for i in range(19)] == before and not back.is_visible()


def test_attention_of_the_last_answer(opened: Any) -> None:
    page = opened("chat", "short")
    say(page, "hello")
    page.get_by_role("button", name="Look inside").click()
    page.locator("#attention-title", has_text="Layer").wait_for()
    assert "as the model read it" in page.locator("#view-attention").inner_text()
    until(page, f"{SEEN}.every(Boolean)")
    heads = page.locator(".overview button")
    assert heads.count() % page.locator(".overview .name").count() == 0
    title = page.locator("#attention-title").inner_text()
    pixels = "document.querySelector('#map canvas').toDataURL()"
    first = page.evaluate(pixels)
    page.locator(".overview [aria-pressed=true]").focus()
    page.keyboard.press("ArrowRight")
    page.locator("#attention-title", has_text="head 0").wait_for()
    until(page, f"{pixels} !== {first!r}")
    assert page.locator("#attention-title").inner_text() != title and page.locator(".overview [aria-pressed=true]").count() == 1
    page.click("#attention-strip [data-i='4']")
    page.mouse.move(0, 0)
    assert "(4) looks at" in page.locator("#readout").inner_text()
    assert any(page.evaluate("[...document.querySelectorAll('#attention-strip [data-i]')].map(span => span.style.background)"))
    page.focus("#map canvas:nth-of-type(2)")
    page.keyboard.press("ArrowDown")
    assert "(5) looks at" in page.locator("#readout").inner_text()
    page.fill("#attention-box", "abc")
    page.get_by_role("button", name="Look", exact=True).click()
    until(page, "document.querySelectorAll('#attention-strip [data-i]').length < 6")


def test_models_that_answer_a_source_or_attend_to_nothing(opened: Any) -> None:
    page = opened("attention", "bart")
    page.fill("#attention-box", "abc")
    page.fill("#attention-target", "cba")
    page.get_by_role("button", name="Look", exact=True).click()
    page.locator("#attention-title", has_text="Layer").wait_for()
    assert page.locator("input[name=attention-kind]").count() == 3
    page.check("input[name=attention-kind][value='0']")
    until(page, f"{SEEN}.every(Boolean)")
    page.select_option("#model", "gru")
    page.fill("#attention-box", "abc")
    page.get_by_role("button", name="Look", exact=True).click()
    page.get_by_text("attends to nothing").wait_for()
    page.click("nav a[href='#chat']")
    page.get_by_text("has no chat template").wait_for()
    assert not page.locator("#chat-box").is_visible()


def test_a_model_and_the_server(opened: Any) -> None:
    page = opened("model", "short")
    page.locator(".curve polyline").first.wait_for()
    assert "training loss from" in page.locator(".curve svg").get_attribute("aria-label")
    page.click("#view-model summary")
    assert (
        page.locator("#view-model tbody tr").count() > 20
        and "of 199 measurements" in page.locator("#view-model caption").first.inner_text()
    )
    page.click("nav a[href='#chat']")
    page.select_option("#model", "long")
    say(page, "hello")
    until(page, "document.querySelector('.theirs .text')?.textContent.length > 3")
    page.locator("nav a[href='#server']").dispatch_event("click")
    row = "document.querySelector('#view-server tbody tr')?.innerText"  # a page that is busy with an answer has no time for frames
    until(page, f"{row}?.includes('long') && {row}.includes('running') && document.querySelector('#view-server polyline') !== null")
    page.locator("nav a[href='#chat']").dispatch_event("click")
    page.get_by_role("button", name="Stop").dispatch_event("click")
    page.get_by_role("button", name=LAST).wait_for()


def test_a_key_is_asked_for_and_kept_for_the_tab(opened: Any, server: Server, live: Any, kinds: Any) -> None:
    with live(Server(Engine([Served("plain", *kinds("gpt2"))]), Rules(keys={"me": "secret"}))) as address:
        page = opened(at=address, allow="401")
        page.fill("#key-value", "wrong")
        page.keyboard.press("Enter")
        page.locator("#key-why", has_text="not one of this server's").wait_for()
        page.fill("#key-value", "secret")
        page.keyboard.press("Enter")
        page.locator("#completion-box").wait_for()
        page.reload()
        page.locator("#completion-box").wait_for()
        assert page.evaluate("[sessionStorage.getItem('harken-key'), localStorage.length]") == ["secret", 0]


def test_what_goes_wrong_is_one_sentence(opened: Any, server: Server) -> None:
    page = opened("completion", "plain", allow="400")
    page.fill("#completion-box", "a" * 300)
    page.get_by_role("button", name="Write", exact=True).click()
    alarm = page.locator("#view-completion [role=alert]")
    page.get_by_text("context length is").wait_for()
    page.fill("#completion-box", "abc")
    page.click("summary")
    page.fill("#completion-temperature", "9")
    page.get_by_role("button", name="Write", exact=True).click()
    until(page, "document.querySelector('#view-completion [role=alert]').textContent.startsWith('Temperature')")
    assert page.evaluate("document.activeElement.id") == "completion-temperature"
    page.fill("#completion-temperature", "")
    page.get_by_role("button", name="Write", exact=True).click()
    written(page)
    assert not alarm.is_visible()


def test_light_and_dark_are_chosen_and_kept(opened: Any) -> None:
    page = opened("model", "plain", color_scheme="light")
    colour = "getComputedStyle(document.querySelector('.card')).backgroundColor"
    assert page.evaluate(colour) == "rgb(255, 255, 255)"
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(colour) != "rgb(255, 255, 255)" and page.locator("#theme").get_attribute("aria-pressed") == "true"
    page.reload()
    page.locator(".card").first.wait_for()
    assert page.evaluate(colour) != "rgb(255, 255, 255)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_view_is_good_to_read_and_to_hear(opened: Any, size: str, scheme: str) -> None:
    """No serious issue that axe knows of, nothing wider than the screen."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed").Axe()
    page = opened("chat", "short", size=size, color_scheme=scheme, reduced_motion="reduce")
    shots = os.environ.get("HARKEN_SHOTS")

    def check(view: str) -> None:
        if shots:
            page.screenshot(path=Path(shots) / f"{size}-{scheme}-{view}.png", full_page=True)
        found = [each for each in axe.run(page).response["violations"] if each["impact"] in ("serious", "critical")]
        assert not found, [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0], view

    check("empty")
    say(page, "hello")
    page.get_by_role("button", name=LAST).wait_for()
    page.click("#view-chat summary")
    check("chat")
    page.get_by_role("button", name="Look inside").click()
    until(page, f"{SEEN}.length && {SEEN}.every(Boolean)")
    page.click("#attention-strip [data-i='4']")
    check("attention")
    page.click("nav a[href='#completion']")
    page.fill("#completion-box", "abc")
    page.get_by_role("button", name="Write", exact=True).click()
    written(page)
    page.click("#completion-strip [data-i='5']")
    check("completion")
    page.click("nav a[href='#model']")
    page.locator(".curve svg").wait_for()
    page.click("#view-model summary")
    check("model")
    page.click("nav a[href='#server']")
    page.locator("#view-server dd").first.wait_for()
    check("server")
