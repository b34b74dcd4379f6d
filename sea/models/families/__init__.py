"""One file per model family, named by its `config.model_type`: all that the library knows of the family is there."""
