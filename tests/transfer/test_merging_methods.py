"""Formulas against other ways to the same numbers, in float64."""

import itertools

import numpy as np
import pytest

from mtl_zoo.transfer import merging_methods
from mtl_zoo.transfer.merging_methods import METHODS, average, iso_c, ties, total, tsv_m, wudi


@pytest.fixture
def updates():
    return np.random.default_rng(0).standard_normal((3, 8, 7))


def test_mean_and_sum(updates):
    np.testing.assert_allclose(average(updates), (updates[0] + updates[1] + updates[2]) / 3)
    np.testing.assert_allclose(total(updates), updates[0] + updates[1] + updates[2])


def ties_by_hand(updates, count):
    """Algorithm 1 of the paper, entry by entry."""
    trimmed = []
    for update in updates:
        largest = sorted(range(len(update)), key=lambda index: -abs(update[index]))[:count]
        trimmed.append([value if index in largest else 0.0 for index, value in enumerate(update)])
    merged = []
    for values in zip(*trimmed, strict=True):
        sign = np.sign(sum(values))
        agreeing = [value for value in values if value * sign > 0]
        merged.append(sum(agreeing) / len(agreeing) if agreeing else 0.0)
    return merged


@pytest.mark.parametrize("kept", [0.2, 0.5, 1.0])
def test_ties_entry_by_entry(updates, kept):
    flat = updates.reshape(3, -1)
    np.testing.assert_allclose(ties(flat, kept), ties_by_hand(flat, int(kept * 56)), rtol=1e-12)


def test_ties_keeps_one_entry_at_least_and_gives_even_votes_to_the_majority():
    np.testing.assert_array_equal(ties(np.array([[0.0, 3.0, -1.0]])), [0.0, 3.0, 0.0])
    votes = np.array([[1.0, -1.0, -5.0, -4.0], [-1.0, -1.0, -5.0, -4.0]])
    np.testing.assert_array_equal(ties(votes, kept=1.0), [-1.0, -1.0, -5.0, -4.0])


def whitened(vectors):
    """Make columns orthonormal by the inverse square root of their Gramian, the paper's other formula."""
    values, basis = np.linalg.eigh(vectors.T @ vectors)
    return vectors @ basis @ np.diag(values**-0.5) @ basis.T


@pytest.mark.parametrize("transposed", [False, True])
def test_tsv_m_by_whitening(updates, transposed):
    updates = updates.transpose(0, 2, 1) if transposed else updates
    left, values, right = [], [], []
    for update in updates:  # 7 singular values: 2 for each of three tasks
        squares, basis = np.linalg.eigh(update.T @ update)
        basis, sizes = basis[:, ::-1][:, :2], np.sqrt(squares[::-1][:2])
        left.append(update @ basis / sizes)
        values.append(sizes)
        right.append(basis)
    wanted = whitened(np.hstack(left)) @ np.diag(np.concatenate(values)) @ whitened(np.hstack(right)).T
    np.testing.assert_allclose(tsv_m(updates), wanted, rtol=1e-9, atol=1e-12)


def test_tsv_m_of_one_task_and_of_orthogonal_ones_loses_nothing(updates):
    np.testing.assert_allclose(tsv_m(updates[:1]), updates[0], rtol=1e-12)
    apart = np.zeros((2, 8, 8))
    apart[0, :4, :4], apart[1, 4:, 4:] = updates[0, :4, :4], updates[1, :4, :4]
    np.testing.assert_allclose(tsv_m(apart), apart.sum(axis=0), atol=1e-12)


def test_tsv_m_averages_what_has_no_rank_for_every_task(updates):
    np.testing.assert_allclose(tsv_m(updates[:, :2]), updates[:, :2].mean(axis=0))
    assert np.all(tsv_m(np.zeros((2, 4, 4))) == 0)


def test_iso_c_by_the_polar_factor(updates):
    matrix = updates.sum(axis=0)
    values, basis = np.linalg.eigh(matrix.T @ matrix)
    polar = matrix @ basis @ np.diag(values**-0.5) @ basis.T
    np.testing.assert_allclose(iso_c(updates), np.mean(np.sqrt(values)) * polar, rtol=1e-9)
    np.testing.assert_allclose(np.linalg.svd(iso_c(updates))[1], np.mean(np.sqrt(values)), rtol=1e-9)


def interference(merged, updates):
    """The objective of the paper, where matrices are [outputs, inputs]."""
    pairs = [((merged - update).T, update.T) for update in updates]
    return sum(np.sum((off @ own.T) ** 2) / np.sum(own**2) for off, own in pairs)


def test_wudi_is_gradient_descent_step_by_step(updates):
    norms = [np.sum(update**2) for update in updates]
    curvature = sum(update @ update.T / norm for update, norm in zip(updates, norms, strict=True))
    merged = updates.sum(axis=0)
    for _ in range(50):
        slope = sum(
            update @ update.T @ (merged - update) / norm for update, norm in zip(updates, norms, strict=True)
        )
        merged = merged - slope / np.linalg.eigvalsh(curvature)[-1]
    np.testing.assert_allclose(wudi(updates, steps=50), merged, rtol=1e-9, atol=1e-12)


def test_wudi_ends_in_the_least_squares(updates):
    curvature = sum(update @ update.T / np.sum(update**2) for update in updates)
    wanted = sum(update @ update.T @ update / np.sum(update**2) for update in updates)
    np.testing.assert_allclose(wudi(updates, steps=10**6), np.linalg.solve(curvature, wanted), rtol=1e-6)
    values = [interference(wudi(updates, steps), updates) for steps in (0, 1, 10, 100, 10**6)]
    assert all(after < before for before, after in itertools.pairwise(values))
    assert values[0] == pytest.approx(interference(updates.sum(axis=0), updates))


def test_wudi_does_not_depend_on_the_size_and_leaves_what_does_not_interfere(updates):
    np.testing.assert_allclose(wudi(1e-6 * updates), 1e-6 * wudi(updates), rtol=1e-9)
    apart = np.zeros((2, 8, 7))
    apart[0, :4], apart[1, 4:] = updates[0, :4], updates[1, 4:]
    np.testing.assert_allclose(wudi(apart), apart.sum(axis=0), atol=1e-12)
    assert np.all(wudi(np.zeros((2, 4, 3))) == 0)
    np.testing.assert_allclose(wudi(np.stack([updates[0], 0 * updates[0]])), updates[0], rtol=1e-12)


@pytest.mark.parametrize("method", ["average", "task_arithmetic", "tsv_m", "iso_c", "wudi"])
def test_matrices_are_merged_one_by_one_and_other_weights_summed_or_averaged(method, updates):
    kernels, biases = updates.reshape(3, 2, 4, 7), updates[:, 0]
    found = METHODS[method].combine([kernels, biases], [(0, 1), None])
    function = {"task_arithmetic": total}.get(method) or getattr(merging_methods, method)
    np.testing.assert_allclose(found[0].reshape(8, 7), function(updates))
    np.testing.assert_allclose(found[1], total(biases) if method == "task_arithmetic" else average(biases))


def test_ties_trims_all_weights_together(updates):
    large, small = updates, 1e-3 * updates[:, 0]
    found = METHODS["ties"].combine([large, small], [(0,), None])
    flat = np.concatenate([large.reshape(3, -1), small], axis=1)
    np.testing.assert_allclose(
        np.concatenate([found[0].ravel(), found[1]]), ties_by_hand(flat, int(0.2 * 63))
    )
    assert not np.any(found[1])


def test_scales_are_those_of_the_papers():
    assert {name: method.scale for name, method in METHODS.items()} == {
        "average": 1.0,
        "task_arithmetic": 0.3,
        "ties": 1.0,
        "tsv_m": 1.0,
        "iso_c": 1.0,
        "wudi": 1.0,
    }
