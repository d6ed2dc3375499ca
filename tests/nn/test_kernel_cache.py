"""Numba's cache on disk looks at a kernel's own file; what it inlines from exact.py must change that file too, or stale code would run."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import harken

KERNELS = Path(harken.__file__).parent / "nn" / "kernels"


@pytest.mark.parametrize("name", ["product.py", "attention.py", "carry.py", "entropy.py", "leaders.py", "narrow.py", "quantise.py"])
def test_kernels_name_the_digest_of_what_they_inline(name):
    key = hashlib.blake2b((KERNELS / "exact.py").read_bytes(), digest_size=4).hexdigest()
    assert f"# with exact.py {key}:" in (KERNELS / name).read_text(), f"write the digest {key} of exact.py into {name}"


def test_a_kernel_leaves_torch_its_number_of_threads():
    """Numba starts its threads with the first kernel, and shares OpenMP with torch."""
    asked = (
        "import torch; torch.set_num_threads(1)\n"
        "from harken.nn.linear import Linear, linear\n"
        "layer = Linear(512, 512); layer.pack(); linear(torch.ones(8, 512), layer)\n"
        "print(torch.get_num_threads())"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, env={**os.environ, "NUMBA_NUM_THREADS": "2"}
    )
    assert done.stdout.strip() == "1"
