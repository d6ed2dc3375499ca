"""The baselines do what they say on texts small enough to check by hand, and naive Bayes is scikit-learn's."""

from math import hypot, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB

from harken.base.errors import InputError
from harken.measure.baselines.bayes import naive_bayes
from harken.measure.baselines.constant import majority, mean
from harken.measure.baselines.copying import copied, lead
from harken.measure.baselines.reading import best_name, best_sentence
from harken.measure.baselines.similarity import Shelf, tf_idf
from harken.measure.baselines.tags import tag_per_word
from harken.measure.baselines.words import grams, words
from harken.measure.sentences import sentences

text = st.lists(st.sampled_from(["good", "bad", "film", "Not", "so", "!"]), min_size=1, max_size=6).map(" ".join)


@given(train=st.lists(st.tuples(text, st.sampled_from("pno")), min_size=2, max_size=12), held=st.lists(text, min_size=1, max_size=4))
def test_naive_bayes(train, held):
    found = naive_bayes(*zip(*train, strict=True))
    counts = CountVectorizer(analyzer=lambda each: list(grams(each)))
    theirs = MultinomialNB(alpha=1).fit(counts.fit_transform([each for each, _ in train]), [label for _, label in train])
    expected = theirs.predict_joint_log_proba(counts.transform(held))
    order = [found.labels.index(label) for label in theirs.classes_]
    np.testing.assert_allclose([found.scores(each)[order] for each in held], expected, rtol=1e-9)
    assert found.predict(held) == [found.labels[int(found.scores(each).argmax())] for each in held]


def test_naive_bayes_on_real_reviews(data_folder):
    """The sentences of SST-2, of which naive Bayes over words and pairs is known to get about 82.8 % right."""
    sides = {}
    for side in ("train", "test"):
        lines = [line.rsplit("\t", 1) for line in (data_folder("sst2") / f"{side}.tsv").read_text("utf-8").splitlines()]
        sides[side] = [line[0] for line in lines], [line[1] for line in lines]
    predicted = naive_bayes(*sides["train"]).predict(sides["test"][0])
    assert 0.82 < np.mean([a == b for a, b in zip(predicted, sides["test"][1], strict=True)]) < 0.84


def test_words():
    assert words("It's a well-made film, don’t  miss: 3.5!") == [
        "it's",
        "a",
        "well-made",
        "film",
        ",",
        "don’t",
        "miss",
        ":",
        "3",
        ".",
        "5",
        "!",
    ]
    assert list(grams("So good!")) == ["so", "good", "!", "so good", "good !"]


def test_constants():
    found = majority(["b", "a", "a", "b", "c"])
    assert (found.answer, found.share, found.predict("xyz")) == ("b", 0.4, ["b", "b", "b"])
    assert mean([1, 2, 6]).predict([0]) == [3]
    for make in (majority, mean):
        with pytest.raises(InputError, match="at least one"):
            make([])
    with pytest.raises(InputError, match="at least one"):
        naive_bayes([], [])
    with pytest.raises(InputError, match="there are 1 labels but more texts"):
        naive_bayes(["a", "b"], ["x"])


def test_copies():
    assert copied(iter(["a", "b"])) == ["a", "b"]
    news = 'Mr. Smith\nwent  to Washington. "He was late!" It rained. Nobody saw him.'
    assert lead([news, ""]) == ['Mr. Smith went to Washington.\n"He was late!"\nIt rained.', ""]
    assert lead([news], 1) == ["Mr. Smith went to Washington."]


@pytest.mark.parametrize(
    ("whole", "expected"),
    [
        ("One. Two? Three!", ["One.", "Two?", "Three!"]),
        ("He said no. Dr. No, e.g. Bond. It cost 3.50 dollars.", ["He said no.", "Dr. No, e.g. Bond.", "It cost 3.50 dollars."]),
        ("J. R. R. Tolkien wrote. He (the man.) slept.", ["J. R. R. Tolkien wrote.", "He (the man.) slept."]),
        ("A title\n\nThe text. etc. and so on", ["A title", "The text. etc. and so on"]),
        ("日本語です。二つ目！三つ目", ["日本語です。", "二つ目！", "三つ目"]),
        ("Она спит. Он ест.", ["Она спит.", "Он ест."]),
        (" \n ", []),
    ],
)
def test_sentences(whole, expected):
    assert sentences(whole) == expected


@given(whole=st.text(st.sampled_from("Aa. !?\n。\"')("), max_size=40))
def test_sentences_lose_nothing(whole):
    assert "".join("".join(sentences(whole)).split()) == "".join(whole.split())


def test_tags():
    found = tag_per_word([["Paris", "is", "Paris"], ["Paris", "is"]], [["B", "O", "B"], ["O", "O"]])
    assert found.predict([["Paris", "is", "Rome"], []]) == [["B", "O", "O"], []]
    with pytest.raises(InputError, match="sentence 1: 2 words stand against 1 tags"):
        tag_per_word([["a", "b"]], [["O"]])
    with pytest.raises(InputError, match="at least one"):
        tag_per_word([[]], [[]])


CONTEXT = "The tower stands in Paris. It was built by Gustave Eiffel in 1889. Many people visit it."


def test_answers():
    sentence = best_sentence("Who built the tower?", "It was built by Eiffel, the tower. It is tall.")
    assert (sentence.text, sentence.start) == ("It was built by Eiffel, the tower.", 0)
    found = best_name("By whom was it built?", CONTEXT)
    assert found.text == "Gustave Eiffel" == CONTEXT[found.start : found.end]
    assert best_name("When was it built by Gustave Eiffel?", CONTEXT).text == "1889"
    assert best_name("In which city does the tower stand?", "it stands in the old city! Nobody knows.").text == "it stands in the old city!"
    assert best_name("Who?", "") == best_sentence("Who?", "") and best_name("Who?", "").text == ""


@given(question=text, context=text)
def test_answers_stand_where_they_say(question, context):
    for found in (best_name(question, context), best_sentence(question, context)):
        assert context[found.start : found.end] == found.text != ""


DOCUMENTS = ["the cat sleeps", "the dog sleeps", "a storm in the north"]


def test_tf_idf():
    found = tf_idf(DOCUMENTS)
    cat, the = log(4) * (1 + log(2)), log(4 / 2)  # twice, in 1 of 3 texts; once, in 2 of 3
    weights = tf_idf(["the cat", "the dog", "a storm"]).vector("cat the cat")
    assert weights == pytest.approx({"cat": cat / hypot(cat, the), "the": the / hypot(cat, the)})
    assert found.similarity("the cat", "the cat") == pytest.approx(1)
    assert found.similarity("cat", "dog") == 0 == found.similarity("", "dog")
    assert found.similarity("the cat", "cat") > found.similarity("the cat", "the")  # a rare word says more
    np.testing.assert_allclose(Shelf(found, DOCUMENTS).scores("a cat sleeps"), found.scores("a cat sleeps", DOCUMENTS))
    assert int(np.argmax(found.scores("who sleeps? the dog", DOCUMENTS))) == 1
    with pytest.raises(InputError, match="at least one"):
        tf_idf([])


@given(query=text, documents=st.lists(text, min_size=1, max_size=5))
def test_a_shelf_scores_as_pairs_do(query, documents):
    found = tf_idf(documents)
    np.testing.assert_allclose(Shelf(found, documents).scores(query), [found.similarity(query, each) for each in documents], atol=1e-12)
