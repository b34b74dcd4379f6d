"""Prompts as token ids: the chat template's own text, the slot that E fills, the target up to its end-of-turn token.

Ids are built from text alone (that of the slot is stored beside E), so no medium is needed once E exists; the contract
test says that they equal what the processor makes of the medium itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sea.console import SeaError, names
from sea.models.spec import Modality


class Chat:
    """Turns questions and answers into ids by a processor's chat template.

    Args:
        processor: the model's processor, with a tokenizer and a chat template.
        stop_ids: the tokens that end the model's turn.
        modality: name of the modality, as chat templates know it.
        spec: how that modality enters the model.
    """

    def __init__(self, processor: Any, stop_ids: Sequence[int], modality: str, spec: Modality) -> None:
        self.processor, self.tokenizer, self.stop_ids = processor, processor.tokenizer, frozenset(stop_ids)
        self.modality, self.placeholder = modality, spec.placeholder(processor)
        self.token = spec.token(processor) if spec.token is not None else self.placeholder
        self._special = {*self.tokenizer.all_special_tokens, self.placeholder, self.token}
        if not getattr(processor, "chat_template", None):
            raise SeaError(
                f"{type(processor).__name__} has no chat template: SEA's prompts are chat turns; give it one"
            )

    @property
    def token_id(self) -> int:
        """Id of the token that a row after P replaces."""
        return int(self.tokenizer.convert_tokens_to_ids(self.token))

    def text(self, question: str, with_medium: bool, answer: str | None = None) -> str:
        """A user turn as the chat template writes it, ready to be answered, or with its answer.

        Raises:
            SeaError: the question or the answer holds a special token, or the template does not write the medium once.
        """
        content: list[dict[str, str]] = [{"type": self.modality}] if with_medium else []
        messages: list[dict[str, Any]] = [{"role": "user", "content": [*content, {"type": "text", "text": question}]}]
        if answer is not None:
            messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
        if special := [token for token in self._special if token in question + (answer or "")]:
            raise SeaError(f"the text holds the special tokens {names(special)}, which would end or break the turn")
        try:
            text = str(
                self.processor.apply_chat_template(messages, add_generation_prompt=answer is None, tokenize=False)
            )
        except Exception as error:  # a template is a program of the checkpoint's author
            raise SeaError(f"the chat template fails on a turn: {type(error).__name__}: {error}") from error
        if (count := text.count(self.placeholder)) != with_medium:
            raise SeaError(
                f"the chat template writes {count} placeholders for {int(with_medium)} media: it must write "
                f"{self.placeholder} once for each part of type {self.modality!r}"
            )
        return text

    def adds_special_tokens(self, text: str) -> bool:
        """Whether the tokenizer is to add BOS: not when the template writes it (as in ProcessorMixin)."""
        bos = self.tokenizer.bos_token
        return not (bos and text.startswith(bos))

    def prompt(self, question: str, slot: str | None) -> list[int]:
        """Ids of a user turn ready to be answered; `slot`: what stands for the medium, when there is one."""
        text = self.text(question, slot is not None)
        if slot is not None:
            text = text.replace(self.placeholder, slot)
        return self._ids(text)

    def answer(self, question: str, answer: str, slot: str | None) -> list[int]:
        """Ids of `answer` as the model would write it after `prompt(question)`, end-of-turn token included.

        Raises:
            SeaError: the template writes an answered turn in another way than it asks for one.
        """
        asked = self.text(question, slot is not None)
        answered = self.text(question, slot is not None, answer)
        if not answered.startswith(asked):
            raise SeaError(
                "the chat template does not continue its own generation prompt, so the target cannot be written as the "
                "model would; give the processor a template whose assistant turn starts as add_generation_prompt does"
            )
        rest = answered[
            len(asked) :
        ].rstrip()  # what a template writes after the end of a turn is not for the model to say
        asked_ids, ids = self._ids(asked), self._ids(asked + rest)
        if ids[: len(asked_ids)] == asked_ids:  # together, as sentencepiece tokenizers mark the space between the two
            ids = ids[len(asked_ids) :]
        else:
            ids = list(self.tokenizer(rest, add_special_tokens=False).input_ids)
        for place, token in enumerate(ids):
            if token in self.stop_ids:
                return ids[: place + 1]
        return [*ids, self.tokenizer.eos_token_id]  # templates such as LLaVA-1.5's leave the end of the turn out

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=self.adds_special_tokens(text)).input_ids)


def split_at_slot(ids: Sequence[int], token_id: int) -> tuple[list[int], list[int]]:
    """The prompt up to the last token of the slot, and what follows it."""
    end = len(ids) - list(reversed(ids)).index(token_id)
    return list(ids[:end]), list(ids[end:])
