"""transformers' side: generate, pipelines, Trainer; and a training loop of plain torch around its model."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import torch
import transformers
from worker import Run, anonymous, pairs, serve

transformers.logging.set_verbosity_error()


def decode(folder: str, dtype: str, threads: int) -> Run:
    """Greedy texts of so many new tokens after prompts of one length."""
    torch.set_num_threads(threads)
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()

    def run(prompts: list[list[int]], new: int) -> Mapping[str, Any]:
        ids = torch.tensor(prompts)
        asked = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False, "pad_token_id": 0}
        with torch.inference_mode():
            found = model.generate(ids, attention_mask=torch.ones_like(ids), **asked)
        return {"ids": found[0, ids.shape[1] :].tolist()}

    return run


def encode(folder: str, dtype: str, threads: int, best: bool) -> Run:
    """The pipeline as it comes, or sorted by length, in batches, with tensors that are averaged here."""
    torch.set_num_threads(threads)
    ask: Any = transformers.pipeline("feature-extraction", folder, dtype=getattr(torch, dtype), device="cpu")

    def run(texts: list[str]) -> Mapping[str, Any] | None:
        with torch.inference_mode():
            if not best:
                ask(texts)
                return None
            order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
            found = ask([texts[i] for i in order], batch_size=16, return_tensors=True)
            vectors = {i: each[0].mean(0) for i, each in zip(order, found, strict=True)}
        return {"first": vectors[0][:4].tolist()}

    return run


def translate(folder: str, dtype: str, threads: int) -> Run:
    """The best of so many beams, of so many tokens; sources of one length."""
    torch.set_num_threads(threads)
    model: Any = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()

    def run(sources: list[list[int]], beams: int, new: int) -> Mapping[str, Any]:
        ids = torch.tensor(sources)
        asked = {"num_beams": beams, "max_new_tokens": new, "min_new_tokens": new, "do_sample": False}
        asked |= {"decoder_start_token_id": model.config.decoder_start_token_id or 0, "pad_token_id": model.config.pad_token_id or 0}
        with torch.inference_mode():
            found = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **asked)
        return {"ids": found[0, 1:].tolist()}

    return run


def fresh(folder: str) -> Any:
    """The model to train, without dropout."""
    config = transformers.AutoConfig.from_pretrained(folder, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    kind = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    return kind.from_pretrained(folder, config=config, dtype=torch.float32)


def texts(model: Any, rows: int, most: int) -> list[dict[str, torch.Tensor]]:
    """Rows of random tokens, all as long, or pairs of several lengths."""
    last = model.config.vocab_size - 10
    if model.config.is_encoder_decoder:
        return [{"input_ids": torch.randint(10, last, (m,)), "labels": torch.randint(10, last, (n,))} for m, n in pairs(rows, most)]
    return [{"input_ids": row, "labels": row} for row in torch.randint(10, last, (rows, most))]


def batch(model: Any, rows: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Rows side by side, filled up as a collator does it."""
    ids = torch.nn.utils.rnn.pad_sequence([row["input_ids"] for row in rows], True, model.config.pad_token_id or 0)
    labels = torch.nn.utils.rnn.pad_sequence([row["labels"] for row in rows], True, -100)
    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    mask = {} if (lengths == ids.shape[1]).all() else {"attention_mask": (torch.arange(ids.shape[1]) < lengths[:, None]).long()}
    return {"input_ids": ids, "labels": labels, **mask}


def plain(folder: str, text: str, rows: int, tokens: int, threads: int) -> Run:
    """A step of plain torch: autocast to bfloat16, the model's own loss, fused AdamW."""
    torch.set_num_threads(threads)
    before = anonymous()
    model = fresh(folder).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    given = batch(model, texts(model, rows, tokens))
    numbers, count = sum(each.numel() for each in model.parameters()), int((given["labels"] != -100).sum())

    def run() -> Mapping[str, Any]:
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(**given).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return {"tokens": count, "loss": loss.item(), "before": before, "parameters": numbers}

    return run


class Gate(transformers.TrainerCallback):
    """Lets Trainer take one step at a time."""

    def __init__(self) -> None:
        self.go, self.done = threading.Semaphore(0), threading.Semaphore(0)

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.go.acquire()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.done.release()


def trainer(folder: str, text: str, rows: int, tokens: int, threads: int) -> Run:
    """A step of Trainer with bf16=True, as its documentation has it, and nothing logged or saved."""
    torch.set_num_threads(threads)
    before = anonymous()
    model = fresh(folder)
    step = texts(model, rows, tokens)
    data: Any = step * 200
    asked = transformers.TrainingArguments(
        output_dir=f"{folder}-trainer",
        per_device_train_batch_size=rows,
        max_steps=200,
        learning_rate=1e-4,
        bf16=True,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    gate, failed = Gate(), []
    numbers, count = sum(each.numel() for each in model.parameters()), sum(len(row["labels"]) for row in step)

    def work() -> None:
        try:
            torch.set_num_threads(threads)
            transformers.Trainer(
                model=model, args=asked, train_dataset=data, callbacks=[gate], data_collator=lambda found: batch(model, found)
            ).train()
        except Exception as error:
            failed.append(error)
            gate.done.release()

    threading.Thread(target=work, daemon=True).start()

    def run() -> Mapping[str, Any]:
        gate.go.release()
        gate.done.acquire()
        if failed:
            raise failed[0]
        return {"tokens": count, "before": before, "parameters": numbers}

    return run


if __name__ == "__main__":
    serve({"decode": decode, "encode": encode, "translate": translate, "plain": plain, "trainer": trainer})
