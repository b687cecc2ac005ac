"""Facts of several families, and of files that nobody should trust."""

import json

import pytest

from apps.catalog.content import MAX_HEADER
from apps.catalog.facts.reading import Facts, Sources, read
from tests.catalog import configs
from tests.catalog.configs import header, tensors


def facts(config=None, headers=None, **documents) -> Facts:
    files = {name.replace("__", "."): body for name, body in documents.items()}
    if config is not None:
        files["config.json"] = config if isinstance(config, bytes) else json.dumps(config).encode()
    return read(Sources([*files, *(headers or {})], files, headers or {}))


class TestShape:
    @pytest.mark.parametrize(
        ("config", "layers", "heads", "kv_heads", "size", "context", "window"),
        [
            (configs.LLAMA_8B, 32, 32, 8, 128, 131072, None),
            (configs.LLAMA_70B, 80, 64, 8, 128, 131072, None),
            (configs.QWEN_7B, 28, 28, 4, 128, 32768, None),
            (configs.MISTRAL_7B, 32, 32, 8, 128, 32768, 4096),
            (configs.MIXTRAL_8X7B, 32, 32, 8, 128, 32768, None),
        ],
    )
    def test_is_read_from_the_configuration(
        self, config, layers, heads, kv_heads, size, context, window
    ):
        found = facts(config)
        assert found.architecture == config["architectures"][0]
        assert (found.layers, found.heads, found.kv_heads) == (layers, heads, kv_heads)
        assert (found.head_size, found.context, found.sliding_window) == (size, context, window)
        assert found.vocabulary == config["vocab_size"]
        assert found.problems == ()

    def test_says_how_many_experts_answer_a_token(self):
        found = facts(configs.MIXTRAL_8X7B)
        assert (found.experts, found.experts_used) == (8, 2)
        assert facts(configs.LLAMA_8B).experts is None

    def test_of_a_multimodal_model_is_that_of_its_text(self):
        inner = {key: value for key, value in configs.LLAMA_8B.items() if key != "architectures"}
        found = facts({"architectures": ["SeesForConditionalGeneration"], "text_config": inner})
        assert (found.architecture, found.layers) == ("SeesForConditionalGeneration", 32)

    def test_is_not_known_where_no_file_says_it(self):
        found = facts({"model_type": "llama"})
        assert found.model_type == "llama"
        assert [found.layers, found.heads, found.kv_heads, found.context] == [None] * 4
        assert (found.parameters, found.weight_bytes, found.dtype) == (None, None, "")
        assert facts() == Facts()

    @pytest.mark.parametrize("value", [-3, 0.5, "32", True, 10**12, [32], None, {}])
    def test_takes_no_figure_that_cannot_be(self, value):
        found = facts(configs.LLAMA_8B | {"num_hidden_layers": value})
        assert found.layers is None
        assert bool(found.problems) == (value is not None)

    def test_takes_no_heads_that_do_not_divide(self):
        found = facts(configs.LLAMA_8B | {"num_key_value_heads": 5})
        assert (found.heads, found.kv_heads) == (32, None)
        assert found.problems == ("config.json: 32 heads cannot share 5 KV heads.",)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"{", "it is not JSON"),
            (b"[" * 5000, "it is nested too deeply"),
            (b'{"a": 1, "a": 2}', "a key occurs twice"),
            (b'{"a": NaN}', "it is not JSON"),
            (b'{"a": "\\u0000"}', "plain text"),
            (b'{"a": "\\ud800"}', "it is not"),
            (b'{"a": 1e999}', "it is not JSON"),
            (b'{"a": 99999999999999999999}', "it is not JSON"),
            (b"\xff\xfe", "it is not"),
            (b"[1]", "not a JSON object"),
            (b'{"a": "' + b"x" * 1024 * 1024 + b'"}', "larger than 1 MiB"),
        ],
    )
    def test_says_that_a_broken_configuration_was_not_used(self, content, words):
        found = facts(content, {"model.safetensors": header(configs.QWEN_7B)})
        assert (found.architecture, found.config) == ("", {})
        assert len(found.problems) == 1
        assert words in found.problems[0]
        assert found.parameters  # what the weights say still stands


class TestWeights:
    @pytest.mark.parametrize(
        ("config", "parameters"),
        [
            (configs.LLAMA_8B, 8_030_261_248),
            (configs.LLAMA_70B, 70_553_706_496),
            (configs.MISTRAL_7B, 7_241_732_096),
        ],
    )
    def test_are_counted_from_the_headers(self, config, parameters):
        found = facts(config, {"model.safetensors": header(config)})
        assert found.parameters == parameters
        assert found.weight_bytes == parameters * 2
        assert (found.dtype, found.quantization) == ("BF16", "")

    def test_are_counted_over_all_files_and_once(self):
        one = tensors({"a.weight": [10, 10], "b.weight": [5]}, "BF16")
        other = tensors({"b.weight": [5], "c.weight": [7]}, "F32")
        found = facts({}, {"1.safetensors": one, "2.safetensors": other})
        assert (found.parameters, found.weight_bytes) == (112, 210 + 28)
        assert found.problems == (
            "b.weight is in both 1.safetensors and 2.safetensors; counted once.",
        )
        assert found.dtypes == {"BF16": 105, "F32": 7}

    def test_of_fp8_have_scales_that_are_no_parameters(self):
        config = configs.LLAMA_8B_FP8
        found = facts(config, {"model.safetensors": header(config, layers="F8_E4M3")})
        assert found.parameters == 8_030_261_248
        assert (found.dtype, found.quantization) == ("F8_E4M3", "fp8")
        assert 8.4 < found.weight_bytes / 1024**3 < 8.6

    def test_of_four_bits_are_packed(self):
        shapes = {"q_proj.qweight": [64, 16], "q_proj.scales": [4, 16], "q_proj.qzeros": [4, 2]}
        quantized = {"quantization_config": {"quant_method": "awq", "bits": 4}}
        found = facts(quantized, {"model.safetensors": tensors(shapes, "I32")})
        assert (found.parameters, found.quantization) == (64 * 16 * 8, "awq, 4 bits")
        unsaid = facts({}, {"model.safetensors": tensors(shapes, "I32")})
        assert unsaid.parameters is None
        assert "how many weights" in unsaid.problems[0]

    @pytest.mark.parametrize(
        "content",
        [b"{", b"[]", b'{"a": {"dtype": "BF16"}}', b'{"a": {"dtype": "X", "shape": [1]}}',
         b'{"a": {"dtype": "BF16", "shape": ["x"]}}', b" " * (MAX_HEADER + 1)],
    )  # fmt: skip
    def test_are_not_known_where_a_header_cannot_be_read(self, content):
        good = tensors({"a.weight": [3]}, "BF16")
        found = facts({}, {"1.safetensors": good, "2.safetensors": content})
        assert found.parameters is None
        assert found.problems == ("2.safetensors: its header cannot be read.",)


class TestChatTemplate:
    def test_is_the_file_of_its_own_before_the_tokenizers(self):
        inside = json.dumps({"chat_template": "old"}).encode()
        found = facts({}, tokenizer_config__json=inside, chat_template__jinja=b"new")
        assert found.chat_template == "new"
        found = facts({}, tokenizer_config__json=inside)
        assert found.chat_template == "old"
        assert found.chat_template_digest.startswith("sha256:")

    def test_of_several_is_the_default(self):
        several = [{"name": "tool_use", "template": "a"}, {"name": "default", "template": "b"}]
        inside = json.dumps({"chat_template": several}).encode()
        assert facts({}, tokenizer_config__json=inside).chat_template == "b"

    def test_is_not_taken_where_it_is_too_long_or_no_text(self):
        for content in (b"x" * 300_000, b"\xff\xff", b"a\x00"):
            found = facts({}, chat_template__jinja=content)
            assert (found.chat_template, found.chat_template_digest) == ("", "")
            assert len(found.problems) == 1
        assert facts({}).chat_template_digest == ""


class TestDocuments:
    def test_are_found_by_their_names(self):
        found = facts({}, README__md=b"# Summaries", LICENSE=b"MIT")
        assert (found.model_card, found.license_file) == ("README.md", "LICENSE")
        assert found.license_stated == ""

    def test_state_a_license_in_the_cards_head(self):
        card = b"---\nlanguage: en\nlicense: 'apache-2.0'\n---\nlicense: mit\n"
        assert facts({}, README__md=card).license_stated == "apache-2.0"
        assert facts({}, README__md=b"license: mit\n").license_stated == ""

    def test_leave_out_lists_of_labels_and_keep_the_rest(self):
        found = facts(configs.LLAMA_8B | {"id2label": {"0": "A"}})
        assert found.config == configs.LLAMA_8B


def test_the_digest_changes_with_any_fact():
    assert facts(configs.LLAMA_8B).digest == facts(configs.LLAMA_8B).digest
    assert facts(configs.LLAMA_8B).digest != facts(configs.LLAMA_70B).digest
    assert facts(configs.LLAMA_8B).digest != facts(configs.LLAMA_8B, README__md=b"x").digest
