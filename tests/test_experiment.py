"""`lrs2m experiment`: the registry holds the paper's rows, its commands are real ones, and the tiny scale runs."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from lrs2m_builder.cli import app
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.baselines import baselines
from lrs2m_builder.evals.paper import load_paper
from lrs2m_builder.evals.record import Result
from lrs2m_builder.evals.registry import paper_tests
from lrs2m_builder.evals.results import write_result
from lrs2m_builder.experiments import tiny
from lrs2m_builder.experiments.full import SETS, Inputs, _batch_words, used_sets
from lrs2m_builder.experiments.plots import draw_figure
from lrs2m_builder.experiments.registry import EXPERIMENTS, START, Size, find_experiment
from lrs2m_builder.experiments.run import paper_commands, run_paper, run_tiny
from lrs2m_builder.experiments.table import make_table, markdown
from lrs2m_builder.train.named_configs import CONFIGS, make_config

PAPER = load_paper()
INPUTS = Inputs((Path("LRS2M"),), Path("BENCH"), Path("OUT"))
SMALL = Size(pairs=8, start_pairs=8, epochs=1, start_epochs=1, batch_size=4, max_steps=2, test_scenes=16)


def test_every_row_of_tables_ii_to_ix_is_a_line_of_its_experiment() -> None:
    for name, table in PAPER.tables.items():
        if name in {"table_i", "table_x"}:
            continue
        experiment = EXPERIMENTS[name]
        sets = {test: used_sets(experiment, test) for test in paper_tests()}
        made = make_table(experiment, "paper", {}, sets)
        stated = [dict(line.paper) for line in made.lines if line.paper]
        missing = [row.name for row in table.rows if dict(row.values) not in stated]
        # The two models of the SeLo papers are no CLIPs that could be evaluated here.
        assert missing == (["SeLo-v1", "SeLo-v2"] if name == "table_v" else [])


def test_the_registry_has_tables_ii_to_ix_and_figures_7_to_10() -> None:
    tables = [f"table_{number}" for number in ("ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")]
    assert list(EXPERIMENTS) == [*tables, *(f"figure_{number}" for number in (7, 8, 9, 10))]


def test_every_variant_is_a_configuration_or_a_model_that_there_is() -> None:
    for experiment in EXPERIMENTS.values():
        for variant in experiment.variants:
            assert (variant.config in CONFIGS) is not (variant.model in baselines()), variant


def test_the_weights_of_figure_10_are_those_of_its_labels() -> None:
    for variant in find_experiment("figure_10").variants:
        long, short = map(int, variant.label.split(":"))
        assert long + short == 10 and CONFIGS[variant.config]().long_weight == pytest.approx(long / 10)


def test_no_two_configurations_of_the_registry_are_the_same_training() -> None:
    names = {variant.config for each in EXPERIMENTS.values() for variant in each.variants if variant.config}
    assert len({repr(CONFIGS[name]()) for name in names}) == len(names)


def test_every_command_of_the_papers_scale_is_understood_by_the_command_line() -> None:
    commands = paper_commands(list(EXPERIMENTS.values()), INPUTS)
    root = typer.main.get_command(app)
    assert len({command.line for command in commands}) == len(commands) > 100
    for command in commands:
        line = shlex.split(command.line)
        words = line[1:] if line[0] == "lrs2m" else line[line.index("lrs2m_builder.cli") + 1 :]
        found, name = root, "lrs2m"
        while hasattr(found, "commands"):
            name, *words = words
            found = found.commands[name]
        found.make_context(name, list(words))  # raises for a flag or an argument that is not there


def test_trainings_are_shared_between_experiments_and_use_all_processes() -> None:
    commands = paper_commands([find_experiment("table_vii"), find_experiment("table_viii")], INPUTS)
    trainings = [command.line for command in commands if command.words[0] == "train"]
    assert trainings == [
        f"torchrun --nproc-per-node=8 -m lrs2m_builder.cli train LRS2M --config {name} --out OUT/runs/{name}"
        for name in ("short_only", "long_only", "paper_b16", "first_sentence")
    ]


@pytest.mark.parametrize("processes", [1, 2, 4, 16])
@pytest.mark.parametrize("name", ["paper_b16", "batch_64", "batch_512", "weight_9_1"])
def test_the_batch_of_all_processes_is_the_papers_on_any_number_of_them(name: str, processes: int) -> None:
    words = _batch_words(name, processes)
    config = make_config(name, [word for word in words if word != "--set"])
    assert config.batch_size * processes == CONFIGS[name]().batch_size * 8
    assert (config.micro_batch or config.batch_size) <= 64


@pytest.mark.parametrize(
    ("name", "processes", "message"),
    [
        ("paper_b16", 3, "--processes 3: paper_b16 has a batch of 512 pairs, .* share evenly; take 1, 2, 4, 8, 16"),
        ("batch_64", 64, "--processes 64: batch_64 has a batch of 64"),
        ("pcm_on", 16, "--processes 16: pcm_on: .*pcm_k 32 keeps all directions of a batch of 32"),
    ],
)
def test_processes_that_cannot_share_the_batch_are_refused_before_anything_is_run(
    name: str, processes: int, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        _batch_words(name, processes)


def test_leaks_do_not_stop_an_experiment_and_are_in_its_table(tmp_path: Path) -> None:
    experiment = find_experiment("table_vi")
    commands = [command.words for command in paper_commands([experiment], INPUTS) if command.words[0] == "eval"]
    assert all(("--allow-leak" in words) == (words[1] != "selo") for words in commands)
    assert {words[words.index("--leak-cache") + 1] for words in commands if words[1] != "selo"} == {
        "OUT/training-images"
    }
    result = Result("zic", "EuroSAT", "m", "", {"accuracy": 0.5}, 100, 10, settings={"leakage": {"leaked": 3}})
    write_result(result, tmp_path / "zic.json")
    table = make_table(experiment, "paper", {"on": [tmp_path]}, SETS)
    assert "- on, EuroSAT: 3 of 100 images" in markdown(table)


def test_what_is_done_is_not_run_again_and_the_table_has_both_columns(tmp_path: Path) -> None:
    experiment = find_experiment("table_vi")
    metrics = {"zcrl": {"mr": 0.5}, "zcrs": {"mr": 0.25}, "zic": {"accuracy": 0.75}, "selo": {"r_mi": 0.6}}
    for name in ("pcm_on", "paper_b16"):
        (tmp_path / "runs" / name / "model").mkdir(parents=True)
        for test in paper_tests():
            details = {"intervals": {"mr": [0.2, 0.6]}, "interval": [0.7, 0.8]}
            for number, dataset in enumerate(used_sets(experiment, test)):
                result = Result(test, dataset, name, "", metrics[test], 1, 1, details=details)
                write_result(result, tmp_path / "results" / name / f"{test}{number}.json")
    (table,) = run_paper([experiment], Inputs((Path("none"),), Path("none"), tmp_path))
    assert "| on | 50.00 | 67.63 | 25.00 | 37.29 | 75.00 | 74.44 | 0.6000 | 0.7478 |" in markdown(table)
    assert (tmp_path / "table_vi.md").read_text() == markdown(table)


def test_a_command_that_fails_is_named(tmp_path: Path) -> None:
    inputs = Inputs((tmp_path / "no_data",), tmp_path, tmp_path / "out", processes=1)
    with pytest.raises(UserError, match=r"this command ended with 2: lrs2m train .*no_data --config pcm_on"):
        run_paper([find_experiment("table_vi")], inputs)


def test_the_tiny_scale_trains_evaluates_and_does_nothing_twice(tmp_path: Path) -> None:
    experiments = [find_experiment("table_viii"), find_experiment("table_ii")]
    first, second = run_tiny(experiments, tmp_path, size=SMALL)
    assert [set(line.ours) for line in first.lines] == [set(paper_tests())] * 2
    assert [bool(line.ours) for line in second.lines] == [True, True, False, False]
    files = {
        path: path.stat().st_mtime_ns for folder in ("runs", "results") for path in (tmp_path / folder).rglob("*.*")
    }
    run_tiny(experiments, tmp_path, size=SMALL)
    assert files == {path: path.stat().st_mtime_ns for path in files}


@pytest.mark.parametrize("name", ["table_ix", "figure_9"])
def test_experiments_with_starts_of_their_own_run_at_the_tiny_scale(name: str, tmp_path: Path) -> None:
    (table,) = run_tiny([find_experiment(name)], tmp_path, size=SMALL)
    assert all(set(line.ours) == set(paper_tests()) for line in table.lines)
    assert (tmp_path / f"{name}.png").is_file() is table.experiment.is_figure


def test_a_tiny_configuration_differs_from_the_main_one_as_the_papers_does() -> None:
    main = tiny.tiny_config(find_experiment("table_vii").variants[2], Size())
    for experiment in EXPERIMENTS.values():
        configs = [
            tiny.tiny_config(variant, Size())
            for variant in experiment.variants
            if variant.config and variant.is_at("tiny")
        ]
        assert len(set(map(repr, configs))) == len(configs)
    weights = [tiny.tiny_config(variant, Size()) for variant in find_experiment("figure_10").variants]
    assert [config.long_weight for config in weights] == pytest.approx([n / 10 for n in range(9, 0, -1)])
    assert main.train_on == "both" and main.start == START


def test_a_figure_is_drawn_from_results_of_one_seed_and_of_several(tmp_path: Path) -> None:
    experiment = find_experiment("figure_10")
    runs: dict[str, list[Path]] = {}
    for place, variant in enumerate(experiment.variants[:-1]):  # the last is not there yet
        for seed in range(1 + place % 2):
            folder = tmp_path / "results" / f"{place}-{seed}"
            result = Result(
                "zic", SETS["zic"][0], "m", "", {"accuracy": place / 10}, 1, 1, details={"interval": [0, 1]}
            )
            write_result(result, folder / "zic.json")
            runs.setdefault(variant.label, []).append(folder)
    table = make_table(experiment, "tiny", runs, {test: SETS[test][:1] for test in paper_tests()})
    assert [path.name for path in draw_figure(table, tmp_path)] == ["figure_10.png", "figure_10.svg"]
    assert (tmp_path / "figure_10.png").stat().st_size > 10_000


def test_the_list_names_every_experiment_with_what_it_varies() -> None:
    listed = CliRunner().invoke(app, ["experiment", "list"]).stdout
    assert all(name in listed for name in EXPERIMENTS) and "long : short: 9:1, 8:2" in listed
    assert json.loads(CliRunner().invoke(app, ["experiment", "list", "--json"]).stdout).keys() == EXPERIMENTS.keys()


def test_a_dry_run_prints_the_real_commands() -> None:
    printed = (
        CliRunner()
        .invoke(app, ["experiment", "run", "table_ix", "--scale", "paper", "--out", "OUT", "--dry-run"])
        .stdout.splitlines()
    )
    torchrun = "torchrun --nproc-per-node=8 -m lrs2m_builder.cli"
    assert printed[0] == f"{torchrun} train LRS2M --config from_long_clip --out OUT/runs/from_long_clip"
    assert printed[1].startswith("lrs2m eval zcrl BENCHMARKS/rsitmd_l --model OUT/runs/from_long_clip --name RSITMD-L")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table_xi"], "no experiment 'table_xi'; did you mean 'table_vi'? known: table_ii, table_iii"),
        (["table_vi", "--scale", "paper"], "--scale paper needs --data and --benchmarks"),
        (["table_vi", "--dry-run"], "need --scale paper"),
    ],
)
def test_a_wrong_setting_is_one_line(words: list[str], message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["experiment", "run", *words, "--out", str(tmp_path)])
    assert isinstance(result.exception, UserError) and message in str(result.exception)
