"""Reads pages of ours the way a browser would: elements, attributes and the text between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

Element = tuple[str, tuple[tuple[str, str | None], ...]]


@dataclass
class Page:
    """What stands in a page.

    Attributes:
        elements: Every opening tag with its attributes, in order.
        text: The text between them but for style sheets, white space made single.
        comments: Comments, declarations and processing instructions.
    """

    elements: list[Element] = field(default_factory=list)
    text: str = ""
    comments: list[str] = field(default_factory=list)

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        """The attributes of every such element; ``class_`` asks for one class among others."""
        wanted = attributes.pop("class_", None)
        return [
            given
            for given in (dict(pairs) for name, pairs in self.elements if name == tag)
            if attributes.items() <= given.items()
            and (wanted is None or wanted in (given.get("class") or "").split())
        ]

    def values(self, attribute: str) -> list[str]:
        """Every value of an attribute."""
        return [v or "" for _, pairs in self.elements for name, v in pairs if name == attribute]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page, self.parts = Page(), list[str]()
        self.within = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.page.elements.append((tag, tuple(attrs)))
        self.within = tag

    def handle_endtag(self, tag: str) -> None:
        self.within = ""

    def handle_data(self, data: str) -> None:
        if self.within != "style":
            self.parts.append(data)

    def handle_comment(self, data: str) -> None:
        self.page.comments.append(data)

    def unknown_decl(self, data: str) -> None:
        self.page.comments.append(data)

    def handle_pi(self, data: str) -> None:
        self.page.comments.append(data)


def read(html: str) -> Page:
    """Read a page or a fragment."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    reader.page.text = " ".join(" ".join(reader.parts).split())
    return reader.page
