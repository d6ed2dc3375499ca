"""Checkpoints of random weights, the same every time, in the shapes of models that people use: made once, under .bench/.

`tiny`: toys of the same families, to see whether a benchmark runs at all.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

from peers import HERE, python_of

ROOT = HERE.parent / ".bench"
FIRST = 0x10000  # of the letters that are tokens: none is a digit, a blank or a pair of others
SPECIAL = 4
SHAPES: dict[str, dict[str, Any]] = {
    "gpt2-124m": {"model_type": "gpt2", "vocab_size": 50_257, "n_embd": 768, "n_layer": 12, "n_head": 12},
    "llama-110m": {
        **{"model_type": "llama", "vocab_size": 32_000, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
        **{"intermediate_size": 2048, "tie_word_embeddings": True, "max_position_embeddings": 2048},
    },
    "llama-1.1b": {
        **{"model_type": "llama", "vocab_size": 32_000, "hidden_size": 2048, "num_hidden_layers": 22, "num_attention_heads": 32},
        **{"num_key_value_heads": 4, "intermediate_size": 5632, "tie_word_embeddings": False, "max_position_embeddings": 2048},
    },
    "bert-base": {"model_type": "bert", "vocab_size": 30_522},
    "marian-base": {
        **{"model_type": "marian", "vocab_size": 58_101, "d_model": 512, "encoder_layers": 6, "decoder_layers": 6},
        **{"encoder_attention_heads": 8, "decoder_attention_heads": 8, "encoder_ffn_dim": 2048, "decoder_ffn_dim": 2048},
    },
    "marian-small": {
        **{"model_type": "marian", "vocab_size": 10_000, "d_model": 128, "encoder_layers": 4, "decoder_layers": 4},
        **{"encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 256, "decoder_ffn_dim": 256},
        **{"pad_token_id": 0, "decoder_start_token_id": 0},
    },
}
TINY = {"gpt2": "gpt2-124m", "llama": "llama-110m", "bert": "bert-base", "marian": "marian-base"}


def checkpoint(name: str) -> Path:
    """The folder of a shape, made if it is not there; of a family's name alone a toy."""
    folder = ROOT / name
    if not (folder / "config.json").is_file():
        from harken.checkpoint.save import save
        from harken.families.table import build, config_class
        from harken.text.train import train_characters

        shape = SHAPES.get(name) or {"model_type": name, "vocab_size": 600}
        words = train_characters(["".join(letter(i) for i in range(SPECIAL, shape["vocab_size"]))])
        kind = config_class(shape["model_type"])
        if name in SHAPES:
            config = kind(**{key: value for key, value in shape.items() if key != "model_type"})
        else:
            config = kind.sized(64, 2, 2, 600, shape["vocab_size"], 0.0)
        for field in vars(config):
            if "pdrop" in field or "dropout" in field:
                setattr(config, field, 0.0)
        if name == "marian":
            config.pad_token_id = config.decoder_start_token_id = 0  # a toy's; its own would stand behind its vocabulary
        if hasattr(config, "eos_token_id") and shape["model_type"] in ("gpt2", "llama"):
            config.eos_token_id = config.bos_token_id = None
        print(f"making {name} …", flush=True)
        part = folder.with_name(f"{name}.part")
        shutil.rmtree(part, ignore_errors=True)
        save(build(config, seed=0), words, part, max_shard_size="100GB")
        part.rename(folder)
    return folder


def letter(i: int) -> str:
    """The text of token `i`."""
    return chr(FIRST + i)


def derived(name: str, kind: str) -> Path | None:
    """The same for a peer: CTranslate2's float32 or int8, llama.cpp's f32, bf16, q8_0 or q4_0. None where the peer is not there."""
    peer = "ctranslate2" if kind in ("float32", "int8") else "llama"
    python, script = python_of(peer), HERE / "sides" / f"with_{peer}.py"
    if python is None:
        return None
    out = ROOT / (f"{name}-ct2-{kind}" if peer == "ctranslate2" else f"{name}-{kind}.gguf")
    if not out.exists():
        print(f"making {out.name} …", flush=True)
        part = out.with_name(f"part-{out.name}")
        shutil.rmtree(part, ignore_errors=True)
        source, more = checkpoint(name), [kind]
        if peer == "llama":
            source, more = (source, []) if kind == "f32" else (derived(name, "f32"), more)
        done = subprocess.run([python, script, str(source), str(part), *more], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{out.name} was not made: {(done.stderr.strip().splitlines() or ['?'])[-1]}", flush=True)
            return None
        part.rename(out)
    return out


def ids(rows: int, length: int, vocabulary: int, seed: int = 0) -> list[list[int]]:
    """Random tokens, none of them special."""
    rng = random.Random(seed)
    return [rng.choices(range(SPECIAL, vocabulary), k=length) for _ in range(rows)]
