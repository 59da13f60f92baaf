"""What an entry takes; the data itself lies below the language, which makes it."""

from __future__ import annotations

from kdsl.ir.signature import PTR as PTR
from kdsl.ir.signature import SCALAR as SCALAR
from kdsl.ir.signature import TENSOR as TENSOR
from kdsl.ir.signature import Arg as Arg
from kdsl.ir.signature import Relation as Relation
from kdsl.ir.signature import Signature as Signature
