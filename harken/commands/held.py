"""How the weights of a model that answers are held: options that several commands have, and the same for all of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..base.options import option

if TYPE_CHECKING:
    from ..nn.models import Model
    from ..text.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class HoldOptions:
    """Of commands that load a model to let it answer."""

    dtype: Literal["float32", "bfloat16", "int8", "int4", "auto"] | None = option(
        None,
        "how weights are held: narrower ones answer faster and are less exact; auto: as narrow as leaves the perplexity within 0.5 % "
        "(default: float32, or as harken quantize wrote them)",
    )
    dtype_text: str | None = option(None, "a text file that --dtype auto measures on (default: what the run learned from)", metavar="FILE")

    def opened(self, source: Any) -> tuple[Model, Tokenizer]:
        """The (model, tokenizer) of a folder or a Hub id, held so and packed; a pair as it is. InputError when that cannot be."""
        from ..checkpoint.load import opened
        from ..nn.packing import warm

        kernels = threading.Thread(target=warm)
        kernels.start()
        try:
            model, tokenizer = opened(source, self.dtype, self.dtype_text)
            model.pack()
        finally:
            kernels.join()
        return model, tokenizer
