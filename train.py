"""Train an attribute editor, classifier, aligner or face parser: ``accelerate launch train.py --help``."""

import sys

from stgan.terminal import check_folder

check_folder("train.py")
try:
    from stgan.training.command import main
except ModuleNotFoundError as error:  # what the demo does without
    sys.exit(f"train.py: {error.name} is not installed: pip install -e '.[train]'")

if __name__ == "__main__":
    main(sys.argv[1:], "train.py")
