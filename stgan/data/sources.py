"""Where labelled images come from: the Hub, a folder of Parquet files or the original CelebA download."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pandas as pd

from stgan.attributes import index_of
from stgan.data.errors import DataError, MissingSplitError
from stgan.data.preprocess import label_value

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
        source: a Hub id (``owner/name``), a folder of Parquet files, or the folder of the original CelebA download.
        split: ``train``, ``validation`` (also found as ``valid``, ``val`` or ``dev``) or ``test``.
        streaming: read rows when they are needed; nothing is copied to disk first.
        revision: branch, tag or commit of a Hub dataset.

    Raises:
        DataError: there is no such source or no image column.
        MissingSplitError: there is no such split.
    """
    folder = Path(source)
    if (folder / "img_align_celeba").is_dir():
        dataset = _open_celeba(folder, split)
        dataset = dataset.to_iterable_dataset(num_shards=min(64, len(dataset))) if streaming else dataset
    elif folder.is_dir():
        dataset = _open_parquet(folder, split, streaming)
    elif folder.exists() or str(source).count("/") != 1 or str(source).startswith((".", "/", "~")):
        raise DataError(
            f"No dataset at {source}. Give a Hub id (owner/name), a folder with train-*.parquet and "
            "validation-*.parquet, or a folder with img_align_celeba/ and list_attr_celeba.txt."
        )
    else:
        dataset = _open_hub(str(source), split, streaming, revision)
    return dataset.cast_column(image_column(dataset), datasets.Image(decode=False))


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


def _open_parquet(folder: Path, split: str, streaming: bool) -> Any:
    files = sorted(folder.glob("*.parquet")) or sorted(folder.glob("*/*.parquet"))
    by_split: dict[str, list[str]] = {}
    for file in files:
        by_split.setdefault(file.name.removesuffix(".parquet").split("-")[0], []).append(str(file))
    if not by_split:
        raise DataError(f"{folder} has no Parquet files, nor an img_align_celeba folder.")
    name = _find_split(split, list(by_split))
    return datasets.load_dataset("parquet", data_files={name: by_split[name]}, split=name, streaming=streaming)


def _find_split(wanted: str, names: Sequence[str]) -> str:
    canonical = SPLIT_ALIASES.get(wanted, wanted)
    for name in names:
        if name == wanted or SPLIT_ALIASES.get(name, name) == canonical:
            return name
    raise MissingSplitError(f"There is no split {wanted!r}; the dataset has {', '.join(names)}.")


def _open_celeba(folder: Path, split: str) -> datasets.Dataset:
    """The original download: a folder of JPEG files, and two text files (CSV from Kaggle) beside it or below it."""
    labels = _read_celeba_table(folder, "list_attr_celeba", skip_count_line=True)
    partition = _read_celeba_table(folder, "list_eval_partition", header=None).iloc[:, 0]
    name = _find_split(split, ["train", "validation", "test"])
    labels = labels.loc[partition.index[partition == ["train", "validation", "test"].index(name)]]
    nested = folder / "img_align_celeba" / "img_align_celeba"  # as some archives unpack
    images = nested if nested.is_dir() else folder / "img_align_celeba"
    columns: dict[str, list] = {"image": [str(images / file) for file in labels.index]}
    columns |= {column: (labels[column] > 0).tolist() for column in labels.columns}
    return datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())


def _read_celeba_table(
    folder: Path, name: str, *, skip_count_line: bool = False, header: int | None = 0
) -> pd.DataFrame:
    found = sorted([*folder.glob(f"{name}.*"), *folder.glob(f"*/{name}.*")])
    if not found:
        raise DataError(f"{folder} has img_align_celeba but no {name}.txt: it comes with the CelebA download.")
    if found[0].suffix == ".csv":
        return pd.read_csv(found[0], index_col=0)
    return pd.read_csv(
        found[0], sep=r"\s+", skiprows=1 if skip_count_line else 0, header=header,
        index_col=None if skip_count_line else 0,
    )  # fmt: skip


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
