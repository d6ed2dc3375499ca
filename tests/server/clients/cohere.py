"""Cohere's own client against a server: python cohere.py ADDRESS."""

import sys

sys.path.pop(0)  # this folder, where the script has the client's name
import cohere

second = cohere.ClientV2(api_key="secret", base_url=sys.argv[1])
first = cohere.Client(api_key="secret", base_url=sys.argv[1])
said = [{"role": "user", "content": "hello"}]
whole = second.chat(model="chat", messages=said, seed=3, max_tokens=12)
text = whole.message.content[0].text
assert whole.finish_reason in ("COMPLETE", "MAX_TOKENS") and whole.usage.tokens.output_tokens > 0
pieces = [
    event.delta.message.content.text
    for event in second.chat_stream(model="chat", messages=said, seed=3, max_tokens=12)
    if event.type == "content-delta"
]
assert "".join(pieces) == text, (pieces, text)
found = second.embed(model="filler", texts=["the film", "paris"], input_type="search_query", embedding_types=["float", "ubinary"])
assert len(found.embeddings.float_) == 2 and len(found.embeddings.ubinary[0]) == 4
assert len(first.embed(model="filler", texts=["the film"], input_type="search_query").embeddings[0]) == 32
ranked = second.rerank(model="ranker", query="hello", documents=["the film", "paris"], top_n=1)
assert ranked.results[0].relevance_score > 0
assert first.rerank(model="ranker", query="hello", documents=["a", "b"], return_documents=True).results[0].document.text in "ab"
assert first.classify(model="labels", inputs=["the film"]).classifications[0].prediction in ("good", "bad")
tokens = first.tokenize(text="abc", model="plain", offline=False)
assert first.detokenize(tokens=tokens.tokens, model="plain", offline=False).text == "abc"
try:
    second.chat(model="other", messages=said)
except cohere.NotFoundError as error:
    assert "does not exist" in str(error)
else:
    raise AssertionError
print(cohere.__version__)
