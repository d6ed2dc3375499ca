"""Whatever the schema, the budget and the model: the text parses, and is a document of the schema."""

from __future__ import annotations

import json
import random
import string
from typing import Any

import jsonschema
import pytest

from harken.base.errors import InputError
from harken.decode.generate import generate
from harken.decode.options import DecodeOptions
from harken.families.llama import LlamaConfig
from harken.families.recurrent import GRUConfig
from harken.families.table import build
from harken.text.train import train_bpe, train_characters, train_unigram

TEXTS = [
    string.printable + "éäß½日本🙂",
    'the name of the cat: "Tom", age 12, ["red","green"], {"id":1.5,"ok":true,"none":null,"list":[]}',
] * 4
NAMES = ["id", "name", "age", "tags", "x", "on", "näme", "a b", 'q"t', "back\\slash", "line\nend"]
PATTERNS = ["^[a-z]{2,5}$", "^[A-Z][a-z]*$", "^(ab|cd)+$", r"^\d{3}-\d{4}$", "x", "^a.b", r"^\w+@\w+$", "^[^a-z]{1,3}$", r"[\"\\]$"]
FORMATS = ["date", "date-time", "uuid", "email", "ipv4", "hostname", "time", "uri"]


def any_schema(rng: random.Random, depth: int, refs: list[str]) -> Any:
    """A schema of every kind that is supported."""
    if depth <= 0 or rng.random() < 0.35:
        return plain(rng)
    if refs and rng.random() < 0.15:
        return {"$ref": rng.choice(refs)}
    return rng.choice([object_schema, object_schema, array_schema, array_schema, any_of, all_of])(rng, depth - 1, refs)


def plain(rng: random.Random) -> dict[str, Any]:
    kind = rng.choice(["string", "string", "integer", "number", "boolean", "null", "enum", "const", "types"])
    if kind == "enum":
        return {"enum": rng.sample([1, "one", 2.5, None, True, "é", [1, 2], {"a": 'b"'}, -7, ""], rng.randint(1, 4))}
    if kind == "const":
        return {"const": rng.choice(["on", 3, None, {"k": [True]}, "🙂", -0.25])}
    if kind == "types":
        return {"type": rng.sample(["string", "integer", "null", "boolean", "number"], 2)}
    if kind == "string":
        way = rng.random()
        if way < 0.25:
            return {"type": "string", "pattern": rng.choice(PATTERNS)}
        if way < 0.35:
            return {"type": "string", "format": rng.choice(FORMATS)}
        least = rng.randint(0, 4)
        return {
            "type": "string",
            **({"minLength": least} if least else {}),
            **({"maxLength": least + rng.randint(0, 12)} if way < 0.8 else {}),
        }
    return {"type": kind, **(bounds(rng, kind) if kind in ("integer", "number") else {})}


def bounds(rng: random.Random, kind: str) -> dict[str, Any]:
    digits = rng.choice([0, 1, 3]) if kind == "number" else 0
    low = round(rng.uniform(-300, 300), digits) if digits else rng.randint(-300, 300)
    found: dict[str, Any] = {}
    if rng.random() < 0.6:
        found[rng.choice(["minimum", "exclusiveMinimum"])] = low
    if rng.random() < 0.6:
        wide = rng.choice([2, 5, 50, 5000])
        found[rng.choice(["maximum", "exclusiveMaximum"])] = round(low + rng.uniform(2, wide), digits) if digits else low + wide
    if kind == "integer" and rng.random() < 0.2:
        found = {"multipleOf": rng.choice([2, 5, 10])} if rng.random() < 0.5 else {"minimum": -20, "maximum": 100, "multipleOf": 7}
    return found


def object_schema(rng: random.Random, depth: int, refs: list[str]) -> dict[str, Any]:
    names = rng.sample(NAMES, rng.randint(0, 4))
    found: dict[str, Any] = {"type": "object", "properties": {name: any_schema(rng, depth, refs) for name in names}}
    # What refers back is never required, or no document would have an end.
    found["required"] = [n for n in names if "$ref" not in json.dumps(found["properties"][n]) and rng.random() < 0.5]
    if rng.random() < 0.6:
        found["additionalProperties"] = rng.choice([False, False, True, {"type": "integer"}, plain(rng)])
    return found


def array_schema(rng: random.Random, depth: int, refs: list[str]) -> dict[str, Any]:
    items, least = any_schema(rng, depth, refs), rng.randint(0, 2)
    if "$ref" in json.dumps(items):
        least = 0
    found: dict[str, Any] = {"type": "array", "items": items, "minItems": least, "maxItems": least + rng.randint(0, 3)}
    if rng.random() < 0.3:
        found |= {"prefixItems": [plain(rng) for _ in range(rng.randint(1, 2))]}
    return found if rng.random() < 0.9 else {"type": "array", "items": items}


def any_of(rng: random.Random, depth: int, refs: list[str]) -> dict[str, Any]:
    return {"anyOf": [plain(rng), *(any_schema(rng, depth, refs) for _ in range(rng.randint(1, 2)))]}


def all_of(rng: random.Random, depth: int, refs: list[str]) -> dict[str, Any]:
    first = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
    second = {"properties": {"id": {"minimum": 0, "maximum": 99}, "to": any_schema(rng, depth, refs)}}
    return {"allOf": [first, second]} if rng.random() < 0.5 else {"$ref": "#/$defs/point", "required": ["y"]}


def drawn_schema(rng: random.Random) -> dict[str, Any]:
    """A whole schema, with parts that refer to themselves."""
    refs = ["#/$defs/node", "#/$defs/point", "#"]
    point = {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "integer"}}, "required": ["x"]}
    node = {
        "type": "object",
        "properties": {"value": plain(rng), "next": {"$ref": "#/$defs/node"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
        "required": ["value"],
        "additionalProperties": False,
    }
    root = rng.choice([object_schema, object_schema, object_schema, array_schema])(rng, 3, refs)
    return {**root, "$defs": {"node": node, "point": point}}


def made(kind: str):
    trained = {"char": train_characters, "bpe": lambda texts: train_bpe(texts, 320), "unigram": lambda texts: train_unigram(texts, 520)}
    tokenizer = trained[kind](TEXTS)
    config = (GRUConfig if kind == "unigram" else LlamaConfig).sized(16, 1, 1, 512, tokenizer.vocab_size, 0.0)
    config.eos_token_id, config.initializer_range = tokenizer.eos_id, 0.3
    return build(config, seed=1), tokenizer


@pytest.fixture(scope="module")
def models():
    return [made(kind) for kind in ("char", "bpe", "unigram")]


def written(models, seed: int) -> tuple[str, dict[str, Any]] | None:
    """A document of a schema drawn at random, by one of the models; None where the budget is too small for any."""
    rng = random.Random(seed)
    schema, (model, tokenizer) = drawn_schema(rng), rng.choice(models)
    asked = DecodeOptions(json_schema=schema, max_new_tokens=rng.randint(16, 256), do_sample=rng.random() < 0.8, seed=seed)
    try:
        found = generate(model, tokenizer, ["the "], asked)[0]
    except InputError as error:
        assert "the shortest text that satisfies it takes" in str(error), (error, schema)
        return None
    assert found.finish_reason == "stop"
    return found.text[4:], schema


def check(models, seeds: range) -> None:
    refused = 0
    for seed in seeds:
        result = written(models, seed)
        if result is None:
            refused += 1
            continue
        text, schema = result
        try:
            jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER).validate(
                json.loads(text)
            )
        except Exception as error:
            raise AssertionError(f"seed {seed}: {text!r} is no document of {json.dumps(schema)}: {error}") from None
    print(f"{refused} of {len(seeds)} refused up front: {refused / len(seeds):.1%}")
    assert refused < 0.2 * len(seeds)


def test_every_document_is_valid(models):
    check(models, range(150))


@pytest.mark.slow
def test_two_thousand_documents_are_valid(models):
    check(models, range(1_000, 3_000))
