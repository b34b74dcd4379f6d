"""The two renderers: no text becomes markup, tables keep their shape, the page needs no other file."""

from html.parser import HTMLParser

from sea.report.page import (
    Bullets,
    Cell,
    Code,
    Figure,
    Fold,
    Heading,
    Paragraph,
    Table,
    inline_svg,
    to_html,
    to_markdown,
)
from tests.report.conftest import EVIL

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Reader(HTMLParser):
    """Tags in order, their attributes, and whether each is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def everything(text: str):
    table = Table([text, text], [[Cell(text, text), text]], numeric=False)
    parts = [Heading(text), Paragraph(text, text), Bullets([Paragraph(text, text)]), table, Code([text])]
    return [*parts, Figure("f", text), Fold(text, [Paragraph(text), table])]


def test_no_text_becomes_markup_in_html():
    plain = Reader(to_html("t", everything("plain"), {"f": "<svg></svg>"}))
    evil = Reader(to_html(EVIL, everything(EVIL), {"f": "<svg></svg>"}))
    assert evil.tags == plain.tags
    assert evil.attributes == plain.attributes
    assert "script" not in evil.tags


def test_no_text_becomes_markup_in_markdown():
    text = to_markdown(EVIL, everything(EVIL.replace("```", "")))
    outside = text[: text.index("```")] + text[text.rindex("```") :]
    assert "<script" not in outside
    assert "](http" not in outside
    assert "://" not in outside
    rows = [line for line in outside.splitlines() if line.startswith("| ")]
    assert len(rows) == 6
    assert all(line.count("|") == 3 for line in rows)


def test_a_fence_cannot_be_closed_from_inside():
    assert to_markdown("t", [Code(["a ``` b", "c"])]).count("```") == 2


def test_a_marked_row_and_a_note_below_a_value():
    text = to_html("t", [Table(["a", "b"], [["x", "1"], ["y", Cell("2", "[1, 3]")]], frozenset({1}))], {})
    assert text.count('<tr class="marked">') == 1
    assert '<tr class="marked"><th scope="row">y</th><td>2<small>[1, 3]</small></td></tr>' in text
    assert "| y | 2 [1, 3] |" in to_markdown("t", [Table(["a", "b"], [["y", Cell("2", "[1, 3]")]])])


def test_two_figures_share_no_id():
    svg = '<?xml version="1.0"?>\n<svg><defs><path id="m"/></defs><use href="#m"/><g clip-path="url(#p)"/></svg>'
    one, other = inline_svg("one", svg), inline_svg("two", svg)
    assert one == '<svg><defs><path id="one-m"/></defs><use href="#one-m"/><g clip-path="url(#one-p)"/></svg>'
    assert 'id="two-m"' in other
