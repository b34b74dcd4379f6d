"""How an English request is read: where its frame ends and its matter begins, and where the matter ends.

A request is a frame and a matter: "Can you give me tips on" + "repairing a lamp". The frame is peeled off from the
left, piece by piece: politeness, a question, a verb of telling, "a guide for", "the best way to", "how do I". How it
ends says whether the matter is a verb phrase, a gerund or a noun. The matter ends where an aside begins ("without being
seen", "using a brush"). Belongs here: this grammar, true of any topic. What the matter is, `extractors/rules.py` says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sea.prepare.english import (
    ARTICLES,
    AUXILIARIES,
    CONJUNCTIONS,
    DETERMINERS,
    PREPOSITIONS,
    PRONOUNS,
    QUESTION_WORDS,
    WORD,
    is_adverb,
    is_gerund,
)

_POLITE = frozenset("please kindly hi hello hey ok okay so well now also just then and".split())
_TELLING = frozenset(
    "advise assist clarify demonstrate describe detail discuss display elaborate elucidate explain give guide highlight"
    " illustrate instruct list mention offer outline present propose provide recommend reveal say share show specify"
    " suggest summarize teach tell unveil walk write".split()
)
_COMPOSING = frozenset("compile compose create develop draft generate make prepare produce write".split())
# nouns that stand for the answer, not for the matter, when a connective follows: "steps to", "a guide for", "tips on"
_ANSWERS = frozenset(
    "advice answer approach article blueprint code concept demonstration description details directions essay example"
    " explanation guidance guide guideline help hint idea information insight instructions introduction list manual"
    " means method overview paragraph plan post practice procedure process program recipe roadmap map script service"
    " snippet software source step story strategy suggestion summary tactic technique text tip tool trick tutorial"
    " walkthrough way website".split()
)
_ANSWERS_MANY = frozenset(re.sub("(?<![aeiou])y$", "ie", noun) + "s" for noun in _ANSWERS)
ASKED_FOR = frozenset("me us him her them you someone anyone users readers people students beginners".split())
_WANTING = frozenset("want need like wish plan planning trying try going looking hope intend interested".split())
# "use a brush to paint a door": what is done is in the purpose clause
_INSTRUMENT = frozenset("use employ leverage utilize apply using employing leveraging utilizing applying used".split())
_TOWARDS_A_VERB = frozenset("try learn start begin attempt manage".split())
_ASIDE = frozenset(
    "while when if because since before after although unless until where which who whose that via using through during"
    " such please thanks".split()
)


@dataclass(frozen=True)
class Word:
    """A word and where it stands in the instruction."""

    text: str
    start: int
    end: int
    stop_after: str  # the punctuation between it and the next word

    @property
    def low(self) -> str:
        """The word in lower case."""
        return self.text.lower()


def _words(sentence: str, offset: int) -> list[Word]:
    found = list(WORD.finditer(sentence))
    ends = [match.start() for match in found[1:]] + [len(sentence)] * bool(found)
    return [
        Word(m.group(), offset + m.start(), offset + m.end(), sentence[m.end() : e].strip())
        for m, e in zip(found, ends, strict=True)
    ]


def _sentences(text: str) -> Iterator[list[Word]]:
    for part in re.finditer(r"(?:[^.?!\n]|[.?!](?=\S))+", text):
        if found := _words(part.group(), part.start()):
            yield found


@dataclass(frozen=True)
class Matter:
    """What a request is about: a verb phrase (paint a door), a gerund (painting a door) or a noun (a red door)."""

    form: str  # verb | gerund | noun
    words: list[Word]


def matters(text: str) -> Iterator[Matter]:
    """The matter of each sentence that asks for something, without its asides."""
    for sentence in _sentences(text):
        begun = _Frame(sentence).peel()
        if begun is not None and (whole := _until_aside(begun.words)):
            yield Matter(begun.form, whole)


class _Frame:
    """Peels the frame off a sentence, from the left."""

    def __init__(self, words: list[Word]) -> None:
        self.words, self.at = words, 0
        self.asked = False  # whether a request was recognised
        self.framed = False  # whether a noun that stands for the answer was passed ("a guide for")

    def low(self, ahead: int = 0) -> str:
        """The word `ahead` of the cursor in lower case; empty past the end."""
        place = self.at + ahead
        return self.words[place].low if place < len(self.words) else ""

    def peel(self) -> Matter | None:
        """The matter with its asides, or None when nothing is asked for."""
        while self.at < len(self.words):
            before = self.at
            if form := self._matter_begins():
                return self._goal(form)
            if self.at == before and not self._skip_piece():
                break
        if self.at >= len(self.words):
            return None
        if self.asked:
            return self._purpose() or Matter("noun", self.words[self.at :])
        return Matter("verb", self.words[self.at :]) if self._is_command() else None

    def _matter_begins(self) -> str | None:
        """Move past "how to", "how do I", "to" and name the form of what stands there; None: the frame goes on."""
        low = self.low()
        if low in ("how", "where", "when", "why") or (low in AUXILIARIES and self.low(1) in ("i", "we", "one")):
            return self._after_question(low)
        if self.asked and low in ("to", "can", "could", "will", "would"):
            self.at += 1
            if self.at == len(self.words):
                return None
            return "verb"
        if low in AUXILIARIES and self.low(1) == "it" and self.low(3) == "to":  # "is it possible to"
            self.at, self.asked = self.at + 3, True
            return None
        if low in ("i", "we", "i'm", "i'd", "i’m", "i’d"):
            self._skip_wish()
            return None
        if low in ("help", "assist") and self.low(1) in ASKED_FOR:
            self.at += 2
            self.asked = True
            if self.low() in PREPOSITIONS - {"to"}:
                return None
            self.at += self.low() == "to"
            return "verb"
        if self.asked and is_gerund(self.words[self._past_adverbs(self.at)].low):
            return "gerund"
        return None

    def _after_question(self, low: str) -> str | None:
        ahead = 0 if low in AUXILIARIES else 1
        while is_adverb(self.low(ahead)) or self.low(ahead) in ("else", "best"):
            ahead += 1
        if self.low(ahead) == "to":
            self.at += ahead + 1
        elif self.low(ahead) == "about":
            self.at, self.asked = self.at + ahead + 1, True
            return None
        else:
            ahead += self.low(ahead) in AUXILIARIES
            self.at = min(self._past_subject(self.at + ahead), len(self.words))
            self.at += self.low() in AUXILIARIES - {"do", "have"}  # "how one would"
        if (self.low(), self.low(1)) == ("go", "about"):
            self.at += 2
        return "verb" if self.at < len(self.words) else None

    def _skip_wish(self) -> None:
        """Past "I want", "I am looking for"; nothing is asked in any other sentence about oneself."""
        place = next(
            (p for p in range(self.at + 1, min(self.at + 6, len(self.words))) if self.words[p].low in _WANTING), None
        )
        if place is None:
            self.at = len(self.words)
            return
        self.at, self.asked = place + 1, True
        if self.low() == "to" and self.low(1) in ("know", "learn", "understand", "hear", "find"):
            self.at += 2 + (self.low(2) == "out")
        elif self.low() == "you" and self.low(1) == "to":
            self.at, self.asked = self.at + 2, False

    def _past_subject(self, place: int) -> int:
        """The place after the subject of a question; without a lexicon a longer one ends with its first plural."""
        if place < len(self.words) and self.words[place].low in PRONOUNS:
            return place + 1
        for end in range(place, min(place + 5, len(self.words) - 1)):
            low = self.words[end].low
            if low in PRONOUNS or (low.endswith("s") and not low.endswith(("ss", "'s", "’s"))):
                return end + 1
        return place + 1 + (place < len(self.words) and self.words[place].low in DETERMINERS)

    def _past_adverbs(self, place: int) -> int:
        for end in range(place, min(place + 4, len(self.words))):
            if not is_adverb(self.words[end].text) and self.words[end].low != "and":
                return end
        return place

    def _skip_piece(self) -> bool:
        """Move past one piece of the frame; False when none stands there."""
        low = self.low()
        if low in _POLITE:
            self.at += 1
        elif low in AUXILIARIES and self.low(1) in ("you", "there", "anyone", "someone"):
            self.at += 2
            if self.low() in ("know", "have", "mind", "any"):
                self.asked, self.at = True, self.at + 1
        elif low in ("what", "which", "what's"):
            return self._skip_what()
        elif (past := self._past_answer(self.at + (low in _COMPOSING | _TELLING))) is not None:
            self.at, self.asked, self.framed = past, True, True
        elif low in _TELLING and not self.asked:
            self.at, self.asked = self.at + 1, True
            if self.low() in ("the", "a") and self.low(1) in ("user", "users", "reader", "readers"):
                self.at += 1
            self.at += self.low() in ASKED_FOR
        elif self.asked and low in PREPOSITIONS - {"to"}:
            self.at += 1
        else:
            return False
        return True

    def _skip_what(self) -> bool:
        """Past "what is the best way", "what does it take", "which brush should I use"."""
        past = self._past_answer(self.at + 1 + (self.low(1) in AUXILIARIES))
        does = any(self.low(ahead) in AUXILIARIES for ahead in range(1, 4))
        if past is None and does and (purpose := self._purpose()) is not None:
            past = len(self.words) - len(purpose.words) - 1  # where its "to" or "for" stands
        if past is None:
            return False
        self.at, self.asked, self.framed = past, True, True
        return True

    def _past_answer(self, place: int) -> int | None:
        """The place of the connective after "a detailed guide", "the best way", "tips and tricks", if one is there."""
        for end in range(place, min(place + 6, len(self.words))):
            word = self.words[end]
            if word.low in PREPOSITIONS | QUESTION_WORDS | PRONOUNS - {"one"} or is_gerund(word.low):
                return None
            if not self.framed and end > place and (past := self._about_doing(end + 1)) is not None:
                return past
            if word.low not in _ANSWERS | _ANSWERS_MANY:
                if word.stop_after not in ("", ","):
                    return None
                continue
            after = end + 1
            while after < len(self.words) - 1 and self.words[after].low in CONJUNCTIONS | _ANSWERS_MANY:
                after += 1
            if after < len(self.words) and (past := self._connective(after)) is not None:
                return past
        return None

    def _about_doing(self, place: int) -> int | None:
        """Where the matter begins after any noun: "the dangers of climbing", "a tool that can climb"; else None."""
        if place >= len(self.words) - 2:
            return None
        low, after = self.words[place].low, self.words[place + 1].low
        if low in PREPOSITIONS and is_gerund(self.words[self._past_adverbs(place + 1)].low):
            return place
        return place + 1 if low in ("that", "which") and after in ("can", "could", "will", "would") else None

    def _connective(self, place: int) -> int | None:
        low = self.words[place].low
        if low in ("needed", "required", "necessary", "involved", "used") and place + 1 < len(self.words):
            place += 1
            low = self.words[place].low
        if low in ("that", "which", "explaining", "describing", "showing", "detailing"):
            return place + 1 + (low in ("that", "which"))
        if low in AUXILIARIES | PRONOUNS:  # "what steps should I take to", "methods people use to"
            return next((p for p in range(place, min(place + 6, len(self.words))) if self.words[p].low == "to"), None)
        return place if low in PREPOSITIONS or low == "how" else None

    def _goal(self, form: str) -> Matter | None:
        """What is to be done in the end: "use a brush to paint a door" -> "paint a door"."""
        while self.low() in _TOWARDS_A_VERB and "to" in (self.low(1), self.low(2)):
            self.at += 2 + (self.low(1) == "how")
        passive = "used" in (self.low(ahead) for ahead in range(1, 5))  # "how can a brush be used to ..."
        if self.low() in _INSTRUMENT or passive:
            return self._purpose() or Matter(form, self.words[self.at :])
        if self.at >= len(self.words):
            return None
        if is_gerund(self.words[self._past_adverbs(self.at)].low):  # "a guide to painting"
            form = "gerund"
        return Matter(form, self.words[self.at :])

    def _purpose(self) -> Matter | None:
        """What a thing is used for, when that is said: "a brush to paint a door", "the use of brushes in painting"."""
        use = self.at + (self.low() == "the")
        of_use = use < len(self.words) - 1 and (self.words[use].low, self.words[use + 1].low) == ("use", "of")
        for place in range(self.at + 1, len(self.words) - 1):
            low, after = self.words[place].low, self.words[place + 1]
            if self.words[place - 1].stop_after:
                break
            if low == "to" and _begins_infinitive(after):
                return Matter("verb", self.words[place + 1 :])
            if low in ("for", "in") and is_gerund(after.low):
                return Matter("gerund", self.words[place + 1 :])
        return Matter("noun", self.words[use + 2 :]) if of_use else None

    def _is_command(self) -> bool:
        """Whether the sentence orders something done: its first word may be a verb, and no other verb is finite."""
        first = self.words[self.at]
        closed = DETERMINERS | PRONOUNS | AUXILIARIES | PREPOSITIONS | QUESTION_WORDS | CONJUNCTIONS
        if first.low in closed or first.low.endswith(("ing", "ly", "'s", "’s")) or not first.text.isalpha():
            return False
        if first.low.endswith("s") and not first.low.endswith("ss"):  # a plural or "he paints": no order
            return False
        following = [word.low for word in self.words[self.at + 1 : self.at + 5]]
        return bool(following) and not any(low in AUXILIARIES for low in following)


def _begins_infinitive(word: Word) -> bool:
    """Whether "to" before this word begins an infinitive ("to paint") rather than a place ("to the door")."""
    low = word.low
    closed = DETERMINERS | PRONOUNS | PREPOSITIONS
    return low not in closed and not low.endswith(("'s", "’s", "ing")) and not (low.endswith("s") and len(low) > 4)


def _until_aside(words: list[Word]) -> list[Word]:
    """The words before the first aside: how, when, with what or what for it is done."""
    for place, word in enumerate(words):
        if place > 0 and _begins_aside(words, place):
            return _without_loose_end(words[:place])
        if word.stop_after and not _goes_on(words, place):
            return words[: place + 1]
    return _without_loose_end(words)


def _begins_aside(words: list[Word], place: int) -> bool:
    low = words[place].low
    if low in _ASIDE:
        return words[place - 1].low not in CONJUNCTIONS  # "making and using" is one matter
    if place + 1 == len(words):
        return False
    after = words[place + 1]
    if low in ("without", "by", "with"):
        return is_gerund(after.low)
    if low == "for":
        return is_gerund(after.low) or after.low in ("me", "us", "free")
    if low == "in":
        following = words[place + 2].low if place + 2 < len(words) else ""
        return (after.low, following) in (("order", "to"), ("the", "context"))
    return low == "to" and place > 1 and _begins_infinitive(after)


def _goes_on(words: list[Word], place: int) -> bool:
    """Whether the phrase goes on after the punctuation at `place`: in a list, or in brackets."""
    stop = words[place].stop_after
    if stop == ",":
        ahead = [word.low for word in words[place + 1 : place + 7]]
        return any(low in ("and", "or") for low in ahead) and ahead[0] not in _ASIDE | {"please"}
    return stop in ("(", ")", '"', "'", "“", "”", "&")


_LOOSE = CONJUNCTIONS | ARTICLES | (PREPOSITIONS - frozenset("in into up off out down".split()))


def _without_loose_end(words: list[Word]) -> list[Word]:
    while words and words[-1].low in _LOOSE:
        words = words[:-1]
    return words


def noun_phrase(words: list[Word]) -> list[Word]:
    """The noun phrase at the head of `words`: up to the first preposition but "of", or an adverb at the end."""
    for place, word in enumerate(words[1:], 1):
        preposition = (word.low in PREPOSITIONS and word.low != "of") or word.low == "based"
        if preposition or (place == len(words) - 1 and is_adverb(word.low)):
            return _without_loose_end(words[:place])
    return words
