"""SST-2 from scratch: an RNN, an LSTM (the last state to a classifier) and a Transformer, each for the same time, beside naive Bayes.

`python bench/sst2.py FOLDER --minutes 10` takes train.tsv, dev.tsv and test.tsv (text, tab, 0 or 1; 6,920, 872 and 1,821 sentences of
the Stanford Sentiment Treebank, https://aclanthology.org/D13-1170), chooses the best model by dev and shows test. Known: naive Bayes 82.8,
CNN-rand 82.7 (https://arxiv.org/abs/1408.5882), BERT-base about 93.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import harken
from harken.fit.compare import table


def main() -> None:
    """One table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0, help="for each model")
    parser.add_argument("--models", default="rnn,lstm,bert")
    parser.add_argument("--dropout", type=float, default=0.3)
    parser.add_argument("--out", default="runs/sst2")
    asked = parser.parse_args()
    rungs = harken.compare(
        str(asked.folder / "train.tsv"),
        valid=str(asked.folder / "dev.tsv"),
        test=str(asked.folder / "test.tsv"),
        columns="text=1,label=2",
        task="classification",
        models=asked.models,
        minutes=asked.minutes,
        dropout=asked.dropout,
        out=asked.out,
    )
    print(table(rungs))


if __name__ == "__main__":
    main()
