"""lm-eval's local-completions and local-chat-completions on a task of its own: python lm_eval.py ADDRESS."""

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

TASK = """
task: letters
dataset_path: json
dataset_kwargs: {data_files: {test: %s}}
test_split: test
output_type: generate_until
doc_to_text: "{{text}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["e"], max_gen_toks: 8}
metric_list: [{metric: exact_match}]
"""
with tempfile.TemporaryDirectory() as folder:
    data = Path(folder, "letters.jsonl")
    data.write_text("".join(json.dumps({"text": text, "answer": "x"}) + "\n" for text in ("abc", "hello")))
    Path(folder, "letters.yaml").write_text(TASK % data)
    for kind, path, model, more in [
        ("local-completions", "completions", "plain", []),
        ("local-chat-completions", "chat/completions", "chat", ["--apply_chat_template"]),
    ]:
        args = f"model={model},base_url={sys.argv[1]}/v1/{path},tokenizer_backend=None,max_retries=1"
        command = [Path(sys.executable).parent / "lm_eval", "run", "--model", kind, "--model_args", args, "--tasks", "letters"]
        command += ["--include_path", folder, "--output_path", f"{folder}/out-{model}", *more]
        here = {"OPENAI_API_KEY": "secret", "HF_HOME": f"{folder}/hf", "HF_HUB_OFFLINE": "1"}
        subprocess.run(command, check=True, env={**os.environ, **here})
        (found,) = Path(folder, f"out-{model}").rglob("results*.json")
        assert json.loads(found.read_text())["n-samples"]["letters"]["effective"] == 2
print(version("lm_eval"))
