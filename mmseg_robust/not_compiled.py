"""A decorator for what ``torch.compile`` must not trace, which costs no time at start-up."""

from __future__ import annotations

import torch

# ``torch.compiler.disable`` loads the compiler at once, more than a second in each process that
# imports this package. PyTorch's optimizers use this one, which loads it with the first call.
not_compiled = torch._disable_dynamo
