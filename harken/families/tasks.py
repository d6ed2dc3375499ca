"""What a model can be built for, and the class Hugging Face has for it. No torch here, so that `harken info` stays quick."""

from __future__ import annotations

from typing import Any

from ..base.errors import InputError, did_you_mean

CONTINUE = {"language-modeling": "ForCausalLM"}
JUDGE = {
    "classification": "ForSequenceClassification",
    "token-classification": "ForTokenClassification",
    "span": "ForQuestionAnswering",
    "multiple-choice": "ForMultipleChoice",
}
WRITE = {**CONTINUE, **JUDGE, "double-heads": "DoubleHeadsModel", "value": "ForValue"}
FILL = {"masked-language-modeling": "ForMaskedLM", **JUDGE}
PRETRAIN = {**FILL, "pretraining": "ForPreTraining"}
TRANSLATE = {"text2text": "ForConditionalGeneration"}
ANSWER = {**TRANSLATE, "classification": JUDGE["classification"], "span": JUDGE["span"]}

MODELS: dict[str, tuple[str, dict[str, str]]] = {
    "ngram": ("Ngram", CONTINUE),
    "mixture": ("Mixture", CONTINUE),
    "vectors": ("Vectors", {"word-vectors": "Model"}),
    "bigram": ("Bigram", CONTINUE),
    "mlp": ("MLP", CONTINUE),
    "rnn": ("RNN", WRITE),
    "gru": ("GRU", WRITE),
    "lstm": ("LSTM", WRITE),
    "cosine": ("Cosine", WRITE),
    "openai-gpt": ("OpenAIGPT", {**WRITE, "language-modeling": "LMHeadModel"}),
    "gpt2": ("GPT2", {**WRITE, "language-modeling": "LMHeadModel"}),
    "llama": ("Llama", WRITE),
    "mistral": ("Mistral", WRITE),
    "qwen2": ("Qwen2", WRITE),
    "qwen3": ("Qwen3", WRITE),
    "bert": ("Bert", PRETRAIN),
    "roberta": ("Roberta", FILL),
    "distilbert": ("DistilBert", FILL),
    "albert": ("Albert", PRETRAIN),
    "modernbert": ("ModernBert", FILL),
    "seq2seq": ("Seq2Seq", TRANSLATE),
    "transformer": ("Transformer", TRANSLATE),
    "t5": ("T5", {**ANSWER, "token-classification": JUDGE["token-classification"]}),
    "bart": ("Bart", ANSWER),
    "marian": ("Marian", {"text2text": "MTModel"}),
}
"""model_type -> (how its classes begin, task -> how they end); the first task is the one it learned its language by."""

TASKS = tuple(dict.fromkeys(task for _, tasks in MODELS.values() for task in tasks))
"""All of them."""


def tasks_of(config: Any) -> dict[str, str]:
    """A config, or config.json's object -> {task: architecture} of all it can be built for; nothing where the family is not known."""
    model_type = config.get("model_type", "") if isinstance(config, dict) else config.model_type
    name, tasks = MODELS.get(str(model_type), ("", {}))
    return {task: name + end for task, end in tasks.items()}


def task_of(model_type: str, architectures: Any) -> str:
    """The task that config.json's `architectures` names; the family's first where it names none that is known."""
    known = {architecture: task for task, architecture in tasks_of({"model_type": model_type}).items()}
    named = architectures if isinstance(architectures, list) else []
    return next((known[each] for each in named if isinstance(each, str) and each in known), next(iter(known.values())))


def check_task(config: Any, task: str) -> str:
    """The task. InputError when the family has no head for it."""
    known = tasks_of(config)
    if task not in known:
        raise InputError(f"a {config.model_type} model cannot be built for {task!r}{did_you_mean(task, known)}")
    return task
