"""The recipes of `harken reproduce`, in the order that `--all` runs them in, and who makes up data for `--tiny`."""

from .made_up import SAMPLES as SAMPLES

ORDER = (
    *("multi30k_en_de", "multi30k_en_fr", "reverse", "ladder"),
    *("wikitext2", "shakespeare", "shakespeare_cpu", "distance"),
    *("pretraining", "sst2", "poems", "wikiann", "squad", "scitldr", "fairytaleqa", "stsb", "wordsim"),
    *("dialogue", "instruct"),
)
