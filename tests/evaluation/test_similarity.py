"""Cosine, CKA and the plane of principal components, held to what must be true of them and to slow forms of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftl.evaluation.similarity import cosine_matrix, linear_cka, principal_plane


def random_codes(seed: int, n_models: int = 4, n_rows: int = 30, n_units: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_models, n_rows, n_units)).astype(np.float32)


def cka_by_kernels(a: np.ndarray, b: np.ndarray) -> float:
    """From its definition: the alignment of centred kernels (M, M)."""
    centring = np.eye(len(a)) - 1 / len(a)
    k, m = (centring @ (x.astype(np.float64) @ x.T.astype(np.float64)) @ centring for x in (a, b))
    return float((k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum()))


@given(seed=st.integers(0, 1000))
def test_cka_is_the_alignment_of_centred_kernels(seed: int) -> None:
    codes = random_codes(seed)
    slow = [[cka_by_kernels(a, b) for b in codes] for a in codes]
    np.testing.assert_allclose(linear_cka(codes), slow, atol=1e-6)


@given(seed=st.integers(0, 1000))
def test_cka_ignores_rotation_scale_and_shift_of_a_code(seed: int) -> None:
    random = np.random.default_rng(seed)
    code = random.normal(size=(30, 5))
    rotation, _ = np.linalg.qr(random.normal(size=(5, 5)))
    alike = np.stack([code, 3 * code @ rotation + 7, code[:, ::-1]])
    np.testing.assert_allclose(linear_cka(alike), 1.0, atol=1e-9)


def test_cosine_is_that_of_the_flattened_weights() -> None:
    weights = np.array([[3, 4], [6, 8], [-3, -4], [4, -3]], np.float32)
    expected = [[1, 1, -1, 0], [1, 1, -1, 0], [-1, -1, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(cosine_matrix(weights), expected, atol=1e-12)


def test_a_model_without_any_variation_is_similar_to_none() -> None:
    codes = random_codes(0)
    codes[1] = 0.25
    cka = linear_cka(codes)
    assert np.isnan(cka[1]).all()
    assert np.isfinite(np.delete(np.delete(cka, 1, 0), 1, 1)).all()
    cosine = cosine_matrix(np.array([[0.0, 0.0], [1.0, 0.0]]))
    assert np.isnan(cosine[0]).all()
    assert cosine[1, 1] == 1


@given(seed=st.integers(0, 1000), n_points=st.integers(1, 8))
def test_no_plane_holds_more_of_the_variance(seed: int, n_points: int) -> None:
    points = np.random.default_rng(seed).normal(size=(n_points, 6)) * np.array([9, 5, 1, 1, 1, 1])
    plane = principal_plane(points)
    centred = points - points.mean(axis=0)
    total = (centred**2).sum()
    if n_points == 1:
        assert np.isnan(plane.shares).all()
        return
    np.testing.assert_allclose((plane.xy**2).sum(axis=0) / total, plane.shares, atol=1e-9)
    largest = np.linalg.eigvalsh(centred.T @ centred)[::-1][:2]
    np.testing.assert_allclose(plane.shares, largest / total, atol=1e-9)
    np.testing.assert_allclose(plane.distance, np.sqrt((centred**2).sum(axis=1)))


def test_the_plane_of_points_on_a_line_is_the_line() -> None:
    points = np.outer([0.0, 1.0, 5.0], [3.0, 4.0])
    plane = principal_plane(points)
    np.testing.assert_allclose(plane.xy[:, 0], [-10, -5, 15])
    np.testing.assert_allclose(plane.xy[:, 1], 0, atol=1e-9)
    assert plane.shares == pytest.approx([1, 0])


def test_the_plane_does_not_flip_with_the_order_of_points() -> None:
    points = np.random.default_rng(0).normal(size=(6, 4))
    np.testing.assert_allclose(principal_plane(points[::-1]).xy[::-1], principal_plane(points).xy)
