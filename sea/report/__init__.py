"""Stage 5: what the evaluate runs found, in plain words first, with intervals, figures and provenance.

Reads run folders and measures nothing anew; needs neither torch nor the models. As a command: `python -m sea.report`.
"""
