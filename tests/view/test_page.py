"""The page holds what the model said, whatever the text: nothing in it breaks out, nothing is fetched, nothing is silently left out."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harken.draw.labels import printable
from harken.view import payload as packing
from harken.view.inspect import Inspection, inspect
from harken.view.page import MOST_ROWS, chance, page
from harken.view.payload import pack, script_safe, unpack

NASTY = "</script><script>alert(1)</script> & \"a\" 'b' <!-- --> ]]> \u202e\x00\x1b\u2028\ufeff 🎉 שלום e\u0301 \\u003c\n\r\t"


class Parsed(HTMLParser):
    """The tags of a page in order, what its scripts hold, and the text of its table."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.scripts: list[tuple[dict, str]] = []
        self.cells: list[str] = []
        self.within = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.within = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag):
        self.within = ""

    def handle_data(self, data):
        if self.within == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        if self.within == "td":
            self.cells[-1] += data

    @property
    def data(self) -> dict:
        return json.loads(next(text for attrs, text in self.scripts if attrs.get("id") == "data"))


@pytest.fixture(scope="module")
def looked(make, pieces) -> Inspection:
    return inspect(make("llama", pieces.vocab_size, context=256), pieces, "the cat sat on the mat\nand the dog", name="small")


@given(st.text(max_size=30))
@example(NASTY)
@settings(max_examples=40)
def test_any_text_stays_text(make, pieces, text):
    found = inspect(make("llama", pieces.vocab_size, context=256), pieces, text, name=text)
    written, _ = page(found)
    parsed = Parsed(written)
    data = parsed.data
    assert data["tokens"]["shown"] == list(found.tokens.shown)
    assert data["tokens"]["ids"] == found.tokens.ids.tolist()
    assert [attrs for attrs, _ in parsed.scripts] == [{"type": "application/json", "id": "data"}, {}]
    plain = Parsed(page(inspect(make("llama", pieces.vocab_size, context=256), pieces, "", name=""))[0])
    assert [tag for tag in parsed.tags if tag not in ("tr", "td")] == [tag for tag in plain.tags if tag not in ("tr", "td")]
    assert parsed.cells[1::6] == [printable(shown) for shown in found.tokens.shown]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ufffe\uffff]", written)


def test_every_sign_of_the_text_can_be_read(make, pieces):
    text = "the cat 🎉\n\n on\tthe mat"
    data = Parsed(page(inspect(make("llama", pieces.vocab_size), pieces, text))[0]).data
    read = "".join(gap + piece for gap, piece in data["tokens"]["pieces"][1:])
    assert read.replace("⋯", "").replace("↵\n", "\n").replace("⇥", "\t") == text
    assert read.count("⋯") == 3, "four bytes, one character"


def test_numbers_come_as_they_are(looked):
    data = Parsed(page(looked)[0]).data
    assert data["logprobs"][0] is None and data["ranks"] == looked.ranks.tolist() and data["top_ids"] == looked.top_ids.tolist()
    np.testing.assert_allclose(data["logprobs"][1:], looked.logprobs[1:], rtol=1e-5)
    np.testing.assert_allclose(data["entropies"][1:], looked.entropy_bits[1:], rtol=1e-5)
    (kind,) = data["maps"]
    length = len(looked.tokens.ids)
    assert (kind["kind"], kind["layers"], kind["heads"], kind["causal"]) == ("self", [0, 1], [0, 1, 2, 3], True)
    for layer in (0, 1):
        np.testing.assert_allclose(unpack(kind["means"][layer], length, length), looked.attention["self"].mean[layer], atol=0.5 / 255)
        for head in range(4):
            np.testing.assert_allclose(unpack(kind["maps"][layer][head], length, length), looked.maps["self"][layer, head], atol=0.5 / 255)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 5))
def test_a_packed_weight_is_within_a_510th_of_the_largest_of_its_row(rows, columns, seed):
    weights = np.random.default_rng(seed).dirichlet(np.full(columns, 0.2), rows).astype(np.float32)
    weights[rows // 2] = 0  # a query that may see nothing
    back = unpack(pack(weights), rows, columns)
    assert (np.abs(back - weights) <= weights.max(1, keepdims=True) / 510 + 1e-7).all()


def test_nothing_is_fetched_and_only_its_own_script_runs(looked):
    text, _ = page(looked)
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\((?!data:)", text, re.IGNORECASE)
    assert re.findall(r"""(?:src|href)=["']?([^"' >]+)""", text) == ["data:,"]
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy and policy[1].startswith("default-src 'none'")
    for tag in ("style", "script"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert f"{tag}-src 'sha256-{base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()}'" in policy[1]


def test_a_page_that_would_be_too_large_keeps_the_means_and_says_so(looked):
    whole, nothing_to_say = page(looked)
    assert nothing_to_say == []
    heads = [sum(map(len, layer)) for layer in Parsed(whole).data["maps"][0]["maps"]]
    means = sum(map(len, Parsed(whole).data["maps"][0]["means"]))
    text, said = page(looked, most=means + heads[0])
    (kind,) = Parsed(text).data["maps"]
    assert len(kind["means"]) == 2 and len(kind["maps"][0]) == 4 and kind["maps"][1] is None
    assert len(said) == 1 and "only the mean over the heads for layer 1: --layer 1 shows" in said[0] and said[0] in text
    _, said = page(looked, most=0)
    assert "layers 0, 1: --layer 0" in said[0]


def test_a_page_of_chosen_heads_says_which(make, pieces):
    found = inspect(make("llama", pieces.vocab_size, layers=4), pieces, "the cat", layers=[1, 2, 3], heads=[0])
    _, said = page(found)
    assert said == ["as asked, the page holds layers 1 to 3 of 4 and head 0 of 4; a mean is over all heads."]


@pytest.mark.parametrize("family", ["lstm", "ngram", "mlp"])
def test_a_model_without_attention_gets_a_page_too(make, pieces, family):
    text, _ = page(inspect(make(family, pieces.vocab_size), pieces, "the cat"))
    assert Parsed(text).data["maps"] == []
    assert re.search(r'<section id="looked"[^>]*hidden>', text) and f"this {family} model attends to nothing" in text


def test_a_source_has_its_own_tokens(aligner, letters):
    text, _ = page(inspect(aligner, letters, "the cat", target="sat"))
    data = Parsed(text).data
    assert "".join(data["source"]["shown"]) == "<bos>the cat<eos>"
    assert (data["maps"][0]["kind"], data["maps"][0]["rows"], data["maps"][0]["columns"]) == ("alignment", "tokens", "source")
    assert data["maps"][0]["causal"] is False


def test_a_long_table_is_cut_and_says_so(make, pieces):
    found = inspect(make("bigram", pieces.vocab_size), pieces, "the cat " * 1_200)
    text, _ = page(found)
    assert text.count("<tr>") == MOST_ROWS + 1 and f"The first {MOST_ROWS:,} of {len(found.tokens.ids):,} tokens" in text


def test_chances_people_can_read():
    said = {0.5: "50.0%", 0.1: "10.0%", 0.0123: "1.23%", 0.001: "0.10%", 0.0005: "1 in 2,000", 1e-7: "1 in 10,000,000"}
    assert {p: chance(math.log(p)) for p in said} == said
    assert chance(-math.inf) == "0%" and chance(-800) == "1 in 10^347"


def test_script_safe_refuses_what_json_has_not():
    assert json.loads(script_safe({"a": NASTY})) == {"a": NASTY} and script_safe(NASTY).isascii() and "<" not in script_safe(NASTY)
    with pytest.raises(ValueError):
        script_safe([math.nan])
    assert packing.MOST_CHARACTERS <= 25_000_000, "what mail servers take"
