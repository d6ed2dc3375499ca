"""Dialogues as they are read: equal to the paper's code where that agrees with itself, and what is left out of long ones."""

from itertools import chain

import pytest

from harken.base.errors import InputError
from harken.data.segments import SPEAKERS, Speakers, Turns, fitted, read_turns, segments, speakers_of
from harken.text.train import train_characters

WHO = Speakers(bos=1, eos=2, first=3, second=4)
PERSONA = [[10, 11], [12]]  # "i like playing", "football"
TURNS = [[20], [30, 31], [40, 41, 42], [50]]
REPLY = [60, 61]


def of_paper(persona, history, reply, who):
    """`build_input_from_segments` of TransferTransfo, told again: ids, types, and the target at every place (-100: none)."""
    sequence = [[who.bos, *chain(*persona)], *history, [*reply, who.eos]]
    named = [sequence[0]]
    for i, turn in enumerate(sequence[1:]):
        named.append([who.second if (len(sequence) - i) % 2 else who.first, *turn])
    types = [who.second if i % 2 else who.first for i, part in enumerate(named) for _ in part]
    targets = [-100] * sum(map(len, named[:-1])) + [-100] + named[-1][1:]
    return list(chain(*named)), types, targets


def test_a_worked_example_is_as_in_the_paper():
    found = segments(PERSONA, TURNS[:3], REPLY, WHO)
    #              bos  persona     partner  own        partner        reply      eos
    assert found.ids == [1, 10, 11, 12, 4, 20, 3, 30, 31, 4, 40, 41, 42, 3, 60, 61, 2]
    assert found.types == [3, 3, 3, 3, 4, 4, 3, 3, 3, 4, 4, 4, 4, 3, 3, 3, 3]
    assert found.ids[found.begin :] == [60, 61, 2]
    ids, types, targets = of_paper(PERSONA, TURNS[:3], REPLY, WHO)
    assert (found.ids, found.types) == (ids, types)
    assert targets == [-100] * found.begin + found.ids[found.begin :]


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 4])
def test_types_are_the_speakers_whatever_the_number_of_turns(turns):
    """With an even number of turns the paper's code gives every turn the type of the other speaker; with an odd number it does not."""
    found = segments(PERSONA, TURNS[:turns], REPLY, WHO)
    ids, types, _ = of_paper(PERSONA, TURNS[:turns], REPLY, WHO)
    assert found.ids == ids
    who = WHO.first
    for token, kind in zip(found.ids, found.types, strict=True):
        who = token if token in (WHO.first, WHO.second) else who
        assert kind == who
    if turns % 2:
        assert found.types == types
    else:
        place = 1 + sum(map(len, PERSONA))
        assert found.types[:place] == types[:place]
        assert all(own != theirs for own, theirs in zip(found.types[place:], types[place:], strict=True))


def test_what_is_to_be_written_stands_behind_its_speaker():
    found = segments(PERSONA, TURNS[:1], None, WHO)
    assert found.ids == [1, 10, 11, 12, 4, 20, 3] and found.begin == 7
    assert found.types[-1] == WHO.first
    whole = segments(PERSONA, TURNS[:1], REPLY, WHO, end=False)
    assert whole.ids == [*found.ids, *REPLY] and whole.begin == found.begin
    assert segments([], [], None, WHO).ids == [1, 3]
    assert segments([], [], [], WHO).ids == [1, 3, 2]


def test_the_oldest_turns_are_left_out_first():
    whole = len(segments(PERSONA, TURNS, None, WHO).ids)
    everything = fitted(PERSONA, TURNS, whole)
    assert everything == (PERSONA, TURNS, 0, 0)
    for room in range(2, whole + 1):
        left = fitted(PERSONA, TURNS, room)
        assert left is not None
        assert len(segments(left.persona, left.history, None, WHO).ids) <= room
        assert left.persona == PERSONA[: len(PERSONA) - left.sentences] and left.history == TURNS[left.turns :]
        assert not left.sentences or left.turns >= len(TURNS) - 1  # the persona stays as long as an older turn can go instead
    assert fitted(PERSONA, TURNS, whole - 1) == (PERSONA, TURNS[1:], 1, 0)
    assert fitted(PERSONA, TURNS, 6) == (PERSONA[:1], TURNS[3:], 3, 1)
    assert fitted(PERSONA, TURNS, 4) == ([], TURNS[3:], 3, 2)
    assert fitted(PERSONA, TURNS, 2) == ([], [], 4, 2)
    assert fitted(PERSONA, TURNS, 1) is None


def test_turns_of_text():
    plain = train_characters(["abc "])
    assert speakers_of(plain) is None
    with pytest.raises(InputError, match="has no <speaker1> and <speaker2>: take a model that learned with harken train --task dialogue"):
        read_turns(plain, Turns((), ("a",)))
    words = plain.extended(SPEAKERS)
    who = speakers_of(words)
    assert who is not None and (who.first, who.second) == (plain.vocab_size, plain.vocab_size + 1)
    read, left = read_turns(words, Turns(("ab",), ("c", "a", "b")))
    a, b, c = (words.encode(text, special=False)[0] for text in "abc")
    assert read.ids == [words.bos_id, a, b, who.second, c, who.first, a, who.second, b, who.first]
    assert (left.turns, left.sentences) == (0, 0)
    assert read_turns(words, Turns(("ab",), ("c", "a", "b")), room=6)[1][2:] == (2, 0)
    assert "<speaker1>" not in words.decode(read.ids)
    assert who.first not in words.encode("<speaker1>", special=False)  # text is only text
    with pytest.raises(InputError, match="turn 2 of the dialogue is empty"):
        read_turns(words, Turns((), ("a", " ")))
    with pytest.raises(InputError, match="no room for a reply in 1 tokens"):
        read_turns(words, Turns((), ("a",)), room=1)
