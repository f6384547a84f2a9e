"""The spherical harmonic transform as real matrices: Fourier, then Legendre.

Both back ends multiply by the same matrices, so that neither needs an FFT or a complex number.
Orthonormal harmonics with the Condon-Shortley phase, on a Gaussian grid whose latitudes go from
south to north.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from workloads.contract import Array


@dataclasses.dataclass(frozen=True)
class Grid:
    """A Gaussian grid: `nlat` latitudes from south to north, `nlon` longitudes from Greenwich."""

    nlat: int
    nlon: int

    @property
    def latitudes(self) -> Array:
        """Latitudes in degrees, float64 (nlat,)."""
        return np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(self.nlat)[0]))

    @property
    def area(self) -> Array:
        """Each row's share of the sphere, float64 (nlat,), summing to 1."""
        return np.polynomial.legendre.leggauss(self.nlat)[1] / 2

    def mean(self, field: Array) -> Array:
        """Area-weighted global mean over the last two axes, (..., nlat, nlon)."""
        return np.asarray(field, np.float64).mean(-1) @ self.area


@dataclasses.dataclass(frozen=True)
class Harmonics:
    """The four matrices of a transform to `degrees` degrees and as many orders, float32.

    A coefficient (l, m) is a pair of reals. With x a field (..., nlat, nlon):
    `x @ fourier` holds real and imaginary parts of the orders, (..., nlat, 2 orders); summing its
    order m over latitude against `analysis[m]` gives the coefficients of all degrees. `synthesis`
    and `inverse` go back.
    """

    fourier: Array
    """(nlon, 2 orders): the real parts of all orders, then the imaginary ones."""
    analysis: Array
    """(orders, nlat, degrees): quadrature weights times the Legendre functions."""
    synthesis: Array
    """(orders, degrees, nlat)."""
    inverse: Array
    """(2 orders, nlon)."""

    @property
    def orders(self) -> int:
        """How many orders m, counted from 0."""
        return self.analysis.shape[0]

    @property
    def degrees(self) -> int:
        """How many degrees l, counted from 0."""
        return self.analysis.shape[2]


def harmonics(grid: Grid, degrees: int) -> Harmonics:
    """The matrices of a triangular truncation, computed in float64.

    Raises:
        ValueError: the grid cannot hold so many degrees.
    """
    orders = min(degrees, grid.nlon // 2 + 1)
    if degrees > grid.nlat:
        raise ValueError(f"{degrees} degrees need as many latitudes; the grid has {grid.nlat}")
    sines, weights = np.polynomial.legendre.leggauss(grid.nlat)
    functions = legendre(sines, degrees, orders)
    angles = 2 * np.pi / grid.nlon * np.outer(np.arange(grid.nlon), np.arange(orders))
    step = 2 * np.pi / grid.nlon
    fourier = np.concatenate([np.cos(angles), -np.sin(angles)], axis=1) * step
    # A real field's negative orders mirror the positive ones: twice each, but for m = 0 and,
    # where it is held, the grid's highest.
    twice = np.where((np.arange(orders) == 0) | (2 * np.arange(orders) == grid.nlon), 1.0, 2.0)
    inverse = np.concatenate(
        [twice[:, None] * np.cos(angles.T), -twice[:, None] * np.sin(angles.T)]
    )
    return Harmonics(
        fourier=fourier.astype(np.float32),
        analysis=(functions * weights).transpose(0, 2, 1).astype(np.float32),
        synthesis=functions.astype(np.float32),
        inverse=inverse.astype(np.float32),
    )


def legendre(sines: Array, degrees: int, orders: int) -> Array:
    """Orthonormal associated Legendre functions (orders, degrees, latitudes), zero for l < m.

    By the stable recurrence in degree from the sectoral functions (Holmes and Featherstone 2002),
    with the Condon-Shortley phase.
    """
    functions = np.zeros((orders, degrees, len(sines)))
    sectoral = np.full(len(sines), np.sqrt(1 / (4 * np.pi)))
    for m in range(orders):
        if m:
            sectoral = -np.sqrt((2 * m + 1) / (2 * m)) * np.sqrt(1 - sines**2) * sectoral
        if m < degrees:
            functions[m, m] = sectoral
        if m + 1 < degrees:
            functions[m, m + 1] = np.sqrt(2 * m + 3) * sines * sectoral
        for l in range(m + 2, degrees):  # noqa: E741
            a = np.sqrt((4 * l**2 - 1) / (l**2 - m**2))
            b = np.sqrt(((l - 1) ** 2 - m**2) / (4 * (l - 1) ** 2 - 1))
            functions[m, l] = a * (sines * functions[m, l - 1] - b * functions[m, l - 2])
    return functions
