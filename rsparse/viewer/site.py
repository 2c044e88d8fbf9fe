"""What each address of the page answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode

from rsparse.errors import InputError, is_out_of_memory
from rsparse.viewer.listing import Listing
from rsparse.viewer.page import dumped, render_image, render_page, script, style
from rsparse.viewer.pictures import Pictures
from rsparse.viewer.versions import Collection, Version

HTML, TEXT, JSON = "text/html", "text/plain", "application/json"


class Answer(NamedTuple):
    """The answer to a request."""

    status: int
    kind: str
    content: bytes


class UnknownAddressError(Exception):
    """The page has no such address."""


class Query:
    """The numbers and texts in a query."""

    def __init__(self, text: str) -> None:
        try:
            self._values = parse_qs(text, max_num_fields=20, errors="replace")
        except ValueError:
            raise UnknownAddressError from None

    def text(self, name: str) -> str:
        """A text; "" if there is none."""
        return self._values.get(name, [""])[0]

    def number(self, name: str, below: int) -> int:
        """A whole number of at least 0."""
        return _number(self.text(name), below)

    def numbers(self, name: str, below: tuple[int, ...]) -> tuple[int, ...]:
        """As many numbers as there are bounds."""
        given = self._values.get(name, [])
        if len(given) != len(below):
            raise UnknownAddressError
        return tuple(map(_number, given, below))


def _number(word: str, below: int) -> int:
    is_number = word.isascii() and word.isdecimal() and len(word) < 12
    if not is_number or int(word) >= below:
        raise UnknownAddressError
    return int(word)


class Site:
    """The addresses of the page. An image is named by its number only, a version by its place.

    Parameters
    ----------
    collection : Collection
    """

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.listing = Listing(collection)
        self.pictures = Pictures()
        self._pages: Mapping[str, Callable[[Query], tuple[str, bytes]]] = {
            "": lambda query: (HTML, _encoded(render_page(collection))),
            "view.css": lambda query: ("text/css", _encoded(style())),
            "view.js": lambda query: ("text/javascript", _encoded(script())),
            "scene": lambda query: (JSON, dumped(self.listing.described(self._chosen(query)))),
            "items": self._items,
            "image": self._image,
            "thumbnail": self._thumbnail,
            "picture": self._picture,
            "difference": self._difference,
        }

    def answer(self, page: str, query: str) -> Answer:
        """Answer a request for a page, with the text after its question mark."""
        make = self._pages.get(page)
        try:
            if make is None:
                raise UnknownAddressError
            kind, content = make(Query(query))
        except UnknownAddressError:
            return Answer(404, TEXT, b"There is no such page.\n")
        except InputError as error:
            return Answer(422, TEXT, _encoded(str(error)))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return Answer(422, TEXT, b"It needs more memory than is available.\n")
        return Answer(200, kind, content)

    def _chosen(self, query: Query) -> tuple[int, ...]:
        bounds = tuple(len(choice.options) for choice in self.collection.choices)
        return query.numbers("chosen", bounds)

    def _id(self, query: Query) -> int:
        return query.number("id", len(self.collection.names))

    def _version(self, query: Query, name: str = "version") -> Version:
        versions = self.listing.scene(*self._chosen(query)).versions
        return versions[query.number(name, len(versions))]

    def _items(self, query: Query) -> tuple[str, bytes]:
        bounds = (query.number(name, 2**31) for name in ("start", "end"))
        found = self.listing.items(
            self._chosen(query), query.text("kept"), query.text("words"), *bounds
        )
        return JSON, dumped(found)

    def _image(self, query: Query) -> tuple[str, bytes]:
        chosen = self._chosen(query)
        scene, number = self.listing.scene(*chosen), self._id(query)
        asked = "".join(urlencode({"chosen": each}) + "&" for each in chosen)
        html = render_image(self.collection, scene, asked, number, self.pictures)
        return HTML, _encoded(html)

    def _thumbnail(self, query: Query) -> tuple[str, bytes]:
        version = self._version(query)
        if version.is_slow:
            raise UnknownAddressError
        return "image/webp", self.pictures.thumbnail(version, self._id(query))

    def _picture(self, query: Query) -> tuple[str, bytes]:
        return "image/png", self.pictures.whole(self._version(query), self._id(query))

    def _difference(self, query: Query) -> tuple[str, bytes]:
        before, after = self._version(query, "before"), self._version(query)
        return "image/png", self.pictures.difference(after, before, self._id(query))


def _encoded(text: str) -> bytes:
    return text.encode(errors="backslashreplace")
