"""The command line as a person meets it: what it says, where it writes, its exit status."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import genloom
from genloom.cli.app import run
from genloom.cli.fit import first_of
from genloom.errors import InputError
from genloom.train.interrupt import Interrupt
from genloom.train.run import Run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("runs") / "digits")
    command = [
        "fit",
        "dcgan",
        "digits",
        "-o",
        folder,
        "--preset",
        "tiny",
        "--conditional",
        "--examples",
        "2k",
        "--device",
        "cpu",
    ]
    assert run(command) == 0
    return folder, command


@pytest.fixture(scope="module")
def grey(tmp_path_factory):
    """Pictures of noise, which take a process no import of scikit-learn to read."""
    path = tmp_path_factory.mktemp("grey") / "x.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (200, 8, 8), dtype=np.uint8))
    return str(path)


def training(model, data, folder, *options):
    """Return the command that trains a tiny model in a process of its own."""
    tiny = ["-o", str(folder), "--preset", "tiny", "--device", "cpu"]
    return [sys.executable, "-m", "genloom", "fit", model, data, *tiny, *options]


def wait_until_it_trains(folder):
    deadline = time.monotonic() + 90
    while not (folder / "stats.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)


def look(path):
    with Image.open(path) as image:
        frames = getattr(image, "n_frames", 1)
        return SimpleNamespace(size=image.size, n_frames=frames)


def test_fit_prints_options_first_and_how_to_go_on(trained, capsys, tmp_path):
    _, command = trained
    assert run([*command[:4], str(tmp_path / "a"), *command[5:], "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert out.index("model") < out.index("budget") < out.index("examples/s" if "examples/s" in out else "done:")
    assert "genloom sample" in out


def test_dry_run_writes_nothing(tmp_path, capsys):
    assert run(["fit", "dcgan", "digits", "-o", str(tmp_path / "a"), "--dry-run"]) == 0
    assert "preset modern" in capsys.readouterr().out and not (tmp_path / "a").exists()


def test_quiet_prints_nothing(tmp_path, capsys):
    command = ["fit", "gan", "digits", "-o", str(tmp_path / "a"), "--preset", "tiny", "--examples", "500", "--quiet"]
    assert run(command) == 0
    assert capsys.readouterr().out == ""


def test_the_same_command_goes_on_and_another_is_refused(trained, capsys):
    folder, command = trained
    assert run(command) == 0
    assert "has used its budget" in capsys.readouterr().out
    longer = [*command, "--examples", "2500"]
    longer.remove("2k")
    longer.remove("--examples")
    assert run(longer) == 0
    assert int(Run.open(folder).last_checkpoint().name) >= 2500
    capsys.readouterr()
    assert run([*longer, "--hyper.z", "8"]) == 2
    assert "begun with hyper.z = 16, now it is 8" in capsys.readouterr().err


def test_samples_in_every_form(trained, tmp_path, capsys):
    folder, _ = trained
    assert run(["sample", folder, "-n", "5", "-o", str(tmp_path / "a.npy"), "--label", "3"]) == 0
    x = np.load(tmp_path / "a.npy")
    assert x.shape == (5, 1, 8, 8) and x.dtype == np.float32 and x.min() >= 0 and x.max() <= 1
    assert (
        run(["sample", folder, "-n", "5", "--scale", "1", "-o", str(tmp_path / "g.png"), "--each", str(tmp_path / "each")])
        == 0
    )
    assert look(tmp_path / "g.png").size == (3 * 10 + 2, 2 * 10 + 2)
    assert len(list((tmp_path / "each").glob("*.png"))) == 5
    assert run(["sample", folder, "-n", "5", "-o", str(tmp_path / "b.npy"), "--label", "3"]) == 0
    assert np.array_equal(x, np.load(tmp_path / "b.npy"))


def test_walks(trained, tmp_path, capsys):
    folder, _ = trained
    assert run(["walk", folder, "-o", str(tmp_path / "w.gif"), "--frames", "3", "--seeds", "1,2"]) == 0
    assert look(tmp_path / "w.gif").n_frames >= 2
    assert run(["walk", folder, "-o", str(tmp_path / "s.png"), "--arithmetic", "(1,2,3) - 4 + 5"]) == 0
    assert look(tmp_path / "s.png").size[0] > 60


def test_show_check_models_doctor(trained, tmp_path, capsys):
    folder, _ = trained
    assert run(["show", folder, "-o", str(tmp_path / "show.png")]) == 0
    assert look(tmp_path / "show.png").size[0] > 500
    assert run(["check", "digits", "-o", str(tmp_path / "sheet.png")]) == 0
    assert look(tmp_path / "sheet.png").size[0] > 100
    assert run(["models"]) == 0
    assert run(["models", "dcgan"]) == 0
    assert run(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "1,438 pictures" in out and "--hyper.kernel" in out and "bf16" in out and "lite2" in out


def test_config_file_and_flags_over_it(tmp_path, capsys):
    (tmp_path / "run.yaml").write_text(
        f"model: gan\ndata: digits\nout: {tmp_path / 'a'}\npreset: tiny\nexamples: 300\nbatch: 50\nhyper:\n  rate: 1e-3\n"
    )
    assert run(["fit", "--config", str(tmp_path / "run.yaml"), "--batch", "60"]) == 0
    record = json.loads((tmp_path / "a" / "run.json").read_text())
    assert record["plan"]["batch"] == 60 and record["hyper"]["rate"] == 1e-3 and record["plan"]["examples"] == 300


def bad_inputs(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "one" / "a.png")
    bare = ["-o", str(tmp_path / "out")]
    fit = [*bare, "--examples", "100", "--preset", "tiny"]
    return [
        (["fit", "dcgan", "nowhere", *fit], "no data at nowhere"),
        (["fit", "dcgan", str(tmp_path / "one"), *fit], "holds a single example"),
        (["fit", "dcgan", "digits", *bare, "--examples", "inf"], "2M, got 'inf'"),
        (["fit", "dcgan", "digits", *fit, "--processes", "0"], "--processes takes a number from 1 on"),
        (["fit", "dcgan", "digits", *fit, "--hyper.rate", "inf"], "takes a finite number"),
        (["fit", "dcgan", "digits", *fit, "--size", "-16"], "--size takes a number from 1 on"),
        (["fit", "dcgam", "digits", *fit], "did you mean 'dcgan'"),
        (["fit", "dcgan", "digits", *fit, "--hyper.with", "3"], "did you mean 'width'"),
        (["fit", "dcgan", "digits", *fit, "--size", "20"], "dcgan takes pictures of 32x32, not 20x20; say --size 32"),
        (["fit", "dcgan", "digits", *fit, "--batch", "4096"], "larger than the data"),
        (["fit", "dcgan", "digits", *bare, "--preset", "papre"], "did you mean 'paper'"),
        (["fit", "dcgan", "digits", *fit, "--exampels", "3"], "examples"),
        (["fit", "dcgan", "digits", *fit, "--device", "tpu"], "not to be had"),
        (["fit", "dcgan", "digits", "-o", str(tmp_path), "--examples", "64"], "is not empty and not a run"),
        (["fit", "dcgan", "digits", *bare, "--examples", "many"], "2M, got 'many'"),
        (["fit", "dcgan", "digits", *fit, "--batch", "0"], "--batch takes a number from 1 on"),
        (["fit", "dcgan", "digits", *bare, "--minutes", "0"], "--minutes takes a number above 0"),
        (["fit", "dcgan", "digits", *fit, "--micro", "-1"], "--micro takes a number from 1 on"),
        (["fit", "dcgan", "digits", *fit, "--hyper.rate", "nan"], "takes a finite number, got nan"),
        (["fit", "dcgan"], "fit needs -o RUN"),
        (["fit", f"--config={tmp_path / 'no.yaml'}"], "no such file"),
        (["frobnicate"], "frobnicate"),
        (["sample", str(tmp_path / "none"), "-o", "x.png"], "no such folder"),
        (["sample", str(tmp_path / "one"), "-o", "x.png"], "no run.json"),
        (["sample", str(tmp_path / "weights.pt"), "-o", "x.png"], "looks like a pickle"),
        (["show", str(tmp_path / "none")], "no such folder"),
        (["lesson", "line", "-o", "x.mp4"], "is a GIF"),
        (["lesson", "line", "-o", "x.gif", "--frames", "0"], "--frames takes a number from 1"),
        (["lesson", "line", "-o", "x.gif", "--seed", "9" * 20], "at most 63 bits"),
        (["demo", "--seed", "9" * 20, "-o", str(tmp_path / "demo")], "at most 63 bits"),
    ]


def test_bad_input_gets_one_sentence_and_status_two(tmp_path, capsys):
    (tmp_path / "one").mkdir()
    for command, says in bad_inputs(tmp_path):
        assert run(command) == 2, command
        captured = capsys.readouterr()
        assert says in captured.err and captured.err.count("\n") == 1, (command, captured.err)
        assert not (tmp_path / "out").exists(), command


def test_bad_questions_to_a_run(trained, tmp_path, capsys):
    folder, _ = trained
    for command, says in (
        (["sample", folder, "-o", str(tmp_path / "x.png"), "--label", "eleven"], "no label 'eleven'"),
        (["sample", folder, "-o", str(tmp_path / "x.png"), "--label", "11"], "no label '11'"),
        (["sample", folder, "-o", str(tmp_path / "x.tga")], "as .tga; use .png, .jpg, .jpeg, .webp, .npy or FOLDER/"),
        (["sample", folder], "needs -o"),
        (["sample", folder, "-o", str(tmp_path / "x.png"), "--temperature", "nan"], "--temperature takes a number"),
        (["sample", folder, "-o", str(tmp_path / "x.png"), "--checkpoint", ".."], "has no checkpoint '..'"),
        (["sample", folder, "-n", "0", "-o", str(tmp_path / "x.png")], "from 1 on"),
        (
            ["sample", folder, "-o", str(tmp_path / "x.png"), "--checkpoint", "000000000007"],
            "has no checkpoint '000000000007'",
        ),
        (["walk", folder, "-o", str(tmp_path / "w.mp4")], "is a GIF"),
        (["walk", folder, "-o", str(tmp_path / "w.gif"), "--frames", "0"], "--frames takes a number from 1 on"),
        (["walk", folder, "-o", str(tmp_path / "w.gif"), "--seeds", "a,b"], "numbers with commas"),
        (["walk", folder, "-o", str(tmp_path / "w.png"), "--arithmetic", "1 * 2"], "takes seeds"),
    ):
        assert run(command) == 2, command
        assert says in capsys.readouterr().err, command


def test_a_checkpoint_cut_short_or_of_another_model(trained, tmp_path, capsys):
    import shutil

    folder, _ = trained
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    weights = Run.open(copy).last_checkpoint() / "ema.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    assert run(["sample", str(copy), "-o", str(tmp_path / "x.png")]) == 2
    assert "is cut short" in capsys.readouterr().err
    record = json.loads((copy / "run.json").read_text())
    weights.write_bytes(whole)
    record["hyper"]["width"] = 8
    (copy / "run.json").write_text(json.dumps(record))
    assert run(["sample", str(copy), "-o", str(tmp_path / "x.png")]) == 2
    assert "belongs to another model" in capsys.readouterr().err


def test_label_asked_of_a_run_without(tmp_path, capsys):
    assert run(["fit", "gan", "digits", "-o", str(tmp_path / "g"), "--preset", "tiny", "--examples", "200", "--quiet"]) == 0
    assert run(["sample", str(tmp_path / "g"), "-o", str(tmp_path / "x.png"), "--label", "3"]) == 2
    assert "trained without labels" in capsys.readouterr().err


def test_out_of_memory_suggests_micro_batches(monkeypatch, capsys, tmp_path):
    from genloom.train.learner import Learner

    def burst(self, loss, share):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(Learner, "descend", burst)
    assert run(["fit", "gan", "digits", "-o", str(tmp_path / "g"), "--preset", "tiny", "--examples", "200", "--quiet"]) == 2
    assert "--micro" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_output_to_a_full_disk(tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "genloom", "models"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and "the disk is full" in done.stderr and "Traceback" not in done.stderr


def test_ctrl_c_saves_and_says_how_to_go_on(grey, tmp_path):
    command = training("dcgan", grey, tmp_path / "r", "--examples", "100M", "--threads", "1")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    wait_until_it_trains(tmp_path / "r")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "goes on from there" in out
    assert int(Run.open(tmp_path / "r").last_checkpoint().name) > 0


def test_two_processes_on_one_machine(grey, tmp_path):
    (tmp_path / "r").mkdir()  # an empty folder is as good as none
    command = training("gan", grey, tmp_path / "r", "--examples", "400", "--processes", "2")
    subprocess.run(command, check=True, capture_output=True)
    run_folder = Run.open(tmp_path / "r")
    assert int(run_folder.last_checkpoint().name) == 400 and run_folder.record["plan"]["processes"] == 2


def test_help_imports_no_torch():
    code = "import sys; from genloom.cli.app import run; run(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.usefixtures("few_projections")
def test_demo_and_lesson(tmp_path, capsys):
    assert run(["demo", "-o", str(tmp_path / "demo"), "--seconds", "1"]) == 0
    said = capsys.readouterr().out
    assert "Try next" in said and "FID[classifier" in said and "log-likelihood[exact]" in said
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {"dcgan", "vae", "pixelcnn", "demo.html"}
    assert run(["lesson", "line", "-o", str(tmp_path / "l.gif"), "--examples", "6k", "--frames", "6"]) == 0
    assert look(tmp_path / "l.gif").n_frames > 6


def test_what_two_processes_cannot_go_on_with_is_said_before_they_start(tmp_path, capsys):
    command = ["fit", "gan", "digits", "-o", str(tmp_path / "r"), "--preset", "tiny", "--examples", "64", "--device", "cpu"]
    assert run([*command, "--quiet"]) == 0
    assert run([*command, "--seed", "7", "--processes", "2"]) == 2
    assert "was begun with plan.seed" in capsys.readouterr().err


def test_the_difference_that_matters_most_is_named(tmp_path, capsys):
    folder, small = str(tmp_path / "r"), ["--preset", "tiny", "--examples", "64", "--device", "cpu", "--quiet"]
    assert run(["fit", "gan", "digits", "-o", folder, *small]) == 0
    for command, says in (
        (["fit", "vae", "digits", "-o", folder, *small], "begun with model = 'gan'"),
        (["fit", "gan", "digits[:500]", "-o", folder, *small], "begun on other data: digits as it was then"),
        (["fit", "gan", "digits", "-o", folder, "--size", "16", *small], "begun with --size = None, now it is 16"),
        (["fit", "gan", "digits", "-o", folder, "--preset", "paper", "--device", "cpu"], "begun with preset = 'tiny'"),
        (["fit", "-o", folder, "--seed", "3"], "begun with plan.seed = 0"),
        (["fit", "-o", str(tmp_path / "none")], "no run at"),
    ):
        assert run(command) == 2 and says in capsys.readouterr().err, command


def test_a_run_goes_on_by_its_folder_alone(tmp_path, capsys):
    folder, small = str(tmp_path / "r"), ["--preset", "tiny", "--examples", "128", "--device", "cpu", "--quiet"]
    assert run(["fit", "gan", "digits[:500]", "-o", folder, *small, "--seed", "5", "--batch", "32", "--hyper.z", "7"]) == 0
    assert run(["fit", "-o", folder, "--device", "cpu"]) == 0
    assert "has used its budget" in capsys.readouterr().out
    assert run(["fit", "-o", folder, "--examples", "256", "--device", "cpu", "--quiet"]) == 0
    assert (
        run(["fit", "gan", "digits[:500]", "-o", folder, "--seed", "5", "--batch", "32", "--examples", "320", "--quiet"])
        == 2
    )
    assert "hyper.z" in capsys.readouterr().err  # the preset is the run's own, what was said beside it is not
    whole = str(tmp_path / "whole")
    small[3] = "256"
    assert run(["fit", "gan", "digits[:500]", "-o", whole, *small, "--seed", "5", "--batch", "32", "--hyper.z", "7"]) == 0
    a, b = (genloom.load(path).state_dict() for path in (folder, whole))
    assert all((a[key] == b[key]).all() for key in a)


def test_a_budget_of_processor_time_ends_a_run_after_a_round_at_least(tmp_path):
    made = genloom.fit("gan", "digits", tmp_path / "r", preset="tiny", cpu_minutes=1e-6, device="cpu")
    assert made.history()[-1]["rounds"] == 1


def test_names_of_elsewhere_and_commands_that_are_none(capsys):
    assert (
        run(["fit", "StyleGAN2", "digits", "-o", "x"]) == 2 and "r3gan and projected come nearest" in capsys.readouterr().err
    )
    assert (
        run(["fitt"]) == 2 and "did you mean 'fit'" in (said := capsys.readouterr().err) and said.rstrip().endswith("doctor")
    )


def test_an_autoencoder_is_told_what_it_can_do(tmp_path, capsys):
    folder = str(tmp_path / "a")
    assert (
        run(["fit", "autoencoder", "digits", "-o", folder, "--preset", "tiny", "--examples", "64", "--device", "cpu"]) == 0
    )
    said = capsys.readouterr().out
    assert f"genloom walk {folder} --reconstructions -o again.png" in said and "genloom sample" not in said
    assert first_of(["a", "b", "c"], most=2) == "a; b; and 1 more"


def test_first_mistakes_in_python_are_sentences(tmp_path):
    for options, says in (
        ({"data": np.zeros((3, 8, 8))}, "save arrays as .npy"),
        ({"examples": "1k"}, "a whole number"),
        ({"exmples": 5}, "did you mean 'examples'"),
    ):
        with pytest.raises(InputError, match=says):
            genloom.fit(**{"model": "vae", "data": "digits", "out": tmp_path / "r", **options})
    assert "fit" in dir(genloom) and not (tmp_path / "r").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_two_processes_and_saves(grey, tmp_path, number):
    command = training("gan", grey, tmp_path / "r", "--examples", "100M", "--processes", "2", "--quiet")
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    wait_until_it_trains(tmp_path / "r")
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)  # as a cluster does
    assert process.wait(timeout=90) == 130
    assert int(Run.open(tmp_path / "r").last_checkpoint().name) > 0


def test_ctrl_c_before_the_first_round_stops_at_once(tmp_path):
    """While a model studies the data there is nothing to save, and minutes may pass until a wish is heard."""
    with pytest.raises(KeyboardInterrupt), Interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    with pytest.raises(KeyboardInterrupt), Interrupt() as interrupt:  # raised once all is saved
        assert not interrupt.asked()
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.asked()
