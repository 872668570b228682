"""What tests of several rooms share: a home of their own, the embedded base, and a tiny one with a tokenizer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

if (worker := os.environ.get("PYTEST_XDIST_WORKER")) and hasattr(os, "sched_setaffinity"):
    # Side by side, each process of the suite keeps to a core of its own, and torch to one thread.
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})

CACHE = Path(__file__).parents[1] / ".cache" / "rankwise"

WORDS = """\
a contract clause about payment and notice is sorted by risk low high medium answer with one of the labels
the tenant pays rent every month unless the landlord agrees in writing to a later date
the supplier may end this agreement at any time without giving a reason
quarterly revenue rose by twelve percent while costs fell and margins improved
good bad neutral positive negative yes no up down text label classify
"""
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """RANKWISE_HOME of this session: empty, but for the bases fetched by earlier ones."""
    folder = tmp_path_factory.mktemp("home")
    (CACHE / "models").mkdir(parents=True, exist_ok=True)
    (folder / "models").symlink_to(CACHE / "models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RANKWISE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def embedded_base(home: Path) -> Path:
    """The folder of smollm2-135m, fetched on first use; skips where there is neither cache nor network."""
    from rankwise.errors import BaseError
    from rankwise.facts import fetch_base, locate_base

    try:
        return fetch_base(locate_base("smollm2-135m", home))
    except BaseError as error:
        pytest.skip(f"no embedded base: {error}")


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of two layers, 32 wide, with a byte-level tokenizer and a ChatML template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(WORDS.splitlines(), trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>")
    fast.chat_template = CHATML
    stop = fast.convert_tokens_to_ids("<|im_end|>")

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        bos_token_id=None,
        eos_token_id=stop,
        pad_token_id=stop,
        tie_word_embeddings=True,
    )
    folder = tmp_path_factory.mktemp("bases") / "tiny-llama"
    model = LlamaForCausalLM(config)
    model.generation_config.eos_token_id = stop
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


ENCODERS = {
    "bert": ("BertModel", "BertConfig"),
    "bert-masked": ("BertForMaskedLM", "BertConfig"),
    "bert-classifier": ("BertForSequenceClassification", "BertConfig"),
    "roberta": ("RobertaModel", "RobertaConfig"),
    "distilbert": ("DistilBertModel", "DistilBertConfig"),
}
"""Kind -> architecture and config class; two layers, 32 wide."""


def make_encoder(folder: Path, kind: str) -> Path:
    """A random encoder whose tokens matter, with biases, and a tokenizer that begins a text with [CLS] and ends it
    with [SEP]."""
    import torch
    import transformers as tf
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["[CLS]", "[PAD]", "[SEP]"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(WORDS.splitlines(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 2)]
    )
    fast = tf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, cls_token="[CLS]", pad_token="[PAD]", sep_token="[SEP]"
    )
    architecture, config = ENCODERS[kind]
    sizes = (
        {"dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4}
        if kind == "distilbert"
        else {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    )
    ends = {"vocab_size": len(fast), "max_position_embeddings": 128, "pad_token_id": 1, "initializer_range": 0.2}
    torch.manual_seed(0)
    model = getattr(tf, architecture)(getattr(tf, config)(**sizes, **ends))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("bias"):
                p.normal_(std=0.1)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def encoder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny encoder by kind, each made once."""
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            made[kind] = make_encoder(tmp_path_factory.mktemp("encoders") / f"tiny-{kind}", kind)
        return made[kind]

    return get


def make_encoder_decoder(folder: Path, kind: str) -> Path:
    """A random encoder-decoder of two layers a side, 32 wide, whose tokens matter, and a tokenizer that ends a text
    with </s>; BART's begins it with <s> too. `t5-gated`: T5 1.1, with gated layers and a head of its own."""
    import torch
    import transformers as tf
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    specials = ["<pad>", "</s>", "<s>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(WORDS.splitlines(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>" if kind == "bart" else "$A </s>", special_tokens=[("</s>", 1), ("<s>", 2)]
    )
    fast = tf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>")
    ends = {"vocab_size": len(fast), "pad_token_id": 0, "eos_token_id": 1}
    t5 = {**ends, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
    gated = {**t5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
    torch.manual_seed(0)
    model = {
        "t5": lambda: tf.T5ForConditionalGeneration(tf.T5Config(**t5)),
        "t5-gated": lambda: tf.T5ForConditionalGeneration(tf.T5Config(**gated)),
        "mt5": lambda: tf.MT5ForConditionalGeneration(tf.MT5Config(**gated)),
        "bart": lambda: tf.BartForConditionalGeneration(
            tf.BartConfig(
                **ends,
                d_model=32,
                encoder_layers=2,
                decoder_layers=2,
                encoder_attention_heads=4,
                decoder_attention_heads=4,
                encoder_ffn_dim=48,
                decoder_ffn_dim=48,
                max_position_embeddings=128,
                bos_token_id=2,
                decoder_start_token_id=1,
                forced_eos_token_id=None,
                init_std=0.2,
            )
        ),
    }[kind]()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("bias") and p.ndim == 1:
                p.normal_(std=0.1)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    if kind == "t5-gated":
        _untie_head(folder)
    return folder


def _untie_head(folder: Path) -> None:
    """Give a base a head of its own, as T5 1.1's files have it; transformers 5 only makes them so while it loads."""
    import torch
    from safetensors.torch import load_file, save_file

    from rankwise.files import read_json, write_json

    file, config = folder / "model.safetensors", folder / "config.json"
    tensors = load_file(file)
    tensors["lm_head.weight"] = torch.randn_like(tensors["shared.weight"])
    save_file(tensors, file, metadata={"format": "pt"})
    write_json(config, {**read_json(config), "tie_word_embeddings": False})


@pytest.fixture(scope="session")
def encoder_decoder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny encoder-decoder by kind, each made once."""
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            folder = tmp_path_factory.mktemp("encoder-decoders") / f"tiny-{kind}"
            made[kind] = make_encoder_decoder(folder, kind)
        return made[kind]

    return get
