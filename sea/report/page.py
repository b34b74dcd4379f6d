"""A page as a list of blocks, written as Markdown and as one HTML file that needs no other file.

Belongs here: the blocks and the two renderers; every text is escaped here and nowhere else. Does not belong here: what
the page says. Blocks hold plain text, so that no text of a model can become markup, a link or a script.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """One cell of a table: the value, and below it in small print what is needed to believe it, in one line or more."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class Heading:
    """A section (level 2) or a part of one (level 3)."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Running text; `lead` stands before it in bold."""

    text: str
    lead: str = ""


@dataclass(frozen=True)
class Bullets:
    """A list of paragraphs."""

    items: Sequence[Paragraph]


@dataclass(frozen=True)
class Table:
    """A table; the first column names the row. Rows whose index stands in `marked` are set off."""

    header: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    marked: frozenset[int] = frozenset()
    numeric: bool = True  # every column but the first is set right


@dataclass(frozen=True)
class Code:
    """Lines to be typed."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Figure:
    """A drawing: `name` is its file under figures/, `description` is read out where it cannot be seen."""

    name: str
    description: str


@dataclass(frozen=True)
class Fold:
    """Detail that opens on a click (a part of its own in Markdown)."""

    summary: str
    blocks: Sequence[Block] = field(default_factory=list)


Block = Heading | Paragraph | Bullets | Table | Code | Figure | Fold


def figure(name: str, drawn: dict[str, str], description: str) -> list[Block]:
    """The figure of that name, if it was drawn."""
    return [Figure(name, description)] if name in drawn else []


# ------------------------------------------------------------------------------------------------ Markdown


def to_markdown(title: str, blocks: Sequence[Block]) -> str:
    """The page as Markdown; figures are linked by their relative path."""
    return f"# {_md(title)}\n\n" + "\n".join(_markdown(block) for block in blocks)


def _md(text: str) -> str:
    """One line in which nothing is read as markup: no tag, cell border, code, emphasis, link or picture."""
    escaped = html.escape(text, quote=False).replace("|", "&#124;").replace("`", "&#96;").replace("*", "&#42;")
    escaped = escaped.replace("](", "]&#40;").replace("][", "]&#91;").replace("://", ":&#47;&#47;")
    return " ".join(escaped.split())


def _md_cell(cell: Cell | str) -> str:
    if isinstance(cell, str):
        return _md(cell)
    return _md(cell.text) + (f" {_md(cell.note)}" if cell.note else "")


def _md_paragraph(paragraph: Paragraph) -> str:
    return (f"**{_md(paragraph.lead)}** " if paragraph.lead else "") + _md(paragraph.text)


def _markdown(block: Block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {_md(block.text)}\n"
        case Paragraph():
            return _md_paragraph(block) + "\n"
        case Bullets():
            return "".join(f"- {_md_paragraph(item)}\n" for item in block.items)
        case Table():
            rule = ["---", *(["---:" if block.numeric else "---"] * (len(block.header) - 1))]
            rows = [[_md(cell) for cell in block.header], rule, *[[_md_cell(cell) for cell in r] for r in block.rows]]
            return "".join(f"| {' | '.join(row)} |\n" for row in rows)
        case Code():
            return "```\n" + "".join(line.replace("```", "'''") + "\n" for line in block.lines) + "```\n"
        case Figure():
            return f"![{_md(block.description)}](figures/{block.name}.svg)\n"
        case Fold():
            return f"### {_md(block.summary)}\n\n" + "\n".join(_markdown(inner) for inner in block.blocks)


# ------------------------------------------------------------------------------------------------ HTML

STYLE = """
:root { color-scheme: light; --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --tint: #f3f6fa; --mark: #2f6299; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem clamp(.9rem, 4vw, 2.5rem) 4rem; max-width: 76rem; color: var(--ink);
  background: #fff;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .7rem; padding-top: .8rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .5rem; }
p, li { max-width: 48rem; overflow-wrap: anywhere; }
li { margin: .25rem 0; }
.findings { background: var(--tint); border-left: 4px solid var(--mark); padding: .3rem 1rem; margin: 1rem 0; }
.scroll { overflow-x: auto; margin: .8rem 0; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .7rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
tr:last-child td, tr:last-child th { border-bottom: 0; }
thead th { background: var(--tint); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 600; position: sticky; left: 0; background: #fff; }
.numeric td, .numeric thead th:not(:first-child) { text-align: right; }
.numeric td { white-space: nowrap; }
tr.marked th, tr.marked td { background: #fff8e1; }
small { display: block; color: var(--soft); font-size: .78rem; font-weight: 400; }
figure { margin: 1rem 0; overflow-x: auto; }
figure svg { display: block; width: 100%; min-width: 32rem; max-width: 62rem; height: auto; }
figcaption { color: var(--soft); font-size: .88rem; max-width: 48rem; }
pre { background: var(--tint); padding: .8rem; overflow-x: auto; border-radius: 6px; font-size: .82rem; }
details { margin: .8rem 0; }
summary { cursor: pointer; font-weight: 600; padding: .3rem 0; }
@media print { .scroll { overflow: visible; } }
"""


def to_html(title: str, blocks: Sequence[Block], figures: dict[str, str]) -> str:
    """The page as one HTML file.

    Args:
        blocks: up to the second level-2 heading they are what was found, and set off.
        figures: SVG texts by name, for every `Figure` in the blocks.
    """
    heads = [i for i, block in enumerate(blocks) if isinstance(block, Heading) and block.level == 2]
    end = heads[1] if len(heads) > 1 else len(blocks)
    first = "".join(_html(block, figures) for block in blocks[:end])
    rest = "".join(_html(block, figures) for block in blocks[end:])
    name = html.escape(title)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Nothing may be fetched or run, whatever a text holds: a second lock beside the escaping.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{name}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{name}</h1>\n"
        f'<div class="findings">\n{first}</div>\n{rest}</body>\n</html>\n'
    )


def _html_cell(cell: Cell | str) -> str:
    if isinstance(cell, str):
        return html.escape(cell)
    notes = "".join(f"<small>{html.escape(line)}</small>" for line in cell.note.splitlines())
    return html.escape(cell.text) + notes


def _html_paragraph(paragraph: Paragraph) -> str:
    return (f"<strong>{html.escape(paragraph.lead)}</strong> " if paragraph.lead else "") + html.escape(paragraph.text)


def _html(block: Block, figures: dict[str, str]) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{html.escape(block.text)}</h{block.level}>\n"
        case Paragraph():
            return f"<p>{_html_paragraph(block)}</p>\n"
        case Bullets():
            return "<ul>\n" + "".join(f"<li>{_html_paragraph(item)}</li>\n" for item in block.items) + "</ul>\n"
        case Table():
            return _html_table(block)
        case Code():
            return "<pre>" + html.escape("\n".join(block.lines)) + "</pre>\n"
        case Figure():
            caption = html.escape(block.description)
            drawing = inline_svg(block.name, figures[block.name])
            return f"<figure>\n{drawing}<figcaption>{caption}</figcaption>\n</figure>\n"
        case Fold():
            inner = "".join(_html(inner, figures) for inner in block.blocks)
            return f"<details>\n<summary>{html.escape(block.summary)}</summary>\n{inner}</details>\n"


def _html_table(table: Table) -> str:
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in table.header)
    body = ""
    for index, row in enumerate(table.rows):
        cells = f'<th scope="row">{_html_cell(row[0])}</th>' + "".join(f"<td>{_html_cell(c)}</td>" for c in row[1:])
        mark = ' class="marked"' if index in table.marked else ""
        body += f"<tr{mark}>{cells}</tr>\n"
    kind = ' class="numeric"' if table.numeric else ""
    return (
        f'<div class="scroll"><table{kind}>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n'
    )


def inline_svg(name: str, svg: str) -> str:
    """An SVG file's text as it can stand inside a page: no XML header, and ids that no other figure has."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
