import numpy as np
import pytest

from mtl_zoo.balancers import STCH
from tests.harness import check_balancer, value_and_gradient

LOSSES = np.array([0.5, 2.0, 1.0])


def test_contract():
    check_balancer(STCH)
    check_balancer(
        lambda: STCH(0.1, reference=[0.1, 0.2, 0.3], preferences=[0.2, 0.3, 0.5]), drops_absent=False
    )


def test_value_and_gradient_by_hand():
    value, gradient = value_and_gradient(STCH(preferences=[1, 1]), np.log([3.0, 1.0]))  # log(3 + 1)
    np.testing.assert_allclose(value, np.log(4.0), rtol=1e-6)
    np.testing.assert_allclose(gradient, [0.75, 0.25], rtol=1e-6)


def test_value_and_gradient_against_numpy():
    reference, preferences, mu = np.array([0.1, 0.2, 0.3]), np.array([0.2, 0.3, 0.5]), 0.4
    terms = np.exp(preferences * (LOSSES - reference) / mu)
    value, gradient = value_and_gradient(STCH(mu, reference, preferences), LOSSES)
    np.testing.assert_allclose(value, mu * np.log(terms.sum()), rtol=1e-5)
    np.testing.assert_allclose(gradient, preferences * terms / terms.sum(), rtol=1e-5)


@pytest.mark.parametrize(("mu", "weights"), [(1.0, [0.4, 0.4]), (0.5, [2 / 17, 8 / 17])])
def test_the_authors_form_by_hand(mu, weights):
    # 2 mu log(sum(L ** (1 / mu))) has the derivatives 2 L_i ** (1 / mu - 1) / sum(L ** (1 / mu)).
    value, gradient = value_and_gradient(STCH(mu, nadir=[1.0, 1.0]), [1.0, 4.0])
    np.testing.assert_allclose(value, 2 * mu * np.log(1 + 4 ** (1 / mu)), rtol=1e-6)
    np.testing.assert_allclose(gradient, weights, rtol=1e-5)


def test_the_authors_form_against_numpy():
    nadir, mu = np.array([0.2, 3.0, 1.5]), 0.4
    terms = (LOSSES / nadir) ** (1 / mu)
    value, gradient = value_and_gradient(STCH(mu, nadir=nadir), LOSSES)
    np.testing.assert_allclose(value, 3 * mu * np.log(terms.sum()), rtol=1e-5)
    np.testing.assert_allclose(gradient, 3 * terms / LOSSES / terms.sum(), rtol=1e-5)
    # It depends on the ratios to the nadir alone.
    scaled = value_and_gradient(STCH(mu, nadir=nadir * [1, 100, 1]), LOSSES * [1, 100, 1])
    np.testing.assert_allclose(scaled[0], value, rtol=1e-5)


def test_the_authors_form_leaves_out_absent_and_solved_tasks():
    expected = value_and_gradient(STCH(nadir=[1.0, 2.0]), LOSSES[:2])
    for losses, present in ((LOSSES, np.array([True, True, False])), ([*LOSSES[:2], 0.0], None)):
        value, gradient = value_and_gradient(STCH(nadir=[1.0, 2.0, 5.0]), losses, present)
        np.testing.assert_allclose(value, expected[0], rtol=1e-6)
        np.testing.assert_allclose(gradient, [*expected[1], 0], rtol=1e-6)


def test_contract_of_the_authors_form():
    check_balancer(lambda: STCH(nadir=[1.0, 2.0, 0.5]), drops_absent=False)


@pytest.mark.parametrize("mu", [1e-2, 1e-4, 1e-8])
def test_tends_to_the_maximum(mu):
    value, gradient = value_and_gradient(STCH(mu, preferences=[1.0, 0.1, 1.0]), LOSSES)
    np.testing.assert_allclose(value, 1.0, rtol=1e-6)  # of 0.5, 0.2 and 1
    np.testing.assert_allclose(gradient, [0.0, 0.0, 1.0], atol=1e-6)


def test_a_large_mu_weights_alike():
    gradient = value_and_gradient(STCH(1e6), LOSSES)[1]
    np.testing.assert_allclose(gradient, 1 / 9, rtol=1e-4)


def test_maximum_is_over_the_present_tasks():
    value, gradient = value_and_gradient(STCH(1e-3), LOSSES, np.array([True, False, True]))
    np.testing.assert_allclose(value, 1 / 2, rtol=1e-5)
    np.testing.assert_allclose(gradient, [0.0, 0.0, 1 / 2], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mu": 0}, r"`mu` must be positive and finite. Received: mu=0"),
        ({"mu": float("nan")}, r"must be a finite number. Received: mu=nan"),
        ({"preferences": [1, -1]}, r"finite numbers of at least 0. Received: preferences=\[1, -1\]"),
        ({"preferences": [0, 0]}, r"must have a positive entry. Received: preferences=\[0, 0\]"),
        ({"nadir": [1, 0]}, r"`nadir` must hold finite numbers above 0. Received: nadir=\[1, 0\]"),
        (
            {"nadir": [1, 1], "preferences": [1, 1]},
            "`nadir` takes the place of `reference` and `preferences`",
        ),
        ({"reference": [0, float("inf")]}, r"must hold finite numbers. Received: reference=\[0, inf\]"),
    ],
)
def test_arguments_must_be_valid(arguments, message):
    with pytest.raises(ValueError, match=message):
        STCH(**arguments)


@pytest.mark.parametrize("name", ["reference", "preferences", "nadir"])
def test_every_task_must_have_a_number(name):
    with pytest.raises(
        ValueError, match=rf"`{name}` must have one number per task, 3. Received: \[1.0, 2.0\]"
    ):
        STCH(**{name: [1, 2]})(np.ones(3))
