"""Ray casting of solids on a floor in front of a wall, many scenes at once.

Points are in metres from the camera. In camera coordinates x is to the right, y down and z along the optical
axis. Level coordinates are those of a camera that looks straight ahead: y is down by a plumb line.
"""

from typing import NamedTuple

import numpy as np

NO_SOLID, WALL, FLOOR, SPHERE, BOX, CYLINDER = range(-1, 5)
# A solid is the set of points that are, along each of these groups of axes, no further from its centre than
# its size: a sphere is one ball, a box three intervals, a cylinder a disc and an interval.
GROUPS = {SPHERE: ([0, 1, 2],), BOX: ([0], [1], [2]), CYLINDER: ([0, 2], [1])}


class Scenes(NamedTuple):
    """Geometry of `n` scenes with up to `s` solids each; angles in radians, lengths in metres.

    Args:
        pitch: Array `[n]`: how far the camera looks down.
        height: Array `[n]` of the camera above the floor.
        wall_distance: Array `[n]` of the wall straight ahead.
        wall_yaw: Array `[n]`: how far the wall's normal turns from the camera to the right.
        kind: Array `[n, s]` of `SPHERE`, `BOX`, `CYLINDER` or `NO_SOLID`.
        centre: Array `[n, s, 3]`, in level coordinates.
        size: Array `[n, s, 3]` of radii or halves of sides along the solid's own axes.
        yaw: Array `[n, s]`: turns of the solids about their vertical axes.
    """

    pitch: np.ndarray
    height: np.ndarray
    wall_distance: np.ndarray
    wall_yaw: np.ndarray
    kind: np.ndarray
    centre: np.ndarray
    size: np.ndarray
    yaw: np.ndarray


def camera_rays(side, focal):
    """Return the rays through all pixels, row by row, `[side * side, 3]`, in camera coordinates with z = 1.

    Args:
        side: Height and width of the image in pixels.
        focal: Focal length in pixels.
    """
    y, x = (np.indices((side, side)) - (side - 1) / 2) / focal
    return np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)


def level_axes(pitch):
    """Return `[n, 3, 3]`, whose rows are the camera's axes in level coordinates.

    Args:
        pitch: Array `[n]`, in radians.
    """
    zero, one, cos, sin = np.zeros_like(pitch), np.ones_like(pitch), np.cos(pitch), np.sin(pitch)
    rows = [[one, zero, zero], [zero, cos, -sin], [zero, sin, cos]]
    return np.moveaxis(np.array(rows), -1, 0)


def cast(scenes, rays):
    """Return what every ray meets first.

    Args:
        scenes: `Scenes`.
        rays: Array `[rays, 3]` in camera coordinates with z = 1, so that a factor of a ray is a depth.

    Returns:
        Tuple `(surface, depth, normals)`: `[n, rays]`, 0 for the wall, 1 for the floor and from 2 the solids;
        `[n, rays]`; and unit vectors `[n, rays, 3]` in camera coordinates, toward the ray's origin.
    """
    axes = level_axes(scenes.pitch)
    level_rays = rays @ axes
    parts = zip(_planes(scenes, level_rays), _solids(scenes, level_rays), strict=True)
    depth, normals = (np.concatenate(part, axis=1) for part in parts)
    surface = np.argmin(depth, axis=1)[:, np.newaxis]
    depth = np.take_along_axis(depth, surface, axis=1)[:, 0]
    normals = np.take_along_axis(normals, surface[..., np.newaxis], axis=1)[:, 0]
    return surface[:, 0], depth, normals @ np.swapaxes(axes, 1, 2)


def _planes(scenes, rays):
    """Return depths `[n, 2, rays]` and normals of the wall and the floor, infinitely far behind a ray."""
    zero, one = np.zeros_like(scenes.pitch), np.ones_like(scenes.pitch)
    cos, sin = np.cos(scenes.wall_yaw), np.sin(scenes.wall_yaw)
    normals = np.stack([np.stack([sin, zero, -cos], -1), np.stack([zero, -one, zero], -1)], axis=1)
    distance = np.stack([cos * scenes.wall_distance, scenes.height], axis=1)[..., np.newaxis]
    approach = -normals @ np.swapaxes(rays, 1, 2)
    depth = np.where(approach > 0, distance / np.maximum(approach, 1e-9), np.inf)
    return depth, np.broadcast_to(normals[:, :, np.newaxis], (*depth.shape, 3))


def _solids(scenes, rays):
    """Return depths `[n, s, rays]` and normals of all solids, infinitely far where a ray misses."""
    origin = _turn(-scenes.centre, scenes.yaw)[:, :, np.newaxis]
    direction = _turn(rays[:, np.newaxis], scenes.yaw[..., np.newaxis])
    depth = np.full(direction.shape[:-1], np.inf)
    normals = np.zeros(direction.shape)
    for kind, groups in GROUPS.items():
        of = scenes.kind == kind
        depth[of], normals[of] = _meet(origin[of], direction[of], scenes.size[of][:, np.newaxis], groups)
    return depth, _turn(normals, -scenes.yaw[..., np.newaxis])


def _turn(x, angle):
    """Turn vectors about the vertical axis into the axes of a solid that is turned by the angle."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack(
        [cos * x[..., 0] - sin * x[..., 2], x[..., 1] + 0 * cos, sin * x[..., 0] + cos * x[..., 2]], axis=-1
    )


def _meet(origin, direction, size, groups):
    """Return where rays enter solids around the origin, and the outward normals there."""
    spans = [_span(origin[..., axes], direction[..., axes], size[..., axes[0]]) for axes in groups]
    enters, leaves = (np.stack(part) for part in zip(*spans, strict=True))
    depth, last = enters.max(axis=0), enters.argmax(axis=0)
    hit = (depth < leaves.min(axis=0)) & (depth > 0)
    points = origin + np.where(hit, depth, 0.0)[..., np.newaxis] * direction
    normals = np.zeros_like(direction)
    for index, axes in enumerate(groups):
        normals[..., axes] = (last == index)[..., np.newaxis] * points[..., axes] / size[..., axes[:1]]
    return np.where(hit, depth, np.inf), normals


def _span(origin, direction, radius):
    """Return the factors between which rays are inside a ball."""
    square = np.maximum(np.sum(direction**2, axis=-1), 1e-30)
    middle = -np.sum(origin * direction, axis=-1) / square
    discriminant = middle**2 - (np.sum(origin**2, axis=-1) - radius**2) / square
    half = np.sqrt(np.maximum(discriminant, 0.0))
    inside = discriminant > 0
    return np.where(inside, middle - half, np.inf), np.where(inside, middle + half, -np.inf)
