"""Sheets that show what an editor does: people in rows, edits in columns, on white."""

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from stgan.attributes import short_name
from stgan.evaluation.fidelity import channels_last, to_uint8
from stgan.evaluation.flips import target_labels
from stgan.evaluation.inference import evaluation_mode
from stgan.frame import normalise
from stgan.models import Generator

SMALLEST_CELL = 96  # pixels; smaller images are enlarged so that a heading fits above them
GAP = 4  # pixels between pictures
MARGIN = 12  # pixels around the figure
INK = (40, 40, 40)
FAINT_INK = (110, 110, 110)
TITLE_SIZE = 18  # pixels

Row = Sequence[np.ndarray]  # pictures of one row, each uint8 (S, S, 3)


def sample_grid(generator: Generator, images: Tensor, labels: Tensor, intensity: float = 1.0) -> Image.Image:
    """Rows are people; columns the source, its reconstruction, and one flipped attribute each.

    A sign in the corner of an edit shows whether the attribute was added (+) or removed (-).

    Args:
        generator: on any device, in any mode, which it keeps.
        images: uint8 (N, 3, S, S).
        labels: float (N, A) in {0, 1}, columns as ``generator.attributes``.
    """
    rows = _edited_rows(generator, images, labels, intensity)
    return _draw_table(rows, _headings(generator), signs=_signs(labels))


def comparison_grid(
    generators: Mapping[str, Generator], image: Tensor, labels: Tensor, intensity: float = 1.0
) -> Image.Image:
    """A :func:`sample_grid` of one person whose rows are editors, each beside its name.

    Args:
        generators: name to editor, all of the same attributes and image_size.
        image: uint8 (3, S, S).
        labels: float (A,) in {0, 1}.

    Raises:
        ValueError: there is no editor, or their attributes differ.
    """
    if len({generator.attributes for generator in generators.values()}) != 1:
        raise ValueError("A comparison needs editors, all of the same attributes.")
    rows = [_edited_rows(each, image[None], labels[None], intensity)[0] for each in generators.values()]
    headings = _headings(next(iter(generators.values())))
    return _draw_table(rows, headings, signs=_signs(labels.expand(len(rows), -1)), names=list(generators))


def edit_sheet(
    generator: Generator, images: Tensor, labels: Tensor, intensities: Sequence[float] = (1.0, 1.5)
) -> Image.Image:
    """A :func:`sample_grid` for each intensity, one below the other, each under its title."""
    grids = [sample_grid(generator, images, labels, intensity) for intensity in intensities]
    titles = [f"One attribute flipped at a time, intensity {intensity:g}" for intensity in intensities]
    font = _font(TITLE_SIZE)
    title_height = MARGIN + TITLE_SIZE + GAP
    sheet = Image.new("RGB", (grids[0].width, sum(title_height + grid.height for grid in grids)), "white")
    pen, top = ImageDraw.Draw(sheet), 0
    for title, grid in zip(titles, grids, strict=True):
        pen.text((MARGIN, top + MARGIN), title, fill=INK, font=font)
        sheet.paste(grid, (0, top + title_height))
        top += title_height + grid.height
    return sheet


def contact_sheet(pictures: Sequence[Image.Image], captions: Sequence[str], columns: int, side: int) -> Image.Image:
    """Square pictures in rows of ``columns``, each ``side`` pixels wide and under its caption."""
    font = _font(max(12, side // 12))
    caption_height = math.ceil(font.size) + 2 * GAP
    rows = math.ceil(len(pictures) / columns)
    cell, gap = side + 2 * GAP, 2 * GAP
    size = (2 * MARGIN + columns * cell - gap, 2 * MARGIN + rows * (cell + caption_height) - gap)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left, top = MARGIN + number % columns * cell, MARGIN + number // columns * (cell + caption_height)
        pen.text((left + side / 2, top + caption_height - 2 * GAP), caption, fill=INK, font=font, anchor="ms")
        sheet.paste(picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS), (left, top + caption_height))
    return sheet


def _font(size: float) -> ImageFont.FreeTypeFont:
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))  # bitmaps are for calls without a size


def varied_people(labels: Tensor, count: int) -> list[int]:
    """Positions of ``count`` people who differ as much as possible, so that a figure shows every kind of edit.

    Starts with the first person, then always adds the one whose labels (N, A) differ most from the nearest one chosen.
    """
    labels = labels.cpu().float()
    chosen = [0]
    distance = torch.cdist(labels, labels[:1], p=1)[:, 0]
    while len(chosen) < min(count, len(labels)):
        distance[chosen] = -1
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, torch.cdist(labels, labels[chosen[-1:]], p=1)[:, 0])
    return chosen


def _headings(generator: Generator) -> list[str]:
    return ["Source", "Rebuilt", *map(short_name, generator.attributes)]


def _signs(labels: Tensor) -> list[list[str]]:
    """For each row of pictures what an edit does to the attributes (N, A): + adds one, - removes it."""
    # A hyphen: the font that ships with Pillow has no minus sign.
    return [["", "", *("-" if label > 0.5 else "+" for label in person)] for person in labels.tolist()]


def _edited_rows(generator: Generator, images: Tensor, labels: Tensor, intensity: float) -> list[Row]:
    """Source, reconstruction and every flipped attribute of each person, from one encoding."""
    device = next(generator.parameters()).device
    labels = labels.to(device, torch.float32)
    targets = [labels, *(target_labels(labels, (name,), generator.attributes) for name in generator.attributes)]
    with evaluation_mode(generator):
        features = generator.encode(normalise(images.to(device)))
        columns = [
            to_uint8(generator.decode(features, generator.condition(labels, target, intensity))) for target in targets
        ]
    return [[channels_last(image), *(column[person] for column in columns)] for person, image in enumerate(images)]


def _draw_table(
    rows: Sequence[Row], headings: Sequence[str], signs: Sequence[Sequence[str]], names: Sequence[str] = ()
) -> Image.Image:
    """Pictures in rows under headings, each with its sign in the corner; names, if given, stand left of the rows."""
    size = rows[0][0].shape[0]
    side = size * max(1, math.ceil(SMALLEST_CELL / size))  # a whole multiple, so that pixels stay pixels
    font = _font(max(12, side // 9))
    sign_font = _font(1.5 * font.size)
    wrapped = [_wrap(heading, font, side) for heading in headings]
    line_height = math.ceil(font.size) + 3
    first_row = MARGIN + line_height * max(map(len, wrapped)) + GAP
    first_column = MARGIN + (side + 2 * GAP if names else 0)
    width = first_column + len(headings) * (side + GAP) - GAP + MARGIN
    figure = Image.new("RGB", (width, first_row + len(rows) * (side + GAP) - GAP + MARGIN), "white")
    pen = ImageDraw.Draw(figure)
    for number, name in enumerate(names):
        lines, middle = _wrap(name, font, side), first_row + number * (side + GAP) + side / 2
        for line, text in enumerate(lines):
            place = (first_column - 2 * GAP, middle + (line - (len(lines) - 1) / 2) * line_height)
            pen.text(place, text, fill=INK, font=font, anchor="rm")
    for column, lines in enumerate(wrapped):
        left = first_column + column * (side + GAP)
        for line, text in enumerate(reversed(lines)):  # the last line stands on the pictures
            centre = (left + side / 2, first_row - GAP - line * line_height)
            pen.text(centre, text, fill=FAINT_INK if column == 0 else INK, font=font, anchor="md")
        for number, row in enumerate(rows):
            top = first_row + number * (side + GAP)
            figure.paste(Image.fromarray(row[column]).resize((side, side), Image.Resampling.NEAREST), (left, top))
            corner = (left + GAP, top + side - GAP)
            pen.text(corner, signs[number][column], "white", sign_font, anchor="ls", stroke_width=1, stroke_fill=INK)
    return figure


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """``text`` in lines no wider than ``width`` pixels; a single word that is wider keeps its own line."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
