"""Each operator of a page against torch's own, and each function of each model, in a browser."""

import base64
import math
import operator

import pytest
import torch
from torch.export import default_decompositions

from browser import browsing
from genloom.catalogue import MODELS
from genloom.use.export.graphs import examples, quiet
from genloom.use.page import write
from genloom.use.page.kernel import module, signed
from genloom.use.page.limits import FORMS
from genloom.use.page.operators import OF_ONE, OF_TWO, loops, operators, source
from genloom.use.page.programs import KINDS, WHOLE, Program, Step, Value, folded, page_program, result, run, used
from genloom.use.page.weights import Store, encoded
from test_export import OTHERS, functions, ready
from test_models import build

aten = torch.ops.aten
RUN = """async job => {
  const bytes = async text => new Response(new Blob([Uint8Array.from(atob(text), c => c.charCodeAt(0))]).stream()
    .pipeThrough(new DecompressionStream('gzip'))).arrayBuffer()
  const constants = constantsOf(job.told, await bytes(job.weights))
  const plain = t => ({ dims: t.dims, kind: t.kind, data: Array.from(t.data, v => Number.isFinite(v) ? v : String(v)) })
  return job.inputs.map(inputs => run(job.program, inputs.map(
    t => new Tensor(t.dims, ARRAYS[t.kind].from(t.data, Number), t.kind)), constants).map(plain))
}"""


@pytest.fixture(scope="module")
def engine():
    """Return what runs a program in a browser, on several inputs."""
    text = "\n".join([loops([*OF_ONE, *OF_TWO]), *map(source, write.ENGINE[:-1])])
    kernel = base64.b64encode(module()).decode()
    with browsing() as context:
        page = context.new_page()
        page.add_script_tag(content=text)
        page.evaluate(
            "async text => { const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));"
            "gemm = (await WebAssembly.instantiate(bytes, { page: { memory } })).instance.exports.gemm }",
            kernel,
        )

        def call(program, store, *inputs):
            told = encoded(program, store)
            job = {
                "program": told,
                "told": store.told,
                "weights": store.text(),
                "inputs": [list(map(plain, x)) for x in inputs],
            }
            return [list(map(tensor, each)) for each in page.evaluate(RUN, job)]

        yield call


def plain(x):
    data = x.double().flatten().tolist()
    return {
        "dims": list(x.shape),
        "kind": KINDS[x.dtype],
        "data": [each if math.isfinite(each) else str(each).replace("inf", "Infinity") for each in data],
    }


def tensor(told):
    kind = {"f": torch.float32, "d": torch.float64, "i": torch.int64, "b": torch.bool}[told["kind"]]
    data = [float(str(each).replace("Infinity", "inf")) for each in told["data"]]
    return torch.tensor(data, dtype=torch.float64).reshape(told["dims"]).to(kind)


# -- operators -------------------------------------------------------------------------------------


def r(*dims, seed=0):
    return torch.randn(*dims, generator=torch.Generator().manual_seed(seed + sum(dims)))


def whole(high, *dims, low=0):
    return torch.randint(low, high, dims, generator=torch.Generator().manual_seed(sum(dims)))


HALVES = torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49, -3.2, 7.0, 0.0])
TRUTHS = whole(2, 3, 4).bool()
FIFTHS = torch.arange(6) / 5  # a fifth is no fp32
ODD = torch.tensor([1.0, math.nan, -3.0, math.inf, -math.inf, 0.2])
WEIGHTS = [r(12, 5) * 0.4, r(12, 4) * 0.4, r(12), r(12)]  # of a layer of three gates, four units
SECOND = [r(12, 8) * 0.3, r(12, 4), r(12), r(12, seed=1)]  # of the layer after, which sees both ways
TWO_WAYS = [*WEIGHTS, *[each.flip(0) for each in WEIGHTS], *SECOND, *[each.flip(0) for each in SECOND]]
FOUR = [r(16, 5) * 0.4, r(16, 4) * 0.4, r(16), r(16)]


def of_gru(x, h, weights, biased, depth, both, first):
    return (x, h, weights, biased, depth, 0.0, False, both, first)


CASES = {  # operator: what it is tried with
    "view": [(aten.view.default, r(2, 6), [3, -1]), (aten.view.default, r(1), [])],
    "unsqueeze": [(aten.unsqueeze.default, r(2, 3), 1), (aten.unsqueeze.default, r(2, 3), -1)],
    "squeeze": [(aten.squeeze.dims, r(1, 3, 1), [0]), (aten.squeeze.dims, r(1, 3, 1), [-1, 1])],
    "permute": [(aten.permute.default, r(2, 3, 4), [2, 0, 1]), (aten.permute.default, r(2, 3, 4, 2), [0, -1, 1, 2])],
    "expand": [(aten.expand.default, r(3, 1), [2, 3, 4]), (aten.expand.default, r(1, 3), [5, -1])],
    "repeat": [(aten.repeat.default, r(2, 3), [2, 1, 3]), (aten.repeat.default, r(3), [2])],
    "flip": [(aten.flip.default, r(2, 3, 4), [1]), (aten.flip.default, r(2, 3), [0, -1])],
    "slice": [
        (aten.slice.Tensor, r(5, 6), 1, 1, 5, 2),
        (aten.slice.Tensor, r(5, 6), 0, -3, 2**63 - 1),
        (aten.slice.Tensor, r(4), 0, 3, 1),
    ],
    "select": [(aten.select.int, r(3, 4), 0, 2), (aten.select.int, r(3, 4, 2), 1, -1), (aten.select.int, r(3), 0, 1)],
    "slice_scatter": [
        (aten.slice_scatter.default, r(4, 5), r(4, 2), 1, 1, 5, 2),
        (aten.slice_scatter.default, r(4, 5), r(2, 5), 0, 2),
    ],
    "cat": [
        (aten.cat.default, [r(2, 3), r(2, 1)], 1),
        (aten.cat.default, [r(2, 3, 2), r(1, 3, 2)]),
        (aten.cat.default, [whole(5, 3), whole(4, 2)], -1),
    ],
    "split_with_sizes": [(aten.split_with_sizes.default, r(2, 6), [1, 3, 2], 1)],
    "item": [],  # with those that give several
    "sym_size": [],
    "+": [],
    "-": [],
    "*": [],
    "//": [],
    "constant_pad_nd": [
        (aten.constant_pad_nd.default, r(2, 3, 4), [1, 2], 0.5),
        (aten.constant_pad_nd.default, r(3, 4), [0, -1, 2, 0]),
    ],
    "upsample_nearest2d": [
        (aten.upsample_nearest2d.vec, r(2, 3, 4, 5), None, [2.0, 2.0]),
        (aten.upsample_nearest2d.vec, r(1, 2, 3, 5), [7, 4], None),
    ],
    "full": [(aten.full.default, [2, 3], 1.5), (aten.full.default, [2], 7)],
    "full_like": [(aten.full_like.default, r(2, 2), 2.0)],
    "empty": [(aten.empty.memory_format, [0, 3])],  # what an empty one holds is nobody's; its sizes are those of `full`
    "arange": [(aten.arange.start_step, 2, 9, 3), (aten.arange.start_step, 0, 5)],
    "copy": [(aten.copy.default, r(2, 3), r(3)), (aten.copy.default, r(2, 3), r(2, 3).double())],
    "_to_copy": [
        (aten._to_copy.default, HALVES, {"dtype": torch.int64}),
        (aten._to_copy.default, whole(3, 4, low=-2), {"dtype": torch.float32}),
        (aten._to_copy.default, HALVES, {"dtype": torch.bool}),
    ],
    "where": [(aten.where.self, TRUTHS, r(3, 4), r(1)), (aten.where.self, TRUTHS, r(3, 1), r(4))],
    "index": [
        (aten.index.Tensor, r(4, 5), [whole(4, 3), whole(5, 3)]),
        (aten.index.Tensor, r(3, 4, 5), [None, whole(4, 2, 1), whole(5, 3)]),
        (aten.index.Tensor, r(3, 4, 5), [whole(3, 2), None, whole(5, 2, low=-4)]),
        (aten.index.Tensor, r(5, 2), [whole(5, 2, 3)]),
    ],
    "index_put": [
        (aten.index_put.default, r(4, 5), [whole(4, 3), torch.tensor([0, 1, 2])], r(3)),
        (aten.index_put.default, r(3, 4), [TRUTHS], torch.tensor(9.0)),
        (aten.index_put.default, r(4, 2), [torch.tensor([1, 1, 3])], r(3, 2), True),
    ],
    "index_select": [
        (aten.index_select.default, r(3, 4), 1, whole(4, 6)),
        (aten.index_select.default, r(3, 4), 0, torch.tensor(2)),
    ],
    "embedding": [(aten.embedding.default, r(6, 3), whole(6, 2, 4))],
    "gather": [(aten.gather.default, r(3, 4), 1, whole(4, 3, 2)), (aten.gather.default, r(3, 4, 2), 0, whole(3, 2, 4, 1))],
    "scatter": [
        (aten.scatter.value, r(3, 4), 1, whole(4, 3, 1), 2.5),
        (aten.scatter.value, r(3, 4), 0, whole(3, 2, 4), 1.0),
    ],
    "scatter_add": [
        (aten.scatter_add.default, r(3, 4), 1, whole(4, 3, 6), r(3, 6)),
        (aten.scatter_add.default, r(3, 4), 0, whole(3, 5, 4), r(5, 4)),
    ],
    "sum": [
        (aten.sum.dim_IntList, r(3, 4, 2), [1]),
        (aten.sum.dim_IntList, r(3, 4, 2), [0, -1], True),
        (aten.sum.dim_IntList, TRUTHS, [1]),
        (aten.sum.dim_IntList, r(3, 4), None),
    ],
    "mean": [(aten.mean.dim, r(3, 4, 2), [1, 2]), (aten.mean.dim, r(3, 4), [-1], True)],
    "amax": [(aten.amax.default, r(3, 4, 2), [1]), (aten.amax.default, r(3, 4), [0], True)],
    "linalg_vector_norm": [(aten.linalg_vector_norm.default, r(3, 4), 2, [1], True)],
    "argmax": [
        (aten.argmax.default, r(3, 4), 1),
        (aten.argmax.default, ODD, 0),
        (aten.argmax.default, r(3, 4, 2), -2, True),
    ],
    "cumsum": [(aten.cumsum.default, r(3, 40), 1), (aten.cumsum.default, r(3, 4, 2).double(), -2)],
    "_softmax": [(aten._softmax.default, r(3, 4) * 40, 1, False), (aten._softmax.default, r(3, 4, 2), 0, False)],
    "_log_softmax": [
        (aten._log_softmax.default, r(3, 4) * 40, 1, False),
        (aten._log_softmax.default, r(3, 4, 2), -2, False),
    ],
    "_native_batch_norm_legit_no_training": [
        (aten._native_batch_norm_legit_no_training.default, r(3, 4, 2, 2), r(4), r(4), r(4), r(4).abs(), 0.1, 1e-5),
        (aten._native_batch_norm_legit_no_training.default, r(3, 4), None, None, r(4), r(4).abs(), 0.1, 1e-3),
    ],
    "_native_batch_norm_legit": [
        (aten._native_batch_norm_legit.no_stats, r(2, 3, 4, 4), r(3), r(3), True, 0.0, 1e-5),
        (aten._native_batch_norm_legit.no_stats, r(1, 6, 3, 2), None, None, True, 0.0, 1e-5),
    ],
    "native_layer_norm": [
        (aten.native_layer_norm.default, r(3, 4, 5), [5], r(5), r(5), 1e-5),
        (aten.native_layer_norm.default, r(3, 4, 5), [4, 5], None, None, 1e-5),
    ],
    "mm": [(aten.mm.default, r(m, k), r(k, n)) for m, k, n in ((1, 1, 1), (5, 3, 7), (4, 8, 16), (9, 13, 33), (2, 4, 8))],
    "addmm": [(aten.addmm.default, r(7), r(3, 5), r(5, 7)), (aten.addmm.default, r(3, 7), r(3, 5), r(5, 7))],
    "bmm": [(aten.bmm.default, r(3, 4, 5), r(3, 5, 9))],
    "convolution": [
        (
            aten.convolution.default,
            r(2, c, 7, 6),
            r(o, c // g, 3, 2),
            r(o) if bias else None,
            stride,
            padding,
            dilation,
            False,
            [0, 0],
            g,
        )
        for c, o, g, bias, stride, padding, dilation in (
            (3, 5, 1, True, [1, 1], [1, 1], [1, 1]),
            (4, 6, 2, False, [2, 1], [0, 1], [1, 2]),
            (4, 4, 4, True, [1, 2], [2, 0], [2, 1]),
        )
    ]
    + [(aten.convolution.default, r(1, 2, 20, 19), r(3, 2, 1, 1), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)]
    + [
        (aten.convolution.default, r(2, c, 5, 4), r(c, o // g, 4, 3), r(o), stride, padding, [1, 1], True, extra, g)
        for c, o, g, stride, padding, extra in (
            (3, 5, 1, [2, 2], [1, 1], [0, 0]),
            (4, 6, 2, [2, 1], [0, 1], [1, 0]),
            (2, 3, 1, [3, 2], [1, 0], [2, 1]),
        )
    ]
    + [(aten.convolution.default, r(3, 4, 17, 19), r(4, 2, 4, 4), None, [2, 2], [1, 1], [1, 1], True, [0, 0], 1)],
    "gru": [
        (aten.gru.input, *of_gru(r(3, 6, 5), r(1, 3, 4), WEIGHTS, True, 1, False, True)),
        (aten.gru.input, *of_gru(r(6, 3, 5), r(4, 3, 4), TWO_WAYS, True, 2, True, False)),
        (aten.gru.input, *of_gru(r(3, 6, 5), r(1, 3, 4), WEIGHTS[:2], False, 1, False, True)),
    ],
    "lstm": [(aten.lstm.input, r(3, 6, 5), [r(1, 3, 4), r(1, 3, 4, seed=1)], FOUR, True, 1, 0.0, False, False, True)],
    "relu": [(aten.relu.default, ODD)],
    "leaky_relu": [(aten.leaky_relu.default, ODD, 0.2)],
    "clamp": [
        (aten.clamp.default, HALVES, -1.0, 1.2),
        (aten.clamp.default, ODD, 0.0),
        (aten.clamp.default, HALVES, 1.0, -1.0),
        (aten.clamp.default, whole(9, 6), None, 4),
    ],
    "pow": [(aten.pow.Tensor_Scalar, HALVES, 2), (aten.pow.Tensor_Scalar, HALVES, 3)],
    "remainder": [
        (aten.remainder.Scalar, whole(20, 6, low=-20), 7),
        (aten.remainder.Scalar, HALVES, -2),
        (aten.remainder.Tensor, HALVES, HALVES.flip(0) + 0.1),
    ],
    "bitwise_not": [(aten.bitwise_not.default, TRUTHS)],
    "bitwise_and": [
        (aten.bitwise_and.Tensor, TRUTHS, ~TRUTHS | TRUTHS[:1]),
    ],
    "bitwise_or": [(aten.bitwise_or.Tensor, TRUTHS, TRUTHS[:1])],
    "add": [
        (aten.add.Tensor, r(3, 4), r(4), {"alpha": 2}),
        (aten.add.Tensor, r(3, 1), r(4)),
        (aten.add.Tensor, whole(5, 3), 2),
    ],
    "sub": [(aten.sub.Tensor, r(3, 4), r(3, 4, seed=2)), (aten.sub.Tensor, torch.tensor(1.0), r(4))],
    "mul": [(aten.mul.Tensor, r(3, 4), TRUTHS), (aten.mul.Tensor, r(2, 1, 3), r(4, 1))],
    "div": [(aten.div.Tensor, r(3, 4), 3), (aten.div.Tensor, whole(9, 5), whole(9, 5, low=1))],
    "maximum": [(aten.maximum.default, torch.tensor([1.0, math.nan, 3.0]), torch.tensor([2.0, 1.0, 2.0]))],
    **{
        name: [(getattr(aten, name).default, HALVES * 1.7)]
        for name in ("tanh", "sigmoid", "exp", "sin", "cos", "neg", "abs", "sign", "floor", "round")
    },
    **{name: [(getattr(aten, name).default, HALVES.abs() + 0.1)] for name in ("log", "log1p", "sqrt", "rsqrt")},
    **{
        name: [(getattr(aten, name).Tensor, whole(3, 9), whole(3, 9).flip(0)), (getattr(aten, name).Scalar, FIFTHS, 0.2)]
        for name in ("eq", "ne", "lt", "le", "gt", "ge")
    },
}


def program_of_case(target, *args):
    """Return a program of an operator, its first tensors inputs, and those; weights of what has some are constants."""
    kwargs = args[-1] if isinstance(args[-1], dict) else {}
    args = list(args[: len(args) - bool(kwargs)])
    inputs = [each for each in args[:1] if isinstance(each, torch.Tensor)]
    taken = [Value(0), *args[1:]] if inputs else args
    found = result(target, args, kwargs)
    several = isinstance(found, list)
    program = Program(
        len(inputs), [Step(target, taken, kwargs, "*" if several else KINDS[found.dtype])], [Value(len(inputs))]
    )
    if several:
        some = 1 if "norm" in str(target) else len(found)  # a page keeps no means and deviations
        program.steps += [Step(operator.getitem, [Value(len(inputs)), i], {}, "f") for i in range(some)]
        program.outputs = [Value(len(inputs) + 1 + i) for i in range(some)]
    return program, inputs


def test_all_operators_have_cases_in_all_their_forms():
    assert set(CASES) == operators() and set(FORMS) < operators()
    tried = {str(case[0]) for cases in CASES.values() for case in cases}
    sizes = {"+", "-", "*", "//", "item", "sym_size"}
    assert {f"aten.{name}.{form}" for name in operators() - sizes for form in FORMS.get(name, ("default",))} == tried


class Calls(torch.nn.Module):
    def __init__(self, call):
        super().__init__()
        self.call, self.low, self.high = call, torch.nn.Buffer(torch.tensor(-0.5)), torch.nn.Buffer(torch.tensor(0.5))
        self.index = torch.nn.Buffer(torch.tensor([[0, 1]]))
        self.lstm, self.conv = torch.nn.LSTM(4, 6, proj_size=2), torch.nn.Conv1d(3, 2, 2)

    def forward(self, x):
        return self.call(self, x)


REFUSED = {  # what a page would do otherwise than torch, and why it says it does not
    "div.Tensor_mode": lambda _, x: torch.div(x, 0.3, rounding_mode="trunc"),
    "clamp.Tensor": lambda m, x: x.clamp(m.low, m.high),
    "scatter.src": lambda m, x: x.scatter(1, m.index, x[:1, :2]),
    "scatter.value_reduce": lambda m, x: x.scatter(1, m.index, 2.0, reduce="multiply"),
    "round.decimals": lambda _, x: x.round(decimals=2),
    "addmm with factors": lambda _, x: torch.addmm(x[0], x, x.T @ x, beta=0.5, alpha=2),
    "convolution of other than pictures": lambda m, x: m.conv(x[None]),
    "linalg_vector_norm of another order than 2": lambda _, x: torch.linalg.vector_norm(x, 1, 1),
    "argmax over all dimensions": lambda _, x: x.argmax(),
    "index_put by truths a row": lambda _, x: x.index_put((x[:, 0] > 0,), torch.tensor(0.0)),
    "bitwise_and of bits": lambda _, x: x.long() & x.long(),
    "add of truths": lambda _, x: ((x > 0) + (x > 1)).float(),
    "mm of numbers other than fp32": lambda _, x: x.double() @ x.double().T,
    "lstm with projections": lambda m, x: m.lstm(x)[0],
    "erf": lambda _, x: torch.erf(x),
    "rand": lambda _, x: x + torch.rand(4),  # nor is it worked out once and for all
    "numbers of torch.float16": lambda _, x: x.half() * 2,
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_a_page_would_do_otherwise_is_refused(why):
    table = default_decompositions()
    for each in WHOLE:
        table.pop(each, None)
    with quiet(), torch.no_grad():
        exported = torch.export.export(Calls(REFUSED[why]).eval(), (r(3, 4),), strict=False).run_decompositions(table)
        program = used(folded(exported))
    assert any(why in step.why for step in program.steps), [step.name for step in program.steps]


def test_weights_that_are_used_in_two_ways_lie_apart(engine):
    shared = torch.nn.Parameter(r(4, 2, 3, 3))

    class Twice(torch.nn.Module):
        def forward(self, x):
            conv = torch.nn.functional.conv2d
            return conv(x, shared, groups=2), conv(x[:, :2], shared)

    with quiet(), torch.no_grad():
        program = used(folded(torch.export.export(Twice(), (r(1, 4, 5, 5),), strict=False).run_decompositions()))
    for a, b in zip(Twice()(r(1, 4, 5, 5)), engine(program, Store("fp32"), [r(1, 4, 5, 5)])[0], strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [name for name, cases in CASES.items() if cases])
def test_operator(engine, name):
    for case in CASES[name]:
        program, inputs = program_of_case(*case)
        wanted = run(program, inputs)
        found = engine(program, Store("fp32"), inputs)[0]
        for a, b in zip(wanted, found, strict=True):
            assert a.shape == b.shape and (a.dtype == b.dtype or {a.dtype, b.dtype} == {torch.int32, torch.int64}), case
            exact = not a.is_floating_point()
            torch.testing.assert_close(
                b, a, rtol=0 if exact else 2e-6, atol=0 if exact else 2e-6, equal_nan=True, check_dtype=False
            )


def test_sizes_are_reckoned_with(engine):
    class Sized(torch.nn.Module):
        def forward(self, x):
            h, w = x.shape[0], x.shape[1]
            return x.new_ones(h + 2, w * 3 - 1, h // 2)

    free = ({0: torch.export.Dim("h", min=4), 1: torch.export.Dim("w", min=4)},)
    with quiet():
        exported = torch.export.export(Sized(), (torch.zeros(6, 4),), dynamic_shapes=free, strict=False).run_decompositions()
    program = used(folded(exported))
    assert {step.name for step in program.steps} >= {"+", "-", "*", "//", "sym_size"}
    for size in ((6, 4), (9, 5)):
        assert engine(program, Store("fp32"), [torch.zeros(size)])[0][0].shape == (
            size[0] + 2,
            size[1] * 3 - 1,
            size[0] // 2,
        )


# -- the models ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MODELS, *OTHERS])
def test_each_function_gives_in_a_browser_what_the_model_gives(engine, name):
    model = ready(build(name) if name in MODELS else OTHERS[name]())
    for entry in functions(model):
        program, cases = page_program(entry, model), [examples(entry, at) for at in ((1, 1, 1), (3, 1, 2))]
        assert not [step.why for step in program.steps if step.why]
        for given, found in zip(cases, engine(program, Store("fp32"), *cases), strict=True):
            with torch.no_grad():
                wanted = entry.module(model)(*given)
            for a, b in zip(wanted, found, strict=True):
                assert a.shape == b.shape and a.dtype == b.dtype, entry.name
                scale = max(1.0, float(a.double().abs().max())) if a.numel() else 1.0
                torch.testing.assert_close(b.double() / scale, a.double() / scale, rtol=0, atol=2e-5, equal_nan=True)


# -- how weights are stored ------------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["fp32", "fp16", "int8"])
def test_constants_are_read_as_they_were_stored(engine, weights):
    store = Store(weights)
    numbers = [r(40, 30), r(30, 5, 7, 2) * 1e-3, torch.tensor([1e-7, 6e-5, -65504.0, 0.0]).repeat(400), r(2000) * 1e5]
    others = [whole(2**40, 5), torch.tensor([True, False, True]), r(3, 3).double(), r(7)]
    constants = [*numbers, *others]
    program = Program(0, [], list(constants))
    for a, b in zip(constants, engine(program, store, [])[0], strict=True):
        assert torch.equal(store.read(a), b), (weights, a.shape)
    assert store.place(numbers[0].clone()) == 0 and len(store.told) == len(constants)


def test_whole_numbers_of_any_sign_as_leb128():
    def read(code):
        value = sum((byte & 0x7F) << 7 * i for i, byte in enumerate(code))
        return value - (1 << 7 * len(code)) if code[-1] & 0x40 else value

    for value in (0, 1, 63, 64, 127, 128, 8192, -1, -64, -65, -8192):
        assert read(signed(value)) == value
