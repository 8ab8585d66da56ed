"""Publish a model folder, or the demo as a Space, on the Hub: ``stgan publish``. Only what differs there is sent."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Annotated

import tyro
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, SpaceCard, SpaceCardData
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.sha import git_hash
from tyro.conf import Positional

from stgan.card import (
    CELEBA,
    CELEBA_TERMS,
    FAMILY_FILE,
    OF_THE_WEIGHTS,
    PICTURE_FILE,
    TRAINING_FILE,
    model_card,
)  # fmt: skip
from stgan.editing.editor import BUNDLED
from stgan.export import check_export
from stgan.hub import repository
from stgan.hub.errors import HubError, explained
from stgan.hub.repository import CARD, check_private, check_same_project, list_files
from stgan.models import ARCHITECTURES, KINDS, ModelFolderError, check_judge, load_companion
from stgan.models.folder import NETWORK_FILES
from stgan.models.pretrained import read_config
from stgan.models.registry import companions
from stgan.photo.detect import YUNET_FILE, YUNET_REPO

ROOT = Path(__file__).resolve().parent.parent
MODEL_SUFFIXES = {".json", ".md", ".onnx", ".png", ".safetensors"}  # none of them can run code when opened
# ZeroGPU has its own CUDA: newer torch does not run there, and Python is 3.10 or 3.12.
ZERO_GPU_REQUIREMENTS = ["torch==2.11.0", "spaces"]
PYTHON_VERSIONS = {False: "3.11", True: "3.12"}
Content = Path | bytes


@dataclass
class Push:
    """The repository to push to, and how."""

    # Repository: owner/name, or only the name of one of your own.
    repo: Positional[str]
    # Create the repository as private.
    private: bool = False
    # Branch to push to; it is created if it does not exist. Default: main.
    revision: str | None = None
    # Open a pull request instead of changing the repository.
    create_pr: bool = False
    # List the files and their sizes, but send nothing.
    dry_run: bool = False


@dataclass
class PublishModel(Push):
    """Push a model folder: weights, configuration, card, records and the ONNX export if there is one."""

    # Model folder, as the trainer or stgan bundle wrote it. Default: the bundled model.
    folder: Path = BUNDLED


@dataclass
class PublishSpace(Push):
    """Assemble the demo as a Space, with only the files that it needs, and push it."""

    # Hub id of the model that the Space shows. The bundled model is the default, and the fallback.
    model: str | None = None
    # Use ZeroGPU hardware instead of the free CPU.
    zero_gpu: bool = False
    # Keep the assembled Space in this new or empty folder; with --dry-run, only assemble it.
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
        HubError: publishing failed; the message says what to do.
        ModelFolderError: the model cannot be loaded.
    """
    if isinstance(settings, PublishModel):
        return publish_model(settings)
    return publish_space(settings)


def publish_model(settings: PublishModel) -> str | None:
    """Check that a model folder loads, then make its repository equal to it. See :func:`publish`."""
    folder = Path(os.path.expanduser(settings.folder))
    check_model(folder)
    settings = replace(settings, repo=full_name(settings))
    owned = (*OF_THE_WEIGHTS, FAMILY_FILE, *(f"{kind}/" for kind in companions()))
    return push(model_files(folder, settings.repo), settings, "model", owned)


def publish_space(settings: PublishSpace) -> str | None:
    """Assemble the Space and push it; files of the package that it no longer needs are deleted. See :func:`publish`."""
    settings = replace(settings, repo=full_name(settings))
    with tempfile.TemporaryDirectory() as temporary:
        folder = settings.folder or Path(temporary)
        assemble_space(folder, settings.repo, settings.model, zero_gpu=settings.zero_gpu)
        files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        return push(files, settings, "space", ("stgan/", "hub/"))


def full_name(settings: Push) -> str:
    """``owner/name`` of the repository, which cards show. Asks the Hub, so a missing token is noticed before the work.

    A dry run needs no token. Without one it keeps a bare name as it is.
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


def check_model(folder: Path) -> None:
    """Load every network of a model folder, strictly.

    Raises:
        HubError: there is no such folder.
        ModelFolderError: a part is missing, damaged, unknown or does not fit.
        ExportError: the folder holds graphs of other weights.
    """
    if not folder.is_dir():
        raise HubError(f"There is no folder {folder}: pass --folder with one that the trainer or stgan bundle wrote.")
    name = read_config(folder).get("architecture")
    if name not in ARCHITECTURES:
        raise ModelFolderError(f"{folder} holds {name}, which is none of {', '.join(ARCHITECTURES)}.")
    network = ARCHITECTURES[name].model.from_pretrained(folder)
    if ARCHITECTURES[name].kind == "editor":
        check_export(folder)
        beside = {kind: load_companion(folder, kind) for kind in companions() if (folder / kind).is_dir()}
        if "classifier" in beside:
            check_judge(network, beside["classifier"])


def model_files(folder: Path, repo: str) -> dict[str, Content]:
    """The published files of a model folder: path in the repository to content. Cards name the Hub id."""
    files: dict[str, Content] = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.suffix in MODEL_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
    for card in (CARD, *(f"{kind}/{CARD}" for kind in companions("editing"))):
        if card == CARD or card in files:
            files[card] = str(model_card((folder / card).parent, repo, companion=card != CARD)).encode()
    return dict(sorted(files.items()))


def assemble_space(folder: Path, repo: str, model: str | None = None, *, zero_gpu: bool = False) -> None:
    """Write the Space: the app, the modules it imports, pinned requirements, its card and the bundled model.

    Args:
        folder: new or empty.
        repo: ``owner/name`` of the Space.
        model: Hub id of the model that it shows. The bundled one is included in case this one cannot be loaded.

    Raises:
        HubError: the folder already has files, or this is not a checkout of the project.
    """
    if not (ROOT / "app.py").is_file() or not BUNDLED.is_dir():
        raise HubError("A Space is assembled from a checkout of the project: clone it, and run this command in it.")
    if folder.exists() and any(folder.iterdir()):
        raise HubError(f"{folder} already has files in it: choose a new or empty folder.")
    sources = [ROOT / "app.py", ROOT / "LICENSE", *imported_modules(ROOT / "app.py")]
    sources += [BUNDLED / TRAINING_FILE, *(BUNDLED / name for name in editor_files(BUNDLED))]
    for source in sources:
        target = folder / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    shutil.copyfile(BUNDLED / PICTURE_FILE, folder / "thumbnail.png")
    requirements = space_requirements((ROOT / "requirements.txt").read_text(encoding="utf-8"), zero_gpu)
    (folder / "requirements.txt").write_text(requirements, encoding="utf-8")
    space_card(repo, model, requirements, zero_gpu).save(folder / CARD)


def editor_files(folder: Path | None = None) -> list[str]:
    """The files that editing needs from a model folder: those of every network in it, or of those no editor lacks."""
    parts = [
        kind for kind in companions("editing") if (KINDS[kind].missing if folder is None else (folder / kind).is_dir())
    ]
    return [*NETWORK_FILES, *(f"{part}/{name}" for part in parts for name in NETWORK_FILES)]


def imported_modules(script: Path) -> list[Path]:
    """Files of the package that a script imports, directly or indirectly, including imports inside functions."""
    finder = ModuleFinder([str(script.parent)])  # everything elsewhere is installed from the requirements
    finder.run_script(str(script))
    files = [getattr(module, "__file__", None) for module in finder.modules.values()]
    return sorted(Path(file) for file in files if file and script.parent / "stgan" in Path(file).parents)


def space_requirements(requirements: str, zero_gpu: bool) -> str:
    """The demo's pinned requirements; for ZeroGPU with the torch version that runs there."""
    pins = [line for line in requirements.splitlines() if line and not line.startswith("#")]
    if zero_gpu:
        pins = [*ZERO_GPU_REQUIREMENTS, *(pin for pin in pins if not pin.startswith("torch=="))]
    return "\n".join(pins) + "\n"


def space_card(repo: str, model: str | None, requirements: str, zero_gpu: bool) -> SpaceCard:
    """The Space's card, whose front matter is its configuration."""
    pins = dict(line.split("==") for line in requirements.split() if "==" in line)
    preloaded = [f"{YUNET_REPO} {YUNET_FILE}"]
    preloaded += [f"{model} {','.join(editor_files())}"] if model else []
    data = SpaceCardData(
        title="Edit a face", emoji="🙂", colorFrom="indigo", colorTo="gray",
        sdk="gradio", sdk_version=pins["gradio"], python_version=PYTHON_VERSIONS[zero_gpu], app_file="app.py",
        suggested_hardware="zero-a10g" if zero_gpu else "cpu-basic",
        short_description="Edit the attributes of a face in a photo",
        thumbnail=f"https://huggingface.co/spaces/{repo}/resolve/main/thumbnail.png",
        models=[model] if model else None, datasets=[CELEBA], preload_from_hub=preloaded,
        tags=["face-editing", "attribute-editing", "gan", f"arxiv:{ARCHITECTURES['STGAN'].paper}"],
        license="other", license_name="celeba-non-commercial-research", license_link=CELEBA_TERMS,
        disable_embedding=False, pinned=False,
    )  # fmt: skip
    terms = f" The terms of [{model}](https://huggingface.co/{model}) are on its own card." if model else ""
    text = (
        "# Edit a face\n\nOpen a photo, move *Eyeglasses*, and get the same photo back with eyeglasses. "
        "The code is MIT; the weights in this repository were trained on CelebA and are for non-commercial research "
        f"only.{terms}\n\n"
        "**Please edit only people who agree to it.**\n"
    )
    return SpaceCard(f"---\n{data.to_yaml()}\n---\n\n{text}")


def push(files: Mapping[str, Content], settings: Push, repo_type: str, owned: tuple[str, ...]) -> str | None:
    """Make a repository hold these files, in one commit of the differences; returns and errors as for :func:`publish`.

    Args:
        files: path in the repository to content.
        settings: with the full name of the repository.
        repo_type: ``model`` or ``space``.
        owned: prefixes of paths. Files of the repository under them that are not in ``files`` are deleted.
    """
    if settings.create_pr and settings.revision:
        raise HubError("A pull request always goes to main: leave out --revision or --create-pr.")
    _list_files(files)
    if settings.dry_run:
        return None
    repo = settings.repo
    with explained(repo):
        api = HfApi()
        address = _create_repository(api, settings, repo_type)
        there = list_files(api, repo, repo_type, settings.revision)
        check_same_project(api, repo, files, there, repo_type, settings.revision)
        changed = [path for path, content in files.items() if not _is_same(content, there.get(path))]
        stale = [path for path in there if path.startswith(owned) and path not in files]
        if not changed and not stale:
            print(f"{address} already holds exactly these files: nothing to send.")
            return address
        print(f"Sending {len(changed)} of {len(files)} files to {address} …")
        operations = [CommitOperationAdd(path, files[path]) for path in changed]
        commit = api.create_commit(
            repo, [*operations, *map(CommitOperationDelete, stale)], repo_type=repo_type, revision=settings.revision,
            commit_message="Upload with stgan publish", create_pr=settings.create_pr,
        )  # fmt: skip
    print(commit.pr_url or commit.commit_url)
    return commit.pr_url or address


def _list_files(files: Mapping[str, Content]) -> None:
    sizes = [len(each) if isinstance(each, bytes) else each.stat().st_size for each in files.values()]
    print(*(f"{size:>12,}  {path}" for path, size in zip(files, sizes, strict=True)), sep="\n")
    print(f"{sum(sizes):>12,}  bytes in {len(sizes)} files")


def _create_repository(api: HfApi, settings: Push, repo_type: str) -> str:
    sdk = "gradio" if repo_type == "space" else None
    address = api.create_repo(
        settings.repo, repo_type=repo_type, space_sdk=sdk, private=settings.private or None, exist_ok=True
    )
    if settings.private:
        check_private(api, settings.repo, repo_type)
    if settings.revision:
        api.create_branch(settings.repo, repo_type=repo_type, branch=settings.revision, exist_ok=True)
    return str(address)


def _is_same(content: Content, entry: RepoFile | None) -> bool:
    """Whether the Hub holds this content, compared by git's hash, or by SHA-256 for large files."""
    if entry is None:
        return False
    data = content if isinstance(content, bytes) else content.read_bytes()
    return git_hash(data) == entry.blob_id if entry.lfs is None else sha256(data).hexdigest() == entry.lfs.sha256
