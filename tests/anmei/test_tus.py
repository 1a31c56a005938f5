"""What the headers of an upload may say."""

import pytest

from anmei.errors import AnmeiError, ErrorCode
from anmei.tus import Checksum


@pytest.mark.parametrize(
    "header",
    ["", "crc32 AAAA", "sha1 ?", "md5 AAA", "sha1 \u00ff\u00fe", "md5 \u4f60\u597d"],
)
def test_a_checksum_that_cannot_be_read_is_refused_by_its_name(header: str) -> None:
    with pytest.raises(AnmeiError, match="Upload-Checksum: expected") as caught:
        Checksum(header)
    assert caught.value.code is ErrorCode.BAD_REQUEST
