"""The README, the pages of docs/ and the model cards: tables as in the records, commands and links that work."""

import ast
import functools
import json
import re
import shlex
from pathlib import Path

import pytest
from measurements import cells, evaluation

import stgan.bundle
import stgan.evaluation.command
import stgan.publish
import stgan.training.command
from stgan import cli
from stgan.card import EVALUATION_FILE, FAMILY_FILE, model_card, replace_section, split_section
from stgan.editing.editor import BUNDLED
from stgan.evaluation.results import GroupScores
from stgan.evaluation.tables import PUBLISHED, comparison_table, evaluation_tables

ROOT = Path(__file__).parent.parent
README, RESULTS = ROOT / "README.md", ROOT / "docs" / "results.md"
GUIDES = [README, ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]


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


@pytest.mark.parametrize(
    ("page", "section", "file", "key"),
    [
        (README, "stgan evaluate", EVALUATION_FILE, "comparison"),
        (RESULTS, "stgan evaluate, tables", EVALUATION_FILE, "markdown"),
        (RESULTS, "benchmarks/family.py", FAMILY_FILE, "markdown"),
    ],
)
def test_the_pages_have_the_tables_of_the_bundled_models_records(page, section, file, key):
    record = json.loads((BUNDLED / file).read_text(encoding="utf-8"))
    assert split_section(page, section)[1] == record[key].strip()


def test_the_bundled_models_card_says_what_its_records_say():
    written = (BUNDLED / "README.md").read_text(encoding="utf-8")
    assert str(model_card(BUNDLED, "hub/stgan-celebahq-256")) == written


def test_the_readme_fits_on_two_screens():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 120


def commands_of(page):
    """Arguments of every ``stgan`` and ``train.py`` command in a page's code, as arguments of ``stgan``."""
    text = page.read_text(encoding="utf-8")
    lines = "".join(re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)).replace("\\\n", "").splitlines()
    lines += re.findall(r"`(stgan [^`]*)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL).replace("\n", " "))
    for words in (shlex.split(line, comments=True) for line in lines):
        if "train.py" in words:
            yield ["train", *words[words.index("train.py") + 1 :]]
        elif words[:1] == ["stgan"] and len(words) > 2:
            yield words[1:]


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_every_command_in_the_pages_is_accepted(page, monkeypatch):
    accepted = []

    def accepting(command):
        @functools.wraps(command)
        def accept(*_, **__):
            accepted.append(command)

        return accept

    monkeypatch.setattr(cli, "COMMANDS", [accepting(command) for command in cli.COMMANDS])
    started = (stgan.training.command, "train"), (stgan.evaluation.command, "evaluate_folder")
    for module, name in (*started, (stgan.bundle, "bundle"), (stgan.publish, "publish")):
        monkeypatch.setattr(module, name, accepting(getattr(module, name)))
    commands = [words for words in commands_of(page) if not {"--help", "--help-all"} & set(words)]
    for words in commands:
        cli.main(words)
    assert len(accepted) == len(commands)


def test_every_option_in_the_pages_exists(capsys):
    """Benchmarks' options are those of the commands that wrote the tables: see tests/test_comparisons.py."""
    for words in ([name.__name__] for name in (*cli.COMMANDS, *cli.COMMANDS_WITH_MODULES)):
        with pytest.raises(SystemExit):
            cli.main([*words, "--help-all" if words == ["train"] else "--help"])
    for kind in ("model", "space"):
        with pytest.raises(SystemExit):
            cli.main(["publish", kind, "--help"])
    known = set(re.findall(r"--[a-z][\w-]*", capsys.readouterr().out)) | {"--help-all", "--multi_gpu"}  # accelerate's
    for page in GUIDES:
        for code in re.findall(r"`(--[a-z][\w-]*)", page.read_text(encoding="utf-8")):
            assert code in known, f"{page.name}: {code}"


def anchors(page):
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page", [*GUIDES, ROOT / "CHANGELOG.md", *sorted(ROOT.glob("dev/*.md"))], ids=lambda page: page.name
)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            file = page.parent / path if path else page
            assert file.exists(), target
            assert not anchor or anchor in anchors(file), target


def test_rooms_import_only_from_rooms_above_them():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", page, flags=re.MULTILINE)
    order = [name.removesuffix(".py").rstrip("/") for row in rows for name in re.findall(r"`(.*?)`", row)]
    package = ROOT / "stgan"
    assert sorted(order) == sorted(
        entry.stem for entry in package.iterdir() if entry.name not in ("__init__.py", "__pycache__") and
        (entry.is_dir() or entry.suffix == ".py")
    )  # fmt: skip
    for file in package.rglob("*.py"):
        room = file.relative_to(package).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stgan.") and room != "__init__":
                other = node.module.split(".")[1]
                assert other == room or order.index(other) < order.index(room), f"{file}: {node.module}"
