"""Published weights of a backbone, from torch's cache or fetched into it, as files on this machine."""

from __future__ import annotations

import hashlib
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from perception.errors import CheckpointError, ConfigError
from perception.models import FusionModel
from perception.models.torchvision_backbone import published_weights
from perception.training import load_train_config, parse_train_config
from perception.training.transfer import check_transfer
from tests.fusion_scenes import SMALL, scene

NAME = "mobilenet_v3_small"
CONFIG = replace(SMALL, backbone=NAME)


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    from torchvision import models

    torch.manual_seed(11)
    found: dict[str, torch.Tensor] = models.get_model(NAME).state_dict()
    return found


@pytest.fixture
def entry() -> Any:
    """What torchvision says of the published weights."""
    from torchvision import models

    return models.get_model_weights(NAME).DEFAULT.value


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: Any) -> Path:
    """Where torch keeps what it fetched; empty. The network is a port that nobody listens at."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    monkeypatch.setattr(entry, "url", f"http://127.0.0.1:9/models/{Path(entry.url).name}")
    return folder


def fetched_from(path: Path, entry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "url", path.as_uri())


def test_a_backbone_starts_from_the_file_in_the_cache(
    cache: Path, entry: Any, state: dict[str, torch.Tensor]
) -> None:
    torch.save(state, cache / Path(entry.url).name)
    model = FusionModel(CONFIG, seed=1, pretrained=True)
    chance = FusionModel(CONFIG, seed=1)
    loaded = [value for value in model.camera.backbone.state_dict().values() if value.numel() > 100]
    assert loaded
    kept = [value for value in state.values() if value.numel() > 100]
    for value in loaded:
        assert any(value.shape == other.shape and torch.equal(value, other) for other in kept)
    assert not torch.equal(
        model.dense(scene(SMALL, 2)).heatmap.detach(), chance.dense(scene(SMALL, 2)).heatmap.detach()
    )


def test_without_the_file_and_the_network_one_is_told_what_to_put_where(cache: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        FusionModel(CONFIG, pretrained=True)
    text = str(caught.value)
    for words in (
        NAME,
        "http://127.0.0.1:9/models/",
        "refused",
        str(cache),
        "set transfer.pretrained: false",
    ):
        assert words in text
    assert not list(cache.iterdir())


def test_what_is_fetched_has_the_digest_in_its_name(
    cache: Path, entry: Any, state: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(state, tmp_path / "file")
    digest = hashlib.sha256((tmp_path / "file").read_bytes()).hexdigest()[:8]
    for end in ("00000000", digest):
        source = tmp_path / f"{NAME}-{end}.pth"
        source.write_bytes((tmp_path / "file").read_bytes())
        fetched_from(source, entry, monkeypatch)
        if end == digest:
            assert torch.equal(published_weights(NAME)["features.0.0.weight"], state["features.0.0.weight"])
            assert [path.name for path in cache.iterdir()] == [source.name]
        else:
            with pytest.raises(CheckpointError, match="invalid hash value"):
                published_weights(NAME)
            assert not list(cache.iterdir())


@pytest.mark.parametrize("data", [b"", b"not a file of weights", b"PK" + bytes(200)])
def test_a_damaged_file_is_named_and_to_be_deleted(cache: Path, entry: Any, data: bytes) -> None:
    file = cache / Path(entry.url).name
    file.write_bytes(data)
    with pytest.raises(
        CheckpointError, match=rf"{file.name}: the weights of {NAME} cannot be read: .*delete it"
    ):
        published_weights(NAME)


def test_weights_of_another_network_are_refused(
    cache: Path, entry: Any, state: dict[str, torch.Tensor]
) -> None:
    torch.save(
        {name: value for name, value in state.items() if "features.0" in name}, cache / Path(entry.url).name
    )
    with pytest.raises(CheckpointError, match=f"are not those of {NAME}: .*Missing key"):
        FusionModel(CONFIG, pretrained=True)


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_no_code_in_a_file_runs(cache: Path, entry: Any, tmp_path: Path) -> None:
    (cache / Path(entry.url).name).write_bytes(pickle.dumps(Hostile(tmp_path / "ran"), protocol=2))
    with pytest.raises(CheckpointError):
        published_weights(NAME)
    assert not (tmp_path / "ran").exists()


def test_it_is_found_before_anything_is_decoded(cache: Path, tmp_path: Path) -> None:
    config = parse_train_config({"model": {"backbone": NAME}, "transfer": {"pretrained": True}})
    with pytest.raises(CheckpointError, match="cannot be fetched"):
        check_transfer(config)
    path = tmp_path / "none.safetensors"
    with pytest.raises(CheckpointError, match=r"none\.safetensors"):
        check_transfer(load_train_config("newcomer", {"transfer.checkpoint": str(path)}))


def test_the_default_backbone_has_no_published_weights() -> None:
    with pytest.raises(ConfigError, match=r"transfer\.pretrained: .* set model\.backbone: resnet18"):
        parse_train_config({"transfer": {"pretrained": True}})
    with pytest.raises(ConfigError, match="torchvision knows no network 'resnet19'"):
        published_weights("resnet19")
