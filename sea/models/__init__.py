"""Models as SEA sees them: encoder M, projector P, language model; how E enters, how prompts are built and answered.

Nothing in this package but the files in `families/` names a model family, and nothing assumes a certain modality.
"""
