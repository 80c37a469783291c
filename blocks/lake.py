"""The lake as a Prefect block: its URL and its credentials."""

from __future__ import annotations

from typing import Optional

from prefect.blocks.core import Block
from prefect_aws import AwsCredentials
from pydantic.v1 import Field  # blocks are models of pydantic 1 in Prefect 2

from blocks.store import Store
from tasks.domain.errors import LakeError


class Lake(Block):
    """The lake in which the files are stored: `file:///folder`, `file:relative/folder` or `s3://bucket/prefix`."""

    _block_type_name = "ADCE Lake"
    _block_type_slug = "adce-lake"

    url: str = Field(..., description="file:///folder or s3://bucket/prefix")
    aws_credentials: Optional[AwsCredentials] = Field(  # noqa: UP045 (pydantic 1 reads no `X | None` of models)
        default=None, description="Without them, the standard AWS chain is used: environment, profile, role."
    )
    connections: int = Field(default=32, ge=1, le=256)

    def open(self) -> Store:
        """The store of the lake. Its first use raises LakeError if the URL or the credentials are wrong."""
        if self.aws_credentials is None:
            return Store(self.url, self.connections)
        session = self.aws_credentials.get_boto3_session()
        return Store(self.url, self.connections, session, self.aws_credentials.aws_client_parameters.endpoint_url)


async def credentials_of(block: str) -> AwsCredentials:
    """The AwsCredentials block of this name. Raises LakeError if there is none."""
    try:
        found: AwsCredentials = await AwsCredentials.load(block)
    except ValueError:
        raise LakeError(
            f"aws_credentials: Prefect has no AwsCredentials block {block!r}; create it there, or set null"
        ) from None
    return found


async def lake_with_credentials(url: str, connections: int, block: str) -> Store:
    """The store of a lake with the credentials of an AwsCredentials block. Raises LakeError if there is no block."""
    return Lake(url=url, connections=connections, aws_credentials=await credentials_of(block)).open()
