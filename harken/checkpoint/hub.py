"""A Hub id -> the folder of its snapshot in Hugging Face's own cache: only the files that are needed, weights in one format only.

What the environment says (HF_HUB_OFFLINE, HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN) is read when it is needed.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..base.errors import HarkenError, InputError, RunError
from ..base.report import say
from .files import ADAPTER, INDEX, PICKLED, UPDATES, WEIGHTS, Header, existing

ID = re.compile(r"(?=.{1,96}$)(?!.*(--|\.\.))\w[\w.-]*(/\w[\w.-]*)?(?<![.-])", re.ASCII)
SMALL = (".json", ".jinja", ".txt", ".model", ".spm", ".md")
LICENCES = ("LICENSE", "LICENCE", "NOTICE", "COPYING", "USE_POLICY")


def located(source: str | os.PathLike[str], *, revision: str | None = None, token: str | None = None, weights: bool = True) -> Path:
    """The folder itself, or that of a Hub id's snapshot ("org/name", or a bare name where no such folder is); downloads what is not there.

    `revision`: branch, tag or commit (default: main) · `token`: for private and gated models (default: HF_TOKEN, or the one you logged in
    with) · `weights` False: all but the weights. InputError and RunError say what is in the way and how to mend it.
    """
    path = Path(source)
    if path.exists() or not isinstance(source, str) or not ID.fullmatch(source):
        if revision is not None and path.exists():
            raise InputError(f"revision {revision!r} is for a model on the Hub, and {path} is a folder: leave it out")
        return path
    return _snapshot(source, revision, token, weights)


POOLING = "1_Pooling/config.json"
"""How a model of sentence-transformers makes one vector of a text: the one file in a folder that counts."""


def wanted(names: Iterable[str], *, weights: bool = True) -> list[str]:
    """Of a repository's files those a model or an adapter is made of: configs, tokenizer, licence, and its weights once, safetensors if
    there are any."""
    names = [name for name in names if "/" not in name or name == POOLING]
    small = [n for n in names if n.endswith(SMALL) or n.upper().startswith(LICENCES)]
    for file, shard in ((WEIGHTS, r"model-\d+-of-\d+\.safetensors"), (PICKLED, r"pytorch_model-\d+-of-\d+\.bin")):
        if file in names:
            found = [file]
        elif f"{file}{INDEX}" in names:
            found = [name for name in names if re.fullmatch(shard, name)]
        else:
            continue
        return [*small, *found] if weights else small
    adapter = [name for name in UPDATES if name in names and ADAPTER in names][:1]
    return [*small, *adapter] if weights else small


def headers(source: str, *, revision: str | None = None, token: str | None = None) -> tuple[list[Header], int]:
    """What the safetensors files of a Hub id say of their tensors, and their bytes, without downloading them."""
    api = _api(token)
    try:
        found = api.get_safetensors_metadata(source, revision=revision)
    except Exception as error:
        raise _refusal(error, source, revision) from None
    tensors = {name: part for file in found.files_metadata.values() for name, part in file.tensors.items()}
    size = sum(part.data_offsets[1] - part.data_offsets[0] for part in tensors.values())
    return [Header(name, tuple(part.shape), part.dtype) for name, part in tensors.items()], size


def _snapshot(repo: str, revision: str | None, token: str | None, weights: bool) -> Path:
    from huggingface_hub import snapshot_download

    common: Any = {"revision": revision, "cache_dir": _cache(), "token": token, "endpoint": os.environ.get("HF_ENDPOINT") or None}
    trouble: Exception | None = None
    if not _offline():
        try:
            files = _api(token).model_info(repo, revision=revision).siblings or []  # asks once; the listing of the tree tries for a minute
            names = wanted([each.rfilename for each in files], weights=weights)
            return Path(snapshot_download(repo, allow_patterns=[glob.escape(name) for name in names], **common))
        except Exception as error:
            trouble = error
            said = _refusal(error, repo, revision)
            if isinstance(said, InputError):
                raise said from None
    try:
        folder = Path(snapshot_download(repo, allow_patterns=["config.json"], local_files_only=True, **common))
    except Exception:
        if trouble is not None:
            raise _refusal(trouble, repo, revision) from None
        at = f" at revision {revision}" if revision else ""
        raise InputError(
            f"{_no_folder(repo)}, and {_cache()} holds no model {repo}{at}; HF_HUB_OFFLINE is set: unset it once to download the model"
        ) from None
    if trouble is not None:
        say(f"the Hub cannot be reached ({type(trouble).__name__}); {repo} is read from the cache as it was last seen, {folder.name[:12]}")
    return folder


def _refusal(error: Exception, repo: str, revision: str | None) -> HarkenError:
    """What the Hub, or the way to it, says against a download: one sentence, with the mend. A token is never repeated."""
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        return InputError(
            f"{repo} is gated: accept its terms at https://huggingface.co/{repo}, then give your token (token=…, or HF_TOKEN)"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return InputError(f"{repo} has no revision {revision!r}: name one of its branches, tags or commits")
    if isinstance(error, errors.RepositoryNotFoundError):
        return InputError(
            f"{_no_folder(repo)}, and the Hub has no model {repo} that you may read: a private one needs token=…, or HF_TOKEN"
        )
    if isinstance(error, errors.HFValidationError):
        return InputError(f"{_no_folder(repo)}, and {repo!r} is no Hub id either (those read org/name)")
    if type(error).__name__ == "NotASafetensorsRepoError":
        return InputError(f"{repo} has no safetensors: its size is known only once it is downloaded, with harken.load({repo!r})")
    if status in (401, 403):
        return InputError(f"the Hub refuses the token for {repo} (HTTP {status}): give a valid one (token=…, or HF_TOKEN), or none at all")
    if status is not None:
        return RunError(f"the Hub answers HTTP {status} for {repo}: try again later")
    return RunError(
        f"{_no_folder(repo)}, and the Hub cannot be reached to look for {repo} ({type(error).__name__}): "
        "check the connection, or name a folder"
    )


def _no_folder(repo: str) -> str:
    """The sentence of a folder that does not exist, with what was perhaps meant."""
    try:
        existing(Path(repo))
    except InputError as error:
        return str(error)
    return f"{repo} is a folder"


def _api(token: str | None) -> Any:
    from huggingface_hub import HfApi

    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=token, library_name="harken")


def _offline() -> bool:
    asked = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return asked.upper() in ("1", "ON", "YES", "TRUE")


def _cache() -> str:
    """Hugging Face's cache, by its own rules."""
    env = os.environ
    home = env.get("HF_HOME") or os.path.join(env.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    cache = env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub")
    return os.path.expandvars(os.path.expanduser(cache))
