"""A measurement of an editor, and the cells of a Markdown table."""

from dataclasses import replace

from stgan.evaluation.results import ClassifierReport, EditScores, Evaluation


def evaluation(**more):
    """A made-up measurement: .8 and .9 for Male, .6 and .7 for Young."""
    scores = {
        intensity: EditScores({"Male": low, "Young": low - 0.2}, {"Male": error, "Young": error}, {"Male": 0.3})
        for intensity, low, error in ((1.0, 0.8, 0.05), (1.5, 0.9, 0.1))
    }
    judge = ClassifierReport({"Male": 0.9, "Young": 0.8}, {"Male": 0.85, "Young": 0.75}, {"Male": 0.5, "Young": 1})
    measured = Evaluation(1234, 30.0, 0.9, scores, judge, 1.0)
    return replace(measured, **more)


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]
