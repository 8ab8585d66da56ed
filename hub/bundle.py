"""Assemble a model folder: python hub/bundle.py --help. The same as ``stgan bundle``."""

import sys

from stgan.cli import main

if __name__ == "__main__":
    main(["bundle", *sys.argv[1:]])
