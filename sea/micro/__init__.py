"""The embedded micro models and their synthetic world.

`world.py` (concepts, wordings, scenes, judges: torch-free) is what other packages import; `modality.py` and
`checkpoint.py` build the models; `train.py` trains one from scratch (`python -m sea.micro`); `check.py` measures it.
"""
