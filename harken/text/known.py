"""What transformers' tokenizer classes fix in their code, and so no file of theirs says: special tokens, template, where ids begin."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tokenizers
from tokenizers import normalizers

from ..base.errors import InputError
from .sentencepiece import Model, Scheme, as_written, bpe, read_model, unigram

Layout = Literal["words", "bytes", "pieces", "marian", "ranks"]

_BERT = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
_ALBERT = {"bos": "[CLS]", "eos": "[SEP]", "unk": "<unk>", "pad": "<pad>"}
_ROBERTA = {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "sep": "</s>", "pad": "<pad>", "cls": "<s>", "mask": "<mask>"}
_LLAMA = {"bos": "<s>", "eos": "</s>", "unk": "<unk>"}
_T5 = {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}


class Family(NamedTuple):
    """`layout`: which files it has · `names`: role to special token, where the files name none · `single` and `pair`: what stands around
    one text and two, in roles; None: bos and eos as add_bos_token and add_eos_token say (`bos`: what counts where they say nothing)."""

    layout: Layout
    names: dict[str, str]
    single: str | None = None
    pair: str | None = None
    bos: bool = False


FAMILIES = {
    "Bert": Family("words", _BERT, "cls $A sep", "cls $A sep $B:1 sep:1"),
    "MPNet": Family("words", {**_ROBERTA, "unk": "[UNK]"}, "cls $A sep", "cls $A sep sep $B sep"),
    "GPT2": Family("bytes", {"bos": "<|endoftext|>", "eos": "<|endoftext|>"}),
    "Roberta": Family("bytes", _ROBERTA, "cls $A sep", "cls $A sep sep $B sep"),
    "Qwen2": Family("bytes", {"eos": "<|endoftext|>", "pad": "<|endoftext|>"}),
    "OpenAIGPT": Family("bytes", {"unk": "<unk>"}),
    "T5": Family("pieces", _T5, "$A eos", "$A eos $B eos"),
    "Albert": Family("pieces", {**_BERT, **_ALBERT}, "cls $A sep", "cls $A sep $B:1 sep:1"),
    "XLNet": Family("pieces", {**_ROBERTA, "sep": "<sep>", "cls": "<cls>"}, "$A sep cls:2", "$A sep $B:1 sep:1 cls:2"),
    "XLMRoberta": Family("pieces", _ROBERTA, "cls $A sep", "cls $A sep sep $B sep"),
    # transformers 5 says that bos is added where the files do not speak of it, and does not do so; LLaMA was trained with it.
    "Llama": Family("pieces", _LLAMA, bos=True),
    "Marian": Family("marian", _T5, "$A eos", "$A $B eos"),
}

# For folders with no word about the model.
USUAL: dict[Layout, Family] = {
    "words": FAMILIES["Bert"],
    "bytes": FAMILIES["GPT2"],
    "pieces": Family("pieces", {**_LLAMA, "pad": "<pad>"}),
    "marian": FAMILIES["Marian"],
    "ranks": Family("ranks", {}),
}

# Classes that are another one under a second name, and the class of each model_type.
CLASSES = {
    **dict.fromkeys(("DistilBert", "Electra", "MobileBert", "ConvBert", "SqueezeBert", "Lxmert", "LayoutLM"), "Bert"),
    **dict.fromkeys(("Bart", "Longformer", "LED", "Mvp"), "Roberta"),
    **{"MT5": "T5", "CodeGen": "GPT2", "LLaMA": "Llama"},
}
MODEL_TYPES = {
    **dict.fromkeys(("bert", "distilbert", "electra", "mobilebert", "convbert", "squeezebert"), "Bert"),
    **dict.fromkeys(("gpt2", "gpt_neo", "gptj", "opt", "codegen", "phi"), "GPT2"),
    **dict.fromkeys(("roberta", "bart", "longformer", "led"), "Roberta"),
    **dict.fromkeys(("qwen2", "qwen2_moe", "qwen3", "qwen3_moe"), "Qwen2"),
    **dict.fromkeys(("t5", "mt5", "longt5", "switch_transformers"), "T5"),
    **dict.fromkeys(("llama", "mistral", "mixtral"), "Llama"),
    **{"mpnet": "MPNet", "openai-gpt": "OpenAIGPT", "albert": "Albert", "xlnet": "XLNet", "xlm-roberta": "XLMRoberta", "marian": "Marian"},
}
NEUTRAL = ("PreTrainedTokenizer", "TokenizersBackend", "PythonBackend")  # classes that say nothing about a family


def from_pieces(path: Path, family: str | None, config: Mapping[str, Any], names: Mapping[str, str]) -> tuple[tokenizers.Tokenizer, Model]:
    """The tokenizer of a SentencePiece file as `family` has it, and its pieces by their ids.

    Without a family, and where the file holds the other kind of model than the family's, a text is treated as the file says.
    """
    model = read_model(path)
    prefix = config.get("add_prefix_space") is not False
    if family == "T5":
        model = model.extended(end=_sentinels(path, config, model))
    elif family == "XLMRoberta":  # fairseq's ids
        token = {**FAMILIES[family].names, **names}
        model = model.extended([token[role] for role in ("bos", "pad", "eos", "unk")], skip=3, end=[token["mask"]], unk=3)
    if model.bpe and family == "Llama":
        scheme: Scheme = "never" if not prefix else "always" if config.get("legacy") else "first"
        return bpe(model, scheme), model
    if model.bpe or family in (None, "Llama"):
        return as_written(model), model
    plainer = _plainer(config, lowercase=family == "Albert") if family in ("Albert", "XLNet") else []
    return unigram(model, plainer, prefix=prefix), model


def _sentinels(path: Path, config: Mapping[str, Any], model: Model) -> list[str]:
    """T5's names for the gaps in a text, the last one first."""
    count = config.get("extra_ids", 100)
    if type(count) is not int or not 0 <= count <= 10_000:
        raise InputError(f"{path.parent / 'tokenizer_config.json'}: extra_ids is {count!r}, which is no number of tokens")
    known = {piece for piece, _ in model.pieces}
    return [name for name in (f"<extra_id_{number}>" for number in reversed(range(count))) if name not in known]


def _plainer(config: Mapping[str, Any], lowercase: bool) -> list[normalizers.Normalizer]:
    """One quotation mark, no accents unless keep_accents, small letters if do_lower_case, or `lowercase` where that is not said."""
    steps: list[normalizers.Normalizer] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not config.get("keep_accents", False):
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if config.get("do_lower_case", lowercase):
        steps.append(normalizers.Lowercase())
    return steps
