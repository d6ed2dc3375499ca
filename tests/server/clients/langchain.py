"""langchain-openai against a server: python langchain.py ADDRESS."""

import sys
from importlib.metadata import version

sys.path.pop(0)  # this folder, where the script has a package's name
from langchain_openai import AzureChatOpenAI, ChatOpenAI, OpenAI, OpenAIEmbeddings

key = {"api_key": "secret", "base_url": f"{sys.argv[1]}/v1"}
chat = ChatOpenAI(model="chat", max_tokens=12, seed=3, **key)
text = chat.invoke("hello").content
assert "".join(piece.content for piece in chat.stream("hello")) == text
azure = AzureChatOpenAI(
    azure_endpoint=sys.argv[1], azure_deployment="chat", api_version="2024-10-21", api_key="secret", seed=3, max_tokens=12
)
assert azure.invoke("hello").content == text
schema = {
    "title": "Animal",
    "type": "object",
    "properties": {"legs": {"type": "boolean"}},
    "required": ["legs"],
    "additionalProperties": False,
}
assert set(ChatOpenAI(model="chat", max_tokens=60, **key).with_structured_output(schema, method="json_schema").invoke("hello")) == {"legs"}
assert OpenAI(model="plain", max_tokens=5, temperature=0, **key).invoke("abc")
assert len(OpenAIEmbeddings(model="filler", check_embedding_ctx_length=False, **key).embed_query("the film")) == 32
print(version("langchain-openai"))
