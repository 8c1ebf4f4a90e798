#!/usr/bin/env python3
"""Verifies receipts of AgentChat deals. One file for Python 3.9 or later; needs no packages and no network.

    python3 receipts.py FILE|- [--keys FILE]... [--json]

FILE contains one receipt per line, and optionally ROTATION and REVOCATION statements about keys; --keys adds further
files of such statements. Prints what each line proves and what was not checked.
Exit status: 0 if all receipts are valid, 1 if something is invalid, 2 if it cannot decide (no receipt, or an unreadable
file).

RULES.md in this directory has the rules, README.md the format.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import sys
from datetime import datetime, timezone

MAX_LINE_BYTES = 1024 * 1024
MAX_DOCUMENT_BYTES = 128 * 1024 * 1024
MAX_DEPTH = 16
MAX_SAFE = 2**53 - 1
MAX_STATEMENT = 32768
MAX_SECONDS = 315_360_000


class Invalid(Exception):
    """A fault of a line. The message never repeats text of the line."""


# --- Ed25519, RFC 8032 section 5.1, strictly -------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_MINUS_1 = pow(2, (P - 1) // 4, P)
# Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, x*y = T/Z.
IDENTITY = (0, 1, 1, 0)


def _add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _decode_point(data):
    """Returns the point that 32 bytes encode, or None if they are not a canonical encoding."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= P:
        return None
    # x^2 = (y^2 - 1) / (d*y^2 + 1)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * SQRT_MINUS_1 % P
    if x * x % P != square or (x == 0 and sign == 1):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def _encode_point(p):
    inverse = pow(p[2], P - 2, P)
    x, y = p[0] * inverse % P, p[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE = _decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def _combine(s, p, k, q):
    """Returns s*p + k*q."""
    both = _add(p, q)
    total = IDENTITY
    for bit in range(max(s.bit_length(), k.bit_length()) - 1, -1, -1):
        total = _add(total, total)
        picked = (s >> bit & 1) | (k >> bit & 1) << 1
        if picked:
            total = _add(total, (None, p, q, both)[picked])
    return total


def key_point(key):
    """Returns the point of a public key, or None if it is not canonical or of small order."""
    point = _decode_point(key) if len(key) == 32 else None
    if point is None:
        return None
    eightfold = point
    for _ in range(3):
        eightfold = _add(eightfold, eightfold)
    return None if eightfold[0] == 0 and eightfold[1] == eightfold[2] else point


def ed25519_verify(key, message, signature):
    """Verifies a signature: S below L, R and key canonical, no cofactor, no key of small order."""
    point = key_point(key)
    if point is None or len(signature) != 64:
        return False
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    if s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L
    minus = (P - point[0], point[1], 1, P - point[3])
    return _encode_point(_combine(s, BASE, k, minus)) == r


# --- Text ------------------------------------------------------------------------------------------------------

STRING = re.compile(r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-f]{4})[^"\\\x00-\x1f]*)*"')


def parse_json(text):
    """Parses strict JSON: no duplicate names, whole numbers only, lower-case escapes, no lone surrogates."""
    bare = STRING.sub("", text)
    if '"' in bare:
        raise Invalid("a string is not JSON, or an escape in it is not written in lower case")
    if re.search(r"[^][{}:,0-9a-z \t\r\n]", bare):
        raise Invalid("not JSON, or a number is not a whole one from 0 to 2^53 - 1")
    depth = 0
    for mark in re.findall(r"[\[\]{}]", bare):
        depth += 1 if mark in "[{" else -1
        if depth > MAX_DEPTH:
            raise Invalid("nested deeper than %d" % MAX_DEPTH)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_distinct,
            parse_int=_whole,
            parse_float=_no_number,
            parse_constant=_no_number,
        )
    except (ValueError, RecursionError):
        raise Invalid("not JSON") from None
    _refuse_surrogates(value)
    return value


def _distinct(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Invalid("duplicate key")
    if any(re.fullmatch("[0-9]+", name) for name in members):
        raise Invalid("a name consists of digits")
    return members


def _whole(digits):
    if digits.startswith("-") or len(digits) > 16 or int(digits) > MAX_SAFE:
        raise Invalid("a number is not a whole one from 0 to 2^53 - 1")
    return int(digits)


def _no_number(_text):
    raise Invalid("a number is not a whole one from 0 to 2^53 - 1")


def _refuse_surrogates(value):
    if isinstance(value, str):
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise Invalid("lone surrogate")
    elif isinstance(value, dict):
        for name, member in value.items():
            _refuse_surrogates(name)
            _refuse_surrogates(member)
    elif isinstance(value, list):
        for item in value:
            _refuse_surrogates(item)


def canonical(value):
    """Returns canonical JSON (RFC 8785). For ASCII names and small whole numbers, this is the output of json.dumps."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def units(text):
    """Returns the length in UTF-16 code units."""
    return len(text.encode("utf-16-le")) // 2


def to_base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text):
    """Decodes base64url; returns None for a noncanonical encoding."""
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text) or len(text) % 4 == 1:
        return None
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return data if to_base64url(data) == text else None


BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def key_of(did):
    """Returns the 32 bytes of the key in a did:key, which follow the two bytes 0xed 0x01 for Ed25519."""
    number = 0
    for letter in did[len("did:key:z") :]:
        number = number * 58 + BASE58.index(letter)
    data = number.to_bytes(64, "big").lstrip(b"\0")
    # A leading "1" encodes a zero byte, and so another key type.
    if did[9] == "1" or len(data) != 34 or data[:2] != b"\xed\x01" or key_point(data[2:]) is None:
        raise Invalid("a did:key is not an Ed25519 key, or a weak one")
    return data[2:]


def agent_id(did):
    return "@" + hashlib.sha256(key_of(did)).hexdigest()[:16]


# --- Statements ------------------------------------------------------------------------------------------------

DID = re.compile(r"did:key:z[1-9A-HJ-NP-Za-km-z]{40,60}")


def is_text(least, most):
    return lambda value: isinstance(value, str) and least <= units(value) <= most


def is_like(pattern):
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def is_whole(least, most):
    return lambda value: type(value) is int and least <= value <= most


def is_one_of(*choices):
    return lambda value: isinstance(value, str) and value in choices


TIME = is_whole(0, MAX_SAFE)
SECONDS = is_whole(1, MAX_SECONDS)
SIGNED = {
    "v": lambda value: type(value) is int and value == 1,
    "type": lambda value: isinstance(value, str),
    "id": is_like(r"[A-Za-z0-9._:~-]{1,64}"),
    "from": is_like(DID),
    "to": is_like(DID),
    "ts": TIME,
    "aud": is_text(1, 64),
    "sig": is_text(0, 1024),
}
ANSWER = {
    **SIGNED,
    "proposal_id": is_like(r"[A-Za-z0-9_-]{8,64}"),
    "prev": is_like(r"[A-Za-z0-9_-]{43}"),
}
# Required and optional members of each type of statement.
FORMS = {
    "PROPOSAL": (
        {**SIGNED, "task": is_text(1, 2000), "expires": SECONDS, "dispute_window": SECONDS},
        {
            "amount": is_like(r"(?:0|[1-9][0-9]{0,20})(?:\.[0-9]{1,18})?"),
            "currency": is_like(r"[A-Za-z0-9._-]{1,16}"),
            "payment_code": is_text(1, 256),
            "terms": is_text(1, 16384),
        },
    ),
    "ACCEPT": (ANSWER, {"payment_code": is_text(1, 256)}),
    "COMPLETE": (ANSWER, {"proof": is_text(1, 2000)}),
    "DISPUTE": ({**ANSWER, "reason": is_text(1, 500)}, {"fault": is_one_of("self", "other", "mutual")}),
}
KEY_SIGNED = {name: SIGNED[name] for name in ("v", "type", "from", "ts")}
KEY_FORMS = {
    "REVOCATION": ({**KEY_SIGNED, "sig": SIGNED["sig"]}, {"reason": lambda value: isinstance(value, str)}),
    "ROTATION": (
        {
            **KEY_SIGNED,
            "to": SIGNED["to"],
            "sigs": lambda value: isinstance(value, list) and len(value) == 2 and all(map(SIGNED["sig"], value)),
        },
        {},
    ),
}


def check_form(statement, kind, forms, where):
    if not isinstance(statement, dict) or statement.get("type") != kind:
        raise Invalid("%s: must be a statement of type %s" % (where, kind))
    must, may = forms[kind]
    for name in statement:
        if name not in must and name not in may:
            raise Invalid("%s: has a member that %s does not have" % (where, kind))
    for name, fits in {**must, **may}.items():
        if name not in statement:
            if name in must:
                raise Invalid("%s.%s: is missing" % (where, name))
        elif not fits(statement[name]):
            raise Invalid("%s.%s: is invalid" % (where, name))


def check_signature(sig, body, did, where):
    """Verifies `sig`, which is HEADER..SIGNATURE. The header is determined by the signer and the type."""
    typ = "agentchat.%s+jws" % body["type"].lower()
    header = to_base64url(canonical({"alg": "EdDSA", "kid": did, "typ": typ}).encode())
    start = header + ".."
    if not sig.startswith(start):
        raise Invalid("%s: the signature is not by its key for this type" % where)
    signature = from_base64url(sig[len(start) :])
    message = header + "." + to_base64url(canonical(body).encode())
    if signature is None or not ed25519_verify(key_of(did), message.encode(), signature):
        raise Invalid("%s: the signature is invalid" % where)


def without(statement, name):
    return {key: value for key, value in statement.items() if key != name}


# --- Receipts --------------------------------------------------------------------------------------------------


def chain_of(receipt):
    """Returns the statements of a receipt in order, each with its name for error messages."""
    for name in receipt:
        if name not in ("v", "type", "proposal", "accept", "complete", "dispute"):
            raise Invalid("has a member that a receipt does not have")
    if not SIGNED["v"](receipt.get("v")):
        raise Invalid("v: must be 1")
    complete, dispute = receipt.get("complete"), receipt.get("dispute", [])
    for name, items in (("complete", complete), ("dispute", dispute)):
        if not isinstance(items, list) or len(items) > 2:
            raise Invalid("%s: must be a list of at most 2" % name)
    if "dispute" in receipt and not dispute:
        raise Invalid("dispute: must not be empty")
    if not complete and not dispute:
        raise Invalid("has neither a COMPLETE nor a DISPUTE")
    chain = [("proposal", "PROPOSAL", receipt.get("proposal")), ("accept", "ACCEPT", receipt.get("accept"))]
    chain += [("complete[%d]" % at, "COMPLETE", item) for at, item in enumerate(complete)]
    chain += [("dispute[%d]" % at, "DISPUTE", item) for at, item in enumerate(dispute)]
    return chain


def check_step(where, statement, before, proposal):
    """Checks an answer of any type against the proposal and the statement before it."""
    parties = {proposal["from"], proposal["to"]}
    if statement["proposal_id"] != proposal["id"]:
        raise Invalid("%s.proposal_id: is not the id of the proposal" % where)
    if {statement["from"], statement["to"]} != parties:
        raise Invalid("%s: is not between the parties of the proposal" % where)
    if statement["aud"] != proposal["aud"]:
        raise Invalid("%s.aud: must be the server of the proposal" % where)
    if statement["prev"] != to_base64url(hashlib.sha256(canonical(before).encode()).digest()):
        raise Invalid("%s.prev: is not the hash of the statement before" % where)
    if statement["ts"] < before["ts"]:
        raise Invalid("%s.ts: must not be before the statement it answers" % where)


def check_rules(chain):
    """Checks the author and the time of each answer."""
    (_, _, proposal), (_, _, accept), *rest = chain
    if accept["from"] != proposal["to"]:
        raise Invalid("accept: only the recipient of the proposal can accept")
    if accept["ts"] > proposal["ts"] + proposal["expires"] * 1000:
        raise Invalid("accept: the proposal had expired")
    first_completed = None
    said = set()
    for where, kind, statement in rest:
        act = (kind, statement["from"])
        if act in said:
            raise Invalid("%s: the same party has stated this before" % where)
        if kind == "COMPLETE" and first_completed is None:
            first_completed = statement["ts"]
        is_first_dispute = kind == "DISPUTE" and not any(other == "DISPUTE" for other, _ in said)
        if is_first_dispute and first_completed is not None:
            if statement["ts"] > first_completed + proposal["dispute_window"] * 1000:
                raise Invalid("%s: the dispute window was over" % where)
        said.add(act)


def faults_agree(disputes, proposer):
    """Tests whether both disputes name the same party, or both name mutual."""
    named = []
    for dispute in disputes:
        fault = dispute.get("fault")
        if fault in ("self", "other"):
            fault = (fault == "self") == (dispute["from"] == proposer)
        named.append(fault)
    return len(named) == 2 and named[0] is not None and named[0] == named[1]


def proofs_of(receipt):
    completed, disputes = len(receipt["complete"]), receipt.get("dispute", [])
    proofs = ["integrity", "accepted-by-both"]
    if completed:
        proofs.append("completed-by-both" if completed == 2 else "completed-by-one")
    if disputes:
        proofs.append("disputed")
    if faults_agree(disputes, receipt["proposal"]["from"]):
        proofs.append("fault-agreed")
    return proofs


def check_receipt(receipt, ends):
    """Returns what a receipt proves and what was not checked. `ends` are verified statements about keys."""
    chain = chain_of(receipt)
    for where, kind, statement in chain:
        check_form(statement, kind, FORMS, where)
        if statement["from"] == statement["to"]:
            raise Invalid("%s.to: cannot be yourself" % where)
        if units(canonical(statement)) > MAX_STATEMENT:
            raise Invalid("%s: is longer than %d" % (where, MAX_STATEMENT))
    proposal = chain[0][2]
    for (_, _, before), (where, _, statement) in zip(chain, chain[1:]):
        check_step(where, statement, before, proposal)
    check_rules(chain)
    for where, _, statement in chain:
        key_of(statement["to"])
        check_signature(statement["sig"], without(statement, "sig"), statement["from"], where)
        for end in ends:
            if end["from"] == statement["from"] and end["ts"] <= statement["ts"]:
                what = "replaced" if end["type"] == "ROTATION" else "revoked"
                raise Invalid("%s: its key was %s before it was signed" % (where, what))
    unchecked = ["time: each statement states its own time, and nobody else confirms it"]
    for did in (proposal["from"], proposal["to"]):
        if not any(end["from"] == did for end in ends):
            unchecked.append("revocation: no statement about the key of %s was given" % agent_id(did))
    return proofs_of(receipt), unchecked


def check_key_statement(statement):
    kind = statement["type"]
    check_form(statement, kind, KEY_FORMS, kind)
    if kind == "REVOCATION":
        check_signature(statement["sig"], without(statement, "sig"), statement["from"], kind)
        return
    body = without(statement, "sigs")
    for sig, did in zip(statement["sigs"], (statement["from"], statement["to"])):
        check_signature(sig, body, did, kind)


# --- Files -----------------------------------------------------------------------------------------------------


class Line:
    """A line of a file, or an element of a document: its contents, or its fault."""

    def __init__(self, source, number, value=None):
        self.source, self.number, self.value = source, number, value
        self.problem, self.status = None, "valid"
        self.proves, self.unchecked = [], []
        if isinstance(value, dict) and "payloadType" in value and "signatures" in value:
            self.refuse("is an envelope, which `agentchat receipts verify` opens", "undecided")
        elif self.kind is None:
            self.refuse("is neither a receipt nor a statement about a key", "undecided")
        elif not SIGNED["v"](value.get("v")):
            self.refuse("v: is an unknown version", "undecided")

    @classmethod
    def parse(cls, source, number, data):
        """Returns the line of these bytes."""
        line = cls(source, number)
        try:
            if len(data) > MAX_LINE_BYTES:
                line.refuse("longer than %d bytes" % MAX_LINE_BYTES)
                return line
            text = data.decode("utf-8")
            return cls(source, number, parse_json(text))
        except UnicodeDecodeError:
            line.refuse("is not UTF-8")
        except Invalid as problem:
            if text.lstrip(" \t\r\ufeff").startswith("{"):
                line.refuse("starts with a byte order mark" if text.startswith("\ufeff") else str(problem))
            else:
                line.refuse("is not a receipt", "undecided")
        return line

    def refuse(self, problem, status="invalid"):
        self.status, self.problem = status, problem

    @property
    def is_decision(self):
        """True for the signed answer of a person, which says nothing about deals."""
        value = self.value if isinstance(self.value, dict) else {}
        return value.get("type") == "DECISION" and SIGNED["v"](value.get("v"))

    @property
    def kind(self):
        kind = self.value.get("type") if isinstance(self.value, dict) else None
        return kind if isinstance(kind, str) and kind in ("RECEIPT", "ROTATION", "REVOCATION") else None


def read_lines(source):
    """Returns the lines of a file, or the elements of a file that is one JSON document over several lines."""
    if source == "-":
        data = sys.stdin.buffer.read()
    else:
        with open(source, "rb") as file:
            data = file.read()
    if re.match(rb"[ \t\r\n]*(\[|\{[ \t\r]*(\n|\Z))", data):
        try:
            if len(data) > MAX_DOCUMENT_BYTES:
                raise Invalid("longer than %d bytes" % MAX_DOCUMENT_BYTES)
            items = parse_json(data.decode("utf-8"))
            items = items if isinstance(items, list) else [items]
            return without_decisions(Line(source, at + 1, item) for at, item in enumerate(items)), data
        except (UnicodeDecodeError, Invalid):
            return [Line(source, 1)], data
    pieces = enumerate(data.split(b"\n"))
    is_blank = lambda piece: len(piece) <= MAX_LINE_BYTES and not piece.strip(b" \t\r")
    lines = (Line.parse(source, at + 1, piece) for at, piece in pieces if not is_blank(piece))
    return without_decisions(lines), data


def without_decisions(lines):
    return [line for line in lines if not line.is_decision]


def read_key_lines(source):
    """Reads statements about keys, one per line or from the JSON object that `agentchat identity --export` prints."""
    lines, data = read_lines(source)
    whole = Line.parse(source, 1, data)
    if whole.kind is None and isinstance(whole.value, dict):
        found = whole.value.get("rotations")
        if isinstance(whole.value.get("did"), str) and isinstance(found, list):
            found = found + ([whole.value["revocation"]] if "revocation" in whole.value else [])
            lines = [Line(source, 1, value) for value in found]
    return lines


def judge(lines, key_lines):
    """Sets what each line proves, or its fault."""
    ends = []
    for line in [*lines, *key_lines]:
        if line.status == "valid" and line.kind in KEY_FORMS:
            try:
                check_key_statement(line.value)
                ends.append(line.value)
            except Invalid as problem:
                line.refuse(str(problem))
    for line in lines:
        if line.status == "valid" and line.kind == "RECEIPT":
            try:
                line.proves, line.unchecked = check_receipt(line.value, ends)
            except Invalid as problem:
                line.refuse(str(problem))


def shown(text):
    """Returns a text of an agent on one line: short, in ASCII, without control characters."""
    text = text if len(text) <= 60 else text[:59] + "\u2026"
    return json.dumps(text).replace("\x7f", "\\u007f")


def describe(line):
    head = "%s:%d: " % ("stdin" if line.source == "-" else shown(line.source)[1:-1], line.number)
    if line.status != "valid":
        return head + ("INVALID: " if line.status == "invalid" else "cannot decide: ") + line.problem
    if line.kind != "RECEIPT":
        return head + "valid %s of %s" % (line.kind, agent_id(line.value["from"]))
    proposal = line.value["proposal"]
    day = datetime.fromtimestamp(min(proposal["ts"] / 1000, 253402300799), timezone.utc).strftime("%Y-%m-%d")
    rows = [
        head + "valid",
        "  deal: %s of %s" % (proposal["id"], day),
        "  between: %s and %s" % (agent_id(proposal["from"]), agent_id(proposal["to"])),
        "  task: " + shown(proposal["task"]),
    ]
    if "amount" in proposal:
        rows.append("  amount: " + " ".join([proposal["amount"], *filter(None, [proposal.get("currency")])]))
    rows.append("  proven: " + ", ".join(line.proves))
    return "\n".join(rows + ["  not checked: " + what for what in line.unchecked])


def as_record(line):
    record = {"source": line.source, "line": line.number, "status": line.status}
    if line.status != "valid":
        return {**record, "problem": line.problem}
    return {**record, "type": line.kind, "proves": line.proves, "unchecked": line.unchecked}


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Checks receipts of AgentChat deals, offline.")
    parser.add_argument("file", help='one receipt per line; "-" is the standard input')
    parser.add_argument("--keys", action="append", default=[], metavar="FILE", help="statements about keys")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    options = parser.parse_args(arguments)
    try:
        lines, _ = read_lines(options.file)
        key_lines = [line for source in options.keys for line in read_key_lines(source)]
    except OSError as error:
        name = shown(str(error.filename))[1:-1] if error.filename else "the input"
        print("cannot decide: %s cannot be read (%s)" % (name, error.strerror or "error"), file=sys.stderr)
        return 2
    judge(lines, key_lines)
    for line in key_lines:
        if line.status != "valid" or line.kind == "RECEIPT":
            print("cannot decide: what --keys gives is not to be believed", file=sys.stderr)
            print(describe(line), file=sys.stderr)
            return 2
    for line in lines:
        print(json.dumps(as_record(line)) if options.json else describe(line))
    statuses = {line.status for line in lines}
    if not any(line.kind == "RECEIPT" for line in lines):
        print("there is no receipt in it", file=sys.stderr)
        statuses.add("undecided")
    return 1 if "invalid" in statuses else 2 if "undecided" in statuses else 0


if __name__ == "__main__":
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader closed the pipe. That is no verdict, and nothing more can be printed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 2
    sys.exit(status)
