"""boto3's bedrock-runtime against a server: python boto3.py ADDRESS."""

import json
import sys

sys.path.pop(0)  # this folder, where the script has the client's name
import boto3
from botocore.config import Config


def client(**keys):
    once = Config(retries={"max_attempts": 1})
    return boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=sys.argv[1], config=once, **keys)


signed = client(aws_access_key_id="secret", aws_secret_access_key="unused")
said = [{"role": "user", "content": [{"text": "hello"}]}]
asked = {"inferenceConfig": {"maxTokens": 12}, "additionalModelRequestFields": {"seed": 3}}
whole = signed.converse(modelId="chat", messages=said, system=[{"text": "be kind."}], **asked)
text = whole["output"]["message"]["content"][0]["text"]
assert whole["stopReason"] in ("end_turn", "max_tokens") and whole["usage"]["totalTokens"] > 0
events = list(signed.converse_stream(modelId="chat", messages=said, system=[{"text": "be kind."}], **asked)["stream"])
assert "".join(one["contentBlockDelta"]["delta"]["text"] for one in events if "contentBlockDelta" in one) == text
assert "metadata" in events[-1]

body = json.dumps({"inputText": "abc", "textGenerationConfig": {"maxTokenCount": 8, "temperature": 0}})
titan = json.loads(signed.invoke_model(modelId="plain", body=body)["body"].read())
parts = signed.invoke_model_with_response_stream(modelId="plain", body=body)["body"]
assert "".join(json.loads(part["chunk"]["bytes"])["outputText"] for part in parts) == titan["results"][0]["outputText"]
vector = json.loads(signed.invoke_model(modelId="filler", body=json.dumps({"inputText": "the film"}))["body"].read())
assert len(vector["embedding"]) == 32
body = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]})
assert json.loads(signed.invoke_model(modelId="chat", body=body, contentType="application/json")["body"].read())["type"] == "message"
try:
    signed.converse(modelId="chat", messages=said, toolConfig={"tools": [{"toolSpec": {"name": "a", "inputSchema": {"json": {}}}}]})
except signed.exceptions.ValidationException as error:
    assert "toolConfig" in str(error)
else:
    raise AssertionError
try:
    signed.invoke_model(modelId="other", body=body)
except signed.exceptions.ResourceNotFoundException:
    pass
else:
    raise AssertionError
print(boto3.__version__)
