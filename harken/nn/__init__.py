"""The parts every model is made of; every hot path of harken is here. `attend()` and `linear()` choose the kernels."""
