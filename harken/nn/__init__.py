"""The parts every model is made of; every hot path of harken is here. Each kernel is chosen in one place: `attend()`, `linear()`, ..."""
