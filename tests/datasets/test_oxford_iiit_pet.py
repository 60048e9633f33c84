import numpy as np

from mtl_zoo.datasets import oxford_iiit_pet
from tests.datasets.harness import assert_in_unit_interval, check_dataset, examples, mock, only_batch


def pets(number=4):
    """Return photographs whose left half is dark and is the animal, the right half bright background."""
    image = np.zeros((number, 90, 200, 3), "uint8")
    image[:, :, 100:] = 255
    mask = np.where(image[..., :1] > 0, 2, 1).astype("uint8")
    features = {"image": image, "segmentation_mask": mask, "label": np.arange(number) + 33}
    return examples(features | {"species": np.arange(number) % 2})


def test_contract(no_network, tmp_path, capsys):
    with mock(as_dataset_fn=pets()):
        check_dataset(oxford_iiit_pet, tmp_path, capsys)


def test_features_of_the_catalogue_are_decoded():
    with mock():  # whose masks hold any number
        x, labels = only_batch(oxford_iiit_pet, "test")
    assert_in_unit_interval(x)
    assert labels["segmentation"].shape == (4, 128, 128)


def test_values():
    with mock(as_dataset_fn=pets()):
        x, labels = only_batch(oxford_iiit_pet, "test")
    assert x.shape == (4, 128, 128, 3)
    assert labels["breed"].tolist() == [33, 34, 35, 36]
    assert labels["species"].tolist() == [0, 1, 0, 1]
    assert (labels["segmentation"][..., :64] == 0).all()
    assert (labels["segmentation"][..., 64:] == 1).all()


def test_masks_are_augmented_with_their_images():
    with mock(as_dataset_fn=pets(64)):
        x, labels = only_batch(oxford_iiit_pet, batch_size=64, augment=True)
    bright = x[..., 0] > 0.5
    assert np.mean(bright == (labels["segmentation"] == 1)) > 0.99
    assert 16 < bright[:, 0, 0].sum() < 48  # flipped
