"""Who is told of incidents, what is a mistake there, and does no URL of theirs appear anywhere?"""

from __future__ import annotations

from pathlib import Path

import pytest

from config import secrets
from config.effective import effective_settings
from config.load import ConfigError, load_config, load_layers
from config.models import AppriseTarget, SlackTarget, SnsTarget, WebhookTarget
from config.secrets import masked, register_url

HOOK = "https://hooks.slack.com/services/T0000/B0000/abcdefghijklmnop"
TARGETS = f"""
alerts:
  targets:
    ops: {{type: slack, url: "{HOOK}"}}
    own: {{type: webhook, url: "http://127.0.0.1:80/in?key=key-of-sixteen-or-more", headers: {{X-Key: my-own-key}}}}
    aws: {{type: sns, topic: arn:aws:sns:eu-west-1:123456789012:alerts.fifo}}
    phone: {{type: apprise, url: "ntfys://a-topic-nobody-guesses"}}
    block: {{type: slack, url_block: the-channel}}
"""


@pytest.fixture(autouse=True)
def only_new_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_known", set())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "my.yaml").write_text(TARGETS)
    return tmp_path / "my.yaml"


def lines(alerts: str, **env: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load_config(env={"ADCE_ALERTS": alerts, **env})
    return [line.removeprefix("environment variable ADCE_ALERTS: alerts.") for line in error.value.lines]


def test_each_type_of_target_has_settings_of_its_own(file: Path) -> None:
    targets = load_config(file, {}).alerts.targets
    kinds = [SlackTarget, WebhookTarget, SnsTarget, AppriseTarget, SlackTarget]
    assert [type(target) for target in targets.values()] == kinds
    sns = targets["aws"]
    assert isinstance(sns, SnsTarget)
    assert (sns.region, sns.is_fifo) == ("eu-west-1", True)


def test_a_url_comes_from_the_environment_as_it_stands(file: Path) -> None:
    url = "https://example.org/hook: #1".replace(" ", "%20")
    env = {"ADCE_ALERTS__TARGETS__OPS__URL": url, "ADCE_ALERTS__PING": f"{url}?ping"}
    alerts = load_config(file, env).alerts
    ops = alerts.targets["ops"]
    assert isinstance(ops, SlackTarget)
    assert (ops.url, alerts.ping) == (url, f"{url}?ping")


def test_no_url_of_a_target_is_shown_anywhere(file: Path) -> None:
    config, layers = load_layers(file, {"ADCE_ALERTS__PING": "https://hc.example.org/ping-uuid-of-someone"})
    shown = {setting.name: setting.value for setting in effective_settings(config, layers)}
    for name in ("targets.ops.url", "targets.own.url", "targets.phone.url", "targets.own.headers.X-Key", "ping"):
        assert shown[f"alerts.{name}"] == "***", name
    assert shown["alerts.targets.aws.topic"].endswith("alerts.fifo")
    for text in (
        *(HOOK, "abcdefghijklmnop", "key-of-sixteen-or-more", "my-own-key"),
        *("ntfys://a-topic-nobody-guesses", "a-topic-nobody-guesses", "ping-uuid-of-someone"),
    ):
        assert text not in masked(f"POST {text} failed"), text
    assert masked("http://127.0.0.1:8080/else") == "http://127.0.0.1:8080/else"


def test_each_mistake_is_one_line() -> None:
    targets = """{targets: {
        a: {type: slack}, b: {type: slak, url: x}, c: {url: x}, d: {type: sns, topic: alerts}, e: text,
        f: {type: webhook, url: "https://e.org", headrs: {}}, g: {type: slack, url: "https://e.org", url_block: b},
        H: {type: apprise, url_block: b}, i: {type: webhook, url: "https://e.org", headers: {"a b": "c"}},
        j: {type: apprise, url: nonsense}, k: {type: sns, topic: alerts, url: x}}}"""
    found = lines(targets)
    assert [line.partition(";")[0].partition(" (it is")[0] for line in found] == [
        "targets.a: needs url or url_block, and not both",
        "targets.b.type: no type 'slak'",
        "targets.c: needs a type",
        "targets.d.topic: not the ARN of a topic of SNS",
        "targets.e: must be a mapping of settings",
        "targets.f.headrs: no such setting",
        "targets.g: needs url or url_block, and not both",
        "targets.H: not a target's name",
        "targets.i.headers.a b: not the name of a header",
        "targets.j.url: not a URL of Apprise",
        "targets.k.topic: not the ARN of a topic of SNS",
        "targets.k.url: no such setting",
    ]
    assert "did you mean slack?" in found[1]
    assert "one of apprise, slack, sns, webhook" in found[2]
    assert "did you mean headers?" in found[5]
    assert found[-1].endswith("known here: topic, type")


@pytest.mark.parametrize(
    ("url", "is_right"),
    [
        ("https://example.org/x", True),
        ("http://127.0.0.1:1/x", True),
        ("http://[::1]:1/x", True),
        ("http://localhost/x", True),
        ("http://example.org/hunter2secret", False),
        ("http://127.0.0.1.example.org/hunter2secret", False),
        ("ftp://example.org/hunter2secret", False),
        ("https:///hunter2secret", False),
        ("https://example.org/hunter2 secret", False),
    ],
)
def test_what_is_told_is_sent_in_the_clear_within_this_machine_only(url: str, is_right: bool) -> None:
    alerts = f'{{targets: {{a: {{type: webhook, url: "{url}"}}}}}}'
    if is_right:
        assert load_config(env={"ADCE_ALERTS": alerts}).alerts.targets
    else:
        [line] = lines(alerts)
        assert line.startswith("targets.a.url: ")
        assert "hunter2" not in line


def test_the_link_is_an_address() -> None:
    link = load_config(env={"ADCE_ALERTS": "{link: 'http://adce.internal:8710/'}"}).alerts.link
    assert link == "http://adce.internal:8710"
    assert lines("{link: adce}")[0].startswith("link: not the address of the service")
    assert lines("{ping: 'ftp://hunter2'}") == [
        "ping: not a URL; write it as https://host/path (it is of type str, and is not shown)"
    ]


def test_a_path_of_a_url_is_secret_in_whole_and_in_part_but_words_are_not() -> None:
    register_url("https://example.org/hooks/services/s3cr3t-tok1")
    assert masked("Cannot POST /hooks/services/s3cr3t-tok1") == "Cannot POST ***"
    assert masked("no channel s3cr3t-tok1") == "no channel ***"
    assert masked("services end; hooks and example.org stay") == "services end; hooks and example.org stay"
