"""A model under the name by which clients ask for it, with all that is worked out once."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.errors import InputError
from ..base.report import say
from ..checkpoint.adapter_config import base_of
from ..checkpoint.adapters import put_on
from ..checkpoint.coded import held_of
from ..checkpoint.files import GENERATION, existing, is_adapter
from ..checkpoint.hub import located
from ..checkpoint.load import config_of, generation_of, load, tokenizer_of
from ..data.ledger import Ledger
from ..nn.models import Model
from ..nn.quant import KINDS
from ..tasks.sentence_similarity import said
from ..tasks.speech import Speech
from ..tasks.task import Tools
from ..text.tokenizer import Tokenizer
from .slots import fits


@dataclass(eq=False)
class Served:
    """`adapter`: what answers of those that are on the model; None: the model itself · `folder`: where it was read from · `created`: when,
    in seconds since 1970."""

    name: str
    model: Model
    tokenizer: Tokenizer
    adapter: str | None = None
    folder: Path | None = None
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def context(self) -> int:
        """Tokens it reads at once."""
        return self.model.context

    @property
    def writes(self) -> bool:
        """Whether it says which token comes next."""
        return bool(getattr(getattr(self.model, "head", None), "writes", True))

    @functools.cached_property
    def own(self) -> Mapping[str, Any] | None:
        """How an adapter is to write where nobody says, if its own folder has that."""
        folder = self.folder if self.adapter is not None else None
        return generation_of(folder) if folder is not None and (folder / GENERATION).is_file() else None

    @property
    def usual(self) -> Mapping[str, Any]:
        """How it is to write where nobody says."""
        return self.model.generation if self.own is None else self.own

    @functools.cached_property
    def batched(self) -> bool:
        """Whether texts of different requests can share its calls."""
        return self.writes and fits(self.model)

    @functools.cached_property
    def pooling(self) -> str:
        """What stands for a text: the mean of its tokens' vectors, or what 1_Pooling in its folder says."""
        return said(Tools(self.model, self.tokenizer, "sentence-similarity", Ledger()))

    @functools.cached_property
    def speech(self) -> Speech:
        """How it is talked to. InputError where there is no way."""
        return Speech(self.model, self.tokenizer, own=self.own)


def read_models(sources: Sequence[Any], *, dtype: str = "float32", device: str = "cpu") -> list[Served]:
    """Models to serve, from "folder", "name=folder", ids on the Hub, or {name: (model, tokenizer)}; an adapter is put on its base, which is
    read once. InputError for two of one name, and for what `harken.load` refuses."""
    found: list[Served] = []
    bases: dict[Path, Model] = {}
    for source in sources:
        if isinstance(source, tuple):
            given = Served("model", *source)
        elif isinstance(source, Served):
            given = source
        else:
            name, place = parted(str(source))
            given = read_model(place, bases, dtype, device, name=name)
        if any(given.name == one.name for one in found):
            raise InputError(f"two models have the name {given.name!r}: name one of them otherwise, as in other={given.folder or 'FOLDER'}")
        found.append(given)
    for model in {id(one.model): one.model for one in found}.values():
        if model.adapters.names and not any(one.model is model and one.adapter == "default" for one in found):
            model.adapters.use(None)
        model.pack()
    return found


def parted(source: str) -> tuple[str | None, str]:
    """(the name that a model is given, where it is) of "name=folder"; a folder may have an = in its own name."""
    name, equals, place = source.partition("=")
    return (name, place) if equals and not Path(source).exists() else (None, source)


def read_model(place: str, bases: dict[Path, Model], dtype: str, device: str, *, name: str | None = None) -> Served:
    """One of them; without a name it has that of its folder, or its id."""
    folder = existing(located(place))
    name = name or (Path(place).resolve().name if Path(place).exists() else place)
    base, config = base_of(folder), config_of(folder)
    if config.task != config_of(base).task:  # an adapter with a head of its own
        model, words = load(folder, dtype=dtype, device=device)
        return Served(name, model, words, model.adapters.names[0], folder)
    if base not in bases:
        say(f"reading {base}")
        narrow = dtype in KINDS and device == "cpu" and held_of(base) is None
        bases[base] = load(base, dtype="float32" if narrow else dtype, device=device)[0]
        if narrow:
            bases[base].pack(dtype)
    model, adapter = bases[base], None
    if is_adapter(folder):
        adapter = f"adapter_{len(model.adapters.names)}"
        put_on(model, folder, adapter)
    return Served(name, model, tokenizer_of(folder, config), adapter, folder)
