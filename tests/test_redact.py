"""What is taken out of texts and command lines before they are recorded, and what stays."""

from __future__ import annotations

import pytest

from dml.redact import redact, redact_command


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:sesame@host/photos", "https://***@host/photos"),
        ("/work/https:/me:s@same@host/photos", "/work/https:/***@host/photos"),  # a path that was made of an address
        ("https://ghp_abc@github.com/a.git", "https://***@github.com/a.git"),
        ("s3://KEY:SECRET@bucket/x", "s3://***@bucket/x"),
        ("me:sesame@host:/photos", "***@host:/photos"),
        ("https://host/x?key=AIza&size=3&X-Amz-Signature=ab", "https://host/x?key=***&size=3&X-Amz-Signature=***"),
        ("/mnt/smb:server=nas,user=me,password=sesame/x", "/mnt/smb:server=nas,user=me,password=***/x"),
        ("accessToken=zz", "accessToken=***"),
        ("api_key=zz", "api_key=***"),
        ("/data/key=3/photos@home/12:30", "/data/key=3/photos@home/12:30"),
        ("C:/Users/me@work/photos", "C:/Users/me@work/photos"),
        ("monkey=3", "monkey=3"),
    ],
)
def test_texts(text, shown):
    assert redact(text) == shown


def test_nested_settings_keep_their_types():
    settings = {"data": {"data_dir": "x://a:b@c", "ks": (1, 2)}, "names": ["token=1"], "lr": 0.1, "none": None}
    shown = {"data": {"data_dir": "x://***@c", "ks": (1, 2)}, "names": ["token=***"], "lr": 0.1, "none": None}
    assert redact(settings) == shown


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--wandb_key", "abc", "--lr", "1"], ["--wandb_key", "***", "--lr", "1"]),
        (["--hf-token=abc", "--data-dir=x://a:b@c"], ["--hf-token=***", "--data-dir=x://***@c"]),
        (["--password", "--lr", "1"], ["--password", "--lr", "1"]),
        (["train.py", "--select-metric", "nmi"], ["train.py", "--select-metric", "nmi"]),
    ],
)
def test_command_lines(words, shown):
    assert redact_command(words) == shown
