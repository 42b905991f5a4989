"""The pictures of a run, each with the words that belong to it."""

from ftl.reporting.pictures.draw import KINDS, draw_pictures
from ftl.reporting.pictures.picture import Picture, write_pictures

__all__ = ["KINDS", "Picture", "draw_pictures", "write_pictures"]
