"""The command line: parse, call, draw. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter
from cyclopts.config import Yaml

from genloom.errors import InputError

app = App(
    name="genloom",
    help="Train, judge and use the classic generative models on your own data.",
    version_flags=["--version"],
    default_parameter=Parameter(negative=()),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
Checkpoint = Annotated[str, Parameter(help="last, best, or a folder of checkpoints/")]
Data = Annotated[str, Parameter(help="folder, zip, idx, npy, npz, hf:owner/name, digits, or a table: csv, parquet; "
                                     "`[:500]` takes a part")]  # fmt: skip
RunFolder = Annotated[str, Parameter(help="the run folder")]
Out = Annotated[str, Parameter(name=["-o", "--out"])]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit 0 done, 1 our fault, 2 the person's input, 130 interrupted and saved."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    from genloom.cli.trouble import in_one_sentence

    try:
        app.config, arguments = take_config(arguments)
        result = app(arguments, exit_on_error=False, print_error=False)
        return result if isinstance(result, int) else 0
    except (InputError, CycloptsError) as error:
        return complain(sentence(error))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except (MemoryError, RuntimeError, OSError) as error:
        said = in_one_sentence(error)
        if said is None:
            raise
        return complain(said)


def complain(text: str) -> int:
    """Print the one sentence that says what is wrong and what to do."""
    print(f"genloom: {text}", file=sys.stderr)
    return 2


def sentence(error: Exception) -> str:
    """Return an error's text in one line."""
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        command, names = " ".join(["genloom", *(error.command_chain or ())]), error.argument.names
        return f"{command} needs {names[0] if names[1:] else names[0][2:].upper()}; `{command} --help` shows how"
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{text.rstrip('.')}; `genloom --help` lists what there is"


def take_config(arguments: list[str]) -> tuple[list[Yaml], list[str]]:
    """Take `--config FILE` out of the arguments; what the command line says stands over the file."""
    arguments = [part for word in arguments for part in (word.split("=", 1) if word.startswith("--config=") else [word])]
    if "--config" not in arguments:
        return [], arguments
    i = arguments.index("--config")
    if i + 1 == len(arguments):
        raise InputError("--config needs a YAML file")
    path = arguments[i + 1]
    check_yaml(path)
    config = Yaml(path, must_exist=True, search_parents=False, use_commands_as_keys=False)
    return [config], arguments[:i] + arguments[i + 2 :]


def check_yaml(path: str) -> None:
    """Raise InputError where a file is missing or is no YAML mapping."""
    import yaml

    try:
        with open(path) as file:
            content = yaml.safe_load(file)
    except OSError as error:
        raise InputError(f"--config {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"--config {path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise InputError(f"--config {path} holds no options; write one a line, such as `batch: 64`")


@app.command
def fit(
    model: Annotated[str, Parameter(help="a name from `genloom models`")],
    data: Data,
    out: Out,
    *,
    preset: Annotated[str, Parameter(help="paper, modern or tiny")] = "paper",
    hyper: Annotated[dict[str, str] | None, Parameter(help="--hyper.NAME V; `genloom models MODEL` lists them")] = None,
    conditional: Annotated[bool, Parameter(help="the same as --hyper.conditional true")] = False,
    examples: Annotated[str | None, Parameter(help="stop after so many examples: 50000, 500k, 2M")] = None,
    minutes: Annotated[float | None, Parameter(help="stop after so many minutes (10 where nothing is said)")] = None,
    size: Annotated[int | None, Parameter(help="height and width to crop and resize to")] = None,
    channels: Annotated[Literal[1, 3, 4] | None, Parameter(help="1 grey, 3 colour, 4 with transparency")] = None,
    flip: Annotated[bool, Parameter(help="mirror half of the pictures")] = False,
    squeeze: Annotated[bool, Parameter(help="resize without cutting the middle out")] = False,
    skip_broken: Annotated[bool, Parameter(help="leave out pictures that cannot be read")] = False,
    batch: int | None = None,
    micro: Annotated[int | None, Parameter(help="most examples held at once; the rest is accumulated")] = None,
    seed: int = 0,
    threads: int | None = None,
    device: Annotated[str, Parameter(help="auto, cpu, cuda, mps")] = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    compile: Annotated[bool, Parameter(help="torch.compile the networks")] = False,
    processes: Annotated[int, Parameter(help="processes on this machine, which share every batch")] = 1,
    save_every: Annotated[float, Parameter(help="seconds between checkpoints")] = 60.0,
    stop_when: Annotated[Literal["plateau"] | None, Parameter(help="plateau: once the light judge sees no progress")] = None,
    start: Annotated[str | None, Parameter(name="--from", help="a run whose weights and options to start from")] = None,
    dry_run: Annotated[bool, Parameter(help="print the resolved options and stop")] = False,
    quiet: Annotated[bool, Parameter(help="print nothing but errors")] = False,
) -> int:
    """Train a model on data into a run folder; the same command goes on with it."""
    from genloom.cli.fit import fit_command, run_processes
    from genloom.train.session import Request, prepare

    if processes < 1:
        raise InputError(f"--processes takes a number from 1 on, got {processes}")
    request = Request(
        model, data, out, preset=preset, hyper={**(hyper or {}), **({"conditional": True} if conditional else {})},
        examples=count(examples), minutes=minutes, size=size, channels=channels, flip=flip, crop=not squeeze,
        skip_broken=skip_broken, batch=batch, micro=micro, seed=seed, threads=threads, device=device,
        precision=precision, compile=compile, save_every=save_every, stop_when=stop_when, start=start,
    )  # fmt: skip
    if processes > 1 and "WORLD_SIZE" not in os.environ:  # a config file says it to the started processes too
        prepare(request).check_run(processes)  # what is wrong shows here, once
        return run_processes(processes)
    return fit_command(request, dry_run=dry_run, quiet=quiet)


def count(text: str | None) -> int | None:
    """Read `50000`, `500k` or `2M`."""
    if text is None:
        return None
    scale = {"k": 1e3, "K": 1e3, "m": 1e6, "M": 1e6}.get(text[-1:], 1)
    try:
        value = int(float(text.rstrip("kKmM").replace("_", "").replace(",", "")) * scale)
    except (ValueError, OverflowError):
        value = 0
    if value < 1:
        raise InputError(f"--examples takes a number such as 50000, 500k or 2M, got {text!r}")
    return value


@app.command
def sample(
    run: RunFolder,
    *,
    n: Annotated[int, Parameter(name=["-n", "--n"], help="how many")] = 64,
    out: Annotated[str | None, Parameter(name=["-o", "--out"], help=".png one grid, .npy an array, a/ one PNG each")] = None,
    each: Annotated[str | None, Parameter(help="a folder for one PNG each")] = None,
    seed: int = 0,
    label: Annotated[str | None, Parameter(help="a class, by name or number")] = None,
    checkpoint: Checkpoint = "last",
    temperature: Annotated[float, Parameter(help="scale of the noise")] = 1.0,
    method: Annotated[Literal["cached", "naive"] | None, Parameter(help="of models of pixels; both draw the same")] = None,
) -> None:
    """Draw samples from a run."""
    from genloom.cli.pixels import load_watched
    from genloom.use.sampling.draw import draw, write

    targets = [target for target in (out, each and each.rstrip("/") + "/") if target]
    if not targets:
        raise InputError("sample needs -o FILE.png, FILE.npy or FOLDER/, or --each FOLDER")
    model = load_watched(run, checkpoint)
    samples = draw(model, n, seed, label, temperature, method)
    for target in targets:
        print(f"{n} samples in {write(model, samples, target)}")


Features = Annotated[
    Literal["classifier", "inception", "dinov2", "pixels", "random"] | None,
    Parameter(help="what distances are taken between; classifier where there are labels, else random"),
]
Test = Annotated[str | None, Parameter(help="pictures never trained on, where the data has no test split")]
Weights = Annotated[str | None, Parameter(help="file or folder of published feature weights")]
Fetch = Annotated[bool, Parameter(help="fetch the weights of dinov2 over the network")]
Count = Annotated[int | None, Parameter(name=["-n", "--n"], help="samples; 10,000 or as many as training pictures")]


@app.command
def judge(
    run: RunFolder,
    data: Annotated[str | None, Parameter(help="the pictures it was trained on, where they have moved")] = None,
    *,
    n: Count = None,
    out: Annotated[str | None, Parameter(name=["-o", "--out"], help="a .json; a page is written beside it")] = None,
    features: Features = None,
    test: Test = None,
    checkpoint: Checkpoint = "last",
    seed: int = 0,
    weights: Weights = None,
    fetch: Fetch = False,
    record: Annotated[str | None, Parameter(help="write docs/evidence/NAME.json too")] = None,
) -> None:
    """Judge a run's samples against real pictures: quality, variety, copies, with intervals and baselines."""
    from genloom.cli.judge import judge_command

    judge_command(run, data, out, record, n=n, features=features, test=test, checkpoint=checkpoint, seed=seed,
                  weights=weights, fetch=fetch)  # fmt: skip


@app.command
def compare(
    *runs: RunFolder,
    data: Annotated[str | None, Parameter(help="what to judge all by, where they were trained on different data")] = None,
    n: Count = None,
    out: Annotated[str, Parameter(name=["-o", "--out"], help="the page; its figures are written beside it as .json")] = (
        "compare.html"
    ),
    features: Features = None,
    test: Test = None,
    checkpoint: Checkpoint = "last",
    seed: int = 0,
    weights: Weights = None,
    fetch: Fetch = False,
) -> None:
    """Judge several runs, of any family, by the same pictures and seeds: one table and one page."""
    from genloom.cli.judge import compare_command

    compare_command(runs, data, out, n=n, features=features, test=test, checkpoint=checkpoint, seed=seed,
                    weights=weights, fetch=fetch)  # fmt: skip


@app.command
def walk(
    run: RunFolder,
    out: Out,
    *,
    seeds: Annotated[str, Parameter(help="where to walk, in a circle: seeds with commas")] = "1,2,3,4",
    frames: Annotated[int, Parameter(help="pictures between two seeds")] = 24,
    label: str | None = None,
    arithmetic: Annotated[str | None, Parameter(help="'3 - 8 + 12' or '(1,2,3) - (4,5,6) + (7,8,9)'")] = None,
    axes: Annotated[bool, Parameter(help="a PNG of each axis of the code, by its KL")] = False,
    reconstructions: Annotated[bool, Parameter(help="a PNG of pictures, each beside what its code gives back")] = False,
    manifold: Annotated[bool, Parameter(help="a PNG of all pictures of a code of two axes")] = False,
    data: Annotated[str | None, Parameter(help="pictures to encode; left out, the run's own")] = None,
    checkpoint: Checkpoint = "last",
) -> None:
    """Walk through the latent space into a GIF, add and subtract codes, or look at what an encoder's codes hold."""
    from genloom.cli.draw import walk_command

    if axes + reconstructions + manifold > 1:
        raise InputError("walk takes one of --axes, --reconstructions and --manifold at a time")
    if axes or reconstructions or manifold:
        from genloom.cli.codes import codes_command

        codes_command(run, out, "axes" if axes else "reconstructions" if reconstructions else "manifold", data, checkpoint)
        return
    walk_command(run, out, seeds, frames, label, arithmetic, checkpoint)


@app.command
def show(run: RunFolder, *, out: Annotated[str | None, Parameter(name=["-o", "--out"], help="a PNG")] = None) -> None:
    """Show a run: where it stands, its curves and its grids."""
    from genloom.cli.draw import show_command

    show_command(run, out)


@app.command
def check(
    data: Data,
    *,
    out: Annotated[str, Parameter(name=["-o", "--out"], help="the contact sheet")] = "check.png",
    size: int | None = None,
    channels: Literal[1, 3, 4] | None = None,
    squeeze: bool = False,
    split: Literal["train", "test"] = "train",
) -> None:
    """Examine a data set: counts, sizes, classes, broken files, copies, which models fit; and a contact sheet."""
    from genloom.cli.draw import check_command

    check_command(data, out, size, channels, squeeze, split)


@app.command
def certify(run: RunFolder, *, checkpoint: Checkpoint = "last") -> int:
    """Prove what a likelihood model claims: causal, normalised, sampled as scored. Exit 0 only if all of it holds."""
    from genloom.cli.pixels import certify_command

    return certify_command(run, checkpoint)


@app.command
def compress(
    run: RunFolder,
    source: Annotated[str, Parameter(help="a picture, an .npy of several, or a .glz to take apart again")],
    *,
    out: Out,
    label: Annotated[str | None, Parameter(help="a class, by name or number")] = None,
    checkpoint: Checkpoint = "last",
) -> None:
    """Compress pictures without loss by a model of pixels, into as many bits as it finds them unlikely; and back."""
    from genloom.cli.pixels import compress_command

    compress_command(run, source, out, label, checkpoint)


@app.command
def probe(
    run: RunFolder,
    data: Annotated[str | None, Parameter(help="labelled data; left out, the run's own")] = None,
    *,
    labels: Annotated[str | None, Parameter(help="how many are known; 100,600,1000,3000 as far as the data goes")] = None,
    seeds: Annotated[int, Parameter(help="draws of the labelled examples")] = 10,
    unlabelled: Annotated[int, Parameter(help="training pictures over which labels propagate")] = 20_000,
    fine_tune: Annotated[bool, Parameter(help="also train copies of the encoder on the labels")] = False,
    out: Annotated[str | None, Parameter(name=["-o", "--out"], help="a PNG of the curves")] = None,
    checkpoint: Checkpoint = "last",
    record: Annotated[str | None, Parameter(help="write docs/evidence/NAME.json too")] = None,
) -> None:
    """Study what an encoder's codes are worth with a few labels, beside raw pixels, PCA and an untrained encoder."""
    from genloom.cli.probe import probe_command

    probe_command(run, data, labels, seeds, unlabelled, fine_tune, out, checkpoint, record)


@app.command
def complete(
    run: RunFolder,
    picture: Annotated[str, Parameter(help="a picture of the model's size")],
    *,
    known: Annotated[
        str, Parameter(help="top-half, left-half, ..., or a picture whose white pixels are known")
    ] = "top-half",
    n: Annotated[int, Parameter(name=["-n", "--n"], help="completions")] = 8,
    out: Annotated[str, Parameter(name=["-o", "--out"])] = "complete.png",
    seed: int = 0,
    label: Annotated[str | None, Parameter(help="a class, by name or number")] = None,
    checkpoint: Checkpoint = "last",
) -> None:
    """Fill in the unknown part of a picture, several times; known pixels stay as they are."""
    from genloom.cli.pixels import complete_command

    complete_command(run, picture, known, n, out, seed, label, checkpoint)


app.command("genloom.cli.tables:repair", name="repair", help="Fill the holes of a table with values like its usual ones.")


@app.command
def models(model: Annotated[str | None, Parameter(help="show its hyper-parameters")] = None) -> None:
    """List the models, or the hyper-parameters of one."""
    from genloom.cli.draw import models_command

    models_command(model)


@app.command
def lesson(
    name: Annotated[Literal["line"], Parameter(help="line: the GAN paper's first figure")],
    out: Out = "line.gif",
    *,
    examples: str = "1500k",
    frames: int = 60,
    seed: int = 0,
) -> None:
    """Draw a small game while it is learnt."""
    from genloom.cli.draw import lesson_command

    lesson_command(out, count(examples) or 1, frames, seed)


@app.command
def demo(
    out: Annotated[str, Parameter(name=["-o", "--out"])] = "runs/demo",
    *,
    seconds: Annotated[float, Parameter(help="how long to train, all three")] = 70.0,
    seed: int = 0,
) -> int:
    """Train a GAN, a VAE and a PixelCNN on real handwritten digits, with no download, and compare them; two minutes."""
    from genloom.cli.demo import demo_command

    return demo_command(out, seconds, seed)


@app.command
def doctor() -> None:
    """Examine this machine: versions, processor, precision, cache, optional packages."""
    from genloom.cli.draw import doctor_command

    doctor_command()
