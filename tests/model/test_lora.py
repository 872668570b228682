"""The fused layer against PEFT's own."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import nn
from transformers.pytorch_utils import Conv1D

from rankwise.model.lora import LowRank, _fused_forward, fuse


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(6, 5)
        self.out = nn.Linear(5, 3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(self.lin(x)))


def adapted(net: nn.Module, dtype: torch.dtype = torch.float64, targets: tuple[str, ...] = ("lin", "out"), **settings):
    torch.manual_seed(0)
    model = get_peft_model(net, LoraConfig(r=2, lora_alpha=6, target_modules=list(targets), **settings))
    for name, p in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(p)
    return model.to(dtype)


def both(dtype: torch.dtype = torch.float64, **settings):
    """(fused, PEFT's own), equal in every parameter."""
    theirs = adapted(Net(), dtype, **settings)
    ours = copy.deepcopy(theirs)
    assert fuse(ours) == 2
    return ours, theirs


def is_fused(module: nn.Module) -> bool:
    return getattr(module.forward, "__func__", None) is _fused_forward


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("bias", ["none", "all", "lora_only"])
@pytest.mark.parametrize("rslora", [False, True])
@pytest.mark.parametrize("input_grad", [False, True])
def test_output_and_gradients_are_pefts(
    dtype: torch.dtype, tolerance: float, bias: str, rslora: bool, input_grad: bool
) -> None:
    ours, theirs = both(dtype, bias=bias, use_rslora=rslora)
    x = torch.randn(2, 7, 6, dtype=dtype, requires_grad=input_grad)
    x2 = x.detach().clone().requires_grad_(input_grad)
    y, y2 = ours(x), theirs(x2)
    torch.testing.assert_close(y, y2, rtol=tolerance, atol=tolerance)
    weights = torch.randn_like(y)
    (y * weights).sum().backward()
    (y2 * weights).sum().backward()
    if input_grad:
        torch.testing.assert_close(x.grad, x2.grad, rtol=tolerance, atol=tolerance)
    trained = 0
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), name
        if q.grad is not None:
            assert p.grad.dtype == p.dtype
            torch.testing.assert_close(p.grad, q.grad, rtol=tolerance, atol=tolerance)
            trained += 1
    assert trained == 4 + (bias != "none")


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@pytest.mark.parametrize("rslora", [False, True])
def test_dora_is_pefts(dtype: torch.dtype, tolerance: float, rslora: bool) -> None:
    ours, theirs = both(dtype, use_dora=True, use_rslora=rslora)
    for model in (ours, theirs):
        torch.manual_seed(1)
        for name, p in model.named_parameters():
            if "magnitude" in name:
                p.data.mul_(1 + 0.1 * torch.randn_like(p))
    x = torch.randn(2, 7, 6, dtype=dtype, requires_grad=True)
    x2 = x.detach().clone().requires_grad_()
    y, y2 = ours(x), theirs(x2)
    torch.testing.assert_close(y, y2, rtol=tolerance, atol=tolerance)
    weights = torch.randn_like(y)
    (y * weights).sum().backward()
    (y2 * weights).sum().backward()
    torch.testing.assert_close(x.grad, x2.grad, rtol=tolerance, atol=tolerance)
    trained = 0
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), name
        if q.grad is not None:
            torch.testing.assert_close(p.grad, q.grad, rtol=tolerance, atol=tolerance)
            trained += 1
    assert trained == 6


def test_dora_with_dropout_keeps_pefts_forward() -> None:
    """PEFT then drops from what the base sees, too."""
    ours, theirs = both(use_dora=True, lora_dropout=0.5)
    x = torch.randn(3, 6, dtype=torch.float64)
    outputs = []
    for model in (ours.train(), theirs.train()):
        torch.manual_seed(3)
        outputs.append(model(x))
    torch.testing.assert_close(outputs[0], outputs[1])
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_closed_form() -> None:
    """y = x W^T + b + (alpha / r) (x A^T) B^T by hand."""
    net = nn.Sequential()
    net.lin = nn.Linear(2, 2)
    model = adapted(net, targets=("lin",))
    assert fuse(model) == 1
    layer = model.base_model.model.lin
    with torch.no_grad():
        layer.base_layer.weight.copy_(torch.tensor([[1.0, 2], [3, 4]]))
        layer.base_layer.bias.copy_(torch.tensor([10.0, 20]))
        layer.lora_A["default"].weight.copy_(torch.tensor([[1.0, 1], [0, 1]]))
        layer.lora_B["default"].weight.copy_(torch.tensor([[1.0, 0], [1, 1]]))
    # x = (1, 2): W x + b = (15, 31); A x = (3, 2); B A x = (3, 5); scale 6 / 2 = 3.
    assert layer(torch.tensor([[1.0, 2]], dtype=torch.float64)).tolist() == [[24.0, 46.0]]


def test_gradcheck_of_the_function_itself() -> None:
    torch.manual_seed(0)
    x, layer, bias = torch.randn(2, 3, 4).double(), torch.nn.Linear(4, 5).double(), torch.randn(5).double()
    layer.requires_grad_(False)
    a, b, keep = torch.randn(2, 4).double(), torch.randn(5, 2).double(), (torch.rand(2, 3, 4) < 0.7).double() / 0.7
    for mask in (None, keep):
        inputs = tuple(t.clone().requires_grad_() for t in (x, bias, a, b))
        assert torch.autograd.gradcheck(
            lambda x, bias, a, b, mask=mask: LowRank.apply(x, layer, layer.weight, bias, a, b, 1.7, mask), inputs
        )


def test_dropout_with_the_same_mask_is_pefts() -> None:
    ours, theirs = both(lora_dropout=0.4)
    layer, own = ours.base_model.model.lin.train(), theirs.base_model.model.lin.train()
    x = torch.randn(50, 6, dtype=torch.float64)
    torch.manual_seed(3)
    y = layer(x)
    torch.manual_seed(3)
    keep = torch.empty_like(x).bernoulli_(0.6) / 0.6
    low = own.lora_B["default"](own.lora_A["default"](x * keep)) * 3
    torch.testing.assert_close(y, own.base_layer(x) + low, rtol=1e-12, atol=1e-12)
    y.sum().backward()
    grad_a = (own.lora_B["default"].weight.sum(0)[:, None] * 3) @ (x * keep).sum(0)[None]
    torch.testing.assert_close(layer.lora_A["default"].weight.grad, grad_a, rtol=1e-10, atol=1e-10)


def test_dropout_keeps_the_mean_and_is_off_in_evaluation() -> None:
    ours, theirs = both(lora_dropout=0.3)
    x = torch.randn(1, 6, dtype=torch.float64)
    many = ours.base_model.model.lin.train()(x.expand(40_000, 6))
    own = theirs.base_model.model.lin.eval()(x)
    # Standard error of each mean, from the sample; 5 of them.
    error = many.std(0) / 200
    assert (many.std(0) > 0.01).all()
    assert ((many.mean(0) - own[0]).abs() < 5 * error).all()
    assert torch.equal(ours.eval().base_model.model.lin(x), ours.base_model.model.lin(x))
    torch.testing.assert_close(ours(x), theirs.eval()(x), rtol=1e-12, atol=1e-12)


def test_bfloat16_base_with_a_float32_adapter() -> None:
    torch.manual_seed(1)
    exact = adapted(Net(), torch.float32)
    ours = copy.deepcopy(exact)
    for module in ours.modules():
        if isinstance(module, LoraLinear):
            module.base_layer.bfloat16()
    assert fuse(ours) == 2
    x = torch.randn(64, 6)
    y, expected = ours(x.bfloat16()), exact(x)
    assert y.dtype == torch.bfloat16
    assert float((y.float() - expected).norm() / expected.norm()) < 0.02
    y.float().square().sum().backward()
    expected.square().sum().backward()
    for (name, p), q in zip(ours.named_parameters(), exact.parameters(), strict=True):
        if "lora" in name:
            assert p.dtype == p.grad.dtype == torch.float32
            assert float((p.grad - q.grad).norm() / q.grad.norm()) < 0.05, name


def test_other_kinds_of_layers_keep_pefts_forward() -> None:
    model = adapted(Net(), torch.float32, lora_bias=True)
    assert fuse(model) == 0
    assert not any(is_fused(module) for module in model.modules())


def test_conv1d_and_subclasses_of_linear_are_left_alone() -> None:
    class Odd(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    net = nn.Sequential()
    net.conv, net.odd, net.lin = Conv1D(4, 4), Odd(4, 4), nn.Linear(4, 4)
    model = adapted(net, targets=("conv", "odd", "lin"))
    assert fuse(model) == 1
    inner = model.base_model.model
    assert [is_fused(layer) for layer in (inner.conv, inner.odd, inner.lin)] == [False, False, True]


def test_disabled_and_merged_layers_answer_as_pefts_do() -> None:
    ours, theirs = both()
    x = torch.randn(3, 6, dtype=torch.float64)
    plain = theirs.base_model.model
    with ours.disable_adapter():
        bare = plain.out.base_layer(torch.tanh(plain.lin.base_layer(x)))
        torch.testing.assert_close(ours(x), bare, rtol=0, atol=0)
    before = ours(x)
    assert not torch.allclose(before, bare)
    ours.merge_adapter()
    torch.testing.assert_close(ours(x), before, rtol=1e-12, atol=1e-12)
    ours.unmerge_adapter()
    torch.testing.assert_close(ours(x), before, rtol=1e-12, atol=1e-12)


def test_two_active_adapters_add_up_as_in_peft() -> None:
    ours, _ = both()
    theirs = copy.deepcopy(ours)
    for model in (ours, theirs):
        torch.manual_seed(5)
        model.add_adapter("second", LoraConfig(r=3, lora_alpha=3, target_modules=["lin"], init_lora_weights=False))
        model.double().base_model.set_adapter(["default", "second"])
    for module in theirs.modules():
        module.__dict__.pop("forward", None)
    x = torch.randn(3, 6, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-12, atol=1e-12)
    for model in (ours, theirs):
        model.set_adapter("second")  # not on `out`: that layer is the base's own
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-12, atol=1e-12)
