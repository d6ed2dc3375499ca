"""Does `--minutes M` take M minutes, and learn as much as the same steps with a known schedule? `bench/minutes.py TEXT --minutes 1 2 5`.

The time is that from the start of the process to the last file on disk, "exit" what the process then takes to end. Each timed run is
done on the machine as it is and beside processes that do nothing but count; then a run of as many steps, whose schedule knows its end,
gives the loss to compare with.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HARKEN = [sys.executable, "-c", "import sys; from harken.cli import main; sys.exit(main(sys.argv[1:]))", "train"]


def train(text: Path, out: Path, *options: str) -> tuple[float, float, dict]:
    """(seconds to the last file, seconds from there to the end of the process, the result) of one run."""
    began = time.time()
    done = subprocess.run([*HARKEN, str(text), "--out", str(out), "--json", *options], check=True, capture_output=True, text=True)
    last = max(path.stat().st_mtime for path in out.rglob("*") if path.is_file())
    return last - began, time.time() - last, json.loads(done.stdout)


def main() -> None:
    """One line a run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("text", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 2, 5])
    parser.add_argument("--load", type=int, nargs="+", default=[0, os.cpu_count() or 2], help="busy processes beside the run")
    asked = parser.parse_args()
    print("minutes busy      time     off   exit  steps last rate  guess    loss by steps  ratio")
    with tempfile.TemporaryDirectory() as folder:
        for minutes in asked.minutes:
            for load in asked.load:
                out = Path(folder) / f"{minutes:g}-{load}"
                busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(load)]
                try:
                    wall, leaving, timed = train(asked.text, out, "--minutes", str(minutes))
                finally:
                    for process in busy:
                        process.kill()
                rates = json.loads((out / "schedule.json").read_text("utf-8"))["learning_rates"]
                size = shape(out)
                _, _, known = train(asked.text, Path(f"{out}-steps"), "--steps", str(timed["steps"]), *size)
                print(
                    f"{minutes:>7g} {load:>4} {wall:>7.2f} s {wall / (60 * minutes) - 1:>+7.2%} {leaving:>4.1f} s {timed['steps']:>6,} "
                    f"{rates[-1] / max(rates):>9.4f} {timed['guess'] or float('nan'):>6.2f} {timed['loss']:>7.4f} {known['loss']:>8.4f} "
                    f"{timed['loss'] / known['loss']:>6.4f}",
                    flush=True,
                )


def shape(out: Path) -> list[str]:
    """The size and the dropout a timed run chose, as options: with a number of steps harken might choose others."""
    config, plan = (json.loads((out / name).read_text("utf-8")) for name in ("config.json", "harken.json"))
    plan = plan["plan"]
    values = {
        "width": config["hidden_size"],
        "layers": config["num_hidden_layers"],
        "heads": config["num_attention_heads"],
        **{name: plan[name] for name in ("dropout", "batch_size", "learning_rate", "dtype")},
    }
    return [word for name, value in values.items() for word in ("--" + name.replace("_", "-"), str(value))]


if __name__ == "__main__":
    main()
