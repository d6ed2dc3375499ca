"""A few made-up examples of each data set, in its own files and form, so that every recipe can be seen to run without any data."""

from __future__ import annotations

import random
from pathlib import Path

WHO = {"fox": ("Fuchs", "renard"), "owl": ("Uhu", "hibou"), "hare": ("Hase", "lièvre"), "cat": ("Kater", "chat")}
DOES = {"sleeps": ("schläft", "dort"), "waits": ("wartet", "attend"), "sings": ("singt", "chante"), "reads": ("liest", "lit")}
WHERE = {"river": ("Fluss", "fleuve"), "road": ("Weg", "chemin"), "hill": ("Hügel", "mont"), "barn": ("Stall", "hangar")}


def sentence(rng: random.Random) -> tuple[str, str, str]:
    """One of a small world, in English, German and French."""
    who, does, where = (rng.choice(list(words)) for words in (WHO, DOES, WHERE))
    german, french = ((WHO[who][i], DOES[does][i], WHERE[where][i]) for i in (0, 1))
    return (
        f"The {who} {does} by the {where}.",
        f"Der {german[0]} {german[1]} beim {german[2]}.",
        f"Le {french[0]} {french[1]} près du {french[2]}.",
    )


def multi30k(folder: Path) -> None:
    """Aligned files of three languages."""
    rng = random.Random(0)
    for part, count in (("train", 200), ("val", 20), ("test_2016_flickr", 20)):
        rows = [sentence(rng) for _ in range(count)]
        for language, lines in zip(("en", "de", "fr"), zip(*rows, strict=True), strict=True):
            (folder / f"{part}.{language}").write_text("\n".join(lines) + "\n", "utf-8")


SAMPLES = {"multi30k": multi30k}
