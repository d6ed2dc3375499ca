"""What harken is measured beside, each in an environment of its own: `python bench/peers.py` makes them all, `… peers.py llama` one.

They lie in .venv-peers/NAME and hold what bench/peers/NAME.txt asks for. torch comes first, as the Makefile has it (TORCH_INDEX=URL for
another index); llama.cpp is compiled for this processor, which takes a C++ compiler and ten minutes of one core. What cannot be made is
said, and the benchmarks leave it out. llama-server is built from the same source package, another ten minutes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent / ".venv-peers"
NATIVE = "-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF"


def names() -> list[str]:
    """Every peer, and harken by itself."""
    return sorted(path.stem for path in (HERE / "peers").glob("*.txt"))


def python_of(name: str) -> Path | None:
    """The interpreter of a peer's environment; None where it was not made."""
    made = ROOT / name / "bin" / "python"
    return made if (ROOT / name / ".installed").is_file() else None


def make(name: str) -> None:
    """The environment of one peer, unless it is there; CalledProcessError when something of it cannot be installed."""
    place, asked = ROOT / name, HERE / "peers" / f"{name}.txt"
    if (place / ".installed").is_file() and (place / ".installed").read_text() == asked.read_text():
        return
    if name == "llama-server":
        build(place, next(line for line in asked.read_text().splitlines() if not line.startswith("#")))
        (place / ".installed").write_text(asked.read_text())
        return
    python = place / "bin" / "python"
    if not python.is_file():
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
    index = os.environ.get("TORCH_INDEX")
    install = [python, "-m", "pip", "install", "-q", *(["--extra-index-url", index] if index else [])]
    if name == "harken" or "torch==" in asked.read_text():  # named exactly, and first: pip then takes the wheel it is shown
        subprocess.run([*install, "torch==2.13.0"], check=True)
    given = ["-e", str(HERE.parent)] if name == "harken" else ["-r", str(asked)]
    subprocess.run([*install, *given], check=True, env={**os.environ, "CMAKE_ARGS": NATIVE})
    (place / ".installed").write_text(asked.read_text())


def build(place: Path, source: str) -> None:
    """llama-server, from the source package of its Python binding."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", folder, source], check=True
        )
        with tarfile.open(next(Path(folder).glob("*.tar.gz"))) as file:
            file.extractall(folder, filter="data")
        cpp = next(Path(folder).glob("*/vendor/llama.cpp"))
        flags = [*NATIVE.split(), "-DLLAMA_CURL=OFF", "-DLLAMA_OPENSSL=OFF", "-DBUILD_SHARED_LIBS=OFF", "-DCMAKE_BUILD_TYPE=Release"]
        subprocess.run(["cmake", "-S", cpp, "-B", f"{folder}/build", *flags], check=True, stdout=subprocess.DEVNULL)
        jobs = ["-j", str(os.cpu_count() or 1), "--target", "llama-server"]
        subprocess.run(["cmake", "--build", f"{folder}/build", *jobs], check=True, stdout=subprocess.DEVNULL)
        (place / "bin").mkdir(parents=True, exist_ok=True)
        shutil.copy2(f"{folder}/build/bin/llama-server", place / "bin")


def main() -> None:
    """Make those that were named, or all."""
    failed = []
    for name in sys.argv[1:] or names():
        print(f"{name} …", flush=True)
        try:
            make(name)
        except (subprocess.CalledProcessError, OSError) as error:
            failed.append(name)
            print(f"{name} could not be made: {error}", flush=True)
    if failed:
        sys.exit(f"without {', '.join(failed)}: the benchmarks leave these out")


if __name__ == "__main__":
    main()
