"""The registered models: versions, and the aliases that say which of them is in use."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from degrain.errors import DegrainError
from degrain.files import sha256_file
from degrain.params import Params
from degrain.tracking.logged import logged_model
from degrain.tracking.store import (
    Store,
    open_store,
    project_root,
    require_answer,
    told,
    tracking_uri,
)

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, PREVIOUS = "champion", "previous"
CARD, CARD_FOLDER = "model_card.md", "model_card"  # with the pictures of the card, and the reference of drift
WEIGHTS = "artifacts/generator.safetensors"  # in a logged model
PENDING = "degrain.pending"
ABOUT = (
    "Denoises images. The alias `champion` is the version in use, and what `degrain serve` takes; `previous` "
    "is the one before. `degrain promote` and `degrain rollback` move them."
)
DESCRIPTION_MOST = 5000  # characters that MLflow's tables take


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Attributes
    ----------
    run_id : of the run that logged the model.
    tags : model.sha256 and what else was said at the registration.
    """

    name: str
    number: str
    run_id: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """The hash of its weights; empty where somebody else registered it."""
        return self.tags.get("model.sha256", "")

    def __str__(self) -> str:
        return f"{self.name} version {self.number}"


@dataclass(frozen=True)
class Move:
    """Which alias goes to the version of which number, and a note to whoever finishes the move."""

    aliases: dict[str, str]
    note: dict[str, str]


def registered_name(channels: int) -> str:
    """The registered model for images of 1 or 3 channels."""
    return "degrain-grey" if channels == 1 else "degrain-rgb"


@contextmanager
def open_registry(params: Params) -> Iterator[Registry]:
    """The registry beside the runs.

    Raises
    ------
    DegrainError : the store does not answer, or refuses something.
    """
    uri = tracking_uri(project_root(Path.cwd()))
    with told(uri):
        require_answer(uri)
        store = open_store(uri, params.tracking.experiment)
        yield Registry(store, registered_name(params.data.channels))


class Registry:
    """One registered model.

    MLflow moves one alias at a time. So the move of several is first written down in a tag of the
    registered model, which is one step; whoever comes after a crash carries it out.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self.client = store.client

    # Versions

    def find(self, sha256: str) -> Version | None:
        """The version with these weights: the first, should there be several."""
        found = self.client.search_model_versions(
            f"name = '{self.name}' and tags.`model.sha256` = '{sha256}'"
        )
        return _version(min(found, key=lambda one: int(one.version))) if found else None

    def get(self, number: str) -> Version:
        """The version of a number.

        Raises
        ------
        DegrainError : there is none.
        """
        from mlflow.exceptions import MlflowException

        try:
            return _version(self.client.get_model_version(self.name, number))
        except MlflowException as error:
            have = ", ".join(map(str, sorted(self._numbers()))) or "none; `degrain register` makes one"
            msg = f"{self.name} has no version {number!r}; expected one of: {have}"
            raise DegrainError(msg) from error

    def named(self, name: str | None) -> Version:
        """The version of a number or an alias; None: the champion, or the newest where there is none.

        Raises
        ------
        DegrainError : there is none.
        """
        if name in (CHAMPION, PREVIOUS):
            version = self.holder(name)
            if version is None:
                msg = f"{self.name} has no {name}; expected one: `degrain promote` makes champions"
                raise DegrainError(msg)
            return version
        if name:
            return self.get(name)
        numbers = self._numbers()
        if not numbers:
            msg = f"{self.name} has no version yet; expected one: `degrain register` makes one"
            raise DegrainError(msg)
        return self.holder(CHAMPION) or self.get(str(max(numbers)))

    def holder(self, alias: str) -> Version | None:
        """The version that has an alias."""
        number = self._aliases().get(alias)
        return self.get(str(number)) if number else None

    def register(
        self,
        weights: Path,
        params: Params,
        tags: Mapping[str, str],
        *,
        once: Mapping[str, str],
        faithful: Path | None = None,
    ) -> Version:
        """Make the generator of a file a version, unless it is one.

        Parameters
        ----------
        tags : set in either case; once : set when the version is made, and kept.
        faithful : the generator that the training started from, the other end of the dial.
        """
        sha256 = sha256_file(weights)
        version = self.find(sha256) or self._create(weights, faithful, params, {**once, **tags})
        for key, value in tags.items():
            if version.tags.get(key) != value:
                self.client.set_model_version_tag(self.name, version.number, key, value)
        return self.get(version.number)

    def keep_decision(self, version: Version, outcome: str, decision: dict[str, Any]) -> None:
        """Keep what the gate said of a version with its run, and tag the version with the outcome."""
        self.client.log_dict(version.run_id, decision, "promotion/decision.json")
        self.client.set_model_version_tag(self.name, version.number, "promotion", outcome)

    def keep_card(self, version: Version, folder: Path, description: str) -> None:
        """Keep `model_card.md` and what lies beside it with the version's run, and describe the version."""
        self.client.log_artifacts(version.run_id, str(folder), CARD_FOLDER)
        cut = (
            description[: DESCRIPTION_MOST - 2] + " …" if len(description) > DESCRIPTION_MOST else description
        )
        self.client.update_model_version(self.name, version.number, description=cut)

    def read_card(self, version: Version) -> str:
        """The model card that `keep_card` kept.

        Raises
        ------
        DegrainError : it cannot be had.
        """
        import mlflow
        from mlflow.exceptions import MlflowException

        try:
            return str(mlflow.artifacts.load_text(f"runs:/{version.run_id}/{CARD_FOLDER}/{CARD}"))
        except (MlflowException, OSError) as error:
            msg = f"{version}: its model card cannot be had ({error}); `degrain register` makes it again"
            raise DegrainError(msg) from error

    def fetch_weights(self, version: Version, folder: Path) -> Path:
        """Copy a version's safetensors file to a folder and check its hash.

        Raises
        ------
        DegrainError : it is not the file that was registered.
        """
        import mlflow

        uri = f"models:/{self.name}/{version.number}/{WEIGHTS}"
        path = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))
        if sha256_file(path) != version.sha256:
            msg = (
                f"{version}: weights with SHA-256 {sha256_file(path)}; expected {version.sha256 or 'a tag'}, "
                "as they were registered; delete the version, or register the model again"
            )
            raise DegrainError(msg)
        return path

    # Aliases

    def begin_move(self, move: Move) -> None:
        """Write down which aliases are to move: from now on the move can be carried out by anyone."""
        self.client.set_registered_model_tag(self.name, PENDING, json.dumps(asdict(move)))

    def pending_move(self) -> Move | None:
        """The move that has begun and is not finished."""
        text = self._tags().get(PENDING)
        return Move(**json.loads(text)) if text else None

    def carry_out(self, move: Move) -> None:
        """Give the aliases to their versions; it may be done twice."""
        for alias, number in move.aliases.items():
            self.client.set_registered_model_alias(self.name, alias, number)

    def finish_move(self) -> None:
        """Forget the move, which has been carried out."""
        self.client.delete_registered_model_tag(self.name, PENDING)

    def _create(
        self, weights: Path, faithful: Path | None, params: Params, tags: Mapping[str, str]
    ) -> Version:
        sha256 = sha256_file(weights)
        if not self._exists():
            self._create_name()
        run_id, model_id = logged_model(self.store, weights, params, faithful)
        made = self.client.create_model_version(
            self.name,
            source=f"models:/{model_id}",
            run_id=run_id,
            model_id=model_id,
            tags={**tags, "model.sha256": sha256},
        )
        first = self.find(sha256)
        if first and first.number != str(made.version):  # another client was faster
            self.client.delete_model_version(self.name, str(made.version))
        return first or _version(made)

    def _create_name(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(self.name, description=ABOUT)
        except MlflowException:  # another client was faster
            self.client.get_registered_model(self.name)

    def _numbers(self) -> list[int]:
        return [int(one.version) for one in self.client.search_model_versions(f"name = '{self.name}'")]

    def _exists(self) -> bool:
        return bool(self.client.search_registered_models(f"name = '{self.name}'"))

    def _tags(self) -> dict[str, str]:
        return dict(self.client.get_registered_model(self.name).tags) if self._exists() else {}

    def _aliases(self) -> dict[str, str]:
        return dict(self.client.get_registered_model(self.name).aliases) if self._exists() else {}


def _version(found: ModelVersion) -> Version:
    return Version(found.name, str(found.version), found.run_id or "", dict(found.tags))
