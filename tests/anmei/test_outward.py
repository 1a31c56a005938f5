"""Where the server does not go, however it is written."""

import pytest

from anmei.outward import Refused, Target, follow, is_public, read_url

INNER = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.9.9.9"),
    *("168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.170"),
    *("192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:0:10.0.0.1"),
    *("64:ff9b::10.0.0.1", "64:ff9b:1::1", "100::1", "fc00::1", "fd00:ec2::254", "fe80::1"),
    *("fe80::1%eth0", "fec0::1", "ff02::1", "2001::1", "2001:0:1:2::3", "2001:db8::1"),
    *(
        "2002:7f00:1::1",
        "2002:a00:1::",
        "3fff::1",
        "2600::5efe:10.0.0.1",
        "2600::200:5efe:10.0.0.1",
    ),
    *("5f00::1", "", "example.org", "1", "127.1"),
]
OUTER = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::200e"]

REFUSED = [
    *("file:///etc/passwd", "gopher://example.org/", "ftp://example.org/", "//example.org/"),
    *("example.org", "", "http:", "http://", "http:///x", "http://:80/", "javascript:alert(1)"),
    *("http://user@example.org/", "http://a:b@example.org/", "http://example.org:22/"),
    *("http://example.org:8080/", "http://example.org:0/", "http://example.org:99999/"),
    *(
        "http://example.org:x/",
        "http://a b/",
        "http://a\nb/",
        "http://a\0b/",
        "http:\\\\example.org",
    ),
    *(
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://[x]/",
        "http://a%00b/",
        "http://a/\r\nX: y",
    ),
    *("http://\u2025/", "http://" + "a" * 254 + "/", "http://é" + "a" * 70 + ".example/"),
    "http://example.org/" + "x" * 2_048,
]


@pytest.mark.parametrize("address", INNER)
def test_an_inner_address_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTER)
def test_an_outer_address_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("url", REFUSED)
def test_what_is_no_address_of_the_web_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        read_url(url)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://example.org", Target("http", "example.org", 80, "/")),
        ("HTTPS://Example.ORG/a?b=c#d", Target("https", "example.org", 443, "/a?b=c")),
        ("http://example.org:443/", Target("http", "example.org", 443, "/")),
        ("http://例子.测试/路", Target("http", "xn--fsqu00a.xn--0zwm56d", 80, "/%E8%B7%AF")),
        ("http://example.org/%41?q=a%20b", Target("http", "example.org", 80, "/%41?q=a%20b")),
        # What these lead to is for the judgement of the resolved address.
        ("http://2130706433/", Target("http", "2130706433", 80, "/")),
        ("http://0x7f.1/", Target("http", "0x7f.1", 80, "/")),
        ("http://[::1]/", Target("http", "::1", 80, "/")),
    ],
)
def test_an_address_is_taken_apart(url: str, target: Target) -> None:
    assert read_url(url) == target


def test_the_host_is_shown_with_its_port_where_that_is_not_the_usual_one() -> None:
    assert read_url("https://[2606:4700::1111]/x").url == "https://[2606:4700::1111]/x"
    assert read_url("http://example.org:443/").shown_host == "example.org:443"


def test_a_redirect_is_read_from_where_it_stands() -> None:
    target = read_url("https://example.org/a/b")
    assert follow(target, "c?d").url == "https://example.org/a/c?d"
    assert follow(target, "//other.example/").url == "https://other.example/"
    for inner in ("file:///etc/passwd", "http://example.org:22/", "http://u@x/", "http://[x"):
        with pytest.raises(Refused):
            follow(target, inner)
