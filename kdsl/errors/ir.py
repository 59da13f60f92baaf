"""KD02xx: modules that are not valid, found by the verifier, the parser or the interpreter."""

from __future__ import annotations

from kdsl.errors.base import KdslError


class IrError(KdslError):
    """A module is malformed."""


class VerifyError(IrError):
    """The verifier rejects a module."""


class OperandCountError(VerifyError):
    """An op has too many or too few operands."""

    code = "KD0201"
    message = "{op} takes {wanted} operands, got {got}"
    hint = ""
    explanation = """
        The op's declaration fixes the operands.

            %0 = "arith.addf"(%x) : (f32) -> f32               // KD0201
            %0 = "arith.addf"(%x, %y) : (f32, f32) -> f32      // right
    """


class AttributeMissingError(VerifyError):
    """An op lacks an attribute that its declaration requires."""

    code = "KD0202"
    message = "{op} lacks the attribute {name!r}"
    hint = ""
    explanation = """
        Attributes without a default must be written.

            %0 = "arith.cmpf"(%x, %y) : (f32, f32) -> i1                          // KD0202
            %0 = "arith.cmpf"(%x, %y) {predicate = 4 : i64} : (f32, f32) -> i1    // right
    """


class OperandTypeError(VerifyError):
    """An operand's type does not fit the op."""

    code = "KD0203"
    message = "{op} needs {wanted} for {operand!r}, got {got}"
    hint = "convert first, for example x.to(kd.f32)"
    explanation = """
        Each operand has a constraint: a family of types, or the same type as another operand.

            %0 = "math.exp2"(%i) : (i32) -> i32      // KD0203: math.exp2 takes floats
            %f = "arith.sitofp"(%i) : (i32) -> f32
            %0 = "math.exp2"(%f) : (f32) -> f32      // right
    """


class ResultTypeError(VerifyError):
    """A result's type does not follow from the op and its operands."""

    code = "KD0204"
    message = "{op} gives {wanted} for {result!r}, but {got} is written"
    hint = ""
    explanation = """
        Results are constrained as operands are.

            %0 = "arith.addf"(%x, %y) : (f32, f32) -> f64      // KD0204
            %0 = "arith.addf"(%x, %y) : (f32, f32) -> f32      // right
    """


class AttributeTypeError(VerifyError):
    """An attribute has a value that the op does not take."""

    code = "KD0205"
    message = "{op}: the attribute {name!r} must be {wanted}, got {got}"
    hint = ""
    explanation = """
        Attributes are typed and often have a range.

            "kdsl.program_id"() {axis = 3 : i64} : () -> index      // KD0205: axis is 0, 1 or 2
            "kdsl.program_id"() {axis = 0 : i64} : () -> index      // right
    """


class ResultCountError(VerifyError):
    """An op has too many or too few results."""

    code = "KD0206"
    message = "{op} gives {wanted} results, got {got}"
    hint = ""
    explanation = """
            %0:2 = "arith.addf"(%x, %y) : (f32, f32) -> (f32, f32)      // KD0206
            %0 = "arith.addf"(%x, %y) : (f32, f32) -> f32               // right
    """


class DominanceError(VerifyError):
    """A value is used where it has not been computed."""

    code = "KD0207"
    message = "{op} uses {value}, which does not dominate it"
    hint = "yield the value out of its region, or compute it earlier"
    explanation = """
        A value may be used after its definition, in the same block or in regions nested there.
        A value made inside a loop or a branch leaves it only through the terminator.

            "scf.if"(%c) ({ %v = ...  "scf.yield"() : () -> () }, {}) : (i1) -> ()
            "use"(%v) : (f32) -> ()       // KD0207
    """


class UseListError(VerifyError):
    """The use lists and the operands disagree."""

    code = "KD0208"
    message = "{op}: {what}"
    hint = "change operands through the setters of Op, never by writing to its lists"
    explanation = """
        Every value lists its uses so that rewrites cost what they change. A pass that edits
        operand lists by hand breaks this; the verifier notices it after the pass.
    """


class TerminatorError(VerifyError):
    """A block does not end as its parent demands."""

    code = "KD0209"
    message = "{op}: {what}"
    hint = ""
    explanation = """
        The last op of a block is a terminator (func.return, scf.yield, ...), no other op is, and
        what it yields has the types that the parent declares.

            "scf.for"(%lo, %hi, %s, %x) ({ ^bb0(%i: index, %a: f32): }) : ...      // KD0209
            ... "scf.yield"(%a) : (f32) -> ()                                      // right
    """


class RegionError(VerifyError):
    """An op has the wrong regions, blocks or block arguments."""

    code = "KD0210"
    message = "{op}: {what}"
    hint = ""
    explanation = """
        The op's declaration fixes the number of regions; their block arguments must have the
        types that the op feeds into them (scf.for: the counter, then the carried values).
    """


class LaneCountError(VerifyError):
    """Values that must agree in lanes or shape do not."""

    code = "KD0211"
    message = "{op} needs {wanted} lanes, got {got}"
    hint = "broadcast the narrower value"
    explanation = """
            "arith.select"(%c, %a, %b) : (vector<4xi1>, vector<8xf32>, vector<8xf32>) -> ...
            // KD0211: four conditions for eight lanes
    """


class UnknownOpError(VerifyError):
    """A module uses an op that no dialect declares."""

    code = "KD0212"
    message = "no dialect declares the op {name!r}"
    hint = "check the spelling; kdsl irdl prints the kdsl dialect, docs/ops.md lists every op"
    explanation = """
        kdsl knows the ops of its own declarations only.

            %0 = "arith.addff"(%x, %y) : (f32, f32) -> f32      // KD0212
    """


class UnknownSymbolError(VerifyError):
    """A symbol is used that the module does not define."""

    code = "KD0213"
    message = "{op} refers to @{name}, which the module does not define"
    hint = ""
    explanation = """
        kdsl.launch and func.call name functions of the same module.
    """


class DuplicateSymbolError(VerifyError):
    """Two functions of a module have the same name."""

    code = "KD0214"
    message = "the module defines @{name} twice"
    hint = "rename one of them"
    explanation = """
        Function names are unique in a module, as they become symbols of one object file.
    """


class OpRuleError(VerifyError):
    """An op breaks a rule of its own."""

    code = "KD0215"
    message = "{op}: {what}"
    hint = ""
    explanation = """
        Beyond types and counts an op may state rules of its own, for example that a transpose's
        permutation names each axis once. docs/ops.md lists each op's rules.
    """


class UnknownAttributeError(VerifyError):
    """An op carries an attribute that nobody declares."""

    code = "KD0216"
    message = "{op} has no attribute {name!r}; it has {known}"
    hint = "attributes of your own need a prefix, for example my.{name}"
    explanation = """
        An attribute without a dot belongs to the op and must be declared; one with a dot is a note
        that passes may leave on any op, and that the op itself ignores.

            %0 = "arith.negf"(%x) {exact} : (f32) -> f32           // KD0216
            %0 = "arith.negf"(%x) {my.exact} : (f32) -> f32        // right
    """


class StructureError(VerifyError):
    """Ops, blocks and regions are linked inconsistently."""

    code = "KD0217"
    message = "{op}: {what}"
    hint = "move ops with detach, insert_before and erase only"
    explanation = """
        Each op knows its block and its neighbours, each block its region, each region its op. A
        pass that edits these links by hand breaks the module; the verifier notices it afterwards.
    """


class ParseError(IrError):
    """Text is not MLIR generic syntax."""

    code = "KD0220"
    message = "expected {wanted}, found {found}"
    hint = "kdsl reads MLIR's generic form: mlir-opt --mlir-print-op-generic prints it"
    explanation = """
        Ops are written with quoted names, operands in parentheses, and a function type.

            %0 = arith.addf %x, %y : f32                        // KD0220: pretty form
            %0 = "arith.addf"(%x, %y) : (f32, f32) -> f32       // right
    """


class UndefinedValueError(IrError):
    """Text uses a value that it never defines."""

    code = "KD0221"
    message = "{name} is never defined"
    hint = "check the spelling"
    explanation = """
            %0 = "arith.negf"(%y) : (f32) -> f32      // KD0221 when nothing defines %y
    """


class RedefinedValueError(IrError):
    """Text defines a value twice."""

    code = "KD0222"
    message = "{name} is defined twice"
    hint = "give the second value another name"
    explanation = """
        SSA: each value has one definition in its scope.

            %0 = "arith.negf"(%x) : (f32) -> f32
            %0 = "arith.negf"(%x) : (f32) -> f32      // KD0222
    """


class UnknownTypeError(IrError):
    """Text names a type that kdsl does not know."""

    code = "KD0223"
    message = "{text!r} is not a type that kdsl knows"
    hint = "types are iN, fN, bf16, index, vector<...>, tensor<...>, memref<...>"
    explanation = """
            %0 = "arith.negf"(%x) : (float) -> float      // KD0223
            %0 = "arith.negf"(%x) : (f32) -> f32          // right
    """


class InterpreterError(IrError):
    """The interpreter cannot go on."""

    code = "KD0240"
    message = "{op}: {what}"
    hint = ""
    explanation = """
        KDSL_INTERPRET=1 and KDSL_VERIFY=passes run modules through each op's NumPy meaning. An op
        without one, or a value of a wrong type, stops there.
    """


class OutOfBoundsError(IrError):
    """A kernel touches memory outside an argument; found by the interpreter."""

    code = "KD0241"
    message = "{op}: index {index} is outside {name} of shape {shape}"
    hint = "bound the loop, or give load and store a mask"
    explanation = """
        Native code does not check indices; the interpreter does. Run a suspicious kernel with
        KDSL_INTERPRET=1 and the line at fault is named.

            out[i + 1] = x[i]           # i up to n - 1, out has n elements: KD0241
    """


class AssertionFailedError(IrError):
    """An assert of a kernel fails while the interpreter runs it."""

    code = "KD0242"
    message = "assertion failed: {text}"
    hint = ""
    explanation = """
        `assert` on traced values in a kernel becomes cf.assert, which the interpreter checks with
        the line at fault; native code reports the same as KD0511.
    """


class DivergentBarrierError(IrError):
    """Some lanes of a workgroup do not come to a barrier; found by the lane-level interpreter."""

    code = "KD0243"
    message = "{op}: {reached} of {lanes} lanes come here, all of them must"
    hint = "move the barrier out of the branch or loop that lanes take at different times"
    explanation = """
        A barrier waits for all lanes of the workgroup, an instruction of a matrix unit for all of
        the subgroup. A lane that never comes hangs the device. Passes must place them where
        control flow is the same for all lanes.
    """


class LaneRaceError(IrError):
    """Two lanes touch one element, one of them writes, and nothing orders them."""

    code = "KD0244"
    message = "{op}: {name}{index} is {verb} by lane {lane} and was {before} by {other}"
    hint = "put a barrier between the two, or let one lane do both"
    explanation = """
        Between two barriers the lanes of a workgroup run in any order, and so do the programs of
        a grid. An element that one of them writes may be touched by no other, atomics apart.
    """


class CopyInFlightError(IrError):
    """Memory is touched that an asynchronous copy may still be writing."""

    code = "KD0245"
    message = "{op}: {name}{index} is touched by lane {lane} before the copy to it was waited for"
    hint = "wait for the copy's group (kdsl.copy_wait) and then for the other lanes (gpu.barrier)"
    explanation = """
        kdsl.copy_async only starts a copy. The lane that started it sees the data after
        kdsl.copy_wait, all other lanes after a barrier behind that.
    """


class MisalignedAccessError(IrError):
    """A vector access is not aligned as its op says."""

    code = "KD0246"
    message = "{op}: {name}{index} of lane {lane} is at an address that {align} does not divide"
    hint = "state only alignments that are proved"
    explanation = """
        `alignment` on vector.load and vector.store is a promise that devices rely on: an access
        of 16 bytes at another address faults.
    """


class DeadlockedLanesError(IrError):
    """All lanes wait for something that none of them will do; found by the interpreter."""

    code = "KD0247"
    message = "{op}: lanes wait for ever: {what}"
    hint = "count arrivals and phases: each wait needs an arrival that comes for certain"
    explanation = """
        Where parts of a workgroup have barriers of their own (a producer that fills a ring, the
        consumers that empty it), a wait whose arrival never comes stops the device.
    """
