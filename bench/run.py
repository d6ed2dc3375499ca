"""Every benchmark of speed in turn: `make bench`. Figures are medians measured side by side on this machine; quote the ratios.

Options are handed on: --quick, --write (the tables of docs/speed.md), --threads N. Some 40 minutes in all on two cores, once .venv-peers
and .bench are made.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

for script in ("peers", "kernels", "start", "encode", "translate", "decode", "train", "servers"):
    print(f"== {script}", flush=True)
    more = sys.argv[1:] if script not in ("peers", "kernels") else []
    done = subprocess.run([sys.executable, str(Path(__file__).with_name(f"{script}.py")), *more], check=False)
    if done.returncode and script != "peers":
        sys.exit(done.returncode)
