"""Translation in the shape of Marian (opus-mt), beam 4, beside transformers and CTranslate2: `python bench/translate.py`.

Sources of 24 random tokens and targets of 24, alone and 32 at once; random weights. Ours in float32 and int8.
"""

from __future__ import annotations

from beside import MINE, Limits, Side, options, ratio, report, table, turns
from shapes import SHAPES, checkpoint, derived, ids

BEAMS = 4


def main() -> None:
    """All sides at once, in turns, batch by batch."""
    asked = options(__doc__ or "")
    model = "marian" if asked.tiny else "marian-base"
    folder, vocabulary = str(checkpoint(model)), 600 if asked.tiny else SHAPES[model]["vocab_size"]
    setting = {"what": "translate", "threads": asked.threads}
    everyone = [
        Side(MINE, "harken", {**setting, "folder": folder, "dtype": "float32"}),
        Side(f"{MINE} int8", "harken", {**setting, "folder": folder, "dtype": "int8"}),
        Side("transformers", "transformers", {**setting, "folder": folder, "dtype": "float32"}),
    ]
    for kind, name in (("float32", "CTranslate2"), ("int8", "CTranslate2 int8")):
        if path := derived(model, kind):
            everyone.append(Side(name, "ctranslate2", {**setting, "folder": str(path), "dtype": kind}))
    limits = Limits(asked.threads, 0.01 if asked.tiny else 1.25)
    for side in everyone:
        side.start()
    rows, new = [], 6 if asked.tiny else 24
    for count in (1, 4) if asked.tiny else (1, 32):
        limits.ask()
        found = turns(everyone, {"sources": ids(count, new, vocabulary - 1), "beams": BEAMS, "new": new}, asked.rounds)
        for side in everyone:
            if side.name in found:
                seconds = found[side.name]
                rates = [f"{count / seconds:.2f}", *(ratio(seconds, found.get(mine)) for mine in (MINE, f"{MINE} int8"))]
                rows.append([str(count), side.name, *rates])
    limits.ask()
    for side in [*everyone, limits.side]:
        side.stop()
    lines = [
        f"Beam {BEAMS}, {new} tokens in and out; how many times as fast {MINE} is, with weights in float32 and in int8.",
        table(["texts", "", "texts/s", f"{MINE} beside it", f"{MINE} int8 beside it"], rows),
        limits.said(),
    ]
    report("translate", "Translating", lines, asked, ("transformers", "ctranslate2"))


if __name__ == "__main__":
    main()
