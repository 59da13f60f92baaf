"""KD09xx: mistakes of kdsl itself."""

from __future__ import annotations

from kdsl.errors.base import KdslError


class InternalError(KdslError):
    """kdsl broke an invariant of its own."""

    code = "KD0901"
    message = "kdsl broke an invariant of its own: {what}"
    hint = "please report this with the kernel; KDSL_DUMP=dir keeps every stage"
    exit_code = 3
    explanation = """
        Not your mistake. The kernel, the versions from kdsl --version and the folder that
        KDSL_DUMP wrote are what a report needs.
    """
