"""From verified files to what a service holds: the graph ready, the rest known to be readable."""

from dataclasses import dataclass, replace

import msgspec
from safetensors import SafetensorError, deserialize

from ...bundles import OPTIONAL_FILES, Manifest, VerifiedFiles
from ...errors import InputError
from ..onnx_model import OnnxModel
from .correlations import BundledCorrelations, read_correlations

_KEPT = {*OPTIONAL_FILES, "experiment.yaml", "gates.json"}  # the rest is for whoever trains


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedBundle:
    """A bundle that can be served.

    Attributes
    ----------
    files : VerifiedFiles
        What it is, and what a service reads of it.
    network : OnnxModel or None
        Its graph; None if it has none.
    correlations : BundledCorrelations or None
        What what-if starts from; None if it has none.
    """

    files: VerifiedFiles
    network: OnnxModel | None
    correlations: BundledCorrelations | None

    @property
    def manifest(self) -> Manifest:
        """What it is."""
        return self.files.manifest

    @property
    def name(self) -> str:
        """``name/version``."""
        return f"{self.manifest.name}/{self.manifest.version}"


def load(files: VerifiedFiles) -> LoadedBundle:
    """Make a verified bundle ready; whatever in it cannot be read is refused here and not later.

    Parameters
    ----------
    files : VerifiedFiles
        From :func:`foremargin.bundles.read_verified`.

    Raises
    ------
    InputError
        If a file is not in its form, or the graph is not plain arithmetic.
    """
    kept = {name: content for name, content in files.contents.items() if name in _KEPT}
    for name, content in kept.items():
        if name.endswith(".json"):
            _check_json(name, content)
        elif name.endswith(".safetensors"):
            _check_arrays(name, content)
    graph = kept.get("model.onnx")
    return LoadedBundle(
        files=replace(files, contents=kept),
        network=None if graph is None else OnnxModel.load(graph),
        correlations=read_correlations(files),
    )


def _check_json(name: str, content: bytes) -> None:
    try:
        msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(
            f"{name} of a bundle must be JSON, but could not be read: {error or 'too deep'}"
        ) from error


def _check_arrays(name: str, content: bytes) -> None:
    try:
        deserialize(content)  # type: ignore[no-untyped-call]  # it has no annotations
    except (SafetensorError, ValueError, TypeError) as error:
        raise InputError(
            f"{name} of a bundle must be safetensors, but could not be read: {error}"
        ) from error
