"""Publishing on the Hub: a model folder, or the demo as a Space. What is there already is not sent again.

Also a script of its own, ``hub/publish.py``, and the command ``stgan publish``.
"""

import shutil
import sys
import tempfile
from dataclasses import dataclass, replace
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Annotated

import tyro
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, SpaceCard, SpaceCardData
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.sha import git_hash, sha_fileobj
from tyro.conf import Positional

from stgan.card import (
    CELEBA,
    CELEBA_TERMS,
    FAMILY_FILE,
    OF_THE_WEIGHTS,
    PAPERS,
    PICTURE_FILE,
    TRAINING_FILE,
    model_card,
)
from stgan.editor import BUNDLED
from stgan.export import check_export
from stgan.hub import repository
from stgan.hub.errors import HubError, explained
from stgan.hub.repository import CARD, check_private, check_same_project, list_files
from stgan.models import (
    ALIGNER_FOLDER,
    CLASSIFIER_FOLDER,
    DISCRIMINATOR_FOLDER,
    GENERATORS,
    AttributeClassifier,
    FaceAligner,
    check_judge,
    load_companion_aligner,
    load_companion_classifier,
    load_companion_discriminator,
    load_generator,
)
from stgan.models.pretrained import read_config
from stgan.photo.detect import YUNET_FILE, YUNET_REPO

ROOT = Path(__file__).resolve().parent.parent
MODEL_SUFFIXES = {".json", ".md", ".onnx", ".png", ".safetensors"}  # nothing that could run code when it is opened
EDITOR_FILES = [
    f"{part}{name}" for part in ("", f"{CLASSIFIER_FOLDER}/") for name in (CONFIG_NAME, SAFETENSORS_SINGLE_FILE)
]
ALIGNER_FILES = [f"{ALIGNER_FOLDER}/{name}" for name in (CONFIG_NAME, SAFETENSORS_SINGLE_FILE)]  # not every editor's
# Whatever of these a model folder no longer has goes from its repository too.
OF_THE_MODEL = (
    *OF_THE_WEIGHTS, FAMILY_FILE, f"{ALIGNER_FOLDER}/", f"{CLASSIFIER_FOLDER}/", f"{DISCRIMINATOR_FOLDER}/",
)  # fmt: skip
# ZeroGPU brings its own CUDA: newer torch does not run there, and Python is 3.10 or 3.12.
ZERO_GPU_REQUIREMENTS = ["torch==2.11.0", "spaces"]
PYTHON_VERSIONS = {False: "3.11", True: "3.12"}
Content = Path | bytes


@dataclass
class Push:
    """Where to, and how."""

    # Repository: owner/name, or a name of your own account's.
    repo: Positional[str]
    # Create the repository as private.
    private: bool = False
    # Branch to push to; created where it does not exist. Default: main.
    revision: str | None = None
    # Open a pull request instead of changing the repository.
    create_pr: bool = False
    # List every file with its size, and send nothing.
    dry_run: bool = False


@dataclass
class PublishModel(Push):
    """Push a model folder: weights, configuration, card, records and, where there is one, the ONNX export."""

    # Model folder, as the trainer or hub/bundle.py wrote it. Default: the bundled model.
    folder: Path = BUNDLED


@dataclass
class PublishSpace(Push):
    """Put the demo together as a Space, with only what it needs, and push it."""

    # Hub id of the model that the Space shows. Without one, or where it cannot be loaded, it is the bundled model.
    model: str | None = None
    # For ZeroGPU hardware instead of the free CPU.
    zero_gpu: bool = False
    # Keep the assembled Space in this folder, new or empty. With --dry-run nothing more is done.
    folder: Path | None = None


Publishing = (
    Annotated[PublishModel, tyro.conf.subcommand("model", prefix_name=False)]
    | Annotated[PublishSpace, tyro.conf.subcommand("space", prefix_name=False)]
)


def publish(settings: Annotated[Publishing, tyro.conf.arg(name="")]) -> str | None:
    """Push a model folder, or the demo as a Space, to the Hub.

    Returns:
        The address of the repository or of the pull request; None after a dry run.

    Raises:
        HubError: it cannot be published; the message says what to do.
        ModelFolderError: the model does not load.
    """
    if isinstance(settings, PublishModel):
        return publish_model(settings)
    return publish_space(settings)


def publish_model(settings: PublishModel) -> str | None:
    """Push a model folder, once it has been proven to load; what it no longer has goes. See :func:`publish`."""
    check_model(settings.folder)
    settings = replace(settings, repo=full_name(settings))
    return push(model_files(settings.folder, settings.repo), settings, "model", owned=OF_THE_MODEL)


def publish_space(settings: PublishSpace) -> str | None:
    """Assemble the Space and push it; files of the package that it no longer needs go. See :func:`publish`."""
    settings = replace(settings, repo=full_name(settings))
    with tempfile.TemporaryDirectory() as temporary:
        folder = settings.folder or Path(temporary)
        assemble_space(folder, settings.repo, settings.model, zero_gpu=settings.zero_gpu)
        files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        return push(files, settings, "space", owned=("stgan/", "hub/"))


def full_name(settings: Push) -> str:
    """``owner/name`` of the repository, which cards name; also finds out before the work whether one is logged in.

    A dry run needs no token: without one a bare name stays as it is.

    Raises:
        HubError: the Hub refused, or cannot be reached.
    """
    if settings.dry_run and "/" in settings.repo:
        return settings.repo
    try:
        with explained(settings.repo):
            return repository.full_name(HfApi(), settings.repo)
    except HubError:
        if settings.dry_run:
            return settings.repo
        raise


# ----------------------------------------------------------------------------------------------------------- the model


def check_model(folder: Path) -> None:
    """Load what a model folder holds, strictly.

    Raises:
        HubError: there is no such folder.
        ModelFolderError: a part is missing, damaged or does not fit.
        ExportError: it holds graphs of other weights.
    """
    if not folder.is_dir():
        raise HubError(f"There is no folder {folder}: name one that the trainer or hub/bundle.py wrote.")
    architecture = read_config(folder).get("architecture")
    if architecture not in GENERATORS:
        (FaceAligner if architecture == FaceAligner.__name__ else AttributeClassifier).from_pretrained(folder)
        return
    generator = load_generator(folder)
    check_export(folder)
    if (folder / CLASSIFIER_FOLDER).is_dir():
        check_judge(generator, load_companion_classifier(folder))
    load_companion_aligner(folder)
    load_companion_discriminator(folder)


def model_files(folder: Path, repo: str) -> dict[str, Content]:
    """What of a model folder goes to the Hub: path in the repository to content, the cards with the Hub id in them."""
    files: dict[str, Content] = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.suffix in MODEL_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
    companions = [f"{name}/{CARD}" for name in (CLASSIFIER_FOLDER, ALIGNER_FOLDER)]
    for card in [CARD, *(path for path in companions if path in files)]:
        companion = card != CARD
        files[card] = str(model_card((folder / card).parent, repo, companion=companion)).encode()
    return dict(sorted(files.items()))


# ----------------------------------------------------------------------------------------------------------- the Space


def assemble_space(folder: Path, repo: str, model: str | None = None, *, zero_gpu: bool = False) -> None:
    """Write the Space: the app, the modules it imports, pinned requirements, its card and the bundled model.

    Args:
        folder: new or empty.
        repo: ``owner/name`` of the Space.
        model: Hub id of the model that it shows; the bundled one is there too, for when that cannot be had.
        zero_gpu: for ZeroGPU hardware instead of a CPU.

    Raises:
        HubError: the folder has files already, or this is not a checkout of the project.
    """
    if not (ROOT / "app.py").is_file() or not BUNDLED.is_dir():
        raise HubError("A Space is put together from a checkout of the project: clone it, and run this in it.")
    if folder.exists() and any(folder.iterdir()):
        raise HubError(f"{folder} has files in it already: name a new or empty folder.")
    sources = [ROOT / "app.py", ROOT / "LICENSE", *imported_modules(ROOT / "app.py")]
    sources += [BUNDLED / name for name in (*EDITOR_FILES, *ALIGNER_FILES, TRAINING_FILE)]  # its data are on the page
    for source in sources:
        target = folder / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    shutil.copyfile(BUNDLED / PICTURE_FILE, folder / "thumbnail.png")
    requirements = space_requirements((ROOT / "requirements.txt").read_text(encoding="utf-8"), zero_gpu)
    (folder / "requirements.txt").write_text(requirements, encoding="utf-8")
    space_card(repo, model, requirements, zero_gpu).save(folder / CARD)


def imported_modules(script: Path) -> list[Path]:
    """Files of the package that a script imports, directly or not, inside functions too."""
    finder = ModuleFinder([str(script.parent)])  # what lies elsewhere is installed from the requirements
    finder.run_script(str(script))
    files = [Path(module.__file__) for module in finder.modules.values() if module.__file__]
    return sorted(file for file in files if script.parent / "stgan" in file.parents)


def space_requirements(requirements: str, zero_gpu: bool) -> str:
    """The demo's pinned requirements, on ZeroGPU with the torch that runs there."""
    pins = [line for line in requirements.splitlines() if line and not line.startswith("#")]
    if zero_gpu:
        pins = [*ZERO_GPU_REQUIREMENTS, *(pin for pin in pins if not pin.startswith("torch=="))]
    return "\n".join(pins) + "\n"


def space_card(repo: str, model: str | None, requirements: str, zero_gpu: bool) -> SpaceCard:
    """The Space's card, whose front matter is its configuration."""
    pins = dict(line.split("==") for line in requirements.split() if "==" in line)
    preloaded = [f"{YUNET_REPO} {YUNET_FILE}"]
    preloaded += [f"{model} {','.join(EDITOR_FILES)}"] if model else []
    data = SpaceCardData(
        title="Edit a face, tick a box",
        emoji="🙂",
        colorFrom="indigo",
        colorTo="gray",
        sdk="gradio",
        sdk_version=pins["gradio"],
        python_version=PYTHON_VERSIONS[zero_gpu],
        app_file="app.py",
        suggested_hardware="zero-a10g" if zero_gpu else "cpu-basic",
        short_description="Edit the attributes of a face in a photo",
        thumbnail=f"https://huggingface.co/spaces/{repo}/resolve/main/thumbnail.png",
        models=[model] if model else None,
        datasets=[CELEBA],
        tags=["face-editing", "attribute-editing", "gan", f"arxiv:{PAPERS['STGAN']}"],
        license="other",
        license_name="celeba-non-commercial-research",
        license_link=CELEBA_TERMS,
        preload_from_hub=preloaded,
        disable_embedding=False,
        pinned=False,
    )
    terms = f" The terms of [{model}](https://huggingface.co/{model}) are on its own card." if model else ""
    text = (
        "# Edit a face, tick a box\n\nUpload a photo, tick *Eyeglasses*, and get the same photo back with eyeglasses. "
        "The code is MIT; the weights in this repository were trained on CelebA and are for non-commercial research "
        f"only.{terms}\n\n"
        "**Please edit only people who agree to it.**\n"
    )
    return SpaceCard(f"---\n{data.to_yaml()}\n---\n\n{text}")


# ------------------------------------------------------------------------------------------------------------- pushing


def push(files: dict[str, Content], settings: Push, repo_type: str, owned: tuple[str, ...] = ()) -> str | None:
    """Make a repository hold these files, in one commit of what differs.

    Args:
        files: path in the repository to content.
        settings: where to, by its full name, and how.
        repo_type: ``model`` or ``space``.
        owned: prefixes of paths under which whatever is not in ``files`` is deleted from the repository.

    Returns:
        The address of the repository or of the pull request; None after a dry run.

    Raises:
        HubError: the Hub refused, or cannot be reached.
    """
    if settings.create_pr and settings.revision:
        raise HubError("A pull request goes to main: leave out --revision or --create-pr.")
    _list_files(files)
    if settings.dry_run:
        return None
    with explained(settings.repo):
        api = HfApi()
        repo = settings.repo
        target = {"repo_id": repo, "repo_type": repo_type}
        sdk = {"space_sdk": "gradio"} if repo_type == "space" else {}
        address = api.create_repo(**target, **sdk, private=settings.private or None, exist_ok=True)
        if settings.private:
            check_private(api, repo, repo_type)
        if settings.revision:
            api.create_branch(**target, branch=settings.revision, exist_ok=True)
        there = list_files(api, repo, repo_type, settings.revision)
        check_same_project(api, repo, files, there, repo_type, settings.revision)
        changed = [path for path, content in files.items() if not _is_same(content, there.get(path))]
        stale = [path for path in there if path.startswith(owned) and path not in files] if owned else []
        if not changed and not stale:
            print(f"{address} holds exactly this already: nothing to send.")
            return str(address)
        print(f"Sending {len(changed)} of {len(files)} files to {address} …")
        commit = api.create_commit(
            **target,
            operations=[
                *(CommitOperationAdd(path, files[path]) for path in changed),
                *(CommitOperationDelete(path) for path in stale),
            ],
            commit_message="Upload with stgan publish",
            revision=settings.revision,
            create_pr=settings.create_pr,
        )
    print(commit.pr_url or commit.commit_url)
    return commit.pr_url or str(address)


def _list_files(files: dict[str, Content]) -> None:
    sizes = {
        path: len(content) if isinstance(content, bytes) else content.stat().st_size for path, content in files.items()
    }
    for path, size in sizes.items():
        print(f"{size:>12,}  {path}")
    print(f"{sum(sizes.values()):>12,}  bytes in {len(sizes)} files")


def _is_same(content: Content, entry: RepoFile | None) -> bool:
    """Whether the Hub holds this content: by git's hash, or for large files by SHA-256, as the Hub lists them."""
    if entry is None:
        return False
    if entry.lfs is None:
        data = content if isinstance(content, bytes) else content.read_bytes()
        return git_hash(data) == entry.blob_id
    if isinstance(content, bytes):
        return False
    with content.open("rb") as file:
        return sha_fileobj(file).hex() == entry.lfs.sha256


def main() -> None:
    """Entry point of ``hub/publish.py``."""
    try:
        tyro.cli(publish, prog="publish.py")
    except (ValueError, OSError) as error:
        sys.exit(f"publish.py: {error}")
