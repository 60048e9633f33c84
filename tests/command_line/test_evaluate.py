import keras

from mtl_zoo.command_line import main as cli
from mtl_zoo.experiments import Recipe, run
from tests.command_line.harness import error_line


def test_task_that_no_output_matches(run_dir, capsys):
    run_dir.mkdir(parents=True)
    Recipe(dataset="tiny", epochs=1, batch_size=4).write(run_dir / run.CONFIG)
    x = keras.Input((4,))
    keras.Model(x, {"other": keras.layers.Dense(1)(x)}).save(run_dir / run.MODEL)
    assert cli.main(["evaluate", f"--run_dir={run_dir}"]) == 1
    assert "Every task must name an output" in error_line(capsys)
