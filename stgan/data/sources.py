"""Where labelled images come from: the Hub, a folder of Parquet files or images, or the original CelebA download."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet

from stgan.attributes import index_of
from stgan.data.celeba import SPLITS, image_folder, open_celeba
from stgan.data.errors import DataError, MissingSplitError
from stgan.data.preprocess import label_value

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
SPLIT_ALIASES = {"val": "validation", "valid": "validation", "dev": "validation"}


@dataclass(frozen=True)
class Source:
    """One dataset of a run.

    Attributes:
        path: see :func:`open_split`.
        crop: see :class:`stgan.data.Preprocess`.
        sharp: whether its images may be shown as real to losses that judge realness. None decides for each image:
            those may that have at least 1 / :data:`MAX_ENLARGEMENT` pixels per pixel of their crop.
        revision: branch, tag or commit of a Hub dataset.
        max_samples: read at most this many images.
        skip_samples: leave out this many images at the start.
    """

    path: str | Path
    crop: str = "auto"
    sharp: bool | None = None
    revision: str | None = None
    max_samples: int | None = None
    skip_samples: int = 0


MAX_ENLARGEMENT = 1.25
"""Pixels of a crop per pixel of its image up to which it counts as sharp."""


def open_split(
    source: str | Path, split: str, *, streaming: bool = False, revision: str | None = None
) -> datasets.Dataset | datasets.IterableDataset:
    """Open one split of a dataset. Its images stay encoded.

    Args:
        source: a Hub id (``owner/name``), a folder of Parquet files, a folder of images with ``metadata.csv`` or with
            one folder for each class, or the folder of the original CelebA download. Classes become columns: true in
            the rows of their images.
        split: ``train``, ``validation`` (also found as ``valid``, ``val`` or ``dev``) or ``test``.
        streaming: read rows when they are needed; nothing is copied to disk first.
        revision: branch, tag or commit of a Hub dataset.

    Raises:
        DataError: there is no such source or no image column.
        MissingSplitError: there is no such split.
    """
    folder = Path(source).expanduser()
    images = image_folder(folder) if folder.is_dir() else None
    if images is not None and not _parquet_files(folder):
        dataset = open_celeba(folder, images, _find_split(split, SPLITS))
        dataset = dataset.to_iterable_dataset(num_shards=min(64, len(dataset))) if streaming else dataset
    elif folder.is_dir() and _parquet_files(folder):
        dataset = _open_parquet(folder, split, streaming)
    elif folder.is_dir():
        dataset = _open_images(folder, split, streaming)
    elif folder.exists() or str(source).count("/") != 1 or str(source).startswith((".", "/", "~")):
        raise DataError(
            f"No dataset at {source}. Give a Hub id (owner/name), a folder with train-*.parquet and "
            "validation-*.parquet, a folder of images with metadata.csv or one folder for each class, or a folder with "
            "img_align_celeba/ and list_attr_celeba.txt."
        )
    else:
        dataset = _open_hub(str(source), split, streaming, revision)
    dataset = dataset.cast_column(image_column(dataset), datasets.Image(decode=False))
    return _with_class_columns(dataset)


def _open_hub(source: str, split: str, streaming: bool, revision: str | None) -> Any:
    try:
        builder = datasets.load_dataset_builder(source, revision=revision)
        if builder.name != "parquet":
            name = _find_split(split, datasets.get_dataset_split_names(source, revision=revision))
            return datasets.load_dataset(source, split=name, streaming=streaming, revision=revision)
        files = builder.config.data_files  # load_dataset would download the files of every split
        name = _find_split(split, list(files))
        return datasets.load_dataset(
            "parquet", data_files={name: files[name]}, split=name, features=builder.info.features, streaming=streaming
        )
    except (datasets.exceptions.DatasetNotFoundError, ConnectionError, OSError) as error:
        raise DataError(
            f"The Hub dataset {source!r} could not be opened ({error}). Check its name, your network and, for a gated "
            "dataset, your login (hf auth login). Without a network, give the folder that hf download wrote."
        ) from error


def _parquet_files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.parquet")) or sorted(folder.glob("*/*.parquet"))
    return [file for file in files if file.name != "metadata.parquet"]  # of a folder of images


def _open_images(folder: Path, split: str, streaming: bool) -> Any:
    """A folder of images as the datasets library reads it: with ``metadata.csv`` or ``.jsonl``, or a folder a class."""
    if not any(file.suffix.lower() in IMAGE_SUFFIXES for file in folder.rglob("*") if "." in file.name):
        zipped = next(iter([*folder.rglob("*.zip"), *folder.rglob("*.7z.001")]), None)
        raise DataError(
            f"{folder} has no Parquet files and no images, nor an img_align_celeba folder."
            + (f" Unpack {zipped} first." if zipped else "")
        )
    try:
        builder = datasets.load_dataset_builder("imagefolder", data_dir=str(folder))
        name = _find_split(split, list(map(str, builder.config.data_files)))
        return datasets.load_dataset("imagefolder", data_dir=str(folder), split=name, streaming=streaming)
    except DataError:
        raise
    except Exception as error:  # datasets has many kinds, such as an IndexError for metadata without rows
        cause = str(error.__cause__ or error).splitlines()[0]
        raise DataError(
            f"{folder} could not be read as a folder of images ({cause}). Give it a metadata.csv with a column "
            "file_name and one column for each attribute, or one folder for each class."
        ) from error


def _with_class_columns(dataset: Any) -> Any:
    """The dataset with a column for each class of a label of classes, true where a row is of that class."""
    features = dataset.features or {}
    for column, feature in list(features.items()):
        new = [name for name in getattr(feature, "names", None) or [] if name not in features]
        if not isinstance(feature, datasets.ClassLabel) or not new or new == list(map(str, range(len(new)))):
            continue
        numbers = {name: feature.str2int(name) for name in new}
        if isinstance(dataset, datasets.Dataset):  # nothing is copied
            for name, values in _classes(dataset[column], numbers).items():
                dataset = dataset.add_column(name, values)
            continue
        dataset = dataset.map(
            _classes, batched=True, input_columns=[column], fn_kwargs={"numbers": numbers},
            features=datasets.Features(dataset.features | dict.fromkeys(new, datasets.Value("bool"))),
        )  # fmt: skip
    return dataset


def _classes(labels: Sequence[int], numbers: dict[str, int]) -> dict[str, list[bool]]:
    return {name: [label == number for label in labels] for name, number in numbers.items()}


def _open_parquet(folder: Path, split: str, streaming: bool) -> Any:
    by_split: dict[str, list[str]] = {}
    for file in _parquet_files(folder):
        by_split.setdefault(file.name.removesuffix(".parquet").split("-")[0], []).append(str(file))
    name = _find_split(split, list(by_split))
    try:
        return datasets.load_dataset("parquet", data_files={name: by_split[name]}, split=name, streaming=streaming)
    except Exception as error:  # pyarrow and datasets have many kinds for a damaged file
        raise unreadable(folder, error) from error


def unreadable(source: str | Path, error: Exception) -> DataError:
    """The error for a dataset that opens or reads no further; it names the damaged file of a folder."""
    folder = Path(source).expanduser()
    reason = " ".join(str(error.__cause__ or error).split())[:200] or type(error).__name__
    file = next((each for each in _parquet_files(folder) if not _is_whole(each)), None) if folder.is_dir() else None
    if file:
        return DataError(f"{file} is damaged ({reason}). Copy or download it again, then run the same command.")
    return DataError(
        f"{source} cannot be read any further ({reason}). Check the data and your network, then run the same command; "
        "with --resume_from_checkpoint latest it continues."
    )


def _is_whole(file: Path) -> bool:
    """Whether every row of a Parquet file can be read."""
    try:
        for _ in pyarrow.parquet.ParquetFile(file).iter_batches(64):
            pass
    except Exception:
        return False
    return True


def _find_split(wanted: str, names: Sequence[str]) -> str:
    canonical = SPLIT_ALIASES.get(wanted, wanted)
    for name in names:
        if name == wanted or SPLIT_ALIASES.get(name, name) == canonical:
            return name
    raise MissingSplitError(f"There is no split {wanted!r}; the dataset has {', '.join(names)}.")


def image_column(dataset: datasets.Dataset | datasets.IterableDataset) -> str:
    """Name of the column that holds images: the first Image feature, or one called ``image``."""
    features = dataset.features or {}
    for name, feature in features.items():
        if isinstance(feature, datasets.Image):
            return name
    if "image" in features:
        return "image"
    raise DataError(f"The dataset has no image column; its columns are {', '.join(features) or 'unknown'}.")


def check_attributes(dataset: datasets.Dataset | datasets.IterableDataset, attributes: Sequence[str]) -> None:
    """Raise a DataError that suggests the nearest columns if an attribute is not a column of the dataset."""
    columns = [name for name in (dataset.features or {}) if name != image_column(dataset)]
    if not columns:
        raise DataError(
            "The dataset has images but no labels. Give a folder of images a metadata.csv with a column file_name and "
            "one column for each attribute, or one folder for each class."
        )
    for name in attributes:
        try:
            index_of(name, columns)
        except ValueError as error:
            raise DataError(f"The dataset has no such column. {error}") from error


def check_labels(dataset: datasets.Dataset, attributes: Sequence[str]) -> None:
    """Raise a DataError if a column holds anything but labels, before any image is decoded."""
    for attribute in attributes:
        for value in dataset.unique(attribute):
            label_value(value, attribute)
