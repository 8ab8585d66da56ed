"""Put trained networks together into one model folder: python hub/bundle.py --help. The same as ``stgan bundle``."""

from stgan.bundle import main

if __name__ == "__main__":
    main()
