"""Where in a text the answer to a question stands: SQuAD's task, long texts read in windows, questions without an answer among them.

`python recipes/question_answering.py train.json --test dev.json --minutes 15` (SQuAD's json of either version, or rows with `context`,
`question` and `answers`) trains a small BERT from scratch and tells exact match and F1. From scratch little can be learned: give a
checkpoint with `harken train train.json --model distilbert/distilbert-base-uncased --task span` where there is one. `--tiny` takes seconds.

Rajpurkar et al. 2016, https://arxiv.org/abs/1606.05250 · Rajpurkar et al. 2018, https://arxiv.org/abs/1806.03822
"""

from __future__ import annotations

import random

from common import DOES, WHERE, WHO, ask, line, measure, tell

import harken


def question(rng: random.Random) -> str:
    """Who it is, or where; sometimes the text does not say."""
    who, where = rng.choice(WHO), rng.choice(WHERE)
    context = f"the {who} {rng.choice(DOES)} by the {where}"
    asked, answer = rng.choice([("who is it?", who), ("where is it?", where), ("when is it?", None)])
    answers = {"text": [answer], "answer_start": [context.index(answer)]} if answer else {"text": [], "answer_start": []}
    return line(context=context, question=asked, answers=answers)


def main() -> None:
    """Train, measure, ask."""
    asked = ask(__doc__, "questions.jsonl", question)
    run = asked.out / "bert"
    harken.train(asked.data, model="bert", task="span", out=str(run), overwrite=True, **asked.train)
    measure(run, asked)
    answer = harken.pipeline("question-answering", str(run))
    tell(found=answer(question="where is it?", context="the fox sleeps by the river"))


if __name__ == "__main__":
    main()
