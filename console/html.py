"""HTML from templates with `$names`; every value is escaped unless it is markup already."""

from collections.abc import Iterable
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template

_HERE = Path(__file__).resolve().parent


class Markup(str):
    """Text that is HTML and is not escaped again."""

    __slots__ = ()


class Pages:
    """The templates and the style sheet, read once when the application is made."""

    def __init__(self, version: str) -> None:
        folder = _HERE / "templates"
        self._templates = {path.stem: Template(path.read_text()) for path in folder.glob("*.html")}
        self._version = version
        self.style = (_HERE / "static" / "style.css").read_bytes()
        self.mark = (_HERE / "static" / "mark.svg").read_bytes()
        self.style_version = sha256(self.style).hexdigest()[:12]

    def part(self, template: str, **values: object) -> Markup:
        """Fill in one template."""
        return Markup(self._templates[template].substitute({name: _text(value) for name, value in values.items()}))

    def page(self, title: str, body: Markup) -> str:
        """Put a body into the frame that all pages share."""
        return self.part("page", title=title, body=body, version=self._version, style=self.style_version)


def joined(parts: Iterable[Markup]) -> Markup:
    """Put markup together."""
    return Markup("\n".join(parts))


def _text(value: object) -> str:
    return value if isinstance(value, Markup) else escape(str(value))
