"""The server: what it answers is what the commands give, alone and among others; what it refuses, in one sentence."""

import asyncio
import contextlib
import csv
import io
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("fastapi")
from starlette.testclient import TestClient

import genloom
from genloom.cli.app import run as command
from genloom.core.random import Noise
from genloom.errors import InputError
from genloom.use.export.entries import Entry
from genloom.use.export.functions import functions_of
from genloom.use.export.graphs import examples
from genloom.use.serving.app import Settings, application
from genloom.use.serving.bodies import chosen_type
from genloom.use.serving.queue import Busy, Late, Queue
from genloom.use.serving.served import Loaded, Served, all_served, by_rows
from genloom.use.serving.server import is_loopback, token_of
from genloom.use.serving.service import Service
from genloom.use.translation.translate import Wishes, translated
from test_export import ready
from test_models import build

JSON = {"content-type": "application/json"}
PNG = {"content-type": "image/png"}
CSV = {"content-type": "text/csv"}


class Held(Served):
    """A model that no run holds, as one that is served."""

    def __init__(self, name, model):
        functions = {each.name: each for each in functions_of(model) if isinstance(each, Entry)}
        self.name, self.loaded = name, Loaded(name, model, "1", functions)

    def newer(self):
        return False


def client(models, **settings):
    said = Settings(**settings)
    held = {name: Held(name, model) for name, model in models.items()}
    service = Service(held, said.rows, said.bound, said.seconds)
    return TestClient(application(service, said, lambda text: None), raise_server_exceptions=False)


def picture(x):
    held = io.BytesIO()
    pixels = (x.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(held, "PNG")
    return held.getvalue()


def pixels(content):
    x = torch.from_numpy(np.array(Image.open(io.BytesIO(content))))
    return (x[None] if x.ndim == 2 else x.permute(2, 0, 1)).float() / 255


@pytest.fixture(scope="module")
def both():
    """Return a client of two models that draw, and the models."""
    models = {"digits": ready(build("dcgan")), "rows": ready(build("gain")), "pixels": ready(build("pixelcnn"))}
    with client(models) as found:
        yield found, models


# -- samples ---------------------------------------------------------------------------------------


def test_samples_are_those_of_sample(both):
    server, models = both
    found = server.post("/sample", json={"n": 20, "seed": 3, "model": "digits"}, headers={"accept": "application/json"})
    assert found.status_code == 200 and found.headers["x-model"] == "digits" and found.json()["version"] == "1"
    wanted = models["digits"].sample(20, noise=Noise.of(3, 20))
    np.testing.assert_allclose(np.array(found.json()["samples"]), wanted.numpy(), atol=1e-5)
    found = server.post("/sample", json={"n": 5, "seed": 3, "model": "pixels"}, headers={"accept": "application/x-npy"})
    np.testing.assert_array_equal(
        np.load(io.BytesIO(found.content)), models["pixels"].sample(5, noise=Noise.of(3, 5)).numpy()
    )
    sheet = server.post("/sample", json={"n": 4, "model": "digits"})
    assert sheet.headers["content-type"] == "image/png" and Image.open(io.BytesIO(sheet.content)).size[0] > 16


def test_the_same_seed_gives_the_same_bytes_whatever_else_is_asked(both):
    server, _ = both
    asked = [{"n": n, "seed": seed, "model": "digits"} for seed in range(6) for n in (1, 3, 7, 16, 17, 40)]

    def get(body):
        return server.post("/sample", json=body, headers={"accept": "application/x-npy"}).content

    def batches():
        return float(re.search(r"genloom_batch_rows_count ([\d.]+)", server.get("/metrics").text)[1])

    begun = batches()
    alone = [get(body) for body in asked]
    one_by_one = batches() - begun
    with ThreadPoolExecutor(16) as pool:
        for _ in range(3):
            begun = batches()
            assert list(pool.map(get, asked)) == alone
            assert batches() - begun < one_by_one  # some went together
    # A sample is the same in a request for more of them.
    long, short = (np.load(io.BytesIO(get({"n": n, "seed": 0, "model": "digits"}))) for n in (40, 7))
    np.testing.assert_array_equal(long[:7], short)


@pytest.mark.parametrize("name", ["gan", "vae", "icgan", "r3gan", "progan", "feature_matching", "timegan", "music", "line"])
def test_a_row_hangs_on_itself_alone(name):
    from genloom.use.serving.served import Draw, drawing

    model = ready(build(name))
    work = drawing(model, 16, 1.0)

    def draw(seed, n):
        labels = torch.arange(n) % len(model.shape.classes) if model.conditional else None
        return Draw(Noise.of(seed, n), labels)

    alone = work([draw(5, 3)])[0]
    for others in ([draw(1, 13)], [draw(1, 1), draw(2, 5), draw(3, 7)]):
        for place in range(len(others) + 1):
            asked = [*others[:place], draw(5, 3), *others[place:]]
            assert torch.equal(work(asked)[place], alone)


def test_types_are_chosen_by_what_is_accepted():
    offered = ("image/png", "application/json")
    for accept, wanted in (
        ("", "image/png"),
        ("*/*", "image/png"),
        ("application/json", "application/json"),
        ("text/html", ""),
        ("image/*", "image/png"),
        ("image/png;q=0.1, application/json;q=.9", "application/json"),
        ("text/html, application/json", "application/json"),
        ("image/png;q=0, */*", "application/json"),
        ("image/png;q=0", ""),
        ("application/*;q=x", "application/json"),
    ):
        assert chosen_type(accept, offered) == wanted, accept


def test_labels_and_other_kinds_of_samples():
    music = ready(build("music"))
    with client({"cgan": ready(build("cgan"))}) as server:
        found = server.post("/sample", json={"n": 2, "label": "3"}, headers={"accept": "application/json"})
        wanted = ready(build("cgan")).sample(2, torch.tensor([3, 3]), noise=Noise.of(0, 2))
        np.testing.assert_allclose(np.array(found.json()["samples"]), wanted.numpy(), atol=1e-5)
        assert server.post("/sample", json={"label": "x"}).status_code == 422
    with client({"music": music}) as server:
        found = server.post("/sample", json={"n": 1})
        assert found.headers["content-type"] == "audio/midi" and found.content[:4] == b"MThd"
    with client({"line": ready(build("line"))}) as server:
        found = server.post("/sample", json={"n": 3}, headers={"accept": "application/json"}).json()
        assert len(found["samples"]) == 3


# -- pictures, rows --------------------------------------------------------------------------------


def test_pictures_are_turned_as_the_commands_turn_them(both):
    server, models = both
    x = (torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 16).round() / 16
    found = server.post("/complete?known=top-half&seed=4", content=picture(x[0]), headers=PNG)
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[:4] = True
    pair, pix, larger = (ready(build(name)) for name in ("cyclegan", "pix2pix", "srgan"))
    wanted = models["pixels"].complete((x * 255).round() / 255, mask, Noise.of(4, 1))
    assert torch.equal(pixels(found.content), (wanted[0] * 255).round() / 255)
    colours = torch.rand(3, 12, 16, generator=torch.Generator().manual_seed(1))
    colours = (colours * 255).round() / 255
    with client({"pair": pair, "pix": pix, "larger": larger}) as server:
        found = server.post("/translate?model=pair&to=A", content=picture(colours), headers=PNG)
        made = translated(pair, colours[None], "A", Noise.of(0, 1), Wishes()).clamp(0, 1)[0]
        assert (pixels(found.content) - made).abs().max() <= 0.5 / 255 + 1e-6
        found = server.post("/upscale", content=picture(colours), headers=PNG | {"accept": "image/jpeg"})
        assert found.headers["content-type"] == "image/jpeg" and Image.open(io.BytesIO(found.content)).size == (64, 48)
        assert "say which model" in server.post("/translate", content=picture(colours), headers=PNG).json()["error"]
    with client({"matching": ready(build("feature_matching"))}) as server:
        found = server.post("/classify", content=picture(torch.rand(1, 8, 8)), headers=PNG).json()["probability"]
        assert abs(sum(found.values()) - 1) < 1e-5 and len(found) == 10


def test_rows_are_filled_in(both):
    server, models = both
    model = models["rows"]
    rows = [{"a": 0.5, "b": "z", "c": None}, {"a": None, "b": "", "c": "1971-01-01"}]
    found = server.post("/impute", json=rows)
    x, mask = (
        torch.tensor([[0.5, 2.0, 0.0], [0.0, 0.0, 31536000 / 1e7]]),
        torch.tensor([[True, True, False], [False, False, True]]),
    )
    wanted = model.shape.decode(model.impute(x, mask))
    filled = found.json()
    assert filled[0]["a"] == 0.5 and filled[0]["b"] == "z" and filled[1]["c"] == "1971-01-01"
    assert filled[0]["c"] == str(np.datetime64(round(wanted["c"][0]), "s")) and filled[1]["b"] == wanted["b"][1]
    assert len(server.post("/impute", content="a,b,c\n0.5,z,\n,,\n\n1,x,\n", headers=CSV).text.splitlines()) == 4
    text = "a,b,c\n0.5,z,\n,,1971-01-01\n"
    found = server.post("/impute?draws=3&seed=1", content=text, headers=CSV)
    lines = list(csv.DictReader(io.StringIO(found.text)))
    assert len(lines) == 8 and all(line["a"] == "0.5" for line in lines[:4]) and len({line["c"] for line in lines[:4]}) > 1
    alone = server.post("/impute?draws=3&seed=1", content="a,b,c\n0.5,z,\n", headers=CSV)
    assert alone.text.splitlines() == found.text.splitlines()[:5]


# -- the protocol ----------------------------------------------------------------------------------


def test_each_function_by_the_protocol(both):
    server, models = both
    assert set(server.get("/v2").json()["models"]) >= {"digits", "digits.generate", "rows.impute", "pixels.next_row"}
    for name, model in models.items():
        for entry in (each for each in functions_of(model) if isinstance(each, Entry)):
            told = server.get(f"/v2/models/{name}.{entry.name}/versions/1").json()
            given = examples(entry, (3, 1, 1))
            inputs = []
            for port, x in zip(told["inputs"], given, strict=True):
                about = {each: port[each] for each in ("name", "datatype")}
                inputs.append(about | {"shape": list(x.shape), "data": x.tolist() if x.ndim else [x.item()]})
            found = server.post(f"/v2/models/{name}.{entry.name}/infer", json={"id": "7", "inputs": inputs})
            assert found.status_code == 200, found.text
            assert found.json()["id"] == "7" and found.json()["model_version"] == "1"
            wanted = entry.call(*given)
            for a, b in zip(found.json()["outputs"], wanted if isinstance(wanted, tuple | list) else (wanted,), strict=True):
                assert a["shape"] == list(b.shape)
                np.testing.assert_allclose(a["data"], b.flatten().detach().numpy(), atol=2e-5, rtol=1e-5)
    assert server.get("/v2/health/live").json() == {"live": True} and server.get("/v2/health/ready").status_code == 200
    assert server.get("/v2/models/digits/ready").json() == {"name": "digits", "ready": True}
    assert server.get("/v2/models/digits").json()["inputs"][0]["shape"] == [-1, 16]


def test_what_the_protocol_refuses(both):
    server, _ = both
    good = {"name": "z", "datatype": "FP32", "shape": [1, 16], "data": [0.0] * 16}
    for change, status, sentence in (
        ({"name": "y"}, 422, "takes no 'y', but z"),
        ({"datatype": "BYTES"}, 422, "z takes FP32"),
        ({"shape": [1, 15]}, 422, "has 16 numbers, and its shape says 15"),
        ({"shape": [2, 8]}, 422, "is to have [-1, 16]"),
        ({"shape": [16]}, 422, "is to have [-1, 16]"),
        ({"shape": [-1, 16]}, 422, "inputs.0.shape.0"),
        ({"shape": [2**62] * 9}, 422, "inputs.0.shape"),
        ({"data": ["a" * 2000] + [1] * 3000}, 422, "what is no FP32"),
        ({"data": [True] * 16}, 422, "what is no FP32"),
        ({"parameters": {"binary_data_size": 64}}, 422, "numbers in JSON alone"),
        ({"datatype": "INT64", "data": [0.5] * 16}, 422, "what is no INT64"),
        ({"shape": [0, 16], "data": []}, 422, "multiples of 1 from 1 on"),
        ({"data": ["x"] * 16}, 422, "what is no FP32"),
        ({"data": [[1], [2, 3]]}, 422, "has 3 numbers, and its shape says 16"),
        ({"data": [1e39] * 16}, 422, "outside of"),
        ({"shape": [100_000, 100_000], "data": []}, 422, "its shape says 10,000,000,000"),
        ({"shape": "x"}, 422, "inputs.0.shape"),
    ):
        found = server.post("/v2/models/digits/infer", json={"inputs": [good | change]})
        assert found.status_code == status and sentence in found.json()["error"], found.text
    body = json.dumps({"inputs": [good]}).replace("0.0", "NaN", 1)
    assert "outside of" in server.post("/v2/models/digits/infer", content=body, headers=JSON).json()["error"]
    for path, status in (("none", 404), ("digits.none", 404), ("digits/versions/9", 404)):
        assert server.post(f"/v2/models/{path}/infer", json={"inputs": [good]}).status_code == status
    twice = server.post("/v2/models/digits/infer", json={"inputs": [good, good]})
    assert "two inputs have one name" in twice.json()["error"]
    many = [good | {"shape": [1025, 16], "data": [0.0] * 16 * 1025}]
    assert server.post("/v2/models/digits/infer", json={"inputs": many}).status_code == 413
    odd = server.post("/v2/models/digits/infer", json={"inputs": [good], "outputs": [{"name": "w"}]})
    assert "gives no 'w', but x" in odd.json()["error"]


# -- refusals --------------------------------------------------------------------------------------

BOMB = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (60000).to_bytes(4, "big") * 2 + b"\x08\0\0\0\0" + b"\0" * 400


def test_bad_requests_are_one_sentence(both):
    server, _ = both
    for path, sent, status, sentence in (
        ("/sample", {"json": {"n": 0, "model": "digits"}}, 422, "n: "),
        ("/sample", {"json": {"n": 100_000, "model": "digits"}}, 413, "at most 1024"),
        ("/sample", {"json": {"n": True, "model": "digits"}}, 422, "n: "),
        ("/sample", {"json": {"n": "4", "model": "digits"}}, 422, "n: "),
        ("/sample", {"json": {"seed": 2**64, "model": "digits"}}, 422, "seed: "),
        ("/sample", {"content": '{"temperature": NaN, "model": "digits"}', "headers": JSON}, 422, "temperature: "),
        ("/sample", {"json": {"label": "3", "model": "digits"}}, 422, "without labels"),
        ("/sample", {"json": {"path": "/etc/passwd", "model": "digits"}}, 422, "path: "),
        ("/sample", {"json": {}}, 422, "say which model"),
        ("/sample", {"json": {"model": "rows"}}, 404, "no model 'rows' does that"),
        ("/sample", {"content": "{", "headers": JSON}, 422, "JSON"),
        ("/sample", {"content": b"\xff\xfe", "headers": JSON}, 422, "no JSON"),
        ("/sample", {"json": {"model": "digits"}, "headers": {"accept": "text/html"}}, 406, "can be had as image/png"),
        ("/complete", {"content": b"", "headers": PNG}, 422, "the body is empty"),
        ("/complete", {"content": b"GIF", "headers": {"content-type": "text/plain"}}, 415, "Content-Type says text/plain"),
        ("/complete", {"content": b"no picture", "headers": PNG}, 422, "body.png"),
        ("/complete", {"content": BOMB, "headers": PNG}, 422, "body.png"),
        ("/complete?known=/etc/passwd", {"content": b"x", "headers": PNG}, 422, "known: "),
        ("/complete?n=1000", {"content": b"x", "headers": PNG}, 422, "n: "),
        ("/impute", {"json": [{"a": "much"}]}, 422, "row 1, a: 'much' is no number"),
        ("/impute", {"json": [{"a": "1_0"}]}, 422, "row 1, a: '1_0' is no number"),
        ("/impute", {"json": [{"c": "soon"}]}, 422, "row 1, c: 'soon' is no date"),
        ("/impute", {"json": [{"other": 1}]}, 422, "no column 'other', but a, b, c"),
        ("/impute", {"json": [{"a": 1, " a": 2}]}, 422, "a column comes twice"),
        ("/impute", {"json": [{"b": "w"}]}, 422, "no category 'w', but x, y, z"),
        ("/impute", {"json": [{"a": 1e300}]}, 422, "beyond all that was seen"),
        ("/impute", {"json": [{"a": 1}] * 1025}, 413, "at most 1024 rows"),
        ("/impute", {"content": ",".join(map(str, range(10**5))) + "\n1" * 700, "headers": CSV}, 422, "no column '0'"),
        ("/impute", {"json": [{"a": [1]}]}, 422, "row 1"),
        ("/impute", {"json": []}, 422, "a list of rows"),
        ("/impute", {"content": "[" * 100_000, "headers": JSON}, 422, "no JSON"),
        ("/impute", {"content": b"a,b\n\xff,1\n", "headers": CSV}, 422, "no CSV file in UTF-8"),
        ("/impute", {"content": b"a\n1,2\n", "headers": CSV}, 422, "more cells"),
        ("/impute", {"content": b"", "headers": CSV}, 422, "has no rows"),
        ("/nowhere", {}, 404, "there is nothing at this address"),
    ):
        found = server.post(path, **sent)
        assert found.status_code == status, (path, sent, found.text)
        said = found.json()["error"]
        assert sentence in said and "/tmp" not in said and len(said) < 600, (path, said)
    assert server.get("/sample").status_code == 405 and server.head("/v2/health/live").status_code == 200
    assert "curl" in server.get("/").text and "/complete" in server.get("/").text
    for address in ("/docs", "/redoc"):  # whose pages would ask other hosts
        assert server.get(address).status_code == 404
    assert "/sample" in server.get("/openapi.json").json()["paths"]


def test_what_stands_before_requests():
    with client({"line": ready(build("line"))}, token="a" * 20, largest=1000) as server:
        assert server.get("/v2/health/live").status_code == 200
        for token in ("", "Bearer b", "Basic " + "a" * 20):
            found = server.post("/sample", headers={"authorization": token})
            assert found.status_code == 401 and found.headers["www-authenticate"] == "Bearer"
        bearer = {"authorization": "Bearer " + "a" * 20}
        assert server.post("/sample", headers=bearer).status_code == 200
        assert server.post("/sample", content=b"x" * 2000, headers=bearer).status_code == 413

        def parts():  # whose length nobody says beforehand
            yield from (b" " * 300 for _ in range(10))

        found = server.post("/sample", content=parts(), headers=bearer | JSON)
        assert found.status_code == 413 and "larger than 0.001 MB" in found.json()["error"]
        assert server.get("/metrics", headers=bearer | {"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
        odd = server.get("/metrics", headers=bearer | {"x-request-id": "a b"}).headers["x-request-id"]
        assert len(odd) == 32
        text = server.get("/metrics", headers=bearer).text
        assert 'genloom_requests_total{route="/sample",status="200"} 1.0' in text
        assert 'genloom_model{model="line",version="1"} 1.0' in text and "genloom_batch_rows_bucket" in text


# -- the queue -------------------------------------------------------------------------------------


def test_a_batch_is_of_what_waits_and_what_is_too_much_is_refused():
    sizes, gate = [], threading.Event()

    def work(asked):
        gate.wait(5)
        sizes.append(len(asked))
        return [2 * each for each in asked]

    async def play():
        queue = Queue(bound=8, rows=4, seconds=5)
        first = asyncio.ensure_future(queue.ask(work, 0, 1, "a"))
        await asyncio.sleep(0.1)  # it is being done
        others = [asyncio.ensure_future(queue.ask(work, i, 1, "a")) for i in range(1, 6)]
        apart = asyncio.ensure_future(queue.ask(work, 10, 1, "b"))
        large = asyncio.ensure_future(queue.ask(work, 20, 4, "a"))
        await asyncio.sleep(0.1)
        gone = asyncio.ensure_future(queue.ask(work, 30, 1, "a"))
        await asyncio.sleep(0)
        with pytest.raises(Busy) as refused:
            await queue.ask(work, 40, 1, "a")
        assert refused.value.seconds >= 1
        gone.cancel()  # its client is gone: it is never done
        await asyncio.sleep(0.05)
        gate.set()
        assert await asyncio.gather(first, *others, apart, large) == [0, 2, 4, 6, 8, 10, 20, 40]
        queue.close()
        with pytest.raises(Busy):
            await queue.ask(work, 1)

    asyncio.run(play())
    assert sorted(sizes) == [1, 1, 1, 1, 4]


def test_one_bad_job_spoils_no_other_and_late_ones_are_told():
    def work(asked):
        time.sleep(0.2)
        if 3 in asked:
            raise InputError("three is bad")
        return asked

    async def play():
        queue = Queue(bound=8, rows=4, seconds=0.3)
        first = asyncio.ensure_future(queue.ask(work, 0, 1, "a"))
        await asyncio.sleep(0.05)
        found = await asyncio.gather(*(queue.ask(work, i, 1, "a") for i in (1, 3, 4)), return_exceptions=True)
        assert await first == 0 and found[0] == 1 and found[2] == 4 and isinstance(found[1], InputError)
        slow = asyncio.ensure_future(queue.ask(work, 0, 4, "b"))
        await asyncio.sleep(0)
        late = await asyncio.gather(*(queue.ask(work, 1, 4, "b") for _ in range(3)), return_exceptions=True)
        assert await slow == 0 and isinstance(late[-1], Late)
        queue.close()

    asyncio.run(play())


def test_whatever_a_job_does_the_thread_goes_on_and_the_gone_hold_no_place():
    def ends(asked):
        raise SystemExit(3)

    def few(asked):
        return []

    async def play():
        queue = Queue(bound=2, rows=4, seconds=5)
        for work in (ends, few):
            with pytest.raises(RuntimeError):
                await queue.ask(work, 1)
        assert queue.thread.is_alive() and await queue.ask(lambda asked: asked, 7) == 7
        gate = threading.Event()
        first = asyncio.ensure_future(queue.ask(lambda asked: gate.wait(5) and asked, 1))
        await asyncio.sleep(0.1)
        gone = [asyncio.ensure_future(queue.ask(lambda asked: asked, i)) for i in range(2)]
        await asyncio.sleep(0.05)
        for each in gone:
            each.cancel()
        await asyncio.sleep(0.05)
        last = asyncio.ensure_future(queue.ask(lambda asked: asked, 8))  # which the gone would keep out
        await asyncio.sleep(0.05)
        gate.set()
        assert await first == 1 and await last == 8
        queue.close()

    asyncio.run(play())


# -- the server itself -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    return {
        "digits": genloom.fit("dcgan", "digits", place / "digits", preset="tiny", examples=512, threads=1),
        "pixels": genloom.fit("pixelcnn", "digits", place / "pixels", preset="tiny", examples=256, threads=1),
    }


def started(*arguments, files=None):
    """Start a server in a process of its own, with so many files that it may open; return the process and its address."""
    code = [sys.executable, "-m", "genloom", "serve", *map(str, arguments), "--port", "0"]
    limit = None if files is None else lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    said = os.environ | {"COLUMNS": "300"}
    process = subprocess.Popen(code, stderr=subprocess.PIPE, text=True, env=said, preexec_fn=limit)
    for line in process.stderr:
        if "genloom serves" in line:
            return process, line.split(" at ")[1].split(",")[0].split(";")[0].strip()
    raise AssertionError(process.wait())


@pytest.mark.slow
def test_a_newer_checkpoint_is_taken_up(trained):
    run = trained["digits"]
    service = Service(all_served([f"d={run.folder}"]), 16, 64, 60.0)
    with TestClient(application(service, Settings(every=0.1), lambda text: None)) as server:
        before = server.post("/sample", json={"n": 2}, headers={"accept": "application/x-npy"})
        genloom.fit("dcgan", "digits", run.folder, preset="tiny", examples=1024, threads=1)
        end = time.monotonic() + 20
        while server.get("/v2/models/d").json()["versions"] == [before.headers["x-model-version"]]:
            assert time.monotonic() < end
            time.sleep(0.05)
        after = server.post("/sample", json={"n": 2}, headers={"accept": "application/x-npy"})
    wanted = genloom.load(run).sample(2, noise=Noise.of(0, 2))
    np.testing.assert_allclose(np.load(io.BytesIO(after.content)), wanted.numpy(), atol=1e-5)
    assert after.content != before.content


def test_a_checkpoint_that_cannot_be_loaded_is_told_once_and_the_one_before_stays():
    held, said = Held("m", build("line")), []
    held.run, held.told, held.tries = held, "", 0
    held.checkpoint = lambda name: type("Folder", (), {"name": "2"})

    def load():
        held.tries += 1
        raise OSError("it is cut short")

    held.newer, held.load = (lambda: True), load
    service = Service({"m": held}, 16, 64, 60.0)

    async def play():
        task = asyncio.ensure_future(service.follow(0.01, said.append))
        while held.tries < 4:
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(play())
    assert said == ["m: its newer checkpoints cannot be used: it is cut short"]
    assert service.ready and held.loaded.version == "1"
    service.queue.close()


@pytest.mark.slow
def test_sigterm_answers_what_was_taken_and_a_lost_client_costs_itself_alone(trained):
    process, address = started(trained["pixels"].folder, "--threads", "1")
    host, port = address.removeprefix("http://").split(":")
    body = json.dumps({"n": 600, "seed": 1}).encode()
    head = (
        f"POST /sample HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    with socket.create_connection((host, int(port))) as lost:
        lost.sendall(head + body)
        time.sleep(0.2)
    time.sleep(0.2)
    told = urllib.request.urlopen(f"{address}/metrics").read().decode()
    assert 'route="/sample",status="499"} 1.0' in told and "genloom_waiting 0.0" in told
    with ThreadPoolExecutor(2) as pool:
        request = urllib.request.Request(f"{address}/sample", json.dumps({"n": 200}).encode(), dict(JSON))
        answers = [pool.submit(lambda: urllib.request.urlopen(request, timeout=60).read()) for _ in range(2)]
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert all(each.result()[:4] == b"\x89PNG" for each in answers)
    assert process.wait(60) == 0
    process.stderr.close()


@pytest.mark.slow
def test_an_end_in_the_middle_of_what_nobody_waits_for_is_no_crash(trained):
    process, address = started(trained["pixels"].folder, "--threads", "1", "--batch", "8192")
    host, port = address.removeprefix("http://").split(":")
    body = json.dumps({"n": 1024}).encode()
    head = f"POST /sample HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, int(port))) as lost:
        lost.sendall(head.encode() + body)
        time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    process.stderr.close()


@pytest.mark.slow
def test_those_who_only_knock_keep_nobody_out(trained):
    process, address = started(trained["digits"].folder, files=640)
    host, port = address.removeprefix("http://").split(":")
    with contextlib.ExitStack() as held:
        for _ in range(700 if resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 1000 else 400):
            held.enter_context(socket.create_connection((host, int(port)))).sendall(b"POST /samp")
        for _ in range(3):
            assert urllib.request.urlopen(f"{address}/v2/health/ready", timeout=10).status == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert "Too many open files" not in process.stderr.read()
    process.stderr.close()


@pytest.mark.slow
def test_a_body_that_does_not_come_is_not_waited_for(trained):
    process, address = started(trained["digits"].folder, "--timeout", "1")
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(b"POST /sample HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
        assert slow.recv(1000).startswith(b"HTTP/1.1 408")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    process.stderr.close()


@pytest.mark.slow
def test_what_serve_refuses(trained, tmp_path, capsys):
    run = str(trained["digits"].folder)
    token, open_to_all = tmp_path / "token", tmp_path / "open"
    for path in (token, open_to_all):
        path.write_text("a" * 32)
    token.chmod(0o600)
    assert token_of(str(token)) == "a" * 32
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for arguments, sentence in (
            (["--port", str(taken.getsockname()[1])], "is in use"),
            (["--port", "70000"], "--port takes a number"),
            (["--host", "no.such.host.invalid"], "cannot listen on"),
            (["--host", "a..b"], "cannot listen on"),
            (["--token-file", str(open_to_all)], "can be read by others"),
            (["--token-file", str(tmp_path / "none")], "there is no such file"),
            (["--queue", "0"], "--queue takes a number"),
            (["--timeout", "0"], "--timeout takes a number"),
            (["--checkpoint", "99"], "99"),
        ):
            assert command(["serve", run, *arguments]) == 2, arguments
            assert sentence in " ".join(capsys.readouterr().err.split()), arguments
    assert command(["serve"]) == 2 and "takes run folders" in capsys.readouterr().err
    assert command(["serve", run, run]) == 2 and "two runs are named" in capsys.readouterr().err
    assert command(["serve", f"a b={run}"]) == 2 and "is no name for a model" in capsys.readouterr().err
    (tmp_path / "short").write_text("abc")
    (tmp_path / "short").chmod(0o600)
    with pytest.raises(InputError, match="one token of 16 to"):
        token_of(str(tmp_path / "short"))


def test_addresses_of_this_machine_alone():
    assert all(map(is_loopback, ("127.0.0.1", "::1", "localhost", "127.3.2.1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.org")))


def test_functions_that_go_row_by_row():
    models = [build(name) for name in ("vae", "srgan", "pixelcnn")]
    names = {each.name: by_rows(each) for model in models for each in functions_of(model) if isinstance(each, Entry)}
    assert names["encode"] and names["generate"] and not names["upscale"] and not names["next_pixel"]
