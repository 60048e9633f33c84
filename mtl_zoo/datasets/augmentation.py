"""Random changes of an image and of the maps that describe it, together."""

import tensorflow as tf

from mtl_zoo import arguments


def augment(dataset, seed=0, flip=True, zoom=1.25, masks=(), depths=(), normals=()):
    """Flip images left to right and zoom into them, and their maps with them.

    Every image gets its own draw, a new one every epoch; all draws follow from `seed`. Images are
    interpolated bilinearly, maps take the nearest pixel, so that no class, depth or missing label is mixed
    with another.

    Args:
        dataset: `tf.data.Dataset` of batches `(images, labels)`: `[batch, height, width, channels]`, and a
            dict.
        seed: Seed of the draws. Defaults to 0.
        flip: Whether half of the images are flipped. Defaults to `True`.
        zoom: Largest factor of the zoom, at least 1. The part that is seen is drawn uniformly. Defaults to
            1.25.
        masks: Names of labels that are maps of classes, `[batch, height, width]`.
        depths: Names of labels that are maps of depths, `[batch, height, width, 1]`. What is seen larger is
            nearer: a zoom by s divides depths by s (Eigen et al., 2014).
        normals: Names of labels that are maps of normal vectors, `[batch, height, width, 3]`, with x to the
            right and z along the optical axis. A flip changes the sign of x; a zoom by s, which makes
            surfaces flatter, multiplies z by s, and the vectors are made unit ones again.

    Returns:
        `tf.data.Dataset` of the same structure.

    Raises:
        ValueError: If the zoom is below 1, or a name is not that of a label.

    Example:

    >>> images = np.arange(3.0).reshape((1, 1, 3, 1))
    >>> dataset = tf.data.Dataset.from_tensors((images, {"part": [[[0, 1, 2]]]})).repeat(20)
    >>> batches = list(augment(dataset, zoom=1.0, masks=["part"]).as_numpy_iterator())
    >>> sorted({(*image.ravel().tolist(), *labels["part"].ravel().tolist()) for image, labels in batches})
    [(0.0, 1.0, 2.0, 0, 1, 2), (2.0, 1.0, 0.0, 2, 1, 0)]

    Note:
        A part of the image that is not its middle is taken for the middle of another one; the shear of its
        surfaces, which depends on the camera, is left out.

    Reference:
        [Eigen et al., 2014](https://arxiv.org/abs/1406.2283)
    """
    arguments.instance("dataset", dataset, tf.data.Dataset)
    arguments.seed("seed", seed)
    flip = arguments.flag("flip", flip)
    zoom = arguments.number("zoom", zoom, least=1)
    for name, labels in (("masks", masks), ("depths", depths), ("normals", normals)):
        arguments.texts(name, labels)
    known = dataset.element_spec[1]
    unknown = {*masks, *depths, *normals} - set(known)
    if unknown:
        raise ValueError(f"Maps must be among the labels {list(known)}. Received: {sorted(unknown)}")

    def change(batch, draw):
        images, labels = batch
        boxes, factors = _draw(tf.shape(images)[0], draw, flip, zoom)
        labels = dict(labels)
        for name in (*masks, *depths, *normals):
            labels[name] = _take(labels[name], boxes, "nearest")
        for name in depths:
            labels[name] /= tf.cast(tf.reshape(factors, (-1, 1, 1, 1)), labels[name].dtype)
        for name in normals:
            labels[name] = _turn(labels[name], tf.sign(boxes[:, 3] - boxes[:, 1]), factors)
        return _take(images, boxes, "bilinear"), labels

    draws = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
    return tf.data.Dataset.zip(dataset, draws).map(change, num_parallel_calls=tf.data.AUTOTUNE).prefetch(1)


def _draw(number, draw, flip, zoom):
    """Return boxes `[number, (top, left, bottom, right)]`, right before left where flipped, and zooms."""
    uniform = tf.random.stateless_uniform((4, number), seed=tf.stack([draw, 0]))
    factors = 1 + (zoom - 1) * uniform[0]
    starts = (1 - 1 / factors) * uniform[1:3]
    ends = starts + 1 / factors
    if zoom > 1:  # or else rounding may leave the image by a hair
        starts, ends = tf.maximum(starts, 1e-6), tf.minimum(ends, 1 - 1e-6)
    flipped = uniform[3] < 0.5 if flip else tf.zeros((number,), tf.bool)
    left, right = tf.where(flipped, ends[1], starts[1]), tf.where(flipped, starts[1], ends[1])
    return tf.stack([starts[0], left, ends[0], right], axis=1), factors


def _turn(normals, signs, factors):
    """Return unit normals of a scene that is mirrored where a sign is -1, and nearer by the factors."""
    changes = tf.stack([signs, tf.ones_like(signs), factors], axis=-1)[:, tf.newaxis, tf.newaxis]
    return tf.cast(tf.math.l2_normalize(tf.cast(normals, tf.float32) * changes, axis=-1), normals.dtype)


def _take(maps, boxes, method):
    """Return the parts of maps in the boxes, enlarged to the size of the whole."""
    x = maps if len(maps.shape) == 4 else maps[..., tf.newaxis]
    index = tf.range(tf.shape(x)[0])
    taken = tf.image.crop_and_resize(tf.cast(x, tf.float32), boxes, index, tf.shape(x)[1:3], method)
    return tf.cast(tf.reshape(taken, tf.shape(maps)), maps.dtype)
