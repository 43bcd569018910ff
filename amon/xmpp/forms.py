"""Data forms, as much of them as is needed here. XEP-0004, XEP-0068."""

from collections.abc import Mapping
from xml.etree.ElementTree import Element

from amon.xmpp import names
from amon.xmpp.markup import child

_X, _FIELD, _VALUE = f"{{{names.FORM}}}x", f"{{{names.FORM}}}field", f"{{{names.FORM}}}value"

Values = Mapping[str, tuple[str, ...]]


def read_form(form: Element) -> dict[str, tuple[str, ...]]:
    """Values by field name."""
    return {
        field.get("var", ""): tuple(value.text or "" for value in field.iterfind(_VALUE))
        for field in form.iterfind(_FIELD)
        if field.get("var")
    }


def result_form(form_type: str, values: Values) -> Element:
    return _form("result", form_type, values)


def submit_form(form_type: str, values: Values) -> Element:
    return _form("submit", form_type, values)


def _form(kind: str, form_type: str, values: Values) -> Element:
    form = Element(_X, {"type": kind})
    child(child(form, _FIELD, var="FORM_TYPE", type="hidden"), _VALUE, form_type)
    for name, several in values.items():
        field = child(form, _FIELD, var=name)
        for value in several:
            child(field, _VALUE, value)
    return form
