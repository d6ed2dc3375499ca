"""`python -m harken` is `harken`."""

import sys

from .cli import main

sys.exit(main())
