import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.datasets import spoken_digit
from tests.datasets.harness import check_dataset, examples, mock, only_batch

NAMES = ["7_jackson_32.wav", "0_george_1.wav", "3_lucas_0.wav", "9_theo_49.wav"]


def recordings(names, length=9_000):
    audio = np.random.default_rng(0).integers(-(2**15), 2**15, (len(names), length))
    return examples({"audio": audio, "label": np.arange(len(names)), "audio/filename": names})


def test_contract(no_network, tmp_path, capsys):
    with mock(as_dataset_fn=recordings(NAMES)):
        check_dataset(spoken_digit, tmp_path, capsys)


def test_features_of_the_catalogue_are_decoded():
    with mock():
        x, labels = only_batch(spoken_digit, "test")
    assert x.shape == (4, 8000)
    assert labels["digit"].shape == (4,)


@pytest.mark.parametrize("length", [9_000, 100])
def test_values(length):
    with mock(as_dataset_fn=recordings(NAMES, length)):
        x, labels = only_batch(spoken_digit, "test")
    assert x.shape == (4, 8000)
    assert x.dtype == np.float32
    assert np.abs(x).max() <= 1
    assert np.abs(x[:, :100]).max() > 0.9
    assert (x[:, length:] == 0).all()
    assert [spoken_digit.SPEAKERS[i] for i in labels["speaker"]] == ["jackson", "george", "lucas", "theo"]


def test_unknown_speaker_is_an_error():
    model = mz.architectures.hard_sharing(spoken_digit.inputs(), spoken_digit.TASKS, mz.encoders.mlp(4))
    trainer = mz.Trainer(model, spoken_digit.TASKS)
    trainer.compile()
    with mock(as_dataset_fn=recordings([*NAMES[:3], "1_nobody_0.wav"])):
        dataset = spoken_digit.load("train", 4)
        with pytest.raises(ValueError, match=r"Labels of task 'speaker' must be at most 5.* 1 out of range"):
            trainer.fit(dataset, verbose=0)
