"""Marian with a vocabulary for each language: both are read, both fit the model, and what is written has its own."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
import transformers as hf

from harken.base.errors import InputError
from harken.checkpoint.convert import convert
from harken.checkpoint.load import load
from harken.checkpoint.save import save
from harken.commands.eval import evaluate
from harken.commands.info import info
from harken.data.ledger import Ledger
from harken.data.pairs import read_pairs
from harken.nn.mask import Mask
from harken.objectives.seq2seq import batch_loss, tokenised_pairs
from harken.view.inspect import inspect

SOURCE = ["the cat sat on the mat", "a dog ran to the park", "she read the book", "we sing and dance"]
TARGET = ["LE CHAT ETAIT ASSIS", "UN CHIEN COURAIT AU PARC", "ELLE LISAIT LE LIVRE", "NOUS CHANTONS ET DANSONS", "QUE VOUS FAUT-IL"]
FIRST = ["</s>", "<unk>", "<pad>"]


def pieces(lines: list[str], size: int) -> bytes:
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines * 5), model_writer=out, vocab_size=size, minloglevel=2, num_threads=1, hard_vocab_limit=False
    )
    return out.getvalue()


def theirs_of(vocab: int, written: int, shared: bool) -> Any:
    sides = {f"{side}_{what}": n for side in ("encoder", "decoder") for what, n in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 32))}
    ends = {"pad_token_id": 2, "eos_token_id": 0, "decoder_start_token_id": 2, "forced_eos_token_id": 0}
    config = hf.MarianConfig(
        **{"vocab_size": vocab, "decoder_vocab_size": written, "share_encoder_decoder_embeddings": shared, "d_model": 16},
        **{"max_position_embeddings": 40, "activation_function": "swish", "scale_embedding": True},
        **sides,
        **ends,
    )
    torch.manual_seed(0)
    model = hf.MarianMTModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter) * parameter.requires_grad
        model.final_logits_bias += torch.randn_like(model.final_logits_bias)
    return model


@pytest.fixture(scope="module", params=[False, True], ids=["two vocabularies", "one vocabulary"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What transformers wrote: a model and its tokenizer."""
    shared, made = request.param, tmp_path_factory.mktemp("marian")
    files = {"source.spm": pieces(SOURCE, 40), "target.spm": pieces(TARGET, 60)}
    known = []
    for name, data in files.items():
        (made / name).write_bytes(data)
        model = sentencepiece.SentencePieceProcessor(model_proto=data)
        known.append([model.IdToPiece(i) for i in range(3, model.GetPieceSize())])
    vocabularies = {"vocab.json": known[0] + known[1] if shared else known[0]} | ({} if shared else {"target_vocab.json": known[1]})
    for name, found in vocabularies.items():
        (made / name).write_text(json.dumps({token: i for i, token in enumerate(dict.fromkeys([*FIRST, *found]))}))
    paths = [str(made / name) for name in ("source.spm", "target.spm", "vocab.json")]
    more = {} if shared else {"target_vocab_file": str(made / "target_vocab.json"), "separate_vocabs": True}
    peer = hf.MarianTokenizer(*paths, source_lang="en", target_lang="fr", **more)
    folder = tmp_path_factory.mktemp("theirs")
    peer.save_pretrained(folder)
    sizes = [len(json.loads((made / name).read_text())) for name in vocabularies]
    assert shared or sizes[0] < sizes[1], "the target has more tokens than the source has rows"
    theirs_of(sizes[0], sizes[-1], shared).save_pretrained(folder)
    return folder


def test_ids_and_answers_are_those_of_transformers(folder: Path, tmp_path: Path) -> None:
    model, tokenizer = load(folder)
    peer, theirs = hf.MarianTokenizer.from_pretrained(folder), hf.MarianMTModel.from_pretrained(folder).eval()
    assert tokenizer.target is not tokenizer and tokenizer.target.target is tokenizer.target
    save(model, tokenizer, tmp_path)
    written = hf.MarianTokenizer.from_pretrained(tmp_path)
    for own in (tokenizer, load(tmp_path)[1]):
        for text in (*SOURCE, *TARGET, "a Cat, LE chat"):
            assert own.encode(text) == peer(text).input_ids == written(text).input_ids
            ids = own.target.encode(text)
            assert ids == peer(text_target=text).input_ids == written(text_target=text).input_ids
            assert own.target.decode(ids) == peer.decode(ids, skip_special_tokens=True)
    source = torch.tensor([tokenizer.encode(SOURCE[0])])
    target = torch.tensor([[2, *tokenizer.target.encode(TARGET[1])]])
    again = load(tmp_path)[0]
    back = hf.MarianMTModel.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        want = theirs(source, decoder_input_ids=target).logits
        assert want.shape[-1] == model.config.writes  # pyright: ignore[reportAttributeAccessIssue]
        torch.testing.assert_close(model(source, target), want, rtol=1e-5, atol=1e-5)
        assert torch.equal(again(source, target), model(source, target))
        assert torch.equal(back(source, decoder_input_ids=target).logits, want)
        cache = model.begin(1, 40, source)
        torch.testing.assert_close(torch.cat([model(part, cache=cache) for part in target.split(1, 1)], 1), want, rtol=1e-5, atol=1e-5)


def test_pairs_are_read_with_the_tokenizer_of_their_side(folder: Path, tmp_path: Path) -> None:
    model, tokenizer = load(folder)
    (tmp_path / "a.tsv").write_text("source\ttarget\n" + "".join(f"{a}\t{b}\n" for a, b in zip(SOURCE, TARGET, strict=False)))
    ledger = Ledger()
    found = tokenised_pairs(read_pairs(tmp_path / "a.tsv"), tokenizer, ledger).after(2)
    sources, lengths, inputs, targets = found.take(found.spans, 36)
    peer, theirs = hf.MarianTokenizer.from_pretrained(folder), hf.MarianMTModel.from_pretrained(folder).eval()
    given = peer(SOURCE, text_target=TARGET[: len(SOURCE)], padding=True, return_tensors="pt")
    assert (targets == given.labels.masked_fill(given.labels == 2, -100).numpy()).all() and inputs.max() < model.config.writes
    assert [row[:n].tolist() for row, n in zip(sources, lengths, strict=True)] == peer(SOURCE).input_ids
    assert ledger.get("tokens", "unknown") == ledger.get("source tokens", "unknown") == 0
    with torch.no_grad():
        want = theirs(input_ids=given.input_ids, attention_mask=given.attention_mask, labels=torch.from_numpy(targets)).loss
        loss = batch_loss(model, found, found.spans, 2)
        assert float(loss.total) / loss.tokens == pytest.approx(float(want), rel=1e-5)
    measured = evaluate(str(folder), str(tmp_path / "a.tsv"))
    assert measured.loss == pytest.approx(float(want), rel=1e-5)


def test_it_is_looked_at_converted_and_counted(folder: Path, tmp_path: Path) -> None:
    model, tokenizer = load(folder)
    found = inspect(model, tokenizer, SOURCE[0], target=TARGET[0], top=3)
    assert found.tokens.ids.tolist() == [2, *tokenizer.target.encode(TARGET[0])] and found.source is not None
    assert found.source.ids.tolist() == tokenizer.encode(SOURCE[0])
    assert {found.names[i] for i in found.top_ids[1:].flatten()} <= {tokenizer.target.token(i) for i in range(tokenizer.target.vocab_size)}
    record = convert(folder, tmp_path / "out")
    assert record["proof"]["texts"] == 5 and record["parameters"] == sum(p.numel() for p in model.parameters())
    for path in (folder, tmp_path / "out"):
        assert info(str(path))["parameters"] == record["parameters"]
    hf.MarianMTModel.from_pretrained(folder).save_pretrained(tmp_path / "in")
    weights = hf.MarianMTModel.from_pretrained(folder).state_dict()
    (tmp_path / "in" / "model.safetensors").unlink()
    torch.save(weights, tmp_path / "in" / "pytorch_model.bin")  # tied tensors twice
    assert info(str(tmp_path / "in"))["parameters"] == record["parameters"]


def test_a_vocabulary_larger_than_its_rows_is_refused(folder: Path, tmp_path: Path) -> None:
    model, tokenizer = load(folder)
    save(model, tokenizer, tmp_path)
    name = "target_vocab.json" if (folder / "target_vocab.json").exists() else "vocab.json"
    tokens = json.loads((tmp_path / name).read_text())
    (tmp_path / name).write_text(json.dumps(tokens | {"one more": len(tokens)}))
    side = "tokenizer of targets" if name.startswith("target") else "tokenizer"
    with pytest.raises(InputError, match=f"the {side} has {len(tokens) + 1} tokens, the model only {len(tokens)} rows"):
        load(tmp_path)


def test_a_target_may_be_padded_by_anything(folder: Path) -> None:
    """A pad id of the source's vocabulary may be none of the target's."""
    model, _ = load(folder)
    source, target = torch.tensor([[5, 6, 0], [7, 0, 2]]), torch.tensor([[2, 5, 6], [2, 9, 2]])
    both = model(source, target, Mask(lengths=torch.tensor([3, 2])))
    torch.testing.assert_close(both[1, :2], model(source[1:, :2], target[1:, :2])[0], rtol=1e-5, atol=1e-5)
