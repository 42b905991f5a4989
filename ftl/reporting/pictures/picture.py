"""A picture as it goes into a page: PNG bytes with the words that belong to it."""

import io
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import AutoLocator
from PIL import Image

DPI = 115
_TICKS = 5  # of an axis, about: a tick costs more than all that is drawn at it
_COLOURS = 96  # of a PNG: a page holds dozens of them
_NEARLY_WHITE = 251  # the palette's white is not quite white


@dataclass(frozen=True)
class Picture:
    """One picture of one dataset under one protocol.

    ``title`` stands in the picture itself; ``caption`` says how to read it and what it shows, in plain text; ``alt`` is
    for those who cannot see it. A kind that is drawn once per paradigm names it in ``paradigm``.
    """

    kind: str
    dataset: str
    protocol: str
    title: str
    caption: str
    png: bytes
    alt: str
    paradigm: str = ""

    @property
    def name(self) -> str:
        """Stem of the file: kind, paradigm where there is one, dataset and protocol, in letters safe on any disk."""
        return "_".join(slug(part) for part in (self.kind, self.paradigm, self.dataset, self.protocol) if part)


def png_of(figure: Figure) -> bytes:
    """The figure as a small PNG of at most 96 colours; equal figures give equal bytes, whatever the version of
    matplotlib says of itself."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(DPI)
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(locator := axis.get_major_locator(), AutoLocator):
                locator.set_params(nbins=_TICKS)
    with warnings.catch_warnings():  # names are spelled out by ink.plain; this is for letters in units and the like
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    image = image.quantize(_COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    image.putpalette([255 if level > _NEARLY_WHITE else level for level in image.getpalette() or []])
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


def write_pictures(pictures: Iterable[Picture], folder: Path) -> dict[str, Path]:
    """Write each picture to ``{kind}_{dataset}_{protocol}.png`` (with the paradigm after the kind where it has one).

    Returns:
        The file of each picture, by :attr:`Picture.name`.

    Raises:
        ValueError: If two pictures have the same name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, Path] = {}
    for picture in pictures:
        if picture.name in written:
            raise ValueError(f"pictures must have distinct names; two are called {picture.name!r}")
        written[picture.name] = folder / f"{picture.name}.png"
        _replace(written[picture.name], picture.png)
    return written


def slug(name: str) -> str:
    """A name in letters, digits, - and _ alone."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)


def _replace(path: Path, content: bytes) -> None:
    half = path.with_name(f"{path.name}.half")
    half.write_bytes(content)
    os.replace(half, path)
