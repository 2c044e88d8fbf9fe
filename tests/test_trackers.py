"""Results go to MLflow and TensorBoard through their own clients."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsparse.evaluation.statistics import defense_rows
from rsparse.report.trackers import Tracked, open_trackers
from tests.evaluations import FEW, make_eval_folder, make_evaluation
from tests.refusals import refused


@pytest.fixture(scope="module")
def evaluation():
    return make_evaluation(20, defenses=FEW)


@pytest.fixture
def tracked(evaluation, tmp_path: Path) -> Tracked:
    folder = make_eval_folder(tmp_path / "eval", evaluation, [])
    (folder / "results.csv").write_text("a,b\n")
    return Tracked.of(evaluation, folder)


def test_metrics_are_those_of_the_tables(evaluation, tracked):
    for row in defense_rows(evaluation):
        if row["source"] == row["judged"]:
            place = f"{row['scenario']}/{row['defense']}".replace("=", "-").replace("+", "-")
            for name in ("clean", "mean_attacked", "worst_case"):
                assert tracked.metrics[f"{place}/{name}"] == row[name]
    assert any("transfer/on mobilenet-v1/" in name for name in tracked.metrics)
    assert "gray-box/none/bim-eps-6" in tracked.metrics
    assert tracked.metrics["checks/fail"] == sum(c.outcome == "fail" for c in evaluation.checks)
    assert (tracked.name, tracked.parameters["model"]) == ("eval", evaluation.model)
    assert [file.name for file in tracked.files if file.name == "results.csv"] == ["results.csv"]


@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_the_run(tracked, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # no server is needed for it
    address = (tmp_path / "mlruns").as_uri()
    for _ in range(2):  # the second run finds the experiment
        (tracker,) = open_trackers([f"mlflow:{address}"])
        assert tracker.send(tracked).endswith(f"of the experiment rsparse in {address}")
    client = mlflow.MlflowClient(tracking_uri=address)
    experiment = client.get_experiment_by_name("rsparse")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 2
    assert runs[0].data.metrics == pytest.approx(tracked.metrics)
    assert runs[0].data.params == tracked.parameters
    assert runs[0].info.status == "FINISHED"
    names = [file.path for file in client.list_artifacts(runs[0].info.run_id)]
    assert "results.csv" in names


@pytest.mark.filterwarnings("ignore")
def test_a_server_that_is_not_there_is_refused(monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    with pytest.raises(Exception, match=r"^log: http://127.0.0.1:9: cannot be reached: "):
        open_trackers(["mlflow:http://127.0.0.1:9"])


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_has_the_scalars(tracked, tmp_path):
    pytest.importorskip("tensorboard")
    pytest.importorskip("torch")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (tracker,) = open_trackers([f"tensorboard:{tmp_path / 'runs'}"])
    place = tracker.send(tracked)
    assert place == str(tmp_path / "runs" / "eval")
    events = EventAccumulator(place).Reload()
    scalars = {tag: events.Scalars(tag)[0].value for tag in events.Tags()["scalars"]}
    assert scalars == pytest.approx(tracked.metrics)


@pytest.mark.parametrize("text", ["wandb:x", "tensorboard", "tensorboard:", "runs/"])
def test_other_trackers_are_refused(text):
    with refused(f"log: expected mlflow:ADDRESS or tensorboard:FOLDER, got {text!r}"):
        open_trackers([text])


def test_the_command_asks_before_it_computes(tmp_path, run_cli):
    from rsparse.data import demo_model, demo_photos

    result = run_cli(
        "evaluate", demo_photos("test") / "cat", "-m", demo_model(), "-a", "bim:eps=2",
        "--defense", "median", "-o", tmp_path / "eval", "--log", "wandb:x",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "log: expected mlflow:ADDRESS or tensorboard:FOLDER, got 'wandb:x'" in result.stderr
    assert not (tmp_path / "eval").exists()
