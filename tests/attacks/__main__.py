"""``python -m attacks inputs|photos|training``: attacks in any number. Run it in the folder tests/, or by make."""

import argparse
import logging
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Make the attacks that the arguments name and print what came of them; 1 where there was a fault."""
    logging.getLogger("stgan.demo").setLevel(logging.ERROR)  # a hundred thousand refusals
    parser = argparse.ArgumentParser(prog="python -m attacks", description=__doc__)
    parser.add_argument("kind", choices=[*ATTACKS])
    parser.add_argument("--count", type=int, default=1000, help="number of attacks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="one target, photo or kind of attack on trainings; small: photos")
    parser.add_argument("--kills", type=int, default=50, help="of trainings")
    parser.add_argument("--route", default="", help="of photos: reader, library, command, endpoint or page")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        reports = ATTACKS[chosen.kind](chosen, Path(folder))
    print(*reports, sep="\n")
    return int(any(report.faults for report in reports))


def _inputs(chosen: argparse.Namespace, folder: Path) -> list:
    from attacks import inputs

    return inputs.run(chosen.count, chosen.seed, folder, chosen.only)


def _photos(chosen: argparse.Namespace, folder: Path) -> list:
    from attacks import photos
    from attacks.editor import bundled_editor, small_editor

    return photos.run(folder, small_editor(folder / "model"), bundled_editor, chosen.only, chosen.route)


def _training(chosen: argparse.Namespace, folder: Path) -> list:
    from attacks import trainings

    return trainings.run(folder, chosen.kills, chosen.seed, chosen.only)


ATTACKS = {"inputs": _inputs, "photos": _photos, "training": _training}


if __name__ == "__main__":
    sys.exit(main())
