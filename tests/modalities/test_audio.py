"""Recordings become log-mel spectrograms in one way, whatever file they come from, and padding says nothing."""

import io
import os
import struct
import time
import warnings

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mla_train.config import Augmentation
from mla_train.errors import UserError
from mla_train.inference.export.runtime import infer_onnx
from mla_train.modalities import Audio
from mla_train.modalities.audio.augment import SpectrogramTransform
from mla_train.modalities.audio.decode import UnreadableError, read_recording, resampled
from mla_train.modalities.audio.log_mel import is_silent, log_mel, mel_filters
from mla_train.modalities.audio.spec import AudioSpec
from mla_train.model import Model
from mla_train.stored_spec import typed
from tests.helpers import SMALL, batch_of, config, made_data, randomize

RATE = 16_000
SPEC = AudioSpec(RATE, 40, 10.0, [-40.0] * 40, [20.0] * 40)


def tone(hertz=440.0, seconds=0.3, rate=RATE, loud=0.5):
    return (loud * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def naive_log_mel(samples, rate, bands):
    """One number at a time, by the definitions."""
    window, hop = round(0.032 * rate), round(0.01 * rate)
    padded = np.concatenate([np.zeros(window // 2), samples, np.zeros(window // 2)])
    mel = [2595 * np.log10(1 + hertz / 700) for hertz in (0, rate / 2)]
    corners = [700 * (10 ** (each / 2595) - 1) for each in np.linspace(*mel, bands + 2)]
    power = np.zeros((1 + len(samples) // hop, bands))
    for frame in range(len(power)):
        part = padded[frame * hop : frame * hop + window]
        hann = np.array([np.sin(np.pi * i / window) ** 2 for i in range(window)])
        for bin_ in range(window // 2 + 1):
            turns = np.exp(-2j * np.pi * bin_ * np.arange(window) / window)
            strength, hertz = abs((part * hann * turns).sum()) ** 2, bin_ * rate / window
            for band in range(bands):
                left, middle, right = corners[band : band + 3]
                if left < hertz <= middle:
                    power[frame, band] += strength * (hertz - left) / (middle - left)
                elif middle < hertz < right:
                    power[frame, band] += strength * (right - hertz) / (right - middle)
    return np.maximum(10 * np.log10(np.maximum(power / power.max(), 1e-30)), -80)


def test_a_spectrogram_is_that_of_the_definitions():
    samples = tone(700, 0.05, 8000) + 0.1 * np.random.default_rng(0).normal(size=400).astype(np.float32)
    expected = naive_log_mel(samples, 8000, 12)
    np.testing.assert_allclose(log_mel(samples, 8000, 12), expected, atol=0.05)
    spec = {"sample_rate": 8000, "mel_bands": 12}
    np.testing.assert_allclose(infer_onnx.log_mel(samples, spec), expected, atol=0.05)


@pytest.mark.parametrize(("rate", "bands"), [(16_000, 40), (16_000, 80), (8000, 80), (44_100, 64), (48_000, 80)])
def test_every_band_hears_something(rate, bands):
    filters = mel_filters(bands, round(0.032 * rate), rate)
    assert filters.shape == (round(0.032 * rate) // 2 + 1, bands)
    assert (filters.sum(0) > 0).all()


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([1e-2, 0.1, 1.0, 3.0, 1e30]), st.integers(400, 4000))
def test_loudness_does_not_matter_and_all_values_are_in_range(gain, length):
    samples = np.random.default_rng(length).normal(0, 0.2, length).astype(np.float32)
    spectrogram = log_mel(samples, RATE, 40)
    assert spectrogram.shape == (1 + length // 160, 40)
    assert spectrogram.min() >= -80
    assert spectrogram.max() == 0
    np.testing.assert_allclose(log_mel(gain * samples, RATE, 40), spectrogram, atol=0.1)


def test_silence_is_silent():
    for samples in (np.zeros(4000, np.float32), tone(loud=1e-5)):
        assert is_silent(log_mel(samples, RATE, 40))
    assert not is_silent(log_mel(tone(loud=1e-2), RATE, 40))


def write(file, samples, rate=RATE, **options):
    soundfile.write(file, samples, rate, **options)
    return file


def test_formats_rates_and_channels_give_one_spectrogram(tmp_path):
    expected = log_mel(tone(), RATE, 40)
    files = [write(tmp_path / name, tone()) for name in ("a.wav", "a.flac")]
    files.append(write(tmp_path / "stereo.wav", np.stack([0.4 * tone(), 1.6 * tone()], 1), subtype="FLOAT"))
    files += [write(tmp_path / f"{rate}.wav", tone(rate=rate), rate) for rate in (22_050, 44_100, 48_000)]
    files.append(write(tmp_path / "a.ogg", tone()))
    loud = expected > -25  # what coding and filters leave as it is
    for file in files:
        spectrogram = Audio(SPEC).preprocess([file]).values[0]
        difference = np.abs(spectrogram.astype(float) - expected)[loud]
        assert difference.max() < (0.2 if file.suffix == ".wav" and file.stem in ("a", "stereo") else 1.0), file
        np.testing.assert_array_equal(Audio(SPEC).preprocess([file.read_bytes()]).values[0], spectrogram)
        exported = infer_onnx.read_recordings([str(file)], vars(SPEC))["spectrograms"][0, : len(spectrogram)]
        np.testing.assert_allclose(exported, spectrogram, atol=0.1)


def test_resampling_keeps_a_tone_and_removes_what_the_rate_cannot_hold():
    low, high = tone(1000, 0.5, 48_000), tone(12_000, 0.5, 48_000)
    np.testing.assert_allclose(resampled(low, 48_000, RATE)[800:-800], tone(1000, 0.5)[800:-800], atol=2e-3)
    assert np.abs(resampled(high, 48_000, RATE)[800:-800]).max() < 2e-3


def test_a_rate_without_a_common_factor_takes_no_time():
    resampled(tone(), 48_000, RATE)  # what is imported late
    start = time.perf_counter()
    heard = resampled(tone(1000, 0.5, 383_999), 383_999, RATE)
    assert time.perf_counter() - start < 1
    np.testing.assert_allclose(heard[800:7200], tone(1000, 0.5)[800:7200], atol=1e-2)


def test_rates_and_lengths_of_a_stranger_are_within_what_can_be_chosen():
    values = {"sample_rate": RATE, "mel_bands": 40, "max_seconds": 10.0}
    assert typed(AudioSpec, values, "spec") == AudioSpec(**values)
    for name, odd in (("sample_rate", 2_000_000_000), ("sample_rate", 1), ("max_seconds", 1e307)):
        with pytest.raises(UserError, match=rf"spec\.{name} must be from"):
            typed(AudioSpec, values | {name: odd}, "spec")
        with pytest.raises(UserError, match=rf"data\.{name}="):
            config("task=speech_classification", f"data.{name}={odd}")


@pytest.mark.parametrize(
    ("old", "new"), [(22_050, RATE), (44_100, RATE), (8000, RATE), (48_000, RATE), (11_025, 8000), (383_999, RATE)]
)
def test_exported_models_resample_alike(old, new):
    samples = np.random.default_rng(0).normal(0, 0.1, 5000).astype(np.float32)
    np.testing.assert_allclose(infer_onnx.resampled(samples, old, new), resampled(samples, old, new), atol=1e-5)


def header_of_wav(rate, channels=1, count=8):
    data = b"\0" * 2 * count
    sizes = struct.pack("<4sI4s4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16)
    return sizes + struct.pack("<HHIIHH4sI", 1, channels, rate, rate * 2, 2 * channels, 16, b"data", len(data)) + data


def test_recordings_that_cannot_be_read_say_why(tmp_path):
    nan = tone()
    cut = {kind: write(tmp_path / f"whole.{kind}", tone()).read_bytes() for kind in ("wav", "aiff")}
    nan[7] = np.nan
    os.mkfifo(tmp_path / "pipe.wav")
    whole = write(tmp_path / "whole.flac", np.random.default_rng(0).normal(0, 0.1, 9000)).read_bytes()
    cases = {
        tmp_path / "none.wav": "no such file",
        tmp_path / "pipe.wav": "no such file",
        write(tmp_path / "nan.wav", nan, subtype="FLOAT"): "no finite number",
        write(tmp_path / "empty.wav", np.zeros(0)): "no samples",
        write(tmp_path / "a.au", tone()): "format AU",
        b"no sound": "damaged, or no recording",
        b"": "damaged",
        whole[:900]: "damaged",
        cut["wav"][: len(cut["wav"]) // 2]: "ends after .* samples: it is damaged",
        cut["aiff"][: len(cut["aiff"]) // 2]: "ends after .* samples: it is damaged",
        header_of_wav(2): "2 Hz",
        header_of_wav(2**31 - 1): "Hz",
    }
    for source, reason in cases.items():
        with pytest.raises(UnreadableError, match=reason):
            read_recording(source, RATE, 40, 10.0)
    song = write(tmp_path / "whole.mp3", np.random.default_rng(0).normal(0, 0.1, 32_000))
    (tmp_path / "cut.mp3").write_bytes(song.read_bytes()[: song.stat().st_size // 2])
    with pytest.raises(UnreadableError, match=r"ends after .* samples: it is damaged"):
        read_recording(tmp_path / "cut.mp3", RATE, 40, 10.0)
    with pytest.raises(ValueError, match=r"ends after .* samples: it is damaged"):
        infer_onnx.read_samples(str(tmp_path / "cut.mp3"), vars(SPEC))
    for source, reason in list(cases.items())[2:6]:
        with pytest.raises(UserError, match=reason):
            Audio(SPEC).preprocess([source])
    with pytest.raises(UserError, match="16,000 Hz are needed"):
        Audio(SPEC).preprocess([np.zeros((3, 7))])
    column = load([*cases][:6], [str(place) for place in range(6)], [], other=write(tmp_path / "good.wav", tone()))
    assert list(column.broken) == [0, 1, 2, 3, 4, 5]
    assert column.is_missing().tolist() == [True] * 6 + [False]


def test_headers_that_were_written_before_the_recording_are_read(tmp_path):
    content = write(tmp_path / "a.wav", tone()).read_bytes()
    start = content.index(b"data") + 4
    for said in (0xFFFFFFFF, 0x7FFFFFFF, int.from_bytes(content[start : start + 4], "little") + 20):
        stream = content[:start] + said.to_bytes(4, "little") + content[start + 4 :]
        np.testing.assert_array_equal(*(read_recording(each, RATE, 40, 10.0)[0] for each in (content, stream)))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["WAV", "FLAC", "OGG", "AIFF", "MP3"]), st.data())
def test_damaged_files_are_read_or_refused(kind, draw):
    stream = io.BytesIO()
    soundfile.write(stream, tone(seconds=0.05), RATE, format=kind)
    content = bytearray(stream.getvalue())
    for _ in range(draw.draw(st.integers(1, 4))):
        content[draw.draw(st.integers(0, len(content) - 1))] = draw.draw(st.integers(0, 255))
    content = bytes(content[: draw.draw(st.integers(0, len(content)))])
    try:
        spectrogram, _ = read_recording(content, RATE, 40, 0.5)
    except UnreadableError:
        return
    assert spectrogram.shape[1] == 40
    assert np.isfinite(spectrogram).all()


def load(values, names, notes, other=None):
    options = config("task=speech_classification", "data=audio_folder", "data.max_seconds=0.5").data
    values, names = [*values, *[other] * bool(other)], [*names, *["other"] * bool(other)]
    return Audio.load(values, names, options, notes)


def test_what_is_changed_of_recordings_is_noted(tmp_path):
    files = [
        write(tmp_path / "long.wav", tone(seconds=0.9)),
        write(tmp_path / "stereo.wav", np.stack([tone()] * 2, 1)),
        write(tmp_path / "fast.wav", tone(rate=44_100), 44_100),
        write(tmp_path / "silent.wav", np.zeros(2000)),
        write(tmp_path / "plain.wav", tone()),
    ]
    notes = []
    column = load([*files, None], [*[file.name for file in files], "none"], notes)
    text = "\n".join(notes)
    for line in (
        "1 recordings have 44,100 Hz and are resampled to 16,000 (data.sample_rate)",
        "1 recordings have several channels, which are mixed down: stereo.wav",
        "1 recordings are longer than 0.5 seconds, of which their beginning is read (data.max_seconds): long.wav",
        "1 recordings are silent: silent.wav",
    ):
        assert line in text
    assert [len(each) for each in column.values] == [51, 31, 31, 13, 31, 0]
    again = load([*files, None], [*map(str, range(6))], [])  # from the cache
    assert [each.tobytes() for each in again.values] == [each.tobytes() for each in column.values]
    assert column.contents()[1] == column.contents()[4] != column.contents()[2]
    with pytest.raises(UserError, match="no recording can be read: 0; the first: it is damaged"):
        load([b"nothing"], ["0"], [])


def test_a_spec_has_the_statistics_of_all_training_frames(tmp_path):
    column = Audio.load(Audio.example_values(5), list("abcde"), config("task=speech_classification").data, [])
    spec = Audio.fit(column, config("task=speech_classification").data).spec
    frames = np.concatenate(column.values).astype(float)
    np.testing.assert_allclose(spec.mean, frames.mean(0), atol=1e-6)
    np.testing.assert_allclose(spec.std, frames.std(0).clip(min=1), atol=1e-6)


@pytest.mark.parametrize("level", [Augmentation.light, Augmentation.strong])
def test_variation_keeps_the_bands_and_follows_the_seed(level):
    spectrogram = log_mel(tone(), RATE, 40)
    vary = SpectrogramTransform(level, SPEC.mean)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(vary(spectrogram))
    np.testing.assert_array_equal(results[0], results[1])
    assert results[0].shape != results[2].shape or (results[0] != results[2]).any()
    for result in results:
        assert result.shape[1] == 40
        assert -80 <= result.min() <= result.max() <= 0
        assert 0.7 * len(spectrogram) <= len(result) <= 1.3 * len(spectrogram) + 20
    assert len(vary(spectrogram[:1])) >= 1
    torch.manual_seed(0)
    assert any((vary(spectrogram) == -40).all(0).any() for _ in range(20)), "bands are hidden"


def network(*words):
    settings = config("task=speech_classification", *SMALL, "regularization.augmentation=none", *words)
    torch.manual_seed(0)
    data = made_data(settings, {"audio": Audio})
    return randomize(Model(settings, data.spec)).eval(), data


@pytest.mark.parametrize("words", [[], ["task.pooling=mean"], ["encoder.block=conv_attention"]], ids=" ".join)
def test_padding_and_company_change_no_score(words):
    model, data = network(*words)
    assert len(set(data.train.columns["audio"].lengths()[:6])) > 1
    batch = batch_of(data, "train", 6)
    alone = torch.cat([model(data.collate([data.train[place]], training=False)) for place in range(6)])
    torch.testing.assert_close(model(batch), alone, rtol=1e-4, atol=1e-5)
    tensors = batch.inputs["audio"]
    tensors.spectrograms[tensors.padding] = 7.0
    torch.testing.assert_close(model(batch), alone, rtol=1e-4, atol=1e-5)


def test_tokens_are_cut_hidden_and_joined_again():
    model, data = network()
    embedding, batch = model.embeddings["audio"], batch_of(data, "train", 4)
    tensors = batch.inputs["audio"]
    tokens = embedding(tensors).tokens
    assert tokens.shape[:2] == (4, tensors.spectrograms.size(1) // 4)
    target = embedding.reconstruction_target(tensors)
    scaled = embedding.scaled(tensors.spectrograms)
    torch.testing.assert_close(embedding.join(target.values), scaled.transpose(1, 2))
    hidden = torch.zeros(tokens.shape[:2], dtype=torch.bool)
    hidden[:, 1] = True
    covered = embedding.scaled(embedding.hide(tensors, hidden).spectrograms)
    assert not covered[:, 4:8].any()
    torch.testing.assert_close(covered[:, 8:], scaled[:, 8:])
    assert embedding.count_tokens(tensors) == data.train.columns["audio"].lengths()[:4].sum()


def test_no_warning_of_a_library_reaches_the_user(tmp_path):
    file = write(tmp_path / "a.wav", tone(seconds=0.004))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Audio(SPEC).preprocess([file]).values[0].shape == (1, 40)
