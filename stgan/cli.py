"""The command ``stgan``: edit a photo, read its attributes, draw all its edits; measure, export, publish a model."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import DisallowNone, Positional, arg

from stgan.publish import publish

Model = Annotated[str | None, arg(help="Model folder or Hub id. Default: STGAN_MODEL, or the bundled model.")]
YuNet = Annotated[Path | None, arg(help="YuNet detector file. Default: from the Hub where it can be had.")]
FaceNumber = Annotated[
    int | None, arg(help="Which face, counted from 0 at the left. Default: the largest that is editable.")
]
Aligned = Annotated[
    bool | None,
    DisallowNone,  # as a flag: --aligned or --no-aligned
    arg(
        help="Take the whole photo as an aligned crop, as CelebA's, and look for no face. "
        "Default: where it has 178x218 pixels."
    ),
]

SMALLEST_SIDE = 32  # pixels


def edit(
    photo: Annotated[Positional[Path], arg(help="The photo to edit.")],
    add: Annotated[tuple[str, ...], arg(help="Attributes to give, such as Eyeglasses Blond_Hair.")] = (),
    remove: Annotated[tuple[str, ...], arg(help="Attributes to take away, such as Mustache.")] = (),
    out: Annotated[
        Path | None,
        arg(help="File to write. Default: beside the photo, with -edited in its name; a PNG where the photo is a BMP."),
    ] = None,
    intensity: Annotated[float, arg(help="1 is a plain edit, less is weaker; more is stronger, up to 2.")] = 1.0,
    model: Model = None,
    face: FaceNumber = None,
    aligned: Aligned = None,
    yunet: YuNet = None,
) -> None:
    """Edit the face in a photo; the result has the photo's own size.

    Example: stgan edit me.jpg --add Eyeglasses Blond_Hair --remove No_Beard --intensity 1.2
    """
    from stgan.photo.files import FORMATS, save_photo

    both = [name for name in dict.fromkeys(add) if name in remove]
    if both:
        raise ValueError(f"{', '.join(both)}: named with --add and with --remove. Name it with one of them.")
    changes = dict.fromkeys(add, True) | dict.fromkeys(remove, False)
    if not changes:
        raise ValueError("Nothing to do: name attributes with --add or --remove (stgan attributes PHOTO lists them).")
    if out is None:
        out = photo.parent / f"{photo.stem}-edited{photo.suffix if photo.suffix.lower() in FORMATS else '.png'}"
    else:
        _check_writable(out)
    editor = _editor(model, yunet)
    edited = editor.edit(photo, changes, intensity, face=face, aligned=aligned)
    asked = " ".join([f"+{name}" for name in add] + [f"-{name}" for name in remove])
    save_photo(edited, out, description=f"Edited with stgan: {asked}, intensity {intensity:g}")
    print(out)


def attributes(
    photo: Annotated[Positional[Path], arg(help="The photo to look at.")],
    model: Model = None,
    face: FaceNumber = None,
    aligned: Aligned = None,
    yunet: YuNet = None,
    as_json: Annotated[bool, arg(name="json", help="Print JSON.")] = False,
) -> None:
    """Print which attributes the face in a photo has, with the classifier's confidence."""
    prepared = _editor(model, yunet).prepare(photo, face=face, aligned=aligned)
    if as_json:
        print(json.dumps(prepared.probabilities))
        return
    present = prepared.label_dict()
    for name, probability in prepared.probabilities.items():
        print(f"{'x' if present[name] else ' '}  {name:<20} {probability:6.1%}")


def sheet(
    photo: Annotated[Positional[Path], arg(help="The photo to edit.")],
    out: Annotated[Path, arg(help="Picture to write.")] = Path("edits.png"),
    intensity: Annotated[float, arg(help="Of every edit.")] = 1.0,
    columns: Annotated[int, arg(help="Pictures in a row.")] = 7,
    side: Annotated[int, arg(help="Side of each picture in pixels.")] = 224,
    model: Model = None,
    face: FaceNumber = None,
    aligned: Aligned = None,
    yunet: YuNet = None,
) -> None:
    """Draw one picture of every single edit of a photo: each attribute added, or taken away where the face has it."""
    from PIL import Image

    from stgan.attributes import caption
    from stgan.evaluation.figures import contact_sheet
    from stgan.photo.files import save_photo

    if columns < 1 or side < SMALLEST_SIDE:
        raise ValueError(f"A sheet needs --columns 1 or more, of pictures with --side {SMALLEST_SIDE} or more.")
    _check_writable(out)
    editor = _editor(model, yunet)
    prepared = editor.prepare(photo, face=face, aligned=aligned).close_up(side)
    edits = editor.single_edits(prepared)
    pictures = [Image.fromarray(prepared.photo.rgb), *editor.edit_each(prepared, list(edits.values()), intensity)]
    captions = ["Photo", *(caption(name, edit[name]) for name, edit in edits.items())]
    save_photo(contact_sheet(pictures, captions, columns, side), out)
    print(out)


def evaluate(
    data: Annotated[Positional[str], arg(help="Hub id, folder of Parquet files, or folder of the CelebA download.")],
    model: Model = None,
    split: Annotated[str, arg(help="train, validation or test.")] = "validation",
    classifier: Annotated[str | None, arg(help="Another judge than the model's own: folder or Hub id.")] = None,
    max_samples: Annotated[int | None, arg(help="Measure only this many images.")] = None,
    intensities: Annotated[tuple[float, ...], arg(help="Of the edits; published accuracies are for 1.5.")] = (1.0, 1.5),
    batch_size: Annotated[int, arg(help="Images at once.")] = 64,
    crop: Annotated[Literal["auto", "celeba", "center", "none"], arg(help="Crop of the images.")] = "auto",
    device: Annotated[str | None, arg(help="cpu, cuda, … Default: the GPU where there is one.")] = None,
    output: Annotated[Path | None, arg(help="Folder for evaluation.json, evaluation.md and edits.png.")] = None,
    update_card: Annotated[bool, arg(help="Put the figures into the model folder's card.")] = False,
    document: Annotated[
        Path | None, arg(help="Markdown file: put the means between its lines <!-- [/]stgan evaluate -->.")
    ] = None,
    realism: Annotated[bool, arg(help="Also FID and KID: needs the extra realism, downloads a network.")] = False,
) -> None:
    """Measure a model: PSNR and SSIM of its reconstruction, accuracy of its edits, and what they disturb."""
    from stgan.editor import default_model
    from stgan.evaluation.command import evaluate_folder

    evaluate_folder(
        model or default_model(), data, split, classifier, max_samples, intensities, batch_size, device, output,
        update_card=update_card, document=document, crop=crop, realism=realism,
    )  # fmt: skip


def export(
    model: Model = None,
    format: Annotated[Literal["onnx"], arg(help="encode.onnx and decode.onnx; needs the extra onnx.")] = "onnx",
    output: Annotated[
        Path | None, arg(help="Folder to write. Default: onnx in the model's, where that is one.")
    ] = None,
) -> None:
    """Export an editor for other runtimes, checked against torch to 1e-4."""
    from stgan.editor import default_model
    from stgan.export import export_onnx

    model = model or default_model()
    output = output or (Path(model) / format if Path(model).is_dir() else Path(format))
    print(*export_onnx(model, output), sep="\n")


def _check_writable(out: Path) -> None:
    """Before the work: that a photo can be written to this file.

    Raises:
        ValueError: another suffix than those of pictures, or no such folder.
    """
    from stgan.photo.files import FORMATS

    if out.suffix.lower() not in FORMATS:
        raise ValueError(f"--out {out} ends in none of {', '.join(FORMATS)}: give one of them, such as .png.")
    if not out.parent.is_dir():
        raise ValueError(f"There is no folder {out.parent} for --out {out}: make it first, or name another one.")


def _editor(model: str | None, yunet: Path | None):
    from stgan.editor import FaceEditor, default_model
    from stgan.photo.detect import FaceDetector

    return FaceEditor.from_pretrained(model or default_model(), detector=FaceDetector(yunet) if yunet else None)


COMMANDS = (edit, attributes, sheet, evaluate, export, publish)


def main() -> None:
    """Entry point. A mistake ends with one sentence that says what to do, not with a trace."""
    try:
        tyro.extras.subcommand_cli_from_dict(
            {command.__name__: command for command in COMMANDS},
            prog="stgan",
            description="Edit the attributes of a face in a photograph.",
        )
    except ModuleNotFoundError as error:  # of the extra that reads datasets; the others say so themselves
        sys.exit(f"stgan: {error.name} is not installed: pip install -e '.[train]'")
    except (ValueError, OSError) as error:  # the package's own errors are ValueErrors
        sys.exit(f"stgan: {error}")


if __name__ == "__main__":
    main()
