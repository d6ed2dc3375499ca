"""A tokenizer from the files that its folder has: tokenizer.json, or those that older checkpoints of every family came with.

The ids are those of transformers' AutoTokenizer, but a text is always only text: "</s>" in a text, which the `tokenizers` library takes for
the special token where a unigram model has it among its pieces, stays its characters, as it does for SentencePiece.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tokenizers
from tokenizers import AddedToken, models, processors

from ..base.errors import InputError
from ..base.files import read_json, read_text
from .known import CLASSES, FAMILIES, MODEL_TYPES, NEUTRAL, USUAL, Family, Layout, from_pieces
from .marian import Marian, Side
from .sentencepiece import CONTROL, USER_DEFINED, only_text
from .tiktoken import from_ranks, is_rank_file, pattern_of
from .tokenizer import ROLES
from .vocabulary import byte_level, lowercase_bpe, wordpiece

PIECES = ("spiece.model", "tokenizer.model", "sentencepiece.bpe.model")
MOST_RESERVED = 4096  # ids that may be free in front of an added token

_CONFIG, _ADDED = "tokenizer_config.json", "added_tokens.json"
TEMPLATE = "chat_template.jinja"
_ORDER = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")  # in which transformers gives ids to special tokens that have none
_LOOKED_FOR = (
    f"vocab.txt, vocab.json with merges.txt, a SentencePiece model ({', '.join(PIECES)}), source.spm with target.spm and vocab.json, "
    "or a .tiktoken file"
)


class Found(NamedTuple):
    """Which files to read: `path` has the vocabulary · `family`: as the folder names it, if it does · `rules`: what is known of it."""

    folder: Path
    path: Path
    layout: Layout
    family: str | None
    rules: Family


def read_tokenizer(
    folder: str | os.PathLike[str], *, side: Side | None = None
) -> tuple[tokenizers.Tokenizer | Marian, dict[str, str], dict[str, Any]]:
    """(tokenizer, special tokens by role, every other key of tokenizer_config.json, and the chat template under its name there).

    Looks for tokenizer.json; else for the files of the family that tokenizer_config.json or config.json names; else, in this order, for
    vocab.txt, Marian's source.spm, vocab.json with merges.txt, a SentencePiece model, a tiktoken file.
    `side`: whose language's tokenizer, where a folder has one for each (None: the source's); one for all is the same for both.
    InputError when there is none of these, and when a file is missing or broken: it names the file, and the line or field.
    """
    folder = Path(folder)
    config = _config(folder)
    if (folder / TEMPLATE).is_file():
        config["chat_template"] = read_text(folder / TEMPLATE)
    if (folder / "tokenizer.json").is_file():
        inner = _from_json(folder / "tokenizer.json")
        special = [token.content for token in inner.get_added_tokens_decoder().values() if token.special]
        rules = FAMILIES.get(_family(folder, config) or "")
        known = {role: name for role, name in rules.names.items() if name in special} if rules else {}
        names = _names(config, known)
        if isinstance(inner.model, models.Unigram):
            only_text(inner, special)
    else:
        found = _found(folder, config)
        known = found.rules.names
        names = _names(config, known)
        if found.layout == "marian":
            inner = Marian(folder, side or "source", names, bool(config.get("separate_vocabs")))
        else:
            inner = _build(found, config, names)
        names = {role: name for role, name in names.items() if inner.token_to_id(name) is not None}
    roles = {f"{role}_token": role for role in ROLES}
    # That a role has no token is kept where the family has one, so that what is saved says so too.
    return inner, names, {key: value for key, value in config.items() if key not in roles or (value is None and roles[key] in known)}


# ---- which files


def _config(folder: Path) -> dict[str, Any]:
    """special_tokens_map.json, where transformers 4 kept the special tokens, and tokenizer_config.json, which has the last word."""
    config: dict[str, Any] = {}
    for path in (folder / "special_tokens_map.json", folder / _CONFIG):
        if path.is_file():
            config |= {key: value for key, value in read_json(path).items() if value is not None or key not in config}
    return config


def _family(folder: Path, config: Mapping[str, Any]) -> str | None:
    """The family that the folder names: one of FAMILIES, or a name that is not known; None where it names none."""
    path = folder / "config.json"
    model = read_json(path) if path.is_file() else {}
    named = str(config.get("tokenizer_class") or model.get("tokenizer_class") or "").removesuffix("Fast")
    if named and named not in NEUTRAL:
        name = named.removesuffix("Tokenizer")
        return CLASSES.get(name, name)
    kind = model.get("model_type")
    return MODEL_TYPES.get(kind, kind) if isinstance(kind, str) else None


def _found(folder: Path, config: Mapping[str, Any]) -> Found:
    family = _family(folder, config)
    rules = FAMILIES.get(family or "")
    either = [folder / name for name in (*PIECES, "tiktoken.model") if (folder / name).is_file()]
    ranks = [path for path in either if is_rank_file(path)]
    paths: dict[Layout, list[Path]] = {
        "words": [folder / "vocab.txt"],
        "marian": [folder / "source.spm"],
        "bytes": [folder / "vocab.json"],
        "pieces": [path for path in either if path not in ranks],
        "ranks": [*ranks, *sorted(folder.glob("*.tiktoken"))],
    }
    there: dict[Layout, Path] = {layout: some[0] for layout, some in paths.items() if some and some[0].is_file()}
    if not there:
        raise InputError(
            f"{folder / 'tokenizer.json'} does not exist, nor does {_LOOKED_FOR}: give a folder with a trained tokenizer, or train one"
        )
    layout = next(iter(there))
    if rules and rules.layout in there:
        layout = rules.layout
    elif "ranks" in there and (rules or layout == "ranks"):  # any family of BPE may have them
        layout = "ranks"
    elif family is not None:
        raise InputError(
            f"{folder} names the tokenizer of {family}, and {there[layout].name} cannot be read as that: "
            "open the folder with transformers.AutoTokenizer and save it, which writes a tokenizer.json"
        )
    return Found(folder, there[layout], layout, family, rules or USUAL[layout])


# ---- from the files


def _from_json(path: Path) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_str(path.read_text("utf-8"))
    except Exception as error:  # the library raises the bare class
        raise InputError(f"{path} is not a tokenizer file ({error}): copy it again from where the tokenizer was trained") from error


def _build(found: Found, config: Mapping[str, Any], names: Mapping[str, str]) -> tokenizers.Tokenizer:
    unk = names.get("unk") or found.rules.names.get("unk", "")
    control, defined = [], []
    match found.layout:
        case "words":
            inner = wordpiece(found.path, config, unk)
        case "bytes" if found.family == "OpenAIGPT":
            inner = lowercase_bpe(found.folder, unk)
        case "bytes":
            inner = byte_level(found.folder, config, qwen=found.family == "Qwen2")
        case "ranks":
            inner = from_ranks(found.path, pattern_of(found.path, config, found.family))
        case _:
            inner, model = from_pieces(found.path, found.family, config, names)
            control, defined = model.of(CONTROL), model.of(USER_DEFINED) if model.bpe else []
    _declare(inner, found, config, names)
    inner.add_special_tokens(control)
    inner.add_tokens([AddedToken(piece, normalized=False) for piece in defined])  # found before any piece is made by merges
    inner.post_processor = _template(inner, found, config, names)
    return inner


# ---- special tokens


def _names(config: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, str]:
    """Role to special token: as `config` says, or as it is `known` where `config` does not speak of the role."""
    said = {role: _content(config[f"{role}_token"]) if f"{role}_token" in config else known.get(role) for role in ROLES}
    return {role: name for role, name in said.items() if name is not None}


def _content(value: object) -> str | None:
    content = value.get("content") if isinstance(value, dict) else value
    return content if isinstance(content, str) else None


def _added(value: object, where: str, special: bool) -> AddedToken:
    """An added token as it is written: its text, or an object that also says which white space it takes along."""
    content = _content(value)
    if not content:
        raise InputError(f"{where} is no token ({value!r}): it should be a text, or an object with a content")
    given = value if isinstance(value, dict) else {}
    flags = {name: bool(given.get(name)) for name in ("lstrip", "rstrip", "single_word", "normalized")}
    return AddedToken(content, special=special or bool(given.get("special")), **flags)


def _declare(inner: tokenizers.Tokenizer, found: Found, config: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Tell `inner` the tokens that the files add to the vocabulary, and which tokens are special."""
    path = found.folder / _CONFIG
    more = config.get("additional_special_tokens") or config.get("extra_special_tokens") or []
    if not isinstance(more, list | dict):
        raise InputError(f"{path}: the special tokens are {more!r}, but should be a list")
    more = [_added(value, f"{path}: a special token", True) for value in (more.values() if isinstance(more, dict) else more)]
    free = max(inner.get_vocab().values(), default=-1) + 1
    for id, token in sorted(_numbered(found.folder, config, {*names.values(), *(token.content for token in more)}).items()):
        if inner.token_to_id(token.content) is None and id - free in range(MOST_RESERVED):
            # The library gives every new token the next id, so those that no file names are taken first.
            inner.add_special_tokens([f"<|reserved_token_{number}|>" for number in range(free, id)])
            free = id + 1
        inner.add_tokens([token])
        if inner.token_to_id(token.content) != id:
            raise InputError(
                f"{found.folder} gives the added token {token.content!r} the id {id}, but by {found.path.name} it has "
                f"{inner.token_to_id(token.content)}: copy all files of the tokenizer from the same place"
            )
    said = [role for role in _ORDER if role in names and (f"{role}_token" in config or inner.token_to_id(names[role]) is not None)]
    inner.add_special_tokens([*(_added(config.get(f"{role}_token", names[role]), f"{path}: {role}_token", True) for role in said), *more])


def _numbered(folder: Path, config: Mapping[str, Any], special: set[str]) -> dict[int, AddedToken]:
    """By id: what added_tokens_decoder in tokenizer_config.json says, or added_tokens.json."""
    table, path = config.get("added_tokens_decoder"), folder / _CONFIG
    if not isinstance(table, dict):
        path = folder / _ADDED
        table = {id: token for token, id in read_json(path).items()} if path.is_file() else {}
    tokens = {}
    for id, value in table.items():
        if not str(id).isdecimal():
            raise InputError(f"{path} gives {_content(value)!r} the id {id!r}, which is no whole number: copy the file again")
        tokens[int(id)] = _added(value, f"{path}: the added token {id}", _content(value) in special)
    return tokens


def _template(
    inner: tokenizers.Tokenizer, found: Found, config: Mapping[str, Any], names: Mapping[str, str]
) -> processors.TemplateProcessing:
    single, pair = found.rules.single, found.rules.pair
    if single is None or pair is None:
        bos, eos = config.get("add_bos_token"), config.get("add_eos_token")
        if bos is None:
            bos = found.rules.bos and inner.token_to_id(names.get("bos", "")) is not None
        single = f"{'bos ' * bool(bos)}$A{' eos' * bool(eos)}"
        pair = f"{single}{' bos:1' * bool(bos)} $B:1{' eos:1' * bool(eos)}"
    tokens = {}
    for role in {part.partition(":")[0] for part in pair.split()} & {*ROLES}:
        id = inner.token_to_id(names.get(role, ""))
        if id is None:
            raise InputError(f"{found.path} lacks {names.get(role)!r}, the {role} token, which belongs around every text: copy it again")
        tokens[role] = (names[role], id)
    parts = [[_part(part, tokens) for part in template.split()] for template in (single, pair)]
    try:
        return processors.TemplateProcessing(single=parts[0], pair=parts[1], special_tokens=sorted(set(tokens.values())))
    except ValueError as error:  # a colon in its name
        raise InputError(f"{found.folder / _CONFIG} names a special token that cannot stand around a text ({error}): rename it") from error


def _part(part: str, tokens: Mapping[str, tuple[str, int]]) -> str:
    role, colon, kind = part.partition(":")
    return f"{tokens[role][0]}{colon}{kind}" if role in tokens else part
