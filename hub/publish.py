"""Push a model folder or the demo's Space to the Hub: python hub/publish.py --help. The same as ``stgan publish``."""

import sys

from stgan.cli import main

if __name__ == "__main__":
    main(["publish", *sys.argv[1:]])
