"""Blocks as parts: text, pictures, documents, and everything else as text.

Pictures and PDF travel as `inlineData`, or as `fileData` where the server fetches URLs itself; we fetch nothing.
https://ai.google.dev/gemini-api/docs/image-understanding and
https://ai.google.dev/gemini-api/docs/document-processing
"""

import re

from dragoman.dialects.contract import Target
from dragoman.dialects.gemini.body import Blob, FileData, Part
from dragoman.dialects.gemini.quirks import Quirks
from dragoman.messages import fields
from dragoman.messages.body import NO_RAW, Block, Source
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.messages.rendering import as_text, in_words

PDF = "application/pdf"
IMAGES = frozenset(("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"))
"""GIF is refused: https://ai.google.dev/gemini-api/docs/image-understanding#supported-formats"""

_CALLED_OTHERWISE = {"image/jpg": "image/jpeg"}  # "Unsupported MIME type: image/jpg"
_ENDINGS = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
    "gif": "image/gif",
    "pdf": PDF,
}
_FETCHED = re.compile(r"(?:https?|gs)://", re.IGNORECASE)
_ENDING = re.compile(r"\.([a-zA-Z]+)\Z")


class Parts:
    """Makes parts of blocks, and notes what a part cannot hold."""

    def __init__(self, target: Target, notes: list[Note]) -> None:
        quirks: Quirks = target.quirks
        self._notes = notes
        self._sees = quirks.images and target.facts.vision
        self._files = quirks.files if target.facts.files is None else target.facts.files
        self._fetches = quirks.file_urls

    def text(self, block: Block) -> Part:
        if block.cache_control is not None:
            self.ignore_breakpoint()
        if block.citations is not NO_RAW and block.cites:
            self._notes.append(Note("ignored", "text.citations"))
        return Part(block.text_json)

    def ignore_breakpoint(self) -> None:
        """Caching is the server's own: https://ai.google.dev/gemini-api/docs/caching#implicit-caching"""
        self._notes.append(Note("ignored", "cache_control"))

    def of(self, block: Block, place: str, *, refusable: bool) -> list[Part]:
        """Any block. `refusable`: what cannot be sent is refused, else it becomes a marker.

        Raises ApiError("invalid_request") that names the block.
        """
        if block.type == "text":
            return [self.text(block)]
        if block.cache_control is not None:
            self.ignore_breakpoint()
        if block.type == "image":
            return [self._image(block, place, refusable=refusable)]
        if block.type == "document":
            return self._document(block, place, refusable=refusable)
        said = in_words(block, place, self._notes)
        return [Part(said)] if said else []

    def _image(self, block: Block, place: str, *, refusable: bool) -> Part:
        if not self._sees:
            self._notes.append(Note("lost", "image.no_vision", place))
            return Part("[image omitted: the model cannot see images]")
        source = block.source if isinstance(block.source, Source) else Source("none")
        media_type = _media_type(source, "image/jpeg")
        if media_type in IMAGES and (part := self._sent(source, media_type)):
            return part
        if not refusable:
            self._notes.append(Note("lost", "image.unreadable", place))
            return Part("[image omitted: it cannot be sent to this model]")
        if media_type and media_type not in IMAGES:
            raise ApiError(
                "invalid_request",
                f"{place}.source: this model does not read pictures of this type; send PNG, JPEG, WebP, HEIC or HEIF.",
            )
        raise self._bad_source(place, source, "an image as base64 with its media_type")

    def _sent(self, source: Source, media_type: str) -> Part | None:
        """A picture or PDF whose source the server takes."""
        if source.type == "base64" and source.data:
            return Part(inline_data=Blob(media_type, source.data))
        if self._fetches and source.type == "url" and source.url and _FETCHED.match(source.url):
            return Part(file_data=FileData(source.url, media_type))
        return None

    def _document(self, block: Block, place: str, *, refusable: bool) -> list[Part]:
        if block.cites:
            self._notes.append(Note("changed", "document.citations", place))
        source = block.source if isinstance(block.source, Source) else Source("none")
        if source.type == "text":
            return [Part(as_text(block))]
        if source.type == "content":
            return self._document_of_blocks(block, source, place, refusable=refusable)
        is_pdf = _media_type(source, PDF) == PDF
        if is_pdf and self._files and (part := self._sent(source, PDF)):
            about = [f"[Document: {block.title}]"] if block.title else []
            about += [f"[Context of the document: {block.context}]"] if block.context else []
            return [*map(Part, about), part]
        if not refusable:
            # It was answered once, perhaps by another model; an error now would end the conversation for good.
            self._notes.append(Note("lost", "document.unreadable", place))
            return [Part("[document omitted: the model cannot read it]")]
        if is_pdf and not self._files:
            raise ApiError("invalid_request", f"{place}: this model reads no PDF documents; send their text.")
        raise self._bad_source(place, source, "a PDF as base64, or text")

    def _document_of_blocks(self, block: Block, source: Source, place: str, *, refusable: bool) -> list[Part]:
        if not isinstance(source.content, list):
            return [Part(as_text(block))]
        head = f"[Document: {block.title}]" if block.title else "[Document]"
        parts = [Part(f"{head}\n[Context: {block.context}]" if block.context else head)]
        for number, inner in enumerate(source.content):
            if inner.type != "text" or not inner.is_blank:
                parts += self.of(inner, f"{place}.source.content.{number}", refusable=refusable)
        return parts

    def _bad_source(self, place: str, source: Source, wanted: str) -> ApiError:
        if self._fetches:
            wanted += ", or an http(s) or gs url"
        is_foreign = source.type == "url" and not self._fetches
        elsewhere = " Or use a model whose provider fetches urls." if is_foreign else ""
        return fields.bad_source(place, source, wanted, elsewhere)


def _media_type(source: Source, usual: str) -> str:
    """The type of what is there; of a URL, what its path ends in, else `usual`."""
    if source.type == "url":
        found = _ENDING.search(re.split("[?#]", source.url or "", maxsplit=1)[0])
        return _ENDINGS.get(found[1].lower(), usual) if found else usual
    if source.media_type is None:
        return usual if usual == PDF else ""  # documents are PDF, but pictures are of any type
    media_type = source.media_type.lower()
    return _CALLED_OTHERWISE.get(media_type, media_type)
