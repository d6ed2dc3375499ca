"""A family's config is a dataclass whose fields keep their Hugging Face names, so config.json reads and writes itself.

Keys we do not know survive in `extra`: load → save loses nothing.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from ..base.errors import InputError


@dataclass(kw_only=True)
class Config:
    """Base of every family's config."""

    model_type: ClassVar[str]
    architecture: ClassVar[str]  # the class Hugging Face opens such a folder with
    rate: ClassVar[float] = 1.0  # the learning rate it takes, as a multiple of that of a Transformer of the same width

    vocab_size: int
    initializer_range: float = 0.02
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """A config of the asked size, for training from scratch."""
        raise NotImplementedError

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """From config.json's object. InputError when a field has the wrong type or a size is not positive."""
        known = {f.name: f for f in dataclasses.fields(cls) if f.name != "extra"}
        given = {k: v for k, v in values.items() if k in known and v is not None}
        missing = [
            n for n, f in known.items() if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING and n not in given
        ]
        if missing:
            raise InputError(f"config.json lacks {', '.join(missing)}, which a {cls.model_type} model needs")
        extra = {k: v for k, v in values.items() if k not in known and k not in ("model_type", "architectures")}
        config = cls(**given, extra=extra)
        config.check()
        return config

    def write(self) -> dict[str, Any]:
        """config.json's object."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "extra"}
        return {"model_type": self.model_type, "architectures": [self.architecture], **own, **self.extra}

    def check(self) -> None:
        """Refuse sizes that cannot be built."""
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            size = f.type == "int" or (f.type == "int | None" and value is not None and not f.name.endswith("_token_id"))
            if size and not (type(value) is int and value > 0):
                raise InputError(f"config.json: {f.name} must be a positive whole number, not {value!r}")
            if f.type == "float" and type(value) not in (int, float):
                raise InputError(f"config.json: {f.name} must be a number, not {value!r}")
            if f.type in ("bool", "str") and type(value).__name__ != f.type:
                raise InputError(f"config.json: {f.name} must be {'true or false' if f.type == 'bool' else 'a name'}, not {value!r}")


def must_divide(what: str, whole: int, by: str, part: int) -> None:
    """InputError unless `part` divides `whole`."""
    if whole % part:
        raise InputError(f"config.json: {what} ({whole}) is not a multiple of {by} ({part})")
