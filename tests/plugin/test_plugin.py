"""Plugins are found as data, loaded by name, and every fault on the way is named."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from perception.diagnosis.conformance.samples import drawn_samples
from perception.errors import PluginError
from perception.plugin import (
    Context,
    Installed,
    Manifest,
    Plugin,
    list_plugins,
    load_plugin,
    own_weights,
    read_manifest,
)
from perception.types import Reset
from tests.third_party.install import install_manifests

SOUND = "api: 1\nfactory: broken_plugins_code:Sound\ninputs: [status]\nheads: [control]\n"


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, **manifests: str) -> dict[str, Installed]:
    """Plugins with these manifests (YAML), installed and listed."""
    install_manifests(manifests, folder)
    monkeypatch.syspath_prepend(str(folder))
    return {item.name: item for item in list_plugins()}


def test_the_shipped_plugin_is_found() -> None:
    (item,) = [item for item in list_plugins() if item.name == "fusion"]
    assert item.error == ""
    assert item.distribution == "perception-fusion"
    assert item.manifest is not None
    assert item.manifest.inputs == ("camera", "range", "status")
    assert item.manifest.heads == ("class", "box", "control")


def test_an_installed_package_is_found_and_loaded(third_party: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(third_party))
    (item,) = [item for item in list_plugins() if item.name == "blob_detector"]
    assert (item.distribution, item.version, item.error) == ("blob-detector", "0.3.0", "")
    plugin = load_plugin("blob_detector")
    assert plugin.manifest == item.manifest
    assert plugin.manifest.preroll_s == 0.5


def test_listing_imports_no_plugin(third_party: Path) -> None:
    code = (
        "import sys; from perception.plugin import list_plugins\n"
        "names = [item.name for item in list_plugins() if not item.error]\n"
        "assert {'fusion', 'blob_detector'} <= set(names), names\n"
        "loaded = ('blob_detector', 'perception_plugins', 'torch', 'cv2')\n"
        "print([m for m in sys.modules if m.startswith(loaded)])"
    )
    environment = {"PYTHONPATH": str(third_party), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_a_package_in_an_archive_is_found_and_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made").mkdir()
    install_manifests({"packed": SOUND, "lost": SOUND}, tmp_path / "made")
    (tmp_path / "made" / "broken_plugins" / "lost" / "plugin.yaml").unlink()
    (tmp_path / "made" / "broken_plugins" / "lost" / "__init__.py").touch()
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "made")
    monkeypatch.syspath_prepend(archive)
    found = {item.name: item for item in list_plugins()}
    assert (found["packed"].distribution, found["packed"].error) == ("broken-plugins", "")
    assert load_plugin("packed").manifest == found["packed"].manifest
    assert "has no manifest: expected plugin.yaml" in found["lost"].error
    assert own_weights("packed") is None


def test_a_manifest_says_how_many_sensors_of_a_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SOUND.replace("[status]", "{camera: 2, status: null}")
    manifest = installed(tmp_path, monkeypatch, counted=text)["counted"].manifest
    assert manifest is not None
    assert (manifest.inputs, manifest.most) == (("camera", "status"), {"camera": 2})


def test_a_short_manifest_has_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = installed(tmp_path, monkeypatch, short=SOUND)["short"].manifest
    assert manifest == Manifest(
        1, "short", "broken_plugins_code:Sound", ("status",), ("control",), 0.0, 1, ""
    )
    plugin = load_plugin("short")
    assert plugin.describe() == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- api", "is not a mapping"),
        ("api: 1\napi: 1", "the key 'api' is given twice"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ("api: [", "is not YAML"),
        (SOUND.replace("api: 1", "api: 2"), "api: 2 is not supported; this host speaks 1"),
        (SOUND.replace("api: 1", "api: true"), "api: True is not supported"),
        (SOUND.replace("inputs", "input"), "input: unknown, did you mean inputs?; inputs: missing"),
        (
            SOUND.replace("status", "sonar"),
            "inputs: expected a list of camera, range, status, found ['sonar']",
        ),
        (
            SOUND.replace("[control]", "control"),
            "heads: expected a list of class, box, control, found 'control'",
        ),
        (SOUND.replace("[control]", "[]"), "heads: expected at least one of class, box, control"),
        (SOUND.replace("[control]", "[control, control]"), "heads: names something twice"),
        (SOUND.replace(":Sound", ".Sound"), "factory: expected 'module:callable'"),
        (SOUND + "name: other", "name: 'other' differs from the entry point's 'faulty'"),
        (SOUND + "preroll_s: -1", "preroll_s: expected seconds or null, found -1"),
        (SOUND + "preroll_s: .inf", "preroll_s: expected seconds or null, found inf"),
        (SOUND + "preroll_s: soon", "preroll_s: expected seconds or null, found 'soon'"),
        (SOUND + "options: [1]", "options: expected a mapping, found [1]"),
        (SOUND + "max_batch: 0", "max_batch: expected a whole number from 1, found 0"),
        (SOUND.replace("[status]", "{status: 0}"), "inputs: expected how many sensors of the kind status"),
        (SOUND + "max_batch: 1.5", "max_batch: expected a whole number from 1, found 1.5"),
    ],
)
def test_a_wrong_manifest_is_listed_with_its_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str
) -> None:
    found = installed(tmp_path, monkeypatch, faulty=text, sound=SOUND)
    assert found["faulty"].manifest is None
    assert says in found["faulty"].error
    assert found["sound"].error == ""  # one bad plugin hides no other
    with pytest.raises(PluginError) as caught:
        load_plugin("faulty")
    assert str(caught.value) == found["faulty"].error


def test_every_fault_of_a_manifest_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = installed(tmp_path, monkeypatch, faulty="api: 9\nheads: [x]\nbatch: 4\n")["faulty"].error
    for part in (
        "batch: unknown, did you mean max_batch?",
        "factory: missing",
        "inputs: missing",
        "api: 9",
        "heads:",
    ):
        assert part in fault


def test_a_memory_without_end_is_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = installed(tmp_path, monkeypatch, endless=SOUND + "preroll_s: null")["endless"].manifest
    assert manifest is not None
    assert manifest.preroll_s is None


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        ("no_such_module:X", "does not load: no_such_module:X: ModuleNotFoundError"),
        ("broken_plugins_code:Nothing", "does not load: broken_plugins_code:Nothing: AttributeError"),
        ("builtins:object", "cannot be made: TypeError"),
        ("builtins:repr", "str has no open, prepare, step, reset, close, describe"),
    ],
)
def test_what_does_not_load_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factory: str, says: str
) -> None:
    text = SOUND.replace("broken_plugins_code:Sound", factory)
    assert installed(tmp_path, monkeypatch, faulty=text)["faulty"].error == ""  # the manifest itself is right
    with pytest.raises(PluginError) as caught:
        load_plugin("faulty")
    assert says in str(caught.value)


def test_an_unknown_name_gets_the_nearest_and_the_list() -> None:
    with pytest.raises(PluginError, match=r"no plugin 'fusoin' is installed; did you mean fusion\?"):
        load_plugin("fusoin")


def test_two_plugins_of_one_name_are_not_chosen_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        install_manifests({"twice": SOUND}, folder, distribution=f"package-{name}")
        monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(PluginError, match="2 plugins are called 'twice', from package-one, package-two"):
        load_plugin("twice")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("no_such_package", "its entry point names no_such_package, which is not an installed package"),
        ("json", "has no manifest: expected plugin.yaml as package data of json"),
        ("sys", "its entry point names sys, which is not an installed package"),
    ],
)
def test_an_entry_point_that_leads_nowhere_says_so(value: str, says: str) -> None:
    with pytest.raises(PluginError) as caught:
        read_manifest(EntryPoint("mine", value, "perception.plugins"))
    assert says in str(caught.value)


def test_a_plugin_may_inherit_every_default_but_step() -> None:
    class Least(Plugin):
        pass

    plugin, (sample,) = Least(), drawn_samples(1)
    plugin.open(Context())
    assert plugin.prepare(sample).sample is sample
    plugin.reset(Reset("seek"))
    plugin.close()
    assert plugin.describe() == {}
