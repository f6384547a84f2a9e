"""The spherical harmonic transform by matrices, against its definition and another library."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import sph_harm_y

from workloads.climate.harmonics import Grid, Harmonics, harmonics, legendre

GRID = Grid(32, 64)


def forward(tables: Harmonics, field):
    """Complex coefficients (degrees, orders)."""
    waves = field.astype(np.float64) @ tables.fourier
    real, imaginary = waves[:, : tables.orders], waves[:, tables.orders :]
    return np.einsum("jm,mjl->lm", real + 1j * imaginary, tables.analysis)


def backward(tables: Harmonics, coefficients):
    waves = np.einsum("lm,mlj->jm", coefficients, tables.synthesis)
    return np.concatenate([waves.real, waves.imag], axis=1) @ tables.inverse


def random_coefficients(seed, degrees, orders):
    random = np.random.default_rng(seed)
    found = random.standard_normal((degrees, orders)) + 1j * random.standard_normal(
        (degrees, orders)
    )
    found[:, 0] = found[:, 0].real
    return np.where(np.arange(degrees)[:, None] >= np.arange(orders), found, 0)


@given(st.integers(0, 99), st.sampled_from([(8, 16, 8), (32, 64, 22), (9, 20, 5)]))
def test_what_is_synthesised_is_analysed_back(seed, shape):
    nlat, nlon, degrees = shape
    tables = harmonics(Grid(nlat, nlon), degrees)
    given = random_coefficients(seed, degrees, tables.orders)
    found = forward(tables, backward(tables, given))
    np.testing.assert_allclose(found, given, atol=2e-5)


def test_fields_are_scipys_spherical_harmonics():
    tables = harmonics(GRID, 22)
    colatitude = np.deg2rad(90 - GRID.latitudes)[:, None]
    longitude = 2 * np.pi * np.arange(GRID.nlon) / GRID.nlon
    for degree, order in ((0, 0), (1, 0), (1, 1), (5, 3), (21, 21), (21, 4)):
        one = np.zeros((22, tables.orders), complex)
        one[degree, order] = 0.5 if order else 1.0
        expected = sph_harm_y(degree, order, colatitude, longitude).real
        np.testing.assert_allclose(backward(tables, one), expected, atol=2e-6)


def test_legendre_functions_are_orthonormal():
    sines, weights = np.polynomial.legendre.leggauss(48)
    functions = legendre(sines, 40, 40)
    for order in (0, 1, 7, 39):
        gram = 2 * np.pi * (functions[order] * weights) @ functions[order].T
        expected = np.diag((np.arange(40) >= order).astype(float))
        np.testing.assert_allclose(gram, expected, atol=1e-10)


def test_a_rows_area_is_its_share_of_the_sphere():
    assert GRID.area.sum() == pytest.approx(1)
    assert (np.diff(GRID.latitudes) > 0).all()
    sines = np.sin(np.deg2rad(GRID.latitudes))[:, None]
    assert GRID.mean(np.broadcast_to(sines**2, (32, 64))) == pytest.approx(1 / 3)


def test_more_degrees_than_latitudes_are_refused():
    with pytest.raises(ValueError, match="33 degrees need as many latitudes; the grid has 32"):
        harmonics(GRID, 33)


@pytest.mark.parametrize("degrees", [22, 32])
def test_the_transform_is_torch_harmonics(degrees):
    library = pytest.importorskip("torch_harmonics")
    import torch

    tables = harmonics(GRID, degrees)
    options = {"lmax": degrees, "mmax": tables.orders, "grid": "legendre-gauss"}
    analyse = library.RealSHT(32, 64, **options).double()
    synthesise = library.InverseRealSHT(32, 64, **options).double()
    field = np.random.default_rng(0).standard_normal((32, 64))
    # Its rows go from north to south.
    theirs = analyse(torch.from_numpy(field[::-1].copy())).numpy()
    np.testing.assert_allclose(forward(tables, field), theirs, atol=2e-6)
    back = synthesise(torch.from_numpy(theirs)).numpy()[::-1]
    np.testing.assert_allclose(backward(tables, theirs), back, atol=2e-5)
