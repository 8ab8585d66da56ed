"""The original CelebA download: a folder of images and two tables, as it is distributed and as people unpack it."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import datasets

from stgan.attributes import CELEBA_ATTRIBUTES, shown
from stgan.data.errors import DataError, DataWarning

SPLITS = ("train", "validation", "test")
IMAGE_FOLDERS = ("img_align_celeba", "img_align_celeba_png")
PARTS = ("Img", "Anno", "Eval", "img", "anno", "eval")  # folders of the download as it is distributed
SUFFIXES = (".jpg", ".png", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
LABELS, PARTITION = "list_attr_celeba", "list_eval_partition"
AGAIN = "Download it again, or take the file from another copy."


def image_folder(folder: Path) -> Path | None:
    """The folder of CelebA's aligned images in a download; None if it is none.

    It may be the folder itself, lie in it or one deeper (``Img/``), and may hold another folder of its own name.
    """
    places = [folder] if folder.name in IMAGE_FOLDERS else []
    places += [folder / name for name in IMAGE_FOLDERS]
    places += [path for name in IMAGE_FOLDERS for path in sorted(folder.glob(f"*/{name}"))]
    for place in places:
        if place.is_dir():
            nested = place / place.name
            return nested if nested.is_dir() else place
    return None


def open_celeba(folder: Path, images: Path, split: str) -> datasets.Dataset:
    """One split of a download: a column ``image`` with paths, and 40 columns of bool.

    Args:
        folder: of the download; the tables lie in it, in a folder of it (``Anno/``, ``Eval/``) or beside the images.
        split: one of :data:`SPLITS`.

    Raises:
        DataError: a table is missing, or one of its rows is wrong; the message names file and row.
    """
    names, labels = _read_labels(_table(folder, images, LABELS))
    file = _table(folder, images, PARTITION)
    partition = _read_partition(file)
    for row, (name, _) in enumerate(partition.items(), 1):
        if name not in labels:
            raise DataError(
                f"{file}, row {row} names {name[:100]}, which {LABELS} lacks among its {len(labels)} images: that "
                f"file is too short or of another dataset. {AGAIN}"
            )
    if len(partition) < len(labels):
        warnings.warn(
            f"{file} names only {len(partition)} of the {len(labels)} images in {LABELS}: the others are left out.",
            DataWarning,
            stacklevel=2,
        )
    wanted = [name for name, number in partition.items() if SPLITS[number] == split]
    stored = _stored_names(images)
    columns: dict[str, list] = {"image": [str(images / stored.get(Path(name).stem, name)) for name in wanted]}
    columns |= {name: [labels[each][place] for each in wanted] for place, name in enumerate(names)}
    return datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())


def _stored_names(images: Path) -> dict[str, str]:
    """Stem to name of each stored image: the tables say .jpg where the images may be .png."""
    with os.scandir(images) as entries:
        return {os.path.splitext(each.name)[0]: each.name for each in entries if each.name.lower().endswith(SUFFIXES)}


def _table(folder: Path, images: Path, name: str) -> Path:
    """A table as text or, from Kaggle, as CSV.

    It lies in the folder or in a folder of it. Where that holds images alone, the table may lie beside it, directly or
    in a folder of the download: other folders there may be other datasets.
    """
    inside = [place for place in (folder, images.parent, images.parent.parent) if place.is_relative_to(folder)]
    places = [each for place in inside for each in (place, *sorted(filter(Path.is_dir, place.iterdir())))]
    if folder.name in (*IMAGE_FOLDERS, *PARTS):
        parents = (folder.absolute().parent, folder.absolute().parent.parent)
        places += [each for parent in parents for each in (parent, *(parent / part for part in PARTS))]
    for place in places:
        for suffix in (".txt", ".csv"):
            if (place / f"{name}{suffix}").is_file():
                return place / f"{name}{suffix}"
    raise DataError(f"{folder} has {images.name} but no {name}.txt: it comes with the CelebA download.")


SEPARATORS = str.maketrans(dict.fromkeys(',;"', " "))


def _rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and words of each row that is not empty, of text or CSV."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read as text ({error}). {AGAIN}") from error
    for number, line in enumerate(lines, 1):
        if words := line.translate(SEPARATORS).split():
            yield number, words


def _read_labels(file: Path) -> tuple[list[str], dict[str, list[bool]]]:
    """The attributes' names, and each image's labels in their order. The count in the first row may be missing, and the
    names too if there are 40 of them."""
    rows = list(_rows(file))
    if rows and len(rows[0][1]) == 1 and rows[0][1][0].isdecimal():
        del rows[0]
    if not rows:
        raise DataError(f"{file} is empty. {AGAIN}")
    names = list(CELEBA_ATTRIBUTES)
    if "." not in rows[0][1][0] or not set(rows[0][1][1:]) <= {"1", "-1", "0"}:
        names = rows.pop(0)[1]
        names = names[1:] if names[0].lower() in ("image_id", "image", "file_name", "filename") else names
    if len({*names}) != len(names) or not all(name.isprintable() for name in names):
        raise DataError(f"{file} does not name different attributes, but {shown(names)}. {AGAIN}")
    labels: dict[str, list[bool]] = {}
    for number, (name, *values) in rows:
        if len(values) != len(names):
            raise DataError(f"{file}, row {number} has {len(values)} labels for {len(names)} attributes. {AGAIN}")
        if not {"1", "-1", "0"}.issuperset(values):
            wrong = next(value for value in values if value not in ("1", "-1", "0"))
            raise DataError(f"{file}, row {number} holds {shown(wrong)} where a label of 1 or -1 belongs. {AGAIN}")
        own = [value == "1" for value in values]
        if labels.setdefault(name, own) != own:
            raise DataError(f"{file}, row {number} gives {shown(name)} other labels than an earlier row. {AGAIN}")
    if not labels:
        raise DataError(f"{file} names no image. {AGAIN}")
    return names, labels


def _read_partition(file: Path) -> dict[str, int]:
    """Image to the number of its split."""
    partition = {}
    for number, words in _rows(file):
        if number == 1 and (words[-1].lower() == "partition" or len(words) == 1):  # a header, or a count
            continue
        if len(words) != 2 or words[1] not in ("0", "1", "2"):
            raise DataError(
                f"{file}, row {number} must be an image and 0, 1 or 2, not {shown(' '.join(words))}. {AGAIN}"
            )
        partition[words[0]] = int(words[1])
    if not partition:
        raise DataError(f"{file} is empty. {AGAIN}")
    return partition
