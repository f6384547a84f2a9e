"""AdamW whose rate is searched for on the way (own lines; Jin et al. 2021, arXiv 2105.10762).

The JAX twin of `adamw_autolrs`, whose docstring describes the method: the same search, in
single precision. What a finished trial says is worked out on the host.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax

from submissions.contract import Arrays, Card, Problem, State

SEARCH_SPACE = {
    "lr_min": {"min": 1e-5, "max": 1e-3, "scaling": "log"},
    "lr_max": {"min": 3e-3, "max": 1e-1, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
}
GRID = np.linspace(0.0, 1.0, 201)
"""The logarithm of the rate, from `lr_min` to `lr_max`."""
SPOILT = 1e6
"""The forecast of a rate whose losses are not finite."""


def submission(
    workload: Card,
    lr_min: float = 1e-4,
    lr_max: float = 1e-2,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    weight_decay: float = 0.01,
    candidates: int = 10,
    share: float = 0.1,
    first: float = 0.01,
    most: float = 0.08,
    kappa: float = 1e6,
) -> "AutoLrs":
    decayed = ("weight", "head", "tensor")
    matrices = {name: role in decayed for name, role in workload.roles.items()}
    adam = optax.adamw(1.0, 1 - one_minus_beta1, beta2, weight_decay=weight_decay, mask=matrices)
    lengths = (max(4, round(first * workload.step_hint)), max(4, round(most * workload.step_hint)))
    return AutoLrs(adam, (lr_min, lr_max), lengths, round(1 / share), (candidates, kappa))


def forecast(losses: np.ndarray, steps: int) -> float:
    """The loss after so many steps, of which these are the first."""
    y = np.asarray(losses, np.float64)
    if not np.isfinite(y).all():
        return SPOILT
    x = np.arange(len(y), dtype=float)
    for _ in range(10):
        apart = np.abs(y - np.polyval(np.polyfit(x, y, 2), x))
        early = np.flatnonzero(x < len(losses) / 2)
        outliers = early[np.argsort(-apart[early])][: int(0.03 * len(y))]
        x, y = np.delete(x, outliers), np.delete(y, outliers)
    smooth = np.polyval(np.polyfit(x, y, 2), x)
    fits = []
    for beta in np.linspace(math.log(0.01 / len(losses)), math.log(10.0 / len(losses)), 61):
        shape = np.stack([np.exp(-math.exp(beta) * x), np.ones_like(x)], axis=1)
        scale, *_ = np.linalg.lstsq(shape, smooth, rcond=None)
        missed = float(((shape @ scale - smooth) ** 2).sum())
        fits.append((missed, float(scale[0] * math.exp(-math.exp(beta) * steps) + scale[1])))
    return min(fits)[1]


def proposal(tried: np.ndarray, told: np.ndarray, kappa: float) -> float:
    """Where on the grid to look next: a Gaussian process with Matern's kernel 5/2."""
    x, y = np.asarray(tried, np.float64), np.asarray(told, np.float64)
    y = (y - y.mean()) / (y.std() or 1.0)

    def kernel(a: np.ndarray, b: np.ndarray, length: float) -> np.ndarray:
        r = math.sqrt(5) * np.abs(a[:, None] - b) / length
        return (1 + r + r**2 / 3) * np.exp(-r)

    fits = []
    for length in (0.05, 0.1, 0.2, 0.5, 1.0):
        for noise in (1e-4, 1e-2, 1e-1):
            root = np.linalg.cholesky(kernel(x, x, length) + noise * np.eye(len(x)))
            white = np.linalg.solve(root, y)
            fits.append((-0.5 * white @ white - np.log(np.diag(root)).sum(), length, root, white))
    _, length, root, white = max(fits, key=lambda fit: fit[0])
    across = np.linalg.solve(root, kernel(x, GRID, length))
    deviation = np.sqrt(np.maximum(1e-12, 1 - (across**2).sum(0)))
    return float(GRID[np.argmin(across.T @ white - kappa * deviation)])


class AutoLrs:
    """State: `length` of the stage's trials, `step` in what is `searching`, or the stage itself.

    Of the search: how many are `told`, their forecasts, the places `tried`, the `losses` of the
    trial, and the checkpoint: `weights` and AdamW's `memory`.
    """

    def __init__(
        self,
        adam: optax.GradientTransformation,
        rates: tuple[float, float],
        lengths: tuple[int, int],
        trials: int,
        search: tuple[int, float],
    ) -> None:
        self.adam = adam
        self.rates = rates
        self.lengths = lengths
        self.trials = trials
        self.candidates, self.kappa = search

    def init(self, params: Arrays) -> State:
        """The first search begins, in the middle."""
        adam = self.adam.init(params)
        state = {"adam": adam, "length": jnp.array(self.lengths[0], jnp.int32)}
        state |= {"losses": jnp.zeros(max(self.lengths)), "forecasts": jnp.zeros(self.candidates)}
        return state | self._search(params, adam)

    def update(
        self, params: Arrays, state: State, batch: Arrays, problem: Problem[jax.Array]
    ) -> tuple[Arrays, State]:
        """One step at the rate of now, and what follows from it."""
        low, high = self.rates
        searching, length = state["searching"], state["length"]
        place = state["tried"][jnp.where(searching, state["told"], 0)]
        loss, gradient = problem.value_and_grad(params, batch)
        updates, adam = self.adam.update(gradient, state["adam"], params)
        rate = low * (high / low) ** place
        params = {name: p + rate * updates[name] for name, p in params.items()}
        losses = state["losses"].at[state["step"]].set(loss, mode="drop")
        step = state["step"] + 1
        state = state | {"adam": adam, "losses": losses, "step": step}
        tried = searching & (step == length)
        over = ~searching & (step == length * self.trials)
        return jax.lax.switch(
            tried + 2 * over,
            [lambda *same: same, self._tried, self._over],
            params,
            state,
        )

    def eval_params(self, params: Arrays, state: State) -> Arrays:
        """In a search its checkpoint, which training goes on from."""
        return {n: jnp.where(state["searching"], state["weights"][n], p) for n, p in params.items()}

    def _search(self, params: Arrays, adam: optax.OptState) -> State:
        nothing = jnp.zeros((), jnp.int32)
        begun = {"searching": jnp.array(True), "step": nothing, "told": nothing}
        begun |= {"tried": jnp.zeros(self.candidates).at[0].set(0.5)}
        return begun | {"weights": params, "memory": adam}

    def _over(self, params: Arrays, state: State) -> tuple[Arrays, State]:
        """A stage is over: the next search."""
        length = jnp.minimum(2 * state["length"], self.lengths[1])
        longer = {"length": jnp.maximum(state["length"], length)}
        return params, state | longer | self._search(params, state["adam"])

    def _tried(self, params: Arrays, state: State) -> tuple[Arrays, State]:
        """A trial is over: the next, or the stage at the best rate, from the checkpoint."""
        given = [state[name] for name in ("losses", "length", "tried", "forecasts", "told")]
        form = jax.ShapeDtypeStruct((), jnp.float32)
        found, place = jax.pure_callback(self._look, (form, form), *given)
        told = state["told"] + 1
        forecasts = state["forecasts"].at[state["told"]].set(found)
        searching = told < self.candidates
        best = state["tried"][jnp.argmin(forecasts)]
        more = state["tried"].at[told].set(place, mode="drop")
        tried = jnp.where(searching, more, state["tried"].at[0].set(best))
        new = {"searching": searching, "told": told, "forecasts": forecasts, "tried": tried}
        new |= {"step": jnp.zeros((), jnp.int32), "adam": state["memory"]}
        return state["weights"], state | new

    def _look(
        self,
        losses: np.ndarray,
        length: np.ndarray,
        tried: np.ndarray,
        forecasts: np.ndarray,
        told: np.ndarray,
    ) -> tuple[np.float32, np.float32]:
        """The forecast of a trial, and the place of the next."""
        count = int(told) + 1
        found = forecast(np.asarray(losses)[: int(length)], int(length) * self.trials)
        known = np.append(np.asarray(forecasts)[: count - 1], found)
        place = proposal(np.asarray(tried)[:count], known, self.kappa)
        return np.float32(found), np.float32(place)
