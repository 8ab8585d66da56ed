"""Labelled images to train on and to measure with, streamed or held in memory.

Any dataset with an image column and binary columns works. Images come out as uint8 (3, S, S), labels as 0 or 1.
"""

from stgan.data.errors import DataError, DataWarning, MissingSplitError, SkippedImages
from stgan.data.faces import FaceFrames, FaceLocator
from stgan.data.memory import MemoryBatches, MemoryDataset, PairedBatches, load_into_memory
from stgan.data.preprocess import Batch, Preprocess, label_value, random_flip
from stgan.data.sources import Source, open_split
from stgan.data.stream import StreamBatches

__all__ = [
    "Batch", "DataError", "DataWarning", "FaceFrames", "FaceLocator", "MemoryBatches", "MemoryDataset",
    "MissingSplitError", "PairedBatches", "Preprocess", "SkippedImages", "Source", "StreamBatches", "label_value",
    "load_into_memory", "open_split", "random_flip",
]  # fmt: skip
