"""Quantization-aware training: a copy of the network goes on learning while it answers as int8 would, so that its
weights settle where little is lost.

torchao's PT2E does the rounding in training, of the same kind as the quantizer's (u8 activations per tensor, s8 weights
per channel). Only the weights are taken over: the copy leaves by the same exporter and quantizer as every network
(`nets.export`, `compress`), so that it has the operator set that fielded nodes read (ADR 19).
"""

import copy
import logging
import warnings

import torch
from torch import nn

from skerry.core import errors
from skerry.nets import training
from skerry.nets.training import Objective, OnEpoch, Recipe, Samples


def train(
    network: nn.Module, samples: Samples, recipe: Recipe, on_epoch: OnEpoch, objective: Objective, *, keep_head: bool
) -> nn.Module:
    """A copy of `network` that was trained on, as long and at the same pace as before, with rounded weights and
    activations, itself in float. `keep_head`: its last dense layer is not rounded. Raises InputError when the network
    cannot be captured as a graph."""
    refined = copy.deepcopy(network)
    training.prepare(recipe.seed)
    rounding = _with_rounding(refined, samples, keep_head=keep_head)
    training.train(rounding, samples, recipe, on_epoch, objective)
    learned = rounding.state_dict()
    own = {name: learned[name] for name in refined.state_dict() if name in learned}
    if len(own) != len(refined.state_dict()):
        missing = ", ".join(sorted(set(refined.state_dict()) - set(own))[:3])
        raise errors.InputError(f"training with rounding lost sight of {missing} of this network")
    refined.load_state_dict(own)
    return refined.eval()


def _with_rounding(network: nn.Module, samples: Samples, *, keep_head: bool) -> nn.Module:
    """The network as a graph with an observer that rounds before and after every layer that int8 has a kernel for."""
    logging.getLogger("torchao").setLevel(logging.ERROR)  # it tells of GPU kernels that are not there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from torchao.quantization import pt2e
            from torchao.quantization.pt2e import quantize_pt2e
            from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer
        except ImportError as exc:
            raise errors.InputError(f"training with rounding needs torchao: install skerry[trainer] ({exc})") from exc
        quantizer = x86_inductor_quantizer.X86InductorQuantizer()
        quantizer.set_global(x86_inductor_quantizer.get_default_x86_inductor_quantization_config(is_qat=True))
        if keep_head and (head := _last_dense(network)):
            quantizer.set_module_name_qconfig(head, None)
        try:
            captured = torch.export.export(
                network.train(),
                (torch.from_numpy(samples.x[:8]),),
                dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            ).module()
            rounding = quantize_pt2e.prepare_qat_pt2e(captured, quantizer)
        # The user's network meets torch's tracer here, which has no family of errors of its own.
        except Exception as exc:
            text = str(exc).strip().partition("\n")[0][:200]
            raise errors.InputError(f"{type(network).__name__} cannot be trained with rounding: {text}") from exc
    pt2e.allow_exported_model_train_eval(rounding)
    if reads := getattr(network, "reads", ""):
        rounding.reads = reads  # for augmentation
    return rounding  # type: ignore[no-any-return]  # torchao is untyped


def _last_dense(network: nn.Module) -> str:
    names = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    return names[-1] if names else ""
