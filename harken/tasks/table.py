"""The table through which tasks are reached, by any of their names: imported when asked for. No torch."""

from __future__ import annotations

import importlib
import re

from ..base.errors import InputError, did_you_mean
from .task import Task

TASKS = {
    "text-generation": "harken.tasks.text_generation",
    "text2text-generation": "harken.tasks.text2text_generation",
    "summarization": "harken.tasks.summarization",
    "translation": "harken.tasks.translation",
    "conversational": "harken.tasks.conversational",
    "text-classification": "harken.tasks.text_classification",
    "zero-shot-classification": "harken.tasks.zero_shot_classification",
    "token-classification": "harken.tasks.token_classification",
    "question-answering": "harken.tasks.question_answering",
    "fill-mask": "harken.tasks.fill_mask",
    "feature-extraction": "harken.tasks.feature_extraction",
    "sentence-similarity": "harken.tasks.sentence_similarity",
    "ranking": "harken.tasks.ranking",
    "next-sentence-prediction": "harken.tasks.next_sentence_prediction",
}
ALIASES = {
    "sentiment-analysis": "text-classification",
    "ner": "token-classification",
    "chat": "conversational",
    "text-ranking": "ranking",
}
DIRECTION = re.compile(r"translation_(?P<source>\w+)_to_(?P<target>\w+)")

MODELS = (
    *("gpt2", "distilgpt2", "gpt2-medium", "gpt2-large", "gpt2-xl", "openai-community/gpt2", "openai-gpt"),
    *("bert-base-uncased", "bert-base-cased", "bert-large-uncased", "bert-large-cased", "bert-base-multilingual-cased"),
    *("distilbert-base-uncased", "distilbert-base-cased", "roberta-base", "roberta-large", "distilroberta-base"),
    *("albert-base-v2", "albert-large-v2", "t5-small", "t5-base", "t5-large", "google/flan-t5-small", "google/flan-t5-base"),
    *("facebook/bart-base", "facebook/bart-large", "facebook/bart-large-cnn", "facebook/bart-large-mnli"),
    *("Helsinki-NLP/opus-mt-en-fr", "Helsinki-NLP/opus-mt-en-de", "Helsinki-NLP/opus-mt-fr-en", "Helsinki-NLP/opus-mt-de-en"),
)
"""Ids on the Hub that people mean when they mistype one, beside the tasks' own."""


def task_named(name: object) -> Task:
    """A task by its name or another one it is known by; translation_xx_to_yy is one. InputError, with what was perhaps meant."""
    if not isinstance(name, str):
        raise InputError(f"a task is a name such as ner or text-generation, not {name!r}")
    plain = "translation" if DIRECTION.fullmatch(name) else ALIASES.get(name, name)
    if plain not in TASKS:
        known = [*TASKS, *ALIASES, "translation_xx_to_yy"]
        raise InputError(f"the task {name!r} is not known{did_you_mean(name, known)}")
    return importlib.import_module(TASKS[plain]).TASK
