"""What stands around a text: the special tokens of a new tokenizer and its template, as the family of the model has them."""

from __future__ import annotations

from typing import NamedTuple


class Frame(NamedTuple):
    """`names`: role to special token, in the order of their ids; roles may share one · `single` and `pair`: what stands around one text
    and around two, in roles; ":1" marks the second segment, where a family tells segments apart."""

    names: dict[str, str]
    single: str
    pair: str

    @property
    def specials(self) -> list[str]:
        """The special tokens, each once."""
        return list(dict.fromkeys(self.names.values()))

    def template(self, which: str) -> str:
        """`single` or `pair` with the tokens in place of their roles."""
        return " ".join(self.names.get(role, role) + colon + kind for role, colon, kind in (part.partition(":") for part in which.split()))


PLAIN = Frame({"pad": "<pad>", "bos": "<bos>", "eos": "<eos>", "unk": "<unk>"}, "bos $A", "bos $A bos $B")
BERT = Frame({"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}, "cls $A sep", "cls $A sep $B:1 sep:1")
MODERN = BERT._replace(pair="cls $A sep $B sep")
ALBERT = BERT._replace(names={**BERT.names, "pad": "<pad>", "unk": "<unk>"})
ROBERTA = Frame(
    {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>", "cls": "<s>", "sep": "</s>"},
    "cls $A sep",
    "cls $A sep sep $B sep",
)
T5 = Frame({"pad": "<pad>", "eos": "</s>", "unk": "<unk>"}, "$A eos", "$A eos $B eos")

FRAMES = {"bert": BERT, "modernbert": MODERN, "distilbert": MODERN, "albert": ALBERT, "roberta": ROBERTA, "bart": ROBERTA, "t5": T5}
"""By model_type; every other family's is PLAIN."""
