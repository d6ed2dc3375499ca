"""harken turns text into a Transformer that is yours.

import harken
run = harken.train("poems.txt", model="llama", minutes=2)     # or: harken train poems.txt --model llama --minutes 2

Every public name is listed in `__all__` and imported when it is first used: `import harken` itself loads no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoint.load import load
    from .checkpoint.save import save
    from .commands import tokenizer
    from .commands.analogy import analogy
    from .commands.bench import bench
    from .commands.chat import chat
    from .commands.compare import compare
    from .commands.convert import convert
    from .commands.demo import demo
    from .commands.eval import evaluate
    from .commands.generate import generate, stream
    from .commands.info import info
    from .commands.look import look
    from .commands.next import next_tokens as next
    from .commands.quantize import quantize
    from .commands.reproduce import reproduce
    from .commands.similar import similar
    from .commands.train import train
    from .data.segments import Turns
    from .decode.options import Generated
    from .measure.score import score
    from .nn.mask import Mask
    from .tasks.pipeline import pipeline
    from .text.tokenizer import Tokenizer

    __version__: str

__all__ = [
    "Generated",
    "Mask",
    "Tokenizer",
    "Turns",
    "__version__",
    "analogy",
    "bench",
    "chat",
    "compare",
    "convert",
    "demo",
    "evaluate",
    "generate",
    "info",
    "load",
    "look",
    "next",
    "pipeline",
    "quantize",
    "reproduce",
    "save",
    "score",
    "serve",
    "similar",
    "stream",
    "tokenizer",
    "train",
]

_HOMES = {
    "train": "harken.commands.train:train",
    "generate": "harken.commands.generate:generate",
    "stream": "harken.commands.generate:stream",
    "chat": "harken.commands.chat:chat",
    "next": "harken.commands.next:next_tokens",
    "score": "harken.measure.score:score",
    "evaluate": "harken.commands.eval:evaluate",
    "info": "harken.commands.info:info",
    "look": "harken.commands.look:look",
    "serve": "harken.commands.serve:serve",
    "similar": "harken.commands.similar:similar",
    "analogy": "harken.commands.analogy:analogy",
    "convert": "harken.commands.convert:convert",
    "quantize": "harken.commands.quantize:quantize",
    "reproduce": "harken.commands.reproduce:reproduce",
    "bench": "harken.commands.bench:bench",
    "compare": "harken.commands.compare:compare",
    "demo": "harken.commands.demo:demo",
    "pipeline": "harken.tasks.pipeline:pipeline",
    "load": "harken.checkpoint.load:load",
    "save": "harken.checkpoint.save:save",
    "tokenizer": "harken.commands.tokenizer",
    "Mask": "harken.nn.mask:Mask",
    "Tokenizer": "harken.text.tokenizer:Tokenizer",
    "Generated": "harken.decode.options:Generated",
    "Turns": "harken.data.segments:Turns",
}


def _find(name: str) -> Any:
    """Import a public name when it is first asked for, and keep it."""
    if name == "__version__":
        value = _version()
    elif name in _HOMES:
        import importlib

        module, _, attribute = _HOMES[name].partition(":")
        value = importlib.import_module(module)
        value = getattr(value, attribute) if attribute else value  # a home without an attribute is a module of functions
    else:
        from .base.errors import did_you_mean

        hint = did_you_mean(name, _HOMES)
        raise AttributeError(f"module 'harken' has no attribute {name!r}{hint if hint.startswith(' (did') else ''}", name=name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)


if not TYPE_CHECKING:  # type checkers would believe in any name
    __getattr__ = _find


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("harken")
    except metadata.PackageNotFoundError:  # run from its source, not installed
        return "0+source"
