"""Every benchmark in turn: `make bench`. Figures are medians measured side by side on this machine; quote the ratios."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

for script in ("kernels.py", "generate.py", "exact.py"):
    print(f"== {script}", flush=True)
    subprocess.run([sys.executable, str(Path(__file__).with_name(script))], check=True)
