"""Run the snippets of one Markdown file, in order, in the current folder: `python run_snippets.py README.md`.

```python        executed, all blocks of the file in one namespace
```console       every line that begins with `$ ` runs in bash and must succeed (a trailing backslash continues it)
```console exact the same, and what it prints on standard output must be the lines below it
```console no-run, ```sh, and every other tag: not run
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```[ \t]*$", re.MULTILINE | re.DOTALL)
REFUSED = {"bash": "console or sh", "shell": "console or sh", "py": "python", "python3": "python", "pycon": "python"}


class Block(NamedTuple):
    line: int  # of the first line inside the fence
    tags: list[str]  # ["console", "exact"]
    body: str


def blocks(text: str) -> Iterator[Block]:
    for fence in FENCE.finditer(text):
        yield Block(text.count("\n", 0, fence.start("body")) + 1, fence["info"].split() or [""], textwrap.dedent(fence["body"]))


def commands(body: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a console block with the output shown below it."""
    for piece in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, *shown = re.split(r"(?<!\\)\n", piece, maxsplit=1)
        yield command, "".join(shown).splitlines()


def run_console(block: Block, name: str) -> None:
    env = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])}
    for command, shown in commands(block.body):
        done = subprocess.run(["bash", "-c", command], env=env, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            sys.exit(f"{name}:{block.line}: `{command}` ended with exit code {done.returncode}\n{done.stdout}")
        if "exact" in block.tags and [line.rstrip() for line in done.stdout.splitlines()] != [line.rstrip() for line in shown]:
            sys.exit(f"{name}:{block.line}: `{command}` is shown with other output than it gives:\n{done.stdout}")


def main(name: str) -> None:
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(Path(name).read_text("utf-8")):
        match block.tags:
            case ["python", *_]:
                exec(compile("\n" * (block.line - 1) + block.body, name, "exec"), namespace)  # a traceback shows the file's own lines
            case ["console", *more] if "no-run" not in more:
                run_console(block, name)
            case [tag, *_] if tag in REFUSED:
                sys.exit(f"{name}:{block.line}: a block tagged {tag} would never run: tag it {REFUSED[tag]}")


if __name__ == "__main__":
    main(sys.argv[1])
