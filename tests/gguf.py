"""A language model with weights at random, small enough for a test: it says nothing sensible, over the real protocol.

Written after the GGUF specification, version 3: header, metadata, tensor list, aligned tensor data.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

_ALIGNMENT = 32
_UINT32, _INT32, _FLOAT32, _STRING, _ARRAY = 4, 5, 6, 8, 9
_EMBEDDING, _HEADS, _FEED_FORWARD, _CONTEXT = 32, 4, 64, 8_192
_BYTE_TOKEN, _CONTROL_TOKEN, _UNKNOWN_TOKEN = 6, 3, 2


def write_random_model(path: Path, *, seed: int = 1) -> None:
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    kinds = [_UNKNOWN_TOKEN, _CONTROL_TOKEN, _CONTROL_TOKEN] + [_BYTE_TOKEN] * 256
    metadata = [
        _text("general.architecture", "llama"),
        _text("general.name", "random"),
        _number("llama.context_length", _CONTEXT),
        _number("llama.embedding_length", _EMBEDDING),
        _number("llama.block_count", 1),
        _number("llama.feed_forward_length", _FEED_FORWARD),
        _number("llama.attention.head_count", _HEADS),
        _number("llama.attention.head_count_kv", _HEADS),
        _number("llama.rope.dimension_count", _EMBEDDING // _HEADS),
        _key("llama.attention.layer_norm_rms_epsilon", _FLOAT32) + struct.pack("<f", 1e-5),
        _text("tokenizer.ggml.model", "llama"),
        _array("tokenizer.ggml.tokens", _STRING, [_string(token) for token in tokens]),
        _array("tokenizer.ggml.scores", _FLOAT32, [struct.pack("<f", 0.0)] * len(tokens)),
        _array("tokenizer.ggml.token_type", _INT32, [struct.pack("<i", kind) for kind in kinds]),
        # Plain: the built-in one's special tokens are none of this vocabulary, and stop a JSON grammar.
        _text("tokenizer.chat_template", "{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}answer:"),
        _number("tokenizer.ggml.unknown_token_id", 0),
        _number("tokenizer.ggml.bos_token_id", 1),
        _number("tokenizer.ggml.eos_token_id", 2),
    ]
    tensors = _tensors(len(tokens), np.random.default_rng(seed))
    infos, data = b"", b""
    for name, values in tensors.items():
        data += b"\0" * (-len(data) % _ALIGNMENT)
        # Dimensions stand fastest first, the other way round than numpy has them.
        dimensions = b"".join(struct.pack("<Q", size) for size in reversed(values.shape))
        infos += _string(name) + struct.pack("<I", values.ndim) + dimensions + struct.pack("<IQ", 0, len(data))
        data += values.astype("<f4").tobytes()
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)) + b"".join(metadata) + infos
    path.write_bytes(head + b"\0" * (-len(head) % _ALIGNMENT) + data)


def _tensors(vocabulary: int, rng: np.random.Generator) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    def random(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return (rng.standard_normal(shape) * 0.2).astype(np.float32)

    square = ("attn_q", "attn_k", "attn_v", "attn_output")
    return {
        "token_embd.weight": random(vocabulary, _EMBEDDING),
        "output_norm.weight": np.ones(_EMBEDDING, np.float32),
        "output.weight": random(vocabulary, _EMBEDDING),
        "blk.0.attn_norm.weight": np.ones(_EMBEDDING, np.float32),
        **{f"blk.0.{name}.weight": random(_EMBEDDING, _EMBEDDING) for name in square},
        "blk.0.ffn_norm.weight": np.ones(_EMBEDDING, np.float32),
        "blk.0.ffn_gate.weight": random(_FEED_FORWARD, _EMBEDDING),
        "blk.0.ffn_up.weight": random(_FEED_FORWARD, _EMBEDDING),
        "blk.0.ffn_down.weight": random(_EMBEDDING, _FEED_FORWARD),
    }


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _key(name: str, kind: int) -> bytes:
    return _string(name) + struct.pack("<I", kind)


def _text(name: str, value: str) -> bytes:
    return _key(name, _STRING) + _string(value)


def _number(name: str, value: int) -> bytes:
    return _key(name, _UINT32) + struct.pack("<I", value)


def _array(name: str, kind: int, items: list[bytes]) -> bytes:
    return _key(name, _ARRAY) + struct.pack("<IQ", kind, len(items)) + b"".join(items)
