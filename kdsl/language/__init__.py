"""The language: from a decorated Python function to a module. ``import kdsl as kd`` shows its public names.

For the layers above (compiler, launcher, build, tests):

    from kdsl.language.kernel import Kernel, exports
    from kdsl.language.specialize import Specialization, specialization_for, trace

    trace(kernel, specialization, target) -> TracedModule
        ``.module``      functions ``@<name>.kernel`` (``kdsl.kernel``) and, last, ``@<name>`` (``kdsl.entry``);
                         a program's kernels are ``@<program>.<kernel>.kernel``
        ``.signature``   ``kdsl.ir.signature.Signature`` of the entry: arguments, relations, Const values
        ``.entry``, ``.kernels``, ``.specialization``, ``.target``

    kernel.specialize(D=64, T=kd.bf16, CAUSAL=True, lse=None) -> Specialization      by name; None: absent
    specialization_for(kernel, facts, consts) -> Specialization                       from arguments:
        ``facts`` has one item for each of ``kernel.params.args`` (the run-time leaves in call order, structs
        flattened): ``(dtype name, shape)`` of an array, None for an absent one; scalars are ignored.
    kernel.params.bind(args, kwargs) -> (leaf values in that order, Const parameters given)
    kernel.params.args[i]: ``name kind dtype dims access align optional default``
    kernel.params.consts, .dtype_vars, .const_dims, .dims
    kernel.scheduled(target) -> (Const parameters, options)                           from ``k.schedule``
    kernel.tuning                                                                     from ``kd.autotune``, or None
    exports(module) -> list[Kernel]                                                   the roots of ``kdsl build``

``Specialization`` is hashable and holds only what was given; ``replace(spec, explicit_grid=True)`` makes the entry
take ``grid_x, grid_y, grid_z`` (i64) after its arguments, ``strided=("x",)`` lets the last dim of ``x`` have any
stride. ``module`` is valid (``kdsl.ir.verify``), not optimized.

``kernel(...)``, ``kernel[grid](...)``, ``kernel.bind(...)``, ``kernel.ir(stage)``, ``kernel.source(target)`` and
``kernel.explain()`` outside of a trace are passed to ``kdsl.compiler``, imported on first use, as ``call(kernel, args,
kwargs, grid)``, ``bind(kernel, args, kwargs, grid)``, ``ir(kernel, stage, **values)``, ``source(kernel, target,
**values)``, ``explain(kernel, **values)``; ``grid`` is None or a tuple of one to three ints.
"""
