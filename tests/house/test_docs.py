"""README and docs keep their word: every snippet runs, every relative link leads somewhere, no file names a path of one machine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
RUNNER = Path(__file__).with_name("run_snippets.py")
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")) if path.exists())
LINK = re.compile(r"\]\(<?(?P<target>[^)\s>]+)[^)]*\)")
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|root|opt/wheels)(?:/|\b)(?!\.)")


def run_page(page: Path, cwd: Path, seconds: float = 150) -> None:
    """Run a page's snippets in a process of their own; whatever they started ends with them."""
    runner = subprocess.Popen(
        [sys.executable, RUNNER, page], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        output, _ = runner.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        pytest.fail(f"{page.name}: not done after {seconds} s")
    finally:
        if runner.poll() is None:
            os.killpg(runner.pid, signal.SIGKILL)
            runner.communicate()
    if runner.returncode:
        pytest.fail(output, pytrace=False)


def dead_links(page: Path) -> list[str]:
    """Relative link targets, outside code, that do not exist."""
    text = re.sub(r"^ *```.*?^ *```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = [unquote(link["target"].split("#")[0]) for link in LINK.finditer(text) if not re.match(r"[a-z]+:", link["target"])]
    return [target for target in targets if target and not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES)
def test_snippets_run(page: str, tmp_path: Path) -> None:
    run_page(ROOT / page, tmp_path)


def test_links_lead_somewhere(project_files: list[Path]) -> None:
    dead = {path.name: found for path in project_files if path.suffix == ".md" and (found := dead_links(path))}
    assert not dead


def test_no_paths_of_one_machine(project_files: list[Path], root: Path) -> None:
    found = [
        f"{path.relative_to(root)}: {hit.group()}"
        for path in project_files
        for hit in MACHINE_PATH.finditer(path.read_bytes().decode("utf-8", "ignore"))
    ]
    assert not found


GOOD = """
```python
from pathlib import Path
name = "a.txt"
```
```console exact
$ echo "one  " && \\
  echo two
one
two
```
  ```python
  Path(name).write_text("kept")
  ```
```console
$ cat a.txt
something else is shown
$ test "$(command -v python)" = "$(python -c 'import sys; print(sys.executable)')"
```
```console no-run
$ false
```
```sh
false
```
"""


def test_a_good_page_passes(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(GOOD)
    run_page(tmp_path / "page.md", tmp_path)
    assert (tmp_path / "a.txt").read_text() == "kept"


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("# a page\n```python\n1 / 0\n```\n", r"page.md\", line 3(.|\n)*ZeroDivisionError"),
        ("```console\n$ true\n$ exit 3\n```\n", "page.md:2: `exit 3` ended with exit code 3"),
        ("```console exact\n$ echo one\ntwo\n```\n", "other output than it gives:\none"),
        ("```bash\nls\n```\n", "tag it console or sh"),
        ("```console\n$ sleep 30\n```\n", "not done after 1 s"),
    ],
)
def test_a_broken_page_fails(tmp_path: Path, page: str, why: str) -> None:
    (tmp_path / "page.md").write_text(page)
    with pytest.raises(pytest.fail.Exception, match=why):
        run_page(tmp_path / "page.md", tmp_path, seconds=1 if "sleep" in page else 60)


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[a](page.md#x) [b](https://a.b/c) [c](#here) `[d](no)` ![e](gone.svg) [f](docs/)\n```text\n[g](no)\n```\n")
    assert dead_links(page) == ["gone.svg", "docs/"]


@pytest.mark.parametrize(
    ("text", "found"), [("see {}work/x", True), ("'{}root/y'", True), ("https://a.b{}work/", False), ("my{}root", False)]
)
def test_a_machine_path_is_found(text: str, found: bool) -> None:
    assert bool(MACHINE_PATH.search(text.format("/"))) is found
