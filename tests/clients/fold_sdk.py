"""Runs inside the environment of an `anthropic` SDK: folds the stream of each case (argv[2:]) served at argv[1]."""

import json
import sys

import anthropic

client = anthropic.Anthropic(base_url=sys.argv[1], api_key="dummy", max_retries=0, _strict_response_validation=True)
folded = {}
for case in sys.argv[2:]:
    try:
        with client.messages.stream(model=case, max_tokens=10, messages=[{"role": "user", "content": "x"}]) as stream:
            folded[case] = {"message": stream.get_final_message().model_dump(mode="json", exclude_none=True)}
    except anthropic.APIError as error:
        folded[case] = {"error": getattr(error, "body", None) or str(error)}
print(json.dumps(folded))
