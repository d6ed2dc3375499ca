"""llama.cpp's side, by its C functions. Run with a checkpoint and a file to write, it makes a GGUF of float32: with_llama.py IN OUT.gguf;
with a kind too, it quantises that: with_llama.py IN.gguf OUT.gguf bf16|q8_0|q4_0, by llama.cpp's own quantiser; with a list of
words, the GGUF can write them: with_llama.py IN OUT.gguf WORDS.json words."""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import llama_cpp as llama
import numpy as np
from worker import Run, serve

KINDS = {"bf16": "BF16", "q8_0": "Q8_0", "q4_0": "Q4_0"}
GPT2 = {"wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm"}
GPT2_BLOCK = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
LLAMA = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
LLAMA_BLOCK = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def tensors(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Those of a safetensors file of float32, as they lie there."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        table = json.loads(file.read(size))
    for name, each in table.items():
        if name != "__metadata__":
            assert each["dtype"] == "F32", f"{name} is {each['dtype']}"
            start, stop = each["data_offsets"]
            yield name, np.memmap(path, np.float32, "r", 8 + size + start, ((stop - start) // 4,)).reshape(each["shape"])


def turned(weight: np.ndarray, heads: int) -> np.ndarray:
    """The rows of each head in the order of llama.cpp's rotation, which takes neighbours for pairs."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def write(folder: str, out: str, words: list[str] | None = None) -> None:
    """A GGUF of a GPT-2 or a LLaMA, without words, as it is asked by ids, or with some to write with."""
    import gguf

    config: dict[str, Any] = json.loads((Path(folder) / "config.json").read_text())
    kind = config["model_type"]
    old = kind == "gpt2"
    top, block, prefix = (GPT2, GPT2_BLOCK, "h.") if old else (LLAMA, LLAMA_BLOCK, "model.layers.")
    width, heads = config["n_embd" if old else "hidden_size"], config["n_head" if old else "num_attention_heads"]
    file = gguf.GGUFWriter(out, kind)
    file.add_context_length(config["n_positions" if old else "max_position_embeddings"])
    file.add_embedding_length(width)
    file.add_block_count(config["n_layer" if old else "num_hidden_layers"])
    file.add_feed_forward_length(4 * width if old else config["intermediate_size"])
    file.add_head_count(heads)
    file.add_vocab_size(config["vocab_size"])
    file.add_tokenizer_model("llama" if words else "none")
    if words:
        file.add_token_list([f"\u2581{word}" for word in words])
        file.add_token_scores([0.0] * len(words))
        file.add_token_types([int(gguf.TokenType.UNKNOWN if n == 1 else gguf.TokenType.NORMAL) for n in range(len(words))])
        file.add_unk_token_id(1)
        file.add_add_bos_token(False)
    file.add_file_type(0)
    groups = heads if old else config.get("num_key_value_heads") or heads
    if old:
        file.add_layer_norm_eps(config["layer_norm_epsilon"])
    else:
        file.add_head_count_kv(groups)
        file.add_layer_norm_rms_eps(config["rms_norm_eps"])
        file.add_rope_dimension_count(width // heads)
        file.add_rope_freq_base(config.get("rope_theta") or config["rope_parameters"]["rope_theta"])
    for name, value in tensors(Path(folder) / "model.safetensors"):
        module, _, leaf = name.removeprefix("transformer.").rpartition(".")
        if module in top:
            theirs = top[module]
        else:
            number, _, part = module.removeprefix(prefix).partition(".")
            theirs = f"blk.{number}.{block[part]}"
            if old and value.ndim == 2:
                value = value.T
            if part in ("self_attn.q_proj", "self_attn.k_proj"):
                value = turned(value, heads if part.endswith("q_proj") else groups)
        file.add_tensor(f"{theirs}.{leaf}", np.ascontiguousarray(value))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def quantise(path: str, out: str, kind: str) -> None:
    """By llama.cpp itself, which keeps some matrices wider."""
    asked = llama.llama_model_quantize_default_params()
    asked.ftype, asked.nthread = getattr(llama, f"LLAMA_FTYPE_MOSTLY_{KINDS[kind]}"), os.cpu_count() or 1
    if llama.llama_model_quantize(path.encode(), out.encode(), ctypes.byref(asked)):
        sys.exit(f"{path} was not quantised")


def decode(path: str, threads: int, rows: int, room: int) -> Run:
    """Greedy texts of so many new tokens, `rows` at most, `room` tokens each with their prompts."""
    llama.llama_backend_init()
    quiet = llama.llama_log_callback(lambda *_: None)
    llama.llama_log_set(quiet, ctypes.c_void_p(0))
    asked = llama.llama_model_default_params()
    asked.n_gpu_layers = 0
    model = llama.llama_model_load_from_file(path.encode(), asked)
    if not model:
        raise RuntimeError(f"{path} cannot be read")
    setting = llama.llama_context_default_params()
    setting.n_ctx, setting.n_seq_max = rows * room, rows
    setting.n_batch, setting.n_ubatch = max(512, rows * room), 512
    setting.n_threads = setting.n_threads_batch = threads
    context = llama.llama_init_from_model(model, setting)
    if not context:
        raise RuntimeError("no context")
    vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
    batch = llama.llama_batch_init(rows * room, 0, 1)

    def feed(places: list[tuple[int, int, int, bool]]) -> None:
        """(token, position, row, whether its logits are wanted) of every token."""
        batch.n_tokens = len(places)
        for i, (token, position, row, wanted) in enumerate(places):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = token, position, 1, row, wanted
        if llama.llama_decode(context, batch):
            raise RuntimeError("llama_decode failed")

    def best(at: int) -> int:
        logits = np.ctypeslib.as_array(llama.llama_get_logits_ith(context, at), (vocabulary,))
        return int(logits.argmax())

    def run(prompts: list[list[int]], new: int) -> Mapping[str, Any]:
        keep = quiet  # the callback must outlive the calls
        llama.llama_memory_clear(llama.llama_get_memory(context), True)
        places = [(token, at, row, at == len(ids) - 1) for row, ids in enumerate(prompts) for at, token in enumerate(ids)]
        feed(places)
        texts = [[best(i)] for i, place in enumerate(places) if place[3]]
        for step in range(1, new):
            feed([(text[-1], len(prompts[row]) + step - 1, row, True) for row, text in enumerate(texts)])
            for row, text in enumerate(texts):
                text.append(best(row))
        return {"ids": texts[0], "quiet": bool(keep)}

    return run


if __name__ == "__main__":
    if len(sys.argv) == 3:
        write(*sys.argv[1:])
    elif sys.argv[-1] == "words":
        write(*sys.argv[1:3], json.loads(Path(sys.argv[3]).read_text()))
    elif len(sys.argv) == 4:
        quantise(*sys.argv[1:])
    else:
        serve({"decode": decode})
