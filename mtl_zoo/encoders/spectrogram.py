"""Convolutional stages on the spectrogram of a waveform."""

import functools

from keras import layers, ops

from mtl_zoo import arguments
from mtl_zoo.encoders.convnet import convnet


def spectrogram(
    *filters,
    sampling_rate=16000,
    num_mel_bins=64,
    frame_length=400,
    frame_step=160,
    kernel_size=3,
    activation="relu",
):
    """Return one stage of convolution and pooling per size, the first on the waveform's log-mel spectrogram.

    Args:
        *filters: Number of filters of each stage.
        sampling_rate: Samples per second. Defaults to 16,000.
        num_mel_bins: Number of mel bands, from 20 Hz to half the sampling rate. Defaults to 64.
        frame_length: Samples in a window. Defaults to 400 (25 ms).
        frame_step: Samples from one window to the next. Defaults to 160 (10 ms).
        kernel_size: Side of the kernels. Defaults to 3.
        activation: Activation after each convolution. Defaults to `"relu"`.

    Returns:
        List of stages, the first from waveforms `[batch, samples]` in [-1, 1], all to maps
        `[batch, time, band, filters]`.

    Raises:
        ValueError: If there are no sizes, or an argument is of the wrong kind.

    Example:

    >>> mz.encoders.encode(keras.Input((16000,)), spectrogram(8, 16), "shared").shape
    (None, 26, 16, 16)

    Note:
        Log-mel energies are normalized to mean 0 and variance 1 within every example, so that loudness hardly
        matters, and the other examples of a batch do not.
    """
    sampling_rate = arguments.integer("sampling_rate", sampling_rate, 1)
    num_mel_bins = arguments.integer("num_mel_bins", num_mel_bins, 1, arguments.SIDE)
    frame_length = arguments.integer("frame_length", frame_length, 1, arguments.UNITS)
    frame_step = arguments.integer("frame_step", frame_step, 1, arguments.UNITS)
    if not filters:
        raise ValueError("`filters` must have at least one size. Received: none")
    first, *rest = convnet(*filters, kernel_size=kernel_size, activation=activation)
    options = {
        "sampling_rate": sampling_rate,
        "num_mel_bins": num_mel_bins,
        "sequence_length": frame_length,
        "sequence_stride": frame_step,
        "fft_length": 2 ** (frame_length - 1).bit_length(),
    }
    return [functools.partial(_stage, convolve=first, options=options), *rest]


def _stage(x, name, convolve, options):
    return convolve(log_mel(x, name, **options), name)


def log_mel(x, name, **options):
    """Return the normalized log-mel energies `[batch, time, band, 1]` of waveforms `[batch, samples]`."""
    mel = layers.MelSpectrogram(
        power_to_db=False, min_freq=20.0, dtype="float32", name=f"{name}_mel", **options
    )
    energies = ops.log(layers.Permute((2, 1), name=f"{name}_time_first")(mel(x)) + 1e-6)
    norm = layers.LayerNormalization((1, 2), center=False, scale=False, name=f"{name}_mel_norm")
    return ops.expand_dims(norm(energies), axis=-1)
