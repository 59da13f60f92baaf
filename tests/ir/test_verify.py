"""Each way in which a module can be wrong, and what the verifier says about it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from sample_modules import BUFFER, SQUARES, finish, function_module, squares

import kdsl.dialects.all
from kdsl.dialects import arith, func, kdsl, math, memref, scf, vector
from kdsl.errors import (
    AttributeMissingError,
    AttributeTypeError,
    DominanceError,
    DuplicateSymbolError,
    KdslError,
    LaneCountError,
    OperandCountError,
    OperandTypeError,
    OpRuleError,
    RegionError,
    ResultCountError,
    ResultTypeError,
    StructureError,
    TerminatorError,
    UnknownAttributeError,
    UnknownOpError,
    UnknownSymbolError,
    UseListError,
)
from kdsl.ir.attributes import I32Array, IntAttr, Opaque, Symbol
from kdsl.ir.core import Block, Op, Region
from kdsl.ir.define import REGISTRY
from kdsl.ir.parser import parse
from kdsl.ir.types import F32, F64, I1, I32, I64, INDEX, tensor
from kdsl.ir.types import vector as lanes
from kdsl.ir.verify import verify
from kdsl.testing.strategies import FAULTS, faulty_modules, modules

ANYTHING = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))


def of(module, kind):
    """Return the first op of a class."""
    return next(op for op in module.walk() if isinstance(op, kind))


def rejects(module, error, *words):
    with pytest.raises(error) as caught:
        verify(module)
    for word in words:
        assert word in caught.value.summary


def test_a_valid_module_passes():
    verify(squares())


@given(modules())
@ANYTHING
def test_whatever_is_well_typed_passes(module):
    verify(module)


@given(modules(tiles=True))
@ANYTHING
def test_whatever_is_well_typed_of_tiles_passes(module):
    verify(module)


@given(faulty_modules())
@ANYTHING
def test_every_planted_fault_is_found(found):
    _, module = found
    with pytest.raises(KdslError):
        verify(module)


def test_the_planted_faults_cover_what_can_go_wrong():
    assert len(FAULTS) >= 14


# ---------------------------------------------------------------------------------------- one each


def test_an_operand_is_missing():
    module = squares()
    op = of(module, arith.Mulf)
    op.set_operands(op.operands[:1])
    rejects(module, OperandCountError, "arith.mulf takes 2 operands, got 1")


def test_a_variadic_op_still_has_its_fixed_operands():
    module = squares()
    op = of(module, memref.Store)
    op.set_operands(op.operands[:1])
    rejects(module, OperandCountError, "memref.store takes at least 2 operands, got 1")


def test_an_operand_has_a_type_that_the_op_does_not_take():
    module = squares()
    op = of(module, arith.Mulf)
    op.set_operands([module.functions[0].body.args[2]] * 2)
    rejects(module, OperandTypeError, "arith.mulf needs floating-point lanes for 'lhs', got index")


def test_operands_that_must_agree_do_not():
    module = squares()
    op = of(module, arith.Mulf)
    op.set_operand(1, module.functions[0].body.args[2])
    rejects(module, OperandTypeError, "arith.mulf needs f32 for 'rhs', got index")


def test_a_result_has_another_type_than_the_operands_say():
    module = squares()
    of(module, arith.Mulf).results[0].type = F64
    rejects(module, ResultTypeError, "arith.mulf gives f32 for 'y', but f64 is written")


def test_a_comparison_gives_i1():
    module, b = function_module("f", F32)
    x = b.block.args[0]
    wrong = b.add(arith.Cmpf, x, x, predicate=1)
    finish(module, b)
    wrong.results[0].type = F32
    rejects(module, ResultTypeError, "arith.cmpf gives i1 for 'y', but f32 is written")


def test_an_op_has_too_few_results():
    module = squares()
    op = of(module, arith.Mulf)
    of(module, memref.Store).set_operand(0, of(module, memref.Load).result)
    op.results.clear()
    rejects(module, ResultCountError, "arith.mulf gives 1 results, got 0")


def test_a_required_attribute_is_missing():
    module = squares()
    del of(module, arith.Constant).attributes["value"]
    rejects(module, AttributeMissingError, "arith.constant lacks the attribute 'value'")


def test_an_attribute_has_another_kind():
    module = squares()
    of(module, arith.Constant).attributes["value"] = "zero"
    rejects(module, AttributeTypeError, "'value' must be a constant with its type", '"zero"')


def test_an_attribute_is_none_of_the_choices():
    module, b = function_module("f", tensor((4,), F32))
    b.add(kdsl.Reduce, b.block.args[0], axis=0, kind="avg")
    finish(module, b)
    rejects(module, AttributeTypeError, "'kind' must be one of addf,", '"avg"')


def test_an_optional_attribute_must_not_be_left_empty():
    module, b = function_module("f", F32)
    b.create(arith.Negf, b.block.args[0], fastmath=None)
    rejects(finish(module, b), AttributeTypeError, "'fastmath'", "got unit")


def test_an_attribute_that_nobody_declares_is_refused():
    module = squares()
    of(module, arith.Mulf).attributes["exact"] = None
    rejects(module, UnknownAttributeError, "arith.mulf has no attribute 'exact'; it has fastmath")


def test_an_attribute_with_a_prefix_is_anybodys_note():
    module = squares()
    of(module, arith.Mulf).attributes["my.note"] = [1]
    verify(module)


def test_a_value_is_used_before_it_is_computed():
    module = squares()
    load = of(module, memref.Load)
    load.detach()
    of(module, scf.Yield).parent.insert_before(of(module, scf.Yield), load)
    rejects(module, DominanceError, "arith.mulf uses a result of memref.load")


def test_a_value_does_not_leave_its_region():
    module = squares()
    of(module, func.Return).set_operand(0, of(module, memref.Load).result)
    rejects(module, DominanceError, "func.return uses a result of memref.load")


def test_a_function_does_not_see_the_values_of_another():
    module, b = function_module("f", F32, names=("x",))
    finish(module, b)
    other, c = function_module("g")
    finish(other, c, c.create(arith.Negf, b.block.args[0]))
    module.body.append(other.body.first.detach())
    rejects(module, DominanceError, "arith.negf uses %x")


def test_an_op_does_not_use_its_own_result():
    module = squares()
    op = of(module, arith.Mulf)
    op.set_operand(0, op.result)
    rejects(module, DominanceError, "arith.mulf uses a result of arith.mulf")


def test_a_use_that_the_value_does_not_list_is_found():
    module = squares()
    op = of(module, arith.Mulf)
    del op.operands[0].users[op]
    rejects(module, UseListError, "does not list it")


def test_a_use_that_is_counted_wrongly_is_found():
    module = squares()
    op = of(module, arith.Mulf)
    op.operands[0].users[op] = 1
    rejects(module, UseListError, "counts its uses wrongly")


def test_a_user_that_is_gone_is_found():
    module = squares()
    stranger = arith.Negf.make(of(module, memref.Load).result)
    assert stranger.parent is None
    rejects(module, UseListError, "lists arith.negf as a user")


def test_a_block_ends_in_a_terminator():
    module = squares()
    of(module, scf.Yield).erase()
    rejects(module, TerminatorError, "scf.for: a block ends without a terminator")


def test_nothing_follows_a_terminator():
    module = squares()
    block = of(module, scf.Yield).parent
    block.append(arith.Constant.make(types=[I32], value=IntAttr(1, I32)))
    rejects(module, TerminatorError, "scf.yield: ops follow it in its block")


def test_a_function_does_not_end_in_a_yield():
    module, b = function_module("f")
    b.add(scf.Yield, [])
    rejects(module, TerminatorError, "func.func: its region ends in scf.yield, not func.return")


def test_a_function_returns_what_its_type_says():
    module = squares()
    of(module, func.Return).set_operands([])
    rejects(module, TerminatorError, "func.return hands over (), expected (f32)")


def test_a_loop_yields_what_it_carries():
    module = squares()
    of(module, scf.Yield).set_operands([])
    rejects(module, TerminatorError, "scf.yield hands over (), expected (f32)")


def test_a_loop_feeds_its_block():
    module = squares()
    of(module, scf.For).body.add_argument(F64)
    rejects(module, RegionError, "scf.for: region 0 takes (index, f32, f64), expected (index, f32)")


def test_a_loop_has_its_region():
    module, b = function_module("f", INDEX)
    n = b.block.args[0]
    b.block.append(scf.For([n, n, n]))
    rejects(finish(module, b), RegionError, "scf.for: it takes 1 regions, got 0")


def test_a_region_has_one_block():
    module = squares()
    loop = of(module, scf.For)
    loop.regions[0].add(Block()).append(scf.Yield.make([]))
    rejects(module, RegionError, "more than one block")


def test_a_branch_with_results_has_both_sides():
    module, b = function_module("f", I1, F32)
    block = Block()
    b.add(scf.If, b.block.args[0], types=[F32], regions=[Region([block]), Region()])
    block.append(scf.Yield.make([b.block.args[1]]))
    rejects(finish(module, b), RegionError, "scf.if: region 1 is empty")


def test_an_op_that_is_linked_wrongly_is_found():
    module = squares()
    of(module, arith.Mulf).prev = None
    rejects(module, StructureError, "linked into its block wrongly")


def test_an_op_that_no_dialect_declares_is_found():
    module = squares()
    module.functions[0].body.insert_before(module.functions[0].body.first, Op())
    rejects(module, UnknownOpError, "'unregistered'")


def test_two_functions_have_one_name():
    module = squares()
    module.body.append(squares().functions[0].detach())
    rejects(module, DuplicateSymbolError, "@squares twice")


def test_a_call_names_a_function_of_the_module():
    module, b = function_module("f")
    b.add(func.Call, [], types=[], callee=Symbol("nowhere"))
    rejects(finish(module, b), UnknownSymbolError, "func.call refers to @nowhere")


def test_a_call_passes_what_the_function_takes():
    module, b = function_module("f", F32)
    b.add(func.Call, [], types=[], callee=Symbol("f"))
    rejects(finish(module, b), OpRuleError, "func.call: it passes (), expected (f32)")


def test_a_launch_passes_what_the_kernel_takes():
    module, b = function_module("f", INDEX)
    n = b.block.args[0]
    b.add(kdsl.Launch, n, n, n, [], kernel=Symbol("f"))
    rejects(finish(module, b), OpRuleError, "kdsl.launch: it passes (), expected (index)")


def test_segment_sizes_must_add_up():
    module, b = function_module("f", INDEX)
    made = b.add(memref.Alloc, [b.block.args[0]], [], types=[BUFFER])
    finish(module, b)
    made.attributes["operandSegmentSizes"] = I32Array((2, 0))
    rejects(module, OperandCountError, "memref.alloc takes 2 operands, got 1")


def _constant_of_another_type(b):
    b.add(arith.Constant, types=[I32], value=IntAttr(1, I64))


def _conditions_of_another_length(b):
    mask = arith.constant(b, True, lanes(4, I1))
    x = arith.constant(b, 1.0, lanes(8, F32))
    b.add(arith.Select, mask, x, x)


RULES = [
    (_constant_of_another_type, OpRuleError, "a constant of type i64 cannot be a i32"),
    (_conditions_of_another_length, LaneCountError, "arith.select needs 8 lanes, got 4"),
    (lambda b: b.add(arith.Cmpi, b.block.args[1], b.block.args[1], predicate=10), OpRuleError, "no predicate 10"),
    (lambda b: b.add(arith.Extf, b.block.args[0], types=[F32]), OpRuleError, "f32 is not wider than f32"),
    (lambda b: b.add(arith.Truncf, b.block.args[0], types=[F64]), OpRuleError, "f64 is not narrower than f32"),
    (lambda b: b.add(arith.Sitofp, b.block.args[1], types=[lanes(8, F32)]), OpRuleError, "differ in more than their elements"),
    (lambda b: b.add(arith.IndexCast, b.block.args[1], types=[I64]), OpRuleError, "one of them must be index"),
    (lambda b: b.add(arith.Bitcast, b.block.args[0], types=[I64]), OpRuleError, "differ in width"),
    (lambda b: b.add(memref.Load, b.block.args[2], []), OpRuleError, "takes 1 indices, got 0"),
    (lambda b: b.add(memref.Store, b.block.args[1], b.block.args[2], [b.block.args[3]]), OpRuleError, "holds f32, not i32"),
    (lambda b: b.add(vector.Load, b.block.args[2], [b.block.args[3]], types=[lanes(8, I32)]), OpRuleError, "holds f32, not vector<8xi32>"),
    (lambda b: b.add(vector.Reduction, arith.constant(b, 1.0, lanes(8, F32)), kind=Opaque("#vector.kind<minsi>")), OpRuleError, "minsi of vector<8xf32>"),
    (lambda b: b.add(kdsl.ProgramId, axis=3), OpRuleError, "axes 0, 1 and 2, not 3"),
    (lambda b: b.add(kdsl.Transpose, arith.constant(b, 0.0, tensor((2, 3), F32)), types=[tensor((2, 3), F32)], permutation=(1, 0)), OpRuleError, "it gives tensor<3x2xf32>"),
    (lambda b: b.add(kdsl.Iota, types=[tensor((4,), F32)]), OpRuleError, "no row of integers"),
]  # fmt: skip


@pytest.mark.parametrize(("build", "kind", "words"), RULES, ids=[r[2] for r in RULES])
def test_an_ops_own_rule_is_broken(build, kind, words):
    module, b = function_module("f", F32, I32, BUFFER, INDEX)
    build(b)
    rejects(finish(module, b), kind, words)


def test_the_error_points_at_the_op():
    text = SQUARES.replace("(%sum, %4) : (f32, f32) -> f32", "(%sum, %4) : (f32, f32) -> f64")
    module = parse(text.replace('"scf.yield"(%6) : (f32)', '"scf.yield"(%6) : (f64)'), "a.mlir")

    with pytest.raises(ResultTypeError) as caught:
        verify(module)

    assert (caught.value.loc.file, caught.value.loc.line) == ("a.mlir", 12)


def test_a_function_can_be_verified_alone():
    verify(squares().functions[0])


def test_every_math_function_of_floats_refuses_integers():
    for kind in REGISTRY.values():
        if issubclass(kind, math.Unary) and kind is not math.Unary:
            module, b = function_module("f", I32)
            b.add(kind, b.block.args[0])
            rejects(finish(module, b), OperandTypeError, "floating-point lanes")
