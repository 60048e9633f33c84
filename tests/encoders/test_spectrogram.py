import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.encoders import encode, spectrogram
from mtl_zoo.encoders.spectrogram import log_mel

RATE = 8000
OPTIONS = {"sampling_rate": RATE, "num_mel_bins": 20, "sequence_length": 200, "sequence_stride": 80}


def tone(frequency, samples=2000):
    return np.sin(2 * np.pi * frequency * np.arange(samples) / RATE).astype("float32")


def energies(waves):
    inputs = keras.Input(waves.shape[1:])
    return np.array(keras.Model(inputs, log_mel(inputs, "x", fft_length=256, **OPTIONS))(waves))[..., 0]


def by_hand(wave):
    """Compute normalized log-mel energies in float64: frames, Hann window, power, triangles, logarithm."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 200)
    # Frames are centred: the wave is mirrored by half an FFT, and a window of 200 sits in the middle of 256.
    wave = np.pad(wave.astype("float64"), 128, mode="reflect")
    starts = range(0, len(wave) - 256 + 1, 80)
    window = np.pad(window, 28)
    spectrum = np.abs(np.fft.rfft([wave[s : s + 256] * window for s in starts], axis=-1)) ** 2
    to_mel, hertz = lambda f: 1127 * np.log1p(f / 700), np.linspace(0, RATE / 2, 129)
    edges = np.linspace(to_mel(20.0), to_mel(RATE / 2), 22)
    rising = (to_mel(hertz)[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - to_mel(hertz)[:, None]) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0, np.minimum(rising, falling))
    filters[0] = 0
    log = np.log(spectrum @ filters + 1e-6)
    return (log - log.mean()) / np.sqrt(log.var() + 1e-3)


@pytest.mark.parametrize("frequency", [300, 1000, 2500])
def test_energies_against_numpy(frequency):
    wave = tone(frequency) + 0.1 * np.random.default_rng(0).normal(size=2000).astype("float32")
    np.testing.assert_allclose(energies(wave[None])[0], by_hand(wave), atol=0.02)


def test_a_tone_is_loudest_in_its_band():
    mel = np.linspace(1127 * np.log1p(20 / 700), 1127 * np.log1p(RATE / 2 / 700), 22)[1:-1]
    for frequency in (300, 1000, 2500):
        loudest = energies(tone(frequency)[None])[0].mean(axis=0).argmax()
        assert loudest == np.abs(mel - 1127 * np.log1p(frequency / 700)).argmin()


def test_an_example_does_not_depend_on_the_others_of_the_batch():
    waves = np.stack([tone(300), 100 * tone(1000), np.zeros(2000, "float32")])
    together = energies(waves)
    for wave, expected in zip(waves, together, strict=True):
        np.testing.assert_allclose(energies(wave[None])[0], expected, rtol=1e-3, atol=1e-3)
    assert np.all(np.isfinite(together))


def test_loudness_does_not_matter_much_above_silence():
    noise = np.random.default_rng(0).normal(size=(1, 2000)).astype("float32")
    np.testing.assert_allclose(energies(10 * noise), energies(noise), atol=0.01)


def test_stages_and_their_sizes():
    stages = spectrogram(4, 8, num_mel_bins=20, sampling_rate=RATE, frame_length=200, frame_step=80)
    assert len(stages) == 2
    x = keras.Input((2000,))
    assert encode(x, stages, "x").shape == (None, 7, 5, 8)  # 26 frames and 20 bands, halved twice


def test_trains_compiled_and_exports(tmp_path):
    keras.utils.set_random_seed(0)
    tasks = (mz.Task.binary("high"), mz.Task.regression("pitch"))
    stages = spectrogram(4, num_mel_bins=20, sampling_rate=RATE, frame_length=200, frame_step=80)
    frequencies = np.linspace(200, 3000, 16)
    x = np.stack([tone(f, 800) for f in frequencies])
    labels = {"high": (frequencies > 1500).astype("int32"), "pitch": (frequencies / 3000).astype("float32")}
    model = mz.architectures.hard_sharing(
        keras.Input((800,), name="wave"), tasks, [*stages, *mz.encoders.mlp(8)]
    )
    trainer = mz.Trainer(model, tasks)
    trainer.compile(keras.optimizers.Adam(0.01), jit_compile=True)
    history = trainer.fit(x, labels, epochs=10, verbose=0).history
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    mz.exporting.saved_model(model, tasks, tmp_path / "1")
    answer = tf.saved_model.load(tmp_path / "1").signatures["pitch"](wave=tf.constant(x))["pitch"]
    np.testing.assert_allclose(answer, model(x)["pitch"], rtol=1e-4, atol=1e-4)
