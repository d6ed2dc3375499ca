"""The old client of OpenAI, as the articles use it: python openai_0_28.py ADDRESS."""

import sys

import openai

openai.api_key, openai.api_base = "secret", f"{sys.argv[1]}/v1"
said = [{"role": "user", "content": "hello"}]
whole = openai.ChatCompletion.create(model="chat", messages=said, max_tokens=12, seed=3)
text = whole["choices"][0]["message"]["content"]
pieces = openai.ChatCompletion.create(model="chat", messages=said, max_tokens=12, seed=3, stream=True)
assert "".join(one["choices"][0]["delta"].get("content", "") for one in pieces) == text
assert openai.Completion.create(model="plain", prompt="abc", max_tokens=4, logprobs=2)["choices"][0]["logprobs"]["tokens"]
assert len(openai.Embedding.create(model="filler", input="the film")["data"][0]["embedding"]) == 32
try:
    openai.ChatCompletion.create(model="chat", messages=said, functions=[{"name": "a"}])
except openai.error.InvalidRequestError as error:
    assert "functions" in str(error)
else:
    raise AssertionError
print(openai.__version__)
