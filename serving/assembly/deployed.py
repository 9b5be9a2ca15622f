"""Serve a bundle: which one, its calculator in a process of its own, and its network by itself."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ...bundles import (
    PRIOR_CORRELATION,
    VerifiedFiles,
    check_served,
    read_promotion,
    read_verified,
    trusted_key,
)
from ...errors import InputError
from ..bundles import BundleStore, LoadedBundle
from ..inference import Inference, InferenceModel, InferenceModels, make_inference_router
from ..journal import Snapshots
from ..service import CalculatorProcess
from .application import Application, Deployment
from .correlations import Array
from .run import run
from .settings import Settings

_logger = logging.getLogger(__name__)

_FACTORY = "foremargin.serving.calculator.deployed:calculator"


class ServedBundles:
    """The store as commands ask it: another bundle must be of the same instruments.

    Correlations are those of the bundle that was active at the start; what was learned since is
    kept when another one takes its place.

    Parameters
    ----------
    store : BundleStore
        With an active bundle.
    """

    def __init__(self, store: BundleStore) -> None:
        self._store = store
        self.models = InferenceModels()
        self.instruments = self.loaded().manifest.instruments
        self._infer()

    def loaded(self) -> LoadedBundle:
        """Return the active bundle.

        Raises
        ------
        InputError
            If there is none, or it is not what it was.
        """
        active = self._store.active()
        if active is None:
            raise InputError(
                "a service must have a bundle, found none; name one with --bundle, as foremargin "
                "train leaves it in mlruns/bundles, or try foremargin serve --demo"
            )
        return active

    def correlation(self) -> Array | None:
        """Return the correlations of the active bundle; None, and a warning, if it has none."""
        active = self.loaded()
        if active.correlations is None:
            _logger.warning(
                "%s has no correlations: what-if begins with %s for every pair and learns from "
                "there; train it anew to have them",
                active.name,
                PRIOR_CORRELATION,
            )
            return None
        return active.correlations.correlation

    def active(self) -> str:
        """Return name and version of the active bundle, and of its shadow."""
        shadow = self._store.shadowed()
        beside = "" if shadow is None else f" with the shadow {shadow.name}"
        return f"{self.loaded().name}{beside}"

    def activate(self, folder: Path) -> LoadedBundle:
        """Serve the bundle in a folder."""
        self._check(folder)
        return self._changed(self._store.activate(folder))

    def rollback(self) -> LoadedBundle:
        """Serve the bundle before."""
        return self._changed(self._store.rollback())

    def shadow(self, folder: Path | None) -> LoadedBundle | None:
        """Compute another bundle beside, or none."""
        if folder is not None:
            self._check(folder)
        return self._store.shadow(folder)

    def follow(self, bundles: Path, name: str) -> bool:
        """Serve the champion of a registered model; return whether it is a new one."""
        promotion = read_promotion(bundles, name)
        if promotion is None or promotion.digest == self.loaded().files.digest:
            return False
        self._check(bundles / promotion.folder)
        if self._store.follow(bundles, name) is None:
            return False
        self._infer()
        return True

    def arguments(self) -> Mapping[str, Any]:
        """Return what the calculator's process is told."""
        active, shadow = self.loaded(), self._store.shadowed()
        told = {"folder": str(active.files.folder), "digest": active.files.digest}
        if shadow is not None:
            told |= {"shadow": str(shadow.files.folder), "shadow_digest": shadow.files.digest}
        return told

    def _changed(self, bundle: LoadedBundle) -> LoadedBundle:
        self._infer()
        return bundle

    def _infer(self) -> None:
        """Answer the Open Inference Protocol with the network of the active bundle."""
        active = self.loaded()
        if active.network is None:
            self.models.replace()
            return
        manifest = active.manifest
        self.models.replace(
            InferenceModel(name=manifest.name, version=str(manifest.version), graph=active.network)
        )

    def _check(self, folder: Path) -> None:
        found = read_verified(folder, trusted=None).manifest.instruments
        if found != self.instruments:
            raise InputError(
                f"a bundle must be of the {len(self.instruments)} instruments that are served, "
                f"found {len(found)} that are others or in another order; restart with it"
            )


def _check_served(files: VerifiedFiles) -> None:
    check_served(files.folder, files.manifest)


def run_deployed(settings: Settings) -> None:
    """Serve the bundle that the settings name, or that was active last.

    Raises
    ------
    InputError
        If there is none, or something that the settings name cannot be used.
    """
    folder = Path(settings.state_dir)
    folder.mkdir(parents=True, exist_ok=True)
    store = BundleStore(
        folder / "bundles",
        _trusted(settings),
        accept_unsigned=settings.accept_unsigned,
        check=_check_served,
    )
    if settings.bundle:
        store.activate(settings.bundle, by="command line")
    bundles = ServedBundles(store)
    inference = Inference(bundles.models)
    deployment = Deployment(
        instruments=bundles.instruments,
        correlation=bundles.correlation(),
        calculator=CalculatorProcess(
            _FACTORY,
            arguments=bundles.arguments,
            snapshots=Snapshots(folder / "calculator"),
            settings=settings.process,
        ),
        bundles=bundles,
        routes=tuple(make_inference_router(inference).routes),
        infer=inference.infer,
        follow=_follower(bundles, settings.follow),
    )
    run(Application(settings, deployment), settings)


def _follower(bundles: ServedBundles, followed: str) -> Callable[[], bool] | None:
    if not followed:
        return None
    path = Path(followed)
    return partial(bundles.follow, path.parent, path.name)


def _trusted(settings: Settings) -> Ed25519PublicKey | None:
    if settings.accept_unsigned:
        return None
    return trusted_key(Path(settings.trusted_key) if settings.trusted_key else None)
