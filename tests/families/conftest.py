"""Models of Hugging Face with random sizes and large random weights, biases and norms included, and ours with the same weights."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers as hf

from harken.families import names
from harken.families.table import build, family, read_config
from harken.nn.models import Model

hf.logging.set_verbosity_error()  # it warns of sizes that only a test would choose
LENGTH = 24  # max_position_embeddings, or a little more


def draw_of(seed: int, name: str) -> random.Random:
    return random.Random(f"{name} {seed}")


def gpt(draw: random.Random, seed: int) -> hf.PreTrainedConfig:
    heads = draw.choice([1, 2, 3, 5])
    return hf.OpenAIGPTConfig(
        vocab_size=draw.choice([29, 61, 64, 97]),
        n_positions=draw.choice([LENGTH, 31]),
        n_embd=heads * draw.choice([3, 4, 7, 16]),
        n_layer=draw.choice([1, 2, 3]),
        n_head=heads,
        afn=("gelu", "relu", "silu", "swish")[seed % 4],
        layer_norm_epsilon=draw.choice([1e-5, 1e-3]),
        tie_word_embeddings=seed % 4 != 3,
    )


def gpt2(draw: random.Random, seed: int) -> hf.PreTrainedConfig:
    heads = draw.choice([1, 2, 3, 5])
    return hf.GPT2Config(
        vocab_size=draw.choice([29, 61, 64, 97]),
        n_positions=draw.choice([LENGTH, 31]),
        n_embd=heads * draw.choice([3, 4, 7, 16]),
        n_layer=draw.choice([1, 2, 3]),
        n_head=heads,
        n_inner=draw.choice([None, 37, 64]),
        activation_function=("gelu_new", "gelu", "relu", "silu", "tanh", "quick_gelu", "gelu_fast", "gelu_pytorch_tanh")[seed % 8],
        layer_norm_epsilon=draw.choice([1e-5, 1e-3]),
        scale_attn_weights=seed % 3 != 1,
        scale_attn_by_inverse_layer_idx=seed % 2 == 1,
        reorder_and_upcast_attn=seed % 4 == 2,
        tie_word_embeddings=seed % 4 != 3,
    )


def rope(seed: int) -> dict[str, Any]:
    """Another kind of rotary positions for each seed; the lengths are such that eleven tokens meet the stretched part."""
    return {
        "rope_theta": (500.0, 10000.0, 500000.0)[seed % 3],
        **(
            {"rope_type": "default"},
            {"rope_type": "linear", "factor": 2.5},
            {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 20},
            {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
            {"rope_type": "dynamic", "factor": 2.0},
            {"rope_type": "yarn", "factor": 3.0, "original_max_position_embeddings": 13, "beta_fast": 4, "attention_factor": 1.3},
            {"rope_type": "yarn", "factor": 2.0, "mscale": 0.7, "mscale_all_dim": 0.4, "truncate": False},
            {"rope_type": "default"},
        )[seed % 8],
    }


def turning(draw: random.Random, seed: int, **more: Any) -> dict[str, Any]:
    """What LLaMA and its kin have in common."""
    return {
        "vocab_size": draw.choice([29, 61, 64, 97]),
        "hidden_size": 4 * draw.choice([4, 6, 10]),
        "intermediate_size": draw.choice([37, 64, 85]),
        "num_hidden_layers": draw.choice([1, 2, 3]),
        "num_attention_heads": 4,
        "num_key_value_heads": (1, 2, 4)[seed % 3],
        "max_position_embeddings": draw.choice([LENGTH, 31]),
        "hidden_act": ("silu", "gelu", "relu", "gelu_pytorch_tanh")[seed % 4],
        "rms_norm_eps": draw.choice([1e-6, 1e-3]),
        "rope_parameters": rope(seed),
        "tie_word_embeddings": seed % 4 == 2,
        **more,
    }


def llama(draw: random.Random, seed: int) -> hf.PreTrainedConfig:
    head = (None, 6, 16)[seed % 4 % 3]
    return hf.LlamaConfig(**turning(draw, seed, head_dim=head, attention_bias=seed % 2 == 1, mlp_bias=seed % 3 == 1))


def mistral(draw: random.Random, seed: int) -> hf.PreTrainedConfig:
    return hf.MistralConfig(**turning(draw, seed, head_dim=(None, 6)[seed % 2], sliding_window=(3, None, 1, 7)[seed % 4]))


def layers(draw: random.Random, seed: int) -> dict[str, Any]:
    """Which layers slide, said in one of three ways."""
    count = 3
    kinds = [draw.choice(["full_attention", "sliding_attention"]) for _ in range(count)]
    return {
        "num_hidden_layers": count,
        "use_sliding_window": seed % 3 != 0,
        "sliding_window": draw.choice([2, 5]),
        "max_window_layers": draw.choice([0, 1, 2, 3]),
        "layer_types": kinds if seed % 3 == 2 else None,
    }


def qwen2(draw: random.Random, seed: int) -> hf.PreTrainedConfig:
    return hf.Qwen2Config(**turning(draw, seed, **layers(draw, seed)))


def qwen3(draw: random.Random, seed: int) -> hf.PreTrainedConfig:
    return hf.Qwen3Config(**turning(draw, seed, **layers(draw, seed), head_dim=draw.choice([4, 6, 14]), attention_bias=seed % 2 == 1))


def reading(draw: random.Random, seed: int) -> dict[str, Any]:
    """What BERT and its kin have in common."""
    heads = draw.choice([1, 2, 3, 5])
    return {
        "vocab_size": draw.choice([29, 61, 64, 97]),
        "hidden_size": heads * draw.choice([3, 4, 7]),
        "num_hidden_layers": draw.choice([1, 2, 3]),
        "num_attention_heads": heads,
        "intermediate_size": draw.choice([37, 64]),
        "hidden_act": ("gelu", "gelu_new", "relu", "silu")[seed % 4],
        "max_position_embeddings": draw.choice([LENGTH, 31]),
        "type_vocab_size": draw.choice([1, 2, 3]),
        "layer_norm_eps": draw.choice([1e-12, 1e-5]),
        "tie_word_embeddings": seed % 4 != 3,
    }


def bert(draw: random.Random, seed: int) -> hf.PreTrainedConfig:
    return hf.BertConfig(**reading(draw, seed))


def roberta(draw: random.Random, seed: int) -> hf.PreTrainedConfig:
    return hf.RobertaConfig(**reading(draw, seed), pad_token_id=draw.choice([0, 1, 3]))


def albert(draw: random.Random, seed: int) -> hf.PreTrainedConfig:
    groups = draw.choice([1, 2])
    count = draw.choice([groups, groups + 1, 4])
    sizes = reading(draw, seed) | {"num_hidden_layers": count}
    return hf.AlbertConfig(**sizes, embedding_size=draw.choice([5, 16]), num_hidden_groups=groups, inner_group_num=draw.choice([1, 2]))


def distilbert(draw: random.Random, seed: int) -> hf.PreTrainedConfig:
    same = reading(draw, seed)
    return hf.DistilBertConfig(
        vocab_size=same["vocab_size"],
        max_position_embeddings=same["max_position_embeddings"],
        dim=same["hidden_size"],
        n_layers=same["num_hidden_layers"],
        n_heads=same["num_attention_heads"],
        hidden_dim=same["intermediate_size"],
        activation=same["hidden_act"],
        sinusoidal_pos_embds=seed % 2 == 1,
        tie_word_embeddings=same["tie_word_embeddings"],
    )


def modernbert(draw: random.Random, seed: int) -> hf.PreTrainedConfig:
    """Which layers see what is near only, said in one of two ways; biases in some."""
    same, heads = reading(draw, seed), draw.choice([1, 2, 3, 5])
    kinds = [draw.choice(["full_attention", "sliding_attention"]) for _ in range(3)]
    theta = {"full_attention": draw.choice([160000.0, 500.0]), "sliding_attention": 10000.0}
    return hf.ModernBertConfig(
        vocab_size=same["vocab_size"],
        hidden_size=heads * draw.choice([4, 6, 8]),
        intermediate_size=same["intermediate_size"],
        num_hidden_layers=3,
        num_attention_heads=heads,
        hidden_activation=same["hidden_act"],
        classifier_activation=("gelu", "silu", "relu")[seed % 3],
        max_position_embeddings=same["max_position_embeddings"],
        norm_eps=same["layer_norm_eps"],
        rope_parameters={kind: {"rope_type": "default", "rope_theta": value} for kind, value in theta.items()},
        local_attention=draw.choice([2, 5, 8]),
        **({"layer_types": kinds} if seed % 2 else {"global_attn_every_n_layers": draw.choice([1, 2, 3])}),
        **{name: seed % (2 + n) == 1 for n, name in enumerate(("attention_bias", "mlp_bias", "norm_bias", "classifier_bias"))},
        decoder_bias=seed % 3 != 2,
        classifier_pooling=("mean", "cls")[seed % 2],
        tie_word_embeddings=same["tie_word_embeddings"],
        **{f"{name}_token_id": n for n, name in enumerate(("pad", "cls", "sep", "bos", "eos"))},
    )


def t5(draw: random.Random, seed: int) -> hf.PreTrainedConfig:
    """Version 1.0 with its head tied, 1.1 with one of its own, FLAN's, and one of neither."""
    width = draw.choice([12, 20, 33])
    return hf.T5Config(
        vocab_size=draw.choice([29, 61, 64, 97]),
        d_model=width,
        d_kv=draw.choice([3, 4, 7]),
        d_ff=draw.choice([37, 64]),
        num_layers=draw.choice([1, 2, 3]),
        num_decoder_layers=draw.choice([None, 1, 2, 3]),
        num_heads=draw.choice([1, 2, 3, 5]),
        relative_attention_num_buckets=draw.choice([4, 7, 8, 32]),
        relative_attention_max_distance=draw.choice([17, 20, 128]),
        feed_forward_proj=("relu", "gated-gelu", "gated-silu", "gelu")[seed % 4],
        layer_norm_epsilon=draw.choice([1e-6, 1e-3]),
        tie_word_embeddings=seed % 2 == 0,
        decoder_start_token_id=0,
    )


def bart(draw: random.Random, seed: int) -> hf.PreTrainedConfig:
    one, two = draw.choice([1, 2, 3]), draw.choice([1, 2, 3])
    return hf.BartConfig(**writing(draw, seed, 6 * draw.choice([2, 3, 5])), encoder_attention_heads=one, decoder_attention_heads=two)


def marian(draw: random.Random, seed: int) -> hf.PreTrainedConfig:
    shared = seed % 3 != 2
    sizes = writing(draw, seed, draw.choice([20, 33, 36]))
    more = {} if shared else {"decoder_vocab_size": sizes["vocab_size"] + draw.choice([0, 5])}
    return hf.MarianConfig(**sizes, **more, encoder_attention_heads=1, decoder_attention_heads=1, share_encoder_decoder_embeddings=shared)


def writing(draw: random.Random, seed: int, width: int) -> dict[str, Any]:
    """What BART and Marian have in common."""
    return {
        "vocab_size": draw.choice([29, 61, 64, 97]),
        "d_model": width,
        "encoder_layers": draw.choice([1, 2, 3]),
        "decoder_layers": draw.choice([1, 2, 3]),
        "encoder_ffn_dim": draw.choice([37, 64]),
        "decoder_ffn_dim": draw.choice([31, 64]),
        "activation_function": ("gelu", "gelu_new", "relu", "swish")[seed % 4],
        "max_position_embeddings": draw.choice([LENGTH, 31]),
        "scale_embedding": seed % 2 == 1,
        "tie_word_embeddings": seed % 4 != 3,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "forced_eos_token_id": 2,
        "decoder_start_token_id": 2,
    }


MAKERS = {
    make.__name__: make
    for make in (gpt, gpt2, llama, mistral, qwen2, qwen3, bert, roberta, distilbert, albert, modernbert, t5, bart, marian)
}
CLASSES = {
    "classification": hf.AutoModelForSequenceClassification,
    "token-classification": hf.AutoModelForTokenClassification,
    "span": hf.AutoModelForQuestionAnswering,
    "multiple-choice": hf.AutoModelForMultipleChoice,
    "pretraining": hf.AutoModelForPreTraining,
}


def make_theirs(name: str, seed: int = 0, task: str | None = None, **settings: Any) -> Any:
    """A model of Hugging Face in evaluation mode; no weight is small, none of the biases zero, no norm the identity."""
    config = MAKERS[name](draw_of(seed, name), seed)
    for key, value in settings.items():
        setattr(config, key, value)
    torch.manual_seed(seed)
    if task == "double-heads":
        model = (hf.GPT2DoubleHeadsModel if name == "gpt2" else hf.OpenAIGPTDoubleHeadsModel)(config)
    else:
        writes = name in ("gpt", "gpt2", "llama", "mistral", "qwen2", "qwen3")
        reads = hf.AutoModelForSeq2SeqLM if config.is_encoder_decoder else hf.AutoModelForMaskedLM
        natural = hf.AutoModelForCausalLM if writes else reads
        model = CLASSES.get(task or "", natural).from_config(config)
    with torch.no_grad():
        # FLAN-T5's files hold a head of its own, whatever config.json says.
        if name == "t5" and task is None and not config.scale_decoder_outputs:
            model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.clone())
        for parameter in model.parameters():
            if parameter.requires_grad:  # waves stay waves
                parameter += 0.1 * torch.randn_like(parameter)
        if name in ("bart", "marian") and task is None:
            model.final_logits_bias += torch.randn_like(model.final_logits_bias)
    return model.eval()


def make_ours(theirs: Any) -> Model:
    """Our model of the same config, with the same weights."""
    settings = {**theirs.config.to_dict(), "architectures": [type(theirs).__name__]}
    if settings["model_type"] == "t5" and hasattr(theirs, "lm_head"):
        settings["tie_word_embeddings"] = theirs.lm_head.weight is theirs.shared.weight
    config = read_config(settings, "config.json")
    model, module = build(config), family(config.model_type)
    with torch.no_grad():
        names.read(model, theirs.state_dict(), module.names(config), ignore=module.IGNORE, where="transformers")
    return model


@pytest.fixture(scope="session")
def theirs_of() -> Callable[..., Any]:
    return make_theirs


@pytest.fixture(scope="session")
def ours_of() -> Callable[[Any], Any]:
    return make_ours
