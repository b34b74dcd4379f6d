"""The splice: E travels in the model's own media argument, and the encoder M hands it on as its output.

The encoder module's class is swapped for a subclass whose forward returns E in the encoder's output type, and swapped
back to restore. Everything after M (pooling, projector, placeholder merge, generate, PEFT, ZeRO) is the library's own
code, so nothing of it is copied here and nothing can drift from it. DESIGN section 3; the contract is in tests/models.

Shape suffixes: B of M's batch (media, tiles or frames), N rows of E, D encoder width.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from sea.console import SeaError
from sea.models.spec import Family, Modality, modality


class _Levels:
    """Stands for the encoder's tuple of hidden states: the layer that is asked for is E, or E's part for that layer."""

    def __init__(self, emb_BND: Tensor, layers: int | Sequence[int]) -> None:
        self.emb_BND, self.layers = emb_BND, layers

    def __getitem__(self, layer: int) -> Tensor:
        if isinstance(self.layers, int):
            return self.emb_BND
        return self.emb_BND.chunk(len(self.layers), dim=-1)[list(self.layers).index(layer)]


@dataclass
class _WithLevels(BaseModelOutputWithPooling):
    """Output of an encoder that hands several levels to the language model (DeepStack, arXiv 2406.04334)."""

    deepstack_features: list[Tensor] | None = None


def _emit_hidden(_: nn.Module, emb_BND: Tensor, spec: Modality, config: Any) -> BaseModelOutputWithPooling:
    if spec.first_row_dropped(config):  # a stand-in for CLS, which the code after M cuts off again
        emb_BND = torch.cat([emb_BND[:, :1].detach(), emb_BND], dim=1)
    return BaseModelOutputWithPooling(last_hidden_state=emb_BND, hidden_states=_Levels(emb_BND, spec.layers(config)))


def _collect_hidden(output: Any, spec: Modality, config: Any) -> Tensor:
    layers = spec.layers(config)
    levels = [layers] if isinstance(layers, int) else list(layers)
    emb_BND = torch.cat([output.hidden_states[layer] for layer in levels], dim=-1)
    return emb_BND[:, 1:] if spec.first_row_dropped(config) else emb_BND


def _emit_last(_: nn.Module, emb_BND: Tensor, spec: Modality, config: Any) -> BaseModelOutputWithPooling:
    return BaseModelOutputWithPooling(last_hidden_state=emb_BND)


def _collect_last(output: Any, spec: Modality, config: Any) -> Tensor:
    emb_BND: Tensor = output.last_hidden_state
    return emb_BND


def _inner_projector(encoder: nn.Module, spec: Modality) -> nn.Module:
    return encoder.get_submodule(spec.projector.removeprefix(f"{spec.encoder}."))


def _emit_merge(encoder: nn.Module, emb_ND: Tensor, spec: Modality, config: Any) -> BaseModelOutputWithPooling:
    merged = _inner_projector(encoder, spec)(emb_ND)
    return BaseModelOutputWithPooling(last_hidden_state=merged, pooler_output=merged)  # families read one or the other


def _emit_deepstack(encoder: Any, emb_ND: Tensor, spec: Modality, config: Any) -> BaseModelOutputWithPooling:
    projectors = [_inner_projector(encoder, spec), *encoder.deepstack_merger_list]
    levels = emb_ND.chunk(len(projectors), dim=-1)
    merged, *others = [p(level.contiguous()) for p, level in zip(projectors, levels, strict=True)]  # they take views
    return _WithLevels(last_hidden_state=merged, pooler_output=merged, deepstack_features=others)


@dataclass(frozen=True)
class Emitter:
    """One way in which encoders hand on their output.

    Attributes:
        emit: (encoder, E, spec, configuration) -> the encoder's output.
        collect: (the encoder's output, spec, configuration) -> E; None where P lies inside M's module.
        projectors: (encoder, spec) -> the modules inside M whose inputs, side by side, are E; none: `collect` says.
    """

    emit: Callable[[nn.Module, Tensor, Modality, Any], Any]
    collect: Callable[[Any, Modality, Any], Tensor] | None = None
    projectors: Callable[[Any, Modality], list[nn.Module]] = lambda encoder, spec: []


EMITTERS = {
    # E is one of the encoder's hidden states, or several side by side
    "hidden": Emitter(_emit_hidden, _collect_hidden),
    # E is the encoder's last hidden state
    "last": Emitter(_emit_last, _collect_last),
    # P is the last part of M's module: E is what goes into it
    "merge": Emitter(_emit_merge, projectors=lambda encoder, spec: [_inner_projector(encoder, spec)]),
    # several such parts, whose outputs enter the language model at several layers
    "deepstack": Emitter(
        _emit_deepstack,
        projectors=lambda encoder, spec: [_inner_projector(encoder, spec), *encoder.deepstack_merger_list],
    ),
}


def core(model: nn.Module) -> nn.Module:
    """The model without its LM head, under any PEFT wrapping: what the family's paths are relative to."""
    wrapped: Any = model
    unwrapped = wrapped.get_base_model() if hasattr(wrapped, "get_base_model") else wrapped
    base: nn.Module = unwrapped.base_model
    return base


def encoder(model: nn.Module, spec: Modality) -> nn.Module | None:
    """M of a modality; None where a checkpoint has none, as some sizes of a family do not hear."""
    found: Any = core(model)
    for name in spec.encoder.split("."):
        found = getattr(found, name, None)
    return found if isinstance(found, nn.Module) else None


class _EncoderReachedError(Exception):
    """Ends a forward once M has returned: nothing after it is needed."""


class Splice:
    """Makes a model take E in place of media, inside a `with` block, or from `install` to `restore`.

    The state is the encoders' class and nothing else, so splices of one model may be nested, and a block leaves the
    model as it found it.

    Args:
        model: a loaded model, PEFT-wrapped or not. Its weights and its other modules are not touched.
        family: the model's family.
    """

    def __init__(self, model: nn.Module, family: Family) -> None:
        self.model, self.family = model, family
        self._before: list[list[type[nn.Module]]] = []
        self._made: dict[str, type[nn.Module]] = {}  # one class an encoder, however often the splice goes on and off

    def _encoders(self) -> list[tuple[nn.Module, Modality]]:
        """Every encoder of the model, once: modalities that share one agree on how its output is read."""
        by_path = {spec.encoder: spec for spec in self.family.modalities.values()}
        found = [(encoder(self.model, spec), spec) for spec in by_path.values()]
        return [(module, spec) for module, spec in found if module is not None]

    @property
    def installed(self) -> bool:
        """Whether the model's media arguments carry E at the moment."""
        return any(_is_spliced(type(encoder)) for encoder, _ in self._encoders())

    def install(self) -> Splice:
        """Swap the class of every encoder of the family."""
        for encoder, spec in self._encoders():
            if not _is_spliced(type(encoder)):
                if spec.encoder not in self._made:
                    self._made[spec.encoder] = _spliced(type(encoder), spec, core(self.model).config)
                encoder.__class__ = self._made[spec.encoder]
        return self

    def restore(self) -> None:
        """Give every encoder its own class back: the model is what it was."""
        for encoder, _ in self._encoders():
            if _is_spliced(type(encoder)):
                encoder.__class__ = type(encoder).__bases__[0]

    def _put_back(self, classes: list[type[nn.Module]]) -> None:
        for (encoder, _), before in zip(self._encoders(), classes, strict=True):
            encoder.__class__ = before

    def __enter__(self) -> Splice:
        self._before.append([type(encoder) for encoder, _ in self._encoders()])
        return self.install()

    def __exit__(self, *_: object) -> None:
        self._put_back(self._before.pop())

    @contextlib.contextmanager
    def off(self) -> Iterator[None]:
        """Let the encoders run themselves inside the block."""
        before = [type(encoder) for encoder, _ in self._encoders()]
        self.restore()
        try:
            yield
        finally:
            self._put_back(before)

    @torch.no_grad()
    def encode(self, inputs: Mapping[str, Tensor], name: str) -> Tensor:
        """M's output for all media of a batch, by the model's own forward, which is cut off as soon as M has returned.

        Args:
            inputs: media as the processor made them, with any input ids, on the model's device.
            name: the modality.

        Returns:
            E of all media in one tensor, in the encoder's dtype; `wire.split` takes it apart.
        """
        spec, base = modality(self.family, name), core(self.model)
        encoder, emitter = base.get_submodule(spec.encoder), EMITTERS[spec.emitter]
        projectors = emitter.projectors(encoder, spec)
        levels: dict[int, Tensor] = {}
        found: list[Tensor] = []

        def note(place: int) -> Callable[[nn.Module, Any], None]:
            return lambda _, args: levels.update({place: args[0]})

        def stop(_: nn.Module, __: Any, output: Any) -> None:
            if emitter.collect is not None:
                found.append(emitter.collect(output, spec, base.config))
            else:
                found.append(torch.cat([levels[place] for place in range(len(projectors))], dim=-1))
            raise _EncoderReachedError

        with self.off():
            hooks = [projector.register_forward_pre_hook(note(place)) for place, projector in enumerate(projectors)]
            hooks.append(encoder.register_forward_hook(stop))
            try:
                self.model(**inputs)
            except _EncoderReachedError:
                pass
            finally:
                for hook in hooks:
                    hook.remove()
        if not found:
            raise SeaError(
                f"the model did not run its {name} encoder on these inputs: is {spec.argument!r} among them?"
            )
        return found[0] if spec.order is None else found[0][spec.order(encoder, inputs)]


def _is_spliced(kind: type[nn.Module]) -> bool:
    return bool(getattr(kind, "is_sea_splice", False))


def _spliced(original: type[nn.Module], spec: Modality, config: Any) -> type[nn.Module]:
    """A subclass of an encoder's class whose forward hands on its input as its output."""
    arguments = list(inspect.signature(original.forward).parameters)[1:]  # without self; the first is the medium

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        inputs = dict(zip(arguments, args, strict=False)) | kwargs
        emb = inputs[arguments[0]].to(self.dtype)  # fp32 E into a bf16 model: what is read is what a store will hold
        if "DN" in spec.wire:
            emb = emb.mT
        if spec.rows is not None:
            emb = emb[(emb != 0).any(-1)]
        if emb.ndim > 3:  # the dimensions that the wire added, and those of clips: M's batch is one dimension
            emb = emb.flatten(0, -3)
        output = EMITTERS[spec.emitter].emit(self, emb, spec, config)
        for name, value in spec.beside_output(config, inputs).items():
            setattr(output, name, value)
        return output

    # Same name, module and qualname: transformers keys its capture of hidden states by str(type(module)), PEFT and
    # accelerate match modules by class name; under another name both would silently pass the encoder by.
    attributes = {
        "forward": forward,
        "is_sea_splice": True,
        "__module__": original.__module__,
        "__qualname__": original.__qualname__,
    }
    return type(original.__name__, (original,), attributes)
