"""The embedded micro model and its synthetic world.

`world.py` (concepts, wordings, pictures, judges: torch-free) is what other packages import; `checkpoint.py` builds and
finds the model; `train.py` trains it from scratch (`python -m sea.micro`); `check.py` measures it.
"""
