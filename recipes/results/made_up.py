"""A few made-up examples of each data set, in its own files and form, so that every recipe can be seen to run without any data."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

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


def paragraphs(count: int, seed: int) -> str:
    """Running text."""
    rng = random.Random(seed)
    return "\n\n".join(" ".join(sentence(rng)[0] for _ in range(4)) for _ in range(count)) + "\n"


def tinyshakespeare(folder: Path) -> None:
    """One text."""
    (folder / "input.txt").write_text(paragraphs(60, 0), "utf-8")


def books_pd(folder: Path) -> None:
    """Books with a line between them."""
    for seed, (part, count) in enumerate((("train", 150), ("valid", 20), ("test", 20))):
        books = (paragraphs(count, 10 * seed + i) for i in range(2))
        (folder / f"{part}.txt").write_text("<|endoftext|>\n".join(books), "utf-8")


def wikitext2(folder: Path) -> None:
    """Tokens between blanks, an empty line first."""
    for seed, (part, count) in enumerate((("train", 60), ("valid", 10), ("test", 10))):
        lines = paragraphs(count, seed).replace(".", " . <unk>").splitlines()
        (folder / f"{part}.txt").write_text("".join(f" {line} \n" for line in lines), "utf-8")


def sst2(folder: Path) -> None:
    """Sentences and labels."""
    for seed, (part, count) in enumerate((("train", 80), ("dev", 20), ("test", 20))):
        rng = random.Random(seed)
        with open(folder / f"{part}.tsv", "w", encoding="utf-8") as file:
            for _ in range(count):
                label = rng.randrange(2)
                file.write(
                    f"{rng.choice(['a good', 'a fine'] if label else ['a bad', 'a dull'])} film , {sentence(rng)[0].lower()}\t{label}\n"
                )


def poems_gutenberg(folder: Path) -> None:
    """Poems as objects."""
    for seed, (part, count) in enumerate((("train", 60), ("valid", 10), ("test", 10))):
        rng = random.Random(seed)
        rows = ({"id": i, "title": "A poem", "text": "\n".join(sentence(rng)[0] for _ in range(4))} for i in range(count))
        (folder / f"{part}.jsonl").write_text(objects(rows), "utf-8")


def wikiann_en(folder: Path) -> None:
    """A token and its tag a line."""
    for seed, (part, count) in enumerate((("train", 60), ("dev", 15), ("test", 15))):
        rng = random.Random(seed)
        with open(folder / f"{part}.txt", "w", encoding="utf-8") as file:
            for _ in range(count):
                who, where = rng.choice(["Ada", "Alan", "Grace"]), rng.choice(["Paris", "Rome", "Oslo"])
                file.write(f"en:{who}\tB-PER\nen:Byron\tI-PER\nen:waits\tO\nen:in\tO\nen:{where}\tB-LOC\n\n")


def squad_subset(folder: Path) -> None:
    """Paragraphs and questions as SQuAD has them."""
    for seed, (part, count) in enumerate((("train", 30), ("dev", 8), ("test_xquad.en", 8))):
        rng, articles = random.Random(seed), []
        for n in range(count):
            context = " ".join(sentence(rng)[0] for _ in range(2))
            who = context.split()[1]
            answers = [{"text": who, "answer_start": context.index(who)}]
            qas = [{"id": f"{part}-{n}", "question": "Who is it?", "answers": answers}]
            articles.append({"title": f"Article {n}", "paragraphs": [{"context": context, "qas": qas}]})
        (folder / f"{part}.json").write_text(json.dumps({"version": "1.1", "data": articles}), "utf-8")


def scitldr(folder: Path) -> None:
    """Abstracts by sentences, and summaries."""
    for seed, (part, count) in enumerate((("train", 30), ("dev", 8), ("test", 8))):
        rng = random.Random(seed)
        texts = ([sentence(rng)[0] for _ in range(4)] for _ in range(count))
        (folder / f"{part}.jsonl").write_text(
            objects({"source": text, "target": text[:2], "rouge_scores": [1.0, 1.0, 0.2, 0.1]} for text in texts), "utf-8"
        )


def fairytaleqa(folder: Path) -> None:
    """Stories by sections, and questions on them."""
    for seed, (part, count) in enumerate((("train", 30), ("val", 8), ("test", 8))):
        rng = random.Random(seed)
        texts = [" ".join(sentence(rng)[0] for _ in range(3)) for _ in range(count)]
        stories = ({"story": f"Tale {i}", "sections": {"1": text}} for i, text in enumerate(texts))
        asked = ({"story": f"Tale {i}", "sections": ["1"], "question": "Who is it?", "answers": [f"the {text.split()[1]}", "it"]}
                 for i, text in enumerate(texts))  # fmt: skip
        (folder / f"stories_{part}.jsonl").write_text(objects(stories), "utf-8")
        (folder / f"questions_{part}.jsonl").write_text(objects(asked), "utf-8")


def stsb(folder: Path) -> None:
    """Two sentences and how alike they are."""
    for seed, (part, count) in enumerate((("train", 40), ("dev", 12), ("test", 12))):
        rng = random.Random(seed)
        with open(folder / f"sts-{part}.csv", "w", encoding="utf-8") as file:
            for n in range(count):
                one, two = sentence(rng)[0], sentence(rng)[0]
                same = len({*one.split()} & {*two.split()}) / 6
                file.write(f"main\tmade-up\t2017\t{n:04}\t{5 * min(same, 1):.3f}\t{one}\t{two}\n")


def wordsim(folder: Path) -> None:
    """Two words and how alike they are."""
    rows = (f"{one}\t{two}\t{len({*one} & {*two}):.2f}\n" for one in (*WHO, *WHERE) for two in (*DOES, *WHERE))
    (folder / "EN-WS-353-ALL.txt").write_text("".join(rows), "utf-8")


def self_dialogue(folder: Path) -> None:
    """Turns."""
    for seed, (part, count) in enumerate((("train", 30), ("valid", 6), ("test", 6))):
        rng = random.Random(seed)
        rows = ({"id": i, "topic": "tales", "turns": [sentence(rng)[0].lower() for _ in range(4)]} for i in range(count))
        (folder / f"{part}.jsonl").write_text(objects(rows), "utf-8")


def synthetic_persona_chat(folder: Path) -> None:
    """Two personas and what they say."""
    rng = random.Random(0)
    for part in ("valid", "test"):
        with open(folder / f"Synthetic-Persona-Chat_{part}.csv", "w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(["user 1 personas", "user 2 personas", "Best Generated Conversation"])
            for _ in range(12):
                personas = ["\n".join(f"I am a {rng.choice(list(WHO))}." for _ in range(2)) for _ in range(2)]
                turns = [f"User {1 + n % 2}: {sentence(rng)[0]}" for n in range(6)]
                table.writerow([*personas, "\n".join(turns)])


def personachat_en(folder: Path) -> None:
    """A persona and pairs of turns."""
    for seed, (part, count) in enumerate((("valid", 60), ("test", 24))):
        rng = random.Random(seed)
        rows = [
            {
                "persona": [f"i am a {rng.choice(list(WHO))} ." for _ in range(2)],
                "dialogue": [[sentence(rng)[0].lower(), f"{sentence(rng)[0].lower()} {rng.random():.6f}"] for _ in range(2)],
            }
            for _ in range(count)
        ]
        (folder / f"En_persona_{part}.json").write_text(json.dumps(rows), "utf-8")


def instruct(folder: Path) -> None:
    """Instructions and answers."""
    for seed, (part, count) in enumerate((("train", 40), ("valid", 8), ("test", 8))):
        rng = random.Random(seed)
        rows = ({"instruction": f"Who is it, {rng.randrange(99)}?", "input": "", "output": sentence(rng)[0]} for _ in range(count))
        (folder / f"open_{part}.jsonl").write_text(objects(rows), "utf-8")


def objects(rows: Iterable[Any]) -> str:
    """An object a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


SAMPLES = {
    each.__name__: each
    for each in (
        *(multi30k, tinyshakespeare, books_pd, wikitext2, sst2, poems_gutenberg, wikiann_en, squad_subset, scitldr, fairytaleqa),
        *(stsb, wordsim, self_dialogue, synthetic_persona_chat, personachat_en, instruct),
    )
}
