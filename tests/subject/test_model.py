"""The subject's values against the plain transformers model, its splices, logit effects and errors."""

from __future__ import annotations

import copy
import json
import os
import socket
import subprocess

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from autointerp.config.sites import SITES, SitePoint
from autointerp.config.tree import SubjectConfig
from autointerp.errors import SubjectError
from autointerp.hub import network_errors
from autointerp.subject.model import load_subject
from autointerp.subject.tokens import encode_texts

FAMILIES = ("gpt2", "llama")
CONFIG = SubjectConfig(model="tiny", context_tokens=32, site="resid_post")


def parts(model, layer: int):
    """(block, attention, its out-projection, MLP, its out-projection) of a plain model."""
    if hasattr(model, "transformer"):
        block = model.transformer.h[layer]
        return block, block.attn, block.attn.c_proj, block.mlp, block.mlp.c_proj
    block = model.model.layers[layer]
    return block, block.self_attn, block.self_attn.o_proj, block.mlp, block.mlp.down_proj


def first(x):
    return x[0] if isinstance(x, tuple) else x


def reference(model, tokens, layer: int) -> dict[str, torch.Tensor]:
    """Every site's value read off the plain model with torch hooks."""
    block, attention, attention_out, mlp, mlp_out = parts(model, layer)
    found: dict[str, torch.Tensor] = {}

    def before(name):
        return lambda module, args, kwargs: found.__setitem__(name, first(args) if args else kwargs["hidden_states"])

    def after(name):
        return lambda module, args, output: found.__setitem__(name, first(output))

    handles = [
        block.register_forward_pre_hook(before("resid_pre"), with_kwargs=True),
        block.register_forward_hook(after("resid_post")),
        mlp.register_forward_pre_hook(before("mlp_in"), with_kwargs=True),
        mlp_out.register_forward_pre_hook(before("mlp_post"), with_kwargs=True),
        mlp.register_forward_hook(after("mlp_out")),
        attention_out.register_forward_pre_hook(before("attn_z"), with_kwargs=True),
        attention.register_forward_hook(after("attn_out")),
    ]
    with torch.no_grad():
        model(tokens)
    for handle in handles:
        handle.remove()
    found["resid_mid"] = found["resid_pre"] + found["attn_out"]
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layer", [0, 2])
def test_activations_are_the_plain_models(family, layer, subjects, raw_models, tokens) -> None:
    expected = reference(raw_models[family], tokens, layer)
    points = [SitePoint(site, layer) for site in SITES]
    found = subjects[family].activations(tokens, points)
    assert set(found) == set(points)
    for point in points:
        assert found[point].shape[-1] == subjects[family].width(point)
        wanted = expected[point.site]
        # two orders of one sum differ by a share of its terms, not of what is left of them
        torch.testing.assert_close(found[point], wanted, rtol=0.0, atol=1e-5 * float(wanted.abs().max()))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_pass_ends_at_the_last_site(family, subjects, tokens) -> None:
    subject, ran = subjects[family], []
    for layer, site in [(1, "hook_resid_mid"), (1, "mlp.hook_post"), (1, "hook_mlp_out"), (2, "hook_resid_pre")]:
        hook = f"blocks.{layer}.{site}"
        subject.bridge.get_hook_point(hook).add_hook(lambda x, hook, name=hook: ran.append(name))
    try:
        subject.activations(tokens, [SitePoint("resid_pre", 0), SitePoint("mlp_post", 1)])
        assert set(ran) <= {"blocks.1.hook_resid_mid", "blocks.1.mlp.hook_post"}
    finally:
        subject.bridge.reset_hooks()
    ran.clear()
    assert subject.loss(tokens, torch.ones_like(tokens, dtype=torch.bool)).sum() > 0, "a full pass still works after"


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_is_per_token_and_masked(family, subjects, raw_models, tokens) -> None:
    mask = torch.ones_like(tokens, dtype=torch.bool)
    mask[1, 3:] = False
    with torch.no_grad():
        log_probabilities = raw_models[family](tokens).logits.log_softmax(-1)
    loss = subjects[family].loss(tokens, mask)
    assert loss.shape == tokens.shape
    assert (loss[:, 0] == 0).all() and (loss[1, 3:] == 0).all()
    torch.testing.assert_close(loss[0, 5], -log_probabilities[0, 4, tokens[0, 5]], rtol=1e-4, atol=1e-5)


def test_a_large_batch_is_computed_in_parts(subjects, tokens, monkeypatch) -> None:
    mask = torch.ones_like(tokens, dtype=torch.bool)
    whole = subjects["gpt2"].loss(tokens, mask)
    monkeypatch.setattr("autointerp.subject.model.LOGIT_ENTRIES", 1)
    torch.testing.assert_close(subjects["gpt2"].loss(tokens, mask), whole)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("site", SITES)
def test_splicing_in_the_same_values_changes_nothing(family, site, subjects, tokens) -> None:
    mask = torch.ones_like(tokens, dtype=torch.bool)
    mask[:, 0] = False
    subject = subjects[family]
    spliced = subject.spliced_loss(tokens, mask, SitePoint(site, 1), lambda x: x.clone())
    torch.testing.assert_close(spliced, subject.loss(tokens, mask), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_spliced_into_one_site_equals_its_consequence_at_the_next(family, subjects, tokens) -> None:
    """Shifting resid_mid must reach the skip connection: it equals the same shift of attn_out."""
    mask = torch.ones_like(tokens, dtype=torch.bool)
    subject, shift = subjects[family], torch.linspace(-2, 2, 16)
    losses = {
        site: subject.spliced_loss(tokens, mask, SitePoint(site, 1), lambda x: x + shift)
        for site in ("attn_out", "resid_mid", "mlp_out", "resid_post")
    }
    torch.testing.assert_close(losses["resid_mid"], losses["attn_out"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(losses["mlp_out"], losses["resid_post"], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(losses["resid_mid"], losses["mlp_out"], atol=1e-3)


def test_only_masked_positions_are_replaced(subjects, tokens) -> None:
    mask = torch.zeros_like(tokens, dtype=torch.bool)
    mask[:, 4:6] = True
    seen: list[torch.Size] = []

    def zero(x: torch.Tensor) -> torch.Tensor:
        seen.append(x.shape)
        return torch.zeros_like(x)

    subjects["gpt2"].spliced_loss(tokens, mask, SitePoint("mlp_post", 0), zero)
    assert seen == [(6, 64)]


def final_norm(model):
    return model.transformer.ln_f if hasattr(model, "transformer") else model.model.norm


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("site", ["resid_post", "mlp_post", "attn_z"])
def test_logit_effects_are_the_derivative_through_norm_and_unembedding(family, site, subjects, raw_models) -> None:
    """Moving the last residual along a direction moves the logits by the effect over the standard deviation, but for
    the part of the norm's derivative that acts on the residual itself, which a residual orthogonal to it lacks."""
    model, subject = raw_models[family], subjects[family]
    point = SitePoint(site, 2)
    directions = torch.eye(subject.width(point))[:5]
    effects = subject.logit_effects(point, directions)
    assert effects.shape == (5, subject.vocab_size)
    _, _, attention_out, _, mlp_out = parts(model, 2)
    out = {"resid_post": lambda x: x, "mlp_post": mlp_out, "attn_z": attention_out}[site]
    with torch.no_grad():
        moved = out(directions) - out(torch.zeros_like(directions))
        for direction, effect in zip(moved, effects, strict=True):
            centred = direction - direction.mean() if family == "gpt2" else direction
            residual = torch.cos(torch.arange(16.0) * 1.7)
            residual = residual - residual.mean()
            residual = residual - centred * (residual @ centred) / (centred @ centred)
            residual = 100 * residual / residual.square().mean().sqrt()

            def logits(x: torch.Tensor) -> torch.Tensor:
                return model.lm_head(final_norm(model)(x)).double()

            slope = (logits(residual + direction) - logits(residual - direction)) / 2 * 100
            torch.testing.assert_close(effect.double(), slope, rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize(("site", "norm"), [("mlp_post", "feedforward"), ("attn_z", "attention")])
def test_logit_effects_pass_the_norm_behind_a_branch(site, norm, subjects, raw_models) -> None:
    model, subject = raw_models["gemma3"], subjects["gemma3"]
    text, head = model.model.language_model, model.lm_head.weight
    block = text.layers[1]
    out = {"mlp_post": block.mlp.down_proj, "attn_z": block.self_attn.o_proj}[site].weight
    gain = getattr(block, f"post_{norm}_layernorm").weight
    directions = torch.eye(subject.width(SitePoint(site, 1)))[:5]
    with torch.no_grad():
        expected = (directions @ out.T) * (1 + gain) * (1 + text.norm.weight) @ head.T
    found = subject.logit_effects(SitePoint(site, 1), directions)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_a_site_before_the_mlp_has_no_logit_effects(subjects) -> None:
    with pytest.raises(SubjectError, match=r"mlp_in\.1 of 'tiny' reaches the logits through an MLP only"):
        subjects["gpt2"].logit_effects(SitePoint("mlp_in", 1), torch.eye(16))


def test_experts_neurons_are_refused_and_their_block_is_read(subjects, raw_models, tokens) -> None:
    subject, model = subjects["mixtral"], raw_models["mixtral"]
    with pytest.raises(SubjectError, match=r"'mlp_post' of layer 1 .*mlp\.W_out.*use one of .*mlp_in, mlp_out"):
        subject.check(SitePoint("mlp_post", 1))
    found: dict[str, torch.Tensor] = {}
    block = model.model.layers[1].mlp
    handle = block.register_forward_hook(lambda module, args, out: found.update(mlp_in=args[0], mlp_out=first(out)))
    with torch.no_grad():
        model(tokens)
    handle.remove()
    for site, expected in found.items():
        point = SitePoint(site, 1)
        torch.testing.assert_close(subject.activations(tokens, [point])[point], expected, rtol=1e-4, atol=1e-5)


def test_layer_and_site_are_checked(subjects) -> None:
    with pytest.raises(SubjectError, match=r"subject\.layer = 3 is out of range.*3 layers; use 0 to 2"):
        subjects["gpt2"].check(SitePoint("resid_pre", 3))
    with pytest.raises(SubjectError, match=r"subject\.site = 'resid_mid'.*use one of resid_pre, .*resid_post"):
        subjects["neox"].check(SitePoint("resid_mid", 0))
    with pytest.raises(SubjectError, match=r"subject\.layer"):
        subjects["llama"].activations(torch.zeros(1, 4, dtype=torch.int64), [SitePoint("mlp_post", 9)])


@pytest.mark.parametrize("family", ["gpt2", "gemma3"])
def test_loading_a_subject_starts_no_process_and_opens_no_connection(
    family, raw_models, byte_tokenizer, tokens, tmp_path, monkeypatch
) -> None:
    """Of a model that reads images, transformer_lens would install torchvision."""
    raw_models[family].save_pretrained(tmp_path)
    byte_tokenizer.save_pretrained(tmp_path)
    tried: list[str] = []

    def refuse(name: str):
        def fail(*args, **options):
            tried.append(f"{name} {args}")
            raise OSError(name)

        return fail

    for module, name in ((subprocess.Popen, "__init__"), (os, "system"), (os, "posix_spawn"), (os, "fork")):
        monkeypatch.setattr(module, name, refuse(name))
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse(name))
    monkeypatch.setattr(socket, "getaddrinfo", refuse("getaddrinfo"))
    subject = load_from(tmp_path)
    assert tried == []
    assert subject.max_positions == 64
    loss = subject.loss(tokens, torch.ones_like(tokens, dtype=torch.bool))
    with torch.no_grad():
        logits = raw_models[family](tokens).logits[:, :-1]
    expected = torch.nn.functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
    torch.testing.assert_close(loss[:, 1:], expected, rtol=1e-4, atol=1e-4)


def test_no_process_can_be_started_while_a_bridge_boots(raw_models, byte_tokenizer, monkeypatch) -> None:
    """Whatever transformer_lens' next version tries."""
    from transformer_lens.model_bridge import TransformerBridge

    def boot(*args, **options):
        subprocess.check_call(["true"])

    monkeypatch.setattr(TransformerBridge, "boot_transformers", boot)
    with pytest.raises(PermissionError, match="no process is started"):
        load_subject(CONFIG, device="cpu", hf_model=copy.deepcopy(raw_models["gpt2"]), tokenizer=byte_tokenizer)
    assert subprocess.run(["true"]).returncode == 0


def test_content_hash_sees_every_weight(raw_models, byte_tokenizer, subjects) -> None:
    other = copy.deepcopy(raw_models["gpt2"])
    with torch.no_grad():
        other.transformer.h[1].mlp.c_fc.bias[0] += 1e-3
    changed = load_subject(CONFIG, device="cpu", hf_model=other, tokenizer=byte_tokenizer)
    again = load_subject(CONFIG, device="cpu", hf_model=copy.deepcopy(raw_models["gpt2"]), tokenizer=byte_tokenizer)
    assert again.content_hash() == subjects["gpt2"].content_hash() != changed.content_hash()


@pytest.fixture
def saved(tmp_path, raw_models, byte_tokenizer):
    raw_models["gpt2"].save_pretrained(tmp_path / "model")
    byte_tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def load_from(directory, **options):
    return load_subject(CONFIG.model_copy(update={"model": str(directory), **options}), device="cpu")


def test_a_directory_loads_and_equals_the_model_from_memory(saved, subjects, tokens) -> None:
    subject = load_from(saved)
    point = SitePoint("mlp_post", 1)
    assert torch.equal(
        subject.activations(tokens, [point])[point], subjects["gpt2"].activations(tokens, [point])[point]
    )
    assert (subject.bos_id, subject.vocab_size, subject.n_layers) == (0, 300, 3)
    assert subject.content_hash() == subjects["gpt2"].content_hash()


def test_damaged_directories_are_named(saved, tmp_path) -> None:
    weights = saved / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(SubjectError, match="damaged, truncated"):
        load_from(saved)
    weights.write_bytes(whole)
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | {"n_layer": 4}))
    with pytest.raises(SubjectError, match="lack 12 tensors"):
        load_from(saved)
    (saved / "config.json").write_text(json.dumps(config | {"model_type": "no-such-type"}))
    with pytest.raises(SubjectError, match=r"config\.json cannot be used"):
        load_from(saved)
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}
    (saved / "config.json").write_text(json.dumps(config | own))
    with pytest.raises(SubjectError, match=r"config\.json cannot be used: .* custom code"):
        load_from(saved)
    (saved / "config.json").write_text(json.dumps(config))
    weights.unlink()
    with pytest.raises(SubjectError, match="cannot be loaded"):
        load_from(saved)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SubjectError, match=r"holds no config\.json"):
        load_from(tmp_path / "empty")
    with pytest.raises(SubjectError, match="no such directory"):
        load_from(tmp_path / "absent")


def test_a_missing_tokenizer_is_named(saved) -> None:
    for file in saved.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(SubjectError, match="tokenizer"):
        load_from(saved)


def test_surplus_added_tokens_are_accepted_and_surplus_text_is_refused(saved, byte_tokenizer, subjects) -> None:
    larger = copy.deepcopy(byte_tokenizer)
    larger.add_special_tokens({"pad_token": "<pad>"})
    larger.save_pretrained(saved)
    subject = load_from(saved)
    assert max(encode_texts(subject.tokenizer, ["a <pad> b"])[0]) < subject.vocab_size == len(larger) - 1
    assert subject.content_hash() == subjects["gpt2"].content_hash()
    config = json.loads((saved / "config.json").read_text())
    raw = GPT2LMHeadModel(GPT2Config.from_dict(config | {"vocab_size": 299}))
    with pytest.raises(SubjectError, match=r"its tokenizer has 301 entries, the model only 299; give the tokenizer"):
        load_subject(CONFIG, device="cpu", hf_model=raw, tokenizer=larger)


def test_a_context_longer_than_the_models_is_an_error(saved) -> None:
    with pytest.raises(SubjectError, match=r"subject\.context_tokens = 65 is more than the 64"):
        load_from(saved, context_tokens=65)
    with pytest.raises(SubjectError, match=r"subject\.layer = 5"):
        load_from(saved, layer=5)


def test_an_unreachable_hub_is_named(monkeypatch) -> None:
    import huggingface_hub

    def refuse(*args, **kwargs):
        raise network_errors()[-2]("name resolution failed")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
    with pytest.raises(SubjectError, match=r"'nobody/no-such-model'.*hub could not be reached.*local directory"):
        load_from("nobody/no-such-model")


def test_an_absent_device_is_an_error(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in ("cuda", "nonsense"):
        with pytest.raises(SubjectError, match=f"device = '{device}'"):
            load_subject(CONFIG, device=device)


@pytest.mark.cuda
def test_cuda_gives_the_cpus_values(raw_models, byte_tokenizer, subjects, tokens) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    subject = load_subject(CONFIG, device="cuda", hf_model=copy.deepcopy(raw_models["llama"]), tokenizer=byte_tokenizer)
    for site in SITES:
        point = SitePoint(site, 1)
        expected = subjects["llama"].activations(tokens, [point])[point]
        torch.testing.assert_close(subject.activations(tokens, [point])[point].cpu(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.real
def test_stories260k_has_its_known_loss(real_data) -> None:
    """1.55 nats/token on clean stories, BOS and the first 512 tokens (the model's own length is 512 with BOS)."""
    subject = load_subject(
        SubjectConfig(model=str(real_data / "models" / "stories260K"), context_tokens=512), device="cpu"
    )
    stories = json.loads((real_data / "text" / "tinystories_1000.json").read_text())
    clean = [story for story in stories if story.isascii()][:300:5]
    total, n_tokens = 0.0, 0
    for story in clean:
        ids = subject.tokenizer(story, add_special_tokens=False)["input_ids"][:511]
        tokens = torch.tensor([[subject.bos_id, *ids]])
        total += float(subject.loss(tokens, torch.ones_like(tokens, dtype=torch.bool)).sum())
        n_tokens += len(ids)
    assert 1.45 < total / n_tokens < 1.65
