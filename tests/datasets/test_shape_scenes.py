import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.datasets import _ray_casting as ray_casting
from mtl_zoo.datasets import shape_scenes
from tests.datasets.harness import block_network

SPLITS = ("train", "validation", "test")
WALL, FLOOR, SPHERE, BOX, CYLINDER = range(5)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Prepare the dataset once, with fewer training scenes, and the network blocked."""
    path = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        block_network(patch)
        patch.setitem(shape_scenes.SIZES, "train", 600)
        shape_scenes.load("test", batch_size=1, data_dir=path)
    return path


@pytest.fixture(scope="module")
def examples(data_dir):
    """All features of all splits as arrays."""
    builder = shape_scenes.ShapeScenes(data_dir=data_dir)
    return {split: next(builder.as_dataset(split).batch(10_000).as_numpy_iterator()) for split in SPLITS}


@pytest.fixture(scope="module")
def drawn():
    """Many scenes and their features."""
    scenes = shape_scenes.draw(200, np.random.default_rng(7))
    return scenes, shape_scenes.render(scenes, np.random.default_rng(8))


def scene_of(*solids, pitch=0.4, height=1.5, wall_distance=6.0, wall_yaw=0.3):
    """Return one scene of solids `(kind, (x, z), size, yaw)` on the floor."""
    kind, place, size, yaw = zip(*solids, strict=True)
    centre = [(x, height - half[1], z) for (x, z), half in zip(place, size, strict=True)]
    numbers = [np.array([number]) for number in (pitch, height, wall_distance, wall_yaw)]
    return ray_casting.Scenes(*numbers, *(np.array([part]) for part in (kind, centre, size, yaw)))


def one(scene):
    """Render a scene of up to four solids; return its features and its points in level coordinates."""
    padded = [np.concatenate([part, part[:, :1].repeat(3, axis=1)], axis=1)[:, :4] for part in scene[4:]]
    padded[0][:, scene.kind.shape[1] :] = -1
    features = shape_scenes.render(
        scene._replace(**dict(zip(scene._fields[4:], padded, strict=True))), RANDOM
    )
    features = {name: x[0] for name, x in features.items()}
    return features, level(back_projected(features["depth"]), scene.pitch[0])


RANDOM = np.random.default_rng(0)


def back_projected(depth):
    """Return the points of pixels in camera coordinates: the field of view is 60 degrees."""
    offset = (np.arange(64) - 31.5) * np.tan(np.pi / 6) / 32
    return np.concatenate([offset[:, None] * depth, offset[:, None, None] * depth, depth], axis=-1)


def level(vectors, pitch):
    """Turn camera coordinates about x, until y is down."""
    x, y, z = np.moveaxis(np.asarray(vectors, "float64"), -1, 0)
    return np.stack(
        [x, np.cos(pitch) * y + np.sin(pitch) * z, np.cos(pitch) * z - np.sin(pitch) * y], axis=-1
    )


def test_back_projection_of_this_test():
    points = back_projected(np.full((64, 64, 1), 2.0))
    edge = 2 * np.tan(np.radians(30)) * 63 / 64  # the centre of the last pixel is half a pixel from the edge
    np.testing.assert_allclose(points[0, 63], [edge, -edge, 2])


def test_floor_and_wall_by_hand():
    features, points = one(scene_of((BOX, (0.0, 3.0), (0.4, 0.3, 0.3), 0.2)))
    floor, wall = (features["segmentation"] == kind for kind in (FLOOR, WALL))
    v = (np.arange(64) - 31.5)[:, None] * np.tan(np.pi / 6) / 32
    depth = np.broadcast_to(1.5 / (v * np.cos(0.4) + np.sin(0.4)), (64, 64))
    np.testing.assert_allclose(features["depth"][floor][:, 0], depth[floor], rtol=1e-6)
    floor_normal, wall_normal = (
        np.broadcast_to(n, (64, 64, 3))
        for n in (
            [0, -np.cos(0.4), -np.sin(0.4)],
            [np.sin(0.3), np.cos(0.3) * np.sin(0.4), -np.cos(0.3) * np.cos(0.4)],
        )
    )
    np.testing.assert_allclose(features["normals"][floor], floor_normal[floor], atol=1e-6)
    np.testing.assert_allclose(features["normals"][wall], wall_normal[wall], atol=1e-6)
    np.testing.assert_allclose(points[floor][:, 1], 1.5, atol=1e-5)
    np.testing.assert_allclose(points[wall][:, 2], 6 + np.tan(0.3) * points[wall][:, 0], atol=1e-5)
    assert min(floor.sum(), wall.sum()) > 1000
    assert points[wall][:, 1].max() < 1.5 + 1e-5  # no wall below the floor


def test_points_of_a_sphere_are_at_its_radius():
    features, points = one(scene_of((SPHERE, (0.3, 2.5), (0.5, 0.5, 0.5), 1.0)))
    of = features["segmentation"] == SPHERE
    from_centre = points[of] - [0.3, 1.0, 2.5]
    np.testing.assert_allclose(np.linalg.norm(from_centre, axis=-1), 0.5, atol=1e-5)
    np.testing.assert_allclose(level(features["normals"][of], 0.4), from_centre / 0.5, atol=1e-5)
    distance = np.linalg.norm([0.3, 1.0, 2.5])  # the solid angle of the cone that holds the sphere
    angle = 2 * np.pi * (1 - np.sqrt(1 - (0.5 / distance) ** 2))
    rays = np.linalg.norm(back_projected(np.ones((64, 64, 1))), axis=-1)
    assert np.sum((np.tan(np.pi / 6) / 32) ** 2 / rays[of] ** 3) == pytest.approx(angle, rel=0.03)


def test_points_of_a_box_are_on_its_faces():
    half, yaw = np.array([0.5, 0.3, 0.4]), 0.6
    features, points = one(scene_of((BOX, (-0.3, 2.5), half, yaw)))
    of = features["segmentation"] == BOX
    x, y, z = np.moveaxis(points[of] - [-0.3, 1.2, 2.5], -1, 0)
    own = np.stack([np.cos(yaw) * x - np.sin(yaw) * z, y, np.sin(yaw) * x + np.cos(yaw) * z], axis=-1) / half
    np.testing.assert_allclose(np.abs(own).max(axis=-1), 1.0, atol=1e-5)
    # It turns from x toward -z: the faces seen are the top, and two toward the camera, left and right.
    faces = {
        (1, -1): [0, -1, 0],
        (0, 1): [np.cos(yaw), 0, -np.sin(yaw)],
        (2, -1): [-np.sin(yaw), 0, -np.cos(yaw)],
    }
    axis = np.abs(own).argmax(axis=-1)
    sides = list(zip(axis, np.sign(own[np.arange(len(own)), axis]), strict=True))
    assert set(sides) == set(faces)
    np.testing.assert_allclose(
        level(features["normals"][of], 0.4), [faces[side] for side in sides], atol=1e-5
    )


def test_points_of_a_cylinder_are_on_its_mantle_or_its_top():
    features, points = one(scene_of((CYLINDER, (0.2, 2.2), (0.4, 0.25, 0.4), 0.0)))
    of = features["segmentation"] == CYLINDER
    x, y, z = np.moveaxis(points[of] - [0.2, 1.25, 2.2], -1, 0)
    radius = np.hypot(x, z)
    top = np.abs(y + 0.25) < 1e-5
    assert np.all(radius[top] < 0.4 + 1e-5)
    np.testing.assert_allclose(radius[~top], 0.4, atol=1e-5)
    assert np.all(np.abs(y) < 0.25 + 1e-5)
    assert min(top.sum(), (~top).sum()) > 50
    normals = level(features["normals"][of], 0.4)
    np.testing.assert_allclose(normals[top], np.broadcast_to([0, -1, 0], (top.sum(), 3)), atol=1e-5)
    np.testing.assert_allclose(normals[~top], np.stack([x, 0 * y, z], -1)[~top] / 0.4, atol=1e-4)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearest_solid_wins(order):
    solids = [(SPHERE, (0.0, 2.0), (0.3, 0.3, 0.3), 0.0), (BOX, (0.0, 3.0), (0.5, 0.5, 0.3), 0.0)]
    alone = [one(scene_of(solid))[0] for solid in solids]
    both = one(scene_of(*(solids[index] for index in order)))[0]
    nearer = alone[0]["depth"] < alone[1]["depth"]
    assert np.any((alone[0]["segmentation"] == SPHERE) & (alone[1]["segmentation"] == BOX))
    expected = {
        name: np.where(nearer[..., 0] if name == "segmentation" else nearer, alone[0][name], alone[1][name])
        for name in ("segmentation", "depth", "normals")
    }
    np.testing.assert_array_equal(both["segmentation"], expected["segmentation"])
    np.testing.assert_allclose(both["depth"], expected["depth"], rtol=1e-6)
    np.testing.assert_allclose(both["normals"], expected["normals"], rtol=0, atol=2e-7)


def test_what_is_behind_the_camera_is_not_seen():
    features, _ = one(scene_of((SPHERE, (0.0, -2.0), (0.9, 0.9, 0.9), 0.0)))
    assert set(features["segmentation"].ravel()) == {WALL, FLOOR}


def test_normals_are_those_of_the_depth(drawn):
    depth, normals, classes = (drawn[1][name] for name in ("depth", "normals", "segmentation"))
    points = np.stack([back_projected(x) for x in depth.astype("float64")])
    along_x, along_y = points[:, 1:-1, 2:] - points[:, 1:-1, :-2], points[:, 2:, 1:-1] - points[:, :-2, 1:-1]
    estimate = np.cross(along_y, along_x)
    estimate /= np.linalg.norm(estimate, axis=-1, keepdims=True)
    middle = normals[:, 1:-1, 1:-1]
    shifts = [(row, column) for row in range(3) for column in range(3)]
    near = [
        (classes[:, row : row + 62, column : column + 62] == classes[:, 1:-1, 1:-1])
        & (np.sum(normals[:, row : row + 62, column : column + 62] * middle, axis=-1) > np.cos(0.5))
        & (np.abs(depth[:, row : row + 62, column : column + 62, 0] / depth[:, 1:-1, 1:-1, 0] - 1) < 0.1)
        for row, column in shifts
    ]
    inside = np.all(near, axis=0)
    degrees = np.degrees(np.arccos(np.sum(estimate * middle, axis=-1).clip(-1, 1)))
    for kind in range(5):
        angles = degrees[inside & (classes[:, 1:-1, 1:-1] == kind)]
        assert len(angles) > 3000
        assert np.mean(angles) < 1.5
        assert np.quantile(angles, 0.99) < 10
    assert inside.mean() > 0.85


def test_normals_are_unit_vectors_toward_the_camera(examples):
    normals = examples["test"]["normals"]
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1.0, atol=1e-6)
    rays = back_projected(np.ones((64, 64, 1)))
    assert np.sum(normals * rays, axis=-1).max() <= 1e-6
    assert np.mean(normals[..., 2] < 0) > 0.99  # but for some at grazing angles off the axis


def test_solids_stand_free_on_the_floor(drawn):
    scenes = drawn[0]
    footprint = np.where(
        scenes.kind == BOX, np.hypot(scenes.size[..., 0], scenes.size[..., 2]), scenes.size[..., 0]
    )
    there = scenes.kind >= 0
    assert np.bincount(there.sum(axis=1), minlength=5)[1:].min() > 30
    np.testing.assert_allclose(
        scenes.centre[..., 1] + scenes.size[..., 1], scenes.height[:, None].repeat(4, 1)
    )
    places = scenes.centre[..., [0, 2]]
    for first in range(4):
        for second in range(first):
            gap = np.linalg.norm(places[:, first] - places[:, second], axis=-1)
            assert np.all(gap > footprint[:, first] + footprint[:, second])
    wall_normal = np.stack([np.sin(scenes.wall_yaw), -np.cos(scenes.wall_yaw)], axis=-1)[:, None]
    to_wall = np.sum(wall_normal * (places - [0, 1] * scenes.wall_distance[:, None, None]), axis=-1)
    assert np.all(to_wall > footprint)
    assert np.all(scenes.centre[..., 1] - scenes.size[..., 1] > 0)  # all tops are below the camera


def test_light_comes_from_one_direction(drawn):
    # Of a sphere, brightness is ambient light plus a linear function of the normal where that is positive.
    images, classes, normals = (drawn[1][name] for name in ("image", "segmentation", "normals"))
    scenes = drawn[0]
    number_of_spheres = np.sum(scenes.kind == SPHERE, axis=1)
    visible = np.sum(classes == SPHERE, axis=(1, 2))
    lonely = np.flatnonzero((number_of_spheres == 1) & (visible > 100))
    errors = []
    for index in lonely:
        of = classes[index] == SPHERE
        pixels = images[index][of].mean(axis=-1) / 255
        lit = pixels > 1.2 * 0.3 * pixels.max()
        if lit.sum() > 100:
            design = np.concatenate([normals[index][of][lit], np.ones((lit.sum(), 1))], axis=1)
            solution, *_ = np.linalg.lstsq(design, pixels[lit], rcond=None)
            errors.append(np.std(design @ solution - pixels[lit]))
            # color * 0.7 * light and color * 0.3
            assert np.linalg.norm(solution[:3]) / solution[3] == pytest.approx(7 / 3, rel=0.6)
    assert len(errors) > 20
    assert np.median(errors) == pytest.approx(0.02 / np.sqrt(3), rel=0.2)  # noise, averaged over channels


@pytest.mark.parametrize("split", SPLITS)
def test_all_classes_occur(examples, split):
    shares = np.bincount(examples[split]["segmentation"].ravel(), minlength=5) / examples[split]["depth"].size
    assert len(shares) == 5
    assert min(shares[:2]) > 0.3
    assert min(shares[2:]) > 0.03


def test_scenes_of_splits_differ(examples):
    depths = np.concatenate([examples[split]["depth"] for split in SPLITS])
    assert len(np.unique(depths.reshape(len(depths), -1)[:, ::64], axis=0)) == 1600


def test_examples_are_generated_deterministically(data_dir, examples):
    builder = shape_scenes.ShapeScenes(data_dir=data_dir)
    generated = sorted(as_bytes(example) for _, example in builder._generate_examples("validation"))
    columns = examples["validation"]
    assert generated == sorted(as_bytes({name: x[i] for name, x in columns.items()}) for i in range(500))


def as_bytes(example):
    return b"".join(np.asarray(example[name]).tobytes() for name in sorted(example))


def test_batches(data_dir):
    image, labels = next(iter(shape_scenes.load("train", batch_size=40, data_dir=data_dir)))
    assert image.shape == (40, 64, 64, 3)
    assert image.dtype == "float32"
    assert 0 <= float(np.min(image)) < 0.1 < 0.9 < float(np.max(image)) <= 1
    assert list(labels) == [task.name for task in shape_scenes.TASKS]
    specs = [(label.shape, label.dtype) for label in labels.values()]
    shape = (40, 64, 64)
    assert specs == [(shape, "uint8"), ((*shape, 1), "float32"), ((*shape, 3), "float32")]


def test_order_follows_from_the_seed(data_dir):
    def first(seed):
        return next(shape_scenes.load("train", 32, data_dir, seed).as_numpy_iterator())[0]

    reference = first(seed=1)
    np.testing.assert_array_equal(reference, first(seed=1))
    assert np.mean(reference == first(seed=2)) < 0.5


def test_augmentation_mirrors_scenes_exactly(data_dir, examples):
    whole = [np.flip(examples["train"]["depth"], axis) for axis in ((), 2)]
    rows = [{x.tobytes(): index for index, x in enumerate(depth)} for depth in whole]
    image, labels = next(shape_scenes.load("train", 64, data_dir, augment=True).as_numpy_iterator())
    mirrored = [labels["depth"][index].tobytes() in rows[1] for index in range(64)]
    assert 16 < sum(mirrored) < 48
    for index, flip in enumerate(mirrored):
        source = rows[flip][labels["depth"][index].tobytes()]
        example = {name: x[source] for name, x in examples["train"].items()}
        if flip:
            example = {name: np.flip(x, 1) for name, x in example.items()}
            example["normals"] = example["normals"] * np.array([-1, 1, 1], "float32")
        np.testing.assert_array_equal(labels["segmentation"][index], example["segmentation"])
        np.testing.assert_allclose(labels["normals"][index], example["normals"], rtol=0, atol=2e-7)
        np.testing.assert_allclose(image[index], example["image"] / 255, atol=1e-5)
    plain = [shape_scenes.load("test", 8, data_dir, augment=augment) for augment in (False, True)]
    first, second = (next(dataset.as_numpy_iterator())[0] for dataset in plain)
    np.testing.assert_array_equal(first, second)


def test_unknown_split(data_dir):
    with pytest.raises(ValueError, match=r"one of \['train', 'validation', 'test'\]. Received: split='dev'"):
        shape_scenes.load("dev", batch_size=1, data_dir=data_dir)


def test_info(data_dir):
    info = shape_scenes.ShapeScenes(data_dir=data_dir).info
    assert info.full_name == "shape_scenes/1.0.0"
    assert shape_scenes.SIZES == {"train": 4_000, "validation": 500, "test": 500}
    assert [info.splits[split].num_examples for split in SPLITS] == [600, 500, 500]


def test_hard_sharing_learns_every_task_with_the_encoder(data_dir):
    keras.utils.set_random_seed(0)
    model = mz.architectures.hard_sharing(shape_scenes.inputs(), shape_scenes.TASKS, shape_scenes.encoder())
    trainer = mz.Trainer(model, shape_scenes.TASKS)
    trainer.compile(keras.optimizers.Adam(1e-2))
    batch = shape_scenes.load("train", 4, data_dir).take(1).cache()
    labels = next(batch.as_numpy_iterator())[1]
    shares = np.bincount(labels["segmentation"].ravel(), minlength=5) / labels["segmentation"].size
    constant = {
        "segmentation": -np.sum(shares * np.log(shares)),
        "depth": np.var(labels["depth"]),
        "normals": np.mean(np.var(labels["normals"], axis=(0, 1, 2))),
    }
    history = trainer.fit(batch, epochs=40, verbose=0).history
    for name, loss in constant.items():  # what the best predictor that does not see the image would have
        assert history[f"{name}_loss"][-1] < 0.6 * loss
