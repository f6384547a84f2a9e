"""Click-through rates: BARS's files, the metric against pairs, DCN-V2 by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workloads
from tests.workloads.answers import answering
from workloads.contract import Window
from workloads.errors import WorkloadError
from workloads.recommender.ctr import baselines
from workloads.recommender.ctr import data as clicks
from workloads.recommender.ctr.workload import ClickRate, area_under_curve

TOY = "recommender-toy-v3+ctr"
STANDARD = "recommender-standard-v3+ctr"


def made_up(count, seed=0, vocabulary=50):
    random = np.random.default_rng(seed)
    return clicks.Clicks(
        random.integers(0, vocabulary, (count, 26), np.int32),
        random.random((count, 13), np.float32),
        random.integers(0, 2, count, np.uint8),
    )


PARTS = {
    part: made_up(count, count) for part, count in (("train", 70), ("valid", 20), ("test", 10))
}


def write_criteo(folder, parts=PARTS):
    folder.mkdir(parents=True, exist_ok=True)
    header = ",".join(["label", *clicks.CRITEO_NUMBERS, *clicks.CRITEO_CATEGORIES])
    for name, part in parts.items():
        lines = [
            ",".join([str(click), *map(str, numbers), *map(str, categories)])
            for click, numbers, categories in zip(
                part.click, part.numbers, part.categories, strict=True
            )
        ]
        (folder / f"{name}.csv").write_text("\n".join([header, *lines]) + "\n")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADATHLON_DATA", str(tmp_path))
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(clicks, "CHUNK", 16)
    clicks.load.cache_clear()
    write_criteo(tmp_path / "criteo-x1")
    yield tmp_path / "criteo-x1"
    clicks.load.cache_clear()


def small(id=STANDARD, **changes):
    """The workload of that id for the made-up clicks, small and in float32."""
    workload = workloads.get(id)
    stated = workload.settings
    sizes = {"vocabulary": 50, "examples": [70, 20, 10], "validation": 15, "rows": 4, "prefetch": 0}
    settings = stated.model_copy(
        update={
            "batch_size": 8,
            "data": stated.data.model_copy(update=sizes | changes),
            "model": stated.model.model_copy(update={"width": 2, "hidden": [5, 3]}),
            "compute": stated.compute.model_copy(update={"dtype": "float32", "compile": False}),
        }
    )
    return ClickRate(workload.id, settings, workload.metric, None)


# The data


def test_bars_files_are_read_and_kept_as_arrays(folder):
    workloads.get(STANDARD).fetch()
    kept = folder.parent / "cache" / "criteo-x1"
    assert len(list(kept.iterdir())) == 3, "converted by `gradathlon data fetch`, not by a trial"
    for _ in range(2):
        found = clicks.load("criteo-x1")
        for part, expected in PARTS.items():
            np.testing.assert_array_equal(found[part].categories, expected.categories)
            np.testing.assert_array_equal(found[part].numbers, expected.numbers)
            np.testing.assert_array_equal(found[part].click, expected.click)
        clicks.load.cache_clear()
    assert len(list(kept.iterdir())) == 3


def test_damaged_arrays_are_converted_anew(folder):
    clicks.load("criteo-x1")
    kept = folder.parent / "cache" / "criteo-x1"
    for spoil in (
        lambda raw: bytes([raw[0] ^ 1]) + raw[1:],
        lambda raw: raw[:-1],
        lambda raw: b"",
    ):
        for path in kept.glob("train-*/*"):
            path.write_bytes(spoil(path.read_bytes()))
            clicks.load.cache_clear()
            found = clicks.load("criteo-x1")["train"]
            np.testing.assert_array_equal(found.categories, PARTS["train"].categories)
            np.testing.assert_array_equal(found.click, PARTS["train"].click)


def test_a_batch_is_the_same_from_disk_and_from_memory(folder):
    batch = small().stream(0).next(lambda seen: seen)
    assert batch["categories"].shape == (8, 26)
    assert batch["numbers"].dtype == batch["click"].dtype == np.float32
    assert set(batch["kept"].ravel().tolist()) == {0, 1}
    assert type(batch["categories"]) is np.ndarray


def test_missing_files_are_told_in_one_line(folder, monkeypatch):
    (folder / "valid.csv").unlink()
    with pytest.raises(WorkloadError) as told:
        workloads.get(STANDARD).fetch()
    assert str(told.value).startswith(f"{folder}: valid.csv missing; put train.csv")
    assert "\n" not in str(told.value)
    monkeypatch.delenv("GRADATHLON_DATA")
    with pytest.raises(WorkloadError, match="Criteo_x1: GRADATHLON_DATA is not set"):
        workloads.get(STANDARD).fetch()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text.replace("label,", "clicked,", 1), "columns are not label"),
        (lambda text: text.replace("\n1,", "\n7,", 1), "neither 0 nor 1"),
        (lambda text: text[: text.rindex(",")] + ",68fd1e64\n", "damaged"),
        (lambda text: text[: text.rindex(",")] + ",\n", "damaged"),
    ],
)
def test_a_damaged_file_is_named(folder, spoil, message):
    path = folder / "test.csv"
    path.write_text(spoil(path.read_text()))
    with pytest.raises(WorkloadError) as told:
        clicks.load("criteo-x1")
    assert str(told.value).startswith(f"{path}: damaged (")
    assert message in str(told.value)
    assert "\n" not in str(told.value)
    assert not [p for p in (folder.parent / "cache" / "criteo-x1").iterdir() if "test" in p.name]


def test_a_file_cut_short_and_an_unknown_id_are_told(folder):
    with pytest.raises(WorkloadError, match="train part has 70 examples, expected 71"):
        small(examples=[71, 20, 10]).stream(0)
    with pytest.raises(WorkloadError, match="an id of the train part is 49 or more"):
        small(vocabulary=49).stream(0)


@pytest.mark.network
def test_likes_are_split_apart():
    found = clicks.load("ml-100k")
    assert [len(part.click) for part in found.values()] == [70_000, 20_000, 10_000]
    pairs = np.concatenate([part.categories[:, :2] for part in found.values()])
    assert len(np.unique(pairs, axis=0)) == 100_000
    assert sum(int(part.click.sum()) for part in found.values()) == 55_375
    for part in found.values():
        assert part.click.mean() == pytest.approx(0.55375, abs=0.01)
        assert part.categories.max() < workloads.get(TOY).settings.data.vocabulary


# The metric


@given(st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), st.booleans()), max_size=30))
def test_the_area_is_the_share_of_pairs_in_order(examples):
    scores = np.array([score for score, _ in examples], np.float32)
    clicked = np.array([click for _, click in examples], bool)
    found = area_under_curve(scores, clicked)
    pairs = [
        (one > other) + 0.5 * (one == other)
        for one in scores[clicked]
        for other in scores[~clicked]
    ]
    assert (np.isnan(found) and not pairs) or found == pytest.approx(np.mean(pairs))


def test_a_score_that_is_no_number_has_no_area():
    assert np.isnan(area_under_curve(np.array([np.nan, 1.0]), np.array([True, False])))


def test_the_metric_is_the_variants_own():
    metric = workloads.get(TOY).metric
    assert (metric.name, metric.goal) == ("validation/auc", "max")
    assert workloads.get("recommender-toy-v3").metric.name == "validation/ndcg_at_100"


@pytest.mark.parametrize(
    ("split", "part", "count"), [("validation", "valid", 15), ("test", "test", 10)]
)
def test_evaluation_takes_the_parts_first_examples(folder, split, part, count):
    workload = small()

    def measure(batch):
        assert "kept" not in batch
        return {"loss": np.float32(len(batch["click"]) * 0.5)}

    model = answering(measure, lambda batch: {"score": batch["numbers"][:, 0]})
    metrics = workload.evaluate(model, split, workload.stream(0), Window(0, {}))
    expected = PARTS[part]
    area = area_under_curve(expected.numbers[:count, 0], expected.click[:count] == 1)
    assert metrics == pytest.approx({f"{split}/auc": area, f"{split}/logloss": 0.5})


# The model


def by_hand(settings, weights, batch):
    """Log-odds in float64, one example at a time."""
    model, found = settings.model, []
    for row in range(len(batch["click"])):
        told = [weights["embedding.weight"][id] for id in batch["categories"][row]]
        told += [
            x * v for x, v in zip(batch["numbers"][row], weights["number.weight"], strict=True)
        ]
        start = np.concatenate(told).astype(np.float64)
        crossed = start
        for layer in range(model.crosses):
            name = f"cross.{layer}"
            mixed = weights[f"{name}.weight"] @ crossed + weights[f"{name}.bias"]
            crossed = start * mixed + crossed
        deep, unit = start, 0
        for layer, width in enumerate(model.hidden):
            name = f"deep.{layer}"
            deep = np.maximum(weights[f"{name}.weight"] @ deep + weights[f"{name}.bias"], 0)
            if "kept" in batch:
                kept = batch["kept"][row, unit : unit + width]
                deep = deep * kept * 256 / (256 - model.dropped)
            unit += width
        both = np.concatenate([crossed, deep])
        found.append((weights["head.weight"] @ both + weights["head.bias"])[0])
    return np.array(found)


@pytest.mark.parametrize("dropped", [True, False])
def test_both_back_ends_are_dcn_v2(dropped):
    import torch

    workload = small()
    weights, batch = workload.initial_weights(0), workload.batch_like(1)
    weights = {name: value + np.float32(0.05) for name, value in weights.items()}
    if not dropped:
        del batch["kept"]
    score = by_hand(workload.settings, weights, batch)
    nats = np.logaddexp(0, score) - batch["click"] * score
    model = workload.torch_model()
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
    with torch.no_grad():
        ours = {**model.measure(tensors), **model.predict(tensors)}
        assert float(model.loss(tensors, torch.Generator())[0]) == pytest.approx(
            nats.mean(), rel=1e-5
        )
    net = workload.jax_model()
    theirs = {**net.measure(weights, batch), **net.predict(weights, batch)}
    for sums in (ours, theirs):
        np.testing.assert_allclose(np.asarray(sums["score"]), score, rtol=1e-4, atol=1e-6)
        assert float(sums["loss"]) == pytest.approx(nats.sum(), rel=1e-5)
        assert int(sums["count"]) == 8


def test_dropout_drops_the_stated_share():
    workload = workloads.get(TOY)
    kept = np.concatenate([workload.batch_like(seed)["kept"] for seed in range(20)])
    share = workload.settings.model.dropped / 256
    assert kept.mean() == pytest.approx(1 - share, abs=0.005)


def test_parameters_at_standard_scale_are_bars():
    specs = workloads.get(STANDARD).parameters()
    count = sum(int(np.prod(spec.shape)) for spec in specs.values())
    assert round(count / 1e6, 1) == 22.0
    assert [name for name, spec in specs.items() if spec.role == "embedding"] == [
        "embedding.weight",
        "number.weight",
    ]


def test_the_embeddings_l2_term_is_in_the_loss_but_not_in_its_by_product() -> None:
    import torch

    plain = workloads.get("recommender-toy-v3+ctr")
    model = plain.settings.model.model_copy(update={"embedding_l2": 0.5, "embedding_std": 0.01})
    settings = plain.settings.model_copy(update={"model": model})
    penalised = type(plain)(plain.id, settings, plain.metric, None)
    weights, batch = penalised.initial_weights(0), penalised.batch_like()
    tables = [weights["embedding.weight"], weights["number.weight"]]
    assert [table.std() for table in tables] == pytest.approx([0.01] * 2, rel=0.2)
    term = 0.25 * sum(float((table.astype(np.float64) ** 2).sum()) for table in tables)
    net = penalised.torch_model()
    net.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    loss, sums = net.loss({k: torch.from_numpy(v) for k, v in batch.items()}, torch.Generator())
    by_jax, by_products = penalised.jax_model().loss(weights, batch, None)
    assert float(loss.detach() - sums["loss"]) == pytest.approx(term, rel=1e-4)
    assert float(by_jax - by_products["loss"]) == pytest.approx(term, rel=1e-4)


# Methods that train nothing else than a number an id


def test_additive_log_odds_are_at_their_optimum():
    random = np.random.default_rng(0)
    ids = np.stack([random.integers(0, 4, 300), 4 + random.integers(0, 5, 300)], axis=1)
    clicked = random.integers(0, 2, 300).astype(np.uint8)
    weights = baselines.additive(ids, clicked, 10)
    wrong = clicked - 1 / (1 + np.exp(-weights[ids].sum(1)))
    slope = sum(np.bincount(column, wrong, 10) for column in ids.T)
    np.testing.assert_allclose(slope, baselines.RIDGE * weights, atol=1e-6)
    assert weights[9] == 0, "an id that nobody has"
    assert np.ptp(weights) > 0.1


@pytest.mark.network
def test_the_page_s_sanity_lines():
    settings = workloads.get(TOY).settings.data
    found = baselines.table(settings.vocabulary, settings.validation)
    told = {name: tuple(round(value, 3) for value in values) for name, values in found.items()}
    assert told == {"film": (0.715, 0.713), "user and film": (0.778, 0.774)}
