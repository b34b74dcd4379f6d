"""SEA: multimodal safety alignment from text safety data alone, through synthetic embeddings (arXiv 2502.12562)."""

__version__ = "0.1.0"
