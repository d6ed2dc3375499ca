"""Small checkpoints as transformers writes them, each with a tokenizer of its family trained here; and transformers' own answers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from harken.base.errors import HarkenError

hf.logging.set_verbosity_error()
hf.logging.disable_progress_bar()  # what is said is looked at

CORPUS = [
    "Bill Gates founded Microsoft in 1975.",
    "The food was delicious and the wine was great, the service was not.",
    "Transformers revolutionized NLP. The cat sat on the mat.",
    "Once upon a time there was a king who had three daughters.",
    "Hello, how are you? I am fine, thank you very much.",
    "Paris is the capital of France; Berlin is the capital of Germany.",
    "This example is about sports. This example is about politics.",
    "translate English to French: summarize: A film that nobody should miss!",
    "Où est la gare? Das ist schön, naïve café, ключ 日本",
] * 3
LABELS = {
    "sentiment": ["NEGATIVE", "NEUTRAL", "POSITIVE"],
    "nli": ["contradiction", "neutral", "entailment"],
    "tags": ["O", "B-PER", "I-PER", "B-ORG", "I-ORG"],
    "one": ["relevance"],
}


@functools.cache
def wordpiece() -> Tokenizer:
    inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.normalizer, inner.pre_tokenizer = normalizers.BertNormalizer(lowercase=False), pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    inner.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=150, special_tokens=special, show_progress=False))
    ids = [(name, special.index(name)) for name in ("[CLS]", "[SEP]")]
    inner.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids)
    inner.decoder = decoders.WordPiece()
    return inner


@functools.cache
def bytelevel(roberta: bool) -> Tokenizer:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>"] if roberta else ["<|endoftext|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    inner.train_from_iterator(CORPUS, trainer)
    inner.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0)) if roberta else processors.ByteLevel(trim_offsets=False)
    return inner


@functools.cache
def unigram(albert: bool) -> Tokenizer:
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"] if albert else ["<pad>", "</s>", "<unk>"]
    inner = Tokenizer(models.Unigram())
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=160, special_tokens=special, unk_token="<unk>", show_progress=False)
    inner.train_from_iterator(CORPUS, trainer)
    if albert:
        template = {"single": "[CLS] $A [SEP]", "pair": "[CLS] $A [SEP] $B:1 [SEP]:1", "special_tokens": [("[CLS]", 2), ("[SEP]", 3)]}
    else:
        template = {"single": "$A </s>", "pair": "$A </s> $B </s>", "special_tokens": [("</s>", 1)]}
    inner.post_processor = processors.TemplateProcessing(**template)
    return inner


def theirs(kind: str) -> hf.PreTrainedTokenizerFast:
    """A tokenizer of the family, as transformers has it."""
    bert = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}
    words: dict[str, Any] = {"tokenizer_object": None}
    if kind in ("bert", "distilbert"):
        words = {"tokenizer_object": wordpiece(), **bert}
        words["model_input_names"] = ["input_ids", "attention_mask"] + ["token_type_ids"] * (kind == "bert")
    elif kind in ("roberta", "bart"):
        words = {"tokenizer_object": bytelevel(True), "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
        mask = hf.AddedToken("<mask>", lstrip=True, special=True)
        words |= {"sep_token": "</s>", "cls_token": "<s>", "pad_token": "<pad>", "mask_token": mask}
        words["model_input_names"] = ["input_ids", "attention_mask"]
    elif kind == "gpt2":
        words = {"tokenizer_object": bytelevel(False), "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    elif kind == "albert":
        words = {"tokenizer_object": unigram(True), **bert, "pad_token": "<pad>", "unk_token": "<unk>"}
        words["mask_token"] = hf.AddedToken("[MASK]", lstrip=True, special=True)
        words["model_input_names"] = ["input_ids", "attention_mask", "token_type_ids"]
    elif kind == "t5":
        words = {"tokenizer_object": unigram(False), "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
        words["model_input_names"] = ["input_ids", "attention_mask"]
    words["tokenizer_object"] = Tokenizer.from_str(words["tokenizer_object"].to_str())
    return hf.PreTrainedTokenizerFast(**words)


def settings(kind: str, vocab: int) -> hf.PreTrainedConfig:
    """A config of the family, small; 64 tokens at most."""
    same: dict[str, Any] = {"vocab_size": vocab, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}
    same |= {"intermediate_size": 40, "max_position_embeddings": 64}
    if kind == "bert":
        return hf.BertConfig(**same)
    if kind == "roberta":
        return hf.RobertaConfig(**{**same, "max_position_embeddings": 66}, pad_token_id=1, bos_token_id=0, eos_token_id=2)
    if kind == "albert":
        return hf.AlbertConfig(**same, embedding_size=16, pad_token_id=0, bos_token_id=2, eos_token_id=3)
    if kind == "distilbert":
        return hf.DistilBertConfig(vocab_size=vocab, dim=24, n_layers=2, n_heads=3, hidden_dim=40, max_position_embeddings=64)
    if kind == "gpt2":
        ids = {"bos_token_id": 0, "eos_token_id": 0}
        return hf.GPT2Config(vocab_size=vocab, n_embd=24, n_layer=2, n_head=3, n_positions=64, **ids)
    if kind == "t5":
        ids = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
        return hf.T5Config(vocab_size=vocab, d_model=24, d_kv=8, d_ff=40, num_layers=2, num_heads=3, n_positions=64, **ids)
    heads = {"encoder_attention_heads": 3, "decoder_attention_heads": 3, "encoder_layers": 2, "decoder_layers": 2}
    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": 2}
    return hf.BartConfig(vocab_size=vocab, d_model=24, encoder_ffn_dim=40, decoder_ffn_dim=40, max_position_embeddings=64, **heads, **ids)


CLASSES = {
    "lm": hf.AutoModelForCausalLM,
    "mlm": hf.AutoModelForMaskedLM,
    "text2text": hf.AutoModelForSeq2SeqLM,
    "classification": hf.AutoModelForSequenceClassification,
    "tags": hf.AutoModelForTokenClassification,
    "span": hf.AutoModelForQuestionAnswering,
    "pretraining": hf.AutoModelForPreTraining,
}


class Checkpoints:
    """Folders of small models, each written once. `say(…)` raises pipelines' errors as text."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, kind: str, head: str, labels: str = "", **more: Any) -> str:
        name = "-".join([kind, head, labels, *(f"{key}{value}" for key, value in more.items())])
        folder = self.home / "".join(c if c.isalnum() or c == "-" else "_" for c in name)[:120]
        if not folder.exists():
            words = theirs(kind)
            config = settings(kind, len(words))
            if labels:
                config.id2label = dict(enumerate(LABELS[labels]))
                config.label2id = {name: i for i, name in enumerate(LABELS[labels])}
            for key, value in more.items():
                setattr(config, key, value)
            torch.manual_seed(sum(map(ord, kind)))
            model = CLASSES[head].from_config(config)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter += 0.15 * torch.randn_like(parameter)
            model.eval().save_pretrained(folder)
            words.save_pretrained(folder)
        return str(folder)

    @functools.cached_property
    def models(self) -> dict[tuple[str, str], Any]:
        return {}

    def theirs(self, folder: str, head: str) -> tuple[Any, Any]:
        """(model, tokenizer) of transformers."""
        if (folder, head) not in self.models:
            found = CLASSES[head].from_pretrained(folder).eval(), hf.PreTrainedTokenizerFast.from_pretrained(folder)
            self.models[folder, head] = found
        return self.models[folder, head]

    def pipeline(self, task: str, folder: str, head: str, **options: Any) -> Any:
        """transformers' own pipeline."""
        model, words = self.theirs(folder, head)
        return hf.pipeline(task, model=model, tokenizer=words, device="cpu", **options)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    return Checkpoints(tmp_path_factory.mktemp("checkpoints"))


def close(ours: Any, theirs: Any, to: float = 1e-5) -> bool:
    """Whether two answers are the same: numbers within `to`, all else equal, keys included."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(close(ours[key], theirs[key], to) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list | tuple):
        return len(ours) == len(theirs) and all(close(a, b, to) for a, b in zip(ours, theirs, strict=True))
    if isinstance(ours, float):
        return abs(ours - float(theirs)) <= to
    return ours == theirs


@pytest.fixture(scope="session")
def same() -> Callable[..., bool]:
    return close


@pytest.fixture(scope="session")
def refusal() -> Callable[..., str]:
    """What is said when a call is refused."""

    def said(call: Callable[[], Any]) -> str:
        with pytest.raises(HarkenError) as caught:
            call()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return said


def marian(folder: Path) -> str:
    """An OPUS model with its two SentencePiece files and one vocabulary, as transformers writes it; it translates to two languages."""
    import io
    import json

    import sentencepiece

    pieces: list[str] = []
    folder.mkdir(parents=True)
    for side, lines in (("source", CORPUS), ("target", [line.upper() for line in CORPUS])):
        out = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=out, vocab_size=90, minloglevel=2, num_threads=1, hard_vocab_limit=False
        )
        (folder / f"{side}.spm").write_bytes(out.getvalue())
        model = sentencepiece.SentencePieceProcessor(model_proto=out.getvalue())
        pieces += [model.id_to_piece(i) for i in range(model.get_piece_size()) if not (model.is_control(i) or model.is_unknown(i))]
    tokens = dict.fromkeys(["</s>", "<unk>", ">>fr<<", ">>deu<<", *pieces, "<pad>"])
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "MarianTokenizer", "source_lang": "en"}))
    pad = len(tokens) - 1
    sizes = {"d_model": 24, "encoder_ffn_dim": 40, "decoder_ffn_dim": 40, "encoder_layers": 2, "decoder_layers": 2}
    heads = {"encoder_attention_heads": 3, "decoder_attention_heads": 3, "max_position_embeddings": 64}
    ids = {"pad_token_id": pad, "eos_token_id": 0, "decoder_start_token_id": pad, "forced_eos_token_id": 0}
    torch.manual_seed(5)
    model = hf.MarianMTModel(hf.MarianConfig(vocab_size=len(tokens), **sizes, **heads, **ids))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.15 * torch.randn_like(parameter)
    model.eval().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def opus(tmp_path_factory: pytest.TempPathFactory) -> str:
    return marian(tmp_path_factory.mktemp("opus") / "mt")
