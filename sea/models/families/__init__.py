"""One file per model family, named by its `config.model_type`: all that the library knows of the family is there."""

# Families that cannot meet the contract, with the reason that a user is given. Sources: transformers' own code.
REFUSED: dict[str, str] = {
    "chameleon": "an image becomes ids of a codebook, chosen by argmin: no gradient reaches the encoder's output",
    "emu3": "an image becomes ids of a codebook, chosen by argmin: no gradient reaches the encoder's output",
    "florence2": "the language model is an encoder and a decoder: SEA's packed objective needs a decoder alone",
    "fuyu": "it has no modality encoder: patches of the image go through one linear layer into the language model",
    "instructblip": "what follows the encoder reads the question too: one embedding would not serve two questions",
    "mllama": "images enter by cross-attention: no tokens of the prompt stand for them, so there is no slot",
    "paligemma": "the prompt attends to itself in both directions: what precedes a question depends on the question",
    "phi4_multimodal": "pictures and sound need adapters of its own that SEA does not load; pictures need torchvision",
}
