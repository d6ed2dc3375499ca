"""CTranslate2's side. Run with a checkpoint, a folder to write and a kind, it converts: with_ctranslate2.py IN OUT float32|int8."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ctranslate2
from worker import Run, serve


def convert(folder: str, out: str, kind: str) -> None:
    """By its own converter, which reads with transformers, and of a Marian wants padding to be the last token, as in opus-mt."""
    from ctranslate2.converters import TransformersConverter

    with tempfile.TemporaryDirectory() as place:
        for path in Path(folder).iterdir():
            (Path(place) / path.name).symlink_to(path.resolve())
        if json.loads((Path(folder) / "config.json").read_text())["model_type"] == "marian":
            words = Path(place) / "tokenizer.json"
            found = json.loads(words.read_text("utf-8"))
            vocabulary = found["model"]["vocab"]
            last, pad = max(vocabulary, key=vocabulary.get), vocabulary["<pad>"]
            vocabulary |= {"<pad>": vocabulary[last], last: pad}
            for each in found["added_tokens"]:
                each["id"] = vocabulary[each["content"]]
            words.unlink()
            words.write_text(json.dumps(found), "utf-8")
        TransformersConverter(place).convert(out, quantization=None if kind == "float32" else kind)


def words(folder: str, *names: str) -> list[str]:
    """The tokens by their ids."""
    path = next(each for name in names if (each := Path(folder) / f"{name}.json").is_file())
    return json.loads(path.read_text("utf-8"))


def decode(folder: str, dtype: str, threads: int) -> Run:
    """Greedy texts of so many new tokens."""
    model = ctranslate2.Generator(folder, device="cpu", compute_type=dtype, intra_threads=threads, inter_threads=1)
    known = words(folder, "vocabulary")

    def run(prompts: list[list[int]], new: int) -> Mapping[str, Any]:
        texts = [[known[i] for i in ids] for ids in prompts]
        asked: dict[str, Any] = {"max_length": new, "min_length": new, "sampling_topk": 1, "include_prompt_in_result": False}
        return {"ids": model.generate_batch(texts, **asked)[0].sequences_ids[0]}

    return run


def translate(folder: str, dtype: str, threads: int) -> Run:
    """The best of so many beams, of so many tokens."""
    model = ctranslate2.Translator(folder, device="cpu", compute_type=dtype, intra_threads=threads, inter_threads=1)
    known = words(folder, "source_vocabulary", "shared_vocabulary")

    def run(sources: list[list[int]], beams: int, new: int) -> Mapping[str, Any]:
        texts = [[known[i] for i in ids] for ids in sources]
        found = model.translate_batch(texts, beam_size=beams, max_decoding_length=new, min_decoding_length=new)
        return {"tokens": len(found[0].hypotheses[0])}

    return run


if __name__ == "__main__":
    if len(sys.argv) == 4:
        convert(*sys.argv[1:])
    else:
        serve({"decode": decode, "translate": translate})
