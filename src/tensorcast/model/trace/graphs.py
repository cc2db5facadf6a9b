"""The casts of compiled code, read off the graphs that torch makes of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final, cast

from ...bridges.protocol import load
from ..watch.operators import Role, converts, dtype_name, role
from ..watch.places import Place, users_place
from .sites import Kind, Phase, Site, What
from .tracing import Trace

_LIBRARY_CALLS: Final = re.compile(
    r"aten::(mm|bmm|addmm|baddbmm|addbmm|addmv|mv|dot|linear|_int_mm|_scaled_mm|_scaled_grouped_mm|"
    r"convolution\w*|_scaled_dot_product\w*|_flash_attention\w*|_efficient_attention\w*|"
    r"_weight_int\w*|sort|topk|_fft\w*|_linalg\w*|linalg\w*|mkldnn\w*|quantized\w*)$"
)
"""Operations that Inductor leaves to a library: their operands and results stand in memory."""

_LINE: Final = re.compile(r'File "(.+)", line (\d+), in (.+)')
_PLACE_OF: Final = re.compile(r"^[LG]\['[^']*'\]\.?")


class GraphTrace(Trace):
    """What `trace_graph` found.

    Attributes:
        n_graphs: graphs that torch made of the code, forward ones and backward ones.
        breaks: torch's reasons for ending a graph and going on in Python, each once; what runs
            there is in no graph.
        n_fused: casts that are no pass of their own over memory once they are compiled.
    """

    n_graphs: int
    breaks: tuple[str, ...]
    n_fused: int

    def __init__(self) -> None:
        super().__init__()
        self.n_graphs, self.breaks, self.n_fused = 0, (), 0

    def to_dict(self) -> dict[str, Any]:
        return {
            **super().to_dict(),
            "n_graphs": self.n_graphs,
            "n_fused": self.n_fused,
            "breaks": list(self.breaks),
        }

    def __str__(self) -> str:
        graphs = "1 graph" if self.n_graphs == 1 else f"{self.n_graphs:,} graphs"
        casts = "1 cast" if self.n_fused == 1 else f"{self.n_fused:,} casts"
        lines = [super().__str__(), f"{graphs}; {casts} fused into other operations"]
        for text in self.breaks:
            reason = next((line for line in text.splitlines() if line.strip()), "")
            lines.append(f"a graph ends: {reason.strip()}")
        return "\n".join(lines)


@dataclass
class _Reader:
    """Reads each graph as torch hands it over, and runs it as it is."""

    sites: dict[What, Site] = field(default_factory=dict)
    n_graphs: int = 0
    n_operations: int = 0
    n_fused: int = 0
    leaves: list[Any] = field(default_factory=list)
    buffers: set[str] = field(default_factory=set)

    def backend(self, module: Any, inputs: list[Any]) -> Any:
        """A backend of torch.compile."""
        import torch
        from torch._dynamo.backends.common import aot_autograd

        sources = []
        for node, value in zip(_placeholders(module), inputs, strict=False):
            grapharg = node.meta.get("grapharg")
            known = grapharg.source.name if grapharg is not None else ""
            sources.append(_name_of(known))
            if "._buffers[" in known:
                self.buffers.add(sources[-1])
            if isinstance(value, torch.Tensor) and value.requires_grad and value.is_leaf:
                self.leaves.append(value)
        compiler = self._compiler
        made: Callable[[Any, list[Any]], Any] = aot_autograd(
            fw_compiler=compiler("forward", sources, grows=True),
            bw_compiler=compiler("backward", [], grows=True),
            inference_compiler=compiler("forward", sources, grows=False),
        )
        return made(module, inputs)

    def _compiler(self, phase: Phase, sources: list[str], *, grows: bool) -> Any:
        from torch._functorch import aot_autograd

        def read(module: Any, _inputs: Any) -> Any:
            self._read(module, phase, sources, grows)
            return cast(Any, aot_autograd).make_boxed_func(module.forward)

        return read

    def _read(self, module: Any, phase: Phase, sources: list[str], grows: bool) -> None:
        """Counts a graph's casts. `grows`: its parameters change from one call to the next."""
        self.n_graphs += 1
        parameters = {}
        for number, node in enumerate(_placeholders(module)):
            index = getattr(node.meta.get("desc"), "idx", number)
            if sources and index < len(sources):
                parameters[node] = sources[index]
        for node in module.graph.nodes:
            its = _role(node)
            self.n_operations += node.op == "call_function"
            result = _value(node)
            if result is None:
                continue
            if its in ("convert", "copy"):
                source = node.args[its == "copy"]
                self._convert(node, source, result, phase, parameters, grows)
            elif its == "promote":
                self._promote(node, result, phase, parameters)

    def _convert(
        self, node: Any, source: Any, result: Any, phase: Phase, names: dict[Any, str], grows: bool
    ) -> None:
        read = _value(source)
        if read is None:
            return
        moves = read.device != result.device
        if read.dtype is result.dtype and not moves:
            return
        name = names.get(_root(source), "")
        site = Site(self._what("transfer" if moves else "cast", node, read, result, name, phase))
        site.shape, site.count = tuple(result.shape), 1
        before = _root(source)
        first = _value(before.args[0]) if _role(before) == "convert" else None
        if first is not None and first.dtype is result.dtype and not moves:
            site.n_returned, site.through = 1, dtype_name(read.dtype)
        site.n_repeated = int(bool(name) and not grows)  # at every call of the compiled code
        site.n_unchecked = site.n_repeated  # and a graph has no values
        site.n_indexing = sum(_role(user) == "index" for user in _users(node))
        if not moves and _is_fused(node):
            self.n_fused += 1
        else:
            site.n_bytes_read = read.numel() * read.itemsize
            site.n_bytes_written = result.numel() * result.itemsize
        self._count(site)

    def _promote(self, node: Any, result: Any, phase: Phase, names: dict[Any, str]) -> None:
        for operand in node.all_input_nodes:
            value = _value(operand)
            if value is None or not value.dim() or not converts(value.dtype, result.dtype):
                continue
            name = names.get(_root(operand), "")
            what = self._what("promotion", node, value, result, name, phase)
            self._count(Site(what, tuple(value.shape), 1))
            return

    def _what(
        self, kind: Kind, node: Any, source: Any, result: Any, name: str, phase: Phase
    ) -> What:
        place, called_from = _place(node)
        return What(
            kind,
            node.target.name(),
            dtype_name(source.dtype),
            dtype_name(result.dtype),
            str(source.device),
            str(result.device),
            place,
            called_from,
            _module_of(node),
            name,
            phase,
            is_buffer=name in self.buffers,
        )

    def _count(self, event: Site) -> None:
        site = self.sites.setdefault(event.what, event)
        if site is not event:
            site.add(event)


def trace_graph(function: Any, /, *inputs: Any, **kwargs: Any) -> GraphTrace:
    """The casts of a function or module as `torch.compile` sees it, after one call on the inputs.

    A trace around compiled code sees it run operation by operation; here each cast stands as it is
    in the graph, and where Inductor fuses it into the operation beside it, it costs no bytes. Where
    the result requires grad the backward graph is read too; no gradient is kept.

    Args:
        function: a module or a function, compiled already or not; its own compiled code stays.
        *inputs, **kwargs: what it is called with, once, without Inductor.

    Returns:
        A trace without times. A parameter that is cast at every call of an inference graph counts
        as repeated.

    Raises:
        MissingLibraryError: torch is not installed.
        Exception: what the function raises.

    Example:
        >>> import torch, tensorcast
        >>> model = torch.nn.Linear(4, 4)
        >>> def step(x):
        ...     with torch.autocast("cpu", torch.bfloat16):
        ...         return model(x)
        >>> with torch.no_grad():
        ...     found = tensorcast.model.trace_graph(step, torch.ones(2, 4))
        >>> [(site.what.parameter, site.n_bytes_written) for site in found.sites]
        [('bias', 8), ('weight', 32), ('', 16)]
    """
    load("torch")
    import torch
    from torch._dynamo.utils import counters

    function = getattr(function, "_orig_mod", None) or getattr(
        function, "_torchdynamo_orig_callable", function
    )
    reader = _Reader()
    before = dict(counters["graph_break"])
    with ExitStack() as stack:
        config = torch._dynamo.config
        for limit in ("recompile_limit", "cache_size_limit"):  # each call here is one compilation
            if hasattr(config, limit):
                stack.enter_context(config.patch({limit: 1 << 16}))
                break
        compiled = torch.compile(function, backend=reader.backend, dynamic=False)
        _differentiate(cast(Any, compiled)(*inputs, **kwargs), reader.leaves)
    trace = GraphTrace()
    trace.sites = tuple(reader.sites.values())
    trace.n_operations, trace.n_graphs = reader.n_operations, reader.n_graphs
    trace.n_fused = reader.n_fused
    trace.breaks = tuple(
        text for text, n in counters["graph_break"].items() if n > before.get(text, 0)
    )
    return trace


def _differentiate(result: Any, leaves: list[Any]) -> None:
    """Has the backward graph made and run, and lets the gradients go."""
    import torch

    outputs = [x for x in _tensors(result) if x.requires_grad]
    if outputs and leaves:
        ones = [torch.ones_like(x) for x in outputs]
        torch.autograd.grad(outputs, leaves, ones, allow_unused=True)


def _tensors(result: Any) -> Iterator[Any]:
    import torch
    from torch.utils._pytree import tree_leaves

    leaves: list[Any] = cast(Any, tree_leaves)(result)
    yield from (leaf for leaf in leaves if isinstance(leaf, torch.Tensor))


def _placeholders(module: Any) -> list[Any]:
    return [node for node in module.graph.nodes if node.op == "placeholder"]


def _value(node: Any) -> Any:
    """The fake tensor that a node's result is; None where it is none."""
    import torch

    value = node.meta.get("val") if hasattr(node, "meta") else None
    return value if isinstance(value, torch.Tensor) else None


def _root(node: Any) -> Any:
    """What a node views: itself, or the node whose memory it shows."""
    while getattr(node, "op", "") == "call_function" and getattr(node.target, "is_view", False):
        node = node.args[0]
    return node


def _users(node: Any) -> Iterator[Any]:
    """The operations that read a result, through views."""
    for user in node.users:
        if user.op == "call_function" and getattr(user.target, "is_view", False):
            yield from _users(user)
        else:
            yield user


def _role(node: Any) -> Role:
    """What a node's operator is to a trace; "none" of what is no operation of torch's."""
    import torch

    is_operation = node.op == "call_function" and isinstance(node.target, torch._ops.OpOverload)
    return role(node.target) if is_operation else "none"


def _is_library_call(node: Any) -> bool:
    """Whether its operands and its result stand in memory; so does what comes from outside, or goes
    there."""
    if node.op != "call_function":
        return True
    name = getattr(node.target, "name", None)
    return callable(name) and _LIBRARY_CALLS.match(name().split(".")[0]) is not None


def _is_fused(node: Any) -> bool:
    """Whether Inductor makes it part of the operation before, or of all that come after."""
    if not _is_library_call(_root(node.args[0])):
        return True
    return all(not _is_library_call(user) for user in _users(node))


def _place(node: Any) -> tuple[Place | None, Place | None]:
    found = [
        Place(match[1], int(match[2]), match[3].rstrip())
        for match in _LINE.finditer(node.meta.get("stack_trace") or "")
    ]
    return users_place(reversed(found))


def _name_of(source: str) -> str:
    """The name of a parameter or buffer, of torch's name for an input; "" of any other input."""
    if "._parameters[" not in source and "._buffers[" not in source:
        return ""
    return _dotted(source)


def _module_of(node: Any) -> str:
    """The path of the innermost module, "encoder.layer.0"; its class of the outermost."""
    stack = node.meta.get("nn_module_stack") or node.meta.get("fwd_nn_module_stack")
    if not stack:
        return ""
    path, kind = list(stack.values())[-1]
    name = kind if isinstance(kind, str) else kind.__name__
    return _dotted(path) or name.rpartition(".")[2]


def _dotted(path: str) -> str:
    """`L['self']._modules['layer'][0]._parameters['weight']` as "layer.0.weight"."""
    path = _PLACE_OF.sub("", path)
    path = re.sub(r"\.?_(?:modules|parameters|buffers)\['([^']*)'\]", r".\1", path)
    path = re.sub(r"\[(?:'([^']*)'|(\d+))\]", lambda m: f".{m[1] or m[2]}", path)
    return path.strip(".")
