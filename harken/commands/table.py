"""The commands by name, each with the module that holds it; those of two words form a group under the first."""

from __future__ import annotations

COMMANDS = {
    "demo": "harken.commands.demo",
    "train": "harken.commands.train",
    "generate": "harken.commands.generate",
    "chat": "harken.commands.chat",
    "next": "harken.commands.next",
    "run": "harken.commands.run",
    "eval": "harken.commands.eval",
    "compare": "harken.commands.compare",
    "look": "harken.commands.look",
    "serve": "harken.commands.serve",
    "similar": "harken.commands.similar",
    "analogy": "harken.commands.analogy",
    "info": "harken.commands.info",
    "tokenizer train": "harken.commands.tokenizer",
    "tokenizer encode": "harken.commands.tokenizer",
    "tokenizer stats": "harken.commands.tokenizer",
    "tokenizer extend": "harken.commands.tokenizer",
    "convert": "harken.commands.convert",
    "quantize": "harken.commands.quantize",
    "reproduce": "harken.commands.reproduce",
    "bench": "harken.commands.bench",
}
GROUPS = {"tokenizer": "Train tokenizers, see what they make of a text, measure and extend them"}
