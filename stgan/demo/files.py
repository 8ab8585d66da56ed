"""The demo's files: which uploads it opens, and what it writes for Gradio to serve and later delete."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import gradio as gr

from stgan.demo.errors import RefusedError

PREFIX = "stgan-"  # of the folder of each file that the demo writes; the folder of an upload is hexadecimal
DELETED = "This photo is no longer here: photos are deleted after about an hour. Please open it again."
NOT_UPLOADED = "photo must be a file uploaded to this demo: open it on the page, or upload it and give its path."


class DemoFiles:
    """Files in the folder that Gradio serves; the page deletes the files it knows of when they are old."""

    def __init__(self, blocks: gr.Blocks):
        self.blocks = blocks

    @property
    def folder(self) -> Path:
        """Gradio's folder of uploads and results."""
        return Path(self.blocks.GRADIO_CACHE)

    def new(self, name: str) -> str:
        """Path of a new file of this name."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = str(Path(tempfile.mkdtemp(prefix=PREFIX, dir=self.folder)) / name)
        self.blocks.upload_file_set.add(path)  # so that `delete_cache` deletes it, even if no page ever shows it
        return path

    def uploaded_path(self, file: object) -> str:
        """Path of what a visitor uploaded, given what arrived: a ``gr.FileData`` has a ``path``.

        Gradio checks that a file was uploaded only if the object that names it has its ``meta``. Without this check a
        visitor could read any picture on the server. The answer is the same whether a file elsewhere exists or not.

        Raises:
            RefusedError: it names no file, one outside the uploads, or one that has been deleted.
        """
        path = file.get("path") if isinstance(file, dict) else None
        with suppress(ValueError):  # a string that cannot be a path, such as one with a null byte
            path = Path(os.path.realpath(path)) if isinstance(path, str) else None
        if not isinstance(path, Path) or not path.is_relative_to(os.path.realpath(self.folder)):
            raise RefusedError(NOT_UPLOADED)
        if not path.is_file():
            raise RefusedError(DELETED)
        return str(path)
