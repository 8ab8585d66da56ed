"""The command ``stgan``: edit photos; train, measure, bundle, export and publish models.

Each command imports what it needs when it runs, so that ``stgan --help`` answers at once.
"""

import io
import json
import shlex
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import DisallowNone, Positional, arg

from stgan.terminal import check_folder, lacks_memory, printable

says_default = partial(arg, help_behavior_hint="")  # for a help text that names the default itself
Model = Annotated[str | None, says_default(help="Model folder or Hub id. Default: STGAN_MODEL, or the bundled model.")]
YuNet = Annotated[Path | None, says_default(help="YuNet detector file. Default: downloaded from the Hub if possible.")]
FaceNumber = Annotated[
    int | None, says_default(help="Which face, counted from 0 at the left. Default: the largest that can be edited.")
]
FaceOrAll = Annotated[
    int | Literal["all"] | None,
    says_default(help="Which face, from 0 at the left, or all. Default: the largest that can be edited."),
]
ALIGNED = "Treat the whole photo as an aligned face crop. Default: only if its size and face are those of CelebA's."
Aligned = Annotated[bool | None, DisallowNone, says_default(help=ALIGNED)]  # a flag: --aligned or --no-aligned

SMALLEST_SIDE = 32  # pixels


def edit(
    photos: Annotated[
        Positional[tuple[Path, ...]], arg(help="Photos to edit: files, folders, or patterns.", metavar="PHOTO...")
    ],
    add: Annotated[tuple[str, ...], arg(help="Attributes to add, such as Eyeglasses Blond_Hair.")] = (),
    remove: Annotated[tuple[str, ...], arg(help="Attributes to remove, such as Mustache.")] = (),
    all_edits: Annotated[bool, arg(help="Make every single edit of each photo, a file for each.")] = False,
    out: Annotated[
        Path | None,
        says_default(
            help="File to write. Default: beside the photo, with -edited in its name; PNG if it is read only."
        ),
    ] = None,
    out_dir: Annotated[
        Path | None, says_default(help="Folder for the results, under the names of their photos. Default: beside them.")
    ] = None,
    overwrite: Annotated[bool, arg(help="Replace results of earlier edits.")] = False,
    intensity: Annotated[float, arg(help="Strength of the edit: 1 is normal, 2 the maximum.")] = 1.0,
    source: Annotated[
        tuple[str, ...], arg(help="Corrections to what the model sees, such as Mustache=0 Young=1.", metavar="NAME=0|1")
    ] = (),
    force: Annotated[bool, arg(help="Edit even where the model sees the wanted attributes already.")] = False,
    model: Model = None,
    face: FaceOrAll = None,
    aligned: Aligned = None,
    turn: Annotated[Literal[0, 90, 180, 270], arg(help="Degrees clockwise by which photos are turned first.")] = 0,
    mark: Annotated[bool, arg(help='Write "Edited with AI" into a corner of each result.')] = False,
    yunet: YuNet = None,
) -> None:
    """Edit the face in each photo. A result is as large as its photo.

    Example: stgan edit me.jpg --add Eyeglasses Blond_Hair --remove No_Beard --intensity 1.2
    """
    from tqdm.auto import tqdm

    from stgan.attributes import in_a_file_name
    from stgan.batch import Results, for_each, photos_of, tell
    from stgan.photo.files import open_photo, save_photo

    changes, corrections = _changes(add, remove, all_edits), _corrections(source)
    if all_edits and (out or face == "all"):
        raise ValueError("--all-edits writes several files of one face: use --out-dir, and no --face all.")
    files = photos_of(photos)
    results = Results(files, out, out_dir, overwrite)
    if len(files) == 1 and not all_edits:
        results.path(files[0])  # says before the work if it cannot be written
    editor = _editor(model, yunet)
    _check_request(editor, changes, corrections, intensity)
    settings = {"intensity": intensity, "source": corrections, "force": force}

    def save(edited: Any, path: Path, name: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        replaced = path.exists()
        save_photo(edited, path, mark=mark)
        for note in edited.info["stgan"].notes():
            tell(name, f"{note}.".replace("..", "."))
        if replaced:
            tell(name, f"{path} was replaced.")
        tqdm.write(str(path), file=sys.stdout)

    def work(file: Path) -> None:
        name = f"{file.name}:" if len(files) > 1 else ""
        if not all_edits:
            path = results.path(file)
            photo = open_photo(file, turn=turn)
            save(editor.edit(photo, changes, face=face, aligned=aligned, **settings), path, name)
            return
        prepared = editor.prepare(open_photo(file, turn=turn), face=face, aligned=aligned)
        for attribute, wanted in editor.single_edits(prepared).items():
            path = results.path(file, f"-{'add' if wanted[attribute] else 'remove'}-{in_a_file_name(attribute)}")
            save(editor.edit(prepared, wanted, **settings), path, name)

    for_each(files, work)


def _changes(add: Sequence[str], remove: Sequence[str], all_edits: bool) -> dict[str, bool]:
    both = [name for name in dict.fromkeys(add) if name in remove]
    if both:
        raise ValueError(f"{', '.join(both)}: named with --add and with --remove. Use only one of them.")
    changes = dict.fromkeys(add, True) | dict.fromkeys(remove, False)
    if all_edits and changes:
        raise ValueError("--all-edits makes every edit: leave out --add and --remove.")
    if not changes and not all_edits:
        raise ValueError("Nothing to do: name attributes with --add or --remove (stgan attributes PHOTO lists them).")
    return changes


def _corrections(source: Sequence[str]) -> dict[str, bool]:
    """What ``--source NAME=0`` says."""
    words = {"1": True, "true": True, "yes": True, "0": False, "-1": False, "false": False, "no": False}
    corrections = {}
    for text in source:
        name, equals, value = text.partition("=")
        if not equals or value.lower() not in words:
            raise ValueError(f"--source {text}: write NAME=1 for what the face has, and NAME=0 for what it lacks.")
        corrections[name] = words[value.lower()]
    return corrections


def _check_request(editor: Any, changes: dict, corrections: dict, intensity: float) -> None:
    """Mistakes in an edit show before the first photo is opened."""
    import torch

    from stgan.attributes import as_labels, edited_labels
    from stgan.editing.edits import read_intensities

    as_labels(corrections, editor.names)
    edited_labels(torch.zeros(len(editor.names)), changes, editor.names)
    read_intensities(intensity, editor.names)


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
    from stgan.batch import Results, check_writable, tell
    from stgan.evaluation.figures import contact_sheet
    from stgan.photo.files import save_photo

    if columns < 1 or side < SMALLEST_SIDE:
        raise ValueError(f"A sheet needs --columns 1 or more and --side {SMALLEST_SIDE} or more.")
    check_writable(out)
    Results([photo], out)  # refuses the photo itself
    editor = _editor(model, yunet)
    prepared = editor.prepare(photo, face=face, aligned=aligned).close_up(side)
    edits = editor.single_edits(prepared)
    pictures = [Image.fromarray(prepared.photo.rgb), *editor.edit_each(prepared, list(edits.values()), intensity)]
    captions = ["Photo", *(caption(name, edit[name]) for name, edit in edits.items())]
    replaced = out.exists()
    save_photo(contact_sheet(pictures, captions, columns, side), out)
    if replaced:
        tell(f"{out} was replaced.")
    print(out)


def export(
    model: Model = None,
    format: Annotated[Literal["onnx"], arg(help="encode.onnx and decode.onnx; needs the extra onnx.")] = "onnx",
    output: Annotated[
        Path | None, says_default(help="Folder to write. Default: onnx, inside the model folder if the model is local.")
    ] = None,
) -> None:
    """Export an editor for other runtimes. Its results are checked: they agree with torch to 1e-4."""
    from stgan.editing.editor import default_model
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
    from stgan.editing.editor import default_model
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
    from stgan.editing.editor import FaceEditor, default_model
    from stgan.photo.detect import FaceDetector

    return FaceEditor.from_pretrained(default_model(model), detector=FaceDetector(yunet) if yunet else None)


COMMANDS = (edit, attributes, sheet, export)
COMMANDS_WITH_MODULES = (train, evaluate, bundle, publish)  # their options are defined in modules that import torch


def main(arguments: list[str] | None = None) -> None:
    """Entry point. A mistake ends with one sentence that says what to do, not with a traceback."""
    check_folder("stgan")
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":  # no name of a file ends the command
            stream.reconfigure(errors="backslashreplace")
    warnings.showwarning = partial(_show_warning, warnings.showwarning)
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
        sys.exit(f"stgan: {printable(str(error))}")
    except KeyboardInterrupt:
        print("stgan: stopped.", file=sys.stderr)
        sys.exit(130)  # as a shell says it
    except (MemoryError, RuntimeError, SystemError) as error:
        if not lacks_memory(error):
            raise
        sys.exit("stgan: There is not enough memory: scale the photo down, or close other programs.")


def _show_warning(usual: Any, message: Warning | str, category: type[Warning], *place: Any, **options: Any) -> None:
    if category.__module__.startswith("stgan."):
        print(f"stgan: {printable(str(message))}", file=sys.stderr)
    else:
        usual(message, category, *place, **options)


if __name__ == "__main__":
    main()
