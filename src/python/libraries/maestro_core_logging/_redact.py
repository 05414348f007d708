"""What gives a secret away: the name it stands under, or the form that it has."""

import re
from collections.abc import Iterable
from functools import lru_cache

from maestro_core_logging._secrets import MASK

_GAP = "[_.-]{0,2}"
_WORDS = (
    f"pass{_GAP}(?:word|wd|phrase)|pwd|secret|token(?!i[sz])|api{_GAP}key|authorization|cookie|credential"
    f"|(?:private|access|signing|encryption|session){_GAP}key|session{_GAP}id|jwt|bearer"
)
_NAME = re.compile(f"{_WORDS}|auth$".replace(_GAP, ""))
_COUNT = re.compile(r".*tokens.*|.*token(?:count|limit|budget|usage|length|size|ttl\w*|expir\w*)")
_NOT_LETTERS = re.compile(r"[\W_]+")

_ASSIGNED = re.compile(rf"""(?ix)
    (?P<name> (?:{_WORDS}) [\w.-]{{0,64}} )
    (?P<between> \\{{0,4}} ["']? \s{{0,4}} (?: => | := | [:=] ) \s{{0,4}} [bru]{{0,2}} )
    (?P<value>
        \[redacted\]\S*
      | "[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)
      | '[^'\\]*(?:\\.[^'\\]*)*(?:'|\\?\Z)
      | (?P<quote>\\{{1,4}}["']) [\s\S]*? (?:(?P=quote)|\Z)
      | [\[({{] [^\r\n]*
      | \S+
    )""")
_WHOLE_LINE = re.compile(r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie2?)(\s{0,4}[:=]\s{0,4})(?!\s|[\"'])[^\r\n]+")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
    r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
_USERINFO = re.compile(r"""://(?:[^\s/?#:@"'<>]{0,256}:(?!\d{1,5}[/?#])[^\s"'<>]{0,1024}|[^\s/?#"'<>]{0,1024})@""")
_JWT = re.compile(r"\beyJ[\w-]{5,}(?:\.[\w-]*){1,4}")
_BEARER = re.compile(r"\b([Bb][Ee][Aa][Rr][Ee][Rr]\s{1,4})[^\s\"',;]{6,}")
_BASIC = re.compile(r"\b([Bb][Aa][Ss][Ii][Cc]\s{1,4})(?=[a-z]{0,64}[A-Z0-9+/=])[A-Za-z0-9+/_-]{6,}={0,2}")
_PREFIXED = re.compile(r"""(?x)\b(?:
        sk-(?=[\w-]{0,64}\d)[\w-]{16,} | [sr]k_(?:live|test)_\w{10,} | gh[pousr]_\w{20,} | github_pat_\w{20,}
      | glpat-[\w-]{16,} | xox[abeoprs]-[\w-]{10,} | xapp-[\w-]{10,} | (?:AKIA|ASIA)[A-Z0-9]{16} | AIza[\w-]{30,}
      | ya29\.[\w-]{20,} | npm_\w{30,} | pypi-[\w-]{30,} | hf_\w{20,} | SG\.[\w-]{16,}\.[\w-]{16,} | hvs\.[\w-]{20,}
      | dckr_pat_[\w-]{20,} | AGE-SECRET-KEY-1[A-Z0-9]{20,}
    )""")


class Redactor:
    """Decides by name and by form; `extra_names` are further words whose presence in a name makes it secret."""

    def __init__(self, extra_names: Iterable[str] = ()) -> None:
        words = tuple(word for word in (_letters(name) for name in extra_names) if word)

        @lru_cache(maxsize=4096)
        def judge(name: str) -> bool:
            letters = _letters(name)
            return _NAME.search(letters) is not None or any(word in letters for word in words)

        self._judge = judge

    def is_secret_name(self, name: str) -> bool:
        """Whether what stands under this name is secret, whatever its case and separators."""
        return self._judge(name[:128])

    def hides(self, name: str, value: object) -> bool:
        """Whether the value under this name is masked: not None, no boolean, and no count such as max_tokens=5."""
        if value is None or isinstance(value, bool) or not self.is_secret_name(name):
            return False
        return not (isinstance(value, int | float) and _COUNT.fullmatch(_letters(name)))

    def text(self, text: str) -> str:
        """The text with everything in it masked that has the form of a secret."""
        if "PRIVATE KEY" in text:
            text = _PRIVATE_KEY.sub(MASK, text)
        if "://" in text and "@" in text:
            text = _USERINFO.sub(f"://{MASK}@", text)
        if "eyJ" in text:
            text = _JWT.sub(MASK, text)
        text = _PREFIXED.sub(MASK, text)
        text = _BASIC.sub(rf"\1{MASK}", _BEARER.sub(rf"\1{MASK}", text))
        if ":" in text or "=" in text:
            text = _ASSIGNED.sub(_mask_assigned, _WHOLE_LINE.sub(rf"\1\2{MASK}", text))
        return text


def _mask_assigned(match: re.Match[str]) -> str:
    name, between, value = match["name"], match["between"], match["value"]
    if value[0].isdigit() and value.rstrip(",;.)]}").isdigit() and _COUNT.fullmatch(_letters(name)):
        return match[0]
    return f"{name}{between}{MASK}"


def _letters(name: str) -> str:
    return _NOT_LETTERS.sub("", name).lower()
