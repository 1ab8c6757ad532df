"""The paths of a configuration that is stored with its run."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception.training.run_folder import result_values, with_absolute_paths
from perception.training.train_config import DistillConfig
from tests.fusion_scenes import lively_model
from tests.training.conftest import small_config


def test_weights_named_by_a_plugin_stay_a_name_beside_a_folder_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "street").mkdir()
    config = small_config(tmp_path / "a.mcap", tmp_path, tmp_path / "run", transfer={"checkpoint": "street"})
    taught = config.transfer.model_copy(update={"distill": DistillConfig(checkpoint="street")})
    config = config.model_copy(update={"transfer": taught})
    for transfer in (config.transfer, with_absolute_paths(config).transfer):
        assert transfer.checkpoint == transfer.distill.checkpoint == "street"
    lively_model().save_pretrained("street")
    transfer = with_absolute_paths(config).transfer
    assert transfer.checkpoint == transfer.distill.checkpoint == str(tmp_path / "street")


def test_logs_keep_their_names_and_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link may have the name by which `data.repeat` knows a log; a URL is no path of this folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "blob").touch()
    (tmp_path / "drive.mcap").symlink_to("blob")
    url = "https://example.org/logs/a.mcap"
    config = small_config(tmp_path / "x", tmp_path, tmp_path / "run", data={"train": ["drive.mcap", url]})
    stored = with_absolute_paths(config)
    assert stored.data.train == (str(tmp_path / "drive.mcap"), url)
    assert with_absolute_paths(stored) == stored
    named = small_config(tmp_path / "x", tmp_path, tmp_path / "run", data={"train": ["blob", url]})
    assert result_values(named) == result_values(config) == result_values(stored)
