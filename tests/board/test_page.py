from __future__ import annotations

import json

import pytest

from autointerp.board.page import embed_json


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "\u2028\u2029", "&lt;", "\ud800", "سلام", "\\u003c"])
def test_embedded_json_cannot_end_its_element_and_reads_back(text: str):
    embedded = str(embed_json({"text": [text]}))
    assert not set(embedded) & set("<>&\u2028\u2029")
    assert json.loads(embedded) == {"text": [text]}
    embedded.encode()
