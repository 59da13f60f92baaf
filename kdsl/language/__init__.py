"""The language: from a decorated Python function to a module.

``import kdsl as kd`` shows its public names. For the layers above (host, build, tests):

``kdsl.language.specialize.trace(kernel, specialization, target) -> TracedModule``
    ``.module`` has the device functions ``@<name>.kernel`` (``kdsl.kernel``), last the entry
    ``@<name>`` (``kdsl.entry``); a program's are ``@<program>.<kernel>.kernel``. It is valid
    (``kdsl.ir.verify``) and not optimized. ``.signature`` is the entry's
    ``kdsl.ir.signature.Signature``; ``.entry``, ``.kernels``, ``.specialization`` and ``.target``
    say the rest.

``Specialization`` is hashable and holds what was given. It comes
    by name, ``kernel.specialize(D=64, T=kd.bf16, CAUSAL=True, lse=None)`` (None: absent), or
    from arguments, ``specialization_for(kernel, facts, consts)``: ``facts`` has one item for each
    of ``kernel.params.args`` (run-time leaves in call order, structs flattened): ``(dtype, shape)``
    of an array and None for an absent one; scalars are not looked at.
    With ``explicit_grid`` the entry takes ``grid_x, grid_y, grid_z`` (i64) after its arguments;
    tensors named in ``strided`` may have any stride in their last dim.

``kernel.params``
    ``.bind(args, kwargs)`` gives the leaves' values and the Const parameters given; ``.args``,
    ``.consts``, ``.dtype_vars``, ``.dims`` and ``.const_dims`` describe them.

``kernel.scheduled(target)``, ``kernel.tuning``, ``exports(module)``
    are what ``k.schedule``, ``kd.autotune`` and ``kd.export`` said.

Calls outside of a trace go to the module ``kdsl.language.kernel.HOST``, imported on first use.
"""
