"""Extractive answers: where in a context the answer to a question begins, and where it ends.

    loss = -½ log softmax(z_start)_first - ½ log softmax(z_end)_last      over the tokens of the context and [CLS], in every window

https://arxiv.org/abs/1810.04805 sections 4.2 and 4.3. A context that does not fit beside its question is read in windows that share
`stride` tokens; in one that does not hold the answer, and for a question that has none, the answer is [CLS].
B questions · S windows · L tokens
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..base.errors import InputError
from ..data.examples import Examples
from ..data.framing import frame_of, windows
from ..data.laid import Answers, Laid, Layer, counted
from ..data.ledger import Ledger
from ..data.questions import Question
from ..nn.models import Model
from ..text.tokenizer import Tokenizer
from .causal import Loss
from .judging import Outcome, heard

STRIDE, CONTEXT = 128, 384
"""Tokens two windows share, and tokens of a window, at most: those of BERT."""
LONGEST = 30
"""Tokens of an answer."""


def lay(
    examples: Examples[Question],
    tokenizer: Tokenizer,
    labels: Sequence[str],
    problem: str,
    context: int,
    ledger: Ledger,
    *,
    overflow: str | None = None,
    stage: str = "tokens",
) -> Laid:
    """Questions as they are read; of several right answers the first is learned. InputError when a question leaves no room for its context,
    or no answer stands whole in a window."""
    if overflow is not None:
        raise InputError("--overflow is not for questions: a long context is read in windows, and its question is always whole")
    frame, layer = frame_of(tokenizer, pair=True), Layer()
    cls = tokenizer.cls_id
    ends, inside, shift, none = [], [], [], []
    unknown = long = split = 0
    for number, example in enumerate(examples, 1):
        question, text = tokenizer.encode(example.question, special=False), tokenizer.encode(example.context, special=False)
        room = context - frame.size - len(question)
        if room < 2:
            raise InputError(
                f"{examples.name}: question {number:,} has {len(question):,} tokens, which leaves no room for its context in {context:,}: "
                f"give --context {len(question) + frame.size + 32} or more"
            )
        span = tokens_of(example, tokenizer) if example.answers else None
        parts, whole = windows(len(text), room, min(STRIDE, room // 2)), False
        begin = frame.front + len(question) + len(frame.parts[1][0])
        at = next((i for i, id in enumerate(frame.parts[0][0]) if id == cls), -1) if cls is not None else -1
        for part in parts:
            layer.add(frame, question, text[part.start : part.stop])
            held = span is not None and part.start <= span[0] and span[1] < part.stop
            whole |= held
            ends.append((begin + span[0] - part.start, begin + span[1] - part.start) if held and span else (at, at))
            inside.append((begin, begin + part.stop - part.start))
            shift.append(part.start)
            none.append(at)
        layer.close(number - 1)
        unknown += tokenizer.unknown(question) + tokenizer.unknown(text)
        long += len(parts) > 1
        split += bool(example.answers) and not whole
    impossible = any(not example.answers for example in examples)
    where = [np.array(each, np.int64) for each in (ends, inside, shift, none)]
    goal = Answers(where[0], where[1], where[2], where[3], examples.rows, tokenizer.offsets, impossible)
    laid = layer.laid(context, goal)
    counted(laid, ledger, stage, unknown)
    answered = sum(bool(example.answers) for example in examples)
    for what, n in (("questions", len(examples)), ("contexts read in windows", long), ("answers in a window", answered - split),
                    ("answers cut by every window", split), ("without an answer", len(examples) - answered)):  # fmt: skip
        ledger.add(stage, what, n)
    ledger.balance(stage, "questions", "answers in a window", "answers cut by every window", "without an answer")
    if not (goal.ends >= 0).any():
        raise InputError(f"{examples.name}: no answer stands whole in a window of {context:,} tokens: give a larger --context")
    return laid


def tokens_of(example: Question, tokenizer: Tokenizer) -> tuple[int, int] | None:
    """The first and the last token of the first answer; None where the tokenizer has none for it."""
    answer = example.answers[0]
    begin = answer.start + len(answer.text) - len(answer.text.lstrip())
    end = answer.start + len(answer.text.rstrip())
    over = [i for i, (a, b) in enumerate(tokenizer.offsets(example.context)) if a < end and b > begin and example.context[a:b].strip()]
    return (over[0], over[-1]) if over else None


def _scores(model: Model, source: Laid, rows: np.ndarray, pad: int, pack: bool) -> tuple[np.ndarray, list[Tensor]]:
    """(numbers of the windows of some questions, of each the logits (2, L) of start and end; -inf where no answer can be)."""
    which = source.sequences(rows)
    sizes = (source.edges[which + 1] - source.edges[which]).tolist()
    found = []
    for i, logits in zip(which.tolist(), heard(model, source, which, pad, pack=pack).split(sizes), strict=True):
        allowed = torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
        first, stop = source.goal.inside[i]
        allowed[first:stop] = True
        if source.goal.none[i] >= 0:
            allowed[source.goal.none[i]] = True
        found.append(logits.T.masked_fill(~allowed, -torch.inf))
    return which, found


def _loss(scores: list[Tensor], ends: np.ndarray) -> tuple[Tensor, int]:
    """(summed loss of all windows of which something can be said, how many they are)."""
    told = [i for i, place in enumerate(ends[:, 0]) if place >= 0]
    parts = [F.cross_entropy(scores[i], torch.from_numpy(ends[i]).to(scores[i].device), reduction="sum") / 2 for i in told]
    nothing = scores[0][scores[0].isfinite()].sum() * 0  # with a gradient, of 0
    return (torch.stack(parts).sum() if parts else nothing, len(told))


def batch_loss(model: Model, source: Laid, rows: np.ndarray, pad: int, *, pack: bool = False) -> Loss:
    """The summed loss of all windows of some questions (B, 3); 0 of 0 windows where nothing can be said of any."""
    which, scores = _scores(model, source, rows, pad, pack)
    return Loss(*_loss(scores, source.goal.ends[which]))


def outcomes(model: Model, source: Laid, rows: np.ndarray, pad: int, *, pack: bool = False) -> Outcome:
    """Loss and answers in words of some questions (B, 3): the likeliest span of all windows; "" where none is likelier and there may be
    none."""
    which, scores = _scores(model, source, rows, pad, pack)
    total, count = _loss([each.double() for each in scores], source.goal.ends[which])
    by_window = dict(zip(which.tolist(), scores, strict=True))
    found, right = [], []
    for i in rows[:, 2].tolist():
        example = source.goal.examples[i]
        found.append(answer(source, range(source.firsts[i], source.firsts[i + 1]), by_window, example.context))
        right.append([each.text for each in example.answers])
    return Outcome(total.item(), count, found, right)


def answer(source: Laid, numbers: Sequence[int], scores: dict[int, Tensor], context: str) -> str:
    """The likeliest answer in some windows of one context."""
    goal, best, nothing, span = source.goal, 0.0, 1.0, (0, 0)
    for i in numbers:
        start, end = scores[i].detach().double().softmax(-1).cpu().numpy()
        first, stop = (int(x) for x in goal.inside[i])
        if goal.none[i] >= 0:
            nothing = min(nothing, float(start[goal.none[i]] * end[goal.none[i]]))
        reach = min(LONGEST, stop - first)
        ends = np.arange(stop - first)[:, None] + np.arange(reach)
        chances = np.where(ends < stop - first, start[first:stop, None] * end[first:stop][np.minimum(ends, stop - first - 1)], -1.0)
        place = divmod(int(chances.argmax()), reach) if chances.size else (0, 0)
        if chances.size and chances[place] > best:
            best, span = float(chances[place]), (int(goal.shift[i]) + place[0], int(goal.shift[i]) + sum(place))
    told = any(goal.none[i] >= 0 for i in numbers)  # without [CLS] nothing says that there is no answer
    if not best or (goal.impossible and told and nothing > best):
        return ""
    offsets = goal.offsets(context)
    return context[offsets[span[0]][0] : offsets[span[1]][1]].strip()
