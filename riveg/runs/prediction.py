"""The answer about one post, which a program or a notebook can look at."""

from __future__ import annotations

import base64
from dataclasses import fields
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

from riveg.errors import UserError
from riveg.geometry.boxes import box_text
from riveg.runs.sources import GivenImage, image_on_disk
from riveg.stages.words import decision_text
from riveg.text.label_text import label_text
from riveg.types import Entity, ImageRef, Sample

if TYPE_CHECKING:
    from PIL import Image

    from riveg.images.fonts import Fonts


class Prediction(Sample):
    """A sample with the answers of all stages, which can be drawn over its image.

    It is written as a :class:`~riveg.types.Sample`; the image is no part of that.
    """

    _given: GivenImage = None

    @classmethod
    def of(cls, sample: Sample, image: GivenImage) -> Prediction:
        """The sample's answers with the image that was asked about."""
        made = cls(**{each.name: getattr(sample, each.name) for each in fields(sample)})
        object.__setattr__(made, "_given", image)
        return made

    def draw(self, fonts: Fonts | None = None) -> Image.Image:
        """The image with every box, mask and label, RGB, and the text below it.

        Args:
            fonts: What texts are drawn with; ``None`` for the fonts of this machine.

        Raises:
            UserError: If there is no image.
            ImageFault: If it cannot be used.
        """
        from riveg.images.loader import ImageLoader
        from riveg.images.overlay import draw_overlay

        with image_on_disk(self._given) as path:
            if path is None:
                raise UserError(f"{self.id}: there is no picture to draw on")
            pixels = ImageLoader([path.parent]).load(ImageRef(path.name))
        return draw_overlay(pixels, self, fonts=fonts)

    def _repr_html_(self) -> str:
        """How a notebook shows it: the drawn image, if all is well, and the entities in a table."""
        lines = [f"<p>{escape(self.text)}</p>"]
        if self._given is not None and not self.issues:
            content = BytesIO()
            self.draw().save(content, "PNG")
            data = base64.b64encode(content.getvalue()).decode("ascii")
            lines.append(f'<img alt="" src="data:image/png;base64,{data}">')
        lines.append("<table><tr><th>entity<th>type<th>shown<th>boxes</tr>")
        lines += [_row(entity, has_image=self.image is not None) for entity in self.entities or ()]
        lines.append("</table>")
        lines += [f"<p>{escape(f'{it.stage}: {it.kind}: {it.message}')}</p>" for it in self.issues]
        return "\n".join(lines)


def _row(entity: Entity, *, has_image: bool) -> str:
    shown = decision_text(entity.entailment, "yes", "no") if entity.entailment else ""
    if not has_image:
        shown = "no picture"
    boxes = "; ".join(
        box_text(region.box) + (" (guess)" if region.guess else "")
        for region in entity.regions or ()
    )
    cells = (entity.text, label_text(entity.label, entity.fine_label), shown, boxes)
    return "<tr>" + "".join(f"<td>{escape(cell)}" for cell in cells) + "</tr>"
