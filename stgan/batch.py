"""Many photos in one command: which files are meant, where their results go, and what failed."""

import glob
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm.auto import tqdm

from stgan.photo.files import FORMATS, READABLE_SUFFIXES
from stgan.terminal import lacks_memory, printable

RESULT = re.compile(r"(.+)-edited(-(add|remove)-\w+)?$")


def photos_of(names: Iterable[Path]) -> list[Path]:
    """The photos that files, folders and patterns such as ``*.jpg`` stand for, each once.

    A folder stands for the pictures directly in it, without the results of earlier edits.

    Raises:
        ValueError: a folder holds no picture, no file fits a pattern, or nothing is named.
    """
    photos: dict[str, Path] = {}
    for name in names:
        name = Path(os.path.expanduser(name))
        if name.is_dir():
            found = [file for file in sorted(name.iterdir()) if _is_photo(file)]
            problem = f"The folder {name} holds no picture that can be read."
        elif not name.exists() and glob.has_magic(str(name)):  # a shell that leaves patterns to the program
            found = [Path(file) for file in sorted(glob.glob(str(name), recursive=True)) if Path(file).is_file()]
            problem = f"No file fits {name}."
        else:
            found, problem = [name], ""
        if not found:
            raise ValueError(problem)
        photos |= {_own(photo): photo for photo in found if _own(photo) not in photos}
    if not photos:
        raise ValueError("No photo is named: name photos first, as in stgan edit me.jpg --add Eyeglasses.")
    return list(photos.values())


def _own(path: Path) -> str:
    """The file's only name: without links, and on Windows in small letters."""
    return os.path.normcase(os.path.realpath(path))


def _is_photo(file: Path) -> bool:
    if file.suffix.lower() not in READABLE_SUFFIXES or file.name.startswith(".") or not file.is_file():
        return False
    made_from = RESULT.match(file.stem)
    return not (made_from and any(file.with_name(made_from[1] + suffix).exists() for suffix in READABLE_SUFFIXES))


@dataclass
class Results:
    """Where results are written. No photo is overwritten, and an earlier result only if that is asked for.

    Args:
        photos: all that are edited.
        out: the file for the only photo.
        out_dir: a folder for the results, under the names of their photos; it is made when the first one is written.
            Without both, a result lies beside its photo, with -edited in its name.
        overwrite: replace earlier results.
    """

    photos: Sequence[Path]
    out: Path | None = None
    out_dir: Path | None = None
    overwrite: bool = False
    taken: dict[str, Path] = field(default_factory=dict)  # of each result, the photo that it was made from

    def __post_init__(self) -> None:
        self._sources = {_own(photo) for photo in self.photos}
        if self.out and self.out_dir:
            raise ValueError("Use --out for one file, or --out-dir for a folder, not both.")
        if self.out and len(self.photos) != 1:
            raise ValueError(f"--out names one file, but there are {len(self.photos)} photos: use --out-dir FOLDER.")
        if self.out_dir and self.out_dir.exists() and not self.out_dir.is_dir():
            raise ValueError(f"--out-dir {self.out_dir} is a file: name a folder.")
        if self.out:
            check_writable(self.out)
            self._check_source(self.out)

    def path(self, photo: Path, tag: str = "") -> Path:
        """The file for a photo's result; ``tag`` tells several of one photo apart.

        Raises:
            ValueError: it would overwrite a photo, an earlier result or another one of this command.
        """
        if self.out and not tag:
            return self.out
        suffix = photo.suffix if photo.suffix.lower() in FORMATS else ".png"
        path = (self.out_dir or photo.parent) / f"{photo.stem}{'' if self.out_dir else '-edited'}{tag}{suffix}"
        self._check_source(path)
        other = self.taken.setdefault(_own(path), photo)
        if other is not photo:
            raise ValueError(f"{path} is the result of {other} already: edit {photo} in a command of its own.")
        if path.exists() and not self.overwrite:
            raise ValueError(f"{path} exists already: add --overwrite to replace it, or choose --out or --out-dir.")
        return path

    def _check_source(self, path: Path) -> None:
        if _own(path) in self._sources:
            raise ValueError(f"{path} is the photo itself: choose another file or folder for the result.")


def check_writable(out: Path) -> None:
    """Raise a ValueError, before the work, unless a photo can be written to this file."""
    if out.is_dir():
        raise ValueError(f"--out {out} is a folder: use --out-dir, or name a file in it.")
    if out.suffix.lower() not in FORMATS:
        raise ValueError(f"--out {out} ends in none of {', '.join(FORMATS)}: use one of these, such as .png.")
    if not out.parent.is_dir():
        raise ValueError(f"There is no folder {out.parent} for --out {out}: create it, or choose another.")


def for_each(photos: Sequence[Path], work: Callable[[Path], None]) -> None:
    """Do the work for each photo, with a progress bar if there are several.

    The error of a single photo is raised. Errors of several are printed at the end, and the exit status is 1.
    """
    if len(photos) == 1:
        work(photos[0])
        return
    failures = []
    for photo in tqdm(photos, "editing", unit="photo", file=sys.stderr):
        try:
            work(photo)
        except (ValueError, OSError) as error:
            failures.append(f"{photo}: {error}")
        except Exception as error:  # one photo must not keep the others from being edited
            kind = "there is not enough memory" if lacks_memory(error) else type(error).__name__
            failures.append(f"{photo}: {kind}: {error}".removesuffix(": "))
    if failures:
        print(
            f"stgan: {len(failures)} of {len(photos)} photos could not be edited:",
            *map(printable, failures),
            sep="\n  ",
            file=sys.stderr,
        )
        sys.exit(1)


def tell(*words: str) -> None:
    """Print a line to the terminal, beside a progress bar, and apart from the paths on standard output."""
    tqdm.write(f"stgan: {printable(' '.join(filter(None, words)))}", file=sys.stderr)
