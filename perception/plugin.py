"""The plugin contract, and how an installed plugin is found and loaded.

A plugin is an installed package with an entry point in the group `perception.plugins` that names
the package, and a `plugin.yaml` in that package: its manifest, which is data, so that listing
plugins imports none of them::

    [project.entry-points."perception.plugins"]
    mine = "my_package"            # my_package/plugin.yaml, packaged as data

    # my_package/plugin.yaml
    api: 1
    name: mine
    factory: my_package.core:MyPlugin
    inputs: [camera, status]
    heads: [control]
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from perception.errors import NoPluginError, PluginError
from perception.messages import SENSORS, Reset, Sample
from perception.outputs import HEADS, Output
from perception.plain_yaml import read_yaml

API_VERSION = 1
GROUP = "perception.plugins"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a plugin says of itself.

    Attributes:
        api: Version of this contract; `API_VERSION`.
        name: The entry point's name.
        factory: `module:callable`; called with this manifest, gives the plugin.
        inputs: Which of camera, range, status it wants.
        heads: Which of class, box, control it gives.
        preroll_s: Seconds of log before a start that fill the plugin's own memory; 0 for a plugin that
            remembers nothing, None: from the beginning.
        max_batch: The largest batch that `step` takes.
        description: One line.
    """

    api: int
    name: str
    factory: str
    inputs: tuple[str, ...]
    heads: tuple[str, ...]
    preroll_s: float | None = 0.0
    max_batch: int = 1
    description: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """What a host gives a plugin when it opens it.

    Attributes:
        device: `cpu` or `cuda`, already resolved.
        seed: For whatever the plugin draws.
        checkpoint: A file of weights; None: the plugin's own.
        options: The `plugin.options` of the configuration.
        status: Names of the status channels, in the order of `StatusWindow.values`.
        status_steps: T, the steps of the status window.
        status_rate_hz: The rate of those steps.
        max_range_m: Returns beyond it are invalid.
        batch: The run's one batch shape.
        threads: Threads for computation; None: the library's default.
        backend, precision: As configured; `auto` lets the plugin choose.
    """

    device: str = "cpu"
    seed: int = 0
    checkpoint: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    status: tuple[str, ...] = ()
    status_steps: int = 16
    status_rate_hz: float = 20.0
    max_range_m: float = 30.0
    batch: int = 1
    threads: int | None = None
    backend: str = "auto"
    precision: str = "auto"


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A sample made ready for `step`. `sample` may have more absent inputs than what came in
    (`Sample.with_absent`): an image that does not decode is found out here."""

    sample: Sample
    payload: Any = None


class Plugin(Protocol):
    """What a host runs. Inherit from it to get the defaults.

    The host calls `open` once, then for samples in order `prepare` (from any thread) and `step`, `reset`
    between samples, and `close` once, also after an error. Beside it a plugin may offer `Infers` and
    `StepsSubsets`.
    """

    manifest: Manifest

    def open(self, context: Context) -> None:
        """Load weights, move to the device, warm up."""

    def prepare(self, sample: Sample) -> Prepared:
        """Stateless and thread-safe: decode pixels, make arrays. Default: the sample as it is."""
        return Prepared(sample)

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        """One output for each sample, in order. Uses no clock and no global state."""
        ...

    def reset(self, reason: Reset) -> None:
        """Forget what was remembered: seek, loop, clock jump."""

    def close(self) -> None:
        """Give everything back."""

    def describe(self) -> Mapping[str, str]:
        """What made the outputs: `weights_sha256`, `backend`, `precision`, `device`, ... for the record."""
        return {}


@runtime_checkable
class Infers(Protocol):
    """What a plugin may offer beside the contract: its heavy computation apart from what it remembers.

    `prepare` and `infer` of different samples then run side by side in several threads, while `step` makes
    the outputs in order in one. The result of `infer` travels in the payload. `step` also takes samples that
    were only prepared, and computes for them itself: a host that knows nothing of `infer` gets the same.
    """

    def infer(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        """The same samples in order, with what was computed in their payloads. At most one batch.

        Stateless and thread-safe, as `prepare`; nothing that it was given is changed.
        """
        ...


@runtime_checkable
class AdoptsPrepared(Protocol):
    """What a plugin may offer beside the contract: to take over what another of its kind has prepared.

    `perception compare` asks for it, because two checkpoints often see the same arrays of a sample.
    """

    def adopt(self, prepared: Prepared, other: Plugin) -> Prepared | None:
        """What `prepare` would have made of the same sample; None where the two see different arrays."""


@runtime_checkable
class StepsSubsets(Protocol):
    """What a plugin may offer beside the contract: answers on several subsets of the inputs at once.

    `perception evaluate --ablate sensors` asks for it, because much of the work (decoding, the features of
    the camera) is the same for all of them. Without it the plugin is prepared and stepped for each subset.
    """

    def step_subsets(
        self, prepared: Sequence[Prepared], subsets: Sequence[tuple[str, ...]]
    ) -> list[list[Output]]:
        """For each sample one output for each subset: what `step` gives with only those inputs present."""
        ...


@runtime_checkable
class KnowsItsOutputs(Protocol):
    """What a plugin may offer beside the contract: what its outputs usually look like, for a monitor."""

    def output_stats(self) -> Mapping[str, Any] | None:
        """The `output_stats` of the checkpoint, once the plugin is open; None where it has none."""
        ...


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed plugin: its manifest, or the fault that keeps it from being used."""

    name: str
    distribution: str
    version: str
    manifest: Manifest | None
    fault: str = ""


def list_plugins() -> list[Installed]:
    """All installed plugins by name, without importing any of them."""
    found = []
    for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
        distribution = point.dist
        label = (distribution.name, distribution.version) if distribution is not None else ("", "")
        try:
            found.append(Installed(point.name, *label, read_manifest(point)))
        except PluginError as error:
            found.append(Installed(point.name, *label, None, str(error)))
    return found


def load_plugin(name: str) -> Plugin:
    """The plugin of that name, not opened yet.

    Raises:
        NoPluginError: None of that name is installed.
        PluginError: Its manifest is wrong, or it does not load.
    """
    manifest = read_manifest(_entry_point(name))
    module_name, _, attribute = manifest.factory.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:
        cause = f"{manifest.factory}: {type(error).__name__}: {error}"
        raise PluginError(f"plugin '{name}' does not load: {cause}") from error
    try:
        plugin: Plugin = factory(manifest)
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(f"plugin '{name}' cannot be made: {type(error).__name__}: {error}") from error
    missing = [method for method in _METHODS if not callable(getattr(plugin, method, None))]
    if missing:
        raise PluginError(
            f"plugin '{name}': {type(plugin).__name__} has no {', '.join(missing)}; "
            "inherit from perception.Plugin to get the defaults"
        )
    return plugin


_METHODS = ("open", "prepare", "step", "reset", "close", "describe")


def _entry_point(name: str) -> EntryPoint:
    points = [point for point in entry_points(group=GROUP) if point.name == name]
    if len(points) == 1:
        return points[0]
    if points:
        packages = ", ".join(sorted(point.dist.name if point.dist else "?" for point in points))
        raise PluginError(
            f"{len(points)} plugins are called '{name}', from {packages}: uninstall all but one"
        )
    names = sorted({point.name for point in entry_points(group=GROUP)})
    near = get_close_matches(name, names, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise NoPluginError(f"no plugin '{name}' is installed{hint} (installed: {', '.join(names) or 'none'})")


def read_manifest(point: EntryPoint) -> Manifest:
    """The manifest of an entry point, read as data.

    Raises:
        PluginError: There is none, or it is wrong; every fault is named.
    """
    path = _package_folder(point) / "plugin.yaml"
    try:
        data = read_yaml(path)
    except FileNotFoundError:
        raise PluginError(
            f"plugin '{point.name}' has no manifest: expected {path.name} as package data of {point.value}"
        ) from None
    except OSError as error:
        cause = error.strerror or error
        raise PluginError(f"the manifest of plugin '{point.name}' cannot be read: {cause}") from None
    except ValueError as error:
        raise PluginError(f"the manifest of plugin '{point.name}' {error}") from None
    return _checked_manifest(point.name, data)


def own_weights(name: str) -> Path | None:
    """The weights that come with a plugin, `weights/default.safetensors` beside or in its package, found
    without importing it; None: it has none.

    Raises:
        PluginError: No such plugin is installed.
    """
    folder = _package_folder(_entry_point(name))
    places = (place / "weights" / "default.safetensors" for place in (folder, folder.parent))
    return next((path for path in places if path.is_file()), None)


def _package_folder(point: EntryPoint) -> Path:
    """Where the package of an entry point lies. Only the top-level name is looked up: nothing is imported."""
    top, *below = point.value.partition(":")[0].split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError) as error:
        raise PluginError(f"plugin '{point.name}': package {top} cannot be found: {error}") from error
    if spec is None or not spec.submodule_search_locations:
        raise PluginError(
            f"plugin '{point.name}': its entry point names {point.value}, which is not an installed package"
        )
    return Path(next(iter(spec.submodule_search_locations)), *below)


def _checked_manifest(name: str, data: object) -> Manifest:
    if not isinstance(data, dict):
        raise PluginError(f"the manifest of plugin '{name}' is not a mapping")
    faults = []
    known = set(Manifest.__dataclass_fields__)
    for key in sorted(set(data) - known, key=str):
        near = get_close_matches(str(key), known, n=1)
        faults.append(f"{key}: unknown{f', did you mean {near[0]}?' if near else ''}")
    faults += [f"{key}: missing" for key in ("api", "factory", "inputs", "heads") if key not in data]
    if "api" in data and (isinstance(data["api"], bool) or data["api"] != API_VERSION):
        faults.append(f"api: {data['api']!r} is not supported; this host speaks {API_VERSION}")
    if data.get("name", name) != name:
        faults.append(f"name: {data['name']!r} differs from the entry point's {name!r}")
    if "factory" in data and not (isinstance(data["factory"], str) and data["factory"].count(":") == 1):
        faults.append(f"factory: expected 'module:callable', found {data['factory']!r}")
    for key, allowed in (("inputs", SENSORS), ("heads", HEADS)):
        values = data.get(key, [])
        if not isinstance(values, list) or any(value not in allowed for value in values):
            faults.append(f"{key}: expected a list of {', '.join(allowed)}, found {values!r}")
        elif len(set(values)) != len(values):
            faults.append(f"{key}: names something twice: {values!r}")
        elif key == "heads" and key in data and not values:
            faults.append(f"heads: expected at least one of {', '.join(HEADS)}")
    preroll = data.get("preroll_s", 0.0)
    if preroll is not None and not (
        isinstance(preroll, int | float) and not isinstance(preroll, bool) and 0 <= preroll < float("inf")
    ):
        faults.append(f"preroll_s: expected seconds or null, found {preroll!r}")
    batch = data.get("max_batch", 1)
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        faults.append(f"max_batch: expected a whole number from 1, found {batch!r}")
    if faults:
        raise PluginError(f"the manifest of plugin '{name}' is wrong: " + "; ".join(faults))
    return Manifest(
        api=data["api"],
        name=name,
        factory=data["factory"],
        inputs=tuple(data["inputs"]),
        heads=tuple(data["heads"]),
        preroll_s=None if preroll is None else float(preroll),
        max_batch=batch,
        description=str(data.get("description", "")),
    )
