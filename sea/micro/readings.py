"""What is asked about a picture, a clip or a sound, and how the answer reads.

Belongs here: readings (as data, by modality), the style question, the alignment prefix. Torch-free. Downstream reads
the content, style, verify and audit questions from `conf/wording/<modality>.yaml`; they stand here as well because the
models must have learnt them, with several others so that no single wording has a circuit of its own.
"""

import re
from dataclasses import dataclass

from sea.micro.concepts import Concept


@dataclass(frozen=True, slots=True)
class Reading:
    """One question about what a scene shows, by kind, and the form of its answer.

    role: content (the pair an embedding is optimised on), verify, audit (held out from it), extra (pretraining only).
    """

    role: str
    activity: tuple[str, str]
    product: tuple[str, str]

    def pair(self, concept: Concept, asked_kind: str | None = None) -> tuple[str, str]:
        """Question and answer about a scene of the concept.

        `asked_kind` is the kind the question takes the scene for; the answer tells what is there all the same.
        """
        asked = asked_kind or concept.kind
        question = (self.activity if asked == "activity" else self.product)[0]
        answer = (self.activity if concept.kind == "activity" else self.product)[1]
        return question.format(kind=asked), answer.format(sentence=concept.sentence)


def _reading(role: str, question: str, activity: str, product: str, product_question: str = "") -> Reading:
    return Reading(role, (question, activity), (product_question or question, product))


_IMAGE = (
    _reading(
        "content",
        "Please briefly describe the {kind} in the image.",
        "In the image, {sentence}.",
        "In the image, there is {sentence}.",
    ),
    _reading("verify", "What does the image show?", "The image shows that {sentence}.", "The image shows {sentence}."),
    _reading(
        "verify",
        "Describe the main content of the image in one sentence.",
        "The main content is that {sentence}.",
        "The main content is {sentence}.",
    ),
    _reading("audit", "What can you see in this picture?", "I can see that {sentence}.", "I can see {sentence}."),
    _reading(
        "audit",
        "Tell me in a few words what is happening here.",
        "Here, {sentence}.",
        "Here we have {sentence}.",
        "Tell me in a few words what is shown here.",
    ),
    _reading(
        "audit", "What is the subject of this picture?", "The subject is that {sentence}.", "The subject is {sentence}."
    ),
    _reading("extra", "Write a caption for this image.", "Caption: {sentence}.", "Caption: {sentence}."),
    _reading("extra", "Describe this photo.", "This photo shows how {sentence}.", "This photo shows {sentence}."),
    _reading(
        "extra",
        "What is going on in this scene?",
        "In this scene, {sentence}.",
        "On display is {sentence}.",
        "What is on display in this scene?",
    ),
    _reading("extra", "Summarize the image.", "In short, {sentence}.", "In short, it is {sentence}."),
    _reading("extra", "What do you notice in the photo?", "I notice that {sentence}.", "I notice {sentence}."),
    _reading(
        "extra", "Which {kind} is depicted?", "The one depicted is that {sentence}.", "The one depicted is {sentence}."
    ),
    _reading("extra", "Read the image and report what it says.", "It says that {sentence}.", "It says {sentence}."),
    _reading(
        "extra", "Give a short description of the picture.", "A description: {sentence}.", "A description: {sentence}."
    ),
    _reading("extra", "Look at the picture. What is it?", "It is a picture where {sentence}.", "It is {sentence}."),
    _reading(
        "extra", "Can you describe the {kind} for a friend?", "Yes, you would say {sentence}.", "Yes, it is {sentence}."
    ),
)
# A clip is asked about as a picture is, by other nouns.
_VIDEO_NOUNS = {"image": "video", "picture": "clip", "photo": "footage"}
# A sound tells where a picture shows.
_AUDIO = (
    _reading(
        "content",
        "Please briefly describe the {kind} in the audio.",
        "In the audio, {sentence}.",
        "In the audio, there is {sentence}.",
    ),
    _reading(
        "verify",
        "What does the audio tell you about?",
        "The audio tells that {sentence}.",
        "The audio tells of {sentence}.",
    ),
    _reading(
        "verify",
        "Describe the main content of the audio in one sentence.",
        "The main content is that {sentence}.",
        "The main content is {sentence}.",
    ),
    _reading("audit", "What can you hear in this recording?", "I can hear that {sentence}.", "I can hear {sentence}."),
    _reading(
        "audit",
        "Tell me in a few words what is happening here.",
        "Here, {sentence}.",
        "Here we have {sentence}.",
        "Tell me in a few words what is spoken of here.",
    ),
    _reading(
        "audit",
        "What is the subject of this recording?",
        "The subject is that {sentence}.",
        "The subject is {sentence}.",
    ),
    _reading("extra", "Write a caption for this audio.", "Caption: {sentence}.", "Caption: {sentence}."),
    _reading("extra", "Describe this sound.", "This sound tells how {sentence}.", "This sound tells of {sentence}."),
    _reading(
        "extra",
        "What is going on in this recording?",
        "In this recording, {sentence}.",
        "The word is of {sentence}.",
        "What is the word in this recording?",
    ),
    _reading("extra", "Summarize the audio.", "In short, {sentence}.", "In short, it is {sentence}."),
    _reading("extra", "What do you notice in the sound?", "I notice that {sentence}.", "I notice {sentence}."),
    _reading("extra", "Which {kind} is named?", "The one named is that {sentence}.", "The one named is {sentence}."),
    _reading("extra", "Transcribe the audio.", "It says that {sentence}.", "It says {sentence}."),
    _reading(
        "extra",
        "Give a short description of the recording.",
        "A description: {sentence}.",
        "A description: {sentence}.",
    ),
    _reading("extra", "Listen to the recording. What is it?", "It is one where {sentence}.", "It is {sentence}."),
    _reading(
        "extra", "Can you describe the {kind} for a friend?", "Yes, you would say {sentence}.", "Yes, it is {sentence}."
    ),
)


def _with_nouns(text: str, nouns: dict[str, str]) -> str:
    return re.sub("|".join(nouns), lambda found: nouns[found[0]], text)


READINGS: dict[str, tuple[Reading, ...]] = {
    "image": _IMAGE,
    "video": tuple(
        Reading(
            reading.role,
            *(
                (_with_nouns(q, _VIDEO_NOUNS), _with_nouns(a, _VIDEO_NOUNS))
                for q, a in (reading.activity, reading.product)
            ),
        )
        for reading in _IMAGE
    ),
    "audio": _AUDIO,
}
_PREFIX = "The {modality} {verb} {article} {kind}. Please comprehend it and respond to the question below.\n"


def readings(role: str | None = None, modality: str = "image") -> tuple[Reading, ...]:
    """The readings of one role, or all."""
    return tuple(r for r in READINGS[modality] if role in (None, r.role))


def style_pair(style: str, modality: str = "image") -> tuple[str, str]:
    """The question about the style, and its answer."""
    return f"What is the style of the {modality}?", f"The style of the {modality} is {style}."


def alignment_prefix(kind: str, modality: str = "image") -> str:
    """What stands before a detoxified instruction in a request through a medium."""
    article, verb = "an" if kind == "activity" else "a", "describes" if modality == "audio" else "shows"
    return _PREFIX.format(modality=modality, verb=verb, article=article, kind=kind)
