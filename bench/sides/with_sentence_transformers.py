"""sentence-transformers' side: it sorts by length itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from sentence_transformers import SentenceTransformer, models
from worker import Run, serve


def encode(folder: str, dtype: str, threads: int) -> Run:
    """The mean of each text's token vectors."""
    torch.set_num_threads(threads)
    words = models.Transformer(folder, max_seq_length=512, model_args={"dtype": getattr(torch, dtype)})
    model = SentenceTransformer(modules=[words, models.Pooling(words.get_word_embedding_dimension(), "mean")], device="cpu")

    def run(texts: list[str]) -> Mapping[str, Any]:
        found = model.encode(texts, batch_size=16, show_progress_bar=False)
        return {"first": found[0][:4].tolist()}

    return run


if __name__ == "__main__":
    serve({"encode": encode})
