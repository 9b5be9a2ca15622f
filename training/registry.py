"""Registered models: versions, the aliases champion, challenger and shadow, and who was champion.

Everything lies in the tracking store: MLflow holds versions, aliases and tags, and the folder
``bundles`` what a service loads. Changes are made one process at a time, under a lock; which
version was champion when, and why, is written to tags of the registered model that are only ever
added to. A version whose bundle is not the one that was registered cannot become champion.
"""

import getpass
import json
import socket
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..bundles import Promotion, check_served, signing_key, write_promotion
from ..errors import InputError
from .bundle import Bundle, Draft, load_bundle, write_bundle
from .gates import Gate, all_passed
from .model_version import (
    COMPLETE,
    Action,
    Alias,
    ChampionEvent,
    Version,
    check_gates,
    line_of,
    opponent_text,
    read_version,
)
from .records import Artifact
from .tracking import RunWriter, Store, open_client

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LOCK_WAIT_S = 60.0
_EVENT = "champion."  # tags of the registered model: champion.0001, champion.0002, ...


@dataclass(frozen=True)
class Registry:
    """The registered models of a store.

    Attributes
    ----------
    store : Store
        Where they are kept.
    """

    store: Store

    def names(self) -> tuple[str, ...]:
        """Return the names of all registered models, in alphabetical order."""
        return tuple(sorted(model.name for model in self._client.search_registered_models()))

    def only(self, name: str | None) -> str:
        """Return a name that was given, or the only one there is.

        Raises
        ------
        InputError
            If there is no such model, or none was given and there are several.
        """
        names = self.names()
        if name in names:
            return name
        if name is None and len(names) == 1:
            return names[0]
        if not names:
            raise InputError(
                f"there must be a registered model in {self.store.root}, but there is none; make "
                "one with: foremargin train"
            )
        raise InputError(f"--name must be one of {list(names)}, was {name!r}")

    def versions(self, name: str) -> tuple[Version, ...]:
        """Return all versions of a registered model, the oldest first."""
        if name not in self.names():
            return ()
        aliases = self._client.get_registered_model(name).aliases
        found = self._client.search_model_versions(f"name='{name}'")
        return tuple(sorted((read_version(v, aliases) for v in found), key=lambda v: v.version))

    def version(self, name: str, number: int) -> Version:
        """Return one version.

        Raises
        ------
        InputError
            If there is none of that number.
        """
        versions = self.versions(name)
        for version in versions:
            if version.version == number:
                return version
        raise InputError(
            f"{name} must have the version, but has no {number}; there are "
            f"{[v.version for v in versions]}"
        )

    def champion(self, name: str) -> Version | None:
        """Return the version that is served; None if there is none."""
        for version in self.versions(name):
            if Alias.CHAMPION in version.aliases:
                return version
        return None

    def events(self, name: str) -> tuple[ChampionEvent, ...]:
        """Return every change of champion, the oldest first."""
        tags = self._client.get_registered_model(name).tags
        keys = sorted(key for key in tags if key.startswith(_EVENT))
        contents = [json.loads(tags[key]) for key in keys]
        return tuple(ChampionEvent(**{**c, "action": Action(c["action"])}) for c in contents)

    def folder(self, name: str, version: int) -> Path:
        """Return where the bundle of a version lies."""
        return self.store.root / "bundles" / f"{name}-v{version}"

    def bundle(self, version: Version) -> Bundle:
        """Read the bundle of a version.

        Raises
        ------
        InputError
            If it is not complete, was changed, or is not the one that was registered.
        """
        if not version.complete:
            raise InputError(
                f"version {version.version} of {version.name} must be complete, but its training "
                "was stopped before it was written; train it anew"
            )
        bundle = load_bundle(self.folder(version.name, version.version))
        if bundle.digest != version.digest:
            raise InputError(
                f"{bundle.folder} must be the bundle that was registered, with the digest "
                f"{version.digest[:12]}, but has {bundle.digest[:12]}; do not use it, train it anew"
            )
        return bundle

    def unserved(self, version: Version) -> str:
        """Return why a service would refuse the bundle of a version; empty if it would not."""
        bundle = self.bundle(version)
        try:
            check_served(bundle.folder, bundle.manifest)
        except InputError as error:
            return str(error)
        return ""

    def register(
        self,
        name: str,
        *,
        run: RunWriter,
        draft: Draft,
        gates: Sequence[Gate],
        gated_against: int | None,
    ) -> Version:
        """Add a version, write its bundle and make it the challenger.

        Parameters
        ----------
        name : str
            Registered model; made if it is not there.
        run : RunWriter
            The open run; gets the files of the bundle.
        draft : Draft
            What the bundle holds.
        gates : sequence of Gate
            What was required, and measured.
        gated_against : int or None
            Version that was champion when the gates ran; None for the reference models.
        """
        client = self._client
        with self._locked():
            if name not in self.names():
                client.create_registered_model(name)
            made = client.create_model_version(
                name,
                source=f"{client.get_run(run.run_id).info.artifact_uri}/bundle",
                run_id=run.run_id,
                tags={
                    "model": draft.forecaster.model,
                    "trained_until": str(draft.forecaster.trained_until),
                    "n_gates": str(len(gates)),
                    "n_passed": str(sum(gate.passed for gate in gates)),
                    "gates": "passed" if all_passed(gates) else "failed",
                    "gated_against": "references" if gated_against is None else str(gated_against),
                },
            )
            number = int(made.version)
            folder = self.folder(name, number)
            digest = write_bundle(folder, draft, version=number, key=signing_key())
            run.write(Artifact(path, "bundle") for path in sorted(folder.iterdir()))
            client.set_model_version_tag(name, made.version, "bundle_digest", digest)
            # The last tag: without it the version counts for nothing.
            client.set_model_version_tag(name, made.version, "state", COMPLETE)
            client.set_registered_model_alias(name, Alias.CHALLENGER, str(number))
        return self.version(name, number)

    def promote(self, name: str, number: int, *, force: str | None = None) -> ChampionEvent:
        """Make a version champion.

        Parameters
        ----------
        name : str
            Registered model.
        number : int
            Of the version.
        force : str, optional
            Reason to do so although its gates did not pass, or passed against another champion
            than the present one; it is kept.

        Raises
        ------
        GateError
            If the gates do not allow it.
        InputError
            If there is no such version, it is champion, or its bundle is not in order.
        """
        with self._locked():
            version, champion = self.version(name, number), self.champion(name)
            if champion is not None and champion.version == number:
                raise InputError(f"version {number} of {name} must not be champion yet, but is")
            self.bundle(version)
            against = None if champion is None else champion.version
            if force is None:
                check_gates(version, against)
            self._keep_up(name, champion)
            if force is None:
                reason = f"passed {version.n_gates} gates against {opponent_text(against)}"
                return self._crown(name, number, Action.PROMOTED, reason)
            return self._crown(name, number, Action.FORCED, force)

    def rollback(self, name: str, *, reason: str) -> ChampionEvent:
        """Make the version champion that was so before the present one.

        Parameters
        ----------
        name : str
            Registered model.
        reason : str
            Why; it is kept.

        Raises
        ------
        InputError
            If no version was champion before, or its bundle is not in order.
        """
        with self._locked():
            champion = self.champion(name)
            self._keep_up(name, champion)
            line = line_of(self.events(name))
            if len(line) < 2:
                raise InputError(
                    f"{name} must have had a champion before the present one, but there was none; "
                    "promote another version"
                )
            self.bundle(self.version(name, line[-2]))
            return self._crown(name, line[-2], Action.ROLLED_BACK, reason)

    def shadow(self, name: str, number: int) -> None:
        """Make a version the shadow: it runs beside the champion without effect.

        Raises
        ------
        InputError
            If there is no such version, or its bundle is not in order.
        """
        with self._locked():
            self.bundle(self.version(name, number))
            self._client.set_registered_model_alias(name, Alias.SHADOW, str(number))

    def _crown(self, name: str, number: int, action: Action, reason: str) -> ChampionEvent:
        client = self._client
        client.set_registered_model_alias(name, Alias.CHAMPION, str(number))
        event = self._write_event(name, number, action, reason)
        # Last: a service that reads it must find the version to be champion.
        write_promotion(
            self.store.root / "bundles",
            Promotion(
                name=name,
                version=number,
                folder=self.folder(name, number).name,
                digest=self.version(name, number).digest,
                at=event.at,
                by=event.by,
            ),
        )
        if Alias.CHALLENGER in self.version(name, number).aliases:
            client.delete_registered_model_alias(name, Alias.CHALLENGER)
        return event

    def _keep_up(self, name: str, champion: Version | None) -> None:
        """Write down a champion that the events do not know.

        The process that made it may have died between alias and event, or somebody set the alias
        by hand.
        """
        events = self.events(name)
        known = events[-1].version if events else None
        if champion is not None and champion.version != known:
            self._write_event(name, champion.version, Action.FOUND, "was set without a record")

    def _write_event(self, name: str, number: int, action: Action, reason: str) -> ChampionEvent:
        event = ChampionEvent(
            version=number,
            action=action,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            by=_who(),
            reason=reason,
        )
        key = f"{_EVENT}{len(self.events(name)) + 1:04d}"
        self._client.set_registered_model_tag(name, key, json.dumps(asdict(event)))
        return event

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from changing the registry; a process that dies lets go."""
        path = self.store.root / "registry.lock"
        with closing(sqlite3.connect(path, timeout=_LOCK_WAIT_S, isolation_level=None)) as lock:
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                raise InputError(
                    f"the registry must be free, but another process has held {path} for "
                    f"{_LOCK_WAIT_S:.0f} s ({error}); wait for it or end it"
                ) from error
            yield

    @cached_property
    def _client(self) -> "MlflowClient":
        return open_client(self.store)


def _who() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
