"""The page in a real Chromium, offline, from disk: no error, no request, and it does what it says when it is used."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harken.base.files import write_text
from harken.view.inspect import inspect
from harken.view.page import page as write

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

POEM = "the cat sat on the mat\nand the dog sat on the cat\n"
NASTY = "</script><img src=x onerror=alert(1)><script>alert(2)</script> \u202eabc \x00 שלום"
PIXELS = "[...document.querySelectorAll('#map canvas')].map(canvas => canvas.toDataURL())"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, tmp_path: Path):
    """`opened(found)`: its page in a browser without a network; at the end nothing may have gone wrong or been asked for."""
    wrong: list[str] = []
    contexts = []

    def open_page(found, width: int = 1200, **settings):
        write_text(tmp_path / "page.html", write(found)[0])
        contexts.append(chromium.new_context(viewport={"width": width, "height": 900}, offline=True, **settings))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on("request", lambda request: request.url.startswith(("file:", "data:,")) or wrong.append(request.url))
        page.goto((tmp_path / "page.html").as_uri())
        if found.attention:
            page.locator("#map-title", has_text="Layer").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def detail(page) -> str:
    return page.locator("#detail").inner_text()


def test_clicking_a_head_and_a_layer_changes_the_map(opened, make, pieces):
    page = opened(inspect(make("llama", pieces.vocab_size), pieces, POEM))
    assert page.locator("#map-title").inner_text() == "Layer 1, mean of 4 heads"
    assert page.locator("#heads button").count() == 5
    seen = [page.evaluate(PIXELS)[0]]
    page.click("#heads button[data-head='2']")
    page.locator("#map-title", has_text="Layer 1, head 2").wait_for()
    seen.append(page.evaluate(PIXELS)[0])
    page.check("input[name=layer][value='0']")
    page.locator("#map-title", has_text="Layer 0, head 2").wait_for()
    seen.append(page.evaluate(PIXELS)[0])
    assert len(set(seen)) == 3
    page.click("#in")
    page.click("#in")
    assert page.evaluate(PIXELS)[0] not in seen, "fewer tokens, larger"


def test_a_token_shows_its_numbers_and_its_row(opened, make, pieces):
    found = inspect(make("gpt2", pieces.vocab_size), pieces, POEM)
    page = opened(found)
    over = page.evaluate(PIXELS)[1]
    page.hover("#strip-3")
    assert f"{found.ranks[3]:,} of {pieces.vocab_size:,}" in detail(page) and f"{found.entropy_bits[3]:.2f} bits" in detail(page)
    assert page.evaluate(PIXELS)[1] != over, "its row is marked on the map"
    row = found.attention["self"].mean[-1][3]
    assert f"{100 * row.max():.1f}%" in page.locator("#readout").inner_text()
    page.click("#strip-5")
    page.mouse.move(0, 0)
    page.focus("#strip")
    page.keyboard.press("ArrowRight")
    assert "position, id\n6, " in detail(page)
    page.keyboard.press("End")
    assert "what would follow" in detail(page) and f"{found.entropy_bits[-1]:.2f} bits" in detail(page)


def test_a_cell_of_the_map_is_read_out(opened, make, pieces):
    found = inspect(make("llama", pieces.vocab_size), pieces, POEM)
    page = opened(found)
    page.focus("#map canvas:nth-of-type(2)")
    page.evaluate("set({ token: 4 })")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    weight = found.attention["self"].mean[-1][5, 1]
    assert "(5) looks at" in page.locator("#readout").inner_text()
    own = page.locator("#readout li.own").inner_text()
    assert own.split()[:1] == [found.tokens.shown[1].replace(" ", "·")] and float(own.split()[-1].rstrip("%")) == pytest.approx(
        100 * weight, abs=0.3
    )


def test_colours_follow_the_switch(opened, make, pieces):
    page = opened(inspect(make("llama", pieces.vocab_size), pieces, POEM))

    def colours() -> list[str]:
        return page.evaluate("[...document.querySelectorAll('#strip .token')].map(span => span.style.background)")

    seen = []
    for mode in ("probability", "rank", "entropy", "attention"):
        page.check(f"input[name=mode][value={mode}]")
        seen.append(tuple(colours()))
    assert len(set(seen)) == 4
    page.click("#strip-2")
    assert colours()[2:3] != [""] and not any(colours()[3:]), "no token looks at what comes later"


def test_nothing_in_a_text_breaks_out(opened, make, pieces):
    found = inspect(make("llama", pieces.vocab_size, context=256), pieces, NASTY, name=NASTY)
    page = opened(found)
    assert page.locator("img").count() == 0
    strip = page.evaluate("document.getElementById('strip').textContent")
    assert NASTY[:60] in strip and "⟨U+202E⟩" in strip and "⟨U+0000⟩" in strip
    assert page.evaluate("data.tokens.shown.length") == len(found.tokens.shown)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_and_dark(opened, make, letters, scheme):
    page = opened(inspect(make("llama", letters.vocab_size), letters, POEM[:40]), width=360, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 360, "nothing sticks out"
    card = page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
    assert (card == "rgb(255, 255, 255)") is (scheme == "light")
    worst = page.evaluate("Math.min(...['orange', 'blue'].map(name => ramp(name)).flatMap(({ rgba, ink }) => [...rgba].map((v, i) => {"
                          " const l = luminance(v & 255, (v >> 8) & 255, (v >> 16) & 255), o = ink[i] === '#000000' ? 0 : 1;"
                          " return (Math.max(l, o) + 0.05) / (Math.min(l, o) + 0.05); })))")  # fmt: skip
    assert worst >= 4.5, "letters can be read on every colour"


def test_a_source_and_its_alignment(opened, aligner, letters):
    page = opened(inspect(aligner, letters, "the cat", target="sat on"))
    assert page.locator("#source-strip .token").count() == 9 and page.locator("#strip .token").count() == 8
    page.check("input[name=mode][value=attention]")
    page.click("#strip-2")
    assert all(page.evaluate("[...document.querySelectorAll('#source-strip .token')].map(span => span.style.background)"))


def test_a_model_without_attention(opened, make, letters):
    page = opened(inspect(make("lstm", letters.vocab_size), letters, POEM))
    assert not page.locator("#looked").is_visible() and page.locator("input[name=mode]").count() == 3
    page.click("#strip-4")
    assert "rank" in detail(page)


def test_a_long_text_comes_in_pages(opened, make, letters):
    page = opened(inspect(make("bigram", letters.vocab_size), letters, POEM * 50))
    assert page.locator("#strip .token").count() == 1000
    page.click("#pages button >> nth=1")
    assert page.locator("#strip-1000").count() == 1 and "tokens 1,000 to 1,999" in page.locator("#pages").inner_text()


def test_without_script_the_numbers_are_there(opened, make, letters):
    page = opened(inspect(make("bigram", letters.vocab_size), letters, POEM), java_script_enabled=False)
    page.click("summary")
    assert page.locator("td").count() == 6 * (len(POEM) + 1) and page.locator("noscript p").is_visible()
