"""Every example runs and measures what its last section says."""

import ast
import json
import os
import re
from pathlib import Path
from statistics import mean

import pytest
from processes import run_program

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
HEADER = ("Title", "Author", "Date created", "Last modified")
HEADER += ("Description", "Accelerator")
DATASETS = {
    "compare_strategies": "cifar10_jpeg",
    "cross_modal": "spoken_digit_compact",
    "mnist_plain_kl": "mnist",
    "resnet152_other_domain": "mnist",
    "spoken_digits": "spoken_digit_compact",
    "text_transformer": "clinc_oos",
    "transfer_unlabelled": "mnist",
    "your_own_photos": "cifar10_jpeg",
}


def run_code(name):
    """Return code that runs an example."""
    path = str(ROOT / "examples" / f"{name}.py")
    return f"import runpy; runpy.run_path({path!r}, run_name='__main__')"


def run(name):
    """Run an example in its short form and return its results."""
    needed = DATASETS.get(name)
    folder = Path(os.environ.get("TFDS_DATA_DIR", ""), needed or "")
    if needed and not ("TFDS_DATA_DIR" in os.environ and folder.is_dir()):
        pytest.skip(f"needs the data set {needed} in TFDS_DATA_DIR")
    # Optimizing the graphs of a short form costs more than it saves.
    result = run_program(
        "import tensorflow as tf\n"
        "options = {'disable_meta_optimizer': True}\n"
        "tf.config.optimizer.set_experimental_options(options)\n"
        f"{run_code(name)}",
        KERAS_KD_FAST="1",
    )
    results = json.loads(result.stdout.splitlines()[-1])
    if "skipped" in results:
        pytest.skip(results["skipped"])
    return results


@pytest.mark.slow
def test_cache_and_distill():
    results = run("cache_and_distill")
    assert results["examples"] == 1097
    # The cache and the live teacher run in other batch sizes, which round
    # otherwise; three epochs of Adam made 2e-6 of it on one processor.
    assert results["difference"] < 1e-5


@pytest.mark.slow
def test_ensemble_of_teachers():
    results = run("ensemble_of_teachers")
    assert results["ensemble"] > mean(results["teachers"])
    assert mean(results["of_three"]) > mean(results["of_one"])
    assert mean(results["of_three"]) > mean(results["scratch"])


@pytest.mark.slow
def test_cross_modal():
    results = run("cross_modal")
    assert results["teacher"] > mean(results["distilled"])
    assert mean(results["distilled"]) > mean(results["few_labels"]) + 0.05


@pytest.mark.slow
def test_torch_teacher():
    results = run("torch_teacher")
    assert results["difference"] < 1e-4
    assert mean(results["distilled"]) > mean(results["scratch"]) + 0.02


@pytest.mark.slow
def test_transfer_unlabelled():
    results = run("transfer_unlabelled")
    assert results["teacher"] < mean(results["distilled"])
    assert mean(results["distilled"]) < mean(results["scratch"])
    omitted = results["omitted"]
    assert mean(omitted["on_threes"]) < results["num_threes"], "some are known"
    assert mean(omitted["raised_by"]) > 0
    assert mean(omitted["on_threes_after"]) < mean(omitted["on_threes"]) / 1.5
    assert mean(omitted["errors_after"]) < mean(omitted["errors"])
    two = results["sevens_and_eights"]
    assert mean(two["error_rate_after"]) < mean(two["error_rate"]) < 0.8


@pytest.mark.slow
def test_shrink_any_model():
    results = run("shrink_any_model")
    assert "`mix` (EinsumDense)" in results["refusal"]
    assert results["whole"] == results["teacher"]
    teacher, student = results["parameters"]
    assert student < teacher / 3
    assert mean(results["inherited"]) > mean(results["random"])
    assert mean(results["random"]) > 0.3


@pytest.mark.slow
def test_quantize_aware_distillation():
    results = run("quantize_aware_distillation")
    aware = mean(results["quantize_aware"])
    # Of one seed and 500 images in its short form: one image is 0.2 points.
    assert aware > mean(results["after_training"]) - 0.005
    assert aware > mean(results["float"]) - 0.01
    assert min(results["agreement"]) > 0.99


@pytest.mark.slow
def test_fitnets_hints():
    results = run("fitnets_hints")
    assert results["teacher"] > mean(results["hint"])
    # One seed in its short form: only the lead over the labels is large.
    assert mean(results["hint"]) > mean(results["scratch"])


@pytest.mark.slow
def test_write_your_own_loss():
    results = run("write_your_own_loss")
    assert results["at_the_teacher"] < 1e-6
    assert results["difference"] < 1e-6
    assert results["after"] < results["saved"]
    assert results["in_distiller"] == results["in_student"] + 2
    assert mean(results["own_loss"]) > 0.6


def test_every_example_has_a_test():
    tests = {name.removeprefix("test_") for name in globals()}
    assert {path.stem for path in EXAMPLES} <= tests
    assert len(EXAMPLES) >= 5


def test_the_page_of_examples_has_a_line_for_each():
    page = (ROOT / "docs" / "examples.md").read_text()
    linked = re.findall(r"\]\(\.\./examples/(\w+)\.py\)", page)
    assert sorted(linked) == [path.stem for path in EXAMPLES]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_the_form_of_keras_io(path):
    text = path.read_text()
    lines = text.splitlines()[1:7]
    assert tuple(line.partition(": ")[0] for line in lines) == HEADER
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert titles[0] == "Introduction"
    assert titles[-1] == "What to take away"
    assert "validation_data=" in text
    nodes = ast.walk(ast.parse(text))
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    assert len(classes) == (path.stem == "write_your_own_loss")


@pytest.mark.slow
@pytest.mark.parametrize("name", DATASETS)
def test_an_example_says_what_it_misses(name):
    result = run_program(
        "import sys\n"
        "sys.modules['tensorflow_datasets'] = None  # is not there\n"
        f"{run_code(name)}"
    )
    said = json.loads(result.stdout.splitlines()[-1])["skipped"]
    assert re.search(DATASETS[name], said, re.IGNORECASE)
    assert re.search("tensorflow.datasets", said)


@pytest.mark.slow
def test_your_own_photos():
    results = run("your_own_photos")
    assert results["class_names"] == ["airplane", "automobile", "frog", "horse"]
    assert (results["scale"], results["input_step"]) == ("0..255", 1.0)
    assert results["size_bytes"] <= 30_000
    assert results["report_bytes"] < 2_000_000
    assert results["agreement"] > 0.85
    # Of 38 photos: guessing one class of four is right on 25 %.
    assert results["file"] > 0.3


@pytest.mark.slow
def test_compare_strategies():
    results = run("compare_strategies")
    assert results["right_in_training"] > results["teacher"] > 0.3
    for limit, choice in results["choices"].items():
        assert choice["size_bytes"] <= 1_000 * int(limit.removesuffix("kB"))
        rivals = {
            name: mean(values)
            for name, values in results["accuracy"].items()
            if float(name.split(", ")[1]) <= choice["width"]
        }
        chosen = f"{choice['strategy']}, {choice['width']}"
        assert max(rivals.values()) == rivals[chosen]
        assert mean(choice["test"]) > 0.25


@pytest.mark.slow
def test_mnist_plain_kl():
    results = run("mnist_plain_kl")
    errors = {
        name: mean(run["calibration_error"] for run in measured)
        for name, measured in results["runs"].items()
    }
    labels = errors["labels alone"]
    # At a high temperature plain KL leaves the student to the labels.
    assert abs(errors["plain KL, T = 8"] - labels) < 0.015
    assert errors["T squared, T = 8"] < labels - 0.015
    assert errors["plain KL, T = 0.5"] > labels + 0.015
    assert results["teacher"] < min(
        mean(run["errors"] for run in measured)
        for measured in results["runs"].values()
    )


@pytest.mark.slow
def test_imbalanced_labels():
    results = run("imbalanced_labels")
    rare = {
        name: mean(run["rare"] for run in measured)
        for name, measured in results.items()
    }
    assert rare["class_balance"] > rare["soft targets"]
    assert rare["both"] > rare["soft targets"]


@pytest.mark.slow
def test_text_transformer():
    results = run("text_transformer")
    large, small = results["parameters"]
    assert small < large / 4
    distilled, few_labels, all_labels = (
        mean(results[name])
        for name in ("distilled", "few_labels", "all_labels")
    )
    assert results["teacher"] > distilled > few_labels + 0.1
    # Without labels it comes near what all labels give; one seed, few texts.
    assert abs(distilled - all_labels) < 0.08


@pytest.mark.slow
def test_resnet_to_mobilenet():
    results = run("resnet_to_mobilenet")
    assert results["cached"] == 500
    assert results["size_bytes"] < results["teacher_bytes"] / 100
    assert results["input_dtype"] == "uint8"
    # With averages of a momentum of 0.999 it picks one class of ten for all.
    assert results["teacher_agreement"] > 0.6
    assert results["student_agreement"] > 0.9


@pytest.mark.slow
def test_resnet152_other_domain():
    results = run("resnet152_other_domain")
    assert results["at_home"] > results["teacher"] + 0.1
    assert results["teacher_agreement"] > results["most_frequent"] + 0.15
    assert results["student_agreement"] > 0.8
    assert results["cached"] == 500


@pytest.mark.slow
def test_spoken_digits():
    results = run("spoken_digits")
    validation = {
        name: mean(values) for name, values in results["validation"].items()
    }
    assert max(validation, key=validation.get) == results["chosen"]
    assert results["teacher"] > results["file"] > 0.85
    assert min(results["agreement"].values()) > 0.97
    assert results["size_bytes"] < 20_000
    if results["arena_bytes"] is not None:  # TFLite Micro is installed.
        assert results["arena_bytes"] < 15_000
        assert set(results["agreement"]) == {"litert", "tflm"}
