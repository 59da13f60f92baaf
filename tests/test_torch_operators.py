"""Kernels as operators of torch, on the CPU."""

import pytest

import kdsl as kd
from kdsl.errors import ArgumentDtypeError, NoOutputError, TorchOpError
from kdsl.library.elementwise import add
from kdsl.library.norms import rms_norm

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

M, N = kd.dims("M N")
T = kd.dtype_var("T", kd.f32, kd.bf16)


@kd.kernel(grid=lambda d: d.M)
def scaled(
    x: kd.Tensor[T, M, N],
    s: kd.f32,
    shift: kd.Tensor[kd.f32, N] | None,
    out: kd.Tensor[T, M, N, kd.WO],
):
    i = kd.program_id(0)

    @kd.vectorize(N)
    def step(j, w):
        y = x.load(i, j, width=w).to(kd.f32) * s
        if shift is not None:
            y = y + shift.load(j, width=w)
        out.store(i, j, y.to(T))


@kd.kernel(grid=lambda d: d.N)
def grow(x: kd.Tensor[kd.f32, N], n: kd.i32 = 2):
    i = kd.program_id(0)
    x[i] = x[i] * n.to(kd.f32)


@kd.kernel(grid=lambda d: 1)
def both(
    x: kd.Tensor[kd.f32, N], a: kd.Tensor[kd.f32, N, kd.WO], b: kd.Tensor[kd.i32, 2 * N, kd.WO]
):
    @kd.vectorize(N)
    def step(j, w):
        a.store(j, x.load(j, width=w) + 1)
        b.store(j, x.load(j, width=w).to(kd.i32))
        b.store(j + N, x.load(j, width=w).to(kd.i32))


@pytest.fixture(scope="module")
def ops():
    return {
        "scaled": kd.torch_op(scaled, name="kdsl_test::scaled"),
        "grow": kd.torch_op(grow, name="kdsl_test::grow"),
        "both": kd.torch_op(both, name="kdsl_test::both"),
        "add": kd.torch_op(add, name="kdsl_test::add", outputs=("out",)),
        "rms_norm": kd.torch_op(rms_norm, name="kdsl_test::rms_norm", outputs=("out",)),
    }


def test_the_schema_says_what_is_made_and_what_is_written(ops):
    schemas = {name: str(op.default._schema) for name, op in ops.items()}
    assert schemas["scaled"] == (
        "kdsl_test::scaled(Tensor x, float s, Tensor? shift=None) -> Tensor"
    )
    assert schemas["add"] == "kdsl_test::add(Tensor x, Tensor y) -> Tensor"
    assert schemas["grow"] == "kdsl_test::grow(Tensor(a0!) x, SymInt n=2) -> ()"
    assert schemas["both"] == "kdsl_test::both(Tensor x) -> (Tensor, Tensor)"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_output_is_made_and_returned(ops, dtype):
    x = torch.randn(3, 5).to(dtype)
    y = ops["scaled"](x, 2.0)
    assert y.dtype == dtype
    assert torch.equal(y, x * 2)
    shift = torch.arange(5.0)
    assert torch.allclose(ops["scaled"](x, 2.0, shift).float(), x.float() * 2 + shift, rtol=1e-2)


def test_two_outputs_come_as_a_tuple(ops):
    a, b = ops["both"](torch.tensor([1.0, 2.0]))
    assert (a.tolist(), b.tolist()) == ([2, 3], [1, 2, 1, 2])


def test_a_mutated_argument_is_written_in_place(ops):
    x = torch.ones(4)
    assert ops["grow"](x) is None
    ops["grow"](x, 5)
    assert x.tolist() == [10] * 4


def test_the_library_is_usable_by_naming_its_output(ops):
    x, y = torch.randn(100), torch.randn(100)
    assert torch.equal(ops["add"](x, y), x + y)


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_compiled_function_keeps_operators_whole(ops, dynamic):
    torch._dynamo.reset()
    graphs = []

    def back_end(graph, inputs):
        graphs.append(graph)
        return graph.forward

    @torch.compile(fullgraph=True, backend=back_end, dynamic=dynamic)
    def model(x, y):
        z = ops["add"](x, y) * 2
        ops["grow"](z, 3)
        return ops["scaled"](z.reshape(2, -1), 0.5).sum()

    for n in (6, 6, 10):
        x, y = torch.randn(n), torch.randn(n)
        assert torch.allclose(model(x, y), ((x + y) * 3).sum(), rtol=1e-5)
    called = [str(node.target) for node in graphs[-1].graph.nodes if node.op == "call_function"]
    ours = [name.removesuffix(".default") for name in called if "kdsl_test" in name]
    assert ours == ["kdsl_test.add", "kdsl_test.grow", "kdsl_test.scaled"]
    assert len(graphs) <= 2


def test_a_functionalized_graph_computes_the_same(ops):
    torch._dynamo.reset()

    @torch.compile(fullgraph=True, backend="aot_eager")
    def model(x):
        y = x + 1
        ops["grow"](y)
        return ops["scaled"](y.reshape(2, 3), 1.0) + y.reshape(2, 3)

    x = torch.randn(6)
    assert torch.allclose(model(x), ((x + 1) * 4).reshape(2, 3))


def test_torchs_own_judge_finds_nothing(ops):
    x, shift = torch.randn(3, 5), torch.randn(5)
    tests = ("test_schema", "test_faketensor", "test_aot_dispatch_dynamic")
    torch.library.opcheck(ops["scaled"].default, (x, 2.0, shift), test_utils=tests)
    torch.library.opcheck(ops["grow"].default, (torch.randn(4), 3), test_utils=tests)
    torch.library.opcheck(ops["both"].default, (torch.randn(4),), test_utils=tests)


def test_a_wrong_dtype_is_kdsls_own_error(ops):
    with pytest.raises(ArgumentDtypeError, match="'y'"):
        ops["add"](torch.ones(3), torch.ones(3, dtype=torch.bfloat16))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "add"}, "no name"),
        ({"name": "kdsl_test::a::b"}, "no name"),
        ({"name": "kdsl_test::a", "outputs": ("z",)}, "no array 'z'"),
        ({"name": "kdsl_test::a", "mutates": ("z",)}, "no array 'z'"),
        ({"name": "kdsl_test::a", "outputs": ("out",), "mutates": ("out",)}, "is mutated"),
        ({"name": "kdsl_test::a", "BLOCK": 3}, "no Const parameter 'BLOCK'"),
    ],
)
def test_a_mistake_is_told_when_the_operator_is_made(given, words):
    with pytest.raises(TorchOpError, match=words):
        kd.torch_op(add, **given)


def test_a_name_is_given_once(ops):
    with pytest.raises(TorchOpError, match="kdsl_test"):
        kd.torch_op(add, name="kdsl_test::add")


def test_writing_what_was_not_declared_is_found_at_the_first_call():
    op = kd.torch_op(grow, name="kdsl_test::sly", mutates=())
    x = torch.ones(3)
    with pytest.raises(TorchOpError, match="writes 'x'"):
        op(x)
    assert x.tolist() == [1, 1, 1]


def test_an_output_whose_size_nobody_knows_is_refused():
    K = kd.dims("K")

    @kd.kernel(grid=lambda d: 1)
    def fill(x: kd.Tensor[kd.f32, N], out: kd.Tensor[kd.f32, K, kd.WO]):
        out[0] = x[0]

    op = kd.torch_op(fill, name="kdsl_test::fill")
    with pytest.raises(NoOutputError, match="the dim K"):
        op(torch.ones(3))
    with pytest.raises(NoOutputError, match="the dim K"):
        fill(torch.ones(3))


def test_an_output_that_is_left_out_is_made_where_the_inputs_are():
    import numpy as np

    x = np.ones((2, 3), np.float32)
    y = scaled(x, 3.0, None)
    assert isinstance(y, np.ndarray)
    assert y.tolist() == [[3] * 3] * 2
    z = scaled(torch.from_numpy(x), 3.0, None)
    assert torch.equal(z, torch.full((2, 3), 3.0))
