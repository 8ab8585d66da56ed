"""The original CelebA download is found as it is distributed and as people unpack it; wrong rows are named."""

import shutil

import numpy as np
import pytest
from PIL import Image

from stgan.data import DataError, DataWarning, load_into_memory, open_split

ATTRIBUTES = ("Black_Hair", "Eyeglasses", "Male")
TABLES = ("list_attr_celeba.txt", "list_eval_partition.txt")


@pytest.fixture(scope="module")
def expected(celeba_download):
    return load_into_memory(celeba_download, "test", ATTRIBUTES, 16, workers=0)


def as_distributed(download, folder):
    """``Anno/``, ``Eval/`` and ``Img/img_align_celeba/``."""
    for table, place in zip(TABLES, ("Anno", "Eval"), strict=True):
        (folder / place).mkdir()
        shutil.copy(download / table, folder / place)
    (folder / "Img").mkdir()
    (folder / "Img" / "img_align_celeba").symlink_to(download / "img_align_celeba")
    return folder


def as_png(download, folder):
    """``img_align_celeba_png``, whose tables still say ``.jpg``."""
    (folder / "img_align_celeba_png").mkdir()
    for file in (download / "img_align_celeba").iterdir():
        Image.open(file).save(folder / "img_align_celeba_png" / f"{file.stem}.png")
    for table in TABLES:
        shutil.copy(download / table, folder)
    return folder


def as_its_images(download, folder):
    """The folder of images itself, the tables beside it."""
    return as_distributed(download, folder) / "Img" / "img_align_celeba"


@pytest.mark.parametrize("layout", [as_distributed, as_png, as_its_images])
def test_a_download_is_found_however_it_is_unpacked(layout, celeba_download, expected, tmp_path):
    data = load_into_memory(layout(celeba_download, tmp_path), "test", ATTRIBUTES, 16, workers=0)
    assert np.array_equal(data.images, expected.images)
    assert np.array_equal(data.labels, expected.labels)


@pytest.fixture
def download(celeba_download, tmp_path):
    """A copy whose tables a test may change."""
    (tmp_path / "img_align_celeba").symlink_to(celeba_download / "img_align_celeba")
    for table in TABLES:
        shutil.copy(celeba_download / table, tmp_path)
    return tmp_path


def lines_of(file):
    return file.read_text().splitlines()


@pytest.mark.parametrize("rows", [1, 2], ids=["without its count", "without count and names"])
def test_the_first_rows_of_the_labels_may_be_missing(rows, download, expected):
    file = download / TABLES[0]
    file.write_text("\ufeff" + "\r\n".join(lines_of(file)[rows:]), encoding="utf-8")
    data = load_into_memory(download, "test", ATTRIBUTES, 16, workers=0)
    assert np.array_equal(data.labels, expected.labels)


def test_labels_shorter_than_the_partition_name_the_first_row_that_is_missing(download):
    file = download / TABLES[0]
    file.write_text("\n".join(lines_of(file)[:6]))
    with pytest.raises(DataError, match=r"list_eval_partition.txt, row 5 names 000005.jpg, .*lacks among its 4 images"):
        open_split(download, "train")


def test_a_partition_shorter_than_the_labels_is_used_with_a_warning(download):
    file = download / TABLES[1]
    file.write_text("\n".join(lines_of(file)[:12]))
    with pytest.warns(DataWarning, match="names only 12 of the 68 images"):
        assert len(open_split(download, "train")) == 12


@pytest.mark.parametrize(
    ("table", "row", "text", "message"),
    [
        (0, 4, "000002.jpg 1 -1 1", "list_attr_celeba.txt, row 5 has 3 labels for 40 attributes"),
        (0, 4, f"000003.jpg {'1 ' * 39}yes", "list_attr_celeba.txt, row 5 holds 'yes'"),
        (1, 6, "000007.jpg 3", "list_eval_partition.txt, row 7 must be an image and 0, 1 or 2, not '000007.jpg 3'"),
        (1, 6, "000007.jpg", "list_eval_partition.txt, row 7 must be"),
    ],
)
def test_a_wrong_row_is_named(table, row, text, message, download):
    file = download / TABLES[table]
    lines = lines_of(file)
    lines[row] = text
    file.write_text("\n".join(lines))
    with pytest.raises(DataError, match=message):
        open_split(download, "train")


@pytest.mark.parametrize("table", TABLES)
def test_an_empty_or_binary_table_is_refused(table, download):
    for content in (b"", b"\xff\xfe\x00\xd8"):
        (download / table).write_bytes(content)
        with pytest.raises(DataError, match=f"{table} (is empty|cannot be read as text)"):
            open_split(download, "train")


@pytest.mark.parametrize("table", TABLES)
def test_the_table_of_another_dataset_beside_it_is_not_used(table, celeba_download, tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        as_distributed(celeba_download, tmp_path / name)
    for copy in (tmp_path / "one").glob(f"*/{table}"):
        copy.unlink()
    for folder in (tmp_path / "one", tmp_path / "one" / "Img", tmp_path / "one" / "Img" / "img_align_celeba"):
        with pytest.raises(DataError, match=f"has img_align_celeba but no {table}"):
            load_into_memory(folder, "test", ATTRIBUTES, 16, workers=0)


def test_tables_with_quotes_and_semicolons_are_read(download, expected):
    for table in TABLES:
        rows = (download / table).read_text().splitlines()
        (download / table).write_text("\n".join(";".join(f'"{word}"' for word in row.split()) for row in rows))
    assert np.array_equal(load_into_memory(download, "test", ATTRIBUTES, 16, workers=0).labels, expected.labels)


def test_an_image_with_two_sets_of_labels_is_named(download):
    file = download / "list_attr_celeba.txt"
    rows = file.read_text().splitlines()
    name, *values = rows[3].split()
    again = " ".join({"1": "-1"}.get(value, "1") for value in values)
    file.write_text("\n".join([*rows, f"{name} {again}"]))
    with pytest.raises(DataError, match=f"row {len(rows) + 1} gives '{name}' other labels than an earlier row"):
        load_into_memory(download, "test", ATTRIBUTES, 16, workers=0)
