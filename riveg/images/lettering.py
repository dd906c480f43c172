"""Text of one size in images: its width, its drawing, shortening and breaking."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import ImageDraw

from riveg.images.fonts import Fonts, font, is_cluster_edge


@dataclass(frozen=True, slots=True)
class Lettering:
    """Draws and measures texts that :meth:`Fonts.showable` gave, ``size`` pixels high."""

    fonts: Fonts
    size: int

    def length(self, text: str) -> float:
        """The text's width in pixels."""
        return sum(face.getlength(run) for face, run in self.fonts.runs(text, self.size))

    def draw(
        self, pen: ImageDraw.ImageDraw, place: tuple[float, float], text: str, ink: str
    ) -> None:
        """Draws the text from a point: its left edge, and the middle between its lines."""
        left, middle = place
        runs = self.fonts.runs(text, self.size)
        if [face for face, _ in runs] == [font(self.size)]:
            pen.text((left, middle), text, fill=ink, font=runs[0][0], anchor="lm")
            return
        # Fonts have middles of their own: they stand on the built-in font's line.
        ascent, descent = font(self.size).getmetrics()  # type: ignore[union-attr]
        baseline = middle + (ascent - descent) / 2
        for face, run in runs:
            pen.text((left, baseline), run, fill=ink, font=face, anchor="ls")
            left += face.getlength(run)

    def shorten(self, text: str, width: float) -> str:
        """The text, cut and ended by an ellipsis where it is wider than ``width`` pixels."""
        if self.length(text) <= width:
            return text
        longest = self._longest_prefix(text, width - self.length("…"))
        return text[:longest].rstrip() + "…"

    def break_word(self, word: str, width: float, room: float | None = None) -> Iterator[str]:
        """Pieces of a word, each as long as ``width`` pixels allow, at least one letter.

        ``room`` is what is left for the first of them, where it is less.
        """
        length = 0 if room is None else self._longest_prefix(word, room)
        while word:
            length = length or self._longest_prefix(word, width)
            if length == 0:
                length = next(at for at in range(1, len(word) + 1) if is_cluster_edge(word, at))
            yield word[:length]
            word = word[length:]
            length = 0

    def _longest_prefix(self, text: str, width: float) -> int:
        """How many first characters fit, whole letters only; widths grow with length."""
        fits, fails = 0, len(text) + 1
        while fails - fits > 1:
            middle = (fits + fails) // 2
            if self.length(text[:middle]) <= width:
                fits = middle
            else:
                fails = middle
        while not is_cluster_edge(text, fits):
            fits -= 1
        return fits
