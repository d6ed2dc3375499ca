"""What a user may ask of training. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..base.errors import InputError
from ..base.options import argument, option, unusual

Task = Literal[
    "language-modeling",
    "masked-language-modeling",
    "pretraining",
    "text2text",
    "span-corruption",
    "denoising",
    "instruct",
    "classification",
    "token-classification",
    "span",
    "ranking",
    "similarity",
    "dialogue",
    "text-classification",
    "sentiment-analysis",
    "ner",
    "question-answering",
    "text-ranking",
    "sentence-similarity",
    "conversational",
    "summarization",
    "translation",
]
"""What a model can learn by, the last nine under the names that it is asked by."""
KNOWN_AS = {
    "text-classification": "classification",
    "sentiment-analysis": "classification",
    "ner": "token-classification",
    "question-answering": "span",
    "text-ranking": "ranking",
    "sentence-similarity": "similarity",
    "conversational": "dialogue",
    "summarization": "text2text",
    "translation": "text2text",
}
"""Those names, and what they are called here."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Train a model on a text: one example a line, running text, a table or a folder. What is not given is chosen from data and budget."""

    data: str | None = argument(
        None, "text, .jsonl, .csv, .tsv or .parquet file (.gz too), folder, or - for standard input; with --resume it may be left out"
    )
    config: str | None = option(None, "file of options, run.toml: a line an option, as in steps = 500; the command line has the last word")
    source: str | None = option(None, "for pairs in two aligned files: that of the sources, instead of DATA")
    target: str | None = option(None, "for pairs in two aligned files: that of the targets; its n-th line answers the n-th source")
    model: str | None = option(
        None,
        "family: ngram, bigram, mlp, rnn, gru, lstm, cosine, gpt, gpt2, llama (the default), mistral, qwen2, qwen3 or mixture; "
        "to fill gaps: bert, roberta, distilbert, albert or modernbert; from pairs: seq2seq, transformer, t5, bart or marian; "
        "vectors: words as vectors, from counts; or what is to be fine-tuned: a run, a checkpoint folder or a Hub id, org/name",
    )
    task: Task | None = option(
        None,
        "what is learned: what follows (the default), what is hidden (of bert and its kin; pretraining: and whether a second segment "
        "follows), the target of a source (of t5 and its kin), from texts alone what stood in the gaps or how a broken text read, from "
        "dialogues the next reply, from chats or instructions what the assistant says (instruct), or from labelled examples their labels, "
        "tags, answers, order or likeness",
    )
    mask_rate: float | None = option(None, "share of the tokens that is hidden (default: 0.15; denoising: 0.3)", above=0, max=0.9)
    whole_word: bool = option(False, "hide all pieces of a word together")
    span_length: float | None = option(None, "mean tokens of a hidden span, in span corruption and denoising (default: 3)", min=1)
    noise: str = option(
        "infilling,permutation", "of denoising, one or more of infilling, permutation, masking, deletion and rotation, with commas"
    )
    out: str | None = option(None, "folder of the run (default: runs/DATA-MODEL)", short="-o")
    resume: bool = option(False, "go on with the run in --out, exactly where its last saved state is")
    overwrite: bool = option(False, "replace the run in --out")
    replay: str | None = option(None, "folder of a finished run to repeat step by step, its options, schedule and seed")
    valid: str | None = option(None, "file to measure on while training (default: a tenth of the data, chosen by content)")
    test: str | None = option(None, "file to measure the finished model on, once")
    valid_target: str | None = option(None, "for pairs in two aligned files: the targets of --valid")
    test_target: str | None = option(None, "for pairs in two aligned files: the targets of --test")
    label_smoothing: float = option(
        0.0, "share of the certainty that goes to all labels, or all tokens, alike; the measured loss has none of it", min=0, max=0.9
    )
    ranking_loss: Literal["listwise", "pairwise", "pointwise"] = option(
        "listwise", "of ranking: what the candidates of a query are told by"
    )
    scale: float = option(
        20.0, "of similarity, from sentences that belong together: what their cosines are multiplied by (1 / temperature)", above=0
    )
    mend: bool = option(
        False, "of labelled examples: mend tags that do not begin properly, and answers that stand elsewhere, and count them"
    )
    skip_bad_rows: bool = option(False, "of labelled examples: leave wrong rows out and count them (default: an error that lists them)")
    examples: Literal["lines", "running"] | None = option(
        None, "whether each line is an example or the file is running text (default: detected)"
    )
    columns: str | None = option(None, "which column or field holds the text: text=review, or text=2 for the second of a table")
    overflow: Literal["window", "truncate", "drop"] | None = option(
        None, "examples longer than the context: read in windows, cut off, or leave out (default: an error that counts them)"
    )
    tokenizer: str | None = option(
        None,
        "char, word, bpe, wordpiece or unigram: characters, words, byte-level BPE … (default: characters or BPE, by the size of the data); "
        "or the folder of one that is there; of a model that is fine-tuned: folder of its tokenizer with more tokens",
    )
    vocab_size: int | None = option(None, "tokens of the tokenizer", min=1)
    steps: int | None = option(None, "optimizer steps (default: 2000)", min=1)
    epochs: float | None = option(None, "passes over the data, instead of --steps", above=0)
    minutes: float | None = option(None, "time from start to last file, instead of --steps: the schedule is laid over it", above=0)
    context: int | None = option(None, "tokens the model can read at once", min=2)
    width: int | None = option(None, "size of a hidden state", min=2)
    layers: int | None = option(None, "blocks", min=1)
    heads: int | None = option(None, "attention heads", min=1)
    hidden: int | None = option(None, "size of the layer inside an MLP (default: what the family has, as a rule 4 times the width)", min=2)
    cell: Literal["rnn", "gru", "lstm"] | None = option(None, "of a seq2seq model (default: lstm)")
    attention: Literal["none", "additive", "dot", "general", "concat", "local-m", "local-p"] | None = option(
        None, "of a seq2seq model (default: additive, Bahdanau's; none is the bare context vector)"
    )
    input_feeding: bool | None = option(None, "whether each step of a seq2seq model also reads what the one before said")
    order: int | None = option(None, "of an n-gram model (default: the best on a part of the training text)", min=0)
    window: int | None = option(None, "of word vectors: words to each side that count as near (default: 5)", min=1)
    smoothing: Literal["kneser_ney", "witten_bell", "add_k"] = option("kneser_ney", "what an n-gram model gives to what it never saw")
    parts: str = option(
        "llama,ngram", "the two models a mixture weighs: a neural and a counting family, or folders of two that have learned already"
    )
    gate: Literal["context", "global"] = option("context", "whether a mixture weighs its parts anew for every context or once for all")
    recent: int | None = option(
        None, "a mixture also counts what it has just read: tokens after which that counts half, such as 350 (default: it does not)", min=1
    )
    embeddings: Literal["random", "counted"] | None = option(
        None,
        "how token vectors of a new model begin: random, or counted: which tokens stand near which (default: counted to fill gaps)",
    )
    dropout: float | None = option(None, "share of values dropped while training (default: 0.1 on many passes, else 0)", min=0, max=0.9)
    batch_size: int | None = option(None, "rows of text a step learns from", min=1)
    accumulate: int = option(1, "parts a batch is read in at least, to save memory; the gradient is the same", min=1)
    pack: bool | None = option(None, "read the rows of a batch end to end instead of padded, each by itself (default: where a model can)")
    checkpoint_activations: bool = option(
        False,
        "activation checkpointing: keep only what each block reads and work it out again for the gradient, which is the same; less "
        "memory for more time",
    )
    compile: bool = option(
        False, "compile the blocks with torch.compile as training begins; takes a C++ compiler on a CPU, and pays on a GPU"
    )
    learning_rate: float | None = option(None, "peak learning rate", above=0)
    optimizer: Literal["muon", "adamw"] | None = option(None, "how weights are moved (default: muon; adamw to fine-tune)")
    layer_decay: float | None = option(None, "learning rate of a layer as a share of that of the one above, such as 0.9", above=0, max=1)
    freeze: str | None = option(None, "layers that do not learn, such as embed,blocks.0-3")
    unfreeze_every: float | None = option(
        None, "let one block more learn, from the top down, each time so many steps, or such a share of them, are done", above=0
    )
    lora: bool = option(
        False, "of a checkpoint: learn an adapter, narrow matrices beside its own, which stay as they are, and heads that are new"
    )
    lora_rank: int = option(8, "rows of an adapter's narrow matrices", min=1)
    lora_alpha: float = option(16.0, "what an adapter says is multiplied by this / rank", above=0)
    lora_dropout: float = option(0.0, "share of the values an adapter reads that is dropped while training", min=0, max=0.9)
    lora_targets: str = option(
        "all-linear", "matrices an adapter is on, by names or ends of names, such as q_proj,v_proj (default: all but the head)"
    )
    lora_base: Literal["bfloat16", "int8", "int4"] | None = option(
        None, "how the weights are held that stay as they are beside an adapter (QLoRA; default: as the checkpoint has them)"
    )
    dora: bool = option(False, "an adapter that learns the length of every row by itself (DoRA)")
    teacher: str | None = option(
        None, "a run, a checkpoint or a Hub id to learn from, with the same tokenizer: what it thinks of each token"
    )
    temperature: float = option(2.0, "by which the scores of teacher and student are divided", above=0)
    alpha_ce: float = option(0.5, "weight of what the teacher thinks of each token, in the loss of a student (DistilBERT: 5)", min=0)
    alpha_mlm: float = option(0.5, "weight of which token it is, hidden or next (DistilBERT: 2)", min=0)
    alpha_cos: float = option(0.0, "weight of the cosine between the last hidden states of teacher and student (DistilBERT: 1)", min=0)
    student_layers: int | None = option(None, "begin as so many blocks of the teacher, evenly spread", min=1)
    schedule: Literal["cosine", "linear", "constant", "wsd", "inverse_sqrt"] = option(
        "linear", "how the learning rate falls after the warm-up"
    )
    warmup_steps: int | None = option(
        None, "steps over which the learning rate rises (default: a tenth, at most 100; of --minutes a twentieth)", min=0
    )
    weight_decay: float = option(0.1, "pull of the weights towards zero", min=0)
    clip: float = option(1.0, "largest norm of a gradient", above=0)
    threads: int | None = option(None, "processor threads (default: all; with --minutes one where that is faster now)", min=1)
    dtype: Literal["auto", "float32", "bfloat16"] = option("auto", "arithmetic of the products while training")
    average: float | None = option(
        None, "measure and keep a running average of the weights that decays by this, such as 0.999", min=0, max=0.999999
    )
    best: str | None = option(
        None,
        "by what the best model is known, measured on held-out text: loss, or a metric of the task (default: the loss; of labelled "
        "examples the task's first metric); last: keep the newest, whatever is measured",
    )
    patience: int | None = option(None, "measurements without a better one after which to stop early", min=1)
    eval_every: int | None = option(None, "steps between measurements (default: a tenth of the run)", min=1)
    save_every: float = option(15.0, "seconds between saved states", min=0)
    history: int = option(5, "of dialogues: turns of the past that a reply is read with", min=0)
    replies_at_once: int = option(4, "of dialogues: replies of one speaker that are learned in one reading", min=1)
    candidates: int = option(2, "of dialogues: replies of which the right one is to be told, drawn where the data names none", min=2)
    lm_coef: float = option(2.0, "of dialogues: weight of the loss of writing the reply", above=0)
    mc_coef: float = option(1.0, "of dialogues: weight of the loss of telling it from others; 0: only write it", min=0)
    persona_permutations: int = option(
        1, "of dialogues: times a reply is read in an epoch, each with its persona in another order; 0: once, as it is", min=0
    )
    seed: int = option(0, "of the weights, the order and everything drawn", min=0)
    json: bool = option(False, "print the result as one JSON object")
    began: float | None = None
    """`time.monotonic()` from which --minutes count; None: from the call."""

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.steps, self.epochs, self.minutes)) > 1:
            raise InputError("give one of --steps, --epochs and --minutes")
        object.__setattr__(self, "task", KNOWN_AS.get(self.task or "", self.task))
        if self.resume and self.overwrite:
            raise InputError("give --resume to go on with a run or --overwrite to replace it, not both")
        if self.resume and self.out is None:
            raise InputError("--resume needs --out: the folder of the run to go on with")
        if self.dora:
            object.__setattr__(self, "lora", True)
        asked = unusual(self, ("lora_rank", "lora_alpha", "lora_dropout", "lora_targets", "lora_base"))
        if asked and not self.lora:
            raise InputError(f"{asked[0]} says how an adapter is made: give --lora, too")
        if self.window is not None and self.model not in ("vectors", None):
            raise InputError(f"--window is for --model vectors, which counts the words around each, not for {self.model}")
        if self.source is not None:
            if self.data is not None:
                raise InputError("--source names the file of the sources, and DATA another: give one of them")
            object.__setattr__(self, "data", self.source)
            object.__setattr__(self, "source", None)
        for one, two, flag in ((self.valid_target, self.valid, "--valid"), (self.test_target, self.test, "--test")):
            if one is not None and (two is None or self.target is None):
                raise InputError(f"{flag}-target belongs to {flag} and --target: give all three")
        if self.replay is not None and (self.resume or any(v is not None for v in (self.steps, self.epochs, self.minutes))):
            raise InputError("--replay repeats a run as it was: leave out --resume, --steps, --epochs and --minutes")
        if self.data is None and not self.resume and self.replay is None:
            raise InputError("DATA is missing: name a text file, a table or a folder, or - for standard input")


RUN_ONLY = ("data", "source", "target", "out", "resume", "overwrite", "replay", "config", "json", "save_every", "threads", "began")
"""Options that may differ when a run goes on; every other is fixed in its record."""
