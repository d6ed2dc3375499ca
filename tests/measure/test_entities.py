"""Entities are seqeval's, as it reads tags by default and strictly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval import metrics as seqeval
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOB2, IOBES

from harken.base.errors import InputError
from harken.measure.metrics.entities import EntityF1, entities
from harken.measure.metrics.metric import Tally


def tagged(letters):
    tags = st.sampled_from(["O", *(f"{letter}-{kind}" for letter in letters for kind in ("PER", "LOC"))])
    return st.lists(st.lists(st.tuples(tags, tags), min_size=1, max_size=8), min_size=1, max_size=5)


def split(sentences):
    return [[[pair[side] for pair in sentence] for sentence in sentences] for side in (0, 1)]


@pytest.mark.parametrize("letters", ["BI", "BIES", "I"])
@given(data=st.data())
def test_by_default(letters, data):
    predicted, right = split(data.draw(tagged(letters)))
    for tags in right:
        assert list(entities(tags)) == [(first, last + 1, kind) for kind, first, last in get_entities(tags)]
    tally = Tally(EntityF1(types=("PER", "LOC")))
    tally.update(predicted, right)
    found = tally.value()
    for name in ("precision", "recall", "f1"):
        assert found[name] == pytest.approx(getattr(seqeval, f"{name}_score")(right, predicted, zero_division=0))
    assert found["accuracy"] == pytest.approx(seqeval.accuracy_score(right, predicted))
    if any(map(get_entities, [*predicted, *right])):
        assert found["f1_macro"] == pytest.approx(seqeval.f1_score(right, predicted, average="macro", zero_division=0))
        for kind, of_kind in seqeval.classification_report(right, predicted, output_dict=True, zero_division=0).items():
            if kind in ("PER", "LOC"):
                assert found[f"f1_{kind}"] == pytest.approx(of_kind["f1-score"])


@pytest.mark.parametrize(("scheme", "letters", "theirs"), [("BIO", "BI", IOB2), ("BIOES", "BIES", IOBES), ("BIOES", "BILU", BILOU)])
@given(data=st.data())
def test_strictly(scheme, letters, theirs, data):
    predicted, right = split(data.draw(tagged(letters)))
    tally = Tally(EntityF1(scheme=scheme))
    tally.update(predicted, right)
    if any(list(entities(tags, scheme)) for tags in [*predicted, *right]):  # of no entity at all seqeval makes no number here
        for name in ("precision", "recall", "f1"):
            expected = getattr(seqeval, f"{name}_score")(right, predicted, mode="strict", scheme=theirs, zero_division=0)
            assert tally.value()[name] == pytest.approx(expected)
    else:
        assert tally.value()["f1"] == 0


@given(sentences=tagged("BI"))
def test_iob1_needs_no_mode_of_its_own(sentences):
    """Tags written by the rule of IOB1 (B only between neighbours of one type) give back the same entities."""
    for tags in split(sentences)[0]:
        before, written = (0, 0, ""), ["O"] * len(tags)
        for first, end, kind in entities(tags):
            letter = "B" if (before[1], before[2]) == (first, kind) else "I"
            written[first:end] = [f"{letter}-{kind}", *[f"I-{kind}"] * (end - first - 1)]
            before = first, end, kind
        assert list(entities(written)) == list(entities(tags))


def test_how_tags_are_read():
    assert list(entities(["I-PER", "I-LOC", "B-LOC", "O", "B"])) == [(0, 1, "PER"), (1, 2, "LOC"), (2, 3, "LOC"), (4, 5, "_")]
    assert list(entities(["I-PER", "B-LOC", "I-LOC", "I-PER"], "BIO")) == [(1, 3, "LOC")]
    assert list(entities(["B-PER", "O", "B-PER", "E-PER", "S-LOC"], "BIOES")) == [(2, 4, "PER"), (4, 5, "LOC")]
    assert EntityF1().signature([]) == "entities|mode:conlleval" and EntityF1(scheme="BIO").signature([]) == "entities|mode:strict BIO"


def test_wrong_tags():
    tally = Tally(EntityF1(types=("PER",), scheme="BIO"))
    tally.update([["B-PER"]], [["B-PER"]])
    for predicted, right, why in (
        (["O"], ["O", "O"], "example 2: 1 predicted tags stand against 2"),
        (["S-PER"], ["O"], "example 2: the tag 'S-PER' is not one of BIO"),
        (["PER"], ["O"], "the tag 'PER'"),
        (["B-LOC"], ["O"], "type 'LOC' is none of the types"),
    ):
        with pytest.raises(InputError, match=why):
            tally.update([predicted], [right])
    with pytest.raises(InputError, match=r"'IOB' is unknown \(did you mean 'BIO'"):
        EntityF1(scheme="IOB")
