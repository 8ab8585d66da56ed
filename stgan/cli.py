"""The command ``stgan``: edit photos; train, measure, bundle, export and publish models.

Each command imports what it needs when it runs, so that ``stgan --help`` answers at once.
"""

import json
import shlex
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import DisallowNone, Positional, arg

says_default = partial(arg, help_behavior_hint="")  # for a help text that names the default itself
Model = Annotated[str | None, says_default(help="Model folder or Hub id. Default: STGAN_MODEL, or the bundled model.")]
YuNet = Annotated[Path | None, says_default(help="YuNet detector file. Default: downloaded from the Hub if possible.")]
FaceNumber = Annotated[
    int | None, says_default(help="Which face, counted from 0 at the left. Default: the largest that can be edited.")
]
ALIGNED = "Treat the whole photo as an aligned face crop, like CelebA's. Default: only if it has 178x218 pixels."
Aligned = Annotated[bool | None, DisallowNone, says_default(help=ALIGNED)]  # a flag: --aligned or --no-aligned

SMALLEST_SIDE = 32  # pixels


def edit(
    photo: Annotated[Positional[Path], arg(help="The photo to edit.")],
    add: Annotated[tuple[str, ...], arg(help="Attributes to add, such as Eyeglasses Blond_Hair.")] = (),
    remove: Annotated[tuple[str, ...], arg(help="Attributes to remove, such as Mustache.")] = (),
    out: Annotated[
        Path | None,
        says_default(help="File to write. Default: beside the photo, with -edited in its name; PNG if that is a BMP."),
    ] = None,
    intensity: Annotated[float, arg(help="Strength of the edit: 1 is normal, 2 the maximum.")] = 1.0,
    model: Model = None,
    face: FaceNumber = None,
    aligned: Aligned = None,
    yunet: YuNet = None,
) -> None:
    """Edit the face in a photo. The result is as large as the photo.

    Example: stgan edit me.jpg --add Eyeglasses Blond_Hair --remove No_Beard --intensity 1.2
    """
    from stgan.photo.files import FORMATS, save_photo

    both = [name for name in dict.fromkeys(add) if name in remove]
    if both:
        raise ValueError(f"{', '.join(both)}: named with --add and with --remove. Use only one of them.")
    changes = dict.fromkeys(add, True) | dict.fromkeys(remove, False)
    if not changes:
        raise ValueError("Nothing to do: name attributes with --add or --remove (stgan attributes PHOTO lists them).")
    if out is None:
        out = photo.parent / f"{photo.stem}-edited{photo.suffix if photo.suffix.lower() in FORMATS else '.png'}"
    else:
        _check_writable(out)
    editor = _editor(model, yunet)
    edited = editor.edit(photo, changes, intensity, face=face, aligned=aligned)
    summary = " ".join([f"+{name}" for name in add] + [f"-{name}" for name in remove])
    save_photo(edited, out, description=f"Edited with stgan: {summary}, intensity {intensity:g}")
    print(out)


def attributes(
    photo: Annotated[Positional[Path], arg(help="The photo to read.")],
    model: Model = None,
    face: FaceNumber = None,
    aligned: Aligned = None,
    yunet: YuNet = None,
    as_json: Annotated[bool, arg(name="json", help="Print JSON.")] = False,
) -> None:
    """Print the attributes of the face in a photo, with the classifier's confidence."""
    prepared = _editor(model, yunet).prepare(photo, face=face, aligned=aligned)
    if as_json:
        print(json.dumps(prepared.probabilities))
        return
    present = prepared.label_dict()
    for name, probability in prepared.probabilities.items():
        print(f"{'x' if present[name] else ' '}  {name:<20} {probability:6.1%}")


def sheet(
    photo: Annotated[Positional[Path], arg(help="The photo to edit.")],
    out: Annotated[Path, arg(help="Image file to write.")] = Path("edits.png"),
    intensity: Annotated[float, arg(help="Strength of every edit.")] = 1.0,
    columns: Annotated[int, arg(help="Pictures per row.")] = 7,
    side: Annotated[int, arg(help="Side of each picture in pixels.")] = 224,
    model: Model = None,
    face: FaceNumber = None,
    aligned: Aligned = None,
    yunet: YuNet = None,
) -> None:
    """Draw one picture of all edits of a photo: each attribute added, or removed if the face has it."""
    from PIL import Image

    from stgan.attributes import caption
    from stgan.evaluation.figures import contact_sheet
    from stgan.photo.files import save_photo

    if columns < 1 or side < SMALLEST_SIDE:
        raise ValueError(f"A sheet needs --columns 1 or more and --side {SMALLEST_SIDE} or more.")
    _check_writable(out)
    editor = _editor(model, yunet)
    prepared = editor.prepare(photo, face=face, aligned=aligned).close_up(side)
    edits = editor.single_edits(prepared)
    pictures = [Image.fromarray(prepared.photo.rgb), *editor.edit_each(prepared, list(edits.values()), intensity)]
    captions = ["Photo", *(caption(name, edit[name]) for name, edit in edits.items())]
    save_photo(contact_sheet(pictures, captions, columns, side), out)
    print(out)


def export(
    model: Model = None,
    format: Annotated[Literal["onnx"], arg(help="encode.onnx and decode.onnx; needs the extra onnx.")] = "onnx",
    output: Annotated[
        Path | None, says_default(help="Folder to write. Default: onnx, inside the model folder if the model is local.")
    ] = None,
) -> None:
    """Export an editor for other runtimes. Its results are checked: they agree with torch to 1e-4."""
    from stgan.editor import default_model
    from stgan.export import export_onnx

    model = default_model(model)
    output = output or (Path(model) / format if Path(model).is_dir() else Path(format))
    print(*export_onnx(model, output), sep="\n")


def train(arguments: list[str]) -> None:
    """Train an editor, a classifier, an aligner or a face parser."""
    from stgan.training.command import main as train_main

    train_main(arguments)


def evaluate(arguments: list[str]) -> None:
    """Measure a model: reconstruction, accuracy of edits, unwanted changes, and how the edits look."""
    from stgan.editor import default_model
    from stgan.evaluation.command import Settings, evaluate_folder

    settings = tyro.cli(Settings, prog="stgan evaluate", args=arguments)
    evaluate_folder(replace(settings, model=default_model(settings.model)))


def bundle(arguments: list[str]) -> None:
    """Assemble a model folder from trained networks, in half precision."""
    from stgan.bundle import Settings
    from stgan.bundle import bundle as assemble

    settings = tyro.cli(Settings, prog="stgan bundle", args=arguments)
    assemble(settings, shlex.join(["stgan", "bundle", *arguments]))


def publish(arguments: list[str]) -> None:
    """Push a model folder, or the demo as a Space, to the Hub."""
    from stgan.publish import publish as push

    tyro.cli(push, prog="stgan publish", args=arguments)


def _editor(model: str | None, yunet: Path | None):
    from stgan.editor import FaceEditor, default_model
    from stgan.photo.detect import FaceDetector

    return FaceEditor.from_pretrained(default_model(model), detector=FaceDetector(yunet) if yunet else None)


def _check_writable(out: Path) -> None:
    """Raise a ValueError, before the work, unless a photo can be written to this file."""
    from stgan.photo.files import FORMATS

    if out.suffix.lower() not in FORMATS:
        raise ValueError(f"--out {out} ends in none of {', '.join(FORMATS)}: use one of these, such as .png.")
    if not out.parent.is_dir():
        raise ValueError(f"There is no folder {out.parent} for --out {out}: create it, or choose another.")


COMMANDS = (edit, attributes, sheet, export)
COMMANDS_WITH_MODULES = (train, evaluate, bundle, publish)  # their options are defined in modules that import torch


def main(arguments: list[str] | None = None) -> None:
    """Entry point. A mistake ends with one sentence that says what to do, not with a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        for command in COMMANDS_WITH_MODULES:
            if arguments[:1] == [command.__name__]:
                command(arguments[1:])
                return
        tyro.extras.subcommand_cli_from_dict(
            {command.__name__: command for command in (*COMMANDS, *COMMANDS_WITH_MODULES)},
            prog="stgan",
            description="Edit the attributes of a face in a photograph.",
            args=arguments,
        )
    except ModuleNotFoundError as error:  # of the extra that reads datasets; other extras have messages of their own
        sys.exit(f"stgan: {error.name} is not installed: pip install -e '.[train]'")
    except (ValueError, OSError) as error:  # the package's own errors are ValueErrors
        sys.exit(f"stgan: {error}")


if __name__ == "__main__":
    main()
