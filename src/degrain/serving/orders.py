"""Requests as what MLflow's scoring server takes, after everything that can be told without decoding."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from degrain.codecs import claimed_size, sniff
from degrain.errors import ImageFileError
from degrain.serving.limits import Limits, Refusal

PARAMS = ("sigma_255", "strength", "dial")
FORMS = ("inputs", "instances", "dataframe_split", "dataframe_records")


def order_from_json(body: bytes, limits: Limits) -> bytes:
    """A body as MLflow documents it, checked and in one form.

    Parameters
    ----------
    body : JSON with one of FORMS, which holds base64 strings, and perhaps `params`.

    Raises
    ------
    Refusal : 400, or 413 where the images claim too many pixels.
    """
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        msg = f"the body is not JSON: {error}"
        raise Refusal(400, msg) from error
    forms = [name for name in FORMS if isinstance(asked, dict) and name in asked]
    if len(forms) != 1:
        msg = f'expected {{"inputs": ["<an image file as base64>", ...]}}; one of {", ".join(FORMS)}'
        raise Refusal(400, msg)
    [form] = forms
    texts = _strings(asked[form], form)
    _check_pixels([_bytes(text, number) for number, text in enumerate(texts)], limits)
    return _order(texts, asked.get("params"))


def order_from_image(body: bytes, query: Mapping[str, str], limits: Limits) -> bytes:
    """An image file, with params from the address.

    Raises
    ------
    Refusal : as `order_from_json`.
    """
    _check_pixels([body], limits)
    params: dict[str, Any] = dict(query)
    for name, text in query.items():
        try:
            params[name] = float(text)
        except ValueError:
            continue  # refused with the others
    return _order([base64.b64encode(body).decode("ascii")], params)


def image_from_answer(answer: bytes) -> tuple[bytes, str]:
    """The file in the scoring server's answer, and its media type."""
    [text] = json.loads(answer)["predictions"]
    image = base64.b64decode(text)
    return image, f"image/{(sniff(image) or 'octet-stream').lower()}"


def _order(texts: Sequence[str], params: object) -> bytes:
    params = {} if params is None else params
    if not isinstance(params, dict):
        msg = f"params: expected an object with any of {', '.join(PARAMS)}"
        raise Refusal(400, msg)
    for name, value in params.items():
        if name not in PARAMS:
            msg = f"there is no param {name!r}; expected any of {', '.join(PARAMS)}"
            raise Refusal(400, msg)
        if isinstance(value, bool) or not isinstance(value, int | float):
            msg = f"{name} = {value!r}; expected a number"
            raise Refusal(400, msg)
    try:
        numbers = {name: float(value) for name, value in params.items()}
    except OverflowError as error:
        msg = "params: a number is too large"
        raise Refusal(400, msg) from error
    return json.dumps({"inputs": texts, "params": numbers}).encode()


def _strings(value: object, form: str) -> list[str]:
    """The one column of any of MLflow's forms."""
    if form == "dataframe_split" and isinstance(value, dict):
        value = value.get("data")
    if isinstance(value, str):
        value = [value]
    elif isinstance(value, dict) and len(value) == 1:
        [value] = value.values()
    if not isinstance(value, list) or not value:
        msg = f"{form}: expected a list of base64 strings"
        raise Refusal(400, msg)
    return [_only(item, form, number) for number, item in enumerate(value)]


def _only(item: object, form: str, number: int) -> str:
    """A string, alone or in a row of a single column."""
    if isinstance(item, dict):
        item = list(item.values())
    if isinstance(item, list) and len(item) == 1:
        [item] = item
    if not isinstance(item, str):
        msg = f"{form}: image {number} is no base64 string"
        raise Refusal(400, msg)
    return item


def _bytes(text: str, number: int) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        msg = f"image {number}: no base64 ({error})"
        raise Refusal(400, msg) from error


def _check_pixels(images: Sequence[bytes], limits: Limits) -> None:
    """By the headers alone: decoding a few bytes could fill the memory."""
    pixels = 0
    for number, image in enumerate(images):
        try:
            width, height = claimed_size(image, Path(f"image {number}"))
        except ImageFileError as error:
            raise Refusal(400, str(error)) from error
        pixels += width * height
        if pixels > limits.pixels:
            msg = (
                f"image {number}: {width}x{height} pixels; a request may hold {limits.megapixels:g} "
                "megapixels in all, so cut it up"
            )
            raise Refusal(413, msg)
