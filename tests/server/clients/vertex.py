"""google-cloud-aiplatform's PredictionServiceClient over REST against a server: python vertex.py ADDRESS."""

import sys

from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.cloud.aiplatform_v1 import PredictionServiceClient
from google.cloud.aiplatform_v1.services.prediction_service.transports import PredictionServiceRestTransport
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value

host = sys.argv[1].removeprefix("http://")
client = PredictionServiceClient(transport=PredictionServiceRestTransport(host=host, credentials=AnonymousCredentials(), url_scheme="http"))
key = {"metadata": [("authorization", "Bearer secret")]}


def value(given):
    return json_format.ParseDict(given, Value())


place = "projects/p/locations/us-central1"
asked = {"instances": [value({"prompt": "abc"})], "parameters": value({"maxOutputTokens": 8, "temperature": 0})}
found = client.predict(endpoint=f"{place}/endpoints/plain", **asked, **key)
text = found.predictions[0]["content"]
assert text and found.deployed_model_id == "plain"
assert client.predict(endpoint=f"{place}/publishers/google/models/plain", **asked, **key).predictions[0]["content"] == text
chat = value({"messages": [{"role": "user", "content": "hello"}]})
parameters = value({"maxOutputTokens": 8})
answer = client.predict(endpoint=f"{place}/endpoints/chat", instances=[chat], parameters=parameters, **key)
assert answer.predictions[0]["candidates"][0]["author"] == "assistant"
labelled = client.predict(endpoint=f"{place}/endpoints/labels", instances=[value({"content": "the film"})], **key)
assert set(labelled.predictions[0]["displayNames"]) == {"good", "bad"}
try:
    client.predict(endpoint=f"{place}/endpoints/plain", instances=[value("a")], parameters=value({"candidates": 2}), **key)
except exceptions.BadRequest as error:
    assert "parameters.candidates" in str(error)
else:
    raise AssertionError
try:
    client.predict(endpoint=f"{place}/endpoints/other", **asked, **key)
except exceptions.NotFound:
    pass
else:
    raise AssertionError
print(aiplatform.__version__)
