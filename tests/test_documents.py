"""Tables in the README and in cards are made by commands, and say what the records say."""

import json
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import tyro
from PIL import ImageChops
from scripts import load_script
from skimage.data import astronaut

from stgan import FaceEditor
from stgan.card import EVALUATION_FILE, FAMILY_FILE, model_card, replace_section, split_section
from stgan.editor import BUNDLED
from stgan.evaluation.figures import MARGIN, sample_grid
from stgan.evaluation.results import ClassifierReport, EditScores, Evaluation, GroupScores
from stgan.evaluation.tables import PUBLISHED, comparison_table, evaluation_tables
from stgan.models import STGAN, AttGAN, AttributeClassifier
from stgan.training.command import parse

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture
def document(tmp_path):
    text = "# Title\n\n<!-- one -->\nold\n<!-- /one -->\n\nbetween\n\n<!-- two --><!-- /two -->\nend\n"
    (tmp_path / "page.md").write_text(text, encoding="utf-8")
    return tmp_path / "page.md"


def test_a_section_is_replaced_and_nothing_else(document):
    replace_section(document, "one", "new\n\n| a | table |\n")
    replace_section(document, "two", "more")
    replace_section(document, "two", "more")  # again changes nothing
    expected = (
        "# Title\n\n<!-- one -->\nnew\n\n| a | table |\n<!-- /one -->\n\nbetween\n\n"
        "<!-- two -->\nmore\n<!-- /two -->\nend\n"
    )
    assert document.read_text(encoding="utf-8") == expected
    assert split_section(document, "one")[1] == "new\n\n| a | table |"


@pytest.mark.parametrize("text", [None, "", "<!-- one -->", "<!-- /one --><!-- one -->", "<!-- one -->" * 2])
def test_a_document_without_the_marks_is_left_alone(text, tmp_path):
    page = tmp_path / "page.md"
    if text is not None:
        page.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="needs <!-- one --> and, below it, <!-- /one -->"):
        replace_section(page, "one", "new")
    assert text is None or page.read_text(encoding="utf-8") == text


def evaluation(**more):
    """What a measurement might have found: .8 and .9 for Male, .6 and .7 for Young."""
    scores = {
        intensity: EditScores({"Male": low, "Young": low - 0.2}, {"Male": error, "Young": error}, {"Male": 0.3})
        for intensity, low, error in ((1.0, 0.8, 0.05), (1.5, 0.9, 0.1))
    }
    judge = ClassifierReport({"Male": 0.9, "Young": 0.8}, {"Male": 0.85, "Young": 0.75}, {"Male": 0.5, "Young": 1})
    measured = Evaluation(1234, 30.0, 0.9, scores, judge, 1.0)
    return replace(measured, **more)


def test_every_figure_stands_under_its_heading():
    group = GroupScores(7, 0.95, {1.0: 0.41, 1.5: 0.42}, {1.0: 0.01, 1.5: 0.02})
    text = evaluation_tables(evaluation(groups={"not Male": group}))
    tables = {table.split(" | ")[0]: cells(table) for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)}
    head, _, *rows = tables["| attribute"]
    judged = {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}
    assert judged["Male"] == {
        "edit accuracy ±1": "0.800", "edit accuracy ±1.5": "0.900", "STGAN, paper, ±1.5": "0.960",
        "real faces": "0.500", "preservation error ±1": "0.050", "preservation error ±1.5": "0.100",
        "distance ±1": "0.300", "distance ±1.5": "0.300",
        "classifier accuracy": "0.900", "classifier balanced": "0.850",
    }  # fmt: skip
    assert judged["Young"] == {
        "edit accuracy ±1": "0.600", "edit accuracy ±1.5": "0.700", "STGAN, paper, ±1.5": "0.860",
        "real faces": "1.000", "preservation error ±1": "0.050", "preservation error ±1.5": "0.100",
        "distance ±1": "–", "distance ±1.5": "–", "classifier accuracy": "0.800", "classifier balanced": "0.750",
    }  # fmt: skip
    assert list(judged["**mean**"].values()) == [
        f"**{value}**" for value in
        ("0.700", "0.800", "–", "0.750", "0.050", "0.300", "0.100", "0.300", "0.850", "0.800")
    ]  # fmt: skip
    head, _, row = tables["| people labelled"]
    assert dict(zip(head, row, strict=True)) == {
        "people labelled": "not Male", "images": "7", "edit accuracy ±1": "0.410", "edit accuracy ±1.5": "0.420",
        "preservation error ±1": "0.010", "preservation error ±1.5": "0.020", "classifier accuracy": "0.950",
    }  # fmt: skip
    head, _, row, *_ = tables["| reconstruction (att_diff = 0)"]
    assert (head[1:], row) == (["PSNR, dB", "SSIM"], ["this model", "30.00", "0.900"])


def test_the_headline_is_the_means():
    assert evaluation(rgb_psnr=28.0, rgb_ssim=0.8).headline() == pytest.approx(
        {
            "psnr": 30, "ssim": 0.9, "rgb_psnr": 28, "rgb_ssim": 0.8, "edit_accuracy_1": 0.7,
            "preservation_error_1": 0.05, "distance_1": 0.3, "edit_accuracy_1.5": 0.8, "preservation_error_1.5": 0.1,
            "distance_1.5": 0.3, "classifier_accuracy": 0.85,
        }
    )  # fmt: skip


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]


def test_the_comparison_holds_the_means_and_what_was_published():
    head, _, ours, *published = cells(comparison_table(evaluation()))
    assert head[1:5] == ["PSNR, dB", "SSIM", "edit accuracy ±1", "edit accuracy ±1.5"]
    assert ours == ["this model, 1,234 images", "30.00", "0.900", "0.700", "0.800", "0.050", "0.100"]
    assert [row[1:5] for row in published] == [
        [f"{psnr:.2f}", f"{ssim:.3f}", "–", f"{accuracy:.3f}"] for psnr, ssim, accuracy in PUBLISHED.values()
    ]
    masked = cells(comparison_table(evaluation(rgb_psnr=28.0, rgb_ssim=0.8)))
    assert masked[3] == ["what it paints, without its soft mask", "28.00", "0.800", "–", "–", "–", "–"]
    assert {len(row) for row in masked} == {7}


@pytest.mark.skipif(not BUNDLED.is_dir(), reason="no bundled model here")
@pytest.mark.parametrize(
    ("section", "file", "key"),
    [("stgan evaluate", EVALUATION_FILE, "comparison"), ("benchmarks/family.py", FAMILY_FILE, "markdown")],
)
def test_the_readme_says_what_the_bundled_models_records_say(section, file, key):
    record = json.loads((BUNDLED / file).read_text(encoding="utf-8"))
    assert split_section(README, section)[1] == record[key].strip()


@pytest.fixture
def family():
    return load_script("benchmarks/family.py")


def again(text, benchmark):
    """The settings that a benchmark's document says it was made with."""
    words = shlex.split(text.split("Made by `")[1].split("`")[0])
    return tyro.cli(benchmark.Settings, args=words[2:])


def test_the_familys_table_reaches_page_readme_and_card(family, tmp_path, document):
    text = document.read_text(encoding="utf-8").replace("one -->", f"{family.SECTION} -->")
    document.write_text(text, encoding="utf-8")
    model = STGAN(("Male", "Young"), 32, width=4, layers=3, stu_layers=2)
    model.save_pretrained(tmp_path / "model")
    figures = {"STGAN": family.side_by_side.measured(model.eval(), evaluation(), 12.34)}
    settings = family.Settings(
        dataset="data", table=tmp_path / "family.md", readme=document, card=tmp_path / "model", options="--seed 3",
        width=8, batch_size=3, classifier="a judge",
    )  # fmt: skip
    family.write(settings, figures, ["train.py --model stgan"], 55)
    table = split_section(document, family.SECTION)[1]
    row = next(line for line in table.splitlines() if line.startswith("| STGAN |"))
    assert "measured on 55 validation images" in table
    assert again(table, family) == replace(
        settings, table=family.Settings.table, readme=family.Settings.readme, card=family.Settings.card
    )
    assert cells(row)[0][-1] == "12.3"
    assert cells(row)[0][:7] == ["STGAN", "30.00", "0.900", "0.700", "0.800", "0.050", "0.100"]
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    page = settings.table.read_text(encoding="utf-8")
    for text in (card, page):
        assert table in text
    assert "train.py --model stgan" in page
    assert "](family.jpg)" in page
    assert "hub" not in card.split("## Use")[1].split("```")[1]


@pytest.mark.skipif(not BUNDLED.is_dir(), reason="no bundled model here")
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


def test_the_familys_page_has_the_commands_that_the_benchmark_runs(family, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where no run of anybody lies
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: None)
    page = (README.parent / "docs" / "family.md").read_text(encoding="utf-8")
    settings = again(page, family)
    commands = [family.side_by_side.train(family.FAMILY[name], settings)[1] for name in settings.only]
    assert page.split("```bash\n")[1].split("```")[0].splitlines() == commands


@pytest.mark.skipif(not BUNDLED.is_dir(), reason="no bundled model here")
def test_the_bundled_models_card_says_what_its_records_say():
    written = (BUNDLED / "README.md").read_text(encoding="utf-8")
    assert str(model_card(BUNDLED, "hub/stgan-celeba-128")) == written


def test_the_widths_page_has_the_commands_that_the_benchmark_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where no run of anybody lies
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: None)
    widths = load_script("benchmarks/widths.py")
    page = (README.parent / "docs" / "widths.md").read_text(encoding="utf-8")
    settings = again(page, widths)
    commands = [widths.side_by_side.train(member, settings)[1] for member in widths.members(settings).values()]
    assert page.split("```bash\n")[1].split("```")[0].splitlines() == commands


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
        table=tmp_path / "variants.md", title="Flips and batches",
    )  # fmt: skip
    variants.main(settings)
    assert runs == [
        ("seed-3", 16, 3), ("seed-4", 16, 4), ("no_random_flip-seed-3", 16, 3), ("no_random_flip-seed-4", 16, 4),
        ("batch_size-2-seed-3", 2, 3), ("batch_size-2-seed-4", 2, 4),
    ]  # fmt: skip
    page = settings.table.read_text(encoding="utf-8")
    assert page.startswith("# Flips and batches\n")
    made_again = again(page, variants)
    assert made_again == replace(settings, table=variants.Settings.table, title=variants.Settings.title)
    rows = {row[0]: [float(cell) for cell in row[1:]] for row in cells(page.split("|---")[-1].split("\n", 1)[1][:-1])}
    for name in ("as it is", "no flips", "small"):
        first, second = np.array(rows[f"{name}, seed 3"]), np.array(rows[f"{name}, seed 4"])
        np.testing.assert_allclose(rows[f"**{name}**"], (first + second) / 2, atol=0.011)  # all are rounded
        assert not np.array_equal(first, second)
    assert rows["as it is, seed 3"] == rows["small, seed 3"]  # one stand-in for both
    variants.main(settings)
    assert len(runs) == 6  # what is finished is only measured again
    assert settings.table.read_text(encoding="utf-8") == page
    with pytest.raises(ValueError, match="was trained by other settings .* name another --output_dir"):
        variants.main(replace(settings, total_images=50_000))
    with pytest.raises(ValueError, match='"bf16": give each a name of its own'):
        variants.main(replace(settings, variants=("bf16",)))


def test_the_variants_pages_have_the_commands_that_the_benchmark_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where no run of anybody lies
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: None)
    variants = load_script("benchmarks/variants.py")
    for name in ("precision.md", "variants.md"):
        page = (README.parent / "docs" / name).read_text(encoding="utf-8")
        settings = again(page, variants)
        commands = [variants.side_by_side.train(member, settings)[1] for member in variants.members(settings).values()]
        assert page.split("```bash\n")[1].split("```")[0].splitlines() == commands


def test_the_family_is_not_trained_where_its_table_has_no_place(family, document):
    with pytest.raises(ValueError, match="needs <!-- benchmarks/family.py"):
        family.main(family.Settings(readme=document))


def test_the_family_is_not_trained_for_a_photo_that_does_not_open(family, tmp_path):
    (tmp_path / "photo.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"photo\.png"):
        family.main(family.Settings(photo=tmp_path / "photo.png", dataset=str(tmp_path / "none")))


def test_a_part_of_the_family_is_printed_and_no_table_is_lost(family, tmp_path, monkeypatch, capsys):
    compared = []
    figures = {"a row": [0.0] * 9}
    monkeypatch.setattr(family, "compare", lambda members, _: compared.append(members) or (figures, ["a command"], 5))
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
        samples=4, widths=(2, 3), table=tmp_path / "widths.md",
    )  # fmt: skip
    widths.main(settings)
    page = settings.table.read_text(encoding="utf-8")
    rows = cells("\n".join(line for line in page.splitlines() if line.startswith("| width")))
    assert [(row[0], row[-2], row[-1]) for row in rows] == [
        (f"width {width}", f"{STGAN(names, 32, width=width).parameter_count() / 1e6:.2f}", "1.5") for width in (2, 3)
    ]
    assert runs == [(2, 16), (3, 16)]
    assert sizes == [128, 128]
    assert again(page, widths) == replace(settings, table=widths.Settings.table)
    assert timed(STGAN(names, 32, width=2).eval()) > 0


@pytest.fixture
def slider():
    return load_script("benchmarks/slider.py")


def test_the_sliders_ends_are_edits_of_one_attribute_alone(slider):
    torch.manual_seed(0)
    model = STGAN(("Male", "Young"), 32, width=4, layers=3, stu_layers=2).eval()
    judge = AttributeClassifier(("Young", "Bald", "Male"), 32, width=4).eval()
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    logits = slider.seen(model, judge, images, batch_size=2)
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
    with pytest.raises(ValueError, match="asked by differences"):
        slider.main(slider.Settings(dataset=str(tmp_path / "none"), model=tmp_path))


def test_the_sliders_page_says_how_it_was_made(slider):
    page = (README.parent / "docs" / "slider.md").read_text(encoding="utf-8")
    settings = again(page, slider)
    assert slider.side_by_side.command(slider.SCRIPT, settings) in page
    assert f"over {settings.samples} validation people" in page
