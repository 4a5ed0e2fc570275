"""Runs inside the environment of an `anthropic` SDK: files, batches and models through the gateway in argv[1]."""

import hashlib
import json
import sys

import anthropic

SIZE = 20 * 1024 * 1024


def batches(client):
    asked = {"model": "claude-opus-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    made = client.messages.batches.create(requests=[{"custom_id": "one", "params": asked}])
    found = client.messages.batches.retrieve(made.id)
    results = [result.model_dump(mode="json") for result in client.messages.batches.results(made.id)]
    return {
        "made": made.model_dump(mode="json"),
        "results_url": found.results_url,
        "listed": [batch.id for batch in client.messages.batches.list(limit=1)],  # two pages
        "canceled": client.messages.batches.cancel(made.id).processing_status,
        "deleted": client.messages.batches.delete(made.id).type,
        "results": results,
    }


def files(client):
    content = bytes(range(256)) * (SIZE // 256)
    made = client.beta.files.upload(file=("a.pdf", content, "application/pdf"))
    digest = hashlib.sha256()
    with client.beta.files.with_streaming_response.download(made.id) as answer:
        for piece in answer.iter_bytes():
            digest.update(piece)
    return {
        "made": made.model_dump(mode="json"),
        "sent": hashlib.sha256(content).hexdigest(),
        "got": digest.hexdigest(),
        "described": client.beta.files.retrieve_metadata(made.id).filename,
        "listed": [file.id for file in client.beta.files.list()],
        "deleted": client.beta.files.delete(made.id).id,
    }


def models(client):
    return [model.id for model in client.models.list()]


def missing(client):
    try:
        client.beta.files.retrieve_metadata("gone")
    except anthropic.NotFoundError as error:
        return {"body": error.body, "request_id": error.request_id}


def main():
    client = anthropic.Anthropic(base_url=sys.argv[1], api_key="dummy", max_retries=0, timeout=60)
    found = {each.__name__: each(client) for each in (batches, files, models, missing)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
