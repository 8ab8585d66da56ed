"""Benchmarks that compare editors: their tables, and commands that make them again."""

import json
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import tyro
from measurements import cells, evaluation
from PIL import ImageChops
from scripts import load_script
from skimage.data import astronaut

from stgan import FaceEditor
from stgan.card import split_section
from stgan.editing.editor import BUNDLED
from stgan.evaluation.figures import MARGIN, sample_grid
from stgan.models import STGAN, AttGAN, AttributeClassifier
from stgan.training.command import parse

RESULTS = Path(__file__).parent.parent / "docs" / "results.md"


@pytest.fixture
def family():
    return load_script("benchmarks/family.py")


def again(text, benchmark):
    """The settings of the command that a table names."""
    words = shlex.split(text.split("Made by `")[1].split("`")[0])
    return tyro.cli(benchmark.Settings, args=words[2:])


def page_with(section, folder):
    page = folder / "page.md"
    page.write_text(f"# Title\n\n<!-- {section} -->\n<!-- /{section} -->\n", encoding="utf-8")
    return page


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("family", "benchmarks/family.py"),
        ("widths", "benchmarks/widths.py"),
        ("variants", "benchmarks/variants.py settings"),
        ("variants", "benchmarks/variants.py precision"),
    ],
)
def test_the_results_have_commands_that_train_by_options_of_today(name, section):
    benchmark = load_script(f"benchmarks/{name}.py")
    text = split_section(RESULTS, section)[1]
    settings = again(text, benchmark)
    members = benchmark.FAMILY if name == "family" else benchmark.members(settings)
    rows = [row[0] for row in cells(text[text.index("|---") :]) if not row[0].startswith(("**", "-"))]
    assert rows == list(members)
    for member in members.values():
        options = parse(benchmark.side_by_side.training_words(member, settings)[1:]).flat()
        assert (options["model"], options["total_images"]) == (member[0], settings.total_images)
    assert benchmark.side_by_side.command(f"benchmarks/{name}.py", settings) in text


def test_the_familys_table_reaches_page_and_card(family, tmp_path):
    model = STGAN(("Male", "Young"), 32, width=4, layers=3, stu_layers=2)
    model.save_pretrained(tmp_path / "model")
    figures = {"STGAN": family.side_by_side.measured(model.eval(), evaluation(), 12.34)}
    settings = family.Settings(
        dataset="data", document=page_with(family.SECTION, tmp_path), card=tmp_path / "model", options="--seed 3",
        width=8, batch_size=3, classifier="a judge",
    )  # fmt: skip
    family.write(settings, figures, 55)
    table = split_section(settings.document, family.SECTION)[1]
    row = next(line for line in table.splitlines() if line.startswith("| STGAN |"))
    assert "measured on 55 validation images" in table
    assert again(table, family) == replace(settings, document=family.Settings.document, card=family.Settings.card)
    assert cells(row)[0][-1] == "12.3"
    assert cells(row)[0][:7] == ["STGAN", "30.00", "0.900", "0.700", "0.800", "0.050", "0.100"]
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert table in card
    assert "hub" not in card.split("## Use")[1].split("```")[1]


def test_the_familys_picture_has_the_edits_of_one_photo_by_each(family, tmp_path):
    settings = family.Settings(output_dir=tmp_path, only=("STGAN", "AttGAN"))
    models = {"STGAN": STGAN(("Male", "Young"), 96, width=4, layers=3, stu_layers=2)}
    models["AttGAN"] = AttGAN(("Male", "Young"), 96, width=4, layers=3)
    for name, model in models.items():
        model.save_pretrained(tmp_path / settings.run_name(family.FAMILY[name]) / "model")
    figure = family.draw(settings)
    editor = FaceEditor.from_pretrained(BUNDLED)
    face = FaceEditor(models["AttGAN"].eval(), editor.classifier, aligner=editor.aligner).prepare(astronaut())
    alone = sample_grid(models["AttGAN"], torch.from_numpy(face.crop).permute(2, 0, 1)[None], face.labels[None])
    row = (alone.width - MARGIN, 96 + MARGIN)  # from where the pictures begin to the corner below them
    ends = [image.crop((image.width - row[0], image.height - row[1], *image.size)) for image in (figure, alone)]
    assert ImageChops.difference(*ends).getbbox() is None
    assert figure.height > alone.height + 96


def test_variants_are_compared_by_the_means_of_the_same_seeds(celeba, tmp_path, monkeypatch):
    variants = load_script("benchmarks/variants.py")
    names = ("Male", "Young")
    AttributeClassifier(names, 32, width=4).save_pretrained(tmp_path / "judge")
    runs = []

    def trained(words, **_):
        config = parse([str(word) for word in words[2:]]).flat()
        torch.manual_seed(config["seed"])
        STGAN(names, 32, width=2).save_pretrained(Path(config["output_dir"]) / "model")
        runs.append((Path(config["output_dir"]).name, config["batch_size"], config["seed"]))
        assert "--no_soft_mask" not in words  # the recipe as it is
        command = f"accelerate launch {shlex.join(words[1:])}"
        record = {"commands": [{"from_image": 0, "command": command}], "images_seen": config["total_images"]}
        (Path(config["output_dir"]) / "model" / "training.json").write_text(json.dumps(record), encoding="utf-8")

    monkeypatch.setattr(subprocess, "run", trained)
    monkeypatch.setattr(variants.side_by_side, "milliseconds", lambda model: 1.5)
    settings = variants.Settings(
        dataset=str(celeba), classifier=str(tmp_path / "judge"), output_dir=tmp_path / "runs", image_size=32,
        samples=4, seeds=(3, 4), variants=("as it is:", "no flips: --no_random_flip", "small: --batch_size 2"),
        section="flips", document=page_with("benchmarks/variants.py flips", tmp_path),
    )  # fmt: skip
    variants.main(settings)
    assert runs == [
        ("seed-3", 16, 3), ("seed-4", 16, 4), ("no_random_flip-seed-3", 16, 3), ("no_random_flip-seed-4", 16, 4),
        ("batch_size-2-seed-3", 2, 3), ("batch_size-2-seed-4", 2, 4),
    ]  # fmt: skip
    page = settings.document.read_text(encoding="utf-8")
    table = split_section(settings.document, "benchmarks/variants.py flips")[1]
    assert again(table, variants) == replace(settings, document=variants.Settings.document)
    rows = {row[0]: [float(cell) for cell in row[1:]] for row in cells(table.split("|---")[-1].split("\n", 1)[1])}
    for name in ("as it is", "no flips", "small"):
        first, second = np.array(rows[f"{name}, seed 3"]), np.array(rows[f"{name}, seed 4"])
        np.testing.assert_allclose(rows[f"**{name}**"], (first + second) / 2, atol=0.011)  # all are rounded
        assert not np.array_equal(first, second)
    assert rows["as it is, seed 3"] == rows["small, seed 3"]  # one stand-in for both
    variants.main(settings)
    assert len(runs) == 6  # what is finished is only measured again
    assert settings.document.read_text(encoding="utf-8") == page
    with pytest.raises(ValueError, match="was trained with other settings .* Choose another --output_dir"):
        variants.main(replace(settings, total_images=50_000))
    with pytest.raises(ValueError, match='"bf16": give each variant its own name'):
        variants.main(replace(settings, variants=("bf16",)))


@pytest.mark.parametrize("name", ["family", "widths", "variants", "slider"])
def test_nothing_is_trained_or_measured_where_the_table_has_no_place(name, tmp_path):
    benchmark = load_script(f"benchmarks/{name}.py")
    page = page_with("another", tmp_path)
    with pytest.raises(ValueError, match=f"needs <!-- benchmarks/{name}.py"):
        benchmark.main(benchmark.Settings(document=page))


def test_the_family_is_not_trained_for_a_photo_that_does_not_open(family, tmp_path):
    (tmp_path / "photo.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"photo\.png"):
        family.main(family.Settings(photo=tmp_path / "photo.png", dataset=str(tmp_path / "none")))


def test_a_part_of_the_family_is_printed_and_no_table_is_lost(family, tmp_path, monkeypatch, capsys):
    compared = []
    figures = {"a row": [0.0] * 9}
    monkeypatch.setattr(family, "compare", lambda members, _: compared.append(members) or (figures, 5))
    monkeypatch.setattr(family, "write", lambda *_: pytest.fail("it wrote"))
    family.main(family.Settings(only=("AttGAN",)))
    assert compared == [{"AttGAN": ("attgan",)}]
    assert "| a row |" in capsys.readouterr().out
    with pytest.raises(ValueError, match="--only Stgan: the family is STGAN; "):
        family.main(family.Settings(only=("AttGAN", "Stgan")))


def test_widths_are_compared_with_one_discriminator_and_timed_at_the_size_that_is_used(celeba, tmp_path, monkeypatch):
    widths = load_script("benchmarks/widths.py")
    names = ("Male", "Young")
    AttributeClassifier(names, 32, width=4).save_pretrained(tmp_path / "judge")
    runs, sizes, timed = [], [], widths.side_by_side.milliseconds

    def trained(words, **_):
        config = parse([str(word) for word in words[2:]]).flat()
        STGAN(names, 32, width=config["width"]).save_pretrained(Path(config["output_dir"]) / "model")
        runs.append((config["width"], config["discriminator_width"]))

    monkeypatch.setattr(subprocess, "run", trained)
    monkeypatch.setattr(widths.side_by_side, "milliseconds", lambda model: sizes.append(model.image_size) or 1.5)
    settings = widths.Settings(
        dataset=str(celeba), classifier=str(tmp_path / "judge"), output_dir=tmp_path / "runs", image_size=32,
        samples=4, widths=(2, 3), document=page_with(widths.SECTION, tmp_path),
    )  # fmt: skip
    widths.main(settings)
    table = split_section(settings.document, widths.SECTION)[1]
    rows = cells("\n".join(line for line in table.splitlines() if line.startswith("| width")))
    assert [(row[0], row[-2], row[-1]) for row in rows] == [
        (f"width {width}", f"{STGAN(names, 32, width=width).parameter_count() / 1e6:.2f}", "1.5") for width in (2, 3)
    ]
    assert runs == [(2, 16), (3, 16)]
    assert sizes == [128, 128]
    assert again(table, widths) == replace(settings, document=widths.Settings.document)
    assert timed(STGAN(names, 32, width=2).eval()) > 0


@pytest.fixture
def slider():
    return load_script("benchmarks/slider.py")


def test_the_sliders_ends_are_edits_of_one_attribute_alone(slider):
    torch.manual_seed(0)
    model = STGAN(("Male", "Young"), 32, width=4, layers=3, stu_layers=2).eval()
    judge = AttributeClassifier(("Young", "Bald", "Male"), 32, width=4).eval()
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    logits = slider.judged(model, judge, images, batch_size=2)
    assert logits.shape == (2, 7, 3)
    for k, column, intensity in ((0, 2, -1.5), (1, 0, 0.0), (1, 0, 1.0)):
        edit = torch.tensor([[intensity, 0.0] if k == 0 else [0.0, intensity]])
        alone = model(images[2:] / 127.5 - 1, edit)
        expected = judge((alone * 127.5 + 127.5).round().clamp(0, 255) / 127.5 - 1)[0, column]
        torch.testing.assert_close(logits[k, slider.INTENSITIES.index(intensity), 2], expected, atol=1e-4, rtol=0)


def test_the_sliders_table_counts_the_steps_that_rise(slider):
    rising = torch.arange(-3.0, 4)
    logits = torch.stack([torch.stack([rising, rising], dim=1), torch.stack([rising, -rising], dim=1)])
    lines = slider.table(("Male", "Young"), logits).splitlines()
    assert cells(lines[0])[0][1:] == ["-1.5", "-1", "-0.5", "0", "+0.5", "+1", "+1.5", "steps that rise"]
    assert cells(lines[2])[0] == ["Male", "0.047", "0.119", "0.269", "0.500", "0.731", "0.881", "0.953", "1.000"]
    assert cells(lines[3])[0] == ["Young", *["0.500"] * 7, "0.500"]
    assert cells(lines[4])[0][-1] == "0.750"


def test_a_slider_needs_a_model_asked_by_differences(slider, tmp_path):
    STGAN(("Male",), 32, width=4, layers=3, stu_layers=2, label_mode="target").save_pretrained(tmp_path)
    AttributeClassifier(("Male",), 32, width=4).save_pretrained(tmp_path / "classifier")
    with pytest.raises(ValueError, match="choose a model of attribute differences"):
        slider.main(slider.Settings(dataset=str(tmp_path / "none"), model=tmp_path))


def test_the_results_say_how_the_slider_was_measured(slider):
    text = split_section(RESULTS, slider.SECTION)[1]
    settings = again(text, slider)
    assert slider.side_by_side.command(slider.SECTION, settings) in text
    assert f"over {settings.samples} validation people" in text
