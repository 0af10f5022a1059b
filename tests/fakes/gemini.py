"""Google's Generative Language API (Gemini) over loopback.

    with FakeGemini() as gemini:
        client = genai.Client(api_key=gemini.key, http_options={"base_url": gemini.url})

As a process: `python -m tests.fakes.gemini --latency 0.3`, then GET /__calls.
"""

import argparse
import hashlib
import re
import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.fakes.gemini_answers import (
    BODY_FAULTS,
    CACHED_FROM,
    Call,
    Prefixes,
    Responder,
    default_responder,
    prompt_of,
    respond,
    varying_responder,
)
from tests.fakes.gemini_errors import (
    Refusal,
    error,
    key_invalid,
    key_missing,
)
from tests.fakes.gemini_faults import broken
from tests.fakes.gemini_quota import Account, Limits, pacific_day
from tests.fakes.gemini_rules import (
    MODELS,
    Model,
    camel,
    check_generate,
    find_model,
)
from tests.fakes.loopback import (
    Answer,
    LoopbackServer,
    Request,
    answer_html,
    answer_json,
    serve_until_killed,
)

_PATH = re.compile(r"/(v1|v1beta)/models(?:/([^/:]+))?(?::(\w+))?$")


class FakeGemini(LoopbackServer):
    """The server; see the module. Limits hold over a sliding window of `window` seconds.

    Failed requests count against the quota as Google's do, refused ones (429) do not. `responder`
    gets a Call and returns a text, a value to be written as JSON, or a whole response body.
    """

    def __init__(
        self,
        *,
        key: str = "test-key",
        limits: Mapping[str, Limits] | Limits | None = None,
        responder: Responder = default_responder,
        latency: float = 0.0,
        window: float = 60.0,
        routed: Mapping[str, str] | None = None,
        keep: int | None = None,
        cached_from: int = CACHED_FROM,
        port: int = 0,
    ) -> None:
        """`routed` serves one model as another; `keep` bounds how many calls are remembered.

        `cached_from`: tokens of a beginning that was sent before from which on it costs less.
        """
        super().__init__(port=port)
        self.key = key
        self.responder = responder
        self.latency = latency
        self._limits = limits or {}
        self._window = window
        self._routed = routed or {}
        self._keep = keep
        self._cached_from = cached_from
        self._lock = threading.Lock()
        self._ahead = 0.0
        self.reset()

    def reset(self) -> None:
        """Forget calls, counts and scripts; the limits start afresh."""
        with self._lock:
            self.calls: deque[Call] = deque(maxlen=self._keep)
            self.statuses: Counter[int] = Counter()
            self._accounts: dict[str, Account] = {}
            self._numbers = 0
            self._prefixes = Prefixes(self._cached_from)
        self.script.clear()

    def advance(self, seconds: float) -> None:
        """Move the clock of the limits forward."""
        self._ahead += seconds

    def max_in_window(self, seconds: float = 60.0, *, model: str | None = None) -> tuple[int, int]:
        """Return the most requests and the most input tokens that arrived within `seconds`.

        Of one model, else of the one with the most. Counts every arrival, refused ones too.
        """
        with self._lock:
            found = [
                account.arrivals.max_in_window(seconds)
                for name, account in self._accounts.items()
                if model in {None, name}
            ]
        return max((n for n, _ in found), default=0), max((t for _, t in found), default=0)

    def violations(self) -> list[str]:
        """Return one line for each limit that arrivals broke in some sliding window; [] if none."""
        lines = []
        for name in list(self._accounts):
            limits = self._limits_of(name)
            requests, tokens = self.max_in_window(self._window, model=name)
            for kind, most, allowed in (
                ("requests", requests, limits.rpm),
                ("tokens", tokens, limits.tpm),
            ):
                if allowed is not None and most > allowed:
                    lines.append(
                        f"{name}: {most} {kind} within {self._window:g} s, allowed {allowed}"
                    )
        return lines

    def reply(self, request: Request) -> Answer:
        """See LoopbackServer."""
        if request.path.startswith("/__"):
            return self._introspect(request)
        try:
            answer = self._route(request)
        except Refusal as refusal:
            answer = refusal.answer()
        with self._lock:
            self.statuses[0 if answer.ending else answer.status] += 1
        return answer

    def _route(self, request: Request) -> Answer:
        match = _PATH.search(request.path)
        if match is None:
            return answer_html(404, "Error 404 (Not Found)!!1", server="scaffolding on HTTPServer2")
        version, name, method = match.groups()
        self._check_key(request)
        if request.method == "GET" and name and method is None:
            return answer_json(_described(find_model(name, version=version, method="get")))
        if request.method != "POST" or name is None or method != "generateContent":
            return error(404)
        model = find_model(name, version=version, method=method)
        body = self._body(request)
        return self._generate(request, asked=name, model=model, body=body)

    def _check_key(self, request: Request) -> None:
        given = request.headers.get("x-goog-api-key") or request.first("key")
        if not given:
            raise key_missing()
        if given != self.key:
            raise key_invalid()

    def _body(self, request: Request) -> Any:
        try:
            return camel(request.json())
        except ValueError as mistake:
            raise Refusal(f"Invalid JSON payload received. {mistake}") from mistake

    def _generate(self, request: Request, *, asked: str, model: Model, body: Any) -> Answer:
        model = MODELS[self._routed.get(model.name, model.name)]
        prompt, tokens = prompt_of(body if isinstance(body, dict) else {})
        call, answer = self._arrive(
            Call(
                number=0,
                arrived=request.arrived,
                wall=request.wall,
                model=asked,
                served=model.name,
                body=body,
                headers=request.headers,
                prompt=prompt,
                prompt_tokens=tokens,
            )
        )
        if answer is None:
            answer = self._attempt(call, model)
        with self._lock:
            self.calls.append(replace(call, status=0 if answer.ending else answer.status))
        return answer

    def _arrive(self, call: Call) -> tuple[Call, Answer | None]:
        """Count the call under the model that serves it, and number it."""
        day = pacific_day(call.wall + self._ahead)
        now = call.arrived + self._ahead
        with self._lock:
            self._numbers += 1
            account = self._accounts.get(call.served)
            if account is None:
                limits = self._limits_of(call.served)
                account = Account(call.served, limits, window=self._window)
                self._accounts[call.served] = account
            account.arrivals.add(now, call.prompt_tokens)
            refused = account.admit(now, day=day, tokens=call.prompt_tokens)
            return replace(call, number=self._numbers), refused

    def _limits_of(self, model: str) -> Limits:
        if isinstance(self._limits, Limits):
            return self._limits
        return self._limits.get(model, Limits())

    def _attempt(self, call: Call, model: Model) -> Answer:
        fault, delay = self.script.take(call.model, call.served, ""), self.latency
        if fault.startswith("slow:"):
            fault, delay = "", float(fault[5:])
        if fault and fault not in BODY_FAULTS:
            return replace(broken(fault, call), delay=delay)
        check_generate(call.body, model)
        call = replace(call, fault=fault)
        with self._lock:
            cached = self._prefixes.cached(call.prompt)
        said = self.responder(call)
        headers = [("x-gemini-service-tier", str(call.body.get("serviceTier", "standard")).lower())]
        value = respond(call, model, said=said, cached=cached)
        return answer_json(value, headers=headers, delay=delay)

    def _introspect(self, request: Request) -> Answer:
        return answer_json(self.summary()) if request.path == "/__calls" else error(404)

    def summary(self) -> dict[str, Any]:
        """Return counts, windows and the prompts, as GET /__calls does."""
        with self._lock:
            totals = {name: len(account.arrivals.times) for name, account in self._accounts.items()}
            calls = list(self.calls)
            statuses = dict(self.statuses)
        requests, tokens = self.max_in_window(self._window)
        return {
            "calls": sum(totals.values()),
            "by_model": totals,
            "by_status": statuses,
            "max_requests": requests,
            "max_tokens": tokens,
            "violations": self.violations(),
            "script": self.script.waiting(),
            "requests": [_told(call) for call in calls],
        }


def _told(call: Call) -> dict[str, Any]:
    prompt = call.prompt.encode(errors="replace")
    return {
        "number": call.number,
        "arrived": call.arrived,
        "wall": call.wall,
        "model": call.model,
        "served": call.served,
        "prompt_tokens": call.prompt_tokens,
        "status": call.status,
        "sha256": hashlib.sha256(prompt).hexdigest(),
        "prompt": call.prompt[:200],
    }


def _described(model: Model) -> dict[str, Any]:
    return {
        "name": f"models/{model.name}",
        "version": "001",
        "displayName": model.name.replace("-", " ").title(),
        "inputTokenLimit": 1048576,
        "outputTokenLimit": 65536,
        "supportedGenerationMethods": ["generateContent", "countTokens", "batchGenerateContent"],
        "thinking": True,
    }


def main() -> None:
    """Run as a process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--vary", action="store_true", help="another answer for each request")
    given = parser.parse_args()
    responder = varying_responder if given.vary else default_responder
    serve_until_killed(FakeGemini(responder=responder, latency=given.latency, keep=100_000))


if __name__ == "__main__":
    main()
