"""Numba's cache on disk looks at a kernel's own file; what it inlines from exact.py must change that file too, or stale code would run."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import harken

KERNELS = Path(harken.__file__).parent / "nn" / "kernels"


@pytest.mark.parametrize("name", ["product.py", "attention.py"])
def test_kernels_name_the_digest_of_what_they_inline(name):
    key = hashlib.blake2b((KERNELS / "exact.py").read_bytes(), digest_size=4).hexdigest()
    assert f"# with exact.py {key}:" in (KERNELS / name).read_text(), f"write the digest {key} of exact.py into {name}"
